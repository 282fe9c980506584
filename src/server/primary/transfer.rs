//! The primary's data set: a snapshot that is put into a file as it comes, and then takes the place of all there was.
//!
//! ```text
//!   $1234\r\n … 1234 bytes …                       from a primary that has it in a file
//!   $EOF:<40 bytes>\r\n … <the same 40 bytes>      from one that has not
//! ```
//!
//! Until it is there whole, what was there before goes on being served. While it is loaded clients are told so, as at a start.

use std::path::PathBuf;

use super::handshake::line;
use super::{Server, Stage};
use crate::db::effect::Effect;
use crate::persist::disk::{DiskError, DiskFile, write_all};
use crate::server::HostRequest;
use crate::server::durability;
use crate::server::snapshots::{Keeping, Load};
use crate::util::clock::{ticks, us_to_ticks};

/// A snapshot on its way.
pub struct Receiving {
    pub path: PathBuf,
    history: String,
    offset: u64,
    file: Option<Box<dyn DiskFile>>,
    end: End,
    received: u64,
}

/// How its end is known.
enum End {
    /// It has not been announced yet.
    Unknown,
    Length(u64),
    /// By a mark behind it. What might be the mark's beginning is held back.
    Mark {
        mark: Vec<u8>,
        held: Vec<u8>,
    },
}

/// A snapshot that is being loaded.
pub struct Loading {
    pub path: PathBuf,
    pub bytes: u64,
    history: String,
    offset: u64,
    load: Option<Load>,
    began_us: u64,
}

const MARK_BYTES: usize = 40;
/// Between two looks at the clock.
const PARTS_AT_ONCE: usize = 512;

impl Receiving {
    /// Bytes that have come, of how many.
    pub fn progress(&self) -> (u64, Option<u64>) {
        (self.received, if let End::Length(bytes) = self.end { Some(bytes) } else { None })
    }

    fn write(&self, bytes: &[u8]) -> Result<(), String> {
        let Some(file) = &self.file else { return Ok(()) };
        write_all(&**file, bytes).map_err(|(_, error)| DiskError::new("write", &self.path, error).in_full())
    }

    /// Takes some of the snapshot: how many bytes of the input are its own, and whether that is all of it.
    fn take(&mut self, input: &[u8]) -> Result<(usize, bool), String> {
        match &mut self.end {
            End::Unknown => Ok((0, false)),
            End::Length(bytes) => {
                let (bytes, taken) =
                    (*bytes, input.len().min(usize::try_from(*bytes - self.received).unwrap_or(usize::MAX)));
                self.write(&input[..taken])?;
                self.received += taken as u64;
                Ok((taken, self.received == bytes))
            }
            End::Mark { mark, held } => {
                let before = held.len();
                let mut bytes = std::mem::take(held);
                bytes.extend_from_slice(input);
                let found = memchr::memmem::find(&bytes, mark);
                let whole = found.unwrap_or(bytes.len().saturating_sub(MARK_BYTES - 1));
                self.received += whole as u64;
                self.write(&bytes[..whole])?;
                match found {
                    Some(at) => Ok((at + MARK_BYTES - before, true)),
                    None => {
                        if let End::Mark { held, .. } = &mut self.end {
                            *held = bytes.split_off(whole);
                        }
                        Ok((input.len(), false))
                    }
                }
            }
        }
    }
}

impl Server {
    pub(super) fn begin_receiving(&mut self, history: String, offset: u64) {
        let path = PathBuf::from(format!("temp-{}-from-primary.rdb", self.host.facts().process_id));
        let receiving = Receiving { path, history, offset, file: None, end: End::Unknown, received: 0 };
        if let Some(primary) = &mut self.primary {
            primary.stage = Stage::Receiving(Box::new(receiving));
        }
    }

