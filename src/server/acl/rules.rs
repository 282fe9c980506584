//! The rules of ACL SETUSER, of `user` lines and of ACL files: each changes one thing about a user.
//!
//! ```text
//! on off reset  nopass resetpass >password #hash <password !hash  sanitize-payload skip-sanitize-payload      the user
//! ~keys %R~keys %W~keys allkeys resetkeys  &channels allchannels resetchannels                                 its root permissions,
//! +command -command +command|sub +command|first-arg +@category -@category allcommands nocommands               or, within ( ), a selector's
//! (rules) clearselectors                                                                                       selectors
//! ```
//!
//! Redis reads words as C strings: what comes behind a NUL byte is not there, except in passwords and patterns.

use std::borrow::Cow;
use std::fmt;

use super::User;
use super::password::{HASH_LEN, Hash};
use super::permissions::Permissions;
use crate::cmd::command::Category;
use crate::cmd::error::shown;
use crate::cmd::keyspec::Needs;
use crate::cmd::table::{self, Entry};
use crate::util::args::split_args;

/// Why a rule is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// A command or category that does not exist.
    Unknown,
    Syntax,
    KeysAfterAll,
    ChannelsAfterAll,
    NoSuchPassword,
    NoHash,
    FirstArgOfSubcommand,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "Unknown command or category name in ACL",
            Self::Syntax => "Syntax error",
            Self::KeysAfterAll => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. \
                 Try 'resetkeys' to start with an empty list of patterns"
            }
            Self::ChannelsAfterAll => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. \
                 Try 'resetchannels' to start with an empty list of channels"
            }
            Self::NoSuchPassword => "The password you are trying to remove from the user does not exist",
            Self::NoHash => {
                "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
            }
            Self::FirstArgOfSubcommand => "Allowing first-arg of a subcommand is not supported",
        })
    }
}

/// The first word of a selector that nothing closes.
#[derive(Debug, PartialEq, Eq)]
pub struct Unmatched<'a>(pub &'a [u8]);

/// Puts selectors together that were given as several words, `(+get` and `~a)`.
pub fn join_selectors<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Cow<'a, [u8]>>, Unmatched<'a>> {
    let mut rules: Vec<Cow<[u8]>> = Vec::new();
    let mut open: Option<(&[u8], Vec<u8>)> = None;
    for word in words {
        let closes = word.ends_with(b")");
        match &mut open {
            None if word.starts_with(b"(") && !closes => open = Some((word, word.to_vec())),
            None => rules.push(word.into()),
            Some((_, selector)) => {
                selector.push(b' ');
                selector.extend_from_slice(shown(word));
                if closes {
                    rules.push(open.take().map(|(_, selector)| selector).unwrap_or_default().into());
                }
            }
        }
    }
    match open {
        Some((first, _)) => Err(Unmatched(first)),
        None => Ok(rules),
    }
}

/// Whether a name or pattern cannot be written in a line of rules.
pub fn has_space_or_nul(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, 0 | b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r'))
}

impl User {
    /// Applies one rule. `all_channels` is `acl-pubsub-default`.
    pub fn apply(&mut self, rule: &[u8], all_channels: bool) -> Result<(), RuleError> {
        match rule {
            [b'>', password @ ..] => self.add_password(Hash::of(password)),
            [b'<', password @ ..] => return self.remove_password(Hash::of(password)),
            [b'#', hash @ ..] => self.add_password(Hash::read(hash).ok_or(RuleError::NoHash)?),
            [b'!', hash @ ..] => return self.remove_password(Hash::read(hash).ok_or(RuleError::NoHash)?),
            [b'(', rules @ .., b')'] => self.selectors.push(selector(rules, all_channels)?),
            _ => return self.apply_word(rule, all_channels),
        }
        Ok(())
    }

    fn apply_word(&mut self, rule: &[u8], all_channels: bool) -> Result<(), RuleError> {
        match &shown(rule).to_ascii_lowercase()[..] {
            b"" if rule.is_empty() => {}
            b"on" => self.enabled = true,
            b"off" => self.enabled = false,
            b"nopass" => {
                self.nopass = true;
                self.passwords.clear();
            }
            b"resetpass" => {
                self.nopass = false;
                self.passwords.clear();
            }
            b"sanitize-payload" => self.skips_sanitizing = false,
            b"skip-sanitize-payload" => self.skips_sanitizing = true,
            b"clearselectors" => self.selectors.clear(),
            b"reset" => *self = User::new(&self.name, all_channels),
            _ => return self.root.apply(rule),
        }
        Ok(())
    }

