//! Every value comes back as it was, in whole and in parts; old forms are read; what is broken is refused.

mod images;

use proptest::prelude::*;

use super::*;
use crate::ds::keytable::Seed;
use crate::ds::record::Payload;
use crate::types::stream::{NackMode, NodeLimits, ProducerLimits, Stream, StreamBox, StreamId};
use crate::types::value::{self, Record};
use crate::types::{hash, list, set, zset};
use crate::util::lzf::Compressor;

static SEED: Seed = Seed::new([1, 2]);

fn limits() -> Limits {
    Limits {
        list: list::Limits::default(),
        set: set::Limits::with_seed(&SEED),
        hash: hash::Limits::with_seed(&SEED),
        zset: zset::Limits { entries_max: 128, value_bytes_max: 64, seed: &SEED },
    }
}

/// A record that a failing test can show.
struct Held(Record);

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&shown(&self.0).chars().take(2000).collect::<String>())
    }
}

/// Everything about a value, as text.
pub fn shown(record: &Record) -> String {
    let mut lines: Vec<String> = match record.payload() {
        Payload::Inline(text) => vec![format!("{text:?}")],
        Payload::Integer(value) => vec![format!("{value}")],
        Payload::Blob(blob) => vec![format!("{:?}", blob.as_slice())],
        Payload::Word(_) => vec![value::encoding(record).replace("listpackex", "listpack")],
    };
    check(record);
    let mut unordered = Vec::new();
    if let Some(list) = record.get::<list::List>() {
        lines.extend(list.iter().map(|item| format!("{:?}", item.to_vec())));
    } else if let Some(set) = record.get::<set::Set>() {
        unordered.extend(set.iter().map(|item| format!("{:?}", item.to_vec())));
    } else if let Some(zset) = record.get::<zset::Zset>() {
        lines.extend(zset.iter().map(|entry| format!("{:?} {:?}", entry.member.to_vec(), entry.score)));
    } else if let Some(hash) = record.get::<hash::Hash>() {
        let line = |entry: hash::Entry<'_>| {
            format!("{:?} {:?} {:?}", entry.field.to_vec(), entry.value.to_vec(), entry.deadline)
        };
        unordered.extend(hash.iter(0).map(line));
    } else if let Some(stream) = record.get::<StreamBox>() {
        show_stream(stream, &mut lines);
    }
    unordered.sort();
    lines.extend(unordered);
    lines.push(format!("{:?} {:?}", record.deadline(), value::is_timed(record)));
    lines.join("\n")
}

fn check(record: &Record) {
    record.get::<list::List>().into_iter().for_each(list::List::check);
    record.get::<set::Set>().into_iter().for_each(set::Set::check);
    record.get::<zset::Zset>().into_iter().for_each(zset::Zset::check);
    record.get::<hash::Hash>().into_iter().for_each(hash::Hash::check);
    record.get::<StreamBox>().into_iter().for_each(StreamBox::check);
}

fn show_stream(stream: &Stream, lines: &mut Vec<String>) {
    lines.push(format!("{:?} {}", stream.log().history(), stream.log().nodes_len()));
    for entry in stream.log().range(StreamId::MIN, StreamId::MAX) {
        lines.push(format!("{:?} {:?}", entry.id, entry.fields.collect::<Vec<_>>()));
    }
    for (name, group) in stream.groups() {
        lines.push(format!("{name:?} {:?} {:?}", group.last_delivered_id(), group.entries_read()));
        for (at, consumer) in group.consumers() {
            let pending: Vec<_> = group.pending_of(at, StreamId::MIN).map(|entry| entry.id).collect();
            let (seen, active) = (consumer.seen_ms(), consumer.active_ms());
            lines.push(format!("{:?} {seen} {active:?} {pending:?}", consumer.name()));
        }
        let mut released: Vec<_> = group.pending_from(StreamId::MIN).filter(|entry| entry.owner.is_none()).collect();
        released.sort_by_key(|entry| entry.delivered_ms);
        lines.push(format!("{:?}", released.iter().map(|entry| entry.id).collect::<Vec<_>>()));
        for entry in group.pending_from(StreamId::MIN) {
            let owner = entry.owner.and_then(|owner| group.consumer(owner)).map(|consumer| consumer.name().to_vec());
            let time = entry.owner.map_or(0, |_| entry.delivered_ms);
            lines.push(format!("{:?} {time} {} {owner:?}", entry.id, entry.deliveries));
        }
    }
    if let Some(producers) = stream.producers() {
        lines.push(format!("{:?} {} {}", producers.limits(), producers.added(), producers.duplicates()));
        lines.extend(producers.iter().map(|message| format!("{message:?}")));
    }
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..12),
        2 => any::<i64>().prop_map(|value| value.to_string().into_bytes()),
        2 => any::<i16>().prop_map(|value| value.to_string().into_bytes()),
        1 => (any::<u8>(), 0..400usize).prop_map(|(byte, len)| vec![byte; len]),
        1 => prop::collection::vec(any::<u8>(), 0..12_000),
    ]
}