    /// Takes a part of the snapshot, or of what announces it; how many bytes.
    pub(super) fn receive(&mut self, input: &[u8]) -> Result<usize, String> {
        let Some(primary) = &mut self.primary else { return Ok(input.len()) };
        let Stage::Receiving(receiving) = &mut primary.stage else { return Ok(0) };
        if let End::Unknown = receiving.end {
            let Some((text, bytes)) = line(input)? else { return Ok(0) };
            if text.is_empty() {
                // It is at work on the snapshot.
                return Ok(bytes);
            }
            receiving.end = announced(text)?;
            match &receiving.end {
                End::Length(bytes) => {
                    tracing::info!("MASTER <-> REPLICA sync: receiving {bytes} bytes from master to disk")
                }
                _ => tracing::info!("MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF to disk"),
            }
            let disk = self.host.disk().ok_or("there are no files here")?;
            let file = disk.create(&receiving.path);
            receiving.file = Some(file.map_err(|error| DiskError::new("open", &receiving.path, error).in_full())?);
            return Ok(bytes);
        }
        let (taken, is_whole) = receiving.take(input)?;
        if is_whole {
            self.begin_loading();
        }
        Ok(taken)
    }

    /// The snapshot is there. Whoever is at work on the data set that it replaces is told to stop.
    fn begin_loading(&mut self) {
        let Some(primary) = &mut self.primary else { return };
        let Stage::Receiving(receiving) = std::mem::take(&mut primary.stage) else { return };
        let Receiving { path, history, offset, received, .. } = *receiving;
        let loading = Loading { path, bytes: received, history, offset, load: None, began_us: self.clock.monotonic_us };
        primary.stage = Stage::Loading(Box::new(loading));
        self.durability.loading =
            Some(durability::Loading { began_ms: self.clock.unix_ms(), total_bytes: received, loaded_bytes: 0 });
        self.close_replicas();
        self.give_up_save();
        self.give_up_snapshot_for_replicas();
        self.outbox.requests.push(HostRequest::CloseLog);
    }

    pub fn is_loading_from_primary(&self) -> bool {
        self.primary.as_ref().is_some_and(|primary| matches!(primary.stage, Stage::Loading(_)))
    }

    /// Goes on with loading for about so long. The session of the link, once it is to be heard again.
    pub fn load_from_primary(&mut self, budget_us: u64) -> Option<super::SessionId> {
        let Some(primary) = &mut self.primary else { return None };
        let Stage::Loading(mut loading) = std::mem::take(&mut primary.stage) else { return None };
        let link = primary.link;
        match self.load_some(&mut loading, budget_us) {
            Ok(false) => {
                if let Some(primary) = &mut self.primary {
                    primary.stage = Stage::Loading(loading);
                }
                None
            }
            Ok(true) => {
                self.loaded_from_primary(*loading);
                link
            }
            Err(why) => {
                self.durability.loading = None;
                self.remove_received(&loading.path);
                // A part of a data set is none.
                self.forget_everything();
                self.give_up_on_primary(&format!("its snapshot cannot be loaded: {why}"));
                None
            }
        }
    }

    fn load_some(&mut self, loading: &mut Loading, budget_us: u64) -> Result<bool, String> {
        let (begin, budget) = (ticks(), us_to_ticks(budget_us));
        if loading.load.is_none() {
            tracing::info!("MASTER <-> REPLICA sync: Flushing old data");
            self.forget_everything();
            tracing::info!("MASTER <-> REPLICA sync: Loading DB in memory");
            let disk = self.host.disk().ok_or("there are no files here")?;
            // What has lapsed is the primary's to delete.
            let load = Load::open(self, &*disk, &loading.path, Keeping { lapsed: true, replace: false });
            loading.load = Some(load.map_err(|error| error.to_string())?);
        }
        let Some(load) = &mut loading.load else { return Ok(false) };
        loop {
            let elapsed_us = self.clock.monotonic_us.saturating_sub(loading.began_us);
            let parts = load.parts_now(&self.config, elapsed_us, PARTS_AT_ONCE);
            if parts == 0 {
                return Ok(false);
            }
            let is_done = load.step(self, parts).map_err(|error| error.to_string())?;
            if let Some(loading) = &mut self.durability.loading {
                loading.loaded_bytes = load.offset();
            }
            if is_done || ticks().wrapping_sub(begin) >= budget {
                return Ok(is_done);
            }
        }
    }

