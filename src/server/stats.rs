//! What the server counts: calls, errors, slow commands, latency events.
//!
//! Counting a call is three additions and one histogram step; everything else happens when somebody asks.

use std::collections::{BTreeMap, VecDeque};

use crate::cmd::table::Entry;
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

/// Counts durations in buckets, four to each power of two: a percentile is right to about 12 %.
///
/// Durations are in ticks; what a tick is in nanoseconds is worked out when somebody looks.
#[derive(Clone, Default)]
pub struct Histogram {
    /// Made with the first duration: most commands are never called.
    buckets: Option<Box<[u64; BUCKETS]>>,
}

/// Buckets to one power of two, as a power of two.
const STEPS_LOG: u32 = 2;
/// Up to 2^40 ticks, some minutes; what takes longer is counted in the last.
const BUCKETS: usize = 40 << STEPS_LOG;

impl Histogram {
    #[inline]
    fn add(&mut self, ticks: u64) {
        let buckets = self.buckets.get_or_insert_with(|| Box::new([0; BUCKETS]));
        buckets[bucket_of(ticks)] += 1;
    }

    /// Buckets that are not empty, shortest first: their upper end in nanoseconds and how many durations fell into them.
    fn counts(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let buckets = self.buckets.iter().flat_map(|buckets| buckets.iter().enumerate());
        buckets.filter(|(_, count)| **count > 0).map(|(bucket, &count)| (ticks_to_ns(bucket_end(bucket)), count))
    }

    pub fn count(&self) -> u64 {
        self.counts().map(|(_, count)| count).sum()
    }

    /// Nanoseconds below which `percent` of the durations lie.
    pub fn percentile_ns(&self, percent: f64) -> u64 {
        let wanted = ((self.count() as f64 * percent / 100.0).ceil() as u64).max(1);
        let mut seen = 0;
        let mut last_ns = 0;
        for (end_ns, count) in self.counts() {
            seen += count;
            last_ns = end_ns;
            if seen >= wanted {
                break;
            }
        }
        last_ns
    }

    /// Cumulative counts as LATENCY HISTOGRAM shows them: up to powers of two nanoseconds, of which Redis's histogram counts one in 128 more as
    /// equal. What took longer than a second counts there.
    pub fn cumulative_us(&self) -> Vec<(u64, u64)> {
        let mut rows: Vec<(u64, u64)> = Vec::new();
        let mut seen = 0;
        for (end_ns, count) in self.counts() {
            seen += count;
            let power_ns = end_ns.clamp(1 << 10, 1 << 30).next_power_of_two();
            let us = (power_ns + power_ns / 128 - 1) / 1000;
            match rows.last_mut() {
                Some((last, total)) if *last == us => *total = seen,
                _ => rows.push((us, seen)),
            }
        }
        rows
    }
}

#[inline]
fn bucket_of(ticks: u64) -> usize {
    let ticks = ticks.max(1 << STEPS_LOG);
    let log = ticks.ilog2();
    let part = ticks >> (log - STEPS_LOG) & ((1 << STEPS_LOG) - 1);
    (((log << STEPS_LOG) as usize) + part as usize).min(BUCKETS - 1)
}

