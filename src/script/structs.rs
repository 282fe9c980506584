//! The library `struct`: numbers and strings as C lays them out.

use super::convert::integer;
use super::lua::{Call, Function, Raised};

pub const FUNCTIONS: [(&str, Function); 3] = [("pack", pack), ("unpack", unpack), ("size", size)];

/// Integers of more bytes than this there are not.
const INTEGER_BYTES_MAX: usize = 32;
const ALIGN_DEFAULT: usize = 8;
const TOO_SHORT: &str = "data string too short";

/// A format, read from the front.
struct Format<'a> {
    rest: &'a [u8],
    big_endian: bool,
    align: usize,
    /// `struct.size` takes letters and digits that mean nothing for nothing.
    only_measures: bool,
    /// Bytes of data there are to unpack: a format may not go on behind them, not even with what stands for nothing.
    data_len: usize,
}

/// One option, with its bytes and the bytes that come before it to align it.
struct Field {
    option: u8,
    size: usize,
    padding: usize,
}

impl<'a> Format<'a> {
    fn new(text: &'a [u8]) -> Self {
        // A format ends where C's strings do.
        let rest = &text[..memchr::memchr(0, text).unwrap_or(text.len())];
        Self { rest, big_endian: false, align: 1, only_measures: false, data_len: usize::MAX }
    }

    /// The next option that stands for a value, laid out behind `total` bytes.
    fn next(&mut self, call: &mut Call, total: usize) -> Result<Option<Field>, Raised> {
        while let Some((&option, rest)) = self.rest.split_first() {
            self.rest = rest;
            if total > self.data_len && !b"bBhHlLfdxscTiI".contains(&option) {
                return Err(call.bad_argument(2, TOO_SHORT));
            }
            let size = match option {
                b' ' => continue,
                b'<' | b'>' => {
                    self.big_endian = option == b'>';
                    continue;
                }
                b'!' => {
                    self.align = self.number(call, ALIGN_DEFAULT)?;
                    if !self.align.is_power_of_two() {
                        return Err(call.raise(format!("alignment {} is not a power of 2", self.align)));
                    }
                    continue;
                }
                b'b' | b'B' | b'x' => 1,
                b'h' | b'H' => 2,
                b'f' => 4,
                b'l' | b'L' | b'T' | b'd' => 8,
                b's' => 0,
                b'c' => self.number(call, 1)?,
                b'i' | b'I' => {
                    let size = self.number(call, 4)?;
                    if size > INTEGER_BYTES_MAX {
                        return Err(
                            call.raise(format!("integral size {size} is larger than limit of {INTEGER_BYTES_MAX}"))
                        );
                    }
                    size
                }
                _ if self.only_measures && option.is_ascii_alphanumeric() => continue,
                _ => return Err(call.bad_argument(1, [b"invalid format option '", &[option][..], b"'"].concat())),
            };
            let unit = size.min(self.align);
            // Right for powers of two; for others it is what the original makes of them.
            let padding =
                if size == 0 || option == b'c' { 0 } else { unit.wrapping_sub(total & (unit - 1)) & (unit - 1) };
            return Ok(Some(Field { option, size, padding }));
        }
        Ok(None)
    }

    fn number(&mut self, call: &mut Call, default: usize) -> Result<usize, Raised> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Ok(default);
        }
        let (text, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let value = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i32>().ok());
        value.map(|value| value as usize).ok_or_else(|| call.raise("integral size overflow"))
    }
}

fn pack(call: &mut Call) -> Result<usize, Raised> {
    let mut format = Format::new(call.string_argument(1)?);
    let mut out = Vec::new();
    let mut number = 2;
    while let Some(Field { option, size, padding }) = format.next(call, out.len())? {
        out.resize(out.len() + padding, 0);
        if option == b'x' {
            out.push(0);
            continue;
        }
        if number > call.top() {
            call.push_nil();
        }
        match option {
            b'f' => {
                let value = call.number_argument(number)? as f32;
                out.extend(ordered(value.to_le_bytes(), format.big_endian));
            }
            b'd' => {
                let value = call.number_argument(number)?;
                out.extend(ordered(value.to_le_bytes(), format.big_endian));
            }
            b's' | b'c' => {
                let text = call.string_argument(number)?;
                let wanted = if size == 0 { text.len() } else { size };
                if text.len() < wanted {
                    return Err(call.bad_argument(number + 1, "string too short"));
                }
                call.room(out.len().saturating_add(wanted).saturating_mul(2))?;
                out.extend_from_slice(&text[..wanted]);
                if option == b's' {
                    out.push(0);
                }
            }
            _ => {
                let bits = bits_of(call.number_argument(number)?);
                let mut bytes = [0; INTEGER_BYTES_MAX];
                bytes[..8].copy_from_slice(&bits.to_le_bytes());
                let bytes = &mut bytes[..size];
                if format.big_endian {
                    bytes.reverse();
                }
                out.extend_from_slice(bytes);
            }
        }
        number += 1;
    }
    call.room(out.len())?;
    call.push_bytes(&out);
    Ok(1)
}

