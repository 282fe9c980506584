//! The whole server on a hostile disk, one seed a history: clients, the clock, the thread, rewrites, crashes at every call, restarts.
//!
//! Operation `i` pushes `i` on the list `log`, some within a transaction that sets another key to `i` as well. So whatever is loaded says by
//! itself which prefix of the history it is, and whether it is one. Floors are what the server promised: what was acknowledged, and what
//! it said was safe.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::{Fatal, Hands, Keeper, Progress};
use crate::config::Config;
use crate::persist::aof::flusher::{self, Order, Report};
use crate::persist::disk::Disk;
use crate::persist::disk::hostile::{HostileDisk, INPUT_OUTPUT, NO_SPACE, READ_ONLY};
use crate::server::session::Peer;
use crate::server::{Clock, Server, SessionId};
use crate::testing::Playground;
use crate::util::random::Random;

const START_US: u64 = 1_767_225_600_000_000;
const CLIENTS: usize = 4;
const KEYS: usize = 5;

/// The thread, as a queue that the test works off when it pleases.
#[derive(Clone)]
struct Queue {
    disk: HostileDisk,
    state: Arc<Mutex<(VecDeque<Order>, VecDeque<Report>)>>,
}

impl Queue {
    fn work(&self) {
        let mut state = self.state.lock().unwrap();
        let orders = state.0.drain(..).collect();
        let reports = flusher::work(&self.disk, orders);
        state.1.extend(reports);
    }
}

impl Hands for Queue {
    fn send(&mut self, order: Order) {
        self.state.lock().unwrap().0.push_back(order);
    }

    fn report(&mut self) -> Option<Report> {
        self.state.lock().unwrap().1.pop_front()
    }

    fn finish(&mut self) -> Vec<Report> {
        self.work();
        self.state.lock().unwrap().1.drain(..).collect()
    }
}

struct Client {
    id: SessionId,
    in_flight: Vec<usize>,
}

struct Operation {
    /// The journal's offset behind it.
    end: u64,
    in_transaction: bool,
}

/// What was promised at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Promise {
    calls: u64,
    now_us: u64,
    acknowledged: usize,
    safe: usize,
}

struct World {
    disk: HostileDisk,
    queue: Queue,
    server: Server,
    keeper: Keeper,
    clients: Vec<Client>,
    operations: Vec<Operation>,
    promises: Vec<Promise>,
    random: Random,
}

fn config(policy: &str, directives: &[(&str, &str)]) -> Config {
    let mut config = Config::default();
    let always = [("appendonly", "yes"), ("appendfsync", policy), ("auto-aof-rewrite-min-size", "2000")];
    let pairs: Vec<_> =
        always.iter().chain(directives).map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    config.set(&pairs, true).expect("directives of the test");
    config
}

fn boot(disk: &HostileDisk, config: &Config) -> Result<(Server, Keeper, Queue), Fatal> {
    let clock = Clock { unix_us: START_US, monotonic_us: 1_000_000 };
    let mut server = Server::new(config.clone(), 1, clock);
    let queue = Queue { disk: disk.clone(), state: Arc::default() };
    let mut keeper = Keeper::start(&mut server, PathBuf::new(), Arc::new(disk.clone()), Box::new(queue.clone()))?;
    while keeper.load(&mut server, u64::MAX)? == Progress::Loading {}
    Ok((server, keeper, queue))
}

impl World {
    fn new(seed: u64, config: &Config) -> Self {
        let disk = HostileDisk::default();
        let (server, keeper, queue) = boot(&disk, config).expect("an empty disk");
        let random = Random::new(seed);
        let mut world = Self {
            disk,
            queue,
            server,
            keeper,
            clients: Vec::new(),
            operations: Vec::new(),
            promises: Vec::new(),
            random,
        };
        world.connect();
        world
    }

    fn connect(&mut self) {
        let connect = |_| Client { id: self.server.connect(Peer::default()), in_flight: Vec::new() };
        self.clients = (0..CLIENTS).map(connect).collect();
    }

