//! Saving in the background: when, what came of it, and what clients are told of it.
//!
//! The snapshot itself is `db::snapshot`, the file and its thread are behind `Host`. Here a save begins at the moment of its command, or by the
//! `save` rules; its end comes back as an outcome, and one that failed makes writes be refused where that is configured.

use std::fmt;

use super::Server;
use crate::db::snapshot::{Progress, Walked};
use crate::persist::snapshot::{Failure, Outcome};
use crate::util::clock::{ticks, us_to_ticks};

/// After a save has failed, the rules and schedules wait so long before the next.
const RETRY_AFTER_S: u64 = 5;

pub struct Saving {
    /// When the save that is running began (Unix milliseconds).
    pub began_ms: Option<u64>,
    /// BGSAVE SCHEDULE, or BGSAVE inside a transaction.
    pub is_scheduled: bool,
    /// When a save last succeeded, in Unix seconds. At first: when the server started.
    pub last_saved_s: u64,
    last_tried_s: u64,
    /// Why the last save failed, if it did.
    pub last_failure: Option<Failure>,
    pub last_took_s: Option<u64>,
    /// Saves since the server started.
    pub count: u64,
    /// Changes that the running save will have on disk.
    dirty_at_begin: u64,
    /// Most bytes that waited for the disk, or for images to be complete, during the save that is running, or that was the last.
    pub waiting_bytes_peak: usize,
    /// What that save had to copy because it was about to change.
    pub copied_bytes: u64,
}

/// Why no save can begin.
#[derive(Debug, PartialEq, Eq)]
pub enum NotNow {
    /// A snapshot is on: a save, or the append-only file is being rewritten.
    Busy,
    NoFiles,
    Failed(String),
}

impl fmt::Display for NotNow {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotNow::Busy => out.write_str("another snapshot is being taken"),
            NotNow::NoFiles => out.write_str("there are no files here"),
            NotNow::Failed(reason) => out.write_str(reason),
        }
    }
}

impl Saving {
    pub fn new(now_s: u64) -> Self {
        Self {
            began_ms: None,
            is_scheduled: false,
            last_saved_s: now_s,
            last_tried_s: 0,
            last_failure: None,
            last_took_s: None,
            count: 0,
            dirty_at_begin: 0,
            waiting_bytes_peak: 0,
            copied_bytes: 0,
        }
    }

    #[inline]
    pub fn is_running(&self) -> bool {
        self.began_ms.is_some()
    }

    /// All data are on the disk.
    pub fn note_saved(&mut self, now_s: u64) {
        self.last_saved_s = now_s;
        self.last_failure = None;
        self.count += 1;
    }
}

impl Server {
    /// Begins to save the data set as it is at this moment.
    pub fn begin_save(&mut self) -> Result<(), NotNow> {
        if !self.may_begin_snapshot() {
            return Err(NotNow::Busy);
        }
        if self.host.disk().is_none() {
            return Err(NotNow::NoFiles);
        }
        let now_ms = self.now_ms();
        self.saving.is_scheduled = false;
        self.saving.last_tried_s = now_ms / 1000;
        let libraries = self.scripts.functions.sources();
        let target = Some(self.snapshot_path());
        let sink = match self.host.begin_save(&self.config, &self.keyspace, libraries, now_ms, target) {
            Ok((sink, _)) => sink,
            Err(text) => {
                tracing::warn!("Can't save in background: {text}");
                self.saving.last_failure = Some(Failure { text: text.clone() });
                return Err(NotNow::Failed(text));
            }
        };
        self.keyspace.begin_snapshot(sink);
        self.saving.began_ms = Some(now_ms);
        self.saving.dirty_at_begin = self.stats.dirty;
        (self.saving.waiting_bytes_peak, self.saving.copied_bytes) = (0, 0);
        tracing::info!("Background saving started");
        Ok(())
    }

    /// Upkeep: begins a save where one is due, and hears of the end of the one that is running.
    pub(super) fn tick_saving(&mut self) {
        self.hear_of_save();
        let now_s = self.now_ms() / 1000;
        let saving = &self.saving;
        let may_try = saving.last_failure.is_none() || now_s > saving.last_tried_s + RETRY_AFTER_S;
        if self.durability.is_loading() || !may_try || !self.may_begin_snapshot() {
            return;
        }
        let since_s = now_s.saturating_sub(saving.last_saved_s);
        let dirty = self.stats.dirty;
        let is_due = |rule: &&crate::config::SaveRule| dirty >= rule.changes && since_s > rule.seconds;
        if let Some(rule) = self.config.save.0.iter().find(is_due) {
            tracing::info!("{} changes in {} seconds. Saving...", rule.changes, rule.seconds);
        } else if !saving.is_scheduled {
            return;
        }
        // What stands in the way was logged, and is tried again.
        let _ = self.begin_save();
    }

