//! A hash table of owned entries that never grows in one step: an extendible hash of small segments.
//!
//! The keyspace and the big sets, hashes and sorted sets live in it. An entry is a thin owning pointer that knows its key
//! bytes (`Slot`); what it holds is the caller's. `bucket.rs` has the inside of a segment, `directory.rs` the way to
//! it, `walk.rs` everything that goes over many entries: iteration, SCAN, samples, visits of one segment; `common.rs` walks over two tables.
//!
//! ```text
//!   hash    63 ─ prefix ─┐                                   15 ─ tag ─ 0
//!                        ▼                                        │
//!   directory   ┌────┬────┬────┬────┐   one word per prefix:      │
//!               │ A  │ A  │ B  │ C  │   array, buckets, depth,    │
//!               └──┬─┴──┬─┴──┬─┴──┬─┘   entries                   │
//!                  └─┬──┘    │    └─────────► array of C          │
//!                    ▼       ▼                                    ▼
//!               ┌────────┬────────┬─ ─ ─ ─┬────────┐   home = tag * buckets >> 16
//!               │ bucket │ bucket │       │ bucket │   bucket = one cache line = 8 slots of tag + pointer
//!               └────────┴────────┴─ ─ ─ ─┴────────┘
//! ```
//!
//! A segment that runs full gets the next larger array (the tags are in the slots: no entry is read), and past 64 buckets it
//! splits in two by the next bit of the prefix, the one step that reads the keys, of some 470 entries. Both take microseconds,
//! whatever the table's size; only the directory's doubling is proportional to it, at 8 bytes per few hundred entries.
//! Where hashes are so alike that neither helps, entries go to a sorted list of strays: slow, and correct.

mod bucket;
mod common;
mod directory;
mod seed;
#[cfg(test)]
mod tests;
mod walk;

use std::marker::PhantomData;
use std::ptr::NonNull;

pub use seed::{Hash, Keyed, Seed, Slot};
pub use walk::{Pass, Visit};

use bucket::{BUCKETS_MAX, Bucket, SLOTS, Spot, is_flagged, pack, pointer_of, tag_of};
use directory::{Directory, Word};

/// Buddies with no more entries than this together become one segment. A segment splits at 400 and more: only a
/// large change makes the same segment split and merge.
const MERGE_ENTRIES_MAX: usize = 160;

/// How many entries ahead of the one being hashed a split asks memory for.
const SPLIT_LOOKAHEAD: usize = 16;

/// The hash table. See the head of this file.
pub struct Table<E: Slot> {
    directory: Directory,
    strays: Vec<Stray>,
    len: usize,
    array_bytes: usize,
    /// The array a segment gets with its first entry: more than one bucket after `reserve`.
    buckets_first: u8,
    seed: &'static Seed,
    entries: PhantomData<E>,
}

/// A table of whatever entries, to those who only bring into the cache what others will look up.
pub trait Prefetch {
    /// The bucket first, for all hashes; some time later the entry it points to.
    fn prefetch_bucket(&self, hash: Hash);
    fn prefetch_entry(&self, hash: Hash);
}

impl<E: Slot> Prefetch for Table<E> {
    fn prefetch_bucket(&self, hash: Hash) {
        self.prefetch_bucket(hash);
    }

    fn prefetch_entry(&self, hash: Hash) {
        self.prefetch_entry(hash);
    }
}

/// An entry for which there was no place in its segment; the list is in order of hashes.
struct Stray {
    hash: u64,
    word: u64,
}

/// A segment, until the next call that inserts or removes entries. Keep a position to come back to later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Segment(usize);

/// Where an entry is, until another one comes or goes.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    Slot(usize, Spot),
    Stray(usize),
}

/// The outcome of looking up once in order to change: see `Table::entry`.
pub enum Entry<'a, E: Slot> {
    Occupied(Occupied<'a, E>),
    Vacant(Vacant<'a, E>),
}

/// An entry that is there.
pub struct Occupied<'a, E: Slot> {
    table: &'a mut Table<E>,
    place: Place,
}

/// A key that is not there.
pub struct Vacant<'a, E: Slot> {
    table: &'a mut Table<E>,
    hash: Hash,
}

