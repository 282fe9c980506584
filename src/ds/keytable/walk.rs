//! Everything that goes over many entries of a table: iteration, SCAN, random samples, and visits of one segment with
//! its deadline mark and epoch, from which the keyspace makes its expiry and its snapshots.
//!
//! All of it goes in the order of hashes: prefixes first, tags inside a segment. That order does not change when
//! segments grow, split and merge, which is what makes a position in it a cursor.

use std::mem;
use std::ptr::NonNull;

use super::bucket::{self, BUCKETS_MAX, Bucket, SLOTS, Spot, home, pointer_of, tag_of};
use super::{Hash, Place, Segment, Slot, Table};

/// Entries that the cache is asked for before the first of them is shown.
const SHOW_AHEAD: usize = 8;

/// What to do with an entry that was visited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Visit {
    Keep,
    Remove,
}

/// A place in hash order between two calls of `scan`, as it is packed into a cursor.
///
/// ```text
///   52            21 20     16 15        0
///   ┌───────────────┬─────────┬───────────┐
///   │ prefix        │ depth   │ tag       │     below 2^53: clients that keep cursors in a double are safe
///   └───────────────┴─────────┴───────────┘
/// ```
///
/// It says: segments before `prefix` (of `depth` bits) are done, and of the entries with that prefix those of lower
/// tags.
struct Cursor {
    prefix: u64,
    depth: u32,
    tag: u32,
}

impl Cursor {
    fn unpack(cursor: u64) -> Cursor {
        Cursor { prefix: cursor >> 21, depth: (cursor >> 16) as u32 & 0x1f, tag: cursor as u32 & 0xffff }
    }

    fn pack(&self) -> u64 {
        self.prefix << 21 | u64::from(self.depth) << 16 | u64::from(self.tag)
    }

    /// The lowest hash of the prefix; `None` for a cursor that this table never gave.
    fn position(&self) -> Option<u64> {
        (self.prefix >> self.depth == 0).then(|| (self.prefix << 1) << (63 - self.depth))
    }
}

