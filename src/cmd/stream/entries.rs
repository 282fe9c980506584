//! Commands on a stream's entries: adding, reading by range, deleting, trimming.

use super::super::args::Args;
use super::super::command::{Access, COMMAND, Command, Flag, Group, KeyFlag, KeySpec, Run, key};
use super::super::error::{Done, NO_SUCH_KEY, NOT_AN_INTEGER, SYNTAX, Stop, error};
use super::{INVALID_ID, Words, count, id, ids, policy, policy_and_ids, policy_word, range_end, range_start};
use super::{reply_count, reply_entry, reply_id, shown};
use crate::config::Config;
use crate::db::effect::Class;
use crate::db::{Edit, View};
use crate::resp::reply::Reply;
use crate::types::stream::{
    AppendError, Deletion, NewId, NewIdError, NodeLimits, ProducerLimits, RefPolicy, SetIdError, Stream, StreamBox,
    StreamId, Trim, TrimTo,
};
use crate::util::number::parse_i64;

use Flag::{DenyOom, Fast};

const UPDATES: &[KeySpec] = &[key(1, Access::Rw, &[KeyFlag::Update])];
const DELETES: &[KeySpec] = &[key(1, Access::Rw, &[KeyFlag::Delete])];
const READS: &[KeySpec] = &[key(1, Access::Ro, &[KeyFlag::Access])];

pub const COMMANDS: &[Command] = &[
    Command {
        name: "XADD",
        arity: -5,
        run: Run::Write(xadd),
        flags: &[DenyOom, Fast],
        keys: &[KeySpec {
            notes: "UPDATE instead of INSERT because of the optional trimming feature",
            ..key(1, Access::Rw, &[KeyFlag::Update])
        }],
        group: Group::Stream,
        since: "5.0.0",
        cost: "O(1) to add an entry; O(N) to trim, with N the number of nodes and single entries that go",
        usage: "key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] [IDMPAUTO producer-id | IDMP producer-id idempotent-id] \
                [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...]",
        summary: "Adds an entry at the end of a stream, making the stream where there is none.",
        tips: &["nondeterministic_output"],
        ..COMMAND
    },
    Command {
        name: "XLEN",
        arity: 2,
        run: Run::Read(xlen),
        flags: &[Fast],
        keys: &[key(1, Access::Ro, &[])],
        group: Group::Stream,
        since: "5.0.0",
        usage: "key",
        summary: "Counts the entries of a stream.",
        ..COMMAND
    },
    Command {
        name: "XRANGE",
        arity: -4,
        run: Run::Read(xrange),
        keys: READS,
        group: Group::Stream,
        since: "5.0.0",
        cost: "O(log M + N) with M the stream's nodes and N the entries returned",
        usage: "key start end [COUNT count]",
        summary: "Returns the entries between two ids.",
        ..COMMAND
    },
    Command {
        name: "XREVRANGE",
        arity: -4,
        run: Run::Read(xrevrange),
        keys: READS,
        group: Group::Stream,
        since: "5.0.0",
        cost: "O(log M + N) with M the stream's nodes and N the entries returned",
        usage: "key end start [COUNT count]",
        summary: "Returns the entries between two ids, the last one first.",
        ..COMMAND
    },
    Command {
        name: "XDEL",
        arity: -3,
        run: Run::Write(xdel),
        flags: &[Fast],
        keys: DELETES,
        group: Group::Stream,
        since: "5.0.0",
        cost: "O(log M) for each id, with M the stream's nodes",
        usage: "key id [id ...]",
        summary: "Deletes entries by their ids.",
        ..COMMAND
    },
    Command {
        name: "XDELEX",
        arity: -5,
        run: Run::Write(xdelex),
        flags: &[Fast],
        keys: DELETES,
        group: Group::Stream,
        since: "8.2.0",
        cost: "O(log M) for each id, with M the stream's nodes, times the groups where they are asked",
        usage: "key [KEEPREF | DELREF | ACKED] IDS numids id [id ...]",
        summary: "Deletes entries by their ids, with a say on what groups still have pending.",
        ..COMMAND
    },
    Command {
        name: "XTRIM",
        arity: -4,
        run: Run::Write(xtrim),
        keys: DELETES,
        group: Group::Stream,
        since: "5.0.0",
        cost: "O(N) with N the number of nodes and single entries that go",
        usage: "key <<MAXLEN | MINID> [= | ~] threshold [LIMIT count] [KEEPREF | DELREF | ACKED]>",
        summary: "Deletes entries from the beginning of a stream.",
        tips: &["nondeterministic_output"],
        ..COMMAND
    },
    Command {
        name: "XSETID",
        arity: -3,
        run: Run::Write(xsetid),
        flags: &[DenyOom, Fast],
        keys: UPDATES,
        group: Group::Stream,
        since: "5.0.0",
        usage: "key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]",
        summary: "Sets what a stream knows of its past: for replicas and logs.",
        ..COMMAND
    },
    Command {
        name: "XCFGSET",
        arity: -2,
        run: Run::Write(xcfgset),
        flags: &[Fast],
        keys: UPDATES,
        group: Group::Stream,
        since: "8.6.0",
        usage: "key [IDMP-DURATION idmp-duration] [IDMP-MAXSIZE idmp-maxsize]",
        summary: "Sets for how long, and how many, messages of idempotent producers a stream remembers.",
        ..COMMAND
    },
    Command {
        name: "XIDMPRECORD",
        arity: 5,
        run: Run::Write(xidmprecord),
        flags: &[DenyOom, Fast],
        keys: UPDATES,
        group: Group::Stream,
        since: "8.8.0",
        usage: "key pid iid stream-id",
        summary: "Remembers which entry a message of an idempotent producer became: for replicas and logs.",
        ..COMMAND
    },
];

