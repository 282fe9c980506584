//! Walking over the entries of a ranked tree, in either direction, with memory asked for ahead.

use super::{LOOK_AHEAD, Path, Tree};
use crate::ds::ranked::record::Record;
use std::marker::PhantomData;

/// Entries in order, from `Tree::entries`.
pub(in crate::ds::ranked) struct Entries<'a> {
    path: Option<Path>,
    remaining: u64,
    reverse: bool,
    tree: PhantomData<&'a Tree>,
}

impl Entries<'_> {
    pub(super) fn new(path: Option<Path>, remaining: u64, reverse: bool) -> Self {
        let entries = Self { path, remaining, reverse, tree: PhantomData };
        entries.prefetch_first();
        entries
    }

    #[inline]
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Asks for the records that the first steps will read.
    fn prefetch_first(&self) {
        let Some(path) = &self.path else { return };
        for distance in 0..LOOK_AHEAD {
            prefetch_near(path, distance, self.reverse);
        }
    }

    /// Goes to the next leaf in the iteration's direction.
    fn step_leaf(path: &mut Path, reverse: bool) {
        let mut level = path.levels;
        while level > 0 {
            level -= 1;
            let (inner, slot) = path.step(level);
            let next =
                if reverse { slot.checked_sub(1) } else { Some(slot + 1).filter(|&next| next < inner.get().len()) };
            let Some(next) = next else { continue };
            path.steps[level] = Some((inner, next as u16));
            let mut child = inner.get().child(next);
            for below in level + 1..path.levels {
                let inner = child.as_inner();
                let slot = if reverse { inner.get().len() - 1 } else { 0 };
                path.steps[below] = Some((inner, slot as u16));
                child = inner.get().child(slot);
            }
            path.leaf = child.as_leaf();
            path.leaf.prefetch();
            path.slot = if reverse { path.leaf.len() - 1 } else { 0 };
            return;
        }
        unreachable!("an iteration ends by its count, before the tree does");
    }
}

#[inline]
fn prefetch_near(path: &Path, distance: usize, reverse: bool) {
    let slot = if reverse { path.slot.wrapping_sub(distance) } else { path.slot + distance };
    if slot < path.leaf.len() {
        path.leaf.record(slot).prefetch();
    }
}

impl Iterator for Entries<'_> {
    type Item = (f64, Record);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.remaining == 0 {
            return None;
        }
        let path = self.path.as_mut()?;
        let entry = (path.leaf.score(path.slot), path.leaf.record(path.slot));
        self.remaining -= 1;
        if self.remaining == 0 {
            return Some(entry);
        }
        let leaf_ends = if self.reverse { path.slot == 0 } else { path.slot + 1 == path.leaf.len() };
        if leaf_ends {
            Self::step_leaf(path, self.reverse);
            for distance in 0..LOOK_AHEAD {
                prefetch_near(path, distance, self.reverse);
            }
        } else {
            path.slot = if self.reverse { path.slot - 1 } else { path.slot + 1 };
            prefetch_near(path, LOOK_AHEAD, self.reverse);
        }
        Some(entry)
    }

    /// Leaf by leaf, which is much quicker than one at a time.
    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(mut self, init: B, mut add: F) -> B {
        let (mut result, mut left) = (init, self.remaining as usize);
        let Some(mut path) = self.path.take().filter(|_| left > 0) else { return result };
        loop {
            let (at, len) = (path.slot, path.leaf.len());
            let slots = if self.reverse { (at + 1).saturating_sub(left)..at + 1 } else { at..len.min(at + left) };
            left -= slots.len();
            // The first ones were asked for when the leaf was entered.
            let (entries, ahead) = (path.leaf.entries(slots.clone()), path.leaf.entries(slots));
            result = match self.reverse {
                false => with_look_ahead(entries, ahead.skip(LOOK_AHEAD), result, &mut add),
                true => with_look_ahead(entries.rev(), ahead.rev().skip(LOOK_AHEAD), result, &mut add),
            };
            if left == 0 {
                return result;
            }
            Self::step_leaf(&mut path, self.reverse);
            for distance in 0..LOOK_AHEAD {
                prefetch_near(&path, distance, self.reverse);
            }
        }
    }
}

#[inline]
fn with_look_ahead<B>(
    entries: impl Iterator<Item = (f64, Record)>,
    mut ahead: impl Iterator<Item = (f64, Record)>,
    init: B,
    add: &mut impl FnMut(B, (f64, Record)) -> B,
) -> B {
    entries.fold(init, |result, entry| {
        if let Some((_, record)) = ahead.next() {
            record.prefetch();
        }
        add(result, entry)
    })
}
