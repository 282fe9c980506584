//! The thread that writes a snapshot, and what lies between it and the walk.
//!
//! ```text
//!   loop                                                     thread
//!   walk ────► record ──► chunk (256 KiB) ──► channel ──► pack · checksum · write · sync · rename
//!   writers ──►                                 ▲                        │
//!                     `has_room` looks at what waits here ◄── written ───┘
//! ```
//!
//! What waits is bounded twice. The walk stops while `WALK_BYTES` wait: the disk's speed is its speed. A writer that has to hand over what
//! it is about to change does not ask; beyond `WAITING_BYTES_MAX` it waits until the thread has taken something, so that clients who
//! change data faster than the disk takes it in come down to the disk's speed, and memory stays bounded. Where the thread takes nothing for
//! `PATIENCE` the snapshot is given up instead: a disk that hangs is no reason for a server to hang.
//!
//! ```text
//!   16 MiB   wait here                                        and one value, or element of a collection, of any size: what is
//!   21 MiB   are kept by images or wait for them              larger than all of this by itself is held once more while it is
//!   17 MiB   the thread works on: a text and its packed form  written
//! ```
//! So a snapshot takes less than 64 MiB beside the data set, be that as it was when the snapshot began or as it is now.

mod requests;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};

use super::disk::{self, Disk, DiskError, DiskFile};
use super::rdb::CHECKSUM_BYTES;
use super::rdb::write::{self, Access, Facts, Version, Writer};
use crate::config::{Config, MaxmemoryPolicy, RdbDialect};
use crate::db::snapshot::{PART_BYTES, Part, Sink};
use crate::db::{DbIndex, Keyspace, evict};
use crate::ds::blob::SharedBlob;
use crate::ds::image::ImageId;
use crate::ds::record::Payload;
use crate::types::codec::{Chunk, Dialect, Encoding, Limits};
use crate::types::value::{self, Record, RecordRef};

/// A chunk goes to the thread when it has this many bytes.
const CHUNK_BYTES: usize = 256 * 1024;
/// A collection of more elements, or bytes, is handed over in parts.
const LARGE_ELEMENTS: usize = 2048;
const LARGE_BYTES: usize = 256 * 1024;
/// The walk stops while this many bytes wait for the thread.
const WALK_BYTES: usize = 8 * 1024 * 1024;
/// Nobody hands over more while this many bytes wait.
const WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What a message takes besides its bytes.
const MESSAGE_BYTES: usize = 128;
/// So long a writer waits for a thread that gets nothing done, looking so often.
const PATIENCE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_micros(100);
/// What was written is forced to the disk every so many bytes, lest the last sync has all of it to do.
const SYNC_BYTES: u64 = 4 * 1024 * 1024;

/// What is to be written, and where.
pub struct Plan {
    /// The file that is written.
    pub temporary: PathBuf,
    /// The file whose place it takes in the end, where it takes any.
    pub target: Option<PathBuf>,
    pub is_aof_base: bool,
    /// Where it is to be written as requests, not as a snapshot file.
    pub requests: Option<AsRequests>,
    /// The source texts of the libraries of functions.
    pub functions: Vec<Vec<u8>>,
    /// Unix time.
    pub now_ms: u64,
}

/// A base without `aof-use-rdb-preamble`.
pub struct AsRequests {
    /// What the thread reads values with, before it writes them out as requests.
    pub limits: Limits,
    /// `aof-timestamp-enabled`
    pub has_time: bool,
}

/// What came of it.
#[derive(Debug)]
pub enum Outcome {
    Finished {
        /// Of the file.
        bytes: u64,
    },
    Failed(Failure),
}

/// Where and why writing failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// "No space left on device (write temp-7.rdb, errno 28) at offset 4096"
    pub text: String,
}

