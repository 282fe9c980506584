//! Unions, intersections and differences of sorted sets, and of whatever else has members.
//!
//! Results are gathered in a hash table and sorted once (`ds::ranked::Gathering`). The sources are taken smallest first, since
//! that is the order in which Redis adds scores up, and floating-point sums depend on it.

use super::{Entry, Limits, Zset};
use crate::ds::item::{Item, ItemText};
use crate::ds::ranked::Gathering;
use crate::types::set::Set;
use std::ops::ControlFlow;

/// Something with members: a sorted set, or a set, whose members all have score 1.
pub trait Source {
    fn len(&self) -> u64;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn score(&self, member: &[u8]) -> Option<f64>;

    /// Shows every member once, until told to stop.
    fn each(&self, show: &mut dyn FnMut(Item<'_>, f64) -> ControlFlow<()>);
}

/// A source and what its scores are multiplied with.
#[derive(Clone, Copy)]
pub struct Weighted<'a> {
    pub source: &'a dyn Source,
    pub weight: f64,
}

/// How several scores of one member become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aggregate {
    Sum,
    Min,
    Max,
    /// Scores do not matter; the weights are summed.
    Count,
}

impl Source for Zset {
    fn len(&self) -> u64 {
        Zset::len(self)
    }

    fn score(&self, member: &[u8]) -> Option<f64> {
        Zset::score(self, member)
    }

    fn each(&self, show: &mut dyn FnMut(Item<'_>, f64) -> ControlFlow<()>) {
        for Entry { member, score } in self.iter() {
            if show(member, score).is_break() {
                return;
            }
        }
    }
}

impl Source for Set {
    fn len(&self) -> u64 {
        Set::len(self) as u64
    }

    fn score(&self, member: &[u8]) -> Option<f64> {
        self.contains(member).then_some(1.0)
    }

    fn each(&self, show: &mut dyn FnMut(Item<'_>, f64) -> ControlFlow<()>) {
        for member in self.iter() {
            if show(member, 1.0).is_break() {
                return;
            }
        }
    }
}

impl Aggregate {
    pub(super) fn weighted(self, weight: f64, score: f64) -> f64 {
        if self == Self::Count { weight } else { weight * score }
    }

    pub(super) fn join(self, one: f64, other: f64) -> f64 {
        match self {
            Self::Sum | Self::Count => number_or_zero(one + other),
            Self::Min => {
                if other < one {
                    other
                } else {
                    one
                }
            }
            Self::Max => {
                if other > one {
                    other
                } else {
                    one
                }
            }
        }
    }
}

/// `inf` plus `-inf`, and zero times `inf`, count as 0.
fn number_or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// The members that are in any source.
pub fn union(sources: &[Weighted<'_>], aggregate: Aggregate, limits: &Limits) -> Zset {
    let sources = smallest_first(sources);
    let largest = sources.last().map_or(0, |largest| largest.source.len());
    let mut gathering = Gathering::new(limits.seed, usize::try_from(largest).unwrap_or(0));
    let mut text = ItemText::default();
    for Weighted { source, weight } in sources {
        let all_new = gathering.is_empty();
        source.each(&mut |member, score| {
            let member = member.text(&mut text);
            let score = number_or_zero(aggregate.weighted(weight, score));
            if all_new {
                gathering.add_new(member, score);
            } else {
                gathering.merge(member, score, |old| aggregate.join(old, score));
            }
            ControlFlow::Continue(())
        });
    }
    Zset::from_gathering(gathering, limits)
}

/// The members that are in all sources.
pub fn intersection(sources: &[Weighted<'_>], aggregate: Aggregate, limits: &Limits) -> Zset {
    let sources = smallest_first(sources);
    let mut gathering = Gathering::new(limits.seed, 0);
    let mut text = ItemText::default();
    if let Some((first, others)) = sources.split_first() {
        first.source.each(&mut |member, score| {
            let member = member.text(&mut text);
            if let Some(score) = joined_score(first, others, member, score, aggregate) {
                gathering.add_new(member, score);
            }
            ControlFlow::Continue(())
        });
    }
    Zset::from_gathering(gathering, limits)
}

/// The score of a member of `first` in the intersection, where it is in all others.
fn joined_score(
    first: &Weighted<'_>,
    others: &[Weighted<'_>],
    member: &[u8],
    score: f64,
    aggregate: Aggregate,
) -> Option<f64> {
    let start = number_or_zero(aggregate.weighted(first.weight, score));
    others.iter().try_fold(start, |joined, other| {
        // The same key given twice needs no second search.
        let same = std::ptr::addr_eq(first.source, other.source);
        let score = if same { score } else { other.source.score(member)? };
        // Redis lets a NaN of zero times infinity into the sum here, which makes the whole sum 0; not so in unions.
        Some(aggregate.join(joined, aggregate.weighted(other.weight, score)))
    })
}

/// How many members are in all sources, counting no further than `limit` (0: no limit).
pub fn intersection_len(sources: &[&dyn Source], limit: u64) -> u64 {
    let mut sources = sources.to_vec();
    sources.sort_by_key(|source| source.len());
    let Some((first, others)) = sources.split_first() else { return 0 };
    let mut text = ItemText::default();
    let mut count = 0;
    first.each(&mut |member, _| {
        let member = member.text(&mut text);
        count += u64::from(others.iter().all(|other| other.score(member).is_some()));
        if limit != 0 && count >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    count
}

/// The members of `first`, with their scores there, that are in none of the others.
pub fn difference(first: &dyn Source, others: &[&dyn Source], limits: &Limits) -> Zset {
    let mut others = others.to_vec();
    // The largest one is the most likely to have a member.
    others.sort_by_key(|other| std::cmp::Reverse(other.len()));
    let mut gathering = Gathering::new(limits.seed, 0);
    let mut text = ItemText::default();
    first.each(&mut |member, score| {
        let member = member.text(&mut text);
        if others.iter().all(|other| other.score(member).is_none()) {
            gathering.add_new(member, score);
        }
        ControlFlow::Continue(())
    });
    Zset::from_gathering(gathering, limits)
}

fn smallest_first<'a>(sources: &[Weighted<'a>]) -> Vec<Weighted<'a>> {
    let mut sources = sources.to_vec();
    sources.sort_by_key(|source| source.source.len());
    sources
}
