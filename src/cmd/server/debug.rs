//! DEBUG: what tests and curious people ask of a server. Open only to those whom `enable-debug-command` admits.
//!
//! Some subcommands of Redis's switch or show parts that are not here (rehashing, shrinking reply buffers): they are accepted where test
//! suites use them in passing, and refused where an answer would have to be made up.

use crate::cmd::args::Args;
use crate::cmd::command::{COMMAND, Command, Flag, Group, Run};
use crate::cmd::container::unknown_or_wrong_number;
use crate::cmd::error::{Done, NO_SUCH_KEY, NOT_AN_INTEGER, Stop, error};
use crate::db::evict;
use crate::resp::reply::Reply;
use crate::server::snapshots::{Keeping, load_file};
use crate::server::{HostRequest, Server, SessionId};
use crate::types::value::{self, RecordRef, StringRef, ValueRef};
use crate::util::number::parse_i64;

use Flag::{Admin, Loading, Noscript, Protected, Stale};

pub const COMMANDS: &[Command] = &[Command {
    name: "DEBUG",
    arity: -2,
    run: Run::Server(debug),
    flags: &[Admin, Noscript, Loading, Stale, Protected],
    group: Group::Server,
    cost: "Depends on subcommand.",
    is_internal: true,
    summary: "Holds what tests and curious people ask of a server.",
    ..COMMAND
}];

type Handler = fn(&mut Server, SessionId, &mut Args, &mut Reply) -> Done;

/// A subcommand: how many arguments it takes behind its name, at least and at most.
struct Subcommand {
    name: &'static str,
    least: usize,
    most: usize,
    run: Handler,
}

const fn row(name: &'static str, least: usize, most: usize, run: Handler) -> Subcommand {
    Subcommand { name, least, most, run }
}

const SUBCOMMANDS: &[Subcommand] = &[
    row("CHANGE-REPL-ID", 0, 0, change_replication_id),
    row("CONFIG-REWRITE-FORCE-ALL", 0, 0, rewrite_all),
    row("DICT-RESIZING", 1, 1, nothing_to_switch),
    row("DIGEST", 0, 0, digest_all),
    row("DIGEST-VALUE", 1, usize::MAX, digest_values),
    row("ERROR", 1, 1, reply_error),
    row("HELP", 0, 0, help_text),
    row("HTSTATS", 1, 2, table_figures),
    row("HTSTATS-KEY", 1, 2, collection_figures),
    row("LISTPACK", 1, 1, listpack),
    row("LOADAOF", 0, 0, load_log),
    row("LOG", 1, 1, log),
    row("OBJECT", 1, 2, object),
    row("PAUSE-CRON", 1, 1, pause_cron),
    row("POPULATE", 1, 3, populate),
    row("PROTOCOL", 1, 1, protocol),
    row("QUICKLIST-PACKED-THRESHOLD", 1, 1, packed_threshold),
    row("RELOAD", 0, usize::MAX, reload),
    row("REPLYBUFFER", 2, 2, reply_buffer),
    row("SDSLEN", 1, 1, string_sizes),
    row("SET-ACTIVE-EXPIRE", 1, 1, set_active_expire),
    row("SET-DISABLE-DENY-SCRIPTS", 1, 1, set_disable_deny_scripts),
    row("SET-SKIP-CHECKSUM-VALIDATION", 1, 1, skip_checksums),
    row("SLEEP", 1, 1, sleep),
    row("STRINGMATCH-TEST", 0, 0, match_test),
    row("STRUCTSIZE", 0, 0, struct_sizes),
];

fn debug(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let name = args.next()?;
    let found = SUBCOMMANDS
        .iter()
        .find(|row| row.name.as_bytes().eq_ignore_ascii_case(name) && (row.least..=row.most).contains(&args.len()));
    match found {
        Some(row) => (row.run)(server, id, args, reply),
        None => Err(unknown_or_wrong_number(args)),
    }
}

/// HELP in the frame of all others; the subcommands here are no entries of the table.
fn help(reply: &mut Reply, subcommands: &[(&str, &[&str])]) -> Done {
    let lines: usize = subcommands.iter().map(|(_, text)| 1 + text.len()).sum();
    reply.array(lines + 1);
    reply.simple("DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    for (syntax, text) in subcommands {
        reply.simple(syntax);
        text.iter().for_each(|line| reply.simple(&format!("    {line}")));
    }
    Ok(())
}

