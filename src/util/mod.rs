//! Small leaves that everything may use: numbers as text, patterns, checksums, compression.

pub mod float;
pub mod number;
