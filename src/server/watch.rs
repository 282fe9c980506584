//! WATCH: which sessions must be told when a key changes.
//!
//! A session remembers what it watches; this is the other direction. A broken watch stays broken until EXEC, DISCARD or UNWATCH.

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
        if session.watched.iter().any(|watched| watched.db == db && *watched.key == *key) {
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

    /// A key has changed.
    pub fn touch(&self, sessions: &mut Sessions, db: DbIndex, key: &[u8]) {
        if self.by_key.is_empty() {
            return;
        }
        for watcher in self.by_key.get(&(db, Box::from(key))).into_iter().flatten() {
            sessions.get_mut(*watcher).watch_broken = true;
        }
    }

    /// A key has lapsed: no change to those who began to watch it when its time was over already.
    pub fn touch_lapsed(&self, sessions: &mut Sessions, db: DbIndex, key: &[u8]) {
        for watcher in self.by_key.get(&(db, Box::from(key))).into_iter().flatten() {
            let session = sessions.get_mut(*watcher);
            let mut watched = session.watched.iter().filter(|watched| watched.db == db && *watched.key == *key);
            session.watch_broken |= watched.any(|watched| !watched.was_absent);
        }
    }

    /// A whole database has changed: keys that were there, or are there now, count as touched. One that is still watched in peace
    /// was there just before if it was when the watch began.
    pub fn touch_all(&self, sessions: &mut Sessions, keyspace: &Keyspace, db: DbIndex, now: u64) {
        for ((watched_db, key), watchers) in &self.by_key {
            if *watched_db != db {
                continue;
            }
            let is_there = keyspace.contains_alive(db, key, now);
            for watcher in watchers {
                let session = sessions.get_mut(*watcher);
                let mut watched = session.watched.iter().filter(|watched| watched.db == db && watched.key == *key);
                if is_there || watched.any(|watched| !watched.was_absent) {
                    session.watch_broken = true;
                }
            }
        }
    }
}
