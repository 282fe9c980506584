//! Set commands. What a set is stands in `types::set`; the operations on several sets share `Sources` below.

use super::args::Args;
use super::command::{Access, COMMAND, Command, Flag, Group, KeyFlag, KeySpec, Run, counted_keys, key, keys};
use super::error::{COUNT_OUT_OF_RANGE, Done, SYNTAX, Stop, error};
use super::room::Room;
use super::scan;
use crate::config::Config;
use crate::db::effect::Class;
use crate::db::{Edit, View, WrongType};
use crate::ds::hyperloglog::Registers;
use crate::ds::item::{Item, ItemText};
use crate::ds::keytable::Seed;
use crate::resp::reply::Reply;
use crate::types::set::{Limits, Set, combine};

use Flag::{DenyOom, Fast, MovableKeys};

const UNORDERED: &[&str] = &["nondeterministic_output_order"];
const RANDOM: &[&str] = &["nondeterministic_output"];
const READ_ALL: &[KeySpec] = &[keys(1, -1, 1, Access::Ro, &[KeyFlag::Access])];
const COUNTED: &[KeySpec] = &[counted_keys(1, Access::Ro, &[KeyFlag::Access])];
const STORE: &[KeySpec] = &[key(1, Access::Ow, &[KeyFlag::Update]), keys(2, -1, 1, Access::Ro, &[KeyFlag::Access])];
const ALL_ELEMENTS: &str = "O(N) where N is the number of elements of all the sets";
const SMALLEST: &str = "O(N*M) worst case where N is the size of the smallest set and M is the number of sets";

