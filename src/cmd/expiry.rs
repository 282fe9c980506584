//! When something is to lapse, as commands say it: EX, PX, EXAT, PXAT, in seconds or milliseconds, from now or by the clock.
//!
//! SET and its like refuse what is not in the future's direction; EXPIRE and its like take any sign, since a deadline in
//! the past is a way to delete (`cmd::keys`).

use super::error::{NOT_AN_INTEGER, Stop, error_with};
use crate::util::number::parse_i64;

/// What the number of a deadline counts, and from where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// EX
    Seconds,
    /// PX
    Milliseconds,
    /// EXAT
    UnixSeconds,
    /// PXAT
    UnixMilliseconds,
}

impl Unit {
    /// The unit that an option's name stands for.
    pub fn of_option(name: &[u8]) -> Option<Self> {
        [
            ("EX", Unit::Seconds),
            ("PX", Unit::Milliseconds),
            ("EXAT", Unit::UnixSeconds),
            ("PXAT", Unit::UnixMilliseconds),
        ]
        .into_iter()
        .find_map(|(option, unit)| name.eq_ignore_ascii_case(option.as_bytes()).then_some(unit))
    }

    fn is_relative(self) -> bool {
        matches!(self, Unit::Seconds | Unit::Milliseconds)
    }

    fn factor(self) -> i64 {
        match self {
            Unit::Seconds | Unit::UnixSeconds => 1000,
            Unit::Milliseconds | Unit::UnixMilliseconds => 1,
        }
    }

    /// The Unix time in milliseconds that `amount` means; `None` where it does not fit.
    pub fn unix_ms(self, amount: i64, now: u64) -> Option<i64> {
        let ms = amount.checked_mul(self.factor())?;
        if self.is_relative() { ms.checked_add(i64::try_from(now).ok()?) } else { Some(ms) }
    }

    /// The deadline of a value that is being stored: zero and negative numbers are refused.
    pub fn deadline(self, amount: &[u8], now: u64, command: &str) -> Result<u64, Stop> {
        let amount = parse_i64(amount).ok_or(NOT_AN_INTEGER)?;
        let unix_ms = if amount > 0 { self.unix_ms(amount, now) } else { None };
        unix_ms.and_then(|ms| u64::try_from(ms).ok()).ok_or_else(|| invalid_expire_time(command))
    }
}

/// Redis's refusal of a deadline.
pub fn invalid_expire_time(command: &str) -> Stop {
    error_with(format!("ERR invalid expire time in '{command}' command"))
}
