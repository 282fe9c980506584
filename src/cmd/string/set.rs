//! Commands that store strings whole, with their conditions and deadlines: SET and all that came before and after it.
//!
//! What the journal gets is always a plain SET with an absolute deadline, or a DEL: any Redis can read that, and
//! replaying it needs no condition to hold again.

use super::reply_string;
use crate::cmd::args::Args;
use crate::cmd::command::{Access, COMMAND, Command, Deprecated, Find, Flag, Group, KeyFlag, KeySpec, Run, key, keys};
use crate::cmd::error::{Done, SYNTAX, Stop, error};
use crate::cmd::expiry::Unit;
use crate::cmd::keyspec;
use crate::db::effect::Class;
use crate::db::{Deadline, Edit};
use crate::resp::reply::Reply;
use crate::types::value::{self, StringRef};
use crate::util::number::{IntegerText, parse_i64};

use Flag::{DenyOom, Fast, MovableKeys};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "DELEX",
        find_keys: Some(keyspec::delex),
        arity: -2,
        run: Run::Write(delex),
        flags: &[Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Delete, KeyFlag::VariableFlags])],
        group: Group::String,
        since: "8.4.0",
        cost: "O(1) for IFEQ and IFNE, O(N) for IFDEQ and IFDNE, where N is the length of the string.",
        usage: "key [IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest]",
        summary: "Removes a key if its value, or its value's digest, is or is not the one given.",
        ..COMMAND
    },
    Command {
        name: "GETDEL",
        arity: 2,
        run: Run::Write(getdel),
        flags: &[Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Delete])],
        group: Group::String,
        since: "6.2.0",
        usage: "key",
        summary: "Returns the string value of a key and removes the key.",
        ..COMMAND
    },
    Command {
        name: "GETEX",
        arity: -2,
        run: Run::Write(getex),
        flags: &[Fast],
        keys: &[KeySpec {
            notes: "RW and UPDATE because it changes the TTL",
            ..key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Update])
        }],
        group: Group::String,
        since: "6.2.0",
        usage: "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
        summary: "Returns the string value of a key and sets or removes its expiration time.",
        ..COMMAND
    },
    Command {
        name: "GETSET",
        arity: 3,
        run: Run::Write(getset),
        flags: &[DenyOom, Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Update])],
        group: Group::String,
        usage: "key value",
        summary: "Sets the string value of a key and returns the one before.",
        deprecated: Some(Deprecated { since: "6.2.0", instead: "`SET` with the `!GET` argument" }),
        ..COMMAND
    },
    Command {
        name: "MSET",
        arity: -3,
        run: Run::Write(mset),
        flags: &[DenyOom],
        keys: &[keys(1, -1, 2, Access::Ow, &[KeyFlag::Update])],
        group: Group::String,
        since: "1.0.1",
        cost: "O(N) where N is the number of keys to set.",
        usage: "key value [key value ...]",
        summary: "Sets the string values of several keys at once.",
        tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
        ..COMMAND
    },
    Command {
        name: "MSETEX",
        arity: -4,
        run: Run::Write(msetex),
        flags: &[DenyOom, MovableKeys],
        keys: &[KeySpec {
            find: Find::Count { count: 0, first: 1, step: 2 },
            ..key(1, Access::Ow, &[KeyFlag::Update])
        }],
        group: Group::String,
        since: "8.4.0",
        cost: "O(N) where N is the number of keys to set.",
        usage: "numkeys key value [key value ...] [NX | XX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
        summary: "Sets the string values of several keys at once, with one condition and one expiration time for all.",
        ..COMMAND
    },
    Command {
        name: "MSETNX",
        arity: -3,
        run: Run::Write(msetnx),
        flags: &[DenyOom],
        keys: &[keys(1, -1, 2, Access::Ow, &[KeyFlag::Insert])],
        group: Group::String,
        since: "1.0.1",
        cost: "O(N) where N is the number of keys to set.",
        usage: "key value [key value ...]",
        summary: "Sets the string values of several keys at once if none of them exists.",
        ..COMMAND
    },
    Command {
        name: "PSETEX",
        arity: 4,
        run: Run::Write(psetex),
        flags: &[DenyOom],
        keys: &[key(1, Access::Ow, &[KeyFlag::Update])],
        group: Group::String,
        since: "2.6.0",
        usage: "key milliseconds value",
        summary: "Sets the string value of a key and its expiration time in milliseconds.",
        deprecated: Some(Deprecated { since: "2.6.12", instead: "`SET` with the `PX` argument" }),
        ..COMMAND
    },
    Command {
        name: "SET",
        find_keys: Some(keyspec::set),
        arity: -3,
        run: Run::Write(set),
        flags: &[DenyOom],
        keys: &[KeySpec {
            notes: "RW and ACCESS due to the optional `GET` argument",
            ..key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Update, KeyFlag::VariableFlags])
        }],
        group: Group::String,
        usage: "key value [NX | XX | IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
        summary: "Sets the string value of a key, whatever it held; under a condition and with an expiration time where asked.",
        ..COMMAND
    },
    Command {
        name: "SETEX",
        arity: 4,
        run: Run::Write(setex),
        flags: &[DenyOom],
        keys: &[key(1, Access::Ow, &[KeyFlag::Update])],
        group: Group::String,
        since: "2.0.0",
        usage: "key seconds value",
        summary: "Sets the string value of a key and its expiration time in seconds.",
        deprecated: Some(Deprecated { since: "2.6.12", instead: "`SET` with the `EX` argument" }),
        ..COMMAND
    },
    Command {
        name: "SETNX",
        arity: 3,
        run: Run::Write(setnx),
        flags: &[DenyOom, Fast],
        keys: &[key(1, Access::Ow, &[KeyFlag::Insert])],
        group: Group::String,
        usage: "key value",
        summary: "Sets the string value of a key if the key does not exist.",
        deprecated: Some(Deprecated { since: "2.6.12", instead: "`SET` with the `NX` argument" }),
        ..COMMAND
    },
];

