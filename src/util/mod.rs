//! Small leaves that everything may use: numbers as text, patterns, checksums, compression.

pub mod args;
pub mod clock;
pub mod crc16;
pub mod crc64;
pub mod float;
pub mod glob;
pub mod io_error;
pub mod lcs;
pub mod long_double;
pub mod lzf;
pub mod memory;
pub mod number;
pub mod partial_sort;
pub mod random;
