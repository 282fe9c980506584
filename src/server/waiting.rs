//! Clients that wait for a key: one mechanism for every blocking command.
//!
//! A handler that finds nothing ends with `Stop::Wait`; its request is kept here. When one of its keys is touched the same request is run
//! again, first come first served for each key, after the command (or transaction) that touched it has ended.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hashbrown::{HashMap, HashSet};

use super::Server;
use super::dispatch::Caller;
use super::session::{ReplyMode, SessionId};
use crate::cmd::error::{TimeoutReply, Wait};
use crate::cmd::table::Entry;
use crate::db::DbIndex;
use crate::resp::reply::{Output, Reply};
use crate::resp::request::{OwnedRequest, Request};
use crate::types::value::Kind;

/// What a session waits for.
pub struct Blocked {
    pub request: OwnedRequest,
    pub entry: &'static Entry,
    pub db: DbIndex,
    pub keys: Vec<Box<[u8]>>,
    pub wants: Kind,
    pub deadline_ms: Option<u64>,
    pub on_timeout: TimeoutReply,
    /// What running it has taken so far.
    pub ticks: u64,
    /// Place in every queue: lower came first.
    ticket: u64,
}

type Place = (DbIndex, Box<[u8]>);

#[derive(Default)]
pub struct Waiting {
    queues: HashMap<Place, BTreeMap<u64, SessionId>>,
    deadlines: BTreeSet<(u64, SessionId)>,
    /// Keys that were touched, in order, each once.
    ready: VecDeque<Place>,
    ready_set: HashSet<Place>,
    clients: usize,
    last_ticket: u64,
}

impl Waiting {
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.clients == 0
    }

    /// Clients that wait, for INFO.
    pub fn clients(&self) -> usize {
        self.clients
    }

    /// Keys waited for, for INFO.
    pub fn keys(&self) -> usize {
        self.queues.len()
    }

    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub fn waits_for(&self, db: DbIndex, key: &[u8]) -> bool {
        !self.queues.is_empty() && self.queues.contains_key(&(db, Box::from(key)))
    }

    pub fn keys_of(&self, db: DbIndex) -> Vec<Box<[u8]>> {
        self.queues.keys().filter(|(place_db, _)| *place_db == db).map(|(_, key)| key.clone()).collect()
    }

    /// A key that somebody waits for was touched.
    pub fn signal(&mut self, db: DbIndex, key: Box<[u8]>) {
        if self.ready_set.insert((db, key.clone())) {
            self.ready.push_back((db, key));
        }
    }

    fn next_ready(&mut self) -> Option<Place> {
        let place = self.ready.pop_front()?;
        self.ready_set.remove(&place);
        Some(place)
    }

    /// The earliest moment at which a client must be told that it waited in vain (Unix milliseconds).
    pub fn next_deadline(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    fn add(&mut self, id: SessionId, blocked: &mut Blocked) {
        self.last_ticket += 1;
        blocked.ticket = self.last_ticket;
        self.enqueue(id, blocked);
    }

    fn enqueue(&mut self, id: SessionId, blocked: &Blocked) {
        for key in &blocked.keys {
            self.queues.entry((blocked.db, key.clone())).or_default().insert(blocked.ticket, id);
        }
        if let Some(deadline) = blocked.deadline_ms {
            self.deadlines.insert((deadline, id));
        }
        self.clients += 1;
    }

    fn remove(&mut self, id: SessionId, blocked: &Blocked) {
        for key in &blocked.keys {
            let place = (blocked.db, key.clone());
            if let Some(queue) = self.queues.get_mut(&place) {
                queue.remove(&blocked.ticket);
                if queue.is_empty() {
                    self.queues.remove(&place);
                }
            }
        }
        if let Some(deadline) = blocked.deadline_ms {
            self.deadlines.remove(&(deadline, id));
        }
        self.clients -= 1;
    }
}

impl Server {
    /// A command found nothing: its session waits. A command that was run again and still finds nothing keeps its place.
    pub(super) fn wait(&mut self, id: SessionId, entry: &'static Entry, request: Request, wait: Wait) {
        let session = self.sessions.get_mut(id);
        if session.blocked.is_some() {
            return;
        }
        let mut blocked = Box::new(Blocked {
            request: request.to_owned(),
            entry,
            db: session.db,
            keys: dedup(wait.keys),
            wants: wait.wants,
            deadline_ms: wait.deadline,
            on_timeout: wait.on_timeout,
            ticks: 0,
            ticket: 0,
        });
        self.waiting.add(id, &mut blocked);
        session.blocked = Some(blocked);
    }

