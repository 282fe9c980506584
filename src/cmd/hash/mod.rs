//! Hash commands. What a hash is stands in `types::hash`; deadlines of fields are the business of `expire`, and the commands that
//! get or set and do something else besides, of `exchange`.
//!
//! A lapsed field is invisible to every command. Readers leave its removal to the moment after them, writers remove it first where
//! they name it (`change`), since the journal must tell of it before it tells of them.

pub mod exchange;
pub mod expire;
#[cfg(test)]
mod tests;

use super::args::{Args, Rest};
use super::command::{Access, COMMAND, Command, Deprecated, Flag, Group, KeyFlag, KeySpec, Run, key};
use super::error::{COUNT_OUT_OF_RANGE, Done, NOT_A_FLOAT, OVERFLOW, Stop, error, error_with, shown};
use super::room::Room;
use super::scan;
use crate::db::effect::Class;
use crate::db::{Edit, View};
use crate::ds::item::{Item, ItemText};
use crate::resp::reply::Reply;
use crate::types::hash::{Entry, Hash, IncrementError, Limits};
use crate::util::long_double::LongDouble;
use crate::util::number::parse_i64;

use Flag::{DenyOom, Fast};

const UNORDERED: &[&str] = &["nondeterministic_output_order"];
const RANDOM: &[&str] = &["nondeterministic_output"];
const READ: &[KeySpec] = &[key(1, Access::Ro, &[KeyFlag::Access])];
const ASK: &[KeySpec] = &[key(1, Access::Ro, &[])];
const UPDATE: &[KeySpec] = &[key(1, Access::Rw, &[KeyFlag::Update])];
const READ_UPDATE: &[KeySpec] = &[key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Update])];
const PER_FIELD: &str = "O(N) where N is the number of fields named";
const ALL_FIELDS: &str = "O(N) where N is the size of the hash";

