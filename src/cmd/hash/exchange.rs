//! Commands that get or set fields and do one thing more: HGETDEL, HGETEX, HSETEX.
//!
//! HSETEX reads its options in any order and says which it does not know; HGETEX knows one place for one option. The journal is told
//! absolute times (`expire`).

use super::expire::{NOT_POSITIVE, deadline, fields, note_expiring, note_removed};
use super::*;
use crate::cmd::expiry::Unit;
use crate::types::hash::{Condition, Expired, Persisted};
use crate::util::number::IntegerText;

pub const COMMANDS: &[Command] = &[
    Command {
        name: "HGETDEL",
        arity: -5,
        run: Run::Write(hgetdel),
        flags: &[Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Delete])],
        group: Group::Hash,
        since: "8.0.0",
        cost: PER_FIELD,
        usage: "key FIELDS numfields field [field ...]",
        summary: "Returns the values of fields and removes the fields.",
        ..COMMAND
    },
    Command {
        name: "HGETEX",
        arity: -5,
        run: Run::Write(hgetex),
        flags: &[Fast],
        keys: &[KeySpec { notes: "It changes deadlines.", ..key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Update]) }],
        group: Group::Hash,
        since: "8.0.0",
        cost: PER_FIELD,
        usage: "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] FIELDS numfields field [field ...]",
        summary: "Returns the values of fields and changes or clears their deadlines.",
        ..COMMAND
    },
    Command {
        name: "HSETEX",
        arity: -6,
        run: Run::Write(hsetex),
        flags: &[DenyOom, Fast],
        keys: UPDATE,
        group: Group::Hash,
        since: "8.0.0",
        cost: PER_FIELD,
        usage: "key [FNX | FXX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL] FIELDS numfields field value [field value ...]",
        summary: "Sets fields with a deadline, on a condition.",
        ..COMMAND
    },
];

fn hgetdel(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    edit.get_mut::<Hash>(key)?;
    let fields = fields(args, NOT_POSITIVE)?;
    let now = edit.now;

    reply.array(fields.len());
    let removed = change_existing(edit, key, fields.clone(), |hash| {
        let mut take = |field| {
            reply_value(reply, hash.get(field, now));
            hash.remove(field, now)
        };
        fields.clone().filter(|field| take(field)).count()
    })?;
    match removed {
        None => fields.for_each(|_| reply.null()),
        Some(0) => {}
        Some(removed) => edit.changed_many(key, Class::Hash, "hdel", removed),
    }
    Ok(())
}

/// What HGETEX does to a deadline.
#[derive(Clone, Copy)]
enum Exchange {
    Nothing,
    Persist,
    Expire(u64),
}

impl Exchange {
    fn read(args: &mut Args, now: u64) -> Result<Self, Stop> {
        if args.option("PERSIST") {
            return Ok(Exchange::Persist);
        }
        let Some(unit) = args.peek().and_then(Unit::of_option) else { return Ok(Exchange::Nothing) };
        args.next()?;
        Ok(Exchange::Expire(deadline(unit, args.next()?, now, "hgetex")?))
    }

    /// Whether it changed anything.
    fn apply(self, hash: &mut Hash, field: &[u8], now: u64) -> bool {
        match self {
            Exchange::Nothing => false,
            Exchange::Persist => {
                // HPERSIST does not do this.
                hash.make_room_for_deadlines();
                hash.persist(field, now) == Persisted::Cleared
            }
            Exchange::Expire(deadline) => {
                let outcome = hash.expire(field, deadline, Condition::Always, now);
                matches!(outcome, Expired::Set | Expired::Deleted)
            }
        }
    }
}

fn hgetex(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    edit.get_mut::<Hash>(key)?;
    let now = edit.now;
    let exchange = Exchange::read(args, now)?;
    if args.len() < 2 {
        return Err(wrong_number("hgetex"));
    }
    let fields = fields(args, NOT_POSITIVE)?;

    reply.array(fields.len());
    let changed: Option<Vec<&[u8]>> = change_existing(edit, key, fields.clone(), |hash| {
        let mut visit = |field| {
            reply_value(reply, hash.get(field, now));
            exchange.apply(hash, field, now)
        };
        fields.clone().filter(|field| visit(field)).collect()
    })?;
    let Some(changed) = changed else {
        fields.for_each(|_| reply.null());
        return Ok(());
    };
    match exchange {
        _ if changed.is_empty() => {}
        Exchange::Nothing => {}
        Exchange::Persist => {
            let count = IntegerText::unsigned(changed.len() as u64);
            edit.journal_instead(
                [b"HPERSIST", key, b"FIELDS", count.as_bytes()].into_iter().chain(changed.iter().copied()),
            );
            edit.changed_many(key, Class::Hash, "hpersist", changed.len());
        }
        Exchange::Expire(deadline) if deadline <= now => note_removed(edit, key, &changed),
        Exchange::Expire(deadline) => note_expiring(edit, key, deadline, None, &changed),
    }
    Ok(())
}

