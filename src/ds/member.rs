//! A member of a large set: its bytes and nothing else, in one allocation reached by a thin pointer.
//!
//! The table of such members is a `keytable::Table`; which sets have one is the business of `types::set`.
//!
//! ```text
//!  0     1                  1 + length
//!  ┌─────┬──────────────────┐
//!  │ len │ bytes            │      length < 255
//!  ├─────┼─────────┬────────┴───────┐
//!  │ 255 │ u64     │ bytes          │   longer ones
//!  └─────┴─────────┴────────────────┘
//! ```

use super::ahead::Fetch;
use super::keytable::{Slot, prefetch};
use crate::util::memory::block_size;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr::NonNull;

/// An owned member.
pub struct Member(NonNull<u8>);

/// A member in a table. Nothing of it is read before it is asked for.
#[derive(Clone, Copy)]
pub struct MemberRef<'a> {
    start: NonNull<u8>,
    table: PhantomData<&'a [u8]>,
}

const SHORT: usize = 1;
const LONG: usize = 9;
const LONG_MARK: u8 = u8::MAX;

// SAFETY: a member owns its block alone.
unsafe impl Send for Member {}
// SAFETY: a shared member is only read.
unsafe impl Sync for Member {}

impl Member {
    pub fn new(bytes: &[u8]) -> Self {
        let layout = layout(bytes.len());
        // SAFETY: the layout's size is at least one byte.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        let head = head_of(bytes.len());
        // SAFETY: the block has room for the head and the bytes.
        unsafe {
            if head == SHORT {
                start.write(bytes.len() as u8);
            } else {
                start.write(LONG_MARK);
                start.add(1).cast::<u64>().write_unaligned(bytes.len() as u64);
            }
            start.add(head).copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
        }
        #[cfg(test)]
        crate::ds::live::born();
        Self(start)
    }

    #[inline]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the block lives as long as the borrow.
        unsafe { bytes_at(self.0) }
    }

    /// The bytes of memory a member of this length takes.
    #[inline]
    pub fn memory_of(length: usize) -> usize {
        layout(length).size()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        #[cfg(test)]
        crate::ds::live::died();
        let layout = layout(self.bytes().len());
        // SAFETY: allocated with this layout, and not used again.
        unsafe { dealloc(self.0.as_ptr(), layout) }
    }
}

impl<'a> MemberRef<'a> {
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        // SAFETY: the view was made of a live member that is not changed during `'a`.
        unsafe { bytes_at(self.start) }
    }
}

impl Fetch for MemberRef<'_> {
    #[inline]
    fn fetch(&self) {
        prefetch(self.start.as_ptr());
    }
}

// SAFETY: a member is one block from the allocator (user space is below 2^47) whose bytes never change.
unsafe impl Slot for Member {
    type Ref<'a> = MemberRef<'a>;
    type Mut<'a> = MemberRef<'a>;

    #[inline]
    fn into_raw(self) -> NonNull<u8> {
        std::mem::ManuallyDrop::new(self).0
    }

    #[inline]
    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        Self(raw)
    }

    #[inline]
    unsafe fn key<'a>(raw: NonNull<u8>) -> &'a [u8]
    where
        Self: 'a,
    {
        // SAFETY: the caller's promise.
        unsafe { bytes_at(raw) }
    }

    #[inline]
    unsafe fn view<'a>(raw: NonNull<u8>) -> MemberRef<'a>
    where
        Self: 'a,
    {
        MemberRef { start: raw, table: PhantomData }
    }

    #[inline]
    unsafe fn view_mut<'a>(raw: NonNull<u8>) -> MemberRef<'a>
    where
        Self: 'a,
    {
        MemberRef { start: raw, table: PhantomData }
    }
}

/// # Safety
/// `start` is the block of a member that lives and does not change during `'a`.
#[inline]
unsafe fn bytes_at<'a>(start: NonNull<u8>) -> &'a [u8] {
    // SAFETY: `new` wrote the head and as many bytes behind it as the head tells.
    unsafe {
        match start.read() {
            LONG_MARK => {
                let length = start.add(1).cast::<u64>().read_unaligned() as usize;
                std::slice::from_raw_parts(start.add(LONG).as_ptr(), length)
            }
            length => std::slice::from_raw_parts(start.add(SHORT).as_ptr(), usize::from(length)),
        }
    }
}

#[inline]
fn head_of(length: usize) -> usize {
    if length < usize::from(LONG_MARK) { SHORT } else { LONG }
}

#[inline]
fn layout(length: usize) -> Layout {
    Layout::from_size_align(block_size(head_of(length) + length), 8).expect("sizes are far below isize::MAX")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_every_length_class_come_back() {
        for length in [0usize, 1, 20, 23, 254, 255, 256, 70_000] {
            let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let member = Member::new(&bytes);
            assert_eq!(member.bytes(), bytes);
            let raw = member.into_raw();
            // SAFETY: the pointer came from `into_raw` and is given back once, after the views.
            let member = unsafe {
                assert_eq!(Member::view(raw).bytes(), bytes);
                assert_eq!(Member::key(raw), bytes);
                Member::from_raw(raw)
            };
            assert_eq!(member.bytes(), bytes);
        }
        assert_eq!(Member::memory_of(20), 24);
    }
}
