//! Strings as rows of bits: SETBIT, GETBIT, BITCOUNT, BITPOS, BITOP and BITFIELD.
//!
//! What is done with bits stands in `ds::bits`; here are the commands' arguments, Redis's rules on ranges, and what counts as a change.

use std::borrow::Cow;
use std::ops::Range;

use super::args::Args;
use super::command::{Access, COMMAND, Command, Flag, Group, KeyFlag, KeySpec, Run, key, keys};
use super::error::{Done, SYNTAX, Stop, error};
use super::keyspec;
use crate::config::Config;
use crate::db::effect::Class;
use crate::db::{Edit, View};
use crate::ds::bits::{self, Field, Operation, Overflow};
use crate::ds::blob::BLOB_MAX;
use crate::ds::item::ItemText;
use crate::resp::reply::Reply;
use crate::types::value::StringRef;
use crate::util::number::parse_i64;

use Flag::{DenyOom, Fast};

pub const COMMANDS: &[Command] = &[
    Command {
        name: "BITCOUNT",
        arity: -2,
        run: Run::Read(bitcount),
        keys: READ_KEY,
        group: Group::Bitmap,
        since: "2.6.0",
        cost: "O(N) where N is the number of bytes looked at.",
        usage: "key [start end [BYTE | BIT]]",
        summary: "Counts the bits that are set in a string, or in a part of it.",
        ..COMMAND
    },
    Command {
        name: "BITFIELD",
        arity: -2,
        run: Run::Write(bitfield),
        flags: &[DenyOom],
        keys: &[KeySpec {
            notes: "Only reads where every operation is a GET",
            ..key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Update, KeyFlag::VariableFlags])
        }],
        find_keys: Some(keyspec::bitfield),
        group: Group::Bitmap,
        since: "3.2.0",
        cost: "O(1) for each operation; more where the string has to be made longer.",
        usage: "key [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value | INCRBY encoding offset increment> [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value | INCRBY encoding offset increment> ...]]",
        summary: "Reads, sets and adds to integers of any width at any bit of a string.",
        ..COMMAND
    },
    Command {
        name: "BITFIELD_RO",
        arity: -2,
        run: Run::Read(bitfield_ro),
        flags: &[Fast],
        keys: READ_KEY,
        group: Group::Bitmap,
        since: "6.0.0",
        cost: "O(1) for each operation.",
        usage: "key [GET encoding offset [GET encoding offset ...]]",
        summary: "Reads integers of any width at any bit of a string.",
        ..COMMAND
    },
    Command {
        name: "BITOP",
        arity: -4,
        run: Run::Write(bitop),
        flags: &[DenyOom],
        keys: &[key(2, Access::Ow, &[KeyFlag::Update]), keys(3, -1, 1, Access::Ro, &[KeyFlag::Access])],
        group: Group::Bitmap,
        since: "2.6.0",
        cost: "O(N) where N is the number of bytes of all strings together.",
        usage: "<AND | OR | XOR | NOT | DIFF | DIFF1 | ANDOR | ONE> destkey key [key ...]",
        summary: "Combines strings bit by bit and stores what comes out.",
        ..COMMAND
    },
    Command {
        name: "BITPOS",
        arity: -3,
        run: Run::Read(bitpos),
        keys: READ_KEY,
        group: Group::Bitmap,
        since: "2.8.7",
        cost: "O(N) where N is the number of bytes looked at.",
        usage: "key bit [start [end [BYTE | BIT]]]",
        summary: "Finds the first bit that is set, or that is clear, in a string or a part of it.",
        ..COMMAND
    },
    Command {
        name: "GETBIT",
        arity: 3,
        run: Run::Read(getbit),
        flags: &[Fast],
        keys: READ_KEY,
        group: Group::Bitmap,
        since: "2.2.0",
        usage: "key offset",
        summary: "Returns a bit of a string.",
        ..COMMAND
    },
    Command {
        name: "SETBIT",
        arity: 4,
        run: Run::Write(setbit),
        flags: &[DenyOom],
        keys: &[key(1, Access::Rw, &[KeyFlag::Access, KeyFlag::Update])],
        group: Group::Bitmap,
        since: "2.2.0",
        cost: "O(1); more where the string has to be made longer.",
        usage: "key offset value",
        summary: "Sets or clears a bit of a string, making the string, or zero bytes at its end, where needed.",
        ..COMMAND
    },
];

