//! No arrow points up: the layers of ARCHITECTURE.md, held against the `use crate::…` lines.

use std::fs;
use std::path::{Path, PathBuf};

/// Each layer with those it may look at. `server` and `cmd` may see each other; everything may see `util`.
const LAYERS: &[(&str, &[&str])] = &[
    ("util", &[]),
    ("ds", &[]),
    ("types", &["ds"]),
    ("config", &[]),
    ("resp", &["ds"]),
    ("db", &["config", "ds", "resp", "types"]),
    ("journal", &["db", "resp"]),
    ("persist", &["config", "db", "ds", "journal", "resp", "types"]),
    ("cmd", &["config", "db", "ds", "persist", "resp", "server", "types"]),
    ("server", &["cmd", "config", "db", "ds", "journal", "persist", "resp", "types"]),
];

/// What the lower layers must not know.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("ds", &["std::fs", "std::net", "std::time", "tokio", "tracing"]),
    ("types", &["std::fs", "std::net", "std::time", "tokio", "tracing", "unsafe {"]),
    ("db", &["std::fs", "std::net", "std::time", "tokio", "unsafe {"]),
    ("cmd", &["std::fs", "std::net", "std::time", "tokio", "unsafe {"]),
    // An address is a value; a socket is not.
    ("server", &["std::fs", "std::net::Tcp", "std::net::Udp", "std::time", "tokio", "unsafe {"]),
];

fn sources(layer: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let file = root.join(format!("{layer}.rs"));
    let mut found: Vec<PathBuf> = file.exists().then_some(file).into_iter().collect();
    let mut folders = vec![root.join(layer)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("the tree can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// The file's text without its tests, which may look at anything.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("the file can be read");
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
}

#[test]
fn no_layer_looks_up() {
    for (layer, allowed) in LAYERS {
        for path in sources(layer).iter().filter(|path| !path.ends_with("tests.rs")) {
            for line in code(path).lines().filter(|line| !line.trim_start().starts_with("//")) {
                for used in line.split("crate::").skip(1) {
                    let used = used.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                    let known = LAYERS.iter().any(|(name, _)| *name == used) || used == "net" || used == "process";
                    let fine = !known || used == *layer || used == "util" || allowed.contains(&used);
                    assert!(fine, "{}: {layer} must not look at {used}: {line}", path.display());
                }
            }
        }
    }
}

#[test]
fn the_lower_layers_know_no_clock_file_or_socket() {
    for (layer, forbidden) in FORBIDDEN {
        for path in sources(layer).iter().filter(|path| !path.ends_with("tests.rs")) {
            // The family of values is one list of transmutations, explained where it stands.
            if path.ends_with("types/value.rs") {
                continue;
            }
            let code = code(path);
            for word in *forbidden {
                let used = code.lines().any(|line| line.contains(word) && !line.trim_start().starts_with("//"));
                assert!(!used, "{} must not use {word}", path.display());
            }
        }
    }
}
