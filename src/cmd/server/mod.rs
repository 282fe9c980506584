//! Commands that work on the server and on sessions rather than on values.

pub mod connection;
pub mod databases;
pub mod transaction;
