//! The keyed hash of the tables, and what a table needs to know of an entry.
//!
//! One seed serves the whole process, so that a key is hashed once whichever tables it meets. Where the seed's
//! randomness comes from is the caller's business.

use std::hash::Hasher;
use std::ptr::NonNull;

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;

/// The secret of the hash: without it nobody can choose keys that collide.
#[derive(Clone, Debug)]
pub struct Seed {
    start: u64,
    shared: SharedSeed,
}

/// A key's hash. The top bits choose the segment, the low 16 bits the place inside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hash(pub u64);

impl Seed {
    /// A seed from two random words.
    pub const fn new(random: [u64; 2]) -> Seed {
        Seed { start: random[0], shared: SharedSeed::from_u64(random[1]) }
    }

    #[inline]
    pub fn hash(&self, key: &[u8]) -> Hash {
        let mut hasher = FoldHasher::with_seed(self.start, &self.shared);
        hasher.write(key);
        Hash(hasher.finish())
    }
}

impl Hash {
    #[inline]
    pub(super) fn tag(self) -> u16 {
        self.0 as u16
    }
}

/// An owning thin pointer that a table can keep as 48 bits.
///
/// # Safety
/// - `into_raw` gives an even address below 2^48 that stays valid until `from_raw` takes it back, once.
/// - `key`, `view` and `view_mut` read what lies there and follow the borrow they are given.
/// - An entry's key and hash do not change while it is in a table.
pub unsafe trait Slot: Sized {
    /// What a lookup hands out, usually `&'a Something`.
    type Ref<'a>
    where
        Self: 'a;
    /// What a lookup for changing hands out, usually `&'a mut Something`.
    type Mut<'a>
    where
        Self: 'a;

    fn into_raw(self) -> NonNull<u8>;

    /// # Safety
    /// `raw` came from `into_raw` and is given back here once.
    unsafe fn from_raw(raw: NonNull<u8>) -> Self;

    /// # Safety
    /// `raw` came from `into_raw`, is not given back yet and not changed during `'a`.
    unsafe fn key<'a>(raw: NonNull<u8>) -> &'a [u8]
    where
        Self: 'a;

    /// # Safety
    /// As for `key`.
    unsafe fn view<'a>(raw: NonNull<u8>) -> Self::Ref<'a>
    where
        Self: 'a;

    /// # Safety
    /// As for `key`, and nothing else looks at the entry during `'a`.
    unsafe fn view_mut<'a>(raw: NonNull<u8>) -> Self::Mut<'a>
    where
        Self: 'a;

    /// Whether `sample_flagged` and `show_flagged` find it. It does not change while the entry is in a table.
    ///
    /// # Safety
    /// As for `key`.
    #[inline]
    unsafe fn is_flagged(_raw: NonNull<u8>) -> bool {
        false
    }

    /// The hash under which the entry was inserted; asked for when a segment splits.
    ///
    /// # Safety
    /// As for `key`.
    #[inline]
    unsafe fn hash(raw: NonNull<u8>, seed: &Seed) -> Hash {
        // SAFETY: the caller's promise is the same.
        seed.hash(unsafe { Self::key(raw) })
    }
}

/// An entry that knows its key; a box of it can be kept in a table.
pub trait Keyed {
    fn key(&self) -> &[u8];
}

// SAFETY: a box is one address from the allocator (user space is below 2^47), valid until `from_raw` makes it a box
// again; the references made from it are those the callers' promises allow.
unsafe impl<T: Keyed> Slot for Box<T> {
    type Ref<'a>
        = &'a T
    where
        T: 'a;
    type Mut<'a>
        = &'a mut T
    where
        T: 'a;

    fn into_raw(self) -> NonNull<u8> {
        NonNull::from(Box::leak(self)).cast()
    }

    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        // SAFETY: `raw` is a leaked box, given back once.
        unsafe { Box::from_raw(raw.cast().as_ptr()) }
    }

    unsafe fn key<'a>(raw: NonNull<u8>) -> &'a [u8]
    where
        T: 'a,
    {
        // SAFETY: a live box, not changed during `'a`.
        unsafe { raw.cast::<T>().as_ref() }.key()
    }

    unsafe fn view<'a>(raw: NonNull<u8>) -> &'a T
    where
        T: 'a,
    {
        // SAFETY: a live box, not changed during `'a`.
        unsafe { raw.cast().as_ref() }
    }

    unsafe fn view_mut<'a>(raw: NonNull<u8>) -> &'a mut T
    where
        T: 'a,
    {
        // SAFETY: a live box that nothing else looks at during `'a`.
        unsafe { raw.cast().as_mut() }
    }
}
