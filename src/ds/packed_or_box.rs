//! One machine word that is either a listpack or a boxed larger structure.
//!
//! Collections start as the one and become the other; this file only keeps them apart, by bit 2 of the word,
//! which `thin` leaves clear. When to change is the business of the types.

use super::listpack::Listpack;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// ```text
///   address of a listpack's buffer │ 0 │ c c          address of a `Box<T>` │ 1 │ 0 0
/// ```
pub struct PackedOrBox<T> {
    word: NonNull<u8>,
    owned: PhantomData<(Listpack, Box<T>)>,
}

/// What the word is, to look at.
pub enum Shape<'a, T> {
    Packed(&'a Listpack),
    Boxed(&'a T),
}

/// What the word is, to change.
pub enum ShapeMut<'a, T> {
    Packed(&'a mut Listpack),
    Boxed(&'a mut T),
}

const BOXED: usize = 0b100;

// SAFETY: it owns what a listpack or a box owns, nothing else.
unsafe impl<T: Send> Send for PackedOrBox<T> {}
// SAFETY: it gives out what a listpack or a box gives out, nothing else.
unsafe impl<T: Sync> Sync for PackedOrBox<T> {}

impl<T> PackedOrBox<T> {
    const ALIGNED: () = assert!(align_of::<T>() >= 8);

    #[inline]
    pub fn packed(listpack: Listpack) -> Self {
        Self { word: listpack.into_raw(), owned: PhantomData }
    }

    #[inline]
    pub fn boxed(value: Box<T>) -> Self {
        const { Self::ALIGNED };
        let word = NonNull::from(Box::leak(value)).cast::<u8>().map_addr(|address| address | BOXED);
        Self { word, owned: PhantomData }
    }

    #[inline]
    fn is_boxed(&self) -> bool {
        self.word.addr().get() & BOXED != 0
    }

    #[inline]
    fn box_address(&self) -> NonNull<T> {
        debug_assert!(self.is_boxed());
        // SAFETY: the word is a box's address plus the mark, so it is not zero without the mark.
        unsafe { NonNull::new_unchecked(self.word.as_ptr().wrapping_sub(BOXED).cast()) }
    }

    #[inline]
    pub fn shape(&self) -> Shape<'_, T> {
        if self.is_boxed() {
            // SAFETY: the box is owned by this word, which is borrowed as long.
            return Shape::Boxed(unsafe { self.box_address().as_ref() });
        }
        // SAFETY: the word came from `Listpack::into_raw`, and a listpack is nothing but that word.
        Shape::Packed(unsafe { NonNull::from(&self.word).cast::<Listpack>().as_ref() })
    }

    #[inline]
    pub fn shape_mut(&mut self) -> ShapeMut<'_, T> {
        if self.is_boxed() {
            // SAFETY: the box is owned by this word, which is borrowed exclusively as long.
            return ShapeMut::Boxed(unsafe { self.box_address().as_mut() });
        }
        // SAFETY: the word came from `Listpack::into_raw`, a listpack is nothing but that word, and every word a
        // listpack makes of itself has the mark clear.
        ShapeMut::Packed(unsafe { NonNull::from(&mut self.word).cast::<Listpack>().as_mut() })
    }
}

impl<T> Drop for PackedOrBox<T> {
    fn drop(&mut self) {
        if self.is_boxed() {
            // SAFETY: the word came from `Box::leak` and is not used again.
            drop(unsafe { Box::from_raw(self.box_address().as_ptr()) });
        } else {
            // SAFETY: the word came from `Listpack::into_raw` and is not used again.
            drop(unsafe { Listpack::from_raw(self.word) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_is_freed_and_changed_in_place() {
        assert_eq!(size_of::<Option<PackedOrBox<String>>>(), 8);
        let mut word = PackedOrBox::<String>::packed(Listpack::new());
        let ShapeMut::Packed(listpack) = word.shape_mut() else { panic!("it was packed") };
        (0..100).for_each(|value| listpack.push_int(value));
        assert!(matches!(word.shape(), Shape::Packed(listpack) if listpack.len() == 100));
        word = PackedOrBox::boxed(Box::new("boxed".to_string()));
        let ShapeMut::Boxed(text) = word.shape_mut() else { panic!("it was boxed") };
        text.push('!');
        assert!(matches!(word.shape(), Shape::Boxed(text) if text == "boxed!"));
    }
}
