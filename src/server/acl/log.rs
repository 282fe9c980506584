//! ACL LOG: who was refused what. The same refusal within a minute counts up its entry instead of making another.

use std::collections::VecDeque;

use super::Reason;

/// Where a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    Toplevel,
    Multi,
    Script,
}

impl Context {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Toplevel => "toplevel",
            Self::Multi => "multi",
            Self::Script => "lua",
        }
    }
}

/// One refusal.
#[derive(Clone, Debug)]
pub struct Incident {
    pub reason: Reason,
    pub context: Context,
    /// The command, key or channel.
    pub object: Vec<u8>,
    pub user: Vec<u8>,
    /// The client as CLIENT LIST shows it.
    pub client: Vec<u8>,
}

/// The same refusal, once or more often.
#[derive(Clone, Debug)]
pub struct Record {
    pub incident: Incident,
    pub count: u64,
    pub id: u64,
    pub created_ms: u64,
    pub updated_ms: u64,
}

#[derive(Default)]
pub struct Log {
    /// The latest first.
    records: VecDeque<Record>,
    next_id: u64,
}

/// Refusals so far apart are told apart.
const SAME_WITHIN_MS: u64 = 60_000;
/// So many of the latest entries are looked at for the same refusal.
const LOOKED_AT: usize = 10;

impl Log {
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Record> {
        self.records.iter()
    }

    pub fn clear(&mut self) {
        self.records.clear();
    }

    pub fn add(&mut self, incident: Incident, now_ms: u64, records_max: usize) {
        if records_max == 0 {
            return self.records.clear();
        }
        let same = self.records.iter().take(LOOKED_AT).position(|record| record.is_same(&incident, now_ms));
        if let Some(record) = same.and_then(|index| self.records.remove(index)) {
            let count = record.count + 1;
            return self.records.push_front(Record { incident, count, updated_ms: now_ms, ..record });
        }
        let id = self.next_id;
        self.next_id += 1;
        self.records.push_front(Record { incident, count: 1, id, created_ms: now_ms, updated_ms: now_ms });
        // Only a new entry makes the log shorter after its limit was lowered.
        self.records.truncate(records_max);
    }
}

impl Record {
    fn is_same(&self, other: &Incident, now_ms: u64) -> bool {
        let this = &self.incident;
        this.reason == other.reason
            && this.context == other.context
            && this.object == other.object
            && this.user == other.user
            && now_ms.saturating_sub(self.updated_ms) <= SAME_WITHIN_MS
    }
}