fn help_text(_: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    help(
        reply,
        &[
            ("CHANGE-REPL-ID", &["Give the history of changes another id."]),
            ("CONFIG-REWRITE-FORCE-ALL", &["Like CONFIG REWRITE, but write every directive, defaults too."]),
            ("DICT-RESIZING <0|1>", &["Accepted; tables here always grow and shrink in small steps."]),
            ("DIGEST", &["Show forty digits that any difference in the data changes."]),
            ("DIGEST-VALUE <key> [<key> ...]", &["Show the digits of each value; zeroes where there is none."]),
            ("ERROR <string>", &["Reply with <string> as an error."]),
            ("HELP", &["Print this help."]),
            ("HTSTATS <dbid> [full]", &["Show figures of a database's key table."]),
            ("HTSTATS-KEY <key> [full]", &["Show figures of the hash table at <key>."]),
            ("LISTPACK <key>", &["Write to the log what the flat buffer at <key> holds."]),
            ("LOADAOF", &["Throw the data set away and load it from the append-only log again."]),
            ("LOG <message>", &["Write <message> to the log."]),
            ("OBJECT <key>", &["Show how <key>'s value is kept."]),
            ("PAUSE-CRON <0|1>", &["Stop upkeep (expiry, time-outs, limits) until it is let go on."]),
            (
                "POPULATE <count> [<prefix>] [<size>]",
                &["Make <count> strings named <prefix>:<number> (key:<number>) that are missing, of <size> bytes."],
            ),
            (
                "PROTOCOL <type>",
                &[
                    "Reply with a value of <type>: string, integer, double, bignum, null, array, set,",
                    "map, attrib, push, verbatim, true, false.",
                ],
            ),
            (
                "QUICKLIST-PACKED-THRESHOLD <size>",
                &["Accepted; large elements of lists here are never copied together."],
            ),
            (
                "RELOAD [MERGE] [NOFLUSH] [NOSAVE]",
                &[
                    "Save the snapshot and load it again. NOSAVE: load the one there is. NOFLUSH: keep what there is, and",
                    "fail where a key is in both. MERGE: likewise, but the snapshot's keys win.",
                ],
            ),
            (
                "REPLYBUFFER <PEAK-RESET-TIME <NEVER|RESET|time>|RESIZING <0|1>>",
                &["Accepted; reply buffers here have no such rule."],
            ),
            ("SDSLEN <key>", &["Show how long the key and its string are, and what memory they take."]),
            ("SET-ACTIVE-EXPIRE <0|1>", &["Switch the search for lapsed keys off or on."]),
            ("SET-DISABLE-DENY-SCRIPTS <0|1>", &["Let scripts run what is not for scripts, or not."]),
            ("SET-SKIP-CHECKSUM-VALIDATION <0|1>", &["Take values and snapshots whose checksum is wrong."]),
            ("SLEEP <seconds>", &["Stop everything for so long."]),
            ("STRINGMATCH-TEST", &["Try random patterns on random texts."]),
            ("STRUCTSIZE", &["Show the sizes of the main structures."]),
        ],
    )
}

fn digest_all(server: &mut Server, id: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    reply.simple(&super::digest::all(&server.view(id), server.keyspace.databases()));
    Ok(())
}

fn digest_values(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let view = server.view(id);
    reply.array(args.len());
    for key in args.rest() {
        reply.simple(&super::digest::value(view.peek(key).as_deref()));
    }
    Ok(())
}

fn reload(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let (mut save, mut flush, mut replace) = (true, true, false);
    while !args.is_empty() {
        match () {
            () if args.option("NOSAVE") => save = false,
            () if args.option("NOFLUSH") => flush = false,
            () if args.option("MERGE") => (flush, replace) = (false, true),
            () => return Err(error("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")),
        }
    }
    const FAILED: Stop = error("ERR Error trying to load the RDB dump, check server logs.");
    let Some(disk) = server.host.disk() else { return Err(FAILED) };
    if save && server.save_now().is_err() {
        return Err(error("ERR"));
    }

    if flush {
        server.forget_all();
    }
    let path = server.snapshot_path();
    if let Err(error) = load_file(server, &disk, &path, Keeping { lapsed: false, replace }) {
        tracing::warn!("DEBUG RELOAD failed: {error}");
        return Err(FAILED);
    }
    tracing::warn!("DB reloaded by DEBUG RELOAD");
    reply.ok();
    Ok(())
}