pub const COMMANDS: &[Command] = &[
    Command {
        name: "SADD",
        arity: -3,
        run: Run::Write(sadd),
        flags: &[DenyOom, Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Insert])],
        group: Group::Set,
        cost: "O(1) for each element added",
        usage: "key member [member ...]",
        summary: "Adds members to a set, making the set where there is none.",
        element: 2,
        ..COMMAND
    },
    Command {
        name: "SCARD",
        arity: 2,
        run: Run::Read(scard),
        flags: &[Fast],
        keys: &[key(1, Access::Ro, &[])],
        group: Group::Set,
        usage: "key",
        summary: "Returns how many members a set has.",
        ..COMMAND
    },
    Command {
        name: "SDIFF",
        arity: -2,
        run: Run::Read(sdiff),
        keys: READ_ALL,
        group: Group::Set,
        cost: ALL_ELEMENTS,
        usage: "key [key ...]",
        summary: "Returns the members of the first set that are in none of the others.",
        tips: UNORDERED,
        ..COMMAND
    },
    Command {
        name: "SDIFFCARD",
        arity: -3,
        run: Run::Read(sdiffcard),
        flags: &[MovableKeys],
        keys: COUNTED,
        group: Group::Set,
        since: "8.10.0",
        cost: ALL_ELEMENTS,
        usage: "numkeys key [key ...] [LIMIT limit]",
        summary: "Returns how many members of the first set are in none of the others.",
        ..COMMAND
    },
    Command {
        name: "SDIFFSTORE",
        arity: -3,
        run: Run::Write(sdiffstore),
        flags: &[DenyOom],
        keys: STORE,
        group: Group::Set,
        cost: ALL_ELEMENTS,
        usage: "destination key [key ...]",
        summary: "Stores the members of the first set that are in none of the others.",
        ..COMMAND
    },
    Command {
        name: "SINTER",
        arity: -2,
        run: Run::Read(sinter),
        keys: READ_ALL,
        group: Group::Set,
        cost: SMALLEST,
        usage: "key [key ...]",
        summary: "Returns the members that are in all the sets.",
        tips: UNORDERED,
        ..COMMAND
    },
    Command {
        name: "SINTERCARD",
        arity: -3,
        run: Run::Read(sintercard),
        flags: &[MovableKeys],
        keys: COUNTED,
        group: Group::Set,
        since: "7.0.0",
        cost: SMALLEST,
        usage: "numkeys key [key ...] [LIMIT limit]",
        summary: "Returns how many members are in all the sets.",
        ..COMMAND
    },
    Command {
        name: "SINTERSTORE",
        arity: -3,
        run: Run::Write(sinterstore),
        flags: &[DenyOom],
        keys: STORE,
        group: Group::Set,
        cost: SMALLEST,
        usage: "destination key [key ...]",
        summary: "Stores the members that are in all the sets.",
        ..COMMAND
    },
    Command {
        name: "SISMEMBER",
        arity: 3,
        run: Run::Read(sismember),
        flags: &[Fast],
        keys: &[key(1, Access::Ro, &[])],
        group: Group::Set,
        usage: "key member",
        summary: "Says whether a set has a member.",
        element: 2,
        ..COMMAND
    },
    Command {
        name: "SMEMBERS",
        arity: 2,
        run: Run::Read(smembers),
        keys: &[key(1, Access::Ro, &[KeyFlag::Access])],
        group: Group::Set,
        cost: "O(N) where N is the size of the set",
        usage: "key",
        summary: "Returns all members of a set.",
        tips: UNORDERED,
        ..COMMAND
    },
    Command {
        name: "SMISMEMBER",
        arity: -3,
        run: Run::Read(smismember),
        flags: &[Fast],
        keys: &[key(1, Access::Ro, &[KeyFlag::Access])],
        group: Group::Set,
        since: "6.2.0",
        cost: "O(N) where N is the number of members asked for",
        usage: "key member [member ...]",
        summary: "Says of several members whether a set has them.",
        element: 2,
        ..COMMAND
    },
    Command {
        name: "SMOVE",
        arity: 4,
        run: Run::Write(smove),
        flags: &[Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Delete]), key(2, Access::Rw, &[KeyFlag::Insert])],
        group: Group::Set,
        usage: "source destination member",
        summary: "Moves a member from one set to another.",
        ..COMMAND
    },
    Command {
        name: "SPOP",
        arity: -2,
        run: Run::Write(spop),
        flags: &[Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Delete])],
        group: Group::Set,
        cost: "O(1) without a count, O(N) where N is the count",
        usage: "key [count]",
        summary: "Takes random members out of a set and returns them.",
        tips: RANDOM,
        ..COMMAND
    },
    Command {
        name: "SRANDMEMBER",
        arity: -2,
        run: Run::Read(srandmember),
        keys: &[key(1, Access::Ro, &[KeyFlag::Access])],
        group: Group::Set,
        cost: "O(1) without a count, O(N) where N is the absolute value of the count",
        usage: "key [count]",
        summary: "Returns random members of a set.",
        tips: RANDOM,
        ..COMMAND
    },
    Command {
        name: "SREM",
        arity: -3,
        run: Run::Write(srem),
        flags: &[Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Delete])],
        group: Group::Set,
        cost: "O(N) where N is the number of members to be removed",
        usage: "key member [member ...]",
        summary: "Removes members from a set.",
        element: 2,
        ..COMMAND
    },
    Command {
        name: "SSCAN",
        arity: -3,
        run: Run::Read(sscan),
        keys: &[key(1, Access::Ro, &[KeyFlag::Access])],
        group: Group::Set,
        since: "2.8.0",
        cost: "O(1) for every call, O(N) for a complete iteration",
        usage: "key cursor [MATCH pattern] [COUNT count]",
        summary: "Goes through the members of a set, some at a time.",
        tips: RANDOM,
        ..COMMAND
    },
    Command {
        name: "SUNION",
        arity: -2,
        run: Run::Read(sunion),
        keys: READ_ALL,
        group: Group::Set,
        cost: ALL_ELEMENTS,
        usage: "key [key ...]",
        summary: "Returns the members that are in any of the sets.",
        tips: UNORDERED,
        ..COMMAND
    },
    Command {
        name: "SUNIONCARD",
        arity: -3,
        run: Run::Read(sunioncard),
        flags: &[MovableKeys],
        keys: COUNTED,
        group: Group::Set,
        since: "8.10.0",
        cost: ALL_ELEMENTS,
        usage: "numkeys key [key ...] [APPROX] [LIMIT limit]",
        summary: "Returns how many members are in any of the sets.",
        ..COMMAND
    },
    Command {
        name: "SUNIONSTORE",
        arity: -3,
        run: Run::Write(sunionstore),
        flags: &[DenyOom],
        keys: STORE,
        group: Group::Set,
        cost: ALL_ELEMENTS,
        usage: "destination key [key ...]",
        summary: "Stores the members that are in any of the sets.",
        ..COMMAND
    },
];

/// The directives that shape a set.
pub(super) fn limits(config: &Config, seed: &'static Seed) -> Limits {
    let count = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    Limits {
        intset_max: count(config.set_max_intset_entries),
        listpack_max: count(config.set_max_listpack_entries),
        value_bytes_max: count(config.set_max_listpack_value),
        seed,
    }
}

fn edit_limits(edit: &Edit) -> Limits {
    limits(edit.config, edit.view().keyspace().seed())
}

