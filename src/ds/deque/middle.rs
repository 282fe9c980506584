//! The nodes between the two ends of a deque: a ring of chunks of nodes, so that neither growing nor changing it
//! in the middle ever moves more than a few kilobytes, and finding an index skips a chunk at a time.

use super::node::Node;
use super::old::{OldRow, Trace};
use std::collections::VecDeque;

/// The nodes of a chunk at most: 3 KiB of records.
const CHUNK_MAX: usize = 128;

#[derive(Default)]
pub struct Middle {
    chunks: VecDeque<Chunk>,
    nodes: usize,
    /// What new chunks belong to. Those of another era are still to be shown where there is an old row.
    era: u32,
    /// The row as it was at a moment that a snapshot wants to know of.
    old: Option<Box<OldRow>>,
}

#[derive(Default)]
struct Chunk {
    nodes: VecDeque<Node>,
    /// The elements in all of its nodes.
    items: usize,
    era: u32,
    /// What has become of its nodes since, where some have changed.
    trace: Option<Box<Trace>>,
}

/// A node of the middle. Good until a node is put in or taken out in front of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    chunk: u32,
    node: u32,
}

impl Slot {
    #[inline]
    fn new(chunk: usize, node: usize) -> Self {
        Self { chunk: chunk as u32, node: node as u32 }
    }
}

impl Middle {
    #[inline]
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    pub fn push_front(&mut self, node: Node) {
        if self.chunks.front().is_none_or(|chunk| chunk.nodes.len() >= CHUNK_MAX || self.is_old(chunk)) {
            self.chunks.push_front(Chunk { era: self.era, ..Chunk::default() });
        }
        self.nodes += 1;
        self.chunks[0].items += node.count();
        self.chunks[0].nodes.push_front(node);
    }

    pub fn push_back(&mut self, node: Node) {
        if self.chunks.back().is_none_or(|chunk| chunk.nodes.len() >= CHUNK_MAX || self.is_old(chunk)) {
            self.chunks.push_back(Chunk { era: self.era, ..Chunk::default() });
        }
        let last = self.chunks.len() - 1;
        self.nodes += 1;
        self.chunks[last].items += node.count();
        self.chunks[last].nodes.push_back(node);
    }

    pub fn pop_front(&mut self) -> Option<Node> {
        let slot = self.first()?;
        Some(self.remove(slot))
    }

    pub fn pop_back(&mut self) -> Option<Node> {
        let slot = self.last()?;
        Some(self.remove(slot))
    }

    pub fn first(&self) -> Option<Slot> {
        (self.nodes > 0).then_some(Slot::new(0, 0))
    }

    pub fn last(&self) -> Option<Slot> {
        let chunk = self.chunks.len().checked_sub(1)?;
        Some(Slot::new(chunk, self.chunks[chunk].nodes.len() - 1))
    }

    #[inline]
    pub fn node(&self, slot: Slot) -> &Node {
        &self.chunks[slot.chunk as usize].nodes[slot.node as usize]
    }

    /// Changes a node; the counts above it follow.
    pub fn change<R>(&mut self, slot: Slot, change: impl FnOnce(&mut Node) -> R) -> R {
        self.keep(slot.chunk as usize, slot.node as usize, |node| node.clone());
        let chunk = &mut self.chunks[slot.chunk as usize];
        let node = &mut chunk.nodes[slot.node as usize];
        let before = node.count();
        let result = change(node);
        chunk.items = chunk.items - before + node.count();
        result
    }

    pub fn next(&self, slot: Slot) -> Option<Slot> {
        let (chunk, node) = (slot.chunk as usize, slot.node as usize + 1);
        if node < self.chunks[chunk].nodes.len() {
            return Some(Slot::new(chunk, node));
        }
        (chunk + 1 < self.chunks.len()).then(|| Slot::new(chunk + 1, 0))
    }

    pub fn prev(&self, slot: Slot) -> Option<Slot> {
        if slot.node > 0 {
            return Some(Slot { node: slot.node - 1, ..slot });
        }
        let chunk = (slot.chunk as usize).checked_sub(1)?;
        Some(Slot::new(chunk, self.chunks[chunk].nodes.len() - 1))
    }

    /// The slot at or after this one, which may be where a node has just been taken out.
    pub fn settle(&self, slot: Slot) -> Option<Slot> {
        let (chunk, node) = (slot.chunk as usize, slot.node as usize);
        if node < self.chunks.get(chunk)?.nodes.len() {
            return Some(slot);
        }
        (chunk + 1 < self.chunks.len()).then(|| Slot::new(chunk + 1, 0))
    }

