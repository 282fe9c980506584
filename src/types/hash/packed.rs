//! The two small encodings: a listpack of fields and values, and one that also has a deadline for each field.
//!
//! ```text
//!   listpack     field │ value │ field │ value │ …
//!   listpackex   field │ value │ deadline │ field │ value │ deadline │ …
//! ```
//! Deadlines are milliseconds, 0 for none. Fields are in order of their deadlines, those without come last: so the first
//! one tells when the next is due. Both are what Redis keeps and saves. Everything here walks; that is what the limits are for.

use super::Entry;
use crate::ds::item::Item;
use crate::ds::listpack::{BYTES_MAX, Builder, Iter, Listpack, Packed, Position};
use crate::util::number::IntegerText;

/// Elements that make one field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stride {
    Pairs = 2,
    Triples = 3,
}

/// A field and where it is.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    pub position: Position,
    pub value: Item<'a>,
    pub deadline: Option<u64>,
}

pub(super) fn len(listpack: &Packed, stride: Stride) -> usize {
    listpack.len() / stride as usize
}

#[inline]
pub(super) fn find<'a>(listpack: &'a Packed, field: &[u8], stride: Stride) -> Option<Found<'a>> {
    let position = listpack.find(field, None, stride as usize - 1)?;
    let at_value = listpack.next(position)?;
    let deadline = match stride {
        Stride::Pairs => None,
        Stride::Triples => deadline_of(listpack.at(listpack.next(at_value)?)),
    };
    Some(Found { position, value: listpack.at(at_value), deadline })
}

#[inline]
fn deadline_of(item: Item<'_>) -> Option<u64> {
    item.as_int().and_then(|value| u64::try_from(value).ok()).filter(|&deadline| deadline > 0)
}

/// A deadline as it is stored: 0 says none, so the first millisecond of 1970 is put off by one.
fn stored(deadline: Option<u64>) -> i64 {
    deadline.map_or(0, |deadline| i64::try_from(deadline).unwrap_or(i64::MAX).max(1))
}

/// Whether these texts keep the listpack below the format's limit.
pub(super) fn fits(listpack: &Listpack, field: &[u8], value: &[u8]) -> bool {
    let extra = field.len().saturating_add(value.len()).saturating_add(64);
    extra < BYTES_MAX && listpack.fits(extra)
}

/// Gives a field of a listpack without deadlines this value. Whether it was there.
#[inline]
pub(super) fn put(listpack: &mut Listpack, field: &[u8], value: &[u8]) -> bool {
    let position = listpack.find(field, None, 1);
    match position.and_then(|position| listpack.next(position)) {
        Some(at_value) => listpack.replace(at_value, value),
        None => {
            listpack.push_back(field);
            listpack.push_back(value);
        }
    }
    position.is_some()
}

/// Gives a field of a listpack with deadlines this value and this deadline. The deadline that it had, if it was there.
pub(super) fn put_with_deadline(
    listpack: &mut Listpack,
    field: &[u8],
    value: &[u8],
    deadline: Option<u64>,
) -> Option<Option<u64>> {
    let found = find(listpack, field, Stride::Triples).map(|found| (found.position, found.deadline));
    match found {
        Some((position, old)) if old == deadline => {
            let at_value = listpack.next(position);
            at_value.into_iter().for_each(|at_value| listpack.replace(at_value, value));
        }
        Some((position, _)) => {
            listpack.delete_run(position, 3);
            insert(listpack, field, value, deadline);
        }
        None => insert(listpack, field, value, deadline),
    }
    found.map(|(_, old)| old)
}

/// Moves a field to the place of its new deadline.
pub(super) fn set_deadline(listpack: &mut Listpack, position: Position, deadline: Option<u64>) {
    let field = listpack.at(position).to_vec();
    let value = listpack.next(position).map_or(Vec::new(), |at_value| listpack.at(at_value).to_vec());
    listpack.delete_run(position, 3);
    insert(listpack, &field, &value, deadline);
}

/// Puts a field that is not there in its place: before those that are due with it, behind all where it has no deadline.
fn insert(listpack: &mut Listpack, field: &[u8], value: &[u8], deadline: Option<u64>) {
    let place = deadline.and_then(|deadline| {
        let later = |entry: &Entry<'_>| entry.deadline.is_none_or(|other| other >= deadline);
        let mut entries = Entries::new(listpack, Stride::Triples);
        std::iter::from_fn(|| entries.next_with_position())
            .find(|(_, entry)| later(entry))
            .map(|(position, _)| position)
    });
    let deadline = IntegerText::new(stored(deadline));
    match place {
        Some(position) => {
            let position = listpack.insert_before(position, field);
            let position = listpack.insert_after(position, value);
            listpack.insert_after(position, deadline.as_bytes());
        }
        None => [field, value, deadline.as_bytes()].into_iter().for_each(|text| listpack.push_back(text)),
    }
}

/// The same fields with room for deadlines.
pub(super) fn with_deadlines(listpack: &Packed) -> Listpack {
    let mut builder = Builder::with_capacity(listpack.bytes() + listpack.len());
    for entry in Entries::new(listpack, Stride::Pairs) {
        builder.push_item(entry.field);
        builder.push_item(entry.value);
        builder.push_int(0);
    }
    builder.finish()
}

/// A listpack with deadlines of fields in any order; fields of one deadline stay as they are.
pub(super) fn sorted<'a>(entries: impl Iterator<Item = Entry<'a>>) -> Listpack {
    let mut entries: Vec<Entry<'a>> = entries.collect();
    entries.sort_by_key(|entry| entry.deadline.unwrap_or(u64::MAX));
    let mut builder = Builder::default();
    for entry in entries {
        builder.push_item(entry.field);
        builder.push_item(entry.value);
        builder.push_int(stored(entry.deadline));
    }
    builder.finish()
}

/// Whether it holds whole fields, each with a deadline that is a number, in order of deadlines. `None` where what is there is
/// no field at all.
pub(super) fn is_in_order(listpack: &Packed) -> Option<bool> {
    let whole = listpack.len().is_multiple_of(Stride::Triples as usize);
    let numbers = || listpack.iter().skip(2).step_by(3).map(|(_, item)| item.as_int().filter(|&value| value >= 0));
    if !whole || numbers().any(|number| number.is_none()) {
        return None;
    }
    let deadlines = numbers().flatten().map(|value| if value == 0 { i64::MAX } else { value });
    Some(deadlines.is_sorted())
}

/// The fields of a listpack in its order.
#[derive(Clone)]
pub(super) struct Entries<'a> {
    elements: Iter<'a>,
    stride: Stride,
}

impl<'a> Entries<'a> {
    #[inline]
    pub fn new(listpack: &'a Packed, stride: Stride) -> Self {
        Self { elements: listpack.iter(), stride }
    }

    #[inline]
    fn next_with_position(&mut self) -> Option<(Position, Entry<'a>)> {
        let (position, field) = self.elements.next()?;
        let (_, value) = self.elements.next()?;
        let deadline = match self.stride {
            Stride::Pairs => None,
            Stride::Triples => deadline_of(self.elements.next()?.1),
        };
        Some((position, Entry { field, value, deadline }))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        self.next_with_position().map(|(_, entry)| entry)
    }
}
