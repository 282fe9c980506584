//! Measurements that are no loads: bytes of memory for each element, the slowest command while a keyspace grows, and
//! what a server costs that nobody uses. Each prints a table of its own; the bounds stand in `targets.rs`.

use std::io;
use std::time::{Duration, Instant};

use super::histogram::{Histogram, median};
use super::loads::{Fill, fill};
use super::report::{Record, json_number, json_object, json_text, markdown_table, number_text};
use super::server::{Server, Spec};
use super::targets;
use super::template::{Batch, Numbers};

/// How the probes start servers and keep what they find.
pub struct Bench<'a> {
    pub start: &'a dyn Fn(&Spec) -> io::Result<Server>,
    pub specs: &'a [Spec],
    pub record: &'a mut Record,
    pub check_targets: bool,
}

struct Sample {
    name: &'static str,
    fill: Fill,
    value_bytes: usize,
}

const ELEMENTS: u64 = 1_000_000;

/// Keys of 16 bytes, members and fields of 20.
fn samples() -> Vec<Sample> {
    let one = |name, head, item, value_bytes| Sample { name, fill: fill(head, item, ELEMENTS, 1), value_bytes };
    let small_hash = "key:{n} field1 value1 field2 value2 field3 value3 field4 value4 field5 value5";
    vec![
        one("string of 3 B", "SET", "key:{n} {v}", 3),
        one("string of 32 B", "SET", "key:{n} {v}", 32),
        one("string of 100 B", "SET", "key:{n} {v}", 100),
        one("string of 1,024 B", "SET", "key:{n} {v}", 1024),
        one("integer", "SET", "key:{n} 1{r}", 0),
        one("key with TTL", "SET", "key:{n} {v} EX 100000", 3),
        one("list item", "RPUSH list", "element:{n}", 0),
        one("set member", "SADD set", "element:{n}", 0),
        one("hash field", "HSET hash", "element:{n} {v}", 3),
        one("sorted set member", "ZADD zset", "{p} element:{n}", 0),
        one("stream entry", "XADD stream", "* field element:{n}", 0),
        one("hash of 5 fields", "HSET", small_hash, 0),
    ]
}

/// `used_memory` for each element of a million.
pub fn memory(bench: &mut Bench) -> io::Result<String> {
    let mut head = vec!["bytes for each element".to_string()];
    let mut rows: Vec<Vec<String>> = samples().iter().map(|sample| vec![sample.name.into()]).collect();
    for spec in bench.specs {
        head.push(spec.name.clone());
        for (sample, row) in samples().iter().zip(&mut rows) {
            let bytes = bytes_each((bench.start)(spec)?, sample);
            if let Err(error) = &bytes {
                eprintln!("{}: {}: {error}", spec.name, sample.name);
            }
            let bytes = bytes.unwrap_or(f64::NAN);
            eprintln!("{} {}: {}", spec.name, sample.name, number_text(bytes, 1));
            bench.record.add(&json_object(&[
                ("kind", json_text("memory")),
                ("server", json_text(&spec.name)),
                ("element", json_text(sample.name)),
                ("bytes", json_number(bytes)),
            ]))?;
            row.push(number_text(bytes, 1) + &verdict(bench.check_targets, bytes, memory_target(sample.name)));
        }
    }
    if bench.check_targets {
        head.push("target".into());
        for row in &mut rows {
            row.push(memory_target(&row[0]).map_or("–".into(), |bytes| format!("≤ {}", number_text(bytes, 1))));
        }
    }
    Ok(markdown_table(&head, 1, &rows))
}

fn bytes_each(mut server: Server, sample: &Sample) -> io::Result<f64> {
    let before = server.info_number("memory", "used_memory")?;
    server.prepare(std::slice::from_ref(&sample.fill), ELEMENTS, sample.value_bytes)?;
    // A table that is being rehashed counts twice until the server has had time for it.
    std::thread::sleep(Duration::from_millis(500));
    let after = server.info_number("memory", "used_memory")?;
    Ok(after.saturating_sub(before) as f64 / sample.fill.items as f64)
}

fn memory_target(name: &str) -> Option<f64> {
    targets::MEMORY.iter().find(|(element, _)| *element == name).map(|(_, bytes)| *bytes)
}

fn verdict(is_asked: bool, value: f64, limit: Option<f64>) -> String {
    match limit {
        Some(limit) if is_asked => format!(" {}", targets::mark(value <= limit)),
        _ => String::new(),
    }
}

/// Commands between two readings of the server's CPU clock while it grows.
const GROWTH_BATCH: u64 = 16;

