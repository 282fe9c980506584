//! A leaf of the ranked tree: up to 63 entries in order, scores apart from pointers.
//!
//! A search reads the scores only, eight to a cache line, and follows a pointer only where scores tie. A leaf is
//! allocated in steps of the allocator's size classes, so a half-full leaf is a small leaf: random
//! inserts leave about nine tenths of the slots in use without any juggling between neighbours.
//!
//! ```text
//!  0     2     4       8                   8 + 8·cap              8 + 14·cap
//!  ┌─────┬─────┬───────┬───────────────────┬──────────────────────┐
//!  │ len │ cap │   -   │ scores, f64 each  │ records, 48 bits each│
//!  └─────┴─────┴───────┴───────────────────┴──────────────────────┘
//! ```

use super::record::{Record, prefetch};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::Range;
use std::ptr::NonNull;

const HEADER: usize = 8;
const SLOT: usize = size_of::<f64>() + size_of::<Packed>();

/// The sizes a leaf is allocated in; the last decides how many entries a leaf can hold.
const SIZES: [usize; 12] = [64, 96, 128, 192, 256, 320, 384, 448, 512, 640, 768, 896];

pub(super) const LEAF_MAX: usize = (SIZES[SIZES.len() - 1] - HEADER) / SLOT;

/// A pointer to a leaf. Copying it copies the pointer; the tree owns the leaf.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Leaf(NonNull<u8>);

/// The low 48 bits of a record's address.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Packed([u8; 6]);

impl Packed {
    #[inline]
    fn new(record: Record) -> Self {
        let [a, b, c, d, e, f, ..] = (record.address() as u64).to_le_bytes();
        Self([a, b, c, d, e, f])
    }

    #[inline]
    fn record(self) -> Record {
        let [a, b, c, d, e, f] = self.0;
        let address = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
        Record::from_address(address as usize).expect("slots below a leaf's length hold records")
    }
}

impl Leaf {
    /// An empty leaf with room for at least `entries`.
    pub fn new(entries: usize) -> Self {
        let size = size_for(entries);
        let layout = layout(size);
        // SAFETY: no size class is zero.
        let Some(start) = NonNull::new(unsafe { alloc_zeroed(layout) }) else { handle_alloc_error(layout) };
        let mut leaf = Self(start);
        leaf.header_mut()[1] = capacity_of(size) as u16;
        leaf
    }

    /// Gives the leaf's memory back, not its records'.
    ///
    /// # Safety
    /// No copy of this pointer is used afterwards.
    pub unsafe fn free(self) {
        // SAFETY: `new` allocated it with the layout that its capacity names.
        unsafe { dealloc(self.0.as_ptr(), layout(self.memory())) }
    }

    #[inline]
    fn header(&self) -> &[u16; 2] {
        // SAFETY: a live leaf starts with two aligned u16.
        unsafe { self.0.cast::<[u16; 2]>().as_ref() }
    }

