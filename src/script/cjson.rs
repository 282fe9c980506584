//! The library `cjson`: values to and from JSON, with its settings, which last as long as the interpreter.

use super::convert::integer;
use super::lua::{Call, Function, Kind, Raised, format_g, is_null};

const FUNCTIONS: [(&str, Function); 10] = [
    ("encode", encode),
    ("decode", decode),
    ("encode_sparse_array", |call| sparse_array(call)),
    ("encode_max_depth", |call| number_setting(call, ENCODE_DEPTH, i64::from(i32::MAX))),
    ("decode_max_depth", |call| number_setting(call, DECODE_DEPTH, i64::from(i32::MAX))),
    ("encode_number_precision", |call| number_setting(call, PRECISION, 14)),
    ("encode_keep_buffer", |call| word_setting(call, KEEP_BUFFER, &["off", "on"])),
    ("encode_invalid_numbers", |call| word_setting(call, ENCODE_INVALID, &["off", "on", "null"])),
    ("decode_invalid_numbers", |call| word_setting(call, DECODE_INVALID, &["off", "on"])),
    ("new", |call| {
        push_library(call);
        Ok(1)
    }),
];

// Settings are numbers in a table that all functions of one library keep, in these places.
const SPARSE_CONVERT: usize = 1;
const SPARSE_RATIO: usize = 2;
const SPARSE_SAFE: usize = 3;
const ENCODE_DEPTH: usize = 4;
const DECODE_DEPTH: usize = 5;
const PRECISION: usize = 6;
const KEEP_BUFFER: usize = 7;
const ENCODE_INVALID: usize = 8;
const DECODE_INVALID: usize = 9;
const DEFAULTS: [i64; 9] = [0, 2, 10, 1000, 1000, 14, 1, 0, 1];

/// Pushes a library with settings of its own.
pub fn push_library(call: &mut Call) {
    call.push_table(0, 16);
    call.push_table(DEFAULTS.len(), 0);
    let settings = call.top() as i32;
    for (index, value) in DEFAULTS.into_iter().enumerate() {
        call.push_number(value as f64);
        call.raw_set_at(settings, index + 1);
    }
    for (name, function) in FUNCTIONS {
        call.push_value(settings);
        call.push_function_with(function, 1);
        call.set_field(settings - 1, name);
    }
    call.pop(1);
    call.push_null();
    call.set_field(-2, "null");
    for (name, text) in [("_NAME", "cjson"), ("_VERSION", "2.1.0")] {
        call.push_bytes(text);
        call.set_field(-2, name);
    }
}

fn setting(call: &mut Call, place: usize) -> i64 {
    call.push_upvalue(1);
    call.raw_get_at(-1, place);
    let value = call.number(-1).map_or(0, integer);
    call.pop(2);
    value
}

fn set(call: &mut Call, place: usize, value: i64) {
    call.push_upvalue(1);
    call.push_number(value as f64);
    call.raw_set_at(-2, place);
    call.pop(1);
}

fn arguments_max(call: &mut Call, max: usize) -> Result<(), Raised> {
    if call.top() > max { Err(call.bad_argument(max + 1, "found too many arguments")) } else { Ok(()) }
}

/// Reads a setting that is a number, where it is given.
fn read_number(call: &mut Call, number: usize, place: usize, least: i64, most: i64) -> Result<(), Raised> {
    if call.is_absent(number) {
        return Ok(());
    }
    let value = integer(call.number_argument(number)?);
    if !(least..=most).contains(&value) {
        return Err(call.bad_argument(1, format!("expected integer between {least} and {most}")));
    }
    set(call, place, value);
    Ok(())
}

/// Reads a setting that is one of some words, where it is given; true and false are the last and the first of two.
fn read_word(call: &mut Call, place: usize, words: &[&str]) -> Result<(), Raised> {
    let value = match call.kind(1) {
        Kind::None | Kind::Nil => return Ok(()),
        Kind::Bool => i64::from(call.truth(1)),
        _ => {
            let given = call.string_argument(1)?;
            let Some(value) = words.iter().position(|word| word.as_bytes() == given) else {
                return Err(call.bad_argument(1, [b"invalid option '", given, b"'"].concat()));
            };
            value as i64
        }
    };
    set(call, place, value);
    Ok(())
}

fn number_setting(call: &mut Call, place: usize, most: i64) -> Result<usize, Raised> {
    arguments_max(call, 1)?;
    read_number(call, 1, place, 1, most)?;
    let value = setting(call, place);
    call.push_number(value as f64);
    Ok(1)
}