const READ_KEY: &[KeySpec] = &[key(1, Access::Ro, &[KeyFlag::Access])];

/// A field of 64 bits may begin with the last bit that a string may have.
const FIELD_BYTES_MAX: u64 = 9;

const BAD_OFFSET: Stop = error("ERR bit offset is not an integer or out of range");

/// A bit's place, within what a string may hold.
fn bit_offset(text: &[u8], config: &Config) -> Result<u64, Stop> {
    parse_i64(text)
        .and_then(|offset| u64::try_from(offset).ok())
        .filter(|offset| is_within(*offset, config))
        .ok_or(BAD_OFFSET)
}

fn is_within(offset: u64, config: &Config) -> bool {
    offset / 8 < u64::try_from(config.proto_max_bulk_len).unwrap_or(0).min(BLOB_MAX as u64 - FIELD_BYTES_MAX)
}

/// The string's bytes; `scratch` holds them where it is a number.
fn text_of<'a>(value: Option<StringRef<'a>>, scratch: &'a mut ItemText) -> &'a [u8] {
    value.map_or(b"", |value| value.item().text(scratch))
}

fn getbit(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, offset) = (args.next()?, bit_offset(args.next()?, view.config)?);
    let value = view.string(key)?;

    reply.int(i64::from(bits::get_bit(text_of(value, &mut Default::default()), offset)));
    Ok(())
}

fn setbit(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, offset) = (args.next()?, bit_offset(args.next()?, edit.config)?);
    let bit = match parse_i64(args.next()?) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(error("ERR bit is not an integer or out of range")),
    };

    let len = offset as usize / 8 + 1;
    let mut grown = false;
    let before = edit.change_bytes(key, len, |bytes, was| {
        grown = was < bytes.len();
        bits::set_bit(bytes, offset, bit)
    })?;
    if grown || before != bit {
        edit.changed_value(key, Class::String, "setbit");
    }

    reply.int(i64::from(before));
    Ok(())
}

/// What `start` and `end` count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Byte,
    Bit,
}

impl Unit {
    fn read(args: &mut Args) -> Result<Self, Stop> {
        match () {
            () if args.is_empty() || args.option("BYTE") => Ok(Self::Byte),
            () if args.option("BIT") => Ok(Self::Bit),
            () => Err(SYNTAX),
        }
    }
}

/// The bits from `start` to `end`, both included, each counted from the end where it is negative. Empty where there are none.
fn bit_range(start: i64, end: i64, unit: Unit, len: usize) -> Range<u64> {
    let bits = len as i64 * 8;
    let units = if unit == Unit::Byte { len as i64 } else { bits };
    let from_front = |index: i64| if index < 0 { index.saturating_add(units).max(0) } else { index };
    let (start, end) = (from_front(start), from_front(end).min(units - 1));
    if start > end {
        return 0..0;
    }
    match unit {
        Unit::Byte => start as u64 * 8..(end as u64 + 1) * 8,
        Unit::Bit => start as u64..end as u64 + 1,
    }
}

fn bitcount(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    if args.is_empty() {
        let value = view.string(key)?;
        reply.count(bits::count(text_of(value, &mut Default::default())) as usize);
        return Ok(());
    }
    if args.len() == 1 || args.len() > 3 {
        return Err(SYNTAX);
    }
    let (start, end, unit) = (args.int()?, args.int()?, Unit::read(args)?);
    let value = view.string(key)?;

    let mut scratch = Default::default();
    let text = text_of(value, &mut scratch);
    let backwards = start < 0 && end < 0 && start > end;
    let range = if backwards { 0..0 } else { bit_range(start, end, unit, text.len()) };
    reply.count(bits::count_range(text, range) as usize);
    Ok(())
}

