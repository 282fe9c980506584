//! The interpreter behind a safe face: this file and `lua/guarded.rs` alone speak the C interface of Lua 5.1.
//!
//! A `Vm` owns an interpreter and counts its memory. Functions of ours are given a `Call`: the arguments, and a stack to leave results on.
//! What they may raise is a value (`Raised`); only the outermost frame of each, which owns nothing, hands it to Lua's `longjmp`.
//!
//! Why no other Rust frame is ever jumped over: Lua jumps when an operation raises or when memory runs out. Our functions use raw
//! operations only, which do not raise; they call Lua functions protected; and while they run the allocator does not refuse (`lenient`), so they
//! ask for room themselves (`Call::room`). Calls that may raise stand in frames that own nothing.
#![allow(clippy::undocumented_unsafe_blocks, reason = "the reason for each kind of call stands above it, once")]

mod guarded;

use std::alloc::{self, Layout};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use mlua_sys::lua51 as ffi;
use mlua_sys::lua51::lua_State;

use super::run::Run;

/// A function of ours: leaves results on the stack and says how many, or leaves an error on it.
pub type Function = fn(&mut Call) -> Result<usize, Raised>;

/// The value on top of the stack is an error.
#[derive(Debug)]
pub struct Raised;

/// A value kept in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept(c_int);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    None,
    Nil,
    Bool,
    Light,
    Number,
    String,
    Table,
    Function,
    Userdata,
    Thread,
}

/// A value that is one piece of data.
pub enum Scalar<'a> {
    Bytes(&'a [u8]),
    Number(f64),
}

/// How a protected run ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    Well,
    /// The error, as the handler left it, is on top of the stack.
    Raised,
    OutOfMemory,
}

/// Where in a script something happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub source: Vec<u8>,
    pub line: i64,
}

/// The allocator's account, at an address that does not change.
struct Memory {
    used: usize,
    limit: usize,
    /// A function of ours is running: it has asked for room itself.
    lenient: bool,
    run: *mut c_void,
    /// The main thread of the interpreter, and the bytes it may be given before the clock is looked at again.
    state: *mut lua_State,
    bytes_to_look: usize,
}

pub struct Vm {
    state: NonNull<lua_State>,
    memory: NonNull<Memory>,
}

// SAFETY: the interpreter and its account belong to this value alone; no thread-local state is involved.
unsafe impl Send for Vm {}

/// A run that leaves more than this behind has its garbage collected at once.
const COLLECT_ABOVE: usize = 64 << 20;
/// How many instructions run between two looks at the clock.
const INSTRUCTIONS_BETWEEN_LOOKS: c_int = 10_000;
/// And how many bytes are handed out: one instruction may join strings of megabytes.
const BYTES_BETWEEN_LOOKS: usize = 32 << 20;

impl Vm {
    /// An interpreter with the libraries that are harmless, whose values may take `limit` bytes.
    pub fn new(limit: usize) -> Self {
        let memory = Memory {
            used: 0,
            limit,
            lenient: true,
            run: ptr::null_mut(),
            state: ptr::null_mut(),
            bytes_to_look: BYTES_BETWEEN_LOOKS,
        };
        let memory = NonNull::from(Box::leak(Box::new(memory)));
        // SAFETY: `allocate` keeps the contract of lua_Alloc; the account outlives the state (see `drop`).
        let state = unsafe { ffi::lua_newstate(allocate, memory.as_ptr().cast()) };
        let state = NonNull::new(state).expect("the allocator does not refuse while it is lenient");
        // SAFETY: the account is this value's alone.
        unsafe { (*memory.as_ptr()).state = state.as_ptr() };
        let vm = Self { state, memory };
        // SAFETY: each opener is called as a C function with its name, as `luaL_openlibs` does. None of them raises with memory at hand.
        unsafe {
            for open in [
                ffi::luaopen_base as ffi::lua_CFunction,
                ffi::luaopen_table,
                ffi::luaopen_string,
                ffi::luaopen_math,
                ffi::luaopen_os,
            ] {
                ffi::lua_pushcclosure(state.as_ptr(), open, 0);
                ffi::lua_pushnil(state.as_ptr());
                ffi::lua_call(state.as_ptr(), 1, 0);
            }
            ffi::lua_atpanic(state.as_ptr(), panicked);
        }
        vm
    }

