//! Commands on keys whatever they hold: removing, renaming, copying, moving, listing. Deadlines stand in `keys::expire`, OBJECT in
//! `keys::object`, DUMP and RESTORE in `keys::dump`.

pub mod dump;
pub mod expire;
pub mod object;
#[cfg(test)]
mod tests;

use super::args::Args;
use super::command::{Access, COMMAND, Category, Command, Flag, Group, KeyFlag, Run, key, keys};
use super::error::{Done, NO_SUCH_KEY, NOT_AN_INTEGER, SYNTAX, Stop, error};
use crate::db::effect::Class;
use crate::db::{DbIndex, Edit, Touch, View, moved};
use crate::resp::reply::{Output, Reply};
use crate::types::value::{self, Kind};
use crate::util::glob::Glob;
use crate::util::number::{IntegerText, parse_i64};

use Flag::{DenyOom, Fast};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "COPY",
        arity: -3,
        run: Run::Write(copy),
        flags: &[DenyOom],
        keys: &[key(1, Access::Ro, &[KeyFlag::Access]), key(2, Access::Ow, &[KeyFlag::Update])],
        group: Group::Generic,
        since: "6.2.0",
        cost: "O(N) for collections, where N is the number of elements; O(1) for strings.",
        usage: "source destination [DB destination-db] [REPLACE]",
        summary: "Copies the value of a key to another key.",
        ..COMMAND
    },
    Command {
        name: "DEL",
        arity: -2,
        run: Run::Write(del),
        keys: &[keys(1, -1, 1, Access::Rm, &[KeyFlag::Delete])],
        group: Group::Generic,
        cost: "O(N) where N is the number of keys; large values are freed in the background.",
        usage: "key [key ...]",
        summary: "Removes keys.",
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        ..COMMAND
    },
    Command {
        name: "EXISTS",
        arity: -2,
        run: Run::Read(exists),
        flags: &[Fast],
        keys: &[keys(1, -1, 1, Access::Ro, &[])],
        group: Group::Generic,
        cost: "O(N) where N is the number of keys.",
        usage: "key [key ...]",
        summary: "Counts which of the keys exist.",
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        ..COMMAND
    },
    Command {
        name: "KEYS",
        arity: 2,
        run: Run::Read(keys_command),
        group: Group::Generic,
        cost: "O(N) with N being the number of keys in the database.",
        usage: "pattern",
        summary: "Returns all keys whose names match a pattern.",
        categories: &[Category::Dangerous],
        tips: &["request_policy:all_shards", "nondeterministic_output_order"],
        ..COMMAND
    },
    Command {
        name: "MOVE",
        arity: 3,
        run: Run::Write(move_command),
        flags: &[Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Update])],
        group: Group::Generic,
        usage: "key db",
        summary: "Moves a key to another database.",
        ..COMMAND
    },
    Command {
        name: "RANDOMKEY",
        arity: 1,
        run: Run::Read(randomkey),
        group: Group::Generic,
        summary: "Returns the name of some key.",
        tips: &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"],
        ..COMMAND
    },
    Command {
        name: "RENAME",
        arity: 3,
        run: Run::Write(rename),
        keys: &[key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Delete]), key(2, Access::Ow, &[KeyFlag::Update])],
        group: Group::Generic,
        usage: "key newkey",
        summary: "Gives a key another name, replacing the key that has it.",
        ..COMMAND
    },
    Command {
        name: "RENAMENX",
        arity: 3,
        run: Run::Write(renamenx),
        flags: &[Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Delete]), key(2, Access::Ow, &[KeyFlag::Insert])],
        group: Group::Generic,
        usage: "key newkey",
        summary: "Gives a key another name if no key has it.",
        ..COMMAND
    },
    Command {
        name: "SCAN",
        arity: -2,
        run: Run::Read(scan),
        group: Group::Generic,
        since: "2.8.0",
        cost: "O(1) for every call; O(N) for a whole iteration, where N is the number of keys.",
        usage: "cursor [MATCH pattern] [COUNT count] [TYPE type]",
        summary: "Goes through the names of the keys step by step.",
        tips: &["nondeterministic_output", "request_policy:special", "response_policy:special"],
        ..COMMAND
    },
    Command {
        name: "TOUCH",
        arity: -2,
        run: Run::Read(touch),
        flags: &[Fast],
        keys: &[keys(1, -1, 1, Access::Ro, &[])],
        group: Group::Generic,
        since: "3.2.1",
        cost: "O(N) where N is the number of keys.",
        usage: "key [key ...]",
        summary: "Counts which of the keys exist, and makes them the last used ones.",
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        ..COMMAND
    },
    Command {
        name: "TYPE",
        arity: 2,
        run: Run::Read(type_command),
        flags: &[Fast],
        keys: &[key(1, Access::Ro, &[])],
        group: Group::Generic,
        usage: "key",
        summary: "Tells the type of the value of a key.",
        ..COMMAND
    },
    Command {
        name: "UNLINK",
        arity: -2,
        run: Run::Write(del),
        flags: &[Fast],
        keys: &[keys(1, -1, 1, Access::Rm, &[KeyFlag::Delete])],
        group: Group::Generic,
        since: "4.0.0",
        cost: "O(1) for each key; the memory is freed in the background.",
        usage: "key [key ...]",
        summary: "Removes keys and frees their values in the background.",
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        ..COMMAND
    },
];

