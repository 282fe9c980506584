//! The pending entries of one consumer group: delivered, not yet acknowledged.
//!
//! Each entry's facts (id, owner, time of delivery, number of deliveries) are stored once, in order of ids, in chunks of a radix tree.
//! The other two orders are derived: "longest idle first" from the oldest delivery each chunk is marked with, and "of this
//! consumer" from the list of chunks each consumer occurs in, which [`Occurrences`] keeps.

use std::collections::VecDeque;

use super::StreamId;
use super::old_group::OldChunks;
use crate::ds::rax::{Rax, Seek, Tally};

/// A consumer's place in its group's table of consumers.
pub type ConsumerIndex = u32;

/// One pending entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    pub id: StreamId,
    /// When it was delivered last; without an owner its turn among those that have none.
    pub delivered_ms: u64,
    pub deliveries: u64,
    /// Nothing once the entry was negatively acknowledged.
    pub owner: Option<ConsumerIndex>,
}

/// All pending entries of a group.
///
/// ```text
///   radix tree by the chunk's key                     a chunk: at most 128 entries from its key to the next chunk's key
///
///   0-0 ─────────► Chunk   weight 3, mark 5           base ms 1005   base time 1000
///                            │                        ┌ ms ┬ seq ┬ time ┬ deliveries ┬ owner ┐
///                            └────────────────────►   │ +0 │   0 │   +0 │          1 │     0 │   16 bytes an entry
///                                                     │ +0 │   1 │  +40 │          1 │     1 │   (40 where one of a chunk's
///                                                     │ +7 │   0 │    5 │          2 │  none │    entries does not fit)
///   1700-3 ──────► Chunk   weight 128, mark OWNED+1090└────┴─────┴──────┴────────────┴───────┘
///
///   weight = entries in the chunk              adds up to "how many are pending"
///   mark   = least time of delivery + OWNED    the least of all leads to the entry that is idle longest;
///            or a turn below OWNED             without an owner: before all others, in order of their turns
/// ```
///
/// Invariants (`check`): no chunk is empty, ids ascend within and across chunks, a chunk's ids are at least its key.
pub(super) struct PendingTable {
    chunks: Rax<Box<Chunk>>,
    chunk_bytes: usize,
    /// What it was at a moment that a snapshot wants to know of.
    pub(super) old: Option<Box<OldChunks>>,
}

/// In which chunks a consumer has entries: the chunks' keys in order.
#[derive(Clone, Default)]
pub(super) struct Occurrences {
    chunks: VecDeque<StreamId>,
}

/// Whose [`Occurrences`] a change of the table touches.
pub(super) trait Owners {
    fn occurrences(&mut self, owner: ConsumerIndex) -> &mut Occurrences;

    /// How many entries an owner has changes.
    fn count(&mut self, owner: ConsumerIndex, change: i64);
}

#[derive(Clone)]
pub(super) struct Chunk {
    pub(super) key: StreamId,
    mark: u64,
    entries: Entries,
}

#[derive(Clone)]
enum Entries {
    Narrow { base_ms: u64, base_time: u64, entries: Vec<Narrow> },
    Wide(Vec<Pending>),
}

#[derive(Clone, Copy)]
struct Narrow {
    ms: u32,
    seq: u32,
    /// The distance from the base; without an owner the turn itself.
    time: u32,
    deliveries: u16,
    owner: u16,
}

const CHUNK_LEN_MAX: usize = 128;
const NO_OWNER: u16 = u16::MAX;

/// Marks of entries that have an owner are above all turns.
const OWNED: u64 = 1 << 63;

/// What a poisoned entry's count is set to; it has a short form of its own so that such entries stay small.
pub const DELIVERIES_MAX: u64 = i64::MAX as u64;
const NARROW_DELIVERIES_MAX: u16 = u16::MAX;

impl PendingTable {
    pub(super) fn new() -> Self {
        Self { chunks: Rax::new(), chunk_bytes: 0, old: None }
    }

