//! Loads a log: its base and its increments, in order and in slices, through the server's own commands.
//!
//! The last file may end within a request, or within a transaction: it is cut there, with a warning (`aof-load-truncated`). An earlier
//! file that is shorter than the manifest says has lost its end to a loss of power, and what lies behind does not continue it: the load
//! ends there, at a moment of the past. Anything else is an error that says where, and the server does not start.

use std::collections::VecDeque;
use std::io::{Cursor, Read};
use std::path::PathBuf;

use super::len_of;
use crate::persist::aof::Manifest;
use crate::persist::aof::log::{Places, write_manifest};
use crate::persist::aof::manifest::Part;
use crate::persist::aof::read::{Next, ReadError, Requests};
use crate::persist::disk::{Disk, DiskError};
use crate::server::Server;
use crate::server::durability::Loading;
use crate::server::replay::Replay;
use crate::server::snapshots::{Keeping, Load};
use crate::util::clock::monotonic_us;

pub struct Loader {
    places: Places,
    manifest: Manifest,
    parts: VecDeque<Part>,
    current: Option<Current>,
    replay: Option<Replay>,
    loaded_bytes: u64,
    /// Cut off what lies behind, and forget the parts that follow.
    cut: Option<(Part, u64)>,
    began_us: u64,
    told_us: u64,
}

type Source = Box<dyn Read + Send>;

/// The file that is being read.
struct Current {
    part: Part,
    path: PathBuf,
    content: Content,
    /// Behind the last request that is not within a transaction.
    whole_until: u64,
}

/// What is read from it now.
enum Content {
    Snapshot(Box<Load>),
    Requests(Requests<Source>),
    /// Between the two.
    Nothing,
}

/// Between two looks at the clock.
const REQUESTS_AT_ONCE: usize = 256;
const TELL_EVERY_US: u64 = 1_000_000;

impl Loader {
    pub fn new(server: &mut Server, disk: &dyn Disk, places: Places, manifest: Manifest) -> Result<Self, String> {
        let lengths = manifest.files().map(|part| {
            let len = len_of(disk, &places.path(&part.name));
            len.map_err(|error| {
                format!("The AOF file {} cannot be read, though the manifest names it: {error}", part.name)
            })
        });
        let total_bytes = lengths.sum::<Result<u64, _>>()?;
        server.durability.loading = Some(Loading { began_ms: server.clock.unix_ms(), total_bytes, loaded_bytes: 0 });
        let now_us = monotonic_us();
        Ok(Self {
            parts: manifest.files().cloned().collect(),
            replay: Some(server.begin_replay()),
            places,
            manifest,
            current: None,
            loaded_bytes: 0,
            cut: None,
            began_us: now_us,
            told_us: now_us,
        })
    }

    /// Goes on for so long. True when all is loaded.
    pub fn load(&mut self, server: &mut Server, disk: &dyn Disk, budget_us: u64) -> Result<bool, String> {
        let begin_us = monotonic_us();
        loop {
            let Some(current) = &mut self.current else {
                if !self.open_next(server, disk)? {
                    return Ok(true);
                }
                continue;
            };
            let Some(replay) = &mut self.replay else { return Ok(true) };
            let ended = current.read_some(server, replay);
            self.show_progress(server);
            match ended {
                Ok(false) => {}
                Ok(true) => self.end_part(server, None)?,
                Err(trouble) => self.end_part(server, Some(trouble))?,
            }
            if monotonic_us() - begin_us >= budget_us {
                return Ok(false);
            }
        }
    }

    fn open_next(&mut self, server: &mut Server, disk: &dyn Disk) -> Result<bool, String> {
        let Some(part) = self.parts.pop_front() else { return Ok(false) };
        let path = self.places.path(&part.name);
        let mut source = disk.open(&path).map_err(|error| DiskError::new("open", &path, error).in_full())?;
        let mut begin = Vec::new();
        let read = (&mut source).take(MAGIC_BYTES).read_to_end(&mut begin);
        read.map_err(|error| DiskError::new("read", &path, error).in_full())?;
        let is_snapshot = begin.starts_with(b"REDIS") || begin.starts_with(b"VALKEY");
        let source: Source = Box::new(Cursor::new(begin).chain(source));
        if let Some(replay) = &self.replay {
            server.replay_from_database_0(replay);
        }
        let content = if is_snapshot {
            let len = len_of(disk, &path).map_err(|error| error.in_full())?;
            let preamble = Load::of(server, source, len, Keeping { lapsed: true, replace: false });
            Content::Snapshot(Box::new(preamble.map_err(|error| broken_base(&path, &error.to_string()))?))
        } else {
            Content::Requests(Requests::new(source, 0))
        };
        self.current = Some(Current { part, path, content, whole_until: 0 });
        Ok(true)
    }

