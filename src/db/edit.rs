//! Changing the keyspace.
//!
//! A handler looks up, changes what it got, and says so with `changed`, which also keeps the rule that no empty collection stays. Every
//! look-up first removes a record that has lapsed, so that a command never works on one.

mod fields;

use std::cell::RefCell;

use super::effect::{Class, Effects, Stir};
use super::sizes::{Bin, Held, Sizes};
use super::snapshot::{Snapshot, before_change};
use super::view::{self, Touch, View};
use super::{Db, DbId, DbIndex, Garbage, Keyspace, WrongType};
use crate::config::Config;
use crate::ds::blob::Blob;
use crate::ds::item::Item;
use crate::ds::keytable::{Entry, Hash, Place};
use crate::ds::record::Payload;
use crate::types;
use crate::types::list::List;
use crate::types::stream::StreamBox;
use crate::types::value::{self, Collection, Kind, Record, RecordRef, StringRef, ValueRef};
use crate::util::number::{INTEGER_TEXT_MAX, decimal_len, parse_i64, write_i64};
use crate::util::random::Random;

pub struct Edit<'a> {
    keyspace: &'a mut Keyspace,
    effects: &'a mut Effects,
    pub db: DbIndex,
    /// Unix time in milliseconds, the same throughout a command.
    pub now: u64,
    pub config: &'a Config,
    pub touch: Touch,
    pub random: &'a RefCell<Random>,
    /// EXEC, scripts and replay answer at once where a client of its own would wait.
    pub may_wait: bool,
    /// Whoever asks may read any key, also one that its command does not name.
    pub may_read_all_keys: bool,
    /// Records that are dear to free; the server hands them to a thread.
    pub garbage: &'a mut Garbage,
}

/// Freeing a collection of more elements than this is work for a thread.
const FREE_AT_ONCE_MAX: usize = 64;
/// A string that is made at least this long by one command goes into a blob without a copy between.
const BLOB_AT_ONCE_MIN: usize = 4096;
/// A string that is changed in place and has this many bytes is one that is being built.
const BUILT_MIN: usize = 65;

impl<'a> Edit<'a> {
    #[expect(clippy::too_many_arguments, reason = "the one place where an edit is put together")]
    pub fn new(
        keyspace: &'a mut Keyspace,
        effects: &'a mut Effects,
        db: DbIndex,
        now: u64,
        config: &'a Config,
        touch: Touch,
        random: &'a RefCell<Random>,
        may_wait: bool,
        garbage: &'a mut Garbage,
    ) -> Self {
        Self { keyspace, effects, db, now, config, touch, random, may_wait, may_read_all_keys: true, garbage }
    }

    /// The same moment, for reading.
    #[inline]
    pub fn view(&self) -> View<'_> {
        let mut view = View::new(self.keyspace, self.db, self.now, self.config, self.touch, self.random, self.may_wait);
        view.may_read_all_keys = self.may_read_all_keys;
        view
    }

    pub fn databases(&self) -> usize {
        self.keyspace.databases()
    }

    /// Does this in another database.
    pub fn in_db<R>(&mut self, db: DbIndex, work: impl FnOnce(&mut Self) -> R) -> R {
        let home = std::mem::replace(&mut self.db, db);
        let result = work(self);
        self.db = home;
        result
    }
}

