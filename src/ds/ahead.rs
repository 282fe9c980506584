//! Walking over scattered things without waiting for each.
//!
//! An iterator of pointers is kept some steps ahead of its reader, and what the pointers lead to is asked for as soon as they
//! are known.

/// Something that can be asked for before it is read.
pub trait Fetch: Copy {
    fn fetch(&self);
}

/// An iterator that fetches `AHEAD` steps before it gives.
pub struct Ahead<I: Iterator> {
    inner: I,
    /// The next ones in a ring; none in the place where the walk ends.
    waiting: [Option<I::Item>; AHEAD],
    next: usize,
}

const AHEAD: usize = 16;

impl<I: Iterator<Item: Fetch>> Ahead<I> {
    pub fn new(mut inner: I) -> Self {
        let waiting = std::array::from_fn(|_| inner.next().inspect(Fetch::fetch));
        Self { inner, waiting, next: 0 }
    }
}

impl<I: Iterator<Item: Fetch>> Iterator for Ahead<I> {
    type Item = I::Item;

    #[inline]
    fn next(&mut self) -> Option<I::Item> {
        let place = &mut self.waiting[self.next];
        let given = (*place)?;
        *place = self.inner.next().inspect(Fetch::fetch);
        self.next = (self.next + 1) % AHEAD;
        Some(given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Fetch for usize {
        fn fetch(&self) {}
    }

    #[test]
    fn gives_everything_once_and_in_order() {
        for count in [0, 1, AHEAD - 1, AHEAD, AHEAD + 1, 100] {
            assert!(Ahead::new(0..count).eq(0..count));
        }
    }
}
