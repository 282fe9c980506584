//! Sorted set commands on ranges: of places, of scores, and of members by their bytes.
//!
//! ZRANGE says in its options which of them it means; its older relatives say so in their names. All of them are read into one
//! `Query`, whose answer is a range of ranks.

use super::super::args::Args;
use super::super::command::{Access, COMMAND, Command, Deprecated, Flag, Group, KeyFlag, KeySpec, Run, key};
use super::super::error::{Done, NOT_AN_INTEGER, SYNTAX, Stop, error};
use super::{READ_KEYS, limits, write_entries};
use crate::db::effect::Class;
use crate::db::{Edit, View};
use crate::ds::item::ItemText;
use crate::resp::reply::Reply;
use crate::types::zset::{LexRange, Limits, Rule, ScoreRange, Zset, limit, ranks_of_indexes};
use crate::util::number::parse_i64;
use std::ops::Range;

use Flag::{DenyOom, Fast};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "ZCOUNT",
        arity: 4,
        run: Run::Read(zcount),
        flags: &[Fast],
        keys: READ_KEYS,
        group: Group::SortedSet,
        since: "2.0.0",
        cost: "O(log(N)), where N is the number of members of the sorted set.",
        usage: "key min max",
        summary: "Counts the members whose scores are in a range.",
        ..COMMAND
    },
    Command {
        name: "ZLEXCOUNT",
        arity: 4,
        run: Run::Read(zlexcount),
        flags: &[Fast],
        keys: READ_KEYS,
        group: Group::SortedSet,
        since: "2.8.9",
        cost: "O(log(N)), where N is the number of members of the sorted set.",
        usage: "key min max",
        summary: "Counts the members in a range of bytes, where all scores are equal.",
        ..COMMAND
    },
    Command {
        name: "ZRANGE",
        arity: -4,
        run: Run::Read(zrange),
        keys: READ_KEYS,
        group: Group::SortedSet,
        since: "1.2.0",
        cost: RANGE_COST,
        usage: "key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
        summary: "Returns the members in a range of places, scores or bytes.",
        ..COMMAND
    },
    Command {
        name: "ZRANGEBYLEX",
        deprecated: Some(Deprecated { since: "6.2.0", instead: "`ZRANGE` with the `BYLEX` argument" }),
        arity: -4,
        run: Run::Read(zrangebylex),
        keys: READ_KEYS,
        group: Group::SortedSet,
        since: "2.8.9",
        cost: RANGE_COST,
        usage: "key min max [LIMIT offset count]",
        summary: "Returns the members in a range of bytes, where all scores are equal.",
        ..COMMAND
    },
    Command {
        name: "ZRANGEBYSCORE",
        deprecated: Some(Deprecated { since: "6.2.0", instead: "`ZRANGE` with the `BYSCORE` argument" }),
        arity: -4,
        run: Run::Read(zrangebyscore),
        keys: READ_KEYS,
        group: Group::SortedSet,
        since: "1.0.5",
        cost: RANGE_COST,
        usage: "key min max [WITHSCORES] [LIMIT offset count]",
        summary: "Returns the members whose scores are in a range.",
        ..COMMAND
    },
    Command {
        name: "ZRANGESTORE",
        arity: -5,
        run: Run::Write(zrangestore),
        flags: &[DenyOom],
        keys: &[key(1, Access::Ow, &[KeyFlag::Update]), key(2, Access::Ro, &[KeyFlag::Access])],
        group: Group::SortedSet,
        since: "6.2.0",
        cost: "O(log(N)+M), where N is the number of members of the sorted set and M is the number of those stored.",
        usage: "dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
        summary: "Stores the members in a range of places, scores or bytes under another key.",
        ..COMMAND
    },
    Command {
        name: "ZREMRANGEBYLEX",
        arity: 4,
        run: Run::Write(zremrangebylex),
        keys: REMOVE_KEYS,
        group: Group::SortedSet,
        since: "2.8.9",
        cost: REMOVE_COST,
        usage: "key min max",
        summary: "Removes the members in a range of bytes, where all scores are equal.",
        ..COMMAND
    },
    Command {
        name: "ZREMRANGEBYRANK",
        arity: 4,
        run: Run::Write(zremrangebyrank),
        keys: REMOVE_KEYS,
        group: Group::SortedSet,
        since: "2.0.0",
        cost: REMOVE_COST,
        usage: "key start stop",
        summary: "Removes the members in a range of places.",
        ..COMMAND
    },
    Command {
        name: "ZREMRANGEBYSCORE",
        arity: 4,
        run: Run::Write(zremrangebyscore),
        keys: REMOVE_KEYS,
        group: Group::SortedSet,
        since: "1.2.0",
        cost: REMOVE_COST,
        usage: "key min max",
        summary: "Removes the members whose scores are in a range.",
        ..COMMAND
    },
    Command {
        name: "ZREVRANGE",
        deprecated: Some(Deprecated { since: "6.2.0", instead: "`ZRANGE` with the `REV` argument" }),
        arity: -4,
        run: Run::Read(zrevrange),
        keys: READ_KEYS,
        group: Group::SortedSet,
        since: "1.2.0",
        cost: RANGE_COST,
        usage: "key start stop [WITHSCORES]",
        summary: "Returns the members in a range of places, counted and listed from the highest one.",
        ..COMMAND
    },
    Command {
        name: "ZREVRANGEBYLEX",
        deprecated: Some(Deprecated { since: "6.2.0", instead: "`ZRANGE` with the `REV` and `BYLEX` arguments" }),
        arity: -4,
        run: Run::Read(zrevrangebylex),
        keys: READ_KEYS,
        group: Group::SortedSet,
        since: "2.8.9",
        cost: RANGE_COST,
        usage: "key max min [LIMIT offset count]",
        summary: "Returns the members in a range of bytes, the highest one first, where all scores are equal.",
        ..COMMAND
    },
    Command {
        name: "ZREVRANGEBYSCORE",
        deprecated: Some(Deprecated { since: "6.2.0", instead: "`ZRANGE` with the `REV` and `BYSCORE` arguments" }),
        arity: -4,
        run: Run::Read(zrevrangebyscore),
        keys: READ_KEYS,
        group: Group::SortedSet,
        since: "2.2.0",
        cost: RANGE_COST,
        usage: "key max min [WITHSCORES] [LIMIT offset count]",
        summary: "Returns the members whose scores are in a range, the highest one first.",
        ..COMMAND
    },
];

