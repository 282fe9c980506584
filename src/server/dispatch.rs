//! From bytes to effects: finds commands in a session's input, admits them, runs them, and makes known what changed.
//!
//! Commands of a pipeline are taken in batches: parsed, their keys hashed and fetched into the cache, then run one by one. EXEC, scripts
//! and replay call `call` with another `Caller`; there is no second path.

use super::admit::{self, Admission};
use super::session::{ReplyMode, Session, SessionId};
use super::stats::reaches;
use super::{Closing, Server};
use crate::cmd::args::Args;
use crate::cmd::command::{Flag, Run};
use crate::cmd::error::{Stop, TimeoutReply};
use crate::cmd::table::Entry;
use crate::db::{DbIndex, Edit, View};
use crate::ds::keytable::Hash;
use crate::resp::reply::{Output, Reply};
use crate::resp::request::{Limits, OwnedRequest, Parsed, Request, Span};
use crate::util::args::split_args;
use crate::util::clock::{ticks, ticks_to_us, us_to_ticks};

/// Who asks for a command to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    Client,
    /// A queued command, inside EXEC.
    Exec,
    /// Inside a script or function.
    Script,
    /// From the log.
    Replay,
    /// From the primary that this server follows.
    Primary,
    /// A waiting client's command, once more.
    Resumed,
}

/// Commands of one pipeline that are prepared together.
pub(super) const BATCH_MAX: usize = 32;

/// A command of very many arguments does not leave its room behind.
const SPANS_KEPT_MAX: usize = 4096;

/// A session's turn is over when it has run so many commands, or has so many bytes more to say.
pub(super) const TURN_COMMANDS_MAX: usize = 4096;
const TURN_OUTPUT_MAX: usize = 1024 * 1024;

/// How far a session's input was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consumed {
    pub bytes: usize,
    /// More may be run, in the next turn.
    pub turn_over: bool,
}

/// Commands parsed ahead: their arguments' places, where each lies in the input, and the keys they will ask for.
#[derive(Default)]
pub struct Batch {
    pub(super) spans: Vec<Span>,
    pub(super) commands: Vec<Parcel>,
    pub(super) keys: Vec<(DbIndex, Hash)>,
}

pub(super) struct Parcel {
    pub start: usize,
    pub end: usize,
    pub spans: std::ops::Range<usize>,
    pub entry: Option<&'static Entry>,
    /// Where its keys are looked up, as far as anybody knows before the commands ahead of it have run.
    pub db: DbIndex,
}

impl Batch {
    pub(super) fn clear(&mut self) {
        self.spans.clear();
        self.commands.clear();
        self.keys.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    /// A command, its entry where it was found, and where in the input it begins and ends.
    pub(super) fn command<'a>(
        &'a self,
        index: usize,
        input: &'a [u8],
    ) -> (Request<'a>, Option<&'static Entry>, usize, usize) {
        let parcel = &self.commands[index];
        (self.request(parcel, input), parcel.entry, parcel.start, parcel.end)
    }

    pub(super) fn request<'a>(&'a self, parcel: &Parcel, input: &'a [u8]) -> Request<'a> {
        Request::new(&input[parcel.start..parcel.end], &self.spans[parcel.spans.clone()])
    }
}

/// What came behind the commands of a batch.
pub(super) enum Behind {
    /// Nothing, or a part of a command.
    Incomplete,
    /// The batch is full.
    More,
    /// A line without framing ends here.
    Inline {
        line: std::ops::Range<usize>,
        end: usize,
    },
    Error(Vec<u8>),
}

impl Server {
    /// Runs the complete commands at the front of a session's input, as far as the session may go on, and not too many at one go: others
    /// want their turn, and replies their way out. O(input), and what the commands cost.
    pub fn consume(&mut self, id: SessionId, input: &[u8]) -> Consumed {
        if self.sessions.get(id).is_primary {
            return self.hear_primary(id, input);
        }
        let mut batch = std::mem::take(&mut self.batch);
        let mut out = std::mem::take(&mut self.sessions.get_mut(id).output);
        self.sessions.get_mut(id).input_pending = input.len();
        let consumed = self.consume_batches(id, input, &mut batch, &mut out);
        if batch.spans.capacity() > SPANS_KEPT_MAX {
            batch.spans = Vec::new();
        }
        self.batch = batch;
        let session = self.sessions.get_mut(id);
        let side = std::mem::replace(&mut session.output, out);
        session.output.append(side);
        session.input_pending = input.len() - consumed.bytes;
        session.last_used_ms = self.clock.unix_us / 1000;
        self.limit_output(id);
        self.weigh(id);
        consumed
    }

