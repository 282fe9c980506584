//! Clients that wait for a key: one mechanism for every blocking command.
//!
//! A handler that finds nothing ends with `Stop::Wait`; its request is kept here. When one of its keys is touched the same request is run
//! again, first come first served for each key, after the command (or transaction) that touched it has ended.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hashbrown::{HashMap, HashSet};

use super::Server;
use super::dispatch::Caller;
use super::session::{ReplyMode, SessionId};
use crate::cmd::error::{Reading, TimeoutReply, Wait};
use crate::cmd::table::Entry;
use crate::db::DbIndex;
use crate::db::effect::Stir;
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
    /// How a reader of streams waits.
    reading: Option<Box<Reading>>,
    /// What running it has taken so far.
    pub ticks: u64,
    /// Place in every queue: lower came first.
    ticket: u64,
}

type Place = (DbIndex, Box<[u8]>);

impl Blocked {
    /// When it must be looked at though nothing happened: its time is up, or it is to be run again.
    fn alarm(&self) -> Option<u64> {
        let retry_at = self.reading.as_ref().and_then(|reading| reading.retry_at);
        [self.deadline_ms, retry_at].into_iter().flatten().min()
    }

    fn claims(&self) -> bool {
        self.reading.as_ref().is_some_and(|reading| reading.claims)
    }

    fn class(&self) -> Option<&[u8]> {
        self.reading.as_ref()?.class.as_deref()
    }

    /// Whether it has anything to do with a key that holds a value of this kind now.
    fn minds(&self, kind: Option<Kind>) -> bool {
        kind == Some(self.wants) || self.reading.as_ref().is_some_and(|reading| reading.hears_of_loss)
    }
}

#[derive(Default)]
pub struct Waiting {
    queues: HashMap<Place, BTreeMap<u64, SessionId>>,
    /// Clients by when they must be looked at though nothing happened.
    alarms: BTreeSet<(u64, SessionId)>,
    /// Keys that were touched, in order, each once.
    ready: VecDeque<Place>,
    ready_for: HashMap<Place, Stir>,
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

    /// Keys of which somebody wants to hear when they go, for INFO. O(keys and clients).
    pub fn keys_to_lose<'a>(&self, blocked: impl Fn(SessionId) -> Option<&'a Blocked>) -> usize {
        let hears_of_loss = |id: &SessionId| {
            let reading = blocked(*id).and_then(|blocked| blocked.reading.as_ref());
            reading.is_some_and(|reading| reading.hears_of_loss)
        };
        self.queues.values().filter(|queue| queue.values().any(hears_of_loss)).count()
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
    pub fn signal(&mut self, db: DbIndex, key: Box<[u8]>, whom: Stir) {
        match self.ready_for.entry((db, key.clone())) {
            hashbrown::hash_map::Entry::Occupied(mut before) => {
                let more = whom.max(*before.get());
                before.insert(more);
            }
            hashbrown::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(whom);
                self.ready.push_back((db, key));
            }
        }
    }

    fn next_ready(&mut self) -> Option<(Place, Stir)> {
        let place = self.ready.pop_front()?;
        let whom = self.ready_for.remove(&place).expect("what is ready is ready for somebody");
        Some((place, whom))
    }

    /// The earliest moment at which a client must be told that it waited in vain, or be run again (Unix milliseconds).
    pub fn next_deadline(&self) -> Option<u64> {
        self.alarms.first().map(|(alarm, _)| *alarm)
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
        if let Some(alarm) = blocked.alarm() {
            self.alarms.insert((alarm, id));
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
        if let Some(alarm) = blocked.alarm() {
            self.alarms.remove(&(alarm, id));
        }
        self.clients -= 1;
    }

    /// A client that would claim waits no more: it may have been the one of its class that knew when to look again.
    fn pass_on(&mut self, blocked: &Blocked) {
        if blocked.claims() {
            for key in &blocked.keys {
                if self.queues.contains_key(&(blocked.db, key.clone())) {
                    self.signal(blocked.db, key.clone(), Stir::Claimers);
                }
            }
        }
    }
}

