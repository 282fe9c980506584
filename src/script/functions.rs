//! Libraries of functions: loaded, listed, dumped and restored. How one is run is `script`'s business.
//!
//! A dump is what RDB files have for libraries too:
//!
//! ```text
//!   ┌────┬────────┬──────┐           ┌─────────────┬───────┐
//!   │ F5 │ length │ code │ … again … │ version, LE │ CRC64 │
//!   └────┴────────┴──────┘           └─── 2 bytes ─┴── 8 ──┘
//! ```

use std::collections::{BTreeMap, HashMap};

use super::lua::{Call, Ended, Kept, Kind, Raised, Vm};
use super::run::{Flags, Run, Running};
use super::sandbox::{self, Globals};
use super::{api, on_error};
use crate::resp::reply::Protocol;
use crate::resp::request::Request;
use crate::server::Server;
use crate::util::args::split_args;
use crate::util::crc64::crc64;
use crate::util::lzf;

#[derive(Default)]
pub struct Functions {
    pub(super) interpreter: Option<(Vm, Globals)>,
    libraries: BTreeMap<Vec<u8>, Library>,
    /// Names in small letters.
    by_name: HashMap<Vec<u8>, Function>,
}

pub struct Library {
    pub code: Vec<u8>,
    /// In the order in which they were registered.
    pub functions: Vec<Vec<u8>>,
}

pub struct Function {
    /// As it was registered.
    pub name: Vec<u8>,
    pub(super) callback: Kept,
    pub flags: Flags,
    pub description: Option<Vec<u8>>,
}

/// A library on its way in: what it has registered so far.
#[derive(Default)]
pub struct Loading {
    registered: Vec<(Vec<u8>, Function)>,
}

/// What FUNCTION RESTORE does with libraries that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Flush,
    Append,
    Replace,
}

const OPCODE_LIBRARY: u8 = 0xf5;
const VERSION_MAX: u16 = 12;
const BAD_NAME: &str =
    "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";

impl Functions {
    /// All libraries with their code, by name.
    pub fn libraries(&self) -> impl Iterator<Item = (&[u8], &Library)> {
        self.libraries.iter().map(|(name, library)| (name.as_slice(), library))
    }

    /// The code of all libraries, for a snapshot.
    pub fn sources(&self) -> Vec<Vec<u8>> {
        self.libraries.values().map(|library| library.code.clone()).collect()
    }

    /// A function, whose name is read without regard to case.
    pub fn get(&self, name: &[u8]) -> Option<&Function> {
        self.by_name.get(&name.to_ascii_lowercase())
    }

    pub fn libraries_len(&self) -> usize {
        self.libraries.len()
    }

    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Bytes of the interpreter, and of what is kept beside it.
    pub fn interpreter_memory(&self) -> usize {
        self.interpreter.as_ref().map_or(0, |(vm, _)| vm.memory())
    }

    pub fn memory(&self) -> usize {
        let libraries: usize = self.libraries.iter().map(|(name, library)| name.len() + library.code.len() + 64).sum();
        libraries + self.by_name.keys().map(|name| name.len() + size_of::<Function>()).sum::<usize>()
    }

    /// Removes a library; false where there is none of that name.
    pub fn delete(&mut self, name: &[u8]) -> bool {
        let Some(library) = self.libraries.remove(name) else { return false };
        for name in library.functions {
            if let Some(function) = self.by_name.remove(&name.to_ascii_lowercase())
                && let Some((vm, _)) = &mut self.interpreter
            {
                vm.forget(function.callback);
            }
        }
        true
    }

