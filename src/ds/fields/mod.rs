//! Fields with values, found by name in a hash table; those with a deadline also in order of their deadlines.
//!
//! A field is one record (`record.rs`) that the table owns. The index of deadlines names records by their address; here is the
//! only place that makes, changes and frees records, so here the contract is kept: *an address is in the index if and only if
//! that record is in the table and has that deadline*. What a passed deadline means is the business of `types::hash`.

mod record;

use crate::ds::ahead::Ahead;
use crate::ds::image::{ImageId, Shown, TableImage};
use crate::ds::keytable::{Entry, Hash, Prefetch, Seed, Table};
use record::Field;
pub use record::FieldRef;
use std::collections::BTreeSet;

/// See the head of this file.
pub struct Fields {
    table: Table<Field>,
    /// Deadline and address of each field that has a deadline.
    due: BTreeSet<(u64, usize)>,
    field_bytes: usize,
    /// What they were at a moment that a snapshot wants to know of.
    image: Option<Box<FieldsImage>>,
}

struct FieldsImage {
    entries: TableImage<(Box<[u8]>, Option<u64>)>,
    /// The earliest deadline at that moment.
    first_due: Option<u64>,
}

/// Bytes of the index for each field in it: its nodes are about two thirds full.
const DUE_BYTES: usize = 24;

/// What `put` found in the field's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Previous {
    Absent,
    /// A field, and its deadline if it had one.
    Present(Option<u64>),
}

impl Fields {
    pub fn new(seed: &'static Seed) -> Self {
        Self { table: Table::new(seed), due: BTreeSet::new(), field_bytes: 0, image: None }
    }

    /// Prepares an empty one for so many fields.
    pub fn reserve(&mut self, fields: usize) {
        self.table.reserve(fields);
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<FieldRef<'_>> {
        self.table.get(self.table.hash(name), name)
    }

    /// Gives a field this value and this deadline, whatever it had.
    pub fn put(&mut self, name: &[u8], value: &[u8], deadline: Option<u64>) -> Previous {
        let hash = self.table.hash(name);
        let mut occupied = match self.table.entry(hash, name) {
            Entry::Occupied(occupied) => occupied,
            Entry::Vacant(vacant) => {
                if let Some(image) = &mut self.image {
                    image.entries.note(hash, name, 0, || None);
                }
                let field = Field::new(name, value, deadline);
                self.field_bytes += field.view().memory();
                self.due.extend(key_in_index(field.view()));
                vacant.insert(field);
                return Previous::Absent;
            }
        };
        let old = occupied.get();
        let previous = old.deadline();
        note(&mut self.image, hash, old);
        if previous == deadline && occupied.get_mut().set_value(value) {
            return Previous::Present(previous);
        }
        let field = Field::new(name, value, deadline);
        self.field_bytes += field.view().memory();
        self.due.extend(key_in_index(field.view()));
        let old = occupied.replace(field);
        self.forget(old.view());
        Previous::Present(previous)
    }

    /// Gives a field another deadline, or none. Whether it is there.
    pub fn set_deadline(&mut self, name: &[u8], deadline: Option<u64>) -> bool {
        let hash = self.table.hash(name);
        let Entry::Occupied(mut occupied) = self.table.entry(hash, name) else { return false };
        if occupied.get().deadline() == deadline {
            return true;
        }
        note(&mut self.image, hash, occupied.get());
        let field = Field::new(name, occupied.get().value(), deadline);
        self.field_bytes += field.view().memory();
        self.due.extend(key_in_index(field.view()));
        let old = occupied.replace(field);
        self.forget(old.view());
        true
    }

    /// Removes a field. What it was.
    pub fn remove(&mut self, name: &[u8]) -> Previous {
        let hash = self.table.hash(name);
        let Some(field) = self.table.remove(hash, name) else { return Previous::Absent };
        note(&mut self.image, hash, field.view());
        self.forget(field.view());
        Previous::Present(field.view().deadline())
    }