fn record() -> impl Strategy<Value = Held> {
    let texts = || prop_oneof![3 => prop::collection::vec(text(), 1..20), 1 => prop::collection::vec(text(), 100..400)];
    let score =
        prop_oneof![any::<i32>().prop_map(f64::from), any::<f64>().prop_filter("a score", |score| !score.is_nan())];
    let deadline = prop::option::of(0..1u64 << 45);
    let string = (text(), deadline).prop_map(|(text, deadline)| match crate::util::number::parse_i64(&text) {
        Some(value) => Held(Record::integer(b"key", value, deadline)),
        None => Held(Record::bytes(b"key", &text, deadline)),
    });
    let list = texts().prop_map(|texts| {
        Held(Record::word(b"key", list::List::from_elements(texts.iter().map(Vec::as_slice), &limits().list), None))
    });
    let sets = prop_oneof![
        texts(),
        prop::collection::vec(any::<i64>().prop_map(|value| value.to_string().into_bytes()), 1..20)
    ];
    let set = sets.prop_map(|texts| {
        let mut set = set::Set::new();
        texts.iter().for_each(|text| _ = set.add(text, &limits().set));
        Held(Record::word(b"key", set, None))
    });
    let zset = prop::collection::vec((text(), score), 1..200).prop_map(|entries| {
        let mut zset = zset::Zset::new(&limits().zset, 1, 1);
        entries.iter().for_each(|(member, score)| _ = zset.add(&limits().zset, member, *score, zset::Rule::default()));
        Held(Record::word(b"key", zset, None))
    });
    let hash = (prop::collection::vec((text(), text(), prop::option::of(1..1u64 << 45)), 1..40), any::<bool>())
        .prop_map(|(fields, timed)| {
            let mut hash = hash::Hash::new();
            for (field, value, deadline) in &fields {
                // A long value that makes it large and is replaced would leave it in an encoding that no snapshot keeps.
                if hash.get(field, 0).is_none() {
                    hash.put(field, value, deadline.filter(|_| timed), 0, &limits().hash);
                }
            }
            let is_timed = hash.next_deadline().is_some();
            let mut record = Record::word(b"key", hash, Some(77));
            value::set_timed(&mut record, is_timed);
            Held(record)
        });
    prop_oneof![2 => string, 2 => list, 2 => set, 2 => zset, 3 => hash, 2 => stream()]
}

fn stream() -> impl Strategy<Value = Held> {
    let entry = (prop::collection::vec((text(), text()), 1..3), 1..3u64, any::<bool>());
    (prop::collection::vec(entry, 0..60), any::<bool>(), any::<bool>()).prop_map(|(entries, nacks, produces)| {
        let mut stream = Stream::new();
        let mut ids = Vec::new();
        let mut ms = 1000;
        for (fields, step, dies) in &entries {
            ms += step;
            let id = StreamId::new(ms, ms % 3);
            let pairs = fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
            stream.append(id, pairs, NodeLimits { bytes_max: 4096, entries_max: 10 }).expect("ids ascend");
            ids.push((id, *dies));
        }
        stream.create_group(b"12", StreamId::MIN, Some(0)).expect("no group yet");
        stream.create_group(b"idle", StreamId::new(1001, 0), None).expect("no group yet");
        let mut reader = stream.reader(b"12", 7).expect("just made");
        let (one, two) = (reader.group().consumer_or_new(b"one", 5).0, reader.group().consumer_or_new(b"two", 6).0);
        reader.deliver(one, ids.len() as u64 / 3, false, |_| true);
        reader.deliver(two, ids.len() as u64 / 3, false, |_| true);
        if nacks {
            for (id, _) in ids.iter().take(ids.len() / 2).step_by(2).rev() {
                reader.nack(*id, NackMode::Fail, None, false);
            }
        }
        for (id, dies) in &ids {
            if *dies {
                stream.delete(*id);
            }
        }
        if produces {
            let producers = stream.producers_or_new(ProducerLimits::DEFAULT);
            producers.record(b"p", b"m1", StreamId::new(5, 5), 1);
            producers.record(b"p", b"m2", StreamId::new(6, 5), 1);
            producers.record(b"q", b"m1", StreamId::new(4, 5), 1);
            producers.find_duplicate(b"q", b"m1", 4);
        }
        Held(Record::word(b"key", StreamBox::from(stream), None))
    })
}

