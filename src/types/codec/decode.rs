//! Bytes to values: every form that Redis up to 8.2, Valkey up to 9.1 and their ancestors write, and what is known of later ones.
//!
//! Nothing read here is trusted: what comes out holds every invariant of its type, or there is an error.

use super::{Dialect, Form, Malformed, Source, legacy};
use crate::ds::deque::Node;
use crate::ds::intset::Intset;
use crate::ds::item::{Item, ItemText};
use crate::ds::listpack::{Listpack, Packed};
use crate::ds::ranked::Gathering;
use crate::types::stream::{self, Group, History, Loader, Pending, ProducerLimits, Stream, StreamBox, StreamId};
use crate::types::value::{self, Record};
use crate::types::{hash, list, set, zset};
use crate::util::float::parse_f64;
use crate::util::number::{INTEGER_TEXT_MAX, parse_i64};

/// What decides about encodings.
#[derive(Clone, Copy)]
pub struct Limits {
    pub list: list::Limits,
    pub set: set::Limits,
    pub hash: hash::Limits,
    pub zset: zset::Limits,
}

/// Reads a value and makes a record of it. `None` where it holds nothing and so may not be stored. The dialect is the file's: one form has two
/// meanings.
#[inline]
pub fn decode<S: Source>(
    form: Form,
    key: &[u8],
    deadline: Option<u64>,
    dialect: Dialect,
    source: &mut S,
    limits: &Limits,
) -> Result<Option<Record>, Malformed> {
    if form == Form::STRING {
        let mut scratch = Vec::new();
        return Ok(Some(string_record(key, source.item(&mut scratch)?, deadline)));
    }
    decode_collection(form, key, deadline, dialect, source, limits)
}

fn string_record(key: &[u8], item: Item<'_>, deadline: Option<u64>) -> Record {
    match item {
        Item::Int(value) => Record::integer(key, value, deadline),
        Item::Bytes(text) => match if text.len() <= INTEGER_TEXT_MAX { parse_i64(text) } else { None } {
            Some(value) => Record::integer(key, value, deadline),
            None => Record::bytes(key, text, deadline),
        },
    }
}

fn decode_collection<S: Source>(
    form: Form,
    key: &[u8],
    deadline: Option<u64>,
    dialect: Dialect,
    source: &mut S,
    limits: &Limits,
) -> Result<Option<Record>, Malformed> {
    let record = match form {
        Form::LIST | Form::LIST_ZIPLIST | Form::LIST_QUICKLIST | Form::LIST_QUICKLIST_2 => {
            let list = read_list(form, source, limits)?;
            (!list.is_empty()).then(|| Record::word(key, list, deadline))
        }
        Form::SET | Form::SET_INTSET | Form::SET_LISTPACK => {
            let set = read_set(form, source, limits)?;
            (!set.is_empty()).then(|| Record::word(key, set, deadline))
        }
        Form::ZSET | Form::ZSET_2 | Form::ZSET_ZIPLIST | Form::ZSET_LISTPACK => {
            let zset = read_zset(form, source, limits)?;
            (!zset.is_empty()).then(|| Record::word(key, zset, deadline))
        }
        Form::STREAM => Some(stream_record(1, key, deadline, source)?),
        Form::STREAM_2 => Some(stream_record(2, key, deadline, source)?),
        Form::STREAM_3 => Some(stream_record(3, key, deadline, source)?),
        Form::STREAM_4 => Some(stream_record(4, key, deadline, source)?),
        Form::STREAM_5 => Some(stream_record(5, key, deadline, source)?),
        Form::MODULE | Form::MODULE_2 => {
            let name = module_name(source.length()?);
            return Err(Malformed(
                format!("the value is one of the module type '{name}', and there are no modules here").into(),
            ));
        }
        _ => {
            let hash = read_hash(form, dialect, source, limits)?;
            let is_timed = hash.next_deadline().is_some();
            (!hash.is_empty()).then(|| {
                let mut record = Record::word(key, hash, deadline);
                value::set_timed(&mut record, is_timed);
                record
            })
        }
    };
    Ok(record)
}

