//! Files that keep the data: their formats, and what reads and writes them.
//!
//! Nothing here knows a command or a session. `rdb` is the snapshot's format both ways.

pub mod rdb;
