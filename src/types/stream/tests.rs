//! A stream against the obvious model: a vector of entries, a map of pending ones for each group.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::ds::listpack::Builder;

type Texts = Vec<(Vec<u8>, Vec<u8>)>;

#[derive(Clone, Debug, Default)]
struct Model {
    entries: Vec<(StreamId, Texts)>,
    last_id: StreamId,
    max_deleted: StreamId,
    added: u64,
    groups: BTreeMap<u8, ModelGroup>,
}

#[derive(Clone, Debug, Default)]
struct ModelGroup {
    last: StreamId,
    /// Owner, time of delivery (without an owner: its turn), number of deliveries.
    pending: BTreeMap<StreamId, (Option<u8>, u64, u64)>,
    released: u64,
}

#[derive(Clone, Debug)]
enum Action {
    Add { ms: u64, seq: u64, fields: Texts },
    Delete { at: usize, policy: RefPolicy },
    AckAndDelete { group: u8, at: usize, policy: RefPolicy },
    Trim(Trim),
    Group { group: u8, at: usize },
    Destroy { group: u8 },
    Deliver { group: u8, consumer: u8, count: u64, no_ack: bool },
    History { group: u8, consumer: u8, at: usize, count: u64 },
    Ack { group: u8, at: usize },
    Claim { group: u8, consumer: u8, at: usize, options: ClaimOptions },
    AutoClaim { group: u8, consumer: u8, at: usize, idle: u64, count: u64 },
    ClaimIdle { group: u8, consumer: u8, idle: u64, count: u64 },
    Nack { group: u8, at: usize, mode: NackMode, force: bool },
    Forget { group: u8, consumer: u8 },
    Query { group: u8, consumer: Option<u8>, at: usize, until: usize, idle: u64 },
    Range { at: usize, until: usize },
}

fn fields() -> impl Strategy<Value = Texts> {
    let text = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4),
        any::<i32>().prop_map(|number| number.to_string().into_bytes()),
        (0usize..200).prop_map(|len| vec![b'x'; len]),
    ];
    prop_oneof![
        3 => text.clone().prop_map(|value| vec![(b"f".to_vec(), value)]),
        1 => prop::collection::vec((prop::collection::vec(b'a'..b'c', 0..2), text), 1..4),
    ]
}

fn policy() -> impl Strategy<Value = RefPolicy> {
    prop_oneof![Just(RefPolicy::Keep), Just(RefPolicy::Delete), Just(RefPolicy::Acked)]
}

fn trim() -> impl Strategy<Value = Trim> {
    let to = prop_oneof![
        (0u64..60).prop_map(TrimTo::MaxLen),
        (0u64..80).prop_map(|ms| TrimTo::MinId(StreamId::new(ms, 1))),
    ];
    let limit = prop_oneof![2 => Just(0u64), 1 => 1u64..12];
    (to, any::<bool>(), limit, policy()).prop_map(|(to, approximate, limit, policy)| Trim {
        to,
        approximate,
        limit: if approximate { limit } else { 0 },
        policy,
    })
}

