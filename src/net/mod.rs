//! The process's one event loop: a single task that owns every socket and the heart.
//!
//! A turn reads every ready socket, runs what is complete, and writes every reply once. Nothing below this module waits; nothing above it
//! knows a socket. While requests keep coming the task looks again at once instead of sleeping (`spin.rs`).

mod connection;
mod dial;
mod hall;
mod host;
mod listener;
mod listeners;
mod old_certificates;
mod signals;
mod spin;
mod tls;
mod tls_rules;
mod wake;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::config::ShutdownOn;
use crate::db::snapshot::Walked;
use crate::persist::disk::RealDisk;
use crate::process::huge_pages::HugePages;
use crate::process::keeper::{self, Fatal, Keeper, Progress};
use crate::process::lazy_free::LazyFree;
use crate::process::saver::Saver;
use crate::process::supervisor::Supervisor;
use crate::process::title::Title;
use crate::process::{self, affinity};
use crate::server::ending::Manner;
use crate::server::prefetch::NOTED_MAX;
use crate::server::{Clock, Closing, HostRequest, Server, SessionId};
use crate::util::clock::{monotonic_us, unix_us};
use crate::util::io_error;
use connection::{Connection, Read, WRITE_TURN_MAX};
use dial::Dial;
use hall::{Hall, Lent, lent};
use listener::Accepted;
use listeners::Listeners;
use signals::{Asked, Signals};
use spin::Spin;
use tls::Tls;
use wake::{Bell, ReadyList};

/// Bytes read from a socket in one call.
const READ_BYTES: usize = 256 * 1024;
/// A socket gets its turn after this many bytes at the latest.
const READ_TURN_MAX: usize = 4 * READ_BYTES;
/// Upkeep while there is neither a client nor a key that will lapse.
const QUIET_TICK_US: u64 = 1_000_000;
/// A TLS client has this long to finish its handshake.
const HANDSHAKE_MAX_US: u64 = 10_000_000;
/// So many receivers of messages are written to in a turn, or half as many as there were replies.
const MESSAGES_MIN: usize = 32;
/// The number under which the listeners, all together, ring.
const LISTENERS: usize = usize::MAX;
/// The number under which the snapshot's thread rings: that turn looks at the snapshot, as every turn does.
const SNAPSHOT: usize = usize::MAX - 1;
/// So long a turn goes on with a snapshot where nobody wants anything, and at least and at most where there was work: a fourth of what that
/// took.
const WALK_IDLE_US: u64 = 250;
const WALK_BUSY_MIN_US: u64 = 40;
const WALK_BUSY_MAX_US: u64 = 500;
/// The number under which the thread of the append-only log rings.
const LOG: usize = usize::MAX - 2;
/// The number under which the connection rings that is being opened to the primary.
const DIAL: usize = usize::MAX - 3;
/// While data is loaded, clients are looked after this often.
const LOAD_SLICE_US: u64 = 5_000;

pub struct Net {
    server: Server,
    keeper: Keeper,
    /// Data is still being loaded; the supervisor waits to be told that it is there.
    starting: Option<Supervisor>,
    /// Connections whose replies wait for the log.
    held: Vec<usize>,
    /// How far the log had released replies when they were last looked at.
    released: u64,
    /// Shared with the `Host`, which moves them when `port` or `bind` changes.
    listeners: Arc<Mutex<Listeners>>,
    listeners_bell: Arc<Bell>,
    /// The last client could not be let in: look again at the next tick.
    accept_later: bool,
    hall: Hall,
    /// Where the hall lies while a command runs.
    lent: Lent,
    ready_list: Arc<ReadyList>,
    ready: Vec<Arc<Bell>>,
    /// Connections with a command that was noted.
    noted: Vec<usize>,
    read_buffer: Box<[u8]>,
    timer: Pin<Box<Sleep>>,
    timer_at_us: u64,
    last_tick_us: u64,
    spin: Spin,
    lazy_free: LazyFree,
    shutdown: Option<Ending>,
    huge_pages: HugePages,
    signals: Signals,
    /// TLS connections that came in lately, oldest first.
    handshakes: VecDeque<Handshake>,
    /// The connection that is being opened to the primary.
    dial: Option<Dial>,
}

