//! What producers have said before: the ids that idempotent producers gave their messages, and the entries those became.
//!
//! A message is remembered by its producer and the producer's own id for it, for so long and so many a producer. It outlives its entry.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::{Stream, StreamId};

/// For how long and how many: IDMP-DURATION and IDMP-MAXSIZE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerLimits {
    pub remembered_s: u64,
    /// For each producer.
    pub messages_max: usize,
}

/// All that is remembered of a stream's producers.
///
/// A producer's messages stand in order of their entries' ids, so what is oldest is at the front; an entry's id also tells when it was added.
#[derive(Clone)]
pub struct Producers {
    limits: ProducerLimits,
    by_name: BTreeMap<Box<[u8]>, Producer>,
    added: u64,
    duplicates: u64,
}

#[derive(Clone, Default)]
struct Producer {
    entries: BTreeMap<Arc<[u8]>, StreamId>,
    order: VecDeque<(StreamId, Arc<[u8]>)>,
}

impl Default for Producers {
    fn default() -> Self {
        Self::new(ProducerLimits::DEFAULT)
    }
}

impl ProducerLimits {
    pub const DEFAULT: ProducerLimits = ProducerLimits { remembered_s: 100, messages_max: 100 };
    pub const REMEMBERED_S_MAX: u64 = 86_400;
    pub const MESSAGES_MAX: usize = 10_000;
}

impl Stream {
    /// What is remembered of producers, if there ever was one or limits were set.
    pub fn producers(&self) -> Option<&Producers> {
        self.producers.as_deref()
    }

    /// The same, to change it; `limits` are those of a stream that has none of its own yet.
    pub fn producers_or_new(&mut self, limits: ProducerLimits) -> &mut Producers {
        self.producers.get_or_insert_with(|| Box::new(Producers::new(limits)))
    }
}

impl Producers {
    pub(super) fn new(limits: ProducerLimits) -> Self {
        Self { limits, by_name: BTreeMap::new(), added: 0, duplicates: 0 }
    }

    pub fn limits(&self) -> ProducerLimits {
        self.limits
    }

    /// XCFGSET: other limits than before forget everything.
    pub fn set_limits(&mut self, limits: ProducerLimits) {
        if self.limits != limits {
            self.limits = limits;
            self.by_name.clear();
        }
    }

    /// The entry a message became, where it is still remembered; counted as a duplicate.
    pub fn find_duplicate(&mut self, producer: &[u8], message: &[u8], now_ms: u64) -> Option<StreamId> {
        let id = self.find(producer, message, now_ms)?;
        self.duplicates += 1;
        Some(id)
    }

    /// The entry a message became, where it is still remembered.
    pub fn find(&self, producer: &[u8], message: &[u8], now_ms: u64) -> Option<StreamId> {
        let id = *self.by_name.get(producer)?.entries.get(message)?;
        (!self.limits.expired(id, now_ms)).then_some(id)
    }

    /// Remembers what a message became.
    pub fn record(&mut self, producer: &[u8], message: &[u8], id: StreamId, now_ms: u64) {
        self.added += 1;
        self.restore(producer, message, id);
        let limits = self.limits;
        if let Some(producer) = self.by_name.get_mut(producer) {
            producer.evict(|_, id| limits.expired(id, now_ms));
        }
    }

    /// Remembers what a file says, without counting it.
    pub fn restore(&mut self, producer: &[u8], message: &[u8], id: StreamId) {
        if !self.by_name.contains_key(producer) {
            self.by_name.insert(producer.into(), Producer::default());
        }
        let Some(producer) = self.by_name.get_mut(producer) else { return };
        producer.add(message, id);
        let messages_max = self.limits.messages_max;
        producer.evict(|len, _| len > messages_max);
    }

    /// The counters as a file tells them.
    pub fn restore_counters(&mut self, added: u64, duplicates: u64) {
        (self.added, self.duplicates) = (added, duplicates);
    }

    /// Forgets what is out of date. O(what is forgotten + producers).
    pub fn expire(&mut self, now_ms: u64) {
        let limits = self.limits;
        self.by_name.retain(|_, producer| {
            producer.evict(|_, id| limits.expired(id, now_ms));
            !producer.order.is_empty()
        });
    }

    /// "pids-tracked"
    pub fn producers_len(&self) -> usize {
        self.by_name.len()
    }

    /// "iids-tracked"
    pub fn messages_len(&self) -> usize {
        self.by_name.values().map(|producer| producer.order.len()).sum()
    }

    /// "iids-added"
    pub fn added(&self) -> u64 {
        self.added
    }

    /// "iids-duplicates"
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Everything remembered: producers by name, their messages in order of the entries' ids.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8], StreamId)> {
        self.by_name.iter().flat_map(|(name, producer)| producer.order.iter().map(|(id, text)| (&**name, &**text, *id)))
    }

    /// Bytes on the heap, about: trees are counted as three quarters full.
    pub fn heap_bytes(&self) -> usize {
        let message = size_of::<(Arc<[u8]>, StreamId)>() * 4 / 3 + 16;
        let each = |producer: &Producer| {
            let texts: usize = producer.order.iter().map(|(_, text)| text.len() + message).sum();
            size_of::<(Box<[u8]>, Producer)>() * 4 / 3
                + producer.order.capacity() * size_of::<(StreamId, Arc<[u8]>)>()
                + texts
        };
        let producers = self.by_name.iter().map(|(name, producer)| name.len() + each(producer));
        size_of::<Self>() + producers.sum::<usize>()
    }

    /// Asserts that both views of each producer agree and limits are kept.
    pub fn check(&self) {
        for producer in self.by_name.values() {
            assert_eq!(producer.entries.len(), producer.order.len());
            assert!(producer.order.len() <= self.limits.messages_max);
            assert!(producer.order.iter().is_sorted_by_key(|(id, _)| *id), "messages stand in order of ids");
            for (id, text) in &producer.order {
                assert_eq!(producer.entries.get(text), Some(id));
            }
        }
    }
}

impl ProducerLimits {
    fn expired(self, id: StreamId, now_ms: u64) -> bool {
        now_ms.saturating_sub(id.ms) >= self.remembered_s.saturating_mul(1000)
    }
}

impl Producer {
    fn add(&mut self, message: &[u8], id: StreamId) {
        if let Some(before) = self.entries.remove(message) {
            self.order.retain(|(id, text)| *id != before || **text != *message);
        }
        let text: Arc<[u8]> = message.into();
        let at = self.order.partition_point(|(other, _)| *other <= id);
        self.order.insert(at, (id, text.clone()));
        self.entries.insert(text, id);
    }

    /// Takes messages off the front as long as the number of messages or the oldest id asks for it.
    fn evict(&mut self, goes: impl Fn(usize, StreamId) -> bool) {
        while let Some((id, _)) = self.order.front()
            && goes(self.order.len(), *id)
            && let Some((_, text)) = self.order.pop_front()
        {
            self.entries.remove(&text);
        }
    }
}
