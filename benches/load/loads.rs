//! The table of loads: what is put into a server beforehand, who connects, and which requests they send. It is data;
//! `template.rs` explains the placeholders, `client.rs` runs the parties. Start with `catalogue`.

use sha1::{Digest, Sha1};

/// A way to drive a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    pub name: String,
    pub about: String,
    /// What the server holds when the load starts.
    pub data: Vec<Fill>,
    pub parties: Vec<Party>,
    pub keys: u64,
    pub value_bytes: usize,
    /// The load uses its data up or piles new data on it: every round starts from fresh data and makes this many
    /// requests, so that a faster server does not work on a larger collection.
    pub requests_max: Option<u64>,
    pub persistence: Persistence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Persistence {
    Off,
    EverySecond,
    Always,
}

/// A step of preparation: `items` requests' worth of `item`, `per_request` of them behind each `head`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fill {
    pub head: String,
    pub item: String,
    pub items: u64,
    pub per_request: u64,
}

/// Connections that behave alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Party {
    pub connections: usize,
    pub pipeline: usize,
    pub role: Role,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    /// Sends the lines in turn, a pipeline at a time, and waits for its replies. Every reply counts.
    Cycle(Vec<String>),
    /// Publishes to the channels in turn, with the time of sending in front of the payload, and holds back while more
    /// than `outstanding_max` deliveries are on their way.
    Publisher { channels: usize, subscribers_each: usize, outstanding_max: u64 },
    /// Connection i subscribes to channel i modulo `channels`. Every message counts.
    Subscriber { channels: usize },
    /// Appends to the stream, with the time of sending as value, and holds back as a publisher does.
    Producer { outstanding_max: u64 },
    /// Reads `count` entries in its group, acknowledges them, and so on. Every acknowledged entry counts.
    Consumer { count: usize, block: bool },
}

impl Load {
    /// The one line that every connection sends, where the load is as simple as that.
    pub fn only_line(&self) -> Option<(&Party, &str)> {
        match self.parties.as_slice() {
            [party] => match &party.role {
                Role::Cycle(lines) if lines.len() == 1 => Some((party, &lines[0])),
                _ => None,
            },
            _ => None,
        }
    }

    /// Another number of keys, in the data as in the requests.
    pub fn set_keys(&mut self, keys: u64) {
        let whole = self.keys;
        self.data.iter_mut().filter(|fill| fill.items == whole).for_each(|fill| fill.items = keys);
        self.keys = keys;
    }

    /// Whether `other` may run on what this load leaves behind.
    pub fn leaves_data_for(&self, other: &Load) -> bool {
        let is_kept = self.requests_max.is_none() && other.requests_max.is_none();
        is_kept && self.data == other.data && self.keys == other.keys && self.value_bytes == other.value_bytes
    }

    fn data(mut self, data: &[Fill]) -> Load {
        self.data = data.to_vec();
        self
    }

    fn keys(mut self, keys: u64) -> Load {
        self.keys = keys;
        self
    }

    fn value(mut self, bytes: usize) -> Load {
        self.value_bytes = bytes;
        self
    }

    fn spends(mut self, requests_max: u64) -> Load {
        self.requests_max = Some(requests_max);
        self
    }

    fn persistence(mut self, persistence: Persistence) -> Load {
        self.persistence = persistence;
        self
    }

    fn about(mut self, about: &str) -> Load {
        self.about = about.into();
        self
    }
}

const MILLION: u64 = 1_000_000;

/// All loads, those that share their data side by side.
pub fn catalogue() -> Vec<Load> {
    let mut loads = Vec::new();
    strings(&mut loads);
    lists(&mut loads);
    hashes(&mut loads);
    sets(&mut loads);
    sorted_sets(&mut loads);
    bits_and_places(&mut loads);
    streams(&mut loads);
    scripts(&mut loads);
    conversations(&mut loads);
    append_only(&mut loads);
    loads
}

/// A step of preparation.
pub fn fill(head: &str, item: &str, items: u64, per_request: u64) -> Fill {
    Fill { head: head.into(), item: item.into(), items, per_request }
}

fn once(line: &str) -> Fill {
    fill(line, "", 1, 1)
}

