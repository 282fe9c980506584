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
//!
//! A collection of thousands is not handed over in one step but has an *image* from the moment on at which the walk or a writer comes to it
//! (`ds::image`): it goes on changing and keeps what it was, element by element. Images are handed over in parts, one after the other, before
//! the walk goes on. A collection may be renamed, moved or removed meanwhile; the snapshot knows where it is, or owns it.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ops::ControlFlow;

use super::{Db, DbId, DbIndex, Garbage, Keyspace};
use crate::ds::image::ImageId;
use crate::ds::record::STAMP_MAX;
use crate::types::codec::{Chunk, Encoding};
use crate::types::value::{self, Record, RecordRef};

/// Takes the records of a snapshot.
pub trait Sink: Send {
    /// Takes over a record that was in this database, whole. It is not told twice of the same one.
    fn take(&mut self, db: DbIndex, record: RecordRef<'_>);

    /// Whether a record is to be handed over in parts, if it can have an image.
    fn is_large(&self, record: &Record) -> bool;

    /// Begins the image of a large record. `None` where it cannot have one.
    fn begin(&mut self, db: DbIndex, record: &mut Record, id: ImageId) -> Option<Part>;

    /// Takes about `PART_BYTES` more of an image. Whether there is more. Of one image at a time: other records wait until it is complete.
    fn go_on(&mut self, part: &mut Part, record: &mut Record) -> bool;

    /// Bytes of records that wait until an image is complete.
    fn aside_bytes(&self) -> usize;

    /// Bytes that were handed over and are neither written yet nor given up, those aside among them.
    fn waiting_bytes(&self) -> usize {
        self.aside_bytes()
    }

    /// Whether the walk may go on now. A writer who has to hand over a record does not ask.
    fn has_room(&mut self) -> bool;

    /// That was the last record. (A sink that is dropped without it belongs to a snapshot that was given up.)
    fn finish(self: Box<Self>);
}

/// An image on its way.
pub struct Part {
    pub db: DbIndex,
    /// What comes before the elements.
    pub head: Chunk,
    pub encoding: Encoding,
}

/// Of an image so much is handed over at a time.
pub const PART_BYTES: usize = 16 * 1024;

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
    /// Images that are not handed over yet, the first of them perhaps in part.
    images: VecDeque<Image>,
    last_image: ImageId,
    /// What all images take and keep.
    kept: usize,
    /// So many bytes of images are to be handed over whatever else there is to do, since too much waits for them.
    owed: u64,
    /// The most that waited for images, or was kept by them.
    aside_peak: usize,
    /// Databases that were flushed before the walk, or the images, were through with them.
    flushed: Vec<Db>,
    keys: Progress,
    /// Bytes of records that were handed over because they were about to change.
    copied_bytes: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Progress {
    pub done: u64,
    pub total: u64,
}

/// An image that is not handed over yet, and where its collection is.
struct Image {
    id: ImageId,
    part: Part,
    place: Place,
    /// What it takes by itself, and what it was last known to keep.
    own_bytes: usize,
    kept_bytes: usize,
}

enum Place {
    In(DbId, Box<[u8]>),
    /// The keyspace wants it no more.
    Removed(Record),
}

/// While more than this waits for images to be complete, or is kept by them, whoever adds to it has them handed over faster: `PRESS` times what
/// was added, and twice as fast with each `PRESS_STEP` more. However large an image is, it is through before there are 16 such steps:
/// by then it would have been of a tebibyte.
const PRESSED_BYTES: usize = 4 * 1024 * 1024;
const PRESS: u64 = 16;
const PRESS_STEP: usize = 1024 * 1024;
/// What an image takes, however little it keeps.
const IMAGE_BYTES: usize = 256;

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

    /// What was copied since it would have changed before its turn.
    pub fn copied_bytes(&self) -> u64 {
        self.copied_bytes
    }