    pub(super) fn len(&self) -> u64 {
        self.chunks.total().weight
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.chunks.heap_bytes() + self.chunk_bytes
    }

    pub(super) fn get(&self, id: StreamId) -> Option<Pending> {
        let chunk = self.chunk_of(id)?;
        Some(chunk.entries.get(chunk.entries.find(id).ok()?))
    }

    pub(super) fn first(&self) -> Option<Pending> {
        self.chunks.first().map(|chunk| chunk.entries.get(0))
    }

    pub(super) fn last(&self) -> Option<Pending> {
        self.chunks.last().map(|chunk| chunk.entries.get(chunk.entries.len() - 1))
    }

    /// Whether an entry has no owner. O(1).
    pub(super) fn has_unowned(&self) -> bool {
        self.chunks.total().mark < OWNED
    }

    /// The entry that waits longest: those without an owner in order of their turns, then the oldest delivery; the least id among equals.
    pub(super) fn oldest(&self) -> Option<Pending> {
        let chunk = self.chunks.lowest()?;
        let mark = self.chunks.total().mark;
        (0..chunk.entries.len()).map(|at| chunk.entries.get(at)).find(|entry| entry.mark() == mark)
    }

    /// Entries from an id on that were delivered at `delivered_max_ms` or before, or have no owner.
    ///
    /// Chunks in which all are younger are skipped without being looked at.
    pub(super) fn delivered_by(&self, from: StreamId, delivered_max_ms: Option<u64>) -> impl Iterator<Item = Pending> {
        let mark_max = delivered_max_ms.map_or(OWNED - 1, owned_mark);
        let mut chunk = self.chunk_of(from).filter(|chunk| chunk.last_id() >= from);
        let mut at = chunk.map_or(0, |chunk| chunk.entries.lower_bound(from));
        if chunk.is_none() {
            chunk = self.chunks.next_marked(&from.to_key(), mark_max).map(|chunk| &**chunk);
        }
        std::iter::from_fn(move || {
            loop {
                let here = chunk?;
                while at < here.entries.len() {
                    at += 1;
                    let entry = here.entries.get(at - 1);
                    if entry.mark() <= mark_max {
                        return Some(entry);
                    }
                }
                let after = here.last_id().successor()?;
                chunk = self.chunks.next_marked(&after.to_key(), mark_max).map(|chunk| &**chunk);
                at = 0;
            }
        })
    }

    /// Entries from an id on, in order of ids.
    pub(super) fn from(&self, id: StreamId) -> impl Iterator<Item = Pending> {
        let mut chunk = self.chunk_of(id).or_else(|| self.chunks.first().map(|chunk| &**chunk));
        let mut at = chunk.map_or(0, |chunk| chunk.entries.lower_bound(id));
        std::iter::from_fn(move || {
            let here = chunk?;
            if at < here.entries.len() {
                at += 1;
                return Some(here.entries.get(at - 1));
            }
            chunk = self.chunks.seek(&here.key.to_key(), Seek::Above).map(|chunk| &**chunk);
            at = 1;
            chunk.map(|next| next.entries.get(0))
        })
    }

