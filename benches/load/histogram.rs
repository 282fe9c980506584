//! A histogram of durations with a bounded relative error, and the small statistics (median, least, most) of rounds.
//! It is pure: `client.rs` fills it, `report.rs` prints it.

/// Buckets per doubling: 64 keep the error of a percentile below 1.6 %.
const STEPS_BITS: u32 = 6;
const STEPS: usize = 1 << STEPS_BITS;

/// Counts of durations in nanoseconds: exact below 64 ns, then 64 buckets for each doubling.
#[derive(Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: vec![0; STEPS * (64 - STEPS_BITS as usize + 1)], total: 0, max_ns: 0 }
    }
}

impl Histogram {
    pub fn record(&mut self, duration_ns: u64, times: u64) {
        self.counts[bucket(duration_ns)] += times;
        self.total += times;
        self.max_ns = self.max_ns.max(duration_ns);
    }

    pub fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
        self.max_ns = 0;
    }

    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// The duration that `fraction` of all are not above (to the bucket's width); 0 where nothing was recorded.
    pub fn percentile_ns(&self, fraction: f64) -> u64 {
        let rank = ((self.total as f64 * fraction).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return bucket_top_ns(index).min(self.max_ns);
            }
        }
        self.max_ns
    }
}

fn bucket(duration_ns: u64) -> usize {
    let doublings = (64 - duration_ns.leading_zeros()).saturating_sub(STEPS_BITS + 1);
    let step = (duration_ns >> doublings) as usize;
    doublings as usize * STEPS + step
}

fn bucket_top_ns(index: usize) -> u64 {
    if index < 2 * STEPS {
        return index as u64;
    }
    let doublings = index / STEPS - 1;
    let step = (index - doublings * STEPS) as u64;
    ((step + 1) << doublings).wrapping_sub(1)
}

/// The middle of the values, the mean of the two middle ones where their number is even; NaN of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => (sorted[count / 2 - 1] + sorted[count / 2]) / 2.0,
    }
}

pub fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::min)
}

pub fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::max)
}
