//! A long sequence of small elements: listpack nodes in a row, cheap at both ends and anywhere in between.
//!
//! The two end nodes are kept at hand, the others in a ring of chunks (`middle`); a node is a listpack with room on
//! both sides (`node`). How full a node may be is told with each call. What users call the encodings, and when a
//! sequence is small enough to need none of this, is the list type's business.

mod middle;
mod node;
mod old;

use super::image::ImageId;
use super::item::Item;
use super::listpack::{self, Encoded, Position};
use middle::{Middle, Slot};
use node::Room;
pub use node::{Content, End, Node};

/// How much a node may hold.
#[derive(Clone, Copy, Debug)]
pub struct Fill {
    pub bytes_max: usize,
    pub count_max: usize,
}

/// What one more entry is taken to need beside its text when a node is asked whether it has room: the rule that
/// decides where nodes end, so that ours end where Redis's do.
const ENTRY_OVERHEAD: usize = 8;

impl Fill {
    #[inline]
    pub fn exceeded(&self, bytes: usize, count: usize) -> bool {
        bytes > self.bytes_max || count > self.count_max
    }

    /// Whether an element of that size gets a node of its own.
    #[inline]
    pub fn is_large(&self, text_bytes: usize) -> bool {
        text_bytes > self.bytes_max
    }

    /// Whether the node takes one more element.
    #[inline]
    fn admits(&self, node: &Node, text_bytes: usize) -> bool {
        !node.is_plain() && !self.exceeded(node.bytes() + text_bytes + ENTRY_OVERHEAD, node.count() + 1)
    }

    fn admits_merge(&self, one: &Node, two: &Node) -> bool {
        let bytes = one.bytes() + two.bytes() - listpack::EMPTY_BYTES;
        !one.is_plain() && !two.is_plain() && !self.exceeded(bytes, one.count() + two.count())
    }

    #[inline]
    fn room(&self, end: Option<End>) -> Room {
        Room { bytes_max: self.bytes_max, end }
    }
}

/// ```text
///   front ── middle: [node node … ][ … ][ … node node] ── back        all full or nearly so but the two ends
/// ```
/// A deque of one node has only the front. The front is without elements only when the deque is.
pub struct Deque {
    front: Node,
    back: Option<Node>,
    middle: Middle,
    items: usize,
    /// A mark for the owner, who may want to tell two kinds of deques apart.
    pub mark: bool,
    /// What it was at a moment that a snapshot wants to know of.
    image: Option<Box<Image>>,
}

/// The ends as they were; the middle sees to its own.
struct Image {
    id: ImageId,
    front: Option<Node>,
    back: Option<Node>,
}

/// Bytes of nodes that are shown in one step of an image.
const IMAGE_STEP_BYTES: usize = 16 * 1024;

/// A node's place in the row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    Front,
    Middle(Slot),
    Back,
}

/// An element's place: its node, and its position there (a plain node has only the one).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor {
    pub place: Place,
    position: Option<Position>,
}

impl Deque {
    /// A deque of these nodes, those without elements left out.
    pub fn from_nodes(nodes: impl IntoIterator<Item = Node>) -> Self {
        let mut deque =
            Self { front: Node::empty(), back: None, middle: Middle::default(), items: 0, mark: false, image: None };
        for node in nodes.into_iter().filter(|node| node.count() > 0) {
            deque.add_node(End::Back, node);
        }
        deque
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.items
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// The number of nodes.
    #[inline]
    pub fn nodes_len(&self) -> usize {
        1 + self.middle.nodes() + usize::from(self.back.is_some())
    }

    /// The nodes in order, each a complete listpack or a plain element.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = &Node> {
        std::iter::once(&self.front).chain(self.middle.iter()).chain(&self.back)
    }

    #[inline]
    pub fn front(&self) -> &Node {
        &self.front
    }

    /// Adds an element at an end: to the node there, or to a new one.
    #[inline]
    pub fn push(&mut self, end: End, text: &[u8], fill: &Fill) {
        let sole = self.back.is_none();
        let node = match (end, &mut self.back) {
            (End::Back, Some(back)) => back,
            _ => &mut self.front,
        };
        if fill.admits(node, text.len()) {
            node.push(end, &Encoded::new(text), fill.room((!sole).then_some(end)));
            self.items += 1;
        } else {
            self.add_node(end, new_node(text, fill, end));
        }
    }

