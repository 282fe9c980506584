//! The primary that this server follows, where it follows one: first its data set, then every change to it.
//!
//! ```text
//!   Apart ──► Dialing ──► Asking: PING, AUTH, REPLCONF …, PSYNC ──► Receiving ──► Loading ──► Online
//!     ▲                                                  └── the history goes on ──────────────┘ │
//!     └───────────── the connection is lost, or the primary says what it should not ◄────────────┘
//! ```
//!
//! The connection is a session like any other, which the process around opens (`HostRequest::Dial`); what comes over it is heard here
//! (`hear_primary`) instead of being admitted as a client's. The stream is run through `call`, and its own bytes are what this server's
//! replicas get (`replicas`): one history, on all of them.

mod handshake;
mod stream;
mod transfer;

use hashbrown::HashSet;

use super::dispatch::Consumed;
use super::session::{Peer, SessionId};
use super::{Closing, HostRequest, Server};
use crate::cmd::keyspec::keys_of;
use crate::cmd::table::Entry;
use crate::config::ReplicaOf;
use crate::db::DbIndex;
use crate::resp::request::Request;
use handshake::Question;
use transfer::{Loading, Receiving};

pub struct Primary {
    pub host: String,
    pub port: u16,
    stage: Stage,
    /// The session of the connection to it.
    link: Option<SessionId>,
    /// The database that the stream speaks of.
    db: DbIndex,
    /// The bytes of a transaction whose end has not come yet.
    unfinished: Vec<u8>,
    /// When something last came from it, and when it was last told how far this server is (monotonic microseconds).
    heard_us: Option<u64>,
    told_us: u64,
    /// When it is to be called again.
    dial_at_us: u64,
    /// Since when there is no link that was there before.
    lost_us: Option<u64>,
    /// How long there was none, the present time without one left out.
    apart_us: u64,
    /// Calls since the link was last there, and all of them.
    attempts: u64,
    attempts_ever: u64,
    /// Once the log is safe up to the first offset, the stream is up to the second.
    unsafe_until: (u64, u64),
    safe_until: u64,
    /// Keys that clients of this server wrote, while it lets them, and that may have a deadline. Nobody else will tell it to delete them.
    own: HashSet<(DbIndex, Box<[u8]>)>,
}

#[derive(Default)]
enum Stage {
    #[default]
    Apart,
    Dialing,
    Asking(Question),
    Receiving(Box<Receiving>),
    Loading(Box<Loading>),
    Online,
}

/// The link as INFO shows it.
pub struct Told {
    pub is_up: bool,
    pub silent_s: Option<u64>,
    pub attempts: u64,
    pub attempts_ever: u64,
    /// Bytes of the stream that have come and wait for the end of a pause.
    pub unheard: usize,
    /// How far the snapshot has come: bytes of all, where those are known.
    pub transfer: Option<(u64, Option<u64>)>,
    pub down_s: Option<u64>,
    /// Seconds without a link, since it was first there.
    pub apart_s: u64,
}

const SECOND_US: u64 = 1_000_000;

impl Primary {
    pub fn new(host: String, port: u16) -> Self {
        Self {
            host,
            port,
            stage: Stage::Apart,
            link: None,
            db: 0,
            unfinished: Vec::new(),
            heard_us: None,
            told_us: 0,
            dial_at_us: 0,
            lost_us: None,
            apart_us: 0,
            attempts: 0,
            attempts_ever: 0,
            unsafe_until: (0, 0),
            safe_until: 0,
            own: HashSet::default(),
        }
    }

    pub fn is_online(&self) -> bool {
        matches!(self.stage, Stage::Online)
    }

    /// As ROLE calls it.
    pub fn word(&self) -> &'static str {
        match self.stage {
            Stage::Apart => "connect",
            Stage::Dialing => "connecting",
            Stage::Asking(_) => "handshake",
            Stage::Receiving(_) | Stage::Loading(_) => "sync",
            Stage::Online => "connected",
        }
    }

    pub fn own_keys(&self) -> usize {
        self.own.len()
    }
}

impl Server {
    pub fn is_replica(&self) -> bool {
        self.primary.is_some()
    }

    /// The data may be old, and nobody is to see old data.
    pub fn is_stale(&self) -> bool {
        !self.replaying
            && !self.config.replica_serve_stale_data
            && self.primary.as_ref().is_some_and(|primary| !primary.is_online())
    }

    /// Clients may not write here.
    pub fn is_read_only(&self) -> bool {
        self.config.replica_read_only && self.primary.is_some() && !self.replaying
    }