/// Reads past a module's data, which tells its own structure.
pub fn skip_module(source: &mut impl Source) -> Result<(), Malformed> {
    const END: u64 = 0;
    let mut scratch = Vec::new();
    loop {
        match source.length()? {
            END => return Ok(()),
            1 | 2 => _ = source.length()?,
            3 => _ = source.take(4)?,
            4 => _ = source.take(8)?,
            5 => source.text(&mut scratch)?,
            _ => return Err(Malformed::new("a module's data have an unknown part")),
        }
    }
}

/// Nine characters of six bits each, before ten bits of version.
pub fn module_name(id: u64) -> String {
    const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9).map(|place| char::from(CHARACTERS[(id >> (58 - 6 * place) & 0x3F) as usize])).collect()
}

/// Bytes that the file keeps as a text, whole.
fn blob<'a, S: Source>(source: &'a mut S, scratch: &'a mut Vec<u8>) -> Result<&'a [u8], Malformed> {
    match source.item(scratch)? {
        Item::Bytes(bytes) => Ok(bytes),
        Item::Int(_) => Err(Malformed::new("a number stands where a flat buffer belongs")),
    }
}

/// `broken` says what it is that is broken, in the words that Redis has for it: people look for them.
fn packed<'a>(bytes: &'a [u8], broken: &'static str) -> Result<&'a Packed, Malformed> {
    let fits = bytes.len() <= crate::ds::listpack::BYTES_MAX;
    fits.then(|| Packed::validate(bytes)).flatten().ok_or(Malformed::new(broken))
}

fn read_listpack<S: Source>(source: &mut S, broken: &'static str) -> Result<Listpack, Malformed> {
    let mut scratch = Vec::new();
    packed(blob(source, &mut scratch)?, broken).map(Listpack::from_packed)
}

fn read_ziplist<S: Source>(source: &mut S, broken: &'static str) -> Result<Listpack, Malformed> {
    let mut scratch = Vec::new();
    legacy::from_ziplist(blob(source, &mut scratch)?).ok_or(Malformed::new(broken))
}

/// Room made ahead for so many elements: what is announced may not be true.
fn room(count: usize) -> usize {
    count.min(1 << 22)
}

fn read_list<S: Source>(form: Form, source: &mut S, limits: &Limits) -> Result<list::List, Malformed> {
    if form == Form::LIST_ZIPLIST {
        let listpack = read_ziplist(source, "List ziplist integrity check failed")?;
        return Ok(list::List::of_nodes([Node::packed(&listpack)], &limits.list));
    }
    let count = source.count(1)?;
    let mut scratch = Vec::new();
    if form == Form::LIST {
        let mut list = list::List::new();
        let mut text = ItemText::default();
        for _ in 0..count {
            list.push(list::End::Back, source.item(&mut scratch)?.text(&mut text), &limits.list);
        }
        return Ok(list);
    }
    let mut trouble = None;
    let nodes = (0..count).map_while(|_| match read_node(form, source, &mut scratch) {
        Ok(node) => Some(node),
        Err(malformed) => {
            trouble = Some(malformed);
            None
        }
    });
    let list = list::List::of_nodes(nodes, &limits.list);
    trouble.map_or(Ok(list), Err)
}

fn read_node<S: Source>(form: Form, source: &mut S, scratch: &mut Vec<u8>) -> Result<Node, Malformed> {
    const PLAIN: u64 = 1;
    const PACKED: u64 = 2;
    if form == Form::LIST_QUICKLIST {
        let node = legacy::from_ziplist(blob(source, scratch)?);
        return Ok(Node::packed(&node.ok_or(Malformed::new("List ziplist integrity check failed"))?));
    }
    match source.length()? {
        PLAIN => match source.item(scratch)?.text(&mut ItemText::default()) {
            [] => Err(Malformed::new("a list's node is empty")),
            text => Ok(Node::plain(text)),
        },
        PACKED => Ok(Node::packed(packed(blob(source, scratch)?, "List listpack integrity check failed")?)),
        _ => Err(Malformed::new("a list's node is of an unknown kind")),
    }
}

