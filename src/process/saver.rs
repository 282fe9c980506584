//! Saving as the process does it: the disk, the file's name, and the thread that is at work.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::Config;
use crate::db::Keyspace;
use crate::db::snapshot::Sink;
use crate::persist::disk::Disk;
use crate::persist::snapshot::{self, Job, Outcome, Plan};
use crate::process::affinity;
use crate::util::io_error;

pub struct Saver {
    disk: Arc<dyn Disk>,
    /// Wakes the loop.
    ring: Arc<dyn Fn() + Send + Sync>,
    job: Option<Job>,
    /// How many were begun. A thread that hangs may come back and remove its file: another save has another.
    begun: u64,
}

impl Saver {
    pub fn new(disk: Arc<dyn Disk>, ring: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self { disk, ring, job: None, begun: 0 }
    }

    pub fn begin(
        &mut self,
        config: &Config,
        keyspace: &Keyspace,
        functions: Vec<Vec<u8>>,
        now_ms: u64,
        target: Option<PathBuf>,
    ) -> Result<(Box<dyn Sink>, PathBuf), String> {
        self.begun += 1;
        let temporary = PathBuf::from(format!("temp-{}-background-{}.rdb", std::process::id(), self.begun));
        let plan = Plan { temporary: temporary.clone(), target, is_aof_base: false, requests: None, functions, now_ms };
        let processors = config.bio_cpulist.display().into_owned();
        let prepare = move || affinity::bind_to(&processors);
        let started: io::Result<_> =
            snapshot::start(Arc::clone(&self.disk), plan, config, keyspace, Arc::clone(&self.ring), prepare);
        let (sink, job) = started.map_err(|error| io_error::reason(&error))?;
        self.job = Some(job);
        Ok((sink, temporary))
    }

    /// What came of the save, once it has ended.
    pub fn outcome(&mut self) -> Option<Outcome> {
        let outcome = self.job.as_mut()?.poll()?;
        self.job = None;
        Some(outcome)
    }

    pub fn waiting_bytes(&self) -> usize {
        self.job.as_ref().map_or(0, Job::waiting_bytes)
    }

    /// Waits until the thread of a save that was given up has removed its file.
    pub fn give_up(&mut self) {
        if let Some(job) = self.job.take() {
            job.wait_for_removal();
        }
    }
}
