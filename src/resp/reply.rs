//! Writes replies into a session's output, in RESP2 or RESP3.
//!
//! An `Output` is one run of own bytes with large or shared payloads referred to in between, so that a big value or a
//! published message is never copied. `Reply` is what a handler sees: it knows the protocol version and nothing of the session.

use bytes::Bytes;

use crate::util::float::write_f64;
use crate::util::memory::block_size;
use crate::util::number::IntegerText;

/// From this size on a shared payload is referred to instead of copied.
pub const SHARE_MIN: usize = 16 * 1024;

/// Bytes on their way to one client.
#[derive(Default)]
pub struct Output {
    own: Vec<u8>,
    /// Payloads in order, each to go out before the own byte at its offset.
    shared: Vec<(usize, Bytes)>,
    shared_bytes: usize,
    /// Bytes already accepted by the socket, counted over own and shared bytes alike.
    written: usize,
}

impl Output {
    #[inline]
    pub fn len(&self) -> usize {
        self.own.len() + self.shared_bytes - self.written
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory held for this client, shared payloads counted in full as the output-buffer limits mean them.
    pub fn memory(&self) -> usize {
        let own = if self.own.capacity() == 0 { 0 } else { block_size(self.own.capacity()) };
        own + self.shared_bytes + self.shared.capacity() * size_of::<(usize, Bytes)>()
    }

    /// Room for own bytes.
    pub fn capacity(&self) -> usize {
        self.own.capacity()
    }

    /// Own bytes not yet written.
    pub fn own_len(&self) -> usize {
        self.own.len().min(self.len())
    }

    /// Shared payloads, and their bytes.
    pub fn shared_len(&self) -> usize {
        self.shared.len()
    }

    pub fn shared_bytes(&self) -> usize {
        self.shared_bytes
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.own.extend_from_slice(bytes);
    }

    pub fn push_shared(&mut self, payload: Bytes) {
        self.shared_bytes += payload.len();
        self.shared.push((self.own.len(), payload));
    }

    /// A payload that others may hold too: referred to where it is long, copied where that is cheaper.
    pub fn push_payload(&mut self, payload: Bytes) {
        if payload.len() >= SHARE_MIN { self.push_shared(payload) } else { self.push(&payload) }
    }

    /// A point that `truncate` and `insert` can come back to; valid until something before it is written out.
    pub fn mark(&self) -> Mark {
        Mark { own: self.own.len(), shared: self.shared.len() }
    }

    /// Takes back everything after `mark`.
    pub fn truncate(&mut self, mark: Mark) {
        self.own.truncate(mark.own);
        for (_, payload) in self.shared.drain(mark.shared..) {
            self.shared_bytes -= payload.len();
        }
    }

    /// Puts all of `other` where `mark` stands. O(bytes after the mark).
    pub fn insert(&mut self, mark: Mark, other: Output) {
        debug_assert_eq!(other.written, 0, "only whole outputs are inserted");
        for (at, _) in &mut self.shared[mark.shared..] {
            *at += other.own.len();
        }
        let moved = other.shared.into_iter().map(|(at, payload)| (at + mark.own, payload));
        self.shared.splice(mark.shared..mark.shared, moved);
        self.own.splice(mark.own..mark.own, other.own);
        self.shared_bytes += other.shared_bytes;
    }

    /// Puts other bytes in the place of what stands between two marks. False, and nothing done, where they do not hold any more.
    pub fn replace(&mut self, start: Mark, end: Mark, bytes: &[u8]) -> bool {
        let is_there = start.own <= end.own && end.own <= self.own.len();
        if !is_there || start.shared > end.shared || end.shared > self.shared.len() {
            return false;
        }
        for (_, payload) in self.shared.drain(start.shared..end.shared) {
            self.shared_bytes -= payload.len();
        }
        for (at, _) in &mut self.shared[start.shared..] {
            *at = *at - (end.own - start.own) + bytes.len();
        }
        self.own.splice(start.own..end.own, bytes.iter().copied());
        true
    }

    pub fn append(&mut self, other: Output) {
        self.insert(self.mark(), other);
    }

    /// The pieces still to be written, in order, at most `max` of them.
    pub fn pieces(&self, max: usize) -> Vec<&[u8]> {
        let mut pieces = Vec::with_capacity((2 * self.shared.len() + 1).min(max));
        let mut skip = self.written;
        let mut from = 0;
        let mut add = |piece: &'_ [u8]| -> Option<(usize, usize)> {
            let skipped = skip.min(piece.len());
            skip -= skipped;
            (skipped < piece.len()).then_some((skipped, piece.len()))
        };
        for (at, payload) in &self.shared {
            for piece in [&self.own[from..*at], &payload[..]] {
                if let Some((start, _)) = add(piece) {
                    pieces.push(&piece[start..]);
                }
            }
            from = *at;
            if pieces.len() + 2 > max {
                return pieces;
            }
        }
        if let Some((start, _)) = add(&self.own[from..]) {
            pieces.push(&self.own[from + start..]);
        }
        pieces
    }

