//! The one property that counts: whatever happens while a snapshot is taken, its image is the state in which it began.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::{Garbage, Part, Sink, Walked};
use crate::cmd::table;
use crate::config::Config;
use crate::db::{DbIndex, Keyspace, load};
use crate::ds::image::ImageId;
use crate::ds::keytable::Seed;
use crate::testing::{Chooser, Playground, digest_stream, is_fuzzed};
use crate::types::codec::{self, Chunk, Dialect, Encoding, Form, Slice, Source};
use crate::types::hash::Hash;
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::stream::StreamBox;
use crate::types::value::{self, Record, RecordRef};
use crate::types::zset::Zset;
use crate::util::random::Random;

/// What every key of every database holds, as text.
type Image = BTreeMap<(DbIndex, Vec<u8>), String>;

/// Writes down what it is handed, and whether that was the end.
#[derive(Clone, Default)]
struct Notebook(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    image: Image,
    is_finished: bool,
    is_full: bool,
    begun: BTreeMap<ImageId, Begun>,
}

/// What an image does not tell.
struct Begun {
    form: Form,
    deadline: u64,
    key: Vec<u8>,
    beyond: Vec<u8>,
}

fn limits() -> codec::Limits {
    static SEED: Seed = Seed::new([3, 4]);
    load::limits(&small_limits(), &SEED)
}

impl Sink for Notebook {
    fn take(&mut self, db: DbIndex, record: RecordRef<'_>) {
        let twice = self.0.lock().unwrap().image.insert((db, record.key().to_vec()), text(record));
        assert_eq!(twice, None, "a record was handed over twice");
    }

    /// Some of those that can have an image at all.
    fn is_large(&self, record: &Record) -> bool {
        !record.key().len().is_multiple_of(4)
    }

    fn begin(&mut self, db: DbIndex, record: &mut Record, id: ImageId) -> Option<Part> {
        let mut head = Chunk::new(false);
        let form = codec::form_of(record, Dialect::Redis);
        let deadline = record.deadline().unwrap_or(0);
        let key = record.key().to_vec();
        let beyond = codec::beyond(record).unwrap_or_default();
        let encoding = Encoding::begin(record, id, Dialect::Redis, &mut head)?;
        self.0.lock().unwrap().begun.insert(id, Begun { form, deadline, key, beyond });
        Some(Part { db, head, encoding })
    }

    fn go_on(&mut self, part: &mut Part, record: &mut Record) -> bool {
        let (id, _) = value::image(record).expect("the image is not through");
        part.encoding.go_on(record, 40, &mut part.head);
        if !part.encoding.is_done() {
            return true;
        }
        let Begun { form, deadline, key, beyond } = self.0.lock().unwrap().begun.remove(&id).expect("it was begun");
        let mut source = Slice::new(part.head.bytes());
        let deadline = Some(deadline).filter(|&deadline| deadline > 0);
        let read = codec::decode(form, &key, deadline, Dialect::Redis, &mut source, &limits());
        let mut read = read.expect("an image is read").expect("it was not empty");
        assert_eq!(source.left(), 0, "an image has as much as it says");
        if !beyond.is_empty() {
            codec::apply_beyond(&mut read, &beyond).expect("it is read, too");
        }
        self.take(part.db, read.borrow());
        false
    }

    fn aside_bytes(&self) -> usize {
        0
    }

    fn has_room(&mut self) -> bool {
        !self.0.lock().unwrap().is_full
    }

    fn finish(self: Box<Self>) {
        self.0.lock().unwrap().is_finished = true;
    }
}

fn text(record: RecordRef<'_>) -> String {
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines.join("\n")
    };
    let content = if let Some(string) = value::string(&record) {
        format!("{:?}", string.to_vec())
    } else if let Some(list) = record.get::<List>() {
        format!("{:?}", list.iter().map(|item| item.to_vec()).collect::<Vec<_>>())
    } else if let Some(set) = record.get::<Set>() {
        sorted(set.iter().map(|item| format!("{:?}", item.to_vec())).collect())
    } else if let Some(hash) = record.get::<Hash>() {
        let line = |entry: crate::types::hash::Entry<'_>| {
            format!("{:?} {:?} {:?}", entry.field.to_vec(), entry.value.to_vec(), entry.deadline)
        };
        sorted(hash.iter(0).map(line).collect())
    } else if let Some(zset) = record.get::<Zset>() {
        format!("{:?}", zset.iter().map(|entry| (entry.member.to_vec(), entry.score)).collect::<Vec<_>>())
    } else {
        digest_stream(record.get::<StreamBox>().expect("there are six types"))
    };
    format!("{:?} {:?}\n{content}", value::kind(record.borrow()), record.deadline())
}

