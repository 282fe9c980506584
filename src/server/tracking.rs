//! Clients that cache what they read, and are told when it changes (CLIENT TRACKING).
//!
//! By default the server remembers who read which key, in a table that is bounded, and tells each reader once. Clients that broadcast name
//! prefixes instead: what changed below them is gathered and told at the end of a turn. Databases are not told apart, as in Redis.
//! The commands are in `cmd::server::client::tracking`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use indexmap::{IndexMap, IndexSet};

use super::Server;
use super::session::{Session, SessionId};
use crate::cmd::command::{Flag, Group};
use crate::cmd::keyspec::keys_of;
use crate::cmd::table::Entry;
use crate::resp::reply::{Output, Protocol, Reply, SHARE_MIN};
use crate::resp::request::Request;

/// Where clients in RESP2 hear of invalid keys.
const CHANNEL: &[u8] = b"__redis__:invalidate";
/// So many keys at most are dropped at one go when the table is over its bound.
const DROPPED_AT_ONCE_MAX: usize = 1000;

/// A client, as long as it is the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientRef {
    pub session: SessionId,
    pub client_id: u64,
}

/// Whose keys are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    All,
    /// Those read right behind CLIENT CACHING YES.
    OptIn,
    /// All but those read right behind CLIENT CACHING NO.
    OptOut,
    /// None: the client hears of every key below its prefixes.
    Broadcast,
}

/// How one session is tracked.
#[derive(Clone, Debug)]
pub struct Mode {
    pub choice: Choice,
    /// The session's own changes are not told.
    pub no_loop: bool,
    pub redirect: Option<ClientRef>,
    /// The client that messages should go to was found to be gone.
    pub redirect_broken: bool,
    /// CLIENT CACHING was said just before.
    pub caching: bool,
    pub prefixes: BTreeSet<Box<[u8]>>,
}

#[derive(Default)]
pub struct Tracking {
    readers: IndexMap<Box<[u8]>, Readers, hashbrown::DefaultHashBuilder>,
    /// Pairs of a key and a reader.
    items: usize,
    prefixes: BTreeMap<Box<[u8]>, Broadcast>,
    clients: usize,
    /// What the running command made invalid for its own client, who hears of it behind the reply; `None` is everything.
    pending: Vec<Option<Box<[u8]>>>,
    has_broadcasts: bool,
}

/// Who read a key: nearly always one client.
enum Readers {
    One(ClientRef),
    Many(Box<IndexSet<ClientRef, hashbrown::DefaultHashBuilder>>),
}

/// Those who want to hear of a prefix, and what changed below it in this turn.
#[derive(Default)]
struct Broadcast {
    clients: IndexSet<SessionId, hashbrown::DefaultHashBuilder>,
    /// By whom each key was changed first; nobody, where it lapsed or was evicted.
    changed: BTreeMap<Box<[u8]>, Option<u64>>,
}

impl Tracking {
    /// True while anybody wants to hear of changes.
    #[inline]
    pub fn is_used(&self) -> bool {
        self.clients > 0
    }

    /// True where the end of a command has something to do: also if it was the last tracked client's, which has just left off.
    #[inline]
    pub fn follows_commands(&self) -> bool {
        self.is_used() || !self.pending.is_empty()
    }

    pub fn clients(&self) -> usize {
        self.clients
    }

    /// Keys in the table, for INFO.
    pub fn keys(&self) -> usize {
        self.readers.len()
    }

    pub fn items(&self) -> usize {
        self.items
    }

    pub fn prefixes(&self) -> usize {
        self.prefixes.len()
    }

    fn remember(&mut self, key: &[u8], reader: ClientRef) {
        let is_new = match self.readers.get_mut(key) {
            Some(readers) => readers.add(reader),
            None => self.readers.insert(key.into(), Readers::One(reader)).is_none(),
        };
        self.items += usize::from(is_new);
    }

    fn forget(&mut self, key: &[u8]) -> Option<Readers> {
        let readers = self.readers.swap_remove(key)?;
        self.items -= readers.len();
        Some(readers)
    }

    fn forget_all(&mut self) {
        self.readers = IndexMap::default();
        self.items = 0;
    }

    fn note_change(&mut self, key: &[u8], by: Option<u64>) {
        for (prefix, broadcast) in &mut self.prefixes {
            if key.starts_with(prefix) && !broadcast.changed.contains_key(key) {
                broadcast.changed.insert(key.into(), by);
                self.has_broadcasts = true;
            }
        }
    }
}

impl Readers {
    fn add(&mut self, reader: ClientRef) -> bool {
        match self {
            Readers::One(one) if *one == reader => false,
            Readers::One(one) => {
                *self = Readers::Many(Box::new([*one, reader].into_iter().collect()));
                true
            }
            Readers::Many(many) => many.insert(reader),
        }
    }

    fn len(&self) -> usize {
        match self {
            Readers::One(_) => 1,
            Readers::Many(many) => many.len(),
        }
    }

