//! The configuration: every directive as a plain field, and the table that reads, shows, changes and writes them.
//!
//! `table` has one row for each directive; `value` and `special` have the kinds of value; `load` reads files and the
//! command line's options at the start; `rewrite` writes a file anew and makes the reference configuration. Nothing
//! here acts on a change: who calls `Config::changed` sees what changed and rebinds, reopens or resizes.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;

mod checks;
mod load;
mod rewrite;
mod special;
mod table;
mod value;

pub use checks::TITLE_VARIABLES;
pub use load::{Disk, Files, Loaded, Notice, Source, StartError, UserLine, load};
pub use rewrite::{differences, reference};
pub use special::*;
pub use table::{DIRECTIVES, Values};
pub use value::{Notation, Text, Words, memory_text, parse_memory};

use crate::util::glob::Glob;
use value::{Input, Setting};

/// Everything configured. Directives are fields, through `Values`: `config.maxmemory`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Config {
    pub values: Values,
    /// The file that CONFIG REWRITE writes.
    pub file: Option<PathBuf>,
    /// `rename-command` lines, in order: old name, new name; an empty new name removes the command.
    pub renames: Vec<(Text, Text)>,
    /// `user` lines, in order, without the word `user`: name and rules.
    pub users: Vec<Vec<Text>>,
}

impl Deref for Config {
    type Target = Values;

    #[inline]
    fn deref(&self) -> &Values {
        &self.values
    }
}

impl DerefMut for Config {
    #[inline]
    fn deref_mut(&mut self) -> &mut Values {
        &mut self.values
    }
}

impl Config {
    /// What clients wrote, as the log may show it (`hide-user-data-from-log`).
    pub fn shown_in_log<'a>(&self, data: &'a [u8]) -> Cow<'a, str> {
        if self.hide_user_data_from_log { "*redacted*".into() } else { String::from_utf8_lossy(data) }
    }

    /// The directives that any of the patterns names, with their values, as CONFIG GET answers; each once.
    ///
    /// A name without glob characters also finds hidden directives. Aliases are found as names of their own.
    pub fn get(&self, patterns: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for pattern in patterns {
            if !pattern.iter().any(|byte| b"*?[".contains(byte)) {
                if let Some((directive, name)) = find(pattern)
                    && seen.insert(name)
                {
                    // A name comes back as it was spelled.
                    found.push((pattern.to_vec(), directive.print(self)));
                }
                continue;
            }
            let glob = Glob::ignoring_case(pattern);
            for (directive, name) in names().filter(|(directive, _)| !directive.facts.hidden) {
                if glob.matches(name.as_bytes()) && seen.insert(name) {
                    found.push((name.into(), directive.print(self)));
                }
            }
        }
        found
    }

    /// The configuration after CONFIG SET of all `pairs`, or the reason why none of them is set.
    ///
    /// `protected` says whether the caller may set protected directives (`enable_protected_configs.allows(local)`).
    /// Nothing is changed in `self`: the caller acts on the changes and then puts the new configuration in place.
    pub fn changed(&self, pairs: &[(&[u8], &[u8])], protected: bool) -> Result<(Self, Vec<Changed>), SetError> {
        let directives = self.settable(pairs, protected)?;
        let mut config = self.clone();
        let mut changed = Vec::new();
        for ((_, value), (directive, name)) in pairs.iter().zip(directives) {
            let words = directive.words.split(value);
            directive.read(&mut config, &words, false).map_err(|reason| SetError::refused(name.as_bytes(), &reason))?;
            if !directive.same(self, &config) {
                changed.push(Changed { name: directive.name });
            }
        }
        Ok((config, changed))
    }

    /// `changed`, put in place at once.
    pub fn set(&mut self, pairs: &[(&[u8], &[u8])], protected: bool) -> Result<Vec<Changed>, SetError> {
        let (config, changed) = self.changed(pairs, protected)?;
        *self = config;
        Ok(changed)
    }

    /// The directives of `pairs`. An unknown name is an error before any other.
    fn settable(&self, pairs: &[(&[u8], &[u8])], protected: bool) -> Result<Vec<Named>, SetError> {
        let mut directives: Vec<Named> = Vec::with_capacity(pairs.len());
        let mut given: Vec<Vec<u8>> = Vec::with_capacity(pairs.len());
        let mut refused = None;
        for (name, _) in pairs {
            let Some((directive, known)) = find(name) else {
                return Err(SetError::Unknown(name.to_vec()));
            };
            let lower = name.to_ascii_lowercase();
            let reason = match directive.facts.apply {
                Apply::AtStart => Some("can't set immutable config"),
                Apply::Guarded if !protected => Some("can't set protected config"),
                _ if given.contains(&lower) => Some("duplicate parameter"),
                _ => None,
            };
            if let Some(reason) = reason {
                refused.get_or_insert_with(|| SetError::refused(name, reason));
            }
            directives.push((directive, known));
            given.push(lower);
        }
        match refused {
            Some(error) => Err(error),
            None => Ok(directives),
        }
    }
}

