//! The entries of a stream and what is known about its history: the part that consumer groups read and never change.
//!
//! All nodes but the last hang in a radix tree that counts live entries, so the rank of any id is one walk; the last node stands
//! beside it, so appending touches the tree once a node. Which entries may go is decided in `trim.rs`, not here.

use super::node::{Entry, Node, NodeLimits};
use super::old::OldNodes;
use super::{NewId, StreamId};
use crate::ds::rax::{Rax, Seek, Tally};

/// The entries of a stream, in order of ids.
///
/// ```text
///    radix tree of full nodes, by first id                          last node, open for more
///    1700-0 ─► Node (100 alive)   1812-4 ─► Node (73 alive)  …      1999-0 ─► Node (12 alive)
/// ```
///
/// Invariants (`check`): every node holds a live entry; the last node exists where any does; `len` is the sum of live entries; `first_id`
/// is the first live one's id, `0-0` where there is none; no entry's id is above `last_id`.
pub struct Log {
    full: Rax<Box<Node>>,
    open: Option<Box<Node>>,
    full_bytes: usize,
    len: u64,
    first_id: StreamId,
    last_id: StreamId,
    max_deleted_id: StreamId,
    entries_added: u64,
    /// The nodes as they were at a moment that a snapshot wants to know of.
    pub(super) old: Option<OldNodes>,
}

/// Why XADD cannot have the id it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewIdError {
    /// "The ID specified in XADD must be greater than 0-0"
    Zero,
    /// "The stream has exhausted the last possible ID, unable to add more items"
    Exhausted,
    /// "The ID specified in XADD is equal or smaller than the target stream top item"
    NotAbove,
}

/// Why an entry cannot be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// The id is not above the last one.
    NotAbove,
    /// Names and values together exceed a gigabyte: "Elements are too large to be stored"
    TooLarge,
}

/// Why the facts of a stream's history do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetIdError {
    /// "The ID specified in XSETID is smaller than the target stream top item"
    BelowTop,
    /// "The entries_added specified in XSETID is smaller than the target stream length"
    AddedBelowLength,
    /// "The ID specified in XSETID is smaller than the provided max_deleted_entry_id"
    BelowGivenDeleted,
    /// "The ID specified in XSETID is smaller than current max_deleted_entry_id"
    BelowDeleted,
}

/// Entries in ascending order of ids.
#[derive(Clone)]
pub struct Range<'a> {
    log: &'a Log,
    node: Option<&'a Node>,
    at: usize,
    end: StreamId,
}

/// Entries in descending order of ids.
#[derive(Clone)]
pub struct RangeBack<'a> {
    log: &'a Log,
    node: Option<&'a Node>,
    at: usize,
    start: StreamId,
}

/// Looks up entries one after another; ids that ascend cost next to nothing each.
pub struct Lookup<'a> {
    log: &'a Log,
    node: Option<&'a Node>,
    at: usize,
}

impl Log {
    pub(super) fn new() -> Self {
        Self {
            full: Rax::new(),
            open: None,
            full_bytes: 0,
            len: 0,
            first_id: StreamId::MIN,
            last_id: StreamId::MIN,
            max_deleted_id: StreamId::MIN,
            entries_added: 0,
            old: None,
        }
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The id of the first entry, `0-0` where there is none.
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The last id ever given.
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The greatest id deleted by name; trimming does not count.
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted_id
    }

    /// How many entries were ever added.
    pub fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// How many nodes there are: "radix-tree-keys".
    pub fn nodes_len(&self) -> usize {
        self.full.len() + usize::from(self.open.is_some())
    }

    /// How many nodes the radix tree has, inner ones too: "radix-tree-nodes".
    pub fn tree_nodes_len(&self) -> usize {
        self.nodes_len() + self.full.branches() + 1
    }

    /// Bytes on the heap. O(1).
    pub fn heap_bytes(&self) -> usize {
        self.full.heap_bytes() + self.full_bytes + self.open.as_ref().map_or(0, |node| node.heap_bytes())
    }

