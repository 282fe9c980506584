//! Loads the snapshot before anybody is let in, and tells how far it has got.
//!
//! A file that cannot be read to its end keeps the server from starting: with half of the data it would soon save that half.

use std::io;

use crate::persist::disk::RealDisk;
use crate::server::Server;
use crate::server::snapshots::{Keeping, Load, LoadError};
use crate::util::clock::monotonic_us;

const TELL_EVERY_US: u64 = 1_000_000;
const PARTS_AT_ONCE: usize = 16 * 1024;

/// Loads the snapshot if there is one. The error says which file, where in it, and why.
pub fn snapshot(server: &mut Server) -> Result<(), String> {
    let path = server.snapshot_path();
    let began_us = monotonic_us();
    let mut load = match Load::open(server, &RealDisk, &path, Keeping { lapsed: false, replace: false }) {
        Ok(load) => load,
        Err(LoadError::Disk(error)) if error.error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fatal(&error.to_string())),
    };
    let mut told = Told { us: began_us, bytes: 0 };
    loop {
        match load.step(server, PARTS_AT_ONCE) {
            Ok(false) => told.tell(&load),
            Ok(true) => break,
            Err(error) => return Err(fatal(&LoadError::File(path, error).to_string())),
        }
    }
    tracing::info!("Done loading RDB, keys loaded: {}, keys expired: {}.", load.keys, load.lapsed);
    tracing::info!("DB loaded from disk: {:.3} seconds", (monotonic_us() - began_us) as f64 / 1e6);
    server.snapshots.loaded_keys = load.keys;
    server.snapshots.lapsed_keys = load.lapsed;
    Ok(())
}

fn fatal(reason: &str) -> String {
    format!("Fatal error loading the DB: {reason}. Exiting. (`runnel-server --check-rdb` tells more.)")
}

/// What was last said of the progress.
struct Told {
    us: u64,
    bytes: u64,
}

impl Told {
    fn tell(&mut self, load: &Load) {
        let now_us = monotonic_us();
        let passed_us = now_us - self.us;
        if passed_us < TELL_EVERY_US {
            return;
        }
        let offset = load.offset();
        let percent = offset as f64 * 100.0 / load.size.max(1) as f64;
        // Bytes in a microsecond are megabytes in a second.
        let speed = (offset - self.bytes) as f64 / passed_us as f64;
        tracing::info!("Loading: {percent:.1}% of {} MB, {} keys, {speed:.0} MB/s", load.size >> 20, load.keys);
        *self = Self { us: now_us, bytes: offset };
    }
}
