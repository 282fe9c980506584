//! The process's one event loop: a single task that owns every socket and the heart.
//!
//! A turn reads every ready socket, runs what is complete, and writes every reply once. Nothing below this module waits; nothing above it
//! knows a socket. While requests keep coming the task looks again at once instead of sleeping (`SPIN_US`).

mod connection;
mod listener;
mod wake;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crossbeam::channel::{Sender, unbounded};
use slab::Slab;
use tokio::time::{Instant, Sleep, sleep};

use crate::config::Config;
use crate::server::{Clock, Closing, HostRequest, Server, SessionId};
use crate::types::value::Record;
use crate::util::clock::{monotonic_us, unix_us};
use connection::{Connection, Read};
use listener::{Accepted, Listener};
use wake::{Bell, ReadyList};

/// After the last request the loop looks for more for this long before it lets the processor sleep: a server that sleeps after every event
/// loses a tenth of its throughput to being woken.
const SPIN_US: u64 = 20;
/// Bytes read from a socket in one call.
const READ_BYTES: usize = 256 * 1024;
/// A socket gets its turn after this many bytes at the latest.
const READ_TURN_MAX: usize = 4 * READ_BYTES;
/// Clients let in at one go, so that a storm of them does not hold up the others.
const ACCEPT_MAX: usize = 256;

/// A number for each socket: listeners and connections share the space.
enum Socket {
    Listener(Listener),
    Connection(Box<Connection>),
}

pub struct Net {
    server: Server,
    sockets: Slab<Socket>,
    /// Session index to socket number.
    by_session: Vec<usize>,
    ready_list: Arc<ReadyList>,
    ready: Vec<Arc<Bell>>,
    /// Sockets whose session has something to say.
    to_write: Vec<usize>,
    read_buffer: Box<[u8]>,
    timer: Pin<Box<Sleep>>,
    timer_at_us: u64,
    last_tick_us: u64,
    last_request_us: u64,
    free_thread: Sender<Vec<Record>>,
    shutdown: Option<Shutdown>,
    signals: Signals,
}

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    pub save: bool,
}

/// SIGTERM and SIGINT.
pub struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    fn poll(&mut self, context: &mut Context) -> Option<&'static str> {
        if self.terminate.poll_recv(context).is_ready() {
            return Some("SIGTERM");
        }
        self.interrupt.poll_recv(context).is_ready().then_some("SIGINT")
    }
}

/// Runs a server until it is told to stop. `listening` is called once all sockets are open, with the TCP port.
pub fn run(server: Server, listening: impl FnOnce(&Config, Option<u16>) + Send + 'static) -> io::Result<Shutdown> {
    // One event per look at the sockets: the task itself handles everything that is ready in one poll.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().event_interval(1).build()?;
    // A spawned task is woken without a system call, which the outermost future is not.
    runtime.block_on(async move {
        tokio::spawn(async move {
            let mut net = Net::open(server)?;
            listening(&net.server.config, net.port());
            Ok(poll_fn(|context| net.turn(context)).await)
        })
        .await
        .map_err(io::Error::other)?
    })
}

fn start_free_thread() -> io::Result<Sender<Vec<Record>>> {
    let (sender, receiver) = unbounded::<Vec<Record>>();
    let thread = std::thread::Builder::new().name("lazy-free".into());
    thread.spawn(move || receiver.into_iter().for_each(drop))?;
    Ok(sender)
}

impl Net {
    fn open(server: Server) -> io::Result<Self> {
        let mut net = Self {
            server,
            sockets: Slab::new(),
            by_session: Vec::new(),
            ready_list: Arc::default(),
            ready: Vec::new(),
            to_write: Vec::new(),
            read_buffer: vec![0; READ_BYTES].into(),
            timer: Box::pin(sleep(Duration::ZERO)),
            timer_at_us: 0,
            last_tick_us: 0,
            last_request_us: 0,
            free_thread: start_free_thread()?,
            shutdown: None,
            signals: Signals::new()?,
        };
        net.listen()?;
        Ok(net)
    }

    fn listen(&mut self) -> io::Result<()> {
        let config = self.server.config.clone();
        if config.port != 0 {
            self.listen_tcp(&config, config.port)?;
        } else if !config.port_file.is_empty() {
            self.listen_tcp(&config, 0)?;
        }
        if let Some(path) = config.unixsocket.path_if_set() {
            let entry = self.sockets.vacant_entry();
            let bell = Bell::new(entry.key(), &self.ready_list);
            let mode = config.unixsocketperm;
            let listener = Listener::unix(path, mode, config.tcp_backlog, bell)
                .map_err(|error| named(&path.display().to_string(), error))?;
            let number = entry.key();
            entry.insert(Socket::Listener(listener));
            self.ring(number);
        }
        Ok(())
    }