    /// The earliest deadline.
    pub fn first_due(&self) -> Option<u64> {
        self.due.first().map(|&(deadline, _)| deadline)
    }

    /// How many fields have a deadline before `time`. Proportional to the answer.
    pub fn due_before(&self, time: u64) -> usize {
        self.due.range(..(time, 0)).count()
    }

    /// Removes the field of the earliest deadline where that is before `time`, after `show` has seen it.
    pub fn take_due_before(&mut self, time: u64, show: impl FnOnce(FieldRef<'_>)) -> bool {
        let Some(&(deadline, address)) = self.due.first() else { return false };
        if deadline >= time {
            return false;
        }
        // SAFETY: by the contract of this file the record is in the table, which is borrowed until the view was last used.
        let view = unsafe { FieldRef::from_address(address) }.expect("an address is not zero");
        let hash = self.table.hash(view.name());
        let removed = self.table.remove(hash, view.name());
        let removed = removed.expect("a field of the index is in the table");
        note(&mut self.image, hash, removed.view());
        show(removed.view());
        self.forget(removed.view());
        true
    }

    /// All fields.
    pub fn iter(&self) -> impl Iterator<Item = FieldRef<'_>> {
        Ahead::new(self.table.iter())
    }

    /// One field, each with the same probability.
    pub fn random(&self, random: &mut impl FnMut() -> u64) -> Option<FieldRef<'_>> {
        self.table.random(random)
    }

    /// Shows about `count` fields from the cursor's place on and returns the next cursor; 0 begins and ends. A field that
    /// is there from the first call to the last is shown at least once.
    pub fn scan(&self, cursor: u64, count: usize, show: &mut impl FnMut(FieldRef<'_>)) -> u64 {
        self.table.scan(cursor, count, show)
    }

    #[inline]
    pub fn hash(&self, name: &[u8]) -> Hash {
        self.table.hash(name)
    }

    pub fn table(&self) -> &dyn Prefetch {
        &self.table
    }

    /// Asks the cache for what a lookup will read first.
    #[inline]
    pub fn prefetch_bucket(&self, hash: Hash) {
        self.table.prefetch_bucket(hash);
    }

    /// Asks the cache for what a lookup will read next; best some time after `prefetch_bucket`.
    #[inline]
    pub fn prefetch_entry(&self, hash: Hash) {
        self.table.prefetch_entry(hash);
    }

    /// Bytes of everything it owns, not counting itself. O(1); the index of deadlines is estimated.
    pub fn memory(&self) -> usize {
        self.table.memory() + self.field_bytes + self.due.len() * DUE_BYTES
    }

    /// From now on the image is of what it holds now.
    pub fn begin_image(&mut self, id: ImageId) {
        let first_due = self.first_due();
        self.image = Some(Box::new(FieldsImage { entries: TableImage::new(id), first_due }));
    }

    /// Shows some of the fields that it held (name, value, deadline), each once. False where all are shown.
    pub fn step_image(&mut self, show: &mut impl FnMut(&[u8], &[u8], Option<u64>)) -> bool {
        let Some(image) = &mut self.image else { return false };
        image.entries.step(&self.table, &mut |shown: Shown<'_, FieldRef<'_>, (Box<[u8]>, Option<u64>)>| match shown {
            Shown::There(field) => show(field.name(), field.value(), field.deadline()),
            Shown::Kept(name, (value, deadline)) => show(name, &value, deadline),
        })
    }

    pub fn end_image(&mut self) {
        self.image = None;
    }

    /// The image that is not through, about how much memory it takes, and the earliest deadline in it.
    pub fn image(&self) -> Option<(ImageId, usize, Option<u64>)> {
        self.image.as_ref().map(|image| (image.entries.id, image.entries.bytes(), image.first_due))
    }

    /// Verifies the table, the index, and that they agree.
    pub fn check(&self) {
        self.table.check();
        let bytes: usize = self.table.iter().map(FieldRef::memory).sum();
        assert_eq!(bytes, self.field_bytes, "bytes of fields");
        let due: BTreeSet<_> = self.table.iter().filter_map(key_in_index).collect();
        assert_eq!(due, self.due, "the index has the fields with a deadline, and no other");
    }

    /// Takes a field that has left the table out of the account and the index.
    fn forget(&mut self, field: FieldRef<'_>) {
        self.field_bytes -= field.memory();
        if let Some(key) = key_in_index(field) {
            self.due.remove(&key);
        }
    }
}