pub(super) fn node_limits(config: &Config) -> NodeLimits {
    NodeLimits {
        bytes_max: usize::try_from(config.stream_node_max_bytes).unwrap_or(usize::MAX),
        entries_max: entries_max(config),
    }
}

fn entries_max(config: &Config) -> usize {
    usize::try_from(config.stream_node_max_entries).unwrap_or(0)
}

/// What XADD and XTRIM have in common in front of their ids.
#[derive(Default)]
struct Clause<'a> {
    to: Option<TrimTo>,
    /// The threshold as it was written.
    threshold: &'a [u8],
    approximate: bool,
    limit: Option<u64>,
    policy: Option<RefPolicy>,
    no_new_stream: bool,
    message: Option<Message<'a>>,
}

/// The name an idempotent producer gives its message; none for IDMPAUTO.
#[derive(Clone, Copy)]
struct Message<'a> {
    producer: &'a [u8],
    id: Option<&'a [u8]>,
}

impl<'a> Clause<'a> {
    /// Reads one option; false where the next argument is none.
    fn read(&mut self, args: &mut Args<'a>, adds: bool) -> Result<bool, Stop> {
        let Some(word) = args.peek() else { return Ok(false) };
        // An id, most of the time: no option begins like one.
        if matches!(word.first(), Some(b'*' | b'0'..=b'9')) {
            return Ok(false);
        }
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        let behind = args.len() - 1;
        if (is("MAXLEN") || is("MINID")) && behind >= 1 {
            args.next()?;
            self.read_threshold(args, is("MAXLEN"))?;
        } else if is("LIMIT") && behind >= 1 {
            args.next()?;
            let limit = u64::try_from(args.int()?).map_err(|_| error("ERR The LIMIT argument must be >= 0."))?;
            self.limit = Some(limit);
        } else if adds && is("NOMKSTREAM") {
            args.next()?;
            self.no_new_stream = true;
        } else if adds && is("IDMP") && behind >= 2 {
            args.next()?;
            self.set_message(args.next()?, Some(args.next()?))?;
        } else if adds && is("IDMPAUTO") && behind >= 1 {
            args.next()?;
            self.set_message(args.next()?, None)?;
        } else if let (None, Some(policy)) = (self.policy, policy(word)) {
            args.next()?;
            self.policy = Some(policy);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn set_message(&mut self, producer: &'a [u8], id: Option<&'a [u8]>) -> Done {
        match self.message.replace(Message { producer, id }) {
            Some(_) => Err(error("ERR IDMP/IDMPAUTO specified multiple times")),
            None => Ok(()),
        }
    }

    fn read_threshold(&mut self, args: &mut Args<'a>, is_len: bool) -> Done {
        if self.to.is_some() {
            return Err(error("ERR syntax error, MAXLEN and MINID options at the same time are not compatible"));
        }
        if args.len() >= 2 {
            match args.peek().map(shown) {
                Some(b"~") => {
                    args.next()?;
                    self.approximate = true;
                }
                Some(b"=") => {
                    args.next()?;
                }
                _ => {}
            }
        }
        self.threshold = args.next()?;
        self.to = Some(if is_len {
            let len = parse_i64(self.threshold).ok_or(NOT_AN_INTEGER)?;
            TrimTo::MaxLen(u64::try_from(len).map_err(|_| error("ERR The MAXLEN argument must be >= 0."))?)
        } else {
            TrimTo::MinId(id(self.threshold)?)
        });
        Ok(())
    }

    /// What can only be told once all options were read.
    fn check(&self, adds: bool) -> Done {
        if self.limit.is_some_and(|limit| limit > 0) && self.to.is_none() {
            return Err(error("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"));
        }
        if !adds && self.to.is_none() {
            return Err(error("ERR syntax error, XTRIM must be called with a trimming strategy"));
        }
        if self.limit.is_some() && !self.approximate {
            return Err(error("ERR syntax error, LIMIT cannot be used without the special ~ option"));
        }
        let Some(message) = self.message else { return Ok(()) };
        if message.producer.is_empty() {
            return Err(error(match message.id {
                Some(_) => "ERR IDMP requires a non-empty producer ID",
                None => "ERR IDMPAUTO requires a non-empty producer ID",
            }));
        }
        if message.id.is_some_and(<[u8]>::is_empty) {
            return Err(error("ERR IDMP requires a non-empty idempotent ID"));
        }
        Ok(())
    }

    fn trim(&self, config: &Config) -> Option<Trim> {
        let limit = match self.limit {
            Some(limit) => limit,
            None if self.approximate => Trim::default_limit(entries_max(config)),
            None => 0,
        };
        let policy = self.policy.unwrap_or_default();
        Some(Trim { to: self.to?, approximate: self.approximate, limit, policy })
    }
}

/// The trimming clause that does to the same stream what was just done, whatever is configured when it is run.
///
/// What was trimmed is a beginning of the stream, so its new length says it all; but ACKED leaves entries out, and which ones it
/// comes to depends on the nodes: it is repeated as it was.
fn replayed(trim: Trim, clause: &Clause, removed: u64, len_after: u64) -> Words {
    let words = Words::default();
    if removed == 0 {
        return words;
    }
    let words = if trim.policy == RefPolicy::Keep { words } else { words.word(policy_word(trim.policy)) };
    if trim.policy != RefPolicy::Acked {
        return words.word(b"MAXLEN").word(b"=").number(len_after);
    }
    let words = words.word(if matches!(trim.to, TrimTo::MaxLen(_)) { b"MAXLEN" } else { b"MINID" });
    let words = words.word(if trim.approximate { b"~" } else { b"=" }).word(clause.threshold);
    if trim.approximate { words.word(b"LIMIT").number(trim.limit) } else { words }
}

fn wrong_arity() -> Stop {
    error("ERR wrong number of arguments for 'xadd' command")
}

fn no_id(why: NewIdError) -> Stop {
    error(match why {
        NewIdError::Zero => "ERR The ID specified in XADD must be greater than 0-0",
        NewIdError::Exhausted => "ERR The stream has exhausted the last possible ID, unable to add more items",
        NewIdError::NotAbove => "ERR The ID specified in XADD is equal or smaller than the target stream top item",
    })
}

fn not_appended(why: AppendError) -> Stop {
    match why {
        AppendError::NotAbove => no_id(NewIdError::NotAbove),
        AppendError::TooLarge => error("ERR Elements are too large to be stored"),
    }
}

fn xadd(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let mut clause = Clause::default();
    while clause.read(args, true)? {}
    let id_text = args.peek().ok_or_else(wrong_arity)?;
    let wish = NewId::parse(id_text).map_err(|_| INVALID_ID)?;
    args.next()?;
    if clause.message.is_some() && wish != NewId::Auto {
        return Err(error("ERR IDMP/IDMPAUTO can be used only with auto-generated IDs"));
    }
    clause.check(true)?;
    if args.is_empty() || args.len() % 2 == 1 {
        return Err(wrong_arity());
    }
    if wish == NewId::Exact(StreamId::MIN) {
        return Err(no_id(NewIdError::Zero));
    }
    let fields = args.rest().pairs();
    let auto_id = clause.message.filter(|message| message.id.is_none()).map(|_| hash_of(fields.clone()));
    let message = clause.message.map(|message| {
        let own = auto_id.as_ref().map(|bytes| &bytes[..]);
        (message.producer, message.id.or(own).unwrap_or_default())
    });
    let (now, limits, trim) = (edit.now, node_limits(edit.config), clause.trim(edit.config));

    let added = match edit.stream_mut(key)? {
        Some(stream) => {
            if let Some((producer, message)) = message
                && stream.producers().is_some()
                && let Some(first) =
                    stream.producers_or_new(ProducerLimits::DEFAULT).find_duplicate(producer, message, now)
            {
                reply_id(reply, first);
                return Ok(());
            }
            let id = stream.next_id(wish, now).map_err(no_id)?;
            stream.append(id, fields.clone(), limits).map_err(not_appended)?;
            finish(stream, id, trim, message, now)
        }
        None if clause.no_new_stream => {
            reply.null();
            return Ok(());
        }
        None => {
            let mut stream = Stream::new();
            let id = stream.next_id(wish, now).map_err(no_id)?;
            stream.append(id, fields.clone(), limits).map_err(not_appended)?;
            let added = finish(&mut stream, id, trim, message, now);
            edit.set(key, StreamBox::from(stream), None);
            added
        }
    };
    edit.changed_value(key, Class::Stream, "xadd");
    if added.trimmed > 0 {
        edit.notice(key, Class::Stream, "xtrim");
    }
    let as_it_came = matches!(wish, NewId::Exact(_)) && trim.is_none() && message.is_none();
    if edit.is_journaling() && !as_it_came {
        journal_added(edit, key, &clause, trim, message, added, fields);
    }

    reply_id(reply, added.id);
    Ok(())
}

/// What XADD did.
#[derive(Clone, Copy)]
struct Added {
    id: StreamId,
    trimmed: u64,
    len: u64,
}

fn finish(stream: &mut Stream, id: StreamId, trim: Option<Trim>, message: Option<(&[u8], &[u8])>, now: u64) -> Added {
    if let Some((producer, message)) = message {
        stream.producers_or_new(ProducerLimits::DEFAULT).record(producer, message, id, now);
    }
    let trimmed = trim.map_or(0, |trim| stream.trim(trim));
    Added { id, trimmed, len: stream.len() }
}

fn journal_added<'a>(
    edit: &mut Edit,
    key: &[u8],
    clause: &Clause,
    trim: Option<Trim>,
    message: Option<(&[u8], &[u8])>,
    added: Added,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) {
    let trimming = trim.map(|trim| replayed(trim, clause, added.trimmed, added.len)).unwrap_or_default().0;
    let mut words = Words::new(&[b"XADD", key]);
    if message.is_none() {
        words.0.extend(trimming.iter().cloned());
    }
    words = words.id(added.id);
    for (name, value) in fields {
        words = words.word(name).word(value);
    }
    words.journal(edit);
    if let Some((producer, message)) = message {
        // The record refers to an entry, which trimming may take away again.
        Words::new(&[b"XIDMPRECORD", key, producer, message]).id(added.id).journal(edit);
        if !trimming.is_empty() {
            let mut words = Words::new(&[b"XTRIM", key]);
            words.0.extend(trimming);
            words.journal(edit);
        }
    }
}

/// A name for a message made of what it says, whatever the order of its fields: the sum of a hash of 128 bits for each pair.
fn hash_of<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> [u8; 16] {
    let each = fields.map(|(name, value)| {
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name);
        hasher.update(value);
        hasher.digest128()
    });
    each.fold(0, u128::wrapping_add).to_le_bytes()
}

