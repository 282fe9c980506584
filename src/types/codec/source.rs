//! Where the bytes of a value come from, and lengths and texts as `chunk` draws them, read back.
//!
//! A source tells how much is still to come, so that nothing is made ready for what cannot be there.

use std::borrow::Cow;

use super::chunk::{COMPRESSED, INT_8, INT_16, INT_32, LEN_32, LEN_64};
use crate::ds::blob::BLOB_MAX;
use crate::ds::item::Item;
use crate::types::stream::{self, StreamId};
use crate::util::lzf;
use crate::util::number::write_i64;

/// Why bytes are no value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Malformed(pub Cow<'static, str>);

impl Malformed {
    pub const fn new(reason: &'static str) -> Self {
        Self(Cow::Borrowed(reason))
    }
}

impl From<stream::Malformed> for Malformed {
    fn from(malformed: stream::Malformed) -> Self {
        Self::new(malformed.0)
    }
}

/// A length, or what stands in its place before a text.
enum Length {
    Plain(u64),
    Special(u8),
}

pub trait Source {
    /// The next bytes, exactly so many.
    fn take(&mut self, bytes: usize) -> Result<&[u8], Malformed>;

    /// How many bytes are still to come, at most.
    fn left(&self) -> u64;

    #[inline]
    fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// Eight bytes, little end first.
    #[inline]
    fn word(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// A stream's id as 16 bytes, big end first.
    fn id(&mut self) -> Result<StreamId, Malformed> {
        self.array().map(StreamId::from_key)
    }

    #[inline]
    fn length(&mut self) -> Result<u64, Malformed> {
        match length_or_special(self)? {
            Length::Plain(length) => Ok(length),
            Length::Special(_) => Err(Malformed::new("a text stands where a length belongs")),
        }
    }

    /// How many things of at least `bytes_min` bytes each follow.
    fn count(&mut self, bytes_min: u64) -> Result<usize, Malformed> {
        let count = self.length()?;
        if count.saturating_mul(bytes_min.max(1)) > self.left() {
            return Err(Malformed::new("more elements are announced than there are bytes for"));
        }
        usize::try_from(count).map_err(|_| Malformed::new("more elements are announced than there is memory for"))
    }

    /// A text where it stands, or in `scratch` where it was compressed; or the number that stands for it.
    #[inline]
    fn item<'a>(&'a mut self, scratch: &'a mut Vec<u8>) -> Result<Item<'a>, Malformed> {
        match length_or_special(self)? {
            Length::Plain(length) => Ok(Item::Bytes(self.take(text_bytes(length)?)?)),
            Length::Special(special) => Ok(match special_item(self, special, scratch)? {
                Some(value) => Item::Int(value),
                None => Item::Bytes(scratch),
            }),
        }
    }

    /// A text, put into `out` in place of what it holds.
    fn text(&mut self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        out.clear();
        match length_or_special(self)? {
            Length::Plain(length) => out.extend_from_slice(self.take(text_bytes(length)?)?),
            Length::Special(special) => {
                special_item(self, special, out)?.into_iter().for_each(|value| write_i64(out, value))
            }
        }
        Ok(())
    }
}

/// Bytes at hand.
pub struct Slice<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Slice<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Where the next byte is.
    pub fn offset(&self) -> usize {
        self.at
    }
}

impl Source for Slice<'_> {
    #[inline]
    fn take(&mut self, bytes: usize) -> Result<&[u8], Malformed> {
        let taken = self.bytes[self.at..].get(..bytes).ok_or(Malformed::new("the bytes end too soon"))?;
        self.at += bytes;
        Ok(taken)
    }

    fn left(&self) -> u64 {
        (self.bytes.len() - self.at) as u64
    }
}

#[inline]
fn length_or_special<S: Source + ?Sized>(source: &mut S) -> Result<Length, Malformed> {
    let first = source.byte()?;
    let length = match first {
        0..0x40 => u64::from(first),
        0x40..0x80 => u64::from(first & 0x3F) << 8 | u64::from(source.byte()?),
        LEN_32 => u64::from(u32::from_be_bytes(source.array()?)),
        LEN_64 => u64::from_be_bytes(source.array()?),
        0xC0.. => return Ok(Length::Special(first)),
        _ => return Err(Malformed::new("a length has an unknown form")),
    };
    Ok(Length::Plain(length))
}

/// What stands in the place of a plain text: a number is given back, a compressed text put into `out`.
fn special_item<S: Source + ?Sized>(source: &mut S, special: u8, out: &mut Vec<u8>) -> Result<Option<i64>, Malformed> {
    let number = match special {
        INT_8 => i64::from(source.byte()? as i8),
        INT_16 => i64::from(i16::from_le_bytes(source.array()?)),
        INT_32 => i64::from(i32::from_le_bytes(source.array()?)),
        COMPRESSED => {
            let compressed = text_bytes(source.length()?)?;
            let whole = text_bytes(source.length()?)?;
            if !lzf::is_plausible(compressed, whole) {
                return Err(Malformed::new("a compressed text cannot be as long as it says"));
            }
            out.clear();
            lzf::decompress(source.take(compressed)?, whole, out)
                .ok_or(Malformed::new("a compressed text is broken"))?;
            return Ok(None);
        }
        _ => return Err(Malformed::new("a text has an unknown encoding")),
    };
    Ok(Some(number))
}

fn text_bytes(length: u64) -> Result<usize, Malformed> {
    usize::try_from(length)
        .ok()
        .filter(|&length| length <= BLOB_MAX)
        .ok_or(Malformed::new("a text is longer than any can be"))
}
