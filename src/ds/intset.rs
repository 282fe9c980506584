//! A sorted set of integers in one flat buffer, byte for byte in Redis's intset format.
//!
//! An `Intset` is one machine word. All its integers have the width that the widest one needs. When a set stops
//! being one of integers, or small, is its owner's business; the buffer's own is in `thin`.

use crate::ds::thin::ThinBuffer;
use std::ptr::NonNull;

/// ```text
///   width u32 (2, 4 or 8) │ count u32 │ integer │ integer │ …     all little end first, ascending, no two equal
/// ```
#[repr(transparent)]
pub struct Intset(ThinBuffer);

const HEADER: usize = 8;

/// The most integers one may hold: the size must stay far below 4 GiB.
pub const COUNT_MAX: usize = 1 << 27;

// SAFETY: an intset owns its buffer alone, as a `Vec<u8>` does.
unsafe impl Send for Intset {}
// SAFETY: a shared intset is only read.
unsafe impl Sync for Intset {}

/// The bytes an integer takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Width {
    Two = 2,
    Four = 4,
    Eight = 8,
}

impl Width {
    #[inline]
    fn of(value: i64) -> Self {
        match value ^ (value >> 63) {
            0..=0x7FFF => Self::Two,
            0x8000..=0x7FFF_FFFF => Self::Four,
            _ => Self::Eight,
        }
    }

    #[inline]
    fn bytes(self) -> usize {
        self as usize
    }
}

impl Intset {
    pub fn new() -> Self {
        Self::from_sorted(&[])
    }

    /// A set of values that ascend strictly.
    pub fn from_sorted(values: &[i64]) -> Self {
        debug_assert!(values.is_sorted_by(|low, high| low < high));
        assert!(values.len() <= COUNT_MAX, "an intset stays below its limit");
        let ends = [values.first(), values.last()];
        let width = ends.into_iter().flatten().map(|&value| Width::of(value)).max().unwrap_or(Width::Two);
        let mut set = Self(ThinBuffer::new(HEADER + values.len() * width.bytes()));
        set.write_header(width, values.len());
        for (index, &value) in values.iter().enumerate() {
            set.write(index, value);
        }
        set
    }

