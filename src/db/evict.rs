//! Which key goes when memory is short, and the access clocks that decide it.
//!
//! A record has 24 bits for its policy: LRU keeps the time of the last access in seconds, LFU a logarithmic counter (8 bits) and the minute it
//! last decayed (16 bits), as Redis describes both. Candidates come from samples; the best are kept from one round to the next.

use std::cell::RefCell;

use super::{DbIndex, Keyspace};
use crate::config::{Config, MaxmemoryPolicy};
use crate::ds::record::Record as DsRecord;
use crate::types::value::{Record, RecordRef, Values};
use crate::util::random::Random;

/// What the 24 bits mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessClock {
    Lru,
    Lfu,
}

/// Which keys may go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scope {
    All,
    Volatile,
}

/// Which of them goes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    Idle,
    Rare,
    Random,
    Soonest,
}

pub struct Policy;

impl Policy {
    #[inline]
    pub fn clock_kind(policy: MaxmemoryPolicy) -> AccessClock {
        match policy {
            MaxmemoryPolicy::AllkeysLfu | MaxmemoryPolicy::VolatileLfu => AccessClock::Lfu,
            _ => AccessClock::Lru,
        }
    }

    fn of(policy: MaxmemoryPolicy) -> Option<(Scope, Order)> {
        match policy {
            MaxmemoryPolicy::NoEviction => None,
            MaxmemoryPolicy::AllkeysLru => Some((Scope::All, Order::Idle)),
            MaxmemoryPolicy::AllkeysLfu => Some((Scope::All, Order::Rare)),
            MaxmemoryPolicy::AllkeysRandom => Some((Scope::All, Order::Random)),
            MaxmemoryPolicy::VolatileLru => Some((Scope::Volatile, Order::Idle)),
            MaxmemoryPolicy::VolatileLfu => Some((Scope::Volatile, Order::Rare)),
            MaxmemoryPolicy::VolatileRandom => Some((Scope::Volatile, Order::Random)),
            MaxmemoryPolicy::VolatileTtl => Some((Scope::Volatile, Order::Soonest)),
        }
    }
}

const CLOCK_MASK: u32 = (1 << 24) - 1;
const LFU_FIRST: u32 = 5;

#[inline]
pub(super) fn lru_clock(now: u64) -> u32 {
    (now / 1000) as u32 & CLOCK_MASK
}

fn lfu_minutes(now: u64) -> u32 {
    (now / 60_000) as u32 & 0xffff
}

/// The clock of a record that is new.
#[inline]
pub(super) fn first_clock(config: &Config, now: u64) -> u32 {
    match Policy::clock_kind(config.maxmemory_policy) {
        AccessClock::Lru => lru_clock(now),
        AccessClock::Lfu => lfu_minutes(now) << 8 | LFU_FIRST,
    }
}

/// Milliseconds since the record was last used, under an LRU clock.
pub fn idle_ms(record: &Record, now: u64) -> u64 {
    u64::from(lru_clock(now).wrapping_sub(record.clock()) & CLOCK_MASK) * 1000
}

/// How often the record is used, under an LFU clock: the decayed logarithmic counter.
pub fn frequency(record: &DsRecord<Values>, config: &Config, now: u64) -> u32 {
    let (counter, minutes) = (record.clock() & 0xff, record.clock() >> 8);
    let elapsed = lfu_minutes(now).wrapping_sub(minutes) & 0xffff;
    match u32::try_from(config.lfu_decay_time) {
        Ok(decay) if decay > 0 => counter.saturating_sub(elapsed / decay),
        _ => counter,
    }
}

