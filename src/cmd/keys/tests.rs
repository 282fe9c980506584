//! Dialogues with the generic commands; the replies are those of redis-server 8.2.3.

use super::cursor;
use crate::testing::{Playground, check, check_configured};

#[test]
fn deadlines() {
    check(
        r#"
        > SET k 1
        OK
        > EXPIRE k 100 GT
        (integer) 0
        > EXPIRE k 100 XX
        (integer) 0
        > EXPIRE k 100 NX
        (integer) 1
        > EXPIRE k 50 NX
        (integer) 0
        > EXPIRE k 50 GT
        (integer) 0
        > EXPIRE k 50 LT XX
        (integer) 1
        > PEXPIRE k 1499
        (integer) 1
        > TTL k
        (integer) 1
        > PEXPIRE k 1500
        (integer) 1
        > TTL k
        (integer) 2
        > EXPIREAT k 1767225700
        (integer) 1
        > EXPIRETIME k
        (integer) 1767225700
        > PEXPIRETIME k
        (integer) 1767225700000
        > PERSIST k
        (integer) 1
        > PERSIST k
        (integer) 0
        > TTL k
        (integer) -1
        > PEXPIREAT k 9223372036854775807
        (integer) 1
        > EXPIRETIME k
        (integer) 9223372036854776
        > EXPIRE k -1
        (integer) 1
        > TTL k
        (integer) -2
        > SET k 1
        OK
        > PEXPIRE k 100
        (integer) 1
        ~ 100
        > EXISTS k
        (integer) 1
        ~ 1
        > EXISTS k
        (integer) 0
        "#,
    );
}

#[test]
fn deadlines_refused() {
    check(
        r#"
        > EXPIRE nokey abc
        (error) ERR value is not an integer or out of range
        > EXPIRE nokey abc foo
        (error) ERR Unsupported option foo
        > EXPIRE nokey 1 "a\x00b"
        (error) ERR Unsupported option a
        > EXPIRE nokey 1 NX GT
        (error) ERR NX and XX, GT or LT options at the same time are not compatible
        > EXPIRE nokey 1 LT GT
        (error) ERR GT and LT options at the same time are not compatible
        > EXPIRE nokey 9223372036854775
        (error) ERR invalid expire time in 'expire' command
        > PEXPIRE nokey 9223372036854775807
        (error) ERR invalid expire time in 'pexpire' command
        > EXPIREAT nokey -9223372036854775808
        (error) ERR invalid expire time in 'expireat' command
        > PEXPIREAT nokey -9223372036854775808
        (integer) 0
        "#,
    );
}

#[test]
fn renaming_and_copying() {
    check(
        r#"
        > RENAME nokey nokey
        (error) ERR no such key
        > SET a 1 EX 100
        OK
        > RPUSH b x y
        (integer) 2
        > RENAME a a
        OK
        > RENAMENX a a
        (integer) 0
        > RENAMENX a b
        (integer) 0
        > COPY b c
        (integer) 1
        > RPUSH c z
        (integer) 3
        > LLEN b
        (integer) 2
        > RENAME a b
        OK
        > TTL b
        (integer) 100
        > COPY b c
        (integer) 0
        > COPY b c REPLACE
        (integer) 1
        > TTL c
        (integer) 100
        > COPY b b DB 3
        (integer) 1
        > MOVE b 3
        (integer) 0
        > MOVE c 3
        (integer) 1
        > TYPE c
        none
        > SELECT 3
        OK
        > MGET b c
        1) "1"
        2) "1"
        > TTL c
        (integer) 100
        > COPY b b
        (error) ERR source and destination objects are the same
        > MOVE b 3
        (error) ERR source and destination objects are the same
        > COPY b x DB 16
        (error) ERR DB index is out of range
        > COPY b x DB 99999999999
        (error) ERR value is out of range, value must between -2147483648 and 2147483647
        > MOVE b abc
        (error) ERR value is not an integer or out of range
        > COPY b x FOO
        (error) ERR syntax error
        "#,
    );
}