fn word_setting(call: &mut Call, place: usize, words: &[&str]) -> Result<usize, Raised> {
    arguments_max(call, 1)?;
    read_word(call, place, words)?;
    push_word(call, place, words);
    Ok(1)
}

fn push_word(call: &mut Call, place: usize, words: &[&str]) {
    match setting(call, place) {
        value @ 0..=1 => call.push_bool(value == 1),
        value => call.push_bytes(words.get(value as usize).copied().unwrap_or_default()),
    }
}

fn sparse_array(call: &mut Call) -> Result<usize, Raised> {
    arguments_max(call, 3)?;
    read_word(call, SPARSE_CONVERT, &["off", "on"])?;
    read_number(call, 2, SPARSE_RATIO, 0, i64::from(i32::MAX))?;
    read_number(call, 3, SPARSE_SAFE, 0, i64::from(i32::MAX))?;
    push_word(call, SPARSE_CONVERT, &["off", "on"]);
    for place in [SPARSE_RATIO, SPARSE_SAFE] {
        let value = setting(call, place);
        call.push_number(value as f64);
    }
    Ok(3)
}

// ---- to JSON ---------------------------------------------------------------------------------------------------------------------------

struct Encoder {
    out: Vec<u8>,
    sparse_convert: bool,
    sparse_ratio: i64,
    sparse_safe: i64,
    depth_max: usize,
    precision: usize,
    invalid: i64,
}

fn encode(call: &mut Call) -> Result<usize, Raised> {
    if call.top() != 1 {
        return Err(call.bad_argument(1, "expected 1 argument"));
    }
    let mut encoder = Encoder {
        out: Vec::new(),
        sparse_convert: setting(call, SPARSE_CONVERT) == 1,
        sparse_ratio: setting(call, SPARSE_RATIO),
        sparse_safe: setting(call, SPARSE_SAFE),
        depth_max: setting(call, ENCODE_DEPTH) as usize,
        precision: setting(call, PRECISION) as usize,
        invalid: setting(call, ENCODE_INVALID),
    };
    encoder.value(call, 0)?;
    call.room(encoder.out.len())?;
    call.push_bytes(&encoder.out);
    Ok(1)
}

impl Encoder {
    /// Writes the value on top, which stays there.
    fn value(&mut self, call: &mut Call, depth: usize) -> Result<(), Raised> {
        match call.kind(-1) {
            Kind::String => self.text(call, call.bytes(-1).unwrap_or_default())?,
            Kind::Number => self.number(call, call.number(-1).unwrap_or(0.0))?,
            Kind::Bool => self.out.extend_from_slice(if call.truth(-1) { b"true" } else { b"false" }),
            Kind::Nil => self.out.extend_from_slice(b"null"),
            Kind::Light if is_null(call, -1) => self.out.extend_from_slice(b"null"),
            Kind::Table => self.table(call, depth + 1)?,
            _ => {
                let kind = call.type_name(-1);
                return Err(call.raise(format!("Cannot serialise {kind}: type not supported")));
            }
        }
        Ok(())
    }

    fn text(&mut self, call: &mut Call, text: &[u8]) -> Result<(), Raised> {
        if text.len() > 4096 {
            call.room(self.out.len().saturating_add(text.len().saturating_mul(6)))?;
        }
        self.out.push(b'"');
        for &byte in text {
            match byte {
                b'"' | b'\\' | b'/' => self.out.extend_from_slice(&[b'\\', byte]),
                0x08 => self.out.extend_from_slice(b"\\b"),
                b'\t' => self.out.extend_from_slice(b"\\t"),
                b'\n' => self.out.extend_from_slice(b"\\n"),
                0x0c => self.out.extend_from_slice(b"\\f"),
                b'\r' => self.out.extend_from_slice(b"\\r"),
                0..0x20 | 0x7f => self.out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                _ => self.out.push(byte),
            }
        }
        self.out.push(b'"');
        Ok(())
    }

    fn number(&mut self, call: &mut Call, value: f64) -> Result<(), Raised> {
        if !value.is_finite() {
            match self.invalid {
                0 => return Err(call.raise("Cannot serialise number: must not be NaN or Inf")),
                2 => {
                    self.out.extend_from_slice(b"null");
                    return Ok(());
                }
                _ => {}
            }
            let text: &[u8] = match value {
                value if value.is_nan() => b"nan",
                value if value > 0.0 => b"inf",
                _ => b"-inf",
            };
            self.out.extend_from_slice(text);
            return Ok(());
        }
        self.out.extend_from_slice(&format_g(self.precision, value));
        Ok(())
    }