fn xlen(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let stream = view.get::<StreamBox>(args.next()?)?;

    reply.count(stream.map_or(0, StreamBox::len));
    Ok(())
}

fn xrange(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let (start, end) = (range_start(args.next()?)?, range_end(args.next()?)?);
    show_range(view, key, start, end, false, args, reply)
}

fn xrevrange(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let (end, start) = (args.next()?, args.next()?);
    let (start, end) = (range_start(start)?, range_end(end)?);
    show_range(view, key, start, end, true, args, reply)
}

fn show_range(
    view: &View,
    key: &[u8],
    start: StreamId,
    end: StreamId,
    back: bool,
    args: &mut Args,
    reply: &mut Reply,
) -> Done {
    let mut count_max = u64::MAX;
    while !args.is_empty() {
        if !args.option_with_value("COUNT") {
            return Err(SYNTAX);
        }
        count_max = count(args)?;
    }

    let Some(stream) = view.get::<StreamBox>(key)? else {
        reply.array(0);
        return Ok(());
    };
    if count_max == 0 {
        reply.null_array();
        return Ok(());
    }

    let log = stream.log();
    let shown = if start <= end { log.count(start, end).min(count_max) as usize } else { 0 };
    reply.array(shown);
    if back {
        log.range_back(start, end).take(shown).for_each(|entry| reply_entry(reply, &entry));
    } else {
        log.range(start, end).take(shown).for_each(|entry| reply_entry(reply, &entry));
    }
    Ok(())
}

