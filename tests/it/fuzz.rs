//! Short seeded runs of the fuzz targets in `tests/fuzz`, on every `cargo test`.
//!
//! `RUNNEL_FUZZ_RUNS=100000 cargo test --release fuzz` goes on for as long as that takes; a failure names its seed.

use runnel::testing::logs::fuzz_logs;
use runnel::testing::snapshots::{fuzz_restore, fuzz_snapshots};
use runnel::testing::{fuzz_commands, fuzz_requests};
use runnel::util::random::Random;

fn runs(usual: u64) -> u64 {
    std::env::var("RUNNEL_FUZZ_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(usual)
}

fn seeds(usual: u64) -> std::ops::Range<u64> {
    let first = std::env::var("RUNNEL_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    first..first + runs(usual)
}

#[test]
fn the_request_parser_takes_anything() {
    const PIECES: &[&[u8]] =
        &[b"*", b"$", b"\r\n", b"1", b"2", b"-", b"a", b"*1\r\n$4\r\nPING\r\n", b"\n", b" ", b"\"", b"3\r\nabc"];
    for seed in seeds(20_000) {
        let mut random = Random::new(seed);
        let mut data = vec![random.next_u64() as u8];
        for _ in 0..random.index(40) {
            data.extend_from_slice(PIECES[random.index(PIECES.len())]);
        }
        fuzz_requests(&data);
    }
}

#[test]
fn commands_keep_the_keyspace_sound_and_the_journal_true() {
    for seed in seeds(300) {
        let mut random = Random::new(seed);
        let data: Vec<u8> = (0..1500).map(|_| random.next_u64() as u8).collect();
        let run = std::panic::catch_unwind(|| fuzz_commands(&data));
        if let Err(panic) = run {
            eprintln!("RUNNEL_FUZZ_SEED={seed} RUNNEL_FUZZ_RUNS=1 repeats this");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn broken_snapshots_and_payloads_do_no_harm() {
    for seed in seeds(400) {
        let mut random = Random::new(seed);
        let data: Vec<u8> = (0..60).map(|_| random.next_u64() as u8).collect();
        let run = std::panic::catch_unwind(|| {
            fuzz_snapshots(&data);
            fuzz_restore(&data);
        });
        if let Err(panic) = run {
            eprintln!("RUNNEL_FUZZ_SEED={seed} RUNNEL_FUZZ_RUNS=1 repeats this");
            std::panic::resume_unwind(panic);
        }
    }
}

/// What longer runs of the fuzzers have found, once more.
#[test]
fn what_was_found_before_stays_mended() {
    // Two entries of a group are released, and the first of them is given to somebody.
    fuzz_restore(b"\x51\x04\x3f\xf9\x2c\x1e\x3f\xf9\x2c");
}

#[test]
fn broken_logs_do_no_harm() {
    for seed in seeds(100) {
        let mut random = Random::new(seed);
        let data: Vec<u8> = (0..60).map(|_| random.next_u64() as u8).collect();
        let run = std::panic::catch_unwind(|| fuzz_logs(&data));
        if let Err(panic) = run {
            eprintln!("RUNNEL_FUZZ_SEED={seed} RUNNEL_FUZZ_RUNS=1 repeats this");
            std::panic::resume_unwind(panic);
        }
    }
}
