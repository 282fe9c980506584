//! Brings a snapshot to its file: beside the place where it will stand, forced to the disk, then renamed into it.
//!
//! Whoever saves fills chunks; a thread packs and writes them meanwhile, and where it falls behind whoever saves packs, too, instead of
//! waiting. A save that fails leaves the old file as it was.

use std::io::{self, Write};
use std::path::Path;

use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};

use super::write::Writer;
use crate::persist::disk::{Disk, DiskError, DiskFile, folder_of, sync_folder_of};
use crate::types::codec::Chunk;
use crate::util::lzf::Compressor;

/// Chunks of about this size are handed to the thread.
pub const CHUNK_BYTES: usize = 256 * 1024;
/// So many may wait for it.
const CHUNKS_WAITING: usize = 4;

/// Takes what is to be written.
pub struct Sink {
    chunk: Chunk,
    full: Sender<Chunk>,
    empty: Receiver<Chunk>,
    compresses: bool,
    compressor: Compressor,
    room: Vec<u8>,
}

/// The thread has met with an error, which `save` will tell.
#[derive(Debug)]
pub struct Stopped;

impl Sink {
    /// Where to write next.
    #[inline]
    pub fn chunk(&mut self) -> &mut Chunk {
        &mut self.chunk
    }

    /// Hands over what there is, if it is enough to be worth it.
    #[inline]
    pub fn flush_if_full(&mut self) -> Result<(), Stopped> {
        if self.chunk.len() < CHUNK_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), Stopped> {
        let next = self.empty.try_recv();
        let next = next.unwrap_or_else(|_| Chunk::with_capacity(self.compresses, CHUNK_BYTES + CHUNK_BYTES / 4));
        match self.full.try_send(std::mem::replace(&mut self.chunk, next)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(_)) => Err(Stopped),
            Err(TrySendError::Full(chunk)) => {
                let packed = chunk.packed(&mut self.compressor, &mut self.room);
                self.full.send(packed).map_err(|_| Stopped)
            }
        }
    }
}

/// How to write.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// `rdbcompression`
    pub compress: bool,
    /// `rdbchecksum`
    pub checksums: bool,
}

/// Writes what `fill` puts into the sink, durably, to `path`. The number of bytes.
pub fn save(
    disk: &dyn Disk,
    path: &Path,
    temporary: &str,
    options: Options,
    fill: impl FnOnce(&mut Sink) -> Result<(), Stopped>,
) -> Result<u64, DiskError> {
    let beside = folder_of(path).join(temporary);
    let written = write_beside(disk, &beside, options, fill).and_then(|bytes| {
        disk.rename(&beside, path).map_err(|error| DiskError::new("rename", path, error))?;
        sync_folder_of(disk, path)?;
        Ok(bytes)
    });
    if written.is_err() {
        // It may not be there at all.
        let _ = disk.remove(&beside);
    }
    written
}

fn write_beside(
    disk: &dyn Disk,
    path: &Path,
    options: Options,
    fill: impl FnOnce(&mut Sink) -> Result<(), Stopped>,
) -> Result<u64, DiskError> {
    let failed = |call, error, offset| DiskError::new(call, path, error).at(offset);
    let file = disk.create(path).map_err(|error| failed("open", error, 0))?;
    let (full, chunks) = bounded::<Chunk>(CHUNKS_WAITING);
    let (done, empty) = bounded::<Chunk>(CHUNKS_WAITING + 1);
    let mut sink = Sink {
        chunk: Chunk::new(options.compress),
        full,
        empty,
        compresses: options.compress,
        compressor: Compressor::new(),
        room: Vec::new(),
    };
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| write_chunks(&*file, options, chunks, done));
        // Where the thread has stopped, its error is the one to tell.
        if fill(&mut sink).is_ok() {
            let _ = sink.flush();
        }
        drop(sink);
        thread.join().unwrap_or_else(|_| Err(("write", io::Error::other("the thread that writes has died"), 0)))
    })
    .map_err(|(call, error, offset)| failed(call, error, offset))
}

fn write_chunks(
    file: &dyn DiskFile,
    options: Options,
    chunks: Receiver<Chunk>,
    done: Sender<Chunk>,
) -> Result<u64, (&'static str, io::Error, u64)> {
    let mut writer = Writer::new(Output(file), options.checksums);
    for mut chunk in chunks {
        if let Err(error) = writer.write(&chunk) {
            return Err(("write", error, writer.bytes()));
        }
        chunk.clear();
        // Nobody may want it any more.
        let _ = done.try_send(chunk);
    }
    let bytes = writer.bytes();
    writer.finish().map_err(|error| ("write", error, bytes))?;
    file.sync().map_err(|error| ("fsync", error, bytes))?;
    Ok(bytes)
}

/// A file of a disk as a sink of bytes.
struct Output<'a>(&'a dyn DiskFile);

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