fn xdel(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let Some(stream) = edit.stream_mut(key)? else {
        reply.int(0);
        return Ok(());
    };
    let ids = ids(args.rest())?;

    let deleted = ids.into_iter().filter(|&id| stream.delete(id)).count();
    if deleted > 0 {
        edit.changed_many(key, Class::Stream, "xdel", deleted);
    }

    reply.count(deleted);
    Ok(())
}

pub(super) fn reply_deletion(reply: &mut Reply, deletion: Deletion) {
    reply.int(match deletion {
        Deletion::NotFound => -1,
        Deletion::Deleted => 1,
        Deletion::Referenced => 2,
    });
}

fn xdelex(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    if edit.stream_mut(key)?.is_none() {
        let (_, ids) = policy_and_ids(args)?;
        reply.array(ids.len());
        ids.for_each(|_| reply.int(-1));
        return Ok(());
    }
    let (policy, texts) = policy_and_ids(args)?;
    let ids = ids(texts)?;
    let Some(stream) = edit.stream_mut(key)? else { return Err(NO_SUCH_KEY) };

    reply.array(ids.len());
    let mut deleted = 0;
    for id in ids {
        let deletion = stream.delete_by(id, policy);
        deleted += usize::from(deletion == Deletion::Deleted);
        reply_deletion(reply, deletion);
    }
    if deleted > 0 {
        edit.changed_many(key, Class::Stream, "xdel", deleted);
    } else if policy == RefPolicy::Delete {
        // Pending entries that point at nothing may have gone.
        edit.changed_unwatched(0);
    }
    Ok(())
}

