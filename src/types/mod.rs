//! What a key can hold: pure values over the containers of `ds`.
//!
//! A type knows its encodings and their thresholds and nothing of commands, clients or clocks:
//! time and randomness come in as arguments, values go out.

pub mod codec;
mod gathered;
pub mod hash;
pub mod list;
mod sampling;
pub mod set;
pub mod stream;
pub mod value;
pub mod zset;
