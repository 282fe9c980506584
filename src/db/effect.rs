//! What a command changed, in order: the one way in which a change becomes known.
//!
//! Handlers declare effects through `Edit::changed` and its like; after the command the server tells them to WATCH, to waiting
//! clients, to notifications and to the journal. With nobody listening an effect costs one addition.

use super::DbIndex;
use crate::resp::request::OwnedRequest;

/// Classes of keyspace notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Generic,
    String,
    List,
    Set,
    Hash,
    Zset,
    Stream,
    Expired,
    Evicted,
    New,
    Miss,
    Overwritten,
    TypeChanged,
    /// A change that Redis publishes no event for.
    Unannounced,
}

/// Which waiting clients are to look at a key again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stir {
    /// Those that would claim what others left lying: pending entries changed.
    Claimers,
    All,
}

/// One thing that happened to a key, or to a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The value under the key is another one now, or gone.
    Changed {
        db: DbIndex,
        key: Box<[u8]>,
        class: Class,
        event: &'static str,
    },
    /// An event to notify of that changed nothing by itself ("del" of a collection that became empty).
    Notice {
        db: DbIndex,
        key: Box<[u8]>,
        class: Class,
        event: &'static str,
    },
    /// Waiting clients are to look again; WATCH does not mind.
    Stirred {
        db: DbIndex,
        key: Box<[u8]>,
        whom: Stir,
    },
    Flushed {
        db: DbIndex,
    },
    Swapped {
        one: DbIndex,
        other: DbIndex,
    },
}

/// What the command's journal entry is.
#[derive(Clone, Default)]
pub enum Journal {
    /// Nothing changed so far.
    #[default]
    Nothing,
    /// The request itself, as it came.
    Verbatim,
    /// These requests in its place.
    Instead(Vec<(DbIndex, OwnedRequest)>),
}

/// The request that tells replicas of a key's end. Redis frees on a thread only where it is told to by UNLINK.
pub fn deletion(lazy: bool) -> &'static [u8] {
    if lazy { b"UNLINK" } else { b"DEL" }
}

/// The effects of one command, or of one tick of upkeep.
#[derive(Default)]
pub struct Effects {
    list: Vec<Effect>,
    /// Changes counted for `rdb_changes_since_last_save`.
    dirty: u64,
    /// Somebody wants the list: WATCH, waiting clients, tracking, notifications.
    listening: bool,
    journaling: bool,
    /// Deletions of lapsed and evicted keys, which go into the journal before the command's own entry.
    before: Vec<(DbIndex, OwnedRequest)>,
    journal: Journal,
}

