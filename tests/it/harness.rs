//! Starts the real binary in a folder of its own, talks to it over sockets, and ends it with the test.
//!
//! A `Running` server listens on a port that the system chose and wrote to the port file. A `Client` sends bytes as they are given and
//! reads replies with a decoder that is not ours.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;

/// Long enough for the slowest machine; nothing waits for it unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder that goes with the value.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("runnel-it-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The same, as an option's value.
    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder left behind harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The program with arguments, in `folder`, not yet started.
pub fn program(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runnel-server"));
    command.args(arguments).current_dir(&folder.0).stdin(Stdio::null());
    command.env_remove("NOTIFY_SOCKET").env_remove("UPSTART_JOB");
    command
}

/// Runs the program to its end.
pub fn run(folder: &Folder, arguments: &[&str]) -> Output {
    program(folder, arguments).output().expect("the program runs")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A server that runs until the test ends.
pub struct Running {
    child: Child,
    pub port: u16,
    pub folder: Folder,
}

/// Starts a server with options such as `["--maxclients", "5"]`, and waits until it listens.
pub fn start(options: &[&str]) -> Running {
    start_in(Folder::new(), options, |_| {})
}

pub fn start_in(folder: Folder, options: &[&str], prepare: impl FnOnce(&mut Command)) -> Running {
    let mut command = program(&folder, options);
    command.args(["--port", "0", "--port-file", &folder.text("port")]);
    let log = fs::File::create(folder.path("log")).expect("a log file");
    command.stdout(log.try_clone().expect("a second handle")).stderr(log);
    prepare(&mut command);
    let child = command.spawn().expect("the program starts");
    let mut running = Running { child, port: 0, folder };
    running.port = running.wait_for_port();
    running
}

impl Running {
    /// Its descriptors: sockets, files and what else it holds.
    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("a /proc file system").count()
    }

    fn wait_for_port(&mut self) -> u16 {
        let path = self.folder.path("port");
        wait_for("the port file", || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the server ended at its start, {status}:\n{}", self.log());
            }
            fs::read_to_string(&path).ok()?.trim().parse().ok()
        })
    }

    /// Everything logged so far.
    pub fn log(&self) -> String {
        fs::read(self.folder.path("log")).map(|bytes| text(&bytes)).unwrap_or_default()
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id")
    }

    pub fn connect(&self) -> Client {
        self.connect_at(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    pub fn connect_at(&self, host: IpAddr) -> Client {
        Client::over(TcpStream::connect(SocketAddr::new(host, self.port)).expect("the server accepts"))
    }

    /// A client that waits no longer than `time` for a reply.
    pub fn connect_briefly(&self, time: Duration) -> Client {
        let client = self.connect();
        client.link.patience(time).expect("a read time-out");
        client
    }

    pub fn signal(&self, signal: i32) {
        send_signal(self.pid(), signal);
    }

    /// Waits for the end that something else has brought about.
    pub fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        wait_for("the end of the server", || child.try_wait().expect("a child to wait for"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn send_signal(pid: i32, signal: i32) {
    // SAFETY: takes two numbers; the process is one that a test started.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "signal {signal} to {pid}");
}

/// Has a limit of open files set in the program before it starts.
pub fn limit_files(command: &mut Command, files: u64) {
    // SAFETY: setrlimit may be called between fork and exec; the limit is on the stack.
    unsafe {
        command.pre_exec(move || {
            let limit = libc::rlimit { rlim_cur: files, rlim_max: files };
            match libc::setrlimit(libc::RLIMIT_NOFILE, &limit) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        });
    }
}

/// Asks until there is an answer.
#[track_caller]
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begin.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What a client does over: TCP or a Unix socket.
pub trait Link: Read + Write + Send {
    fn end_of_sending(&self) -> io::Result<()>;
    fn patience(&self, time: Duration) -> io::Result<()>;
}

impl Link for TcpStream {
    fn end_of_sending(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
    fn patience(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))
    }
}

impl Link for std::os::unix::net::UnixStream {
    fn end_of_sending(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
    fn patience(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))
    }
}

pub struct Client {
    link: Box<dyn Link>,
    received: Vec<u8>,
}

impl Client {
    pub fn over(link: impl Link + 'static) -> Self {
        link.patience(PATIENCE).expect("a read time-out");
        Self { link: Box::new(link), received: Vec::new() }
    }

    pub fn unix(path: &Path) -> Self {
        Self::over(std::os::unix::net::UnixStream::connect(path).expect("the server accepts"))
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.link.write_all(bytes).expect("the server reads");
    }

    /// Sends what the server may no longer want to read.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.link.write_all(bytes)
    }

    pub fn end_of_sending(&self) {
        self.link.end_of_sending().expect("a connection to half close");
    }

    /// One command and its reply as text: simple strings and bulk strings as they are, errors with `-`, integers with `:`.
    pub fn command(&mut self, words: &[&str]) -> String {
        self.send(&request(words));
        self.reply()
    }

    /// What INFO tells in this field.
    #[track_caller]
    pub fn info(&mut self, field: &str) -> String {
        let text = self.command(&["INFO"]);
        let value = text.lines().find_map(|line| line.trim().strip_prefix(field)?.strip_prefix(':'));
        value.unwrap_or_else(|| panic!("no {field} in {text}")).to_owned()
    }

    /// The next reply, as `command` shows it.
    #[track_caller]
    pub fn reply(&mut self) -> String {
        loop {
            if let Some((frame, used)) = decode(&self.received).expect("the server speaks RESP") {
                self.received.drain(..used);
                return shown(&frame);
            }
            assert!(self.receive(), "the connection ended in a reply: {:?}", text(&self.received));
        }
    }

    /// Exactly so many bytes.
    pub fn read_exact(&mut self, count: usize) -> Vec<u8> {
        while self.received.len() < count {
            assert!(self.receive(), "the connection ended after {} of {count} bytes", self.received.len());
        }
        self.received.drain(..count).collect()
    }

    /// All bytes until the server ends the connection. A reset counts as an end.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        while self.receive() {}
        std::mem::take(&mut self.received)
    }

    /// Whether nothing comes in answer for as long as the client waits.
    pub fn is_silent_after(&mut self, bytes: &[u8]) -> bool {
        self.send(bytes);
        let answer = self.link.read(&mut [0; 64]);
        answer.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// What comes next, or nothing where the connection has ended.
    pub fn read_some(&mut self) -> Vec<u8> {
        self.receive();
        std::mem::take(&mut self.received)
    }

    /// False where there is nothing more to come.
    fn receive(&mut self) -> bool {
        let mut buffer = [0; 64 * 1024];
        match self.link.read(&mut buffer) {
            Ok(count) => {
                self.received.extend_from_slice(&buffer[..count]);
                count > 0
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
            Err(error) => panic!("waited in vain for the server: {error}"),
        }
    }
}

/// A command as clients send it.
pub fn request(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

fn shown(frame: &OwnedFrame) -> String {
    match frame {
        OwnedFrame::SimpleString(bytes) | OwnedFrame::BulkString(bytes) => text(bytes),
        OwnedFrame::Error(error) => format!("-{error}"),
        OwnedFrame::Integer(number) => format!(":{number}"),
        OwnedFrame::Null => "(nil)".into(),
        OwnedFrame::Array(frames) => format!("[{}]", frames.iter().map(shown).collect::<Vec<_>>().join(" ")),
    }
}
