//! The small encoding: a listpack of member, score, member, score, … in order, as Redis keeps and saves it.
//!
//! A score that is a whole number is stored as one, any other as the text Redis prints; so a listpack knows no
//! negative zero. Everything here walks; that is what the limits are for.
//!
//! ```text
//!  ┌────────┬────────┬────────┬────────┬─ ─
//!  │ member │ score  │ member │ score  │        e.g.  "a" 1 "b" 1 "c" "2.5"
//!  └────────┴────────┴────────┴────────┴─ ─
//! ```

use super::{Entry, LexRange, Limits, ScoreRange};
use crate::ds::item::{Item, ItemText};
use crate::ds::listpack::{self, Builder, Listpack, Position};
use crate::util::float::{parse_f64, write_f64};
use crate::util::number::IntegerText;
use std::collections::HashSet;
use std::ops::Range;

/// Redis stores whole numbers up to this as integers; beyond, the text is the same or the listpack recognises it.
const INTEGER_SCORE_MAX: f64 = (1u64 << 62) as f64;

pub(super) fn len(listpack: &Listpack) -> u64 {
    listpack.len() as u64 / 2
}

/// Where a member is, and its score.
#[inline]
pub(super) fn find(listpack: &Listpack, member: &[u8]) -> Option<(Position, f64)> {
    let position = listpack.find(member, None, 1)?;
    let score = listpack.at(listpack.next(position)?);
    Some((position, score_of(score)))
}

/// Whether the limits let one more member in, this one.
pub(super) fn admits(listpack: &Listpack, member: &[u8], limits: &Limits) -> bool {
    len(listpack) < limits.entries_max as u64
        && member.len() <= limits.value_bytes_max
        && listpack.fits(member.len() + 64)
}

/// Puts a member that is not there in its place.
pub(super) fn insert(listpack: &mut Listpack, member: &[u8], score: f64) {
    let mut text = ItemText::default();
    let mut pairs = Pairs { entries: listpack.iter() };
    let behind =
        pairs.find(|(_, entry)| entry.score > score || (entry.score == score && entry.member.text(&mut text) > member));
    let score = ScoreText::new(score);
    match behind {
        Some((position, _)) => {
            listpack.insert_before(position, member);
            listpack.insert_after(position, score.as_bytes());
        }
        None => {
            listpack.push_back(member);
            listpack.push_back(score.as_bytes());
        }
    }
}

/// Gives the member at a position another score, and with that another place.
pub(super) fn rescore(listpack: &mut Listpack, position: Position, member: &[u8], score: f64) {
    listpack.delete_run(position, 2);
    insert(listpack, member, score);
}

pub(super) fn rank(listpack: &Listpack, member: &[u8]) -> Option<(u64, f64)> {
    let mut entries = Entries::new(listpack, 0..u64::MAX, false).enumerate();
    let (rank, entry) = entries.find(|(_, entry)| entry.member == *member)?;
    Some((rank as u64, entry.score))
}

pub(super) fn ranks_by_score(listpack: &Listpack, range: &ScoreRange) -> Range<u64> {
    span(listpack, |entry| range.reaches(entry.score), |entry| range.is_past(entry.score))
}

pub(super) fn ranks_by_lex(listpack: &Listpack, range: &LexRange<'_>) -> Range<u64> {
    span(
        listpack,
        |entry| range.reaches(entry.member.text(&mut ItemText::default())),
        |entry| range.is_past(entry.member.text(&mut ItemText::default())),
    )
}

/// From the first entry that reaches the range to the first after it that is past the range.
fn span(listpack: &Listpack, reaches: impl Fn(&Entry) -> bool, is_past: impl Fn(&Entry) -> bool) -> Range<u64> {
    let mut entries = Entries::new(listpack, 0..u64::MAX, false).peekable();
    let mut from = 0;
    while entries.next_if(|entry| !reaches(entry)).is_some() {
        from += 1;
    }
    from..from + entries.take_while(|entry| !is_past(entry)).count() as u64
}