    /// One consumer's entries from an id on. Only chunks it occurs in are looked at.
    pub(super) fn of_owner<'a>(
        &'a self,
        owner: ConsumerIndex,
        occurrences: &'a Occurrences,
        from: StreamId,
    ) -> impl Iterator<Item = Pending> + 'a {
        let first = occurrences.chunks.partition_point(|&key| key <= from).saturating_sub(1);
        occurrences.chunks.range(first..).flat_map(move |key| {
            let chunk = self.chunks.get(&key.to_key()).expect("a consumer occurs only in chunks that exist");
            let start = chunk.entries.lower_bound(from);
            (start..chunk.entries.len()).map(|at| chunk.entries.get(at)).filter(move |entry| entry.owner == Some(owner))
        })
    }

    /// Adds entries or replaces them; they come in order of ids.
    pub(super) fn put_all(&mut self, mut entries: &[Pending], owners: &mut impl Owners) {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        while let Some(first) = entries.first() {
            let key = self.make_room(first.id, owners);
            let end = self.chunks.seek(&key.to_key(), Seek::Above).map(|chunk| chunk.key);
            let taken = self.edit(key, |chunk| {
                let belongs = |entry: &Pending| end.is_none_or(|end| entry.id < end);
                let mut taken = 0;
                while let Some(&entry) = entries.get(taken).filter(|&entry| belongs(entry))
                    && !chunk.is_full_for(entry.id)
                {
                    let owner_before = chunk.put(entry).and_then(|before| before.owner);
                    if owner_before != entry.owner {
                        owner_before.into_iter().for_each(|owner| owners.count(owner, -1));
                        entry.owner.into_iter().for_each(|owner| owners.count(owner, 1));
                        note(&mut before, owner_before);
                    }
                    note(&mut after, entry.owner);
                    taken += 1;
                }
                before.retain(|&owner| !chunk.entries.has(owner));
                taken
            });
            before.drain(..).for_each(|owner| owners.occurrences(owner).remove(key));
            after.drain(..).for_each(|owner| owners.occurrences(owner).add(key));
            entries = &entries[taken..];
        }
    }

    pub(super) fn remove(&mut self, id: StreamId, owners: &mut impl Owners) -> Option<Pending> {
        let chunk = self.chunk_of(id)?;
        let key = chunk.key;
        let at = chunk.entries.find(id).ok()?;
        if chunk.entries.len() == 1 {
            let entry = chunk.entries.get(at);
            self.take_chunk(key);
            if let Some(owner) = entry.owner {
                owners.count(owner, -1);
                owners.occurrences(owner).remove(key);
            }
            return Some(entry);
        }
        let (entry, left, len) = self.edit(key, |chunk| {
            let entry = chunk.remove(at);
            let left = entry.owner.filter(|&owner| !chunk.entries.has(owner));
            (entry, left, chunk.entries.len())
        });
        if let Some(owner) = entry.owner {
            owners.count(owner, -1);
        }
        if let Some(owner) = left {
            owners.occurrences(owner).remove(key);
        }
        // Looking at the neighbour now and then is enough to keep chunks from lying about nearly empty.
        if len <= CHUNK_LEN_MAX * 3 / 8 && len.is_multiple_of(8) {
            self.join_with_next(key, owners);
        }
        Some(entry)
    }

    /// Removes every entry of a consumer that goes away.
    pub(super) fn remove_owner(&mut self, owner: ConsumerIndex, occurrences: Occurrences) {
        for key in occurrences.chunks {
            let left = self.edit(key, |chunk| {
                chunk.retain(|entry| entry.owner != Some(owner));
                chunk.entries.len()
            });
            if left == 0 {
                self.take_chunk(key);
            }
        }
    }

    /// The chunk whose key is the next above this one.
    pub(super) fn chunk_after(&self, key: Option<StreamId>) -> Option<&Chunk> {
        match key {
            None => self.chunks.first().map(|chunk| &**chunk),
            Some(key) => self.chunks.seek(&key.to_key(), Seek::Above).map(|chunk| &**chunk),
        }
    }

    /// The key of the last chunk.
    pub(super) fn last_key(&self) -> Option<StreamId> {
        self.chunks.last().map(|chunk| chunk.key)
    }

    /// Asserts the invariants; `occurs` tells what a consumer's occurrences are.
    pub(super) fn check<'a>(&self, mut occurs: impl FnMut(ConsumerIndex) -> &'a Occurrences) {
        self.chunks.check(|chunk| chunk.tally());
        let mut walk = self.chunks.iter();
        let mut last = None;
        let mut bytes = 0;
        let mut count = 0;
        while let Some((key, chunk)) = walk.step() {
            assert_eq!(key, chunk.key.to_key());
            assert!(chunk.entries.len() > 0 && chunk.entries.len() <= CHUNK_LEN_MAX, "a chunk is never empty");
            assert!(chunk.entries.get(0).id >= chunk.key, "ids are at least their chunk's key");
            bytes += chunk.heap_bytes();
            for at in 0..chunk.entries.len() {
                let entry = chunk.entries.get(at);
                assert!(last < Some(entry.id), "ids ascend");
                last = Some(entry.id);
                count += 1;
                if let Some(owner) = entry.owner {
                    assert!(occurs(owner).chunks.binary_search(&chunk.key).is_ok(), "a consumer knows its chunks");
                }
            }
        }
        assert_eq!((bytes, count), (self.chunk_bytes, self.len()));
    }

    /// Asserts that a consumer's chunks exist and hold something of it.
    pub(super) fn check_owner(&self, owner: ConsumerIndex, occurrences: &Occurrences) {
        for pair in 1..occurrences.chunks.len() {
            assert!(occurrences.chunks[pair - 1] < occurrences.chunks[pair], "chunks are listed in order");
        }
        for key in &occurrences.chunks {
            let chunk = self.chunks.get(&key.to_key()).expect("a listed chunk exists");
            assert!(chunk.entries.has(owner), "a listed chunk holds something of the consumer");
        }
    }

    /// The key of the chunk an id belongs in, which has room for it.
    fn make_room(&mut self, id: StreamId, owners: &mut impl Owners) -> StreamId {
        match self.chunk_of(id) {
            Some(chunk) if !chunk.is_full_for(id) => chunk.key,
            Some(chunk) if id > chunk.last_id() => self.add_chunk(Chunk::new(id)),
            Some(chunk) => {
                let key = chunk.key;
                self.split(key, owners);
                self.chunk_of(id).map_or(key, |chunk| chunk.key)
            }
            // The first chunk reaches down to 0-0, so that entries that come in falling order do not get a chunk each.
            None => self.add_chunk(Chunk::new(StreamId::MIN)),
        }
    }

    fn chunk_of(&self, id: StreamId) -> Option<&Chunk> {
        self.chunks.seek(&id.to_key(), Seek::AtMost).map(|chunk| &**chunk)
    }

    fn add_chunk(&mut self, chunk: Chunk) -> StreamId {
        let key = chunk.key;
        self.chunk_bytes += chunk.heap_bytes();
        let tally = chunk.tally();
        self.chunks.insert(&key.to_key(), Box::new(chunk), tally);
        if let Some(old) = &mut self.old {
            old.note_new(key);
        }
        key
    }

    fn take_chunk(&mut self, key: StreamId) -> Box<Chunk> {
        let chunk = self.chunks.remove(&key.to_key()).expect("the chunk was found before");
        self.chunk_bytes -= chunk.heap_bytes();
        if let Some(old) = &mut self.old {
            old.keep_gone(&chunk);
        }
        chunk
    }

    fn edit<R>(&mut self, key: StreamId, change: impl FnOnce(&mut Chunk) -> R) -> R {
        if let Some(old) = &mut self.old
            && let Some(chunk) = self.chunks.get(&key.to_key())
        {
            old.keep(chunk);
        }
        let bytes = &mut self.chunk_bytes;
        let edited = self.chunks.update(&key.to_key(), |chunk| {
            *bytes -= chunk.heap_bytes();
            let result = change(chunk);
            *bytes += chunk.heap_bytes();
            (result, chunk.tally())
        });
        edited.expect("the chunk was found before")
    }

    fn split(&mut self, key: StreamId, owners: &mut impl Owners) {
        let upper = self.edit(key, |chunk| chunk.split_off(CHUNK_LEN_MAX / 2));
        let upper_key = upper.get(0).id;
        let mut seen = Vec::new();
        for owner in upper.owners(&mut seen) {
            owners.occurrences(owner).add(upper_key);
        }
        self.add_chunk(Chunk::with(upper_key, upper));
        self.forget_missing(key, &seen, owners);
    }

    fn join_with_next(&mut self, key: StreamId, owners: &mut impl Owners) {
        let Some(next) = self.chunks.seek(&key.to_key(), Seek::Above) else { return };
        let len = self.chunks.get(&key.to_key()).map_or(0, |chunk| chunk.entries.len());
        if next.entries.len() + len > CHUNK_LEN_MAX * 3 / 4 {
            return;
        }
        let next_key = next.key;
        let next = self.take_chunk(next_key);
        let mut seen = Vec::new();
        for owner in next.entries.owners(&mut seen) {
            owners.occurrences(owner).remove(next_key);
            owners.occurrences(owner).add(key);
        }
        self.edit(key, |chunk| {
            for at in 0..next.entries.len() {
                chunk.put(next.entries.get(at));
            }
        });
    }

    /// Takes a chunk out of the lists of those who have nothing in it any more.
    fn forget_missing(&self, key: StreamId, candidates: &[ConsumerIndex], owners: &mut impl Owners) {
        let chunk = self.chunks.get(&key.to_key()).expect("the chunk was split");
        for &owner in candidates {
            if !chunk.entries.has(owner) {
                owners.occurrences(owner).remove(key);
            }
        }
    }
}