    #[inline(never)]
    #[cold]
    /// True where all of the record was handed over at once.
    fn hand_over(&mut self, db: DbId, home: DbIndex, record: &mut Record) -> bool {
        record.set_stamp(self.stamp);
        self.keys.done += 1;
        let Some(sink) = &mut self.sink else { return false };
        if sink.is_large(record) && self.begin_image(db, home, record) {
            return false;
        }
        let Some(sink) = &mut self.sink else { return false };
        let before = sink.aside_bytes();
        sink.take(home, record.borrow());
        let added = sink.aside_bytes().saturating_sub(before);
        self.press(added);
        true
    }

    fn begin_image(&mut self, db: DbId, home: DbIndex, record: &mut Record) -> bool {
        let Some(sink) = &mut self.sink else { return false };
        self.last_image += 1;
        let id = self.last_image;
        let Some(part) = sink.begin(home, record, id) else { return false };
        let place = Place::In(db, record.key().into());
        let own_bytes = IMAGE_BYTES + record.key().len() + part.head.memory();
        self.images.push_back(Image { id, part, place, own_bytes, kept_bytes: 0 });
        self.kept += own_bytes;
        self.press(own_bytes);
        true
    }

    /// A record that was handed over, or has an image, is changed once more: what its image keeps has grown, perhaps.
    fn look_after_image(&mut self, record: &Record) {
        let Some((id, bytes)) = value::image(record) else { return };
        let Some(image) = self.images.iter_mut().find(|image| image.id == id) else { return };
        let before = std::mem::replace(&mut image.kept_bytes, bytes);
        self.kept = self.kept - before + bytes;
        self.press(bytes.saturating_sub(before));
    }

    /// So many bytes more wait.
    fn press(&mut self, added: usize) {
        if added == 0 || self.images.is_empty() {
            return;
        }
        let aside = self.sink.as_ref().map_or(0, |sink| sink.aside_bytes()) + self.kept;
        self.aside_peak = self.aside_peak.max(aside);
        if let Some(over) = aside.checked_sub(PRESSED_BYTES) {
            let times = PRESS << (over / PRESS_STEP).min(40);
            self.owed = self.owed.saturating_add(times.saturating_mul(added as u64));
        }
    }

    /// Images must be handed over before anything else is changed.
    #[inline]
    pub fn is_pressed(&self) -> bool {
        self.owed > 0
    }

    /// Bytes that are free once the disk has taken what it is owed.
    pub fn waiting_bytes(&self) -> usize {
        self.sink.as_ref().map_or(0, |sink| sink.waiting_bytes()) + self.kept
    }

    /// The most bytes that waited for images, or were kept by them, so far.
    pub fn aside_peak(&self) -> usize {
        self.aside_peak
    }

    /// The collection with this image is stored there now.
    pub(super) fn relocate(&mut self, id: ImageId, db: DbId, key: &[u8]) {
        if let Some(image) = self.images.iter_mut().find(|image| image.id == id) {
            image.place = Place::In(db, key.into());
        }
    }

    /// Takes a removed record that has an image, until that is handed over. Any other comes back.
    pub(super) fn adopt(&mut self, record: Record) -> Option<Record> {
        let Some((id, _)) = value::image(&record) else { return Some(record) };
        let Some(image) = self.images.iter_mut().find(|image| image.id == id) else { return Some(record) };
        image.place = Place::Removed(record);
        None
    }
}

