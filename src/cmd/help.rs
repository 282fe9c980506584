//! What HELP subcommands answer, in the frame that all of them share.

use super::error::Done;
use crate::resp::reply::Reply;

/// Replies with the help of `command`: pairs of a subcommand's syntax and the lines that explain it.
pub fn help(reply: &mut Reply, command: &str, subcommands: &[(&str, &[&str])]) -> Done {
    let lines: usize = subcommands.iter().map(|(_, text)| 1 + text.len()).sum();
    reply.array(lines + 3);
    reply.simple(&format!("{command} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for (syntax, text) in subcommands {
        reply.simple(syntax);
        text.iter().for_each(|line| reply.simple(&format!("    {line}")));
    }
    reply.simple("HELP");
    reply.simple("    Print this help.");
    Ok(())
}

/// The error of a command that finds its own subcommands, for one it does not know or that has another number of arguments.
pub fn unknown_subcommand(command: &str, name: &[u8]) -> super::error::Stop {
    let shown = String::from_utf8_lossy(&name[..name.len().min(128)]);
    super::error::error_with(format!(
        "ERR unknown subcommand or wrong number of arguments for '{shown}'. Try {command} HELP."
    ))
}
