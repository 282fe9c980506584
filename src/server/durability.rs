//! What the heart knows of the append-only log: whether it can be written, how far it is safe, and which replies wait for that.
//!
//! The process around writes the journal and tells here how far it has got (`note_durable`). Under `appendfsync always` a session's
//! replies wait for the journal's offset behind its own last write, and behind the last write to any key it has read; who reads what
//! nobody has just written waits for nothing.
//!
//! Under the other policies replies wait for no more than the turn's write to the log. Where that fails the turn's writers are told so, in place
//! of what they would have been told: what they did stays, and gets into the log with what else waits for it, but nobody was promised that.

use super::admit::text_of;
use super::session::SessionId;
use super::{Closing, Server};
use crate::cmd::command::{Find, Flag, Run};
use crate::cmd::table::Entry;
use crate::resp::reply::Mark;
use crate::resp::request::Request;

/// Slots of the memory of last writes. Keys that share a slot wait for each other, which costs time and nothing else.
const SLOTS: usize = 16 * 1024;

#[derive(Default)]
pub struct Durability {
    /// A log is kept.
    pub is_on: bool,
    /// Why writes are refused, as far as the log is concerned.
    pub refusal: Option<String>,
    /// Replies to what was journaled up to here may leave.
    pub released: u64,
    /// Safe on the disk up to here.
    pub synced: u64,
    pub log: LogFacts,
    pub rewrite: RewriteFacts,
    /// The data set is being read from files: clients are told to wait.
    pub loading: Option<Loading>,
    last_writes: Option<Box<LastWrites>>,
    /// What this turn's writers are told, until the log has what they did.
    answers: Vec<Answer>,
    /// Sessions that wait for the disk by WAITAOF.
    pub waiting: Vec<SessionId>,
}

/// The log as INFO shows it.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogFacts {
    pub size: u64,
    pub base_size: u64,
    pub waiting_bytes: usize,
    pub is_syncing: bool,
    pub delayed_syncs: u64,
}

/// Rewriting the log, as INFO shows it.
#[derive(Clone, Debug, Default)]
pub struct RewriteFacts {
    /// When the one that is running began (Unix milliseconds).
    pub began_ms: Option<u64>,
    pub is_scheduled: bool,
    pub last_took_ms: Option<u64>,
    pub last_error: Option<String>,
    pub count: u64,
    pub failures_in_a_row: u64,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Loading {
    pub began_ms: u64,
    pub total_bytes: u64,
    pub loaded_bytes: u64,
}

/// A reply to a write, in its session's output.
struct Answer {
    session: SessionId,
    client_id: u64,
    start: Mark,
    end: Mark,
}

/// When keys were last written, by their hash.
struct LastWrites {
    slots: Vec<u64>,
    /// Writes that no single key tells of: transactions, commands of many keys, upkeep.
    others: u64,
}

impl Durability {
    pub fn is_loading(&self) -> bool {
        self.loading.is_some()
    }

    /// Replies wait for the disk from now on, or no more.
    pub fn set_always(&mut self, always: bool, offset: u64) {
        if always != self.last_writes.is_some() {
            let fresh = || Box::new(LastWrites { slots: vec![0; SLOTS], others: offset });
            self.last_writes = always.then(fresh);
        }
    }

    pub fn is_always(&self) -> bool {
        self.last_writes.is_some()
    }

    #[inline]
    pub fn may_leave(&self, gate: u64) -> bool {
        gate <= self.released || !self.is_on
    }
}

impl Server {
    /// Notes what a command of a session has done to the journal, and so what its reply must wait for.
    #[inline]
    pub(super) fn note_journaled(
        &mut self,
        id: SessionId,
        entry: Option<&'static Entry>,
        request: Request,
        before: u64,
        (start, end): (Mark, Mark),
    ) {
        let after = self.journal.offset();
        if self.durability.is_always() {
            if after != before {
                let session = self.sessions.get_mut(id);
                (session.wrote_until, session.gate) = (after, after);
            }
            return self.note_last_writes(id, entry, request, before);
        }
        // A key that a reader found lapsed has gone whether that is kept or not.
        if after != before && !entry.is_some_and(|entry| entry.has(Flag::Readonly)) {
            let session = self.sessions.get_mut(id);
            (session.wrote_until, session.gate) = (after, after);
            if self.durability.is_on {
                self.durability.answers.push(Answer { session: id, client_id: session.client_id, start, end });
            }
        }
    }

    /// The log has all of the turn.
    #[inline]
    pub fn keep_answers(&mut self) {
        self.durability.answers.clear();
    }

