//! Commands that work on the server and on sessions rather than on values.

pub mod client;
mod client_line;
pub mod connection;
pub mod pubsub;
pub mod config;
pub mod debug;
pub mod info;
pub mod instance;
pub mod introspect;
pub mod latency;
pub mod memory;
pub mod slowlog;
pub mod transaction;
