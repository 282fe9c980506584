//! What a directive's value can be: the `Setting` trait and the kinds that many directives share.
//!
//! A kind reads itself from words, prints itself as CONFIG GET does and as a configuration line does, and says
//! what it takes. Kinds that belong to one directive each are in `special`; the directives themselves in `table`.

use std::fmt::Write as _;
use std::ops::Deref;
use std::path::Path;

use super::Facts;
use crate::util::args::quote;

/// The words given for a directive, and what is known around them.
pub struct Input<'a> {
    pub words: &'a [Vec<u8>],
    pub facts: &'a Facts,
    /// An earlier line of the same start gave this directive already: `save` lines add up.
    pub repeated: bool,
}

/// A type that a directive can have. `before` is the value in force, absent only while defaults are made.
pub trait Setting: Sized + Clone + PartialEq {
    /// Takes several words: CONFIG SET then splits its one value at spaces.
    const WORDS: Words = Words::One;

    fn parse(input: &Input, before: Option<&Self>) -> Result<Self, String>;

    /// The value as CONFIG GET shows it.
    fn print(&self, facts: &Facts) -> Vec<u8>;

    /// What stands behind the directive's name in a configuration file, one item per line.
    fn lines(&self, facts: &Facts) -> Vec<Vec<u8>> {
        vec![self.print(facts)]
    }

    /// What it takes, for `--help` and the reference configuration.
    fn takes(facts: &Facts) -> String;
}

/// How many words a kind takes, and how CONFIG SET's single value becomes words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Words {
    One,
    Many,
}

impl Words {
    /// A value given as one text. Spaces alone divide it, and every one of them, as in Redis.
    pub fn split(self, value: &[u8]) -> Vec<Vec<u8>> {
        match self {
            Self::One => vec![value.to_vec()],
            Self::Many if value.is_empty() => Vec::new(),
            Self::Many => value.split(|byte| *byte == b' ').map(<[u8]>::to_vec).collect(),
        }
    }
}

pub const WRONG_ARITY: &str = "wrong number of arguments";
const NOT_AN_INTEGER: &str = "argument couldn't be parsed into an integer";
const NOT_MEMORY: &str = "argument must be a memory value";
const NEGATIVE: &str = "argument must be greater or equal to 0";

/// A word between double quotes, as `split_args` reads it back.
pub fn quoted(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    quote(bytes, &mut out);
    out
}

/// The one word of a directive that takes one.
pub fn only_word<'a>(input: &Input<'a>) -> Result<&'a [u8], String> {
    match input.words {
        [word] => Ok(word),
        _ => Err(WRONG_ARITY.into()),
    }
}

impl Setting for bool {
    fn parse(input: &Input, _: Option<&Self>) -> Result<Self, String> {
        match only_word(input)? {
            word if word.eq_ignore_ascii_case(b"yes") => Ok(true),
            word if word.eq_ignore_ascii_case(b"no") => Ok(false),
            _ => Err("argument must be 'yes' or 'no'".into()),
        }
    }

    fn print(&self, _: &Facts) -> Vec<u8> {
        if *self { b"yes".to_vec() } else { b"no".to_vec() }
    }

    fn takes(_: &Facts) -> String {
        "yes | no".into()
    }
}

/// Integers of all widths: decimal, or memory with units, or octal, as the row's facts say.
///
/// A quirk kept: directives that are unsigned in Redis (`u64`, `u32` here) refuse a negative number with a
/// sentence of their own, the signed ones with their bounds.
macro_rules! integer_setting {
    ($($integer:ty, $unsigned:literal;)+) => {$(
        impl Setting for $integer {
            fn parse(input: &Input, _: Option<&Self>) -> Result<Self, String> {
                let bounds = Bounds::of(input.facts, i128::from(Self::MAX));
                let value = bounds.read(only_word(input)?, $unsigned)?;
                Self::try_from(value).map_err(|_| bounds.refusal())
            }

            fn print(&self, facts: &Facts) -> Vec<u8> {
                match facts.notation {
                    Notation::Octal => format!("{self:o}").into_bytes(),
                    _ => self.to_string().into_bytes(),
                }
            }

            fn lines(&self, facts: &Facts) -> Vec<Vec<u8>> {
                match facts.notation {
                    Notation::Memory => vec![memory_text(i128::from(*self))],
                    _ => vec![self.print(facts)],
                }
            }

            fn takes(facts: &Facts) -> String {
                Bounds::of(facts, i128::from(Self::MAX)).describe()
            }
        }
    )+};
}

