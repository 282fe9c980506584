//! What was measured, as Markdown for people and as JSON lines for later. Medians over rounds; a ratio is the median of
//! the ratios within the rounds, since both servers of a round met the same machine. Who measures: `main.rs`.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::histogram::{least, median, most};

/// One number of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    Throughput,
    CpuUs,
    P50Us,
    P99Us,
    P999Us,
    MaxUs,
    RssMib,
    PeakMib,
    BusyPercent,
    DriverPercent,
}

/// How a figure is called, how many decimals it needs, and whether more of it is better.
struct Describe {
    figure: Figure,
    title: &'static str,
    json: &'static str,
    decimals: usize,
    more_is_better: bool,
    has_range: bool,
}

const fn describe(
    figure: Figure,
    title: &'static str,
    json: &'static str,
    decimals: usize,
    more_is_better: bool,
    has_range: bool,
) -> Describe {
    Describe { figure, title, json, decimals, more_is_better, has_range }
}

/// In the order of `Figure`.
const FIGURES: [Describe; 10] = [
    describe(Figure::Throughput, "requests/s", "requests_per_second", 0, true, true),
    describe(Figure::CpuUs, "CPU µs/request", "cpu_us", 3, false, true),
    describe(Figure::P50Us, "p50 µs", "p50_us", 0, false, false),
    describe(Figure::P99Us, "p99 µs", "p99_us", 0, false, false),
    describe(Figure::P999Us, "p99.9 µs", "p999_us", 0, false, false),
    describe(Figure::MaxUs, "max µs", "max_us", 0, false, false),
    describe(Figure::RssMib, "RSS MiB", "rss_mib", 1, false, false),
    describe(Figure::PeakMib, "peak MiB", "peak_mib", 1, false, false),
    describe(Figure::BusyPercent, "busy %", "busy_percent", 0, false, false),
    describe(Figure::DriverPercent, "driver %", "driver_percent", 0, false, false),
];

/// What one server did in one round of one load.
#[derive(Clone, Debug)]
pub struct Round {
    pub load: String,
    pub server: String,
    pub number: usize,
    pub figures: [f64; FIGURES.len()],
    pub errors: u64,
    pub first_error: Option<String>,
}

impl Round {
    fn figure(&self, figure: Figure) -> f64 {
        self.figures[figure as usize]
    }

    pub fn json(&self) -> String {
        let mut fields = vec![
            ("kind", json_text("round")),
            ("load", json_text(&self.load)),
            ("server", json_text(&self.server)),
            ("round", self.number.to_string()),
        ];
        fields.extend(FIGURES.iter().map(|one| (one.json, json_number(self.figure(one.figure)))));
        fields.push(("errors", self.errors.to_string()));
        fields.extend(self.first_error.iter().map(|error| ("first_error", json_text(error))));
        json_object(&fields)
    }
}

/// All rounds of a run.
#[derive(Default)]
pub struct Results {
    pub rounds: Vec<Round>,
}

impl Results {
    fn values(&self, load: &str, server: &str, figure: Figure) -> Vec<f64> {
        let of_both = self.rounds.iter().filter(|round| round.load == load && round.server == server);
        of_both.map(|round| round.figure(figure)).collect()
    }

    /// The median over rounds of `server`'s figure by that of `other`.
    pub fn ratio(&self, load: &str, server: &str, other: &str, figure: Figure) -> f64 {
        let (ours, theirs) = (self.values(load, server, figure), self.values(load, other, figure));
        let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(our, their)| our / their).collect();
        median(&ratios)
    }

    /// The other server that does best at this load.
    pub fn better_peer(&self, load: &str, server: &str, figure: Figure) -> Option<String> {
        let sign = if FIGURES[figure as usize].more_is_better { -1.0 } else { 1.0 };
        let badness = |peer: &String| sign * median(&self.values(load, peer, figure));
        let peers = self.servers(load).into_iter().filter(|peer| peer != server);
        peers.filter(|peer| !badness(peer).is_nan()).min_by(|one, other| badness(one).total_cmp(&badness(other)))
    }

    pub fn loads(&self) -> Vec<String> {
        distinct(self.rounds.iter().map(|round| &round.load))
    }

    fn servers(&self, load: &str) -> Vec<String> {
        distinct(self.rounds.iter().filter(|round| round.load == load).map(|round| &round.server))
    }

    /// The figures, with the least and the most of the rounds where that tells how far to trust them.
    pub fn figures_table(&self) -> String {
        let titles: Vec<String> = FIGURES.iter().map(|one| one.title.into()).collect();
        self.table(&titles, |load, server| {
            FIGURES.iter().map(|one| figure_text(one, &self.values(load, server, one.figure))).collect()
        })
    }

    /// Each figure by that of the base and, behind the slash, by that of the best other server.
    pub fn ratios_table(&self, base: &str) -> String {
        let titles: Vec<String> = FIGURES.iter().map(|one| one.title.into()).collect();
        self.table(&titles, |load, server| {
            let ratios = FIGURES.iter().map(|one| {
                let to_base = self.ratio(load, server, base, one.figure);
                let peer = self.better_peer(load, server, one.figure);
                let to_peer = peer.map_or(f64::NAN, |peer| self.ratio(load, server, &peer, one.figure));
                format!("{} / {}", number_text(to_base, 2), number_text(to_peer, 2))
            });
            ratios.collect()
        })
    }

    /// Loads that drew errors: their figures mean little.
    pub fn errors_list(&self) -> String {
        let mut text = String::new();
        for round in self.rounds.iter().filter(|round| round.errors > 0) {
            let first = round.first_error.as_deref().unwrap_or("?");
            let _ = writeln!(
                text,
                "- {} on {}, round {}: {} errors, `{first}`",
                round.load, round.server, round.number, round.errors
            );
        }
        text
    }

    fn table(&self, titles: &[String], cells: impl Fn(&str, &str) -> Vec<String>) -> String {
        let mut head = vec!["load".to_string(), "server".to_string()];
        head.extend_from_slice(titles);
        let mut rows = Vec::new();
        for load in self.loads() {
            for server in self.servers(&load) {
                let mut row = vec![load.clone(), server.clone()];
                row.extend(cells(&load, &server));
                rows.push(row);
            }
        }
        markdown_table(&head, 2, &rows)
    }
}

