//! Tells everyone who listens what a command changed: WATCH, notifications, waiting clients, and the journal, in that order.
//!
//! With nobody listening this is one addition. Nothing here changes a value.

use super::{Server, SessionId};
use crate::config::NotifyFlags;
use crate::db::DbIndex;
use crate::db::effect::{Class, Effect, Journal, Stir};
use crate::resp::request::Request;
use crate::types::value;

/// So many lapsed fields of a hash are removed on behalf of a command that came across them; the rest is for upkeep.
const FIELDS_AT_ONCE_MAX: usize = 64;

impl Server {
    /// Makes the effects of the command just run known.
    #[inline]
    pub(super) fn propagate(&mut self, id: SessionId, db: DbIndex, request: Request) {
        if self.keyspace.has_left_over() {
            self.clear_up();
        }
        if self.effects.is_silent() {
            self.stats.dirty += self.effects.clear_count();
            return;
        }
        self.tell(Some(id), db, Some(request));
    }

    /// The same for what upkeep did, which has no request of its own.
    pub(super) fn propagate_upkeep(&mut self, db: DbIndex) {
        self.tell(None, db, None);
        self.note_upkeep_journaled();
    }

    /// Makes what a command has done so far known, and lets it go on: EXEC and scripts do before the commands inside them.
    pub fn propagate_so_far(&mut self, id: SessionId, db: DbIndex, request: Request) {
        self.tell(Some(id), db, Some(request));
    }

    fn tell(&mut self, running: Option<SessionId>, db: DbIndex, request: Option<Request>) {
        self.stats.dirty += self.effects.dirty();
        let (list, before, journal) = self.effects.take();
        for (db, request) in &before {
            self.journal.append(*db, request.borrow());
        }
        match (journal, request) {
            (Journal::Nothing, _) => {}
            (Journal::Verbatim, Some(request)) => self.journal.append(db, request),
            (Journal::Verbatim, None) => debug_assert!(false, "upkeep has no request of its own"),
            (Journal::Instead(requests), _) => {
                for (db, request) in &requests {
                    self.journal.append(*db, request.borrow());
                }
            }
        }
        // Of a FLUSHALL's many databases those who cache hear once.
        if self.tracking.is_used() && list.iter().any(|effect| matches!(effect, Effect::Flushed { .. })) {
            self.invalidate_all(running);
        }
        for effect in list {
            self.hear(running, effect);
        }
    }

    pub(super) fn hear(&mut self, running: Option<SessionId>, effect: Effect) {
        match effect {
            Effect::Changed { db, key, class, event } => {
                match class {
                    Class::Expired => self.watches.touch_lapsed(&mut self.sessions, db, &key),
                    _ => self.watches.touch(&mut self.sessions, db, &key),
                }
                if self.waiting.waits_for(db, &key) {
                    self.waiting.signal(db, key.clone(), Stir::All);
                }
                if self.tracking.is_used() {
                    let by_itself = matches!(class, Class::Expired | Class::Evicted);
                    self.invalidate(&key, running, running.filter(|_| !by_itself));
                }
                self.notify(class, event, &key, db);
            }
            Effect::Notice { db, key, class, event } => self.notify(class, event, &key, db),
            Effect::Stirred { db, key, whom } => {
                if self.waiting.waits_for(db, &key) {
                    self.waiting.signal(db, key, whom);
                }
            }
            Effect::Flushed { db } => {
                self.watches.touch_all(&mut self.sessions, &self.keyspace, db, self.clock.unix_ms());
                self.signal_all(db);
            }
            Effect::Swapped { one, other } => {
                for db in [one, other] {
                    self.watches.touch_all(&mut self.sessions, &self.keyspace, db, self.clock.unix_ms());
                    self.signal_all(db);
                }
            }
        }
    }

    /// Signals every waited-for key of a database: some clients wait for a key to come, others want to know that it has gone.
    fn signal_all(&mut self, db: DbIndex) {
        for key in self.waiting.keys_of(db) {
            self.waiting.signal(db, key, Stir::All);
        }
    }

    /// Removes the keys that the last command found lapsed, and tells of those that it did not find.
    #[cold]
    fn clear_up(&mut self) {
        let own = self.effects.len();
        for (db, key) in self.keyspace.take_lapsed() {
            // During a pause, and until the primary says so, a lapsed key is not there for anybody, but stays.
            if self.is_paused() || self.is_replica() {
                continue;
            }
            // Two look-ups of one command may have found the same key.
            let mut edit = self.edit(db);
            if edit.exists(&key) {
                continue;
            }
        }
        for (db, key) in self.keyspace.take_lapsed_fields() {
            if self.is_replica() {
                continue;
            }
            self.edit(db).expire_fields(&key, FIELDS_AT_ONCE_MAX);
        }
        for (db, key) in self.keyspace.take_missed() {
            self.edit(db).notice(&key, Class::Miss, "keymiss");
        }
        // Look-ups come before changes.
        self.effects.put_first(own);
    }

    #[inline]
    pub(super) fn notifies(&self) -> bool {
        !self.config.notify_keyspace_events.is_empty()
    }

    /// Publishes a keyspace notification where its class is asked for.
    fn notify(&mut self, class: Class, event: &str, key: &[u8], db: DbIndex) {
        let Some(flag) = flag_of(class) else { return };
        if !self.notifies() || !self.config.notify_keyspace_events.has(flag) {
            return;
        }
        if self.config.notify_keyspace_events.has(NotifyFlags::KEYSPACE) {
            let channel = [format!("__keyspace@{db}__:").as_bytes(), key].concat();
            self.publish(&channel, event.as_bytes());
        }
        if self.config.notify_keyspace_events.has(NotifyFlags::KEYEVENT) {
            self.publish(format!("__keyevent@{db}__:{event}").as_bytes(), key);
        }
    }

    pub fn view_of(&self, db: DbIndex) -> crate::db::View<'_> {
        crate::db::View::new(
            &self.keyspace,
            db,
            self.clock.unix_ms(),
            &self.config,
            crate::db::Touch::No,
            &self.random,
            false,
        )
    }

    /// The type under a key, for waiting clients.
    pub(super) fn kind_of(&self, db: DbIndex, key: &[u8]) -> Option<value::Kind> {
        self.view_of(db).peek(key).map(value::kind)
    }
}

fn flag_of(class: Class) -> Option<NotifyFlags> {
    Some(match class {
        Class::Generic => NotifyFlags::GENERIC,
        Class::String => NotifyFlags::STRING,
        Class::List => NotifyFlags::LIST,
        Class::Set => NotifyFlags::SET,
        Class::Hash => NotifyFlags::HASH,
        Class::Zset => NotifyFlags::ZSET,
        Class::Stream => NotifyFlags::STREAM,
        Class::Expired => NotifyFlags::EXPIRED,
        Class::Evicted => NotifyFlags::EVICTED,
        Class::New => NotifyFlags::NEW,
        Class::Miss => NotifyFlags::KEY_MISS,
        Class::Overwritten => NotifyFlags::OVERWRITTEN,
        Class::TypeChanged => NotifyFlags::TYPE_CHANGED,
        Class::Unannounced => return None,
    })
}
