//! The heart: sessions, the keyspace, and everything that reacts to a change. Synchronous and deterministic.
//!
//! `Server` is a list of parts. Bytes come in through `consume`, replies wait in each session's output, and what the process around
//! must do (flush, close, shut down) is left in `Outbox`. `dispatch` is the heart of the heart; read it first.

pub mod acl;
pub mod admit;
pub mod cluster;
pub mod cron;
pub mod dispatch;
pub mod durability;
pub mod ending;
pub mod eviction;
pub mod host;
pub mod lines;
pub mod monitor;
pub mod prefetch;
pub mod primary;
pub mod propagate;
pub mod pubsub;
pub mod replay;
pub mod replicas;
pub mod saving;
pub mod session;
pub mod snapshots;
pub mod stats;
pub mod tracking;
pub mod waiting;
pub mod watch;

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::cmd::names::Names;
use crate::config::Config;
use crate::db::effect::Effects;
use crate::db::{self, Keyspace};
use crate::ds::keytable::Seed;
use crate::journal::Journal;
use crate::script::Scripts;
use crate::util::random::Random;

pub use crate::journal::Audience;
pub use session::{Session, SessionId, Sessions};

/// The parts. Each knows its own business; `dispatch` and `propagate` are where they meet.
pub struct Server {
    pub config: Config,
    pub keyspace: Keyspace,
    pub sessions: Sessions,
    pub acl: acl::Acl,
    pub effects: Effects,
    pub journal: Journal,
    pub durability: durability::Durability,
    pub saving: saving::Saving,
    pub pubsub: pubsub::Pubsub,
    pub waiting: waiting::Waiting,
    pub watches: watch::Watches,
    pub tracking: tracking::Tracking,
    pub replicas: replicas::Replicas,
    /// Whom this server follows.
    pub primary: Option<Box<primary::Primary>>,
    pub monitors: Vec<SessionId>,
    pub stats: stats::Stats,
    pub cron: cron::Cron,
    pub names: Names,
    pub random: RefCell<Random>,
    pub clock: Clock,
    pub eviction: db::evict::Pool,
    pub scripts: Scripts,
    pub outbox: Outbox,
    /// Follows changed directives outside; `Nowhere` until the process puts itself in.
    pub host: Box<dyn host::Host>,
    pub pause: admit::Pause,
    pub ending: ending::Ending,
    pub snapshots: snapshots::Snapshots,
    pub lines: lines::Lines,
    /// The one node of a cluster; `None` with `cluster-enabled no`.
    pub cluster: Option<Box<cluster::Cluster>>,
    /// Values that are dear to free, on their way to a thread.
    pub garbage: db::Garbage,
    /// Set while EXEC, a script or replay runs commands inside a command.
    depth: u32,
    /// A log is being replayed: nothing lapses.
    replaying: bool,
    /// DEBUG SLEEP has let so much time go by that the clock does not show yet.
    pub slept_us: u64,
    /// When the command now running began, in ticks.
    call_began: u64,
    batch: dispatch::Batch,
    noted: prefetch::Noted,
    /// Identifies this process to clients and replicas: 40 hexadecimal digits.
    pub run_id: String,
    /// Identifies the history of changes to replicas: 40 hexadecimal digits.
    pub replication_id: String,
    pub started_ms: u64,
    /// Memory in use before there was any data or client.
    pub memory_at_start: u64,
}

/// The time, as the process around told it last: the same for everything within one turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// Unix time in microseconds.
    pub unix_us: u64,
    /// Microseconds that never go back.
    pub monotonic_us: u64,
}

impl Clock {
    #[inline]
    pub fn unix_ms(&self) -> u64 {
        self.unix_us / 1000
    }
}

/// What the process around must do after a turn.
#[derive(Default)]
pub struct Outbox {
    /// Sessions that have got output from others' commands.
    pub flush: Vec<SessionId>,
    /// Sessions that have got messages, in the order in which they are to be written to.
    pub messages: VecDeque<SessionId>,
    /// Sessions that may go on with the input they already sent.
    pub resume: Vec<SessionId>,
    /// Sessions to close: after their output has left, or at once.
    pub close: Vec<(SessionId, Closing)>,
    pub requests: Vec<HostRequest>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    AfterOutput,
    AtOnce,
}

/// What only the process around can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRequest {
    /// End the process, or say that it cannot be (`Server::cannot_end`).
    Shutdown { force: bool },
    /// Write the log's base anew (BGREWRITEAOF).
    RewriteLog,
    /// Throw the data set away and load it from the log; the session waits for the answer (DEBUG LOADAOF).
    LoadLog(SessionId),
    /// End the log: another data set takes the place of the one that it holds. Another log is begun once that is there.
    CloseLog,
    /// Connect to the primary.
    Dial { host: String, port: u16 },
    /// Or not, after all.
    StopDialing,
    /// Let small packets to this session wait for more to go with them (`repl-disable-tcp-nodelay`).
    DelaySmallPackets(SessionId),
    /// End the process at once, as it is, for this reason.
    Fail(String),
}

