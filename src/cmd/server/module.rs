//! MODULE, as a Redis tells of itself that loads none: there is no interface for modules here.

use crate::cmd::args::Args;
use crate::cmd::command::{COMMAND, Command, Flag, Group, Run};
use crate::cmd::container::HELP;
use crate::cmd::error::{Done, error};
use crate::resp::reply::Reply;
use crate::server::{Server, SessionId};

use Flag::{Admin, NoAsyncLoading, Noscript, Protected};

pub const COMMANDS: &[Command] = &[Command {
    name: "MODULE",
    arity: -2,
    run: Run::Parent(SUBCOMMANDS),
    group: Group::Server,
    since: "4.0.0",
    summary: "Holds the commands about modules.",
    ..COMMAND
}];

const SUBCOMMAND: Command =
    Command { flags: &[Admin, Noscript, NoAsyncLoading, Protected], group: Group::Server, since: "4.0.0", ..COMMAND };

const SUBCOMMANDS: &[Command] = &[
    Command { group: Group::Server, since: "5.0.0", ..HELP },
    Command {
        name: "LIST",
        arity: 2,
        run: Run::Server(list),
        flags: &[Admin, Noscript],
        cost: "O(N) where N is the number of modules.",
        summary: "Lists the modules that are loaded: none.",
        tips: &["nondeterministic_output_order"],
        ..SUBCOMMAND
    },
    Command {
        name: "LOAD",
        arity: -3,
        run: Run::Server(refuse),
        usage: "path [arg [arg ...]]",
        summary: "Would load a module.",
        ..SUBCOMMAND
    },
    Command {
        name: "LOADEX",
        arity: -3,
        run: Run::Server(refuse),
        since: "7.0.0",
        usage: "path [CONFIG name value [CONFIG name value ...]] [ARGS args [args ...]]",
        summary: "Would load a module with settings.",
        ..SUBCOMMAND
    },
    Command {
        name: "UNLOAD",
        arity: 3,
        run: Run::Server(unload),
        usage: "name",
        summary: "Would unload a module.",
        ..SUBCOMMAND
    },
];

fn list(_: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    reply.array(0);
    Ok(())
}

fn refuse(_: &mut Server, _: SessionId, _: &mut Args, _: &mut Reply) -> Done {
    Err(error("ERR Error loading the extension. Please check the server logs."))
}

fn unload(_: &mut Server, _: SessionId, _: &mut Args, _: &mut Reply) -> Done {
    Err(error("ERR Error unloading module: no such module with that name"))
}
