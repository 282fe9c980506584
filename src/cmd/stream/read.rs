//! Reading on: XREAD and XREADGROUP, at once or when something comes.
//!
//! Both read the same options and end in the same shapes. A command that finds nothing and may wait ends with `Stop::Wait`; what it is to be
//! run with again, and when, is put together at the end of this file.

use super::super::args::Args;
use super::super::command::{Access, Begin, COMMAND, Command, Find, Flag, Group, KeyFlag, KeySpec, Run};
use super::super::error::{Done, Reading, SYNTAX, Stop, TimeoutReply, Wait, error};
use super::super::keyspec;
use super::claims::{journal_acks, journal_claims, journal_position};
use super::{INVALID_ID, Words, count, no_group_text, reply_entry, reply_fields, reply_id};
use crate::db::effect::{Class, Stir};
use crate::db::{Edit, View};
use crate::resp::reply::{Mark, Reply};
use crate::resp::request::{OwnedRequest, Request};
use crate::types::stream::{Entry, Pending, ReadFrom, Stream, StreamBox, StreamId};
use crate::types::value::Kind;
use crate::util::number::parse_i64;

use Flag::{Blocking, MovableKeys};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "XREAD",
        arity: -4,
        run: Run::Read(xread),
        flags: &[Blocking, MovableKeys],
        keys: &[streams_from(1)],
        group: Group::Stream,
        since: "5.0.0",
        cost: "",
        usage: "[COUNT count] [MAXCOUNT maxcount] [MAXSIZE maxsize] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
        summary: "Returns the entries behind the given ids of several streams, and can wait for them.",
        ..COMMAND
    },
    Command {
        name: "XREADGROUP",
        arity: -7,
        run: Run::Write(xreadgroup),
        flags: &[Blocking, MovableKeys],
        keys: &[streams_from(4)],
        find_keys: Some(keyspec::xreadgroup),
        group: Group::Stream,
        since: "5.0.0",
        cost: "O(M) for each stream, with M the entries returned; O(N log N) to add N of them to what is pending",
        usage: "GROUP group consumer [COUNT count] [MAXCOUNT maxcount] [MAXSIZE maxsize] [BLOCK milliseconds] \
                [CLAIM min-idle-time] [NOACK] STREAMS key [key ...] id [id ...]",
        summary: "Returns new entries, or what a consumer has pending, of several streams for a consumer of a group, and can wait.",
        ..COMMAND
    },
];

const fn streams_from(from: i32) -> KeySpec {
    KeySpec {
        begin: Begin::Keyword { word: "STREAMS", from },
        find: Find::Range { last: -1, step: 1, limit: 2 },
        access: Access::Ro,
        flags: &[KeyFlag::Access],
        notes: "",
    }
}

/// The options of both commands.
struct Options<'a> {
    request: Request<'a>,
    group: Option<(&'a [u8], &'a [u8])>,
    no_ack: bool,
    /// CLAIM
    claim_idle_ms: Option<u64>,
    /// Of each stream.
    count_max: u64,
    budget: Budget,
    /// Waits, until then if there is a then.
    block: Option<Option<u64>>,
    /// Index of the first key.
    keys_from: usize,
    streams: usize,
}

/// What a whole reply may hold.
#[derive(Clone, Copy)]
struct Budget {
    entries_left: u64,
    bytes_max: usize,
    bytes_at_start: usize,
    is_first: bool,
}

impl Budget {
    /// Whether an entry of this size still fits; the first one always does.
    fn admits(&mut self, reply: &mut Reply, entry_bytes: usize) -> bool {
        if !self.is_first {
            let bytes = reply.output().len() - self.bytes_at_start;
            if self.entries_left == 0 || bytes.saturating_add(entry_bytes) > self.bytes_max {
                self.entries_left = 0;
                return false;
            }
        }
        self.is_first = false;
        self.entries_left = self.entries_left.saturating_sub(1);
        true
    }

    fn is_bounded_by_bytes(&self) -> bool {
        self.bytes_max != usize::MAX
    }
}

