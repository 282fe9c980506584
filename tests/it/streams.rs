//! Readers of streams that wait, over sockets and by the real clock: what a dialogue with a clock of its own cannot show.

use std::time::{Duration, Instant};

use crate::harness::{Client, Running, request, start};

/// Nothing takes this long unless something is wrong; busy machines are slow.
const LATE: Duration = Duration::from_secs(20);

fn waits(client: &mut Client, server: &Running, words: &[&str]) {
    client.send(&request(words));
    let mut other = server.connect();
    crate::harness::wait_for("a waiting client", || {
        other.command(&["INFO", "clients"]).contains("blocked_clients:1\r\n").then_some(())
    });
}

#[test]
fn a_reader_with_claim_wakes_when_an_entry_lies_idle_long_enough() {
    let server = start(&[]);
    let (mut one, mut two) = (server.connect(), server.connect());
    assert_eq!(one.command(&["XADD", "s", "1-1", "f", "v"]), "1-1");
    assert_eq!(one.command(&["XGROUP", "CREATE", "s", "g", "0"]), "OK");
    let delivered = Instant::now();
    assert_eq!(one.command(&["XREADGROUP", "GROUP", "g", "one", "STREAMS", "s", ">"]), "[[s [[1-1 [f v]]]]]");
    waits(&mut two, &server, &["XREADGROUP", "GROUP", "g", "two", "BLOCK", "0", "CLAIM", "300", "STREAMS", "s", ">"]);

    let reply = two.reply();

    let waited = delivered.elapsed();
    let idle = reply.strip_prefix("[[s [[1-1 [f v] :").and_then(|rest| rest.strip_suffix(" :1]]]]"));
    assert!(idle.is_some_and(|idle| idle.parse::<u32>().is_ok_and(|idle| idle >= 300)), "{reply}");
    assert!(waited >= Duration::from_millis(300) && waited < LATE, "{waited:?}");
    // Now it lies with the second one, until that gives it back.
    waits(
        &mut one,
        &server,
        &["XREADGROUP", "GROUP", "g", "one", "BLOCK", "0", "CLAIM", "3600000", "STREAMS", "s", ">"],
    );
    assert_eq!(two.command(&["XNACK", "s", "g", "FAIL", "IDS", "1", "1-1"]), ":1");
    assert_eq!(one.reply(), "[[s [[1-1 [f v] :-1 :2]]]]");
}

#[test]
fn a_waiting_consumer_is_told_that_its_group_is_no_more() {
    let server = start(&[]);
    let (mut one, mut two) = (server.connect(), server.connect());
    assert_eq!(one.command(&["XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"]), "OK");
    waits(&mut two, &server, &["XREADGROUP", "GROUP", "g", "two", "BLOCK", "0", "STREAMS", "s", ">"]);
    assert_eq!(one.command(&["XGROUP", "DESTROY", "s", "g"]), ":1");
    assert!(two.reply().starts_with("-NOGROUP "));
}
