//! XINFO: what there is to know about a stream, its groups and their consumers.
//!
//! Fields that later versions of Redis added appear where they have something to say (those of idempotent producers once a stream has
//! any, "nacked-count" once something was given back), and always where `compat-version` is such a version.

use super::super::args::Args;
use super::super::command::{Access, COMMAND, Command, Group as CommandGroup, KeyFlag, KeySpec, Run, key};
use super::super::container::HELP;
use super::super::error::{Done, NO_SUCH_KEY, Stop};
use super::groups::no_group_in;
use super::{reply_count, reply_entry, reply_id, wrong_options};
use crate::config::CompatVersion;
use crate::db::View;
use crate::resp::reply::Reply;
use crate::types::stream::{Consumer, Group, Log, Pending, Producers, StreamBox, StreamId};

const READS: &[KeySpec] = &[key(2, Access::Ro, &[KeyFlag::Access])];

pub const COMMANDS: &[Command] = &[Command {
    name: "XINFO",
    arity: -2,
    run: Run::Parent(SUBCOMMANDS),
    group: CommandGroup::Stream,
    since: "5.0.0",
    cost: "Depends on subcommand.",
    summary: "A container for commands that look into streams.",
    ..COMMAND
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "STREAM",
        arity: -3,
        run: Run::Read(stream),
        keys: READS,
        group: CommandGroup::Stream,
        since: "5.0.0",
        cost: "O(1); with FULL, O(N) with N what is returned",
        usage: "key [FULL [COUNT count]]",
        summary: "Describes a stream.",
        ..COMMAND
    },
    Command {
        name: "GROUPS",
        arity: 3,
        run: Run::Read(groups),
        keys: READS,
        group: CommandGroup::Stream,
        since: "5.0.0",
        cost: "O(G log M) with G the groups and M the stream's nodes",
        usage: "key",
        summary: "Describes the consumer groups of a stream.",
        ..COMMAND
    },
    Command {
        name: "CONSUMERS",
        arity: 4,
        run: Run::Read(consumers),
        keys: READS,
        group: CommandGroup::Stream,
        since: "5.0.0",
        usage: "key group",
        summary: "Describes the consumers of a group.",
        tips: &["nondeterministic_output"],
        ..COMMAND
    },
    Command { group: CommandGroup::Stream, since: "5.0.0", ..HELP },
];

/// Entries of each list that FULL shows unless told otherwise.
const FULL_COUNT: usize = 10;

fn stream(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let stream = view.get::<StreamBox>(args.next()?)?.ok_or(NO_SUCH_KEY)?;
    let full = read_full(args)?;

    let compat_version = view.config.compat_version;
    let no_producers = Producers::default();
    let producers = stream.producers().or((compat_version >= CompatVersion(8, 6, 0)).then_some(&no_producers));
    let pairs = 7 + if producers.is_some() { 6 } else { 0 } + if full.is_some() { 2 } else { 3 };
    reply.map(pairs);
    let log = stream.log();
    number(reply, "length", log.len());
    number(reply, "radix-tree-keys", log.nodes_len() as u64);
    number(reply, "radix-tree-nodes", log.tree_nodes_len() as u64);
    id(reply, "last-generated-id", log.last_id());
    id(reply, "max-deleted-entry-id", log.max_deleted_id());
    reply.bulk(b"entries-added");
    // As in Redis: beyond what a signed number can say it turns negative.
    reply.int(log.entries_added() as i64);
    id(reply, "recorded-first-entry-id", log.first_id());
    if let Some(producers) = producers {
        reply_producers(reply, producers, view.now);
    }
    match full {
        None => {
            number(reply, "groups", stream.groups().len() as u64);
            reply.bulk(b"first-entry");
            reply_end(reply, log, true);
            reply.bulk(b"last-entry");
            reply_end(reply, log, false);
        }
        Some(count) => {
            reply.bulk(b"entries");
            reply.array(usize::try_from(log.len()).unwrap_or(usize::MAX).min(count));
            log.range(StreamId::MIN, StreamId::MAX).take(count).for_each(|entry| reply_entry(reply, &entry));
            reply.bulk(b"groups");
            reply.array(stream.groups().len());
            let counts_nacked = compat_version >= CompatVersion(8, 8, 0);
            stream.groups().for_each(|(name, group)| reply_full_group(reply, name, group, log, count, counts_nacked));
        }
    }
    Ok(())
}

/// `FULL [COUNT count]`: how many of each list are wanted.
fn read_full(args: &mut Args) -> Result<Option<usize>, Stop> {
    if args.is_empty() {
        return Ok(None);
    }
    if !args.option("FULL") || !matches!(args.len(), 0 | 2) || (args.len() == 2 && !args.option("COUNT")) {
        return Err(wrong_options(args, "XINFO"));
    }
    if args.is_empty() {
        return Ok(Some(FULL_COUNT));
    }
    Ok(Some(match args.int()? {
        0 => usize::MAX,
        count => usize::try_from(count).unwrap_or(FULL_COUNT),
    }))
}

