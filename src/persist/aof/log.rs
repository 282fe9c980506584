//! What the loop holds of the append-only log: its files, and how far the journal has got into them.
//!
//! ```text
//!   journal offsets    ──────────┬───────────────┬──────────────┬──────►
//!                             synced          written         handed          (the journal's end)
//!                     durable ───┘   the kernel ─┘   thread has ┘
//! ```
//!
//! Under `everysec` and `no` the loop writes each turn's bytes itself before the turn's replies leave, which costs one system call and no
//! hand-over; the thread syncs behind it. Under `always` the bytes are handed to the thread whole, and replies wait until `synced` has
//! passed them. What cannot be written is kept and tried again every second; whoever wrote it is told so at once (`server::durability`), as
//! a reply that says otherwise would be a promise.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::flusher::{LogFile, Order, Report};
use super::manifest::{Manifest, manifest_name};
use crate::persist::disk::{self, Disk, DiskError, write_all};

/// Where the log lies.
#[derive(Clone, Debug)]
pub struct Places {
    pub folder: PathBuf,
    /// The log in one file that a server older than Redis 7 kept, if there is one.
    pub old_file: PathBuf,
    pub file_name: String,
}

impl Places {
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn manifest(&self) -> PathBuf {
        self.path(&manifest_name(&self.file_name))
    }
}

/// When what was written is forced to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Always,
    EverySecond,
    No,
}

pub struct Log {
    disk: Arc<dyn Disk>,
    places: Places,
    manifest: Manifest,
    /// The increment that is being written.
    current: LogFile,
    /// Its base is still being written, and nothing counts before that is complete.
    is_begun: bool,
    /// Its length as far as it is known to be whole.
    current_len: u64,
    /// Bytes of all files that would be loaded.
    pub size: u64,
    /// The same when the base was new: growth is counted from here.
    pub base_size: u64,
    pub written: u64,
    pub synced: u64,
    handed: u64,
    /// What could not be written yet.
    backlog: Vec<u8>,
    backlog_end: u64,
    failure: Option<DiskError>,
    last_try_us: u64,
    sync_ordered: Option<u64>,
    last_sync_us: u64,
    /// Syncs that came late because the one before still ran.
    pub delayed_syncs: u64,
    /// Second of the last `#TS` annotation.
    last_timestamp_s: i64,
    spare: Option<Vec<u8>>,
    /// A sync has failed, and with it perhaps what the kernel held: only a new base heals that.
    pub suspect: bool,
}

/// Something happened that the process must act on.
#[derive(Debug)]
pub enum Event {
    /// Replies up to here may leave.
    Durable(u64),
    /// Writing has failed; writes are refused until `Recovered`.
    Failed(String),
    Recovered,
    /// Replies were promised to wait for what cannot be had.
    Fatal(String),
}

const SECOND_US: u64 = 1_000_000;
/// The increment of a log that has no base yet. A start removes it.
const FIRST_INCREMENT: &str = "temp-first-incr.aof";

/// Reads the manifest of a log that is there; `None` where there is none. An old log in one file becomes the base of a new one.
pub fn find(disk: &dyn Disk, places: &Places) -> Result<Option<Manifest>, String> {
    let path = places.manifest();
    let has_manifest = disk.exists(&path).map_err(|error| DiskError::new("stat", &path, error).in_full())?;
    if has_manifest {
        let text = disk::read_all(disk, &path).map_err(|error| DiskError::new("read", &path, error).in_full())?;
        let manifest = Manifest::parse(&text)
            .map_err(|error| format!("Error reading the manifest {}, {error}", path.display()))?;
        finish_upgrade(disk, places, &manifest).map_err(|error| error.in_full())?;
        return Ok(Some(manifest));
    }
    let old = &places.old_file;
    if !disk.exists(old).map_err(|error| DiskError::new("stat", old, error).in_full())? {
        return Ok(None);
    }
    upgrade(disk, places).map(Some).map_err(|error| error.in_full())
}

