//! Values to bytes, each in the oldest form that holds it, all at once or in parts.
//!
//! A collection of millions is written in steps, so that nobody waits for it. Between two steps it must not be changed: whoever is about to
//! change it has the rest written first.

use super::beyond::{NACKED_OWNER, nacked};
use super::{Chunk, Dialect, Form};
use crate::ds::deque::Content;
use crate::ds::item::ItemText;
use crate::ds::listpack::Builder;
use crate::ds::record::Payload;
use crate::types::hash::Hash;
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::stream::{Group, Stream, StreamBox, StreamId};
use crate::types::value::{Collection, Record};
use crate::types::zset::Zset;

/// The form in which `encode_value` writes a value.
pub fn form_of(record: &Record, dialect: Dialect) -> Form {
    if !matches!(record.payload(), Payload::Word(_)) {
        return Form::STRING;
    }
    if record.get::<List>().is_some() {
        return Form::LIST_QUICKLIST_2;
    }
    if let Some(set) = record.get::<Set>() {
        return if set.as_intset().is_some() { Form::SET_INTSET } else { Form::SET };
    }
    if let Some(zset) = record.get::<Zset>() {
        return if zset.as_listpack().is_some() { Form::ZSET_LISTPACK } else { Form::ZSET_2 };
    }
    if let Some(hash) = record.get::<Hash>() {
        return hash_form(hash, dialect);
    }
    Form::STREAM_2
}

fn hash_form(hash: &Hash, dialect: Dialect) -> Form {
    let is_small = hash.encoding() != "hashtable";
    match (hash.next_deadline().is_some(), dialect) {
        (false, _) if is_small => Form::HASH_LISTPACK,
        (false, _) => Form::HASH,
        (true, Dialect::Valkey) => Form::HASH_VALKEY,
        (true, Dialect::Redis) if is_small => Form::HASH_LISTPACK_DEADLINES,
        (true, Dialect::Redis) => Form::HASH_DEADLINES,
    }
}

/// Appends the whole value, without its form.
pub fn encode_value(record: &Record, dialect: Dialect, out: &mut Chunk) {
    let mut encoding = Encoding::start(record, dialect, out);
    while !encoding.is_done() {
        encoding.go_on(record, usize::MAX, out);
    }
}

/// A value that is written in parts: where it stands.
pub struct Encoding {
    place: Place,
    dialect: Dialect,
}

enum Place {
    Done,
    /// This many nodes of a list are written.
    Nodes(usize),
    /// The members of a table from this cursor on are still to be written; `None` before the first.
    Table(Option<u64>),
    /// The members of a sorted set below this rank are still to be written.
    Ranks(u64),
    /// The nodes of a stream behind the one of this id.
    StreamNodes(Option<StreamId>),
    Groups(GroupPlace),
}

/// A place within the groups of a stream.
struct GroupPlace {
    /// How many groups are written.
    group: usize,
    part: GroupPart,
}

enum GroupPart {
    Head,
    /// Pending entries from this id on.
    Pending(StreamId),
    /// This many consumers are written, and of the next its entries below this id, if any.
    Consumers(usize, Option<StreamId>),
}

/// Elements between two looks at the budget.
const STEP: usize = 256;

impl Encoding {
    /// Writes what is short, or the beginning of what is long.
    pub fn start(record: &Record, dialect: Dialect, out: &mut Chunk) -> Self {
        let place = match record.payload() {
            Payload::Inline(text) => {
                out.text(text);
                done(())
            }
            Payload::Integer(value) => {
                out.number(value);
                done(())
            }
            Payload::Blob(blob) => {
                out.blob(blob.as_slice());
                done(())
            }
            Payload::Word(_) => start_collection(record, dialect, out),
        };
        Self { place, dialect }
    }

    pub fn is_done(&self) -> bool {
        matches!(self.place, Place::Done)
    }

    /// Writes about `budget` more bytes of the same value, which has not changed since.
    pub fn go_on(&mut self, record: &Record, budget: usize, out: &mut Chunk) {
        let enough = out.len().saturating_add(budget);
        let place = std::mem::replace(&mut self.place, Place::Done);
        self.place = match place {
            Place::Done => Place::Done,
            Place::Nodes(written) => with(record, |list: &List| write_nodes(list, written, enough, out)),
            Place::Table(cursor) if record.get::<Set>().is_some() => {
                with(record, |set: &Set| write_set(set, cursor, enough, out))
            }
            Place::Table(cursor) => {
                let dialect = self.dialect;
                with(record, |hash: &Hash| write_hash(hash, cursor, dialect, enough, out))
            }
            Place::Ranks(left) => with(record, |zset: &Zset| write_zset(zset, left, enough, out)),
            Place::StreamNodes(after) => with(record, |stream: &StreamBox| write_stream(stream, after, enough, out)),
            Place::Groups(place) => with(record, |stream: &StreamBox| write_groups(stream, place, enough, out)),
        };
    }
}