fn del(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let mut removed = 0;
    for key in args.rest() {
        if edit.remove(key) {
            edit.changed_value(key, Class::Generic, "del");
            removed += 1;
        }
    }
    reply.int(removed);
    Ok(())
}

fn exists(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    reply.count(args.rest().filter(|key| view.untouched(key).is_some()).count());
    Ok(())
}

fn touch(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    // The one command that CLIENT NO-TOUCH does not hold back.
    let view = view.touching(Touch::Yes);
    reply.count(args.rest().filter(|key| view.record(key).is_some()).count());
    Ok(())
}

fn type_command(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    reply.simple(view.untouched(args.next()?).map_or("none", |record| value::kind(record).name()));
    Ok(())
}

fn rename(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (from, to) = (args.next()?, args.next()?);
    if edit.lookup(from).is_none() {
        return Err(NO_SUCH_KEY);
    }

    if from != to {
        give_name(edit, from, to);
    }

    reply.ok();
    Ok(())
}

fn renamenx(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (from, to) = (args.next()?, args.next()?);
    if edit.lookup(from).is_none() {
        return Err(NO_SUCH_KEY);
    }
    let is_free = from != to && !edit.exists(to);

    if is_free {
        give_name(edit, from, to);
    }

    reply.int(i64::from(is_free));
    Ok(())
}

fn give_name(edit: &mut Edit, from: &[u8], to: &[u8]) {
    let Some(record) = edit.take(from) else { return };
    let kind_before = clear(edit, to);
    let kind = value::kind_of(&record);
    edit.put(moved(record, |record| record.with_key(to)));
    edit.changed_value(from, Class::Generic, "rename_from");
    edit.changed_too(to, Class::Generic, "rename_to");
    notice_overwritten(edit, to, kind_before, kind);
}

/// Removes what is in the way of a key that comes whole; its kind.
fn clear(edit: &mut Edit, key: &[u8]) -> Option<Kind> {
    let record = edit.take(key)?;
    let kind = value::kind_of(&record);
    edit.discard(record);
    Some(kind)
}

fn notice_overwritten(edit: &mut Edit, key: &[u8], before: Option<Kind>, after: Kind) {
    let Some(before) = before else { return };
    edit.notice(key, Class::Overwritten, "overwritten");
    if before != after {
        edit.notice(key, Class::TypeChanged, "type_changed");
    }
}

fn copy(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (from, to) = (args.next()?, args.next()?);
    let (mut db, mut replace) = (edit.db, false);
    while !args.is_empty() {
        if args.option("REPLACE") {
            replace = true;
        } else if args.option_with_value("DB") {
            db = database(args.next()?, edit.databases())?;
        } else {
            return Err(SYNTAX);
        }
    }
    if db == edit.db && from == to {
        return Err(SAME_OBJECTS);
    }
    let copied = edit.read_record(from).map(|record| moved(record.duplicate(to), |record| record));
    let copied = copied.filter(|_| replace || !edit.in_db(db, |edit| edit.exists(to)));

    let Some(record) = copied else {
        reply.int(0);
        return Ok(());
    };
    edit.in_db(db, |edit| {
        let kind_before = clear(edit, to);
        let kind = value::kind_of(&record);
        edit.put(record);
        edit.changed_value(to, Class::Generic, "copy_to");
        notice_overwritten(edit, to, kind_before, kind);
    });

    reply.int(1);
    Ok(())
}