    #[inline]
    fn header_mut(&mut self) -> &mut [u16; 2] {
        // SAFETY: as in `header`; the tree is borrowed mutably whenever a leaf is changed.
        unsafe { self.0.cast::<[u16; 2]>().as_mut() }
    }

    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.header()[0])
    }

    #[inline]
    pub fn capacity(&self) -> usize {
        usize::from(self.header()[1])
    }

    #[inline]
    fn set_len(&mut self, len: usize) {
        debug_assert!(len <= self.capacity());
        self.header_mut()[0] = len as u16;
    }

    /// Bytes of the allocation.
    pub fn memory(&self) -> usize {
        size_for(self.capacity())
    }

    #[inline]
    pub fn scores(&self) -> &[f64] {
        // SAFETY: `capacity` scores follow the header, zeroed at birth; `len` is never more.
        unsafe { std::slice::from_raw_parts(self.0.add(HEADER).cast::<f64>().as_ptr(), self.len()) }
    }

    #[inline]
    fn packed(&self) -> &[Packed] {
        let at = HEADER + self.capacity() * size_of::<f64>();
        // SAFETY: `capacity` packed pointers follow the scores, of alignment one.
        unsafe { std::slice::from_raw_parts(self.0.add(at).cast::<Packed>().as_ptr(), self.len()) }
    }

    /// All slots, used or not.
    #[inline]
    fn slots_mut(&mut self) -> (&mut [f64], &mut [Packed]) {
        let capacity = self.capacity();
        let scores = self.0.as_ptr().wrapping_add(HEADER);
        let packed = scores.wrapping_add(capacity * size_of::<f64>());
        // SAFETY: the two runs lie inside the allocation, do not overlap, and were zeroed at birth.
        unsafe {
            (
                std::slice::from_raw_parts_mut(scores.cast::<f64>(), capacity),
                std::slice::from_raw_parts_mut(packed.cast::<Packed>(), capacity),
            )
        }
    }

    #[inline]
    pub fn score(&self, at: usize) -> f64 {
        self.scores()[at]
    }

    #[inline]
    pub fn set_score(&mut self, at: usize, score: f64) {
        self.slots_mut().0[at] = score;
    }

    #[inline]
    pub fn record(&self, at: usize) -> Record {
        self.packed()[at].record()
    }

    /// The entries in a range of slots, as they stand.
    #[inline]
    pub fn entries<'a>(
        self,
        slots: Range<usize>,
    ) -> impl DoubleEndedIterator<Item = (f64, Record)> + ExactSizeIterator + use<'a> {
        let count = slots.len();
        // SAFETY: the slices are those of `scores` and `packed`; the tree that owns the leaf is borrowed while its entries are walked over.
        let (scores, packed): (&'a [f64], &'a [Packed]) = unsafe {
            let (scores, packed) = (&self.scores()[slots.clone()], &self.packed()[slots]);
            (std::slice::from_raw_parts(scores.as_ptr(), count), std::slice::from_raw_parts(packed.as_ptr(), count))
        };
        scores.iter().copied().zip(packed.iter().map(|packed| packed.record()))
    }

    /// Which slot among `ties` holds this very record.
    #[inline]
    pub fn position_of(&self, record: Record, ties: Range<usize>) -> Option<usize> {
        let wanted = Packed::new(record).0;
        let start = ties.start;
        self.packed()[ties].iter().position(|packed| packed.0 == wanted).map(|offset| start + offset)
    }

    /// Puts an entry before slot `at`. There must be room.
    #[inline]
    pub fn insert(&mut self, at: usize, score: f64, record: Record) {
        let len = self.len();
        let (scores, packed) = self.slots_mut();
        scores.copy_within(at..len, at + 1);
        packed.copy_within(at..len, at + 1);
        scores[at] = score;
        packed[at] = Packed::new(record);
        self.set_len(len + 1);
    }

    /// Forgets the entries in `slots`.
    #[inline]
    pub fn remove(&mut self, slots: Range<usize>) {
        let len = self.len();
        let (scores, packed) = self.slots_mut();
        scores.copy_within(slots.end..len, slots.start);
        packed.copy_within(slots.end..len, slots.start);
        self.set_len(len - slots.len());
    }

    /// Puts the entries `slots` of another leaf before slot `at`. There must be room.
    pub fn insert_from(&mut self, at: usize, other: &Leaf, slots: Range<usize>) {
        let len = self.len();
        let added = slots.len();
        let (scores, packed) = self.slots_mut();
        scores.copy_within(at..len, at + added);
        packed.copy_within(at..len, at + added);
        scores[at..at + added].copy_from_slice(&other.scores()[slots.clone()]);
        packed[at..at + added].copy_from_slice(&other.packed()[slots]);
        self.set_len(len + added);
    }

    /// Moves the leaf to an allocation for at least `entries`, which must hold all it has; the old pointer is dead.
    #[must_use]
    pub fn resized(self, entries: usize) -> Self {
        let mut moved = Self::new(entries);
        moved.insert_from(0, &self, 0..self.len());
        // SAFETY: the caller takes the new pointer for the old one.
        unsafe { self.free() };
        moved
    }

    /// Whether the leaf has become so empty that a smaller allocation pays.
    #[inline]
    pub fn is_slack(&self) -> bool {
        // Two size classes of distance, so that a leaf at a boundary does not move back and forth.
        self.capacity() - self.len() >= 12
            || (self.len() * 2 < self.capacity() && self.capacity() > capacity_of(SIZES[0]))
    }

    /// Fetches all lines of a leaf at once, before a search waits for them one by one.
    #[inline]
    pub fn prefetch(self) {
        for line in 0..SIZES[SIZES.len() - 1] / 64 {
            prefetch(self.0.as_ptr().wrapping_add(line * 64));
        }
    }

    #[inline]
    pub fn from_pointer(pointer: NonNull<u8>) -> Self {
        Self(pointer)
    }

    #[inline]
    pub fn pointer(self) -> NonNull<u8> {
        self.0
    }
}

#[inline]
fn capacity_of(size: usize) -> usize {
    (size - HEADER) / SLOT
}

/// The smallest allocation that holds `entries`.
fn size_for(entries: usize) -> usize {
    let needed = HEADER + entries * SLOT;
    SIZES.into_iter().find(|&size| needed <= size).expect("no leaf holds more than LEAF_MAX entries")
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, align_of::<f64>()).expect("a size class is a valid layout")
}
