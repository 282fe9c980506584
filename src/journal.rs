//! The one ordered stream of everything that changed, encoded once as requests.
//!
//! Whoever keeps the data (the append-only file, replicas, a test that replays it) reads bytes from here by offset. An entry names its
//! database only where it differs from the entry's before; a transaction is framed by MULTI and EXEC.

use crate::db::DbIndex;
use crate::resp::request::{Request, write_bulk, write_header};
use crate::util::number::IntegerText;

#[derive(Default)]
pub struct Journal {
    open: bool,
    /// A script keeps what it does to itself.
    muted: bool,
    bytes: Vec<u8>,
    /// Offset of the first byte in `bytes`.
    start: u64,
    selected: Option<DbIndex>,
    /// EXEC or a script is running: its entries go between MULTI and EXEC.
    transaction: Transaction,
}

#[derive(Default, PartialEq, Eq, Clone, Copy, Debug)]
enum Transaction {
    #[default]
    None,
    /// Announced, nothing written yet.
    Pending,
    Open,
}

impl Journal {
    /// From now on changes are recorded.
    pub fn open(&mut self) {
        self.open = true;
        self.selected = None;
    }

    pub fn close(&mut self) {
        *self = Self { start: self.offset(), ..Self::default() };
    }

    #[inline]
    pub fn is_open(&self) -> bool {
        self.open && !self.muted
    }

    /// What happens from now on is recorded, or not (`redis.set_repl`).
    pub fn mute(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// The offset behind the last byte recorded.
    pub fn offset(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// What follows is read apart from what came before: it names its database again.
    pub fn begin_part(&mut self) {
        self.selected = None;
    }

    /// Takes what was recorded since the last call, into an empty buffer, which takes the other's place.
    pub fn take_into(&mut self, buffer: &mut Vec<u8>) {
        debug_assert!(buffer.is_empty(), "what was taken before is not lost");
        self.start += self.bytes.len() as u64;
        std::mem::swap(&mut self.bytes, buffer);
    }

    /// Takes what was recorded since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        self.start += self.bytes.len() as u64;
        std::mem::take(&mut self.bytes)
    }

    /// Memory held by what was recorded and not taken yet.
    pub fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    pub fn has_bytes(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// What follows is one atomic change.
    pub fn begin_transaction(&mut self) {
        if self.open && self.transaction == Transaction::None {
            self.transaction = Transaction::Pending;
        }
    }

    pub fn end_transaction(&mut self) {
        if std::mem::take(&mut self.transaction) == Transaction::Open {
            self.write(&[b"EXEC"]);
        }
    }

    /// What was recorded of the transaction stays without its end, so that nobody replays it.
    pub fn abandon_transaction(&mut self) {
        self.transaction = Transaction::None;
    }

    pub fn append(&mut self, db: DbIndex, request: Request) {
        if !self.is_open() {
            return;
        }
        if self.selected != Some(db) {
            self.write(&[b"SELECT", IntegerText::unsigned(db as u64).as_bytes()]);
            self.selected = Some(db);
        }
        if self.transaction == Transaction::Pending {
            self.write(&[b"MULTI"]);
            self.transaction = Transaction::Open;
        }
        match request.framed() {
            // As nearly all requests come: one copy, nothing formatted.
            Some(bytes) => self.bytes.extend_from_slice(bytes),
            None => {
                write_header(&mut self.bytes, request.len());
                request.iter().for_each(|arg| write_bulk(&mut self.bytes, arg));
            }
        }
    }

    fn write(&mut self, args: &[&[u8]]) {
        write_header(&mut self.bytes, args.len());
        args.iter().for_each(|arg| write_bulk(&mut self.bytes, arg));
    }
}
