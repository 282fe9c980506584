//! Fields of hashes that lapse.
//!
//! A hash that has deadlines is marked as such in its record and counted in its database, and the earliest counts for the
//! mark of the record's segment, so that the sweep over keys (`db::expire`) finds hashes too. A command that works on fields by name
//! first removes those of them that have lapsed, because the journal must tell of that before it tells of the command.

use super::Edit;
use crate::db::sizes::Held;
use crate::db::snapshot::before_change;
use crate::ds::keytable;
use crate::types::hash::Hash;
use crate::types::value;

impl Edit<'_> {
    /// Removes up to `max` lapsed fields of the hash under `key` and makes that known. O(fields removed).
    pub fn expire_fields(&mut self, key: &[u8], max: usize) {
        let now = self.now;
        self.remove_fields(key, |hash| {
            let mut removed = Vec::new();
            hash.expire_due(now, max, |field| removed.push(field.to_vec()));
            removed
        });
    }

    /// Removes those of these fields that have lapsed and makes that known. O(fields named).
    pub fn expire_named_fields<'f>(&mut self, key: &[u8], fields: impl Iterator<Item = &'f [u8]>) {
        let now = self.now;
        self.remove_fields(key, |hash| {
            fields.filter(|field| hash.remove_due(field, now)).map(<[u8]>::to_vec).collect()
        });
    }

    fn remove_fields(&mut self, key: &[u8], remove: impl FnOnce(&mut Hash) -> Vec<Vec<u8>>) {
        let slot = self.hash(key);
        let keyspace = &mut *self.keyspace;
        let db = &mut keyspace.dbs[self.db];
        let Some(mut record) = db.table.get_mut(slot, key) else { return };
        before_change(&mut keyspace.snapshot, db.id, db.home, &mut record);
        let Some(hash) = record.into_mut::<Hash>() else { return };
        let removed = remove(&mut Held::new(hash, &mut db.sizes));
        if removed.is_empty() {
            return;
        }
        self.keyspace.stats.expired_fields += removed.len() as u64;
        self.effects.fields_removed_by_themselves(self.db, key, &removed);
        self.tidy(key);
    }

    /// Brings the record's mark, the database's count and the segment's mark up to date with the deadlines of a hash.
    pub(super) fn note_field_deadlines(&mut self, slot: keytable::Hash, key: &[u8]) {
        let db = self.table();
        let Some(mut record) = db.table.get_mut(slot, key) else { return };
        let next = record.get::<Hash>().and_then(Hash::next_deadline);
        let was_timed = value::is_timed(&record);
        if next.is_some() != was_timed {
            value::set_timed(&mut record, next.is_some());
            db.timed_hashes = db.timed_hashes + usize::from(next.is_some()) - usize::from(was_timed);
        }
        if let Some(next) = next {
            db.table.mark_deadline(slot, next);
        }
    }
}
