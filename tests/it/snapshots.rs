//! Snapshots of a real process: what they hold, what comes of a disk that refuses, and how they end before their time.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::harness::{Client, Folder, Running, request, start, start_in, wait_for};
use runnel::ds::keytable::Seed;
use runnel::persist::rdb::read::{Event, Options, Reader};
use runnel::types::codec::Limits;
use runnel::types::{hash, list, set, value, zset};

/// The strings of a snapshot file, by database and key.
fn strings(path: &Path) -> BTreeMap<(usize, String), String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (file, size) = (fs::File::open(path).unwrap(), fs::metadata(path).unwrap().len());
    let options = options();
    let mut reader = Reader::new(file, size, options).expect("a snapshot");
    let mut found = BTreeMap::new();
    let mut db = 0;
    loop {
        match reader.next_event().expect("a whole snapshot") {
            Event::Database(index) => db = index,
            Event::Record(record, _) => {
                let value = value::string(&record.borrow()).expect("a string").to_vec();
                let twice = found.insert((db, text(record.key())), text(&value));
                assert_eq!(twice, None, "a key comes twice");
            }
            Event::End => return found,
            _ => {}
        }
    }
}

fn wait_for_end(client: &mut Client) {
    wait_for("the end of the save", || (client.info("rdb_bgsave_in_progress") == "0").then_some(()));
}

fn leftovers(server: &Running) -> Vec<String> {
    let names = fs::read_dir(server.folder.path("")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("temp-")).collect()
}

#[test]
fn a_snapshot_holds_the_moment_of_its_command_whatever_is_written_meanwhile() {
    const KEYS: usize = 20_000;
    let server = start(&["--save", ""]);
    let mut client = server.connect();
    let large = "x".repeat(100_000);
    for key in 0..KEYS {
        client.send(&request(&["SET", &format!("key:{key}"), "before"]));
    }
    (0..KEYS).for_each(|_| assert_eq!(client.reply(), "OK"));
    assert_eq!(client.command(&["SET", "large", &large]), "OK");
    // What follows in one breath with BGSAVE is already too late.
    client.send(&request(&["BGSAVE"]));
    client.send(&request(&["APPEND", "large", "more"]));
    client.send(&request(&["SWAPDB", "0", "1"]));
    client.send(&request(&["SELECT", "1"]));
    for key in 0..KEYS {
        client.send(&request(&["SET", &format!("key:{}", key * 7919 % KEYS), "after"]));
        client.send(&request(&["SET", &format!("new:{key}"), "after"]));
    }
    client.send(&request(&["FLUSHDB"]));
    assert_eq!(client.reply(), "Background saving started");
    (0..3 + 2 * KEYS + 1).for_each(|_| assert!(!client.reply().starts_with('-')));
    wait_for_end(&mut client);
    assert_eq!((client.info("rdb_last_bgsave_status"), client.info("rdb_saves")), ("ok".into(), "1".into()));

    let found = strings(&server.folder.path("dump.rdb"));
    assert_eq!(found.len(), KEYS + 1);
    assert_eq!(found[&(0, "large".into())], large);
    assert!(found.iter().all(|((db, key), value)| *db == 0 && (key == "large" || value == "before")));
    assert!(server.log().contains("DB saved on disk"), "{}", server.log());
    assert_eq!(leftovers(&server), [""; 0]);
}

/// What changes large collections of every type, in as many ways as there are: `%` is a number that differs.
const CHANGES: &[&str] = &[
    "SADD set new:% member:%",
    "SREM set member:%",
    "SPOP set 2",
    "SMOVE set other-set member:1%",
    "SPOP whole-set 100000",
    "HSET hash field:% changed new:% x",
    "HDEL hash field:1%",
    "HINCRBY hash count %",
    "HPEXPIREAT hash 9999999999999 FIELDS 1 field:2%",
    "ZADD zset % member:% 1 new:%",
    "ZREM zset member:1%",
    "ZPOPMIN zset 2",
    "ZPOPMAX zset",
    "ZREMRANGEBYRANK zset 50 52",
    "RPUSH list %",
    "LPUSH list %",
    "LPOP list 2",
    "RPOP list",
    "LSET list 100 %",
    "LINSERT list BEFORE member:2000 %",
    "LREM list 1 member:1%",
    "LTRIM list 1 -2",
    "XADD stream * f %",
    "XDEL stream 1%-1",
    "XTRIM stream MAXLEN 4900",
    "XREADGROUP GROUP group me COUNT 7 STREAMS stream >",
    "XREADGROUP GROUP group you COUNT 3 STREAMS stream >",
    "XACK stream group %-1 1%-1",
    "XCLAIM stream group you 0 2%-1 3%-1",
    "XAUTOCLAIM stream group third 0 - COUNT 5",
    "XGROUP DELCONSUMER stream group third",
    "XGROUP CREATE stream other:% 0",
    "XGROUP SETID stream group 0",
    "RENAME hash hash2",
    "COPY zset zset2 REPLACE",
    "RENAME hash2 hash",
    "UNLINK gone",
    "SET text:% changed",
    "DEL text:1%",
    "APPEND text:2% more",
];

