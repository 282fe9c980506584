//! The ACL file: a `user` line for each user, read as a whole or not at all.
//!
//! Words are divided by single spaces and nothing else, as in Redis. Errors name the file and the line.

use std::path::Path;
use std::sync::Arc;

use super::rules::{RuleError, has_space_or_nul, join_selectors};
use super::{Acl, User, Users};
use crate::server::host::Host;
use crate::util::io_error;

const NOTHING_CHANGED: &str =
    "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";

/// The users of a file.
pub fn read(path: &Path, host: &dyn Host, all_channels: bool) -> Result<Users, String> {
    let text = host.read(path).map_err(|error| {
        format!("Error loading ACLs, opening file '{}': {}", path.display(), io_error::reason(&error))
    })?;
    parse(&text, &path.display().to_string(), all_channels)
}

/// The users in a file's text; all that is wrong with it where anything is.
fn parse(text: &[u8], name: &str, all_channels: bool) -> Result<Users, String> {
    let (mut users, mut errors) = (Users::new(), String::new());
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = trimmed(line);
        if !line.is_empty() {
            parse_line(line, &format!("{name}:{}", index + 1), index + 1, all_channels, &mut users, &mut errors);
        }
    }
    if errors.is_empty() { Ok(users) } else { Err(errors + NOTHING_CHANGED) }
}

fn trimmed(line: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| b" \t\r\n".contains(byte);
    let start = line.iter().position(|byte| !is_space(byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &line[start..end]
}

fn parse_line(line: &[u8], place: &str, number: usize, all_channels: bool, users: &mut Users, errors: &mut String) {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(b"user"), Some(name)) = (words.next(), words.next()) else {
        return errors.push_str(&format!("{place} should start with user keyword followed by the username. "));
    };
    let shown = String::from_utf8_lossy(name);
    if has_space_or_nul(name) {
        return errors.push_str(&format!("{place}: username '{shown}' contains invalid characters. "));
    }
    if users.contains_key(name) {
        return errors.push_str(&format!("WARNING: Duplicate user '{shown}' found on line {number}. "));
    }
    let Ok(rules) = join_selectors(words) else {
        return errors.push_str(&format!("{place}: Unmatched parenthesis in selector definition."));
    };
    let mut user = User::new(name, all_channels);
    let mut is_first = true;
    for rule in rules {
        match user.apply(&rule, all_channels) {
            Ok(()) => {}
            // A command's name is no secret, and one line may have several that do not exist.
            Err(error @ RuleError::Unknown) => {
                let rule = String::from_utf8_lossy(&rule);
                errors.push_str(&format!("{place}: Error in applying operation '{rule}': {error}. "));
            }
            Err(error) if std::mem::take(&mut is_first) => errors.push_str(&format!("{place}: {error}. ")),
            // Others may only follow from the first.
            Err(_) => {}
        }
    }
    users.insert(name.into(), Arc::new(user));
}

/// The text of the file that makes the same users again.
pub fn text(acl: &Acl) -> Vec<u8> {
    acl.users().flat_map(|user| [user.line(), b"\n".to_vec()].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> String {
        parse(text.as_bytes(), "f", false).map_or_else(|errors| errors, |_| String::new())
    }

    #[test]
    fn every_line_that_is_wrong_is_named() {
        for (text, expected) in [
            ("user a on ~x +get\n\n \t\r\nuser b\n", ""),
            ("user a\nuser a\n", "WARNING: Duplicate user 'a' found on line 2. "),
            ("# none\n", "f:1 should start with user keyword followed by the username. "),
            ("user\n", "f:1 should start with user keyword followed by the username. "),
            (
                "user a +nosuch foo -@none bar\n",
                "f:1: Error in applying operation '+nosuch': Unknown command or category name in ACL. \
               f:1: Syntax error. f:1: Error in applying operation '-@none': Unknown command or category name in ACL. ",
            ),
            ("user a (+get\n", "f:1: Unmatched parenthesis in selector definition."),
            ("\nuser a\0b on\n", "f:2: username 'a\0b' contains invalid characters. "),
        ] {
            let expected = if expected.is_empty() { String::new() } else { [expected, NOTHING_CHANGED].concat() };
            assert_eq!(errors(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_saved_file_loads() {
        let users =
            parse(b"user a on >p ~x %R~y &c +get (~z -@all +@read)\nuser default on nopass ~* +@all\n", "f", false)
                .expect("a sound file");
        let lines: Vec<u8> = users.values().flat_map(|user| [user.line(), b"\n".to_vec()].concat()).collect();
        assert_eq!(parse(&lines, "f", true).expect("a sound file"), users);
    }
}
