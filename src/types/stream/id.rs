//! Stream ids: 128 bits, `milliseconds-sequence`, and every way a command may write one.
//!
//! What makes an id invalid is said as a value; the words of the error replies are the command layer's.

use crate::util::number::{parse_i64, write_digits_before};

/// The id of an entry. Ordered by time first, then by sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    pub ms: u64,
    pub seq: u64,
}

/// Why a text is no id, or no end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdError {
    /// "Invalid stream ID specified as stream command argument"
    Invalid,
    /// `(` before the greatest id there is: "invalid start ID for the interval"
    NothingAbove,
    /// `(` before the least id there is: "invalid end ID for the interval"
    NothingBelow,
}

/// The id as XADD is asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewId {
    /// `*`
    Auto,
    /// `ms-*`
    AutoSeq(u64),
    Exact(StreamId),
}

/// The id as XREAD, XREADGROUP and XGROUP are given it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    After(StreamId),
    /// `$`: after what is there now.
    LastId,
    /// `+`: the last entry itself.
    LastEntry,
    /// `>`: what the group has not delivered yet.
    New,
}

/// An id as text in a small stack buffer.
pub struct IdText {
    bytes: [u8; ID_TEXT_MAX],
    start: u8,
}

/// Two numbers of twenty digits, and a dash.
const ID_TEXT_MAX: usize = 41;

impl StreamId {
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    pub const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// The id as a key whose byte order is the ids' order.
    #[inline]
    pub fn to_key(self) -> [u8; 16] {
        ((u128::from(self.ms) << 64) | u128::from(self.seq)).to_be_bytes()
    }

    #[inline]
    pub fn from_key(key: [u8; 16]) -> Self {
        let whole = u128::from_be_bytes(key);
        Self { ms: (whole >> 64) as u64, seq: whole as u64 }
    }

