use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Bound;

/// The value knows its key, so that what a seek finds can be compared.
type Value = (Vec<u8>, Tally);

#[derive(Clone, Debug)]
enum Action {
    Insert(Vec<u8>, Tally),
    Remove(Vec<u8>),
    Update(Vec<u8>, Tally),
    Seek(Vec<u8>, u64),
}

/// Keys that share prefixes, end inside one another, are empty, or are long.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(0u8..3, 0..7),
        2 => prop::collection::vec(any::<u8>(), 0..3),
        2 => (0u64..600, 0u64..3).prop_map(|(one, two)| [one.to_be_bytes(), two.to_be_bytes()].concat()),
        1 => (20usize..60, 0u8..3, 0usize..60).prop_map(|(len, byte, at)| {
            let mut key = vec![7; len];
            if let Some(slot) = key.get_mut(at) {
                *slot = byte;
            }
            key
        }),
        1 => (0usize..3).prop_map(|less| vec![1; KEY_LEN_MAX - less]),
    ]
}

fn tally() -> impl Strategy<Value = Tally> {
    (0u64..50, 0u64..20).prop_map(|(weight, mark)| Tally { weight, mark })
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (key(), tally()).prop_map(|(key, tally)| Action::Insert(key, tally)),
        3 => key().prop_map(Action::Remove),
        1 => (key(), tally()).prop_map(|(key, tally)| Action::Update(key, tally)),
        3 => (key(), 0u64..20).prop_map(|(key, mark)| Action::Seek(key, mark)),
    ]
}

fn compare_seeks(tree: &Rax<Value>, model: &BTreeMap<Vec<u8>, Tally>, key: &[u8], mark: u64) {
    let found = |seek| tree.seek(key, seek).map(|(key, _)| key.as_slice());
    let up = |bound| model.range::<[u8], _>((bound, Bound::Unbounded)).next().map(|(key, _)| key.as_slice());
    let down = |bound| model.range::<[u8], _>((Bound::Unbounded, bound)).next_back().map(|(key, _)| key.as_slice());
    assert_eq!(found(Seek::AtLeast), up(Bound::Included(key)));
    assert_eq!(found(Seek::Above), up(Bound::Excluded(key)));
    assert_eq!(found(Seek::AtMost), down(Bound::Included(key)));
    assert_eq!(found(Seek::Below), down(Bound::Excluded(key)));
    let below = (Bound::Unbounded, Bound::Excluded(key));
    assert_eq!(tree.weight_before(key), model.range::<[u8], _>(below).map(|(_, tally)| tally.weight).sum::<u64>());
    let marked = model.range::<[u8], _>((Bound::Included(key), Bound::Unbounded)).find(|(_, tally)| tally.mark <= mark);
    assert_eq!(tree.next_marked(key, mark).map(|(key, _)| key), marked.map(|(key, _)| key));
}

fn compare_whole(tree: &Rax<Value>, model: &BTreeMap<Vec<u8>, Tally>) {
    tree.check(|(_, tally)| *tally);
    assert_eq!(tree.len(), model.len());
    assert_eq!(tree.first().map(|(key, _)| key), model.keys().next());
    assert_eq!(tree.last().map(|(key, _)| key), model.keys().next_back());
    let lowest = model.iter().min_by_key(|(key, tally)| (tally.mark, key.to_vec()));
    assert_eq!(tree.lowest().map(|(key, _)| key), lowest.map(|(key, _)| key));
    let mut up = tree.iter();
    let mut down = tree.iter_back();
    for (key, tally) in model {
        assert_eq!(up.step().map(|(key, value)| (key.to_vec(), value.1)), Some((key.clone(), *tally)));
    }
    for (key, tally) in model.iter().rev() {
        assert_eq!(down.step().map(|(key, value)| (key.to_vec(), value.1)), Some((key.clone(), *tally)));
    }
    assert!(up.step().is_none() && down.step().is_none());
}

proptest! {
    #[test]
    fn behaves_as_an_ordered_map_that_can_add(actions in prop::collection::vec(action(), 0..120)) {
        let mut tree = Rax::new();
        let mut model = BTreeMap::new();
        for action in actions {
            match action {
                Action::Insert(key, tally) => {
                    let before = tree.insert(&key, (key.clone(), tally), tally);
                    prop_assert_eq!(before.map(|(_, tally)| tally), model.insert(key, tally));
                }
                Action::Remove(key) => {
                    prop_assert_eq!(tree.remove(&key).map(|(_, tally)| tally), model.remove(&key));
                }
                Action::Update(key, tally) => {
                    let before = tree.update(&key, |value| (std::mem::replace(&mut value.1, tally), tally));
                    prop_assert_eq!(before, model.get_mut(&key).map(|slot| std::mem::replace(slot, tally)));
                }
                Action::Seek(key, mark) => {
                    compare_seeks(&tree, &model, &key, mark);
                    prop_assert_eq!(tree.get(&key).map(|(_, tally)| tally), model.get(&key));
                    prop_assert_eq!(tree.get_mut(&key).map(|(_, tally)| *tally), model.get(&key).copied());
                }
            }
            tree.check(|(_, tally)| *tally);
        }
        compare_whole(&tree, &model);
        for key in model.keys().cloned().collect::<Vec<_>>() {
            tree.remove(&key);
        }
        prop_assert_eq!((tree.len(), tree.heap_bytes(), tree.total()), (0, 0, Tally::NONE));
    }
}

#[test]
fn ascending_ids_fill_and_drain() {
    let mut tree = Rax::new();
    let key = |at: u64| [(1_700_000_000_000 + at * 37).to_be_bytes(), (at % 3).to_be_bytes()].concat();
    for at in 0..20_000 {
        tree.insert(&key(at), at, Tally { weight: at, mark: 20_000 - at });
    }
    tree.check(|&at| Tally { weight: at, mark: 20_000 - at });
    assert_eq!(tree.weight_before(&key(1_000)), 499_500);
    for at in 0..20_000 {
        assert_eq!(tree.first(), Some(&at));
        assert_eq!(tree.lowest(), Some(&19_999));
        assert_eq!(tree.remove(&key(at)), Some(at));
    }
    assert_eq!(tree.heap_bytes(), 0);
}

#[test]
fn a_chain_of_keys_inside_one_another_stays_within_the_stack() {
    let mut tree = Rax::new();
    for len in 0..=KEY_LEN_MAX {
        tree.insert(&vec![b'a'; len], len, Tally { weight: 1, mark: len as u64 });
    }
    tree.check(|&len| Tally { weight: 1, mark: len as u64 });
    assert_eq!(tree.weight_before(&[b'a'; KEY_LEN_MAX]), KEY_LEN_MAX as u64);
    for len in (0..=KEY_LEN_MAX).rev() {
        assert_eq!(tree.remove(&vec![b'a'; len]), Some(len));
    }
}
