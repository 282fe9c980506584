//! A real process is killed at random moments, started again, and must have what it acknowledged.
//!
//! `RUNNEL_KILL_ROUNDS=200 cargo test killed` goes on for longer; rounds take turns among the three policies and both kinds of base.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use runnel::util::random::Random;

use crate::harness::{Client, Folder, Running, request, start_in};

const CLIENTS: usize = 3;

fn rounds() -> u64 {
    std::env::var("RUNNEL_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(6)
}

fn start(folder: Folder, policy: &str, preamble: &str) -> Running {
    let options = ["--appendonly", "yes", "--appendfsync", policy, "--auto-aof-rewrite-min-size", "4kb", "--save", ""];
    let options = [&options[..], &["--aof-use-rdb-preamble", preamble]].concat();
    start_in(folder, &options, |_: &mut Command| {})
}

/// Each client counts up a key of its own, several requests ahead, until the server is gone. How far each was answered.
fn count_until_killed(server: &Running, random: &mut Random, begin: &[u64]) -> Vec<u64> {
    let pid = server.pid();
    let life = Duration::from_millis(20 + random.below(180));
    let killer = std::thread::spawn(move || {
        std::thread::sleep(life);
        crate::harness::send_signal(pid, libc::SIGKILL);
    });
    let counters: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let client = server.connect();
            let from = begin[number];
            std::thread::spawn(move || count(client, number, from))
        })
        .collect();
    let counted = counters.into_iter().map(|counter| counter.join().expect("a client")).collect();
    killer.join().expect("the killer");
    counted
}

fn count(mut client: Client, number: usize, from: u64) -> u64 {
    const AHEAD: usize = 8;
    let key = format!("counter:{number}");
    let mut pipeline = Vec::new();
    for _ in 0..AHEAD {
        pipeline.write_all(&request(&["INCR", &key])).expect("memory");
    }
    pipeline.extend(request(&["BGREWRITEAOF"]).repeat(usize::from(number == 0)));
    let mut answered = from;
    while client.try_send(&pipeline).is_ok() {
        let mut received = Vec::new();
        let mut lines = 0;
        while lines < AHEAD {
            let more = client.read_some();
            if more.is_empty() {
                return answered.max(last_number(&received));
            }
            received.extend(more);
            lines = received.iter().filter(|&&byte| byte == b'\n').count();
        }
        answered = answered.max(last_number(&received));
    }
    answered
}

/// The last whole `:number` of what was received.
fn last_number(received: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(received);
    let whole = text.rsplit_once("\r\n").map_or("", |(whole, _)| whole);
    whole.lines().filter_map(|line| line.strip_prefix(':')?.parse().ok()).max().unwrap_or(0)
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let mut random = Random::new(17);
    let mut folder = Folder::new();
    let mut answered = vec![0; CLIENTS];
    for round in 0..rounds() {
        let policy = ["always", "everysec", "no"][round as usize % 3];
        let mut server = start(folder, policy, if round % 2 == 0 { "yes" } else { "no" });
        let mut client = server.connect();
        for (number, answered) in answered.iter_mut().enumerate() {
            let value = client.command(&["GET", &format!("counter:{number}")]);
            let value: u64 = value.parse().unwrap_or(0);
            assert!(value >= *answered, "round {round}: {value} of {answered}\n{}", server.log());
            *answered = value;
        }
        answered = count_until_killed(&server, &mut random, &answered);
        server.ended();
        folder = std::mem::replace(&mut server.folder, Folder::new());
        let _ = std::fs::remove_file(folder.path("port"));
    }
}
