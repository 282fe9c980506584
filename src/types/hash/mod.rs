//! The hash: one word that is a listpack of fields, a listpack with deadlines, or a hash table.
//!
//! Any field may have a deadline, in Unix milliseconds. Once it has passed nobody sees the field any more, though it stays until
//! `expire_due` or a change removes it; so every question comes with the time. When one encoding becomes another follows
//! Redis's rules. `packed.rs` has the small encodings, `deadline.rs` what the HEXPIRE family needs, `sample.rs` random fields.

mod deadline;
mod packed;
mod sample;
#[cfg(test)]
mod tests;

use crate::ds::fields::{FieldRef, Fields, Previous};
use crate::ds::image::ImageId;
use crate::ds::item::{Item, ItemText};
use crate::ds::keytable::{self, Prefetch, Seed};
use crate::ds::listpack::Listpack;
use crate::ds::sizeclass::round_up;
use crate::ds::trio::{Part, PartMut, Trio};
use crate::types::gathered::are_distinct;
use crate::util::number::IntegerText;
use packed::{Entries, Stride};

pub use deadline::{Condition, Expired, Persisted};

/// A hash. It may be empty; whoever stores one sees to that.
pub struct Hash(Trio<Listpack, Fields>);

/// The directives that decide about the encoding, and the seed that a hash table will need.
#[derive(Clone, Copy)]
pub struct Limits {
    /// `hash-max-listpack-entries`
    pub listpack_max: usize,
    /// `hash-max-listpack-value`
    pub value_bytes_max: usize,
    pub seed: &'static Seed,
}

impl Limits {
    /// What the directives are where nobody set them.
    pub const fn with_seed(seed: &'static Seed) -> Self {
        Self { listpack_max: 512, value_bytes_max: 64, seed }
    }
}

/// A field with all there is to know of it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub field: Item<'a>,
    pub value: Item<'a>,
    pub deadline: Option<u64>,
}

/// Why HINCRBY changed nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IncrementError {
    NotAnInteger,
    Overflow,
}

/// Whether a field of this deadline is still seen. A deadline is the last millisecond of its field.
#[inline]
fn is_live(deadline: Option<u64>, now: u64) -> bool {
    deadline.is_none_or(|deadline| deadline >= now)
}

impl Hash {
    /// An empty one.
    pub fn new() -> Self {
        Self(Trio::packed(Listpack::new()))
    }

