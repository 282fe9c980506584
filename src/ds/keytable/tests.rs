//! The table against the obvious model, with good hashes and with the worst.

use std::cell::Cell;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;

use super::bucket::{self, Bucket, SLOTS, Spot, pack};
use super::*;

/// How a test turns a number into a hash.
#[derive(Clone, Copy, Debug)]
enum Hashing {
    Good,
    /// All in one home bucket: 24 places a segment.
    SameTag,
    /// No prefix tells them apart.
    SamePrefix,
    FewPrefixes,
    Same,
    /// As they come: neighbours in prefix and in tag.
    Counting,
    /// More prefixes begin with zeros than with ones: segments of several depths.
    Skewed,
}

impl Hashing {
    const ALL: [Hashing; 7] = [
        Hashing::Good,
        Hashing::SameTag,
        Hashing::SamePrefix,
        Hashing::FewPrefixes,
        Hashing::Same,
        Hashing::Counting,
        Hashing::Skewed,
    ];

    fn of(self, number: u32) -> Hash {
        let good = SEED.hash(&number.to_le_bytes()).0;
        Hash(match self {
            Hashing::Good => good,
            Hashing::SameTag => good | 0xffff,
            Hashing::SamePrefix => good >> 48 | 0x1234 << 48,
            Hashing::FewPrefixes => good & 0x3000_0000_0000_ffff,
            Hashing::Same => 42,
            Hashing::Counting => u64::from(number) << 48 | u64::from(number),
            Hashing::Skewed => (good >> 32).pow(2) & !0xffff | good & 0xffff,
        })
    }
}

static SEED: Seed = Seed::new([1, 2]);

/// An entry that knows its hash and counts itself.
struct Item {
    number: [u8; 4],
    value: u64,
    hash: Hash,
    alive: Rc<Cell<usize>>,
}

impl Item {
    fn number(&self) -> u32 {
        u32::from_le_bytes(self.number)
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.alive.set(self.alive.get() - 1);
    }
}

struct Owned(Box<Item>);

// SAFETY: as for the box inside.
unsafe impl Slot for Owned {
    type Ref<'a> = &'a Item;
    type Mut<'a> = &'a mut Item;

    fn into_raw(self) -> NonNull<u8> {
        NonNull::from(Box::leak(self.0)).cast()
    }

    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        // SAFETY: a leaked box, given back once.
        Owned(unsafe { Box::from_raw(raw.cast().as_ptr()) })
    }

    unsafe fn key<'a>(raw: NonNull<u8>) -> &'a [u8] {
        // SAFETY: a live box.
        unsafe { &raw.cast::<Item>().as_ref().number }
    }

    unsafe fn view<'a>(raw: NonNull<u8>) -> &'a Item {
        // SAFETY: a live box.
        unsafe { raw.cast().as_ref() }
    }

    unsafe fn view_mut<'a>(raw: NonNull<u8>) -> &'a mut Item {
        // SAFETY: a live box that nothing else looks at.
        unsafe { raw.cast().as_mut() }
    }

    unsafe fn hash(raw: NonNull<u8>, _: &Seed) -> Hash {
        // SAFETY: a live box.
        unsafe { raw.cast::<Item>().as_ref().hash }
    }
}

/// A table beside its model; every change is made to both.
struct Twins {
    table: Table<Owned>,
    model: HashMap<u32, u64>,
    hashing: Hashing,
    alive: Rc<Cell<usize>>,
}

impl Twins {
    fn new(hashing: Hashing) -> Twins {
        Twins { table: Table::new(&SEED), model: HashMap::new(), hashing, alive: Rc::default() }
    }

    fn item(&self, number: u32, value: u64) -> Owned {
        self.alive.set(self.alive.get() + 1);
        let (alive, hash) = (self.alive.clone(), self.hashing.of(number));
        Owned(Box::new(Item { number: number.to_le_bytes(), value, hash, alive }))
    }

    fn set(&mut self, number: u32, value: u64) {
        let (hash, item) = (self.hashing.of(number), self.item(number, value));
        let old = self.table.replace(hash, &number.to_le_bytes(), item);
        assert_eq!(old.map(|old| old.0.value), self.model.insert(number, value));
    }

    fn remove(&mut self, number: u32) {
        let removed = self.table.remove(self.hashing.of(number), &number.to_le_bytes());
        assert_eq!(removed.map(|item| item.0.value), self.model.remove(&number));
    }

