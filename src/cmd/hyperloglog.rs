//! HyperLogLogs: PFADD, PFCOUNT, PFMERGE, and what looks inside, PFDEBUG and PFSELFTEST.
//!
//! The string's format and its arithmetic stand in `ds::hyperloglog`. A count that was worked out is kept in the string's header, which is
//! why PFCOUNT, a reading command to every client, changes the key.

use super::args::{Args, Rest};
use super::command::{Access, COMMAND, Command, Flag, Group, KeyFlag, KeySpec, Run, key, keys};
use super::error::{Done, Stop, error, error_showing};
use crate::db::effect::Class;
use crate::db::{Edit, StringBytes};
use crate::ds::hyperloglog::{self, Encoding, Held, HllError, Registers};
use crate::resp::reply::Reply;
use crate::server::{Server, SessionId};
use crate::types::value::StringRef;

use Flag::{Admin, DenyOom, Fast};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "PFADD",
        arity: -2,
        run: Run::Write(pfadd),
        flags: &[DenyOom, Fast],
        keys: &[key(1, Access::Rw, &[KeyFlag::Insert])],
        element: 2,
        group: Group::Hyperloglog,
        since: "2.8.9",
        cost: "O(1) for each element.",
        usage: "key [element [element ...]]",
        summary: "Adds elements to a HyperLogLog, making it where there is none.",
        ..COMMAND
    },
    Command {
        name: "PFCOUNT",
        arity: -2,
        run: Run::Write(pfcount),
        flags: &[Flag::Readonly, Flag::MayReplicate],
        keys: &[KeySpec {
            notes: "RW because the count that was worked out is kept in the value",
            ..keys(1, -1, 1, Access::Rw, &[KeyFlag::Access])
        }],
        group: Group::Hyperloglog,
        since: "2.8.9",
        cost: "O(1) for one key whose count is known; else O(N) with N keys, and some microseconds for each.",
        usage: "key [key ...]",
        summary: "Estimates how many different elements were added to a HyperLogLog, or to several together.",
        ..COMMAND
    },
    Command {
        name: "PFDEBUG",
        arity: 3,
        run: Run::Write(pfdebug),
        flags: &[DenyOom, Admin],
        keys: &[key(2, Access::Rw, &[KeyFlag::Access])],
        group: Group::Hyperloglog,
        since: "2.8.9",
        cost: "N/A",
        usage: "subcommand key",
        summary: "Shows registers, encoding and runs of a HyperLogLog.",
        is_internal: true,
        ..COMMAND
    },
    Command {
        name: "PFMERGE",
        arity: -2,
        run: Run::Write(pfmerge),
        flags: &[DenyOom],
        keys: &[
            key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Insert]),
            keys(2, -1, 1, Access::Ro, &[KeyFlag::Access]),
        ],
        group: Group::Hyperloglog,
        since: "2.8.9",
        cost: "O(N) with N keys, and some microseconds for each.",
        usage: "destkey [sourcekey [sourcekey ...]]",
        summary: "Adds what several HyperLogLogs have counted to one of them.",
        ..COMMAND
    },
    Command {
        name: "PFSELFTEST",
        arity: 1,
        run: Run::Server(pfselftest),
        flags: &[Admin],
        group: Group::Hyperloglog,
        since: "2.8.9",
        cost: "N/A",
        summary: "Tests the arithmetic of HyperLogLogs.",
        is_internal: true,
        ..COMMAND
    },
];

impl From<HllError> for Stop {
    fn from(trouble: HllError) -> Self {
        error(match trouble {
            HllError::NotHyperLogLog => "WRONGTYPE Key is not a valid HyperLogLog string value.",
            HllError::Corrupted => "INVALIDOBJ Corrupted HLL object detected",
        })
    }
}

impl Held for StringBytes<'_> {
    fn as_slice(&self) -> &[u8] {
        self.as_slice()
    }

    fn as_mut_slice(&mut self) -> &mut [u8] {
        self.as_mut_slice()
    }

    fn splice(&mut self, at: usize, removed: usize, with: &[u8]) {
        self.splice(at, removed, with);
    }
}

/// The bytes of a string that claims to be a HyperLogLog, and how they are encoded; its runs are not looked at yet.
fn bytes_of<'a>(value: &StringRef<'a>) -> Result<(&'a [u8], Encoding), Stop> {
    let bytes = match *value {
        StringRef::Bytes(bytes) => bytes,
        StringRef::Blob(blob) => blob.as_slice(),
        // No number begins with the letters of the header.
        StringRef::Integer(_) => b"",
    };
    Ok((bytes, hyperloglog::encoding(bytes)?))
}

fn sparse_bytes_max(edit: &Edit) -> usize {
    usize::try_from(edit.config.hll_sparse_max_bytes).unwrap_or(usize::MAX)
}

fn pfadd(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, elements) = (args.next()?, args.rest());
    let sparse_bytes_max = sparse_bytes_max(edit);
    let encoding = match edit.string(key)? {
        Some(value) => Some(bytes_of(&value)?.1),
        None => None,
    };
    let (added, outcome) = match encoding {
        None => {
            let mut bytes = hyperloglog::new();
            let (added, outcome) = add_all(&mut bytes, elements, sparse_bytes_max);
            hyperloglog::mark_stale(&mut bytes);
            edit.set_raw_string(key, &bytes);
            (added + 1, outcome)
        }
        Some(Encoding::Dense) => (edit.change_bytes(key, 0, |bytes, _| add_all_dense(bytes, elements))?, Ok(())),
        Some(Encoding::Sparse) => edit.change_string(key, |bytes| add_all(bytes, elements, sparse_bytes_max))?,
    };

    // What was added before runs turned out to be broken has been added.
    if added > 0 {
        edit.changed_many(key, Class::String, "pfadd", added);
    }
    outcome?;
    reply.int(i64::from(added > 0));
    Ok(())
}

