//! Commands that work on the server and on sessions rather than on values.

pub mod acl;
pub mod aof;
pub mod client;
mod client_line;
pub mod cluster;
pub mod config;
pub mod connection;
pub mod databases;
pub mod debug;
mod digest;
pub mod info;
pub mod instance;
pub mod introspect;
pub mod latency;
pub mod memory;
pub mod migrate;
pub mod module;
pub mod persistence;
pub mod pubsub;
pub mod replication;
pub mod scripting;
pub mod slowlog;
pub mod transaction;
