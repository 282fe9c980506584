//! Listpacks against a vector of texts, and their bytes against ones written by Redis.

use super::*;
use proptest::prelude::*;

type Model = Vec<Vec<u8>>;

fn texts(packed: &Packed) -> Model {
    packed.iter().map(|(_, item)| item.to_vec()).collect()
}

fn agree(listpack: &Listpack, model: &Model) {
    listpack.check();
    assert_eq!(&texts(listpack), model);
    let mut backwards: Model = listpack.iter().rev().map(|(_, item)| item.to_vec()).collect();
    backwards.reverse();
    assert_eq!(&backwards, model);
    assert_eq!(listpack.len(), model.len());
    assert!((listpack.bytes()..=listpack.bytes() * 2 + 24).contains(&listpack.memory()));
}

/// Lengths and numbers on both sides of every limit of the format.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let lengths = prop_oneof![
        8 => 0..70usize,
        1 => 120..135usize,
        1 => 4090..4100usize,
        1 => 16_370..16_390usize,
    ];
    let edges = prop_oneof![
        Just(0i64),
        Just(127),
        Just(128),
        Just(-1),
        Just(4095),
        Just(4096),
        Just(-4096),
        Just(-4097),
        Just(32_767),
        Just(32_768),
        Just(-32_768),
        Just(-32_769),
        Just(8_388_607),
        Just(8_388_608),
        Just(-8_388_608),
        Just(-8_388_609),
        Just(2_147_483_647),
        Just(2_147_483_648),
        Just(-2_147_483_648),
        Just(-2_147_483_649),
        Just(i64::MAX),
        Just(i64::MIN),
        any::<i64>(),
        -9000..9000i64,
    ];
    prop_oneof![
        lengths.prop_flat_map(|len| (any::<u8>(), Just(len))).prop_map(|(byte, len)| vec![byte; len]),
        edges.prop_map(|value| value.to_string().into_bytes()),
        proptest::collection::vec(proptest::sample::select(&b"01-ab"[..]), 0..4),
    ]
}

#[derive(Clone, Debug)]
enum Op {
    PushBack(Vec<u8>),
    PushFront(Vec<u8>),
    InsertBefore(usize, Vec<u8>),
    InsertAfter(usize, Vec<u8>),
    Replace(usize, Vec<u8>),
    Delete(usize, usize),
    SplitAndJoin(usize),
    Shrink,
    Clear,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => text().prop_map(Op::PushBack),
        4 => text().prop_map(Op::PushFront),
        2 => (any::<usize>(), text()).prop_map(|(at, text)| Op::InsertBefore(at, text)),
        2 => (any::<usize>(), text()).prop_map(|(at, text)| Op::InsertAfter(at, text)),
        2 => (any::<usize>(), text()).prop_map(|(at, text)| Op::Replace(at, text)),
        4 => (any::<usize>(), 0..4usize).prop_map(|(at, count)| Op::Delete(at, count)),
        1 => any::<usize>().prop_map(Op::SplitAndJoin),
        1 => Just(Op::Shrink),
        1 => Just(Op::Clear),
    ]
}