impl<E: Slot> Table<E> {
    /// An empty table; it allocates with the first entry.
    pub fn new(seed: &'static Seed) -> Self {
        Table {
            directory: Directory::default(),
            strays: Vec::new(),
            len: 0,
            array_bytes: 0,
            buckets_first: 1,
            seed,
            entries: PhantomData,
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the table's own arrays: neither this struct nor the entries.
    pub fn memory(&self) -> usize {
        self.array_bytes + self.directory.memory() + self.strays.capacity() * size_of::<Stray>()
    }

    pub fn seed(&self) -> &'static Seed {
        self.seed
    }

    #[inline]
    pub fn hash(&self, key: &[u8]) -> Hash {
        self.seed.hash(key)
    }

    #[inline]
    pub fn get(&self, hash: Hash, key: &[u8]) -> Option<E::Ref<'_>> {
        let raw = self.lookup(hash, key)?;
        // SAFETY: the entry is in the table, which is borrowed as long as the view.
        Some(unsafe { E::view(raw) })
    }

    #[inline]
    pub fn get_mut(&mut self, hash: Hash, key: &[u8]) -> Option<E::Mut<'_>> {
        let raw = self.lookup(hash, key)?;
        // SAFETY: the entry is in the table, which is borrowed for this view alone.
        Some(unsafe { E::view_mut(raw) })
    }

    /// The entry at a place that is still good.
    #[inline]
    pub fn at(&self, place: Place) -> E::Ref<'_> {
        // SAFETY: the entry is in the table, which is borrowed as long as the view.
        unsafe { E::view(self.raw_at(place)) }
    }

    /// The same for changing.
    #[inline]
    pub fn at_mut(&mut self, place: Place) -> E::Mut<'_> {
        // SAFETY: the entry is in the table, which is borrowed for this view alone.
        unsafe { E::view_mut(self.raw_at(place)) }
    }

    #[inline]
    pub fn contains(&self, hash: Hash, key: &[u8]) -> bool {
        self.lookup(hash, key).is_some()
    }

    /// Looks up once, to insert, change or remove. The way to do all three where the key may or may not be there.
    pub fn entry(&mut self, hash: Hash, key: &[u8]) -> Entry<'_, E> {
        match self.place_of(hash, key) {
            Some(place) => Entry::Occupied(Occupied { table: self, place }),
            None => Entry::Vacant(Vacant { table: self, hash }),
        }
    }

    /// Inserts an entry whose key the caller knows to be absent.
    pub fn insert_new(&mut self, hash: Hash, entry: E) -> E::Mut<'_> {
        let raw = entry.into_raw();
        // SAFETY: `raw` came from `into_raw` just now.
        debug_assert!(self.lookup(hash, unsafe { E::key(raw) }).is_none(), "inserted as new, but there");
        self.insert_word(hash.0, Self::word_of(hash.tag(), raw));
        self.len += 1;
        // SAFETY: the entry is in the table, which is borrowed for this view alone.
        unsafe { E::view_mut(raw) }
    }

    /// Puts the entry in the place of the one with that key, or just puts it in.
    pub fn replace(&mut self, hash: Hash, key: &[u8], entry: E) -> Option<E> {
        match self.entry(hash, key) {
            Entry::Occupied(mut occupied) => Some(occupied.replace(entry)),
            Entry::Vacant(vacant) => {
                vacant.insert(entry);
                None
            }
        }
    }

    /// Passes the entry through `change`, which may give it a new address (a reallocation) but not another key.
    /// Whether it was there.
    pub fn update(&mut self, hash: Hash, key: &[u8], change: impl FnOnce(E) -> E) -> bool {
        match self.entry(hash, key) {
            Entry::Occupied(occupied) => {
                occupied.update(change);
                true
            }
            Entry::Vacant(_) => false,
        }
    }

    pub fn remove(&mut self, hash: Hash, key: &[u8]) -> Option<E> {
        let place = self.place_of(hash, key)?;
        Some(self.take(place))
    }

    /// Prepares a table that is as new for so many entries: its segments get their size at once.
    pub fn reserve(&mut self, entries: usize) {
        const DEPTH_RESERVED_MAX: u32 = 18;
        const COMFORTABLE: usize = BUCKETS_MAX * SLOTS * 85 / 100;
        if self.directory.len() > 0 || entries == 0 {
            return;
        }
        let depth = entries.div_ceil(COMFORTABLE).next_power_of_two().trailing_zeros().min(DEPTH_RESERVED_MAX);
        let share = (entries >> depth).min(COMFORTABLE);
        if depth > 0 {
            self.directory = Directory::with_depth(depth);
        }
        self.buckets_first = bucket::buckets_for(share) as u8;
    }

    /// Drops all entries.
    pub fn clear(&mut self) {
        self.drain(drop);
    }

    /// Asks the cache for the bucket that a lookup of this hash will read.
    #[inline]
    pub fn prefetch_bucket(&self, hash: Hash) {
        let Some(word) = self.directory.word(hash.0) else { return };
        if word.buckets() > 0 {
            prefetch(word.array().wrapping_add(bucket::home(hash.tag(), word.buckets())));
        }
    }

    /// Reads the bucket (best some time after `prefetch_bucket`) and asks the cache for the entry it points to.
    #[inline]
    pub fn prefetch_entry(&self, hash: Hash) {
        let Some(word) = self.directory.word(hash.0) else { return };
        bucket::candidates(self.array(word), hash.tag(), |raw| {
            prefetch(raw.as_ptr());
            prefetch(raw.as_ptr().wrapping_add(64));
        });
    }

    /// Checks every invariant; panics with a sentence where one is broken.
    pub fn check(&self) {
        self.directory.check();
        let mut bytes = 0;
        let mut len = self.strays.len();
        let hash_of = |word| {
            let raw = pointer_of(word).expect("a taken slot points to an entry");
            // SAFETY: the entry is in the table.
            unsafe { E::hash(raw, self.seed) }
        };
        let flag_of = |word| {
            // SAFETY: as above.
            pointer_of(word).is_some_and(|raw| unsafe { E::is_flagged(raw) })
        };
        for first in self.directory.firsts_from(0) {
            let word = self.directory.at(first);
            if word.buckets() == 0 {
                assert_eq!(word.entries(), 0, "entries without an array");
                continue;
            }
            let array = self.array(word);
            assert_eq!(bucket::check(array), word.entries(), "the entry count of a segment");
            for &slot in array.iter().flat_map(Bucket::slots).filter(|&&slot| slot != 0) {
                let hash = hash_of(slot);
                assert_eq!(hash.tag(), tag_of(slot), "a slot's tag");
                assert_eq!(flag_of(slot), is_flagged(slot), "a slot's flag");
                assert_eq!(self.directory.first(self.directory.index(hash.0)), first, "an entry in a wrong segment");
            }
            len += word.entries();
            bytes += bucket::array_bytes(word.buckets());
        }
        assert!(self.strays.is_sorted_by_key(|stray| stray.hash), "the strays' order");
        for stray in &self.strays {
            assert!(hash_of(stray.word).0 == stray.hash && tag_of(stray.word) == stray.hash as u16);
        }
        assert_eq!((len, bytes), (self.len, self.array_bytes), "entries, bytes of arrays");
    }
}

