//! Choosing at random, each choice as likely as any other. The random source comes in as a function.

use crate::util::random::below;
use hashbrown::HashSet;

/// Chooses so many of a number of things that come by one after the other (Knuth's algorithm S): each is taken with the
/// probability of those still needed among those still to come.
pub struct Selection {
    needed: usize,
    to_come: usize,
}

impl Selection {
    pub fn new(needed: usize, of: usize) -> Self {
        Self { needed: needed.min(of), to_come: of }
    }

    #[inline]
    pub fn is_done(&self) -> bool {
        self.needed == 0
    }

    /// Whether the next thing is one of the chosen.
    #[inline]
    pub fn takes(&mut self, random: &mut impl FnMut() -> u64) -> bool {
        let taken = self.needed > 0 && index(self.to_come, random) < self.needed;
        self.needed -= usize::from(taken);
        self.to_come = self.to_come.saturating_sub(1);
        taken
    }
}

/// An index into `length` things; 0 where there are none.
#[inline]
pub fn index(length: usize, random: &mut impl FnMut() -> u64) -> usize {
    below(length as u64, random) as usize
}

/// Draws from `draw`, which gives one of many distinct things as `(identity, thing)`, until so many distinct ones were shown.
/// For counts well below the number of things.
pub fn distinct<T>(count: usize, mut draw: impl FnMut() -> Option<(usize, T)>, mut show: impl FnMut(T)) {
    let mut seen = HashSet::with_capacity(count);
    while seen.len() < count {
        let Some((identity, thing)) = draw() else { return };
        if seen.insert(identity) {
            show(thing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::random::Random;

    #[test]
    fn every_pair_is_selected_as_often() {
        let mut random = Random::new(5);
        let mut counts = [[0u32; 5]; 5];
        for _ in 0..10_000 {
            let mut selection = Selection::new(2, 5);
            let chosen: Vec<usize> = (0..5).filter(|_| selection.takes(&mut || random.next_u64())).collect();
            assert!(selection.is_done());
            counts[chosen[0]][chosen[1]] += 1;
        }
        let pairs = (0..5).flat_map(|low| (low + 1..5).map(move |high| (low, high)));
        // Ten pairs, 1,000 expected of each, six standard deviations.
        pairs.for_each(|(low, high)| assert!(counts[low][high].abs_diff(1000) < 180, "{counts:?}"));
    }
}
