//! One machine word that owns a listpack, a second small buffer, or a box of something larger.
//!
//! Sets start as an intset or a listpack, hashes as one of two listpacks; what they grow into is boxed. This file only keeps
//! the three apart; when one becomes another is the types' business. Where two will do there is `packed_or_box`.

use super::intset::Intset;
use super::listpack::Listpack;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// ```text
///   63                            2   1 0
///   ┌───┬───────────────────────┬───┬─────┐
///   │ 0 │ address               │ 0 │ c c │   a listpack's word, as it is
///   ├───┼───────────────────────┼───┼─────┤
///   │ 0 │ address               │ 1 │ c c │   the word of a `B`, marked
///   ├───┼───────────────────────┼───┼─────┤
///   │ 1 │ address               │ 0 │ 0 0 │   a box of `T`
///   └───┴───────────────────────┴───┴─────┘
/// ```
pub struct Trio<B: Thin, T> {
    word: NonNull<u8>,
    owned: PhantomData<(Listpack, B, Box<T>)>,
}

/// A buffer that is one word.
///
/// # Safety
/// It is a transparent wrapper of a `ThinBuffer`, whose word leaves bit 2 clear, and whose shared methods read through
/// a word in which that bit is set.
pub unsafe trait Thin: Sized {
    fn into_word(self) -> NonNull<u8>;

    /// # Safety
    /// The word must come from `into_word` and must not be used again.
    unsafe fn from_word(word: NonNull<u8>) -> Self;
}

/// What the word is, to look at.
pub enum Part<'a, B, T> {
    Packed(&'a Listpack),
    Second(&'a B),
    Boxed(&'a T),
}

/// What the word is, to change.
pub enum PartMut<'a, B: Thin, T> {
    Packed(&'a mut Listpack),
    Second(Second<'a, B>),
    Boxed(&'a mut T),
}

/// The second buffer, to change. It is lent to a function, since its word must be marked again afterwards.
pub struct Second<'a, B: Thin> {
    word: &'a mut NonNull<u8>,
    owned: PhantomData<&'a mut B>,
}

const SECOND: usize = 0b100;
const BOXED: usize = 1 << 63;

// SAFETY: it owns what one of the three owns, nothing else.
unsafe impl<B: Thin + Send, T: Send> Send for Trio<B, T> {}
// SAFETY: it gives out what one of the three gives out, nothing else.
unsafe impl<B: Thin + Sync, T: Sync> Sync for Trio<B, T> {}

impl<B: Thin, T> Trio<B, T> {
    #[inline]
    pub fn packed(listpack: Listpack) -> Self {
        Self { word: listpack.into_raw(), owned: PhantomData }
    }

    #[inline]
    pub fn second(buffer: B) -> Self {
        Self { word: marked(buffer), owned: PhantomData }
    }

    #[inline]
    pub fn boxed(value: Box<T>) -> Self {
        const { assert!(align_of::<T>() >= 8) };
        let address = NonNull::from(Box::leak(value)).cast::<u8>();
        assert!(
            address.addr().get() & BOXED == 0,
            "no memory of a process lies in the upper half of the address space"
        );
        Self { word: address.map_addr(|address| address | BOXED), owned: PhantomData }
    }

    #[inline]
    fn is_boxed(&self) -> bool {
        self.word.addr().get() & BOXED != 0
    }

    #[inline]
    fn is_second(&self) -> bool {
        self.word.addr().get() & SECOND != 0
    }

    #[inline]
    fn box_address(&self) -> NonNull<T> {
        debug_assert!(self.is_boxed());
        // SAFETY: the word is a box's address plus the mark, so it is not zero without the mark.
        unsafe { NonNull::new_unchecked(self.word.as_ptr().map_addr(|address| address & !BOXED).cast()) }
    }

    #[inline]
    pub fn part(&self) -> Part<'_, B, T> {
        if self.is_boxed() {
            // SAFETY: the box is owned by this word, which is borrowed as long.
            return Part::Boxed(unsafe { self.box_address().as_ref() });
        }
        if self.is_second() {
            // SAFETY: the word is that of a `B`, which is nothing but its word and may be read with the mark (`Thin`).
            return Part::Second(unsafe { NonNull::from(&self.word).cast::<B>().as_ref() });
        }
        // SAFETY: the word came from `Listpack::into_raw`, and a listpack is nothing but that word.
        Part::Packed(unsafe { NonNull::from(&self.word).cast::<Listpack>().as_ref() })
    }

    #[inline]
    pub fn part_mut(&mut self) -> PartMut<'_, B, T> {
        if self.is_boxed() {
            // SAFETY: the box is owned by this word, which is borrowed exclusively as long.
            return PartMut::Boxed(unsafe { self.box_address().as_mut() });
        }
        if self.is_second() {
            return PartMut::Second(Second { word: &mut self.word, owned: PhantomData });
        }
        // SAFETY: the word came from `Listpack::into_raw`, a listpack is nothing but that word, and every word a
        // listpack makes of itself has both marks clear.
        PartMut::Packed(unsafe { NonNull::from(&mut self.word).cast::<Listpack>().as_mut() })
    }
}

impl<B: Thin> Second<'_, B> {
    /// Lets a function change the buffer.
    #[inline]
    pub fn change<R>(self, change: impl FnOnce(&mut B) -> R) -> R {
        /// Marks the word and puts it back, even where `change` panics.
        struct Lent<'a, B: Thin> {
            word: &'a mut NonNull<u8>,
            buffer: Option<B>,
        }
        impl<B: Thin> Drop for Lent<'_, B> {
            #[inline]
            fn drop(&mut self) {
                if let Some(buffer) = self.buffer.take() {
                    *self.word = marked(buffer);
                }
            }
        }

        // SAFETY: a `Second` is made of a marked word only; it is replaced before anybody can look at it again.
        let buffer = unsafe { B::from_word(unmarked(*self.word)) };
        let mut lent = Lent { word: self.word, buffer: Some(buffer) };
        change(lent.buffer.as_mut().expect("the buffer was lent just now"))
    }
}

