//! Dialogues with a server in process: the tests that stand beside the handlers.
//!
//! ```text
//!   > SET a 1            a command of client "", in redis-cli's quoting
//!   OK                   its reply, as redis-cli prints it
//!   b> BLPOP l 0         another client; no reply yet
//!   > LPUSH l x
//!   (integer) 1
//!   b<                   what client b has received since
//!   1) "l"
//!   2) "x"
//!   ~ 1500               the clock moves on by 1,500 ms, and upkeep runs
//!   # a comment
//! ```
//!
//! Nothing here opens a socket or reads a clock, so a dialogue gives the same replies every time. After each command the keyspace's own
//! invariants are checked.

pub mod logs;
pub mod snapshots;

use std::collections::BTreeMap;

use crate::cmd::table::{self, Entry};
use crate::config::Config;
use crate::resp::request::{Limits, OwnedRequest, Parsed, Parser, Request};
use crate::server::session::Peer;
use crate::server::{Clock, Server, SessionId};
use crate::types::stream::{Stream, StreamBox, StreamId};
use crate::types::value::Kind;
use crate::util::args::split_args;

/// Where every dialogue's clock starts: 2026-01-01 00:00:00 UTC.
const START_US: u64 = 1_767_225_600_000_000;

/// A server in process with a clock that only moves when told.
pub struct Playground {
    pub server: Server,
    clients: BTreeMap<String, SessionId>,
}

impl Default for Playground {
    fn default() -> Self {
        Self::new(Config::default(), 1)
    }
}

impl Playground {
    pub fn new(config: Config, seed: u64) -> Self {
        let clock = Clock { unix_us: START_US, monotonic_us: 0 };
        let mut server = Server::new(config, seed, clock);
        server.journal.open();
        Self { server, clients: BTreeMap::new() }
    }

    /// Around a server that is there already.
    pub fn of(server: Server) -> Self {
        Self { server, clients: BTreeMap::new() }
    }

    pub fn client(&mut self, name: &str) -> SessionId {
        if let Some(id) = self.clients.get(name) {
            return *id;
        }
        let peer = Peer { address: format!("127.0.0.1:{}", 50_000 + self.clients.len()), ..Peer::default() };
        let id = self.server.connect(peer);
        self.clients.insert(name.to_owned(), id);
        id
    }

    /// Runs one command and returns the bytes that its client has received since it was last asked.
    pub fn run<A: AsRef<[u8]>>(&mut self, client: &str, args: impl Iterator<Item = A> + Clone) -> Vec<u8> {
        let id = self.client(client);
        let mut input = format!("*{}\r\n", args.clone().count()).into_bytes();
        for arg in args {
            input.extend_from_slice(format!("${}\r\n", arg.as_ref().len()).as_bytes());
            input.extend_from_slice(arg.as_ref());
            input.extend_from_slice(b"\r\n");
        }
        self.send(id, &input);
        self.received(client)
    }

    /// Feeds raw bytes to a session and lets upkeep that is due happen.
    pub fn send(&mut self, id: SessionId, input: &[u8]) {
        let mut used = 0;
        while used < input.len() {
            let consumed = self.server.consume(id, &input[used..]);
            used += consumed.bytes;
            debug_assert!(used <= input.len());
            if !consumed.turn_over {
                break;
            }
        }
        self.server.broadcast_invalid_keys();
    }

    /// Takes what a client has received.
    pub fn received(&mut self, client: &str) -> Vec<u8> {
        let id = self.client(client);
        let output = &mut self.server.sessions.get_mut(id).output;
        let bytes = output.to_vec();
        output.clear();
        bytes
    }

    /// Moves the clock and runs upkeep.
    pub fn advance(&mut self, ms: u64) {
        let mut clock = self.server.clock;
        clock.unix_us += ms * 1000;
        clock.monotonic_us += ms * 1000;
        self.server.set_clock(clock);
        self.server.tick();
    }
}

/// Plays a dialogue and panics where a reply is another than the one written down, with both shown.
#[track_caller]
pub fn check(dialogue: &str) {
    check_with(Config::default(), dialogue);
}

/// As `check`, with directives set: `[("list-max-listpack-size", "3")]`.
#[track_caller]
pub fn check_configured(directives: &[(&str, &str)], dialogue: &str) {
    let mut config = Config::default();
    let pairs: Vec<_> = directives.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    config.set(&pairs, true).expect("the test's directives are valid");
    check_with(config, dialogue);
}

