//! Unions, intersections and differences of sets.
//!
//! An answer is a list of members that still lie in the sets they come from; `Set::of_distinct` and `Set::of_intersection` make
//! it a set of its own. Members are looked up many at a time, so that the memory they lie in is waited for once.

use super::{Limits, Set};
use crate::ds::item::{Item, ItemText};
use crate::ds::keytable::{Hash, Seed, Table};
use crate::ds::member::Member;
use crate::ds::trio::Part;
use crate::types::gathered::Gathered;
use std::ops::ControlFlow;

const BATCH: usize = 16;

/// Two tables are walked over together where the larger has at most so many times the members of the smaller; else the members of the
/// smaller are looked up.
const WALKED_TOGETHER_MAX: usize = 8;

/// A union of more sets than this remembers its members in a table, instead of looking into the sets before.
const LOOKED_INTO_MAX: usize = 4;

/// The members that are in all sets; none where there are no sets.
pub fn intersection<'a>(sets: &[&'a Set]) -> Vec<Item<'a>> {
    collected(|show| each_common(sets, show))
}

/// How many members are in all sets, counting no further than `limit` (0: no limit).
pub fn intersection_len(sets: &[&Set], limit: usize) -> usize {
    counted(limit, |show| each_common(sets, show))
}

/// The members that are in any set.
pub fn union<'a>(sets: &[&'a Set], limits: &Limits) -> Vec<Item<'a>> {
    collected(|show| each_of_any(sets, limits, show))
}

/// How many members are in any set, counting no further than `limit` (0: no limit).
pub fn union_len(sets: &[&Set], limit: usize, limits: &Limits) -> usize {
    counted(limit, |show| each_of_any(sets, limits, show))
}

/// The members of the first set that are in none of the others.
pub fn difference<'a>(first: &'a Set, others: &[&'a Set], limits: &Limits) -> Vec<Item<'a>> {
    collected(|show| each_of_first_alone(first, others, limits.seed, show))
}

/// How many members of the first set are in none of the others, counting no further than `limit` (0: no limit).
pub fn difference_len(first: &Set, others: &[&Set], limit: usize, limits: &Limits) -> usize {
    counted(limit, |show| each_of_first_alone(first, others, limits.seed, show))
}

/// What shows the members of an answer some at a time, until it is told to stop.
type Show<'s, 'a> = &'s mut dyn FnMut(&[Item<'a>]) -> ControlFlow<()>;

fn collected<'a>(walk: impl FnOnce(Show<'_, 'a>) -> ControlFlow<()>) -> Vec<Item<'a>> {
    let mut all = Vec::new();
    let _ = walk(&mut |items| {
        all.extend_from_slice(items);
        ControlFlow::Continue(())
    });
    all
}

fn counted<'a>(limit: usize, walk: impl FnOnce(Show<'_, 'a>) -> ControlFlow<()>) -> usize {
    let limit = if limit == 0 { usize::MAX } else { limit };
    let mut count = 0;
    let _ = walk(&mut |items| {
        count += items.len();
        if count >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    count.min(limit)
}

fn each_common<'a>(sets: &[&'a Set], show: Show<'_, 'a>) -> ControlFlow<()> {
    let mut sets = sets.to_vec();
    sets.sort_by_key(|set| set.len());
    let Some((smallest, others)) = sets.split_first() else { return ControlFlow::Continue(()) };
    if let Some((second, others)) = others.split_first()
        && let (Part::Boxed(ours), Part::Boxed(theirs)) = (smallest.0.part(), second.0.part())
        && second.len() / WALKED_TOGETHER_MAX <= smallest.len()
        && ours.table.walks_with(&theirs.table)
    {
        return each_common_of_tables(&ours.table, &theirs.table, others, show);
    }
    in_batches(smallest, |batch| {
        others.iter().for_each(|other| sieve(batch, other, true));
        show(batch)
    })
}

