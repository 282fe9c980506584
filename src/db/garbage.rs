//! What is dear to free, on its way to a thread, and what will come back with it.
//!
//! Memory on its way back counts as free where room is made: no key is evicted, and no command refused, for what is thrown away already.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::Db;
use crate::types::value::{self, Record};

/// Values to be freed, by dropping this.
#[derive(Default)]
pub struct Garbage {
    things: Vec<(Thing, Worth)>,
    coming: Arc<Coming>,
}

enum Thing {
    Record(Record),
    Db(Db),
}

/// What was thrown away and is not free yet, wherever it is.
#[derive(Default)]
pub struct Coming {
    bytes: AtomicUsize,
    databases: AtomicUsize,
    objects: AtomicUsize,
}

/// What freeing a thing brings.
struct Worth {
    bytes: usize,
    databases: usize,
    objects: usize,
}

impl Garbage {
    pub fn record(&mut self, record: Record) {
        self.throw(Thing::Record(record));
    }

    pub fn db(&mut self, db: Db) {
        self.throw(Thing::Db(db));
    }

    fn throw(&mut self, thing: Thing) {
        let worth = thing.worth();
        self.coming.promise(&worth);
        self.things.push((thing, worth));
    }

    pub fn is_empty(&self) -> bool {
        self.things.is_empty()
    }

    /// Keys there are in it. O(n) where n is how often something was thrown in.
    pub fn objects(&self) -> usize {
        self.things.iter().map(|(_, worth)| worth.objects).sum()
    }

    /// Takes out what was thrown in so far.
    pub fn take(&mut self) -> Self {
        Self { things: std::mem::take(&mut self.things), coming: Arc::clone(&self.coming) }
    }

    pub fn coming(&self) -> &Coming {
        &self.coming
    }
}

impl Drop for Garbage {
    fn drop(&mut self) {
        for (thing, worth) in self.things.drain(..) {
            drop(thing);
            self.coming.keep_promise(&worth);
        }
    }
}

impl Thing {
    /// O(1), but for lists and streams of few elements, whose parts are counted.
    fn worth(&self) -> Worth {
        match self {
            Self::Record(record) => Worth { bytes: value::collection_memory(record), databases: 0, objects: 1 },
            Self::Db(db) => Worth { bytes: 0, databases: 1, objects: db.len() },
        }
    }
}

impl Coming {
    /// About how much the records are worth. What databases are worth nobody knows.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    pub fn has_databases(&self) -> bool {
        self.databases.load(Relaxed) > 0
    }

    /// Keys that are not free yet.
    pub fn objects(&self) -> usize {
        self.objects.load(Relaxed)
    }

    fn promise(&self, worth: &Worth) {
        self.bytes.fetch_add(worth.bytes, Relaxed);
        self.databases.fetch_add(worth.databases, Relaxed);
        self.objects.fetch_add(worth.objects, Relaxed);
    }

    fn keep_promise(&self, worth: &Worth) {
        self.bytes.fetch_sub(worth.bytes, Relaxed);
        self.databases.fetch_sub(worth.databases, Relaxed);
        self.objects.fetch_sub(worth.objects, Relaxed);
    }
}
