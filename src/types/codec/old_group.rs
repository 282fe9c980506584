//! The image of a consumer group, written in parts: its pending entries first, then each consumer with the ids of its own.
//!
//! Who owns what is known to the entries alone, so the image is passed through once more for the consumers: as many of them at a time as have
//! `IDS_MAX` entries together, whose ids are gathered, or one who has more, whose ids are written as they are found.
//!
//! ```text
//!   entries ──► gather (a, b, c) ──► write a · b · c ──► find d ──► gather (e, …) ──► …
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;

use super::Chunk;
use super::beyond::NACKED_OWNER;
use super::encode::write_pending;
use crate::types::stream::{ConsumerIndex, Group, OldGroup, StreamId};

/// So many ids are gathered at a time: 2 MiB. Few in tests, which have no millions of them.
const IDS_MAX: u64 = if cfg!(test) { 40 } else { 128 * 1024 };
/// So many chunks of entries are passed through in a step that writes nothing.
const CHUNKS_MAX: usize = 64;

/// How far a group is written.
pub(super) struct GroupPart {
    owners: Vec<Owner>,
    place: Place,
}

enum Place {
    /// Pending entries, behind the chunk with this key.
    Pending(Option<StreamId>),
    /// The owner who comes next.
    Owner(usize),
    /// Entries are looked for, behind the chunk with this key.
    Searching(Search, Option<StreamId>),
    /// What was found for these is written: the first of them from this id on.
    Writing(Search, usize),
}

/// Who has entries: a consumer, or nobody, whose entries then go to the consumer before.
struct Owner {
    who: Option<ConsumerIndex>,
    /// Its name, when it was seen, and what it has with what it was given of nobody's.
    head: Option<(Arc<[u8]>, u64, u64)>,
    len: u64,
}

/// Some owners in a row, and the ids found for each; of one alone they are written at once.
struct Search {
    first: usize,
    /// Their places in `found`.
    places: HashMap<Option<ConsumerIndex>, usize>,
    found: VecDeque<Vec<StreamId>>,
    left: u64,
    is_alone: bool,
}

/// Writes what comes before the pending entries.
pub(super) fn begin(name: &[u8], group: &Group, out: &mut Chunk) -> GroupPart {
    let old = group.old().expect("a group that is shown has an image");
    out.text(name);
    out.length(old.last_delivered_id.ms);
    out.length(old.last_delivered_id.seq);
    out.length(old.entries_read.unwrap_or(u64::MAX));
    out.length(old.pending_len);
    GroupPart { owners: owners(old), place: Place::Pending(None) }
}

fn owners(old: &OldGroup) -> Vec<Owner> {
    let owned: u64 = old.consumers.iter().map(|consumer| consumer.pending_len).sum();
    let nacked = old.pending_len - owned;
    let mut owners = Vec::with_capacity(old.consumers.len() + 1);
    let mut is_adopted = nacked == 0;
    for consumer in &old.consumers {
        let adopts = nacked > 0 && *consumer.name == *NACKED_OWNER;
        let total = consumer.pending_len + if adopts { nacked } else { 0 };
        let head = Some((Arc::clone(&consumer.name), consumer.seen_ms, total));
        owners.push(Owner { who: Some(consumer.at), head, len: consumer.pending_len });
        if adopts {
            owners.push(Owner { who: None, head: None, len: nacked });
            is_adopted = true;
        }
    }
    if !is_adopted {
        // No other server knows entries without an owner: there they belong to a consumer of this name.
        owners.push(Owner { who: None, head: Some((NACKED_OWNER.into(), 0, nacked)), len: nacked });
    }
    owners
}

/// Writes on until there is enough. Where to go on, or nothing where all of the group is written.
pub(super) fn go_on(group: &Group, mut part: GroupPart, enough: usize, out: &mut Chunk) -> Option<GroupPart> {
    let mut chunks_left = CHUNKS_MAX;
    while out.len() < enough && chunks_left > 0 {
        part.place = match part.place {
            Place::Pending(key) => match group.old_pending_after(key) {
                Some((key, entries)) => {
                    entries.for_each(|entry| write_pending(entry, out));
                    Place::Pending(Some(key))
                }
                None => {
                    out.length(part.owners.iter().filter(|owner| owner.head.is_some()).count() as u64);
                    Place::Owner(0)
                }
            },
            Place::Owner(at) if at == part.owners.len() => return None,
            Place::Owner(at) => begin_search(&part.owners, at, out),
            Place::Searching(search, _) if search.left == 0 => Place::Writing(search, 0),
            Place::Searching(mut search, key) => {
                chunks_left -= 1;
                let (key, entries) = group.old_pending_after(key).expect("the image has all that its owners have");
                for entry in entries {
                    search.take(entry.owner, entry.id, out);
                }
                Place::Searching(search, Some(key))
            }
            Place::Writing(search, written) => write_found(&part.owners, search, written, out),
        };
    }
    Some(part)
}

/// As many owners as may be looked for together.
fn begin_search(owners: &[Owner], first: usize, out: &mut Chunk) -> Place {
    let mut left = owners[first].len;
    let is_alone = left > IDS_MAX;
    let mut end = first + 1;
    while let Some(owner) = owners.get(end).filter(|owner| !is_alone && left + owner.len <= IDS_MAX) {
        left += owner.len;
        end += 1;
    }
    if is_alone {
        write_head(&owners[first], out);
    }
    let found = owners[first..end].iter().map(|_| Vec::new()).collect();
    let places = owners[first..end].iter().zip(0..).map(|(owner, place)| (owner.who, place)).collect();
    Place::Searching(Search { first, places, found, left, is_alone }, None)
}

impl Search {
    fn take(&mut self, who: Option<ConsumerIndex>, id: StreamId, out: &mut Chunk) {
        let Some(&place) = self.places.get(&who) else { return };
        self.left -= 1;
        if self.is_alone {
            out.raw(&id.to_key());
        } else {
            self.found[place].push(id);
        }
    }
}

/// Writes what was found for the first of them, some of it at a time.
fn write_found(owners: &[Owner], mut search: Search, written: usize, out: &mut Chunk) -> Place {
    const SOME: usize = 512;
    let Some(ids) = search.found.front() else { return Place::Owner(search.first) };
    if written == 0 && !search.is_alone {
        write_head(&owners[search.first], out);
    }
    let end = ids.len().min(written + SOME);
    ids[written..end].iter().for_each(|id| out.raw(&id.to_key()));
    if end == ids.len() {
        search.found.pop_front();
        search.first += 1;
        return Place::Writing(search, 0);
    }
    Place::Writing(search, end)
}

fn write_head(owner: &Owner, out: &mut Chunk) {
    if let Some((name, seen_ms, len)) = &owner.head {
        out.text(name);
        out.word(*seen_ms);
        out.length(*len);
    }
}
