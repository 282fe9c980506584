//! Sorted set commands that take members from an end: ZPOPMIN, ZMPOP, and their relatives that wait for a member.
//!
//! Who waits, for how long and in which order is the business of `server::waiting`: when a key is touched the same request is run again.

use super::super::args::{Args, Rest};
use super::super::command::{Access, COMMAND, Command, Flag, Group, KeyFlag, KeySpec, Run, counted_keys, key, keys};
use super::super::error::{Done, SYNTAX, Stop, TimeoutReply, Wait};
use super::{announce_entries, write_entry};
use crate::db::Edit;
use crate::db::effect::Class;
use crate::resp::reply::Reply;
use crate::types::value::Kind;
use crate::types::zset::Zset;
use crate::util::number::IntegerText;

use Flag::{Blocking, Fast, MovableKeys};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "BZMPOP",
        arity: -5,
        run: Run::Write(bzmpop),
        flags: &[Blocking, MovableKeys],
        keys: &[counted_keys(2, Access::Rw, TAKEN)],
        group: Group::SortedSet,
        since: "7.0.0",
        cost: MANY_COST,
        usage: "timeout numkeys key [key ...] <MIN | MAX> [COUNT count]",
        summary: "Takes members from an end of the first of several sorted sets that has any, waiting for one where none has.",
        ..COMMAND
    },
    Command {
        name: "BZPOPMAX",
        arity: -3,
        run: Run::Write(bzpopmax),
        flags: &[Blocking, Fast],
        keys: WAITING_KEYS,
        group: Group::SortedSet,
        since: "5.0.0",
        cost: "O(log(N)), where N is the number of members of the sorted set.",
        usage: "key [key ...] timeout",
        summary: "Takes the highest member of the first of several sorted sets that has any, waiting for one where none has.",
        ..COMMAND
    },
    Command {
        name: "BZPOPMIN",
        arity: -3,
        run: Run::Write(bzpopmin),
        flags: &[Blocking, Fast],
        keys: WAITING_KEYS,
        group: Group::SortedSet,
        since: "5.0.0",
        cost: "O(log(N)), where N is the number of members of the sorted set.",
        usage: "key [key ...] timeout",
        summary: "Takes the lowest member of the first of several sorted sets that has any, waiting for one where none has.",
        ..COMMAND
    },
    Command {
        name: "ZMPOP",
        arity: -4,
        run: Run::Write(zmpop),
        flags: &[MovableKeys],
        keys: &[counted_keys(1, Access::Rw, TAKEN)],
        group: Group::SortedSet,
        since: "7.0.0",
        cost: MANY_COST,
        usage: "numkeys key [key ...] <MIN | MAX> [COUNT count]",
        summary: "Takes members from an end of the first of several sorted sets that has any.",
        ..COMMAND
    },
    Command {
        name: "ZPOPMAX",
        arity: -2,
        run: Run::Write(zpopmax),
        flags: &[Fast],
        keys: &[key(1, Access::Rw, TAKEN)],
        group: Group::SortedSet,
        since: "5.0.0",
        cost: COST,
        usage: "key [count]",
        summary: "Takes the members with the highest scores.",
        ..COMMAND
    },
    Command {
        name: "ZPOPMIN",
        arity: -2,
        run: Run::Write(zpopmin),
        flags: &[Fast],
        keys: &[key(1, Access::Rw, TAKEN)],
        group: Group::SortedSet,
        since: "5.0.0",
        cost: COST,
        usage: "key [count]",
        summary: "Takes the members with the lowest scores.",
        ..COMMAND
    },
];

const TAKEN: &[KeyFlag] = &[KeyFlag::Access, KeyFlag::Delete];
const WAITING_KEYS: &[KeySpec] = &[keys(1, -2, 1, Access::Rw, TAKEN)];
const COST: &str =
    "O(log(N)+M), where N is the number of members of the sorted set and M is the number of those taken.";
const MANY_COST: &str = "O(K+log(N)+M), where K is the number of keys, N is the number of members of the sorted set and M is the number of those taken.";

/// The end that members are taken from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Lowest,
    Highest,
}

impl End {
    const fn event(self) -> &'static str {
        match self {
            End::Lowest => "zpopmin",
            End::Highest => "zpopmax",
        }
    }

    const fn command(self) -> &'static [u8] {
        match self {
            End::Lowest => b"ZPOPMIN",
            End::Highest => b"ZPOPMAX",
        }
    }
}

