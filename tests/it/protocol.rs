//! The protocol over a real socket: frames of every shape and in every number of pieces, limits, and clients that behave badly.

use std::time::{Duration, Instant};

use crate::harness::{Client, request, start, text, wait_for};

/// What the server answers to `bytes` until it closes the connection or has answered a last PING.
fn answer(client: &mut Client, bytes: &[u8]) -> String {
    // A server that has closed the connection need not read the rest.
    let _ = client.try_send(bytes);
    let _ = client.try_send(b"\r\nPING\r\n");
    let mut received = Vec::new();
    loop {
        let more = client.read_some();
        received.extend_from_slice(&more);
        if more.is_empty() || received.ends_with(b"+PONG\r\n") {
            return text(&received);
        }
    }
}

#[test]
fn frames_that_cannot_be_get_the_answer_that_redis_gives() {
    let server = start(&[]);
    let long = |head: &str| format!("{head}{}", "1".repeat(70_000));
    let cases: &[(&str, &str)] = &[
        ("*1\r\n$-1\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        ("*1\r\n$536870913\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        ("*1\r\n$a\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        ("*1\r\n$ 4\r\nPING\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        ("*1\r\n+PING\r\n", "-ERR Protocol error: expected '$', got '+'\r\n"),
        ("*1\r\n\r\n$4\r\nPING\r\n", "-ERR Protocol error: expected '$', got ' '\r\n"),
        ("*2147483648\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
        ("*a\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
        ("\"abc\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"),
        ("ECHO 1\r\n\"a\"b\r\n", "$1\r\n1\r\n-ERR Protocol error: unbalanced quotes in request\r\n"),
        (&long(""), "-ERR Protocol error: too big inline request\r\n"),
        (&long("*"), "-ERR Protocol error: too big mbulk count string\r\n"),
        (&long("*1\r\n$"), "-ERR Protocol error: too big bulk count string\r\n"),
    ];
    for (input, expected) in cases {
        // Nothing is sent behind it: an end of line that came along would let a line be a little longer, here as in Redis.
        let mut client = server.connect();
        let _ = client.try_send(input.as_bytes());
        assert_eq!(&text(&client.read_to_end()), expected, "{:.40}", input);
    }
    for (input, expected) in [
        ("*-1\r\n", "+PONG\r\n"),
        ("*0\r\n", "+PONG\r\n"),
        ("\r\n\r\n", "+PONG\r\n"),
        ("ECHO hi\n", "$2\r\nhi\r\n+PONG\r\n"),
        ("*1\r\n$4\r\nPINGxxECHO 2\r\n", "+PONG\r\n"),
        ("SET key 'it\\'s' \r\nGET \"\\x6bey\"\r\n", "+OK\r\n$4\r\nit's\r\n+PONG\r\n"),
        ("SET key \"\"\r\nGET key\r\n", "+OK\r\n$0\r\n\r\n+PONG\r\n"),
        ("NOSUCH a\r\n", "-ERR unknown command 'NOSUCH', with args beginning with: 'a' \r\n+PONG\r\n"),
        ("*3\r\n$3\r\nSET\r\n$5\r\na\0\r\nb\r\n$1\r\n\u{1}\r\n", "+OK\r\n+PONG\r\n"),
    ] {
        let answered = answer(&mut server.connect(), input.as_bytes());
        assert!(answered.starts_with(expected), "{input:?}: {answered:?}");
    }
}

#[test]
fn before_a_password_limits_are_tighter() {
    let server = start(&["--requirepass", "secret"]);
    for (input, expected) in [
        ("*11\r\n", "-ERR Protocol error: unauthenticated multibulk length\r\n"),
        ("*1\r\n$16385\r\n", "-ERR Protocol error: unauthenticated bulk length\r\n"),
    ] {
        let mut client = server.connect();
        client.send(input.as_bytes());
        assert_eq!(text(&client.read_to_end()), expected);
    }
}

#[test]
fn the_largest_argument_is_configured() {
    let server = start(&["--proto-max-bulk-len", "1mb"]);
    let mut client = server.connect();
    let value = "v".repeat(1024 * 1024);
    assert_eq!(client.command(&["SET", "key", &value]), "OK");
    client.send(b"GET key\r\n");
    let expected = format!("$1048576\r\n{value}\r\n");
    assert!(client.read_exact(expected.len()) == expected.as_bytes());
    client.send(b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$1048577\r\n");
    assert_eq!(text(&client.read_to_end()), "-ERR Protocol error: invalid bulk length\r\n");
}

#[test]
fn a_value_of_64_megabytes_goes_in_and_out() {
    let server = start(&[]);
    let mut client = server.connect();
    let value = "x".repeat(64 * 1024 * 1024);
    assert_eq!(client.command(&["SET", "key", &value]), "OK");
    client.send(b"GET key\r\n");
    let reply = client.read_exact("$67108864\r\n".len() + value.len() + 2);
    assert!(reply.starts_with(b"$67108864\r\nxxx") && reply.ends_with(b"xxx\r\n"));
}

#[test]
fn a_pipeline_may_be_cut_at_every_byte() {
    let server = start(&[]);
    let mut pipeline = request(&["SET", "key", "a value\r\nof two lines"]);
    pipeline.extend_from_slice(b"ECHO 'in line'\r\n\r\n*0\r\n");
    pipeline.extend(request(&["GET", "key"]));
    let expected = b"+OK\r\n$7\r\nin line\r\n$21\r\na value\r\nof two lines\r\n";
    let mut client = server.connect();
    for cut in 1..pipeline.len() {
        client.send(&pipeline[..cut]);
        // A reply to a later command of another client means that the first part has been read.
        assert_eq!(server.connect().command(&["PING"]), "PONG");
        client.send(&pipeline[cut..]);
        assert_eq!(text(&client.read_exact(expected.len())), text(expected), "cut at {cut}");
    }
    for byte in &pipeline {
        client.send(std::slice::from_ref(byte));
    }
    assert_eq!(text(&client.read_exact(expected.len())), text(expected));
}

#[test]
fn who_only_stops_sending_still_gets_every_reply() {
    let server = start(&[]);
    let mut client = server.connect();
    let value = "v".repeat(300_000);
    client.send(&request(&["SET", "key", &value]));
    client.send(b"PING\r\nECHO hi\r\n");
    for _ in 0..100 {
        client.send(b"GET key\r\n");
    }
    client.end_of_sending();
    let received = client.read_to_end();
    let reply = format!("$300000\r\n{value}\r\n");
    assert_eq!(received.len(), "+OK\r\n+PONG\r\n$2\r\nhi\r\n".len() + 100 * reply.len());
    assert!(received.starts_with(b"+OK\r\n+PONG\r\n$2\r\nhi\r\n") && received.ends_with(reply.as_bytes()));
}

#[test]
fn an_incomplete_command_at_the_end_of_sending_is_dropped() {
    let server = start(&[]);
    let mut client = server.connect();
    client.send(b"PING\r\n*2\r\n$4\r\nECHO\r\n$5\r\nabc");
    client.end_of_sending();
    assert_eq!(text(&client.read_to_end()), "+PONG\r\n");
}

#[test]
fn a_million_commands_in_one_pipeline() {
    const COMMANDS: usize = 1_000_000;
    let server = start(&[]);
    let mut client = server.connect();
    // Nothing is read before everything is sent, as simple clients do it.
    let sent = request(&["INCR", "counter"]).repeat(COMMANDS);
    client.send(&sent);
    client.send(b"GET counter\r\n");
    let digits: usize = (1..=COMMANDS).map(|number| number.to_string().len()).sum();
    let replies = client.read_exact(digits + COMMANDS * ":\r\n".len());
    assert!(replies.starts_with(b":1\r\n:2\r\n") && replies.ends_with(b":999999\r\n:1000000\r\n"));
    assert_eq!(client.reply(), "1000000");
}

#[test]
fn a_client_that_never_stops_sending_does_not_keep_others_waiting() {
    let server = start(&[]);
    let mut flooding = server.connect();
    let mut listening = server.connect();
    let flood = std::thread::spawn(move || {
        let commands = b"PING\r\n".repeat(100_000);
        let begin = Instant::now();
        let mut sent = 0;
        while begin.elapsed() < Duration::from_secs(1) {
            flooding.send(&commands);
            flooding.read_exact(100_000 * "+PONG\r\n".len());
            sent += 100_000;
        }
        sent
    });
    let mut longest = Duration::ZERO;
    while !flood.is_finished() {
        let begin = Instant::now();
        assert_eq!(listening.command(&["PING"]), "PONG");
        longest = longest.max(begin.elapsed());
    }
    assert!(flood.join().expect("the flood ends well") > 0);
    // A turn of the flooding client takes a few milliseconds even unoptimised; the rest is what a busy machine may add.
    assert!(longest < Duration::from_millis(500), "{longest:?}");
}

#[test]
fn who_reads_too_slowly_is_closed_at_the_limit() {
    let server = start(&["--client-output-buffer-limit", "normal", "4mb", "0", "0"]);
    let mut client = server.connect();
    assert_eq!(client.command(&["SET", "key", &"v".repeat(1024 * 1024)]), "OK");
    let mut slow = server.connect();
    // All of it arrives in one piece, and would make replies of a gigabyte.
    let _ = slow.try_send(&b"GET key\r\n".repeat(1000));
    wait_for("the limit", || server.log().contains("overcoming of output buffer limits").then_some(()));
    let received = slow.read_to_end().len();
    assert!(received < 100 * 1024 * 1024, "{received} bytes came through");
    assert_eq!(client.command(&["PING"]), "PONG");
    assert!(resident_bytes(server.pid()) < 64 * 1024 * 1024, "{}", resident_bytes(server.pid()));
}

fn resident_bytes(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a /proc file system");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("the peak");
    line.split_ascii_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).expect("kilobytes") * 1024
}

#[test]
fn input_that_waits_is_bounded() {
    let server = start(&["--client-query-buffer-limit", "1mb"]);
    let mut client = server.connect();
    client.send(b"*2\r\n$4\r\nECHO\r\n$100000000\r\n");
    let _ = client.try_send(&vec![b'x'; 8 * 1024 * 1024]);
    assert_eq!(client.read_to_end(), b"");
    assert!(server.log().contains("Closing client that reached max query buffer length"), "{}", server.log());
    assert_eq!(server.connect().command(&["PING"]), "PONG");
}
