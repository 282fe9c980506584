//! Commands about the connection itself: who it is (AUTH), how it speaks (HELLO), where it works (SELECT), how it ends (QUIT, RESET). CLIENT
//! is in `client`.

use crate::cmd::args::Args;
use crate::cmd::command::{COMMAND, Command, Deprecated, Flag, Group, Run};
use crate::cmd::error::{Done, SYNTAX, Stop, error, error_showing};
use crate::resp::reply::{Protocol, Reply};
use crate::resp::request::Request;
use crate::server::acl::DEFAULT;
use crate::server::session::ReplyMode;
use crate::server::{Closing, Server, SessionId};

use super::client::check_attribute;

use Flag::{AllowBusy, Fast, Loading, NoAuth, Noscript, Stale};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "AUTH",
        secret: Some(|_, index| index > 0),
        arity: -2,
        run: Run::Server(auth),
        flags: &[Noscript, Loading, Stale, Fast, NoAuth, AllowBusy],
        group: Group::Connection,
        cost: "O(N), where N is the number of passwords of the user.",
        usage: "[username] password",
        summary: "Shows the server who the connection belongs to.",
        ..COMMAND
    },
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
        name: "HELLO",
        secret: Some(is_behind_auth),
        arity: -1,
        run: Run::Server(hello),
        flags: &[Noscript, Loading, Stale, Fast, NoAuth, AllowBusy],
        group: Group::Connection,
        since: "6.0.0",
        usage: "[protover [AUTH username password] [SETNAME clientname]]",
        summary: "Agrees on a protocol version, and tells about the server and the connection.",
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
        name: "QUIT",
        deprecated: Some(Deprecated { since: "7.2.0", instead: "just closing the connection" }),
        arity: -1,
        run: Run::Server(quit),
        flags: &[Noscript, Loading, Stale, Fast, NoAuth, AllowBusy],
        group: Group::Connection,
        summary: "Closes the connection.",
        ..COMMAND
    },
    Command {
        name: "RESET",
        arity: 1,
        run: Run::Server(reset),
        flags: &[Noscript, Loading, Stale, Fast, NoAuth, AllowBusy],
        group: Group::Connection,
        since: "6.2.0",
        summary: "Makes the connection as good as new.",
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

/// HELLO's user and password: the two arguments behind AUTH.
fn is_behind_auth(request: Request, index: usize) -> bool {
    let is_auth = |index: usize| index >= 2 && request.arg(index).eq_ignore_ascii_case(b"auth");
    (1..=2).any(|back| index.checked_sub(back).is_some_and(is_auth))
}

const WRONG_PASSWORD: Stop = error("WRONGPASS invalid username-password pair or user is disabled.");
const NO_PASSWORD: Stop = error(
    "ERR AUTH <password> called without any password configured for the default user. \
     Are you sure your configuration is correct?",
);
const HELLO_FIRST: Stop = error(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> \
     option can be used to authenticate the client and select the RESP protocol version at the same time",
);
const NOT_32_BITS: Stop = error("ERR value is out of range, value must between -2147483648 and 2147483647");
fn auth(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    match args.len() {
        1 if server.acl.default_user().takes_any_password() => return Err(NO_PASSWORD),
        1 => authenticate(server, id, DEFAULT, args.next()?, args.request())?,
        2 => authenticate(server, id, args.next()?, args.next()?, args.request())?,
        _ => return Err(SYNTAX),
    }
    reply.ok();
    Ok(())
}

fn authenticate(server: &mut Server, id: SessionId, user: &[u8], password: &[u8], request: Request) -> Done {
    if server.authenticate(id, user, password, request) { Ok(()) } else { Err(WRONG_PASSWORD) }
}

fn echo(_: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    reply.bulk(args.next()?);
    Ok(())
}

fn hello(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let protocol = if args.is_empty() { None } else { Some(protocol(args)?) };
    let (mut login, mut name) = (None, None);
    while let Some(option) = args.peek() {
        if args.len() >= 3 && args.option("auth") {
            login = Some((args.next()?, args.next()?));
        } else if args.option_with_value("setname") {
            let given = args.next()?;
            check_attribute(b"Client names", given)?;
            name = Some(given);
        } else {
            return Err(error_showing("ERR Syntax error in HELLO option '", option, "'"));
        }
    }
    if let Some((user, password)) = login {
        authenticate(server, id, user, password, args.request())?;
    }
    if !server.sessions.get(id).authenticated && server.needs_password() {
        return Err(HELLO_FIRST);
    }

    let session = server.sessions.get_mut(id);
    if let Some(name) = name {
        session.name = name.to_vec();
    }
    if let Some(protocol) = protocol {
        session.protocol = protocol;
        reply.set_protocol(protocol);
    }

    introduce(server, id, reply);
    Ok(())
}

fn protocol(args: &mut Args) -> Result<Protocol, Stop> {
    match args.int_or(error("ERR Protocol version is not an integer or out of range"))? {
        2 => Ok(Protocol::Resp2),
        3 => Ok(Protocol::Resp3),
        _ => Err(error("NOPROTO unsupported protocol version")),
    }
}

fn introduce(server: &Server, id: SessionId, reply: &mut Reply) {
    let session = server.sessions.get(id);
    let zone = &server.config.availability_zone;
    reply.map(if zone.is_empty() { 7 } else { 8 });
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(server.config.compat_version.to_string().as_bytes());
    reply.bulk(b"proto");
    reply.int(if session.protocol == Protocol::Resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.int(session.client_id as i64);
    reply.bulk(b"mode");
    reply.bulk(if server.cluster.is_some() { b"cluster" } else { b"standalone" });
    reply.bulk(b"role");
    reply.bulk(if server.is_replica() { b"replica" } else { b"master" });
    reply.bulk(b"modules");
    reply.array(0);
    if !zone.is_empty() {
        reply.bulk(b"availability_zone");
        reply.bulk(zone);
    }
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

fn quit(server: &mut Server, id: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    reply.ok();
    server.close(id, Closing::AfterOutput);
    Ok(())
}

fn reset(server: &mut Server, id: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    if server.sessions.get(id).is_replica() {
        return Err(error("ERR can only reset normal connections"));
    }
    server.discard_transaction(id);
    server.watches.unwatch_all(&mut server.sessions, id);
    server.unsubscribe_all(id);
    server.stop_tracking(id);
    server.monitors.retain(|monitor| *monitor != id);
    server.log_out(id);
    let session = server.sessions.get_mut(id);
    session.monitor = false;
    session.db = 0;
    session.name.clear();
    session.protocol = Protocol::Resp2;
    // CLIENT REPLY SKIP silences this command too.
    if session.reply_mode == ReplyMode::Off {
        session.reply_mode = ReplyMode::On;
    }
    session.no_evict = false;
    session.no_touch = false;

    reply.set_protocol(Protocol::Resp2);
    reply.simple("RESET");
    Ok(())
}

fn select(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let index = args.int()?;
    if i32::try_from(index).is_err() {
        return Err(NOT_32_BITS);
    }
    if server.cluster.is_some() && server.keyspace.databases() == 1 && index != 0 {
        return Err(error("ERR SELECT is not allowed in cluster mode"));
    }
    let db = server.database(index).ok_or(error("ERR DB index is out of range"))?;
    server.sessions.get_mut(id).db = db;
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_configured};

    #[test]
    fn hello() {
        check(
            r#"
            > HELLO x
            (error) ERR Protocol version is not an integer or out of range
            > HELLO 4
            (error) NOPROTO unsupported protocol version
            > HELLO 3 foo
            (error) ERR Syntax error in HELLO option 'foo'
            > HELLO 3 auth default
            (error) ERR Syntax error in HELLO option 'auth'
            > HELLO 3 SETNAME "a b"
            (error) ERR Client names cannot contain spaces, newlines or special characters.
            > HELLO 3 AUTH bob x
            (error) WRONGPASS invalid username-password pair or user is disabled.
            > HELLO 3 SETNAME a AUTH default anything
            1# "server" => "redis"
            2# "version" => "8.2.0"
            3# "proto" => (integer) 3
            4# "id" => (integer) 1
            5# "mode" => "standalone"
            6# "role" => "master"
            7# "modules" => (empty array)
            > CLIENT GETNAME
            "a"
            > RESET
            RESET
            > CLIENT GETNAME
            (nil)
            "#,
        );
    }

    #[test]
    fn passwords() {
        check_configured(
            &[("requirepass", "pw")],
            r#"
            > GET a
            (error) NOAUTH Authentication required.
            > GET
            (error) ERR wrong number of arguments for 'get' command
            > HELLO 3
            (error) NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time
            > AUTH x
            (error) WRONGPASS invalid username-password pair or user is disabled.
            > AUTH pwx
            (error) WRONGPASS invalid username-password pair or user is disabled.
            > AUTH bob pw
            (error) WRONGPASS invalid username-password pair or user is disabled.
            > AUTH a b c
            (error) ERR syntax error
            > AUTH pw
            OK
            > GET a
            (nil)
            > RESET
            RESET
            > GET a
            (error) NOAUTH Authentication required.
            "#,
        );
        check(
            r#"
            > AUTH pw
            (error) ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?
            > AUTH default pw
            OK
            "#,
        );
    }
}
