//! The inside of one segment: an array of one-cache-line buckets, and how a slot finds its place there.
//!
//! Nothing here owns an entry or reads a key: a slot is a word, its position follows from the 16 bits of hash
//! that the word carries. Which array belongs to which hash is the directory's business, in `mod.rs`.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Slots of a bucket: eight words are one cache line.
pub(super) const SLOTS: usize = 8;

/// How many buckets past its home an entry may live.
///
/// The price of reach is a second or third (neighbouring) line for some lookups, the gain is load: arrays fill to
/// about 87 % with a reach of one, 93 % with two, 95 % with three before they must grow.
pub(super) const REACH: usize = 2;

/// The bucket counts an array can have.
///
/// Each fills one size class of the allocator (four classes per doubling). Powers of two are aligned by nature; for the
/// others the allocator reaches a line's boundary by adding 63 bytes to the request, so they leave a bucket free.
pub(super) const STEPS: [usize; 18] = [1, 2, 4, 5, 6, 8, 9, 11, 13, 16, 19, 23, 27, 32, 39, 47, 55, 64];

/// The largest array: past it a segment splits.
pub(super) const BUCKETS_MAX: usize = 64;

/// One cache line of slots, filled from the front: slot 7 is taken if and only if the bucket is full.
///
/// ```text
///   slot   63      48 47                     1   0
///          ┌─────────┬────────────────────────┬───┐
///          │   tag   │  pointer to the entry  │ F │   0 = free; F: `Slot::is_flagged`
///          └─────────┴────────────────────────┴───┘
///   home bucket = tag * buckets >> 16
/// ```
///
/// An entry lives in its home or in one of the next `REACH` buckets (the array is a ring), and only past buckets that
/// are full. So a lookup may stop at the first bucket that is not full.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Bucket([u64; SLOTS]);

/// Where a slot is inside an array.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spot {
    pub bucket: u8,
    pub slot: u8,
}

const ADDRESS: u64 = (1 << 48) - 2;
const FLAG: u64 = 1;

pub(super) fn pack(tag: u16, raw: NonNull<u8>, flagged: bool) -> u64 {
    let address = raw.as_ptr().expose_provenance() as u64;
    assert!(address & !ADDRESS == 0, "an entry lies at an odd address, or beyond 48 bits of address space");
    u64::from(tag) << 48 | address | if flagged { FLAG } else { 0 }
}

#[inline]
pub(super) fn is_flagged(word: u64) -> bool {
    word & FLAG != 0
}

#[inline]
pub(super) fn tag_of(word: u64) -> u16 {
    (word >> 48) as u16
}

#[inline]
pub(super) fn pointer_of(word: u64) -> Option<NonNull<u8>> {
    NonNull::new(std::ptr::with_exposed_provenance_mut((word & ADDRESS) as usize))
}

#[inline]
pub(super) fn home(tag: u16, buckets: usize) -> usize {
    (usize::from(tag) * buckets) >> 16
}

/// The lowest tag whose home is `bucket`: where the walk in tag order stands before that bucket.
pub(super) fn first_tag(bucket: usize, buckets: usize) -> u32 {
    ((bucket << 16).div_ceil(buckets)) as u32
}

/// How far entries may stray in a ring of this size: never all the way round.
#[inline]
fn reach(buckets: usize) -> usize {
    REACH.min(buckets - 1)
}

#[inline]
fn ahead(bucket: usize, by: usize, buckets: usize) -> usize {
    let at = bucket + by;
    if at >= buckets { at - buckets } else { at }
}

fn behind(bucket: usize, by: usize, buckets: usize) -> usize {
    if bucket >= by { bucket - by } else { bucket + buckets - by }
}

/// How many buckets past its home the word is when it lies in `bucket`.
fn displacement(word: u64, bucket: usize, buckets: usize) -> usize {
    behind(bucket, home(tag_of(word), buckets), buckets)
}

