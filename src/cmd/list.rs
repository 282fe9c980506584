//! List commands that answer at once. What a list is stands in `types::list`; those that wait for an element stand in `list::blocking`
//! and share the moving and popping below.

pub mod blocking;

use super::args::Args;
use super::command::{Access, COMMAND, Command, Deprecated, Flag, Group, KeyFlag, KeySpec, Run, counted_keys, key};
use super::error::{COUNT_OUT_OF_RANGE, Done, NO_SUCH_KEY, OUT_OF_RANGE_INDEX, SYNTAX, Stop, error};
use crate::db::effect::Class;
use crate::db::{Edit, View};
use crate::ds::deque::End;
use crate::resp::reply::Reply;
use crate::types::list::{Limits, List, Search};

use Flag::{DenyOom, Fast, MovableKeys};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "LINDEX",
        arity: 3,
        run: Run::Read(lindex),
        keys: &[key(1, Access::Ro, &[KeyFlag::Access])],
        group: Group::List,
        cost: "O(N), where N is the number of elements between the nearer end and the index; O(1) for the first and the last element.",
        usage: "key index",
        summary: "Returns the element of a list at an index.",
        ..COMMAND
    },
    Command {
        name: "LINSERT",
        arity: 5,
        run: Run::Write(linsert),
        flags: &[DenyOom],
        keys: &[key(1, Access::Rw, &[KeyFlag::Insert])],
        group: Group::List,
        since: "2.2.0",
        cost: "O(N), where N is the number of elements in front of the pivot.",
        usage: "key <BEFORE | AFTER> pivot element",
        summary: "Puts an element in front of or behind another one of a list.",
        ..COMMAND
    },
    Command {
        name: "LLEN",
        arity: 2,
        run: Run::Read(llen),
        flags: &[Fast],
        keys: &[key(1, Access::Ro, &[])],
        group: Group::List,
        usage: "key",
        summary: "Returns how many elements a list has.",
        ..COMMAND
    },
    Command {
        name: "LMOVE",
        arity: 5,
        run: Run::Write(lmove),
        flags: &[DenyOom],
        keys: MOVE_KEYS,
        group: Group::List,
        since: "6.2.0",
        usage: "source destination <LEFT | RIGHT> <LEFT | RIGHT>",
        summary: "Takes an element from an end of a list, adds it to an end of another one, and returns it.",
        ..COMMAND
    },
    Command {
        name: "LMPOP",
        arity: -4,
        run: Run::Write(lmpop),
        flags: &[MovableKeys],
        keys: &[counted_keys(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Delete])],
        group: Group::List,
        since: "7.0.0",
        cost: "O(N+M), where N is the number of keys and M is the number of elements returned.",
        usage: "numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
        summary: "Takes elements from an end of the first of several lists that has any.",
        ..COMMAND
    },
    Command {
        name: "LPOP",
        arity: -2,
        run: Run::Write(lpop),
        flags: &[Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Delete])],
        group: Group::List,
        cost: "O(N), where N is the number of elements returned.",
        usage: "key [count]",
        summary: "Takes elements from the front of a list.",
        ..COMMAND
    },
    Command {
        name: "LPOS",
        arity: -3,
        run: Run::Read(lpos),
        keys: &[key(1, Access::Ro, &[KeyFlag::Access])],
        group: Group::List,
        since: "6.0.6",
        cost: "O(N), where N is the number of elements of the list; less where a match lies near the end from which it is looked for, or with MAXLEN.",
        usage: "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
        summary: "Returns the indexes of elements of a list that are equal to a given one.",
        ..COMMAND
    },
    Command {
        name: "LPUSH",
        arity: -3,
        run: Run::Write(lpush),
        flags: &[DenyOom, Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Insert])],
        group: Group::List,
        cost: "O(1) for each element added.",
        usage: "key element [element ...]",
        summary: "Puts elements in front of a list, making the list where there is none.",
        ..COMMAND
    },
    Command {
        name: "LPUSHX",
        arity: -3,
        run: Run::Write(lpushx),
        flags: &[DenyOom, Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Insert])],
        group: Group::List,
        since: "2.2.0",
        cost: "O(1) for each element added.",
        usage: "key element [element ...]",
        summary: "Puts elements in front of a list that exists.",
        ..COMMAND
    },
    Command {
        name: "LRANGE",
        arity: 4,
        run: Run::Read(lrange),
        keys: &[key(1, Access::Ro, &[KeyFlag::Access])],
        group: Group::List,
        cost: "O(S+N), where S is the distance of the start from the nearer end of the list and N is the number of elements returned.",
        usage: "key start stop",
        summary: "Returns the elements of a list between two indexes.",
        ..COMMAND
    },
    Command {
        name: "LREM",
        arity: 4,
        run: Run::Write(lrem),
        keys: &[key(1, Access::Rw, &[KeyFlag::Delete])],
        group: Group::List,
        cost: "O(N+M), where N is the length of the list and M is the number of elements removed.",
        usage: "key count element",
        summary: "Removes elements of a list that are equal to a given one.",
        ..COMMAND
    },
    Command {
        name: "LSET",
        arity: 4,
        run: Run::Write(lset),
        flags: &[DenyOom],
        keys: &[key(1, Access::Rw, &[KeyFlag::Update])],
        group: Group::List,
        cost: "O(N), where N is the length of the list; O(1) for the first and the last element.",
        usage: "key index element",
        summary: "Overwrites the element of a list at an index.",
        ..COMMAND
    },
    Command {
        name: "LTRIM",
        arity: 4,
        run: Run::Write(ltrim),
        keys: &[key(1, Access::Rw, &[KeyFlag::Delete])],
        group: Group::List,
        cost: "O(N), where N is the number of elements removed.",
        usage: "key start stop",
        summary: "Keeps only the elements of a list between two indexes.",
        ..COMMAND
    },
    Command {
        name: "RPOP",
        arity: -2,
        run: Run::Write(rpop),
        flags: &[Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Delete])],
        group: Group::List,
        cost: "O(N), where N is the number of elements returned.",
        usage: "key [count]",
        summary: "Takes elements from the back of a list.",
        ..COMMAND
    },
    Command {
        name: "RPOPLPUSH",
        deprecated: Some(Deprecated { since: "6.2.0", instead: "`LMOVE` with the `RIGHT` and `LEFT` arguments" }),
        arity: 3,
        run: Run::Write(rpoplpush),
        flags: &[DenyOom],
        keys: MOVE_KEYS,
        group: Group::List,
        since: "1.2.0",
        usage: "source destination",
        summary: "Takes the last element of a list, puts it in front of another one, and returns it.",
        ..COMMAND
    },
    Command {
        name: "RPUSH",
        arity: -3,
        run: Run::Write(rpush),
        flags: &[DenyOom, Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Insert])],
        group: Group::List,
        cost: "O(1) for each element added.",
        usage: "key element [element ...]",
        summary: "Puts elements behind a list, making the list where there is none.",
        ..COMMAND
    },
    Command {
        name: "RPUSHX",
        arity: -3,
        run: Run::Write(rpushx),
        flags: &[DenyOom, Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Insert])],
        group: Group::List,
        since: "2.2.0",
        cost: "O(1) for each element added.",
        usage: "key element [element ...]",
        summary: "Puts elements behind a list that exists.",
        ..COMMAND
    },
];