fn xtrim(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let mut clause = Clause::default();
    while clause.read(args, false)? {}
    args.end()?;
    clause.check(false)?;
    let trim = clause.trim(edit.config).ok_or(SYNTAX)?;

    let Some(stream) = edit.stream_mut(key)? else {
        reply.int(0);
        return Ok(());
    };
    let trimmed = stream.trim(trim);
    let len = stream.log().len();
    if trimmed > 0 {
        edit.changed_many(key, Class::Stream, "xtrim", usize::try_from(trimmed).unwrap_or(usize::MAX));
        if trim.approximate && edit.is_journaling() {
            let mut words = Words::new(&[b"XTRIM", key]);
            words.0.extend(replayed(trim, &clause, trimmed, len).0);
            words.journal(edit);
        }
    }

    reply_count(reply, trimmed);
    Ok(())
}

fn xsetid(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let last_id = id(args.next()?)?;
    let (mut entries_added, mut max_deleted_id) = (None, None);
    while !args.is_empty() {
        if args.option_with_value("ENTRIESADDED") {
            let added = u64::try_from(args.int()?).map_err(|_| error("ERR entries_added must be positive"))?;
            entries_added = Some(added);
        } else if args.option_with_value("MAXDELETEDID") {
            let deleted = id(args.next()?)?;
            if last_id < deleted {
                return Err(not_set(SetIdError::BelowGivenDeleted));
            }
            max_deleted_id = Some(deleted);
        } else {
            return Err(SYNTAX);
        }
    }

    let stream = edit.stream_mut(key)?.ok_or(NO_SUCH_KEY)?;
    stream.set_history(last_id, entries_added, max_deleted_id).map_err(not_set)?;
    edit.changed_unwatched(1);
    edit.notice(key, Class::Stream, "xsetid");

    reply.ok();
    Ok(())
}