#[test]
fn listing() {
    check(
        r#"
        > RANDOMKEY
        (nil)
        > SET a 1
        OK
        > RANDOMKEY
        "a"
        > KEYS ?
        1) "a"
        > KEYS a
        1) "a"
        > KEYS b*
        (empty array)
        > SCAN 0 MATCH a COUNT 100 TYPE STRING
        1) "0"
        2) 1) "a"
        > SCAN 0 TYPE list
        1) "0"
        2) (empty array)
        > SCAN x
        (error) ERR invalid cursor
        > SCAN 0 COUNT 0
        (error) ERR syntax error
        > SCAN 0 COUNT x
        (error) ERR value is not an integer or out of range
        > SCAN 0 MATCH
        (error) ERR syntax error
        > TYPE a
        string
        > EXISTS a a b
        (integer) 2
        > TOUCH a b
        (integer) 1
        > UNLINK a b
        (integer) 1
        > SET a 1 PXAT 1
        OK
        > RANDOMKEY
        (nil)
        "#,
    );
}

#[test]
fn cursors_are_read_as_strtoull_reads_them() {
    for (text, expected) in [
        (&b"1"[..], Some(1)),
        (b" 1", Some(1)),
        (b"\t+5", Some(5)),
        (b"01", Some(1)),
        (b"-0", Some(0)),
        (b" -1", Some(u64::MAX)),
        (b"1\0x", Some(1)),
        (b"18446744073709551615", Some(u64::MAX)),
        (b"18446744073709551616", None),
        (b"-5", None),
        (b"1 ", None),
        (b"", None),
        (b"-", None),
        (b"0x10", None),
    ] {
        assert_eq!(cursor(text).ok(), expected, "{text:?}");
    }
}

#[test]
fn a_scan_shows_every_key_while_others_come_and_go() {
    let mut playground = Playground::default();
    let run = |playground: &mut Playground, line: &str| playground.run("", line.split(' '));
    for number in 0..2000 {
        run(&mut playground, &format!("SET stays:{number} x"));
        run(&mut playground, &format!("SET goes:{number} x"));
    }
    let mut seen = std::collections::HashSet::new();
    let mut cursor = "0".to_owned();
    for step in 0.. {
        let reply = String::from_utf8(run(&mut playground, &format!("SCAN {cursor} COUNT 50"))).expect("ASCII");
        let mut words = reply.split("\r\n").filter(|word| !word.starts_with(['*', '$']) && !word.is_empty());
        cursor = words.next().expect("a cursor").to_owned();
        seen.extend(words.filter(|word| word.starts_with("stays")).map(str::to_owned));
        for number in step * 40..(step + 1) * 40 {
            run(&mut playground, &format!("DEL goes:{number}"));
            run(&mut playground, &format!("SET new:{} x", number * 7));
        }
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 2000);
}

#[test]
fn object_tells() {
    check(
        r#"
        > SET a 1
        OK
        > OBJECT REFCOUNT a
        (integer) 1
        ~ 5000
        > OBJECT IDLETIME a
        (integer) 5
        > TTL a
        (integer) -1
        > OBJECT IDLETIME a
        (integer) 5
        > TOUCH a
        (integer) 1
        > OBJECT IDLETIME a
        (integer) 0
        > OBJECT ENCODING nokey
        (nil)
        > OBJECT FREQ nokey
        (nil)
        > OBJECT FREQ a
        (error) ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.
        > OBJECT ENCODING
        (error) ERR wrong number of arguments for 'object|encoding' command
        > OBJECT "fo\x00o"
        (error) ERR unknown subcommand 'fo'. Try OBJECT HELP.
        "#,
    );
    check_configured(
        &[("maxmemory-policy", "allkeys-lfu")],
        r#"
        > SET a 1
        OK
        > OBJECT FREQ a
        (integer) 5
        > OBJECT IDLETIME a
        (error) ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.
        "#,
    );
}

