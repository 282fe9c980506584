//! Random members, each with the same probability. The random source comes in as a function.

use super::{Limits, Set};
use crate::ds::item::Item;
use crate::ds::member::Member;
use crate::ds::trio::{Part, PartMut};
use crate::types::sampling::{self, Selection};

impl Set {
    /// One member.
    pub fn random(&self, random: &mut impl FnMut() -> u64) -> Option<Item<'_>> {
        match self.0.part() {
            Part::Second(intset) => intset.get(sampling::index(intset.len(), random)).map(Item::Int),
            Part::Packed(listpack) => listpack.get(sampling::index(listpack.len(), random) as i64),
            Part::Boxed(members) => members.table.random(random).map(|member| Item::Bytes(member.bytes())),
        }
    }

    /// Shows `count` members, each drawn from all.
    pub fn draws(&self, count: usize, random: &mut impl FnMut() -> u64, mut show: impl FnMut(Item<'_>) -> bool) {
        if let Part::Packed(listpack) = self.0.part() {
            // An element of a listpack is found by walking, so that is done once.
            let items: Vec<Item<'_>> = listpack.iter().map(|(_, item)| item).collect();
            let draws = if items.is_empty() { 0 } else { count };
            let _ = (0..draws).all(|_| show(items[sampling::index(items.len(), random)]));
            return;
        }
        for _ in 0..count {
            let Some(member) = self.random(random) else { return };
            if !show(member) {
                return;
            }
        }
    }

    /// Shows `count` distinct members, all where there are no more, every choice as likely as any other.
    pub fn sample(&self, count: usize, random: &mut impl FnMut() -> u64, mut show: impl FnMut(Item<'_>)) {
        if count >= self.len() {
            return self.iter().for_each(show);
        }
        if let Part::Boxed(members) = self.0.part()
            && count.saturating_mul(4) < members.table.len()
        {
            let draw = || {
                let bytes = members.table.random(random)?.bytes();
                Some((bytes.as_ptr().addr(), bytes))
            };
            return sampling::distinct(count, draw, |bytes| show(Item::Bytes(bytes)));
        }
        let mut selection = Selection::new(count, self.len());
        for member in self.iter() {
            if selection.is_done() {
                return;
            }
            if selection.takes(random) {
                show(member);
            }
        }
    }

    /// Takes one member out, after `read` has looked at it.
    pub fn pop<R>(&mut self, random: &mut impl FnMut() -> u64, read: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        match self.0.part_mut() {
            PartMut::Second(intset) => {
                let value = intset.change(|intset| intset.remove_at(sampling::index(intset.len(), random)));
                value.map(|value| read(Item::Int(value)))
            }
            PartMut::Packed(listpack) => {
                let position = listpack.seek(sampling::index(listpack.len(), random) as i64)?;
                let result = read(listpack.at(position));
                listpack.delete(position);
                Some(result)
            }
            PartMut::Boxed(members) => {
                let member = members.table.take_random(random)?;
                members.note_gone(member.bytes());
                members.member_bytes -= Member::memory_of(member.bytes().len());
                Some(read(Item::Bytes(member.bytes())))
            }
        }
    }

    /// Takes `count` members out, all where there are no more, showing each; every choice is as likely as any other. How many.
    pub fn pop_many(
        &mut self,
        count: usize,
        limits: &Limits,
        random: &mut impl FnMut() -> u64,
        mut show: impl FnMut(Item<'_>),
    ) -> usize {
        let len = self.len();
        let count = count.min(len);
        // What has an image stays what it is until that was shown.
        let has_image = self.image().is_some();
        if count == len && !has_image {
            self.iter().for_each(show);
            *self = Self::new();
            return count;
        }
        if matches!(self.0.part(), Part::Boxed(_)) && count < len / 4 {
            (0..count).for_each(|_| {
                self.pop(random, &mut show);
            });
        } else {
            self.pop_walking(Selection::new(count, len), random, show);
        }
        // Redis builds a set of what is left where that is much less than what is taken, and starts with a listpack.
        if matches!(self.0.part(), Part::Boxed(_)) && !has_image && (len - count).saturating_mul(5) <= count {
            let small = Self::of_listpack(self.iter(), len - count, limits);
            small.into_iter().for_each(|small| *self = small);
        }
        count
    }

    /// Passes over all members and takes out those that the selection takes.
    fn pop_walking(
        &mut self,
        mut selection: Selection,
        random: &mut impl FnMut() -> u64,
        mut show: impl FnMut(Item<'_>),
    ) {
        match self.0.part_mut() {
            PartMut::Boxed(members) => {
                let bytes = &mut members.member_bytes;
                let has_image = members.image.is_some();
                let mut gone: Vec<Box<[u8]>> = Vec::new();
                members.table.retain(|member| {
                    let taken = selection.takes(random);
                    if taken {
                        let member = member.bytes();
                        *bytes -= Member::memory_of(member.len());
                        if has_image {
                            gone.push(member.into());
                        }
                        show(Item::Bytes(member));
                    }
                    !taken
                });
                gone.iter().for_each(|member| members.note_gone(member));
            }
            PartMut::Packed(listpack) => {
                let mut next = listpack.first();
                while let Some(position) = next.filter(|_| !selection.is_done()) {
                    next = if selection.takes(random) {
                        show(listpack.at(position));
                        listpack.delete(position)
                    } else {
                        listpack.next(position)
                    };
                }
            }
            PartMut::Second(intset) => intset.change(|intset| {
                let (taken, kept): (Vec<i64>, Vec<i64>) = intset.iter().partition(|_| selection.takes(random));
                taken.into_iter().for_each(|value| show(Item::Int(value)));
                *intset = crate::ds::intset::Intset::from_sorted(&kept);
            }),
        }
    }
}