pub const COMMANDS: &[Command] = &[
    Command {
        name: "HDEL",
        arity: -3,
        run: Run::Write(hdel),
        flags: &[Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Delete])],
        group: Group::Hash,
        since: "2.0.0",
        cost: PER_FIELD,
        usage: "key field [field ...]",
        summary: "Removes fields from a hash, and the hash with its last field.",
        element: 2,
        ..COMMAND
    },
    Command {
        name: "HEXISTS",
        arity: 3,
        run: Run::Read(hexists),
        flags: &[Fast],
        keys: ASK,
        group: Group::Hash,
        since: "2.0.0",
        usage: "key field",
        summary: "Says whether a hash has a field.",
        element: 2,
        ..COMMAND
    },
    Command {
        name: "HGET",
        arity: 3,
        run: Run::Read(hget),
        flags: &[Fast],
        keys: READ,
        group: Group::Hash,
        since: "2.0.0",
        usage: "key field",
        summary: "Returns the value of a field.",
        element: 2,
        ..COMMAND
    },
    Command {
        name: "HGETALL",
        arity: 2,
        run: Run::Read(hgetall),
        keys: READ,
        group: Group::Hash,
        since: "2.0.0",
        cost: ALL_FIELDS,
        usage: "key",
        summary: "Returns all fields of a hash with their values.",
        tips: UNORDERED,
        ..COMMAND
    },
    Command {
        name: "HINCRBY",
        arity: 4,
        run: Run::Write(hincrby),
        flags: &[DenyOom, Fast],
        keys: READ_UPDATE,
        group: Group::Hash,
        since: "2.0.0",
        usage: "key field increment",
        summary: "Adds to the integer value of a field, which is 0 where there is none.",
        element: 2,
        ..COMMAND
    },
    Command {
        name: "HINCRBYFLOAT",
        arity: 4,
        run: Run::Write(hincrbyfloat),
        flags: &[DenyOom, Fast],
        keys: READ_UPDATE,
        group: Group::Hash,
        since: "2.6.0",
        usage: "key field increment",
        summary: "Adds to the floating-point value of a field, which is 0 where there is none.",
        element: 2,
        ..COMMAND
    },
    Command {
        name: "HKEYS",
        arity: 2,
        run: Run::Read(hkeys),
        keys: READ,
        group: Group::Hash,
        since: "2.0.0",
        cost: ALL_FIELDS,
        usage: "key",
        summary: "Returns the names of all fields of a hash.",
        tips: UNORDERED,
        ..COMMAND
    },
    Command {
        name: "HLEN",
        arity: 2,
        run: Run::Read(hlen),
        flags: &[Fast],
        keys: ASK,
        group: Group::Hash,
        since: "2.0.0",
        usage: "key",
        summary: "Returns how many fields a hash has.",
        ..COMMAND
    },
    Command {
        name: "HMGET",
        arity: -3,
        run: Run::Read(hmget),
        flags: &[Fast],
        keys: READ,
        group: Group::Hash,
        since: "2.0.0",
        cost: PER_FIELD,
        usage: "key field [field ...]",
        summary: "Returns the values of several fields.",
        element: 2,
        ..COMMAND
    },
    Command {
        name: "HMSET",
        arity: -4,
        run: Run::Write(hmset),
        flags: &[DenyOom, Fast],
        keys: UPDATE,
        group: Group::Hash,
        since: "2.0.0",
        cost: PER_FIELD,
        usage: "key field value [field value ...]",
        summary: "Sets fields of a hash; HSET does the same.",
        deprecated: Some(Deprecated { since: "4.0.0", instead: "`HSET` with multiple field-value pairs" }),
        element: 2,
        ..COMMAND
    },
    Command {
        name: "HRANDFIELD",
        arity: -2,
        run: Run::Read(hrandfield),
        keys: READ,
        group: Group::Hash,
        since: "6.2.0",
        cost: "O(N) where N is the number of fields returned",
        usage: "key [count [WITHVALUES]]",
        summary: "Returns random fields of a hash.",
        tips: RANDOM,
        ..COMMAND
    },
    Command {
        name: "HSCAN",
        arity: -3,
        run: Run::Read(hscan),
        keys: READ,
        group: Group::Hash,
        since: "2.8.0",
        cost: "O(1) for every call, O(N) for a complete iteration",
        usage: "key cursor [MATCH pattern] [COUNT count] [NOVALUES]",
        summary: "Goes through the fields of a hash, some at a time.",
        tips: RANDOM,
        ..COMMAND
    },
    Command {
        name: "HSET",
        arity: -4,
        run: Run::Write(hset),
        flags: &[DenyOom, Fast],
        keys: UPDATE,
        group: Group::Hash,
        since: "2.0.0",
        cost: PER_FIELD,
        usage: "key field value [field value ...]",
        summary: "Sets fields of a hash, making the hash where there is none.",
        element: 2,
        ..COMMAND
    },
    Command {
        name: "HSETNX",
        arity: 4,
        run: Run::Write(hsetnx),
        flags: &[DenyOom, Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Insert])],
        group: Group::Hash,
        since: "2.0.0",
        usage: "key field value",
        summary: "Sets a field that the hash does not have yet.",
        element: 2,
        ..COMMAND
    },
    Command {
        name: "HSTRLEN",
        arity: 3,
        run: Run::Read(hstrlen),
        flags: &[Fast],
        keys: ASK,
        group: Group::Hash,
        since: "3.2.0",
        usage: "key field",
        summary: "Returns the length of a field's value.",
        element: 2,
        ..COMMAND
    },
    Command {
        name: "HVALS",
        arity: 2,
        run: Run::Read(hvals),
        keys: READ,
        group: Group::Hash,
        since: "2.0.0",
        cost: ALL_FIELDS,
        usage: "key",
        summary: "Returns the values of all fields of a hash.",
        tips: UNORDERED,
        ..COMMAND
    },
];

/// The directives that shape a hash.
fn limits(edit: &Edit) -> Limits {
    let count = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    Limits {
        listpack_max: count(edit.config.hash_max_listpack_entries),
        value_bytes_max: count(edit.config.hash_max_listpack_value),
        seed: edit.view().keyspace().seed(),
    }
}

/// Changes the hash under `key`, which is made where there is none, after those of the fields named that have lapsed are gone.
fn change<'f, R>(
    edit: &mut Edit,
    key: &[u8],
    fields: impl Iterator<Item = &'f [u8]>,
    work: impl FnOnce(&mut Hash) -> R,
) -> Result<R, Stop> {
    let now = edit.now;
    let mut hash = edit.get_or_new::<Hash>(key)?;
    if hash.has_due(now) {
        drop(hash);
        edit.expire_named_fields(key, fields);
        hash = edit.get_or_new::<Hash>(key)?;
    }
    Ok(work(&mut hash))
}

/// As `change`; where there is no hash, nothing happens.
fn change_existing<'f, R>(
    edit: &mut Edit,
    key: &[u8],
    fields: impl Iterator<Item = &'f [u8]>,
    work: impl FnOnce(&mut Hash) -> R,
) -> Result<Option<R>, Stop> {
    let now = edit.now;
    let mut hash = edit.get_mut::<Hash>(key)?;
    if hash.as_ref().is_some_and(|hash| hash.has_due(now)) {
        drop(hash);
        edit.expire_named_fields(key, fields);
        hash = edit.get_mut::<Hash>(key)?;
    }
    Ok(hash.map(|mut hash| work(&mut hash)))
}