/// As `check`, with a configuration of its own: for directives that are read at the start only.
#[track_caller]
pub fn check_with(config: Config, dialogue: &str) {
    let actual: String = replay(config, dialogue).lines().flat_map(|line| [line.trim_end(), "\n"]).collect();
    let expected = normalised(dialogue);
    if actual != expected {
        panic!("the dialogue went differently:\n--- expected\n{expected}\n--- actual\n{actual}\n---");
    }
}

/// Plays a dialogue and returns it with the replies that came.
pub fn replay(config: Config, dialogue: &str) -> String {
    let mut playground = Playground::new(config, 1);
    let mut out = String::new();
    for line in dialogue.lines().map(str::trim) {
        match step(line) {
            Step::Command { client, words } => {
                out.push_str(line);
                out.push('\n');
                let bytes = playground.run(client, words.iter());
                show(&bytes, &mut out);
                playground.server.keyspace.check();
            }
            Step::Receive { client } => {
                out.push_str(line);
                out.push('\n');
                let bytes = playground.received(client);
                show(&bytes, &mut out);
            }
            Step::Wait { ms } => {
                out.push_str(line);
                out.push('\n');
                playground.advance(ms);
                playground.server.keyspace.check();
            }
            Step::Reply | Step::Nothing => {}
        }
    }
    out
}

fn normalised(dialogue: &str) -> String {
    let mut out = String::new();
    for line in dialogue.lines() {
        // Nested replies are indented: only what every line of the dialogue shares may be cut off.
        let cut = line.trim_end();
        let line = if matches!(step(cut.trim()), Step::Reply) {
            cut.strip_prefix(indent_of(dialogue)).unwrap_or(cut)
        } else {
            cut.trim()
        };
        if !matches!(step(line.trim()), Step::Nothing) {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

fn indent_of(dialogue: &str) -> &str {
    let first = dialogue.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
    &first[..first.len() - first.trim_start().len()]
}

enum Step<'a> {
    Command { client: &'a str, words: Vec<Vec<u8>> },
    Receive { client: &'a str },
    Wait { ms: u64 },
    Reply,
    Nothing,
}

fn step(line: &str) -> Step<'_> {
    if line.is_empty() || line.starts_with('#') {
        return Step::Nothing;
    }
    if let Some(ms) = line.strip_prefix("~ ") {
        return Step::Wait { ms: ms.parse().expect("a number of milliseconds") };
    }
    let word_end = line.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(line.len());
    let (client, rest) = line.split_at(word_end);
    if let Some(command) = rest.strip_prefix("> ") {
        let words = split_args(command.as_bytes()).unwrap_or_else(|| panic!("unbalanced quotes: {line}"));
        return Step::Command { client, words };
    }
    if rest == "<" {
        return Step::Receive { client };
    }
    Step::Reply
}

/// Writes RESP as redis-cli prints it, one reply after the other.
pub fn show(mut bytes: &[u8], out: &mut String) {
    while !bytes.is_empty() {
        let (text, rest) = show_one(bytes, "");
        out.push_str(&text);
        bytes = rest;
    }
}

fn line(bytes: &[u8]) -> (&str, &[u8]) {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n").expect("a complete line");
    (std::str::from_utf8(&bytes[1..end]).unwrap_or("<not UTF-8>"), &bytes[end + 2..])
}

fn show_one<'a>(bytes: &'a [u8], indent: &str) -> (String, &'a [u8]) {
    let (head, rest) = line(bytes);
    let number = || head.parse::<i64>().expect("a length");
    match bytes[0] {
        b'+' => (format!("{head}\n"), rest),
        b'-' => (format!("(error) {head}\n"), rest),
        b':' => (format!("(integer) {head}\n"), rest),
        b',' => (format!("(double) {head}\n"), rest),
        b'#' => (format!("({})\n", if head == "t" { "true" } else { "false" }), rest),
        b'(' => (format!("(big number) {head}\n"), rest),
        b'_' => ("(nil)\n".into(), rest),
        b'$' | b'*' if number() < 0 => ("(nil)\n".into(), rest),
        b'$' => {
            let len = number() as usize;
            let mut quoted = Vec::new();
            crate::util::args::quote(&rest[..len], &mut quoted);
            (format!("{}\n", String::from_utf8_lossy(&quoted)), &rest[len + 2..])
        }
        b'=' => {
            let len = number() as usize;
            (format!("{}\n", String::from_utf8_lossy(&rest[4..len])), &rest[len + 2..])
        }
        b'*' | b'~' | b'>' => show_sequence(bytes[0], number() as usize, rest, indent),
        b'%' | b'|' => show_map(number() as usize, rest, indent),
        other => panic!("no reply begins with {:?}", other as char),
    }
}

fn show_sequence<'a>(kind: u8, len: usize, mut rest: &'a [u8], indent: &str) -> (String, &'a [u8]) {
    let mark = if kind == b'~' { '~' } else { ')' };
    if len == 0 {
        return (if kind == b'~' { "(empty set)\n" } else { "(empty array)\n" }.into(), rest);
    }
    let mut text = String::new();
    let width = len.to_string().len();
    for index in 1..=len {
        let label = format!("{index:>width$}{mark} ");
        let inner = format!("{indent}{}", " ".repeat(label.len()));
        let (element, after) = show_one(rest, &inner);
        if index > 1 {
            text.push_str(indent);
        }
        text.push_str(&label);
        text.push_str(&element);
        rest = after;
    }
    (text, rest)
}

fn show_map<'a>(len: usize, mut rest: &'a [u8], indent: &str) -> (String, &'a [u8]) {
    if len == 0 {
        return ("(empty hash)\n".into(), rest);
    }
    let mut text = String::new();
    let width = len.to_string().len();
    for index in 1..=len {
        let label = format!("{index:>width$}# ");
        let inner = format!("{indent}{}", " ".repeat(label.len()));
        let (key, after) = show_one(rest, &inner);
        let (value, after) = show_one(after, &inner);
        if index > 1 {
            text.push_str(indent);
        }
        text.push_str(&format!("{label}{} => {value}", key.trim_end()));
        rest = after;
    }
    (text, rest)
}