/// Whatever changes meanwhile, what is loaded is the moment at which the save began.
#[test]
fn a_snapshot_of_large_collections_is_of_one_moment() {
    let options = ["--save", "", "--enable-debug-command", "yes"];
    let mut server = start(&options);
    let mut client = server.connect();
    let fill = "for n = 1, 5000 do for _, key in ipairs({'set', 'whole-set'}) do redis.call('SADD', key, 'member:' .. n) end
        redis.call('HSET', 'hash', 'field:' .. n, n) redis.call('RPUSH', 'list', 'member:' .. n) redis.call('RPUSH', 'gone', n)
        redis.call('ZADD', 'zset', n / 3, 'member:' .. n) redis.call('XADD', 'stream', n .. '-1', 'n', n)
        redis.call('SET', 'text:' .. n, n) end
        redis.call('XGROUP', 'CREATE', 'stream', 'group', 0)
        redis.call('XREADGROUP', 'GROUP', 'group', 'me', 'COUNT', 4000, 'STREAMS', 'stream', '>')
        redis.call('XREADGROUP', 'GROUP', 'group', 'you', 'COUNT', 500, 'STREAMS', 'stream', '>')
        redis.call('HPEXPIREAT', 'hash', 9999999999999, 'FIELDS', 1, 'field:1')";
    client.command(&["EVAL", fill, "0"]);
    let groups = "XINFO STREAM stream FULL COUNT 0";
    for round in 0..3 {
        // All in one breath: nothing changes between them.
        for line in ["DEBUG DIGEST", groups, "BGSAVE"] {
            client.send(&request(&line.split(' ').collect::<Vec<_>>()));
        }
        for number in round * 100..round * 100 + 60 {
            for line in CHANGES {
                let line = line.replace('%', &number.to_string());
                client.send(&request(&line.split(' ').collect::<Vec<_>>()));
            }
        }
        let digest = client.reply();
        let told = client.reply();
        assert_eq!(client.reply(), "Background saving started");
        for _ in 0..60 * CHANGES.len() {
            let reply = client.reply();
            assert!(!reply.starts_with('-') || reply.contains("no such key") || reply.contains("BUSYGROUP"), "{reply}");
        }
        wait_for_end(&mut client);
        assert_eq!(client.info("rdb_last_bgsave_status"), "ok", "{}", server.log());

        let copy = Folder::new();
        fs::copy(server.folder.path("dump.rdb"), copy.path("dump.rdb")).unwrap();
        let copy = start_in(copy, &options, |_| {});
        let mut loaded = copy.connect();
        assert_eq!(loaded.command(&["DEBUG", "DIGEST"]), digest, "round {round}");
        let of_copy = loaded.command(&groups.split(' ').collect::<Vec<_>>());
        assert_eq!(without_tree(&of_copy), without_tree(&told), "round {round}");
    }
    server.signal(libc::SIGKILL);
    server.ended();
}

/// What XINFO tells, but for how the tree of a stream happens to be laid out.
fn without_tree(told: &str) -> String {
    let mut words = told.split(' ');
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        if word.contains("radix-tree") {
            words.next();
        } else {
            kept.push(word);
        }
    }
    kept.join(" ")
}

#[test]
fn a_save_that_fails_refuses_writes_and_tells_why_until_one_succeeds() {
    let server = start(&["--save", "3600 1", "--dbfilename", "taken"]);
    let mut client = server.connect();
    assert_eq!(client.command(&["SET", "a", "1"]), "OK");
    fs::create_dir(server.folder.path("taken")).unwrap();
    assert_eq!(client.command(&["BGSAVE"]), "Background saving started");
    wait_for_end(&mut client);
    assert_eq!(client.info("rdb_last_bgsave_status"), "err");
    for command in [&["SET", "a", "2"][..], &["PING"]] {
        let refusal = client.command(command);
        assert!(refusal.starts_with("-MISCONF Redis is configured to save RDB snapshots"), "{refusal}");
        assert!(refusal.contains("(rename taken, errno 21) at offset "), "{refusal}");
    }
    assert_eq!(client.command(&["GET", "a"]), "1");
    assert!(server.log().contains("Background saving error"), "{}", server.log());
    assert_eq!(leftovers(&server), [""; 0]);

    fs::remove_dir(server.folder.path("taken")).unwrap();
    assert_eq!(client.command(&["BGSAVE"]), "Background saving started");
    wait_for_end(&mut client);
    assert_eq!(client.command(&["SET", "a", "2"]), "OK");
    assert_eq!(strings(&server.folder.path("taken")), BTreeMap::from([((0, "a".into()), "1".into())]));
}

