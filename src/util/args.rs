//! Lines split into arguments by Redis's quoting, and bytes quoted so that they can be read in a line.
//!
//! Inline commands and lines of the configuration file are split; MONITOR, error replies and CONFIG REWRITE quote. What
//! `quote` writes, `split_args` reads back.

/// Splits a line at white space; `None` where quotes are unbalanced or something sticks to a closing one.
///
/// `"…"` knows `\n \r \t \b \a`, `\xhh` and any other byte after `\` as itself; `'…'` knows only `\'`. Quotes may begin
/// within a word. A NUL byte outside quotes ends the line.
pub fn split_args(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut arguments = Vec::new();
    let mut left = line;
    loop {
        let start = left.iter().position(|&byte| !is_space(byte)).unwrap_or(left.len());
        left = &left[start..];
        if matches!(left, [] | [0, ..]) {
            return Some(arguments);
        }
        let mut argument = Vec::new();
        left = take_argument(left, &mut argument)?;
        arguments.push(argument);
    }
}

/// Appends `bytes` between double quotes, with an escape for every byte that is not printable ASCII.
pub fn quote(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'x', high, low]);
            }
        }
    }
    out.push(b'"');
}

/// Reads one argument and returns what stands behind it.
fn take_argument<'a>(mut left: &'a [u8], argument: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match left {
            [] | [b' ' | b'\n' | b'\r' | b'\t' | 0, ..] => return Some(left),
            [b'"', rest @ ..] => return take_double_quoted(rest, argument),
            [b'\'', rest @ ..] => return take_single_quoted(rest, argument),
            [byte, rest @ ..] => {
                argument.push(*byte);
                left = rest;
            }
        }
    }
}

fn take_double_quoted<'a>(mut left: &'a [u8], argument: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, length) = match left {
            [] | [0, ..] => return None,
            [b'"', rest @ ..] => return after_quote(rest),
            [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex_digit(*high) << 4 | hex_digit(*low), 4)
            }
            // A backslash at the very end, or before a NUL, stands for itself; the quote is still open then.
            [b'\\', 0, ..] | [b'\\'] => return None,
            [b'\\', escaped, ..] => (unescaped(*escaped), 2),
            [byte, ..] => (*byte, 1),
        };
        argument.push(byte);
        left = &left[length..];
    }
}

fn take_single_quoted<'a>(mut left: &'a [u8], argument: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, length) = match left {
            [] | [0, ..] => return None,
            [b'\'', rest @ ..] => return after_quote(rest),
            [b'\\', b'\'', ..] => (b'\'', 2),
            [byte, ..] => (*byte, 1),
        };
        argument.push(byte);
        left = &left[length..];
    }
}

/// A closing quote must be followed by white space or the end.
fn after_quote(rest: &[u8]) -> Option<&[u8]> {
    match rest.first() {
        Some(&byte) if byte != 0 && !is_space(byte) => None,
        _ => Some(rest),
    }
}

fn unescaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        _ => byte,
    }
}

fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => byte.to_ascii_lowercase() - b'a' + 10,
    }
}

/// C's `isspace`, which unlike Rust's includes the vertical tab.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(line: &str) -> Option<Vec<String>> {
        let arguments = split_args(line.as_bytes())?;
        Some(arguments.iter().map(|argument| argument.escape_ascii().to_string()).collect())
    }

    #[test]
    fn splits_as_redis_does() {
        for (line, expected) in [
            ("", vec![]),
            (" \t\r\n", vec![]),
            ("set a b", vec!["set", "a", "b"]),
            (r#"set "a b" 'c d'"#, vec!["set", "a b", "c d"]),
            (r#""\xff\n\q""#, vec![r"\xff\nq"]),
            (r#""\xg0""#, vec!["xg0"]),
            (r"'it\'s \n'", vec![r"it\'s \\n"]),
            (r#"pre"fix""#, vec!["prefix"]),
            ("a\0b c", vec!["a"]),
            (r#""" ''"#, vec!["", ""]),
        ] {
            assert_eq!(split(line), Some(expected.iter().map(ToString::to_string).collect()), "{line:?}");
        }
        for line in [r#"""#, "'", r#""a"b"#, "'a'b", r#""a\"#, r#"a""""#, "\"a\0\""] {
            assert_eq!(split(line), None, "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_read_back(arguments: Vec<Vec<u8>>) {
            let mut line = Vec::new();
            for argument in &arguments {
                quote(argument, &mut line);
                line.push(b' ');
            }
            prop_assert_eq!(split_args(&line), Some(arguments));
        }

        #[test]
        fn no_line_panics(line in "[ab\"'\\\\x0 \0\n]{0,20}") {
            split_args(line.as_bytes());
        }
    }
}