    /// The id the next entry gets.
    pub fn next_id(&self, wish: NewId, now_ms: u64) -> Result<StreamId, NewIdError> {
        if wish == NewId::Exact(StreamId::MIN) {
            return Err(NewIdError::Zero);
        }
        if self.last_id == StreamId::MAX {
            return Err(NewIdError::Exhausted);
        }
        let id = match wish {
            NewId::Auto if now_ms > self.last_id.ms => StreamId::new(now_ms, 0),
            // The clock stood still or went back: ids go on from the last one.
            NewId::Auto => self.last_id.successor().ok_or(NewIdError::Exhausted)?,
            NewId::AutoSeq(ms) if ms == self.last_id.ms => {
                StreamId::new(ms, self.last_id.seq.checked_add(1).ok_or(NewIdError::NotAbove)?)
            }
            NewId::AutoSeq(ms) => StreamId::new(ms, 0),
            NewId::Exact(id) => id,
        };
        if id > self.last_id { Ok(id) } else { Err(NewIdError::NotAbove) }
    }

    pub(super) fn append<'a>(
        &mut self,
        id: StreamId,
        fields: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone,
        limits: NodeLimits,
    ) -> Result<(), AppendError> {
        if id <= self.last_id {
            return Err(AppendError::NotAbove);
        }
        let text_bytes = fields.clone().fold(0usize, |sum, (name, value)| sum.saturating_add(name.len() + value.len()));
        if text_bytes > NodeLimits::BYTES_MAX {
            return Err(AppendError::TooLarge);
        }
        match &mut self.open {
            Some(node) if node.has_room(text_bytes, limits) => {
                if let Some(old) = &mut self.old {
                    old.keep(node);
                }
                node.push(id, fields);
            }
            open => {
                if let Some(old) = &mut self.old {
                    old.note_new(id);
                }
                let mut node = Box::new(Node::new(id, fields.clone()));
                let before = open.take();
                if let Some(before) = &before {
                    node.reserve_like(before);
                }
                node.push(id, fields);
                self.open = Some(node);
                if let Some(before) = before {
                    self.close(before);
                }
            }
        }
        if self.len == 0 {
            self.first_id = id;
        }
        self.len += 1;
        self.last_id = id;
        self.entries_added += 1;
        Ok(())
    }

    /// Deletes one entry by its id.
    pub(super) fn delete(&mut self, id: StreamId) -> bool {
        if !self.remove(id) {
            return false;
        }
        self.max_deleted_id = self.max_deleted_id.max(id);
        if id == self.first_id || self.len == 0 {
            self.find_first_id();
        }
        true
    }

    /// Takes an entry out, leaving it to the caller to look for the first id again.
    pub(super) fn remove(&mut self, id: StreamId) -> bool {
        let Some(node) = self.node_of(id) else { return false };
        let Some(at) = node.find(id) else { return false };
        let base = node.base();
        if node.alive() == 1 {
            self.drop_node(base);
            return true;
        }
        self.len -= 1;
        match &mut self.open {
            Some(node) if node.base() == base => {
                if let Some(old) = &mut self.old {
                    old.keep(node);
                }
                node.kill(at);
            }
            _ => {
                let old = &mut self.old;
                self.full.update(&base.to_key(), |node| {
                    if let Some(old) = old {
                        old.keep(node);
                    }
                    node.kill(at);
                    ((), tally(node))
                });
            }
        }
        true
    }

    /// Drops a node with all that is in it; gives back how many live entries that were.
    pub(super) fn drop_node(&mut self, base: StreamId) -> u64 {
        let node = match self.open.take_if(|node| node.base() == base) {
            Some(node) => {
                if let Some(last) = self.full.last().map(|node| node.base()) {
                    self.open = self.take_full(last);
                }
                Some(node)
            }
            None => self.take_full(base),
        };
        let alive = node.as_ref().map_or(0, |node| node.alive());
        self.len -= alive;
        if let (Some(old), Some(node)) = (&mut self.old, node) {
            old.keep_gone(node);
        }
        alive
    }

    pub(super) fn find_first_id(&mut self) {
        self.first_id = self.range(StreamId::MIN, StreamId::MAX).next().map_or(StreamId::MIN, |entry| entry.id);
    }

    /// XSETID: refuses what the entries contradict.
    pub(super) fn set_history(
        &mut self,
        last_id: StreamId,
        entries_added: Option<u64>,
        max_deleted_id: Option<StreamId>,
    ) -> Result<(), SetIdError> {
        if max_deleted_id.is_some_and(|deleted| last_id < deleted) {
            return Err(SetIdError::BelowGivenDeleted);
        }
        if last_id < self.max_deleted_id {
            return Err(SetIdError::BelowDeleted);
        }
        if let Some(top) = self.last_entry_id() {
            if last_id < top {
                return Err(SetIdError::BelowTop);
            }
            if entries_added.is_some_and(|added| added < self.len) {
                return Err(SetIdError::AddedBelowLength);
            }
        }
        self.cut_dead_tail(last_id);
        self.last_id = last_id;
        self.entries_added = entries_added.unwrap_or(self.entries_added);
        self.max_deleted_id = max_deleted_id.filter(|&id| id != StreamId::MIN).unwrap_or(self.max_deleted_id);
        Ok(())
    }

    /// Trimming may have left deleted entries behind the last live one: where ids are to go on below theirs, they have to make room.
    fn cut_dead_tail(&mut self, last_id: StreamId) {
        let Some(node) = self.open.as_mut().filter(|node| node.last_id() > last_id) else { return };
        if let Some(old) = &mut self.old {
            old.keep(node);
        }
        **node = node.without_dead_tail();
    }

    /// Takes over history as a file tells it.
    pub(super) fn restore_history(&mut self, last_id: StreamId, entries_added: u64, max_deleted_id: StreamId) {
        self.last_id = last_id;
        self.entries_added = entries_added;
        self.max_deleted_id = max_deleted_id;
    }

    /// Hangs a node that came from a file behind the others.
    pub(super) fn adopt(&mut self, mut node: Box<Node>) {
        node.shrink();
        self.len += node.alive();
        if let Some(before) = self.open.replace(node) {
            self.close(before);
        }
    }

    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        let node = self.node_of(id)?;
        Some(node.entry(node.find(id)?))
    }

    pub fn contains(&self, id: StreamId) -> bool {
        self.node_of(id).is_some_and(|node| node.find(id).is_some())
    }

    pub fn lookup(&self) -> Lookup<'_> {
        Lookup { log: self, node: None, at: 0 }
    }

    /// The id of the last entry that is there.
    pub fn last_entry_id(&self) -> Option<StreamId> {
        self.range_back(StreamId::MIN, StreamId::MAX).next().map(|entry| entry.id)
    }

    /// The entries from `start` to `end`, both included.
    pub fn range(&self, start: StreamId, end: StreamId) -> Range<'_> {
        let node = self.node_of(start).or_else(|| self.first_node());
        Range { log: self, node, at: node.map_or(0, |node| node.lower_bound(start)), end }
    }

    /// The entries from `end` down to `start`, both included.
    pub fn range_back(&self, start: StreamId, end: StreamId) -> RangeBack<'_> {
        let node = self.node_of(end);
        let at = node.map_or(0, |node| end.successor().map_or(node.slots(), |after| node.lower_bound(after)));
        RangeBack { log: self, node, at, start }
    }

    /// How many entries have an id of at most `id`. O(log n).
    pub fn rank(&self, id: StreamId) -> u64 {
        let Some(node) = self.node_of(id) else { return 0 };
        let at = id.successor().map_or(node.slots(), |after| node.lower_bound(after));
        let before = match &self.open {
            Some(open) if open.base() == node.base() => self.full.total().weight,
            _ => self.full.weight_before(&node.base().to_key()),
        };
        before + node.count_live_before(at)
    }

    /// How many entries there are from `start` to `end`. O(log n).
    pub fn count(&self, start: StreamId, end: StreamId) -> u64 {
        self.rank(end).saturating_sub(start.predecessor().map_or(0, |before| self.rank(before)))
    }

    /// How many entries come after `id`. O(log n).
    pub fn count_after(&self, id: StreamId) -> u64 {
        self.len - self.rank(id)
    }

    /// The node that starts after an id, or the first one.
    pub(super) fn node_from(&self, after: Option<StreamId>) -> Option<&Node> {
        let Some(after) = after else { return self.first_node() };
        let open = self.open.as_deref().filter(|open| open.base() > after);
        self.full.seek(&after.to_key(), Seek::Above).map(|node| &**node).or(open)
    }

    pub(super) fn first_node(&self) -> Option<&Node> {
        self.full.first().or(self.open.as_ref()).map(|node| &**node)
    }

    pub(super) fn last_node(&self) -> Option<&Node> {
        self.open.as_deref()
    }

    pub(super) fn node_after(&self, node: &Node) -> Option<&Node> {
        let open = self.open.as_deref()?;
        if open.base() == node.base() {
            return None;
        }
        Some(self.full.seek(&node.base().to_key(), Seek::Above).map_or(open, |node| &**node))
    }

    pub(super) fn check(&self) {
        self.full.check(|node| tally(node));
        assert!(self.open.is_some() || self.full.is_empty(), "the last node stands beside the tree");
        let (mut alive, mut bytes, mut last) = (0, 0, None);
        let mut node = self.first_node();
        while let Some(here) = node {
            here.check();
            assert!(last < Some(here.base()), "nodes ascend");
            last = Some(here.last_id());
            alive += here.alive();
            node = self.node_after(here);
            bytes += if node.is_some() { here.heap_bytes() } else { 0 };
        }
        assert!(last.is_none_or(|last| last <= self.last_id), "no entry is above the last id");
        assert_eq!((alive, bytes), (self.len, self.full_bytes));
        let first = self.range(StreamId::MIN, StreamId::MAX).next().map_or(StreamId::MIN, |entry| entry.id);
        assert_eq!(first, self.first_id);
    }

    /// The node an id is in, if it is in one.
    #[inline]
    fn node_of(&self, id: StreamId) -> Option<&Node> {
        match &self.open {
            Some(open) if open.base() <= id => Some(open),
            _ => self.full.seek(&id.to_key(), Seek::AtMost).map(|node| &**node),
        }
    }

    fn node_before(&self, node: &Node) -> Option<&Node> {
        self.full.seek(&node.base().to_key(), Seek::Below).map(|node| &**node)
    }

    fn close(&mut self, mut node: Box<Node>) {
        node.shrink();
        self.full_bytes += node.heap_bytes();
        let tally = tally(&node);
        self.full.insert(&node.base().to_key(), node, tally);
    }

    fn take_full(&mut self, base: StreamId) -> Option<Box<Node>> {
        let node = self.full.remove(&base.to_key())?;
        self.full_bytes -= node.heap_bytes();
        Some(node)
    }
}