fn action() -> impl Strategy<Value = Action> {
    let (group, consumer, at, count) = (0u8..3, 0u8..4, 0usize..200, 0u64..9);
    let idle = prop_oneof![Just(0u64), 1u64..40];
    let add = (0u64..3, prop_oneof![0u64..3, Just(u64::from(u32::MAX) + 7)], fields());
    let options = (idle.clone(), 0u64..1000, prop::option::of(0u64..70_000), any::<bool>(), any::<bool>()).prop_map(
        |(idle_min_ms, delivered_ms, deliveries, force, just_id)| ClaimOptions {
            idle_min_ms,
            delivered_ms,
            deliveries,
            force,
            just_id,
        },
    );
    let mode = prop_oneof![Just(NackMode::Silent), Just(NackMode::Fail), Just(NackMode::Fatal)];
    prop_oneof![
        12 => add.prop_map(|(ms, seq, fields)| Action::Add { ms, seq, fields }),
        3 => (at.clone(), policy()).prop_map(|(at, policy)| Action::Delete { at, policy }),
        1 => (group.clone(), at.clone(), policy()).prop_map(|(group, at, policy)| Action::AckAndDelete { group, at, policy }),
        1 => trim().prop_map(Action::Trim),
        2 => (group.clone(), at.clone()).prop_map(|(group, at)| Action::Group { group, at }),
        1 => group.clone().prop_filter("rarely", |group| *group == 2).prop_map(|group| Action::Destroy { group }),
        6 => (group.clone(), consumer.clone(), count.clone(), any::<bool>()).prop_map(|(group, consumer, count, no_ack)| {
            Action::Deliver { group, consumer, count, no_ack: no_ack && count == 1 }
        }),
        2 => (group.clone(), consumer.clone(), at.clone(), count.clone())
            .prop_map(|(group, consumer, at, count)| Action::History { group, consumer, at, count }),
        4 => (group.clone(), at.clone()).prop_map(|(group, at)| Action::Ack { group, at }),
        3 => (group.clone(), consumer.clone(), at.clone(), options)
            .prop_map(|(group, consumer, at, options)| Action::Claim { group, consumer, at, options }),
        2 => (group.clone(), consumer.clone(), at.clone(), idle.clone(), count.clone())
            .prop_map(|(group, consumer, at, idle, count)| Action::AutoClaim { group, consumer, at, idle, count }),
        2 => (group.clone(), consumer.clone(), idle.clone(), count)
            .prop_map(|(group, consumer, idle, count)| Action::ClaimIdle { group, consumer, idle, count }),
        2 => (group.clone(), at.clone(), mode, any::<bool>())
            .prop_map(|(group, at, mode, force)| Action::Nack { group, at, mode, force }),
        1 => (group.clone(), consumer.clone()).prop_map(|(group, consumer)| Action::Forget { group, consumer }),
        2 => (group, prop::option::of(consumer), at.clone(), at.clone(), idle)
            .prop_map(|(group, consumer, at, until, idle)| Action::Query { group, consumer, at, until, idle }),
        2 => (at.clone(), at).prop_map(|(at, until)| Action::Range { at, until }),
    ]
}

impl Model {
    /// An id that exists, existed, or lies beside one.
    fn id(&self, at: usize) -> StreamId {
        let pending = self.groups.values().flat_map(|group| group.pending.keys().copied());
        let known: Vec<_> = self.entries.iter().map(|entry| entry.0).chain(pending).collect();
        match known.get(at / 2 % known.len().max(1)) {
            Some(&id) if !at.is_multiple_of(10) => id,
            Some(&id) => id.successor().unwrap_or(id),
            None => StreamId::new(at as u64, 0),
        }
    }

    fn has(&self, id: StreamId) -> bool {
        self.entries.binary_search_by_key(&id, |entry| entry.0).is_ok()
    }

    fn is_referenced(&self, id: StreamId) -> bool {
        self.groups.values().any(|group| group.last < id || group.pending.contains_key(&id))
    }

    fn delete(&mut self, id: StreamId, policy: RefPolicy, by_name: bool) -> Deletion {
        let has = self.has(id);
        if policy == RefPolicy::Acked && self.is_referenced(id) {
            return Deletion::Referenced;
        }
        if policy == RefPolicy::Delete {
            self.groups.values_mut().for_each(|group| group.pending.retain(|other, _| *other != id));
        }
        self.entries.retain(|entry| entry.0 != id);
        if has && by_name {
            self.max_deleted = self.max_deleted.max(id);
        }
        if has { Deletion::Deleted } else { Deletion::NotFound }
    }

    fn trim_exactly(&mut self, to: TrimTo, policy: RefPolicy) -> u64 {
        let before = self.entries.len();
        for id in self.entries.iter().map(|entry| entry.0).collect::<Vec<_>>() {
            let goes = match to {
                TrimTo::MaxLen(len_max) => self.entries.len() as u64 > len_max,
                TrimTo::MinId(min) => id < min,
            };
            if goes {
                self.delete(id, policy, false);
            }
        }
        (before - self.entries.len()) as u64
    }
}

