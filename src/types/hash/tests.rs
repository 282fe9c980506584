use super::*;
use crate::ds::listpack::Builder;
use crate::ds::live;
use crate::util::random::Random;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

static SEED: Seed = Seed::new([5, 6]);

const SMALL: Limits = Limits { listpack_max: 6, value_bytes_max: 5, seed: &SEED };

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

fn all(hash: &Hash, now: u64) -> Model {
    let all: Vec<_> =
        hash.iter(now).map(|entry| (entry.field.to_vec(), (entry.value.to_vec(), entry.deadline))).collect();
    let map: Model = all.iter().cloned().collect();
    assert_eq!(map.len(), all.len(), "a field came up twice");
    map
}

fn live(model: &Model, now: u64) -> Model {
    let live = model.iter().filter(|(_, (_, deadline))| is_live(*deadline, now));
    live.map(|(field, value)| (field.clone(), value.clone())).collect()
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-f]".prop_map(String::into_bytes),
        3 => (-3..9i64).prop_map(|value| value.to_string().into_bytes()),
        1 => "[ab]{4,6}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn a_hash_is_a_map_whose_fields_expire(
        ops in proptest::collection::vec((0..12u8, text(), text(), 0..40u64, 0..5usize), 1..120),
        seed: u64,
    ) {
        let mut random = Random::new(seed);
        let mut random = || random.next_u64();
        let (mut hash, mut model) = (Hash::new(), Model::new());
        let mut now = 10;
        for (op, field, value, ahead, count) in ops {
            let seen = live(&model, now).get(&field).cloned();
            let deadline = now + ahead;
            match op {
                0..=3 => {
                    prop_assert_eq!(hash.set(&field, &value, now, &SMALL), seen.is_none());
                    model.insert(field.clone(), (value, None));
                }
                4 => {
                    prop_assert_eq!(hash.put(&field, &value, Some(deadline), now, &SMALL), seen.is_none());
                    model.insert(field.clone(), (value, Some(deadline)));
                }
                5 => {
                    prop_assert_eq!(hash.remove(&field, now), seen.is_some());
                    model.remove(&field);
                }
                6 | 7 => {
                    let conditions = [Condition::Always, Condition::IfNone, Condition::IfSome, Condition::IfLater, Condition::IfEarlier];
                    let condition = conditions[count];
                    let expected = match &seen {
                        None => Expired::NoField,
                        Some((_, old)) if match condition {
                            Condition::Always => false,
                            Condition::IfNone => old.is_some(),
                            Condition::IfSome => old.is_none(),
                            Condition::IfLater => deadline <= old.unwrap_or(u64::MAX),
                            Condition::IfEarlier => deadline >= old.unwrap_or(u64::MAX),
                        } => Expired::Refused,
                        Some(_) if ahead == 0 => Expired::Deleted,
                        Some(_) => Expired::Set,
                    };
                    prop_assert_eq!(hash.expire(&field, deadline, condition, now), expected);
                    match expected {
                        Expired::Set => { model.get_mut(&field).unwrap().1 = Some(deadline); }
                        Expired::Deleted => { model.remove(&field); }
                        _ => {}
                    }
                }
                8 => {
                    let expected = match &seen {
                        None => Persisted::NoField,
                        Some((_, None)) => Persisted::NoDeadline,
                        Some(_) => Persisted::Cleared,
                    };
                    prop_assert_eq!(hash.persist(&field, now), expected);
                    if expected == Persisted::Cleared {
                        model.get_mut(&field).unwrap().1 = None;
                    }
                }
                9 => {
                    let number = seen.as_ref().map(|(value, _)| parse(value));
                    let sum = hash.increment(&field, 5, now, &SMALL);
                    match number {
                        Some(None) => prop_assert_eq!(sum, Err(IncrementError::NotAnInteger)),
                        number => {
                            let expected = number.flatten().unwrap_or(0) + 5;
                            prop_assert_eq!(sum, Ok(expected));
                            let kept = seen.as_ref().and_then(|(_, deadline)| *deadline);
                            model.insert(field.clone(), (expected.to_string().into_bytes(), kept));
                        }
                    }
                }
                10 => {
                    let mut last = 0;
                    let due = model.len() - live(&model, now).len();
                    let removed = hash.expire_due(now, count, |field| {
                        let (_, deadline) = model.remove(&field.to_vec()).unwrap();
                        let deadline = deadline.unwrap();
                        assert!(last <= deadline && deadline < now);
                        last = deadline;
                    });
                    prop_assert_eq!(removed, due.min(count));
                }
                _ => now += ahead / 4,
            }
            hash.check();
            if op < 9 && hash.encoding() != "hashtable" {
                prop_assert!(model.len() <= SMALL.listpack_max);
                let short = |text: &Vec<u8>| text.len() <= SMALL.value_bytes_max;
                prop_assert!(model.iter().all(|(field, (value, _))| short(field) && short(value)));
            }
            let seen = live(&model, now);
            prop_assert_eq!(hash.len(), model.len());
            prop_assert_eq!(hash.live_len(now), seen.len());
            prop_assert_eq!(&all(&hash, 0), &model);
            prop_assert_eq!(&all(&hash, now), &seen);
            prop_assert_eq!(hash.next_deadline(), model.values().filter_map(|(_, deadline)| *deadline).min());
            let found = hash.entry(&field, now).map(|(value, deadline)| (value.to_vec(), deadline));
            prop_assert_eq!(found.as_ref(), seen.get(&field));
            prop_assert_eq!(hash.value_len(&field, now), seen.get(&field).map_or(0, |(value, _)| value.len()));

            let mut sample = BTreeSet::new();
            hash.sample(count, now, &mut random, |entry| assert!(sample.insert(entry.field.to_vec())));
            prop_assert_eq!(sample.len(), count.min(seen.len()));
            hash.draws(count, now, &mut random, |entry| {
                sample.insert(entry.field.to_vec());
                true
            });
            sample.extend(hash.random(now, &mut random).map(|entry| entry.field.to_vec()));
            prop_assert!(sample.iter().all(|field| seen.contains_key(field)));
            let mut scanned = Model::new();
            prop_assert_eq!(hash.scan(0, 1000, now, |entry| {
                scanned.insert(entry.field.to_vec(), (entry.value.to_vec(), entry.deadline));
            }), 0);
            prop_assert_eq!(scanned, seen);
        }
        prop_assert_eq!(all(&hash.clone(), 0), model.clone());
        let raw = match (hash.as_listpack(), hash.as_listpack_with_deadlines()) {
            (Some(listpack), _) => Hash::from_listpack(listpack.clone(), &SMALL),
            (_, Some(listpack)) => Hash::from_listpack_with_deadlines(listpack.clone(), &SMALL),
            _ => None,
        };
        prop_assert_eq!(raw.is_some(), hash.encoding() != "hashtable");
        prop_assert!(raw.is_none_or(|raw| raw.encoding() == hash.encoding() && all(&raw, 0) == model));
        drop(hash);
        prop_assert_eq!(live::count(), 0);
    }

    #[test]
    fn a_scan_shows_what_stays(
        stays in proptest::collection::btree_set(0..2000u32, 1..200),
        changes in proptest::collection::vec((any::<bool>(), 2000..3000u32, 1..300usize), 0..60),
    ) {
        let mut hash = Hash::new();
        stays.iter().for_each(|field| { hash.set(field.to_string().as_bytes(), b"v", 0, &SMALL); });
        let mut shown = BTreeSet::new();
        let (mut cursor, mut changes) = (0, changes.into_iter());
        loop {
            cursor = hash.scan(cursor, 10, 0, |entry| { shown.insert(entry.field.to_vec()); });
            if cursor == 0 {
                break;
            }
            let Some((add, from, count)) = changes.next() else { continue };
            for field in from..from + count as u32 {
                let field = format!("passing {field}");
                if add { hash.set(field.as_bytes(), b"v", 0, &SMALL) } else { hash.remove(field.as_bytes(), 0) };
            }
        }
        prop_assert!(stays.iter().all(|field| shown.contains(field.to_string().as_bytes())));
    }

    #[test]
    fn listpacks_from_outside_are_checked(elements in proptest::collection::vec(text(), 0..18)) {
        let listpack = || {
            let mut builder = Builder::default();
            elements.iter().for_each(|element| builder.push(element));
            builder.finish()
        };
        let distinct = |stride: usize| {
            let fields: Vec<&Vec<u8>> = elements.iter().step_by(stride).collect();
            elements.len() % stride == 0 && fields.iter().collect::<BTreeSet<_>>().len() == fields.len()
        };
        let pairs = Hash::from_listpack(listpack(), &SMALL);
        prop_assert_eq!(pairs.is_some(), distinct(2));
        pairs.iter().for_each(Hash::check);
        let numbers = elements.iter().skip(2).step_by(3).all(|text| parse(text).is_some_and(|value| value >= 0));
        let triples = Hash::from_listpack_with_deadlines(listpack(), &SMALL);
        prop_assert_eq!(triples.is_some(), distinct(3) && numbers);
        for hash in [pairs, triples].into_iter().flatten() {
            hash.check();
            prop_assert_eq!(hash.encoding() == "hashtable", hash.len() > SMALL.listpack_max);
        }
    }
}

