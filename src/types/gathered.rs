//! Elements that were seen, to tell whether one comes up again. They stay where they are; only references are kept.

use crate::ds::item::{Item, ItemText};
use crate::ds::keytable::Seed;
use hashbrown::{HashTable, hash_table};

/// Elements that were seen.
pub struct Gathered<'a> {
    table: HashTable<Item<'a>>,
    seed: &'static Seed,
}

impl<'a> Gathered<'a> {
    pub fn new(seed: &'static Seed) -> Self {
        Self { table: HashTable::new(), seed }
    }

    /// False where it was seen.
    pub fn add(&mut self, item: Item<'a>) -> bool {
        let seed = self.seed;
        match self.table.entry(hash_of(seed, &item), |other| *other == item, |other| hash_of(seed, other)) {
            hash_table::Entry::Occupied(_) => false,
            hash_table::Entry::Vacant(vacant) => {
                vacant.insert(item);
                true
            }
        }
    }

    pub fn contains(&self, item: Item<'_>) -> bool {
        self.table.find(hash_of(self.seed, &item), |other| *other == item).is_some()
    }
}

fn hash_of(seed: &Seed, item: &Item<'_>) -> u64 {
    seed.hash(item.text(&mut ItemText::default())).0
}

/// Whether no element comes up twice.
pub fn are_distinct<'a>(mut items: impl Iterator<Item = Item<'a>> + Clone, seed: &'static Seed) -> bool {
    /// Up to this many are compared each with each.
    const FEW: usize = 8;
    if items.clone().nth(FEW).is_none() {
        while let Some(item) = items.next() {
            if items.clone().any(|other| other == item) {
                return false;
            }
        }
        return true;
    }
    let mut seen = Gathered::new(seed);
    items.all(|item| seen.add(item))
}

#[cfg(test)]
mod tests {
    use super::*;

    static SEED: Seed = Seed::new([1, 2]);

    #[test]
    fn elements_that_come_up_twice_are_found_among_few_and_many() {
        for count in 0..40 {
            let items: Vec<Item<'_>> = (0..count).map(Item::Int).collect();
            assert!(are_distinct(items.iter().copied(), &SEED));
            for at in 0..items.len() {
                let text = at.to_string();
                let twice = items.iter().copied().chain([Item::Bytes(text.as_bytes())]);
                assert!(!are_distinct(twice, &SEED), "{at} of {count}");
            }
        }
    }
}
