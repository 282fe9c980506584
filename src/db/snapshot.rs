//! An image of the keyspace as it is at one moment, taken in slices while commands go on.
//!
//! Every record carries a stamp. A snapshot has a new one, and a record whose stamp is another is still to be handed over: by the walk,
//! which goes through the tables a little at a time, or by whoever is about to change or remove it (`before_change`, called by `Edit`
//! alone), whichever comes first. Records made meanwhile have the stamp from the start. So what a writer hands over is the one
//! record it touches, not its neighbours: at 10,000 writes a second of 1 KB that is 10 MB a second, while whole segments
//! would be all of a data set of gigabytes within the first second.
//!
//! ```text
//!   table      ■ ■ ■ ■ ■ ■ ■ ■ □ □ ▣ □ □ □ □ □ ▣ □ ■ □        ■ handed over by the walk (or made since the beginning)
//!                              ▲ position      ▲              ▣ handed over ahead of a change
//!                                                             □ as it was at the beginning
//! ```
//!
//! A stamp belongs to its record, so splits, merges and renames mean nothing to the walk: the order of hashes does not change. A table that is
//! flushed is handed over as a whole, by moving it. Where the records go, and what holds the walk back, is the `Sink`'s business.

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use super::{Db, DbIndex, Garbage, Keyspace};
use crate::ds::record::STAMP_MAX;
use crate::types::value::{Record, RecordRef};