impl Effects {
    /// Starts over; `listening` and `journaling` say who will ask.
    pub fn begin(&mut self, listening: bool, journaling: bool) {
        debug_assert!(self.is_empty(), "effects were left unheard");
        self.listening = listening;
        self.journaling = journaling;
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// What came behind the first `own` effects is told of before them.
    pub fn put_first(&mut self, own: usize) {
        let own = own.min(self.list.len());
        self.list.rotate_left(own);
    }

    pub fn is_empty(&self) -> bool {
        self.dirty == 0 && self.list.is_empty() && self.before.is_empty() && matches!(self.journal, Journal::Nothing)
    }

    pub fn dirty(&self) -> u64 {
        self.dirty
    }

    /// A key's value changed.
    #[inline]
    pub(super) fn changed(&mut self, db: DbIndex, key: &[u8], class: Class, event: &'static str) {
        self.dirty += 1;
        if self.listening {
            self.list.push(Effect::Changed { db, key: key.into(), class, event });
        }
        if self.journaling && matches!(self.journal, Journal::Nothing) {
            self.journal = Journal::Verbatim;
        }
    }

    /// Somebody may have waited for a change of this key, and none came of it: WATCH breaks, nothing is counted or journaled.
    pub(super) fn touched(&mut self, db: DbIndex, key: &[u8], class: Class, event: &'static str) {
        if self.listening {
            self.list.push(Effect::Changed { db, key: key.into(), class, event });
        }
    }

    pub(super) fn notice(&mut self, db: DbIndex, key: &[u8], class: Class, event: &'static str) {
        if self.listening {
            self.list.push(Effect::Notice { db, key: key.into(), class, event });
        }
    }

    /// More changes than keys (RPUSH of three elements counts three).
    pub(super) fn count(&mut self, more: u64) {
        self.dirty += more;
    }

    /// A key went away by itself: the journal needs its `deletion` before the command that found out.
    pub(super) fn removed_by_itself(&mut self, db: DbIndex, key: &[u8], class: Class, event: &'static str, lazy: bool) {
        self.dirty += 1;
        if self.listening {
            self.list.push(Effect::Changed { db, key: key.into(), class, event });
        }
        if self.journaling {
            self.before.push((db, OwnedRequest::from_args([deletion(lazy), key].into_iter())));
        }
    }

    /// Fields of a hash went away by themselves: the journal needs an HDEL before the command that found out.
    pub(super) fn fields_removed_by_themselves(&mut self, db: DbIndex, key: &[u8], fields: &[Vec<u8>]) {
        self.dirty += fields.len() as u64;
        if self.listening {
            self.list.push(Effect::Changed { db, key: key.into(), class: Class::Hash, event: "hexpired" });
        }
        if self.journaling {
            let request = [&b"HDEL"[..], key].into_iter().chain(fields.iter().map(Vec::as_slice));
            self.before.push((db, OwnedRequest::from_args(request)));
        }
    }

    pub fn flushed(&mut self, db: DbIndex, keys: u64) {
        self.dirty += keys;
        if self.listening {
            self.list.push(Effect::Flushed { db });
        }
        self.journal_verbatim();
    }

    pub fn swapped(&mut self, one: DbIndex, other: DbIndex) {
        self.dirty += 1;
        if self.listening {
            self.list.push(Effect::Swapped { one, other });
        }
        self.journal_verbatim();
    }

    /// The request goes into the journal even where no key changed (PUBLISH, FLUSHALL of nothing, SCRIPT LOAD).
    pub fn journal_verbatim(&mut self) {
        if self.journaling && matches!(self.journal, Journal::Nothing) {
            self.journal = Journal::Verbatim;
        }
    }

    /// The journal carries this request instead of the client's. May be called several times: all are carried, in order.
    pub(super) fn journal_instead<A: AsRef<[u8]>>(&mut self, db: DbIndex, args: impl Iterator<Item = A> + Clone) {
        if !self.journaling {
            return;
        }
        let request = OwnedRequest::from_args(args);
        match &mut self.journal {
            Journal::Instead(requests) => requests.push((db, request)),
            journal => *journal = Journal::Instead(vec![(db, request)]),
        }
    }

    /// Nothing of this command goes into the journal, whatever changed.
    pub(super) fn journal_nothing(&mut self) {
        if self.journaling {
            self.journal = Journal::Instead(Vec::new());
        }
    }

    pub fn is_journaling(&self) -> bool {
        self.journaling
    }

    /// Something beside a key's value changed, which WATCH does not guard: a stream's consumer groups.
    pub(super) fn changed_unwatched(&mut self, count: u64) {
        self.dirty += count;
        self.journal_verbatim();
    }

    pub(super) fn stir(&mut self, db: DbIndex, key: &[u8], whom: Stir) {
        if self.listening {
            self.list.push(Effect::Stirred { db, key: key.into(), whom });
        }
    }

    #[inline]
    pub(super) fn is_listening(&self) -> bool {
        self.listening
    }

    /// Takes the effects for propagation: the list, the requests that go into the journal first, and the command's own entry.
    pub fn take(&mut self) -> (Vec<Effect>, Vec<(DbIndex, OwnedRequest)>, Journal) {
        self.dirty = 0;
        (std::mem::take(&mut self.list), std::mem::take(&mut self.before), std::mem::take(&mut self.journal))
    }

    /// Forgets the count of a command nobody listens to: the fast path of `take`.
    #[inline]
    pub fn is_silent(&self) -> bool {
        !self.listening && !self.journaling
    }

    #[inline]
    pub fn clear_count(&mut self) -> u64 {
        std::mem::take(&mut self.dirty)
    }
}
