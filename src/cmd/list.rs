//! List commands.

use super::args::Args;
use super::command::{Access, COMMAND, Command, Flag, Group, KeyFlag, Run, key};
use super::error::Done;
use crate::db::Edit;
use crate::db::effect::Class;
use crate::ds::deque::End;
use crate::resp::reply::Reply;
use crate::types::list::{Limits, List};

use Flag::{DenyOom, Fast};

pub const COMMANDS: &[Command] = &[Command {
    name: "LPUSH",
    arity: -3,
    run: Run::Write(lpush),
    flags: &[DenyOom, Fast],
    keys: &[key(1, Access::Rw, &[KeyFlag::Insert])],
    group: Group::List,
    usage: "key element [element ...]",
    summary: "Puts elements in front of a list, making the list where there is none.",
    ..COMMAND
}];

fn limits(edit: &Edit) -> Limits {
    Limits { max_listpack_size: i64::from(edit.config.list_max_listpack_size) }
}

fn lpush(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let (limits, count) = (limits(edit), args.len());

    let list = edit.get_or_new::<List>(key)?;
    list.extend(End::Front, args.rest(), &limits);
    let len = list.len();
    edit.changed_many(key, Class::List, "lpush", count);

    reply.count(len);
    Ok(())
}
