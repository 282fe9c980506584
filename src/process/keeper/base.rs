//! Writes the data set as the base of a log, beside the place where it will stand.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use super::temporary;
use crate::persist::aof::commands::Requests;
use crate::persist::aof::log::Places;
use crate::persist::disk::{Disk, DiskError, DiskFile};
use crate::persist::rdb::write::{self, Facts, Writer};
use crate::server::{Server, snapshots};
use crate::types::codec::Chunk;

/// A base, complete and durable, that has not its name yet.
pub struct Prepared {
    pub path: PathBuf,
    pub is_rdb: bool,
}

const CHUNK: usize = 256 * 1024;

/// Writes everything there is now. What is there of an attempt that failed is removed.
pub fn write(disk: &dyn Disk, places: &Places, server: &Server) -> Result<Prepared, DiskError> {
    let path = temporary(places, "rewriteaof");
    let file = disk.create(&path).map_err(|error| DiskError::new("open", &path, error))?;
    let is_rdb = server.config.aof_use_rdb_preamble;
    let written = if is_rdb { write_snapshot(&*file, server) } else { write_commands(&*file, server) };
    let durable =
        written.map_err(|error| ("write", error)).and_then(|()| file.sync().map_err(|error| ("fsync", error)));
    if let Err((call, error)) = durable {
        // A half of a base is of no use; the error that matters is the first.
        let _ = disk.remove(&path);
        return Err(DiskError::new(call, &path, error));
    }
    Ok(Prepared { path, is_rdb })
}

fn databases(server: &Server) -> impl Iterator<Item = usize> {
    (0..server.keyspace.databases()).filter(|db| !server.keyspace.db(*db).is_empty())
}

fn write_commands(file: &dyn DiskFile, server: &Server) -> io::Result<()> {
    let mut requests = Requests::new(file);
    if server.config.aof_timestamp_enabled {
        requests.time(server.clock.unix_us / 1_000_000);
    }
    server.scripts.functions.sources().iter().for_each(|source| requests.function(source));
    for db in databases(server) {
        requests.database(db);
        for record in server.keyspace.db(db).records() {
            requests.record(record);
            requests.check()?;
        }
    }
    requests.flush()
}

fn write_snapshot(file: &dyn DiskFile, server: &Server) -> io::Result<()> {
    let config = &server.config;
    let (dialect, now) = (snapshots::dialect(config), server.clock.unix_ms());
    let mut writer = Writer::new(BufWriter::with_capacity(CHUNK, file), config.rdbchecksum);
    let mut chunk = Chunk::new(config.rdbcompression);
    write::start(
        &mut chunk,
        &Facts {
            version: server.snapshot_version(),
            compatible_with: &config.compat_version.to_string(),
            unix_s: server.clock.unix_us / 1_000_000,
            used_memory: crate::util::memory::used(),
            is_aof_base: true,
        },
    );
    for library in server.scripts.functions.sources() {
        write::function(&mut chunk, &library);
    }
    for index in databases(server) {
        let db = server.keyspace.db(index);
        write::database(&mut chunk, index, db.len(), db.volatile());
        for record in db.records() {
            write::record(&mut chunk, &record, dialect, snapshots::access(&record, config, now));
            if chunk.len() >= CHUNK {
                writer.write(&chunk)?;
                chunk.clear();
            }
        }
    }
    write::end(&mut chunk);
    writer.write(&chunk)?;
    writer.finish()?.flush()
}