fn wrong_number(command: &str) -> Stop {
    error_with(format!("ERR wrong number of arguments for '{command}' command"))
}

fn hset(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let added = set_pairs(edit, args, "hset")?;
    reply.count(added);
    Ok(())
}

fn hmset(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    set_pairs(edit, args, "hmset")?;
    reply.ok();
    Ok(())
}

/// Sets the fields that the arguments tell. How many are new.
fn set_pairs(edit: &mut Edit, args: &mut Args, command: &str) -> Result<usize, Stop> {
    let key = args.next()?;
    let texts = args.rest();
    if !texts.len().is_multiple_of(2) {
        return Err(wrong_number(command));
    }
    let (limits, now) = (limits(edit), edit.now);
    let (count, pairs) = (texts.len() / 2, texts.clone().pairs());

    let added = change(edit, key, names(&texts), |hash| {
        hash.expect(count, texts.clone(), &limits);
        pairs.filter(|(field, value)| hash.set(field, value, now, &limits)).count()
    })?;
    edit.changed_many(key, Class::Hash, "hset", count);
    Ok(added)
}

/// The fields of fields and values.
fn names<'a>(texts: &Rest<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    texts.clone().pairs().map(|(field, _)| field)
}

fn hsetnx(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, field, value) = (args.next()?, args.next()?, args.next()?);
    let (limits, now) = (limits(edit), edit.now);

    let is_new = change(edit, key, [field].into_iter(), |hash| {
        let is_new = !hash.contains(field, now);
        if is_new {
            hash.expect(1, [field, value].into_iter(), &limits);
            hash.set(field, value, now, &limits);
        }
        is_new
    })?;
    if is_new {
        edit.changed(key, Class::Hash, "hset");
    }

    reply.int(i64::from(is_new));
    Ok(())
}

fn hdel(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let fields = args.rest();
    let now = edit.now;

    let removed =
        change_existing(edit, key, fields.clone(), |hash| fields.filter(|field| hash.remove(field, now)).count())?;
    let removed = removed.unwrap_or(0);
    if removed > 0 {
        edit.changed_many(key, Class::Hash, "hdel", removed);
    }

    reply.count(removed);
    Ok(())
}

fn hincrby(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, field, by) = (args.next()?, args.next()?, args.int()?);
    let (limits, now) = (limits(edit), edit.now);

    let sum = change(edit, key, [field].into_iter(), |hash| hash.increment(field, by, now, &limits))?;
    let sum = sum.map_err(|why| match why {
        IncrementError::NotAnInteger => error("ERR hash value is not an integer"),
        IncrementError::Overflow => OVERFLOW,
    })?;
    edit.changed(key, Class::Hash, "hincrby");

    reply.int(sum);
    Ok(())
}

fn hincrbyfloat(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, field) = (args.next()?, args.next()?);
    let by = LongDouble::parse(args.next()?).ok_or(NOT_A_FLOAT)?;
    if !by.is_finite() {
        return Err(error("ERR value is NaN or Infinity"));
    }
    let (limits, now) = (limits(edit), edit.now);

    let sum = change(edit, key, [field].into_iter(), |hash| add_float(hash, field, by, now, &limits))??;
    // Another machine may round otherwise.
    edit.journal_instead([b"HSETEX", key, b"KEEPTTL", b"FIELDS", b"1", field, &sum]);
    edit.changed(key, Class::Hash, "hincrbyfloat");

    reply.bulk(&sum);
    Ok(())
}

/// Adds to the number that a field holds and keeps its deadline. The sum's text.
fn add_float(hash: &mut Hash, field: &[u8], by: LongDouble, now: u64, limits: &Limits) -> Result<Vec<u8>, Stop> {
    let (before, deadline) = match hash.entry(field, now) {
        Some((value, deadline)) => {
            let before = LongDouble::parse(value.text(&mut ItemText::default()));
            (before.ok_or(error("ERR hash value is not a float"))?, deadline)
        }
        None => (LongDouble::ZERO, None),
    };
    let sum = before.checked_add(by).ok_or(error("ERR increment would produce NaN or Infinity"))?;
    let mut text = Vec::with_capacity(24);
    sum.write(&mut text);
    hash.put(field, &text, deadline, now, limits);
    Ok(text)
}