fn image_of(keyspace: &Keyspace) -> Image {
    let records =
        |db: DbIndex| keyspace.db(db).table.iter().map(move |record| ((db, record.key().to_vec()), text(record)));
    (0..keyspace.databases()).flat_map(records).collect()
}

/// A snapshot under way beside the copy of the state that it should turn out to be.
struct Trial {
    notebook: Notebook,
    expected: Image,
}

impl Trial {
    fn begin(playground: &mut Playground) -> Self {
        let notebook = Notebook::default();
        let expected = image_of(&playground.server.keyspace);
        playground.server.keyspace.begin_snapshot(Box::new(notebook.clone()));
        Self { notebook, expected }
    }

    /// A slice of so many steps. True at the end, where the image was compared.
    fn slice(&self, playground: &mut Playground, steps: usize, is_full: bool) -> bool {
        self.notebook.0.lock().unwrap().is_full = is_full;
        let mut left = steps;
        let mut may_go_on = || {
            left = left.saturating_sub(1);
            left > 0
        };
        let mut garbage = Garbage::default();
        let walked = playground.server.keyspace.walk_snapshot(&mut may_go_on, &mut garbage);
        let pages = self.notebook.0.lock().unwrap();
        assert_eq!(walked == Walked::Done, pages.is_finished);
        if pages.is_finished {
            assert!(
                pages.image == self.expected,
                "the image is not that of the moment: {:#?}",
                self.differences(&pages)
            );
        }
        pages.is_finished
    }

    fn differences(&self, pages: &Pages) -> Vec<String> {
        let mut keys: Vec<_> = pages.image.keys().chain(self.expected.keys()).collect();
        keys.sort();
        keys.dedup();
        let differ = keys.into_iter().filter(|key| pages.image.get(key) != self.expected.get(key));
        let show = |key: &(DbIndex, Vec<u8>)| {
            let (was, is) = (self.expected.get(key), pages.image.get(key));
            format!("{} {:?}: {was:?} -> {is:?}", key.0, String::from_utf8_lossy(&key.1))
        };
        differ.take(5).map(show).collect()
    }
}

/// Small limits, so that every encoding and its conversions come up.
fn small_limits() -> Config {
    let mut config = Config::default();
    for name in [
        "list-max-listpack-size",
        "hash-max-listpack-entries",
        "set-max-listpack-entries",
        "set-max-intset-entries",
        "zset-max-listpack-entries",
        "stream-node-max-entries",
    ] {
        config.set(&[(name.as_bytes(), b"3")], true).expect("the limits exist");
    }
    config
}

/// Every command there is, on few keys.
#[test]
fn any_command_between_two_slices_leaves_the_image_as_it_was() {
    let entries: Vec<_> = table::all().iter().copied().filter(|entry| is_fuzzed(entry)).collect();
    for seed in 0..24 {
        let mut random = Random::new(seed);
        let data: Vec<u8> = (0..6000).map(|_| random.next_u64() as u8).collect();
        let mut choose = Chooser::new(&data);
        let mut playground = Playground::new(if seed % 2 == 0 { small_limits() } else { Config::default() }, seed);
        let mut trial = None;
        while !choose.is_done() {
            let entry = entries[choose.below(entries.len())];
            let args = choose.request(entry);
            let client = ["a", "b", "c"][choose.below(3)];
            let id = playground.client(client);
            if playground.server.sessions.get(id).is_held() {
                playground.advance(100_000);
            } else {
                playground.run(client, args.iter());
            }
            match choose.below(24) {
                0 => playground.advance(choose.below(5000) as u64),
                1 if trial.is_none() => trial = Some(Trial::begin(&mut playground)),
                2 => playground.server.keyspace.check(),
                3 | 4 => {
                    let steps = choose.below(3);
                    let full = choose.below(4) == 0;
                    if trial.as_ref().is_some_and(|trial| trial.slice(&mut playground, steps, full)) {
                        trial = None;
                    }
                }
                _ => {}
            }
        }
        if let Some(trial) = trial {
            assert!(trial.slice(&mut playground, usize::MAX, false), "nothing held the walk back");
        }
    }
}