/// The first duration, in ticks, that is too long for a bucket.
fn bucket_end(bucket: usize) -> u64 {
    let (log, part) = (bucket >> STEPS_LOG, bucket as u64 & ((1 << STEPS_LOG) - 1));
    let start = 1u64 << log;
    start + ((start * (part + 1)) >> STEPS_LOG)
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
    /// Replicas that got everything, that could go on, and that could not.
    pub full_syncs: u64,
    /// Bytes sent to replicas.
    pub replica_output_bytes: u64,
    /// Bytes of a primary's stream, and requests in it that were answered with an error.
    pub primary_input_bytes: u64,
    pub unexpected_errors: u64,
    pub partial_syncs: u64,
    pub partial_syncs_refused: u64,
    pub evicted_clients: u64,
    pub input_bytes: u64,
    pub output_bytes: u64,
    /// Changes since the last save.
    pub dirty: u64,
    pub slowlog: CommandLog,
    pub large_requests: CommandLog,
    pub large_replies: CommandLog,
    pub latency: Latency,
    pub memory_peak: u64,
    /// When memory was at its peak, in Unix seconds.
    pub memory_peak_s: u64,
    /// Reads from and writes to sockets, and turns of the loop around that had something to do, as that loop counts them.
    pub reads: u64,
    pub writes: u64,
    pub turns: u64,
    pub turns_us: u64,
    /// Ticks spent in commands; those that other commands ran are in these.
    pub command_ticks: u64,
    pub memory_excess: Excess,
    /// Time spent on removing lapsed keys, and how often it ended for want of time.
    pub expiry_us: u64,
    pub expiry_budget_exceeded: u64,
    /// Values handed to a thread to be freed.
    pub freed_later: u64,
    pub output_limit_disconnections: u64,
    pub query_limit_disconnections: u64,
    /// When the log last told of a connection cut off for speaking HTTP.
    pub cut_off_logged_ms: u64,
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
            full_syncs: 0,
            replica_output_bytes: 0,
            primary_input_bytes: 0,
            unexpected_errors: 0,
            partial_syncs: 0,
            partial_syncs_refused: 0,
            evicted_clients: 0,
            input_bytes: 0,
            output_bytes: 0,
            dirty: 0,
            slowlog: CommandLog::default(),
            large_requests: CommandLog::default(),
            large_replies: CommandLog::default(),
            latency: Latency::default(),
            memory_peak: 0,
            memory_peak_s: 0,
            reads: 0,
            writes: 0,
            turns: 0,
            turns_us: 0,
            command_ticks: 0,
            memory_excess: Excess::default(),
            expiry_us: 0,
            expiry_budget_exceeded: 0,
            freed_later: 0,
            output_limit_disconnections: 0,
            query_limit_disconnections: 0,
            cut_off_logged_ms: 0,
            rates: Rates::default(),
        }
    }

    /// Counts one call; `in_histogram` as `latency-tracking` says.
    #[inline]
    pub fn count_call(&mut self, id: usize, ticks: u64, failed: bool, in_histogram: bool) {
        self.calls += 1;
        let command = &mut self.commands[id];
        command.calls += 1;
        command.ticks += ticks;
        command.failed += u64::from(failed);
        if in_histogram {
            command.histogram.add(ticks);
        }
    }

    /// Notes how much memory is in use now, for the peak.
    pub fn note_memory(&mut self, used: u64, now_s: u64) {
        if used > self.memory_peak {
            (self.memory_peak, self.memory_peak_s) = (used, now_s);
        }
    }

    /// Takes a sample of everything that is shown as a rate.
    pub fn sample_rates(&mut self, at_us: u64) {
        let totals = Totals {
            calls: self.calls,
            input_bytes: self.input_bytes,
            output_bytes: self.output_bytes,
            primary_input_bytes: self.primary_input_bytes,
            replica_output_bytes: self.replica_output_bytes,
            turns: self.turns,
            turns_us: self.turns_us,
        };
        self.rates.sample(at_us, totals);
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
        self.large_requests = kept.large_requests;
        self.large_replies = kept.large_replies;
        self.latency = kept.latency;
        self.dirty = kept.dirty;
        self.memory_peak = kept.memory_peak;
        self.memory_peak_s = kept.memory_peak_s;
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
    totals: Totals,
}

/// What is counted without end and shown as a rate too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    pub calls: u64,
    pub input_bytes: u64,
    pub output_bytes: u64,
    pub primary_input_bytes: u64,
    pub replica_output_bytes: u64,
    pub turns: u64,
    pub turns_us: u64,
}

impl Rates {
    const SAMPLES: usize = 16;

    pub fn sample(&mut self, at_us: u64, totals: Totals) {
        if self.samples.len() == Self::SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample { at_us, totals });
    }

    /// How much a total grew in a second.
    pub fn per_second(&self, total: fn(&Totals) -> u64) -> f64 {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else { return 0.0 };
        let seconds = last.at_us.saturating_sub(first.at_us) as f64 / 1e6;
        if seconds <= 0.0 {
            return 0.0;
        }
        total(&last.totals).saturating_sub(total(&first.totals)) as f64 / seconds
    }

    /// Microseconds that a turn took.
    pub fn turn_us(&self) -> f64 {
        let turns = self.per_second(|totals| totals.turns);
        if turns > 0.0 { self.per_second(|totals| totals.turns_us) / turns } else { 0.0 }
    }
}

/// For how long more memory has been in use than `maxmemory` allows.
#[derive(Default)]
pub struct Excess {
    since_us: Option<u64>,
    before_us: u64,
}

impl Excess {
    /// Whether it is more just now.
    #[inline]
    pub fn note(&mut self, exceeds: bool, now_us: u64) {
        match self.since_us {
            None if exceeds => self.since_us = Some(now_us),
            Some(since_us) if !exceeds => {
                self.before_us += now_us.saturating_sub(since_us);
                self.since_us = None;
            }
            _ => {}
        }
    }

    /// Since it began this time.
    pub fn current_us(&self, now_us: u64) -> u64 {
        self.since_us.map_or(0, |since_us| now_us.saturating_sub(since_us))
    }

    /// In all.
    pub fn total_us(&self, now_us: u64) -> u64 {
        self.before_us + self.current_us(now_us)
    }
}