    /// The current file is read, or cannot be read on.
    fn end_part(&mut self, server: &mut Server, trouble: Option<Trouble>) -> Result<(), String> {
        let Some(current) = self.current.take() else { return Ok(()) };
        let Some(replay) = &self.replay else { return Ok(()) };
        let in_transaction = server.is_replaying_transaction(replay);
        let whole_until = current.whole_until;
        let offset = current.offset();
        self.loaded_bytes += offset;
        let path = current.path.display();
        match trouble {
            Some(Trouble::Read(ReadError::Torn)) => {}
            Some(Trouble::Read(error)) => {
                return Err(format!("Bad file format reading the append only file {path}: {error}. {REPAIR}"));
            }
            Some(Trouble::Command(reason)) => {
                return Err(format!("{reason}: file {path}, before offset {offset}. {REPAIR}"));
            }
            Some(Trouble::Base(reason)) => return Err(broken_base(&current.path, &reason)),
            None if in_transaction => {}
            None if current.part.len.is_some_and(|len| whole_until < len) && !self.parts.is_empty() => {}
            None => return Ok(()),
        }
        server.abandon_replayed_transaction(replay);
        if self.parts.is_empty() {
            if !server.config.aof_load_truncated {
                return Err(format!(
                    "Unexpected end of file reading the append only file {path}, whole up to offset {whole_until}. {REPAIR}"
                ));
            }
            tracing::warn!("!!! Warning: short read while loading the AOF file {path} !!!");
            tracing::warn!(
                "AOF {path} loaded anyway because aof-load-truncated is enabled: it is cut at offset {whole_until}"
            );
        } else if current.part.len.is_some() && server.config.aof_load_truncated {
            tracing::warn!(
                "The AOF file {path} has lost its end, behind offset {whole_until}: the increments behind it are not loaded"
            );
            self.parts.clear();
        } else {
            return Err(format!(
                "Unexpected end of file reading the append only file {path}, which is not the last one, whole up to offset \
                 {whole_until}. {REPAIR}"
            ));
        }
        self.cut = Some((current.part, whole_until));
        Ok(())
    }

    fn show_progress(&mut self, server: &mut Server) {
        let here = self.current.as_ref().map_or(0, Current::offset);
        let loaded = self.loaded_bytes + here;
        let Some(loading) = &mut server.durability.loading else { return };
        loading.loaded_bytes = loaded;
        let now_us = monotonic_us();
        if now_us - self.told_us >= TELL_EVERY_US {
            self.told_us = now_us;
            let percent = loaded as f64 / loading.total_bytes.max(1) as f64 * 100.0;
            let rate = loaded as f64 / (now_us - self.began_us) as f64;
            tracing::info!("Loading the append-only file: {percent:.1}% at {rate:.0} MB/s");
        }
    }

    /// Makes the files say what was loaded, and gives them back.
    pub fn finish(mut self, server: &mut Server, disk: &dyn Disk) -> Result<(Places, Manifest), DiskError> {
        if let Some(replay) = self.replay.take() {
            if let Some(first) = &replay.first_error {
                let count = replay.errors;
                tracing::warn!(
                    "{count} requests of the append-only file were answered with an error, the first with: {first}"
                );
            }
            server.end_replay(replay);
        }
        if let Some((part, len)) = &self.cut {
            let path = self.places.path(&part.name);
            disk.truncate(&path, *len).map_err(|error| DiskError::new("truncate", &path, error))?;
            if self.manifest.cut_behind(&part.name) {
                write_manifest(disk, &self.places, &self.manifest)?;
            }
        }
        let seconds = (monotonic_us() - self.began_us) as f64 / 1e6;
        tracing::info!("DB loaded from append only file: {seconds:.3} seconds");
        Ok((self.places, self.manifest))
    }
}

const REPAIR: &str =
    "Make a backup of your AOF folder, then use runnel-server --check-aof --fix <manifest> to repair it.";

/// Enough to tell a snapshot from requests.
const MAGIC_BYTES: u64 = 6;

fn broken_base(path: &std::path::Path, reason: &str) -> String {
    format!("Error reading the RDB preamble of the AOF file {}: {reason}. {REPAIR}", path.display())
}

enum Trouble {
    Base(String),
    Read(ReadError),
    /// A request that cannot be run.
    Command(String),
}

impl Current {
    fn offset(&self) -> u64 {
        match &self.content {
            Content::Snapshot(preamble) => preamble.offset(),
            Content::Requests(requests) => requests.offset(),
            Content::Nothing => self.whole_until,
        }
    }

    /// Reads and runs some of it. True at the file's end.
    fn read_some(&mut self, server: &mut Server, replay: &mut Replay) -> Result<bool, Trouble> {
        for _ in 0..REQUESTS_AT_ONCE {
            match &mut self.content {
                Content::Snapshot(preamble) => {
                    let ended = preamble.step(server, REQUESTS_AT_ONCE);
                    if ended.map_err(|error| Trouble::Base(error.to_string()))? {
                        self.read_behind_snapshot();
                    }
                    return Ok(false);
                }
                Content::Requests(requests) => {
                    match requests.next().map_err(Trouble::Read)? {
                        Next::End => return Ok(true),
                        Next::Timestamp(_) => {}
                        Next::Request(request) => server.replay(replay, request).map_err(Trouble::Command)?,
                    }
                    if !server.is_replaying_transaction(replay) {
                        self.whole_until = requests.offset();
                    }
                }
                Content::Nothing => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Requests may follow a snapshot in the same file, as servers before Redis 7 wrote them.
    fn read_behind_snapshot(&mut self) {
        let Content::Snapshot(preamble) = std::mem::replace(&mut self.content, Content::Nothing) else { return };
        self.whole_until = preamble.offset();
        let (rest, source) = preamble.into_rest();
        let source: Source = Box::new(Cursor::new(rest).chain(source));
        self.content = Content::Requests(Requests::new(source, self.whole_until));
    }
}