/// Many keys in several databases: tables grow, shrink, are swapped and flushed under the walk.
#[test]
fn tables_may_change_as_they_like_under_the_walk() {
    for seed in 0..5 {
        let mut random = Random::new(seed);
        let mut playground = Playground::new(small_limits(), seed);
        let mut trial: Option<Trial> = None;
        let mut finished = 0;
        let mut grows = true;
        for step in 0..12_000 {
            if step % 3000 == 0 {
                grows = !grows || step == 0;
            }
            let command = command(&mut random, grows);
            playground.run("", command.iter());
            if random.index(400) == 0 {
                playground.advance(random.index(3000) as u64);
            }
            match (&trial, random.index(if trial.is_some() { 30 } else { 200 })) {
                (None, 0) => trial = Some(Trial::begin(&mut playground)),
                (Some(_), 0) if random.index(40) == 0 => {
                    let mut garbage = Garbage::default();
                    playground.server.keyspace.give_up_snapshot(&mut garbage);
                    trial = None;
                }
                (Some(running), 0) if running.slice(&mut playground, 1 + random.index(12), random.index(5) == 0) => {
                    trial = None;
                    finished += 1;
                    playground.server.keyspace.check();
                }
                _ => {}
            }
        }
        if let Some(trial) = trial {
            assert!(trial.slice(&mut playground, usize::MAX, false), "nothing held the walk back");
        }
        assert!(finished > 0, "no snapshot came to its end (seed {seed})");
    }
}

fn command(random: &mut Random, grows: bool) -> Vec<String> {
    const KEYS: usize = 4000;
    let key = |random: &mut Random| format!("key:{}", random.index(KEYS));
    let number = |random: &mut Random| random.index(50).to_string();
    let one = key(random);
    let words = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<Vec<_>>();
    let choice = random.index(if grows { 64 } else { 100 });
    match choice {
        0..30 => words(&["SET", &one, &"x".repeat(random.index(300))]),
        30..33 => words(&["SET", &one, "v", "PX", &random.index(20_000).to_string()]),
        33..36 => words(&["INCR", &one]),
        36..39 => words(&["APPEND", &one, "more"]),
        39..42 => words(&["RPUSH", &one, &number(random), "b"]),
        42..45 => words(&["SADD", &one, &number(random), "b"]),
        45..48 => words(&["HSET", &one, &number(random), "b"]),
        48..50 => words(&["HPEXPIRE", &one, &number(random), "FIELDS", "1", "1"]),
        50..53 => words(&["ZADD", &one, &number(random), "b"]),
        53..55 => words(&["XADD", &one, "*", "f", &number(random)]),
        55..57 => words(&["RENAME", &one, &key(random)]),
        57..59 => words(&["COPY", &one, &key(random), "REPLACE"]),
        59..61 => words(&["MOVE", &one, &random.index(3).to_string()]),
        61 => words(&["SELECT", &random.index(3).to_string()]),
        62 => words(&["PEXPIRE", &one, &random.index(9000).to_string()]),
        63 if random.index(8) == 0 => words(&["SWAPDB", &random.index(3).to_string(), &random.index(3).to_string()]),
        63 => words(&["PERSIST", &one]),
        64 if random.index(40) == 0 => words(&["FLUSHALL"]),
        65 if random.index(20) == 0 => words(&["FLUSHDB"]),
        66 => words(&["LPOP", &one]),
        67 => words(&["SPOP", &one]),
        _ => {
            let mut del = words(&["DEL"]);
            del.extend((0..40).map(|_| key(random)));
            del
        }
    }
}

/// So many snapshots given up in a row that stamps come round again.
#[test]
fn snapshots_given_up_leave_no_trace() {
    let mut playground = Playground::default();
    for key in 0..2000 {
        playground.run("", ["SET", &format!("key:{key}"), "value"].iter());
    }
    for round in 0..200 {
        let trial = Trial::begin(&mut playground);
        trial.slice(&mut playground, round % 7 * 20, false);
        playground.run("", ["SET", &format!("key:{round}"), "other"].iter());
        playground.server.keyspace.give_up_snapshot(&mut Garbage::default());
    }
    let trial = Trial::begin(&mut playground);
    assert!(trial.slice(&mut playground, usize::MAX, false));
}

/// Counts what it is handed.
#[derive(Clone, Default)]
struct Meter(Arc<Mutex<Metered>>);

#[derive(Default)]
struct Metered {
    bytes: usize,
    parts: usize,
}