impl<'a> Options<'a> {
    fn read(args: &mut Args<'a>, for_group: bool, now: u64, reply: &mut Reply) -> Result<Self, Stop> {
        let mut options = Self {
            request: args.request(),
            group: None,
            no_ack: false,
            claim_idle_ms: None,
            count_max: u64::MAX,
            budget: Budget {
                entries_left: u64::MAX,
                bytes_max: usize::MAX,
                bytes_at_start: reply.output().len(),
                is_first: true,
            },
            block: None,
            keys_from: 0,
            streams: 0,
        };
        let (mut count_given, mut total_given) = (None, None);
        while options.streams == 0 {
            if args.option_with_value("COUNT") {
                count_given = Some(count(args)?).filter(|&count| count > 0);
                options.count_max = count_given.unwrap_or(u64::MAX);
            } else if args.option_with_value("BLOCK") {
                options.block = Some(deadline(args.next()?, now)?);
            } else if args.option_with_value("STREAMS") {
                options.keys_from = args.position();
                if args.len() % 2 == 1 {
                    return Err(error(unbalanced(for_group)));
                }
                options.streams = args.len() / 2;
            } else if args.len() >= 3 && args.option("GROUP") {
                if !for_group {
                    return Err(error(
                        "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
                    ));
                }
                options.group = Some((args.next()?, args.next()?));
            } else if args.option("NOACK") {
                if !for_group {
                    return Err(error(
                        "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
                    ));
                }
                options.no_ack = true;
            } else if args.option_with_value("MAXCOUNT") {
                let most = args.int()?;
                total_given = Some(u64::try_from(most).ok().filter(|&most| most > 0));
            } else if args.option_with_value("MAXSIZE") {
                let most = usize::try_from(args.int()?).ok().filter(|&most| most > 0);
                options.budget.bytes_max = most.ok_or(error("ERR MAXSIZE must be > 0"))?;
            } else if args.option_with_value("CLAIM") {
                if !for_group {
                    return Err(error(
                        "ERR The CLAIM option is only supported by XREADGROUP. You called XREAD instead.",
                    ));
                }
                let idle =
                    parse_i64(args.next()?).ok_or(error("ERR min-idle-time is not an integer or out of range"))?;
                let idle = u64::try_from(idle).map_err(|_| error("ERR min-idle-time must be a positive integer"))?;
                options.claim_idle_ms = Some(idle);
            } else {
                return Err(SYNTAX);
            }
        }
        if for_group && options.group.is_none() {
            return Err(error("ERR Missing GROUP option for XREADGROUP"));
        }
        if let Some(total) = total_given {
            let total = total.ok_or(error("ERR MAXCOUNT must be > 0"))?;
            if count_given.is_some_and(|count| count > total) {
                return Err(error("ERR MAXCOUNT must be greater than or equal to COUNT"));
            }
            options.budget.entries_left = total;
        }
        Ok(options)
    }

    /// Group and consumer of XREADGROUP, which was refused without them.
    fn group(&self) -> (&'a [u8], &'a [u8]) {
        self.group.unwrap_or_default()
    }

    fn key(&self, index: usize) -> &'a [u8] {
        self.request.arg(self.keys_from + index)
    }

    fn id_text(&self, index: usize) -> &'a [u8] {
        self.request.arg(self.keys_from + self.streams + index)
    }
}

fn unbalanced(for_group: bool) -> &'static str {
    if for_group {
        "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified."
    } else {
        "ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified."
    }
}

/// BLOCK: milliseconds from now; 0 is for ever.
fn deadline(text: &[u8], now: u64) -> Result<Option<u64>, Stop> {
    let ms = parse_i64(text).ok_or(error("ERR timeout is not an integer or out of range"))?;
    match u64::try_from(ms) {
        Err(_) => Err(error("ERR timeout is negative")),
        Ok(0) => Ok(None),
        Ok(ms) => {
            let until = now.checked_add(ms).filter(|&until| i64::try_from(until).is_ok());
            until.map(Some).ok_or(error("ERR timeout is out of range"))
        }
    }
}

/// Writes what was read of each stream: a map from its key, for streams of which anything was read.
struct Streams<'a> {
    start: Mark,
    len: usize,
    budget: Budget,
    /// The stream that is being written: where its entries begin, and how many there are.
    section: Option<(Mark, usize)>,
    key: &'a [u8],
}