    /// One turn: some clients say something, the thread gets on or does not, time passes.
    fn turn(&mut self) -> Result<(), Fatal> {
        for at in 0..CLIENTS {
            let (id, gate) = (self.clients[at].id, self.server.sessions.get(self.clients[at].id).gate);
            if self.server.durability.may_leave(gate) && self.random.index(3) == 0 {
                let command = self.command(at);
                self.server.consume(id, &command);
                self.note_operations();
            }
        }
        for request in std::mem::take(&mut self.server.outbox.requests) {
            self.keeper.obey(&mut self.server, &request);
        }
        self.keeper.end_turn(&mut self.server)?;
        self.let_replies_leave();
        if self.random.index(3) == 0 {
            self.queue.work();
        }
        if self.random.index(4) == 0 {
            let ms = 1 + self.random.below(100);
            self.pass_time(ms)?;
        }
        Ok(())
    }

    fn pass_time(&mut self, ms: u64) -> Result<(), Fatal> {
        self.queue.work();
        let clock = self.server.clock;
        let us = ms * 1000;
        self.server.set_clock(Clock { unix_us: clock.unix_us + us, monotonic_us: clock.monotonic_us + us });
        self.server.tick();
        self.keeper.tick(&mut self.server)
    }

    fn command(&mut self, client: usize) -> Vec<u8> {
        let next = self.operations.len();
        let request = |words: &[&str]| {
            let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
            words.iter().for_each(|word| bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes()));
            bytes
        };
        let number = next.to_string();
        let push = request(&["RPUSH", "log", &number]);
        match self.random.index(24) {
            0 => request(&["BGREWRITEAOF"]),
            1..4 => request(&["GET", "k0"]),
            4..10 => {
                self.clients[client].in_flight.push(next);
                self.operations.push(Operation { end: 0, in_transaction: true });
                let key = format!("k{}", next % KEYS);
                [request(&["MULTI"]), push, request(&["SET", &key, &number]), request(&["EXEC"])].concat()
            }
            _ => {
                self.clients[client].in_flight.push(next);
                self.operations.push(Operation { end: 0, in_transaction: false });
                push
            }
        }
    }

    /// A refused operation did not happen.
    fn note_operations(&mut self) {
        let end = self.server.journal.offset();
        let happened = list_len(&self.server);
        if happened < self.operations.len() {
            self.operations.truncate(happened);
            for client in &mut self.clients {
                client.in_flight.retain(|operation| *operation < happened);
            }
        }
        self.operations.iter_mut().filter(|operation| operation.end == 0).for_each(|operation| operation.end = end);
    }

    fn let_replies_leave(&mut self) {
        let before = self.promises.last().copied().unwrap_or_default();
        let synced = self.server.durability.synced;
        let mut promise = Promise {
            calls: self.disk.calls(),
            now_us: self.server.clock.monotonic_us,
            acknowledged: before.acknowledged,
            safe: self.operations.iter().take_while(|operation| operation.end <= synced).count(),
        };
        for client in &mut self.clients {
            let session = self.server.sessions.get_mut(client.id);
            if self.server.durability.may_leave(session.gate) {
                let refused = session.output.to_vec().windows(8).any(|part| part == b"-MISCONF");
                session.output.clear();
                let last = client.in_flight.drain(..).max().filter(|_| !refused);
                promise.acknowledged = promise.acknowledged.max(last.map_or(0, |last| last + 1));
            }
        }
        self.promises.push(promise);
    }

    /// What was promised before the disk's call number `calls` was made.
    fn promise_before(&self, calls: u64) -> Promise {
        self.promises.iter().rfind(|promise| promise.calls <= calls).copied().unwrap_or_default()
    }
}

fn list_len(server: &Server) -> usize {
    server.view_of(0).list(b"log").expect("a list").map_or(0, |list| list.len())
}

/// Loads what is on a disk, and says which prefix of the history it is. Panics where it is none.
fn load(disk: &HostileDisk, config: &Config, operations: &[Operation], what: &str) -> usize {
    let (server, ..) = boot(disk, config).unwrap_or_else(|Fatal(text)| panic!("{what}: does not load: {text}"));
    let view = server.view_of(0);
    let list = view.list(b"log").expect("a list");
    let log: Vec<_> = list.into_iter().flat_map(|list| list.iter().map(|item| item.as_int())).collect();
    let expected: Vec<_> = (0..log.len()).map(|number| Some(number as i64)).collect();
    assert_eq!(log, expected, "{what}: not a prefix of the history");
    assert!(log.len() <= operations.len(), "{what}: more than ever happened");
    for key in 0..KEYS {
        let mut writes = (0..log.len()).filter(|&at| operations[at].in_transaction && at % KEYS == key);
        let found = view.string(format!("k{key}").as_bytes()).expect("a string").map(|value| value.item().as_int());
        assert_eq!(found, writes.next_back().map(|at| Some(at as i64)), "{what}: k{key}, a transaction in part");
    }
    log.len()
}

