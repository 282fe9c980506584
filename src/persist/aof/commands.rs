//! A data set as the requests that make it: the base of a log without `aof-use-rdb-preamble`.
//!
//! Each record becomes a few requests of bounded length, which either server can run. What XCLAIM cannot say is lost here, as it is in
//! Redis: entries that are pending and were deleted from their stream.

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

/// The request that makes a library of functions.
pub fn write_function(out: &mut Vec<u8>, source: &[u8]) {
    write(out, &[b"FUNCTION", b"LOAD", source]);
}

/// What follows is about this database.
pub fn write_database(out: &mut Vec<u8>, db: DbIndex) {
    write(out, &[b"SELECT", db.to_string().as_bytes()]);
}

/// The requests that make one record. O(record).
pub fn write_record(out: &mut Vec<u8>, record: RecordRef<'_>) {
    let key = record.key();
    if let Some(string) = value::string(&record) {
        write(out, &[b"SET", key, &string.to_vec()]);
    } else if let Some(list) = record.get::<List>() {
        write_elements(out, b"RPUSH", key, 1, list.iter().map(|item| item.to_vec()));
    } else if let Some(set) = record.get::<Set>() {
        write_elements(out, b"SADD", key, 1, set.iter().map(|item| item.to_vec()));
    } else if let Some(zset) = record.get::<Zset>() {
        let pairs = zset.iter().flat_map(|entry| [score(entry.score), entry.member.to_vec()]);
        write_elements(out, b"ZADD", key, 2, pairs);
    } else if let Some(hash) = record.get::<Hash>() {
        write_hash(out, key, hash);
    } else if let Some(stream) = record.get::<StreamBox>() {
        write_stream(out, key, stream);
    }
    if let Some(deadline) = record.deadline() {
        write(out, &[b"PEXPIREAT", key, deadline.to_string().as_bytes()]);
    }
}

fn write(out: &mut Vec<u8>, args: &[&[u8]]) {
    write_header(out, args.len());
    args.iter().for_each(|arg| write_bulk(out, arg));
}

/// `words` of them make one element.
fn write_elements(
    out: &mut Vec<u8>,
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
        write_header(out, 2 + some.len());
        write_bulk(out, name);
        write_bulk(out, key);
        some.iter().for_each(|word| write_bulk(out, word));
    }
}

fn score(score: f64) -> Vec<u8> {
    let mut text = Vec::new();
    write_f64_in_17_digits(&mut text, score);
    text
}

fn write_hash(out: &mut Vec<u8>, key: &[u8], hash: &Hash) {
    // Lapsed fields are there too: the requests behind this base may speak of them.
    let entries = || hash.iter(0);
    write_elements(out, b"HSET", key, 2, entries().flat_map(|entry| [entry.field.to_vec(), entry.value.to_vec()]));
    for entry in entries() {
        if let Some(deadline) = entry.deadline {
            let (field, deadline) = (entry.field.to_vec(), deadline.to_string());
            write(out, &[b"HPEXPIREAT", key, deadline.as_bytes(), b"FIELDS", b"1", &field]);
        }
    }
}

fn write_stream(out: &mut Vec<u8>, key: &[u8], stream: &Stream) {
    let log = stream.log();
    let history = log.history();
    let last = history.last_id.to_string();
    if log.is_empty() {
        // There is no other request that makes an empty stream without a group.
        let first = if history.last_id == StreamId::MIN { "0-1" } else { last.as_str() };
        write(out, &[b"XADD", key, b"MAXLEN", b"0", first.as_bytes(), b"x", b"y"]);
    }
    for entry in log.range(StreamId::MIN, StreamId::MAX) {
        let fields: Vec<(&[u8], &[u8])> = entry.fields.collect();
        write_header(out, 3 + 2 * fields.len());
        write_bulk(out, b"XADD");
        write_bulk(out, key);
        write_bulk(out, entry.id.to_string().as_bytes());
        for word in fields.into_iter().flat_map(|(name, value)| [name, value]) {
            write_bulk(out, word);
        }
    }
    let (added, deleted) = (history.entries_added.to_string(), history.max_deleted_id.to_string());
    let words: [&[u8]; 7] =
        [b"XSETID", key, last.as_bytes(), b"ENTRIESADDED", added.as_bytes(), b"MAXDELETEDID", deleted.as_bytes()];
    write(out, &words);
    for (name, group) in stream.groups() {
        write_group(out, key, name, group);
    }
    if let Some(producers) = stream.producers() {
        let limits = producers.limits();
        let (duration, size) = (limits.remembered_s.to_string(), limits.messages_max.to_string());
        let words: [&[u8]; 6] =
            [b"XCFGSET", key, b"IDMP-DURATION", duration.as_bytes(), b"IDMP-MAXSIZE", size.as_bytes()];
        write(out, &words);
        for (producer, message, id) in producers.iter() {
            write(out, &[b"XIDMPRECORD", key, producer, message, id.to_string().as_bytes()]);
        }
    }
}

fn write_group(out: &mut Vec<u8>, key: &[u8], name: &[u8], group: &Group) {
    let last = group.last_delivered_id().to_string();
    let read = group.entries_read().map_or("-1".into(), |read| read.to_string());
    write(out, &[b"XGROUP", b"CREATE", key, name, last.as_bytes(), b"ENTRIESREAD", read.as_bytes()]);
    for (_, consumer) in group.consumers() {
        write(out, &[b"XGROUP", b"CREATECONSUMER", key, name, consumer.name()]);
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
                write(out, &words);
            }
            None => {
                let words: [&[u8]; 10] =
                    [b"XNACK", key, name, b"SILENT", b"IDS", b"1", id, b"RETRYCOUNT", deliveries, b"FORCE"];
                write(out, &words);
            }
        }
    }
}
