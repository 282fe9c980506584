//! A data set as the requests that make it: the base of a log without `aof-use-rdb-preamble`.
//!
//! Each record becomes a few requests of bounded length, which either server can run. What XCLAIM cannot say is lost here, as it is in
//! Redis: entries that are pending and were deleted from their stream.

use std::io::{self, Write};

use crate::db::DbIndex;
use crate::resp::request::{write_bulk, write_header};
use crate::types::hash::Hash;
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::stream::{Group, Stream, StreamBox, StreamId};
use crate::types::value::{self, RecordRef};
use crate::types::zset::Zset;
use crate::util::float::write_f64_in_17_digits;

/// Elements of a collection in one request.
const ELEMENTS_MAX: usize = 64;

/// What is gathered before it is written.
const GATHERED_BYTES: usize = 256 * 1024;

/// Writes requests, some at a time. What goes wrong is told by `flush`.
pub struct Requests<W> {
    output: W,
    gathered: Vec<u8>,
    /// Bytes that the output has taken.
    bytes: u64,
    failure: Option<io::Error>,
}

impl<W: Write> Requests<W> {
    pub fn new(output: W) -> Self {
        Self { output, gathered: Vec::new(), bytes: 0, failure: None }
    }

    /// The second in which all that follows was so.
    pub fn time(&mut self, unix_s: u64) {
        self.gathered.extend_from_slice(format!("#TS:{unix_s}\r\n").as_bytes());
    }

    /// The request that makes a library of functions.
    pub fn function(&mut self, source: &[u8]) {
        self.request(&[b"FUNCTION", b"LOAD", source]);
    }

    /// What follows is about this database.
    pub fn database(&mut self, db: DbIndex) {
        self.request(&[b"SELECT", db.to_string().as_bytes()]);
    }

    /// The requests that make one record. O(record).
    pub fn record(&mut self, record: RecordRef<'_>) {
        let key = record.key();
        if let Some(string) = value::string(&record) {
            self.request(&[b"SET", key, &string.to_vec()]);
        } else if let Some(list) = record.get::<List>() {
            write_elements(self, b"RPUSH", key, 1, list.iter().map(|item| item.to_vec()));
        } else if let Some(set) = record.get::<Set>() {
            write_elements(self, b"SADD", key, 1, set.iter().map(|item| item.to_vec()));
        } else if let Some(zset) = record.get::<Zset>() {
            let pairs = zset.iter().flat_map(|entry| [score(entry.score), entry.member.to_vec()]);
            write_elements(self, b"ZADD", key, 2, pairs);
        } else if let Some(hash) = record.get::<Hash>() {
            write_hash(self, key, hash);
        } else if let Some(stream) = record.get::<StreamBox>() {
            write_stream(self, key, stream);
        }
        if let Some(deadline) = record.deadline() {
            self.request(&[b"PEXPIREAT", key, deadline.to_string().as_bytes()]);
        }
    }

    fn request(&mut self, args: &[&[u8]]) {
        write_header(&mut self.gathered, args.len());
        args.iter().for_each(|arg| write_bulk(&mut self.gathered, arg));
        self.pass_on(GATHERED_BYTES);
    }

    /// Writes what was gathered, where it is so much.
    fn pass_on(&mut self, least: usize) {
        if self.gathered.len() < least || self.failure.is_some() {
            return;
        }
        match self.output.write_all(&self.gathered) {
            Ok(()) => self.bytes += self.gathered.len() as u64,
            Err(error) => self.failure = Some(error),
        }
        self.gathered.clear();
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn output(&self) -> &W {
        &self.output
    }

    pub fn into_output(self) -> W {
        self.output
    }

    /// Everything is written when this returns.
    pub fn flush(&mut self) -> io::Result<()> {
        self.pass_on(0);
        self.failure.take().map_or(Ok(()), Err)
    }

    /// What has gone wrong by now.
    pub fn check(&mut self) -> io::Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }
}

/// `words` of them make one element.
fn write_elements<W: Write>(
    out: &mut Requests<W>,
    name: &[u8],
    key: &[u8],
    words: usize,
    mut elements: impl Iterator<Item = Vec<u8>>,
) {
    loop {
        let some: Vec<Vec<u8>> = elements.by_ref().take(ELEMENTS_MAX * words).collect();
        if some.is_empty() {
            return;
        }
        let words: Vec<&[u8]> = [name, key].into_iter().chain(some.iter().map(Vec::as_slice)).collect();
        out.request(&words);
    }
}

