//! A member of a ranked set with its score: one allocation, reached by a thin pointer.
//!
//! The hash table's slot and the tree's leaf hold the same pointer, so a member costs one record however
//! it is found. Who may free a record is `Ranked`'s business (`mod.rs`).
//!
//! ```text
//!  0        8     9                    9 + length
//!  ┌────────┬─────┬────────────────────┐
//!  │ score  │ len │ member             │      length < 255
//!  ├────────┼─────┼────────┬───────────┴──┐
//!  │ score  │ 255 │ u64 le │ member       │   longer ones
//!  └────────┴─────┴────────┴──────────────┘
//! ```

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cmp::Ordering;
use std::ptr::{self, NonNull};

const LENGTH_AT: usize = 8;
const SHORT_MEMBER_AT: usize = 9;
const LONG_MEMBER_AT: usize = 17;
const LONG_MARK: u8 = u8::MAX;

/// A thin pointer to a record. Copying it copies the pointer; `free` ends all copies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record(NonNull<u8>);

impl Record {
    pub fn new(member: &[u8], score: f64) -> Self {
        let layout = layout(member.len());
        // SAFETY: the layout's size is at least nine bytes.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        // A leaf keeps 48 bits of the address; user space is no larger on the machines Rust supports.
        assert!(start.as_ptr().expose_provenance() >> 48 == 0, "a heap address of more than 48 bits");
        // SAFETY: `layout` gave room for exactly the header and the member written here; the start is aligned for f64.
        unsafe {
            start.cast::<f64>().write(score);
            if member.len() < usize::from(LONG_MARK) {
                start.add(LENGTH_AT).write(member.len() as u8);
            } else {
                start.add(LENGTH_AT).write(LONG_MARK);
                start.add(LENGTH_AT + 1).cast::<u64>().write_unaligned((member.len() as u64).to_le());
            }
            ptr::copy_nonoverlapping(member.as_ptr(), start.add(member_at(member.len())).as_ptr(), member.len());
        }
        Self(start)
    }

    /// Gives the memory back.
    ///
    /// # Safety
    /// No copy of this pointer is used afterwards, in the table, the tree or anywhere else.
    pub unsafe fn free(self) {
        let layout = layout(self.member_len());
        // SAFETY: allocated in `new` with the same layout; the caller vouches that this is the last use.
        unsafe { dealloc(self.0.as_ptr(), layout) }
    }

    #[inline]
    pub fn score(self) -> f64 {
        // SAFETY: a record is live while it is reachable (module contract) and starts with its score.
        unsafe { self.0.cast::<f64>().read() }
    }

    #[inline]
    pub fn set_score(self, score: f64) {
        // SAFETY: as in `score`; references handed out cover the member's bytes only, never the score.
        unsafe { self.0.cast::<f64>().write(score) }
    }

    #[inline]
    fn member_len(self) -> usize {
        // SAFETY: the length byte always exists, the eight bytes after it do where it is the long mark.
        unsafe {
            match self.0.add(LENGTH_AT).read() {
                LONG_MARK => u64::from_le(self.0.add(LENGTH_AT + 1).cast::<u64>().read_unaligned()) as usize,
                short => usize::from(short),
            }
        }
    }

    /// The member's bytes. The lifetime is the caller's to bound: `Ranked` ties it to its own borrow.
    #[inline]
    pub fn member<'a>(self) -> &'a [u8] {
        let length = self.member_len();
        // SAFETY: `new` wrote `length` bytes there and nothing changes them before `free`.
        unsafe { std::slice::from_raw_parts(self.0.add(member_at(length)).as_ptr(), length) }
    }

    /// Where the record stands relative to a score and member.
    #[inline]
    pub fn cmp_to(self, own_score: f64, score: f64, member: &[u8]) -> Ordering {
        match own_score.partial_cmp(&score) {
            Some(Ordering::Equal) | None => self.member().cmp(member),
            Some(different) => different,
        }
    }

    /// Bytes of the allocation.
    pub fn memory(self) -> usize {
        layout(self.member_len()).size()
    }

    #[inline]
    pub fn pointer(self) -> NonNull<u8> {
        self.0
    }

    /// The record at a pointer that `pointer` gave.
    #[inline]
    pub fn from_pointer(pointer: NonNull<u8>) -> Self {
        Self(pointer)
    }

    #[inline]
    pub fn address(self) -> usize {
        self.0.as_ptr().addr()
    }

    /// The record at an address that `address` gave.
    #[inline]
    pub fn from_address(address: usize) -> Option<Self> {
        NonNull::new(ptr::with_exposed_provenance_mut(address)).map(Self)
    }

    /// Asks the processor to fetch the record, so that reading it a little later does not wait.
    #[inline]
    pub fn prefetch(self) {
        prefetch(self.0.as_ptr());
    }
}

#[inline]
pub(super) fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing the program can see and faults on no address.
    unsafe {
        std::arch::x86_64::_mm_prefetch(address.cast::<i8>(), std::arch::x86_64::_MM_HINT_T0);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

fn member_at(length: usize) -> usize {
    if length < usize::from(LONG_MARK) { SHORT_MEMBER_AT } else { LONG_MEMBER_AT }
}

fn layout(length: usize) -> Layout {
    let size = member_at(length) + length;
    Layout::from_size_align(size, align_of::<f64>()).expect("a member that is in memory has a size that fits memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_every_length_class_come_back() {
        for length in [0usize, 1, 20, 254, 255, 256, 70_000] {
            let member: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let record = Record::new(&member, 1.5);
            record.set_score(-2.5);
            assert_eq!(record.member(), member);
            assert_eq!(record.score(), -2.5);
            assert_eq!(Record::from_address(record.address()), Some(record));
            // SAFETY: the only copies are in this scope and not used again.
            unsafe { record.free() };
        }
    }
}
