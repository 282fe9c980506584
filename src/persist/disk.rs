//! The one way to files: a small trait, the real disk, and (in `hostile`) one that forgets, tears, fails and fills up.
//!
//! Nothing here retries or logs; an error says which path and which call failed (`DiskError`), and whoever asked decides. The files of
//! the append-only log and of snapshots go through here, so that a simulation can take the power away at any call.

pub mod hostile;

use crate::util::io_error;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Folders and files by path. All calls block.
pub trait Disk: Send + Sync {
    /// A new, empty file; one that is there already is emptied.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// A file to be written on at its end; made where there is none.
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>>;

    fn len(&self, path: &Path) -> io::Result<u64>;

    /// Cuts a file off behind `len` bytes, durably.
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()>;

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    /// A folder; one that is there already is fine.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Names in a folder.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;

    /// Makes what was created, renamed and removed in a folder durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    fn exists(&self, path: &Path) -> io::Result<bool> {
        match self.len(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// An open file, shared between the loop that writes and the thread that syncs.
pub trait DiskFile: Send + Sync {
    /// Writes some of `bytes` at the end. The kernel has them when this returns; the disk may not.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Returns when everything written so far is durable.
    fn sync(&self) -> io::Result<()>;

    /// Cuts off what lies behind `len`.
    fn truncate(&self, len: u64) -> io::Result<()>;
}

/// Writes all of `bytes`. An error comes with the number of bytes that were written before it.
pub fn write_all(file: &dyn DiskFile, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

/// A whole small file.
pub fn read_all(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    disk.open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Puts a small file in the place of another, all of it or nothing, and durable: written beside it, synced, renamed, folder synced.
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let beside = beside(path);
    let file = disk.create(&beside).map_err(|error| DiskError::new("create", &beside, error))?;
    write_all(&*file, bytes).map_err(|(_, error)| DiskError::new("write", &beside, error))?;
    file.sync().map_err(|error| DiskError::new("fsync", &beside, error))?;
    disk.rename(&beside, path).map_err(|error| DiskError::new("rename", &beside, error))?;
    sync_folder_of(disk, path)
}

/// Where a file is prepared that will take the place of `path`.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from("temp-");
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

/// The folder that a path lies in; "." for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

pub fn sync_folder_of(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    let folder = folder_of(path);
    disk.sync_folder(folder).map_err(|error| DiskError::new("fsync", folder, error))
}

/// What failed, where, and why.
#[derive(Debug)]
pub struct DiskError {
    pub call: &'static str,
    pub path: PathBuf,
    pub error: io::Error,
    /// How much of the file was there by then, where that matters.
    pub offset: Option<u64>,
}

impl DiskError {
    pub fn new(call: &'static str, path: &Path, error: io::Error) -> Self {
        Self { call, path: path.to_owned(), error, offset: None }
    }

    pub fn at(self, offset: u64) -> Self {
        Self { offset: Some(offset), ..self }
    }

    /// The system's words for it, without the number that Rust appends.
    pub fn reason(&self) -> String {
        io_error::reason(&self.error)
    }

    /// "No space left on device (write appendonlydir/x, errno 28) at offset 4096": for the log and for refusals.
    pub fn in_full(&self) -> String {
        let number = self.error.raw_os_error().map(|number| format!(", errno {number}")).unwrap_or_default();
        let offset = self.offset.map(|offset| format!(" at offset {offset}")).unwrap_or_default();
        format!("{} ({} {}{number}){offset}", self.reason(), self.call, self.path.display())
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.in_full())
    }
}

/// The file system.
pub struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        Ok(Box::new(options.create(true).append(true).mode(0o644).open(path).and_then(emptied)?))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().create(true).append(true).mode(0o644).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(path)?))
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            made => made,
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// Written through its end, so that a file that was cut off goes on where it was cut.
fn emptied(file: File) -> io::Result<File> {
    file.set_len(0)?;
    Ok(file)
}

impl DiskFile for File {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut &*self, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

/// A file as a sink for whoever formats into it.
impl Write for &dyn DiskFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        DiskFile::write(*self, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