/// What `Edit` calls before it changes or removes a record of a database. One branch while no snapshot is on.
#[inline]
pub(super) fn before_change(
    snapshot: &mut Option<Box<Snapshot>>,
    db: DbId,
    home: Option<DbIndex>,
    record: &mut Record,
) {
    if let Some(snapshot) = snapshot {
        if record.stamp() == snapshot.stamp {
            if !snapshot.images.is_empty() {
                snapshot.look_after_image(record);
            }
        } else if let Some(home) = home
            && snapshot.hand_over(db, home, record)
        {
            snapshot.copied_bytes += record.memory() as u64;
        }
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
            images: VecDeque::new(),
            last_image: 0,
            kept: 0,
            owed: 0,
            aside_peak: 0,
            flushed: Vec::new(),
            keys: Progress { done: 0, total },
            copied_bytes: 0,
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

    /// Hands over what must be before more is changed, if anything: asked after each command, since a turn may change much.
    #[inline]
    pub fn relieve_snapshot(&mut self, garbage: &mut Garbage) {
        if self.snapshot.as_ref().is_some_and(|snapshot| snapshot.is_pressed()) {
            self.walk_snapshot(&mut || false, garbage);
        }
    }

    /// Goes on with the snapshot while `may_go_on` and the sink has room. Tables that were flushed end in `garbage`.
    pub fn walk_snapshot(&mut self, may_go_on: &mut dyn FnMut() -> bool, garbage: &mut Garbage) -> Walked {
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
    pub fn give_up_snapshot(&mut self, garbage: &mut Garbage) {
        let Some(mut snapshot) = self.snapshot.take() else { return };
        snapshot.sink = None;
        (snapshot.kept, snapshot.owed) = (0, 0);
        for image in std::mem::take(&mut snapshot.images) {
            match image.place {
                Place::Removed(record) => garbage.record(record),
                Place::In(db, key) => {
                    let dbs = self.dbs.iter_mut().chain(&mut snapshot.flushed);
                    with_record(dbs, db, &key, value::end_image);
                }
            }
        }
        snapshot.flushed.drain(..).for_each(|db| garbage.db(db));
        self.snapshot = Some(snapshot);
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
            let walked = self.walk_snapshot(&mut || true, &mut Garbage::default());
            debug_assert_eq!(walked, Walked::Done);
        }
    }

    fn walk(&mut self, snapshot: &mut Snapshot, may_go_on: &mut dyn FnMut() -> bool, garbage: &mut Garbage) -> Walked {
        while snapshot.home < self.dbs.len() {
            let stopped = match self.hand_over_images(snapshot, may_go_on, garbage) {
                None => snapshot.why_stop(may_go_on),
                stopped => stopped,
            };
            if let Some(stopped) = stopped.or_else(|| self.walk_segment(snapshot, may_go_on, garbage)) {
                return stopped;
            }
        }
        let stopped = self.hand_over_images(snapshot, may_go_on, garbage);
        if stopped.is_none() {
            snapshot.flushed.drain(..).for_each(|db| garbage.db(db));
        }
        stopped.unwrap_or(Walked::Done)
    }

    /// Hands over the images that there are. Why it stopped, if it did.
    fn hand_over_images(
        &mut self,
        snapshot: &mut Snapshot,
        may_go_on: &mut dyn FnMut() -> bool,
        garbage: &mut Garbage,
    ) -> Option<Walked> {
        while let Some(Image { part, place, .. }) = snapshot.images.front_mut() {
            let sink = snapshot.sink.as_mut().expect("a snapshot that was given up has no images");
            let mut has_more = false;
            let mut go_on = |record: &mut Record| has_more = sink.go_on(part, record);
            match place {
                Place::Removed(record) => go_on(record),
                Place::In(db, key) => {
                    let dbs = self.dbs.iter_mut().chain(&mut snapshot.flushed);
                    let is_there = with_record(dbs, *db, key, go_on);
                    assert!(is_there, "a snapshot knows where the collections of its images are");
                }
            }
            snapshot.owed = snapshot.owed.saturating_sub(PART_BYTES as u64);
            if !has_more && let Some(image) = snapshot.images.pop_front() {
                snapshot.kept -= image.own_bytes + image.kept_bytes;
                if let Place::Removed(record) = image.place {
                    garbage.record(record);
                }
            }
            if snapshot.owed == 0
                && let Some(stopped) = snapshot.why_stop(may_go_on)
            {
                return Some(stopped);
            }
        }
        snapshot.owed = 0;
        None
    }

    /// Hands over what is left of the next segment, but for what is large in it. Why it stopped, if it did.
    fn walk_segment(
        &mut self,
        snapshot: &mut Snapshot,
        may_go_on: &mut dyn FnMut() -> bool,
        garbage: &mut Garbage,
    ) -> Option<Walked> {
        let home = Some(snapshot.home);
        let mut flushed = std::mem::take(&mut snapshot.flushed);
        let at = flushed.iter().position(|db| db.home == home);
        let db = match at {
            Some(at) => Some(&mut flushed[at]),
            None => self.dbs.iter_mut().find(|db| db.home == home),
        };
        let walked = db.map(|db| (snapshot.walk_next_segment(db, may_go_on), db));
        let (walked, is_over) = match walked {
            Some((Segment::Over, db)) => {
                db.home = None;
                (None, true)
            }
            Some((Segment::Stopped(stopped), _)) => (Some(stopped), false),
            Some((Segment::Passed, _)) => (None, false),
            None => (None, true),
        };
        if is_over {
            at.into_iter().for_each(|at| garbage.db(flushed.swap_remove(at)));
            snapshot.home += 1;
            snapshot.position = 0;
        }
        snapshot.flushed = flushed;
        walked
    }
}

/// What came of looking at a segment.
enum Segment {
    Passed,
    Stopped(Walked),
    /// There is none any more.
    Over,
}

/// Does something with a record of one of these databases. Whether it is there.
fn with_record<'a>(
    mut dbs: impl Iterator<Item = &'a mut Db>,
    db: DbId,
    key: &[u8],
    work: impl FnOnce(&mut Record),
) -> bool {
    let record = dbs.find(|one| one.id == db).and_then(|db| db.table.get_mut(db.table.hash(key), key));
    record.map(|mut record| work(&mut record)).is_some()
}

