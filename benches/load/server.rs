//! A server under test: started on its own core with a free port and an empty folder, asked through a control
//! connection, its CPU time and memory read from the kernel's accounts. Which servers there are is decided in
//! `main.rs`; what they are sent, in `client.rs`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::loads::{Fill, Persistence};
use super::resp::{self, Element, Scanner};
use super::secure::Secure;
use super::template::{Batch, Numbers};

/// How to start a server.
#[derive(Clone, Debug)]
pub struct Spec {
    pub name: String,
    pub program: PathBuf,
    pub arguments: Vec<String>,
}

/// A running server; dropping it ends the process and removes its folder.
pub struct Server {
    pub version: String,
    pub port: u16,
    /// Where it speaks TLS.
    pub tls_port: Option<u16>,
    /// From the start of the process to its first PONG.
    pub started_in: Duration,
    control: Control,
    child: Child,
    folder: PathBuf,
}

const STARTUP_MAX: Duration = Duration::from_secs(60);

impl Server {
    pub fn start(
        spec: &Spec,
        core: Option<usize>,
        persistence: Persistence,
        parent: &Path,
        secure: Option<&Secure>,
    ) -> io::Result<Server> {
        let port = free_port()?;
        let folder = parent.join(format!("{}-{port}", spec.name));
        std::fs::create_dir_all(&folder)?;
        Self::start_in(spec, core, persistence, folder, port, secure)
    }

