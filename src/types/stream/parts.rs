//! A stream taken apart for a file and put together from one: each node as Redis's listpack, history, and nothing half-built.
//!
//! Groups and producers need no form of their own: a loader fills them through the same methods as commands do.

use super::log::Log;
use super::node::{Entry, Node};
use super::{Stream, StreamId};
use crate::ds::item::{Item, ItemText};
use crate::ds::listpack::{Builder, Listpack, Packed};

/// One node, to be written.
pub struct NodeView<'a>(&'a Node);

/// Puts a stream together node by node.
pub struct Loader {
    log: Log,
}

/// What a stream knows of its past beyond the entries it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    pub last_id: StreamId,
    pub max_deleted_id: StreamId,
    pub entries_added: u64,
}

/// The parts do not make a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// The flags of an entry in Redis's listpack.
const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;

impl Log {
    /// The nodes in order.
    pub fn nodes(&self) -> impl Iterator<Item = NodeView<'_>> {
        std::iter::successors(self.first_node(), |node| self.node_after(node)).map(NodeView)
    }

    /// The nodes behind the one with this first id.
    pub fn nodes_after(&self, base: Option<StreamId>) -> impl Iterator<Item = NodeView<'_>> {
        std::iter::successors(self.node_from(base), |node| self.node_after(node)).map(NodeView)
    }

    pub fn history(&self) -> History {
        History { last_id: self.last_id(), max_deleted_id: self.max_deleted_id(), entries_added: self.entries_added() }
    }
}

impl<'a> NodeView<'a> {
    pub(super) fn of(node: &'a Node) -> Self {
        Self(node)
    }
}

impl NodeView<'_> {
    /// The first id, deleted or not, from which the listpack counts.
    pub fn base(&self) -> StreamId {
        self.0.base()
    }

    /// The node as a listpack:
    ///
    /// ```text
    ///   live · dead · names · (name)… · 0        once
    ///   flags · ms · seq · (value)… · length     an entry that shares the names     ms, seq: distances from the first id
    ///   flags · ms · seq · names · (name · value)… · length                         length: elements to step back over
    /// ```
    pub fn to_listpack(&self, builder: &mut Builder) -> Listpack {
        let node = self.0;
        builder.push_int(node.alive() as i64);
        builder.push_int(node.slots() as i64 - node.alive() as i64);
        builder.push_int(node.shared_names().len() as i64);
        node.shared_names().for_each(|name| builder.push(name));
        builder.push_int(0);
        for at in 0..node.slots() {
            write_entry(node, at, builder);
        }
        builder.finish()
    }
}

fn write_entry(node: &Node, at: usize, builder: &mut Builder) {
    let Entry { id, fields } = node.entry(at);
    let own_names = node.has_own_names(at);
    builder.push_int(if node.is_dead(at) { DELETED } else { 0 } | if own_names { 0 } else { SAME_FIELDS });
    builder.push_int(id.ms.wrapping_sub(node.base().ms) as i64);
    builder.push_int(id.seq.wrapping_sub(node.base().seq) as i64);
    let count = fields.len() as i64;
    if own_names {
        builder.push_int(count);
    }
    for (name, value) in fields {
        if own_names {
            builder.push(name);
        }
        builder.push(value);
    }
    builder.push_int(if own_names { 2 * count + 4 } else { count + 3 });
}

impl Loader {
    #[expect(clippy::new_without_default, reason = "a loader is used once, by name")]
    pub fn new() -> Self {
        Self { log: Log::new() }
    }

    /// The next node, by its first id. Everything in it is checked.
    pub fn node(&mut self, base: StreamId, listpack: &Packed) -> Result<(), Malformed> {
        if self.log.last_node().is_some_and(|node| node.last_id() >= base) {
            return Err(Malformed("the nodes of a stream are not in order"));
        }
        let node = read_node(base, listpack)?;
        self.log.adopt(Box::new(node));
        Ok(())
    }