    /// Puts a node in front of the one at `slot`.
    pub fn insert(&mut self, slot: Slot, node: Node) {
        let (mut at, mut place) = (slot.chunk as usize, slot.node as usize);
        if self.chunks[at].nodes.len() >= CHUNK_MAX {
            self.split(at);
            let half = self.chunks[at].nodes.len();
            if place > half {
                (at, place) = (at + 1, place - half);
            }
        }
        self.nodes += 1;
        if let Some((_, trace)) = self.trace(at) {
            trace.insert(place);
        }
        self.chunks[at].items += node.count();
        self.chunks[at].nodes.insert(place, node);
    }

    fn split(&mut self, at: usize) {
        let half = self.chunks[at].nodes.len() / 2;
        for node in half..self.chunks[at].nodes.len() {
            self.keep(at, node, |node| node.clone());
        }
        let chunk = &mut self.chunks[at];
        if let Some(trace) = &mut chunk.trace {
            trace.truncate(half);
        }
        let nodes = chunk.nodes.split_off(half);
        let items = nodes.iter().map(Node::count).sum();
        chunk.items -= items;
        self.chunks.insert(at + 1, Chunk { nodes, items, era: self.era, trace: None });
    }

    /// Takes a node out. What stood behind it is at its slot or, where that has gone, at what `settle` gives.
    pub fn remove(&mut self, slot: Slot) -> Node {
        self.keep(slot.chunk as usize, slot.node as usize, |node| node.clone());
        self.take_out(slot)
    }

    /// As `remove`, for a node that nobody wants any more. Gives the number of its elements.
    pub fn discard(&mut self, slot: Slot) -> usize {
        let count = self.node(slot).count();
        self.keep(slot.chunk as usize, slot.node as usize, |node| std::mem::replace(node, Node::stub(count)));
        drop(self.take_out(slot));
        count
    }

    fn take_out(&mut self, slot: Slot) -> Node {
        let at = slot.chunk as usize;
        let chunk = &mut self.chunks[at];
        let node = chunk.nodes.remove(slot.node as usize).expect("a slot is one of a node");
        chunk.items -= node.count();
        self.nodes -= 1;
        if let Some(trace) = &mut chunk.trace {
            trace.remove(slot.node as usize);
        }
        if chunk.nodes.is_empty()
            && let Some(Chunk { trace: Some(trace), .. }) = self.chunks.remove(at)
        {
            self.inherit(at, *trace);
        }
        node
    }

    /// Joins sparse chunks again after many nodes were taken out. Cheap against what had to be taken out.
    pub fn tidy(&mut self) {
        if self.old.is_some() || self.chunks.len() < 8 || self.nodes * 8 > self.chunks.len() * CHUNK_MAX {
            return;
        }
        let nodes: Vec<Node> = std::mem::take(&mut self.chunks).into_iter().flat_map(|chunk| chunk.nodes).collect();
        self.nodes = 0;
        nodes.into_iter().for_each(|node| self.push_back(node));
    }

    /// The node that holds element `index`, and the index within it; counts from the nearer end.
    pub fn seek(&self, index: usize, items: usize) -> Option<(Slot, usize)> {
        if index >= items {
            return None;
        }
        if index > items / 2 {
            return self.seek_from_back(items - index);
        }
        let mut left = index;
        let mut at = 0;
        while left >= self.chunks.get(at)?.items {
            left -= self.chunks[at].items;
            at += 1;
        }
        for (place, node) in self.chunks[at].nodes.iter().enumerate() {
            if left < node.count() {
                return Some((Slot::new(at, place), left));
            }
            left -= node.count();
        }
        None
    }

    /// The same for the element that has `from_end` elements from itself to the end.
    fn seek_from_back(&self, from_end: usize) -> Option<(Slot, usize)> {
        let mut left = from_end;
        let mut at = self.chunks.len().checked_sub(1)?;
        while left > self.chunks[at].items {
            left -= self.chunks[at].items;
            at = at.checked_sub(1)?;
        }
        for (place, node) in self.chunks[at].nodes.iter().enumerate().rev() {
            if left <= node.count() {
                return Some((Slot::new(at, place), node.count() - left));
            }
            left -= node.count();
        }
        None
    }

    /// The slot of the node that has `ordinal` nodes of the middle in front of it.
    pub fn slot(&self, ordinal: usize) -> Option<Slot> {
        let mut left = ordinal;
        for (at, chunk) in self.chunks.iter().enumerate() {
            if left < chunk.nodes.len() {
                return Some(Slot::new(at, left));
            }
            left -= chunk.nodes.len();
        }
        None
    }

