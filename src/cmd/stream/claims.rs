//! What a group has pending: acknowledging it, giving it back, looking at it, and taking it over from others.
//!
//! Everything that depends on the clock goes into the journal as an XCLAIM that names time and count; see the end of this file.

use super::super::args::{Args, Rest};
use super::super::command::{Access, COMMAND, Command, Flag, Group, KeyFlag, Run, key};
use super::super::error::{Done, NOT_AN_INTEGER, SYNTAX, Stop, error};
use super::entries::reply_deletion;
use super::{Words, id, ids, no_group, policy_and_ids, range_end, range_start, reply_count, shown};
use super::{reply_entry, reply_id};
use crate::db::effect::{Class, Stir};
use crate::db::{Edit, View};
use crate::resp::reply::Reply;
use crate::types::stream::{Claim, ClaimOptions, Deletion, NackMode, Pending, PendingQuery, StreamBox, StreamId};
use crate::util::number::{IntegerText, parse_i64};

use Flag::Fast;

pub const COMMANDS: &[Command] = &[
    Command {
        name: "XACK",
        arity: -4,
        run: Run::Write(xack),
        flags: &[Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Update])],
        group: Group::Stream,
        since: "5.0.0",
        cost: "O(log P) for each id, with P the entries pending",
        usage: "key group id [id ...]",
        summary: "Acknowledges entries, which then are no longer pending in the group.",
        ..COMMAND
    },
    Command {
        name: "XACKDEL",
        arity: -6,
        run: Run::Write(xackdel),
        flags: &[Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Update, KeyFlag::Delete])],
        group: Group::Stream,
        since: "8.2.0",
        cost: "O(log P) for each id, with P the entries pending",
        usage: "key group [KEEPREF | DELREF | ACKED] IDS numids id [id ...]",
        summary: "Acknowledges entries of a group and deletes them.",
        ..COMMAND
    },
    Command {
        name: "XNACK",
        arity: -7,
        run: Run::Write(xnack),
        flags: &[Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Update])],
        group: Group::Stream,
        since: "8.8.0",
        cost: "O(log P) for each id, with P the entries pending",
        usage: "key group <SILENT | FAIL | FATAL> IDS numids id [id ...] [RETRYCOUNT count] [FORCE]",
        summary: "Gives pending entries back to their group, where they are first in line for whoever claims next.",
        ..COMMAND
    },
    Command {
        name: "XPENDING",
        arity: -3,
        run: Run::Read(xpending),
        keys: &[key(1, Access::Ro, &[KeyFlag::Access])],
        group: Group::Stream,
        since: "5.0.0",
        cost: "O(log P + N) with P the entries pending and N those returned; the summary is O(C) with C the consumers",
        usage: "key group [[IDLE min-idle-time] start end count [consumer]]",
        summary: "Says what a group has pending: in sum, or entry by entry.",
        tips: &["nondeterministic_output"],
        ..COMMAND
    },
    Command {
        name: "XCLAIM",
        arity: -6,
        run: Run::Write(xclaim),
        flags: &[Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Update])],
        group: Group::Stream,
        since: "5.0.0",
        cost: "O(log P) for each id, with P the entries pending",
        usage: "key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] \
                [FORCE] [JUSTID] [LASTID lastid]",
        summary: "Makes a consumer the owner of pending entries that have been idle for long enough.",
        tips: &["nondeterministic_output"],
        ..COMMAND
    },
    Command {
        name: "XAUTOCLAIM",
        arity: -6,
        run: Run::Write(xautoclaim),
        flags: &[Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Delete])],
        group: Group::Stream,
        since: "6.2.0",
        cost: "O(COUNT)",
        usage: "key group consumer min-idle-time start [COUNT count] [JUSTID]",
        summary: "Goes through pending entries and makes a consumer the owner of those idle for long enough.",
        tips: &["nondeterministic_output"],
        ..COMMAND
    },
];

fn xack(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, group) = (args.next()?, args.next()?);
    let Some(group) = edit.read_stream_mut(key)?.and_then(|stream| stream.group_mut(group)) else {
        reply.int(0);
        return Ok(());
    };
    let ids = ids(args.rest())?;

    let acknowledged = ids.into_iter().filter(|&id| group.ack(id)).count();
    if acknowledged > 0 {
        edit.changed_unwatched(acknowledged);
    }

    reply.count(acknowledged);
    Ok(())
}