impl<'a, E: Slot> Occupied<'a, E> {
    pub fn get(&self) -> E::Ref<'_> {
        self.table.at(self.place)
    }

    pub fn get_mut(&mut self) -> E::Mut<'_> {
        self.table.at_mut(self.place)
    }

    pub fn into_mut(self) -> E::Mut<'a> {
        self.table.at_mut(self.place)
    }

    /// Puts another entry of the same key in this one's place.
    pub fn replace(&mut self, entry: E) -> E {
        let old = self.table.swap(self.place, entry.into_raw());
        // SAFETY: the table let go of this pointer just now.
        unsafe { E::from_raw(old) }
    }

    /// See `Table::update`.
    pub fn update(self, change: impl FnOnce(E) -> E) {
        /// Should `change` panic, its entry is gone: so is its slot then.
        struct Unfinished<'a, E: Slot>(&'a mut Table<E>, Place);
        impl<E: Slot> Drop for Unfinished<'_, E> {
            fn drop(&mut self) {
                self.0.take_word(self.1);
            }
        }

        let raw = self.table.raw_at(self.place);
        let unfinished = Unfinished(self.table, self.place);
        // SAFETY: the slot is given a new pointer below, or removed; nobody looks at it in between.
        let changed = change(unsafe { E::from_raw(raw) });
        unfinished.0.swap(unfinished.1, changed.into_raw());
        std::mem::forget(unfinished);
    }

    pub fn remove(self) -> E {
        self.table.take(self.place)
    }
}

