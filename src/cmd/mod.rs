//! The commands: one entry and one handler each, grouped in files by what they work on.
//!
//! To add a command, write its entry into the `COMMANDS` of its file and its handler below it; nothing else needs to know. To add a
//! file, add its `COMMANDS` to `GROUPS`. The four beats of a handler: read the arguments, look up, change, answer. Every
//! refusal belongs to the first two, so that a command that fails has changed nothing.

pub mod args;
pub mod command;
pub mod container;
pub mod error;
pub mod expiry;
pub mod keyspec;
pub mod names;
pub mod table;
pub mod usage;

mod bitmap;
mod geo;
mod hash;
mod hyperloglog;
mod keys;
mod list;
mod room;
mod scan;
mod server;
mod set;
mod sort;
mod stream;
mod string;
mod zset;

use command::Command;

/// Every command there is, by file.
pub const GROUPS: &[&[Command]] = &[
    string::COMMANDS,
    string::set::COMMANDS,
    bitmap::COMMANDS,
    hyperloglog::COMMANDS,
    geo::COMMANDS,
    keys::COMMANDS,
    hash::COMMANDS,
    hash::expire::COMMANDS,
    hash::exchange::COMMANDS,
    keys::expire::COMMANDS,
    keys::object::COMMANDS,
    keys::dump::COMMANDS,
    list::COMMANDS,
    list::blocking::COMMANDS,
    stream::entries::COMMANDS,
    stream::read::COMMANDS,
    stream::groups::COMMANDS,
    stream::claims::COMMANDS,
    stream::info::COMMANDS,
    set::COMMANDS,
    zset::COMMANDS,
    zset::range::COMMANDS,
    zset::combine::COMMANDS,
    zset::pop::COMMANDS,
    sort::COMMANDS,
    server::connection::COMMANDS,
    server::databases::COMMANDS,
    server::client::COMMANDS,
    server::cluster::COMMANDS,
    server::pubsub::COMMANDS,
    server::transaction::COMMANDS,
    server::scripting::COMMANDS,
    server::introspect::COMMANDS,
    server::config::COMMANDS,
    server::acl::COMMANDS,
    server::info::COMMANDS,
    server::slowlog::COMMANDS,
    server::latency::COMMANDS,
    server::memory::COMMANDS,
    server::instance::COMMANDS,
    server::aof::COMMANDS,
    server::replication::COMMANDS,
    server::module::COMMANDS,
    server::migrate::COMMANDS,
    server::debug::COMMANDS,
    server::persistence::COMMANDS,
];