/// Begins a snapshot of the keyspace as it is now: the sink is for `Keyspace::begin_snapshot`, which must follow at once, and the job for
/// asking how it goes. `ring` is called on the thread when there is room again or it has ended,
/// `prepare` when it begins.
pub fn start(
    disk: Arc<dyn Disk>,
    plan: Plan,
    config: &Config,
    keyspace: &Keyspace,
    ring: Arc<dyn Fn() + Send + Sync>,
    prepare: impl FnOnce() + Send + 'static,
) -> io::Result<(Box<dyn Sink>, Job)> {
    // Bounded by bytes: `Outlet::send`.
    let (sender, inbox) = unbounded();
    let (report, outcome) = bounded(1);
    let shared = Arc::new(Shared::default());
    let manner = Manner {
        checksums: config.rdbchecksum,
        compresses: config.rdbcompression && plan.requests.is_none(),
        sync_as_it_goes: match plan.is_aof_base {
            true => config.aof_rewrite_incremental_fsync,
            false => config.rdb_save_incremental_fsync,
        },
    };
    let outlet = Outlet { sender, shared: Arc::clone(&shared), ring: Arc::clone(&ring) };
    let sink = RdbSink::new(outlet, &plan, manner.compresses, config, keyspace);
    let job = Job { outcome, shared: Arc::clone(&shared), temporary: plan.temporary.clone() };
    thread::Builder::new().name("snapshot".into()).spawn(move || {
        prepare();
        let outcome = write_file(&*disk, &plan, &manner, &inbox, &shared, &*ring);
        // Whoever sends more finds the channel closed, or hears of it while waiting for room.
        drop(inbox);
        shared.has_ended.store(true, Ordering::Release);
        if !matches!(outcome, Some(Outcome::Finished { .. })) {
            // There may be nothing to remove.
            let _ = disk.remove(&plan.temporary);
        }
        if let Some(outcome) = outcome {
            let _ = report.send(outcome);
        }
        drop(report);
        ring();
    })?;
    Ok((Box::new(sink), job))
}

/// A snapshot that is being written.
pub struct Job {
    outcome: Receiver<Outcome>,
    shared: Arc<Shared>,
    temporary: PathBuf,
}

impl Job {
    /// What came of it, once.
    pub fn poll(&mut self) -> Option<Outcome> {
        if self.shared.hangs.load(Ordering::Acquire) {
            return Some(Outcome::Failed(self.hanging()));
        }
        self.outcome.try_recv().ok()
    }

    /// Waits until the thread has ended and removed what it has written, but not for a disk that hangs.
    pub fn wait_for_removal(self) {
        let _ = self.outcome.recv_timeout(PATIENCE);
    }

    /// Bytes that wait to be written.
    pub fn waiting_bytes(&self) -> usize {
        self.shared.waiting_bytes.load(Ordering::Relaxed)
    }

    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    fn hanging(&self) -> Failure {
        let path = self.temporary.display();
        Failure { text: format!("The disk takes nothing for {} s (write {path})", PATIENCE.as_secs()) }
    }
}

/// What the two sides know of each other.
#[derive(Default)]
struct Shared {
    waiting_bytes: AtomicUsize,
    /// The walk has stopped for want of room.
    wants_room: AtomicBool,
    /// The thread has taken nothing for too long.
    hangs: AtomicBool,
    has_ended: AtomicBool,
    /// Calls that the disk has answered.
    disk_calls: AtomicU64,
    /// The most that ever waited.
    #[cfg(test)]
    waiting_bytes_peak: AtomicUsize,
}

/// What goes over the channel.
enum Message {
    Chunk(Chunk),
    /// The value of the record that the last chunk ends with.
    Blob(SharedBlob),
    End,
}

impl Message {
    /// What it takes.
    fn weight(&self) -> usize {
        let bytes = match self {
            Message::Chunk(chunk) => chunk.memory(),
            Message::Blob(blob) => blob.as_ref().len(),
            Message::End => 0,
        };
        MESSAGE_BYTES + bytes
    }
}

/// The loop's end of the channel.
struct Outlet {
    sender: Sender<Message>,
    shared: Arc<Shared>,
    ring: Arc<dyn Fn() + Send + Sync>,
}

