//! All the places where clients come in, as `bind`, `port`, `tls-port` and `unixsocket` name them, opened together and opened anew together.
//!
//! One bell rings for all of them. What a single listener is, is in `listener`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;

use super::listener::{Accepted, Listener};
use super::tls_rules::{rules_to_primary, tls_rules};
use super::wake::Bell;
use crate::config::{Config, SetError};
use crate::util::io_error;

pub struct Listeners {
    tcp: Vec<Listener>,
    tls: Vec<Listener>,
    unix: Option<Listener>,
    /// The port in use: the system's choice where the configuration leaves it open.
    port: u16,
    /// What TLS clients meet; none where there is no port for them.
    rules: Option<Arc<ServerConfig>>,
    bell: Arc<Bell>,
}

impl Listeners {
    /// Opens what the configuration names. The error is a sentence for the log, and the end.
    pub fn open(config: &Config, bell: Arc<Bell>) -> io::Result<Self> {
        let (tcp, tls) = (Vec::new(), Vec::new());
        let mut listeners = Self { tcp, tls, unix: None, port: config.port, rules: None, bell };
        listeners
            .change_tls_rules(config)
            .map_err(|text| io::Error::other(format!("Failed to configure TLS: {text}")))?;
        if config.tls_port != 0 {
            listeners.open_tls(config).map_err(|Failed| {
                io::Error::other(format!("Failed listening on port {} (tls), aborting.", config.tls_port))
            })?;
        }
        if config.port != 0 || !config.port_file.is_empty() {
            listeners.open_tcp(config).map_err(|Failed| {
                io::Error::other(format!("Failed listening on port {} (tcp), aborting.", config.port))
            })?;
        }
        if let Some(path) = config.unixsocket.path_if_set() {
            let listener = Listener::unix(path, config, Arc::clone(&listeners.bell)).map_err(|error| {
                io::Error::other(format!("Failed opening Unix socket: {}", io_error::reason(&error)))
            })?;
            listeners.unix = Some(listener);
        }
        if listeners.tcp.is_empty() && listeners.tls.is_empty() && listeners.unix.is_none() {
            return Err(io::Error::other("Configured to not listen anywhere, exiting."));
        }
        Ok(listeners)
    }

    /// Goes to other addresses or to other ports; back to the old ones where that fails. The clients that are in stay.
    pub fn move_to(&mut self, old: &Config, new: &Config) -> Result<(), SetError> {
        let before = self.port;
        // The old ones must go first: `*` and an address of it cannot be listened on at the same time.
        self.tcp.clear();
        self.tls.clear();
        if new.port != old.port {
            self.port = new.port;
        }
        let result = self.open_all(new);
        if result.is_err() {
            self.port = before;
            if self.open_all(old).is_err() {
                tracing::warn!("Failed to listen again where it was before");
            }
        }
        self.bell.ring();
        result.map_err(|refused| match (new.port != old.port, new.tls_port != old.tls_port) {
            (true, _) if refused == Refused::Tcp => {
                SetError::refused(b"port", "Unable to listen on this port. Check server logs.")
            }
            (_, true) => SetError::refused(b"tls-port", "Unable to listen on this port. Check server logs."),
            _ => SetError::refused(b"bind", "Failed to bind to specified addresses."),
        })
    }

    fn open_all(&mut self, config: &Config) -> Result<(), Refused> {
        if self.port != 0 {
            self.open_tcp(config).map_err(|Failed| Refused::Tcp)?;
        }
        if config.tls_port != 0 {
            self.open_tls(config).map_err(|Failed| Refused::Tls)?;
        }
        Ok(())
    }

    /// Makes new rules for the TLS clients to come, where there is a port for them. The error is a sentence for the log.
    pub fn change_tls_rules(&mut self, config: &Config) -> Result<(), String> {
        if config.tls_replication {
            // Made when they are needed; here they are only tried.
            rules_to_primary(config)?;
        }
        self.rules = if config.tls_port == 0 { None } else { Some(tls_rules(config)?) };
        Ok(())
    }

    pub fn tls_rules(&self) -> Option<&Arc<ServerConfig>> {
        self.rules.as_ref()
    }

    fn open_tcp(&mut self, config: &Config) -> Result<(), Failed> {
        self.tcp.clear();
        (self.tcp, self.port) = self.open_at(self.port, false, config)?;
        Ok(())
    }

    fn open_tls(&mut self, config: &Config) -> Result<(), Failed> {
        self.tls.clear();
        (self.tls, _) = self.open_at(config.tls_port, true, config)?;
        Ok(())
    }

    /// Listens at all addresses; the port that came of it.
    fn open_at(&self, mut port: u16, tls: bool, config: &Config) -> Result<(Vec<Listener>, u16), Failed> {
        let mut opened = Vec::new();
        for address in &config.bind.0 {
            let host = address.host.as_str();
            match Listener::tcp(host, port, tls, config, Arc::clone(&self.bell)) {
                Ok(listener) => {
                    // Further addresses get the port that the system chose for the first.
                    port = listener.address().map_or(port, |address| address.port());
                    opened.push(listener);
                }
                Err(error) if is_not_known_here(&error) => {}
                Err(error) => {
                    let text = io_error::reason(&error);
                    tracing::warn!("Warning: Could not create server TCP listening socket {host}:{port}: bind: {text}");
                    if !(address.optional && error.kind() == io::ErrorKind::AddrNotAvailable) {
                        return Err(Failed);
                    }
                }
            }
        }
        Ok((opened, port))
    }

    /// The next client, or `None` where nobody waits: then the bell will ring. TLS clients only where `takes_tls`.
    pub fn accept(&mut self, keepalive_s: u64, takes_tls: bool) -> io::Result<Option<Accepted>> {
        let tls = self.tls.iter_mut().filter(|_| takes_tls);
        for listener in self.tcp.iter_mut().chain(&mut self.unix).chain(tls) {
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

    pub fn tls_addresses(&self) -> Vec<SocketAddr> {
        self.tls.iter().filter_map(Listener::address).collect()
    }

    pub fn port(&self) -> u16 {
        if self.tcp.is_empty() { 0 } else { self.port }
    }

    /// Lets nobody in any more.
    pub fn close(&mut self) {
        self.tcp.clear();
        self.tls.clear();
        if self.unix.take().is_some() {
            tracing::info!("Removing the unix socket file.");
        }
    }
}

/// An address that must be there cannot be listened on; the log says why.
struct Failed;

/// Which port could not be opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refused {
    Tcp,
    Tls,
}

/// The machine lacks the whole kind of address, such as IPv6.
fn is_not_known_here(error: &io::Error) -> bool {
    let codes =
        [libc::ENOPROTOOPT, libc::EPROTONOSUPPORT, libc::ESOCKTNOSUPPORT, libc::EPFNOSUPPORT, libc::EAFNOSUPPORT];
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}
