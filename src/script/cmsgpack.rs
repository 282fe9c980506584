//! The library `cmsgpack`: values to and from MessagePack.

use super::convert::integer;
use super::lua::{Call, Function, Kind, Raised};

const FUNCTIONS: [(&str, Function); 4] =
    [("pack", pack), ("unpack", unpack_all), ("unpack_one", unpack_one), ("unpack_limit", unpack_limit)];

/// Tables in tables, when packing; what lies deeper becomes nil.
const NESTING_MAX: usize = 16;
/// The same when unpacking: so deep that only an attack goes deeper.
const UNPACK_NESTING_MAX: usize = 1000;

pub fn push_library(call: &mut Call) {
    call.push_table(0, 8);
    for (name, function) in FUNCTIONS {
        call.push_function(function);
        call.set_field(-2, name);
    }
    for (name, text) in [
        ("_NAME", "cmsgpack"),
        ("_VERSION", "lua-cmsgpack 0.4.0"),
        ("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo"),
        ("_DESCRIPTION", "MessagePack C implementation for Lua"),
    ] {
        call.push_bytes(text);
        call.set_field(-2, name);
    }
}

fn pack(call: &mut Call) -> Result<usize, Raised> {
    let count = call.top();
    if count == 0 {
        return Err(call.bad_argument(0, "MessagePack pack needs input."));
    }
    let mut out = Vec::new();
    for index in 1..=count {
        call.push_value(index as i32);
        pack_value(call, 0, &mut out)?;
        call.pop(1);
    }
    call.room(out.len())?;
    call.push_bytes(&out);
    Ok(1)
}

/// Packs the value on top, which stays there.
fn pack_value(call: &mut Call, depth: usize, out: &mut Vec<u8>) -> Result<(), Raised> {
    match call.kind(-1) {
        Kind::String => {
            let text = call.bytes(-1).unwrap_or_default();
            call.room(out.len().saturating_add(text.len()))?;
            pack_header(out, text.len(), Some((0xa0, 31)), Some(0xd9), [0xda, 0xdb]);
            out.extend_from_slice(text);
        }
        Kind::Bool => out.push(if call.truth(-1) { 0xc3 } else { 0xc2 }),
        Kind::Number => pack_number(out, call.number(-1).unwrap_or(0.0)),
        Kind::Table if depth < NESTING_MAX => pack_table(call, depth + 1, out)?,
        _ => out.push(0xc0),
    }
    Ok(())
}