impl Outlet {
    fn send(&self, message: Message) {
        if !self.wait_for_room() {
            return;
        }
        let bytes = message.weight();
        let _waiting = self.shared.waiting_bytes.fetch_add(bytes, Ordering::AcqRel) + bytes;
        #[cfg(test)]
        self.shared.waiting_bytes_peak.fetch_max(_waiting, Ordering::Relaxed);
        // A channel that is closed means that the thread has failed, which it says itself.
        if self.sender.send(message).is_err() {
            self.shared.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
        }
    }

    /// Waits while there is too much. False where the thread takes no more, or has done nothing for too long.
    fn wait_for_room(&self) -> bool {
        let shared = &*self.shared;
        let (mut calls, mut since) = (shared.disk_calls.load(Ordering::Relaxed), None);
        while shared.waiting_bytes.load(Ordering::Acquire) >= WAITING_BYTES_MAX {
            if shared.hangs.load(Ordering::Acquire) || shared.has_ended.load(Ordering::Acquire) {
                return false;
            }
            let calls_now = shared.disk_calls.load(Ordering::Relaxed);
            let began = *since.get_or_insert_with(Instant::now);
            if calls_now != calls {
                (calls, since) = (calls_now, None);
            } else if began.elapsed() > PATIENCE {
                shared.hangs.store(true, Ordering::Release);
                (self.ring)();
                return false;
            }
            thread::sleep(LOOK);
        }
        !shared.hangs.load(Ordering::Acquire)
    }

    fn has_room(&self) -> bool {
        let is_full = || self.shared.waiting_bytes.load(Ordering::SeqCst) >= WALK_BYTES;
        if !is_full() {
            return true;
        }
        self.shared.wants_room.store(true, Ordering::SeqCst);
        // The thread may have looked just before.
        !is_full()
    }
}

/// Makes a snapshot file's parts of records.
struct RdbSink {
    outlet: Outlet,
    chunk: Chunk,
    compresses: bool,
    dialect: Dialect,
    /// The database that the records last written are in.
    db: Option<DbIndex>,
    /// Keys of each database, and those with a deadline, until they are told.
    sizes: Vec<Option<(usize, usize)>>,
    access: Box<dyn Fn(&RecordRef<'_>) -> Access + Send>,
    /// An image is in the chunks in part. Records that come in between wait in a chunk of their own.
    is_within: bool,
    aside: Chunk,
    /// What comes before that chunk, as large strings are not copied into one.
    parked: Vec<Message>,
    parked_bytes: usize,
    aside_db: Option<DbIndex>,
}

impl RdbSink {
    fn new(outlet: Outlet, plan: &Plan, compresses: bool, config: &Config, keyspace: &Keyspace) -> Self {
        let databases = (0..keyspace.databases()).map(|index| keyspace.db(index));
        let dialect = match config.rdb_dialect {
            RdbDialect::Redis => Dialect::Redis,
            RdbDialect::Valkey => Dialect::Valkey,
        };
        let has_field_deadlines = databases.clone().any(|db| db.timed_hashes() > 0);
        let mut sink = Self {
            outlet,
            chunk: Chunk::with_capacity(compresses, CHUNK_BYTES),
            compresses,
            dialect,
            db: None,
            sizes: databases.map(|db| Some((db.len(), db.volatile()))).collect(),
            access: access(config, plan.now_ms),
            is_within: false,
            aside: Chunk::new(compresses),
            parked: Vec::new(),
            parked_bytes: 0,
            aside_db: None,
        };
        let facts = Facts {
            version: Version::oldest(has_field_deadlines, dialect),
            compatible_with: &config.compat_version.to_string(),
            unix_s: plan.now_ms / 1000,
            used_memory: crate::util::memory::used(),
            is_aof_base: plan.is_aof_base,
        };
        write::start(&mut sink.chunk, &facts);
        if let Some(db) = keyspace.stream_db {
            write::aux(&mut sink.chunk, b"repl-stream-db", db.to_string().as_bytes());
        }
        for source in &plan.functions {
            write::function(&mut sink.chunk, source);
        }
        sink
    }

