//! The sorted set: members with scores, in order of score and then of the member's bytes.
//!
//! A `Zset` is one machine word. Small ones are a listpack in Redis's format (`packed.rs`), larger ones a hash table with
//! a counting tree (`ds::ranked`), which goes by the name `skiplist`. Every question about a range is first turned into a
//! range of ranks (`range.rs` has the bounds), so its answer's length is known before its first entry is read; unions
//! and the like are in `combine.rs`. Replies, keys and the rule that no empty one is stored are for others.

mod combine;
mod packed;
mod range;
mod sample;
#[cfg(test)]
mod tests;

use crate::ds::image::ImageId;
use crate::ds::item::{Item, ItemText};
use crate::ds::keytable::{Prefetch, Seed};
use crate::ds::listpack::Listpack;
use crate::ds::packed_or_box::{PackedOrBox, Shape, ShapeMut};
use crate::ds::ranked::{self, Gathering, Ranked};
use std::ops::Range;

pub use combine::{Aggregate, Source, Weighted, difference, intersection, intersection_len, union};
pub use range::{LexBound, LexRange, ScoreBound, ScoreRange, limit, ranks_of_indexes};

/// A sorted set. It may be empty; whoever stores one sees to that.
pub struct Zset(PackedOrBox<Ranked>);

/// What decides about the encoding: the directives' values, and the seed that a hash table will need.
#[derive(Clone, Copy)]
pub struct Limits {
    /// `zset-max-listpack-entries`
    pub entries_max: usize,
    /// `zset-max-listpack-value`
    pub value_bytes_max: usize,
    pub seed: &'static Seed,
}

/// A member with its score.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Entry<'a> {
    pub member: Item<'a>,
    pub score: f64,
}

/// The flags of ZADD that decide what is done with a member.
#[derive(Clone, Copy, Default, Debug)]
pub struct Rule {
    pub only_new: bool,
    pub only_existing: bool,
    pub only_greater: bool,
    pub only_less: bool,
    pub increment: bool,
}

/// What came of adding a member.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Outcome {
    Added(f64),
    Updated(f64),
    /// It is there with this very score.
    Unchanged(f64),
    /// The rule forbade it.
    Refused,
    /// The increment led to no number (`inf` and `-inf`). Nothing was changed.
    NotANumber,
}

impl Rule {
    /// What to do, given the score there is and the score (or increment) asked for.
    #[inline]
    pub fn decide(self, old: Option<f64>, asked: f64) -> Outcome {
        let Some(old) = old else {
            return match (self.only_existing, asked.is_nan()) {
                (_, true) => Outcome::NotANumber,
                (true, _) => Outcome::Refused,
                _ => Outcome::Added(asked),
            };
        };
        if self.only_new {
            return Outcome::Refused;
        }
        let score = if self.increment { old + asked } else { asked };
        match () {
            () if score.is_nan() => Outcome::NotANumber,
            () if self.only_less && score >= old => Outcome::Refused,
            () if self.only_greater && score <= old => Outcome::Refused,
            // The two zeros are equal: the one that is there stays.
            () if score == old => Outcome::Unchanged(score),
            () => Outcome::Updated(score),
        }
    }
}

impl Outcome {
    /// The score to be stored, where something is.
    fn change(self) -> Option<f64> {
        match self {
            Outcome::Added(score) | Outcome::Updated(score) => Some(score),
            _ => None,
        }
    }
}

impl Zset {
    /// An empty one in the encoding that Redis gives a new sorted set which is about to get `entries` members, the
    /// longest of `value_bytes` bytes.
    pub fn new(limits: &Limits, entries: usize, value_bytes: usize) -> Self {
        if entries <= limits.entries_max && value_bytes <= limits.value_bytes_max {
            return Self(PackedOrBox::packed(Listpack::new()));
        }
        Self(PackedOrBox::boxed(Box::new(Ranked::new(limits.seed))))
    }

    /// Tells that so many members are about to be added: more than a listpack may have make it change over at once,
    /// even if they turn out to be members already, as in Redis.
    pub fn expect(&mut self, limits: &Limits, entries: usize) {
        if entries > limits.entries_max {
            self.unpack(limits);
        }
    }