fn set(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, value) = (args.next()?, args.next()?);
    if args.is_empty() {
        edit.set_string(key, value, None);
        edit.changed_value(key, Class::String, "set");
        reply.ok();
        return Ok(());
    }
    let options = Options::read(args, Takes::Set)?;
    let deadline = options.deadline(edit.now, "set")?;

    let holds = match options.condition {
        None => true,
        Some(Condition::Exists(wanted)) => edit.exists(key) == wanted,
        Some(Condition::Is(test)) => test.holds(edit.string(key)?)?,
    };
    if options.get {
        match edit.read_string(key)? {
            Some(value) => reply_string(reply, value),
            None => reply.null(),
        }
    }
    if holds {
        store(edit, key, value, deadline);
        if options.get
            || options.condition.is_some_and(Condition::asks_for_value)
            || matches!(deadline, Deadline::At(_))
        {
            journal_set(edit, key, value, deadline);
        }
    }

    match (options.get, holds) {
        (true, _) => {}
        (false, true) => reply.ok(),
        (false, false) => reply.null(),
    }
    Ok(())
}

/// Stores a string and makes it known, but for the journal's sake.
fn store(edit: &mut Edit, key: &[u8], value: &[u8], deadline: Deadline) {
    edit.replace_string(key, value, deadline);
    edit.changed_value(key, Class::String, "set");
    if matches!(deadline, Deadline::At(_)) {
        edit.notice(key, Class::Generic, "expire");
    }
}

fn journal_set(edit: &mut Edit, key: &[u8], value: &[u8], deadline: Deadline) {
    match deadline {
        Deadline::None => edit.journal_instead([b"SET", key, value]),
        Deadline::Keep => edit.journal_instead([b"SET", key, value, b"KEEPTTL"]),
        Deadline::At(deadline) => {
            edit.journal_instead([b"SET", key, value, b"PXAT", IntegerText::unsigned(deadline).as_bytes()]);
        }
    }
}

fn setex(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    set_with_deadline(edit, args, reply, Unit::Seconds, "setex")
}

fn psetex(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    set_with_deadline(edit, args, reply, Unit::Milliseconds, "psetex")
}

fn set_with_deadline(edit: &mut Edit, args: &mut Args, reply: &mut Reply, unit: Unit, name: &str) -> Done {
    let (key, amount, value) = (args.next()?, args.next()?, args.next()?);
    let deadline = Deadline::At(unit.deadline(amount, edit.now, name)?);

    store(edit, key, value, deadline);
    journal_set(edit, key, value, deadline);

    reply.ok();
    Ok(())
}

