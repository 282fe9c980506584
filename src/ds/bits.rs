//! Strings as rows of bits: counting, finding, combining, and small numbers at any bit offset.
//!
//! Bit 0 is the highest bit of the first byte. Whatever lies behind the end reads as zero; making a string longer is
//! the caller's. The commands are in `cmd/bitmap.rs`.
//!
//! ```text
//!   byte        0                 1
//!   bit         0 1 2 3 4 5 6 7   8 9 10 …
//!               └─ u3 at 0 ─┘ └──── i6 at 5: highest bit first, two's complement ────┘
//! ```

use std::ops::Range;

/// How many bits are set.
pub fn count(bytes: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as knows;
        // SAFETY of each: the processor has just said that it knows the instructions.
        if knows!("avx512f") && knows!("avx512vpopcntdq") {
            return unsafe { count_avx512(bytes) };
        }
        if knows!("avx2") {
            return unsafe { count_avx2(bytes) };
        }
        if knows!("popcnt") {
            return unsafe { count_popcnt(bytes) };
        }
    }
    count_portable(bytes)
}

/// How many bits of a range are set.
pub fn count_range(bytes: &[u8], bits: Range<u64>) -> u64 {
    match Edges::new(bytes, bits) {
        None => 0,
        Some(edges) => {
            let ends = edges.first & edges.first_mask;
            let last = edges.last & edges.last_mask;
            count(edges.middle) + u64::from(ends.count_ones()) + u64::from(last.count_ones())
        }
    }
}

/// The first bit of a range that is set, or that is clear.
pub fn find(bytes: &[u8], bit: bool, bits: Range<u64>) -> Option<u64> {
    let start = bits.start;
    let edges = Edges::new(bytes, bits)?;
    // Flipped where a clear bit is sought, so that below it is always a set one.
    let flip = if bit { 0 } else { 0xff };
    let byte = start / 8;
    let within = |byte: u64, value: u8| byte * 8 + u64::from(value.leading_zeros());

    let first = (edges.first ^ flip) & edges.first_mask;
    if first != 0 {
        return Some(within(byte, first));
    }
    let (words, rest) = edges.middle.as_chunks::<8>();
    let skipped = words.iter().take_while(|word| **word == [flip; 8]).count() * 8;
    let tail = words.get(skipped / 8).map_or(rest, |word| &word[..]);
    if let Some(at) = tail.iter().position(|&value| value != flip) {
        return Some(within(byte + 1 + (skipped + at) as u64, tail[at] ^ flip));
    }
    let last = (edges.last ^ flip) & edges.last_mask;
    (last != 0).then(|| within(byte + 1 + edges.middle.len() as u64, last))
}

/// The bit at `offset`.
#[inline]
pub fn get_bit(bytes: &[u8], offset: u64) -> bool {
    let byte = usize::try_from(offset / 8).ok().and_then(|at| bytes.get(at));
    byte.is_some_and(|byte| byte >> (7 - offset % 8) & 1 == 1)
}

/// Sets or clears the bit at `offset` and returns what it was; does nothing behind the end.
#[inline]
pub fn set_bit(bytes: &mut [u8], offset: u64, bit: bool) -> bool {
    let Some(byte) = usize::try_from(offset / 8).ok().and_then(|at| bytes.get_mut(at)) else { return false };
    let mask = 0x80 >> (offset % 8);
    let before = *byte & mask != 0;
    *byte = if bit { *byte | mask } else { *byte & !mask };
    before
}

/// What BITOP does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    And,
    Or,
    Xor,
    /// The complement of the first source.
    Not,
    /// In the first and in none of the others.
    Diff,
    /// In one of the others and not in the first.
    Diff1,
    /// In the first and in one of the others.
    AndOr,
    /// In exactly one.
    One,
}