fn apply(listpack: &mut Listpack, model: &mut Model, op: Op) {
    let pick = |at: usize, model: &Model| (!model.is_empty()).then(|| at % model.len());
    match op {
        Op::PushBack(text) => {
            let expected = listpack.size_with([&text[..]]);
            listpack.push_back(&text);
            assert_eq!(listpack.bytes(), expected);
            model.push(text);
        }
        Op::PushFront(text) => {
            listpack.push_front(&text);
            model.insert(0, text);
        }
        Op::InsertBefore(at, text) => {
            let Some(at) = pick(at, model) else { return };
            let position = listpack.seek(at as i64).unwrap();
            let placed = listpack.insert_before(position, &text);
            assert_eq!(listpack.at(placed), text[..]);
            model.insert(at, text);
        }
        Op::InsertAfter(at, text) => {
            let Some(at) = pick(at, model) else { return };
            let position = listpack.seek(at as i64 - model.len() as i64).unwrap();
            let placed = listpack.insert_after(position, &text);
            assert_eq!(listpack.at(placed), text[..]);
            model.insert(at + 1, text);
        }
        Op::Replace(at, text) => {
            let Some(at) = pick(at, model) else { return };
            let position = listpack.seek(at as i64).unwrap();
            listpack.replace(position, &text);
            model[at] = text;
        }
        Op::Delete(at, count) => {
            let Some(at) = pick(at, model) else { return };
            let position = listpack.seek(at as i64).unwrap();
            let next = listpack.delete_run(position, count);
            model.drain(at..(at + count).min(model.len()));
            assert_eq!(next.map(|next| listpack.at(next).to_vec()), model.get(at).cloned());
        }
        Op::SplitAndJoin(at) => {
            let Some(at) = pick(at, model) else { return };
            let position = listpack.seek(at as i64).unwrap();
            let tail = listpack.split_off(position);
            agree(&tail, &model[at..].to_vec());
            agree(listpack, &model[..at].to_vec());
            listpack.append(&tail);
        }
        Op::Shrink => listpack.shrink_to_fit(),
        Op::Clear => {
            listpack.clear();
            model.clear();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_listpack_is_a_vector_of_texts(ops in proptest::collection::vec(op(), 1..120), needle in text()) {
        let (mut listpack, mut model) = (Listpack::new(), Model::new());
        for op in ops {
            apply(&mut listpack, &mut model, op);
            agree(&listpack, &model);
        }
        for needle in model.iter().chain([&needle]) {
            let found = listpack.find(needle, None, 0).map(|position| listpack.iter_to(position).count() - 1);
            prop_assert_eq!(found, model.iter().position(|text| text == needle));
        }
        for index in -3..model.len() as i64 + 3 {
            let place = if index < 0 { index + model.len() as i64 } else { index };
            let expected = usize::try_from(place).ok().and_then(|place| model.get(place));
            prop_assert_eq!(listpack.get(index).map(|item| item.to_vec()), expected.cloned());
        }
        let copy = Listpack::from_bytes(listpack.as_bytes()).unwrap();
        agree(&copy, &model);
        let mut builder = Builder::default();
        model.iter().for_each(|text| builder.push(text));
        let built = builder.finish();
        prop_assert_eq!(built.as_bytes(), listpack.as_bytes());
    }

    #[test]
    fn broken_bytes_are_refused_or_readable(
        model in proptest::collection::vec(text(), 0..12),
        flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..4),
        cut in 0..3usize,
    ) {
        let mut listpack = Listpack::new();
        model.iter().for_each(|text| listpack.push_back(text));
        let mut bytes = listpack.as_bytes().to_vec();
        for (at, value) in flips {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(bytes.len() - cut);
        if let Some(read) = Listpack::from_bytes(&bytes) {
            agree(&read, &texts(&read));
        }
    }
}

#[test]
fn the_count_is_walked_for_when_the_header_cannot_hold_it() {
    let mut listpack = Listpack::new();
    for value in 0..70_000 {
        listpack.push_int(value & 63);
    }
    assert_eq!(listpack.header_count(), COUNT_UNKNOWN);
    assert_eq!(listpack.len(), 70_000);
    assert_eq!(listpack.get(-1), Some(Item::Int(69_999 & 63)));
    assert_eq!(listpack.get(69_999), Some(Item::Int(69_999 & 63)));
    assert_eq!(listpack.get(70_000), None);
    listpack.delete_range(0, 69_990);
    assert_eq!(listpack.len(), 10);
    listpack.check();
}

#[test]
fn pairs_are_searched_by_their_first_halves() {
    let mut listpack = Listpack::new();
    for text in [&b"a"[..], b"b", b"b", b"7", b"7", b"a"] {
        listpack.push_back(text);
    }
    let index = |needle: &[u8]| listpack.find(needle, None, 1).map(|at| listpack.iter_to(at).count() - 1);
    assert_eq!((index(b"a"), index(b"b"), index(b"7"), index(b"07")), (Some(0), Some(2), Some(4), None));
}

#[test]
fn one_word() {
    assert_eq!(size_of::<Listpack>(), 8);
    assert_eq!(size_of::<Option<Listpack>>(), 8);
    assert_eq!(Listpack::new().memory(), 8);
    assert_eq!(Listpack::new().into_raw().addr().get() & 4, 0);
}
