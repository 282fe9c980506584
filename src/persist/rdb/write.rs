//! The parts of a snapshot file, written into chunks in their order; a `Writer` packs chunks on their way to the file.
//!
//! ```text
//!   start · aux… · function… · (database · record…)… · end
//! ```

use std::io::{self, Write};

use super::opcode;
use crate::types::codec::{self, BEYOND, Chunk, Dialect, Form};
use crate::types::value::Record;
use crate::util::crc64;
use crate::util::lzf::Compressor;

/// What the file says it is in its first nine bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    Redis(u16),
    Valkey(u16),
}

impl Version {
    /// The oldest that can hold the data: only fields of hashes with deadlines need more than what Redis 7.0 reads.
    pub fn oldest(has_field_deadlines: bool, dialect: Dialect) -> Self {
        match (has_field_deadlines, dialect) {
            (false, _) => Version::Redis(codec::VERSION_BASE),
            (true, Dialect::Redis) => Version::Redis(codec::VERSION_DEADLINES),
            (true, Dialect::Valkey) => Version::Valkey(codec::VERSION_VALKEY),
        }
    }

    fn magic(self) -> String {
        match self {
            Version::Redis(number) => format!("REDIS{number:04}"),
            Version::Valkey(number) => format!("VALKEY{number:03}"),
        }
    }
}

/// What the file tells of the server that wrote it.
pub struct Facts<'a> {
    pub version: Version,
    /// The Redis version that clients are told.
    pub compatible_with: &'a str,
    pub unix_s: u64,
    pub used_memory: u64,
    /// Whether it is the base of an append-only file.
    pub is_aof_base: bool,
}

/// What the eviction policy knows of a record, where that is to be kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    Unknown,
    IdleSeconds(u64),
    Frequency(u8),
}

pub fn start(out: &mut Chunk, facts: &Facts<'_>) {
    out.raw(facts.version.magic().as_bytes());
    let name: &[u8] = if let Version::Valkey(_) = facts.version { b"valkey-ver" } else { b"redis-ver" };
    aux(out, name, facts.compatible_with.as_bytes());
    aux_number(out, b"redis-bits", u64::from(usize::BITS));
    aux_number(out, b"ctime", facts.unix_s);
    aux_number(out, b"used-mem", facts.used_memory);
    aux_number(out, b"aof-base", u64::from(facts.is_aof_base));
    aux(out, b"runnel-ver", env!("CARGO_PKG_VERSION").as_bytes());
}

/// A field that loaders skip if they do not know it.
pub fn aux(out: &mut Chunk, name: &[u8], value: &[u8]) {
    out.byte(opcode::AUX);
    out.text(name);
    out.text(value);
}

fn aux_number(out: &mut Chunk, name: &[u8], value: u64) {
    aux(out, name, value.to_string().as_bytes());
}

/// The source text of a library of functions.
pub fn function(out: &mut Chunk, source: &[u8]) {
    out.byte(opcode::FUNCTION);
    out.blob(source);
}

/// What follows is in this database. The numbers of keys, and of those with a deadline, let a loader make room.
pub fn database(out: &mut Chunk, index: usize, keys: usize, volatile: usize) {
    out.byte(opcode::DATABASE);
    out.length(index as u64);
    out.byte(opcode::SIZES);
    out.length(keys as u64);
    out.length(volatile as u64);
}

/// What follows is in this database, of which `database` has told already.
pub fn same_database(out: &mut Chunk, index: usize) {
    out.byte(opcode::DATABASE);
    out.length(index as u64);
}

/// A key with its value, whole.
#[inline]
pub fn record(out: &mut Chunk, record: &Record, dialect: Dialect, access: Access) {
    record_head(out, record, dialect, access);
    codec::encode_value(record, dialect, out);
}

/// A key and all else that comes before its value.
#[inline]
pub fn record_head(out: &mut Chunk, record: &Record, dialect: Dialect, access: Access) {
    let form = codec::form_of(record, dialect);
    if form == Form::STREAM_2
        && let Some(beyond) = codec::beyond(record)
    {
        aux(out, BEYOND, &beyond);
    }
    if let Some(deadline) = record.deadline() {
        out.byte(opcode::DEADLINE_MS);
        out.word(deadline);
    }
    match access {
        Access::Unknown => {}
        Access::IdleSeconds(seconds) => {
            out.byte(opcode::IDLE);
            out.length(seconds);
        }
        Access::Frequency(frequency) => {
            out.byte(opcode::FREQUENCY);
            out.byte(frequency);
        }
    }
    out.byte(form.0);
    out.text(record.key());
}

/// The mark at the end; the checksum comes from the `Writer`.
pub fn end(out: &mut Chunk) {
    out.byte(opcode::END);
}

/// Longer texts are not compressed: that would take as much memory again.
const COMPRESSED_MAX: usize = 8 * 1024 * 1024;
/// What goes to the output at once of a text that is not compressed.
const PART_BYTES: usize = 1024 * 1024;

/// Packs chunks, counts and checksums their bytes, and writes them.
pub struct Writer<W> {
    output: W,
    compressor: Compressor,
    packed: Vec<u8>,
    checksum: Option<u64>,
    bytes: u64,
}

impl<W: Write> Writer<W> {
    /// `checksums` is `rdbchecksum`.
    pub fn new(output: W, checksums: bool) -> Self {
        Self { output, compressor: Compressor::new(), packed: Vec::new(), checksum: checksums.then_some(0), bytes: 0 }
    }

    pub fn write(&mut self, chunk: &Chunk) -> io::Result<()> {
        self.packed.clear();
        let bytes = match chunk.is_packed() {
            true => chunk.bytes(),
            false => {
                chunk.pack(&mut self.compressor, &mut self.packed);
                &self.packed
            }
        };
        self.checksum = self.checksum.map(|checksum| crc64::update(checksum, bytes));
        self.output.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// A text that is too large for a chunk. Beyond `COMPRESSED_MAX` it is written as it is, which takes no memory.
    pub fn write_text(&mut self, text: &[u8], compresses: bool) -> io::Result<()> {
        if compresses && text.len() <= COMPRESSED_MAX {
            let mut chunk = Chunk::with_capacity(true, text.len() + 9);
            chunk.blob(text);
            return self.write(&chunk);
        }
        let mut head = Chunk::new(false);
        head.length(text.len() as u64);
        self.write(&head)?;
        for part in text.chunks(PART_BYTES) {
            self.put(part)?;
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.checksum = self.checksum.map(|checksum| crc64::update(checksum, bytes));
        self.output.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    pub fn output(&self) -> &W {
        &self.output
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes the checksum, 0 for none, and gives the output back, flushed.
    pub fn finish(mut self) -> io::Result<W> {
        self.output.write_all(&self.checksum.unwrap_or(0).to_le_bytes())?;
        self.output.flush()?;
        Ok(self.output)
    }
}