fn zpopmin(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    pop(End::Lowest, edit, args, reply)
}

fn zpopmax(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    pop(End::Highest, edit, args, reply)
}

fn pop(end: End, edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    if args.len() > 1 {
        return Err(SYNTAX);
    }
    let counted = !args.is_empty();
    let count = match counted {
        true => args.int_in(0..=i64::MAX, "ERR value is out of range, must be positive")? as u64,
        false => 1,
    };

    let Some(mut zset) = edit.get_mut::<Zset>(key)?.filter(|_| count > 0) else {
        reply.array(0);
        return Ok(());
    };
    let count = count.min(zset.len());
    if counted {
        announce_entries(count as usize, true, reply);
        zset.pop(count, end == End::Highest, |entry| write_entry(entry, true, reply));
    } else {
        // Without a count there are no pairs, not even in RESP3.
        reply.array(2);
        take_one(end, &mut zset, reply);
    }
    drop(zset);
    edit.changed_many(key, Class::Zset, end.event(), count as usize);
    Ok(())
}

/// Writes the outermost member and its score, one behind the other, and removes it.
fn take_one(end: End, zset: &mut Zset, reply: &mut Reply) {
    zset.pop(1, end == End::Highest, |entry| {
        reply.item(entry.member);
        reply.double(entry.score);
    });
}

fn bzpopmin(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    pop_first(End::Lowest, edit, args, reply)
}

fn bzpopmax(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    pop_first(End::Highest, edit, args, reply)
}

fn pop_first(end: End, edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let keys = args.take(args.len() - 1)?;
    let deadline = args.deadline(edit.now)?;

    for key in keys.clone() {
        let Some(mut zset) = edit.get_mut::<Zset>(key)? else { continue };
        reply.array(3);
        reply.bulk(key);
        take_one(end, &mut zset, reply);
        drop(zset);
        edit.changed(key, Class::Zset, end.event());
        edit.journal_instead([end.command(), key]);
        return Ok(());
    }
    Err(wait(keys, deadline))
}

fn zmpop(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let wanted = Wanted::read(args)?;

    if !wanted.take_first(edit, reply)? {
        reply.null_array();
    }
    Ok(())
}

fn bzmpop(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
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

/// `numkeys key [key ...] <MIN | MAX> [COUNT count]`
struct Wanted<'a> {
    keys: Rest<'a>,
    end: End,
    count: u64,
}

impl<'a> Wanted<'a> {
    fn read(args: &mut Args<'a>) -> Result<Self, Stop> {
        let numkeys = args.int_in(1..=i64::MAX, "ERR numkeys should be greater than 0")?;
        let keys = args.take(usize::try_from(numkeys).map_err(|_| SYNTAX)?)?;
        let end = match () {
            () if args.option("MIN") => End::Lowest,
            () if args.option("MAX") => End::Highest,
            () => return Err(SYNTAX),
        };
        let count = match args.option_with_value("COUNT") {
            true => args.int_in(1..=i64::MAX, "ERR count should be greater than 0")? as u64,
            false => 1,
        };
        args.end()?;
        Ok(Self { keys, end, count })
    }

    /// Takes members from the first sorted set that there is; false where there is none.
    fn take_first(&self, edit: &mut Edit, reply: &mut Reply) -> Result<bool, Stop> {
        for key in self.keys.clone() {
            let Some(mut zset) = edit.get_mut::<Zset>(key)? else { continue };
            let count = self.count.min(zset.len());
            reply.array(2);
            reply.bulk(key);
            reply.array(count as usize);
            zset.pop(count, self.end == End::Highest, |entry| {
                reply.array(2);
                reply.item(entry.member);
                reply.double(entry.score);
            });
            drop(zset);
            edit.changed_many(key, Class::Zset, self.end.event(), count as usize);
            edit.journal_instead([self.end.command(), key, IntegerText::unsigned(count).as_bytes()]);
            return Ok(true);
        }
        Ok(false)
    }
}

fn wait<'a>(keys: impl Iterator<Item = &'a [u8]>, deadline: Option<u64>) -> Stop {
    Stop::Wait(Wait {
        keys: keys.map(Box::from).collect(),
        deadline,
        on_timeout: TimeoutReply::NullArray,
        wants: Kind::Zset,
        reading: None,
    })
}