fn name(number: u8) -> Vec<u8> {
    vec![b'a' + number]
}

fn texts(entry: &Entry<'_>) -> Texts {
    entry.fields.map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

fn owner_of(group: &Group, pending: &Pending) -> Option<u8> {
    Some(group.consumer(pending.owner?)?.name()[0] - b'a')
}

fn old_enough(idle: u64, now: u64, pending: &(Option<u8>, u64, u64)) -> bool {
    idle == 0 || pending.0.is_none() || now.checked_sub(idle).is_some_and(|max| pending.1 <= max)
}

const LIMITS: NodeLimits = NodeLimits { bytes_max: 300, entries_max: 7 };

fn step(stream: &mut Stream, model: &mut Model, action: Action, now: u64) {
    match action {
        Action::Add { ms, seq, fields } => {
            let id = StreamId::new(model.last_id.ms + ms, seq);
            let pairs = fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
            let added = stream.append(id, pairs, LIMITS);
            assert_eq!(added.is_ok(), id > model.last_id);
            if added.is_ok() {
                (model.last_id, model.added) = (id, model.added + 1);
                model.entries.push((id, fields));
            }
        }
        Action::Delete { at, policy } => {
            let id = model.id(at);
            assert_eq!(stream.delete_by(id, policy), model.delete(id, policy, true));
        }
        Action::AckAndDelete { group, at, policy } => {
            let id = model.id(at);
            let pending = model.groups.get_mut(&group).is_some_and(|group| group.pending.remove(&id).is_some());
            let expected = match pending.then(|| model.delete(id, policy, true)) {
                None => Deletion::NotFound,
                Some(Deletion::Referenced) => Deletion::Referenced,
                Some(_) => Deletion::Deleted,
            };
            assert_eq!(stream.ack_and_delete(&name(group), id, policy), expected);
        }
        Action::Trim(trim) if trim.approximate || trim.policy == RefPolicy::Acked => {
            // What goes depends on nodes; that it is a run from the front, and no more than exact trimming takes, does not.
            let trimmed = stream.trim(trim);
            let mut exact = model.clone();
            assert!(trimmed <= exact.trim_exactly(trim.to, trim.policy));
            let stays: Vec<_> = stream.log().range(StreamId::MIN, StreamId::MAX).map(|entry| entry.id).collect();
            let goes: Vec<_> = model.entries.iter().map(|entry| entry.0).filter(|id| !stays.contains(id)).collect();
            assert_eq!(goes.len() as u64, trimmed);
            for id in goes {
                assert!(!exact.has(id));
                assert_eq!(model.delete(id, trim.policy, false), Deletion::Deleted);
            }
        }
        Action::Trim(trim) => assert_eq!(stream.trim(trim), model.trim_exactly(trim.to, trim.policy)),
        Action::Group { group, at } => {
            let id = if at < 50 { StreamId::MIN } else { model.id(at) };
            if stream.create_group(&name(group), id, None).is_none() {
                assert!(stream.set_group_id(&name(group), id, Some(at as u64)));
            }
            model.groups.entry(group).or_default().last = id;
        }
        Action::Destroy { group } => {
            assert_eq!(stream.destroy_group(&name(group)), model.groups.remove(&group).is_some());
        }
        Action::Range { at, until } => {
            let (start, end) = (model.id(at), model.id(until));
            let expected: Vec<_> =
                model.entries.iter().filter(|entry| start <= entry.0 && entry.0 <= end).cloned().collect();
            let log = stream.log();
            let found: Vec<_> = log.range(start, end).map(|entry| (entry.id, texts(&entry))).collect();
            let mut back: Vec<_> = log.range_back(start, end).map(|entry| (entry.id, texts(&entry))).collect();
            back.reverse();
            assert_eq!((&found, &back), (&expected, &expected));
            assert_eq!(log.count(start, end), expected.len() as u64);
            assert_eq!(log.get(start).map(|entry| entry.id), model.has(start).then_some(start));
        }
        Action::Deliver { group, .. }
        | Action::History { group, .. }
        | Action::Ack { group, .. }
        | Action::Claim { group, .. }
        | Action::AutoClaim { group, .. }
        | Action::ClaimIdle { group, .. }
        | Action::Nack { group, .. }
        | Action::Forget { group, .. }
        | Action::Query { group, .. } => {
            let id_at = |at| model.id(at);
            let ids = match &action {
                Action::Query { at, until, .. } => (id_at(*at), id_at(*until)),
                Action::History { at, .. }
                | Action::Ack { at, .. }
                | Action::Claim { at, .. }
                | Action::AutoClaim { at, .. }
                | Action::Nack { at, .. } => (id_at(*at), StreamId::MAX),
                _ => (StreamId::MIN, StreamId::MAX),
            };
            let entries: Vec<_> = model.entries.iter().map(|entry| entry.0).collect();
            if let Some(reader) = stream.reader(&name(group), now) {
                let expected = model.groups.get_mut(&group).expect("the same groups");
                group_step(reader, expected, &entries, action, ids, now);
            }
        }
    }
}

fn group_step(
    mut reader: GroupReader<'_>,
    model: &mut ModelGroup,
    entries: &[StreamId],
    action: Action,
    (id, until): (StreamId, StreamId),
    now: u64,
) {
    let has = |id: &StreamId| entries.binary_search(id).is_ok();
    match action {
        Action::Deliver { consumer, count, no_ack, .. } => {
            let (at, _) = reader.group().consumer_or_new(&name(consumer), now);
            let expected: Vec<_> = entries.iter().copied().filter(|&id| id > model.last).collect();
            assert_eq!(reader.undelivered(), expected.len() as u64);
            let mut found = Vec::new();
            reader.deliver(at, count, no_ack, |entry| {
                found.push(entry.id);
                true
            });
            assert_eq!(found, expected[..expected.len().min(count as usize)]);
            for &id in &found {
                model.last = id;
                if !no_ack {
                    model.pending.insert(id, (Some(consumer), now, 1));
                }
            }
        }
        Action::History { consumer, count, .. } => {
            let (at, _) = reader.group().consumer_or_new(&name(consumer), now);
            let mut found = Vec::new();
            reader.history(at, id, count, |id, entry| {
                found.push((id, entry.is_some()));
                true
            });
            let mine = model.pending.iter_mut().filter(|(other, pending)| **other > id && pending.0 == Some(consumer));
            let expected: Vec<_> = mine
                .take(count as usize)
                .map(|(id, pending)| {
                    if has(id) {
                        (pending.1, pending.2) = (now, pending.2.saturating_add(1).min(DELIVERIES_MAX));
                    }
                    (*id, has(id))
                })
                .collect();
            assert_eq!(found, expected);
        }
        Action::Ack { .. } => assert_eq!(reader.group().ack(id), model.pending.remove(&id).is_some()),
        Action::Claim { consumer, options, .. } => {
            let (at, _) = reader.group().consumer_or_new(&name(consumer), now);
            let claim = reader.claim(at, id, options);
            let before = model.pending.get(&id).copied().or(options.force.then_some((None, 0, 1)));
            if !has(&id) {
                assert_eq!(matches!(claim, Claim::Gone), model.pending.remove(&id).is_some());
                return;
            }
            match before.filter(|before| old_enough(options.idle_min_ms, now, before)) {
                None => assert!(matches!(claim, Claim::Left)),
                Some(before) => {
                    assert!(matches!(claim, Claim::Claimed { .. }));
                    let more = before.2.saturating_add(u64::from(!options.just_id)).min(DELIVERIES_MAX);
                    let now = (Some(consumer), options.delivered_ms, options.deliveries.unwrap_or(more));
                    model.pending.insert(id, now);
                }
            }
        }
        Action::AutoClaim { consumer, idle, count, .. } => {
            let (at, _) = reader.group().consumer_or_new(&name(consumer), now);
            let mut found = Vec::new();
            let claimed = reader.auto_claim(at, idle, id, count, true, |entry| found.push(entry.id));
            let (mut attempts, mut left, mut cursor) = (count * 10, count, StreamId::MIN);
            let (mut expected, mut gone) = (Vec::new(), Vec::new());
            for (&id, pending) in model.pending.range_mut(id..) {
                if attempts == 0 || left == 0 {
                    cursor = id;
                    break;
                }
                attempts -= 1;
                if !has(&id) {
                    gone.push(id);
                    left -= 1;
                } else if old_enough(idle, now, pending) {
                    (pending.0, pending.1) = (Some(consumer), now);
                    expected.push(id);
                    left -= 1;
                }
            }
            model.pending.retain(|id, _| !gone.contains(id));
            assert_eq!(found, expected);
            assert!(claimed.claimed.iter().all(|pending| pending.owner == Some(at) && pending.delivered_ms == now));
            assert!(claimed.claimed.iter().map(|pending| pending.id).eq(expected));
            assert_eq!((claimed.cursor, claimed.gone), (cursor, gone));
        }
        Action::ClaimIdle { consumer, idle, count, .. } => {
            let (at, _) = reader.group().consumer_or_new(&name(consumer), now);
            let mut found = Vec::new();
            reader.claim_idle(at, idle, count, |entry, _| {
                found.push(entry.id);
                true
            });
            let mut line: Vec<_> =
                model.pending.iter().map(|(id, pending)| (pending.0.is_some(), pending.1, *id)).collect();
            line.sort_unstable();
            let mut expected = Vec::new();
            for (_, _, id) in line {
                if expected.len() as u64 == count || !old_enough(idle, now, &model.pending[&id]) {
                    break;
                }
                if has(&id) {
                    expected.push(id);
                } else {
                    model.pending.remove(&id);
                }
            }
            assert_eq!(found, expected);
            for id in expected {
                let deliveries = model.pending[&id].2.saturating_add(1).min(DELIVERIES_MAX);
                model.pending.insert(id, (Some(consumer), now, deliveries));
            }
        }
        Action::Nack { mode, force, .. } => {
            let before = model.pending.get(&id).map(|pending| pending.2).or((force && has(&id)).then_some(0));
            assert_eq!(reader.nack(id, mode, None, force), before.is_some());
            if let Some(before) = before {
                let deliveries = match mode {
                    NackMode::Silent => before.saturating_sub(1),
                    NackMode::Fail => before,
                    NackMode::Fatal => DELIVERIES_MAX,
                };
                model.released += 1;
                model.pending.insert(id, (None, model.released, deliveries));
            }
        }
        Action::Forget { consumer, .. } => {
            let mine = model.pending.values().filter(|pending| pending.0 == Some(consumer)).count() as u64;
            if let Some(pending) = reader.group().remove_consumer(&name(consumer)) {
                assert_eq!(pending, mine);
            }
            model.pending.retain(|_, pending| pending.0 != Some(consumer));
        }
        Action::Query { consumer, idle, .. } => {
            let group = reader.group();
            let owner = consumer.map(|consumer| group.consumer_or_new(&name(consumer), now).0);
            let query = PendingQuery { start: id, end: until, owner, idle_min_ms: idle, now_ms: now };
            let found: Vec<_> = group.query(query).map(|pending| pending.id).collect();
            let expected: Vec<_> = model
                .pending
                .iter()
                .filter(|(other, pending)| {
                    id <= **other
                        && **other <= until
                        && old_enough(idle, now, pending)
                        && consumer.is_none_or(|consumer| pending.0 == Some(consumer))
                })
                .map(|(id, _)| *id)
                .collect();
            assert_eq!(found, expected);
        }
        _ => unreachable!("not about a group"),
    }
}

/// Without an owner there is only a turn, of which the order counts.
fn timeless_unless_owned((owner, time, deliveries): (Option<u8>, u64, u64)) -> (Option<u8>, u64, u64) {
    (owner, owner.map_or(0, |_| time), deliveries)
}

fn compare(stream: &Stream, model: &Model) {
    stream.check();
    let log = stream.log();
    let entries: Vec<_> = log.range(StreamId::MIN, StreamId::MAX).map(|entry| (entry.id, texts(&entry))).collect();
    assert_eq!(entries, model.entries);
    assert_eq!(
        (log.last_id(), log.max_deleted_id(), log.entries_added()),
        (model.last_id, model.max_deleted, model.added)
    );
    assert_eq!(stream.groups().len(), model.groups.len());
    for ((_, group), expected) in stream.groups().zip(model.groups.values()) {
        let pending: BTreeMap<_, _> = group
            .pending_from(StreamId::MIN)
            .map(|pending| {
                (
                    pending.id,
                    timeless_unless_owned((owner_of(group, &pending), pending.delivered_ms, pending.deliveries)),
                )
            })
            .collect();
        let expected_pending =
            expected.pending.iter().map(|(id, pending)| (*id, timeless_unless_owned(*pending))).collect();
        assert_eq!(pending, expected_pending);
        assert_eq!(group.last_delivered_id(), expected.last);
        assert_eq!(group.lag(log), model.entries.iter().filter(|entry| entry.0 > expected.last).count() as u64);
    }
}

fn reloaded(stream: &Stream) -> Stream {
    let mut loader = Loader::new();
    let mut builder = Builder::default();
    for node in stream.log().nodes() {
        let listpack = node.to_listpack(&mut builder);
        assert!(loader.node(node.base(), &listpack).is_ok());
    }
    loader.finish(stream.log().history()).expect("what was written can be read")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn behaves_as_a_vector_and_maps(actions in prop::collection::vec(action(), 0..250)) {
        let mut stream = Stream::new();
        let mut model = Model::default();
        for (now, action) in actions.into_iter().enumerate() {
            step(&mut stream, &mut model, action, now as u64);
        }
        compare(&stream, &model);
        let again = reloaded(&stream);
        compare(&again, &Model { groups: BTreeMap::new(), ..model });
        prop_assert_eq!(again.log().nodes_len(), stream.log().nodes_len());
    }
}

#[test]
fn a_handle_is_one_word_and_may_change_threads() {
    fn sendable<T: Send>() {}
    sendable::<Stream>();
    assert_eq!(size_of::<Box<Stream>>(), size_of::<usize>());
}

#[test]
fn many_pending_entries_in_any_order() {
    let mut stream = Stream::new();
    let mut model = ModelGroup::default();
    stream.create_group(b"g", StreamId::MIN, None);
    let group = stream.group_mut(b"g").expect("it was made");
    let owners: Vec<_> = (0..40).map(|number| group.consumer_or_new(&[number], 0).0).collect();
    let mut random = 1u64;
    for turn in 0..30_000u64 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pick = random >> 33;
        let id = StreamId::new(pick % 3000, (pick / 3000) % 3);
        let time = if pick.is_multiple_of(97) { u64::from(u32::MAX) * 2 } else { turn / 8 };
        if turn % 10_000 < 7_000 {
            let owner = owners[(pick % 40) as usize];
            group.put_pending(&[Pending { id, delivered_ms: time, deliveries: 1, owner: Some(owner) }]);
            model.pending.insert(id, (Some(owner as u8), time, 1));
        } else {
            assert_eq!(group.ack(id), model.pending.remove(&id).is_some());
        }
        if turn % 500 == 0 {
            group.check();
            let oldest = model.pending.iter().min_by_key(|(id, pending)| (pending.1, **id)).map(|(id, _)| *id);
            assert_eq!(group.oldest_pending().map(|pending| pending.id), oldest);
        }
    }
    assert_eq!(group.pending_len(), model.pending.len() as u64);
    for number in 0..40u8 {
        let mine = model.pending.values().filter(|pending| pending.0 == Some(owners[number as usize] as u8)).count();
        assert_eq!(group.remove_consumer(&[number]), Some(mine as u64));
    }
    assert_eq!(group.pending_len(), 0);
    group.check();
}

