//! A node of a stream: a run of consecutive entries in one buffer, with a table of where each begins.
//!
//! Entries are appended and later marked as deleted, never moved, so an entry's place in its node is stable. When a node is full
//! is decided by what Redis's listpack of the same entries would weigh, since `MAXLEN ~` shows where nodes end; see [`Weight`].

use super::StreamId;
use super::varint;
use crate::ds::listpack::Listpack;

/// When a node is full: `stream-node-max-bytes` and `stream-node-max-entries`, 0 for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeLimits {
    pub bytes_max: usize,
    pub entries_max: usize,
}

/// An entry as it is handed out.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub id: StreamId,
    pub fields: Fields<'a>,
}

/// The fields of an entry and their values, in the order they were added.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    left: usize,
    /// The names the node stores for all, where this entry has the same.
    shared_names: Option<&'a [u8]>,
    rest: &'a [u8],
}

/// One run of entries.
///
/// ```text
///  bytes   ┌ field names ─────────────────┬ entry 0 ─────────────────┬ entry 1 ───────┬ …
///          │ count · (len · name) × count │ ms · seq · values        │                │
///          └──────────────────────────────┴──────────────────────────┴────────────────┴
///                                         ▲                          ▲
///  slots     offset · own names? · dead?  ┘   offset · own · dead    ┘    16 bits each, 32 once an offset needs more than 14
///
///  ms, seq   varints: milliseconds since the node's first id; the sequence, as a distance too within the first millisecond
///  values    shared names:  (len · value) …  value          the last value ends where the next entry begins
///            own names:     count · (len · name · len · value) …  (len · name · value)
/// ```
///
/// The slots make the n-th entry, the entry of an id (binary search) and the last entry as cheap as the first.
/// Invariants (`check`): ids ascend, the first id is `base`, at least one entry is alive.
#[derive(Clone)]
pub(super) struct Node {
    base: StreamId,
    alive: u32,
    weight: Weight,
    bytes: Vec<u8>,
    slots: Slots,
}

/// What the node's entries would take as Redis's listpack, without the two counters at its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Weight(u64);

#[derive(Clone)]
enum Slots {
    Narrow(Vec<u16>),
    Wide(Vec<u32>),
}

const DEAD: u32 = 1;
const OWN_NAMES: u32 = 2;
const FLAG_BITS: u32 = 2;

/// The greatest offset a slot can hold: no entry begins behind it.
const OFFSET_MAX: usize = (u32::MAX >> FLAG_BITS) as usize;

impl NodeLimits {
    /// Redis never lets a listpack grow beyond this, whatever is configured.
    pub const BYTES_MAX: usize = 1 << 30;

    pub const DEFAULT: NodeLimits = NodeLimits { bytes_max: 4096, entries_max: 100 };
}