/// The common members of two tables that are in the other sets too.
fn each_common_of_tables<'a>(
    ours: &'a Table<Member>,
    theirs: &'a Table<Member>,
    others: &[&'a Set],
    show: Show<'_, 'a>,
) -> ControlFlow<()> {
    let mut batch = Vec::with_capacity(BATCH);
    let mut pass_on = |batch: &mut Vec<Item<'a>>| {
        others.iter().for_each(|other| sieve(batch, other, true));
        show(batch)?;
        batch.clear();
        ControlFlow::Continue(())
    };
    ours.each_common(theirs, |member| {
        batch.push(Item::Bytes(member.bytes()));
        if batch.len() == BATCH { pass_on(&mut batch) } else { ControlFlow::Continue(()) }
    })?;
    pass_on(&mut batch)
}

fn each_of_any<'a>(sets: &[&'a Set], limits: &Limits, show: Show<'_, 'a>) -> ControlFlow<()> {
    let mut sets = sets.to_vec();
    // All of the first one is shown without looking anywhere, so that is the largest. Among small ones the order given remains, as it
    // decides whether a set made of them outgrows the intset before it becomes a listpack.
    if sets.iter().any(|set| set.len() > limits.listpack_max) {
        sets.sort_by_key(|set| std::cmp::Reverse(set.len()));
    }
    if sets.len() > LOOKED_INTO_MAX {
        let mut seen = Gathered::new(limits.seed);
        return sets.iter().try_for_each(|set| {
            in_batches(set, |batch| {
                batch.retain(|&item| seen.add(item));
                show(batch)
            })
        });
    }
    (0..sets.len()).try_for_each(|index| {
        in_batches(sets[index], |batch| {
            sets[..index].iter().for_each(|before| sieve(batch, before, false));
            show(batch)
        })
    })
}

fn each_of_first_alone<'a>(
    first: &'a Set,
    others: &[&'a Set],
    seed: &'static Seed,
    show: Show<'_, 'a>,
) -> ControlFlow<()> {
    let mut others = others.to_vec();
    others.retain(|other| !other.is_empty());
    // The largest one is the most likely to have a member.
    others.sort_by_key(|other| std::cmp::Reverse(other.len()));
    let all_of_others: usize = others.iter().map(|other| other.len()).sum();
    // Half of the others must be looked into for an average member, unless their members are gathered first.
    if others.len() > LOOKED_INTO_MAX && first.len().saturating_mul(others.len()) / 2 > first.len() + all_of_others {
        let mut refused = Gathered::new(seed);
        others.iter().flat_map(|other| other.iter()).for_each(|item| {
            refused.add(item);
        });
        return in_batches(first, |batch| {
            batch.retain(|&item| !refused.contains(item));
            show(batch)
        });
    }
    in_batches(first, |batch| {
        others.iter().for_each(|other| sieve(batch, other, false));
        show(batch)
    })
}

/// Gives all members to `work`, a batch at a time.
fn in_batches<'a>(set: &'a Set, mut work: impl FnMut(&mut Vec<Item<'a>>) -> ControlFlow<()>) -> ControlFlow<()> {
    let mut members = set.iter();
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        batch.clear();
        batch.extend(members.by_ref().take(BATCH));
        if batch.is_empty() {
            return ControlFlow::Continue(());
        }
        work(&mut batch)?;
    }
}

/// Keeps those members of a batch that are in the set, or those that are not.
fn sieve(batch: &mut Vec<Item<'_>>, set: &Set, wanted: bool) {
    let mut text = ItemText::default();
    let members = match set.0.part() {
        Part::Boxed(members) => members,
        Part::Packed(_) => return batch.retain(|item| set.contains(item.text(&mut text)) == wanted),
        Part::Second(intset) => {
            return batch.retain(|item| item.as_int().is_some_and(|value| intset.contains(value)) == wanted);
        }
    };
    let mut hashes = [Hash(0); BATCH];
    for (hash, item) in hashes.iter_mut().zip(batch.iter()) {
        *hash = members.hash(item.text(&mut text));
        members.table.prefetch_bucket(*hash);
    }
    hashes[..batch.len().min(BATCH)].iter().for_each(|&hash| members.table.prefetch_entry(hash));
    let mut hashes = hashes.into_iter();
    batch.retain(|item| {
        let member = item.text(&mut text);
        let hash = hashes.next().unwrap_or_else(|| members.hash(member));
        members.table.contains(hash, member) == wanted
    });
}