fn view_limits(view: &View) -> Limits {
    limits(view.config, view.keyspace().seed())
}

fn sadd(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let limits = edit_limits(edit);

    let members = args.rest();
    let mut set = edit.get_or_new::<Set>(key)?;
    set.expect(members.len(), members.clone().next().unwrap_or_default(), &limits);
    let added = members.filter(|member| set.add(member, &limits)).count();
    drop(set);
    if added > 0 {
        edit.grown(key, Class::Set, "sadd", added);
    }

    reply.count(added);
    Ok(())
}

fn srem(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;

    let members = args.rest();
    let removed = match edit.get_mut::<Set>(key)? {
        Some(mut set) => members.filter(|member| set.remove(member)).count(),
        None => 0,
    };
    if removed > 0 {
        edit.changed_many(key, Class::Set, "srem", removed);
    }

    reply.count(removed);
    Ok(())
}

fn smove(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (source, destination, member) = (args.next()?, args.next()?, args.next()?);
    let limits = edit_limits(edit);

    // Neither look-up counts as one that reads.
    let has_it = match edit.lookup(source) {
        None => {
            reply.int(0);
            return Ok(());
        }
        Some(record) => record.get::<Set>().ok_or(WrongType)?.contains(member),
    };
    if edit.lookup(destination).is_some_and(|record| record.get::<Set>().is_none()) {
        return Err(WrongType.into());
    }
    if !has_it || source == destination {
        reply.int(i64::from(has_it));
        return Ok(());
    }

    if let Some(mut set) = edit.get_mut::<Set>(source)? {
        set.remove(member);
    }
    edit.changed(source, Class::Set, "srem");
    if edit.get_or_new::<Set>(destination)?.add(member, &limits) {
        edit.changed(destination, Class::Set, "sadd");
    }

    reply.int(1);
    Ok(())
}

fn sismember(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, member) = (args.next()?, args.next()?);
    let found = view.get::<Set>(key)?.is_some_and(|set| set.contains(member));
    reply.int(i64::from(found));
    Ok(())
}

fn smismember(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let set = view.get::<Set>(args.next()?)?;
    let members = args.rest();
    reply.array(members.len());
    for member in members {
        reply.int(i64::from(set.is_some_and(|set| set.contains(member))));
    }
    Ok(())
}

fn scard(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    reply.count(view.get::<Set>(args.next()?)?.map_or(0, Set::len));
    Ok(())
}

fn smembers(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let set = view.get::<Set>(args.next()?)?;
    reply.set(set.map_or(0, Set::len));
    if let Some(set) = set {
        set.iter().for_each(|member| reply.item(member));
    }
    Ok(())
}

fn sscan(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let cursor = scan::cursor(args)?;
    let Some(set) = view.get::<Set>(key)? else {
        scan::reply_page(reply, |_| (0, 0));
        return Ok(());
    };
    let options = scan::Options::read(args)?;

    scan::reply_page(reply, |reply| {
        let mut shown = 0;
        let next = set.scan(cursor, options.count, |member| {
            if options.admits(member.text(&mut ItemText::default())) {
                shown += 1;
                reply.item(member);
            }
        });
        (next, shown)
    });
    Ok(())
}

fn srandmember(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let mut random = || view.random.borrow_mut().next_u64();
    if args.is_empty() {
        match view.get::<Set>(key)?.and_then(|set| set.random(&mut random)) {
            Some(member) => reply.item(member),
            None => reply.null(),
        }
        return Ok(());
    }
    let count = args.int()?;
    args.end()?;
    if count == i64::MIN {
        return Err(error(COUNT_OUT_OF_RANGE));
    }

    let set = view.get::<Set>(key)?.filter(|_| count != 0);
    let Some(set) = set else {
        reply.array(0);
        return Ok(());
    };
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count < 0 {
        let room = Room::of(reply, view.config);
        reply.array(wanted);
        set.draws(wanted, &mut random, |member| {
            reply.item(member);
            room.is_left(reply)
        });
        room.end(reply)?;
    } else {
        reply.array(wanted.min(set.len()));
        set.sample(wanted, &mut random, |member| reply.item(member));
    }
    Ok(())
}

fn spop(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    if !args.is_empty() {
        return spop_many(edit, key, args, reply);
    }
    let random = edit.random;
    let mut random = || random.borrow_mut().next_u64();

    let popped = match edit.get_mut::<Set>(key)? {
        Some(mut set) => set.pop(&mut random, |member| member.to_vec()),
        None => None,
    };
    let Some(member) = popped else {
        reply.null();
        return Ok(());
    };
    edit.journal_instead([b"SREM", key, &member]);
    edit.changed(key, Class::Set, "spop");

    reply.bulk(&member);
    Ok(())
}