fn bitpos(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let bit = match args.int()? {
        0 => false,
        1 => true,
        _ => return Err(error("ERR The bit argument must be 1 or 0.")),
    };
    if args.len() > 3 {
        return Err(SYNTAX);
    }
    let start = if args.is_empty() { 0 } else { args.int()? };
    // The unit is judged before the end of the range.
    let mut behind_end = args.clone();
    let unit = match behind_end.try_next() {
        Some(_) => Unit::read(&mut behind_end)?,
        None => Unit::Byte,
    };
    let end = if args.is_empty() { None } else { Some(args.int()?) };
    let Some(value) = view.string(key)? else {
        reply.int(if bit { -1 } else { 0 });
        return Ok(());
    };

    let mut scratch = Default::default();
    let text = text_of(Some(value), &mut scratch);
    let range = bit_range(start, end.unwrap_or(-1), unit, text.len());
    let found = bits::find(text, bit, range.clone());
    // Behind the end, which the client did not name, all bits are clear.
    let behind = (!bit && end.is_none() && !range.is_empty()).then_some(text.len() as u64 * 8);
    reply.int(found.or(behind).map_or(-1, |position| position as i64));
    Ok(())
}

fn bitop(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let operation = operation(args)?;
    let (destination, sources) = (args.next()?, args.rest());
    match operation {
        Operation::Not if sources.len() != 1 => {
            return Err(error("ERR BITOP NOT must be called with a single source key."));
        }
        Operation::Diff if sources.len() < 2 => {
            return Err(error("ERR BITOP DIFF must be called with at least two source keys."));
        }
        Operation::Diff1 if sources.len() < 2 => {
            return Err(error("ERR BITOP DIFF1 must be called with at least two source keys."));
        }
        Operation::AndOr if sources.len() < 2 => {
            return Err(error("ERR BITOP ANDOR must be called with at least two source keys."));
        }
        _ => {}
    }
    let view = edit.view();
    let texts = sources.map(|key| Ok(view.string(key)?.map_or(Cow::Borrowed(&b""[..]), bytes_of)));
    let texts: Vec<Cow<[u8]>> = texts.collect::<Result<_, Stop>>()?;

    let result = bits::combine(operation, &texts.iter().map(|text| &**text).collect::<Vec<_>>());
    if result.is_empty() {
        if edit.remove(destination) {
            edit.changed(destination, Class::Generic, "del");
        }
    } else {
        edit.set_raw_string(destination, &result);
        edit.changed_value(destination, Class::String, "set");
    }

    reply.count(result.len());
    Ok(())
}

