//! Unsigned numbers in one to ten bytes, seven bits each, least first; the high bit says that more follow.

/// Appends `value`.
#[inline]
pub(super) fn write(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes a number off the front of bytes that [`write()`] wrote.
#[inline]
pub(super) fn take(bytes: &mut &[u8]) -> u64 {
    let first = bytes[0];
    *bytes = &bytes[1..];
    if first < 0x80 {
        return u64::from(first);
    }
    let mut value = u64::from(first & 0x7f);
    let mut shift = 7;
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
        shift += 7;
    }
}

/// Takes a text that is preceded by its length.
#[inline]
pub(super) fn take_text<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let len = take(bytes) as usize;
    let (text, rest) = bytes.split_at(len);
    *bytes = rest;
    text
}

/// Appends a text preceded by its length.
#[inline]
pub(super) fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    write(out, text.len() as u64);
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_reads_back() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                let mut out = Vec::new();
                write(&mut out, value);
                assert_eq!(out.len(), (64 - value.leading_zeros() as usize).div_ceil(7).max(1));
                let mut rest = out.as_slice();
                assert_eq!((take(&mut rest), rest.len()), (value, 0));
            }
        }
    }
}