    fn consume_batches(&mut self, id: SessionId, input: &[u8], batch: &mut Batch, out: &mut Output) -> Consumed {
        let output_max = out.len() + TURN_OUTPUT_MAX;
        let mut commands = 0;
        let mut used = 0;
        while used < input.len() && !self.sessions.get(id).is_held() {
            if commands >= TURN_COMMANDS_MAX || out.len() >= output_max {
                return Consumed { bytes: used, turn_over: true };
            }
            batch.clear();
            let behind = self.parse_batch(id, input, used, batch);
            commands += batch.commands.len().max(1);
            self.prefetch(input, batch);
            self.call_began = ticks();
            for index in 0..batch.commands.len() {
                let (request, entry, start, end) = batch.command(index, input);
                self.run(id, entry, request, out);
                if self.sessions.get(id).is_held() {
                    return Consumed { bytes: self.stop_early(id, start, end), turn_over: false };
                }
                used = end;
                if out.len() >= output_max {
                    return Consumed { bytes: self.stop_early(id, start, end), turn_over: true };
                }
            }
            match behind {
                Behind::More => {}
                Behind::Incomplete => break,
                Behind::Inline { line, end } => {
                    self.run_inline(id, &input[line], out);
                    used = end;
                }
                Behind::Error(text) => {
                    self.protocol_error(id, &text, out);
                    return Consumed { bytes: input.len(), turn_over: false };
                }
            }
        }
        Consumed { bytes: used, turn_over: false }
    }

    /// Commands behind a held one were parsed but not run: the parser starts over at them later. A command that was itself held back
    /// comes again whole.
    fn stop_early(&mut self, id: SessionId, start: usize, end: usize) -> usize {
        let session = self.sessions.get_mut(id);
        session.parser = Default::default();
        if session.paused { start } else { end }
    }

    pub(super) fn parse_batch(&mut self, id: SessionId, input: &[u8], from: usize, batch: &mut Batch) -> Behind {
        let session = self.sessions.get_mut(id);
        let limits = Limits {
            bulk_max: if session.is_primary { u64::MAX } else { self.config.proto_max_bulk_len as u64 },
            authenticated: session.authenticated || session.internal,
        };
        let db = session.db;
        let batch_max = if limits.authenticated { BATCH_MAX } else { 1 };
        let mut at = from;
        while batch.commands.len() < batch_max {
            let first_span = batch.spans.len();
            match session.parser.parse(&input[at..], &limits, &mut batch.spans) {
                Parsed::Complete { consumed } => {
                    let spans = first_span..batch.spans.len();
                    batch.commands.push(Parcel { start: at, end: at + consumed, spans, entry: None, db });
                    at += consumed;
                }
                Parsed::Empty { consumed } => {
                    at += consumed;
                    if let Some(last) = batch.commands.last_mut() {
                        last.end = at;
                    } else {
                        return Behind::Inline { line: at..at, end: at };
                    }
                }
                Parsed::Inline { line_len, consumed } => {
                    return Behind::Inline { line: at..at + line_len, end: at + consumed };
                }
                Parsed::Incomplete => return Behind::Incomplete,
                Parsed::Error(text) => return Behind::Error(text),
            }
        }
        Behind::More
    }

    fn run_inline(&mut self, id: SessionId, line: &[u8], out: &mut Output) {
        let Some(words) = split_args(line) else {
            return self.protocol_error(id, b"unbalanced quotes in request", out);
        };
        if words.is_empty() {
            return;
        }
        let request = OwnedRequest::from_args(words.iter());
        let entry = self.names.find(request.borrow().arg(0));
        self.call_began = ticks();
        self.run(id, entry, request.borrow(), out);
    }

    fn protocol_error(&mut self, id: SessionId, text: &[u8], out: &mut Output) {
        let session = self.sessions.get(id);
        if session.reply_mode == ReplyMode::On {
            Reply::new(out, session.protocol).error([b"ERR Protocol error: ", text].concat());
        }
        self.stats.protocol_errors += 1;
        self.stats.count_error("ERR");
        self.close(id, Closing::AfterOutput);
    }

