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
    RESTORE,
    Command {
        name: "RESTORE-ASKING",
        flags: &[Flag::DenyOom, Flag::Asking],
        group: Group::Server,
        categories: &[Category::Keyspace, Category::Dangerous],
        since: "3.0.0",
        summary: "What a node of a cluster sends in place of RESTORE when a slot moves.",
        is_internal: true,
        ..RESTORE
    },
];

const RESTORE: Command = Command {
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
};

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
    let skips_checksum = edit.view().keyspace().skips_checksums;
    let restored = dump::verify(payload, any_version, skips_checksum)
        .and_then(|verified| verified.restore(key, deadline, &limits).map_err(Refused::Value));
    let record = restored.map_err(|refused| match refused {
        Refused::Frame => error("ERR DUMP payload version or checksum are wrong"),
        Refused::Value(malformed) => {
            tracing::warn!("RESTORE was given a value whose integrity check failed: {}", malformed.0);
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

#[cfg(test)]
mod tests {
    use crate::testing::{Playground, check};
    use crate::util::crc64::crc64;

    /// DUMP's reply as RESTORE's argument.
    fn dumped(playground: &mut Playground, key: &str) -> Vec<u8> {
        let reply = playground.run("", ["DUMP", key].iter());
        let start = reply.iter().position(|&byte| byte == b'\n').expect("a length") + 1;
        reply[start..reply.len() - 2].to_vec()
    }

    fn restore(playground: &mut Playground, args: &[&[u8]]) -> String {
        let args = [&[&b"RESTORE"[..]], args].concat();
        String::from_utf8_lossy(&playground.run("", args.iter())).trim_end().to_owned()
    }

    #[test]
    fn a_small_number_is_what_every_server_writes() {
        let mut playground = Playground::default();
        playground.run("", ["SET", "a", "1"].iter());
        assert_eq!(dumped(&mut playground, "a")[..5], [0, 0xC0, 1, 10, 0]);
        assert_eq!(playground.run("", ["DUMP", "none"].iter()), b"$-1\r\n");
    }

    #[test]
    fn a_value_goes_out_and_in() {
        let mut playground = Playground::default();
        let lines =
            ["RPUSH key a b", "SADD key a 1", "ZADD key 1.5 a", "HSET key a 1", "XADD key 1-1 a b", "SET key text"];
        for line in lines {
            playground.run("", ["DEL", "key", "copy"].iter());
            playground.run("", line.split(' '));
            let payload = dumped(&mut playground, "key");
            assert_eq!(restore(&mut playground, &[b"copy", b"0", &payload]), "+OK");
            assert_eq!(dumped(&mut playground, "copy"), payload, "{line}");
        }
        let payload = dumped(&mut playground, "key");
        assert_eq!(restore(&mut playground, &[b"copy", b"0", &payload]), "-BUSYKEY Target key name already exists.");
        assert_eq!(restore(&mut playground, &[b"copy", b"5000", &payload, b"replace"]), "+OK");
        assert_eq!(playground.run("", ["PTTL", "copy"].iter()), b":5000\r\n");
        assert_eq!(restore(&mut playground, &[b"copy", b"1", &payload, b"ABSTTL", b"REPLACE"]), "+OK");
        assert_eq!(playground.run("", ["EXISTS", "copy"].iter()), b":0\r\n");
        assert_eq!(restore(&mut playground, &[b"copy", b"0", &payload, b"IDLETIME", b"1000"]), "+OK");
        assert_eq!(playground.run("", ["OBJECT", "IDLETIME", "copy"].iter()), b":1000\r\n");
    }

    #[test]
    fn what_is_damaged_or_of_another_world_is_refused() {
        let mut playground = Playground::default();
        playground.run("", ["RPUSH", "key", "a", "b"].iter());
        let good = dumped(&mut playground, "key");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 4;
            let frame = "-ERR DUMP payload version or checksum are wrong";
            assert_eq!(restore(&mut playground, &[b"new", b"0", &bad]), frame);
        }
        let value = [&good[..good.len() - 10], &[10, 0]].concat();
        for at in 0..value.len() - 2 {
            let mut bad = value.clone();
            bad[at] ^= 0x11;
            let checksum = crc64(&bad).to_le_bytes();
            bad.extend_from_slice(&checksum);
            let answer = restore(&mut playground, &[b"new", b"0", &bad, b"REPLACE"]);
            assert!(answer == "-ERR Bad data format" || answer == "+OK", "{answer}");
            playground.server.keyspace.check();
        }
    }

    #[test]
    fn arguments_are_read_as_redis_reads_them() {
        check(
            r#"
            > RESTORE a 0 x FOO
            (error) ERR syntax error
            > RESTORE a 0 x IDLETIME -1
            (error) ERR Invalid IDLETIME value, must be >= 0
            > RESTORE a 0 x FREQ 256
            (error) ERR Invalid FREQ value, must be >= 0 and <= 255
            > RESTORE a 0 x IDLETIME 1 FREQ 1
            (error) ERR syntax error
            > RESTORE a x x
            (error) ERR value is not an integer or out of range
            > RESTORE a -1 x
            (error) ERR Invalid TTL value, must be >= 0
            > RESTORE a 0 x
            (error) ERR DUMP payload version or checksum are wrong
            > SET a 1
            OK
            > RESTORE a x x
            (error) BUSYKEY Target key name already exists.
            "#,
        );
    }
}
