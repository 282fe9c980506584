use super::*;
use crate::ds::live;
use crate::util::random::Random;
use proptest::prelude::*;
use std::collections::BTreeSet;

static SEED: Seed = Seed::new([3, 4]);

const SMALL: Limits = Limits { intset_max: 6, listpack_max: 9, value_bytes_max: 5, seed: &SEED };

type Model = BTreeSet<Vec<u8>>;

fn texts(set: &Set) -> Model {
    let all: Vec<Vec<u8>> = set.iter().map(|item| item.to_vec()).collect();
    let distinct: Model = all.iter().cloned().collect();
    assert_eq!(all.len(), distinct.len(), "a member came up twice");
    distinct
}

fn set_of(members: impl IntoIterator<Item: ToString>) -> Set {
    let mut set = Set::new();
    members.into_iter().for_each(|member| {
        set.add(member.to_string().as_bytes(), &SMALL);
    });
    set
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (-6..6i64).prop_map(|value| value.to_string().into_bytes()),
        1 => (99_990..100_002i64).prop_map(|value| value.to_string().into_bytes()),
        4 => "[a-d]{0,2}".prop_map(String::into_bytes),
        1 => "[ab]{5,6}".prop_map(String::into_bytes),
        1 => proptest::sample::select(vec![b"007".to_vec(), b"-0".to_vec(), vec![b'x'; 300]]),
    ]
}

/// What members an intset or a listpack may have, whatever way led there.
fn assert_encoding(set: &Set, limits: &Limits) {
    let members = texts(set);
    match set.encoding() {
        "intset" => {
            assert!(members.len() <= limits.intset_max && members.iter().all(|text| parse_i64(text).is_some()));
        }
        "listpack" => {
            assert!(members.len() <= limits.listpack_max);
            assert!(members.iter().all(|text| text.len() <= limits.value_bytes_max));
        }
        "hashtable" => {}
        other => panic!("{other}"),
    }
}

