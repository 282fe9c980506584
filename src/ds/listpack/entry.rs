//! One entry of a listpack: its encodings, written and read.
//!
//! Everything that knows a bit of the format is in this file; the containers only move whole entries about.

use crate::ds::item::Item;
use crate::util::number::parse_i64;
use std::ptr::NonNull;

/// ```text
///   encoding + data                         back-length: the size of encoding + data, read from its right end,
///                                           seven bits a byte, high bit set where more follow to the left
///   0vvvvvvv                                unsigned 7 bits
///   10llllll  data                          string below 64 bytes
///   110vvvvv  vvvvvvvv                      signed 13 bits, big end first
///   1110llll  llllllll  data                string below 4,096 bytes, big end first
///   11110000  l l l l   data                any string, little end first
///   11110001  v v          11110010  v v v          11110011  v v v v          11110100  v v v v v v v v
///   11111111                                the end of the listpack
/// ```
pub const END: u8 = 0xFF;

const STRING_6: u8 = 0x80;
const INT_13: u8 = 0xC0;
const STRING_12: u8 = 0xE0;
const STRING_32: u8 = 0xF0;
const INT_16: u8 = 0xF1;
const INT_24: u8 = 0xF2;
const INT_32: u8 = 0xF3;
const INT_64: u8 = 0xF4;

/// The most a back-length takes.
const BACK_MAX: usize = 5;

/// An element made ready to be written: the bytes before its data, and the data.
#[derive(Clone, Copy)]
pub struct Encoded<'a> {
    head: [u8; 9],
    head_len: u8,
    data: &'a [u8],
}

impl<'a> Encoded<'a> {
    /// Encodes a text: as a number where it is a canonical one.
    #[inline]
    pub fn new(text: &'a [u8]) -> Self {
        match parse_i64(text) {
            Some(value) => Self::int(value),
            None => Self::string(text),
        }
    }

    /// Encodes an element that another container holds.
    #[inline]
    pub fn item(item: Item<'a>) -> Self {
        match item {
            Item::Bytes(text) => Self::new(text),
            Item::Int(value) => Self::int(value),
        }
    }

    #[inline]
    pub fn int(value: i64) -> Encoded<'static> {
        let bytes = value.to_le_bytes();
        let mut head = [0; 9];
        let head_len = match value {
            0..=127 => {
                head[0] = bytes[0];
                1
            }
            -4096..=-1 | 128..=4095 => {
                head[0] = INT_13 | (bytes[1] & 0x1F);
                head[1] = bytes[0];
                2
            }
            _ => {
                // The sign bit must fit as well, so a number and its complement take the same room.
                let (mark, width) = match value ^ (value >> 63) {
                    0..=0x7FFF => (INT_16, 2),
                    0x8000..=0x7F_FFFF => (INT_24, 3),
                    0x80_0000..=0x7FFF_FFFF => (INT_32, 4),
                    _ => (INT_64, 8),
                };
                head[0] = mark;
                head[1..].copy_from_slice(&bytes);
                1 + width
            }
        };
        Encoded { head, head_len, data: &[] }
    }

    #[inline]
    fn string(data: &'a [u8]) -> Self {
        let mut head = [0; 9];
        let head_len = match data.len() {
            len @ 0..64 => {
                head[0] = STRING_6 | len as u8;
                1
            }
            len @ 64..4096 => {
                head[0] = STRING_12 | (len >> 8) as u8;
                head[1] = len as u8;
                2
            }
            len => {
                let len = u32::try_from(len).expect("an element of a listpack is below 4 GiB");
                head[0] = STRING_32;
                head[1..5].copy_from_slice(&len.to_le_bytes());
                5
            }
        };
        Self { head, head_len, data }
    }

    /// The bytes of the whole entry.
    #[inline]
    pub fn size(&self) -> usize {
        let body = self.body();
        body + back_size(body)
    }

    #[inline]
    fn body(&self) -> usize {
        usize::from(self.head_len) + self.data.len()
    }

    /// Writes the entry's bytes from `out` on.
    ///
    /// # Safety
    /// `size()` bytes from `out` on may be written, and do not overlap the element's own text.
    #[inline]
    pub unsafe fn write(&self, out: NonNull<u8>) {
        let head_len = usize::from(self.head_len);
        // SAFETY: head, data and back-length together are `size()` bytes.
        unsafe {
            if head_len == 1 {
                out.write(self.head[0]);
            } else {
                out.copy_from_nonoverlapping(NonNull::from(&self.head).cast(), head_len);
            }
            out.add(head_len).copy_from_nonoverlapping(NonNull::from(self.data).cast(), self.data.len());
            write_back(self.body(), out.add(self.body()));
        }
    }
}