#[test]
fn whole_databases() {
    check(
        r#"
        > MSET a 1 b 2
        OK
        > DBSIZE
        (integer) 2
        > SWAPDB 0 1
        OK
        > DBSIZE
        (integer) 0
        > SELECT 1
        OK
        > DBSIZE
        (integer) 2
        > FLUSHDB FOO
        (error) ERR syntax error
        > FLUSHDB ASYNC
        OK
        > DBSIZE
        (integer) 0
        > SET a 1
        OK
        > FLUSHALL SYNC
        OK
        > KEYS *
        (empty array)
        > FLUSHALL ASYNC SYNC
        (error) ERR syntax error
        > SWAPDB x 0
        (error) ERR invalid first DB index
        > SWAPDB 0 x
        (error) ERR invalid second DB index
        > SWAPDB 0 16
        (error) ERR DB index is out of range
        "#,
    );
}

/// A server that removes nothing by itself.
fn without_expiry() -> Playground {
    let mut playground = Playground::default();
    playground.server.cron.expiry_off = true;
    playground
}

fn say(playground: &mut Playground, line: &str) -> Vec<u8> {
    playground.run("", line.split(' '))
}

#[test]
fn what_is_over_and_is_swapped_in_breaks_no_watch() {
    let mut playground = without_expiry();
    say(&mut playground, "SET key 1 PX 1");
    say(&mut playground, "SWAPDB 0 1");
    playground.advance(2);
    for line in ["WATCH key", "SWAPDB 0 1", "MULTI"] {
        assert_eq!(say(&mut playground, line), b"+OK\r\n");
    }
    assert_eq!(say(&mut playground, "EXEC"), b"*0\r\n");
}

#[test]
fn what_is_over_is_not_listed_and_stays_until_it_is_asked_for() {
    let mut playground = without_expiry();
    say(&mut playground, "SET key 1 PX 1");
    playground.advance(2);
    for line in ["KEYS key", "KEYS k*"] {
        assert_eq!(say(&mut playground, line), b"*0\r\n");
        assert_eq!(say(&mut playground, "DBSIZE"), b":1\r\n");
    }
    assert_eq!(say(&mut playground, "EXISTS key"), b":0\r\n");
    assert_eq!(say(&mut playground, "DBSIZE"), b":0\r\n");
}

#[test]
fn to_watch_a_key_that_is_over_leaves_it_where_it_is() {
    let mut playground = without_expiry();
    say(&mut playground, "SET key 1 PX 1");
    playground.advance(2);
    for line in ["WATCH key", "MULTI"] {
        assert_eq!(say(&mut playground, line), b"+OK\r\n");
    }
    assert_eq!(say(&mut playground, "EXEC"), b"*0\r\n");
    assert_eq!(say(&mut playground, "DBSIZE"), b":1\r\n");
}

#[test]
fn who_must_hear_of_a_change_watches_nothing_more() {
    let mut playground = Playground::default();
    let watched = |playground: &mut Playground| {
        let list = playground.run("", "CLIENT INFO".split(' '));
        let text = String::from_utf8_lossy(&list).into_owned();
        let flags = text.split(' ').find_map(|field| field.strip_prefix("flags=")).map(str::to_owned);
        (flags.unwrap_or_default(), text.contains(" watch=1 "))
    };
    playground.run("", "WATCH key".split(' '));
    assert_eq!(watched(&mut playground), ("N".into(), true));
    playground.run("other", "SET key 1".split(' '));
    assert_eq!(watched(&mut playground), ("d".into(), false));
    playground.run("", "WATCH key2".split(' '));
    assert_eq!(watched(&mut playground), ("d".into(), false));
    playground.run("", "UNWATCH".split(' '));
    playground.run("", "WATCH key2".split(' '));
    assert_eq!(watched(&mut playground), ("N".into(), true));
}

#[test]
fn flushing_breaks_a_watch_of_what_was_there() {
    let mut config = crate::config::Config::default();
    config.enable_debug_command = crate::config::Permit::Yes;
    crate::testing::check_with(
        config,
        r#"
        > WATCH nokey
        OK
        b> FLUSHALL
        OK
        > MULTI
        OK
        > EXEC
        (empty array)
        > SET k 1
        OK
        > WATCH k
        OK
        b> FLUSHDB
        OK
        > MULTI
        OK
        > EXEC
        (nil)
        > WATCH nokey
        OK
        b> SWAPDB 1 0
        OK
        > MULTI
        OK
        > EXEC
        (empty array)
        "#,
    );
}
