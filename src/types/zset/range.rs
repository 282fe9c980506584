//! Bounds of ranges: of scores, of bytes, of indexes; how clients write them, and LIMIT.

use crate::util::float::parse_score_bound;
use std::ops::Range;

/// One end of a range of scores.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ScoreBound {
    pub value: f64,
    pub exclusive: bool,
}

/// A range of scores, both ends within unless exclusive.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ScoreRange {
    pub min: ScoreBound,
    pub max: ScoreBound,
}

/// One end of a range of bytes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum LexBound<'a> {
    /// `-`, before everything
    Lowest,
    /// `[member`
    Included(&'a [u8]),
    /// `(member`
    Excluded(&'a [u8]),
    /// `+`, after everything
    Highest,
}

/// A range of bytes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LexRange<'a> {
    pub min: LexBound<'a>,
    pub max: LexBound<'a>,
}

impl ScoreBound {
    /// Parses `1.5`, `(1.5`, `-inf`, `+inf`. `None` where it is no number.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (number, exclusive) = match text {
            [b'(', number @ ..] => (number, true),
            number => (number, false),
        };
        let value = parse_score_bound(number).filter(|value| !value.is_nan())?;
        Some(Self { value, exclusive })
    }
}

impl ScoreRange {
    pub fn parse(min: &[u8], max: &[u8]) -> Option<Self> {
        Some(Self { min: ScoreBound::parse(min)?, max: ScoreBound::parse(max)? })
    }

    /// Whether a score is at or above the lower end.
    #[inline]
    pub fn reaches(&self, score: f64) -> bool {
        if self.min.exclusive { score > self.min.value } else { score >= self.min.value }
    }

    /// Whether a score is past the upper end.
    #[inline]
    pub fn is_past(&self, score: f64) -> bool {
        if self.max.exclusive { score >= self.max.value } else { score > self.max.value }
    }
}

impl<'a> LexBound<'a> {
    /// Parses `-`, `+`, `[member`, `(member`.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        match text {
            b"-" => Some(Self::Lowest),
            b"+" => Some(Self::Highest),
            [b'[', member @ ..] => Some(Self::Included(member)),
            [b'(', member @ ..] => Some(Self::Excluded(member)),
            _ => None,
        }
    }
}

impl<'a> LexRange<'a> {
    pub fn parse(min: &'a [u8], max: &'a [u8]) -> Option<Self> {
        Some(Self { min: LexBound::parse(min)?, max: LexBound::parse(max)? })
    }

    /// Whether a member is at or above the lower end.
    pub fn reaches(&self, member: &[u8]) -> bool {
        match self.min {
            LexBound::Lowest => true,
            LexBound::Included(min) => member >= min,
            LexBound::Excluded(min) => member > min,
            LexBound::Highest => false,
        }
    }

    /// Whether a member is past the upper end.
    pub fn is_past(&self, member: &[u8]) -> bool {
        match self.max {
            LexBound::Lowest => true,
            LexBound::Included(max) => member > max,
            LexBound::Excluded(max) => member >= max,
            LexBound::Highest => false,
        }
    }
}

/// The ranks between two indexes, both within; negative ones count from the end. Counted from the high end with `reverse`.
pub fn ranks_of_indexes(len: u64, start: i64, stop: i64, reverse: bool) -> Range<u64> {
    let from_end = |index: i64| match index {
        ..0 => len.checked_sub(index.unsigned_abs()),
        _ => Some(index as u64),
    };
    let start = from_end(start).unwrap_or(0);
    let Some(stop) = from_end(stop) else { return 0..0 };
    let end = stop.saturating_add(1).min(len);
    match (start < end, reverse) {
        (false, _) => 0..0,
        (true, false) => start..end,
        (true, true) => len - end..len - start,
    }
}

/// What LIMIT leaves of the ranks: `count` of them after `offset`, from the end that the walk begins at. A negative
/// count means all, a negative offset none.
pub fn limit(ranks: Range<u64>, offset: i64, count: i64, reverse: bool) -> Range<u64> {
    let Ok(offset) = u64::try_from(offset) else { return 0..0 };
    let offset = offset.min(ranks.end.saturating_sub(ranks.start));
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    if reverse {
        let end = ranks.end - offset;
        return end.saturating_sub(count).max(ranks.start)..end;
    }
    let start = ranks.start + offset;
    start..start.saturating_add(count).min(ranks.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_become_ranks() {
        assert_eq!(ranks_of_indexes(10, 0, -1, false), 0..10);
        assert_eq!(ranks_of_indexes(10, 0, 2, true), 7..10);
        assert_eq!(ranks_of_indexes(10, -3, 100, false), 7..10);
        assert_eq!(ranks_of_indexes(10, -100, -100, false), 0..0);
        assert_eq!(ranks_of_indexes(10, 5, 4, true), 0..0);
        assert_eq!(ranks_of_indexes(10, i64::MIN, i64::MAX, true), 0..10);
        assert_eq!(ranks_of_indexes(0, 0, -1, false), 0..0);
    }

    #[test]
    fn limits_count_from_where_the_walk_begins() {
        assert_eq!(limit(5..20, 2, 3, false), 7..10);
        assert_eq!(limit(5..20, 2, 3, true), 15..18);
        assert_eq!(limit(5..20, 2, -1, true), 5..18);
        assert_eq!(limit(5..20, 0, i64::MAX, false), 5..20);
        assert!(limit(5..20, 100, 3, false).is_empty());
        assert!(limit(5..20, 100, 3, true).is_empty());
        assert!(limit(5..20, -1, 3, false).is_empty());
        assert!(limit(5..20, 3, 0, true).is_empty());
    }

    #[test]
    fn bounds_are_parsed_as_clients_write_them() {
        assert_eq!(ScoreBound::parse(b"(1.5"), Some(ScoreBound { value: 1.5, exclusive: true }));
        assert_eq!(ScoreBound::parse(b"-inf"), Some(ScoreBound { value: f64::NEG_INFINITY, exclusive: false }));
        for text in ["nan", "[1", "(nan", "x", "1x"] {
            assert_eq!(ScoreBound::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(LexBound::parse(b"["), Some(LexBound::Included(b"")));
        for text in ["", "a", "--", "+a", "-inf"] {
            assert_eq!(LexBound::parse(text.as_bytes()), None, "{text}");
        }
    }
}