    fn flush(&mut self) {
        if self.chunk.is_empty() {
            return;
        }
        let chunk = if self.chunk.len() < CHUNK_BYTES / 8 {
            // As long as it is, and the room stays here.
            let mut exact = Chunk::with_capacity(self.compresses, self.chunk.len());
            exact.append(&self.chunk);
            self.chunk.clear();
            exact
        } else {
            std::mem::replace(&mut self.chunk, Chunk::with_capacity(self.compresses, CHUNK_BYTES))
        };
        self.outlet.send(Message::Chunk(chunk));
    }

    fn flush_if_full(&mut self) {
        if self.chunk.len() >= CHUNK_BYTES - CHUNK_BYTES / 16 {
            self.flush();
        }
    }

    fn go_to(&mut self, db: DbIndex) {
        let (chunk, before) = match self.is_within {
            false => (&mut self.chunk, &mut self.db),
            true => (&mut self.aside, &mut self.aside_db),
        };
        if before.replace(db) == Some(db) {
            return;
        }
        match self.sizes[db].take() {
            Some((keys, volatile)) => write::database(chunk, db, keys, volatile),
            None => write::same_database(chunk, db),
        }
    }

    /// A full chunk of what waits is parked, so that none of them grows without end.
    fn park_if_full(&mut self) {
        if self.aside.len() >= CHUNK_BYTES {
            self.park(None);
        }
    }

    fn park(&mut self, blob: Option<SharedBlob>) {
        let chunk = std::mem::replace(&mut self.aside, Chunk::new(self.compresses));
        for message in std::iter::once(Message::Chunk(chunk)).chain(blob.map(Message::Blob)) {
            self.parked_bytes += message.weight();
            self.parked.push(message);
        }
    }

    /// The image is complete: behind it comes what had to wait.
    fn end_image(&mut self) {
        self.is_within = false;
        self.flush();
        if let Some(db) = self.aside_db.take() {
            self.db = Some(db);
            self.park(None);
            self.parked_bytes = 0;
            for message in std::mem::take(&mut self.parked) {
                self.outlet.send(message);
            }
        }
    }
}

impl Sink for RdbSink {
    fn take(&mut self, db: DbIndex, record: RecordRef<'_>) {
        self.go_to(db);
        let access = (self.access)(&record);
        let blob = match record.payload() {
            Payload::Blob(blob) => blob.share(),
            _ => None,
        };
        if self.is_within {
            match blob {
                Some(blob) => {
                    write::record_head(&mut self.aside, &record, self.dialect, access);
                    self.park(Some(blob));
                }
                None => write::record(&mut self.aside, &record, self.dialect, access),
            }
            return self.park_if_full();
        }
        match blob {
            Some(blob) => {
                write::record_head(&mut self.chunk, &record, self.dialect, access);
                self.flush();
                self.outlet.send(Message::Blob(blob));
            }
            None => {
                write::record(&mut self.chunk, &record, self.dialect, access);
                self.flush_if_full();
            }
        }
    }

    fn is_large(&self, record: &Record) -> bool {
        value::is_larger(record, LARGE_ELEMENTS, LARGE_BYTES)
    }

    fn begin(&mut self, db: DbIndex, record: &mut Record, id: ImageId) -> Option<Part> {
        let mut head = Chunk::new(self.compresses);
        let access = (self.access)(&record.borrow());
        write::record_head(&mut head, record, self.dialect, access);
        let encoding = Encoding::begin(record, id, self.dialect, &mut head)?;
        Some(Part { db, head, encoding })
    }

    fn go_on(&mut self, part: &mut Part, record: &mut Record) -> bool {
        if !self.is_within {
            self.go_to(part.db);
            self.chunk.append(&part.head);
            self.is_within = true;
        }
        part.encoding.go_on(record, PART_BYTES, &mut self.chunk);
        self.flush_if_full();
        if part.encoding.is_done() {
            self.end_image();
        }
        self.is_within
    }

    fn aside_bytes(&self) -> usize {
        self.parked_bytes + self.aside.memory()
    }

