//! Saving in the background: BGSAVE, LASTSAVE.

use crate::cmd::args::Args;
use crate::cmd::command::{COMMAND, Category, Command, Flag, Group, Run};
use crate::cmd::error::{Done, SYNTAX, error, error_with};
use crate::resp::reply::Reply;
use crate::server::saving::NotNow;
use crate::server::{Server, SessionId};

use Flag::{Admin, Fast, Loading, NoAsyncLoading, Noscript, Stale};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "BGSAVE",
        arity: -1,
        run: Run::Server(bgsave),
        flags: &[Admin, Noscript, NoAsyncLoading],
        group: Group::Server,
        usage: "[SCHEDULE]",
        summary: "Saves the data set to disk as it is now, while the server goes on.",
        ..COMMAND
    },
    Command {
        name: "LASTSAVE",
        arity: 1,
        run: Run::Server(lastsave),
        flags: &[Loading, Stale, Fast],
        group: Group::Server,
        categories: &[Category::Admin, Category::Dangerous],
        summary: "Tells when the data set was last saved.",
        tips: &["nondeterministic_output"],
        ..COMMAND
    },
];

fn bgsave(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let may_wait = args.option("SCHEDULE");
    args.end().map_err(|_| SYNTAX)?;

    // Inside a transaction Redis saves after it.
    let is_inside = server.is_inside_a_command();
    if server.saving.is_running() {
        return Err(error("ERR Background save already in progress"));
    }
    if is_inside || server.keyspace.has_snapshot() {
        if !is_inside && !may_wait {
            return Err(error(
                "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a \
                 BGSAVE whenever possible.",
            ));
        }
        server.saving.is_scheduled = true;
        reply.simple("Background saving scheduled");
        return Ok(());
    }

    match server.begin_save() {
        Ok(()) => reply.simple("Background saving started"),
        Err(NotNow::Failed) => {
            let failure = server.saving.last_failure.as_ref().map_or("", |failure| &failure.text);
            return Err(error_with(format!("ERR {failure}")));
        }
        Err(NotNow::Saving | NotNow::OtherSnapshot) => unreachable!("looked at above"),
    }
    Ok(())
}

fn lastsave(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    reply.int(server.saving.last_saved_s as i64);
    Ok(())
}
