//! Files that keep the data: what stands in them, and what reads and writes them.
//!
//! Nothing here knows a command or a session. `disk` is the one way to files, with a real disk and a hostile one for tests; `rdb` is the
//! snapshot's format both ways, `snapshot` the thread that writes one while the server goes on, `aof` the append-only file in parts. Who
//! calls them, and when, is decided in `process`.

pub mod aof;
pub mod disk;
pub mod rdb;
pub mod snapshot;
