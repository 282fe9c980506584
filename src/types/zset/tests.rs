//! Sorted sets against a sorted vector, in both encodings and across the change between them.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

static SEED: Seed = Seed::new([11, 22]);

const SMALL: Limits = Limits { entries_max: 8, value_bytes_max: 12, seed: &SEED };
const ALWAYS_FULL: Limits = Limits { entries_max: 0, value_bytes_max: 0, seed: &SEED };
const ALWAYS_PACKED: Limits = Limits { entries_max: usize::MAX, value_bytes_max: usize::MAX, seed: &SEED };

type Pair = (Vec<u8>, f64);

#[derive(Default)]
struct Model(Vec<Pair>);

impl Model {
    fn score(&self, member: &[u8]) -> Option<f64> {
        self.0.iter().find(|pair| pair.0 == member).map(|pair| pair.1)
    }

    fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let at = self.0.iter().position(|pair| pair.0 == member)?;
        Some(self.0.remove(at).1)
    }

    fn set(&mut self, member: &[u8], score: f64) {
        self.remove(member);
        let at = self.0.partition_point(|(other, own)| *own < score || (*own == score && other.as_slice() < member));
        self.0.insert(at, (member.to_vec(), score));
    }
}

fn pair(entry: Entry<'_>) -> Pair {
    (entry.member.to_vec(), entry.score)
}

fn pairs(zset: &Zset) -> Vec<Pair> {
    zset.iter().map(pair).collect()
}

fn zset_of(limits: &Limits, pairs: &[(&str, f64)]) -> Zset {
    let mut zset = Zset::new(limits, 0, 0);
    for (member, score) in pairs {
        zset.add(limits, member.as_bytes(), *score, Rule::default());
    }
    zset.check();
    zset
}

