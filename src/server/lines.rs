//! Connections that the server itself opens, to send keys to another server, and that are kept for a while.
//!
//! Whoever opens one waits for each step, and all clients with it: MIGRATE is like that in Redis too, and it is what makes it atomic.
//! The sockets are the process's (`Host::dial`).

use std::io;

use super::Server;

/// A connection to another server.
pub trait Line: Send {
    /// Writes all of it, each piece within so many milliseconds.
    fn write(&mut self, bytes: &[u8], limit_ms: u64) -> io::Result<()>;

    /// Reads up to the end of a line, which is left out, within the time.
    fn read_line(&mut self, limit_ms: u64) -> io::Result<Vec<u8>>;
}

/// The lines that are open, at most so many, each until nobody has used it for a while.
#[derive(Default)]
pub struct Lines {
    kept: Vec<Kept>,
}

pub struct Kept {
    host: String,
    port: u16,
    pub line: Box<dyn Line>,
    /// The database that was selected over it.
    pub database: Option<i64>,
    /// Something was asked over it before: it may have been closed at the other end since.
    pub is_used: bool,
    used_us: u64,
}

const LINES_MAX: usize = 64;
const IDLE_MAX_US: u64 = 10_000_000;

impl Lines {
    /// How many are kept, for INFO.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    fn take(&mut self, host: &str, port: u16) -> Option<Kept> {
        let index = self.kept.iter().position(|kept| kept.port == port && kept.host == host)?;
        Some(self.kept.swap_remove(index))
    }
}

impl Server {
    /// The line to an address, kept or new. It is the caller's until it gives it back; one that has failed is dropped instead.
    pub fn take_line(&mut self, host: &str, port: u16, limit_ms: u64) -> io::Result<Kept> {
        if let Some(kept) = self.lines.take(host, port) {
            return Ok(kept);
        }
        let line = self.host.dial(host, port, limit_ms)?;
        Ok(Kept { host: host.to_owned(), port, line, database: None, is_used: false, used_us: 0 })
    }

    pub fn give_line_back(&mut self, mut kept: Kept) {
        (kept.is_used, kept.used_us) = (true, self.clock.monotonic_us);
        if self.lines.kept.len() == LINES_MAX {
            self.lines.kept.remove(0);
        }
        self.lines.kept.push(kept);
    }

    /// Closes lines that nobody has used for long.
    pub(super) fn close_idle_lines(&mut self) {
        let now_us = self.clock.monotonic_us;
        self.lines.kept.retain(|kept| now_us.saturating_sub(kept.used_us) < IDLE_MAX_US);
    }
}
