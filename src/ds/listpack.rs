//! A growable run of small elements in one flat buffer, byte for byte in Redis's listpack format.
//!
//! A `Listpack` is one machine word; what it holds can be written to a snapshot as it stands. Reading is in
//! `packed` (a `Listpack` derefs to it), the encodings of an entry are in `entry`.

mod entry;
mod packed;

use crate::ds::item::Item;
use crate::ds::thin::ThinBuffer;
pub(in crate::ds) use entry::Encoded;
pub(in crate::ds) use packed::{COUNT_UNKNOWN, EMPTY_BYTES, HEADER};
pub use packed::{Iter, Packed, Position};
use std::ops::Deref;
use std::ptr::NonNull;

/// The most bytes a listpack may have; ask `fits` before adding what a client sent.
pub const BYTES_MAX: usize = 1 << 30;

/// ```text
///   total bytes u32 │ count u16 │ entry │ entry │ … │ FF │ unused, up to the end of its size class
/// ```
/// How the capacity is known without a place of its own is told in `thin`.
#[repr(transparent)]
pub struct Listpack(ThinBuffer);

// SAFETY: a listpack owns its buffer alone, as a `Vec<u8>` does.
unsafe impl Send for Listpack {}
// SAFETY: a shared listpack is only read.
unsafe impl Sync for Listpack {}

impl Listpack {
    /// An empty listpack (which already owns a small buffer).
    pub fn new() -> Self {
        let mut bytes = [0; EMPTY_BYTES];
        bytes[..4].copy_from_slice(&(EMPTY_BYTES as u32).to_le_bytes());
        bytes[HEADER] = entry::END;
        Self::from_packed(Packed::trusted(&bytes))
    }