fn with<C: Collection>(record: &Record, write: impl FnOnce(&C) -> Place) -> Place {
    record.get::<C>().map_or(Place::Done, write)
}

fn done(_: ()) -> Place {
    Place::Done
}

fn start_collection(record: &Record, dialect: Dialect, out: &mut Chunk) -> Place {
    if let Some(list) = record.get::<List>() {
        out.length(list.nodes_len() as u64);
        return Place::Nodes(0);
    }
    if let Some(set) = record.get::<Set>() {
        if let Some(intset) = set.as_intset() {
            out.blob(intset.as_bytes());
            return Place::Done;
        }
        out.length(set.len() as u64);
        return Place::Table(None);
    }
    if let Some(zset) = record.get::<Zset>() {
        if let Some(listpack) = zset.as_listpack() {
            out.blob(listpack.as_bytes());
            return Place::Done;
        }
        out.length(zset.len());
        return Place::Ranks(zset.len());
    }
    if let Some(hash) = record.get::<Hash>() {
        return start_hash(hash, dialect, out);
    }
    if let Some(stream) = record.get::<StreamBox>() {
        out.length(stream.log().nodes_len() as u64);
        return Place::StreamNodes(None);
    }
    Place::Done
}

fn write_nodes(list: &List, mut written: usize, enough: usize, out: &mut Chunk) -> Place {
    const PLAIN: u64 = 1;
    const PACKED: u64 = 2;
    for node in list.nodes().skip(written) {
        if out.len() >= enough {
            return Place::Nodes(written);
        }
        match node {
            Content::Plain(text) => {
                out.length(PLAIN);
                out.blob(text);
            }
            Content::Packed(packed) => {
                out.length(PACKED);
                out.blob(packed.as_bytes());
            }
        }
        written += 1;
    }
    Place::Done
}

fn write_set(set: &Set, cursor: Option<u64>, enough: usize, out: &mut Chunk) -> Place {
    if enough == usize::MAX && cursor.is_none() {
        set.iter().for_each(|member| out.item(member));
        return Place::Done;
    }
    scan(cursor, enough, out, |cursor, out| set.scan(cursor, STEP, |member| out.item(member)))
}

/// Goes through a table cursor by cursor. As the table does not change in between, each member comes up once.
fn scan(cursor: Option<u64>, enough: usize, out: &mut Chunk, mut step: impl FnMut(u64, &mut Chunk) -> u64) -> Place {
    let mut cursor = cursor.unwrap_or(0);
    loop {
        cursor = step(cursor, out);
        if cursor == 0 {
            return Place::Done;
        }
        if out.len() >= enough {
            return Place::Table(Some(cursor));
        }
    }
}

/// From the highest rank to the lowest: a skip list is built fastest that way.
fn write_zset(zset: &Zset, mut left: u64, enough: usize, out: &mut Chunk) -> Place {
    let mut text = ItemText::default();
    while left > 0 {
        if out.len() >= enough {
            return Place::Ranks(left);
        }
        let from = if enough == usize::MAX { 0 } else { left.saturating_sub(STEP as u64) };
        for entry in zset.entries(from..left, true) {
            out.text(entry.member.text(&mut text));
            out.word(entry.score.to_bits());
        }
        left = from;
    }
    Place::Done
}

fn start_hash(hash: &Hash, dialect: Dialect, out: &mut Chunk) -> Place {
    match hash_form(hash, dialect) {
        Form::HASH_LISTPACK => {
            match hash.as_listpack() {
                Some(listpack) => out.blob(listpack.as_bytes()),
                // Room for deadlines, but none set: without it older servers read it, too.
                None => out.blob(without_deadlines(hash, &mut Builder::default()).as_bytes()),
            }
            return Place::Done;
        }
        Form::HASH_LISTPACK_DEADLINES => {
            out.word(hash.next_deadline().unwrap_or(0));
            if let Some(listpack) = hash.as_listpack_with_deadlines() {
                out.blob(listpack.as_bytes());
            }
            return Place::Done;
        }
        Form::HASH_DEADLINES => out.word(hash.next_deadline().unwrap_or(0)),
        _ => {}
    }
    out.length(hash.len() as u64);
    Place::Table(None)
}

fn without_deadlines(hash: &Hash, builder: &mut Builder) -> crate::ds::listpack::Listpack {
    for entry in hash.iter(0) {
        builder.push_item(entry.field);
        builder.push_item(entry.value);
    }
    builder.finish()
}