    /// Ends the process at once and starts another one with what lies in its folder.
    pub fn restart(&mut self, spec: &Spec, core: Option<usize>, persistence: Persistence) -> io::Result<()> {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Dropping what this one was must not take the folder along.
        let folder = std::mem::take(&mut self.folder);
        *self = Self::start_in(spec, core, persistence, folder, free_port()?, None)?;
        Ok(())
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn start_in(
        spec: &Spec,
        core: Option<usize>,
        persistence: Persistence,
        folder: PathBuf,
        port: u16,
        secure: Option<&Secure>,
    ) -> io::Result<Server> {
        let tls_port = secure.map(|_| free_port()).transpose()?;
        let log = File::create(folder.join("log"))?;

        let mut command = Command::new(&spec.program);
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--daemonize", "no", "--save", ""]);
        command.arg("--dir").arg(&folder);
        command.args(persistence_arguments(persistence)).args(&spec.arguments);
        if let (Some(secure), Some(tls_port)) = (secure, tls_port) {
            command.args(secure.arguments(tls_port));
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).current_dir(&folder);
        // SAFETY: between fork and exec only system calls are made, on memory of their own frames.
        unsafe { command.pre_exec(move || die_with_parent().and_then(|()| core.map_or(Ok(()), pin))) };

        let started = Instant::now();
        let mut child = command.spawn()?;
        let control = match first_pong(&mut child, port, started) {
            Ok(control) => control,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
                return Err(io::Error::new(error.kind(), format!("{}: {error}\n{log}", spec.name)));
            }
        };
        let started_in = started.elapsed();
        let mut server = Server { version: String::new(), port, tls_port, started_in, control, child, folder };
        server.version = server.ask_version()?;
        Ok(server)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn control(&mut self) -> &mut Control {
        &mut self.control
    }

    /// Puts in what a load starts from.
    pub fn prepare(&mut self, data: &[Fill], keys: u64, value_bytes: usize) -> io::Result<()> {
        data.iter().try_for_each(|fill| self.control.fill(fill, keys, value_bytes, &mut Numbers::new(1)))
    }

    /// A number of INFO, 0 where the server does not tell it.
    pub fn info_number(&mut self, section: &str, field: &str) -> io::Result<u64> {
        let text = self.control.ask(&format!("INFO {section}"))?;
        Ok(info_field(&text, field).and_then(|value| value.parse().ok()).unwrap_or(0))
    }

    /// The times of the slow log's entries, the third element of each.
    pub fn slowlog_us(&mut self) -> io::Result<Vec<u64>> {
        let reply = self.control.ask_raw("SLOWLOG GET 1000")?;
        let elements: Vec<Element> = resp::elements(&reply).collect();
        let number = |element: &Element| match element {
            Element::Line(b':', text) => std::str::from_utf8(text).ok()?.parse().ok(),
            _ => None,
        };
        let entries = elements.windows(4).filter(|four| matches!(four[0], Element::Aggregate(4..)));
        Ok(entries.filter_map(|four| number(&four[1]).and(number(&four[2])).and(number(&four[3]))).collect())
    }

    /// CPU time, user and system, that all threads of the process have used so far.
    pub fn cpu_ns(&self) -> u64 {
        cpu_ns(self.pid())
    }

    /// The threads beside the first one, which runs the commands.
    pub fn helpers(&self) -> io::Result<Helpers> {
        let pid = self.pid().to_string();
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))?.filter_map(Result::ok);
        let tasks = tasks.filter(|task| task.file_name().to_str() != Some(&pid));
        Ok(Helpers(tasks.filter_map(|task| File::open(task.path().join("schedstat")).ok()).collect()))
    }

    /// Resident memory now.
    pub fn rss_bytes(&self) -> u64 {
        status_kib(self.pid(), "VmRSS:").unwrap_or(0) * 1024
    }

    /// The most memory that has been resident since `forget_peak`.
    pub fn rss_peak_bytes(&self) -> u64 {
        status_kib(self.pid(), "VmHWM:").unwrap_or(0) * 1024
    }

    pub fn forget_peak(&self) {
        // Needs no privilege for a child of our own; where it fails the peak is that of the whole life.
        let _ = std::fs::write(format!("/proc/{}/clear_refs", self.pid()), "5");
    }

    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until what was asked on connections that are closed now is over: an answer comes at the end of the turn
    /// that reads the question, a second one after the next turn.
    pub fn settle(&mut self) -> io::Result<()> {
        self.control.ask("PING")?;
        self.control.ask("PING").map(drop)
    }

    /// Waits until no snapshot is being written.
    pub fn wait_for_snapshot(&mut self) -> io::Result<()> {
        while self.info_number("persistence", "rdb_bgsave_in_progress")? != 0 {
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn ask_version(&mut self) -> io::Result<String> {
        let info = self.control.ask("INFO server")?;
        let own = ["runnel_version", "valkey_version", "redis_version"];
        Ok(own.iter().find_map(|field| info_field(&info, field)).unwrap_or("?").into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn persistence_arguments(persistence: Persistence) -> &'static [&'static str] {
    match persistence {
        Persistence::Off => &["--appendonly", "no"],
        Persistence::EverySecond => &["--appendonly", "yes", "--appendfsync", "everysec"],
        Persistence::Always => &["--appendonly", "yes", "--appendfsync", "always"],
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn first_pong(child: &mut Child, port: u16, started: Instant) -> io::Result<Control> {
    while started.elapsed() < STARTUP_MAX {
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!("ended at once with {status}")));
        }
        if let Ok(mut control) = Control::connect(port)
            && control.ask("PING").is_ok_and(|reply| reply == "PONG")
        {
            return Ok(control);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "gave no PONG"))
}

/// However the driver ends, its servers do not outlive it.
fn die_with_parent() -> io::Result<()> {
    // SAFETY: takes no pointer.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Keeps the calling thread (and what it becomes) on one core.
pub fn pin(core: usize) -> io::Result<()> {
    // SAFETY: a zeroed cpu_set_t is the empty set; the kernel only reads it.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The cores that this process may use.
pub fn usable_cores() -> Vec<usize> {
    // SAFETY: the kernel writes into a set of the size it is told.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set);
        (0..libc::CPU_SETSIZE as usize).filter(|&core| libc::CPU_ISSET(core, &set)).collect()
    }
}

/// The process's CPU clock: all threads, living and ended, to the nanosecond.
/// Threads of a server, by the files that tell how long they ran.
pub struct Helpers(Vec<File>);

impl Helpers {
    /// The processor time of all of them, as of when each last slept or the kernel's clock last ticked.
    pub fn cpu_ns(&self) -> u64 {
        let ran_ns = |file: &File| {
            let mut text = [0; 64];
            let len = file.read_at(&mut text, 0).ok()?;
            std::str::from_utf8(&text[..len]).ok()?.split_whitespace().next()?.parse::<u64>().ok()
        };
        self.0.iter().filter_map(ran_ns).sum()
    }
}

fn cpu_ns(pid: u32) -> u64 {
    // SAFETY: both calls write to variables of this frame.
    unsafe {
        let mut clock = 0;
        let mut time: libc::timespec = std::mem::zeroed();
        if libc::clock_getcpuclockid(pid as i32, &mut clock) != 0 || libc::clock_gettime(clock, &mut time) != 0 {
            return 0;
        }
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }
}

fn status_kib(pid: u32, field: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(field))?.split_whitespace().next()?.parse().ok()
}

pub fn info_field<'a>(info: &'a str, field: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).map(str::trim)
}

