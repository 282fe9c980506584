//! What a server says when it starts: where it listens, what becomes of the data, and where files go.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use crate::config::Config;

/// Once connections are taken, if not served yet: who is speaking. Redis's own test suite connects when it reads the process's number.
pub fn say_hello(config: &Config) {
    let source = match &config.file {
        Some(file) => format!("configuration file {}", file.display()),
        None => "no configuration file".into(),
    };
    tracing::debug!(
        "runnel {} as Redis {}, PID: {}, {} bits, {source}",
        env!("CARGO_PKG_VERSION"),
        config.compat_version,
        std::process::id(),
        usize::BITS,
    );
}

/// Once clients can come in: the three lines that everybody sees.
pub fn say_ready(config: &Config, addresses: &[SocketAddr], tls_addresses: &[SocketAddr]) {
    // Redis's own test suite waits for these two words.
    tracing::debug!("Server initialized");
    tracing::info!("Persistence: {}", persistence(config));
    tracing::info!("Working folder: {}", config.dir.display());
    let mut ways = Vec::new();
    for (way, addresses) in [("tcp", addresses), ("tls", tls_addresses)] {
        if !addresses.is_empty() {
            let addresses: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
            ways.push(format!("{way} on {}", addresses.join(", ")));
        }
    }
    if let Some(path) = config.unixsocket.path_if_set() {
        ways.push(format!("unix on {}", path.display()));
    }
    tracing::info!("Ready to accept connections {}", ways.join(" and "));
}

/// What becomes of the data, in one line.
fn persistence(config: &Config) -> String {
    let mut ways = Vec::new();
    if config.appendonly {
        let synced = config.appendfsync.word();
        ways.push(format!(
            "every change is appended to the log in {} (appendfsync {synced})",
            config.appenddirname.display()
        ));
    }
    if !config.save.0.is_empty() {
        let rules: Vec<String> =
            config.save.0.iter().map(|rule| format!("{} changes in {} s", rule.changes, rule.seconds)).collect();
        ways.push(format!("a snapshot goes to {} after {}", config.dbfilename.display(), rules.join(" or ")));
    }
    if ways.is_empty() {
        return "none is configured, the data is in memory only and ends with the process".into();
    }
    ways.join("; ")
}

/// Puts the port where whoever started the server looks for it: all of it or nothing, so that nobody reads half a number.
pub fn write_port_file(path: &Path, port: u16) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    std::fs::write(&name, format!("{port}\n"))?;
    std::fs::rename(&name, path)
}
