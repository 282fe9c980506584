//! Values as bytes: RDB's form of each type, written and read.
//!
//! Pure: bytes go into a `Chunk` and come from a `Source`, and what holds the files is `persist::rdb`. `encode` writes each value in the oldest
//! form that can hold it, so that Redis 7.0, 8.2 and Valkey 9.1 all read it; `decode` reads every form that they and their ancestors
//! write. What only runnel knows of a stream is in `beyond`.

mod beyond;
mod chunk;
mod decode;
mod encode;
mod legacy;
mod old_group;
mod source;
#[cfg(test)]
mod tests;

pub use beyond::{BEYOND, apply_beyond, beyond};
pub use chunk::Chunk;
pub use decode::{Limits, decode, module_name, skip_module};
pub use encode::{Encoding, encode_value, form_of};
pub use source::{Malformed, Slice, Source};

/// The form of fields' deadlines, the one thing that Redis and Valkey write differently.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Dialect {
    #[default]
    Redis,
    Valkey,
}

/// The byte before a value that says in which form it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Form(pub u8);

impl Form {
    pub const STRING: Form = Form(0);
    pub const LIST: Form = Form(1);
    pub const SET: Form = Form(2);
    pub const ZSET: Form = Form(3);
    pub const HASH: Form = Form(4);
    pub const ZSET_2: Form = Form(5);
    pub const MODULE: Form = Form(6);
    pub const MODULE_2: Form = Form(7);
    pub const HASH_ZIPMAP: Form = Form(9);
    pub const LIST_ZIPLIST: Form = Form(10);
    pub const SET_INTSET: Form = Form(11);
    pub const ZSET_ZIPLIST: Form = Form(12);
    pub const HASH_ZIPLIST: Form = Form(13);
    pub const LIST_QUICKLIST: Form = Form(14);
    pub const STREAM: Form = Form(15);
    pub const HASH_LISTPACK: Form = Form(16);
    pub const ZSET_LISTPACK: Form = Form(17);
    pub const LIST_QUICKLIST_2: Form = Form(18);
    pub const STREAM_2: Form = Form(19);
    pub const SET_LISTPACK: Form = Form(20);
    pub const STREAM_3: Form = Form(21);
    /// Valkey's hash with deadlines; a candidate release of Redis 7.4 wrote another form under the same number.
    pub const HASH_VALKEY: Form = Form(22);
    pub const HASH_LISTPACK_DEADLINES_EARLY: Form = Form(23);
    pub const HASH_DEADLINES: Form = Form(24);
    pub const HASH_LISTPACK_DEADLINES: Form = Form(25);
    /// Redis 8.6: with what producers have said before.
    pub const STREAM_4: Form = Form(26);
    /// Redis 8.8: with entries that belong to nobody.
    pub const STREAM_5: Form = Form(27);

    /// The RDB version of the first Redis that reads this form and all others that are older; Valkey's own number for its own form.
    pub fn version(self) -> u16 {
        match self {
            Form::HASH_VALKEY => VERSION_VALKEY,
            Form::HASH_DEADLINES | Form::HASH_LISTPACK_DEADLINES => VERSION_DEADLINES,
            _ => VERSION_BASE,
        }
    }
}

/// What Redis 7.0 writes and every later server reads.
pub const VERSION_BASE: u16 = 10;
/// Redis 7.4 and later, for hashes whose fields have deadlines.
pub const VERSION_DEADLINES: u16 = 12;
/// Valkey 9, likewise.
pub const VERSION_VALKEY: u16 = 80;
