//! One client's socket: reads into the shared buffer, keeps what could not be run yet, writes what the session has to say.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::tls::{Socket, Tls};
use super::wake::Bell;
use crate::resp::reply::Output;
use crate::server::SessionId;

pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

pub struct Connection {
    pub stream: Stream,
    pub session: SessionId,
    /// Stands between the socket and everything else where the client came in by TLS.
    pub tls: Option<Box<Tls>>,
    waker: Waker,
    /// Input that is not a complete command yet, or may not run yet.
    pub input: Vec<u8>,
    /// The other side has sent its last byte.
    pub ended: bool,
    /// The input that is kept may be run on without waiting for more: only the turn was over, or the command was noted for fetching ahead.
    pub may_go_on: bool,
    pub in_write_list: bool,
    /// Read and write without waiting for the loop to tell what is ready: a script keeps the loop.
    pub at_once: bool,
    /// The socket is to be looked at once the session's replies have left.
    pub look_later: bool,
}

impl Stream {
    fn socket(&self) -> SockRef<'_> {
        match self {
            Stream::Tcp(stream) => SockRef::from(stream),
            Stream::Unix(stream) => SockRef::from(stream),
        }
    }
}

/// What a read found.
pub enum Read {
    Bytes(usize),
    /// Nothing now; the waker will ring.
    Pending,
    Ended,
}

/// A reader that keeps up with us gets this much at one go, or a little more, before others have their turn.
pub const WRITE_TURN_MAX: usize = 4 * 1024 * 1024;
/// So much room is made for a command as soon as it is announced.
const AT_ONCE_MAX: usize = 4 * 1024 * 1024;
/// `writev` takes this many pieces at most in one call.
const PIECES_MAX: usize = 64;

impl Connection {
    /// The kernel may let a small packet wait until more is there to go with it. Best effort.
    pub fn delay_small_packets(&self) {
        if let Stream::Tcp(stream) = &self.stream {
            let _ = stream.set_nodelay(false);
        }
    }

    pub fn new(stream: Stream, tls: Option<Box<Tls>>, session: SessionId, bell: Arc<Bell>) -> Self {
        Self {
            stream,
            session,
            tls,
            waker: bell.into(),
            input: Vec::new(),
            ended: false,
            may_go_on: false,
            in_write_list: false,
            at_once: false,
            look_later: false,
        }
    }

    /// Reads into `buffer` what is there, up to its length. A short read means that there is no more for now.
    pub fn read(&mut self, buffer: &mut [u8]) -> Read {
        if let Some((tls, mut socket)) = self.tls_and_socket() {
            return match tls.poll_read(&mut socket, buffer) {
                Poll::Ready(Ok(0)) => Read::Ended,
                Poll::Ready(Ok(count)) => Read::Bytes(count),
                Poll::Ready(Err(error)) => {
                    if tls.is_to_primary() {
                        tracing::warn!("Error in the TLS connection to MASTER: {error}");
                    } else {
                        tracing::debug!("Error in a TLS connection: {error}");
                    }
                    Read::Ended
                }
                Poll::Pending => Read::Pending,
            };
        }
        if self.at_once {
            return match (&*self.stream.socket()).read(buffer) {
                Ok(0) => Read::Ended,
                Ok(count) => Read::Bytes(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Read::Pending,
                Err(_) => Read::Ended,
            };
        }
        let mut context = Context::from_waker(&self.waker);
        let mut buffer = ReadBuf::new(buffer);
        let polled = match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(&mut context, &mut buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(&mut context, &mut buffer),
        };
        match polled {
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => Read::Bytes(buffer.filled().len()),
            Poll::Ready(_) => Read::Ended,
            Poll::Pending => Read::Pending,
        }
    }

    /// Reads up to `room` bytes behind the input that is kept already, of which there will be `expected` bytes, as far as anybody knows: the
    /// buffer grows towards that, and not beyond.
    pub fn read_behind(&mut self, room: usize, expected: usize) -> Read {
        let kept = self.input.len();
        let mut input = std::mem::take(&mut self.input);
        if input.capacity() < kept + room {
            // What is announced as very long has to come before room is made for all of it.
            let announced = if expected <= AT_ONCE_MAX { expected } else { expected.min(2 * kept) };
            let wanted = announced.max(kept + room);
            input.reserve_exact(wanted - kept);
        }
        input.resize(kept + room, 0);
        let read = self.read(&mut input[kept..]);
        input.truncate(kept + if let Read::Bytes(count) = read { count } else { 0 });
        self.input = input;
        read
    }

    /// Drops input that has been run.
    pub fn forget_input(&mut self, count: usize) {
        const SPARE_MAX: usize = 64 * 1024;
        self.input.drain(..count);
        if self.input.is_empty() {
            self.input = Vec::new();
        } else if self.input.capacity() > SPARE_MAX && self.input.len() < self.input.capacity() / 4 {
            self.input.shrink_to(self.input.len() * 2);
        }
    }

    /// Bytes of TLS wait for the socket, beside those of the session.
    #[inline]
    pub fn has_unsent(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.has_unsent())
    }

