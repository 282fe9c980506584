//! A consumer group: how far it has read, its consumers, and what they have not acknowledged.
//!
//! Everything here concerns ids only. What needs the entries themselves (delivering, claiming) is in `delivery.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::old_group::OldGroup;
use super::pending::{ConsumerIndex, Occurrences, Owners, Pending, PendingTable};
use super::{Log, StreamId};

/// A consumer group.
#[derive(Clone)]
pub struct Group {
    pub(super) last_delivered_id: StreamId,
    pub(super) entries_read: Option<u64>,
    pub(super) table: PendingTable,
    consumers: Consumers,
    /// The turn of the entry that is released next.
    next_turn: u64,
    /// What it was at a moment that a snapshot wants to know of.
    pub(super) old: Option<Box<OldGroup>>,
}

/// One who reads for a group.
#[derive(Clone)]
pub struct Consumer {
    pub(super) name: Arc<[u8]>,
    seen_ms: u64,
    active_ms: Option<u64>,
    pending: u64,
    occurrences: Occurrences,
}

/// Consumers by place, which pending entries refer to, and by name. Places are used again.
#[derive(Clone, Default)]
struct Consumers {
    names: BTreeMap<Arc<[u8]>, ConsumerIndex>,
    places: Vec<Option<Box<Consumer>>>,
    free: Vec<ConsumerIndex>,
}

/// Which pending entries are asked for.
#[derive(Clone, Copy, Debug)]
pub struct PendingQuery {
    pub start: StreamId,
    pub end: StreamId,
    /// Only one consumer's.
    pub owner: Option<ConsumerIndex>,
    /// 0 for any; entries without an owner always are idle enough.
    pub idle_min_ms: u64,
    pub now_ms: u64,
}

impl Group {
    pub(super) fn new(last_delivered_id: StreamId, entries_read: Option<u64>) -> Self {
        Self {
            last_delivered_id,
            entries_read,
            table: PendingTable::new(),
            consumers: Consumers::default(),
            next_turn: 0,
            old: None,
        }
    }

    pub fn last_delivered_id(&self) -> StreamId {
        self.last_delivered_id
    }

    /// "entries-read" as Redis keeps it: nothing where it cannot be told. Our lag does not need it.
    pub fn entries_read(&self) -> Option<u64> {
        self.entries_read
    }

    /// How many entries are yet to be delivered. Exact, whatever was deleted. O(log n).
    pub fn lag(&self, log: &Log) -> u64 {
        log.count_after(self.last_delivered_id)
    }

    pub fn pending_len(&self) -> u64 {
        self.table.len()
    }

    pub fn pending(&self, id: StreamId) -> Option<Pending> {
        self.table.get(id)
    }

    pub fn first_pending(&self) -> Option<Pending> {
        self.table.first()
    }

    pub fn last_pending(&self) -> Option<Pending> {
        self.table.last()
    }

    /// The entry that has been idle longest, one without an owner before all others: when a reader that waits with CLAIM is due.
    pub fn oldest_pending(&self) -> Option<Pending> {
        self.table.oldest()
    }

    /// Pending entries in order of ids.
    pub fn pending_from(&self, id: StreamId) -> impl Iterator<Item = Pending> {
        self.table.from(id)
    }

