//! The last part of the stream that replicas read, for those that come back after a short absence.
//!
//! ```text
//!   first                                            end
//!   ├── piece ──┼── piece ──┼─ piece ─┼──── piece ────┤        offsets of the stream, in bytes since the history began
//! ```
//!
//! What comes in small is put together in pieces of a few kilobytes; the oldest go once the others alone hold enough.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::util::memory::block_size;

pub struct Backlog {
    pieces: VecDeque<Vec<u8>>,
    first: u64,
    end: u64,
    /// What the pieces take.
    memory: usize,
}

/// Room of a piece that small ones are put into.
const PIECE_BYTES: usize = 4 * 1024;

impl Backlog {
    /// An empty one, for a stream that goes on at this offset.
    pub fn new(offset: u64) -> Self {
        Self { pieces: VecDeque::new(), first: offset, end: offset, memory: 0 }
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

    pub fn memory(&self) -> usize {
        self.memory
    }

    pub fn push(&mut self, bytes: &[u8], bytes_max: u64) {
        self.end += bytes.len() as u64;
        match self.pieces.back_mut() {
            Some(last) if last.capacity() - last.len() >= bytes.len() => last.extend_from_slice(bytes),
            _ => {
                let mut piece = Vec::with_capacity(bytes.len().max(PIECE_BYTES));
                piece.extend_from_slice(bytes);
                self.memory += block_size(piece.capacity());
                self.pieces.push_back(piece);
            }
        }
        while let Some(oldest) = self.pieces.front()
            && self.len() - oldest.len() as u64 >= bytes_max
        {
            self.first += oldest.len() as u64;
            self.memory -= block_size(oldest.capacity());
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
                pieces.push(Bytes::copy_from_slice(&piece[skip as usize..]));
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
        const MAX: u64 = 10_000;
        let mut backlog = Backlog::new(100);
        let mut all: Vec<u8> = Vec::new();
        for len in [10, 4000, 1, 100, 20_000, 3, 5000, 4096, 7].into_iter().cycle().take(60) {
            let bytes: Vec<u8> = (0..len).map(|at| (all.len() + at) as u8).collect();
            all.extend_from_slice(&bytes);
            backlog.push(&bytes, MAX);
            assert_eq!(backlog.end(), 100 + all.len() as u64);
            assert!(backlog.len() >= MAX.min(all.len() as u64));
            let memory: usize = backlog.pieces.iter().map(|piece| block_size(piece.capacity())).sum();
            assert_eq!(backlog.memory(), memory);
            let (first, end) = (backlog.first(), backlog.end());
            for offset in [first, (first + end) / 2, end] {
                let pieces = backlog.from(offset).expect("what is there").concat();
                assert_eq!(pieces, &all[(offset - 100) as usize..]);
            }
            assert!(backlog.from(first.wrapping_sub(1)).is_none() && backlog.from(end + 1).is_none());
        }
    }
}