fn parse(text: &[u8]) -> Option<i64> {
    crate::util::number::parse_i64(text)
}

/// What Redis 8.2.3 answers with `hash-max-listpack-entries 4` and `hash-max-listpack-value 5`.
#[test]
fn encodings_are_those_of_redis() {
    let limits = Limits { listpack_max: 4, value_bytes_max: 5, seed: &SEED };
    let hset = |hash: &mut Hash, pairs: &str| {
        let texts: Vec<&[u8]> = pairs.split(' ').map(str::as_bytes).collect();
        hash.expect(texts.len() / 2, texts.iter().copied(), &limits);
        texts.chunks(2).for_each(|pair| {
            hash.set(pair[0], pair[1], 0, &limits);
        });
        hash.check();
        hash.encoding()
    };
    for (commands, expected) in [
        (&["a 1 b 2 c 3 d 4"][..], "listpack"),
        (&["a 1 b 2 c 3 d 4 e 5"], "hashtable"),
        (&["a 1 a 1 a 1 a 1 a 1"], "hashtable"),
        (&["a 1 b 2 c 3 d 4", "e 5"], "hashtable"),
        (&["a 1 b 2 c 3 d 4", "a 5"], "listpack"),
        (&["aaaaaa 1"], "hashtable"),
        (&["a 123456"], "hashtable"),
    ] {
        let mut hash = Hash::new();
        let encodings: Vec<&str> = commands.iter().map(|command| hset(&mut hash, command)).collect();
        assert_eq!(encodings.last(), Some(&expected), "{commands:?}");
    }

    let order =
        |hash: &Hash| hash.iter(0).map(|entry| String::from_utf8(entry.field.to_vec()).unwrap()).collect::<String>();
    let mut hash = Hash::new();
    hset(&mut hash, "a 1 b 2 c 3 d 4");
    assert_eq!(hash.expire(b"c", 4000, Condition::Always, 1), Expired::Set);
    assert_eq!(hash.expire(b"a", 4000, Condition::Always, 1), Expired::Set);
    assert_eq!((hash.encoding(), &order(&hash)[..]), ("listpackex", "acbd"));
    hash.expire(b"d", 3000, Condition::Always, 1);
    assert_eq!(order(&hash), "dacb");
    hset(&mut hash, "a 9");
    assert_eq!(order(&hash), "dcba");
    assert_eq!(hash.increment(b"c", 9, 1, &limits), Ok(12));
    assert_eq!(hash.deadline(b"c", 1), Some(Some(4000)));
    hash.persist(b"d", 1);
    hash.persist(b"c", 1);
    assert_eq!((hash.encoding(), &order(&hash)[..]), ("listpackex", "badc"));
    hash.expire(b"a", 500, Condition::Always, 1);
    assert_eq!(hset(&mut hash, "e 1"), "hashtable");
    assert_eq!(
        (hash.next_deadline(), hash.deadline(b"a", 500), hash.deadline(b"a", 501)),
        (Some(500), Some(Some(500)), None)
    );

    let mut refused = Hash::new();
    hset(&mut refused, "a 1");
    assert_eq!(refused.expire(b"a", 500, Condition::IfSome, 1), Expired::Refused);
    assert_eq!((refused.expire(b"z", 500, Condition::Always, 1), refused.encoding()), (Expired::NoField, "listpackex"));
}

