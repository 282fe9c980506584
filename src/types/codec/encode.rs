//! Values to bytes, each in the oldest form that holds it, all at once or in parts.
//!
//! A collection of millions is written in steps, so that nobody waits for it. What is written then is its image of the moment at which
//! that began (`ds::image`), whatever becomes of it in between.

use super::beyond::{NACKED_OWNER, nacked};
use super::old_group::{self, GroupPart};
use super::{Chunk, Dialect, Form};
use crate::ds::deque::Content;
use crate::ds::image::ImageId;
use crate::ds::listpack::Builder;
use crate::ds::record::Payload;
use crate::types::hash::{self, Hash};
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::stream::{Group, History, NodeView, Pending, StreamBox, StreamId};
use crate::types::value::{self, Collection, Kind, Record};
use crate::types::zset::{self, Zset};

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
    let has_deadlines = hash.next_deadline().is_some();
    match (has_deadlines, dialect) {
        (false, _) if is_small => Form::HASH_LISTPACK,
        (true, Dialect::Redis) if is_small => Form::HASH_LISTPACK_DEADLINES,
        _ => hash_table_form(has_deadlines, dialect),
    }
}

fn hash_table_form(has_deadlines: bool, dialect: Dialect) -> Form {
    match (has_deadlines, dialect) {
        (false, _) => Form::HASH,
        (true, Dialect::Valkey) => Form::HASH_VALKEY,
        (true, Dialect::Redis) => Form::HASH_DEADLINES,
    }
}

/// Appends the whole value, without its form.
pub fn encode_value(record: &Record, dialect: Dialect, out: &mut Chunk) {
    match record.payload() {
        Payload::Inline(text) => out.text(text),
        Payload::Integer(value) => out.number(value),
        Payload::Blob(blob) => out.blob(blob.as_slice()),
        Payload::Word(_) => encode_collection(record, dialect, out),
    }
}

fn encode_collection(record: &Record, dialect: Dialect, out: &mut Chunk) {
    if let Some(list) = record.get::<List>() {
        out.length(list.nodes_len() as u64);
        list.nodes().for_each(|node| write_node(node, out));
    } else if let Some(set) = record.get::<Set>() {
        match set.as_intset() {
            Some(intset) => out.blob(intset.as_bytes()),
            None => {
                out.length(set.len() as u64);
                set.iter().for_each(|member| out.item(member));
            }
        }
    } else if let Some(zset) = record.get::<Zset>() {
        match zset.as_listpack() {
            Some(listpack) => out.blob(listpack.as_bytes()),
            None => {
                out.length(zset.len());
                // From the highest rank to the lowest: a skip list is built fastest that way.
                zset.entries(0..zset.len(), true).for_each(|entry| write_ranked(entry, out));
            }
        }
    } else if let Some(hash) = record.get::<Hash>() {
        encode_hash(hash, dialect, out);
    } else if let Some(stream) = record.get::<StreamBox>() {
        let log = stream.log();
        out.length(log.nodes_len() as u64);
        let mut builder = Builder::default();
        log.nodes().for_each(|node| write_stream_node(node, &mut builder, out));
        write_history(log.len(), log.first_id(), log.history(), out);
        out.length(stream.groups().len() as u64);
        stream.groups().for_each(|(name, group)| write_group(name, group, out));
    }
}

/// The image of a large collection, which is written in parts while the collection goes on changing.
pub struct Encoding {
    place: Place,
    dialect: Dialect,
}

/// What is to be written next.
enum Place {
    Done,
    Elements,
    /// A stream's groups; within the first that is not written, where.
    Groups(Option<GroupPart>),
}

