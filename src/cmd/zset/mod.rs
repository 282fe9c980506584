//! Sorted set commands on members that are named or drawn: ZADD, ZREM, ZSCORE, ZRANK, ZRANDMEMBER, ZSCAN and their like.
//!
//! What a sorted set is stands in `types::zset`. Ranges are in `range`, unions and the like in `combine`, what takes members
//! from the ends, waiting or not, in `pop`; they share how members are written into a reply.

pub mod combine;
pub mod pop;
pub mod range;
#[cfg(test)]
mod tests;

use super::args::{Args, Rest};
use super::command::{Access, COMMAND, Command, Flag, Group, KeyFlag, KeySpec, Run, key};
use super::error::{COUNT_OUT_OF_RANGE, Done, NOT_A_FLOAT, NOT_AN_INTEGER, SYNTAX, Stop, error, error_with};
use super::room::Room;
use super::scan;
use crate::db::effect::Class;
use crate::db::{Edit, View};
use crate::ds::item::ItemText;
use crate::resp::reply::Reply;
use crate::types::zset::{Entry, Limits, Outcome, Rule, Zset};
use crate::util::float::{parse_f64, write_f64, write_f64_in_17_digits};

use Flag::{DenyOom, Fast};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "ZADD",
        arity: -4,
        run: Run::Write(zadd),
        flags: &[DenyOom, Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Update])],
        group: Group::SortedSet,
        since: "1.2.0",
        cost: "O(log(N)) for each member, where N is the number of members of the sorted set.",
        usage: "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
        summary: "Adds members to a sorted set or gives them other scores, making the sorted set where there is none.",
        element: 3,
        ..COMMAND
    },
    Command {
        name: "ZCARD",
        arity: 2,
        run: Run::Read(zcard),
        flags: &[Fast],
        keys: &[key(1, Access::Ro, &[])],
        group: Group::SortedSet,
        since: "1.2.0",
        usage: "key",
        summary: "Returns how many members a sorted set has.",
        ..COMMAND
    },
    Command {
        name: "ZINCRBY",
        arity: 4,
        run: Run::Write(zincrby),
        flags: &[DenyOom, Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Update])],
        group: Group::SortedSet,
        since: "1.2.0",
        cost: "O(log(N)), where N is the number of members of the sorted set.",
        usage: "key increment member",
        summary: "Adds to the score of a member, which begins at 0 where it is new.",
        element: 3,
        ..COMMAND
    },
    Command {
        name: "ZMSCORE",
        arity: -3,
        run: Run::Read(zmscore),
        flags: &[Fast],
        keys: READ_KEYS,
        group: Group::SortedSet,
        since: "6.2.0",
        cost: "O(N), where N is the number of members asked for.",
        usage: "key member [member ...]",
        summary: "Returns the scores of several members.",
        element: 2,
        ..COMMAND
    },
    Command {
        name: "ZRANDMEMBER",
        arity: -2,
        run: Run::Read(zrandmember),
        keys: READ_KEYS,
        group: Group::SortedSet,
        since: "6.2.0",
        cost: "O(N*log(M)), where N is the number of members returned and M is the number of members of the sorted set.",
        usage: "key [count [WITHSCORES]]",
        summary: "Returns members drawn at random: distinct ones, or with a negative count ones that may repeat.",
        tips: &["nondeterministic_output"],
        ..COMMAND
    },
    Command {
        name: "ZRANK",
        arity: -3,
        run: Run::Read(zrank),
        flags: &[Fast],
        keys: READ_KEYS,
        group: Group::SortedSet,
        since: "2.0.0",
        cost: "O(log(N)), where N is the number of members of the sorted set.",
        usage: "key member [WITHSCORE]",
        summary: "Returns how many members have a lower place than a member.",
        element: 2,
        ..COMMAND
    },
    Command {
        name: "ZREM",
        arity: -3,
        run: Run::Write(zrem),
        flags: &[Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Delete])],
        group: Group::SortedSet,
        since: "1.2.0",
        cost: "O(M*log(N)), where M is the number of members removed and N is the number of members of the sorted set.",
        usage: "key member [member ...]",
        summary: "Removes members from a sorted set.",
        element: 2,
        ..COMMAND
    },
    Command {
        name: "ZREVRANK",
        arity: -3,
        run: Run::Read(zrevrank),
        flags: &[Fast],
        keys: READ_KEYS,
        group: Group::SortedSet,
        since: "2.0.0",
        cost: "O(log(N)), where N is the number of members of the sorted set.",
        usage: "key member [WITHSCORE]",
        summary: "Returns how many members have a higher place than a member.",
        element: 2,
        ..COMMAND
    },
    Command {
        name: "ZSCAN",
        arity: -3,
        run: Run::Read(zscan),
        keys: READ_KEYS,
        group: Group::SortedSet,
        since: "2.8.0",
        cost: "O(1) for each call; O(N) for all calls up to the cursor 0, where N is the number of members.",
        usage: "key cursor [MATCH pattern] [COUNT count]",
        summary: "Returns the members and scores of a sorted set piece by piece.",
        tips: &["nondeterministic_output"],
        ..COMMAND
    },
    Command {
        name: "ZSCORE",
        arity: 3,
        run: Run::Read(zscore),
        flags: &[Fast],
        keys: READ_KEYS,
        group: Group::SortedSet,
        since: "1.2.0",
        usage: "key member",
        summary: "Returns the score of a member.",
        element: 2,
        ..COMMAND
    },
];

