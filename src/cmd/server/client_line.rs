//! A line of CLIENT LIST: everything there is to know about one connection, as `name=value` pairs.

use std::fmt::Write;

use crate::resp::reply::Protocol;
use crate::resp::request::Request;
use crate::server::session::Session;
use crate::server::tracking::Choice;
use crate::server::{Closing, Server, SessionId};

/// The line of `id`. `asking` is the session whose command this is, with its request.
pub(super) fn client_line(server: &Server, id: SessionId, asking: Option<(SessionId, Request)>) -> Vec<u8> {
    let session = server.sessions.get(id);
    let request = asking.filter(|(asking, _)| *asking == id).map(|(_, request)| request);
    let memory = Memory::of(session, request);
    let now_ms = server.now_ms();
    let idle_ms = if request.is_some() { 0 } else { now_ms.saturating_sub(session.last_used_ms) };
    let queued = match (&session.transaction, session.executing) {
        (Some(transaction), _) => transaction.queue.len() as i64,
        (None, 0) => -1,
        (None, executing) => executing as i64,
    };
    let mut line = String::with_capacity(512);
    let mut field = |name: &str, value: &dyn std::fmt::Display| {
        let space = if line.is_empty() { "" } else { " " };
        write!(line, "{space}{name}={value}").expect("writing to a string");
    };
    field("id", &session.client_id);
    field("addr", &session.peer.address);
    field("laddr", &session.peer.local_address);
    field("fd", &session.peer.descriptor);
    field("name", &String::from_utf8_lossy(&session.name));
    field("age", &(now_ms.saturating_sub(session.created_ms) / 1000));
    field("idle", &(idle_ms / 1000));
    field("flags", &flags(session));
    field("db", &session.db);
    field("sub", &session.channels.len());
    field("psub", &session.patterns.len());
    field("ssub", &session.shard_channels.len());
    field("multi", &queued);
    field("watch", &session.watched.len());
    field("qbuf", &session.input_pending);
    field("qbuf-free", &session.input_capacity.saturating_sub(session.input_pending));
    field("argv-mem", &memory.arguments);
    field("multi-mem", &session.multi_memory);
    // What fits into Redis's buffer of fixed size is told apart from what goes into a list behind it.
    let buffered = session.output.own_len().min(REPLY_BUFFER_BYTES);
    let listed = session.output.len() - buffered;
    field("rbs", &session.output.capacity());
    field("rbp", &buffered);
    field("obl", &buffered);
    field("oll", &(session.output.shared_len().max(listed.div_ceil(REPLY_BUFFER_BYTES))));
    field("omem", &listed);
    field("tot-mem", &memory.total);
    field("events", &if session.output.is_empty() { "r" } else { "rw" });
    field("cmd", &session.last_command.map_or("NULL", |entry| entry.full_name.as_str()));
    field("user", &String::from_utf8_lossy(session.user.name()));
    field("redir", &redirect(session));
    field("resp", &if session.protocol == Protocol::Resp3 { 3 } else { 2 });
    field("lib-name", &String::from_utf8_lossy(&session.library_name));
    field("lib-ver", &String::from_utf8_lossy(&session.library_version));
    // One thread does everything.
    field("io-thread", &0);
    field("tot-net-in", &session.input_bytes);
    field("tot-net-out", &session.output_bytes);
    field("tot-cmds", &session.commands);
    line.push('\n');
    line.into_bytes()
}

/// Replies of so many bytes are no burden to anybody.
const REPLY_BUFFER_BYTES: usize = 16 * 1024;

/// Bytes held for one client.
struct Memory {
    arguments: usize,
    total: usize,
}

impl Memory {
    fn of(session: &Session, running: Option<Request>) -> Self {
        let bytes = |request: Request| request.iter().map(<[u8]>::len).sum();
        let arguments = match (running, &session.blocked) {
            (Some(request), _) => bytes(request),
            (None, Some(blocked)) => bytes(blocked.request.borrow()),
            (None, None) => session.argv_memory,
        };
        let total = session.memory() + arguments;
        Self { arguments, total }
    }
}

/// Who gets the session's invalidation messages: 0 for itself, -1 where there are none.
pub(super) fn redirect(session: &Session) -> i64 {
    match &session.tracking {
        None => -1,
        Some(mode) => mode.redirect.map_or(0, |other| other.client_id as i64),
    }
}

/// Every letter that `flags` knows.
pub(super) const FLAGS: &[u8] = b"SOPxbtRBdcAUeTNM";

/// One letter for each thing out of the ordinary, `N` where there is none.
pub(super) fn flags(session: &Session) -> String {
    let letters = [
        (session.is_replica(), 'S'),
        (session.is_primary, 'M'),
        (session.monitor, 'O'),
        (session.is_subscriber(), 'P'),
        (session.transaction.is_some() || session.executing > 0, 'x'),
        (session.blocked.is_some() || session.paused || session.waits_for_host, 'b'),
        (session.tracking.is_some(), 't'),
        (session.tracking.as_ref().is_some_and(|mode| mode.redirect_broken), 'R'),
        (session.tracking.as_ref().is_some_and(|mode| mode.choice == Choice::Broadcast), 'B'),
        (session.watch_broken, 'd'),
        (session.closing == Some(Closing::AfterOutput), 'c'),
        (session.closing == Some(Closing::AtOnce), 'A'),
        (session.peer.unix_socket, 'U'),
        (session.no_evict, 'e'),
        (session.no_touch && !session.is_primary, 'T'),
    ];
    let set: String = letters.into_iter().filter(|(is_set, _)| *is_set).map(|(_, letter)| letter).collect();
    if set.is_empty() { "N".to_owned() } else { set }
}