/// Combines the sources bit by bit, the shorter ones continued with zeros; the result is as long as the longest.
pub fn combine(operation: Operation, sources: &[&[u8]]) -> Vec<u8> {
    let length = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let [first, others @ ..] = sources else { return Vec::new() };
    let mut out = Vec::with_capacity(length);
    match operation {
        Operation::Not => out.extend(first.iter().map(|byte| !byte)),
        Operation::And => {
            extend_padded(&mut out, first, length);
            others.iter().for_each(|other| and_with(&mut out, other));
        }
        Operation::Or => {
            extend_padded(&mut out, first, length);
            others.iter().for_each(|other| each(&mut out, other, |one, two| *one |= two));
        }
        Operation::Xor => {
            extend_padded(&mut out, first, length);
            others.iter().for_each(|other| each(&mut out, other, |one, two| *one ^= two));
        }
        Operation::One => {
            extend_padded(&mut out, first, length);
            // A bit seen twice stays out, however often it comes again.
            let mut twice = vec![0; length];
            for other in others {
                for ((one, twice), two) in out.iter_mut().zip(&mut twice).zip(*other) {
                    *twice |= *one & two;
                    *one |= two;
                }
            }
            each(&mut out, &twice, |one, two| *one &= !two);
        }
        Operation::Diff | Operation::Diff1 | Operation::AndOr => {
            out.resize(length, 0);
            others.iter().for_each(|other| each(&mut out, other, |one, two| *one |= two));
            match operation {
                Operation::Diff1 => each(&mut out, first, |one, two| *one &= !two),
                Operation::AndOr => and_with(&mut out, first),
                _ => {
                    out.iter_mut().for_each(|byte| *byte = !*byte);
                    and_with(&mut out, first);
                }
            }
        }
    }
    out
}

/// A number's place in a string: `u1` to `u63`, `i1` to `i64`. Every value fits an `i64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    signed: bool,
    width: u32,
}

/// What becomes of a value that does not fit its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The lowest bits remain.
    Wrap,
    /// The nearest value that fits.
    Saturate,
    /// Nothing is written.
    Fail,
}

impl Field {
    pub fn new(signed: bool, width: u32) -> Option<Self> {
        let width_max = if signed { 64 } else { 63 };
        (1..=width_max).contains(&width).then_some(Self { signed, width })
    }

    pub fn width(self) -> u32 {
        self.width
    }

    pub fn is_signed(self) -> bool {
        self.signed
    }

    /// The field's value at a bit offset.
    pub fn get(self, bytes: &[u8], offset: u64) -> i64 {
        let start = usize::try_from(offset / 8).unwrap_or(usize::MAX);
        let window: [u8; 16] =
            std::array::from_fn(|at| start.checked_add(at).and_then(|at| bytes.get(at)).map_or(0, |byte| *byte));
        let high = u128::from_be_bytes(window) << (offset % 8);
        self.narrow((high >> (128 - self.width)) as u64)
    }

    /// Writes the value's lowest bits at a bit offset; nothing is written behind the end.
    pub fn set(self, bytes: &mut [u8], offset: u64, value: i64) {
        let shift = 128 - self.width - (offset % 8) as u32;
        let mask = u128::MAX >> (128 - self.width) << shift;
        let value = (value as u128) << shift & mask;
        let start = usize::try_from(offset / 8).unwrap_or(usize::MAX);
        let touched = bytes.iter_mut().skip(start);
        for ((byte, value), mask) in touched.zip(value.to_be_bytes()).zip(mask.to_be_bytes()).take(9) {
            *byte = *byte & !mask | value;
        }
    }

    /// What BITFIELD SET stores for `value`; `None` where it stores nothing.
    ///
    /// Two quirks of Redis: to an unsigned field a negative value is huge, and to a signed one so is a value whose
    /// distance to the field's highest is more than an `i64` holds. Both saturate upwards.
    pub fn fit(self, value: i64, overflow: Overflow) -> Option<i64> {
        let (_, high) = self.bounds();
        let too_far = self.width < 64 && i128::from(value) < high - i128::from(i64::MAX);
        match (self.signed, overflow) {
            (false, _) => self.fit_wide(i128::from(value as u64), overflow),
            (true, Overflow::Saturate) if too_far => Some(high as i64),
            (true, _) => self.fit_wide(i128::from(value), overflow),
        }
    }

    /// What BITFIELD INCRBY makes of `value`; `None` where it stores nothing.
    pub fn add(self, value: i64, increment: i64, overflow: Overflow) -> Option<i64> {
        self.fit_wide(i128::from(value) + i128::from(increment), overflow)
    }

