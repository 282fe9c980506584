//! An image is what the collection was when it began, whatever becomes of the collection between two parts of it.

use super::*;
use crate::types::hash::Hash;
use crate::types::list::{End, List};
use crate::types::set::Set;
use crate::types::stream::{NackMode, NewId, RefPolicy, Trim, TrimTo};
use crate::types::zset::{Rule, Zset};
use crate::util::random::Random;

/// Small nodes, so that there are many.
fn list_limits() -> list::Limits {
    list::Limits { max_listpack_size: 4 }
}

fn text(random: &mut Random, names: usize) -> Vec<u8> {
    let name = random.index(names);
    format!("{name}{}", "-".repeat(name % 90)).into_bytes()
}

fn change_set(record: &mut Record, random: &mut Random, grows: bool) {
    let set = record.get_mut::<Set>().unwrap();
    let (member, limits) = (text(random, 4000), limits().set);
    let len = set.len();
    let count = [1, 3, len / 3, len][random.index(4)];
    let mut choose = || random.next_u64();
    if !grows && choose().is_multiple_of(8) {
        set.pop(&mut choose, |_| {});
    } else if !grows && choose().is_multiple_of(if count > 3 { 200 } else { 20 }) {
        set.pop_many(count, &limits, &mut choose, |_| {});
        // What is empty is stored nowhere.
        set.add(b"never empty", &limits);
    } else if random.index(10) < if grows { 8 } else { 3 } {
        set.add(&member, &limits);
    } else {
        set.remove(&member);
    }
}

fn change_hash(record: &mut Record, random: &mut Random, grows: bool) {
    let hash = record.get_mut::<Hash>().unwrap();
    let (field, value, limits) = (text(random, 2000), text(random, 300), limits().hash);
    match random.index(10) {
        0 => _ = hash.expire(&field, 100 + random.index(50) as u64, hash::Condition::Always, 10),
        1 => _ = hash.persist(&field, 10),
        2 if !grows => _ = hash.expire_due(100 + random.index(30) as u64, 3, |_| {}),
        3.. if grows => _ = hash.put(&field, &value, None, 10, &limits),
        _ => _ = hash.remove(&field, 10),
    }
    let is_timed = hash.next_deadline().is_some();
    value::set_timed(record, is_timed);
}

fn change_zset(record: &mut Record, random: &mut Random, grows: bool) {
    let zset = record.get_mut::<Zset>().unwrap();
    let (member, limits) = (text(random, 3000), limits().zset);
    let len = zset.len();
    match random.index(12) {
        0 if !grows => _ = zset.pop(2, random.index(2) == 0, |_| {}),
        1 if !grows && len > 0 => {
            let from = random.index(len as usize) as u64;
            zset.remove_ranks(from..from + 5, |_| {});
        }
        2 if !grows => _ = zset.remove(&member),
        _ => _ = zset.add(&limits, &member, random.index(40) as f64, Rule::default()),
    }
}

fn change_list(record: &mut Record, random: &mut Random, grows: bool) {
    let list = record.get_mut::<List>().unwrap();
    let (element, limits) = (text(random, 120), list_limits());
    let end = if random.index(2) == 0 { End::Front } else { End::Back };
    let at = random.index(list.len() + 1) as i64;
    match random.index(24) {
        0 => _ = list.set(at, &element, &limits),
        1 => _ = list.insert(&text(random, 120), random.index(2) == 0, &element, &limits),
        2 => _ = list.remove(random.index(3) as i64 - 1, &element, &limits),
        3 if !grows && random.index(4) == 0 => {
            list.trim(random.index(20) as i64, -1 - random.index(20) as i64, &limits)
        }
        4 if !grows && random.index(40) == 0 => list.trim(at / 2, at, &limits),
        5 => _ = list.set(at, &[b'x'; 9000], &limits),
        6 => _ = list.turn(End::Back, End::Front, &limits),
        7..16 if !grows => _ = list.pop(end, &limits, |_| {}),
        _ => list.push(end, &element, &limits),
    }
    if list.is_empty() {
        list.push(end, b"never empty", &limits);
    }
}

