//! Keeps what the server acknowledges: drives the append-only log, its rewriting and its loading, between the loop and the disk.
//!
//! ```text
//!   start ──► load (in slices, clients are told LOADING) ──► serve
//!                                                              │ each turn: journal ──► log ──► replies may leave
//!                                                              │ each tick: sync, retry, rewrite where the log has grown
//!                                                              ▼
//!                                                            shut down: all written, all synced
//! ```
//!
//! The loop calls, nothing here waits for a socket; the thread that syncs is behind `Hands`, so that a simulation can be the thread and
//! the disk. What clients see of it all is `Server::durability`.

mod base;
mod hands;
mod load;
mod restore;
#[cfg(test)]
mod simulation;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{AppendFsync, Config};
use crate::persist::aof::flusher::{Order, Report};
use crate::persist::aof::log::{self, Event, Places, Policy};
use crate::persist::aof::{Log, Manifest};
use crate::persist::disk::{Disk, DiskError, write_all};
use crate::persist::snapshot::{self, AsRequests, Job, Outcome, Plan};
use crate::server::{HostRequest, Server, SessionId};
use crate::util::clock::monotonic_us;
use base::Prepared;
pub use hands::{Hands, Thread};
use load::Loader;
use restore::Restore;

pub struct Keeper {
    /// The folder that the process was started in.
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    hands: Box<dyn Hands>,
    log: Option<Log>,
    loader: Option<Loader>,
    restore: Option<Restore>,
    /// Bytes on their way from the journal to the log.
    bytes: Vec<u8>,
    orders: Vec<Order>,
    /// Wakes the loop from a snapshot's thread. Without it bases are written at once.
    ring: Option<Arc<dyn Fn() + Send + Sync>>,
    /// The base that is being written while the server goes on.
    rewriting: Option<Rewriting>,
    /// A rewrite that failed is not tried at once again.
    retry_rewrite_at_us: u64,
    last_look_us: u64,
}

struct Rewriting {
    job: Job,
    path: PathBuf,
    is_rdb: bool,
    began_us: u64,
}

/// The process must end, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct Fatal(pub String);

/// How far the loading has got.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    Loading,
    Done,
}

const SECOND_US: u64 = 1_000_000;
/// After rewrites have failed several times they are tried again after a minute, two, four, … up to an hour.
const PATIENCE_MAX_US: u64 = 3_600 * SECOND_US;
const FAILURES_BEFORE_PATIENCE: u64 = 3;

pub fn policy(config: &Config) -> Policy {
    match config.appendfsync {
        AppendFsync::Always => Policy::Always,
        AppendFsync::EverySecond => Policy::EverySecond,
        AppendFsync::No => Policy::No,
    }
}

/// Where the log lies: what CONFIG SET dir does later does not move it.
pub fn places(folder: &Path, config: &Config) -> Places {
    let file_name = config.appendfilename.display().into_owned();
    Places { folder: folder.join(config.appenddirname.path()), old_file: folder.join(&file_name), file_name }
}

impl Keeper {
    /// Looks what there is to be loaded. Clients may come in from now on; until `load` is done they are told to wait.
    pub fn start(
        server: &mut Server,
        folder: PathBuf,
        disk: Arc<dyn Disk>,
        hands: Box<dyn Hands>,
    ) -> Result<Self, Fatal> {
        let mut keeper = Self {
            folder,
            disk,
            hands,
            log: None,
            loader: None,
            restore: None,
            bytes: Vec::new(),
            orders: Vec::new(),
            ring: None,
            rewriting: None,
            retry_rewrite_at_us: 0,
            last_look_us: 0,
        };
        if !server.config.save.0.is_empty()
            && let Err(error) = keeper.try_writing(&keeper.folder.join("temp-test-write"))
        {
            tracing::warn!(
                "WARNING: no snapshot can be saved in the folder '{}': {error}",
                server.config.dir.display()
            );
        }
        // A log holds everything; where there is none yet it begins with what the snapshot has.
        if !keeper.find_log(server)? {
            let path = keeper.folder.join(server.snapshot_path());
            keeper.restore = Restore::begin(server, &*keeper.disk, path).map_err(Fatal)?;
        }
        Ok(keeper)
    }

