//! One value in the frame that DUMP gives it and RESTORE takes.
//!
//! ```text
//!   form · value │ (FA runnel-stream · …) │ version u16 │ checksum u64
//! ```
//! The part in the middle stands where every other server has stopped reading.

use super::opcode;
use crate::types::codec::{self, BEYOND, Chunk, Dialect, Form, Limits, Malformed, Slice, Source, VERSION_VALKEY};
use crate::types::value::Record;
use crate::util::crc64;

const TRAILER: usize = 10;
/// The last version of Redis's that is known.
const VERSION_MAX: u16 = 15;

/// Why a payload is not taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// Another version, or damaged on the way.
    Frame,
    Value(Malformed),
}

pub fn dump(record: &Record, dialect: Dialect, compress: bool) -> Vec<u8> {
    let form = codec::form_of(record, dialect);
    let mut chunk = Chunk::new(compress);
    chunk.byte(form.0);
    codec::encode_value(record, dialect, &mut chunk);
    if let Some(beyond) = codec::beyond(record) {
        super::write::aux(&mut chunk, BEYOND, &beyond);
    }
    let mut bytes = chunk.into_packed();
    bytes.extend_from_slice(&form.version().to_le_bytes());
    bytes.extend_from_slice(&crc64::crc64(&bytes).to_le_bytes());
    bytes
}

/// The value and its form, where the frame is whole.
pub fn verify(payload: &[u8], any_version: bool, skips_checksum: bool) -> Result<Verified<'_>, Refused> {
    let (value, trailer) = payload.split_last_chunk::<TRAILER>().ok_or(Refused::Frame)?;
    let [low, high, checksum @ ..] = *trailer;
    let version = u16::from_le_bytes([low, high]);
    let known = version <= VERSION_MAX || version == VERSION_VALKEY;
    let sum = crc64::crc64(&payload[..payload.len() - checksum.len()]);
    let is_whole = skips_checksum || sum == u64::from_le_bytes(checksum);
    if !is_whole || !(known || any_version) {
        return Err(Refused::Frame);
    }
    let dialect = if version >= VERSION_VALKEY { Dialect::Valkey } else { Dialect::Redis };
    Ok(Verified { value, dialect })
}

/// A payload that came whole. What is in it is still to be looked at.
pub struct Verified<'a> {
    value: &'a [u8],
    dialect: Dialect,
}

impl Verified<'_> {
    pub fn restore(&self, key: &[u8], deadline: Option<u64>, limits: &Limits) -> Result<Record, Malformed> {
        let mut source = Slice::new(self.value);
        let form = Form(source.byte()?);
        let record = codec::decode(form, key, deadline, self.dialect, &mut source, limits)?;
        let mut record = record.ok_or(Malformed::new("there is nothing in the value"))?;
        if let Some(beyond) = read_beyond(&mut source)? {
            codec::apply_beyond(&mut record, &beyond)?;
        }
        Ok(record)
    }
}

/// What runnel put behind a value. Anything else there is passed over, as everybody does.
fn read_beyond(source: &mut Slice<'_>) -> Result<Option<Vec<u8>>, Malformed> {
    if source.left() == 0 || source.byte()? != opcode::AUX {
        return Ok(None);
    }
    let (mut name, mut value) = (Vec::new(), Vec::new());
    source.text(&mut name)?;
    if name != BEYOND {
        return Ok(None);
    }
    source.text(&mut value)?;
    Ok(Some(value))
}