/// Looking up.
impl Edit<'_> {
    #[inline]
    fn hash(&self, key: &[u8]) -> Hash {
        self.keyspace.seed.hash(key)
    }

    #[inline]
    fn table(&mut self) -> &mut Db {
        &mut self.keyspace.dbs[self.db]
    }

    /// Looks up, and removes the record if it has lapsed: the key's hash, and where its record is.
    #[inline]
    fn settle(&mut self, key: &[u8]) -> (Hash, Option<Place>) {
        let hash = self.hash(key);
        let table = &self.keyspace.dbs[self.db].table;
        let place = table.place_of(hash, key);
        match place {
            Some(place) if view::has_lapsed(&table.at(place), self.now) => {
                self.expire(key);
                (hash, None)
            }
            _ => (hash, place),
        }
    }

    /// Removes a key that has lapsed and makes that known.
    pub fn expire(&mut self, key: &[u8]) {
        let Some(record) = self.detach(key) else { return };
        self.discard(record);
        self.keyspace.stats.expired += 1;
        self.effects.removed_by_itself(self.db, key, Class::Expired, "expired", self.config.lazyfree_lazy_expire);
    }

    /// Removes a key to make room. Says nothing yet: call `tell_evicted`.
    pub fn evict(&mut self, key: &[u8]) {
        let Some(record) = self.detach(key) else { return };
        self.keyspace.stats.evicted += 1;
        if self.config.lazyfree_lazy_eviction {
            self.discard(record);
        } else {
            // Memory is short now.
            drop(self.adopted(record));
        }
    }

    pub fn tell_evicted(&mut self, key: &[u8]) {
        self.effects.removed_by_itself(self.db, key, Class::Evicted, "evicted", self.config.lazyfree_lazy_eviction);
    }

    /// The record under `key`, looked at without a trace.
    #[inline]
    pub fn record(&mut self, key: &[u8]) -> Option<RecordRef<'_>> {
        let (_, place) = self.settle(key);
        place.map(|place| self.keyspace.dbs[self.db].table.at(place))
    }

    /// The record under `key`, touched: looked up in order to change it, which is neither a hit nor a miss.
    pub fn lookup(&mut self, key: &[u8]) -> Option<RecordRef<'_>> {
        let (_, place) = self.settle(key);
        let record = self.keyspace.dbs[self.db].table.at(place?);
        if self.touch == Touch::Yes {
            view::refresh(&record, self.config, self.now, self.random);
        }
        Some(record)
    }

    pub fn exists(&mut self, key: &[u8]) -> bool {
        self.record(key).is_some()
    }

    pub fn kind(&mut self, key: &[u8]) -> Option<Kind> {
        self.record(key).map(value::kind)
    }

    /// The string under `key`, looked up in order to change it: neither a hit nor a miss.
    pub fn string(&mut self, key: &[u8]) -> Result<Option<StringRef<'_>>, WrongType> {
        match self.lookup(key) {
            None => Ok(None),
            Some(record) => value::string(&record).map(Some).ok_or(WrongType),
        }
    }

    /// The string under `key`, looked up as GET does: a hit or a miss.
    pub fn read_string(&mut self, key: &[u8]) -> Result<Option<StringRef<'_>>, WrongType> {
        match self.read_record(key) {
            None => Ok(None),
            Some(record) => value::string(&record).map(Some).ok_or(WrongType),
        }
    }

    /// The record under `key`, looked up as a reader does: a hit or a miss.
    pub fn read_record(&mut self, key: &[u8]) -> Option<RecordRef<'_>> {
        let (_, place) = self.settle(key);
        if place.is_none() {
            self.effects.notice(self.db, key, Class::Miss, "keymiss");
        }
        self.view().counted(key, self.touch)
    }

    /// The collection under `key` for changing, where it is a `C`.
    #[inline]
    pub fn get_mut<C: Collection>(&mut self, key: &[u8]) -> Result<Option<Held<'_, C>>, WrongType> {
        let found = self.find_mut(key)?;
        Ok(found.map(|(collection, sizes)| Held::new(collection, sizes)))
    }

    /// The same of a stream, whose size is not counted.
    #[inline]
    pub fn stream_mut(&mut self, key: &[u8]) -> Result<Option<&mut StreamBox>, WrongType> {
        Ok(self.find_mut(key)?.map(|(stream, _)| stream))
    }

    /// As `stream_mut`, and counted as a look-up that reads: some commands that change a stream look it up like that.
    pub fn read_stream_mut(&mut self, key: &[u8]) -> Result<Option<&mut StreamBox>, WrongType> {
        self.read_record(key);
        self.stream_mut(key)
    }

    #[inline]
    fn find_mut<C: Collection>(&mut self, key: &[u8]) -> Result<Option<(&mut C, &mut Sizes)>, WrongType> {
        let (_, place) = self.settle(key);
        let Some(place) = place else { return Ok(None) };
        let (config, now, random) = (self.config, self.now, self.random);
        let touches = self.touch == Touch::Yes;
        let keyspace = &mut *self.keyspace;
        // Hits and misses are counted for reads alone.
        let db = &mut keyspace.dbs[self.db];
        let mut record = db.table.at_mut(place);
        before_change(&mut keyspace.snapshot, db.id, db.home, &mut record);
        if touches {
            view::refresh(&record, config, now, random);
        }
        let collection = record.into_mut::<C>().ok_or(WrongType)?;
        Ok(Some((collection, &mut db.sizes)))
    }

    /// The collection under `key`, made where there is none. Whoever leaves it empty must still call `changed`.
    #[inline]
    pub fn get_or_new<C: Collection + Default>(&mut self, key: &[u8]) -> Result<Held<'_, C>, WrongType> {
        self.get_or_new_with(key, C::default)
    }

    /// As `get_or_new`, with a new one that is made of more than nothing.
    #[inline]
    pub fn get_or_new_with<C: Collection>(
        &mut self,
        key: &[u8],
        make: impl FnOnce() -> C,
    ) -> Result<Held<'_, C>, WrongType> {
        let (hash, place) = self.settle(key);
        let (config, now, random) = (self.config, self.now, self.random);
        let keyspace = &mut *self.keyspace;
        let db = &mut keyspace.dbs[self.db];
        let record = match place {
            Some(place) => {
                let mut record = db.table.at_mut(place);
                before_change(&mut keyspace.snapshot, db.id, db.home, &mut record);
                if self.touch == Touch::Yes {
                    view::refresh(&record, config, now, random);
                }
                record
            }
            None => {
                keyspace.moves += 1;
                self.effects.notice(self.db, key, Class::New, "new");
                let record = Record::word(key, make(), None);
                db.sizes.add(Bin::of(&record));
                record.set_clock(super::evict::first_clock(config, now.max(keyspace.replayed_ms)));
                record.set_stamp(keyspace.stamps.current);
                db.table.insert_new(hash, record)
            }
        };
        let collection = record.into_mut::<C>().ok_or(WrongType)?;
        Ok(Held::new(collection, &mut db.sizes))
    }

    pub fn list_mut(&mut self, key: &[u8]) -> Result<Option<Held<'_, List>>, WrongType> {
        self.get_mut::<List>(key)
    }
}