impl Bucket {
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.0[SLOTS - 1] != 0
    }

    #[cfg(test)]
    pub(super) const EMPTY: Bucket = Bucket([0; SLOTS]);

    pub(super) fn slots(&self) -> &[u64; SLOTS] {
        &self.0
    }

    pub(super) fn slots_mut(&mut self) -> &mut [u64; SLOTS] {
        &mut self.0
    }

    /// Counted without branches: where a bucket ends is anybody's guess.
    #[inline]
    fn taken(&self) -> usize {
        self.0.iter().map(|&slot| usize::from(slot != 0)).sum()
    }

    #[inline]
    fn push(&mut self, word: u64) {
        debug_assert!(!self.is_full());
        self.0[self.taken() % SLOTS] = word;
    }

    fn take(&mut self, slot: usize) -> u64 {
        let last = (self.taken() - 1) % SLOTS;
        let word = self.0[slot];
        self.0[slot] = self.0[last];
        self.0[last] = 0;
        word
    }

    /// A bit for each slot that carries the tag. Free slots look like tag 0.
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    #[inline]
    pub(super) fn matches(&self, tag: u16) -> u32 {
        use std::arch::x86_64::*;
        let lines = self.0.as_ptr().cast::<__m128i>();
        // SAFETY: a bucket is 64 aligned bytes, so four aligned loads of 16 stay inside it; SSE2 is part of the target.
        unsafe {
            let pair = |at: usize| {
                let low = _mm_castsi128_ps(_mm_load_si128(lines.add(at)));
                let high = _mm_castsi128_ps(_mm_load_si128(lines.add(at + 1)));
                // The upper half of each of four words, then its upper 16 bits, sign-extended for the packing below.
                _mm_srai_epi32(_mm_castps_si128(_mm_shuffle_ps::<0b11_01_11_01>(low, high)), 16)
            };
            let tags = _mm_packs_epi32(pair(0), pair(2));
            let equal = _mm_cmpeq_epi16(tags, _mm_set1_epi16(tag.cast_signed()));
            _mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128())) as u32
        }
    }

    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
    #[inline]
    pub(super) fn matches(&self, tag: u16) -> u32 {
        self.matches_portable(tag)
    }

    #[cfg(any(test, not(all(target_arch = "x86_64", target_feature = "sse2"))))]
    pub(super) fn matches_portable(&self, tag: u16) -> u32 {
        (0..SLOTS).fold(0, |mask, slot| mask | u32::from(tag_of(self.0[slot]) == tag) << slot)
    }
}

/// The spot of the word with this tag that `is_it` recognises by its pointer.
#[inline]
pub(super) fn find(array: &[Bucket], tag: u16, mut is_it: impl FnMut(NonNull<u8>) -> bool) -> Option<Spot> {
    if array.is_empty() {
        return None;
    }
    let mut at = home(tag, array.len());
    for _ in 0..=reach(array.len()) {
        let bucket = &array[at];
        let mut hits = bucket.matches(tag);
        while hits != 0 {
            let slot = hits.trailing_zeros() as usize;
            if pointer_of(bucket.0[slot]).is_some_and(&mut is_it) {
                return Some(Spot { bucket: at as u8, slot: slot as u8 });
            }
            hits &= hits - 1;
        }
        if !bucket.is_full() {
            return None;
        }
        at = ahead(at, 1, array.len());
    }
    None
}

/// Shows the pointers that a lookup of this tag would look at.
#[inline]
pub(super) fn candidates(array: &[Bucket], tag: u16, mut show: impl FnMut(NonNull<u8>)) {
    find(array, tag, |raw| {
        show(raw);
        true
    });
}

#[inline]
pub(super) fn word_at(array: &[Bucket], spot: Spot) -> u64 {
    array[usize::from(spot.bucket)].0[usize::from(spot.slot)]
}

/// Puts the word into the first bucket with room from its home on; where that is out of reach, moves others
/// further along to bring the free slot near. `false`, and nothing changed, where that cannot be done.
#[inline]
pub(super) fn insert(array: &mut [Bucket], word: u64) -> bool {
    let buckets = array.len();
    let home = home(tag_of(word), buckets);
    if !array[home].is_full() {
        array[home].push(word);
        return true;
    }
    let Some(distance) = (1..buckets).find(|&by| !array[ahead(home, by, buckets)].is_full()) else {
        return false;
    };
    if distance <= reach(buckets) {
        array[ahead(home, distance, buckets)].push(word);
        return true;
    }
    insert_by_moving(array, word, home, distance)
}

/// `distance` is that of the first bucket with room. Each hop is a slot that moves into the place freed before it; nothing is
/// moved until the whole way is known.
fn insert_by_moving(array: &mut [Bucket], word: u64, home: usize, mut distance: usize) -> bool {
    let buckets = array.len();
    let reach = reach(buckets);
    let mut free = ahead(home, distance, buckets);
    let first_free = free;
    let mut hops = [Spot { bucket: 0, slot: 0 }; BUCKETS_MAX];
    let mut hop_count = 0;
    while distance > reach {
        let hop = (1..=reach).rev().find_map(|by| {
            let bucket = behind(free, by, buckets);
            let slot = array[bucket].0.iter().position(|&other| displacement(other, free, buckets) <= reach)?;
            Some((by, Spot { bucket: bucket as u8, slot: slot as u8 }))
        });
        let Some((by, spot)) = hop else { return false };
        hops[hop_count] = spot;
        hop_count += 1;
        distance -= by;
        free = usize::from(spot.bucket);
    }

    let mut free = first_free;
    for spot in &hops[..hop_count] {
        let moved = array[usize::from(spot.bucket)].take(usize::from(spot.slot));
        array[free].push(moved);
        free = usize::from(spot.bucket);
    }
    array[free].push(word);
    true
}