impl Clone for Fields {
    /// A copy, as COPY makes it. O(bytes).
    fn clone(&self) -> Self {
        let mut copy = Self::new(self.table.seed());
        copy.reserve(self.len());
        for field in self.iter() {
            copy.put(field.name(), field.value(), field.deadline());
        }
        copy
    }
}

/// A field is about to change or has just gone.
#[inline]
fn note(image: &mut Option<Box<FieldsImage>>, hash: Hash, field: FieldRef<'_>) {
    if let Some(image) = image {
        let (name, value) = field.parts();
        image.entries.note(hash, name, value.len() + 24, || Some((value.into(), field.deadline())));
    }
}

fn key_in_index(field: FieldRef<'_>) -> Option<(u64, usize)> {
    field.deadline().map(|deadline| (deadline, field.address()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    static SEED: Seed = Seed::new([1, 2]);

    proptest! {
        #[test]
        fn fields_are_a_map_with_deadlines(
            ops in proptest::collection::vec((0..6u8, 0..40u8, 0..300usize, proptest::option::of(0..50u64)), 1..300),
        ) {
            let mut fields = Fields::new(&SEED);
            let mut model = BTreeMap::<Vec<u8>, (Vec<u8>, Option<u64>)>::new();
            for (op, name, length, deadline) in ops {
                let name = format!("field {name}").into_bytes();
                let value = vec![b'v'; length];
                let expected = model.get(&name).map_or(Previous::Absent, |(_, deadline)| Previous::Present(*deadline));
                match op {
                    0..=2 => {
                        prop_assert_eq!(fields.put(&name, &value, deadline), expected);
                        model.insert(name, (value, deadline));
                    }
                    3 => {
                        prop_assert_eq!(fields.remove(&name), expected);
                        model.remove(&name);
                    }
                    4 => {
                        prop_assert_eq!(fields.set_deadline(&name, deadline), expected != Previous::Absent);
                        if let Some(field) = model.get_mut(&name) {
                            field.1 = deadline;
                        }
                    }
                    _ => {
                        let time = length as u64 / 6;
                        let due = |field: &&(Vec<u8>, Option<u64>)| field.1.is_some_and(|deadline| deadline < time);
                        prop_assert_eq!(fields.due_before(time), model.values().filter(due).count());
                        let mut last = 0;
                        let mut show = |field: FieldRef<'_>| {
                            let deadline = field.deadline().unwrap();
                            assert!(last <= deadline && deadline < time);
                            last = deadline;
                            assert_eq!(model.remove(field.name()).unwrap(), (field.value().to_vec(), Some(deadline)));
                        };
                        while fields.take_due_before(time, &mut show) {}
                        prop_assert_eq!(model.values().filter(due).count(), 0);
                    }
                }
                prop_assert_eq!(fields.len(), model.len());
                prop_assert_eq!(fields.first_due(), model.values().filter_map(|field| field.1).min());
            }
            fields.check();
            for copy in [&fields, &fields.clone()] {
                copy.check();
                let all: BTreeMap<_, _> =
                    copy.iter().map(|field| (field.name().to_vec(), (field.value().to_vec(), field.deadline()))).collect();
                prop_assert_eq!(&all, &model);
            }
        }
    }
}