/// Making changes known.
impl Edit<'_> {
    /// The collection or string under `key` was changed in place. An empty collection goes, with a "del" of its own.
    pub fn changed(&mut self, key: &[u8], class: Class, event: &'static str) {
        self.keyspace.moves += 1;
        self.effects.changed(self.db, key, class, event);
        self.tidy(key);
    }

    /// Removes a collection that has become empty, with a "del" of its own; notes what has become of a hash's deadlines.
    fn tidy(&mut self, key: &[u8]) {
        let hash = self.hash(key);
        let Some(record) = self.table().table.get(hash, key) else { return };
        let fields = record.get::<types::hash::Hash>();
        let is_timed = value::is_timed(&record) || fields.is_some_and(|fields| fields.next_deadline().is_some());
        let is_empty = match value::value(record) {
            ValueRef::Collection(collection) => collection.kind() != Kind::Stream && collection.is_empty(),
            ValueRef::String(_) => false,
        };
        if is_timed {
            self.note_field_deadlines(hash, key);
        }
        if is_empty {
            if let Some(record) = self.detach(key) {
                self.discard(record);
            }
            self.effects.notice(self.db, key, Class::Generic, "del");
        }
    }

    /// As `changed`, for what cannot have become empty: a string, or a key that came or went.
    #[inline]
    pub fn changed_value(&mut self, key: &[u8], class: Class, event: &'static str) {
        self.keyspace.moves += 1;
        self.effects.changed(self.db, key, class, event);
    }

    /// As `changed_value`, for the second key of one change: it is not counted as a change of its own.
    pub fn changed_too(&mut self, key: &[u8], class: Class, event: &'static str) {
        self.keyspace.moves += 1;
        self.effects.touched(self.db, key, class, event);
    }

    /// As `changed`, for a command that changed `count` elements. With none, WATCH and notifications hear of it all the same.
    pub fn changed_many(&mut self, key: &[u8], class: Class, event: &'static str, count: usize) {
        if count == 0 {
            return self.effects.touched(self.db, key, class, event);
        }
        self.changed(key, class, event);
        self.effects.count((count as u64).saturating_sub(1));
    }

    /// As `changed_many`, for a list, set or sorted set that has got elements and lost none.
    #[inline]
    pub fn grown(&mut self, key: &[u8], class: Class, event: &'static str, count: usize) {
        self.changed_value(key, class, event);
        self.effects.count((count as u64).saturating_sub(1));
    }

    /// A stream's consumer groups changed, `count` times: neither WATCH nor waiting readers hear of it.
    pub fn changed_unwatched(&mut self, count: usize) {
        self.keyspace.moves += count as u64;
        self.effects.changed_unwatched(count as u64);
    }

    /// Waiting clients are to look at the key again, though its value did not change.
    pub fn stir(&mut self, key: &[u8], whom: Stir) {
        self.effects.stir(self.db, key, whom);
    }

    /// An event to notify of beside the change itself.
    pub fn notice(&mut self, key: &[u8], class: Class, event: &'static str) {
        self.effects.notice(self.db, key, class, event);
    }

    /// The journal carries these arguments instead of the client's request.
    pub fn journal_instead<A: AsRef<[u8]>>(&mut self, args: impl IntoIterator<Item = A, IntoIter: Clone>) {
        self.effects.journal_instead(self.db, args.into_iter());
    }

    /// As `journal_instead`, in another database.
    pub fn journal_instead_in<A: AsRef<[u8]>>(
        &mut self,
        db: DbIndex,
        args: impl IntoIterator<Item = A, IntoIter: Clone>,
    ) {
        self.effects.journal_instead(db, args.into_iter());
    }

    pub fn journal_nothing(&mut self) {
        self.effects.journal_nothing();
    }

    /// True where `journal_instead` would be heard: worth asking before its arguments are put together.
    pub fn is_journaling(&self) -> bool {
        self.effects.is_journaling()
    }
}

