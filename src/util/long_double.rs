//! The arithmetic of INCRBYFLOAT and HINCRBYFLOAT: 80-bit floating point, printed with 17 decimals.
//!
//! Redis computes with x86's `long double`, and clients see it: 0.1 + 0.2 is 0.3 here. This file gives the same bytes on
//! every processor. Common numbers are read and printed with integer arithmetic, the rest by `rustc_apfloat`.
//! Scores are doubles and live in `util::float`.

use crate::util::float::{has_nonzero_digit, hexadecimal, round_binary};
use crate::util::number::write_i64;
use rustc_apfloat::ieee::X87DoubleExtended;
use rustc_apfloat::{Float, Round};

/// A number with a 64-bit mantissa, as wide as x86's `long double`. Never NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LongDouble(X87DoubleExtended);

/// Why two texts have no sum. The commands have a sentence of their own for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatError {
    /// The present value is no number.
    Current,
    /// The increment is no number.
    Increment,
    /// The sum would be infinite or NaN.
    NotFinite,
}

/// The sum of two numbers as text. The present value is looked at first.
pub fn add_long_double(current: &[u8], increment: &[u8]) -> Result<Vec<u8>, FloatError> {
    let current = LongDouble::parse(current).ok_or(FloatError::Current)?;
    let increment = LongDouble::parse(increment).ok_or(FloatError::Increment)?;
    let sum = current.checked_add(increment).ok_or(FloatError::NotFinite)?;
    let mut out = Vec::with_capacity(24);
    sum.write(&mut out);
    Ok(out)
}

impl LongDouble {
    pub const ZERO: Self = Self(X87DoubleExtended::ZERO);

    /// Parses decimal or C's hexadecimal notation, or an infinity, of at most 5119 bytes.
    ///
    /// Refused: the empty text, spaces anywhere, `nan`, what is too large, and what is not zero but rounds to it.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_MAX {
            return None;
        }
        let (negative, unsigned) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        let magnitude = match parse_short_decimal(unsigned) {
            Some(magnitude) => magnitude,
            None => parse_unusual(unsigned)?,
        };
        Some(Self(if negative { -magnitude } else { magnitude }))
    }

    /// The same number, exactly; `None` for NaN.
    pub fn from_f64(value: f64) -> Option<Self> {
        if value.is_nan() {
            return None;
        }
        let bits = u128::from(value.to_bits());
        let double = rustc_apfloat::ieee::Double::from_bits(bits);
        Some(Self(rustc_apfloat::FloatConvert::convert(double, &mut false).value))
    }

    pub fn is_finite(self) -> bool {
        self.0.is_finite()
    }

    /// This many times the number, rounded up to a whole one; what an `i64` cannot hold becomes its nearest end.
    pub fn times_rounded_up(self, factor: u32) -> i64 {
        let product = (self.0 * X87DoubleExtended::from_u128(u128::from(factor)).value).value;
        product.to_i128_r(64, Round::TowardPositive, &mut false).value as i64
    }

    /// The sum rounded half to even, where it is finite.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let sum = (self.0 + other.0).value;
        sum.is_finite().then_some(Self(sum))
    }

    /// Appends the number with at most 17 decimals and without needless zeros; never an exponent.
    ///
    /// The largest has 4932 digits.
    pub fn write(self, out: &mut Vec<u8>) {
        let bits = self.0.to_bits();
        let negative = bits >> 79 & 1 == 1;
        if self.0.is_infinite() {
            out.extend_from_slice(if negative { b"-inf" } else { b"inf" });
            return;
        }
        let mantissa = bits as u64;
        let exponent = ((bits >> 64 & 0x7fff) as i32).max(1) - EXPONENT_BIAS - 63;
        let start = out.len();
        if negative {
            out.push(b'-');
        }
        match exponent {
            1.. => write_large(out, mantissa, exponent as u32),
            _ => write_small(out, mantissa, exponent.unsigned_abs()),
        }
        if &out[start..] == b"-0" {
            out.remove(start);
        }
    }
}

/// What Redis's buffer for such a text holds beside the closing NUL.
const TEXT_MAX: usize = 5 * 1024 - 1;

const EXPONENT_BIAS: i32 = 16383;

/// Decimals that are printed, and the power of ten that makes them whole.
const DECIMALS: usize = 17;
const DECIMALS_UNIT: u64 = 10u64.pow(DECIMALS as u32);

// ---------------------------------------------------------------------------------------------------------------
// Reading

/// At most 19 digits with a point among them and nothing else: one division gives the correctly rounded mantissa.
fn parse_short_decimal(text: &[u8]) -> Option<X87DoubleExtended> {
    if text.len() > 20 {
        return None;
    }
    let mut number: u64 = 0;
    let mut digits = 0;
    let mut point = None;
    for (at, &byte) in text.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
            digits += 1;
        } else if byte == b'.' && point.is_none() {
            point = Some(at);
        } else {
            return None;
        }
    }
    if digits == 0 {
        return None;
    }
    let decimals = point.map_or(0, |at| text.len() - 1 - at);
    if number == 0 {
        return Some(X87DoubleExtended::ZERO);
    }
    let divisor = 10u64.checked_pow(decimals as u32)?;
    Some(divide(number, divisor))
}