impl Sink for Meter {
    fn take(&mut self, _: DbIndex, record: RecordRef<'_>) {
        let mut chunk = Chunk::new(false);
        codec::encode_value(&record, Dialect::Redis, &mut chunk);
        self.0.lock().unwrap().bytes += chunk.len();
    }

    fn is_large(&self, record: &Record) -> bool {
        value::collection_len(record).is_some_and(|elements| elements > 1000)
    }

    fn begin(&mut self, db: DbIndex, record: &mut Record, id: ImageId) -> Option<Part> {
        let mut head = Chunk::new(false);
        let encoding = Encoding::begin(record, id, Dialect::Redis, &mut head)?;
        self.0.lock().unwrap().bytes += head.len();
        Some(Part { db, head, encoding })
    }

    fn go_on(&mut self, part: &mut Part, record: &mut Record) -> bool {
        let mut chunk = Chunk::new(false);
        part.encoding.go_on(record, super::PART_BYTES, &mut chunk);
        let mut metered = self.0.lock().unwrap();
        metered.bytes += chunk.len();
        metered.parts += 1;
        !part.encoding.is_done()
    }

    fn aside_bytes(&self) -> usize {
        0
    }

    fn has_room(&mut self) -> bool {
        true
    }

    fn finish(self: Box<Self>) {}
}

/// However large a collection is, a command that changes a little of it hands over and keeps a little; and the walk goes on in small parts.
#[test]
fn a_write_to_a_large_collection_does_work_for_what_it_changes_alone() {
    const ELEMENTS: usize = 100_000;
    /// A node of a list or a stream, twice, and what is around it.
    const BYTES_MAX: usize = 40_000;
    let mut playground = Playground::default();
    playground.run("", ["XGROUP", "CREATE", "stream", "group", "0", "MKSTREAM"].iter());
    for from in (0..ELEMENTS).step_by(1000) {
        let each = |line: &str, item: &dyn Fn(usize) -> String| {
            let items = (from..from + 1000).map(item).collect::<Vec<_>>().join(" ");
            format!("{line} {items}").split(' ').map(String::from).collect::<Vec<_>>()
        };
        playground.run("", each("SADD set", &|at| format!("member:{at}")).iter());
        playground.run("", each("HSET hash", &|at| format!("field:{at} value:{at}")).iter());
        playground.run("", each("ZADD zset", &|at| format!("{at} member:{at}")).iter());
        playground.run("", each("RPUSH list", &|at| format!("element:{at}")).iter());
    }
    for at in 1..=ELEMENTS / 10 {
        playground.run("", ["XADD", "stream", &format!("{at}-0"), "field", &format!("value:{at}")].iter());
    }
    playground.run("", ["XREADGROUP", "GROUP", "group", "me", "COUNT", "9500", "STREAMS", "stream", ">"].iter());

    let meter = Meter::default();
    playground.server.keyspace.begin_snapshot(Box::new(meter.clone()));
    let commands = [
        "SADD set new",
        "SREM set member:5",
        "SPOP set 3",
        "SADD set member:5",
        "HSET hash field:7 other",
        "HDEL hash field:8",
        "HEXPIRE hash 100 FIELDS 1 field:9",
        "HINCRBY hash count 3",
        "ZADD zset 1 member:500",
        "ZREM zset member:10",
        "ZINCRBY zset 5 member:11",
        "ZPOPMIN zset 3",
        "ZREMRANGEBYRANK zset 50 60",
        "RPUSH list new",
        "LPUSH list new",
        "LPOP list 3",
        "RPOP list",
        "LSET list 50000 new",
        "LINSERT list AFTER element:10 x",
        "LREM list 1 element:20",
        "LMOVE list list LEFT RIGHT",
        "LTRIM list 1 -2",
        "XADD stream * f v",
        "XDEL stream 5000-0",
        "XTRIM stream MAXLEN 9990",
        "XACK stream group 5-0",
        "XACK stream group 9000-0 4000-0 1-0",
        "XCLAIM stream group you 0 700-0 701-0",
        "XAUTOCLAIM stream group you 0 3000-0 COUNT 50",
        "XGROUP CREATECONSUMER stream group third",
        "XREADGROUP GROUP group me COUNT 10 STREAMS stream >",
        "XGROUP CREATE stream other 0",
        "XGROUP DESTROY stream group",
        "EXPIRE set 1000",
        "RENAME hash hash2",
        "MOVE zset 1",
        "SWAPDB 0 1",
        "SWAPDB 0 1",
        "COPY list list2",
        "DEL list",
        "UNLINK set",
        "FLUSHDB",
    ];
    let kept = |playground: &Playground| -> usize {
        let keyspace = &playground.server.keyspace;
        let each =
            |db: DbIndex| keyspace.db(db).table.iter().filter_map(|record| value::image(&record)).map(|(_, kept)| kept);
        (0..keyspace.databases()).flat_map(each).sum()
    };
    for command in commands {
        let before = (meter.0.lock().unwrap().bytes, kept(&playground));
        let reply = playground.run("", command.split(' '));
        assert!(!reply.starts_with(b"-"), "{command}: {}", String::from_utf8_lossy(&reply));
        let parts = meter.0.lock().unwrap().parts;
        assert_eq!(parts, 0, "{command} hands over parts of an image");
        let work = meter.0.lock().unwrap().bytes - before.0 + kept(&playground).saturating_sub(before.1);
        assert!(work < BYTES_MAX, "{command} hands over or keeps {work} bytes");
    }
    let mut walked = Walked::More;
    while walked != Walked::Done {
        let before = meter.0.lock().unwrap().bytes;
        let mut looks = 0;
        let mut once = || {
            looks += 1;
            looks < 2
        };
        walked = playground.server.keyspace.walk_snapshot(&mut once, &mut Garbage::default());
        let work = meter.0.lock().unwrap().bytes - before;
        assert!(work < 4 * super::PART_BYTES, "a step of the walk hands over {work} bytes");
    }
    assert!(meter.0.lock().unwrap().bytes > ELEMENTS * 50, "everything was handed over");
}