    pub fn primary_told(&self) -> Option<Told> {
        let primary = self.primary.as_ref()?;
        let seconds_since = |at_us: u64| self.clock.monotonic_us.saturating_sub(at_us) / SECOND_US;
        let transfer = match &primary.stage {
            Stage::Receiving(receiving) => Some(receiving.progress()),
            Stage::Loading(loading) => Some((loading.bytes, Some(loading.bytes))),
            _ => None,
        };
        Some(Told {
            is_up: primary.is_online(),
            silent_s: primary.heard_us.filter(|_| primary.is_online()).map(seconds_since),
            attempts: primary.attempts,
            attempts_ever: primary.attempts_ever,
            unheard: primary.link.map_or(0, |link| self.sessions.get(link).input_pending),
            transfer,
            down_s: primary.lost_us.map(seconds_since),
            apart_s: primary.apart_us / SECOND_US + primary.lost_us.map_or(0, seconds_since),
        })
    }

    /// Begins to follow a primary, in the place of another or of none.
    pub fn follow_primary(&mut self, host: String, port: u16) {
        if self.primary.is_none() {
            self.feed_replicas();
            if self.is_inside_a_command() {
                // What the transaction around does from here on has no place in the history so far.
                self.forget_history();
            }
            self.fail_all_waits(
                "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
            );
        }
        self.leave_primary();
        self.close_replicas();
        self.journal.close_for_replicas();
        let db = self.primary.as_ref().map_or(0, |primary| primary.db);
        self.primary = Some(Box::new(Primary { db, ..Primary::new(host.clone(), port) }));
        self.config.replicaof = ReplicaOf(Some((host, port)));
        self.host.take_role(&self.config);
        self.dial_primary();
    }

    /// Follows nobody any more: from here on the history is this server's own.
    pub fn follow_nobody(&mut self) {
        self.config.replicaof = ReplicaOf(None);
        self.leave_primary();
        if self.primary.take().is_none() {
            return;
        }
        self.close_replicas();
        self.branch_off();
        self.host.take_role(&self.config);
    }

    /// Ends the link and what was under way over it.
    pub fn leave_primary(&mut self) {
        let Some(primary) = &mut self.primary else { return };
        let stage = std::mem::take(&mut primary.stage);
        primary.unfinished = Vec::new();
        if let Some(link) = primary.link.take() {
            // A link that has not come as far as the stream knows nothing of its database.
            if let Some(session) = self.sessions.find(link).filter(|_| matches!(stage, Stage::Online)) {
                primary.db = session.db;
            }
            self.close(link, Closing::AtOnce);
        }
        match stage {
            Stage::Dialing => self.outbox.requests.push(HostRequest::StopDialing),
            Stage::Receiving(receiving) => self.remove_received(&receiving.path),
            Stage::Loading(loading) => {
                self.durability.loading = None;
                self.remove_received(&loading.path);
            }
            Stage::Apart | Stage::Asking(_) | Stage::Online => {}
        }
    }

    /// The link is of no use: another is tried in a while.
    fn give_up_on_primary(&mut self, why: &str) {
        tracing::warn!("No synchronization with the MASTER: {why}");
        self.part_from_primary(SECOND_US);
    }

    fn part_from_primary(&mut self, patience_us: u64) {
        let now_us = self.clock.monotonic_us;
        let was_online = self.primary.as_ref().is_some_and(|primary| primary.is_online());
        self.leave_primary();
        if let Some(primary) = &mut self.primary {
            primary.dial_at_us = now_us + patience_us;
            primary.lost_us = primary.lost_us.or(was_online.then_some(now_us));
        }
    }

    /// The session's connection is gone. Where it was the link, another is needed.
    pub(super) fn forget_link(&mut self, id: SessionId) {
        let Some(primary) = self.primary.as_mut().filter(|primary| primary.link == Some(id)) else { return };
        // A link that was good is missed at once.
        let patience_us = if primary.is_online() { 0 } else { SECOND_US };
        tracing::warn!("Connection with master lost.");
        self.part_from_primary(patience_us);
    }

    fn dial_primary(&mut self) {
        let now_us = self.clock.monotonic_us;
        let Some(primary) = &mut self.primary else { return };
        tracing::info!("Connecting to MASTER {}:{}", primary.host, primary.port);
        primary.stage = Stage::Dialing;
        primary.heard_us = Some(now_us);
        primary.attempts += 1;
        primary.attempts_ever += 1;
        self.outbox.requests.push(HostRequest::Dial { host: primary.host.clone(), port: primary.port });
    }

    /// The connection stands. Its session, where it is still wanted.
    pub fn primary_reached(&mut self, peer: Peer) -> Option<SessionId> {
        let now_us = self.clock.monotonic_us;
        let primary = self.primary.as_mut().filter(|primary| matches!(primary.stage, Stage::Dialing))?;
        let id = self.sessions.open(peer, self.acl.default_user(), self.clock);
        let session = self.sessions.get_mut(id);
        (session.internal, session.is_primary, session.authenticated, session.no_touch) = (true, true, true, true);
        (primary.link, primary.heard_us) = (Some(id), Some(now_us));
        tracing::info!("MASTER <-> REPLICA sync started");
        self.ask(Question::Ping);
        Some(id)
    }