fn xackdel(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, group) = (args.next()?, args.next()?);
    let has_group = edit.read_stream_mut(key)?.is_some_and(|stream| stream.group(group).is_some());
    let (policy, texts) = policy_and_ids(args)?;
    if !has_group {
        reply.array(texts.len());
        texts.for_each(|_| reply.int(-1));
        return Ok(());
    }
    let ids = ids(texts)?;
    let Some(stream) = edit.stream_mut(key)? else { return Err(no_group(key, group)) };

    reply.array(ids.len());
    let (mut acknowledged, len_before) = (0, stream.len());
    for id in ids {
        let deletion = stream.ack_and_delete(group, id, policy);
        acknowledged += usize::from(deletion != Deletion::NotFound);
        reply_deletion(reply, deletion);
    }
    if stream.len() < len_before {
        edit.changed_many(key, Class::Stream, "xdel", acknowledged);
    } else if acknowledged > 0 {
        edit.changed_unwatched(acknowledged);
    }
    Ok(())
}

fn xnack(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, group) = (args.next()?, args.next()?);
    let mode = args.next()?;
    let mode = [(&b"SILENT"[..], NackMode::Silent), (b"FAIL", NackMode::Fail), (b"FATAL", NackMode::Fatal)]
        .into_iter()
        .find_map(|(word, meant)| mode.eq_ignore_ascii_case(word).then_some(meant))
        .ok_or(error("ERR mode must be SILENT, FAIL, or FATAL"))?;
    let (mut texts, mut deliveries, mut force) = (None, None, false);
    while let Some(word) = args.peek() {
        if args.option_with_value("IDS") {
            texts = Some(numbered_ids(args)?);
        } else if args.option_with_value("RETRYCOUNT") {
            let count = u64::try_from(args.int()?);
            deliveries = Some(count.map_err(|_| error("ERR Invalid RETRYCOUNT value, must be >= 0"))?);
        } else if args.option("FORCE") {
            force = true;
        } else {
            return Err(Stop::Bytes([b"ERR Unrecognized XNACK option '", shown(word), b"'"].concat()));
        }
    }
    let ids = ids(texts.ok_or(error("ERR syntax error, expected IDS keyword"))?)?;

    let now = edit.now;
    let reader = edit.stream_mut(key)?.and_then(|stream| stream.reader(group, now));
    let mut reader = reader.ok_or_else(|| no_group(key, group))?;
    let released = ids.into_iter().filter(|&id| reader.nack(id, mode, deliveries, force)).count();
    if released > 0 {
        edit.changed_unwatched(released);
        edit.stir(key, Stir::Claimers);
    }

    reply.count(released);
    Ok(())
}

/// The ids behind XNACK's IDS, which has errors of its own.
fn numbered_ids<'a>(args: &mut Args<'a>) -> Result<Rest<'a>, Stop> {
    let count = args.int_in(1..=i64::MAX, "ERR numids must be a positive integer")?;
    match usize::try_from(count) {
        Ok(count) if count <= args.len() => args.take(count),
        _ => Err(error("ERR number of IDs doesn't match numids")),
    }
}

fn xpending(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, group) = (args.next()?, args.next()?);
    let whole = args.request().len();
    if whole != 3 && !(6..=9).contains(&whole) {
        return Err(SYNTAX);
    }
    let query = match args.is_empty() {
        true => None,
        false => Some(read_query(args)?),
    };

    let stream = view.get::<StreamBox>(key)?;
    let group = stream.and_then(|stream| stream.group(group)).ok_or_else(|| no_group(key, group))?;
    let Some(query) = query else {
        reply_summary(reply, group);
        return Ok(());
    };
    let owner = match query.consumer {
        None => None,
        Some(name) => match group.find_consumer(name) {
            Some(at) => Some(at),
            None => {
                reply.array(0);
                return Ok(());
            }
        },
    };
    let Query { start, end, idle_min_ms, count, .. } = query;
    let found = group.query(PendingQuery { start, end, owner, idle_min_ms, now_ms: view.now });
    let (begin, mut shown) = (reply.later(), 0);
    for pending in found.take(usize::try_from(count).unwrap_or(usize::MAX)) {
        reply.array(4);
        reply_id(reply, pending.id);
        match pending.owner.and_then(|owner| group.consumer(owner)) {
            Some(consumer) => {
                reply.bulk(consumer.name());
                reply_count(reply, pending.idle_ms(view.now));
            }
            None => {
                reply.bulk(b"");
                reply.int(-1);
            }
        }
        reply_count(reply, pending.deliveries);
        shown += 1;
    }
    reply.finish_array(begin, shown);
    Ok(())
}

/// XPENDING's long form.
struct Query<'a> {
    start: StreamId,
    end: StreamId,
    count: u64,
    consumer: Option<&'a [u8]>,
    idle_min_ms: u64,
}

