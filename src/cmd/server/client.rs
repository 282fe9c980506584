//! CLIENT: what a connection tells about itself and others, and what it may do to them.
//!
//! How sessions wait, are held back and are closed is the server's business (`waiting`, `admit`); the lines of CLIENT LIST are made in
//! `client_line`.

use super::client_line::client_line;
use crate::cmd::args::Args;
use crate::cmd::command::{COMMAND, Command, Flag, Group, Run};
use crate::cmd::container::{HELP, unknown_or_wrong_number};
use crate::cmd::error::{Done, SYNTAX, Stop, error, error_showing, shown};
use crate::resp::reply::Reply;
use crate::server::session::{OutputClass, ReplyMode, Session};
use crate::server::{Closing, Server, SessionId};
use crate::util::number::parse_i64;
use filter::Filter;

use Flag::{Admin, Loading, Noscript, Stale};

pub const COMMANDS: &[Command] = &[Command {
    name: "CLIENT",
    arity: -2,
    run: Run::Parent(SUBCOMMANDS),
    group: Group::Connection,
    since: "2.4.0",
    cost: "Depends on subcommand.",
    summary: "Tells about connections and changes them.",
    ..COMMAND
}];

/// What most subcommands have in common.
const OWN: Command = Command { flags: &[Noscript, Loading, Stale], group: Group::Connection, ..COMMAND };
/// The same of those that reach other connections.
const OTHERS: Command = Command { flags: &[Admin, Noscript, Loading, Stale], group: Group::Connection, ..COMMAND };
const ON_ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "CACHING",
        arity: 3,
        run: Run::Server(tracking::caching),
        since: "6.0.0",
        usage: "<YES | NO>",
        summary: "Says whether the keys that the next command reads are remembered.",
        ..OWN
    },
    Command {
        name: "GETNAME",
        arity: 2,
        run: Run::Server(getname),
        since: "2.6.9",
        summary: "Returns the name of the connection.",
        ..OWN
    },
    Command {
        name: "GETREDIR",
        arity: 2,
        run: Run::Server(tracking::getredir),
        since: "6.0.0",
        summary: "Returns the id of the client that gets the connection's invalidation messages.",
        ..OWN
    },
    Command { group: Group::Connection, since: "5.0.0", ..HELP },
    Command {
        name: "ID",
        arity: 2,
        run: Run::Server(client_id),
        since: "5.0.0",
        summary: "Returns the id of the connection, which no other one has had or will have.",
        ..OWN
    },
    Command {
        name: "INFO",
        arity: 2,
        run: Run::Server(info),
        since: "6.2.0",
        summary: "Returns the line of CLIENT LIST for this connection.",
        tips: &["nondeterministic_output"],
        ..OWN
    },
    Command {
        name: "KILL",
        arity: -3,
        run: Run::Server(kill),
        since: "2.4.0",
        cost: "O(N), where N is the number of connections.",
        usage: "<ip:port | <[ID client-id] | [TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB>] | [USER username] | \
                [ADDR ip:port] | [LADDR ip:port] | [SKIPME <YES | NO>] | [MAXAGE maxage]> [<[ID client-id] | \
                [TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB>] | [USER username] | [ADDR ip:port] | \
                [LADDR ip:port] | [SKIPME <YES | NO>] | [MAXAGE maxage]> ...]>",
        summary: "Closes connections.",
        ..OTHERS
    },
    Command {
        name: "LIST",
        arity: -2,
        run: Run::Server(list),
        since: "2.4.0",
        cost: "O(N), where N is the number of connections.",
        usage: "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]",
        summary: "Returns a line for each connection.",
        tips: &["nondeterministic_output"],
        ..OTHERS
    },
    Command {
        name: "NO-EVICT",
        arity: 3,
        run: Run::Server(no_evict),
        since: "7.0.0",
        usage: "<ON | OFF>",
        summary: "Says whether the connection may be closed when clients take too much memory.",
        ..OTHERS
    },
    Command {
        name: "NO-TOUCH",
        arity: 3,
        run: Run::Server(no_touch),
        since: "7.2.0",
        usage: "<ON | OFF>",
        summary: "Says whether the connection's commands count as an access to their keys.",
        ..OWN
    },
    Command {
        name: "PAUSE",
        arity: -3,
        run: Run::Server(pause),
        since: "3.0.0",
        usage: "timeout [WRITE | ALL]",
        summary: "Holds the commands of all clients back for a while, or only those that write.",
        ..OTHERS
    },
    Command {
        name: "REPLY",
        arity: 3,
        run: Run::Server(set_reply),
        since: "3.2.0",
        usage: "<ON | OFF | SKIP>",
        summary: "Says whether the connection's commands are replied to.",
        ..OWN
    },
    Command {
        name: "SETINFO",
        arity: 4,
        run: Run::Server(setinfo),
        since: "7.2.0",
        usage: "<LIB-NAME libname | LIB-VER libver>",
        summary: "Tells the server which library the client uses.",
        tips: ON_ALL_NODES,
        ..OWN
    },
    Command {
        name: "SETNAME",
        arity: 3,
        run: Run::Server(setname),
        since: "2.6.9",
        usage: "connection-name",
        summary: "Gives the connection a name.",
        tips: ON_ALL_NODES,
        ..OWN
    },
    Command {
        name: "TRACKING",
        arity: -3,
        run: Run::Server(tracking::tracking),
        since: "6.0.0",
        cost: "O(1). Some options may introduce additional complexity.",
        usage: "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
        summary: "Has the connection told when keys change that it has read, so that it can cache them.",
        ..OWN
    },
    Command {
        name: "TRACKINGINFO",
        arity: 2,
        run: Run::Server(tracking::info),
        since: "6.2.0",
        summary: "Tells how the connection's keys are tracked.",
        ..OWN
    },
    Command {
        name: "UNBLOCK",
        arity: -3,
        run: Run::Server(unblock),
        since: "5.0.0",
        cost: "O(log N), where N is the number of connections.",
        usage: "client-id [TIMEOUT | ERROR]",
        summary: "Ends another client's wait for a key.",
        ..OTHERS
    },
    Command {
        name: "UNPAUSE",
        arity: 2,
        run: Run::Server(unpause),
        since: "6.2.0",
        cost: "O(N), where N is the number of clients held back.",
        summary: "Lets the commands go on that CLIENT PAUSE holds back.",
        ..OTHERS
    },
];

