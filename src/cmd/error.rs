//! How a command ends when it does not end well: an error in Redis's words, or a wait for a key.
//!
//! A handler returns `Done`; `?` carries a `Stop` up to dispatch. The texts that several commands share stand here once.

use std::borrow::Cow;

use crate::db::WrongType;
use crate::resp::request::OwnedRequest;

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
    /// What only readers of streams have.
    pub reading: Option<Box<Reading>>,
}

/// How a reader of streams waits.
#[derive(Debug, Default)]
pub struct Reading {
    /// The request to run again where it is not the one that came: XREAD's `$` is the id it was when the client began to wait.
    pub request: Option<OwnedRequest>,
    /// Clients of one class want the same: once one of them found nothing, the others need not be asked.
    pub class: Option<Box<[u8]>>,
    /// Run the request at this moment (Unix milliseconds) even if no key was touched.
    pub retry_at: Option<u64>,
    /// Wants to hear of changes to pending entries too.
    pub claims: bool,
    /// Run the request also when a key has gone or has become another type: it has an error for that.
    pub hears_of_loss: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutReply {
    Null,
    NullArray,
    /// How far the session's writes are safe (WAITAOF).
    Safe,
    /// How many replicas have acknowledged the session's writes (WAIT).
    Acknowledged,
}

pub const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
pub const SYNTAX: Stop = error("ERR syntax error");
/// Of a count whose sign means something: the least integer cannot be turned round.
pub const COUNT_OUT_OF_RANGE: &str =
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
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

/// An error that shows something the client sent, up to so many bytes.
pub fn error_showing(before: &str, name: &[u8], after: &str) -> Stop {
    const SHOWN_MAX: usize = 128;
    let name = shown(&name[..name.len().min(SHOWN_MAX)]);
    Stop::Bytes([before.as_bytes(), name, after.as_bytes()].concat())
}

/// The same with all that the client sent.
pub fn error_showing_all(before: &str, name: &[u8]) -> Stop {
    Stop::Bytes([before.as_bytes(), shown(name)].concat())
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
