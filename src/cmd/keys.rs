//! Commands on keys whatever they hold.

use super::args::Args;
use super::command::{Access, COMMAND, Command, Group, KeyFlag, Run, keys};
use super::error::Done;
use crate::db::Edit;
use crate::db::effect::Class;
use crate::resp::reply::Reply;

pub const COMMANDS: &[Command] = &[Command {
    name: "DEL",
    arity: -2,
    run: Run::Write(del),
    keys: &[keys(1, -1, 1, Access::Rm, &[KeyFlag::Delete])],
    group: Group::Generic,
    cost: "O(N) where N is the number of keys",
    usage: "key [key ...]",
    summary: "Removes keys.",
    ..COMMAND
}];

fn del(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let mut removed = 0;
    for key in args.rest() {
        if edit.remove(key) {
            edit.changed(key, Class::Generic, "del");
            removed += 1;
        }
    }
    reply.int(removed);
    Ok(())
}