    /// Bytes that the interpreter and all its values take.
    pub fn memory(&self) -> usize {
        // SAFETY: the account lives as long as `self`.
        unsafe { (*self.memory.as_ptr()).used }
    }

    /// Works on the interpreter's stack from outside any script; what is left on it goes.
    pub fn with<T>(&mut self, work: impl FnOnce(&mut Call) -> T) -> T {
        let mut call = Call { state: self.state.as_ptr(), lifetime: PhantomData };
        let top = call.top();
        let result = work(&mut call);
        call.set_top(top);
        result
    }

    /// Compiles `source` under the name `chunk` ("@user_script"); the error is the compiler's message.
    pub fn compile(&mut self, source: &[u8], chunk: &CStr) -> Result<Kept, Vec<u8>> {
        self.with(|call| match call.load(source, chunk) {
            true => Ok(call.keep()),
            false => Err(call.bytes(-1).unwrap_or(b"unknown error").to_vec()),
        })
    }

    /// Forgets a value that was kept.
    pub fn forget(&mut self, kept: Kept) {
        // SAFETY: `Kept` is made by `luaL_ref` alone.
        unsafe { ffi::luaL_unref(self.state.as_ptr(), ffi::LUA_REGISTRYINDEX, kept.0) }
    }

    /// Runs a function for `run`: `prepare` pushes its arguments and says how many, `finish` reads its first result or its error.
    pub fn run<T>(
        &mut self,
        run: &mut Run,
        function: Kept,
        on_error: Function,
        prepare: impl FnOnce(&mut Call) -> usize,
        finish: impl FnOnce(&mut Call, Ended, &mut Run) -> T,
    ) -> T {
        let state = self.state.as_ptr();
        let memory = self.memory.as_ptr();
        let mut call = Call { state, lifetime: PhantomData };
        let top = call.top();
        call.push_function(on_error);
        call.push_kept(function);
        let arguments = prepare(&mut call);
        // SAFETY: the stack holds the handler, the function and its arguments. `run` outlives the call and is reached through the
        // account only while it lasts. The hook raises only where Lua code runs.
        let status = unsafe {
            (*memory).run = ptr::from_mut(&mut *run).cast();
            (*memory).lenient = false;
            ffi::lua_sethook(state, Some(look), ffi::LUA_MASKCOUNT, INSTRUCTIONS_BETWEEN_LOOKS);
            let status = ffi::lua_pcall(state, arguments as c_int, 1, top as c_int + 1);
            ffi::lua_sethook(state, None, 0, 0);
            (*memory).lenient = true;
            (*memory).run = ptr::null_mut();
            status
        };
        let ended = match status {
            ffi::LUA_OK => Ended::Well,
            ffi::LUA_ERRMEM => Ended::OutOfMemory,
            _ => Ended::Raised,
        };
        let is_full = ended == Ended::OutOfMemory || call.memory_used() > COLLECT_ABOVE;
        let result = finish(&mut call, ended, run);
        call.set_top(top);
        if is_full {
            // What one script leaves behind is not to be the next one's trouble.
            call.collect();
        }
        result
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        // SAFETY: nothing else refers to the state or to the account; the account goes last because closing gives memory back to it.
        unsafe {
            ffi::lua_close(self.state.as_ptr());
            drop(Box::from_raw(self.memory.as_ptr()));
        }
    }
}

/// SAFETY: called with a table and a key. It owns nothing, so that what a metamethod raises may jump.
unsafe extern "C-unwind" fn gettable(state: *mut lua_State) -> c_int {
    unsafe { ffi::lua_gettable_(state, 1) };
    1
}

unsafe extern "C-unwind" fn panicked(_: *mut lua_State) -> c_int {
    // Only an error outside every protected call leads here.
    std::process::abort()
}