impl Encoding {
    /// Begins the image of a large collection and writes what comes before its elements. `None` where it is not one that has an image, and
    /// nothing was written.
    pub fn begin(record: &mut Record, id: ImageId, dialect: Dialect, out: &mut Chunk) -> Option<Self> {
        if !value::begin_image(record, id) {
            return None;
        }
        if let Some(list) = record.get::<List>() {
            out.length(list.nodes_len() as u64);
        } else if let Some(set) = record.get::<Set>() {
            out.length(set.len() as u64);
        } else if let Some(zset) = record.get::<Zset>() {
            out.length(zset.len());
        } else if let Some(hash) = record.get::<Hash>() {
            write_hash_head(hash, dialect, out);
        } else if let Some(stream) = record.get::<StreamBox>() {
            out.length(stream.log().nodes_len() as u64);
        }
        Some(Self { place: Place::Elements, dialect })
    }

    pub fn is_done(&self) -> bool {
        matches!(self.place, Place::Done)
    }

    /// Writes about `budget` more bytes of the image; at the end of it the collection has none any more.
    pub fn go_on(&mut self, record: &mut Record, budget: usize, out: &mut Chunk) {
        let enough = out.len().saturating_add(budget);
        let has_more = match &mut self.place {
            Place::Done => return,
            Place::Elements => self.write_elements(record, enough, out),
            Place::Groups(part) => with(record, |stream: &mut StreamBox| write_old_groups(stream, part, enough, out)),
        };
        if has_more {
            return;
        }
        if let (Place::Elements, Some(stream)) = (&self.place, record.get::<StreamBox>()) {
            if let Some(old) = stream.old() {
                write_history(old.len, old.first_id, old.history, out);
                out.length(old.groups_len() as u64);
            }
            self.place = Place::Groups(None);
        } else {
            self.place = Place::Done;
            value::end_image(record);
        }
    }

    fn write_elements(&self, record: &mut Record, enough: usize, out: &mut Chunk) -> bool {
        match value::kind_of(record) {
            Kind::List => {
                with(record, |list: &mut List| go_on(enough, out, |out| list.step_image(|node| write_node(node, out))))
            }
            Kind::Set => {
                with(record, |set: &mut Set| go_on(enough, out, |out| set.step_image(|member| out.text(member))))
            }
            Kind::Zset => with(record, |zset: &mut Zset| {
                go_on(enough, out, |out| zset.step_image(|entry| write_ranked(entry, out)))
            }),
            Kind::Hash => with(record, |hash: &mut Hash| {
                let earliest = hash.image_next_deadline();
                let form = hash_table_form(earliest.is_some(), self.dialect);
                let earliest = earliest.unwrap_or(0);
                go_on(enough, out, |out| hash.step_image(|entry| write_field(entry, form, earliest, out)))
            }),
            Kind::Stream => with(record, |stream: &mut StreamBox| {
                let mut builder = Builder::default();
                go_on(enough, out, |out| stream.step_image(|node| write_stream_node(node, &mut builder, out)))
            }),
            Kind::String => false,
        }
    }
}

fn with<C: Collection>(record: &mut Record, write: impl FnOnce(&mut C) -> bool) -> bool {
    record.get_mut::<C>().is_some_and(write)
}

/// Writes step by step. Whether there is more.
fn go_on(enough: usize, out: &mut Chunk, mut step: impl FnMut(&mut Chunk) -> bool) -> bool {
    while step(out) {
        if out.len() >= enough {
            return true;
        }
    }
    false
}

fn write_node(node: Content<'_>, out: &mut Chunk) {
    const PLAIN: u64 = 1;
    const PACKED: u64 = 2;
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
}

fn write_ranked(entry: zset::Entry<'_>, out: &mut Chunk) {
    out.item(entry.member);
    out.word(entry.score.to_bits());
}

fn encode_hash(hash: &Hash, dialect: Dialect, out: &mut Chunk) {
    let form = hash_form(hash, dialect);
    match form {
        Form::HASH_LISTPACK => match hash.as_listpack() {
            Some(listpack) => out.blob(listpack.as_bytes()),
            // Room for deadlines, but none set: without it older servers read it, too.
            None => out.blob(without_deadlines(hash, &mut Builder::default()).as_bytes()),
        },
        Form::HASH_LISTPACK_DEADLINES => {
            out.word(hash.next_deadline().unwrap_or(0));
            if let Some(listpack) = hash.as_listpack_with_deadlines() {
                out.blob(listpack.as_bytes());
            }
        }
        _ => {
            write_hash_head(hash, dialect, out);
            let earliest = hash.next_deadline().unwrap_or(0);
            hash.iter(0).for_each(|entry| write_field(entry, form, earliest, out));
        }
    }
}

