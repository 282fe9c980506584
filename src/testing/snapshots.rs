//! Snapshots under test: what was saved loads as it was, and what is broken never harms.

use std::path::Path;
use std::sync::LazyLock;

use super::{Chooser, Playground, digest};
use crate::config::Config;
use crate::persist::disk::hostile::HostileDisk;
use crate::persist::disk::{Disk, read_all};
use crate::persist::rdb::dump;
use crate::server::snapshots::{Keeping, Load};
use crate::types::codec::Dialect;
use crate::util::crc64::crc64;

const KEEPING: Keeping = Keeping { lapsed: true, replace: false };

/// The data set as a snapshot file.
pub fn saved(playground: &Playground) -> Vec<u8> {
    let (disk, path) = (HostileDisk::default(), Path::new("dump.rdb"));
    playground.server.write_snapshot(&disk, path).expect("this disk has no fault");
    assert_eq!(disk.exists(Path::new("temp-0.rdb")).ok(), Some(false), "nothing is left beside the file");
    read_all(&disk, path).expect("it was written")
}

/// A server that has read the file, if it can be read.
pub fn loaded(config: Config, file: &[u8]) -> Result<Playground, String> {
    let mut playground = Playground::new(config, 11);
    let input = Box::new(std::io::Cursor::new(file.to_vec()));
    let mut load =
        Load::of(&playground.server, input, file.len() as u64, KEEPING).map_err(|error| error.to_string())?;
    while !load.step(&mut playground.server, 3).map_err(|error| error.to_string())? {}
    playground.server.keyspace.check();
    Ok(playground)
}

/// Saved and loaded, the data set is the same, in either dialect.
#[track_caller]
pub fn check_snapshot(playground: &mut Playground) {
    let expected = digest(playground);
    for dialect in [&b"redis"[..], b"valkey"] {
        playground.server.config.set(&[(b"rdb-dialect", dialect)], true).expect("the directive exists");
        let file = saved(playground);
        let mut copy = loaded(playground.server.config.clone(), &file).expect("what was saved loads");
        copy.server.set_clock(playground.server.clock);
        assert_eq!(differences(&digest(&mut copy), &expected), "", "the snapshot holds another data set");
    }
}

/// The first lines in which two texts differ, short enough to be read.
pub fn differences(found: &str, expected: &str) -> String {
    let cut = |line: Option<&str>| line.map_or("(nothing)".into(), |line| line.chars().take(300).collect::<String>());
    let (mut found, mut expected) = (found.lines(), expected.lines());
    loop {
        match (found.next(), expected.next()) {
            (None, None) => return String::new(),
            (one, two) if one != two => return format!("{} instead of {}", cut(one), cut(two)),
            _ => {}
        }
    }
}

/// A data set with something of everything.
pub(super) fn rich() -> Playground {
    let mut playground = Playground::default();
    let long = "x".repeat(100);
    let members: Vec<String> = (0..200).map(|at| format!("m{at}")).collect();
    let mut run = |line: &str| {
        let line = line.replace("LONG", &long);
        let words: Vec<&str> = line.split(' ').collect();
        playground.run("", words.iter());
    };
    run("SET string some text");
    run("SET number 12345");
    run("SET text LONGLONG PX 5000000");
    run("RPUSH list a 1 -5000 LONG");
    run(&format!("RPUSH long-list {}", members.join(" ").repeat(20)));
    run("SADD integers 1 2 300 70000");
    run("SADD members a 1 LONG");
    run(&format!("SADD many {}", members.join(" ")));
    run("ZADD zset 1 a 2.5 b -inf c");
    run(&format!("ZADD ranked {}", members.iter().map(|member| format!("1.5 {member}")).collect::<Vec<_>>().join(" ")));
    run("HSET hash a 1 b LONG");
    run("HSET timed a 1 b 2 c 3");
    run("HEXPIRE timed 1000 FIELDS 2 a c");
    run(&format!("HSET wide {}", members.iter().map(|member| format!("{member} 1")).collect::<Vec<_>>().join(" ")));
    run("HSET wide LONG LONG");
    run("HEXPIRE wide 1000 FIELDS 2 m1 LONG");
    for at in 1..40 {
        run(&format!("XADD stream {at}-1 a {at} b LONG"));
    }
    run("XDEL stream 5-1");
    run("XGROUP CREATE stream g 0");
    run("XREADGROUP GROUP g alice COUNT 10 STREAMS stream >");
    run("XREADGROUP GROUP g bob COUNT 10 STREAMS stream >");
    run("XNACK stream g FAIL IDS 2 3-1 4-1");
    playground
}

/// A good file with something of everything; made once, so that most of a fuzz run's time is for what is done to it.
pub(super) static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| saved(&rich()));

/// Payloads of every type, in either dialect, compressed or not.
static PAYLOADS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut rich = rich();
    let id = rich.client("");
    let view = rich.server.view(id);
    let dialects = [Dialect::Redis, Dialect::Valkey];
    let manners = dialects.into_iter().flat_map(|dialect| [(dialect, true), (dialect, false)]);
    manners
        .flat_map(|(dialect, packed)| view.records().map(move |record| dump::dump(&record, dialect, packed)))
        .collect()
});

/// Bytes from anywhere as a snapshot file: as they are, or as damage to a good one.
pub fn fuzz_snapshots(data: &[u8]) {
    let mut choose = Chooser { data, position: 0 };
    let file = match choose.below(8) {
        0 => [b"REDIS0011", data].concat(),
        1 => [b"VALKEY080", data].concat(),
        how => {
            let mut file = GOOD.clone();
            damage(&mut file, &mut choose, how == 2);
            file
        }
    };
    if let Ok(mut playground) = loaded(Config::default(), &file) {
        exercise(&mut playground);
    }
}