    /// Prepares to load the log that is to be kept. False where there is none yet, or none is to be kept.
    fn find_log(&mut self, server: &mut Server) -> Result<bool, Fatal> {
        if !server.config.appendonly {
            return Ok(false);
        }
        let places = places(&self.folder, &server.config);
        self.try_folder(&places).map_err(|error| {
            Fatal(format!("Can't open or create append-only dir {}: {error}", places.folder.display()))
        })?;
        let Some(manifest) = log::find(&*self.disk, &places).map_err(Fatal)? else { return Ok(false) };
        self.loader = Some(Loader::new(server, &*self.disk, places, manifest).map_err(Fatal)?);
        Ok(true)
    }

    /// From now on bases are written by a thread while the server goes on; `ring` wakes the loop from it.
    pub fn write_bases_in_background(&mut self, ring: Arc<dyn Fn() + Send + Sync>) {
        self.ring = Some(ring);
    }

    /// A folder in which nothing can be written is found out now rather than with the first client's first write.
    fn try_folder(&self, places: &Places) -> Result<(), DiskError> {
        log::make_folder(&*self.disk, places)?;
        self.try_writing(&places.path("temp-test-write"))
    }

    fn try_writing(&self, path: &Path) -> Result<(), DiskError> {
        let file = self.disk.create(path).map_err(|error| DiskError::new("open", path, error))?;
        write_all(&*file, b"can this folder be written?\n")
            .map_err(|(_, error)| DiskError::new("write", path, error))?;
        file.sync().map_err(|error| DiskError::new("fsync", path, error))?;
        self.disk.remove(path).map_err(|error| DiskError::new("unlink", path, error))
    }

    /// Loads for so long. Once it is done changes are recorded.
    pub fn load(&mut self, server: &mut Server, budget_us: u64) -> Result<Progress, Fatal> {
        if let Some(restore) = &mut self.restore {
            if !restore.load(server, budget_us).map_err(Fatal)? {
                return Ok(Progress::Loading);
            }
            self.restore = None;
            server.durability.loading = None;
        }
        let Some(loader) = &mut self.loader else { return self.loaded(server, None).map(|()| Progress::Done) };
        if !loader.load(server, &*self.disk, budget_us).map_err(Fatal)? {
            return Ok(Progress::Loading);
        }
        let loader = self.loader.take();
        self.loaded(server, loader)?;
        Ok(Progress::Done)
    }

    /// The data set is what it was: from here on what changes is recorded.
    fn loaded(&mut self, server: &mut Server, loader: Option<Loader>) -> Result<(), Fatal> {
        if !server.config.appendonly {
            return Ok(());
        }
        let failed = |error: DiskError| Fatal(format!("Can't open the append-only file: {error}"));
        let (places, manifest) = match loader {
            Some(loader) => loader.finish(server, &*self.disk).map_err(failed)?,
            None => (places(&self.folder, &server.config), Manifest::default()),
        };
        self.remove_leftovers(&places);
        server.durability.loading = None;
        if manifest.files().next().is_none() {
            tracing::info!("Creating AOF base file {} on server start", places.folder.display());
        }
        self.open_log(server, places, manifest).map_err(failed)
    }

    /// Opens the log behind the data set as it is now; writes a base where there is none.
    fn open_log(&mut self, server: &mut Server, places: Places, mut manifest: Manifest) -> Result<(), DiskError> {
        if manifest.files().next().is_none() {
            let prepared = base::write(&*self.disk, &places, server)?;
            log::adopt_base(&*self.disk, &places, &mut manifest, &prepared.path, prepared.is_rdb, 0)?;
        }
        server.feed_replicas();
        server.journal.open();
        let (from, now_us) = (server.journal.offset(), server.clock.monotonic_us);
        let mut log = Log::open(Arc::clone(&self.disk), places, manifest, from, now_us)?;
        log.forget_history(&mut self.orders)?;
        self.log = Some(log);
        server.durability.is_on = true;
        server.durability.set_always(policy(&server.config) == Policy::Always, from);
        self.tell(server);
        Ok(())
    }

