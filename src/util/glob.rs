//! Patterns as KEYS, SCAN, PSUBSCRIBE and CONFIG GET take them: `*`, `?`, `[a-z]`, `[^a]`, `\x`.
//!
//! A pattern is matched without recursion in at most pattern × text steps, whatever the pattern. Malformed patterns
//! have Redis's meaning: see `class` for the odd ones.

/// A pattern, looked at once for many texts.
#[derive(Clone, Copy, Debug)]
pub struct Glob<'a> {
    pattern: &'a [u8],
    /// How many bytes stand before the first special one.
    literal: usize,
    fold_case: bool,
}

/// Whether `text` as a whole matches `pattern`.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    Glob::new(pattern).matches(text)
}

/// Whether `text` as a whole matches `pattern`, ASCII letters of either case being the same.
pub fn matches_ignoring_case(pattern: &[u8], text: &[u8]) -> bool {
    Glob::ignoring_case(pattern).matches(text)
}

impl<'a> Glob<'a> {
    pub fn new(pattern: &'a [u8]) -> Self {
        let literal = pattern.iter().position(|byte| b"*?[\\".contains(byte)).unwrap_or(pattern.len());
        Self { pattern, literal, fold_case: false }
    }

    pub fn ignoring_case(pattern: &'a [u8]) -> Self {
        Self { fold_case: true, literal: 0, pattern }
    }

    /// Whether everything matches.
    pub fn is_any(&self) -> bool {
        self.pattern == b"*"
    }

    /// The only text that can match, where the pattern has nothing special in it.
    pub fn as_literal(&self) -> Option<&'a [u8]> {
        (self.literal == self.pattern.len() && !self.fold_case).then_some(self.pattern)
    }

    /// What every matching text begins with.
    pub fn prefix(&self) -> &'a [u8] {
        &self.pattern[..self.literal]
    }

    /// Whether `text` as a whole matches.
    ///
    /// The empty text matches the empty pattern and `*` (KEYS, SCAN), but not `**`. A published message's empty channel
    /// does not even match `*`: that is for pub/sub to know.
    pub fn matches(&self, text: &[u8]) -> bool {
        if text.is_empty() {
            return self.pattern.is_empty() || self.is_any();
        }
        let (prefix, rest) = self.pattern.split_at(self.literal);
        match text.strip_prefix(prefix) {
            Some(text) => self.matches_rest(rest, text),
            None => false,
        }
    }

    /// A star first takes nothing; on a mismatch the last star takes one byte more. Earlier stars need no second try:
    /// whatever they could give up, the last one can take.
    fn matches_rest(&self, pattern: &[u8], text: &[u8]) -> bool {
        let (mut at, mut pos) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        loop {
            if pattern.get(at) == Some(&b'*') {
                at += 1;
                if at == pattern.len() {
                    return true;
                }
                retry = Some((at, pos));
                continue;
            }
            match text.get(pos) {
                None => return at == pattern.len(),
                Some(&byte) => {
                    if let Some(length) = self.matches_one(&pattern[at..], byte) {
                        at += length;
                        pos += 1;
                        continue;
                    }
                }
            }
            match &mut retry {
                None => return false,
                Some((after_star, start)) => {
                    *start += 1;
                    (at, pos) = (*after_star, *start);
                }
            }
        }
    }

    /// Matches `byte` with the pattern's first element, which is no star; returns the element's length on success.
    #[inline]
    fn matches_one(&self, pattern: &[u8], byte: u8) -> Option<usize> {
        let (matched, length) = match pattern {
            [] => return None,
            [b'?', ..] => (true, 1),
            [b'[', rest @ ..] => self.class(rest, byte),
            [b'\\', escaped, ..] => (self.same(*escaped, byte), 2),
            [literal, ..] => (self.same(*literal, byte), 1),
        };
        matched.then_some(length)
    }

    /// A class, from behind its `[`: whether it has `byte`, and its length with both brackets.
    ///
    /// - `]` closes it wherever it stands: `[]` has nothing, `[^]` has everything.
    /// - A class that nothing closes ends with the pattern.
    /// - Whatever follows `x-` is the end of a range, be it `]` or `\`; ranges may run backwards.
    fn class(&self, rest: &[u8], byte: u8) -> (bool, usize) {
        let (negated, members) = match rest {
            [b'^', members @ ..] => (true, members),
            _ => (false, rest),
        };
        let mut found = false;
        let mut at = 0;
        loop {
            at += match &members[at..] {
                [b'\\', escaped, ..] => {
                    found |= self.same(*escaped, byte);
                    2
                }
                [b']', ..] => {
                    at += 1;
                    break;
                }
                [] => break,
                [first, b'-', last, ..] => {
                    // Put in order before their case is folded, so `[Z-a]` has nothing when case is ignored.
                    let range = self.fold(*first.min(last))..=self.fold(*first.max(last));
                    found |= range.contains(&self.fold(byte));
                    3
                }
                [member, ..] => {
                    found |= self.same(*member, byte);
                    1
                }
            };
        }
        (found != negated, 1 + usize::from(negated) + at)
    }

    #[inline]
    fn same(&self, one: u8, two: u8) -> bool {
        one == two || (self.fold_case && one.eq_ignore_ascii_case(&two))
    }

    #[inline]
    fn fold(&self, byte: u8) -> u8 {
        if self.fold_case { byte.to_ascii_lowercase() } else { byte }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn matches_as_redis_does() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("**", "", false),
            ("a**", "a", true),
            ("", "", true),
            ("", "a", false),
            ("h?llo", "hello", true),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hbllo", true),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("a\\", "a\\", true),
            ("[abc", "b", true),
            ("[", "a", false),
            ("[^", "a", true),
            ("[]", "]", false),
            ("[]a]", "a", false),
            ("[^]", "x", true),
            ("[a-]", "b", false),
            ("[a-]", "_", true),
            ("[\\]]", "]", true),
            ("**a**", "bab", true),
            ("a*b*c", "a1b2c3", false),
            ("a*b*c", "a1b2c3c", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern:?} {text:?}");
        }
        assert!(matches_ignoring_case(b"MAX[A-Z]*", b"maxmemory"));
        assert!(!matches(b"MAX*", b"maxmemory"));
        assert!(!matches_ignoring_case(b"[Z-a]", b"z"));
    }

    #[test]
    fn a_hostile_pattern_takes_no_exponential_time() {
        let text = vec![b'a'; 5_000];
        let pattern = [b"a*".repeat(1_000), b"b".to_vec()].concat();
        assert!(!matches(&pattern, &text));
    }

    /// The definition, told recursively.
    fn model(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], _) => text.is_empty(),
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|taken| model(rest, &text[taken..])),
            (_, []) => false,
            (_, [byte, left @ ..]) => {
                Glob::new(b"").matches_one(pattern, *byte).is_some_and(|length| model(&pattern[length..], left))
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn stars_mean_what_the_definition_says(pattern in "[ab*?\\[\\]^\\\\-]{0,8}", text in "[ab\\]-]{1,8}") {
            prop_assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), model(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn every_text_matches_itself_escaped(text: Vec<u8>) {
            let escaped: Vec<u8> = text.iter().flat_map(|&byte| [b'\\', byte]).collect();
            prop_assert!(matches(&escaped, &text));
            prop_assert!(matches_ignoring_case(&escaped, &text.to_ascii_uppercase()));
        }
    }
}