impl<'a> Streams<'a> {
    fn new(budget: Budget, reply: &Reply) -> Self {
        Self { start: reply.mark(), len: 0, budget, section: None, key: b"" }
    }

    /// The stream that comes next. Nothing is written of it before its first entry.
    fn turn_to(&mut self, key: &'a [u8]) {
        self.key = key;
    }

    fn begin(&mut self, reply: &mut Reply) {
        self.len += 1;
        if !reply.is_resp3() {
            reply.array(2);
        }
        reply.bulk(self.key);
        self.section = Some((reply.later(), 0));
    }

    /// Whether the reply has room for this entry, which then is the next one written.
    fn admit(&mut self, reply: &mut Reply, entry: Option<&Entry>) -> bool {
        let bytes = match entry {
            Some(entry) if self.budget.is_bounded_by_bytes() => reply_bytes(entry),
            _ => 0,
        };
        if !self.budget.admits(reply, bytes) {
            return false;
        }
        if self.section.is_none() {
            self.begin(reply);
        }
        if let Some((_, shown)) = &mut self.section {
            *shown += 1;
        }
        true
    }

    fn is_full(&self) -> bool {
        self.budget.entries_left == 0
    }

    /// Ends the stream's entries; says whether there were any.
    fn end(&mut self, reply: &mut Reply) -> bool {
        match self.section.take() {
            Some((start, shown)) => {
                reply.finish_array(start, shown);
                shown > 0
            }
            None => false,
        }
    }

    fn finish(self, reply: &mut Reply) {
        match (self.len, reply.is_resp3()) {
            (0, _) => reply.null_array(),
            (len, true) => reply.finish_map(self.start, len),
            (len, false) => reply.finish_array(self.start, len),
        }
    }
}

/// How many bytes an entry takes in a reply.
fn reply_bytes(entry: &Entry) -> usize {
    fn header(len: usize) -> usize {
        3 + if len < 10 { 1 } else { len.ilog10() as usize + 1 }
    }
    let text = |len: usize| header(len) + len + 2;
    let fields: usize = entry.fields.map(|(name, value)| text(name.len()) + text(value.len())).sum();
    4 + text(entry.id.text().as_bytes().len()) + header(2 * entry.fields.len()) + fields
}

fn xread(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let options = Options::read(args, false, view.now, reply)?;
    let mut starts = Vec::with_capacity(options.streams);
    for index in 0..options.streams {
        let stream = view.get::<StreamBox>(options.key(index))?;
        let from = ReadFrom::parse(options.id_text(index)).map_err(|_| INVALID_ID)?;
        if from == ReadFrom::New {
            return Err(error(
                "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
            ));
        }
        starts.push((stream, from));
    }

    let mut out = Streams::new(options.budget, reply);
    for (index, &(_, from)) in starts.iter().enumerate() {
        // Every key is looked up twice, which the counters and notifications of misses show.
        let Some(stream) = view.get::<StreamBox>(options.key(index))? else { continue };
        let Some(first) = first_to_read(stream, from) else { continue };
        let count_max = if from == ReadFrom::LastEntry { 1 } else { options.count_max };
        out.turn_to(options.key(index));
        for entry in stream.log().range(first, StreamId::MAX).take(usize::try_from(count_max).unwrap_or(usize::MAX)) {
            if !out.admit(reply, Some(&entry)) {
                break;
            }
            reply_entry(reply, &entry);
        }
        out.end(reply);
    }

    match (out.len, options.block) {
        (0, Some(until)) => {
            let request = resolved(&options, &starts);
            Err(wait(&options, until, Reading { request, ..Reading::default() }))
        }
        _ => {
            out.finish(reply);
            Ok(())
        }
    }
}

/// The first id that a reader wants; nothing where there is nothing behind what it has.
fn first_to_read(stream: &Stream, from: ReadFrom) -> Option<StreamId> {
    match from {
        ReadFrom::After(id) => id.successor(),
        ReadFrom::LastEntry => stream.log().last_entry_id(),
        ReadFrom::LastId | ReadFrom::New => None,
    }
}

