//! Replication as a server without replicas tells of it: WAIT, REPLICAOF, and what clients say to nodes of a cluster.
//!
//! This server sends no replica anything yet and follows no primary; so nobody acknowledges a change, and asking it to follow one is
//! refused rather than accepted and not done. ROLE is in `instance`, INFO's section in `info`.

use crate::cmd::args::Args;
use crate::cmd::command::{COMMAND, Category, Command, Deprecated, Flag, Group, Run};
use crate::cmd::error::{Done, Stop, TimeoutReply, Wait, error};
use crate::resp::reply::Reply;
use crate::server::{Server, SessionId};
use crate::types::value::Kind;
use crate::util::number::parse_i64;

use Flag::{Admin, Blocking, Fast, Loading, NoAsyncLoading, Noscript, Stale};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "ASKING",
        arity: 1,
        run: Run::Server(only_in_a_cluster),
        flags: &[Fast],
        group: Group::Cluster,
        since: "3.0.0",
        categories: &[Category::Connection],
        summary: "Says that a client comes because another node has sent it.",
        ..COMMAND
    },
    Command {
        name: "READONLY",
        arity: 1,
        run: Run::Server(only_in_a_cluster),
        flags: &[Loading, Stale, Fast],
        group: Group::Cluster,
        since: "3.0.0",
        categories: &[Category::Connection],
        summary: "Says that a connection is content with what a cluster's replica has.",
        ..COMMAND
    },
    Command {
        name: "READWRITE",
        arity: 1,
        run: Run::Server(only_in_a_cluster),
        flags: &[Loading, Stale, Fast],
        group: Group::Cluster,
        since: "3.0.0",
        categories: &[Category::Connection],
        summary: "Says that a connection wants to be sent to a cluster's primaries again.",
        ..COMMAND
    },
    Command {
        name: "REPLICAOF",
        since: "5.0.0",
        summary: "Makes the server follow a primary, or follow none.",
        deprecated: None,
        ..SLAVEOF
    },
    SLAVEOF,
    Command {
        name: "WAIT",
        arity: 3,
        run: Run::Server(wait),
        flags: &[Blocking],
        group: Group::Generic,
        since: "3.0.0",
        categories: &[Category::Connection],
        usage: "numreplicas timeout",
        summary: "Waits until so many replicas have the connection's changes, and tells how many have.",
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        ..COMMAND
    },
];

const SLAVEOF: Command = Command {
    name: "SLAVEOF",
    arity: 3,
    run: Run::Server(replicaof),
    flags: &[Admin, Noscript, Stale, NoAsyncLoading],
    group: Group::Server,
    usage: "<host port | NO ONE>",
    summary: "Makes the server follow a primary, or follow none: the old name of REPLICAOF.",
    deprecated: Some(Deprecated { since: "5.0.0", instead: "`REPLICAOF`" }),
    ..COMMAND
};

/// The one node of a cluster has every slot: nothing changes by what these say.
fn only_in_a_cluster(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    if !server.config.cluster_enabled {
        return Err(error("ERR This instance has cluster support disabled"));
    }
    reply.ok();
    Ok(())
}

fn replicaof(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    if server.config.cluster_enabled {
        return Err(error("ERR REPLICAOF not allowed in cluster mode."));
    }
    if args.option("NO") && args.option("ONE") {
        reply.ok();
        return Ok(());
    }
    let port = args.request().arg(2);
    if !parse_i64(port).is_some_and(|port| (0..=65535).contains(&port)) {
        return Err(error("ERR Invalid master port"));
    }
    Err(error("ERR this version cannot follow a primary: replication is not there yet"))
}

fn wait(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let wanted = args.int()?;
    let timeout_ms = match parse_i64(args.next()?) {
        None => return Err(error("ERR timeout is not an integer or out of range")),
        Some(..0) => return Err(error("ERR timeout is negative")),
        Some(timeout_ms) => timeout_ms as u64,
    };
    let now = server.now_ms();
    let deadline = match now.checked_add(timeout_ms).filter(|deadline| i64::try_from(*deadline).is_ok()) {
        None => return Err(error("ERR timeout is out of range")),
        Some(_) if timeout_ms == 0 => None,
        Some(deadline) => Some(deadline),
    };
    if wanted <= 0 {
        reply.int(0);
        return Ok(());
    }
    // No key ever ends this: there is nobody to acknowledge anything.
    Err(Stop::Wait(Wait {
        keys: Vec::new(),
        deadline,
        on_timeout: TimeoutReply::Zero,
        wants: Kind::String,
        reading: None,
    }))
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn nobody_acknowledges() {
        check(
            r#"
            > WAIT 0 0
            (integer) 0
            > WAIT -1 10
            (integer) 0
            > WAIT a 10
            (error) ERR value is not an integer or out of range
            > WAIT 1 a
            (error) ERR timeout is not an integer or out of range
            > WAIT -1 -1
            (error) ERR timeout is negative
            > WAIT 1 9223372036854775807
            (error) ERR timeout is out of range
            b> WAIT 1 100
            ~ 200
            b<
            (integer) 0
            b> WAIT 1 0
            > CLIENT UNBLOCK 2
            (integer) 1
            b<
            (integer) 0
            > MULTI
            OK
            > WAIT 1 0
            QUEUED
            > EXEC
            1) (integer) 0
            "#,
        );
    }

    #[test]
    fn the_server_follows_nobody() {
        check(
            r#"
            > REPLICAOF no ONE
            OK
            > SLAVEOF NO ONE
            OK
            > REPLICAOF localhost abc
            (error) ERR Invalid master port
            > REPLICAOF localhost 65536
            (error) ERR Invalid master port
            > REPLICAOF localhost 6379
            (error) ERR this version cannot follow a primary: replication is not there yet
            > READONLY
            (error) ERR This instance has cluster support disabled
            > READWRITE
            (error) ERR This instance has cluster support disabled
            > ASKING
            (error) ERR This instance has cluster support disabled
            "#,
        );
    }
}