    /// All own bytes, where there is nothing else: the common case of one plain write.
    #[inline]
    pub fn plain(&self) -> Option<&[u8]> {
        self.shared.is_empty().then(|| &self.own[self.written..])
    }

    /// The socket accepted `count` more bytes.
    pub fn advance(&mut self, count: usize) {
        self.written += count;
        if self.is_empty() {
            self.clear();
        } else if self.written >= 64 * 1024 && self.written * 2 >= self.own.len() + self.shared_bytes {
            self.compact();
        }
    }

    /// Forgets everything; keeps a modest buffer for the next reply.
    pub fn clear(&mut self) {
        const KEEP_MAX: usize = 16 * 1024;
        self.own.clear();
        if self.own.capacity() > KEEP_MAX {
            self.own = Vec::new();
        }
        self.shared.clear();
        self.shared_bytes = 0;
        self.written = 0;
    }

    /// Frees what has been written. O(bytes left).
    fn compact(&mut self) {
        let mut left = Output::default();
        let mut skip = self.written;
        let mut from = 0;
        for (at, payload) in std::mem::take(&mut self.shared) {
            let own = &self.own[from..at];
            left.push(&own[skip.min(own.len())..]);
            skip -= skip.min(own.len());
            from = at;
            let skipped = skip.min(payload.len());
            skip -= skipped;
            if skipped < payload.len() {
                left.push_shared(payload.slice(skipped..));
            }
        }
        let own = &self.own[from..];
        left.push(&own[skip.min(own.len())..]);
        *self = left;
    }

    /// Everything in one vector, for tests and for replies that a script reads.
    pub fn to_vec(&self) -> Vec<u8> {
        self.pieces(usize::MAX).concat()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    own: usize,
    shared: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    #[default]
    Resp2,
    Resp3,
}

/// The writer a handler is given. Every method writes one complete element unless it says otherwise.
pub struct Reply<'a> {
    out: &'a mut Output,
    protocol: Protocol,
}

impl<'a> Reply<'a> {
    pub fn new(out: &'a mut Output, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub fn is_resp3(&self) -> bool {
        self.protocol == Protocol::Resp3
    }

    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// The output itself, for encoded replies that come from elsewhere.
    pub fn output(&mut self) -> &mut Output {
        self.out
    }

    pub fn mark(&self) -> Mark {
        self.out.mark()
    }

    pub fn truncate(&mut self, mark: Mark) {
        self.out.truncate(mark);
    }

