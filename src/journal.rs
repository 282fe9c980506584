//! The one ordered stream of everything that changed, encoded once as requests.
//!
//! Whoever keeps the data (the append-only file, replicas, a test that replays it) reads bytes from here by offset. An entry names its
//! database only where it differs from the entry's before; a transaction of more than one change is framed by MULTI and EXEC. Published
//! messages are for replicas alone: the log is given the bytes without them.

use std::ops::Range;

use crate::db::DbIndex;
use crate::resp::request::{Request, write_bulk, write_header};
use crate::util::number::IntegerText;

/// A turn of very many changes does not leave its room behind.
const ROOM_KEPT_MAX: usize = 64 * 1024;

#[derive(Default)]
pub struct Journal {
    /// Who reads it: nothing is recorded while nobody does.
    for_log: bool,
    for_replicas: bool,
    /// Whom a script lets hear of what it does.
    audience: Audience,
    bytes: Vec<u8>,
    /// Offset of the first byte in `bytes`.
    start: u64,
    /// Places in `bytes` that the log leaves out.
    replicas_only: Vec<Range<usize>>,
    /// Places that the replicas leave out.
    log_only: Vec<Range<usize>>,
    selected: Option<DbIndex>,
    /// EXEC or a script is running: its entries go between MULTI and EXEC.
    transaction: Transaction,
}

/// Who is to hear of a change (`redis.set_repl`).
#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub struct Audience {
    pub log: bool,
    pub replicas: bool,
}

impl Default for Audience {
    fn default() -> Self {
        Self { log: true, replicas: true }
    }
}

#[derive(Default, PartialEq, Eq, Clone, Copy, Debug)]
enum Transaction {
    #[default]
    None,
    /// Announced, nothing written yet.
    Pending,
    /// One change stands at this place in `bytes`, unframed: it is atomic by itself.
    One(usize),
    Open,
}

impl Journal {
    /// From now on changes are recorded for the log.
    pub fn open(&mut self) {
        self.for_log = true;
        self.selected = None;
    }

    /// The log reads no more.
    pub fn close(&mut self) {
        self.for_log = false;
        self.forget_if_unread();
    }

    /// From now on changes are recorded for replicas, and by name of their database first.
    pub fn open_for_replicas(&mut self) {
        self.for_replicas = true;
        self.selected = None;
    }

    pub fn close_for_replicas(&mut self) {
        self.for_replicas = false;
        self.forget_if_unread();
    }

    fn forget_if_unread(&mut self) {
        if !self.for_log && !self.for_replicas {
            *self = Self { start: self.offset(), ..Self::default() };
        }
    }

    #[inline]
    pub fn is_open(&self) -> bool {
        (self.for_log && self.audience.log) || (self.for_replicas && self.audience.replicas)
    }

    /// What happens from now on is recorded for these.
    pub fn speak_to(&mut self, audience: Audience) {
        self.audience = audience;
    }

    /// The offset behind the last byte recorded.
    pub fn offset(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// What follows is read apart from what came before: it names its database again.
    pub fn begin_part(&mut self) {
        self.selected = None;
    }

    /// What was recorded from this offset on and not taken yet.
    pub fn since(&self, offset: u64) -> &[u8] {
        let from = usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX);
        self.bytes.get(from..).unwrap_or_default()
    }

    /// The same without what is for the log alone.
    pub fn since_for_replicas(&self, offset: u64) -> Vec<u8> {
        let mut news = self.since(offset).to_vec();
        let from = self.bytes.len() - news.len();
        for left_out in self.log_only.iter().rev().filter(|range| range.start >= from) {
            news.drain(left_out.start - from..left_out.end - from);
        }
        news
    }

    /// Where the log does not read, what the replicas have been given is of no use any more.
    pub fn forget_what_replicas_have(&mut self) {
        if !self.for_log {
            self.start += self.bytes.len() as u64;
            self.bytes.clear();
            if self.bytes.capacity() > ROOM_KEPT_MAX {
                self.bytes = Vec::new();
            }
            self.replicas_only.clear();
            self.log_only.clear();
        }
    }

    /// Takes for the log what was recorded since the last call, into an empty buffer, which takes the other's place.
    pub fn take_into(&mut self, buffer: &mut Vec<u8>) {
        debug_assert!(buffer.is_empty(), "what was taken before is not lost");
        self.start += self.bytes.len() as u64;
        std::mem::swap(&mut self.bytes, buffer);
        for left_out in self.replicas_only.drain(..).rev() {
            buffer.drain(left_out);
        }
        self.log_only.clear();
    }

