//! The little of RESP that a load driver needs: a scanner that finds where replies end without keeping them,
//! a flat iterator over the elements of one complete reply, and an encoder of requests. It knows no socket
//! (that is `client.rs`) and reads both RESP2 and RESP3; start with `Scanner::feed`.

/// Longest header line (a status or an error included) that a sane server sends.
const LINE_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// What is still missing of the reply that is being received.
///
/// RESP is a prefix code, so nesting needs no stack: one counter of elements that are still to come is enough.
/// No byte is looked at twice, bodies of bulk strings are not looked at at all.
#[derive(Debug)]
pub struct Scanner {
    elements_missing: u64,
    body_bytes_missing: usize,
    line_head: Vec<u8>,
    kind: u8,
}

impl Default for Scanner {
    fn default() -> Self {
        Scanner { elements_missing: 1, body_bytes_missing: 0, line_head: Vec::new(), kind: 0 }
    }
}

impl Scanner {
    /// Reads `data` and calls `on_reply(kind, end)` for each reply that ends in it: its type byte and the offset just past it.
    pub fn feed(&mut self, data: &[u8], mut on_reply: impl FnMut(u8, usize)) -> Result<(), Malformed> {
        let mut at = 0;
        while at < data.len() {
            if self.body_bytes_missing > 0 {
                let taken = self.body_bytes_missing.min(data.len() - at);
                self.body_bytes_missing -= taken;
                at += taken;
            } else {
                let Some(length) = data[at..].iter().position(|&byte| byte == b'\n') else {
                    return self.keep_line_head(&data[at..]);
                };
                self.take_line(&data[at..at + length + 1])?;
                at += length + 1;
            }
            if self.ends_here() {
                on_reply(self.kind, at);
                self.elements_missing = 1;
                self.kind = 0;
            }
        }
        Ok(())
    }

    /// Bytes of a bulk string's body (with its line end) that come next and may be dropped unread.
    pub fn body_bytes_missing(&self) -> usize {
        self.body_bytes_missing
    }

    /// Told that `bytes` of the body were dropped; never the whole of it, so that `feed` sees every reply's end.
    pub fn skipped(&mut self, bytes: usize) {
        assert!(bytes < self.body_bytes_missing, "the end of a reply must be fed, not skipped");
        self.body_bytes_missing -= bytes;
    }

    fn ends_here(&self) -> bool {
        self.elements_missing == 0 && self.body_bytes_missing == 0
    }

    fn keep_line_head(&mut self, part: &[u8]) -> Result<(), Malformed> {
        if self.line_head.len() + part.len() > LINE_BYTES_MAX {
            return Err(Malformed);
        }
        self.line_head.extend_from_slice(part);
        Ok(())
    }

    fn take_line(&mut self, line: &[u8]) -> Result<(), Malformed> {
        if self.line_head.is_empty() {
            return self.take_header(line);
        }
        self.keep_line_head(line)?;
        let whole = std::mem::take(&mut self.line_head);
        self.take_header(&whole)
    }

    fn take_header(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let header = header(line)?;
        if self.kind == 0 {
            self.kind = line[0];
        }
        self.elements_missing = (self.elements_missing - 1).checked_add(header.elements).ok_or(Malformed)?;
        self.body_bytes_missing = header.body_bytes;
        Ok(())
    }
}

/// What follows a header line: so many elements, and so many bytes of body with its line end.
struct Header {
    elements: u64,
    body_bytes: usize,
}

fn header(line: &[u8]) -> Result<Header, Malformed> {
    let [kind, text @ .., b'\r', b'\n'] = line else { return Err(Malformed) };
    let (elements, body_bytes) = match kind {
        b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => (0, 0),
        b'$' | b'=' | b'!' => (0, length(text)?.map_or(0, |bytes| bytes + 2)),
        b'*' | b'~' | b'>' => (length(text)?.unwrap_or(0) as u64, 0),
        b'%' => (2 * length(text)?.unwrap_or(0) as u64, 0),
        // An attribute comes before the element that it describes, so it makes itself up for.
        b'|' => (2 * length(text)?.unwrap_or(0) as u64 + 1, 0),
        _ => return Err(Malformed),
    };
    Ok(Header { elements, body_bytes })
}

/// A length of a header; `None` is RESP2's null (`$-1`, `*-1`).
fn length(text: &[u8]) -> Result<Option<usize>, Malformed> {
    if text == b"-1" {
        return Ok(None);
    }
    if text.is_empty() || text.len() > 12 {
        return Err(Malformed);
    }
    let mut value = 0;
    for &digit in text {
        if !digit.is_ascii_digit() {
            return Err(Malformed);
        }
        value = value * 10 + usize::from(digit - b'0');
    }
    Ok(Some(value))
}

/// An element of a reply as it stands in the bytes; what an aggregate holds follows it.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Element<'a> {
    Line(u8, &'a [u8]),
    Bulk(&'a [u8]),
    Aggregate(usize),
    Null,
}

/// The elements of complete replies, depth first.
pub struct Elements<'a> {
    rest: &'a [u8],
}

pub fn elements(reply: &[u8]) -> Elements<'_> {
    Elements { rest: reply }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let end = self.rest.iter().position(|&byte| byte == b'\n')? + 1;
        let (line, after) = self.rest.split_at(end);
        let header = header(line).ok()?;
        let text = &line[1..line.len() - 2];
        if header.body_bytes > 0 {
            let body = after.get(..header.body_bytes)?;
            self.rest = &after[header.body_bytes..];
            return Some(Element::Bulk(&body[..body.len() - 2]));
        }
        self.rest = after;
        Some(match line[0] {
            b'$' | b'*' if text == b"-1" => Element::Null,
            b'_' => Element::Null,
            b'*' | b'~' | b'>' => Element::Aggregate(header.elements as usize),
            b'%' | b'|' => Element::Aggregate(length(text).ok()??),
            kind => Element::Line(kind, text),
        })
    }
}

/// The ids of the entries in a reply to XREADGROUP of one stream, in order.
///
/// ```text
/// *1 ─ *2 ─ stream name
///         └ *N ─ *2 ─ id ─ *2k ─ field value …      RESP3 has %1 in place of *1 *2
/// ```
pub fn stream_entries<'a>(reply: &'a [u8], mut on_entry: impl FnMut(&'a [u8], &'a [u8])) -> Option<()> {
    let mut elements = elements(reply);
    match elements.next()? {
        Element::Aggregate(_) if reply[0] == b'%' => {}
        Element::Aggregate(_) => drop(elements.next()?),
        _ => return None,
    }
    let Element::Bulk(_) = elements.next()? else { return None };
    let Element::Aggregate(entries) = elements.next()? else { return None };
    for _ in 0..entries {
        let Element::Aggregate(_) = elements.next()? else { return None };
        let Element::Bulk(id) = elements.next()? else { return None };
        let Element::Aggregate(strings) = elements.next()? else { return None };
        let mut last_value: &[u8] = b"";
        for _ in 0..strings {
            let Element::Bulk(string) = elements.next()? else { return None };
            last_value = string;
        }
        on_entry(id, last_value);
    }
    Some(())
}

/// Appends a request of these arguments.
pub fn write_request<Argument: AsRef<[u8]>>(arguments: &[Argument], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", arguments.len()).as_bytes());
    for argument in arguments {
        let argument = argument.as_ref();
        out.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
}
