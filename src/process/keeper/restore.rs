//! Loads the snapshot, in slices, and tells how far it has got.
//!
//! A file that cannot be read to its end keeps the server from starting: with half of the data it would soon save that half.

use std::io;
use std::path::PathBuf;

use crate::persist::disk::Disk;
use crate::server::Server;
use crate::server::durability::Loading;
use crate::server::snapshots::{Keeping, Load, LoadError};
use crate::util::clock::monotonic_us;

/// A snapshot that is being loaded.
pub struct Restore {
    load: Load,
    path: PathBuf,
    began_us: u64,
    told: Told,
}

const TELL_EVERY_US: u64 = 1_000_000;
/// Between two looks at the clock.
const PARTS_AT_ONCE: usize = 512;

impl Restore {
    /// Opens the snapshot if there is one. The error says why it is none.
    pub fn begin(server: &mut Server, disk: &dyn Disk, path: PathBuf) -> Result<Option<Self>, String> {
        let load = match Load::open(server, disk, &path, Keeping { lapsed: false, replace: false }) {
            Ok(load) => load,
            Err(LoadError::Disk(error)) if error.error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fatal(&error.to_string())),
        };
        let (began_us, began_ms) = (monotonic_us(), server.clock.unix_ms());
        server.durability.loading = Some(Loading { began_ms, total_bytes: load.size, loaded_bytes: 0 });
        Ok(Some(Self { load, path, began_us, told: Told { us: began_us, bytes: 0 } }))
    }

    /// Goes on for so long. True when all is loaded.
    pub fn load(&mut self, server: &mut Server, budget_us: u64) -> Result<bool, String> {
        let begin_us = monotonic_us();
        loop {
            let parts = self.load.parts_now(&server.config, monotonic_us() - self.began_us, PARTS_AT_ONCE);
            if parts == 0 {
                return Ok(false);
            }
            let is_done = self.load.step(server, parts);
            if let Some(loading) = &mut server.durability.loading {
                loading.loaded_bytes = self.load.offset();
            }
            match is_done {
                Ok(true) => {
                    self.end(server);
                    return Ok(true);
                }
                Ok(false) => {}
                Err(error) => {
                    let key = server.config.shown_in_log(self.load.key()).into_owned();
                    tracing::warn!(
                        "Reading the RDB ended at offset {}, at the key '{key}': {}",
                        error.offset,
                        error.reason
                    );
                    return Err(fatal(&LoadError::File(self.path.clone(), error).to_string()));
                }
            }
            let now_us = monotonic_us();
            self.told.tell(&self.load, now_us);
            if now_us - begin_us >= budget_us {
                return Ok(false);
            }
        }
    }

    fn end(&self, server: &mut Server) {
        let Load { keys, lapsed, .. } = self.load;
        tracing::info!("Done loading RDB, keys loaded: {keys}, keys expired: {lapsed}.");
        tracing::info!("DB loaded from disk: {:.3} seconds", (monotonic_us() - self.began_us) as f64 / 1e6);
        server.snapshots.loaded_keys = keys;
        server.snapshots.lapsed_keys = lapsed;
    }
}

fn fatal(reason: &str) -> String {
    format!(
        "Fatal error loading the DB: {reason}. (`runnel-server --check-rdb` tells more.) Terminating server after rdb file reading \
         failure."
    )
}

/// What was last said of the progress.
struct Told {
    us: u64,
    bytes: u64,
}

impl Told {
    fn tell(&mut self, load: &Load, now_us: u64) {
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