    fn table(&mut self, call: &mut Call, depth: usize) -> Result<(), Raised> {
        if depth > self.depth_max || !call.reserve(4) {
            return Err(call.raise(format!("Cannot serialise, excessive nesting ({depth})")));
        }
        if self.out.len() > 1 << 20 {
            call.room(self.out.len().saturating_mul(2))?;
        }
        match self.array_length(call)? {
            Some(len) => self.array(call, len, depth),
            None => self.object(call, depth),
        }
    }

    /// The number of elements where the table is an array that is not empty.
    fn array_length(&mut self, call: &mut Call) -> Result<Option<usize>, Raised> {
        // The original keeps the highest as a C `int`, which a key beyond that turns into the least one.
        let (mut highest, mut items) = (0i32, 0i64);
        call.push_nil();
        while call.next(-2) {
            call.pop(1);
            match call.number(-1) {
                Some(key) if key >= 1.0 && key.trunc() == key => {
                    if key > f64::from(highest) {
                        highest = if key <= f64::from(i32::MAX) { key as i32 } else { i32::MIN };
                    }
                    items += 1;
                }
                _ => {
                    call.pop(1);
                    return Ok(None);
                }
            }
        }
        let highest = i64::from(highest);
        let is_sparse =
            self.sparse_ratio > 0 && highest > items.saturating_mul(self.sparse_ratio) && highest > self.sparse_safe;
        if is_sparse && !self.sparse_convert {
            return Err(call.raise("Cannot serialise table: excessively sparse array"));
        }
        Ok(usize::try_from(highest).ok().filter(|highest| *highest > 0 && !is_sparse))
    }

    fn array(&mut self, call: &mut Call, len: usize, depth: usize) -> Result<(), Raised> {
        self.out.push(b'[');
        for element in 1..=len {
            if element > 1 {
                self.out.push(b',');
            }
            if element % 65_536 == 0 {
                call.room(self.out.len().saturating_mul(2))?;
                call.breathe()?;
            }
            call.raw_get_at(-1, element);
            self.value(call, depth)?;
            call.pop(1);
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, call: &mut Call, depth: usize) -> Result<(), Raised> {
        self.out.push(b'{');
        let mut first = true;
        call.push_nil();
        while call.next(-2) {
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            match call.kind(-2) {
                Kind::Number => {
                    self.out.push(b'"');
                    self.number(call, call.number(-2).unwrap_or(0.0))?;
                    self.out.extend_from_slice(b"\":");
                }
                Kind::String => {
                    self.text(call, call.bytes(-2).unwrap_or_default())?;
                    self.out.push(b':');
                }
                _ => {
                    let kind = call.type_name(-2);
                    return Err(call.raise(format!("Cannot serialise {kind}: table key must be a number or string")));
                }
            }
            self.value(call, depth)?;
            call.pop(1);
        }
        self.out.push(b'}');
        Ok(())
    }
}

// ---- from JSON -------------------------------------------------------------------------------------------------------------------------

enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    /// Its text is in `Decoder::text`.
    Text,
    Number(f64),
    Bool(bool),
    Null,
    Colon,
    Comma,
    End,
    Error(&'static str),
}

impl Token {
    fn name(&self) -> &'static str {
        match self {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::Text => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Bool(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Error(text) => text,
        }
    }
}

struct Decoder<'a> {
    json: &'a [u8],
    at: usize,
    /// Where the last token began.
    token_at: usize,
    text: Vec<u8>,
    depth: usize,
    depth_max: usize,
    invalid: bool,
    tokens: u32,
}

fn decode(call: &mut Call) -> Result<usize, Raised> {
    if call.top() != 1 {
        return Err(call.bad_argument(1, "expected 1 argument"));
    }
    let json = call.string_argument(1)?;
    if json.len() >= 2 && (json[0] == 0 || json[1] == 0) {
        return Err(call.raise("JSON parser does not support UTF-16 or UTF-32"));
    }
    if json.len() > 1 << 16 {
        call.room(json.len().saturating_mul(8))?;
    }
    let mut decoder = Decoder {
        json,
        at: 0,
        token_at: 0,
        text: Vec::new(),
        depth: 0,
        depth_max: setting(call, DECODE_DEPTH) as usize,
        invalid: setting(call, DECODE_INVALID) == 1,
        tokens: 0,
    };
    let token = decoder.next();
    decoder.value(call, token)?;
    match decoder.next() {
        Token::End => Ok(1),
        other => Err(decoder.unexpected(call, "the end", &other)),
    }
}