    /// The log could not be written: this turn's writers are told why.
    pub fn take_back_answers(&mut self) {
        let mut answers = std::mem::take(&mut self.durability.answers);
        // From the last to the first, so that those before stay where they are.
        for answer in answers.drain(..).rev() {
            let text = match self.refusal_for_durability() {
                Some(stop) => text_of(&stop).into_owned(),
                None => return,
            };
            let released = self.durability.released;
            let Some(session) = self.sessions.find_mut(answer.session) else { continue };
            if session.client_id != answer.client_id {
                continue;
            }
            session.gate = session.gate.min(released);
            let refusal = [b"-", &*text, b"\r\n"].concat();
            if answer.start != answer.end && session.output.replace(answer.start, answer.end, &refusal) {
                self.stats.count_error_text(&text);
                self.flush_later(answer.session);
            }
        }
        self.durability.answers = answers;
    }

    fn note_last_writes(&mut self, id: SessionId, entry: Option<&'static Entry>, request: Request, before: u64) {
        let (db, seen) = (self.sessions.get(id).db, self.journal.offset());
        let key = entry.and_then(|entry| only_key(entry, request));
        let slot = key.map(|key| (self.keyspace.hash(key).0 as usize).wrapping_add(db) % SLOTS);
        let Some(last_writes) = &mut self.durability.last_writes else { return };
        match slot {
            _ if seen != before => match slot {
                Some(slot) => last_writes.slots[slot] = seen,
                None => last_writes.others = seen,
            },
            Some(slot) => {
                let gate = last_writes.slots[slot].max(last_writes.others);
                let session = self.sessions.get_mut(id);
                session.gate = session.gate.max(gate);
            }
            // It may have looked at anything.
            None if entry.is_some_and(reads_data) => self.sessions.get_mut(id).gate = seen,
            None => {}
        }
    }

    /// Upkeep has changed something: whoever reads anything from now on has seen it.
    pub(super) fn note_upkeep_journaled(&mut self) {
        if let Some(last_writes) = &mut self.durability.last_writes {
            last_writes.others = self.journal.offset();
        }
    }

    /// The log is safe up to `synced`, and replies up to `released` may leave. Serves those who wait for the disk.
    pub fn note_durable(&mut self, released: u64, synced: u64) {
        self.durability.released = released;
        if synced <= self.durability.synced {
            self.durability.synced = synced;
            return;
        }
        self.durability.synced = synced;
        for id in std::mem::take(&mut self.durability.waiting) {
            let Some(session) = self.sessions.find(id) else { continue };
            if session.blocked.is_none() {
                continue;
            }
            if session.wrote_until <= synced {
                self.resume_apart(id);
            } else {
                self.durability.waiting.push(id);
            }
        }
    }

    /// The local part of WAITAOF's answer.
    pub fn is_safe(&self, id: SessionId) -> bool {
        self.durability.is_on && self.sessions.get(id).wrote_until <= self.durability.synced
    }

    /// The reply of a session comes later, from the process around (`answer_from_host`). Nothing else of it is run until then.
    pub fn wait_for_host(&mut self, id: SessionId) {
        self.sessions.get_mut(id).waits_for_host = true;
    }

    /// What the process around has to say to a session that waits for it.
    pub fn answer_from_host(&mut self, id: SessionId, answer: Result<(), String>) {
        let Some(session) = self.sessions.find_mut(id) else { return };
        if !std::mem::take(&mut session.waits_for_host) || session.closing == Some(Closing::AtOnce) {
            return;
        }
        match answer {
            Ok(()) => session.output.push(b"+OK\r\n"),
            Err(text) => {
                session.output.push(format!("-{text}\r\n").as_bytes());
                self.stats.count_error_text(text.as_bytes());
            }
        }
        self.outbox.resume.push(id);
        self.flush_later(id);
    }
}

/// The key of a command that touches one key and nothing else.
fn only_key<'a>(entry: &Entry, request: Request<'a>) -> Option<&'a [u8]> {
    let [spec] = entry.command.keys else { return None };
    let is_one =
        matches!(spec.find, Find::Range { last: 0, .. }) && matches!(entry.command.run, Run::Read(_) | Run::Write(_));
    let at = usize::from(entry.first_key);
    (is_one && at > 0 && at < request.len()).then(|| request.arg(at))
}

fn reads_data(entry: &Entry) -> bool {
    let data = Flag::Write.mask() | Flag::Readonly.mask() | Flag::MayReplicate.mask() | Flag::NoMandatoryKeys.mask();
    entry.flags & data != 0 || matches!(entry.command.run, Run::Read(_) | Run::Write(_)) || entry.command.name == "EXEC"
}
