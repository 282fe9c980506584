//! Unions, intersections and differences of sorted sets and sets, returned, stored or only counted.
//!
//! Redis looks at the keys' types before it reads the options behind them, so that order is kept. The work is done in
//! `types::zset`.

use std::ops::ControlFlow;

use super::super::args::{Args, Rest};
use super::super::command::{Access, COMMAND, Command, Flag, Group, KeyFlag, KeySpec, Run, counted_keys, key};
use super::super::error::{Done, NOT_AN_INTEGER, SYNTAX, Stop, error, error_with};
use super::range::store;
use super::{limits, write_entries};
use crate::db::{Edit, View, WrongType};
use crate::ds::item::Item;
use crate::resp::reply::Reply;
use crate::types::set::Set;
use crate::types::zset::{Aggregate, Source, Weighted, Zset, difference, intersection, intersection_len, union};
use crate::util::float::parse_f64;

use Flag::{DenyOom, MovableKeys};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "ZDIFF",
        arity: -3,
        run: Run::Read(zdiff),
        flags: &[MovableKeys],
        keys: SOURCE_KEYS,
        group: Group::SortedSet,
        since: "6.2.0",
        cost: DIFFERENCE_COST,
        usage: "numkeys key [key ...] [WITHSCORES]",
        summary: "Returns the members of the first sorted set that are in none of the others.",
        ..COMMAND
    },
    Command {
        name: "ZDIFFSTORE",
        arity: -4,
        run: Run::Write(zdiffstore),
        flags: &[DenyOom, MovableKeys],
        keys: STORE_KEYS,
        group: Group::SortedSet,
        since: "6.2.0",
        cost: DIFFERENCE_COST,
        usage: "destination numkeys key [key ...]",
        summary: "Stores the members of the first sorted set that are in none of the others.",
        ..COMMAND
    },
    Command {
        name: "ZINTER",
        arity: -3,
        run: Run::Read(zinter),
        flags: &[MovableKeys],
        keys: SOURCE_KEYS,
        group: Group::SortedSet,
        since: "6.2.0",
        cost: INTERSECTION_COST,
        usage: "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX | COUNT>] [WITHSCORES]",
        summary: "Returns the members that are in all of several sorted sets.",
        ..COMMAND
    },
    Command {
        name: "ZINTERCARD",
        arity: -3,
        run: Run::Read(zintercard),
        flags: &[MovableKeys],
        keys: SOURCE_KEYS,
        group: Group::SortedSet,
        since: "7.0.0",
        cost: "O(N*K), where N is the number of members of the smallest sorted set and K is the number of sorted sets.",
        usage: "numkeys key [key ...] [LIMIT limit]",
        summary: "Counts the members that are in all of several sorted sets, up to a limit.",
        ..COMMAND
    },
    Command {
        name: "ZINTERSTORE",
        arity: -4,
        run: Run::Write(zinterstore),
        flags: &[DenyOom, MovableKeys],
        keys: STORE_KEYS,
        group: Group::SortedSet,
        since: "2.0.0",
        cost: INTERSECTION_COST,
        usage: "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX | COUNT>]",
        summary: "Stores the members that are in all of several sorted sets.",
        ..COMMAND
    },
    Command {
        name: "ZUNION",
        arity: -3,
        run: Run::Read(zunion),
        flags: &[MovableKeys],
        keys: SOURCE_KEYS,
        group: Group::SortedSet,
        since: "6.2.0",
        cost: UNION_COST,
        usage: "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX | COUNT>] [WITHSCORES]",
        summary: "Returns the members that are in any of several sorted sets.",
        ..COMMAND
    },
    Command {
        name: "ZUNIONSTORE",
        arity: -4,
        run: Run::Write(zunionstore),
        flags: &[DenyOom, MovableKeys],
        keys: STORE_KEYS,
        group: Group::SortedSet,
        since: "2.0.0",
        cost: UNION_COST,
        usage: "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX | COUNT>]",
        summary: "Stores the members that are in any of several sorted sets.",
        ..COMMAND
    },
];

const SOURCE_KEYS: &[KeySpec] = &[counted_keys(1, Access::Ro, &[KeyFlag::Access])];
const STORE_KEYS: &[KeySpec] =
    &[key(1, Access::Ow, &[KeyFlag::Update]), counted_keys(2, Access::Ro, &[KeyFlag::Access])];
const UNION_COST: &str = "O(N+M*log(M)), where N is the number of members of all sorted sets together and M is the number of those in the result.";
const INTERSECTION_COST: &str = "O(N*K+M*log(M)), where N is the number of members of the smallest sorted set, K is the number of sorted sets and M is the number of members in the result.";
const DIFFERENCE_COST: &str = "O(N*K+M*log(M)), where N is the number of members of the first sorted set, K is the number of sorted sets and M is the number of members in the result.";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// What the options behind the keys may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Allowed {
    Scores,
    Limit,
    /// Those of the operation alone: the result is stored.
    Stored,
}

struct Options {
    /// One for each key, or none at all.
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    limit: u64,
}

