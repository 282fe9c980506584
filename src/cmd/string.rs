//! String commands that read, count, and change strings in place. Those that store strings whole stand in `string::set`.

pub mod set;
#[cfg(test)]
mod tests;

use std::ops::Range;

use super::args::Args;
use super::command::{Access, COMMAND, Command, Deprecated, Flag, Group, KeyFlag, Run, key, keys};
use super::error::{Done, NOT_A_FLOAT, NOT_AN_INTEGER, OVERFLOW, SYNTAX, Stop, error};
use crate::config::Config;
use crate::db::effect::Class;
use crate::db::{Edit, View};
use crate::ds::blob::BLOB_MAX;
use crate::resp::reply::{Reply, SHARE_MIN};
use crate::types::value::{self, StringRef};
use crate::util::lcs;
use crate::util::long_double::{FloatError, add_long_double};

use Flag::{DenyOom, Fast};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "APPEND",
        arity: 3,
        run: Run::Write(append),
        flags: &[DenyOom, Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Insert])],
        group: Group::String,
        since: "2.0.0",
        cost: "O(N) where N is the number of bytes added, taken over many calls: a string that grows gets room to spare.",
        usage: "key value",
        summary: "Adds bytes to the end of a string, making the string where there is none.",
        ..COMMAND
    },
    Command {
        name: "DECR",
        arity: 2,
        run: Run::Write(decr),
        flags: &[DenyOom, Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Update])],
        group: Group::String,
        usage: "key",
        summary: "Takes one from the integer value of a key, which is 0 where there is none.",
        ..COMMAND
    },
    Command {
        name: "DECRBY",
        arity: 3,
        run: Run::Write(decrby),
        flags: &[DenyOom, Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Update])],
        group: Group::String,
        usage: "key decrement",
        summary: "Takes a number from the integer value of a key, which is 0 where there is none.",
        ..COMMAND
    },
    Command {
        name: "DIGEST",
        arity: 2,
        run: Run::Read(digest),
        flags: &[Fast],
        keys: &[key(1, Access::Ro, &[KeyFlag::Access])],
        group: Group::String,
        since: "8.4.0",
        cost: "O(N) where N is the length of the string.",
        usage: "key",
        summary: "Returns the XXH3 digest of the string value of a key.",
        ..COMMAND
    },
    Command {
        name: "GET",
        arity: 2,
        run: Run::Read(get),
        flags: &[Fast],
        keys: &[key(1, Access::Ro, &[KeyFlag::Access])],
        group: Group::String,
        usage: "key",
        summary: "Returns the string value of a key.",
        ..COMMAND
    },
    Command {
        name: "GETRANGE",
        since: "2.4.0",
        summary: "Returns a part of the string value of a key.",
        deprecated: None,
        ..SUBSTR
    },
    Command {
        name: "INCR",
        arity: 2,
        run: Run::Write(incr),
        flags: &[DenyOom, Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Update])],
        group: Group::String,
        usage: "key",
        summary: "Adds one to the integer value of a key, which is 0 where there is none.",
        ..COMMAND
    },
    Command {
        name: "INCRBY",
        arity: 3,
        run: Run::Write(incrby),
        flags: &[DenyOom, Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Update])],
        group: Group::String,
        usage: "key increment",
        summary: "Adds a number to the integer value of a key, which is 0 where there is none.",
        ..COMMAND
    },
    Command {
        name: "INCRBYFLOAT",
        arity: 3,
        run: Run::Write(incrbyfloat),
        flags: &[DenyOom, Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Update])],
        group: Group::String,
        since: "2.6.0",
        usage: "key increment",
        summary: "Adds a number with decimals to the numeric value of a key, which is 0 where there is none.",
        ..COMMAND
    },
    Command {
        name: "LCS",
        arity: -3,
        run: Run::Read(lcs_command),
        keys: &[keys(1, 1, 1, Access::Ro, &[KeyFlag::Access])],
        group: Group::String,
        since: "7.0.0",
        cost: "O(N*M) where N and M are the lengths of the two strings.",
        usage: "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
        summary: "Finds the longest common subsequence of two strings.",
        ..COMMAND
    },
    Command {
        name: "MGET",
        arity: -2,
        run: Run::Read(mget),
        flags: &[Fast],
        keys: &[keys(1, -1, 1, Access::Ro, &[KeyFlag::Access])],
        group: Group::String,
        cost: "O(N) where N is the number of keys.",
        usage: "key [key ...]",
        summary: "Returns the string values of several keys.",
        tips: &["request_policy:multi_shard"],
        ..COMMAND
    },
    Command {
        name: "SETRANGE",
        arity: 4,
        run: Run::Write(setrange),
        flags: &[DenyOom],
        keys: &[key(1, Access::Rw, &[KeyFlag::Update])],
        group: Group::String,
        since: "2.2.0",
        cost: "O(N) where N is the length of the value given; more where the string has to be made longer.",
        usage: "key offset value",
        summary: "Overwrites a part of a string, making the string, or zero bytes at its end, where needed.",
        ..COMMAND
    },
    Command {
        name: "STRLEN",
        arity: 2,
        run: Run::Read(strlen),
        flags: &[Fast],
        keys: &[key(1, Access::Ro, &[])],
        group: Group::String,
        since: "2.2.0",
        usage: "key",
        summary: "Returns the length of the string value of a key.",
        ..COMMAND
    },
    SUBSTR,
];

