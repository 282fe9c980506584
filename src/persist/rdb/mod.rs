//! Snapshot files: the frame around the values of `types::codec`.
//!
//! ```text
//!   REDIS0010 │ (FA name · text)… │ (F5 library)… │ FE db │ FB keys · with deadlines │ record… │ FE db … │ FF │ checksum u64
//!
//!   record    (FA runnel-stream · …)  FC deadline ms  F8 idle s | F9 frequency   form · key · value       all but the last where there is one
//! ```
//! `write` makes it, `read` takes it apart; `save` brings it to a file, `check` is redis-check-rdb, `dump` the frame of a single value. What the records go into, and when, is for the server to say.

pub mod check;
pub mod dump;
pub mod read;
pub mod save;
pub mod write;

pub use read::{Error, Event, Options, Reader, Reason};
pub use write::{Access, Facts, Version, Writer};

/// What may stand where a value's form is expected.
mod opcode {
    pub const SLOT_IMPORT_OR_KEY_META: u8 = 243;
    pub const SLOT_INFO: u8 = 244;
    pub const FUNCTION: u8 = 245;
    pub const FUNCTION_EARLY: u8 = 246;
    pub const MODULE_AUX: u8 = 247;
    pub const IDLE: u8 = 248;
    pub const FREQUENCY: u8 = 249;
    pub const AUX: u8 = 250;
    pub const SIZES: u8 = 251;
    pub const DEADLINE_MS: u8 = 252;
    pub const DEADLINE_S: u8 = 253;
    pub const DATABASE: u8 = 254;
    pub const END: u8 = 255;
}

/// The bytes of the checksum at the end.
pub const CHECKSUM_BYTES: usize = 8;