impl Options {
    fn read(operation: Operation, allowed: Allowed, keys: usize, args: &mut Args) -> Result<Self, Stop> {
        let mut options = Self { weights: Vec::new(), aggregate: Aggregate::Sum, with_scores: false, limit: 0 };
        let weighs = operation != Operation::Difference && allowed != Allowed::Limit;
        while !args.is_empty() {
            match () {
                () if weighs && args.len() > keys && args.option("WEIGHTS") => {
                    let weight = |text| parse_f64(text).ok_or(error("ERR weight value is not a float"));
                    options.weights = args.take(keys)?.map(weight).collect::<Result<_, _>>()?;
                }
                () if weighs && args.option_with_value("AGGREGATE") => options.aggregate = aggregate(args)?,
                () if allowed == Allowed::Scores && args.option("WITHSCORES") => options.with_scores = true,
                () if allowed == Allowed::Limit && args.option_with_value("LIMIT") => {
                    options.limit = args.int_in(0..=i64::MAX, "ERR LIMIT can't be negative")? as u64;
                }
                () => return Err(SYNTAX),
            }
        }
        Ok(options)
    }

    fn weight(&self, index: usize) -> f64 {
        self.weights.get(index).copied().unwrap_or(1.0)
    }
}

fn aggregate(args: &mut Args) -> Result<Aggregate, Stop> {
    match () {
        () if args.option("SUM") => Ok(Aggregate::Sum),
        () if args.option("MIN") => Ok(Aggregate::Min),
        () if args.option("MAX") => Ok(Aggregate::Max),
        () if args.option("COUNT") => Ok(Aggregate::Count),
        () => Err(SYNTAX),
    }
}

/// No sorted set at all, which is as good as an empty one.
struct Nothing;

impl Source for Nothing {
    fn len(&self) -> u64 {
        0
    }

    fn score(&self, _: &[u8]) -> Option<f64> {
        None
    }

    fn each(&self, _: &mut dyn FnMut(Item<'_>, f64) -> ControlFlow<()>) {}
}

/// Reads `numkeys key [key ...]`.
fn read_keys<'a>(name: &str, args: &mut Args<'a>) -> Result<Rest<'a>, Stop> {
    let count = args.int_or(NOT_AN_INTEGER)?;
    if count < 1 {
        return Err(error_with(format!("ERR at least 1 input key is needed for '{name}' command")));
    }
    args.take(usize::try_from(count).map_err(|_| SYNTAX)?)
}

fn sources<'a>(view: &View<'a>, keys: Rest) -> Result<Vec<&'a dyn Source>, WrongType> {
    keys.map(|key| source(view, key)).collect()
}

fn source<'a>(view: &View<'a>, key: &[u8]) -> Result<&'a dyn Source, WrongType> {
    let Some(record) = view.record(key) else { return Ok(&Nothing) };
    let zset = || record.get::<Zset>().map(|zset| zset as &dyn Source);
    let set = || record.get::<Set>().map(|set| set as &dyn Source);
    zset().or_else(set).ok_or(WrongType)
}

/// Reads keys and options and works the result out.
fn combine(
    name: &str,
    operation: Operation,
    allowed: Allowed,
    view: &View,
    args: &mut Args,
) -> Result<(Zset, Options), Stop> {
    let sources = sources(view, read_keys(name, args)?)?;
    let options = Options::read(operation, allowed, sources.len(), args)?;

    let mut limits = limits(view);
    if allowed != Allowed::Stored {
        // What is only shown is not packed: a listpack would turn -0 into 0.
        limits.entries_max = 0;
    }
    let weigh = |(index, &source)| Weighted { source, weight: options.weight(index) };
    let weighted: Vec<Weighted> = sources.iter().enumerate().map(weigh).collect();
    let result = match operation {
        Operation::Union => union(&weighted, options.aggregate, &limits),
        Operation::Intersection => intersection(&weighted, options.aggregate, &limits),
        Operation::Difference => difference(sources[0], &sources[1..], &limits),
    };
    Ok((result, options))
}

fn show(name: &str, operation: Operation, view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let (result, options) = combine(name, operation, Allowed::Scores, view, args)?;
    write_entries(result.iter(), options.with_scores, reply);
    Ok(())
}

fn combine_and_store(
    name: &'static str,
    operation: Operation,
    edit: &mut Edit,
    args: &mut Args,
    reply: &mut Reply,
) -> Done {
    let destination = args.next()?;
    let (result, _) = combine(name, operation, Allowed::Stored, &edit.view(), args)?;

    let len = result.len();
    store(edit, destination, Some(result), name);

    reply.count(len as usize);
    Ok(())
}

fn zunion(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    show("zunion", Operation::Union, view, args, reply)
}

fn zinter(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    show("zinter", Operation::Intersection, view, args, reply)
}

fn zdiff(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    show("zdiff", Operation::Difference, view, args, reply)
}

fn zunionstore(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    combine_and_store("zunionstore", Operation::Union, edit, args, reply)
}

fn zinterstore(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    combine_and_store("zinterstore", Operation::Intersection, edit, args, reply)
}

fn zdiffstore(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    combine_and_store("zdiffstore", Operation::Difference, edit, args, reply)
}

fn zintercard(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let sources = sources(view, read_keys("zintercard", args)?)?;
    let options = Options::read(Operation::Intersection, Allowed::Limit, sources.len(), args)?;

    reply.count(intersection_len(&sources, options.limit) as usize);
    Ok(())
}
