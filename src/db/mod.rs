//! The keyspace: databases of records, and the two doors through which commands reach them.
//!
//! A `View` reads and can do nothing else. An `Edit` changes, and its only way out is to say what changed (`effect`). Deadlines are
//! kept in the records and found again through the key table's marks (`expire`); what must go when memory is short is decided in
//! `evict`.

mod edit;
pub mod effect;
pub mod evict;
pub mod expire;
mod garbage;
pub mod load;
mod sizes;
pub mod snapshot;
mod view;

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;

pub use edit::{Deadline, Edit, StringBytes, moved};
pub use garbage::Garbage;
pub use sizes::{Held, Sizes};
pub use view::{Touch, View, has_lapsed};

use self::sizes::Bin;
use crate::ds::keytable::{Hash, Prefetch, Seed, Table};
use crate::types::value::{self, Record, RecordRef, StringRef, ValueRef};

/// The value is of another type than the command works on.
#[derive(Debug)]
pub struct WrongType;

/// Index of a database; `SELECT` bounds it.
pub type DbIndex = usize;

/// All databases.
pub struct Keyspace {
    dbs: Vec<Db>,
    /// Of the database that is made next.
    next_id: DbId,
    seed: &'static Seed,
    pub stats: Stats,
    /// Keys that a reader found lapsed. Removing them is a write, which happens right after the command.
    lapsed: RefCell<Vec<(DbIndex, Box<[u8]>)>>,
    /// Hashes in which a reader found lapsed fields.
    lapsed_fields: RefCell<Vec<(DbIndex, Box<[u8]>)>>,
    /// Keys that a reader did not find, where notifications of that are on.
    missed: RefCell<Vec<(DbIndex, Box<[u8]>)>>,
    /// Counts every change of a record or a table that a command brings about, to hold against the effects that it declares.
    moves: u64,
    /// When the last replay began (Unix milliseconds): commands in it see no time, records must.
    pub replayed_ms: u64,
    /// The database that the stream of a primary speaks of: who goes on with it from a snapshot has to know.
    pub stream_db: Option<DbIndex>,
    /// Checksums of values and snapshots are not looked at (DEBUG SET-SKIP-CHECKSUM-VALIDATION).
    pub skips_checksums: bool,
    snapshot: Option<Box<snapshot::Snapshot>>,
    stamps: snapshot::Stamps,
}

/// What INFO tells about key look-ups and disappearances.
#[derive(Default)]
pub struct Stats {
    pub hits: Cell<u64>,
    pub misses: Cell<u64>,
    pub expired: u64,
    pub expired_fields: u64,
    pub evicted: u64,
}

/// Tells a database from all others there ever were, wherever it is swapped to.
type DbId = u64;

/// One database.
pub struct Db {
    id: DbId,
    table: Table<Record>,
    /// Records that have a deadline.
    volatile: usize,
    /// Hashes with fields that have a deadline.
    timed_hashes: usize,
    sizes: Sizes,
    /// While a snapshot is not through with this database: the index that it had when the snapshot began.
    home: Option<DbIndex>,
}

impl Db {
    fn new(id: DbId, seed: &'static Seed) -> Self {
        Self { id, table: Table::new(seed), volatile: 0, timed_hashes: 0, sizes: Sizes::default(), home: None }
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// All records, lapsed ones too. O(n).
    pub fn records(&self) -> impl Iterator<Item = RecordRef<'_>> {
        self.table.iter()
    }

    /// Shows all records, lapsed ones too, as fast as memory gives them out. O(n).
    pub fn read(&self, show: &mut impl FnMut(RecordRef<'_>) -> ControlFlow<()>) {
        let mut stopped = false;
        let mut position = Some(0);
        while let Some(segment) = position.filter(|_| !stopped).and_then(|position| self.table.segment_at(position)) {
            self.table.read_segment(segment, &mut |record| {
                let flow = show(record);
                stopped = flow.is_break();
                flow
            });
            position = self.table.position_after(segment);
        }
    }

    pub fn volatile(&self) -> usize {
        self.volatile
    }

    /// What INFO calls `subexpiry`.
    pub fn timed_hashes(&self) -> usize {
        self.timed_hashes
    }

    /// What INFO calls `Keysizes`.
    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }
}

impl Keyspace {
    pub fn new(databases: usize, seed: &'static Seed) -> Self {
        let databases = databases.max(1) as DbId;
        Self {
            dbs: (0..databases).map(|id| Db::new(id, seed)).collect(),
            next_id: databases,
            seed,
            stats: Stats::default(),
            lapsed: RefCell::default(),
            lapsed_fields: RefCell::default(),
            missed: RefCell::default(),
            moves: 0,
            replayed_ms: 0,
            stream_db: None,
            skips_checksums: false,
            snapshot: None,
            stamps: snapshot::Stamps::default(),
        }
    }

    pub fn databases(&self) -> usize {
        self.dbs.len()
    }

    pub fn db(&self, index: DbIndex) -> &Db {
        &self.dbs[index]
    }

    pub fn moves(&self) -> u64 {
        self.moves
    }

