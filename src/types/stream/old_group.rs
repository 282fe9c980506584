//! A consumer group as it was at one moment, shown in parts while it goes on changing.
//!
//! Its pending entries are known by the chunks they lie in. One that changes or goes is kept as it was, once, until all of the group was shown:
//! a file wants the entries first all together and then by consumer. Who the consumers were is noted when the image begins.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::pending::{Chunk, ConsumerIndex, Pending};
use super::{Group, StreamId};

/// What there is to know of a group but for its pending entries.
#[derive(Clone, Debug)]
pub struct OldGroup {
    pub last_delivered_id: StreamId,
    pub entries_read: Option<u64>,
    pub pending_len: u64,
    /// In order of their names.
    pub consumers: Vec<OldConsumer>,
}

#[derive(Clone, Debug)]
pub struct OldConsumer {
    pub at: ConsumerIndex,
    pub name: Arc<[u8]>,
    pub seen_ms: u64,
    pub pending_len: u64,
}

/// The chunks of pending entries.
pub(super) struct OldChunks {
    /// The key of the last one in the image.
    last: Option<StreamId>,
    kept: BTreeMap<StreamId, Box<Chunk>>,
    /// Chunks that came later and have a key that one of the image might have had.
    new: BTreeSet<StreamId>,
    /// What the images of the stream's groups keep, all together, and this one's part of it.
    bytes: Arc<AtomicUsize>,
    own_bytes: usize,
}

impl OldChunks {
    /// A chunk is about to change.
    #[cold]
    pub(super) fn keep(&mut self, chunk: &Chunk) {
        let key = chunk.key;
        if Some(key) <= self.last && !self.new.contains(&key) && !self.kept.contains_key(&key) {
            self.own_bytes += chunk.heap_bytes();
            self.bytes.fetch_add(chunk.heap_bytes(), Ordering::Relaxed);
            self.kept.insert(key, Box::new(chunk.clone()));
        }
    }

    /// A chunk has gone.
    #[cold]
    pub(super) fn keep_gone(&mut self, chunk: &Chunk) {
        if !self.new.remove(&chunk.key) {
            self.keep(chunk);
        }
    }

    /// A chunk has come.
    #[cold]
    pub(super) fn note_new(&mut self, key: StreamId) {
        if Some(key) <= self.last && !self.kept.contains_key(&key) {
            self.new.insert(key);
        }
    }
}

impl Drop for OldChunks {
    fn drop(&mut self) {
        self.bytes.fetch_sub(self.own_bytes, Ordering::Relaxed);
    }
}

impl Group {
    /// From now on the image is of what it holds now; one that has begun stays. What it keeps is added to `bytes`. O(consumers).
    pub(super) fn begin_image(&mut self, bytes: &Arc<AtomicUsize>) {
        if self.old.is_some() {
            return;
        }
        let consumers = self.consumers().map(|(at, consumer)| OldConsumer {
            at,
            name: Arc::clone(&consumer.name),
            seen_ms: consumer.seen_ms(),
            pending_len: consumer.pending_len(),
        });
        self.old = Some(Box::new(OldGroup {
            last_delivered_id: self.last_delivered_id(),
            entries_read: self.entries_read(),
            pending_len: self.pending_len(),
            consumers: consumers.collect(),
        }));
        self.table.old = Some(Box::new(OldChunks {
            last: self.table.last_key(),
            kept: BTreeMap::new(),
            new: BTreeSet::new(),
            bytes: Arc::clone(bytes),
            own_bytes: 0,
        }));
    }

    pub(super) fn end_image(&mut self) {
        self.old = None;
        self.table.old = None;
    }

    /// As a copy is: nobody waits for an image of it.
    pub(super) fn without_image(mut self) -> Self {
        self.end_image();
        self
    }

    /// What it was, where it has an image.
    pub fn old(&self) -> Option<&OldGroup> {
        self.old.as_deref()
    }

    /// The image's pending entries, some at a time: those of the chunk behind the one with this key, and that chunk's own.
    pub fn old_pending_after(&self, key: Option<StreamId>) -> Option<(StreamId, impl Iterator<Item = Pending>)> {
        let old = self.table.old.as_deref()?;
        let behind = key.map_or(Bound::Unbounded, Bound::Excluded);
        let kept = old.kept.range((behind, Bound::Unbounded)).next().map(|(_, chunk)| &**chunk);
        let within = |chunk: &&Chunk| Some(chunk.key) <= old.last;
        let mut live = self.table.chunk_after(key).filter(within);
        while let Some(chunk) = live.filter(|chunk| old.new.contains(&chunk.key) || old.kept.contains_key(&chunk.key)) {
            live = self.table.chunk_after(Some(chunk.key)).filter(within);
        }
        let chunk = match (kept, live) {
            (Some(kept), Some(live)) if live.key < kept.key => live,
            (Some(kept), _) => kept,
            (None, live) => live?,
        };
        Some((chunk.key, chunk.iter()))
    }
}