/// Crashes at every call of a history, and what must be there after each.
fn crash_everywhere(seed: u64, policy: &str, directives: &[(&str, &str)], turns: usize) -> usize {
    let config = config(policy, directives);
    let mut world = World::new(seed, &config);
    world.disk.keep_moments();
    for _ in 0..turns {
        world.turn().expect("nothing fails");
    }
    let moments = world.disk.take_moments();
    let count = moments.len();
    for (calls, moment) in moments {
        let promise = world.promise_before(calls);
        let what = format!("seed {seed}, {policy}, call {calls}");
        let killed = load(&moment.copy(), &config, &world.operations, &what);
        assert!(killed >= promise.acknowledged, "{what}: {killed} of {} after a kill", promise.acknowledged);

        let after_cut = moment.copy();
        after_cut.lose_power(&mut world.random);
        let kept = load(&after_cut, &config, &world.operations, &format!("{what}, power"));
        assert!(kept >= promise.safe, "{what}: {kept} of {} after a power cut", promise.safe);
        match policy {
            "always" => assert!(kept >= promise.acknowledged, "{what}: {kept} of {promise:?} after a power cut"),
            "everysec" => {
                // A second, a tick, and the time that the thread may take here.
                let old = promise.now_us.saturating_sub(1_400_000);
                let floor = world.promises.iter().rfind(|promise| promise.now_us <= old);
                let floor = floor.map_or(0, |promise| promise.acknowledged);
                assert!(kept >= floor, "{what}: {kept} of {floor} after a power cut");
            }
            _ => {}
        }
        if calls % 8 == 0 {
            assert_eq!(load(&after_cut, &config, &world.operations, &what), kept, "{what}: started once more");
        }
    }
    count
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str, usual| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let first = number("RUNNEL_FUZZ_SEED", 0);
    first..first + number("RUNNEL_SIMULATION_SEEDS", 6)
}

#[test]
fn no_crash_loses_what_was_promised() {
    let mut histories = 0;
    for seed in seeds() {
        for policy in ["always", "everysec", "no"] {
            let preamble = if seed % 2 == 0 { "yes" } else { "no" };
            let directives = [("aof-use-rdb-preamble", preamble), ("aof-timestamp-enabled", preamble)];
            histories += 2 * crash_everywhere(seed, policy, &directives, 100);
        }
    }
    assert!(histories > 1000, "only {histories} histories");
}

/// Calls fail, the disk fills up and recovers, the process is killed and started again.
fn live_with_failures(seed: u64, policy: &str) {
    let config = config(policy, &[]);
    let mut world = World::new(seed, &config);
    for life in 0..6 {
        let what = format!("seed {seed}, {policy}, life {life}");
        let mut fatal = None;
        for _ in 0..80 {
            match world.random.index(20) {
                0 => {
                    let (calls, errno) = (world.random.below(6), [NO_SPACE, INPUT_OUTPUT][world.random.index(2)]);
                    world.disk.fail_after(calls, errno);
                }
                1 => {
                    let room = world.random.index(200);
                    world.disk.set_room(Some(room));
                }
                2 | 3 => world.disk.recover(),
                _ => {}
            }
            if let Err(error) = world.turn() {
                fatal = Some(error);
                break;
            }
        }
        assert!(fatal.is_none() || policy == "always", "{what}: only promises to wait can be broken: {fatal:?}");
        if fatal.is_none() && world.random.index(2) == 0 {
            world.disk.recover();
            for _ in 0..30 {
                world.pass_time(100).expect("the disk is well again");
            }
            assert_eq!(world.server.durability.refusal, None, "{what}: writing does not resume");
            world.keeper.end_turn(&mut world.server).expect("the disk is well again");
            world.let_replies_leave();
        }
        world.disk.recover();
        let promise = world.promises.last().copied().unwrap_or_default();
        let kept = load(&world.disk, &config, &world.operations, &what);
        assert!(kept >= promise.acknowledged, "{what}: {kept} of {promise:?} after a kill");

        let (server, keeper, queue) = boot(&world.disk, &config).expect("it was just loaded");
        (world.server, world.keeper, world.queue) = (server, keeper, queue);
        world.operations.truncate(kept);
        world.operations.iter_mut().for_each(|operation| operation.end = 0);
        world.promises.clear();
        world.connect();
        world.note_operations();
    }
}