    /// Admits and runs one command of a client, and serves those who waited for what it did.
    #[inline]
    pub fn run(&mut self, id: SessionId, entry: Option<&'static Entry>, request: Request, out: &mut Output) {
        let protocol = self.sessions.get(id).protocol;
        let journaled = self.journal.offset();
        let admission = admit::admit(self, id, entry, request);
        if self.config.maxmemory > 0 && self.tracking.is_used() {
            // Of a key that had to go for this command its client hears before the reply.
            out.append(std::mem::take(&mut self.sessions.get_mut(id).output));
        }
        let start = out.mark();
        let written = out.len();
        let mut reply = Reply::new(out, protocol);
        match admission {
            Admission::Run(entry) => self.call(Caller::Client, id, entry, request, &mut reply),
            Admission::Queue(entry) => {
                admit::queue(self, id, entry, request);
                reply.simple("QUEUED");
            }
            Admission::Refuse(stop, entry) => self.refuse(id, entry, stop, &mut reply),
            Admission::Hold => return,
            Admission::CutOff => return out.clear(),
        }
        self.note_journaled(id, entry, request, journaled, (start, out.mark()));
        if self.counts_slot_usage()
            && let Some(entry) = self.sessions.get(id).last_command
            && entry.command.takes(request.len())
        {
            let (input, output) = (request.framed_len() as u64, out.len().saturating_sub(written) as u64);
            self.count_slot_usage(entry, request, |usage| {
                usage.input_bytes += input;
                usage.output_bytes += output;
            });
        }
        self.after_command(id, start, out);
    }

    #[inline]
    fn after_command(&mut self, id: SessionId, start: crate::resp::reply::Mark, out: &mut Output) {
        let session = self.sessions.get_mut(id);
        if session.reply_mode != ReplyMode::On && session.blocked.is_none() {
            match session.reply_mode {
                ReplyMode::SkipNext => session.reply_mode = ReplyMode::Skip,
                ReplyMode::Skip => {
                    session.reply_mode = ReplyMode::On;
                    out.truncate(start);
                }
                _ => out.truncate(start),
            }
        }
        self.append_messages(id, out);
        // In the middle of a script nobody sees what it has done so far.
        if self.waiting.has_ready() && self.scripts.running.is_none() {
            self.catch_up_with_sleep();
            self.serve_waiting(Some((id, out)));
        }
    }

    /// Messages that the session sent to itself go behind its reply.
    #[inline]
    pub(super) fn append_messages(&mut self, id: SessionId, out: &mut Output) {
        if self.tracking.follows_commands() {
            self.tracked_command_ended(id);
        }
        let session = self.sessions.get_mut(id);
        if !session.output.is_empty() {
            out.append(std::mem::take(&mut session.output));
        }
    }

    /// Runs one command for `caller`: the one way in which any command is ever run.
    pub fn call(&mut self, caller: Caller, id: SessionId, entry: &'static Entry, request: Request, reply: &mut Reply) {
        let outermost = self.depth == 0;
        // One reading of the counter ends a command and begins the next.
        let begin = if outermost { self.call_began } else { ticks() };
        let mut args = Args::new(request, entry.name_words());
        let db = self.sessions.get(id).db;
        self.effects.begin(self.is_anybody_listening(), self.journal.is_open() && caller != Caller::Replay);
        let moves = self.keyspace.moves();
        let is_script = entry.has(Flag::SkipMonitor);
        if is_script && !self.monitors.is_empty() {
            self.feed_monitors(caller, id, entry, request, None);
        }
        let replied = reply.output().len();
        let result = match entry.command.run {
            Run::Read(handler) => handler(&self.session_view(id, caller, entry, request), &mut args, reply),
            Run::Write(handler) => handler(&mut self.session_edit(id, caller, entry, request), &mut args, reply),
            Run::Server(handler) | Run::ParentAndServer(_, handler) => handler(self, id, &mut args, reply),
            Run::Parent(_) => unreachable!("admission resolves subcommands"),
        };
        let failed = matches!(result, Err(Stop::Error(_) | Stop::Bytes(_) | Stop::Replied));
        match result {
            Ok(()) => debug_assert!(
                // What runs other commands leaves it to them.
                self.keyspace.moves() == moves
                    || self.effects.dirty() > 0
                    || !matches!(entry.command.run, Run::Write(_)),
                "{} moved the keyspace and declared no effect",
                entry.full_name
            ),
            Err(stop) => self.stop(caller, id, entry, request, stop, reply),
        }
        self.propagate(id, db, request);
        if caller == Caller::Replay {
            return;
        }
        if self.sessions.get(id).tracking.is_some() {
            self.remember_reads(id, entry, request);
        }
        if !is_script && !self.monitors.is_empty() {
            self.feed_monitors(caller, id, entry, request, Some(reply));
        }
        let end = ticks();
        let elapsed = end.wrapping_sub(begin);
        if outermost {
            self.stats.command_ticks += elapsed;
        }
        let session = self.sessions.get_mut(id);
        if let Some(blocked) = &mut session.blocked {
            // It is counted once it has ended.
            blocked.ticks = elapsed;
            self.call_began = end;
            return;
        }
        session.commands += 1;
        if self.counts_slot_usage() && caller != Caller::Script {
            self.count_slot_usage(entry, request, |usage| usage.cpu_us += ticks_to_us(elapsed));
        }
        self.stats.count_call(entry.id, elapsed, failed, self.config.latency_tracking);
        if outermost {
            self.call_began = end;
        }
        self.note_time(caller, id, entry, request, elapsed);
        self.keyspace.relieve_snapshot(&mut self.garbage);
        let replied = reply.output().len().saturating_sub(replied);
        self.note_size(caller, id, entry, request, replied as u64);
    }