impl Decoder<'_> {
    fn unexpected(&self, call: &mut Call, expected: &str, found: &Token) -> Raised {
        call.raise(format!("Expected {expected} but found {} at character {}", found.name(), self.token_at + 1))
    }

    /// Pushes the value that begins with `token`.
    fn value(&mut self, call: &mut Call, token: Token) -> Result<(), Raised> {
        match token {
            Token::Text => call.push_bytes(&self.text),
            Token::Number(value) => call.push_number(value),
            Token::Bool(value) => call.push_bool(value),
            Token::Null => call.push_null(),
            Token::ObjectBegin => return self.object(call),
            Token::ArrayBegin => return self.array(call),
            other => return Err(self.unexpected(call, "value", &other)),
        }
        Ok(())
    }

    fn descend(&mut self, call: &mut Call) -> Result<(), Raised> {
        self.depth += 1;
        if self.depth > self.depth_max || !call.reserve(4) {
            return Err(
                call.raise(format!("Found too many nested data structures ({}) at character {}", self.depth, self.at))
            );
        }
        Ok(())
    }

    fn object(&mut self, call: &mut Call) -> Result<(), Raised> {
        self.descend(call)?;
        call.push_table(0, 0);
        let mut token = self.next();
        if matches!(token, Token::ObjectEnd) {
            self.depth -= 1;
            return Ok(());
        }
        loop {
            if !matches!(token, Token::Text) {
                return Err(self.unexpected(call, "object key string", &token));
            }
            call.push_bytes(&self.text);
            token = self.next();
            if !matches!(token, Token::Colon) {
                return Err(self.unexpected(call, "colon", &token));
            }
            token = self.next();
            self.value(call, token)?;
            call.raw_set(-3);
            token = self.next();
            match token {
                Token::ObjectEnd => break,
                Token::Comma => {}
                other => return Err(self.unexpected(call, "comma or object end", &other)),
            }
            token = self.next();
            self.look(call)?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn array(&mut self, call: &mut Call) -> Result<(), Raised> {
        self.descend(call)?;
        call.push_table(0, 0);
        let mut token = self.next();
        if matches!(token, Token::ArrayEnd) {
            self.depth -= 1;
            return Ok(());
        }
        for element in 1.. {
            self.value(call, token)?;
            call.raw_set_at(-2, element);
            token = self.next();
            match token {
                Token::ArrayEnd => break,
                Token::Comma => {}
                other => return Err(self.unexpected(call, "comma or array end", &other)),
            }
            token = self.next();
            self.look(call)?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Looks at the clock from time to time.
    fn look(&mut self, call: &mut Call) -> Result<(), Raised> {
        self.tokens = self.tokens.wrapping_add(1);
        if self.tokens.is_multiple_of(65_536) { call.breathe() } else { Ok(()) }
    }

    fn next(&mut self) -> Token {
        while matches!(self.json.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.token_at = self.at;
        let rest = &self.json[self.at..];
        let single = match rest.first() {
            // The text ends at a NUL, as in C.
            None | Some(0) => return Token::End,
            Some(b'{') => Token::ObjectBegin,
            Some(b'}') => Token::ObjectEnd,
            Some(b'[') => Token::ArrayBegin,
            Some(b']') => Token::ArrayEnd,
            Some(b':') => Token::Colon,
            Some(b',') => Token::Comma,
            Some(b'"') => return self.string(),
            Some(byte) => return self.word(*byte, rest),
        };
        self.at += 1;
        single
    }

    fn word(&mut self, first: u8, rest: &[u8]) -> Token {
        if first == b'-' || first.is_ascii_digit() {
            if !self.invalid && is_invalid_number(rest) {
                return Token::Error("invalid number");
            }
            return self.number(rest);
        }
        for (word, token) in [(&b"true"[..], Token::Bool(true)), (b"false", Token::Bool(false)), (b"null", Token::Null)]
        {
            if rest.starts_with(word) {
                self.at += word.len();
                return token;
            }
        }
        if self.invalid && is_invalid_number(rest) {
            return self.number(rest);
        }
        Token::Error("invalid token")
    }

    fn number(&mut self, rest: &[u8]) -> Token {
        match c_number(rest) {
            Some((value, len)) => {
                self.at += len;
                Token::Number(value)
            }
            None => Token::Error("invalid number"),
        }
    }

    fn string(&mut self) -> Token {
        self.text.clear();
        let mut at = self.at + 1;
        loop {
            let run = self.json[at..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0));
            let run = run.unwrap_or(self.json.len() - at);
            self.text.extend_from_slice(&self.json[at..at + run]);
            at += run;
            match self.json.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Token::Text;
                }
                Some(b'\\') => match self.escape(at) {
                    Ok(len) => at += len,
                    Err(text) => {
                        self.token_at = at;
                        return Token::Error(text);
                    }
                },
                _ => {
                    self.token_at = at;
                    return Token::Error("unexpected end of string");
                }
            }
        }
    }

    /// Appends what an escape stands for, and says how long it is.
    fn escape(&mut self, at: usize) -> Result<usize, &'static str> {
        let byte = match self.json.get(at + 1) {
            Some(b'u') => return self.unicode(at).ok_or("invalid unicode escape code"),
            Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            _ => return Err("invalid escape code"),
        };
        self.text.push(byte);
        Ok(2)
    }

    fn unicode(&mut self, at: usize) -> Option<usize> {
        let unit = |at: usize| {
            let digits = self.json.get(at..at + 6)?.strip_prefix(b"\\u")?;
            if !digits.iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
        };
        let first = unit(at)?;
        let (code, len) = match first {
            0xdc00..=0xdfff => return None,
            0xd800..=0xdbff => {
                let second = unit(at + 6).filter(|second| (0xdc00..=0xdfff).contains(second))?;
                (0x10000 + ((first & 0x3ff) << 10 | second & 0x3ff), 12)
            }
            _ => (first, 6),
        };
        let mut utf8 = [0; 4];
        self.text.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut utf8).as_bytes());
        Some(len)
    }
}

