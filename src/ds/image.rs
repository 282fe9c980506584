//! What a large container held at one moment, shown in parts while it goes on changing.
//!
//! Nothing is copied to begin with. A container that has an image tells it of each entry before it changes it for the first time; what has
//! not been shown yet is kept as it was. So the price of a change is one entry, and the memory that of the entries changed between the
//! moment and the end. Each container has its own idea of what an entry is: an element of a table, a node of a row (`deque`).
//!
//! ```text
//!   begin ──► step · step · step ──► over        what is there, but for what was kept or came later, then what was kept
//!               ▲
//!             note (key, as it was)              before each change, by the container itself
//! ```

use super::keytable::{Hash, Pass, Slot, Table};

/// Tells one image from another.
pub type ImageId = u64;

/// Entries by their keys, each as it was, or `None` where it was not there or has been shown already.
#[derive(Debug)]
pub struct Kept<V> {
    entries: hashbrown::HashMap<Box<[u8]>, Option<V>>,
    bytes: usize,
}

impl<V> Default for Kept<V> {
    fn default() -> Self {
        Self { entries: hashbrown::HashMap::new(), bytes: 0 }
    }
}

impl<V> Kept<V> {
    /// Keeps an entry, the first time. `value_bytes` is what it takes besides its key.
    pub fn keep(&mut self, key: &[u8], value_bytes: usize, value: impl FnOnce() -> Option<V>) {
        const ENTRY_BYTES: usize = 48;
        if !self.entries.contains_key(key) {
            self.bytes += ENTRY_BYTES + key.len() + value_bytes;
            self.entries.insert(key.into(), value());
        }
    }

    pub fn has(&self, key: &[u8]) -> bool {
        !self.entries.is_empty() && self.entries.contains_key(key)
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn into_rest(self) -> Rest<V> {
        self.entries.into_iter()
    }
}

/// What was kept, on its way out.
type Rest<V> = hashbrown::hash_map::IntoIter<Box<[u8]>, Option<V>>;

/// How many kept entries are looked at in one step.
const REST_STEP: usize = 32;

/// The image of a container whose entries are found by their keys. `P` says how far it has come.
pub struct KeyedImage<P, V> {
    pub id: ImageId,
    pub place: P,
    kept: Kept<V>,
    /// All that was there was passed; this is what is left.
    rest: Option<Rest<V>>,
}

impl<P: Default, V> KeyedImage<P, V> {
    pub fn new(id: ImageId) -> Self {
        Self { id, place: P::default(), kept: Kept::default(), rest: None }
    }
}

impl<P, V> KeyedImage<P, V> {
    pub fn bytes(&self) -> usize {
        self.kept.bytes()
    }

    /// An entry is about to change, or to come (`None`).
    pub fn keep(&mut self, key: &[u8], value_bytes: usize, value: impl FnOnce() -> Option<V>) {
        if self.rest.is_none() {
            self.kept.keep(key, value_bytes, value);
        }
    }

    /// Whether the container's own entry is none of the image: it has changed, or was not there.
    pub fn is_kept(&self, key: &[u8]) -> bool {
        self.kept.has(key)
    }

    /// Everything in the container was passed. From now on it may change as it likes.
    pub fn end_pass(&mut self) {
        let kept = std::mem::take(&mut self.kept);
        self.rest = Some(kept.into_rest());
    }

    pub fn has_ended_pass(&self) -> bool {
        self.rest.is_some()
    }

    /// Some of what was kept. False where nothing is left.
    pub fn show_rest(&mut self, mut show: impl FnMut(&[u8], V)) -> bool {
        let Some(rest) = &mut self.rest else { return true };
        for (key, value) in rest.by_ref().take(REST_STEP) {
            if let Some(value) = value {
                show(&key, value);
            }
        }
        rest.len() > 0
    }
}

/// The image of a table.
pub type TableImage<V> = KeyedImage<Pass, V>;

impl<V> TableImage<V> {
    /// An entry of this hash is about to change, or to come.
    #[cold]
    pub fn note(&mut self, hash: Hash, key: &[u8], value_bytes: usize, value: impl FnOnce() -> Option<V>) {
        if !self.place.has_passed(hash) {
            self.keep(key, value_bytes, value);
        }
    }

    /// Shows the few entries that come next. False where all are shown.
    pub fn step<E: Slot>(&mut self, table: &Table<E>, show: &mut impl for<'a> FnMut(Shown<'_, E::Ref<'a>, V>)) -> bool {
        if self.has_ended_pass() {
            return self.show_rest(|key, value| show(Shown::Kept(key, value)));
        }
        let Self { place, kept, .. } = self;
        let has_more = table.pass(place, &mut |key, entry| {
            if !kept.has(key) {
                show(Shown::There(entry));
            }
        });
        if !has_more {
            self.end_pass();
        }
        true
    }
}

/// An entry of an image.
pub enum Shown<'a, R, V> {
    /// As it is in the container.
    There(R),
    /// As it was: its key and what else there is to it.
    Kept(&'a [u8], V),
}