const REMOVE_KEYS: &[KeySpec] = &[key(1, Access::Rw, &[KeyFlag::Delete])];
const RANGE_COST: &str =
    "O(log(N)+M), where N is the number of members of the sorted set and M is the number of those returned.";
const REMOVE_COST: &str =
    "O(log(N)+M), where N is the number of members of the sorted set and M is the number of those removed.";

const NO_SCORE_RANGE: Stop = error("ERR min or max is not a float");
const NO_LEX_RANGE: Stop = error("ERR min or max not valid string range item");
const LIMIT_OF_PLACES: Stop =
    error("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
const SCORES_OF_LEX: Stop = error("ERR syntax error, WITHSCORES not supported in combination with BYLEX");

/// What is meant by the two ends of a range.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Place,
    Score,
    Lex,
}

/// What a command's name has settled already; the rest is for its options to say.
#[derive(Clone, Copy)]
struct Form {
    by: Option<By>,
    reverse: Option<bool>,
    may_show_scores: bool,
}

impl Form {
    const fn named(by: By, reverse: bool) -> Self {
        Self { by: Some(by), reverse: Some(reverse), may_show_scores: true }
    }
}

enum Bounds<'a> {
    Places { start: i64, stop: i64 },
    Scores(ScoreRange),
    Lex(LexRange<'a>),
}

/// A range, and which of its members are asked for.
struct Query<'a> {
    bounds: Bounds<'a>,
    reverse: bool,
    offset: i64,
    /// Negative: all.
    count: i64,
    with_scores: bool,
}

impl<'a> Query<'a> {
    fn read(form: Form, args: &mut Args<'a>) -> Result<Self, Stop> {
        let (first, last) = (args.next()?, args.next()?);
        let Form { mut by, mut reverse, may_show_scores } = form;
        let (mut with_scores, mut offset, mut count) = (false, 0, -1);
        while !args.is_empty() {
            match () {
                () if may_show_scores && args.option("WITHSCORES") => with_scores = true,
                () if args.len() >= 3 && args.option("LIMIT") => (offset, count) = (args.int()?, args.int()?),
                () if reverse.is_none() && args.option("REV") => reverse = Some(true),
                () if by.is_none() && args.option("BYLEX") => by = Some(By::Lex),
                () if by.is_none() && args.option("BYSCORE") => by = Some(By::Score),
                () => return Err(SYNTAX),
            }
        }
        let (by, reverse) = (by.unwrap_or(By::Place), reverse.unwrap_or(false));
        // A count of -1 is no limit to Redis, whatever the offset.
        if count != -1 && by == By::Place {
            return Err(LIMIT_OF_PLACES);
        }
        if with_scores && by == By::Lex {
            return Err(SCORES_OF_LEX);
        }
        let bounds = match (by, reverse) {
            (By::Place, _) => places(first, last)?,
            (By::Score, false) => scores(first, last)?,
            (By::Score, true) => scores(last, first)?,
            (By::Lex, false) => lex(first, last)?,
            (By::Lex, true) => lex(last, first)?,
        };
        Ok(Self { bounds, reverse, offset, count, with_scores })
    }

    fn ranks(&self, zset: &Zset) -> Range<u64> {
        match self.bounds {
            Bounds::Places { .. } => self.bounds.ranks(zset, self.reverse),
            _ => limit(self.bounds.ranks(zset, self.reverse), self.offset, self.count, self.reverse),
        }
    }