fn not_set(why: SetIdError) -> Stop {
    error(match why {
        SetIdError::BelowTop => "ERR The ID specified in XSETID is smaller than the target stream top item",
        SetIdError::AddedBelowLength => {
            "ERR The entries_added specified in XSETID is smaller than the target stream length"
        }
        SetIdError::BelowGivenDeleted => {
            "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"
        }
        SetIdError::BelowDeleted => "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
    })
}

fn xcfgset(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let (mut remembered_s, mut messages_max) = (None, None);
    while !args.is_empty() {
        if args.option_with_value("IDMP-DURATION") {
            let seconds =
                u64::try_from(args.int()?).ok().filter(|s| (1..=ProducerLimits::REMEMBERED_S_MAX).contains(s));
            remembered_s = Some(seconds.ok_or(error("ERR IDMP-DURATION must be between 1 and 86400 seconds"))?);
        } else if args.option_with_value("IDMP-MAXSIZE") {
            let most = usize::try_from(args.int()?).ok().filter(|n| (1..=ProducerLimits::MESSAGES_MAX).contains(n));
            messages_max = Some(most.ok_or(error("ERR IDMP-MAXSIZE must be between 1 and 10000 entries"))?);
        } else {
            return Err(SYNTAX);
        }
    }
    if remembered_s.is_none() && messages_max.is_none() {
        return Err(error("ERR At least one parameter must be specified"));
    }

    let stream = edit.stream_mut(key)?.ok_or(NO_SUCH_KEY)?;
    let producers = stream.producers_or_new(ProducerLimits::DEFAULT);
    let before = producers.limits();
    producers.set_limits(ProducerLimits {
        remembered_s: remembered_s.unwrap_or(before.remembered_s),
        messages_max: messages_max.unwrap_or(before.messages_max),
    });
    edit.changed_unwatched(1);

    reply.ok();
    Ok(())
}

fn xidmprecord(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, producer, message) = (args.next()?, args.next()?, args.next()?);
    let id = id(args.next()?)?;
    if producer.is_empty() || message.is_empty() {
        return Err(error("ERR the producer ID and the idempotent ID must not be empty"));
    }

    let now = edit.now;
    let stream = edit.stream_mut(key)?.ok_or(NO_SUCH_KEY)?;
    if !stream.log().contains(id) {
        return Err(error("ERR there is no entry with this ID in the stream"));
    }
    let producers = stream.producers_or_new(ProducerLimits::DEFAULT);
    match producers.find(producer, message, now) {
        Some(first) if first != id => return Err(error("ERR the message is remembered with another stream ID")),
        Some(_) => {}
        None => {
            producers.record(producer, message, id, now);
            edit.changed_unwatched(1);
        }
    }

    reply.ok();
    Ok(())
}