    /// A copy of listpack bytes from outside, each entry checked. `None` where they are malformed.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > BYTES_MAX {
            return None;
        }
        Packed::validate(bytes).map(Self::from_packed)
    }

    /// A copy that takes no byte more than its size class.
    pub fn from_packed(packed: &Packed) -> Self {
        let bytes = packed.as_bytes();
        let buffer = ThinBuffer::new(bytes.len());
        // SAFETY: the new buffer has room for all of them and overlaps nothing.
        unsafe { buffer.start().copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
        Self(buffer)
    }

    /// Gives up the word, whose bit 2 is clear, to be kept in some union.
    #[inline]
    pub fn into_raw(self) -> NonNull<u8> {
        std::mem::ManuallyDrop::new(self).0.word()
    }

    /// # Safety
    /// The word must come from `into_raw` and must not be used again.
    #[inline]
    pub unsafe fn from_raw(word: NonNull<u8>) -> Self {
        Self(ThinBuffer::from_word(word))
    }

    /// The bytes that the entry of this text takes.
    #[inline]
    pub fn entry_size(text: &[u8]) -> usize {
        Encoded::new(text).size()
    }

    /// The bytes that the entry of this number takes.
    #[inline]
    pub fn int_entry_size(value: i64) -> usize {
        Encoded::int(value).size()
    }

    /// The bytes there would be with these texts added; compare with a limit before you push.
    #[inline]
    pub fn size_with<'a>(&self, texts: impl IntoIterator<Item = &'a [u8]>) -> usize {
        texts.into_iter().fold(self.bytes(), |size, text| size.saturating_add(Self::entry_size(text)))
    }

    /// Whether `extra` more bytes of text keep it below the format's limit.
    #[inline]
    pub fn fits(&self, extra: usize) -> bool {
        extra.saturating_add(self.bytes() + 16) <= BYTES_MAX
    }

    #[inline]
    pub fn push_back(&mut self, text: &[u8]) {
        self.put(self.bytes() - 1, 0, &Encoded::new(text));
    }

    #[inline]
    pub fn push_front(&mut self, text: &[u8]) {
        self.put(HEADER, 0, &Encoded::new(text));
    }

    #[inline]
    pub fn push_int(&mut self, value: i64) {
        self.put(self.bytes() - 1, 0, &Encoded::int(value));
    }

    #[inline]
    pub fn push_item(&mut self, item: Item<'_>) {
        self.put(self.bytes() - 1, 0, &Encoded::item(item));
    }

    /// Puts an element in front of `before`, where it now is.
    #[inline]
    pub fn insert_before(&mut self, before: Position, text: &[u8]) -> Position {
        self.put(before.byte(), 0, &Encoded::new(text));
        before
    }

    /// Puts an element behind `after` and says where.
    #[inline]
    pub fn insert_after(&mut self, after: Position, text: &[u8]) -> Position {
        let at = after.byte() + self.entry_bytes(after);
        self.put(at, 0, &Encoded::new(text));
        Position(at as u32)
    }

    /// Overwrites the element at `position`; its neighbours move only if the size changes.
    #[inline]
    pub fn replace(&mut self, position: Position, text: &[u8]) {
        self.put(position.byte(), self.entry_bytes(position), &Encoded::new(text));
    }

    #[inline]
    pub fn replace_int(&mut self, position: Position, value: i64) {
        self.put(position.byte(), self.entry_bytes(position), &Encoded::int(value));
    }

    /// Removes the element at `position`; gives the place of the next one.
    #[inline]
    pub fn delete(&mut self, position: Position) -> Option<Position> {
        self.delete_run(position, 1)
    }

    /// Removes up to `count` elements from `position` on; gives the place of the one behind them.
    pub fn delete_run(&mut self, position: Position, count: usize) -> Option<Position> {
        let (start, end) = (position.byte(), self.bytes() - 1);
        let (mut at, mut removed) = (start, 0);
        while removed < count && at < end {
            at += entry::size_at(self.as_bytes(), at)?;
            removed += 1;
        }
        self.splice(start, at - start, 0);
        self.recount(0, removed);
        (start < self.bytes() - 1).then_some(position)
    }

    /// Removes up to `count` elements from `index` on (negative counts from the end).
    pub fn delete_range(&mut self, index: i64, count: usize) {
        if let Some(position) = self.seek(index) {
            self.delete_run(position, count);
        }
    }

    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Takes everything from `position` on away, into a listpack of its own.
    pub fn split_off(&mut self, position: Position) -> Self {
        let cut = position.byte();
        let mut tail = Self::from_packed(self);
        let kept = self.iter().take_while(|(at, _)| at.byte() < cut).count();
        self.delete_run(position, usize::MAX);
        if let Some(first) = tail.first() {
            tail.delete_run(first, kept);
        }
        tail
    }

    /// Adds all elements of another one behind its own.
    pub fn append(&mut self, other: &Packed) {
        let (at, entries) = (self.bytes() - 1, other.bytes() - EMPTY_BYTES);
        let added = other.len();
        let source = NonNull::from(&other.as_bytes()[HEADER..HEADER + entries]).cast();
        // SAFETY: the gap is `entries` bytes of a buffer that `other` is no part of.
        unsafe { self.splice(at, 0, entries).copy_from_nonoverlapping(source, entries) };
        self.recount(added, 0);
    }

    /// The bytes of memory it takes, not counting its word.
    #[inline]
    pub fn memory(&self) -> usize {
        self.0.capacity(self.bytes())
    }

    /// Gives spare capacity back.
    pub fn shrink_to_fit(&mut self) {
        let len = self.bytes();
        // SAFETY: the total is what the capacity is kept for.
        unsafe { self.0.shrink_to_fit(len) }
    }

    /// Replaces `removed` bytes at `at`, which are one entry or nothing, with one entry.
    #[inline]
    fn put(&mut self, at: usize, removed: usize, encoded: &Encoded<'_>) {
        // SAFETY: the gap is as large as the entry, and nobody else refers to the buffer.
        unsafe { encoded.write(self.splice(at, removed, encoded.size())) };
        if removed == 0 {
            self.recount(1, 0);
        }
    }

    /// Replaces `removed` bytes at `at` with a gap of `added` bytes, which the caller must fill.
    #[inline]
    fn splice(&mut self, at: usize, removed: usize, added: usize) -> NonNull<u8> {
        let old = self.bytes();
        let (total, behind) = (old - removed + added, at + removed);
        assert!(behind < old && total <= BYTES_MAX, "a listpack stays below its limit, and its end mark where it is");
        // SAFETY: the total is what the capacity is kept for; both ranges lie within the buffer, which is made to
        // hold the larger total before the bytes move, and is cut only after that.
        unsafe {
            if removed != added {
                self.0.grow(old, total.max(old));
                let start = self.0.start();
                start.add(behind).copy_to(start.add(at + added), old - behind);
                start.cast::<[u8; 4]>().write((total as u32).to_le_bytes());
                if total < old {
                    self.0.shrink(old, total);
                }
            }
            self.0.start().add(at)
        }
    }

    #[inline]
    fn recount(&mut self, added: usize, removed: usize) {
        let count = self.header_count();
        if count == COUNT_UNKNOWN {
            return;
        }
        let count = u16::try_from(usize::from(count) + added - removed).unwrap_or(COUNT_UNKNOWN);
        // SAFETY: the header is within every buffer.
        unsafe { self.0.start().add(4).cast::<[u8; 2]>().write(count.to_le_bytes()) };
    }
}

