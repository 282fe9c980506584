//! What may be deleted and what goes with it: XTRIM's strategies, and what deletion does to pending entries.
//!
//! Whole nodes are dropped without a look at their entries where nobody has to be asked; everything else goes entry by entry.

use super::node::Node;
use super::{Stream, StreamId};

/// What deleting an entry does where consumer groups still refer to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefPolicy {
    /// KEEPREF: the entry goes, pending entries stay and point at nothing.
    #[default]
    Keep,
    /// DELREF: pending entries go with it.
    Delete,
    /// ACKED: only an entry that every group has read and acknowledged may go.
    Acked,
}

/// Up to where a stream is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimTo {
    MaxLen(u64),
    MinId(StreamId),
}

/// The trimming clause of XADD and XTRIM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    pub to: TrimTo,
    /// `~`: only whole nodes.
    pub approximate: bool,
    /// At most so many entries are looked at; 0 for no limit.
    pub limit: u64,
    pub policy: RefPolicy,
}

/// What became of an id that was to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// -1: there is no such entry.
    NotFound,
    /// 1
    Deleted,
    /// 2: a group still refers to it, or has not read it.
    Referenced,
}

impl Trim {
    /// The limit where `~` comes without one: a hundred nodes' worth.
    pub fn default_limit(node_entries_max: usize) -> u64 {
        match node_entries_max as u64 {
            0 => 10_000,
            entries => entries.saturating_mul(100).min(1_000_000),
        }
    }
}

impl TrimTo {
    fn reached(self, len: u64) -> bool {
        matches!(self, TrimTo::MaxLen(len_max) if len <= len_max)
    }

    fn covers_node(self, node: &Node, len: u64) -> bool {
        match self {
            TrimTo::MaxLen(len_max) => len - node.alive() >= len_max,
            TrimTo::MinId(id) => node.last_id() < id,
        }
    }

    fn covers_entry(self, id: StreamId, len: u64) -> bool {
        match self {
            TrimTo::MaxLen(len_max) => len > len_max,
            TrimTo::MinId(min) => id < min,
        }
    }
}

impl Stream {
    /// Trims from the front; gives back how many entries went.
    pub fn trim(&mut self, trim: Trim) -> u64 {
        let len_before = self.log.len();
        // Without groups there is nobody to ask.
        let policy = if self.groups.is_empty() { RefPolicy::Keep } else { trim.policy };
        let mut examined = 0;
        let mut after = None;
        while !trim.to.reached(self.log.len())
            && let Some(node) = self.log.node_from(after)
        {
            let (base, alive) = (node.base(), node.alive());
            if trim.limit > 0 && examined + alive > trim.limit {
                break;
            }
            let whole = trim.to.covers_node(node, self.log.len());
            if trim.approximate && !whole {
                break;
            }
            let last_id = node.last_id();
            examined += alive;
            if whole && policy == RefPolicy::Keep {
                self.log.drop_node(base);
            } else if !self.trim_node(base, trim.to, policy) || !whole {
                // As in Redis: what a node keeps for its readers is not made up for in the next one.
                break;
            }
            after = Some(last_id);
        }
        if self.log.len() != len_before {
            self.log.find_first_id();
        }
        len_before - self.log.len()
    }

    /// Deletes one entry; what it was referred to by is left alone.
    pub fn delete(&mut self, id: StreamId) -> bool {
        self.log.delete(id)
    }

    /// XDELEX: deletes one entry by a policy.
    pub fn delete_by(&mut self, id: StreamId, policy: RefPolicy) -> Deletion {
        let exists = self.log.contains(id);
        match policy {
            // As in Redis groups are asked first: an id that is gone, or was never given, may still be unread or pending somewhere.
            RefPolicy::Acked if self.is_referenced(id) => return Deletion::Referenced,
            RefPolicy::Delete => self.forget_references(id),
            RefPolicy::Keep | RefPolicy::Acked => {}
        }
        if exists && self.log.delete(id) { Deletion::Deleted } else { Deletion::NotFound }
    }

    /// XACKDEL: acknowledges an entry of a group, then deletes it by a policy. Nothing where it was not pending.
    pub fn ack_and_delete(&mut self, group: &[u8], id: StreamId, policy: RefPolicy) -> Deletion {
        if !self.group_mut(group).is_some_and(|group| group.ack(id)) {
            return Deletion::NotFound;
        }
        match self.delete_by(id, policy) {
            Deletion::Referenced => Deletion::Referenced,
            // The entry may have been gone before: what was asked for holds.
            Deletion::Deleted | Deletion::NotFound => Deletion::Deleted,
        }
    }

    /// Whether a group has an entry pending or has yet to read it.
    pub fn is_referenced(&self, id: StreamId) -> bool {
        self.groups.values().any(|group| group.last_delivered_id() < id || group.pending(id).is_some())
    }

    /// Takes an id out of every group's pending entries.
    pub(super) fn forget_references(&mut self, id: StreamId) {
        for (name, group) in &mut self.groups {
            if let Some(old) = &mut self.old
                && group.pending(id).is_some()
            {
                old.keep(name, group);
            }
            group.ack(id);
        }
    }

    /// Goes through one node's entries from the front; says whether the next node is to be looked at.
    fn trim_node(&mut self, base: StreamId, to: TrimTo, policy: RefPolicy) -> bool {
        let node_end = self.log.node_from(base.predecessor()).map_or(base, |node| node.last_id());
        let ids: Vec<StreamId> = self.log.range(base, node_end).map(|entry| entry.id).collect();
        for id in ids {
            if !to.covers_entry(id, self.log.len()) {
                return false;
            }
            match policy {
                RefPolicy::Acked if self.is_referenced(id) => continue,
                RefPolicy::Delete => self.forget_references(id),
                RefPolicy::Keep | RefPolicy::Acked => {}
            }
            self.log.remove(id);
        }
        true
    }
}
