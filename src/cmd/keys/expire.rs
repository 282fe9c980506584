//! Commands on deadlines: EXPIRE and its like, TTL and its like, PERSIST.
//!
//! The journal gets absolute deadlines, and a DEL for one that lies in the past. The options of SET stand in `cmd::expiry`.

use crate::cmd::args::Args;
use crate::cmd::command::{Access, COMMAND, Command, Flag, Group, KeyFlag, Run, key};
use crate::cmd::error::{Done, NOT_AN_INTEGER, Stop, error, shown};
use crate::cmd::expiry::{Unit, invalid_expire_time};
use crate::db::effect::{Class, deletion};
use crate::db::{Edit, View};
use crate::resp::reply::Reply;
use crate::util::number::{IntegerText, parse_i64};

use Flag::Fast;

pub const COMMANDS: &[Command] = &[
    Command {
        name: "EXPIRE",
        run: Run::Write(expire),
        usage: "key seconds [NX | XX | GT | LT]",
        summary: "Sets the time in seconds after which a key is removed.",
        ..SETS_DEADLINE
    },
    Command {
        name: "EXPIREAT",
        run: Run::Write(expireat),
        since: "1.2.0",
        usage: "key unix-time-seconds [NX | XX | GT | LT]",
        summary: "Sets the Unix time in seconds at which a key is removed.",
        ..SETS_DEADLINE
    },
    Command {
        name: "EXPIRETIME",
        run: Run::Read(expiretime),
        since: "7.0.0",
        summary: "Returns the Unix time in seconds at which a key will be removed.",
        ..TELLS_DEADLINE
    },
    Command {
        name: "PERSIST",
        arity: 2,
        run: Run::Write(persist),
        since: "2.2.0",
        usage: "key",
        summary: "Takes the expiration time from a key.",
        ..SETS_DEADLINE
    },
    Command {
        name: "PEXPIRE",
        run: Run::Write(pexpire),
        since: "2.6.0",
        usage: "key milliseconds [NX | XX | GT | LT]",
        summary: "Sets the time in milliseconds after which a key is removed.",
        ..SETS_DEADLINE
    },
    Command {
        name: "PEXPIREAT",
        run: Run::Write(pexpireat),
        since: "2.6.0",
        usage: "key unix-time-milliseconds [NX | XX | GT | LT]",
        summary: "Sets the Unix time in milliseconds at which a key is removed.",
        ..SETS_DEADLINE
    },
    Command {
        name: "PEXPIRETIME",
        run: Run::Read(pexpiretime),
        since: "7.0.0",
        summary: "Returns the Unix time in milliseconds at which a key will be removed.",
        ..TELLS_DEADLINE
    },
    Command {
        name: "PTTL",
        run: Run::Read(pttl),
        since: "2.6.0",
        summary: "Returns the time in milliseconds after which a key will be removed.",
        tips: &["nondeterministic_output"],
        ..TELLS_DEADLINE
    },
    Command {
        name: "TTL",
        run: Run::Read(ttl),
        summary: "Returns the time in seconds after which a key will be removed.",
        tips: &["nondeterministic_output"],
        ..TELLS_DEADLINE
    },
];

const SETS_DEADLINE: Command = Command {
    arity: -3,
    flags: &[Fast],
    keys: &[key(1, Access::Rw, &[KeyFlag::Update])],
    group: Group::Generic,
    ..COMMAND
};

const TELLS_DEADLINE: Command = Command {
    arity: 2,
    flags: &[Fast],
    keys: &[key(1, Access::Ro, &[KeyFlag::Access])],
    group: Group::Generic,
    usage: "key",
    ..COMMAND
};

fn expire(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    set_deadline(edit, args, reply, Unit::Seconds, "expire")
}

fn pexpire(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    set_deadline(edit, args, reply, Unit::Milliseconds, "pexpire")
}

fn expireat(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    set_deadline(edit, args, reply, Unit::UnixSeconds, "expireat")
}

