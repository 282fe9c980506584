//! The load generator: one thread, one epoll, sockets that never block, requests made beforehand. It must cost less
//! than the server it drives, since it has one core as the server has. What a connection says is its behaviour
//! (`behaviour.rs`); which connections there are stands in `loads.rs`.

use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use super::behaviour::{self, Behaviour};
use super::histogram::Histogram;
use super::loads::Load;
use super::secure::{Secure, Tls};
use super::template::Numbers;

/// How to drive a load.
#[derive(Clone)]
pub struct Drive<'a> {
    pub load: &'a Load,
    pub port: u16,
    /// Speaks TLS to that port.
    pub secure: Option<&'a Secure>,
    pub warm_up: Duration,
    pub duration: Duration,
    /// Requests per second sent on schedule, whether replies come or not; `None` sends when replies have come.
    pub rate: Option<u64>,
    /// Sleep when nothing is ready, as ordinary clients do. Else the driver polls, so that no server pays for waking it.
    pub sleeps: bool,
}

/// What came of it, from the end of the warm-up on.
#[derive(Default)]
pub struct Outcome {
    pub requests: u64,
    pub elapsed: Duration,
    /// What of it the driver polled in vain (asleep it does not know).
    pub idle: Duration,
    pub latency: Histogram,
    pub errors: u64,
    pub first_error: Option<String>,
}

/// The two moments between which figures count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    Begin,
    End,
}

/// A load that ends by its number of requests is given up after this many times its duration.
const PATIENCE: u32 = 30;

/// A server from which nothing has come for so long, beyond the duration, has no figures.
const STUCK_AFTER: Duration = Duration::from_secs(20);

/// Runs the load; `at_moment` is called when measuring begins and ends.
pub fn drive(drive: &Drive, mut at_moment: impl FnMut(Moment)) -> io::Result<Outcome> {
    let mut shared = Shared::new();
    let mut connections = connect_all(drive)?;
    let epoll = Epoll::of(&connections)?;
    for connection in &mut connections {
        connection.behaviour.start(&mut connection.link, &mut shared)?;
    }

    let patience = if drive.load.requests_max.is_some() { drive.duration * PATIENCE } else { drive.duration };
    let give_up_ns = (drive.warm_up + patience + STUCK_AFTER).as_nanos() as u64;
    let requests_max = drive.load.requests_max.unwrap_or(u64::MAX);
    let warm_up_ns = drive.warm_up.as_nanos() as u64;
    let mut begin = None;
    let mut counted_last = 0;
    let mut turned_ns = 0;
    let mut idle_ns = 0;
    let mut reader = Reader::new(drive.load.value_bytes, drive.secure.is_some());
    let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; 1024];
    loop {
        let ready = epoll.wait(&mut events, drive.sleeps)?;
        let is_idle = ready.is_empty();
        for event in ready {
            let connection = &mut connections[event.u64 as usize];
            if event.events & libc::EPOLLOUT as u32 != 0 {
                connection.link.flush()?;
                epoll.watch(libc::EPOLL_CTL_MOD, connection, event.u64)?;
            }
            if event.events & !(libc::EPOLLOUT as u32) != 0 {
                reader.read(connection, &mut shared)?;
                if connection.link.is_stuck() {
                    epoll.watch(libc::EPOLL_CTL_MOD, connection, event.u64)?;
                }
            }
        }
        for (index, connection) in connections.iter_mut().enumerate().filter(|(_, one)| one.behaviour.acts_unasked()) {
            let was_stuck = connection.link.is_stuck();
            connection.behaviour.act(&mut connection.link, &mut shared)?;
            if connection.link.is_stuck() != was_stuck {
                epoll.watch(libc::EPOLL_CTL_MOD, connection, index as u64)?;
            }
        }

        let now_ns = shared.now_ns();
        if is_idle {
            idle_ns += now_ns - turned_ns;
        }
        turned_ns = now_ns;
        // Both moments fall on a reply: between two replies a slow command may be half done.
        if shared.counted == counted_last && now_ns < give_up_ns {
            continue;
        }
        counted_last = shared.counted;
        match begin {
            None if now_ns >= warm_up_ns || shared.counted > requests_max / 20 => {
                begin = Some((now_ns, shared.counted));
                shared.latency.clear();
                idle_ns = 0;
                at_moment(Moment::Begin);
            }
            None => {}
            Some((begin_ns, counted_before)) => {
                let elapsed = Duration::from_nanos(now_ns - begin_ns);
                if elapsed >= patience || shared.counted >= requests_max || now_ns >= give_up_ns {
                    at_moment(Moment::End);
                    let idle = Duration::from_nanos(idle_ns);
                    return Ok(shared.outcome(counted_before, elapsed, idle));
                }
            }
        }
    }
}

