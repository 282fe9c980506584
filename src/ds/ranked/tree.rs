//! The ranked tree: a B+tree over records, ordered by score and then by member, that can count.
//!
//! Every step is O(log n) plus one leaf: no operation rebuilds, rehashes or walks. The tree holds pointers and owns
//! its nodes only; records belong to `Ranked` (`mod.rs`), which sees to it that a record is taken out here before it is freed.
//! Range questions are answered as ranks, so an answer's length is known before its first entry is read.
//!
//! Invariants (`check`): entries ascend strictly; every node but an empty tree's absent root holds something; all leaves
//! are on one level; a parent's first entries and counts are exact.

mod balance;
mod walk;

use super::inner::{Branch, Child, INNER_MAX, Inner, InnerRef};
use super::leaf::{LEAF_MAX, Leaf};
use super::mark::{Before, Mark, Through};
use super::record::Record;
use crate::ds::sizeclass::round_up;
use std::cmp::Ordering;
use std::ops::Range;
pub(super) use walk::Entries;

/// What an inner node takes of the allocator.
const INNER_BYTES: usize = round_up(size_of::<Inner>());

/// Levels of inner nodes. Two neighbours hold a quarter of a node between them, so twelve levels hold more than memory does.
const LEVELS_MAX: usize = 12;

/// How far ahead of itself an iteration asks for records.
const LOOK_AHEAD: usize = 8;

pub(super) struct Tree {
    root: Option<Child>,
    /// Levels of inner nodes above the leaves.
    levels: usize,
    len: u64,
    /// Bytes of the nodes.
    bytes: usize,
}

/// The inner nodes on the way to a leaf, and which child it went to in each.
type Steps = [Option<(InnerRef, u16)>; LEVELS_MAX];

/// The way from the root to a slot of a leaf.
#[derive(Clone, Copy)]
struct Path {
    steps: Steps,
    levels: usize,
    leaf: Leaf,
    slot: usize,
}

impl Path {
    #[inline]
    fn step(&self, level: usize) -> (InnerRef, usize) {
        let (inner, slot) = self.steps[level].expect("a path has a step for each level");
        (inner, usize::from(slot))
    }
}

impl Tree {
    pub const fn new() -> Self {
        Self { root: None, levels: 0, len: 0, bytes: 0 }
    }

    #[inline]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Adds a record that is not in the tree, under the score it carries.
    pub fn insert(&mut self, record: Record) {
        let (score, member) = (record.score(), record.member());
        if self.root.is_none() {
            let mut leaf = self.new_leaf(1);
            leaf.insert(0, score, record);
            self.root = Some(Child::leaf(leaf));
            self.len = 1;
            return;
        }
        let mut path = self.descend(Before(score, member));
        self.len += 1;
        self.add_to_counts(&path, 1);
        if path.leaf.len() == LEAF_MAX {
            self.insert_by_split(path, score, record);
            return;
        }
        if path.leaf.len() == path.leaf.capacity() {
            let leaf = self.resized(path.leaf, path.leaf.len() + 1);
            self.replace_leaf(&mut path, leaf);
        }
        path.leaf.insert(path.slot, score, record);
        if path.slot == 0 {
            self.publish_first(&path);
        }
    }

    /// Takes a record of the tree out. The record itself stays as it is.
    pub fn remove(&mut self, record: Record) {
        let path = self.locate(record);
        self.remove_at(path, 1);
    }

    /// Changes the score of a record of the tree, and its place.
    pub fn set_score(&mut self, record: Record, score: f64) {
        self.prefetch(score);
        let mut path = self.locate(record);
        let (slot, leaf) = (path.slot, path.leaf);
        let member = record.member();
        let inside = slot > 0 && slot + 1 < leaf.len();
        let stays = inside
            && leaf.record(slot - 1).cmp_to(leaf.score(slot - 1), score, member) == Ordering::Less
            && leaf.record(slot + 1).cmp_to(leaf.score(slot + 1), score, member) == Ordering::Greater;
        if stays {
            path.leaf.set_score(slot, score);
            record.set_score(score);
            return;
        }
        self.remove_at(path, 1);
        record.set_score(score);
        self.insert(record);
    }

    /// How many entries come before a record of the tree.
    pub fn rank_of(&self, record: Record) -> u64 {
        let path = self.locate(record);
        self.rank_at(&path)
    }

    /// How many entries come before the mark.
    #[inline]
    pub fn count_before(&self, mark: impl Mark) -> u64 {
        match self.root {
            None => 0,
            Some(_) => self.rank_at(&self.descend(mark)),
        }
    }

    /// Asks the cache for the leaf where an entry of this score has its place.
    #[inline]
    pub fn prefetch(&self, score: f64) {
        let Some(mut child) = self.root else { return };
        for _ in 0..self.levels {
            let inner = child.as_inner().get();
            child = inner.child(inner.scores().partition_point(|&own| own < score).saturating_sub(1));
        }
        child.as_leaf().prefetch();
    }

