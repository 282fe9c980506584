//! Append-only logs under test: what is broken never harms, whichever of its files is broken.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::snapshots::{GOOD, damage};
use super::{Chooser, Playground};
use crate::config::Config;
use crate::persist::aof::Manifest;
use crate::persist::aof::flusher::{Order, Report};
use crate::persist::disk::hostile::HostileDisk;
use crate::process::keeper::{Fatal, Hands, Keeper, Progress};

/// Nobody's: a load orders nothing that matters.
struct NoHands;

impl Hands for NoHands {
    fn send(&mut self, _: Order) {}

    fn report(&mut self) -> Option<Report> {
        None
    }

    fn finish(&mut self) -> Vec<Report> {
        Vec::new()
    }
}

const MANIFEST: &str = "appendonlydir/appendonly.aof.manifest";
const BASE: &str = "appendonlydir/appendonly.aof.1.base.rdb";
const FIRST: &str = "appendonlydir/appendonly.aof.1.incr.aof";
const SECOND: &str = "appendonlydir/appendonly.aof.2.incr.aof";

/// A log with something of everything.
fn log() -> HostileDisk {
    let disk = HostileDisk::default();
    let names = [(BASE, 'b', 1), (FIRST, 'i', 1), (SECOND, 'i', 2)];
    let lines = names.map(|(path, kind, number)| {
        let name = path.rsplit('/').next().unwrap_or(path);
        format!("file {name} seq {number} type {kind}\n")
    });
    disk.put(Path::new(MANIFEST), lines.concat().as_bytes());
    disk.put(Path::new(BASE), &GOOD);
    let increment = |lines: &[&str]| -> Vec<u8> {
        let request = |line: &&str| {
            let words: Vec<&str> = line.split(' ').collect();
            let args: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
            format!("*{}\r\n{args}", words.len())
        };
        lines.iter().map(request).collect::<String>().into_bytes()
    };
    disk.put(
        Path::new(FIRST),
        &increment(&["SELECT 0", "SET a 1", "MULTI", "INCR a", "RPUSH list x", "EXEC", "DEL hash"]),
    );
    let mut second = b"#TS:1700000000\r\n".to_vec();
    second.extend(increment(&[
        "SELECT 3",
        "SADD s a b c",
        "SPOP s",
        "XADD stream 9999-1 f v",
        "PEXPIREAT s 99999999999999",
    ]));
    disk.put(Path::new(SECOND), &second);
    disk
}

/// A server that has loaded what is on the disk, if that can be loaded.
fn loaded(disk: &HostileDisk) -> Result<Playground, Fatal> {
    let mut config = Config::default();
    config.set(&[(&b"appendonly"[..], &b"yes"[..]), (b"aof-load-truncated", b"yes")], true).expect("directives");
    let mut playground = Playground::new(config, 11);
    let server = &mut playground.server;
    let mut keeper = Keeper::start(server, PathBuf::new(), Arc::new(disk.clone()), Box::new(NoHands))?;
    while keeper.load(server, u64::MAX)? == Progress::Loading {}
    playground.server.keyspace.check();
    Ok(playground)
}

/// Damages one or two files of a log, or puts anything in their place.
pub fn fuzz_logs(data: &[u8]) {
    let mut choose = Chooser::new(data);
    let disk = log();
    for _ in 0..1 + choose.below(2) {
        let path = Path::new([MANIFEST, BASE, FIRST, SECOND][choose.below(4)]);
        let mut bytes = disk.contents(path).unwrap_or_default();
        match choose.below(8) {
            0 => bytes = data.to_vec(),
            1 => bytes.clear(),
            how => damage(&mut bytes, &mut choose, how < 4),
        }
        disk.put(path, &bytes);
    }
    if let Ok(manifest) = Manifest::parse(&disk.contents(Path::new(MANIFEST)).unwrap_or_default()) {
        let again = Manifest::parse(&manifest.to_text());
        assert!(again.is_ok_and(|again| again.to_text() == manifest.to_text()), "a manifest reads what it writes");
    }
    if loaded(&disk).is_ok() {
        // What was cut is cut for good: the next load is as long, and finds nothing wrong.
        assert!(loaded(&disk).is_ok(), "what has been loaded loads again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_log_is_loaded() {
        let mut playground = loaded(&log()).unwrap_or_else(|Fatal(text)| panic!("{text}"));
        assert_eq!(playground.run("", ["GET", "a"].iter()), b"$1\r\n2\r\n");
        playground.run("", ["SELECT", "3"].iter());
        assert_eq!(playground.run("", ["SCARD", "s"].iter()), b":2\r\n");
    }
}