#[test]
fn ids_run_out_and_clocks_go_back() {
    let mut stream = Stream::new();
    let pair = [(b"f".as_slice(), b"v".as_slice())];
    assert_eq!(stream.next_id(NewId::Exact(StreamId::MIN), 5), Err(NewIdError::Zero));
    assert_eq!(stream.next_id(NewId::AutoSeq(0), 5), Ok(StreamId::new(0, 1)));
    stream.append(StreamId::new(7, u64::MAX), pair.into_iter(), NodeLimits::DEFAULT).expect("it is above");
    assert_eq!(stream.next_id(NewId::Auto, 5), Ok(StreamId::new(8, 0)));
    assert_eq!(stream.next_id(NewId::AutoSeq(7), 5), Err(NewIdError::NotAbove));
    assert_eq!(stream.next_id(NewId::AutoSeq(6), 5), Err(NewIdError::NotAbove));
    assert_eq!(stream.next_id(NewId::Exact(StreamId::new(7, 0)), 5), Err(NewIdError::NotAbove));
    stream.append(StreamId::MAX, pair.into_iter(), NodeLimits::DEFAULT).expect("it is above");
    for wish in [NewId::Auto, NewId::AutoSeq(u64::MAX), NewId::Exact(StreamId::MAX)] {
        assert_eq!(stream.next_id(wish, 5), Err(NewIdError::Exhausted));
    }
    assert_eq!(stream.log().count(StreamId::MAX, StreamId::MAX), 1);
}