/// The last commands that took long, or came with or were answered with many bytes: SLOWLOG and COMMANDLOG.
#[derive(Default)]
pub struct CommandLog {
    pub entries: VecDeque<LogEntry>,
    next_id: u64,
}

pub struct LogEntry {
    pub id: u64,
    pub when_s: u64,
    /// Microseconds or bytes.
    pub value: u64,
    pub args: Vec<Vec<u8>>,
    pub address: String,
    pub client_name: Vec<u8>,
}

/// A log keeps so many arguments of a command, and so many bytes of each.
const SLOW_ARGS_MAX: usize = 32;
const SLOW_ARG_BYTES_MAX: usize = 128;

impl CommandLog {
    pub fn add(
        &mut self,
        when_s: u64,
        value: u64,
        entry: &Entry,
        request: Request,
        client: Option<&super::session::Session>,
        limit: usize,
    ) {
        let entry = LogEntry {
            id: self.next_id,
            when_s,
            value,
            args: trimmed_args(entry, request),
            address: client.map(|client| client.peer.address.clone()).unwrap_or_default(),
            client_name: client.map(|client| client.name.clone()).unwrap_or_default(),
        };
        self.next_id += 1;
        self.entries.push_front(entry);
        self.entries.truncate(limit);
    }
}

/// Where a value begins to be logged: never with a negative threshold.
pub fn reaches(value: u64, threshold: i64) -> bool {
    u64::try_from(threshold).is_ok_and(|threshold| value >= threshold)
}

fn trimmed_args(entry: &Entry, request: Request) -> Vec<Vec<u8>> {
    let shown = if request.len() > SLOW_ARGS_MAX { SLOW_ARGS_MAX - 1 } else { request.len() };
    let mut args: Vec<Vec<u8>> = (0..shown).map(|index| trimmed_arg(entry.shown_arg(request, index))).collect();
    if request.len() > shown {
        args.push(format!("... ({} more arguments)", request.len() - shown).into_bytes());
    }
    args
}

fn trimmed_arg(arg: &[u8]) -> Vec<u8> {
    match arg.len().checked_sub(SLOW_ARG_BYTES_MAX) {
        Some(more @ 1..) => [&arg[..SLOW_ARG_BYTES_MAX], format!("... ({more} more bytes)").as_bytes()].concat(),
        _ => arg.to_vec(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_in_its_bucket() {
        for ticks in (4..5_000).chain((5_000..50_000_000).step_by(4_999)) {
            let bucket = bucket_of(ticks);
            assert!(ticks < bucket_end(bucket), "{ticks} is too long for bucket {bucket}");
            assert!(ticks >= bucket_end(bucket - 1), "{ticks} is too short for bucket {bucket}");
        }
        assert_eq!(bucket_of(0), bucket_of(4));
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn rates_are_of_the_last_samples() {
        let mut rates = Rates::default();
        let calls = |totals: &Totals| totals.calls;
        rates.sample(0, Totals { calls: 1_000_000, ..Totals::default() });
        assert_eq!((rates.per_second(calls), rates.turn_us()), (0.0, 0.0));
        for second in 1..=Rates::SAMPLES as u64 {
            let totals =
                Totals { calls: 2_000_000 + 7 * second, turns: 2 * second, turns_us: 30 * second, ..Totals::default() };
            rates.sample(second * 1_000_000, totals);
        }
        assert_eq!((rates.per_second(calls), rates.turn_us()), (7.0, 15.0));
    }

    #[test]
    fn an_excess_is_timed_from_its_beginning() {
        let mut excess = Excess::default();
        for (exceeds, now_us) in [(false, 5), (true, 10), (true, 20), (false, 30), (false, 40), (true, 100)] {
            excess.note(exceeds, now_us);
        }
        assert_eq!((excess.current_us(107), excess.total_us(107)), (7, 27));
        excess.note(false, 110);
        assert_eq!((excess.current_us(200), excess.total_us(200)), (0, 30));
    }

    #[test]
    fn percentiles_and_cumulative_counts() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.count(), histogram.percentile_ns(50.0)), (0, 0));
        (0..99).for_each(|_| histogram.add(1_000));
        histogram.add(1_000_000_000);
        assert_eq!(histogram.count(), 100);
        let (median, worst) = (histogram.percentile_ns(50.0), histogram.percentile_ns(100.0));
        assert!(median == histogram.percentile_ns(99.0) && median < worst);
        let rows = histogram.cumulative_us();
        assert_eq!(rows.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [99, 100]);
        let known = |us| (10..=30).any(|bits| us == ((1u64 << bits) + (1 << (bits - 7)) - 1) / 1000);
        assert!(rows.iter().all(|(us, _)| known(*us)), "{rows:?}");
    }
}
