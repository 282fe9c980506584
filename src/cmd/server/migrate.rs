//! MIGRATE: keys go to another server, which gets them as RESTORE's payloads, and are removed here once it has them.
//!
//! The whole server waits for the other one, each step at most for the timeout, so that nobody ever sees a key in both places or in none. What
//! was acknowledged is removed even if a later key fails.

use std::io;

use crate::cmd::args::Args;
use crate::cmd::command::{Access, Begin, COMMAND, Category, Command, Find, Flag, Group, KeyFlag, KeySpec, Run, key};
use crate::cmd::error::{Done, SYNTAX, Stop, error};
use crate::cmd::keyspec;
use crate::config::RdbDialect;
use crate::db::effect::Class;
use crate::persist::rdb::dump;
use crate::resp::reply::Reply;
use crate::resp::request::{Request, write_bulk, write_header};
use crate::server::lines::Kept;
use crate::server::{Server, SessionId};
use crate::types::codec::Dialect;
use crate::util::number::{IntegerText, parse_i64};

const MOVED: &[KeyFlag] = &[KeyFlag::Access, KeyFlag::Delete];

pub const COMMANDS: &[Command] = &[Command {
    name: "MIGRATE",
    arity: -6,
    run: Run::Server(migrate),
    flags: &[Flag::Write, Flag::MovableKeys],
    keys: &[
        key(3, Access::Rw, MOVED),
        KeySpec {
            begin: Begin::Keyword { word: "KEYS", from: -2 },
            find: Find::Range { last: -1, step: 1, limit: 0 },
            access: Access::Rw,
            flags: &[KeyFlag::Access, KeyFlag::Delete, KeyFlag::Incomplete],
            notes: "",
        },
    ],
    find_keys: Some(keyspec::migrate),
    secret: Some(is_password),
    group: Group::Generic,
    since: "2.6.0",
    cost: "O(N) where N is what the keys' values weigh: each is written out here, sent, and read in there.",
    usage: "host port <key | \"\"> destination-db timeout [COPY] [REPLACE] [AUTH password | AUTH2 username password] [KEYS key [key ...]]",
    summary: "Moves keys to another server.",
    categories: &[Category::Dangerous],
    tips: &["nondeterministic_output"],
    ..COMMAND
}];

fn is_password(request: Request, index: usize) -> bool {
    let is = |at: usize, word: &[u8]| at >= FIRST_OPTION && request.arg(at).eq_ignore_ascii_case(word);
    is(index.saturating_sub(1), b"auth")
        || is(index.saturating_sub(1), b"auth2")
        || is(index.saturating_sub(2), b"auth2")
}

/// Where the options begin.
const FIRST_OPTION: usize = 6;

/// More than anybody waits for, and little enough to be added to any time.
const LIMIT_MS_MAX: u64 = 1 << 40;

const NO_CONNECTION: Stop = error("IOERR error or timeout connecting to the client");
const NOT_WRITTEN: Stop = error("IOERR error or timeout writing to target instance");
const NOT_READ: Stop = error("IOERR error or timeout reading to target instance");

fn migrate(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let wanted = Wanted::read(args)?;
    let cargo = server.load_cargo(id, &wanted);
    if cargo.is_empty() {
        reply.simple("NOKEY");
        return Ok(());
    }

    let mut journey = Journey::default();
    let result = loop {
        let outcome = server.send_cargo(&wanted, &cargo, &mut journey);
        // A line that was kept may have been closed at the other end since: once more over a new one, where nothing has come of it yet.
        match outcome {
            Err(Trouble { may_retry: true, .. }) if !journey.retried && journey.arrived.is_empty() => {
                journey.retried = true;
            }
            outcome => break outcome,
        }
    };
    if !wanted.copy {
        server.remove_arrived(id, &journey.arrived);
    }

    result.map_err(|trouble| trouble.stop)?;
    if let Some(text) = journey.refusal {
        return Err(Stop::Bytes([b"ERR Target instance replied with error: ", &*text].concat()));
    }
    reply.ok();
    Ok(())
}

/// What was asked for.
struct Wanted<'a> {
    host: String,
    port: u16,
    database: i64,
    limit_ms: u64,
    copy: bool,
    replace: bool,
    /// User and password, or a password alone.
    login: Vec<&'a [u8]>,
    keys: Vec<&'a [u8]>,
}

impl<'a> Wanted<'a> {
    fn read(args: &mut Args<'a>) -> Result<Self, Stop> {
        let (host, port, key) = (args.next()?, args.next()?, args.next()?);
        let (database, timeout) = (args.next()?, args.next()?);
        let mut wanted = Self {
            host: String::from_utf8_lossy(host).into_owned(),
            port: 0,
            database: 0,
            limit_ms: 0,
            copy: false,
            replace: false,
            login: Vec::new(),
            keys: vec![key],
        };
        while !args.is_empty() {
            match () {
                () if args.option("COPY") => wanted.copy = true,
                () if args.option("REPLACE") => wanted.replace = true,
                () if args.option_with_value("AUTH") => wanted.login = vec![args.next()?],
                () if args.len() >= 3 && args.option("AUTH2") => wanted.login = vec![args.next()?, args.next()?],
                () if args.option("KEYS") => {
                    if !key.is_empty() {
                        return Err(error(
                            "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
                        ));
                    }
                    wanted.keys = args.rest().collect();
                }
                () => return Err(SYNTAX),
            }
        }
        let integer = |text: &[u8]| parse_i64(text).ok_or(crate::cmd::error::NOT_AN_INTEGER);
        let timeout_ms = integer(timeout)?;
        wanted.database = integer(database)?;
        // No number is refused: there is nobody at what is no port.
        wanted.port = u16::try_from(integer(port)?).unwrap_or(0);
        wanted.limit_ms = u64::try_from(timeout_ms).ok().filter(|&ms| ms > 0).unwrap_or(1000).min(LIMIT_MS_MAX);
        Ok(wanted)
    }
}