/// The request with the ids that `$` stands for now; nothing where it has none.
fn resolved(options: &Options, starts: &[(Option<&StreamBox>, ReadFrom)]) -> Option<OwnedRequest> {
    if !starts.iter().any(|(_, from)| *from == ReadFrom::LastId) {
        return None;
    }
    let first_id = options.keys_from + options.streams;
    let words: Vec<Vec<u8>> = options
        .request
        .iter()
        .enumerate()
        .map(|(index, word)| match index.checked_sub(first_id).map(|index| starts[index]) {
            Some((stream, ReadFrom::LastId)) => {
                let last_id = stream.map_or(StreamId::MIN, |stream| stream.log().last_id());
                last_id.text().as_bytes().to_vec()
            }
            _ => word.to_vec(),
        })
        .collect();
    Some(OwnedRequest::from_args(words.iter()))
}

fn xreadgroup(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let options = Options::read(args, true, edit.now, reply)?;
    let mut starts = Vec::with_capacity(options.streams);
    for index in 0..options.streams {
        starts.push(start_of(edit, &options, index)?);
    }

    let mut out = Streams::new(options.budget, reply);
    let mut retry_at = None;
    for (index, &from) in starts.iter().enumerate() {
        let next = read_as_consumer(edit, &options, options.key(index), from, &mut out, reply);
        retry_at = [retry_at, next].into_iter().flatten().min();
    }

    match (out.len, options.block) {
        (0, Some(until)) => Err(wait(&options, until, group_reading(&options, retry_at, edit.now))),
        _ => {
            out.finish(reply);
            Ok(())
        }
    }
}

/// Where reading a stream begins; refuses keys and groups that do not exist, and ids that mean nothing to a group.
fn start_of(edit: &mut Edit, options: &Options, index: usize) -> Result<ReadFrom, Stop> {
    let (key, (group, _)) = (options.key(index), options.group());
    if edit.read_stream_mut(key)?.is_none_or(|stream| stream.group(group).is_none()) {
        let text = [&no_group_text(key, group)[..], b" in XREADGROUP with GROUP option"].concat();
        return Err(Stop::Bytes(text));
    }
    match ReadFrom::parse(options.id_text(index)).map_err(|_| INVALID_ID)? {
        // As in Redis the greatest id there is, behind which nobody has a history, stands for `>`.
        ReadFrom::After(StreamId::MAX) => Ok(ReadFrom::New),
        ReadFrom::LastId => Err(error(
            "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by \
             specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.",
        )),
        ReadFrom::LastEntry => Err(error(
            "ERR The + ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by \
             specifying a proper ID, or use the > ID to get new messages. The + ID would just return an empty result set.",
        )),
        from => Ok(from),
    }
}

/// What reading one stream changed in the group, for the journal.
#[derive(Default)]
struct Change {
    consumer_created: bool,
    claimed: Vec<Pending>,
    gone: Vec<StreamId>,
    /// Delivered for the first time.
    delivered: Vec<StreamId>,
    /// Delivered once more, out of the consumer's own history.
    again: Vec<Pending>,
}

