//! The directory: which array of buckets belongs to which prefix of the hash.
//!
//! It owns no entries and no arrays; it keeps the words, and the two values a segment can carry besides its entries: a
//! deadline mark and an epoch. How segments grow, split and merge is decided in `mod.rs`.

use std::ptr::NonNull;

use super::bucket::Bucket;

/// Deepest prefix: 2^31 segments are more than memory holds.
pub(super) const DEPTH_MAX: u32 = 31;

/// All there is to know of a segment, in one word, so that a lookup needs no segment header.
///
/// ```text
///   63        54 53   49 48      42 41                            0
///   ┌───────────┬───────┬──────────┬───────────────────────────────┐
///   │  entries  │ depth │ buckets  │  address of the array / 64    │
///   └───────────┴───────┴──────────┴───────────────────────────────┘
/// ```
///
/// `depth` is the length of the prefix that the segment's entries share; 0 buckets means no array.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(u64);

impl Word {
    pub(super) fn empty(depth: u32) -> Word {
        Word(u64::from(depth) << 49)
    }

    pub(super) fn new(array: NonNull<Bucket>, buckets: usize, depth: u32, entries: usize) -> Word {
        let address = array.as_ptr().expose_provenance() as u64;
        assert!(address >> 48 == 0, "an array lies beyond 48 bits of address space");
        debug_assert!(buckets < 1 << 7 && depth <= DEPTH_MAX && entries < 1 << 10);
        Word(address >> 6 | (buckets as u64) << 42 | u64::from(depth) << 49 | (entries as u64) << 54)
    }

    #[inline]
    pub(super) fn array(self) -> *mut Bucket {
        std::ptr::with_exposed_provenance_mut(((self.0 << 6) & ((1 << 48) - 1)) as usize)
    }

    #[inline]
    pub(super) fn buckets(self) -> usize {
        (self.0 >> 42) as usize & 0x7f
    }

    pub(super) fn depth(self) -> u32 {
        (self.0 >> 49) as u32 & 0x1f
    }

    pub(super) fn entries(self) -> usize {
        (self.0 >> 54) as usize
    }

    fn with_entries(self, entries: usize) -> Word {
        Word(self.0 & ((1 << 54) - 1) | (entries as u64) << 54)
    }
}

/// `2^depth` words; a segment of a smaller depth has its word in each of its neighbouring places. Marks and epochs
/// are in step with the words once there is one of them, and count in the first place of a segment only.
///
/// ```text
///   prefix   000  001  010  011  100  101  110  111        depth 3
///   words     A    A    A    A    B    B    C    D         A: depth 1   B: 2   C, D: 3
///   marks     5    ·    ·    ·    9    ·    ·    7
/// ```
#[derive(Default)]
pub(super) struct Directory {
    words: Vec<Word>,
    marks: Vec<u64>,
    epochs: Vec<u32>,
    depth: u32,
    segments: usize,
    /// Segments of the directory's own depth: when there are none it can halve.
    deepest: usize,
}

pub(super) const NO_MARK: u64 = u64::MAX;

