//! The command table: entries, with what dispatch asks for on every call worked out once.
//!
//! Names are at most 32 bytes; `names` finds entries by them. RENAMEd commands change the names there and nothing here.

use std::sync::LazyLock;

use super::GROUPS;
use super::command::{Begin, Command, Find, Flag, Run};
use super::keyspec::{self, Places, SoleKey};
use super::names::Names;
use crate::resp::request::Request;

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
    pub sole_key: Option<SoleKey>,
    pub places: Places,
    /// Its arguments have patterns of further keys.
    pub reads_unnamed_keys: bool,
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

    /// An argument as MONITOR and SLOWLOG may show it.
    pub fn shown_arg<'a>(&self, request: Request<'a>, index: usize) -> &'a [u8] {
        match self.command.secret {
            Some(is_secret) if is_secret(request, index) => b"(redacted)",
            _ => request.arg(index),
        }
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
        sole_key: keyspec::sole_key(command),
        places: keyspec::places(command),
        reads_unnamed_keys: keyspec::reads_unnamed_keys(command),
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
    if keyspec::are_movable(command) {
        flags |= Flag::MovableKeys.mask();
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

/// The table of all commands under their own names.
pub fn names() -> Names {
    Names::new(top().iter().copied())
}

/// True where a request must go on with a subcommand's name. COMMAND alone may do without.
pub fn is_parent(entry: &Entry, arguments: usize) -> bool {
    match entry.command.run {
        Run::Parent(_) => true,
        Run::ParentAndServer(..) => arguments > 1,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::cmd::command::{Group, KeyFlag};
    use crate::cmd::usage::{self, Argument, Kind};

    fn has_key(arguments: &[Argument]) -> bool {
        arguments.iter().any(|argument| argument.kind == Kind::Key || has_key(&argument.children))
    }

    /// What must hold of one entry, as a sentence where it does not.
    fn trouble(entry: &Entry) -> Option<&'static str> {
        let command = entry.command;
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "-_".contains(c);
        let arguments = usage::arguments(command).unwrap_or_default();
        let real_keys = command.keys.iter().any(|spec| !spec.flags.contains(&KeyFlag::NotKey));
        let least = command.arity.unsigned_abs() as usize;
        let has_number =
            |text: &str| text.split('.').count() == 3 && text.split('.').all(|part| part.parse::<u8>().is_ok());
        let is_parent = !entry.subcommands.is_empty();
        let rules = [
            (
                !command.name.is_empty() && command.name.len() <= 32 && command.name.chars().all(is_name),
                "a name is short and in capitals",
            ),
            (least >= entry.name_words(), "the arity counts the name"),
            (!command.summary.is_empty() && command.summary.ends_with('.'), "the summary is a sentence"),
            (has_number(command.since), "since is a version"),
            (usage::arguments(command).is_ok(), "the usage can be read"),
            (
                is_parent || arguments.is_empty() || command.arity != entry.name_words() as i32,
                "no arguments are told of where the arity allows none",
            ),
            (real_keys == has_key(&arguments), "the usage names keys where there are key specifications"),
            (
                !command.keys.iter().any(|spec| matches!(spec.begin, Begin::Index(0))),
                "no key stands in the command's own place",
            ),
            (!(entry.has(Flag::Write) && entry.has(Flag::Readonly)), "a command writes or only reads"),
            (!(entry.has(Flag::DenyOom) && entry.has(Flag::Readonly)), "what only reads needs no memory"),
            (!is_parent || command.arity < 0, "a parent takes any number of arguments"),
            (!is_parent || command.group == Group::Cluster || entry.subcommand(b"help").is_some(), "a parent has HELP"),
            (!real_keys || usize::from(entry.first_key) < least, "the first key is always there"),
            (
                command.element == 0 || (1..command.element).contains(&usize::from(entry.first_key)),
                "an element stands behind its key",
            ),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map(|(_, rule)| rule)
    }

    #[test]
    fn every_entry_is_sound() {
        let troubles: Vec<_> = all()
            .iter()
            .filter_map(|entry| trouble(entry).map(|rule| format!("{}: {rule}", entry.full_name)))
            .collect();
        assert!(troubles.is_empty(), "{troubles:#?}");
    }

    #[test]
    fn names_and_numbers_are_used_once() {
        let names: HashSet<_> = all().iter().map(|entry| entry.full_name.as_str()).collect();
        assert_eq!(names.len(), all().len());
        assert!(all().iter().enumerate().all(|(index, entry)| entry.id == index));
        for entry in top() {
            let lower = entry.command.name.to_ascii_lowercase();
            assert!(top_level(lower.as_bytes()).is_some_and(|found| std::ptr::eq(found, *entry)));
        }
    }
}
