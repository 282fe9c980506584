//! Reads a snapshot file piece by piece, out of a bounded buffer, from any version that is known.
//!
//! The buffer grows only for what is longer than it, and only as the bytes come in. Every error tells where it was found.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};

use super::write::Access;
use super::{CHECKSUM_BYTES, opcode};
use crate::types::codec::{self, BEYOND, Dialect, Form, Limits, Malformed, Source};
use crate::types::value::Record;
use crate::util::crc64;
use crate::util::number::write_i64;

/// What comes next in the file.
pub enum Event {
    /// A field about the file or the server that wrote it.
    Aux {
        name: Vec<u8>,
        value: Vec<u8>,
    },
    /// The source text of a library of functions.
    Function(Vec<u8>),
    /// What follows is in this database.
    Database(usize),
    /// So many keys will come, of which so many have a deadline.
    Sizes {
        keys: u64,
        volatile: u64,
    },
    Record(Record, Access),
    /// A key that was left out because nothing is in it.
    Empty,
    /// Data of a module were passed over; the module's name.
    Module(String),
    /// All was read, and the checksum was right.
    End,
}

/// Why a file cannot be read on, and where.
#[derive(Debug)]
pub struct Error {
    pub offset: u64,
    pub reason: Reason,
}

#[derive(Debug)]
pub enum Reason {
    Input(io::Error),
    Malformed(Cow<'static, str>),
    /// It begins as no snapshot does.
    NoSnapshot,
    Version(u16),
    Checksum {
        expected: u64,
        found: u64,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Input(error) => write!(f, "{error}"),
            Reason::Malformed(reason) => f.write_str(reason),
            Reason::NoSnapshot => f.write_str("Wrong signature trying to load DB from file"),
            Reason::Version(version) => write!(f, "Can't handle RDB format version {version}"),
            Reason::Checksum { expected, found } => {
                write!(f, "RDB CRC error: wrong checksum, expected: ({expected:x}) but got ({found:x}). Aborting now.")
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at offset {})", self.reason, self.offset)
    }
}

impl std::error::Error for Error {}

/// How a file is to be read.
#[derive(Clone, Copy)]
pub struct Options {
    pub limits: Limits,
    /// `rdbchecksum`
    pub checksums: bool,
    /// `rdb-version-check relaxed`: try files of versions that are not known.
    pub any_version: bool,
}

/// The last versions that are known: Redis's and Valkey's.
const VERSION_MAX: u16 = 15;
const VALKEY_VERSION_MAX: u16 = codec::VERSION_VALKEY;
/// The first version with a checksum at its end.
const VERSION_CHECKSUM: u16 = 5;

pub struct Reader<R> {
    input: Buffer<R>,
    options: Options,
    version: u16,
    dialect: Dialect,
    /// What came before the form of the record to come.
    deadline: Option<u64>,
    access: Access,
    beyond: Option<Vec<u8>>,
    key: Vec<u8>,
    scratch: Vec<u8>,
}

impl<R: Read> Reader<R> {
    /// Reads the beginning. `size` is how many bytes the input has, `u64::MAX` where nobody knows.
    pub fn new(input: R, size: u64, options: Options) -> Result<Self, Error> {
        let mut reader = Self {
            input: Buffer::new(input, size, options.checksums),
            options,
            version: 0,
            dialect: Dialect::Redis,
            deadline: None,
            access: Access::Unknown,
            beyond: None,
            key: Vec::new(),
            scratch: Vec::new(),
        };
        match reader.read_magic() {
            Ok(()) => Ok(reader),
            Err(reason) => Err(reader.error(reason)),
        }
    }

    /// The next piece of the file. Not to be asked after `End` or an error.
    pub fn next_event(&mut self) -> Result<Event, Error> {
        self.read_event().map_err(|reason| self.error(reason))
    }

    /// Bytes taken so far, and so where the next piece begins.
    pub fn offset(&self) -> u64 {
        self.input.offset()
    }

    /// The version that the file says it has.
    pub fn version(&self) -> u16 {
        self.version
    }

    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The key that is being read, or was read last.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The input with what was read ahead of it: what comes behind a snapshot in an append-only file.
    pub fn into_rest(self) -> (Vec<u8>, R) {
        (self.input.bytes[self.input.at..self.input.end].to_vec(), self.input.input)
    }