impl Clone for PendingTable {
    fn clone(&self) -> Self {
        let mut copy = Self::new();
        let mut walk = self.chunks.iter();
        while let Some((_, chunk)) = walk.step() {
            copy.add_chunk(Chunk::clone(chunk));
        }
        copy
    }
}

impl Pending {
    /// For how long it has been with its owner.
    pub fn idle_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.delivered_ms)
    }

    fn mark(&self) -> u64 {
        match self.owner {
            None => self.delivered_ms.min(OWNED - 1),
            Some(_) => owned_mark(self.delivered_ms),
        }
    }
}

#[inline]
fn owned_mark(delivered_ms: u64) -> u64 {
    OWNED | delivered_ms.min(OWNED - 1)
}

impl Occurrences {
    pub(super) fn heap_bytes(&self) -> usize {
        self.chunks.capacity() * size_of::<StreamId>()
    }

    fn add(&mut self, key: StreamId) {
        if self.chunks.back().is_none_or(|&last| last < key) {
            self.chunks.push_back(key);
        } else if let Err(at) = self.chunks.binary_search(&key) {
            self.chunks.insert(at, key);
        }
    }

    fn remove(&mut self, key: StreamId) {
        if let Ok(at) = self.chunks.binary_search(&key) {
            self.chunks.remove(at);
        }
        if self.chunks.len() * 4 < self.chunks.capacity() {
            self.chunks.shrink_to(self.chunks.len() * 2);
        }
    }
}

