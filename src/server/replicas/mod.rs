//! Replicas of this server: they get an image of the data set, then every change in the journal's own words.
//!
//! ```text
//!   PSYNC ──► Queued ──► Collecting ──► Sending ──► Online             an old history that is still in the backlog: ──► Online
//!                        a snapshot     its file,   the stream as
//!                        is taken       in parts    it comes
//! ```
//!
//! The stream is the journal with a few words for replicas only (PING, GETACK, published messages), counted in bytes since the history
//! began; what comes while a replica has not got its snapshot yet waits in its `Link`. A snapshot is the one of `db::snapshot`, into a file
//! that everybody reads who waited for it. Where this server follows a primary itself (`primary`), the stream is that one's, byte for byte.

mod backlog;

use std::collections::VecDeque;
use std::io::Read;
use std::path::PathBuf;

use bytes::Bytes;

use super::session::{Session, SessionId};
use super::{Closing, HostRequest, Server};
use crate::persist::rdb::write::{self, Facts, Writer};
use crate::persist::snapshot::Outcome;
use crate::resp::request::{write_bulk, write_header};
use crate::types::codec::Chunk;
use backlog::Backlog;

/// What a session that is a replica, or says that it will be one, has told, and how far it has got.
#[derive(Default)]
pub struct Link {
    pub state: State,
    /// Where it serves clients, as it says itself.
    pub address: String,
    pub port: u16,
    /// Understands that the history may go on by another name.
    pub knows_psync2: bool,
    /// Came by PSYNC, and acknowledges what it gets; one that came by SYNC does not.
    pub acknowledges: bool,
    pub wants: Wants,
    /// Offset of the stream up to which it has everything.
    pub acknowledged: u64,
    /// The same as far as it is safe on its disk.
    pub acknowledged_on_disk: u64,
    /// When it was last heard (monotonic microseconds).
    pub heard_us: u64,
    /// The stream since its snapshot was begun.
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
}

/// Parts of what a replica gets that it may not want.
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wants {
    /// No stream behind the snapshot.
    pub snapshot_only: bool,
    pub no_keys: bool,
    pub no_functions: bool,
}

#[derive(Default)]
pub enum State {
    /// It has only told of itself.
    #[default]
    Announced,
    /// For the next snapshot.
    Queued,
    /// Its snapshot is being taken.
    Collecting,
    Sending {
        file: Box<dyn Read + Send>,
        left: u64,
    },
    Online,
    /// It has the snapshot it wanted, and nothing else.
    Served,
}

#[derive(Default)]
pub struct Replicas {
    /// Sessions that are replicas.
    links: Vec<SessionId>,
    backlog: Option<Backlog>,
    /// Where the stream is while there is no backlog.
    ended_at: u64,
    /// What the history was called before, and the first offset that was not that one's any more.
    earlier: Option<(String, u64)>,
    /// The journal has been passed on up to here.
    fed: u64,
    /// What the stream has and the journal has not: the journal's offset where it was put in, and the stream's behind it.
    interludes: VecDeque<(u64, u64)>,
    /// The snapshot that is being taken for them.
    snapshot: Option<PathBuf>,
    /// Who waits until so many replicas have the stream up to an offset (WAIT).
    waiting: Vec<Waiter>,
    wants_acknowledgements: bool,
    last_ping_us: u64,
    last_newline_us: u64,
    /// Since when there is no replica.
    alone_since_us: u64,
}

struct Waiter {
    session: SessionId,
    replicas: usize,
    offset: u64,
}

/// A piece of the stream that all outputs share is no longer than this: the allocator has blocks of just that size.
const PIECE_BYTES: usize = 16 * 1024;
/// So much of a snapshot's file is on its way at a time.
const PART_BYTES: u64 = 256 * 1024;
/// Of so many the places are remembered. Who wrote before them has been acknowledged long since.
const INTERLUDES_MAX: usize = 1024;
const SECOND_US: u64 = 1_000_000;

impl Link {
    pub fn is_sending(&self) -> bool {
        matches!(self.state, State::Sending { .. })
    }

    fn is_waiting(&self) -> bool {
        matches!(self.state, State::Queued | State::Collecting)
    }

