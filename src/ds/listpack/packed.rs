//! A listpack that is only read: `Packed` is to `Listpack` what `str` is to `String`.
//!
//! The nodes of a long list and the bytes of a snapshot are read through it as well. Writing is in the
//! parent module, the meaning of the bytes in `entry`.

use super::entry::{self, END};
use crate::ds::item::Item;
use crate::util::number::parse_i64;

/// Bytes before the first entry: the size of all, and the number of entries.
pub const HEADER: usize = 6;
/// The bytes of a listpack without entries.
pub const EMPTY_BYTES: usize = HEADER + 1;
/// The count in the header that means: too many to say, walk and see.
pub const COUNT_UNKNOWN: u16 = u16::MAX;

/// Where an entry starts, in bytes from the start of the listpack. Good until the listpack is changed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Position(pub(in crate::ds) u32);

impl Position {
    #[inline]
    pub(in crate::ds) fn byte(self) -> usize {
        self.0 as usize
    }
}

/// Well-formed listpack bytes, header and end mark included.
#[repr(transparent)]
pub struct Packed([u8]);

impl Packed {
    /// Bytes this program wrote itself. Were they not well-formed, reads would give wrong elements or end early,
    /// never leave the slice.
    #[inline]
    pub(in crate::ds) fn trusted(bytes: &[u8]) -> &Self {
        debug_assert!(bytes.len() >= EMPTY_BYTES && bytes[bytes.len() - 1] == END);
        // SAFETY: `Packed` is a transparent wrapper of `[u8]`.
        unsafe { &*(std::ptr::from_ref(bytes) as *const Self) }
    }

    /// Bytes from outside. Every entry is checked, both ways it can be walked; `None` where anything is amiss.
    pub fn validate(bytes: &[u8]) -> Option<&Self> {
        let (total, count) = (bytes.first_chunk()?, bytes.get(4..6)?.first_chunk()?);
        if u32::from_le_bytes(*total) as usize != bytes.len() {
            return None;
        }
        let (&END, body) = bytes.split_last()? else { return None };
        let mut at = HEADER;
        let mut entries: usize = 0;
        while at < body.len() {
            let next = at.checked_add(entry::size_at(body, at)?)?;
            if next > body.len() || entry::start_of(body, next)? != at {
                return None;
            }
            entry::read(&body[..next], at)?;
            at = next;
            entries += 1;
        }
        let count = u16::from_le_bytes(*count);
        let told = count == COUNT_UNKNOWN || usize::from(count) == entries;
        (at == body.len() && told).then(|| Self::trusted(bytes))
    }

    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes of the whole listpack.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// How many elements there are. O(1) below 65,535.
    #[inline]
    pub fn len(&self) -> usize {
        match self.header_count() {
            COUNT_UNKNOWN => self.iter().count(),
            count => usize::from(count),
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.len() == EMPTY_BYTES
    }

    #[inline]
    pub(in crate::ds) fn header_count(&self) -> u16 {
        u16::from_le_bytes([self.0[4], self.0[5]])
    }

    #[inline]
    fn end(&self) -> usize {
        self.0.len() - 1
    }

    #[inline]
    pub fn first(&self) -> Option<Position> {
        (!self.is_empty()).then_some(Position(HEADER as u32))
    }

    #[inline]
    pub fn last(&self) -> Option<Position> {
        self.before(self.end())
    }

    #[inline]
    pub fn next(&self, position: Position) -> Option<Position> {
        let next = position.byte() + entry::size_at(&self.0, position.byte())?;
        (next < self.end()).then_some(Position(next as u32))
    }

    #[inline]
    pub fn prev(&self, position: Position) -> Option<Position> {
        self.before(position.byte())
    }

    #[inline]
    fn before(&self, byte: usize) -> Option<Position> {
        if byte <= HEADER {
            return None;
        }
        entry::start_of(&self.0, byte).map(|start| Position(start as u32))
    }

    /// The element at a position that this listpack gave out.
    #[inline]
    pub fn at(&self, position: Position) -> Item<'_> {
        entry::read(&self.0, position.byte()).map_or(Item::Bytes(&[]), |(item, _)| item)
    }

    /// The element at a position, and the bytes its entry takes.
    #[inline]
    pub(in crate::ds) fn entry(&self, position: Position) -> (Item<'_>, usize) {
        entry::read(&self.0, position.byte()).unwrap_or((Item::Bytes(&[]), 0))
    }