    /// Takes what was recorded since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.take_into(&mut bytes);
        bytes
    }

    /// Memory held by what was recorded and not taken yet.
    pub fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    pub fn has_bytes(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// What follows is one atomic change.
    pub fn begin_transaction(&mut self) {
        if (self.for_log || self.for_replicas) && self.transaction == Transaction::None {
            self.transaction = Transaction::Pending;
        }
    }

    pub fn end_transaction(&mut self) {
        if std::mem::take(&mut self.transaction) == Transaction::Open {
            self.write(&[b"EXEC"]);
        }
    }

    /// What was recorded of the transaction stays without its end, so that nobody replays it.
    pub fn abandon_transaction(&mut self) {
        self.frame();
        self.transaction = Transaction::None;
    }

    /// A transaction of one change gets its beginning, as there is more to come.
    #[inline]
    fn frame(&mut self) {
        let Transaction::One(place) = self.transaction else { return };
        let behind = self.bytes.split_off(place);
        self.write(&[b"MULTI"]);
        let shift = self.bytes.len() - place;
        self.bytes.extend_from_slice(&behind);
        let left_out = self.replicas_only.iter_mut().chain(&mut self.log_only);
        for left_out in left_out.filter(|range| range.start >= place) {
            *left_out = left_out.start + shift..left_out.end + shift;
        }
        self.transaction = Transaction::Open;
    }

    pub fn append(&mut self, db: DbIndex, request: Request) {
        if self.is_open() {
            self.begin_entry(db);
            let begin = self.bytes.len();
            self.write_request(request);
            if self.audience != Audience::default() {
                self.leave_out(begin..self.bytes.len());
            }
        }
    }

    /// What was just recorded is not for all who read.
    #[cold]
    fn leave_out(&mut self, place: Range<usize>) {
        if !self.audience.log && self.for_log {
            self.replicas_only.push(place);
        } else if !self.audience.replicas && self.for_replicas {
            self.log_only.push(place);
        }
    }

    /// What only replicas are to hear.
    pub fn append_for_replicas(&mut self, db: DbIndex, request: Request) {
        if self.for_replicas && self.audience.replicas {
            self.begin_entry(db);
            let begin = self.bytes.len();
            self.write_request(request);
            self.replicas_only.push(begin..self.bytes.len());
        }
    }

    fn begin_entry(&mut self, db: DbIndex) {
        self.frame();
        if self.selected != Some(db) {
            self.write(&[b"SELECT", IntegerText::unsigned(db as u64).as_bytes()]);
            self.selected = Some(db);
        }
        if self.transaction == Transaction::Pending {
            self.transaction = Transaction::One(self.bytes.len());
        }
    }

    fn write_request(&mut self, request: Request) {
        match request.framed() {
            // As nearly all requests come: one copy, nothing formatted.
            Some(bytes) => self.bytes.extend_from_slice(bytes),
            None => {
                write_header(&mut self.bytes, request.len());
                request.iter().for_each(|arg| write_bulk(&mut self.bytes, arg));
            }
        }
    }

    fn write(&mut self, args: &[&[u8]]) {
        write_header(&mut self.bytes, args.len());
        args.iter().for_each(|arg| write_bulk(&mut self.bytes, arg));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::request::OwnedRequest;

    fn append(journal: &mut Journal, words: &str) {
        journal.append(0, OwnedRequest::from_args(words.split(' ')).borrow());
    }

    fn publish(journal: &mut Journal, words: &str) {
        journal.append_for_replicas(0, OwnedRequest::from_args(words.split(' ')).borrow());
    }

    /// The words of a stream.
    fn words(bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        text.split("\r\n")
            .filter(|line| !line.is_empty() && !line.starts_with(['*', '$']))
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn taken(journal: &mut Journal) -> String {
        words(&journal.take())
    }

    #[test]
    fn a_transaction_of_one_change_needs_no_frame() {
        let mut journal = Journal::default();
        journal.open();
        for (changes, expected) in [("", ""), ("A", "SELECT 0 A"), ("A B C", "MULTI A B C EXEC")] {
            journal.begin_transaction();
            changes.split(' ').filter(|word| !word.is_empty()).for_each(|word| append(&mut journal, word));
            journal.end_transaction();
            assert_eq!(taken(&mut journal), expected);
        }
        journal.begin_transaction();
        append(&mut journal, "A");
        journal.abandon_transaction();
        assert_eq!(taken(&mut journal), "MULTI A");
    }

    #[test]
    fn a_script_chooses_who_hears() {
        let mut journal = Journal::default();
        journal.open();
        journal.open_for_replicas();
        let begin = journal.offset();
        journal.begin_transaction();
        for (log, replicas, text) in
            [(true, false, "LOG"), (false, true, "REPLICAS"), (false, false, "NOBODY"), (true, true, "ALL")]
        {
            journal.speak_to(Audience { log, replicas });
            append(&mut journal, text);
        }
        journal.end_transaction();
        assert_eq!(words(&journal.since_for_replicas(begin)), "SELECT 0 MULTI REPLICAS ALL EXEC");
        assert_eq!(taken(&mut journal), "SELECT 0 MULTI LOG ALL EXEC");
        append(&mut journal, "MORE");
        assert_eq!(words(&journal.since_for_replicas(begin)), "MORE");
    }

    #[test]
    fn messages_are_for_replicas_alone() {
        let mut journal = Journal::default();
        journal.open();
        publish(&mut journal, "PUBLISH a b");
        assert!(!journal.has_bytes(), "nobody would read it");
        journal.open_for_replicas();
        let begin = journal.offset();
        journal.begin_transaction();
        publish(&mut journal, "PUBLISH a 1");
        append(&mut journal, "SET k v");
        publish(&mut journal, "PUBLISH a 2");
        journal.end_transaction();
        publish(&mut journal, "PUBLISH a 3");
        append(&mut journal, "DEL k");
        assert_eq!(
            words(journal.since(begin)),
            "SELECT 0 MULTI PUBLISH a 1 SET k v PUBLISH a 2 EXEC PUBLISH a 3 DEL k"
        );
        assert_eq!(taken(&mut journal), "SELECT 0 MULTI SET k v EXEC DEL k");
        assert_eq!(words(journal.since(begin)), "");
        journal.close();
        append(&mut journal, "SET k w");
        let offset = journal.offset();
        journal.forget_what_replicas_have();
        assert_eq!((journal.offset(), journal.has_bytes()), (offset, false));
    }
}
