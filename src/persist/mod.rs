//! Files that keep the data: their formats, and what reads and writes them.
//!
//! Nothing here knows a command or a session. `rdb` is the snapshot's format both ways, `aof` the log of changes; both go to files through
//! `disk`.

pub mod aof;
pub mod disk;
pub mod rdb;