    /// Takes notice of the end of a save. O(1): called every turn while one is running.
    pub fn hear_of_save(&mut self) {
        self.hear_of_snapshot_for_replicas();
        if !self.saving.is_running() {
            return;
        }
        let aside = self.keyspace.snapshot().map_or(0, |snapshot| snapshot.aside_peak());
        let waiting = self.host.save_waiting_bytes() + aside;
        self.saving.waiting_bytes_peak = self.saving.waiting_bytes_peak.max(waiting);
        self.saving.copied_bytes = self.copied_for_save();
        match self.host.save_outcome() {
            None => {}
            Some(Outcome::Finished { bytes }) => self.note_finished(bytes),
            Some(Outcome::Failed(failure)) => self.note_failed(failure),
        }
    }

    fn note_finished(&mut self, bytes: u64) {
        let now_ms = self.now_ms();
        let took_ms = self.end_save(now_ms);
        self.saving.note_saved(now_ms / 1000);
        self.stats.dirty -= self.saving.dirty_at_begin.min(self.stats.dirty);
        tracing::info!("DB saved on disk");
        tracing::info!("Background saving terminated with success ({bytes} bytes in {took_ms} ms)");
    }

    fn note_failed(&mut self, failure: Failure) {
        self.end_save(self.now_ms());
        self.keyspace.give_up_snapshot(&mut self.garbage);
        tracing::warn!("Write error while saving DB to the disk: {}", failure.text);
        tracing::warn!("Background saving error");
        self.saving.last_failure = Some(failure);
    }

    /// How many milliseconds it took.
    fn end_save(&mut self, now_ms: u64) -> u64 {
        let took_ms = self.saving.began_ms.take().map_or(0, |began| now_ms.saturating_sub(began));
        self.saving.last_took_s = Some(took_ms / 1000);
        took_ms
    }

    /// Ends the save that is running and removes what it has written, since it would be of no use any more.
    pub fn give_up_save(&mut self) {
        if !self.saving.is_running() {
            return;
        }
        tracing::warn!("The snapshot that is being saved in the background ends here");
        self.keyspace.give_up_snapshot(&mut self.garbage);
        self.host.give_up_save();
        self.end_save(self.now_ms());
    }

    /// FLUSHALL: a save that is running would bring back what has gone, and so would the file that lies there, where saving is configured.
    pub fn save_what_was_flushed(&mut self) {
        self.give_up_save();
        if !self.config.save.0.is_empty() && self.host.disk().is_some() && self.save_now().is_ok() {
            // With that nothing is left to be saved.
            self.effects.clear_count();
        }
    }

    /// Goes on with the snapshot that is on, whoever wants it, for about so long.
    pub fn walk_snapshot(&mut self, budget_us: u64) -> Walked {
        let (begin, budget) = (ticks(), us_to_ticks(budget_us));
        let mut may_go_on = || ticks().wrapping_sub(begin) < budget;
        let began_ms = self.saving.began_ms.or(self.durability.rewrite.began_ms);
        if let Some(began_ms) = began_ms.filter(|_| self.config.rdb_key_save_delay > 0) {
            return self.walk_slowly(began_ms);
        }
        self.keyspace.walk_snapshot(&mut may_go_on, &mut self.garbage)
    }

    /// `rdb-key-save-delay`: for tests that want a save or a rewrite to last. What is due is done at each tick.
    fn walk_slowly(&mut self, began_ms: u64) -> Walked {
        let elapsed_us = self.now_ms().saturating_sub(began_ms) * 1000;
        let due = elapsed_us / u64::from(self.config.rdb_key_save_delay.unsigned_abs());
        let mut walked = Walked::Full;
        let done = |server: &Self| server.keyspace.snapshot().map_or(0, |snapshot| snapshot.progress().done);
        while walked != Walked::Done && self.keyspace.has_walk() && done(self) < due {
            let mut steps = 0..2;
            walked = self.keyspace.walk_snapshot(&mut || steps.next().is_some(), &mut self.garbage);
        }
        if walked == Walked::More { Walked::Full } else { walked }
    }

    /// What the save that is running, or was the last, had to copy.
    pub fn copied_for_save(&self) -> u64 {
        let copied = self.keyspace.snapshot().map_or(0, |snapshot| snapshot.copied_bytes());
        self.saving.copied_bytes.max(if self.saving.is_running() { copied } else { 0 })
    }

    /// How many keys the save that is running has dealt with.
    pub fn save_progress(&self) -> Progress {
        match (self.saving.is_running(), self.keyspace.snapshot()) {
            (true, Some(snapshot)) => snapshot.progress(),
            _ => Progress::default(),
        }
    }

    /// Why nothing may be changed, if the data set cannot be saved and that is how it is configured.
    #[inline]
    pub fn refusal_for_saving(&self) -> Option<&Failure> {
        let failure = self.saving.last_failure.as_ref()?;
        (self.config.stop_writes_on_bgsave_error && !self.config.save.0.is_empty()).then_some(failure)
    }
}