    fn add_password(&mut self, hash: Hash) {
        self.nopass = false;
        if !self.passwords.contains(&hash) {
            self.passwords.push(hash);
        }
    }

    fn remove_password(&mut self, hash: Hash) -> Result<(), RuleError> {
        let at = self.passwords.iter().position(|known| *known == hash).ok_or(RuleError::NoSuchPassword)?;
        self.passwords.remove(at);
        Ok(())
    }
}

/// A selector starts with nothing. One whose quotes are not balanced has no rules at all.
fn selector(rules: &[u8], all_channels: bool) -> Result<Permissions, RuleError> {
    let mut permissions = Permissions::none();
    permissions.channels.all = all_channels;
    for rule in split_args(rules).unwrap_or_default() {
        permissions.apply(&rule)?;
    }
    Ok(permissions)
}

impl Permissions {
    fn apply(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        match &shown(rule).to_ascii_lowercase()[..] {
            b"allkeys" | b"~*" => self.keys.allow_all(),
            b"resetkeys" => self.keys = Default::default(),
            b"allchannels" | b"&*" => self.channels.allow_all(),
            b"resetchannels" => self.channels = Default::default(),
            b"allcommands" | b"+@all" => self.commands.allow_all(true),
            b"nocommands" | b"-@all" => self.commands.allow_all(false),
            _ => return self.apply_marked(rule),
        }
        Ok(())
    }

    /// The rules that a mark begins.
    fn apply_marked(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        match rule {
            [b'~' | b'%', ..] if self.keys.all => Err(RuleError::KeysAfterAll),
            [b'~', pattern @ ..] => self.add_keys(pattern, Needs::READ.and(Needs::WRITE)),
            [b'%', rest @ ..] => {
                let (pattern, granted) = granted(rest)?;
                self.add_keys(pattern, granted)
            }
            [b'&', ..] if self.channels.all => Err(RuleError::ChannelsAfterAll),
            [b'&', pattern @ ..] if has_space_or_nul(pattern) => Err(RuleError::Syntax),
            [b'&', pattern @ ..] => {
                self.channels.add(pattern);
                Ok(())
            }
            [sign @ (b'+' | b'-'), b'@', name @ ..] => {
                let category = category(shown(name)).ok_or(RuleError::Unknown)?;
                self.commands.allow_category(category, *sign == b'+');
                Ok(())
            }
            [b'-', name @ ..] => {
                let entry = find(shown(name)).ok_or(RuleError::Unknown)?;
                self.commands.allow_entry(entry, false);
                Ok(())
            }
            [b'+', name @ ..] => self.allow_command(shown(name)),
            _ => Err(RuleError::Syntax),
        }
    }

    fn add_keys(&mut self, pattern: &[u8], granted: Needs) -> Result<(), RuleError> {
        if has_space_or_nul(pattern) {
            return Err(RuleError::Syntax);
        }
        self.keys.add(pattern, granted);
        Ok(())
    }

    /// `get`, `config|get`, or, where a command has no subcommands, a first argument: `select|0`.
    fn allow_command(&mut self, name: &[u8]) -> Result<(), RuleError> {
        let Some(bar) = memchr::memrchr(b'|', name) else {
            self.commands.allow_entry(find(name).ok_or(RuleError::Unknown)?, true);
            return Ok(());
        };
        let (command, part) = (&name[..bar], &name[bar + 1..]);
        let entry = find(command).ok_or(RuleError::Unknown)?;
        if entry.parent.is_some() {
            return Err(RuleError::FirstArgOfSubcommand);
        }
        if part.is_empty() {
            return Err(RuleError::Syntax);
        }
        if entry.subcommands.is_empty() {
            self.commands.allow_with_first_arg(entry, part);
        } else {
            self.commands.allow_entry(entry.subcommand(part).ok_or(RuleError::Unknown)?, true);
        }
        Ok(())
    }
}

