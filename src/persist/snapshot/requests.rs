//! A base as requests: the thread reads the snapshot that comes over the channel and writes out what makes each of its records.
//!
//! So the loop does the same whatever is wanted of the file, and what takes long, naming everything, is done here, record by record.

use std::io::{self, Read};

use super::{AsRequests, Broken, Inbox, Message, Paced, Plan, Written};
use crate::persist::aof::commands::Requests;
use crate::persist::rdb::CHECKSUM_BYTES;
use crate::persist::rdb::read::{Event, Options, Reader};
use crate::types::codec::Chunk;

/// Reads to the end.
pub(super) fn write<'a>(plan: &Plan, how: &AsRequests, inbox: Inbox<'_>, file: Paced<'a>) -> Written<'a> {
    let mut was_given_up = false;
    let mut requests = Requests::new(file);
    if how.has_time {
        requests.time(plan.now_ms / 1000);
    }
    let stream = Stream { inbox, piece: Piece::default(), was_given_up: &mut was_given_up };
    let options = Options { limits: how.limits, checksums: false, any_version: false };
    let written = translate(stream, options, &mut requests);
    if was_given_up {
        return None;
    }
    let bytes = requests.bytes();
    Some(match written {
        Ok(()) => Ok((requests.into_output(), bytes)),
        Err(error) => Err(Broken { call: requests.output().call, error, offset: bytes }),
    })
}

fn translate(stream: Stream<'_>, options: Options, requests: &mut Requests<Paced<'_>>) -> io::Result<()> {
    let mut reader = Reader::new(stream, u64::MAX, options).map_err(io::Error::other)?;
    loop {
        match reader.next_event().map_err(io::Error::other)? {
            Event::Record(record, _) => requests.record(record.borrow()),
            Event::Function(source) => requests.function(&source),
            Event::Database(db) => requests.database(db),
            Event::Aux { .. } | Event::Sizes { .. } | Event::Empty | Event::Module(_) => {}
            Event::End => return requests.flush(),
        }
        requests.check()?;
    }
}

/// What comes over the channel, as the file that it would have made.
struct Stream<'a> {
    inbox: Inbox<'a>,
    piece: Piece,
    was_given_up: &'a mut bool,
}

/// What is being read.
#[derive(Default)]
struct Piece {
    /// The length that stands before a text.
    head: Chunk,
    message: Option<Message>,
    /// Bytes of both that were read.
    at: usize,
}

impl Piece {
    fn of(message: Message) -> Self {
        let mut head = Chunk::new(false);
        match &message {
            Message::Chunk(_) => {}
            Message::Blob(blob) => head.length(blob.as_ref().len() as u64),
            Message::End => head.raw(&[0; CHECKSUM_BYTES]),
        }
        Self { head, message: Some(message), at: 0 }
    }

    fn rest(&self) -> &[u8] {
        let body = match &self.message {
            Some(Message::Chunk(chunk)) => chunk.bytes(),
            Some(Message::Blob(blob)) => blob.as_ref(),
            Some(Message::End) | None => &[],
        };
        match self.head.bytes().get(self.at..) {
            Some(head) if !head.is_empty() => head,
            _ => &body[self.at - self.head.len()..],
        }
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.rest().is_empty() {
            if let Some(message) = std::mem::take(&mut self.piece).message {
                let bytes = message.weight();
                let is_end = matches!(message, Message::End);
                drop(message);
                self.inbox.done(bytes);
                if is_end {
                    return Ok(0);
                }
            }
            let Some(message) = self.inbox.next() else {
                *self.was_given_up = true;
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            self.piece = Piece::of(message);
        }
        let rest = self.piece.rest();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.piece.at += count;
        Ok(count)
    }
}
