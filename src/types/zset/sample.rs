//! Random members, each with the same probability. The random source comes in as a function.

use super::{Entry, Zset};
use hashbrown::HashSet;

impl Zset {
    /// One member.
    pub fn random(&self, random: &mut impl FnMut() -> u64) -> Option<Entry<'_>> {
        let len = self.len();
        if len == 0 {
            return None;
        }
        self.nth(below(random(), len))
    }

    /// `count` distinct members (all where there are no more), in order.
    pub fn sample(&self, count: u64, random: &mut impl FnMut() -> u64, mut show: impl FnMut(Entry<'_>)) {
        let len = self.len();
        if count.saturating_mul(3) >= len {
            return self.sample_walking(count, random, show);
        }
        // Each round makes one more of the ranks up to `top` chosen; were its rank taken, `top` itself cannot be.
        let mut chosen = HashSet::with_capacity(count as usize);
        for top in len - count..len {
            let rank = below(random(), top + 1);
            if !chosen.insert(rank) {
                chosen.insert(top);
            }
        }
        let mut ranks: Vec<u64> = chosen.into_iter().collect();
        ranks.sort_unstable();
        ranks.into_iter().filter_map(|rank| self.nth(rank)).for_each(&mut show);
    }

    /// Passes over all members and takes each with the probability of those still needed among those still to come.
    fn sample_walking(&self, count: u64, random: &mut impl FnMut() -> u64, mut show: impl FnMut(Entry<'_>)) {
        let mut to_come = self.len();
        let mut needed = count.min(to_come);
        for entry in self.iter() {
            if needed == 0 {
                return;
            }
            if below(random(), to_come) < needed {
                show(entry);
                needed -= 1;
            }
            to_come -= 1;
        }
    }
}

/// Maps a random word to `0..limit`, with a bias of less than `limit / 2^64`.
fn below(word: u64, limit: u64) -> u64 {
    ((u128::from(word) * u128::from(limit)) >> 64) as u64
}