fn spop_many(edit: &mut Edit, key: &[u8], args: &mut Args, reply: &mut Reply) -> Done {
    let count = args.int_in(0..=i64::MAX, "ERR value is out of range, must be positive")?;
    args.end()?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let (limits, random, is_journaling) = (edit_limits(edit), edit.random, edit.is_journaling());
    let mut random = || random.borrow_mut().next_u64();

    let Some(mut set) = edit.get_mut::<Set>(key)?.filter(|_| count > 0) else {
        reply.set(0);
        return Ok(());
    };
    reply.set(count.min(set.len()));
    let takes_all = count >= set.len();
    let mut members = Vec::new();
    let popped = set.pop_many(count, &limits, &mut random, |member| {
        reply.item(member);
        if is_journaling && !takes_all {
            members.push(member.to_vec());
        }
    });
    drop(set);
    if takes_all {
        edit.journal_instead([b"UNLINK", key]);
    } else {
        let request: Vec<&[u8]> = [b"SREM", key].into_iter().chain(members.iter().map(Vec::as_slice)).collect();
        edit.journal_instead(request);
    }
    edit.changed_many(key, Class::Set, "spop", popped);
    Ok(())
}

/// The sets that a command combines: `None` for a key that does not exist.
fn sources<'a, 'b>(view: &View<'a>, keys: impl Iterator<Item = &'b [u8]>) -> Result<Vec<Option<&'a Set>>, Stop> {
    keys.map(|key| Ok(view.get::<Set>(key)?)).collect()
}

/// How sets are combined.
#[derive(Clone, Copy)]
enum Combination {
    Intersection,
    Union,
    Difference,
}

impl Combination {
    fn members<'a>(self, sources: &[Option<&'a Set>], limits: &Limits) -> Vec<Item<'a>> {
        let present: Vec<&Set> = sources.iter().copied().flatten().collect();
        match self {
            Combination::Intersection if present.len() < sources.len() => Vec::new(),
            Combination::Intersection => combine::intersection(&present),
            Combination::Union => combine::union(&present, limits),
            Combination::Difference => match sources {
                [Some(first), others @ ..] => {
                    let others: Vec<&Set> = others.iter().copied().flatten().collect();
                    combine::difference(first, &others, limits)
                }
                _ => Vec::new(),
            },
        }
    }

    fn count(self, sources: &[Option<&Set>], limit: usize, limits: &Limits) -> usize {
        let present: Vec<&Set> = sources.iter().copied().flatten().collect();
        match self {
            Combination::Intersection if present.len() < sources.len() => 0,
            Combination::Intersection => combine::intersection_len(&present, limit),
            Combination::Union => combine::union_len(&present, limit, limits),
            Combination::Difference => match sources {
                [Some(first), others @ ..] => {
                    let others: Vec<&Set> = others.iter().copied().flatten().collect();
                    combine::difference_len(first, &others, limit, limits)
                }
                _ => 0,
            },
        }
    }
}

fn reply_combined(combination: Combination, view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let sources = sources(view, args.rest())?;
    let members = combination.members(&sources, &view_limits(view));
    reply.set(members.len());
    members.into_iter().for_each(|member| reply.item(member));
    Ok(())
}

fn sinter(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    reply_combined(Combination::Intersection, view, args, reply)
}

fn sunion(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    reply_combined(Combination::Union, view, args, reply)
}

fn sdiff(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    reply_combined(Combination::Difference, view, args, reply)
}

fn store_combined(
    combination: Combination,
    event: &'static str,
    edit: &mut Edit,
    args: &mut Args,
    reply: &mut Reply,
) -> Done {
    let destination = args.next()?;
    let limits = edit_limits(edit);
    let result = {
        let view = edit.view();
        let sources = sources(&view, args.rest())?;
        let members = combination.members(&sources, &limits);
        match combination {
            Combination::Intersection => Set::of_intersection(&members, &limits),
            _ => Set::of_distinct(&members, &limits),
        }
    };

    let len = result.len();
    if len > 0 {
        edit.set(destination, result, None);
        edit.changed(destination, Class::Set, event);
    } else if edit.remove(destination) {
        edit.changed(destination, Class::Generic, "del");
    }

    reply.count(len);
    Ok(())
}

fn sinterstore(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    store_combined(Combination::Intersection, "sinterstore", edit, args, reply)
}

