//! A byte string of exact size that can be grown in place and, when large, shared without a copy.
//!
//! A small blob is a bare block of bytes. From `SHARE_MIN` on the block starts with a reference count, so that a reply can
//! refer to the bytes while the keyspace goes on; a writer that finds the block shared copies it first.
//!
//! ```text
//!   Blob (16 bytes)                     block
//!   ┌───────────┬───────┬───────┐       capacity < SHARE_MIN    ┌ bytes … ┐
//!   │ pointer ──┼─► len │  cap  │  ──►
//!   └───────────┴───────┴───────┘       capacity ≥ SHARE_MIN    ┌ references: u32, unused: u32 ┬ bytes … ┐
//!                                                                                              ▲ pointer
//! ```

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// From this capacity on a blob can be shared; below it a copy is cheaper than a reference count.
pub const SHARE_MIN: usize = 16 * 1024;
/// The longest blob: lengths are 32 bits.
pub const BLOB_MAX: usize = u32::MAX as usize - 64;

const HEADER: usize = 8;
/// A string that has grown once gets this much room beyond twice its length at most, as it may well grow again.
const SPARE_MAX: usize = 1 << 20;

pub struct Blob {
    bytes: NonNull<u8>,
    len: u32,
    capacity: u32,
}

// SAFETY: a blob owns its block; shared blocks are only ever read, and counted atomically.
unsafe impl Send for Blob {}
// SAFETY: `&Blob` gives read access only.
unsafe impl Sync for Blob {}

impl Blob {
    /// A blob that holds a copy of `bytes`, with no room to spare. Panics beyond `BLOB_MAX` (callers bound their input).
    pub fn new(bytes: &[u8]) -> Self {
        let mut blob = Self::with_capacity(bytes.len());
        blob.append_within_capacity(bytes);
        blob
    }

    pub fn with_capacity(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        assert!(capacity <= BLOB_MAX, "a blob of {capacity} bytes was asked for");
        Self { bytes: allocate(capacity), len: 0, capacity: capacity as u32 }
    }

    pub fn len(&self) -> usize {
        self.len as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the first `len` bytes are initialised and live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr(), self.len as usize) }
    }

    /// The bytes for writing; a shared block is copied first. O(1), or O(n) for the copy.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.unshare();
        // SAFETY: as in `as_slice`, and `unshare` made this blob the only owner.
        unsafe { std::slice::from_raw_parts_mut(self.bytes.as_ptr(), self.len as usize) }
    }

    /// Replaces the content, in place where the block fits well. O(n).
    pub fn set(&mut self, bytes: &[u8]) {
        let fits = bytes.len() <= self.capacity() && bytes.len() * 2 >= self.capacity();
        if !fits || self.is_shared() {
            *self = Self::new(bytes);
            return;
        }
        self.len = 0;
        self.append_within_capacity(bytes);
    }

    /// Appends; amortised O(n) in the appended bytes.
    pub fn append(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.append_within_capacity(bytes);
    }

    /// Sets the length: cut, or padded with zero bytes.
    pub fn resize(&mut self, len: usize) {
        if len > self.len() {
            let more = len - self.len();
            self.reserve(more);
            // SAFETY: `reserve` made room for `more` bytes past `len`, owned by us alone.
            unsafe { self.bytes.as_ptr().add(self.len()).write_bytes(0, more) };
        }
        self.len = len as u32;
    }

    /// Room for `more` bytes past the end, unshared.
    fn reserve(&mut self, more: usize) {
        self.unshare();
        let needed = self.len() + more;
        if needed <= self.capacity() {
            return;
        }
        let capacity = (needed + needed.min(SPARE_MAX)).min(BLOB_MAX).max(needed);
        assert!(capacity <= BLOB_MAX, "a blob would grow to {capacity} bytes");
        self.reallocate(capacity);
    }

    fn reallocate(&mut self, capacity: usize) {
        if is_counted(self.capacity()) == is_counted(capacity) {
            let (start, layout) = block(self.bytes, self.capacity());
            let offset = self.bytes.as_ptr() as usize - start as usize;
            // SAFETY: `start` was allocated with `layout`; the new size is not zero.
            let moved = unsafe { realloc(start, layout, capacity + offset) };
            let Some(moved) = NonNull::new(moved) else { handle_alloc_error(layout) };
            // SAFETY: the block keeps its header of `offset` bytes.
            self.bytes = unsafe { moved.add(offset) };
            self.capacity = capacity as u32;
            return;
        }
        let mut grown = Self::with_capacity(capacity);
        grown.append_within_capacity(self.as_slice());
        *self = grown;
    }

    fn append_within_capacity(&mut self, bytes: &[u8]) {
        assert!(self.len() + bytes.len() <= self.capacity());
        // SAFETY: the room was just asserted; `bytes` cannot overlap spare capacity.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.bytes.as_ptr().add(self.len()), bytes.len());
        }
        self.len += bytes.len() as u32;
    }

    fn unshare(&mut self) {
        if self.is_shared() {
            let mut own = Self::with_capacity(self.capacity());
            own.append_within_capacity(self.as_slice());
            *self = own;
        }
    }

    fn is_shared(&self) -> bool {
        is_counted(self.capacity()) && references(self.bytes).load(Ordering::Acquire) > 1
    }

    /// A handle to the same bytes for a reply, or `None` where copying is cheaper. O(1).
    pub fn share(&self) -> Option<SharedBlob> {
        if !is_counted(self.capacity()) {
            return None;
        }
        references(self.bytes).fetch_add(1, Ordering::Relaxed);
        Some(SharedBlob(Self { bytes: self.bytes, len: self.len, capacity: self.capacity }))
    }

    /// A blob of its own with the same bytes: a large block is shared until one of them is written to.
    pub fn duplicate(&self) -> Self {
        match self.share() {
            Some(SharedBlob(blob)) => blob,
            None => Self::new(self.as_slice()),
        }
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        if is_counted(self.capacity()) && references(self.bytes).fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let (start, layout) = block(self.bytes, self.capacity());
        // SAFETY: the last owner frees what `allocate` or `reallocate` made with this layout.
        unsafe { dealloc(start, layout) };
    }
}

