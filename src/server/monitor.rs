//! MONITOR: shows every command to the sessions that asked to see them.
//!
//! Commands are shown once they have run, so that what EXEC and scripts run stands before EXEC itself, and SELECT under the database it
//! chose. Commands that only administrators may run are not shown, nor are arguments that are secrets.

use super::Server;
use super::dispatch::Caller;
use super::session::SessionId;
use crate::cmd::command::Flag;
use crate::cmd::table::Entry;
use crate::resp::reply::Reply;
use crate::resp::request::Request;
use crate::util::args::quote;

impl Server {
    /// Shows a command to all monitors: one that has just run, or a script before what it runs.
    #[cold]
    pub(super) fn feed_monitors(
        &mut self,
        caller: Caller,
        id: SessionId,
        entry: &Entry,
        request: Request,
        mut reply: Option<&mut Reply>,
    ) {
        // A client that waited had its command shown when it began to wait.
        let shown_before = matches!(caller, Caller::Resumed | Caller::Replay);
        if shown_before || entry.has(Flag::Admin) {
            return;
        }
        let session = self.sessions.get(id);
        let source = match caller {
            Caller::Script => "lua".to_owned(),
            _ if session.peer.unix_socket => format!("unix:{}", session.peer.local_address),
            _ => session.peer.address.clone(),
        };
        let (seconds, micros) = (self.clock.unix_us / 1_000_000, self.clock.unix_us % 1_000_000);
        let mut line = format!("{seconds}.{micros:06} [{} {source}]", session.db).into_bytes();
        for index in 0..request.len() {
            line.push(b' ');
            quote(entry.shown_arg(request, index), &mut line);
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        for monitor in self.monitors.clone() {
            if monitor == id
                && !self.is_inside_a_command()
                && let Some(reply) = &mut reply
            {
                // What a monitor runs itself is shown behind the reply to it.
                reply.simple(&line);
                continue;
            }
            let session = self.sessions.get_mut(monitor);
            let protocol = session.protocol;
            Reply::new(&mut session.output, protocol).simple(&line);
            self.flush_later(monitor);
            self.limit_output(monitor);
        }
    }
}
