//! What runnel is to reach, as data, and the comparison with what was measured. A target that is missed is a ✗ in a
//! table and never a failing exit: time depends on the machine.

use super::loads::is_chosen;
use super::report::{Figure, Results, markdown_table, number_text};

#[derive(Clone, Copy)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

use Bound::{AtLeast, AtMost};

/// A bound on the ratio of a figure to that of the better peer.
pub struct Target {
    topic: &'static str,
    pub loads: &'static str,
    figure: Figure,
    bound: Bound,
}

const fn cpu(topic: &'static str, loads: &'static str, ratio_max: f64) -> Target {
    Target { topic, loads, figure: Figure::CpuUs, bound: AtMost(ratio_max) }
}

const fn throughput(topic: &'static str, loads: &'static str, ratio_min: f64) -> Target {
    Target { topic, loads, figure: Figure::Throughput, bound: AtLeast(ratio_min) }
}

const SMALL_P1: &str = "ping-p1-c50,ping-p1-c500,set-3b-p1-c50,set-3b-p1-c500,get-3b-p1-c50,get-3b-p1-c500,\
                        incr-p1-c50,incr-p1-c500,lpush-p1-c50,lpush-p1-c500,lpop-p1-c50,lpop-p1-c500";
const ONE_P1: &str = "ping-p1-c1,set-3b-p1-c1,get-3b-p1-c1,incr-p1-c1,lpush-p1-c1,lpop-p1-c1";
const STRINGS_P16: &str = "set-3b-p16-c50,get-3b-p16-c50,incr-p16-c50";
const LARGE: &str = "set-16k-p1-c50,get-16k-p1-c50,set-16k-p16-c50,get-16k-p16-c50";

pub const TARGETS: &[Target] = &[
    cpu("strings, lists", SMALL_P1, 0.82),
    throughput("strings, lists", SMALL_P1, 1.2),
    cpu("strings, lists", ONE_P1, 0.90),
    throughput("strings, lists", ONE_P1, 1.0),
    cpu("strings, lists", STRINGS_P16, 0.50),
    throughput("strings, lists", STRINGS_P16, 2.0),
    cpu("strings, lists", "lpush-p16-c50,lpop-p16-c50", 0.65),
    throughput("strings, lists", "lpush-p16-c50,lpop-p16-c50", 1.5),
    cpu("strings, lists", "set-3b-p64-c50,get-3b-p64-c50", 0.40),
    throughput("strings, lists", "set-3b-p64-c50,get-3b-p64-c50", 2.5),
    cpu("strings, lists", "set-1k-p16-c50,get-1k-p16-c50", 0.60),
    throughput("strings, lists", "set-1k-p16-c50,get-1k-p16-c50", 1.6),
    cpu("strings, lists", LARGE, 0.95),
    throughput("strings, lists", LARGE, 1.0),
    cpu("strings, lists", "lrange-100-*", 0.80),
    throughput("strings, lists", "lrange-100-*", 1.1),
    cpu("pub/sub", "publish-*", 0.70),
    throughput("pub/sub", "publish-*", 1.3),
    cpu("blocking", "blpop-pingpong-*", 0.90),
    throughput("blocking", "blpop-pingpong-*", 1.0),
    cpu("hashes, sets", "hset-p16-*,sadd-p16-*,hget-p16-*,sismember-p16-*,spop-p16-*,zscore-p16-*", 0.65),
    cpu("sorted sets", "zadd-p16-*,zpopmin-p16-*,zqueue-p16-*", 0.50),
    cpu("ranges", "zrange-100-p16-*,zrangebyscore-100-p16-*,zrevrank-p16-*,hgetall-50-p16-*,smembers-100-p16-*", 0.70),
    cpu("set algebra", "zunionstore-100k-*,sinterstore-100k-*", 0.60),
    cpu("bits, places", "getbit-p16-*,setbit-p16-*,bitcount-1m-p16-*,pfadd-p16-*,geosearch-p16-*", 0.80),
    cpu("collections, P1", "hset-p1-*,sadd-p1-*,hget-p1-*,sismember-p1-*,spop-p1-*,zscore-p1-*", 0.85),
    cpu("collections, P1", "zadd-p1-*,zpopmin-p1-*,zqueue-p1-*,zrange-100-p1-*,zrangebyscore-100-p1-*", 0.85),
    cpu("collections, P1", "zrevrank-p1-*,hgetall-50-p1-*,smembers-100-p1-*", 0.85),
    cpu("streams", "xadd-p1-*", 0.85),
    cpu("streams", "xadd-p16-*,xadd-maxlen-p16-*", 0.50),
    cpu("streams", "xrange-100-*,xrevrange-100-*,xreadgroup-10-xack-*", 0.60),
    cpu("streams", "xautoclaim-*,xpending-*", 0.50),
    throughput("streams", "stream-end-to-end", 1.5),
    Target { topic: "streams", loads: "stream-end-to-end", figure: Figure::P99Us, bound: AtMost(1.0) },
    cpu("scripts", "evalsha-5-p1-*", 0.80),
    cpu("scripts", "evalsha-5-p16-*", 0.75),
    cpu("append-only file", "set-100b-everysec-p16-*", 0.60),
    cpu("append-only file", "set-100b-everysec-p1-*", 0.85),
    throughput("append-only file", "set-100b-always-*", 1.15),
];