    /// Adds an element at an end of the only node, however large that grows.
    #[inline]
    pub fn push_to_front_node(&mut self, end: End, text: &[u8], fill: &Fill) {
        debug_assert!(self.back.is_none());
        self.front.push(end, &Encoded::new(text), fill.room(None));
        self.items += 1;
    }

    /// Takes the element at an end, after `read` has looked at it.
    #[inline]
    pub fn pop<R>(&mut self, end: End, read: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let node = match (end, &mut self.back) {
            (End::Back, Some(back)) => back,
            _ => &mut self.front,
        };
        let result = match node.content() {
            Content::Plain(text) => read(Item::Bytes(text)),
            Content::Packed(packed) => {
                let position = if end == End::Front { packed.first() } else { packed.last() }?;
                let (item, size) = packed.entry(position);
                let result = read(item);
                if node.count() > 1 {
                    node.drop_end(end, size);
                    self.items -= 1;
                    return Some(result);
                }
                result
            }
        };
        let sole = self.back.is_none();
        self.remove_node(if end == End::Front || sole { Place::Front } else { Place::Back });
        Some(result)
    }

    /// The place of element `index`.
    #[inline]
    pub fn seek(&self, index: usize) -> Option<Cursor> {
        let (place, within) = self.seek_node(index)?;
        let position = self.node(place).as_packed().and_then(|packed| packed.seek(within as i64));
        Some(Cursor { place, position })
    }

    fn seek_node(&self, index: usize) -> Option<(Place, usize)> {
        if index >= self.items {
            return None;
        }
        let (front, back) = (self.front.count(), self.back.as_ref().map_or(0, Node::count));
        if index < front {
            return Some((Place::Front, index));
        }
        if index >= self.items - back {
            return Some((Place::Back, index - (self.items - back)));
        }
        let (slot, within) = self.middle.seek(index - front, self.items - front - back)?;
        Some((Place::Middle(slot), within))
    }

