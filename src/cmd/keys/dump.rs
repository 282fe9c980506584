//! DUMP and RESTORE: a value as bytes, out and in.
//!
//! The bytes are `persist::rdb::dump`'s. Every payload is looked at to its bottom, whatever `sanitize-dump-payload` says.

use crate::cmd::args::Args;
use crate::cmd::command::{Access, COMMAND, Category, Command, Flag, Group, KeyFlag, Run, key};
use crate::cmd::error::{Done, SYNTAX, Stop, error};
use crate::config::{RdbDialect, RdbVersionCheck};
use crate::db::effect::Class;
use crate::db::evict::{AccessClock, Policy};
use crate::db::load::{self, LastUse};
use crate::db::{Edit, View};
use crate::persist::rdb::dump::{self, Refused};
use crate::resp::reply::Reply;
use crate::types::codec::Dialect;
use crate::util::number::IntegerText;

pub const COMMANDS: &[Command] = &[
    Command {
        name: "DUMP",
        arity: 2,
        run: Run::Read(dump),
        keys: &[key(1, Access::Ro, &[KeyFlag::Access])],
        group: Group::Generic,
        since: "2.6.0",
        cost: "O(1) to find the key and O(N*M) to write the value out, where N is the number of its elements and M their size.",
        usage: "key",
        summary: "Returns a value in the form that RESTORE takes.",
        tips: &["nondeterministic_output"],
        ..COMMAND
    },
    Command {
        name: "RESTORE",
        arity: -4,
        run: Run::Write(restore),
        flags: &[Flag::DenyOom],
        keys: &[key(1, Access::Ow, &[KeyFlag::Update])],
        group: Group::Generic,
        since: "2.6.0",
        cost: "O(1) to make the key and O(N*M) to build the value, where N is the number of its elements and M their size; O(N*M*log(N)) for sorted sets.",
        usage: "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
        summary: "Makes a key of a value that DUMP returned.",
        categories: &[Category::Dangerous],
        ..COMMAND
    },
];

fn dump(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let Some(record) = view.record(args.next()?) else {
        reply.null();
        return Ok(());
    };
    let dialect = match view.config.rdb_dialect {
        RdbDialect::Redis => Dialect::Redis,
        RdbDialect::Valkey => Dialect::Valkey,
    };

    reply.bulk(&dump::dump(&record, dialect, view.config.rdbcompression));
    Ok(())
}

fn restore(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let ttl = args.next()?;
    let payload = args.next()?;
    let options = Options::read(args)?;
    let exists = edit.lookup(key).is_some();
    if exists && !options.replace {
        return Err(error("BUSYKEY Target key name already exists."));
    }
    let ttl = crate::util::number::parse_i64(ttl).ok_or(crate::cmd::error::NOT_AN_INTEGER)?;
    let ttl = u64::try_from(ttl).map_err(|_| error("ERR Invalid TTL value, must be >= 0"))?;
    let deadline = (ttl > 0).then(|| if options.absolute { ttl } else { ttl.saturating_add(edit.now) });
    let limits = load::limits(edit.config, edit.view().keyspace().seed());
    let any_version = edit.config.rdb_version_check == RdbVersionCheck::Relaxed;
    let restored = dump::verify(payload, any_version)
        .and_then(|verified| verified.restore(key, deadline, &limits).map_err(Refused::Value));
    let record = restored.map_err(|refused| match refused {
        Refused::Frame => error("ERR DUMP payload version or checksum are wrong"),
        Refused::Value(malformed) => {
            tracing::warn!("RESTORE was given a value that cannot be: {}", malformed.0);
            error("ERR Bad data format")
        }
    })?;

    if deadline.is_some_and(|deadline| deadline < edit.now) {
        // It would be gone at once: what is left to do is to remove the key that it replaces.
        if edit.remove(key) {
            edit.changed_value(key, Class::Generic, "del");
            edit.journal_instead([b"DEL", key]);
        }
        reply.ok();
        return Ok(());
    }
    edit.remove(key);
    edit.put(record);
    let (config, now) = (edit.config, edit.now);
    if let Some(last_use) = options.last_use(edit)
        && let Some(record) = edit.record(key)
    {
        load::set_last_use(&record, last_use, config, now);
    }
    edit.changed_value(key, Class::Generic, "restore");
    if let Some(deadline) = deadline.filter(|_| !options.absolute) {
        let deadline = IntegerText::unsigned(deadline);
        let rest: Vec<&[u8]> = args.request().iter().skip(3).collect();
        edit.journal_instead([b"RESTORE", key, deadline.as_bytes()].into_iter().chain(rest).chain([&b"ABSTTL"[..]]));
    }

    reply.ok();
    Ok(())
}

#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_s: Option<u64>,
    frequency: Option<u8>,
}

impl Options {
    fn read(args: &mut Args) -> Result<Self, Stop> {
        let mut options = Self::default();
        while !args.is_empty() {
            if args.option("REPLACE") {
                options.replace = true;
            } else if args.option("ABSTTL") {
                options.absolute = true;
            } else if options.frequency.is_none() && args.option_with_value("IDLETIME") {
                let seconds = u64::try_from(args.int()?);
                options.idle_s = Some(seconds.map_err(|_| error("ERR Invalid IDLETIME value, must be >= 0"))?);
            } else if options.idle_s.is_none() && args.option_with_value("FREQ") {
                let frequency = u8::try_from(args.int()?);
                options.frequency =
                    Some(frequency.map_err(|_| error("ERR Invalid FREQ value, must be >= 0 and <= 255"))?);
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(options)
    }

    /// What was asked for, where the policy now has a clock for it.
    fn last_use(&self, edit: &Edit) -> Option<LastUse> {
        match Policy::clock_kind(edit.config.maxmemory_policy) {
            AccessClock::Lru => self.idle_s.map(LastUse::IdleSeconds),
            AccessClock::Lfu => self.frequency.map(LastUse::Frequency),
        }
    }
}