#[test]
fn rules_save_by_themselves_and_a_flush_leaves_an_empty_file() {
    let server = start(&["--save", "1 3"]);
    let mut client = server.connect();
    for key in ["a", "b", "c"] {
        assert_eq!(client.command(&["SET", key, "1"]), "OK");
    }
    wait_for("a save", || (client.info("rdb_saves") == "1").then_some(()));
    assert_eq!(client.info("rdb_changes_since_last_save"), "0");
    assert!(server.log().contains("3 changes in 1 seconds. Saving..."), "{}", server.log());
    assert_eq!(strings(&server.folder.path("dump.rdb")).len(), 3);
    assert_eq!(client.command(&["FLUSHALL"]), "OK");
    assert_eq!(strings(&server.folder.path("dump.rdb")).len(), 0);
    assert_eq!(client.info("rdb_changes_since_last_save"), "0");
}

#[test]
fn the_end_of_the_server_is_the_end_of_its_save() {
    let mut server = start(&["--save", "", "--rdb-key-save-delay", "10000000"]);
    let mut client = server.connect();
    assert_eq!(client.command(&["SET", "a", "1"]), "OK");
    assert_eq!(client.command(&["BGSAVE"]), "Background saving started");
    assert_eq!(client.command(&["BGSAVE"]), "-ERR Background save already in progress");
    assert_eq!(client.command(&["BGSAVE", "SCHEDULE"]), "-ERR Background save already in progress");
    wait_for("the file", || (leftovers(&server).len() == 1).then_some(()));
    assert_eq!(client.info("current_save_keys_total"), "1");
    client.send(&request(&["SHUTDOWN", "NOSAVE"]));
    assert!(server.ended().success());
    assert_eq!(leftovers(&server), [""; 0]);
    assert!(!server.folder.path("dump.rdb").exists());
}

fn options() -> Options {
    let seed: &'static Seed = Box::leak(Box::new(Seed::new([1, 2])));
    let zset = zset::Limits { entries_max: 128, value_bytes_max: 64, seed };
    let limits = Limits {
        list: list::Limits::default(),
        set: set::Limits::with_seed(seed),
        hash: hash::Limits::with_seed(seed),
        zset,
    };
    Options { limits, checksums: true, any_version: false }
}

/// All types, large collections among them, which are handed over in parts: what the next start loads is the moment of BGSAVE.
#[test]
fn what_is_loaded_at_the_next_start_is_the_moment_of_the_save() {
    const ELEMENTS: usize = 30_000;
    let options = ["--save", "", "--enable-debug-command", "yes"];
    let mut server = start(&options);
    let mut client = server.connect();
    let mut sent = 0;
    let mut send = |client: &mut Client, words: &[&str]| {
        client.send(&request(words));
        sent += 1;
        if sent % 1000 == 0 {
            (0..1000).for_each(|_| assert!(!client.reply().starts_with('-')));
        }
    };
    for element in 0..ELEMENTS {
        let text = format!("element:{element}");
        for (command, key) in [("SADD", "set"), ("RPUSH", "list"), ("SADD", "other-set")] {
            send(&mut client, &[command, key, &text]);
        }
        send(&mut client, &["HSET", "hash", &text, "value"]);
        send(&mut client, &["ZADD", "zset", &element.to_string(), &text]);
        send(&mut client, &["XADD", "stream", &format!("1-{}", element + 1), "field", &text]);
        send(&mut client, &["SET", &format!("string:{element}"), &text, "PX", "100000000"]);
        send(&mut client, &["INCR", &format!("number:{}", element % 100)]);
    }
    let large = "x".repeat(50_000);
    for number in 0..20 {
        assert_eq!(client.command(&["SET", &format!("large:{number}"), &large]), "OK");
    }
    let before = client.command(&["DEBUG", "DIGEST"]);
    client.send(&request(&["BGSAVE"]));
    assert_eq!(client.reply(), "Background saving started");
    for number in 0..20 {
        assert_eq!(client.command(&["APPEND", &format!("large:{number}"), "more"]), ":50004");
    }
    for element in 0..ELEMENTS / 10 {
        let text = format!("element:{}", element * 7919 % ELEMENTS);
        for words in [
            &["SREM", "set", &text][..],
            &["HDEL", "hash", &text],
            &["ZREM", "zset", &text],
            &["LPOP", "list"],
            &["XADD", "stream", "*", "a", "b"],
            &["APPEND", &format!("string:{element}"), "more"],
            &["PERSIST", &format!("string:{}", element + ELEMENTS / 2)],
            &["SET", &format!("new:{element}"), "x"],
        ] {
            client.send(&request(words));
        }
        (0..8).for_each(|_| assert!(!client.reply().starts_with('-')));
    }
    client.send(&request(&["RENAME", "other-set", "another"]));
    client.send(&request(&["DEL", "another"]));
    assert_eq!((client.reply(), client.reply()), ("OK".into(), ":1".into()));
    wait_for_end(&mut client);
    assert_eq!(client.info("rdb_last_bgsave_status"), "ok", "{}", server.log());
    let folder = std::mem::replace(&mut server.folder, Folder::new());
    drop(server);
    fs::remove_file(folder.path("port")).unwrap();

    let server = start_in(folder, &options, |_| {});
    assert_eq!(server.connect().command(&["DEBUG", "DIGEST"]), before);
}