#[test]
fn producers_are_remembered_for_so_long_and_so_many() {
    let mut producers = Stream::new();
    let producers = producers.producers_or_new(ProducerLimits { remembered_s: 2, messages_max: 2 });
    for ms in [1000, 1500, 2500] {
        let text = ms.to_string();
        producers.record(b"p", text.as_bytes(), StreamId::new(ms, 0), ms);
        producers.check();
    }
    assert_eq!(producers.find(b"p", b"1000", 2500), None);
    assert_eq!(producers.find_duplicate(b"p", b"1500", 3499), Some(StreamId::new(1500, 0)));
    assert_eq!(producers.find(b"p", b"1500", 3500), None);
    assert_eq!(producers.find(b"q", b"1500", 2500), None);
    assert_eq!((producers.added(), producers.duplicates(), producers.messages_len()), (3, 1, 2));
    producers.expire(3500);
    assert_eq!((producers.producers_len(), producers.messages_len()), (1, 1));
    producers.set_limits(ProducerLimits::DEFAULT);
    assert_eq!(producers.producers_len(), 0);
}

#[test]
fn damaged_nodes_are_refused() {
    let mut stream = Stream::new();
    for ms in 1..9 {
        let value = ms.to_string();
        let pairs = [(b"f".as_slice(), value.as_bytes()), (b"g", b"text")];
        stream.append(StreamId::new(ms, ms), pairs.into_iter(), NodeLimits::DEFAULT).expect("it is above");
    }
    stream.delete(StreamId::new(3, 3));
    let node = stream.log().nodes().next().expect("there is one");
    let listpack = node.to_listpack(&mut Builder::default());
    for at in 0..listpack.as_bytes().len() {
        for flip in [1u8, 2, 0x40, 0xff] {
            let mut bytes = listpack.as_bytes().to_vec();
            bytes[at] ^= flip;
            if let Some(packed) = crate::ds::listpack::Packed::validate(&bytes)
                && let Ok(()) = Loader::new().node(node.base(), packed)
            {
                let mut loader = Loader::new();
                loader.node(node.base(), packed).expect("as before");
                let history = History { last_id: StreamId::MAX, max_deleted_id: StreamId::MIN, entries_added: 99 };
                loader.finish(history).expect("it fits").check();
            }
        }
    }
}
