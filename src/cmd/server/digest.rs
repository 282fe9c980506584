//! DEBUG DIGEST: forty digits for all data, or for one value, that any difference changes and the order of keys does not.
//!
//! Two servers with the same data say the same, whatever their encodings and seeds. The digits are not Redis's.

use sha2::{Digest, Sha256};

use crate::db::View;
use crate::ds::item::{Item, ItemText};
use crate::types::hash::Hash;
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::stream::{StreamBox, StreamId};
use crate::types::value::{self, Record};
use crate::types::zset::Zset;

const BYTES: usize = 20;

#[derive(Clone, Copy, Default)]
struct Sum([u8; BYTES]);

pub(super) fn all(view: &View, databases: usize) -> String {
    let mut sum = Sum::default();
    for db in 0..databases {
        let view = view.in_db(db);
        for record in view.records() {
            sum.add(of_parts(&[&db.to_le_bytes(), record.key(), &of_record(&record).0]));
        }
    }
    sum.text()
}

pub(super) fn value(record: Option<&Record>) -> String {
    record.map_or_else(Sum::default, of_record).text()
}

impl Sum {
    /// In whatever order the parts come.
    fn add(&mut self, other: Sum) {
        self.0.iter_mut().zip(other.0).for_each(|(byte, other)| *byte ^= other);
    }

    fn text(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Of parts in their order, each with its length.
fn of_parts(parts: &[&[u8]]) -> Sum {
    let mut sequence = Sequence::default();
    parts.iter().for_each(|part| sequence.push(part));
    sequence.sum()
}

#[derive(Default)]
struct Sequence(Sha256);

impl Sequence {
    fn push(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    fn push_item(&mut self, item: Item<'_>) {
        self.push(item.text(&mut ItemText::default()));
    }

    fn sum(self) -> Sum {
        let mut sum = Sum::default();
        sum.0.copy_from_slice(&self.0.finalize()[..BYTES]);
        sum
    }
}

fn of_record(record: &Record) -> Sum {
    let deadline = record.deadline().map(u64::to_le_bytes);
    let deadline = deadline.as_ref().map_or(&[][..], |bytes| bytes);
    of_parts(&[value::kind_of(record).name().as_bytes(), deadline, &of_value(record).0])
}

fn of_value(record: &Record) -> Sum {
    let (mut sequence, mut unordered) = (Sequence::default(), Sum::default());
    if let Some(list) = record.get::<List>() {
        list.iter().for_each(|item| sequence.push_item(item));
    } else if let Some(zset) = record.get::<Zset>() {
        zset.iter().for_each(|entry| {
            sequence.push_item(entry.member);
            // Both zeroes are the same score.
            sequence.push(&(entry.score + 0.0).to_bits().to_le_bytes());
        });
    } else if let Some(stream) = record.get::<StreamBox>() {
        stream.log().range(StreamId::MIN, StreamId::MAX).for_each(|entry| {
            sequence.push(&entry.id.to_key());
            entry.fields.for_each(|(name, value)| {
                sequence.push(name);
                sequence.push(value);
            });
        });
        sequence.push(&stream.log().last_id().to_key());
    } else if let Some(set) = record.get::<Set>() {
        set.iter().for_each(|item| unordered.add(of_parts(&[item.text(&mut ItemText::default())])));
    } else if let Some(hash) = record.get::<Hash>() {
        hash.iter(0).for_each(|entry| {
            let (mut field, mut value) = (ItemText::default(), ItemText::default());
            let deadline = entry.deadline.map_or([0; 8], u64::to_le_bytes);
            unordered.add(of_parts(&[entry.field.text(&mut field), entry.value.text(&mut value), &deadline]));
        });
    } else {
        string_text(record, |text| sequence.push(text));
    }
    sequence.push(&unordered.0);
    sequence.sum()
}

fn string_text(record: &Record, with: impl FnOnce(&[u8])) {
    use crate::ds::record::Payload;
    match record.payload() {
        Payload::Inline(text) => with(text),
        Payload::Blob(blob) => with(blob.as_slice()),
        Payload::Integer(value) => with(Item::Int(value).text(&mut ItemText::default())),
        Payload::Word(_) => {}
    }
}