/// What stands before HSETEX's fields.
#[derive(Default)]
struct SetOptions {
    /// FXX: every field must be there; FNX: none may.
    wants_fields: Option<bool>,
    deadline: Option<u64>,
    keeps_deadline: bool,
}

impl SetOptions {
    /// Reads up to FIELDS.
    fn read(args: &mut Args, now: u64) -> Result<Self, Stop> {
        let mut options = Self::default();
        while !args.option("FIELDS") {
            let word = args.try_next().ok_or_else(|| wrong_number("hsetex"))?;
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            if is("FNX") || is("FXX") {
                if options.wants_fields.is_some() {
                    return Err(error("ERR Only one of FXX or FNX arguments can be specified"));
                }
                options.wants_fields = Some(is("FXX"));
                continue;
            }
            let unit = Unit::of_option(word);
            if unit.is_none() && !is("KEEPTTL") {
                return Err(Stop::Bytes([b"ERR unknown argument: ", shown(word)].concat()));
            }
            if options.keeps_deadline || options.deadline.is_some() {
                return Err(error("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified"));
            }
            match unit {
                Some(unit) => options.deadline = Some(deadline(unit, args.next()?, now, "hsetex")?),
                None => options.keeps_deadline = true,
            }
        }
        Ok(options)
    }

    /// Whether the condition lets the fields be set.
    fn allow<'f>(&self, hash: Option<&Hash>, mut fields: impl Iterator<Item = &'f [u8]>, now: u64) -> bool {
        let Some(wants) = self.wants_fields else { return true };
        fields.all(|field| hash.is_some_and(|hash| hash.contains(field, now)) == wants)
    }

    fn put(&self, hash: &mut Hash, field: &[u8], value: &[u8], now: u64, limits: &Limits) {
        let deadline = match hash.deadline(field, now) {
            Some(deadline) if self.keeps_deadline => deadline,
            _ => self.deadline.filter(|deadline| *deadline > now),
        };
        hash.put(field, value, deadline, now, limits);
    }
}

fn hsetex(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let (limits, now) = (limits(edit), edit.now);
    let options = SetOptions::read(args, now)?;
    // A number, and one field with its value.
    if args.len() < 3 {
        return Err(wrong_number("hsetex"));
    }
    let count = args.int_in(1..=i64::from(i32::MAX), "ERR invalid number of fields")?;
    let texts = args.rest();
    if usize::try_from(count).ok().and_then(|count| count.checked_mul(2)) != Some(texts.len()) {
        return Err(wrong_number("hsetex"));
    }
    let allowed = change_existing(edit, key, names(&texts), |hash| options.allow(Some(hash), names(&texts), now))?;
    if !allowed.unwrap_or_else(|| options.allow(None, names(&texts), now)) {
        reply.int(0);
        return Ok(());
    }

    let has_passed = options.deadline.is_some_and(|deadline| deadline <= now);
    change(edit, key, names(&texts), |hash| {
        hash.expect(texts.len() / 2, texts.clone(), &limits);
        for (field, value) in texts.clone().pairs() {
            options.put(hash, field, value, now, &limits);
        }
        if has_passed {
            names(&texts).for_each(|field| {
                hash.remove(field, now);
            });
        }
    })?;
    note_set(edit, key, &options, &texts, has_passed);

    reply.int(1);
    Ok(())
}

/// Tells of fields that HSETEX set, and that are gone already where the deadline has passed.
fn note_set(edit: &mut Edit, key: &[u8], options: &SetOptions, texts: &Rest, has_passed: bool) {
    let count = texts.len() / 2;
    let Some(deadline) = options.deadline else {
        edit.changed_many(key, Class::Hash, "hset", count);
        return;
    };
    edit.notice(key, Class::Hash, "hset");
    if has_passed {
        note_removed(edit, key, &names(texts).collect::<Vec<_>>());
        return;
    }
    let (deadline, fields) = (IntegerText::unsigned(deadline), IntegerText::unsigned(count as u64));
    let condition = options.wants_fields.map(|wants| if wants { &b"FXX"[..] } else { b"FNX" });
    let head = [b"HSETEX", key].into_iter().chain(condition);
    let tail = [b"PXAT", deadline.as_bytes(), b"FIELDS", fields.as_bytes()].into_iter().chain(texts.clone());
    edit.journal_instead(head.chain(tail));
    edit.changed_many(key, Class::Hash, "hexpire", count);
}
