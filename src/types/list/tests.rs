//! Lists against a `VecDeque` of texts, under limits that change as they go.

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

type Model = VecDeque<Vec<u8>>;

const _: () = assert!(size_of::<List>() == 8 && size_of::<Option<List>>() == 8);

fn assert_send<T: Send>(_: &T) {}

fn texts<'a>(items: impl Iterator<Item = Item<'a>>) -> Vec<Vec<u8>> {
    items.map(|item| item.to_vec()).collect()
}

fn agree(list: &List, model: &Model) {
    list.check();
    assert_eq!(list.len(), model.len());
    assert_eq!(list.is_empty(), model.is_empty());
    assert!(texts(list.iter()).iter().eq(model));
    assert!(texts(list.iter_back()).iter().eq(model.iter().rev()));
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        20 => (0..30u32).prop_map(|value| value.to_string().into_bytes()),
        20 => (b'a'..b'f', 0..40usize).prop_map(|(byte, len)| vec![byte; len]),
        3 => (b'a'..b'c', 100..3000usize).prop_map(|(byte, len)| vec![byte; len]),
        1 => (b'a'..b'c', 4000..20_000usize).prop_map(|(byte, len)| vec![byte; len]),
        1 => any::<i64>().prop_map(|value| value.to_string().into_bytes()),
    ]
}

fn end() -> impl Strategy<Value = End> {
    proptest::sample::select(vec![End::Front, End::Back])
}

#[derive(Clone, Debug)]
enum Op {
    Push(End, Vec<u8>),
    Extend(End, Vec<Vec<u8>>),
    Pop(End, usize),
    Rotate(End),
    Set(i64, Vec<u8>),
    Insert(usize, bool, Vec<u8>),
    Remove(i64, usize),
    Trim(i64, i64),
    Limit(i64),
    Reload,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (end(), text()).prop_map(|(end, text)| Op::Push(end, text)),
        6 => (end(), proptest::collection::vec(text(), 0..60)).prop_map(|(end, texts)| Op::Extend(end, texts)),
        4 => (end(), 1..20usize).prop_map(|(end, count)| Op::Pop(end, count)),
        2 => end().prop_map(Op::Rotate),
        4 => (-200..200i64, text()).prop_map(|(index, text)| Op::Set(index, text)),
        6 => (any::<usize>(), any::<bool>(), text()).prop_map(|(at, behind, text)| Op::Insert(at, behind, text)),
        3 => (-4..4i64, any::<usize>()).prop_map(|(count, at)| Op::Remove(count, at)),
        1 => (-150..150i64, -150..150i64).prop_map(|(from, to)| Op::Trim(from, to)),
        1 => prop_oneof![-5..=5i64, Just(40), Just(100_000)].prop_map(Op::Limit),
        1 => Just(Op::Reload),
    ]
}

fn model_push(model: &mut Model, end: End, text: Vec<u8>) {
    match end {
        End::Front => model.push_front(text),
        End::Back => model.push_back(text),
    }
}

fn model_pop(model: &mut Model, end: End) -> Option<Vec<u8>> {
    match end {
        End::Front => model.pop_front(),
        End::Back => model.pop_back(),
    }
}

fn model_remove(model: &mut Model, count: i64, text: &[u8]) -> usize {
    let limit = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
    let indexes = (0..model.len()).filter(|&index| model[index] == text);
    let chosen: Vec<usize> =
        if count < 0 { indexes.rev().take(limit).collect() } else { indexes.take(limit).collect() };
    let mut index = 0;
    model.retain(|_| {
        index += 1;
        !chosen.contains(&(index - 1))
    });
    chosen.len()
}