fn read_set<S: Source>(form: Form, source: &mut S, limits: &Limits) -> Result<set::Set, Malformed> {
    const TWICE: Malformed = Malformed::new("a member of a set comes up twice");
    let mut scratch = Vec::new();
    match form {
        Form::SET_INTSET => {
            let intset = Intset::from_bytes(blob(source, &mut scratch)?)
                .ok_or(Malformed::new("Intset integrity check failed"))?;
            Ok(set::Set::from_intset(intset, &limits.set))
        }
        Form::SET_LISTPACK => {
            let listpack = read_listpack(source, "Set listpack integrity check failed")?;
            set::Set::from_listpack(listpack, &limits.set).ok_or(TWICE)
        }
        _ => {
            let count = source.count(1)?;
            let mut set = set::Set::for_loading(room(count), &limits.set);
            let mut text = ItemText::default();
            for _ in 0..count {
                if !set.add(source.item(&mut scratch)?.text(&mut text), &limits.set) {
                    return Err(TWICE);
                }
            }
            Ok(set)
        }
    }
}

fn read_zset<S: Source>(form: Form, source: &mut S, limits: &Limits) -> Result<zset::Zset, Malformed> {
    const BROKEN: Malformed = Malformed::new("a sorted set has a member twice, or a score that is no number");
    let from_listpack = |listpack| zset::Zset::from_listpack(listpack, &limits.zset).ok_or(BROKEN);
    match form {
        Form::ZSET_LISTPACK => from_listpack(read_listpack(source, "Zset listpack integrity check failed")?),
        Form::ZSET_ZIPLIST => from_listpack(read_ziplist(source, "Zset ziplist integrity check failed")?),
        _ => {
            let count = source.count(2)?;
            let mut gathering = Gathering::new(limits.zset.seed, room(count));
            let (mut member, mut text) = (Vec::new(), ItemText::default());
            let mut scratch = Vec::new();
            for _ in 0..count {
                member.clear();
                member.extend_from_slice(source.item(&mut scratch)?.text(&mut text));
                let score = if form == Form::ZSET_2 { f64::from_bits(source.word()?) } else { text_score(source)? };
                if score.is_nan() || !gathering.add(&member, score) {
                    return Err(BROKEN);
                }
            }
            Ok(zset::Zset::from_gathering(gathering, &limits.zset))
        }
    }
}

/// A score as versions up to 7 wrote it: the length of its text, or what it is in place of one.
fn text_score<S: Source>(source: &mut S) -> Result<f64, Malformed> {
    match source.byte()? {
        255 => Ok(f64::NEG_INFINITY),
        254 => Ok(f64::INFINITY),
        253 => Ok(f64::NAN),
        length => parse_f64(source.take(usize::from(length))?).ok_or(Malformed::new("a score is no number")),
    }
}

fn read_hash<S: Source>(
    form: Form,
    dialect: Dialect,
    source: &mut S,
    limits: &Limits,
) -> Result<hash::Hash, Malformed> {
    const BROKEN: Malformed = Malformed::new("Hash listpack with dup elements, or with a field that has no value");
    let from_pairs = |listpack| hash::Hash::from_listpack(listpack, &limits.hash).ok_or(BROKEN);
    let mut scratch = Vec::new();
    match form {
        Form::HASH_LISTPACK => from_pairs(read_listpack(source, "Hash listpack integrity check failed")?),
        Form::HASH_ZIPLIST => from_pairs(read_ziplist(source, "Hash ziplist integrity check failed")?),
        Form::HASH_ZIPMAP => {
            let pairs = legacy::from_zipmap(blob(source, &mut scratch)?)?;
            hash::Hash::from_zipmap(pairs, &limits.hash).ok_or(Malformed::new("Hash zipmap with dup elements"))
        }
        Form::HASH_LISTPACK_DEADLINES | Form::HASH_LISTPACK_DEADLINES_EARLY => {
            if form == Form::HASH_LISTPACK_DEADLINES {
                // The earliest deadline, which the listpack begins with, too.
                source.word()?;
            }
            let listpack = read_listpack(source, "Hash listpack integrity check failed")?;
            hash::Hash::from_listpack_with_deadlines(listpack, &limits.hash)
                .ok_or(Malformed::new("a hash has a field twice, or one without a value or deadline"))
        }
        Form::HASH => read_fields(Deadlines::None, source, limits),
        Form::HASH_VALKEY if dialect == Dialect::Valkey => read_fields(Deadlines::Behind, source, limits),
        Form::HASH_VALKEY => read_fields(Deadlines::Before { earliest: None }, source, limits),
        Form::HASH_DEADLINES => {
            let earliest = Some(source.word()?);
            read_fields(Deadlines::Before { earliest }, source, limits)
        }
        Form(other) => Err(Malformed(format!("values of type {other} are unknown").into())),
    }
}