proptest! {
    #[test]
    fn a_set_is_a_set(
        start in proptest::collection::vec(member(), 0..12),
        ops in proptest::collection::vec((0..8u8, member(), 0..12usize), 1..80),
        seed: u64,
    ) {
        let mut random = Random::new(seed);
        let mut random = || random.next_u64();
        let (mut set, mut model) = (Set::new(), Model::new());
        if let Some(first) = start.first() {
            set.expect(start.len(), first, &SMALL);
        }
        for member in start {
            prop_assert_eq!(set.add(&member, &SMALL), model.insert(member));
        }
        for (op, member, count) in ops {
            match op {
                0..=2 => {
                    prop_assert_eq!(set.add(&member, &SMALL), model.insert(member));
                }
                3 | 4 => prop_assert_eq!(set.remove(&member), model.remove(&member)),
                5 => {
                    let popped = set.pop(&mut random, |item| item.to_vec());
                    prop_assert_eq!(popped.is_none(), model.is_empty());
                    prop_assert!(popped.is_none_or(|popped| model.remove(&popped)));
                }
                6 => {
                    let before = model.len();
                    let popped = set.pop_many(count, &SMALL, &mut random, |item| assert!(model.remove(&item.to_vec())));
                    prop_assert_eq!((popped, model.len()), (count.min(before), before - popped));
                }
                _ => {
                    let mut sample = Model::new();
                    set.sample(count, &mut random, |item| assert!(sample.insert(item.to_vec())));
                    prop_assert!(sample.is_subset(&model));
                    prop_assert_eq!(sample.len(), count.min(model.len()));
                    let mut draws = 0;
                    set.draws(count, &mut random, |item| {
                        draws += 1;
                        assert!(model.contains(&item.to_vec()));
                        true
                    });
                    prop_assert_eq!(draws, if model.is_empty() { 0 } else { count });
                    prop_assert!(set.random(&mut random).is_none_or(|item| model.contains(&item.to_vec())));
                }
            }
            set.check();
            assert_encoding(&set, &SMALL);
            prop_assert_eq!(set.len(), model.len());
            prop_assert_eq!(&texts(&set), &model);
            prop_assert!(model.iter().all(|member| set.contains(member)));
        }
        let copy = set.clone();
        copy.check();
        prop_assert_eq!(copy.encoding(), set.encoding());
        prop_assert_eq!(texts(&copy), model.clone());
        let raw = match (set.as_intset(), set.as_listpack()) {
            (Some(intset), _) => Some(Set::from_intset(intset.clone(), &SMALL)),
            (_, Some(listpack)) => Set::from_listpack(listpack.clone(), &SMALL),
            _ => None,
        };
        prop_assert_eq!(raw.is_some(), set.encoding() != "hashtable");
        prop_assert!(raw.is_none_or(|raw| raw.encoding() == set.encoding() && texts(&raw) == model));
        let mut loaded = Set::for_loading(model.len(), &SMALL);
        model.iter().for_each(|member| assert!(loaded.add(member, &SMALL)));
        loaded.check();
        prop_assert_eq!(texts(&loaded), model);
        drop((set, copy, loaded));
        prop_assert_eq!(live::count(), 0);
    }

    #[test]
    fn combinations_are_those_of_the_model(
        members in proptest::collection::vec(proptest::collection::vec(member(), 0..30), 1..8),
        limit in 0..8usize,
    ) {
        let sets: Vec<Set> = members.iter().map(|members| {
            let mut set = Set::new();
            members.iter().for_each(|member| { set.add(member, &SMALL); });
            set
        }).collect();
        let sets: Vec<&Set> = sets.iter().collect();
        let models: Vec<Model> = members.into_iter().map(Model::from_iter).collect();
        let (first, others) = models.split_first().unwrap();
        let in_all = first.iter().filter(|member| others.iter().all(|other| other.contains(*member)));
        let in_first = first.iter().filter(|member| !others.iter().any(|other| other.contains(*member)));
        let expected: [Model; 3] =
            [in_all.cloned().collect(), models.iter().flatten().cloned().collect(), in_first.cloned().collect()];
        let found = [intersection(&sets), union(&sets, &SMALL), difference(sets[0], &sets[1..], &SMALL)];
        let counted = [
            intersection_len(&sets, limit),
            union_len(&sets, limit, &SMALL),
            difference_len(sets[0], &sets[1..], limit, &SMALL),
        ];
        for ((expected, found), counted) in expected.into_iter().zip(found).zip(counted) {
            prop_assert_eq!(found.len(), expected.len());
            prop_assert_eq!(found.iter().map(|item| item.to_vec()).collect::<Model>(), expected.clone());
            let limit = if limit == 0 { usize::MAX } else { limit };
            prop_assert_eq!(counted, expected.len().min(limit));
            for stored in [Set::of_distinct(&found, &SMALL), Set::of_intersection(&found, &SMALL)] {
                stored.check();
                assert_encoding(&stored, &SMALL);
                prop_assert_eq!(&texts(&stored), &expected);
            }
        }
    }

    #[test]
    fn a_scan_shows_what_stays(
        stays in proptest::collection::btree_set(0..2000u32, 1..200),
        changes in proptest::collection::vec((any::<bool>(), 2000..3000u32, 1..300usize), 0..60),
    ) {
        let mut set = set_of(&stays);
        let mut shown = Model::new();
        let (mut cursor, mut changes) = (0, changes.into_iter());
        loop {
            cursor = set.scan(cursor, 10, |item| { shown.insert(item.to_vec()); });
            if cursor == 0 {
                break;
            }
            let Some((add, from, count)) = changes.next() else { continue };
            for member in from..from + count as u32 {
                let member = format!("passing {member}");
                if add { set.add(member.as_bytes(), &SMALL) } else { set.remove(member.as_bytes()) };
            }
        }
        prop_assert!(stays.iter().all(|member| shown.contains(member.to_string().as_bytes())));
    }

    #[test]
    fn listpacks_from_outside_are_checked(elements in proptest::collection::vec(member(), 0..14)) {
        let mut builder = Builder::default();
        elements.iter().for_each(|element| builder.push(element));
        let distinct: Model = elements.iter().cloned().collect();
        let set = Set::from_listpack(builder.finish(), &SMALL);
        prop_assert_eq!(set.is_some(), distinct.len() == elements.len());
        if let Some(set) = set {
            set.check();
            prop_assert_eq!(set.encoding() == "listpack", elements.len() <= SMALL.listpack_max);
            prop_assert_eq!(texts(&set), distinct);
        }
    }
}

/// What Redis 8.2.3 answers to OBJECT ENCODING with `set-max-intset-entries 4`, `set-max-listpack-entries 6` and
/// `set-max-listpack-value 5` after each SADD.
#[test]
fn encodings_are_those_of_redis() {
    let limits = Limits { intset_max: 4, listpack_max: 6, value_bytes_max: 5, seed: &SEED };
    let encoding = |commands: &[&str]| {
        let mut set = Set::new();
        for command in commands {
            let members: Vec<&str> = command.split(' ').collect();
            set.expect(members.len(), members[0].as_bytes(), &limits);
            members.iter().for_each(|member| {
                set.add(member.as_bytes(), &limits);
            });
            set.check();
        }
        set.encoding()
    };
    for (commands, expected) in [
        (&["1 2 3 4"][..], "intset"),
        (&["1 2 3 4 5"], "listpack"),
        (&["1 1 1 1 1"], "listpack"),
        (&["1 2 3 4 5 6 7"], "hashtable"),
        (&["1 1 1 1 1 1 1"], "hashtable"),
        (&["1 2 3 4", "5"], "hashtable"),
        (&["1", "1 1 1 1 1"], "hashtable"),
        (&["1", "1 1 1 1"], "intset"),
        (&["a", "a a a a a a"], "listpack"),
        (&["a", "a a a a a a a"], "hashtable"),
        (&["1 2 3 4", "a"], "listpack"),
        (&["1 2 3 4", "aaaaaa"], "hashtable"),
        (&["1 2 3 123456", "a"], "hashtable"),
        (&["1 2 3 -12345", "a"], "hashtable"),
        (&["1 2 3 -1234", "a"], "listpack"),
        (&["a", "123456"], "hashtable"),
        (&["aaaaaa"], "hashtable"),
        (&["a b c d e f"], "listpack"),
        (&["a b c d e f", "x"], "hashtable"),
    ] {
        assert_eq!(encoding(commands), expected, "{commands:?}");
    }
}

