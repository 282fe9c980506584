//! What a script finds around it: the globals, which it can read and not change.
//!
//! ```text
//!   globals of every function ──► proxy (empty) ── __index ──► real table ── __index ──► "nonexistent global variable"
//!                                   └── __newindex ──► "readonly table"       redis, string, … : proxies of the same kind
//! ```
//!
//! Lua 5.1 knows no tables that must not be changed, so scripts see empty proxies, and the few functions that look past metatables
//! (`next`, `rawset`, `setmetatable`, …) know them. Nothing hands out the real tables.

use super::lua::{Call, Function, Kept, Kind, Raised, Vm};
use super::{api, base, bits, cjson, cmsgpack, strings, structs};

/// What runs need of the environment they run in.
#[derive(Clone, Copy, Debug)]
pub struct Globals {
    /// The real table of globals, where KEYS and ARGV are put.
    real: Kept,
    /// The metatable of its proxy.
    meta: Kept,
    /// What a library finds while it is loaded, in place of `real`.
    loading: Kept,
}

const BASE: [&str; 15] = [
    "_VERSION",
    "assert",
    "error",
    "gcinfo",
    "ipairs",
    "rawequal",
    "select",
    "tonumber",
    "tostring",
    "type",
    "unpack",
    "coroutine",
    "math",
    "table",
    "os",
];
const OS: [&str; 1] = ["clock"];

/// Builds the environment; for functions, `redis` lacks what only EVAL has.
pub fn build(vm: &mut Vm, for_functions: bool) -> Globals {
    vm.with(|call| {
        call.push_globals();
        let old = call.top() as i32;
        call.push_table(0, 0);
        let proxies = call.top() as i32;
        call.push_table(0, 64);
        let real = call.top() as i32;

        for name in BASE.into_iter().chain(["string"]) {
            call.raw_field(old, name);
            call.set_field(real, name);
        }
        add_functions(call, real, &base::FUNCTIONS);
        add_guarded(call, real, proxies);
        call.raw_field(real, "table");
        let table = call.top() as i32;
        call.push_value(proxies);
        call.push_nil();
        call.push_guarded("insert");
        call.set_field(table, "insert");
        call.pop(1);
        for (library, functions) in [
            ("string", &strings::FUNCTIONS[..]),
            ("math", &base::MATH[..]),
            ("bit", &bits::FUNCTIONS),
            ("struct", &structs::FUNCTIONS),
        ] {
            call.raw_field(real, library);
            if call.kind(-1) != Kind::Table {
                call.pop(1);
                call.push_table(0, functions.len());
            }
            let at = call.top() as i32;
            add_functions(call, at, functions);
            call.set_field(real, library);
        }
        keep_only(call, real, "os", &OS);
        cjson::push_library(call);
        call.set_field(real, "cjson");
        cmsgpack::push_library(call);
        call.set_field(real, "cmsgpack");
        api::push_library(call, for_functions);
        call.set_field(real, "redis");

        for library in ["bit", "cjson", "cmsgpack", "coroutine", "math", "os", "redis", "string", "struct", "table"] {
            call.raw_field(real, library);
            push_proxy(call, proxies);
            call.set_field(real, library);
            call.pop(1);
        }
        // Valkey's name for the same library, which its users' scripts may have begun to use.
        call.raw_field(real, "redis");
        call.set_field(real, "server");
        add_getmetatable(call, real, proxies);
        let globals = finish(call, real, proxies);
        call.push_kept(globals.loading);
        let loading = call.top() as i32;
        api::push_loading_library(call);
        call.push_table(0, 1);
        push_missing(call);
        call.set_field(-2, "__index");
        call.set_metatable(-2);
        push_proxy(call, proxies);
        call.push_value(-1);
        call.set_field(loading, "redis");
        call.set_field(loading, "server");
        globals
    })
}

/// Puts the proxy in the place of the old globals.
fn finish(call: &mut Call, real: i32, proxies: i32) -> Globals {
    call.push_table(0, 1);
    push_missing(call);
    call.set_field(-2, "__index");
    let strict = call.top() as i32;
    call.push_value(strict);
    call.set_metatable(real);
    call.push_table(0, 1);
    call.push_value(strict);
    call.set_metatable(-2);
    let loading = call.keep();

    call.push_value(real);
    push_proxy(call, proxies);
    call.push_value(-1);
    call.set_field(real, "_G");
    call.metatable(-1);
    let meta = call.keep();
    call.replace_globals();
    call.push_value(real);
    Globals { real: call.keep(), meta, loading }
}