pub(super) fn lfu_touch(record: &Record, config: &Config, now: u64, random: &RefCell<Random>) {
    let mut counter = frequency(record, config, now);
    if counter < 255 {
        let above = f64::from(counter.saturating_sub(LFU_FIRST));
        let chance = 1.0 / (above * f64::from(config.lfu_log_factor) + 1.0);
        let drawn = (random.borrow_mut().next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        counter += u32::from(drawn < chance);
    }
    record.set_clock(lfu_minutes(now) << 8 | counter);
}

/// Sets the clock as RESTORE's IDLETIME and FREQ ask.
pub fn set_idle(record: &Record, now: u64, idle_s: u64) {
    record.set_clock(lru_clock(now.saturating_sub(idle_s.saturating_mul(1000))));
}

pub fn set_frequency(record: &Record, now: u64, frequency: u8) {
    record.set_clock(lfu_minutes(now) << 8 | u32::from(frequency));
}

/// A key that may go; the higher the score, the sooner.
struct Candidate {
    score: u64,
    db: DbIndex,
    key: Box<[u8]>,
}

/// The best candidates seen so far.
#[derive(Default)]
pub struct Pool {
    candidates: Vec<Candidate>,
    next_db: DbIndex,
}

const POOL_MAX: usize = 16;

impl Pool {
    /// The key that should go next, or `None` where the policy finds none. O(databases × samples).
    pub fn choose(
        &mut self,
        keyspace: &Keyspace,
        config: &Config,
        now: u64,
        random: &RefCell<Random>,
    ) -> Option<(DbIndex, Box<[u8]>)> {
        let (scope, order) = Policy::of(config.maxmemory_policy)?;
        if order == Order::Random {
            return self.choose_any(keyspace, scope, random);
        }
        // A few rounds, as a candidate from an earlier round may be gone by now.
        for _ in 0..8 {
            self.fill(keyspace, config, now, scope, order, random);
            while let Some(candidate) = self.candidates.pop() {
                let table = &keyspace.dbs[candidate.db].table;
                let found = table.get(keyspace.seed.hash(&candidate.key), &candidate.key);
                if found.is_some_and(|record| scope == Scope::All || record.deadline().is_some()) {
                    return Some((candidate.db, candidate.key));
                }
            }
        }
        None
    }

    fn choose_any(
        &mut self,
        keyspace: &Keyspace,
        scope: Scope,
        random: &RefCell<Random>,
    ) -> Option<(DbIndex, Box<[u8]>)> {
        for _ in 0..keyspace.dbs.len() {
            self.next_db = (self.next_db + 1) % keyspace.dbs.len();
            let mut found = None;
            sample(keyspace, self.next_db, scope, 1, random, &mut |record| found = Some(record.key().into()));
            if let Some(key) = found {
                return Some((self.next_db, key));
            }
        }
        None
    }

    fn fill(
        &mut self,
        keyspace: &Keyspace,
        config: &Config,
        now: u64,
        scope: Scope,
        order: Order,
        random: &RefCell<Random>,
    ) {
        let samples = usize::try_from(config.maxmemory_samples).unwrap_or(5);
        for db in 0..keyspace.dbs.len() {
            sample(keyspace, db, scope, samples, random, &mut |record| {
                let score = match order {
                    Order::Idle => idle_ms(record, now),
                    Order::Rare => u64::from(255 - frequency(record, config, now).min(255)),
                    Order::Soonest => u64::MAX - record.deadline().unwrap_or(u64::MAX),
                    Order::Random => 0,
                };
                self.offer(score, db, record.key());
            });
        }
    }

    fn offer(&mut self, score: u64, db: DbIndex, key: &[u8]) {
        let at = self.candidates.partition_point(|candidate| candidate.score < score);
        if at == 0 && self.candidates.len() == POOL_MAX {
            return;
        }
        if self.candidates.iter().any(|candidate| candidate.db == db && *candidate.key == *key) {
            return;
        }
        self.candidates.insert(at, Candidate { score, db, key: key.into() });
        if self.candidates.len() > POOL_MAX {
            self.candidates.remove(0);
        }
    }
}

/// Shows up to `count` records of a database that are in scope.
fn sample(
    keyspace: &Keyspace,
    db: DbIndex,
    scope: Scope,
    count: usize,
    random: &RefCell<Random>,
    show: &mut impl FnMut(&Record),
) {
    let db = &keyspace.dbs[db];
    let random = &mut || random.borrow_mut().next_u64();
    let show = &mut |record: RecordRef<'_>| show(&record);
    match scope {
        Scope::All => db.table.sample(random, count, show),
        // Segments have marks for fields of hashes, too.
        Scope::Volatile if db.volatile > 0 => db.table.sample_flagged(random, count, show),
        Scope::Volatile => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::testing::Playground;

    /// Every key that may be shown is, sooner or later, and no other.
    fn shown(playground: &Playground, scope: Scope) -> HashSet<Vec<u8>> {
        let mut keys = HashSet::new();
        for _ in 0..5000 {
            let random = &playground.server.random;
            sample(&playground.server.keyspace, 0, scope, 5, random, &mut |record| {
                assert!(scope == Scope::All || record.deadline().is_some());
                keys.insert(record.key().to_vec());
            });
        }
        keys
    }

    #[test]
    fn samples_find_every_key_that_has_a_deadline_and_no_other() {
        let mut playground = Playground::new(Config::default(), 7);
        let mut run = |words: &[&str]| playground.run("", words.iter());
        for number in 0..3000 {
            run(&["SET", &format!("key:{number}"), "value"]);
        }
        assert_eq!(shown(&playground, Scope::Volatile), HashSet::new());
        assert!(shown(&playground, Scope::All).len() > 2500);

        let mut run = |words: &[&str]| playground.run("", words.iter());
        for number in 0..60 {
            run(&["EXPIRE", &format!("key:{number}"), "1000"]);
        }
        for number in 0..20 {
            run(&["PERSIST", &format!("key:{number}")]);
            run(&["SET", &format!("key:{}", number + 20), "value"]);
        }
        run(&["HSET", "hash", "field", "value"]);
        run(&["HEXPIRE", "hash", "1000", "FIELDS", "1", "field"]);
        let expected = (40..60).map(|number| format!("key:{number}").into_bytes()).collect::<HashSet<_>>();
        assert_eq!(shown(&playground, Scope::Volatile), expected);
        playground.server.keyspace.check();
    }
}
