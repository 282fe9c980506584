//! Lua's patterns, matched with bounded depth and a look at the clock from time to time: the one part of the string library that hostile input
//! could otherwise use to crash the server (deep recursion) or to hold it for ever (exponential search).

/// Captures of one pattern, at most.
pub const CAPTURES_MAX: usize = 32;
/// Parts of a pattern that wait for what is behind them, at most.
const DEPTH_MAX: usize = 400;
/// Steps between two looks at the clock.
const STEPS_BETWEEN_LOOKS: u32 = 1 << 16;

/// Why a match ended without an answer.
#[derive(Debug)]
pub enum Trouble<E> {
    /// The pattern is wrong.
    Pattern(String),
    /// The clock said so.
    Ended(E),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// Not closed yet.
    Open(usize),
    Position(usize),
    Text {
        start: usize,
        end: usize,
    },
}

pub struct Matcher<'a, E> {
    text: &'a [u8],
    pattern: &'a [u8],
    pub captures: Vec<Capture>,
    depth: usize,
    /// Since the last look at the clock; they are carried over from one match to the next.
    pub steps: u32,
    breathe: &'a mut dyn FnMut() -> Result<(), E>,
}

type Found<E> = Result<Option<usize>, Trouble<E>>;

const ESCAPE: u8 = b'%';

impl<'a, E> Matcher<'a, E> {
    /// A pattern ends at its first NUL, as in C.
    pub fn new(text: &'a [u8], pattern: &'a [u8], breathe: &'a mut dyn FnMut() -> Result<(), E>) -> Self {
        let pattern = &pattern[..memchr::memchr(0, pattern).unwrap_or(pattern.len())];
        Self { text, pattern, captures: Vec::new(), depth: 0, steps: 0, breathe }
    }

    /// The end of a match that begins at `start`.
    pub fn match_at(&mut self, start: usize) -> Found<E> {
        self.captures.clear();
        self.depth = 0;
        self.step(start, 0)
    }

    fn wrong<T>(text: &str) -> Result<T, Trouble<E>> {
        Err(Trouble::Pattern(text.to_owned()))
    }

    fn tick(&mut self) -> Result<(), Trouble<E>> {
        self.tick_by(1)
    }

    /// So many steps at once, of which eight bytes of a set or sixteen of a text make one.
    fn tick_by(&mut self, steps: usize) -> Result<(), Trouble<E>> {
        self.steps = self.steps.saturating_add(u32::try_from(steps).unwrap_or(u32::MAX));
        if self.steps < STEPS_BETWEEN_LOOKS {
            return Ok(());
        }
        self.steps = 0;
        (self.breathe)().map_err(Trouble::Ended)
    }

    /// `at` in the text against the pattern from `part` on.
    fn step(&mut self, at: usize, part: usize) -> Found<E> {
        self.depth += 1;
        let result = if self.depth > DEPTH_MAX { Self::wrong("pattern too complex") } else { self.step_in(at, part) };
        self.depth -= 1;
        result
    }

    fn step_in(&mut self, mut at: usize, mut part: usize) -> Found<E> {
        loop {
            self.tick()?;
            let Some(&first) = self.pattern.get(part) else { return Ok(Some(at)) };
            match first {
                b'(' if self.pattern.get(part + 1) == Some(&b')') => {
                    return self.open(at, part + 2, Capture::Position(at));
                }
                b'(' => return self.open(at, part + 1, Capture::Open(at)),
                b')' => return self.close(at, part + 1),
                b'$' if part + 1 == self.pattern.len() => return Ok((at == self.text.len()).then_some(at)),
                ESCAPE => match self.pattern.get(part + 1) {
                    Some(b'b') => match self.balanced(at, part + 2)? {
                        Some(end) => {
                            (at, part) = (end, part + 4);
                            continue;
                        }
                        None => return Ok(None),
                    },
                    Some(b'f') => {
                        part += 2;
                        if self.pattern.get(part) != Some(&b'[') {
                            return Self::wrong("missing '[' after '%f' in pattern");
                        }
                        let end = self.class_end(part)?;
                        let before = if at == 0 { 0 } else { self.text[at - 1] };
                        let here = self.text.get(at).copied().unwrap_or(0);
                        if self.in_set(before, part, end - 1) || !self.in_set(here, part, end - 1) {
                            return Ok(None);
                        }
                        part = end;
                        continue;
                    }
                    Some(digit) if digit.is_ascii_digit() => match self.again(at, *digit)? {
                        Some(end) => {
                            (at, part) = (end, part + 2);
                            continue;
                        }
                        None => return Ok(None),
                    },
                    _ => {}
                },
                _ => {}
            }
            let end = self.class_end(part)?;
            self.tick_by((end - part) / 8)?;
            let fits = self.fits(at, part, end);
            match self.pattern.get(end) {
                Some(b'?') => {
                    if fits && let Some(found) = self.step(at + 1, end + 1)? {
                        return Ok(Some(found));
                    }
                    part = end + 1;
                }
                Some(b'*') => return self.longest(at, part, end),
                Some(b'+') => return if fits { self.longest(at + 1, part, end) } else { Ok(None) },
                Some(b'-') => return self.shortest(at, part, end),
                _ if fits => (at, part) = (at + 1, end),
                _ => return Ok(None),
            }
        }
    }