/// Whole values.
impl Edit<'_> {
    /// Stores a string under `key`, whatever was there, with this deadline. Says nothing yet: call `changed_value`.
    #[inline]
    pub fn set_string(&mut self, key: &[u8], text: &[u8], deadline: Option<u64>) {
        self.replace_string(key, text, deadline.map_or(Deadline::None, Deadline::At));
    }

    /// As `set_string`; the deadline may be the one that is there.
    #[inline]
    pub fn replace_string(&mut self, key: &[u8], text: &[u8], deadline: Deadline) {
        let integer = if text.len() <= INTEGER_TEXT_MAX { parse_i64(text) } else { None };
        let in_place = |record: &mut Record| match integer {
            Some(value) => record.set_integer(value),
            None => record.set_bytes(text),
        };
        let make = |deadline| match integer {
            Some(value) => Record::integer(key, value, deadline),
            None => Record::bytes(key, text, deadline),
        };
        self.store(key, deadline, Old::Overwritten, in_place, make);
    }

    /// Stores text that stays text even where it reads as an integer (INCRBYFLOAT's), keeping the deadline.
    pub fn set_text(&mut self, key: &[u8], text: &[u8]) {
        let make = |deadline| Record::bytes(key, text, deadline);
        self.store(key, Deadline::Keep, Old::Changed, |record| record.set_bytes(text), make);
    }

    /// Passes the string under `key` through `change`, which makes an integer of it, and keeps the deadline. One look-up.
    #[inline]
    pub fn change_integer<E: From<WrongType>>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(Option<Item<'_>>) -> Result<i64, E>,
    ) -> Result<i64, E> {
        let hash = self.hash(key);
        let now = self.now;
        let keyspace = &mut *self.keyspace;
        let db = &mut keyspace.dbs[self.db];
        let found = db.table.get_mut(hash, key);
        let value = match found.filter(|record| !view::has_lapsed(record, now)) {
            Some(mut record) => {
                before_change(&mut keyspace.snapshot, db.id, db.home, &mut record);
                if self.touch == Touch::Yes {
                    view::refresh(&record, self.config, now, self.random);
                }
                let item = match record.payload() {
                    Payload::Integer(value) => Item::Int(value),
                    Payload::Inline(bytes) => Item::Bytes(bytes),
                    Payload::Blob(blob) => Item::Bytes(blob.as_slice()),
                    Payload::Word(_) => return Err(WrongType.into()),
                };
                let before = Bin::new(Kind::String, item.len());
                let value = change(Some(item))?;
                if record.set_integer(value) {
                    db.sizes.change(before, Bin::new(Kind::String, decimal_len(value)));
                    self.keyspace.moves += 1;
                    return Ok(value);
                }
                value
            }
            None => change(None)?,
        };
        let make = |deadline| Record::integer(key, value, deadline);
        self.store(key, Deadline::Keep, Old::Changed, |record| record.set_integer(value), make);
        Ok(value)
    }

    /// Stores a collection under `key`, whatever was there.
    pub fn set<C: Collection>(&mut self, key: &[u8], collection: C, deadline: Option<u64>) {
        self.put(Record::word(key, collection, deadline));
    }

    /// Stores a record under its own key, whatever was there.
    pub fn put(&mut self, mut record: Record) {
        let deadline = record.deadline().map_or(Deadline::None, Deadline::At);
        let key = record.key().to_vec();
        let is_hash = value::kind_of(&record) == Kind::Hash;
        if is_hash {
            value::set_timed(&mut record, false);
        }
        self.store(&key, deadline, Old::Overwritten, |_| false, |_| record);
        if is_hash {
            self.note_field_deadlines(self.hash(&key), &key);
        }
    }

    /// The bytes of the string under `key` for changing in place: `change` is given a blob or a vector's worth of bytes, made
    /// where there is no string, and keeps the deadline. O(n) for small strings, in place for large ones. Whether anything changed is for
    /// the caller to see and to say.
    pub fn change_string<R>(&mut self, key: &[u8], change: impl FnOnce(&mut StringBytes) -> R) -> Result<R, WrongType> {
        let (_, place) = self.settle(key);
        let mut bytes = Vec::new();
        let keyspace = &mut *self.keyspace;
        let db = &mut keyspace.dbs[self.db];
        if let Some(place) = place {
            let mut record = db.table.at_mut(place);
            before_change(&mut keyspace.snapshot, db.id, db.home, &mut record);
            if self.touch == Touch::Yes {
                view::refresh(&record, self.config, self.now, self.random);
            }
            if let Some(blob) = record.blob_mut() {
                let before = Bin::new(Kind::String, blob.len());
                let mut bytes = StringBytes::Large(blob);
                let result = change(&mut bytes);
                db.sizes.change(before, Bin::new(Kind::String, bytes.len()));
                record.set_grown(true);
                return Ok(result);
            }
            match record.payload() {
                Payload::Inline(text) => bytes.extend_from_slice(text),
                Payload::Integer(value) => write_i64(&mut bytes, value),
                _ => return Err(WrongType),
            }
        }
        let was_there = !bytes.is_empty();
        let mut bytes = StringBytes::Small(bytes);
        let result = change(&mut bytes);
        let StringBytes::Small(bytes) = bytes else { unreachable!("small bytes stay small") };
        let make = |deadline| {
            let mut record = match bytes.len() {
                // A string that is being built grows in a blob, which has room to spare.
                BUILT_MIN.. if was_there => Record::blob(key, Blob::new(&bytes), deadline),
                _ => Record::bytes(key, &bytes, deadline),
            };
            record.set_grown(true);
            record
        };
        let moves = self.keyspace.moves;
        self.store(key, Deadline::Keep, Old::Changed, |_| false, make);
        self.keyspace.moves = moves;
        Ok(result)
    }

    /// The bytes of the string under `key`, at least `len` of them, for changing in place: it is made, or continued with zero bytes,
    /// where it is shorter, and is raw from now on. `change` is told too how many there were. Whether anything changed is for the
    /// caller to see and to say.
    #[inline]
    pub fn change_bytes<R>(
        &mut self,
        key: &[u8],
        len: usize,
        change: impl FnOnce(&mut [u8], usize) -> R,
    ) -> Result<R, WrongType> {
        let (_, place) = self.settle(key);
        let keyspace = &mut *self.keyspace;
        let db = &mut keyspace.dbs[self.db];
        if let Some(mut record) = place.map(|place| db.table.at_mut(place))
            && record.bytes_mut().is_some_and(|bytes| bytes.len() >= len)
        {
            before_change(&mut keyspace.snapshot, db.id, db.home, &mut record);
            if self.touch == Touch::Yes {
                view::refresh(&record, self.config, self.now, self.random);
            }
            record.set_grown(true);
            return Ok(record.bytes_mut().map(|bytes| change(bytes, bytes.len())).expect("there were bytes just now"));
        }
        let moves = self.keyspace.moves;
        let result = self.lengthen(key, len, change);
        self.keyspace.moves = moves;
        result
    }

    /// The part of `change_bytes` that cannot be done in place.
    fn lengthen<R>(
        &mut self,
        key: &[u8],
        len: usize,
        change: impl FnOnce(&mut [u8], usize) -> R,
    ) -> Result<R, WrongType> {
        let before = match self.lookup(key) {
            // By one large step, or large from the start: a blob at once, so that the zeros are not copied.
            Some(record) if len >= BLOB_AT_ONCE_MIN => match record.payload() {
                Payload::Blob(_) => None,
                _ => Some(value::string(&record).ok_or(WrongType)?.to_vec()),
            },
            None if len >= BLOB_AT_ONCE_MIN => Some(Vec::new()),
            _ => None,
        };
        let Some(before) = before else {
            return self.change_string(key, |bytes| {
                let was = bytes.len();
                bytes.pad_to(len);
                change(bytes.as_mut_slice(), was)
            });
        };
        let mut blob = Blob::with_capacity(len);
        blob.append(&before);
        blob.resize(len);
        let result = change(blob.as_mut_slice(), before.len());
        self.store(key, Deadline::Keep, Old::Changed, |_| false, |deadline| Record::blob(key, blob, deadline));
        Ok(result)
    }

    /// Stores a string that has come out of bits rather than from a client: it is raw, even where it reads as a number.
    pub fn set_raw_string(&mut self, key: &[u8], bytes: &[u8]) {
        let make = |deadline| {
            let mut record = Record::bytes(key, bytes, deadline);
            record.set_grown(true);
            record
        };
        self.store(key, Deadline::None, Old::Overwritten, |_| false, make);
    }

    /// Puts a value under `key` with one look-up: `in_place` where there is a record that can take it, else a new one. `make` is told
    /// the deadline.
    #[inline]
    fn store(
        &mut self,
        key: &[u8],
        deadline: Deadline,
        old: Old,
        in_place: impl FnOnce(&mut Record) -> bool,
        make: impl FnOnce(Option<u64>) -> Record,
    ) {
        let hash = self.hash(key);
        let (config, now, random, touch) = (self.config, self.now, self.random, self.touch);
        let keyspace = &mut *self.keyspace;
        let (id, home, stamp) = (keyspace.dbs[self.db].id, keyspace.dbs[self.db].home, keyspace.stamps.current);
        let replayed_ms = keyspace.replayed_ms;
        let db = &mut keyspace.dbs[self.db];
        let mut occupied = match db.table.entry(hash, key) {
            Entry::Occupied(occupied) if view::has_lapsed(&occupied.get(), now) => {
                self.expire(key);
                return self.store(key, deadline, old, in_place, make);
            }
            Entry::Occupied(occupied) => occupied,
            Entry::Vacant(vacant) => {
                let deadline = deadline.after(None);
                let record = make(deadline);
                record.set_clock(super::evict::first_clock(config, now.max(replayed_ms)));
                record.set_stamp(stamp);
                settle_image(&mut keyspace.snapshot, id, &record);
                let bin = Bin::of(&record);
                vacant.insert(record);
                db.sizes.add(bin);
                if let Some(deadline) = deadline {
                    db.volatile += 1;
                    db.table.mark_deadline(hash, deadline);
                }
                keyspace.moves += 1;
                self.effects.notice(self.db, key, Class::New, "new");
                return;
            }
        };
        keyspace.moves += 1;
        before_change(&mut keyspace.snapshot, id, home, &mut occupied.get_mut());
        let had = occupied.get().deadline();
        let deadline = deadline.after(had);
        let listening = old == Old::Overwritten && self.effects.is_listening();
        let before = Bin::of(&occupied.get());
        let mut record = occupied.get_mut();
        let replaced = if had.is_some() == deadline.is_some() && in_place(&mut record) {
            if let Some(deadline) = deadline {
                record.set_deadline(deadline);
            }
            None
        } else {
            let record = make(deadline);
            record.set_clock(occupied.get().clock());
            record.set_stamp(stamp);
            settle_image(&mut keyspace.snapshot, id, &record);
            Some(occupied.replace(record))
        };
        if touch == Touch::Yes {
            view::refresh(&occupied.get(), config, now, random);
        }
        let after = Bin::of(&occupied.get());
        db.sizes.change(before, after);
        if had != deadline {
            db.volatile = db.volatile + usize::from(deadline.is_some()) - usize::from(had.is_some());
            if let Some(deadline) = deadline {
                db.table.mark_deadline(hash, deadline);
            }
        }
        if listening {
            self.effects.notice(self.db, key, Class::Overwritten, "overwritten");
            if before.kind != after.kind {
                self.effects.notice(self.db, key, Class::TypeChanged, "type_changed");
            }
        }
        if let Some(replaced) = replaced {
            db.timed_hashes -= usize::from(value::is_timed(&replaced));
            self.discard(replaced);
        }
    }

    /// Takes a record out. Says nothing yet: call `changed`.
    pub fn take_record(&mut self, key: &[u8]) -> Option<Record> {
        let record = self.detach(key)?;
        self.keyspace.moves += 1;
        Some(record)
    }

    /// The same where no command has to answer for it, or has done so.
    fn detach(&mut self, key: &[u8]) -> Option<Record> {
        let hash = self.hash(key);
        let keyspace = &mut *self.keyspace;
        let db = &mut keyspace.dbs[self.db];
        let mut record = db.table.remove(hash, key)?;
        before_change(&mut keyspace.snapshot, db.id, db.home, &mut record);
        db.volatile -= usize::from(record.deadline().is_some());
        db.timed_hashes -= usize::from(value::is_timed(&record));
        db.sizes.remove(Bin::of(&record));
        Some(record)
    }

    /// Removes a key; false where there is none. Says nothing yet: call `changed`.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        self.settle(key);
        let record = self.take_record(key);
        let existed = record.is_some();
        if let Some(record) = record {
            self.discard(record);
        }
        existed
    }

    /// Takes a live record out, for moving it elsewhere.
    pub fn take(&mut self, key: &[u8]) -> Option<Record> {
        self.settle(key);
        self.take_record(key)
    }

    /// Frees a record: at once where that is cheap, else later on a thread. (Redis frees at once unless a `lazyfree-` directive or UNLINK
    /// asks for the thread; nobody can see the difference but in a pause.)
    pub fn discard(&mut self, record: Record) {
        if let Some(record) = self.adopted(record)
            && value::collection_len(&record).is_some_and(|elements| elements > FREE_AT_ONCE_MAX)
        {
            self.garbage.record(record);
        }
    }

    /// Shows a snapshot a record that is to be freed. Gives it back, unless the snapshot needs it for longer.
    fn adopted(&mut self, record: Record) -> Option<Record> {
        match &mut self.keyspace.snapshot {
            Some(snapshot) => snapshot.adopt(record),
            None => Some(record),
        }
    }

    /// The deadline of a key that exists: `Some(None)` has none.
    pub fn deadline(&mut self, key: &[u8]) -> Option<Option<u64>> {
        self.record(key).map(|record| record.deadline())
    }

    /// Gives a key another deadline, or none. Says nothing yet: call `changed_value`.
    pub fn set_deadline(&mut self, key: &[u8], deadline: Option<u64>) {
        let (hash, _) = self.settle(key);
        let keyspace = &mut *self.keyspace;
        let db = &mut keyspace.dbs[self.db];
        let (id, home) = (db.id, db.home);
        let Entry::Occupied(mut occupied) = db.table.entry(hash, key) else { return };
        keyspace.moves += 1;
        before_change(&mut keyspace.snapshot, id, home, &mut occupied.get_mut());
        let had_deadline = occupied.get().deadline().is_some();
        match deadline {
            Some(deadline) if had_deadline => {
                occupied.get_mut().set_deadline(deadline);
            }
            _ => occupied.update(|record| moved(record, |record| record.with_deadline(deadline))),
        }
        db.volatile = db.volatile + usize::from(deadline.is_some()) - usize::from(had_deadline);
        if let Some(deadline) = deadline {
            db.table.mark_deadline(hash, deadline);
        }
    }
}