/// The manifest comes first: whenever it ends, either the old file is where it was or the manifest knows of it.
fn upgrade(disk: &dyn Disk, places: &Places) -> Result<Manifest, DiskError> {
    tracing::info!("Upgrading the append-only file {} to a log in parts", places.file_name);
    make_folder(disk, places)?;
    let mut manifest = Manifest::default();
    manifest.adopt_base(&places.file_name);
    write_manifest(disk, places, &manifest)?;
    finish_upgrade(disk, places, &manifest)?;
    Ok(manifest)
}

fn finish_upgrade(disk: &dyn Disk, places: &Places, manifest: &Manifest) -> Result<(), DiskError> {
    if manifest.base.as_ref().is_none_or(|base| base.name != places.file_name) {
        return Ok(());
    }
    let (old, new) = (places.old_file.as_path(), places.path(&places.file_name));
    let is_there = |path: &Path| disk.exists(path).map_err(|error| DiskError::new("stat", path, error));
    if is_there(&new)? || !is_there(old)? {
        return Ok(());
    }
    disk.rename(old, &new).map_err(|error| DiskError::new("rename", old, error))?;
    disk::sync_folder_of(disk, &new)?;
    disk::sync_folder_of(disk, old)
}

pub fn make_folder(disk: &dyn Disk, places: &Places) -> Result<(), DiskError> {
    disk.make_folder(&places.folder).map_err(|error| DiskError::new("mkdir", &places.folder, error))?;
    disk::sync_folder_of(disk, &places.folder)
}

/// The files that a manifest names must be there for good before it is.
pub fn write_manifest(disk: &dyn Disk, places: &Places, manifest: &Manifest) -> Result<(), DiskError> {
    let path = places.manifest();
    disk::sync_folder_of(disk, &path)?;
    disk::replace(disk, &path, &manifest.to_text())
}

/// A new, empty increment, and the manifest that names it.
fn open_increment(disk: &dyn Disk, places: &Places, manifest: &mut Manifest) -> Result<LogFile, DiskError> {
    let mut next = manifest.clone();
    let path = places.path(&next.new_increment(&places.file_name).name);
    manifest.skip_numbers_of(&next);
    let file = disk.create(&path).map_err(|error| DiskError::new("open", &path, error))?;
    write_manifest(disk, places, &next)?;
    *manifest = next;
    Ok(LogFile { path: Arc::new(path), file: file.into() })
}

impl Log {
    /// Opens a log whose files have been loaded, or whose base has just been written, for what comes from journal offset `from` on.
    pub fn open(
        disk: Arc<dyn Disk>,
        places: Places,
        mut manifest: Manifest,
        from: u64,
        now_us: u64,
    ) -> Result<Self, DiskError> {
        let current = match manifest.increments.last() {
            Some(last) => {
                let path = places.path(&last.name);
                let file = disk.append(&path).map_err(|error| DiskError::new("open", &path, error))?;
                LogFile { path: Arc::new(path), file: file.into() }
            }
            None => open_increment(&*disk, &places, &mut manifest)?,
        };
        let mut log = Self::of(disk, places, manifest, current, from, now_us);
        log.current_len = log.len_of(&log.current.path)?;
        log.size = log.size_on_disk()?;
        log.base_size = log.size;
        Ok(log)
    }

    /// Begins a log whose base is still to be written, of the moment of journal offset `from`. Until then what is there stays as it is: the
    /// manifest knows neither of the base nor of the increment that is begun.
    pub fn begin(
        disk: Arc<dyn Disk>,
        places: Places,
        manifest: Manifest,
        from: u64,
        now_us: u64,
    ) -> Result<Self, DiskError> {
        let path = places.path(FIRST_INCREMENT);
        let file = disk.create(&path).map_err(|error| DiskError::new("open", &path, error))?;
        let current = LogFile { path: Arc::new(path), file: file.into() };
        Ok(Self { is_begun: true, ..Self::of(disk, places, manifest, current, from, now_us) })
    }

    fn of(disk: Arc<dyn Disk>, places: Places, manifest: Manifest, current: LogFile, from: u64, now_us: u64) -> Self {
        Self {
            disk,
            places,
            manifest,
            current,
            is_begun: false,
            current_len: 0,
            size: 0,
            base_size: 0,
            written: from,
            synced: from,
            handed: from,
            backlog: Vec::new(),
            backlog_end: from,
            failure: None,
            last_try_us: 0,
            sync_ordered: None,
            last_sync_us: now_us,
            delayed_syncs: 0,
            last_timestamp_s: 0,
            spare: None,
            suspect: false,
        }
    }

