//! The tree against a sorted vector of the same records.

use super::*;
use crate::ds::ranked::mark::BeforeScore;
use proptest::prelude::*;

/// The obvious model: a sorted vector that owns the records.
#[derive(Default)]
struct Model(Vec<Record>);

impl Model {
    fn position(&self, score: f64, member: &[u8]) -> Result<usize, usize> {
        self.0.binary_search_by(|record| record.cmp_to(record.score(), score, member))
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: the tree under test is dropped first or not used again.
        self.0.drain(..).for_each(|record| unsafe { record.free() });
    }
}

fn agree(tree: &Tree, model: &Model) {
    tree.check();
    let up: Vec<Record> = tree.entries(0..u64::MAX, false).map(|(_, record)| record).collect();
    assert_eq!(up, model.0);
    let down: Vec<Record> = tree.entries(0..u64::MAX, true).map(|(_, record)| record).collect();
    assert!(down.iter().rev().eq(&up));
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u8, u16),
    Ascending(u8),
    Descending(u8),
    Remove(u16),
    Move(u16, u8),
    PopFirst(u8),
    PopLast(u8),
    RemoveRanks(u16, u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<u8>(), any::<u16>()).prop_map(|(score, member)| Step::Insert(score, member)),
        2 => any::<u8>().prop_map(Step::Ascending),
        2 => any::<u8>().prop_map(Step::Descending),
        3 => any::<u16>().prop_map(Step::Remove),
        3 => (any::<u16>(), any::<u8>()).prop_map(|(at, score)| Step::Move(at, score)),
        1 => any::<u8>().prop_map(Step::PopFirst),
        1 => any::<u8>().prop_map(Step::PopLast),
        1 => (any::<u16>(), 0u16..600).prop_map(|(at, len)| Step::RemoveRanks(at, len)),
    ]
}

fn insert(tree: &mut Tree, model: &mut Model, score: f64, member: &[u8]) {
    if let Err(at) = model.position(score, member) {
        let record = Record::new(member, score);
        model.0.insert(at, record);
        tree.insert(record);
        assert_eq!(tree.rank_of(record), at as u64);
    }
}

