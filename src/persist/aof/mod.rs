//! The append-only log in parts: a base, increments, and a manifest that names them.
//!
//! ```text
//!   appendonlydir/
//!     appendonly.aof.manifest          names the others; replaced as a whole, never changed in place
//!     appendonly.aof.2.base.rdb        the data set at moment T
//!     appendonly.aof.5.incr.aof        requests, as clients send them, since T
//! ```
//!
//! `log` is what the loop holds: it writes what was journaled and knows how far that has got. `flusher` is the thread's half, which
//! forces to disk. `read` finds requests in a file again and tells a torn tail from a corrupt middle. `check` is redis-check-aof.

pub mod commands;
pub mod flusher;
pub mod log;
pub mod manifest;
pub mod read;

pub use log::Log;
pub use manifest::Manifest;
