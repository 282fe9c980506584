//! What the server counts: calls, errors, slow commands, latency events.
//!
//! Counting a call is three additions and one histogram step; everything else happens when somebody asks.

use std::collections::{BTreeMap, VecDeque};

use crate::resp::request::Request;
use crate::util::clock::ticks_to_ns;

/// Per-command figures.
#[derive(Clone, Default)]
pub struct CommandStats {
    pub calls: u64,
    pub rejected: u64,
    pub failed: u64,
    /// Ticks of `util::clock`.
    pub ticks: u64,
    pub histogram: Histogram,
}

/// Counts durations in buckets of powers of two, four to each doubling: a percentile is right to about 12 %. Counted in ticks, told in
/// nanoseconds.
#[derive(Clone, Default)]
pub struct Histogram {
    /// `BUCKETS` counters, or none before the first duration.
    buckets: Vec<u64>,
    count: u64,
}

const STEPS: u32 = 4;
const BUCKETS: usize = (64 * STEPS) as usize;

impl Histogram {
    #[inline]
    fn add(&mut self, ticks: u64) {
        if self.buckets.is_empty() {
            self.buckets = vec![0; BUCKETS];
        }
        self.buckets[bucket_of(ticks)] += 1;
        self.count += 1;
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// Nanoseconds below which `percent` of the durations lie.
    pub fn percentile(&self, percent: f64) -> u64 {
        let wanted = (self.count as f64 * percent / 100.0).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted.max(1) {
                return bucket_end(bucket);
            }
        }
        0
    }

    /// Cumulative counts below powers of two microseconds, as LATENCY HISTOGRAM shows them.
    pub fn cumulative(&self) -> Vec<(u64, u64)> {
        let mut rows: Vec<(u64, u64)> = Vec::new();
        let mut seen = 0;
        for (bucket, &count) in self.buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
            seen += count;
            let us = (bucket_end(bucket).div_ceil(1000)).next_power_of_two().max(1);
            match rows.last_mut() {
                Some((last, total)) if *last == us => *total = seen,
                _ => rows.push((us, seen)),
            }
        }
        rows
    }
}

fn bucket_of(value: u64) -> usize {
    let value = value.max(1);
    let log = value.ilog2();
    let part = if log >= 2 { (value >> (log - 2)) & u64::from(STEPS - 1) } else { 0 };
    (log * STEPS) as usize + part as usize
}

/// The longest duration that falls into the bucket, in nanoseconds.
fn bucket_end(bucket: usize) -> u64 {
    let (log, part) = (bucket as u32 / STEPS, bucket as u64 % u64::from(STEPS));
    let start = 1u64 << log;
    ticks_to_ns(start + (start / u64::from(STEPS)).saturating_mul(part + 1))
}

pub struct Stats {
    pub commands: Vec<CommandStats>,
    /// Replies that were errors, by their first word.
    pub errors: BTreeMap<String, u64>,
    pub error_replies: u64,
    pub protocol_errors: u64,
    pub calls: u64,
    pub connections: u64,
    pub rejected_connections: u64,
    pub input_bytes: u64,
    pub output_bytes: u64,
    /// Changes since the last save.
    pub dirty: u64,
    pub slowlog: Slowlog,
    pub latency: Latency,
    pub memory_peak: u64,
    pub output_limit_disconnections: u64,
    pub query_limit_disconnections: u64,
    pub rates: Rates,
}

/// More kinds of errors than this and the table stops growing, as it would for a script that makes them up.
const ERRORS_MAX: usize = 128;

impl Stats {
    pub fn new() -> Self {
        Self {
            commands: vec![CommandStats::default(); crate::cmd::table::all().len()],
            errors: BTreeMap::new(),
            error_replies: 0,
            protocol_errors: 0,
            calls: 0,
            connections: 0,
            rejected_connections: 0,
            input_bytes: 0,
            output_bytes: 0,
            dirty: 0,
            slowlog: Slowlog::default(),
            latency: Latency::default(),
            memory_peak: 0,
            output_limit_disconnections: 0,
            query_limit_disconnections: 0,
            rates: Rates::default(),
        }
    }

    #[inline]
    pub fn count_call(&mut self, id: usize, ticks: u64, failed: bool) {
        self.calls += 1;
        let command = &mut self.commands[id];
        command.calls += 1;
        command.ticks += ticks;
        command.failed += u64::from(failed);
        command.histogram.add(ticks);
    }

    pub fn count_rejected(&mut self, id: usize) {
        self.commands[id].rejected += 1;
    }

    /// Counts an error reply by its code.
    pub fn count_error_text(&mut self, text: &[u8]) {
        let code = text.split(|byte| *byte == b' ').next().unwrap_or_default();
        self.count_error(&String::from_utf8_lossy(code));
    }

