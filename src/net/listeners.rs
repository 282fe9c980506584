//! All the places where clients come in, as `bind`, `port` and `unixsocket` name them, opened together and opened anew together.
//!
//! One bell rings for all of them. What a single listener is, is in `listener`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::listener::{Accepted, Listener};
use super::wake::Bell;
use crate::config::{Config, SetError};
use crate::process::log_text;

pub struct Listeners {
    tcp: Vec<Listener>,
    unix: Option<Listener>,
    /// The port in use: the system's choice where the configuration leaves it open.
    port: u16,
    bell: Arc<Bell>,
}

impl Listeners {
    /// Opens what the configuration names. The error is a sentence for the log, and the end.
    pub fn open(config: &Config, bell: Arc<Bell>) -> io::Result<Self> {
        let mut listeners = Self { tcp: Vec::new(), unix: None, port: config.port, bell };
        if config.tls_port != 0 {
            return Err(io::Error::other(format!(
                "Failed listening on port {} (tls): this build has no TLS.",
                config.tls_port
            )));
        }
        if config.port != 0 || !config.port_file.is_empty() {
            listeners.open_tcp(config).map_err(|Failed| {
                io::Error::other(format!("Failed listening on port {} (tcp), aborting.", config.port))
            })?;
        }
        if let Some(path) = config.unixsocket.path_if_set() {
            let listener = Listener::unix(path, config, Arc::clone(&listeners.bell))
                .map_err(|error| io::Error::other(format!("Failed opening Unix socket: {}", log_text(&error))))?;
            listeners.unix = Some(listener);
        }
        if listeners.tcp.is_empty() && listeners.unix.is_none() {
            return Err(io::Error::other("Configured to not listen anywhere, exiting."));
        }
        Ok(listeners)
    }

    /// Goes to other addresses or to another port; back to the old ones where that fails. The clients that are in stay.
    pub fn move_to(&mut self, old: &Config, new: &Config) -> Result<(), SetError> {
        if new.tls_port != 0 {
            return Err(SetError::refused(b"tls-port", "this build has no TLS"));
        }
        let before = self.port;
        // The old ones must go first: `*` and an address of it cannot be listened on at the same time.
        self.tcp.clear();
        if new.port != old.port {
            self.port = new.port;
        }
        let result = if self.port == 0 { Ok(()) } else { self.open_tcp(new) };
        if result.is_err() {
            self.tcp.clear();
            self.port = before;
            if before != 0 && self.open_tcp(old).is_err() {
                tracing::warn!("Failed to listen again on port {before}");
            }
        }
        self.bell.ring();
        result.map_err(|Failed| match new.port != old.port {
            true => SetError::refused(b"port", "Unable to listen on this port. Check server logs."),
            false => SetError::refused(b"bind", "Failed to bind to specified addresses."),
        })
    }

    fn open_tcp(&mut self, config: &Config) -> Result<(), Failed> {
        for address in &config.bind.0 {
            let host = address.host.as_str();
            match Listener::tcp(host, self.port, config, Arc::clone(&self.bell)) {
                Ok(listener) => {
                    // Further addresses get the port that the system chose for the first.
                    self.port = listener.address().map_or(self.port, |address| address.port());
                    self.tcp.push(listener);
                }
                Err(error) if is_not_known_here(&error) => {}
                Err(error) => {
                    let (port, text) = (self.port, log_text(&error));
                    tracing::warn!("Warning: Could not create server TCP listening socket {host}:{port}: bind: {text}");
                    if !(address.optional && error.kind() == io::ErrorKind::AddrNotAvailable) {
                        return Err(Failed);
                    }
                }
            }
        }
        Ok(())
    }

    /// The next client, or `None` where nobody waits: then the bell will ring.
    pub fn accept(&mut self, keepalive_s: u64) -> io::Result<Option<Accepted>> {
        for listener in self.tcp.iter_mut().chain(&mut self.unix) {
            if let Some(accepted) = listener.accept(keepalive_s)? {
                return Ok(Some(accepted));
            }
        }
        Ok(None)
    }

    /// As `accept`, without waiting for the loop.
    pub fn accept_at_once(&self, keepalive_s: u64) -> io::Result<Option<Accepted>> {
        for listener in self.tcp.iter().chain(&self.unix) {
            if let Some(accepted) = listener.accept_at_once(keepalive_s)? {
                return Ok(Some(accepted));
            }
        }
        Ok(None)
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.tcp.iter().filter_map(Listener::address).collect()
    }

    pub fn port(&self) -> u16 {
        if self.tcp.is_empty() { 0 } else { self.port }
    }

    /// Lets nobody in any more.
    pub fn close(&mut self) {
        self.tcp.clear();
        if self.unix.take().is_some() {
            tracing::info!("Removing the unix socket file.");
        }
    }
}

/// An address that must be there cannot be listened on; the log says why.
struct Failed;

/// The machine lacks the whole kind of address, such as IPv6.
fn is_not_known_here(error: &io::Error) -> bool {
    let codes =
        [libc::ENOPROTOOPT, libc::EPROTONOSUPPORT, libc::ESOCKTNOSUPPORT, libc::EPFNOSUPPORT, libc::EAFNOSUPPORT];
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}
