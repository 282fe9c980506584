//! What is said before the stream: who this server is, what it understands, and how much of the history it has.

use super::{Server, Stage};
use crate::resp::request::{write_bulk, write_header};

/// What the primary was asked last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Question {
    Ping,
    Auth,
    Port,
    Address,
    Capabilities,
    Version,
    History,
}

/// Valkey writes its snapshot so that a Valkey of this version can read it, which holds for this server. Others do not want to know.
const READS_LIKE_VALKEY: &str = "9.0.0";

/// An answer is a line, and none is longer.
const LINE_MAX: usize = 4096;

/// A line without its end, and how many bytes it takes with it; nothing while the end has not come.
pub(super) fn line(input: &[u8]) -> Result<Option<(&[u8], usize)>, String> {
    match memchr::memchr(b'\n', &input[..input.len().min(LINE_MAX)]) {
        Some(end) => Ok(Some((input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]), end + 1))),
        None if input.len() >= LINE_MAX => Err("it answers with an endless line".into()),
        None => Ok(None),
    }
}

impl Server {
    /// Asks the question, or the next that there is cause for.
    pub(super) fn ask(&mut self, question: Question) {
        let config = &self.config;
        let port = match config.replica_announce_port {
            0 if config.tls_replication && config.tls_port != 0 => config.tls_port,
            0 => self.tcp_port(),
            announced => announced,
        };
        let (port, offset) = (port.to_string(), (self.replication_offset() + 1).to_string());
        let has_history = self.replication_backlog().is_some();
        let words: Vec<&[u8]> = match question {
            Question::Ping => vec![b"PING"],
            Question::Auth if config.masterauth.is_empty() => return self.ask(Question::Port),
            Question::Auth if config.masteruser.is_empty() => vec![b"AUTH", &config.masterauth],
            Question::Auth => vec![b"AUTH", &config.masteruser, &config.masterauth],
            Question::Port => vec![b"REPLCONF", b"listening-port", port.as_bytes()],
            Question::Address if config.replica_announce_ip.is_empty() => return self.ask(Question::Capabilities),
            Question::Address => vec![b"REPLCONF", b"ip-address", &config.replica_announce_ip],
            Question::Capabilities => vec![b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"],
            Question::Version => vec![b"REPLCONF", b"version", READS_LIKE_VALKEY.as_bytes()],
            Question::History if has_history => vec![b"PSYNC", self.replication_id.as_bytes(), offset.as_bytes()],
            Question::History => vec![b"PSYNC", b"?", b"-1"],
        };
        let mut request = Vec::new();
        write_header(&mut request, words.len());
        words.iter().for_each(|word| write_bulk(&mut request, word));
        if question == Question::History && has_history {
            tracing::info!("Trying a partial resynchronization (request {}:{offset}).", self.replication_id);
        }
        self.say_to_primary(&request);
        if let Some(primary) = &mut self.primary {
            primary.stage = Stage::Asking(question);
        }
    }

    /// Takes the answer to a question; how many bytes it had.
    pub(super) fn hear_answer(&mut self, question: Question, input: &[u8]) -> Result<usize, String> {
        let Some((answer, bytes)) = line(input)? else { return Ok(0) };
        if answer.is_empty() {
            // It is busy, and there.
            return Ok(bytes);
        }
        let (text, refused) = (String::from_utf8_lossy(answer), answer.starts_with(b"-"));
        match question {
            Question::Ping => {
                let wants_password =
                    ["-NOAUTH", "-NOPERM", "-ERR operation not permitted"].iter().any(|word| text.starts_with(word));
                if refused && !wants_password {
                    return Err(format!("Error reply to PING from master: '{text}'"));
                }
                self.ask(Question::Auth);
            }
            Question::Auth if refused => return Err(format!("Unable to AUTH to MASTER: {text}")),
            Question::Auth => self.ask(Question::Port),
            Question::Port => self.ask_on(refused, "listening-port", &text, Question::Address),
            Question::Address => self.ask_on(refused, "ip-address", &text, Question::Capabilities),
            Question::Capabilities => self.ask_on(refused, "capa", &text, Question::Version),
            Question::Version => self.ask(Question::History),
            Question::History => self.hear_of_history(&text)?,
        }
        Ok(bytes)
    }

    /// A primary may be too old for what it is told.
    fn ask_on(&mut self, refused: bool, told: &str, answer: &str, next: Question) {
        if refused {
            tracing::info!("(Non critical) Master does not understand REPLCONF {told}: {answer}");
        }
        self.ask(next);
    }

    fn hear_of_history(&mut self, answer: &str) -> Result<(), String> {
        let mut words = answer.split_ascii_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("+FULLRESYNC"), Some(history), Some(offset)) if is_history(history) => {
                let offset = offset.parse().map_err(|_| format!("it answers PSYNC with '{answer}'"))?;
                tracing::info!("Full resync from master: {history}:{offset}");
                self.begin_receiving(history.to_owned(), offset);
                Ok(())
            }
            (Some("+CONTINUE"), history, None)
                if history.is_none_or(is_history) && self.replication_backlog().is_some() =>
            {
                tracing::info!("Successful partial resynchronization with master.");
                if let Some(history) = history.filter(|history| *history != self.replication_id) {
                    tracing::info!("Master replication ID changed to {history}");
                    self.follow_branch(history.to_owned());
                }
                let db = self.primary.as_ref().map_or(0, |primary| primary.db);
                self.begin_stream(db);
                Ok(())
            }
            _ => Err(format!("it answers PSYNC with '{answer}'")),
        }
    }

    /// The stream comes from here on, and speaks of this database first.
    pub(super) fn begin_stream(&mut self, db: usize) {
        let now_us = self.clock.monotonic_us;
        let Some(primary) = &mut self.primary else { return };
        primary.stage = Stage::Online;
        primary.attempts = 0;
        primary.apart_us += primary.lost_us.take().map_or(0, |lost_us| now_us.saturating_sub(lost_us));
        if let Some(link) = primary.link {
            self.sessions.get_mut(link).db = db;
        }
        self.keyspace.stream_db = Some(db);
        // It learns at once that the stream is heard.
        self.acknowledge_to_primary();
    }
}

/// 40 hexadecimal digits.
fn is_history(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
