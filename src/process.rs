//! What concerns the process rather than the server: its log, its first words, its source of randomness.

use crate::config::Config;

/// Sends the log where the configuration says.
pub fn start_log(_config: &Config) {
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_writer(std::io::stdout).finish();
    // A second call (tests in one process) keeps the first log.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// A seed that nobody can guess.
pub fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

/// Says where the server listens and what becomes of the data, and writes the port file.
pub fn say_hello(config: &Config, port: Option<u16>) {
    if let Some(port) = port {
        tracing::info!("Ready to accept connections tcp on port {port}");
    }
    if let Some(path) = config.port_file.path_if_set() {
        let port = port.unwrap_or(0);
        if let Err(error) = std::fs::write(path, format!("{port}\n")) {
            tracing::warn!("Could not write the port file {}: {error}", path.display());
        }
    }
}