fn encoded(record: &Record, dialect: Dialect) -> (Form, Vec<u8>) {
    let mut chunk = Chunk::new(false);
    encode_value(record, dialect, &mut chunk);
    (form_of(record, dialect), chunk.bytes().to_vec())
}

/// The same by way of an image, where there is one.
fn encoded_in_parts(record: &mut Record, dialect: Dialect, budget: usize) -> Option<Vec<u8>> {
    let mut chunk = Chunk::new(false);
    let mut encoding = Encoding::begin(record, 7, dialect, &mut chunk)?;
    while !encoding.is_done() {
        assert_eq!(value::image(record).map(|(id, _)| id), Some(7));
        encoding.go_on(record, budget, &mut chunk);
    }
    assert_eq!(value::image(record), None);
    Some(chunk.bytes().to_vec())
}

fn decoded(form: Form, dialect: Dialect, bytes: &[u8], deadline: Option<u64>) -> Result<Option<Record>, Malformed> {
    let mut source = Slice::new(bytes);
    let record = decode(form, b"key", deadline, dialect, &mut source, &limits());
    if record.is_ok() {
        assert_eq!(source.left(), 0, "everything is read");
    }
    record
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_value_comes_back(Held(mut record) in record()) {
        for dialect in [Dialect::Redis, Dialect::Valkey] {
            let (form, bytes) = encoded(&record, dialect);
            let mut back = decoded(form, dialect, &bytes, record.deadline()).expect("it is read").expect("something");
            if let Some(beyond) = beyond(&record) {
                apply_beyond(&mut back, &beyond).expect("it is read, too");
            }
            let (back_shown, all) = (shown(&back), shown(&record));
            let differing = back_shown.lines().zip(all.lines()).find(|(one, two)| one != two);
            prop_assert_eq!(differing, None);
            prop_assert_eq!(back_shown.lines().count(), all.lines().count());
            let version_max = if dialect == Dialect::Valkey { 80 } else { 12 };
            prop_assert!(form.version() <= version_max);

            let Some(parts) = encoded_in_parts(&mut record, dialect, 100) else { continue };
            let mut back = decoded(form, dialect, &parts, record.deadline()).expect("it is read").expect("something");
            if let Some(beyond) = beyond(&record) {
                apply_beyond(&mut back, &beyond).expect("it is read, too");
            }
            prop_assert_eq!(parts.len(), bytes.len());
            prop_assert_eq!(shown(&back), all);
        }
    }

    #[test]
    fn packing_keeps_everything(texts in prop::collection::vec(text(), 0..20)) {
        let mut chunk = Chunk::new(true);
        texts.iter().for_each(|text| chunk.text(text));
        let mut packed = Vec::new();
        chunk.pack(&mut Compressor::new(), &mut packed);
        prop_assert!(packed.len() <= chunk.len());
        let mut text = Vec::new();
        for bytes in [chunk.bytes(), &packed] {
            let mut source = Slice::new(bytes);
            for expected in &texts {
                source.text(&mut text).expect("a text");
                prop_assert_eq!(&text, expected);
            }
        }
    }

    #[test]
    fn what_is_broken_is_refused_or_whole(Held(record) in record(), at: prop::sample::Index, byte: u8, cut: bool) {
        let (form, mut bytes) = encoded(&record, Dialect::Redis);
        if cut {
            bytes.truncate(at.index(bytes.len()));
        } else {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut source = Slice::new(&bytes);
        if let Ok(Some(read)) = decode(form, b"key", None, Dialect::Redis, &mut source, &limits()) {
            shown(&read);
        }
    }

    #[test]
    fn garbage_is_refused_or_whole(form in 0..30u8, bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0..8u8], 0..80)) {
        for dialect in [Dialect::Redis, Dialect::Valkey] {
            if let Ok(Some(read)) = decode(Form(form), b"key", None, dialect, &mut Slice::new(&bytes), &limits()) {
                shown(&read);
            }
        }
    }
}