fn agree(zset: &Zset, model: &Model) {
    zset.check();
    assert_eq!(pairs(zset), model.0);
    assert_eq!(zset.len(), model.0.len() as u64);
    let len = model.0.len();
    let down: Vec<Pair> = zset.entries(0..u64::MAX, true).map(pair).collect();
    assert!(down.iter().rev().eq(&model.0));
    for (rank, (member, score)) in model.0.iter().enumerate() {
        assert_eq!(zset.rank(member, false), Some((rank as u64, *score)));
        assert_eq!(zset.rank(member, true), Some(((len - 1 - rank) as u64, *score)));
        assert_eq!(zset.nth(rank as u64).map(pair).as_ref(), Some(&model.0[rank]));
    }
    let range = 1..len.saturating_sub(1).max(1);
    let ranks = range.start as u64..range.end as u64;
    if len > 2 {
        assert!(zset.entries(ranks.clone(), false).map(pair).eq(model.0[range.clone()].iter().cloned()));
        assert!(zset.entries(ranks, true).map(pair).eq(model.0[range].iter().rev().cloned()));
    }
    for min in [-3.0, 0.0, 1.0, f64::NEG_INFINITY] {
        for max in [-1.0, 0.0, 2.5, f64::INFINITY] {
            for (low, high) in [(false, false), (true, true), (true, false)] {
                let range = ScoreRange {
                    min: ScoreBound { value: min, exclusive: low },
                    max: ScoreBound { value: max, exclusive: high },
                };
                let ranks = zset.ranks_by_score(&range);
                let within = model.0.iter().filter(|(_, score)| range.reaches(*score) && !range.is_past(*score));
                assert!(zset.entries(ranks, false).map(pair).eq(within.cloned()), "{range:?}");
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Add(u8, i8, u8),
    Remove(u8),
    RemoveRanks(u8, u8),
    Pop(u8, bool),
    Expect(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u8..40, -16i8..16, 0u8..32).prop_map(|(member, score, rule)| Step::Add(member, score, rule)),
        2 => (0u8..40).prop_map(Step::Remove),
        1 => (0u8..20, 0u8..6).prop_map(|(from, count)| Step::RemoveRanks(from, count)),
        1 => (0u8..4, any::<bool>()).prop_map(|(count, highest)| Step::Pop(count, highest)),
        1 => (0u8..10).prop_map(Step::Expect),
    ]
}

/// Numbers, words, and words that are longer than `SMALL` admits.
fn name(number: u8) -> Vec<u8> {
    match number % 4 {
        0 => number.to_string().into_bytes(),
        3 if number > 30 => format!("a rather long member {number}").into_bytes(),
        _ => format!("m{number}").into_bytes(),
    }
}

fn rule(bits: u8) -> Rule {
    Rule {
        only_new: bits & 3 == 1,
        only_existing: bits & 3 == 2,
        only_greater: bits & 12 == 4,
        only_less: bits & 12 == 8,
        increment: bits & 16 != 0,
    }
}

fn run(limits: &Limits, steps: &[Step]) {
    let mut zset = Zset::new(limits, 0, 0);
    let mut model = Model::default();
    for step in steps {
        match *step {
            Step::Add(member, score, bits) => {
                let (member, score, rule) = (name(member), f64::from(score) / 4.0, rule(bits));
                let outcome = zset.add(limits, &member, score, rule);
                assert_eq!(outcome, rule.decide(model.score(&member), score));
                if let Outcome::Added(score) | Outcome::Updated(score) = outcome {
                    model.set(&member, score);
                }
                assert_eq!(zset.score(&member), model.score(&member));
            }
            Step::Remove(member) => assert_eq!(zset.remove(&name(member)), model.remove(&name(member))),
            Step::RemoveRanks(from, count) => {
                let (from, len) = (usize::from(from), model.0.len());
                let range = from.min(len)..(from + usize::from(count)).min(len);
                let mut removed = Vec::new();
                let count =
                    zset.remove_ranks(from as u64..from as u64 + u64::from(count), |entry| removed.push(pair(entry)));
                assert_eq!(count, range.len() as u64);
                assert_eq!(removed, model.0.drain(range).collect::<Vec<_>>());
            }
            Step::Pop(count, highest) => {
                let count = usize::from(count).min(model.0.len());
                let mut popped = Vec::new();
                zset.pop(count as u64, highest, |entry| popped.push(pair(entry)));
                let expected: Vec<Pair> = match highest {
                    false => model.0.drain(..count).collect(),
                    true => model.0.drain(model.0.len() - count..).rev().collect(),
                };
                assert_eq!(popped, expected);
            }
            Step::Expect(count) => {
                zset.expect(limits, usize::from(count));
                assert!(usize::from(count) <= limits.entries_max || zset.encoding() == "skiplist");
            }
        }
        if zset.encoding() == "listpack" {
            assert!(zset.len() <= limits.entries_max as u64);
        }
    }
    agree(&zset, &model);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn behaves_as_a_sorted_vector(steps in prop::collection::vec(step(), 0..120)) {
        for limits in [SMALL, ALWAYS_FULL, ALWAYS_PACKED] {
            run(&limits, &steps);
        }
    }

    #[test]
    fn lex_ranges_are_the_members_between(
        members in prop::collection::btree_set("[a-c]{0,3}", 0..20), min in "[-+]|[\\[(][a-c]{0,3}", max in "[-+]|[\\[(][a-c]{0,3}",
    ) {
        let all: Vec<(&str, f64)> = members.iter().map(|member| (member.as_str(), 0.0)).collect();
        let range = LexRange::parse(min.as_bytes(), max.as_bytes()).unwrap();
        let within: Vec<&str> = members.iter().map(String::as_str)
            .filter(|member| range.reaches(member.as_bytes()) && !range.is_past(member.as_bytes())).collect();
        for limits in [SMALL, ALWAYS_FULL, ALWAYS_PACKED] {
            let zset = zset_of(&limits, &all);
            let found: Vec<Vec<u8>> = zset.entries(zset.ranks_by_lex(&range), false).map(|entry| entry.member.to_vec()).collect();
            prop_assert!(found.iter().map(Vec::as_slice).eq(within.iter().map(|member| member.as_bytes())));
        }
    }

    #[test]
    fn unions_and_the_like_are_those_of_the_members(
        maps in prop::collection::vec(prop::collection::btree_map(0u8..30, -8i8..8, 0..25), 1..4),
    ) {
        let zsets: Vec<Zset> = maps.iter().enumerate().map(|(number, map)| {
            let limits = [SMALL, ALWAYS_FULL, ALWAYS_PACKED][number % 3];
            let mut zset = Zset::new(&limits, 0, 0);
            for (member, score) in map {
                zset.add(&limits, &name(*member), f64::from(*score), Rule::default());
            }
            zset
        }).collect();
        let sources: Vec<&dyn Source> = zsets.iter().map(|zset| zset as &dyn Source).collect();
        let weighted: Vec<Weighted<'_>> =
            sources.iter().zip([1.0, 2.0, -0.5]).map(|(source, weight)| Weighted { source: *source, weight }).collect();
        let names: BTreeSet<u8> = maps.iter().flat_map(|map| map.keys().copied()).collect();
        for aggregate in [Aggregate::Sum, Aggregate::Min, Aggregate::Max, Aggregate::Count] {
            let (mut all, mut common) = (Model::default(), Model::default());
            for number in &names {
                let scores: Vec<f64> = maps.iter().zip(&weighted)
                    .filter_map(|(map, weighted)| Some(aggregate.weighted(weighted.weight, f64::from(*map.get(number)?)))).collect();
                let joined = scores.iter().copied().reduce(|one, other| aggregate.join(one, other)).unwrap();
                all.set(&name(*number), joined);
                if scores.len() == maps.len() {
                    common.set(&name(*number), joined);
                }
            }
            for limits in [SMALL, ALWAYS_FULL] {
                agree(&union(&weighted, aggregate, &limits), &all);
                agree(&intersection(&weighted, aggregate, &limits), &common);
            }
            prop_assert_eq!(intersection_len(&sources, 0), common.0.len() as u64);
            prop_assert_eq!(intersection_len(&sources, 3), common.0.len().min(3) as u64);
        }
        let mut rest = Model::default();
        for (number, score) in &maps[0] {
            if maps[1..].iter().all(|map| !map.contains_key(number)) {
                rest.set(&name(*number), f64::from(*score));
            }
        }
        agree(&difference(sources[0], &sources[1..], &SMALL), &rest);
    }

    #[test]
    fn listpacks_from_outside_are_sorted_sets_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40), texts in prop::collection::vec("[a-b0-3.]{1,2}", 0..8)) {
        if let Some(listpack) = Listpack::from_bytes(&bytes) {
            Zset::from_listpack(listpack, &SMALL).inspect(Zset::check);
        }
        let mut listpack = Listpack::new();
        texts.iter().for_each(|text| listpack.push_back(text.as_bytes()));
        let members: BTreeSet<&String> = texts.iter().step_by(2).collect();
        if let Some(zset) = Zset::from_listpack(listpack, &SMALL) {
            zset.check();
            prop_assert_eq!(zset.len() as usize, members.len());
            prop_assert_eq!(texts.len(), 2 * members.len());
        }
    }
}