/// SAFETY: called by Lua alone, with blocks that it got here and their exact sizes.
unsafe extern "C" fn allocate(account: *mut c_void, block: *mut c_void, old: usize, new: usize) -> *mut c_void {
    const ALIGN: usize = 8;
    unsafe {
        let memory = &mut *account.cast::<Memory>();
        let old = if block.is_null() { 0 } else { old };
        if new > old && !memory.lenient && memory.used - old + new > memory.limit {
            return ptr::null_mut();
        }
        let layout = Layout::from_size_align_unchecked(old, ALIGN);
        let result = match (old, new) {
            (0, 0) => return ptr::null_mut(),
            (_, 0) => {
                alloc::dealloc(block.cast(), layout);
                ptr::null_mut()
            }
            (0, _) => alloc::alloc(Layout::from_size_align_unchecked(new, ALIGN)),
            _ => alloc::realloc(block.cast(), layout, new),
        };
        if new == 0 || !result.is_null() {
            memory.used = memory.used - old + new;
        }
        if new >= memory.bytes_to_look {
            memory.bytes_to_look = BYTES_BETWEEN_LOOKS;
            if !memory.run.is_null() {
                // The next instruction looks. A hook may be set at any time.
                ffi::lua_sethook(memory.state, Some(look), ffi::LUA_MASKCOUNT, 1);
            }
        } else {
            memory.bytes_to_look -= new;
        }
        result.cast()
    }
}

/// SAFETY: Lua calls it as a C function with a `Function` as its upvalue (`Call::push_function`). The frame owns nothing when it raises.
unsafe extern "C-unwind" fn trampoline(state: *mut lua_State) -> c_int {
    unsafe {
        let function: Function =
            std::mem::transmute::<*mut c_void, Function>(ffi::lua_touserdata(state, ffi::lua_upvalueindex(1)));
        let memory = account(state);
        let before = std::mem::replace(&mut (*memory).lenient, true);
        let result = function(&mut Call { state, lifetime: PhantomData });
        (*memory).lenient = before;
        match result {
            Ok(results) => results as c_int,
            Err(Raised) => ffi::lua_error(state),
        }
    }
}

/// SAFETY: every state was made by `Vm::new`, with an account.
unsafe fn account(state: *mut lua_State) -> *mut Memory {
    let mut account = ptr::null_mut();
    unsafe { ffi::lua_getallocf(state, &mut account) };
    account.cast()
}

/// The hook: every so many instructions the run may look at the clock, and may be told to end.
///
/// SAFETY: called by Lua between two instructions. The frame owns nothing when it raises.
unsafe extern "C-unwind" fn look(state: *mut lua_State, _: *mut ffi::lua_Debug) {
    unsafe {
        let memory = account(state);
        let before = std::mem::replace(&mut (*memory).lenient, true);
        let mut call = Call { state, lifetime: PhantomData };
        let result = call.breathe();
        (*memory).lenient = before;
        // Once it has to end every instruction raises, so that no `pcall` can hold the script.
        let instructions = if result.is_err() { 1 } else { INSTRUCTIONS_BETWEEN_LOOKS };
        if ffi::lua_gethookcount(state) != instructions {
            ffi::lua_sethook(state, Some(look), ffi::LUA_MASKCOUNT, instructions);
        }
        if result.is_err() {
            ffi::lua_error(state);
        }
    }
}

/// What a function of ours is given: its arguments are at 1, 2, …, and what it pushes is behind them. Negative indices count from the top.
///
/// A string that `bytes` gives is alive as long as its value is on the stack or in a table that is; functions do not take their arguments
/// off the stack.
pub struct Call<'a> {
    state: *mut lua_State,
    lifetime: PhantomData<&'a mut Run<'a>>,
}

// All calls below: the state is alive as long as `self`, indices are acceptable (the interpreter answers "none" for any positive one), room on
// the stack is made before each push, and the operations are raw, so that nothing raises.
impl<'a> Call<'a> {
    pub fn top(&self) -> usize {
        unsafe { ffi::lua_gettop(self.state) as usize }
    }

    pub fn set_top(&mut self, top: usize) {
        self.reserve(top.saturating_sub(self.top()).min(64));
        unsafe { ffi::lua_settop(self.state, top as c_int) }
    }

    pub fn pop(&mut self, count: usize) {
        let top = self.top();
        self.set_top(top.saturating_sub(count));
    }

    pub fn kind(&self, index: i32) -> Kind {
        match unsafe { ffi::lua_type(self.state, self.acceptable(index)) } {
            ffi::LUA_TNIL => Kind::Nil,
            ffi::LUA_TBOOLEAN => Kind::Bool,
            ffi::LUA_TLIGHTUSERDATA => Kind::Light,
            ffi::LUA_TNUMBER => Kind::Number,
            ffi::LUA_TSTRING => Kind::String,
            ffi::LUA_TTABLE => Kind::Table,
            ffi::LUA_TFUNCTION => Kind::Function,
            ffi::LUA_TUSERDATA => Kind::Userdata,
            ffi::LUA_TTHREAD => Kind::Thread,
            _ => Kind::None,
        }
    }