fn ordered<const N: usize>(mut bytes: [u8; N], big_endian: bool) -> [u8; N] {
    if big_endian {
        bytes.reverse();
    }
    bytes
}

/// A number's low 64 bits, as the processor converts it.
fn bits_of(value: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if value.is_nan() || value < HALF { integer(value) as u64 } else { (integer(value - HALF) as u64) ^ 1 << 63 }
}

fn unpack(call: &mut Call) -> Result<usize, Raised> {
    let format = call.string_argument(1)?;
    let data = call.string_argument(2)?;
    let mut format = Format { data_len: data.len(), ..Format::new(format) };
    let start = if call.is_absent(3) { 1 } else { integer(call.number_argument(3)?) };
    if start == 0 {
        return Err(call.bad_argument(3, "offset must be 1 or greater"));
    }
    // A negative place is one far behind the end.
    let mut at = start.wrapping_sub(1) as usize;
    let mut results = 0;
    while let Some(Field { option, mut size, padding }) = format.next(call, at)? {
        at = at.saturating_add(padding);
        if !fits(data, at, size) {
            return Err(call.bad_argument(2, TOO_SHORT));
        }
        if !call.reserve(2) {
            return Err(call.raise("stack overflow (too many results)"));
        }
        match option {
            b'x' => {
                at += size;
                continue;
            }
            b'f' => {
                let bytes: [u8; 4] = data[at..at + 4].try_into().unwrap_or_default();
                call.push_number(f64::from(f32::from_le_bytes(ordered(bytes, format.big_endian))));
            }
            b'd' => {
                let bytes: [u8; 8] = data[at..at + 8].try_into().unwrap_or_default();
                call.push_number(f64::from_le_bytes(ordered(bytes, format.big_endian)));
            }
            b'c' => {
                if size == 0 {
                    let previous = if results > 0 { call.numeric(-1) } else { None };
                    let Some(previous) = previous else {
                        return Err(call.raise("format 'c0' needs a previous size"));
                    };
                    call.pop(1);
                    results -= 1;
                    size = usize::try_from(integer(previous)).unwrap_or(usize::MAX);
                    if !fits(data, at, size) {
                        return Err(call.bad_argument(2, TOO_SHORT));
                    }
                }
                call.push_bytes(&data[at..at + size]);
            }
            b's' => {
                let Some(len) = memchr::memchr(0, &data[at..]) else {
                    return Err(call.raise("unfinished string in data"));
                };
                size = len + 1;
                call.push_bytes(&data[at..at + len]);
            }
            _ => {
                let signed = option.is_ascii_lowercase();
                call.push_number(read_integer(&data[at..at + size], format.big_endian, signed));
            }
        }
        at += size;
        results += 1;
    }
    call.push_number(at.wrapping_add(1) as i64 as f64);
    Ok(results + 1)
}

fn fits(data: &[u8], at: usize, size: usize) -> bool {
    size <= data.len() && at <= data.len() - size
}

fn read_integer(bytes: &[u8], big_endian: bool, signed: bool) -> f64 {
    let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    let value = if big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) };
    if !signed {
        return value as f64;
    }
    let sign = u64::MAX.wrapping_shl((bytes.len() as u32 * 8).wrapping_sub(1));
    let extended = if value & sign != 0 { value | sign } else { value };
    extended as i64 as f64
}

fn size(call: &mut Call) -> Result<usize, Raised> {
    let mut format = Format { only_measures: true, ..Format::new(call.string_argument(1)?) };
    let mut total = 0usize;
    while let Some(Field { option, size, padding }) = format.next(call, total)? {
        match option {
            b's' => return Err(call.bad_argument(1, "option 's' has no fixed size")),
            b'c' if size == 0 => return Err(call.bad_argument(1, "option 'c0' has no fixed size")),
            _ => {}
        }
        total += padding + size;
        if total > i32::MAX as usize {
            return Err(call.bad_argument(1, "format result too large"));
        }
    }
    call.push_number(total as f64);
    Ok(1)
}