/// A load of several parties, to be named in full.
fn parties(name: &str, parties: Vec<Party>) -> Load {
    Load {
        name: name.into(),
        about: String::new(),
        data: Vec::new(),
        parties,
        keys: MILLION,
        value_bytes: 3,
        requests_max: None,
        persistence: Persistence::Off,
    }
}

fn party(connections: usize, pipeline: usize, role: Role) -> Party {
    Party { connections, pipeline, role }
}

fn cycle(lines: &[&str]) -> Role {
    Role::Cycle(lines.iter().map(|line| line.to_string()).collect())
}

/// `NAME-pP-cC`: C connections that send one line in pipelines of P.
fn simple(name: &str, line: &str, pipeline: usize, connections: usize) -> Load {
    let all = vec![party(connections, pipeline, cycle(&[line]))];
    parties(&format!("{name}-p{pipeline}-c{connections}"), all).about(line)
}

/// The load at the depths that most rows of the targets ask for.
fn at_depths<'a>(name: &'a str, line: &'a str, depths: &'a [usize]) -> impl Iterator<Item = Load> + 'a {
    depths.iter().map(move |&pipeline| simple(name, line, pipeline, 50))
}

fn size_name(bytes: usize) -> String {
    if bytes >= 1024 { format!("{}k", bytes / 1024) } else { format!("{bytes}b") }
}

fn strings(loads: &mut Vec<Load>) {
    for (pipeline, connections) in [(1, 1), (1, 50), (1, 500), (16, 50), (64, 50)] {
        loads.push(simple("ping", "PING", pipeline, connections));
    }
    for bytes in [3, 100, 1024, 16 * 1024] {
        // 16 KiB values of a million keys would be 16 GB for each server.
        let keys = if bytes > 1024 { 10_000 } else { MILLION };
        let data = [fill("SET", "key:{n} {v}", keys, 1)];
        for (pipeline, connections) in [(1, 1), (1, 50), (1, 500), (16, 50), (64, 50)] {
            for (command, line) in [("set", "SET key:{r} {v}"), ("get", "GET key:{r}")] {
                let name = format!("{command}-{}", size_name(bytes));
                loads.push(simple(&name, line, pipeline, connections).data(&data).keys(keys).value(bytes));
            }
        }
    }
    let counters = [fill("SET", "key:{n} 1{n}", MILLION, 1)];
    for (pipeline, connections) in [(1, 1), (1, 50), (1, 500), (16, 50), (64, 50)] {
        loads.push(simple("incr", "INCR key:{r}", pipeline, connections).data(&counters));
    }
    let data = [fill("SET", "key:{n} {v}", MILLION, 1)];
    let ten = |head: &str, item: &str| format!("{head}{}", format!(" {item}").repeat(10));
    for pipeline in [1, 16] {
        loads.push(simple("mset-10", &ten("MSET", "key:{r} {v}"), pipeline, 50).data(&data));
        loads.push(simple("mget-10", &ten("MGET", "key:{r}"), pipeline, 50).data(&data));
        loads.push(simple("set-ex", "SET key:{r} {v} EX 100000", pipeline, 50).data(&data));
        loads.push(simple("expire", "EXPIRE key:{r} 100000", pipeline, 50).data(&data));
    }
}

fn lists(loads: &mut Vec<Load>) {
    for (pipeline, connections, requests) in
        [(1, 1, 60_000), (1, 50, 300_000), (1, 500, 300_000), (16, 50, 3 * MILLION), (64, 50, 3 * MILLION)]
    {
        let full = [fill("RPUSH list", "{v}", requests, 100)];
        loads.push(simple("lpush", "LPUSH list {v}", pipeline, connections).spends(requests));
        loads.push(simple("lpop", "LPOP list", pipeline, connections).data(&full).spends(requests));
    }
    let thousand = [fill("RPUSH list", "{v}", 1000, 100)];
    loads.extend(at_depths("lrange-100", "LRANGE list 0 99", &[1, 16]).map(|load| load.data(&thousand)));
}