    /// The whole stream, without groups.
    pub fn finish(mut self, history: History) -> Result<Stream, Malformed> {
        let top = self.log.last_node().map(Node::last_id);
        if top.is_some_and(|top| top > history.last_id) {
            return Err(Malformed("a stream's last id is below its last entry"));
        }
        if history.entries_added < self.log.len() {
            return Err(Malformed("a stream has more entries than were ever added"));
        }
        self.log.restore_history(history.last_id, history.entries_added, history.max_deleted_id);
        self.log.find_first_id();
        let mut stream = Stream::new();
        stream.log = self.log;
        Ok(stream)
    }
}

fn read_node(base: StreamId, listpack: &Packed) -> Result<Node, Malformed> {
    let mut items = Items { iter: listpack.iter().map(|(_, item)| item) };
    let alive = items.count()?;
    let dead = items.count()?;
    let names: Vec<Vec<u8>> = (0..items.count()?).map(|_| items.text()).collect::<Result<_, _>>()?;
    if items.int()? != 0 {
        return Err(Malformed("a stream node's names do not end with a zero"));
    }
    let shared = names.iter().map(|name| (name.as_slice(), [].as_slice()));
    let mut node = Node::new(base, shared);
    let mut texts = Vec::new();
    while let Some(flags) = items.iter.next() {
        read_entry(&mut node, flags.as_int(), &names, &mut items, &mut texts)?;
    }
    if node.alive() == 0 || node.id(0) != base {
        return Err(Malformed("a stream node does not begin with its first id, or is empty"));
    }
    if node.alive() != alive as u64 || node.slots() as u64 - node.alive() != dead as u64 {
        return Err(Malformed("a stream node's counts are not those of its entries"));
    }
    Ok(node)
}

fn read_entry<'a>(
    node: &mut Node,
    flags: Option<i64>,
    names: &[Vec<u8>],
    items: &mut Items<impl Iterator<Item = Item<'a>>>,
    texts: &mut Vec<Vec<u8>>,
) -> Result<(), Malformed> {
    let flags = flags.ok_or(Malformed("a stream entry's flags are no number"))?;
    let ms = node.base().ms.wrapping_add(items.int()? as u64);
    let seq = node.base().seq.wrapping_add(items.int()? as u64);
    let id = StreamId { ms, seq };
    let first = node.slots() == 0;
    if id < node.base() || (!first && id <= node.last_id()) || !node.has_place() {
        return Err(Malformed("a stream node's ids do not ascend"));
    }
    texts.clear();
    let length = if flags & SAME_FIELDS != 0 {
        for name in names {
            texts.push(name.clone());
            texts.push(items.text()?);
        }
        names.len() + 3
    } else {
        let count = items.count()?;
        for _ in 0..count.checked_mul(2).ok_or(Malformed("a stream entry has too many fields"))? {
            texts.push(items.text()?);
        }
        2 * count + 4
    };
    if items.int()? != length as i64 {
        return Err(Malformed("a stream entry's length is not what it has"));
    }
    let pairs = texts.chunks_exact(2).map(|pair| (pair[0].as_slice(), pair[1].as_slice()));
    node.push(id, pairs);
    if flags & DELETED != 0 {
        node.kill(node.slots() - 1);
    }
    Ok(())
}

/// Takes elements off a listpack as what they ought to be.
struct Items<I> {
    iter: I,
}

impl<'a, I: Iterator<Item = Item<'a>>> Items<I> {
    fn item(&mut self) -> Result<Item<'a>, Malformed> {
        self.iter.next().ok_or(Malformed("a stream node ends in the middle of an entry"))
    }

    fn int(&mut self) -> Result<i64, Malformed> {
        self.item()?.as_int().ok_or(Malformed("a stream node has a text where a number belongs"))
    }

    fn count(&mut self) -> Result<usize, Malformed> {
        u32::try_from(self.int()?)
            .map(|count| count as usize)
            .map_err(|_| Malformed("a stream node has a count below zero"))
    }

    fn text(&mut self) -> Result<Vec<u8>, Malformed> {
        Ok(self.item()?.text(&mut ItemText::default()).to_vec())
    }
}
