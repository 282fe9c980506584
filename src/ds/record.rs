//! A key and what it holds, in one allocation where that is possible.
//!
//! A record carries its key, an optional deadline, an access clock and a payload: a run of bytes stored in line, an integer, a
//! blob, or one machine word that owns a collection. What the collections are is the business of a `Family`; the key table
//! holds records by their single pointer.
//!
//! ```text
//!   0     1      2        5         6       8
//!   ┌─────┬──────┬────────┬─────────┬───────┬─────────────┬───────────────┬──────────────┬─────┬──────────────┐
//!   │ tag │flags │ clock  │ key len │ extra │ word 8 / 16 │ deadline 8    │ long key len │ key │ inline bytes │
//!   └─────┴──────┴────────┴─────────┴───────┴─────────────┴───────────────┴──────────────┴─────┴──────────────┘
//!                 24 bits   255: long  inline  word tags: 8   where flagged   4, where 255         tag INLINE
//!                                      length  BLOB: 16
//! ```

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr::NonNull;

use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

use super::blob::Blob;
use super::keytable::Slot;
use crate::util::memory::block_size;

/// The collections a record's word may own. Implemented once, by the layer that knows the types.
///
/// # Safety
/// `drop_word(tag, word)` must free exactly what `Word::into_word` of the type with that `TAG` gave away.
pub unsafe trait Family {
    /// # Safety
    /// `word` came from `Word::into_word` of the type whose `TAG` is `tag`, and is not used again.
    unsafe fn drop_word(tag: u8, word: u64);

    /// A word that owns a copy of what `word` owns.
    ///
    /// # Safety
    /// `word` is the payload of a live record whose tag is `tag`, borrowed for the call.
    unsafe fn duplicate_word(tag: u8, word: u64) -> u64;
}

/// A value that fits one machine word and may be a record's payload.
///
/// # Safety
/// The type is eight bytes large, eight-aligned, and its `TAG` is its own within the family and at least `FIRST_WORD_TAG`.
pub unsafe trait Word: Sized {
    const TAG: u8;
}

pub const TAG_INLINE: u8 = 0;
pub const TAG_INTEGER: u8 = 1;
pub const TAG_BLOB: u8 = 2;
pub const FIRST_WORD_TAG: u8 = 3;

pub const HEADER: usize = 8;
const FLAG_DEADLINE: u8 = 1;
const FLAG_GROWN: u8 = 2;
/// The flags above these two bits are a stamp.
const STAMP_SHIFT: u32 = 2;
/// Stamps go from 0, that of a new record, up to this one.
pub const STAMP_MAX: u8 = u8::MAX >> STAMP_SHIFT;
const KEY_IS_LONG: u8 = 255;
/// Bytes up to this many may be stored in line (their length is 16 bits).
pub const INLINE_MAX: usize = 4096;
/// Below this an inline value never wastes enough to be worth a second block.
const INLINE_ALWAYS: usize = 192;