impl Snapshot {
    /// Hands over what is left of the segment at the position, or a part of that. Large records get an image.
    fn walk_next_segment(&mut self, db: &mut Db, may_go_on: &mut dyn FnMut() -> bool) -> Segment {
        let Some(segment) = db.table.segment_at(self.position) else { return Segment::Over };
        let (mut stopped, mut large) = (None, None);
        db.table.read_segment(segment, &mut |record| {
            if record.stamp() == self.stamp {
                return ControlFlow::Continue(());
            }
            if self.sink.as_ref().is_some_and(|sink| sink.is_large(&record)) {
                large = Some(record.key().to_vec());
                return ControlFlow::Break(());
            }
            self.pass(&record);
            if self.keys.done.is_multiple_of(STEP) {
                stopped = self.why_stop(may_go_on);
            }
            if stopped.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if let Some(key) = large {
            // The segment is looked at again when it is handed over.
            let (id, hash) = (db.id, db.table.hash(&key));
            if let Some(mut record) = db.table.get_mut(hash, &key) {
                self.hand_over(id, self.home, &mut record);
            }
            return Segment::Passed;
        }
        if let Some(stopped) = stopped {
            return Segment::Stopped(stopped);
        }
        match db.table.position_after(segment) {
            Some(position) => {
                self.position = position;
                Segment::Passed
            }
            None => Segment::Over,
        }
    }

    /// What the walk does with a record that is not large.
    fn pass(&mut self, record: &Record) {
        record.set_stamp(self.stamp);
        self.keys.done += 1;
        if let Some(sink) = &mut self.sink {
            sink.take(self.home, record.borrow());
        }
    }

    fn why_stop(&mut self, may_go_on: &mut dyn FnMut() -> bool) -> Option<Walked> {
        if self.sink.as_mut().is_some_and(|sink| !sink.has_room()) {
            return Some(Walked::Full);
        }
        (!may_go_on()).then_some(Walked::More)
    }

    /// Takes a table that was flushed, where the walk or an image is not through with it. The table comes back where it is of no use.
    pub(super) fn take_flushed(&mut self, db: Db) -> Option<Db> {
        let has_image = self.images.iter().any(|image| matches!(image.place, Place::In(id, _) if id == db.id));
        if db.is_empty() || self.sink.is_none() || (db.home.is_none() && !has_image) {
            return Some(db);
        }
        self.flushed.push(db);
        None
    }
}