/// Names and versions are printable ASCII without spaces, so that the lines of CLIENT LIST can be taken apart.
pub(super) fn check_attribute(what: &[u8], text: &[u8]) -> Done {
    // Redis looks as far as C does: up to the first NUL.
    if shown(text).iter().all(u8::is_ascii_graphic) {
        return Ok(());
    }
    Err(error_showing("ERR ", what, " cannot contain spaces, newlines or special characters."))
}

fn client_id(server: &mut Server, id: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    reply.int(server.sessions.get(id).client_id as i64);
    Ok(())
}

fn getname(server: &mut Server, id: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    match &server.sessions.get(id).name[..] {
        b"" => reply.null(),
        name => reply.bulk(name),
    }
    Ok(())
}

fn setname(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let name = args.next()?;
    check_attribute(b"Client names", name)?;

    server.sessions.get_mut(id).name = name.to_vec();

    reply.ok();
    Ok(())
}

fn setinfo(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let (option, value) = (args.next()?, args.next()?);
    let session = server.sessions.get_mut(id);
    let slot = match &option.to_ascii_lowercase()[..] {
        b"lib-name" => &mut session.library_name,
        b"lib-ver" => &mut session.library_version,
        _ => return Err(error_showing("ERR Unrecognized option '", option, "'")),
    };
    check_attribute(option, value)?;

    *slot = value.to_vec();

    reply.ok();
    Ok(())
}

fn no_evict(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    server.sessions.get_mut(id).no_evict = on_or_off(args)?;
    reply.ok();
    Ok(())
}

fn no_touch(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    server.sessions.get_mut(id).no_touch = on_or_off(args)?;
    reply.ok();
    Ok(())
}

fn on_or_off(args: &mut Args) -> Result<bool, Stop> {
    match args {
        _ if args.option("on") => Ok(true),
        _ if args.option("off") => Ok(false),
        _ => Err(SYNTAX),
    }
}