const MOVE_KEYS: &[KeySpec] =
    &[key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Delete]), key(2, Access::Rw, &[KeyFlag::Insert])];

const NOT_A_COUNT: &str = "ERR value is out of range, must be positive";
const RANK_IS_ZERO: &str = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
                            or use negative to start from the end of the list";

fn limits(edit: &Edit) -> Limits {
    Limits { max_listpack_size: i64::from(edit.config.list_max_listpack_size) }
}

const fn push_event(end: End) -> &'static str {
    match end {
        End::Front => "lpush",
        End::Back => "rpush",
    }
}

const fn pop_event(end: End) -> &'static str {
    match end {
        End::Front => "lpop",
        End::Back => "rpop",
    }
}

fn lpush(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    push(End::Front, edit, args, reply)
}

fn rpush(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    push(End::Back, edit, args, reply)
}

#[inline]
fn push(end: End, edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let (limits, count) = (limits(edit), args.len());

    let mut list = edit.get_or_new::<List>(key)?;
    match count {
        1 => list.push(end, args.next()?, &limits),
        _ => list.extend(end, args.rest(), &limits),
    }
    let len = list.len();
    drop(list);
    edit.grown(key, Class::List, push_event(end), count);

    reply.count(len);
    Ok(())
}

fn lpushx(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    push_to_existing(End::Front, edit, args, reply)
}