impl<'a, E: Slot> Vacant<'a, E> {
    pub fn insert(self, entry: E) -> E::Mut<'a> {
        self.table.insert_new(self.hash, entry)
    }
}

impl<E: Slot> Drop for Table<E> {
    fn drop(&mut self) {
        self.drain(drop);
    }
}

/// Lookups.
impl<E: Slot> Table<E> {
    /// The array of a word of this table's directory.
    #[inline]
    fn array(&self, word: Word) -> &[Bucket] {
        if word.buckets() == 0 {
            return &[];
        }
        // SAFETY: a word with buckets names an array of that many, which lives until its word is replaced,
        // and that takes `&mut self`.
        unsafe { std::slice::from_raw_parts(word.array(), word.buckets()) }
    }

    #[inline]
    fn array_mut(&mut self, word: Word) -> &mut [Bucket] {
        if word.buckets() == 0 {
            return &mut [];
        }
        // SAFETY: as above, and the array belongs to this table alone, which is borrowed for the slice.
        unsafe { std::slice::from_raw_parts_mut(word.array(), word.buckets()) }
    }

    #[inline]
    fn is_key(raw: NonNull<u8>, key: &[u8]) -> bool {
        // SAFETY: called on pointers in the table's slots only, and done with before the table can change.
        unsafe { E::key(raw) == key }
    }

    #[inline]
    fn lookup(&self, hash: Hash, key: &[u8]) -> Option<NonNull<u8>> {
        let word = self.directory.word(hash.0)?;
        let array = self.array(word);
        if let Some(spot) = bucket::find(array, hash.tag(), |raw| Self::is_key(raw, key)) {
            return pointer_of(bucket::word_at(array, spot));
        }
        if self.strays.is_empty() {
            return None;
        }
        self.find_stray(hash, key).and_then(|at| pointer_of(self.strays[at].word))
    }

    /// Looks up once, to read first and change afterwards.
    #[inline]
    pub fn place_of(&self, hash: Hash, key: &[u8]) -> Option<Place> {
        let index = self.directory.index(hash.0);
        let array = self.array(self.directory.word(hash.0)?);
        let spot = bucket::find(array, hash.tag(), |raw| Self::is_key(raw, key));
        spot.map(|spot| Place::Slot(index, spot)).or_else(|| self.find_stray(hash, key).map(Place::Stray))
    }

    #[cold]
    fn find_stray(&self, hash: Hash, key: &[u8]) -> Option<usize> {
        let start = self.strays.partition_point(|stray| stray.hash < hash.0);
        let same = self.strays[start..].iter().take_while(|stray| stray.hash == hash.0);
        let found =
            same.map(|stray| pointer_of(stray.word)).position(|raw| raw.is_some_and(|raw| Self::is_key(raw, key)));
        found.map(|by| start + by)
    }

    #[inline]
    fn word_at(&self, place: Place) -> u64 {
        match place {
            Place::Slot(index, spot) => bucket::word_at(self.array(self.directory.at(index)), spot),
            Place::Stray(at) => self.strays[at].word,
        }
    }

    #[inline]
    fn raw_at(&self, place: Place) -> NonNull<u8> {
        pointer_of(self.word_at(place)).expect("a place is a taken slot")
    }
}

/// Changes of one slot.
impl<E: Slot> Table<E> {
    /// The word of a slot for an entry that is in nobody's hands.
    fn word_of(tag: u16, raw: NonNull<u8>) -> u64 {
        // SAFETY: `raw` came from `into_raw`, and is about to become the table's.
        pack(tag, raw, unsafe { E::is_flagged(raw) })
    }