fn write_hash(hash: &Hash, cursor: Option<u64>, dialect: Dialect, enough: usize, out: &mut Chunk) -> Place {
    let form = hash_form(hash, dialect);
    let earliest = hash.next_deadline().unwrap_or(0);
    let write = |entry: crate::types::hash::Entry<'_>, out: &mut Chunk| {
        if form == Form::HASH_DEADLINES {
            // A distance from the earliest, counted from 1.
            out.length(entry.deadline.map_or(0, |deadline| deadline - earliest + 1));
        }
        out.item(entry.field);
        out.item(entry.value);
        if form == Form::HASH_VALKEY {
            out.word(entry.deadline.unwrap_or(u64::MAX));
        }
    };
    if enough == usize::MAX && cursor.is_none() {
        hash.iter(0).for_each(|entry| write(entry, out));
        return Place::Done;
    }
    scan(cursor, enough, out, |cursor, out| hash.scan(cursor, STEP, 0, |entry| write(entry, out)))
}

fn write_stream(stream: &Stream, mut after: Option<StreamId>, enough: usize, out: &mut Chunk) -> Place {
    let mut builder = Builder::default();
    for node in stream.log().nodes_after(after) {
        if out.len() >= enough {
            return Place::StreamNodes(after);
        }
        out.blob(&node.base().to_key());
        out.blob(node.to_listpack(&mut builder).as_bytes());
        after = Some(node.base());
    }
    let (log, history) = (stream.log(), stream.log().history());
    out.length(log.len());
    for id in [history.last_id, log.first_id(), history.max_deleted_id] {
        out.length(id.ms);
        out.length(id.seq);
    }
    out.length(history.entries_added);
    out.length(stream.groups().len() as u64);
    write_groups(stream, GroupPlace { group: 0, part: GroupPart::Head }, enough, out)
}

fn write_groups(stream: &Stream, mut place: GroupPlace, enough: usize, out: &mut Chunk) -> Place {
    for (name, group) in stream.groups().skip(place.group) {
        if out.len() >= enough {
            return Place::Groups(place);
        }
        if let Some(part) = write_group(name, group, place.part, enough, out) {
            return Place::Groups(GroupPlace { part, ..place });
        }
        place = GroupPlace { group: place.group + 1, part: GroupPart::Head };
    }
    Place::Done
}

/// Where to go on with this group, or nothing where all of it is written.
fn write_group(name: &[u8], group: &Group, part: GroupPart, enough: usize, out: &mut Chunk) -> Option<GroupPart> {
    let mut part = part;
    loop {
        part = match part {
            GroupPart::Head => {
                write_group_head(name, group, out);
                GroupPart::Pending(StreamId::MIN)
            }
            GroupPart::Pending(from) => {
                for entry in group.pending_from(from) {
                    if out.len() >= enough {
                        return Some(GroupPart::Pending(entry.id));
                    }
                    out.raw(&entry.id.to_key());
                    out.word(entry.owner.map_or(0, |_| entry.delivered_ms));
                    out.length(entry.deliveries);
                }
                out.length(group.consumers().len() as u64 + u64::from(nacked(group).needs_owner()));
                GroupPart::Consumers(0, None)
            }
            GroupPart::Consumers(written, from) => return write_consumers(group, written, from, enough, out),
        };
    }
}

fn write_group_head(name: &[u8], group: &Group, out: &mut Chunk) {
    out.text(name);
    out.length(group.last_delivered_id().ms);
    out.length(group.last_delivered_id().seq);
    out.length(group.entries_read().unwrap_or(u64::MAX));
    out.length(group.pending_len());
}

fn write_consumers(
    group: &Group,
    mut written: usize,
    from: Option<StreamId>,
    enough: usize,
    out: &mut Chunk,
) -> Option<GroupPart> {
    let nacked = nacked(group);
    let mut from = from;
    for (index, consumer) in group.consumers().skip(written) {
        let adopts = nacked.len > 0 && consumer.name() == NACKED_OWNER;
        if from.is_none() {
            out.text(consumer.name());
            out.word(consumer.seen_ms());
            out.length(consumer.pending_len() + if adopts { nacked.len } else { 0 });
        }
        for entry in group.pending_of(index, from.take().unwrap_or(StreamId::MIN)) {
            if out.len() >= enough {
                return Some(GroupPart::Consumers(written, Some(entry.id)));
            }
            out.raw(&entry.id.to_key());
        }
        if adopts {
            nacked.ids().for_each(|id| out.raw(&id.to_key()));
        }
        written += 1;
    }
    if nacked.needs_owner() {
        // No other server knows entries without an owner: there they belong to a consumer of this name.
        out.text(NACKED_OWNER);
        out.word(0);
        out.length(nacked.len);
        nacked.ids().for_each(|id| out.raw(&id.to_key()));
    }
    None
}