#[test]
fn failures_are_survived() {
    for seed in seeds().start..seeds().start + 3 * (seeds().end - seeds().start) {
        for policy in ["always", "everysec", "no"] {
            live_with_failures(seed, policy);
        }
    }
}

/// Says what one client gets.
fn say(world: &mut World, words: &[&str]) -> String {
    let id = world.clients[0].id;
    let request = crate::resp::request::OwnedRequest::from_args(words.iter());
    let mut bytes = Vec::new();
    crate::resp::request::write_header(&mut bytes, words.len());
    request.borrow().iter().for_each(|word| crate::resp::request::write_bulk(&mut bytes, word));
    world.server.consume(id, &bytes);
    for request in std::mem::take(&mut world.server.outbox.requests) {
        world.keeper.obey(&mut world.server, &request);
    }
    world.keeper.end_turn(&mut world.server).expect("nothing fatal");
    let session = world.server.sessions.get_mut(id);
    if !world.server.durability.may_leave(session.gate) {
        return "(waits)".into();
    }
    let text = String::from_utf8_lossy(&session.output.to_vec()).trim_end().to_owned();
    session.output.clear();
    text
}

#[test]
fn a_full_disk_refuses_writes_and_says_why_until_there_is_room() {
    let mut world = World::new(1, &config("everysec", &[]));
    assert_eq!(say(&mut world, &["SET", "a", "1"]), "+OK");
    world.disk.set_room(Some(3));
    let refusal = "-MISCONF Errors writing to the AOF file: No space left on device \
                   (write appendonlydir/appendonly.aof.1.incr.aof, errno 28)";
    // What is not in the file is not acknowledged, nor is anybody left waiting.
    for words in [&["SET", "b", "1"][..], &["SET", "c", "1"], &["PING"], &["DEL", "a"]] {
        assert_eq!(say(&mut world, words), refusal);
    }
    assert_eq!(say(&mut world, &["GET", "a"]), "$1\r\n1");
    world.disk.recover();
    world.pass_time(1100).expect("the disk is well again");
    assert_eq!(say(&mut world, &["SET", "c", "1"]), "+OK");
    let (again, ..) = boot(&world.disk, &world.server.config).expect("it loads");
    assert!(["a", "b", "c"].iter().all(|key| again.keyspace.contains(0, key.as_bytes())));
    again.keyspace.check();
}

/// In the turn in which the disk turns out to be full every writer is told, and nobody else.
#[test]
fn only_what_was_not_written_is_answered_with_an_error() {
    let mut world = World::new(1, &config("everysec", &[]));
    let long = "x".repeat(20_000);
    assert_eq!(say(&mut world, &["SET", "long", &long]), "+OK");
    let waiter = world.server.connect(Peer::default());
    world.server.consume(waiter, b"BLPOP queue 0\r\n");
    let other = world.server.connect(Peer::default());
    world.disk.set_room(Some(0));
    world.server.consume(other, b"GET lapsed\r\nGET long\r\n");
    let writer = world.clients[0].id;
    world.server.consume(
        writer,
        b"GET a\r\nSET a 1\r\nGET long\r\nMULTI\r\nINCR a\r\nGET long\r\nEXEC\r\nGET a\r\nRPUSH queue 1 2\r\nPING\r\nCLIENT REPLY SKIP\r\nSET a 5\r\n",
    );
    world.keeper.end_turn(&mut world.server).expect("nothing fatal");
    let mut heard = |id| {
        let session = world.server.sessions.get_mut(id);
        assert!(world.server.durability.may_leave(session.gate), "nobody is left waiting");
        let text = String::from_utf8(session.output.to_vec()).expect("text");
        text.replace(&long, "LONG")
            .split("\r\n")
            .map(|line| line.chars().take(8).collect::<String>())
            .collect::<Vec<_>>()
    };
    assert_eq!(heard(other), ["$-1", "$20000", "LONG", ""]);
    assert_eq!(heard(waiter), ["-MISCONF", ""]);
    let replies = "$-1 -MISCONF $20000 LONG +OK +QUEUED +QUEUED -MISCONF $1 2 -MISCONF +PONG ";
    assert_eq!(heard(writer).join(" "), replies);
    world.disk.recover();
    world.pass_time(1100).expect("the disk is well again");
    let (again, ..) = boot(&world.disk, &world.server.config).expect("it loads");
    assert_eq!(again.view_of(0).string(b"a").expect("a string").map(|value| value.item().as_int()), Some(Some(5)));
}