/// Takes the records of a snapshot.
pub trait Sink: Send {
    /// Takes over a record that was in this database, whole. It is not told twice of the same one.
    fn take(&mut self, db: DbIndex, record: RecordRef<'_>);

    /// As `take`, but of a large record only the beginning, which is told by true: `go_on` takes the rest, and meanwhile other records may
    /// be taken.
    fn begin(&mut self, db: DbIndex, record: RecordRef<'_>) -> bool;

    /// Takes a further part of the record that was begun, which has not changed since. Whether there is more.
    fn go_on(&mut self, record: RecordRef<'_>) -> bool;

    /// Whether so much waits behind the record that was begun that its rest should come at once.
    fn is_pressed(&self) -> bool;

    /// Whether the walk may go on now. A writer who has to hand over a record does not ask.
    fn has_room(&mut self) -> bool;

    /// That was the last record. (A sink that is dropped without it belongs to a snapshot that was given up.)
    fn finish(self: Box<Self>);
}

/// What came of a slice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Walked {
    /// There is more to do; it was only this slice's time that was up.
    More,
    /// The sink takes no more for now.
    Full,
    /// No snapshot is on (any more).
    Done,
}

/// A snapshot under way.
pub struct Snapshot {
    /// `None` once it was given up: the walk still goes on, so that the stamps are all of one kind again.
    sink: Option<Box<dyn Sink>>,
    stamp: u8,
    /// The database being walked, by the index that it had in the beginning, and the position in its table.
    home: DbIndex,
    position: u64,
    /// The record of which the walk has handed over only a part so far.
    begun: Option<Box<[u8]>>,
    /// Databases that were flushed before the walk was through with them.
    flushed: Vec<Db>,
    keys: Progress,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Progress {
    pub done: u64,
    pub total: u64,
}

/// Of all the snapshots given up since the last one whose walk came to its end, each may have left a stamp of its own on some records.
const GIVEN_UP_MAX: u8 = STAMP_MAX - 2;

/// Records between two looks at the time.
const STEP: u64 = 8;

/// The stamps in use.
#[derive(Default)]
pub(super) struct Stamps {
    /// The last snapshot's, which new records get.
    pub current: u8,
    given_up: u8,
}

impl Stamps {
    /// The next in turn: 1 to the highest, as 0 is that of records that nobody stamped.
    fn advance(&mut self) -> u8 {
        self.current = self.current % STAMP_MAX + 1;
        self.current
    }
}

impl Snapshot {
    pub fn progress(&self) -> Progress {
        self.keys
    }

    #[inline(never)]
    #[cold]
    fn hand_over(&mut self, home: DbIndex, record: &Record) {
        record.set_stamp(self.stamp);
        self.keys.done += 1;
        let Some(sink) = &mut self.sink else { return };
        // Of a record that is being handed over in parts, the rest goes before it is changed.
        if self.home == home && self.begun.as_deref() == Some(record.key()) {
            self.begun = None;
            while sink.go_on(record.borrow()) {}
        } else {
            sink.take(home, record.borrow());
        }
    }

    /// What the walk does with a record. False where only a part of it was handed over.
    fn pass(&mut self, record: &Record) -> bool {
        if let Some(sink) = &mut self.sink
            && sink.begin(self.home, record.borrow())
        {
            self.begun = Some(record.key().into());
            return false;
        }
        record.set_stamp(self.stamp);
        self.keys.done += 1;
        true
    }

    /// Goes on with the record of which a part was handed over. Why it stopped, if it did.
    fn go_on(&mut self, db: &Db, may_go_on: &mut dyn FnMut() -> bool) -> Option<Walked> {
        while let Some(key) = &self.begun {
            let record = db.table.get(db.table.hash(key), key);
            let has_more = match (&mut self.sink, &record) {
                (Some(sink), Some(record)) => sink.go_on(record.borrow()),
                _ => false,
            };
            if !has_more {
                self.begun = None;
                if let Some(record) = record {
                    record.set_stamp(self.stamp);
                    self.keys.done += 1;
                }
            }
            let is_pressed = self.sink.as_ref().is_some_and(|sink| sink.is_pressed());
            let stopped = if is_pressed { None } else { self.why_stop(may_go_on) };
            if stopped.is_some() {
                return stopped;
            }
        }
        None
    }
}

/// What `Edit` calls before it changes or removes a record of a database. One branch while no snapshot is on.
#[inline]
pub(super) fn before_change(snapshot: &mut Option<Box<Snapshot>>, home: Option<DbIndex>, record: &Record) {
    if let Some(snapshot) = snapshot
        && record.stamp() != snapshot.stamp
        && let Some(home) = home
    {
        snapshot.hand_over(home, record);
    }
}

impl Keyspace {
    /// Begins a snapshot of this very moment. Whoever calls has made sure that none is on.
    pub fn begin_snapshot(&mut self, sink: Box<dyn Sink>) {
        assert!(!self.has_snapshot(), "one snapshot at a time");
        self.settle_stamps();
        let stamp = self.stamps.advance();
        for (index, db) in self.dbs.iter_mut().enumerate() {
            db.home = Some(index);
        }
        let total = self.dbs.iter().map(|db| db.len() as u64).sum();
        self.snapshot = Some(Box::new(Snapshot {
            sink: Some(sink),
            stamp,
            home: 0,
            position: 0,
            begun: None,
            flushed: Vec::new(),
            keys: Progress { done: 0, total },
        }));
    }

    /// True while a snapshot is on that was not given up.
    pub fn has_snapshot(&self) -> bool {
        self.snapshot.as_ref().is_some_and(|snapshot| snapshot.sink.is_some())
    }

    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_deref().filter(|snapshot| snapshot.sink.is_some())
    }

    /// True while `walk_snapshot` has something to do.
    #[inline]
    pub fn has_walk(&self) -> bool {
        self.snapshot.is_some()
    }

    /// Goes on with the snapshot while `may_go_on` and the sink has room. Tables that were flushed end in `garbage`.
    pub fn walk_snapshot(&mut self, may_go_on: &mut dyn FnMut() -> bool, garbage: &mut Vec<Garbage>) -> Walked {
        let Some(mut snapshot) = self.snapshot.take() else { return Walked::Done };
        let walked = self.walk(&mut snapshot, may_go_on, garbage);
        if walked != Walked::Done {
            self.snapshot = Some(snapshot);
            return walked;
        }
        self.stamps.given_up = 0;
        if let Some(sink) = snapshot.sink {
            sink.finish();
        }
        Walked::Done
    }

    /// Gives the snapshot up; its sink is dropped.
    pub fn give_up_snapshot(&mut self, garbage: &mut Vec<Garbage>) {
        let Some(snapshot) = &mut self.snapshot else { return };
        snapshot.sink = None;
        snapshot.begun = None;
        garbage.extend(snapshot.flushed.drain(..).map(Garbage::Db));
    }

    /// A walk that goes on only for the stamps is left where it is, unless there would be too many kinds of them.
    fn settle_stamps(&mut self) {
        if self.snapshot.is_none() {
            return;
        }
        if self.stamps.given_up < GIVEN_UP_MAX {
            self.stamps.given_up += 1;
            self.snapshot = None;
        } else {
            let walked = self.walk_snapshot(&mut || true, &mut Vec::new());
            debug_assert_eq!(walked, Walked::Done);
        }
    }

    fn walk(
        &mut self,
        snapshot: &mut Snapshot,
        may_go_on: &mut dyn FnMut() -> bool,
        garbage: &mut Vec<Garbage>,
    ) -> Walked {
        while snapshot.home < self.dbs.len() {
            let home = Some(snapshot.home);
            if let Some(at) = snapshot.flushed.iter().position(|db| db.home == home) {
                let db = snapshot.flushed.swap_remove(at);
                let stopped = snapshot.walk_table(&db, may_go_on);
                if let Some(stopped) = stopped {
                    snapshot.flushed.push(db);
                    return stopped;
                }
                garbage.push(Garbage::Db(db));
            } else if let Some(db) = self.dbs.iter_mut().find(|db| db.home == home) {
                if let Some(stopped) = snapshot.walk_table(db, may_go_on) {
                    return stopped;
                }
                db.home = None;
            }
            snapshot.home += 1;
            snapshot.position = 0;
        }
        Walked::Done
    }
}

impl Snapshot {
    /// Hands over what is left of a table from the position on. Why it stopped, if it did.
    fn walk_table(&mut self, db: &Db, may_go_on: &mut dyn FnMut() -> bool) -> Option<Walked> {
        while let Some(segment) = db.table.segment_at(self.position) {
            let mut stopped = self.why_stop(may_go_on).or_else(|| self.go_on(db, may_go_on));
            if stopped.is_some() {
                return stopped;
            }
            db.table.read_segment(segment, &mut |record| {
                if record.stamp() == self.stamp {
                    return ControlFlow::Continue(());
                }
                if !self.pass(&record) {
                    stopped = self.go_on(db, may_go_on);
                } else if self.keys.done.is_multiple_of(STEP) {
                    stopped = self.why_stop(may_go_on);
                }
                if stopped.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            if stopped.is_some() {
                return stopped;
            }
            match db.table.position_after(segment) {
                Some(position) => self.position = position,
                None => break,
            }
        }
        None
    }

    fn why_stop(&mut self, may_go_on: &mut dyn FnMut() -> bool) -> Option<Walked> {
        if self.sink.as_mut().is_some_and(|sink| !sink.has_room()) {
            return Some(Walked::Full);
        }
        (!may_go_on()).then_some(Walked::More)
    }

    /// Takes a table that was flushed, where the walk is not through with it. The table comes back where it is of no use.
    pub(super) fn take_flushed(&mut self, db: Db) -> Option<Db> {
        if db.home.is_none() || db.is_empty() || self.sink.is_none() {
            return Some(db);
        }
        self.flushed.push(db);
        None
    }
}
