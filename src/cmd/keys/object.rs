//! OBJECT: how a value is kept and how it is used. Looking leaves no trace in the access clock.

use crate::cmd::args::Args;
use crate::cmd::command::{Access, COMMAND, Command, Group, Run, key};
use crate::cmd::container::HELP;
use crate::cmd::error::{Done, error};
use crate::db::View;
use crate::db::evict::{AccessClock, Policy, frequency, idle_ms};
use crate::resp::reply::Reply;
use crate::types::value;

pub const COMMANDS: &[Command] = &[Command {
    name: "OBJECT",
    arity: -2,
    run: Run::Parent(SUBCOMMANDS),
    group: Group::Generic,
    since: "2.2.3",
    cost: "Depends on subcommand.",
    summary: "Tells how values are kept and used.",
    ..COMMAND
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "ENCODING",
        run: Run::Read(encoding),
        since: "2.2.3",
        summary: "Names the form in which a value is kept.",
        ..ABOUT_KEY
    },
    Command {
        name: "FREQ",
        run: Run::Read(freq),
        since: "4.0.0",
        summary: "Tells how often a key is used, as a logarithmic counter.",
        ..ABOUT_KEY
    },
    Command { group: Group::Generic, since: "6.2.0", ..HELP },
    Command {
        name: "IDLETIME",
        run: Run::Read(idletime),
        since: "2.2.3",
        summary: "Tells how many seconds ago a key was last used.",
        ..ABOUT_KEY
    },
    Command {
        name: "REFCOUNT",
        run: Run::Read(refcount),
        since: "2.2.3",
        summary: "Counts the references to a value.",
        ..ABOUT_KEY
    },
];

const ABOUT_KEY: Command = Command {
    arity: 3,
    keys: &[key(2, Access::Ro, &[])],
    group: Group::Generic,
    usage: "key",
    tips: &["nondeterministic_output"],
    ..COMMAND
};

fn encoding(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    match view.inspected(args.next()?) {
        Some(record) => reply.bulk(value::encoding(&record).as_bytes()),
        None => reply.null(),
    }
    Ok(())
}

/// Every value has one owner: nothing is shared as Redis shared small integers before 8.2.
fn refcount(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    match view.inspected(args.next()?) {
        Some(_) => reply.int(1),
        None => reply.null(),
    }
    Ok(())
}

fn idletime(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let Some(record) = view.inspected(args.next()?) else {
        reply.null();
        return Ok(());
    };
    if Policy::clock_kind(view.config.maxmemory_policy) == AccessClock::Lfu {
        return Err(error(
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    reply.int((idle_ms(&record, view.now) / 1000) as i64);
    Ok(())
}

fn freq(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let Some(record) = view.inspected(args.next()?) else {
        reply.null();
        return Ok(());
    };
    if Policy::clock_kind(view.config.maxmemory_policy) != AccessClock::Lfu {
        return Err(error(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    reply.int(i64::from(frequency(&record, view.config, view.now)));
    Ok(())
}