/// A collection that comes from elsewhere may have an image that is not handed over yet.
#[inline]
fn settle_image(snapshot: &mut Option<Box<Snapshot>>, db: DbId, record: &Record) {
    if let Some(snapshot) = snapshot
        && let Some((id, _)) = value::image(record)
    {
        snapshot.relocate(id, db, record.key());
    }
}

/// Moves a record to another block. A string that Redis would put into a block of its own by that stays there.
pub fn moved(record: Record, change: impl FnOnce(Record) -> Record) -> Record {
    let was_raw = value::is_raw(&record);
    let mut record = change(record);
    if was_raw || value::is_raw(&record) {
        record.set_grown(true);
    }
    record
}

/// The deadline that a value is stored with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deadline {
    None,
    At(u64),
    /// The one that the key has.
    Keep,
}

impl Deadline {
    #[inline]
    fn after(self, before: Option<u64>) -> Option<u64> {
        match self {
            Deadline::None => None,
            Deadline::At(deadline) => Some(deadline),
            Deadline::Keep => before,
        }
    }
}

/// What a store means to the value that was there: notifications tell the two apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Old {
    Overwritten,
    Changed,
}

/// A string's bytes, held for changing.
pub enum StringBytes<'a> {
    Small(Vec<u8>),
    Large(&'a mut crate::ds::blob::Blob),
}

