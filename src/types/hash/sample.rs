//! Random fields, each that can be seen with the same probability. The random source comes in as a function.

use super::{Entry, Hash, entry, is_live};
use crate::ds::fields::{FieldRef, Fields};
use crate::ds::trio::Part;
use crate::types::sampling::{self, Selection};

/// How often a field that cannot be seen may be drawn before all that can are looked for.
const MISSES_MAX: usize = 100;

impl Hash {
    /// One field.
    pub fn random(&self, now: u64, random: &mut impl FnMut() -> u64) -> Option<Entry<'_>> {
        match self.0.part() {
            Part::Boxed(fields) => random_live(fields, now, random).map(entry),
            _ => self.iter(now).nth(sampling::index(self.live_len(now), random)),
        }
    }

    /// Shows `count` fields, each drawn from all.
    pub fn draws(
        &self,
        count: usize,
        now: u64,
        random: &mut impl FnMut() -> u64,
        mut show: impl FnMut(Entry<'_>) -> bool,
    ) {
        if !matches!(self.0.part(), Part::Boxed(_)) {
            // A field of a listpack is found by walking, so that is done once.
            let entries: Vec<Entry<'_>> = self.iter(now).collect();
            let draws = if entries.is_empty() { 0 } else { count };
            let _ = (0..draws).all(|_| show(entries[sampling::index(entries.len(), random)]));
            return;
        }
        for _ in 0..count {
            let Some(entry) = self.random(now, random) else { return };
            if !show(entry) {
                return;
            }
        }
    }

    /// Shows `count` distinct fields, all where there are no more, every choice as likely as any other.
    pub fn sample(&self, count: usize, now: u64, random: &mut impl FnMut() -> u64, mut show: impl FnMut(Entry<'_>)) {
        let len = self.live_len(now);
        if count >= len {
            return self.iter(now).for_each(show);
        }
        if let Part::Boxed(fields) = self.0.part()
            && count.saturating_mul(4) < len
        {
            let draw = || {
                let field = random_live(fields, now, random)?;
                Some((field.name().as_ptr().addr(), field))
            };
            return sampling::distinct(count, draw, |field| show(entry(field)));
        }
        let mut selection = Selection::new(count, len);
        for entry in self.iter(now) {
            if selection.is_done() {
                return;
            }
            if selection.takes(random) {
                show(entry);
            }
        }
    }
}

fn random_live<'a>(fields: &'a Fields, now: u64, random: &mut impl FnMut() -> u64) -> Option<FieldRef<'a>> {
    for _ in 0..MISSES_MAX {
        let field = fields.random(random)?;
        if is_live(field.deadline(), now) {
            return Some(field);
        }
    }
    let live = fields.len() - fields.due_before(now);
    fields.iter().filter(|field| is_live(field.deadline(), now)).nth(sampling::index(live, random))
}