impl Server {
    /// A command found nothing: its session waits. A command that was run again and still finds nothing keeps its place.
    pub(super) fn wait(&mut self, id: SessionId, entry: &'static Entry, request: Request, mut wait: Wait) {
        let session = self.sessions.get_mut(id);
        if session.blocked.is_some() {
            return;
        }
        let mut blocked = Box::new(Blocked {
            request: wait
                .reading
                .as_mut()
                .and_then(|reading| reading.request.take())
                .unwrap_or_else(|| request.to_owned()),
            entry,
            db: session.db,
            keys: dedup(wait.keys),
            wants: wait.wants,
            deadline_ms: wait.deadline,
            on_timeout: wait.on_timeout,
            reading: wait.reading,
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
        while let Some(((db, key), whom)) = self.waiting.next_ready() {
            let Some(queue) = self.waiting.queues.get(&(db, key.clone())) else { continue };
            let mut in_vain: Vec<Box<[u8]>> = Vec::new();
            for id in queue.values().copied().collect::<Vec<_>>() {
                let kind = self.kind_of(db, &key);
                let Some(blocked) = self.sessions.get(id).blocked.as_ref() else { continue };
                if !blocked.minds(kind) || (whom == Stir::Claimers && !blocked.claims()) {
                    continue;
                }
                let class = blocked.class();
                if class.is_some_and(|class| in_vain.iter().any(|other| **other == *class)) {
                    continue;
                }
                let class: Option<Box<[u8]>> = class.map(Box::from);
                match current.as_mut().filter(|(current, _)| *current == id) {
                    Some((_, out)) => self.resume(id, out),
                    None => self.resume_apart(id),
                }
                if self.sessions.get(id).blocked.is_some() {
                    in_vain.extend(class);
                }
            }
        }
    }

    /// As `resume`, for a session whose output nobody holds.
    pub(super) fn resume_apart(&mut self, id: SessionId) {
        let mut out = std::mem::take(&mut self.sessions.get_mut(id).output);
        self.resume(id, &mut out);
        let session = self.sessions.get_mut(id);
        let side = std::mem::replace(&mut session.output, out);
        session.output.append(side);
        self.flush_later(id);
    }

    /// Runs a waiting session's request once more.
    fn resume(&mut self, id: SessionId, out: &mut Output) {
        let Some(blocked) = self.sessions.get_mut(id).blocked.take() else { return };
        let protocol = self.sessions.get(id).protocol;
        let start = out.mark();
        // While it runs it is not waiting; if it has to wait again it keeps its place.
        self.waiting.remove(id, &blocked);
        if let Some(refusal) = self.acl_refusal(Caller::Resumed, id, blocked.entry, blocked.request.borrow()) {
            self.waiting.pass_on(&blocked);
            self.refuse(id, Some(blocked.entry), refusal, &mut Reply::new(out, protocol));
            return self.ended_wait(id, start, out);
        }
        let clients_before = self.waiting.clients();
        let journaled = self.journal.offset();
        self.call(Caller::Resumed, id, blocked.entry, blocked.request.borrow(), &mut Reply::new(out, protocol));
        let waits_again = self.sessions.get(id).blocked.is_some();
        debug_assert_eq!(waits_again, self.waiting.clients() > clients_before);
        if waits_again {
            self.keep_place(id, *blocked);
            out.truncate(start);
            self.append_messages(id, out);
            return;
        }
        self.waiting.pass_on(&blocked);
        if self.journal.is_open() {
            self.note_journaled(id, Some(blocked.entry), blocked.request.borrow(), journaled, (start, out.mark()));
        }
        self.ended_wait(id, start, out);
        self.append_messages(id, out);
    }

    fn keep_place(&mut self, id: SessionId, mut before: Blocked) {
        if let Some(mut now) = self.sessions.get_mut(id).blocked.take() {
            self.waiting.remove(id, &now);
            before.reading = now.reading.take();
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
    fn end_wait(&mut self, id: SessionId, failed: bool, how: impl FnOnce(&Blocked, &mut Reply)) -> bool {
        let Some(blocked) = self.sessions.get_mut(id).blocked.take() else { return false };
        self.waiting.remove(id, &blocked);
        self.waiting.pass_on(&blocked);
        let session = self.sessions.get_mut(id);
        let protocol = session.protocol;
        session.commands += 1;
        let mut out = std::mem::take(&mut session.output);
        let start = out.mark();
        how(&blocked, &mut Reply::new(&mut out, protocol));
        self.stats.count_call(blocked.entry.id, blocked.ticks, failed, self.config.latency_tracking);
        // The time that it waited is not its own.
        self.note_time(Caller::Resumed, id, blocked.entry, blocked.request.borrow(), blocked.ticks);
        self.ended_wait(id, start, &mut out);
        self.sessions.get_mut(id).output = out;
        self.flush_later(id);
        true
    }

    /// Ends a wait with the reply of one whose time is up.
    pub fn end_wait_in_vain(&mut self, id: SessionId) -> bool {
        let (is_safe, acknowledged) = (self.is_safe(id), self.acknowledged_by(id));
        self.end_wait(id, false, |blocked, reply| match blocked.on_timeout {
            TimeoutReply::Null => reply.null(),
            TimeoutReply::NullArray => reply.null_array(),
            TimeoutReply::Safe => reply_safe(is_safe, reply),
            TimeoutReply::Acknowledged => reply.count(acknowledged),
        })
    }

    /// Ends a wait with an error.
    pub fn fail_wait(&mut self, id: SessionId, text: &str) -> bool {
        if self.sessions.get(id).blocked.is_none() {
            return false;
        }
        self.stats.count_error_text(text.as_bytes());
        self.end_wait(id, true, |_, reply| reply.error(text))
    }

    /// Ends all waits with an error, and those who waited go.
    pub(super) fn fail_all_waits(&mut self, text: &str) {
        let waiting = |(id, session): (SessionId, &super::Session)| session.blocked.is_some().then_some(id);
        for id in self.sessions.iter().filter_map(waiting).collect::<Vec<_>>() {
            self.fail_wait(id, text);
            self.close(id, super::Closing::AfterOutput);
        }
    }

    /// The session is gone: it waits no more.
    pub(super) fn forget_wait(&mut self, id: SessionId) {
        if let Some(blocked) = self.sessions.get_mut(id).blocked.take() {
            self.waiting.remove(id, &blocked);
            self.waiting.pass_on(&blocked);
        }
    }

    /// Tells the clients whose time is up, and runs those again that asked for it. O(clients told).
    pub fn time_out_waiting(&mut self) {
        let now = self.clock.unix_ms();
        while let Some(&(alarm, id)) = self.waiting.alarms.first() {
            if alarm > now {
                break;
            }
            let deadline = self.sessions.get(id).blocked.as_ref().and_then(|blocked| blocked.deadline_ms);
            if deadline.is_none_or(|deadline| alarm < deadline) {
                self.retry(id);
                continue;
            }
            self.end_wait_in_vain(id);
        }
        if self.waiting.has_ready() {
            self.serve_waiting(None);
        }
    }

    /// Runs a waiting session's request again because it asked for that: at once, or once a pause is over.
    fn retry(&mut self, id: SessionId) {
        if !self.is_paused() {
            return self.resume_apart(id);
        }
        let Some(mut blocked) = self.sessions.get_mut(id).blocked.take() else { return };
        self.waiting.remove(id, &blocked);
        if let Some(reading) = &mut blocked.reading {
            reading.retry_at = None;
        }
        self.waiting.enqueue(id, &blocked);
        for key in &blocked.keys {
            self.waiting.signal(blocked.db, key.clone(), Stir::Claimers);
        }
        self.sessions.get_mut(id).blocked = Some(blocked);
    }

    /// The session has got output from others: the connection is asked to send it.
    pub fn flush_later(&mut self, id: SessionId) {
        let session = self.sessions.get_mut(id);
        if !std::mem::replace(&mut session.in_flush, true) {
            self.outbox.flush.push(id);
        }
    }
}

/// WAITAOF's answer: copies here, and with replicas, of which there are none.
pub fn reply_safe(is_safe: bool, reply: &mut Reply) {
    reply.array(2);
    reply.int(i64::from(is_safe));
    reply.int(0);
}

fn dedup(mut keys: Vec<Box<[u8]>>) -> Vec<Box<[u8]>> {
    let mut seen = HashSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    keys
}