    /// An argument that a command can have.
    #[inline]
    pub fn scalar(&self, index: usize) -> Option<Scalar<'a>> {
        let index = index as c_int;
        // SAFETY: as for all calls here; the text is alive as long as its value is on the stack.
        unsafe {
            match ffi::lua_type(self.state, index) {
                ffi::LUA_TSTRING => {
                    let mut len = 0;
                    let start = ffi::lua_tolstring(self.state, index, &mut len);
                    Some(Scalar::Bytes(std::slice::from_raw_parts(start.cast(), len)))
                }
                ffi::LUA_TNUMBER => Some(Scalar::Number(ffi::lua_tonumber(self.state, index))),
                _ => None,
            }
        }
    }

    /// A number; strings are not read as numbers.
    pub fn number(&self, index: i32) -> Option<f64> {
        (self.kind(index) == Kind::Number).then(|| unsafe { ffi::lua_tonumber(self.state, index) })
    }

    /// A string's bytes; numbers are no strings here.
    pub fn bytes(&self, index: i32) -> Option<&'a [u8]> {
        (self.kind(index) == Kind::String).then(|| unsafe {
            let mut len = 0;
            let start = ffi::lua_tolstring(self.state, index, &mut len);
            std::slice::from_raw_parts(start.cast(), len)
        })
    }

    /// False for nil and false.
    pub fn truth(&self, index: i32) -> bool {
        unsafe { ffi::lua_toboolean(self.state, self.acceptable(index)) != 0 }
    }

    /// The address of a table, function or thread, to tell one from another.
    pub fn address(&self, index: i32) -> usize {
        unsafe { ffi::lua_topointer(self.state, self.acceptable(index)) as usize }
    }

    /// The name of a value's type, as messages show it.
    pub fn type_name(&self, index: i32) -> &'static str {
        match self.kind(index) {
            Kind::None => "no value",
            Kind::Nil => "nil",
            Kind::Bool => "boolean",
            Kind::Light | Kind::Userdata => "userdata",
            Kind::Number => "number",
            Kind::String => "string",
            Kind::Table => "table",
            Kind::Function => "function",
            Kind::Thread => "thread",
        }
    }

    pub fn push_nil(&mut self) {
        self.reserve(1);
        unsafe { ffi::lua_pushnil(self.state) }
    }

    pub fn push_bool(&mut self, value: bool) {
        self.reserve(1);
        unsafe { ffi::lua_pushboolean(self.state, c_int::from(value)) }
    }

    pub fn push_number(&mut self, value: f64) {
        self.reserve(1);
        unsafe { ffi::lua_pushnumber(self.state, value) }
    }

    pub fn push_bytes(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.reserve(1);
        unsafe { ffi::lua_pushlstring_(self.state, bytes.as_ptr().cast(), bytes.len()) }
    }

    /// The userdata that stands for nothing: `cjson.null`.
    pub fn push_null(&mut self) {
        self.reserve(1);
        unsafe { ffi::lua_pushlightuserdata(self.state, ptr::null_mut()) }
    }

    pub fn push_value(&mut self, index: i32) {
        let index = self.acceptable(index);
        self.reserve(1);
        unsafe { ffi::lua_pushvalue(self.state, index) }
    }

    pub fn push_table(&mut self, elements: usize, fields: usize) {
        const MAX: usize = 1 << 24;
        self.reserve(1);
        unsafe { ffi::lua_createtable(self.state, elements.min(MAX) as c_int, fields.min(MAX) as c_int) }
    }

    pub fn push_function(&mut self, function: Function) {
        self.push_function_with(function, 0);
    }

    /// A function that keeps the `values` topmost values; the first is `upvalue(1)`.
    pub fn push_function_with(&mut self, function: Function, values: usize) {
        self.reserve(2);
        debug_assert!(self.top() >= values);
        unsafe {
            ffi::lua_pushlightuserdata(self.state, function as *mut c_void);
            ffi::lua_insert(self.state, -(values as c_int) - 1);
            ffi::lua_pushcclosure(self.state, trampoline, values as c_int + 1);
        }
    }

    /// Pushes a value that the running function keeps.
    pub fn push_upvalue(&mut self, number: usize) {
        self.reserve(1);
        unsafe { ffi::lua_pushvalue(self.state, ffi::lua_upvalueindex(number as c_int + 1)) }
    }

    /// Puts the value on top in the place of one that the running function keeps.
    pub fn replace_upvalue(&mut self, number: usize) {
        unsafe { ffi::lua_replace(self.state, ffi::lua_upvalueindex(number as c_int + 1)) }
    }

    pub fn push_kept(&mut self, kept: Kept) {
        self.reserve(1);
        unsafe { ffi::lua_rawgeti_(self.state, ffi::LUA_REGISTRYINDEX, kept.0) }
    }

    /// Keeps the value on top, which is taken off.
    pub fn keep(&mut self) -> Kept {
        Kept(unsafe { ffi::luaL_ref(self.state, ffi::LUA_REGISTRYINDEX) })
    }

    /// Moves the value on top to `index`, and what is there up.
    pub fn insert(&mut self, index: i32) {
        unsafe { ffi::lua_insert(self.state, self.present(index)) }
    }

    pub fn remove(&mut self, index: i32) {
        unsafe { ffi::lua_remove(self.state, self.present(index)) }
    }

    /// Puts the value on top in the place of another.
    pub fn replace(&mut self, index: i32) {
        unsafe { ffi::lua_replace(self.state, self.present(index)) }
    }

    /// Replaces the key on top by the table's value under it, without metamethods.
    pub fn raw_get(&mut self, table: i32) {
        let table = self.table(table);
        unsafe { ffi::lua_rawget_(self.state, table) }
    }

    pub fn raw_get_at(&mut self, table: i32, element: usize) {
        let table = self.table(table);
        self.reserve(1);
        unsafe { ffi::lua_rawgeti_(self.state, table, element as c_int) }
    }

    /// Pushes a field.
    pub fn raw_field(&mut self, table: i32, name: &str) {
        let table = self.table(table);
        self.push_bytes(name);
        unsafe { ffi::lua_rawget_(self.state, table) }
    }

    /// Takes key and value off the stack and puts them into the table. The key is neither nil nor NaN.
    pub fn raw_set(&mut self, table: i32) {
        let table = self.table(table);
        let is_key = match self.kind(-2) {
            Kind::Nil | Kind::None => false,
            Kind::Number => !self.number(-2).unwrap_or(f64::NAN).is_nan(),
            _ => true,
        };
        if !is_key {
            return self.pop(2);
        }
        unsafe { ffi::lua_rawset(self.state, table) }
    }

    /// Takes the value on top off the stack and puts it into the table.
    pub fn raw_set_at(&mut self, table: i32, element: usize) {
        let table = self.table(table);
        unsafe { ffi::lua_rawseti_(self.state, table, element as c_int) }
    }

    pub fn set_field(&mut self, table: i32, name: &str) {
        let table = self.table(table);
        self.push_bytes(name);
        self.insert(-2);
        unsafe { ffi::lua_rawset(self.state, table) }
    }

    /// Replaces the key on top by the pair that follows it in the table; false at the end, with the key gone. The table must not have been
    /// changed since the key came out of it.
    pub fn next(&mut self, table: i32) -> bool {
        let table = self.table(table);
        self.reserve(1);
        unsafe { ffi::lua_next(self.state, table) != 0 }
    }

    pub fn set_metatable(&mut self, index: i32) {
        let index = self.present(index);
        unsafe {
            ffi::lua_setmetatable(self.state, index);
        }
    }

    /// Pushes the metatable where there is one.
    pub fn metatable(&mut self, index: i32) -> bool {
        self.reserve(1);
        unsafe { ffi::lua_getmetatable(self.state, self.acceptable(index)) != 0 }
    }

    /// Pushes the table of globals.
    pub fn push_globals(&mut self) {
        self.reserve(1);
        unsafe { ffi::lua_pushvalue(self.state, ffi::LUA_GLOBALSINDEX) }
    }

    /// Makes the table on top that of the globals.
    pub fn replace_globals(&mut self) {
        debug_assert_eq!(self.kind(-1), Kind::Table);
        unsafe { ffi::lua_replace(self.state, ffi::LUA_GLOBALSINDEX) }
    }

    /// Compiles and pushes the function; false with the message in its place. Compiled code is no source.
    pub fn load(&mut self, source: &[u8], chunk: &CStr) -> bool {
        self.reserve(2);
        let disarmed;
        let source = if source.first() == Some(&ffi::LUA_SIGNATURE[0]) {
            // The first byte would make it compiled code, which could break the interpreter; behind a blank it is an error.
            disarmed = [b" ", source].concat();
            &disarmed
        } else {
            source
        };
        // SAFETY: `luaL_loadbuffer` is protected by itself. The collector rests, because the compiler of Lua 5.1 does not anchor all it makes.
        unsafe {
            let memory = account(self.state);
            ffi::lua_gc(self.state, ffi::LUA_GCSTOP, 0);
            let before = std::mem::replace(&mut (*memory).lenient, false);
            let status = ffi::luaL_loadbuffer(self.state, source.as_ptr().cast(), source.len(), chunk.as_ptr());
            (*memory).lenient = before;
            ffi::lua_gc(self.state, ffi::LUA_GCRESTART, 0);
            status == ffi::LUA_OK
        }
    }

    /// Calls the function that stands below its arguments. The results take their place, or the error does.
    pub fn call(&mut self, arguments: usize, results: Option<usize>) -> Result<(), Raised> {
        debug_assert!(self.top() > arguments);
        let results = results.map_or(ffi::LUA_MULTRET, |results| results as c_int);
        let status = unsafe {
            let memory = account(self.state);
            let before = std::mem::replace(&mut (*memory).lenient, false);
            let status = ffi::lua_pcall(self.state, arguments as c_int, results, 0);
            (*memory).lenient = before;
            status
        };
        if status == ffi::LUA_OK { Ok(()) } else { Err(Raised) }
    }

    /// Replaces the key on top by the table's value under it, by metamethods where there are any; or by the error of one.
    pub fn get(&mut self, table: i32) -> Result<(), Raised> {
        if !self.metatable(table) {
            self.raw_get(table);
            return Ok(());
        }
        self.pop(1);
        let table = self.table(table);
        self.reserve(2);
        unsafe { ffi::lua_pushcclosure(self.state, gettable, 0) };
        self.insert(-2);
        self.push_value(table);
        self.insert(-2);
        self.call(2, Some(1))
    }

    /// Asks for `bytes` of memory before they are taken.
    pub fn room(&mut self, bytes: usize) -> Result<(), Raised> {
        let fits = unsafe {
            let memory = account(self.state);
            (*memory).used.saturating_add(bytes) <= (*memory).limit
        };
        if fits {
            return Ok(());
        }
        self.push_bytes("not enough memory");
        Err(Raised)
    }

    /// Collects all garbage.
    pub fn collect(&mut self) {
        unsafe {
            ffi::lua_gc(self.state, ffi::LUA_GCCOLLECT, 0);
        }
    }

    pub fn memory_used(&self) -> usize {
        unsafe { (*account(self.state)).used }
    }

    /// What the running script is part of; `None` where a library is being loaded or nothing runs.
    pub fn run(&mut self) -> Option<&'a mut Run<'a>> {
        // SAFETY: the pointer is that of `Vm::run`, whose `run` is borrowed mutably for as long as it is set; a function holds it no longer
        // than it runs, and calls no Lua meanwhile that could ask again (`call` takes `self`).
        unsafe { (*account(self.state)).run.cast::<Run<'a>>().as_mut() }
    }

    /// Looks at the clock from time to time; an error where the script has been told to end.
    pub fn breathe(&mut self) -> Result<(), Raised> {
        let Some(run) = self.run() else { return Ok(()) };
        match run.look_at_the_clock() {
            Ok(()) => Ok(()),
            Err(text) => {
                self.push_bytes(text);
                Err(Raised)
            }
        }
    }

    /// Room for so many values more on the stack; false where Lua allows no more.
    pub fn reserve(&mut self, values: usize) -> bool {
        unsafe { ffi::lua_checkstack(self.state, values as c_int) != 0 }
    }

    /// Where the function at `level` stands: 0 is the running one. `None` above the outermost.
    pub fn place(&mut self, level: usize) -> Option<(Place, bool)> {
        unsafe {
            let mut record: ffi::lua_Debug = std::mem::zeroed();
            if ffi::lua_getstack(self.state, level as c_int, &mut record) == 0 {
                return None;
            }
            ffi::lua_getinfo(self.state, c"Sl".as_ptr(), &mut record);
            let source = CStr::from_ptr(record.source).to_bytes().to_vec();
            let is_ours = CStr::from_ptr(record.what).to_bytes() == b"C";
            Some((Place { source, line: i64::from(record.currentline) }, is_ours))
        }
    }

    /// Raises a message with the place of the script in front of it.
    pub fn raise(&mut self, text: impl AsRef<[u8]>) -> Raised {
        let place = unsafe {
            self.reserve(1);
            ffi::luaL_where(self.state, 1);
            let place = self.bytes(-1).unwrap_or_default().to_vec();
            self.pop(1);
            place
        };
        self.push_bytes([&place, text.as_ref()].concat());
        Raised
    }

    /// Raises "bad argument #1 to 'name' (text)".
    pub fn bad_argument(&mut self, number: usize, text: impl AsRef<[u8]>) -> Raised {
        let (name, is_method) = self.called_as();
        let before = match number {
            1 if is_method => format!("calling '{name}' on bad self ("),
            _ => format!("bad argument #{} to '{name}' (", number as i64 - i64::from(is_method)),
        };
        self.raise([before.as_bytes(), text.as_ref(), b")"].concat())
    }

    /// What the script calls the running function, and whether as a method.
    fn called_as(&mut self) -> (String, bool) {
        unsafe {
            let mut record: ffi::lua_Debug = std::mem::zeroed();
            if ffi::lua_getstack(self.state, 0, &mut record) == 0 {
                return ("?".into(), false);
            }
            ffi::lua_getinfo(self.state, c"n".as_ptr(), &mut record);
            let text_of = |text: *const c_char| {
                if text.is_null() { "?".into() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
            };
            (text_of(record.name), text_of(record.namewhat) == "method")
        }
    }

    pub fn wrong_type(&mut self, number: usize, expected: &str) -> Raised {
        let got = self.type_name(number as i32);
        self.bad_argument(number, format!("{expected} expected, got {got}"))
    }

    /// An argument that is a string, or a number in its place.
    pub fn string_argument(&mut self, number: usize) -> Result<&'a [u8], Raised> {
        if self.kind(number as i32) == Kind::Number {
            // A number on the stack becomes its text.
            unsafe { ffi::lua_tolstring(self.state, number as c_int, ptr::null_mut()) };
        }
        self.bytes(number as i32).ok_or_else(|| self.wrong_type(number, "string"))
    }

    /// An argument that is a number, or a string that reads as one.
    pub fn number_argument(&mut self, number: usize) -> Result<f64, Raised> {
        self.numeric(number as i32).ok_or_else(|| self.wrong_type(number, "number"))
    }

    pub fn numeric(&self, index: i32) -> Option<f64> {
        unsafe {
            let index = self.acceptable(index);
            (ffi::lua_isnumber(self.state, index) != 0).then(|| ffi::lua_tonumber(self.state, index))
        }
    }

    pub fn is_absent(&self, number: usize) -> bool {
        matches!(self.kind(number as i32), Kind::None | Kind::Nil)
    }

    /// An index as the interface takes it: below the top where it is negative.
    fn acceptable(&self, index: i32) -> c_int {
        assert!(index > 0 || index.unsigned_abs() as usize <= self.top(), "an index is on the stack");
        index
    }

    fn present(&self, index: i32) -> c_int {
        assert!(index != 0 && index.unsigned_abs() as usize <= self.top(), "an index is on the stack");
        index
    }

    fn table(&self, index: i32) -> c_int {
        assert!(self.kind(index) == Kind::Table, "a table is where one is expected");
        let top = self.top() as i32;
        if index < 0 { top + index + 1 } else { index }
    }
}

/// A number in C's `%.<precision>g`.
pub fn format_g(precision: usize, value: f64) -> Vec<u8> {
    let mut text = [0u8; 64];
    // SAFETY: the buffer's length is given, and more than seventeen digits are never asked for.
    let len = unsafe {
        libc::snprintf(text.as_mut_ptr().cast(), text.len(), c"%.*g".as_ptr(), precision.min(17) as c_int, value)
    };
    text[..usize::try_from(len).unwrap_or(0).min(text.len() - 1)].to_vec()
}

/// Where a value is a NULL light userdata: `cjson.null`.
pub fn is_null(call: &Call, index: i32) -> bool {
    call.kind(index) == Kind::Light && call.address(index) == 0
}
