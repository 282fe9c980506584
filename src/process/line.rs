//! A connection that the server opens: a plain socket, used step by step with a limit on each.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::server::lines::Line;

/// A reply's line is short; whatever is longer does not come from a server of this kind.
const LINE_BYTES_MAX: usize = 64 * 1024;

struct SocketLine {
    socket: TcpStream,
    /// Read, and not yet asked for.
    ahead: Vec<u8>,
}

/// Connects. A name that is not known and a silence that outlasts the limit are `TimedOut`; other errors say what they are.
pub fn dial(host: &str, port: u16, limit_ms: u64) -> io::Result<Box<dyn Line>> {
    let unknown = |error: io::Error| io::Error::new(io::ErrorKind::TimedOut, error);
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    for address in (host, port).to_socket_addrs().map_err(unknown)? {
        match TcpStream::connect_timeout(&address, Duration::from_millis(limit_ms)) {
            Ok(socket) => {
                socket.set_nodelay(true)?;
                return Ok(Box::new(SocketLine { socket, ahead: Vec::new() }));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Line for SocketLine {
    fn write(&mut self, bytes: &[u8], limit_ms: u64) -> io::Result<()> {
        const PIECE_BYTES: usize = 64 * 1024;
        self.socket.set_write_timeout(Some(Duration::from_millis(limit_ms)))?;
        bytes.chunks(PIECE_BYTES).try_for_each(|piece| self.socket.write_all(piece).map_err(as_timeout))
    }

    fn read_line(&mut self, limit_ms: u64) -> io::Result<Vec<u8>> {
        let end = Instant::now() + Duration::from_millis(limit_ms);
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.ahead) {
                let mut line: Vec<u8> = self.ahead.drain(..=at).collect();
                line.truncate(line.len() - 1);
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            if self.ahead.len() > LINE_BYTES_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let left = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
            self.socket.set_read_timeout(Some(left.ok_or(io::ErrorKind::TimedOut)?))?;
            let mut piece = [0; 4096];
            match self.socket.read(&mut piece).map_err(as_timeout)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.ahead.extend_from_slice(&piece[..count]),
            }
        }
    }
}

/// A socket with a limit says that it would block when the limit is over.
fn as_timeout(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}
