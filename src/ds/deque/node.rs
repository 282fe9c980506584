//! A node of a deque: a listpack with room in front of it and behind it, or one large element as it is.
//!
//! Room on both sides makes pushing and popping at either end a matter of the bytes of one element. The bytes
//! between are at all times a complete listpack, header included.

use crate::ds::listpack::{COUNT_UNKNOWN, EMPTY_BYTES, Encoded, HEADER, Packed, Position};
use crate::util::memory::block_size;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// ```text
///   buffer ─► unused │ total u32 │ count u16 │ entry │ … │ entry │ FF │ unused
///             ◄start►◄────────────────── len ───────────────────────►
///             ◄──────────────────────── capacity ────────────────────────────►
/// ```
/// Pushing in front writes the entry where the header was and the header in front of it.
pub struct Node {
    buffer: NonNull<u8>,
    capacity: u32,
    start: u32,
    len: u32,
    /// The number of elements; a plain node has exactly one, and the mark.
    count: u32,
}

const PLAIN: u32 = 1 << 31;

/// The room a node starts with.
const CAPACITY_FIRST: usize = 256;

// SAFETY: a node owns its buffer alone, as a `Vec<u8>` does.
unsafe impl Send for Node {}
// SAFETY: a shared node is only read.
unsafe impl Sync for Node {}

/// The ends of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Front,
    Back,
}

/// How a node's free room is laid out when it has to be moved or made anyway.
#[derive(Clone, Copy)]
pub struct Room {
    /// The bytes up to which the node may be expected to grow.
    pub bytes_max: usize,
    /// Where it grows: at one end, or (a deque of one node) at either.
    pub end: Option<End>,
}

