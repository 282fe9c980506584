//! Filling the keyspace from a file: no effects, no look-ups, nobody who hears of it.

use super::evict::{first_clock, set_frequency, set_idle};
use super::sizes::Bin;
use super::snapshot::before_change;
use super::{DbIndex, Keyspace};
use crate::config::Config;
use crate::ds::keytable::{Entry, Seed};
use crate::types::codec::Limits;
use crate::types::value::{self, Record};
use crate::types::{hash, list, set, zset};

/// What a file says of a record's last use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LastUse {
    Unknown,
    IdleSeconds(u64),
    Frequency(u8),
}

/// What decides about the encodings of values that are read.
pub fn limits(config: &Config, seed: &'static Seed) -> Limits {
    let count = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    Limits {
        list: list::Limits { max_listpack_size: i64::from(config.list_max_listpack_size) },
        set: set::Limits {
            intset_max: count(config.set_max_intset_entries),
            listpack_max: count(config.set_max_listpack_entries),
            value_bytes_max: count(config.set_max_listpack_value),
            seed,
        },
        hash: hash::Limits {
            listpack_max: count(config.hash_max_listpack_entries),
            value_bytes_max: count(config.hash_max_listpack_value),
            seed,
        },
        zset: zset::Limits {
            entries_max: count(config.zset_max_listpack_entries),
            value_bytes_max: count(config.zset_max_listpack_value),
            seed,
        },
    }
}

impl Keyspace {
    /// Makes room for so many keys where the database is empty.
    pub fn reserve(&mut self, db: DbIndex, keys: usize) {
        let table = &mut self.dbs[db].table;
        if table.is_empty() {
            table.reserve(keys);
        }
    }

    /// Stores a record that was read. Where its key is there already, it is replaced if `replace` says so, else the record is given back.
    pub fn load(&mut self, db: DbIndex, record: Record, replace: bool) -> Result<(), Record> {
        self.moves += 1;
        let hash = self.seed.hash(record.key());
        record.set_stamp(self.stamps.current);
        let db = &mut self.dbs[db];
        let bin = Bin::of(&record);
        let (deadline, is_timed) = (record.deadline(), value::is_timed(&record));
        let next_field = if is_timed { record.get::<hash::Hash>().and_then(hash::Hash::next_deadline) } else { None };
        match db.table.entry(hash, record.key()) {
            Entry::Vacant(vacant) => _ = vacant.insert(record),
            Entry::Occupied(_) if !replace => return Err(record),
            Entry::Occupied(mut occupied) => {
                before_change(&mut self.snapshot, db.id, db.home, &mut occupied.get_mut());
                let old = occupied.replace(record);
                db.volatile -= usize::from(old.deadline().is_some());
                db.timed_hashes -= usize::from(value::is_timed(&old));
                db.sizes.remove(Bin::of(&old));
                if let Some(snapshot) = &mut self.snapshot {
                    // What comes back is freed here.
                    drop(snapshot.adopt(old));
                }
            }
        }
        db.volatile += usize::from(deadline.is_some());
        db.timed_hashes += usize::from(is_timed);
        db.sizes.add(bin);
        if let Some(earliest) = [deadline, next_field].into_iter().flatten().min() {
            db.table.mark_deadline(hash, earliest);
        }
        Ok(())
    }
}

/// Sets the access clock of a record that was read.
pub fn set_last_use(record: &Record, last_use: LastUse, config: &Config, now: u64) {
    match last_use {
        LastUse::Unknown => record.set_clock(first_clock(config, now)),
        LastUse::IdleSeconds(seconds) => set_idle(record, now, seconds),
        LastUse::Frequency(frequency) => set_frequency(record, now, frequency),
    }
}
