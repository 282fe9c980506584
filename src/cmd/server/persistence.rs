//! Commands about the snapshot file: BGSAVE, LASTSAVE, SAVE.

use crate::cmd::args::Args;
use crate::cmd::command::{COMMAND, Category, Command, Flag, Group, Run};
use crate::cmd::error::{Done, SYNTAX, Stop, error, error_with};
use crate::resp::reply::Reply;
use crate::server::{Server, SessionId};

use Flag::{Admin, Fast, Loading, NoAsyncLoading, NoMulti, Noscript, Stale};

const IN_PROGRESS: Stop = error("ERR Background save already in progress");

pub const COMMANDS: &[Command] = &[
    Command {
        name: "BGSAVE",
        arity: -1,
        run: Run::Server(bgsave),
        flags: &[Admin, Noscript, NoAsyncLoading],
        group: Group::Server,
        usage: "[SCHEDULE]",
        summary: "Saves the data to the disk as they are now, while the server goes on.",
        ..COMMAND
    },
    Command {
        name: "LASTSAVE",
        arity: 1,
        run: Run::Server(last_save),
        flags: &[Loading, Stale, Fast],
        group: Group::Server,
        categories: &[Category::Admin, Category::Dangerous],
        summary: "Tells when the data were last saved to the disk, as Unix time.",
        tips: &["nondeterministic_output"],
        ..COMMAND
    },
    Command {
        name: "SAVE",
        arity: 1,
        run: Run::Server(save),
        flags: &[Admin, Noscript, NoAsyncLoading, NoMulti],
        group: Group::Server,
        cost: "O(N) where N is the number of keys in all databases.",
        summary: "Saves all data to the disk before anything else is done.",
        ..COMMAND
    },
];

fn bgsave(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let may_wait = args.option("SCHEDULE");
    args.end().map_err(|_| SYNTAX)?;
    if server.saving.is_running() {
        return Err(IN_PROGRESS);
    }
    // Inside a transaction Redis saves after it.
    let is_inside = server.is_inside_a_command();
    if is_inside || !server.may_begin_snapshot() {
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

    server.begin_save().map_err(|reason| error_with(format!("ERR {reason}")))?;

    reply.simple("Background saving started");
    Ok(())
}

fn last_save(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    reply.int(server.saving.last_saved_s as i64);
    Ok(())
}

fn save(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    if server.saving.is_running() {
        return Err(IN_PROGRESS);
    }
    server.save_now().map_err(|_| error("ERR"))?;
    reply.ok();
    Ok(())
}
