//! Deadlines of fields: set and cleared on conditions, and fields removed in the order in which they are due.

use super::packed::{self, Entries, Stride};
use super::{Entry, Hash, is_live};
use crate::ds::item::Item;
use crate::ds::trio::{Part, PartMut};

/// When a deadline may be set. A field without one counts as due at the end of all time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    Always,
    /// NX
    IfNone,
    /// XX
    IfSome,
    /// GT
    IfLater,
    /// LT
    IfEarlier,
}

/// What came of setting a deadline; the numbers are HEXPIRE's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expired {
    NoField = -2,
    Refused = 0,
    Set = 1,
    /// The deadline is not in the future, so the field is gone.
    Deleted = 2,
}

/// What came of clearing a deadline; the numbers are HPERSIST's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Persisted {
    NoField = -2,
    NoDeadline = -1,
    Cleared = 1,
}

impl Condition {
    fn allows(self, old: Option<u64>, new: u64) -> bool {
        match self {
            Self::Always => true,
            Self::IfNone => old.is_none(),
            Self::IfSome => old.is_some(),
            Self::IfLater => old.is_some_and(|old| new > old),
            Self::IfEarlier => old.is_none_or(|old| new < old),
        }
    }
}

impl Hash {
    /// Gives a field a deadline where the condition allows it. A small hash gets room for deadlines even where nothing
    /// is set, as in Redis.
    pub fn expire(&mut self, field: &[u8], deadline: u64, condition: Condition, now: u64) -> Expired {
        self.make_room_for_deadlines();
        let Some((_, old)) = self.entry(field, now) else { return Expired::NoField };
        if !condition.allows(old, deadline) {
            return Expired::Refused;
        }
        if deadline <= now {
            self.remove(field, now);
            return Expired::Deleted;
        }
        self.set_deadline(field, Some(deadline));
        Expired::Set
    }

    /// Takes a field's deadline away.
    pub fn persist(&mut self, field: &[u8], now: u64) -> Persisted {
        match self.entry(field, now) {
            None => Persisted::NoField,
            Some((_, None)) => Persisted::NoDeadline,
            Some((_, Some(_))) => {
                self.set_deadline(field, None);
                Persisted::Cleared
            }
        }
    }

    /// A field's deadline, if it has one; `None` where there is no field.
    pub fn deadline(&self, field: &[u8], now: u64) -> Option<Option<u64>> {
        self.entry(field, now).map(|(_, deadline)| deadline)
    }

    /// The earliest deadline of all; fields are due once it lies before the time.
    pub fn next_deadline(&self) -> Option<u64> {
        match self.0.part() {
            Part::Packed(_) => None,
            Part::Second(listpack) => Entries::new(listpack, Stride::Triples).next().and_then(|entry| entry.deadline),
            Part::Boxed(fields) => fields.first_due(),
        }
    }

    /// Whether a deadline has passed of which `expire_due` has not heard.
    #[inline]
    pub fn has_due(&self, now: u64) -> bool {
        self.next_deadline().is_some_and(|deadline| deadline < now)
    }

    /// Removes a field whose deadline has passed. Whether there was one.
    pub fn remove_due(&mut self, field: &[u8], now: u64) -> bool {
        let is_due = self.entry(field, 0).is_some_and(|(_, deadline)| !is_live(deadline, now));
        if is_due {
            self.remove(field, 0);
        }
        is_due
    }

    /// Removes up to `max` fields whose deadlines have passed, the earliest first, showing each. How many.
    pub fn expire_due(&mut self, now: u64, max: usize, mut show: impl FnMut(Item<'_>)) -> usize {
        match self.0.part_mut() {
            PartMut::Packed(_) => 0,
            PartMut::Second(second) => second.change(|listpack| {
                let due = |entry: &Entry<'_>| !is_live(entry.deadline, now);
                let entries = Entries::new(listpack, Stride::Triples).take_while(due).take(max);
                let removed = entries.inspect(|entry| show(entry.field)).count();
                listpack.delete_range(0, removed * Stride::Triples as usize);
                removed
            }),
            PartMut::Boxed(fields) => {
                let mut removed = 0;
                while removed < max && fields.take_due_before(now, |field| show(Item::Bytes(field.name()))) {
                    removed += 1;
                }
                removed
            }
        }
    }

    /// Changes the deadline of a field that is there. The hash has room for it.
    fn set_deadline(&mut self, field: &[u8], deadline: Option<u64>) {
        match self.0.part_mut() {
            PartMut::Packed(_) => {}
            PartMut::Second(second) => second.change(|listpack| {
                let position = packed::find(listpack, field, Stride::Triples).map(|found| found.position);
                position.into_iter().for_each(|position| packed::set_deadline(listpack, position, deadline));
            }),
            PartMut::Boxed(fields) => {
                fields.set_deadline(field, deadline);
            }
        }
    }
}