    /// One character against one class.
    fn fits(&self, at: usize, part: usize, end: usize) -> bool {
        let Some(&byte) = self.text.get(at) else { return false };
        match self.pattern[part] {
            b'.' => true,
            ESCAPE => is_in_class(byte, self.pattern[part + 1]),
            b'[' => self.in_set(byte, part, end - 1),
            other => other == byte,
        }
    }

    fn longest(&mut self, at: usize, part: usize, end: usize) -> Found<E> {
        let mut count = 0;
        while self.fits(at + count, part, end) {
            count += 1;
            self.tick_by(1 + (end - part) / 8)?;
        }
        loop {
            if let Some(found) = self.step(at + count, end + 1)? {
                return Ok(Some(found));
            }
            if count == 0 {
                return Ok(None);
            }
            count -= 1;
        }
    }

    fn shortest(&mut self, mut at: usize, part: usize, end: usize) -> Found<E> {
        loop {
            if let Some(found) = self.step(at, end + 1)? {
                return Ok(Some(found));
            }
            if !self.fits(at, part, end) {
                return Ok(None);
            }
            at += 1;
        }
    }

    fn open(&mut self, at: usize, part: usize, capture: Capture) -> Found<E> {
        if self.captures.len() >= CAPTURES_MAX {
            return Self::wrong("too many captures");
        }
        let level = self.captures.len();
        self.captures.push(capture);
        let found = self.step(at, part)?;
        if found.is_none() {
            self.captures.truncate(level);
        }
        Ok(found)
    }

    fn close(&mut self, at: usize, part: usize) -> Found<E> {
        let open = self.captures.iter().rposition(|capture| matches!(capture, Capture::Open(_)));
        let Some(level) = open else { return Self::wrong("invalid pattern capture") };
        let Capture::Open(start) = self.captures[level] else { return Ok(None) };
        self.captures[level] = Capture::Text { start, end: at };
        let found = self.step(at, part)?;
        if found.is_none() {
            self.captures[level] = Capture::Open(start);
        }
        Ok(found)
    }

    fn balanced(&mut self, at: usize, part: usize) -> Found<E> {
        let (Some(&open), Some(&close)) = (self.pattern.get(part), self.pattern.get(part + 1)) else {
            return Self::wrong("unbalanced pattern");
        };
        if self.text.get(at) != Some(&open) {
            return Ok(None);
        }
        let mut depth = 1;
        let mut found = None;
        let mut seen = 0;
        for (offset, &byte) in self.text[at + 1..].iter().enumerate() {
            if byte == close {
                depth -= 1;
                if depth == 0 {
                    found = Some(at + offset + 2);
                    break;
                }
            } else if byte == open {
                depth += 1;
            }
            seen = offset;
        }
        self.tick_by(seen / 4)?;
        Ok(found)
    }

    /// What a capture found, once more.
    fn again(&mut self, at: usize, digit: u8) -> Found<E> {
        let level = usize::from(digit).wrapping_sub(usize::from(b'1'));
        let (start, end) = match self.captures.get(level) {
            Some(&Capture::Text { start, end }) => (start, end),
            // A position has no length that could be found again.
            Some(&Capture::Position(_)) => return Ok(None),
            _ => return Self::wrong("invalid capture index"),
        };
        let wanted = &self.text[start..end];
        self.tick_by(wanted.len() / 16)?;
        Ok(self.text[at..].starts_with(wanted).then_some(at + wanted.len()))
    }