/// What a record holds, borrowed.
pub enum Payload<'a> {
    Inline(&'a [u8]),
    Integer(i64),
    Blob(&'a Blob),
    Word(u8),
}

pub struct Record<F: Family> {
    start: NonNull<u8>,
    family: PhantomData<F>,
}

// SAFETY: a record owns its block and its payload; every payload type is Send.
unsafe impl<F: Family> Send for Record<F> {}

impl<F: Family> Record<F> {
    /// A record that holds a byte string: in line, or as a blob where that takes less memory or can be shared.
    pub fn bytes(key: &[u8], value: &[u8], deadline: Option<u64>) -> Self {
        if fits_inline(key, value.len(), deadline.is_some()) {
            return Self::inline(key, value, deadline);
        }
        Self::blob(key, Blob::new(value), deadline)
    }

    pub fn integer(key: &[u8], value: i64, deadline: Option<u64>) -> Self {
        let record = Self::allocate(TAG_INTEGER, key, 8, 0, deadline);
        record.write_word(0, value as u64);
        record
    }

    pub fn blob(key: &[u8], value: Blob, deadline: Option<u64>) -> Self {
        let record = Self::allocate(TAG_BLOB, key, 16, 0, deadline);
        // SAFETY: the payload area of a blob record is 16 writable, 8-aligned bytes.
        unsafe { record.start.add(HEADER).cast::<Blob>().write(value) };
        record
    }

    /// A record that owns a collection.
    pub fn word<W: Word>(key: &[u8], value: W, deadline: Option<u64>) -> Self {
        const { assert!(size_of::<W>() == 8 && align_of::<W>() <= 8 && W::TAG >= FIRST_WORD_TAG) };
        let record = Self::allocate(W::TAG, key, 8, 0, deadline);
        // SAFETY: the payload area is 8 writable, 8-aligned bytes, and `W` is that large.
        unsafe { record.start.add(HEADER).cast::<W>().write(value) };
        record
    }

    fn inline(key: &[u8], value: &[u8], deadline: Option<u64>) -> Self {
        let record = Self::allocate(TAG_INLINE, key, 0, value.len(), deadline);
        record.write_inline(value);
        record
    }

    fn allocate(tag: u8, key: &[u8], word_bytes: usize, inline_bytes: usize, deadline: Option<u64>) -> Self {
        let size = HEADER
            + word_bytes
            + if deadline.is_some() { 8 } else { 0 }
            + if key.len() >= usize::from(KEY_IS_LONG) { 4 } else { 0 }
            + key.len()
            + inline_bytes;
        let layout = block_layout(size);
        // SAFETY: the size is at least the header's.
        let start = unsafe { alloc(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        let record = Self { start, family: PhantomData };
        // SAFETY: every write stays within the `size` bytes computed above, in the order of the drawing.
        unsafe {
            start.cast::<u64>().write(0);
            start.write(tag);
            start.add(6).cast::<u16>().write_unaligned(inline_bytes as u16);
            if let Some(deadline) = deadline {
                start.add(1).write(FLAG_DEADLINE);
                start.add(HEADER + word_bytes).cast::<u64>().write(deadline);
            }
            if key.len() >= usize::from(KEY_IS_LONG) {
                start.add(5).write(KEY_IS_LONG);
                let at = record.key_offset() - 4;
                start.add(at).cast::<u32>().write_unaligned(key.len() as u32);
            } else {
                start.add(5).write(key.len() as u8);
            }
            std::ptr::copy_nonoverlapping(key.as_ptr(), start.add(record.key_offset()).as_ptr(), key.len());
        }
        record
    }

    #[inline]
    pub fn tag(&self) -> u8 {
        self.byte(0)
    }

    #[inline]
    pub fn key(&self) -> &[u8] {
        // SAFETY: the record lives as long as the borrow.
        unsafe { Self::key_at(self.start) }
    }

    /// The key of the record at `start`.
    ///
    /// # Safety
    /// `start` is the pointer of a live record that outlives `'a`.
    #[inline]
    pub unsafe fn key_at<'a>(start: NonNull<u8>) -> &'a [u8] {
        // SAFETY: header, lengths and key are initialised by `allocate`.
        unsafe {
            let header = start.cast::<u64>().read().to_le();
            let offset = key_offset(header);
            let mut len = usize::from((header >> 40) as u8);
            if len == usize::from(KEY_IS_LONG) {
                len = start.add(offset - 4).cast::<u32>().read_unaligned() as usize;
            }
            std::slice::from_raw_parts(start.add(offset).as_ptr(), len)
        }
    }

    #[inline]
    pub fn payload(&self) -> Payload<'_> {
        match self.tag() {
            TAG_INLINE => Payload::Inline(self.inline_bytes()),
            TAG_INTEGER => Payload::Integer(self.read_word(0) as i64),
            // SAFETY: a record tagged BLOB holds a blob there.
            TAG_BLOB => Payload::Blob(unsafe { self.start.add(HEADER).cast::<Blob>().as_ref() }),
            tag => Payload::Word(tag),
        }
    }

    pub fn blob_mut(&mut self) -> Option<&mut Blob> {
        // SAFETY: a record tagged BLOB holds a blob there, and `&mut self` makes the access exclusive.
        (self.tag() == TAG_BLOB).then(|| unsafe { self.start.add(HEADER).cast::<Blob>().as_mut() })
    }

    pub fn inline_mut(&mut self) -> Option<&mut [u8]> {
        if self.tag() != TAG_INLINE {
            return None;
        }
        let (at, len) = (self.inline_offset(), self.inline_len());
        // SAFETY: the inline bytes are part of the block, and `&mut self` makes the access exclusive.
        Some(unsafe { std::slice::from_raw_parts_mut(self.start.add(at).as_ptr(), len) })
    }

    /// The bytes of a string that is held as bytes.
    #[inline]
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        if self.tag() == TAG_BLOB { self.blob_mut().map(Blob::as_mut_slice) } else { self.inline_mut() }
    }

    /// Stores an integer in place; false where the record holds something else.
    pub fn set_integer(&mut self, value: i64) -> bool {
        let is_integer = self.tag() == TAG_INTEGER;
        if is_integer {
            self.write_word(0, value as u64);
        }
        is_integer
    }

    /// Stores bytes in place where the record's block is the very one a new record would get; false otherwise.
    pub fn set_bytes(&mut self, value: &[u8]) -> bool {
        match self.tag() {
            TAG_INLINE => {
                let before_bytes = self.inline_offset();
                let fits = value.len() <= INLINE_ALWAYS
                    && block_size(before_bytes + value.len()) == block_size(before_bytes + self.inline_len());
                if fits {
                    self.write_inline(value);
                    self.set_grown(false);
                }
                fits
            }
            TAG_BLOB if !fits_inline(self.key(), value.len(), self.deadline().is_some()) => {
                self.blob_mut().expect("the tag says so").set(value);
                self.set_grown(false);
                true
            }
            _ => false,
        }
    }

    /// The collection, where it is a `W`. O(1).
    #[inline]
    pub fn get<W: Word>(&self) -> Option<&W> {
        // SAFETY: the tag says that the word is a `W`.
        (self.tag() == W::TAG).then(|| unsafe { self.start.add(HEADER).cast::<W>().as_ref() })
    }

    #[inline]
    pub fn get_mut<W: Word>(&mut self) -> Option<&mut W> {
        // SAFETY: the tag says that the word is a `W`, and `&mut self` makes the access exclusive.
        (self.tag() == W::TAG).then(|| unsafe { self.start.add(HEADER).cast::<W>().as_mut() })
    }

    /// Unix time in milliseconds at which the record lapses.
    #[inline]
    pub fn deadline(&self) -> Option<u64> {
        if self.byte(1) & FLAG_DEADLINE == 0 {
            return None;
        }
        Some(self.read_word(self.word_bytes()))
    }

    /// Whether the string was changed in place since it was set. The keyspace remembers it for OBJECT ENCODING and gives it no
    /// other meaning.
    #[inline]
    pub fn is_grown(&self) -> bool {
        self.byte(1) & FLAG_GROWN != 0
    }

    #[inline]
    pub fn set_grown(&mut self, grown: bool) {
        let flags = self.byte(1) & !FLAG_GROWN | if grown { FLAG_GROWN } else { 0 };
        // SAFETY: the flags are a byte of the header, and `&mut self` makes the access exclusive.
        unsafe { self.start.add(1).write(flags) };
    }

    /// Six bits that whoever keeps records owns. A reader may set them.
    #[inline]
    pub fn stamp(&self) -> u8 {
        self.byte(1) >> STAMP_SHIFT
    }

    #[inline]
    pub fn set_stamp(&self, stamp: u8) {
        debug_assert!(stamp <= STAMP_MAX);
        let flags = self.byte(1) & (FLAG_DEADLINE | FLAG_GROWN) | stamp << STAMP_SHIFT;
        // SAFETY: the flags are only ever read by value, by the one thread that owns the record.
        unsafe { self.start.add(1).write(flags) };
    }

    /// The record, looked at as one in a table is.
    #[inline]
    pub fn borrow(&self) -> RecordRef<'_, F> {
        RecordRef { record: ManuallyDrop::new(Self { start: self.start, family: PhantomData }), life: PhantomData }
    }

    /// A copy of the payload under another key, with the same deadline. O(value), but O(1) for a large string, which both share.
    pub fn duplicate(&self, key: &[u8]) -> Self {
        let deadline = self.deadline();
        let mut copy = match self.payload() {
            Payload::Inline(bytes) => Self::inline(key, bytes, deadline),
            Payload::Integer(value) => Self::integer(key, value, deadline),
            Payload::Blob(blob) => Self::blob(key, blob.duplicate(), deadline),
            Payload::Word(tag) => {
                // SAFETY: the word is this record's payload, and `tag` its tag.
                let word = unsafe { F::duplicate_word(tag, self.read_word(0)) };
                let copy = Self::allocate(tag, key, 8, 0, deadline);
                copy.write_word(0, word);
                copy
            }
        };
        copy.set_grown(self.is_grown());
        copy
    }

    /// The same record with another deadline (in place where it had one already) and, if asked, another key.
    pub fn with_deadline(mut self, deadline: Option<u64>) -> Self {
        if let (Some(_), Some(deadline)) = (self.deadline(), deadline) {
            self.set_deadline(deadline);
            return self;
        }
        if self.deadline() == deadline {
            return self;
        }
        let key = self.key().to_vec();
        self.rebuilt(&key, deadline)
    }

    /// Changes the deadline of a record that has one; false where it has none.
    pub fn set_deadline(&mut self, deadline: u64) -> bool {
        let has_one = self.byte(1) & FLAG_DEADLINE != 0;
        if has_one {
            self.write_word(self.word_bytes(), deadline);
        }
        has_one
    }

    /// The same payload under another key. O(key + inline bytes).
    pub fn with_key(self, key: &[u8]) -> Self {
        let deadline = self.deadline();
        self.rebuilt(key, deadline)
    }

    fn rebuilt(self, key: &[u8], deadline: Option<u64>) -> Self {
        let (word_bytes, inline) = (self.word_bytes(), self.inline_bytes());
        let mut moved = Self::allocate(self.tag(), key, word_bytes, inline.len(), deadline);
        moved.set_grown(self.is_grown());
        moved.write_inline(inline);
        for at in (0..word_bytes).step_by(8) {
            moved.write_word(at, self.read_word(at));
        }
        moved.set_clock(self.clock());
        moved.set_stamp(self.stamp());
        self.free_block();
        moved
    }

    /// 24 bits that the eviction policy owns. A reader may set them.
    #[inline]
    pub fn clock(&self) -> u32 {
        u32::from(self.byte(2)) | u32::from(self.byte(3)) << 8 | u32::from(self.byte(4)) << 16
    }

    #[inline]
    pub fn set_clock(&self, clock: u32) {
        // SAFETY: the three clock bytes are only ever read by value, by the one thread that owns the record.
        unsafe {
            self.start.add(2).write(clock as u8);
            self.start.add(3).write((clock >> 8) as u8);
            self.start.add(4).write((clock >> 16) as u8);
        }
    }

    /// Bytes of the record's own block and its blob; collections account for themselves.
    pub fn memory(&self) -> usize {
        block_size(self.size()) + self.blob_memory()
    }

    /// Bytes of the blob, where there is one.
    pub fn blob_memory(&self) -> usize {
        match self.payload() {
            Payload::Blob(blob) => block_size(blob.capacity()),
            _ => 0,
        }
    }

    /// Takes the collection out; the record is gone.
    pub fn into_word<W: Word>(self) -> Option<W> {
        if self.tag() != W::TAG {
            return None;
        }
        // SAFETY: the tag says that the word is a `W`; the block is freed without dropping it.
        let word = unsafe { self.start.add(HEADER).cast::<W>().read() };
        self.free_block();
        Some(word)
    }

    fn into_raw(self) -> NonNull<u8> {
        let start = self.start;
        std::mem::forget(self);
        start
    }

    fn free_block(self) {
        let layout = block_layout(self.size());
        // SAFETY: allocated with this layout; forgetting `self` keeps `drop` from running.
        unsafe { dealloc(self.start.as_ptr(), layout) };
        std::mem::forget(self);
    }

    fn size(&self) -> usize {
        self.inline_offset() + self.inline_len()
    }

    fn inline_bytes(&self) -> &[u8] {
        // SAFETY: the inline bytes follow the key within the block.
        unsafe { std::slice::from_raw_parts(self.start.add(self.inline_offset()).as_ptr(), self.inline_len()) }
    }

    fn write_inline(&self, value: &[u8]) {
        // SAFETY: called with as many bytes as the block has room for after the key.
        unsafe {
            let at = self.start.add(self.inline_offset()).as_ptr();
            std::ptr::copy_nonoverlapping(value.as_ptr(), at, value.len());
            self.start.add(6).cast::<u16>().write_unaligned((value.len() as u16).to_le());
        }
    }

    fn inline_len(&self) -> usize {
        usize::from(self.byte(6)) | usize::from(self.byte(7)) << 8
    }

    fn inline_offset(&self) -> usize {
        self.key_offset() + self.key().len()
    }

    fn key_offset(&self) -> usize {
        // SAFETY: the header is initialised.
        key_offset(unsafe { self.start.cast::<u64>().read().to_le() })
    }

    fn word_bytes(&self) -> usize {
        word_bytes(self.tag())
    }

    #[inline]
    fn byte(&self, at: usize) -> u8 {
        debug_assert!(at < HEADER);
        // SAFETY: within the header.
        unsafe { self.start.add(at).read() }
    }

    #[inline]
    fn read_word(&self, at: usize) -> u64 {
        // SAFETY: callers name a word of the payload or the deadline, both inside the block and 8-aligned.
        unsafe { self.start.add(HEADER + at).cast::<u64>().read() }
    }

    #[inline]
    fn write_word(&self, at: usize, word: u64) {
        // SAFETY: as for `read_word`; only called while the record is exclusively held.
        unsafe { self.start.add(HEADER + at).cast::<u64>().write(word) }
    }
}