    /// The entry with `rank` entries before it.
    pub fn nth(&self, rank: u64) -> Option<(f64, Record)> {
        let path = self.path_to(rank)?;
        Some((path.leaf.score(path.slot), path.leaf.record(path.slot)))
    }

    /// The entries with the given ranks, upwards or downwards. Ranks past the end are none.
    pub fn entries(&self, ranks: Range<u64>, reverse: bool) -> Entries<'_> {
        let end = ranks.end.min(self.len);
        let remaining = end.saturating_sub(ranks.start);
        let path = match (remaining, reverse) {
            (0, _) => None,
            (_, false) => self.path_to(ranks.start),
            (_, true) => self.path_to(end - 1),
        };
        Entries::new(path, remaining, reverse)
    }

    /// Takes the entries with the given ranks out, a leaf at a time, and gives each run to `take`: the tree knows
    /// them no more.
    pub fn remove_ranks(&mut self, ranks: Range<u64>, mut take: impl FnMut(&[Record])) {
        let mut remaining = ranks.end.min(self.len).saturating_sub(ranks.start);
        while remaining > 0 {
            let path = self.path_to(ranks.start).expect("a rank below the length");
            let available = (path.leaf.len() - path.slot) as u64;
            let taken = available.min(remaining) as usize;
            let mut records = [path.leaf.record(path.slot); LEAF_MAX];
            for (offset, record) in records[..taken].iter_mut().enumerate() {
                *record = path.leaf.record(path.slot + offset);
            }
            self.remove_at(path, taken);
            take(&records[..taken]);
            remaining -= taken as u64;
        }
    }

    /// Builds a tree from records in order, with full leaves. The order is the caller's promise.
    pub fn from_sorted(records: &[Record]) -> Self {
        let mut level: Vec<Branch> = Vec::with_capacity(records.len().div_ceil(LEAF_MAX));
        for (number, run) in records.chunks(LEAF_MAX).enumerate() {
            let mut leaf = Leaf::new(run.len());
            let run_at = number * LEAF_MAX;
            for (slot, record) in run.iter().enumerate() {
                if let Some(ahead) = records.get(run_at + slot + 2 * LOOK_AHEAD) {
                    ahead.prefetch();
                }
                leaf.insert(slot, record.score(), *record);
            }
            level.push(branch_of_leaf(leaf));
        }
        let mut levels = 0;
        while level.len() > 1 {
            level = level.chunks(INNER_MAX).map(branch_over).collect();
            levels += 1;
        }
        let root = level.first().map(|branch| branch.child);
        let bytes = root.map_or(0, |root| node_memory(root, levels));
        Self { root, levels, len: records.len() as u64, bytes }
    }

    /// Bytes of the nodes.
    #[inline]
    pub fn memory(&self) -> usize {
        self.bytes
    }

    /// Verifies every invariant named in this file's header.
    pub fn check(&self) {
        let Some(root) = self.root else {
            assert_eq!((self.len, self.levels, self.bytes), (0, 0, 0), "an empty tree has nothing");
            return;
        };
        let mut last: Option<Record> = None;
        let (_, count) = check_node(root, self.levels, &mut last);
        assert_eq!(count, self.len, "the tree's length is the number of its entries");
        assert_eq!(node_memory(root, self.levels), self.bytes, "the bytes of the nodes");
    }

    /// Walks down to the first slot that is not before the mark. It may be one past a leaf's last: the next
    /// leaf's first entry is the same place, and an insert wants it here.
    #[inline]
    fn descend(&self, mark: impl Mark) -> Path {
        let (steps, leaf) = self.descend_to_leaf(mark);
        let slot = place_of(leaf.scores(), |at| leaf.record(at), mark);
        Path { steps, levels: self.levels, leaf, slot }
    }

    /// The way to a record that is in the tree. The leaf's slot is looked up by the pointer, so that members in
    /// the leaf need not be read where scores tie.
    #[inline]
    fn locate(&self, record: Record) -> Path {
        let score = record.score();
        let (steps, leaf) = self.descend_to_leaf(Through(record));
        let scores = leaf.scores();
        let from = scores.partition_point(|&own| own < score);
        let slot = leaf.position_of(record, from..scores.len()).expect("a record of the tree is where its score says");
        Path { steps, levels: self.levels, leaf, slot }
    }

    #[inline]
    fn descend_to_leaf(&self, mark: impl Mark) -> (Steps, Leaf) {
        let mut child = self.root.expect("callers look at an empty tree first");
        let mut steps = [None; LEVELS_MAX];
        for step in &mut steps[..self.levels] {
            let reference = child.as_inner();
            let inner = reference.get();
            let slot = place_of(inner.scores(), |at| inner.first(at), mark).saturating_sub(1);
            *step = Some((reference, slot as u16));
            child = inner.child(slot);
        }
        let leaf = child.as_leaf();
        leaf.prefetch();
        (steps, leaf)
    }

    /// The way to the entry of a rank.
    fn path_to(&self, rank: u64) -> Option<Path> {
        if rank >= self.len {
            return None;
        }
        let mut child = self.root?;
        let mut left = rank;
        let mut steps = [None; LEVELS_MAX];
        for step in &mut steps[..self.levels] {
            let reference = child.as_inner();
            let inner = reference.get();
            let mut slot = 0;
            for &count in inner.counts() {
                if left < count {
                    break;
                }
                left -= count;
                slot += 1;
            }
            *step = Some((reference, slot as u16));
            child = inner.child(slot);
        }
        Some(Path { steps, levels: self.levels, leaf: child.as_leaf(), slot: left as usize })
    }

    fn rank_at(&self, path: &Path) -> u64 {
        let mut rank = path.slot as u64;
        for level in 0..path.levels {
            let (inner, slot) = path.step(level);
            rank += inner.get().counts()[..slot].iter().sum::<u64>();
        }
        rank
    }

    fn add_to_counts(&mut self, path: &Path, added: i64) {
        for level in 0..path.levels {
            let (inner, slot) = path.step(level);
            let count = inner.get_mut().count_mut(slot);
            *count = count.wrapping_add_signed(added);
        }
    }
}
impl Drop for Tree {
    fn drop(&mut self) {
        if let Some(root) = self.root.take() {
            free_node(root, self.levels);
        }
    }
}
/// The first slot that is not before the mark. Scores decide, read in order and without branches; members are
/// looked at where the score says so only.
#[inline]
fn place_of(scores: &[f64], record_at: impl Fn(usize) -> Record, mark: impl Mark) -> usize {
    let start = scores.partition_point(|&score| mark.is_after(score));
    let mut ties = scores[start..].partition_point(|&score| mark.ties_with(score));
    let mut slot = start;
    while ties > 0 {
        let half = ties / 2;
        if mark.is_after_member(record_at(slot + half)) {
            slot += half + 1;
            ties -= half + 1;
        } else {
            ties = half;
        }
    }
    slot
}