    /// Files that a process left half made when it ended.
    fn remove_leftovers(&self, places: &Places) {
        for name in self.disk.list(&places.folder).unwrap_or_default() {
            if name.as_encoded_bytes().starts_with(b"temp-") {
                let path = places.folder.join(name);
                // It harms nobody if it stays.
                let _ = self.disk.remove(&path);
            }
        }
    }

    /// The turn's end, before its replies leave: what was journaled goes to the log.
    #[inline]
    pub fn end_turn(&mut self, server: &mut Server) -> Result<(), Fatal> {
        server.feed_replicas();
        if self.log.is_none() && self.rewriting.is_none() && !server.config.appendonly {
            return Ok(());
        }
        self.keep(server)
    }

    fn keep(&mut self, server: &mut Server) -> Result<(), Fatal> {
        if server.durability.is_loading() {
            return Ok(());
        }
        self.hear(server)?;
        self.hear_of_base(server);
        self.follow_config(server);
        self.log_journal(server);
        self.send_orders();
        self.tell(server);
        Ok(())
    }

    /// What was journaled since the last time goes to the log.
    fn log_journal(&mut self, server: &mut Server) {
        let Some(log) = self.log.as_mut().filter(|_| server.journal.has_bytes()) else { return };
        server.feed_replicas();
        server.journal.take_into(&mut self.bytes);
        if server.config.aof_timestamp_enabled {
            log.note_time(&mut self.bytes, (server.clock.unix_us / SECOND_US) as i64);
        }
        if let Some(failed) =
            log.append(policy(&server.config), &mut self.bytes, server.journal.offset(), &mut self.orders)
        {
            server.durability.refusal = Some(failed.in_full());
        }
        if log.failure().is_some() { server.take_back_answers() } else { server.keep_answers() }
    }

    fn hear(&mut self, server: &mut Server) -> Result<(), Fatal> {
        while let Some(report) = self.hands.report() {
            let event = match &mut self.log {
                Some(log) => log.hear(report),
                None => {
                    if let Report::NotRemoved(error) = report {
                        tracing::warn!("Error removing a file of the log's history: {error}");
                    }
                    None
                }
            };
            self.act_on(server, event)?;
        }
        Ok(())
    }

    fn act_on(&mut self, server: &mut Server, event: Option<Event>) -> Result<(), Fatal> {
        match event {
            None | Some(Event::Durable(_)) => {}
            Some(Event::Failed(text)) => server.durability.refusal = Some(text),
            Some(Event::Recovered) => {
                server.durability.refusal = None;
                if self.log.as_ref().is_some_and(|log| log.suspect) {
                    tracing::warn!(
                        "A sync has failed: the log is written anew, since the disk may have lost a part of it"
                    );
                    server.durability.rewrite.is_scheduled = true;
                }
            }
            Some(Event::Fatal(text)) => return Err(Fatal(text)),
        }
        Ok(())
    }

    fn send_orders(&mut self) {
        for order in self.orders.drain(..) {
            self.hands.send(order);
        }
    }

    /// Puts what is known of the log where clients can see it, and lets replies go that waited for it.
    fn tell(&mut self, server: &mut Server) {
        let Some(log) = &self.log else { return };
        let policy = policy(&server.config);
        let facts = &mut server.durability.log;
        (facts.size, facts.base_size) = (log.size, log.base_size);
        (facts.waiting_bytes, facts.is_syncing) = (log.waiting_len(), log.is_syncing());
        facts.delayed_syncs = log.delayed_syncs;
        server.note_durable(log.released(policy), log.synced);
    }

