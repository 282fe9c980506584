//! Room for what is written: keys go where more memory is in use than `maxmemory` allows.
//!
//! Asked before every command, and again and again by upkeep until there is room, so that a limit that is suddenly much lower holds nobody up:
//! one call takes no longer than `maxmemory-eviction-tenacity` allows. What counts is what keys can give back; memory that is on its way
//! back, and what is only there until somebody has read it, is no reason for a key to go. Which key goes is decided in `db::evict`.

use super::Server;
use crate::util::clock::{ticks, us_to_ticks};
use crate::util::memory;

/// Whether there is room.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    There,
    /// There will be: upkeep goes on.
    Coming,
    /// The policy finds no key that may go.
    None,
}

/// So many keys go before there is a look at the clock.
const KEYS_AT_ONCE: u32 = 16;

impl Server {
    /// Makes room where there is too little. False where there is none and no key may go for it.
    #[inline]
    pub fn make_room(&mut self) -> bool {
        let room = if self.has_room() { Room::There } else { self.evict() };
        self.stats.memory_excess.note(room != Room::There, self.clock.monotonic_us);
        self.cron.more_to_evict = room == Room::Coming;
        room != Room::None
    }

    #[inline]
    fn has_room(&self) -> bool {
        memory::used() <= self.config.maxmemory || self.has_room_after_all()
    }

    #[cold]
    fn has_room_after_all(&self) -> bool {
        // A replica has what its primary has.
        let leaves_it_to_others = self.is_paused() || (self.is_replica() && self.config.replica_ignore_maxmemory);
        leaves_it_to_others || self.garbage.coming().has_databases() || self.excess() == 0
    }

    /// Bytes in use beyond the limit, of those that count.
    fn excess(&self) -> u64 {
        self.memory_that_counts().saturating_sub(self.config.maxmemory)
    }

    fn memory_that_counts(&self) -> u64 {
        let on_its_way = self.garbage.coming().bytes() as u64 + self.memory_for_disk();
        memory::used().saturating_sub(on_its_way).saturating_sub(self.memory_not_counted())
    }

    /// Bytes of a snapshot that wait for the disk, which goes by itself.
    fn memory_for_disk(&self) -> u64 {
        self.keyspace.snapshot().map_or(0, |snapshot| snapshot.waiting_bytes()) as u64
    }

    /// What waits to be sent to replicas or to be logged: that a key has gone would have to be sent and logged, too. O(replicas).
    pub fn memory_not_counted(&self) -> u64 {
        self.replicas_memory() + (self.journal.memory() + self.durability.log.waiting_bytes) as u64
    }

    #[cold]
    fn evict(&mut self) -> Room {
        let mut excess = i64::try_from(self.excess()).unwrap_or(i64::MAX);
        let budget = budget_us(self.config.maxmemory_eviction_tenacity).map(us_to_ticks);
        let begin = ticks();
        let mut evicted = 0;
        while excess > 0 {
            let now = self.clock.unix_ms();
            let Some((db, key)) = self.eviction.choose(&self.keyspace, &self.config, now, &self.random) else {
                return Room::None;
            };
            self.effects.begin(true, self.journal.is_open());
            let before = self.memory_that_counts();
            self.edit(db).evict(&key);
            // Before anybody is told of it, which takes memory for a while.
            excess -= before as i64 - self.memory_that_counts() as i64;
            self.edit(db).tell_evicted(&key);
            self.propagate_upkeep(db);
            evicted += 1;
            if evicted % KEYS_AT_ONCE == 0 && budget.is_some_and(|budget| ticks().wrapping_sub(begin) > budget) {
                return Room::Coming;
            }
        }
        Room::There
    }
}

/// Microseconds that one call may take, as in Redis: up to 500 by steps of 50, and then 15 % more with each step, to about two minutes.
/// `None` is without limit.
fn budget_us(tenacity: i32) -> Option<u64> {
    match u32::try_from(tenacity).unwrap_or(0) {
        low @ 0..=10 => Some(50 * u64::from(low)),
        high @ 11..=99 => Some((500.0 * 1.15_f64.powi(high as i32 - 10)) as u64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::budget_us;

    #[test]
    fn tenacity_is_linear_then_geometric_then_without_limit() {
        assert_eq!([0, 1, 10].map(budget_us), [Some(0), Some(50), Some(500)]);
        assert_eq!(budget_us(11), Some(575));
        assert!(budget_us(99).is_some_and(|us| (100_000_000..140_000_000).contains(&us)));
        assert_eq!(budget_us(100), None);
    }
}
