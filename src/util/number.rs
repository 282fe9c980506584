//! Integers as text, both ways, by Redis's strict rules.
//!
//! Strict means: what `parse_i64` accepts is exactly what `write_i64` would print, so a value may be stored
//! as a number and given back byte for byte. Floating-point text lives in `util::float`.

/// Room for the longest `i64` ("-9223372036854775808", 20 bytes) and the longest `u64`.
pub const INTEGER_TEXT_MAX: usize = 20;

/// Parses a canonical decimal integer: no sign but `-`, no leading zeros, no spaces, no `-0`, in range.
///
/// Returns `None` for anything that would not print back the same. O(1): at most 20 bytes are read.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let magnitude = parse_u64(digits)?;
    if !negative {
        return i64::try_from(magnitude).ok();
    }
    match magnitude {
        0 => None,
        _ => 0i64.checked_sub_unsigned(magnitude),
    }
}

/// Parses a canonical unsigned decimal integer: digits only, no leading zeros, in range.
#[inline]
pub fn parse_u64(digits: &[u8]) -> Option<u64> {
    match digits {
        [] => return None,
        [b'0'] => return Some(0),
        [b'0', ..] => return None,
        _ if digits.len() > INTEGER_TEXT_MAX => return None,
        _ => {}
    }
    let mut value: u64 = 0;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(value)
}

/// An integer written as text into a small stack buffer.
pub struct IntegerText {
    bytes: [u8; INTEGER_TEXT_MAX],
    start: u8,
}

impl IntegerText {
    /// The decimal text of `value`.
    #[inline]
    pub fn new(value: i64) -> Self {
        let mut text = Self::unsigned(value.unsigned_abs());
        if value < 0 {
            text.start -= 1;
            text.bytes[usize::from(text.start)] = b'-';
        }
        text
    }

    /// The decimal text of an unsigned value.
    #[inline]
    pub fn unsigned(value: u64) -> Self {
        let mut bytes = [0; INTEGER_TEXT_MAX];
        let start = write_digits_before(&mut bytes, INTEGER_TEXT_MAX, value);
        Self { bytes, start: start as u8 }
    }

    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }
}

/// Bytes of the decimal text of `value`.
#[inline]
pub fn decimal_len(value: i64) -> usize {
    let digits = value.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1;
    digits + usize::from(value < 0)
}

/// Writes the decimal text of `value` so that it ends before `bytes[end]`; gives back where it begins.
#[inline]
pub fn write_digits_before(bytes: &mut [u8], end: usize, mut value: u64) -> usize {
    let mut start = end;
    while value >= 10 {
        let pair = 2 * (value % 100) as usize;
        value /= 100;
        start -= 2;
        bytes[start..start + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    // What is left is one digit, or nothing behind a pair.
    if value > 0 || start == end {
        start -= 1;
        bytes[start] = b'0' + value as u8;
    }
    start
}

/// "00", "01" … "99".
const PAIRS: [u8; 200] = {
    let mut pairs = [0; 200];
    let mut number = 0;
    while number < 100 {
        pairs[2 * number] = b'0' + (number / 10) as u8;
        pairs[2 * number + 1] = b'0' + (number % 10) as u8;
        number += 1;
    }
    pairs
};

/// Appends the decimal text of `value`.
#[inline]
pub fn write_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(IntegerText::new(value).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_everything_that_would_not_print_back() {
        for text in ["", "-", "+1", "01", "-0", " 1", "1 ", "1.0", "9223372036854775808", "-9223372036854775809", "0x1"]
        {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse_i64(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
    }

    proptest! {
        #[test]
        fn text_and_value_agree(value: i64) {
            let text = IntegerText::new(value);
            let expected = value.to_string();
            prop_assert_eq!(text.as_bytes(), expected.as_bytes());
            prop_assert_eq!(parse_i64(text.as_bytes()), Some(value));
        }
    }
}