    #[inline]
    pub fn at(&self, cursor: Cursor) -> Item<'_> {
        match (self.node(cursor.place).content(), cursor.position) {
            (Content::Packed(packed), Some(position)) => packed.at(position),
            (Content::Plain(text), _) => Item::Bytes(text),
            (Content::Packed(_), None) => Item::Bytes(&[]),
        }
    }

    /// The elements from `index` to the end.
    #[inline]
    pub fn iter_from(&self, index: usize) -> Forward<'_> {
        let mut forward = Forward { entries: listpack::Iter::default(), plain: None, walk: None };
        if let Some(Cursor { place, position }) = self.seek(index) {
            forward.walk = Some((self, place));
            match (self.node(place).content(), position) {
                (Content::Packed(packed), Some(position)) => forward.entries = packed.iter_from(position),
                (content, _) => forward.read(content),
            }
        }
        forward
    }

    /// The elements from `index` back to the first.
    #[inline]
    pub fn iter_back_from(&self, index: usize) -> Backward<'_> {
        let mut backward = Backward(Forward { entries: listpack::Iter::default(), plain: None, walk: None });
        if let Some(Cursor { place, position }) = self.seek(index) {
            backward.0.walk = Some((self, place));
            match (self.node(place).content(), position) {
                (Content::Packed(packed), Some(position)) => backward.0.entries = packed.iter_to(position),
                (content, _) => backward.0.read(content),
            }
        }
        backward
    }

    /// The place of the first element equal to `text`.
    pub fn find(&self, text: &[u8]) -> Option<Cursor> {
        let mut place = Some(Place::Front);
        while let Some(at) = place {
            match self.node(at).content() {
                Content::Plain(plain) if plain == text => return Some(Cursor { place: at, position: None }),
                Content::Plain(_) => {}
                Content::Packed(packed) => {
                    if let Some(position) = packed.find(text, None, 0) {
                        return Some(Cursor { place: at, position: Some(position) });
                    }
                }
            }
            place = self.next(at);
        }
        None
    }

    /// Overwrites the element at a place.
    pub fn replace(&mut self, cursor: Cursor, text: &[u8], fill: &Fill) {
        match cursor.position {
            Some(position) if !fill.is_large(text.len()) => {
                let room = fill.room(None);
                self.change(cursor.place, |node| node.replace(position, &Encoded::new(text), room));
            }
            None if fill.is_large(text.len()) => self.change(cursor.place, |node| *node = Node::plain(text)),
            _ => {
                // The new element goes behind the old one, which keeps its position, as the last of its node.
                let ordinal = self.ordinal(cursor.place);
                self.insert(cursor, true, text, fill);
                let Some(place) = self.place(ordinal) else { return };
                let alone = self.node(place).count() == 1;
                self.delete(Cursor { place, ..cursor });
                if !alone {
                    self.merge_around(ordinal + 1, fill);
                }
            }
        }
    }

    /// Puts an element beside the one at a place.
    pub fn insert(&mut self, cursor: Cursor, behind: bool, text: &[u8], fill: &Fill) {
        let Cursor { place, position } = cursor;
        let node = self.node(place);
        // Where in the node: in front of this position, or, for none, at an edge of it.
        let edge = if behind { End::Back } else { End::Front };
        let inside = match (node.as_packed(), position) {
            (Some(packed), Some(position)) if behind => packed.next(position),
            (Some(packed), Some(position)) if packed.first() != Some(position) => Some(position),
            _ => None,
        };
        if fill.admits(node, text.len()) && !fill.is_large(text.len()) {
            return self.insert_into(place, inside, edge, text, fill);
        }
        if let Some(inside) = inside {
            return self.insert_splitting(place, inside, behind, text, fill);
        }
        let neighbour = if behind { self.next(place) } else { self.prev(place) };
        match neighbour.filter(|&at| fill.admits(self.node(at), text.len()) && !fill.is_large(text.len())) {
            Some(at) => self.insert_into(at, None, if behind { End::Front } else { End::Back }, text, fill),
            None => self.insert_node(place, behind, new_node(text, fill, End::Back)),
        }
    }

    fn insert_into(&mut self, place: Place, inside: Option<Position>, edge: End, text: &[u8], fill: &Fill) {
        let (encoded, room) = (Encoded::new(text), fill.room(None));
        self.change(place, |node| match inside {
            Some(position) => node.insert(position, &encoded, room),
            None => node.push(edge, &encoded, room),
        });
    }

    /// Splits a full node where the element belongs. A large element comes between the halves, any other one into the
    /// half that does not hold its neighbour; what has become small is joined with what is around it.
    fn insert_splitting(&mut self, place: Place, inside: Position, behind: bool, text: &[u8], fill: &Fill) {
        let Some(tail) = self.change(place, |node| node.split_off(inside)) else { return };
        let ordinal = self.ordinal(place);
        self.insert_node(place, true, tail);
        let half = if behind { ordinal + 1 } else { ordinal };
        match (self.place(ordinal), self.place(half)) {
            (Some(head), _) if fill.is_large(text.len()) => self.insert_node(head, true, Node::plain(text)),
            (_, Some(half)) => {
                let edge = if behind { End::Front } else { End::Back };
                self.insert_into(half, None, edge, text, fill);
                self.merge_around(if behind { ordinal } else { ordinal + 1 }, fill);
            }
            _ => {}
        }
    }

    /// Joins the node of this ordinal and its neighbours, pair by pair, where two fit into one.
    fn merge_around(&mut self, ordinal: usize, fill: &Fill) {
        let mut centre = ordinal;
        if centre >= 2 && self.merge(centre - 2, fill) {
            centre -= 1;
        }
        self.merge(centre + 1, fill);
        if centre >= 1 && self.merge(centre - 1, fill) {
            centre -= 1;
        }
        self.merge(centre, fill);
    }

    /// Joins the node of this ordinal with the next, where they fit into one.
    fn merge(&mut self, ordinal: usize, fill: &Fill) -> bool {
        let (Some(one), Some(two)) = (self.place(ordinal), self.place(ordinal + 1)) else { return false };
        if !fill.admits_merge(self.node(one), self.node(two)) {
            return false;
        }
        let tail = self.remove_node(two);
        // Taking the last node away may have made this one the last.
        if let (Some(one), Some(tail)) = (self.place(ordinal), tail) {
            self.change(one, |node| node.append(&tail));
        }
        true
    }

    /// Removes the element at a place.
    pub fn delete(&mut self, cursor: Cursor) {
        match cursor.position {
            Some(position) if self.node(cursor.place).count() > 1 => {
                self.change(cursor.place, |node| node.delete_run(position, 1));
            }
            _ => self.discard_node(cursor.place),
        }
    }

    /// Removes `count` elements from `index` on.
    pub fn delete_range(&mut self, index: usize, count: usize) {
        let Some((mut place, mut within)) = self.seek_node(index) else { return };
        let mut left = count.min(self.items - index);
        while left > 0 {
            let size = self.node(place).count();
            let here = left.min(size - within);
            left -= here;
            let after = if here == size {
                self.discard_node(place);
                self.settle(place)
            } else {
                self.change(place, |node| {
                    let position = node.as_packed().and_then(|packed| packed.seek(within as i64));
                    position.into_iter().for_each(|position| node.delete_run(position, here));
                });
                self.next(place)
            };
            within = 0;
            match after {
                Some(after) => place = after,
                None => break,
            }
        }
        self.middle.tidy();
    }

    /// Removes up to `limit` elements equal to `text`, walking from the given end. Gives their number.
    pub fn delete_equal(&mut self, text: &[u8], from: End, limit: usize) -> usize {
        let mut removed = 0;
        let mut place = match from {
            End::Back if self.back.is_some() => Some(Place::Back),
            _ => Some(Place::Front),
        };
        while let Some(at) = place.filter(|_| removed < limit && self.items > 0) {
            let before = if from == End::Back { self.prev(at) } else { None };
            removed += self.delete_equal_in(at, text, from, limit - removed);
            let gone = self.node(at).count() == 0;
            if gone {
                self.discard_node(at);
            }
            place = match from {
                End::Front if gone => self.settle(at),
                End::Front => self.next(at),
                // When the last node has gone, its neighbour is the last.
                End::Back if gone && at == Place::Back && self.back.is_some() => Some(Place::Back),
                End::Back => before,
            };
        }
        self.middle.tidy();
        removed
    }

    /// The same within a node, which may be left without elements.
    fn delete_equal_in(&mut self, place: Place, text: &[u8], from: End, limit: usize) -> usize {
        let Content::Packed(packed) = self.node(place).content() else {
            let equal = matches!(self.node(place).content(), Content::Plain(plain) if plain == text);
            if equal {
                self.change(place, |node| *node = Node::empty());
            }
            return usize::from(equal);
        };
        let mut found = Vec::new();
        let mut position = packed.find(text, None, 0);
        while let Some(at) = position {
            found.push(at);
            position = packed.next(at).and_then(|next| packed.find(text, Some(next), 0));
        }
        let skipped = found.len().saturating_sub(limit);
        let chosen = if from == End::Front { &found[..found.len() - skipped] } else { &found[skipped..] };
        if !chosen.is_empty() {
            self.change(place, |node| node.delete_each(chosen));
        }
        chosen.len()
    }

    /// From now on the image is of what it holds now.
    pub fn begin_image(&mut self, id: ImageId) {
        self.middle.begin_image();
        self.image = Some(Box::new(Image { id, front: Some(self.front.clone()), back: self.back.clone() }));
    }

    /// Shows the next few of the nodes that it had, in their order. False where all are shown.
    pub fn step_image(&mut self, mut show: impl FnMut(Content<'_>)) -> bool {
        let Some(image) = &mut self.image else { return false };
        if let Some(front) = image.front.take() {
            show(front.content());
            return true;
        }
        if self.middle.step_image(IMAGE_STEP_BYTES, &mut |node| show(node.content())) {
            return true;
        }
        image.back.take().inspect(|back| show(back.content())).is_some()
    }

    pub fn end_image(&mut self) {
        self.image = None;
        self.middle.end_image();
    }

    /// The image that is not through, and about how much memory it takes.
    pub fn image(&self) -> Option<(ImageId, usize)> {
        self.image.as_ref().map(|image| (image.id, self.middle.image_bytes()))
    }

    /// The bytes of memory it takes, its own record included.
    pub fn memory(&self) -> usize {
        let ends = self.front.memory() + self.back.as_ref().map_or(0, Node::memory);
        size_of::<Self>() + ends + self.middle.memory()
    }

    /// Looks at everything again.
    pub fn check(&self) {
        self.middle.check();
        self.nodes().for_each(Node::check);
        assert_eq!(self.items, self.nodes().map(Node::count).sum::<usize>());
        assert!(self.back.is_some() || self.middle.nodes() == 0, "the middle is between two ends");
        assert!(self.items == 0 || self.nodes().all(|node| node.count() > 0), "a node has elements");
        assert!(self.items > 0 || self.back.is_none(), "an empty deque is one node");
    }

    #[inline]
    fn node(&self, place: Place) -> &Node {
        match (place, &self.back) {
            (Place::Middle(slot), _) => self.middle.node(slot),
            (Place::Back, Some(back)) => back,
            _ => &self.front,
        }
    }

    /// Changes a node; all counts follow.
    fn change<R>(&mut self, place: Place, change: impl FnOnce(&mut Node) -> R) -> R {
        let before = self.node(place).count();
        let result = match (place, &mut self.back) {
            (Place::Middle(slot), _) => self.middle.change(slot, change),
            (Place::Back, Some(back)) => change(back),
            _ => change(&mut self.front),
        };
        self.items = self.items - before + self.node(place).count();
        result
    }

    #[inline]
    fn next(&self, place: Place) -> Option<Place> {
        let behind = match place {
            Place::Front => self.middle.first(),
            Place::Middle(slot) => self.middle.next(slot),
            Place::Back => return None,
        };
        behind.map(Place::Middle).or_else(|| self.back.is_some().then_some(Place::Back))
    }

    #[inline]
    fn prev(&self, place: Place) -> Option<Place> {
        let before = match place {
            Place::Front => return None,
            Place::Middle(slot) => self.middle.prev(slot),
            Place::Back => self.middle.last(),
        };
        Some(before.map_or(Place::Front, Place::Middle))
    }

    /// The place, going on, of what stood behind a node that has just been removed.
    fn settle(&self, place: Place) -> Option<Place> {
        match place {
            Place::Front => (self.items > 0).then_some(Place::Front),
            Place::Middle(slot) => {
                let slot = self.middle.settle(slot).map(Place::Middle);
                slot.or_else(|| self.back.is_some().then_some(Place::Back))
            }
            Place::Back => None,
        }
    }

    /// Adds a node at an end. The node that was there moves to the middle and gives up its unused room.
    fn add_node(&mut self, end: End, node: Node) {
        self.items += node.count();
        if self.front.count() == 0 {
            self.front = node;
            return;
        }
        match (end, self.back.take()) {
            (End::Front, back) => {
                let mut inner = std::mem::replace(&mut self.front, node);
                inner.trim();
                match back {
                    Some(_) => {
                        self.middle.push_front(inner);
                        self.back = back;
                    }
                    None => self.back = Some(inner),
                }
            }
            (End::Back, back) => {
                match back {
                    Some(mut inner) => {
                        inner.trim();
                        self.middle.push_back(inner);
                    }
                    None => self.front.trim(),
                }
                self.back = Some(node);
            }
        }
    }

    /// Puts a node beside the one at a place.
    fn insert_node(&mut self, place: Place, behind: bool, node: Node) {
        let next = if behind { self.next(place) } else { Some(place) };
        match next {
            None => self.add_node(End::Back, node),
            Some(Place::Front) => self.add_node(End::Front, node),
            Some(Place::Back) => {
                self.items += node.count();
                self.middle.push_back(node);
            }
            Some(Place::Middle(slot)) => {
                self.items += node.count();
                self.middle.insert(slot, node);
            }
        }
    }

    /// Takes a node out; its neighbour steps in where it was an end. `None` only where there is no such node.
    fn remove_node(&mut self, place: Place) -> Option<Node> {
        let node = match place {
            Place::Middle(slot) => self.middle.remove(slot),
            Place::Back => {
                let node = self.back.take()?;
                self.back = self.middle.pop_back();
                node
            }
            Place::Front => {
                let next = self.middle.pop_front().or_else(|| self.back.take());
                std::mem::replace(&mut self.front, next.unwrap_or_else(Node::empty))
            }
        };
        self.items -= node.count();
        Some(node)
    }

    /// As `remove_node`, for a node that nobody wants any more.
    fn discard_node(&mut self, place: Place) {
        match place {
            Place::Middle(slot) => self.items -= self.middle.discard(slot),
            _ => drop(self.remove_node(place)),
        }
    }

    fn ordinal(&self, place: Place) -> usize {
        match place {
            Place::Front => 0,
            Place::Middle(slot) => 1 + self.middle.ordinal(slot),
            Place::Back => 1 + self.middle.nodes(),
        }
    }

    fn place(&self, ordinal: usize) -> Option<Place> {
        if ordinal == 0 {
            return Some(Place::Front);
        }
        if ordinal == 1 + self.middle.nodes() {
            return self.back.is_some().then_some(Place::Back);
        }
        self.middle.slot(ordinal - 1).map(Place::Middle)
    }
}