    /// The payload of FUNCTION DUMP.
    pub fn dump(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for library in self.libraries.values() {
            out.push(OPCODE_LIBRARY);
            write_length(&mut out, library.code.len());
            out.extend_from_slice(&library.code);
        }
        out.extend_from_slice(&VERSION_MAX.to_le_bytes());
        let sum = crc64(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }
}

/// The libraries' code in a payload of FUNCTION DUMP.
pub fn codes_of_dump(payload: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    const WRONG: &str = "ERR DUMP payload version or checksum are wrong";
    const BROKEN: &str = "ERR Failed loading functions payload";
    let (body, footer) = payload.len().checked_sub(10).map(|at| payload.split_at(at)).ok_or(WRONG)?;
    let version = u16::from_le_bytes([footer[0], footer[1]]);
    let sum = footer[2..].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    if version > VERSION_MAX || sum != 0 && sum != crc64(&payload[..payload.len() - 8]) {
        return Err(WRONG);
    }
    let mut codes = Vec::new();
    let mut rest = body;
    while let Some((&opcode, after)) = rest.split_first() {
        if opcode != OPCODE_LIBRARY {
            return Err("ERR given type is not a function");
        }
        let (code, after) = read_string(after).ok_or(BROKEN)?;
        codes.push(code);
        rest = after;
    }
    Ok(codes)
}

impl Server {
    /// Loads a library and gives its name. The error is a reply's text. FUNCTION LOAD, and whoever reads the data back, come here.
    pub fn load_library(&mut self, code: &[u8], replace: bool) -> Result<Vec<u8>, Vec<u8>> {
        let (name, body) = parse_header(code)?;
        if !replace && self.scripts.functions.libraries.contains_key(&name) {
            return Err([b"ERR Library '", &name[..], b"' already exists"].concat());
        }
        let mut loading = Loading::default();
        let result = self.run_library(body, &mut loading);
        let functions = &mut self.scripts.functions;
        let refusal = result.err().or_else(|| functions.conflict(&name, &loading.registered));
        if let Some(text) = refusal {
            if let Some((vm, _)) = &mut functions.interpreter {
                loading.registered.iter().for_each(|(_, function)| vm.forget(function.callback));
            }
            return Err(text);
        }
        functions.delete(&name);
        let names = loading.registered.iter().map(|(name, _)| name.clone()).collect();
        let small = |(name, function): (Vec<u8>, Function)| (name.to_ascii_lowercase(), function);
        functions.by_name.extend(loading.registered.into_iter().map(small));
        functions.libraries.insert(name.clone(), Library { code: code.to_vec(), functions: names });
        Ok(name)
    }

    fn run_library(&mut self, body: &[u8], loading: &mut Loading) -> Result<(), Vec<u8>> {
        let (mut vm, globals) = self.take_functions_interpreter();
        let result = match vm.compile(body, c"@user_function") {
            Ok(chunk) => {
                let result = self.run_chunk(&mut vm, globals, chunk, loading);
                vm.forget(chunk);
                result
            }
            Err(message) => Err([b"ERR Error compiling function: ", &message[..]].concat()),
        };
        self.scripts.functions.interpreter = Some((vm, globals));
        result
    }

    fn run_chunk(&mut self, vm: &mut Vm, globals: Globals, chunk: Kept, loading: &mut Loading) -> Result<(), Vec<u8>> {
        vm.with(|call| globals.show_to_library(call, true));
        let before = self.scripts.running.replace(Running::new(true, true));
        let mut run = Run {
            server: self,
            name: b"",
            request: Request::new(b"", &[]),
            id: None,
            read_only: true,
            flags: Flags::default(),
            slot: None,
            memory_is_short: false,
            protocol: Protocol::Resp2,
            random: Default::default(),
            failure: None,
            buffers: Default::default(),
            pattern_steps: 0,
            library: Some(loading),
        };
        let ended = vm.run(&mut run, chunk, on_error, |_| 0, |_, ended, _| ended);
        let failure = run.failure.take();
        self.scripts.running = before;
        vm.with(|call| globals.show_to_library(call, false));
        match (ended, failure) {
            (Ended::Well, _) if loading.registered.is_empty() => Err(b"ERR No functions registered".to_vec()),
            (Ended::Well, _) => Ok(()),
            (Ended::OutOfMemory, _) => Err(b"ERR Error registering functions: ERR not enough memory".to_vec()),
            (Ended::Raised, failure) => {
                Err([b"ERR Error registering functions: ", &failure.unwrap_or_default().text[..]].concat())
            }
        }
    }

    pub(super) fn take_functions_interpreter(&mut self) -> (Vm, Globals) {
        self.scripts.functions.interpreter.take().unwrap_or_else(|| {
            let mut vm = Vm::new(super::MEMORY_MAX);
            let globals = sandbox::build(&mut vm, true);
            (vm, globals)
        })
    }

    /// FUNCTION RESTORE: all of the payload, or nothing.
    pub fn restore_libraries(&mut self, payload: &[u8], policy: Policy) -> Result<(), Vec<u8>> {
        let codes = codes_of_dump(payload)?;
        let mut wanted: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        if policy != Policy::Flush {
            let present = &self.scripts.functions.libraries;
            wanted.extend(present.iter().map(|(name, library)| (name.clone(), library.code.clone())));
        }
        for code in codes {
            let (name, _) = parse_header(&code)?;
            if policy != Policy::Replace && wanted.contains_key(&name) {
                return Err([b"ERR Library ", &name[..], b" already exists"].concat());
            }
            wanted.insert(name, code);
        }
        // All anew, so that a failure half way leaves what was there.
        let before = std::mem::take(&mut self.scripts.functions);
        for code in wanted.values() {
            if let Err(text) = self.load_library(code, false) {
                self.scripts.functions = before;
                return Err(text);
            }
        }
        Ok(())
    }

