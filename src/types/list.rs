//! The list: one word that is a listpack while it is short and a deque of listpacks once it is not.
//!
//! What a client is told of the encoding follows Redis's rules alone (`grow_for`, `shrunk`); which structure is
//! behind the word is decided by size. The containers are `ds::listpack` and `ds::deque`.

use crate::ds::deque::{Backward, Content, Deque, Fill, Forward, Node};
use crate::ds::image::ImageId;
use crate::ds::item::Item;
use crate::ds::listpack::{Iter, Listpack, Packed};
use crate::ds::packed_or_box::{PackedOrBox, Shape, ShapeMut};

pub use crate::ds::deque::End;

/// ```text
///   up to 1 KiB    one listpack, as tight as the allocator allows
///   above          a deque: of one node while clients are told `listpack`, of any number when told `quicklist`
/// ```
pub struct List(PackedOrBox<Deque>);

/// A listpack larger than this moves into a deque, where pushing in front moves no other element.
const PACKED_MAX: usize = 1024;
/// A deque of one node smaller than this moves back.
const DEQUE_MIN: usize = 512;

/// The directives that shape a list. They can change while the server runs, so each call is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// `list-max-listpack-size`: elements a node may hold, or, from -1 to -5, its size: 4, 8, 16, 32, 64 KiB.
    pub max_listpack_size: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_listpack_size: -2 }
    }
}

/// The largest node where the directive counts elements.
const COUNTED_BYTES_MAX: usize = 8192;
/// The most elements a node may be told to hold.
const COUNT_MAX: usize = (1 << 15) - 1;

impl Limits {
    #[inline]
    fn is_counted(&self) -> bool {
        self.max_listpack_size >= 0
    }

    /// What a node may hold.
    #[inline]
    fn fill(&self) -> Fill {
        match self.max_listpack_size {
            size @ ..0 => Fill { bytes_max: 4096 << (size.max(-5).unsigned_abs() - 1), count_max: usize::MAX },
            count => Fill { bytes_max: COUNTED_BYTES_MAX, count_max: (count.max(1) as usize).min(COUNT_MAX) },
        }
    }

    /// What a list may hold that is one listpack: as much as a node, but for the cap on counts.
    fn whole(&self) -> Fill {
        let count_max = if self.is_counted() { self.max_listpack_size.max(1) as usize } else { usize::MAX };
        Fill { count_max, ..self.fill() }
    }

    /// What a quicklist must have come down to before it is one listpack again: half a node, so that it does not
    /// change back and forth.
    fn half(&self) -> Fill {
        let Fill { bytes_max, count_max } = self.fill();
        match self.is_counted() {
            true => Fill { bytes_max: usize::MAX, count_max: count_max / 2 },
            false => Fill { bytes_max: bytes_max / 2, count_max },
        }
    }
}

impl List {
    pub fn new() -> Self {
        Self(PackedOrBox::packed(Listpack::new()))
    }

    #[inline]
    pub fn len(&self) -> usize {
        match self.0.shape() {
            Shape::Packed(listpack) => listpack.len(),
            Shape::Boxed(deque) => deque.len(),
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        match self.0.shape() {
            Shape::Packed(listpack) => listpack.is_empty(),
            Shape::Boxed(deque) => deque.is_empty(),
        }
    }

    /// The encoding's name as OBJECT ENCODING tells it.
    pub fn encoding(&self) -> &'static str {
        match self.0.shape() {
            Shape::Boxed(deque) if is_quicklist(deque) => "quicklist",
            _ => "listpack",
        }
    }

    /// The bytes of memory it takes, not counting its word. O(number of nodes).
    pub fn memory(&self) -> usize {
        match self.0.shape() {
            Shape::Packed(listpack) => listpack.memory(),
            Shape::Boxed(deque) => deque.memory(),
        }
    }

    /// How many nodes it has: what freeing it costs.
    pub fn nodes_len(&self) -> usize {
        match self.0.shape() {
            Shape::Packed(_) => 1,
            Shape::Boxed(deque) => deque.nodes_len(),
        }
    }