/// Whatever call fails, and however: it is said which, where and why, and all is well again once the disk is.
#[test]
fn failing_calls_are_told_and_survived() {
    let path = "appendonlydir/appendonly.aof.1.incr.aof";
    for (errno, reason) in [
        (INPUT_OUTPUT, "Input/output error"),
        (READ_ONLY, "Read-only file system"),
        (NO_SPACE, "No space left on device"),
    ] {
        for call in ["write", "fsync"] {
            let mut world = World::new(1, &config("everysec", &[]));
            world.disk.fail_all(call, errno);
            let first = say(&mut world, &["SET", "a", "1"]);
            world.pass_time(1100).expect("nothing fatal");
            world.pass_time(100).expect("nothing fatal");
            let in_full = format!("{reason} ({call} {path}, errno {errno})");
            let refusal = format!("-MISCONF Errors writing to the AOF file: {in_full}");
            assert_eq!(first, if call == "write" { refusal.as_str() } else { "+OK" });
            assert_eq!(say(&mut world, &["SET", "b", "1"]), refusal);
            let told = say(&mut world, &["INFO", "persistence"]);
            assert!(told.contains("aof_last_write_status:err\r\n"), "{told}");
            assert!(told.contains(&format!("aof_last_write_error:{in_full}\r\n")), "{told}");

            world.disk.recover();
            for _ in 0..30 {
                world.pass_time(100).expect("the disk is well again");
            }
            assert_eq!(say(&mut world, &["SET", "b", "1"]), "+OK", "{call} {errno}");
            let told = say(&mut world, &["INFO", "persistence"]);
            assert!(told.contains("aof_last_write_status:ok\r\n") && !told.contains("aof_last_write_error"), "{told}");
            let (again, ..) = boot(&world.disk, &world.server.config).expect("it loads");
            assert!([&b"a"[..], b"b"].iter().all(|key| again.keyspace.contains(0, key)));
        }
        for call in ["create", "rename", "write", "fsync"] {
            let mut world = World::new(1, &config("no", &[]));
            assert_eq!(say(&mut world, &["SET", "a", "1"]), "+OK");
            world.disk.fail_all(call, errno);
            say(&mut world, &["BGREWRITEAOF"]);
            let told = say(&mut world, &["INFO", "persistence"]);
            assert!(told.contains("aof_last_bgrewrite_status:err\r\n"), "{call}: {told}");
            let line = told.lines().find(|line| line.starts_with("aof_last_bgrewrite_error:")).unwrap_or_default();
            assert!(line.contains(reason) && line.contains(&format!("errno {errno}")), "{call}: {line}");
            world.disk.recover();
            assert_eq!(say(&mut world, &["SET", "b", "1"]), "+OK", "{call}");
            say(&mut world, &["BGREWRITEAOF"]);
            assert!(say(&mut world, &["INFO", "persistence"]).contains("aof_last_bgrewrite_status:ok\r\n"));
            let (again, ..) = boot(&world.disk, &world.server.config).expect("it loads");
            assert!([&b"a"[..], b"b"].iter().all(|key| again.keyspace.contains(0, key)));
        }
    }
}

