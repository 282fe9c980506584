//! TLS beside a connection's socket: ciphertext in, plain bytes out, and the other way round.
//!
//! The library does no I/O of its own, so this stands between `Connection` and its socket and nobody else knows of it. What the
//! certificates and rules are is in `tls_rules`.
//!
//! ```text
//!   socket ──► unfed ──► rustls ──► input          plain bytes wait in rustls while there is no room for them
//!   socket ◄─────────── rustls ◄── output          so much ciphertext waits at most as rustls buffers (64 KiB)
//! ```

use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// One record of TLS, and a little more.
const CIPHER_BYTES: usize = 16 * 1024 + 512;

pub struct Tls {
    state: Connection,
    /// Ciphertext that was read but not taken, as there was no room for what it says.
    unfed: Vec<u8>,
}

impl Tls {
    /// For somebody who came in.
    pub fn of_client(rules: &Arc<ServerConfig>) -> Result<Box<Self>, rustls::Error> {
        let state = ServerConnection::new(Arc::clone(rules))?.into();
        Ok(Box::new(Self { state, unfed: Vec::new() }))
    }

    /// For the connection to a primary at that address, which is not told by what name it was found.
    pub fn of_primary(rules: Arc<ClientConfig>, address: IpAddr) -> Result<Box<Self>, rustls::Error> {
        let state = ClientConnection::new(rules, ServerName::IpAddress(address.into()))?.into();
        Ok(Box::new(Self { state, unfed: Vec::new() }))
    }

    /// This server began it, and somebody wants to know why it fails.
    pub fn is_to_primary(&self) -> bool {
        matches!(self.state, Connection::Client(_))
    }

    pub fn is_handshaking(&self) -> bool {
        self.state.is_handshaking()
    }

    /// Ciphertext waits for the socket.
    pub fn has_unsent(&self) -> bool {
        self.state.wants_write()
    }

    /// Plain bytes that are there: `Ok(0)` is the end. An error is one of the protocol or of the socket; either is the end too.
    pub fn poll_read(&mut self, socket: &mut Socket, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.state.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
            if !self.unfed.is_empty() {
                let unfed = std::mem::take(&mut self.unfed);
                self.feed(&unfed)?;
                continue;
            }
            let mut space = [const { MaybeUninit::uninit() }; CIPHER_BYTES];
            let mut cipher = ReadBuf::uninit(&mut space);
            match socket.poll_read(&mut cipher) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) if cipher.filled().is_empty() => return Poll::Ready(Ok(0)),
                Poll::Ready(Ok(())) => self.feed(cipher.filled())?,
            }
        }
    }

    /// Gives ciphertext to the library until it holds plain bytes that must be taken first.
    fn feed(&mut self, mut cipher: &[u8]) -> io::Result<()> {
        while !cipher.is_empty() {
            // What is complete is decrypted at once, so the library's buffer has always room for some.
            if self.state.read_tls(&mut cipher)? == 0 {
                return Err(ErrorKind::InvalidData.into());
            }
            let state =
                self.state.process_new_packets().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            if state.plaintext_bytes_to_read() > 0 {
                self.unfed = cipher.to_vec();
                return Ok(());
            }
        }
        Ok(())
    }

    /// Encrypts and sends as much of `bytes` as finds room.
    pub fn poll_write(&mut self, socket: &mut Socket, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // There is no room while the socket is full, and until the handshake is over.
        let mut taken = self.state.writer().write(bytes)?;
        // What the socket does not take now waits here.
        let flushed = self.poll_flush(socket)?;
        if taken == 0 && flushed.is_ready() {
            taken = self.state.writer().write(bytes)?;
        }
        if taken == 0 { Poll::Pending } else { Poll::Ready(Ok(taken)) }
    }

    /// Sends ciphertext that waits.
    pub fn poll_flush(&mut self, socket: &mut Socket) -> Poll<io::Result<()>> {
        while self.state.wants_write() {
            match self.state.write_tls(socket) {
                Ok(0) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Says goodbye, so that the other side can tell an end from a cut. Best effort.
    pub fn say_goodbye(&mut self, socket: &mut Socket) {
        self.state.send_close_notify();
        let _ = self.poll_flush(socket);
    }
}

/// The socket as the library wants it: a call that would wait is an error.
pub struct Socket<'a> {
    pub stream: &'a mut TcpStream,
    pub waker: &'a Waker,
    /// See `Connection::at_once`.
    pub at_once: bool,
}

impl Socket<'_> {
    fn poll_read(&mut self, buffer: &mut ReadBuf) -> Poll<io::Result<()>> {
        if !self.at_once {
            return Pin::new(&mut *self.stream).poll_read(&mut Context::from_waker(self.waker), buffer);
        }
        match (&*SockRef::from(&*self.stream)).read(buffer.initialize_unfilled()) {
            Ok(count) => {
                buffer.advance(count);
                Poll::Ready(Ok(()))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.at_once {
            return (&*SockRef::from(&*self.stream)).write(bytes);
        }
        match Pin::new(&mut *self.stream).poll_write(&mut Context::from_waker(self.waker), bytes) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice]) -> io::Result<usize> {
        if self.at_once {
            return (&*SockRef::from(&*self.stream)).write_vectored(pieces);
        }
        match Pin::new(&mut *self.stream).poll_write_vectored(&mut Context::from_waker(self.waker), pieces) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
