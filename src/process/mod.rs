//! What concerns the process rather than the server: its log, its place among other processes, its limits, its title.
//!
//! `main` goes through these in the order of a start; `net` calls some of them again when a directive changes. Every wording that
//! other programs look for in a log is Redis's.

pub mod affinity;
pub mod check;
pub mod check_aof;
pub mod daemon;
mod facts;
pub mod huge_pages;
pub mod keeper;
pub mod lazy_free;
pub mod limits;
mod line;
pub mod log;
pub mod saver;
pub mod signals;
pub mod supervisor;
pub mod title;
mod words;

use crate::config::Config;

pub use facts::Process;
pub use words::{say_hello, say_ready, write_port_file};

/// A seed that nobody can guess.
pub fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

/// Removes what only a running server may leave in the file system. The Unix socket goes with its listener.
pub fn clean_up(config: &Config) {
    if let Some(path) = config.pidfile.path_if_set() {
        tracing::info!("Removing the pid file.");
        if let Err(error) = std::fs::remove_file(path) {
            tracing::debug!("Could not remove {}: {error}", path.display());
        }
    }
}
