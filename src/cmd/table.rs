//! The command table: entries found by name, with what dispatch asks for on every call worked out once.
//!
//! Names are at most 32 bytes and compared without regard to case. RENAMEd commands change the names here and nothing else.

use std::sync::LazyLock;

use super::GROUPS;
use super::command::{Access, Begin, Command, Find, Flag, Run};
use crate::util::number::parse_u64;

/// An entry with its precomputed facts.
pub struct Entry {
    pub command: &'static Command,
    pub parent: Option<&'static Command>,
    /// Index into per-command statistics.
    pub id: usize,
    /// Flags as a mask of `1 << Flag as u32`, WRITE and READONLY included.
    pub flags: u32,
    /// The first key's index where a constant one exists: 0 for none.
    pub first_key: u8,
    pub subcommands: Vec<&'static Entry>,
    /// "get", "client|list": how statistics and ACLs name it.
    pub full_name: String,
}

impl Entry {
    #[inline]
    pub fn has(&self, flag: Flag) -> bool {
        self.flags & flag.mask() != 0
    }

    /// Arguments before those of the handler: the name, and the parent's.
    pub fn name_words(&self) -> usize {
        1 + usize::from(self.parent.is_some())
    }

    pub fn subcommand(&self, name: &[u8]) -> Option<&'static Entry> {
        self.subcommands.iter().copied().find(|entry| entry.command.name.as_bytes().eq_ignore_ascii_case(name))
    }
}

impl Flag {
    #[inline]
    pub const fn mask(self) -> u32 {
        1 << self as u32
    }
}

/// Every entry, parents and subcommands alike, in table order.
pub fn all() -> &'static [&'static Entry] {
    &ALL.1
}

/// Top-level entries in table order.
pub fn top() -> &'static [&'static Entry] {
    &ALL.0
}

pub fn top_level(name: &[u8]) -> Option<&'static Entry> {
    TABLE.find(name)
}

type Lists = (Vec<&'static Entry>, Vec<&'static Entry>);

static ALL: LazyLock<Lists> = LazyLock::new(|| {
    let (mut top, mut all) = (Vec::new(), Vec::new());
    for command in GROUPS.iter().copied().flatten() {
        top.push(build(command, None, &mut all));
    }
    (top, all)
});

static TABLE: LazyLock<Names> = LazyLock::new(|| Names::new(top().iter().copied()));

// Built once and kept for the life of the process.
fn build(command: &'static Command, parent: Option<&'static Command>, all: &mut Vec<&'static Entry>) -> &'static Entry {
    let subcommands = command.subcommands().iter().map(|subcommand| build(subcommand, Some(command), all)).collect();
    let full_name = match parent {
        Some(parent) => format!("{}|{}", parent.name, command.name).to_ascii_lowercase(),
        None => command.name.to_ascii_lowercase(),
    };
    let entry = Box::leak(Box::new(Entry {
        command,
        parent,
        id: all.len(),
        flags: flags(command),
        first_key: first_key(command),
        subcommands,
        full_name,
    }));
    all.push(entry);
    entry
}

fn flags(command: &Command) -> u32 {
    let mut flags = command.flags.iter().fold(0, |mask, flag| mask | flag.mask());
    if command.is_write() {
        flags |= Flag::Write.mask();
    }
    if command.is_read() {
        flags |= Flag::Readonly.mask();
    }
    flags
}

fn first_key(command: &Command) -> u8 {
    command
        .keys
        .iter()
        .find_map(|spec| match spec.begin {
            Begin::Index(index) if matches!(spec.find, Find::Range { .. }) => u8::try_from(index).ok(),
            _ => None,
        })
        .unwrap_or(0)
}

/// A set of names with open addressing, small enough to stay in the cache.
pub struct Names {
    slots: Vec<Option<Name>>,
}

type Name = (Box<[u8]>, &'static Entry);

impl Names {
    pub fn new(entries: impl Iterator<Item = &'static Entry>) -> Self {
        let mut names = Self { slots: vec![] };
        names.slots.resize_with(2048, || None);
        for entry in entries {
            names.insert(entry.command.name.as_bytes(), entry);
        }
        names
    }

    /// Adds a name; false where it is taken.
    pub fn insert(&mut self, name: &[u8], entry: &'static Entry) -> bool {
        let mut at = self.start(name);
        while let Some((taken, _)) = &self.slots[at] {
            if taken.eq_ignore_ascii_case(name) {
                return false;
            }
            at = (at + 1) % self.slots.len();
        }
        self.slots[at] = Some((name.to_ascii_uppercase().into(), entry));
        true
    }

    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<&'static Entry> {
        let mut at = self.start(name);
        while let Some((taken, entry)) = &self.slots[at] {
            if taken.eq_ignore_ascii_case(name) {
                return Some(entry);
            }
            at = (at + 1) % self.slots.len();
        }
        None
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &'static Entry)> {
        self.slots.iter().flatten().map(|(name, entry)| (&**name, *entry))
    }

    /// The same names but one, which may get another.
    pub fn renamed(&self, from: &[u8], to: &[u8]) -> Option<Names> {
        let entry = self.find(from)?;
        let mut names = Names { slots: vec![] };
        names.slots.resize_with(self.slots.len(), || None);
        for (name, entry) in self.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(from)) {
            names.insert(name, entry);
        }
        if !to.is_empty() && !names.insert(to, entry) {
            return None;
        }
        Some(names)
    }

    #[inline]
    fn start(&self, name: &[u8]) -> usize {
        // The first eight bytes in one case, and the length, tell most names apart.
        let mut word = [0; 8];
        let prefix = name.len().min(8);
        word[..prefix].copy_from_slice(&name[..prefix]);
        let folded = (u64::from_le_bytes(word) & 0xdfdf_dfdf_dfdf_dfdf) ^ (name.len() as u64) << 59;
        let tail = name.last().map_or(0, |byte| u64::from(byte & 0xdf));
        ((folded ^ tail << 3).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 53) as usize
    }
}