    fn waiting_bytes(&self) -> usize {
        self.aside_bytes() + self.outlet.shared.waiting_bytes.load(Ordering::Relaxed)
    }

    fn has_room(&mut self) -> bool {
        self.outlet.has_room()
    }

    fn finish(mut self: Box<Self>) {
        write::end(&mut self.chunk);
        self.flush();
        self.outlet.send(Message::End);
    }
}

/// What is told of when a record was last used: under a policy that asks for it.
fn access(config: &Config, now_ms: u64) -> Box<dyn Fn(&RecordRef<'_>) -> Access + Send> {
    match config.maxmemory_policy {
        MaxmemoryPolicy::AllkeysLru | MaxmemoryPolicy::VolatileLru => {
            Box::new(move |record| Access::IdleSeconds(evict::idle_ms(record, now_ms) / 1000))
        }
        MaxmemoryPolicy::AllkeysLfu | MaxmemoryPolicy::VolatileLfu => {
            let config = config.clone();
            Box::new(move |record| Access::Frequency(evict::frequency(record, &config, now_ms) as u8))
        }
        _ => Box::new(|_| Access::Unknown),
    }
}

/// The thread's directives, as they were when it began.
struct Manner {
    checksums: bool,
    compresses: bool,
    sync_as_it_goes: bool,
}

/// What the thread does. `None` where the snapshot was given up.
fn write_file(
    disk: &dyn Disk,
    plan: &Plan,
    manner: &Manner,
    inbox: &Receiver<Message>,
    shared: &Shared,
    ring: &dyn Fn(),
) -> Option<Outcome> {
    let path = &plan.temporary;
    let file = match disk.create(path) {
        Ok(file) => Paced::new(file, manner.sync_as_it_goes, shared),
        Err(error) => return Some(failed(DiskError::new("open", path, error), 0)),
    };
    let inbox = Inbox { inbox, shared, ring };
    let written = match &plan.requests {
        Some(requests) => requests::write(plan, requests, inbox, file)?,
        None => write_snapshot(manner, inbox, file)?,
    };
    let (output, bytes) = match written {
        Ok(written) => written,
        Err(Broken { call, error, offset }) => return Some(failed(DiskError::new(call, path, error), offset)),
    };
    if let Err(error) = output.file.sync() {
        return Some(failed(DiskError::new("fsync", path, error), bytes));
    }
    drop(output);
    if let Some(target) = &plan.target {
        let renamed = disk.rename(path, target).map_err(|error| DiskError::new("rename", target, error));
        if let Err(error) = renamed.and_then(|()| disk::sync_folder_of(disk, target)) {
            return Some(failed(error, bytes));
        }
    }
    Some(Outcome::Finished { bytes })
}

fn failed(error: DiskError, offset: u64) -> Outcome {
    Outcome::Failed(Failure { text: error.at(offset).in_full() })
}

/// The thread's end of the channel.
struct Inbox<'a> {
    inbox: &'a Receiver<Message>,
    shared: &'a Shared,
    ring: &'a dyn Fn(),
}

impl Inbox<'_> {
    /// What comes next. `None` where the snapshot was given up.
    fn next(&self) -> Option<Message> {
        self.inbox.recv().ok()
    }

    /// A message of so many bytes takes no memory any more.
    fn done(&self, bytes: usize) {
        let waiting = self.shared.waiting_bytes.fetch_sub(bytes, Ordering::SeqCst) - bytes;
        if waiting < WALK_BYTES / 2 && self.shared.wants_room.swap(false, Ordering::SeqCst) {
            (self.ring)();
        }
    }
}

/// The file cannot be written.
struct Broken {
    call: &'static str,
    error: io::Error,
    offset: u64,
}

/// All of it in its file, with the number of bytes; or where and why not. Nothing where it was given up.
type Written<'a> = Option<Result<(Paced<'a>, u64), Broken>>;