integer_setting! {
    i64, false;
    i32, false;
    u16, false;
    u32, true;
    u64, true;
}

/// How an integer is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notation {
    Decimal,
    /// With an optional unit: `1kb` is 1024, `1k` is 1000.
    Memory,
    Octal,
}

/// What an integer may be, and how it is written.
struct Bounds<'a> {
    facts: &'a Facts,
    max: i128,
}

impl<'a> Bounds<'a> {
    fn of(facts: &'a Facts, type_max: i128) -> Self {
        Self { facts, max: facts.max.min(type_max) }
    }

    fn read(&self, word: &[u8], unsigned: bool) -> Result<i128, String> {
        let value = match self.facts.notation {
            Notation::Decimal => i128::from(decimal(word).ok_or(NOT_AN_INTEGER)?),
            Notation::Octal => octal(word).ok_or("argument couldn't be parsed as an octal number")?,
            Notation::Memory if word == b"-1" && self.facts.min == -1 => -1,
            Notation::Memory => i128::from(parse_memory(word).ok_or(NOT_MEMORY)?),
        };
        if unsigned && (value < 0 || value > i128::from(i64::MAX)) {
            return Err(NEGATIVE.into());
        }
        if value < self.facts.min || value > self.max {
            return Err(self.refusal());
        }
        let (least, most) = self.facts.clamp;
        Ok(value.clamp(least, most))
    }

    fn refusal(&self) -> String {
        match self.facts.notation {
            Notation::Octal => format!("argument must be between {:o} and {:o} inclusive", self.facts.min, self.max),
            _ => format!("argument must be between {} and {} inclusive", self.facts.min, self.max),
        }
    }

    fn describe(&self) -> String {
        let what = match self.facts.notation {
            Notation::Decimal => "integer",
            Notation::Memory => "memory",
            Notation::Octal => return format!("octal 0..{:o}", self.max),
        };
        match self.max {
            max if max >= i128::from(i32::MAX) => format!("{what} from {}", self.facts.min),
            max => format!("{what} {}..{max}", self.facts.min),
        }
    }
}

/// Redis's strict integer: what it accepts prints back the same.
pub fn decimal(word: &[u8]) -> Option<i64> {
    crate::util::number::parse_i64(word)
}

fn octal(word: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(word).ok()?;
    i64::from_str_radix(text, 8).ok().map(i128::from)
}

/// A number of bytes with an optional unit. Nothing at all is 0, as in Redis. A product too large saturates.
pub fn parse_memory(word: &[u8]) -> Option<u64> {
    // As in Redis the word ends at a NUL.
    let word = word.split(|byte| *byte == 0).next().unwrap_or_default();
    let digits = word.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, unit) = word.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    if number.is_empty() {
        return Some(0);
    }
    // Digits alone: what does not parse is too large, which is for the bounds to say.
    let number: u64 = std::str::from_utf8(number).ok()?.parse().unwrap_or(u64::MAX);
    Some(number.saturating_mul(factor))
}

/// Bytes with the largest unit that divides them evenly.
pub fn memory_text(bytes: i128) -> Vec<u8> {
    const UNITS: [(i128, &str); 3] = [(1 << 30, "gb"), (1 << 20, "mb"), (1 << 10, "kb")];
    for (size, name) in UNITS {
        if bytes > 0 && bytes % size == 0 {
            return format!("{}{name}", bytes / size).into_bytes();
        }
    }
    bytes.to_string().into_bytes()
}