/// A number as C's `atoi` reads it: what is none is 0.
fn lenient_int(text: &[u8]) -> i64 {
    let end = text.iter().skip(1).position(|byte| !byte.is_ascii_digit()).map_or(text.len(), |end| end + 1);
    parse_i64(&text[..end]).unwrap_or(0)
}

fn load_log(server: &mut Server, id: SessionId, _: &mut Args, _: &mut Reply) -> Done {
    if server.is_inside_a_command() {
        return Err(error("ERR DEBUG LOADAOF is not allowed inside a transaction or script"));
    }

    server.outbox.requests.push(HostRequest::LoadLog(id));
    server.wait_for_host(id);
    Ok(())
}

fn sleep(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    const SECONDS_MAX: f64 = 86_400.0;
    let text = std::str::from_utf8(args.next()?).unwrap_or_default();
    let seconds = text.parse::<f64>().unwrap_or(0.0).clamp(0.0, SECONDS_MAX);
    let time_us = (seconds * 1e6) as u64;
    server.host.sleep(time_us);
    server.slept_us += time_us;
    reply.ok();
    Ok(())
}

fn skip_checksums(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    server.keyspace.skips_checksums = lenient_int(args.next()?) != 0;
    reply.ok();
    Ok(())
}

fn rewrite_all(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    super::config::write_file(server, true)?;
    reply.ok();
    Ok(())
}

fn set_active_expire(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    server.cron.expiry_off = lenient_int(args.next()?) == 0;
    reply.ok();
    Ok(())
}

fn set_disable_deny_scripts(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    server.scripts.may_run_all = lenient_int(args.next()?) != 0;
    reply.ok();
    Ok(())
}

fn pause_cron(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    server.cron.paused = lenient_int(args.next()?) != 0;
    reply.ok();
    Ok(())
}

fn change_replication_id(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    server.change_replication_id();
    reply.ok();
    Ok(())
}

fn nothing_to_switch(_: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    reply.ok();
    Ok(())
}

fn packed_threshold(_: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    const MAX: u64 = 4 << 30;
    let bytes = crate::config::parse_memory(args.next()?);
    if bytes.is_none_or(|bytes| bytes >= MAX) {
        return Err(error("ERR argument must be a memory value bigger than 1 and smaller than 4gb"));
    }
    reply.ok();
    Ok(())
}

fn reply_buffer(_: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let word = args.next()?;
    let value = args.next()?;
    if word.eq_ignore_ascii_case(b"peak-reset-time") {
        let named = value.eq_ignore_ascii_case(b"never") || value.eq_ignore_ascii_case(b"reset");
        if !named && parse_i64(value).is_none() {
            return Err(NOT_AN_INTEGER);
        }
    } else if !word.eq_ignore_ascii_case(b"resizing") {
        return Err(unknown_or_wrong_number(args));
    }
    reply.ok();
    Ok(())
}

fn reply_error(_: &mut Server, _: SessionId, args: &mut Args, _: &mut Reply) -> Done {
    Err(Stop::Bytes(args.next()?.to_vec()))
}

fn log(_: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    tracing::warn!("DEBUG LOG: {}", String::from_utf8_lossy(args.next()?));
    reply.ok();
    Ok(())
}

fn record<'a>(server: &'a Server, id: SessionId, key: &[u8]) -> Result<RecordRef<'a>, Stop> {
    server.view(id).peek(key).ok_or(NO_SUCH_KEY)
}

fn object(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    // One whose time is over and that nobody has removed yet is shown, too.
    let db = server.sessions.get(id).db;
    let record = server.keyspace.record(db, args.next()?).ok_or(NO_SUCH_KEY)?;
    let (now, idle_s) = (server.now_ms() / 1000, evict::idle_ms(&record, server.now_ms()) / 1000);
    let address = record.key().as_ptr();
    let lru = now.saturating_sub(idle_s) & 0xff_ffff;
    reply.simple(&format!(
        "Value at:{address:p} refcount:1 encoding:{} lru:{lru} lru_seconds_idle:{idle_s}",
        value::encoding(&record)
    ));
    Ok(())
}

fn listpack(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let record = record(server, id, key)?;
    match value::value(record) {
        ValueRef::Collection(collection) if collection.encoding() == "listpack" => {
            let (len, bytes) = (collection.len(), collection.memory());
            tracing::info!(
                "{} at {} holds {len} elements in {bytes} bytes",
                collection.kind().name(),
                key.escape_ascii()
            );
        }
        _ => return Err(error("ERR Not a listpack encoded object.")),
    }
    reply.simple("Listpack structure printed on stdout");
    Ok(())
}