/// A key on its way.
struct Parcel<'a> {
    key: &'a [u8],
    /// The command that makes it there, framed.
    command: Vec<u8>,
}

#[derive(Default)]
struct Journey<'a> {
    /// Keys that the other server has taken, and those only.
    arrived: Vec<&'a [u8]>,
    /// The first error with which it has answered.
    refusal: Option<Vec<u8>>,
    retried: bool,
}

struct Trouble {
    stop: Stop,
    may_retry: bool,
}

impl Server {
    /// The keys that are there, as commands.
    fn load_cargo<'a>(&self, id: SessionId, wanted: &Wanted<'a>) -> Vec<Parcel<'a>> {
        let view = self.view(id);
        let dialect = match view.config.rdb_dialect {
            RdbDialect::Redis => Dialect::Redis,
            RdbDialect::Valkey => Dialect::Valkey,
        };
        let name: &[u8] = if self.cluster.is_some() { b"RESTORE-ASKING" } else { b"RESTORE" };
        let parcel = |key: &&'a [u8]| {
            let record = view.record(key)?;
            let left_ms = record.deadline().map_or(0, |deadline| deadline.saturating_sub(view.now).max(1));
            let payload = dump::dump(&record, dialect, view.config.rdbcompression);
            let mut command = Vec::with_capacity(payload.len() + key.len() + 64);
            write_header(&mut command, 4 + usize::from(wanted.replace));
            for part in [name, key, IntegerText::unsigned(left_ms).as_bytes(), &payload] {
                write_bulk(&mut command, part);
            }
            if wanted.replace {
                write_bulk(&mut command, b"REPLACE");
            }
            Some(Parcel { key, command })
        };
        wanted.keys.iter().filter_map(parcel).collect()
    }

    fn send_cargo<'a>(
        &mut self,
        wanted: &Wanted<'a>,
        cargo: &[Parcel<'a>],
        journey: &mut Journey<'a>,
    ) -> Result<(), Trouble> {
        let line = self.take_line(&wanted.host, wanted.port, wanted.limit_ms);
        let mut line = line.map_err(|error| Trouble {
            // Redis learns only when it writes that nobody has let it in.
            stop: if error.kind() == io::ErrorKind::TimedOut { NO_CONNECTION } else { NOT_WRITTEN },
            may_retry: false,
        })?;
        ask(&mut line, wanted, cargo, journey)?;
        if journey.refusal.is_some() {
            line.database = None;
        }
        self.give_line_back(line);
        Ok(())
    }

    fn remove_arrived(&mut self, id: SessionId, arrived: &[&[u8]]) {
        if arrived.is_empty() {
            return;
        }
        let db = self.sessions.get(id).db;
        let mut edit = self.edit(db);
        for key in arrived {
            if edit.remove(key) {
                edit.changed_value(key, Class::Generic, "del");
            }
        }
        edit.journal_instead([&b"DEL"[..]].into_iter().chain(arrived.iter().copied()));
    }
}

/// Sends everything, then reads an answer to each part of it.
fn ask<'a>(
    kept: &mut Kept,
    wanted: &Wanted<'a>,
    cargo: &[Parcel<'a>],
    journey: &mut Journey<'a>,
) -> Result<(), Trouble> {
    let was_used = kept.is_used;
    let trouble = |stop: Stop| {
        move |error: io::Error| Trouble { stop, may_retry: was_used && error.kind() != io::ErrorKind::TimedOut }
    };
    let selects = kept.database != Some(wanted.database);
    let mut before = Vec::new();
    if !wanted.login.is_empty() {
        write_header(&mut before, 1 + wanted.login.len());
        write_bulk(&mut before, b"AUTH");
        wanted.login.iter().for_each(|word| write_bulk(&mut before, word));
    }
    if selects {
        write_header(&mut before, 2);
        write_bulk(&mut before, b"SELECT");
        write_bulk(&mut before, IntegerText::new(wanted.database).as_bytes());
    }
    kept.line.write(&before, wanted.limit_ms).map_err(trouble(NOT_WRITTEN))?;
    for parcel in cargo {
        kept.line.write(&parcel.command, wanted.limit_ms).map_err(trouble(NOT_WRITTEN))?;
    }

    let mut admitted = true;
    for _ in 0..usize::from(!wanted.login.is_empty()) + usize::from(selects) {
        let answer = kept.line.read_line(wanted.limit_ms).map_err(trouble(NOT_READ))?;
        admitted &= accepted(&answer, journey);
    }
    for parcel in cargo {
        let answer = kept.line.read_line(wanted.limit_ms).map_err(trouble(NOT_READ))?;
        if accepted(&answer, journey) && admitted {
            journey.arrived.push(parcel.key);
        }
    }
    kept.database = Some(wanted.database);
    Ok(())
}

/// Whether an answer is none of an error; the first error is kept.
fn accepted<'a>(answer: &[u8], journey: &mut Journey<'a>) -> bool {
    let Some(text) = answer.strip_prefix(b"-") else { return true };
    journey.refusal.get_or_insert_with(|| text.to_vec());
    false
}

#[cfg(test)]
mod tests;
