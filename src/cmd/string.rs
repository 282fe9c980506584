//! String commands.

use super::args::Args;
use super::command::{Access, COMMAND, Command, Flag, Group, KeyFlag, Run, key};
use super::error::{Done, NOT_AN_INTEGER, OVERFLOW};
use crate::db::effect::Class;
use crate::db::{Edit, View};
use crate::ds::item::Item;
use crate::resp::reply::Reply;
use crate::types::value::StringRef;

use Flag::{DenyOom, Fast};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "GET",
        arity: 2,
        run: Run::Read(get),
        flags: &[Fast],
        keys: &[key(1, Access::Ro, &[KeyFlag::Access])],
        group: Group::String,
        usage: "key",
        summary: "Returns the string value of a key.",
        ..COMMAND
    },
    Command {
        name: "INCR",
        arity: 2,
        run: Run::Write(incr),
        flags: &[DenyOom, Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Update])],
        group: Group::String,
        usage: "key",
        summary: "Adds one to the integer value of a key.",
        ..COMMAND
    },
    Command {
        name: "SET",
        arity: -3,
        run: Run::Write(set),
        flags: &[DenyOom],
        keys: &[key(1, Access::Ow, &[KeyFlag::Update])],
        group: Group::String,
        usage: "key value",
        summary: "Sets the string value of a key.",
        ..COMMAND
    },
];

/// Replies with a string value; a large one is referred to, not copied.
pub(super) fn reply_string(reply: &mut Reply, value: StringRef) {
    match value {
        StringRef::Blob(blob) => match blob.share() {
            Some(shared) => reply.bulk_shared(bytes::Bytes::from_owner(shared)),
            None => reply.bulk(blob.as_slice()),
        },
        other => reply.item(other.item()),
    }
}

fn get(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    match view.string(args.next()?)? {
        Some(value) => reply_string(reply, value),
        None => reply.null(),
    }
    Ok(())
}

fn set(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, value) = (args.next()?, args.next()?);
    args.end()?;

    edit.set_string(key, value, None);
    edit.changed(key, Class::String, "set");

    reply.ok();
    Ok(())
}

fn incr(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;

    let after = edit.change_integer(key, |before: Option<Item<'_>>| -> Result<i64, super::error::Stop> {
        let before = before.map_or(Some(0), |item| item.as_int()).ok_or(NOT_AN_INTEGER)?;
        before.checked_add(1).ok_or(OVERFLOW)
    })?;
    edit.changed_value(key, Class::String, "incrby");

    reply.int(after);
    Ok(())
}