#[test]
fn what_a_command_stores_is_encoded_as_redis_does() {
    let limits = Limits { intset_max: 4, listpack_max: 6, value_bytes_max: 5, seed: &SEED };
    let [ints, texts]: [fn(i64) -> String; 2] = [|value| value.to_string(), |value| format!("t{value}")];
    let stored = |count: i64, text: fn(i64) -> String| {
        let texts: Vec<String> = (0..count).map(text).collect();
        let items: Vec<Item<'_>> = texts.iter().map(|text| Item::Bytes(text.as_bytes())).collect();
        [Set::of_intersection(&items, &limits), Set::of_distinct(&items, &limits)].map(|set| set.encoding())
    };
    assert_eq!(stored(4, ints), ["intset"; 2]);
    assert_eq!(stored(5, ints), ["listpack", "hashtable"]);
    assert_eq!(stored(7, ints), ["hashtable"; 2]);
    assert_eq!(stored(6, texts), ["listpack"; 2]);
    assert_eq!(stored(7, texts), ["hashtable"; 2]);
}

#[test]
fn popping_nearly_everything_packs_what_is_left() {
    let mut random = Random::new(1);
    for (count, expected) in [(50, "hashtable"), (90, "hashtable"), (91, "listpack"), (99, "listpack")] {
        let mut set = set_of(100..200);
        assert_eq!(set.encoding(), "hashtable");
        set.pop_many(count, &SMALL, &mut || random.next_u64(), |_| {});
        assert_eq!((set.encoding(), set.len()), (expected, 100 - count), "{count}");
        set.check();
    }
}

#[test]
fn every_member_is_chosen_as_often() {
    let mut random = Random::new(11);
    let mut random = || random.next_u64();
    for (names, encoding) in [(0..6, "intset"), (0..9, "listpack"), (0..60, "hashtable")] {
        let name = |value: usize| if encoding == "intset" { value.to_string() } else { format!("m{value}") };
        let full = set_of(names.clone().map(name));
        assert_eq!(full.encoding(), encoding);
        let len = full.len();
        let number = |item: Item<'_>| -> usize {
            String::from_utf8(item.to_vec()).unwrap().trim_start_matches('m').parse().unwrap()
        };
        for way in 0..7 {
            let mut counts = vec![0u32; len];
            while counts.iter().sum::<u32>() < len as u32 * 1000 {
                let mut count = |item: Item<'_>| counts[number(item)] += 1;
                match way {
                    0 => count(full.random(&mut random).unwrap()),
                    1 => full.draws(3, &mut random, |item| {
                        count(item);
                        true
                    }),
                    2 => full.sample(2, &mut random, count),
                    3 => full.sample(len - 2, &mut random, count),
                    4 => full.clone().pop(&mut random, count).unwrap(),
                    5 => assert_eq!(full.clone().pop_many(2, &SMALL, &mut random, count), 2),
                    _ => assert_eq!(full.clone().pop_many(len / 2, &SMALL, &mut random, count), len / 2),
                }
            }
            // Six standard deviations of 1,000 hits each.
            assert!(counts.iter().all(|count| count.abs_diff(1000) < 200), "{encoding} {way}: {counts:?}");
        }
    }
}

#[test]
fn a_large_member_of_twenty_bytes_takes_few_bytes() {
    let limits = Limits::with_seed(&SEED);
    let mut set = Set::new();
    for number in 0..200_000 {
        assert!(set.add(format!("member:{number:013}").as_bytes(), &limits));
    }
    let per_member = set.memory() as f64 / set.len() as f64;
    assert!(per_member <= 34.0, "{per_member}");
    assert!((0..200_000).all(|number| set.remove(format!("member:{number:013}").as_bytes())));
    set.check();
    assert!(set.is_empty() && set.memory() < 1000);
}