/// A connection that has not shown yet that it speaks TLS.
struct Handshake {
    number: usize,
    client_id: u64,
    deadline_us: u64,
}

/// What a first look at a connection found.
enum Heard {
    /// One command, which the server has noted; it is kept with the connection.
    Noted,
    /// Something else, so many bytes of it.
    Bytes(usize),
    Nothing,
}

/// How to end.
#[derive(Debug, PartialEq, Eq)]
enum Ending {
    Shutdown,
    /// The process cannot keep what it promised.
    Fatal(Fatal),
}

/// Runs a server until it is told to stop, and says goodbye.
pub fn run(server: Server, title: Option<Title>, supervisor: Supervisor, huge_pages: HugePages) -> io::Result<()> {
    // One event per look at the sockets: the task itself handles everything that is ready in one poll.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().event_interval(1).build()?;
    // A spawned task is woken without a system call, which the outermost future is not. A turn bounds itself: a task that tokio holds to its
    // budget would find the 129th socket of a turn not ready.
    runtime.block_on(async move {
        tokio::spawn(tokio::task::unconstrained(async move {
            let mut net = Net::open(server, title, supervisor.clone(), huge_pages)?;
            let ending = poll_fn(|context| net.turn(context)).await;
            supervisor.stopping();
            net.end(ending)
        }))
        .await
        .map_err(io::Error::other)?
    })
}

impl Net {
    fn open(
        mut server: Server,
        title: Option<Title>,
        supervisor: Supervisor,
        huge_pages: HugePages,
    ) -> io::Result<Self> {
        let ready_list = Arc::default();
        let lent = Lent::default();
        let listeners_bell = Bell::new(LISTENERS, &ready_list);
        let listeners = Listeners::open(&server.config, Arc::clone(&listeners_bell))?;
        process::say_hello(&server.config);
        let listeners = Arc::new(Mutex::new(listeners));
        let snapshot_bell = Bell::new(SNAPSHOT, &ready_list);
        let saver = Saver::new(Arc::new(RealDisk), Arc::new(move || snapshot_bell.ring()));
        server.host = Box::new(host::NetHost::new(&listeners, &lent, title, saver, &server.config));
        listeners_bell.ring();
        let keeper = start_keeper(&mut server, &ready_list)?;
        Ok(Self {
            keeper,
            starting: Some(supervisor),
            held: Vec::new(),
            released: 0,
            listeners,
            listeners_bell,
            accept_later: false,
            hall: Hall::new(&ready_list),
            lent,
            ready_list,
            ready: Vec::new(),
            noted: Vec::new(),
            read_buffer: vec![0; READ_BYTES].into(),
            timer: Box::pin(sleep(Duration::ZERO)),
            timer_at_us: 0,
            last_tick_us: 0,
            spin: Spin::default(),
            lazy_free: LazyFree::start(&server.config)?,
            shutdown: None,
            huge_pages,
            signals: Signals::new()?,
            handshakes: VecDeque::new(),
            dial: None,
            server,
        })
    }

    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says where clients can come in, in the log and in the port file.
    fn announce(&self) {
        let config = &self.server.config;
        let addresses = self.listeners().addresses();
        let tls_addresses = self.listeners().tls_addresses();
        process::say_ready(config, &addresses, &tls_addresses);
        if let Some(path) = config.port_file.path_if_set()
            && let Err(error) = process::write_port_file(path, self.listeners().port())
        {
            tracing::warn!("Could not write the port file {}: {error}", path.display());
        }
    }

    /// The last steps. Nothing is freed: the kernel takes the memory of a process back faster than the process could.
    fn end(self, ending: Ending) -> io::Result<()> {
        if let Ending::Fatal(Fatal(text)) = ending {
            process::clean_up(&self.server.config);
            std::mem::forget(self);
            return Err(io::Error::other(text));
        }
        process::clean_up(&self.server.config);
        self.listeners().close();
        tracing::warn!("runnel is now ready to exit, bye bye...");
        std::mem::forget(self);
        Ok(())
    }

    /// Has a connection looked at in the next turn.
    fn ring(&mut self, number: usize) {
        Bell::new(number, &self.ready_list).ring();
    }