    #[inline]
    pub fn ok(&mut self) {
        self.out.push(b"+OK\r\n");
    }

    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// A status whose text is somebody else's: line breaks would break the frame and become spaces.
    pub fn simple_bytes(&mut self, text: &[u8]) {
        let text: Vec<u8> = text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }).collect();
        self.line(b'+', &text);
    }

    /// An error: `text` begins with its code ("ERR …"). Line breaks would break the frame and become spaces.
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        let text = text.strip_suffix(b"\r\n").unwrap_or(text);
        self.out.own.push(b'-');
        self.out.own.extend(text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
        self.out.push(b"\r\n");
    }

    #[inline]
    pub fn int(&mut self, value: i64) {
        if let 0..=9 = value {
            self.out.push(&[b':', b'0' + value as u8, b'\r', b'\n']);
            return;
        }
        self.line(b':', IntegerText::new(value).as_bytes());
    }

    pub fn count(&mut self, value: usize) {
        self.int(value as i64);
    }

    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.own.reserve(bytes.len() + 16);
        self.header(b'$', bytes.len());
        let own = &mut self.out.own;
        own.extend_from_slice(bytes);
        own.extend_from_slice(b"\r\n");
    }

    /// A payload that the output refers to when it is large.
    pub fn bulk_shared(&mut self, payload: Bytes) {
        if payload.len() < SHARE_MIN {
            return self.bulk(&payload);
        }
        self.header(b'$', payload.len());
        self.out.push_shared(payload);
        self.out.push(b"\r\n");
    }

    pub fn bulk_int(&mut self, value: i64) {
        self.bulk(IntegerText::new(value).as_bytes());
    }

    pub fn item(&mut self, item: crate::ds::item::Item) {
        self.bulk(item.text(&mut Default::default()));
    }

    /// The null bulk of RESP2, `_` in RESP3.
    pub fn null(&mut self) {
        self.out.push(if self.is_resp3() { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// The null array of RESP2, `_` in RESP3.
    pub fn null_array(&mut self) {
        self.out.push(if self.is_resp3() { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// Announces `len` elements, which the caller writes next.
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len);
    }

    /// Announces `len` pairs: a map in RESP3, a flat array of twice as many elements in RESP2.
    pub fn map(&mut self, len: usize) {
        if self.is_resp3() { self.header(b'%', len) } else { self.header(b'*', 2 * len) }
    }

    pub fn set(&mut self, len: usize) {
        self.header(if self.is_resp3() { b'~' } else { b'*' }, len);
    }

    /// A message out of band: a push in RESP3, an array in RESP2.
    pub fn push(&mut self, len: usize) {
        self.header(if self.is_resp3() { b'>' } else { b'*' }, len);
    }

    /// Announces `len` pairs of an attribute. RESP3 only: the caller checks.
    pub fn attribute(&mut self, len: usize) {
        debug_assert!(self.is_resp3());
        self.header(b'|', len);
    }

    /// A double: its own type in RESP3, a bulk in RESP2.
    pub fn double(&mut self, value: f64) {
        let mut text = Vec::with_capacity(24);
        write_f64(&mut text, value);
        if self.is_resp3() { self.line(b',', &text) } else { self.bulk(&text) }
    }

    pub fn bool(&mut self, value: bool) {
        if self.is_resp3() {
            self.out.push(if value { b"#t\r\n" } else { b"#f\r\n" });
        } else {
            self.int(i64::from(value));
        }
    }

    /// A number too large for an integer: its own type in RESP3, a bulk in RESP2.
    pub fn big_number(&mut self, digits: &[u8]) {
        if self.is_resp3() { self.line(b'(', digits) } else { self.bulk(digits) }
    }

    /// Text with a format of three letters ("txt", "mkd"): its own type in RESP3, a bulk in RESP2.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        debug_assert_eq!(format.len(), 3);
        self.verbatim_bytes(format.as_bytes().try_into().unwrap_or(*b"txt"), text);
    }

    pub fn verbatim_bytes(&mut self, format: [u8; 3], text: &[u8]) {
        if !self.is_resp3() {
            return self.bulk(text);
        }
        self.header(b'=', text.len() + 4);
        self.out.push(&format);
        self.out.push(b":");
        self.out.push(text);
        self.out.push(b"\r\n");
    }

    /// Starts an aggregate whose length is not known yet; `finish` writes its header. O(bytes written in between) once more.
    pub fn later(&mut self) -> Mark {
        self.out.mark()
    }

    pub fn finish_array(&mut self, start: Mark, len: usize) {
        self.insert_header(start, b'*', len);
    }

    pub fn finish_map(&mut self, start: Mark, len: usize) {
        if self.is_resp3() { self.insert_header(start, b'%', len) } else { self.insert_header(start, b'*', 2 * len) }
    }

    pub fn finish_set(&mut self, start: Mark, len: usize) {
        self.insert_header(start, if self.is_resp3() { b'~' } else { b'*' }, len);
    }

    fn insert_header(&mut self, start: Mark, kind: u8, len: usize) {
        let mut header = Output::default();
        Reply::new(&mut header, self.protocol).header(kind, len);
        self.out.insert(start, header);
    }

    #[inline]
    fn header(&mut self, kind: u8, len: usize) {
        let own = &mut self.out.own;
        // Nearly all there are.
        match len {
            0..10 => own.extend_from_slice(&[kind, b'0' + len as u8, b'\r', b'\n']),
            10..100 => own.extend_from_slice(&[kind, b'0' + (len / 10) as u8, b'0' + (len % 10) as u8, b'\r', b'\n']),
            _ => self.line(kind, IntegerText::unsigned(len as u64).as_bytes()),
        }
    }

    #[inline]
    fn line(&mut self, kind: u8, text: &[u8]) {
        let own = &mut self.out.own;
        own.reserve(text.len() + 3);
        own.push(kind);
        own.extend_from_slice(text);
        own.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(protocol: Protocol, write: impl FnOnce(&mut Reply)) -> String {
        let mut out = Output::default();
        write(&mut Reply::new(&mut out, protocol));
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn the_two_protocols_differ_where_redis_differs() {
        let shapes = |reply: &mut Reply| {
            reply.null();
            reply.map(1);
            reply.bool(true);
            reply.verbatim("txt", b"x");
        };
        assert_eq!(written(Protocol::Resp2, shapes), "$-1\r\n*2\r\n:1\r\n$1\r\nx\r\n");
        assert_eq!(written(Protocol::Resp3, shapes), "_\r\n%1\r\n#t\r\n=5\r\ntxt:x\r\n");
    }

    #[test]
    fn a_late_header_lands_before_its_elements() {
        let text = written(Protocol::Resp2, |reply| {
            reply.int(1);
            let start = reply.later();
            reply.bulk_shared(Bytes::from(vec![b'x'; SHARE_MIN]));
            reply.int(2);
            reply.finish_array(start, 2);
        });
        assert!(text.starts_with(":1\r\n*2\r\n$16384\r\nxx"), "{}", &text[..20]);
        assert!(text.ends_with("xx\r\n:2\r\n"));
    }

    proptest! {
        #[test]
        fn bytes_leave_in_order_however_the_socket_takes_them(
            pieces in prop::collection::vec((any::<bool>(), 0..50_000usize, any::<u8>()), 0..12),
            takes in prop::collection::vec(1..70_000usize, 1..20),
        ) {
            let mut out = Output::default();
            let mut expected = Vec::new();
            for (shared, size, fill) in pieces {
                let bytes = vec![fill; size];
                expected.extend_from_slice(&bytes);
                if shared { out.push_shared(bytes.into()) } else { out.push(&bytes) }
            }
            let mut takes = takes.iter().cycle();
            let mut seen = Vec::new();
            while !out.is_empty() {
                let mut take = *takes.next().unwrap();
                let mut taken = Vec::new();
                for piece in out.pieces(8) {
                    let part = &piece[..piece.len().min(take)];
                    taken.extend_from_slice(part);
                    take -= part.len();
                }
                out.advance(taken.len());
                seen.extend(taken);
            }
            prop_assert_eq!(seen, expected);
        }
    }
}