/// What all connections of a run share.
pub struct Shared {
    pub numbers: Numbers,
    pub latency: Histogram,
    pub counted: u64,
    pub errors: u64,
    pub first_error: Option<String>,
    /// Messages published or produced that have not arrived yet.
    pub on_the_way: u64,
    pub subscribed: usize,
    started: Instant,
}

impl Shared {
    fn new() -> Self {
        Shared {
            numbers: Numbers::new(0x5EED),
            latency: Histogram::default(),
            counted: 0,
            errors: 0,
            first_error: None,
            on_the_way: 0,
            subscribed: 0,
            started: Instant::now(),
        }
    }

    pub fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    pub fn note_error(&mut self, text: &[u8]) {
        self.errors += 1;
        if self.first_error.is_none() {
            self.first_error = Some(String::from_utf8_lossy(text).trim_end().into());
        }
    }

    fn outcome(self, counted_before: u64, elapsed: Duration, idle: Duration) -> Outcome {
        Outcome {
            requests: self.counted - counted_before,
            elapsed,
            idle,
            latency: self.latency,
            errors: self.errors,
            first_error: self.first_error,
        }
    }
}

/// The sending half of a connection: what the socket does not take at once waits here.
pub struct Link {
    socket: TcpStream,
    unsent: Vec<u8>,
    tls: Option<Tls>,
    /// Room for what is encrypted.
    cipher: Vec<u8>,
}

impl Link {
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return self.send_as_is(bytes) };
        let mut cipher = std::mem::take(&mut self.cipher);
        tls.seal(bytes, &mut cipher)?;
        self.send_as_is(&cipher)?;
        cipher.clear();
        self.cipher = cipher;
        Ok(())
    }

    fn send_as_is(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sent = if self.unsent.is_empty() { self.write(bytes)? } else { 0 };
        self.unsent.extend_from_slice(&bytes[sent..]);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let sent = self.write(&self.unsent)?;
        self.unsent.drain(..sent);
        Ok(())
    }

    fn is_stuck(&self) -> bool {
        !self.unsent.is_empty()
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        // SAFETY: the kernel reads `bytes.len()` bytes of `bytes`.
        let sent = unsafe {
            libc::send(
                self.socket.as_raw_fd(),
                bytes.as_ptr().cast(),
                bytes.len(),
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            )
        };
        count_or_not_ready(sent)
    }
}

/// What a system call on a socket moved; 0 where it would have had to wait.
fn count_or_not_ready(result: isize) -> io::Result<usize> {
    if result >= 0 {
        return Ok(result as usize);
    }
    let error = io::Error::last_os_error();
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
        _ => Err(error),
    }
}

struct Connection {
    link: Link,
    behaviour: Box<dyn Behaviour>,
}

fn connect_all(drive: &Drive) -> io::Result<Vec<Connection>> {
    behaviour::of_load(drive.load, drive.rate)
        .into_iter()
        .map(|behaviour| {
            let mut socket = TcpStream::connect(("127.0.0.1", drive.port))?;
            socket.set_nodelay(true)?;
            let tls = drive.secure.map(|secure| secure.shake_hands(&mut socket)).transpose()?;
            socket.set_nonblocking(true)?;
            // Ends with a reset: the server drops what is still queued, and no port waits for a minute.
            socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
            Ok(Connection { link: Link { socket, unsent: Vec::new(), tls, cipher: Vec::new() }, behaviour })
        })
        .collect()
}

/// Receives into one buffer for all connections.
struct Reader {
    buffer: Vec<u8>,
    /// What was decrypted.
    plain: Vec<u8>,
}