    /// The bytes that the entry at a position takes.
    #[inline]
    pub fn entry_bytes(&self, position: Position) -> usize {
        entry::size_at(&self.0, position.byte()).unwrap_or(0)
    }

    /// The position of element `index`; negative counts from the end, -1 being the last. Walks from the nearer end.
    #[inline]
    pub fn seek(&self, index: i64) -> Option<Position> {
        let count = self.header_count();
        if count == COUNT_UNKNOWN {
            return self.seek_walking(index);
        }
        let count = i64::from(count);
        let index = if index < 0 { index + count } else { index };
        if !(0..count).contains(&index) {
            return None;
        }
        self.seek_walking(if index > count / 2 { index - count } else { index })
    }

    fn seek_walking(&self, index: i64) -> Option<Position> {
        if index < 0 {
            let mut position = self.last()?;
            for _ in index..-1 {
                position = self.prev(position)?;
            }
            return Some(position);
        }
        let mut position = self.first()?;
        for _ in 0..index {
            position = self.next(position)?;
        }
        Some(position)
    }

    /// The element at `index`; negative counts from the end.
    #[inline]
    pub fn get(&self, index: i64) -> Option<Item<'_>> {
        self.seek(index).map(|position| self.at(position))
    }

    /// All elements with their positions, from either end.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        Iter { bytes: &self.0, front: HEADER, back: self.end() }
    }

    /// The elements from `position` to the end.
    #[inline]
    pub fn iter_from(&self, position: Position) -> Iter<'_> {
        Iter { bytes: &self.0, front: position.byte().min(self.end()), back: self.end() }
    }

    /// The elements up to `position` and including it: what `rev()` walks from there to the start.
    #[inline]
    pub fn iter_to(&self, position: Position) -> Iter<'_> {
        let back = position.byte() + self.entry_bytes(position);
        Iter { bytes: &self.0, front: HEADER, back: back.min(self.end()) }
    }

    /// The first element equal to `needle`, starting at `from` (or the first) and passing over `skip` elements after
    /// each one that is looked at: a hash that looks for a field skips one, its value.
    pub fn find(&self, needle: &[u8], from: Option<Position>, skip: usize) -> Option<Position> {
        let bytes = &self.0[..self.end()];
        let number = parse_i64(needle);
        let mut at = from.or_else(|| self.first())?.byte();
        while at < bytes.len() {
            let (item, size) = entry::read(bytes, at)?;
            let equal = match item {
                Item::Bytes(text) => text == needle,
                Item::Int(value) => number == Some(value),
            };
            if equal {
                return Some(Position(at as u32));
            }
            at += size;
            for _ in 0..skip {
                at += entry::size_at(bytes, at)?;
            }
        }
        None
    }

    /// Looks at every entry again: the walk meets the end mark and the count is true.
    pub fn check(&self) {
        assert!(Self::validate(&self.0).is_some(), "a listpack is malformed");
    }
}

impl<'a> IntoIterator for &'a Packed {
    type Item = (Position, Item<'a>);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Walks the elements of a listpack from either end.
#[derive(Clone, Default)]
pub struct Iter<'a> {
    bytes: &'a [u8],
    front: usize,
    back: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Position, Item<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let at = self.front;
        if at >= self.back {
            return None;
        }
        if let Some(text) = entry::short_text(self.bytes, at) {
            self.front = at + text.len() + 2;
            return Some((Position(at as u32), Item::Bytes(text)));
        }
        if let Some((text, size)) = entry::middling_text(self.bytes, at) {
            self.front = at + size;
            return Some((Position(at as u32), Item::Bytes(text)));
        }
        self.next_other()
    }
}

impl<'a> Iter<'a> {
    /// Numbers and long texts: kept out of the loops that walk, which are the better for being small.
    #[inline(never)]
    fn next_other(&mut self) -> Option<(Position, Item<'a>)> {
        let at = self.front;
        let (item, size) = entry::read(self.bytes, at)?;
        self.front = at + size;
        Some((Position(at as u32), item))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        self.back = entry::start_of(self.bytes, self.back)?;
        let (item, _) = entry::read(self.bytes, self.back)?;
        Some((Position(self.back as u32), item))
    }
}