    /// Where the class at `part` ends.
    fn class_end(&self, part: usize) -> Result<usize, Trouble<E>> {
        match self.pattern[part] {
            ESCAPE if part + 1 >= self.pattern.len() => Self::wrong("malformed pattern (ends with '%')"),
            ESCAPE => Ok(part + 2),
            b'[' => {
                let mut at = part + 1;
                if self.pattern.get(at) == Some(&b'^') {
                    at += 1;
                }
                // A bracket in the first place stands for itself.
                loop {
                    let Some(&byte) = self.pattern.get(at) else {
                        return Self::wrong("malformed pattern (missing ']')");
                    };
                    at += 1;
                    if byte == ESCAPE && at < self.pattern.len() {
                        at += 1;
                    }
                    if self.pattern.get(at) == Some(&b']') {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(part + 1),
        }
    }

    /// `byte` against the set that begins at `part` and whose bracket closes at `last`.
    fn in_set(&self, byte: u8, part: usize, last: usize) -> bool {
        let mut at = part + 1;
        let inverted = self.pattern[at] == b'^';
        if inverted {
            at += 1;
        }
        while at < last {
            let here = self.pattern[at];
            if here == ESCAPE {
                at += 1;
                if is_in_class(byte, self.pattern[at]) {
                    return !inverted;
                }
                at += 1;
            } else if self.pattern.get(at + 1) == Some(&b'-') && at + 2 < last {
                if (here..=self.pattern[at + 2]).contains(&byte) {
                    return !inverted;
                }
                at += 3;
            } else {
                if here == byte {
                    return !inverted;
                }
                at += 1;
            }
        }
        inverted
    }
}

fn is_in_class(byte: u8, class: u8) -> bool {
    let is = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => byte.is_ascii_whitespace() || byte == 0x0b,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is != class.is_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, pattern: &str) -> Result<Option<usize>, String> {
        let mut never = || Ok::<(), ()>(());
        Matcher::new(text.as_bytes(), pattern.as_bytes(), &mut never).match_at(0).map_err(|trouble| match trouble {
            Trouble::Pattern(text) => text,
            Trouble::Ended(()) => "ended".into(),
        })
    }

    #[test]
    fn matches_as_lua_does() {
        for (text, pattern, end) in [
            ("abc", "%a+", Some(3)),
            ("abc1", "%a-%d", Some(4)),
            ("(a(b)c)d", "%b()", Some(7)),
            ("aXbXc", "(.)X(.)X", Some(4)),
            ("abab", "(ab)%1", Some(4)),
            ("x]", "[]x]+", Some(2)),
            ("a-z", "[a%-z]+", Some(3)),
            ("THE", "%f[%u]%u+%f[%z]", Some(3)),
            ("b", "a?b", Some(1)),
            ("b", "a", None),
        ] {
            assert_eq!(found(text, pattern), Ok(end), "{text} {pattern}");
        }
        for (pattern, error) in [
            ("[a", "malformed pattern (missing ']')"),
            ("%", "malformed pattern (ends with '%')"),
            ("%1", "invalid capture index"),
            (")", "invalid pattern capture"),
            ("%ba", "unbalanced pattern"),
            ("%fa", "missing '[' after '%f' in pattern"),
        ] {
            assert_eq!(found("abc", pattern), Err(error.to_owned()));
        }
    }

    #[test]
    fn a_bomb_neither_crashes_nor_lasts() {
        let text = "a".repeat(100_000);
        assert_eq!(found(&text, &format!("{}b", "a?".repeat(100_000))), Err("pattern too complex".into()));
        let mut looks = 0;
        let mut three = || {
            looks += 1;
            if looks < 3 { Ok(()) } else { Err("enough") }
        };
        let pattern = ".-".repeat(30) + "b";
        let result = Matcher::new(&text.as_bytes()[..60], pattern.as_bytes(), &mut three).match_at(0);
        assert!(matches!(result, Err(Trouble::Ended("enough"))));
    }
}