fn set_reply(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let mode = &mut server.sessions.get_mut(id).reply_mode;
    if args.option("on") {
        *mode = ReplyMode::On;
        reply.ok();
    } else if args.option("off") {
        *mode = ReplyMode::Off;
    } else if args.option("skip") {
        if *mode != ReplyMode::Off {
            *mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(SYNTAX);
    }
    Ok(())
}

fn info(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    reply.verbatim("txt", &client_line(server, id, Some((id, args.request()))));
    Ok(())
}

fn list(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let mut listed: Vec<SessionId> = Vec::new();
    if args.is_empty() {
        listed = oldest_first(server, |_| true);
    } else if is_of_ids_alone(args) {
        // They come in the order asked for.
        for text in args.rest().skip(1) {
            let client_id = parse_i64(text).ok_or(error("ERR Invalid client ID"))?;
            listed.extend(u64::try_from(client_id).ok().and_then(|client_id| server.sessions.by_client_id(client_id)));
        }
    } else {
        // Redis knows `ID id …` and `TYPE type` only. Where a combination of Valkey's is wrong it has these words for it.
        let refusal = match args.peek() {
            Some(word) if word.eq_ignore_ascii_case(b"id") && args.len() > 1 => Some(error("ERR Invalid client ID")),
            _ if args.len() > 2 => Some(SYNTAX),
            _ => None,
        };
        let filter = Filter::read(server, args, true).map_err(|stop| refusal.unwrap_or(stop))?;
        let now_ms = server.now_ms();
        listed = oldest_first(server, |session| filter.takes(session, now_ms));
        listed.retain(|listed| *listed != id || filter.takes_itself);
    }

    let asking = Some((id, args.request()));
    let lines: Vec<u8> = listed.into_iter().flat_map(|listed| client_line(server, listed, asking)).collect();
    reply.verbatim("txt", &lines);
    Ok(())
}

/// `ID` and nothing behind it that begins another filter.
fn is_of_ids_alone(args: &Args) -> bool {
    let is_id = args.peek().is_some_and(|word| word.eq_ignore_ascii_case(b"id"));
    let mut behind = args.request().iter().skip(args.position() + 1);
    is_id && args.len() > 1 && !behind.any(filter::begins)
}

/// Sessions that are there and are to be shown.
fn oldest_first(server: &Server, wanted: impl Fn(&Session) -> bool) -> Vec<SessionId> {
    let shown = |session: &Session| session.closing != Some(Closing::AtOnce) && session.is_shown() && wanted(session);
    let mut found: Vec<_> = server.sessions.iter().filter(|(_, session)| shown(session)).collect();
    found.sort_by_key(|(_, session)| session.client_id);
    found.into_iter().map(|(id, _)| id).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Master,
    Replica,
    Pubsub,
}

impl Kind {
    fn is_of(self, session: &Session) -> bool {
        self == match session.output_class() {
            _ if session.is_primary => Kind::Master,
            OutputClass::Normal => Kind::Normal,
            OutputClass::Replica => Kind::Replica,
            OutputClass::Pubsub => Kind::Pubsub,
        }
    }
}

fn kind(name: &[u8]) -> Result<Kind, Stop> {
    match &name.to_ascii_lowercase()[..] {
        b"normal" => Ok(Kind::Normal),
        b"master" => Ok(Kind::Master),
        b"slave" | b"replica" => Ok(Kind::Replica),
        b"pubsub" => Ok(Kind::Pubsub),
        _ => Err(error_showing("ERR Unknown client type '", name, "'")),
    }
}

fn kill(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    if args.len() == 1 {
        let filter = Filter::at(args.next()?);
        if kill_all(server, id, &filter) == 0 {
            return Err(error("ERR No such client"));
        }
        reply.ok();
        return Ok(());
    }
    let filter = Filter::read(server, args, false)?;
    reply.count(kill_all(server, id, &filter));
    Ok(())
}

/// Closes the connections that the filter takes; how many there were. The one that asks goes after its reply.
fn kill_all(server: &mut Server, asking: SessionId, filter: &Filter) -> usize {
    let now_ms = server.now_ms();
    let mut taken = oldest_first(server, |session| filter.takes(session, now_ms));
    taken.retain(|id| *id != asking || filter.takes_itself);
    for id in &taken {
        server.close(*id, if *id == asking { Closing::AfterOutput } else { Closing::AtOnce });
    }
    taken.len()
}

fn pause(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    if args.len() > 2 {
        return Err(unknown_or_wrong_number(args));
    }
    let timeout = args.next()?;
    let writes_only = match args {
        _ if args.is_empty() || args.option("all") => false,
        _ if args.option("write") => true,
        _ => return Err(error("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let ms = parse_i64(timeout).ok_or(error("ERR timeout is not an integer or out of range"))?;
    let ms = u64::try_from(ms).map_err(|_| error("ERR timeout is negative"))?;
    let end = server.now_ms().checked_add(ms).filter(|end| i64::try_from(*end).is_ok());
    let end = end.ok_or(error("ERR timeout is out of range"))?;

    server.pause_until(end, writes_only);

    reply.ok();
    Ok(())
}

fn unpause(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    server.unpause();
    reply.ok();
    Ok(())
}

fn unblock(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    if args.len() > 2 {
        return Err(unknown_or_wrong_number(args));
    }
    let id = args.next()?;
    let with_error = match args {
        _ if args.is_empty() || args.option("timeout") => false,
        _ if args.option("error") => true,
        _ => return Err(error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
    };
    let client_id = parse_i64(id).ok_or(crate::cmd::error::NOT_AN_INTEGER)?;
    let found = u64::try_from(client_id).ok().and_then(|client_id| server.sessions.by_client_id(client_id));

    let ended = found.is_some_and(|found| match with_error {
        true => server.fail_wait(found, "UNBLOCKED client unblocked via CLIENT UNBLOCK"),
        false => server.end_wait_in_vain(found),
    });

    reply.int(i64::from(ended));
    Ok(())
}

mod filter;
mod tracking;

#[cfg(test)]
mod tests;