    /// `appendonly` and `appendfsync` may have been changed by CONFIG SET.
    fn follow_config(&mut self, server: &mut Server) {
        match (server.config.appendonly, self.log.is_some()) {
            (true, false) => self.turn_on(server),
            (false, true) => self.turn_off(server),
            _ => {}
        }
        if self.log.is_some() {
            let is_always = policy(&server.config) == Policy::Always;
            server.durability.set_always(is_always, server.journal.offset());
        }
    }

    fn turn_on(&mut self, server: &mut Server) {
        if server.clock.monotonic_us < self.retry_rewrite_at_us || server.keyspace.has_snapshot() {
            // As soon as the other image of the data set is complete.
            return;
        }
        if let Some(ring) = self.ring.clone() {
            return self.turn_on_in_background(server, ring);
        }
        let places = places(&self.folder, &server.config);
        let opened = self.try_folder(&places).and_then(|()| {
            // What is there is not what the data set is now: a new base takes the place of all of it.
            let manifest = log::find(&*self.disk, &places).ok().flatten().unwrap_or_default();
            self.replace_all(server, places, manifest)
        });
        if let Err(error) = opened {
            tracing::warn!("Unable to turn on AOF: {error}");
            server.config.appendonly = false;
            server.journal.close();
        }
    }

    /// What changes from this moment on is recorded while the base of this moment is still being written.
    fn turn_on_in_background(&mut self, server: &mut Server, ring: Arc<dyn Fn() + Send + Sync>) {
        let places = places(&self.folder, &server.config);
        let facts = &mut server.durability.rewrite;
        facts.is_scheduled = false;
        facts.count += 1;
        facts.began_ms = Some(server.clock.unix_ms());
        let began_us = monotonic_us();
        let begun = self.try_folder(&places).and_then(|()| {
            server.journal.open();
            let manifest = log::find(&*self.disk, &places).ok().flatten().unwrap_or_default();
            let (from, now_us) = (server.journal.offset(), server.clock.monotonic_us);
            let log = Log::begin(Arc::clone(&self.disk), places, manifest, from, now_us)?;
            self.start_base(server, ring, began_us)?;
            self.log = Some(log);
            server.durability.is_on = true;
            server.durability.set_always(policy(&server.config) == Policy::Always, from);
            self.tell(server);
            Ok(())
        });
        match begun {
            Ok(()) => tracing::info!("The append-only file begins; its base is being written in the background"),
            Err(error) => {
                server.journal.close();
                self.rewritten(server, began_us, Err(error.in_full()));
            }
        }
    }

    fn replace_all(&mut self, server: &mut Server, places: Places, mut manifest: Manifest) -> Result<(), DiskError> {
        let prepared = base::write(&*self.disk, &places, server)?;
        log::adopt_base(&*self.disk, &places, &mut manifest, &prepared.path, prepared.is_rdb, 0)?;
        self.open_log(server, places, manifest)
    }

    fn turn_off(&mut self, server: &mut Server) {
        self.give_up_rewriting(server);
        self.log_journal(server);
        let Some(mut log) = self.log.take() else { return };
        self.finish_log(&mut log);
        server.journal.close();
        let offset = server.journal.offset();
        server.durability.is_on = false;
        server.durability.refusal = None;
        server.durability.set_always(false, offset);
        server.note_durable(u64::MAX, offset);
    }

    /// Waits until the thread has done everything, then forces the rest to disk.
    fn finish_log(&mut self, log: &mut Log) -> bool {
        self.send_orders();
        let mut is_whole = true;
        for report in self.hands.finish() {
            is_whole &= !matches!(log.hear(report), Some(Event::Failed(_) | Event::Fatal(_)));
        }
        match log.flush() {
            Ok(()) => is_whole,
            Err(error) => {
                tracing::warn!("Error flushing the append-only file: {error}");
                false
            }
        }
    }