impl Deref for Listpack {
    type Target = Packed;

    #[inline]
    fn deref(&self) -> &Packed {
        let buffer = self.0.start();
        // SAFETY: a buffer starts with its total, and that many bytes of it are initialised.
        unsafe {
            let total = u32::from_le_bytes(buffer.cast::<[u8; 4]>().read()) as usize;
            Packed::trusted(std::slice::from_raw_parts(buffer.as_ptr(), total))
        }
    }
}

impl Drop for Listpack {
    fn drop(&mut self) {
        let len = self.bytes();
        // SAFETY: the total is what the capacity is kept for.
        unsafe { self.0.free(len) }
    }
}

impl Default for Listpack {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Listpack {
    fn clone(&self) -> Self {
        Self::from_packed(self)
    }
}

impl std::fmt::Debug for Listpack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|(_, item)| item)).finish()
    }
}

/// Collects elements into a listpack without growing it step by step.
#[derive(Default)]
pub struct Builder {
    bytes: Vec<u8>,
    count: usize,
}

impl Builder {
    /// Makes room for `bytes` bytes of entries.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes + EMPTY_BYTES), count: 0 }
    }

    pub fn push(&mut self, text: &[u8]) {
        self.push_encoded(&Encoded::new(text));
    }

    pub fn push_int(&mut self, value: i64) {
        self.push_encoded(&Encoded::int(value));
    }

    pub fn push_item(&mut self, item: Item<'_>) {
        self.push_encoded(&Encoded::item(item));
    }

    /// The bytes the listpack would have.
    pub fn bytes(&self) -> usize {
        self.bytes.len().max(HEADER) + 1
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The finished listpack. The builder is empty again and keeps its room.
    pub fn finish(&mut self) -> Listpack {
        self.bytes.resize(self.bytes.len().max(HEADER), 0);
        self.bytes.push(entry::END);
        let total = self.bytes.len();
        assert!(total <= BYTES_MAX, "a listpack stays below its limit");
        let count = u16::try_from(self.count).unwrap_or(COUNT_UNKNOWN);
        self.bytes[..4].copy_from_slice(&(total as u32).to_le_bytes());
        self.bytes[4..6].copy_from_slice(&count.to_le_bytes());
        let finished = Listpack::from_packed(Packed::trusted(&self.bytes));
        self.bytes.clear();
        self.count = 0;
        finished
    }

    fn push_encoded(&mut self, encoded: &Encoded<'_>) {
        let start = self.bytes.len().max(HEADER);
        self.bytes.resize(start + encoded.size(), 0);
        // SAFETY: the vector was just made long enough.
        unsafe { encoded.write(NonNull::from(&mut self.bytes[start..]).cast()) };
        self.count += 1;
    }
}

#[cfg(test)]
mod tests;