    /// FUNCTION FLUSH.
    pub fn flush_libraries(&mut self) {
        self.scripts.functions = Functions::default();
    }
}

impl Functions {
    /// What stands against adding these functions as library `name`.
    fn conflict(&self, name: &[u8], registered: &[(Vec<u8>, Function)]) -> Option<Vec<u8>> {
        let own = self.libraries.get(name).map_or(&[][..], |library| &library.functions);
        let is_own = |function: &Vec<u8>| own.iter().any(|other| other.eq_ignore_ascii_case(function));
        let taken = |function: &Vec<u8>| self.get(function).is_some() && !is_own(function);
        let (function, _) = registered.iter().find(|(function, _)| taken(function))?;
        Some([b"ERR Function ", &function[..], b" already exists"].concat())
    }
}

/// The library's name, and the code behind the first line, which keeps its end so that lines are counted right.
fn parse_header(code: &[u8]) -> Result<(Vec<u8>, &[u8]), Vec<u8>> {
    let error = |text: &str| text.as_bytes().to_vec();
    let Some(behind) = code.strip_prefix(b"#!") else { return Err(error("ERR Missing library metadata")) };
    let Some(end) = memchr::memchr(b'\n', behind) else { return Err(error("ERR Invalid library metadata")) };
    let words = split_args(&code[..2 + end]).filter(|words| !words.is_empty());
    let Some(words) = words else { return Err(error("ERR Invalid library metadata")) };
    let engine = words[0].get(2..).unwrap_or_default();
    let mut name = None;
    for word in &words[1..] {
        let Some(value) = word.get(..5).filter(|key| key.eq_ignore_ascii_case(b"name=")).map(|_| &word[5..]) else {
            return Err([b"ERR Invalid metadata value given: ", &word[..]].concat());
        };
        if name.replace(value.to_vec()).is_some() {
            return Err(error("ERR Invalid metadata value, name argument was given multiple times"));
        }
    }
    let Some(name) = name else { return Err(error("ERR Library name was not given")) };
    if !is_name(&name) {
        return Err(error(&format!("ERR {BAD_NAME}")));
    }
    if !engine.eq_ignore_ascii_case(b"lua") {
        return Err([b"ERR Engine '", engine, b"' not found"].concat());
    }
    Ok((name, &behind[end..]))
}

fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// `redis.register_function`, in both of its forms.
pub(super) fn register(call: &mut Call) -> Result<usize, Raised> {
    const WRONG_NUMBER: &str = "wrong number of arguments to redis.register_function";
    let (name, function) = match call.top() {
        1 => named_arguments(call)?,
        2 => {
            let Some(name) = text(call, 1) else {
                return Err(api::fail(call, "first argument to redis.register_function must be a string"));
            };
            if call.kind(2) != Kind::Function {
                return Err(api::fail(call, "second argument to redis.register_function must be a function"));
            }
            call.push_value(2);
            (name.clone(), Function { name, callback: call.keep(), flags: Flags::default(), description: None })
        }
        _ => return Err(api::fail(call, WRONG_NUMBER)),
    };
    let Some(loading) = call.run().and_then(|run| run.library.as_deref_mut()) else {
        return Err(api::fail(call, "redis.register_function can only be called on FUNCTION LOAD command"));
    };
    let refusal = if !is_name(&name) {
        Some(BAD_NAME)
    } else if loading.registered.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
        Some("Function already exists in the library")
    } else {
        None
    };
    // Even what is refused is handed over: whoever loads forgets the callbacks.
    loading.registered.push((name, function));
    match refusal {
        Some(text) => Err(api::fail(call, text)),
        None => Ok(0),
    }
}

fn text(call: &mut Call, index: usize) -> Option<Vec<u8>> {
    call.string_argument(index).ok().map(<[u8]>::to_vec).or_else(|| {
        // The message about the wrong type is not wanted.
        call.pop(1);
        None
    })
}