    fn fit_wide(self, value: i128, overflow: Overflow) -> Option<i64> {
        let (low, high) = self.bounds();
        if (low..=high).contains(&value) {
            return Some(value as i64);
        }
        match overflow {
            Overflow::Wrap => Some(self.narrow(value as u64)),
            Overflow::Saturate => Some(value.clamp(low, high) as i64),
            Overflow::Fail => None,
        }
    }

    fn bounds(self) -> (i128, i128) {
        match self.signed {
            true => (-(1i128 << (self.width - 1)), (1i128 << (self.width - 1)) - 1),
            false => (0, (1i128 << self.width) - 1),
        }
    }

    /// The value of the lowest `width` bits.
    fn narrow(self, bits: u64) -> i64 {
        let unused = 64 - self.width;
        let high = bits << unused;
        if self.signed { high as i64 >> unused } else { (high >> unused) as i64 }
    }
}

/// A range of bits as a first byte, whole bytes, and a last byte; the masks say which bits of the two belong to it.
struct Edges<'a> {
    first: u8,
    first_mask: u8,
    middle: &'a [u8],
    last: u8,
    last_mask: u8,
}

impl<'a> Edges<'a> {
    /// `None` where the range has no bit of `bytes`.
    fn new(bytes: &'a [u8], bits: Range<u64>) -> Option<Self> {
        let end = bits.end.min(bytes.len() as u64 * 8);
        if bits.start >= end {
            return None;
        }
        let (first, last) = ((bits.start / 8) as usize, ((end - 1) / 8) as usize);
        let first_mask = 0xff >> (bits.start % 8);
        let last_mask = 0xff << (7 - (end - 1) % 8);
        if first == last {
            let first_mask = first_mask & last_mask;
            return Some(Self { first: bytes[first], first_mask, middle: &[], last: 0, last_mask: 0 });
        }
        Some(Self { first: bytes[first], first_mask, middle: &bytes[first + 1..last], last: bytes[last], last_mask })
    }
}

#[inline(always)]
fn count_portable(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let (groups, words) = words.as_chunks::<32>();
    // Many counters, so that no addition waits for the one before it, however many fit a register.
    let mut counts = [0u64; 32];
    for group in groups {
        for (count, word) in counts.iter_mut().zip(group) {
            *count += u64::from(u64::from_le_bytes(*word).count_ones());
        }
    }
    let words: u64 = words.iter().map(|word| u64::from(u64::from_le_bytes(*word).count_ones())).sum();
    let rest: u64 = rest.iter().map(|byte| u64::from(byte.count_ones())).sum();
    counts.iter().sum::<u64>() + words + rest
}

// The compiler makes of the one loop what each of these can do.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn count_avx512(bytes: &[u8]) -> u64 {
    count_portable(bytes)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn count_avx2(bytes: &[u8]) -> u64 {
    count_portable(bytes)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "popcnt")]
fn count_popcnt(bytes: &[u8]) -> u64 {
    count_portable(bytes)
}

fn extend_padded(out: &mut Vec<u8>, source: &[u8], length: usize) {
    out.extend_from_slice(source);
    out.resize(length, 0);
}

#[inline(always)]
fn each(out: &mut [u8], other: &[u8], apply: impl Fn(&mut u8, u8)) {
    for (one, two) in out.iter_mut().zip(other) {
        apply(one, *two);
    }
}

