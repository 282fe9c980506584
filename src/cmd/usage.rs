//! Reads a command's `usage` text into the arguments that COMMAND DOCS tells, from which clients make their hints.
//!
//! The notation is that of the command pages: lower case is a value, upper case a token, `[…]` optional, `<a | b>` one of several, and
//! `x [x ...]` or `[x ...]` several of the same. What kind of value a word stands for follows from the word (`type_of`).
//!
//! ```text
//!   key [NX | XX] [EX seconds] FIELDS numfields field [field ...]
//!   key ──┐  │           │       └─ a token takes the plain words behind it: a block, or one value
//!    type │  │           └─ optional, token EX, integer
//!    key  ┘  └─ optional oneof of two pure tokens
//! ```

use super::command::{Begin, Command, Find, Flag, Group};
use super::keyspec;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    String,
    Integer,
    Double,
    Key,
    Pattern,
    UnixTime,
    PureToken,
    OneOf,
    Block,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Double => "double",
            Kind::Key => "key",
            Kind::Pattern => "pattern",
            Kind::UnixTime => "unix-time",
            Kind::PureToken => "pure-token",
            Kind::OneOf => "oneof",
            Kind::Block => "block",
        }
    }
}

/// One argument, or a group of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Argument {
    pub name: String,
    pub kind: Kind,
    pub token: Option<&'static str>,
    pub optional: bool,
    pub multiple: bool,
    /// The token comes again with every value.
    pub multiple_token: bool,
    /// Index of the key specification that finds this key.
    pub key_spec: Option<usize>,
    pub children: Vec<Argument>,
}

/// The arguments of a command, or what is wrong with its usage text.
pub fn arguments(command: &'static Command) -> Result<Vec<Argument>, String> {
    let mut words = Lexer { rest: command.usage }.collect::<Vec<_>>().into_iter().peekable();
    let alternatives = parse_alternatives(&mut words, None, 0)?;
    let mut arguments = match <[Vec<Node>; 1]>::try_from(alternatives) {
        Ok([sequence]) => Reader { command }.sequence(&sequence)?,
        Err(alternatives) => vec![Reader { command }.one_of(&alternatives)?],
    };
    KeySpecs { command, taken: vec![false; command.keys.len()] }.assign(&mut arguments);
    Ok(arguments)
}

/// Brackets, bars and words.
struct Lexer {
    rest: &'static str,
}

impl Iterator for Lexer {
    type Item = &'static str;