/// Takes the word out and, where that opened a full bucket, draws back the entries that had to pass it.
pub(super) fn remove(array: &mut [Bucket], spot: Spot) -> u64 {
    let buckets = array.len();
    let mut hole = usize::from(spot.bucket);
    let mut was_full = array[hole].is_full();
    let word = array[hole].take(usize::from(spot.slot));
    while was_full {
        let Some((from, slot)) = passer(array, hole) else { break };
        was_full = array[from].is_full();
        let moved = array[from].take(slot);
        array[hole].push(moved);
        debug_assert!(displacement(moved, hole, buckets) <= reach(buckets));
        hole = from;
    }
    word
}

/// A word that lies past `hole` though its home is at or before it.
fn passer(array: &[Bucket], hole: usize) -> Option<(usize, usize)> {
    let buckets = array.len();
    for by in 1..=reach(buckets) {
        let at = ahead(hole, by, buckets);
        let slots = array[at].0.iter();
        let found = slots.take_while(|&&word| word != 0).position(|&word| displacement(word, at, buckets) >= by);
        if let Some(slot) = found {
            return Some((at, slot));
        }
        if !array[at].is_full() {
            return None;
        }
    }
    None
}

/// Every word whose home is `bucket`, with its spot.
pub(super) fn at_home(array: &[Bucket], bucket: usize) -> impl Iterator<Item = u64> + '_ {
    let buckets = array.len();
    let full_before = move |by: usize| (0..by).all(|by| array[ahead(bucket, by, buckets)].is_full());
    let span = if buckets == 0 { 0 } else { reach(buckets) + 1 };
    (0..span)
        .take_while(move |&by| full_before(by))
        .flat_map(move |by| array[ahead(bucket, by, buckets)].0.iter().copied())
        .filter(move |&word| word != 0 && home(tag_of(word), buckets) == bucket)
}

/// The bytes asked of the allocator for an array: for a count that is no power of two one byte more than it needs,
/// so that accounts by size class see the class that the aligned request really takes.
pub(super) fn array_bytes(buckets: usize) -> usize {
    buckets * size_of::<Bucket>() + usize::from(!buckets.is_power_of_two())
}

fn layout(buckets: usize) -> Layout {
    Layout::from_size_align(array_bytes(buckets), align_of::<Bucket>()).expect("at most 64 buckets")
}

/// An array of free slots.
pub(super) fn allocate(buckets: usize) -> NonNull<Bucket> {
    let layout = layout(buckets);
    // SAFETY: the layout's size is at least one bucket, never zero.
    let array = unsafe { alloc_zeroed(layout) };
    NonNull::new(array.cast()).unwrap_or_else(|| handle_alloc_error(layout))
}

/// # Safety
/// `array` is from `allocate` with the same count and is not used again.
pub(super) unsafe fn free(array: NonNull<Bucket>, buckets: usize) {
    // SAFETY: by the contract above the layout is the one it was allocated with.
    unsafe { dealloc(array.as_ptr().cast(), layout(buckets)) }
}

/// The smallest array that takes this many entries with little moving about.
pub(super) fn buckets_for(entries: usize) -> usize {
    STEPS.into_iter().find(|&buckets| entries * 100 <= buckets * SLOTS * 92).unwrap_or(BUCKETS_MAX)
}

/// The next larger array, unless this one is not even half full: then the trouble is in the hashes, not in the size.
pub(super) fn next_step(buckets: usize, entries: usize) -> Option<usize> {
    let worth_it = entries * 2 >= buckets * SLOTS;
    STEPS.into_iter().find(|&step| step > buckets).filter(|_| worth_it)
}

/// Checks one array: slots filled from the front, every entry within reach and behind full buckets only.
pub(super) fn check(array: &[Bucket]) -> usize {
    let buckets = array.len();
    assert!(STEPS.contains(&buckets), "an array of {buckets} buckets");
    let mut entries = 0;
    for (at, bucket) in array.iter().enumerate() {
        let taken = bucket.0.iter().take_while(|&&word| word != 0).count();
        assert!(bucket.0[taken..].iter().all(|&word| word == 0), "a gap inside bucket {at}");
        for &word in &bucket.0[..taken] {
            let by = displacement(word, at, buckets);
            assert!(by <= reach(buckets), "an entry lies {by} buckets past its home");
            assert!((1..=by).all(|by| array[behind(at, by, buckets)].is_full()), "an entry passed a free slot");
        }
        entries += taken;
    }
    entries
}
