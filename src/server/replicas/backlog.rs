//! The last part of the stream that replicas read, for those that come back after a short absence.
//!
//! ```text
//!   first                                            end
//!   ├── piece ──┼── piece ──┼─ piece ─┼──── piece ────┤        offsets of the stream, in bytes since the history began
//! ```
//!
//! Pieces are shared with the outputs of the replicas that are there; the oldest go once the others alone hold enough.

use std::collections::VecDeque;

use bytes::Bytes;

pub struct Backlog {
    pieces: VecDeque<Bytes>,
    first: u64,
    end: u64,
}

impl Backlog {
    /// An empty one, for a stream that goes on at this offset.
    pub fn new(offset: u64) -> Self {
        Self { pieces: VecDeque::new(), first: offset, end: offset }
    }

    /// Offset behind the last byte of the stream.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Offset of the first byte that is still there.
    pub fn first(&self) -> u64 {
        self.first
    }

    pub fn len(&self) -> u64 {
        self.end - self.first
    }

    pub fn push(&mut self, piece: Bytes, bytes_max: u64) {
        self.end += piece.len() as u64;
        self.pieces.push_back(piece);
        while let Some(oldest) = self.pieces.front().map(|piece| piece.len() as u64)
            && self.len() - oldest >= bytes_max
        {
            self.first += oldest;
            self.pieces.pop_front();
        }
    }

    /// What came from this offset on, if it is all there.
    pub fn from(&self, offset: u64) -> Option<Vec<Bytes>> {
        if !(self.first..=self.end).contains(&offset) {
            return None;
        }
        let mut skip = offset - self.first;
        let mut pieces = Vec::new();
        for piece in &self.pieces {
            let len = piece.len() as u64;
            if skip < len {
                pieces.push(piece.slice(skip as usize..));
            }
            skip = skip.saturating_sub(len);
        }
        Some(pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_pieces_go_and_the_rest_is_found_by_offset() {
        let mut backlog = Backlog::new(100);
        for piece in ["abcd", "efgh", "ij"] {
            backlog.push(Bytes::from_static(piece.as_bytes()), 6);
        }
        assert_eq!((backlog.first(), backlog.end(), backlog.len()), (104, 110, 6));
        let text = |offset| backlog.from(offset).map(|pieces| pieces.concat());
        assert_eq!(text(103), None);
        assert_eq!(text(104).as_deref(), Some(&b"efghij"[..]));
        assert_eq!(text(107).as_deref(), Some(&b"hij"[..]));
        assert_eq!(text(110).as_deref(), Some(&b""[..]));
        assert_eq!(text(111), None);
    }
}