/// The bytes a back-length takes for `body` bytes. Its limits leave the last value of each width unused, as
/// every writer of the format does.
#[inline]
pub fn back_size(body: usize) -> usize {
    match body {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => BACK_MAX,
    }
}

/// # Safety
/// `back_size(body)` bytes from `out` on may be written.
#[inline]
unsafe fn write_back(body: usize, out: NonNull<u8>) {
    let width = back_size(body);
    if width == 1 {
        // SAFETY: the caller's promise.
        return unsafe { out.write(body as u8) };
    }
    for place in 0..width {
        let bits = (body >> (7 * (width - 1 - place)) & 0x7F) as u8;
        // SAFETY: the caller's promise.
        unsafe { out.add(place).write(if place == 0 { bits } else { bits | 0x80 }) };
    }
}

/// Where the entry that ends at `end` starts. `None` where the bytes make no back-length that fits.
#[inline]
pub fn start_of(bytes: &[u8], end: usize) -> Option<usize> {
    let last = *bytes.get(end.checked_sub(1)?)?;
    if last < 0x80 {
        return end.checked_sub(1 + usize::from(last));
    }
    let mut body = usize::from(last & 0x7F);
    for width in 1..BACK_MAX {
        let byte = *bytes.get(end.checked_sub(1 + width)?)?;
        body |= usize::from(byte & 0x7F) << (7 * width);
        if byte < 0x80 {
            return end.checked_sub(1 + width + body);
        }
    }
    None
}

/// The bytes of encoding and data of the entry at `at`, told by its first bytes. `None` where there is no entry.
#[inline]
pub fn body_at(bytes: &[u8], at: usize) -> Option<usize> {
    let first = *bytes.get(at)?;
    Some(match first {
        0..STRING_6 => 1,
        STRING_6..INT_13 => 1 + usize::from(first & 0x3F),
        INT_13..STRING_12 => 2,
        STRING_12..STRING_32 => 2 + (usize::from(first & 0x0F) << 8 | usize::from(*bytes.get(at + 1)?)),
        STRING_32 => 5 + u32::from_le_bytes(*bytes.get(at + 1..)?.first_chunk()?) as usize,
        INT_16 => 3,
        INT_24 => 4,
        INT_32 => 5,
        INT_64 => 9,
        _ => return None,
    })
}

/// The bytes of the whole entry at `at`.
#[inline]
pub fn size_at(bytes: &[u8], at: usize) -> Option<usize> {
    let body = body_at(bytes, at)?;
    Some(body + back_size(body))
}

/// The text at `at` if it is one below 64 bytes, by far the most frequent kind; its entry takes two bytes more.
#[inline(always)]
pub fn short_text(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let first = *bytes.get(at)?;
    if first & 0xC0 != STRING_6 {
        return None;
    }
    bytes.get(at + 1..at + 1 + usize::from(first & 0x3F))
}

/// The text at `at`, if it is one of 64 bytes to 4 KiB, and the size of its whole entry.
#[inline(always)]
pub fn middling_text(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let [first @ STRING_12..STRING_32, low, rest @ ..] = bytes.get(at..)? else { return None };
    let len = usize::from(first & 0x0F) << 8 | usize::from(*low);
    Some((rest.get(..len)?, 2 + len + back_size(2 + len)))
}

/// The element at `at` and the size of its whole entry. `None` where there is no entry.
#[inline]
pub fn read(bytes: &[u8], at: usize) -> Option<(Item<'_>, usize)> {
    let entry = bytes.get(at..)?;
    let first = *entry.first()?;
    if let Some(text) = short_text(bytes, at) {
        return Some((Item::Bytes(text), 2 + text.len()));
    }
    if let Some((text, size)) = middling_text(bytes, at) {
        return Some((Item::Bytes(text), size));
    }
    let body = body_at(bytes, at)?;
    let item = match first {
        STRING_32 => Item::Bytes(entry.get(5..body)?),
        _ => Item::Int(read_int(entry)?),
    };
    Some((item, body + back_size(body)))
}

#[inline]
fn read_int(entry: &[u8]) -> Option<i64> {
    Some(match *entry {
        [value @ ..STRING_6, ..] => i64::from(value),
        [first @ INT_13..STRING_12, low, ..] => {
            // Thirteen bits, the sign first: shifted to the top of sixteen and back.
            let bits = u16::from_be_bytes([first, low]) << 3;
            i64::from(bits as i16 >> 3)
        }
        [INT_16, a, b, ..] => i64::from(i16::from_le_bytes([a, b])),
        [INT_24, a, b, c, ..] => i64::from(i32::from_le_bytes([0, a, b, c]) >> 8),
        [INT_32, a, b, c, d, ..] => i64::from(i32::from_le_bytes([a, b, c, d])),
        [INT_64, ref rest @ ..] => i64::from_le_bytes(*rest.first_chunk()?),
        _ => return None,
    })
}
