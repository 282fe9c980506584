//! The manifest: which files make up the append-only log, in order.
//!
//! ```text
//!   file appendonly.aof.3.base.rdb seq 3 type b        the data set at one moment, at most one
//!   file appendonly.aof.7.incr.aof seq 7 type i        what changed since, in the order of their numbers
//!   file appendonly.aof.8.incr.aof seq 8 type i
//!   file appendonly.aof.2.base.rdb seq 2 type h        history: superseded, to be removed
//! ```
//!
//! The format and the names are Redis 7's, so either server opens the other's folder. Keys that are not known are passed over, as Redis
//! passes over ours: `length` notes how long an increment was when the next one began.

use std::fmt;

use crate::util::args::{quote, split_args};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    pub base: Option<Part>,
    pub increments: Vec<Part>,
    pub history: Vec<Part>,
    /// The highest numbers ever given out: a number is not used twice.
    base_seq: u64,
    incr_seq: u64,
}

/// One file of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    pub seq: u64,
    /// How long it was when the next increment began. It may have been cut shorter by a loss of power.
    pub len: Option<u64>,
}

impl Part {
    fn new(name: impl Into<String>, seq: u64) -> Self {
        Self { name: name.into(), seq, len: None }
    }
}

/// Why a manifest cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// Line number, from 1.
    pub line: usize,
    pub reason: &'static str,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}: {}", self.line, self.reason)
    }
}

/// Longest line of a manifest, as Redis has it.
const LINE_MAX: usize = 1024;

pub fn manifest_name(file_name: &str) -> String {
    format!("{file_name}.manifest")
}

impl Manifest {
    /// O(text).
    pub fn parse(text: &[u8]) -> Result<Self, ManifestError> {
        let mut manifest = Self::default();
        if text.is_empty() {
            return Err(ManifestError { line: 1, reason: "Found an empty AOF manifest" });
        }
        for (index, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
            let failed = |reason| ManifestError { line: index + 1, reason };
            if line.len() > LINE_MAX {
                return Err(failed("The AOF manifest file contains too long line"));
            }
            let Some(line) = line.strip_suffix(b"\n") else {
                return Err(failed("The AOF manifest file's last line has no end"));
            };
            if line.first() == Some(&b'#') {
                continue;
            }
            manifest.read_line(line).map_err(failed)?;
        }
        manifest.check()?;
        Ok(manifest)
    }

    fn read_line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        const INVALID: &str = "Invalid AOF manifest file format";
        let words = split_args(line).ok_or(INVALID)?;
        if words.len() < 6 || words.len() % 2 != 0 {
            return Err(INVALID);
        }
        let (mut name, mut seq, mut kind, mut len) = (None, None, None, None);
        for pair in words.chunks_exact(2) {
            let value = || std::str::from_utf8(&pair[1]).map_err(|_| INVALID);
            match &*pair[0].to_ascii_lowercase() {
                b"file" => name = Some(value()?.to_owned()),
                b"seq" => seq = Some(value()?.parse::<u64>().map_err(|_| INVALID)?),
                b"type" => kind = Some(value()?.to_owned()),
                b"length" => len = Some(value()?.parse::<u64>().map_err(|_| INVALID)?),
                _ => {}
            }
        }
        let (Some(name), Some(seq), Some(kind)) = (name, seq, kind) else { return Err(INVALID) };
        if name.is_empty() || name.contains('/') {
            return Err("File can't be a path, just a filename");
        }
        let part = Part { name, seq, len };
        match kind.as_str() {
            "b" if self.base.is_some() => return Err("Found duplicate base file information"),
            "b" => {
                self.base_seq = seq;
                self.base = Some(part);
            }
            "i" if seq <= self.incr_seq => return Err("Found a non-monotonic sequence number"),
            "i" => {
                self.incr_seq = seq;
                self.increments.push(part);
            }
            "h" => self.history.push(part),
            _ => return Err("Unknown AOF file type"),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), ManifestError> {
        match self.base.is_some() || !self.increments.is_empty() || !self.history.is_empty() {
            true => Ok(()),
            false => Err(ManifestError { line: 1, reason: "Invalid AOF manifest file format" }),
        }
    }