fn read_query<'a>(args: &mut Args<'a>) -> Result<Query<'a>, Stop> {
    let mut idle_min_ms = 0;
    if args.option("IDLE") {
        idle_min_ms = u64::try_from(parse_i64(args.next()?).ok_or(NOT_AN_INTEGER)?).unwrap_or(0);
        if args.len() < 3 {
            return Err(SYNTAX);
        }
    }
    let (start, end) = (args.next()?, args.next()?);
    let count = super::count(args)?;
    let (start, end) = (range_start(start)?, range_end(end)?);
    // Redis reads no further than the consumer.
    Ok(Query { start, end, count, consumer: args.try_next(), idle_min_ms })
}

fn reply_summary(reply: &mut Reply, group: &crate::types::stream::Group) {
    reply.array(4);
    reply_count(reply, group.pending_len());
    let (Some(first), Some(last)) = (group.first_pending(), group.last_pending()) else {
        reply.null();
        reply.null();
        return reply.null_array();
    };
    reply_id(reply, first.id);
    reply_id(reply, last.id);
    let busy = || group.consumers().map(|(_, consumer)| consumer).filter(|consumer| consumer.pending_len() > 0);
    reply.array(busy().count());
    for consumer in busy() {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk(IntegerText::unsigned(consumer.pending_len()).as_bytes());
    }
}

fn xclaim(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, group, consumer) = (args.next()?, args.next()?, args.next()?);
    if edit.read_stream_mut(key)?.is_none_or(|stream| stream.group(group).is_none()) {
        return Err(no_group(key, group));
    }
    let idle_min_ms = args.int_or(error("ERR Invalid min-idle-time argument for XCLAIM"))?;
    let mut ids = Vec::new();
    while let Some(id) = args.peek().and_then(|text| StreamId::parse(text, 0).ok()) {
        args.next()?;
        ids.push(id);
    }
    let now = edit.now;
    let mut options = ClaimOptions {
        idle_min_ms: u64::try_from(idle_min_ms).unwrap_or(0),
        delivered_ms: now,
        deliveries: None,
        force: false,
        just_id: false,
    };
    let last_id = read_claim_options(args, now, &mut options)?;

    let Ok(Some(stream)) = edit.stream_mut(key) else { return Err(no_group(key, group)) };
    let before = stream.group(group).map(|group| group.last_delivered_id());
    stream.raise_group_id(group, last_id);
    let moved = stream.group(group).map(|group| group.last_delivered_id()) != before;
    let Some(mut reader) = stream.reader(group, now) else { return Err(no_group(key, group)) };
    let (at, created) = reader.group().consumer_or_new(consumer, now);
    reader.group().set_seen(at, now);
    let (start, mut claimed, mut gone) = (reply.later(), Vec::new(), Vec::new());
    for id in ids {
        match reader.claim(at, id, options) {
            Claim::Claimed { entry, pending } => {
                claimed.push(pending);
                if options.just_id { reply_id(reply, id) } else { reply_entry(reply, &entry) }
            }
            Claim::Gone => gone.push(id),
            Claim::Left => {}
        }
    }
    reply.finish_array(start, claimed.len());
    make_known(edit, (key, group, consumer), created, &claimed, &gone);
    if moved {
        edit.changed_unwatched(usize::from(claimed.is_empty()));
        journal_position(edit, key, group);
    }
    Ok(())
}

/// Reads XCLAIM's options; gives back LASTID.
fn read_claim_options(args: &mut Args, now: u64, options: &mut ClaimOptions) -> Result<StreamId, Stop> {
    let mut delivered_ms = None;
    let mut last_id = StreamId::MIN;
    while let Some(word) = args.peek() {
        if args.option("FORCE") {
            options.force = true;
        } else if args.option("JUSTID") {
            options.just_id = true;
        } else if args.option_with_value("IDLE") {
            let idle = args.int_or(error("ERR Invalid IDLE option argument for XCLAIM"))?;
            delivered_ms = Some((now as i64).saturating_sub(idle));
        } else if args.option_with_value("TIME") {
            delivered_ms = Some(args.int_or(error("ERR Invalid TIME option argument for XCLAIM"))?);
        } else if args.option_with_value("RETRYCOUNT") {
            let count = args.int_or(error("ERR Invalid RETRYCOUNT option argument for XCLAIM"))?;
            options.deliveries = u64::try_from(count).ok();
        } else if args.option_with_value("LASTID") {
            last_id = id(args.next()?)?;
        } else {
            return Err(Stop::Bytes([b"ERR Unrecognized XCLAIM option '", shown(word), b"'"].concat()));
        }
    }
    // What lies in the future, or before 1970, is now; but a journal, which says everything, is believed even if the clock went back.
    let told_by_journal = options.force && options.just_id && options.deliveries.is_some();
    let moment = delivered_ms.and_then(|ms| u64::try_from(ms).ok()).filter(|&ms| ms <= now || told_by_journal);
    options.delivered_ms = moment.unwrap_or(now);
    Ok(last_id)
}