    fn into_vec(self) -> Vec<ClientRef> {
        match self {
            Readers::One(one) => vec![one],
            Readers::Many(many) => many.into_iter().collect(),
        }
    }
}

/// What a message says to be invalid.
#[derive(Clone, Copy)]
enum Invalid<'a> {
    Everything,
    Keys(&'a [&'a [u8]]),
}

impl Invalid<'_> {
    fn write(self, reply: &mut Reply) {
        match self {
            Invalid::Everything => reply.null(),
            Invalid::Keys(keys) => {
                reply.array(keys.len());
                keys.iter().for_each(|key| reply.bulk(key));
            }
        }
    }

    /// The message for a receiver. A null is written as the tracked client's own protocol has it, whoever receives it.
    fn encode(self, tracked: Protocol, receiver: Protocol) -> Bytes {
        let mut out = Output::default();
        let mut reply = Reply::new(&mut out, receiver);
        match receiver {
            Protocol::Resp3 => {
                reply.push(2);
                reply.bulk(b"invalidate");
            }
            Protocol::Resp2 => {
                reply.array(3);
                reply.bulk(b"message");
                reply.bulk(CHANNEL);
            }
        }
        self.write(&mut Reply::new(&mut out, tracked));
        out.to_vec().into()
    }
}

impl Server {
    /// Starts to track a session, or changes how. Prefixes are added to those it has.
    pub fn track(&mut self, id: SessionId, mut mode: Mode) {
        let session = self.sessions.get_mut(id);
        self.tracking.clients += usize::from(session.tracking.is_none());
        for prefix in &mode.prefixes {
            self.tracking.prefixes.entry(prefix.clone()).or_default().clients.insert(id);
        }
        if let Some(before) = session.tracking.take() {
            mode.prefixes.extend(before.prefixes);
        }
        session.tracking = Some(Box::new(mode));
    }

    pub fn stop_tracking(&mut self, id: SessionId) {
        let Some(mode) = self.sessions.get_mut(id).tracking.take() else { return };
        for prefix in &mode.prefixes {
            if let Some(broadcast) = self.tracking.prefixes.get_mut(prefix) {
                broadcast.clients.swap_remove(&id);
                if broadcast.clients.is_empty() {
                    self.tracking.prefixes.remove(prefix);
                }
            }
        }
        self.tracking.clients -= 1;
        if self.tracking.clients == 0 {
            self.tracking.forget_all();
        }
    }

    /// A tracked session has read keys: it will hear of their next change.
    #[cold]
    pub(super) fn remember_reads(&mut self, id: SessionId, entry: &'static Entry, request: Request) {
        let session = self.sessions.get(id);
        let Some(mode) = &session.tracking else { return };
        let remembers = match mode.choice {
            Choice::All => true,
            Choice::OptIn => mode.caching,
            Choice::OptOut => !mode.caching,
            Choice::Broadcast => false,
        };
        // What a script reads is remembered command by command.
        if !remembers || !entry.has(Flag::Readonly) || entry.command.group == Group::Scripting {
            return;
        }
        let reader = ClientRef { session: id, client_id: session.client_id };
        for key in keys_of(entry.command, request).into_iter().flatten() {
            self.tracking.remember(request.arg(key.index), reader);
        }
    }

    /// A key has changed: tells those who read it. `running` is the session whose command this is, `by` the one to blame.
    pub(super) fn invalidate(&mut self, key: &[u8], running: Option<SessionId>, by: Option<SessionId>) {
        if !self.tracking.prefixes.is_empty() {
            let by = by.map(|by| self.sessions.get(by).client_id);
            self.tracking.note_change(key, by);
        }
        for reader in self.tracking.forget(key).map(Readers::into_vec).into_iter().flatten() {
            let Some(mode) = self.session_of(reader).and_then(|session| session.tracking.as_ref()) else { continue };
            if mode.choice == Choice::Broadcast {
                continue;
            }
            if running != Some(reader.session) {
                self.send_invalid(reader.session, Invalid::Keys(&[key]));
            } else if !mode.no_loop {
                self.tracking.pending.push(Some(key.into()));
            }
        }
    }

    /// Databases were emptied: tells everybody who is tracked.
    pub(super) fn invalidate_all(&mut self, running: Option<SessionId>) {
        self.tracking.forget_all();
        let tracked = self.sessions.iter().filter(|(_, session)| session.tracking.is_some());
        for id in tracked.map(|(id, _)| id).collect::<Vec<_>>() {
            match running {
                Some(running) if running == id => self.tracking.pending.push(None),
                _ => self.send_invalid(id, Invalid::Everything),
            }
        }
    }

