//! SIGTERM and SIGINT, as the loop hears of them.

use std::io;
use std::task::Context;

use tokio::signal::unix::{Signal, SignalKind, signal};

pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// A signal that asks for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Terminate,
    Interrupt,
}

impl Signals {
    pub fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub fn poll(&mut self, context: &mut Context) -> Option<Asked> {
        if self.terminate.poll_recv(context).is_ready() {
            return Some(Asked::Terminate);
        }
        self.interrupt.poll_recv(context).is_ready().then_some(Asked::Interrupt)
    }
}

impl Asked {
    pub fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }
}
