//! What two tables have in common, without hashing a key.
//!
//! Tables of one seed keep a key under the same prefix and the same tag. So a segment of one has to meet only that segment of the other
//! which covers its prefix; both fit the cache while they are compared, and keys are read only where tags agree.
//!
//! ```text
//!   prefix   0        01       10 ...
//!            ┌────────┬────────┐
//!   deeper   │   A0   │   A1   │     A0 is looked up in B, then A1
//!            ├────────┴────────┤
//!   other    │        B        │
//!            └─────────────────┘
//! ```

use std::ops::ControlFlow;
use std::ptr::NonNull;

use super::bucket::{self, BUCKETS_MAX, Bucket, SLOTS, pointer_of, tag_of};
use super::{Slot, Table, prefetch};
use crate::ds::ahead::{Ahead, Fetch};

/// An entry of each table, under the same prefix and the same tag.
#[derive(Clone, Copy)]
struct Pair {
    ours: NonNull<u8>,
    theirs: NonNull<u8>,
}

impl Fetch for Pair {
    #[inline]
    fn fetch(&self) {
        prefetch(self.ours.as_ptr());
        prefetch(self.theirs.as_ptr());
    }
}

impl<E: Slot> Table<E> {
    /// Whether `each_common` can walk over both: they hash alike, and every entry is in its segment.
    pub fn walks_with(&self, other: &Self) -> bool {
        std::ptr::eq(self.seed, other.seed) && self.strays.is_empty() && other.strays.is_empty()
    }

    /// Shows each entry whose key is in both tables, this one's or the other's, until it is told to stop. O(all entries of both),
    /// a few nanoseconds each; where one table is much smaller, looking its keys up is faster.
    pub fn each_common<'a>(
        &'a self,
        other: &'a Self,
        mut show: impl FnMut(E::Ref<'a>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        assert!(self.walks_with(other), "tables that cannot be walked over together");
        if self.is_empty() || other.is_empty() {
            return ControlFlow::Continue(());
        }
        let mut pairs = Vec::with_capacity(BUCKETS_MAX * SLOTS);
        let mut next = Some(0);
        while let Some(position) = next {
            next = self.pairs_at(other, position, &mut pairs);
            for pair in Ahead::new(pairs.drain(..)) {
                // SAFETY: both entries are in their tables, which are borrowed as long as the view.
                if let Some(entry) = unsafe { (E::key(pair.ours) == E::key(pair.theirs)).then(|| E::view(pair.ours)) } {
                    show(entry)?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// The pairs of the two segments that cover this position, and the first position behind the deeper of them.
    fn pairs_at(&self, other: &Self, position: u64, pairs: &mut Vec<Pair>) -> Option<u64> {
        let (index, others) = (self.directory.index(position), other.directory.index(position));
        let (word, others_word) = (self.directory.at(index), other.directory.at(others));
        if word.depth() < others_word.depth() {
            return other.pairs_at(self, position, pairs);
        }
        let looked_into = other.array(others_word);
        for &slot in self.array(word).iter().flat_map(Bucket::slots) {
            let Some(ours) = pointer_of(slot) else { continue };
            bucket::find(looked_into, tag_of(slot), |theirs| {
                pairs.push(Pair { ours, theirs });
                false
            });
        }
        self.directory.position(self.directory.next(index))
    }
}