/// Through a benchmark program that cannot saturate the server there is only this to ask.
pub const TARGETS_THROUGH: &[Target] = &[throughput("through a benchmark program", SMALL_P1, 1.0)];

/// Bytes of `used_memory` for each element; the names are those of `probes.rs`.
pub const MEMORY: &[(&str, f64)] = &[
    ("string of 3 B", 48.0),
    ("string of 32 B", 75.0),
    ("string of 100 B", 150.0),
    ("string of 1,024 B", 1150.0),
    ("integer", 46.0),
    ("key with TTL", 64.0),
    ("list item", 22.5),
    ("set member", 38.0),
    ("hash field", 50.0),
    ("sorted set member", 62.0),
    ("hash of 5 fields", 140.0),
];

/// Growing to ten million keys, CPU time of the slowest command.
pub const GROWTH_SLOWEST_MS: f64 = 1.0;
/// "No measurable CPU": a thousandth of a core.
pub const IDLE_CPU_PER_MILLE: f64 = 1.0;
pub const STARTUP_MS: f64 = 30.0;

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            AtMost(limit) => value <= limit,
            AtLeast(limit) => value >= limit,
        }
    }

    fn text(self) -> String {
        match self {
            AtMost(limit) => format!("≤ {limit:.2}"),
            AtLeast(limit) => format!("≥ {limit:.2}"),
        }
    }
}

/// The rows of all targets whose load was measured.
pub fn check(results: &Results, subject: &str, is_through: bool) -> String {
    let targets = if is_through { TARGETS_THROUGH } else { TARGETS };
    let mut rows = Vec::new();
    for target in targets {
        for load in results.loads().iter().filter(|load| is_chosen(load, target.loads)) {
            let Some(peer) = results.better_peer(load, subject, target.figure) else { continue };
            let ratio = results.ratio(load, subject, &peer, target.figure);
            if !ratio.is_nan() {
                rows.push(vec![
                    target.topic.into(),
                    load.clone(),
                    format!("{:?} by {peer}'s", target.figure),
                    target.bound.text(),
                    number_text(ratio, 2),
                    mark(target.bound.holds(ratio)),
                ]);
            }
        }
    }
    markdown_table(&["topic", "load", "figure", "target", "measured", ""].map(String::from), 3, &rows)
}

pub fn mark(holds: bool) -> String {
    if holds { "✓" } else { "✗" }.into()
}