/// A directive that CONFIG SET gave another value; `name` is its main name even where an alias was used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Changed {
    pub name: &'static str,
}

/// Why CONFIG SET sets nothing. `Display` is Redis's text without the leading `ERR `.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SetError {
    /// As the client wrote it.
    Unknown(Vec<u8>),
    Refused {
        name: String,
        reason: String,
    },
}

impl SetError {
    /// For the caller too, whose attempt to act on a change may fail ("Unable to listen on this port…").
    pub fn refused(name: &[u8], reason: &str) -> Self {
        Self::Refused { name: lossy(name), reason: reason.into() }
    }
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                write!(f, "Unknown option or number of arguments for CONFIG SET - '{}'", lossy(name))
            }
            Self::Refused { name, reason } => {
                write!(f, "CONFIG SET failed (possibly related to argument '{name}') - {reason}")
            }
        }
    }
}

impl std::error::Error for SetError {}

/// A client's word in an error's text, which ends at a NUL.
fn lossy(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// A row of the table.
pub struct Directive {
    pub name: &'static str,
    pub section: &'static str,
    /// One sentence, as the lines of its comment.
    pub doc: &'static [&'static str],
    pub default: &'static str,
    pub facts: Facts,
    pub words: Words,
    parse: fn(&mut Config, &Input) -> Result<(), String>,
    print: fn(&Config, &Facts) -> Vec<u8>,
    lines: fn(&Config, &Facts) -> Vec<Vec<u8>>,
    same: fn(&Config, &Config) -> bool,
    takes: fn(&Facts) -> String,
}

impl Directive {
    /// Its value as CONFIG GET shows it.
    pub fn print(&self, config: &Config) -> Vec<u8> {
        (self.print)(config, &self.facts)
    }

    /// What a configuration file says of it, one or more lines without the name.
    pub fn lines(&self, config: &Config) -> Vec<Vec<u8>> {
        (self.lines)(config, &self.facts)
    }

    /// The values it takes, for people.
    pub fn takes(&self) -> String {
        (self.takes)(&self.facts)
    }

    pub fn summary(&self) -> String {
        self.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
    }

    /// Whether two configurations agree on it.
    pub fn same(&self, one: &Config, other: &Config) -> bool {
        (self.same)(one, other)
    }

    fn read(&self, config: &mut Config, words: &[Vec<u8>], repeated: bool) -> Result<(), String> {
        (self.parse)(config, &Input { words, facts: &self.facts, repeated })
    }
}

/// When a directive can be set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Apply {
    Live,
    AtStart,
    /// Live, but only for those whom `enable-protected-configs` admits.
    Guarded,
}

/// Which server has the directive, and since when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    Redis(&'static str),
    Valkey,
    Runnel,
}

