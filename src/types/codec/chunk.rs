//! A run of RDB bytes on its way to a file, with notes of which texts in it may be compressed.
//!
//! Compressing is left to whoever has the time: the loop encodes and a thread packs. Lengths and texts have their form here.
//!
//! ```text
//!   00llllll                         length below 64
//!   01llllll llllllll                below 16,384
//!   10000000 l l l l                 below 2^32, big end first
//!   10000001 l l l l l l l l         any
//!   11000000 v    11000001 v v    11000010 v v v v     in place of a text: a number, little end first
//!   11000011 size length data        in place of a text: compressed, both lengths as above
//! ```

use std::ops::Range;

use crate::ds::item::Item;
use crate::util::lzf::Compressor;
use crate::util::number::{IntegerText, parse_i64};

#[derive(Default)]
pub struct Chunk {
    bytes: Vec<u8>,
    texts: Vec<Range<usize>>,
    compresses: bool,
}

pub(super) const LEN_14: u8 = 0x40;
pub(super) const LEN_32: u8 = 0x80;
pub(super) const LEN_64: u8 = 0x81;
pub(super) const INT_8: u8 = 0xC0;
pub(super) const INT_16: u8 = 0xC1;
pub(super) const INT_32: u8 = 0xC2;
pub(super) const COMPRESSED: u8 = 0xC3;

/// Shorter texts are not worth the attempt.
const COMPRESSED_MIN: usize = 21;
/// What compression has to save.
const GAIN_MIN: usize = 4;
/// The longest text that may be a number of 32 bits.
const NUMBER_MAX: usize = 11;

impl Chunk {
    /// An empty one; `compresses` is `rdbcompression`.
    pub fn new(compresses: bool) -> Self {
        Self { compresses, ..Self::default() }
    }

    pub fn with_capacity(compresses: bool, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), texts: Vec::new(), compresses }
    }

    /// The bytes with nothing compressed: whole in themselves.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes it takes.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.texts.capacity() * size_of::<Range<usize>>()
    }

    /// The same with its bytes packed: nothing in it is to be compressed any more. `room` is for the bytes and comes back filled with the old ones.
    pub fn packed(mut self, compressor: &mut Compressor, room: &mut Vec<u8>) -> Self {
        if self.is_packed() {
            return self;
        }
        room.clear();
        self.pack(compressor, room);
        std::mem::swap(&mut self.bytes, room);
        self.texts.clear();
        self
    }

    /// Whether packing would change nothing.
    pub fn is_packed(&self) -> bool {
        self.texts.is_empty()
    }

    /// Adds all of another one.
    pub fn append(&mut self, other: &Chunk) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.texts.extend(other.texts.iter().map(|text| text.start + start..text.end + start));
    }

    /// Empty again, with its room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.texts.clear();
    }

    /// Appends the bytes to `out`, with texts compressed where that is wanted and makes them smaller.
    pub fn pack(&self, compressor: &mut Compressor, out: &mut Vec<u8>) {
        out.reserve(self.bytes.len());
        let mut done = 0;
        for text in &self.texts {
            let head = text.start - length_bytes(text.len());
            out.extend_from_slice(&self.bytes[done..head]);
            if !compress(compressor, &self.bytes[text.clone()], out) {
                out.extend_from_slice(&self.bytes[head..text.end]);
            }
            done = text.end;
        }
        out.extend_from_slice(&self.bytes[done..]);
    }

    /// The packed bytes. A compressor is made only where there is something to compress.
    pub fn into_packed(self) -> Vec<u8> {
        if self.texts.is_empty() {
            return self.bytes;
        }
        let mut out = Vec::new();
        self.pack(&mut Compressor::new(), &mut out);
        out
    }

    #[inline]
    pub fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// A length, or any other number that is mostly small.
    #[inline]
    pub fn length(&mut self, length: u64) {
        write_length(&mut self.bytes, length);
    }

    /// Milliseconds, or any other word: eight bytes, little end first.
    #[inline]
    pub fn word(&mut self, word: u64) {
        self.raw(&word.to_le_bytes());
    }

    /// A text, as a number where it is one of at most 32 bits.
    #[inline]
    pub fn text(&mut self, text: &[u8]) {
        if text.len() <= NUMBER_MAX
            && let Some(value) = parse_i64(text)
            && self.short_number(value)
        {
            return;
        }
        self.blob(text);
    }

    /// A text that is no number: a node of a list, a key of a tree.
    #[inline]
    pub fn blob(&mut self, text: &[u8]) {
        self.length(text.len() as u64);
        let start = self.bytes.len();
        self.raw(text);
        if self.compresses && text.len() >= COMPRESSED_MIN {
            self.texts.push(start..start + text.len());
        }
    }

    #[inline]
    pub fn number(&mut self, value: i64) {
        if !self.short_number(value) {
            let text = IntegerText::new(value);
            self.length(text.as_bytes().len() as u64);
            self.raw(text.as_bytes());
        }
    }

    #[inline]
    pub fn item(&mut self, item: Item<'_>) {
        match item {
            Item::Bytes(text) => self.text(text),
            Item::Int(value) => self.number(value),
        }
    }

    /// A number of at most 32 bits; false where it has more.
    fn short_number(&mut self, value: i64) -> bool {
        let bytes = value.to_le_bytes();
        let (mark, width) = match value ^ (value >> 63) {
            0..=0x7F => (INT_8, 1),
            0x80..=0x7FFF => (INT_16, 2),
            0x8000..=0x7FFF_FFFF => (INT_32, 4),
            _ => return false,
        };
        self.byte(mark);
        self.raw(&bytes[..width]);
        true
    }
}

fn compress(compressor: &mut Compressor, text: &[u8], out: &mut Vec<u8>) -> bool {
    // The lengths stand before the data: written first for the text's own length, and put right afterwards.
    let start = out.len();
    out.push(COMPRESSED);
    let room = length_bytes(text.len());
    out.resize(start + 1 + room, 0);
    write_length(out, text.len() as u64);
    let data = out.len();
    if !compressor.compress(text, GAIN_MIN, out) {
        out.truncate(start);
        return false;
    }
    let (end, mut head) = (out.len(), [0; 9]);
    write_length(out, (end - data) as u64);
    let head = &mut head[..out.len() - end];
    head.copy_from_slice(&out[end..]);
    out.truncate(end);
    if head.len() == room {
        out[start + 1..start + 1 + room].copy_from_slice(head);
    } else {
        out.splice(start + 1..start + 1 + room, head.iter().copied());
    }
    true
}

fn write_length(out: &mut Vec<u8>, length: u64) {
    match length {
        0..0x40 => out.push(length as u8),
        0x40..0x4000 => out.extend_from_slice(&[LEN_14 | (length >> 8) as u8, length as u8]),
        0x4000..=0xFFFF_FFFF => {
            out.push(LEN_32);
            out.extend_from_slice(&(length as u32).to_be_bytes());
        }
        _ => {
            out.push(LEN_64);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
}

fn length_bytes(length: usize) -> usize {
    match length {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        0x4000..=0xFFFF_FFFF => 5,
        _ => 9,
    }
}