fn sunionstore(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    store_combined(Combination::Union, "sunionstore", edit, args, reply)
}

fn sdiffstore(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    store_combined(Combination::Difference, "sdiffstore", edit, args, reply)
}

/// What stands behind the counted keys of the CARD commands.
#[derive(Default)]
struct CardOptions {
    limit: usize,
    approximate: bool,
}

fn count_combined(combination: Combination, view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let count = args.int_in(1..=i64::MAX, "ERR numkeys should be greater than 0")?;
    let keys = usize::try_from(count)
        .ok()
        .and_then(|count| args.take(count).ok())
        .ok_or(error("ERR Number of keys can't be greater than number of args"))?;
    let options = card_options(args, matches!(combination, Combination::Union))?;

    let sources = sources(view, keys)?;
    let len = if options.approximate {
        approximate_union(&sources, options.limit)
    } else {
        combination.count(&sources, options.limit, &view_limits(view))
    };
    reply.count(len);
    Ok(())
}

fn card_options(args: &mut Args, takes_approx: bool) -> Result<CardOptions, Stop> {
    let mut options = CardOptions::default();
    while !args.is_empty() {
        if args.option_with_value("LIMIT") {
            let limit = args.int_in(0..=i64::MAX, "ERR LIMIT can't be negative")?;
            options.limit = usize::try_from(limit).unwrap_or(usize::MAX);
        } else if takes_approx && args.option("APPROX") {
            options.approximate = true;
        } else {
            return Err(SYNTAX);
        }
    }
    Ok(options)
}

/// The size of a union by a HyperLogLog, which takes 12 KiB however many members there are. O(members).
fn approximate_union(sources: &[Option<&Set>], limit: usize) -> usize {
    let mut registers = Registers::new();
    for set in sources.iter().copied().flatten() {
        set.iter().for_each(|member| {
            registers.add(member.text(&mut ItemText::default()));
        });
    }
    let len = usize::try_from(registers.count()).unwrap_or(usize::MAX);
    if limit > 0 { len.min(limit) } else { len }
}

fn sintercard(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    count_combined(Combination::Intersection, view, args, reply)
}

fn sunioncard(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    count_combined(Combination::Union, view, args, reply)
}

fn sdiffcard(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    count_combined(Combination::Difference, view, args, reply)
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_configured};

    #[test]
    fn members_come_and_go() {
        check(
            r#"
            > SADD s a b a
            (integer) 2
            > SISMEMBER s a
            (integer) 1
            > SMISMEMBER s a x b
            1) (integer) 1
            2) (integer) 0
            3) (integer) 1
            > SREM s a x
            (integer) 1
            > SMOVE s t b
            (integer) 1
            > EXISTS s
            (integer) 0
            > SMEMBERS t
            1) "b"
            > SET string x
            OK
            > SMOVE string t b
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > SPOP t 5
            1) "b"
            > SPOP t
            (nil)
            > SPOP t -1
            (error) ERR value is out of range, must be positive
            "#,
        );
    }

    #[test]
    fn several_sets_are_combined() {
        check(
            r#"
            > SADD one 1 2 3
            (integer) 3
            > SADD two 2 3 4
            (integer) 3
            > SINTER one two
            1) "2"
            2) "3"
            > SINTER one two none
            (empty array)
            > SDIFF one two
            1) "1"
            > SUNIONSTORE all one two none
            (integer) 4
            > SINTERCARD 2 one two LIMIT 1
            (integer) 1
            > SINTERCARD 0 one
            (error) ERR numkeys should be greater than 0
            > SINTERCARD 3 one two
            (error) ERR Number of keys can't be greater than number of args
            > SINTERCARD 1 one LIMIT -1
            (error) ERR LIMIT can't be negative
            > SUNIONCARD 2 one two
            (integer) 4
            > SUNIONCARD 2 one two APPROX LIMIT 2
            (integer) 2
            > SDIFFCARD 2 one two
            (integer) 1
            > SDIFFSTORE all one one
            (integer) 0
            > EXISTS all
            (integer) 0
            "#,
        );
    }

    #[test]
    fn encodings_follow_the_directives() {
        check_configured(
            &[("set-max-listpack-entries", "2"), ("set-max-intset-entries", "2")],
            r#"
            > SADD s 1 2
            (integer) 2
            > OBJECT ENCODING s
            "intset"
            > SADD s 3
            (integer) 1
            > OBJECT ENCODING s
            "hashtable"
            > SADD t a 1
            (integer) 2
            > OBJECT ENCODING t
            "listpack"
            "#,
        );
    }
}