impl Chunk {
    fn new(key: StreamId) -> Self {
        Self::with(key, Entries::Narrow { base_ms: 0, base_time: 0, entries: Vec::new() })
    }

    fn with(key: StreamId, entries: Entries) -> Self {
        Self { key, mark: entries.least_mark(), entries }
    }

    fn tally(&self) -> Tally {
        Tally { weight: self.entries.len() as u64, mark: self.mark }
    }

    fn put(&mut self, entry: Pending) -> Option<Pending> {
        let before = self.entries.put(entry);
        if entry.mark() <= self.mark {
            self.mark = entry.mark();
        } else if before.is_some_and(|before| before.mark() == self.mark) {
            self.mark = self.entries.least_mark();
        }
        before
    }

    fn remove(&mut self, at: usize) -> Pending {
        let entry = self.entries.remove(at);
        if entry.mark() == self.mark {
            self.mark = self.entries.least_mark();
        }
        entry
    }

    fn retain(&mut self, keep: impl Fn(&Pending) -> bool) {
        self.entries.retain(keep);
        self.mark = self.entries.least_mark();
    }

    fn split_off(&mut self, at: usize) -> Entries {
        let upper = self.entries.split_off(at);
        self.mark = self.entries.least_mark();
        upper
    }

    fn last_id(&self) -> StreamId {
        self.entries.get(self.entries.len() - 1).id
    }