fn reply_value(reply: &mut Reply, value: Option<Item>) {
    match value {
        Some(value) => reply.item(value),
        None => reply.null(),
    }
}

fn hget(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, field) = (args.next()?, args.next()?);
    let hash = view.hash(key)?;
    reply_value(reply, hash.and_then(|hash| hash.get(field, view.now)));
    Ok(())
}

fn hmget(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let hash = view.hash(args.next()?)?;
    let fields = args.rest();
    reply.array(fields.len());
    for field in fields {
        reply_value(reply, hash.and_then(|hash| hash.get(field, view.now)));
    }
    Ok(())
}

fn hexists(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, field) = (args.next()?, args.next()?);
    let found = view.hash(key)?.is_some_and(|hash| hash.contains(field, view.now));
    reply.int(i64::from(found));
    Ok(())
}

fn hstrlen(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, field) = (args.next()?, args.next()?);
    reply.count(view.hash(key)?.map_or(0, |hash| hash.value_len(field, view.now)));
    Ok(())
}

/// Counts lapsed fields as long as they are there, as Redis does, which makes this O(1).
fn hlen(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    reply.count(view.hash(args.next()?)?.map_or(0, Hash::len));
    Ok(())
}

fn hgetall(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let hash = view.hash(args.next()?)?;
    reply.map(hash.map_or(0, |hash| hash.live_len(view.now)));
    if let Some(hash) = hash {
        hash.iter(view.now).for_each(|entry| reply_entry(reply, entry));
    }
    Ok(())
}

fn reply_entry(reply: &mut Reply, entry: Entry) {
    reply.item(entry.field);
    reply.item(entry.value);
}

fn hkeys(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    reply_halves(view, args, reply, |entry| entry.field)
}

fn hvals(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    reply_halves(view, args, reply, |entry| entry.value)
}

fn reply_halves(view: &View, args: &mut Args, reply: &mut Reply, half: fn(Entry) -> Item) -> Done {
    let hash = view.hash(args.next()?)?;
    reply.array(hash.map_or(0, |hash| hash.live_len(view.now)));
    if let Some(hash) = hash {
        hash.iter(view.now).for_each(|entry| reply.item(half(entry)));
    }
    Ok(())
}

fn hscan(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let cursor = scan::cursor(args)?;
    // What stands behind the cursor is not even looked at where there is no hash.
    let Some(hash) = view.hash(key)? else {
        scan::reply_page(reply, |_| (0, 0));
        return Ok(());
    };
    let options = scan::Options::read_of_hash(args)?;

    scan::reply_page(reply, |reply| {
        let mut shown = 0;
        let next = hash.scan(cursor, options.count, view.now, |entry| {
            if !options.admits(entry.field.text(&mut ItemText::default())) {
                return;
            }
            reply.item(entry.field);
            shown += 1;
            if options.values {
                reply.item(entry.value);
                shown += 1;
            }
        });
        (next, shown)
    });
    Ok(())
}

fn hrandfield(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let mut random = || view.random.borrow_mut().next_u64();
    if args.is_empty() {
        let entry = view.hash(key)?.and_then(|hash| hash.random(view.now, &mut random));
        reply_value(reply, entry.map(|entry| entry.field));
        return Ok(());
    }
    let (count, with_values) = random_count(args)?;

    let hash = view.hash(key)?.filter(|hash| count != 0 && hash.live_len(view.now) > 0);
    let Some(hash) = hash else {
        reply.array(0);
        return Ok(());
    };
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let len = if count < 0 { wanted } else { wanted.min(hash.live_len(view.now)) };
    let is_paired = with_values && reply.is_resp3();
    let room = Room::of(reply, view.config);
    reply.array(if with_values && !is_paired { len * 2 } else { len });
    let mut show = |entry: Entry| {
        if is_paired {
            reply.array(2);
        }
        reply.item(entry.field);
        if with_values {
            reply.item(entry.value);
        }
        room.is_left(reply)
    };
    if count < 0 {
        hash.draws(wanted, view.now, &mut random, show);
        room.end(reply)?;
    } else {
        hash.sample(wanted, view.now, &mut random, |entry| {
            show(entry);
        });
    }
    Ok(())
}

/// HRANDFIELD's count, negative for fields that may come up again, and whether values are asked for.
fn random_count(args: &mut Args) -> Result<(i64, bool), Stop> {
    let count = args.int()?;
    if count == i64::MIN {
        return Err(error(COUNT_OUT_OF_RANGE));
    }
    let with_values = args.option("WITHVALUES");
    args.end()?;
    if with_values && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(error("ERR value is out of range"));
    }
    Ok((count, with_values))
}
