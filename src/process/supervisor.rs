//! Telling systemd or upstart how the start went.
//!
//! systemd listens on the Unix datagram socket that NOTIFY_SOCKET names; upstart waits for the process to stop itself once.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::config::Supervised;

/// Who is waiting for news of this process.
#[derive(Clone)]
pub enum Supervisor {
    Nobody,
    Upstart,
    Systemd(OsString),
    /// The configuration names one that is not there.
    Missing(&'static str),
}

impl Supervisor {
    /// Finds the supervisor that the configuration speaks of.
    pub fn find(supervised: Supervised) -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let upstart = || variable("UPSTART_JOB").map(|_| Self::Upstart);
        let systemd = || variable("NOTIFY_SOCKET").map(Self::Systemd);
        match supervised {
            Supervised::No => Self::Nobody,
            Supervised::Auto => upstart().or_else(systemd).unwrap_or(Self::Nobody),
            Supervised::Upstart => {
                upstart().unwrap_or(Self::Missing("upstart supervision requested, but UPSTART_JOB not found!"))
            }
            Supervised::Systemd => {
                systemd().unwrap_or(Self::Missing("systemd supervision requested, but NOTIFY_SOCKET not found!"))
            }
        }
    }

    /// Whether somebody watches over this process, who would lose sight of it in the background.
    pub fn is_there(&self) -> bool {
        matches!(self, Self::Upstart | Self::Systemd(_))
    }

    /// Says in the log who it is. Upstart is told at once: it knows no more than "started".
    pub fn greet(&self) {
        match self {
            Self::Nobody => {}
            Self::Missing(complaint) => tracing::warn!("{complaint}"),
            Self::Upstart => {
                tracing::info!("supervised by upstart, will stop to signal readiness");
                // SAFETY: raising a signal for oneself; upstart has the process go on.
                unsafe { libc::raise(libc::SIGSTOP) };
            }
            Self::Systemd(_) => tracing::info!(
                "Supervised by systemd. Please make sure you set appropriate values for TimeoutStartSec and \
                 TimeoutStopSec in your service unit."
            ),
        }
    }

    pub fn ready(&self) {
        self.tell("STATUS=Ready to accept connections\nREADY=1\n");
    }

    pub fn stopping(&self) {
        self.tell("STATUS=Shutting down\nSTOPPING=1\n");
    }

    fn tell(&self, news: &str) {
        if let Self::Systemd(socket) = self
            && let Err(error) = send(socket, news)
        {
            tracing::warn!("Could not tell systemd: {error}");
        }
    }
}

fn send(socket: &OsString, news: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        // A name in the abstract space rather than a file.
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(news.as_bytes(), &address)?;
    Ok(())
}