/// What a node holds.
#[derive(Clone, Copy)]
pub enum Content<'a> {
    Packed(&'a Packed),
    Plain(&'a [u8]),
}

impl Node {
    /// A node without elements.
    pub fn empty() -> Self {
        let mut node = Self::with_capacity(CAPACITY_FIRST);
        node.clear((CAPACITY_FIRST - EMPTY_BYTES) / 2);
        node
    }

    /// Something to stand for a node of so many elements on its way out.
    pub(super) fn stub(count: usize) -> Self {
        let mut node = Self::with_capacity(1);
        node.count = count as u32;
        node
    }

    /// A node of one large element.
    pub fn plain(text: &[u8]) -> Self {
        let mut node = Self::with_capacity(text.len().max(1));
        node.fill(text);
        node.count = 1 | PLAIN;
        node
    }

    /// A node that holds a copy of a listpack.
    pub fn packed(packed: &Packed) -> Self {
        let mut node = Self::with_capacity(packed.bytes());
        node.fill(packed.as_bytes());
        node.count = packed.len() as u32;
        node
    }

    fn with_capacity(bytes: usize) -> Self {
        let capacity = block_size(bytes);
        let stored = u32::try_from(capacity).expect("a node is below 4 GiB");
        let layout = layout_of(capacity);
        // SAFETY: a block is never zero bytes.
        let buffer = NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
        Self { buffer, capacity: stored, start: 0, len: 0, count: 0 }
    }

    /// Fills a new buffer from its first byte.
    fn fill(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.capacity as usize, "a node is made as large as its content");
        // SAFETY: the buffer is as large and overlaps nothing.
        unsafe { self.buffer.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
        self.len = bytes.len() as u32;
    }

    #[inline]
    pub fn is_plain(&self) -> bool {
        self.count & PLAIN != 0
    }

    #[inline]
    pub fn count(&self) -> usize {
        (self.count & !PLAIN) as usize
    }

    /// The bytes of the listpack, or of the plain element.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.len as usize
    }

    #[inline]
    pub fn memory(&self) -> usize {
        self.capacity as usize
    }

    #[inline]
    fn live(&self) -> &[u8] {
        // SAFETY: these bytes of the buffer are initialised and belong to this node.
        unsafe { std::slice::from_raw_parts(self.first_byte().as_ptr(), self.len as usize) }
    }

    #[inline]
    pub fn content(&self) -> Content<'_> {
        if self.is_plain() {
            return Content::Plain(self.live());
        }
        Content::Packed(Packed::trusted(self.live()))
    }

    /// The listpack; `None` for a plain node.
    #[inline]
    pub fn as_packed(&self) -> Option<&Packed> {
        match self.content() {
            Content::Packed(packed) => Some(packed),
            Content::Plain(_) => None,
        }
    }

    /// Makes it a listpack without elements, at `start`.
    fn clear(&mut self, start: usize) {
        assert!(start + EMPTY_BYTES <= self.memory(), "an empty listpack is within the buffer");
        self.start = start as u32;
        self.len = EMPTY_BYTES as u32;
        self.count = 0;
        self.write_header();
        // SAFETY: the end mark is the last live byte.
        unsafe { self.first_byte().add(HEADER).write(0xFF) };
    }

    #[inline]
    pub fn push(&mut self, end: End, encoded: &Encoded<'_>, room: Room) {
        let at = if end == End::Front { HEADER } else { self.bytes() - 1 };
        self.put(at, 0, encoded, room);
    }

    /// Takes the entry of `size` bytes away that stands first or last.
    #[inline]
    pub fn drop_end(&mut self, end: End, size: usize) {
        let at = if end == End::Front { HEADER } else { self.bytes() - 1 - size };
        self.cut(at, size, 1);
    }

    /// Puts an element in front of the one at `position`.
    pub fn insert(&mut self, position: Position, encoded: &Encoded<'_>, room: Room) {
        self.put(position.byte(), 0, encoded, room);
    }

    pub fn replace(&mut self, position: Position, encoded: &Encoded<'_>, room: Room) {
        let size = self.as_packed().map_or(0, |packed| packed.entry_bytes(position));
        self.put(position.byte(), size, encoded, room);
    }

    /// Removes up to `count` elements from `position` on.
    pub fn delete_run(&mut self, position: Position, count: usize) {
        let Some(packed) = self.as_packed() else { return };
        let (mut size, mut removed) = (0, 0);
        for (at, _) in packed.iter_from(position).take(count) {
            size += packed.entry_bytes(at);
            removed += 1;
        }
        self.cut(position.byte(), size, removed);
    }

    /// Removes the elements at these ascending positions. Moves what stays once, however many they are.
    pub fn delete_each(&mut self, positions: &[Position]) {
        let Some(packed) = self.as_packed() else { return };
        let mut kept = Vec::with_capacity(packed.bytes());
        let mut from = HEADER;
        for &position in positions {
            kept.extend_from_slice(&packed.as_bytes()[from..position.byte()]);
            from = position.byte() + packed.entry_bytes(position);
        }
        kept.extend_from_slice(&packed.as_bytes()[from..packed.bytes() - 1]);
        let count = self.count - positions.len() as u32;
        // What stays moves to the end of the buffer's live part, so that the room in front of it grows.
        self.clear(self.start as usize + self.bytes() - kept.len() - EMPTY_BYTES);
        self.append_entries(&kept, count);
    }

    /// Takes the elements from `position` on away, into a node of their own.
    pub fn split_off(&mut self, position: Position) -> Option<Self> {
        let packed = self.as_packed()?;
        let (from, to) = (position.byte(), packed.bytes() - 1);
        let count = packed.iter_from(position).count() as u32;
        let bytes = &packed.as_bytes()[from..to];
        let mut tail = Self::with_capacity(bytes.len() + EMPTY_BYTES);
        tail.clear(0);
        tail.append_entries(bytes, count);
        self.cut(from, to - from, count as usize);
        self.trim();
        Some(tail)
    }

    /// Adds the elements of another packed node behind its own.
    pub fn append(&mut self, other: &Self) {
        if let Some(packed) = other.as_packed() {
            self.append_entries(&packed.as_bytes()[HEADER..packed.bytes() - 1], other.count);
        }
    }

    fn append_entries(&mut self, entries: &[u8], count: u32) {
        let at = self.bytes() - 1;
        let room = Room { bytes_max: self.bytes() + entries.len(), end: Some(End::Back) };
        // SAFETY: the gap is as large as the entries, and they are of another buffer.
        unsafe {
            let gap = self.splice(at, 0, entries.len(), room);
            gap.copy_from_nonoverlapping(NonNull::from(entries).cast(), entries.len());
        }
        self.count += count;
        self.write_header();
    }

    /// Gives back unused room, where that is worth a move.
    pub fn trim(&mut self) {
        let needed = block_size(self.bytes());
        if needed + needed / 16 < self.memory() {
            self.relocate(needed, 0);
        }
    }

    /// Looks at everything again.
    pub fn check(&self) {
        assert!(self.start + self.len <= self.capacity);
        if let Some(packed) = self.as_packed() {
            packed.check();
            assert_eq!(packed.len(), self.count());
        }
    }

    /// Replaces `removed` bytes at `at`, which are one entry or nothing, with one entry.
    #[inline]
    fn put(&mut self, at: usize, removed: usize, encoded: &Encoded<'_>, room: Room) {
        // SAFETY: the gap is as large as the entry, whose text is no part of this node.
        unsafe { encoded.write(self.splice(at, removed, encoded.size(), room)) };
        self.count += u32::from(removed == 0);
        self.write_header();
    }

    /// Takes `size` bytes away that are `count` whole entries.
    #[inline]
    fn cut(&mut self, at: usize, size: usize, count: usize) {
        self.splice(at, size, 0, Room { bytes_max: 0, end: None });
        self.count -= count as u32;
        self.write_header();
        if self.len < self.capacity / 4 && self.memory() > CAPACITY_FIRST {
            self.give_back();
        }
    }

    /// Moves to half the room, with the content in the middle of it.
    #[cold]
    fn give_back(&mut self) {
        let capacity = block_size(self.memory() / 2);
        self.relocate(capacity, (capacity - self.bytes()) / 2);
    }

    /// Replaces `removed` bytes at `at` with a gap of `added` bytes, which the caller must fill, as it must write the
    /// header anew. Moves whichever side is shorter.
    #[inline]
    fn splice(&mut self, at: usize, removed: usize, added: usize, room: Room) -> NonNull<u8> {
        let old = self.bytes();
        assert!(at >= HEADER && at + removed < old && !self.is_plain(), "a splice is within the entries");
        let (before, after) = (at, old - at - removed);
        let front_moves = before < after;
        if added > removed {
            let more = added - removed;
            let front_room = self.start as usize;
            let back_room = self.memory() - front_room - old;
            if (if front_moves { front_room } else { back_room }) < more {
                self.make_room(more, if front_moves { End::Front } else { End::Back }, room);
            }
        }
        // SAFETY: the side that moves has room for the difference, which was just made where it had not; otherwise
        // the difference is what is removed.
        unsafe {
            let first = self.first_byte();
            if front_moves {
                self.start = (self.start as usize + removed - added) as u32;
                first.copy_to(self.first_byte(), before);
            } else {
                first.add(at + removed).copy_to(first.add(at + added), after);
            }
            self.len = (old - removed + added) as u32;
            self.first_byte().add(at)
        }
    }

    /// Moves the content within the buffer, or into a larger one, so that `end` has `more` bytes of room, and enough
    /// on top that this is paid for by what is pushed until the next time.
    #[cold]
    fn make_room(&mut self, more: usize, end: End, room: Room) {
        let (len, capacity) = (self.bytes(), self.memory());
        let needed = len + more;
        let capacity = if capacity >= needed + capacity / 8 {
            capacity
        } else {
            let wanted = needed.max((2 * len).min(room.bytes_max));
            if block_size(wanted) > capacity { block_size(wanted) } else { block_size(capacity.max(needed) + 1) }
        };
        let spare = capacity - needed;
        let front = match (end, room.end) {
            (End::Front, Some(End::Front)) => spare + more,
            (End::Back, Some(End::Back)) => 0,
            (End::Front, _) => spare / 2 + more,
            (End::Back, _) => spare / 2,
        };
        self.relocate(capacity, front);
    }

    /// Puts the content at `start` of this buffer, or of another one of that capacity.
    fn relocate(&mut self, capacity: usize, start: usize) {
        assert!(start + self.bytes() <= capacity, "a node fits where it is moved");
        if capacity == self.memory() {
            let from = self.first_byte();
            self.start = start as u32;
            // SAFETY: both ranges are within the buffer.
            unsafe { from.copy_to(self.first_byte(), self.bytes()) };
            return;
        }
        let mut moved = Self::with_capacity(capacity);
        (moved.start, moved.len, moved.count) = (start as u32, self.len, self.count);
        // SAFETY: the new buffer has room for `len` bytes from `start` on and does not overlap the old one.
        unsafe { self.first_byte().copy_to_nonoverlapping(moved.first_byte(), self.bytes()) };
        *self = moved;
    }

    #[inline]
    fn write_header(&mut self) {
        let count = self.count.min(u32::from(COUNT_UNKNOWN)) as u16;
        // SAFETY: the header is within the live bytes.
        unsafe {
            self.first_byte().cast::<[u8; 4]>().write(self.len.to_le_bytes());
            self.first_byte().add(4).cast::<[u8; 2]>().write(count.to_le_bytes());
        }
    }

    #[inline]
    fn first_byte(&self) -> NonNull<u8> {
        // SAFETY: `start` is within the buffer.
        unsafe { self.buffer.add(self.start as usize) }
    }
}

#[inline]
fn layout_of(capacity: usize) -> Layout {
    Layout::from_size_align(capacity, 8).expect("a node is below 4 GiB")
}

impl Drop for Node {
    fn drop(&mut self) {
        // SAFETY: the buffer is its own and was allocated with this layout.
        unsafe { dealloc(self.buffer.as_ptr(), layout_of(self.memory())) }
    }
}

impl Clone for Node {
    fn clone(&self) -> Self {
        let mut node = Self::with_capacity(self.bytes().max(1));
        node.fill(self.live());
        node.count = self.count;
        node
    }
}