fn rpushx(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    push_to_existing(End::Back, edit, args, reply)
}

fn push_to_existing(end: End, edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    if edit.list_mut(key)?.is_none() {
        reply.int(0);
        return Ok(());
    }
    let mut all = Args::new(args.request(), args.position() - 1);
    push(end, edit, &mut all, reply)
}

fn lpop(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    pop(End::Front, edit, args, reply)
}

fn rpop(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    pop(End::Back, edit, args, reply)
}

#[inline]
fn pop(end: End, edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    if !args.is_empty() {
        return pop_several(end, key, edit, args, reply);
    }
    pop_one(end, key, edit, reply)
}

/// Takes one element, which must be there for anything to change, and replies with it.
#[inline]
fn pop_one(end: End, key: &[u8], edit: &mut Edit, reply: &mut Reply) -> Done {
    let limits = limits(edit);

    let Some(mut list) = edit.list_mut(key)? else {
        reply.null();
        return Ok(());
    };
    list.pop(end, &limits, |item| reply.item(item));
    drop(list);
    edit.changed(key, Class::List, pop_event(end));
    Ok(())
}

fn pop_several(end: End, key: &[u8], edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    if args.len() > 1 {
        return Err(wrong_number_for(pop_event(end)));
    }
    let count = args.int_in(0..=i64::MAX, NOT_A_COUNT)? as usize;

    if edit.list_mut(key)?.is_none() {
        reply.null_array();
        return Ok(());
    }
    take(end, key, count, edit, reply)?;
    Ok(())
}

fn wrong_number_for(name: &str) -> Stop {
    super::error::error_with(format!("ERR wrong number of arguments for '{name}' command"))
}

/// Takes up to `count` elements of an existing list, outermost first, and replies with an array of them; how many there were.
fn take(end: End, key: &[u8], count: usize, edit: &mut Edit, reply: &mut Reply) -> Result<usize, Stop> {
    let limits = limits(edit);
    let Some(mut list) = edit.list_mut(key)? else { return Ok(0) };
    let (len, count) = (list.len(), count.min(list.len()));

    reply.array(count);
    if count == 0 {
        return Ok(0);
    }
    // A list holds less than 2^63 elements by far.
    match end {
        End::Front => {
            list.range(0, count as i64 - 1).for_each(|item| reply.item(item));
            list.trim(count as i64, -1, &limits);
        }
        End::Back => {
            list.iter_back().take(count).for_each(|item| reply.item(item));
            // The elements behind those that stay: nothing is left where all were taken.
            list.trim(-(len as i64), -(count as i64) - 1, &limits);
        }
    }
    drop(list);
    edit.changed_many(key, Class::List, pop_event(end), count);
    Ok(count)
}

fn llen(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    reply.count(view.list(args.next()?)?.map_or(0, List::len));
    Ok(())
}

fn lindex(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let list = view.list(args.next()?)?;
    // As in Redis, no list makes any index good.
    let Some(list) = list else {
        reply.null();
        return Ok(());
    };
    match list.get(args.int()?) {
        Some(item) => reply.item(item),
        None => reply.null(),
    }
    Ok(())
}

