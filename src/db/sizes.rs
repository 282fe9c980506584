//! How large the values are: what INFO shows as `Keysizes`.
//!
//! A database counts its strings by their bytes and its collections by their elements, in bins of powers of two. A value is counted where
//! it comes into the table and leaves it (`edit`, `load`), and a collection that is changed in place is `Held` meanwhile, which counts it
//! anew when it is let go. Streams are not counted, as in Redis 8.2.

use std::ops::{Deref, DerefMut};

use crate::types::value::{self, Collection, Kind, Record};

/// A bin for nothing, and one for each power of two up to 2^47: more than memory can hold.
const BINS: usize = 49;

/// How many values there are in each bin. Bin 0 counts the empty ones, bin n those of 2^(n-1) and more, below 2^n.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sizes {
    bins: Box<[[u64; BINS]; Sizes::KINDS.len()]>,
}

/// Where a value is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bin {
    pub kind: Kind,
    bin: u8,
}

impl Bin {
    #[inline]
    pub fn new(kind: Kind, len: usize) -> Self {
        let bin = (usize::BITS - len.leading_zeros()).min(BINS as u32 - 1);
        Self { kind, bin: bin as u8 }
    }

    #[inline]
    pub fn of(record: &Record) -> Self {
        match value::string_len(record) {
            Some(len) => Self::new(Kind::String, len),
            None => Self::new(value::kind_of(record), value::collection_len(record).unwrap_or(0)),
        }
    }
}

impl Default for Sizes {
    fn default() -> Self {
        Self { bins: Box::new([[0; BINS]; Self::KINDS.len()]) }
    }
}

impl Sizes {
    /// The types that are counted, in the order in which INFO shows them.
    pub const KINDS: [Kind; 5] = [Kind::String, Kind::List, Kind::Set, Kind::Zset, Kind::Hash];

    #[inline]
    fn bin_mut(&mut self, Bin { kind, bin }: Bin) -> Option<&mut u64> {
        self.bins.get_mut(kind as usize).map(|bins| &mut bins[usize::from(bin)])
    }

    #[inline]
    pub fn add(&mut self, bin: Bin) {
        self.bin_mut(bin).into_iter().for_each(|count| *count += 1);
    }

    #[inline]
    pub fn remove(&mut self, bin: Bin) {
        self.bin_mut(bin).into_iter().for_each(|count| *count -= 1);
    }

    /// A value that was counted in one bin belongs into another, or still into the same.
    #[inline]
    pub fn change(&mut self, before: Bin, after: Bin) {
        if before != after {
            self.remove(before);
            self.add(after);
        }
    }

    /// The bins of a type that count something: the least size of each, and how many values.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = (u64, u64)> {
        let bins = self.bins[kind as usize].iter().enumerate().filter(|(_, count)| **count > 0);
        bins.map(|(bin, &count)| (if bin == 0 { 0 } else { 1 << (bin - 1) }, count))
    }
}

/// A collection that is being changed. Letting go of it counts it anew.
pub struct Held<'a, C: Collection> {
    collection: &'a mut C,
    sizes: &'a mut Sizes,
    before: Bin,
}

impl<'a, C: Collection> Held<'a, C> {
    #[inline]
    pub fn new(collection: &'a mut C, sizes: &'a mut Sizes) -> Self {
        let before = Bin::new(C::KIND, Collection::len(collection));
        Self { collection, sizes, before }
    }
}

impl<C: Collection> Deref for Held<'_, C> {
    type Target = C;
    #[inline]
    fn deref(&self) -> &C {
        self.collection
    }
}

impl<C: Collection> DerefMut for Held<'_, C> {
    #[inline]
    fn deref_mut(&mut self) -> &mut C {
        self.collection
    }
}

impl<C: Collection> Drop for Held<'_, C> {
    #[inline]
    fn drop(&mut self) {
        self.sizes.change(self.before, Bin::new(C::KIND, Collection::len(self.collection)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_powers_of_two() {
        let mut sizes = Sizes::default();
        for len in [0, 1, 2, 3, 4, 7, 8, 1023, 1024, 1 << 40, usize::MAX] {
            sizes.add(Bin::new(Kind::Set, len));
        }
        let shown: Vec<_> = sizes.of(Kind::Set).collect();
        assert_eq!(shown, [(0, 1), (1, 1), (2, 2), (4, 2), (8, 1), (512, 1), (1024, 1), (1 << 40, 1), (1 << 47, 1)]);
        assert_eq!(sizes.of(Kind::String).count(), 0);
    }

    #[test]
    fn a_value_moves_from_bin_to_bin_and_streams_are_left_out() {
        let mut sizes = Sizes::default();
        sizes.add(Bin::new(Kind::Stream, 5));
        assert_eq!(sizes, Sizes::default());
        sizes.add(Bin::new(Kind::List, 0));
        sizes.change(Bin::new(Kind::List, 0), Bin::new(Kind::List, 5));
        assert_eq!(sizes.of(Kind::List).collect::<Vec<_>>(), [(4, 1)]);
        sizes.change(Bin::new(Kind::List, 5), Bin::new(Kind::Hash, 1));
        sizes.remove(Bin::new(Kind::Hash, 1));
        assert_eq!(sizes, Sizes::default());
    }
}