fn setnx(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, value) = (args.next()?, args.next()?);
    let is_new = !edit.exists(key);

    if is_new {
        store(edit, key, value, Deadline::None);
    }

    reply.int(i64::from(is_new));
    Ok(())
}

fn getset(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, value) = (args.next()?, args.next()?);

    match edit.read_string(key)? {
        Some(before) => reply_string(reply, before),
        None => reply.null(),
    }
    store(edit, key, value, Deadline::None);
    journal_set(edit, key, value, Deadline::None);
    Ok(())
}

fn getdel(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;

    match edit.read_string(key)? {
        Some(value) => reply_string(reply, value),
        None => {
            reply.null();
            return Ok(());
        }
    }
    delete(edit, key);
    Ok(())
}

fn getex(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let options = Options::read(args, Takes::Getex)?;
    if edit.read_string(key)?.is_none() {
        reply.null();
        return Ok(());
    }
    // Only now: a key that does not exist excuses an impossible expiration time.
    let deadline = options.deadline(edit.now, "getex")?;

    let record = edit.record(key);
    if let Some(value) = record.as_ref().and_then(value::string) {
        reply_string(reply, value);
    }
    let had_deadline = record.is_some_and(|record| record.deadline().is_some());
    match deadline {
        Deadline::At(deadline) if deadline <= edit.now => delete(edit, key),
        Deadline::At(deadline) => {
            edit.set_deadline(key, Some(deadline));
            edit.changed_value(key, Class::Generic, "expire");
            edit.journal_instead([b"PEXPIREAT", key, IntegerText::unsigned(deadline).as_bytes()]);
        }
        _ if options.persist && had_deadline => {
            edit.set_deadline(key, None);
            edit.changed_value(key, Class::Generic, "persist");
            edit.journal_instead([b"PERSIST", key]);
        }
        _ => {}
    }
    Ok(())
}

fn delete(edit: &mut Edit, key: &[u8]) {
    edit.remove(key);
    edit.changed_value(key, Class::Generic, "del");
    edit.journal_instead([b"DEL", key]);
}

fn mset(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    if args.len() % 2 == 1 {
        return Err(error("ERR wrong number of arguments for 'mset' command"));
    }

    for (key, value) in args.rest().pairs() {
        store(edit, key, value, Deadline::None);
    }

    reply.ok();
    Ok(())
}

fn msetnx(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    if args.len() % 2 == 1 {
        return Err(error("ERR wrong number of arguments for 'msetnx' command"));
    }
    let pairs = args.rest().pairs();
    let all_new = pairs.clone().all(|(key, _)| !edit.exists(key));

    if all_new {
        for (key, value) in pairs {
            store(edit, key, value, Deadline::None);
        }
    }

    reply.int(i64::from(all_new));
    Ok(())
}

fn msetex(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let count = parse_i64(args.next()?).and_then(|count| i32::try_from(count).ok()).filter(|count| *count > 0);
    let count = count.ok_or(error("ERR invalid numkeys value"))? as usize;
    if args.len() / 2 < count {
        return Err(error("ERR wrong number of key-value pairs"));
    }
    let pairs = args.take(2 * count)?.pairs();
    let options = Options::read(args, Takes::Msetex)?;
    let deadline = options.deadline(edit.now, "msetex")?;
    let holds = match options.condition {
        Some(Condition::Exists(wanted)) => pairs.clone().all(|(key, _)| edit.exists(key) == wanted),
        _ => true,
    };

    if holds {
        for (key, value) in pairs {
            store(edit, key, value, deadline);
            journal_set(edit, key, value, deadline);
        }
    }

    reply.int(i64::from(holds));
    Ok(())
}

fn delex(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    if !args.is_empty() && args.len() != 2 {
        return Err(error("ERR wrong number of arguments for 'delex' command"));
    }
    let test = args.try_next().zip(args.try_next());
    let exists = edit.exists(key);
    let goes = match test {
        Some((name, text)) if exists => {
            let value = edit.string(key);
            let value = value.map_err(|_| error("ERR Key should be of string type if conditions are specified"))?;
            let test = Test::of_option(name, text);
            test.ok_or(error("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"))?.holds(value)?
        }
        _ => exists,
    };

    if goes {
        delete(edit, key);
    }

    reply.int(i64::from(goes));
    Ok(())
}

/// The options of SET, GETEX and MSETEX.
#[derive(Default)]
struct Options<'a> {
    condition: Option<Condition<'a>>,
    expiry: Option<(Unit, &'a [u8])>,
    get: bool,
    keep_deadline: bool,
    persist: bool,
}

