//! Finding what has lapsed without waiting for somebody to ask for it.
//!
//! Every segment of the key table carries the earliest deadline in it, so a tick goes straight to the segments where something is due,
//! within a budget; where it stopped, the next tick goes on. A million keys that lapse in one second are a million small steps.

use super::view::has_lapsed;
use super::{DbIndex, Keyspace};

/// Where the sweep stands.
#[derive(Default)]
pub struct Sweep {
    db: DbIndex,
    position: u64,
}

/// What a slice of the sweep found.
#[derive(Debug, PartialEq, Eq)]
pub enum Slice {
    /// These keys of this database have lapsed.
    Lapsed(DbIndex, Vec<Box<[u8]>>),
    /// Every database has been gone through once.
    Done,
}

impl Sweep {
    /// The lapsed keys of the next segment that has any. O(one segment) and a glance at the others' marks.
    pub fn next_slice(&mut self, keyspace: &mut Keyspace, now: u64) -> Slice {
        for _ in 0..=keyspace.dbs.len() {
            let table = &mut keyspace.dbs[self.db].table;
            let Some(segment) = table.next_due(self.position, now.saturating_sub(1)) else {
                self.position = 0;
                self.db = (self.db + 1) % keyspace.dbs.len();
                if self.db == 0 {
                    return Slice::Done;
                }
                continue;
            };
            let mut lapsed: Vec<Box<[u8]>> = Vec::new();
            let mut earliest = u64::MAX;
            table.show_segment(segment, &mut |record| match record.deadline() {
                Some(_) if has_lapsed(&record, now) => lapsed.push(record.key().into()),
                Some(deadline) => earliest = earliest.min(deadline),
                None => {}
            });
            table.set_mark(segment, if lapsed.is_empty() { earliest } else { now.min(earliest) });
            let db = self.db;
            // A segment with lapsed keys is looked at once more after they are gone, which puts its mark right.
            if lapsed.is_empty() {
                self.advance(keyspace, segment);
                continue;
            }
            return Slice::Lapsed(db, lapsed);
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
