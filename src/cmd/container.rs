//! What all commands with subcommands have in common: HELP, which is made from their entries, and the errors they give.

use super::args::Args;
use super::command::{COMMAND, Command, Flag, Run};
use super::error::{Done, SYNTAX, Stop, error_showing};
use super::table;
use crate::resp::reply::Reply;
use crate::server::{Server, SessionId};

/// The entry of a HELP subcommand, but for its group and the version it came with.
pub const HELP: Command = Command {
    name: "HELP",
    arity: 2,
    run: Run::Server(help),
    flags: &[Flag::Loading, Flag::Stale],
    summary: "Tells what the subcommands are.",
    ..COMMAND
};

pub fn help(_: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let parent = table::top_level(args.request().arg(0)).ok_or(SYNTAX)?;
    let subcommands = parent.command.subcommands();

    reply.array(1 + 2 * subcommands.len());
    reply.simple(&format!("{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", parent.command.name));
    for command in subcommands {
        reply.simple(format!("{} {}", command.name, command.usage).trim_end());
        reply.simple(&format!("    {}", command.summary));
    }
    Ok(())
}

/// The error of a subcommand that looks at the number of its arguments by itself.
pub fn unknown_or_wrong_number(args: &Args) -> Stop {
    let request = args.request();
    let after = format!("'. Try {} HELP.", String::from_utf8_lossy(request.arg(0)).to_uppercase());
    error_showing("ERR unknown subcommand or wrong number of arguments for '", request.arg(1), &after)
}
