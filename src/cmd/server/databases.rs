//! Commands on whole databases: DBSIZE, FLUSHDB, FLUSHALL, SWAPDB.

use crate::cmd::args::Args;
use crate::cmd::command::{COMMAND, Category, Command, Flag, Group, Run};
use crate::cmd::error::{Done, SYNTAX, Stop, error};
use crate::db::{DbIndex, View};
use crate::resp::reply::Reply;
use crate::server::{Server, SessionId};
use crate::util::number::parse_i64;

use Flag::{Fast, Write};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "DBSIZE",
        arity: 1,
        run: Run::Read(dbsize),
        flags: &[Fast],
        group: Group::Server,
        summary: "Counts the keys of the database.",
        categories: &[Category::Keyspace],
        tips: &["request_policy:all_shards", "response_policy:agg_sum"],
        ..COMMAND
    },
    Command {
        name: "FLUSHALL",
        arity: -1,
        run: Run::Server(flushall),
        flags: &[Write],
        group: Group::Server,
        cost: "O(1); the memory is freed in the background, unless SYNC asks to wait for it.",
        usage: "[ASYNC | SYNC]",
        summary: "Removes all keys of all databases.",
        categories: &[Category::Keyspace, Category::Dangerous],
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        ..COMMAND
    },
    Command {
        name: "FLUSHDB",
        arity: -1,
        run: Run::Server(flushdb),
        flags: &[Write],
        group: Group::Server,
        cost: "O(1); the memory is freed in the background, unless SYNC asks to wait for it.",
        usage: "[ASYNC | SYNC]",
        summary: "Removes all keys of the database.",
        categories: &[Category::Keyspace, Category::Dangerous],
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        ..COMMAND
    },
    Command {
        name: "SWAPDB",
        arity: 3,
        run: Run::Server(swapdb),
        flags: &[Write, Fast],
        group: Group::Server,
        since: "4.0.0",
        cost: "O(N) where N is the number of clients that watch keys of both databases or wait for them.",
        usage: "index1 index2",
        summary: "Exchanges two databases.",
        categories: &[Category::Keyspace, Category::Dangerous],
        ..COMMAND
    },
];

fn dbsize(view: &View, _: &mut Args, reply: &mut Reply) -> Done {
    // Keys that have lapsed and are not yet removed count, as they do in Redis.
    reply.count(view.keyspace().db(view.db).len());
    Ok(())
}

fn flushall(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let freeing = Freeing::read(args)?;

    for db in 0..server.keyspace.databases() {
        flush(server, db, freeing);
    }
    server.save_what_was_flushed();

    reply.ok();
    Ok(())
}

fn flushdb(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let freeing = Freeing::read(args)?;

    let db = server.sessions.get(id).db;
    flush(server, db, freeing);

    reply.ok();
    Ok(())
}

/// An empty database is flushed all the same: the journal carries the command.
fn flush(server: &mut Server, db: DbIndex, freeing: Freeing) {
    let (records, old) = server.keyspace.take_db(db);
    server.effects.flushed(db, records as u64);
    match freeing {
        Freeing::Now => drop(old),
        Freeing::Later => old.into_iter().for_each(|db| server.garbage.db(db)),
    }
}

#[derive(Clone, Copy)]
enum Freeing {
    Now,
    /// On a thread. The reply and what can be seen afterwards are the same.
    Later,
}

impl Freeing {
    fn read(args: &mut Args) -> Result<Self, Stop> {
        let freeing = if args.option("SYNC") {
            Freeing::Now
        } else {
            args.option("ASYNC");
            Freeing::Later
        };
        args.end().map_err(|_| SYNTAX)?;
        Ok(freeing)
    }
}

fn swapdb(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    if server.cluster.is_some() {
        return Err(error("ERR SWAPDB is not allowed in cluster mode"));
    }
    let index = |text: &[u8]| parse_i64(text).and_then(|index| i32::try_from(index).ok());
    let one = index(args.next()?).ok_or(error("ERR invalid first DB index"))?;
    let other = index(args.next()?).ok_or(error("ERR invalid second DB index"))?;
    let database = |index: i32| server.database(i64::from(index)).ok_or(error("ERR DB index is out of range"));
    let (one, other) = (database(one)?, database(other)?);

    // A database swapped with itself is not touched, but the journal has it, as in Redis.
    if one == other {
        server.effects.journal_verbatim();
    } else {
        server.keyspace.swap(one, other);
        server.effects.swapped(one, other);
    }

    reply.ok();
    Ok(())
}
