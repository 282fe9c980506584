//! The family of values a key can hold, and how a record carries them.
//!
//! Strings live in the record itself (in line, as an integer, or as a blob); each collection is one machine word. This file is the
//! one list of collections: a new data type is a row of `collections!`.

use crate::ds::blob::Blob;
use crate::ds::item::Item;
use crate::ds::record::{self, Family, Payload, Word};
use crate::types::list::List;
use crate::types::zset::Zset;

/// A key with its value.
pub type Record = record::Record<Values>;
pub type RecordRef<'a> = record::RecordRef<'a, Values>;

/// The family of all collections.
pub struct Values;

/// What TYPE answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    String,
    List,
    Set,
    Zset,
    Hash,
    Stream,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::Zset => "zset",
            Kind::Hash => "hash",
            Kind::Stream => "stream",
        }
    }
}

/// A collection, as the keyspace sees it: it can say what it is, whether it may stay, and what it weighs.
pub trait Collection: Word {
    const KIND: Kind;

    fn encoding(&self) -> &'static str;
    /// No empty collection stays in the keyspace, except a stream.
    fn is_empty(&self) -> bool;
    /// Elements, for deciding whether freeing it is work for a thread.
    fn len(&self) -> usize;
    fn memory(&self) -> usize;
    fn check(&self);
}

/// A value, borrowed.
pub enum ValueRef<'a> {
    String(StringRef<'a>),
    Collection(&'a dyn AnyCollection),
}

/// A string value, borrowed.
#[derive(Clone, Copy)]
pub enum StringRef<'a> {
    Bytes(&'a [u8]),
    Integer(i64),
    Blob(&'a Blob),
}

impl<'a> StringRef<'a> {
    pub fn item(&self) -> Item<'a> {
        match *self {
            StringRef::Bytes(bytes) => Item::Bytes(bytes),
            StringRef::Integer(value) => Item::Int(value),
            StringRef::Blob(blob) => Item::Bytes(blob.as_slice()),
        }
    }

    pub fn len(&self) -> usize {
        self.item().text(&mut Default::default()).len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn to_vec(&self) -> Vec<u8> {
        self.item().to_vec()
    }
}

/// The object-safe half of `Collection`.
pub trait AnyCollection {
    fn kind(&self) -> Kind;
    fn encoding(&self) -> &'static str;
    fn is_empty(&self) -> bool;
    fn len(&self) -> usize;
    fn memory(&self) -> usize;
    fn check(&self);
}

impl<C: Collection> AnyCollection for C {
    fn kind(&self) -> Kind {
        C::KIND
    }
    fn encoding(&self) -> &'static str {
        Collection::encoding(self)
    }
    fn is_empty(&self) -> bool {
        Collection::is_empty(self)
    }
    fn len(&self) -> usize {
        Collection::len(self)
    }
    fn memory(&self) -> usize {
        Collection::memory(self)
    }
    fn check(&self) {
        Collection::check(self);
    }
}

/// What a record holds.
pub fn value(record: RecordRef<'_>) -> ValueRef<'_> {
    match string(&record) {
        Some(string) => ValueRef::String(string),
        None => ValueRef::Collection(collection(&record).expect("a record holds a string or a known collection")),
    }
}

/// The record's string, where it holds one.
#[inline]
pub fn string<'a>(record: &RecordRef<'a>) -> Option<StringRef<'a>> {
    match record.payload() {
        Payload::Inline(bytes) => Some(StringRef::Bytes(bytes)),
        Payload::Integer(value) => Some(StringRef::Integer(value)),
        Payload::Blob(blob) => Some(StringRef::Blob(blob)),
        Payload::Word(_) => None,
    }
}

/// Elements of a collection, for deciding where it is freed; `None` for a string.
pub fn collection_len(record: &Record) -> Option<usize> {
    any_collection(record).map(AnyCollection::len)
}

pub fn kind(record: RecordRef<'_>) -> Kind {
    match value(record) {
        ValueRef::String(_) => Kind::String,
        ValueRef::Collection(collection) => collection.kind(),
    }
}

/// One row for each collection; what a row brings is what every collection has in common.
macro_rules! collections {
    ($($tag:literal $kind:ident $type:ty;)*) => {
        // SAFETY: each type below has a tag of its own, is one word (asserted by `Record::word`), and `drop_word` reads the
        // word back as the type of its tag.
        unsafe impl Family for Values {
            unsafe fn drop_word(tag: u8, word: u64) {
                match tag {
                    // SAFETY: the caller's promise.
                    $($tag => drop(unsafe { std::mem::transmute::<u64, $type>(word) }),)*
                    _ => unreachable!("no collection has tag {tag}"),
                }
            }
        }

        $(
            // SAFETY: one word large (transmuted above), with a tag no other row has.
            unsafe impl Word for $type {
                const TAG: u8 = $tag;
            }

            impl Collection for $type {
                const KIND: Kind = Kind::$kind;

                fn encoding(&self) -> &'static str {
                    <$type>::encoding(self)
                }
                fn is_empty(&self) -> bool {
                    <$type>::is_empty(self)
                }
                fn len(&self) -> usize {
                    <$type>::len(self) as usize
                }
                fn memory(&self) -> usize {
                    <$type>::memory(self)
                }
                fn check(&self) {
                    <$type>::check(self);
                }
            }
        )*

        fn any_collection(record: &Record) -> Option<&dyn AnyCollection> {
            match record.tag() {
                $($tag => record.get::<$type>().map(|value| value as &dyn AnyCollection),)*
                _ => None,
            }
        }

        fn collection<'a>(record: &RecordRef<'a>) -> Option<&'a dyn AnyCollection> {
            match record.tag() {
                $($tag => record.get::<$type>().map(|value| value as &'a dyn AnyCollection),)*
                _ => None,
            }
        }
    };
}

collections! {
    3 List List;
    6 Zset Zset;
}
