//! Brings what commands will look up into the cache before they run: commands of one pipeline, or single ones of several clients.
//!
//! A lookup is a chain of reads, and each waits for memory: the key's bucket, its record, and for a field or a member the collection's own
//! bucket and entry. One link of the chain is asked for on behalf of all commands before the next link is, so that they wait together.

use super::Server;
use super::dispatch::{BATCH_MAX, Batch, Parcel};
use super::session::SessionId;
use crate::cmd::command::Group;
use crate::cmd::keyspec::Places;
use crate::cmd::table::Entry;
use crate::db::DbIndex;
use crate::ds::hyperloglog;
use crate::ds::keytable::{Hash, Prefetch};
use crate::resp::request::{Limits, Parsed, Parser, Request};
use crate::types::value::StringRef;

/// Commands of as many clients are noted together at most.
pub const NOTED_MAX: usize = BATCH_MAX;
/// A longer command costs more than what it waits for.
const NOTED_BYTES_MAX: usize = 1024;
/// Keys of a smaller database are in the cache anyway.
const KEYS_MIN: usize = 8192;

/// Single commands of several clients, about to be run.
#[derive(Default)]
pub struct Noted {
    input: Vec<u8>,
    batch: Batch,
}

impl Server {
    /// Notes what a session has sent where that is just one command whose lookups are worth being fetched ahead; `fetch_noted` does so.
    /// The command is run as if nothing had been noted. False where it should be run without further ado.
    pub fn note_command(&mut self, id: SessionId, input: &[u8]) -> bool {
        let session = self.sessions.get(id);
        let is_alone = session.parser.is_idle() && session.authenticated && !session.is_held() && !session.is_primary;
        if !is_alone || input.len() > NOTED_BYTES_MAX {
            return false;
        }
        let limits = Limits { bulk_max: NOTED_BYTES_MAX as u64, authenticated: true };
        let (db, start) = (session.db, self.noted.input.len());
        let Noted { input: noted, batch } = &mut self.noted;
        let first_span = batch.spans.len();
        noted.extend_from_slice(input);
        let parsed = Parser::default().parse(&noted[start..], &limits, &mut batch.spans);
        if matches!(parsed, Parsed::Complete { consumed } if consumed == input.len()) {
            let parcel = Parcel { start, end: noted.len(), spans: first_span..batch.spans.len(), entry: None, db };
            let entry = self.names.find(batch.request(&parcel, noted).arg(0));
            if entry.is_some_and(|entry| self.waits_for_memory(entry, db)) {
                self.noted.batch.commands.push(Parcel { entry, ..parcel });
                return true;
            }
        }
        self.noted.input.truncate(start);
        self.noted.batch.spans.truncate(first_span);
        false
    }

    /// Fetches what the commands that were noted will look up, and forgets them.
    pub fn fetch_noted(&mut self) {
        let mut noted = std::mem::take(&mut self.noted);
        if noted.batch.len() > 1 {
            self.prefetch(&noted.input, &mut noted.batch);
        }
        noted.input.clear();
        noted.batch.clear();
        self.noted = noted;
    }

    fn waits_for_memory(&self, entry: &Entry, db: DbIndex) -> bool {
        let looks_up = !matches!(entry.places, Places::None);
        looks_up && (entry.command.element > 0 || self.keyspace.db(db).len() >= KEYS_MIN)
    }

    /// Looks the commands up, and brings what they will touch into the cache: first all buckets, then all records.
    pub(super) fn prefetch(&self, input: &[u8], batch: &mut Batch) {
        let many = batch.commands.len() > 1;
        let Batch { spans, commands, keys } = batch;
        for parcel in commands.iter_mut() {
            let request = Request::new(&input[parcel.start..parcel.end], &spans[parcel.spans.clone()]);
            let Some(entry) = parcel.entry.or_else(|| self.names.find(request.arg(0))) else { continue };
            parcel.entry = Some(entry);
            let db = parcel.db;
            let mut fetch = |index| {
                let hash = self.keyspace.hash(request.arg(index));
                self.keyspace.prefetch_bucket(db, hash);
                keys.push((db, hash));
            };
            match entry.places {
                // The key of a command that stands alone is asked for at once.
                Places::One(index) if many && index < request.len() => fetch(index),
                Places::None | Places::One(_) => {}
                places => places.indices(request).for_each(fetch),
            }
        }
        for &mut (db, hash) in keys {
            self.keyspace.prefetch_record(db, hash);
        }
        if many {
            self.prefetch_elements(input, batch);
        }
    }

    /// The same for the fields and members that the commands will look up in large collections.
    fn prefetch_elements(&self, input: &[u8], batch: &Batch) {
        let mut tables: [Option<(&dyn Prefetch, Hash)>; BATCH_MAX] = [None; BATCH_MAX];
        let mut count = 0;
        // A pipeline often stays with one key.
        let mut last: (DbIndex, &[u8], Option<&dyn Prefetch>) = (0, b"", None);
        for parcel in &batch.commands {
            let Some(entry) = parcel.entry.filter(|entry| entry.command.element > 0) else { continue };
            let (request, db) = (batch.request(parcel, input), parcel.db);
            if request.len() <= entry.command.element {
                continue;
            }
            let (key, element) = (request.arg(usize::from(entry.first_key)), request.arg(entry.command.element));
            if entry.command.group == Group::Hyperloglog {
                if let Some(StringRef::Blob(blob)) = self.keyspace.string_at(db, key) {
                    hyperloglog::prefetch(blob.as_slice(), element);
                }
                continue;
            }
            if (last.0, last.1) != (db, key) {
                last = (db, key, self.keyspace.table_at(db, key));
            }
            if let Some(table) = last.2 {
                let hash = self.keyspace.hash(element);
                table.prefetch_bucket(hash);
                tables[count] = Some((table, hash));
                count += 1;
            }
        }
        for (table, hash) in tables[..count].iter().flatten() {
            table.prefetch_entry(*hash);
        }
    }
}