impl Clone for Deque {
    fn clone(&self) -> Self {
        Self {
            front: self.front.clone(),
            back: self.back.clone(),
            middle: self.middle.clone(),
            items: self.items,
            mark: self.mark,
            image: None,
        }
    }
}

/// A node of one element, to grow at `end`.
fn new_node(text: &[u8], fill: &Fill, end: End) -> Node {
    if fill.is_large(text.len()) {
        return Node::plain(text);
    }
    let mut node = Node::empty();
    node.push(end, &Encoded::new(text), fill.room(Some(end)));
    node
}

/// Walks elements towards the back: those of a deque, or of one listpack.
pub struct Forward<'a> {
    /// What is left of the node that is being read, where that is a listpack.
    entries: listpack::Iter<'a>,
    plain: Option<&'a [u8]>,
    /// The deque, and the place of that node.
    walk: Option<(&'a Deque, Place)>,
}

/// Walks elements towards the front.
pub struct Backward<'a>(Forward<'a>);

impl<'a> Forward<'a> {
    fn read(&mut self, content: Content<'a>) {
        match content {
            Content::Packed(packed) => self.entries = packed.iter(),
            Content::Plain(text) => self.plain = Some(text),
        }
    }

    /// Goes to the next node, the way `step` says; false where there is none.
    fn advance(&mut self, step: impl Fn(&Deque, Place) -> Option<Place>) -> bool {
        let next = self.walk.and_then(|(deque, place)| Some((deque, step(deque, place)?)));
        if let Some((deque, place)) = next {
            self.walk = next;
            self.read(deque.node(place).content());
        }
        next.is_some()
    }