/// Where the deadline of a field stands.
#[derive(Clone, Copy)]
enum Deadlines {
    None,
    /// Before the field, counted from 1 at the earliest where that is told, else as it is; 0 for none.
    Before {
        earliest: Option<u64>,
    },
    /// Behind the value, all bits set for none.
    Behind,
}

fn read_fields<S: Source>(deadlines: Deadlines, source: &mut S, limits: &Limits) -> Result<hash::Hash, Malformed> {
    let count = source.count(2)?;
    let mut hash = hash::Hash::for_loading(room(count), &limits.hash);
    let (mut field, mut scratch) = (Vec::new(), Vec::new());
    let (mut value, mut text) = (Vec::new(), ItemText::default());
    for _ in 0..count {
        let before = match deadlines {
            Deadlines::Before { earliest } => field_deadline(source.length()?, earliest)?,
            _ => None,
        };
        source.text(&mut field)?;
        let is_new = if let Deadlines::Behind = deadlines {
            source.text(&mut value)?;
            let deadline = Some(source.word()?).filter(|&word| word <= i64::MAX as u64);
            hash.put(&field, &value, deadline, 0, &limits.hash)
        } else {
            hash.put(&field, source.item(&mut scratch)?.text(&mut text), before, 0, &limits.hash)
        };
        if !is_new {
            return Err(Malformed::new("a hash has a field twice"));
        }
    }
    Ok(hash)
}

fn field_deadline(told: u64, earliest: Option<u64>) -> Result<Option<u64>, Malformed> {
    if told == 0 {
        return Ok(None);
    }
    let deadline = match earliest {
        Some(earliest) => earliest.checked_add(told - 1),
        None => Some(told),
    };
    deadline
        .filter(|&deadline| deadline <= i64::MAX as u64)
        .map(Some)
        .ok_or(Malformed::new("a field's deadline is out of range"))
}

fn stream_record<S: Source>(
    version: u8,
    key: &[u8],
    deadline: Option<u64>,
    source: &mut S,
) -> Result<Record, Malformed> {
    Ok(Record::word(key, StreamBox::from(read_stream(version, source)?), deadline))
}

fn read_stream<S: Source>(version: u8, source: &mut S) -> Result<Stream, Malformed> {
    let mut loader = Loader::new();
    let mut scratch = Vec::new();
    for _ in 0..source.count(18)? {
        let base: [u8; 16] =
            blob(source, &mut scratch)?.try_into().map_err(|_| Malformed::new("a stream node's id is no id"))?;
        let node = packed(blob(source, &mut scratch)?, "Stream listpack integrity check failed")?;
        loader.node(StreamId::from_key(base), node).map_err(|malformed| {
            Malformed(format!("Stream listpack integrity check failed: {}", malformed.0).into())
        })?;
    }
    let len = source.length()?;
    let last_id = length_id(source)?;
    let history = if version >= 2 {
        length_id(source)?;
        History { last_id, max_deleted_id: length_id(source)?, entries_added: source.length()? }
    } else {
        History { last_id, max_deleted_id: StreamId::MIN, entries_added: len }
    };
    let mut stream = loader.finish(history)?;
    for _ in 0..source.count(5)? {
        read_group(version, &mut stream, source)?;
    }
    if version >= 4 {
        read_producers(&mut stream, source)?;
    }
    Ok(stream)
}

fn length_id<S: Source>(source: &mut S) -> Result<StreamId, Malformed> {
    Ok(StreamId { ms: source.length()?, seq: source.length()? })
}

