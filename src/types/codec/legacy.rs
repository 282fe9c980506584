//! The flat buffers of old Redis versions, turned into listpacks as they are read.
//!
//! ```text
//!   ziplist   bytes u32 │ last entry u32 │ count u16 │ entry… │ FF        entry: size of the one before │ encoding │ data
//!   zipmap    count u8 │ (length · name · length · spare u8 · value · spare…)… │ FF
//! ```

use super::Malformed;
use crate::ds::item::Item;
use crate::ds::listpack::{BYTES_MAX, Builder, Listpack};

const BROKEN_ZIPMAP: Malformed = Malformed::new("Zipmap integrity check failed");
const END: u8 = 0xFF;

/// A listpack of names and values.
pub(super) fn from_zipmap(bytes: &[u8]) -> Result<Listpack, Malformed> {
    convert_zipmap(bytes).ok_or(BROKEN_ZIPMAP)
}

/// A listpack of the same elements. Every byte of the ziplist is checked.
pub(super) fn from_ziplist(bytes: &[u8]) -> Option<Listpack> {
    const HEADER: usize = 10;
    const COUNT_UNKNOWN: u16 = u16::MAX;
    let total = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    let last = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?) as usize;
    let count = u16::from_le_bytes(*bytes.get(8..)?.first_chunk()?);
    let (&END, body) = bytes.split_last()? else { return None };
    if total != bytes.len() || total > BYTES_MAX / 2 {
        return None;
    }
    let mut builder = Builder::with_capacity(bytes.len());
    let (mut at, mut before) = (HEADER, None);
    while at < body.len() {
        let (back, head) = back_length(&body[at..])?;
        if back != before.map_or(0, |before| at - before) {
            return None;
        }
        let (item, size) = ziplist_entry(&body[at + head..])?;
        builder.push_item(item);
        before = Some(at);
        at += head + size;
    }
    let told = count == COUNT_UNKNOWN || usize::from(count) == builder.len();
    (at == body.len() && told && last == before.unwrap_or(HEADER)).then(|| builder.finish())
}

/// The size of the entry before, and the bytes that tell it.
fn back_length(bytes: &[u8]) -> Option<(usize, usize)> {
    const LONG: u8 = 0xFE;
    match *bytes.first()? {
        LONG => Some((u32::from_le_bytes(*bytes.get(1..)?.first_chunk()?) as usize, 5)),
        END => None,
        short => Some((usize::from(short), 1)),
    }
}

/// An element and its bytes, encoding included.
fn ziplist_entry(bytes: &[u8]) -> Option<(Item<'_>, usize)> {
    let (&first, rest) = bytes.split_first()?;
    let text = |len: usize, head: usize| Some((Item::Bytes(bytes.get(head..head.checked_add(len)?)?), head + len));
    let number = |value: i64, width: usize| Some((Item::Int(value), 1 + width));
    match first {
        0x00..0x40 => text(usize::from(first), 1),
        0x40..0x80 => text(usize::from(first & 0x3F) << 8 | usize::from(*rest.first()?), 2),
        0x80 => text(u32::from_be_bytes(*rest.first_chunk()?) as usize, 5),
        0xC0 => number(i64::from(i16::from_le_bytes(*rest.first_chunk()?)), 2),
        0xD0 => number(i64::from(i32::from_le_bytes(*rest.first_chunk()?)), 4),
        0xE0 => number(i64::from_le_bytes(*rest.first_chunk()?), 8),
        0xF0 => {
            let [low, middle, high] = *rest.first_chunk()?;
            number(i64::from(i32::from_le_bytes([0, low, middle, high]) >> 8), 3)
        }
        0xFE => number(i64::from(*rest.first()? as i8), 1),
        0xF1..=0xFD => number(i64::from(first & 0x0F) - 1, 0),
        _ => None,
    }
}

fn convert_zipmap(bytes: &[u8]) -> Option<Listpack> {
    const COUNT_UNKNOWN: u8 = 254;
    if bytes.len() > BYTES_MAX / 2 {
        return None;
    }
    let (&count, mut rest) = bytes.split_first()?;
    let mut builder = Builder::with_capacity(bytes.len());
    while *rest.first()? != END {
        let name_len = zipmap_length(&mut rest)?;
        let (name, after) = rest.split_at_checked(name_len)?;
        rest = after;
        let value_len = zipmap_length(&mut rest)?;
        let (&spare, after) = rest.split_first()?;
        let (value, after) = after.split_at_checked(value_len)?;
        rest = after.get(usize::from(spare)..)?;
        builder.push(name);
        builder.push(value);
    }
    let told = count >= COUNT_UNKNOWN || usize::from(count) * 2 == builder.len();
    // One with nothing in it was never written.
    (rest.len() == 1 && told && !builder.is_empty()).then(|| builder.finish())
}

fn zipmap_length(rest: &mut &[u8]) -> Option<usize> {
    const LONG: u8 = 254;
    let (&first, after) = rest.split_first()?;
    *rest = after;
    match first {
        END => None,
        LONG => {
            let (length, after) = rest.split_first_chunk()?;
            *rest = after;
            Some(u32::from_le_bytes(*length) as usize)
        }
        short => Some(usize::from(short)),
    }
}