    fn update(&mut self, number: u32, value: u64) {
        let new = self.item(number, value);
        let there = self.table.update(self.hashing.of(number), &number.to_le_bytes(), |_| new);
        assert_eq!(there, self.model.get_mut(&number).map(|old| *old = value).is_some());
    }

    fn get(&self, number: u32) -> Option<u64> {
        self.table.get(self.hashing.of(number), &number.to_le_bytes()).map(|item| item.value)
    }

    fn check(&self) {
        self.table.check();
        assert_eq!(self.table.len(), self.model.len());
        assert_eq!(self.alive.get(), self.model.len(), "entries alive");
        let all: HashMap<u32, u64> = self.table.iter().map(|item| (item.number(), item.value)).collect();
        assert_eq!(all, self.model);
        assert_eq!(self.table.iter().count(), self.model.len(), "an entry came twice");
        assert!(self.model.iter().all(|(&number, &value)| self.get(number) == Some(value)));
    }
}

fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

#[test]
fn a_table_is_a_map() {
    for hashing in Hashing::ALL {
        for seed in 0..12 {
            let mut random = random(seed);
            let mut twins = Twins::new(hashing);
            if seed % 4 == 3 {
                twins.table.reserve(1 << (seed + 2));
            }
            // Waves of growing and shrinking over a range of keys that differs from seed to seed.
            let range = [10u32, 100, 1_000, 6_000][seed as usize % 4];
            for wave in 0..6 {
                let removes_in_8 = if wave % 2 == 0 { 2 } else { 6 };
                for _ in 0..range * 2 {
                    let number = (random() % u64::from(range)) as u32;
                    match random() % 8 {
                        step if step < removes_in_8 => twins.remove(number),
                        7 => twins.update(number, random()),
                        _ => twins.set(number, random()),
                    }
                    let probe = (random() % u64::from(range)) as u32;
                    assert_eq!(twins.get(probe), twins.model.get(&probe).copied());
                }
                twins.check();
            }
            twins.table.retain(|item| item.value.is_multiple_of(3));
            twins.model.retain(|_, value| value.is_multiple_of(3));
            twins.check();
            while let Some(item) = twins.table.take_random(&mut random) {
                assert!(twins.model.remove(&item.0.number()).is_some());
            }
            twins.check();
            assert_eq!(twins.table.array_bytes, 0);
            assert_eq!(twins.table.segments(), 1);
            twins.set(1, 1);
            let alive = twins.alive.clone();
            drop(twins);
            assert_eq!(alive.get(), 0, "dropping the table drops its entries");
        }
    }
}

#[test]
fn what_two_tables_have_in_common_is_shown_once() {
    let mut walked = 0;
    for hashing in Hashing::ALL {
        for (seed, (ours, theirs)) in
            [(0, 10), (10, 10), (3_000, 40), (300, 3_000), (4_000, 4_000)].into_iter().enumerate()
        {
            let mut random = random(seed as u64);
            let [mut one, mut other] = [Twins::new(hashing), Twins::new(hashing)];
            (0..ours).for_each(|_| one.set((random() % 6_000) as u32, 1));
            (0..theirs).for_each(|_| other.set((random() % 6_000) as u32, 2));
            for (one, other) in [(&one, &other), (&other, &one), (&one, &one)] {
                if !one.table.walks_with(&other.table) {
                    continue;
                }
                walked += 1;
                let mut shown = Vec::new();
                let outcome = one.table.each_common(&other.table, |item| {
                    shown.push(item.number());
                    ControlFlow::Continue(())
                });
                shown.sort_unstable();
                let mut expected: Vec<u32> =
                    one.model.keys().copied().filter(|key| other.model.contains_key(key)).collect();
                expected.sort_unstable();
                assert_eq!((shown, outcome), (expected, ControlFlow::Continue(())), "{hashing:?} {ours} {theirs}");
            }
        }
    }
    assert!(walked >= 60, "{walked} pairs have no strays");
}

