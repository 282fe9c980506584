//! Where clients come in: TCP addresses and a Unix socket.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::connection::Stream;
use super::wake::Bell;
use crate::config::Config;
use crate::server::session::Peer;

pub struct Listener {
    kind: Kind,
    /// Clients of this one speak TLS.
    tls: bool,
    waker: Waker,
}

enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// A client that has come in.
pub struct Accepted {
    pub stream: Stream,
    pub peer: Peer,
    /// The address is the machine itself, or a Unix socket.
    pub is_local: bool,
    pub tls: bool,
}

impl Listener {
    /// Listens on `host` ("*", "::*", an address or a name), with the first of a name's addresses that can be listened on.
    pub fn tcp(host: &str, port: u16, tls: bool, config: &Config, bell: Arc<Bell>) -> io::Result<Self> {
        let mut refusal = io::ErrorKind::AddrNotAvailable.into();
        for address in resolve(host, port)? {
            match listen_tcp(address, config) {
                Ok(listener) => return Ok(Self { kind: Kind::Tcp(listener), tls, waker: bell.into() }),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    pub fn unix(path: &Path, config: &Config, bell: Arc<Bell>) -> io::Result<Self> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&socket2::SockAddr::unix(path)?)?;
        if config.unixsocketperm != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(config.unixsocketperm))?;
        }
        if !config.unixsocketgroup.is_empty() {
            std::os::unix::fs::chown(path, None, Some(group_number(&config.unixsocketgroup)?))?;
        }
        socket.listen(config.tcp_backlog)?;
        let listener = UnixListener::from_std(socket.into())?;
        Ok(Self { kind: Kind::Unix(listener, path.to_owned()), tls: false, waker: bell.into() })
    }

    /// The address that is really listened on.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Tcp(listener) => listener.local_addr().ok(),
            Kind::Unix(..) => None,
        }
    }

    /// The next client, or `None` where nobody waits.
    pub fn accept(&mut self, keepalive_s: u64) -> io::Result<Option<Accepted>> {
        let mut context = Context::from_waker(&self.waker);
        match &self.kind {
            Kind::Tcp(listener) => match listener.poll_accept(&mut context) {
                Poll::Pending => Ok(None),
                Poll::Ready(Err(error)) => Err(error),
                Poll::Ready(Ok((stream, address))) => accepted_tcp(stream, address, self.tls, keepalive_s).map(Some),
            },
            Kind::Unix(listener, path) => match listener.poll_accept(&mut context) {
                Poll::Pending => Ok(None),
                Poll::Ready(Err(error)) => Err(error),
                Poll::Ready(Ok((stream, _))) => Ok(Some(accepted_unix(stream, path))),
            },
        }
    }

    /// As `accept`, without waiting for the loop to tell that somebody waits.
    pub fn accept_at_once(&self, keepalive_s: u64) -> io::Result<Option<Accepted>> {
        let accepted = match &self.kind {
            Kind::Tcp(listener) => SockRef::from(listener).accept(),
            Kind::Unix(listener, _) => SockRef::from(listener).accept(),
        };
        let socket = match accepted {
            Ok((socket, _)) => socket,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        socket.set_nonblocking(true)?;
        match &self.kind {
            Kind::Tcp(_) => {
                let stream = TcpStream::from_std(socket.into())?;
                let address = stream.peer_addr()?;
                accepted_tcp(stream, address, self.tls, keepalive_s).map(Some)
            }
            Kind::Unix(_, path) => Ok(Some(accepted_unix(UnixStream::from_std(socket.into())?, path))),
        }
    }
}

/// `address` is the other end.
pub fn accepted_tcp(stream: TcpStream, address: SocketAddr, tls: bool, keepalive_s: u64) -> io::Result<Accepted> {
    stream.set_nodelay(true)?;
    if keepalive_s > 0 {
        let probe = Duration::from_secs((keepalive_s / 3).max(1));
        let keepalive =
            TcpKeepalive::new().with_time(Duration::from_secs(keepalive_s)).with_interval(probe).with_retries(3);
        SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    }
    let local = stream.local_addr()?;
    let peer = Peer {
        address: shown(address),
        local_address: shown(local),
        descriptor: stream.as_raw_fd(),
        unix_socket: false,
    };
    let is_local = address.ip().to_canonical().is_loopback();
    Ok(Accepted { stream: Stream::Tcp(stream), peer, is_local, tls })
}

fn accepted_unix(stream: UnixStream, path: &Path) -> Accepted {
    let address = format!("{}:0", path.display());
    let peer =
        Peer { address: address.clone(), local_address: address, descriptor: stream.as_raw_fd(), unix_socket: true };
    Accepted { stream: Stream::Unix(stream), peer, is_local: true, tls: false }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Kind::Unix(_, path) = &self.kind {
            // The socket's file has no use without its listener; nothing depends on its removal.
            let _ = fs::remove_file(path);
        }
    }
}

fn listen_tcp(address: SocketAddr, config: &Config) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if config.socket_mark_id != 0 {
        socket.set_mark(config.socket_mark_id)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(config.tcp_backlog)?;
    TcpListener::from_std(socket.into())
}

fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    use std::net::ToSocketAddrs;
    match host {
        "*" => return Ok(vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)]),
        "::*" => return Ok(vec![SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)]),
        _ => {}
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    Ok((host, port).to_socket_addrs()?.collect())
}

fn group_number(name: &[u8]) -> io::Result<u32> {
    let unknown = || io::Error::new(io::ErrorKind::NotFound, "no such group");
    let name = std::ffi::CString::new(name).map_err(|_| unknown())?;
    // SAFETY: the name ends in NUL. The answer is in memory of the C library, read at once; only the thread of the start asks.
    let entry = unsafe { libc::getgrnam(name.as_ptr()).as_ref() };
    entry.map(|group| group.gr_gid).ok_or_else(unknown)
}

fn shown(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V6(ip) => format!("[{ip}]:{}", address.port()),
        IpAddr::V4(ip) => format!("{ip}:{}", address.port()),
    }
}
