//! A ranked set made in bulk: members are gathered in any order, then sorted once and the tree built full.
//!
//! That is several times cheaper than one insert after the other, and is how unions, intersections and
//! loaded files become sorted sets.

use super::record::Record;
use super::tree::Tree;
use super::{Owned, Ranked};
use crate::ds::keytable::{Entry, Hash, Seed, Table};
use crate::ds::sizeclass::round_up;

/// Members with scores, hashed but not yet in order. `finish` orders them.
pub struct Gathering {
    table: Table<Owned>,
    /// The records in order of arrival, which is the order of memory too: reading them all again is cheap.
    records: Vec<Record>,
    record_bytes: usize,
    member_bytes_max: usize,
}

impl Gathering {
    /// An empty one, with room for so many members (a guess will do).
    pub fn new(seed: &'static Seed, members: usize) -> Self {
        let mut table = Table::new(seed);
        table.reserve(members);
        Self { table, records: Vec::with_capacity(members), record_bytes: 0, member_bytes_max: 0 }
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The length of the longest member.
    pub fn member_bytes_max(&self) -> usize {
        self.member_bytes_max
    }

    /// Adds a member; `false`, and nothing changed, where it is there already.
    pub fn add(&mut self, member: &[u8], score: f64) -> bool {
        let before = self.len();
        self.merge(member, score, |old| old);
        self.len() > before
    }

    /// Adds a member, or where it is there already gives it the score that `join` makes of the one it has.
    pub fn merge(&mut self, member: &[u8], score: f64, join: impl FnOnce(f64) -> f64) {
        let hash = self.table.hash(member);
        match self.table.entry(hash, member) {
            Entry::Occupied(occupied) => {
                let record: Record = occupied.get();
                record.set_score(number(join(record.score())));
            }
            Entry::Vacant(vacant) => {
                let record = vacant.insert(Owned(Record::new(member, number(score))));
                self.note(record);
            }
        }
    }

    /// Adds a member that the caller knows to be absent.
    pub fn add_new(&mut self, member: &[u8], score: f64) {
        let record = Record::new(member, number(score));
        let hash: Hash = self.table.hash(member);
        self.table.insert_new(hash, Owned(record));
        self.note(record);
    }

    fn note(&mut self, record: Record) {
        self.records.push(record);
        self.record_bytes += round_up(record.memory());
        self.member_bytes_max = self.member_bytes_max.max(record.member().len());
    }

    /// Puts the members in order. O(n log n), O(n) where they came in a few ascending or descending runs.
    pub fn finish(self) -> Ranked {
        let Self { table, records, record_bytes, .. } = self;
        let tree = Tree::from_sorted(&in_order(records));
        Ranked { table, tree, record_bytes, image: None }
    }
}

fn number(score: f64) -> f64 {
    assert!(!score.is_nan(), "a score is a number");
    score
}

/// Sorts by score first, as plain integers; then each run of equal scores by its members, beginnings first.
fn in_order(records: Vec<Record>) -> Vec<Record> {
    let mut keyed: Vec<(u64, Record)> = records.into_iter().map(|record| (order_of(record.score()), record)).collect();
    // The stable sort finds and merges runs that are in order already.
    keyed.sort_by_key(|&(order, _)| order);
    for run in keyed.chunk_by_mut(|(one, _), (other, _)| one == other) {
        if run.len() > 1 {
            run.iter_mut().for_each(|(key, record)| *key = beginning_of(record.member()));
            run.sort_by(|(one_key, one), (other_key, other)| {
                one_key.cmp(other_key).then_with(|| one.member().cmp(other.member()))
            });
        }
    }
    keyed.into_iter().map(|(_, record)| record).collect()
}

/// An integer that orders as the score does; both zeros are one.
fn order_of(score: f64) -> u64 {
    let bits = (score + 0.0).to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

/// The first eight bytes as a number that orders as they do; shorter members are filled up with zeros.
fn beginning_of(member: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = member.len().min(8);
    bytes[..length].copy_from_slice(&member[..length]);
    u64::from_be_bytes(bytes)
}