    /// A copy of bytes from outside, checked: width, size, order. `None` where anything is amiss.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let width = match u32::from_le_bytes(*bytes.first_chunk()?) {
            2 => Width::Two,
            4 => Width::Four,
            8 => Width::Eight,
            _ => return None,
        };
        let count = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?) as usize;
        if count > COUNT_MAX || bytes.len() != HEADER + count * width.bytes() {
            return None;
        }
        let buffer = ThinBuffer::new(bytes.len());
        // SAFETY: the new buffer has room for all bytes and overlaps nothing.
        unsafe { buffer.start().copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
        let set = Self(buffer);
        set.iter().is_sorted_by(|low, high| low < high).then_some(set)
    }

    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: header and integers are initialised, and belong to this buffer.
        unsafe { std::slice::from_raw_parts(self.0.start().as_ptr(), self.bytes()) }
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

    #[inline]
    pub fn len(&self) -> usize {
        self.header(1) as usize
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of header and integers.
    #[inline]
    pub fn bytes(&self) -> usize {
        HEADER + self.len() * self.width().bytes()
    }

    /// The bytes of memory it takes, not counting its word.
    #[inline]
    pub fn memory(&self) -> usize {
        self.0.capacity(self.bytes())
    }

    #[inline]
    pub fn contains(&self, value: i64) -> bool {
        self.position(value).is_ok()
    }

    /// The integer of this rank. A random member is the one of a random index.
    #[inline]
    pub fn get(&self, index: usize) -> Option<i64> {
        (index < self.len()).then(|| self.read(index))
    }

    #[inline]
    pub fn min(&self) -> Option<i64> {
        self.get(0)
    }

    #[inline]
    pub fn max(&self) -> Option<i64> {
        self.get(self.len().wrapping_sub(1))
    }

    /// All integers, ascending.
    #[inline]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + Clone + '_ {
        (0..self.len()).map(|index| self.read(index))
    }

    /// Adds a value; false where it was there.
    pub fn insert(&mut self, value: i64) -> bool {
        let width = Width::of(value);
        if width > self.width() {
            self.widen_with(value, width);
            return true;
        }
        let Err(index) = self.position(value) else { return false };
        self.resize_at(index, true);
        self.write(index, value);
        true
    }

    /// Takes a value out; false where there was none. The width stays, as it does in Redis.
    pub fn remove(&mut self, value: i64) -> bool {
        match self.position(value) {
            Ok(index) => {
                self.resize_at(index, false);
                true
            }
            Err(_) => false,
        }
    }

    /// Takes out the integer of this rank.
    pub fn remove_at(&mut self, index: usize) -> Option<i64> {
        let value = self.get(index)?;
        self.resize_at(index, false);
        Some(value)
    }

    /// The index of the value, or where it would be.
    pub fn position(&self, value: i64) -> Result<usize, usize> {
        let count = self.len();
        if count == 0 {
            return Err(0);
        }
        // Values mostly come in order, so the last place is worth a look of its own.
        if value > self.read(count - 1) {
            return Err(count);
        }
        let (mut low, mut size) = (0, count);
        while size > 1 {
            let half = size / 2;
            low += if self.read(low + half) <= value { half } else { 0 };
            size -= half;
        }
        match self.read(low).cmp(&value) {
            std::cmp::Ordering::Equal => Ok(low),
            std::cmp::Ordering::Less => Err(low + 1),
            std::cmp::Ordering::Greater => Err(low),
        }
    }

    /// Looks at everything again: width, order, room.
    pub fn check(&self) {
        assert!(Self::from_bytes(self.as_bytes()).is_some(), "an intset is malformed");
        assert!(self.memory() >= self.bytes());
    }

    /// Adds a value that is wider than all others, and so smaller or larger than all of them.
    fn widen_with(&mut self, value: i64, width: Width) {
        let mut values = Vec::with_capacity(self.len() + 1);
        if value < 0 {
            values.push(value);
        }
        values.extend(self.iter());
        if value > 0 {
            values.push(value);
        }
        debug_assert_eq!(width, Width::of(value));
        *self = Self::from_sorted(&values);
    }

    /// Opens a gap for one integer at `index`, or closes the one there.
    fn resize_at(&mut self, index: usize, open: bool) {
        let (width, count, old) = (self.width().bytes(), self.len(), self.bytes());
        let at = HEADER + index * width;
        assert!(count < COUNT_MAX && at + usize::from(!open) * width <= old, "an intset stays within its limits");
        // SAFETY: the byte size is what the capacity is kept for; the ranges lie within the buffer, which is made
        // to hold the larger size before the bytes move, and is cut only after that.
        unsafe {
            if open {
                self.0.grow(old, old + width);
                let place = self.0.start().add(at);
                place.copy_to(place.add(width), old - at);
            } else {
                let place = self.0.start().add(at);
                place.copy_from(place.add(width), old - at - width);
                self.0.shrink(old, old - width);
            }
        }
        let count = if open { count + 1 } else { count - 1 };
        self.write_header(self.width(), count);
    }

    #[inline]
    fn header(&self, field: usize) -> u32 {
        // SAFETY: both fields of the header are within every buffer.
        unsafe { u32::from_le_bytes(self.0.start().cast::<[u8; 4]>().add(field).read()) }
    }

    fn write_header(&mut self, width: Width, count: usize) {
        // SAFETY: both fields of the header are within every buffer.
        unsafe {
            let header = self.0.start().cast::<[u8; 4]>();
            header.write((width as u32).to_le_bytes());
            header.add(1).write((count as u32).to_le_bytes());
        }
    }

    #[inline]
    fn width(&self) -> Width {
        match self.header(0) {
            2 => Width::Two,
            4 => Width::Four,
            _ => Width::Eight,
        }
    }

    #[inline]
    fn read(&self, index: usize) -> i64 {
        debug_assert!(index < self.len());
        // SAFETY: callers keep `index` below the count, and the buffer holds that many integers of this width.
        unsafe {
            let first = self.0.start().add(HEADER);
            match self.width() {
                Width::Two => i64::from(i16::from_le_bytes(first.cast::<[u8; 2]>().add(index).read())),
                Width::Four => i64::from(i32::from_le_bytes(first.cast::<[u8; 4]>().add(index).read())),
                Width::Eight => i64::from_le_bytes(first.cast::<[u8; 8]>().add(index).read()),
            }
        }
    }

    #[inline]
    fn write(&mut self, index: usize, value: i64) {
        let (width, bytes) = (self.width().bytes(), value.to_le_bytes());
        debug_assert!(index < self.len() && Width::of(value).bytes() <= width);
        // SAFETY: callers keep `index` below the count, and the buffer holds that many integers of this width.
        unsafe {
            let place = self.0.start().add(HEADER + index * width);
            place.copy_from_nonoverlapping(NonNull::from(&bytes).cast(), width);
        }
    }
}

