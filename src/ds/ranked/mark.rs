//! Places in the order of a ranked tree: before or behind an entry, a score, a member.
//!
//! A search compares scores first, all of a node in a row; a mark says for which scores it needs the members too.

use super::record::Record;

/// A place between entries. All three answers must be monotone in the order of entries.
pub(super) trait Mark: Copy {
    /// Whether entries of this score come before the mark, whatever their members.
    fn is_after(self, score: f64) -> bool;

    /// Whether among entries of this score the member decides.
    fn ties_with(self, score: f64) -> bool;

    /// Whether such an entry comes before the mark.
    fn is_after_member(self, record: Record) -> bool;
}

/// Before the entry of this score and member.
#[derive(Clone, Copy)]
pub(super) struct Before<'a>(pub f64, pub &'a [u8]);

/// Behind this entry, which is in the tree.
#[derive(Clone, Copy)]
pub(super) struct Through(pub Record);

/// Before all entries of this score.
#[derive(Clone, Copy)]
pub(super) struct BeforeScore(pub f64);

/// Behind all entries of this score.
#[derive(Clone, Copy)]
pub(super) struct ThroughScore(pub f64);

/// Before this member, were all scores equal.
#[derive(Clone, Copy)]
pub(super) struct BeforeMember<'a>(pub &'a [u8]);

/// Behind this member, were all scores equal.
#[derive(Clone, Copy)]
pub(super) struct ThroughMember<'a>(pub &'a [u8]);

impl Mark for Before<'_> {
    #[inline]
    fn is_after(self, score: f64) -> bool {
        score < self.0
    }

    #[inline]
    fn ties_with(self, score: f64) -> bool {
        score == self.0
    }

    #[inline]
    fn is_after_member(self, record: Record) -> bool {
        record.member() < self.1
    }
}

impl Mark for Through {
    #[inline]
    fn is_after(self, score: f64) -> bool {
        score < self.0.score()
    }

    #[inline]
    fn ties_with(self, score: f64) -> bool {
        score == self.0.score()
    }

    #[inline]
    fn is_after_member(self, record: Record) -> bool {
        record == self.0 || record.member() < self.0.member()
    }
}

impl Mark for BeforeScore {
    #[inline]
    fn is_after(self, score: f64) -> bool {
        score < self.0
    }

    fn ties_with(self, _: f64) -> bool {
        false
    }

    fn is_after_member(self, _: Record) -> bool {
        false
    }
}

impl Mark for ThroughScore {
    #[inline]
    fn is_after(self, score: f64) -> bool {
        score <= self.0
    }

    fn ties_with(self, _: f64) -> bool {
        false
    }

    fn is_after_member(self, _: Record) -> bool {
        false
    }
}

impl Mark for BeforeMember<'_> {
    fn is_after(self, _: f64) -> bool {
        false
    }

    fn ties_with(self, _: f64) -> bool {
        true
    }

    #[inline]
    fn is_after_member(self, record: Record) -> bool {
        record.member() < self.0
    }
}

impl Mark for ThroughMember<'_> {
    fn is_after(self, _: f64) -> bool {
        false
    }

    fn ties_with(self, _: f64) -> bool {
        true
    }

    #[inline]
    fn is_after_member(self, record: Record) -> bool {
        record.member() <= self.0
    }
}