    fn len_of(&self, path: &Path) -> Result<u64, DiskError> {
        self.disk.len(path).map_err(|error| DiskError::new("stat", path, error))
    }

    fn size_on_disk(&self) -> Result<u64, DiskError> {
        self.manifest.files().map(|part| self.len_of(&self.places.path(&part.name))).sum()
    }

    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Bytes that wait to be written.
    pub fn waiting_len(&self) -> usize {
        self.backlog.len()
    }

    pub fn is_syncing(&self) -> bool {
        self.sync_ordered.is_some()
    }

    /// Why writing is not possible now.
    pub fn failure(&self) -> Option<&DiskError> {
        self.failure.as_ref()
    }

    /// Replies to what was journaled before this offset may leave.
    pub fn released(&self, policy: Policy) -> u64 {
        if policy == Policy::Always { self.synced } else { self.written }
    }

    /// Takes what was journaled in a turn, all of it or none, up to journal offset `end`. `bytes` comes back empty.
    pub fn append(
        &mut self,
        policy: Policy,
        bytes: &mut Vec<u8>,
        end: u64,
        orders: &mut Vec<Order>,
    ) -> Option<&DiskError> {
        if bytes.is_empty() {
            self.pass(end, orders);
            return None;
        }
        self.size += bytes.len() as u64;
        if self.failure.is_some() {
            self.backlog.append(bytes);
            self.backlog_end = end;
            return None;
        }
        // What the thread has been handed must be in the file before the loop writes again.
        if policy == Policy::Always || self.handed > self.written {
            let spare = self.spare.take().unwrap_or_default();
            self.hand_over(std::mem::replace(bytes, spare), end, orders);
            return None;
        }
        let failed = self.write(bytes, end).is_err();
        bytes.clear();
        self.failure.as_ref().filter(|_| failed)
    }

    /// What was journaled up to `end` was not for the log.
    fn pass(&mut self, end: u64, orders: &mut Vec<Order>) {
        if self.failure.is_some() {
            self.backlog_end = end;
        } else if self.handed > self.written {
            self.hand_over(Vec::new(), end, orders);
        } else {
            let is_safe = self.synced == self.written;
            (self.written, self.handed) = (end, end);
            if is_safe {
                self.synced = end;
            }
        }
    }

    /// As the second changes, notes it in the file: what lies behind happened not before.
    pub fn note_time(&mut self, bytes: &mut Vec<u8>, now_s: i64) {
        if !bytes.is_empty() && now_s != self.last_timestamp_s {
            self.last_timestamp_s = now_s;
            bytes.splice(..0, format!("#TS:{now_s}\r\n").into_bytes());
        }
    }

    fn hand_over(&mut self, bytes: Vec<u8>, end: u64, orders: &mut Vec<Order>) {
        self.handed = end;
        self.current_len += bytes.len() as u64;
        orders.push(Order::Append { to: self.current.clone(), bytes, end });
    }

    fn write(&mut self, bytes: &[u8], end: u64) -> Result<(), Event> {
        match write_all(&*self.current.file, bytes) {
            Ok(()) => {
                self.current_len += bytes.len() as u64;
                (self.written, self.handed) = (end, end);
                Ok(())
            }
            Err((count, error)) => {
                let left = self.take_back(bytes, count);
                self.backlog.extend_from_slice(left);
                self.backlog_end = end;
                Err(self.fail(DiskError::new("write", &self.current.path, error)))
            }
        }
    }