impl Directory {
    /// `2^depth` segments without arrays.
    pub(super) fn with_depth(depth: u32) -> Directory {
        let segments = 1 << depth;
        Directory { words: vec![Word::empty(depth); segments], depth, segments, deepest: segments, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    pub(super) fn segments(&self) -> usize {
        self.segments
    }

    /// The place of a hash, or of a position in hash order.
    #[inline]
    pub(super) fn index(&self, hash: u64) -> usize {
        ((hash >> 1) >> (63 - self.depth)) as usize
    }

    /// The lowest hash of a place. `None` for the place after the last.
    pub(super) fn position(&self, index: usize) -> Option<u64> {
        (index < self.words.len()).then(|| ((index as u64) << 1) << (63 - self.depth))
    }

    /// `None` only while the table is unused.
    #[inline]
    pub(super) fn word(&self, hash: u64) -> Option<Word> {
        self.words.get(self.index(hash)).copied()
    }

    pub(super) fn at(&self, index: usize) -> Word {
        self.words[index]
    }

    fn copies(&self, index: usize) -> usize {
        1 << (self.depth - self.words[index].depth())
    }

    /// The first place of the segment that has this one.
    pub(super) fn first(&self, index: usize) -> usize {
        index & !(self.copies(index) - 1)
    }

    /// The first place of the segment after this one, or the directory's length.
    pub(super) fn next(&self, index: usize) -> usize {
        self.first(index) + self.copies(index)
    }

    /// First places of the segments in hash order, from one on.
    pub(super) fn firsts_from(&self, first: usize) -> impl Iterator<Item = usize> + '_ {
        let mut next = first;
        std::iter::from_fn(move || {
            let index = next;
            (index < self.words.len()).then(|| {
                next = self.next(index);
                index
            })
        })
    }

    /// Gives the segment another array; its depth stays.
    pub(super) fn replace(&mut self, index: usize, word: Word) {
        debug_assert_eq!(self.words[index].depth(), word.depth());
        let (first, next) = (self.first(index), self.next(index));
        self.words[first..next].fill(word);
    }

    pub(super) fn set_entries(&mut self, index: usize, entries: usize) {
        self.replace(index, self.words[index].with_entries(entries));
    }

    /// Makes room for a split of this segment. `None` where the hashes are so alike that the directory would be
    /// out of proportion to its segments. The segment's new first place otherwise.
    pub(super) fn prepare_split(&mut self, index: usize) -> Option<usize> {
        let first = self.first(index);
        if self.words[first].depth() < self.depth {
            return Some(first);
        }
        if self.depth == DEPTH_MAX || self.words.len() * 2 > self.segments * 8 + 8 {
            return None;
        }
        self.words = doubled(&self.words, |word| [word, word]);
        self.marks = doubled(&self.marks, |mark| [mark, NO_MARK]);
        self.epochs = doubled(&self.epochs, |epoch| [epoch, 0]);
        self.depth += 1;
        self.deepest = 0;
        Some(first * 2)
    }

    /// Puts two segments without arrays in the place of one, which `prepare_split` gave; both keep its mark and epoch.
    /// Their places.
    pub(super) fn split(&mut self, first: usize) -> [usize; 2] {
        let depth = self.words[first].depth() + 1;
        let next = self.next(first);
        let middle = (first + next) / 2;
        self.words[first..next].fill(Word::empty(depth));
        if !self.marks.is_empty() {
            self.marks[middle] = self.marks[first];
        }
        if !self.epochs.is_empty() {
            self.epochs[middle] = self.epochs[first];
        }
        self.segments += 1;
        self.deepest += if depth == self.depth { 2 } else { 0 };
        [first, middle]
    }

    /// The segment's other half, if that is one segment of the same epoch.
    pub(super) fn buddy(&self, index: usize) -> Option<usize> {
        let depth = self.words[index].depth();
        if depth == 0 {
            return None;
        }
        let first = self.first(index);
        let buddy = first ^ self.copies(index);
        (self.words[buddy].depth() == depth && self.epoch(first) == self.epoch(buddy)).then_some(buddy)
    }

    /// Puts one segment without an array in the place of two buddies, with the lower mark. Its place.
    pub(super) fn merge(&mut self, index: usize) -> usize {
        let depth = self.words[index].depth();
        let copies = self.copies(index);
        let first = self.first(index) & !copies;
        let middle = first + copies;
        self.words[first..middle + copies].fill(Word::empty(depth - 1));
        if !self.marks.is_empty() {
            let upper = std::mem::replace(&mut self.marks[middle], NO_MARK);
            self.marks[first] = self.marks[first].min(upper);
        }
        self.segments -= 1;
        self.deepest -= if depth == self.depth { 2 } else { 0 };
        first
    }

    /// Halves the directory while no segment needs its full depth. Moves places: call it last.
    pub(super) fn shrink(&mut self) {
        while self.deepest == 0 && self.depth > 0 {
            self.words = halved(&self.words);
            self.marks = halved(&self.marks);
            self.epochs = halved(&self.epochs);
            self.depth -= 1;
            self.deepest = self.words.iter().filter(|word| word.depth() == self.depth).count();
        }
    }

    pub(super) fn mark(&self, first: usize) -> u64 {
        self.marks.get(first).copied().unwrap_or(NO_MARK)
    }

    pub(super) fn set_mark(&mut self, index: usize, mark: u64) {
        if self.marks.is_empty() {
            if mark == NO_MARK {
                return;
            }
            self.marks = vec![NO_MARK; self.words.len()];
        }
        let first = self.first(index);
        self.marks[first] = mark;
    }

    /// The first place from `index` on whose mark is not after `now`.
    pub(super) fn next_due(&self, index: usize, now: u64) -> Option<usize> {
        const STRIDE: usize = 16;
        let marks = self.marks.get(index..)?;
        let quiet =
            marks.chunks(STRIDE).take_while(|chunk| chunk.iter().fold(NO_MARK, |low, &mark| low.min(mark)) > now);
        let start = quiet.count() * STRIDE;
        let due = marks.get(start..)?.iter().position(|&mark| mark <= now)?;
        Some(index + start + due)
    }

    pub(super) fn epoch(&self, first: usize) -> u32 {
        self.epochs.get(first).copied().unwrap_or(0)
    }

    pub(super) fn set_epoch(&mut self, index: usize, epoch: u32) {
        if self.epochs.is_empty() {
            if epoch == 0 {
                return;
            }
            self.epochs = vec![0; self.words.len()];
        }
        let first = self.first(index);
        self.epochs[first] = epoch;
    }

    pub(super) fn memory(&self) -> usize {
        self.words.capacity() * size_of::<Word>() + self.marks.capacity() * 8 + self.epochs.capacity() * 4
    }

    pub(super) fn check(&self) {
        assert!(self.words.is_empty() || self.words.len() == 1 << self.depth);
        assert!(self.marks.is_empty() || self.marks.len() == self.words.len());
        assert!(self.epochs.is_empty() || self.epochs.len() == self.words.len());
        let (mut segments, mut deepest) = (0, 0);
        for first in self.firsts_from(0) {
            let word = self.words[first];
            assert_eq!(self.first(first), first, "a segment starts at a multiple of its size");
            for index in first..self.next(first) {
                assert!(self.words[index] == word, "the copies of a segment's word differ");
                assert!(index == first || self.mark(index) == NO_MARK, "a mark beside the first place");
            }
            segments += 1;
            deepest += usize::from(word.depth() == self.depth);
        }
        assert_eq!((segments, deepest), (self.segments, self.deepest), "segments, deepest");
    }
}

fn doubled<T: Copy>(from: &[T], twins: impl Fn(T) -> [T; 2]) -> Vec<T> {
    let pairs: Vec<[T; 2]> = from.iter().map(|&value| twins(value)).collect();
    pairs.into_flattened()
}

fn halved<T: Copy>(from: &[T]) -> Vec<T> {
    from.iter().step_by(2).copied().collect()
}
