//! The primary's stream: its requests are run, and its bytes go on to this server's own replicas.
//!
//! Nothing is admitted, refused or answered, and nothing lapses by itself: when a key's time is over the primary says so. A transaction
//! counts as heard once its end has come, so that a link that breaks within one has it come again from its beginning.

use super::{HostRequest, Server, SessionId};
use crate::cmd::table::{self, Entry};
use crate::config::PropagationError;
use crate::resp::reply::Output;
use crate::resp::request::{Request, write_bulk, write_header};
use crate::server::admit::text_of;
use crate::server::dispatch::{Behind, Caller, Consumed, TURN_COMMANDS_MAX};
use crate::util::clock::ticks;

impl Server {
    /// Runs the complete requests of the stream, not too many at one go.
    pub(super) fn hear_stream(&mut self, id: SessionId, input: &[u8], from: usize) -> Consumed {
        if self.scripts.running.is_some() {
            // In the middle of a script nothing else changes.
            return Consumed { bytes: from, turn_over: true };
        }
        if let Some(why) = self.is_without_disk() {
            self.give_up_on_primary(&why);
            return Consumed { bytes: input.len(), turn_over: false };
        }
        if self.is_paused() {
            return self.hold_stream(id, input.len() - from, from);
        }
        self.sessions.get_mut(id).input_pending = 0;
        let mut batch = std::mem::take(&mut self.batch);
        let mut out = Output::default();
        self.keyspace.replayed_ms = self.clock.unix_ms();
        let (mut used, mut passed_on, mut commands) = (from, from, 0);
        let mut turn_over = false;
        let mut trouble = None;
        'input: while used < input.len() {
            if commands >= TURN_COMMANDS_MAX {
                turn_over = true;
                break;
            }
            batch.clear();
            let behind = self.parse_batch(id, input, used, &mut batch);
            self.prefetch(input, &mut batch);
            self.call_began = ticks();
            for index in 0..batch.len() {
                let (request, entry, start, end) = batch.command(index, input);
                if request.arg(0).eq_ignore_ascii_case(b"REPLCONF") {
                    // It may ask how far this server is.
                    self.pass_on(id, &input[passed_on..start]);
                    passed_on = start;
                }
                if let Err(why) = self.obey_primary(id, entry, request, &mut out) {
                    trouble = Some(why);
                    break 'input;
                }
                used = end;
                commands += 1;
                if self.sessions.get(id).closing.is_some() {
                    break 'input;
                }
            }
            match behind {
                Behind::More => {}
                Behind::Incomplete => break,
                Behind::Inline { line, end } if line.is_empty() => used = end,
                Behind::Inline { .. } => trouble = Some("its stream has a line that is no request".to_owned()),
                Behind::Error(text) => {
                    trouble = Some(format!("its stream is broken: {}", String::from_utf8_lossy(&text)))
                }
            }
            if trouble.is_some() {
                break;
            }
        }
        self.batch = batch;
        self.pass_on(id, &input[passed_on..used]);
        // Whoever reads anything from now on has seen it.
        self.note_upkeep_journaled();
        if let Some(why) = trouble {
            self.give_up_on_primary(&why);
            used = input.len();
        }
        Consumed { bytes: used, turn_over }
    }

    /// What is heard now could not be kept (`replica-ignore-disk-write-errors`). Redis ends the process; here the link waits for the disk, and
    /// clients can still read.
    pub(super) fn is_without_disk(&mut self) -> Option<String> {
        if self.config.replica_ignore_disk_write_errors {
            return None;
        }
        let refusal = self.refusal_for_durability()?;
        Some(format!("what it sends cannot be written to disk ({})", String::from_utf8_lossy(&text_of(&refusal))))
    }

    /// Commands that write are held back: what the primary has sent waits, too.
    fn hold_stream(&mut self, id: SessionId, unheard: usize, from: usize) -> Consumed {
        let session = self.sessions.get_mut(id);
        session.paused = true;
        session.input_pending = unheard;
        self.pause.held.push(id);
        Consumed { bytes: from, turn_over: false }
    }

    fn obey_primary(
        &mut self,
        id: SessionId,
        found: Option<&'static Entry>,
        request: Request,
        out: &mut Output,
    ) -> Result<(), String> {
        // It does not know what commands are called here.
        let Some(found) = table::top_level(request.arg(0)).or(found) else {
            return Err(format!("unknown command '{}'", self.config.shown_in_log(request.arg(0))));
        };
        let entry = self.run_unasked(Caller::Primary, id, found, request, out)?;
        if let Some(error) = out.plain().filter(|reply| reply.first() == Some(&b'-')) {
            self.stats.unexpected_errors += 1;
            let error = self.config.shown_in_log(error.trim_ascii_end());
            let trouble = format!("The primary's '{}' was answered here with an error: {error}", entry.full_name);
            tracing::warn!("== CRITICAL == {trouble}");
            if self.config.propagation_error_behavior != PropagationError::Ignore && self.config.replica_read_only {
                let reason = format!("{trouble} (propagation-error-behavior is not 'ignore')");
                self.outbox.requests.push(HostRequest::Fail(reason));
                return Err("this server's data differ from the primary's".into());
            }
        }
        out.clear();
        if self.waiting.has_ready() {
            self.serve_waiting(None);
        }
        Ok(())
    }

    /// Bytes of the stream have been obeyed: they are this server's history, too, unless they are within a transaction.
    fn pass_on(&mut self, id: SessionId, bytes: &[u8]) {
        let in_transaction = self.sessions.find(id).is_some_and(|session| session.transaction.is_some());
        let Some(primary) = &mut self.primary else { return };
        if in_transaction {
            return primary.unfinished.extend_from_slice(bytes);
        }
        let mut whole = std::mem::take(&mut primary.unfinished);
        whole.extend_from_slice(bytes);
        self.keyspace.stream_db = self.sessions.find(id).map(|session| session.db);
        self.stats.primary_input_bytes += whole.len() as u64;
        self.go_on_with_history(&whole);
    }

    /// Up to where the stream is safe on the disk, where a log is kept.
    fn safe_offset(&mut self) -> Option<u64> {
        let (journaled, heard) = (self.journal.offset(), self.replication_offset());
        let primary = self.primary.as_mut().filter(|_| self.durability.is_on)?;
        let (journaled_then, heard_then) = primary.unsafe_until;
        if self.durability.synced >= journaled_then {
            primary.safe_until = heard_then;
            primary.unsafe_until = (journaled, heard);
        }
        Some(primary.safe_until)
    }

    /// Tells the primary how much of the stream was heard, and how much is safe on the disk where a log is kept.
    pub fn acknowledge_to_primary(&mut self) {
        let offset = self.replication_offset().to_string();
        let safe = self.safe_offset().map(|offset| offset.to_string());
        let mut words: Vec<&[u8]> = vec![b"REPLCONF", b"ACK", offset.as_bytes()];
        if let Some(safe) = &safe {
            words.extend([&b"FACK"[..], safe.as_bytes()]);
        }
        let mut request = Vec::new();
        write_header(&mut request, words.len());
        words.iter().for_each(|word| write_bulk(&mut request, word));
        self.say_to_primary(&request);
    }
}
