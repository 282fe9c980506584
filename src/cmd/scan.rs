//! What the commands of the SCAN family have in common: the cursor, and MATCH and COUNT behind it.
//!
//! Redis reads the cursor before it looks at the key and the options only after it has found it, so these are two steps.

use super::args::Args;
use super::error::{SYNTAX, Stop, error};
use crate::resp::reply::{Output, Reply};
use crate::util::glob::Glob;
use crate::util::number::{IntegerText, parse_i64};

/// MATCH and COUNT, and HSCAN's NOVALUES.
pub struct Options<'a> {
    pub pattern: Option<Glob<'a>>,
    pub count: usize,
    pub values: bool,
}

impl<'a> Options<'a> {
    /// Reads all that is left.
    pub fn read(args: &mut Args<'a>) -> Result<Self, Stop> {
        Self::read_with(args, false)
    }

    /// Likewise, for HSCAN.
    pub fn read_of_hash(args: &mut Args<'a>) -> Result<Self, Stop> {
        Self::read_with(args, true)
    }

    fn read_with(args: &mut Args<'a>, takes_novalues: bool) -> Result<Self, Stop> {
        let mut options = Self { pattern: None, count: 10, values: true };
        while !args.is_empty() {
            if args.option_with_value("MATCH") {
                options.pattern = Some(Glob::new(args.next()?)).filter(|pattern| !pattern.is_any());
            } else if args.option_with_value("COUNT") {
                let count = args.int()?;
                options.count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or(SYNTAX)?;
            } else if takes_novalues && args.option("NOVALUES") {
                options.values = false;
            } else if args.option("NOVALUES") {
                return Err(error("ERR NOVALUES option can only be used in HSCAN"));
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(options)
    }

    pub fn admits(&self, text: &[u8]) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.matches(text))
    }
}

/// The cursor: a number, or else whatever C's `strtoul` makes of the text up to its first zero byte.
pub fn cursor(args: &mut Args) -> Result<u64, Stop> {
    let text = args.next()?;
    let cursor = match parse_i64(text) {
        Some(number) => u64::try_from(number).ok(),
        None => parse_as_c_does(text),
    };
    cursor.ok_or(error("ERR invalid cursor"))
}

/// Spaces and a sign may lead, and a minus wraps around.
fn parse_as_c_does(text: &[u8]) -> Option<u64> {
    let end = memchr::memchr(0, text).unwrap_or(text.len());
    let start = text[..end].iter().position(|byte| !matches!(byte, b' ' | b'\t'..=b'\r'))?;
    let (digits, negative) = match &text[start..end] {
        [b'-', digits @ ..] => (digits, true),
        [b'+', digits @ ..] => (digits, false),
        digits => (digits, false),
    };
    let value = digits.iter().try_fold(0u64, |value, digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    });
    let value = value.filter(|_| !digits.is_empty())?;
    Some(if negative { value.wrapping_neg() } else { value })
}

/// Writes the reply: `show` writes the elements and returns the next cursor and how many it wrote.
pub fn reply_page(reply: &mut Reply, show: impl FnOnce(&mut Reply) -> (u64, usize)) {
    let mut elements = Output::default();
    let (next, len) = show(&mut Reply::new(&mut elements, reply.protocol()));

    reply.array(2);
    reply.bulk(IntegerText::unsigned(next).as_bytes());
    reply.array(len);
    reply.output().append(elements);
}

#[cfg(test)]
mod tests {
    use super::parse_as_c_does;

    #[test]
    fn a_cursor_is_read_as_c_reads_numbers() {
        for (text, expected) in [
            (&b" +1\0x"[..], Some(1)),
            (b"\x0b007", Some(7)),
            (b"-0", Some(0)),
            (b" -1", Some(u64::MAX)),
            (b"18446744073709551616", None),
            (b"1 ", None),
            (b"+-1", None),
            (b"+", None),
            (b" ", None),
            (b"\0", None),
        ] {
            assert_eq!(parse_as_c_does(text), expected, "{text:?}");
        }
    }
}