fn branch_of_leaf(leaf: Leaf) -> Branch {
    Branch { first: leaf.record(0), score: leaf.score(0), count: leaf.len() as u64, child: Child::leaf(leaf) }
}

fn branch_of_inner(reference: InnerRef) -> Branch {
    let inner = reference.get();
    Branch { count: inner.total(), child: Child::inner(reference), ..inner.branch(0) }
}

fn branch_over(branches: &[Branch]) -> Branch {
    let reference = InnerRef::new();
    for (slot, branch) in branches.iter().enumerate() {
        reference.get_mut().insert(slot, *branch);
    }
    branch_of_inner(reference)
}

fn children(reference: InnerRef) -> impl Iterator<Item = Child> {
    (0..reference.get().len()).map(move |slot| reference.get().child(slot))
}

fn node_memory(child: Child, levels: usize) -> usize {
    match levels {
        0 => child.as_leaf().memory(),
        _ => INNER_BYTES + children(child.as_inner()).map(|child| node_memory(child, levels - 1)).sum::<usize>(),
    }
}

/// Frees the nodes below and including this one; as deep as the tree.
fn free_node(child: Child, levels: usize) {
    if levels == 0 {
        // SAFETY: the tree is going; nothing follows this pointer again.
        unsafe { child.as_leaf().free() };
        return;
    }
    for below in children(child.as_inner()) {
        free_node(below, levels - 1);
    }
    // SAFETY: as above.
    unsafe { child.as_inner().free() };
}

/// Checks a node; returns its first entry and how many there are.
fn check_node(child: Child, levels: usize, last: &mut Option<Record>) -> ((f64, Record), u64) {
    if levels == 0 {
        let leaf = child.as_leaf();
        assert!((1..=LEAF_MAX).contains(&leaf.len()) && leaf.len() <= leaf.capacity(), "a leaf holds 1..=capacity");
        for slot in 0..leaf.len() {
            let (score, record) = (leaf.score(slot), leaf.record(slot));
            assert_eq!(score.to_bits(), record.score().to_bits(), "leaf and record agree on the score");
            if let Some(last) = last.replace(record) {
                let order = last.cmp_to(last.score(), score, record.member());
                assert_eq!(order, Ordering::Less, "entries ascend");
            }
        }
        return ((leaf.score(0), leaf.record(0)), leaf.len() as u64);
    }
    let inner = child.as_inner().get();
    assert!((1..=INNER_MAX).contains(&inner.len()), "an inner node has 1..={INNER_MAX} children");
    for slot in 0..inner.len() {
        let branch = inner.branch(slot);
        let ((score, first), count) = check_node(branch.child, levels - 1, last);
        assert_eq!(score.to_bits(), branch.score.to_bits(), "a parent knows its child's first score");
        assert_eq!(first, branch.first, "a parent knows its child's first entry");
        assert_eq!(count, branch.count, "a parent knows its child's count");
    }
    ((inner.branch(0).score, inner.first(0)), inner.total())
}

#[cfg(test)]
mod tests;