    fn listen_tcp(&mut self, config: &Config, port: u16) -> io::Result<()> {
        let mut port = port;
        for address in &config.bind.0 {
            let host = address.host.as_str();
            let entry = self.sockets.vacant_entry();
            let bell = Bell::new(entry.key(), &self.ready_list);
            match Listener::tcp(host, port, config.tcp_backlog, bell) {
                Ok(listener) => {
                    // Further addresses get the port that the system chose for the first.
                    port = listener.port().unwrap_or(port);
                    let number = entry.key();
                    entry.insert(Socket::Listener(listener));
                    self.ring(number);
                }
                Err(error) if address.optional && is_unavailable(&error) => {}
                Err(error) => return Err(named(&format!("{host}:{port}"), error)),
            }
        }
        Ok(())
    }

    /// The TCP port of the first listener that has one.
    fn port(&self) -> Option<u16> {
        self.sockets.iter().find_map(|(_, socket)| match socket {
            Socket::Listener(listener) => listener.port(),
            Socket::Connection(_) => None,
        })
    }

    /// Treats a new socket as ready, which registers its waker in the next turn.
    fn ring(&mut self, number: usize) {
        std::task::Wake::wake(Bell::new(number, &self.ready_list));
    }

    /// One turn of the loop.
    fn turn(&mut self, context: &mut Context) -> Poll<Shutdown> {
        self.ready_list.set_task(context.waker());
        let clock = Clock { unix_us: unix_us(), monotonic_us: monotonic_us() };
        self.server.set_clock(clock);

        let mut ready = std::mem::take(&mut self.ready);
        self.ready_list.take(&mut ready);
        for bell in &ready {
            self.serve(bell.socket);
        }
        let busy = !ready.is_empty();
        self.ready = ready;

        if self.signals.poll(context).is_some() {
            self.shutdown = Some(Shutdown { save: true });
        }
        self.tick_if_due(clock, context);
        self.follow_up();
        if let Some(shutdown) = self.shutdown.take() {
            return Poll::Ready(shutdown);
        }

        if busy {
            self.last_request_us = clock.monotonic_us;
        }
        let spins = clock.monotonic_us - self.last_request_us < SPIN_US;
        if spins || self.server.cron.more_to_expire {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn serve(&mut self, number: usize) {
        match self.sockets.get_mut(number) {
            Some(Socket::Connection(_)) => self.serve_connection(number),
            Some(Socket::Listener(_)) => self.accept(number),
            None => {}
        }
    }

    fn accept(&mut self, number: usize) {
        let keepalive = u64::try_from(self.server.config.tcp_keepalive).unwrap_or(0);
        for _ in 0..ACCEPT_MAX {
            let Some(Socket::Listener(listener)) = self.sockets.get_mut(number) else { return };
            match listener.accept(keepalive) {
                Ok(Some(accepted)) => self.welcome(accepted),
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!("Accepting client connection: {error}");
                    // Out of descriptors, most likely: try again when the next tick has passed.
                    return;
                }
            }
        }
        self.ring(number);
    }

    fn welcome(&mut self, accepted: Accepted) {
        let Accepted { stream, peer, is_local } = accepted;
        let refusal = self.refusal(is_local);
        let session = self.server.connect(peer);
        let entry = self.sockets.vacant_entry();
        let number = entry.key();
        let bell = Bell::new(number, &self.ready_list);
        entry.insert(Socket::Connection(Box::new(Connection::new(stream, session, bell))));
        if self.by_session.len() <= session.index() {
            self.by_session.resize(session.index() + 1, usize::MAX);
        }
        self.by_session[session.index()] = number;
        if let Some(text) = refusal {
            self.server.stats.rejected_connections += 1;
            self.server.sessions.get_mut(session).output.push(text.as_bytes());
            self.server.close(session, Closing::AfterOutput);
            return;
        }
        self.serve_connection(number);
    }

    /// Why a client that has just come in must go again.
    fn refusal(&self, is_local: bool) -> Option<&'static str> {
        let config = &self.server.config;
        if self.server.sessions.len() >= config.maxclients as usize {
            return Some("-ERR max number of clients reached\r\n");
        }
        if config.protected_mode && !self.server.needs_password() && !is_local {
            return Some(
                "-DENIED Protected mode is on and no password is set, so only clients on this machine are let in. To serve others, \
                 set a password (requirepass), or turn protected mode off (CONFIG SET protected-mode no, from this machine) if the \
                 network keeps strangers out.\r\n",
            );
        }
        None
    }