    pub fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// The last word before the socket is closed.
    pub fn say_goodbye(&mut self) {
        if let Some((tls, mut socket)) = self.tls_and_socket() {
            tls.say_goodbye(&mut socket);
        }
    }

    /// Writes as much of `output` as the socket takes and as a turn allows. The bytes written; an error ends the connection.
    pub fn write(&mut self, output: &mut Output) -> io::Result<usize> {
        let mut written = 0;
        if self.has_unsent() && self.poll_unsent()?.is_pending() {
            return Ok(0);
        }
        while !output.is_empty() && written < WRITE_TURN_MAX {
            let polled = match output.plain() {
                Some(bytes) => self.poll_write(bytes),
                None => self.poll_write_pieces(output),
            };
            match polled {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    written += count;
                    output.advance(count);
                }
                Poll::Ready(Err(error)) => return Err(error),
                // The socket is full: its waker will ring.
                Poll::Pending => break,
            }
        }
        Ok(written)
    }

    fn poll_unsent(&mut self) -> io::Result<Poll<()>> {
        let Some((tls, mut socket)) = self.tls_and_socket() else { return Ok(Poll::Ready(())) };
        match tls.poll_flush(&mut socket) {
            Poll::Ready(result) => result.map(Poll::Ready),
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    /// Where the client came in by TLS: what stands before the socket, and the socket behind it.
    #[inline]
    fn tls_and_socket(&mut self) -> Option<(&mut Tls, Socket<'_>)> {
        match (&mut self.tls, &mut self.stream) {
            (Some(tls), Stream::Tcp(stream)) => {
                Some((tls, Socket { stream, waker: &self.waker, at_once: self.at_once }))
            }
            _ => None,
        }
    }

    fn poll_write(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some((tls, mut socket)) = self.tls_and_socket() {
            return tls.poll_write(&mut socket, bytes);
        }
        if self.at_once {
            return at_once((&*self.stream.socket()).write(bytes));
        }
        let mut context = Context::from_waker(&self.waker);
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(&mut context, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(&mut context, bytes),
        }
    }

    fn poll_write_pieces(&mut self, output: &Output) -> Poll<io::Result<usize>> {
        if self.tls.is_some() {
            // Encrypting copies anyway: one piece at a time.
            let pieces = output.pieces(2);
            return self.poll_write(pieces.first().copied().unwrap_or_default());
        }
        let pieces: Vec<IoSlice> = output.pieces(PIECES_MAX).into_iter().map(IoSlice::new).collect();
        if self.at_once {
            return at_once((&*self.stream.socket()).write_vectored(&pieces));
        }
        let mut context = Context::from_waker(&self.waker);
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(&mut context, &pieces),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(&mut context, &pieces),
        }
    }
}

fn at_once(written: io::Result<usize>) -> Poll<io::Result<usize>> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        written => Poll::Ready(written),
    }
}