fn hashes(loads: &mut Vec<Load>) {
    let large = [fill("HSET hash", "element:{n} {v}", MILLION, 100)];
    loads.extend(at_depths("hset", "HSET hash element:{r} {v}", &[1]).map(|load| load.spends(250_000)));
    loads.extend(at_depths("hset", "HSET hash element:{r} {v}", &[16]).map(|load| load.spends(MILLION)));
    loads.extend(at_depths("hget", "HGET hash element:{r}", &[1, 16]).map(|load| load.data(&large)));

    let fields: String = (0..50).map(|field| format!(" field:{field:02} {{v}}")).collect();
    let small = [fill("HSET", &format!("hash:{{n}}{fields}"), 10_000, 1)];
    let read = "HGETALL hash:{r:10000}";
    loads.extend(at_depths("hgetall-50", read, &[1, 16]).map(|load| load.data(&small)));
}

fn sets(loads: &mut Vec<Load>) {
    let large = [fill("SADD set", "element:{n}", MILLION, 100)];
    for (pipeline, requests) in [(1, 250_000), (16, MILLION)] {
        loads.push(simple("sadd", "SADD set element:{r}", pipeline, 50).spends(requests));
        loads.push(simple("spop", "SPOP set", pipeline, 50).data(&large).spends(requests * 9 / 10));
    }
    loads.extend(at_depths("sismember", "SISMEMBER set element:{r}", &[1, 16]).map(|load| load.data(&large)));

    let members: String = (0..100).map(|member| format!(" element:{member:012}")).collect();
    let small = [fill("SADD", &format!("set:{{n}}{members}"), 10_000, 1)];
    loads.extend(at_depths("smembers-100", "SMEMBERS set:{r:10000}", &[1, 16]).map(|load| load.data(&small)));

    let pair = [fill("SADD a", "element:{n}", 100_000, 100), fill("SADD b", "element:{n+50000}", 100_000, 100)];
    loads.push(simple("sinterstore-100k", "SINTERSTORE out a b", 1, 1).data(&pair));
}

/// Numbers in requests have leading zeros, which a bit's offset must not: it is fixed, and the keys differ.
fn bits_and_places(loads: &mut Vec<Load>) {
    let bits = [fill("SETBIT", "bits:{n} 8191 1", 10_000, 1)];
    loads.extend(at_depths("getbit", "GETBIT bits:{r:10000} 4321", &[16]).map(|load| load.data(&bits)));
    loads.extend(at_depths("setbit", "SETBIT bits:{r:10000} 4321 1", &[16]).map(|load| load.data(&bits)));
    let megabyte = [fill("SETBIT", "large 8388607 1", 1, 1)];
    loads.extend(at_depths("bitcount-1m", "BITCOUNT large", &[16]).map(|load| load.data(&megabyte)));
    loads.extend(at_depths("pfadd", "PFADD hll:{r:1000} element:{r}", &[16]));
    // A degree has a thousand places on every parallel: some twenty lie within the circle.
    let places = [fill("GEOADD places", "{p}e-3 {r:80} place:{n}", 100_000, 100)];
    let search = "GEOSEARCH places FROMMEMBER place:{r:100000} BYRADIUS 100 km ASC";
    loads.extend(at_depths("geosearch", search, &[16]).map(|load| load.data(&places).keys(100_000)));
}

fn sorted_sets(loads: &mut Vec<Load>) {
    let large = [fill("ZADD zset", "{p} element:{n}", MILLION, 100)];
    for (pipeline, requests) in [(1, 200_000), (16, 500_000)] {
        loads.push(simple("zadd", "ZADD zset {r} element:{r}", pipeline, 50).spends(requests));
        loads.push(simple("zpopmin", "ZPOPMIN zset", pipeline, 50).data(&large).spends(requests));
    }
    for (name, line) in [
        ("zscore", "ZSCORE zset element:{r}"),
        ("zrevrank", "ZREVRANK zset element:{r}"),
        ("zrange-100", "ZRANGE zset 0 99"),
        ("zrangebyscore-100", "ZRANGEBYSCORE zset {r} +inf LIMIT 0 100"),
    ] {
        loads.extend(at_depths(name, line, &[1, 16]).map(|load| load.data(&large)));
    }
    for pipeline in [1, 16] {
        let queue = cycle(&["ZADD zset {r} element:{r}", "ZPOPMIN zset"]);
        let load = parties(&format!("zqueue-p{pipeline}-c50"), vec![party(50, pipeline, queue)]);
        loads.push(load.data(&large).about("ZADD at random, ZPOPMIN, in turn: a priority queue of a million"));
    }
    let pair = [fill("ZADD a", "{p} element:{n}", 100_000, 100), fill("ZADD b", "{p} element:{n+50000}", 100_000, 100)];
    loads.push(simple("zunionstore-100k", "ZUNIONSTORE out 2 a b", 1, 1).data(&pair));
}