fn change_stream(record: &mut Record, random: &mut Random, grows: bool) {
    let stream = record.get_mut::<StreamBox>().unwrap();
    let limits = NodeLimits { entries_max: 5, bytes_max: 4096 };
    let top = stream.log().last_id().ms + 1;
    let any = StreamId::new(random.index(top as usize) as u64, 0);
    let group = [&b"one"[..], b"two", b"three"][random.index(3)];
    let name = [&b"alice"[..], b"bob", b"carol", b"runnel:nacked"][random.index(4)];
    match random.index(if grows { 4 } else { 18 }) {
        16 | 17 => {
            let Some(mut reader) = stream.reader(group, 78) else { return };
            reader.nack(any, NackMode::Fail, None, true);
        }
        5 | 6 => _ = stream.delete(any),
        7 => {
            stream.create_group(group, any, None);
        }
        8 if random.index(4) == 0 => _ = stream.destroy_group(group),
        9 | 10 => {
            let Some(mut reader) = stream.reader(group, 77) else { return };
            let (consumer, _) = reader.group().consumer_or_new(name, 5);
            reader.deliver(consumer, 7, false, |_| true);
        }
        11 => {
            if let Some(group) = stream.group_mut(group) {
                group.ack(any);
            }
        }
        12 if random.index(8) == 0 => {
            let to = TrimTo::MaxLen(stream.len() as u64 / 2);
            stream.trim(Trim { to, approximate: random.index(2) == 0, limit: 0, policy: RefPolicy::Delete });
        }
        13 if random.index(20) == 0 => {
            stream.trim(Trim { to: TrimTo::MaxLen(0), approximate: false, limit: 0, policy: RefPolicy::Keep });
            let lowest = stream.log().max_deleted_id().max(StreamId::new(1, 0));
            let _ = stream.set_history(lowest, None, None);
        }
        14 => _ = stream.delete_by(any, RefPolicy::Delete),
        15 => {
            if let Some(group) = stream.group_mut(group) {
                group.remove_consumer(name);
            }
        }
        _ => {
            let id = stream.next_id(NewId::Exact(StreamId::new(top, 0)), 0).expect("ids ascend");
            let value = text(random, 60);
            stream.append(id, [(&b"field"[..], &value[..])].into_iter(), limits).expect("it is small");
        }
    }
}

#[track_caller]
fn check_images(make: fn() -> Record, change: fn(&mut Record, &mut Random, bool)) {
    let mut kept = 0;
    for seed in 0..3 {
        let mut random = Random::new(seed);
        let mut record = make();
        let grow = |record: &mut Record, random: &mut Random| {
            (0..1500).for_each(|_| change(record, random, true));
        };
        grow(&mut record, &mut random);
        for round in 0..6 {
            let dialect = if round % 2 == 0 { Dialect::Redis } else { Dialect::Valkey };
            let expected = shown(&record);
            let (form, deadline, beyond) = (form_of(&record, dialect), record.deadline(), beyond(&record));
            let mut chunk = Chunk::new(false);
            let mut encoding = Encoding::begin(&mut record, round, dialect, &mut chunk).expect("it is large");
            let pace = [1, 10, 60, 400][random.index(4)];
            let grows = random.index(3) == 0;
            while !encoding.is_done() {
                for _ in 0..random.index(pace) {
                    change(&mut record, &mut random, grows);
                }
                let (id, bytes) = value::image(&record).expect("it is not through");
                assert_eq!(id, round);
                kept += usize::from(bytes > 0);
                encoding.go_on(&mut record, random.index(600), &mut chunk);
            }
            check(&record);
            let mut back = decoded(form, dialect, chunk.bytes(), deadline).expect("it is read").expect("something");
            if let Some(beyond) = beyond {
                apply_beyond(&mut back, &beyond).expect("it is read, too");
            }
            let found = shown(&back);
            // Small limits may read it back in another encoding.
            let (found, expected) = (found.split_once('\n'), expected.split_once('\n'));
            let (found, expected) = (found.map_or("", |it| it.1), expected.map_or("", |it| it.1));
            let differing = found.lines().zip(expected.lines()).find(|(one, two)| one != two);
            assert_eq!(differing, None, "seed {seed}, round {round}");
            assert_eq!(found.lines().count(), expected.lines().count(), "seed {seed}, round {round}");
            if record.get::<Zset>().is_none() {
                grow(&mut record, &mut random);
            } else {
                (0..300).for_each(|_| change(&mut record, &mut random, true));
            }
        }
    }
    assert!(kept > 100, "changes met with images");
}

#[test]
fn of_a_set() {
    check_images(|| Record::word(b"key", Set::for_loading(1000, &limits().set), None), change_set);
}

#[test]
fn of_a_hash() {
    check_images(|| Record::word(b"key", Hash::for_loading(1000, &limits().hash), None), change_hash);
}

#[test]
fn of_a_sorted_set() {
    check_images(|| Record::word(b"key", Zset::new(&limits().zset, 1000, 1), None), change_zset);
}

#[test]
fn of_a_list() {
    let make = || {
        let texts: Vec<Vec<u8>> = (0..300).map(|at| format!("element {at}").into_bytes()).collect();
        let texts = texts.iter().map(Vec::as_slice);
        Record::word(b"key", List::from_elements(texts, &list_limits()), None)
    };
    check_images(make, change_list);
}

#[test]
fn of_a_stream() {
    check_images(|| Record::word(b"key", StreamBox::default(), None), change_stream);
}
