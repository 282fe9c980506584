//! One machine word that owns a buffer and knows its capacity without storing it.
//!
//! `listpack` and `intset` keep their length inside the buffer and tell it here; this file owns the allocation
//! and nothing else. The size classes it counts in are in `sizeclass`.

use super::sizeclass::{class_bytes, class_of};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::num::NonZero;
use std::ptr::NonNull;

/// ```text
///  the word   address of the buffer, a multiple of 8 │ 0 │ c c      (bit 2 is free for whoever embeds the word)
/// ```
/// The capacity is the nearest size class, at or above the length, whose index ends in `cc`. So a buffer is at most
/// three classes (about half) larger than its content, and is cut when it would be more.
///
/// It does not free itself: it cannot know the length. Its owner calls `free`.
#[repr(transparent)]
pub(in crate::ds) struct ThinBuffer(NonNull<u8>);

const CLASS_BITS: usize = 0b11;
const TAG_BITS: usize = 0b111;

impl ThinBuffer {
    /// A buffer for exactly `len` bytes, not yet filled. `len` is at least one.
    pub fn new(len: usize) -> Self {
        let class = class_of(len);
        let layout = layout_of(class);
        // SAFETY: a size class is never zero bytes.
        let buffer = NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
        Self::tagged(buffer, class)
    }

    #[inline]
    fn tagged(buffer: NonNull<u8>, class: usize) -> Self {
        Self(buffer.map_addr(|address| address | (class & CLASS_BITS)))
    }

    /// The word itself; bit 2 is clear.
    #[inline]
    pub fn word(&self) -> NonNull<u8> {
        self.0
    }

    #[inline]
    pub fn from_word(word: NonNull<u8>) -> Self {
        Self(word)
    }

    /// The first byte.
    #[inline]
    pub fn start(&self) -> NonNull<u8> {
        // SAFETY: an allocation is not at address zero, and only bits that alignment leaves free are cleared.
        self.0.map_addr(|address| unsafe { NonZero::new_unchecked(address.get() & !TAG_BITS) })
    }

    /// The bytes allocated, for a content of `len` bytes.
    #[inline]
    pub fn capacity(&self, len: usize) -> usize {
        class_bytes(self.class(len))
    }

    #[inline]
    fn class(&self, len: usize) -> usize {
        let needed = class_of(len);
        needed + (self.0.addr().get().wrapping_sub(needed) & CLASS_BITS)
    }

    /// Makes room for content that grows from `old` to `new` bytes; call it before the bytes are moved.
    ///
    /// # Safety
    /// `old` is the length that the capacity was last kept for.
    #[inline]
    pub unsafe fn grow(&mut self, old: usize, new: usize) {
        let class = self.class(old);
        if new > class_bytes(class) {
            // SAFETY: `class` is the buffer's.
            unsafe { self.reallocate(class, class_of(new)) }
        }
    }

    /// Keeps the capacity known for content that has shrunk from `old` to `new` bytes.
    ///
    /// # Safety
    /// `old` is the length that the capacity was last kept for, and bytes from `new` on are not needed.
    #[inline]
    pub unsafe fn shrink(&mut self, old: usize, new: usize) {
        let (class, needed) = (self.class(old), class_of(new));
        if class - needed > CLASS_BITS {
            // SAFETY: `class` is the buffer's.
            unsafe { self.reallocate(class, needed) }
        }
    }

    /// Gives back what `len` bytes do not need.
    ///
    /// # Safety
    /// `len` is the length that the capacity was last kept for.
    pub unsafe fn shrink_to_fit(&mut self, len: usize) {
        let (class, needed) = (self.class(len), class_of(len));
        if class > needed {
            // SAFETY: `class` is the buffer's.
            unsafe { self.reallocate(class, needed) }
        }
    }

    /// # Safety
    /// `from` is the buffer's class, and no content lies beyond class `to`.
    #[cold]
    unsafe fn reallocate(&mut self, from: usize, to: usize) {
        let layout = layout_of(to);
        // SAFETY: the caller's promise; a size class is never zero bytes.
        let moved = unsafe { realloc(self.start().as_ptr(), layout_of(from), layout.size()) };
        *self = Self::tagged(NonNull::new(moved).unwrap_or_else(|| handle_alloc_error(layout)), to);
    }

    /// # Safety
    /// `len` is the length that the capacity was last kept for, and the buffer is not used again.
    #[inline]
    pub unsafe fn free(&mut self, len: usize) {
        // SAFETY: the caller's promise.
        unsafe { dealloc(self.start().as_ptr(), layout_of(self.class(len))) }
    }
}

#[inline]
fn layout_of(class: usize) -> Layout {
    Layout::from_size_align(class_bytes(class), 8).expect("a buffer is far below the address space")
}
