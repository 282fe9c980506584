//! Upkeep between commands: expiry, time-outs, limits, statistics. Each tick has a budget.
//!
//! The process around calls `tick` about `hz` times a second, and sooner where `next_wake` says so.

use super::session::{OutputClass, Session, SessionId};
use super::{Closing, Server};
use crate::config::ClientsLimit;
use crate::db::expire::{Slice, Sweep};
use crate::util::clock::{ticks, ticks_to_us};
use crate::util::memory;

#[derive(Default)]
pub struct Cron {
    sweep: Sweep,
    last_sample_us: u64,
    pub ticks: u64,
    /// DEBUG SET-ACTIVE-EXPIRE 0 turns the sweep off.
    pub expiry_off: bool,
    /// DEBUG PAUSE-CRON 1 stops all upkeep but the time-outs of clients that wait.
    pub paused: bool,
    /// The last sweep ended for want of time: the next turn goes on at once.
    pub more_to_expire: bool,
    /// So has the making of room.
    pub more_to_evict: bool,
    /// What all clients take, as far as they were weighed.
    clients_memory: usize,
}

/// As long as the buffer that Redis has for each client's replies.
const USUAL_REPLY_BYTES: usize = 16 * 1024;
/// So many lapsed fields of one hash are removed before the sweep looks at its watch.
const FIELDS_A_STEP_MAX: usize = 1024;

/// A sweep over lapsed keys may take this long in one tick, by `active-expire-effort` (1 to 10).
fn expiry_budget_us(effort: i32) -> u64 {
    500 + 100 * effort.clamp(1, 10) as u64
}

impl Cron {
    /// The next round of upkeep is due at once.
    pub fn goes_on(&self) -> bool {
        self.more_to_expire || self.more_to_evict
    }
}

impl Server {
    /// One round of upkeep. Bounded.
    pub fn tick(&mut self) {
        self.cron.ticks += 1;
        self.time_out_waiting();
        if self.cron.paused {
            (self.cron.more_to_expire, self.cron.more_to_evict) = (false, false);
            return;
        }
        if self.pause.until_ms > 0 && self.clock.unix_ms() >= self.pause.until_ms {
            self.unpause();
            self.serve_waiting(None);
        }
        self.expire_lapsed();
        self.tick_saving();
        self.close_idle_lines();
        self.tick_primary();
        self.tick_replicas();
        self.close_idle_and_slow();
        self.weigh_all();
        if self.tracking.is_used() {
            self.bound_tracking_table();
        }
        self.stats.note_memory(memory::used(), self.clock.unix_us / 1_000_000);
        if self.clock.monotonic_us.saturating_sub(self.cron.last_sample_us) >= 100_000 {
            self.cron.last_sample_us = self.clock.monotonic_us;
            self.stats.sample_rates(self.clock.monotonic_us);
        }
        if self.config.maxmemory > 0 && !self.durability.is_loading() {
            self.make_room();
        } else {
            self.cron.more_to_evict = false;
            self.stats.memory_excess.note(false, self.clock.monotonic_us);
        }
    }

    /// Removes keys whose time is up, within the budget.
    pub fn expire_lapsed(&mut self) {
        self.cron.more_to_expire = false;
        // While a log is replayed nothing lapses: what did at the time is deleted by the log itself. A replica is told by its primary.
        if self.is_replica() || self.cron.expiry_off || self.is_paused() || self.durability.is_loading() {
            return;
        }
        let budget_us = expiry_budget_us(self.config.active_expire_effort);
        let begin = ticks();
        let now = self.clock.unix_ms();
        while let Slice::Lapsed { db, keys, hashes } = self.cron.sweep.next_slice(&mut self.keyspace, now) {
            for key in keys {
                self.effects.begin(true, self.journal.is_open());
                self.edit(db).expire(&key);
                self.propagate_upkeep(db);
            }
            for key in hashes {
                self.effects.begin(true, self.journal.is_open());
                self.edit(db).expire_fields(&key, FIELDS_A_STEP_MAX);
                self.propagate_upkeep(db);
                if ticks_to_us(ticks().wrapping_sub(begin)) > budget_us {
                    break;
                }
            }
            if ticks_to_us(ticks().wrapping_sub(begin)) > budget_us {
                self.cron.more_to_expire = true;
                self.stats.expiry_budget_exceeded += 1;
                break;
            }
        }
        self.stats.expiry_us += ticks_to_us(ticks().wrapping_sub(begin));
        if self.waiting.has_ready() {
            self.call_began = ticks();
            self.serve_waiting(None);
        }
    }