    /// Lets waiting clients have what the last command touched. `current` is the session in the middle of its input, whose output is held
    /// by the caller.
    pub(super) fn serve_waiting(&mut self, mut current: Option<(SessionId, &mut Output)>) {
        if self.is_paused() {
            return;
        }
        while let Some((db, key)) = self.waiting.next_ready() {
            let Some(queue) = self.waiting.queues.get(&(db, key.clone())) else { continue };
            for id in queue.values().copied().collect::<Vec<_>>() {
                let Some(kind) = self.kind_of(db, &key) else { break };
                let Some(blocked) = self.sessions.get(id).blocked.as_ref() else { continue };
                if blocked.wants != kind {
                    continue;
                }
                let held = current.as_mut().filter(|(current, _)| *current == id);
                match held {
                    Some((_, out)) => self.resume(id, out),
                    None => {
                        let mut out = std::mem::take(&mut self.sessions.get_mut(id).output);
                        self.resume(id, &mut out);
                        let session = self.sessions.get_mut(id);
                        let side = std::mem::replace(&mut session.output, out);
                        session.output.append(side);
                        self.flush_later(id);
                    }
                }
            }
        }
    }

    /// Runs a waiting session's request once more.
    fn resume(&mut self, id: SessionId, out: &mut Output) {
        let Some(blocked) = self.sessions.get_mut(id).blocked.take() else { return };
        let protocol = self.sessions.get(id).protocol;
        let start = out.mark();
        // While it runs it is not waiting; if it has to wait again it keeps its place.
        self.waiting.remove(id, &blocked);
        let clients_before = self.waiting.clients();
        self.call(Caller::Resumed, id, blocked.entry, blocked.request.borrow(), &mut Reply::new(out, protocol));
        let waits_again = self.sessions.get(id).blocked.is_some();
        debug_assert_eq!(waits_again, self.waiting.clients() > clients_before);
        if waits_again {
            self.keep_place(id, *blocked);
            out.truncate(start);
            return;
        }
        self.ended_wait(id, start, out);
    }

    fn keep_place(&mut self, id: SessionId, before: Blocked) {
        if let Some(now) = self.sessions.get_mut(id).blocked.take() {
            self.waiting.remove(id, &now);
        }
        self.waiting.enqueue(id, &before);
        self.sessions.get_mut(id).blocked = Some(Box::new(before));
    }

    fn ended_wait(&mut self, id: SessionId, start: crate::resp::reply::Mark, out: &mut Output) {
        let session = self.sessions.get_mut(id);
        match session.reply_mode {
            ReplyMode::On => {}
            ReplyMode::Off => out.truncate(start),
            ReplyMode::Skip | ReplyMode::SkipNext => {
                session.reply_mode = ReplyMode::On;
                out.truncate(start);
            }
        }
        self.outbox.resume.push(id);
    }

    /// Ends a wait without a result. `how` writes the reply.
    pub fn end_wait(&mut self, id: SessionId, how: impl FnOnce(&Blocked, &mut Reply)) -> bool {
        let Some(blocked) = self.sessions.get_mut(id).blocked.take() else { return false };
        self.waiting.remove(id, &blocked);
        let session = self.sessions.get_mut(id);
        let protocol = session.protocol;
        session.commands += 1;
        let mut out = std::mem::take(&mut session.output);
        let start = out.mark();
        how(&blocked, &mut Reply::new(&mut out, protocol));
        self.stats.count_call(blocked.entry.id, blocked.ticks, false, self.config.latency_tracking);
        self.ended_wait(id, start, &mut out);
        self.sessions.get_mut(id).output = out;
        self.flush_later(id);
        true
    }

    /// Ends a wait with an error.
    pub fn fail_wait(&mut self, id: SessionId, text: &str) -> bool {
        if self.sessions.get(id).blocked.is_none() {
            return false;
        }
        self.stats.count_error_text(text.as_bytes());
        self.end_wait(id, |_, reply| reply.error(text))
    }

    /// The session is gone: it waits no more.
    pub(super) fn forget_wait(&mut self, id: SessionId) {
        if let Some(blocked) = self.sessions.get_mut(id).blocked.take() {
            self.waiting.remove(id, &blocked);
        }
    }

    /// Tells the clients whose time is up. O(clients told).
    pub fn time_out_waiting(&mut self) {
        let now = self.clock.unix_ms();
        while let Some(&(deadline, id)) = self.waiting.deadlines.first() {
            if deadline > now {
                return;
            }
            self.end_wait(id, |blocked, reply| match blocked.on_timeout {
                TimeoutReply::Null => reply.null(),
                TimeoutReply::NullArray => reply.null_array(),
            });
        }
    }

    /// The session has got output from others: the connection is asked to send it.
    pub fn flush_later(&mut self, id: SessionId) {
        let session = self.sessions.get_mut(id);
        if !std::mem::replace(&mut session.in_flush, true) {
            self.outbox.flush.push(id);
        }
    }
}

fn dedup(mut keys: Vec<Box<[u8]>>) -> Vec<Box<[u8]>> {
    let mut seen = HashSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    keys
}
