//! MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! Queueing happens in `server::admit`; EXEC runs what was queued through the same dispatch as everything else.

use crate::cmd::args::Args;
use crate::cmd::command::{Access, COMMAND, Command, Flag, Group, Run, keys};
use crate::cmd::error::{Done, error};
use crate::resp::reply::Reply;
use crate::server::dispatch::Caller;
use crate::server::{Server, SessionId, cluster};

use Flag::{AllowBusy, Fast, Loading, Noscript, SkipSlowlog, Stale};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "MULTI",
        arity: 1,
        run: Run::Server(multi),
        flags: &[Noscript, Loading, Stale, Fast, AllowBusy],
        group: Group::Transactions,
        since: "1.2.0",
        summary: "Starts a transaction: commands are queued until EXEC.",
        ..COMMAND
    },
    Command {
        name: "EXEC",
        arity: 1,
        run: Run::Server(exec),
        flags: &[Noscript, Loading, Stale, SkipSlowlog],
        group: Group::Transactions,
        since: "1.2.0",
        cost: "Depends on commands in the transaction",
        summary: "Runs the queued commands as one.",
        ..COMMAND
    },
    Command {
        name: "DISCARD",
        arity: 1,
        run: Run::Server(discard),
        flags: &[Noscript, Loading, Stale, Fast, AllowBusy],
        group: Group::Transactions,
        since: "2.0.0",
        cost: "O(N), when N is the number of queued commands",
        summary: "Forgets the queued commands.",
        ..COMMAND
    },
    Command {
        name: "WATCH",
        arity: -2,
        run: Run::Server(watch),
        flags: &[Noscript, Loading, Stale, Fast, AllowBusy],
        keys: &[keys(1, -1, 1, Access::Ro, &[])],
        group: Group::Transactions,
        since: "2.2.0",
        cost: "O(1) for every key.",
        usage: "key [key ...]",
        summary: "Makes the next EXEC depend on keys that must not change.",
        ..COMMAND
    },
    Command {
        name: "UNWATCH",
        arity: 1,
        run: Run::Server(unwatch),
        flags: &[Noscript, Loading, Stale, Fast, AllowBusy],
        group: Group::Transactions,
        since: "2.2.0",
        summary: "Forgets all watched keys.",
        ..COMMAND
    },
];

fn multi(server: &mut Server, id: SessionId, _args: &mut Args, reply: &mut Reply) -> Done {
    let session = server.sessions.get_mut(id);
    if session.transaction.is_some() {
        return Err(error("ERR MULTI calls can not be nested"));
    }
    session.transaction = Some(Box::default());
    reply.ok();
    Ok(())
}

fn exec(server: &mut Server, id: SessionId, _args: &mut Args, reply: &mut Reply) -> Done {
    run_queued(server, id, reply)
}

fn run_queued(server: &mut Server, id: SessionId, reply: &mut Reply) -> Done {
    let Some(transaction) = server.sessions.get_mut(id).transaction.take() else {
        return Err(error("ERR EXEC without MULTI"));
    };
    let memory = std::mem::take(&mut server.sessions.get_mut(id).multi_memory);
    let broken = server.watch_is_broken(id);
    server.watches.unwatch_all(&mut server.sessions, id);
    if server.transaction_crosses_slots(&transaction) {
        return Err(cluster::CROSSED);
    }
    if transaction.aborted {
        return Err(error("EXECABORT Transaction discarded because of previous errors."));
    }
    if broken {
        reply.null_array();
        return Ok(());
    }
    reply.array(transaction.queue.len());
    show_executing(server, id, transaction.queue.len(), memory);
    server.journal.begin_transaction();
    for (request, entry) in &transaction.queue {
        let request = request.borrow();
        // What was allowed when it was queued may not be allowed any more.
        match server.acl_refusal(Caller::Exec, id, entry, request) {
            Some(refusal) => server.show_refusal(refusal, reply),
            None => server.call_inside(Caller::Exec, id, entry, request, reply),
        }
    }
    server.journal.end_transaction();
    show_executing(server, id, 0, 0);
    Ok(())
}

/// What CLIENT LIST tells of a session while its EXEC runs.
fn show_executing(server: &mut Server, id: SessionId, commands: usize, memory: usize) {
    let session = server.sessions.get_mut(id);
    session.executing = commands;
    session.multi_memory = memory;
}

fn discard(server: &mut Server, id: SessionId, _args: &mut Args, reply: &mut Reply) -> Done {
    if !server.discard_transaction(id) {
        return Err(error("ERR DISCARD without MULTI"));
    }
    reply.ok();
    Ok(())
}

fn watch(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    if server.sessions.get(id).transaction.is_some() {
        return Err(error("ERR WATCH inside MULTI is not allowed"));
    }
    let db = server.sessions.get(id).db;
    for key in args.rest() {
        // A key that has lapsed already does not break the transaction when it is found to be gone.
        let was_absent = !server.view(id).is_there(db, key);
        server.watches.watch(&mut server.sessions, id, db, key, was_absent);
    }
    reply.ok();
    Ok(())
}

fn unwatch(server: &mut Server, id: SessionId, _args: &mut Args, reply: &mut Reply) -> Done {
    server.watches.unwatch_all(&mut server.sessions, id);
    reply.ok();
    Ok(())
}

impl Server {
    /// Ends a session's transaction without running it; false where there is none.
    pub fn discard_transaction(&mut self, id: SessionId) -> bool {
        let session = self.sessions.get_mut(id);
        let had_one = session.transaction.take().is_some();
        session.multi_memory = 0;
        if had_one {
            self.watches.unwatch_all(&mut self.sessions, id);
        }
        had_one
    }

    /// True where a watched key was changed, or has lapsed since it was watched.
    fn watch_is_broken(&mut self, id: SessionId) -> bool {
        let session = self.sessions.get(id);
        session.watch_broken
            || session
                .watched
                .iter()
                .any(|watched| !watched.was_absent && !self.view(id).is_there(watched.db, &watched.key))
    }
}
