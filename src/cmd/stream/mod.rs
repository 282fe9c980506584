//! Stream commands: the words by which clients speak of `types::stream`.
//!
//! Entries are added, read by range and deleted in `entries`; clients read on, alone or in a group, and wait, in `read`; groups and what is
//! pending in them is `groups` and `claims`; XINFO is `info`. What several of them read and write the same way stands here.

pub mod claims;
pub mod entries;
pub mod groups;
pub mod info;
pub mod read;
#[cfg(test)]
mod tests;

use super::args::{Args, Rest};
use super::error::{SYNTAX, Stop, error};
use crate::resp::reply::Reply;
use crate::types::stream::{Entry, Fields, IdError, RefPolicy, StreamId};
use crate::util::number::{IntegerText, parse_i64};

const INVALID_ID: Stop = error("ERR Invalid stream ID specified as stream command argument");

/// An id, whose sequence is 0 where it is missing.
fn id(text: &[u8]) -> Result<StreamId, Stop> {
    StreamId::parse(text, 0).map_err(bad_id)
}

fn range_start(text: &[u8]) -> Result<StreamId, Stop> {
    StreamId::parse_range_start(text).map_err(bad_id)
}

fn range_end(text: &[u8]) -> Result<StreamId, Stop> {
    StreamId::parse_range_end(text).map_err(bad_id)
}

fn bad_id(why: IdError) -> Stop {
    match why {
        IdError::Invalid => INVALID_ID,
        IdError::NothingAbove => error("ERR invalid start ID for the interval"),
        IdError::NothingBelow => error("ERR invalid end ID for the interval"),
    }
}

/// Ids one after the other: all of them are good, or none is used.
fn ids<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Result<Vec<StreamId>, Stop> {
    texts.map(id).collect()
}

/// NOGROUP, in the words of most commands.
fn no_group(key: &[u8], group: &[u8]) -> Stop {
    Stop::Bytes(no_group_text(key, group))
}

fn no_group_text(key: &[u8], group: &[u8]) -> Vec<u8> {
    [b"NOGROUP No such key '", shown(key), b"' or consumer group '", shown(group), b"'"].concat()
}

/// A name as Redis's errors show it: up to its first zero byte.
fn shown(name: &[u8]) -> &[u8] {
    &name[..memchr::memchr(0, name).unwrap_or(name.len())]
}

/// KEEPREF, DELREF or ACKED.
fn policy(text: &[u8]) -> Option<RefPolicy> {
    [(&b"KEEPREF"[..], RefPolicy::Keep), (b"DELREF", RefPolicy::Delete), (b"ACKED", RefPolicy::Acked)]
        .into_iter()
        .find_map(|(word, policy)| text.eq_ignore_ascii_case(word).then_some(policy))
}

fn policy_word(policy: RefPolicy) -> &'static [u8] {
    match policy {
        RefPolicy::Keep => b"KEEPREF",
        RefPolicy::Delete => b"DELREF",
        RefPolicy::Acked => b"ACKED",
    }
}

/// The ids of an `IDS numids id …` block, behind the word. The last block wins where there are several.
fn counted_ids<'a>(args: &mut Args<'a>) -> Result<Rest<'a>, Stop> {
    let count = parse_i64(args.next()?).filter(|&count| count > 0);
    let count = count.ok_or(error("ERR Number of IDs must be a positive integer"))?;
    match usize::try_from(count) {
        Ok(count) if count <= args.len() => args.take(count),
        _ => Err(error("ERR The `numids` parameter must match the number of arguments")),
    }
}

/// `[KEEPREF | DELREF | ACKED] IDS numids id …`, in any order, up to the end.
fn policy_and_ids<'a>(args: &mut Args<'a>) -> Result<(RefPolicy, Rest<'a>), Stop> {
    let (mut chosen, mut ids) = (None, None);
    while let Some(word) = args.try_next() {
        if word.eq_ignore_ascii_case(b"IDS") && !args.is_empty() {
            ids = Some(counted_ids(args)?);
        } else if let (None, Some(policy)) = (chosen, policy(word)) {
            chosen = Some(policy);
        } else {
            return Err(SYNTAX);
        }
    }
    Ok((chosen.unwrap_or_default(), ids.ok_or(SYNTAX)?))
}

/// `COUNT` where a number below 0 means the same as 0.
fn count(args: &mut Args) -> Result<u64, Stop> {
    Ok(u64::try_from(args.int()?).unwrap_or(0))
}

fn reply_id(reply: &mut Reply, id: StreamId) {
    reply.bulk(id.text().as_bytes());
}

fn reply_entry(reply: &mut Reply, entry: &Entry) {
    reply.array(2);
    reply_id(reply, entry.id);
    reply_fields(reply, entry.fields);
}

fn reply_fields(reply: &mut Reply, fields: Fields) {
    reply.array(2 * fields.len());
    for (name, value) in fields {
        reply.bulk(name);
        reply.bulk(value);
    }
}

fn reply_count(reply: &mut Reply, value: u64) {
    reply.int(i64::try_from(value).unwrap_or(i64::MAX));
}

/// The error of a subcommand that cannot make sense of its options.
fn wrong_options(args: &Args, command: &str) -> Stop {
    let subcommand = shown(args.request().arg(1));
    let text = [b"ERR unknown subcommand or wrong number of arguments for '", subcommand, b"'. Try "].concat();
    Stop::Bytes([&text, command.as_bytes(), b" HELP."].concat())
}

/// A request for the journal, put together word by word.
#[derive(Default)]
struct Words(Vec<Vec<u8>>);

impl Words {
    fn new(words: &[&[u8]]) -> Self {
        Self(words.iter().map(|word| word.to_vec()).collect())
    }

    fn word(mut self, word: &[u8]) -> Self {
        self.0.push(word.to_vec());
        self
    }

    fn number(self, value: u64) -> Self {
        self.word(IntegerText::unsigned(value).as_bytes())
    }

    fn id(self, id: StreamId) -> Self {
        self.word(id.text().as_bytes())
    }

    fn ids(self, ids: impl IntoIterator<Item = StreamId>) -> Self {
        ids.into_iter().fold(self, Self::id)
    }

    fn journal(self, edit: &mut crate::db::Edit) {
        edit.journal_instead(self.0.iter());
    }
}
