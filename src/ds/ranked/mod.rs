//! Members with scores: found by name in a hash table, by order and rank in a B+tree.
//!
//! `Ranked` is the safe face of this folder. A member is one record (`record.rs`) that the table owns and the tree
//! (`tree.rs`, with `leaf.rs` and `inner.rs`) points to; here is the only place that makes and frees records, so here
//! is where the contract of the folder is kept: *a record is out of the tree before it is freed, and nobody
//! outside holds one*. Which encoding a sorted set has, and everything Redis, is `types::zset`.

mod inner;
mod leaf;
mod mark;
mod record;
mod sorted;
mod tree;

use crate::ds::image::{ImageId, KeyedImage};
use crate::ds::keytable::{Entry, Prefetch, Seed, Slot, Table};
use crate::ds::sizeclass::round_up;
use mark::{Before, BeforeMember, BeforeScore, ThroughMember, ThroughScore};
use record::Record;
pub use sorted::Gathering;
use std::ops::Range;
use std::ptr::NonNull;
use tree::Tree;

/// Members, each with a score that is a number, in order of score and then of the member's bytes.
pub struct Ranked {
    table: Table<Owned>,
    tree: Tree,
    record_bytes: usize,
    /// What it was at a moment that a snapshot wants to know of.
    image: Option<Box<Image>>,
}

/// From the highest rank to the lowest; the place is the entry shown last.
type Image = KeyedImage<Option<(f64, Box<[u8]>)>, f64>;

/// Members shown in one step of an image.
const IMAGE_STEP: u64 = 64;

// SAFETY: a `Ranked` owns its records and nodes alone; its pointers lead nowhere else.
unsafe impl Send for Ranked {}

impl Clone for Ranked {
    fn clone(&self) -> Self {
        let mut copy = Gathering::new(self.table.seed(), self.table.len());
        self.entries(0..u64::MAX, false).for_each(|(member, score)| copy.add_new(member, score));
        copy.finish()
    }
}

impl Ranked {
    pub fn new(seed: &'static Seed) -> Self {
        Self { table: Table::new(seed), tree: Tree::new(), record_bytes: 0, image: None }
    }

    #[inline]
    pub fn len(&self) -> u64 {
        self.tree.len()
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.find(member).map(Record::score)
    }

    /// How many members come before this one, and its score.
    pub fn rank(&self, member: &[u8]) -> Option<(u64, f64)> {
        let record = self.find(member)?;
        Some((self.tree.rank_of(record), record.score()))
    }

    /// Looks a member up once, shows `decide` its score, and gives it the score that `decide` answers: adds it, moves
    /// it, or with `None` leaves things as they are. `likely` is the score it will probably get, where that is known: the
    /// cache is asked for its place while the table is still searched.
    pub fn upsert(&mut self, member: &[u8], likely: Option<f64>, decide: impl FnOnce(Option<f64>) -> Option<f64>) {
        let hash = self.table.hash(member);
        if let Some(score) = likely {
            self.table.prefetch_bucket(hash);
            self.tree.prefetch(score);
        }
        match self.table.entry(hash, member) {
            Entry::Occupied(occupied) => {
                let record: Record = occupied.get();
                let Some(score) = decide(Some(record.score())) else { return };
                assert!(!score.is_nan(), "a score is a number");
                note(&mut self.image, member, Some(record.score()));
                self.tree.set_score(record, score);
            }
            Entry::Vacant(vacant) => {
                let Some(score) = decide(None) else { return };
                assert!(!score.is_nan(), "a score is a number");
                note(&mut self.image, member, None);
                let record: Record = vacant.insert(Owned(Record::new(member, score)));
                self.record_bytes += round_up(record.memory());
                self.tree.insert(record);
            }
        }
    }