    /// What the file holds.
    pub fn to_text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let all = self.history.iter().map(|part| (part, 'h'));
        let all = self.base.iter().map(|part| (part, 'b')).chain(all);
        for (part, kind) in all.chain(self.increments.iter().map(|part| (part, 'i'))) {
            text.extend_from_slice(b"file ");
            if is_plain(&part.name) {
                text.extend_from_slice(part.name.as_bytes());
            } else {
                quote(part.name.as_bytes(), &mut text);
            }
            let len = part.len.map(|len| format!(" length {len}")).unwrap_or_default();
            text.extend_from_slice(format!(" seq {} type {kind}{len}\n", part.seq).as_bytes());
        }
        text
    }

    /// Names of the files to be loaded, in order.
    pub fn files(&self) -> impl Iterator<Item = &Part> {
        self.base.iter().chain(&self.increments)
    }

    /// A new base takes the place of the old one and of the increments before the last `keep`, which become history.
    pub fn new_base(&mut self, file_name: &str, is_rdb: bool, keep: usize) -> &Part {
        self.history.extend(self.base.take());
        let superseded = self.increments.len().saturating_sub(keep);
        self.history.extend(self.increments.drain(..superseded));
        self.base_seq += 1;
        let seq = self.base_seq;
        let format = if is_rdb { "rdb" } else { "aof" };
        self.base.insert(Part::new(format!("{file_name}.{seq}.base.{format}"), seq))
    }

    /// Numbers that another version of this manifest has given out are not used again: it may have reached the disk though writing it failed.
    pub fn skip_numbers_of(&mut self, other: &Self) {
        self.base_seq = self.base_seq.max(other.base_seq);
        self.incr_seq = self.incr_seq.max(other.incr_seq);
    }

    /// The old single file becomes the base.
    pub fn adopt_base(&mut self, name: &str) {
        self.base_seq += 1;
        self.base = Some(Part::new(name, self.base_seq));
    }

    /// The increments behind `name` do not continue it: they become history. False where there are none.
    pub fn cut_behind(&mut self, name: &str) -> bool {
        let at = self.increments.iter().position(|part| part.name == name).map_or(0, |at| at + 1);
        let cut: Vec<Part> = self.increments.drain(at..).collect();
        if let Some(last) = self.increments.last_mut() {
            last.len = None;
        }
        let was_there = !cut.is_empty();
        self.history.extend(cut);
        was_there
    }

    pub fn new_increment(&mut self, file_name: &str) -> &Part {
        self.incr_seq += 1;
        let seq = self.incr_seq;
        self.increments.push(Part::new(format!("{file_name}.{seq}.incr.aof"), seq));
        &self.increments[self.increments.len() - 1]
    }
}

/// Needs no quotes.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "file a.aof.3.base.rdb seq 3 type b\nfile a.aof.2.base.rdb seq 2 type h\nfile a.aof.7.incr.aof seq 7 type i\n\
                        file \"b c.aof\" seq 8 type i startoffset 12 length 77\n";

    #[test]
    fn what_is_written_is_read_again() {
        let mut manifest = Manifest::parse(TEXT.as_bytes()).expect("a manifest");
        assert_eq!(manifest.base, Some(Part::new("a.aof.3.base.rdb", 3)));
        assert_eq!(manifest.increments[1], Part { len: Some(77), ..Part::new("b c.aof", 8) });
        assert_eq!(Manifest::parse(&manifest.to_text()), Ok(manifest.clone()));
        assert_eq!(manifest.new_increment("a.aof").name, "a.aof.9.incr.aof");
        assert_eq!(manifest.new_base("a.aof", true, 1).name, "a.aof.4.base.rdb");
        assert_eq!((manifest.increments.len(), manifest.history.len()), (1, 4));
    }

    #[test]
    fn errors_name_their_line() {
        for (text, line, reason) in [
            ("", 1, "Found an empty AOF manifest"),
            ("# only a comment\n", 1, "Invalid AOF manifest file format"),
            ("file a seq 1 type b", 1, "The AOF manifest file's last line has no end"),
            ("file a seq 1 type b\nfile x seq 1\n", 2, "Invalid AOF manifest file format"),
            ("file a/b seq 1 type b\n", 1, "File can't be a path, just a filename"),
            ("file a seq 1 type b\nfile b seq 2 type b\n", 2, "Found duplicate base file information"),
            ("file a seq 2 type i\nfile b seq 2 type i\n", 2, "Found a non-monotonic sequence number"),
            ("file a seq 2 type x\n", 1, "Unknown AOF file type"),
            ("file a seq -2 type i\n", 1, "Invalid AOF manifest file format"),
        ] {
            assert_eq!(Manifest::parse(text.as_bytes()), Err(ManifestError { line, reason }), "{text}");
        }
    }
}