/// Somebody removes the log under a running server.
#[test]
fn a_log_that_has_vanished_is_written_anew() {
    let mut world = World::new(1, &config("everysec", &[]));
    assert_eq!(say(&mut world, &["SET", "a", "1"]), "+OK");
    for path in world.disk.paths() {
        world.disk.remove(&path).expect("it is there");
    }
    world.disk.fail_all("create", INPUT_OUTPUT);
    world.pass_time(1100).expect("nothing fatal");
    let refusal = say(&mut world, &["SET", "b", "1"]);
    assert!(
        refusal.contains("No such file or directory") && refusal.contains("appendonly.aof.1.incr.aof, errno 2"),
        "{refusal}"
    );
    world.disk.recover();
    for _ in 0..30 {
        world.pass_time(100).expect("the disk is well again");
    }
    assert_eq!(say(&mut world, &["SET", "b", "1"]), "+OK");
    let (again, ..) = boot(&world.disk, &world.server.config).expect("it loads");
    assert!([&b"a"[..], b"b"].iter().all(|key| again.keyspace.contains(0, key)));
}

/// What is for replicas alone has an offset, too, which nobody must wait for.
#[test]
fn messages_wait_for_nothing() {
    for policy in ["always", "everysec"] {
        let mut world = World::new(1, &config(policy, &[]));
        world.server.journal.open_for_replicas();
        say(&mut world, &["SET", "a", "1"]);
        world.queue.work();
        world.pass_time(1).expect("nothing fails");
        assert!(say(&mut world, &["PUBLISH", "channel", "text"]).ends_with(":0"), "{policy}");
        say(&mut world, &["SET", "a", "1"]);
        say(&mut world, &["PUBLISH", "channel", "text"]);
        world.queue.work();
        world.keeper.end_turn(&mut world.server).expect("nothing fatal");
        assert!(world.server.durability.may_leave(world.server.journal.offset()), "{policy}");
    }
}

#[test]
fn under_always_a_reader_waits_only_for_what_it_may_have_seen() {
    let mut world = World::new(1, &config("always", &[]));
    assert_eq!(say(&mut world, &["SET", "a", "1"]), "(waits)");
    world.clients[0].id = world.server.connect(Peer::default());
    for words in [&["GET", "other"][..], &["PING"], &["LLEN", "l"]] {
        assert_ne!(say(&mut world, words), "(waits)", "{words:?}");
    }
    for words in [&["GET", "a"][..], &["STRLEN", "a"], &["KEYS", "*"], &["DBSIZE"], &["MGET", "other", "a"]] {
        world.clients[0].id = world.server.connect(Peer::default());
        assert_eq!(say(&mut world, words), "(waits)", "{words:?}");
    }
    world.queue.work();
    world.clients[0].id = world.server.connect(Peer::default());
    assert_eq!(say(&mut world, &["GET", "a"]), "$1\r\n1");
}

#[test]
fn a_log_of_one_file_becomes_the_base_of_a_new_one() {
    let requests = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";
    let config = config("everysec", &[]);
    let fresh = || {
        let disk = HostileDisk::default();
        disk.put("appendonly.aof".as_ref(), requests);
        disk
    };
    let disk = fresh();
    disk.keep_moments();
    let (server, ..) = boot(&disk, &config).expect("an old log");
    assert!(server.keyspace.contains(0, b"a"));
    assert!(disk.contents("appendonlydir/appendonly.aof".as_ref()).is_some());
    for (calls, moment) in disk.take_moments() {
        moment.lose_power(&mut Random::new(calls));
        let (server, ..) = boot(&moment, &config).expect("an upgrade that was cut off");
        assert!(server.keyspace.contains(0, b"a"), "after call {calls}");
    }
}

#[test]
fn turning_the_log_on_and_off() {
    let mut world = World::new(1, &config("everysec", &[]));
    assert_eq!(say(&mut world, &["SET", "a", "1"]), "+OK");
    assert_eq!(say(&mut world, &["CONFIG", "SET", "appendonly", "no"]), "+OK");
    assert_eq!(say(&mut world, &["SET", "b", "1"]), "+OK");
    assert_eq!(say(&mut world, &["CONFIG", "SET", "appendonly", "yes"]), "+OK");
    assert_eq!(say(&mut world, &["SET", "c", "1"]), "+OK");
    assert_eq!(say(&mut world, &["DEBUG", "LOADAOF"]).split(' ').next(), Some("-ERR"), "DEBUG is not allowed");
    let (server, ..) = boot(&world.disk, &world.server.config).expect("it loads");
    assert!([&b"a"[..], b"b", b"c"].iter().all(|key| server.keyspace.contains(0, key)));
}