pub(super) fn remove_ranks(listpack: &mut Listpack, ranks: Range<u64>) {
    let end = ranks.end.min(len(listpack));
    if ranks.start < end {
        listpack.delete_range(2 * ranks.start as i64, 2 * (end - ranks.start) as usize);
    }
}

/// Writes entries that are in order into a listpack; `None` where one has no room for them.
pub(super) fn pack<'a>(entries: impl Iterator<Item = (&'a [u8], f64)>) -> Option<Listpack> {
    let mut builder = Builder::default();
    for (member, score) in entries {
        if builder.bytes() + member.len() + 128 > listpack::BYTES_MAX {
            return None;
        }
        builder.push(member);
        builder.push(ScoreText::new(score).as_bytes());
    }
    Some(builder.finish())
}

/// Looks at a listpack from outside. `None` where it is no sorted set at all; else whether it is in order, without
/// which `from_listpack` has to sort.
pub(super) fn is_sorted_set(listpack: &Listpack) -> Option<bool> {
    let mut items = listpack.iter().map(|(_, item)| item);
    let mut members = HashSet::new();
    let mut last: Option<(f64, Vec<u8>)> = None;
    let mut in_order = true;
    while let Some(member) = items.next() {
        let score = parse_score(items.next()?)?;
        let member = member.to_vec();
        in_order &= last.is_none_or(|(last_score, last)| last_score < score || (last_score == score && last < member));
        if !members.insert(member.clone()) {
            return None;
        }
        last = Some((score, member));
    }
    Some(in_order)
}

pub(super) fn check(listpack: &Listpack) {
    listpack.check();
    assert_eq!(is_sorted_set(listpack), Some(true), "a packed sorted set is pairs in order");
}

/// Entries with ascending or descending ranks.
pub(super) struct Entries<'a> {
    entries: listpack::Iter<'a>,
    remaining: u64,
    reverse: bool,
}

impl<'a> Entries<'a> {
    pub fn new(listpack: &'a Listpack, ranks: Range<u64>, reverse: bool) -> Self {
        let end = ranks.end.min(len(listpack));
        let remaining = end.saturating_sub(ranks.start);
        let edge = match (remaining, reverse) {
            (0, _) => None,
            (_, false) => listpack.seek(2 * ranks.start as i64),
            (_, true) => listpack.seek(2 * end as i64 - 1),
        };
        let entries = match (edge, reverse) {
            (None, _) => listpack.iter(),
            (Some(first), false) => listpack.iter_from(first),
            (Some(last), true) => listpack.iter_to(last),
        };
        Self { entries, remaining, reverse }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        self.remaining = self.remaining.checked_sub(1)?;
        if self.reverse {
            let (_, score) = self.entries.next_back()?;
            let (_, member) = self.entries.next_back()?;
            return Some(Entry { member, score: score_of(score) });
        }
        let (_, member) = self.entries.next()?;
        let (_, score) = self.entries.next()?;
        Some(Entry { member, score: score_of(score) })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining as usize, Some(self.remaining as usize))
    }
}

/// All entries with their positions.
struct Pairs<'a> {
    entries: listpack::Iter<'a>,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Position, Entry<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (position, member) = self.entries.next()?;
        let (_, score) = self.entries.next()?;
        Some((position, Entry { member, score: score_of(score) }))
    }
}

#[inline]
fn score_of(item: Item<'_>) -> f64 {
    parse_score(item).expect("what is no score is refused before it gets into a sorted set")
}

#[inline]
fn parse_score(item: Item<'_>) -> Option<f64> {
    match item {
        Item::Int(value) => Some(value as f64),
        Item::Bytes(text) => parse_f64(text).filter(|score| !score.is_nan()),
    }
}

/// A score as a listpack keeps it.
enum ScoreText {
    Integer(IntegerText),
    Other(Vec<u8>),
}

impl ScoreText {
    fn new(score: f64) -> Self {
        if score.trunc() == score && score.abs() <= INTEGER_SCORE_MAX {
            return Self::Integer(IntegerText::new(score as i64));
        }
        let mut text = Vec::with_capacity(24);
        write_f64(&mut text, score);
        Self::Other(text)
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Integer(text) => text.as_bytes(),
            Self::Other(text) => text,
        }
    }
}