    /// Upkeep, with the server's ticks and when `next_tick_us` asks for it.
    pub fn tick(&mut self, server: &mut Server) -> Result<(), Fatal> {
        self.hear(server)?;
        let now_us = server.clock.monotonic_us;
        let policy = policy(&server.config);
        let may_sync = !(server.config.no_appendfsync_on_rewrite && server.durability.rewrite.began_ms.is_some());
        if let Some(log) = &mut self.log {
            let event = log.tick(policy, may_sync, now_us, &mut self.orders);
            self.act_on(server, event)?;
        }
        self.look_after(server, now_us);
        let is_due = server.durability.rewrite.is_scheduled || self.has_outgrown(server);
        if is_due && !server.durability.is_loading() {
            self.rewrite(server);
        }
        self.send_orders();
        self.tell(server);
        Ok(())
    }

    pub fn next_tick_us(&self, server: &Server) -> Option<u64> {
        self.log.as_ref()?.next_tick_us(policy(&server.config))
    }

    /// Once a second: a folder that was removed under a running server would swallow everything without a word.
    fn look_after(&mut self, server: &mut Server, now_us: u64) {
        if self.log.is_none() || now_us.saturating_sub(self.last_look_us) < SECOND_US {
            return;
        }
        self.last_look_us = now_us;
        let Some(log) = &mut self.log else { return };
        if log.failure().is_none()
            && let Err(error) = log.look()
        {
            tracing::warn!("The append-only file has vanished: {error}. It is written anew.");
            server.durability.refusal = Some(error.in_full());
            server.durability.rewrite.is_scheduled = true;
        }
    }

    fn has_outgrown(&self, server: &Server) -> bool {
        let Some(log) = &self.log else { return false };
        let percentage = u64::try_from(server.config.auto_aof_rewrite_percentage).unwrap_or(0);
        let least = u64::try_from(server.config.auto_aof_rewrite_min_size).unwrap_or(0);
        let base = log.base_size.max(1);
        let outgrown = percentage > 0 && log.size > least && (log.size.saturating_sub(base)) * 100 / base >= percentage;
        outgrown
            && self.rewriting.is_none()
            && server.clock.monotonic_us >= self.retry_rewrite_at_us
            && log.failure().is_none()
    }

    /// Writes the base anew and begins a new increment behind it.
    fn rewrite(&mut self, server: &mut Server) {
        if self.rewriting.is_some() || server.keyspace.has_snapshot() {
            // One image of the data set at a time: as soon as the other is done.
            server.durability.rewrite.is_scheduled = self.rewriting.is_none();
            return;
        }
        // What was journaled before this moment is in the base to come, and must not stand behind it.
        self.log_journal(server);
        if self.log.as_ref().is_some_and(|log| log.failure().is_some()) {
            // What waits to be written belongs before the new base: once it is in its file.
            server.durability.rewrite.is_scheduled = true;
            return;
        }
        let facts = &mut server.durability.rewrite;
        facts.is_scheduled = false;
        facts.count += 1;
        facts.began_ms = Some(server.clock.unix_ms());
        let began_us = monotonic_us();
        let done = match self.ring.clone() {
            Some(ring) => self.begin_background(server, ring, began_us),
            None => self.write_anew(server).map(|()| true),
        };
        match done {
            Ok(false) => tracing::info!("Background append only file rewriting started"),
            Ok(true) => self.rewritten(server, began_us, Ok(())),
            Err(error) => self.rewritten(server, began_us, Err(error.in_full())),
        }
    }

    /// The base is written, in place or not at all.
    fn rewritten(&mut self, server: &mut Server, began_us: u64, done: Result<(), String>) {
        let took_ms = (monotonic_us() - began_us) / 1000;
        let facts = &mut server.durability.rewrite;
        facts.began_ms = None;
        facts.last_took_ms = Some(took_ms);
        facts.last_error = done.as_ref().err().cloned();
        match done {
            Ok(()) => {
                facts.failures_in_a_row = 0;
                tracing::info!("Background AOF rewrite finished successfully");
                if let Some(log) = &mut self.log {
                    log.suspect = false;
                    if log.failure().is_none() {
                        server.durability.refusal = None;
                    }
                }
            }
            Err(error) => {
                facts.failures_in_a_row += 1;
                let over = facts.failures_in_a_row.saturating_sub(FAILURES_BEFORE_PATIENCE).min(6);
                let wait_us =
                    if over == 0 { SECOND_US } else { ((60 * SECOND_US) << (over - 1).min(20)).min(PATIENCE_MAX_US) };
                self.retry_rewrite_at_us = server.clock.monotonic_us + wait_us;
                tracing::warn!("Background AOF rewrite failed: {error}");
            }
        }
    }