#[inline]
fn marked<B: Thin>(buffer: B) -> NonNull<u8> {
    buffer.into_word().map_addr(|address| address | SECOND)
}

#[inline]
fn unmarked(word: NonNull<u8>) -> NonNull<u8> {
    // SAFETY: a buffer's address is not below eight, so it is not zero without the mark.
    unsafe { NonNull::new_unchecked(word.as_ptr().map_addr(|address| address & !SECOND)) }
}

impl<B: Thin, T> Drop for Trio<B, T> {
    fn drop(&mut self) {
        if self.is_boxed() {
            // SAFETY: the word came from `Box::leak` and is not used again.
            drop(unsafe { Box::from_raw(self.box_address().as_ptr()) });
        } else if self.is_second() {
            // SAFETY: the word came from `B::into_word` and is not used again.
            drop(unsafe { B::from_word(unmarked(self.word)) });
        } else {
            // SAFETY: the word came from `Listpack::into_raw` and is not used again.
            drop(unsafe { Listpack::from_raw(self.word) });
        }
    }
}

// SAFETY: an intset is a transparent wrapper of a `ThinBuffer`; its shared methods go through `start` and `capacity`, which
// ignore bit 2.
unsafe impl Thin for Intset {
    #[inline]
    fn into_word(self) -> NonNull<u8> {
        self.into_raw()
    }

    #[inline]
    unsafe fn from_word(word: NonNull<u8>) -> Self {
        // SAFETY: the caller's promise.
        unsafe { Self::from_raw(word) }
    }
}

// SAFETY: as for an intset.
unsafe impl Thin for Listpack {
    #[inline]
    fn into_word(self) -> NonNull<u8> {
        self.into_raw()
    }

    #[inline]
    unsafe fn from_word(word: NonNull<u8>) -> Self {
        // SAFETY: the caller's promise.
        unsafe { Self::from_raw(word) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn all_three_are_told_apart_changed_in_place_and_freed() {
        type Word = Trio<Intset, (u64, Rc<()>)>;
        assert_eq!(size_of::<Option<Word>>(), 8);
        let witness = Rc::new(());
        let mut word = Word::second(Intset::new());
        for value in 0..1000 {
            let PartMut::Second(second) = word.part_mut() else { panic!("it was an intset") };
            assert!(second.change(|intset| intset.insert(value * 70_000)));
        }
        let Part::Second(intset) = word.part() else { panic!("it was an intset") };
        assert!(intset.iter().eq((0..1000).map(|value| value * 70_000)) && intset.memory() >= 4000);
        assert!(intset.clone().contains(70_000));

        word = Word::packed(Listpack::new());
        for value in 0..1000 {
            let PartMut::Packed(listpack) = word.part_mut() else { panic!("it was a listpack") };
            listpack.push_int(value);
        }
        assert!(matches!(word.part(), Part::Packed(listpack) if listpack.len() == 1000));

        word = Word::boxed(Box::new((7, witness.clone())));
        let PartMut::Boxed(value) = word.part_mut() else { panic!("it was a box") };
        value.0 += 1;
        assert!(matches!(word.part(), Part::Boxed((8, _))));
        drop(word);
        assert_eq!(Rc::strong_count(&witness), 1);
    }

    #[test]
    fn a_change_that_panics_leaves_the_buffer_in_its_place() {
        let mut word = Trio::<Listpack, u64>::second(Listpack::new());
        let attempt = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let PartMut::Second(second) = word.part_mut() else { panic!("it was the second") };
            second.change(|listpack| {
                (0..500).for_each(|value| listpack.push_int(value));
                panic!("in the middle");
            })
        }));
        assert!(attempt.is_err());
        assert!(matches!(word.part(), Part::Second(listpack) if listpack.len() == 500));
    }
}
