//! An element as the compact containers hand it out: a run of bytes, or a number that was stored as a number.
//!
//! Listpacks and intsets keep `"123"` as an integer; whoever reads one gets an `Item` and turns it into text
//! only where text is needed.

use crate::util::number::{IntegerText, decimal_len, parse_i64, write_i64};

/// One element of a compact container. Two items are the same element when their texts are the same.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    Bytes(&'a [u8]),
    Int(i64),
}

/// Keeps the text of a numeric item alive while it is looked at.
#[derive(Default)]
pub struct ItemText(Option<IntegerText>);

impl<'a> Item<'a> {
    /// Bytes of the item's text.
    #[inline]
    pub fn len(&self) -> usize {
        match *self {
            Item::Bytes(bytes) => bytes.len(),
            Item::Int(value) => decimal_len(value),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item's text; `scratch` holds it where the item is a number.
    #[inline]
    pub fn text<'b>(&self, scratch: &'b mut ItemText) -> &'b [u8]
    where
        'a: 'b,
    {
        match *self {
            Item::Bytes(bytes) => bytes,
            Item::Int(value) => scratch.0.insert(IntegerText::new(value)).as_bytes(),
        }
    }

    /// Appends the item's text.
    #[inline]
    pub fn write_to(&self, out: &mut Vec<u8>) {
        match *self {
            Item::Bytes(bytes) => out.extend_from_slice(bytes),
            Item::Int(value) => write_i64(out, value),
        }
    }

    /// The item's text in a vector of its own.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_to(&mut out);
        out
    }

    /// The item as a canonical integer, where its text is one.
    #[inline]
    pub fn as_int(&self) -> Option<i64> {
        match *self {
            Item::Bytes(bytes) => parse_i64(bytes),
            Item::Int(value) => Some(value),
        }
    }
}

impl PartialEq<[u8]> for Item<'_> {
    #[inline]
    fn eq(&self, other: &[u8]) -> bool {
        match *self {
            Item::Bytes(bytes) => bytes == other,
            Item::Int(value) => parse_i64(other) == Some(value),
        }
    }
}

impl PartialEq for Item<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (*self, *other) {
            (Item::Int(one), Item::Int(two)) => one == two,
            (Item::Bytes(bytes), item) | (item, Item::Bytes(bytes)) => item == *bytes,
        }
    }
}

impl Eq for Item<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_their_texts_are_the_same_element() {
        assert_eq!(Item::Int(7), Item::Bytes(b"7"));
        assert_ne!(Item::Int(7), Item::Bytes(b"07"));
        assert_eq!(Item::Int(-7).to_vec(), b"-7");
        assert_eq!(Item::Bytes(b"12").as_int(), Some(12));
    }
}