fn apply(list: &mut List, model: &mut Model, limits: &mut Limits, op: Op) {
    match op {
        Op::Push(end, text) => {
            list.push(end, &text, limits);
            model_push(model, end, text);
        }
        Op::Extend(end, texts) => {
            list.extend(end, texts.iter().map(Vec::as_slice), limits);
            texts.into_iter().for_each(|text| model_push(model, end, text));
        }
        Op::Pop(end, count) => {
            for _ in 0..count {
                assert_eq!(list.pop(end, limits, |item| item.to_vec()), model_pop(model, end));
            }
        }
        Op::Rotate(from) => {
            let expected = model_pop(model, from);
            assert_eq!(list.turn(from, if from == End::Front { End::Back } else { End::Front }, limits), expected);
            let to = if from == End::Front { End::Back } else { End::Front };
            expected.into_iter().for_each(|text| model_push(model, to, text));
        }
        Op::Set(index, text) => {
            let place = resolve(index, model.len());
            assert_eq!(list.set(index, &text, limits), place.is_some());
            place.into_iter().for_each(|place| model[place].clone_from(&text));
        }
        Op::Insert(at, behind, text) => {
            let pivot = if model.is_empty() { b"none".to_vec() } else { model[at % model.len()].clone() };
            let place = model.iter().position(|text| *text == pivot);
            assert_eq!(list.insert(&pivot, behind, &text, limits), place.is_some());
            place.into_iter().for_each(|place| model.insert(place + usize::from(behind), text.clone()));
        }
        Op::Remove(count, at) => {
            let text = if model.is_empty() { b"none".to_vec() } else { model[at % model.len()].clone() };
            assert_eq!(list.remove(count, &text, limits), model_remove(model, count, &text));
        }
        Op::Trim(from, to) => {
            list.trim(from, to, limits);
            let (start, count) = span(from, to, model.len());
            *model = model.iter().skip(start).take(count).cloned().collect();
        }
        Op::Limit(size) => limits.max_listpack_size = size,
        Op::Reload => {
            let copy = List::from_nodes(list.nodes(), limits);
            *list = copy.clone();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_list_is_a_deque_of_texts(ops in proptest::collection::vec(op(), 1..80), size in -5..30i64) {
        let (mut list, mut model) = (List::new(), Model::new());
        let mut limits = Limits { max_listpack_size: size };
        for op in ops {
            apply(&mut list, &mut model, &mut limits, op);
            agree(&list, &model);
        }
        for index in -200..200 {
            let expected = resolve(index, model.len()).map(|place| model[place].clone());
            prop_assert_eq!(list.get(index).map(|item| item.to_vec()), expected);
            let (start, count) = span(index, index + 70, model.len());
            let expected: Vec<_> = model.iter().skip(start).take(count).cloned().collect();
            prop_assert_eq!(texts(list.range(index, index + 70)), expected);
        }
    }

    #[test]
    fn positions_are_those_of_lpos(
        values in proptest::collection::vec(0..4u8, 0..300), rank in -5..5i64, count in 0..6usize, maxlen in 0..200usize
    ) {
        let texts: Vec<Vec<u8>> = values.iter().map(|value| value.to_string().into_bytes()).collect();
        let list = List::from_elements(texts.iter().map(Vec::as_slice), &Limits { max_listpack_size: 7 });
        let rank = if rank == 0 { 1 } else { rank };
        let mut found = Vec::new();
        list.positions(b"2", &Search { rank, count, maxlen }, |index| found.push(index));
        let mut order: Vec<usize> = (0..values.len()).collect();
        if rank < 0 {
            order.reverse();
        }
        let most = |limit| if limit == 0 { usize::MAX } else { limit };
        let matches = order.into_iter().take(most(maxlen)).filter(|&index| values[index] == 2);
        let expected: Vec<usize> = matches.skip(rank.unsigned_abs() as usize - 1).take(most(count)).collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_long_list_keeps_its_order_through_changes_in_the_middle() {
    let limits = Limits { max_listpack_size: 3 };
    let (mut list, mut model) = (List::new(), Model::new());
    for value in 0..3000 {
        let text = value.to_string().into_bytes();
        list.push(End::Back, &text, &limits);
        model.push_back(text);
    }
    for step in 0..2000usize {
        let at = step * 7919 % model.len();
        let pivot = model[at].clone();
        let text = format!("n{step}").into_bytes();
        assert!(list.insert(&pivot, step % 2 == 0, &text, &limits));
        model.insert(at + usize::from(step % 2 == 0), text);
    }
    agree(&list, &model);
    while model.len() > 700 {
        let at = model.len() * 5 / 11;
        let text = model.remove(at).unwrap();
        assert_eq!(list.remove(1, &text, &limits), 1);
    }
    agree(&list, &model);
    assert_send(&list);
}

#[test]
fn a_million_items_of_twenty_bytes_take_little_more_than_their_entries() {
    let limits = Limits::default();
    for end in [End::Front, End::Back] {
        let mut list = List::new();
        for value in 0..1_000_000 {
            list.push(end, format!("{value:->20}").as_bytes(), &limits);
        }
        assert!(list.memory() <= 22_300_000, "{}", list.memory());
        assert_eq!(list.get(500_000).map(|item| item.to_vec().len()), Some(20));
    }
}