#[test]
fn growing_and_emptying_a_large_table_keeps_it_dense() {
    let mut twins = Twins::new(Hashing::Good);
    let mut loads = Vec::new();
    for number in 0..200_000 {
        twins.set(number, 0);
        if number > 2_000 && number % 1_000 == 0 {
            loads.push(f64::from(number) * 8.0 / twins.table.memory() as f64);
        }
    }
    let mean = loads.iter().sum::<f64>() / loads.len() as f64;
    let worst = loads.iter().copied().fold(1.0, f64::min);
    assert!(mean > 0.80 && worst > 0.70, "mean load {mean:.3}, worst {worst:.3}");
    assert!(twins.table.strays.is_empty(), "good hashes need no strays");
    for number in 0..199_000 {
        twins.remove(number);
        let load = f64::from(200_000 - number) * 8.0 / twins.table.memory() as f64;
        assert!(load > 0.40, "a load of {load:.3} with {} entries", 200_000 - number);
    }
    twins.check();
}

#[test]
fn alike_hashes_do_not_cost_memory_out_of_proportion() {
    for hashing in Hashing::ALL {
        let mut twins = Twins::new(hashing);
        for number in 0..20_000 {
            twins.set(number, 0);
        }
        let memory = twins.table.memory();
        assert!(memory < 20_000 * 40, "{hashing:?}: {memory} bytes");
        twins.check();
    }
}

#[test]
fn scan_shows_what_stays() {
    for hashing in Hashing::ALL {
        for seed in 0..30 {
            let mut random = random(seed);
            let mut twins = Twins::new(hashing);
            // Numbers below `staying` stay; the others come and go in waves between calls, up to 40 times as many.
            let staying = [3, 40, 500][seed as usize % 3];
            let others = staying * [1, 8, 40][seed as usize / 3 % 3];
            for number in 0..staying {
                twins.set(number, 0);
            }
            let mut grow = random().is_multiple_of(2);
            let mut many = |twins: &mut Twins, count: u32, grow: bool| {
                for _ in 0..count {
                    let number = staying + (random() % u64::from(others)) as u32;
                    if grow { twins.set(number, 0) } else { twins.remove(number) }
                }
            };
            if !grow {
                many(&mut twins, others, true);
            }
            let mut seen = vec![false; (staying + others) as usize];
            let (mut cursor, mut calls) = (0, 0);
            loop {
                cursor = twins.table.scan(cursor, 10, &mut |item| seen[item.number() as usize] = true);
                assert!(cursor < 1 << 53);
                if cursor == 0 {
                    break;
                }
                many(&mut twins, others / 8 + 1, grow);
                calls += 1;
                grow ^= calls % 11 == 0;
                assert!(calls < 20_000, "{hashing:?} {seed}: the scan does not end");
            }
            assert!((0..staying).all(|number| seen[number as usize]), "{hashing:?} {seed}: missed one");
            twins.table.check();
        }
    }
}

#[test]
fn scan_of_a_quiet_table_shows_each_once_in_small_portions() {
    let mut twins = Twins::new(Hashing::Good);
    for number in 0..10_000 {
        twins.set(number, 0);
    }
    let (mut cursor, mut calls, mut shown, mut most) = (0, 0, vec![0; 10_000], 0);
    loop {
        let mut portion = 0;
        cursor = twins.table.scan(cursor, 10, &mut |item| {
            shown[item.number() as usize] += 1;
            portion += 1;
        });
        (calls, most) = (calls + 1, most.max(portion));
        if cursor == 0 {
            break;
        }
    }
    assert!(shown.iter().all(|&times| times == 1));
    assert!(calls > 600 && most < 35, "{calls} calls, at most {most} at once");
    for cursor in [1, 0xffff, 1 << 16, 1 << 21, u64::MAX, 77 << 40, u64::MAX >> 11] {
        twins.table.scan(cursor, 10, &mut |_| ());
    }
}

#[test]
fn scan_of_a_sparse_table_does_bounded_work() {
    let mut twins = Twins::new(Hashing::Good);
    twins.table.reserve(1 << 20);
    twins.set(1, 1);
    let (mut cursor, mut calls) = (0, 0);
    loop {
        cursor = twins.table.scan(cursor, 10, &mut |_| ());
        calls += 1;
        if cursor == 0 {
            break;
        }
    }
    assert!(calls > 15);
}