    pub fn primary_not_reached(&mut self, why: &str) {
        let Some(primary) = self.primary.as_mut().filter(|primary| matches!(primary.stage, Stage::Dialing)) else {
            return;
        };
        // Nobody is to be told not to dial.
        primary.stage = Stage::Apart;
        self.give_up_on_primary(&format!("unable to connect: {why}"));
    }

    /// Takes in what the primary has sent, as far as it is complete.
    pub(super) fn hear_primary(&mut self, id: SessionId, input: &[u8]) -> Consumed {
        let now_us = self.clock.monotonic_us;
        let mut used = 0;
        while used < input.len() {
            let Some(primary) = self.primary.as_mut().filter(|primary| primary.link == Some(id)) else {
                // It was given up on the way.
                return Consumed { bytes: input.len(), turn_over: false };
            };
            primary.heard_us = Some(now_us);
            let rest = &input[used..];
            let taken = match &primary.stage {
                Stage::Asking(question) => {
                    let question = *question;
                    self.hear_answer(question, rest)
                }
                Stage::Receiving(_) => self.receive(rest),
                Stage::Online => return self.hear_stream(id, input, used),
                // The stream waits until the snapshot is there.
                Stage::Loading(_) => return Consumed { bytes: used, turn_over: true },
                Stage::Apart | Stage::Dialing => Ok(rest.len()),
            };
            match taken {
                Ok(0) => break,
                Ok(bytes) => used += bytes,
                Err(why) => {
                    self.give_up_on_primary(&why);
                    return Consumed { bytes: input.len(), turn_over: false };
                }
            }
        }
        Consumed { bytes: used, turn_over: false }
    }

    /// Upkeep: calls, signs of life, time-outs.
    pub(super) fn tick_primary(&mut self) {
        let now_us = self.clock.monotonic_us;
        let patience_us = u64::try_from(self.config.repl_timeout).unwrap_or(0) * SECOND_US;
        let Some(primary) = &mut self.primary else { return };
        if primary.link.is_some_and(|link| self.sessions.get(link).paused) {
            // It is not listened to.
            primary.heard_us = Some(now_us);
        }
        let is_silent = now_us.saturating_sub(primary.heard_us.unwrap_or(0)) > patience_us;
        let is_due = now_us.saturating_sub(primary.told_us) >= SECOND_US;
        match primary.stage {
            Stage::Apart if now_us >= primary.dial_at_us && !self.durability.is_loading() => {
                if self.is_without_disk().is_none() {
                    self.dial_primary();
                }
            }
            Stage::Apart => {}
            Stage::Loading(_) if is_due => self.say_to_primary(b"\n"),
            Stage::Loading(_) => {}
            _ if is_silent => {
                self.give_up_on_primary(&format!("timeout: nothing has come for {} seconds", patience_us / SECOND_US));
            }
            Stage::Online if is_due => self.acknowledge_to_primary(),
            Stage::Dialing | Stage::Asking(_) | Stage::Receiving(_) | Stage::Online => {}
        }
        self.expire_own_keys();
    }

    fn say_to_primary(&mut self, bytes: &[u8]) {
        let now_us = self.clock.monotonic_us;
        let Some(primary) = &mut self.primary else { return };
        let Some(link) = primary.link else { return };
        primary.told_us = now_us;
        self.sessions.get_mut(link).output.push(bytes);
        self.flush_later(link);
    }

    /// A client is about to change keys here, which may get a deadline.
    pub fn note_own_keys(&mut self, id: SessionId, entry: &Entry, request: Request) {
        let db = self.sessions.get(id).db;
        let Some(primary) = &mut self.primary else { return };
        for key in keys_of(entry.command, request).unwrap_or_default() {
            primary.own.insert((db, request.arg(key.index).into()));
        }
    }

    /// Deletes what has lapsed of the keys that got their deadline here. O(such keys).
    fn expire_own_keys(&mut self) {
        let now = self.clock.unix_ms();
        let Some(primary) = self.primary.as_mut().filter(|primary| !primary.own.is_empty()) else { return };
        let mut lapsed = Vec::new();
        let keyspace = &self.keyspace;
        primary.own.retain(|(db, key)| match keyspace.record(*db, key).and_then(|record| record.deadline()) {
            Some(deadline) if deadline >= now => true,
            Some(_) => {
                lapsed.push((*db, key.clone()));
                false
            }
            None => false,
        });
        for (db, key) in lapsed {
            self.effects.begin(true, self.journal.is_open());
            self.edit(db).expire(&key);
            self.propagate_upkeep(db);
        }
    }
}
