//! The data set and its snapshot file: written in one go, and read in steps.
//!
//! What the file looks like is `persist::rdb`'s; when it is written is decided by commands, by `save` rules and at the end of the process.

use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Server;
use crate::config::{Config, RdbDialect, RdbVersionCheck};
use crate::db::evict::{AccessClock, Policy, frequency, idle_ms};
use crate::db::has_lapsed;
use crate::db::load::{self, LastUse};
use crate::persist::disk::{Disk, DiskError};
use crate::persist::rdb::read::{Error, Event, Reason};
use crate::persist::rdb::save::{self, Sink, Stopped};
use crate::persist::rdb::{self, Access, Facts, Reader, Version, write};
use crate::types::codec::Dialect;
use crate::types::value::Record;
use crate::util::number::parse_i64;

/// What INFO tells of snapshots.
#[derive(Default)]
pub struct Snapshots {
    pub loaded_keys: u64,
    pub lapsed_keys: u64,
}

pub fn dialect(config: &Config) -> Dialect {
    match config.rdb_dialect {
        RdbDialect::Redis => Dialect::Redis,
        RdbDialect::Valkey => Dialect::Valkey,
    }
}

/// What the file will tell of a record's last use: only what the eviction policy wants to know.
pub fn access(record: &Record, config: &Config, now: u64) -> Access {
    use crate::config::MaxmemoryPolicy::{AllkeysLfu, AllkeysLru, VolatileLfu, VolatileLru};
    match config.maxmemory_policy {
        AllkeysLru | VolatileLru => Access::IdleSeconds(idle_ms(record, now) / 1000),
        AllkeysLfu | VolatileLfu => Access::Frequency(frequency(record, config, now) as u8),
        _ => Access::Unknown,
    }
}

impl Server {
    /// Where the snapshot lies.
    pub fn snapshot_path(&self) -> PathBuf {
        PathBuf::from(self.config.dbfilename.display().into_owned())
    }

    /// The oldest version of the format that holds what there is now.
    pub fn snapshot_version(&self) -> Version {
        let has_field_deadlines = (0..self.keyspace.databases()).any(|db| self.keyspace.db(db).timed_hashes() > 0);
        Version::oldest(has_field_deadlines, dialect(&self.config))
    }

    /// Writes everything to the snapshot file before it returns. What went wrong is logged.
    pub fn save_now(&mut self) -> Result<(), DiskError> {
        let Some(disk) = self.host.disk() else {
            let error = std::io::ErrorKind::Unsupported.into();
            return Err(DiskError::new("open", &self.snapshot_path(), error));
        };
        let saved = self.write_snapshot(&*disk, &self.snapshot_path());
        match saved {
            Ok(_) => {
                tracing::info!("DB saved on disk");
                self.stats.dirty = 0;
                self.saving.note_saved(self.clock.unix_ms() / 1000);
                Ok(())
            }
            Err(error) => {
                tracing::warn!("Error saving the DB: {error}");
                Err(error)
            }
        }
    }

    /// Saves before the process ends. False where it must not end, as nothing was saved and nobody insists.
    pub fn save_before_the_end(&mut self, force: bool) -> bool {
        if self.durability.is_loading() {
            // What is there by now must not take the place of all of it.
            return true;
        }
        self.give_up_save();
        tracing::info!("Saving the final RDB snapshot before exiting.");
        match self.save_now() {
            Ok(()) => true,
            Err(_) if force => {
                tracing::warn!("Error trying to save the DB, but forced to exit.");
                true
            }
            Err(_) => {
                tracing::warn!("Error trying to save the DB, can't exit.");
                false
            }
        }
    }

    /// Writes a snapshot of this moment to a file. The number of bytes.
    pub fn write_snapshot(&self, disk: &dyn Disk, path: &Path) -> Result<u64, DiskError> {
        let options = save::Options { compress: self.config.rdbcompression, checksums: self.config.rdbchecksum };
        let temporary = format!("temp-{}.rdb", self.host.facts().process_id);
        save::save(disk, path, &temporary, options, |sink| self.fill_snapshot(sink))
    }