/// A length with its type: in one byte where it fits, then with 8, 16 or 32 bits behind.
fn pack_header(out: &mut Vec<u8>, len: usize, short: Option<(u8, usize)>, bits8: Option<u8>, wide: [u8; 2]) {
    match (short, bits8) {
        (Some((base, max)), _) if len <= max => out.push(base | len as u8),
        (_, Some(kind)) if len <= 0xff => out.extend_from_slice(&[kind, len as u8]),
        _ if len <= 0xffff => {
            out.push(wide[0]);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(wide[1]);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
    }
}

fn pack_number(out: &mut Vec<u8>, value: f64) {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if value.trunc() != value || !(-LIMIT..LIMIT).contains(&value) {
        let narrow = value as f32;
        if f64::from(narrow) == value {
            out.push(0xca);
            out.extend_from_slice(&narrow.to_be_bytes());
        } else {
            out.push(0xcb);
            out.extend_from_slice(&value.to_be_bytes());
        }
        return;
    }
    let (kind, width) = match value as i64 {
        whole @ -32..=0x7f => return out.push(whole as u8),
        0x80..=0xff => (0xcc, 1),
        0x100..=0xffff => (0xcd, 2),
        0x1_0000..=0xffff_ffff => (0xce, 4),
        0x1_0000_0000.. => (0xcf, 8),
        -0x80..=-33 => (0xd0, 1),
        -0x8000..=-0x81 => (0xd1, 2),
        -0x8000_0000..=-0x8001 => (0xd2, 4),
        _ => (0xd3, 8),
    };
    out.push(kind);
    out.extend_from_slice(&(value as i64).to_be_bytes()[8 - width..]);
}

/// A table with the keys 1 to its size is an array, any other a map.
fn pack_table(call: &mut Call, depth: usize, out: &mut Vec<u8>) -> Result<(), Raised> {
    if !call.reserve(4) {
        return Err(call.raise("stack overflow (in function mp_encode_lua_table)"));
    }
    let (mut count, mut highest, mut is_array) = (0usize, 0.0f64, true);
    call.push_nil();
    while call.next(-2) {
        call.pop(1);
        count += 1;
        match call.number(-1) {
            Some(key) if key > 0.0 && key.trunc() == key => highest = highest.max(key),
            _ => is_array = false,
        }
    }
    if is_array && highest == count as f64 {
        pack_header(out, count, Some((0x90, 15)), None, [0xdc, 0xdd]);
        for element in 1..=count {
            call.raw_get_at(-1, element);
            pack_value(call, depth, out)?;
            call.pop(1);
        }
        return Ok(());
    }
    pack_header(out, count, Some((0x80, 15)), None, [0xde, 0xdf]);
    call.push_nil();
    while call.next(-2) {
        call.push_value(-2);
        pack_value(call, depth, out)?;
        call.pop(1);
        pack_value(call, depth, out)?;
        call.pop(1);
    }
    Ok(())
}

fn unpack_all(call: &mut Call) -> Result<usize, Raised> {
    unpack(call, 0, 0)
}

fn unpack_one(call: &mut Call) -> Result<usize, Raised> {
    call.string_argument(1)?;
    let offset = if call.is_absent(2) { 0 } else { integer(call.number_argument(2)?) };
    unpack(call, 1, offset)
}

fn unpack_limit(call: &mut Call) -> Result<usize, Raised> {
    call.string_argument(1)?;
    let limit = integer(call.number_argument(2)?);
    let offset = if call.is_absent(3) { 0 } else { integer(call.number_argument(3)?) };
    unpack(call, limit, offset)
}

/// Unpacks up to `limit` values from `offset` on, and says where the next begins; all of them, and no offset, where both are 0.
fn unpack(call: &mut Call, limit: i64, offset: i64) -> Result<usize, Raised> {
    let data = call.string_argument(1)?;
    let len = data.len();
    let all = limit == 0 && offset == 0;
    let (Ok(limit), Ok(start)) = (usize::try_from(limit), usize::try_from(offset)) else {
        return Err(call.raise(format!("Invalid request to unpack with offset of {offset} and limit of {len}.")));
    };
    let Some(mut rest) = data.get(start..) else {
        return Err(call.raise(format!("Start offset {offset} greater than input length {len}.")));
    };
    if rest.len() > 1 << 16 {
        call.room(rest.len().saturating_mul(16))?;
    }
    let place = call.top();
    let mut count = 0;
    while !rest.is_empty() && (all || count < limit) {
        if !call.reserve(5) {
            return Err(
                call.raise("stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)")
            );
        }
        rest = unpack_value(call, rest, 0).map_err(|bad| bad.raise(call))?;
        count += 1;
    }
    if all {
        return Ok(count);
    }
    call.push_number(if rest.is_empty() { -1.0 } else { (len - rest.len()) as f64 });
    call.insert(place as i32 + 1);
    Ok(count + 1)
}

enum Bad {
    Format,
    Missing,
    Key(&'static str),
    Deep,
}

impl Bad {
    fn raise(self, call: &mut Call) -> Raised {
        match self {
            Bad::Format => call.raise("Bad data format in input."),
            Bad::Missing => call.raise("Missing bytes in input."),
            Bad::Deep => call.raise("stack overflow (in function mp_decode_to_lua_type)"),
            Bad::Key(text) => {
                call.push_bytes(text);
                Raised
            }
        }
    }
}

fn take(bytes: &[u8], count: usize) -> Result<(&[u8], &[u8]), Bad> {
    bytes.split_at_checked(count).ok_or(Bad::Missing)
}

/// An unsigned number of `width` bytes.
fn take_number(bytes: &[u8], width: usize) -> Result<(u64, &[u8]), Bad> {
    let (number, rest) = take(bytes, width)?;
    Ok((number.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)), rest))
}

