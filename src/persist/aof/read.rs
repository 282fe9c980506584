//! Finds the requests in a part of the append-only log again.
//!
//! ```text
//!   *3 $3 SET $1 a $1 1 | #TS:1700000000 | *1 $5 MULTI | … | *1 $4 EXEC | *2 $3 GE        torn: `valid_len` is where GE began,
//!                                                                                     or MULTI where its EXEC is missing
//! ```
//!
//! A file that ends within a request is torn, and may be cut; bytes that no server writes are corrupt, and are not. Memory is bounded by
//! the file: a length that the file cannot hold is refused before anything is reserved for it.

use std::fmt;
use std::io::{self, Read};

use crate::resp::request::{Request, Span};
use crate::util::number::parse_i64;

/// Bounds of what a request may claim; memory is only taken for what is really read.
const ARGUMENTS_MAX: i64 = i32::MAX as i64;
const BULK_MAX: i64 = u32::MAX as i64;
const CHUNK: usize = 256 * 1024;
/// Longest header or annotation line.
const LINE_MAX: usize = 128;

/// What comes next.
pub enum Next<'a> {
    Request(Request<'a>),
    /// `#TS:` and the Unix time in seconds, from `aof-timestamp-enabled`.
    Timestamp(i64),
    /// The file ends here, between requests.
    End,
}

/// Why a file cannot be read on.
#[derive(Debug)]
pub enum ReadError {
    /// It ends within a request.
    Torn,
    /// At `offset` stands what no server writes.
    Corrupt {
        offset: u64,
        reason: &'static str,
    },
    Io(io::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Torn => out.write_str("the file ends within a request"),
            ReadError::Corrupt { offset, reason } => write!(out, "{reason} at offset {offset}"),
            ReadError::Io(error) => error.fmt(out),
        }
    }
}

/// A part's bytes, a chunk at a time.
pub struct Requests<R> {
    source: R,
    buffer: Vec<u8>,
    /// Where in `buffer` the next request begins.
    at: usize,
    /// Offset in the file of `buffer[0]`.
    buffer_offset: u64,
    spans: Vec<Span>,
    ended: bool,
}

impl<R: Read> Requests<R> {
    /// `offset` is where `source` stands in its file.
    pub fn new(source: R, offset: u64) -> Self {
        Self { source, buffer: Vec::new(), at: 0, buffer_offset: offset, spans: Vec::new(), ended: false }
    }

    /// Where the next request begins: everything before was read.
    pub fn offset(&self) -> u64 {
        self.buffer_offset + self.at as u64
    }

