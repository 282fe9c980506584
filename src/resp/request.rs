//! Finds commands in a connection's input: resumable at every byte, in place, bounded.
//!
//! The parser keeps what it has learned of an incomplete command, so no byte is looked at twice however the input arrives. It
//! hands out spans relative to the command's first byte; the input buffer belongs to the caller and may move.

use memchr::memchr2;

use crate::util::number::IntegerText;

/// Longest line that may introduce a frame, and longest inline command (bytes).
const LINE_MAX: usize = 64 * 1024;
/// Before authentication a client may send this many arguments of this many bytes.
const UNAUTHENTICATED_ARGUMENTS_MAX: i64 = 10;
const UNAUTHENTICATED_BULK_MAX: i64 = 16_384;

/// An argument's place, counted from the command's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: u32,
    pub len: u32,
}

/// `$`, and two line ends: what an argument's frame takes beside its length's digits.
const FRAME_BYTES: usize = 5;

/// Decimal digits of a number.
#[inline]
fn digits(number: u32) -> usize {
    if number < 10 { 1 } else { number.ilog10() as usize + 1 }
}

/// A complete command: its bytes, and where its arguments lie in them.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Request<'a> {
    pub fn new(bytes: &'a [u8], spans: &'a [Span]) -> Self {
        Self { bytes, spans }
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The argument at `index`; the command's name is at 0. Panics past the end, as a slice would.
    #[inline]
    pub fn arg(&self, index: usize) -> &'a [u8] {
        let span = self.spans[index];
        &self.bytes[span.start as usize..][..span.len as usize]
    }

    /// The argument at `index`, where there is one.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        let span = self.spans.get(index)?;
        Some(&self.bytes[span.start as usize..][..span.len as usize])
    }

    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
        let bytes = self.bytes;
        self.spans.iter().map(move |span| &bytes[span.start as usize..][..span.len as usize])
    }

    /// The arguments from `index` on, as a request of its own.
    pub fn skip(&self, index: usize) -> Request<'a> {
        Request { bytes: self.bytes, spans: &self.spans[index..] }
    }

    /// Bytes of the request as it came.
    #[inline]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of the request in its frame. O(arguments).
    pub fn framed_len(&self) -> usize {
        let head = FRAME_BYTES - 2 + digits(self.spans.len() as u32);
        self.spans.iter().fold(head, |len, span| len + FRAME_BYTES + span.len as usize + digits(span.len))
    }

    /// The request as it came, where a server that frames it anew would write the same bytes: where every length stands in as few digits
    /// as it needs, and nothing stands beside the frame.
    #[inline]
    pub fn framed(&self) -> Option<&'a [u8]> {
        let head = FRAME_BYTES - 2 + digits(self.spans.len() as u32);
        let len = self.framed_len();
        // A parser that passes over line ends unseen, as Redis's does, lets clients send anything in their place.
        let ends_line = |end: usize| self.bytes[end - 2..end] == *b"\r\n";
        let is_framed = self.bytes.len() == len
            && ends_line(head)
            && self.spans.iter().all(|span| {
                let start = span.start as usize;
                ends_line(start) && ends_line(start + span.len as usize + 2)
            });
        is_framed.then_some(self.bytes)
    }

    pub fn to_owned(&self) -> OwnedRequest {
        OwnedRequest::from_args(self.iter())
    }
}

/// A command that outlives its input: queued by MULTI, waiting for a key, or made by the server.
#[derive(Clone, Debug, Default)]
pub struct OwnedRequest {
    bytes: Box<[u8]>,
    spans: Box<[Span]>,
}

impl OwnedRequest {
    pub fn from_args<A: AsRef<[u8]>>(args: impl Iterator<Item = A> + Clone) -> Self {
        let mut bytes = Vec::with_capacity(args.clone().map(|arg| arg.as_ref().len()).sum());
        let spans = args
            .map(|arg| {
                let span = Span { start: bytes.len() as u32, len: arg.as_ref().len() as u32 };
                bytes.extend_from_slice(arg.as_ref());
                span
            })
            .collect();
        Self { bytes: bytes.into(), spans }
    }

    pub fn borrow(&self) -> Request<'_> {
        Request { bytes: &self.bytes, spans: &self.spans }
    }

    /// Bytes held, for the accounts of clients.
    pub fn memory(&self) -> usize {
        self.bytes.len() + self.spans.len() * size_of::<Span>()
    }
}