    /// One turn of the loop.
    fn turn(&mut self, context: &mut Context) -> Poll<Ending> {
        self.ready_list.set_task(context.waker());
        let clock = Clock { unix_us: unix_us(), monotonic_us: monotonic_us() };
        self.server.set_clock(clock);

        let mut ready = std::mem::take(&mut self.ready);
        self.ready_list.take(&mut ready);
        for bells in ready.chunks(NOTED_MAX) {
            self.serve_together(bells);
        }
        let busy = !ready.is_empty();
        self.ready = ready;

        if let Some(asked) = self.signals.poll(context) {
            self.shut_down_on(asked);
        }
        if self.starting.is_some() {
            self.load(context);
        } else if self.server.is_loading_from_primary() {
            self.load_from_primary(context);
        }
        let ticked = self.tick_if_due(clock, context);
        let worked = busy || ticked || self.server.keyspace.has_walk() || !self.server.outbox.messages.is_empty();
        self.go_on_with_snapshot(busy, clock, context);
        self.server.end_if_due();
        self.follow_up();
        if let Some(ending) = self.shutdown.take() {
            return Poll::Ready(ending);
        }

        let ended_us = worked.then(monotonic_us);
        if let Some(ended_us) = ended_us {
            self.server.stats.turns += 1;
            self.server.stats.turns_us += ended_us - clock.monotonic_us;
        }
        let has_messages = !self.server.outbox.messages.is_empty();
        let looks_again = self.spin.looks_again(clock.monotonic_us, ended_us.filter(|_| busy));
        if looks_again || has_messages || self.server.cron.goes_on() {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Takes the snapshot that is on some steps further.
    #[inline]
    fn go_on_with_snapshot(&mut self, busy: bool, clock: Clock, context: &Context) {
        if self.server.keyspace.has_walk() {
            let budget_us = match busy {
                true => ((monotonic_us() - clock.monotonic_us) / 4).clamp(WALK_BUSY_MIN_US, WALK_BUSY_MAX_US),
                false => WALK_IDLE_US,
            };
            if self.server.walk_snapshot(budget_us) == Walked::More {
                context.waker().wake_by_ref();
            }
        }
        self.server.hear_of_save();
    }

    fn shut_down_on(&mut self, asked: Asked) {
        tracing::warn!("Received {} scheduling shutdown...", asked.name());
        let config = &self.server.config;
        let ShutdownOn { save, nosave, now, force } = match asked {
            Asked::Terminate => config.shutdown_on_sigterm,
            Asked::Interrupt => config.shutdown_on_sigint,
        };
        let save = save || (!nosave && !config.save.0.is_empty());
        tracing::info!("User requested shutdown...");
        self.server.end(Manner { save, now, force }, None);
    }

    /// Ends the process after this turn, unless data would be lost by that and nobody insists.
    fn shut_down(&mut self, force: bool) {
        if !force && self.keeper.has_half_a_log() {
            tracing::warn!("Writing initial AOF, can't exit.");
            return self.server.cannot_end();
        }
        self.server.give_up_save();
        self.server.give_up_snapshot_for_replicas();
        if !self.keeper.end(&mut self.server) && !force {
            return self.server.cannot_end();
        }
        self.server.leave_primary();
        self.shutdown = Some(Ending::Shutdown);
    }

    /// Serves whoever rang. Where several have sent a single command, all are read before the first one runs: what they will look up is
    /// fetched meanwhile.
    fn serve_together(&mut self, bells: &[Arc<Bell>]) {
        if let [bell] = bells {
            return self.serve(bell.socket);
        }
        let mut noted = std::mem::take(&mut self.noted);
        for bell in bells {
            match self.hear(bell.socket) {
                Heard::Noted => noted.push(bell.socket),
                Heard::Nothing => self.serve(bell.socket),
                Heard::Bytes(count) => self.serve_heard(bell.socket, count),
            }
        }
        self.server.fetch_noted();
        noted.drain(..).for_each(|number| self.serve_connection(number));
        self.noted = noted;
    }

    /// Reads once from a connection that has nothing left to run.
    fn hear(&mut self, number: usize) -> Heard {
        let Some(connection) = self.hall.get_mut(number) else { return Heard::Nothing };
        let id = connection.session;
        let session = self.server.sessions.get(id);
        let is_idle = connection.input.is_empty() && !connection.ended && !session.is_held();
        if !is_idle || !self.server.durability.may_leave(session.gate) {
            return Heard::Nothing;
        }
        let Read::Bytes(count) = connection.read(&mut self.read_buffer) else { return Heard::Nothing };
        let input = &self.read_buffer[..count];
        if !self.server.note_command(id, input) {
            return Heard::Bytes(count);
        }
        count_input(&mut self.server, id, count);
        connection.input.extend_from_slice(input);
        connection.may_go_on = true;
        Heard::Noted
    }

    fn serve(&mut self, number: usize) {
        match number {
            LISTENERS => self.accept(),
            // The turn itself hears what the threads have to say.
            SNAPSHOT | LOG => {}
            DIAL => self.hear_dial(),
            _ => self.serve_connection(number),
        }
    }

    /// Lets clients in: so many in a turn, so that a storm of them does not hold up the others.
    fn accept(&mut self) {
        let keepalive_s = u64::try_from(self.server.config.tcp_keepalive).unwrap_or(0);
        let mut tls_left = self.server.config.max_new_tls_connections_per_cycle;
        for _ in 0..self.server.config.max_new_connections_per_cycle {
            let accepted = self.listeners().accept(keepalive_s, tls_left > 0);
            match accepted {
                Ok(Some(accepted)) => {
                    tls_left -= u32::from(accepted.tls);
                    self.welcome(accepted);
                }
                Ok(None) if tls_left == 0 => break,
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!("Accepting client connection: {}", io_error::reason(&error));
                    // Out of descriptors, most likely. The client still waits, and nothing will ring for it.
                    self.accept_later = true;
                    return;
                }
            }
        }
        self.listeners_bell.ring();
    }

    fn welcome(&mut self, accepted: Accepted) {
        let tls = match self.tls_for(accepted.tls) {
            Ok(tls) => tls,
            Err(error) => return tracing::warn!("No TLS connection: {error}"),
        };
        let handshakes = tls.is_some();
        let number = self.hall.welcome(&mut self.server, accepted, tls);
        if handshakes && let Some(connection) = self.hall.get_mut(number) {
            let client_id = self.server.sessions.get(connection.session).client_id;
            let deadline_us = self.server.clock.monotonic_us + HANDSHAKE_MAX_US;
            self.handshakes.push_back(Handshake { number, client_id, deadline_us });
        }
        self.write_later(number);
        self.serve_connection(number);
    }

    fn tls_for(&self, wanted: bool) -> Result<Option<Box<Tls>>, String> {
        match self.listeners().tls_rules() {
            _ if !wanted => Ok(None),
            Some(rules) => Tls::of_client(rules).map(Some).map_err(|error| error.to_string()),
            None => Err("tls-port was closed".into()),
        }
    }

    /// Ends connections that have not even said who they are.
    fn end_slow_handshakes(&mut self, clock: Clock) {
        while let Some(handshake) = self.handshakes.front() {
            if handshake.deadline_us > clock.monotonic_us {
                return;
            }
            let Handshake { number, client_id, .. } = *handshake;
            self.handshakes.pop_front();
            let Some(connection) = self.hall.get_mut(number) else { continue };
            let id = connection.session;
            if connection.is_handshaking() && self.server.sessions.get(id).client_id == client_id {
                tracing::debug!("Closing a TLS connection whose handshake takes too long");
                self.server.close(id, Closing::AtOnce);
            }
        }
    }

    /// Runs commands of one connection, with the others within reach of a script that takes long.
    fn with_connection(&mut self, number: usize, work: impl FnOnce(&mut Self, &mut Connection)) {
        let Some(mut connection) = self.hall.take(number) else { return };
        let hall = std::mem::replace(&mut self.hall, Hall::new(&self.ready_list));
        *lent(&self.lent) = Some(hall);
        work(self, &mut connection);
        if let Some(hall) = lent(&self.lent).take() {
            self.hall = hall;
        }
        self.hall.put_back(number, connection);
    }

    /// Reads what is there and runs it.
    fn serve_connection(&mut self, number: usize) {
        self.serve_heard(number, 0);
    }

    /// Runs the first bytes of the read buffer, which `hear` has put there, and then what else there is.
    fn serve_heard(&mut self, number: usize, heard: usize) {
        self.with_connection(number, |net, connection| net.read_connection(number, connection, heard));
        self.after_running(number);
    }

    fn read_connection(&mut self, number: usize, connection: &mut Connection, heard: usize) {
        let id = connection.session;
        if !self.server.durability.may_leave(self.server.sessions.get(id).gate) {
            // Its replies wait for the log. What it has sent since would make them wait longer.
            connection.look_later = true;
            return;
        }
        if heard > 0 {
            run_heard(connection, &mut self.server, &self.read_buffer[..heard]);
        } else if std::mem::take(&mut connection.may_go_on) {
            run_kept(connection, &mut self.server);
        }
        let mut read_in_turn = heard;
        while !connection.ended && !connection.may_go_on && self.server.sessions.get(id).closing.is_none() {
            // Once a read is short the socket is known to be drained, and the next look costs no system call.
            match read_and_run(connection, &mut self.server, &mut self.read_buffer) {
                Read::Bytes(count) => read_in_turn += count,
                Read::Pending => break,
                Read::Ended => connection.ended = true,
            }
            if read_in_turn >= READ_TURN_MAX {
                self.ring(number);
                break;
            }
        }
    }

    /// Looks at what a session left to do after some of its input was run.
    fn after_running(&mut self, number: usize) {
        let Some(connection) = self.hall.get_mut(number) else { return };
        let id = connection.session;
        if connection.may_go_on {
            self.ring(number);
        } else if connection.ended {
            let session = self.server.sessions.get(id);
            // Replies to what was sent before the end still go out; one that waits for a key has nobody to tell.
            let waits = session.blocked.is_some() || session.paused;
            self.server.close(id, if waits { Closing::AtOnce } else { Closing::AfterOutput });
        }
        self.write_later(number);
    }

    fn write_later(&mut self, number: usize) {
        self.hall.write_later(&self.server, number);
    }

    /// Whether it was.
    fn tick_if_due(&mut self, clock: Clock, context: &mut Context) -> bool {
        let tick_us = match self.server.is_quiet() && !self.accept_later {
            true => QUIET_TICK_US,
            false => 1_000_000 / u64::try_from(self.server.config.hz).unwrap_or(10).clamp(1, 500),
        };
        let wake_us =
            self.server.next_wake().map(|unix_ms| clock.monotonic_us + (unix_ms * 1000).saturating_sub(clock.unix_us));
        let due_us = wake_us.unwrap_or(u64::MAX).min(self.last_tick_us + tick_us);
        let due_us = self.keeper.next_tick_us(&self.server).unwrap_or(u64::MAX).min(due_us);
        if clock.monotonic_us >= due_us || self.server.cron.goes_on() {
            self.last_tick_us = clock.monotonic_us;
            self.server.tick();
            self.huge_pages.follow_heap();
            self.lazy_free.follow_heap();
            let kept = self.keeper.tick(&mut self.server);
            self.end_if_fatal(kept);
            self.end_slow_handshakes(clock);
            if std::mem::take(&mut self.accept_later) {
                self.listeners_bell.ring();
            }
            self.set_timer(clock, clock.monotonic_us + tick_us, context);
            return true;
        }
        self.set_timer(clock, due_us, context);
        false
    }

    /// Has the task woken at that time at the latest.
    fn set_timer(&mut self, clock: Clock, at_us: u64, context: &mut Context) {
        if at_us != self.timer_at_us {
            self.timer_at_us = at_us;
            let wait = Duration::from_micros(at_us.saturating_sub(clock.monotonic_us));
            self.timer.as_mut().reset(Instant::now() + wait);
        }
        if self.timer.as_mut().poll(context).is_ready() {
            context.waker().wake_by_ref();
        }
    }

    /// Does what the commands left to do for others: run on, flush, close, free.
    fn follow_up(&mut self) {
        for request in std::mem::take(&mut self.server.outbox.requests) {
            self.obey(request);
        }
        self.run_on_and_log();
        self.server.broadcast_invalid_keys();
        let seen_by_others = if self.server.durability.is_always() { self.server.journal.offset() } else { 0 };
        self.server.bound_clients_memory();
        for id in std::mem::take(&mut self.server.outbox.flush) {
            let session = self.server.sessions.get_mut(id);
            session.in_flush = false;
            session.gate = session.gate.max(seen_by_others);
            self.write_later(self.hall.number_of(id));
        }
        if self.released != self.server.durability.released {
            self.let_go();
        }
        let replies = self.write_all();
        self.write_messages(replies, seen_by_others);
        if self.shutdown.is_none() {
            // At the end of the process everything closes at once: who sees its connection closed finds nobody listening any more.
            for (id, how) in std::mem::take(&mut self.server.outbox.close) {
                self.close(id, how);
            }
        }
        if !self.server.garbage.is_empty() {
            self.server.stats.freed_later += self.server.garbage.objects() as u64;
            self.lazy_free.free(self.server.garbage.take());
        }
    }

    /// Has some of those written to who have got messages from others, first come first served.
    ///
    /// A message to thousands holds nobody up like that. And who publishes on and on is heard several times for every time that all are
    /// written to, so that one write carries several messages.
    fn write_messages(&mut self, replies: usize, seen_by_others: u64) {
        let slice = if self.shutdown.is_some() { usize::MAX } else { MESSAGES_MIN.max(replies / 2) };
        for _ in 0..slice {
            let Some(id) = self.server.outbox.messages.pop_front() else { break };
            let session = self.server.sessions.get_mut(id);
            session.in_messages = false;
            session.gate = session.gate.max(seen_by_others);
            self.hall.write_later(&self.server, self.hall.number_of(id));
        }
        self.write_all();
    }

    /// Writes to all who are to be written to. Their number.
    fn write_all(&mut self) -> usize {
        let numbers = std::mem::take(&mut self.hall.to_write);
        numbers.iter().for_each(|number| self.write(*number));
        numbers.len()
    }

    /// Lets held sessions go on, and has the log keep what they and all others did, before a reply leaves.
    fn run_on_and_log(&mut self) {
        loop {
            while !self.server.outbox.resume.is_empty() {
                for id in std::mem::take(&mut self.server.outbox.resume) {
                    self.run_on(id);
                }
            }
            let kept = self.keeper.end_turn(&mut self.server);
            self.end_if_fatal(kept);
            if self.server.outbox.resume.is_empty() {
                return;
            }
        }
    }

    /// The log has got further: replies that waited for it may leave, and their clients are heard again.
    fn let_go(&mut self) {
        self.released = self.server.durability.released;
        for number in std::mem::take(&mut self.held) {
            let Some(connection) = self.hall.get_mut(number) else { continue };
            if !self.server.durability.may_leave(self.server.sessions.get(connection.session).gate) {
                self.held.push(number);
                continue;
            }
            let looks = std::mem::take(&mut connection.look_later);
            self.hall.to_write.push(number);
            if looks {
                self.ring(number);
            }
        }
    }

    /// Loads a slice of what was kept. Once all is there clients are served.
    fn load(&mut self, context: &mut Context) {
        match self.keeper.load(&mut self.server, LOAD_SLICE_US) {
            Ok(Progress::Loading) => context.waker().wake_by_ref(),
            Ok(Progress::Done) => {
                self.announce();
                if let Some(supervisor) = self.starting.take() {
                    supervisor.ready();
                }
            }
            Err(fatal) => self.shutdown = Some(Ending::Fatal(fatal)),
        }
    }

    /// Loads a slice of the primary's data set; then the stream behind it is heard.
    fn load_from_primary(&mut self, context: &mut Context) {
        if let Some(link) = self.server.load_from_primary(LOAD_SLICE_US) {
            self.ring(self.hall.number_of(link));
        }
        context.waker().wake_by_ref();
    }

    /// Looks whether the primary has answered the call.
    fn hear_dial(&mut self) {
        let Some(Poll::Ready(reached)) = self.dial.as_mut().map(Dial::poll) else { return };
        self.dial = None;
        let keepalive_s = u64::try_from(self.server.config.tcp_keepalive).unwrap_or(0);
        let wants_tls = self.server.config.tls_replication;
        let reached = reached.and_then(|stream| {
            let address = stream.peer_addr()?;
            let tls = if wants_tls { Some(self.tls_to_primary(address.ip())?) } else { None };
            Ok((listener::accepted_tcp(stream, address, wants_tls, keepalive_s)?, tls))
        });
        match reached {
            Ok((Accepted { stream, peer, .. }, tls)) => {
                let Some(id) = self.server.primary_reached(peer) else { return };
                let number = self.hall.put(stream, tls, id);
                self.write_later(number);
                self.serve_connection(number);
            }
            Err(error) => self.server.primary_not_reached(&io_error::reason(&error)),
        }
    }

    /// Certificates and keys are read anew each time.
    fn tls_to_primary(&self, address: IpAddr) -> io::Result<Box<Tls>> {
        let rules = tls_rules::rules_to_primary(&self.server.config).map_err(io::Error::other)?;
        Tls::of_primary(rules, address).map_err(io::Error::other)
    }

    fn dial(&mut self, host: String, port: u16) {
        let source = self.server.config.bind_source_addr.display().into_owned();
        self.dial = Some(Dial::new(host, port, source, Bell::new(DIAL, &self.ready_list)));
        self.hear_dial();
    }

    fn end_if_fatal(&mut self, kept: Result<(), Fatal>) {
        if let Err(fatal) = kept {
            self.shutdown = Some(Ending::Fatal(fatal));
        }
    }

    /// Goes on with the input of a session that was held.
    fn run_on(&mut self, id: SessionId) {
        let number = self.hall.number_of(id);
        self.with_connection(number, |net, connection| {
            connection.may_go_on = false;
            run_kept(connection, &mut net.server);
        });
        self.after_running(number);
    }

    fn write(&mut self, number: usize) {
        let Some(connection) = self.hall.get_mut(number) else { return };
        if !self.server.durability.may_leave(self.server.sessions.get(connection.session).gate) {
            self.held.push(number);
            return;
        }
        connection.in_write_list = false;
        let session = self.server.sessions.get_mut(connection.session);
        if session.closing == Some(Closing::AtOnce) {
            // It has had its last reply: whoever overcame a limit gets nothing of what was too much.
            return;
        }
        match connection.write(&mut session.output) {
            Ok(written) => {
                session.output_bytes += written as u64;
                self.server.stats.output_bytes += written as u64;
                self.server.stats.replica_output_bytes += if session.is_replica() { written as u64 } else { 0 };
                self.server.stats.writes += 1;
                self.server.weigh(connection.session);
                let session = self.server.sessions.get(connection.session);
                let done = session.output.is_empty() && !connection.has_unsent();
                if done && session.closing == Some(Closing::AfterOutput) {
                    let id = connection.session;
                    self.remove(id);
                } else if session.replica.as_ref().is_some_and(|link| link.is_sending()) {
                    // There is more of its snapshot.
                    let id = connection.session;
                    self.server.send_more(id);
                    self.ring(number);
                } else if !done && written >= WRITE_TURN_MAX {
                    // The socket would take more, so its waker does not ring.
                    self.ring(number);
                }
            }
            Err(_) => {
                // The other side is gone; there is nobody to tell.
                let id = connection.session;
                self.remove(id);
            }
        }
    }

    fn close(&mut self, id: SessionId, how: Closing) {
        let is_open = self.server.sessions.find(id).is_some_and(|session| session.closing.is_some());
        if !is_open {
            return;
        }
        let unsent = self.hall.get_mut(self.hall.number_of(id)).is_some_and(|connection| connection.has_unsent());
        let waits = how == Closing::AfterOutput && (unsent || !self.server.sessions.get(id).output.is_empty());
        if !waits {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: SessionId) {
        tracing::debug!("Client closed connection addr={}", self.server.sessions.get(id).peer.address);
        self.server.remove_session(id);
        self.hall.remove(id);
    }

    fn obey(&mut self, request: HostRequest) {
        match request {
            HostRequest::Shutdown { force } => self.shut_down(force),
            HostRequest::Dial { host, port } => self.dial(host, port),
            HostRequest::StopDialing => self.dial = None,
            HostRequest::DelaySmallPackets(id) => {
                if let Some(connection) = self.hall.get_mut(self.hall.number_of(id)) {
                    connection.delay_small_packets();
                }
            }
            HostRequest::Fail(reason) => self.shutdown = Some(Ending::Fatal(Fatal(reason))),
            HostRequest::RewriteLog | HostRequest::LoadLog(_) | HostRequest::CloseLog => {
                self.keeper.obey(&mut self.server, &request);
            }
        }
    }
}

fn start_keeper(server: &mut Server, ready_list: &Arc<ReadyList>) -> io::Result<Keeper> {
    let disk = Arc::new(RealDisk);
    let bell = Bell::new(LOG, ready_list);
    let processors = server.config.bio_cpulist.display().into_owned();
    let prepare = move || affinity::bind_to(&processors);
    let ring: Arc<dyn Fn() + Send + Sync> = Arc::new(move || bell.ring());
    let thread = keeper::Thread::start(disk.clone(), prepare, Arc::clone(&ring))?;
    let folder = std::env::current_dir()?;
    let keeper = Keeper::start(server, folder, disk, Box::new(thread));
    let mut keeper = keeper.map_err(|Fatal(text)| io::Error::other(text))?;
    keeper.write_bases_in_background(ring);
    Ok(keeper)
}

/// Reads once and runs what is complete. Input that cannot be run yet stays with the connection.
fn read_and_run(connection: &mut Connection, server: &mut Server, buffer: &mut [u8]) -> Read {
    let id = connection.session;
    let kept = connection.input.len();
    let read = if kept == 0 {
        connection.read(buffer)
    } else {
        let expected = server.sessions.get(id).parser.bytes_expected();
        connection.read_behind(read_room(expected, kept), expected)
    };
    let Read::Bytes(count) = read else {
        // There may be more room than before for what is still to come.
        server.sessions.get_mut(id).input_capacity = connection.input.capacity();
        server.weigh(id);
        server.bound_clients_memory();
        return read;
    };
    if kept == 0 {
        run_heard(connection, server, &buffer[..count]);
        return read;
    }
    count_input(server, id, count);
    server.sessions.get_mut(id).input_capacity = connection.input.capacity();
    server.weigh(id);
    server.bound_clients_memory();
    if server.sessions.get(id).closing.is_none() {
        run_kept(connection, server);
    }
    bound_input(connection, server);
    read
}

fn count_input(server: &mut Server, id: SessionId, count: usize) {
    server.stats.input_bytes += count as u64;
    server.stats.reads += 1;
    server.sessions.get_mut(id).input_bytes += count as u64;
}

/// Runs what is complete of input that was just read, with nothing kept before it. The rest is kept.
fn run_heard(connection: &mut Connection, server: &mut Server, input: &[u8]) {
    let id = connection.session;
    count_input(server, id, input.len());
    let consumed = server.consume(id, input);
    connection.may_go_on = consumed.turn_over;
    connection.input.extend_from_slice(&input[consumed.bytes..]);
    bound_input(connection, server);
}

/// Closes a connection that keeps more input than is allowed.
fn bound_input(connection: &Connection, server: &mut Server) {
    let id = connection.session;
    let session = server.sessions.get_mut(id);
    session.input_capacity = connection.input.capacity();
    if connection.input.len() as u64 > server.config.client_query_buffer_limit && !session.is_primary {
        tracing::warn!("Closing client that reached max query buffer length: addr={}", session.peer.address);
        server.stats.query_limit_disconnections += 1;
        server.close(id, Closing::AtOnce);
    }
}

/// Runs what is complete of the input that is kept.
fn run_kept(connection: &mut Connection, server: &mut Server) {
    if connection.input.is_empty() {
        return;
    }
    let consumed = server.consume(connection.session, &connection.input);
    connection.may_go_on = consumed.turn_over;
    connection.forget_input(consumed.bytes);
}

/// How much to read behind `kept` bytes of an incomplete command: what it still needs, within bounds.
fn read_room(expected: usize, kept: usize) -> usize {
    const ROOM_MIN: usize = 16 * 1024;
    let missing = expected.saturating_sub(kept);
    if missing > 0 && kept >= ROOM_MIN { missing.min(READ_BYTES) } else { missing.clamp(ROOM_MIN, READ_BYTES) }
}
