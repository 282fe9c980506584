//! The ranked set against a sorted vector: table and tree agree whatever is done.

use super::*;
use proptest::prelude::*;
use std::cmp::Ordering;
use std::collections::HashMap;

static SEED: Seed = Seed::new([0x1234_5678_9abc_def0, 0xfeed_beef_cafe_f00d]);

fn order(one: &(Vec<u8>, f64), other: &(Vec<u8>, f64)) -> Ordering {
    one.1.partial_cmp(&other.1).unwrap().then_with(|| one.0.cmp(&other.0))
}

fn sorted(model: &HashMap<Vec<u8>, f64>) -> Vec<(Vec<u8>, f64)> {
    let mut entries: Vec<_> = model.iter().map(|(member, score)| (member.clone(), *score)).collect();
    entries.sort_by(order);
    entries
}

fn agree(ranked: &Ranked, model: &HashMap<Vec<u8>, f64>) {
    ranked.check();
    let expected = sorted(model);
    let got: Vec<_> = ranked.entries(0..u64::MAX, false).map(|(member, score)| (member.to_vec(), score)).collect();
    assert_eq!(got, expected);
    for (rank, (member, score)) in expected.iter().enumerate() {
        assert_eq!(ranked.rank(member), Some((rank as u64, *score)));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Set(u16, i8),
    Remove(u16),
    RemoveRanks(u16, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u16..2000, any::<i8>()).prop_map(|(member, score)| Step::Set(member, score)),
        3 => (0u16..2000).prop_map(Step::Remove),
        1 => (any::<u16>(), any::<u8>()).prop_map(|(from, count)| Step::RemoveRanks(from, count)),
    ]
}

fn name(number: u16) -> Vec<u8> {
    // Of several lengths, some beyond a record's short form.
    let mut name = format!("member:{number}").into_bytes();
    name.resize(name.len() + usize::from(number % 7) * 50, b'.');
    name
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn behaves_as_a_map_with_an_order(steps in prop::collection::vec(step(), 0..3000)) {
        let mut ranked = Ranked::new(&SEED);
        let mut model = HashMap::new();
        for step in steps {
            match step {
                Step::Set(member, score) => {
                    let (member, score) = (name(member), f64::from(score) / 4.0);
                    let mut seen = None;
                    ranked.upsert(&member, None, |old| { seen = old; Some(score) });
                    prop_assert_eq!(seen, model.insert(member, score));
                }
                Step::Remove(member) => {
                    let member = name(member);
                    prop_assert_eq!(ranked.remove(&member), model.remove(&member));
                }
                Step::RemoveRanks(from, count) => {
                    let from = usize::from(from) % (model.len() + 1);
                    let to = (from + usize::from(count) / 4).min(model.len());
                    let mut removed = Vec::new();
                    ranked.remove_ranks(from as u64..to as u64, |member, score| removed.push((member.to_vec(), score)));
                    prop_assert_eq!(&removed, &sorted(&model)[from..to]);
                    removed.iter().for_each(|(member, _)| { model.remove(member); });
                }
            }
        }
        agree(&ranked, &model);
        let mut gathering = Gathering::new(&SEED, 10);
        let mut shown = HashMap::new();
        let mut cursor = 0;
        loop {
            cursor = ranked.scan(cursor, 10, |member, score| { shown.insert(member.to_vec(), score); });
            if cursor == 0 { break }
        }
        prop_assert_eq!(&shown, &model);
        for (member, score) in &shown {
            prop_assert!(gathering.add(member, *score));
            prop_assert!(!gathering.add(member, 77.0));
        }
        agree(&gathering.finish(), &model);
    }
}

#[test]
fn zeros_are_equal_and_keep_their_signs() {
    let mut ranked = Ranked::new(&SEED);
    for (member, score) in [(b"b", 0.0), (b"a", -0.0), (b"c", -0.0)] {
        ranked.upsert(member, Some(score), |_| Some(score));
    }
    ranked.check();
    let members: Vec<_> =
        ranked.entries(0..9, false).map(|(member, score)| (member[0], score.is_sign_negative())).collect();
    assert_eq!(members, [(b'a', true), (b'b', false), (b'c', true)]);
    assert_eq!((ranked.count_below(0.0), ranked.count_through(-0.0)), (0, 3));
}

#[test]
fn members_of_one_score_are_found_by_their_bytes() {
    let mut ranked = Ranked::new(&SEED);
    for number in 0..5000u32 {
        ranked.upsert(format!("{:08}", number * 7 % 5000).as_bytes(), Some(1.0), |_| Some(1.0));
    }
    ranked.check();
    assert_eq!(ranked.count_before_member(b"00001000"), 1000);
    assert_eq!(ranked.count_through_member(b"00001000"), 1001);
    assert_eq!(ranked.count_before_member(b"00001000x"), 1001);
}