const SUBSTR: Command = Command {
    name: "SUBSTR",
    arity: 4,
    run: Run::Read(getrange),
    keys: &[key(1, Access::Ro, &[KeyFlag::Access])],
    group: Group::String,
    cost: "O(N) where N is the number of bytes returned.",
    usage: "key start end",
    summary: "Returns a part of the string value of a key: the old name of GETRANGE.",
    deprecated: Some(Deprecated { since: "2.0.0", instead: "`GETRANGE`" }),
    ..COMMAND
};

/// Replies with a string value; a large one is referred to, not copied.
#[inline]
pub(super) fn reply_string(reply: &mut Reply, value: StringRef) {
    match value {
        StringRef::Blob(blob) => match blob.share() {
            Some(shared) => reply.bulk_shared(bytes::Bytes::from_owner(shared)),
            None => reply.bulk(blob.as_slice()),
        },
        other => reply.item(other.item()),
    }
}

fn get(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    match view.string(args.next()?)? {
        Some(value) => reply_string(reply, value),
        None => reply.null(),
    }
    Ok(())
}

fn mget(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let keys = args.rest();

    reply.array(keys.len());
    for key in keys {
        match view.record(key).as_ref().and_then(value::string) {
            Some(value) => reply_string(reply, value),
            None => reply.null(),
        }
    }
    Ok(())
}

fn strlen(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let value = view.string(args.next()?)?;
    reply.count(value.map_or(0, |value| value.len()));
    Ok(())
}

fn digest(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    match view.string(args.next()?)? {
        Some(value) => reply.bulk(format!("{:016x}", set::digest(value)).as_bytes()),
        None => reply.null(),
    }
    Ok(())
}

fn getrange(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, start, end) = (args.next()?, args.int()?, args.int()?);
    let Some(value) = view.string(key)? else {
        reply.bulk(b"");
        return Ok(());
    };

    match value {
        StringRef::Blob(blob) => {
            let range = range_of(start, end, blob.len());
            match blob.share().filter(|_| range.len() >= SHARE_MIN) {
                Some(shared) => reply.bulk_shared(bytes::Bytes::from_owner(shared).slice(range)),
                None => reply.bulk(&blob.as_slice()[range]),
            }
        }
        _ => {
            let mut scratch = Default::default();
            let item = value.item();
            let text = item.text(&mut scratch);
            reply.bulk(&text[range_of(start, end, text.len())]);
        }
    }
    Ok(())
}

/// The bytes from `start` to `end`, both included, each counted from the end where it is negative.
fn range_of(start: i64, end: i64, len: usize) -> Range<usize> {
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let from_front = |index: i64| match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => len.saturating_sub(usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    let (start, end) = (from_front(start), from_front(end).min(len.saturating_sub(1)));
    if len == 0 || start > end { 0..0 } else { start..end + 1 }
}

fn append(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, more) = (args.next()?, args.next()?);
    let before = edit.string(key)?.map(|value| value.len());
    if let Some(before) = before {
        check_len(edit.config, before, more.len())?;
    }

    let len = match before {
        Some(_) => edit.change_string(key, |bytes| {
            bytes.append(more);
            bytes.len()
        })?,
        None => {
            edit.set_string(key, more, None);
            more.len()
        }
    };
    edit.changed_value(key, Class::String, "append");

    reply.count(len);
    Ok(())
}

fn setrange(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, offset, value) = (args.next()?, args.int()?, args.next()?);
    let offset = usize::try_from(offset).map_err(|_| error("ERR offset is out of range"))?;
    let before = edit.string(key)?.map_or(0, |value| value.len());
    if value.is_empty() {
        reply.count(before);
        return Ok(());
    }
    let end = check_len(edit.config, offset, value.len())?;

    let len = edit.change_string(key, |bytes| {
        bytes.pad_to(end);
        bytes.as_mut_slice()[offset..end].copy_from_slice(value);
        bytes.len()
    })?;
    edit.changed_value(key, Class::String, "setrange");

    reply.count(len);
    Ok(())
}

