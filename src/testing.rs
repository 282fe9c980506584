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

use std::collections::BTreeMap;

use crate::config::Config;
use crate::resp::request::OwnedRequest;
use crate::server::session::Peer;
use crate::server::{Clock, Server, SessionId};
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
        let used = self.server.consume(id, input);
        debug_assert!(used <= input.len());
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

#[track_caller]
fn check_with(config: Config, dialogue: &str) {
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
