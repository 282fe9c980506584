//! Containers that have never heard of Redis.
//!
//! Each file is one data structure with its drawing, its invariants (`check()`) and property tests
//! against the obvious model. `unsafe` lives here and nowhere above; nothing here knows a clock,
//! a socket or a command.

pub mod ahead;
pub mod bits;
pub mod blob;
pub mod deque;
pub mod fields;
pub mod geohash;
pub mod hyperloglog;
pub mod image;
pub mod intset;
pub mod item;
pub mod keytable;
pub mod listpack;
#[cfg(test)]
pub(crate) mod live;
pub mod member;
pub mod packed_or_box;
pub mod ranked;
pub mod rax;
pub mod record;
pub mod sizeclass;
mod thin;
pub mod trio;
