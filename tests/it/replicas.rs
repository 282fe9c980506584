//! A replica that the tests play: it takes a snapshot and the stream behind it, acknowledges, goes away and comes back.

use std::fs;

use crate::harness::{Client, Folder, Running, request, start, start_in, text, wait_for};

/// A connection that is a replica's.
struct Replica {
    client: Client,
    history: String,
    offset: u64,
    snapshot: Vec<u8>,
}

impl Replica {
    /// Asks for everything.
    fn new(server: &Running) -> Self {
        Self::ask(server, &["PSYNC", "?", "-1"])
    }

    /// Comes back to a history.
    fn again(server: &Running, history: &str, offset: u64) -> Self {
        Self::ask(server, &["PSYNC", history, &(offset + 1).to_string()])
    }

    fn ask(server: &Running, words: &[&str]) -> Self {
        let mut client = server.connect();
        assert_eq!(client.command(&["REPLCONF", "listening-port", "7777"]), "OK");
        assert_eq!(client.command(&["REPLCONF", "capa", "eof", "capa", "psync2"]), "OK");
        client.send(&request(words));
        let answer = line(&mut client);
        let words: Vec<&str> = answer.split(' ').collect();
        let mut replica = Self { client, history: words[1].into(), offset: 0, snapshot: Vec::new() };
        if words[0] == "+FULLRESYNC" {
            replica.offset = words[2].parse().expect("an offset");
            replica.snapshot = snapshot(&mut replica.client);
        } else {
            assert_eq!(words[0], "+CONTINUE");
        }
        replica
    }

    /// The next request of the stream, PINGs left out.
    fn next(&mut self) -> String {
        loop {
            let words = stream_request(&mut self.client);
            self.offset += request(&words.iter().map(String::as_str).collect::<Vec<_>>()).len() as u64;
            if words != ["PING"] {
                return words.join(" ");
            }
        }
    }

    fn acknowledge(&mut self) {
        let offset = self.offset.to_string();
        self.client.send(&request(&["REPLCONF", "ACK", &offset]));
    }
}

fn line(client: &mut Client) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        line.extend(client.read_exact(1));
    }
    text(&line).trim_end().into()
}

/// A snapshot behind its length. Empty lines are signs of life.
fn snapshot(client: &mut Client) -> Vec<u8> {
    loop {
        let head = line(client);
        if let Some(length) = head.strip_prefix('$') {
            return client.read_exact(length.parse().expect("a length"));
        }
        assert_eq!(head, "");
    }
}

fn stream_request(client: &mut Client) -> Vec<String> {
    let number = |line: String| line[1..].parse::<usize>().expect("a number");
    let count = number(line(client));
    (0..count)
        .map(|_| {
            let len = number(line(client));
            let word = text(&client.read_exact(len));
            client.read_exact(2);
            word
        })
        .collect()
}

fn digest(client: &mut Client) -> String {
    client.command(&["DEBUG", "DIGEST"])
}

const OPTIONS: [&str; 4] = ["--save", "", "--enable-debug-command", "yes"];

#[test]
fn a_snapshot_and_the_stream_behind_it_are_the_data_set() {
    let server = start(&OPTIONS);
    let mut client = server.connect();
    let value = "v".repeat(1000);
    for index in 0..5000 {
        client.command(&["SET", &format!("key:{index}"), &value]);
    }
    client.command(&["RPUSH", "list", "a", "b", "c"]);
    let mut replica = server.connect();
    replica.send(&request(&["PSYNC", "?", "-1"]));
    // While the snapshot is on its way.
    for index in 0..500 {
        client.command(&["SET", &format!("key:{}", index * 7), "new"]);
        client.command(&["DEL", &format!("key:{}", index * 11 + 1)]);
    }
    client.command(&["LPOP", "list"]);
    assert!(line(&mut replica).starts_with("+FULLRESYNC "));
    let snapshot = snapshot(&mut replica);
    client.command(&["SELECT", "3"]);
    client.command(&["SET", "last", "one"]);

    let folder = Folder::new();
    fs::write(folder.path("dump.rdb"), snapshot).unwrap();
    let copy = start_in(folder, &OPTIONS, |_| {});
    let mut other = copy.connect();
    loop {
        let words = stream_request(&mut replica);
        other.command(&words.iter().map(String::as_str).collect::<Vec<_>>());
        if words == ["SET", "last", "one"] {
            break;
        }
    }
    assert_eq!(digest(&mut other), digest(&mut client));
    let left: Vec<_> = fs::read_dir(server.folder.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".rdb")), "{left:?}");
}