/// Any bytes: names, paths, passwords. Redis does not ask for UTF-8 and neither do we.
#[derive(Clone, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub struct Text(Vec<u8>);

impl Text {
    /// The text where it is a path.
    pub fn path(&self) -> &Path {
        use std::os::unix::ffi::OsStrExt;
        Path::new(std::ffi::OsStr::from_bytes(&self.0))
    }

    /// The path, or `None` where the directive is empty and so means "none".
    pub fn path_if_set(&self) -> Option<&Path> {
        (!self.0.is_empty()).then(|| self.path())
    }

    /// For messages and for what is UTF-8 anyway.
    pub fn display(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.display())
    }
}

impl Setting for Text {
    fn parse(input: &Input, _: Option<&Self>) -> Result<Self, String> {
        let word = only_word(input)?;
        (input.facts.check)(word)?;
        Ok(Self(word.to_vec()))
    }

    fn print(&self, _: &Facts) -> Vec<u8> {
        self.0.clone()
    }

    fn lines(&self, _: &Facts) -> Vec<Vec<u8>> {
        vec![quoted(&self.0)]
    }

    fn takes(_: &Facts) -> String {
        "text".into()
    }
}

/// Declares an enumeration whose variants are words of the configuration, in the order Redis lists them in its
/// error message; `| "word"` is another spelling of the same. It buys one line per word instead of three matches.
macro_rules! keywords {
    ($($(#[$meta:meta])* pub enum $name:ident { $($variant:ident = $word:literal $(| $also:literal)*),+ $(,)? })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        pub enum $name { $($variant),+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            fn from_word(word: &[u8]) -> Option<Self> {
                $(if word.eq_ignore_ascii_case($word.as_bytes()) $(|| word.eq_ignore_ascii_case($also.as_bytes()))* {
                    return Some(Self::$variant);
                })+
                None
            }
        }

        impl $crate::config::value::Setting for $name {
            fn parse(input: &$crate::config::value::Input, _: Option<&Self>) -> Result<Self, String> {
                let word = $crate::config::value::only_word(input)?;
                Self::from_word(word).ok_or_else(|| $crate::config::value::not_one_of(Self::ALL.iter().map(|word| word.word())))
            }

            fn print(&self, _: &$crate::config::Facts) -> Vec<u8> {
                self.word().as_bytes().to_vec()
            }

            fn takes(_: &$crate::config::Facts) -> String {
                Self::ALL.iter().map(|word| word.word()).collect::<Vec<_>>().join(" | ")
            }
        }
    )+};
}
pub(super) use keywords;

pub fn not_one_of(words: impl Iterator<Item = &'static str>) -> String {
    let mut text = String::from("argument(s) must be one of the following: ");
    for (index, word) in words.enumerate() {
        let _ = write!(text, "{}{word}", if index == 0 { "" } else { ", " });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_decimal_and_binary_units() {
        for (text, bytes) in
            [("", 0), ("5", 5), ("5b", 5), ("1k", 1000), ("1KB", 1024), ("2m", 2_000_000), ("1gb", 1 << 30), ("k", 0)]
        {
            assert_eq!(parse_memory(text.as_bytes()), Some(bytes), "{text}");
        }
        for text in ["1xb", "-1", "1.5g", " 5", "5bb"] {
            assert_eq!(parse_memory(text.as_bytes()), None, "{text}");
        }
        for text in ["99999999999gb", "99999999999999999999999"] {
            assert_eq!(parse_memory(text.as_bytes()), Some(u64::MAX), "{text}");
        }
    }

    #[test]
    fn memory_prints_its_largest_even_unit() {
        for (bytes, text) in [(0, "0"), (1000, "1000"), (1024, "1kb"), (3 << 20, "3mb"), (1 << 30, "1gb"), (-1, "-1")] {
            assert_eq!(memory_text(bytes), text.as_bytes());
        }
    }
}
