//! The family of values a key can hold, and how a record carries them.
//!
//! Strings live in the record itself (in line, as an integer, or as a blob); each collection is one machine word. This file is the
//! one list of collections: a new data type is a row of `collections!`.

use crate::ds::blob::Blob;
use crate::ds::image::ImageId;
use crate::ds::item::Item;
use crate::ds::keytable::Prefetch;
use crate::ds::record::{self, Family, Payload, Word};
use crate::types::hash::Hash;
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::zset::Zset;
use crate::util::number::decimal_len;

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
    /// A copy for COPY.
    fn duplicate(&self) -> Self;
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

    #[inline]
    pub fn len(&self) -> usize {
        self.item().len()
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

/// Bytes of a string; `None` for a collection.
#[inline]
pub fn string_len(record: &Record) -> Option<usize> {
    match record.payload() {
        Payload::Inline(bytes) => Some(bytes.len()),
        Payload::Integer(value) => Some(decimal_len(value)),
        Payload::Blob(blob) => Some(blob.len()),
        Payload::Word(_) => None,
    }
}

/// Elements of a collection; `None` for a string.
pub fn collection_len(record: &Record) -> Option<usize> {
    any_collection(record).map(AnyCollection::len)
}

/// Bytes that a collection owns, none for a string. O(1), but for lists and streams of few elements, whose parts are counted.
pub fn collection_memory(record: &Record) -> usize {
    any_collection(record).map_or(0, AnyCollection::memory)
}

/// Whether it is a collection of more elements, or bytes. O(1), but for lists and streams of few elements, whose parts are counted.
pub fn is_larger(record: &Record, elements: usize, bytes: usize) -> bool {
    any_collection(record).is_some_and(|collection| collection.len() > elements || collection.memory() > bytes)
}

pub fn kind(record: RecordRef<'_>) -> Kind {
    kind_of(&record)
}

pub fn kind_of(record: &Record) -> Kind {
    any_collection(record).map_or(Kind::String, AnyCollection::kind)
}

/// Where Redis 8.2 keeps a string in one block of 64 bytes with its key: the bytes that key and value may have together.
const EMBEDDED_MAX: usize = 41;

/// Whether Redis would keep the string in a block of its own. Once there it stays there, until it is set anew.
pub fn is_raw(record: &Record) -> bool {
    let room = EMBEDDED_MAX - if record.deadline().is_some() { 8 } else { 0 };
    match record.payload() {
        Payload::Inline(bytes) => record.is_grown() || record.key().len() + bytes.len() > room,
        Payload::Blob(_) => true,
        Payload::Integer(_) | Payload::Word(_) => false,
    }
}

/// Whether the record is a hash of which it was noted that some of its fields have deadlines.
#[inline]
pub fn is_timed(record: &Record) -> bool {
    record.tag() == <crate::types::hash::Hash as Word>::TAG && record.is_grown()
}

/// Notes of a hash's record whether some of its fields have deadlines. (The bit tells of strings that they have grown.)
pub fn set_timed(record: &mut Record, is_timed: bool) {
    record.set_grown(is_timed);
}

/// The table in which the fields or members of a large collection are looked up.
pub fn table<'a>(record: &RecordRef<'a>) -> Option<&'a dyn Prefetch> {
    match record.tag() {
        <Set as Word>::TAG => record.get::<Set>()?.table(),
        <Hash as Word>::TAG => record.get::<Hash>()?.table(),
        <Zset as Word>::TAG => record.get::<Zset>()?.table(),
        _ => None,
    }
}

/// What OBJECT ENCODING answers.
pub fn encoding(record: &Record) -> &'static str {
    match (any_collection(record), record.payload()) {
        (Some(collection), _) => collection.encoding(),
        (None, Payload::Integer(_)) => "int",
        (None, _) if is_raw(record) => "raw",
        (None, _) => "embstr",
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

            unsafe fn duplicate_word(tag: u8, word: u64) -> u64 {
                match tag {
                    // SAFETY: the caller's promise; the original is borrowed, and the copy, one word large, given away.
                    $($tag => unsafe {
                        let original = &*std::ptr::from_ref(&word).cast::<$type>();
                        std::mem::transmute::<$type, u64>(Collection::duplicate(original))
                    },)*
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
                fn duplicate(&self) -> Self {
                    self.clone()
                }
            }
        )*

        /// From now on the image of this record's collection is of what it holds now. False where it is too small to have one, or a string.
        pub fn begin_image(record: &mut Record, id: ImageId) -> bool {
            match record.tag() {
                $($tag => record.get_mut::<$type>().is_some_and(|collection| collection.begin_image(id)),)*
                _ => false,
            }
        }

        pub fn end_image(record: &mut Record) {
            match record.tag() {
                $($tag => record.get_mut::<$type>().into_iter().for_each(|collection| collection.end_image()),)*
                _ => {}
            }
        }

        /// The image of this record's collection that is not through, and about how much memory it takes.
        pub fn image(record: &Record) -> Option<(ImageId, usize)> {
            match record.tag() {
                $($tag => record.get::<$type>().and_then(|collection| collection.image()),)*
                _ => None,
            }
        }

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
    4 Set Set;
    5 Hash Hash;
    6 Zset Zset;
    7 Stream crate::types::stream::StreamBox;
}