    fn error(&mut self, reason: Reason) -> Error {
        let reason = self.input.trouble.take().map_or(reason, Reason::Input);
        Error { offset: self.offset(), reason }
    }

    fn read_magic(&mut self) -> Result<(), Reason> {
        let magic: [u8; 9] = self.input.array().map_err(|_| Reason::NoSnapshot)?;
        let (digits, max) = if let Some(digits) = magic.strip_prefix(b"REDIS") {
            (digits, VERSION_MAX)
        } else if let Some(digits) = magic.strip_prefix(b"VALKEY") {
            self.dialect = Dialect::Valkey;
            (digits, VALKEY_VERSION_MAX)
        } else {
            return Err(Reason::NoSnapshot);
        };
        let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        self.version = number.ok_or(Reason::NoSnapshot)?;
        if self.version == 0 || self.version > max && !self.options.any_version {
            return Err(Reason::Version(self.version));
        }
        Ok(())
    }

    #[inline]
    fn read_event(&mut self) -> Result<Event, Reason> {
        loop {
            match self.input.byte()? {
                opcode::DEADLINE_MS => self.deadline = Some(self.input.word()?),
                opcode::DEADLINE_S => {
                    self.deadline = Some(u64::from(u32::from_le_bytes(self.input.array()?)) * 1000);
                }
                opcode::IDLE => self.access = Access::IdleSeconds(self.input.length()?),
                opcode::FREQUENCY => self.access = Access::Frequency(self.input.byte()?),
                form @ 0..=200 => return self.read_record(Form(form)),
                code => {
                    if let Some(event) = self.read_other(code)? {
                        return Ok(event);
                    }
                }
            }
        }
    }

    fn read_record(&mut self, form: Form) -> Result<Event, Reason> {
        let (deadline, access) = (self.deadline.take(), std::mem::replace(&mut self.access, Access::Unknown));
        match self.input.item(&mut self.scratch)? {
            crate::ds::item::Item::Bytes(key) => {
                self.key.clear();
                self.key.extend_from_slice(key);
            }
            crate::ds::item::Item::Int(value) => {
                self.key.clear();
                write_i64(&mut self.key, value);
            }
        }
        // A deadline before 1970 is one that has passed.
        let deadline = deadline.map(|deadline| if deadline > i64::MAX as u64 { 0 } else { deadline });
        let record = codec::decode(form, &self.key, deadline, self.dialect, &mut self.input, &self.options.limits)?;
        let Some(mut record) = record else {
            self.beyond = None;
            return Ok(Event::Empty);
        };
        if let Some(beyond) = self.beyond.take() {
            codec::apply_beyond(&mut record, &beyond)?;
        }
        Ok(Event::Record(record, access))
    }

    /// What is no record; nothing where it is for the reader alone.
    fn read_other(&mut self, code: u8) -> Result<Option<Event>, Reason> {
        let event = match code {
            opcode::AUX => {
                let (mut name, mut value) = (Vec::new(), Vec::new());
                self.input.text(&mut name)?;
                self.input.text(&mut value)?;
                if name == BEYOND {
                    self.beyond = Some(value);
                    return Ok(None);
                }
                Event::Aux { name, value }
            }
            opcode::DATABASE => {
                let index = self.input.length()?;
                Event::Database(usize::try_from(index).unwrap_or(usize::MAX))
            }
            opcode::SIZES => Event::Sizes { keys: self.input.length()?, volatile: self.input.length()? },
            opcode::FUNCTION => {
                let mut source = Vec::new();
                self.input.text(&mut source)?;
                Event::Function(source)
            }
            opcode::FUNCTION_EARLY => {
                return Err(malformed("functions as a release candidate of Redis 7.0 wrote them cannot be read"));
            }
            opcode::MODULE_AUX => {
                let name = codec::module_name(self.input.length()?);
                self.input.length()?;
                self.input.length()?;
                codec::skip_module(&mut self.input)?;
                Event::Module(name)
            }
            opcode::SLOT_INFO => {
                for _ in 0..3 {
                    self.input.length()?;
                }
                return Ok(None);
            }
            opcode::SLOT_IMPORT_OR_KEY_META if self.dialect == Dialect::Valkey => {
                return Err(malformed("the file was written while a cluster's slots moved; there is no cluster here"));
            }
            opcode::SLOT_IMPORT_OR_KEY_META => {
                // What modules keep about the key that follows.
                for _ in 0..self.input.count(5)? {
                    self.input.take(4)?;
                    codec::skip_module(&mut self.input)?;
                }
                Event::Module("about a key".into())
            }
            opcode::END => {
                self.check_sum()?;
                Event::End
            }
            other => return Err(Reason::Malformed(format!("an unknown part, {other}, where a record belongs").into())),
        };
        Ok(Some(event))
    }