    /// Removes a member; gives the score it had.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let hash = self.table.hash(member);
        let Entry::Occupied(occupied) = self.table.entry(hash, member) else { return None };
        let record: Record = occupied.get();
        let score = record.score();
        note(&mut self.image, member, Some(score));
        self.tree.remove(record);
        self.record_bytes -= round_up(record.memory());
        drop(occupied.remove());
        Some(score)
    }

    /// The member with `rank` others before it.
    pub fn nth(&self, rank: u64) -> Option<(&[u8], f64)> {
        self.tree.nth(rank).map(|(score, record)| (record.member(), score))
    }

    /// The members with the given ranks, upwards or downwards. Ranks past the end are none.
    pub fn entries(&self, ranks: Range<u64>, reverse: bool) -> Entries<'_> {
        Entries(self.tree.entries(ranks, reverse))
    }

    /// How many members have a score below this one.
    pub fn count_below(&self, score: f64) -> u64 {
        self.tree.count_before(BeforeScore(score))
    }

    /// How many members have at most this score.
    pub fn count_through(&self, score: f64) -> u64 {
        self.tree.count_before(ThroughScore(score))
    }

    /// How many members come before this one by their bytes alone. Means something only where all scores are equal.
    pub fn count_before_member(&self, member: &[u8]) -> u64 {
        self.tree.count_before(BeforeMember(member))
    }

    /// How many members are this one or come before it by their bytes alone. Likewise.
    pub fn count_through_member(&self, member: &[u8]) -> u64 {
        self.tree.count_before(ThroughMember(member))
    }

    /// Removes the members with the given ranks, showing each of them first, upwards.
    pub fn remove_ranks(&mut self, ranks: Range<u64>, mut show: impl FnMut(&[u8], f64)) {
        let Self { table, tree, record_bytes, image } = self;
        tree.remove_ranks(ranks, |records| {
            records.iter().for_each(|record| record.prefetch());
            for record in records {
                table.prefetch_bucket(table.hash(record.member()));
            }
            for record in records {
                let member = record.member();
                show(member, record.score());
                note(image, member, Some(record.score()));
                *record_bytes -= round_up(record.memory());
                drop(table.remove(table.hash(member), member));
            }
        });
    }

    /// Asks the cache for what removing the first (or last) member and the one after it will need: queues pop again.
    pub fn prefetch_pop(&self, last: bool) {
        let mut next = self.tree.entries(if last { self.len().saturating_sub(2)..self.len() } else { 0..2 }, last);
        if let Some((_, record)) = next.next() {
            self.table.prefetch_bucket(self.table.hash(record.member()));
        }
    }

    /// Shows about `count` members from the cursor's place on and returns the next cursor; 0 begins and ends. A member that is
    /// there from the first call to the last is shown at least once.
    pub fn scan(&self, cursor: u64, count: usize, mut show: impl FnMut(&[u8], f64)) -> u64 {
        self.table.scan(cursor, count, &mut |record: Record| show(record.member(), record.score()))
    }

    /// The table of its members.
    pub fn table(&self) -> &dyn Prefetch {
        &self.table
    }

    /// From now on the image is of what it holds now.
    pub fn begin_image(&mut self, id: ImageId) {
        self.image = Some(Box::new(Image::new(id)));
    }

    /// Shows some of the members that it held, each once, those that have not changed from the highest to the lowest. False where all are
    /// shown.
    pub fn step_image(&mut self, mut show: impl FnMut(&[u8], f64)) -> bool {
        let Some(image) = &mut self.image else { return false };
        if image.has_ended_pass() {
            return image.show_rest(show);
        }
        let below = image.place.as_ref().map(|(score, member)| self.tree.count_before(Before(*score, member)));
        let to = below.unwrap_or(self.tree.len());
        let mut last = None;
        for (score, record) in self.tree.entries(to.saturating_sub(IMAGE_STEP)..to, true) {
            if !image.is_kept(record.member()) {
                show(record.member(), score);
            }
            last = Some((score, record));
        }
        match last {
            Some((score, record)) => image.place = Some((score, record.member().into())),
            None => image.end_pass(),
        }
        true
    }

    pub fn end_image(&mut self) {
        self.image = None;
    }

    /// The image that is not through, and about how much memory it takes.
    pub fn image(&self) -> Option<(ImageId, usize)> {
        self.image.as_ref().map(|image| (image.id, image.bytes()))
    }

    /// Bytes of everything it owns, itself included, as the allocator rounds them. O(1).
    pub fn memory(&self) -> usize {
        round_up(size_of::<Self>()) + self.table.memory() + self.tree.memory() + self.record_bytes
    }

    /// Verifies table, tree, and that they hold the same records.
    pub fn check(&self) {
        self.table.check();
        self.tree.check();
        assert_eq!(self.table.len() as u64, self.tree.len(), "table and tree hold as many");
        let mut record_bytes = 0;
        for (_, record) in self.tree.entries(0..u64::MAX, false) {
            assert_eq!(self.find(record.member()), Some(record), "the table knows each record of the tree");
            record_bytes += round_up(record.memory());
        }
        assert_eq!(record_bytes, self.record_bytes, "bytes of records");
    }

    #[inline]
    fn find(&self, member: &[u8]) -> Option<Record> {
        self.table.get(self.table.hash(member), member)
    }
}

/// A member is about to get another score, to go or (without a score) to come.
#[inline]
fn note(image: &mut Option<Box<Image>>, member: &[u8], score: Option<f64>) {
    if let Some(image) = image {
        note_in(image, member, score);
    }
}

#[cold]
fn note_in(image: &mut Image, member: &[u8], score: Option<f64>) {
    let was_shown = |score: f64| {
        let Some((last_score, last_member)) = &image.place else { return false };
        score > *last_score || (score == *last_score && *member >= **last_member)
    };
    // One that was shown may move to where it would be shown again.
    let kept = score.filter(|&score| !was_shown(score));
    image.keep(member, size_of::<f64>(), || kept);
}

/// Members in order, from `Ranked::entries`.
pub struct Entries<'a>(tree::Entries<'a>);

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a [u8], f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(score, record)| (record.member(), score))
    }

    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(self, init: B, mut add: F) -> B {
        self.0.fold(init, |result, (score, record)| add(result, (record.member(), score)))
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let remaining = self.0.remaining() as usize;
        (remaining, Some(remaining))
    }
}

impl ExactSizeIterator for Entries<'_> {}

/// A record as the table owns it: dropping it frees the record.
struct Owned(Record);

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: by the contract of this folder the tree has let go of it (or goes with the table), and nobody else
        // holds one.
        unsafe { self.0.free() }
    }
}

// SAFETY: a record is one allocation whose address fits 48 bits (`Record::new` asserts it); its member never changes.
// The views are the pointer itself, which stays inside this folder.
unsafe impl Slot for Owned {
    type Ref<'a> = Record;
    type Mut<'a> = Record;

    fn into_raw(self) -> NonNull<u8> {
        std::mem::ManuallyDrop::new(self).0.pointer()
    }

    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        Self(Record::from_pointer(raw))
    }

    unsafe fn key<'a>(raw: NonNull<u8>) -> &'a [u8]
    where
        Self: 'a,
    {
        Record::from_pointer(raw).member()
    }

    unsafe fn view<'a>(raw: NonNull<u8>) -> Record
    where
        Self: 'a,
    {
        Record::from_pointer(raw)
    }

    unsafe fn view_mut<'a>(raw: NonNull<u8>) -> Record
    where
        Self: 'a,
    {
        Record::from_pointer(raw)
    }
}

#[cfg(test)]
mod tests;
