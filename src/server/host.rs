//! What the heart may ask of the process around it: a few facts, a file to be replaced, a pause.
//!
//! The heart itself makes no system call. `process::Process` is the real one; tests and simulations run `Nowhere`, or one of their own.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Server;
use super::lines::Line;
use crate::config::{Changed, Config, SetError};
use crate::db::Keyspace;
use crate::db::snapshot::Sink;
use crate::persist::disk::Disk;
use crate::persist::snapshot::Outcome;

/// The process, as INFO shows it.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub process_id: u32,
    pub executable: String,
    /// System, release and machine.
    pub system: String,
    pub total_memory_bytes: u64,
    pub resident_bytes: u64,
    /// Processor time of the process, and of its main thread, in microseconds.
    pub cpu: Cpu,
    pub cpu_main_thread: Cpu,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    pub user_us: u64,
    pub system_us: u64,
}

pub trait Host: Send {
    fn facts(&self) -> Facts;

    /// The port at which clients without TLS come in, 0 where there is none; `None` where there are no ports at all.
    fn tcp_port(&self) -> Option<u16> {
        None
    }

    /// A file's bytes.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Puts `text` in the place of a file, all of it or nothing, and durable.
    fn replace(&self, path: &Path, text: &[u8]) -> io::Result<()>;

    /// Where snapshots are written to and read from. Nowhere, where there are no files.
    fn disk(&self) -> Option<Arc<dyn Disk>> {
        None
    }

    /// Fills `bytes` with what nobody can guess; false where there is no source of it.
    fn fill_random(&self, _bytes: &mut [u8]) -> bool {
        false
    }

    /// Stops everything for so long (DEBUG SLEEP).
    fn sleep(&self, time_us: u64);

    /// Connects to another server, within the time. What takes longer, or has no name that is known, is `TimedOut`.
    fn dial(&self, _host: &str, _port: u16, _limit_ms: u64) -> io::Result<Box<dyn Line>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The server follows another from now on, or follows it no more.
    fn take_role(&mut self, _: &Config) {}

    /// Reads what clients send while a script keeps everything waiting, has it run, and writes what there is to say.
    fn attend(&mut self, _server: &mut Server) {}

    /// Opens what a snapshot of this very moment goes into, or says why that cannot be. The path is that of the file that is being written;
    /// in the end it takes the place of `target`, where there is one.
    fn begin_save(
        &mut self,
        _: &Config,
        _: &Keyspace,
        _functions: Vec<Vec<u8>>,
        _now_ms: u64,
        _target: Option<PathBuf>,
    ) -> Result<(Box<dyn Sink>, PathBuf), String> {
        Err("there are no files here".into())
    }

    /// What came of the save that was begun, once.
    fn save_outcome(&mut self) -> Option<Outcome> {
        None
    }

    /// Bytes that wait to be written by the save that is running.
    fn save_waiting_bytes(&self) -> usize {
        0
    }

    /// The snapshot was given up: removes what was written of it.
    fn give_up_save(&mut self) {}

    /// Acts on a change of the configuration that may fail, such as another port, before it is put in place. May write into `config` what a
    /// value came out as: a relative folder as an absolute one.
    fn reconfigure(&mut self, _config: &mut Config, _changed: &[Changed]) -> Result<(), SetError> {
        Ok(())
    }
}

/// No process at all: no files, no time.
pub struct Nowhere;

impl Host for Nowhere {
    fn facts(&self) -> Facts {
        Facts::default()
    }

    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn replace(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, _: u64) {}
}