    fn swap(&mut self, place: Place, raw: NonNull<u8>) -> NonNull<u8> {
        let old = self.word_at(place);
        let new = Self::word_of(tag_of(old), raw);
        match place {
            Place::Slot(index, spot) => {
                let word = self.directory.at(index);
                self.array_mut(word)[usize::from(spot.bucket)].slots_mut()[usize::from(spot.slot)] = new;
            }
            Place::Stray(at) => self.strays[at].word = new,
        }
        pointer_of(old).expect("a place is a taken slot")
    }

    fn take(&mut self, place: Place) -> E {
        let raw = self.take_word(place);
        // SAFETY: the table let go of this pointer just now.
        unsafe { E::from_raw(raw) }
    }

    fn take_word(&mut self, place: Place) -> NonNull<u8> {
        self.len -= 1;
        let word = match place {
            Place::Stray(at) => self.strays.remove(at).word,
            Place::Slot(index, spot) => {
                let word = self.directory.at(index);
                let taken = bucket::remove(self.array_mut(word), spot);
                self.directory.set_entries(index, word.entries() - 1);
                self.fit(index);
                if word.entries() <= MERGE_ENTRIES_MAX {
                    self.merge(index);
                }
                taken
            }
        };
        pointer_of(word).expect("a place is a taken slot")
    }

    fn insert_word(&mut self, hash: u64, slot: u64) {
        if self.directory.len() == 0 {
            self.directory = Directory::with_depth(0);
        }
        loop {
            let index = self.directory.index(hash);
            let word = self.directory.at(index);
            if word.buckets() > 0 && bucket::insert(self.array_mut(word), slot) {
                self.directory.set_entries(index, word.entries() + 1);
                return;
            }
            if !self.make_room(index) {
                let at = self.strays.partition_point(|stray| stray.hash < hash);
                self.strays.insert(at, Stray { hash, word: slot });
                return;
            }
        }
    }
}

/// Changes of a segment's shape.
impl<E: Slot> Table<E> {
    /// Grows or splits the segment. `false` where that would only waste memory: the hashes are alike.
    #[cold]
    fn make_room(&mut self, index: usize) -> bool {
        let word = self.directory.at(index);
        if word.buckets() == 0 {
            self.rebuild(index, &[], usize::from(self.buckets_first));
            return true;
        }
        if let Some(buckets) = bucket::next_step(word.buckets(), word.entries()) {
            let slots = self.slots_of(word);
            self.rebuild(index, &slots, buckets);
            return true;
        }
        word.buckets() == BUCKETS_MAX && word.entries() * 2 >= BUCKETS_MAX * SLOTS && self.split(index)
    }

    fn split(&mut self, index: usize) -> bool {
        let Some(first) = self.directory.prepare_split(index) else { return false };
        let word = self.directory.at(first);
        let bit = 1 << (63 - word.depth());
        let slots = self.slots_of(word);
        let raws = |at: usize| slots.get(at).and_then(|&slot| pointer_of(slot));
        (0..SPLIT_LOOKAHEAD).filter_map(raws).for_each(|raw| prefetch(raw.as_ptr()));

        let mut halves = [Vec::with_capacity(slots.len()), Vec::with_capacity(slots.len())];
        for (at, &slot) in slots.iter().enumerate() {
            if let Some(raw) = raws(at + SPLIT_LOOKAHEAD) {
                prefetch(raw.as_ptr());
            }
            let raw = raws(at).expect("a taken slot points to an entry");
            // SAFETY: the entry is in the table.
            let hash = unsafe { E::hash(raw, self.seed) };
            debug_assert_eq!(hash.tag(), tag_of(slot));
            halves[usize::from(hash.0 & bit != 0)].push(slot);
        }

        self.free_array(word);
        let places = self.directory.split(first);
        for (place, half) in places.into_iter().zip(halves) {
            if !half.is_empty() {
                self.rebuild(place, &half, bucket::buckets_for(half.len()));
            }
        }
        true
    }

    /// Gives a segment that removals left half empty a smaller array.
    fn fit(&mut self, index: usize) {
        let word = self.directory.at(index);
        if word.entries() * 2 >= word.buckets() * SLOTS || (word.buckets() == 1 && word.entries() > 0) {
            return;
        }
        let buckets = if word.entries() == 0 { 0 } else { bucket::buckets_for(word.entries() + word.entries() / 8) };
        if buckets < word.buckets() {
            let slots = self.slots_of(word);
            self.rebuild(index, &slots, buckets);
        }
    }

