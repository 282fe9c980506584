//! The thread's half of the append-only log: writes what it is handed, forces it to disk once for all who wait, removes old files.
//!
//! Orders come in over a channel, everything that is there is taken at once, and one fsync serves all of it: that is the group commit
//! of `appendfsync always`. `work` is a plain function of its orders, so a simulation can be the thread.

use std::path::PathBuf;
use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender};

use crate::persist::disk::{Disk, DiskError, DiskFile, write_all};

/// An open file of the log, with its name for errors.
#[derive(Clone)]
pub struct LogFile {
    pub path: Arc<PathBuf>,
    pub file: Arc<dyn DiskFile>,
}

pub enum Order {
    /// Write, and force to disk.
    Append {
        to: LogFile,
        bytes: Vec<u8>,
        /// The journal's offset behind these bytes.
        end: u64,
    },
    /// Force to disk what the loop has written up to `end`.
    Sync {
        file: LogFile,
        end: u64,
    },
    Remove(Vec<PathBuf>),
    /// All that was ordered before is done when this is reported.
    Mark,
}

#[derive(Debug)]
pub enum Report {
    /// Durable up to here.
    Synced(u64),
    /// A sync that was ordered by itself has failed; it covered what lay before `end`.
    SyncFailed {
        end: u64,
        error: DiskError,
    },
    /// Bytes were handed over, and are not on the disk.
    AppendFailed(DiskError),
    /// Memory to be used again.
    Spare(Vec<u8>),
    NotRemoved(DiskError),
    Marked,
}

/// Takes orders until the other side is gone. `ring` tells the loop that a report is there.
pub fn run(disk: &dyn Disk, orders: &Receiver<Order>, reports: &Sender<Report>, ring: &dyn Fn()) {
    while let Ok(first) = orders.recv() {
        let batch: Vec<Order> = std::iter::once(first).chain(orders.try_iter()).collect();
        for report in work(disk, batch) {
            // A loop that is gone needs no report.
            let _ = reports.send(report);
        }
        ring();
    }
}

/// Does what was ordered, in order; files that were written to are synced once, when another file's turn comes or at the end.
pub fn work(disk: &dyn Disk, orders: Vec<Order>) -> Vec<Report> {
    let mut round = Round::default();
    for order in orders {
        match order {
            Order::Append { to, bytes, end } => round.append(to, bytes, end),
            Order::Sync { file, end } => round.sync_later(file, end, false),
            Order::Remove(paths) => {
                round.sync();
                round.remove(disk, paths);
            }
            Order::Mark => {
                round.sync();
                round.reports.push(Report::Marked);
            }
        }
    }
    round.sync();
    round.reports
}

/// What is to be synced, and what there is to say.
#[derive(Default)]
struct Round {
    reports: Vec<Report>,
    unsynced: Option<Unsynced>,
    /// After a failed append nothing behind it may reach the file.
    broken: bool,
}

struct Unsynced {
    file: LogFile,
    end: u64,
    /// Bytes that only this thread has seen are among it.
    appended: bool,
}

impl Round {
    fn append(&mut self, to: LogFile, mut bytes: Vec<u8>, end: u64) {
        if self.broken {
            return;
        }
        if let Err((_, error)) = write_all(&*to.file, &bytes) {
            self.broken = true;
            self.reports.push(Report::AppendFailed(DiskError::new("write", &to.path, error)));
            return;
        }
        bytes.clear();
        self.reports.push(Report::Spare(bytes));
        self.sync_later(to, end, true);
    }

    fn sync_later(&mut self, file: LogFile, end: u64, appended: bool) {
        match &mut self.unsynced {
            Some(unsynced) if Arc::ptr_eq(&unsynced.file.file, &file.file) => {
                unsynced.end = end;
                unsynced.appended |= appended;
            }
            _ => {
                self.sync();
                self.unsynced = Some(Unsynced { file, end, appended });
            }
        }
    }

    fn remove(&mut self, disk: &dyn Disk, paths: Vec<PathBuf>) {
        for path in paths {
            if let Err(error) = disk.remove(&path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                self.reports.push(Report::NotRemoved(DiskError::new("unlink", &path, error)));
            }
        }
    }

    fn sync(&mut self) {
        let Some(Unsynced { file, end, appended }) = self.unsynced.take() else { return };
        if self.broken {
            return;
        }
        self.reports.push(match file.file.sync() {
            Ok(()) => Report::Synced(end),
            Err(error) => {
                let error = DiskError::new("fsync", &file.path, error);
                self.broken = appended;
                if appended { Report::AppendFailed(error) } else { Report::SyncFailed { end, error } }
            }
        });
    }
}