    /// The members asked for as a sorted set of their own. It grows as Redis's does, member by member: one that turns out too large for a
    /// listpack has been one, and shows it in zeros that lost their sign.
    fn copy(&self, zset: &Zset, limits: &Limits) -> Zset {
        let entries = zset.entries(self.ranks(zset), self.reverse);
        let known_len = if matches!(self.bounds, Bounds::Places { .. }) { entries.len() } else { 0 };
        let mut copy = Zset::new(limits, known_len, 0);
        let mut scratch = ItemText::default();
        for entry in entries {
            copy.add(limits, entry.member.text(&mut scratch), entry.score, Rule::default());
        }
        copy
    }
}

impl Bounds<'_> {
    fn ranks(&self, zset: &Zset, reverse: bool) -> Range<u64> {
        match self {
            Bounds::Places { start, stop } => ranks_of_indexes(zset.len(), *start, *stop, reverse),
            Bounds::Scores(range) => zset.ranks_by_score(range),
            Bounds::Lex(range) => zset.ranks_by_lex(range),
        }
    }
}

fn places<'a>(start: &[u8], stop: &[u8]) -> Result<Bounds<'a>, Stop> {
    let place = |text| parse_i64(text).ok_or(NOT_AN_INTEGER);
    Ok(Bounds::Places { start: place(start)?, stop: place(stop)? })
}

fn scores<'a>(min: &[u8], max: &[u8]) -> Result<Bounds<'a>, Stop> {
    ScoreRange::parse(min, max).map(Bounds::Scores).ok_or(NO_SCORE_RANGE)
}

fn lex<'a>(min: &'a [u8], max: &'a [u8]) -> Result<Bounds<'a>, Stop> {
    LexRange::parse(min, max).map(Bounds::Lex).ok_or(NO_LEX_RANGE)
}

fn zrange(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    show(Form { by: None, reverse: None, may_show_scores: true }, view, args, reply)
}

fn zrangebylex(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    show(Form::named(By::Lex, false), view, args, reply)
}

fn zrangebyscore(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    show(Form::named(By::Score, false), view, args, reply)
}

fn zrevrange(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    show(Form::named(By::Place, true), view, args, reply)
}

fn zrevrangebylex(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    show(Form::named(By::Lex, true), view, args, reply)
}

fn zrevrangebyscore(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    show(Form::named(By::Score, true), view, args, reply)
}

fn show(form: Form, view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let query = Query::read(form, args)?;

    match view.get::<Zset>(key)? {
        Some(zset) => write_entries(zset.entries(query.ranks(zset), query.reverse), query.with_scores, reply),
        None => reply.array(0),
    }
    Ok(())
}

fn zrangestore(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (destination, source) = (args.next()?, args.next()?);
    let query = Query::read(Form { by: None, reverse: None, may_show_scores: false }, args)?;

    let view = edit.view();
    let stored = view.get::<Zset>(source)?.map(|zset| query.copy(zset, &limits(&view)));
    let len = stored.as_ref().map_or(0, Zset::len);
    store(edit, destination, stored, "zrangestore");

    reply.count(len as usize);
    Ok(())
}

/// Puts a result under a key in place of what is there; an empty one only removes that.
pub(in crate::cmd) fn store(edit: &mut Edit, key: &[u8], result: Option<Zset>, event: &'static str) {
    match result.filter(|zset| !zset.is_empty()) {
        Some(zset) => {
            edit.set(key, zset, None);
            edit.changed(key, Class::Zset, event);
        }
        None => {
            if edit.remove(key) {
                edit.changed(key, Class::Generic, "del");
            }
        }
    }
}

fn zcount(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let range = scores(args.next()?, args.next()?)?;
    count(key, range, view, reply)
}

fn zlexcount(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let range = lex(args.next()?, args.next()?)?;
    count(key, range, view, reply)
}

fn count(key: &[u8], range: Bounds, view: &View, reply: &mut Reply) -> Done {
    let ranks = view.get::<Zset>(key)?.map_or(0..0, |zset| range.ranks(zset, false));
    reply.count((ranks.end - ranks.start) as usize);
    Ok(())
}

fn zremrangebyrank(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let range = places(args.next()?, args.next()?)?;
    remove(key, range, "zremrangebyrank", edit, reply)
}

fn zremrangebyscore(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let range = scores(args.next()?, args.next()?)?;
    remove(key, range, "zremrangebyscore", edit, reply)
}

fn zremrangebylex(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let range = lex(args.next()?, args.next()?)?;
    remove(key, range, "zremrangebylex", edit, reply)
}

fn remove(key: &[u8], range: Bounds, event: &'static str, edit: &mut Edit, reply: &mut Reply) -> Done {
    let removed = match edit.get_mut::<Zset>(key)? {
        Some(mut zset) => {
            let ranks = range.ranks(&zset, false);
            zset.remove_ranks(ranks, |_| {}) as usize
        }
        None => 0,
    };
    if removed > 0 {
        edit.changed_many(key, Class::Zset, event, removed);
    }

    reply.count(removed);
    Ok(())
}