/// Bytes from anywhere as a payload for RESTORE, checksum and version put right.
pub fn fuzz_restore(data: &[u8]) {
    let mut choose = Chooser { data, position: 0 };
    let mut payload = match choose.below(PAYLOADS.len() + 4) {
        at if at < PAYLOADS.len() => PAYLOADS[at].clone(),
        _ => [&data[..data.len().min(200)], &[0; 10]].concat(),
    };
    payload.truncate(payload.len() - 10);
    damage(&mut payload, &mut choose, false);
    payload.extend_from_slice(if choose.below(2) == 0 { &[12, 0] } else { &[80, 0] });
    let checksum = crc64(&payload);
    payload.extend_from_slice(&checksum.to_le_bytes());

    let mut playground = Playground::default();
    playground.run("", [&b"RESTORE"[..], b"key", b"0", &payload].iter());
    playground.server.keyspace.check();
    exercise(&mut playground);
}

/// Changes, inserts, removes and cuts, a few times.
pub(super) fn damage(bytes: &mut Vec<u8>, choose: &mut Chooser<'_>, cut: bool) {
    if cut {
        bytes.truncate(choose.below(bytes.len().max(1)));
        return;
    }
    for _ in 0..1 + choose.below(4) {
        let at = choose.below(bytes.len().max(1));
        let byte = [choose.below(256) as u8, 0, 1, 0xFF, 0x80, 0x81, 0xC3, 0x7F][choose.below(8)];
        match choose.below(4) {
            0 if at < bytes.len() => _ = bytes.remove(at),
            1 => bytes.insert(at, byte),
            _ if at < bytes.len() => bytes[at] = byte,
            _ => bytes.push(byte),
        }
    }
}

/// Reads and changes whatever there is under every key.
fn exercise(playground: &mut Playground) {
    const COMMANDS: &[&str] = &[
        "DUMP KEY",
        "OBJECT ENCODING KEY",
        "COPY KEY copy REPLACE",
        "GETRANGE KEY 0 -1",
        "APPEND KEY x",
        "LRANGE KEY 0 -1",
        "LINSERT KEY BEFORE 1 new",
        "LSET KEY -1 other",
        "LPOP KEY",
        "RPOP KEY",
        "LREM KEY 0 a",
        "SMEMBERS KEY",
        "SADD KEY new 7",
        "SPOP KEY",
        "SINTER KEY copy",
        "ZRANGE KEY 0 -1 WITHSCORES",
        "ZADD KEY 3 new",
        "ZRANK KEY b",
        "ZPOPMIN KEY",
        "ZUNIONSTORE copy 2 KEY KEY",
        "HGETALL KEY",
        "HSET KEY new 1 a 2",
        "HEXPIRE KEY 10 FIELDS 1 b",
        "HPERSIST KEY FIELDS 1 c",
        "HDEL KEY a",
        "XRANGE KEY - +",
        "XREVRANGE KEY + -",
        "XINFO STREAM KEY FULL",
        "XADD KEY * a b",
        "XPENDING KEY g - + 100",
        "XAUTOCLAIM KEY g carol 0 0",
        "XREADGROUP GROUP g bob STREAMS KEY >",
        "XACK KEY g 2-1 6-1",
        "XDEL KEY 7-1 8-1",
        "XTRIM KEY MAXLEN 3",
        "XGROUP DESTROY KEY g",
        "DEBUG DIGEST-VALUE KEY",
        "EXPIRE KEY 100",
    ];
    let keys: Vec<Vec<u8>> = {
        let id = playground.client("");
        playground.server.view(id).records().map(|record| record.key().to_vec()).collect()
    };
    for key in keys {
        for command in COMMANDS {
            let words = command.split(' ').map(|word| if word == "KEY" { key.clone() } else { word.into() });
            playground.run("", words);
        }
        playground.server.keyspace.check();
    }
    playground.advance(200_000);
    playground.server.keyspace.check();
    check_snapshot(playground);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_there_is_comes_back() {
        check_snapshot(&mut rich());
    }

    #[test]
    fn the_oldest_version_that_will_do_is_written() {
        let mut playground = rich();
        assert_eq!(&saved(&playground)[..9], b"REDIS0012");
        playground.server.config.set(&[(b"rdb-dialect", b"valkey")], true).unwrap();
        assert_eq!(&saved(&playground)[..9], b"VALKEY080");
        playground.run("", ["DEL", "timed", "wide"].iter());
        assert_eq!(&saved(&playground)[..9], b"REDIS0010");
    }

    #[test]
    fn a_cut_or_changed_file_is_refused() {
        let file = saved(&rich());
        assert!(loaded(Config::default(), &file).is_ok());
        for end in (0..file.len()).step_by(7) {
            assert!(loaded(Config::default(), &file[..end]).is_err(), "cut at {end}");
        }
        for at in (0..file.len()).step_by(11) {
            let mut changed = file.clone();
            changed[at] ^= 0x10;
            assert!(loaded(Config::default(), &changed).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn a_file_tells_where_it_is_broken() {
        let mut file = saved(&rich());
        let middle = file.len() / 2;
        file.truncate(middle);
        assert_eq!(
            loaded(Config::default(), &file).err().map(|error| error.contains("too soon (at offset")),
            Some(true)
        );
        let refused = |bytes: &[u8]| loaded(Config::default(), bytes).err().unwrap_or_default();
        assert_eq!(refused(b"REDIS0099"), "Can't handle RDB format version 99 (at offset 9)");
        assert_eq!(refused(b"RUBBISH!!"), "Wrong signature trying to load DB from file (at offset 9)");
        assert!(refused(b"REDIS0009\x00\x01a\x01b\x00\x01a\x01c\xff").contains("RDB has duplicated key 'a' in DB 0"));
    }
}