/// A read-only reference to a large blob's bytes as they were when it was shared.
pub struct SharedBlob(Blob);

impl AsRef<[u8]> for SharedBlob {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

fn is_counted(capacity: usize) -> bool {
    capacity >= SHARE_MIN
}

fn allocate(capacity: usize) -> NonNull<u8> {
    let header = if is_counted(capacity) { HEADER } else { 0 };
    let layout = layout(capacity + header);
    // SAFETY: the size is not zero.
    let start = unsafe { alloc(layout) };
    let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
    // SAFETY: the block is `header` bytes longer than the capacity.
    let bytes = unsafe { start.add(header) };
    if header > 0 {
        // SAFETY: the header is 8 writable, 8-aligned bytes.
        unsafe { start.cast::<AtomicU32>().write(AtomicU32::new(1)) };
    }
    bytes
}

fn block(bytes: NonNull<u8>, capacity: usize) -> (*mut u8, Layout) {
    let header = if is_counted(capacity) { HEADER } else { 0 };
    // SAFETY: `bytes` lies `header` bytes into its block.
    let start = unsafe { bytes.as_ptr().sub(header) };
    (start, layout(capacity + header))
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("sizes are far below isize::MAX")
}

fn references<'a>(bytes: NonNull<u8>) -> &'a AtomicU32 {
    // SAFETY: only called for counted blocks, whose header lives as long as any of their owners.
    unsafe { bytes.sub(HEADER).cast::<AtomicU32>().as_ref() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_shared_blob_keeps_what_it_saw() {
        let mut blob = Blob::new(&vec![7; SHARE_MIN]);
        let seen = blob.share().expect("large enough to share");
        blob.as_mut_slice()[0] = 1;
        blob.append(b"more");
        assert_eq!(seen.as_ref(), vec![7; SHARE_MIN]);
        assert_eq!(blob.len(), SHARE_MIN + 4);
        assert!(Blob::new(b"small").share().is_none());
    }

    proptest! {
        #[test]
        fn behaves_like_a_vector(steps in prop::collection::vec((0..4u8, 0..40_000usize, any::<u8>()), 1..30)) {
            let mut blob = Blob::new(b"");
            let mut model = Vec::new();
            let mut shares = Vec::new();
            for (step, size, fill) in steps {
                match step {
                    0 => { blob.append(&vec![fill; size]); model.extend(vec![fill; size]); }
                    1 => { blob.resize(size); model.resize(size, 0); }
                    2 => { blob.set(&vec![fill; size]); model = vec![fill; size]; }
                    _ => shares.extend(blob.share().map(|share| (share, model.clone()))),
                }
                prop_assert_eq!(blob.as_slice(), &model[..]);
            }
            for (share, seen) in shares {
                prop_assert_eq!(share.as_ref(), &seen[..]);
            }
        }
    }
}