fn score(score: f64) -> Vec<u8> {
    let mut text = Vec::new();
    write_f64_in_17_digits(&mut text, score);
    text
}

fn write_hash<W: Write>(out: &mut Requests<W>, key: &[u8], hash: &Hash) {
    // Lapsed fields are there too: the requests behind this base may speak of them.
    let entries = || hash.iter(0);
    write_elements(out, b"HSET", key, 2, entries().flat_map(|entry| [entry.field.to_vec(), entry.value.to_vec()]));
    for entry in entries() {
        if let Some(deadline) = entry.deadline {
            let (field, deadline) = (entry.field.to_vec(), deadline.to_string());
            out.request(&[b"HPEXPIREAT", key, deadline.as_bytes(), b"FIELDS", b"1", &field]);
        }
    }
}

fn write_stream<W: Write>(out: &mut Requests<W>, key: &[u8], stream: &Stream) {
    let log = stream.log();
    let history = log.history();
    let last = history.last_id.to_string();
    if log.is_empty() {
        // There is no other request that makes an empty stream without a group.
        let first = if history.last_id == StreamId::MIN { "0-1" } else { last.as_str() };
        out.request(&[b"XADD", key, b"MAXLEN", b"0", first.as_bytes(), b"x", b"y"]);
    }
    for entry in log.range(StreamId::MIN, StreamId::MAX) {
        let fields: Vec<(&[u8], &[u8])> = entry.fields.collect();
        let id = entry.id.to_string();
        let pairs = fields.into_iter().flat_map(|(name, value)| [name, value]);
        let words: Vec<&[u8]> = [&b"XADD"[..], key, id.as_bytes()].into_iter().chain(pairs).collect();
        out.request(&words);
    }
    let (added, deleted) = (history.entries_added.to_string(), history.max_deleted_id.to_string());
    let words: [&[u8]; 7] =
        [b"XSETID", key, last.as_bytes(), b"ENTRIESADDED", added.as_bytes(), b"MAXDELETEDID", deleted.as_bytes()];
    out.request(&words);
    for (name, group) in stream.groups() {
        write_group(out, key, name, group);
    }
    if let Some(producers) = stream.producers() {
        let limits = producers.limits();
        let (duration, size) = (limits.remembered_s.to_string(), limits.messages_max.to_string());
        let words: [&[u8]; 6] =
            [b"XCFGSET", key, b"IDMP-DURATION", duration.as_bytes(), b"IDMP-MAXSIZE", size.as_bytes()];
        out.request(&words);
        for (producer, message, id) in producers.iter() {
            out.request(&[b"XIDMPRECORD", key, producer, message, id.to_string().as_bytes()]);
        }
    }
}

fn write_group<W: Write>(out: &mut Requests<W>, key: &[u8], name: &[u8], group: &Group) {
    let last = group.last_delivered_id().to_string();
    let read = group.entries_read().map_or("-1".into(), |read| read.to_string());
    out.request(&[b"XGROUP", b"CREATE", key, name, last.as_bytes(), b"ENTRIESREAD", read.as_bytes()]);
    for (_, consumer) in group.consumers() {
        out.request(&[b"XGROUP", b"CREATECONSUMER", key, name, consumer.name()]);
    }
    for pending in group.pending_from(StreamId::MIN) {
        let (id, time) = (pending.id.to_string(), pending.delivered_ms.to_string());
        let deliveries = pending.deliveries.to_string();
        let (id, deliveries) = (id.as_bytes(), deliveries.as_bytes());
        match pending.owner.and_then(|owner| group.consumer(owner)) {
            Some(owner) => {
                let words: [&[u8]; 12] = [
                    b"XCLAIM",
                    key,
                    name,
                    owner.name(),
                    b"0",
                    id,
                    b"TIME",
                    time.as_bytes(),
                    b"RETRYCOUNT",
                    deliveries,
                    b"JUSTID",
                    b"FORCE",
                ];
                out.request(&words);
            }
            None => {
                let words: [&[u8]; 10] =
                    [b"XNACK", key, name, b"SILENT", b"IDS", b"1", id, b"RETRYCOUNT", deliveries, b"FORCE"];
                out.request(&words);
            }
        }
    }
}