#[test]
fn the_stream_speaks_as_a_log_would() {
    let server = start(&OPTIONS);
    let mut client = server.connect();
    let mut replica = Replica::new(&server);
    let mut hears = |lines: &[&str]| lines.iter().for_each(|line| assert_eq!(replica.next(), *line));
    client.command(&["SET", "a", "1"]);
    hears(&["SELECT 0", "SET a 1"]);
    client.command(&["MULTI"]);
    client.command(&["INCR", "a"]);
    client.command(&["GET", "a"]);
    client.command(&["EXEC"]);
    hears(&["INCR a"]);
    client.command(&["MULTI"]);
    client.command(&["INCR", "a"]);
    client.command(&["PUBLISH", "news", "all well"]);
    client.command(&["SELECT", "5"]);
    client.command(&["SET", "b", "2"]);
    client.command(&["EXEC"]);
    hears(&["MULTI", "INCR a", "PUBLISH news all well", "SELECT 5", "SET b 2", "EXEC"]);
    client.command(&["PUBLISH", "news", "good night"]);
    hears(&["PUBLISH news good night"]);
}

#[test]
fn a_replica_that_was_away_goes_on_where_it_was() {
    let server = start(&OPTIONS);
    let mut client = server.connect();
    let mut replica = Replica::new(&server);
    client.command(&["SET", "a", "1"]);
    assert_eq!((replica.next(), replica.next()), ("SELECT 0".into(), "SET a 1".into()));
    let (history, offset) = (replica.history.clone(), replica.offset);
    drop(replica);
    client.command(&["SET", "b", "2"]);
    client.command(&["SET", "c", "3"]);
    let mut replica = Replica::again(&server, &history, offset);
    assert_eq!((replica.next(), replica.next()), ("SET b 2".into(), "SET c 3".into()));
    assert_eq!(replica.history, history);

    let stranger = Replica::again(&server, &"0".repeat(40), 1);
    assert!(stranger.snapshot.starts_with(b"REDIS"));
    let from_the_future = Replica::again(&server, &history, 1_000_000);
    assert!(from_the_future.snapshot.starts_with(b"REDIS"));
    let info = client.command(&["INFO"]);
    for fact in ["connected_slaves:3\r\n", "sync_full:3\r\n", "sync_partial_ok:1\r\n", "sync_partial_err:2\r\n"] {
        assert!(info.contains(fact), "{fact} in {info}");
    }
}

#[test]
fn wait_counts_those_who_have_acknowledged() {
    let server = start(&OPTIONS);
    let mut client = server.connect();
    let mut replica = Replica::new(&server);
    client.command(&["SET", "a", "1"]);
    assert_eq!(client.command(&["WAIT", "1", "50"]), ":0");
    assert_eq!([replica.next(), replica.next(), replica.next()], ["SELECT 0", "SET a 1", "REPLCONF GETACK *"]);
    client.send(&request(&["WAIT", "1", "0"]));
    replica.acknowledge();
    assert_eq!(client.reply(), ":1");
    assert_eq!(client.command(&["WAIT", "0", "0"]), ":1");
    client.command(&["CONFIG", "SET", "min-replicas-to-write", "2"]);
    assert_eq!(client.command(&["SET", "a", "2"]), "-NOREPLICAS Not enough good replicas to write.");
    client.command(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    assert_eq!(client.command(&["SET", "a", "2"]), "OK");
    let role = client.command(&["ROLE"]);
    assert!(role.contains(&format!("[127.0.0.1 7777 {}]", replica.offset)), "{role}");
    assert!(client.command(&["CLIENT", "LIST", "TYPE", "replica"]).contains(" flags=S "));
    drop(replica);
    wait_for("the replica to be gone", || client.command(&["ROLE"]).ends_with("[]]").then_some(()));
}

#[test]
fn a_snapshot_may_be_all_that_is_wanted() {
    let server = start(&OPTIONS);
    let mut client = server.connect();
    client.command(&["SET", "a", "1"]);
    client.command(&["FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() return 1 end)"]);
    let mut all = server.connect();
    all.command(&["REPLCONF", "rdb-only", "1"]);
    all.send(&request(&["SYNC"]));
    let all = snapshot(&mut all);
    let mut functions = server.connect();
    functions.command(&["REPLCONF", "rdb-only", "1"]);
    functions.command(&["REPLCONF", "rdb-filter-only", "functions"]);
    functions.send(&request(&["SYNC"]));
    let functions = snapshot(&mut functions);
    let holds = |snapshot: &[u8], part: &str| text(snapshot).contains(part);
    assert!(holds(&all, "register_function") && holds(&functions, "register_function"));
    assert!(all.len() > functions.len() && !holds(&functions, "resizedb"));
}
