//! MONITOR: shows every command to the sessions that asked to see them.

use super::Server;
use super::session::SessionId;
use crate::resp::reply::Reply;
use crate::resp::request::Request;
use crate::util::args::quote;

impl Server {
    /// Shows a command that is about to run to all monitors.
    #[cold]
    pub fn feed_monitors(&mut self, id: SessionId, request: Request) {
        let session = self.sessions.get(id);
        let address = if session.peer.unix_socket {
            format!("unix:{}", session.peer.local_address)
        } else {
            session.peer.address.clone()
        };
        let (seconds, micros) = (self.clock.unix_us / 1_000_000, self.clock.unix_us % 1_000_000);
        let mut line = format!("{seconds}.{micros:06} [{} {address}]", session.db).into_bytes();
        for arg in request.iter() {
            line.push(b' ');
            quote(arg, &mut line);
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        for monitor in self.monitors.clone() {
            let session = self.sessions.get_mut(monitor);
            let protocol = session.protocol;
            Reply::new(&mut session.output, protocol).simple(&line);
            self.flush_later(monitor);
            self.limit_output(monitor);
        }
    }
}