    /// A part of a request must not stay at the file's end: it is cut off, or else completed later. Returns what is still to be written.
    fn take_back<'a>(&mut self, bytes: &'a [u8], written: usize) -> &'a [u8] {
        if written == 0 || self.current.file.truncate(self.current_len).is_ok() {
            return bytes;
        }
        self.current_len += written as u64;
        &bytes[written..]
    }

    fn fail(&mut self, error: DiskError) -> Event {
        let at = self.current_len;
        tracing::warn!("Error writing to the append-only file at offset {at}: {error}");
        let text = error.in_full();
        self.failure = Some(error);
        Event::Failed(text)
    }

    /// Once a second or more often: tries again what failed, and has what was written synced.
    pub fn tick(&mut self, policy: Policy, may_sync: bool, now_us: u64, orders: &mut Vec<Order>) -> Option<Event> {
        if self.failure.is_some() {
            if now_us.saturating_sub(self.last_try_us) < SECOND_US {
                return None;
            }
            self.last_try_us = now_us;
            return self.try_again();
        }
        let due = policy == Policy::EverySecond && now_us.saturating_sub(self.last_sync_us) >= SECOND_US;
        // Under `always` only what was written before the policy changed is left to be synced.
        let due = due || policy == Policy::Always && self.handed == self.written;
        if due && may_sync && self.written > self.synced {
            self.order_sync(now_us, orders);
        }
        None
    }

    fn order_sync(&mut self, now_us: u64, orders: &mut Vec<Order>) {
        if self.sync_ordered.is_some() {
            if now_us.saturating_sub(self.last_sync_us) >= 2 * SECOND_US {
                self.delayed_syncs += 1;
                self.last_sync_us = now_us;
            }
            return;
        }
        self.sync_ordered = Some(self.written);
        self.last_sync_us = now_us;
        orders.push(Order::Sync { file: self.current.clone(), end: self.written });
    }

    /// The time at which `tick` wants to be called, while there is something to sync.
    pub fn next_tick_us(&self, policy: Policy) -> Option<u64> {
        if self.failure.is_some() {
            return Some(self.last_try_us + SECOND_US);
        }
        let waits = policy == Policy::EverySecond && self.written > self.synced && self.sync_ordered.is_none();
        waits.then_some(self.last_sync_us + SECOND_US)
    }

    fn try_again(&mut self) -> Option<Event> {
        let backlog = std::mem::take(&mut self.backlog);
        if self.failure.as_ref().is_some_and(|failure| failure.call == "fsync")
            && let Err(error) = self.current.file.sync()
        {
            self.failure = Some(DiskError::new("fsync", &self.current.path, error));
            self.backlog = backlog;
            return None;
        }
        let end = self.backlog_end.max(self.written);
        if backlog.is_empty() {
            (self.written, self.handed) = (end, self.handed.max(end));
        } else if self.write(&backlog, end).is_err() {
            return None;
        }
        self.failure = None;
        tracing::warn!("AOF write error looks solved, the server can write again.");
        Some(Event::Recovered)
    }

    /// Hears what the thread has done.
    pub fn hear(&mut self, report: Report) -> Option<Event> {
        match report {
            Report::Synced(end) => {
                self.sync_ordered = self.sync_ordered.filter(|ordered| *ordered > end);
                self.synced = self.synced.max(end);
                self.written = self.written.max(end);
                Some(Event::Durable(self.synced))
            }
            Report::SyncFailed { end, error } => {
                self.sync_ordered = self.sync_ordered.filter(|ordered| *ordered > end);
                self.suspect = true;
                Some(self.fail(error))
            }
            Report::AppendFailed(error) => {
                let at = self.current_len;
                tracing::warn!("Error writing to the append-only file, which ends before offset {at}: {error}");
                Some(Event::Fatal(format!(
                    "Can't recover from AOF write error when the AOF fsync policy is 'always'. Exiting: {error}"
                )))
            }
            Report::Spare(bytes) => {
                const SPARE_MAX: usize = 1024 * 1024;
                if bytes.capacity() <= SPARE_MAX {
                    self.spare = Some(bytes);
                }
                None
            }
            Report::NotRemoved(error) => {
                tracing::warn!("Error removing a file of the log's history: {error}");
                None
            }
            Report::Marked => None,
        }
    }

    /// All that was journaled is in the files when this returns, and durable. `false` where that failed, which has been logged.
    pub fn flush(&mut self) -> Result<(), DiskError> {
        if self.failure.is_some() {
            self.try_again();
        }
        if let Some(failure) = &self.failure {
            let error = failure
                .error
                .raw_os_error()
                .map_or_else(|| failure.error.kind().into(), std::io::Error::from_raw_os_error);
            return Err(DiskError::new(failure.call, &failure.path, error));
        }
        self.current.file.sync().map_err(|error| DiskError::new("fsync", &self.current.path, error))?;
        if self.handed == self.written {
            self.synced = self.written;
        }
        Ok(())
    }

    /// What follows goes into a new increment: the base to be written holds all that came before.
    ///
    /// The old increment is not durable yet, and the disk may keep the new one and lose a part of the old. So the manifest notes how long
    /// the old one is: a loader that finds it shorter stops there, and what it has is still a moment of the past.
    pub fn begin_rewrite(&mut self, orders: &mut Vec<Order>) -> Result<(), DiskError> {
        make_folder(&*self.disk, &self.places)?;
        let mut next = self.manifest.clone();
        if let Some(last) = next.increments.last_mut() {
            last.len = Some(self.current_len);
        }
        let opened = open_increment(&*self.disk, &self.places, &mut next);
        self.manifest.skip_numbers_of(&next);
        let current = opened?;
        tracing::info!("Creating AOF incr file {} on background rewrite", current.path.display());
        self.manifest = next;
        let old = std::mem::replace(&mut self.current, current);
        self.current_len = 0;
        self.last_timestamp_s = 0;
        self.sync_ordered = Some(self.handed);
        orders.push(Order::Sync { file: old, end: self.handed });
        Ok(())
    }

    /// A base that was written, and synced, at `prepared` takes its place; what it supersedes is removed.
    pub fn finish_rewrite(&mut self, prepared: &Path, is_rdb: bool, orders: &mut Vec<Order>) -> Result<(), DiskError> {
        if self.is_begun {
            self.name_first_increment()?;
        }
        adopt_base(&*self.disk, &self.places, &mut self.manifest, prepared, is_rdb, 1)?;
        self.size = self.size_on_disk()?;
        self.base_size = self.size;
        self.forget_history(orders)
    }

    /// The increment gets its name, of which the manifest is told with the base.
    fn name_first_increment(&mut self) -> Result<(), DiskError> {
        let mut next = self.manifest.clone();
        let path = self.places.path(&next.new_increment(&self.places.file_name).name);
        self.disk.rename(&self.current.path, &path).map_err(|error| DiskError::new("rename", &path, error))?;
        self.manifest = next;
        self.current.path = Arc::new(path);
        self.is_begun = false;
        Ok(())
    }

    pub fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// Has superseded files removed, and the manifest forget them.
    pub fn forget_history(&mut self, orders: &mut Vec<Order>) -> Result<(), DiskError> {
        forget_history(&*self.disk, &self.places, &mut self.manifest, orders)
    }

    /// Whether the file that is written is still where others will look for it.
    pub fn look(&self) -> Result<(), DiskError> {
        self.len_of(&self.current.path).map(|_| ())
    }
}

