//! How a command ends when it does not end well: an error in Redis's words, or a wait for a key.
//!
//! A handler returns `Done`; `?` carries a `Stop` up to dispatch. The texts that several commands share stand here once.

use std::borrow::Cow;

use crate::db::WrongType;

/// What every handler returns.
pub type Done = Result<(), Stop>;

/// Why a handler stopped before it replied.
#[derive(Debug)]
pub enum Stop {
    Error(Cow<'static, str>),
    /// The error's text holds bytes of the client's that may not be UTF-8.
    Bytes(Vec<u8>),
    /// Nothing to do yet: run the same request again when one of its keys is touched.
    Wait(Wait),
    /// Everything has been written to the reply already.
    Replied,
}

/// What a waiting client waits for.
#[derive(Debug)]
pub struct Wait {
    pub keys: Vec<Box<[u8]>>,
    /// Unix time in milliseconds; `None` waits for ever.
    pub deadline: Option<u64>,
    pub on_timeout: TimeoutReply,
    /// The type that serves the client: a key that turns into another one does not wake it.
    pub wants: crate::types::value::Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutReply {
    Null,
    NullArray,
}

pub const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
pub const SYNTAX: Stop = error("ERR syntax error");
pub const NOT_AN_INTEGER: Stop = error("ERR value is not an integer or out of range");
pub const NOT_A_FLOAT: Stop = error("ERR value is not a valid float");
pub const NO_SUCH_KEY: Stop = error("ERR no such key");
pub const OUT_OF_RANGE_INDEX: Stop = error("ERR index out of range");
pub const OVERFLOW: Stop = error("ERR increment or decrement would overflow");

/// An error with a constant text, code first.
pub const fn error(text: &'static str) -> Stop {
    Stop::Error(Cow::Borrowed(text))
}

/// An error whose text is made on the spot.
pub fn error_with(text: impl Into<String>) -> Stop {
    Stop::Error(Cow::Owned(text.into()))
}

/// What Redis shows of a client's bytes in the middle of an error: C's strings end at the first NUL byte.
pub fn shown(text: &[u8]) -> &[u8] {
    &text[..memchr::memchr(0, text).unwrap_or(text.len())]
}

impl From<WrongType> for Stop {
    fn from(_: WrongType) -> Self {
        error(WRONG_TYPE)
    }
}