    /// The next id, or nothing after the last one.
    #[inline]
    pub fn successor(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { ms: self.ms, seq }),
            None => Some(Self { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The id before, or nothing before `0-0`.
    #[inline]
    pub fn predecessor(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { ms: self.ms, seq }),
            None => Some(Self { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// `ms-seq`, or `ms` alone, whose sequence is then `seq_if_missing`.
    pub fn parse(text: &[u8], seq_if_missing: u64) -> Result<Self, IdError> {
        let (ms, seq) = split(text)?;
        let seq = seq.map_or(Some(seq_if_missing), parse_part).ok_or(IdError::Invalid)?;
        Ok(Self { ms, seq })
    }

    /// An id with both its parts written out.
    pub fn parse_strict(text: &[u8]) -> Result<Self, IdError> {
        if !text.contains(&b'-') {
            return Err(IdError::Invalid);
        }
        Self::parse(text, 0)
    }

    /// The lower end of a range: an id, `-`, `+`, or `(` and an id that is left out.
    pub fn parse_range_start(text: &[u8]) -> Result<Self, IdError> {
        match text.strip_prefix(b"(") {
            Some(text) => Self::parse(text, 0)?.successor().ok_or(IdError::NothingAbove),
            None => Self::parse_end(text, 0),
        }
    }

    /// The upper end of a range. A missing sequence means the whole millisecond.
    pub fn parse_range_end(text: &[u8]) -> Result<Self, IdError> {
        match text.strip_prefix(b"(") {
            Some(text) => Self::parse(text, u64::MAX)?.predecessor().ok_or(IdError::NothingBelow),
            None => Self::parse_end(text, u64::MAX),
        }
    }

    fn parse_end(text: &[u8], seq_if_missing: u64) -> Result<Self, IdError> {
        match up_to_zero(text) {
            b"-" => Ok(Self::MIN),
            b"+" => Ok(Self::MAX),
            _ => Self::parse(text, seq_if_missing),
        }
    }

    #[inline]
    pub fn text(self) -> IdText {
        let mut bytes = [0; ID_TEXT_MAX];
        let dash = write_digits_before(&mut bytes, ID_TEXT_MAX, self.seq) - 1;
        bytes[dash] = b'-';
        let start = write_digits_before(&mut bytes, dash, self.ms);
        IdText { bytes, start: start as u8 }
    }
}

impl NewId {
    /// The id argument of XADD. `0-0` parses here and is refused by [`super::Stream::next_id`].
    pub fn parse(text: &[u8]) -> Result<Self, IdError> {
        if up_to_zero(text) == b"*" {
            return Ok(Self::Auto);
        }
        match split(text)? {
            (ms, Some(b"*")) => Ok(Self::AutoSeq(ms)),
            _ => StreamId::parse(text, 0).map(Self::Exact),
        }
    }
}

impl ReadFrom {
    /// Which of the special ids a command allows is for the command to say.
    pub fn parse(text: &[u8]) -> Result<Self, IdError> {
        match up_to_zero(text) {
            b"$" => Ok(Self::LastId),
            b"+" => Ok(Self::LastEntry),
            b">" => Ok(Self::New),
            _ => StreamId::parse(text, 0).map(Self::After),
        }
    }
}

impl IdText {
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}-{}", self.ms, self.seq)
    }
}

/// Redis reads ids from a buffer of 128 bytes and refuses what does not fit.
const TEXT_LEN_MAX: usize = 127;

/// An id as Redis sees it: up to its first zero byte.
fn up_to_zero(text: &[u8]) -> &[u8] {
    &text[..text.iter().position(|&byte| byte == 0).unwrap_or(text.len())]
}

fn split(text: &[u8]) -> Result<(u64, Option<&[u8]>), IdError> {
    if text.len() > TEXT_LEN_MAX {
        return Err(IdError::Invalid);
    }
    let text = up_to_zero(text);
    let (ms, seq) = match memchr::memchr(b'-', text) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    Ok((parse_part(ms).ok_or(IdError::Invalid)?, seq))
}

/// A part of an id as Redis reads it: a strict integer that is not negative, or else whatever C's `strtoull` takes:
/// leading blanks, a sign (a minus wraps around), leading zeros.
fn parse_part(text: &[u8]) -> Option<u64> {
    if let Some(value) = parse_i64(text) {
        return u64::try_from(value).ok();
    }
    let text = &text[text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count()..];
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        _ => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    let value = digits.iter().try_fold(0u64, |value, &byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit <= 9).then(|| value.checked_mul(10)?.checked_add(u64::from(digit))).flatten()
    })?;
    Some(if negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_redis_reads() {
        let id = |text: &str| StreamId::parse(text.as_bytes(), 9);
        assert_eq!(id("5"), Ok(StreamId::new(5, 9)));
        assert_eq!(id("007-01"), Ok(StreamId::new(7, 1)));
        assert_eq!(id(" 5-+3"), Ok(StreamId::new(5, 3)));
        assert_eq!(id("1--05"), Ok(StreamId::new(1, 5u64.wrapping_neg())));
        assert_eq!(id("18446744073709551615-18446744073709551615"), Ok(StreamId::MAX));
        for text in ["", "-", "+", "*", "1-", "-1", "1--5", "1-*", "5-0x1", "1-2-3", "18446744073709551616-0", "5 -1"] {
            assert_eq!(id(text), Err(IdError::Invalid), "{text:?}");
        }
        assert_eq!(StreamId::parse(&[b'0'; 127], 0), Ok(StreamId::MIN));
        assert_eq!(StreamId::parse(&[b'0'; 128], 0), Err(IdError::Invalid));
    }

    #[test]
    fn ranges_end_where_redis_ends_them() {
        let (start, end) = (StreamId::parse_range_start, StreamId::parse_range_end);
        assert_eq!((start(b"-"), end(b"+")), (Ok(StreamId::MIN), Ok(StreamId::MAX)));
        assert_eq!((start(b"(5"), end(b"(5")), (Ok(StreamId::new(5, 1)), Ok(StreamId::new(5, u64::MAX - 1))));
        assert_eq!(end(b"(5-0"), Ok(StreamId::new(4, u64::MAX)));
        assert_eq!(start(b"(18446744073709551615-18446744073709551615"), Err(IdError::NothingAbove));
        assert_eq!(end(b"(0-0"), Err(IdError::NothingBelow));
        assert_eq!((start(b"(-"), end(b"(+")), (Err(IdError::Invalid), Err(IdError::Invalid)));
    }

    #[test]
    fn special_ids() {
        assert_eq!(NewId::parse(b"*"), Ok(NewId::Auto));
        assert_eq!(NewId::parse(b"7-*"), Ok(NewId::AutoSeq(7)));
        assert_eq!(NewId::parse(b"7"), Ok(NewId::Exact(StreamId::new(7, 0))));
        assert_eq!(NewId::parse(b"*-1"), Err(IdError::Invalid));
        assert_eq!(ReadFrom::parse(b"$"), Ok(ReadFrom::LastId));
        assert_eq!(ReadFrom::parse(b"7"), Ok(ReadFrom::After(StreamId::new(7, 0))));
        assert_eq!(StreamId::parse_strict(b"7"), Err(IdError::Invalid));
    }

    proptest! {
        #[test]
        fn text_key_and_neighbours_agree(ms: u64, seq in prop_oneof![any::<u64>(), Just(0), Just(u64::MAX)]) {
            let id = StreamId::new(ms, seq);
            prop_assert_eq!(StreamId::parse(id.text().as_bytes(), 0), Ok(id));
            let (shown, text) = (id.to_string(), id.text());
            prop_assert_eq!(shown.as_bytes(), text.as_bytes());
            prop_assert_eq!(StreamId::from_key(id.to_key()), id);
            if let Some(next) = id.successor() {
                prop_assert!(next > id && next.to_key() > id.to_key());
                prop_assert_eq!(next.predecessor(), Some(id));
            }
        }
    }
}