/// Numbers that JSON does not know: with a plus, with zeros in front, hexadecimal, infinite, or none at all.
fn is_invalid_number(text: &[u8]) -> bool {
    if text.first() == Some(&b'+') {
        return true;
    }
    let text = text.strip_prefix(b"-").unwrap_or(text);
    match text {
        [b'0', b'x' | b'X' | b'0'..=b'9', ..] => true,
        [b'0'..=b'9', ..] => false,
        _ => text.get(..3).is_some_and(|word| word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"nan")),
    }
}

/// The longest number at the front, as C's `strtod` reads it, and its length.
fn c_number(text: &[u8]) -> Option<(f64, usize)> {
    let signed = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let negative = text.first() == Some(&b'-');
    let body = &text[signed..];
    let starts = |word: &[u8]| body.get(..word.len()).is_some_and(|front| front.eq_ignore_ascii_case(word));
    let (value, len) = if starts(b"infinity") {
        (f64::INFINITY, 8)
    } else if starts(b"inf") {
        (f64::INFINITY, 3)
    } else if starts(b"nan") {
        (f64::NAN, 3)
    } else if let Some(hexadecimal) = hexadecimal(body) {
        hexadecimal
    } else {
        decimal(body)?
    };
    Some((if negative { -value } else { value }, signed + len))
}

fn digits_at(text: &[u8], at: usize) -> usize {
    text.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn decimal(text: &[u8]) -> Option<(f64, usize)> {
    let whole = digits_at(text, 0);
    let mut len = whole;
    let mut fraction = 0;
    if text.get(len) == Some(&b'.') {
        fraction = digits_at(text, len + 1);
        len += 1 + fraction;
    }
    if whole + fraction == 0 {
        return None;
    }
    if matches!(text.get(len), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(len + 1), Some(b'+' | b'-')));
        let digits = digits_at(text, len + 1 + sign);
        if digits > 0 {
            len += 1 + sign + digits;
        }
    }
    let value = std::str::from_utf8(&text[..len]).ok()?.parse().ok()?;
    Some((value, len))
}

fn hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    if !text.starts_with(b"0x") && !text.starts_with(b"0X") {
        return None;
    }
    let (mut value, mut scale, mut digits, mut len, mut behind_point) = (0.0f64, 0i32, 0, 2, false);
    while let Some(&byte) = text.get(len) {
        if let Some(digit) = char::from(byte).to_digit(16) {
            value = value * 16.0 + f64::from(digit);
            scale -= if behind_point { 4 } else { 0 };
            digits += 1;
        } else if byte == b'.' && !behind_point {
            behind_point = true;
        } else {
            break;
        }
        len += 1;
    }
    if digits == 0 {
        return None;
    }
    if matches!(text.get(len), Some(b'p' | b'P')) {
        let sign = usize::from(matches!(text.get(len + 1), Some(b'+' | b'-')));
        let count = digits_at(text, len + 1 + sign);
        if count > 0 {
            let exponent = std::str::from_utf8(&text[len + 1 + sign..len + 1 + sign + count]).ok()?;
            let exponent = exponent.parse::<i32>().unwrap_or(100_000).min(100_000);
            scale = scale.saturating_add(if text[len + 1] == b'-' { -exponent } else { exponent });
            len += 1 + sign + count;
        }
    }
    Some((value * 2f64.powi(scale), len))
}
