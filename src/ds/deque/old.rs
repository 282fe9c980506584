//! The middle's nodes as they were at one moment, while they go on changing: what a snapshot shows.
//!
//! Nothing is copied to begin with. A chunk that is still to be shown notes what becomes of its nodes from its first change on, and keeps each
//! node that changes or goes, once. Chunks made later are none of the old row.
//!
//! ```text
//!   lead ── chunk (shown) ── chunk ─────────────────── chunk (new) ── chunk ───────── …
//!                              │ trace                                  │ trace
//!                              │ old     [ kept, –, –, kept, – ]        │ behind   old nodes of chunks that have gone
//!                              │ origins [ 1, new, 2, 4 ]               where each node of today was, if it is the same
//! ```

use super::node::Node;
use std::collections::VecDeque;

/// What is known of the old row besides the chunks.
#[derive(Default)]
pub(super) struct OldRow {
    /// Old nodes that come before every chunk still to be shown.
    pub lead: VecDeque<Node>,
    /// How many nodes of the first chunk still to be shown are shown.
    pub shown: usize,
    /// Bytes of what is kept.
    pub bytes: usize,
}

/// What has become of the nodes of a chunk.
pub(super) struct Trace {
    old: Vec<Option<Node>>,
    origins: VecDeque<u8>,
    pub behind: Vec<Node>,
}

const NEW: u8 = u8::MAX;

impl Trace {
    pub fn new(nodes: usize) -> Self {
        let origins = (0..nodes).map(|at| u8::try_from(at).expect("a chunk has at most 128 nodes")).collect();
        Self { old: (0..nodes).map(|_| None).collect(), origins, behind: Vec::new() }
    }

    /// Keeps the node at `at` where it is an old one that has not changed yet. The bytes that takes.
    pub fn keep(&mut self, at: usize, node: &mut Node, take: impl FnOnce(&mut Node) -> Node) -> usize {
        let origin = std::mem::replace(&mut self.origins[at], NEW);
        let Some(place) = self.old.get_mut(usize::from(origin)) else { return 0 };
        place.insert(take(node)).memory()
    }

    /// A new node comes to stand at `at`.
    pub fn insert(&mut self, at: usize) {
        self.origins.insert(at, NEW);
    }

    /// The node at `at`, which was kept, has gone.
    pub fn remove(&mut self, at: usize) {
        let origin = self.origins.remove(at);
        debug_assert_eq!(origin, Some(NEW), "a node is kept before it goes");
    }

    /// The nodes from `len` on, which were kept, have gone.
    pub fn truncate(&mut self, len: usize) {
        debug_assert!(self.origins.range(len..).all(|&origin| origin == NEW), "nodes are kept before they go");
        self.origins.truncate(len);
    }

    /// The old node at `at`, kept or among those of today.
    pub fn old<'a>(&'a self, at: usize, nodes: &'a VecDeque<Node>) -> Option<&'a Node> {
        match self.old.get(at)? {
            Some(node) => Some(node),
            None => nodes.get(self.origins.iter().position(|&origin| usize::from(origin) == at)?),
        }
    }

    /// All old nodes of a chunk that is empty now, but for the first few, which are shown.
    pub fn into_row(self, shown: usize) -> impl Iterator<Item = Node> {
        self.old.into_iter().flatten().skip(shown).chain(self.behind)
    }
}
