//! Whether the loop looks again at once when there is nothing to do, or lets the processor sleep.
//!
//! A server that sleeps after every request loses a tenth of its throughput to being woken; one that always looks again burns the processor
//! for nothing when requests come far apart. So it looks again as long as that has lately paid: when the next request came within the
//! time that would be spent looking.

/// After the last request the loop looks for more for at most this long.
const SPIN_US: u64 = 20;
/// So much later a request is heard of by who sleeps than by who looks.
const WAKE_US: u64 = 5;
/// Every request that came soon counts one for looking, up to this; one that did not counts two against.
const SCORE_MAX: u32 = 16;

#[derive(Default)]
pub struct Spin {
    /// When the last turn that had work ended, in microseconds.
    idle_since_us: u64,
    score: u32,
}

impl Spin {
    /// To be told of every turn when it began, and when it ended if there was work. Whether to look again at once.
    #[inline]
    pub fn looks_again(&mut self, began_us: u64, ended_us: Option<u64>) -> bool {
        let gap_us = began_us.saturating_sub(self.idle_since_us);
        let Some(ended_us) = ended_us else { return self.score > 0 && gap_us < SPIN_US };
        self.idle_since_us = ended_us;
        let came_soon = gap_us < SPIN_US + WAKE_US;
        self.score = if came_soon { (self.score + 1).min(SCORE_MAX) } else { self.score.saturating_sub(2) };
        self.score > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests so far apart, for a while: how many turns of nothing there were after each of the last ones.
    fn looks(spin: &mut Spin, gap_us: u64) -> u64 {
        const TURN_US: u64 = 4;
        let mut now_us = spin.idle_since_us + 1_000;
        let mut looked = 0;
        for request in 0..100 {
            let next_us = now_us + TURN_US + gap_us;
            let mut again = spin.looks_again(now_us, Some(now_us + TURN_US));
            now_us += TURN_US;
            while again && now_us < next_us {
                again = spin.looks_again(now_us, None);
                now_us += 1;
                looked += u64::from(request >= 80);
            }
            now_us = next_us;
        }
        looked / 20
    }

    #[test]
    fn looks_again_as_long_as_that_pays() {
        let mut spin = Spin::default();
        assert_eq!(looks(&mut spin, 10), 10, "each request is awaited");
        assert_eq!(looks(&mut spin, 100), 0, "nothing comes soon");
        assert_eq!(looks(&mut spin, 15), 15, "and now it does again");
    }

    #[test]
    fn looking_ends_when_nothing_comes() {
        let mut spin = Spin::default();
        looks(&mut spin, 0);
        let start = spin.idle_since_us;
        assert!(spin.looks_again(start, None));
        assert!(spin.looks_again(start + SPIN_US - 1, None));
        assert!(!spin.looks_again(start + SPIN_US, None));
    }
}
