//! Functions of Lua's base and mathematical libraries that are other in a script than in Lua: errors that are tables, source and no
//! compiled code, numbers by chance that are the same every time, a collector that cannot be turned off.

use std::ffi::CString;

use super::lua::{Call, Function, Kind, Raised};

pub const FUNCTIONS: [(&str, Function); 5] = [
    ("pcall", pcall),
    ("xpcall", xpcall),
    ("load", load),
    ("loadstring", loadstring),
    ("collectgarbage", collectgarbage),
];

pub const MATH: [(&str, Function); 2] = [("random", random), ("randomseed", randomseed)];

/// As Lua's, but of an error of a command only the text is given, as scripts have always had it.
fn pcall(call: &mut Call) -> Result<usize, Raised> {
    if call.kind(1) == Kind::None {
        return Err(call.bad_argument(1, "value expected"));
    }
    if call.call(call.top() - 1, None).is_err() {
        call.push_bool(false);
        call.insert(-2);
        return show_error(call);
    }
    call.push_bool(true);
    call.insert(1);
    Ok(call.top())
}

/// The results of a `pcall` that failed: false, the error's text where it is a table with one, and behind any other table what it has
/// instead.
fn show_error(call: &mut Call) -> Result<usize, Raised> {
    if call.kind(-1) != Kind::Table {
        return Ok(2);
    }
    call.push_bytes("err");
    call.get(-2)?;
    if !matches!(call.kind(-1), Kind::String | Kind::Number) {
        return Ok(3);
    }
    call.remove(-2);
    Ok(2)
}

/// As Lua's, but the handler runs when the stack is unwound: in Lua's own the clock does not stop a handler that was called because the clock
/// ended the function.
fn xpcall(call: &mut Call) -> Result<usize, Raised> {
    if call.kind(2) == Kind::None {
        return Err(call.bad_argument(2, "value expected"));
    }
    call.set_top(2);
    call.push_value(1);
    if call.call(0, None).is_ok() {
        call.push_bool(true);
        call.insert(3);
        return Ok(call.top() - 2);
    }
    call.push_value(2);
    call.insert(-2);
    if call.call(1, Some(1)).is_err() {
        call.pop(1);
        call.push_bytes("error in error handling");
    }
    call.push_bool(false);
    call.insert(-2);
    Ok(2)
}

fn loadstring(call: &mut Call) -> Result<usize, Raised> {
    let source = call.string_argument(1)?;
    let name = if call.is_absent(2) { source } else { call.string_argument(2)? };
    Ok(compile(call, source, name))
}

fn load(call: &mut Call) -> Result<usize, Raised> {
    if call.kind(1) != Kind::Function {
        return Err(call.wrong_type(1, "function"));
    }
    let name = if call.is_absent(2) { b"=(load)" } else { call.string_argument(2)? };
    let mut source = Vec::new();
    loop {
        call.push_value(1);
        if call.call(0, Some(1)).is_err() {
            call.push_nil();
            call.insert(-2);
            return Ok(2);
        }
        match call.kind(-1) {
            Kind::Nil => break,
            Kind::String | Kind::Number => {
                let top = call.top();
                let piece = call.string_argument(top)?;
                if piece.is_empty() {
                    break;
                }
                call.room(source.len() + piece.len())?;
                source.extend_from_slice(piece);
                call.pop(1);
            }
            _ => {
                call.push_nil();
                call.push_bytes("reader function must return a string");
                return Ok(2);
            }
        }
        call.breathe()?;
    }
    Ok(compile(call, &source, name))
}

/// Leaves the function, or nil and the message.
fn compile(call: &mut Call, source: &[u8], name: &[u8]) -> usize {
    let name = &name[..memchr::memchr(0, name).unwrap_or(name.len())];
    let name = CString::new(name).unwrap_or_default();
    if call.load(source, &name) {
        return 1;
    }
    call.push_nil();
    call.insert(-2);
    2
}

/// What a script may ask of the collector; what it would change stays as it is, because the next script would suffer from it.
fn collectgarbage(call: &mut Call) -> Result<usize, Raised> {
    let option = if call.is_absent(1) { b"collect" } else { call.string_argument(1)? };
    if !call.is_absent(2) {
        call.number_argument(2)?;
    }
    match option {
        b"collect" => {
            call.collect();
            call.push_number(0.0);
        }
        b"count" => {
            let used = call.memory_used() as f64 / 1024.0;
            call.push_number(used);
        }
        b"step" => {
            call.collect();
            call.push_bool(true);
        }
        b"stop" | b"restart" => call.push_number(0.0),
        b"setpause" | b"setstepmul" => call.push_number(200.0),
        _ => {
            return Err(call.bad_argument(1, [b"invalid option '", option, b"'"].concat()));
        }
    }
    Ok(1)
}

/// The generator of POSIX's `lrand48`: 48 bits of state, 31 of which are given.
#[derive(Clone, Copy, Debug)]
pub struct Random48(u64);

impl Default for Random48 {
    /// The state that generator begins with where nobody seeds it.
    fn default() -> Self {
        Self(0x1234_abcd_330e)
    }
}

impl Random48 {
    const MASK: u64 = (1 << 48) - 1;

    pub fn seeded(seed: i32) -> Self {
        Self(u64::from(seed as u32) << 16 | 0x330e)
    }

    fn next(&mut self) -> i32 {
        self.0 = self.0.wrapping_mul(0x5_deec_e66d).wrapping_add(0xb) & Self::MASK;
        (self.0 >> 17) as i32
    }
}

fn random(call: &mut Call) -> Result<usize, Raised> {
    let drawn = call.run().map_or(0, |run| run.random.next());
    let unit = f64::from(drawn % i32::MAX) / f64::from(i32::MAX);
    match call.top() {
        0 => call.push_number(unit),
        1 => {
            let upper = whole(call.number_argument(1)?);
            if upper < 1 {
                return Err(call.bad_argument(1, "interval is empty"));
            }
            call.push_number((unit * f64::from(upper)).floor() + 1.0);
        }
        2 => {
            let (lower, upper) = (whole(call.number_argument(1)?), whole(call.number_argument(2)?));
            if lower > upper {
                return Err(call.bad_argument(2, "interval is empty"));
            }
            call.push_number((unit * f64::from(upper.wrapping_sub(lower).wrapping_add(1))).floor() + f64::from(lower));
        }
        _ => return Err(call.raise("wrong number of arguments")),
    }
    Ok(1)
}

fn randomseed(call: &mut Call) -> Result<usize, Raised> {
    let seed = whole(call.number_argument(1)?);
    if let Some(run) = call.run() {
        run.random = Random48::seeded(seed);
    }
    Ok(0)
}

/// A number as C's `int`, by way of the wide integer that Lua makes of it.
fn whole(value: f64) -> i32 {
    super::convert::integer(value) as i32
}