    /// Begins to write the base by a thread. False: it goes on.
    fn begin_background(
        &mut self,
        server: &mut Server,
        ring: Arc<dyn Fn() + Send + Sync>,
        began_us: u64,
    ) -> Result<bool, DiskError> {
        let places = places(&self.folder, &server.config);
        match &mut self.log {
            Some(log) => {
                log.begin_rewrite(&mut self.orders)?;
                server.journal.begin_part();
            }
            None => log::make_folder(&*self.disk, &places)?,
        }
        self.start_base(server, ring, began_us)?;
        Ok(false)
    }

    /// Starts the thread that writes a base of this moment.
    fn start_base(
        &mut self,
        server: &mut Server,
        ring: Arc<dyn Fn() + Send + Sync>,
        began_us: u64,
    ) -> Result<(), DiskError> {
        let path = temporary(&places(&self.folder, &server.config), "rewriteaof-bg");
        let is_rdb = server.config.aof_use_rdb_preamble;
        let plan = Plan {
            temporary: path.clone(),
            target: None,
            is_aof_base: true,
            requests: (!is_rdb).then(|| AsRequests {
                limits: server.snapshot_options().limits,
                has_time: server.config.aof_timestamp_enabled,
            }),
            functions: server.scripts.functions.sources(),
            now_ms: server.clock.unix_ms(),
        };
        let processors = server.config.bio_cpulist.display().into_owned();
        let prepare = move || super::affinity::bind_to(&processors);
        let (config, keyspace) = (&server.config, &server.keyspace);
        let (sink, job) = snapshot::start(Arc::clone(&self.disk), plan, config, keyspace, ring, prepare)
            .map_err(|error| DiskError::new("start a thread for", &path, error))?;
        server.keyspace.begin_snapshot(sink);
        self.rewriting = Some(Rewriting { job, path, is_rdb, began_us });
        Ok(())
    }

    /// Takes notice of the end of the base that is being written.
    fn hear_of_base(&mut self, server: &mut Server) {
        let Some(outcome) = self.rewriting.as_mut().and_then(|rewriting| rewriting.job.poll()) else { return };
        let Some(Rewriting { path, is_rdb, began_us, .. }) = self.rewriting.take() else { return };
        let done = match outcome {
            Outcome::Finished { .. } => self.put_base(server, &path, is_rdb).map_err(|error| error.in_full()),
            Outcome::Failed(failure) => Err(failure.text),
        };
        if done.is_err() {
            server.keyspace.give_up_snapshot(&mut server.garbage);
            if self.log.as_ref().is_some_and(Log::is_begun) {
                // There is no log without a base; it begins anew after a while.
                self.turn_off(server);
            }
        }
        self.rewritten(server, began_us, done);
    }

    fn put_base(&mut self, server: &Server, path: &Path, is_rdb: bool) -> Result<(), DiskError> {
        if let Some(log) = &mut self.log {
            return log.finish_rewrite(path, is_rdb, &mut self.orders);
        }
        let places = places(&self.folder, &server.config);
        let mut manifest = log::find(&*self.disk, &places).ok().flatten().unwrap_or_default();
        log::adopt_base(&*self.disk, &places, &mut manifest, path, is_rdb, 0)?;
        log::forget_history(&*self.disk, &places, &mut manifest, &mut self.orders)
    }

    /// A log has begun, and its base is still being written: what there was before is in no file of it.
    pub fn has_half_a_log(&self) -> bool {
        self.rewriting.is_some() && self.log.as_ref().is_some_and(Log::is_begun)
    }

