//! A log's base in RDB's form: read into the keyspace, a piece at a time.

use std::io::Read;

use crate::config::Config;
use crate::db::DbIndex;
use crate::db::evict::{set_frequency, set_idle};
use crate::ds::keytable::Seed;
use crate::persist::rdb::read::{Error, Event, Options, Reader};
use crate::persist::rdb::write::Access;
use crate::server::Server;
use crate::types::codec::Limits;
use crate::types::{hash, list, set, zset};

pub type Source = Box<dyn Read + Send>;

pub struct Preamble {
    reader: Reader<Source>,
    db: DbIndex,
}

impl Preamble {
    pub fn new(server: &Server, source: Source, len: u64) -> Result<Self, Error> {
        let options = Options {
            limits: limits(&server.config, server.keyspace.seed()),
            checksums: server.config.rdbchecksum,
            any_version: false,
        };
        Ok(Self { reader: Reader::new(source, len, options)?, db: 0 })
    }

    pub fn offset(&self) -> u64 {
        self.reader.offset()
    }

    /// What lies behind the snapshot, once it has ended.
    pub fn into_rest(self) -> (Vec<u8>, Source) {
        self.reader.into_rest()
    }

    /// Reads one piece. True at the snapshot's end. The error's text says what and where.
    pub fn read_one(&mut self, server: &mut Server) -> Result<bool, String> {
        match self.reader.next_event().map_err(|error| error.to_string())? {
            Event::End => return Ok(true),
            Event::Database(db) if db >= server.keyspace.databases() => {
                return Err(format!("the data set has a database {db}, and `databases` allows {}", server.keyspace.databases()));
            }
            Event::Database(db) => self.db = db,
            Event::Record(record, access) => {
                let now = server.clock.unix_ms();
                server.effects.begin(false, false);
                match access {
                    Access::Unknown => {}
                    Access::IdleSeconds(seconds) => set_idle(&record, now, seconds),
                    Access::Frequency(frequency) => set_frequency(&record, now, frequency),
                }
                server.edit(self.db).put(record);
                server.effects.clear_count();
            }
            Event::Function(_) => tracing::warn!("A library of functions in the append-only file's base was passed over"),
            Event::Module(name) => tracing::warn!("Data of the module {name} in the append-only file's base were passed over"),
            Event::Aux { .. } | Event::Sizes { .. } | Event::Empty => {}
        }
        Ok(false)
    }
}

/// The directives that decide about encodings.
fn limits(config: &Config, seed: &'static Seed) -> Limits {
    let count = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    Limits {
        list: list::Limits { max_listpack_size: i64::from(config.list_max_listpack_size) },
        set: set::Limits {
            intset_max: count(config.set_max_intset_entries),
            listpack_max: count(config.set_max_listpack_entries),
            value_bytes_max: count(config.set_max_listpack_value),
            seed,
        },
        hash: hash::Limits {
            listpack_max: count(config.hash_max_listpack_entries),
            value_bytes_max: count(config.hash_max_listpack_value),
            seed,
        },
        zset: zset::Limits {
            entries_max: count(config.zset_max_listpack_entries),
            value_bytes_max: count(config.zset_max_listpack_value),
            seed,
        },
    }
}