    /// Closes sessions that are idle beyond `timeout`, or whose output stayed over its soft limit.
    fn close_idle_and_slow(&mut self) {
        let timeout_ms = u64::try_from(self.config.timeout).unwrap_or(0) * 1000;
        let now = self.clock.unix_ms();
        let mut idle = Vec::new();
        let mut slow = Vec::new();
        for (id, session) in self.sessions.iter() {
            let exempt = session.blocked.is_some()
                || session.waits_for_host
                || session.is_subscriber()
                || session.internal
                || session.monitor
                || session.is_replica();
            if timeout_ms > 0 && !exempt && now.saturating_sub(session.last_used_ms) > timeout_ms {
                idle.push(id);
            }
            if session.soft_limit_since_us.is_some() {
                slow.push(id);
            }
        }
        for id in idle {
            tracing::debug!("Closing idle client");
            self.close(id, Closing::AtOnce);
        }
        for id in slow {
            self.limit_output(id);
        }
    }

    /// Ends a session whose output grows beyond what its class may hold.
    #[inline]
    pub fn limit_output(&mut self, id: SessionId) {
        if self.sessions.get(id).has_long_output() {
            self.limit_long_output(id);
        }
    }

    fn limit_long_output(&mut self, id: SessionId) {
        let now_us = self.clock.monotonic_us;
        let session = self.sessions.get_mut(id);
        let limits = &self.config.client_output_buffer_limit;
        let limit = match session.output_class() {
            OutputClass::Normal => &limits.normal,
            OutputClass::Replica => &limits.replica,
            OutputClass::Pubsub => &limits.pubsub,
        };
        // Room that is not used yet does not count: a vector may have twice what it holds.
        let output = session.output.len();
        let size = session.replica.as_ref().map_or(output, |link| link.burden(output)) as u64;
        let over_soft = limit.soft_bytes > 0 && size >= limit.soft_bytes;
        let since = if over_soft { Some(*session.soft_limit_since_us.get_or_insert(now_us)) } else { None };
        session.soft_limit_since_us = since;
        let soft_expired = since.is_some_and(|since| now_us - since > limit.soft_seconds * 1_000_000);
        if (limit.hard_bytes > 0 && size >= limit.hard_bytes) || soft_expired {
            let address = session.peer.address.clone();
            tracing::warn!("Client addr={address} scheduled to be closed ASAP for overcoming of output buffer limits.");
            self.stats.output_limit_disconnections += 1;
            self.close(id, Closing::AtOnce);
        }
    }

    /// Takes a session's memory into the sum that `maxmemory-clients` bounds.
    #[inline]
    pub fn weigh(&mut self, id: SessionId) {
        if self.config.maxmemory_clients != ClientsLimit::Bytes(0) {
            self.weigh_now(id);
        }
    }

    /// Weighs everybody, and closes the heaviest where they are too heavy together. O(clients) where that is bounded.
    pub fn weigh_all(&mut self) {
        if self.config.maxmemory_clients == ClientsLimit::Bytes(0) {
            return;
        }
        for id in self.sessions.iter().map(|(id, _)| id).collect::<Vec<_>>() {
            self.weigh(id);
        }
        self.bound_clients_memory();
    }