/// The table of all commands under their own names.
pub fn names() -> Names {
    Names::new(top().iter().copied())
}

/// Does nothing but say that a handler of a parent is never run.
pub fn is_parent(entry: &Entry) -> bool {
    matches!(entry.command.run, Run::Parent(_))
}

/// Indices of a request's keys, with what is done to each, for the entry's key specifications.
/// `None` where the arguments do not allow to tell (a bad count).
pub fn key_positions(
    command: &Command,
    arguments: usize,
    argument: &dyn Fn(usize) -> Option<Vec<u8>>,
) -> Option<Vec<(usize, Access)>> {
    let mut found = Vec::new();
    for spec in command.keys {
        let Some(begin) = begin_of(spec.begin, arguments, argument) else { continue };
        match spec.find {
            Find::Range { last, step, limit } => {
                if begin >= arguments {
                    continue;
                }
                let last = match last {
                    0.. => begin + last as usize,
                    negative => {
                        let left = arguments - begin;
                        let end = if limit > 1 { begin + left / limit } else { arguments };
                        match end.checked_sub(negative.unsigned_abs() as usize) {
                            Some(last) => last,
                            None => continue,
                        }
                    }
                };
                if last >= arguments {
                    return None;
                }
                found.extend((begin..=last).step_by(step.max(1)).map(|index| (index, spec.access)));
            }
            Find::Count { count, first, step } => {
                let text = argument(begin + count)?;
                let keys = usize::try_from(parse_u64(&text)?).ok()?;
                let step = step.max(1);
                let end = keys.checked_mul(step).and_then(|span| span.checked_add(begin + first))?;
                if end > arguments || keys == 0 && first == 1 {
                    return None;
                }
                found.extend((begin + first..end).step_by(step).map(|index| (index, spec.access)));
            }
            Find::Unknown => {}
        }
    }
    Some(found)
}

fn begin_of(begin: Begin, arguments: usize, argument: &dyn Fn(usize) -> Option<Vec<u8>>) -> Option<usize> {
    match begin {
        Begin::Index(index) => Some(index),
        Begin::Keyword { word, from } => {
            let matches =
                |index: &usize| argument(*index).is_some_and(|text| text.eq_ignore_ascii_case(word.as_bytes()));
            let found = if from >= 0 {
                (from as usize..arguments).find(matches)
            } else {
                (1..=arguments.checked_sub(from.unsigned_abs() as usize)?).rev().find(matches)
            };
            found.map(|index| index + 1)
        }
        Begin::Unknown => None,
    }
}