    pub fn ordinal(&self, slot: Slot) -> usize {
        let before = self.chunks.iter().take(slot.chunk as usize);
        before.map(|chunk| chunk.nodes.len()).sum::<usize>() + slot.node as usize
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Node> {
        self.chunks.iter().flat_map(|chunk| chunk.nodes.iter())
    }

    /// The bytes of memory it takes, nodes included.
    pub fn memory(&self) -> usize {
        let records: usize = self.chunks.iter().map(|chunk| chunk.nodes.capacity() * size_of::<Node>()).sum();
        let nodes: usize = self.iter().map(Node::memory).sum();
        self.chunks.capacity() * size_of::<Chunk>() + records + nodes
    }

    /// From now on the old row is the row as it is.
    pub fn begin_image(&mut self) {
        self.end_image();
        self.era = self.era.wrapping_add(1);
        self.old = Some(Box::default());
    }

    pub fn end_image(&mut self) {
        if self.old.take().is_some() {
            self.chunks.iter_mut().for_each(|chunk| chunk.trace = None);
        }
    }

    /// About how much memory the old row takes besides the row.
    pub fn image_bytes(&self) -> usize {
        self.old.as_ref().map_or(0, |old| old.bytes)
    }

    /// Shows the next nodes of the old row, about so many bytes of them. False where all are shown.
    pub fn step_image(&mut self, bytes: usize, show: &mut impl FnMut(&Node)) -> bool {
        let era = self.era;
        let Some(old) = &mut self.old else { return false };
        let mut left = bytes;
        while let Some(node) = old.lead.pop_front() {
            show(&node);
            left = left.saturating_sub(node.bytes());
            if left == 0 {
                return true;
            }
        }
        let Some(chunk) = self.chunks.iter_mut().find(|chunk| chunk.era != era) else { return false };
        while let Some(node) = match &chunk.trace {
            Some(trace) => trace.old(old.shown, &chunk.nodes),
            None => chunk.nodes.get(old.shown),
        } {
            show(node);
            old.shown += 1;
            left = left.saturating_sub(node.bytes());
            if left == 0 {
                return true;
            }
        }
        old.shown = 0;
        chunk.era = era;
        if let Some(trace) = chunk.trace.take() {
            old.lead.extend(trace.behind);
        }
        true
    }

    fn is_old(&self, chunk: &Chunk) -> bool {
        self.old.is_some() && chunk.era != self.era
    }

    /// The old row, and what is known of the changes of a chunk that is still to be shown.
    fn trace(&mut self, at: usize) -> Option<(&mut OldRow, &mut Trace)> {
        let chunk = &mut self.chunks[at];
        let old = self.old.as_mut().filter(|_| chunk.era != self.era)?;
        let nodes = chunk.nodes.len();
        Some((old, chunk.trace.get_or_insert_with(|| Box::new(Trace::new(nodes)))))
    }

    /// Keeps a node of the old row before it changes or leaves its chunk.
    fn keep(&mut self, at: usize, node: usize, take: impl FnOnce(&mut Node) -> Node) {
        let chunk = &mut self.chunks[at];
        let Some(old) = self.old.as_mut().filter(|_| chunk.era != self.era) else { return };
        let nodes = chunk.nodes.len();
        let trace = chunk.trace.get_or_insert_with(|| Box::new(Trace::new(nodes)));
        old.bytes += trace.keep(node, &mut chunk.nodes[node], take);
    }

    /// A chunk has gone that was still to be shown, all of it kept: it is told behind the one that stood before it.
    fn inherit(&mut self, at: usize, trace: Trace) {
        let Some(old) = &mut self.old else { return };
        let before = self.chunks.iter_mut().take(at).rev().find(|chunk| chunk.era != self.era);
        match before {
            Some(before) => {
                let nodes = before.nodes.len();
                before.trace.get_or_insert_with(|| Box::new(Trace::new(nodes))).behind.extend(trace.into_row(0));
            }
            None => old.lead.extend(trace.into_row(std::mem::take(&mut old.shown))),
        }
    }

    pub fn check(&self) {
        assert_eq!(self.nodes, self.iter().count());
        for chunk in &self.chunks {
            assert!((1..=CHUNK_MAX).contains(&chunk.nodes.len()));
            assert_eq!(chunk.items, chunk.nodes.iter().map(Node::count).sum::<usize>());
        }
    }
}

impl Clone for Middle {
    fn clone(&self) -> Self {
        let chunk = |chunk: &Chunk| Chunk { nodes: chunk.nodes.clone(), items: chunk.items, ..Chunk::default() };
        Self { chunks: self.chunks.iter().map(chunk).collect(), nodes: self.nodes, ..Self::default() }
    }
}
