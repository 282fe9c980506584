//! What replicas say to their primary (REPLCONF, PSYNC, SYNC), WAIT, REPLICAOF, and what clients say to nodes of a cluster.
//!
//! What becomes of a replica is `server::replicas`, how this server follows a primary `server::primary`. ROLE is in `instance`, INFO's
//! section in `info`.

use crate::cmd::args::Args;
use crate::cmd::command::{COMMAND, Category, Command, Deprecated, Flag, Group, Run};
use crate::cmd::error::{Done, SYNTAX, Stop, TimeoutReply, Wait, error, error_showing, error_with};
use crate::resp::reply::Reply;
use crate::server::replicas::Link;
use crate::server::{Server, SessionId};
use crate::types::value::Kind;
use crate::util::number::parse_i64;

use Flag::{Admin, AllowBusy, Blocking, Fast, Loading, NoAsyncLoading, NoMulti, Noscript, Stale};

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
        name: "PSYNC",
        arity: -3,
        run: Run::Server(psync),
        flags: &[Admin, Noscript, NoAsyncLoading, NoMulti],
        group: Group::Server,
        since: "2.8.0",
        usage: "replicationid offset",
        summary: "Makes the connection a replica's: it goes on with the history it names, or starts with a snapshot.",
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
        name: "REPLCONF",
        arity: -1,
        run: Run::Server(replconf),
        flags: &[Admin, Noscript, Loading, Stale, AllowBusy],
        group: Group::Server,
        since: "3.0.0",
        cost: "O(1)",
        is_internal: true,
        summary: "Tells a primary about its replica: where that serves, what it understands, how far it has got.",
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
        name: "SYNC",
        arity: 1,
        run: Run::Server(sync),
        flags: &[Admin, Noscript, NoAsyncLoading, NoMulti],
        group: Group::Server,
        summary: "Makes the connection a replica's: a snapshot comes, and every change behind it.",
        ..COMMAND
    },
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

fn replicaof(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    if server.config.cluster_enabled {
        return Err(error("ERR REPLICAOF not allowed in cluster mode."));
    }
    if server.sessions.get(id).is_replica() {
        return Err(error("ERR Command is not valid when client is a replica."));
    }
    if args.option("NO") && args.option("ONE") {
        if server.is_replica() {
            server.follow_nobody();
            tracing::info!("MASTER MODE enabled (user request from '{}')", server.sessions.get(id).peer.address);
        }
        reply.ok();
        return Ok(());
    }
    let (host, port) = (args.request().arg(1), args.request().arg(2));
    let port = parse_i64(port).and_then(|port| u16::try_from(port).ok()).ok_or(error("ERR Invalid master port"))?;
    let host = String::from_utf8_lossy(host).into_owned();
    if server.primary.as_ref().is_some_and(|primary| primary.host == host && primary.port == port) {
        reply.simple("OK Already connected to specified master");
        return Ok(());
    }
    tracing::info!("REPLICAOF {host}:{port} enabled (user request from '{}')", server.sessions.get(id).peer.address);
    server.follow_primary(host, port);
    reply.ok();
    Ok(())
}

const NO_LINK: Stop = error("NOMASTERLINK Can't SYNC while not connected with my master");

/// A replica that is not up to date itself has nothing to pass on.
fn lacks_history(server: &Server) -> bool {
    server.primary.as_ref().is_some_and(|primary| !primary.is_online())
}

fn sync(server: &mut Server, id: SessionId, _: &mut Args, _: &mut Reply) -> Done {
    if server.sessions.get(id).is_replica() {
        return Ok(());
    }
    if lacks_history(server) {
        return Err(NO_LINK);
    }
    server.begin_sync(id, None);
    Ok(())
}

fn psync(server: &mut Server, id: SessionId, args: &mut Args, _: &mut Reply) -> Done {
    let history = args.next()?;
    let offset = args.int()?;
    if args.option("FAILOVER") {
        return Err(error("ERR PSYNC FAILOVER can't be sent to a master."));
    }
    if server.sessions.get(id).is_replica() {
        return Ok(());
    }
    if lacks_history(server) {
        return Err(NO_LINK);
    }
    server.sessions.get_mut(id).replica.get_or_insert_default().acknowledges = true;
    server.begin_sync(id, u64::try_from(offset).ok().map(|offset| (history, offset)));
    Ok(())
}

fn replconf(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    if !args.len().is_multiple_of(2) {
        return Err(SYNTAX);
    }
    while !args.is_empty() {
        let name = args.next()?;
        if name.eq_ignore_ascii_case(b"ack") {
            let offset = args.int()?;
            let on_disk = if args.option_with_value("fack") { args.int().ok() } else { None };
            if server.sessions.get(id).is_replica() {
                let offset_of = |offset: i64| u64::try_from(offset).unwrap_or(0);
                server.acknowledge(id, offset_of(offset), on_disk.map(offset_of));
            }
            return Ok(());
        }
        if name.eq_ignore_ascii_case(b"getack") {
            args.next()?;
            // Only a primary asks so.
            if server.sessions.get(id).is_primary {
                server.acknowledge_to_primary();
            }
            return Ok(());
        }
        let link = server.sessions.get_mut(id).replica.get_or_insert_default();
        note(link, name, args)?;
    }
    reply.ok();
    Ok(())
}

