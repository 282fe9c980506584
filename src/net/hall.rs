//! Everybody who is in: the connections by number and by session, and those with something to say.
//!
//! The loop owns it. While a command runs it is lent to the `Host`, so that a script that takes long can have the others attended to; the
//! connection whose command runs is not in it then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slab::Slab;

use super::connection::{Connection, Read, Stream};
use super::listener::Accepted;
use super::tls::Tls;
use super::wake::{Bell, ReadyList};
use super::{READ_TURN_MAX, read_and_run, run_kept};
use crate::server::{Closing, Server, SessionId};

pub struct Hall {
    /// `None` where the connection's command runs.
    connections: Slab<Option<Box<Connection>>>,
    /// Session index to connection number.
    by_session: Vec<usize>,
    ready_list: Arc<ReadyList>,
    /// Connections whose session has something to say.
    pub to_write: Vec<usize>,
}

/// Where the hall lies while it is lent.
pub type Lent = Arc<Mutex<Option<Hall>>>;

pub fn lent(slot: &Lent) -> MutexGuard<'_, Option<Hall>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hall {
    pub fn new(ready_list: &Arc<ReadyList>) -> Self {
        Self {
            connections: Slab::new(),
            by_session: Vec::new(),
            ready_list: Arc::clone(ready_list),
            to_write: Vec::new(),
        }
    }

    #[inline]
    pub fn get_mut(&mut self, number: usize) -> Option<&mut Connection> {
        self.connections.get_mut(number)?.as_deref_mut()
    }

    /// Takes a connection out, whose number stays its own.
    #[inline]
    pub fn take(&mut self, number: usize) -> Option<Box<Connection>> {
        self.connections.get_mut(number)?.take()
    }

    #[inline]
    pub fn put_back(&mut self, number: usize, connection: Box<Connection>) {
        if let Some(slot) = self.connections.get_mut(number) {
            *slot = Some(connection);
        }
    }

    pub fn number_of(&self, id: SessionId) -> usize {
        self.by_session.get(id.index()).copied().unwrap_or(usize::MAX)
    }

    /// Forgets the connection of a session.
    pub fn remove(&mut self, id: SessionId) {
        let number = std::mem::replace(&mut self.by_session[id.index()], usize::MAX);
        if let Some(Some(mut connection)) = self.connections.try_remove(number) {
            connection.say_goodbye();
        }
    }

    /// Gives somebody a session and a number, or a refusal and soon the door.
    pub fn welcome(&mut self, server: &mut Server, accepted: Accepted, tls: Option<Box<Tls>>) -> usize {
        let Accepted { stream, peer, is_local, .. } = accepted;
        tracing::debug!("Accepted {}", peer.address);
        let refusal = refusal(server, is_local);
        let session = server.connect(peer);
        let number = self.put(stream, tls, session);
        if let Some(text) = refusal {
            server.stats.rejected_connections += 1;
            server.sessions.get_mut(session).output.push(text.as_bytes());
            server.close(session, Closing::AfterOutput);
        }
        number
    }

    /// Gives a session its connection and a number.
    pub fn put(&mut self, stream: Stream, tls: Option<Box<Tls>>, session: SessionId) -> usize {
        let entry = self.connections.vacant_entry();
        let number = entry.key();
        let bell = Bell::new(number, &self.ready_list);
        entry.insert(Some(Box::new(Connection::new(stream, tls, session, bell))));
        if self.by_session.len() <= session.index() {
            self.by_session.resize(session.index() + 1, usize::MAX);
        }
        self.by_session[session.index()] = number;
        number
    }

    pub fn write_later(&mut self, server: &Server, number: usize) {
        let Some(connection) = self.get_mut(number) else { return };
        let has_output = !server.sessions.get(connection.session).output.is_empty() || connection.has_unsent();
        if has_output && !std::mem::replace(&mut connection.in_write_list, true) {
            self.to_write.push(number);
        }
    }

    /// Runs what everybody has sent and writes what there is to say, without the loop. O(connections).
    pub fn attend(&mut self, server: &mut Server) {
        let mut buffer = vec![0; 16 * 1024];
        let numbers: Vec<usize> = self.connections.iter().map(|(number, _)| number).collect();
        for number in numbers {
            let Some(mut connection) = self.take(number) else { continue };
            let id = connection.session;
            connection.at_once = true;
            serve_at_once(&mut connection, server, &mut buffer);
            connection.at_once = false;
            let (ended, may_go_on) = (connection.ended, connection.may_go_on);
            self.put_back(number, connection);
            self.write_later(server, number);
            if ended && server.sessions.get(id).is_replica() {
                // A script may be waiting for that.
                server.close(id, Closing::AtOnce);
            }
            if ended || may_go_on {
                // The loop is to close it, or to run what it has to say beyond its turn.
                self.ring(number);
            }
        }
    }

    /// The loop is to look at a connection.
    pub fn ring(&self, number: usize) {
        Bell::new(number, &self.ready_list).ring();
    }
}

fn serve_at_once(connection: &mut Connection, server: &mut Server, buffer: &mut [u8]) {
    let id = connection.session;
    if !server.durability.may_leave(server.sessions.get(id).gate) {
        // It has replies that the log comes before.
        return;
    }
    if std::mem::take(&mut connection.may_go_on) {
        run_kept(connection, server);
    }
    let mut read_in_turn = 0;
    while !connection.ended
        && !connection.may_go_on
        && !server.sessions.get(id).is_held()
        && read_in_turn < READ_TURN_MAX
    {
        match read_and_run(connection, server, buffer) {
            Read::Bytes(count) => read_in_turn += count,
            Read::Pending => break,
            Read::Ended => connection.ended = true,
        }
    }
    let output = &mut server.sessions.get_mut(id).output;
    if !output.is_empty() {
        // An error will show itself to the loop, which knows what to do.
        let written = connection.write(output).unwrap_or(0);
        server.stats.output_bytes += written as u64;
    }
}

/// Why a client that has just come in must go again.
fn refusal(server: &Server, is_local: bool) -> Option<&'static str> {
    let config = &server.config;
    if server.sessions.len() >= config.maxclients as usize {
        return Some("-ERR max number of clients reached\r\n");
    }
    if config.protected_mode && !server.needs_password() && !is_local {
        return Some(
            // Programs and people look for the first sentence.
            "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default \
             user. Only clients on this machine are let in. To serve others, set a password (requirepass), or turn protected mode \
             off (CONFIG SET protected-mode no, from this machine) if the network keeps strangers out.\r\n",
        );
    }
    None
}
