//! Files, and what stands in them: the layer below the process that knows the disk and nothing of commands or sessions.
//!
//! `disk` is the one way to files, with a real disk and a hostile one for tests. `aof` is the append-only file in parts. Who calls them,
//! and when, is decided in `process::keeper`.

pub mod aof;
pub mod disk;
