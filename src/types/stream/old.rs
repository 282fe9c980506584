//! A stream as it was at one moment, shown in parts while it goes on changing: what a snapshot writes.
//!
//! Nodes are known by their first ids. One that changes or goes before it was shown is kept as it was, once; one that came later is none of the
//! image. Groups have images of their own (`old_group`). How much has been shown is for whoever shows to remember.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::node::Node;
use super::parts::NodeView;
use super::{Group, History, Log, Stream, StreamId};
use crate::ds::image::ImageId;

/// The image of a log.
pub(super) struct OldNodes {
    /// The first id of the last node that is in the image.
    last: StreamId,
    /// The first id of the node shown last.
    shown: Option<StreamId>,
    kept: BTreeMap<StreamId, Box<Node>>,
    /// Nodes that came later and have an id that a node of the image might have had.
    new: BTreeSet<StreamId>,
    bytes: usize,
}

impl OldNodes {
    fn of(log: &Log) -> Option<Self> {
        let last = log.last_node()?.base();
        Some(Self { last, shown: None, kept: BTreeMap::new(), new: BTreeSet::new(), bytes: 0 })
    }

    fn wants(&self, base: StreamId) -> bool {
        base <= self.last
            && self.shown.is_none_or(|shown| shown < base)
            && !self.new.contains(&base)
            && !self.kept.contains_key(&base)
    }

    /// A node is about to change.
    #[cold]
    pub(super) fn keep(&mut self, node: &Node) {
        if self.wants(node.base()) {
            self.bytes += node.heap_bytes();
            self.kept.insert(node.base(), Box::new(node.clone()));
        }
    }

    /// A node has gone.
    #[cold]
    pub(super) fn keep_gone(&mut self, node: Box<Node>) {
        let base = node.base();
        if self.wants(base) {
            self.bytes += node.heap_bytes();
            self.kept.insert(base, node);
        }
        self.new.remove(&base);
    }

    /// A node comes that begins with this id.
    #[cold]
    pub(super) fn note_new(&mut self, base: StreamId) {
        if base <= self.last {
            self.new.insert(base);
        }
    }

    /// The node behind the one shown last: kept, or in the log.
    fn next<'a>(&'a self, log: &'a Log) -> Option<&'a Node> {
        let behind = self.shown.and_then(StreamId::successor).unwrap_or(StreamId::MIN);
        let kept = self.kept.range(behind..).next().map(|(_, node)| &**node);
        let mut live = log.node_from(self.shown).filter(|node| node.base() <= self.last);
        while let Some(node) = live.filter(|node| self.new.contains(&node.base())) {
            live = log.node_after(node).filter(|node| node.base() <= self.last);
        }
        match (kept, live) {
            (Some(kept), Some(live)) if live.base() < kept.base() => Some(live),
            (Some(kept), _) => Some(kept),
            (None, live) => live,
        }
    }
}

/// What there is to know of a stream that is being shown.
pub struct OldStream {
    id: ImageId,
    pub nodes: u64,
    pub len: u64,
    pub first_id: StreamId,
    pub history: History,
    /// The groups that are in the image, in order.
    names: Vec<Box<[u8]>>,
    /// Of those the first few are shown.
    shown: usize,
    /// Groups of the image that have gone.
    gone: BTreeMap<Box<[u8]>, Group>,
    /// What the groups' images keep.
    bytes: Arc<AtomicUsize>,
}

impl OldStream {
    /// A group is about to change.
    #[cold]
    pub(super) fn keep(&self, name: &[u8], group: &mut Group) {
        if self.wants(name) {
            group.begin_image(&self.bytes);
        }
    }

    /// A group has gone.
    pub(super) fn keep_gone(&mut self, name: &[u8], mut group: Group) {
        if self.wants(name) {
            group.begin_image(&self.bytes);
            self.gone.insert(name.into(), group);
        }
    }

    fn wants(&self, name: &[u8]) -> bool {
        let at = self.names.binary_search_by(|one| (**one).cmp(name));
        at.is_ok_and(|at| at >= self.shown) && !self.gone.contains_key(name)
    }

    pub fn groups_len(&self) -> usize {
        self.names.len()
    }
}

impl Stream {
    /// From now on the image is of what it holds now.
    pub fn begin_image(&mut self, id: ImageId) -> bool {
        self.log.old = OldNodes::of(&self.log);
        self.old = Some(Box::new(OldStream {
            id,
            nodes: self.log.nodes_len() as u64,
            len: self.log.len(),
            first_id: self.log.first_id(),
            history: self.log.history(),
            names: self.groups.keys().cloned().collect(),
            shown: 0,
            gone: BTreeMap::new(),
            bytes: Arc::default(),
        }));
        true
    }

    /// Shows the next node of the image. False where all are shown.
    pub fn step_image(&mut self, show: impl FnOnce(NodeView<'_>)) -> bool {
        let Some(old) = &self.log.old else { return false };
        let Some(node) = old.next(&self.log) else {
            self.log.old = None;
            return false;
        };
        let base = node.base();
        show(NodeView::of(node));
        if let Some(old) = &mut self.log.old {
            old.shown = Some(base);
            old.kept.remove(&base);
        }
        true
    }

    /// What else the image tells.
    pub fn old(&self) -> Option<&OldStream> {
        self.old.as_deref()
    }

    /// The next of the groups in the image: its name, and itself with an image of its own.
    pub fn old_group(&mut self) -> Option<(&[u8], &Group)> {
        let old = self.old.as_deref_mut()?;
        let name = old.names.get(old.shown)?;
        let group = match old.gone.get_mut(name) {
            Some(gone) => gone,
            None => self.groups.get_mut(name).expect("a group of the image is kept as it goes"),
        };
        group.begin_image(&old.bytes);
        Some((name, group))
    }

    /// That group was shown.
    pub fn pass_old_group(&mut self) {
        let Some(old) = &mut self.old else { return };
        let name = &old.names[old.shown];
        if old.gone.remove(name).is_none()
            && let Some(group) = self.groups.get_mut(name)
        {
            group.end_image();
        }
        old.shown += 1;
    }

    pub fn end_image(&mut self) {
        self.log.old = None;
        self.old = None;
        self.groups.values_mut().for_each(Group::end_image);
    }

    /// The image that is not through, and about how much memory it takes.
    pub fn image(&self) -> Option<(ImageId, usize)> {
        let nodes = self.log.old.as_ref().map_or(0, |old| old.bytes);
        self.old.as_ref().map(|old| (old.id, old.bytes.load(Ordering::Relaxed) + nodes))
    }

    /// Before a group changes.
    #[inline]
    pub(super) fn note_group(&mut self, name: &[u8]) {
        if let Some(old) = &self.old
            && let Some(group) = self.groups.get_mut(name)
        {
            old.keep(name, group);
        }
    }
}
