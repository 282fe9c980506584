//! runnel: a Redis-compatible in-memory server.
//!
//! The modules stand in the order of the arrow drawn in `ARCHITECTURE.md`: bytes come in
//! through `net` and `resp`, `server` decides, `cmd` acts on `db`, and what changed goes out
//! to the side. Start reading at `server::dispatch`.

pub mod cmd;
pub mod command_line;
pub mod config;
pub mod db;
pub mod ds;
pub mod journal;
pub mod net;
pub mod persist;
pub mod process;
pub mod resp;
pub mod script;
pub mod server;
/// Dialogues in process, for tests.
pub mod testing;
pub mod types;
pub mod util;

#[global_allocator]
static ALLOCATOR: util::memory::Accounted = util::memory::Accounted;