fn bytes_of(value: StringRef<'_>) -> Cow<'_, [u8]> {
    match value {
        StringRef::Bytes(bytes) => Cow::Borrowed(bytes),
        StringRef::Blob(blob) => Cow::Borrowed(blob.as_slice()),
        StringRef::Integer(_) => Cow::Owned(value.to_vec()),
    }
}

fn operation(args: &mut Args) -> Result<Operation, Stop> {
    match () {
        () if args.option("AND") => Ok(Operation::And),
        () if args.option("OR") => Ok(Operation::Or),
        () if args.option("XOR") => Ok(Operation::Xor),
        () if args.option("NOT") => Ok(Operation::Not),
        () if args.option("DIFF") => Ok(Operation::Diff),
        () if args.option("DIFF1") => Ok(Operation::Diff1),
        () if args.option("ANDOR") => Ok(Operation::AndOr),
        () if args.option("ONE") => Ok(Operation::One),
        () => Err(SYNTAX),
    }
}

/// One operation of BITFIELD on the field at a bit offset.
struct Step {
    field: Field,
    offset: u64,
    does: Does,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    Get,
    Set(i64, Overflow),
    Add(i64, Overflow),
}

impl Step {
    /// Bytes that a string needs to have for this.
    fn reach(&self) -> usize {
        ((self.offset + u64::from(self.field.width())) as usize).div_ceil(8)
    }
}

/// Reads all operations. Where they may only read, a SET or INCRBY among them is refused, but last of all.
fn steps(args: &mut Args, config: &Config) -> Result<Vec<Step>, Stop> {
    let mut steps = Vec::new();
    let mut overflow = Overflow::Wrap;
    while !args.is_empty() {
        let does = match () {
            () if args.len() >= 3 && args.option("GET") => Does::Get,
            () if args.len() >= 4 && args.option("SET") => Does::Set(0, overflow),
            () if args.len() >= 4 && args.option("INCRBY") => Does::Add(0, overflow),
            () if args.option_with_value("OVERFLOW") => {
                overflow = overflow_of(args)?;
                continue;
            }
            () => return Err(SYNTAX),
        };
        let field = field(args.next()?)?;
        let offset = field_offset(args.next()?, field, config)?;
        let does = match does {
            Does::Get => Does::Get,
            Does::Set(_, overflow) => Does::Set(args.int()?, overflow),
            Does::Add(_, overflow) => Does::Add(args.int()?, overflow),
        };
        steps.push(Step { field, offset, does });
    }
    Ok(steps)
}

fn overflow_of(args: &mut Args) -> Result<Overflow, Stop> {
    match () {
        () if args.option("WRAP") => Ok(Overflow::Wrap),
        () if args.option("SAT") => Ok(Overflow::Saturate),
        () if args.option("FAIL") => Ok(Overflow::Fail),
        () => Err(error("ERR Invalid OVERFLOW type specified")),
    }
}

fn field(text: &[u8]) -> Result<Field, Stop> {
    let signed = match text.first() {
        Some(b'i') => Some(true),
        Some(b'u') => Some(false),
        _ => None,
    };
    let width = text.get(1..).and_then(parse_i64).and_then(|width| u32::try_from(width).ok());
    let field = signed.zip(width).and_then(|(signed, width)| Field::new(signed, width));
    field.ok_or(error(
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
    ))
}

/// A field's place in bits, or behind `#` in fields of its own width.
fn field_offset(text: &[u8], field: Field, config: &Config) -> Result<u64, Stop> {
    let (number, unit) = match text {
        [b'#', number @ ..] => (number, u64::from(field.width())),
        number => (number, 1),
    };
    let offset =
        parse_i64(number).and_then(|offset| u64::try_from(offset).ok()).and_then(|offset| offset.checked_mul(unit));
    offset.filter(|offset| is_within(*offset, config)).ok_or(BAD_OFFSET)
}

fn bitfield(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let steps = steps(args, edit.config)?;
    let Some(len) = steps.iter().filter(|step| step.does != Does::Get).map(Step::reach).max() else {
        let value = edit.view().string(key)?;
        get_fields(&steps, text_of(value, &mut Default::default()), reply);
        return Ok(());
    };

    let mut grown = false;
    let mut changes = 0;
    let results: Vec<Option<i64>> = edit.change_bytes(key, len, |bytes, was| {
        grown = was < bytes.len();
        let mut run = |step: &Step| {
            let before = step.field.get(bytes, step.offset);
            let (after, shown) = match step.does {
                Does::Get => return Some(before),
                Does::Set(value, overflow) => (step.field.fit(value, overflow)?, before),
                Does::Add(by, overflow) => {
                    let after = step.field.add(before, by, overflow)?;
                    (after, after)
                }
            };
            step.field.set(bytes, step.offset, after);
            changes += usize::from(grown || before != after);
            Some(shown)
        };
        steps.iter().map(&mut run).collect()
    })?;
    match changes {
        // Redis says nothing of a string that only became longer, as all operations failed; the journal must know all the same.
        0 if grown => edit.changed_value(key, Class::Unannounced, ""),
        0 => {}
        changes => edit.changed_many(key, Class::String, "setbit", changes),
    }

    reply.array(results.len());
    for result in results {
        match result {
            Some(value) => reply.int(value),
            None => reply.null(),
        }
    }
    Ok(())
}

fn bitfield_ro(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let steps = steps(args, view.config)?;
    if steps.iter().any(|step| step.does != Does::Get) {
        return Err(error("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    let value = view.string(key)?;

    get_fields(&steps, text_of(value, &mut Default::default()), reply);
    Ok(())
}

fn get_fields(steps: &[Step], text: &[u8], reply: &mut Reply) {
    reply.array(steps.len());
    for step in steps {
        reply.int(step.field.get(text, step.offset));
    }
}

#[cfg(test)]
mod tests;