impl Server {
    /// A server with an empty keyspace. `seed` decides everything random in it.
    pub fn new(mut config: Config, seed: u64, clock: Clock) -> Self {
        if config.cluster_enabled {
            config.databases = config.cluster_databases;
        }
        let mut random = Random::new(seed);
        let hash_seed: &'static Seed = Box::leak(Box::new(Seed::new([random.next_u64(), random.next_u64()])));
        let (run_id, replication_id) = (hex_id(&mut random), hex_id(&mut random));
        let databases = usize::try_from(config.databases).unwrap_or(16);
        let mut server = Self {
            keyspace: Keyspace::new(databases, hash_seed),
            sessions: Sessions::default(),
            acl: acl::Acl::new(&config),
            effects: Effects::default(),
            journal: Journal::default(),
            durability: durability::Durability::default(),
            saving: saving::Saving::new(clock.unix_ms() / 1000),
            pubsub: pubsub::Pubsub::default(),
            waiting: waiting::Waiting::default(),
            watches: watch::Watches::default(),
            tracking: tracking::Tracking::default(),
            replicas: replicas::Replicas::default(),
            primary: config
                .replicaof
                .0
                .as_ref()
                .map(|(host, port)| Box::new(primary::Primary::new(host.clone(), *port))),
            monitors: Vec::new(),
            stats: stats::Stats::new(),
            cron: cron::Cron::default(),
            names: crate::cmd::table::names(),
            random: RefCell::new(random),
            clock,
            eviction: db::evict::Pool::default(),
            scripts: Scripts::default(),
            outbox: Outbox::default(),
            host: Box::new(host::Nowhere),
            pause: admit::Pause::default(),
            ending: ending::Ending::default(),
            snapshots: snapshots::Snapshots::default(),
            lines: lines::Lines::default(),
            cluster: None,
            garbage: db::Garbage::default(),
            depth: 0,
            replaying: false,
            slept_us: 0,
            call_began: 0,
            batch: dispatch::Batch::default(),
            noted: prefetch::Noted::default(),
            run_id,
            replication_id,
            started_ms: clock.unix_ms(),
            memory_at_start: crate::util::memory::used(),
            config,
        };
        if server.config.cluster_enabled {
            server.become_new_node();
        }
        server
    }

    /// The history of changes goes by another name from here on (DEBUG CHANGE-REPL-ID).
    pub fn change_replication_id(&mut self) {
        self.replication_id = hex_id(self.random.get_mut());
    }

    /// Gives commands the names that `rename-command` lines want.
    pub fn rename_commands(&mut self) -> Result<(), String> {
        for (from, to) in &self.config.renames {
            if self.names.find(from).is_none() {
                return Err(format!("rename-command: No such command '{}'", from.display()));
            }
            self.names = self
                .names
                .renamed(from, to)
                .ok_or_else(|| format!("rename-command: Target command name '{}' already exists", to.display()))?;
        }
        Ok(())
    }

    /// A client has come in. It may do anything at once where no password is asked for.
    pub fn connect(&mut self, peer: session::Peer) -> SessionId {
        self.stats.connections += 1;
        let id = self.sessions.open(peer, self.acl.default_user(), self.clock);
        self.log_out(id);
        id
    }

    /// The time has moved on. Called once at the beginning of every turn.
    pub fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
        self.slept_us = 0;
    }

    /// What comes behind a transaction that has slept sees the time after it.
    fn catch_up_with_sleep(&mut self) {
        let slept_us = std::mem::take(&mut self.slept_us);
        self.clock.unix_us += slept_us;
        self.clock.monotonic_us += slept_us;
    }

    /// The port in use, which is not the configured one where the system was to choose.
    pub fn tcp_port(&self) -> u16 {
        self.host.tcp_port().unwrap_or(self.config.port)
    }

    pub fn now_ms(&self) -> u64 {
        self.clock.unix_ms()
    }

    /// While a script runs for long: the process around reads what others send, and they are answered; nearly everything is refused.
    pub fn attend_to_others(&mut self) {
        let (depth, call_began) = (std::mem::take(&mut self.depth), self.call_began);
        let mut host = std::mem::replace(&mut self.host, Box::new(host::Nowhere));
        host.attend(self);
        self.host = host;
        (self.depth, self.call_began) = (depth, call_began);
    }

    /// The time as it is now, also where a script has let it go by.
    pub fn unix_us_now(&self) -> u64 {
        let running = self.scripts.running.as_ref();
        self.clock.unix_us + running.map_or(0, |running| running.elapsed_us())
    }

    /// A view of a database as a session sees it.
    pub fn view(&self, id: SessionId) -> db::View<'_> {
        let session = self.sessions.get(id);
        db::View::new(
            &self.keyspace,
            session.db,
            self.clock.unix_ms(),
            &self.config,
            session.touch(),
            &self.random,
            false,
        )
    }

    /// An edit of a database outside any session: upkeep, eviction, replay.
    pub fn edit(&mut self, db: db::DbIndex) -> db::Edit<'_> {
        db::Edit::new(
            &mut self.keyspace,
            &mut self.effects,
            db,
            self.clock.unix_ms(),
            &self.config,
            db::Touch::No,
            &self.random,
            false,
            &mut self.garbage,
        )
    }
}

/// 40 hexadecimal digits.
fn hex_id(random: &mut Random) -> String {
    let digits: String = (0..3).map(|_| format!("{:016x}", random.next_u64())).collect();
    digits[..40].to_owned()
}