    #[inline]
    pub fn len(&self) -> u64 {
        match self.0.shape() {
            Shape::Packed(listpack) => packed::len(listpack),
            Shape::Boxed(ranked) => ranked.len(),
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a member, moves it or adds to its score, as the rule says.
    pub fn add(&mut self, limits: &Limits, member: &[u8], score: f64, rule: Rule) -> Outcome {
        match self.0.shape_mut() {
            ShapeMut::Boxed(ranked) => {
                let mut outcome = Outcome::Refused;
                let likely = (!rule.increment).then_some(score);
                ranked.upsert(member, likely, |old| {
                    outcome = rule.decide(old, score);
                    outcome.change()
                });
                outcome
            }
            ShapeMut::Packed(listpack) => {
                let found = packed::find(listpack, member);
                let outcome = rule.decide(found.map(|(_, score)| score), score);
                match (outcome, found) {
                    (Outcome::Updated(score), Some((position, _))) => {
                        packed::rescore(listpack, position, member, score)
                    }
                    (Outcome::Added(score), _) if packed::admits(listpack, member, limits) => {
                        packed::insert(listpack, member, score);
                    }
                    (Outcome::Added(score), _) => self.unpack(limits).upsert(member, None, |_| Some(score)),
                    _ => {}
                }
                outcome
            }
        }
    }

    /// Removes a member; gives the score it had.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match self.0.shape_mut() {
            ShapeMut::Boxed(ranked) => ranked.remove(member),
            ShapeMut::Packed(listpack) => {
                let (position, score) = packed::find(listpack, member)?;
                listpack.delete_run(position, 2);
                Some(score)
            }
        }
    }

    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match self.0.shape() {
            Shape::Boxed(ranked) => ranked.score(member),
            Shape::Packed(listpack) => packed::find(listpack, member).map(|(_, score)| score),
        }
    }

    /// How many members come before this one (or after it), and its score.
    pub fn rank(&self, member: &[u8], reverse: bool) -> Option<(u64, f64)> {
        let (rank, score) = match self.0.shape() {
            Shape::Boxed(ranked) => ranked.rank(member)?,
            Shape::Packed(listpack) => packed::rank(listpack, member)?,
        };
        Some((if reverse { self.len() - 1 - rank } else { rank }, score))
    }

    /// The ranks of the members whose scores are in the range.
    pub fn ranks_by_score(&self, range: &ScoreRange) -> Range<u64> {
        match self.0.shape() {
            Shape::Packed(listpack) => packed::ranks_by_score(listpack, range),
            Shape::Boxed(ranked) => {
                let from = match range.min {
                    ScoreBound { value, exclusive: false } => ranked.count_below(value),
                    ScoreBound { value, exclusive: true } => ranked.count_through(value),
                };
                let to = match range.max {
                    ScoreBound { value, exclusive: false } => ranked.count_through(value),
                    ScoreBound { value, exclusive: true } => ranked.count_below(value),
                };
                from..to.max(from)
            }
        }
    }

    /// The ranks of the members in the range of bytes. Means something only where all scores are equal.
    pub fn ranks_by_lex(&self, range: &LexRange<'_>) -> Range<u64> {
        match self.0.shape() {
            Shape::Packed(listpack) => packed::ranks_by_lex(listpack, range),
            Shape::Boxed(ranked) => {
                let from = match range.min {
                    LexBound::Lowest => 0,
                    LexBound::Included(member) => ranked.count_before_member(member),
                    LexBound::Excluded(member) => ranked.count_through_member(member),
                    LexBound::Highest => ranked.len(),
                };
                let to = match range.max {
                    LexBound::Lowest => 0,
                    LexBound::Included(member) => ranked.count_through_member(member),
                    LexBound::Excluded(member) => ranked.count_before_member(member),
                    LexBound::Highest => ranked.len(),
                };
                from..to.max(from)
            }
        }
    }

    /// The members with the given ranks, upwards or downwards. Ranks past the end are none.
    pub fn entries(&self, ranks: Range<u64>, reverse: bool) -> Entries<'_> {
        match self.0.shape() {
            Shape::Packed(listpack) => Entries(Walk::Packed(packed::Entries::new(listpack, ranks, reverse))),
            Shape::Boxed(ranked) => Entries(Walk::Full(ranked.entries(ranks, reverse))),
        }
    }

    /// All members in order.
    pub fn iter(&self) -> Entries<'_> {
        self.entries(0..u64::MAX, false)
    }

    /// The member with `rank` others before it.
    pub fn nth(&self, rank: u64) -> Option<Entry<'_>> {
        match self.0.shape() {
            Shape::Packed(_) => self.entries(rank..rank.saturating_add(1), false).next(),
            Shape::Boxed(ranked) => ranked.nth(rank).map(entry),
        }
    }

    /// Removes the members with the given ranks, showing each of them first, upwards. How many.
    pub fn remove_ranks(&mut self, ranks: Range<u64>, mut show: impl FnMut(Entry<'_>)) -> u64 {
        let before = self.len();
        match self.0.shape_mut() {
            ShapeMut::Boxed(ranked) => ranked.remove_ranks(ranks, |member, score| show(entry((member, score)))),
            ShapeMut::Packed(listpack) => {
                packed::Entries::new(listpack, ranks.clone(), false).for_each(show);
                packed::remove_ranks(listpack, ranks);
            }
        }
        before - self.len()
    }

    /// Removes up to `count` members from the low end (or the high one), showing each of them first, outermost first.
    pub fn pop(&mut self, count: u64, highest: bool, mut show: impl FnMut(Entry<'_>)) -> u64 {
        let len = self.len();
        let count = count.min(len);
        let removed = if !highest {
            self.remove_ranks(0..count, show)
        } else {
            self.entries(len - count..len, true).for_each(&mut show);
            self.remove_ranks(len - count..len, |_| {})
        };
        if let Shape::Boxed(ranked) = self.0.shape() {
            ranked.prefetch_pop(highest);
        }
        removed
    }

    /// Shows about `count` members from the cursor's place on and returns the next cursor; 0 begins and ends. A listpack shows
    /// all at once. A member that is there from the first call to the last is shown at least once, even if the
    /// encoding changes in between.
    pub fn scan(&self, cursor: u64, count: usize, mut show: impl FnMut(Entry<'_>)) -> u64 {
        match self.0.shape() {
            Shape::Boxed(ranked) => ranked.scan(cursor, count, |member, score| show(entry((member, score)))),
            Shape::Packed(_) => {
                self.iter().for_each(show);
                0
            }
        }
    }

    /// The encoding's name as OBJECT ENCODING gives it.
    pub fn encoding(&self) -> &'static str {
        match self.0.shape() {
            Shape::Packed(_) => "listpack",
            Shape::Boxed(_) => "skiplist",
        }
    }

    /// Bytes it owns, not counting its word. O(1).
    pub fn memory(&self) -> usize {
        match self.0.shape() {
            Shape::Packed(listpack) => listpack.memory(),
            Shape::Boxed(ranked) => ranked.memory(),
        }
    }

    /// The listpack, where it is one: what a snapshot writes as it stands.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match self.0.shape() {
            Shape::Packed(listpack) => Some(listpack),
            Shape::Boxed(_) => None,
        }
    }

    /// A sorted set of a listpack from outside. `None` where that does not hold pairs of distinct members and scores that
    /// are numbers. Pairs out of order are put in order; of the limits only the number of entries counts, as in Redis.
    pub fn from_listpack(listpack: Listpack, limits: &Limits) -> Option<Self> {
        if packed::is_sorted_set(&listpack)? && packed::len(&listpack) <= limits.entries_max as u64 {
            return Some(Self(PackedOrBox::packed(listpack)));
        }
        let mut gathering = Gathering::new(limits.seed, listpack.len() / 2);
        let mut text = ItemText::default();
        let distinct = packed::Entries::new(&listpack, 0..u64::MAX, false)
            .all(|entry| gathering.add(entry.member.text(&mut text), entry.score));
        distinct.then(|| Self::from_gathering(gathering, limits))
    }

    /// A sorted set of what was gathered, in the smaller encoding where the limits allow it.
    pub fn from_gathering(gathering: Gathering, limits: &Limits) -> Self {
        let small = gathering.len() <= limits.entries_max && gathering.member_bytes_max() <= limits.value_bytes_max;
        let ranked = gathering.finish();
        match small.then(|| packed::pack(ranked.entries(0..u64::MAX, false))).flatten() {
            Some(listpack) => Self(PackedOrBox::packed(listpack)),
            None => Self(PackedOrBox::boxed(Box::new(ranked))),
        }
    }

    /// The table of its members, where there is one.
    pub fn table(&self) -> Option<&dyn Prefetch> {
        match self.0.shape() {
            Shape::Packed(_) => None,
            Shape::Boxed(ranked) => Some(ranked.table()),
        }
    }

    /// From now on the image is of what it holds now. False where it is too small to have one.
    pub fn begin_image(&mut self, id: ImageId) -> bool {
        let ShapeMut::Boxed(ranked) = self.0.shape_mut() else { return false };
        ranked.begin_image(id);
        true
    }

    /// Shows some of the members that it held, each once. False where all are shown.
    pub fn step_image(&mut self, mut show: impl FnMut(Entry<'_>)) -> bool {
        let ShapeMut::Boxed(ranked) = self.0.shape_mut() else { return false };
        ranked.step_image(|member, score| show(entry((member, score))))
    }

    pub fn end_image(&mut self) {
        if let ShapeMut::Boxed(ranked) = self.0.shape_mut() {
            ranked.end_image();
        }
    }

    /// The image that is not through, and about how much memory it takes.
    pub fn image(&self) -> Option<(ImageId, usize)> {
        match self.0.shape() {
            Shape::Boxed(ranked) => ranked.image(),
            Shape::Packed(_) => None,
        }
    }

    /// Verifies that it is in order and that its parts agree.
    pub fn check(&self) {
        match self.0.shape() {
            Shape::Packed(listpack) => packed::check(listpack),
            Shape::Boxed(ranked) => ranked.check(),
        }
    }

    /// Changes over to the large encoding, if it has not.
    fn unpack(&mut self, limits: &Limits) -> &mut Ranked {
        if let Shape::Packed(listpack) = self.0.shape() {
            let mut gathering = Gathering::new(limits.seed, listpack.len() / 2);
            let mut text = ItemText::default();
            for entry in packed::Entries::new(listpack, 0..u64::MAX, false) {
                gathering.add_new(entry.member.text(&mut text), entry.score);
            }
            self.0 = PackedOrBox::boxed(Box::new(gathering.finish()));
        }
        match self.0.shape_mut() {
            ShapeMut::Boxed(ranked) => ranked,
            ShapeMut::Packed(_) => unreachable!("a listpack was just replaced"),
        }
    }
}