/// What is so of a directive besides its name, type and default. Built by `live()`, `at_start()` or `guarded()`.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub apply: Apply,
    pub origin: Origin,
    pub aliases: &'static [&'static str],
    /// Why it has no effect here; told in the log when it is set.
    pub ignored: Option<&'static str>,
    /// Shown by CONFIG GET only when asked for by its full name.
    pub hidden: bool,
    /// Not to be printed into logs.
    pub secret: bool,
    /// Not to be set while data are loaded.
    pub waits_for_data: bool,
    pub notation: Notation,
    /// Bounds of an integer. The type's own bounds hold besides.
    pub min: i128,
    pub max: i128,
    /// Values outside are accepted and brought inside.
    clamp: (i128, i128),
    check: fn(&[u8]) -> Result<(), String>,
}

const fn facts(apply: Apply) -> Facts {
    Facts {
        apply,
        origin: Origin::Redis("7.0"),
        aliases: &[],
        ignored: None,
        hidden: false,
        secret: false,
        waits_for_data: false,
        notation: Notation::Decimal,
        min: 0,
        max: i64::MAX as i128,
        clamp: (i128::MIN, i128::MAX),
        check: checks::anything,
    }
}

/// Can be set at any time.
const fn live() -> Facts {
    facts(Apply::Live)
}

/// Only at the start.
const fn at_start() -> Facts {
    facts(Apply::AtStart)
}

/// At any time by those who may.
const fn guarded() -> Facts {
    facts(Apply::Guarded)
}

impl Facts {
    const fn within(self, min: i128, max: i128) -> Self {
        Self { min, max, ..self }
    }

    const fn clamped(self, least: i128, most: i128) -> Self {
        Self { clamp: (least, most), ..self }
    }

    const fn memory(self) -> Self {
        Self { notation: Notation::Memory, ..self }
    }

    const fn octal(self) -> Self {
        Self { notation: Notation::Octal, ..self }
    }

    const fn alias(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    const fn since(self, version: &'static str) -> Self {
        Self { origin: Origin::Redis(version), ..self }
    }

    const fn valkey(self) -> Self {
        Self { origin: Origin::Valkey, ..self }
    }

    const fn runnel(self) -> Self {
        Self { origin: Origin::Runnel, ..self }
    }

    const fn ignored(self, reason: &'static str) -> Self {
        Self { ignored: Some(reason), ..self }
    }

    const fn hidden(self) -> Self {
        Self { hidden: true, ..self }
    }

    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    const fn waits_for_data(self) -> Self {
        Self { waits_for_data: true, ..self }
    }

    const fn checked(self, check: fn(&[u8]) -> Result<(), String>) -> Self {
        Self { check, ..self }
    }
}

/// A directive under its name or one of its aliases.
pub type Named = (&'static Directive, &'static str);

/// Every name and alias with its directive, in the table's order.
pub fn names() -> impl Iterator<Item = Named> {
    DIRECTIVES.iter().flat_map(|directive| {
        std::iter::once(directive.name)
            .chain(directive.facts.aliases.iter().copied())
            .map(move |name| (directive, name))
    })
}

/// The directive of this name or alias, in any case of letters.
pub fn directive(name: &[u8]) -> Option<&'static Directive> {
    find(name).map(|(directive, _)| directive)
}

fn find(name: &[u8]) -> Option<Named> {
    names().find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(name))
}

/// A row's default, read from its text like any other value.
fn default_value<T: Setting>(field: &str, text: &str, facts: &Facts) -> T {
    let words = T::WORDS.split(text.as_bytes());
    match T::parse(&Input { words: &words, facts, repeated: false }, None) {
        Ok(value) => value,
        Err(reason) => panic!("the default of {field} is not a value of it: {reason}"),
    }
}

/// A field's name as a directive's: `max_clients` is `max-clients`.
const fn dashed<const LENGTH: usize>(field: &str) -> [u8; LENGTH] {
    let mut name = [0; LENGTH];
    let mut index = 0;
    while index < LENGTH {
        let byte = field.as_bytes()[index];
        name[index] = if byte == b'_' { b'-' } else { byte };
        index += 1;
    }
    name
}

#[cfg(test)]
mod tests;