    /// Tells that so many fields are about to be set, and the texts of all fields and values. It decides about the encoding as
    /// HSET does: before the first is set, even where fields come up twice or are there already.
    pub fn expect<'a>(&mut self, count: usize, mut texts: impl Iterator<Item = &'a [u8]>, limits: &Limits) {
        let is_small = !matches!(self.0.part(), Part::Boxed(_));
        if is_small && (count > limits.listpack_max || texts.any(|text| text.len() > limits.value_bytes_max)) {
            self.unpack(limits);
        }
    }

    /// An empty one that is about to be loaded with so many fields.
    pub fn for_loading(count: usize, limits: &Limits) -> Self {
        if count <= limits.listpack_max {
            return Self::new();
        }
        let mut fields = Fields::new(limits.seed);
        fields.reserve(count);
        Self(Trio::boxed(Box::new(fields)))
    }

    /// How many fields there are, with those whose deadline has passed: what HLEN answers. O(1).
    #[inline]
    pub fn len(&self) -> usize {
        match self.0.part() {
            Part::Packed(listpack) => packed::len(listpack, Stride::Pairs),
            Part::Second(listpack) => packed::len(listpack, Stride::Triples),
            Part::Boxed(fields) => fields.len(),
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many fields can be seen. Proportional to those that cannot.
    pub fn live_len(&self, now: u64) -> usize {
        match self.0.part() {
            Part::Packed(listpack) => packed::len(listpack, Stride::Pairs),
            Part::Second(listpack) => {
                let entries = Entries::new(listpack, Stride::Triples);
                let passed = entries.take_while(|entry| !is_live(entry.deadline, now)).count();
                packed::len(listpack, Stride::Triples) - passed
            }
            Part::Boxed(fields) => fields.len() - fields.due_before(now),
        }
    }

    /// The field's value.
    #[inline]
    pub fn get(&self, field: &[u8], now: u64) -> Option<Item<'_>> {
        self.entry(field, now).map(|(value, _)| value)
    }

    /// The field's value and deadline.
    #[inline]
    pub fn entry(&self, field: &[u8], now: u64) -> Option<(Item<'_>, Option<u64>)> {
        let (value, deadline) = match self.0.part() {
            Part::Packed(listpack) => {
                let found = packed::find(listpack, field, Stride::Pairs)?;
                return Some((found.value, None));
            }
            Part::Second(listpack) => {
                let found = packed::find(listpack, field, Stride::Triples)?;
                (found.value, found.deadline)
            }
            Part::Boxed(fields) => {
                let found = fields.get(field)?;
                (Item::Bytes(found.value()), found.deadline())
            }
        };
        is_live(deadline, now).then_some((value, deadline))
    }

    #[inline]
    pub fn contains(&self, field: &[u8], now: u64) -> bool {
        self.entry(field, now).is_some()
    }

    /// The length of the field's value; 0 where there is none.
    pub fn value_len(&self, field: &[u8], now: u64) -> usize {
        self.get(field, now).map_or(0, |value| value.text(&mut ItemText::default()).len())
    }

    /// Gives a field a value and takes its deadline away, as HSET does. Whether the field is new.
    #[inline]
    pub fn set(&mut self, field: &[u8], value: &[u8], now: u64, limits: &Limits) -> bool {
        self.put(field, value, None, now, limits)
    }

    /// Gives a field this value and this deadline, whatever it had. Whether the field is new.
    #[inline]
    pub fn put(&mut self, field: &[u8], value: &[u8], deadline: Option<u64>, now: u64, limits: &Limits) -> bool {
        if let PartMut::Boxed(fields) = self.0.part_mut() {
            return is_new(fields.put(field, value, deadline), now);
        }
        self.put_small(field, value, deadline, now, limits)
    }

    fn put_small(&mut self, field: &[u8], value: &[u8], deadline: Option<u64>, now: u64, limits: &Limits) -> bool {
        if deadline.is_some() {
            self.make_room_for_deadlines();
        }
        let long = field.len().max(value.len()) > limits.value_bytes_max;
        let (is_new, len) = match self.0.part_mut() {
            PartMut::Packed(listpack) if !long && packed::fits(listpack, field, value) => {
                let known = packed::put(listpack, field, value);
                (!known, packed::len(listpack, Stride::Pairs))
            }
            PartMut::Second(second) => {
                let put = second.change(|listpack| {
                    (!long && packed::fits(listpack, field, value)).then(|| {
                        let old = packed::put_with_deadline(listpack, field, value, deadline);
                        (old.is_none_or(|old| !is_live(old, now)), packed::len(listpack, Stride::Triples))
                    })
                });
                match put {
                    Some(put) => put,
                    None => return is_new(self.unpack(limits).put(field, value, deadline), now),
                }
            }
            _ => return is_new(self.unpack(limits).put(field, value, deadline), now),
        };
        if len > limits.listpack_max {
            self.unpack(limits);
        }
        is_new
    }

    /// Adds to the number that a field holds (0 where there is no field) and keeps its deadline. The sum.
    pub fn increment(&mut self, field: &[u8], by: i64, now: u64, limits: &Limits) -> Result<i64, IncrementError> {
        let (old, deadline) = match self.entry(field, now) {
            Some((value, deadline)) => (value.as_int().ok_or(IncrementError::NotAnInteger)?, deadline),
            None => (0, None),
        };
        let sum = old.checked_add(by).ok_or(IncrementError::Overflow)?;
        self.put(field, IntegerText::new(sum).as_bytes(), deadline, now, limits);
        Ok(sum)
    }

    /// Removes a field. Whether there was one to be seen.
    #[inline]
    pub fn remove(&mut self, field: &[u8], now: u64) -> bool {
        match self.0.part_mut() {
            PartMut::Boxed(fields) => !is_new(fields.remove(field), now),
            PartMut::Packed(listpack) => {
                let position = listpack.find(field, None, 1);
                position.into_iter().for_each(|position| {
                    listpack.delete_run(position, 2);
                });
                position.is_some()
            }
            PartMut::Second(second) => second.change(|listpack| {
                let found = packed::find(listpack, field, Stride::Triples);
                let Some((position, deadline)) = found.map(|found| (found.position, found.deadline)) else {
                    return false;
                };
                listpack.delete_run(position, 3);
                is_live(deadline, now)
            }),
        }
    }

    /// All fields that can be seen. With a time of 0 those are all there are.
    pub fn iter(&self, now: u64) -> impl Iterator<Item = Entry<'_>> {
        match self.0.part() {
            Part::Packed(listpack) => Walk::Packed(Entries::new(listpack, Stride::Pairs)),
            Part::Second(listpack) => {
                let entries = Entries::new(listpack, Stride::Triples);
                Walk::Second(entries.skip_while(move |entry| !is_live(entry.deadline, now)))
            }
            Part::Boxed(fields) => {
                let entries = fields.iter().map(entry);
                Walk::Boxed(entries.filter(move |entry| is_live(entry.deadline, now)))
            }
        }
    }

    /// Shows about `count` fields from the cursor's place on and returns the next cursor; 0 begins and ends. The small encodings
    /// show all at once. A field that is there from the first call to the last is shown at least once, even where the
    /// encoding changes in between.
    pub fn scan(&self, cursor: u64, count: usize, now: u64, mut show: impl FnMut(Entry<'_>)) -> u64 {
        match self.0.part() {
            Part::Boxed(fields) => fields.scan(cursor, count, &mut |field| {
                let entry = entry(field);
                if is_live(entry.deadline, now) {
                    show(entry);
                }
            }),
            _ => {
                self.iter(now).for_each(show);
                0
            }
        }
    }

    /// The encoding's name as OBJECT ENCODING tells it.
    pub fn encoding(&self) -> &'static str {
        match self.0.part() {
            Part::Packed(_) => "listpack",
            Part::Second(_) => "listpackex",
            Part::Boxed(_) => "hashtable",
        }
    }

    /// Asks the cache for what a lookup of this field will read first, where that is likely to be far away; the hash is for
    /// `prefetch_entry`.
    #[inline]
    pub fn prefetch(&self, field: &[u8]) -> Option<keytable::Hash> {
        let Part::Boxed(fields) = self.0.part() else { return None };
        let hash = fields.hash(field);
        fields.prefetch_bucket(hash);
        Some(hash)
    }

    /// Asks the cache for what the lookup will read next; best some time after `prefetch`.
    #[inline]
    pub fn prefetch_entry(&self, hash: keytable::Hash) {
        if let Part::Boxed(fields) = self.0.part() {
            fields.prefetch_entry(hash);
        }
    }

    /// Bytes it owns, not counting its word. O(1).
    pub fn memory(&self) -> usize {
        match self.0.part() {
            Part::Packed(listpack) | Part::Second(listpack) => listpack.memory(),
            Part::Boxed(fields) => round_up(size_of::<Fields>()) + fields.memory(),
        }
    }

    /// The listpack of fields and values, where it is one: what a snapshot writes as it stands.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match self.0.part() {
            Part::Packed(listpack) => Some(listpack),
            _ => None,
        }
    }

    /// The listpack of fields, values and deadlines, where it is one: what a snapshot writes as it stands.
    pub fn as_listpack_with_deadlines(&self) -> Option<&Listpack> {
        match self.0.part() {
            Part::Second(listpack) => Some(listpack),
            _ => None,
        }
    }

    /// A hash of a listpack from outside (`Listpack::from_bytes` has checked it); `None` where it does not hold pairs of
    /// distinct fields and values. Of the limits only the number of fields counts, as in Redis.
    pub fn from_listpack(listpack: Listpack, limits: &Limits) -> Option<Self> {
        if !listpack.len().is_multiple_of(Stride::Pairs as usize) {
            return None;
        }
        let names = Entries::new(&listpack, Stride::Pairs).map(|entry| entry.field);
        are_distinct(names, limits.seed).then(|| Self(Trio::packed(listpack)).within(limits))
    }

    /// Likewise of what was a zipmap, for which the limit of a value's length counts, too.
    pub fn from_zipmap(listpack: Listpack, limits: &Limits) -> Option<Self> {
        let mut hash = Self::from_listpack(listpack, limits)?;
        let mut text = ItemText::default();
        let mut is_long = |item: Item<'_>| item.text(&mut text).len() > limits.value_bytes_max;
        if hash.iter(0).any(|entry| is_long(entry.field) || is_long(entry.value)) {
            hash.unpack(limits);
        }
        Some(hash)
    }

    /// Likewise of fields, values and deadlines. Fields out of order are put in order.
    pub fn from_listpack_with_deadlines(listpack: Listpack, limits: &Limits) -> Option<Self> {
        let in_order = packed::is_in_order(&listpack)?;
        let entries = Entries::new(&listpack, Stride::Triples);
        if !are_distinct(entries.clone().map(|entry| entry.field), limits.seed) {
            return None;
        }
        let listpack = if in_order { listpack } else { packed::sorted(entries) };
        Some(Self(Trio::second(listpack)).within(limits))
    }

    /// The same as a hash table where the limits allow nothing else.
    fn within(mut self, limits: &Limits) -> Self {
        if self.len() > limits.listpack_max {
            self.unpack(limits);
        }
        self
    }

    /// The table of its fields, where there is one.
    pub fn table(&self) -> Option<&dyn Prefetch> {
        match self.0.part() {
            Part::Boxed(fields) => Some(fields.table()),
            _ => None,
        }
    }

    /// From now on the image is of what it holds now. False where it is too small to have one.
    pub fn begin_image(&mut self, id: ImageId) -> bool {
        let PartMut::Boxed(fields) = self.0.part_mut() else { return false };
        fields.begin_image(id);
        true
    }

    /// Shows some of the fields that it held, each once. False where all are shown.
    pub fn step_image(&mut self, mut show: impl FnMut(Entry<'_>)) -> bool {
        let PartMut::Boxed(fields) = self.0.part_mut() else { return false };
        fields.step_image(&mut |field, value, deadline| {
            show(Entry { field: Item::Bytes(field), value: Item::Bytes(value), deadline });
        })
    }

    pub fn end_image(&mut self) {
        if let PartMut::Boxed(fields) = self.0.part_mut() {
            fields.end_image();
        }
    }

    /// The image that is not through, and about how much memory it takes.
    pub fn image(&self) -> Option<(ImageId, usize)> {
        let Part::Boxed(fields) = self.0.part() else { return None };
        fields.image().map(|(id, bytes, _)| (id, bytes))
    }

    /// The earliest deadline in the image.
    pub fn image_next_deadline(&self) -> Option<u64> {
        let Part::Boxed(fields) = self.0.part() else { return None };
        fields.image().and_then(|(_, _, first_due)| first_due)
    }

    /// Looks at everything again.
    pub fn check(&self) {
        let (listpack, stride) = match self.0.part() {
            Part::Packed(listpack) => (listpack, Stride::Pairs),
            Part::Second(listpack) => (listpack, Stride::Triples),
            Part::Boxed(fields) => return fields.check(),
        };
        listpack.check();
        assert_eq!(listpack.len() % stride as usize, 0, "whole fields");
        assert!(stride == Stride::Pairs || packed::is_in_order(listpack) == Some(true), "fields in order of deadlines");
        let names: std::collections::HashSet<_> = self.iter(0).map(|entry| entry.field.to_vec()).collect();
        assert_eq!(names.len(), self.len(), "no field comes up twice");
    }

    /// Makes a listpack one with deadlines.
    pub fn make_room_for_deadlines(&mut self) {
        if let Part::Packed(listpack) = self.0.part() {
            self.0 = Trio::second(packed::with_deadlines(listpack));
        }
    }

    /// Changes over to the hash table, if it has not.
    #[cold]
    fn unpack(&mut self, limits: &Limits) -> &mut Fields {
        if !matches!(self.0.part(), Part::Boxed(_)) {
            let mut fields = Fields::new(limits.seed);
            fields.reserve(self.len() + 1);
            let (mut name, mut value) = (ItemText::default(), ItemText::default());
            for entry in self.iter(0) {
                fields.put(entry.field.text(&mut name), entry.value.text(&mut value), entry.deadline);
            }
            self.0 = Trio::boxed(Box::new(fields));
        }
        match self.0.part_mut() {
            PartMut::Boxed(fields) => fields,
            _ => unreachable!("the small encoding was just replaced"),
        }
    }
}