    fn is_full_for(&self, id: StreamId) -> bool {
        self.entries.len() >= CHUNK_LEN_MAX && self.entries.find(id).is_err()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of::<Self>() + self.entries.heap_bytes()
    }

    /// Its entries in order of ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = Pending> {
        (0..self.entries.len()).map(|at| self.entries.get(at))
    }
}

impl Entries {
    #[inline]
    fn len(&self) -> usize {
        match self {
            Entries::Narrow { entries, .. } => entries.len(),
            Entries::Wide(entries) => entries.len(),
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Entries::Narrow { entries, .. } => entries.capacity() * size_of::<Narrow>(),
            Entries::Wide(entries) => entries.capacity() * size_of::<Pending>(),
        }
    }

    #[inline]
    fn get(&self, at: usize) -> Pending {
        match self {
            Entries::Narrow { base_ms, base_time, entries } => entries[at].widen(*base_ms, *base_time),
            Entries::Wide(entries) => entries[at],
        }
    }

    #[inline]
    fn lower_bound(&self, id: StreamId) -> usize {
        match self {
            Entries::Narrow { base_ms, entries, .. } => entries.partition_point(|entry| entry.id(*base_ms) < id),
            Entries::Wide(entries) => entries.partition_point(|entry| entry.id < id),
        }
    }

    fn find(&self, id: StreamId) -> Result<usize, usize> {
        let at = self.lower_bound(id);
        if at < self.len() && self.get(at).id == id { Ok(at) } else { Err(at) }
    }

    fn least_mark(&self) -> u64 {
        match self {
            Entries::Narrow { base_time, entries, .. } => {
                entries.iter().map(|entry| entry.mark(*base_time)).min().unwrap_or(u64::MAX)
            }
            Entries::Wide(entries) => entries.iter().map(Pending::mark).min().unwrap_or(u64::MAX),
        }
    }

    fn has(&self, owner: ConsumerIndex) -> bool {
        match self {
            Entries::Narrow { entries, .. } => {
                u16::try_from(owner).is_ok_and(|owner| entries.iter().any(|entry| entry.owner == owner))
            }
            Entries::Wide(entries) => entries.iter().any(|entry| entry.owner == Some(owner)),
        }
    }

    /// Everyone who has something here, each once.
    fn owners<'a>(&self, seen: &'a mut Vec<ConsumerIndex>) -> impl Iterator<Item = ConsumerIndex> + 'a {
        seen.extend((0..self.len()).filter_map(|at| self.get(at).owner));
        seen.sort_unstable();
        seen.dedup();
        seen.iter().copied()
    }

    fn put(&mut self, entry: Pending) -> Option<Pending> {
        let at = self.find(entry.id);
        let before = at.ok().map(|at| self.get(at));
        self.make_fit(entry);
        match (self, at) {
            (Entries::Narrow { base_ms, base_time, entries }, at) => {
                let narrow = Narrow::new(entry, *base_ms, *base_time).expect("room was made for it");
                match at {
                    Ok(at) => entries[at] = narrow,
                    Err(at) => entries.insert(at, narrow),
                }
            }
            (Entries::Wide(entries), Ok(at)) => entries[at] = entry,
            (Entries::Wide(entries), Err(at)) => entries.insert(at, entry),
        }
        before
    }

    /// Moves the bases, or goes over to wide entries, until `entry` can be stored.
    fn make_fit(&mut self, entry: Pending) {
        let Entries::Narrow { base_ms, base_time, entries } = &*self else { return };
        if !entries.is_empty() && Narrow::new(entry, *base_ms, *base_time).is_some() {
            return;
        }
        let all = || entries.iter().map(|narrow| narrow.widen(*base_ms, *base_time)).chain([entry]);
        let owned = || all().filter(|entry| entry.owner.is_some());
        let ms = all().map(|entry| entry.id.ms).min().unwrap_or(0);
        let time = owned().map(|entry| entry.delivered_ms).min().unwrap_or(0);
        let fitting: Option<Vec<Narrow>> =
            entries.iter().map(|narrow| Narrow::new(narrow.widen(*base_ms, *base_time), ms, time)).collect();
        *self = match fitting {
            Some(entries) if Narrow::new(entry, ms, time).is_some() => {
                Entries::Narrow { base_ms: ms, base_time: time, entries }
            }
            _ => Entries::Wide(entries.iter().map(|narrow| narrow.widen(*base_ms, *base_time)).collect()),
        };
    }

    fn remove(&mut self, at: usize) -> Pending {
        let entry = self.get(at);
        match self {
            Entries::Narrow { entries, .. } => {
                entries.remove(at);
                tighten(entries);
            }
            Entries::Wide(entries) => {
                entries.remove(at);
                tighten(entries);
            }
        }
        entry
    }

    fn retain(&mut self, keep: impl Fn(&Pending) -> bool) {
        match self {
            Entries::Narrow { base_ms, base_time, entries } => {
                entries.retain(|entry| keep(&entry.widen(*base_ms, *base_time)));
                tighten(entries);
            }
            Entries::Wide(entries) => {
                entries.retain(keep);
                tighten(entries);
            }
        }
    }

    fn split_off(&mut self, at: usize) -> Entries {
        match self {
            Entries::Narrow { base_ms, base_time, entries } => {
                Entries::Narrow { base_ms: *base_ms, base_time: *base_time, entries: entries.split_off(at) }
            }
            Entries::Wide(entries) => Entries::Wide(entries.split_off(at)),
        }
    }
}

