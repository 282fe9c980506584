//! Users as the rules that make them: ACL LIST, ACL GETUSER, CONFIG REWRITE and ACL SAVE show them.
//!
//! The order and the words are Redis's, so that the text can be compared and read back by either server.

use super::User;
use super::permissions::{KeyPattern, Permissions};
use crate::cmd::keyspec::Needs;

impl User {
    /// Everything but the name, in one line.
    pub fn describe(&self) -> Vec<u8> {
        let mut line = self.flags().join(" ").into_bytes();
        for password in &self.passwords {
            line.extend_from_slice(b" #");
            line.extend_from_slice(&password.0);
        }
        line.push(b' ');
        line.extend(self.root.describe());
        for selector in &self.selectors {
            line.extend_from_slice(b" (");
            line.extend(selector.describe());
            line.push(b')');
        }
        line
    }

    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.enabled { "on" } else { "off" }];
        if self.nopass {
            flags.push("nopass");
        }
        flags.push(if self.skips_sanitizing { "skip-sanitize-payload" } else { "sanitize-payload" });
        flags
    }

    /// The line of an ACL file.
    pub fn line(&self) -> Vec<u8> {
        [b"user ", &*self.name, b" ", &self.describe()].concat()
    }
}

impl Permissions {
    fn describe(&self) -> Vec<u8> {
        let mut line = self.describe_keys();
        if !line.is_empty() {
            line.push(b' ');
        }
        if !self.channels.all {
            line.extend_from_slice(b"resetchannels ");
        }
        let channels = self.describe_channels();
        if !channels.is_empty() {
            line.extend(channels);
            line.push(b' ');
        }
        line.extend_from_slice(self.describe_commands().as_bytes());
        line
    }

    pub fn describe_keys(&self) -> Vec<u8> {
        if self.keys.all {
            return b"~*".to_vec();
        }
        self.keys.patterns.iter().map(described_key).collect::<Vec<_>>().join(&b' ')
    }

    pub fn describe_channels(&self) -> Vec<u8> {
        if self.channels.all {
            return b"&*".to_vec();
        }
        let described: Vec<_> = self.channels.patterns.iter().map(|one| [b"&", one.text()].concat()).collect();
        described.join(&b' ')
    }

    pub fn describe_commands(&self) -> String {
        let mut text = String::from(if self.commands.begins_with_all { "+@all" } else { "-@all" });
        for rule in &self.commands.rules {
            text.push_str(if rule.allow { " +" } else { " -" });
            text.push_str(&String::from_utf8_lossy(&rule.name));
        }
        text
    }
}

fn described_key(one: &KeyPattern) -> Vec<u8> {
    let mark: &[u8] = match one.granted {
        Needs::READ => b"%R~",
        Needs::WRITE => b"%W~",
        _ => b"~",
    };
    [mark, one.pattern.text()].concat()
}