#[test]
fn what_is_broken_is_refused_with_its_place() {
    let good = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n".as_slice();
    let folder = |base: &[u8], last: &[u8]| {
        let disk = HostileDisk::default();
        disk.make_folder("appendonlydir".as_ref()).expect("a folder");
        let manifest = "file a.base.aof seq 1 type b\nfile b.incr.aof seq 1 type i\n";
        disk.put("appendonlydir/appendonly.aof.manifest".as_ref(), manifest.as_bytes());
        disk.put("appendonlydir/a.base.aof".as_ref(), base);
        disk.put("appendonlydir/b.incr.aof".as_ref(), last);
        disk
    };
    let everysec = config("everysec", &[]);
    let strict = config("everysec", &[("aof-load-truncated", "no")]);
    let torn = [good, b"*2\r\n$3\r\nGE"].concat();
    let half = [good, b"*1\r\n$5\r\nMULTI\r\n", good].concat();
    for cut in [&torn, &half] {
        let disk = folder(good, cut);
        let (server, ..) = boot(&disk, &everysec).expect("a torn end is cut");
        assert!(server.keyspace.contains(0, b"a"));
        assert_eq!(disk.contents("appendonlydir/b.incr.aof".as_ref()).as_deref(), Some(good));
    }
    let corrupt = [good, b"x", good].concat();
    let unknown = [good, b"*1\r\n$3\r\nXYZ\r\n", good].concat();
    for (disk, config, texts) in [
        (folder(good, &torn), &strict, ["Unexpected end of file", "b.incr.aof, whole up to offset 27"]),
        (folder(&torn, good), &everysec, ["Unexpected end of file", "not the last one, whole up to offset 27"]),
        (folder(good, &corrupt), &everysec, ["Bad file format", "at offset 27"]),
        (folder(good, &unknown), &everysec, ["Unknown command 'XYZ'", "before offset 40"]),
        (folder(b"REDIS0011\xff", good), &everysec, ["Error reading the RDB preamble", "a.base.aof"]),
    ] {
        let Err(Fatal(text)) = boot(&disk, config) else { panic!("{texts:?} was loaded") };
        assert!(texts.iter().all(|part| text.contains(part)), "{text}");
    }
    let disk = folder(good, good);
    disk.remove("appendonlydir/a.base.aof".as_ref()).expect("it was there");
    assert!(matches!(boot(&disk, &everysec), Err(Fatal(text)) if text.contains("a.base.aof")));
}

/// Every type and what hangs on it, through both forms of a base.
#[test]
fn a_rewritten_log_rebuilds_the_data_set() {
    for preamble in ["yes", "no"] {
        let config = config("everysec", &[("aof-use-rdb-preamble", preamble)]);
        let mut world = World::new(1, &config);
        for line in [
            "SET s text",
            "SET n 12345",
            "SET t soon PX 100000",
            "RPUSH l a b 3",
            "SADD s1 1 2 3",
            "SADD s2 a b",
            "ZADD z 1.5 a inf b",
            "HSET h f v g w",
            "HPEXPIRE h 100000 FIELDS 1 f",
            "XADD x 1-1 a b",
            "XADD x 2-1 a b c d",
            "XDEL x 1-1",
            "XGROUP CREATE x g 0",
            "XREADGROUP GROUP g me STREAMS x >",
            "XADD e 5-5 a b",
            "XTRIM e MAXLEN 0",
            "SELECT 3",
            "SET other 1",
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            let reply = say(&mut world, &words);
            assert!(!reply.starts_with('-'), "{line}: {reply}");
        }
        assert_eq!(say(&mut world, &["BGREWRITEAOF"]), "+Background append only file rewriting started");
        let (again, ..) = boot(&world.disk, &config).expect("it loads");
        let digest = |server: Server| crate::testing::digest(&mut Playground::of(server));
        let name =
            world.disk.paths().iter().map(|path| path.display().to_string()).find(|name| name.contains("2.base"));
        assert_eq!(
            name.as_deref().and_then(|name| name.rsplit('.').next()),
            Some(if preamble == "yes" { "rdb" } else { "aof" })
        );
        let now = world.server.clock;
        let mut before = Playground::of(world.server);
        before.server.clock = now;
        assert_eq!(digest(again), crate::testing::digest(&mut before), "preamble {preamble}");
    }
}