impl Drop for Intset {
    fn drop(&mut self) {
        let bytes = self.bytes();
        // SAFETY: the byte size is what the capacity is kept for.
        unsafe { self.0.free(bytes) }
    }
}

impl Default for Intset {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Intset {
    fn clone(&self) -> Self {
        let bytes = self.as_bytes();
        let buffer = ThinBuffer::new(bytes.len());
        // SAFETY: the new buffer has room for all bytes and overlaps nothing.
        unsafe { buffer.start().copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
        Self(buffer)
    }
}

impl std::fmt::Debug for Intset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn value() -> impl Strategy<Value = i64> {
        prop_oneof![
            6 => -20..20i64,
            3 => any::<i16>().prop_map(i64::from),
            1 => any::<i32>().prop_map(i64::from),
            1 => any::<i64>(),
            1 => proptest::sample::select(vec![32_767, 32_768, -32_768, -32_769, i64::from(i32::MAX) + 1, i64::MIN]),
        ]
    }

    proptest! {
        #[test]
        fn an_intset_is_a_sorted_set(ops in proptest::collection::vec((0..5u8, value()), 1..300)) {
            let (mut set, mut model) = (Intset::new(), BTreeSet::new());
            for (op, value) in ops {
                match op {
                    0..3 => prop_assert_eq!(set.insert(value), model.insert(value)),
                    3 => prop_assert_eq!(set.remove(value), model.remove(&value)),
                    _ => {
                        let index = value.unsigned_abs() as usize % (model.len() + 1);
                        let expected = model.iter().nth(index).copied();
                        prop_assert_eq!(set.remove_at(index), expected);
                        expected.map(|value| model.remove(&value));
                    }
                }
                set.check();
                prop_assert!(set.iter().eq(model.iter().copied()));
                prop_assert_eq!((set.min(), set.max()), (model.first().copied(), model.last().copied()));
                prop_assert_eq!(set.contains(value), model.contains(&value));
            }
            let copy = Intset::from_bytes(set.as_bytes()).unwrap();
            prop_assert!(copy.iter().eq(set.clone().iter()));
        }

        #[test]
        fn broken_bytes_are_refused(values in proptest::collection::btree_set(value(), 0..20), at: usize, byte: u8, cut in 0..2usize) {
            let values: Vec<i64> = values.into_iter().collect();
            let mut bytes = Intset::from_sorted(&values).as_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(bytes.len() - cut);
            if let Some(set) = Intset::from_bytes(&bytes) {
                set.check();
                prop_assert_eq!(set.as_bytes(), &bytes[..]);
            }
        }
    }

    #[test]
    fn the_bytes_are_those_of_redis() {
        let mut set = Intset::new();
        for value in [3, -1, 300] {
            set.insert(value);
        }
        assert_eq!(set.as_bytes(), [2, 0, 0, 0, 3, 0, 0, 0, 0xFF, 0xFF, 3, 0, 0x2C, 1]);
        assert_eq!(size_of::<Option<Intset>>(), 8);
    }
}