fn pexpireat(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    set_deadline(edit, args, reply, Unit::UnixMilliseconds, "pexpireat")
}

fn set_deadline(edit: &mut Edit, args: &mut Args, reply: &mut Reply, unit: Unit, name: &str) -> Done {
    let (key, amount) = (args.next()?, args.next()?);
    let condition = Condition::read(args)?;
    let amount = parse_i64(amount).ok_or(NOT_AN_INTEGER)?;
    let unix_ms = unit.unix_ms(amount, edit.now).ok_or_else(|| invalid_expire_time(name))?;
    let before = edit.lookup(key).map(|record| record.deadline());
    if !before.is_some_and(|before| condition.holds(before, unix_ms)) {
        reply.int(0);
        return Ok(());
    }

    match u64::try_from(unix_ms).ok().filter(|&deadline| deadline > edit.now) {
        Some(deadline) => {
            edit.set_deadline(key, Some(deadline));
            edit.changed_value(key, Class::Generic, "expire");
            edit.journal_instead([b"PEXPIREAT", key, IntegerText::unsigned(deadline).as_bytes()]);
        }
        None => {
            edit.remove(key);
            edit.changed_value(key, Class::Generic, "del");
            edit.journal_instead([deletion(edit.config.lazyfree_lazy_expire), key]);
        }
    }

    reply.int(1);
    Ok(())
}

/// NX, XX, GT, LT.
#[derive(Clone, Copy, Default)]
struct Condition {
    none: bool,
    some: bool,
    later: bool,
    earlier: bool,
}

impl Condition {
    fn read(args: &mut Args) -> Result<Self, Stop> {
        let mut condition = Self::default();
        while let Some(name) = args.try_next() {
            match name.to_ascii_uppercase().as_slice() {
                b"NX" => condition.none = true,
                b"XX" => condition.some = true,
                b"GT" => condition.later = true,
                b"LT" => condition.earlier = true,
                _ => return Err(Stop::Bytes([b"ERR Unsupported option ", shown(name)].concat())),
            }
        }
        let Self { none, some, later, earlier } = condition;
        if none && (some || later || earlier) {
            return Err(error("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if later && earlier {
            return Err(error("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(condition)
    }

    /// No deadline counts as one that never comes.
    fn holds(self, before: Option<u64>, unix_ms: i64) -> bool {
        let is_later = before.is_some_and(|before| i128::from(unix_ms) > i128::from(before));
        let is_earlier = before.is_none_or(|before| i128::from(unix_ms) < i128::from(before));
        (!self.none || before.is_none())
            && (!self.some || before.is_some())
            && (!self.later || is_later)
            && (!self.earlier || is_earlier)
    }
}

fn persist(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let had_deadline = edit.lookup(key).is_some_and(|record| record.deadline().is_some());

    if had_deadline {
        edit.set_deadline(key, None);
        edit.changed_value(key, Class::Generic, "persist");
    }

    reply.int(i64::from(had_deadline));
    Ok(())
}

fn ttl(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    tell(view, args, reply, |deadline| in_seconds(deadline.saturating_sub(view.now)))
}

fn pttl(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    tell(view, args, reply, |deadline| deadline.saturating_sub(view.now))
}

fn expiretime(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    tell(view, args, reply, in_seconds)
}

fn pexpiretime(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    tell(view, args, reply, |deadline| deadline)
}

/// Rounded to the nearest, as Redis does.
fn in_seconds(ms: u64) -> u64 {
    ms.saturating_add(500) / 1000
}

/// -2 where there is no key, -1 where it has no deadline.
fn tell(view: &View, args: &mut Args, reply: &mut Reply, of: impl Fn(u64) -> u64) -> Done {
    let record = view.untouched(args.next()?);
    reply.int(match record.map(|record| record.deadline()) {
        None => -2,
        Some(None) => -1,
        Some(Some(deadline)) => i64::try_from(of(deadline)).unwrap_or(i64::MAX),
    });
    Ok(())
}
