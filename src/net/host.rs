//! What a running process does when CONFIG SET changes a directive: moves its listeners, asks for more files, goes to another folder.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::listeners::Listeners;
use crate::config::{Changed, Config, OomScoreAdjust, SetError};
use crate::process::limits::{OomScore, TooFewFiles, make_room_for_clients};
use crate::process::{Process, log_text};
use crate::server::host::{Facts, Host};

pub struct NetHost {
    process: Process,
    listeners: Arc<Mutex<Listeners>>,
    oom_score: OomScore,
    /// What was acted on last.
    config: Config,
}

impl NetHost {
    pub fn new(listeners: &Arc<Mutex<Listeners>>, config: &Config) -> Self {
        let host = Self {
            process: Process,
            listeners: Arc::clone(listeners),
            oom_score: OomScore::read(),
            config: config.clone(),
        };
        // The log says what went wrong; a server whose score stays as it was still serves.
        let _ = host.oom_score.adjust(config, false);
        host
    }

    fn adjust_oom_score(&self, old: &Config, new: &Config) -> Result<(), SetError> {
        if old.oom_score_adj == new.oom_score_adj && old.oom_score_adj_values == new.oom_score_adj_values {
            return Ok(());
        }
        self.oom_score.adjust(new, old.oom_score_adj != OomScoreAdjust::No).map_err(|_| {
            let name = if old.oom_score_adj == new.oom_score_adj { "oom-score-adj-values" } else { "oom-score-adj" };
            SetError::refused(name.as_bytes(), "Failed to set current oom_score_adj. Check server logs.")
        })
    }

    fn move_listeners(&self, new: &Config) -> Result<(), SetError> {
        let old = &self.config;
        if old.port == new.port && old.tls_port == new.tls_port && old.bind == new.bind {
            return Ok(());
        }
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).move_to(&self.config, new)
    }
}

impl Host for NetHost {
    fn facts(&self) -> Facts {
        self.process.facts()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.process.read(path)
    }

    fn replace(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        self.process.replace(path, text)
    }

    fn sleep(&self, time_us: u64) {
        self.process.sleep(time_us);
    }

    fn reconfigure(&mut self, new: &Config, _: &[Changed]) -> Result<(), SetError> {
        let old = &self.config;
        if new.maxclients > old.maxclients {
            ask_for_files(new.maxclients)?;
        }
        self.adjust_oom_score(old, new)?;
        let moved = change_folder(old, new).and_then(|()| self.move_listeners(new));
        if let Err(error) = moved {
            // What was so before can be so again; if not, the log has said it.
            let _ = self.adjust_oom_score(new, old);
            let _ = std::env::set_current_dir(old.dir.path());
            return Err(error);
        }
        self.config = new.clone();
        Ok(())
    }
}

fn ask_for_files(maxclients: u32) -> Result<(), SetError> {
    let refused = |text: String| SetError::refused(b"maxclients", &text);
    match make_room_for_clients(maxclients) {
        Ok(room) if room >= maxclients => Ok(()),
        Ok(room) => Err(refused(format!(
            "The operating system is not able to handle the specified number of clients, try with {room}"
        ))),
        Err(TooFewFiles(text)) => Err(refused(text)),
    }
}

fn change_folder(old: &Config, new: &Config) -> Result<(), SetError> {
    if old.dir == new.dir {
        return Ok(());
    }
    std::env::set_current_dir(new.dir.path()).map_err(|error| SetError::refused(b"dir", &log_text(&error)))
}