/// To standard output; whoever reads it may stop after a few lines, the run goes on for its record.
pub fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// The first `names` columns are text, the others numbers.
pub fn markdown_table(head: &[String], names: usize, rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule: Vec<String> = (0..head.len()).map(|column| if column < names { "---" } else { "--:" }.into()).collect();
    let mut text = line(head) + &format!("|{}|\n", rule.join("|"));
    rows.iter().for_each(|row| text += &line(row));
    text
}

fn figure_text(describe: &Describe, values: &[f64]) -> String {
    let text = number_text(median(values), describe.decimals);
    if !describe.has_range || values.len() < 2 {
        return text;
    }
    let (least, most) = (number_text(least(values), describe.decimals), number_text(most(values), describe.decimals));
    format!("{text} ({least}–{most})")
}

/// With commas between thousands; a dash for what was not measured.
pub fn number_text(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let plain = format!("{value:.decimals$}");
    let (whole, fraction) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        let left = whole.len() - index;
        if index > 0 && left.is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + fraction
}

fn distinct<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for name in names {
        if !seen.contains(name) {
            seen.push(name.clone());
        }
    }
    seen
}

pub fn json_text(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control < ' ' => drop(write!(quoted, "\\u{:04x}", control as u32)),
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

pub fn json_number(value: f64) -> String {
    if value.is_finite() { format!("{}", (value * 1000.0).round() / 1000.0) } else { "null".into() }
}

pub fn json_object(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{}:{value}", json_text(name))).collect();
    format!("{{{}}}", fields.join(","))
}

/// The machine that a run was made on.
pub struct Machine {
    pub name: String,
    pub cpu: String,
    pub kernel: String,
    pub date: String,
    pub time: String,
}

impl Machine {
    pub fn here(name: Option<&String>) -> Machine {
        let cpu = cpu_model();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (date, time) = now_utc();
        let name = name.cloned().unwrap_or_else(|| format!("{cores}x-{}", slug(&cpu)));
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().into();
        Machine { name, cpu, kernel, date, time }
    }
}

fn cpu_model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or(std::env::consts::ARCH.into(), |(_, name)| name.trim().into())
}

fn slug(text: &str) -> String {
    let dashed: String =
        text.to_lowercase().chars().map(|one| if one.is_ascii_alphanumeric() { one } else { '-' }).collect();
    dashed.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

fn now_utc() -> (String, String) {
    let seconds = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()) as libc::time_t;
    // SAFETY: both pointers are to variables of this frame.
    let time = unsafe {
        let mut time: libc::tm = std::mem::zeroed();
        libc::gmtime_r(&seconds, &mut time);
        time
    };
    let date = format!("{:04}-{:02}-{:02}", time.tm_year + 1900, time.tm_mon + 1, time.tm_mday);
    (date, format!("{:02}:{:02}:{:02}Z", time.tm_hour, time.tm_min, time.tm_sec))
}

/// Where raw results go: a line of JSON for the run, then one for each figure of it.
pub struct Record {
    file: Option<File>,
    pub path: PathBuf,
}

impl Record {
    pub fn open(folder: &Path, machine: &Machine) -> io::Result<Record> {
        let folder = folder.join(format!("{}-{}", machine.date, machine.name));
        std::fs::create_dir_all(&folder)?;
        let path = folder.join("load.jsonl");
        Ok(Record { file: Some(OpenOptions::new().create(true).append(true).open(&path)?), path })
    }

    pub fn none() -> Record {
        Record { file: None, path: PathBuf::new() }
    }

    pub fn add(&mut self, json: &str) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), |file| writeln!(file, "{json}"))
    }
}