    /// Adds one element at an end. O(1).
    #[inline]
    pub fn push(&mut self, end: End, text: &[u8], limits: &Limits) {
        self.grow_for(text.len(), 1, limits);
        self.add(end, text, limits);
    }

    /// Adds several, each at the end, so that the last one is outermost. All of them together decide about the
    /// encoding before the first is added.
    pub fn extend<'a>(&mut self, end: End, texts: impl Iterator<Item = &'a [u8]> + Clone, limits: &Limits) {
        let (bytes, count) = texts.clone().fold((0, 0), |(bytes, count), text| (bytes + text.len(), count + 1));
        self.grow_for(bytes, count, limits);
        texts.for_each(|text| self.add(end, text, limits));
    }

    /// Takes the element at an end, after `read` has looked at it. O(1).
    #[inline]
    pub fn pop<R>(&mut self, end: End, limits: &Limits, read: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let result = self.take(end, read)?;
        self.shrunk(limits);
        Some(result)
    }

    #[inline]
    fn take<R>(&mut self, end: End, read: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        match self.0.shape_mut() {
            ShapeMut::Packed(listpack) => {
                let position = if end == End::Front { listpack.first() } else { listpack.last() }?;
                let result = read(listpack.at(position));
                listpack.delete(position);
                Some(result)
            }
            ShapeMut::Boxed(deque) => deque.pop(end, read),
        }
    }

    /// Takes the element at one end and puts it back at the same or the other; gives its text. The encoding stays, as nothing is less.
    pub fn turn(&mut self, from: End, to: End, limits: &Limits) -> Option<Vec<u8>> {
        let text = self.take(from, |item| item.to_vec())?;
        self.push(to, &text, limits);
        Some(text)
    }

    /// The element at `index`; negative counts from the end, -1 being the last.
    #[inline]
    pub fn get(&self, index: i64) -> Option<Item<'_>> {
        match self.0.shape() {
            Shape::Packed(listpack) => listpack.get(index),
            Shape::Boxed(deque) => deque.seek(resolve(index, deque.len())?).map(|cursor| deque.at(cursor)),
        }
    }

    /// Overwrites the element at `index`; false where there is none.
    pub fn set(&mut self, index: i64, text: &[u8], limits: &Limits) -> bool {
        self.grow_for(text.len(), 1, limits);
        let found = match self.0.shape_mut() {
            ShapeMut::Packed(listpack) => {
                let position = listpack.seek(index);
                position.into_iter().for_each(|position| listpack.replace(position, text));
                position.is_some()
            }
            ShapeMut::Boxed(deque) => {
                let cursor = resolve(index, deque.len()).and_then(|index| deque.seek(index));
                let fill = if is_quicklist(deque) { limits.fill() } else { UNBOUNDED };
                cursor.into_iter().for_each(|cursor| deque.replace(cursor, text, &fill));
                cursor.is_some()
            }
        };
        if found {
            self.settle(limits);
        }
        found
    }

    /// Puts an element in front of or behind the first one equal to `pivot`; false where there is none.
    pub fn insert(&mut self, pivot: &[u8], behind: bool, text: &[u8], limits: &Limits) -> bool {
        // As in Redis, the encoding changes before the pivot is looked for.
        self.grow_for(text.len(), 1, limits);
        let found = match self.0.shape_mut() {
            ShapeMut::Packed(listpack) => {
                let position = listpack.find(pivot, None, 0);
                if let Some(position) = position {
                    match behind {
                        true => listpack.insert_after(position, text),
                        false => listpack.insert_before(position, text),
                    };
                }
                position.is_some()
            }
            ShapeMut::Boxed(deque) => {
                let fill = if is_quicklist(deque) { limits.fill() } else { UNBOUNDED };
                let cursor = deque.find(pivot);
                cursor.into_iter().for_each(|cursor| deque.insert(cursor, behind, text, &fill));
                cursor.is_some()
            }
        };
        self.unpack();
        found
    }

    /// Removes elements equal to `text`: all for 0, else that many, a negative number from the tail. Gives how many.
    pub fn remove(&mut self, count: i64, text: &[u8], limits: &Limits) -> usize {
        let limit = if count == 0 { usize::MAX } else { usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX) };
        let from = if count < 0 { End::Back } else { End::Front };
        let removed = match self.0.shape_mut() {
            ShapeMut::Packed(listpack) => remove_packed(listpack, text, from, limit),
            ShapeMut::Boxed(deque) => deque.delete_equal(text, from, limit),
        };
        if removed > 0 {
            self.shrunk(limits);
        }
        removed
    }

    /// Keeps only the elements from `from` to `to`, both included, negative ones counted from the end.
    pub fn trim(&mut self, from: i64, to: i64, limits: &Limits) {
        let len = self.len();
        let (start, count) = span(from, to, len);
        self.delete_range(start + count, len - start - count);
        self.delete_range(0, start);
        self.shrunk(limits);
    }

    fn delete_range(&mut self, index: usize, count: usize) {
        if count == 0 {
            return;
        }
        match self.0.shape_mut() {
            ShapeMut::Packed(listpack) => listpack.delete_range(index as i64, count),
            ShapeMut::Boxed(deque) => deque.delete_range(index, count),
        }
    }

    /// The elements from `from` to `to`, both included, negative ones counted from the end.
    #[inline]
    pub fn range(&self, from: i64, to: i64) -> Range<'_> {
        let (start, count) = span(from, to, self.len());
        Range { walk: self.walk(start, count), left: count }
    }

    #[inline]
    fn walk(&self, start: usize, count: usize) -> Forward<'_> {
        match self.0.shape() {
            Shape::Packed(listpack) => {
                let position = listpack.seek(start as i64).filter(|_| count > 0);
                position.map_or_else(Iter::default, |position| listpack.iter_from(position)).into()
            }
            Shape::Boxed(deque) => deque.iter_from(start),
        }
    }

    /// All elements.
    pub fn iter(&self) -> Range<'_> {
        self.range(0, -1)
    }

    /// All elements, from the last to the first.
    pub fn iter_back(&self) -> Backward<'_> {
        match self.0.shape() {
            Shape::Packed(listpack) => listpack.iter().into(),
            Shape::Boxed(deque) => deque.iter_back_from(deque.len().saturating_sub(1)),
        }
    }

    /// The indexes of the elements equal to `text`, as LPOS finds them.
    pub fn positions(&self, text: &[u8], search: &Search, mut found: impl FnMut(usize)) {
        let mut skip = search.rank.unsigned_abs().saturating_sub(1);
        let maxlen = if search.maxlen == 0 { usize::MAX } else { search.maxlen };
        let mut left = if search.count == 0 { usize::MAX } else { search.count };
        let (number, len) = (crate::util::number::parse_i64(text), self.len());
        let mut looked = 0;
        let mut look = |item: Item<'_>| {
            looked += 1;
            let equal = match item {
                Item::Bytes(bytes) => bytes == text,
                Item::Int(value) => number == Some(value),
            };
            if equal && skip > 0 {
                skip -= 1;
            } else if equal {
                left -= 1;
                found(if search.rank < 0 { len - looked } else { looked - 1 });
            }
            left > 0
        };
        match search.rank < 0 {
            true => _ = self.iter_back().take(maxlen).all(look),
            false => self.walk(0, len).take_each(maxlen, &mut look),
        }
    }

    /// The nodes in order: what a snapshot writes. A short list is one node.
    pub fn nodes(&self) -> impl Iterator<Item = Content<'_>> {
        let (packed, deque): (Option<&Packed>, _) = match self.0.shape() {
            Shape::Packed(listpack) => (Some(listpack), None),
            Shape::Boxed(deque) => (None, Some(deque)),
        };
        let nodes = deque.into_iter().flat_map(|deque| deque.nodes().map(Node::content));
        packed.map(Content::Packed).into_iter().chain(nodes)
    }

    /// A list of nodes as a snapshot holds them (`Content::Packed` has been validated). Becomes one listpack where the
    /// rules say so.
    pub fn from_nodes<'a>(nodes: impl IntoIterator<Item = Content<'a>>, limits: &Limits) -> Self {
        let nodes = nodes.into_iter().map(|content| match content {
            Content::Packed(packed) => Node::packed(packed),
            Content::Plain(text) => Node::plain(text),
        });
        Self::of_nodes(nodes, limits)
    }

    /// Likewise of nodes that are made one by one.
    pub fn of_nodes(nodes: impl IntoIterator<Item = Node>, limits: &Limits) -> Self {
        let mut deque = Deque::from_nodes(nodes);
        let Fill { bytes_max, count_max } = limits.whole();
        let front = deque.front();
        deque.mark =
            deque.nodes_len() > 1 || front.is_plain() || front.bytes() > bytes_max || front.count() > count_max;
        let mut list = Self(PackedOrBox::boxed(Box::new(deque)));
        list.settle(limits);
        list
    }

    /// A list of these elements, first to last.
    pub fn from_elements<'a>(texts: impl IntoIterator<Item = &'a [u8]>, limits: &Limits) -> Self {
        let mut list = Self::new();
        texts.into_iter().for_each(|text| list.push(End::Back, text, limits));
        list
    }

    /// From now on the image is of what it holds now. False where it is too small to have one.
    pub fn begin_image(&mut self, id: ImageId) -> bool {
        let ShapeMut::Boxed(deque) = self.0.shape_mut() else { return false };
        deque.begin_image(id);
        true
    }

    /// Shows the next few of the nodes that it had, in their order. False where all are shown.
    pub fn step_image(&mut self, show: impl FnMut(Content<'_>)) -> bool {
        match self.0.shape_mut() {
            ShapeMut::Boxed(deque) => deque.step_image(show),
            ShapeMut::Packed(_) => false,
        }
    }

    pub fn end_image(&mut self) {
        if let ShapeMut::Boxed(deque) = self.0.shape_mut() {
            deque.end_image();
            if !deque.mark && deque.front().bytes() <= DEQUE_MIN {
                self.pack();
            }
        }
    }

    /// The image that is not through, and about how much memory it takes.
    pub fn image(&self) -> Option<(ImageId, usize)> {
        match self.0.shape() {
            Shape::Boxed(deque) => deque.image(),
            Shape::Packed(_) => None,
        }
    }

    /// Looks at everything again.
    pub fn check(&self) {
        match self.0.shape() {
            Shape::Packed(listpack) => listpack.check(),
            Shape::Boxed(deque) => {
                deque.check();
                let one_listpack = deque.nodes_len() == 1 && !deque.front().is_plain();
                assert!(is_quicklist(deque) || one_listpack, "what is called a listpack is one");
                let is_large = deque.front().bytes() > DEQUE_MIN || deque.image().is_some();
                assert!(is_quicklist(deque) || is_large, "a small list is a listpack");
            }
        }
    }

    /// Makes it a quicklist where the elements about to be added are too much for one listpack.
    #[inline]
    fn grow_for(&mut self, bytes: usize, count: usize, limits: &Limits) {
        let whole = limits.whole();
        match self.0.shape_mut() {
            ShapeMut::Packed(listpack) => {
                if whole.exceeded(listpack.bytes().saturating_add(bytes), listpack.len() + count) {
                    self.box_up(true);
                }
            }
            ShapeMut::Boxed(deque) => {
                let bytes = deque.front().bytes().saturating_add(bytes);
                deque.mark = deque.mark || whole.exceeded(bytes, deque.len() + count);
            }
        }
    }

    /// Adds an element after `grow_for` has seen it.
    #[inline]
    fn add(&mut self, end: End, text: &[u8], limits: &Limits) {
        match self.0.shape_mut() {
            ShapeMut::Packed(listpack) => {
                match end {
                    End::Front => listpack.push_front(text),
                    End::Back => listpack.push_back(text),
                }
                self.unpack();
            }
            ShapeMut::Boxed(deque) if is_quicklist(deque) => deque.push(end, text, &limits.fill()),
            ShapeMut::Boxed(deque) => deque.push_to_front_node(end, text, &limits.fill()),
        }
    }

    /// Moves a listpack that has become long into a deque.
    #[inline]
    fn unpack(&mut self) {
        if matches!(self.0.shape(), Shape::Packed(listpack) if listpack.bytes() > PACKED_MAX) {
            self.box_up(false);
        }
    }

    #[cold]
    fn box_up(&mut self, quicklist: bool) {
        if let Shape::Packed(listpack) = self.0.shape() {
            let mut deque = Deque::from_nodes([Node::packed(listpack)]);
            deque.mark = quicklist;
            self.0 = PackedOrBox::boxed(Box::new(deque));
        }
    }

    /// After elements were removed: a quicklist of one small node is a listpack again.
    #[inline]
    fn shrunk(&mut self, limits: &Limits) {
        let ShapeMut::Boxed(deque) = self.0.shape_mut() else { return };
        if deque.nodes_len() > 1 {
            return;
        }
        let (bytes, count, plain) = (deque.front().bytes(), deque.len(), deque.front().is_plain());
        // One that has become empty goes away, or gets back the one element it had (LMOVE of a list to itself).
        let small = count > 0 && !plain && !limits.half().exceeded(bytes, count);
        deque.mark = deque.mark && !small;
        if !deque.mark && bytes <= DEQUE_MIN && deque.image().is_none() {
            self.pack();
        }
    }

    /// After an element was replaced, the list may have grown or shrunk.
    fn settle(&mut self, limits: &Limits) {
        self.shrunk(limits);
        self.unpack();
    }

    #[cold]
    fn pack(&mut self) {
        let Shape::Boxed(deque) = self.0.shape() else { return };
        if let Some(packed) = deque.front().as_packed() {
            self.0 = PackedOrBox::packed(Listpack::from_packed(packed));
        }
    }
}

