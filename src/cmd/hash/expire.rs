//! Deadlines of fields: the HEXPIRE family, HPERSIST, and the questions about them.
//!
//! A deadline that is not in the future removes the field at once, and then the change is an HDEL for everyone who hears of it. The
//! journal is always told absolute times, and only of fields whose deadline was set.

use super::*;
use crate::cmd::expiry::{Unit, invalid_expire_time};
use crate::types::hash::{Condition, Expired, Persisted};
use crate::util::number::IntegerText;

/// The latest deadline that a field can have.
const DEADLINE_MAX: u64 = (1 << 46) - 1;

pub const COMMANDS: &[Command] = &[
    Command {
        name: "HEXPIRE",
        arity: -6,
        run: Run::Write(hexpire),
        flags: &[Fast],
        keys: UPDATE,
        group: Group::Hash,
        since: "7.4.0",
        cost: PER_FIELD,
        usage: "key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        summary: "Lets fields lapse after so many seconds.",
        ..COMMAND
    },
    Command {
        name: "HEXPIREAT",
        arity: -6,
        run: Run::Write(hexpireat),
        flags: &[Fast],
        keys: UPDATE,
        group: Group::Hash,
        since: "7.4.0",
        cost: PER_FIELD,
        usage: "key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        summary: "Lets fields lapse at a Unix time in seconds.",
        ..COMMAND
    },
    Command {
        name: "HEXPIRETIME",
        arity: -5,
        run: Run::Read(hexpiretime),
        flags: &[Fast],
        keys: READ,
        group: Group::Hash,
        since: "7.4.0",
        cost: PER_FIELD,
        usage: "key FIELDS numfields field [field ...]",
        summary: "Returns when fields lapse, as a Unix time in seconds.",
        ..COMMAND
    },
    Command {
        name: "HPERSIST",
        arity: -5,
        run: Run::Write(hpersist),
        flags: &[Fast],
        keys: UPDATE,
        group: Group::Hash,
        since: "7.4.0",
        cost: PER_FIELD,
        usage: "key FIELDS numfields field [field ...]",
        summary: "Takes the deadlines of fields away.",
        ..COMMAND
    },
    Command {
        name: "HPEXPIRE",
        arity: -6,
        run: Run::Write(hpexpire),
        flags: &[Fast],
        keys: UPDATE,
        group: Group::Hash,
        since: "7.4.0",
        cost: PER_FIELD,
        usage: "key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        summary: "Lets fields lapse after so many milliseconds.",
        ..COMMAND
    },
    Command {
        name: "HPEXPIREAT",
        arity: -6,
        run: Run::Write(hpexpireat),
        flags: &[Fast],
        keys: UPDATE,
        group: Group::Hash,
        since: "7.4.0",
        cost: PER_FIELD,
        usage: "key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        summary: "Lets fields lapse at a Unix time in milliseconds.",
        ..COMMAND
    },
    Command {
        name: "HPEXPIRETIME",
        arity: -5,
        run: Run::Read(hpexpiretime),
        flags: &[Fast],
        keys: READ,
        group: Group::Hash,
        since: "7.4.0",
        cost: PER_FIELD,
        usage: "key FIELDS numfields field [field ...]",
        summary: "Returns when fields lapse, as a Unix time in milliseconds.",
        ..COMMAND
    },
    Command {
        name: "HPTTL",
        arity: -5,
        run: Run::Read(hpttl),
        flags: &[Fast],
        keys: READ,
        group: Group::Hash,
        since: "7.4.0",
        cost: PER_FIELD,
        usage: "key FIELDS numfields field [field ...]",
        summary: "Returns in how many milliseconds fields lapse.",
        tips: RANDOM,
        ..COMMAND
    },
    Command {
        name: "HTTL",
        arity: -5,
        run: Run::Read(httl),
        flags: &[Fast],
        keys: READ,
        group: Group::Hash,
        since: "7.4.0",
        cost: PER_FIELD,
        usage: "key FIELDS numfields field [field ...]",
        summary: "Returns in how many seconds fields lapse.",
        tips: RANDOM,
        ..COMMAND
    },
];

/// The Unix time in milliseconds that a number stands for as a field's deadline.
pub(super) fn deadline(unit: Unit, amount: &[u8], now: u64, command: &str) -> Result<u64, Stop> {
    let amount = parse_i64(amount).ok_or(super::super::error::NOT_AN_INTEGER)?;
    if amount < 0 {
        return Err(error("ERR invalid expire time, must be >= 0"));
    }
    let unix_ms = unit.unix_ms(amount, now).and_then(|ms| u64::try_from(ms).ok());
    unix_ms.filter(|ms| *ms <= DEADLINE_MAX).ok_or_else(|| invalid_expire_time(command))
}

/// `FIELDS numfields field [field ...]`, which ends a command. Wrong numbers have a text that depends on the command.
pub(super) fn fields<'a>(args: &mut Args<'a>, not_a_number: &'static str) -> Result<Rest<'a>, Stop> {
    if !args.option("FIELDS") {
        return Err(error("ERR Mandatory argument FIELDS is missing or not at the right position"));
    }
    let count = args.int_in(1..=i64::MAX, not_a_number)?;
    let fields = args.rest();
    if usize::try_from(count).is_ok_and(|count| count == fields.len()) {
        return Ok(fields);
    }
    Err(error("ERR The `numfields` parameter must match the number of arguments"))
}

