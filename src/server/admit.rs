//! May this command run now? Every refusal there is, in the order in which Redis makes them.
//!
//! The states that refuse are few and rarely on; each has a row in `refusals`. A command is also held back (CLIENT PAUSE) or queued
//! (MULTI) here.

use std::borrow::Cow;

use super::dispatch::Caller;
use super::session::SessionId;
use super::{Closing, Server};
use crate::cmd::command::Flag;
use crate::cmd::error::{Stop, error, error_showing, error_with, shown};
use crate::cmd::table::{self, Entry};
use crate::resp::request::Request;
use crate::script;

pub enum Admission {
    Run(&'static Entry),
    Queue(&'static Entry),
    Refuse(Stop, Option<&'static Entry>),
    /// The command stays where it is until the server lets it go on.
    Hold,
    /// The session was closed without an answer.
    CutOff,
}

/// CLIENT PAUSE.
#[derive(Default)]
pub struct Pause {
    /// Unix time in milliseconds until which commands are held back.
    pub until_ms: u64,
    /// Only commands that write are.
    pub writes_only: bool,
    /// Sessions with a command that was held back, in the order in which they go on.
    pub held: Vec<SessionId>,
}

/// Decides about one command of a client. O(1), and eviction where memory is short.
#[inline]
pub fn admit(server: &mut Server, id: SessionId, found: Option<&'static Entry>, request: Request) -> Admission {
    let entry = resolve(found, request);
    server.sessions.get_mut(id).last_command = entry.as_ref().ok().copied();
    let entry = match entry {
        Ok(entry) => entry,
        Err(stop) => {
            if found.is_none() && is_http(request) {
                cut_off(server, id);
                return Admission::CutOff;
            }
            return Admission::Refuse(stop, found);
        }
    };
    if !entry.command.takes(request.len()) {
        return Admission::Refuse(wrong_arity(entry), Some(entry));
    }
    if entry.has(Flag::Protected)
        && let Some(stop) = closed(server, id, entry)
    {
        return Admission::Refuse(stop, Some(entry));
    }
    let session = server.sessions.get(id);
    if !session.authenticated && !entry.has(Flag::NoAuth) && server.needs_password() {
        return Admission::Refuse(error("NOAUTH Authentication required."), Some(entry));
    }
    if session.transaction.is_some() && entry.has(Flag::NoMulti) {
        return Admission::Refuse(error("ERR Command not allowed inside a transaction"), Some(entry));
    }
    if let Some(stop) = server.acl_refusal(Caller::Client, id, entry, request) {
        return Admission::Refuse(stop, Some(entry));
    }
    if server.crosses_slots(entry, request) {
        return Admission::Refuse(super::cluster::CROSSED, Some(entry));
    }
    if let Some(stop) = refusal(server, id, entry, request) {
        return Admission::Refuse(stop, Some(entry));
    }
    // Even the queueing of a command that writes is held back.
    if (server.pause.until_ms > 0 || server.ending.holds_writes()) && holds_back(server, id, entry, request) {
        return hold(server, id, request);
    }
    let session = server.sessions.get(id);
    if session.transaction.is_some() && !is_run_inside_multi(entry) {
        return Admission::Queue(entry);
    }
    Admission::Run(entry)
}

/// The command, or its subcommand, that the request names.
fn resolve(found: Option<&'static Entry>, request: Request) -> Result<&'static Entry, Stop> {
    let Some(entry) = found else { return Err(unknown_command(request)) };
    if !table::is_parent(entry, request.len()) {
        return Ok(entry);
    }
    if request.len() < 2 {
        return Err(wrong_arity(entry));
    }
    let name = request.arg(1);
    entry.subcommand(name).ok_or_else(|| {
        let after = format!("'. Try {} HELP.", entry.command.name);
        error_showing("ERR unknown subcommand '", name, &after)
    })
}

pub fn unknown_command(request: Request) -> Stop {
    const SHOWN_MAX: usize = 128;
    let mut text = b"ERR unknown command '".to_vec();
    let name = request.arg(0);
    text.extend_from_slice(shown(&name[..name.len().min(SHOWN_MAX)]));
    text.extend_from_slice(b"', with args beginning with: ");
    let mut arguments = Vec::new();
    for arg in request.iter().skip(1) {
        if arguments.len() >= SHOWN_MAX {
            break;
        }
        let room = SHOWN_MAX - arguments.len();
        arguments.push(b'\'');
        arguments.extend_from_slice(shown(&arg[..arg.len().min(room)]));
        arguments.extend_from_slice(b"' ");
    }
    text.extend(arguments);
    Stop::Bytes(text)
}

/// A browser was talked into sending requests here: its lines look like commands.
fn is_http(request: Request) -> bool {
    let name = request.arg(0);
    name.eq_ignore_ascii_case(b"host:") || name.eq_ignore_ascii_case(b"post")
}

#[cold]
fn cut_off(server: &mut Server, id: SessionId) {
    const SILENCE_MS: u64 = 60_000;
    let now = server.clock.unix_ms();
    if now.saturating_sub(server.stats.cut_off_logged_ms) >= SILENCE_MS {
        server.stats.cut_off_logged_ms = now;
        let address = &server.sessions.get(id).peer.address;
        tracing::warn!(
            "Possible SECURITY ATTACK detected: {address} sends HTTP (POST or Host:), as a web page would that was made to reach this server. \
             The connection is closed."
        );
    }
    server.close(id, Closing::AtOnce);
}

pub fn wrong_arity(entry: &Entry) -> Stop {
    error_with(format!("ERR wrong number of arguments for '{}' command", entry.full_name))
}

/// DEBUG and MODULE, where their directive keeps them from this client.
#[cold]
fn closed(server: &Server, id: SessionId, entry: &Entry) -> Option<Stop> {
    let config = &server.config;
    let (name, directive, permit) = match entry.parent {
        Some(_) => ("MODULE", "enable-module-command", config.enable_module_command),
        None => ("DEBUG", "enable-debug-command", config.enable_debug_command),
    };
    let local = server.sessions.get(id).peer.is_local();
    (!permit.allows(local)).then(|| {
        error_with(format!(
            "ERR {name} command not allowed. If the {directive} option is set to \"local\", you can run it from a local connection, \
             otherwise you need to set this option in the configuration file, and then restart the server."
        ))
    })
}

/// Commands that act at once even inside MULTI.
pub(super) fn is_run_inside_multi(entry: &Entry) -> bool {
    matches!(entry.command.name, "EXEC" | "DISCARD" | "MULTI" | "WATCH" | "QUIT" | "RESET") && entry.parent.is_none()
}

/// The first reason to refuse, if any holds.
#[inline]
fn refusal(server: &mut Server, id: SessionId, entry: &'static Entry, request: Request) -> Option<Stop> {
    if server.config.maxmemory > 0 && !server.make_room() && refuses_for_memory(server, id, entry) {
        return Some(error("OOM command not allowed when used memory > 'maxmemory'."));
    }
    if (server.durability.refusal.is_some() || server.saving.last_failure.is_some())
        && writes_or_pings(server, id, entry)
        && let Some(stop) = server.refusal_for_durability()
    {
        return Some(stop);
    }
    let session = server.sessions.get(id);
    let touches_keys = Flag::Write.mask() | Flag::Readonly.mask() | Flag::MayReplicate.mask();
    if (session.monitor || session.is_replica()) && entry.flags & touches_keys != 0 {
        return Some(error("ERR Replica can't interact with the keyspace"));
    }
    if (server.config.min_replicas_to_write > 0 || server.is_replica())
        && let Some(stop) = server.refusal_by_role(id, entry, request)
    {
        return Some(stop);
    }
    let session = server.sessions.get(id);
    let subscribed_in_resp2 = session.protocol == crate::resp::reply::Protocol::Resp2 && session.is_subscriber();
    if subscribed_in_resp2 && !is_for_subscribers(entry) {
        let name = entry.full_name.as_str();
        return Some(error_with(format!(
            "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
        )));
    }
    if server.durability.is_loading() && !entry.has(Flag::Loading) {
        return Some(LOADING);
    }
    if server.scripts.is_busy()
        && !entry.has(Flag::AllowBusy)
        && let Some(running) = &server.scripts.running
    {
        return Some(script::busy(running));
    }
    None
}

/// What must not be done while nothing can be made durable. PING tells of that too, so that whoever watches a server by it learns of it.
fn writes_or_pings(server: &Server, id: SessionId, entry: &Entry) -> bool {
    is_write(server, id, entry) || entry.command.name == "PING"
}

pub const LOADING: Stop = error("LOADING Redis is loading the dataset in memory");
pub const READ_ONLY: Stop = error("READONLY You can't write against a read only replica.");
pub const STALE: Stop = error("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.");

/// The command wants the data as they are now, or is the EXEC of one that does.
fn minds_old_data(server: &Server, id: SessionId, entry: &Entry) -> bool {
    let queued = server.sessions.get(id).transaction.as_ref().map_or(0, |queued| queued.lacks);
    let lacks = if entry.command.name == "EXEC" { queued } else { !entry.flags };
    lacks & Flag::Stale.mask() != 0
}

/// The command changes data, or is the EXEC of one that does.
fn is_write(server: &Server, id: SessionId, entry: &Entry) -> bool {
    let queued = server.sessions.get(id).transaction.as_ref().map_or(0, |queued| queued.flags);
    let flags = if entry.command.name == "EXEC" { queued } else { entry.flags };
    flags & Flag::Write.mask() != 0
}

fn refuses_for_memory(server: &Server, id: SessionId, entry: &Entry) -> bool {
    let is_exec = entry.command.name == "EXEC";
    let queued = server.sessions.get(id).transaction.as_ref();
    let queued_grows = is_exec && queued.is_some_and(|queued| queued.flags & Flag::DenyOom.mask() != 0);
    entry.has(Flag::DenyOom) || queued_grows
}

fn is_for_subscribers(entry: &Entry) -> bool {
    let name = entry.command.name;
    matches!(
        name,
        "PING"
            | "SUBSCRIBE"
            | "PSUBSCRIBE"
            | "SSUBSCRIBE"
            | "UNSUBSCRIBE"
            | "PUNSUBSCRIBE"
            | "SUNSUBSCRIBE"
            | "QUIT"
            | "RESET"
    )
}

fn hold(server: &mut Server, id: SessionId, request: Request) -> Admission {
    let session = server.sessions.get_mut(id);
    session.paused = true;
    session.argv_memory = request.iter().map(<[u8]>::len).sum();
    server.pause.held.push(id);
    Admission::Hold
}

fn holds_back(server: &mut Server, id: SessionId, entry: &Entry, request: Request) -> bool {
    if server.pause.until_ms > 0 && server.clock.unix_ms() >= server.pause.until_ms {
        server.unpause();
    }
    if server.pause.until_ms > 0 && !server.pause.writes_only {
        return true;
    }
    if !server.is_paused() {
        return false;
    }
    let queued = server.sessions.get(id).transaction.as_ref().map_or(0, |queued| queued.flags);
    let flags = if entry.command.name == "EXEC" { queued } else { entry.flags };
    flags & (Flag::Write.mask() | Flag::MayReplicate.mask()) != 0
        || server.scripts.may_write(entry.command.name, request)
}

/// Adds a command to the session's transaction.
pub fn queue(server: &mut Server, id: SessionId, entry: &'static Entry, request: Request) {
    let script_writes = server.scripts.may_write(entry.command.name, request);
    let flags = server.scripts.command_flags(entry, request);
    let session = server.sessions.get_mut(id);
    let Some(transaction) = &mut session.transaction else { return };
    transaction.flags |= if script_writes { Flag::MayReplicate.mask() } else { 0 };
    let owned = request.to_owned();
    transaction.flags |= flags;
    transaction.lacks |= !flags;
    transaction.memory += owned.memory();
    session.multi_memory = transaction.memory;
    transaction.queue.push((owned, entry));
}

impl Server {
    /// Why nothing may be written now: it could not be kept, or would not reach enough replicas. Scripts ask too.
    pub fn refusal_for_writes(&mut self) -> Option<Stop> {
        if self.replaying {
            // What was done once is done again.
            return None;
        }
        if self.is_read_only() {
            return Some(READ_ONLY);
        }
        self.refusal_for_durability().or_else(|| self.refusal_for_replicas())
    }

    /// What a primary without enough replicas refuses, and what a replica does.
    #[cold]
    fn refusal_by_role(&mut self, id: SessionId, entry: &'static Entry, request: Request) -> Option<Stop> {
        if is_write(self, id, entry) {
            if let Some(stop) = self.refusal_for_replicas() {
                return Some(stop);
            }
            if self.is_read_only() {
                return Some(READ_ONLY);
            }
            self.note_own_keys(id, entry, request);
        }
        (self.is_stale() && minds_old_data(self, id, entry)).then_some(STALE)
    }

    #[inline]
    pub(super) fn refusal_for_durability(&mut self) -> Option<Stop> {
        if self.durability.refusal.is_some() {
            let reason = self.durability.refusal.as_deref().unwrap_or_default();
            return Some(error_with(format!("MISCONF Errors writing to the AOF file: {reason}")));
        }
        if self.saving.last_failure.is_some()
            && let Some(failure) = self.refusal_for_saving()
        {
            return Some(error_with(format!(
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may \
                 modify the data set are disabled, because this instance is configured to report errors during writes if RDB \
                 snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB \
                 error. It is: {}",
                failure.text
            )));
        }
        None
    }

    fn refusal_for_replicas(&mut self) -> Option<Stop> {
        self.lacks_replicas().then(|| error("NOREPLICAS Not enough good replicas to write."))
    }

    /// True where a client must authenticate before it may do anything.
    #[inline]
    pub fn needs_password(&self) -> bool {
        self.acl.default_user().asks_for_password()
    }

    /// CLIENT PAUSE. Of two pauses the later end counts, and that of all commands.
    pub fn pause_until(&mut self, end_ms: u64, writes_only: bool) {
        let was_paused = self.pause.until_ms > self.clock.unix_ms();
        self.pause.writes_only = writes_only && (self.pause.writes_only || !was_paused);
        self.pause.until_ms = self.pause.until_ms.max(end_ms);
    }

    /// True while commands that write are held back: nothing changes by itself either.
    #[inline]
    pub fn is_paused(&self) -> bool {
        self.pause.until_ms > self.clock.unix_ms() || self.ending.holds_writes()
    }

    /// Ends CLIENT PAUSE and lets those go on who were held back, and those be served who wait for a key.
    pub fn unpause(&mut self) {
        (self.pause.until_ms, self.pause.writes_only) = (0, false);
        self.let_held_go_on();
    }

    /// Has all commands that are held back looked at again.
    pub(super) fn let_held_go_on(&mut self) {
        let held = std::mem::take(&mut self.pause.held);
        for &id in &held {
            let session = self.sessions.get_mut(id);
            session.paused = false;
            session.argv_memory = 0;
        }
        self.outbox.resume.extend(held);
    }

    /// Clients that wait for a key, for the end of a pause or for that of the process.
    pub fn blocked_clients(&self) -> usize {
        self.waiting.clients() + self.pause.held.len() + self.ending.clients()
    }

    /// Ends a session: after its output has left, or at once.
    pub fn close(&mut self, id: SessionId, how: Closing) {
        let session = self.sessions.get_mut(id);
        if session.closing == Some(Closing::AtOnce) || session.closing == Some(how) {
            return;
        }
        session.closing = Some(how);
        self.outbox.close.push((id, how));
        if how == Closing::AtOnce {
            self.forget_session(id);
        }
    }
}

/// Text of an error as bytes, whatever it is made of.
pub fn text_of(stop: &Stop) -> Cow<'_, [u8]> {
    match stop {
        Stop::Error(text) => Cow::Borrowed(text.as_bytes()),
        Stop::Bytes(text) => Cow::Borrowed(text),
        Stop::Wait(_) | Stop::Replied => Cow::Borrowed(b""),
    }
}