/// From this size on the body of a value is dropped in the kernel instead of being copied out.
const DROPPED_BYTES_MIN: usize = 8 * 1024;

impl Reader {
    fn new(value_bytes: usize, is_secure: bool) -> Self {
        // Where values are dropped unread, take little more than the header in front of them.
        let bytes = if value_bytes > DROPPED_BYTES_MIN && !is_secure { 512 } else { 64 * 1024 };
        Reader { buffer: vec![0; bytes], plain: vec![0; bytes] }
    }

    fn read(&mut self, connection: &mut Connection, shared: &mut Shared) -> io::Result<()> {
        let Connection { link, behaviour } = connection;
        loop {
            let body = behaviour.body_bytes_missing();
            if body > DROPPED_BYTES_MIN && link.tls.is_none() {
                let dropped = self.receive(link, body - 1, libc::MSG_TRUNC)?;
                if dropped == 0 {
                    return Ok(());
                }
                behaviour.skipped(dropped);
                continue;
            }
            let bytes = self.buffer.len();
            let received = self.receive(link, bytes, 0)?;
            match link.tls.take() {
                None => behaviour.receive(&self.buffer[..received], link, shared)?,
                Some(tls) => self.receive_secure(tls, received, link, behaviour, shared)?,
            }
            if received < bytes {
                return Ok(());
            }
        }
    }

    /// Who answers at once encrypts with the state that decrypts, so it goes from hand to hand.
    fn receive_secure(
        &mut self,
        mut tls: Tls,
        received: usize,
        link: &mut Link,
        behaviour: &mut Box<dyn Behaviour>,
        shared: &mut Shared,
    ) -> io::Result<()> {
        let mut cipher = &self.buffer[..received];
        loop {
            let read = tls.open(&mut cipher, &mut self.plain)?;
            link.tls = Some(tls);
            if read == 0 {
                return Ok(());
            }
            behaviour.receive(&self.plain[..read], link, shared)?;
            tls = link.tls.take().expect("it was put there before");
        }
    }

    /// With MSG_TRUNC a TCP socket discards what it would have copied.
    fn receive(&mut self, link: &Link, bytes: usize, flag: i32) -> io::Result<usize> {
        debug_assert!(flag == libc::MSG_TRUNC || bytes <= self.buffer.len());
        let buffer = self.buffer.as_mut_ptr().cast();
        // SAFETY: the kernel writes at most `bytes` into a buffer that long, and nothing under MSG_TRUNC.
        let received = unsafe { libc::recv(link.socket.as_raw_fd(), buffer, bytes, libc::MSG_DONTWAIT | flag) };
        if received == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed a connection"));
        }
        count_or_not_ready(received)
    }
}

struct Epoll(i32);

impl Epoll {
    fn of(connections: &[Connection]) -> io::Result<Epoll> {
        // SAFETY: takes no pointer.
        let epoll = Epoll(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) });
        if epoll.0 < 0 {
            return Err(io::Error::last_os_error());
        }
        for (index, connection) in connections.iter().enumerate() {
            epoll.watch(libc::EPOLL_CTL_ADD, connection, index as u64)?;
        }
        Ok(epoll)
    }

    /// Readiness to read always, to write while something waits to be sent.
    fn watch(&self, operation: i32, connection: &Connection, index: u64) -> io::Result<()> {
        let write = if connection.link.is_stuck() { libc::EPOLLOUT } else { 0 };
        let mut event = libc::epoll_event { events: (libc::EPOLLIN | write) as u32, u64: index };
        // SAFETY: the kernel reads one event.
        match unsafe { libc::epoll_ctl(self.0, operation, connection.link.socket.as_raw_fd(), &mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn wait<'a>(&self, events: &'a mut [libc::epoll_event], sleeps: bool) -> io::Result<&'a [libc::epoll_event]> {
        let timeout_ms = if sleeps { 20 } else { 0 };
        // SAFETY: the kernel writes at most as many events as there is room for.
        let ready = unsafe { libc::epoll_wait(self.0, events.as_mut_ptr(), events.len() as i32, timeout_ms) };
        Ok(&events[..count_or_not_ready(ready as isize)?])
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours and is not used again.
        unsafe { libc::close(self.0) };
    }
}