/// The length of a string of `len` and `more` bytes, where a string may be as long.
pub(super) fn check_len(config: &Config, len: usize, more: usize) -> Result<usize, Stop> {
    let limit = usize::try_from(config.proto_max_bulk_len).unwrap_or(usize::MAX).min(BLOB_MAX);
    len.checked_add(more)
        .filter(|total| *total <= limit)
        .ok_or(error("ERR string exceeds maximum allowed size (proto-max-bulk-len)"))
}

fn incr(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    add(edit, args.next()?, 1, reply)
}

fn decr(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    add(edit, args.next()?, -1, reply)
}

fn incrby(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, by) = (args.next()?, args.int()?);
    add(edit, key, by, reply)
}

fn decrby(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, by) = (args.next()?, args.int()?);
    let by = by.checked_neg().ok_or(error("ERR decrement would overflow"))?;
    add(edit, key, by, reply)
}

#[inline]
fn add(edit: &mut Edit, key: &[u8], by: i64, reply: &mut Reply) -> Done {
    let after = edit.change_integer(key, |before| {
        let before = before.map_or(Some(0), |item| item.as_int()).ok_or(NOT_AN_INTEGER)?;
        before.checked_add(by).ok_or(OVERFLOW)
    })?;
    edit.changed_value(key, Class::String, "incrby");

    reply.int(after);
    Ok(())
}

fn incrbyfloat(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, increment) = (args.next()?, args.next()?);
    let before = edit.string(key)?;
    let mut scratch = Default::default();
    let item = before.map(|value| value.item());
    let text = item.as_ref().map_or(&b"0"[..], |item| item.text(&mut scratch));
    let sum = add_long_double(text, increment).map_err(|trouble| match trouble {
        FloatError::Current | FloatError::Increment => NOT_A_FLOAT,
        FloatError::NotFinite => error("ERR increment would produce NaN or Infinity"),
    })?;

    edit.set_text(key, &sum);
    edit.changed_value(key, Class::String, "incrbyfloat");
    // Another processor may round in another way.
    edit.journal_instead([b"SET", key, &sum, b"KEEPTTL"]);

    reply.bulk(&sum);
    Ok(())
}

fn lcs_command(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let (one, two) = (view.string(args.next()?), view.string(args.next()?));
    let (Ok(one), Ok(two)) = (one, two) else { return Err(error("ERR The specified keys must contain string values")) };
    let options = LcsOptions::read(args)?;
    let text = |value: Option<StringRef>| value.map(|value| value.to_vec()).unwrap_or_default();
    let (one, two) = (text(one), text(two));
    let table_bytes = lcs::table_len(&one, &two).and_then(|cells| cells.checked_mul(size_of::<u32>()));
    let limit = usize::try_from(view.config.proto_max_bulk_len).unwrap_or(usize::MAX);
    if table_bytes.is_none_or(|bytes| bytes > limit) {
        return Err(TOO_MUCH_FOR_LCS);
    }

    if options.len {
        reply.count(lcs::length(&one, &two));
        return Ok(());
    }
    let common = lcs::common(&one, &two, options.match_len_min).ok_or(TOO_MUCH_FOR_LCS)?;
    if !options.indexes {
        reply.bulk(&common.subsequence);
        return Ok(());
    }
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(common.matches.len());
    for found in &common.matches {
        reply.array(2 + usize::from(options.with_match_len));
        for range in [&found.one, &found.two] {
            reply.array(2);
            reply.count(range.start);
            reply.count(range.end - 1);
        }
        if options.with_match_len {
            reply.count(found.one.len());
        }
    }
    reply.bulk(b"len");
    reply.count(common.subsequence.len());
    Ok(())
}

const TOO_MUCH_FOR_LCS: Stop = error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");

#[derive(Default)]
struct LcsOptions {
    len: bool,
    indexes: bool,
    match_len_min: usize,
    with_match_len: bool,
}

impl LcsOptions {
    fn read(args: &mut Args) -> Result<Self, Stop> {
        let mut options = Self::default();
        while !args.is_empty() {
            if args.option("IDX") {
                options.indexes = true;
            } else if args.option("LEN") {
                options.len = true;
            } else if args.option("WITHMATCHLEN") {
                options.with_match_len = true;
            } else if args.option_with_value("MINMATCHLEN") {
                options.match_len_min = usize::try_from(args.int()?).unwrap_or(0);
            } else {
                return Err(SYNTAX);
            }
        }
        if options.len && options.indexes {
            return Err(error("ERR If you want both the length and indexes, please just use IDX."));
        }
        Ok(options)
    }
}