/// Whether what was in a field's place could not be seen.
#[inline]
fn is_new(previous: Previous, now: u64) -> bool {
    match previous {
        Previous::Absent => true,
        Previous::Present(deadline) => !is_live(deadline, now),
    }
}

#[inline]
fn entry(field: FieldRef<'_>) -> Entry<'_> {
    let (name, value) = field.parts();
    Entry { field: Item::Bytes(name), value: Item::Bytes(value), deadline: field.deadline() }
}

/// One of three iterators.
enum Walk<P, S, B> {
    Packed(P),
    Second(S),
    Boxed(B),
}

impl<T, P, S, B> Iterator for Walk<P, S, B>
where
    P: Iterator<Item = T>,
    S: Iterator<Item = T>,
    B: Iterator<Item = T>,
{
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        match self {
            Self::Packed(iter) => iter.next(),
            Self::Second(iter) => iter.next(),
            Self::Boxed(iter) => iter.next(),
        }
    }

    #[inline]
    fn fold<A, F: FnMut(A, T) -> A>(self, start: A, step: F) -> A {
        match self {
            Self::Packed(iter) => iter.fold(start, step),
            Self::Second(iter) => iter.fold(start, step),
            Self::Boxed(iter) => iter.fold(start, step),
        }
    }
}

impl Default for Hash {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Hash {
    /// A copy, as COPY makes it: of the same encoding, deadlines included. O(bytes).
    fn clone(&self) -> Self {
        match self.0.part() {
            Part::Packed(listpack) => Self(Trio::packed(listpack.clone())),
            Part::Second(listpack) => Self(Trio::second(listpack.clone())),
            Part::Boxed(fields) => Self(Trio::boxed(Box::new(fields.clone()))),
        }
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter(0).map(|entry| (entry.field, entry.value))).finish()
    }
}