/// What `other` does not reach is cleared.
fn and_with(out: &mut [u8], other: &[u8]) {
    each(out, other, |one, two| *one &= two);
    let reach = other.len().min(out.len());
    out[reach..].fill(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(bytes: &[u8]) -> Vec<bool> {
        (0..bytes.len() as u64 * 8).map(|offset| get_bit(bytes, offset)).collect()
    }

    #[test]
    fn values_that_do_not_fit() {
        let (u8_, i8_, i64_) =
            (Field::new(false, 8).unwrap(), Field::new(true, 8).unwrap(), Field::new(true, 64).unwrap());
        assert_eq!(u8_.fit(300, Overflow::Wrap), Some(44));
        assert_eq!(u8_.fit(300, Overflow::Saturate), Some(255));
        assert_eq!(u8_.fit(-1, Overflow::Saturate), Some(255));
        assert_eq!(u8_.fit(-1, Overflow::Fail), None);
        assert_eq!(i8_.fit(i64::MIN, Overflow::Saturate), Some(127));
        assert_eq!(i8_.fit(-9223372036854775600, Overflow::Saturate), Some(-128));
        assert_eq!(u8_.add(5, -6, Overflow::Saturate), Some(0));
        assert_eq!(i8_.add(127, 1, Overflow::Wrap), Some(-128));
        assert_eq!(i8_.add(-128, -1, Overflow::Saturate), Some(-128));
        assert_eq!(i64_.add(i64::MAX, i64::MAX, Overflow::Wrap), Some(-2));
        assert_eq!(i64_.add(i64::MIN, -1, Overflow::Fail), None);
        assert_eq!((Field::new(false, 64), Field::new(true, 65), Field::new(true, 0)), (None, None, None));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn counting_and_finding(bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(0xff), any::<u8>()], 0..100), start in 0u64..850, end in 0u64..850, bit: bool) {
            let all = bits(&bytes);
            let range = (start as usize).min(all.len())..(end as usize).min(all.len());
            let seen = all.get(range.clone()).unwrap_or(&[]);
            prop_assert_eq!(count(&bytes), all.iter().filter(|bit| **bit).count() as u64);
            prop_assert_eq!(count_portable(&bytes), count(&bytes));
            prop_assert_eq!(count_range(&bytes, start..end), seen.iter().filter(|bit| **bit).count() as u64);
            let found = seen.iter().position(|value| *value == bit).map(|at| at as u64 + start);
            prop_assert_eq!(find(&bytes, bit, start..end), found);
        }

        #[test]
        fn a_field_is_where_it_was_put(mut bytes in prop::collection::vec(any::<u8>(), 20..40), offset in 0u64..90, signed: bool, width in 1u32..=63, value: i64) {
            let field = Field::new(signed, width).expect("a width");
            let before = bits(&bytes);
            let value = field.fit(value, Overflow::Wrap).expect("wrapped");
            field.set(&mut bytes, offset, value);
            prop_assert_eq!(field.get(&bytes, offset), value);
            let (start, end) = (offset as usize, offset as usize + width as usize);
            let after = bits(&bytes);
            prop_assert_eq!(&after[..start], &before[..start]);
            prop_assert_eq!(&after[end..], &before[end..]);
        }

        #[test]
        fn nothing_panics_behind_the_end(mut bytes: Vec<u8>, offset: u64, bit: bool) {
            let field = Field::new(true, 64).expect("a width");
            field.get(&bytes, offset);
            field.set(&mut bytes, offset, -1);
            set_bit(&mut bytes, offset, bit);
            count_range(&bytes, offset..u64::MAX);
        }

        #[test]
        fn combining(sources in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 1..5)) {
            let slices: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
            let length = sources.iter().map(Vec::len).max().unwrap_or(0) as u64 * 8;
            let is = |operation, rule: &dyn Fn(bool, usize) -> bool| {
                let out = combine(operation, &slices);
                out.len() as u64 * 8 == length && (0..length).all(|offset| {
                    let others = slices[1..].iter().filter(|source| get_bit(source, offset)).count();
                    get_bit(&out, offset) == rule(get_bit(slices[0], offset), others)
                })
            };
            let count = slices.len() - 1;
            prop_assert!(is(Operation::And, &|first, others| first && others == count));
            prop_assert!(is(Operation::Or, &|first, others| first || others > 0));
            prop_assert!(is(Operation::Xor, &|first, others| first ^ (others % 2 == 1)));
            prop_assert!(is(Operation::Diff, &|first, others| first && others == 0));
            prop_assert!(is(Operation::Diff1, &|first, others| !first && others > 0));
            prop_assert!(is(Operation::AndOr, &|first, others| first && others > 0));
            prop_assert!(is(Operation::One, &|first, others| usize::from(first) + others == 1));
        }
    }
}