    /// What was there goes, and everybody who cares hears of it.
    fn forget_everything(&mut self) {
        self.forget_data();
        self.flush_libraries();
        if let Some(primary) = &mut self.primary {
            primary.own.clear();
        }
        for db in 0..self.keyspace.databases() {
            self.hear(None, Effect::Flushed { db });
        }
        if self.tracking.is_used() {
            self.invalidate_all(None);
        }
    }

    fn loaded_from_primary(&mut self, loading: Loading) {
        self.durability.loading = None;
        self.remove_received(&loading.path);
        let mut db = 0;
        if let Some(load) = &loading.load {
            db = load.stream_db.filter(|db| *db < self.keyspace.databases()).unwrap_or(0);
            self.snapshots.loaded_keys = load.keys;
            self.snapshots.lapsed_keys = load.lapsed;
            // No file of this server has it yet.
            self.stats.dirty += load.keys;
        }
        self.adopt_history(loading.history, loading.offset);
        tracing::info!("MASTER <-> REPLICA sync: Finished with success");
        self.begin_stream(db);
        // Whoever waits for a key may find it now.
        for db in 0..self.keyspace.databases() {
            self.hear(None, Effect::Flushed { db });
        }
        if self.waiting.has_ready() {
            self.serve_waiting(None);
        }
    }

    pub(super) fn remove_received(&self, path: &std::path::Path) {
        if let Some(disk) = self.host.disk() {
            // It may never have been made.
            let _ = disk.remove(path);
        }
    }
}

/// How the snapshot's end will be known.
fn announced(text: &[u8]) -> Result<End, String> {
    let wrong = || format!("it announces its snapshot with '{}'", String::from_utf8_lossy(text));
    let head = text.strip_prefix(b"$").ok_or_else(wrong)?;
    if let Some(mark) = head.strip_prefix(b"EOF:") {
        return if mark.len() == MARK_BYTES {
            Ok(End::Mark { mark: mark.to_vec(), held: Vec::new() })
        } else {
            Err(wrong())
        };
    }
    let bytes = std::str::from_utf8(head).ok().and_then(|digits| digits.parse().ok());
    bytes.filter(|bytes| *bytes > 0).map(End::Length).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_ends_behind_its_length_or_before_its_mark() {
        let receiving = |head: &str| Receiving {
            path: PathBuf::new(),
            history: String::new(),
            offset: 0,
            file: None,
            end: announced(head.as_bytes()).expect("a head"),
            received: 0,
        };
        let mut by_length = receiving("$10");
        assert_eq!(by_length.take(b"01234"), Ok((5, false)));
        assert_eq!(by_length.take(b"56789*1"), Ok((5, true)));
        let mark = "m".repeat(MARK_BYTES);
        let body = format!("some bytes, mm, and more{mark}*1\r\n");
        for split in 0..body.len() {
            let mut by_mark = receiving(&format!("$EOF:{mark}"));
            let (first, second) = body.as_bytes().split_at(split);
            let (taken, mut is_whole) = by_mark.take(first).expect("bytes");
            let mut all = taken;
            if !is_whole {
                assert_eq!(taken, split);
                let (taken, whole) = by_mark.take(second).expect("bytes");
                (all, is_whole) = (all + taken, whole);
            }
            assert!(is_whole);
            assert_eq!((all, by_mark.received), (24 + MARK_BYTES, 24), "split at {split}");
        }
        for wrong in ["", "$", "$-1", "$0", "$x", "$EOF:short", "-ERR no", "+OK"] {
            assert!(announced(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