#[test]
fn every_entry_is_as_likely_to_be_drawn() {
    let cases = [
        (Hashing::Good, 1),
        (Hashing::Good, 37),
        (Hashing::Good, 1_500),
        (Hashing::Skewed, 2_000),
        (Hashing::Same, 60),
    ];
    for (hashing, count) in cases {
        let mut twins = Twins::new(hashing);
        let mut random = random(7);
        for number in 0..count * 3 {
            twins.set(number, 0);
        }
        // Uneven segments: one half of the hashes loses most entries.
        for number in count..count * 3 {
            if matches!(hashing, Hashing::Same) || hashing.of(number).0 >> 63 == 0 || number % 2 == 0 {
                twins.remove(number);
            }
        }
        let mut drawn: HashMap<u32, f64> = HashMap::new();
        let expected = 200.0;
        for _ in 0..twins.table.len() * expected as usize {
            *drawn.entry(twins.table.random(&mut random).unwrap().number()).or_default() += 1.0;
        }
        let chi: f64 = drawn.values().map(|times| (times - expected) * (times - expected) / expected).sum();
        let freedom = twins.table.len() as f64;
        assert_eq!(drawn.len(), twins.table.len());
        assert!(chi < freedom + 5.0 * (2.0 * freedom).sqrt(), "chi square {chi} for {freedom}");
    }
}

#[test]
fn a_source_that_is_not_random_still_draws() {
    for constant in [0, u64::MAX, 0x8000_0000_0000_0000] {
        let mut twins = Twins::new(Hashing::Good);
        assert!(twins.table.random(&mut || constant).is_none());
        for number in 0..3_000 {
            twins.set(number, 0);
            if number % 100 == 0 {
                assert!(twins.table.random(&mut || constant).is_some());
            }
        }
        let mut shown = 0;
        twins.table.sample(&mut || constant, 16, &mut |_| shown += 1);
        assert_eq!(shown, 16);
        twins.table.sample(&mut || constant, 9_999, &mut |_| shown += 1);
        assert_eq!(shown, 16 + 3_000, "a sample shows none twice");
    }
}

#[test]
fn marks_never_hide_a_deadline() {
    for hashing in [Hashing::Good, Hashing::SameTag, Hashing::FewPrefixes] {
        for seed in 0..6 {
            let mut random = random(seed);
            let mut twins = Twins::new(hashing);
            for round in 0..40 {
                // Every other ten rounds most entries go, and segments merge with deadlines pending in both halves.
                let (changes, removes_in_8) = if round / 10 % 2 == 0 { (500, 2) } else { (4_000, 7) };
                for _ in 0..changes {
                    let number = (random() % 4_000) as u32;
                    if random() % 8 < removes_in_8 {
                        twins.remove(number);
                    } else {
                        let due = round * 100 + random() % 5_000;
                        twins.set(number, due);
                        twins.table.mark_deadline(hashing.of(number), due);
                    }
                }
                let now = round * 100;
                let mut position = Some(0);
                while let Some(segment) = position.and_then(|position| twins.table.next_due(position, now)) {
                    assert!(twins.table.mark(segment) <= now);
                    let mut next = u64::MAX;
                    let mut visit = |item: &mut Item| {
                        if item.value <= now {
                            return Visit::Remove;
                        }
                        next = next.min(item.value);
                        Visit::Keep
                    };
                    twins.table.visit_segment(segment, &mut visit, &mut |item| {
                        assert!(twins.model.remove(&item.0.number()).is_some());
                    });
                    twins.table.set_mark(segment, next);
                    position = twins.table.position_after(segment);
                    twins.table.settle(segment);
                }
                assert!(twins.model.values().all(|&due| due > now), "an entry outlived its deadline");
                twins.check();
            }
        }
    }
}

/// A point-in-time image by epochs: what a writer is about to touch is handed over first.
#[test]
fn epochs_make_a_snapshot_of_one_moment() {
    for hashing in Hashing::ALL {
        for seed in 0..8 {
            let mut random = random(seed);
            let mut twins = Twins::new(hashing);
            let range = [50, 3_000][seed as usize % 2];
            for epoch in 1..4 {
                for _ in 0..range {
                    twins.set((random() % range) as u32, random());
                }
                let moment = twins.model.clone();
                let mut image = HashMap::new();
                let mut hand_over = |table: &mut Table<Owned>, segment: Segment| {
                    if table.epoch(segment) < epoch {
                        table.show_segment(segment, &mut |item| {
                            assert!(image.insert(item.number(), item.value).is_none(), "handed over twice");
                        });
                        table.set_epoch(segment, epoch);
                    }
                };
                let mut position = Some(0);
                while let Some(segment) = position.and_then(|position| twins.table.segment_at(position)) {
                    hand_over(&mut twins.table, segment);
                    position = twins.table.position_after(segment);
                    for _ in 0..range / 4 {
                        let number = (random() % range) as u32;
                        let touched = twins.table.segment_of(hashing.of(number)).unwrap();
                        hand_over(&mut twins.table, touched);
                        if random().is_multiple_of(3) { twins.set(number, random()) } else { twins.remove(number) }
                    }
                }
                assert_eq!(image, moment);
                twins.check();
            }
        }
    }
}

