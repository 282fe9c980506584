//! Replies into Lua values and back, in both protocols, as scripts know them.
//!
//! ```text
//!   reply            value                        value                      reply
//!   :1  $…           number  string               number                     integer, what is behind the point cut off
//!   +OK  -ERR        {ok=…}  {err=…}              {ok=…} {err=…}             status, error
//!   $-1  *-1         false                        false, nil, function …     null
//!   *…               table                        table                      array up to the first nil
//!   %… ~… ,… (… =…   {map=…} {set=…} {double=…} {big_number=…} {verbatim_string={string=…, format=…}}, and the same back
//! ```

use super::lua::{Call, Kind, Raised};
use crate::cmd::error::shown;
use crate::resp::reply::{Protocol, Reply};
use crate::util::number::parse_i64;

/// Pushes the value of one complete reply.
pub fn push_reply(call: &mut Call, bytes: &[u8]) -> Result<(), Raised> {
    const SMALL: usize = 16 * 1024;
    if bytes.len() > SMALL {
        call.room(bytes.len().saturating_mul(4))?;
    }
    push_element(call, bytes);
    Ok(())
}

/// Pushes the value of the element at the front and returns what is behind it. The bytes are a reply of ours: whole, and well formed.
fn push_element<'a>(call: &mut Call, bytes: &'a [u8]) -> &'a [u8] {
    let (kind, line, rest) = split_line(bytes);
    call.reserve(6);
    match kind {
        b'$' => match length(line) {
            Some(len) => {
                call.push_bytes(&rest[..len]);
                return &rest[len + 2..];
            }
            None => call.push_bool(false),
        },
        b':' => call.push_number(parse_i64(line).unwrap_or(0) as f64),
        b'+' => push_field(call, "ok", line),
        b'-' => push_field(call, "err", line),
        b'*' => match length(line) {
            Some(len) => return push_array(call, len, rest),
            None => call.push_bool(false),
        },
        b'_' => call.push_nil(),
        b'#' => call.push_bool(line == b"t"),
        b',' => {
            call.push_table(0, 1);
            let text = std::str::from_utf8(line).unwrap_or("");
            call.push_number(text.parse().unwrap_or(f64::NAN));
            call.set_field(-2, "double");
        }
        b'(' => push_field(call, "big_number", line),
        b'=' => return push_verbatim(call, length(line).unwrap_or(0), rest),
        b'%' => return push_map(call, length(line).unwrap_or(0), rest),
        b'~' => return push_set(call, length(line).unwrap_or(0), rest),
        b'|' => {
            // What an attribute says is for clients.
            let rest = push_map(call, length(line).unwrap_or(0), rest);
            call.pop(1);
            return push_element(call, rest);
        }
        _ => return push_array(call, length(line).unwrap_or(0), rest),
    }
    rest
}

fn split_line(bytes: &[u8]) -> (u8, &[u8], &[u8]) {
    let end = memchr::memchr(b'\r', bytes).unwrap_or(bytes.len());
    (bytes[0], &bytes[1..end], &bytes[(end + 2).min(bytes.len())..])
}

fn length(line: &[u8]) -> Option<usize> {
    // One digit, nearly always.
    match line {
        [digit @ b'0'..=b'9'] => Some(usize::from(digit - b'0')),
        _ => parse_i64(line).and_then(|len| usize::try_from(len).ok()),
    }
}

fn push_field(call: &mut Call, name: &str, text: &[u8]) {
    call.push_table(0, 1);
    call.push_bytes(text);
    call.set_field(-2, name);
}

fn push_array<'a>(call: &mut Call, len: usize, mut rest: &'a [u8]) -> &'a [u8] {
    call.push_table(len, 0);
    for element in 1..=len {
        rest = push_element(call, rest);
        call.raw_set_at(-2, element);
    }
    rest
}

fn push_map<'a>(call: &mut Call, len: usize, mut rest: &'a [u8]) -> &'a [u8] {
    call.push_table(0, 1);
    call.push_table(0, len);
    for _ in 0..len {
        rest = push_element(call, rest);
        rest = push_element(call, rest);
        call.raw_set(-3);
    }
    call.set_field(-2, "map");
    rest
}

fn push_set<'a>(call: &mut Call, len: usize, mut rest: &'a [u8]) -> &'a [u8] {
    call.push_table(0, 1);
    call.push_table(0, len);
    for _ in 0..len {
        rest = push_element(call, rest);
        call.push_bool(true);
        call.raw_set(-3);
    }
    call.set_field(-2, "set");
    rest
}

fn push_verbatim<'a>(call: &mut Call, len: usize, rest: &'a [u8]) -> &'a [u8] {
    let text = &rest[..len];
    call.push_table(0, 1);
    call.push_table(0, 2);
    call.push_bytes(text.get(4..).unwrap_or_default());
    call.set_field(-2, "string");
    call.push_bytes(text.get(..3).unwrap_or_default());
    call.set_field(-2, "format");
    call.set_field(-2, "verbatim_string");
    &rest[len + 2..]
}

