//! The nodes between the two ends of a deque: a ring of chunks of nodes, so that neither growing nor changing it
//! in the middle ever moves more than a few kilobytes, and finding an index skips a chunk at a time.

use super::node::Node;
use std::collections::VecDeque;

/// The nodes of a chunk at most: 3 KiB of records.
const CHUNK_MAX: usize = 128;

#[derive(Default, Clone)]
pub struct Middle {
    chunks: VecDeque<Chunk>,
    nodes: usize,
}

#[derive(Default, Clone)]
struct Chunk {
    nodes: VecDeque<Node>,
    /// The elements in all of its nodes.
    items: usize,
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
        if self.chunks.front().is_none_or(|chunk| chunk.nodes.len() >= CHUNK_MAX) {
            self.chunks.push_front(Chunk::default());
        }
        self.nodes += 1;
        self.chunks[0].items += node.count();
        self.chunks[0].nodes.push_front(node);
    }

    pub fn push_back(&mut self, node: Node) {
        if self.chunks.back().is_none_or(|chunk| chunk.nodes.len() >= CHUNK_MAX) {
            self.chunks.push_back(Chunk::default());
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
        self.chunks[at].items += node.count();
        self.chunks[at].nodes.insert(place, node);
    }

    fn split(&mut self, at: usize) {
        let chunk = &mut self.chunks[at];
        let nodes = chunk.nodes.split_off(chunk.nodes.len() / 2);
        let items = nodes.iter().map(Node::count).sum();
        chunk.items -= items;
        self.chunks.insert(at + 1, Chunk { nodes, items });
    }

    /// Takes a node out. What stood behind it is at its slot or, where that has gone, at what `settle` gives.
    pub fn remove(&mut self, slot: Slot) -> Node {
        let at = slot.chunk as usize;
        let chunk = &mut self.chunks[at];
        let node = chunk.nodes.remove(slot.node as usize).expect("a slot is one of a node");
        chunk.items -= node.count();
        self.nodes -= 1;
        if chunk.nodes.is_empty() {
            self.chunks.remove(at);
        }
        node
    }

    /// Joins sparse chunks again after many nodes were taken out. Cheap against what had to be taken out.
    pub fn tidy(&mut self) {
        if self.chunks.len() < 8 || self.nodes * 8 > self.chunks.len() * CHUNK_MAX {
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

    pub fn check(&self) {
        assert_eq!(self.nodes, self.iter().count());
        for chunk in &self.chunks {
            assert!((1..=CHUNK_MAX).contains(&chunk.nodes.len()));
            assert_eq!(chunk.items, chunk.nodes.iter().map(Node::count).sum::<usize>());
        }
    }
}
