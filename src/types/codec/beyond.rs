//! What a stream knows and no Redis does: when consumers were last given something (Redis 7.0 has no place for it), entries that belong to
//! nobody since they were negatively acknowledged, and what producers have said before.
//!
//! It travels beside the value, in an AUX field before the key in a file and behind the value in a DUMP payload, both of which every other
//! server skips.
//!
//! ```text
//!   1 │ groups │ (name │ consumers │ (name · given)… │ owner made up? │ nacked │ (id)…)… │ producers? │ …
//!   …  remembered s │ messages max │ added │ duplicates │ messages │ (producer · message · id)…
//! ```
//! All numbers are lengths; `given` is 0 for never, else one more than the milliseconds; ids are 16 bytes, those of nacked entries in order of
//! their release.

use super::{Chunk, Malformed, Slice, Source};
use crate::types::stream::{Group, Pending, PendingQuery, ProducerLimits, Stream, StreamBox, StreamId};
use crate::types::value::Record;

/// The name of the AUX field.
pub const BEYOND: &[u8] = b"runnel-stream";

/// To whom entries without an owner belong in the eyes of other servers.
pub(super) const NACKED_OWNER: &[u8] = b"runnel:nacked";

const FORMAT: u64 = 1;

/// The entries of a group that have no owner.
pub(super) struct Nacked<'a> {
    group: &'a Group,
    pub len: u64,
}

pub(super) fn nacked(group: &Group) -> Nacked<'_> {
    let owned: u64 = group.consumers().map(|(_, consumer)| consumer.pending_len()).sum();
    Nacked { group, len: group.pending_len() - owned }
}

impl Nacked<'_> {
    /// Whether a consumer has to be made up for them.
    pub fn needs_owner(&self) -> bool {
        self.len > 0 && self.group.find_consumer(NACKED_OWNER).is_none()
    }

    /// In order of ids.
    pub fn ids(&self) -> impl Iterator<Item = StreamId> {
        self.entries().map(|entry| entry.id)
    }

    /// In order of their release.
    fn in_turn(&self) -> Vec<StreamId> {
        let mut entries: Vec<_> = self.entries().map(|entry| (entry.delivered_ms, entry.id)).collect();
        entries.sort_unstable();
        entries.into_iter().map(|(_, id)| id).collect()
    }

    fn entries(&self) -> impl Iterator<Item = Pending> {
        // Idle since before all time: only what has no owner is.
        let query =
            PendingQuery { start: StreamId::MIN, end: StreamId::MAX, owner: None, idle_min_ms: u64::MAX, now_ms: 0 };
        let wanted = usize::try_from(self.len).unwrap_or(usize::MAX);
        (wanted > 0)
            .then(|| self.group.query(query).filter(|entry| entry.owner.is_none()))
            .into_iter()
            .flatten()
            .take(wanted)
    }
}

/// What the value's own form leaves out, if anything.
pub fn beyond(record: &Record) -> Option<Vec<u8>> {
    let stream = record.get::<StreamBox>()?;
    let says_more = |group: &Group| {
        nacked(group).len > 0 || group.consumers().any(|(_, one)| one.active_ms() != Some(one.seen_ms()))
    };
    if stream.producers().is_none() && !stream.groups().any(|(_, group)| says_more(group)) {
        return None;
    }
    let mut out = Chunk::new(false);
    out.length(FORMAT);
    out.length(stream.groups().len() as u64);
    for (name, group) in stream.groups() {
        write_group(name, group, &mut out);
    }
    write_producers(stream, &mut out);
    Some(out.into_packed())
}

fn write_group(name: &[u8], group: &Group, out: &mut Chunk) {
    out.blob(name);
    out.length(group.consumers().len() as u64);
    for (_, consumer) in group.consumers() {
        out.blob(consumer.name());
        out.length(consumer.active_ms().map_or(0, |active| active.saturating_add(1)));
    }
    let nacked = nacked(group);
    out.length(u64::from(nacked.needs_owner()));
    out.length(nacked.len);
    nacked.in_turn().iter().for_each(|id| out.raw(&id.to_key()));
}

fn write_producers(stream: &Stream, out: &mut Chunk) {
    let Some(producers) = stream.producers() else { return out.length(0) };
    out.length(1);
    for number in [
        producers.limits().remembered_s,
        producers.limits().messages_max as u64,
        producers.added(),
        producers.duplicates(),
        producers.messages_len() as u64,
    ] {
        out.length(number);
    }
    for (producer, message, id) in producers.iter() {
        out.blob(producer);
        out.blob(message);
        out.raw(&id.to_key());
    }
}

/// Adds to a stream that has been read what was beyond its form. What the two disagree about is left out.
pub fn apply_beyond(record: &mut Record, bytes: &[u8]) -> Result<(), Malformed> {
    let Some(stream) = record.get_mut::<StreamBox>() else {
        return Err(Malformed::new("what belongs to a stream comes before another value"));
    };
    let source = &mut Slice::new(bytes);
    if source.length()? != FORMAT {
        return Err(Malformed::new("a later version wrote more about a stream than this one can read"));
    }
    let mut text = Vec::new();
    for _ in 0..source.length()? {
        source.text(&mut text)?;
        read_group(stream, &text, source)?;
    }
    if source.length()? == 1 {
        read_producers(stream, source)?;
    }
    Ok(())
}

fn read_group(stream: &mut Stream, name: &[u8], source: &mut Slice<'_>) -> Result<(), Malformed> {
    let mut text = Vec::new();
    let mut group = stream.group_mut(name);
    for _ in 0..source.length()? {
        source.text(&mut text)?;
        let active_ms = source.length()?.checked_sub(1);
        if let Some(group) = &mut group
            && let Some(at) = group.find_consumer(&text)
        {
            group.set_active(at, active_ms);
        }
    }
    let made_up = source.length()? == 1;
    for turn in 0..source.length()? {
        let id = source.id()?;
        let Some(group) = &mut group else { continue };
        if let Some(entry) = group.pending(id) {
            group.put_pending(&[Pending { owner: None, delivered_ms: turn, ..entry }]);
        }
    }
    if let Some(group) = group
        && made_up
        && group.find_consumer(NACKED_OWNER).is_some_and(|at| group.pending_of(at, StreamId::MIN).next().is_none())
    {
        group.remove_consumer(NACKED_OWNER);
    }
    Ok(())
}

fn read_producers(stream: &mut Stream, source: &mut Slice<'_>) -> Result<(), Malformed> {
    let limits = ProducerLimits {
        remembered_s: source.length()?.clamp(1, ProducerLimits::REMEMBERED_S_MAX),
        messages_max: usize::try_from(source.length()?).unwrap_or(usize::MAX).clamp(1, ProducerLimits::MESSAGES_MAX),
    };
    let (added, duplicates, messages) = (source.length()?, source.length()?, source.length()?);
    let (mut producer, mut message) = (Vec::new(), Vec::new());
    let producers = stream.producers_or_new(limits);
    for _ in 0..messages {
        source.text(&mut producer)?;
        source.text(&mut message)?;
        let id = source.id()?;
        producers.restore(&producer, &message, id);
    }
    producers.restore_counters(added, duplicates);
    Ok(())
}
