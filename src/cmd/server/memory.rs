//! MEMORY: what keys weigh and where the server's memory goes. The figures are the allocator's own account, not estimates.

use crate::cmd::args::Args;
use crate::cmd::command::{Access, COMMAND, Command, Group, Run, key};
use crate::cmd::container::HELP;
use crate::cmd::error::{Done, SYNTAX};
use crate::cmd::server::info::MemoryFigures;
use crate::db::View;
use crate::resp::reply::Reply;
use crate::server::{Server, SessionId};
use crate::types::value::{self, RecordRef, ValueRef};
use crate::util::memory;

pub const COMMANDS: &[Command] = &[Command {
    name: "MEMORY",
    arity: -2,
    run: Run::Parent(SUBCOMMANDS),
    group: Group::Server,
    since: "4.0.0",
    summary: "Holds the commands about memory.",
    ..COMMAND
}];

const SUBCOMMAND: Command = Command {
    group: Group::Server,
    since: "4.0.0",
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    ..COMMAND
};

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "DOCTOR",
        arity: 2,
        run: Run::Server(doctor),
        summary: "Tells in words what is wrong with the use of memory.",
        ..SUBCOMMAND
    },
    Command { group: Group::Server, since: "4.0.0", ..HELP },
    Command {
        name: "MALLOC-STATS",
        arity: 2,
        run: Run::Server(malloc_stats),
        cost: "O(1)",
        summary: "Shows the allocator's figures.",
        ..SUBCOMMAND
    },
    Command {
        name: "PURGE",
        arity: 2,
        run: Run::Server(purge),
        cost: "O(N) where N is the memory that can be given back",
        summary: "Gives free memory back to the system.",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        ..SUBCOMMAND
    },
    Command { name: "STATS", arity: 2, run: Run::Server(stats), summary: "Shows where the memory goes.", ..SUBCOMMAND },
    Command {
        name: "USAGE",
        arity: -3,
        run: Run::Read(usage),
        keys: &[key(2, Access::Ro, &[])],
        cost: "O(N) where N is the number of parts of the value",
        usage: "key [SAMPLES count]",
        summary: "Tells what a key and its value weigh.",
        tips: &[],
        ..SUBCOMMAND
    },
];

fn usage(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    while !args.is_empty() {
        if !args.option_with_value("SAMPLES") {
            return Err(SYNTAX);
        }
        // The weight is known without sampling, so any count asks for the same.
        if args.int()? < 0 {
            return Err(SYNTAX);
        }
    }
    match view.peek(key) {
        Some(record) => reply.count(weight(record)),
        None => reply.null(),
    }
    Ok(())
}

/// Bytes that a key, its value and its entry take. The share of the key table's own arrays is told by STATS.
fn weight(record: RecordRef<'_>) -> usize {
    let own = record.memory();
    match value::value(record) {
        ValueRef::String(_) => own,
        ValueRef::Collection(collection) => own + collection.memory(),
    }
}

fn stats(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    let figures = MemoryFigures::of(server);
    let keys: usize = figures.tables.iter().map(|(db, _)| server.keyspace.db(*db).len()).sum();
    let data = figures.used.saturating_sub(figures.at_start);
    let start = reply.later();
    let mut fields = Fields { reply, count: 0 };
    fields.int("peak.allocated", figures.peak);
    fields.int("total.allocated", figures.used);
    fields.int("startup.allocated", figures.at_start);
    fields.int("replication.backlog", figures.backlog);
    fields.int("replica.fullsync.buffer", 0);
    fields.int("clients.slaves", figures.replicas);
    fields.int("clients.normal", figures.clients);
    fields.int("cluster.links", 0);
    fields.int("aof.buffer", figures.journal);
    fields.int("lua.caches", server.scripts.memory() as u64);
    fields.int("functions.caches", server.scripts.functions.memory() as u64);
    let interpreters = server.scripts.interpreter_memory() + server.scripts.functions.interpreter_memory();
    fields.int("script.VMs", interpreters as u64);
    for (db, bytes) in &figures.tables {
        fields.name(&format!("db.{db}"));
        fields.reply.map(2);
        fields.reply.bulk(b"overhead.hashtable.main");
        fields.reply.int(*bytes as i64);
        // Deadlines live in the records: there is no second table.
        fields.reply.bulk(b"overhead.hashtable.expires");
        fields.reply.int(0);
    }
    fields.int("overhead.db.hashtable.lut", figures.tables.iter().map(|(_, bytes)| bytes).sum());
    fields.int("overhead.db.hashtable.rehashing", 0);
    fields.int("overhead.total", figures.overhead());
    fields.int("db.dict.rehashing.count", 0);
    fields.int("keys.count", keys as u64);
    fields.int("keys.bytes-per-key", data.checked_div(keys as u64).unwrap_or(0));
    fields.int("dataset.bytes", figures.dataset());
    fields.double("dataset.percentage", figures.dataset_percent());
    fields.double("peak.percentage", figures.peak_percent());
    fields.int("allocator.allocated", figures.used);
    fields.int("allocator.active", figures.resident);
    fields.int("allocator.resident", figures.resident);
    fields.int("allocator.muzzy", 0);
    fields.double("allocator-fragmentation.ratio", figures.fragmentation());
    fields.signed("allocator-fragmentation.bytes", figures.fragmentation_bytes());
    fields.double("allocator-rss.ratio", 1.0);
    fields.int("allocator-rss.bytes", 0);
    fields.double("rss-overhead.ratio", 1.0);
    fields.int("rss-overhead.bytes", 0);
    fields.double("fragmentation", figures.fragmentation());
    fields.signed("fragmentation.bytes", figures.fragmentation_bytes());
    let count = fields.count;
    reply.finish_map(start, count);
    Ok(())
}