/// What comes before the fields of a hash that is no flat buffer in the file.
fn write_hash_head(hash: &Hash, dialect: Dialect, out: &mut Chunk) {
    if hash_form(hash, dialect) == Form::HASH_DEADLINES {
        out.word(hash.next_deadline().unwrap_or(0));
    }
    out.length(hash.len() as u64);
}

fn write_field(entry: hash::Entry<'_>, form: Form, earliest: u64, out: &mut Chunk) {
    if form == Form::HASH_DEADLINES {
        // A distance from the earliest, counted from 1.
        out.length(entry.deadline.map_or(0, |deadline| deadline - earliest + 1));
    }
    out.item(entry.field);
    out.item(entry.value);
    if form == Form::HASH_VALKEY {
        out.word(entry.deadline.unwrap_or(u64::MAX));
    }
}

fn without_deadlines(hash: &Hash, builder: &mut Builder) -> crate::ds::listpack::Listpack {
    for entry in hash.iter(0) {
        builder.push_item(entry.field);
        builder.push_item(entry.value);
    }
    builder.finish()
}

fn write_stream_node(node: NodeView<'_>, builder: &mut Builder, out: &mut Chunk) {
    out.blob(&node.base().to_key());
    out.blob(node.to_listpack(builder).as_bytes());
}

fn write_history(len: u64, first_id: StreamId, history: History, out: &mut Chunk) {
    out.length(len);
    for id in [history.last_id, first_id, history.max_deleted_id] {
        out.length(id.ms);
        out.length(id.seq);
    }
    out.length(history.entries_added);
}

fn write_old_groups(stream: &mut StreamBox, part: &mut Option<GroupPart>, enough: usize, out: &mut Chunk) -> bool {
    while let Some((name, group)) = stream.old_group() {
        let at = part.take().unwrap_or_else(|| old_group::begin(name, group, out));
        *part = old_group::go_on(group, at, enough, out);
        if part.is_some() {
            return true;
        }
        stream.pass_old_group();
    }
    false
}

/// All of a group at once. What is written in parts is `old_group`'s.
fn write_group(name: &[u8], group: &Group, out: &mut Chunk) {
    out.text(name);
    out.length(group.last_delivered_id().ms);
    out.length(group.last_delivered_id().seq);
    out.length(group.entries_read().unwrap_or(u64::MAX));
    out.length(group.pending_len());
    group.pending_from(StreamId::MIN).for_each(|entry| write_pending(entry, out));
    let nacked = nacked(group);
    out.length(group.consumers().len() as u64 + u64::from(nacked.needs_owner()));
    for (index, consumer) in group.consumers() {
        let adopts = nacked.len > 0 && consumer.name() == NACKED_OWNER;
        out.text(consumer.name());
        out.word(consumer.seen_ms());
        out.length(consumer.pending_len() + if adopts { nacked.len } else { 0 });
        group.pending_of(index, StreamId::MIN).for_each(|entry| out.raw(&entry.id.to_key()));
        if adopts {
            nacked.ids().for_each(|id| out.raw(&id.to_key()));
        }
    }
    if nacked.needs_owner() {
        // No other server knows entries without an owner: there they belong to a consumer of this name.
        out.text(NACKED_OWNER);
        out.word(0);
        out.length(nacked.len);
        nacked.ids().for_each(|id| out.raw(&id.to_key()));
    }
}

pub(super) fn write_pending(entry: Pending, out: &mut Chunk) {
    out.raw(&entry.id.to_key());
    out.word(entry.owner.map_or(0, |_| entry.delivered_ms));
    out.length(entry.deliveries);
}
