//! What the server knows about one client, and the table of all of them.
//!
//! A session has no socket: bytes are given to it and taken from it. It is referred to by `SessionId`, its place in the table; clients
//! see its `client_id`, which is never used twice.

use std::sync::Arc;

use indexmap::IndexSet;
use slab::Slab;

use super::acl::User;
use super::pubsub::Topic;
use super::replicas::Link;
use super::tracking::Mode;
use super::waiting::Blocked;
use super::watch::Watched;
use super::{Clock, Closing};
use crate::cmd::table::Entry;
use crate::db::{DbIndex, Touch};
use crate::resp::reply::{Output, Protocol};
use crate::resp::request::{OwnedRequest, Parser};

/// A session's place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(u32);

impl SessionId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Default)]
pub struct Sessions {
    slots: Slab<Session>,
    last_client_id: u64,
}

/// Channels or patterns that a session listens to.
pub type Names = IndexSet<Box<[u8]>, hashbrown::DefaultHashBuilder>;

/// How a session came in.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// "127.0.0.1:50000", or "/path:0" over a Unix socket.
    pub address: String,
    pub local_address: String,
    pub descriptor: i32,
    pub unix_socket: bool,
}

impl Peer {
    /// True for clients of this machine: over a Unix socket or the loopback interface.
    pub fn is_local(&self) -> bool {
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        self.unix_socket || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// What a MULTI has gathered.
#[derive(Default)]
pub struct Transaction {
    pub queue: Vec<(OwnedRequest, &'static Entry)>,
    /// A command was refused while queueing: EXEC will refuse the rest.
    pub aborted: bool,
    /// Flags of everything queued, for the checks that EXEC makes.
    pub flags: u32,
    /// Flags that some of it lacks.
    pub lacks: u32,
    pub memory: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyMode {
    #[default]
    On,
    Off,
    /// The next command is not replied to.
    SkipNext,
    /// This command is not replied to.
    Skip,
}

/// Output-buffer classes of `client-output-buffer-limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputClass {
    Normal,
    Replica,
    Pubsub,
}

pub struct Session {
    pub client_id: u64,
    pub peer: Peer,
    pub parser: Parser,
    pub output: Output,
    pub protocol: Protocol,
    pub db: DbIndex,
    pub authenticated: bool,
    pub user: Arc<User>,
    /// The user may not do everything: commands are checked.
    pub restricted: bool,
    pub name: Vec<u8>,
    pub library_name: Vec<u8>,
    pub library_version: Vec<u8>,
    pub transaction: Option<Box<Transaction>>,
    pub watched: Vec<Watched>,
    /// A watched key has changed: EXEC will answer null.
    pub watch_broken: bool,
    pub channels: Names,
    pub patterns: Names,
    pub shard_channels: Names,
    pub blocked: Option<Box<Blocked>>,
    /// CLIENT PAUSE holds this session's next command back.
    pub paused: bool,
    pub monitor: bool,
    /// CLIENT TRACKING is on.
    pub tracking: Option<Box<Mode>>,
    pub reply_mode: ReplyMode,
    pub no_evict: bool,
    pub no_touch: bool,
    pub closing: Option<Closing>,
    pub created_ms: u64,
    pub last_used_ms: u64,
    pub last_command: Option<&'static Entry>,
    pub input_bytes: u64,
    pub output_bytes: u64,
    pub commands: u64,
    /// Bytes of input that wait to be run, as the connection reported them.
    pub input_pending: usize,
    pub input_capacity: usize,
    /// Argument bytes of the command in progress.
    pub argv_memory: usize,
    /// Bytes of the commands that were queued by MULTI.
    pub multi_memory: usize,
    /// How many of them EXEC is running.
    pub executing: usize,
    /// Its part of the sum that `maxmemory-clients` bounds.
    pub weighed: usize,
    /// When the output first exceeded its soft limit (monotonic microseconds).
    pub soft_limit_since_us: Option<u64>,
    pub in_flush: bool,
    pub in_messages: bool,
    /// The journal's offset behind this session's last write.
    pub wrote_until: u64,
    /// Output must not leave before the log has been released up to here.
    pub gate: u64,
    /// The process around has to answer first.
    pub waits_for_host: bool,
    /// What it has told as a replica, and how far it has got.
    pub replica: Option<Box<Link>>,
    /// A client that the server made for itself (replay, tests of transcripts may wait, this may not).
    pub internal: bool,
    /// The link to the primary that this server follows: it is heard, not served.
    pub is_primary: bool,
}

impl Sessions {
    pub fn open(&mut self, peer: Peer, user: &Arc<User>, clock: Clock) -> SessionId {
        self.last_client_id += 1;
        let session = Session::new(self.last_client_id, peer, user, clock);
        SessionId(self.slots.insert(session) as u32)
    }

    /// Removes a session. Everything that refers to it must have been told before.
    pub fn remove(&mut self, id: SessionId) -> Session {
        self.slots.remove(id.index())
    }

    #[inline]
    pub fn get(&self, id: SessionId) -> &Session {
        &self.slots[id.index()]
    }

    #[inline]
    pub fn get_mut(&mut self, id: SessionId) -> &mut Session {
        &mut self.slots[id.index()]
    }

    pub fn find(&self, id: SessionId) -> Option<&Session> {
        self.slots.get(id.index())
    }

    pub fn find_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.slots.get_mut(id.index())
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// All sessions, oldest place first.
    pub fn iter(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.slots.iter().map(|(index, session)| (SessionId(index as u32), session))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (SessionId, &mut Session)> {
        self.slots.iter_mut().map(|(index, session)| (SessionId(index as u32), session))
    }

    /// The session that clients know by this number; one that is being closed they know no more.
    pub fn by_client_id(&self, client_id: u64) -> Option<SessionId> {
        let is_it = |session: &Session| session.client_id == client_id && session.closing != Some(Closing::AtOnce);
        self.iter().find(|(_, session)| is_it(session)).map(|(id, _)| id)
    }
}

impl Session {
    fn new(client_id: u64, peer: Peer, user: &Arc<User>, clock: Clock) -> Self {
        Self {
            client_id,
            peer,
            parser: Parser::default(),
            output: Output::default(),
            protocol: Protocol::Resp2,
            db: 0,
            authenticated: false,
            user: Arc::clone(user),
            restricted: !user.is_unlimited(),
            name: Vec::new(),
            library_name: Vec::new(),
            library_version: Vec::new(),
            transaction: None,
            watched: Vec::new(),
            watch_broken: false,
            channels: Names::default(),
            patterns: Names::default(),
            shard_channels: Names::default(),
            blocked: None,
            paused: false,
            monitor: false,
            tracking: None,
            reply_mode: ReplyMode::On,
            no_evict: false,
            no_touch: false,
            closing: None,
            created_ms: clock.unix_ms(),
            last_used_ms: clock.unix_ms(),
            last_command: None,
            input_bytes: 0,
            output_bytes: 0,
            commands: 0,
            input_pending: 0,
            input_capacity: 0,
            argv_memory: 0,
            multi_memory: 0,
            executing: 0,
            weighed: 0,
            soft_limit_since_us: None,
            in_flush: false,
            in_messages: false,
            wrote_until: 0,
            gate: 0,
            waits_for_host: false,
            replica: None,
            internal: false,
            is_primary: false,
        }
    }

    pub fn set_user(&mut self, user: &Arc<User>) {
        self.user = Arc::clone(user);
        self.restricted = !user.is_unlimited();
    }

    /// Clients may see it: it has a connection.
    pub fn is_shown(&self) -> bool {
        !self.internal || self.is_primary
    }

    pub fn touch(&self) -> Touch {
        if self.no_touch { Touch::No } else { Touch::Yes }
    }

    pub fn topics(&self, topic: Topic) -> &Names {
        match topic {
            Topic::Channel => &self.channels,
            Topic::Pattern => &self.patterns,
            Topic::Shard => &self.shard_channels,
        }
    }

    pub fn topics_mut(&mut self, topic: Topic) -> &mut Names {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
            Topic::Shard => &mut self.shard_channels,
        }
    }

    pub fn subscriptions(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    /// Bytes held for this client, beside the arguments of a command in progress. O(names it has given).
    pub fn memory(&self) -> usize {
        let subscribed = [&self.channels, &self.patterns, &self.shard_channels].into_iter().flatten();
        let prefixes = self.tracking.iter().flat_map(|mode| &mode.prefixes);
        let names: usize = subscribed.chain(prefixes).map(|name| name.len() + size_of::<Box<[u8]>>()).sum();
        let watched: usize = self.watched.iter().map(|watched| watched.key.len() + size_of::<Watched>()).sum();
        size_of::<Session>()
            + self.input_capacity
            + self.parser.memory()
            + self.output.len()
            + self.multi_memory
            + names
            + watched
            + self.replica.as_ref().map_or(0, |link| link.memory())
    }

    pub fn is_subscriber(&self) -> bool {
        self.subscriptions() + self.shard_channels.len() > 0
    }

    /// The output's limits must be looked at: no limit that anybody sets is lower than this, and one that runs on time is running.
    #[inline]
    pub fn has_long_output(&self) -> bool {
        self.output.len() >= 64 * 1024 || self.soft_limit_since_us.is_some() || self.replica.is_some()
    }

    pub fn output_class(&self) -> OutputClass {
        match () {
            () if self.is_replica() => OutputClass::Replica,
            () if self.is_subscriber() => OutputClass::Pubsub,
            () => OutputClass::Normal,
        }
    }

    /// True while the session's input must wait.
    #[inline]
    pub fn is_held(&self) -> bool {
        self.blocked.is_some() || self.paused || self.waits_for_host || self.closing.is_some()
    }
}