fn table_figures(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let index = args.int_or(error("ERR Out of range database"))?;
    let index = server.database(index).ok_or(error("ERR Out of range database"))?;
    let db = server.keyspace.db(index);
    let text = format!(
        "[Dictionary HT]\n number of elements: {}\n bytes of the table: {}\n[Expires HT]\n number of elements: {}\n",
        db.len(),
        server.keyspace.overhead(index),
        db.volatile()
    );
    reply.verbatim("txt", text.as_bytes());
    Ok(())
}

fn collection_figures(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let record = record(server, id, args.next()?)?;
    let figures = match value::value(record) {
        ValueRef::Collection(collection) if matches!(collection.encoding(), "hashtable" | "skiplist") => {
            format!(" number of elements: {}\n bytes of the table: {}\n", collection.len(), collection.memory())
        }
        _ => return Err(error("ERR The value stored at the specified key is not represented using an hash table")),
    };
    reply.verbatim("txt", figures.as_bytes());
    Ok(())
}

/// Key and short value share one block, in which no byte is spare.
fn string_sizes(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let record = record(server, id, args.next()?)?;
    let (len, spare) = match value::string(&record) {
        Some(StringRef::Bytes(bytes)) => (bytes.len(), 0),
        Some(StringRef::Blob(blob)) => (blob.len(), blob.capacity() - blob.len()),
        Some(StringRef::Integer(_)) | None => return Err(error("ERR Not an sds encoded string.")),
    };
    reply.simple(&format!(
        "key_sds_len:{}, key_sds_avail:0, key_zmalloc: {}, val_sds_len:{len}, val_sds_avail:{spare}, val_zmalloc: {}",
        record.key().len(),
        record.memory() - record.blob_memory(),
        record.blob_memory()
    ));
    Ok(())
}

fn struct_sizes(_: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    reply.simple(&format!(
        "bits:{} record_header:{} session:{} parser:{}",
        usize::BITS,
        crate::ds::record::HEADER,
        size_of::<crate::server::Session>(),
        size_of::<crate::resp::request::Parser>()
    ));
    Ok(())
}

fn populate(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    const NOT_POSITIVE: &str = "ERR value is out of range, must be positive";
    let count = args.int_in(0..=i64::MAX, NOT_POSITIVE)?;
    let prefix = args.try_next().unwrap_or(b"key");
    let size = match args.is_empty() {
        true => None,
        false => Some(args.int_in(0..=server.config.proto_max_bulk_len, NOT_POSITIVE)? as usize),
    };
    let db = server.sessions.get(id).db;
    let mut edit = server.edit(db);
    for number in 0..count {
        let key = [prefix, format!(":{number}").as_bytes()].concat();
        if !edit.exists(&key) {
            let mut text = format!("value:{number}").into_bytes();
            // Shorter values are filled up with zero bytes, longer ones cut off.
            text.resize(size.unwrap_or(text.len()), 0);
            edit.set_string(&key, &text, None);
        }
    }
    reply.ok();
    Ok(())
}

fn match_test(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    const ROUNDS: usize = 20_000;
    const LETTERS: &[u8] = b"ab*?[]^-\\";
    let random = server.random.get_mut();
    let mut text = |len| (0..random.index(len)).map(|_| LETTERS[random.index(LETTERS.len())]).collect::<Vec<u8>>();
    let mut fitting = 0;
    for _ in 0..ROUNDS {
        let (pattern, text) = (text(24), text(48));
        fitting += usize::from(crate::util::glob::matches(&pattern, &text));
    }
    reply.simple(&format!("{fitting} of {ROUNDS} random patterns fitted their texts, and nothing broke"));
    Ok(())
}