fn move_command(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    if edit.config.cluster_enabled && edit.databases() == 1 {
        return Err(error("ERR MOVE is not allowed in cluster mode"));
    }
    let (key, db) = (args.next()?, database(args.next()?, edit.databases())?);
    if db == edit.db {
        return Err(SAME_OBJECTS);
    }
    let moves = edit.lookup(key).is_some() && !edit.in_db(db, |edit| edit.exists(key));

    if moves && let Some(record) = edit.take(key) {
        edit.in_db(db, |edit| edit.put(record));
        edit.changed_value(key, Class::Generic, "move_from");
        edit.in_db(db, |edit| edit.changed_too(key, Class::Generic, "move_to"));
    }

    reply.int(i64::from(moves));
    Ok(())
}

const SAME_OBJECTS: Stop = error("ERR source and destination objects are the same");

/// A database's number as COPY and MOVE take it.
fn database(text: &[u8], databases: usize) -> Result<DbIndex, Stop> {
    let index = parse_i64(text).ok_or(NOT_AN_INTEGER)?;
    if i32::try_from(index).is_err() {
        return Err(error("ERR value is out of range, value must between -2147483648 and 2147483647"));
    }
    let index = usize::try_from(index).ok().filter(|&index| index < databases);
    index.ok_or(error("ERR DB index is out of range"))
}

fn randomkey(view: &View, _: &mut Args, reply: &mut Reply) -> Done {
    /// Where most keys have lapsed, chance gives up and the first that has not will do.
    const THROWS_MAX: usize = 100;

    let thrown = (0..THROWS_MAX).map_while(|_| view.random_record()).find(|record| view.peek(record.key()).is_some());
    match thrown.or_else(|| view.records().next()) {
        Some(record) => reply.bulk(record.key()),
        None => reply.null(),
    }
    Ok(())
}

fn keys_command(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let pattern = Glob::new(args.next()?);

    let start = reply.later();
    let mut count = 0;
    let mut show = |key: &[u8]| {
        reply.bulk(key);
        count += 1;
    };
    match pattern.as_literal() {
        Some(name) if view.is_there(view.db, name) => show(name),
        Some(_) => {}
        None => view.records().filter(|record| pattern.matches(record.key())).for_each(|record| show(record.key())),
    }
    reply.finish_array(start, count);
    Ok(())
}

fn scan(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let cursor = cursor(args.next()?)?;
    let (mut pattern, mut kind, mut count) = (None, None, 10);
    while !args.is_empty() {
        if args.option_with_value("COUNT") {
            count = usize::try_from(args.int()?).ok().filter(|&count| count > 0).ok_or(SYNTAX)?;
        } else if args.option_with_value("MATCH") {
            pattern = Some(Glob::new(args.next()?)).filter(|pattern| !pattern.is_any());
        } else if args.option_with_value("TYPE") {
            kind = Some(args.next()?);
        } else {
            return Err(SYNTAX);
        }
    }

    let mut found = Output::default();
    let mut shown = 0;
    let mut names = Reply::new(&mut found, reply.protocol());
    let next = view.scan(cursor, count, &mut |record| {
        let name = record.key();
        let is_wanted = pattern.is_none_or(|pattern| pattern.matches(name))
            && kind.is_none_or(|kind| value::kind_of(&record).name().as_bytes().eq_ignore_ascii_case(kind));
        if is_wanted {
            names.bulk(name);
            shown += 1;
        }
    });

    reply.array(2);
    reply.bulk(IntegerText::unsigned(next).as_bytes());
    reply.array(shown);
    reply.output().append(found);
    Ok(())
}

/// A cursor as Redis reads it, which takes more than it gives: C's `strtoull` is behind it, with its spaces, signs and NUL bytes.
pub(super) fn cursor(text: &[u8]) -> Result<u64, Stop> {
    const INVALID: Stop = error("ERR invalid cursor");

    if parse_i64(text).is_some_and(|value| value < 0) {
        return Err(INVALID);
    }
    let text = &text[..memchr::memchr(0, text).unwrap_or(text.len())];
    let start = text.iter().position(|byte| !matches!(byte, b' ' | 9..=13)).unwrap_or(text.len());
    let (negative, digits) = match &text[start..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return Err(INVALID);
    }
    let value = digits.iter().try_fold(0u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    });
    let value = value.ok_or(INVALID)?;
    Ok(if negative { value.wrapping_neg() } else { value })
}