impl Node {
    /// A node for entries from `base` on, which shares the names of the first one.
    pub(super) fn new<'a>(base: StreamId, first: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut bytes = Vec::new();
        let mut weight = Weight::EMPTY;
        varint::write(&mut bytes, first.len() as u64);
        weight.add_number(first.len() as i64);
        for (name, _) in first {
            varint::write_text(&mut bytes, name);
            weight.add_text(name);
        }
        Self { base, alive: 0, weight, bytes, slots: Slots::Narrow(Vec::new()) }
    }

    pub(super) fn base(&self) -> StreamId {
        self.base
    }

    /// Entries that are not deleted.
    pub(super) fn alive(&self) -> u64 {
        u64::from(self.alive)
    }

    /// Entries, deleted or not.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The id of the last entry, deleted or not.
    pub(super) fn last_id(&self) -> StreamId {
        self.id(self.slots() - 1)
    }

    /// Whether an entry with `text_bytes` of names and values goes in here rather than into a node of its own.
    pub(super) fn has_room(&self, text_bytes: usize, limits: NodeLimits) -> bool {
        let bytes_max = match limits.bytes_max {
            0 => NodeLimits::BYTES_MAX,
            bytes => bytes.min(NodeLimits::BYTES_MAX),
        };
        let weight = self.weight.whole(self.alive, self.slots());
        weight.saturating_add(text_bytes as u64) < bytes_max as u64
            && (limits.entries_max == 0 || self.slots() < limits.entries_max)
            && self.has_place()
    }

    /// Whether another entry can be found again at all.
    pub(super) fn has_place(&self) -> bool {
        self.bytes.len() <= OFFSET_MAX && self.slots() < u32::MAX as usize
    }

    /// Appends an entry, whose id is above all others of the node.
    pub(super) fn push<'a>(
        &mut self,
        id: StreamId,
        fields: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone,
    ) {
        let shares = self.shares_names(fields.clone());
        self.slots.push(self.bytes.len(), if shares { 0 } else { OWN_NAMES });
        self.alive += 1;
        let ms = id.ms - self.base.ms;
        let seq = if ms == 0 { id.seq - self.base.seq } else { id.seq };
        let count = fields.len();
        let text_bytes: usize =
            fields.clone().map(|(name, value)| value.len() + 5 + if shares { 0 } else { name.len() + 5 }).sum();
        self.reserve(text_bytes + 24);
        varint::write(&mut self.bytes, ms);
        varint::write(&mut self.bytes, seq);
        self.weight.add_entry_head(ms, id.seq.wrapping_sub(self.base.seq));
        if shares {
            self.weight.add_number(count as i64 + 3);
        } else {
            varint::write(&mut self.bytes, count as u64);
            self.weight.add_number(count as i64);
            self.weight.add_number(count as i64 * 2 + 4);
        }
        for (at, (name, value)) in fields.enumerate() {
            if !shares {
                varint::write_text(&mut self.bytes, name);
                self.weight.add_text(name);
            }
            if at + 1 < count {
                varint::write(&mut self.bytes, value.len() as u64);
            }
            self.bytes.extend_from_slice(value);
            self.weight.add_text(value);
        }
    }

    /// Gives back the room kept for more entries.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        match &mut self.slots {
            Slots::Narrow(slots) => slots.shrink_to_fit(),
            Slots::Wide(slots) => slots.shrink_to_fit(),
        }
    }

    /// Makes room for about as much as another node came to hold.
    pub(super) fn reserve_like(&mut self, other: &Node) {
        self.bytes.reserve_exact(other.bytes.len());
        if let Slots::Narrow(slots) = &mut self.slots {
            slots.reserve_exact(other.slots());
        }
    }

    #[inline]
    pub(super) fn id(&self, at: usize) -> StreamId {
        self.split_id(&mut self.entry_bytes(at))
    }

    pub(super) fn is_dead(&self, at: usize) -> bool {
        self.slots.flags(at) & DEAD != 0
    }

    /// The entry at a place, deleted or not.
    #[inline]
    pub(super) fn entry(&self, at: usize) -> Entry<'_> {
        let mut rest = self.entry_bytes(at);
        let id = self.split_id(&mut rest);
        let fields = if self.slots.flags(at) & OWN_NAMES != 0 {
            Fields { left: varint::take(&mut rest) as usize, shared_names: None, rest }
        } else {
            let mut names = self.bytes.as_slice();
            Fields { left: varint::take(&mut names) as usize, shared_names: Some(names), rest }
        };
        Entry { id, fields }
    }

    /// The place of the first entry whose id is at least `id`.
    #[inline]
    pub(super) fn lower_bound(&self, id: StreamId) -> usize {
        let (mut low, mut high) = (0, self.slots());
        if high > 0 && self.last_id() < id {
            return high;
        }
        while low < high {
            let middle = low.midpoint(high);
            if self.id(middle) < id {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The place of a live entry.
    pub(super) fn find(&self, id: StreamId) -> Option<usize> {
        let at = self.lower_bound(id);
        (at < self.slots() && self.id(at) == id && !self.is_dead(at)).then_some(at)
    }

    /// The first live entry at a place or after it.
    #[inline]
    pub(super) fn live_from(&self, at: usize) -> Option<usize> {
        if self.alive as usize == self.slots() {
            return (at < self.slots()).then_some(at);
        }
        (at..self.slots()).find(|&at| !self.is_dead(at))
    }

    /// The last live entry before a place.
    #[inline]
    pub(super) fn live_before(&self, at: usize) -> Option<usize> {
        (0..at).rev().find(|&at| !self.is_dead(at))
    }

    /// How many live entries come before a place.
    pub(super) fn count_live_before(&self, at: usize) -> u64 {
        if self.alive as usize == self.slots() {
            return at as u64;
        }
        (0..at).filter(|&at| !self.is_dead(at)).count() as u64
    }

    /// Marks a live entry as deleted.
    pub(super) fn kill(&mut self, at: usize) {
        debug_assert!(!self.is_dead(at), "an entry dies once");
        self.slots.mark(at, DEAD);
        self.alive -= 1;
    }

    /// The same without the deleted entries behind the last live one. O(entries).
    pub(super) fn without_dead_tail(&self) -> Self {
        let mut node = Self::new(self.base, self.shared_names().map(|name| (name, &b""[..])));
        for at in 0..self.live_before(self.slots()).map_or(0, |last| last + 1) {
            let Entry { id, fields } = self.entry(at);
            node.push(id, fields);
            if self.is_dead(at) {
                node.kill(at);
            }
        }
        node
    }

    /// The names that entries without their own share.
    pub(super) fn shared_names(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut names = self.bytes.as_slice();
        let count = varint::take(&mut names) as usize;
        (0..count).map(move |_| varint::take_text(&mut names))
    }

    pub(super) fn has_own_names(&self, at: usize) -> bool {
        self.slots.flags(at) & OWN_NAMES != 0
    }

    /// Bytes on the heap, the node itself included.
    pub(super) fn heap_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.capacity() + self.slots.heap_bytes()
    }

    /// Asserts the node's invariants.
    pub(super) fn check(&self) {
        assert!(self.alive > 0, "a node without live entries is dropped");
        assert_eq!(self.id(0), self.base);
        let dead = (0..self.slots()).filter(|&at| self.is_dead(at)).count();
        assert_eq!(dead + self.alive as usize, self.slots(), "the count of live entries");
        for at in 1..self.slots() {
            assert!(self.id(at - 1) < self.id(at), "ids ascend");
        }
        let mut again = Weight::EMPTY;
        again.add_number(self.shared_names().len() as i64);
        self.shared_names().for_each(|name| again.add_text(name));
        for at in 0..self.slots() {
            let Entry { id, fields } = self.entry(at);
            again.add_entry_head(id.ms - self.base.ms, id.seq.wrapping_sub(self.base.seq));
            let count = fields.len() as i64;
            if self.has_own_names(at) {
                again.add_number(count);
                again.add_number(2 * count + 4);
            } else {
                again.add_number(count + 3);
            }
            for (name, value) in fields {
                if self.has_own_names(at) {
                    again.add_text(name);
                }
                again.add_text(value);
            }
        }
        assert_eq!(again, self.weight, "what a listpack of the same would weigh");
    }

    fn shares_names<'a>(&self, fields: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])>) -> bool {
        let mut names = self.bytes.as_slice();
        let count = varint::take(&mut names) as usize;
        fields.len() == count && { fields }.all(|(name, _)| varint::take_text(&mut names) == name)
    }

    /// Grows by a quarter: most streams are short, and the last node of each keeps this room for good.
    fn reserve(&mut self, more: usize) {
        let needed = self.bytes.len() + more;
        if needed > self.bytes.capacity() {
            self.bytes.reserve_exact(more + needed / 4);
        }
    }

    #[inline]
    fn entry_bytes(&self, at: usize) -> &[u8] {
        let start = self.slots.offset(at);
        let end = if at + 1 < self.slots.len() { self.slots.offset(at + 1) } else { self.bytes.len() };
        &self.bytes[start..end]
    }

    #[inline]
    fn split_id(&self, bytes: &mut &[u8]) -> StreamId {
        let ms = varint::take(bytes);
        let seq = varint::take(bytes);
        match ms {
            0 => StreamId { ms: self.base.ms, seq: self.base.seq + seq },
            _ => StreamId { ms: self.base.ms + ms, seq },
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name = varint::take_text(self.shared_names.as_mut().unwrap_or(&mut self.rest));
        let value = if self.left == 0 { std::mem::take(&mut self.rest) } else { varint::take_text(&mut self.rest) };
        Some((name, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}

impl Slots {
    #[inline]
    fn len(&self) -> usize {
        match self {
            Slots::Narrow(slots) => slots.len(),
            Slots::Wide(slots) => slots.len(),
        }
    }

    #[inline]
    fn get(&self, at: usize) -> u32 {
        match self {
            Slots::Narrow(slots) => u32::from(slots[at]),
            Slots::Wide(slots) => slots[at],
        }
    }

    #[inline]
    fn offset(&self, at: usize) -> usize {
        (self.get(at) >> FLAG_BITS) as usize
    }

    #[inline]
    fn flags(&self, at: usize) -> u32 {
        self.get(at) & (DEAD | OWN_NAMES)
    }

    fn mark(&mut self, at: usize, flag: u32) {
        match self {
            Slots::Narrow(slots) => slots[at] |= flag as u16,
            Slots::Wide(slots) => slots[at] |= flag,
        }
    }

    fn push(&mut self, offset: usize, flags: u32) {
        let slot = (offset as u32) << FLAG_BITS | flags;
        match self {
            Slots::Narrow(slots) => match u16::try_from(slot) {
                Ok(slot) => slots.push(slot),
                Err(_) => {
                    let wider = slots.iter().map(|&slot| u32::from(slot)).chain([slot]).collect();
                    *self = Slots::Wide(wider);
                }
            },
            Slots::Wide(slots) => slots.push(slot),
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Slots::Narrow(slots) => slots.capacity() * size_of::<u16>(),
            Slots::Wide(slots) => slots.capacity() * size_of::<u32>(),
        }
    }
}

/// A listpack as Redis keeps a node in: six bytes of head, the count of live and of dead entries, the number of shared names and the
/// names, a zero; then for each entry its flags, both halves of its id as distances, its own names and values and how many elements
/// that was; one byte at the end. Every element is followed by its length.
impl Weight {
    /// Head, end, and the zero behind the names.
    const EMPTY: Weight = Weight(6 + 1 + 2);

    fn whole(self, alive: u32, slots: usize) -> u64 {
        self.0 + number_len(i64::from(alive)) + number_len(slots as i64 - i64::from(alive))
    }

    #[inline]
    fn add_entry_head(&mut self, ms: u64, seq: u64) {
        const FLAGS_LEN: u64 = 2;
        self.0 += FLAGS_LEN + number_len(ms as i64) + number_len(seq as i64);
    }

    #[inline]
    fn add_number(&mut self, value: i64) {
        self.0 += number_len(value);
    }

    #[inline]
    fn add_text(&mut self, text: &[u8]) {
        self.0 += Listpack::entry_size(text) as u64;
    }
}

#[inline]
fn number_len(value: i64) -> u64 {
    Listpack::int_entry_size(value) as u64
}