/// Reads one stream for a consumer. Gives back when something there will be idle enough to be claimed.
fn read_as_consumer<'a>(
    edit: &mut Edit,
    options: &Options<'a>,
    key: &'a [u8],
    from: ReadFrom,
    out: &mut Streams<'a>,
    reply: &mut Reply,
) -> Option<u64> {
    let (now, (group, consumer)) = (edit.now, options.group());
    let Ok(Some(stream)) = edit.read_stream_mut(key) else { return None };
    let mut reader = stream.reader(group, now)?;
    let (at, consumer_created) = reader.group().consumer_or_new(consumer, now);
    reader.group().set_seen(at, now);
    let mut change = Change { consumer_created, ..Change::default() };
    let mut retry_at = None;
    out.turn_to(key);
    match from {
        _ if out.is_full() => {}
        ReadFrom::After(after) => {
            out.begin(reply);
            let mut existing = Vec::new();
            reader.history(at, after, options.count_max, |id, entry| {
                if !out.admit(reply, entry) {
                    return false;
                }
                match entry {
                    Some(entry) => {
                        existing.push(id);
                        reply_entry(reply, entry);
                    }
                    None => {
                        reply.array(2);
                        reply_id(reply, id);
                        reply.null_array();
                    }
                }
                true
            });
            change.again = existing.into_iter().filter_map(|id| reader.group().pending(id)).collect();
        }
        ReadFrom::New => {
            let mut left = options.count_max;
            if let Some(idle_min_ms) = options.claim_idle_ms {
                let claimed = reader.claim_idle(at, idle_min_ms, left.min(out.budget.entries_left), |entry, before| {
                    let admitted = out.admit(reply, Some(entry));
                    if admitted {
                        // An entry without an owner has not been idle with anybody.
                        let idle = before.owner.map_or(-1, |_| before.idle_ms(now) as i64);
                        reply_delivery(reply, entry, idle, before.deliveries as i64);
                    }
                    admitted
                });
                left -= claimed.claimed.len() as u64;
                (change.claimed, change.gone) = (claimed.claimed, claimed.gone);
            }
            reader.deliver(at, left.min(out.budget.entries_left), options.no_ack, |entry| {
                let admitted = out.admit(reply, Some(entry));
                if admitted {
                    change.delivered.push(entry.id);
                    match options.claim_idle_ms {
                        Some(_) => reply_delivery(reply, entry, 0, 0),
                        None => reply_entry(reply, entry),
                    }
                }
                admitted
            });
            retry_at = options.claim_idle_ms.and_then(|idle_min_ms| reader.next_idle_ms(idle_min_ms));
        }
        ReadFrom::LastId | ReadFrom::LastEntry => {}
    }
    out.end(reply);
    make_known(edit, options, key, &change);
    retry_at
}

/// An entry with how long it was idle and how often it was delivered before: what CLAIM asks for.
fn reply_delivery(reply: &mut Reply, entry: &Entry, idle_ms: i64, deliveries: i64) {
    reply.array(4);
    reply_id(reply, entry.id);
    reply_fields(reply, entry.fields);
    reply.int(idle_ms);
    reply.int(deliveries);
}

/// Tells what a consumer's reading changed. The journal carries it as claims and positions, which need no clock when they are run again.
fn make_known(edit: &mut Edit, options: &Options, key: &[u8], change: &Change) {
    let (group, consumer) = options.group();
    if change.consumer_created {
        edit.changed_unwatched(1);
        edit.notice(key, Class::Stream, "xgroup-createconsumer");
        Words::new(&[b"XGROUP", b"CREATECONSUMER", key, group, consumer]).journal(edit);
    }
    let pending_changed = !change.claimed.is_empty() || (!change.delivered.is_empty() && !options.no_ack);
    if pending_changed {
        edit.stir(key, Stir::Claimers);
    }
    if pending_changed || !change.delivered.is_empty() || !change.gone.is_empty() {
        edit.changed_unwatched(1);
    }
    if !edit.is_journaling() {
        return;
    }
    journal_claims(edit, key, group, consumer, &change.claimed);
    journal_acks(edit, key, group, &change.gone);
    if let Some(&last) = change.delivered.last() {
        if !options.no_ack {
            let now = edit.now;
            let words = Words::new(&[b"XCLAIM", key, group, consumer, b"0"]).ids(change.delivered.iter().copied());
            let words = words.word(b"TIME").number(now).word(b"RETRYCOUNT").number(1).word(b"FORCE").word(b"JUSTID");
            words.word(b"LASTID").id(last).journal(edit);
        }
        journal_position(edit, key, group);
    }
    journal_claims(edit, key, group, consumer, &change.again);
}

fn group_reading(options: &Options, retry_at: Option<u64>, now: u64) -> Reading {
    let (group, _) = options.group();
    let idle = options.claim_idle_ms.map_or(u64::MAX, |idle| idle).to_le_bytes();
    Reading {
        request: None,
        class: Some([&idle[..], &[u8::from(options.claim_idle_ms.is_some())], group].concat().into()),
        retry_at: retry_at.map(|at| at.max(now + 1)),
        claims: options.claim_idle_ms.is_some(),
        hears_of_loss: true,
    }
}

fn wait(options: &Options, deadline: Option<u64>, reading: Reading) -> Stop {
    Stop::Wait(Wait {
        keys: (0..options.streams).map(|index| options.key(index).into()).collect(),
        deadline,
        on_timeout: TimeoutReply::NullArray,
        wants: Kind::Stream,
        reading: Some(Box::new(reading)),
    })
}