impl StringBytes<'_> {
    pub fn len(&self) -> usize {
        match self {
            StringBytes::Small(bytes) => bytes.len(),
            StringBytes::Large(blob) => blob.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn as_slice(&self) -> &[u8] {
        match self {
            StringBytes::Small(bytes) => bytes,
            StringBytes::Large(blob) => blob.as_slice(),
        }
    }

    pub fn replace(&mut self, with: Vec<u8>) {
        match self {
            StringBytes::Small(bytes) => *bytes = with,
            StringBytes::Large(blob) => blob.set(&with),
        }
    }

    pub fn append(&mut self, more: &[u8]) {
        match self {
            StringBytes::Small(bytes) => bytes.extend_from_slice(more),
            StringBytes::Large(blob) => blob.append(more),
        }
    }

    /// Puts `with` in the place of `removed` bytes from `at` on. O(n) with what stands behind them.
    pub fn splice(&mut self, at: usize, removed: usize, with: &[u8]) {
        let (was, behind) = (self.len(), at + removed);
        let len = was - removed + with.len();
        self.pad_to(len);
        let bytes = self.as_mut_slice();
        bytes.copy_within(behind..was, at + with.len());
        bytes[at..at + with.len()].copy_from_slice(with);
        match self {
            StringBytes::Small(bytes) => bytes.truncate(len),
            StringBytes::Large(blob) => blob.resize(len),
        }
    }

    /// Pads with zero bytes up to `len` where the string is shorter.
    pub fn pad_to(&mut self, len: usize) {
        if len <= self.len() {
            return;
        }
        match self {
            StringBytes::Small(bytes) => bytes.resize(len, 0),
            StringBytes::Large(blob) => blob.resize(len),
        }
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        match self {
            StringBytes::Small(bytes) => bytes,
            StringBytes::Large(blob) => blob.as_mut_slice(),
        }
    }
}