/// Everything in a server's databases as text, in an order of its own: equal for equal data sets.
pub fn digest(playground: &mut Playground) -> String {
    let mut out = String::new();
    for db in 0..playground.server.keyspace.databases() {
        playground.run("digest", ["SELECT", &db.to_string()].iter());
        let mut keys: Vec<Vec<u8>> = {
            let id = playground.client("digest");
            playground.server.view(id).records().map(|record| record.key().to_vec()).collect()
        };
        keys.sort();
        for key in keys {
            out.push_str(&digest_key(playground, db, &key));
        }
    }
    out
}

fn digest_key(playground: &mut Playground, db: usize, key: &[u8]) -> String {
    let id = playground.client("digest");
    let record = playground.server.view(id).peek(key).expect("the key was just listed");
    let deadline = record.deadline();
    let kind = crate::types::value::kind_of(&record);
    if let Some(stream) = record.get::<StreamBox>() {
        return format!("{db} {:?} {kind:?} {deadline:?}\n{}", String::from_utf8_lossy(key), digest_stream(stream));
    }
    let mut ask = |args: &[&[u8]]| {
        let mut text = String::new();
        show(&playground.run("digest", args.iter()), &mut text);
        text
    };
    let content = match kind {
        Kind::String => ask(&[b"GET", key]),
        Kind::List => ask(&[b"LRANGE", key, b"0", b"-1"]),
        Kind::Set => sorted(&ask(&[b"SMEMBERS", key]), 1),
        Kind::Hash => sorted(&ask(&[b"HGETALL", key]), 2),
        Kind::Zset => ask(&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"]),
        Kind::Stream => unreachable!("streams were told above"),
    };
    format!("{db} {:?} {kind:?} {deadline:?}\n{content}", String::from_utf8_lossy(key))
}

/// A stream with its groups and what it remembers of producers; not when consumers were last heard of, which is of no weight.
pub(crate) fn digest_stream(stream: &Stream) -> String {
    let log = stream.log();
    let mut out = format!("{:?} first {}\n", log.history(), log.first_id());
    for entry in log.range(StreamId::MIN, StreamId::MAX) {
        out.push_str(&format!("{}", entry.id));
        for text in entry.fields.flat_map(|(name, value)| [name, value]) {
            out.push_str(&format!(" {:?}", String::from_utf8_lossy(text)));
        }
        out.push('\n');
    }
    for (name, group) in stream.groups() {
        let name = String::from_utf8_lossy(name);
        out.push_str(&format!("group {name:?} {} {:?}\n", group.last_delivered_id(), group.entries_read()));
        for (_, consumer) in group.consumers() {
            let name = String::from_utf8_lossy(consumer.name());
            out.push_str(&format!("consumer {name:?} {}\n", consumer.pending_len()));
        }
        // Of the turns of entries without an owner only the order means anything.
        let mut turns: Vec<_> = group.pending_from(StreamId::MIN).filter(|entry| entry.owner.is_none()).collect();
        turns.sort_by_key(|entry| (entry.delivered_ms, entry.id));
        let turns: BTreeMap<_, _> = turns.iter().map(|entry| entry.id).zip(0u64..).collect();
        for mut pending in group.pending_from(StreamId::MIN) {
            if let Some(&turn) = turns.get(&pending.id) {
                pending.delivered_ms = turn;
            }
            let owner = pending.owner.and_then(|owner| group.consumer(owner));
            let owner = owner.map(|owner| String::from_utf8_lossy(owner.name()));
            let (id, time, deliveries) = (pending.id, pending.delivered_ms, pending.deliveries);
            out.push_str(&format!("pending {id} {owner:?} {time} {deliveries}\n"));
        }
    }
    if let Some(producers) = stream.producers() {
        out.push_str(&format!("{:?} {}\n", producers.limits(), producers.added()));
        for (producer, message, id) in producers.iter() {
            out.push_str(&format!(
                "{:?} {:?} {id}\n",
                String::from_utf8_lossy(producer),
                String::from_utf8_lossy(message)
            ));
        }
    }
    out
}

/// The lines of an unordered reply, `group` at a time, in order and without their numbers.
fn sorted(text: &str, group: usize) -> String {
    let lines: Vec<&str> = text.lines().map(|line| line.split_once(") ").map_or(line, |(_, rest)| rest)).collect();
    let mut groups: Vec<String> = lines.chunks(group).map(|chunk| chunk.join(" ") + "\n").collect();
    groups.sort();
    groups.concat()
}

/// Fuzzes the request parser: the same bytes, whole and in pieces, must be understood alike and without a panic.
pub fn fuzz_requests(data: &[u8]) {
    let [cut, input @ ..] = data else { return };
    let limits = Limits { bulk_max: 1 << 20, authenticated: cut & 1 == 0 };
    let whole = parse_all(input, &limits, input.len().max(1));
    let pieces = parse_all(input, &limits, usize::from(cut >> 1).max(1));
    assert_eq!(whole, pieces, "the commands found depend on how the bytes arrive");
}

fn parse_all(input: &[u8], limits: &Limits, step: usize) -> Vec<Vec<u8>> {
    let (mut parser, mut found) = (Parser::default(), Vec::new());
    let (mut start, mut end) = (0, 0);
    loop {
        let mut spans = Vec::new();
        match parser.parse(&input[start..end], limits, &mut spans) {
            Parsed::Complete { consumed } => {
                let request = Request::new(&input[start..start + consumed], &spans);
                found.push(request.iter().flat_map(|arg| [arg, b" "].concat()).collect());
                start += consumed;
            }
            Parsed::Empty { consumed } => start += consumed,
            Parsed::Inline { line_len, consumed } => {
                found.push(input[start..start + line_len].to_vec());
                start += consumed;
            }
            Parsed::Incomplete if end < input.len() => end = (end + step).min(input.len()),
            Parsed::Incomplete => return found,
            Parsed::Error(text) => {
                found.push(text);
                return found;
            }
        }
    }
}

/// Fuzzes commands: every byte chooses. After each command the keyspace is checked; at the end the journal, replayed from empty, must
/// rebuild the same data set.
pub fn fuzz_commands(data: &[u8]) {
    let mut choose = Chooser::new(data);
    let mut config = Config::default();
    if choose.below(2) == 1 {
        // Small limits, so that every encoding and its conversions come up.
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
    }
    let mut playground = Playground::new(config.clone(), 7);
    let entries: Vec<_> = table::all().iter().copied().filter(|entry| is_fuzzed(entry)).collect();
    while !choose.is_done() {
        let entry = entries[choose.below(entries.len())];
        let args = choose.request(entry);
        let client = ["a", "b", "c"][choose.below(3)];
        let id = playground.client(client);
        if playground.server.sessions.get(id).is_held() {
            playground.advance(100_000);
            continue;
        }
        playground.run(client, args.iter());
        playground.server.keyspace.check();
        if choose.below(16) == 0 {
            playground.advance(choose.below(5000) as u64);
        }
    }
    snapshots::check_snapshot(&mut playground);
    check_replay(config, playground);
}

/// Commands that a fuzz run leaves out: those that end or stop the server, or change what the run itself rests on.
pub(crate) fn is_fuzzed(entry: &Entry) -> bool {
    let name = entry.full_name.as_str();
    let is_left_out = matches!(
        name,
        "shutdown"
            | "monitor"
            | "quit"
            | "config|set"
            | "config|rewrite"
            | "client|kill"
            | "client|pause"
            | "client|reply"
            // A replica refuses most of what would come behind.
            | "replicaof"
            | "slaveof"
    );
    entry.subcommands.is_empty() && !is_left_out && !name.starts_with("debug")
}

#[track_caller]
pub(crate) fn check_replay(config: Config, mut original: Playground) {
    for client in ["a", "b", "c"] {
        // What is queued or watched is not data.
        original.run(client, ["RESET"].iter());
    }
    let journal = original.server.journal.take();
    let expected = digest(&mut original);
    let mut copy = Playground::new(config, 11);
    // Nothing lapses while the journal speaks: what lapsed at the time is deleted by the journal itself.
    let clock = std::mem::take(&mut copy.server.clock);
    let id = copy.client("replay");
    copy.send(id, &journal);
    let mut replies = String::new();
    show(&copy.received("replay"), &mut replies);
    assert!(
        !replies.contains("(error)"),
        "the journal holds a command that fails: {}\n{}",
        replies,
        String::from_utf8_lossy(&journal)
    );
    copy.server.clock = Clock { unix_us: original.server.clock.unix_us, ..clock };
    copy.server.keyspace.check();
    assert_eq!(
        digest(&mut copy),
        expected,
        "the journal rebuilds another data set: {}",
        String::from_utf8_lossy(&journal)
    );
}

/// Turns bytes into choices; when they run out every choice is the first.
pub(crate) struct Chooser<'a> {
    data: &'a [u8],
    position: usize,
}