    /// A client's command has ended: what it made invalid for the client itself is told now, and CLIENT CACHING has had its effect.
    #[cold]
    pub(super) fn tracked_command_ended(&mut self, id: SessionId) {
        for key in std::mem::take(&mut self.tracking.pending) {
            match &key {
                Some(key) => self.send_invalid(id, Invalid::Keys(&[key])),
                None => self.send_invalid(id, Invalid::Everything),
            }
        }
        let session = self.sessions.get_mut(id);
        // It reaches over a whole transaction, and over further subcommands of CLIENT.
        let goes_on = session.transaction.is_some() || session.last_command.is_some_and(is_of_client);
        if let Some(mode) = session.tracking.as_mut().filter(|_| !goes_on) {
            mode.caching = false;
        }
        self.bound_tracking_table();
    }

    /// Drops keys by chance until the table is within its bound, and tells their readers as if the keys had changed.
    pub(super) fn bound_tracking_table(&mut self) {
        let max = usize::try_from(self.config.tracking_table_max_keys).unwrap_or(usize::MAX);
        if max == 0 {
            return;
        }
        for _ in 0..DROPPED_AT_ONCE_MAX {
            let len = self.tracking.readers.len();
            if len <= max {
                return;
            }
            let index = (self.random.get_mut().next_u64() % len as u64) as usize;
            let Some((key, _)) = self.tracking.readers.get_index(index) else { return };
            let key = key.clone();
            for reader in self.tracking.forget(&key).map(Readers::into_vec).into_iter().flatten() {
                let mode = self.session_of(reader).and_then(|session| session.tracking.as_ref());
                if mode.is_some_and(|mode| mode.choice != Choice::Broadcast) {
                    self.send_invalid(reader.session, Invalid::Keys(&[&key]));
                }
            }
        }
    }

    /// The turn ends: tells the clients that broadcast what changed below their prefixes.
    pub fn broadcast_invalid_keys(&mut self) {
        if !std::mem::take(&mut self.tracking.has_broadcasts) {
            return;
        }
        let mut told = Vec::new();
        for broadcast in self.tracking.prefixes.values_mut().filter(|broadcast| !broadcast.changed.is_empty()) {
            let clients: Vec<_> = broadcast.clients.iter().copied().collect();
            told.push((clients, std::mem::take(&mut broadcast.changed)));
        }
        for (clients, changed) in told {
            for id in clients {
                self.broadcast_to(id, &changed);
            }
        }
    }

    fn broadcast_to(&mut self, id: SessionId, changed: &BTreeMap<Box<[u8]>, Option<u64>>) {
        let Some(session) = self.sessions.find(id) else { return };
        let Some(mode) = &session.tracking else { return };
        let own = mode.no_loop.then_some(session.client_id);
        let is_told = |by: &Option<u64>| own.is_none() || *by != own;
        let keys: Vec<&[u8]> = changed.iter().filter(|(_, by)| is_told(by)).map(|(key, _)| &**key).collect();
        if !keys.is_empty() {
            self.send_invalid(id, Invalid::Keys(&keys));
        }
    }

    /// Sends a message to a tracked session, or to the client that it has named.
    fn send_invalid(&mut self, id: SessionId, invalid: Invalid) {
        let session = self.sessions.get(id);
        let (protocol, redirect) = (session.protocol, session.tracking.as_ref().and_then(|mode| mode.redirect));
        let receiver = match redirect {
            None => id,
            Some(other) if self.session_of(other).is_some() => other.session,
            Some(other) => return self.tell_broken_redirect(id, other),
        };
        let receiving = self.sessions.get(receiver);
        // In RESP2 only a subscriber can tell a message from a reply.
        if receiving.protocol == Protocol::Resp2 && !(redirect.is_some() && receiving.is_subscriber()) {
            return;
        }
        let message = invalid.encode(protocol, receiving.protocol);
        self.send_message(receiver, message);
    }

    fn tell_broken_redirect(&mut self, id: SessionId, gone: ClientRef) {
        let session = self.sessions.get_mut(id);
        if let Some(mode) = &mut session.tracking {
            mode.redirect_broken = true;
        }
        if session.protocol == Protocol::Resp3 {
            let mut out = Output::default();
            let mut reply = Reply::new(&mut out, Protocol::Resp3);
            reply.push(2);
            reply.bulk(b"tracking-redir-broken");
            reply.int(gone.client_id as i64);
            self.send_message(id, out.to_vec().into());
        }
    }

    fn send_message(&mut self, id: SessionId, message: Bytes) {
        let session = self.sessions.get_mut(id);
        if session.closing.is_some() {
            return;
        }
        if message.len() < SHARE_MIN {
            session.output.push(&message);
        } else {
            session.output.push_shared(message);
        }
        self.limit_output(id);
        self.flush_later(id);
    }

    fn session_of(&self, client: ClientRef) -> Option<&Session> {
        let is_it = |session: &&Session| session.client_id == client.client_id;
        self.sessions.find(client.session).filter(is_it)
    }
}

/// CLIENT's subcommands, of which SETINFO alone counts as a command of its own.
fn is_of_client(entry: &'static Entry) -> bool {
    entry.parent.is_some_and(|parent| parent.name == "CLIENT") && entry.command.name != "SETINFO"
}