fn write_snapshot<'a>(manner: &Manner, inbox: Inbox<'_>, file: Paced<'a>) -> Written<'a> {
    let mut writer = Writer::new(file, manner.checksums);
    loop {
        let message = inbox.next()?;
        let bytes = message.weight();
        let written = match &message {
            Message::Chunk(chunk) => writer.write(chunk),
            Message::Blob(blob) => writer.write_text(blob.as_ref(), manner.compresses),
            Message::End => break,
        };
        drop(message);
        inbox.done(bytes);
        if let Err(error) = written {
            return Some(Err(Broken { call: writer.output().call, error, offset: writer.bytes() }));
        }
    }
    let offset = writer.bytes();
    let finished = writer.finish().map_err(|error| Broken { call: "write", error, offset });
    Some(finished.map(|output| (output, offset + CHECKSUM_BYTES as u64)))
}

/// A file that is forced to the disk as it grows, lest the last sync has all of it to do and others wait for the disk meanwhile.
struct Paced<'a> {
    file: Box<dyn DiskFile>,
    shared: &'a Shared,
    paced: bool,
    unsynced_bytes: u64,
    /// The system call that was made last.
    call: &'static str,
}

impl<'a> Paced<'a> {
    fn new(file: Box<dyn DiskFile>, paced: bool, shared: &'a Shared) -> Self {
        Self { file, shared, paced, unsynced_bytes: 0, call: "write" }
    }
}

impl Write for Paced<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.call = "write";
        let written = self.file.write(bytes)?;
        self.shared.disk_calls.fetch_add(1, Ordering::Relaxed);
        self.unsynced_bytes += written as u64;
        if self.paced && self.unsynced_bytes >= SYNC_BYTES {
            self.unsynced_bytes = 0;
            self.call = "fsync";
            self.file.sync()?;
            self.shared.disk_calls.fetch_add(1, Ordering::Relaxed);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outlet() -> (Outlet, Receiver<Message>) {
        let (sender, inbox) = unbounded();
        (Outlet { sender, shared: Arc::default(), ring: Arc::new(|| {}) }, inbox)
    }

    fn message(bytes: usize) -> Message {
        let mut chunk = Chunk::with_capacity(false, bytes);
        chunk.raw(&vec![0; bytes]);
        Message::Chunk(chunk)
    }

    #[test]
    fn who_hands_over_more_than_the_disk_takes_waits_for_it() {
        const BYTES: usize = 1024 * 1024;
        let (outlet, inbox) = outlet();
        let shared = Arc::clone(&outlet.shared);
        let slow = thread::spawn(move || {
            let inbox = Inbox { inbox: &inbox, shared: &shared, ring: &|| {} };
            let mut taken = 0;
            while let Some(message) = inbox.next() {
                thread::sleep(Duration::from_micros(300));
                inbox.done(message.weight());
                taken += 1;
            }
            taken
        });
        (0..300).for_each(|_| outlet.send(message(BYTES)));
        let shared = Arc::clone(&outlet.shared);
        drop(outlet);
        assert_eq!(slow.join().expect("it ends"), 300);
        let peak = shared.waiting_bytes_peak.load(Ordering::Relaxed);
        assert!(peak <= WAITING_BYTES_MAX + BYTES + MESSAGE_BYTES, "{peak}");
        assert!(peak > WAITING_BYTES_MAX / 2, "{peak}");
    }

    #[test]
    fn nobody_waits_for_long_for_a_disk_that_hangs() {
        let (outlet, _inbox) = outlet();
        let began = Instant::now();
        (0..40).for_each(|_| outlet.send(message(1024 * 1024)));
        assert!(outlet.shared.hangs.load(Ordering::Relaxed));
        assert!(began.elapsed() < 2 * PATIENCE);
    }

    #[test]
    fn nobody_waits_for_a_thread_that_has_ended() {
        let (outlet, inbox) = outlet();
        (0..16).for_each(|_| outlet.send(message(1024 * 1024)));
        drop(inbox);
        outlet.shared.has_ended.store(true, Ordering::Release);
        outlet.send(message(1));
        assert!(!outlet.shared.hangs.load(Ordering::Relaxed));
    }
}
