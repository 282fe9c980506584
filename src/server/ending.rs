//! The end of the process, as SHUTDOWN and signals ask for it.
//!
//! Replicas that have not heard everything yet are waited for, for `shutdown-timeout` at most, and nothing is written meanwhile. Then comes the
//! last snapshot, and the process around does the rest (`HostRequest::Shutdown`). Until then it can be called off.

use super::replicas::Told;
use super::{HostRequest, Server, SessionId};
use crate::util::clock::ticks;

/// How the process is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Manner {
    pub save: bool,
    /// Without waiting for replicas.
    pub now: bool,
    /// Even where what there is cannot be saved.
    pub force: bool,
}

#[derive(Default)]
pub struct Ending {
    wait: Option<Wait>,
    /// Commands that write are held back.
    holds_writes: bool,
    /// Who has sent SHUTDOWN, and is told where it cannot be.
    asked_by: Vec<SessionId>,
}

/// The wait for replicas.
struct Wait {
    manner: Manner,
    deadline_us: u64,
    /// Replicas are to have the stream up to here.
    offset: u64,
}

impl Ending {
    #[inline]
    pub fn holds_writes(&self) -> bool {
        self.holds_writes
    }

    pub fn is_waiting(&self) -> bool {
        self.wait.is_some()
    }

    /// Microseconds that replicas still have, where they are waited for.
    pub fn left_us(&self, now_us: u64) -> Option<u64> {
        Some(self.wait.as_ref()?.deadline_us.saturating_sub(now_us))
    }

    /// Clients whose SHUTDOWN has not been answered.
    pub fn clients(&self) -> usize {
        self.asked_by.len()
    }

    pub(super) fn forget(&mut self, id: SessionId) {
        self.asked_by.retain(|asker| *asker != id);
    }
}

impl Server {
    /// Ends the process, at once or as soon as the replicas have everything. The session hears of it where that cannot be.
    pub fn end(&mut self, manner: Manner, asked_by: Option<SessionId>) {
        if let Some(id) = asked_by {
            self.wait_for_host(id);
            self.ending.asked_by.push(id);
        }
        if self.ending.is_waiting() && !manner.now {
            return;
        }
        self.feed_replicas();
        let offset = self.replication_offset();
        let patience_us = u64::try_from(self.config.shutdown_timeout).unwrap_or(0) * 1_000_000;
        self.ending.holds_writes = true;
        if manner.now || patience_us == 0 || self.replicas_behind(offset) == 0 {
            return self.finish(manner, offset);
        }
        tracing::info!("Waiting for replicas before shutting down.");
        self.ask_for_acknowledgements();
        let deadline_us = self.clock.monotonic_us + patience_us;
        self.ending.wait = Some(Wait { manner, deadline_us, offset });
    }

    /// Goes on with an end that waits, where the replicas have got everything or there is no time left.
    pub fn end_if_due(&mut self) {
        let Some(&Wait { manner, deadline_us, offset }) = self.ending.wait.as_ref() else { return };
        if self.clock.monotonic_us >= deadline_us || self.replicas_behind(offset) == 0 {
            self.finish(manner, offset);
        }
    }

    fn finish(&mut self, manner: Manner, offset: u64) {
        self.ending.wait = None;
        self.tell_who_is_behind(offset);
        if manner.save && !self.save_before_the_end(manner.force) {
            return self.cannot_end();
        }
        self.outbox.requests.push(HostRequest::Shutdown { force: manner.force });
    }

    /// It cannot be: who asked for it is told, and everything goes on.
    pub fn cannot_end(&mut self) {
        tracing::warn!("Errors trying to shut down the server. Check the logs for more information.");
        self.go_on_after_all();
    }

    /// SHUTDOWN ABORT. False where nothing is to be called off.
    pub fn call_end_off(&mut self) -> bool {
        let was_waiting = self.ending.is_waiting();
        if was_waiting {
            tracing::warn!("Shutdown manually aborted.");
            self.go_on_after_all();
        }
        was_waiting
    }

    fn go_on_after_all(&mut self) {
        for id in std::mem::take(&mut self.ending).asked_by {
            self.answer_from_host(id, Err("ERR Errors trying to SHUTDOWN. Check logs.".into()));
        }
        self.let_held_go_on();
        if self.waiting.has_ready() {
            self.call_began = ticks();
            self.serve_waiting(None);
        }
    }

    fn tell_who_is_behind(&self, offset: u64) {
        let (replicas, behind) = (self.replicas_count(), self.replicas_behind(offset));
        for Told { address, port, state, acknowledged, lag_s } in
            self.replicas_told().filter(|told| told.acknowledged < offset)
        {
            let bytes = offset - acknowledged;
            tracing::info!("Lagging replica {address}:{port} is {bytes} bytes behind, lag={lag_s}, state={state}.");
        }
        if replicas > 0 {
            let in_sync = replicas - behind;
            tracing::info!("{in_sync} of {replicas} replicas are in sync when shutting down.");
        }
    }
}