impl<F: Family> Drop for Record<F> {
    fn drop(&mut self) {
        match self.tag() {
            TAG_INLINE | TAG_INTEGER => {}
            // SAFETY: a record tagged BLOB holds a blob there, dropped once.
            TAG_BLOB => unsafe { self.start.add(HEADER).cast::<Blob>().drop_in_place() },
            // SAFETY: the word came from the type with this tag and is dropped once.
            tag => unsafe { F::drop_word(tag, self.read_word(0)) },
        }
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.start.as_ptr(), block_layout(self.size())) };
    }
}

/// A record in a table, looked at: what it gives lives as long as the look.
pub struct RecordRef<'a, F: Family> {
    record: ManuallyDrop<Record<F>>,
    life: PhantomData<&'a Record<F>>,
}

/// A record in a table, held for changing.
pub struct RecordMut<'a, F: Family> {
    record: ManuallyDrop<Record<F>>,
    life: PhantomData<&'a mut Record<F>>,
}

impl<'a, F: Family> RecordRef<'a, F> {
    #[inline]
    pub fn payload(&self) -> Payload<'a> {
        // SAFETY: the record is borrowed for `'a`, which may be longer than the look at this handle.
        unsafe { std::mem::transmute::<Payload<'_>, Payload<'a>>(self.record.payload()) }
    }

    #[inline]
    pub fn key(&self) -> &'a [u8] {
        // SAFETY: the record is borrowed for `'a`.
        unsafe { Record::<F>::key_at(self.record.start) }
    }

    #[inline]
    pub fn get<W: Word>(&self) -> Option<&'a W> {
        // SAFETY: the tag says that the word is a `W`, and the record is borrowed for `'a`.
        (self.tag() == W::TAG).then(|| unsafe { self.record.start.add(HEADER).cast::<W>().as_ref() })
    }
}