    /// Reads what is there and runs it.
    fn serve_connection(&mut self, number: usize) {
        let Some(Socket::Connection(connection)) = self.sockets.get_mut(number) else { return };
        let id = connection.session;
        let mut read_in_turn = 0;
        while !connection.ended && self.server.sessions.get(id).closing.is_none() {
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
        self.after_running(number);
    }

    /// Looks at what a session left to do after some of its input was run.
    fn after_running(&mut self, number: usize) {
        let Some(Socket::Connection(connection)) = self.sockets.get_mut(number) else { return };
        let id = connection.session;
        if connection.ended {
            // Replies to what was sent before the end still go out; one that waits for a key has nobody to tell.
            let how = if self.server.sessions.get(id).is_held() { Closing::AtOnce } else { Closing::AfterOutput };
            self.server.close(id, how);
        }
        self.write_later(number);
    }

    fn write_later(&mut self, number: usize) {
        let Some(Socket::Connection(connection)) = self.sockets.get_mut(number) else { return };
        let has_output = !self.server.sessions.get(connection.session).output.is_empty();
        if has_output && !std::mem::replace(&mut connection.in_write_list, true) {
            self.to_write.push(number);
        }
    }

    fn tick_if_due(&mut self, clock: Clock, context: &mut Context) {
        let tick_us = 1_000_000 / u64::try_from(self.server.config.hz).unwrap_or(10).clamp(1, 500);
        let wake_us =
            self.server.next_wake().map(|unix_ms| clock.monotonic_us + (unix_ms * 1000).saturating_sub(clock.unix_us));
        let due_us = wake_us.unwrap_or(u64::MAX).min(self.last_tick_us + tick_us);
        if clock.monotonic_us >= due_us || self.server.cron.more_to_expire {
            self.last_tick_us = clock.monotonic_us;
            self.server.tick();
            return self.set_timer(clock, clock.monotonic_us + tick_us, context);
        }
        self.set_timer(clock, due_us, context);
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
        while !self.server.outbox.resume.is_empty() {
            for id in std::mem::take(&mut self.server.outbox.resume) {
                self.run_on(id);
            }
        }
        for id in std::mem::take(&mut self.server.outbox.flush) {
            self.server.sessions.get_mut(id).in_flush = false;
            self.write_later(self.by_session[id.index()]);
        }
        for number in std::mem::take(&mut self.to_write) {
            self.write(number);
        }
        for (id, how) in std::mem::take(&mut self.server.outbox.close) {
            self.close(id, how);
        }
        for request in std::mem::take(&mut self.server.outbox.requests) {
            self.obey(request);
        }
        if !self.server.garbage.is_empty() {
            // A thread that is gone only means that the values are freed here.
            let _ = self.free_thread.send(std::mem::take(&mut self.server.garbage));
        }
    }

    /// Goes on with the input of a session that was held.
    fn run_on(&mut self, id: SessionId) {
        let number = self.by_session[id.index()];
        let Some(Socket::Connection(connection)) = self.sockets.get_mut(number) else { return };
        if !connection.input.is_empty() {
            let used = self.server.consume(id, &connection.input);
            connection.input.drain(..used);
        }
        self.after_running(number);
    }

    fn write(&mut self, number: usize) {
        let Some(Socket::Connection(connection)) = self.sockets.get_mut(number) else { return };
        connection.in_write_list = false;
        let session = self.server.sessions.get_mut(connection.session);
        match connection.write(&mut session.output) {
            Ok(written) => {
                session.output_bytes += written as u64;
                self.server.stats.output_bytes += written as u64;
                let done = session.output.is_empty();
                if done && session.closing == Some(Closing::AfterOutput) {
                    let id = connection.session;
                    self.remove(id);
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
        let waits = how == Closing::AfterOutput && !self.server.sessions.get(id).output.is_empty();
        if !waits {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: SessionId) {
        let number = std::mem::replace(&mut self.by_session[id.index()], usize::MAX);
        self.server.remove_session(id);
        self.sockets.try_remove(number);
    }

    fn obey(&mut self, request: HostRequest) {
        match request {
            HostRequest::Shutdown { save, .. } => self.shutdown = Some(Shutdown { save }),
        }
    }
}

/// Reads once and runs what is complete. Input that cannot be run yet stays with the connection.
fn read_and_run(connection: &mut Connection, server: &mut Server, buffer: &mut [u8]) -> Read {
    let id = connection.session;
    let kept = connection.input.len();
    let read = if kept == 0 {
        connection.read(buffer)
    } else {
        connection.read_behind(read_room(server.sessions.get(id).parser.bytes_expected(), kept))
    };
    let Read::Bytes(count) = read else { return read };
    server.stats.input_bytes += count as u64;
    server.sessions.get_mut(id).input_bytes += count as u64;
    if kept == 0 {
        let used = server.consume(id, &buffer[..count]);
        connection.input.extend_from_slice(&buffer[used..count]);
    } else {
        let used = server.consume(id, &connection.input);
        connection.input.drain(..used);
        if connection.input.is_empty() {
            connection.input = Vec::new();
        }
    }
    let session = server.sessions.get_mut(id);
    session.input_capacity = connection.input.capacity();
    if connection.input.len() as u64 > server.config.client_query_buffer_limit {
        tracing::warn!("Closing client that reached max query buffer length: addr={}", session.peer.address);
        server.stats.query_limit_disconnections += 1;
        server.close(id, Closing::AtOnce);
    }
    read
}

/// How much to read behind `kept` bytes of an incomplete command: what it still needs, within bounds.
fn read_room(expected: usize, kept: usize) -> usize {
    const ROOM_MIN: usize = 16 * 1024;
    expected.saturating_sub(kept).clamp(ROOM_MIN, READ_BYTES)
}

fn is_unavailable(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT))
}

fn named(what: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("Could not listen on {what}: {error}"))
}
