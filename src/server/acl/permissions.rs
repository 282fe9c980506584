//! What a user, or one of its selectors, may do: which commands, which keys to read and to write, which channels.
//!
//! Everything a check needs is worked out when the rules are given: commands are a bitmap by their number in the table, patterns know
//! whether they are a literal or a prefix. How rules are written is in `rules`, how they are shown in `describe`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Denied, Reason};
use crate::cmd::command::{Category, Channels, Flag};
use crate::cmd::keyspec::{self, Needs};
use crate::cmd::table::{self, Entry};
use crate::resp::request::Request;
use crate::util::glob;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions {
    pub commands: Commands,
    pub keys: Keys,
    pub channels: ChannelPatterns,
}

impl Permissions {
    /// May nothing.
    pub fn none() -> Self {
        Self { commands: Commands::none(), keys: Keys::default(), channels: ChannelPatterns::default() }
    }

    /// May everything.
    pub fn all() -> Self {
        let mut permissions = Self::none();
        permissions.commands.allow_all(true);
        permissions.keys.allow_all();
        permissions.channels.allow_all();
        permissions
    }

    /// Nothing can be refused, so that nobody needs to ask.
    pub fn are_unlimited(&self) -> bool {
        self.keys.all && self.channels.all && self.commands.are_all()
    }

    /// Whether a request may run. What it lacks of its arguments, where a script only asks, lacks no right. O(1) where the command has one
    /// key, else O(arguments × patterns).
    #[inline]
    pub fn check(&self, entry: &Entry, request: Request) -> Result<(), Denied> {
        if !self.commands.allow(entry, request) {
            return Err(Denied { reason: Reason::Command, position: 0 });
        }
        self.check_keys(entry, request)?;
        self.check_channels(entry, request)
    }

    #[inline]
    fn check_keys(&self, entry: &Entry, request: Request) -> Result<(), Denied> {
        if self.keys.all {
            return Ok(());
        }
        if let Some(sole) = entry.sole_key
            && request.get(usize::from(sole.index)).is_some_and(|key| self.keys.allow(key, sole.needs))
        {
            return Ok(());
        }
        self.check_all_keys(entry, request)
    }

    fn check_all_keys(&self, entry: &Entry, request: Request) -> Result<(), Denied> {
        if !keyspec::has_keys(entry.command) {
            return Ok(());
        }
        let mut denied = None;
        let all_fits = keyspec::each_range(entry.command, request, |range| {
            let needs = Needs::of(range.flags);
            denied = denied.or_else(|| range.indices().find(|&index| !self.keys.allow(request.arg(index), needs)));
        });
        // Where the arguments do not tell their keys the command itself will refuse them.
        match denied.filter(|_| all_fits.is_some()) {
            Some(position) => Err(Denied { reason: Reason::Key, position }),
            None => Ok(()),
        }
    }

    #[inline]
    fn check_channels(&self, entry: &Entry, request: Request) -> Result<(), Denied> {
        let (last, are_patterns) = match entry.command.channels {
            Channels::None => return Ok(()),
            _ if self.channels.all => return Ok(()),
            Channels::First => (1.min(request.len() - 1), false),
            Channels::All => (request.len() - 1, false),
            Channels::Patterns => (request.len() - 1, true),
        };
        match (1..=last).find(|&index| !self.channels.allow(request.arg(index), are_patterns)) {
            Some(index) => Err(Denied { reason: Reason::Channel, position: index }),
            None => Ok(()),
        }
    }
}

/// Which commands may be run, and by which rules that came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commands {
    /// A bit for each entry, by its id.
    allowed: Box<[u64]>,
    /// Of commands that are not allowed as such: the first arguments with which they are.
    first_args: BTreeMap<usize, BTreeSet<Box<[u8]>>>,
    /// The rules begin with everything: a later version's new commands are allowed too.
    pub begins_with_all: bool,
    /// The rules that still count, in order.
    pub rules: Vec<CommandRule>,
}

/// `+get`, `-@dangerous`, `+config|get`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRule {
    pub allow: bool,
    pub name: Vec<u8>,
}

impl Commands {
    fn none() -> Self {
        let words = table::all().len().div_ceil(64);
        Self {
            allowed: vec![0; words].into_boxed_slice(),
            first_args: BTreeMap::new(),
            begins_with_all: false,
            rules: Vec::new(),
        }
    }

    #[inline]
    fn allow(&self, entry: &Entry, request: Request) -> bool {
        self.has(entry) || entry.has(Flag::NoAuth) || self.allow_first_arg(entry, request)
    }

    #[inline]
    fn has(&self, entry: &Entry) -> bool {
        self.allowed[entry.id / 64] >> (entry.id % 64) & 1 != 0
    }

    fn are_all(&self) -> bool {
        table::all().iter().all(|entry| self.has(entry))
    }

    fn allow_first_arg(&self, entry: &Entry, request: Request) -> bool {
        if self.first_args.is_empty() || request.len() <= entry.name_words() {
            return false;
        }
        let given = request.arg(entry.name_words());
        let allowed = self.first_args.get(&entry.id);
        allowed.is_some_and(|allowed| allowed.iter().any(|one| one.eq_ignore_ascii_case(given)))
    }