/// Whose options are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Set,
    Getex,
    Msetex,
}

#[derive(Clone, Copy)]
enum Condition<'a> {
    /// NX or XX.
    Exists(bool),
    Is(Test<'a>),
}

impl Condition<'_> {
    fn asks_for_value(self) -> bool {
        matches!(self, Condition::Is(_))
    }
}

impl<'a> Options<'a> {
    /// Reads all that is left. An option may be repeated, but not contradicted.
    fn read(args: &mut Args<'a>, takes: Takes) -> Result<Self, Stop> {
        let mut options = Self::default();
        while let Some(name) = args.try_next() {
            let is = |option: &str| name.eq_ignore_ascii_case(option.as_bytes());
            if takes != Takes::Getex && (is("NX") || is("XX")) {
                options.set_condition(Condition::Exists(is("XX")))?;
            } else if takes == Takes::Set && is("GET") {
                options.get = true;
            } else if takes != Takes::Getex && is("KEEPTTL") && options.expiry.is_none() {
                options.keep_deadline = true;
            } else if takes == Takes::Getex && is("PERSIST") && options.expiry.is_none() {
                options.persist = true;
            } else if let Some(unit) = Unit::of_option(name) {
                let contradicted = options.expiry.is_some_and(|(before, _)| before != unit);
                if contradicted || options.keep_deadline || options.persist {
                    return Err(SYNTAX);
                }
                options.expiry = Some((unit, args.next()?));
            } else if takes == Takes::Set && Test::of_option(name, b"").is_some() {
                let test = Test::of_option(name, args.next()?).ok_or(SYNTAX)?;
                options.set_condition(Condition::Is(test))?;
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(options)
    }

    fn set_condition(&mut self, condition: Condition<'a>) -> Done {
        let agrees = match (self.condition, condition) {
            (None, _) => true,
            (Some(Condition::Exists(before)), Condition::Exists(now)) => before == now,
            (Some(Condition::Is(before)), Condition::Is(now)) => (before.of, before.equal) == (now.of, now.equal),
            _ => false,
        };
        self.condition = Some(condition);
        if agrees { Ok(()) } else { Err(SYNTAX) }
    }

    fn deadline(&self, now: u64, command: &str) -> Result<Deadline, Stop> {
        match self.expiry {
            Some((unit, amount)) => unit.deadline(amount, now, command).map(Deadline::At),
            None if self.keep_deadline => Ok(Deadline::Keep),
            None => Ok(Deadline::None),
        }
    }
}

/// IFEQ, IFNE, IFDEQ or IFDNE.
#[derive(Clone, Copy)]
struct Test<'a> {
    of: Of,
    equal: bool,
    text: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Value,
    Digest,
}

impl<'a> Test<'a> {
    fn of_option(name: &[u8], text: &'a [u8]) -> Option<Self> {
        let (of, equal) = match name.to_ascii_uppercase().as_slice() {
            b"IFEQ" => (Of::Value, true),
            b"IFNE" => (Of::Value, false),
            b"IFDEQ" => (Of::Digest, true),
            b"IFDNE" => (Of::Digest, false),
            _ => return None,
        };
        Some(Self { of, equal, text })
    }

    /// Whether the value passes. What does not exist equals nothing; a digest is looked at only where there is something to compare.
    fn holds(&self, value: Option<StringRef>) -> Result<bool, Stop> {
        let Some(value) = value else { return Ok(!self.equal) };
        let equal = match self.of {
            Of::Value => value.item().text(&mut Default::default()) == self.text,
            Of::Digest => digest(value) == parse_digest(self.text)?,
        };
        Ok(equal == self.equal)
    }
}

/// What DIGEST shows as 16 hexadecimal digits: XXH3 of the bytes.
pub(super) fn digest(value: StringRef) -> u64 {
    xxhash_rust::xxh3::xxh3_64(value.item().text(&mut Default::default()))
}

fn parse_digest(text: &[u8]) -> Result<u64, Stop> {
    let is_hex = text.len() == 16 && text.iter().all(u8::is_ascii_hexdigit);
    let digits = std::str::from_utf8(text).ok().filter(|_| is_hex);
    let digest = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    digest.ok_or(error("ERR must be exactly 16 hexadecimal characters"))
}
