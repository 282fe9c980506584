//! Driving a load through somebody else's program: redis-benchmark or valkey-benchmark, pinned to the driver's core,
//! while the server's CPU time is read as for our own generator. Only loads of a single line can be expressed.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::loads::Load;
use super::server::pin;

/// What the program said.
pub struct Said {
    pub requests: u64,
    pub requests_per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub max_us: f64,
}

/// Requests of the short run that finds out how many make a run of the wanted length.
const TRIAL_REQUESTS: u64 = 20_000;

/// The program's arguments for this load, where it can express it.
pub fn arguments(load: &Load) -> Option<Vec<String>> {
    let (party, line) = load.only_line()?;
    let limits: Vec<&str> = line.split("{r").skip(1).filter_map(|after| Some(after.split_once('}')?.0)).collect();
    let is_expressible = ["{n", "{p", "{c", "{t"].iter().all(|slot| !line.contains(slot));
    if !is_expressible || limits.windows(2).any(|two| two[0] != two[1]) {
        return None;
    }
    let below = match limits.first() {
        None | Some(&"") => load.keys,
        Some(limit) => limit.strip_prefix(':')?.parse().ok()?,
    };
    let mut arguments: Vec<String> = ["-c", &party.connections.to_string(), "-P", &party.pipeline.to_string()]
        .iter()
        .chain(&["-r", &below.to_string(), "--csv"])
        .map(|argument| argument.to_string())
        .collect();
    let value = "x".repeat(load.value_bytes);
    let slot = limits.first().map_or(String::new(), |limit| format!("{{r{limit}}}"));
    arguments.extend(line.split(' ').map(|word| {
        let word = word.replace("{v}", &value);
        if slot.is_empty() { word } else { word.replace(&slot, "__rand_int__") }
    }));
    Some(arguments)
}

/// How many requests make a run of this length.
pub fn requests_for(
    program: &Path,
    core: Option<usize>,
    load: &Load,
    port: u16,
    duration: Duration,
) -> io::Result<u64> {
    let trial = run(program, core, load, port, TRIAL_REQUESTS)?;
    Ok(((trial.requests_per_second * duration.as_secs_f64()) as u64).max(TRIAL_REQUESTS))
}

pub fn run(program: &Path, core: Option<usize>, load: &Load, port: u16, requests: u64) -> io::Result<Said> {
    let arguments = arguments(load).ok_or_else(|| io::Error::other("a benchmark program cannot express this load"))?;
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-n", &requests.to_string()]).args(arguments);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    if let Some(core) = core {
        // SAFETY: between fork and exec only one system call is made, on memory of its frame.
        unsafe { command.pre_exec(move || pin(core)) };
    }
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text, requests).ok_or_else(|| io::Error::other(format!("not understood: {}", text.trim())))
}

/// The last line: `"test","rps","avg","min","p50","p95","p99","max"`, latencies in milliseconds. The test's name may
/// hold anything, so fields are counted from the end.
pub fn parse(text: &str, requests: u64) -> Option<Said> {
    let line = text.lines().rev().find(|line| line.ends_with('"'))?;
    let mut fields = line.trim_matches('"').rsplit("\",\"").map(|field| field.parse::<f64>().ok());
    let mut next = || fields.next().flatten();
    let (max, p99, _p95, p50, _min, _average) = (next()?, next()?, next()?, next()?, next()?, next()?);
    let requests_per_second = next()?;
    Some(Said { requests, requests_per_second, p50_us: p50 * 1e3, p99_us: p99 * 1e3, max_us: max * 1e3 })
}
