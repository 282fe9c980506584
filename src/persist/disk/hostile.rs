//! A disk in memory that does everything a disk is allowed to do to its user: for tests and simulations.
//!
//! ```text
//!   a file      ████████████░░░░░░░░      █ durable (fsync)   ░ only the kernel has it
//!   power cut   ████████████░░░▒          of ░ a prefix of any length stays, its last byte anywhere in a command
//!   a folder    create · rename · remove  those since the folder's last fsync: a prefix of them has happened
//! ```
//!
//! After a process kill everything written is there. Calls can be made to fail: the nth from now, all of one kind, or for want of room.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile};
use crate::util::random::Random;

/// Errors of the system, by number: ENOSPC, EIO, EROFS, ENOENT.
pub const NO_SPACE: i32 = 28;
pub const INPUT_OUTPUT: i32 = 5;
pub const READ_ONLY: i32 = 30;
const NO_ENTRY: i32 = 2;

#[derive(Clone, Default)]
pub struct HostileDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    files: Vec<Content>,
    /// Names as the kernel has them.
    names: BTreeMap<PathBuf, usize>,
    /// Names as the disk has them.
    durable_names: BTreeMap<PathBuf, usize>,
    /// What was done to names since the folder was last synced, in order.
    pending: Vec<NameChange>,
    folders: Vec<PathBuf>,
    /// Calls that change something, so far.
    calls: u64,
    fail_at: Option<(u64, i32)>,
    /// Calls of this name fail for as long as this stands.
    failing: Option<(&'static str, i32)>,
    room: Option<usize>,
    /// The disk as it was before each call that changes something, where that is wanted.
    moments: Option<Vec<(u64, HostileDisk)>>,
}

#[derive(Default, Clone)]
struct Content {
    bytes: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Clone)]
enum NameChange {
    Put(PathBuf, usize),
    Gone(PathBuf),
}

impl NameChange {
    fn path(&self) -> &Path {
        match self {
            NameChange::Put(path, _) | NameChange::Gone(path) => path,
        }
    }

    fn apply(self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            NameChange::Put(path, file) => {
                names.insert(path, file);
            }
            NameChange::Gone(path) => {
                names.remove(&path);
            }
        }
    }
}

impl HostileDisk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call after `calls` others that change something fails.
    pub fn fail_after(&self, calls: u64, errno: i32) {
        let mut state = self.lock();
        state.fail_at = Some((state.calls + calls, errno));
    }

    /// Calls of one kind ("write", "fsync", "rename", "create", "remove"; "" for all) fail until told otherwise.
    pub fn fail_all(&self, call: &'static str, errno: i32) {
        self.lock().failing = Some((call, errno));
    }

    /// No call fails any more, and there is room.
    pub fn recover(&self) {
        let mut state = self.lock();
        (state.fail_at, state.failing, state.room) = (None, None, None);
    }

    /// So many more bytes can be written.
    pub fn set_room(&self, bytes: Option<usize>) {
        self.lock().room = bytes;
    }

    /// Calls so far that change something.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// The power goes: what was not synced is there in part, and torn.
    pub fn lose_power(&self, random: &mut Random) {
        let mut state = self.lock();
        for file in &mut state.files {
            file.survive(random);
        }
        let survivors = random.index(state.pending.len() + 1);
        let mut names = std::mem::take(&mut state.durable_names);
        for change in std::mem::take(&mut state.pending).into_iter().take(survivors) {
            change.apply(&mut names);
        }
        state.names = names.clone();
        state.durable_names = names;
    }

    /// Another disk with the same files, as they are now: what a process finds that is started instead of this one.
    pub fn copy(&self) -> Self {
        self.lock().copy()
    }

    /// From now on a copy is kept of the disk as it is before each call that changes something.
    pub fn keep_moments(&self) {
        self.lock().moments = Some(Vec::new());
    }

    /// The copies, each with the number of calls before it.
    pub fn take_moments(&self) -> Vec<(u64, HostileDisk)> {
        self.lock().moments.take().unwrap_or_default()
    }

    /// A file's bytes as the kernel has them.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.lock();
        state.names.get(path).map(|&file| state.files[file].bytes.clone())
    }

    /// Puts a file there, durable.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.lock();
        let file = state.files.len();
        state.files.push(Content { bytes: bytes.to_vec(), durable: bytes.to_vec() });
        state.names.insert(path.to_owned(), file);
        state.durable_names.insert(path.to_owned(), file);
    }

    pub fn paths(&self) -> Vec<PathBuf> {
        self.lock().names.keys().cloned().collect()
    }
}

impl Content {
    fn survive(&mut self, random: &mut Random) {
        let common = self.bytes.iter().zip(&self.durable).take_while(|(now, then)| now == then).count();
        if common < self.durable.len() {
            // Cut off and written on, not synced: either is what may be found.
            if random.index(2) == 0 {
                self.bytes.clone_from(&self.durable);
            }
        } else {
            let unsynced = self.bytes.len() - self.durable.len();
            self.bytes.truncate(self.durable.len() + random.index(unsynced + 1));
        }
        self.durable.clone_from(&self.bytes);
    }
}