    pub fn seed(&self) -> &'static Seed {
        self.seed
    }

    /// First and second half of looking up ahead of time, for commands that are still in a pipeline.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> Hash {
        self.seed.hash(key)
    }

    #[inline]
    pub fn prefetch_bucket(&self, db: DbIndex, hash: Hash) {
        self.dbs[db].table.prefetch_bucket(hash);
    }

    #[inline]
    pub fn prefetch_record(&self, db: DbIndex, hash: Hash) {
        self.dbs[db].table.prefetch_entry(hash);
    }

    /// The table in which a key's fields or members are looked up, where it has one. Nobody is seen to have read the key.
    pub fn table_at(&self, db: DbIndex, key: &[u8]) -> Option<&dyn Prefetch> {
        value::table(&self.record(db, key)?)
    }

    /// The string under a key, where there is one. Nobody is seen to have read the key.
    pub fn string_at(&self, db: DbIndex, key: &[u8]) -> Option<StringRef<'_>> {
        value::string(&self.record(db, key)?)
    }

    /// Keys that readers found lapsed since the last call.
    pub fn take_lapsed(&mut self) -> Vec<(DbIndex, Box<[u8]>)> {
        std::mem::take(self.lapsed.get_mut())
    }

    /// Hashes in which readers found lapsed fields since the last call.
    pub fn take_lapsed_fields(&mut self) -> Vec<(DbIndex, Box<[u8]>)> {
        std::mem::take(self.lapsed_fields.get_mut())
    }

    /// Keys that readers did not find since the last call.
    pub fn take_missed(&mut self) -> Vec<(DbIndex, Box<[u8]>)> {
        std::mem::take(self.missed.get_mut())
    }

    /// Whether readers left something to be done.
    #[inline]
    pub fn has_left_over(&mut self) -> bool {
        !self.lapsed.get_mut().is_empty()
            || !self.missed.get_mut().is_empty()
            || !self.lapsed_fields.get_mut().is_empty()
    }

    /// Whether the key is there, lapsed or not.
    pub fn contains(&self, db: DbIndex, key: &[u8]) -> bool {
        self.dbs[db].table.contains(self.seed.hash(key), key)
    }

    /// The key's record, lapsed or not.
    pub fn record(&self, db: DbIndex, key: &[u8]) -> Option<RecordRef<'_>> {
        self.dbs[db].table.get(self.seed.hash(key), key)
    }

    /// Whether the key is there and its time is not over.
    pub fn contains_alive(&self, db: DbIndex, key: &[u8], now: u64) -> bool {
        self.record(db, key).is_some_and(|record| !view::has_lapsed(&record, now))
    }

    /// Bytes of the tables' own arrays, as MEMORY STATS shows them.
    pub fn overhead(&self, db: DbIndex) -> usize {
        self.dbs[db].table.memory()
    }

    /// Empties a database: how many records it had, and what is to be freed, which the caller decides where. A snapshot that is not
    /// through with the database keeps it for the time being.
    pub fn take_db(&mut self, index: DbIndex) -> (usize, Option<Db>) {
        self.moves += 1;
        let db = std::mem::replace(&mut self.dbs[index], Db::new(self.next_id, self.seed));
        self.next_id += 1;
        let records = db.len();
        let db = match &mut self.snapshot {
            Some(snapshot) => snapshot.take_flushed(db),
            None => Some(db),
        };
        (records, db.filter(|db| !db.is_empty()))
    }

    pub fn swap(&mut self, one: DbIndex, other: DbIndex) {
        self.moves += 1;
        self.dbs.swap(one, other);
    }

    /// Asserts every invariant of every database. O(everything): for tests.
    pub fn check(&self) {
        for db in &self.dbs {
            db.table.check();
            let (mut volatile, mut timed_hashes, mut sizes) = (0, 0, Sizes::default());
            for record in db.table.iter() {
                let hash = self.seed.hash(record.key());
                sizes.add(Bin::of(&record));
                if let Some(deadline) = record.deadline() {
                    volatile += 1;
                    let segment = db.table.segment_of(hash).expect("a used table has segments");
                    assert!(db.table.mark(segment) <= deadline, "a deadline lies before its segment's mark");
                }
                let next_field = record.get::<crate::types::hash::Hash>().and_then(|hash| hash.next_deadline());
                if let Some(deadline) = next_field {
                    timed_hashes += 1;
                    assert!(value::is_timed(&record), "a hash is not known to have deadlines");
                    let segment = db.table.segment_of(hash).expect("a used table has segments");
                    assert!(db.table.mark(segment) <= deadline, "a field's deadline lies before its segment's mark");
                }
                if let ValueRef::Collection(collection) = value::value(record) {
                    collection.check();
                    let may_be_empty = collection.kind() == value::Kind::Stream;
                    assert!(may_be_empty || !collection.is_empty(), "an empty collection was left behind");
                }
            }
            assert_eq!(volatile, db.volatile, "records with a deadline were miscounted");
            assert_eq!(timed_hashes, db.timed_hashes, "hashes with deadlines were miscounted");
            assert_eq!(sizes, db.sizes, "sizes of values were miscounted");
        }
    }
}
