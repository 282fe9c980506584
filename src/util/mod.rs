//! Small leaves that everything may use: numbers as text, patterns, checksums, compression.

pub mod float;
pub mod glob;
pub mod long_double;
pub mod number;