/// Writes the frame's head of a request with so many arguments, each to be written by `write_bulk`.
#[inline]
pub fn write_header(out: &mut Vec<u8>, arguments: usize) {
    write_length(out, b'*', arguments);
}

#[inline]
pub fn write_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    write_length(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

#[inline]
fn write_length(out: &mut Vec<u8>, kind: u8, len: usize) {
    out.push(kind);
    out.extend_from_slice(IntegerText::unsigned(len as u64).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// What a frame may be at most.
#[derive(Clone, Copy)]
pub struct Limits {
    pub bulk_max: u64,
    pub authenticated: bool,
}

/// What the parser found at the front of the input.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A command of this many bytes; its spans were appended.
    Complete {
        consumed: usize,
    },
    /// A line without framing, to be split by the rules of quoting; `consumed` includes the line's end.
    Inline {
        line_len: usize,
        consumed: usize,
    },
    /// Nothing to run in these bytes (an empty line, an empty array): skip them.
    Empty {
        consumed: usize,
    },
    Incomplete,
    /// The text goes out as `-ERR Protocol error: …`; then the connection ends.
    Error(Vec<u8>),
}

/// Where an incomplete command stands.
#[derive(Default)]
pub struct Parser {
    /// Arguments still to come; 0 means that no frame has begun.
    remaining: u32,
    /// Length of the bulk whose header has been read.
    bulk: Option<u32>,
    /// Bytes of this command already understood.
    position: usize,
    spans: Vec<Span>,
}

impl Parser {
    /// True between two commands: nothing of a further one has been understood yet.
    pub fn is_idle(&self) -> bool {
        self.remaining == 0
    }

    /// Bytes that the command in progress will need at least, where its current bulk is announced.
    pub fn bytes_expected(&self) -> usize {
        self.bulk.map_or(0, |len| self.position + len as usize + 2)
    }

    /// Memory the parser holds for an incomplete command.
    pub fn memory(&self) -> usize {
        self.spans.capacity() * size_of::<Span>()
    }

    /// Looks for one command at the front of `input`, which must begin where the last one ended (or begin with the same bytes
    /// as at the last, incomplete, call). A command's spans are appended to `spans`. O(bytes not yet looked at).
    pub fn parse(&mut self, input: &[u8], limits: &Limits, spans: &mut Vec<Span>) -> Parsed {
        if self.remaining == 0 {
            match input.first() {
                None => return Parsed::Incomplete,
                Some(b'*') => {}
                Some(_) => return parse_inline(input),
            }
            match self.parse_array_header(input, limits) {
                Ok(true) => {}
                Ok(false) => return std::mem::take(&mut self.position).then_empty(),
                Err(parsed) => return parsed,
            }
        }
        let before = spans.len();
        if self.spans.is_empty() {
            // The common case: the whole command is here, and its spans go straight to the caller.
            match self.parse_bulks(input, limits, spans) {
                Err(stopped) => {
                    self.spans.extend(spans.drain(before..));
                    stopped
                }
                Ok(()) => self.finish(),
            }
        } else {
            let mut own = std::mem::take(&mut self.spans);
            let result = self.parse_bulks(input, limits, &mut own);
            match result {
                Err(stopped) => {
                    self.spans = own;
                    stopped
                }
                Ok(()) => {
                    spans.append(&mut own);
                    self.finish()
                }
            }
        }
    }

    fn finish(&mut self) -> Parsed {
        Parsed::Complete { consumed: std::mem::take(&mut self.position) }
    }

    /// Reads `*N\r\n`. False for a frame of no arguments, whose bytes are counted in `position`.
    fn parse_array_header(&mut self, input: &[u8], limits: &Limits) -> Result<bool, Parsed> {
        let Some((count, consumed)) = parse_header(input, "too big mbulk count string")? else {
            return Err(Parsed::Incomplete);
        };
        let count = match count {
            Some(count) if count <= i64::from(i32::MAX) => count,
            _ => return Err(Parsed::Error("invalid multibulk length".into())),
        };
        if count > UNAUTHENTICATED_ARGUMENTS_MAX && !limits.authenticated {
            return Err(Parsed::Error("unauthenticated multibulk length".into()));
        }
        self.position = consumed;
        self.remaining = count.max(0) as u32;
        Ok(self.remaining > 0)
    }

    fn parse_bulks(&mut self, input: &[u8], limits: &Limits, spans: &mut Vec<Span>) -> Result<(), Parsed> {
        while self.remaining > 0 {
            let len = match self.bulk {
                Some(len) => len,
                None => self.parse_bulk_header(input, limits)?,
            };
            let start = self.position;
            let end = start + len as usize;
            if input.len() < end + 2 {
                self.bulk = Some(len);
                return Err(Parsed::Incomplete);
            }
            // The two bytes after a bulk are skipped unseen, as Redis skips them.
            let Ok(start) = u32::try_from(start) else {
                return Err(Parsed::Error("invalid bulk length".into()));
            };
            spans.push(Span { start, len });
            self.bulk = None;
            self.position = end + 2;
            self.remaining -= 1;
        }
        Ok(())
    }

    fn parse_bulk_header(&mut self, input: &[u8], limits: &Limits) -> Result<u32, Parsed> {
        let rest = &input[self.position..];
        // Lengths of one and two digits, complete: nearly all of them.
        match *rest {
            [b'$', ones @ b'0'..=b'9', b'\r', b'\n', ..] => {
                self.position += 4;
                return Ok(u32::from(ones - b'0'));
            }
            [b'$', tens @ b'1'..=b'9', ones @ b'0'..=b'9', b'\r', b'\n', ..] => {
                self.position += 5;
                return Ok(u32::from(tens - b'0') * 10 + u32::from(ones - b'0'));
            }
            [] => return Err(Parsed::Incomplete),
            _ => {}
        }
        if rest[0] != b'$' && line_end(b'\r', rest).is_some_and(|at| at + 1 < rest.len()) {
            let mut text = b"expected '$', got '".to_vec();
            text.extend([rest[0], b'\'']);
            return Err(Parsed::Error(text));
        }
        let Some((len, consumed)) = parse_header(rest, "too big bulk count string")? else {
            return Err(Parsed::Incomplete);
        };
        let len = match len {
            Some(len) if len >= 0 && len as u64 <= limits.bulk_max && len < i64::from(u32::MAX) => len,
            _ => return Err(Parsed::Error("invalid bulk length".into())),
        };
        if len > UNAUTHENTICATED_BULK_MAX && !limits.authenticated {
            return Err(Parsed::Error("unauthenticated bulk length".into()));
        }
        self.position += consumed;
        Ok(len as u32)
    }
}

trait ThenEmpty {
    fn then_empty(self) -> Parsed;
}

impl ThenEmpty for usize {
    fn then_empty(self) -> Parsed {
        Parsed::Empty { consumed: self }
    }
}

/// Reads the number between a type byte and `\r\n`: `None` while the line is incomplete, `Some(None)` where it is no number.
fn parse_header(input: &[u8], too_long: &str) -> Result<Option<(Option<i64>, usize)>, Parsed> {
    let Some(end) = line_end(b'\r', input) else {
        if input.len() > LINE_MAX {
            return Err(Parsed::Error(too_long.into()));
        }
        return Ok(None);
    };
    if input.len() < end + 2 {
        return Ok(None);
    }
    Ok(Some((crate::util::number::parse_i64(&input[1..end]), end + 2)))
}

/// Where the line ends. As in Redis nothing behind a NUL is looked at: such a line never ends and becomes too long at last.
/// O(`LINE_MAX`) in all, since a line without an end is refused beyond that.
fn line_end(end: u8, input: &[u8]) -> Option<usize> {
    memchr2(end, 0, input).filter(|&at| input[at] == end)
}

fn parse_inline(input: &[u8]) -> Parsed {
    let Some(newline) = line_end(b'\n', input) else {
        if input.len() > LINE_MAX {
            return Parsed::Error("too big inline request".into());
        }
        return Parsed::Incomplete;
    };
    let line_len = newline - usize::from(newline > 0 && input[newline - 1] == b'\r');
    Parsed::Inline { line_len, consumed: newline + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { bulk_max: 512 << 20, authenticated: true };

    fn encode(args: &[Vec<u8>]) -> Vec<u8> {
        let mut out = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
            out.extend_from_slice(arg);
            out.extend_from_slice(b"\r\n");
        }
        out
    }

    fn parse_once(input: &[u8], limits: &Limits) -> Parsed {
        Parser::default().parse(input, limits, &mut Vec::new())
    }

    #[test]
    fn only_the_usual_frame_is_taken_as_it_is() {
        for (bytes, is_usual) in [
            (&b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n"[..], true),
            (b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", true),
            (b"*2\r\n$3\r\nGETxx$1\r\na\r\n", false),
            (b"*2\r\n$3\r\nGET\r\n$1\r\naxx", false),
            (b"*2\rx$3\r\nGET\r\n$1\r\na\r\n", false),
            (b"*2\r\n$3\rxGET\r\n$1\r\na\r\n", false),
        ] {
            let mut spans = Vec::new();
            let parsed = Parser::default().parse(bytes, &LIMITS, &mut spans);
            assert_eq!(parsed, Parsed::Complete { consumed: bytes.len() });
            let request = Request::new(bytes, &spans);
            assert_eq!(request.framed().is_some(), is_usual, "{}", String::from_utf8_lossy(bytes));
            assert!(request.skip(1).framed().is_none() && request.to_owned().borrow().framed().is_none());
        }
    }

    #[test]
    fn refuses_what_redis_refuses_in_its_words() {
        let strict = Limits { bulk_max: 100, authenticated: false };
        let error = |input: &[u8], limits: &Limits| match parse_once(input, limits) {
            Parsed::Error(text) => String::from_utf8(text).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(error(b"*x\r\n", &LIMITS), "invalid multibulk length");
        assert_eq!(error(b"*2147483648\r\n", &LIMITS), "invalid multibulk length");
        assert_eq!(error(b"*11\r\n", &strict), "unauthenticated multibulk length");
        assert_eq!(error(b"*1\r\n$101\r\n", &strict), "invalid bulk length");
        assert_eq!(error(b"*1\r\n$-1\r\n", &LIMITS), "invalid bulk length");
        assert_eq!(error(b"*1\r\nfoo\r\n", &LIMITS), "expected '$', got 'f'");
        assert_eq!(error(&[b'*'; LINE_MAX + 2], &LIMITS), "too big mbulk count string");
        assert_eq!(error(&[b'x'; LINE_MAX + 2], &LIMITS), "too big inline request");
    }

    #[test]
    fn empty_frames_are_skipped() {
        assert_eq!(parse_once(b"*0\r\nrest", &LIMITS), Parsed::Empty { consumed: 4 });
        assert_eq!(parse_once(b"*-5\r\n", &LIMITS), Parsed::Empty { consumed: 5 });
        assert_eq!(parse_once(b"PING\r\n", &LIMITS), Parsed::Inline { line_len: 4, consumed: 6 });
        assert_eq!(parse_once(b"\r\n", &LIMITS), Parsed::Inline { line_len: 0, consumed: 2 });
    }

    proptest! {
        #[test]
        fn finds_the_same_commands_however_the_bytes_arrive(
            commands in prop::collection::vec(
                prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..8), 1..6),
            cuts in prop::collection::vec(1..40usize, 1..50),
        ) {
            let stream: Vec<u8> = commands.iter().flat_map(|args| encode(args)).collect();
            let (mut parser, mut start, mut end) = (Parser::default(), 0, 0);
            let mut found: Vec<Vec<Vec<u8>>> = Vec::new();
            let mut cuts = cuts.iter().cycle();
            while start < stream.len() {
                let mut spans = Vec::new();
                match parser.parse(&stream[start..end], &LIMITS, &mut spans) {
                    Parsed::Complete { consumed } => {
                        let request = Request::new(&stream[start..start + consumed], &spans);
                        found.push(request.iter().map(<[u8]>::to_vec).collect());
                        start += consumed;
                    }
                    Parsed::Incomplete => {
                        prop_assert!(end < stream.len(), "incomplete with everything there");
                        end = (end + cuts.next().unwrap()).min(stream.len());
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            prop_assert_eq!(found, commands);
        }

        #[test]
        fn no_input_panics(input in prop::collection::vec(prop::sample::select(b"*$0129-\r\nax".to_vec()), 0..60)) {
            let (mut parser, mut start) = (Parser::default(), 0);
            loop {
                let mut spans = Vec::new();
                match parser.parse(&input[start..], &LIMITS, &mut spans) {
                    Parsed::Complete { consumed } | Parsed::Empty { consumed } | Parsed::Inline { consumed, .. } => {
                        prop_assert!(consumed > 0);
                        start += consumed;
                    }
                    Parsed::Incomplete | Parsed::Error(_) => break,
                }
            }
        }
    }
}