/// Pairs of a map whose length is known at its end.
struct Fields<'a, 'b> {
    reply: &'a mut Reply<'b>,
    count: usize,
}

impl Fields<'_, '_> {
    fn name(&mut self, name: &str) {
        self.count += 1;
        self.reply.bulk(name.as_bytes());
    }

    fn int(&mut self, name: &str, value: u64) {
        self.signed(name, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn signed(&mut self, name: &str, value: i64) {
        self.name(name);
        self.reply.int(value);
    }

    fn double(&mut self, name: &str, value: f64) {
        self.name(name);
        self.reply.double(value);
    }
}

fn doctor(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    reply.verbatim("txt", report(server).as_bytes());
    Ok(())
}

fn report(server: &Server) -> String {
    const SMALL_BYTES: u64 = 5 * 1024 * 1024;
    const CLIENT_BYTES: u64 = 200 * 1024;
    let figures = MemoryFigures::of(server);
    if figures.used < SMALL_BYTES {
        return "There is very little data in here: nothing can be told from so small figures.\n".into();
    }
    let mut troubles = Vec::new();
    if figures.peak > figures.used + figures.used / 2 {
        troubles.push(
            "Peak: more than one and a half times the memory of now was once in use. What is free stays with the \
             process until the allocator gives it back; MEMORY PURGE asks it to.",
        );
    }
    if figures.fragmentation() > 1.4 && figures.fragmentation_bytes() > 10 << 20 {
        troubles.push(
            "Fragmentation: the process holds far more memory than is in use. MEMORY PURGE or a restart gives it back.",
        );
    }
    if figures.clients / (server.sessions.len().max(1) as u64) > CLIENT_BYTES {
        troubles.push(
            "Clients: on the average a client holds more than 200 KB, mostly of replies not yet read. CLIENT LIST shows \
             whose (omem); client-output-buffer-limit bounds it.",
        );
    }
    if troubles.is_empty() {
        return "Nothing is wrong with the use of memory.\n".into();
    }
    let list: String = troubles.iter().map(|trouble| format!(" * {trouble}\n\n")).collect();
    format!("Something is wrong with the use of memory:\n\n{list}")
}

fn malloc_stats(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    let figures = MemoryFigures::of(server);
    let text = format!(
        "allocator: {}\nin use: {} bytes\nresident: {} bytes\npeak: {} bytes\n",
        memory::allocator_version(),
        figures.used,
        figures.resident,
        figures.peak
    );
    reply.verbatim("txt", text.as_bytes());
    Ok(())
}

fn purge(_: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    memory::purge();
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Playground, check};

    #[test]
    fn what_keys_weigh() {
        check(
            r#"
            > MEMORY USAGE nosuch
            (nil)
            > SET s hello
            OK
            > MEMORY USAGE s
            (integer) 16
            > MEMORY USAGE s SAMPLES 0
            (integer) 16
            > MEMORY USAGE s SAMPLES 5 samples 3
            (integer) 16
            > MEMORY USAGE s SAMPLES
            (error) ERR syntax error
            > MEMORY USAGE s SAMPLES -1
            (error) ERR syntax error
            > MEMORY USAGE s SAMPLES abc
            (error) ERR value is not an integer or out of range
            > MEMORY USAGE s FOO
            (error) ERR syntax error
            > MEMORY USAGE
            (error) ERR wrong number of arguments for 'memory|usage' command
            > MEMORY PURGE
            OK
            "#,
        );
    }

    #[test]
    fn a_list_weighs_its_elements() {
        let mut playground = Playground::default();
        playground.run("", ["LPUSH", "l", &"x".repeat(1000)].iter());
        let reply = String::from_utf8(playground.run("", ["MEMORY", "USAGE", "l"].iter())).unwrap();
        let weight: usize = reply[1..].trim_end().parse().unwrap();
        assert!((1000..1400).contains(&weight), "{weight}");
    }

    #[test]
    fn stats_are_a_map_of_what_is_used() {
        let mut playground = Playground::default();
        playground.run("", ["SET", "a", "1"].iter());
        let mut text = String::new();
        crate::testing::show(&playground.run("", ["MEMORY", "STATS"].iter()), &mut text);
        for part in ["\"keys.count\"\n", "\"db.0\"\n", "\"dataset.percentage\"\n", "\"overhead.hashtable.main\"\n"] {
            assert!(text.contains(part), "no {part} in {text}");
        }
    }
}
