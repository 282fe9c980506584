//! How long saving takes, and how soon a server is back: SAVE, then a fresh process with the file that was written, for two sizes of values,
//! compressed and not. Time only, no CPU: a server may use all the cores that it is given.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::histogram::median;
use super::loads::{Persistence, fill};
use super::report::{Record, json_number, json_object, json_text, markdown_table, number_text};
use super::server::{Server, Spec};

/// What is asked of a restart.
pub struct Restarts<'a> {
    pub specs: &'a [Spec],
    pub record: &'a mut Record,
    /// The core of the servers; any where there is none.
    pub core: Option<usize>,
    pub folder: &'a Path,
    pub keys: u64,
    pub rounds: usize,
}

/// The digits of 100 B look random, so that compressing them is work that gains little, as with most real values.
const VALUES: [(&str, &str, usize); 2] = [("3 B", "{v}", 3), ("100 B", "{r}{r}{r}{r}{r}{r}{r}{r}{v}", 4)];

struct Times {
    save_s: f64,
    start_s: f64,
    file_bytes: f64,
}

pub fn measure(restarts: &mut Restarts) -> io::Result<String> {
    let mut rows = Vec::new();
    for (size, value, padding) in VALUES {
        let data = [fill("SET", &format!("key:{{n}} {value}"), restarts.keys, 1)];
        for compression in ["yes", "no"] {
            let mut all: Vec<Vec<Times>> = restarts.specs.iter().map(|_| Vec::new()).collect();
            for (spec, times) in restarts.specs.iter().zip(&mut all) {
                let spec = with_arguments(spec, compression);
                let mut server = Server::start(&spec, restarts.core, Persistence::Off, restarts.folder, None)?;
                server.prepare(&data, 1 << 40, padding)?;
                for _ in 0..restarts.rounds {
                    let save_s = timed(|| server.control().ask("SAVE").map(drop))?;
                    let file_bytes = std::fs::metadata(server.folder().join("dump.rdb"))?.len() as f64;
                    server.restart(&spec, restarts.core, Persistence::Off)?;
                    let start_s = server.started_in.as_secs_f64();
                    if server.control().ask("DBSIZE")? != restarts.keys.to_string() {
                        return Err(io::Error::other(format!("{} has not loaded all keys", spec.name)));
                    }
                    times.push(Times { save_s, start_s, file_bytes });
                }
                eprintln!("{size}, compression {compression}: {} done", spec.name);
            }
            for (spec, times) in restarts.specs.iter().zip(&all) {
                rows.push(row(restarts, spec, &format!("{size}, rdbcompression {compression}"), times)?);
            }
        }
    }
    let head = [
        &format!("{} keys", number_text(restarts.keys as f64, 0)),
        "server",
        "SAVE s",
        "keys/s",
        "MB/s",
        "start to first PONG s",
        "keys/s",
        "MB/s",
    ];
    Ok(markdown_table(&head.map(String::from), 2, &rows))
}

fn with_arguments(spec: &Spec, compression: &str) -> Spec {
    let mut spec = spec.clone();
    spec.arguments.extend(["--rdbcompression".into(), compression.into()]);
    spec
}

fn timed(work: impl FnOnce() -> io::Result<()>) -> io::Result<f64> {
    let begin = Instant::now();
    work()?;
    let taken: Duration = begin.elapsed();
    Ok(taken.as_secs_f64())
}

fn row(restarts: &mut Restarts, spec: &Spec, data: &str, times: &[Times]) -> io::Result<Vec<String>> {
    let middle = |figure: fn(&Times) -> f64| median(&times.iter().map(figure).collect::<Vec<_>>());
    let (save_s, start_s) = (middle(|times| times.save_s), middle(|times| times.start_s));
    let file_bytes = middle(|times| times.file_bytes);
    restarts.record.add(&json_object(&[
        ("kind", json_text("restart")),
        ("server", json_text(&spec.name)),
        ("data", json_text(data)),
        ("keys", restarts.keys.to_string()),
        ("file_bytes", json_number(file_bytes)),
        ("save_s", json_number(save_s)),
        ("start_s", json_number(start_s)),
    ]))?;
    let mut row = vec![data.to_string(), spec.name.clone()];
    for seconds in [save_s, start_s] {
        row.push(number_text(seconds, 3));
        row.push(number_text(restarts.keys as f64 / seconds, 0));
        row.push(number_text(file_bytes / seconds / 1e6, 0));
    }
    Ok(row)
}
