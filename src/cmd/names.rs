//! Commands by name, without regard to case: the table that every request asks first.
//!
//! A name is looked up by a few words made of its letters, so that nearly always no byte is compared. Which entry stands under which name is
//! `table`'s business at the start, and that of `rename-command` later.

use super::table::Entry;

/// Twice what Redis knows, and twice that again, so that a search ends at once.
const SLOTS: usize = 1024;

/// A set of names with open addressing, small enough to stay in the cache.
pub struct Names {
    slots: Vec<Option<Name>>,
}

struct Name {
    key: Key,
    entry: &'static Entry,
    /// In capitals.
    text: Box<[u8]>,
}

/// What tells names of up to sixteen bytes apart: their letters in capitals, and how many they are.
///
/// ```text
///     ZREVRANGEBYSCORE        first "ZREVRANG"  last "EBYSCORE"  len 16
///     BZPOPMIN_X              first "BZPOPMIN"  last "POPMIN_X"  len 10
///     GET                     first "GET"       last ""          len 3
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    first: u64,
    last: u64,
    len: usize,
}

impl Names {
    pub fn new(entries: impl Iterator<Item = &'static Entry>) -> Self {
        let mut names = Self::empty();
        for entry in entries {
            names.insert(entry.command.name.as_bytes(), entry);
        }
        names
    }

    fn empty() -> Self {
        let mut names = Self { slots: Vec::new() };
        names.slots.resize_with(SLOTS, || None);
        names
    }

    /// Adds a name; false where it is taken.
    pub fn insert(&mut self, name: &[u8], entry: &'static Entry) -> bool {
        if self.find(name).is_some() {
            return false;
        }
        let key = Key::of(name);
        let mut at = key.slot();
        while self.slots[at].is_some() {
            at = (at + 1) % SLOTS;
        }
        self.slots[at] = Some(Name { key, entry, text: name.to_ascii_uppercase().into() });
        true
    }

    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<&'static Entry> {
        let key = Key::of(name);
        let mut at = key.slot();
        while let Some(taken) = &self.slots[at] {
            if taken.key == key && (key.is_whole() || taken.text.eq_ignore_ascii_case(name)) {
                return Some(taken.entry);
            }
            at = (at + 1) % SLOTS;
        }
        None
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &'static Entry)> {
        self.slots.iter().flatten().map(|name| (&*name.text, name.entry))
    }

    /// The same names but one, which may get another.
    pub fn renamed(&self, from: &[u8], to: &[u8]) -> Option<Names> {
        let entry = self.find(from)?;
        let mut names = Self::empty();
        for (name, entry) in self.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(from)) {
            names.insert(name, entry);
        }
        if !to.is_empty() && !names.insert(to, entry) {
            return None;
        }
        Some(names)
    }
}

impl Key {
    #[inline]
    fn of(name: &[u8]) -> Self {
        let len = name.len();
        let word = |from: usize, to: usize| {
            let bytes = &name[from..to];
            u64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]])
        };
        let half =
            |from: usize| u64::from(u32::from_le_bytes([name[from], name[from + 1], name[from + 2], name[from + 3]]));
        let (first, last) = match len {
            0 => (0, 0),
            // The places may be the same ones; the length tells the rest.
            1..=3 => {
                let byte = |at: usize| u64::from(name[at]);
                (byte(0) | byte(len / 2) << 8 | byte(len - 1) << 16, 0)
            }
            4..=8 => (half(0) | half(len - 4) << 32, 0),
            _ => (word(0, 8), word(len - 8, len)),
        };
        Self { first: in_capitals(first), last: in_capitals(last), len }
    }

    /// The words hold all of the name.
    #[inline]
    fn is_whole(self) -> bool {
        self.len <= 16
    }

    #[inline]
    fn slot(self) -> usize {
        let mixed = self.first ^ self.last.rotate_left(29) ^ (self.len as u64) << 59;
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize % SLOTS
    }
}

/// Eight bytes with the letters a to z made capital, all at once.
#[inline]
fn in_capitals(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let low = word & !HIGH;
    // The high bit of a byte: it is 'a' at least, and it is above 'z'.
    let from_a = low + (0x80 - u64::from(b'a')) * ONES;
    let above_z = low + (0x7f - u64::from(b'z')) * ONES;
    let is_letter = from_a & !above_z & !word & HIGH;
    word - (is_letter >> 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::table::{names, top};

    #[test]
    fn letters_become_capital_and_nothing_else_changes() {
        for byte in 0..=255u8 {
            let others = [byte, b'a', b'z', b'A', 0, 255, b'`', b'{'];
            let word = in_capitals(u64::from_le_bytes(others)).to_le_bytes();
            assert_eq!(word, others.map(|byte| byte.to_ascii_uppercase()));
        }
    }

    #[test]
    fn every_command_is_found_by_its_name_alone() {
        let names = names();
        for entry in top() {
            let name = entry.command.name;
            for spelled in [name.to_owned(), name.to_ascii_lowercase()] {
                assert!(names.find(spelled.as_bytes()).is_some_and(|found| std::ptr::eq(found, *entry)), "{spelled}");
                for at in 0..spelled.len() {
                    let mut other = spelled.clone().into_bytes();
                    other[at] ^= 0x80;
                    assert!(names.find(&other).is_none());
                    other.remove(at);
                    let found = names.find(&other).map(|entry| entry.command.name.as_bytes());
                    assert!(found.is_none_or(|name| name.eq_ignore_ascii_case(&other)));
                }
            }
        }
    }

    #[test]
    fn a_name_can_be_given_away_once() {
        let names = names();
        assert!(names.renamed(b"get", b"set").is_none());
        assert!(names.renamed(b"no such", b"other").is_none());
        let long = b"a name that is longer than any that a command was ever given";
        let renamed = names.renamed(b"get", long).expect("the name is free");
        assert!(renamed.find(b"GET").is_none());
        assert_eq!(renamed.find(&long.to_ascii_uppercase()).map(|entry| entry.command.name), Some("GET"));
        assert!(renamed.find(b"a name that is longer than ANY OTHER that a command was ever given").is_none());
        assert!(names.renamed(b"get", b"").is_some_and(|names| names.find(b"get").is_none()));
    }
}