/// What LPOS was asked: the `rank`-th match first (negative from the tail), `count` of them (0: all), among the
/// first `maxlen` elements (0: all).
#[derive(Clone, Copy, Debug)]
pub struct Search {
    pub rank: i64,
    pub count: usize,
    pub maxlen: usize,
}

/// A list called `listpack` is one node, whatever its limits have become since.
const UNBOUNDED: Fill = Fill { bytes_max: usize::MAX, count_max: usize::MAX };

#[inline]
fn is_quicklist(deque: &Deque) -> bool {
    deque.mark
}

/// An index that may be negative, as one from the front.
#[inline]
fn resolve(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { index + len as i64 } else { index };
    usize::try_from(index).ok().filter(|&index| index < len)
}

/// The first index and the number of elements of an inclusive range.
#[inline]
fn span(from: i64, to: i64, len: usize) -> (usize, usize) {
    let len = len as i64;
    let from = if from < 0 { (from + len).max(0) } else { from };
    let to = if to < 0 { to + len } else { to.min(len - 1) };
    if from > to || from >= len {
        return (0, 0);
    }
    (from as usize, (to - from + 1) as usize)
}

fn remove_packed(listpack: &mut Listpack, text: &[u8], from: End, limit: usize) -> usize {
    let mut found = Vec::new();
    let mut position = listpack.find(text, None, 0);
    while let Some(at) = position {
        found.push(at);
        position = listpack.next(at).and_then(|next| listpack.find(text, Some(next), 0));
    }
    let skipped = found.len().saturating_sub(limit);
    let chosen = if from == End::Front { &found[..found.len() - skipped] } else { &found[skipped..] };
    // From the last to the first, so that the positions still to come stay good.
    for &position in chosen.iter().rev() {
        listpack.delete(position);
    }
    chosen.len()
}

/// Elements in a row. `for_each` is several times as fast as a `for` loop.
pub struct Range<'a> {
    walk: Forward<'a>,
    left: usize,
}

impl<'a> Iterator for Range<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        self.left = self.left.checked_sub(1)?;
        self.walk.next()
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }

    /// What `for_each` is made of.
    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(self, init: B, mut f: F) -> B {
        let mut result = Some(init);
        self.walk.take_each(self.left, |item| {
            result = result.take().map(|before| f(before, item));
            true
        });
        result.expect("each step puts back what it takes")
    }
}

impl ExactSizeIterator for Range<'_> {}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for List {
    /// A copy, as COPY makes it. O(bytes).
    fn clone(&self) -> Self {
        match self.0.shape() {
            Shape::Packed(listpack) => Self(PackedOrBox::packed(listpack.clone())),
            Shape::Boxed(deque) => Self(PackedOrBox::boxed(Box::new(deque.clone()))),
        }
    }
}

impl std::fmt::Debug for List {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests;
