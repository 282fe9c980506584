//! MIGRATE without a socket: arguments, what is sent, and what is done with the answers. `tests/it/migrate.rs` has real servers.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::server::host::{Facts, Host};
use crate::server::lines::Line;
use crate::testing::{Playground, check};

/// What the other server says, and what it was told.
#[derive(Clone, Default)]
struct Other {
    answers: Arc<Mutex<Vec<&'static str>>>,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Line for Other {
    fn write(&mut self, bytes: &[u8], _: u64) -> io::Result<()> {
        self.heard.lock().expect("one thread").extend_from_slice(bytes);
        Ok(())
    }

    fn read_line(&mut self, _: u64) -> io::Result<Vec<u8>> {
        let mut answers = self.answers.lock().expect("one thread");
        if answers.is_empty() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match answers.remove(0) {
            "closed" => Err(io::ErrorKind::UnexpectedEof.into()),
            answer => Ok(answer.into()),
        }
    }
}

impl Host for Other {
    fn facts(&self) -> Facts {
        Facts::default()
    }

    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn replace(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn sleep(&self, _: u64) {}

    fn dial(&self, host: &str, _: u16, _: u64) -> io::Result<Box<dyn Line>> {
        match host {
            "nobody" => Err(io::ErrorKind::ConnectionRefused.into()),
            "nowhere" => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(Box::new(self.clone())),
        }
    }
}

struct Pair {
    playground: Playground,
    other: Other,
}

impl Pair {
    fn new() -> Self {
        let (mut playground, other) = (Playground::default(), Other::default());
        playground.server.host = Box::new(other.clone());
        for line in ["SET k v", "RPUSH l a"] {
            playground.run("", line.split(' '));
        }
        Self { playground, other }
    }

    /// The answer to one line while the other server gives these answers.
    fn says(&mut self, line: &str, answers: &[&'static str]) -> String {
        self.other.heard.lock().expect("one thread").clear();
        *self.other.answers.lock().expect("one thread") = answers.to_vec();
        let words = line.split(' ').map(|word| if word == "''" { "" } else { word });
        String::from_utf8_lossy(&self.playground.run("", words)).trim_end().to_owned()
    }

    /// Names of the commands that the other server was sent, with their first argument.
    fn heard(&self) -> String {
        let heard = self.other.heard.lock().expect("one thread").clone();
        let text = String::from_utf8_lossy(&heard).into_owned();
        let lines: Vec<&str> = text.split("\r\n").collect();
        let starts = (0..lines.len()).filter(|&at| lines[at].starts_with('*') && lines.len() > at + 4);
        starts.map(|at| format!("{} {}", lines[at + 2], lines[at + 4])).collect::<Vec<_>>().join(", ")
    }
}

#[test]
fn a_key_goes_and_a_copy_stays() {
    let mut pair = Pair::new();
    assert_eq!(pair.says("MIGRATE there 1 k 3 100 COPY", &["+OK", "+OK"]), "+OK");
    assert_eq!(pair.heard(), "SELECT 3, RESTORE k");
    assert_eq!(pair.says("MIGRATE there 1 '' 3 100 REPLACE KEYS k none l", &["+OK", "+OK"]), "+OK");
    assert_eq!(pair.heard(), "RESTORE k, RESTORE l");
    assert_eq!(pair.says("EXISTS k l", &[]), ":0");
    assert_eq!(pair.says("MIGRATE there 1 k 3 100", &[]), "+NOKEY");
}

#[test]
fn only_what_has_arrived_is_removed() {
    let mut pair = Pair::new();
    let line = "MIGRATE there 1 '' 0 100 KEYS k l";
    assert_eq!(pair.says(line, &["+OK", "-BUSYKEY x", "+OK"]), "-ERR Target instance replied with error: BUSYKEY x");
    assert_eq!(pair.says("EXISTS k l", &[]), ":1");
    // The database is selected anew after an error; then the answer to the key never comes.
    assert_eq!(pair.says(line, &["+OK"]), "-IOERR error or timeout reading to target instance");
    assert_eq!(pair.says("EXISTS k", &[]), ":1");
}

#[test]
fn whoever_is_not_let_in_keeps_the_keys() {
    let mut pair = Pair::new();
    let refused = pair.says("MIGRATE there 1 k 0 100 AUTH2 me secret", &["-WRONGPASS", "+OK", "+OK"]);
    assert_eq!(refused, "-ERR Target instance replied with error: WRONGPASS");
    assert_eq!(pair.heard(), "AUTH me, SELECT 0, RESTORE k");
    assert_eq!(pair.says("EXISTS k", &[]), ":1");
    assert_eq!(pair.says("MIGRATE nowhere 1 k 0 100", &[]), "-IOERR error or timeout connecting to the client");
    assert_eq!(pair.says("MIGRATE nobody 1 k 0 100", &[]), "-IOERR error or timeout writing to target instance");
}

#[test]
fn a_line_that_was_closed_meanwhile_is_opened_again() {
    let mut pair = Pair::new();
    assert_eq!(pair.says("MIGRATE there 1 k 0 100 COPY", &["+OK", "+OK"]), "+OK");
    assert_eq!(pair.says("MIGRATE there 1 k 0 100", &["closed", "+OK", "+OK"]), "+OK");
    pair.says("SET k v", &[]);
    // A line that is new is not tried twice.
    pair.playground.advance(11_000);
    let lost = pair.says("MIGRATE there 1 k 0 100", &["closed", "+OK", "+OK"]);
    assert_eq!(lost, "-IOERR error or timeout reading to target instance");
}

#[test]
fn arguments() {
    check(
        r#"
        > MIGRATE a b c d e
        (error) ERR value is not an integer or out of range
        > MIGRATE h 1 none 0 100
        NOKEY
        > MIGRATE h 1 k 0 100 FOO
        (error) ERR syntax error
        > MIGRATE h 1 k 0 100 AUTH
        (error) ERR syntax error
        > MIGRATE h 1 k 0 100 AUTH2 a
        (error) ERR syntax error
        > MIGRATE h 1 k 0 100 KEYS a
        (error) ERR When using MIGRATE KEYS option, the key argument must be set to the empty string
        > MIGRATE h 1 "" 0 100 KEYS
        NOKEY
        > COMMAND GETKEYS MIGRATE h 1 "" 0 100 KEYS a b
        1) "a"
        2) "b"
        "#,
    );
}