impl<'a, F: Family> RecordMut<'a, F> {
    #[inline]
    pub fn into_mut<W: Word>(self) -> Option<&'a mut W> {
        // SAFETY: the tag says that the word is a `W`; the handle, consumed, held the record exclusively for `'a`.
        (self.tag() == W::TAG).then(|| unsafe { self.record.start.add(HEADER).cast::<W>().as_mut() })
    }
}

impl<F: Family> Deref for RecordRef<'_, F> {
    type Target = Record<F>;
    #[inline]
    fn deref(&self) -> &Record<F> {
        &self.record
    }
}

impl<F: Family> Deref for RecordMut<'_, F> {
    type Target = Record<F>;
    #[inline]
    fn deref(&self) -> &Record<F> {
        &self.record
    }
}

impl<F: Family> DerefMut for RecordMut<'_, F> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Record<F> {
        &mut self.record
    }
}

// SAFETY: a record is one address from the allocator (user space is below 2^47); its key never changes.
unsafe impl<F: Family> Slot for Record<F> {
    type Ref<'a>
        = RecordRef<'a, F>
    where
        F: 'a;
    type Mut<'a>
        = RecordMut<'a, F>
    where
        F: 'a;

    fn into_raw(self) -> NonNull<u8> {
        Record::into_raw(self)
    }

    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        Self { start: raw, family: PhantomData }
    }

    #[inline]
    unsafe fn key<'a>(raw: NonNull<u8>) -> &'a [u8]
    where
        F: 'a,
    {
        // SAFETY: the caller's promise.
        unsafe { Record::<F>::key_at(raw) }
    }

    /// Those with a deadline are: a record that gets or loses one is another record.
    #[inline]
    unsafe fn is_flagged(raw: NonNull<u8>) -> bool {
        // SAFETY: a live record, whose header has this byte.
        unsafe { raw.add(1).read() & FLAG_DEADLINE != 0 }
    }

    #[inline]
    unsafe fn view<'a>(raw: NonNull<u8>) -> RecordRef<'a, F>
    where
        F: 'a,
    {
        RecordRef { record: ManuallyDrop::new(Self { start: raw, family: PhantomData }), life: PhantomData }
    }

    #[inline]
    unsafe fn view_mut<'a>(raw: NonNull<u8>) -> RecordMut<'a, F>
    where
        F: 'a,
    {
        RecordMut { record: ManuallyDrop::new(Self { start: raw, family: PhantomData }), life: PhantomData }
    }
}

