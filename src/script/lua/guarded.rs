//! Functions of the base library that have an eye on tables which must not be changed.
//!
//! A proxy stands for such a table. The functions' first upvalue is the table `proxy → what it stands for`, the second one `next`. They own nothing,
//! so that what raises in them may jump.
#![allow(clippy::undocumented_unsafe_blocks, reason = "the reason for each kind of call stands above it, once")]

use std::ffi::{CStr, c_int};

use mlua_sys::lua51 as ffi;
use mlua_sys::lua51::lua_State;

use super::Call;

/// `insert` takes positions before the first, as Lua does, but not any.
const POSITION_MIN: c_int = 1 << 16;

const PROTECTED: &CStr = c"Attempt to modify a readonly table";

/// What `next`, `pairs`, … are in the sandbox, by name.
const GUARDED: [(&str, ffi::lua_CFunction); 6] = [
    ("next", guarded_next),
    ("pairs", guarded_pairs),
    ("rawget", guarded_rawget),
    ("rawset", guarded_rawset),
    ("setmetatable", guarded_setmetatable),
    ("insert", guarded_insert),
];

impl Call<'_> {
    /// Pushes one of `GUARDED` by name, with the two topmost values as its upvalues, which are taken off: the table of proxies, and `next`.
    pub fn push_guarded(&mut self, name: &str) {
        debug_assert!(self.top() >= 2);
        if let Some((_, function)) = GUARDED.iter().find(|(known, _)| *known == name) {
            unsafe { ffi::lua_pushcclosure(self.state, *function, 2) }
        }
    }
}

/// True where the first argument is a proxy; what it stands for is then in its place.
///
/// SAFETY: called by the functions below with at least one argument.
unsafe fn unwrap_proxy(state: *mut lua_State) -> bool {
    unsafe {
        if ffi::lua_type(state, 1) != ffi::LUA_TTABLE || ffi::lua_getmetatable(state, 1) == 0 {
            return false;
        }
        ffi::lua_settop(state, -2);
        ffi::lua_pushvalue(state, 1);
        ffi::lua_rawget_(state, ffi::lua_upvalueindex(1));
        let is_proxy = ffi::lua_type(state, -1) == ffi::LUA_TTABLE;
        if is_proxy {
            ffi::lua_replace(state, 1)
        } else {
            ffi::lua_settop(state, -2)
        }
        is_proxy
    }
}

// SAFETY of all: called by Lua as C functions; only the interface is used, with arguments checked by it.
unsafe extern "C-unwind" fn guarded_next(state: *mut lua_State) -> c_int {
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        ffi::lua_settop(state, 2);
        unwrap_proxy(state);
        if ffi::lua_next(state, 1) != 0 {
            return 2;
        }
        ffi::lua_pushnil(state);
        1
    }
}

unsafe extern "C-unwind" fn guarded_pairs(state: *mut lua_State) -> c_int {
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        ffi::lua_settop(state, 1);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(2));
        ffi::lua_insert(state, 1);
        ffi::lua_pushnil(state);
        3
    }
}

unsafe extern "C-unwind" fn guarded_rawget(state: *mut lua_State) -> c_int {
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        ffi::luaL_checkany(state, 2);
        ffi::lua_settop(state, 2);
        unwrap_proxy(state);
        ffi::lua_rawget_(state, 1);
        1
    }
}

unsafe extern "C-unwind" fn guarded_rawset(state: *mut lua_State) -> c_int {
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        ffi::luaL_checkany(state, 2);
        ffi::luaL_checkany(state, 3);
        ffi::lua_settop(state, 3);
        if unwrap_proxy(state) {
            return refuse_change(state);
        }
        ffi::lua_rawset(state, 1);
        1
    }
}

unsafe extern "C-unwind" fn guarded_setmetatable(state: *mut lua_State) -> c_int {
    unsafe {
        let kind = ffi::lua_type(state, 2);
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        if kind != ffi::LUA_TNIL && kind != ffi::LUA_TTABLE {
            return ffi::luaL_argerror(state, 2, c"nil or table expected".as_ptr());
        }
        if unwrap_proxy(state) {
            return refuse_change(state);
        }
        if ffi::luaL_getmetafield_(state, 1, c"__metatable".as_ptr()) != 0 {
            return ffi::luaL_error(state, c"cannot change a protected metatable".as_ptr());
        }
        ffi::lua_settop(state, 2);
        ffi::lua_setmetatable(state, 1);
        1
    }
}

unsafe extern "C-unwind" fn guarded_insert(state: *mut lua_State) -> c_int {
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        let behind = (ffi::lua_objlen(state, 1) as c_int).wrapping_add(1);
        let at = match ffi::lua_gettop(state) {
            2 => behind,
            3 => {
                let at = ffi::luaL_checkinteger(state, 2) as c_int;
                if at < -POSITION_MIN {
                    // All places from there on would be moved, one by one.
                    return ffi::luaL_argerror(state, 2, c"position out of bounds".as_ptr());
                }
                if !unwrap_proxy(state) {
                    for index in (at.saturating_add(1)..=behind.max(at)).rev() {
                        ffi::lua_rawgeti_(state, 1, index - 1);
                        ffi::lua_rawseti_(state, 1, index);
                    }
                } else {
                    return refuse_change(state);
                }
                at
            }
            _ => return ffi::luaL_error(state, c"wrong number of arguments to 'insert'".as_ptr()),
        };
        if unwrap_proxy(state) {
            return refuse_change(state);
        }
        ffi::lua_rawseti_(state, 1, at);
        0
    }
}

unsafe fn refuse_change(state: *mut lua_State) -> c_int {
    unsafe {
        ffi::lua_pushlstring_(state, PROTECTED.as_ptr(), PROTECTED.to_bytes().len());
        ffi::lua_error(state)
    }
}