/// What a replica tells of itself before it asks for the stream.
fn note(link: &mut Link, name: &[u8], args: &mut Args) -> Result<(), Stop> {
    const ADDRESS_MAX: usize = 255;
    match &name.to_ascii_lowercase()[..] {
        b"listening-port" => link.port = u16::try_from(args.int()?).unwrap_or(0),
        b"ip-address" => {
            let address = args.next()?;
            if address.len() > ADDRESS_MAX {
                let text = format!(
                    "ERR REPLCONF ip-address provided by replica instance is too long: {} bytes",
                    address.len()
                );
                return Err(error_with(text));
            }
            link.address = String::from_utf8_lossy(address).into_owned();
        }
        b"capa" => link.knows_psync2 |= args.next()?.eq_ignore_ascii_case(b"psync2"),
        b"rdb-only" => link.wants.snapshot_only = zero_or_one(args)?,
        b"rdb-filter-only" => {
            (link.wants.no_keys, link.wants.no_functions) = (true, true);
            for part in args.next()?.split(|byte| *byte == b' ').filter(|part| !part.is_empty()) {
                if !part.eq_ignore_ascii_case(b"functions") {
                    return Err(error_showing("ERR Unsupported rdb-filter-only option: ", part, ""));
                }
                link.wants.no_functions = false;
            }
        }
        // Its version, and what later ones say that matters to nobody here.
        b"version" | b"rdb-channel" | b"main-ch-client-id" => drop(args.next()?),
        _ => return Err(error_showing("ERR Unrecognized REPLCONF option: ", name, "")),
    }
    Ok(())
}

fn wait(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    if server.is_replica() {
        return Err(error(
            "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be \
             writable (which is not the default) writes to replicas are just local and are not propagated.",
        ));
    }
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
    let wanted = usize::try_from(wanted).unwrap_or(0);
    let acknowledged = server.acknowledged_by(id);
    if acknowledged >= wanted || server.is_inside_a_command() {
        reply.count(acknowledged);
        return Ok(());
    }
    server.wait_for_replicas(id, wanted);
    Err(Stop::Wait(Wait {
        keys: Vec::new(),
        deadline,
        on_timeout: TimeoutReply::Acknowledged,
        wants: Kind::String,
        reading: None,
    }))
}

fn zero_or_one(args: &mut Args) -> Result<bool, Stop> {
    match args.int()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(error("ERR value is out of range, value must between 0 and 1")),
    }
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
    fn a_replica_refuses_what_is_its_primary_s_to_do() {
        check(
            r##"
            > REPLICAOF no ONE
            OK
            > SLAVEOF NO ONE
            OK
            > REPLICAOF localhost abc
            (error) ERR Invalid master port
            > REPLICAOF localhost 65536
            (error) ERR Invalid master port
            > SET k v
            OK
            b> BLPOP list 0
            > REPLICAOF localhost 1
            OK
            b<
            (error) UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)
            > REPLICAOF localhost 1
            OK Already connected to specified master
            > ROLE
            1) "slave"
            2) "localhost"
            3) (integer) 1
            4) "connecting"
            5) (integer) -1
            > CONFIG GET replicaof
            1) "replicaof"
            2) "localhost 1"
            > GET k
            "v"
            > SET k w
            (error) READONLY You can't write against a read only replica.
            > EVAL "return redis.call('del', 'k')" 0
            (error) READONLY You can't write against a read only replica. script: 47b7443a0476c69075e4c3fdb47629aacc40bcfa, on @user_script:1.
            > EVAL "return redis.call('get', 'k')" 0
            "v"
            > EVAL "#!lua\nreturn 1" 0
            (error) READONLY You can't write against a read only replica.
            > WAIT 1 0
            (error) ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated.
            > WAITAOF 0 1 1
            (error) ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated.
            > PSYNC ? -1
            (error) NOMASTERLINK Can't SYNC while not connected with my master
            > MULTI
            OK
            > GET k
            QUEUED
            > CONFIG SET replica-serve-stale-data no
            QUEUED
            > EXEC
            1) "v"
            2) OK
            > GET k
            (error) MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.
            > EVAL "return 1" 0
            (error) MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.
            > EVAL "#!lua flags=allow-stale,no-writes\nreturn 1" 0
            (integer) 1
            > EVAL "#!lua flags=allow-stale,no-writes\nreturn redis.call('get','k')" 0
            (error) ERR Can not execute the command on a stale replica script: d81d2c9c100cebef1cd5a99b342f031dda5ecaa5, on @user_script:2.
            > REPLICAOF NO ONE
            OK
            > SET k w
            OK
            > READONLY
            (error) ERR This instance has cluster support disabled
            > READWRITE
            (error) ERR This instance has cluster support disabled
            > ASKING
            (error) ERR This instance has cluster support disabled
            "##,
        );
    }
}