/// The quotient of two numbers that are not zero, rounded half to even to 64 bits.
fn divide(number: u64, divisor: u64) -> X87DoubleExtended {
    let mut exponent = divisor.leading_zeros() as i32 - number.leading_zeros() as i32;
    let number = number << number.leading_zeros();
    let divisor = divisor << divisor.leading_zeros();
    // With the top bits aligned the quotient lies between 1/2 and 2; shifted so, it has exactly 64 bits.
    let shift = if number >= divisor { 63 } else { 64 };
    exponent += 63 - shift;
    let shifted = u128::from(number) << shift;
    let quotient = (shifted / u128::from(divisor)) as u64;
    let rest = shifted % u128::from(divisor);
    let up = match (rest * 2).cmp(&u128::from(divisor)) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => quotient & 1 == 1,
        std::cmp::Ordering::Greater => true,
    };
    match quotient.checked_add(u64::from(up)) {
        Some(mantissa) => normal(mantissa, exponent),
        None => normal(1 << 63, exponent + 1),
    }
}

/// The number `mantissa * 2^(exponent - 63)`, the mantissa's top bit being set.
fn normal(mantissa: u64, exponent: i32) -> X87DoubleExtended {
    debug_assert!(mantissa >> 63 == 1 && (-16382..=16383).contains(&exponent));
    let biased = (exponent + EXPONENT_BIAS) as u128;
    X87DoubleExtended::from_bits(biased << 64 | u128::from(mantissa))
}

/// Long numbers, exponents, hexadecimal, infinities; without a sign.
fn parse_unusual(text: &[u8]) -> Option<X87DoubleExtended> {
    if text.eq_ignore_ascii_case(b"inf") || text.eq_ignore_ascii_case(b"infinity") {
        return Some(X87DoubleExtended::INFINITY);
    }
    if let Some(literal) = hexadecimal(text) {
        if text[0] != b'0' {
            return None;
        }
        if literal.mantissa == 0 {
            return Some(X87DoubleExtended::ZERO);
        }
        let (mantissa, exponent) = round_binary(&literal, 64, -16445)?;
        let exponent = i32::try_from(exponent).unwrap_or(i32::MAX);
        let value = X87DoubleExtended::from_u128(mantissa).value.scalbn(exponent);
        return value.is_finite().then_some(value);
    }
    let value = parse_long_decimal(text)?;
    let refused = value.is_infinite() || (value.is_zero() && has_nonzero_digit(text));
    (!refused).then_some(value)
}

/// Decimal notation of any length. The syntax is checked here, so that `rustc_apfloat` sees only what it reads alike.
fn parse_long_decimal(text: &[u8]) -> Option<X87DoubleExtended> {
    let mark = text.iter().position(|byte| byte.eq_ignore_ascii_case(&b'e'));
    let (digits, exponent) = match mark {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let points = digits.iter().filter(|&&byte| byte == b'.').count();
    let plain = digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    if !plain || points > 1 || digits.len() == points {
        return None;
    }
    if let Some(exponent) = exponent {
        let unsigned = exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent);
        if unsigned.is_empty() || !unsigned.iter().all(u8::is_ascii_digit) {
            return None;
        }
    }
    let text = std::str::from_utf8(text).ok()?;
    X87DoubleExtended::from_str_r(text, Round::NearestTiesToEven).ok().map(|parsed| parsed.value)
}

// ---------------------------------------------------------------------------------------------------------------
// Printing

/// `mantissa / 2^exponent`, rounded half to even to 17 decimals.
fn write_small(out: &mut Vec<u8>, mantissa: u64, exponent: u32) {
    let whole = if exponent < 64 { mantissa >> exponent } else { 0 };
    let fraction = mantissa - if exponent < 64 { whole << exponent } else { 0 };
    // Less than 2^121, so the product is exact, and shifted by more it is less than a half.
    let product = u128::from(fraction) * u128::from(DECIMALS_UNIT);
    let mut decimals = 0;
    if (1..=122).contains(&exponent) {
        let rest = product & ((1 << exponent) - 1);
        let half = 1u128 << (exponent - 1);
        decimals = (product >> exponent) as u64;
        decimals += u64::from(rest > half || (rest == half && decimals & 1 == 1));
    }
    // The fraction may have been rounded up to 1. The whole part cannot overflow by that: it is not near 2^64 then.
    let whole = whole + decimals / DECIMALS_UNIT;
    decimals %= DECIMALS_UNIT;

    out.extend_from_slice(crate::util::number::IntegerText::unsigned(whole).as_bytes());
    if decimals == 0 {
        return;
    }
    out.push(b'.');
    let start = out.len();
    out.resize(start + DECIMALS, b'0');
    let mut left = decimals;
    for slot in out[start..].iter_mut().rev() {
        *slot = b'0' + (left % 10) as u8;
        left /= 10;
    }
    let zeros = out[start..].iter().rev().take_while(|&&byte| byte == b'0').count();
    out.truncate(out.len() - zeros);
}