fn unpack_value<'a>(call: &mut Call, bytes: &'a [u8], depth: usize) -> Result<&'a [u8], Bad> {
    if !call.reserve(4) || depth > UNPACK_NESTING_MAX {
        return Err(Bad::Deep);
    }
    let (&kind, rest) = bytes.split_first().ok_or(Bad::Missing)?;
    let signed = |value: u64, width: u32| ((value << (64 - 8 * width)) as i64 >> (64 - 8 * width)) as f64;
    match kind {
        0..=0x7f => call.push_number(f64::from(kind)),
        0x80..=0x8f => return unpack_map(call, depth + 1, usize::from(kind & 15), rest),
        0x90..=0x9f => return unpack_array(call, depth + 1, usize::from(kind & 15), rest),
        0xa0..=0xbf => return unpack_string(call, usize::from(kind & 31), rest),
        0xc0 => call.push_nil(),
        0xc2 | 0xc3 => call.push_bool(kind == 0xc3),
        0xca => {
            let (value, rest) = take_number(rest, 4)?;
            call.push_number(f64::from(f32::from_bits(value as u32)));
            return Ok(rest);
        }
        0xcb => {
            let (value, rest) = take_number(rest, 8)?;
            call.push_number(f64::from_bits(value));
            return Ok(rest);
        }
        0xcc..=0xcf => {
            let (value, rest) = take_number(rest, 1 << (kind - 0xcc))?;
            // The widest is read as a signed one.
            call.push_number(value as i64 as f64);
            return Ok(rest);
        }
        0xd0..=0xd3 => {
            let width = 1 << (kind - 0xd0);
            let (value, rest) = take_number(rest, width)?;
            call.push_number(signed(value, width as u32));
            return Ok(rest);
        }
        0xd9..=0xdb => {
            let (len, rest) = take_number(rest, 1 << (kind - 0xd9))?;
            return unpack_string(call, len as usize, rest);
        }
        0xdc | 0xdd => {
            let (len, rest) = take_number(rest, 2 << (kind - 0xdc))?;
            return unpack_array(call, depth + 1, len as usize, rest);
        }
        0xde | 0xdf => {
            let (len, rest) = take_number(rest, 2 << (kind - 0xde))?;
            return unpack_map(call, depth + 1, len as usize, rest);
        }
        0xe0..=0xff => call.push_number(f64::from(kind as i8)),
        _ => return Err(Bad::Format),
    }
    Ok(rest)
}

fn unpack_string<'a>(call: &mut Call, len: usize, bytes: &'a [u8]) -> Result<&'a [u8], Bad> {
    let (text, rest) = take(bytes, len)?;
    call.push_bytes(text);
    Ok(rest)
}

fn unpack_array<'a>(call: &mut Call, depth: usize, len: usize, mut rest: &'a [u8]) -> Result<&'a [u8], Bad> {
    // It grows as elements come, whatever is announced: so it has the length and the order that scripts know.
    call.push_table(0, 0);
    for element in 1..=len {
        rest = unpack_value(call, rest, depth)?;
        call.raw_set_at(-2, element);
    }
    Ok(rest)
}

fn unpack_map<'a>(call: &mut Call, depth: usize, len: usize, mut rest: &'a [u8]) -> Result<&'a [u8], Bad> {
    call.push_table(0, 0);
    for _ in 0..len {
        rest = unpack_value(call, rest, depth)?;
        rest = unpack_value(call, rest, depth)?;
        match call.kind(-2) {
            Kind::Nil => return Err(Bad::Key("table index is nil")),
            Kind::Number if call.number(-2).is_some_and(f64::is_nan) => return Err(Bad::Key("table index is NaN")),
            _ => call.raw_set(-3),
        }
    }
    Ok(rest)
}