fn named_arguments(call: &mut Call) -> Result<(Vec<u8>, Function), Raised> {
    if call.kind(1) != Kind::Table {
        return Err(api::fail(
            call,
            "calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).",
        ));
    }
    let (mut name, mut description, mut flags, mut has_callback) = (None, None, Flags::default(), false);
    call.push_nil();
    let callback = 2;
    call.push_nil();
    while call.next(1) {
        // Reading a number as text would change the key, which is needed to go on.
        call.push_value(-2);
        let top = call.top();
        let Some(key) = text(call, top) else {
            return Err(api::fail(call, "named argument key given to redis.register_function is not a string"));
        };
        call.pop(1);
        let value = call.top();
        match key.as_slice() {
            b"function_name" | b"description" => {
                call.push_value(-1);
                let Some(given) = text(call, value + 1) else {
                    let key = String::from_utf8_lossy(&key).into_owned();
                    return Err(api::fail(
                        call,
                        &format!("{key} argument given to redis.register_function must be a string"),
                    ));
                };
                call.pop(1);
                if key == b"function_name" { name = Some(given) } else { description = Some(given) }
            }
            b"callback" => {
                if call.kind(-1) != Kind::Function {
                    return Err(api::fail(
                        call,
                        "callback argument given to redis.register_function must be a function",
                    ));
                }
                call.push_value(-1);
                call.replace(callback);
                has_callback = true;
            }
            b"flags" => {
                if call.kind(-1) != Kind::Table {
                    return Err(api::fail(
                        call,
                        "flags argument to redis.register_function must be a table representing function flags",
                    ));
                }
                flags = read_flags(call)?;
            }
            _ => return Err(api::fail(call, "unknown argument given to redis.register_function")),
        }
        call.pop(1);
    }
    let Some(name) = name else {
        return Err(api::fail(call, "redis.register_function must get a function name argument"));
    };
    if !has_callback {
        return Err(api::fail(call, "redis.register_function must get a callback argument"));
    }
    call.push_value(callback);
    Ok((name.clone(), Function { name, callback: call.keep(), flags, description }))
}

/// Reads the flags in the table on top.
fn read_flags(call: &mut Call) -> Result<Flags, Raised> {
    let mut flags = Flags::default();
    for element in 1.. {
        call.raw_get_at(-1, element);
        if call.kind(-1) == Kind::Nil {
            call.pop(1);
            break;
        }
        let known = call.bytes(-1).is_some_and(|name| flags.set(name));
        call.pop(1);
        if !known {
            return Err(api::fail(call, "unknown flag given"));
        }
    }
    Ok(flags)
}

fn write_length(out: &mut Vec<u8>, len: usize) {
    match len {
        0..0x40 => out.push(len as u8),
        0x40..0x4000 => out.extend_from_slice(&[0x40 | (len >> 8) as u8, len as u8]),
        0x4000..=0xffff_ffff => {
            out.push(0x80);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
        _ => {
            out.push(0x81);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

/// A length, or the number of an encoding (in the error).
fn read_length(bytes: &[u8]) -> Option<(Result<usize, u8>, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let big_endian = |count: usize| {
        let value = rest.get(..count)?.iter().fold(0usize, |value, byte| value << 8 | usize::from(*byte));
        Some((Ok(value), &rest[count..]))
    };
    match first >> 6 {
        0 => Some((Ok(usize::from(first)), rest)),
        1 => {
            let (&second, rest) = rest.split_first()?;
            Some((Ok(usize::from(first & 0x3f) << 8 | usize::from(second)), rest))
        }
        2 if first == 0x80 => big_endian(4),
        2 if first == 0x81 => big_endian(8),
        2 => None,
        _ => Some((Err(first & 0x3f), rest)),
    }
}

fn read_string(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    const COMPRESSED: u8 = 3;
    const CODE_MAX: usize = 512 << 20;
    let (length, rest) = read_length(bytes)?;
    match length {
        Ok(len) if len <= rest.len() => Some((rest[..len].to_vec(), &rest[len..])),
        Err(COMPRESSED) => {
            let (packed, rest) = read_length(rest)?;
            let (plain, rest) = read_length(rest)?;
            let (packed, plain) = (packed.ok()?, plain.ok().filter(|len| *len <= CODE_MAX)?);
            let source = rest.get(..packed)?;
            if !lzf::is_plausible(packed, plain) {
                return None;
            }
            let mut text = Vec::new();
            lzf::decompress(source, plain, &mut text)?;
            Some((text, &rest[packed..]))
        }
        _ => None,
    }
}