/// A sink whose images seem to have no end: each is said to have `parts`.
struct Endless {
    parts: u64,
    left: u64,
    aside: usize,
}

impl Sink for Endless {
    fn take(&mut self, _: DbIndex, record: RecordRef<'_>) {
        self.aside += crate::types::value::string(&record).map_or(0, |text| text.to_vec().len());
    }

    fn is_large(&self, record: &Record) -> bool {
        crate::types::value::collection_len(record).is_some()
    }

    fn begin(&mut self, db: DbIndex, record: &mut Record, id: ImageId) -> Option<Part> {
        let mut head = Chunk::new(false);
        let encoding = Encoding::begin(record, id, Dialect::Redis, &mut head)?;
        Some(Part { db, head, encoding })
    }

    fn go_on(&mut self, part: &mut Part, record: &mut Record) -> bool {
        if self.left == 0 {
            self.left = self.parts;
        }
        self.left -= 1;
        if self.left == 0 {
            while !part.encoding.is_done() {
                part.encoding.go_on(record, usize::MAX, &mut Chunk::new(false));
            }
            self.aside = 0;
        }
        self.left > 0
    }

    fn aside_bytes(&self) -> usize {
        self.aside
    }

    fn has_room(&mut self) -> bool {
        false
    }

    fn finish(self: Box<Self>) {}
}

/// While an image is handed over what waits for it is bounded, however large it is, although the walk is given no time at all.
#[test]
fn what_waits_for_an_image_is_bounded_at_any_size() {
    const PEAK_MAX: usize = 21 * 1024 * 1024;
    for size_bytes in [1 << 20, 100 << 20, 20_u64 << 30] {
        let mut playground = Playground::default();
        let members: Vec<String> = (0..5000).map(|at| format!("member:{at}")).collect();
        playground.run("", ["SADD".into(), "large".into()].into_iter().chain(members).collect::<Vec<String>>().iter());
        let value = "x".repeat(10_000);
        for at in 0..6000 {
            playground.run("", ["SET", &format!("text:{at}"), &value].iter());
        }
        let parts = size_bytes / super::PART_BYTES as u64;
        playground.server.keyspace.begin_snapshot(Box::new(Endless { parts, left: 0, aside: 0 }));
        playground.run("", ["SREM", "large", "member:1"].iter());
        for at in 0..6000 {
            playground.run("", ["SET", &format!("text:{at}"), "changed"].iter());
            playground.run("", ["SREM", "large", &format!("member:{at}")].iter());
        }
        let peak = playground.server.keyspace.snapshot().expect("it is on").aside_peak();
        assert!(peak <= PEAK_MAX, "{peak} bytes wait beside an image of {size_bytes}");
        assert!(peak > 0);
    }
}