    fn check_sum(&mut self) -> Result<(), Reason> {
        if self.version < VERSION_CHECKSUM {
            return Ok(());
        }
        let found = self.input.checksum();
        let expected = u64::from_le_bytes(self.input.array::<CHECKSUM_BYTES>()?);
        match found {
            // 0 says that whoever wrote it did not count.
            Some(found) if expected != 0 && expected != found => Err(Reason::Checksum { expected, found }),
            _ => Ok(()),
        }
    }
}

fn malformed(reason: &'static str) -> Reason {
    Reason::Malformed(Cow::Borrowed(reason))
}

impl From<Malformed> for Reason {
    fn from(malformed: Malformed) -> Self {
        Reason::Malformed(malformed.0)
    }
}

/// Bytes read ahead.
///
/// ```text
///   bytes   ┌ taken ──────────┬ still to be taken ──┬ room ┐
///           0      summed     at                    end
/// ```
struct Buffer<R> {
    input: R,
    bytes: Vec<u8>,
    at: usize,
    end: usize,
    /// Up to here the checksum has seen it.
    summed: usize,
    sum: Option<u64>,
    /// Bytes of the input in front of `bytes`.
    before: u64,
    size: u64,
    trouble: Option<io::Error>,
}

const BUFFER_BYTES: usize = 1 << 20;
/// What is said of a file that was cut.
pub const TOO_SOON: &str = "the file ends too soon";

impl<R: Read> Buffer<R> {
    fn new(input: R, size: u64, checksums: bool) -> Self {
        let room = usize::try_from(size).unwrap_or(usize::MAX).clamp(64, BUFFER_BYTES);
        Self {
            input,
            bytes: vec![0; room],
            at: 0,
            end: 0,
            summed: 0,
            sum: checksums.then_some(0),
            before: 0,
            size,
            trouble: None,
        }
    }

    fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    /// The checksum of all that was taken.
    fn checksum(&mut self) -> Option<u64> {
        self.sum = self.sum.map(|sum| crc64::update(sum, &self.bytes[self.summed..self.at]));
        self.summed = self.at;
        self.sum
    }

    /// Reads until so many bytes are at hand.
    #[cold]
    fn fill(&mut self, wanted: usize) -> Result<(), Malformed> {
        const TOO_SOON: Malformed = Malformed::new(self::TOO_SOON);
        if wanted as u64 > self.left() {
            return Err(TOO_SOON);
        }
        self.checksum();
        self.bytes.copy_within(self.at..self.end, 0);
        self.before += self.at as u64;
        (self.end, self.at, self.summed) = (self.end - self.at, 0, 0);
        while self.end < wanted {
            if self.end == self.bytes.len() {
                // No more than twice what has come: a length may lie.
                let room = (self.bytes.len() * 2).min(wanted.max(BUFFER_BYTES));
                self.bytes.resize(room.max(self.end + 1), 0);
            }
            match self.input.read(&mut self.bytes[self.end..]) {
                Ok(0) => return Err(TOO_SOON),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.trouble = Some(error);
                    return Err(Malformed::new("the input fails"));
                }
            }
        }
        Ok(())
    }
}

impl<R: Read> Source for Buffer<R> {
    #[inline]
    fn take(&mut self, bytes: usize) -> Result<&[u8], Malformed> {
        if self.end - self.at < bytes {
            self.fill(bytes)?;
        }
        let start = self.at;
        self.at += bytes;
        Ok(&self.bytes[start..start + bytes])
    }

    fn left(&self) -> u64 {
        self.size.saturating_sub(self.offset())
    }
}
