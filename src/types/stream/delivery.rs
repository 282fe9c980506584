//! Handing entries to consumers: new ones, their own history, and what others left lying.
//!
//! A [`GroupReader`] sees the entries, which it only reads, and one group, which it changes. Which entries are reported and in what order is here;
//! how they look in a reply is the caller's, who is given each entry in turn.

use super::group::{Group, idle_since};
use super::log::Log;
use super::node::Entry;
use super::pending::{ConsumerIndex, DELIVERIES_MAX, Pending};
use super::{Stream, StreamId};

/// A group together with the entries it reads.
pub struct GroupReader<'a> {
    log: &'a Log,
    group: &'a mut Group,
    now_ms: u64,
}

/// XCLAIM's options.
#[derive(Clone, Copy, Debug)]
pub struct ClaimOptions {
    pub idle_min_ms: u64,
    /// TIME, or now less IDLE; now where neither was given.
    pub delivered_ms: u64,
    /// RETRYCOUNT
    pub deliveries: Option<u64>,
    /// FORCE: an entry that is not pending becomes so.
    pub force: bool,
    /// JUSTID: the claim does not count as a delivery.
    pub just_id: bool,
}

/// What became of an id that was to be claimed.
#[derive(Clone, Copy, Debug)]
pub enum Claim<'a> {
    /// Now the consumer's; `pending` is as it is now.
    Claimed { entry: Entry<'a>, pending: Pending },
    /// The entry does not exist any more, and now is not pending either.
    Gone,
    /// It was not pending, or is not idle enough.
    Left,
}

/// XAUTOCLAIM's reply but for the entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutoClaimed {
    /// Where to go on; `0-0` at the end.
    pub cursor: StreamId,
    /// Ids that were pending and exist no more.
    pub gone: Vec<StreamId>,
    /// As they are now, in order of ids.
    pub claimed: Vec<Pending>,
}

/// What claiming idle entries came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleClaimed {
    /// As they are now, in order of ids.
    pub claimed: Vec<Pending>,
    /// Ids that were pending and exist no more.
    pub gone: Vec<StreamId>,
}

/// How XNACK changes the number of deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NackMode {
    /// One less: as if it had not been delivered.
    Silent,
    Fail,
    /// The most there is: nobody is to try again.
    Fatal,
}

impl Stream {
    /// A group and what it reads.
    pub fn reader(&mut self, group: &[u8], now_ms: u64) -> Option<GroupReader<'_>> {
        self.note_group(group);
        Some(GroupReader { log: &self.log, group: self.groups.get_mut(group)?, now_ms })
    }
}

impl<'a> GroupReader<'a> {
    pub fn group(&mut self) -> &mut Group {
        self.group
    }