impl Narrow {
    fn new(entry: Pending, base_ms: u64, base_time: u64) -> Option<Self> {
        Some(Self {
            ms: u32::try_from(entry.id.ms.checked_sub(base_ms)?).ok()?,
            seq: u32::try_from(entry.id.seq).ok()?,
            time: match entry.owner {
                None => u32::try_from(entry.delivered_ms).ok()?,
                Some(_) => u32::try_from(entry.delivered_ms.checked_sub(base_time)?).ok()?,
            },
            deliveries: match entry.deliveries {
                DELIVERIES_MAX => NARROW_DELIVERIES_MAX,
                count => u16::try_from(count).ok().filter(|&count| count < NARROW_DELIVERIES_MAX)?,
            },
            owner: match entry.owner {
                None => NO_OWNER,
                Some(owner) => u16::try_from(owner).ok().filter(|&owner| owner < NO_OWNER)?,
            },
        })
    }

    #[inline]
    fn id(&self, base_ms: u64) -> StreamId {
        StreamId { ms: base_ms + u64::from(self.ms), seq: u64::from(self.seq) }
    }

    #[inline]
    fn mark(&self, base_time: u64) -> u64 {
        match self.owner {
            NO_OWNER => u64::from(self.time),
            _ => owned_mark(base_time + u64::from(self.time)),
        }
    }

    #[inline]
    fn widen(&self, base_ms: u64, base_time: u64) -> Pending {
        let owner = (self.owner != NO_OWNER).then_some(ConsumerIndex::from(self.owner));
        Pending {
            id: self.id(base_ms),
            delivered_ms: owner.map_or(0, |_| base_time) + u64::from(self.time),
            deliveries: match self.deliveries {
                NARROW_DELIVERIES_MAX => DELIVERIES_MAX,
                count => u64::from(count),
            },
            owner,
        }
    }
}

/// Gives back room once a third stands empty.
fn tighten<T>(entries: &mut Vec<T>) {
    if entries.len() * 3 <= entries.capacity() * 2 && entries.capacity() > 8 {
        entries.shrink_to(entries.len() + entries.len() / 4);
    }
}

/// Keeps each of a few owners once.
fn note(owners: &mut Vec<ConsumerIndex>, owner: Option<ConsumerIndex>) {
    if let Some(owner) = owner
        && owners.last() != Some(&owner)
        && !owners.contains(&owner)
    {
        owners.push(owner);
    }
}