const READ_KEYS: &[KeySpec] = &[key(1, Access::Ro, &[KeyFlag::Access])];

const NO_NUMBER: Stop = error("ERR resulting score is not a number (NaN)");
const NX_AND_XX: Stop = error("ERR XX and NX options at the same time are not compatible");
const GT_LT_AND_NX: Stop = error("ERR GT, LT, and/or NX options at the same time are not compatible");
const MANY_INCREMENTS: Stop = error("ERR INCR option supports a single increment-element pair");

/// What decides about the encoding of a sorted set.
#[inline]
pub(super) fn limits(view: &View) -> Limits {
    Limits {
        entries_max: view.config.zset_max_listpack_entries as usize,
        value_bytes_max: view.config.zset_max_listpack_value as usize,
        seed: view.keyspace().seed(),
    }
}

/// Announces `len` members: with scores they are pairs in RESP3 and twice as many elements in RESP2.
fn announce_entries(len: usize, with_scores: bool, reply: &mut Reply) {
    reply.array(if with_scores && !reply.is_resp3() { 2 * len } else { len });
}

#[inline]
fn write_entry(entry: Entry, with_scores: bool, reply: &mut Reply) {
    if with_scores && reply.is_resp3() {
        reply.array(2);
    }
    reply.item(entry.member);
    if with_scores {
        reply.double(entry.score);
    }
}

fn write_entries<'a>(entries: impl ExactSizeIterator<Item = Entry<'a>>, with_scores: bool, reply: &mut Reply) {
    announce_entries(entries.len(), with_scores, reply);
    entries.for_each(|entry| write_entry(entry, with_scores, reply));
}

fn zadd(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    add_by_rule(Rule::default(), edit, args, reply)
}

/// To Redis this is ZADD with INCR given beforehand: an option where the increment belongs leaves too few arguments.
fn zincrby(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    add_by_rule(Rule { increment: true, ..Rule::default() }, edit, args, reply)
}

fn add_by_rule(mut rule: Rule, edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let mut count_updates = false;
    loop {
        match () {
            () if args.option("NX") => rule.only_new = true,
            () if args.option("XX") => rule.only_existing = true,
            () if args.option("GT") => rule.only_greater = true,
            () if args.option("LT") => rule.only_less = true,
            () if args.option("CH") => count_updates = true,
            () if args.option("INCR") => rule.increment = true,
            () => break,
        }
    }
    let arguments = args.rest();
    match () {
        () if arguments.len() == 0 || !arguments.len().is_multiple_of(2) => return Err(SYNTAX),
        () if rule.only_new && rule.only_existing => return Err(NX_AND_XX),
        () if u8::from(rule.only_new) + u8::from(rule.only_greater) + u8::from(rule.only_less) > 1 => {
            return Err(GT_LT_AND_NX);
        }
        () if rule.increment && arguments.len() > 2 => return Err(MANY_INCREMENTS),
        () => {}
    }

    let added = add(edit, key, rule, arguments)?;

    match added.last {
        Outcome::Added(score) | Outcome::Updated(score) | Outcome::Unchanged(score) if rule.increment => {
            reply.double(score)
        }
        _ if rule.increment => reply.null(),
        _ => reply.count(if count_updates { added.new + added.updated } else { added.new }),
    }
    Ok(())
}

/// What came of the members that were to be added.
struct Added {
    new: usize,
    updated: usize,
    last: Outcome,
}

/// Adds pairs of score and member. There is at least one of them, and just one where the rule is to increment.
fn add(edit: &mut Edit, key: &[u8], rule: Rule, arguments: Rest) -> Result<Added, Stop> {
    let mut added = Added { new: 0, updated: 0, last: Outcome::Refused };
    let pairs = arguments.len() / 2;
    let mut arguments = arguments.pairs();
    let (score, member) = arguments.next().ok_or(SYNTAX)?;
    let score = parse_f64(score).ok_or(NOT_A_FLOAT)?;
    let other_scores: Option<Vec<f64>> = arguments.clone().map(|(score, _)| parse_f64(score)).collect();
    let other_scores = other_scores.ok_or(NOT_A_FLOAT)?;

    let limits = limits(&edit.view());
    let mut zset = if rule.only_existing {
        let Some(zset) = edit.get_mut::<Zset>(key)? else { return Ok(added) };
        zset
    } else {
        edit.get_or_new_with(key, || Zset::new(&limits, pairs, member.len()))?
    };
    zset.expect(&limits, pairs);
    let mut add_one = |member: &[u8], score: f64| {
        added.last = zset.add(&limits, member, score, rule);
        match added.last {
            Outcome::Added(_) => added.new += 1,
            Outcome::Updated(_) => added.updated += 1,
            Outcome::NotANumber => return Err(NO_NUMBER),
            Outcome::Unchanged(_) | Outcome::Refused => {}
        }
        Ok(())
    };
    add_one(member, score)?;
    for ((_, member), score) in arguments.zip(other_scores) {
        add_one(member, score)?;
    }
    drop(zset);

    if added.new + added.updated > 0 {
        let event = if rule.increment { "zincr" } else { "zadd" };
        edit.grown(key, Class::Zset, event, added.new + added.updated);
    }
    Ok(added)
}