#[test]
fn is_one_word_and_may_be_freed_elsewhere() {
    fn is_send<T: Send>() {}
    is_send::<Zset>();
    assert_eq!(size_of::<Zset>(), 8);
}

#[test]
fn grows_up_at_the_limits_of_redis() {
    let mut zset = zset_of(&SMALL, &[("a", 1.0), ("b", 2.0)]);
    assert_eq!(zset.encoding(), "listpack");
    // A long member that is only updated, or refused, changes nothing.
    zset.add(&SMALL, b"much longer than that", 1.0, Rule { only_existing: true, ..Rule::default() });
    assert_eq!(zset.encoding(), "listpack");
    zset.expect(&SMALL, 8);
    assert_eq!(zset.encoding(), "listpack");
    zset.expect(&SMALL, 9);
    assert_eq!(zset.encoding(), "skiplist");
    assert_eq!(pairs(&zset), [(b"a".to_vec(), 1.0), (b"b".to_vec(), 2.0)]);
    assert_eq!(Zset::new(&SMALL, 1, 13).encoding(), "skiplist");
    assert_eq!(Zset::new(&SMALL, 8, 12).encoding(), "listpack");
}

#[test]
fn a_listpack_is_byte_for_byte_that_of_redis() {
    // As redis-server 8.2.3 dumps it after ZADD z 5e18 a 4e18 b 1.5 c -0.0 d 3 g.
    let zset = zset_of(&ALWAYS_PACKED, &[("a", 5e18), ("b", 4e18), ("c", 1.5), ("d", -0.0), ("g", 3.0)]);
    let expected = b"\x32\0\0\0\x0a\0\x81d\x02\0\x01\x81c\x02\x831.5\x04\x81g\x02\x03\x01\x81b\x02\xf4\0\0\x90\x9d\xce\xda\x82\x37\x09\x81a\x02\x855e+18\x06\xff";
    assert_eq!(zset.as_listpack().unwrap().as_bytes()[6..], expected[6..]);
}