fn apply(tree: &mut Tree, model: &mut Model, step: &Step, serial: &mut u32) {
    let free = |record: Record| unsafe { record.free() };
    let len = model.0.len();
    match *step {
        // A run of neighbours, so that a few hundred steps make a few thousand entries.
        Step::Insert(score, member) => {
            for offset in 0..20u16 {
                let member = member.wrapping_mul(offset.wrapping_mul(773)).to_be_bytes();
                insert(tree, model, f64::from(score % 16), &member);
            }
        }
        Step::Ascending(count) | Step::Descending(count) => {
            for _ in 0..count {
                *serial += 1;
                let score = 1000.0 + f64::from(*serial);
                let score = if matches!(step, Step::Ascending(_)) { score } else { -score };
                insert(tree, model, score, b"queued");
            }
        }
        Step::Remove(at) if len > 0 => {
            let record = model.0.remove(usize::from(at) % len);
            tree.remove(record);
            free(record);
        }
        Step::Move(at, score) if len > 0 => {
            let at = usize::from(at) % len;
            let record = model.0[at];
            // Near its old score half of the time: the entry may keep its place.
            let score = if score % 2 == 0 { f64::from(score) } else { record.score() + 0.25 };
            if model.position(score, record.member()).is_err() {
                model.0.remove(at);
                tree.set_score(record, score);
                let Err(to) = model.position(score, record.member()) else { unreachable!() };
                model.0.insert(to, record);
            }
        }
        Step::PopFirst(count) => {
            for _ in 0..usize::from(count).min(len) {
                let record = model.0.remove(0);
                tree.remove_ranks(0..1, |records| assert_eq!(records, [record]));
                free(record);
            }
        }
        Step::PopLast(count) => {
            for _ in 0..usize::from(count).min(len) {
                let record = model.0.pop().unwrap();
                tree.remove_ranks(tree.len() - 1..tree.len(), |records| assert_eq!(records, [record]));
                free(record);
            }
        }
        Step::RemoveRanks(at, count) => {
            let from = usize::from(at) % (len + 1);
            let to = (from + usize::from(count)).min(len);
            let mut removed = Vec::new();
            tree.remove_ranks(from as u64..(from + usize::from(count)) as u64, |records| removed.extend(records));
            assert_eq!(removed, model.0.drain(from..to).collect::<Vec<_>>());
            removed.into_iter().for_each(free);
        }
        Step::Remove(_) | Step::Move(..) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn behaves_as_a_sorted_vector(steps in prop::collection::vec(step(), 0..400)) {
        let (mut model, mut tree, mut serial) = (Model::default(), Tree::new(), 0);
        for (number, step) in steps.iter().enumerate() {
            apply(&mut tree, &mut model, step, &mut serial);
            prop_assert_eq!(tree.len(), model.0.len() as u64);
            if number % 16 == 0 {
                agree(&tree, &model);
            }
        }
        agree(&tree, &model);
        for bound in [-2000.5, 0.0, 3.0, 7.5, f64::INFINITY] {
            let before = model.0.partition_point(|record| record.score() < bound) as u64;
            prop_assert_eq!(tree.count_before(BeforeScore(bound)), before);
        }
        for rank in (0..model.0.len()).step_by(37) {
            prop_assert_eq!(tree.nth(rank as u64).map(|(_, record)| record), Some(model.0[rank]));
            let some: Vec<Record> = tree.entries(rank as u64..rank as u64 + 100, false).map(|(_, record)| record).collect();
            prop_assert_eq!(&some, &model.0[rank..(rank + 100).min(model.0.len())]);
        }
        let built = Tree::from_sorted(&model.0);
        agree(&built, &model);
    }
}

#[test]
fn a_hundred_thousand_grow_and_shrink_in_every_order() {
    let count = 100_000u32;
    for multiplier in [1u32, 99_999, 61_803] {
        let (mut model, mut tree) = (Vec::new(), Tree::new());
        for number in 0..count {
            let score = (u64::from(number) * u64::from(multiplier) % u64::from(count)) as f64;
            let record = Record::new(&number.to_be_bytes(), score);
            tree.insert(record);
            model.push(record);
        }
        tree.check();
        let bytes_each = tree.memory() as f64 / f64::from(count);
        assert!(bytes_each < 18.0, "{bytes_each} bytes of nodes for each entry");
        for (number, record) in model.iter().enumerate() {
            tree.remove(*record);
            if number % 10_000 == 0 {
                tree.check();
            }
        }
        tree.check();
        assert_eq!(tree.memory(), 0);
        // SAFETY: the tree is empty.
        model.into_iter().for_each(|record| unsafe { record.free() });
    }
}

#[test]
fn ranges_of_many_leaves_come_out_of_a_deep_tree() {
    let count = 40_000u64;
    let mut model = Model((0..count).map(|number| Record::new(b"member", number as f64)).collect());
    let mut tree = Tree::from_sorted(&model.0);
    let mut state = 1u64;
    while !model.0.is_empty() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let len = model.0.len();
        let from = (state >> 33) as usize % len;
        let to = (from + (state >> 20) as usize % 4096).min(len);
        let mut removed = Vec::new();
        tree.remove_ranks(from as u64..to as u64, |records| removed.extend(records));
        assert!(model.0.drain(from..to).eq(removed.iter().copied()));
        // SAFETY: neither the tree nor the model holds them any more.
        removed.into_iter().for_each(|record| unsafe { record.free() });
        agree(&tree, &model);
    }
}

#[test]
fn a_leaf_that_goes_leaves_its_parents_the_next_one_as_first() {
    // Full leaves under full nodes: the ranges end where leaves do, so that no later step repairs what one forgot.
    let per_inner = LEAF_MAX * INNER_MAX;
    for leaves in [1, 2, INNER_MAX - 1, INNER_MAX, INNER_MAX + 1] {
        for first in [0, 1, INNER_MAX - 1, INNER_MAX] {
            let mut model = Model((0..3 * per_inner).map(|at| Record::new(b"member", at as f64)).collect());
            let mut tree = Tree::from_sorted(&model.0);
            let range = first * LEAF_MAX..(first + leaves) * LEAF_MAX;
            tree.remove_ranks(range.start as u64..range.end as u64, |_| {});
            // SAFETY: the tree holds them no more.
            model.0.drain(range).for_each(|record| unsafe { record.free() });
            agree(&tree, &model);
        }
    }
}