/// A ziplist of texts, as old versions wrote it.
fn ziplist(texts: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    let (mut before, mut last) = (0, 10);
    for text in texts {
        last = 10 + body.len();
        let start = body.len();
        if before < 254 {
            body.push(before as u8)
        } else {
            body.push(254);
            body.extend_from_slice(&(before as u32).to_le_bytes());
        }
        match crate::util::number::parse_i64(text) {
            Some(value @ 0..=12) => body.push(0xF1 + value as u8),
            Some(value) if i8::try_from(value).is_ok() => body.extend_from_slice(&[0xFE, value as u8]),
            Some(value) if i16::try_from(value).is_ok() => {
                body.push(0xC0);
                body.extend_from_slice(&(value as i16).to_le_bytes());
            }
            Some(value) if value.abs() < 1 << 23 => {
                body.push(0xF0);
                body.extend_from_slice(&(value as i32).to_le_bytes()[..3]);
            }
            Some(value) => {
                body.push(0xE0);
                body.extend_from_slice(&value.to_le_bytes());
            }
            None if text.len() < 64 => {
                body.push(text.len() as u8);
                body.extend_from_slice(text);
            }
            None => {
                body.extend_from_slice(&[0x40 | (text.len() >> 8) as u8, text.len() as u8]);
                body.extend_from_slice(text);
            }
        }
        before = body.len() - start;
    }
    let mut bytes = ((body.len() + 11) as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(&(last as u32).to_le_bytes());
    bytes.extend_from_slice(&(texts.len() as u16).to_le_bytes());
    bytes.extend(body);
    bytes.push(0xFF);
    bytes
}

fn as_blob(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = Chunk::new(false);
    chunk.blob(bytes);
    chunk.bytes().to_vec()
}

#[test]
fn forms_of_old_versions_are_read() {
    let long = [b'x'; 300];
    let texts: [&[u8]; 8] = [b"a", b"5", b"-3", b"1000", b"-70000", b"99999999999", &long, b"12"];
    let read = |form, bytes: &[u8]| decoded(form, Dialect::Redis, bytes, None).expect("it is read").expect("something");

    let list = read(Form::LIST_ZIPLIST, &as_blob(&ziplist(&texts)));
    let elements: Vec<_> = list.get::<list::List>().unwrap().iter().map(|item| item.to_vec()).collect();
    assert_eq!(elements, texts);
    let nodes = [vec![2], as_blob(&ziplist(&texts)), as_blob(&ziplist(&texts[..1]))].concat();
    assert_eq!(read(Form::LIST_QUICKLIST, &nodes).get::<list::List>().unwrap().len(), 9);
    assert_eq!(read(Form::LIST, b"\x02\x01a\xc0\x05").get::<list::List>().unwrap().len(), 2);

    let hash = read(Form::HASH_ZIPLIST, &as_blob(&ziplist(&texts)));
    assert!(hash.get::<hash::Hash>().unwrap().get(b"99999999999", 0).is_none());
    assert_eq!(hash.get::<hash::Hash>().unwrap().get(&long, 0).unwrap().to_vec(), b"12");
    let zipmap = b"\x02\x03foo\x03\x00bar\x05hello\x05\x01world!\xff";
    let hash = read(Form::HASH_ZIPMAP, &as_blob(zipmap));
    assert_eq!(hash.get::<hash::Hash>().unwrap().get(b"hello", 0).unwrap().to_vec(), b"world");

    let zset = read(Form::ZSET_ZIPLIST, &as_blob(&ziplist(&[b"b", b"2.5", b"a", b"-1"])));
    assert_eq!(zset.get::<zset::Zset>().unwrap().score(b"b"), Some(2.5));
    let zset = read(Form::ZSET, b"\x03\x01a\x031.5\x01b\xfe\x01c\xff");
    assert_eq!(zset.get::<zset::Zset>().unwrap().score(b"c"), Some(f64::NEG_INFINITY));

    let early = b"\x02\xC2\x00\x00\x00\x00";
    assert!(decoded(Form::HASH_VALKEY, Dialect::Redis, early, None).is_err());
    let early = b"\x02\x80\x00\x00\x10\x00\x01a\x01b\x00\x01c\x01d";
    let hash = read(Form::HASH_VALKEY, early);
    assert_eq!(hash.get::<hash::Hash>().unwrap().next_deadline(), Some(4096));
}

#[test]
fn nothing_and_too_much_are_told_apart() {
    assert!(decoded(Form::LIST, Dialect::Redis, b"\x00", None).unwrap().is_none());
    assert!(decoded(Form::HASH, Dialect::Redis, b"\x00", None).unwrap().is_none());
    let reason = |form, bytes: &[u8]| decoded(form, Dialect::Redis, bytes, None).err().expect("refused").0.into_owned();
    assert_eq!(reason(Form::SET, b"\x02\x01a\x01a"), "a member of a set comes up twice");
    assert_eq!(
        reason(Form::SET, b"\x81\xff\xff\xff\xff\xff\xff\xff\xff"),
        "more elements are announced than there are bytes for"
    );
    assert_eq!(reason(Form::STRING, b"\xc3\x01\x80\xff\xff\xff\xff\x00"), "a text is longer than any can be");
    let module = reason(Form::MODULE_2, b"\x81\x04\x14\x41\x04\x14\x41\x04\x14");
    assert!(module.starts_with("the value is one of the module type '"), "{module}");
}