#[test]
fn negative_zero_survives_only_in_the_large_encoding() {
    let is_negative = |zset: &Zset| zset.score(b"a").unwrap().is_sign_negative();
    assert!(!is_negative(&zset_of(&ALWAYS_PACKED, &[("a", -0.0)])));
    let mut zset = zset_of(&ALWAYS_FULL, &[("a", -0.0)]);
    assert!(is_negative(&zset));
    assert_eq!(zset.add(&ALWAYS_FULL, b"a", 0.0, Rule::default()), Outcome::Unchanged(0.0));
    assert!(is_negative(&zset));
}

#[test]
fn infinities_cancel_to_nothing() {
    let increment = Rule { increment: true, ..Rule::default() };
    for limits in [ALWAYS_PACKED, ALWAYS_FULL] {
        let mut one = zset_of(&limits, &[("a", f64::INFINITY), ("b", 5.0)]);
        assert_eq!(one.add(&limits, b"a", f64::NEG_INFINITY, increment), Outcome::NotANumber);
        assert_eq!(one.score(b"a"), Some(f64::INFINITY));
        let other = zset_of(&limits, &[("a", f64::NEG_INFINITY), ("b", 5.0), ("c", 1.0)]);
        let sum = |one_weight: f64, other_weight: f64| {
            let sources =
                [Weighted { source: &one, weight: one_weight }, Weighted { source: &other, weight: other_weight }];
            (
                union(&sources, Aggregate::Sum, &limits).score(b"a"),
                intersection(&sources, Aggregate::Sum, &limits).score(b"a"),
            )
        };
        assert_eq!(sum(1.0, 1.0), (Some(0.0), Some(0.0)));
        // Zero times infinity is 0 in the first source; in a later one an intersection makes the whole sum 0.
        let finite = zset_of(&limits, &[("a", 5.0)]);
        let sources = [Weighted { source: &finite, weight: 1.0 }, Weighted { source: &other, weight: 0.0 }];
        assert_eq!(union(&sources, Aggregate::Sum, &limits).score(b"a"), Some(5.0));
        assert_eq!(intersection(&sources, Aggregate::Sum, &limits).score(b"a"), Some(0.0));
    }
}

#[test]
fn scans_show_everything_even_across_a_change_of_encoding() {
    let mut zset = Zset::new(&SMALL, 0, 0);
    for number in 0..2000u32 {
        zset.add(&SMALL, format!("m{number}").as_bytes(), f64::from(number), Rule::default());
    }
    let (mut seen, mut cursor, mut calls) = (BTreeSet::new(), 0, 0u32);
    loop {
        cursor = zset.scan(cursor, 10, |entry| {
            seen.insert(entry.member.to_vec());
        });
        calls += 1;
        // Others come and go meanwhile.
        zset.add(&SMALL, format!("x{calls}").as_bytes(), 0.0, Rule::default());
        if cursor == 0 {
            break;
        }
    }
    assert!(calls > 50);
    assert_eq!(seen.iter().filter(|member| member.starts_with(b"m")).count(), 2000);
}

#[test]
fn samples_are_distinct_and_even() {
    let mut state = 7u64;
    let mut random = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    for limits in [ALWAYS_PACKED, ALWAYS_FULL] {
        let mut zset = Zset::new(&limits, 0, 0);
        for number in 0..20u8 {
            zset.add(&limits, &[b'a' + number], f64::from(number), Rule::default());
        }
        for count in [1u64, 3, 10, 20, 25] {
            let mut hits = [0u32; 20];
            for _ in 0..2000 {
                let mut shown = Vec::new();
                zset.sample(count, &mut random, |entry| shown.push(entry.score as usize));
                assert_eq!(shown.len() as u64, count.min(20));
                assert!(shown.is_sorted_by(|one, other| one < other));
                shown.iter().for_each(|at| hits[*at] += 1);
            }
            let expected = (100 * count.min(20)) as u32;
            assert!(hits.iter().all(|hits| hits.abs_diff(expected) < 60 + expected / 10), "{count}: {hits:?}");
        }
        let mut hits = [0u32; 20];
        (0..20_000).for_each(|_| hits[zset.random(&mut random).unwrap().score as usize] += 1);
        assert!(hits.iter().all(|hits| hits.abs_diff(1000) < 160), "{hits:?}");
    }
    assert!(Zset::new(&SMALL, 0, 0).random(&mut random).is_none());
}