fn read_group<S: Source>(version: u8, stream: &mut Stream, source: &mut S) -> Result<(), Malformed> {
    let mut name = Vec::new();
    source.text(&mut name)?;
    let last_delivered_id = length_id(source)?;
    let entries_read = match version {
        // Nobody counted then; it is told from where the group stands.
        1 => stream.entries_up_to(last_delivered_id),
        _ => Some(source.length()?).filter(|&read| read <= i64::MAX as u64),
    };
    let mut pending = read_pending(source)?;
    let Some(group) = stream.create_group(&name, last_delivered_id, entries_read) else {
        return Err(Malformed::new("Duplicated consumer group name in a stream"));
    };
    for _ in 0..source.count(10)? {
        read_consumer(version, group, &mut pending, source)?;
    }
    if version < 5 && pending.iter().any(|entry| entry.owner.is_none()) {
        return Err(Malformed::new("a stream's entry is pending and nobody's"));
    }
    // Without an owner there is no time of delivery, but a turn.
    pending.iter_mut().filter(|entry| entry.owner.is_none()).for_each(|entry| entry.delivered_ms = 0);
    if version >= 5 {
        for turn in 0..source.count(16)? {
            let id = source.id()?;
            owned_by_nobody(&mut pending, id)?.delivered_ms = turn as u64;
        }
    }
    group.put_pending(&pending);
    Ok(())
}

fn read_pending<S: Source>(source: &mut S) -> Result<Vec<Pending>, Malformed> {
    let count = source.count(25)?;
    let mut pending: Vec<Pending> = Vec::with_capacity(room(count));
    for _ in 0..count {
        let entry =
            Pending { id: source.id()?, delivered_ms: source.word()?, deliveries: source.length()?, owner: None };
        if pending.last().is_some_and(|last| last.id >= entry.id) {
            return Err(Malformed::new("a group's pending entries do not ascend"));
        }
        pending.push(entry);
    }
    Ok(pending)
}

fn read_consumer<S: Source>(
    version: u8,
    group: &mut Group,
    pending: &mut [Pending],
    source: &mut S,
) -> Result<(), Malformed> {
    let mut name = Vec::new();
    source.text(&mut name)?;
    let seen_ms = source.word()?;
    let (owner, is_new) = group.consumer_or_new(&name, seen_ms);
    if !is_new {
        return Err(Malformed::new("Duplicate stream consumer detected"));
    }
    // Before version 3 nobody knew. All bits set: never.
    let active_ms =
        if version >= 3 { Some(source.word()?).filter(|&word| word <= i64::MAX as u64) } else { Some(seen_ms) };
    group.set_active(owner, active_ms);
    for _ in 0..source.count(16)? {
        let id = source.id()?;
        owned_by_nobody(pending, id)?.owner = Some(owner);
    }
    Ok(())
}

fn owned_by_nobody(pending: &mut [Pending], id: StreamId) -> Result<&mut Pending, Malformed> {
    let at = pending.binary_search_by_key(&id, |entry| entry.id);
    let at = at.map_err(|_| Malformed::new("a consumer's entry is not pending in its group"))?;
    Some(&mut pending[at])
        .filter(|entry| entry.owner.is_none())
        .ok_or(Malformed::new("a pending entry belongs to two consumers"))
}

/// What Redis 8.6 adds: limits, then the messages of each producer, then two counters.
fn read_producers<S: Source>(stream: &mut Stream, source: &mut S) -> Result<(), Malformed> {
    let (remembered_s, messages_max) = (source.length()?, source.length()?);
    let limits = stream::ProducerLimits {
        remembered_s: remembered_s.clamp(1, ProducerLimits::REMEMBERED_S_MAX),
        messages_max: (messages_max.clamp(1, ProducerLimits::MESSAGES_MAX as u64)) as usize,
    };
    let count = source.count(2)?;
    let mut messages = Vec::new();
    for _ in 0..count {
        let (mut producer, mut message) = (Vec::new(), Vec::new());
        source.text(&mut producer)?;
        for _ in 0..source.count(3)? {
            source.text(&mut message)?;
            messages.push((producer.clone(), message.clone(), length_id(source)?));
        }
    }
    let (added, duplicates) = (source.length()?, source.length()?);
    if count > 0 || added > 0 || limits != ProducerLimits::DEFAULT {
        let producers = stream.producers_or_new(limits);
        messages.iter().for_each(|(producer, message, id)| producers.restore(producer, message, *id));
        producers.restore_counters(added, duplicates);
    }
    Ok(())
}