impl<'a> Chooser<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self { data, position: 0 }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.position >= self.data.len()
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let mut value = 0;
        for _ in 0..if bound > 256 { 2 } else { 1 } {
            value = value << 8 | usize::from(self.data.get(self.position).copied().unwrap_or(0));
            self.position += 1;
        }
        value % bound
    }

    /// A request for `entry`: mostly of the right length, made of keys, numbers, texts and the words of its own syntax.
    pub(crate) fn request(&mut self, entry: &Entry) -> Vec<Vec<u8>> {
        let mut args: Vec<Vec<u8>> = entry.parent.iter().map(|parent| parent.name.into()).collect();
        args.push(entry.command.name.into());
        let arity = entry.command.arity.unsigned_abs() as usize;
        let more = if entry.command.arity < 0 { self.below(6) } else { usize::from(self.below(32) == 31) };
        let words: Vec<&str> = entry
            .command
            .usage
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .filter(|word| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase()))
            .collect();
        while args.len() < arity + more {
            let is_key = entry.first_key > 0 && args.len() == usize::from(entry.first_key);
            let arg = match self.below(8) {
                _ if is_key => self.key(),
                0 | 1 => self.key(),
                2 | 3 => self.number(),
                4 | 5 if !words.is_empty() => words[self.below(words.len())].into(),
                6 => b"value with \r\n and \0 in it".to_vec(),
                _ => vec![b'a' + self.below(5) as u8],
            };
            args.push(arg);
        }
        args
    }

    fn key(&mut self) -> Vec<u8> {
        vec![b'k', b'0' + self.below(6) as u8]
    }

    fn number(&mut self) -> Vec<u8> {
        const NUMBERS: &[&str] = &[
            "0",
            "1",
            "2",
            "3",
            "5",
            "10",
            "-1",
            "-2",
            "100",
            "1.5",
            "-0",
            "inf",
            "-inf",
            "nan",
            "1e400",
            "0-1",
            "1-1",
            "5-3",
            "*",
            "$",
            ">",
            "9223372036854775807",
            "-9223372036854775808",
            "18446744073709551615",
            "1767225600500",
            "",
        ];
        NUMBERS[self.below(NUMBERS.len())].into()
    }
}

/// A request as a test writes it.
pub fn request(line: &str) -> OwnedRequest {
    OwnedRequest::from_args(split_args(line.as_bytes()).expect("balanced quotes").iter())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_dialogue_plays() {
        check(
            r#"
            > PING
            PONG
            > SET a 1
            OK
            > INCR a
            (integer) 2
            > GET a
            "2"
            > LPUSH a x
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            b> MULTI
            OK
            b> DEL a
            QUEUED
            b> GET a
            QUEUED
            b> EXEC
            1) (integer) 1
            2) (nil)
            > NOSUCH x
            (error) ERR unknown command 'NOSUCH', with args beginning with: 'x' 
            "#,
        );
    }
}