    /// Commands see the same moment throughout; a replay sees none, so that nothing lapses in it.
    #[inline]
    fn command_ms(&self) -> u64 {
        if self.replaying { 0 } else { self.clock.unix_ms() }
    }

    #[inline]
    fn session_view(&self, id: SessionId, caller: Caller, entry: &Entry, request: Request) -> View<'_> {
        let session = self.sessions.get(id);
        let may_wait = matches!(caller, Caller::Client | Caller::Resumed);
        let mut view = View::new(
            &self.keyspace,
            session.db,
            self.command_ms(),
            &self.config,
            session.touch(),
            &self.random,
            may_wait,
        );
        view.may_read_all_keys = may_read_all_keys(session, entry, request);
        view
    }

    #[inline]
    fn session_edit(&mut self, id: SessionId, caller: Caller, entry: &Entry, request: Request) -> Edit<'_> {
        let session = self.sessions.get(id);
        let may_wait = matches!(caller, Caller::Client | Caller::Resumed);
        let (db, touch, now) = (session.db, session.touch(), self.command_ms());
        let may_read_all_keys = may_read_all_keys(session, entry, request);
        let mut edit = Edit::new(
            &mut self.keyspace,
            &mut self.effects,
            db,
            now,
            &self.config,
            touch,
            &self.random,
            may_wait,
            &mut self.garbage,
        );
        edit.may_read_all_keys = may_read_all_keys;
        edit
    }

    fn stop(
        &mut self,
        caller: Caller,
        id: SessionId,
        entry: &'static Entry,
        request: Request,
        stop: Stop,
        reply: &mut Reply,
    ) {
        match stop {
            Stop::Replied => {}
            Stop::Error(text) => {
                self.stats.count_error_text(text.as_bytes());
                reply.error(text.as_bytes());
            }
            Stop::Bytes(text) => {
                self.stats.count_error_text(&text);
                reply.error(&text);
            }
            Stop::Wait(wait) => match caller {
                Caller::Client | Caller::Resumed => self.wait(id, entry, request, wait),
                _ => match wait.on_timeout {
                    TimeoutReply::Null => reply.null(),
                    TimeoutReply::NullArray => reply.null_array(),
                    TimeoutReply::Safe => super::waiting::reply_safe(self.is_safe(id), reply),
                    TimeoutReply::Acknowledged => reply.count(self.acknowledged_by(id)),
                },
            },
        }
    }

    pub(super) fn refuse(&mut self, id: SessionId, entry: Option<&'static Entry>, stop: Stop, reply: &mut Reply) {
        if let Some(entry) = entry {
            self.stats.count_rejected(entry.id);
        }
        if entry.is_some_and(|entry| entry.command.name == "EXEC") {
            self.discard_transaction(id);
            self.watches.unwatch_all(&mut self.sessions, id);
            let text = admit::text_of(&stop);
            let reason = String::from_utf8_lossy(text.strip_prefix(b"ERR ").unwrap_or(&text)).into_owned();
            self.stats.count_error("EXECABORT");
            return reply.error(format!("EXECABORT Transaction discarded because of: {reason}"));
        }
        if let Some(transaction) = &mut self.sessions.get_mut(id).transaction {
            transaction.aborted = true;
        }
        self.show_refusal(stop, reply);
    }

    /// The error of a command that is not run.
    pub fn show_refusal(&mut self, stop: Stop, reply: &mut Reply) {
        let text = admit::text_of(&stop);
        self.stats.count_error_text(&text);
        reply.error(&text);
    }

    /// Runs commands inside a command: EXEC, scripts. Effects of the outer command so far are made known first.
    pub fn call_inside(
        &mut self,
        caller: Caller,
        id: SessionId,
        entry: &'static Entry,
        request: Request,
        reply: &mut Reply,
    ) {
        self.depth += 1;
        self.call(caller, id, entry, request, reply);
        self.depth -= 1;
    }

    /// True inside EXEC and scripts, where nobody can be made to wait.
    pub fn is_inside_another(&self) -> bool {
        self.depth > 0
    }

    /// Who would hear of an effect. Asked before every command.
    #[inline]
    fn is_anybody_listening(&self) -> bool {
        !self.watches.is_empty() || !self.waiting.is_empty() || self.tracking.is_used() || self.notifies()
    }

    /// What a command took, for SLOWLOG and the latency events.
    #[inline]
    pub(super) fn note_time(
        &mut self,
        caller: Caller,
        id: SessionId,
        entry: &'static Entry,
        request: Request,
        elapsed: u64,
    ) {
        let threshold = self.config.slowlog_log_slower_than;
        if threshold >= 0 && elapsed >= us_to_ticks(threshold as u64) && !entry.has(Flag::SkipSlowlog) {
            let elapsed_us = ticks_to_us(elapsed);
            let when_s = self.clock.unix_us / 1_000_000;
            let limit = usize::try_from(self.config.slowlog_max_len).unwrap_or(0);
            // A script's own client has neither address nor name in Redis.
            let client = (caller != Caller::Script).then(|| self.sessions.get(id));
            self.stats.slowlog.add(when_s, elapsed_us, entry, request, client, limit);
        }
        let threshold = self.config.latency_monitor_threshold;
        if threshold > 0 && elapsed >= us_to_ticks((threshold as u64).saturating_mul(1000)) {
            let elapsed_us = ticks_to_us(elapsed);
            let event = if entry.has(Flag::Fast) { "fast-command" } else { "command" };
            self.stats.latency.add(event, self.clock.unix_us / 1_000_000, elapsed_us / 1000);
        }
    }

    /// Keeps what came with, or was answered with, many bytes.
    #[inline]
    fn note_size(&mut self, caller: Caller, id: SessionId, entry: &'static Entry, request: Request, replied: u64) {
        let config = &self.config;
        // What was queued or comes from a script did not come by itself.
        let came = if caller == Caller::Client { request.size() as u64 } else { 0 };
        let large_request = came > 0 && reaches(came, config.commandlog_request_larger_than);
        let large_reply = reaches(replied, config.commandlog_reply_larger_than);
        if !(large_request || large_reply) || entry.has(Flag::SkipSlowlog) {
            return;
        }
        let (client, when_s) = (Some(self.sessions.get(id)), self.clock.unix_us / 1_000_000);
        let limit = |max_len: i64| usize::try_from(max_len).unwrap_or(0);
        if large_request {
            let limit = limit(config.commandlog_large_request_max_len);
            self.stats.large_requests.add(when_s, came, entry, request, client, limit);
        }
        if large_reply {
            let limit = limit(config.commandlog_large_reply_max_len);
            self.stats.large_replies.add(when_s, replied, entry, request, client, limit);
        }
    }

    /// True while a command runs other commands: EXEC, scripts.
    pub fn is_inside_a_command(&self) -> bool {
        self.depth > 0
    }

    /// Gives a database index its bounds check: SELECT, MOVE, COPY, SWAPDB.
    pub fn database(&self, index: i64) -> Option<DbIndex> {
        usize::try_from(index).ok().filter(|&index| index < self.keyspace.databases())
    }
}

/// Whether a command whose arguments have patterns of keys may read what they lead to.
#[inline]
fn may_read_all_keys(session: &Session, entry: &Entry, request: Request) -> bool {
    !session.restricted || !entry.reads_unnamed_keys || session.user.may_read_all_keys(entry, request)
}
