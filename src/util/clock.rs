//! The processor's own tick counter, for measuring commands at a cost of a few nanoseconds.
//!
//! Only statistics use it: nothing that decides anything reads a clock below `net`.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Ticks of a counter that runs at a constant rate.
#[inline]
pub fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: RDTSC exists on every x86-64.
    unsafe {
        std::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    monotonic_us().saturating_mul(1000)
}

/// Ticks as microseconds, rounded down.
#[inline]
pub fn ticks_to_us(ticks: u64) -> u64 {
    ticks / ticks_per_us()
}

#[inline]
pub fn us_to_ticks(us: u64) -> u64 {
    us.saturating_mul(ticks_per_us())
}

/// Ticks as nanoseconds.
pub fn ticks_to_ns(ticks: u64) -> u64 {
    (u128::from(ticks) * 1000 / u128::from(ticks_per_us())) as u64
}

/// Ticks in a microsecond, at least one. Measured once, which takes two milliseconds.
#[inline]
pub fn ticks_per_us() -> u64 {
    static RATE: OnceLock<u64> = OnceLock::new();
    *RATE.get_or_init(|| {
        let (start, begin) = (Instant::now(), ticks());
        while start.elapsed() < Duration::from_millis(2) {
            std::hint::spin_loop();
        }
        let ticks = ticks().wrapping_sub(begin);
        (ticks / start.elapsed().as_micros().max(1) as u64).max(1)
    })
}

/// Microseconds since the process began to count.
pub fn monotonic_us() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_micros() as u64
}

/// Unix time in microseconds.
pub fn unix_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}
