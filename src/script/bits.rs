//! The library `bit`: 32 bits, whatever number they are cut out of.

use super::lua::{Call, Function, Raised};

pub const FUNCTIONS: [(&str, Function); 12] = [
    ("tobit", |call| one(call, |bits| bits)),
    ("bnot", |call| one(call, |bits| !bits)),
    ("bswap", |call| one(call, u32::swap_bytes)),
    ("band", |call| fold(call, |left, right| left & right)),
    ("bor", |call| fold(call, |left, right| left | right)),
    ("bxor", |call| fold(call, |left, right| left ^ right)),
    ("lshift", |call| shift(call, |bits, by| bits << by)),
    ("rshift", |call| shift(call, |bits, by| bits >> by)),
    ("arshift", |call| shift(call, |bits, by| (bits as i32 >> by) as u32)),
    ("rol", |call| shift(call, u32::rotate_left)),
    ("ror", |call| shift(call, u32::rotate_right)),
    ("tohex", tohex),
];

/// The low 32 bits of a number, rounded to the nearest whole one, half to even.
fn bits(call: &mut Call, number: usize) -> Result<u32, Raised> {
    // Adding 2^52 + 2^51 leaves the whole number in the low bits of the mantissa.
    const SHIFTER: f64 = 6_755_399_441_055_744.0;
    Ok((call.number_argument(number)? + SHIFTER).to_bits() as u32)
}

fn push(call: &mut Call, bits: u32) -> Result<usize, Raised> {
    call.push_number(f64::from(bits as i32));
    Ok(1)
}

fn one(call: &mut Call, operation: fn(u32) -> u32) -> Result<usize, Raised> {
    let bits = bits(call, 1)?;
    push(call, operation(bits))
}

fn fold(call: &mut Call, operation: fn(u32, u32) -> u32) -> Result<usize, Raised> {
    let mut result = bits(call, 1)?;
    // From the last on: the order tells which wrong argument is complained of.
    for number in (2..=call.top()).rev() {
        result = operation(result, bits(call, number)?);
    }
    push(call, result)
}

fn shift(call: &mut Call, operation: fn(u32, u32) -> u32) -> Result<usize, Raised> {
    let (value, by) = (bits(call, 1)?, bits(call, 2)? & 31);
    push(call, operation(value, by))
}

fn tohex(call: &mut Call) -> Result<usize, Raised> {
    let value = bits(call, 1)?;
    let digits = if call.is_absent(2) { 8 } else { bits(call, 2)? as i32 };
    let count = digits.unsigned_abs().min(8) as usize;
    let text = if digits < 0 { format!("{value:08X}") } else { format!("{value:08x}") };
    call.push_bytes(&text[8 - count..]);
    Ok(1)
}
