//! A small, fast, seedable source of randomness: xoshiro256++ (David Blackman and Sebastiano Vigna, 2019, public domain).
//!
//! The same seed gives the same numbers on every machine, which is what whole-server simulation needs. Nothing secret
//! may be made with it: passwords and identifiers that must not be guessed come from the operating system.

/// A generator; its four words are never all zero.
#[derive(Clone, Debug)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// Any seed will do: the state is spread from it with SplitMix64, as the authors advise.
    pub fn new(seed: u64) -> Self {
        let mut left = seed;
        Self { state: std::array::from_fn(|_| split_mix(&mut left)) }
    }

    /// 64 evenly distributed bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// A number below `bound`, every one equally likely; 0 where `bound` is 0.
    ///
    /// Daniel Lemire, "Fast Random Integer Generation in an Interval", 2019: a division only where a second try is near.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        below(bound, &mut || self.next_u64())
    }

    /// An index into `length` things; 0 where there are none.
    #[inline]
    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// A number from 0 up to, but not, 1.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A number below `bound` made from any source of even bits; 0 where `bound` is 0.
#[inline]
pub fn below(bound: u64, source: &mut impl FnMut() -> u64) -> u64 {
    let mut product = u128::from(source()) * u128::from(bound);
    if (product as u64) < bound {
        let uneven = bound.wrapping_neg() % bound;
        while (product as u64) < uneven {
            product = u128::from(source()) * u128::from(bound);
        }
    }
    (product >> 64) as u64
}

/// SplitMix64's next number (Sebastiano Vigna, public domain).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_numbers_of_the_published_generator() {
        let mut random = Random { state: [1, 2, 3, 4] };
        let numbers: Vec<u64> = (0..4).map(|_| random.next_u64()).collect();
        assert_eq!(numbers, [41943041, 58720359, 3588806011781223, 3591011842654386]);
        let mut state = 1234567;
        assert_eq!(split_mix(&mut state), 6457827717110365317);
    }

    #[test]
    fn every_number_below_the_bound_is_as_likely() {
        let mut random = Random::new(7);
        for bound in [1usize, 2, 3, 10, 60] {
            let mut counts = vec![0u32; bound];
            for _ in 0..bound * 10_000 {
                counts[random.index(bound)] += 1;
            }
            // Six standard deviations of 10,000 hits each.
            assert!(counts.iter().all(|count| count.abs_diff(10_000) < 600), "{counts:?}");
        }
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn a_bound_that_divides_badly_is_not_favoured_below() {
        // Two thirds of 2^64: without the second try the lower half would come up twice as often as the upper.
        let bound = 3u64 << 62;
        let mut random = Random::new(9);
        let low = (0..30_000).filter(|_| random.below(bound) < bound / 3).count();
        assert!(low.abs_diff(10_000) < 500, "{low}");
    }

    #[test]
    fn unit_stays_below_one() {
        let mut random = Random::new(0);
        assert!((0..10_000).all(|_| (0.0..1.0).contains(&random.unit())));
    }
}