#[test]
fn every_field_that_can_be_seen_is_chosen_as_often() {
    let mut random = Random::new(12);
    let mut random = || random.next_u64();
    for count in [6usize, 60] {
        let mut hash = Hash::new();
        for number in 0..count {
            let deadline = if number % 3 == 0 { Some(10) } else { Some(20).filter(|_| number % 3 == 1) };
            hash.put(number.to_string().as_bytes(), b"v", deadline, 0, &SMALL);
        }
        assert_eq!(hash.encoding(), if count == 6 { "listpackex" } else { "hashtable" });
        let live = count / 3 * 2;
        for way in 0..4 {
            let mut counts = vec![0u32; count];
            while counts.iter().sum::<u32>() < live as u32 * 1000 {
                let mut see = |entry: Entry<'_>| counts[entry.field.as_int().unwrap() as usize] += 1;
                match way {
                    0 => see(hash.random(11, &mut random).unwrap()),
                    1 => hash.draws(3, 11, &mut random, |entry| {
                        see(entry);
                        true
                    }),
                    2 => hash.sample(2, 11, &mut random, see),
                    _ => hash.sample(live - 1, 11, &mut random, see),
                }
            }
            assert!(counts.iter().step_by(3).all(|&count| count == 0));
            let seen = counts.iter().enumerate().filter(|(number, _)| number % 3 != 0);
            // Six standard deviations of 1,000 hits each.
            assert!(seen.clone().all(|(_, count)| count.abs_diff(1000) < 200), "{count} {way}: {counts:?}");
        }
        assert!(hash.random(21, &mut random).is_some());
        assert_eq!(hash.expire_due(21, usize::MAX, |_| {}), live);
        assert_eq!(hash.live_len(21), count / 3);
    }
    let mut gone = Hash::new();
    (0..50).for_each(|number: i32| {
        gone.put(number.to_string().as_bytes(), b"v", Some(5), 0, &SMALL);
    });
    assert!(gone.random(6, &mut random).is_none() && gone.live_len(6) == 0 && gone.len() == 50);
}

#[test]
fn a_field_of_twenty_bytes_takes_few_bytes() {
    let limits = Limits::with_seed(&SEED);
    let mut hash = Hash::new();
    for number in 0..200_000 {
        assert!(hash.set(format!("field:{number:014}").as_bytes(), b"xxx", 0, &limits));
    }
    let per_field = hash.memory() as f64 / hash.len() as f64;
    assert!(per_field <= 42.0, "{per_field}");

    let mut small = Hash::new();
    (0..5).for_each(|number| {
        small.set(format!("field{number}").as_bytes(), b"value", 0, &limits);
    });
    assert!(small.memory() <= 96, "{}", small.memory());
}