    /// Joins the segment with its buddy while both together are small. Places change.
    fn merge(&mut self, index: usize) {
        let mut index = index;
        let mut merged = false;
        while let Some(buddy) = self.directory.buddy(index) {
            let (word, other) = (self.directory.at(index), self.directory.at(buddy));
            if word.entries() + other.entries() > MERGE_ENTRIES_MAX {
                break;
            }
            let mut slots = self.slots_of(word);
            slots.extend(self.slots_of(other));
            self.free_array(word);
            self.free_array(other);
            index = self.directory.merge(index);
            merged = true;
            if !slots.is_empty() {
                self.rebuild(index, &slots, bucket::buckets_for(slots.len()));
            }
        }
        if merged {
            self.directory.shrink();
        }
    }

    fn slots_of(&self, word: Word) -> Vec<u64> {
        let mut slots = Vec::with_capacity(word.entries());
        slots.extend(self.array(word).iter().flat_map(Bucket::slots).filter(|&&slot| slot != 0));
        slots
    }

    fn free_array(&mut self, word: Word) {
        if let (Some(array), buckets @ 1..) = (NonNull::new(word.array()), word.buckets()) {
            self.array_bytes -= bucket::array_bytes(buckets);
            // SAFETY: the array was allocated with that count; the caller replaces its word.
            unsafe { bucket::free(array, buckets) }
        }
    }

    /// Puts these slots into a new array of so many buckets, or more where they do not fit; the old array is
    /// freed. Strays of the segment come home, and what fits nowhere becomes a stray.
    fn rebuild(&mut self, index: usize, slots: &[u64], buckets: usize) {
        let old = self.directory.at(index);
        self.free_array(old);
        if buckets == 0 {
            debug_assert!(slots.is_empty());
            self.directory.replace(index, Word::empty(old.depth()));
            return;
        }
        let mut buckets = buckets;
        let (array, left) = loop {
            let array = bucket::allocate(buckets);
            // SAFETY: a new array of that many buckets, which nobody else knows.
            let room = unsafe { std::slice::from_raw_parts_mut(array.as_ptr(), buckets) };
            let more = bucket::next_step(buckets, slots.len());
            let mut left = Vec::new();
            for &slot in slots {
                if !bucket::insert(room, slot) {
                    left.push(slot);
                    if more.is_some() {
                        break;
                    }
                }
            }
            match more {
                Some(more) if !left.is_empty() => {
                    // SAFETY: allocated above, with that count.
                    unsafe { bucket::free(array, buckets) };
                    buckets = more;
                }
                _ => break (array, left),
            }
        };
        self.array_bytes += bucket::array_bytes(buckets);
        self.directory.replace(index, Word::new(array, buckets, old.depth(), slots.len() - left.len()));
        if !self.strays.is_empty() {
            self.bring_home(index);
        }
        for slot in left {
            let raw = pointer_of(slot).expect("a taken slot points to an entry");
            // SAFETY: the entry belongs to the table.
            let hash = unsafe { E::hash(raw, self.seed) }.0;
            let at = self.strays.partition_point(|stray| stray.hash < hash);
            self.strays.insert(at, Stray { hash, word: slot });
        }
    }

    /// The range of the strays that belong to a segment.
    fn strays_of(&self, index: usize) -> std::ops::Range<usize> {
        let bound = |index| match self.directory.position(index) {
            Some(position) => self.strays.partition_point(|stray| stray.hash < position),
            None => self.strays.len(),
        };
        bound(self.directory.first(index))..bound(self.directory.next(index))
    }

    #[cold]
    fn bring_home(&mut self, index: usize) {
        for at in self.strays_of(index).rev() {
            let word = self.directory.at(index);
            let slot = self.strays[at].word;
            if bucket::insert(self.array_mut(word), slot) {
                self.strays.remove(at);
                self.directory.set_entries(index, word.entries() + 1);
            }
        }
    }
}

#[inline]
pub(in crate::ds) fn prefetch<T>(line: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing as far as the program can tell; any address will do.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(line.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}
