//! Writes the data set as the base of a log, beside the place where it will stand.

use std::path::PathBuf;

use super::temporary;
use crate::persist::aof::commands::{write_database, write_record};
use crate::persist::aof::log::Places;
use crate::persist::disk::{Disk, DiskError, DiskFile, write_all};
use crate::server::Server;

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
    let written = write_commands(&*file, server).and_then(|()| file.sync().map_err(|error| ("fsync", error)));
    if let Err((call, error)) = written {
        let _ = disk.remove(&path);
        return Err(DiskError::new(call, &path, error));
    }
    Ok(Prepared { path, is_rdb: false })
}

fn write_commands(file: &dyn DiskFile, server: &Server) -> Result<(), (&'static str, std::io::Error)> {
    let write = |bytes: &[u8]| write_all(file, bytes).map_err(|(_, error)| ("write", error));
    let mut out = Vec::new();
    for db in (0..server.keyspace.databases()).filter(|db| !server.keyspace.db(*db).is_empty()) {
        write_database(&mut out, db);
        for record in server.keyspace.db(db).records() {
            write_record(&mut out, record);
            if out.len() >= CHUNK {
                write(&out)?;
                out.clear();
            }
        }
    }
    write(&out)
}