/// Grows a server from empty to `keys` keys. A few commands at a time are sent and the server's CPU clock is read around
/// them, so neither the machine's pauses nor the driver's count; a batch's time bounds that of its slowest command.
pub fn growth(bench: &mut Bench, keys: u64) -> io::Result<String> {
    let mut rows = Vec::new();
    for spec in bench.specs {
        let mut server = (bench.start)(spec)?;
        let _ = server.control().ask("CONFIG SET slowlog-log-slower-than 200 slowlog-max-len 1000");
        let grown = grow(&mut server, keys)?;
        let slowlog_us = slowest_logged_us(&mut server);
        eprintln!("{}: slowest {} ms", spec.name, number_text(grown.cpu.max_ns() as f64 / 1e6, 3));
        let slowest_ms = grown.cpu.max_ns() as f64 / 1e6;
        bench.record.add(&json_object(&[
            ("kind", json_text("growth")),
            ("server", json_text(&spec.name)),
            ("keys", keys.to_string()),
            ("slowest_cpu_ms", json_number(slowest_ms)),
            ("slowest_wall_ms", json_number(grown.wall.max_ns() as f64 / 1e6)),
            ("slowlog_us", json_number(slowlog_us)),
            ("cpu_us_each", json_number(grown.cpu_us_each)),
        ]))?;
        rows.push(vec![
            spec.name.clone(),
            number_text(grown.cpu_us_each, 2),
            number_text(grown.cpu.percentile_ns(0.5) as f64 / 1e3, 1),
            number_text(grown.cpu.percentile_ns(0.9999) as f64 / 1e3, 1),
            number_text(slowest_ms, 3) + &verdict(bench.check_targets, slowest_ms, Some(targets::GROWTH_SLOWEST_MS)),
            number_text(grown.wall.max_ns() as f64 / 1e6, 3),
            number_text(slowlog_us / 1e3, 3),
        ]);
    }
    let head = [
        &format!("growing to {} keys", number_text(keys as f64, 0)),
        "CPU µs/command",
        "CPU µs, 16 commands, p50",
        "p99.99",
        "slowest, CPU ms",
        "slowest seen by the client, ms",
        "slowest in SLOWLOG, ms",
    ];
    Ok(markdown_table(&head.map(String::from), 1, &rows))
}

/// The kernel brings the account of a thread that does not sleep up to date only when its clock ticks, which may be every 4 ms. A server that
/// polls for a while when it has nothing to do gets this long to end that.
const FALLS_ASLEEP_WITHIN: Duration = Duration::from_micros(50);

struct Growth {
    cpu: Histogram,
    wall: Histogram,
    cpu_us_each: f64,
}

fn grow(server: &mut Server, keys: u64) -> io::Result<Growth> {
    let mut batch = Batch::default();
    (0..GROWTH_BATCH).for_each(|_| batch.push("SET key:{n} xxx", b"", keys));
    let mut numbers = Numbers::new(1);
    let mut growth = Growth { cpu: Histogram::default(), wall: Histogram::default(), cpu_us_each: 0.0 };
    let helpers = server.helpers()?;
    let first_ns = server.cpu_ns();
    let (mut before_ns, mut helpers_before_ns) = (first_ns, helpers.cpu_ns());
    for _ in 0..keys / GROWTH_BATCH {
        let sent = Instant::now();
        server.control().exchange(&mut batch, &mut numbers)?;
        growth.wall.record(sent.elapsed().as_nanos() as u64, 1);
        let replied = Instant::now();
        while replied.elapsed() < FALLS_ASLEEP_WITHIN {}
        let (after_ns, helpers_after_ns) = (server.cpu_ns(), helpers.cpu_ns());
        growth.cpu.record((after_ns - before_ns).saturating_sub(helpers_after_ns.saturating_sub(helpers_before_ns)), 1);
        (before_ns, helpers_before_ns) = (after_ns, helpers_after_ns);
    }
    growth.cpu_us_each = (before_ns - first_ns) as f64 / 1e3 / keys as f64;
    Ok(growth)
}

/// The longest time in the slow log, which a server counts for single commands on the wall's clock.
fn slowest_logged_us(server: &mut Server) -> f64 {
    server.slowlog_us().ok().and_then(|times| times.into_iter().max()).map_or(f64::NAN, |longest_us| longest_us as f64)
}

const STARTS: usize = 5;
const IDLE: Duration = Duration::from_secs(5);

/// The time to the first PONG, and what a server with one silent client uses.
pub fn idle(bench: &mut Bench) -> io::Result<String> {
    let mut rows = Vec::new();
    for spec in bench.specs {
        let mut starts_ms = Vec::new();
        for _ in 1..STARTS {
            starts_ms.push((bench.start)(spec)?.started_in.as_secs_f64() * 1e3);
        }
        let server = (bench.start)(spec)?;
        starts_ms.push(server.started_in.as_secs_f64() * 1e3);
        std::thread::sleep(Duration::from_secs(1));
        let before_ns = server.cpu_ns();
        std::thread::sleep(IDLE);
        let cpu_per_mille = (server.cpu_ns() - before_ns) as f64 / IDLE.as_nanos() as f64 * 1e3;
        let start_ms = median(&starts_ms);
        let rss_mib = server.rss_bytes() as f64 / 1048576.0;
        bench.record.add(&json_object(&[
            ("kind", json_text("idle")),
            ("server", json_text(&spec.name)),
            ("start_ms", json_number(start_ms)),
            ("cpu_per_mille", json_number(cpu_per_mille)),
            ("rss_mib", json_number(rss_mib)),
        ]))?;
        rows.push(vec![
            format!("{} {}", spec.name, server.version),
            number_text(start_ms, 1) + &verdict(bench.check_targets, start_ms, Some(targets::STARTUP_MS)),
            number_text(cpu_per_mille, 3)
                + &verdict(bench.check_targets, cpu_per_mille, Some(targets::IDLE_CPU_PER_MILLE)),
            number_text(rss_mib, 1),
        ]);
    }
    let head = ["idle", "start to first PONG, ms", "CPU ‰ of a core", "RSS MiB"].map(String::from);
    Ok(markdown_table(&head, 1, &rows))
}