/// What stands between `%` and `~`, and the pattern behind. A quirk kept: a rule may end before its `~`.
fn granted(rest: &[u8]) -> Result<(&[u8], Needs), RuleError> {
    let mut granted = Needs::NONE;
    for (index, byte) in rest.iter().enumerate() {
        let more = match byte.to_ascii_uppercase() {
            b'R' if !Needs::READ.are_within(granted) => Needs::READ,
            b'W' if !Needs::WRITE.are_within(granted) => Needs::WRITE,
            b'~' if granted != Needs::NONE => return Ok((&rest[index + 1..], granted)),
            _ => return Err(RuleError::Syntax),
        };
        granted = granted.and(more);
    }
    if granted == Needs::NONE { Err(RuleError::Syntax) } else { Ok((&[], granted)) }
}

/// Commands go by their own names here, renamed or not.
fn find(name: &[u8]) -> Option<&'static Entry> {
    match memchr::memchr(b'|', name) {
        Some(bar) => table::top_level(&name[..bar])?.subcommand(&name[bar + 1..]),
        None => table::top_level(name),
    }
}

pub fn category(name: &[u8]) -> Option<Category> {
    Category::ALL.into_iter().find(|category| category.name().as_bytes().eq_ignore_ascii_case(name))
}

impl Hash {
    /// A hash as it is written.
    fn read(text: &[u8]) -> Option<Self> {
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let digits: [u8; HASH_LEN] = text.try_into().ok()?;
        digits.iter().all(is_digit).then_some(Hash(digits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn selectors_are_put_together() {
        let join = |words: &[&'static str]| {
            join_selectors(words.iter().map(|word| word.as_bytes()))
                .map(|rules| rules.iter().map(|rule| String::from_utf8_lossy(rule).into_owned()).collect::<Vec<_>>())
        };
        assert_eq!(join(&["on", "(~a", "+get", ")", "off"]), Ok(vec!["on".into(), "(~a +get )".into(), "off".into()]));
        assert_eq!(join(&["(a)", ")", "(b", "(c)"]), Ok(vec!["(a)".into(), ")".into(), "(b (c)".into()]));
        assert_eq!(join(&["on", "(a", "b"]), Err(Unmatched(b"(a")));
        assert_eq!(join(&["("]), Err(Unmatched(b"(")));
    }

    #[test]
    fn a_rule_replaces_what_it_covers() {
        let mut user = User::new(b"u", false);
        let mut rules = |list: &str| {
            for rule in list.split(' ') {
                user.apply(rule.as_bytes(), false).expect("a rule");
            }
            user.root.describe_commands()
        };
        assert_eq!(rules("+get +config|get +select|0 +select|1"), "-@all +get +config|get +select|0 +select|1");
        assert_eq!(rules("-get +config -select"), "-@all -get +config -select");
        assert_eq!(rules("+@all -config|set +@Read -@READ"), "+@all -config|set -@read");
        assert_eq!(rules("nocommands"), "-@all");
    }

    proptest! {
        /// What a user's description says makes the same user again.
        #[test]
        fn descriptions_read_back(rules in proptest::collection::vec(
            "(\\+|-)(get|set|config|config\\|get|@read|@all|@slow)|\\+select\\|[a-c]|~[a-c*]|%(R|W|RW|WR)~[a-c]|&[a-c*]|>[ab]|<[ab]|on|off|\
             nopass|resetpass|reset|resetkeys|resetchannels|skip-sanitize-payload|\\(\\+get ~[ab] &[ab]\\)|clearselectors|junk|%|\\+|\\(", 0..12))
        {
            let mut user = User::new(b"u", false);
            for rule in &rules {
                let before = user.clone();
                if user.apply(rule.as_bytes(), false).is_err() {
                    prop_assert_eq!(&before, &user, "a refused rule changes nothing");
                }
            }
            let line = user.describe();
            let mut copy = User::new(b"u", true);
            let words: Vec<_> = line.split(|byte| *byte == b' ').collect();
            copy.apply(b"reset", false).expect("a rule");
            for rule in join_selectors(words).expect("closed selectors") {
                copy.apply(&rule, false).expect("a described rule");
            }
            prop_assert_eq!(copy, user);
        }
    }
}
