//! Runs what a log holds: the same commands through the same `call`, for a session that no client has.
//!
//! Nothing lapses and nothing is admitted, refused, counted or journaled: what lapsed at the time is deleted by the log itself. A request
//! that fails now as it did then is no trouble; one that no server knows is.

use super::Server;
use super::dispatch::Caller;
use super::session::{Peer, SessionId};
use crate::cmd::table::{self, Entry};
use crate::config::PropagationError;
use crate::resp::reply::{Output, Reply};
use crate::resp::request::Request;

/// A replay in progress.
pub struct Replay {
    session: SessionId,
    out: Output,
    pub requests: u64,
    /// Requests that were answered with an error, and the first such answer.
    pub errors: u64,
    pub first_error: Option<String>,
}

impl Server {
    pub fn begin_replay(&mut self) -> Replay {
        let session = self.sessions.open(Peer::default(), self.acl.default_user(), self.clock);
        self.keyspace.replayed_ms = self.clock.unix_ms();
        let state = self.sessions.get_mut(session);
        (state.internal, state.authenticated, state.no_touch) = (true, true, true);
        Replay { session, out: Output::default(), requests: 0, errors: 0, first_error: None }
    }

    /// The next part of the log begins: each speaks of database 0 first.
    pub fn replay_from_database_0(&mut self, replay: &Replay) {
        self.sessions.get_mut(replay.session).db = 0;
    }

    /// Runs one request. The error says why no server can.
    pub fn replay(&mut self, replay: &mut Replay, request: Request) -> Result<(), String> {
        let id = replay.session;
        // The log has the names that clients used.
        let found = self.names.find(request.arg(0)).or_else(|| table::top_level(request.arg(0)));
        let Some(found) = found else {
            let name = self.config.shown_in_log(request.arg(0));
            return Err(format!("Unknown command '{name}' reading the append only file"));
        };
        replay.requests += 1;
        self.run_unasked(Caller::Replay, id, found, request, &mut replay.out)
            .map_err(|why| format!("{why} reading the append only file"))?;
        if replay.out.plain().is_none_or(|reply| reply.first() == Some(&b'-')) {
            self.note_replay_error(replay)?;
        }
        replay.out.clear();
        Ok(())
    }

    /// Runs, or queues, what a log or a primary says. The error says why no server can.
    pub(super) fn run_unasked(
        &mut self,
        caller: Caller,
        id: SessionId,
        found: &'static Entry,
        request: Request,
        out: &mut Output,
    ) -> Result<&'static Entry, String> {
        let entry = if table::is_parent(found, request.len()) {
            request.iter().nth(1).and_then(|word| found.subcommand(word))
        } else {
            Some(found)
        };
        let Some(entry) = entry.filter(|entry| entry.command.takes(request.len())) else {
            let name = self.config.shown_in_log(request.arg(0));
            return Err(format!("Command '{name}' with a wrong number of arguments"));
        };
        if self.sessions.get(id).transaction.is_some() && !super::admit::is_run_inside_multi(entry) {
            super::admit::queue(self, id, entry, request);
            return Ok(entry);
        }
        self.replaying = true;
        self.call(caller, id, entry, request, &mut Reply::new(out, Default::default()));
        self.replaying = false;
        Ok(entry)
    }

    fn note_replay_error(&self, replay: &mut Replay) -> Result<(), String> {
        let text = replay.out.to_vec();
        if text.first() != Some(&b'-') {
            return Ok(());
        }
        let text = self.config.shown_in_log(text.trim_ascii_end()).into_owned();
        if self.config.propagation_error_behavior == PropagationError::Panic {
            return Err(format!("A request was answered with '{text}' (propagation-error-behavior is 'panic')"));
        }
        replay.errors += 1;
        replay.first_error.get_or_insert(text);
        Ok(())
    }

    /// Whether a transaction was begun and not ended yet.
    pub fn is_replaying_transaction(&self, replay: &Replay) -> bool {
        self.sessions.get(replay.session).transaction.is_some()
    }

    /// The log ends within a transaction: it never happened.
    pub fn abandon_replayed_transaction(&mut self, replay: &Replay) {
        self.discard_transaction(replay.session);
    }

    /// Everything goes, unheard: what is loaded next takes its place.
    pub fn forget_data(&mut self) {
        for db in 0..self.keyspace.databases() {
            let (_, old) = self.keyspace.take_db(db);
            old.into_iter().for_each(|db| self.garbage.db(db));
        }
    }

    pub fn end_replay(&mut self, replay: Replay) {
        self.remove_session(replay.session);
        self.effects = Default::default();
        self.stats.dirty = 0;
    }
}
