//! MODULE, as a Redis tells of itself that loads none: there is no interface for modules here.

use crate::cmd::args::Args;
use crate::cmd::command::{COMMAND, Command, Flag, Group, Run};
use crate::cmd::container::HELP;
use crate::cmd::error::{Done, error};
use crate::resp::reply::Reply;
use crate::server::{Server, SessionId};

use Flag::{Admin, NoAsyncLoading, Noscript};

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
    Command { flags: &[Admin, Noscript, NoAsyncLoading], group: Group::Server, since: "4.0.0", ..COMMAND };

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

fn refuse(server: &mut Server, id: SessionId, _: &mut Args, _: &mut Reply) -> Done {
    admitted(server, id)?;
    Err(error("ERR Error loading the extension. Please check the server logs."))
}

fn unload(server: &mut Server, id: SessionId, args: &mut Args, _: &mut Reply) -> Done {
    admitted(server, id)?;
    let _ = args.next()?;
    Err(error("ERR Error unloading module: no such module with that name"))
}

/// The directive that opens these in Redis decides about the error here too.
fn admitted(server: &Server, id: SessionId) -> Done {
    let local = server.sessions.get(id).peer.is_local();
    if server.config.enable_module_command.allows(local) {
        return Ok(());
    }
    Err(error(
        "ERR MODULE command not allowed. If the enable-module-command option is set to \"local\", you can run it from a \
         local connection, otherwise you need to set this option in the configuration file, and then restart the server.",
    ))
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn there_are_no_modules() {
        check(
            r#"
            > MODULE LIST
            (empty array)
            > MODULE LOAD /some.so
            (error) ERR MODULE command not allowed. If the enable-module-command option is set to "local", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.
            > MODULE UNLOAD some
            (error) ERR MODULE command not allowed. If the enable-module-command option is set to "local", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.
            > MODULE FOO
            (error) ERR unknown subcommand 'FOO'. Try MODULE HELP.
            > MODULE
            (error) ERR wrong number of arguments for 'module' command
            "#,
        );
    }
}