/// Five commands, as a rate limiter that keeps statistics would run them. A line is cut at its blanks, so the script has none.
const SCRIPT: &str = "redis.call('incr',KEYS[1])redis.call('expire',KEYS[1],600)redis.call('hincrby',KEYS[2],'hits',1)\
                      redis.call('hset',KEYS[2],'last',ARGV[1])return(redis.call('get',KEYS[1]))";

fn scripts(loads: &mut Vec<Load>) {
    let data = [once(&format!("SCRIPT LOAD {SCRIPT}")), fill("SET", "key:{n} 1{n}", 100_000, 1)];
    let sha: String = Sha1::digest(SCRIPT).iter().map(|byte| format!("{byte:02x}")).collect();
    let line = format!("EVALSHA {sha} 2 key:{{r:100000}} hash:{{r:10000}} {{v}}");
    for load in at_depths("evalsha-5", &line, &[1, 16]) {
        loads.push(load.data(&data).keys(100_000).about("EVALSHA of INCR, EXPIRE, HINCRBY, HSET and GET"));
    }
}

fn streams(loads: &mut Vec<Load>) {
    for (pipeline, requests) in [(1, 250_000), (16, MILLION)] {
        loads.push(simple("xadd", "XADD stream * field {v}", pipeline, 50).spends(requests));
        loads.push(simple("xadd-maxlen", "XADD stream MAXLEN ~ 100000 * field {v}", pipeline, 50));
    }
    // Ids of thirteen digits: a parser may refuse leading zeros.
    let entries = |count| fill("XADD stream", "1{n}-1 field {v}", count, 1);
    let log = [entries(MILLION)];
    for (name, line) in [
        ("xrange-100", "XRANGE stream 1{r} + COUNT 100"),
        ("xrevrange-100", "XREVRANGE stream 1{r} - COUNT 100"),
        ("xread-100", "XREAD COUNT 100 STREAMS stream 1{r}-0"),
    ] {
        loads.extend(at_depths(name, line, &[1, 16]).map(|load| load.data(&log)));
    }

    let group = once("XGROUP CREATE stream group 0");
    let pending = |count: u64| fill("XREADGROUP GROUP group idler COUNT 1000 STREAMS stream >", "", count / 1000, 1);
    let backlog = [entries(1_100_000), group.clone(), pending(100_000)];
    for pipeline in [1, 16] {
        let consumer = Role::Consumer { count: 10, block: false };
        let load = parties(&format!("xreadgroup-10-xack-p{pipeline}-c50"), vec![party(50, pipeline, consumer)]);
        let about = "XREADGROUP COUNT 10, XACK of the ten, in turn, with 100,000 others pending; counted per entry";
        loads.push(load.data(&backlog).spends(900_000).about(about));
    }
    let claimable = [entries(200_000), group.clone(), pending(200_000)];
    // A search for old entries where there are none may walk all of them: one connection asks.
    for (name, line, connections) in [
        ("xautoclaim-100", "XAUTOCLAIM stream group claimer 0 1{r:199000}-0 COUNT 100", 50),
        ("xautoclaim-none", "XAUTOCLAIM stream group claimer 3600000 0-0 COUNT 100", 1),
        ("xpending-100", "XPENDING stream group 1{r:199000} + 100", 50),
        ("xpending-idle", "XPENDING stream group IDLE 3600000 - + 100", 1),
    ] {
        loads.push(simple(name, line, 1, connections).data(&claimable));
    }
    let holed = [entries(5 * MILLION), group, fill("XDEL stream", "1{n+2000000}-1", 100_000, 100)];
    let about = "XINFO GROUPS with a lag, of five million entries of which a hundred thousand were deleted";
    loads.push(simple("xinfo-groups-5m", "XINFO GROUPS stream", 1, 50).data(&holed).about(about));
    let end_to_end = vec![
        party(1, 16, Role::Producer { outstanding_max: 4000 }),
        party(4, 1, Role::Consumer { count: 100, block: true }),
    ];
    let about = "one producer (pipelines of 16), one group, four consumers that block, read 100, acknowledge; \
                 counted per message, latency from XADD sent to entry read";
    loads.push(
        parties("stream-end-to-end", end_to_end).data(&[once("XGROUP CREATE stream group 0 MKSTREAM")]).about(about),
    );
}

