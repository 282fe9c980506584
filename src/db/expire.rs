//! Finding what has lapsed without waiting for somebody to ask for it.
//!
//! Every segment of the key table carries the earliest deadline in it, of a key or of a hash's field, so a tick goes straight to the segments where something is due,
//! within a budget; where it stopped, the next tick goes on. A million keys that lapse in one second are a million small steps.

use super::view::has_lapsed;
use super::{Db, DbIndex, Keyspace};
use crate::types::hash::Hash;
use crate::types::value::{self, Record, RecordRef};

/// Where the sweep stands.
#[derive(Default)]
pub struct Sweep {
    db: DbIndex,
    position: u64,
}

/// What a slice of the sweep found.
#[derive(Debug, PartialEq, Eq)]
pub enum Slice {
    /// Of this database these keys have lapsed, and fields of these hashes.
    Lapsed { db: DbIndex, keys: Vec<Box<[u8]>>, hashes: Vec<Box<[u8]>> },
    /// Every database has been gone through once.
    Done,
}

impl Sweep {
    /// The lapsed keys of the next segment that has any. O(one segment) and a glance at the others' marks.
    pub fn next_slice(&mut self, keyspace: &mut Keyspace, now: u64) -> Slice {
        for _ in 0..=keyspace.dbs.len() {
            let Db { table, timed_hashes, .. } = &mut keyspace.dbs[self.db];
            let Some(segment) = table.next_due(self.position, now.saturating_sub(1)) else {
                self.position = 0;
                self.db = (self.db + 1) % keyspace.dbs.len();
                if self.db == 0 {
                    return Slice::Done;
                }
                continue;
            };
            let (mut keys, mut hashes) = (Vec::new(), Vec::new());
            let mut earliest = u64::MAX;
            let mut look = |record: RecordRef<'_>| {
                if has_lapsed(&record, now) {
                    keys.push(record.key().into());
                    return;
                }
                let next_field = if value::is_timed(&record) { next_field(&record) } else { None };
                if next_field.is_some_and(|deadline| deadline < now) {
                    hashes.push(record.key().into());
                }
                earliest = [record.deadline(), next_field].into_iter().flatten().fold(earliest, u64::min);
            };
            match timed_hashes {
                0 => table.show_flagged(segment, &mut look),
                _ => table.show_segment(segment, &mut look),
            }
            // A segment with lapsed keys or fields is looked at once more after they are gone, which puts its mark right.
            if keys.is_empty() && hashes.is_empty() {
                table.set_mark(segment, earliest);
                self.advance(keyspace, segment);
                continue;
            }
            return Slice::Lapsed { db: self.db, keys, hashes };
        }
        Slice::Done
    }

    fn advance(&mut self, keyspace: &Keyspace, segment: crate::ds::keytable::Segment) {
        match keyspace.dbs[self.db].table.position_after(segment) {
            Some(position) => self.position = position,
            // The last segment: the next search finds nothing and goes on to the next database.
            None => self.position = u64::MAX,
        }
    }
}

fn next_field(record: &Record) -> Option<u64> {
    record.get::<Hash>().and_then(Hash::next_deadline)
}