/// How many of the elements made a register grow, and whether the runs could be read to the end.
fn add_all(bytes: &mut impl Held, elements: Rest, sparse_bytes_max: usize) -> (usize, Result<(), HllError>) {
    let mut added = 0;
    let mut outcome = Ok(());
    for element in elements {
        match hyperloglog::add(bytes, element, sparse_bytes_max) {
            Ok(grew) => added += usize::from(grew),
            Err(trouble) => {
                outcome = Err(trouble);
                break;
            }
        }
    }
    if added > 0 {
        hyperloglog::mark_stale(bytes.as_mut_slice());
    }
    (added, outcome)
}

fn add_all_dense(bytes: &mut [u8], elements: Rest) -> usize {
    let added = elements.filter(|element| hyperloglog::add_dense(bytes, element)).count();
    if added > 0 {
        hyperloglog::mark_stale(bytes);
    }
    added
}

fn pfcount(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    // It is a reader, for whom a replica keeps what its primary has not removed yet.
    if args.len() > 1 {
        let mut registers = Registers::new();
        for key in args.rest() {
            if let Some(value) = edit.view().string(key)? {
                registers.merge(bytes_of(&value)?.0)?;
            }
        }
        reply.count(registers.count() as usize);
        return Ok(());
    }
    let key = args.next()?;
    let Some(value) = edit.view().string(key)? else {
        reply.int(0);
        return Ok(());
    };
    let (bytes, _) = bytes_of(&value)?;
    if let Some(count) = hyperloglog::cached_count(bytes)? {
        reply.count(count as usize);
        return Ok(());
    }

    let count = hyperloglog::count(bytes)?;
    edit.change_bytes(key, 0, |bytes, _| hyperloglog::store_count(bytes, count))?;
    edit.changed_value(key, Class::Unannounced, "");

    reply.count(count as usize);
    Ok(())
}

fn pfmerge(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let sparse_bytes_max = sparse_bytes_max(edit);
    let mut registers = Registers::new();
    let mut dense = false;
    let destination = args.peek().unwrap_or_default();
    for key in args.rest() {
        if let Some(value) = edit.read_string(key)? {
            dense |= registers.merge(bytes_of(&value)?.0)? == Encoding::Dense;
        }
    }

    let existing = edit.string(destination)?.map(|value| value.to_vec());
    let is_new = existing.is_none();
    let mut bytes = existing.unwrap_or_else(hyperloglog::new);
    registers.write_to(&mut bytes, dense, sparse_bytes_max)?;
    match is_new {
        true => edit.set_raw_string(destination, &bytes),
        false => edit.change_string(destination, |string| string.replace(bytes))?,
    }
    edit.changed_value(destination, Class::String, "pfadd");

    reply.ok();
    Ok(())
}

fn pfdebug(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (name, key) = (args.next()?, args.next()?);
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    if is("SIMD") {
        // Redis has a second way to count here. Ours is one for all processors: what is said is what was asked for.
        match () {
            () if key.eq_ignore_ascii_case(b"ON") => reply.simple("enabled"),
            () if key.eq_ignore_ascii_case(b"OFF") => reply.simple("disabled"),
            () => return Err(error("ERR Argument must be ON or OFF")),
        }
        return Ok(());
    }
    let Some(value) = edit.string(key)? else { return Err(error("ERR The specified key does not exist")) };
    let (bytes, encoding) = bytes_of(&value)?;

    match () {
        () if is("GETREG") => {
            let mut registers = Registers::new();
            registers.merge(bytes)?;
            make_dense(edit, key)?;
            reply.array(hyperloglog::REGISTERS);
            registers.as_bytes().iter().for_each(|register| reply.int(i64::from(*register)));
        }
        () if is("DECODE") => match encoding {
            Encoding::Sparse => reply.bulk(hyperloglog::decode_sparse(bytes)?.as_bytes()),
            Encoding::Dense => return Err(error("ERR HLL encoding is not sparse")),
        },
        () if is("ENCODING") => reply.simple(match encoding {
            Encoding::Dense => "dense",
            Encoding::Sparse => "sparse",
        }),
        () if is("TODENSE") => {
            let made = make_dense(edit, key)?;
            reply.int(i64::from(made));
        }
        () => return Err(error_showing("ERR Unknown PFDEBUG subcommand '", name, "'")),
    }
    Ok(())
}

/// Makes the string dense; false where it was.
fn make_dense(edit: &mut Edit, key: &[u8]) -> Result<bool, Stop> {
    let Some(value) = edit.string(key)? else { return Ok(false) };
    let mut bytes = match bytes_of(&value)? {
        (_, Encoding::Dense) => return Ok(false),
        (bytes, Encoding::Sparse) => bytes.to_vec(),
    };
    hyperloglog::make_dense(&mut bytes)?;

    edit.change_string(key, |string| string.replace(bytes))?;
    edit.changed_value(key, Class::Unannounced, "");
    Ok(true)
}

fn pfselftest(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    let mut random = || server.random.borrow_mut().next_u64();
    hyperloglog::self_test(&mut random).map_err(|trouble| Stop::Error(format!("TESTFAILED {trouble}").into()))?;

    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests;