    pub fn is_online(&self) -> bool {
        matches!(self.state, State::Online)
    }

    /// As INFO calls it.
    fn word(&self) -> Option<&'static str> {
        match self.state {
            State::Queued | State::Collecting => Some("wait_bgsave"),
            State::Sending { .. } => Some("send_bulk"),
            State::Online => Some("online"),
            State::Announced | State::Served => None,
        }
    }

    /// Bytes that its output is to be measured by: the file is not the replica's fault.
    pub fn burden(&self, output: usize) -> usize {
        if self.is_sending() { self.waiting_bytes } else { self.waiting_bytes + output }
    }

    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.waiting_bytes
    }
}

impl Session {
    /// It has asked for the stream, and gets nothing else.
    pub fn is_replica(&self) -> bool {
        self.replica.as_ref().is_some_and(|link| !matches!(link.state, State::Announced))
    }
}

/// A replica as INFO and ROLE tell of it.
pub struct Told<'a> {
    pub address: &'a str,
    pub port: u16,
    pub state: &'static str,
    pub acknowledged: u64,
    pub lag_s: u64,
}

impl Server {
    pub fn replicas_count(&self) -> usize {
        self.replicas.links.len()
    }

    pub fn replicas_told(&self) -> impl Iterator<Item = Told<'_>> {
        let now_us = self.clock.monotonic_us;
        self.replicas.links.iter().filter_map(move |&id| {
            let session = self.sessions.get(id);
            let link = session.replica.as_ref()?;
            let host = session.peer.address.rsplit_once(':').map_or("", |(host, _)| host);
            Some(Told {
                address: if link.address.is_empty() { host } else { &link.address },
                port: link.port,
                state: link.word()?,
                acknowledged: link.acknowledged,
                lag_s: now_us.saturating_sub(link.heard_us) / SECOND_US,
            })
        })
    }

    /// What waits to be sent to replicas: no key has to go for that, since it would have to be sent that it has gone. O(replicas).
    pub fn replicas_memory(&self) -> u64 {
        let waits = |&id: &SessionId| {
            let session = self.sessions.get(id);
            session.output.memory() + session.replica.as_ref().map_or(0, |link| link.memory())
        };
        let backlog = self.replicas.backlog.as_ref().map_or(0, Backlog::memory) as u64;
        let ordered = u64::try_from(self.config.repl_backlog_size).unwrap_or(0);
        self.replicas.links.iter().map(waits).sum::<usize>() as u64 + backlog.saturating_sub(ordered)
    }

    /// Where the stream is.
    pub fn replication_offset(&self) -> u64 {
        self.replicas.backlog.as_ref().map_or(self.replicas.ended_at, Backlog::end)
    }

    /// The first offset that is kept for those who come back, and how many bytes.
    pub fn replication_backlog(&self) -> Option<(u64, u64)> {
        self.replicas.backlog.as_ref().map(|backlog| (backlog.first() + 1, backlog.len()))
    }

    /// Replicas that have been heard of lately, as `min-replicas-to-write` counts them.
    pub fn good_replicas(&self) -> usize {
        let lag_max_s = u64::try_from(self.config.min_replicas_max_lag).unwrap_or(0);
        let now_us = self.clock.monotonic_us;
        let is_good = |link: &Link| link.is_online() && now_us.saturating_sub(link.heard_us) / SECOND_US <= lag_max_s;
        self.replica_links().filter(|link| is_good(link)).count()
    }

    /// Fewer good replicas are there than `min-replicas-to-write` wants.
    pub fn lacks_replicas(&self) -> bool {
        let wanted = usize::try_from(self.config.min_replicas_to_write).unwrap_or(0);
        wanted > 0 && !self.is_replica() && self.good_replicas() < wanted
    }

    fn replica_links(&self) -> impl Iterator<Item = &Link> {
        self.replicas.links.iter().filter_map(|&id| self.sessions.get(id).replica.as_deref())
    }

    /// A session wants to be a replica, where it has a history already from the end of that. `history` names it.
    pub fn begin_sync(&mut self, id: SessionId, history: Option<(&[u8], u64)>) {
        let now_us = self.clock.monotonic_us;
        let session = self.sessions.get_mut(id);
        let link = session.replica.get_or_insert_default();
        link.heard_us = now_us;
        self.replicas.links.push(id);
        let address = session.peer.address.clone();
        if self.config.repl_disable_tcp_nodelay {
            self.outbox.requests.push(HostRequest::DelaySmallPackets(id));
        }
        // What was journaled until now is in its snapshot, or in the backlog.
        self.feed_replicas();
        if let Some((name, offset)) = history
            && self.continue_history(id, name, offset)
        {
            return;
        }
        tracing::info!("Replica {address} asks for synchronization");
        self.begin_history();
        self.set_replica_state(id, State::Queued);
        self.begin_snapshot_for_replicas();
    }

    /// True where the backlog has all that a replica has missed.
    fn continue_history(&mut self, id: SessionId, name: &[u8], offset: u64) -> bool {
        let is_earlier = |(earlier, end): &(String, u64)| name == earlier.as_bytes() && offset <= *end;
        let is_known = name == self.replication_id.as_bytes() || self.replicas.earlier.as_ref().is_some_and(is_earlier);
        let wanted = offset.checked_sub(1).filter(|_| is_known);
        let pieces = self.replicas.backlog.as_ref().zip(wanted).and_then(|(backlog, wanted)| backlog.from(wanted));
        let Some(pieces) = pieces else {
            self.stats.partial_syncs_refused += u64::from(name != b"?");
            return false;
        };
        self.stats.partial_syncs += 1;
        tracing::info!("Partial resynchronization request accepted from offset {offset}");
        let session = self.sessions.get_mut(id);
        let knows_psync2 = session.replica.as_ref().is_some_and(|link| link.knows_psync2);
        let answer =
            if knows_psync2 { format!("+CONTINUE {}\r\n", self.replication_id) } else { "+CONTINUE\r\n".into() };
        session.output.push(answer.as_bytes());
        pieces.into_iter().for_each(|piece| session.output.push_shared(piece));
        self.flush_later(id);
        self.set_replica_state(id, State::Online);
        true
    }

    fn set_replica_state(&mut self, id: SessionId, state: State) {
        if let Some(link) = &mut self.sessions.get_mut(id).replica {
            link.state = state;
        }
    }

    /// The first replica has come: a history begins.
    fn begin_history(&mut self) {
        if self.replicas.backlog.is_some() {
            return;
        }
        self.change_replication_id();
        self.replicas.backlog = Some(Backlog::new(self.replicas.ended_at));
        self.replicas.last_ping_us = self.clock.monotonic_us;
        self.replicas.fed = self.journal.offset();
        self.replicas.interludes = VecDeque::from([(self.replicas.fed, self.replicas.ended_at)]);
        self.journal.open_for_replicas();
    }

    fn end_history(&mut self) {
        self.feed_replicas();
        self.replicas.ended_at = self.replication_offset();
        self.replicas.backlog = None;
        self.journal.close_for_replicas();
    }

    /// Passes on what was journaled since the last time. Called at the end of every turn, and before anybody takes the journal's bytes.
    #[inline]
    pub fn feed_replicas(&mut self) {
        if self.replicas.backlog.is_some() {
            self.feed_now();
        }
    }

    fn feed_now(&mut self) {
        if self.is_replica() {
            // What is journaled here is for the log; replicas hear the primary's own words.
            self.replicas.fed = self.journal.offset();
            return;
        }
        let journaled = self.journal.offset() - self.replicas.fed;
        if journaled > 0 {
            let news = self.journal.since_for_replicas(self.replicas.fed);
            let is_all = news.len() as u64 == journaled;
            self.replicas.fed = self.journal.offset();
            self.journal.forget_what_replicas_have();
            if is_all {
                self.spread(&news);
            } else {
                // From here on the stream is as much shorter than the journal.
                self.put_in(&news);
            }
        }
        if std::mem::take(&mut self.replicas.wants_acknowledgements) {
            self.put_in(&request(&[b"REPLCONF", b"GETACK", b"*"]));
        }
    }

    /// What the history was called before, and the first offset of the stream that was not that one's any more.
    pub fn earlier_history(&self) -> Option<(&str, u64)> {
        self.replicas.earlier.as_ref().map(|(name, end)| (name.as_str(), *end))
    }

    /// The data set is a primary's: its history is this server's from here on.
    pub(super) fn adopt_history(&mut self, name: String, offset: u64) {
        self.replication_id = name;
        self.replicas.earlier = None;
        self.replicas.backlog = Some(Backlog::new(offset));
        self.replicas.fed = self.journal.offset();
        self.replicas.interludes.clear();
    }

    /// The primary goes on with the history under another name. Replicas come back to learn of it.
    pub(super) fn follow_branch(&mut self, name: String) {
        let end = self.replication_offset() + 1;
        self.replicas.earlier = Some((std::mem::replace(&mut self.replication_id, name), end));
        self.close_replicas();
    }

    /// This server follows nobody any more, and goes on with the history under a name of its own.
    pub(super) fn branch_off(&mut self) {
        let end = self.replication_offset();
        self.replicas.earlier = Some((self.replication_id.clone(), end + 1));
        self.change_replication_id();
        self.keyspace.stream_db = None;
        if self.replicas.backlog.is_some() {
            self.journal.open_for_replicas();
            self.replicas.fed = self.journal.offset();
            self.replicas.interludes = VecDeque::from([(self.replicas.fed, end)]);
            (self.replicas.last_ping_us, self.replicas.alone_since_us) =
                (self.clock.monotonic_us, self.clock.monotonic_us);
        }
    }

    /// The stream of the primary has come so much further.
    pub(super) fn go_on_with_history(&mut self, bytes: &[u8]) {
        self.spread(bytes);
    }

    /// What was recorded so far is not what led to the data: nobody can go on from it.
    pub(super) fn forget_history(&mut self) {
        if self.replicas.backlog.is_some() {
            self.end_history();
        }
    }

    pub(super) fn close_replicas(&mut self) {
        for id in self.replicas.links.clone() {
            self.close(id, Closing::AtOnce);
        }
    }

    /// A word to the replicas that no journal has.
    fn put_in(&mut self, piece: &[u8]) {
        self.spread(piece);
        let (place, behind) = (self.replicas.fed, self.replication_offset());
        match self.replicas.interludes.back_mut() {
            Some(last) if last.0 == place => last.1 = behind,
            _ => self.replicas.interludes.push_back((place, behind)),
        }
        if self.replicas.interludes.len() > INTERLUDES_MAX {
            self.replicas.interludes.pop_front();
        }
    }

    /// Gives everybody the next piece of the stream.
    fn spread(&mut self, bytes: &[u8]) {
        bytes.chunks(PIECE_BYTES).for_each(|piece| self.spread_piece(Bytes::copy_from_slice(piece)));
    }

    fn spread_piece(&mut self, piece: Bytes) {
        // Whoever lags too far behind is closed on the way.
        for id in self.replicas.links.clone() {
            let session = self.sessions.get_mut(id);
            let Some(link) = &mut session.replica else { continue };
            match link.state {
                State::Announced | State::Queued | State::Served => continue,
                State::Collecting | State::Sending { .. } => {
                    link.waiting_bytes += piece.len();
                    link.waiting.push(piece.clone());
                }
                State::Online => {
                    session.output.push_payload(piece.clone());
                    self.flush_later(id);
                }
            }
            self.limit_output(id);
        }
        let bytes_max = u64::try_from(self.config.repl_backlog_size).unwrap_or(0);
        if let Some(backlog) = &mut self.replicas.backlog {
            backlog.push(&piece, bytes_max);
        }
    }

    /// Begins a snapshot for those who wait for one, unless another is on.
    fn begin_snapshot_for_replicas(&mut self) {
        let queued = self.in_state(|state| matches!(state, State::Queued));
        let (filtered, queued): (Vec<_>, Vec<_>) = queued.into_iter().partition(|&id| self.is_filtered(id));
        filtered.into_iter().for_each(|id| self.send_filtered_snapshot(id));
        if queued.is_empty() || !self.may_begin_snapshot() || self.durability.is_loading() {
            return;
        }
        let libraries = self.scripts.functions.sources();
        let now_ms = self.now_ms();
        match self.host.begin_save(&self.config, &self.keyspace, libraries, now_ms, None) {
            Ok((sink, path)) => {
                tracing::info!("Starting a snapshot for {} replica(s)", queued.len());
                self.keyspace.begin_snapshot(sink);
                self.replicas.snapshot = Some(path);
            }
            Err(text) => {
                tracing::warn!("No snapshot for replicas: {text}");
                return queued.into_iter().for_each(|id| self.close(id, Closing::AtOnce));
            }
        }
        for id in queued {
            self.answer_full_sync(id);
            self.set_replica_state(id, State::Collecting);
        }
    }

    /// Whether no snapshot is on, and none is still on its way to the disk by the host's one thread for them.
    pub fn may_begin_snapshot(&self) -> bool {
        !self.keyspace.has_snapshot() && !self.saving.is_running() && self.replicas.snapshot.is_none()
    }

    /// The stream behind a snapshot of this moment begins with the name of its database.
    fn answer_full_sync(&mut self, id: SessionId) {
        self.feed_replicas();
        self.journal.begin_part();
        self.stats.full_syncs += 1;
        let answer = format!("+FULLRESYNC {} {}\r\n", self.replication_id, self.replication_offset());
        let session = self.sessions.get_mut(id);
        if session.replica.as_ref().is_some_and(|link| link.acknowledges) {
            session.output.push(answer.as_bytes());
            self.flush_later(id);
        }
    }

    fn is_filtered(&self, id: SessionId) -> bool {
        self.sessions.get(id).replica.as_ref().is_some_and(|link| link.wants.no_keys)
    }

    /// Without keys a snapshot is a matter of a moment.
    fn send_filtered_snapshot(&mut self, id: SessionId) {
        self.answer_full_sync(id);
        let no_functions = self.sessions.get(id).replica.as_ref().is_some_and(|link| link.wants.no_functions);
        let bytes = self.snapshot_without_keys(!no_functions);
        let session = self.sessions.get_mut(id);
        session.output.push(format!("${}\r\n", bytes.len()).as_bytes());
        session.output.push(&bytes);
        self.flush_later(id);
        self.go_online(id);
    }

    fn snapshot_without_keys(&self, functions: bool) -> Vec<u8> {
        let mut chunk = Chunk::new(self.config.rdbcompression);
        let facts = Facts {
            version: self.snapshot_version(),
            compatible_with: &self.config.compat_version.to_string(),
            unix_s: self.now_ms() / 1000,
            used_memory: crate::util::memory::used(),
            is_aof_base: false,
        };
        write::start(&mut chunk, &facts);
        for source in self.scripts.functions.sources().iter().filter(|_| functions) {
            write::function(&mut chunk, source);
        }
        write::end(&mut chunk);
        let mut writer = Writer::new(Vec::new(), self.config.rdbchecksum);
        // A vector takes everything.
        let _ = writer.write(&chunk);
        writer.finish().unwrap_or_default()
    }

    fn in_state(&self, is_it: impl Fn(&State) -> bool) -> Vec<SessionId> {
        let is_in = |id: &&SessionId| self.sessions.get(**id).replica.as_ref().is_some_and(|link| is_it(&link.state));
        self.replicas.links.iter().filter(is_in).copied().collect()
    }

    /// Takes notice of the end of the snapshot for replicas. O(1): called every turn.
    pub fn hear_of_snapshot_for_replicas(&mut self) {
        if self.replicas.snapshot.is_none() {
            return;
        }
        let Some(outcome) = self.host.save_outcome() else { return };
        let Some(path) = self.replicas.snapshot.take() else { return };
        let collecting = self.in_state(|state| matches!(state, State::Collecting));
        match outcome {
            Outcome::Finished { bytes } => {
                tracing::info!("The snapshot for replicas is complete: {bytes} bytes");
                collecting.into_iter().for_each(|id| self.begin_sending(id, &path, bytes));
            }
            Outcome::Failed(failure) => {
                self.keyspace.give_up_snapshot(&mut self.garbage);
                tracing::warn!("No snapshot for replicas: {}", failure.text);
                collecting.into_iter().for_each(|id| self.close(id, Closing::AtOnce));
            }
        }
        // Who reads it has it open.
        if let Some(disk) = self.host.disk() {
            let _ = disk.remove(&path);
        }
        self.begin_snapshot_for_replicas();
    }

    fn begin_sending(&mut self, id: SessionId, path: &std::path::Path, bytes: u64) {
        match self.host.disk().map(|disk| disk.open(path)) {
            Some(Ok(file)) => {
                self.sessions.get_mut(id).output.push(format!("${bytes}\r\n").as_bytes());
                self.set_replica_state(id, State::Sending { file, left: bytes });
                self.send_more(id);
            }
            Some(Err(error)) => {
                tracing::warn!("No snapshot for a replica: {error} (open {})", path.display());
                self.close(id, Closing::AtOnce);
            }
            None => self.close(id, Closing::AtOnce),
        }
    }

    /// Puts the next part of its snapshot into a replica's output, where that has room.
    pub fn send_more(&mut self, id: SessionId) {
        let session = self.sessions.get_mut(id);
        let Some(link) = &mut session.replica else { return };
        let State::Sending { file, left } = &mut link.state else { return };
        if session.output.len() as u64 >= PART_BYTES {
            return;
        }
        let mut part = Vec::new();
        let read = file.take((*left).min(PART_BYTES)).read_to_end(&mut part);
        if read.is_err() || part.is_empty() && *left > 0 {
            tracing::warn!("The snapshot for a replica cannot be read: {read:?}");
            return self.close(id, Closing::AtOnce);
        }
        *left -= part.len() as u64;
        let is_done = *left == 0;
        session.output.push_payload(part.into());
        self.flush_later(id);
        if is_done {
            self.go_online(id);
        }
    }

    /// The snapshot is on its way whole; behind it comes the stream.
    fn go_online(&mut self, id: SessionId) {
        let now_us = self.clock.monotonic_us;
        let session = self.sessions.get_mut(id);
        let Some(link) = &mut session.replica else { return };
        link.heard_us = now_us;
        link.waiting_bytes = 0;
        let waiting = std::mem::take(&mut link.waiting);
        if link.wants.snapshot_only {
            link.state = State::Served;
            return;
        }
        link.state = State::Online;
        waiting.into_iter().for_each(|piece| session.output.push_payload(piece));
        tracing::info!("Synchronization with replica {} succeeded", session.peer.address);
        self.flush_later(id);
        self.limit_output(id);
    }

    /// A replica tells how far it has got.
    pub fn acknowledge(&mut self, id: SessionId, offset: u64, on_disk: Option<u64>) {
        let now_us = self.clock.monotonic_us;
        let Some(link) = self.sessions.get_mut(id).replica.as_mut() else { return };
        link.heard_us = now_us;
        link.acknowledged = link.acknowledged.max(offset);
        link.acknowledged_on_disk = link.acknowledged_on_disk.max(on_disk.unwrap_or(0));
        for waiter in std::mem::take(&mut self.replicas.waiting) {
            let waits = self.sessions.find(waiter.session).is_some_and(|session| session.blocked.is_some());
            if waits && self.replicas_with(waiter.offset) >= waiter.replicas {
                self.resume_apart(waiter.session);
            } else if waits {
                self.replicas.waiting.push(waiter);
            }
        }
    }

    fn replicas_with(&self, offset: u64) -> usize {
        self.replica_links().filter(|link| link.is_online() && link.acknowledged >= offset).count()
    }

    /// The stream's offset behind a session's last write.
    fn wrote_until(&self, id: SessionId) -> u64 {
        let wrote_until = self.sessions.get(id).wrote_until;
        let before = self.replicas.interludes.iter().rev().find(|(place, _)| *place < wrote_until);
        before.map_or(0, |(place, behind)| behind + wrote_until - place)
    }

    /// How many replicas have all that a session has written.
    pub fn acknowledged_by(&self, id: SessionId) -> usize {
        self.replicas_with(self.wrote_until(id))
    }

    /// The session waits until so many replicas have all that it has written; they are asked.
    pub fn wait_for_replicas(&mut self, id: SessionId, replicas: usize) {
        let offset = self.wrote_until(id);
        self.replicas.waiting.retain(|waiter| waiter.session != id);
        self.replicas.waiting.push(Waiter { session: id, replicas, offset });
        self.ask_for_acknowledgements();
    }

    pub(super) fn ask_for_acknowledgements(&mut self) {
        self.replicas.wants_acknowledgements = self.replicas.backlog.is_some();
    }

    /// Replicas that have not said that they have the stream up to there, in whatever state they are.
    pub(super) fn replicas_behind(&self, offset: u64) -> usize {
        self.replica_links().filter(|link| link.acknowledged < offset).count()
    }

    /// The session is gone.
    pub(super) fn forget_replica(&mut self, id: SessionId) {
        self.replicas.waiting.retain(|waiter| waiter.session != id);
        if !self.replicas.links.contains(&id) {
            return;
        }
        self.replicas.links.retain(|link| *link != id);
        self.sessions.get_mut(id).replica = None;
        tracing::info!("Connection with replica {} lost.", self.sessions.get(id).peer.address);
        self.replicas.alone_since_us = self.clock.monotonic_us;
        if self.in_state(|state| matches!(state, State::Collecting)).is_empty() {
            self.give_up_snapshot_for_replicas();
        }
    }

    /// Nobody wants the snapshot for replicas any more.
    pub fn give_up_snapshot_for_replicas(&mut self) {
        if self.replicas.snapshot.take().is_some() {
            self.keyspace.give_up_snapshot(&mut self.garbage);
            self.host.give_up_save();
        }
    }

    /// Upkeep: signs of life, time-outs, and the end of a history that nobody has asked for in a long time.
    pub(super) fn tick_replicas(&mut self) {
        if self.replicas.backlog.is_none() {
            return;
        }
        let now_us = self.clock.monotonic_us;
        let after = |seconds: i64| u64::try_from(seconds).unwrap_or(0) * SECOND_US;
        if self.replicas.links.is_empty() {
            let patience_us = after(self.config.repl_backlog_ttl);
            // A replica needs it to become a primary that the others can follow.
            if patience_us > 0
                && !self.is_replica()
                && now_us.saturating_sub(self.replicas.alone_since_us) > patience_us
            {
                tracing::info!("Replication backlog freed: no replica has come for {patience_us} us");
                self.end_history();
            }
            return;
        }
        self.begin_snapshot_for_replicas();
        let period_us = after(self.config.repl_ping_replica_period.into());
        let pings = !self.is_replica() && !self.ending.is_waiting();
        if pings && now_us.saturating_sub(self.replicas.last_ping_us) >= period_us {
            self.replicas.last_ping_us = now_us;
            self.feed_replicas();
            self.put_in(&request(&[b"PING"]));
        }
        if now_us.saturating_sub(self.replicas.last_newline_us) >= SECOND_US {
            self.replicas.last_newline_us = now_us;
            for id in self.in_state(|state| matches!(state, State::Queued | State::Collecting)) {
                self.sessions.get_mut(id).output.push(b"\n");
                self.flush_later(id);
            }
        }
        let patience_us = after(self.config.repl_timeout.into());
        for id in self.replicas.links.clone() {
            let Some(link) = &self.sessions.get(id).replica else { continue };
            let is_bound = !link.is_waiting() && !link.is_sending() && (link.acknowledges || !link.is_online());
            if is_bound && now_us.saturating_sub(link.heard_us) > patience_us {
                tracing::warn!("Disconnecting timedout replica: {}", self.sessions.get(id).peer.address);
                self.close(id, Closing::AtOnce);
            }
        }
    }
}

/// A request as the stream has it.
fn request(args: &[&[u8]]) -> Bytes {
    let mut bytes = Vec::new();
    write_header(&mut bytes, args.len());
    args.iter().for_each(|arg| write_bulk(&mut bytes, arg));
    bytes.into()
}