/// A blocking connection for questions and preparations; never measured.
pub struct Control {
    socket: TcpStream,
    scanner: Scanner,
    buffer: Vec<u8>,
}

/// Bytes of requests that are sent before their replies are read: little enough to fit the sockets' buffers both ways.
const PREPARATION_CHUNK_BYTES: usize = 128 * 1024;
const PREPARATION_CHUNK_REQUESTS: u64 = 2000;

impl Control {
    pub fn connect(port: u16) -> io::Result<Control> {
        let socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(120)))?;
        Ok(Control { socket, scanner: Scanner::default(), buffer: vec![0; 256 * 1024] })
    }

    /// One request of words; the reply as text, an error as `Err`.
    pub fn ask(&mut self, line: &str) -> io::Result<String> {
        let reply = self.ask_raw(line)?;
        let mut words = Vec::new();
        for element in resp::elements(&reply) {
            match element {
                Element::Line(b'-', text) => return Err(io::Error::other(String::from_utf8_lossy(text).into_owned())),
                Element::Line(_, text) | Element::Bulk(text) => words.push(String::from_utf8_lossy(text)),
                Element::Aggregate(_) | Element::Null => {}
            }
        }
        Ok(words.join(" "))
    }

    fn ask_raw(&mut self, line: &str) -> io::Result<Vec<u8>> {
        self.send(line)?;
        self.read_replies(1)
    }

    /// Sends without waiting for the reply, which `forget_reply` reads later.
    pub fn send(&mut self, line: &str) -> io::Result<()> {
        let words: Vec<&str> = line.split(' ').collect();
        let mut request = Vec::new();
        resp::write_request(&words, &mut request);
        self.socket.write_all(&request)
    }

    pub fn forget_reply(&mut self) -> io::Result<()> {
        self.read_replies(1).map(drop)
    }

    /// Sends a batch and waits for its replies.
    pub fn exchange(&mut self, batch: &mut Batch, numbers: &mut Numbers) -> io::Result<()> {
        self.send_filled(batch, 1, numbers)
    }

    fn fill(&mut self, fill: &Fill, keys: u64, value_bytes: usize, numbers: &mut Numbers) -> io::Result<()> {
        let value = vec![b'x'; value_bytes];
        let line = |items: u64| format!("{}{}", fill.head, format!(" {}", fill.item).repeat(items as usize));
        let mut full = Batch::default();
        full.push(&line(fill.per_request), &value, keys);
        self.send_filled(&mut full, fill.items / fill.per_request, numbers)?;
        let left = fill.items % fill.per_request;
        if left > 0 {
            let mut last = Batch::default();
            last.push(&line(left), &value, keys);
            self.send_filled(&mut last, 1, numbers)?;
        }
        Ok(())
    }

    fn send_filled(&mut self, batch: &mut Batch, times: u64, numbers: &mut Numbers) -> io::Result<()> {
        let mut chunk = Vec::new();
        let mut waiting = 0;
        for sent in 1..=times {
            chunk.extend_from_slice(batch.fill(numbers, 0));
            waiting += u64::from(batch.requests());
            // A reply larger than its request (XREADGROUP) must not fill the socket while we still write.
            if chunk.len() >= PREPARATION_CHUNK_BYTES || waiting >= PREPARATION_CHUNK_REQUESTS || sent == times {
                self.socket.write_all(&chunk)?;
                let replies = self.read_replies(waiting)?;
                if let Some(error) = first_error(&replies) {
                    return Err(io::Error::other(error));
                }
                chunk.clear();
                waiting = 0;
            }
        }
        Ok(())
    }

    fn read_replies(&mut self, count: u64) -> io::Result<Vec<u8>> {
        let mut replies = Vec::new();
        let mut missing = count;
        while missing > 0 {
            let read = self.socket.read(&mut self.buffer)?;
            if read == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
            }
            replies.extend_from_slice(&self.buffer[..read]);
            let counted = self.scanner.feed(&self.buffer[..read], |_, _| missing = missing.saturating_sub(1));
            counted.map_err(|_| io::Error::other("not a reply of RESP"))?;
        }
        Ok(replies)
    }
}

fn first_error(replies: &[u8]) -> Option<String> {
    resp::elements(replies).find_map(|element| match element {
        Element::Line(b'-', text) => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    })
}
