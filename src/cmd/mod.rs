//! The commands: one entry and one handler each, grouped in files by what they work on.
//!
//! To add a command, write its entry into the `COMMANDS` of its file and its handler below it; nothing else needs to know. To add a
//! file, add its `COMMANDS` to `GROUPS`. The four beats of a handler: read the arguments, look up, change, answer. Every
//! refusal belongs to the first two, so that a command that fails has changed nothing.

pub mod args;
pub mod command;
pub mod error;
pub mod table;

mod keys;
mod list;
mod server;
mod stream;
mod string;

use command::Command;

/// Every command there is, by file.
pub const GROUPS: &[&[Command]] = &[
    string::COMMANDS,
    keys::COMMANDS,
    list::COMMANDS,
    list::blocking::COMMANDS,
    stream::entries::COMMANDS,
    stream::read::COMMANDS,
    stream::groups::COMMANDS,
    stream::claims::COMMANDS,
    stream::info::COMMANDS,
    server::connection::COMMANDS,
    server::transaction::COMMANDS,
];
