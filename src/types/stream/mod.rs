//! Streams: an append-only log of entries, the consumer groups that read it, and what its producers have said before.
//!
//! The entries are in `log.rs` (and `node.rs` under it), groups in `group.rs` (and `pending.rs`), what passes between the two in `delivery.rs`,
//! deletion in `trim.rs`. Syntax, replies and error texts are the command layer's; time comes in as an argument everywhere.

mod delivery;
mod group;
mod handle;
mod id;
mod log;
mod node;
mod old;
mod old_group;
mod parts;
mod pending;
mod producers;
#[cfg(test)]
mod tests;
mod trim;
mod varint;

use std::collections::BTreeMap;

pub use delivery::{AutoClaimed, Claim, ClaimOptions, GroupReader, IdleClaimed, NackMode};
pub use group::{Consumer, Group, PendingQuery};
pub use handle::StreamBox;
pub use id::{IdError, IdText, NewId, ReadFrom, StreamId};
pub use log::{AppendError, Log, Lookup, NewIdError, Range, RangeBack, SetIdError};
pub use node::{Entry, Fields, NodeLimits};
pub use old::OldStream;
pub use old_group::{OldConsumer, OldGroup};
pub use parts::{History, Loader, Malformed, NodeView};
pub use pending::{ConsumerIndex, DELIVERIES_MAX, Pending};
pub use producers::{ProducerLimits, Producers};
pub use trim::{Deletion, RefPolicy, Trim, TrimTo};

/// A stream. The keyspace holds it by a [`StreamBox`], which is one word.
///
/// ```text
///   Stream ── Log ─────────── nodes of entries, ids, counts          read by …
///         ├── groups ──────── name ─► Group ── consumers             … each group at its own pace
///         │                             └───── pending entries       ids of the log, or of what it held once
///         └── producers ───── producer ─► message ─► id              only where idempotent producers write
/// ```
pub struct Stream {
    log: Log,
    groups: BTreeMap<Box<[u8]>, Group>,
    producers: Option<Box<Producers>>,
    /// What it was at a moment that a snapshot wants to know of.
    old: Option<Box<OldStream>>,
}

impl Stream {
    pub fn new() -> Self {
        Self { log: Log::new(), groups: BTreeMap::new(), producers: None, old: None }
    }

    /// The entries and their history.
    pub fn log(&self) -> &Log {
        &self.log
    }

    pub fn len(&self) -> u64 {
        self.log.len()
    }

    pub fn is_empty(&self) -> bool {
        self.log.is_empty()
    }

    /// The id the next entry gets, or why it cannot.
    pub fn next_id(&self, wish: NewId, now_ms: u64) -> Result<StreamId, NewIdError> {
        self.log.next_id(wish, now_ms)
    }

    /// Appends an entry under an id of [`Stream::next_id`].
    pub fn append<'a>(
        &mut self,
        id: StreamId,
        fields: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone,
        limits: NodeLimits,
    ) -> Result<(), AppendError> {
        self.log.append(id, fields, limits)
    }

    /// XSETID
    pub fn set_history(
        &mut self,
        last_id: StreamId,
        entries_added: Option<u64>,
        max_deleted_id: Option<StreamId>,
    ) -> Result<(), SetIdError> {
        self.log.set_history(last_id, entries_added, max_deleted_id)
    }

    /// All groups in order of their names.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.groups.iter().map(|(name, group)| (&**name, group))
    }

    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name)
    }

    /// A group, for what needs no entries (acknowledging, consumers); else see [`Stream::reader`].
    pub fn group_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.note_group(name);
        self.groups.get_mut(name)
    }

    /// Adds a group that has read up to `last_delivered_id`; nothing where there is one of this name.
    pub fn create_group(
        &mut self,
        name: &[u8],
        last_delivered_id: StreamId,
        entries_read: Option<u64>,
    ) -> Option<&mut Group> {
        if self.groups.contains_key(name) {
            return None;
        }
        let entries_read = self.possible_entries_read(entries_read);
        Some(self.groups.entry(name.into()).or_insert(Group::new(last_delivered_id, entries_read)))
    }

    /// Puts a group elsewhere in the log; says whether there is one.
    pub fn set_group_id(&mut self, name: &[u8], last_delivered_id: StreamId, entries_read: Option<u64>) -> bool {
        let entries_read = self.possible_entries_read(entries_read);
        let Some(group) = self.group_mut(name) else { return false };
        group.last_delivered_id = last_delivered_id;
        group.entries_read = entries_read;
        true
    }

    /// XCLAIM's LASTID: a group never goes back by it.
    pub fn raise_group_id(&mut self, name: &[u8], last_delivered_id: StreamId) {
        if let Some(group) = self.group_mut(name) {
            group.last_delivered_id = group.last_delivered_id.max(last_delivered_id);
        }
    }

    /// Removes a group and all it had pending; says whether there was one.
    pub fn destroy_group(&mut self, name: &[u8]) -> bool {
        let Some(group) = self.groups.remove(name) else { return false };
        if let Some(old) = &mut self.old {
            old.keep_gone(name, group);
        }
        true
    }

    /// Bytes on the heap besides the stream itself. O(consumers + producers), not O(entries).
    pub fn heap_bytes(&self) -> usize {
        const GROUP_ROOM: usize = size_of::<(Box<[u8]>, Group)>() * 4 / 3;
        let groups = self.groups.iter().map(|(name, group)| GROUP_ROOM + name.len() + group.heap_bytes());
        self.log.heap_bytes()
            + groups.sum::<usize>()
            + self.producers.as_ref().map_or(0, |producers| producers.heap_bytes())
    }

    /// Asserts every invariant. O(all).
    pub fn check(&self) {
        self.log.check();
        self.groups.values().for_each(Group::check);
        if let Some(producers) = &self.producers {
            producers.check();
        }
    }

    /// How many entries were ever added up to `id`, deleted ones included, where that can be told.
    pub fn entries_up_to(&self, id: StreamId) -> Option<u64> {
        self.log.entries_up_to(id)
    }

    /// Nobody has read more than was ever added.
    fn possible_entries_read(&self, entries_read: Option<u64>) -> Option<u64> {
        entries_read.map(|read| read.min(self.log.entries_added()))
    }
}

impl Clone for Stream {
    /// A copy, as COPY makes it.
    fn clone(&self) -> Self {
        let groups = self.groups.iter().map(|(name, group)| (name.clone(), group.clone().without_image()));
        Self { log: self.log.clone(), groups: groups.collect(), producers: self.producers.clone(), old: None }
    }
}

impl Default for Stream {
    fn default() -> Self {
        Self::new()
    }
}
