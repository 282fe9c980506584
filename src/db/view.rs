//! Reading the keyspace.
//!
//! A look-up skips what has lapsed, counts hits and misses, and refreshes the access clock, as Redis's does; `peek` does none of
//! the latter two. A view has nothing to write with.

use super::evict::{AccessClock, Policy};
use super::{DbIndex, Keyspace, WrongType};
use crate::config::{Config, NotifyFlags};
use crate::types::hash::Hash;
use crate::types::list::List;
use crate::types::value::{self, Collection, Record, RecordRef, StringRef};
use crate::util::random::Random;
use std::cell::RefCell;

/// Whether a look-up leaves traces in the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Touch {
    Yes,
    /// CLIENT NO-TOUCH.
    No,
}

#[derive(Clone, Copy)]
pub struct View<'a> {
    keyspace: &'a Keyspace,
    pub db: DbIndex,
    /// Unix time in milliseconds, the same throughout a command.
    pub now: u64,
    pub config: &'a Config,
    pub touch: Touch,
    /// The server's source of randomness.
    pub random: &'a RefCell<Random>,
    /// EXEC, scripts and replay answer at once where a client of its own would wait.
    pub may_wait: bool,
    /// Whoever asks may read any key, also one that its command does not name.
    pub may_read_all_keys: bool,
}

impl<'a> View<'a> {
    pub fn new(
        keyspace: &'a Keyspace,
        db: DbIndex,
        now: u64,
        config: &'a Config,
        touch: Touch,
        random: &'a RefCell<Random>,
        may_wait: bool,
    ) -> Self {
        Self { keyspace, db, now, config, touch, random, may_wait, may_read_all_keys: true }
    }

    pub fn keyspace(&self) -> &'a Keyspace {
        self.keyspace
    }

    /// The record under `key`, counted and touched. O(1).
    #[inline]
    pub fn record(&self, key: &[u8]) -> Option<RecordRef<'a>> {
        let found = self.counted(key, self.touch);
        if found.is_none() {
            self.note_miss(key);
        }
        found
    }

    pub fn touching(&self, touch: Touch) -> Self {
        Self { touch, ..*self }
    }

    /// The same moment in another database.
    pub fn in_db(&self, db: DbIndex) -> Self {
        Self { db, ..*self }
    }

    /// The record under `key`, counted but not touched: for commands that ask about a key rather than for its value.
    pub fn untouched(&self, key: &[u8]) -> Option<RecordRef<'a>> {
        self.touching(Touch::No).record(key)
    }

    /// Keeps a miss for a notification, where somebody wants it.
    fn note_miss(&self, key: &[u8]) {
        if self.config.notify_keyspace_events.has(NotifyFlags::KEY_MISS) {
            self.keyspace.missed.borrow_mut().push((self.db, key.into()));
        }
    }

    /// The record under `key`, counted but not touched, and no miss is told of: for OBJECT.
    pub fn inspected(&self, key: &[u8]) -> Option<RecordRef<'a>> {
        self.counted(key, Touch::No)
    }

    #[inline]
    pub(super) fn counted(&self, key: &[u8], touch: Touch) -> Option<RecordRef<'a>> {
        let found = self.peek(key);
        let stats = &self.keyspace.stats;
        let counter = if found.is_some() { &stats.hits } else { &stats.misses };
        counter.set(counter.get() + 1);
        if let Some(record) = &found
            && touch == Touch::Yes
        {
            refresh(record, self.config, self.now, self.random);
        }
        found
    }

    /// The record under `key`, without a trace. O(1).
    #[inline]
    pub fn peek(&self, key: &[u8]) -> Option<RecordRef<'a>> {
        let db = self.db;
        let record = self.keyspace.dbs[db].table.get(self.keyspace.seed.hash(key), key)?;
        if has_lapsed(&record, self.now) {
            self.keyspace.lapsed.borrow_mut().push((db, key.into()));
            return None;
        }
        Some(record)
    }

    /// Whether there is a key that has not lapsed. One that has stays where it is, unlike with `peek`.
    pub fn is_there(&self, db: DbIndex, key: &[u8]) -> bool {
        let record = self.keyspace.dbs[db].table.get(self.keyspace.seed.hash(key), key);
        record.is_some_and(|record| !has_lapsed(&record, self.now))
    }

    #[inline]
    pub fn string(&self, key: &[u8]) -> Result<Option<StringRef<'a>>, WrongType> {
        match self.record(key) {
            None => Ok(None),
            Some(record) => value::string(&record).map(Some).ok_or(WrongType),
        }
    }

    /// The collection under `key`, where it is a `C`.
    #[inline]
    pub fn get<C: Collection>(&self, key: &[u8]) -> Result<Option<&'a C>, WrongType> {
        match self.record(key) {
            None => Ok(None),
            Some(record) => record.get::<C>().map(Some).ok_or(WrongType),
        }
    }

    /// The hash under `key`. Lapsed fields that it still holds are removed after the command.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> Result<Option<&'a Hash>, WrongType> {
        let hash = self.get::<Hash>(key)?;
        if hash.is_some_and(|hash| hash.has_due(self.now)) {
            self.keyspace.lapsed_fields.borrow_mut().push((self.db, key.into()));
        }
        Ok(hash)
    }

    #[inline]
    pub fn list(&self, key: &[u8]) -> Result<Option<&'a List>, WrongType> {
        self.get::<List>(key)
    }

    /// Records from the cursor's place on, about `count` of them, lapsed ones left out; the next cursor. O(count).
    pub fn scan(&self, cursor: u64, count: usize, show: &mut impl FnMut(RecordRef<'_>)) -> u64 {
        self.keyspace.dbs[self.db].table.scan(cursor, count, &mut |record| {
            if has_lapsed(&record, self.now) {
                self.keyspace.lapsed.borrow_mut().push((self.db, record.key().into()));
            } else {
                show(record);
            }
        })
    }

    /// All records that have not lapsed. O(n).
    pub fn records(&self) -> impl Iterator<Item = RecordRef<'a>> {
        let now = self.now;
        self.keyspace.dbs[self.db].table.iter().filter(move |record| !has_lapsed(record, now))
    }

    /// A record chosen uniformly, lapsed or not. O(1) expected.
    pub fn random_record(&self) -> Option<RecordRef<'a>> {
        self.keyspace.dbs[self.db].table.random(&mut || self.random.borrow_mut().next_u64())
    }
}

/// Whether a record's deadline has passed, so that nobody sees it any more.
#[inline]
pub fn has_lapsed(record: &Record, now: u64) -> bool {
    record.deadline().is_some_and(|deadline| deadline < now)
}

#[inline]
pub(super) fn refresh(record: &Record, config: &Config, now: u64, random: &RefCell<Random>) {
    match Policy::clock_kind(config.maxmemory_policy) {
        AccessClock::Lru => record.set_clock(super::evict::lru_clock(now)),
        AccessClock::Lfu => super::evict::lfu_touch(record, config, now, random),
    }
}