impl State {
    fn copy(&self) -> HostileDisk {
        let copy = State {
            files: self.files.clone(),
            names: self.names.clone(),
            durable_names: self.durable_names.clone(),
            pending: self.pending.clone(),
            folders: self.folders.clone(),
            ..State::default()
        };
        HostileDisk { state: Arc::new(Mutex::new(copy)) }
    }

    /// Counts a call that changes something, and fails it where it is to fail.
    fn begin(&mut self, call: &str) -> io::Result<()> {
        if self.moments.is_some() {
            let moment = (self.calls, self.copy());
            self.moments.get_or_insert_default().push(moment);
        }
        self.calls += 1;
        if let Some((at, errno)) = self.fail_at
            && self.calls > at
        {
            self.fail_at = None;
            return Err(io::Error::from_raw_os_error(errno));
        }
        match self.failing {
            Some((failing, errno)) if failing.is_empty() || failing == call => Err(io::Error::from_raw_os_error(errno)),
            _ => Ok(()),
        }
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::Error::from_raw_os_error(NO_ENTRY))
    }

    fn change(&mut self, change: NameChange) {
        change.clone().apply(&mut self.names);
        self.pending.push(change);
    }

    fn has_folder(&self, path: &Path) -> bool {
        let folder = super::folder_of(path);
        folder == Path::new(".") || self.folders.iter().any(|known| known == folder)
    }

    fn make(&mut self, path: &Path) -> io::Result<usize> {
        self.begin("create")?;
        if !self.has_folder(path) {
            return Err(io::Error::from_raw_os_error(NO_ENTRY));
        }
        self.files.push(Content::default());
        let file = self.files.len() - 1;
        self.change(NameChange::Put(path.to_owned(), file));
        Ok(file)
    }
}

impl Disk for HostileDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.lock();
        let file = match state.find(path) {
            Ok(file) => {
                state.begin("create")?;
                state.files[file].bytes.clear();
                file
            }
            Err(_) => state.make(path)?,
        };
        Ok(Box::new(HostileFile { disk: self.clone(), file }))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.lock();
        let file = match state.find(path) {
            Ok(file) => file,
            Err(_) => state.make(path)?,
        };
        Ok(Box::new(HostileFile { disk: self.clone(), file }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        let state = self.lock();
        Ok(Box::new(io::Cursor::new(state.files[state.find(path)?].bytes.clone())))
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        let state = self.lock();
        if state.folders.iter().any(|folder| folder == path) {
            return Ok(0);
        }
        Ok(state.files[state.find(path)?].bytes.len() as u64)
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let mut state = self.lock();
        state.begin("truncate")?;
        let file = state.find(path)?;
        let content = &mut state.files[file];
        content.bytes.truncate(len as usize);
        content.durable.clone_from(&content.bytes);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.begin("rename")?;
        let file = state.find(from)?;
        // One step of the file system: both names change, or none.
        state.names.remove(from);
        state.names.insert(to.to_owned(), file);
        state.pending.push(NameChange::Put(to.to_owned(), file));
        state.pending.push(NameChange::Gone(from.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.begin("remove")?;
        state.find(path)?;
        state.change(NameChange::Gone(path.to_owned()));
        Ok(())
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.begin("mkdir")?;
        if !state.folders.iter().any(|folder| folder == path) {
            state.folders.push(path.to_owned());
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let state = self.lock();
        let inside = state.names.keys().filter(|name| super::folder_of(name) == path);
        Ok(inside.filter_map(|name| name.file_name()).map(OsString::from).collect())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.begin("fsync")?;
        let mut durable = std::mem::take(&mut state.durable_names);
        let mut left = Vec::new();
        for change in std::mem::take(&mut state.pending) {
            if super::folder_of(change.path()) == path {
                change.apply(&mut durable);
            } else {
                left.push(change);
            }
        }
        state.durable_names = durable;
        state.pending = left;
        Ok(())
    }
}

struct HostileFile {
    disk: HostileDisk,
    file: usize,
}

impl DiskFile for HostileFile {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.lock();
        state.begin("write")?;
        let count = match &mut state.room {
            Some(0) => return Err(io::Error::from_raw_os_error(NO_SPACE)),
            Some(room) => {
                let count = bytes.len().min(*room);
                *room -= count;
                count
            }
            None => bytes.len(),
        };
        state.files[self.file].bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.begin("fsync")?;
        let content = &mut state.files[self.file];
        content.durable.clone_from(&content.bytes);
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.begin("truncate")?;
        state.files[self.file].bytes.truncate(len as usize);
        Ok(())
    }
}