    /// The base that is being written is wanted no more.
    fn give_up_rewriting(&mut self, server: &mut Server) {
        let Some(Rewriting { job, path, .. }) = self.rewriting.take() else { return };
        server.keyspace.give_up_snapshot(&mut server.garbage);
        job.wait_for_removal();
        // It had come to its end, perhaps. What is left behind is removed at the next start.
        let _ = self.disk.remove(&path);
        server.durability.rewrite.began_ms = None;
    }

    fn write_anew(&mut self, server: &mut Server) -> Result<(), DiskError> {
        let places = places(&self.folder, &server.config);
        let Some(log) = &mut self.log else {
            log::make_folder(&*self.disk, &places)?;
            let mut manifest = log::find(&*self.disk, &places).ok().flatten().unwrap_or_default();
            let prepared = base::write(&*self.disk, &places, server)?;
            log::adopt_base(&*self.disk, &places, &mut manifest, &prepared.path, prepared.is_rdb, 0)?;
            return log::forget_history(&*self.disk, &places, &mut manifest, &mut self.orders);
        };
        log.begin_rewrite(&mut self.orders)?;
        server.journal.begin_part();
        let Prepared { path, is_rdb } = base::write(&*self.disk, &places, server)?;
        log.finish_rewrite(&path, is_rdb, &mut self.orders)
    }

    /// Does what a command left to the process.
    pub fn obey(&mut self, server: &mut Server, request: &HostRequest) {
        match request {
            HostRequest::RewriteLog => self.rewrite(server),
            HostRequest::LoadLog(id) => self.load_again(server, *id),
            HostRequest::CloseLog => self.turn_off(server),
            HostRequest::Shutdown { .. }
            | HostRequest::Dial { .. }
            | HostRequest::StopDialing
            | HostRequest::DelaySmallPackets(_)
            | HostRequest::Fail(_) => {}
        }
        self.send_orders();
    }

    /// DEBUG LOADAOF.
    fn load_again(&mut self, server: &mut Server, id: SessionId) {
        let had_log = self.log.is_some();
        self.turn_off(server);
        let answer = self.try_load_again(server, had_log).map_err(|reason| {
            tracing::warn!("DEBUG LOADAOF: {reason}");
            if had_log {
                // A log that began anew would hold what little was loaded, in the place of all that is in the files.
                tracing::warn!("The append-only file is turned off, and its files are left as they are.");
                server.config.appendonly = false;
            }
            server.durability.loading = None;
            "ERR Error trying to load the AOF files, check server logs".to_owned()
        });
        server.answer_from_host(id, answer);
    }

    fn try_load_again(&mut self, server: &mut Server, had_log: bool) -> Result<(), String> {
        let places = places(&self.folder, &server.config);
        let manifest = log::find(&*self.disk, &places)?.unwrap_or_default();
        server.forget_data();
        server.flush_libraries();
        let mut loader = Loader::new(server, &*self.disk, places, manifest)?;
        while !loader.load(server, &*self.disk, u64::MAX)? {}
        let (places, manifest) = loader.finish(server, &*self.disk).map_err(|error| error.to_string())?;
        server.durability.loading = None;
        if had_log {
            self.open_log(server, places, manifest).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// The end: everything written and forced to disk. False where that failed.
    pub fn end(&mut self, server: &mut Server) -> bool {
        self.give_up_rewriting(server);
        self.log_journal(server);
        let Some(mut log) = self.log.take() else { return true };
        tracing::info!("Calling fsync() on the AOF file.");
        let is_done = self.finish_log(&mut log);
        self.log = Some(log);
        self.tell(server);
        is_done
    }
}

/// A path beside the log's files where something is prepared.
fn temporary(places: &Places, name: &str) -> PathBuf {
    places.path(&format!("temp-{name}"))
}

/// A file's length.
fn len_of(disk: &dyn Disk, path: &Path) -> Result<u64, DiskError> {
    disk.len(path).map_err(|error| DiskError::new("stat", path, error))
}