    #[cold]
    fn weigh_now(&mut self, id: SessionId) {
        let is_weighed = |session: &&mut Session| !session.internal && !session.is_replica();
        let Some(session) = self.sessions.find_mut(id).filter(is_weighed) else { return };
        // A reply of usual length on its way is no burden: it would count or not as the moment has it.
        let reply = Some(session.output.len()).filter(|bytes| *bytes <= USUAL_REPLY_BYTES).unwrap_or(0);
        let memory = if session.closing == Some(Closing::AtOnce) { 0 } else { session.memory() - reply };
        self.cron.clients_memory += memory;
        self.cron.clients_memory -= std::mem::replace(&mut session.weighed, memory);
    }

    /// Closes the clients that take most until all together are within `maxmemory-clients`. O(clients) where there are too much.
    pub fn bound_clients_memory(&mut self) {
        let Some(limit) = self.config.maxmemory_clients.bytes(self.config.maxmemory) else { return };
        for index in 0..self.outbox.flush.len() {
            self.weigh(self.outbox.flush[index]);
        }
        for index in 0..self.outbox.messages.len() {
            self.weigh(self.outbox.messages[index]);
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if self.cron.clients_memory <= limit {
            return;
        }
        let may_go = |session: &Session| {
            !session.no_evict && !session.internal && !session.is_replica() && session.closing.is_none()
        };
        let mut heaviest: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, session)| may_go(session))
            .map(|(id, session)| (session.weighed, id))
            .collect();
        heaviest.sort_unstable();
        while self.cron.clients_memory > limit {
            let Some((_, id)) = heaviest.pop() else { return };
            tracing::info!("Evicting client: addr={}", self.sessions.get(id).peer.address);
            self.stats.evicted_clients += 1;
            self.close(id, Closing::AtOnce);
            self.weigh(id);
        }
    }

    /// When the process around should call `tick` at the latest because somebody waits (Unix milliseconds).
    pub fn next_wake(&self) -> Option<u64> {
        let pause = (self.pause.until_ms > 0).then_some(self.pause.until_ms);
        let end =
            self.ending.left_us(self.clock.monotonic_us).map(|left_us| self.clock.unix_ms() + left_us.div_ceil(1000));
        [self.waiting.next_deadline(), pause, end].into_iter().flatten().min()
    }

    /// True while time alone changes nothing: no client to time out, no key to expire. Upkeep may then come seldom.
    pub fn is_quiet(&self) -> bool {
        let has_volatile = (0..self.keyspace.databases())
            .map(|db| self.keyspace.db(db))
            .any(|db| db.volatile() > 0 || db.timed_hashes() > 0);
        self.sessions.is_empty() && !has_volatile && !self.cron.goes_on()
    }

    /// A session is to be closed at once: it takes nothing more, and nobody counts it.
    pub(super) fn forget_session(&mut self, id: SessionId) {
        self.forget_wait(id);
        self.watches.unwatch_all(&mut self.sessions, id);
        self.unsubscribe_all(id);
        self.stop_tracking(id);
        self.monitors.retain(|monitor| *monitor != id);
        self.pause.held.retain(|held| *held != id);
        self.ending.forget(id);
        self.durability.waiting.retain(|waiting| *waiting != id);
        self.forget_replica(id);
        self.forget_link(id);
    }

    /// A session's connection is gone: every part forgets it.
    pub fn remove_session(&mut self, id: SessionId) {
        self.forget_session(id);
        self.outbox.flush.retain(|flushed| *flushed != id);
        if self.sessions.get(id).in_messages {
            self.outbox.messages.retain(|receiver| *receiver != id);
        }
        self.outbox.resume.retain(|resumed| *resumed != id);
        self.outbox.close.retain(|(closed, _)| *closed != id);
        let session = self.sessions.remove(id);
        self.cron.clients_memory -= session.weighed;
    }
}