fn lrange(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, from, to) = (args.next()?, args.int()?, args.int()?);

    let Some(list) = view.list(key)? else {
        reply.array(0);
        return Ok(());
    };
    let range = list.range(from, to);
    reply.array(range.len());
    range.for_each(|item| reply.item(item));
    Ok(())
}

fn lset(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, limits) = (args.next()?, limits(edit));

    let mut list = edit.list_mut(key)?.ok_or(NO_SUCH_KEY)?;
    // Redis cuts the index down to 32 bits.
    let (index, text) = (args.int()? as i32, args.next()?);
    if !list.set(i64::from(index), text, &limits) {
        return Err(OUT_OF_RANGE_INDEX);
    }
    drop(list);
    edit.changed(key, Class::List, "lset");

    reply.ok();
    Ok(())
}

fn linsert(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let behind = match args {
        _ if args.option("before") => false,
        _ if args.option("after") => true,
        _ => return Err(SYNTAX),
    };
    let (pivot, text, limits) = (args.next()?, args.next()?, limits(edit));

    let Some(mut list) = edit.list_mut(key)? else {
        reply.int(0);
        return Ok(());
    };
    if !list.insert(pivot, behind, text, &limits) {
        reply.int(-1);
        return Ok(());
    }
    let len = list.len();
    drop(list);
    edit.changed(key, Class::List, "linsert");

    reply.count(len);
    Ok(())
}

fn lrem(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, count, text) = (args.next()?, not_the_least(args)?, args.next()?);
    let limits = limits(edit);

    let removed = edit.list_mut(key)?.map_or(0, |mut list| list.remove(count, text, &limits));
    if removed > 0 {
        edit.changed_many(key, Class::List, "lrem", removed);
    }

    reply.count(removed);
    Ok(())
}

fn ltrim(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, from, to) = (args.next()?, args.int()?, args.int()?);
    let limits = limits(edit);

    let removed = edit.list_mut(key)?.map(|mut list| {
        let before = list.len();
        list.trim(from, to, &limits);
        before - list.len()
    });
    if let Some(removed) = removed {
        // Trimming nothing off breaks a WATCH and notifies all the same.
        edit.changed_many(key, Class::List, "ltrim", removed);
    }

    reply.ok();
    Ok(())
}

fn lpos(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, text) = (args.next()?, args.next()?);
    let (mut search, mut wants_all) = (Search { rank: 1, count: 1, maxlen: 0 }, false);
    while !args.is_empty() {
        if args.option_with_value("rank") {
            search.rank = rank(args)?;
        } else if args.option_with_value("count") {
            search.count = args.int_in(0..=i64::MAX, "ERR COUNT can't be negative")? as usize;
            wants_all = true;
        } else if args.option_with_value("maxlen") {
            search.maxlen = args.int_in(0..=i64::MAX, "ERR MAXLEN can't be negative")? as usize;
        } else {
            return Err(SYNTAX);
        }
    }

    let list = view.list(key)?;
    if !wants_all {
        let mut found = None;
        list.into_iter().for_each(|list| list.positions(text, &search, |index| found = Some(index)));
        match found {
            Some(index) => reply.count(index),
            None => reply.null(),
        }
        return Ok(());
    }
    let (start, mut count) = (reply.later(), 0);
    list.into_iter().for_each(|list| {
        list.positions(text, &search, |index| {
            reply.count(index);
            count += 1;
        });
    });
    reply.finish_array(start, count);
    Ok(())
}

fn rank(args: &mut Args) -> Result<i64, Stop> {
    match not_the_least(args)? {
        0 => Err(error(RANK_IS_ZERO)),
        rank => Ok(rank),
    }
}