    fn fill_snapshot(&self, sink: &mut Sink) -> Result<(), Stopped> {
        let (now, dialect) = (self.clock.unix_ms(), dialect(&self.config));
        self.start_snapshot(sink, false);
        for db in (0..self.keyspace.databases()).filter(|&db| !self.keyspace.db(db).is_empty()) {
            let (keys, volatile) = (self.keyspace.db(db).len(), self.keyspace.db(db).volatile());
            write::database(sink.chunk(), db, keys, volatile);
            let mut stopped = Ok(());
            self.keyspace.db(db).read(&mut |record| {
                if !has_lapsed(&record, now) {
                    stopped = sink.record(&record, dialect, access(&record, &self.config, now));
                }
                if stopped.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            stopped?;
        }
        write::end(sink.chunk());
        Ok(())
    }

    /// What stands before the first database.
    fn start_snapshot(&self, sink: &mut Sink, is_aof_base: bool) {
        let compatible_with = self.config.compat_version.to_string();
        let facts = Facts {
            version: self.snapshot_version(),
            compatible_with: &compatible_with,
            unix_s: self.clock.unix_ms() / 1000,
            used_memory: crate::util::memory::used(),
            is_aof_base,
        };
        write::start(sink.chunk(), &facts);
        for (_, library) in self.scripts.functions.libraries() {
            write::function(sink.chunk(), &library.code);
        }
    }

    /// Options for reading a snapshot as the configuration has them.
    pub fn snapshot_options(&self) -> rdb::Options {
        rdb::Options {
            limits: load::limits(&self.config, self.keyspace.seed()),
            checksums: self.config.rdbchecksum && !self.keyspace.skips_checksums,
            any_version: self.config.rdb_version_check == RdbVersionCheck::Relaxed,
        }
    }

    /// Everything goes, unheard: what is loaded next takes its place.
    pub fn forget_all(&mut self) {
        for db in 0..self.keyspace.databases() {
            drop(self.keyspace.take_db(db));
        }
        self.flush_libraries();
    }
}

/// Which of the records that are read are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keeping {
    /// Keys that have lapsed, too: what follows in a log expects them.
    pub lapsed: bool,
    /// A record takes the place of another with its key, which otherwise is an error.
    pub replace: bool,
}

/// So many keys with nothing in them are told one by one.
const EMPTY_TOLD_MAX: u64 = 10;

/// A snapshot that is being read.
pub struct Load {
    reader: Reader<Box<dyn Read + Send>>,
    keeping: Keeping,
    db: usize,
    pub size: u64,
    pub keys: u64,
    pub lapsed: u64,
    pub empty: u64,
    /// The database that a primary's stream behind it speaks of.
    pub stream_db: Option<usize>,
}

/// Reading a snapshot failed before or within its bytes.
#[derive(Debug)]
pub enum LoadError {
    Disk(DiskError),
    File(PathBuf, Error),
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LoadError::Disk(error) => write!(f, "{error}"),
            LoadError::File(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl Load {
    pub fn open(server: &Server, disk: &dyn Disk, path: &Path, keeping: Keeping) -> Result<Self, LoadError> {
        let in_file = |error| LoadError::Disk(DiskError::new("open", path, error));
        let size = disk.len(path).map_err(in_file)?;
        let input = disk.open(path).map_err(in_file)?;
        Self::of(server, input, size, keeping).map_err(|error| LoadError::File(path.into(), error))
    }

    /// Of an input of so many bytes, `u64::MAX` where nobody knows.
    pub fn of(server: &Server, input: Box<dyn Read + Send>, size: u64, keeping: Keeping) -> Result<Self, Error> {
        let reader = Reader::new(input, size, server.snapshot_options())?;
        Ok(Self { reader, keeping, db: 0, size, keys: 0, lapsed: 0, empty: 0, stream_db: None })
    }

    /// The key that was read last, or could not be.
    pub fn key(&self) -> &[u8] {
        self.reader.key()
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.reader.offset()
    }

    /// How many parts may be read now: none where `key-load-delay` has it take longer. It is for tests that want a load to last.
    pub fn parts_now(&self, config: &Config, elapsed_us: u64, parts_max: usize) -> usize {
        let delay = i64::from(config.key_load_delay);
        let due = match delay {
            0 => return parts_max,
            1.. => elapsed_us / delay.unsigned_abs(),
            // So many keys in a microsecond.
            _ => elapsed_us.saturating_mul(delay.unsigned_abs()),
        };
        usize::try_from(due.saturating_sub(self.keys)).unwrap_or(usize::MAX).min(parts_max)
    }

    /// Reads so many parts more, or to the end. True when all is read.
    pub fn step(&mut self, server: &mut Server, parts: usize) -> Result<bool, Error> {
        let now = server.clock.unix_ms();
        for _ in 0..parts {
            match self.reader.next_event()? {
                Event::Record(record, access) => self.take(server, record, access, now)?,
                Event::Aux { name, value } if name == b"repl-stream-db" => {
                    self.stream_db = parse_i64(&value).and_then(|db| usize::try_from(db).ok());
                }
                Event::Aux { name, value } => tell_aux(&name, &value),
                Event::Function(source) => {
                    if let Err(text) = server.load_library(&source, self.keeping.replace) {
                        let text = String::from_utf8_lossy(&text).into_owned();
                        return Err(self.malformed(format!("a library of functions cannot be loaded: {text}")));
                    }
                }
                Event::Database(db) if db < server.keyspace.databases() => self.db = db,
                Event::Database(db) => {
                    let databases = server.keyspace.databases();
                    return Err(
                        self.malformed(format!("database {db} of a server that has more than the {databases} here"))
                    );
                }
                Event::Sizes { keys, .. } => {
                    // A key takes two bytes at least.
                    let keys = keys.min(self.size.saturating_sub(self.offset()) / 2);
                    server.keyspace.reserve(self.db, usize::try_from(keys).unwrap_or(0));
                }
                Event::Empty => {
                    self.empty += 1;
                    if self.empty <= EMPTY_TOLD_MAX {
                        tracing::info!("skipping empty key: {}", server.config.shown_in_log(self.reader.key()));
                    }
                }
                Event::Module(name) => {
                    tracing::warn!("Data of the module '{name}' are left out: there are no modules here.")
                }
                Event::End => {
                    if self.empty > 0 {
                        tracing::warn!(
                            "The snapshot had keys with nothing in them, empty keys skipped: {}.",
                            self.empty
                        );
                    }
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The input with what was read ahead of it: what stands behind a snapshot in an append-only file.
    pub fn into_rest(self) -> (Vec<u8>, Box<dyn Read + Send>) {
        self.reader.into_rest()
    }

    #[inline]
    fn take(&mut self, server: &mut Server, record: Record, access: Access, now: u64) -> Result<(), Error> {
        if !self.keeping.lapsed && record.deadline().is_some_and(|deadline| deadline < now) {
            self.lapsed += 1;
            return Ok(());
        }
        load::set_last_use(&record, last_use(access, &server.config), &server.config, now);
        self.keys += 1;
        server.keyspace.load(self.db, record, self.keeping.replace).map_err(|record| {
            let key = server.config.shown_in_log(record.key()).into_owned();
            self.malformed(format!("RDB has duplicated key '{key}' in DB {}", self.db))
        })
    }

    fn malformed(&self, reason: String) -> Error {
        Error { offset: self.offset(), reason: Reason::Malformed(reason.into()) }
    }
}

/// What the file says counts where the policy now is of the same kind.
fn last_use(access: Access, config: &Config) -> LastUse {
    match (access, Policy::clock_kind(config.maxmemory_policy)) {
        (Access::IdleSeconds(seconds), AccessClock::Lru) => LastUse::IdleSeconds(seconds),
        (Access::Frequency(frequency), AccessClock::Lfu) => LastUse::Frequency(frequency),
        _ => LastUse::Unknown,
    }
}

fn tell_aux(name: &[u8], value: &[u8]) {
    let value = String::from_utf8_lossy(value);
    match name {
        b"redis-ver" => tracing::info!("Loading RDB produced by Redis version {value}"),
        b"valkey-ver" => tracing::info!("Loading RDB produced by Valkey version {value}"),
        b"ctime" | b"used-mem" | b"redis-bits" | b"aof-base" | b"aof-preamble" | b"runnel-ver" => {}
        b"lua" => tracing::warn!("The RDB holds a script for EVALSHA, which is not kept over a restart."),
        _ => tracing::debug!("The RDB has a field '{}'", String::from_utf8_lossy(name)),
    }
}

/// Reads the whole file into the server.
pub fn load_file(server: &mut Server, disk: &Arc<dyn Disk>, path: &Path, keeping: Keeping) -> Result<Load, LoadError> {
    const PARTS_AT_ONCE: usize = 4096;
    let mut load = Load::open(server, &**disk, path, keeping)?;
    loop {
        match load.step(server, PARTS_AT_ONCE) {
            Ok(true) => {
                server.snapshots.loaded_keys = load.keys;
                server.snapshots.lapsed_keys = load.lapsed;
                return Ok(load);
            }
            Ok(false) => {}
            Err(error) => return Err(LoadError::File(path.into(), error)),
        }
    }
}