    pub fn count_error(&mut self, code: &str) {
        self.error_replies += 1;
        if let Some(count) = self.errors.get_mut(code) {
            *count += 1;
        } else if self.errors.len() < ERRORS_MAX {
            self.errors.insert(code.to_owned(), 1);
        }
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&mut self) {
        let kept = std::mem::take(self);
        self.slowlog = kept.slowlog;
        self.latency = kept.latency;
        self.dirty = kept.dirty;
        self.memory_peak = kept.memory_peak;
    }
}

impl Default for Stats {
    fn default() -> Self {
        Self::new()
    }
}

/// Rates over the last samples, as INFO's `instantaneous_*` fields show them.
#[derive(Default)]
pub struct Rates {
    samples: VecDeque<Sample>,
}

#[derive(Clone, Copy)]
struct Sample {
    at_us: u64,
    calls: u64,
    input: u64,
    output: u64,
}

/// Commands, input bytes and output bytes per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    pub calls: f64,
    pub input: f64,
    pub output: f64,
}

impl Rates {
    const SAMPLES: usize = 16;

    pub fn sample(&mut self, at_us: u64, calls: u64, input: u64, output: u64) {
        if self.samples.len() == Self::SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample { at_us, calls, input, output });
    }

    pub fn rate(&self) -> Rate {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else { return Rate::default() };
        let seconds = last.at_us.saturating_sub(first.at_us) as f64 / 1e6;
        if seconds <= 0.0 {
            return Rate::default();
        }
        let per_second = |from: u64, to: u64| to.saturating_sub(from) as f64 / seconds;
        Rate {
            calls: per_second(first.calls, last.calls),
            input: per_second(first.input, last.input),
            output: per_second(first.output, last.output),
        }
    }
}

/// SLOWLOG: the last commands that took long.
#[derive(Default)]
pub struct Slowlog {
    pub entries: VecDeque<SlowEntry>,
    next_id: u64,
}

pub struct SlowEntry {
    pub id: u64,
    pub when_s: u64,
    pub duration_us: u64,
    pub args: Vec<Vec<u8>>,
    pub address: String,
    pub client_name: Vec<u8>,
}

/// SLOWLOG keeps so many arguments of a command, and so many bytes of each.
const SLOW_ARGS_MAX: usize = 32;
const SLOW_ARG_BYTES_MAX: usize = 128;

impl Slowlog {
    pub fn add(
        &mut self,
        when_s: u64,
        duration_us: u64,
        request: Request,
        session: &super::session::Session,
        limit: usize,
    ) {
        let entry = SlowEntry {
            id: self.next_id,
            when_s,
            duration_us,
            args: trimmed_args(request),
            address: session.peer.address.clone(),
            client_name: session.name.clone(),
        };
        self.next_id += 1;
        self.entries.push_front(entry);
        self.entries.truncate(limit);
    }
}

fn trimmed_args(request: Request) -> Vec<Vec<u8>> {
    let shown = if request.len() > SLOW_ARGS_MAX { SLOW_ARGS_MAX - 1 } else { request.len() };
    let mut args: Vec<Vec<u8>> = request
        .iter()
        .take(shown)
        .map(|arg| match arg.len().checked_sub(SLOW_ARG_BYTES_MAX) {
            Some(more) if more > 0 => {
                let mut text = arg[..SLOW_ARG_BYTES_MAX].to_vec();
                text.extend_from_slice(format!("... ({more} more bytes)").as_bytes());
                text
            }
            _ => arg.to_vec(),
        })
        .collect();
    if request.len() > shown {
        args.push(format!("... ({} more arguments)", request.len() - shown).into_bytes());
    }
    args
}

/// LATENCY: the history of events that took long.
#[derive(Default)]
pub struct Latency {
    pub events: BTreeMap<&'static str, Event>,
}

#[derive(Default)]
pub struct Event {
    /// Unix seconds and milliseconds of latency, oldest first.
    pub samples: VecDeque<(u64, u64)>,
    pub max_ms: u64,
}

const LATENCY_SAMPLES_MAX: usize = 160;

impl Latency {
    pub fn add(&mut self, event: &'static str, when_s: u64, latency_ms: u64) {
        let event = self.events.entry(event).or_default();
        event.max_ms = event.max_ms.max(latency_ms);
        match event.samples.back_mut() {
            // One sample a second: the worst.
            Some((last_s, last_ms)) if *last_s == when_s => *last_ms = (*last_ms).max(latency_ms),
            _ => event.samples.push_back((when_s, latency_ms)),
        }
        if event.samples.len() > LATENCY_SAMPLES_MAX {
            event.samples.pop_front();
        }
    }
}