/// An integer that has an opposite.
fn not_the_least(args: &mut Args) -> Result<i64, Stop> {
    match args.int()? {
        i64::MIN => Err(error(COUNT_OUT_OF_RANGE)),
        value => Ok(value),
    }
}

fn rpoplpush(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (source, destination) = (args.next()?, args.next()?);
    move_or_null((source, End::Back), (destination, End::Front), edit, reply)
}

fn lmove(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (source, destination) = (args.next()?, args.next()?);
    let (from, to) = (end(args)?, end(args)?);
    move_or_null((source, from), (destination, to), edit, reply)
}

fn move_or_null(from: Place, to: Place, edit: &mut Edit, reply: &mut Reply) -> Done {
    if !move_one(from, to, edit, reply)? {
        reply.null();
    }
    Ok(())
}

/// An end of the list under a key.
type Place<'a> = (&'a [u8], End);

/// LEFT or RIGHT.
fn end(args: &mut Args) -> Result<End, Stop> {
    match args {
        _ if args.option("left") => Ok(End::Front),
        _ if args.option("right") => Ok(End::Back),
        _ => Err(SYNTAX),
    }
}

/// Moves one element and replies with it; false, without a reply, where there is none.
fn move_one((source, from): Place, (destination, to): Place, edit: &mut Edit, reply: &mut Reply) -> Result<bool, Stop> {
    let limits = limits(edit);
    if edit.list_mut(source)?.is_none() {
        return Ok(false);
    }
    edit.list_mut(destination)?;

    let moved = match edit.list_mut(source)? {
        Some(mut list) if source == destination => list.turn(from, to, &limits),
        Some(mut list) => list.pop(from, &limits, |item| item.to_vec()),
        None => None,
    };
    let Some(text) = moved else { return Ok(false) };
    if source != destination {
        edit.get_or_new::<List>(destination)?.push(to, &text, &limits);
    }
    edit.changed(destination, Class::List, push_event(to));
    edit.changed(source, Class::List, pop_event(from));

    reply.bulk(&text);
    Ok(true)
}

fn lmpop(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let wanted = Wanted::read(args)?;
    if !wanted.take_first(edit, reply)? {
        reply.null_array();
    }
    Ok(())
}

/// What LMPOP and BLMPOP were asked for.
struct Wanted<'a> {
    keys: super::args::Rest<'a>,
    end: End,
    count: usize,
}

impl<'a> Wanted<'a> {
    fn read(args: &mut Args<'a>) -> Result<Self, Stop> {
        let count = args.int_in(1..=i64::MAX, "ERR numkeys should be greater than 0")?;
        let keys = args.take(usize::try_from(count).map_err(|_| SYNTAX)?)?;
        let mut wanted = Wanted { keys, end: end(args)?, count: 1 };
        if args.option_with_value("count") {
            wanted.count = args.int_in(1..=i64::MAX, "ERR count should be greater than 0")? as usize;
        }
        args.end()?;
        Ok(wanted)
    }

    /// Takes from the first list there is, and replies; false, without a reply, where there is none.
    fn take_first(&self, edit: &mut Edit, reply: &mut Reply) -> Result<bool, Stop> {
        for key in self.keys.clone() {
            if edit.list_mut(key)?.is_none() {
                continue;
            }
            reply.array(2);
            reply.bulk(key);
            let taken = take(self.end, key, self.count, edit, reply)?;
            // Replayed, another list might be the first.
            journal_pop(self.end, key, Some(taken), edit);
            return Ok(true);
        }
        Ok(false)
    }
}

/// The journal tells from which list elements were taken, and how many.
fn journal_pop(end: End, key: &[u8], count: Option<usize>, edit: &mut Edit) {
    if !edit.is_journaling() {
        return;
    }
    let name: &[u8] = if end == End::Front { b"LPOP" } else { b"RPOP" };
    match count {
        Some(count) => edit.journal_instead([name, key, count.to_string().as_bytes()]),
        None => edit.journal_instead([name, key]),
    }
}

#[cfg(test)]
mod tests;