    fn next(&mut self) -> Option<&'static str> {
        self.rest = self.rest.trim_start();
        let first = self.rest.chars().next()?;
        let is_mark = |c: char| "[]<>|".contains(c);
        let len = if is_mark(first) {
            first.len_utf8()
        } else {
            self.rest.find(|c: char| c.is_whitespace() || is_mark(c)).unwrap_or(self.rest.len())
        };
        let (word, rest) = self.rest.split_at(len);
        self.rest = rest;
        Some(word)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Node {
    Word(&'static str),
    Group { optional: bool, alternatives: Vec<Vec<Node>> },
}

const ELLIPSIS: Node = Node::Word("...");
const DEPTH_MAX: usize = 16;

type Words = std::iter::Peekable<std::vec::IntoIter<&'static str>>;

fn parse_alternatives(words: &mut Words, close: Option<&str>, depth: usize) -> Result<Vec<Vec<Node>>, String> {
    if depth > DEPTH_MAX {
        return Err("brackets are nested too deeply".into());
    }
    let mut alternatives = vec![Vec::new()];
    loop {
        let Some(word) = words.next() else {
            return if close.is_none() { Ok(alternatives) } else { Err("a bracket is not closed".into()) };
        };
        let node = match word {
            "|" => {
                alternatives.push(Vec::new());
                continue;
            }
            "[" => Node::Group { optional: true, alternatives: parse_alternatives(words, Some("]"), depth + 1)? },
            "<" => Node::Group { optional: false, alternatives: parse_alternatives(words, Some(">"), depth + 1)? },
            "]" | ">" if Some(word) == close => return Ok(alternatives),
            "]" | ">" => return Err(format!("`{word}` closes nothing")),
            word => Node::Word(word),
        };
        alternatives.last_mut().expect("there is always one").push(node);
    }
}

/// True for words that are written as they stand: OPTIONS and signs.
fn is_token(word: &str) -> bool {
    !word.chars().any(|c| c.is_ascii_lowercase())
}

struct Reader {
    command: &'static Command,
}

impl Reader {
    fn sequence(&self, nodes: &[Node]) -> Result<Vec<Argument>, String> {
        let mut arguments = Vec::new();
        let mut at = 0;
        while at < nodes.len() {
            let (len, repeats) = self.unit(nodes, at)?;
            let mut argument = self.argument(&nodes[at..at + len])?;
            if repeats {
                argument.multiple = true;
                // The repetition says the token again: `GET pattern [GET pattern ...]`.
                argument.multiple_token = argument.token.is_some() && argument.kind != Kind::PureToken;
            }
            arguments.push(argument);
            at += len + usize::from(repeats);
        }
        Ok(arguments)
    }

    /// How many nodes from `at` on make one argument, and whether the node behind them is their repetition.
    fn unit(&self, nodes: &[Node], at: usize) -> Result<(usize, bool), String> {
        if nodes[at] == ELLIPSIS {
            return Err("`...` stands where nothing repeats".into());
        }
        // `field value [field value ...]`: as many as the repetition names.
        for end in at + 1..nodes.len() {
            if repetition_of(&nodes[end]).is_some_and(|repeated| *repeated == nodes[at..end]) {
                return Ok((end - at, true));
            }
        }
        let Node::Word(word) = nodes[at] else { return Ok((1, false)) };
        if !is_token(word) {
            return Ok((1, false));
        }
        // A token takes the values behind it, up to what is optional or has a token of its own.
        let mut end = at + 1;
        while end < nodes.len() {
            match &nodes[end] {
                Node::Word(word) if is_token(word) => break,
                Node::Word(_) => end += 1,
                Node::Group { optional: true, .. }
                    if repetition_of(&nodes[end]).is_some_and(|repeated| {
                        end >= repeated.len()
                            && end - repeated.len() > at
                            && *repeated == nodes[end - repeated.len()..end]
                    }) =>
                {
                    end += 1
                }
                Node::Group { optional: false, .. } if end == at + 1 => end += 1,
                Node::Group { .. } => break,
            }
        }
        Ok((end - at, false))
    }

    /// One argument from the nodes that `unit` found.
    fn argument(&self, nodes: &[Node]) -> Result<Argument, String> {
        match nodes {
            [Node::Word(word)] if is_token(word) => Ok(self.pure_token(word)),
            [Node::Word(word)] => Ok(self.value(word)),
            [Node::Group { optional, alternatives }] => self.group(*optional, alternatives),
            [Node::Word(word), values @ ..] if is_token(word) => {
                let mut argument = self.together(self.sequence(values)?);
                if argument.optional || argument.token.is_some() {
                    argument = self.block(vec![argument]);
                }
                if matches!(argument.kind, Kind::Block) {
                    argument.name = format!("{}-block", word.to_ascii_lowercase());
                }
                argument.token = Some(word);
                Ok(argument)
            }
            several => Ok(self.together(self.sequence(several)?)),
        }
    }

    fn group(&self, optional: bool, alternatives: &[Vec<Node>]) -> Result<Argument, String> {
        // `[a | b [a | b ...]]`: the choice itself comes again.
        if let Some(once) = without_inner_repetition(alternatives) {
            let mut argument = self.group(optional, &once)?;
            argument.multiple = true;
            return Ok(argument);
        }
        let mut argument = match alternatives {
            [sequence] => match sequence.split_last() {
                // `[key ...]`
                Some((last, values)) if *last == ELLIPSIS && !values.is_empty() => {
                    let mut argument = self.together(self.sequence(values)?);
                    argument.multiple = true;
                    argument
                }
                _ => self.together(self.sequence(sequence)?),
            },
            several => self.one_of(several)?,
        };
        argument.optional |= optional;
        Ok(argument)
    }

    fn one_of(&self, alternatives: &[Vec<Node>]) -> Result<Argument, String> {
        let children: Vec<_> = alternatives
            .iter()
            .map(|sequence| Ok(self.together(self.sequence(sequence)?)))
            .collect::<Result<_, String>>()?;
        let name = names(&children, "-or-");
        Ok(Argument { children, ..self.bare(name, Kind::OneOf) })
    }

    fn together(&self, mut arguments: Vec<Argument>) -> Argument {
        if arguments.len() == 1 { arguments.remove(0) } else { self.block(arguments) }
    }

    fn block(&self, children: Vec<Argument>) -> Argument {
        let name = names(&children, "-");
        Argument { children, ..self.bare(name, Kind::Block) }
    }

    fn value(&self, word: &str) -> Argument {
        self.bare(word.to_owned(), type_of(self.command, word))
    }

    fn pure_token(&self, word: &'static str) -> Argument {
        let name = match word {
            "=" => "equal".into(),
            "~" => "approximately".into(),
            "*" => "auto-id".into(),
            "$" => "new-id".into(),
            "\"\"" => "empty-string".into(),
            word => word.to_ascii_lowercase(),
        };
        let token = if word == "\"\"" { "" } else { word };
        Argument { token: Some(token), ..self.bare(name, Kind::PureToken) }
    }

    fn bare(&self, name: String, kind: Kind) -> Argument {
        Argument {
            name,
            kind,
            token: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            key_spec: None,
            children: Vec::new(),
        }
    }
}

fn names(children: &[Argument], between: &str) -> String {
    const SHOWN_MAX: usize = 3;
    children.iter().take(SHOWN_MAX).map(|child| child.name.as_str()).collect::<Vec<_>>().join(between)
}

/// What `[x y ...]` repeats.
fn repetition_of(node: &Node) -> Option<&[Node]> {
    match node {
        Node::Group { optional: true, alternatives } => match alternatives.as_slice() {
            [sequence] => sequence.strip_suffix(&[ELLIPSIS]).filter(|repeated| !repeated.is_empty()),
            _ => None,
        },
        Node::Word(_) | Node::Group { .. } => None,
    }
}

/// The alternatives without the repetition of themselves at their end, where there is one.
fn without_inner_repetition(alternatives: &[Vec<Node>]) -> Option<Vec<Vec<Node>>> {
    let (last, before) = alternatives.split_last()?;
    let (repetition, kept) = last.split_last()?;
    let Node::Group { optional: true, alternatives: inner } = repetition else { return None };
    let (inner_last, inner_before) = inner.split_last()?;
    let repeats = before == inner_before && inner_last.strip_suffix(&[ELLIPSIS])? == kept && !before.is_empty();
    repeats.then(|| before.iter().cloned().chain([kept.to_vec()]).collect())
}

const KEYS: &[&str] =
    &["key", "newkey", "destination", "source", "sourcekey", "destkey", "key1", "key2", "src", "dst", "storekey"];
const INTEGERS: &[&str] = &[
    "bit",
    "bits",
    "client-id",
    "cluster-bus-port",
    "config-epoch",
    "count",
    "cursor",
    "db",
    "decrement",
    "destination-db",
    "end",
    "end-slot",
    "entries-added",
    "entries-read",
    "frequency",
    "increment",
    "index",
    "index1",
    "index2",
    "len",
    "limit",
    "maxage",
    "milliseconds",
    "min-match-len",
    "ms",
    "num-matches",
    "numfields",
    "numids",
    "numkeys",
    "numlocal",
    "numreplicas",
    "offset",
    "port",
    "protover",
    "rank",
    "seconds",
    "slot",
    "start",
    "start-slot",
    "stop",
    "timeout",
    "ttl",
    "version",
    "weight",
];
const DOUBLES: &[&str] = &["height", "latitude", "longitude", "max", "min", "radius", "score", "width"];

/// What a word of a usage text stands for. The same word is another kind of value in a few places, by the command's group or name.
fn type_of(command: &Command, word: &str) -> Kind {
    let lexical = command.name.contains("LEX") || command.name == "ZRANGESTORE";
    match word {
        "pattern" => Kind::Pattern,
        "unix-time-seconds" | "unix-time-milliseconds" => Kind::UnixTime,
        "timeout" if command.has(Flag::Blocking) && command.group != Group::Generic => Kind::Double,
        "increment" if command.name.ends_with("FLOAT") => Kind::Double,
        "value" if command.group == Group::Bitmap => Kind::Integer,
        "min" | "max" if lexical => Kind::String,
        "start" | "end" if command.group == Group::Stream => Kind::String,
        "start" | "stop" if command.name == "ZRANGE" => Kind::String,
        "min-idle-time" if command.name == "XPENDING" => Kind::Integer,
        word if KEYS.contains(&word) && keyspec::has_keys(command) => Kind::Key,
        word if INTEGERS.contains(&word) => Kind::Integer,
        word if DOUBLES.contains(&word) => Kind::Double,
        _ => Kind::String,
    }
}

/// Finds for each key the specification that finds it.
struct KeySpecs {
    command: &'static Command,
    taken: Vec<bool>,
}

impl KeySpecs {
    fn assign(&mut self, arguments: &mut [Argument]) {
        for argument in arguments {
            if matches!(argument.kind, Kind::Key | Kind::Pattern) {
                argument.key_spec = self.find(argument);
            }
            self.assign(&mut argument.children);
        }
    }

    fn find(&mut self, argument: &Argument) -> Option<usize> {
        let specs = self.command.keys;
        let by_token = specs.iter().position(
            |spec| matches!(spec.begin, Begin::Keyword { word, .. } if argument.token.is_some_and(|token| token == word)),
        );
        let next = || (0..specs.len()).find(|&index| !self.taken[index]);
        let unknown = |index: &usize| matches!(specs[*index].find, Find::Unknown);
        let found = match argument.kind {
            // Patterns that name keys to look into share the first specification that cannot tell them.
            Kind::Pattern => (0..specs.len()).find(unknown),
            _ => by_token.or_else(next).or_else(|| specs.len().checked_sub(1)),
        }?;
        self.taken[found] = true;
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::command::{Access, COMMAND, key};

    fn shown(usage: &'static str) -> String {
        let command: &'static Command =
            Box::leak(Box::new(Command { name: "TEST", usage, keys: const { &[key(1, Access::Ro, &[])] }, ..COMMAND }));
        match arguments(command) {
            Ok(arguments) => show(&arguments),
            Err(error) => error,
        }
    }

    fn show(arguments: &[Argument]) -> String {
        let one = |argument: &Argument| {
            let mut text = String::new();
            if let Some(token) = argument.token {
                text.push_str(&format!("'{token}' "));
            }
            text.push_str(argument.kind.name());
            if !argument.children.is_empty() {
                text.push_str(&format!("({})", show(&argument.children)));
            } else if argument.kind != Kind::PureToken {
                text.push_str(&format!(" {}", argument.name));
            }
            let marks = [(argument.optional, '?'), (argument.multiple, '*'), (argument.multiple_token, '+')];
            text.extend(marks.iter().filter(|(set, _)| *set).map(|(_, mark)| mark));
            text
        };
        arguments.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn values_tokens_and_choices() {
        assert_eq!(
            shown("key value [NX | XX] [GET] [EX seconds | KEEPTTL]"),
            "key key, string value, oneof('NX' pure-token, 'XX' pure-token)?, 'GET' pure-token?, \
             oneof('EX' integer seconds, 'KEEPTTL' pure-token)?"
        );
        assert_eq!(
            shown("key <count | unix-time-seconds> [LIMIT offset count]"),
            "key key, oneof(integer count, unix-time unix-time-seconds), 'LIMIT' block(integer offset, integer count)?"
        );
    }

    #[test]
    fn repetitions() {
        assert_eq!(shown("key [key ...]"), "key key*");
        assert_eq!(shown("key score member [score member ...]"), "key key, block(double score, string member)*");
        assert_eq!(shown("[section [section ...]]"), "string section?*");
        assert_eq!(shown("[section ...]"), "string section?*");
        assert_eq!(
            shown("key FIELDS numfields field [field ...]"),
            "key key, 'FIELDS' block(integer numfields, string field*)"
        );
        assert_eq!(shown("key [GET pattern [GET pattern ...]]"), "key key, 'GET' pattern pattern?*+");
        assert_eq!(shown("key [WEIGHTS weight [weight ...]]"), "key key, 'WEIGHTS' integer weight?*");
        assert_eq!(shown("STREAMS key [key ...] id [id ...]"), "'STREAMS' block(key key*, string id*)");
    }

    #[test]
    fn a_choice_that_comes_again() {
        assert_eq!(
            shown(
                "key [GET encoding offset | [OVERFLOW <WRAP | SAT>] <SET encoding offset value> [GET encoding offset | \
                 [OVERFLOW <WRAP | SAT>] <SET encoding offset value> ...]]"
            ),
            "key key, oneof('GET' block(string encoding, integer offset), block('OVERFLOW' oneof('WRAP' pure-token, 'SAT' \
             pure-token)?, 'SET' block(string encoding, integer offset, string value)))?*"
        );
    }

    #[test]
    fn mistakes_are_told() {
        assert_eq!(shown("key [NX"), "a bracket is not closed");
        assert_eq!(shown("key ]"), "`]` closes nothing");
        assert_eq!(shown("..."), "`...` stands where nothing repeats");
    }

    #[test]
    fn every_usage_text_is_well_formed() {
        for entry in crate::cmd::table::all() {
            if let Err(error) = arguments(entry.command) {
                panic!("usage of {}: {error}", entry.full_name);
            }
        }
    }
}