/// Loads in which clients talk to each other through the server.
fn conversations(loads: &mut Vec<Load>) {
    let about = "PUBLISH of 100 bytes; counted per delivered message, latency from sent to delivered";
    for (subscribers, publishers, pipeline) in [(1, 50, 1), (1, 50, 16), (100, 4, 1), (1000, 2, 1)] {
        // To one subscriber each of fifty channels, to many of a single one.
        let channels = if subscribers == 1 { 50 } else { 1 };
        let outstanding_max = 2 * (subscribers * publishers * pipeline) as u64;
        let publisher = Role::Publisher { channels, subscribers_each: subscribers, outstanding_max };
        let all = vec![
            party(channels * subscribers, 1, Role::Subscriber { channels }),
            party(publishers, pipeline, publisher),
        ];
        loads.push(parties(&format!("publish-{subscribers}-p{pipeline}"), all).value(100).about(about));
    }
    for pairs in [1, 50] {
        let ping = cycle(&["LPUSH there:{c} {v}", "BLPOP back:{c} 0"]);
        let pong = cycle(&["BLPOP there:{c} 0", "LPUSH back:{c} {v}"]);
        let all = vec![party(pairs, 1, ping), party(pairs, 1, pong)];
        let about = "pairs of clients that wake each other by LPUSH and BLPOP";
        loads.push(parties(&format!("blpop-pingpong-{pairs}"), all).about(about));
    }
    let ping = cycle(&["XADD there * field {v}", "XREADGROUP GROUP group a BLOCK 0 NOACK STREAMS back >"]);
    let pong = cycle(&["XREADGROUP GROUP group b BLOCK 0 NOACK STREAMS there >", "XADD back * field {v}"]);
    let groups = ["there", "back"].map(|stream| once(&format!("XGROUP CREATE {stream} group $ MKSTREAM")));
    loads.push(
        parties("xreadgroup-pingpong-1", vec![party(1, 1, ping), party(1, 1, pong)])
            .data(&groups)
            .spends(200_000)
            .about("two clients that wake each other by XADD and a blocked XREADGROUP"),
    );
    let queue = ["LPUSH queue:{c} {v}", "ZADD delayed {r} job:{r}", "HSET job:{r} state ready", "BRPOP queue:{c} 0"];
    for pipeline in [1, 16] {
        let all = vec![party(50, pipeline, cycle(&queue))];
        let load = parties(&format!("mixed-queue-p{pipeline}-c50"), all).value(100).spends(400_000);
        loads.push(load.about("LPUSH, ZADD, HSET, BRPOP in turn, as a job queue does"));
    }
}

fn append_only(loads: &mut Vec<Load>) {
    let data = [fill("SET", "key:{n} {v}", MILLION, 1)];
    for (persistence, name) in
        [(Persistence::EverySecond, "set-100b-everysec"), (Persistence::Always, "set-100b-always")]
    {
        for pipeline in [1, 16] {
            let load = simple(name, "SET key:{r} {v}", pipeline, 50).data(&data).value(100);
            loads.push(load.persistence(persistence));
        }
    }
}

/// Whether the name fits one of the patterns, separated by commas, in which `*` stands for any text.
pub fn is_chosen(name: &str, patterns: &str) -> bool {
    patterns.split(',').any(|pattern| fits(name, pattern.trim()))
}

fn fits(name: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => name == pattern,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|tail| {
            (0..=tail.len()).filter(|&at| tail.is_char_boundary(at)).any(|at| fits(&tail[at..], rest))
        }),
    }
}