    pub fn log(&self) -> &'a Log {
        self.log
    }

    /// How many entries are new to the group. O(log n).
    pub fn undelivered(&self) -> u64 {
        self.group.lag(self.log)
    }

    /// XREADGROUP with `>`: gives `consumer` up to `count` new entries; `take` may refuse one, which ends the delivery before it.
    ///
    /// With `no_ack` nothing becomes pending. Gives back how many were delivered.
    pub fn deliver(
        &mut self,
        consumer: ConsumerIndex,
        count: u64,
        no_ack: bool,
        mut take: impl FnMut(&Entry<'a>) -> bool,
    ) -> u64 {
        let Some(start) = self.group.last_delivered_id.successor() else { return 0 };
        let mut delivered = 0;
        let mut pending = Vec::new();
        let mut range = self.log.range(start, StreamId::MAX);
        while delivered < count
            && let Some(entry) = range.next()
            && take(&entry)
        {
            delivered += 1;
            self.group.advance(entry.id, self.log);
            if !no_ack {
                let owner = Some(consumer);
                pending.push(Pending { id: entry.id, delivered_ms: self.now_ms, deliveries: 1, owner });
            }
        }
        self.group.put_pending(&pending);
        if delivered > 0 && !no_ack {
            self.group.set_active(consumer, Some(self.now_ms));
        }
        delivered
    }

    /// XREADGROUP with an id: the consumer's own pending entries above `after`. What still exists counts as delivered once more.
    ///
    /// `take` may refuse one, which ends the history before it.
    pub fn history(
        &mut self,
        consumer: ConsumerIndex,
        after: StreamId,
        count: u64,
        mut take: impl FnMut(StreamId, Option<&Entry<'a>>) -> bool,
    ) -> u64 {
        let Some(start) = after.successor() else { return 0 };
        let mut lookup = self.log.lookup();
        let mut seen = 0;
        let mut again = Vec::new();
        for pending in self.group.pending_of(consumer, start) {
            if seen == count {
                break;
            }
            let entry = lookup.get(pending.id);
            if !take(pending.id, entry.as_ref()) {
                break;
            }
            seen += 1;
            if entry.is_some() {
                let deliveries = pending.deliveries.saturating_add(1).min(DELIVERIES_MAX);
                again.push(Pending { delivered_ms: self.now_ms, deliveries, ..pending });
            }
        }
        self.group.put_pending(&again);
        seen
    }

    /// XCLAIM, for one id.
    pub fn claim(&mut self, consumer: ConsumerIndex, id: StreamId, options: ClaimOptions) -> Claim<'a> {
        let Some(entry) = self.log.get(id) else {
            return if self.group.ack(id) { Claim::Gone } else { Claim::Left };
        };
        let before = match self.group.pending(id) {
            Some(pending) => pending,
            // Becoming pending counts as a delivery, and the claim as another.
            None if options.force => Pending { id, delivered_ms: 0, deliveries: 1, owner: None },
            None => return Claim::Left,
        };
        if !self.is_idle(&before, options.idle_min_ms) {
            return Claim::Left;
        }
        let once_more = before.deliveries.saturating_add(u64::from(!options.just_id)).min(DELIVERIES_MAX);
        let pending = Pending {
            id,
            delivered_ms: options.delivered_ms,
            deliveries: options.deliveries.unwrap_or(once_more),
            owner: Some(consumer),
        };
        self.group.put_pending(&[pending]);
        self.group.set_active(consumer, Some(self.now_ms));
        Claim::Claimed { entry, pending }
    }

    /// XAUTOCLAIM: goes through the pending entries from `start` on and claims what is idle enough.
    ///
    /// As in Redis at most ten times `count` entries are looked at, and ids that exist no more count as well.
    pub fn auto_claim(
        &mut self,
        consumer: ConsumerIndex,
        idle_min_ms: u64,
        start: StreamId,
        count: u64,
        just_id: bool,
        mut each: impl FnMut(&Entry<'a>),
    ) -> AutoClaimed {
        let mut attempts = count.saturating_mul(10);
        let mut left = count;
        let mut gone = Vec::new();
        let mut claimed = Vec::new();
        let mut lookup = self.log.lookup();
        let mut cursor = StreamId::MIN;
        for pending in self.group.pending_from(start) {
            if attempts == 0 || left == 0 {
                cursor = pending.id;
                break;
            }
            attempts -= 1;
            match lookup.get(pending.id) {
                None => gone.push(pending.id),
                Some(entry) if self.is_idle(&pending, idle_min_ms) => {
                    each(&entry);
                    claimed.push(pending);
                }
                Some(_) => continue,
            }
            left -= 1;
        }
        for &id in &gone {
            self.group.ack(id);
        }
        let claimed = self.take_over(consumer, claimed, just_id);
        AutoClaimed { cursor, gone, claimed }
    }

    /// XREADGROUP with CLAIM: takes up to `count` entries that are idle for long enough, those without an owner first, then the longest
    /// idle; `take` is given each with its pending entry as it was before, and may refuse it, which ends the claiming before it.
    ///
    /// Ids that exist no more are dropped on the way.
    pub fn claim_idle(
        &mut self,
        consumer: ConsumerIndex,
        idle_min_ms: u64,
        count: u64,
        mut take: impl FnMut(&Entry<'a>, &Pending) -> bool,
    ) -> IdleClaimed {
        // What is claimed becomes the youngest; where the clock stands still or `idle_min_ms` is 0 it must not come round again.
        let (mut claimed, mut gone) = (Vec::new(), Vec::new());
        while (claimed.len() as u64) < count
            && let Some(pending) = self.group.oldest_pending()
            && self.is_idle(&pending, idle_min_ms)
        {
            let entry = self.log.get(pending.id);
            if let Some(entry) = &entry
                && !take(entry, &pending)
            {
                break;
            }
            self.group.ack(pending.id);
            match entry {
                Some(_) => claimed.push(pending),
                None => gone.push(pending.id),
            }
        }
        claimed.sort_unstable_by_key(|pending| pending.id);
        IdleClaimed { claimed: self.take_over(consumer, claimed, false), gone }
    }

    /// When the entry that is idle longest will have been so for `idle_min_ms`; at once where one has no owner.
    pub fn next_idle_ms(&self, idle_min_ms: u64) -> Option<u64> {
        let oldest = self.group.oldest_pending()?;
        Some(oldest.owner.map_or(0, |_| oldest.delivered_ms.saturating_add(idle_min_ms)))
    }

    /// XNACK, for one id: takes the entry from its owner and puts it in line before all that have one, behind those released before. Says whether it did.
    ///
    /// `force` makes an existing entry that is not pending so.
    pub fn nack(&mut self, id: StreamId, mode: NackMode, deliveries: Option<u64>, force: bool) -> bool {
        let before = match self.group.pending(id) {
            Some(pending) => pending.deliveries,
            None if force && self.log.contains(id) => 0,
            None => return false,
        };
        let counted = match mode {
            NackMode::Silent => before.saturating_sub(1),
            NackMode::Fail => before,
            NackMode::Fatal => DELIVERIES_MAX,
        };
        let deliveries = deliveries.unwrap_or(counted);
        let turn = self.group.take_turn();
        self.group.put_pending(&[Pending { id, delivered_ms: turn, deliveries, owner: None }]);
        true
    }

    /// Gives a consumer what was claimed for it, in order of ids.
    fn take_over(&mut self, consumer: ConsumerIndex, mut claimed: Vec<Pending>, just_id: bool) -> Vec<Pending> {
        for pending in &mut claimed {
            pending.deliveries = pending.deliveries.saturating_add(u64::from(!just_id)).min(DELIVERIES_MAX);
            pending.delivered_ms = self.now_ms;
            pending.owner = Some(consumer);
        }
        self.group.put_pending(&claimed);
        if !claimed.is_empty() {
            self.group.set_active(consumer, Some(self.now_ms));
        }
        claimed
    }

    fn is_idle(&self, pending: &Pending, idle_min_ms: u64) -> bool {
        match idle_since(self.now_ms, idle_min_ms) {
            None => true,
            Some(_) if pending.owner.is_none() => true,
            Some(delivered_max) => delivered_max.is_some_and(|max| pending.delivered_ms <= max),
        }
    }
}

impl Group {
    /// The group has read `id`, which is above all it read before.
    fn advance(&mut self, id: StreamId, log: &Log) {
        self.entries_read = log.entries_read_at(id, self.last_delivered_id, self.entries_read);
        self.last_delivered_id = id;
    }
}

impl Log {
    /// "entries-read" as Redis reports it: counted on while nothing can have been deleted in between, else told from where `id` stands.
    fn entries_read_at(&self, id: StreamId, last_delivered: StreamId, entries_read: Option<u64>) -> Option<u64> {
        match entries_read {
            Some(read) if last_delivered >= self.first_id() && !self.may_have_holes_from(last_delivered) => {
                // Redis counts beyond what was ever added where XGROUP SETID claimed too much, and cannot log that.
                Some((read + 1).min(self.entries_added()))
            }
            _ if self.entries_added() > 0 => self.entries_up_to(id),
            unknown => unknown,
        }
    }

    /// How many entries were ever added up to `id`, deleted ones included, where that can be told.
    pub(super) fn entries_up_to(&self, id: StreamId) -> Option<u64> {
        if self.entries_added() == 0 {
            return Some(0);
        }
        if self.is_empty() && id <= self.last_id() {
            return Some(self.entries_added());
        }
        if id != StreamId::MIN && id < self.max_deleted_id() {
            return None;
        }
        if id >= self.last_id() {
            return (id == self.last_id()).then(|| self.entries_added());
        }
        let untouched = self.max_deleted_id() == StreamId::MIN || self.max_deleted_id() < self.first_id();
        let before_first = self.entries_added().checked_sub(self.len())?;
        match id.cmp(&self.first_id()) {
            _ if !untouched => None,
            std::cmp::Ordering::Less => Some(before_first),
            std::cmp::Ordering::Equal => Some(before_first + 1),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// Whether an entry at `id` or after it may have been deleted by name.
    fn may_have_holes_from(&self, id: StreamId) -> bool {
        !self.is_empty() && self.max_deleted_id() != StreamId::MIN && id <= self.max_deleted_id()
    }
}
