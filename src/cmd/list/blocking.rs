//! List commands that wait for an element where there is none: BLPOP, BRPOP, BLMOVE, BRPOPLPUSH, BLMPOP.
//!
//! Each first does what its namesake without B does. Who waits, for how long and in which order is the business of `server::waiting`:
//! when a key is touched the same request is run again.

use super::super::args::Args;
use super::super::command::{Access, COMMAND, Command, Flag, Group, KeyFlag, KeySpec, Run, counted_keys, keys};
use super::super::error::{Done, Stop, TimeoutReply, Wait};
use super::{MOVE_KEYS, Place, Wanted, end, journal_pop, move_one, pop_one};
use crate::db::Edit;
use crate::ds::deque::End;
use crate::resp::reply::Reply;
use crate::types::value::Kind;

use Flag::{Blocking, DenyOom, MovableKeys};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "BLMOVE",
        arity: 6,
        run: Run::Write(blmove),
        flags: &[DenyOom, Blocking],
        keys: MOVE_KEYS,
        group: Group::List,
        since: "6.2.0",
        usage: "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout",
        summary: "Moves an element from one list to another and returns it, waiting for one where there is none.",
        ..COMMAND
    },
    Command {
        name: "BLMPOP",
        arity: -5,
        run: Run::Write(blmpop),
        flags: &[Blocking, MovableKeys],
        keys: &[counted_keys(2, Access::Rw, &[KeyFlag::Access, KeyFlag::Delete])],
        group: Group::List,
        since: "7.0.0",
        cost: "O(N+M), where N is the number of keys and M is the number of elements returned.",
        usage: "timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
        summary: "Takes elements from the first of several lists that has any, waiting for one where none has.",
        ..COMMAND
    },
    Command {
        name: "BLPOP",
        arity: -3,
        run: Run::Write(blpop),
        flags: &[Blocking],
        keys: POP_KEYS,
        group: Group::List,
        since: "2.0.0",
        cost: "O(N), where N is the number of keys.",
        usage: "key [key ...] timeout",
        summary: "Takes the first element of the first of several lists that has any, waiting for one where none has.",
        ..COMMAND
    },
    Command {
        name: "BRPOP",
        arity: -3,
        run: Run::Write(brpop),
        flags: &[Blocking],
        keys: POP_KEYS,
        group: Group::List,
        since: "2.0.0",
        cost: "O(N), where N is the number of keys.",
        usage: "key [key ...] timeout",
        summary: "Takes the last element of the first of several lists that has any, waiting for one where none has.",
        ..COMMAND
    },
    Command {
        name: "BRPOPLPUSH",
        arity: 4,
        run: Run::Write(brpoplpush),
        flags: &[DenyOom, Blocking],
        keys: MOVE_KEYS,
        group: Group::List,
        since: "2.2.0",
        usage: "source destination timeout",
        summary: "Takes the last element of a list, waiting for one where there is none, puts it in front of another list, and returns it.",
        ..COMMAND
    },
];

const POP_KEYS: &[KeySpec] = &[keys(1, -2, 1, Access::Rw, &[KeyFlag::Access, KeyFlag::Delete])];

fn blpop(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    pop_first(End::Front, edit, args, reply)
}

fn brpop(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    pop_first(End::Back, edit, args, reply)
}

fn pop_first(end: End, edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let keys = args.take(args.len() - 1)?;
    let deadline = args.deadline(edit.now)?;

    for key in keys.clone() {
        if edit.list_mut(key)?.is_none() {
            continue;
        }
        reply.array(2);
        reply.bulk(key);
        pop_one(end, key, edit, reply)?;
        journal_pop(end, key, None, edit);
        return Ok(());
    }
    Err(wait(keys, deadline))
}

fn blmpop(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    // Redis judges the timeout last.
    let mut timeout = args.clone();
    args.next()?;
    let wanted = Wanted::read(args)?;
    let deadline = timeout.deadline(edit.now)?;

    if wanted.take_first(edit, reply)? {
        return Ok(());
    }
    Err(wait(wanted.keys, deadline))
}

fn blmove(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (source, destination) = (args.next()?, args.next()?);
    let (from, to) = (end(args)?, end(args)?);
    let deadline = args.deadline(edit.now)?;

    let places = ((source, from), (destination, to));
    if move_or_wait(places, deadline, edit, reply)? {
        edit.journal_instead(replay_of(b"LMOVE", args));
    }
    Ok(())
}

fn brpoplpush(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (source, destination) = (args.next()?, args.next()?);
    let deadline = args.deadline(edit.now)?;

    let places = ((source, End::Back), (destination, End::Front));
    if move_or_wait(places, deadline, edit, reply)? {
        edit.journal_instead(replay_of(b"RPOPLPUSH", args));
    }
    Ok(())
}

/// The request under its name without B and without its timeout.
fn replay_of<'a>(name: &'a [u8], args: &Args<'a>) -> impl Iterator<Item = &'a [u8]> + Clone {
    let request = args.request();
    std::iter::once(name).chain(request.iter().take(request.len() - 1).skip(1))
}

/// True where an element was moved; false where a transaction was told that there is none.
fn move_or_wait(
    (from, to): (Place, Place),
    deadline: Option<u64>,
    edit: &mut Edit,
    reply: &mut Reply,
) -> Result<bool, Stop> {
    if move_one(from, to, edit, reply)? {
        return Ok(true);
    }
    // Redis: a null inside a transaction, a null array when the time is up.
    if !edit.may_wait {
        reply.null();
        return Ok(false);
    }
    Err(wait([from.0].into_iter(), deadline))
}

fn wait<'a>(keys: impl Iterator<Item = &'a [u8]>, deadline: Option<u64>) -> Stop {
    Stop::Wait(Wait {
        keys: keys.map(Box::from).collect(),
        deadline,
        on_timeout: TimeoutReply::NullArray,
        wants: Kind::List,
    })
}