    /// XPENDING's long form: what a query asks for, in order of ids. Entries that are too young are skipped without being looked at.
    pub fn query(&self, query: PendingQuery) -> Box<dyn Iterator<Item = Pending> + '_> {
        let delivered_max = idle_since(query.now_ms, query.idle_min_ms);
        let until = move |entry: &Pending| entry.id <= query.end;
        match query.owner {
            Some(owner) => {
                let old_enough = move |entry: &Pending| {
                    delivered_max.is_none_or(|max| max.is_some_and(|max| entry.delivered_ms <= max))
                };
                Box::new(self.pending_of(owner, query.start).take_while(until).filter(old_enough))
            }
            None => match delivered_max {
                None => Box::new(self.table.from(query.start).take_while(until)),
                Some(max) => Box::new(self.table.delivered_by(query.start, max).take_while(until)),
            },
        }
    }

    /// One consumer's pending entries from an id on.
    pub fn pending_of(&self, owner: ConsumerIndex, from: StreamId) -> Box<dyn Iterator<Item = Pending> + '_> {
        match self.consumer(owner) {
            Some(consumer) => Box::new(self.table.of_owner(owner, &consumer.occurrences, from)),
            None => Box::new(std::iter::empty()),
        }
    }

    /// All consumers in order of their names.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = (ConsumerIndex, &Consumer)> {
        self.consumers.names.values().map(|&at| (at, self.consumers.get(at).expect("a name has a consumer")))
    }

    pub fn find_consumer(&self, name: &[u8]) -> Option<ConsumerIndex> {
        self.consumers.names.get(name).copied()
    }

    pub fn consumer(&self, at: ConsumerIndex) -> Option<&Consumer> {
        self.consumers.get(at)
    }

    /// The consumer of this name, made where there is none; whether it was.
    pub fn consumer_or_new(&mut self, name: &[u8], now_ms: u64) -> (ConsumerIndex, bool) {
        match self.find_consumer(name) {
            Some(at) => (at, false),
            None => (self.consumers.add(name, now_ms), true),
        }
    }

    /// The consumer was heard of.
    pub fn set_seen(&mut self, at: ConsumerIndex, now_ms: u64) {
        if let Some(consumer) = self.consumers.get_mut(at) {
            consumer.seen_ms = now_ms;
        }
    }

    /// The consumer was given something.
    pub fn set_active(&mut self, at: ConsumerIndex, active_ms: Option<u64>) {
        if let Some(consumer) = self.consumers.get_mut(at) {
            consumer.active_ms = active_ms;
        }
    }

    /// Removes a consumer and all it has pending; gives back how many that were.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<u64> {
        let at = self.consumers.names.remove(name)?;
        let consumer = self.consumers.places[at as usize].take().expect("a name has a consumer");
        self.consumers.free.push(at);
        self.table.remove_owner(at, consumer.occurrences);
        Some(consumer.pending)
    }

    /// Acknowledges an entry; says whether it was pending.
    pub fn ack(&mut self, id: StreamId) -> bool {
        self.table.remove(id, &mut self.consumers).is_some()
    }

    /// Adds or replaces pending entries, which come in order of ids: what a file or a claim says.
    pub fn put_pending(&mut self, entries: &[Pending]) {
        debug_assert!(entries.iter().all(|entry| entry.owner.is_none_or(|owner| self.consumer(owner).is_some())));
        debug_assert!(entries.is_sorted_by_key(|entry| entry.id), "pending entries come in order of ids");
        let last_turn = entries.iter().filter(|entry| entry.owner.is_none()).map(|entry| entry.delivered_ms).max();
        self.next_turn = last_turn.map_or(self.next_turn, |turn| self.next_turn.max(turn.saturating_add(1)));
        self.table.put_all(entries, &mut self.consumers);
    }

    /// The turn of an entry that is released now, behind all that were before.
    pub(super) fn take_turn(&mut self) -> u64 {
        if !self.table.has_unowned() {
            self.next_turn = 0;
        }
        self.next_turn
    }

    /// Bytes on the heap. O(consumers).
    pub fn heap_bytes(&self) -> usize {
        const NAME_ROOM: usize = size_of::<(Arc<[u8]>, ConsumerIndex)>() * 3 / 2;
        let each = |consumer: &Consumer| {
            NAME_ROOM + consumer.name.len() + 16 + size_of::<Consumer>() + consumer.occurrences.heap_bytes()
        };
        self.table.heap_bytes()
            + self.consumers.places.capacity() * size_of::<Option<Box<Consumer>>>()
            + self.consumers.free.capacity() * size_of::<ConsumerIndex>()
            + self.consumers().map(|(_, consumer)| each(consumer)).sum::<usize>()
    }

    /// Asserts the group's invariants. O(pending + consumers).
    pub fn check(&self) {
        self.table.check(|owner| &self.consumer(owner).expect("an owner exists").occurrences);
        let mut owned = 0;
        for (at, consumer) in self.consumers() {
            self.table.check_owner(at, &consumer.occurrences);
            assert_eq!(self.pending_of(at, StreamId::MIN).count() as u64, consumer.pending, "a consumer's count");
            owned += consumer.pending;
        }
        let unowned = self.pending_from(StreamId::MIN).filter(|entry| entry.owner.is_none()).count() as u64;
        assert_eq!(owned + unowned, self.pending_len());
        let places = self.consumers.places.iter().flatten().count();
        assert_eq!(
            (places, self.consumers.free.len()),
            (self.consumers.names.len(), self.consumers.places.len() - places)
        );
    }
}

impl Consumer {
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// When it last tried to read or claim.
    pub fn seen_ms(&self) -> u64 {
        self.seen_ms
    }

    /// When it last was given something.
    pub fn active_ms(&self) -> Option<u64> {
        self.active_ms
    }

    pub fn pending_len(&self) -> u64 {
        self.pending
    }
}

impl Consumers {
    fn add(&mut self, name: &[u8], now_ms: u64) -> ConsumerIndex {
        let name: Arc<[u8]> = name.into();
        let consumer = Consumer {
            name: name.clone(),
            seen_ms: now_ms,
            active_ms: None,
            pending: 0,
            occurrences: Occurrences::default(),
        };
        let at = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() as ConsumerIndex - 1
        });
        self.places[at as usize] = Some(Box::new(consumer));
        self.names.insert(name, at);
        at
    }

    fn get(&self, at: ConsumerIndex) -> Option<&Consumer> {
        self.places.get(at as usize)?.as_deref()
    }

    fn get_mut(&mut self, at: ConsumerIndex) -> Option<&mut Consumer> {
        self.places.get_mut(at as usize)?.as_deref_mut()
    }
}

impl Owners for Consumers {
    fn occurrences(&mut self, owner: ConsumerIndex) -> &mut Occurrences {
        &mut self.get_mut(owner).expect("an owner exists").occurrences
    }

    fn count(&mut self, owner: ConsumerIndex, change: i64) {
        let consumer = self.get_mut(owner).expect("an owner exists");
        consumer.pending = consumer.pending.checked_add_signed(change).expect("a consumer has what it gives up");
    }
}

/// Until when something must have been delivered to be idle long enough; nothing where any time will do.
pub(super) fn idle_since(now_ms: u64, idle_min_ms: u64) -> Option<Option<u64>> {
    (idle_min_ms > 0).then(|| now_ms.checked_sub(idle_min_ms))
}
