//! The commands: one entry and one handler each, grouped in files by what they work on.
//!
//! To add a command, write its entry into the `COMMANDS` of its file and its handler below it; nothing else needs to know. To add a
//! file, add its `COMMANDS` to `GROUPS`. The four beats of a handler: read the arguments, look up, change, answer. Every
//! refusal belongs to the first two, so that a command that fails has changed nothing.

pub mod args;
pub mod command;
pub mod error;
pub mod expiry;
pub mod table;

mod hash;
mod keys;
mod list;
mod scan;
mod server;
mod set;
mod string;

use command::Command;

/// Every command there is, by file.
pub const GROUPS: &[&[Command]] = &[
    string::COMMANDS,
    keys::COMMANDS,
    hash::COMMANDS,
    hash::expire::COMMANDS,
    hash::exchange::COMMANDS,
    list::COMMANDS,
    list::blocking::COMMANDS,
    set::COMMANDS,
    server::connection::COMMANDS,
    server::transaction::COMMANDS,
];