#[test]
fn an_entry_is_looked_up_once_and_changed() {
    let mut twins = Twins::new(Hashing::Good);
    let hash = Hashing::Good.of(5);
    let item = twins.item(5, 50);
    match twins.table.entry(hash, &5u32.to_le_bytes()) {
        Entry::Vacant(vacant) => vacant.insert(item).value += 1,
        Entry::Occupied(_) => panic!("an empty table"),
    }
    assert_eq!(twins.get(5), Some(51));
    match twins.table.entry(hash, &5u32.to_le_bytes()) {
        Entry::Occupied(mut occupied) => {
            occupied.get_mut().value += 1;
            assert_eq!(occupied.get().value, 52);
            assert_eq!(occupied.remove().0.value, 52);
        }
        Entry::Vacant(_) => panic!("inserted above"),
    }
    assert!(twins.table.is_empty() && twins.alive.get() == 0);
}

#[test]
fn a_change_that_panics_leaves_no_trace_of_its_entry() {
    let mut twins = Twins::new(Hashing::Good);
    twins.set(1, 1);
    twins.set(2, 2);
    let table = &mut twins.table;
    let change = || table.update(Hashing::Good.of(1), &1u32.to_le_bytes(), |_| panic!("a test of panics"));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(change)).is_err());
    twins.model.remove(&1);
    twins.check();
}

#[test]
fn a_new_table_owns_nothing_and_a_small_one_little() {
    let mut twins = Twins::new(Hashing::Good);
    assert_eq!(twins.table.memory(), 0);
    twins.set(1, 1);
    assert_eq!(twins.table.memory(), 64 + 8);
    for number in 0..8 {
        twins.set(number, 1);
    }
    assert_eq!(twins.table.memory(), 64 + 8, "eight entries fit into the first bucket");
    twins.table.clear();
    assert_eq!(twins.table.memory(), 0);
}

/// Of no entry: nobody looks there.
fn address(random: u64) -> NonNull<u8> {
    NonNull::without_provenance(std::num::NonZero::new((random as usize >> 17 | 8) & !7).expect("a bit is set"))
}

#[test]
fn tags_are_compared_alike_with_and_without_simd() {
    let mut random = random(3);
    for _ in 0..20_000 {
        let mut bucket = Bucket::EMPTY;
        let tags: Vec<u16> = (0..random() % 9).map(|_| [0, 1, 0x7fff, 0x8000, 0xffff][random() as usize % 5]).collect();
        for (slot, &tag) in bucket.slots_mut().iter_mut().zip(&tags) {
            *slot = pack(tag, address(random()), random().is_multiple_of(2));
        }
        for tag in [0, 1, 0x7fff, 0x8000, 0xffff, 0x1234] {
            assert_eq!(bucket.matches(tag), bucket.matches_portable(tag));
            let expected = (0..SLOTS).filter(|&slot| tags.get(slot).copied().unwrap_or(0) == tag);
            assert_eq!(bucket.matches(tag), expected.fold(0, |mask, slot| mask | 1 << slot));
        }
    }
}

/// One array of every size, filled until it refuses, thinned out, filled again.
#[test]
fn arrays_fill_well_and_keep_their_order() {
    let mut random = random(11);
    for buckets in bucket::STEPS {
        let mut array = vec![Bucket::EMPTY; buckets];
        let mut filled = 0;
        let rounds = 60;
        for _ in 0..rounds {
            loop {
                let word = pack(random() as u16, address(random()), random().is_multiple_of(2));
                if !bucket::insert(&mut array, word) {
                    break;
                }
            }
            filled += bucket::check(&array);
            for at in 0..buckets {
                for slot in (0..SLOTS).rev() {
                    let spot = Spot { bucket: at as u8, slot: slot as u8 };
                    if bucket::word_at(&array, spot) != 0 && random().is_multiple_of(3) {
                        let word = bucket::word_at(&array, spot);
                        assert_eq!(bucket::remove(&mut array, spot), word);
                    }
                }
            }
            bucket::check(&array);
        }
        let load = filled as f64 / (buckets * SLOTS * rounds) as f64;
        assert!(load > 0.85, "{buckets} buckets fill to {load:.3}");
    }
}