fn number(reply: &mut Reply, name: &str, value: u64) {
    reply.bulk(name.as_bytes());
    reply_count(reply, value);
}

fn id(reply: &mut Reply, name: &str, value: StreamId) {
    reply.bulk(name.as_bytes());
    reply_id(reply, value);
}

fn reply_producers(reply: &mut Reply, producers: &Producers, now_ms: u64) {
    let limits = producers.limits();
    let lasts = |id: StreamId| now_ms.saturating_sub(id.ms) < limits.remembered_s.saturating_mul(1000);
    let (mut tracked, mut messages, mut last) = (0, 0, None);
    for (producer, _, _) in producers.iter().filter(|(_, _, id)| lasts(*id)) {
        messages += 1;
        tracked += u64::from(last != Some(producer));
        last = Some(producer);
    }
    number(reply, "idmp-duration", limits.remembered_s);
    number(reply, "idmp-maxsize", limits.messages_max as u64);
    number(reply, "pids-tracked", tracked);
    number(reply, "iids-tracked", messages);
    number(reply, "iids-added", producers.added());
    number(reply, "iids-duplicates", producers.duplicates());
}

/// The first entry of a stream, or the last.
fn reply_end(reply: &mut Reply, log: &Log, first: bool) {
    let entry = match first {
        true => log.range(StreamId::MIN, StreamId::MAX).next(),
        false => log.range_back(StreamId::MIN, StreamId::MAX).next(),
    };
    match entry {
        Some(entry) => reply_entry(reply, &entry),
        None => reply.null(),
    }
}

fn reply_entries_read(reply: &mut Reply, group: &Group) {
    reply.bulk(b"entries-read");
    match group.entries_read() {
        Some(read) => reply.int(read as i64),
        None => reply.null(),
    }
}

fn reply_full_group(reply: &mut Reply, name: &[u8], group: &Group, log: &Log, count: usize, counts_nacked: bool) {
    let nacked = group.pending_len() - group.consumers().map(|(_, consumer)| consumer.pending_len()).sum::<u64>();
    let shows_nacked = counts_nacked || nacked > 0;
    reply.map(7 + usize::from(shows_nacked));
    reply.bulk(b"name");
    reply.bulk(name);
    id(reply, "last-delivered-id", group.last_delivered_id());
    reply_entries_read(reply, group);
    number(reply, "lag", group.lag(log));
    number(reply, "pel-count", group.pending_len());
    if shows_nacked {
        number(reply, "nacked-count", nacked);
    }
    reply.bulk(b"pending");
    reply.array(usize::try_from(group.pending_len()).unwrap_or(usize::MAX).min(count));
    for pending in group.pending_from(StreamId::MIN).take(count) {
        let owner = pending.owner.and_then(|owner| group.consumer(owner));
        reply.array(4);
        reply_id(reply, pending.id);
        reply.bulk(owner.map_or(b"", Consumer::name));
        reply_delivery(reply, &pending);
    }
    reply.bulk(b"consumers");
    reply.array(group.consumers().len());
    for (at, consumer) in group.consumers() {
        reply.map(5);
        reply.bulk(b"name");
        reply.bulk(consumer.name());
        number(reply, "seen-time", consumer.seen_ms());
        reply.bulk(b"active-time");
        reply.int(consumer.active_ms().map_or(-1, |ms| ms as i64));
        number(reply, "pel-count", consumer.pending_len());
        reply.bulk(b"pending");
        reply.array(usize::try_from(consumer.pending_len()).unwrap_or(usize::MAX).min(count));
        for pending in group.pending_of(at, StreamId::MIN).take(count) {
            reply.array(3);
            reply_id(reply, pending.id);
            reply_delivery(reply, &pending);
        }
    }
}

fn reply_delivery(reply: &mut Reply, pending: &Pending) {
    reply_count(reply, pending.owner.map_or(0, |_| pending.delivered_ms));
    reply_count(reply, pending.deliveries);
}

fn groups(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let stream = view.get::<StreamBox>(args.next()?)?.ok_or(NO_SUCH_KEY)?;

    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        number(reply, "consumers", group.consumers().len() as u64);
        number(reply, "pending", group.pending_len());
        id(reply, "last-delivered-id", group.last_delivered_id());
        reply_entries_read(reply, group);
        number(reply, "lag", group.lag(stream.log()));
    }
    Ok(())
}

fn consumers(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, name) = (args.next()?, args.next()?);
    let stream = view.get::<StreamBox>(key)?.ok_or(NO_SUCH_KEY)?;
    let group = stream.group(name).ok_or_else(|| no_group_in(key, name))?;

    reply.array(group.consumers().len());
    for (_, consumer) in group.consumers() {
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(consumer.name());
        number(reply, "pending", consumer.pending_len());
        number(reply, "idle", view.now.saturating_sub(consumer.seen_ms()));
        reply.bulk(b"inactive");
        reply.int(consumer.active_ms().map_or(-1, |ms| view.now.saturating_sub(ms) as i64));
    }
    Ok(())
}