    /// The next request. After an error `offset` is where the trouble's request began.
    #[expect(clippy::should_implement_trait, reason = "it lends what it holds")]
    pub fn next(&mut self) -> Result<Next<'_>, ReadError> {
        self.drop_used();
        if !self.reach(self.at)? {
            return Ok(Next::End);
        }
        let start = self.at;
        let first = self.buffer[start];
        match first {
            b'#' => self.annotation(start),
            b'*' => self.request(start),
            0 if self.is_zero_from(start)? => Err(ReadError::Torn),
            _ => Err(self.corrupt(start, "Bad file format: a request begins with '*'")),
        }
    }

    /// A file system that lost power may have the file's length and not its last bytes: they read as zeros.
    fn is_zero_from(&mut self, start: usize) -> Result<bool, ReadError> {
        let mut at = start;
        while self.reach(at)? {
            if self.buffer[at..].iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            at = self.buffer.len();
        }
        Ok(true)
    }

    fn annotation(&mut self, start: usize) -> Result<Next<'_>, ReadError> {
        let (line, end) = self.line(start)?;
        let seconds = self.buffer[line.clone()].strip_prefix(b"#TS:").map(|digits| parse_i64(digits).unwrap_or(-1));
        self.at = end;
        match seconds {
            Some(seconds) if seconds >= 0 => Ok(Next::Timestamp(seconds)),
            Some(_) => {
                self.at = start;
                Err(self.corrupt(start, "Invalid timestamp annotation"))
            }
            // An annotation of a kind to come is passed over.
            None => self.next(),
        }
    }

    fn request(&mut self, start: usize) -> Result<Next<'_>, ReadError> {
        self.spans.clear();
        let (line, mut at) = self.line(start)?;
        let count = parse_i64(&self.buffer[line.start + 1..line.end]);
        let Some(count) = count.filter(|count| (1..=ARGUMENTS_MAX).contains(count)) else {
            return Err(self.corrupt(start, "Bad file format: number of arguments"));
        };
        for _ in 0..count {
            let (line, behind) = self.line(at)?;
            let header = &self.buffer[line.clone()];
            let len = header.strip_prefix(b"$").and_then(parse_i64).filter(|len| (0..=BULK_MAX).contains(len));
            let Some(len) = len else { return Err(self.corrupt(line.start, "Bad file format: length of an argument")) };
            let end = behind + len as usize;
            if !self.reach(end + 1)? {
                return Err(ReadError::Torn);
            }
            if self.buffer[end..end + 2] != *b"\r\n" {
                return Err(self.corrupt(end, "Bad file format: an argument without its end"));
            }
            // Spans count from the request's first byte; a request is bounded by what its arguments may be, which fits.
            let Ok(place) = u32::try_from(behind - start) else {
                return Err(self.corrupt(start, "Bad file format: a request of more than 4 GB"));
            };
            self.spans.push(Span { start: place, len: len as u32 });
            at = end + 2;
        }
        self.at = at;
        Ok(Next::Request(Request::new(&self.buffer[start..at], &self.spans)))
    }

    /// The line at `start` without its end, and what lies behind it. A file may have it end with a bare newline, as Redis lets it.
    fn line(&mut self, start: usize) -> Result<(std::ops::Range<usize>, usize), ReadError> {
        let mut looked = start;
        loop {
            let until = self.buffer.len().min(start + LINE_MAX);
            if let Some(found) = memchr::memchr(b'\n', &self.buffer[looked.min(until)..until]) {
                let newline = looked + found;
                let end = if newline > start && self.buffer[newline - 1] == b'\r' { newline - 1 } else { newline };
                return Ok((start..end, newline + 1));
            }
            if until == start + LINE_MAX {
                return Err(self.corrupt(start, "Bad file format: a line without an end"));
            }
            looked = until.max(start);
            if !self.reach(self.buffer.len())? {
                return self.torn_line(start);
            }
        }
    }

    /// What is left of a line must at least be the beginning of one; a tail of other bytes was not torn but spoilt.
    fn torn_line(&self, start: usize) -> Result<(std::ops::Range<usize>, usize), ReadError> {
        let rest = &self.buffer[start..];
        match rest.first() {
            Some(b'#') => Err(ReadError::Torn),
            Some(b'*' | b'$') if rest[1..].iter().all(|byte| byte.is_ascii_digit() || *byte == b'\r') => {
                Err(ReadError::Torn)
            }
            None => Err(ReadError::Torn),
            Some(_) => Err(self.corrupt(start, "Bad file format: neither a length nor a request")),
        }
    }

    fn corrupt(&self, at: usize, reason: &'static str) -> ReadError {
        ReadError::Corrupt { offset: self.buffer_offset + at as u64, reason }
    }

    /// Has the byte at `index` read; false where the file ends before it.
    fn reach(&mut self, index: usize) -> Result<bool, ReadError> {
        while index >= self.buffer.len() && !self.ended {
            self.read_chunk()?;
        }
        Ok(index < self.buffer.len())
    }

    fn read_chunk(&mut self) -> Result<(), ReadError> {
        let count = (&mut self.source).take(CHUNK as u64).read_to_end(&mut self.buffer).map_err(ReadError::Io)?;
        self.ended = count == 0;
        Ok(())
    }

    fn drop_used(&mut self) {
        if self.at >= CHUNK / 2 || self.at == self.buffer.len() {
            self.buffer_offset += self.at as u64;
            self.buffer.drain(..self.at);
            self.at = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything in `bytes`, read `step` bytes at a time: requests as words, how it ended, and where.
    fn read(bytes: &[u8], step: usize) -> (Vec<String>, String, u64) {
        struct Slow<'a>(&'a [u8], usize);
        impl Read for Slow<'_> {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                let count = self.1.min(out.len());
                (&mut self.0).take(count as u64).read(out)
            }
        }
        let mut requests = Requests::new(Slow(bytes, step), 0);
        let mut found = Vec::new();
        let end = loop {
            match requests.next() {
                Ok(Next::Request(request)) => {
                    let words: Vec<_> = request.iter().map(String::from_utf8_lossy).collect();
                    found.push(words.join(" "));
                }
                Ok(Next::Timestamp(seconds)) => found.push(format!("at {seconds}")),
                Ok(Next::End) => break "end".into(),
                Err(error) => break error.to_string(),
            }
        };
        (found, end, requests.offset())
    }

    const WHOLE: &[u8] = b"#TS:1700000000\r\n*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$3\r\n\r\n\0\r\n*1\n$1\nx\r\n";

    #[test]
    fn what_was_written_is_found_however_it_arrives() {
        for step in [1, 2, 7, 1000] {
            let (found, end, offset) = read(WHOLE, step);
            assert_eq!(found, ["at 1700000000", "PING", "GET \r\n\0", "x"]);
            assert_eq!((end.as_str(), offset), ("end", WHOLE.len() as u64));
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_torn_at_the_last_whole_request() {
        let ends = [0, 16, 30, 52, WHOLE.len()];
        for len in 0..WHOLE.len() {
            let (_, end, offset) = read(&WHOLE[..len], 3);
            let whole = *ends.iter().rfind(|&&end| end <= len).expect("0 is an end");
            assert_eq!(offset, whole as u64, "cut at {len}");
            assert_eq!(end == "end", whole == len, "cut at {len}: {end}");
            assert!(!end.contains("Bad"), "cut at {len}: {end}");
        }
        let zeros = [WHOLE, &[0; 5000]].concat();
        assert_eq!(read(&zeros, 1000).1, "the file ends within a request");
    }

    #[test]
    fn what_no_server_writes_is_corrupt() {
        for (bytes, reason) in [
            (&b"PING\r\n"[..], "Bad file format: a request begins with '*' at offset 0"),
            (b"*0\r\n", "Bad file format: number of arguments at offset 0"),
            (b"*-1\r\n", "Bad file format: number of arguments at offset 0"),
            (b"*1\r\n:1\r\n", "Bad file format: length of an argument at offset 4"),
            (b"*1\r\n$-1\r\n", "Bad file format: length of an argument at offset 4"),
            (b"*1\r\n$1\r\nxyz", "Bad file format: an argument without its end at offset 9"),
            (b"#TS:x\r\n", "Invalid timestamp annotation at offset 0"),
            (b"\0\0\0x", "Bad file format: a request begins with '*' at offset 0"),
            (b"*1x", "Bad file format: neither a length nor a request at offset 0"),
            (b"*1\r\n$99999999999\r\n", "Bad file format: length of an argument at offset 4"),
            (b"*1\r\n$4000000000\r\nx", "the file ends within a request"),
        ] {
            assert_eq!(read(bytes, 1000).1, reason, "{}", String::from_utf8_lossy(bytes));
        }
        let endless = [b"*".as_slice(), &[b'1'; 200]].concat();
        assert_eq!(read(&endless, 1000).1, "Bad file format: a line without an end at offset 0");
    }
}