fn protocol(_: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    match args.next()?.to_ascii_lowercase().as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.int(12345),
        b"double" => reply.double(3141.0 / 1000.0),
        b"bignum" => reply.big_number(b"1234567999999999999999999999999999999"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|number| reply.int(number));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|number| reply.int(number));
        }
        b"map" => {
            reply.map(3);
            for number in 0..3 {
                reply.int(number);
                reply.bool(number == 1);
            }
        }
        b"attrib" => {
            if reply.is_resp3() {
                reply.attribute(1);
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.int(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" => {
            if !reply.is_resp3() {
                return Err(error("ERR RESP2 is not supported by this command"));
            }
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.int(42);
            // A push is no reply: the client still waits for one.
            reply.bulk(b"Some real reply following the push reply");
        }
        b"verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        b"true" => reply.bool(true),
        b"false" => reply.bool(false),
        _ => {
            return Err(error(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Permit};
    use crate::testing::{check, replay};

    #[track_caller]
    fn check_allowed(dialogue: &str) {
        let mut config = Config::default();
        config.values.enable_debug_command = Permit::Local;
        let trimmed = |text: &str| text.lines().map(|line| format!("{}\n", line.trim_end())).collect::<String>();
        let wanted: String =
            dialogue.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect();
        assert_eq!(trimmed(&replay(config, dialogue)), wanted);
    }

    #[test]
    fn closed_by_default() {
        check(
            r##"
            > DEBUG SLEEP 0
            (error) ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.
            > MULTI
            OK
            > DEBUG SLEEP 0
            (error) ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.
            > EXEC
            (error) EXECABORT Transaction discarded because of previous errors.
            > CONFIG SET requirepass secret
            OK
            other> DEBUG SLEEP 0
            (error) ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.
            "##,
        );
    }

    #[test]
    fn subcommands() {
        check_allowed(
            r##"
            > DEBUG FOO
            (error) ERR unknown subcommand or wrong number of arguments for 'FOO'. Try DEBUG HELP.
            > DEBUG JMAP
            (error) ERR unknown subcommand or wrong number of arguments for 'JMAP'. Try DEBUG HELP.
            > DEBUG SLEEP
            (error) ERR unknown subcommand or wrong number of arguments for 'SLEEP'. Try DEBUG HELP.
            > DEBUG SLEEP abc
            OK
            > DEBUG SET-ACTIVE-EXPIRE 0
            OK
            > DEBUG QUICKLIST-PACKED-THRESHOLD 100
            OK
            > DEBUG QUICKLIST-PACKED-THRESHOLD 5gb
            (error) ERR argument must be a memory value bigger than 1 and smaller than 4gb
            > DEBUG REPLYBUFFER PEAK-RESET-TIME never
            OK
            > DEBUG REPLYBUFFER PEAK-RESET-TIME abc
            (error) ERR value is not an integer or out of range
            > DEBUG REPLYBUFFER foo 0
            (error) ERR unknown subcommand or wrong number of arguments for 'REPLYBUFFER'. Try DEBUG HELP.
            > DEBUG ERROR "foo bar"
            (error) foo bar
            > DEBUG LOG hello
            OK
            > DEBUG OBJECT nosuch
            (error) ERR no such key
            > LPUSH l a
            (integer) 1
            > DEBUG LISTPACK l
            Listpack structure printed on stdout
            > SET s x
            OK
            > DEBUG LISTPACK s
            (error) ERR Not a listpack encoded object.
            > DEBUG SDSLEN l
            (error) ERR Not an sds encoded string.
            > DEBUG SDSLEN s
            key_sds_len:1, key_sds_avail:0, key_zmalloc: 16, val_sds_len:1, val_sds_avail:0, val_zmalloc: 0
            > DEBUG HTSTATS-KEY l
            (error) ERR The value stored at the specified key is not represented using an hash table
            > DEBUG HTSTATS-KEY nosuch
            (error) ERR no such key
            > DEBUG HTSTATS 99
            (error) ERR Out of range database
            > DEBUG POPULATE 2 foo 3
            OK
            > GET foo:1
            "val"
            > DEBUG POPULATE -1
            (error) ERR value is out of range, must be positive
            > INFO keyspace
            "# Keyspace\r\ndb0:keys=4,expires=0,avg_ttl=0,subexpiry=0\r\n"
            "##,
        );
    }

    #[test]
    fn every_type_of_reply() {
        check_allowed(
            r##"
            > DEBUG PROTOCOL string
            "Hello World"
            > DEBUG PROTOCOL double
            "3.141"
            > DEBUG PROTOCOL bignum
            "1234567999999999999999999999999999999"
            > DEBUG PROTOCOL true
            (integer) 1
            > DEBUG PROTOCOL push
            (error) ERR RESP2 is not supported by this command
            > DEBUG PROTOCOL attrib
            "Some real reply following the attribute"
            > DEBUG PROTOCOL verbatim
            "This is a verbatim\nstring"
            > DEBUG PROTOCOL nosuch
            (error) ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false
            "##,
        );
    }
}