impl Clone for Zset {
    /// A copy, as COPY makes it: of the same encoding. O(bytes).
    fn clone(&self) -> Self {
        match self.0.shape() {
            Shape::Packed(listpack) => Self(PackedOrBox::packed(listpack.clone())),
            Shape::Boxed(ranked) => Self(PackedOrBox::boxed(Box::new(ranked.clone()))),
        }
    }
}

/// Members in order, from `Zset::entries`.
pub struct Entries<'a>(Walk<'a>);

enum Walk<'a> {
    Packed(packed::Entries<'a>),
    Full(ranked::Entries<'a>),
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        match &mut self.0 {
            Walk::Packed(entries) => entries.next(),
            Walk::Full(entries) => entries.next().map(entry),
        }
    }

    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(self, init: B, mut add: F) -> B {
        match self.0 {
            Walk::Packed(entries) => entries.fold(init, add),
            Walk::Full(entries) => entries.fold(init, |result, one| add(result, entry(one))),
        }
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Walk::Packed(entries) => entries.size_hint(),
            Walk::Full(entries) => entries.size_hint(),
        }
    }
}

impl ExactSizeIterator for Entries<'_> {}

#[inline]
fn entry<'a>((member, score): (&'a [u8], f64)) -> Entry<'a> {
    Entry { member: Item::Bytes(member), score }
}