/// Superseded files leave the manifest first, and then the disk: one that stays behind harms nobody.
pub fn forget_history(
    disk: &dyn Disk,
    places: &Places,
    manifest: &mut Manifest,
    orders: &mut Vec<Order>,
) -> Result<(), DiskError> {
    if manifest.history.is_empty() {
        return Ok(());
    }
    let mut next = manifest.clone();
    let old: Vec<PathBuf> = next.history.drain(..).map(|part| places.path(&part.name)).collect();
    write_manifest(disk, places, &next)?;
    *manifest = next;
    orders.push(Order::Remove(old));
    Ok(())
}

/// Renames a prepared base into its place and makes the manifest name it, with the last `keep` increments behind it.
pub fn adopt_base(
    disk: &dyn Disk,
    places: &Places,
    manifest: &mut Manifest,
    prepared: &Path,
    is_rdb: bool,
    keep: usize,
) -> Result<(), DiskError> {
    let mut next = manifest.clone();
    let path = places.path(&next.new_base(&places.file_name, is_rdb, keep).name);
    manifest.skip_numbers_of(&next);
    disk.rename(prepared, &path).map_err(|error| DiskError::new("rename", prepared, error))?;
    write_manifest(disk, places, &next)?;
    *manifest = next;
    Ok(())
}