pub(super) const NOT_POSITIVE: &str = "ERR Number of fields must be a positive integer";

fn hexpire(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    expire(Unit::Seconds, "hexpire", edit, args, reply)
}

fn hpexpire(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    expire(Unit::Milliseconds, "hpexpire", edit, args, reply)
}

fn hexpireat(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    expire(Unit::UnixSeconds, "hexpireat", edit, args, reply)
}

fn hpexpireat(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    expire(Unit::UnixMilliseconds, "hpexpireat", edit, args, reply)
}

fn expire(unit: Unit, command: &str, edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    edit.get_mut::<Hash>(key)?;
    let now = edit.now;
    let deadline = deadline(unit, args.next()?, now, command)?;
    let (word, condition) = condition(args);
    let fields = fields(args, "ERR Parameter `numFields` should be greater than 0")?;

    let outcomes: Option<Vec<Expired>> = change_existing(edit, key, fields.clone(), |hash| {
        fields.clone().map(|field| hash.expire(field, deadline, condition, now)).collect()
    })?;
    let outcomes = outcomes.unwrap_or_else(|| vec![Expired::NoField; fields.len()]);
    let with = |outcome: Expired| -> Vec<&[u8]> {
        fields.clone().zip(&outcomes).filter(|(_, was)| **was == outcome).map(|(field, _)| field).collect()
    };
    note_removed(edit, key, &with(Expired::Deleted));
    note_expiring(edit, key, deadline, word, &with(Expired::Set));

    reply.array(outcomes.len());
    outcomes.iter().for_each(|outcome| reply.int(*outcome as i64));
    Ok(())
}

/// Fields were removed because their new deadline is not in the future.
pub(super) fn note_removed(edit: &mut Edit, key: &[u8], fields: &[&[u8]]) {
    if fields.is_empty() {
        return;
    }
    edit.journal_instead([b"HDEL", key].into_iter().chain(fields.iter().copied()));
    edit.changed_many(key, Class::Hash, "hdel", fields.len());
}

/// Fields were given this deadline, on this condition.
pub(super) fn note_expiring(edit: &mut Edit, key: &[u8], deadline: u64, condition: Option<&[u8]>, fields: &[&[u8]]) {
    if fields.is_empty() {
        return;
    }
    let (deadline, count) = (IntegerText::unsigned(deadline), IntegerText::unsigned(fields.len() as u64));
    let head = [b"HPEXPIREAT", key, deadline.as_bytes()].into_iter().chain(condition);
    let tail = [&b"FIELDS"[..], count.as_bytes()].into_iter().chain(fields.iter().copied());
    edit.journal_instead(head.chain(tail));
    edit.changed_many(key, Class::Hash, "hexpire", fields.len());
}

/// The condition on which deadlines are set, and its word.
fn condition<'a>(args: &mut Args<'a>) -> (Option<&'a [u8]>, Condition) {
    let word = args.peek();
    let conditions = [
        ("NX", Condition::IfNone),
        ("XX", Condition::IfSome),
        ("GT", Condition::IfLater),
        ("LT", Condition::IfEarlier),
    ];
    match conditions.into_iter().find(|(name, _)| args.option(name)) {
        Some((_, condition)) => (word, condition),
        None => (None, Condition::Always),
    }
}

fn hpersist(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    edit.get_mut::<Hash>(key)?;
    let fields = fields(args, NOT_POSITIVE)?;
    let now = edit.now;

    let outcomes: Option<Vec<Persisted>> = change_existing(edit, key, fields.clone(), |hash| {
        fields.clone().map(|field| hash.persist(field, now)).collect()
    })?;
    let outcomes = outcomes.unwrap_or_else(|| vec![Persisted::NoField; fields.len()]);
    let cleared = outcomes.iter().filter(|outcome| **outcome == Persisted::Cleared).count();
    if cleared > 0 {
        edit.changed_many(key, Class::Hash, "hpersist", cleared);
    }

    reply.array(outcomes.len());
    outcomes.iter().for_each(|outcome| reply.int(*outcome as i64));
    Ok(())
}

fn httl(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    reply_deadlines(view, args, reply, |deadline, now| (deadline - now).div_ceil(1000))
}

fn hpttl(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    reply_deadlines(view, args, reply, |deadline, now| deadline - now)
}

fn hexpiretime(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    reply_deadlines(view, args, reply, |deadline, _| deadline.div_ceil(1000))
}

fn hpexpiretime(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    reply_deadlines(view, args, reply, |deadline, _| deadline)
}

/// `say` is given a deadline that is not before the time now.
fn reply_deadlines(view: &View, args: &mut Args, reply: &mut Reply, say: fn(u64, u64) -> u64) -> Done {
    let hash = view.hash(args.next()?)?;
    let fields = fields(args, NOT_POSITIVE)?;

    reply.array(fields.len());
    for field in fields {
        let number = match hash.and_then(|hash| hash.deadline(field, view.now)) {
            None => -2,
            Some(None) => -1,
            Some(Some(deadline)) => i64::try_from(say(deadline, view.now)).unwrap_or(i64::MAX),
        };
        reply.int(number);
    }
    Ok(())
}