impl Globals {
    /// Sets a global: KEYS, ARGV. The value is on top of the stack and is taken off.
    pub fn set(self, call: &mut Call, name: &str) {
        call.push_kept(self.real);
        call.insert(-2);
        call.set_field(-2, name);
        call.pop(1);
    }

    /// Says which globals there are: those of a library being loaded, or all.
    pub fn show_to_library(self, call: &mut Call, loading: bool) {
        call.push_kept(self.meta);
        call.push_kept(if loading { self.loading } else { self.real });
        call.set_field(-2, "__index");
        call.pop(1);
    }
}

fn add_functions(call: &mut Call, table: i32, functions: &[(&str, Function)]) {
    for (name, function) in functions {
        call.push_function(*function);
        call.set_field(table, name);
    }
}

fn add_guarded(call: &mut Call, real: i32, proxies: i32) {
    for name in ["next", "pairs", "rawget", "rawset", "setmetatable"] {
        call.push_value(proxies);
        // `pairs` hands `next` out; for the others this is nothing yet, or of no use.
        call.raw_field(real, "next");
        call.push_guarded(name);
        call.set_field(real, name);
    }
}

fn keep_only(call: &mut Call, real: i32, library: &str, names: &[&str]) {
    call.push_table(0, names.len());
    call.raw_field(real, library);
    for name in names {
        call.raw_field(-1, name);
        call.set_field(-3, name);
    }
    call.pop(1);
    call.set_field(real, library);
}

/// Pushes a proxy for the table on top, which stays below it.
fn push_proxy(call: &mut Call, proxies: i32) {
    let target = call.top() as i32;
    call.push_table(0, 0);
    call.push_table(0, 2);
    call.push_value(target);
    call.set_field(-2, "__index");
    call.push_function(refuse);
    call.set_field(-2, "__newindex");
    call.set_metatable(-2);
    call.push_value(-1);
    call.push_value(target);
    call.raw_set(proxies);
}

fn refuse(call: &mut Call) -> Result<usize, Raised> {
    Err(call.raise("Attempt to modify a readonly table"))
}

fn push_missing(call: &mut Call) {
    call.push_function(|call| {
        let name = call.string_argument(2).unwrap_or_default();
        Err(call.raise([b"Script attempted to access nonexistent global variable '", name, b"'"].concat()))
    });
}

/// `getmetatable` shows nothing through which a real table could be reached.
fn add_getmetatable(call: &mut Call, real: i32, proxies: i32) {
    call.push_value(proxies);
    // What is shown of strings: a metatable that leads to the proxy of the library.
    call.push_table(0, 1);
    call.raw_field(real, "string");
    call.set_field(-2, "__index");
    push_proxy(call, proxies);
    call.remove(-2);
    call.push_table(0, 0);
    push_proxy(call, proxies);
    call.remove(-2);
    call.push_function_with(getmetatable, 3);
    call.set_field(real, "getmetatable");
}

fn getmetatable(call: &mut Call) -> Result<usize, Raised> {
    match call.kind(1) {
        Kind::None => return Err(call.bad_argument(1, "value expected")),
        Kind::String => {
            call.push_upvalue(2);
            return Ok(1);
        }
        _ => {}
    }
    if !call.metatable(1) {
        call.push_nil();
        return Ok(1);
    }
    call.push_upvalue(1);
    call.push_value(1);
    let is_table = call.kind(1) == Kind::Table;
    call.raw_get(-2);
    if is_table && call.kind(-1) == Kind::Table {
        // Of a protected table only that of the globals shows that it has one.
        call.push_globals();
        let is_globals = call.address(-1) == call.address(1);
        if is_globals {
            call.push_upvalue(3)
        } else {
            call.push_nil()
        }
        return Ok(1);
    }
    call.pop(2);
    call.raw_field(-1, "__metatable");
    if call.kind(-1) == Kind::Nil {
        call.pop(1);
    }
    Ok(1)
}
