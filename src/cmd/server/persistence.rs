//! Commands about the snapshot file: SAVE, LASTSAVE.

use crate::cmd::args::Args;
use crate::cmd::command::{COMMAND, Category, Command, Flag, Group, Run};
use crate::cmd::error::{Done, error};
use crate::resp::reply::Reply;
use crate::server::{Server, SessionId};

use Flag::{Admin, Fast, Loading, NoAsyncLoading, NoMulti, Noscript, Stale};

pub const COMMANDS: &[Command] = &[
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

fn last_save(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    reply.int(server.snapshots.last_save_s as i64);
    Ok(())
}

fn save(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    server.save_now().map_err(|_| error("ERR"))?;
    reply.ok();
    Ok(())
}