impl Clone for Log {
    fn clone(&self) -> Self {
        let mut copy = Self {
            full: Rax::new(),
            open: self.open.clone(),
            full_bytes: 0,
            len: self.len,
            first_id: self.first_id,
            last_id: self.last_id,
            max_deleted_id: self.max_deleted_id,
            entries_added: self.entries_added,
            old: None,
        };
        let mut walk = self.full.iter();
        while let Some((_, node)) = walk.step() {
            copy.close(node.clone());
        }
        copy
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let node = self.node?;
            if let Some(at) = node.live_from(self.at) {
                let entry = node.entry(at);
                if entry.id > self.end {
                    self.node = None;
                    return None;
                }
                self.at = at + 1;
                return Some(entry);
            }
            self.node = self.log.node_after(node);
            self.at = 0;
        }
    }
}

impl<'a> Iterator for RangeBack<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let node = self.node?;
            if let Some(at) = node.live_before(self.at) {
                let entry = node.entry(at);
                if entry.id < self.start {
                    self.node = None;
                    return None;
                }
                self.at = at;
                return Some(entry);
            }
            self.node = self.log.node_before(node);
            self.at = self.node.map_or(0, Node::slots);
        }
    }
}

impl<'a> Lookup<'a> {
    /// The entry with this id, if it is there.
    pub fn get(&mut self, id: StreamId) -> Option<Entry<'a>> {
        let node = match self.node {
            Some(node) if node.base() <= id && id <= node.last_id() => node,
            _ => self.log.node_of(id)?,
        };
        // The guess is right where every entry is asked for in turn.
        let guess = if self.node.is_some_and(|before| before.base() == node.base()) { self.at + 1 } else { 0 };
        self.node = Some(node);
        self.at = if guess < node.slots() && node.id(guess) == id { guess } else { node.lower_bound(id) };
        let found = self.at < node.slots() && node.id(self.at) == id && !node.is_dead(self.at);
        found.then(|| node.entry(self.at))
    }
}

fn tally(node: &Node) -> Tally {
    Tally { weight: node.alive(), mark: u64::MAX }
}