/// SCAN and samples.
impl<E: Slot> Table<E> {
    /// Shows about `count` entries from the cursor's place on and returns the next cursor; 0 begins and ends.
    ///
    /// An entry that is in the table from the first call to the last is shown at least once, whatever else is inserted
    /// and removed between calls. Some may be shown twice. A call does bounded work even where the table is sparse.
    pub fn scan(&self, cursor: u64, count: usize, show: &mut impl FnMut(E::Ref<'_>)) -> u64 {
        let from = Cursor::unpack(cursor);
        let Some(position) = from.position().filter(|_| !self.is_empty()) else { return 0 };
        let mut work_left = count.max(1).saturating_mul(10);
        let mut shown = 0;
        let mut index = self.directory.index(position);
        // Where segments merged since, the one found here also has entries that lie before the cursor's prefix or after
        // it with a lower tag: it is done again from its start.
        let mut tag = if self.directory.at(index).depth() < from.depth { 0 } else { from.tag };

        while index < self.directory.len() {
            let word = self.directory.at(index);
            let buckets = word.buckets().max(1);
            for bucket in home(tag as u16, buckets)..buckets {
                if shown >= count.max(1) || work_left == 0 {
                    return self.cursor(index, tag);
                }
                shown += self.show_home(index, bucket, tag, show);
                work_left -= 1;
                tag = bucket::first_tag(bucket + 1, buckets);
            }
            index = self.directory.next(index);
            tag = 0;
        }
        0
    }

    fn cursor(&self, index: usize, tag: u32) -> u64 {
        let depth = self.directory.at(index).depth();
        let position = self.directory.position(index).unwrap_or(0);
        Cursor { prefix: (position >> 1) >> (63 - depth), depth, tag }.pack()
    }

    /// Shows the entries of one home bucket, from a tag on. How many.
    fn show_home(&self, index: usize, bucket: usize, from_tag: u32, show: &mut impl FnMut(E::Ref<'_>)) -> usize {
        let array = self.array(self.directory.at(index));
        let strays = self.strays_of(index);
        let strays = self.strays[strays].iter().map(|stray| stray.word);
        let strays = strays.filter(|&word| home(tag_of(word), array.len().max(1)) == bucket);
        let mut shown = 0;
        for word in bucket::at_home(array, bucket).chain(strays).filter(|&word| u32::from(tag_of(word)) >= from_tag) {
            let Some(raw) = pointer_of(word) else { continue };
            // SAFETY: the entry is in the table, which is borrowed during the call.
            show(unsafe { E::view(raw) });
            shown += 1;
        }
        shown
    }

    /// One entry, each with the same probability.
    pub fn random(&self, random: &mut impl FnMut() -> u64) -> Option<E::Ref<'_>> {
        let place = self.random_place(random)?;
        // SAFETY: the entry is in the table, which is borrowed as long as the view.
        Some(unsafe { E::view(self.raw_at(place)) })
    }

    /// Takes one entry out, each with the same probability.
    pub fn take_random(&mut self, random: &mut impl FnMut() -> u64) -> Option<E> {
        let place = self.random_place(random)?;
        Some(self.take(place))
    }

    /// Throws at the directory, as if every word had 64 buckets of its own, until an entry is hit: all are targets of one
    /// size, whatever the size and fill of their segments.
    fn random_place(&self, random: &mut impl FnMut() -> u64) -> Option<Place> {
        const THROWS_MAX: usize = 2_000;
        if self.is_empty() {
            return None;
        }
        let alone = self.directory.segments() == 1;
        let width = if alone { self.directory.at(0).buckets() } else { BUCKETS_MAX } * SLOTS;
        let targets = self.directory.len() * width;
        for _ in 0..THROWS_MAX {
            let target = below(random(), targets + self.strays.len());
            if target >= targets {
                return Some(Place::Stray(target - targets));
            }
            let (index, target) = (target / width, target % width);
            let spot = Spot { bucket: (target / SLOTS) as u8, slot: (target % SLOTS) as u8 };
            let word = self.directory.at(index);
            if target / SLOTS < word.buckets()
                && self.directory.first(index) == index
                && bucket::word_at(self.array(word), spot) != 0
            {
                return Some(Place::Slot(index, spot));
            }
        }
        // A table of almost nothing but holes, which merging does not leave behind, or a source that is not random.
        self.places_from(below(random(), self.directory.len()), 0).next().or(Some(Place::Stray(0)))
    }

    /// Shows up to `count` entries that lie side by side somewhere: cheap, and good enough to choose a victim from.
    pub fn sample(&self, random: &mut impl FnMut() -> u64, count: usize, show: &mut impl FnMut(E::Ref<'_>)) {
        if self.is_empty() {
            return;
        }
        let index = below(random(), self.directory.len());
        let bucket = below(random(), self.directory.at(index).buckets().max(1));
        let strays = (0..self.strays.len()).map(Place::Stray);
        // From anywhere in the bucket on: else its last slots would not be seen while it is full.
        let passed = below(random(), SLOTS).min(self.len().saturating_sub(count));
        let places = self.places_from(index, bucket).chain(strays).skip(passed).take(count);
        self.show_ahead(places.map(|place| self.raw_at(place)), show);
    }

    /// Shows up to `count` flagged entries of segments with a mark. O(entries of those segments), of which only the flagged are read, and
    /// a glance at the marks.
    pub fn sample_flagged(&self, random: &mut impl FnMut() -> u64, count: usize, show: &mut impl FnMut(E::Ref<'_>)) {
        if self.is_empty() {
            return;
        }
        let start = self.directory.first(below(random(), self.directory.len()));
        let from = |index: usize| {
            let next = move |at: usize| self.directory.next_due(at, u64::MAX - 1);
            std::iter::successors(next(index), move |&at| next(self.directory.next(at)))
        };
        let segments = from(start).chain(from(0).take_while(|&index| index < start));
        let flagged = segments.flat_map(|index| {
            let array = self.array(self.directory.at(index));
            let (last, first) = array.split_at(below(random(), array.len().max(1)));
            self.flagged(index, first.iter().chain(last), below(random(), SLOTS))
        });
        self.show_ahead(flagged.take(count), show);
    }

    /// Shows the flagged entries of a segment. Others are not read.
    pub fn show_flagged(&self, segment: Segment, show: &mut impl FnMut(E::Ref<'_>)) {
        let array = self.array(self.directory.at(segment.0));
        self.show_ahead(self.flagged(segment.0, array.iter(), 0), show);
    }

    /// Those of a segment: of each of its buckets first those from that slot on.
    fn flagged<'a>(
        &'a self,
        index: usize,
        buckets: impl Iterator<Item = &'a Bucket>,
        slot: usize,
    ) -> impl Iterator<Item = NonNull<u8>> {
        let slots =
            buckets.map(Bucket::slots).flat_map(move |slots| slots[slot..].iter().chain(&slots[..slot])).copied();
        let strays = self.strays[self.strays_of(index)].iter().map(|stray| stray.word);
        slots.chain(strays).filter(|&word| bucket::is_flagged(word)).filter_map(pointer_of)
    }

    /// Entries lie anywhere in memory: the cache is asked for several before the first is shown.
    fn show_ahead(&self, mut raws: impl Iterator<Item = NonNull<u8>>, show: &mut impl FnMut(E::Ref<'_>)) {
        let mut ahead = [NonNull::dangling(); SHOW_AHEAD];
        loop {
            let mut found = 0;
            for (slot, raw) in ahead.iter_mut().zip(raws.by_ref()) {
                super::prefetch(raw.as_ptr());
                *slot = raw;
                found += 1;
            }
            // SAFETY: the entries are in the table, which is borrowed during the call.
            ahead[..found].iter().for_each(|raw| show(unsafe { E::view(*raw) }));
            if found < SHOW_AHEAD {
                return;
            }
        }
    }

    /// Every taken slot once: from that bucket of that segment to the last, then from the first.
    fn places_from(&self, index: usize, bucket: usize) -> impl Iterator<Item = Place> + '_ {
        let start = self.directory.first(index);
        let buckets = |index: usize| self.directory.at(index).buckets();
        let after = self.directory.firsts_from(self.directory.next(start));
        let before = self.directory.firsts_from(0).take_while(move |&index| index < start);
        let others = after.chain(before).flat_map(move |index| (0..buckets(index)).map(move |bucket| (index, bucket)));
        let own = |range: std::ops::Range<usize>| range.map(move |bucket| (start, bucket));
        own(bucket..buckets(start))
            .chain(others)
            .chain(own(0..bucket))
            .flat_map(move |(index, bucket)| self.places_in(index, bucket))
    }

    fn places_in(&self, index: usize, bucket: usize) -> impl Iterator<Item = Place> + '_ {
        let slots = self.array(self.directory.at(index)).get(bucket).map_or(&[][..], |bucket| &bucket.slots()[..]);
        let taken = slots.iter().enumerate().filter(|(_, word)| **word != 0);
        taken.map(move |(slot, _)| Place::Slot(index, Spot { bucket: bucket as u8, slot: slot as u8 }))
    }
}

/// How far a pass over a table has come that shows each entry once, while entries come and go and segments grow, split and merge.
///
/// ```text
///   hash     0 ──────────────► position ───────────────► end ─────────────► top        the segment at `position`, as it was when the
///            passed            passed below `tag`         to come                      pass came to it
/// ```
#[derive(Clone, Copy, Default, Debug)]
pub struct Pass {
    position: u64,
    /// `None`: up to the highest hash there is.
    end: Option<u64>,
    tag: u32,
    is_over: bool,
}

/// The tags of one step: about one bucket of a full segment.
const PASS_TAGS: u32 = (1 << 16) / BUCKETS_MAX as u32;

impl Pass {
    /// Whether an entry of this hash has been shown if it was there, and will not be if it comes.
    #[inline]
    pub fn has_passed(&self, hash: Hash) -> bool {
        let is_inside = hash.0 >= self.position && self.end.is_none_or(|end| hash.0 < end);
        self.is_over || hash.0 < self.position || (is_inside && u32::from(hash.tag()) < self.tag)
    }
}

impl<E: Slot> Table<E> {
    /// Shows the few entries that come next, with their keys. False where none are left, now or later.
    pub fn pass(&self, pass: &mut Pass, show: &mut impl FnMut(&[u8], E::Ref<'_>)) -> bool {
        if pass.is_over || self.directory.len() == 0 {
            pass.is_over = true;
            return false;
        }
        if pass.tag == 0 {
            pass.end = self.directory.position(self.directory.next(self.directory.index(pass.position)));
        }
        let tags = pass.tag..pass.tag + PASS_TAGS;
        // It may have split since, or merged with others.
        let mut index = self.directory.first(self.directory.index(pass.position));
        while index < self.directory.len() {
            let begin = self.directory.position(index).unwrap_or(0);
            if pass.end.is_some_and(|end| begin >= end) {
                break;
            }
            let next = self.directory.next(index);
            let is_whole = begin >= pass.position
                && match (self.directory.position(next), pass.end) {
                    (_, None) => true,
                    (Some(after), Some(end)) => after <= end,
                    (None, Some(_)) => false,
                };
            self.show_tags(index, &tags, &mut |raw| {
                // SAFETY: the entry is in the table.
                let hash = |raw| unsafe { E::hash(raw, self.seed) }.0;
                if is_whole || (hash(raw) >= pass.position && pass.end.is_none_or(|end| hash(raw) < end)) {
                    // SAFETY: the entry is in the table, which is borrowed during the call.
                    unsafe { show(E::key(raw), E::view(raw)) };
                }
            });
            index = next;
        }
        pass.tag = tags.end;
        if pass.tag > u32::from(u16::MAX) {
            match pass.end {
                Some(end) => *pass = Pass { position: end, ..Pass::default() },
                None => pass.is_over = true,
            }
        }
        !pass.is_over
    }

    /// Shows the entries of a segment that have one of these tags; the cache is asked for those of the bucket behind.
    fn show_tags(&self, index: usize, tags: &std::ops::Range<u32>, show: &mut impl FnMut(NonNull<u8>)) {
        let array = self.array(self.directory.at(index));
        let buckets = array.len().max(1);
        let last = home((tags.end - 1) as u16, buckets);
        if last + 1 < array.len() {
            for raw in array[last + 1].slots().iter().copied().filter_map(pointer_of) {
                super::prefetch(raw.as_ptr());
            }
        }
        for bucket in home(tags.start as u16, buckets)..=last {
            let words = bucket::at_home(array, bucket).filter(|&word| tags.contains(&u32::from(tag_of(word))));
            words.filter_map(pointer_of).for_each(&mut *show);
        }
        let strays = self.strays[self.strays_of(index)].iter().map(|stray| stray.word);
        strays.filter(|&word| tags.contains(&u32::from(tag_of(word)))).filter_map(pointer_of).for_each(show);
    }
}

/// All entries.
impl<E: Slot> Table<E> {
    pub fn iter(&self) -> impl Iterator<Item = E::Ref<'_>> + '_ {
        let arrays = self.directory.firsts_from(0).map(|index| self.array(self.directory.at(index)));
        let slots = arrays.flatten().flat_map(Bucket::slots).copied();
        let raws = slots.chain(self.strays.iter().map(|stray| stray.word)).filter_map(pointer_of);
        // SAFETY: the entry is in the table, which is borrowed as long as the view.
        raws.map(|raw| unsafe { E::view(raw) })
    }

    pub fn for_each_mut(&mut self, mut visit: impl FnMut(E::Mut<'_>)) {
        let arrays = self.directory.firsts_from(0).map(|index| self.array(self.directory.at(index)));
        let slots = arrays.flatten().flat_map(Bucket::slots).copied();
        for raw in slots.chain(self.strays.iter().map(|stray| stray.word)).filter_map(pointer_of) {
            // SAFETY: the table is borrowed for this call alone, and each entry comes up once.
            visit(unsafe { E::view_mut(raw) });
        }
    }

    /// Drops the entries that `keep` refuses.
    pub fn retain(&mut self, mut keep: impl FnMut(E::Mut<'_>) -> bool) {
        let mut visit = |entry: E::Mut<'_>| if keep(entry) { Visit::Keep } else { Visit::Remove };
        let mut next = self.segment_at(0);
        while let Some(segment) = next {
            self.visit_segment(segment, &mut visit, &mut drop);
            next = self.position_after(segment).and_then(|position| self.segment_at(position));
        }
        let mut position = Some(0);
        while let Some(segment) = position.and_then(|position| self.segment_at(position)) {
            position = self.position_after(segment);
            self.settle(segment);
        }
    }

    /// Takes all entries out and gives them to `sink`; the table is as new.
    pub fn drain(&mut self, mut sink: impl FnMut(E)) {
        let directory = mem::take(&mut self.directory);
        let strays = mem::take(&mut self.strays);
        self.len = 0;
        self.buckets_first = 1;
        let mut give = |word: u64| {
            if let Some(raw) = pointer_of(word) {
                // SAFETY: the table let go of all its entries above; each comes up once.
                sink(unsafe { E::from_raw(raw) });
            }
        };
        for index in directory.firsts_from(0) {
            let slots = self.slots_of(directory.at(index));
            self.free_array(directory.at(index));
            slots.into_iter().for_each(&mut give);
        }
        strays.into_iter().for_each(|stray| give(stray.word));
    }
}

/// Segments: their order, visits, marks and epochs.
impl<E: Slot> Table<E> {
    pub fn segments(&self) -> usize {
        self.directory.segments()
    }

    /// The segment of a hash. `None` while the table is unused.
    pub fn segment_of(&self, hash: Hash) -> Option<Segment> {
        self.segment_at(hash.0)
    }

    /// The segment at a position of the order of hashes: 0 is the first, `position_after` gives the next. Positions
    /// outlive changes of the table: going from 0 to the end passes every hash at least once.
    pub fn segment_at(&self, position: u64) -> Option<Segment> {
        (self.directory.len() > 0).then(|| Segment(self.directory.first(self.directory.index(position))))
    }

    /// The position at which the next segment begins; `None` after the last.
    pub fn position_after(&self, segment: Segment) -> Option<u64> {
        self.directory.position(self.directory.next(segment.0))
    }

    /// Entries of a segment, strays not counted.
    pub fn segment_len(&self, segment: Segment) -> usize {
        self.directory.at(segment.0).entries()
    }

    /// Shows every entry of a segment.
    pub fn show_segment(&self, segment: Segment, show: &mut impl FnMut(E::Ref<'_>)) {
        let slots = self.array(self.directory.at(segment.0)).iter().flat_map(Bucket::slots).copied();
        let strays = self.strays[self.strays_of(segment.0)].iter().map(|stray| stray.word);
        for raw in slots.chain(strays).filter_map(pointer_of) {
            // SAFETY: the entry is in the table, which is borrowed during the call.
            show(unsafe { E::view(raw) });
        }
    }

    /// As `show_segment`, for a caller that reads much of every entry: the cache is asked for entries some steps ahead.
    pub fn read_segment(&self, segment: Segment, show: &mut impl FnMut(E::Ref<'_>) -> std::ops::ControlFlow<()>) {
        const AHEAD: usize = 6;
        let mut words = self.slots_of(self.directory.at(segment.0));
        words.extend(self.strays[self.strays_of(segment.0)].iter().map(|stray| stray.word));
        let raws: Vec<_> = words.into_iter().filter_map(pointer_of).collect();
        for (at, &raw) in raws.iter().enumerate() {
            if let Some(later) = raws.get(at + AHEAD) {
                super::prefetch(later.as_ptr());
                super::prefetch(later.as_ptr().wrapping_add(64));
            }
            // SAFETY: the entry is in the table, which is borrowed during the call.
            if show(unsafe { E::view(raw) }).is_break() {
                return;
            }
        }
    }

    /// Shows every entry of a segment for changing, and gives to `sink` those to be removed. The table's segments stay as
    /// they are, so a mark can be set afterwards; `settle` then lets a segment that lost much merge.
    pub fn visit_segment(
        &mut self,
        segment: Segment,
        visit: &mut impl FnMut(E::Mut<'_>) -> Visit,
        sink: &mut impl FnMut(E),
    ) {
        let index = segment.0;
        let word = self.directory.at(index);
        let mut refused = |slot: u64| {
            let raw = pointer_of(slot).expect("a taken slot points to an entry");
            // SAFETY: the entry is in the table, which is borrowed for this view alone.
            visit(unsafe { E::view_mut(raw) }) == Visit::Remove
        };
        let (mut removed, kept): (Vec<u64>, Vec<u64>) =
            self.slots_of(word).into_iter().partition(|&slot| refused(slot));
        let strays: Vec<usize> = self.strays_of(index).filter(|&at| refused(self.strays[at].word)).collect();

        let strays = strays.into_iter().rev().map(|at| self.strays.remove(at).word);
        let array_changed = !removed.is_empty();
        removed.extend(strays);
        if array_changed {
            let roomy = kept.len() * 2 < word.buckets() * SLOTS;
            let buckets = if roomy { bucket::buckets_for(kept.len() + kept.len() / 8) } else { word.buckets() };
            self.rebuild(index, &kept, if kept.is_empty() { 0 } else { buckets.min(word.buckets()) });
        }
        self.len -= removed.len();
        for raw in removed.into_iter().filter_map(pointer_of) {
            // SAFETY: the table let go of this pointer above.
            sink(unsafe { E::from_raw(raw) });
        }
    }

    /// Lets the segment merge with its buddy if both are small. Segments change, positions do not.
    pub fn settle(&mut self, segment: Segment) {
        self.merge(segment.0);
    }

    /// Notes that an entry with this hash has this deadline: its segment's mark is at most that from now on.
    pub fn mark_deadline(&mut self, hash: Hash, when: u64) {
        if let Some(segment) = self.segment_of(hash)
            && when < self.mark(segment)
        {
            self.set_mark(segment, when);
        }
    }

    /// A lower bound of the deadlines in the segment; `u64::MAX` where there are none.
    pub fn mark(&self, segment: Segment) -> u64 {
        self.directory.mark(segment.0)
    }

    /// Replaces the mark, after a visit that saw every entry's deadline.
    pub fn set_mark(&mut self, segment: Segment, when: u64) {
        self.directory.set_mark(segment.0, when);
    }

    /// The first segment from that position on with a mark not after `now`: a sweep over marks that lie side by side.
    pub fn next_due(&self, position: u64, now: u64) -> Option<Segment> {
        let start = self.segment_at(position)?;
        self.directory.next_due(start.0, now).map(Segment)
    }

    /// The segment's epoch: 0 at first. Halves of a split keep it, and only segments of one epoch merge.
    pub fn epoch(&self, segment: Segment) -> u32 {
        self.directory.epoch(segment.0)
    }

    pub fn set_epoch(&mut self, segment: Segment, epoch: u32) {
        self.directory.set_epoch(segment.0, epoch);
    }
}

/// Maps a random word to `0..limit`. The bias is below 2^-20 for any table that fits into memory.
fn below(random: u64, limit: usize) -> usize {
    ((u128::from(random) * limit as u128) >> 64) as usize
}