    #[inline(never)]
    fn next_elsewhere(&mut self) -> Option<Item<'a>> {
        if let Some(text) = self.plain.take() {
            return Some(Item::Bytes(text));
        }
        if self.advance(Deque::next) { self.next() } else { None }
    }

    /// Hands up to `count` elements to `use_item`, until it says false: by far the fastest way to read many.
    #[inline]
    pub fn take_each(mut self, mut count: usize, mut use_item: impl FnMut(Item<'a>) -> bool) {
        while count > 0 {
            for (_, item) in std::mem::take(&mut self.entries) {
                count -= 1;
                if !use_item(item) || count == 0 {
                    return;
                }
            }
            let Some(item) = self.next_elsewhere() else { return };
            count -= 1;
            if !use_item(item) {
                return;
            }
        }
    }
}

impl<'a> From<listpack::Iter<'a>> for Forward<'a> {
    #[inline]
    fn from(entries: listpack::Iter<'a>) -> Self {
        Self { entries, plain: None, walk: None }
    }
}

impl<'a> From<listpack::Iter<'a>> for Backward<'a> {
    fn from(entries: listpack::Iter<'a>) -> Self {
        Self(entries.into())
    }
}

impl<'a> Iterator for Forward<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        match self.entries.next() {
            Some((_, item)) => Some(item),
            None => self.next_elsewhere(),
        }
    }
}

impl<'a> Iterator for Backward<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            if let Some((_, item)) = self.0.entries.next_back() {
                return Some(item);
            }
            if let Some(text) = self.0.plain.take() {
                return Some(Item::Bytes(text));
            }
            if !self.0.advance(Deque::prev) {
                return None;
            }
        }
    }
}