/// As many ids as Redis can keep in memory while it claims.
const COUNT_MAX: i64 = i64::MAX / 16;

fn xautoclaim(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, group, consumer) = (args.next()?, args.next()?, args.next()?);
    // Looked up, and counted, before the other arguments are read.
    edit.read_record(key);
    let idle_min_ms = args.int_or(error("ERR Invalid min-idle-time argument for XAUTOCLAIM"))?;
    let start = range_start(args.next()?)?;
    let (mut count, mut just_id) = (100, false);
    while !args.is_empty() {
        if args.option_with_value("COUNT") {
            count = args.int_in(1..=COUNT_MAX, "ERR COUNT must be > 0")?;
        } else if args.option("JUSTID") {
            just_id = true;
        } else {
            return Err(SYNTAX);
        }
    }

    let now = edit.now;
    let reader = edit.stream_mut(key)?.and_then(|stream| stream.reader(group, now));
    let mut reader = reader.ok_or_else(|| no_group(key, group))?;
    let (at, created) = reader.group().consumer_or_new(consumer, now);
    reader.group().set_seen(at, now);
    let head = reply.later();
    let idle_min_ms = u64::try_from(idle_min_ms).unwrap_or(0);
    let outcome = reader.auto_claim(at, idle_min_ms, start, count as u64, just_id, |entry| {
        if just_id { reply_id(reply, entry.id) } else { reply_entry(reply, entry) }
    });
    reply.finish_array(head, outcome.claimed.len());
    // The cursor comes before the entries and is known after them.
    let mut cursor = crate::resp::reply::Output::default();
    let mut front = Reply::new(&mut cursor, reply.protocol());
    front.array(3);
    reply_id(&mut front, outcome.cursor);
    reply.output().insert(head, cursor);
    reply.array(outcome.gone.len());
    outcome.gone.iter().for_each(|&id| reply_id(reply, id));
    make_known(edit, (key, group, consumer), created, &outcome.claimed, &outcome.gone);
    Ok(())
}

/// Tells what a claim changed; the journal carries it with time and count in place of the condition.
fn make_known(
    edit: &mut Edit,
    (key, group, consumer): (&[u8], &[u8], &[u8]),
    consumer_created: bool,
    claimed: &[Pending],
    gone: &[StreamId],
) {
    if consumer_created {
        edit.changed_unwatched(1);
        edit.notice(key, Class::Stream, "xgroup-createconsumer");
        Words::new(&[b"XGROUP", b"CREATECONSUMER", key, group, consumer]).journal(edit);
    }
    if claimed.is_empty() && gone.is_empty() {
        return;
    }
    edit.changed_unwatched(claimed.len() + gone.len());
    edit.stir(key, Stir::Claimers);
    if edit.is_journaling() {
        journal_claims(edit, key, group, consumer, claimed);
        journal_acks(edit, key, group, gone);
    }
}

/// Puts into the journal that a consumer has these entries, as they are now: one request for each run of equal times and counts.
pub(super) fn journal_claims(edit: &mut Edit, key: &[u8], group: &[u8], consumer: &[u8], claimed: &[Pending]) {
    let alike =
        |one: &Pending, other: &Pending| (one.delivered_ms, one.deliveries) == (other.delivered_ms, other.deliveries);
    for run in claimed.chunk_by(alike) {
        let words = Words::new(&[b"XCLAIM", key, group, consumer, b"0"]).ids(run.iter().map(|pending| pending.id));
        let words = words.word(b"TIME").number(run[0].delivered_ms).word(b"RETRYCOUNT").number(run[0].deliveries);
        words.word(b"FORCE").word(b"JUSTID").journal(edit);
    }
}

/// Puts into the journal that these ids are pending no more.
pub(super) fn journal_acks(edit: &mut Edit, key: &[u8], group: &[u8], gone: &[StreamId]) {
    if !gone.is_empty() {
        Words::new(&[b"XACK", key, group]).ids(gone.iter().copied()).journal(edit);
    }
}

/// Puts into the journal how far a group has read.
pub(super) fn journal_position(edit: &mut Edit, key: &[u8], group: &[u8]) {
    let Ok(Some(stream)) = edit.stream_mut(key) else { return };
    let Some(reader) = stream.group(group) else { return };
    let (last_id, entries_read) = (reader.last_delivered_id(), reader.entries_read());
    let words = Words::new(&[b"XGROUP", b"SETID", key, group]).id(last_id).word(b"ENTRIESREAD");
    match entries_read {
        Some(read) => words.number(read),
        None => words.word(b"-1"),
    }
    .journal(edit);
}