/// What a script returned beside its reply.
#[derive(Debug, PartialEq, Eq)]
pub enum Returned {
    Value,
    /// An error, not written yet; true where it was counted when it arose.
    Error(Vec<u8>, bool),
}

/// Writes the value on top of the stack as a reply, and takes it off. An error that is the whole value is returned instead.
pub fn write_value(call: &mut Call, script_protocol: Protocol, reply: &mut Reply) -> Returned {
    let returned = match error_of(call) {
        Some((text, counted)) => Returned::Error(text, counted),
        None => {
            write(call, script_protocol, 0, reply);
            return Returned::Value;
        }
    };
    call.pop(1);
    returned
}

/// Tables in tables, at most: Redis stops where Lua's stack ends.
const DEPTH_MAX: usize = 1000;

fn write(call: &mut Call, protocol: Protocol, depth: usize, reply: &mut Reply) {
    if !call.reserve(6) || depth > DEPTH_MAX {
        reply.error("ERR reached lua stack limit");
        return call.pop(1);
    }
    match call.kind(-1) {
        Kind::String => reply.bulk(call.bytes(-1).unwrap_or_default()),
        Kind::Number => reply.int(integer(call.number(-1).unwrap_or(0.0))),
        Kind::Bool => {
            let value = call.truth(-1);
            match protocol {
                Protocol::Resp2 if value => reply.int(1),
                Protocol::Resp2 => reply.null(),
                Protocol::Resp3 => reply.bool(value),
            }
        }
        Kind::Table => return write_table(call, protocol, depth + 1, reply),
        _ => reply.null(),
    }
    call.pop(1);
}

/// The error that the table on top stands for.
fn error_of(call: &mut Call) -> Option<(Vec<u8>, bool)> {
    if call.kind(-1) != Kind::Table {
        return None;
    }
    call.raw_field(-1, "err");
    let text = call.bytes(-1).map(|text| shown(text).to_vec());
    call.pop(1);
    let text = text?;
    call.raw_field(-1, "ignore_error_stats_update");
    let counted = call.truth(-1);
    call.pop(1);
    Some((text, counted))
}

fn write_table(call: &mut Call, protocol: Protocol, depth: usize, reply: &mut Reply) {
    if let Some((text, _)) = error_of(call) {
        reply.error(text);
        return call.pop(1);
    }
    for (name, kind) in [
        ("ok", Kind::String),
        ("double", Kind::Number),
        ("big_number", Kind::String),
        ("verbatim_string", Kind::Table),
        ("map", Kind::Table),
        ("set", Kind::Table),
    ] {
        call.raw_field(-1, name);
        if call.kind(-1) == kind && write_named(call, name, protocol, depth, reply) {
            return call.pop(2);
        }
        call.pop(1);
    }
    write_array(call, protocol, depth, reply);
}

/// Writes the field on top, which is of the right kind; false where it is not what it should be after all.
fn write_named(call: &mut Call, name: &str, protocol: Protocol, depth: usize, reply: &mut Reply) -> bool {
    let text = call.bytes(-1).unwrap_or_default();
    match name {
        "ok" => reply.simple_bytes(shown(text)),
        "double" => reply.double(call.number(-1).unwrap_or(0.0)),
        "big_number" => {
            let digits: Vec<u8> =
                text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }).collect();
            reply.big_number(&digits);
        }
        "verbatim_string" => return write_verbatim(call, reply),
        _ => write_fields(call, name == "map", protocol, depth, reply),
    }
    true
}

fn write_verbatim(call: &mut Call, reply: &mut Reply) -> bool {
    call.raw_field(-1, "string");
    call.raw_field(-2, "format");
    let parts = call.bytes(-2).zip(call.bytes(-1));
    if let Some((text, format)) = parts {
        // Three letters, whatever the script says.
        let mut letters = *b"   ";
        let len = format.len().min(3);
        letters[..len].copy_from_slice(&format[..len]);
        reply.verbatim_bytes(letters, text);
    }
    call.pop(2);
    parts.is_some()
}

fn write_fields(call: &mut Call, with_values: bool, protocol: Protocol, depth: usize, reply: &mut Reply) {
    let start = reply.later();
    let mut count = 0;
    call.push_nil();
    while call.next(-2) {
        // The key is needed once more to go on.
        call.push_value(-2);
        write(call, protocol, depth, reply);
        if with_values {
            write(call, protocol, depth, reply)
        } else {
            call.pop(1)
        }
        count += 1;
    }
    if with_values { reply.finish_map(start, count) } else { reply.finish_set(start, count) }
}

fn write_array(call: &mut Call, protocol: Protocol, depth: usize, reply: &mut Reply) {
    let start = reply.later();
    let mut count = 0;
    loop {
        call.raw_get_at(-1, count + 1);
        if call.kind(-1) == Kind::Nil {
            call.pop(2);
            break;
        }
        write(call, protocol, depth, reply);
        count += 1;
    }
    reply.finish_array(start, count);
}

/// A number as the processor makes an integer of it: what does not fit is the smallest one.
pub fn integer(value: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&value) { value as i64 } else { i64::MIN }
}
