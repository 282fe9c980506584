//! WATCH: which sessions must be told when a key changes.
//!
//! A session remembers what it watches; this is the other direction. A broken watch stays broken until EXEC, DISCARD or UNWATCH, and until
//! then the session watches nothing more: another change could tell it nothing new.

use hashbrown::HashMap;

use super::session::{SessionId, Sessions};
use crate::db::{DbIndex, Keyspace};

/// A key that a session watches.
pub struct Watched {
    pub db: DbIndex,
    pub key: Box<[u8]>,
    pub was_absent: bool,
}

#[derive(Default)]
pub struct Watches {
    by_key: HashMap<(DbIndex, Box<[u8]>), Vec<SessionId>>,
}

impl Watches {
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Keys watched, for INFO.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// `was_absent`: there is no such key now, so its absence later is no change.
    pub fn watch(&mut self, sessions: &mut Sessions, id: SessionId, db: DbIndex, key: &[u8], was_absent: bool) {
        let session = sessions.get_mut(id);
        if session.watch_broken || session.watched.iter().any(|watched| watched.db == db && *watched.key == *key) {
            return;
        }
        session.watched.push(Watched { db, key: key.into(), was_absent });
        self.by_key.entry((db, key.into())).or_default().push(id);
    }

    pub fn unwatch_all(&mut self, sessions: &mut Sessions, id: SessionId) {
        let session = sessions.get_mut(id);
        session.watch_broken = false;
        for Watched { db, key, .. } in std::mem::take(&mut session.watched) {
            let place = (db, key);
            if let Some(watchers) = self.by_key.get_mut(&place) {
                watchers.retain(|watcher| *watcher != id);
                if watchers.is_empty() {
                    self.by_key.remove(&place);
                }
            }
        }
    }

    /// Of those who watch a key, the ones that `concerns` holds for are to hear at EXEC that it has changed.
    fn break_watches(
        &mut self,
        sessions: &mut Sessions,
        place: &(DbIndex, Box<[u8]>),
        concerns: impl Fn(&Watched) -> bool,
    ) {
        let is_concerned = |id: &&SessionId| {
            let mut watched = sessions.get(**id).watched.iter();
            watched.any(|watched| (watched.db, &watched.key) == (place.0, &place.1) && concerns(watched))
        };
        let broken: Vec<SessionId> =
            self.by_key.get(place).into_iter().flatten().filter(is_concerned).copied().collect();
        for id in broken {
            self.unwatch_all(sessions, id);
            sessions.get_mut(id).watch_broken = true;
        }
    }

    /// A key has changed.
    pub fn touch(&mut self, sessions: &mut Sessions, db: DbIndex, key: &[u8]) {
        if !self.by_key.is_empty() {
            self.break_watches(sessions, &(db, key.into()), |_| true);
        }
    }

    /// A key has lapsed: no change to those who began to watch it when its time was over already.
    pub fn touch_lapsed(&mut self, sessions: &mut Sessions, db: DbIndex, key: &[u8]) {
        if !self.by_key.is_empty() {
            self.break_watches(sessions, &(db, key.into()), |watched| !watched.was_absent);
        }
    }

    /// A whole database has changed: keys that were there, or are there now, count as touched. One that is still watched in peace
    /// was there just before if it was when the watch began.
    pub fn touch_all(&mut self, sessions: &mut Sessions, keyspace: &Keyspace, db: DbIndex, now: u64) {
        let places: Vec<_> = self.by_key.keys().filter(|(watched_db, _)| *watched_db == db).cloned().collect();
        for place in places {
            let is_there = keyspace.contains_alive(db, &place.1, now);
            self.break_watches(sessions, &place, |watched| is_there || !watched.was_absent);
        }
    }
}
