//! Commands about the connection itself: PING, ECHO, SELECT.

use crate::cmd::args::Args;
use crate::cmd::command::{COMMAND, Command, Flag, Group, Run};
use crate::cmd::error::{Done, NOT_AN_INTEGER, error};
use crate::resp::reply::{Protocol, Reply};
use crate::server::{Server, SessionId};

use Flag::{Fast, Loading, Stale};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "ECHO",
        arity: 2,
        run: Run::Server(echo),
        flags: &[Loading, Stale, Fast],
        group: Group::Connection,
        usage: "message",
        summary: "Returns the given string.",
        ..COMMAND
    },
    Command {
        name: "PING",
        arity: -1,
        run: Run::Server(ping),
        flags: &[Fast],
        group: Group::Connection,
        usage: "[message]",
        summary: "Shows that the server is alive.",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        ..COMMAND
    },
    Command {
        name: "SELECT",
        arity: 2,
        run: Run::Server(select),
        flags: &[Loading, Stale, Fast],
        group: Group::Connection,
        usage: "index",
        summary: "Changes the database of the connection.",
        ..COMMAND
    },
];

fn echo(_: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    reply.bulk(args.next()?);
    Ok(())
}

fn ping(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    if args.len() > 1 {
        return Err(error("ERR wrong number of arguments for 'ping' command"));
    }
    let session = server.sessions.get(id);
    if session.protocol == Protocol::Resp2 && session.is_subscriber() {
        reply.array(2);
        reply.bulk(b"pong");
        reply.bulk(args.try_next().unwrap_or_default());
        return Ok(());
    }
    match args.try_next() {
        Some(message) => reply.bulk(message),
        None => reply.simple("PONG"),
    }
    Ok(())
}

fn select(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let index = args.int_or(NOT_AN_INTEGER)?;
    let db = server.database(index).ok_or(error("ERR DB index is out of range"))?;
    server.sessions.get_mut(id).db = db;
    reply.ok();
    Ok(())
}