    /// +@all and -@all: every rule before is forgotten.
    pub fn allow_all(&mut self, allow: bool) {
        self.allowed.fill(if allow { u64::MAX } else { 0 });
        self.first_args.clear();
        self.rules.clear();
        self.begins_with_all = allow;
    }

    /// A command with its subcommands, or a subcommand.
    pub fn allow_entry(&mut self, entry: &'static Entry, allow: bool) {
        self.set(entry, allow);
        self.note(allow, entry.full_name.clone().into_bytes());
    }

    pub fn allow_category(&mut self, category: Category, allow: bool) {
        for entry in table::all() {
            if entry.command.all_categories().any(|of| of == category) {
                self.set(entry, allow);
            }
        }
        self.note(allow, format!("@{}", category.name()).into_bytes());
    }

    /// A command whose first argument is this one.
    pub fn allow_with_first_arg(&mut self, entry: &'static Entry, first_arg: &[u8]) {
        let first_arg = first_arg.to_ascii_lowercase();
        self.note(true, [entry.full_name.as_bytes(), b"|", &first_arg].concat());
        self.first_args.entry(entry.id).or_default().insert(first_arg.into());
    }

    fn set(&mut self, entry: &'static Entry, allow: bool) {
        for entry in std::iter::once(entry).chain(entry.subcommands.iter().copied()) {
            let bit = 1 << (entry.id % 64);
            let word = &mut self.allowed[entry.id / 64];
            *word = if allow { *word | bit } else { *word & !bit };
            self.first_args.remove(&entry.id);
        }
    }

    /// A rule takes the place of earlier ones about the same command and about parts of it.
    fn note(&mut self, allow: bool, name: Vec<u8>) {
        let is_part = |rule: &CommandRule| rule.name.strip_prefix(&*name).is_some_and(|rest| rest.starts_with(b"|"));
        self.rules.retain(|rule| rule.name != name && !is_part(rule));
        self.rules.push(CommandRule { allow, name });
    }
}

/// Which keys may be read and written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    pub all: bool,
    pub patterns: Vec<KeyPattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern {
    pub pattern: Pattern,
    pub granted: Needs,
}

impl Keys {
    #[inline]
    fn allow(&self, key: &[u8], needs: Needs) -> bool {
        self.all || self.patterns.iter().any(|one| needs.are_within(one.granted) && one.pattern.matches(key))
    }

    /// Any key at all may be read.
    pub fn allow_reading_all(&self) -> bool {
        self.all || self.patterns.iter().any(|one| Needs::READ.are_within(one.granted) && one.pattern.text() == b"*")
    }

    pub fn allow_all(&mut self) {
        *self = Self { all: true, patterns: Vec::new() };
    }

    /// What two rules grant for one pattern adds up.
    pub fn add(&mut self, text: &[u8], granted: Needs) {
        match self.patterns.iter_mut().find(|one| one.pattern.text() == text) {
            Some(one) => one.granted = one.granted.and(granted),
            None => self.patterns.push(KeyPattern { pattern: Pattern::new(text), granted }),
        }
    }
}

/// Which channels may be published to and listened to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelPatterns {
    pub all: bool,
    pub patterns: Vec<Pattern>,
}

impl ChannelPatterns {
    /// A pattern to listen to must be one of those given, letter for letter.
    pub fn allow(&self, channel: &[u8], is_pattern: bool) -> bool {
        let allows = |one: &Pattern| if is_pattern { one.text() == channel } else { one.matches(channel) };
        self.all || self.patterns.iter().any(allows)
    }

    pub fn allow_all(&mut self) {
        *self = Self { all: true, patterns: Vec::new() };
    }

    pub fn add(&mut self, text: &[u8]) {
        if !self.patterns.iter().any(|one| one.text() == text) {
            self.patterns.push(Pattern::new(text));
        }
    }
}

/// A glob that knows what it takes to match it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: Box<[u8]>,
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Literal,
    /// Something literal, then a star.
    Prefix,
    Glob,
}

impl Pattern {
    fn new(text: &[u8]) -> Self {
        let is_special = |byte: &u8| b"*?[\\".contains(byte);
        let shape = match text.split_last() {
            _ if !text.iter().any(is_special) => Shape::Literal,
            Some((b'*', prefix)) if !prefix.iter().any(is_special) => Shape::Prefix,
            _ => Shape::Glob,
        };
        Self { text: text.into(), shape }
    }

    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// As everywhere in ACLs, the empty text matches nothing but the empty pattern.
    #[inline]
    fn matches(&self, text: &[u8]) -> bool {
        match self.shape {
            Shape::Literal => *self.text == *text,
            _ if text.is_empty() => false,
            Shape::Prefix => text.starts_with(&self.text[..self.text.len() - 1]),
            Shape::Glob => glob::matches(&self.text, text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_empty_text_matches_only_the_empty_pattern() {
        assert!(Pattern::new(b"").matches(b""));
        for text in ["*", "**", "a*", "?"] {
            assert!(!Pattern::new(text.as_bytes()).matches(b""), "{text}");
        }
    }

    proptest! {
        #[test]
        fn shapes_are_only_faster(pattern in "[ab*?\\[\\]\\\\]{0,5}", text in "[ab\\]]{1,6}") {
            let fast = Pattern::new(pattern.as_bytes()).matches(text.as_bytes());
            prop_assert_eq!(fast, glob::matches(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