fn zrem(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;

    let removed = match edit.get_mut::<Zset>(key)? {
        Some(mut zset) => args.rest().filter(|member| zset.remove(member).is_some()).count(),
        None => 0,
    };
    if removed > 0 {
        edit.changed_many(key, Class::Zset, "zrem", removed);
    }

    reply.count(removed);
    Ok(())
}

fn zcard(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let len = view.get::<Zset>(args.next()?)?.map_or(0, Zset::len);
    reply.count(len as usize);
    Ok(())
}

fn zscore(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let zset = view.get::<Zset>(args.next()?)?;
    reply_score(zset, args.next()?, reply);
    Ok(())
}

fn zmscore(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let zset = view.get::<Zset>(args.next()?)?;

    reply.array(args.len());
    for member in args.rest() {
        reply_score(zset, member, reply);
    }
    Ok(())
}

fn reply_score(zset: Option<&Zset>, member: &[u8], reply: &mut Reply) {
    match zset.and_then(|zset| zset.score(member)) {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

fn zrank(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    rank("zrank", false, view, args, reply)
}

fn zrevrank(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    rank("zrevrank", true, view, args, reply)
}

fn rank(name: &str, reverse: bool, view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, member) = (args.next()?, args.next()?);
    if args.len() > 1 {
        return Err(error_with(format!("ERR wrong number of arguments for '{name}' command")));
    }
    let with_score = args.option("WITHSCORE");
    args.end()?;

    let found = view.get::<Zset>(key)?.and_then(|zset| zset.rank(member, reverse));

    match found {
        Some((rank, score)) if with_score => {
            reply.array(2);
            reply.int(rank as i64);
            reply.double(score);
        }
        Some((rank, _)) => reply.int(rank as i64),
        None if with_score => reply.null_array(),
        None => reply.null(),
    }
    Ok(())
}

fn zrandmember(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let random = &mut || view.random.borrow_mut().next_u64();
    let Some(count) = args.try_next() else {
        match view.get::<Zset>(key)?.and_then(|zset| zset.random(random)) {
            Some(entry) => reply.item(entry.member),
            None => reply.null(),
        }
        return Ok(());
    };
    let count = crate::util::number::parse_i64(count).ok_or(NOT_AN_INTEGER)?;
    if count == i64::MIN {
        return Err(error(COUNT_OUT_OF_RANGE));
    }
    let with_scores = args.option("WITHSCORES");
    args.end()?;
    if with_scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(error("ERR value is out of range"));
    }

    let Some(zset) = view.get::<Zset>(key)? else {
        reply.array(0);
        return Ok(());
    };
    if count < 0 {
        let room = Room::of(reply, view.config);
        announce_entries(count.unsigned_abs() as usize, with_scores, reply);
        for _ in 0..count.unsigned_abs() {
            let Some(entry) = zset.random(random) else { break };
            write_entry(entry, with_scores, reply);
            if !room.is_left(reply) {
                break;
            }
        }
        room.end(reply)?;
    } else {
        let count = zset.len().min(count as u64);
        announce_entries(count as usize, with_scores, reply);
        zset.sample(count, random, |entry| write_entry(entry, with_scores, reply));
    }
    Ok(())
}

fn zscan(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let cursor = scan::cursor(args)?;
    let Some(zset) = view.get::<Zset>(key)? else {
        scan::reply_page(reply, |_| (0, 0));
        return Ok(());
    };
    let options = scan::Options::read(args)?;
    // Redis shows the same score with fewer digits while the sorted set is small.
    let write_score = if zset.as_listpack().is_some() { write_f64 } else { write_f64_in_17_digits };

    scan::reply_page(reply, |reply| {
        let (mut found, mut scratch, mut score_text) = (0, ItemText::default(), Vec::new());
        let next = zset.scan(cursor, options.count, |Entry { member, score }| {
            let member = member.text(&mut scratch);
            if options.admits(member) {
                found += 1;
                score_text.clear();
                write_score(&mut score_text, score);
                reply.bulk(member);
                reply.bulk(&score_text);
            }
        });
        (next, 2 * found)
    });
    Ok(())
}
