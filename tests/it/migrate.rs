//! MIGRATE between servers: keys of every type arrive with what they hold and how long they live, or stay where they are.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::harness::{Client, start};

const NEVER: &[&str] = &["--save", ""];
const ALL: &[&str] = &["string", "list", "hash", "set", "zset", "stream", "long"];

fn fill(client: &mut Client) {
    let long = "x".repeat(300_000);
    for line in
        ["SET string 1", "RPUSH list a b", "HSET hash f v", "SADD set 1 a", "ZADD zset 1.5 a", "XADD stream 1-1 f v"]
    {
        client.command(&line.split(' ').collect::<Vec<_>>());
    }
    client.command(&["SET", "long", &long, "PX", "90000"]);
}

#[test]
fn keys_of_every_type_move() {
    let (from, to) = (start(NEVER), start(NEVER));
    let (mut here, mut there) = (from.connect(), to.connect());
    fill(&mut here);
    let digests =
        |client: &mut Client| ALL.iter().map(|key| client.command(&["DEBUG", "DIGEST-VALUE", key])).collect::<Vec<_>>();
    let before = digests(&mut here);
    let port = to.port.to_string();
    let words = ["MIGRATE", "127.0.0.1", &port, "", "0", "2000", "KEYS", "none"];
    let line: Vec<&str> = words.into_iter().chain(ALL.iter().copied()).collect();
    assert_eq!(here.command(&line), "OK");
    assert_eq!(here.command(&["DBSIZE"]), ":0");
    assert_eq!(there.command(&["DBSIZE"]), format!(":{}", ALL.len()));
    assert_eq!(digests(&mut there), before);
    let left: i64 = there.command(&["PTTL", "long"])[1..].parse().expect("a number");
    assert!((80_000..=90_000).contains(&left), "{left}");
    assert_eq!(here.command(&line), "NOKEY");
}

#[test]
fn what_is_there_already_is_replaced_only_on_request() {
    let (from, to) = (start(NEVER), start(&["--save", "", "--requirepass", "secret"]));
    let (mut here, mut there) = (from.connect(), to.connect());
    there.command(&["AUTH", "secret"]);
    there.command(&["SET", "a", "old"]);
    here.command(&["MSET", "a", "new", "b", "new"]);
    let port = to.port.to_string();
    let mut moved = |rest: &[&str]| {
        let words = ["MIGRATE", "127.0.0.1", &port, "", "0", "2000"];
        here.command(&words.into_iter().chain(rest.iter().copied()).collect::<Vec<_>>())
    };
    let refused = moved(&["KEYS", "a"]);
    assert_eq!(refused, "-ERR Target instance replied with error: NOAUTH Authentication required.");
    let wrong = moved(&["AUTH2", "default", "wrong", "KEYS", "a"]);
    assert!(wrong.starts_with("-ERR Target instance replied with error: WRONGPASS"), "{wrong}");
    let busy = moved(&["AUTH", "secret", "KEYS", "a", "b"]);
    assert_eq!(busy, "-ERR Target instance replied with error: BUSYKEY Target key name already exists.");
    assert_eq!(moved(&["COPY", "REPLACE", "AUTH2", "default", "secret", "KEYS", "a"]), "OK");
    assert_eq!(here.command(&["EXISTS", "a", "b"]), ":1");
    assert_eq!(there.command(&["MGET", "a", "b"]), "[new new]");
}

#[test]
fn a_server_that_does_not_answer_costs_the_timeout_and_no_key() {
    let server = start(NEVER);
    let mut client = server.connect();
    client.command(&["SET", "a", "1"]);
    // It lets clients in and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port().to_string();
    let begin = Instant::now();
    let answer = client.command(&["MIGRATE", "127.0.0.1", &port, "a", "0", "300"]);
    let took = begin.elapsed();
    assert_eq!(answer, "-IOERR error or timeout reading to target instance");
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(5), "{took:?}");
    drop(silent);
    let answer = client.command(&["MIGRATE", "127.0.0.1", &port, "a", "0", "300"]);
    assert_eq!(answer, "-IOERR error or timeout writing to target instance");
    assert_eq!(client.command(&["GET", "a"]), "1");
}