/// `mantissa * 2^exponent` with all its digits.
fn write_large(out: &mut Vec<u8>, mantissa: u64, exponent: u32) {
    const LIMB: u64 = 1_000_000_000;
    // Limbs of nine digits, lowest first; the number is shifted in from the left, 29 bits at a time.
    let mut limbs: Vec<u32> = Vec::with_capacity(exponent as usize / 29 + 4);
    let mut left = mantissa;
    while left > 0 {
        limbs.push((left % LIMB) as u32);
        left /= LIMB;
    }
    let mut shift = exponent;
    while shift > 0 {
        let step = shift.min(29);
        let mut carry: u64 = 0;
        for limb in &mut limbs {
            let value = (u64::from(*limb) << step) + carry;
            *limb = (value % LIMB) as u32;
            carry = value / LIMB;
        }
        if carry > 0 {
            limbs.push(carry as u32);
        }
        shift -= step;
    }
    let Some((&first, rest)) = limbs.split_last() else {
        return out.push(b'0');
    };
    write_i64(out, i64::from(first));
    for &limb in rest.iter().rev() {
        let start = out.len();
        out.resize(start + 9, b'0');
        let mut left = limb;
        for slot in out[start..].iter_mut().rev() {
            *slot = b'0' + (left % 10) as u8;
            left /= 10;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(one: &str, two: &str) -> Result<String, FloatError> {
        add_long_double(one.as_bytes(), two.as_bytes()).map(|text| String::from_utf8(text).expect("ASCII"))
    }

    #[test]
    fn adds_as_redis_does() {
        for (one, two, expected) in [
            ("0.1", "0.2", "0.3"),
            ("10.5", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("-0", "0", "0"),
            ("0", "-1e-18", "0"),
            ("0", "5e-18", "0"),
            ("0", "1e-17", "0.00000000000000001"),
            ("0", "18446744073709551615.5", "18446744073709551616"),
            ("0", "123456789012345678901234567890", "123456789012345678899921813504"),
            ("0", "0x1.8", "1.5"),
            ("0", "1e-4940", "0"),
            ("3", "-3.5", "-0.5"),
        ] {
            assert_eq!(sum(one, two).as_deref(), Ok(expected), "{one} + {two}");
        }
    }

    #[test]
    fn refuses_as_redis_does() {
        for text in
            ["", " 1", "1 ", "nan", "1e5000", "1e-5000", "0x", "0x1p1000000", "1\0", "+", ".", "1e", "+-1", "-+0x1"]
        {
            assert_eq!(sum(text, "1"), Err(FloatError::Current), "{text:?}");
            assert_eq!(sum("1", text), Err(FloatError::Increment), "{text:?}");
        }
        for text in ["inf", "-Infinity"] {
            assert_eq!(sum("1", text), Err(FloatError::NotFinite), "{text:?}");
        }
        assert_eq!(sum("1e4932", "1e4932"), Err(FloatError::NotFinite));
        assert_eq!(sum(&"0".repeat(TEXT_MAX), "1").as_deref(), Ok("1"));
        assert_eq!(sum(&"0".repeat(TEXT_MAX + 1), "1"), Err(FloatError::Current));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn the_short_way_reads_what_the_long_way_reads(whole in 0u64..1_000_000_000_000, decimals in 0u64..1_000_000, width in 1usize..8) {
            let text = format!("{whole}.{decimals:0width$}");
            prop_assert_eq!(parse_short_decimal(text.as_bytes()), parse_long_decimal(text.as_bytes()));
        }

        #[test]
        fn doubles_with_few_decimals_print_exactly(whole in -(1i64 << 36)..1 << 36, sixteenths in 0u8..16) {
            let value = whole as f64 + f64::from(sixteenths) / 16.0;
            let mut out = Vec::new();
            LongDouble::from_f64(value).expect("a number").write(&mut out);
            prop_assert_eq!(String::from_utf8(out).expect("ASCII"), value.to_string().replace("-0", if value == 0.0 { "0" } else { "-0" }));
        }

        #[test]
        fn the_large_way_prints_what_the_standard_library_prints(mantissa in 1u64.., exponent in 1u32..64) {
            let mut out = Vec::new();
            write_large(&mut out, mantissa, exponent);
            prop_assert_eq!(String::from_utf8(out).expect("ASCII"), (u128::from(mantissa) << exponent).to_string());
        }

        #[test]
        fn no_text_panics(text: Vec<u8>) {
            LongDouble::parse(&text);
        }
    }
}
