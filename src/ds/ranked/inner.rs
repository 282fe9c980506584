//! An inner node of the ranked tree: up to 63 children, the first entry of each, and how many entries each holds.
//!
//! The first entries are exact, never merely a bound, and the counts are exact too; with both, one way down
//! answers "which is the n-th" and "how many are before". Children are leaves on the lowest level
//! and inner nodes above; which one the tree knows from the level.

use super::leaf::Leaf;
use super::record::Record;
use std::ops::Range;
use std::ptr::NonNull;

pub(super) const INNER_MAX: usize = 63;

/// A pointer to a leaf or to an inner node, as the level says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Child(NonNull<u8>);

impl Child {
    pub fn leaf(leaf: Leaf) -> Self {
        Self(leaf.pointer())
    }

    pub fn inner(inner: InnerRef) -> Self {
        Self(inner.0.cast())
    }

    #[inline]
    pub fn as_leaf(self) -> Leaf {
        Leaf::from_pointer(self.0)
    }

    #[inline]
    pub fn as_inner(self) -> InnerRef {
        InnerRef(self.0.cast())
    }
}

/// What a parent knows of a child.
#[derive(Clone, Copy)]
pub(super) struct Branch {
    pub first: Record,
    pub score: f64,
    pub count: u64,
    pub child: Child,
}

/// The arrays stand apart because a search reads one of them only. Slots from `len` on are stale copies.
pub(super) struct Inner {
    len: usize,
    scores: [f64; INNER_MAX],
    counts: [u64; INNER_MAX],
    firsts: [Option<Record>; INNER_MAX],
    children: [Option<Child>; INNER_MAX],
}

/// A pointer to an inner node. Copying it copies the pointer; the tree owns the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct InnerRef(NonNull<Inner>);

impl InnerRef {
    pub fn new() -> Self {
        let inner = Box::new(Inner {
            len: 0,
            scores: [0.0; INNER_MAX],
            counts: [0; INNER_MAX],
            firsts: [None; INNER_MAX],
            children: [None; INNER_MAX],
        });
        Self(NonNull::from(Box::leak(inner)))
    }

    /// Gives the node's memory back, not its children's.
    ///
    /// # Safety
    /// No copy of this pointer is used afterwards.
    pub unsafe fn free(self) {
        // SAFETY: `new` leaked it from a box.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }

    #[inline]
    pub fn get<'a>(self) -> &'a Inner {
        // SAFETY: live while the tree holds it (module contract); no `get_mut` is alive at the same time.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub fn get_mut<'a>(mut self) -> &'a mut Inner {
        // SAFETY: as in `get`; the tree is borrowed mutably and takes one such reference at a time.
        unsafe { self.0.as_mut() }
    }
}

impl Inner {
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub fn scores(&self) -> &[f64] {
        &self.scores[..self.len]
    }

    #[inline]
    pub fn counts(&self) -> &[u64] {
        &self.counts[..self.len]
    }

    #[inline]
    pub fn first(&self, at: usize) -> Record {
        self.firsts[at].expect("slots below a node's length are filled")
    }

    #[inline]
    pub fn child(&self, at: usize) -> Child {
        self.children[at].expect("slots below a node's length are filled")
    }

    #[inline]
    pub fn branch(&self, at: usize) -> Branch {
        Branch { first: self.first(at), score: self.scores[at], count: self.counts[at], child: self.child(at) }
    }

    #[inline]
    pub fn set_first(&mut self, at: usize, score: f64, first: Record) {
        self.scores[at] = score;
        self.firsts[at] = Some(first);
    }

    #[inline]
    pub fn set_child(&mut self, at: usize, child: Child) {
        self.children[at] = Some(child);
    }

    #[inline]
    pub fn count_mut(&mut self, at: usize) -> &mut u64 {
        &mut self.counts[at]
    }

    /// Entries below this node.
    pub fn total(&self) -> u64 {
        self.counts().iter().sum()
    }

    /// Puts a branch before slot `at`. There must be room.
    pub fn insert(&mut self, at: usize, branch: Branch) {
        let len = self.len;
        self.scores.copy_within(at..len, at + 1);
        self.counts.copy_within(at..len, at + 1);
        self.firsts.copy_within(at..len, at + 1);
        self.children.copy_within(at..len, at + 1);
        self.len += 1;
        self.scores[at] = branch.score;
        self.counts[at] = branch.count;
        self.firsts[at] = Some(branch.first);
        self.children[at] = Some(branch.child);
    }

    /// Forgets the branch at `at`.
    pub fn remove(&mut self, at: usize) {
        let len = self.len;
        self.scores.copy_within(at + 1..len, at);
        self.counts.copy_within(at + 1..len, at);
        self.firsts.copy_within(at + 1..len, at);
        self.children.copy_within(at + 1..len, at);
        self.len -= 1;
    }

    /// Moves the branches `slots` of another node to this one, before slot `at`. There must be room.
    pub fn take_from(&mut self, at: usize, other: &mut Inner, slots: Range<usize>) {
        for (offset, slot) in slots.clone().enumerate() {
            self.insert(at + offset, other.branch(slot));
        }
        for slot in slots.rev() {
            other.remove(slot);
        }
    }
}
