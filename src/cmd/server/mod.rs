//! Commands that work on the server and on sessions rather than on values.

pub mod client;
mod client_line;
pub mod connection;
pub mod databases;
pub mod pubsub;
pub mod transaction;