#[inline]
fn word_bytes(tag: u8) -> usize {
    match tag {
        TAG_INLINE => 0,
        TAG_BLOB => 16,
        _ => 8,
    }
}

#[inline]
fn key_offset(header: u64) -> usize {
    let flags = (header >> 8) as u8;
    let is_long = (header >> 40) as u8 == KEY_IS_LONG;
    HEADER + word_bytes(header as u8) + if flags & FLAG_DEADLINE != 0 { 8 } else { 0 } + if is_long { 4 } else { 0 }
}

fn block_layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("sizes are far below isize::MAX")
}

fn fits_inline(key: &[u8], len: usize, has_deadline: bool) -> bool {
    if len <= INLINE_ALWAYS {
        return true;
    }
    let rest = HEADER + key.len() + if has_deadline { 8 } else { 0 };
    len <= INLINE_MAX && block_size(rest + len) <= block_size(rest + size_of::<Blob>()) + block_size(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::Cell;

    thread_local! { static DROPS: Cell<usize> = const { Cell::new(0) }; }

    struct Boxed(Box<u64>);
    // SAFETY: one word, tag of its own.
    unsafe impl Word for Boxed {
        const TAG: u8 = 9;
    }
    impl Drop for Boxed {
        fn drop(&mut self) {
            DROPS.set(DROPS.get() + 1);
        }
    }
    struct TestFamily;
    // SAFETY: tag 9 is the only one.
    unsafe impl Family for TestFamily {
        unsafe fn drop_word(tag: u8, word: u64) {
            assert_eq!(tag, 9);
            // SAFETY: the word is a `Boxed`.
            drop(unsafe { std::mem::transmute::<u64, Boxed>(word) });
        }
        unsafe fn duplicate_word(tag: u8, word: u64) -> u64 {
            assert_eq!(tag, 9);
            // SAFETY: the word is a `Boxed`, borrowed here.
            let boxed = unsafe { &*std::ptr::from_ref(&word).cast::<Boxed>() };
            // SAFETY: a `Boxed` is one word.
            unsafe { std::mem::transmute::<Boxed, u64>(Boxed(boxed.0.clone())) }
        }
    }
    type TestRecord = Record<TestFamily>;

    #[test]
    fn a_small_string_costs_one_small_block() {
        let key = b"key:000000000001";
        assert_eq!(TestRecord::bytes(key, b"abc", None).memory(), 32);
        assert_eq!(TestRecord::bytes(key, &[b'x'; 32], None).memory(), 56);
        assert_eq!(TestRecord::bytes(key, &[b'x'; 1024], None).memory(), 1024 + 40);
        assert_eq!(TestRecord::integer(key, 1, None).memory(), 32);
        assert_eq!(TestRecord::bytes(key, b"abc", Some(1)).memory(), 40);
    }

    #[test]
    fn a_collection_is_dropped_once_and_moves_with_its_record() {
        let record = TestRecord::word(b"key", Boxed(Box::new(1)), None).with_deadline(Some(5)).with_key(&[b'k'; 300]);
        assert!(record.get::<Boxed>().is_some());
        assert_eq!((record.key().len(), record.deadline()), (300, Some(5)));
        assert_eq!(DROPS.get(), 0);
        drop(record.into_word::<Boxed>());
        assert_eq!(DROPS.get(), 1);
        drop(TestRecord::word(b"key", Boxed(Box::new(1)), Some(7)));
        assert_eq!(DROPS.get(), 2);
    }

    #[test]
    fn a_copy_owns_its_own() {
        let drops = DROPS.get();
        let record = TestRecord::word(b"key", Boxed(Box::new(7)), Some(5));
        let copy = record.duplicate(b"other");
        drop(record);
        assert_eq!((copy.key(), copy.deadline(), *copy.get::<Boxed>().unwrap().0), (&b"other"[..], Some(5), 7));
        drop(copy);
        assert_eq!(DROPS.get() - drops, 2);

        let large = TestRecord::bytes(b"key", &[1; 20_000], None);
        let mut copy = large.duplicate(b"other");
        copy.blob_mut().unwrap().as_mut_slice()[0] = 2;
        assert!(matches!(large.payload(), Payload::Blob(blob) if blob.as_slice()[0] == 1));
    }

    proptest! {
        #[test]
        fn holds_what_it_was_given(
            key in prop::collection::vec(any::<u8>(), 0..600),
            value in prop::collection::vec(any::<u8>(), 0..6000),
            other in prop::collection::vec(any::<u8>(), 0..6000),
            deadline: Option<u64>,
            clock in 0..1u32 << 24,
        ) {
            let text = |record: &TestRecord| match record.payload() {
                Payload::Inline(bytes) => bytes.to_vec(),
                Payload::Blob(blob) => blob.as_slice().to_vec(),
                _ => unreachable!(),
            };
            let mut record = TestRecord::bytes(&key, &value, None);
            record.set_clock(clock);
            record = record.with_deadline(deadline);
            prop_assert_eq!(record.key(), &key[..]);
            prop_assert_eq!(text(&record), &value[..]);
            prop_assert_eq!((record.deadline(), record.clock()), (deadline, clock));
            if record.set_bytes(&other) {
                prop_assert_eq!(text(&record), &other[..]);
            } else {
                prop_assert_eq!(text(&record), &value[..]);
            }
            prop_assert_eq!(record.key(), &key[..]);
            let record = record.with_deadline(None);
            prop_assert_eq!((record.key(), record.deadline()), (&key[..], None));
        }
    }
}
