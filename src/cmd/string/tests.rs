//! Dialogues with the string commands; the replies are those of redis-server 8.2.3, and of the documentation for what came later.

use crate::testing::{Playground, check, check_configured};

#[test]
fn set_takes_conditions_and_deadlines() {
    check(
        r#"
        > SET a 1
        OK
        > SET a 2 NX
        (nil)
        > SET a 2 XX GET
        "1"
        > SET b 1 XX
        (nil)
        > SET b 1 NX GET
        (nil)
        > SET a 3 EX 100
        OK
        > TTL a
        (integer) 100
        > SET a 4 KEEPTTL
        OK
        > TTL a
        (integer) 100
        > SET a 5 PX 1500 PX 2500
        OK
        > PTTL a
        (integer) 2500
        > SET a 6 EXAT 1767225700
        OK
        > TTL a
        (integer) 100
        > SET a 6 PXAT 1767225600500
        OK
        > PTTL a
        (integer) 500
        > SET a 7
        OK
        > TTL a
        (integer) -1
        > SET a 8 EXAT 1
        OK
        > GET a
        (nil)
        "#,
    );
}

#[test]
fn set_refuses() {
    check(
        r#"
        > SET a 1 NX XX
        (error) ERR syntax error
        > SET a 1 EX
        (error) ERR syntax error
        > SET a 1 EX 10 PX 10
        (error) ERR syntax error
        > SET a 1 EX 10 KEEPTTL
        (error) ERR syntax error
        > SET a 1 PERSIST
        (error) ERR syntax error
        > SET a 1 EX abc KEEP
        (error) ERR syntax error
        > SET a 1 EX abc
        (error) ERR value is not an integer or out of range
        > SET a 1 EX 0
        (error) ERR invalid expire time in 'set' command
        > SET a 1 PXAT -5
        (error) ERR invalid expire time in 'set' command
        > SET a 1 EX 9223372036854775
        (error) ERR invalid expire time in 'set' command
        > SET a 1 PX 9223372036854775807
        (error) ERR invalid expire time in 'set' command
        > GET a
        (nil)
        > LPUSH l x
        (integer) 1
        > SET l 1 GET
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        > SET l 1 NX
        (nil)
        > SET l 1 XX
        OK
        "#,
    );
}

#[test]
fn set_and_delex_compare() {
    check(
        r#"
        > SET a Hello
        OK
        > SET a x IFEQ other
        (nil)
        > SET a x IFEQ other GET
        "Hello"
        > SET a "Hello world" IFEQ Hello EX 100
        OK
        > DIGEST a
        "b6acb9d84a38ff74"
        > SET a x IFDNE B6ACB9D84A38FF74
        (nil)
        > SET a 12 IFDEQ b6acb9d84a38ff74 KEEPTTL
        OK
        > TTL a
        (integer) 100
        > SET a x IFDEQ 123
        (error) ERR must be exactly 16 hexadecimal characters
        > SET a x IFEQ 12 NX
        (error) ERR syntax error
        > SET a x IFEQ
        (error) ERR syntax error
        > SET b x IFEQ 12
        (nil)
        > SET b x IFDEQ 123
        (nil)
        > SET b x IFNE 12
        OK
        > DELEX a IFEQ 13
        (integer) 0
        > DELEX a IFEQ
        (error) ERR wrong number of arguments for 'delex' command
        > DELEX a EQ 12
        (error) ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE
        > DELEX a IFEQ 12
        (integer) 1
        > DELEX a IFDEQ 12
        (integer) 0
        > DELEX b
        (integer) 1
        > LPUSH l x
        (integer) 1
        > DELEX l IFNE y
        (error) ERR Key should be of string type if conditions are specified
        > SET l x IFNE y
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        > DIGEST l
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        > DIGEST nokey
        (nil)
        "#,
    );
}

#[test]
fn getex_and_its_kin() {
    check(
        r#"
        > GETEX nokey EX abc
        (nil)
        > SETEX a 100 x
        OK
        > PSETEX b 1500 y
        OK
        > PTTL b
        (integer) 1500
        > SETEX a 0 x
        (error) ERR invalid expire time in 'setex' command
        > GETEX a
        "x"
        > TTL a
        (integer) 100
        > GETEX a PERSIST
        "x"
        > TTL a
        (integer) -1
        > GETEX a PERSIST EX 10
        (error) ERR syntax error
        > GETEX a EX 0
        (error) ERR invalid expire time in 'getex' command
        > GETEX a PX 700
        "x"
        > PTTL a
        (integer) 700
        > GETEX a EXAT 1
        "x"
        > EXISTS a
        (integer) 0
        > GETDEL b
        "y"
        > GETDEL b
        (nil)
        > GETSET b 1
        (nil)
        > GETSET b 2
        "1"
        > SETNX b 3
        (integer) 0
        "#,
    );
}

#[test]
fn several_at_once() {
    check(
        r#"
        > MSET a 1 b 2 a 3
        OK
        > MSET a 1 b
        (error) ERR wrong number of arguments for 'mset' command
        > LPUSH l x
        (integer) 1
        > MGET a b c l
        1) "3"
        2) "2"
        3) (nil)
        4) (nil)
        > MSETNX c 1 a 2
        (integer) 0
        > MSETNX c 1 c 2
        (integer) 1
        > GET c
        "2"
        > MSETEX 2 a x d y NX EX 10
        (integer) 0
        > MSETEX 2 d x e y NX EX 10
        (integer) 1
        > TTL e
        (integer) 10
        > MSETEX 2 d x e y KEEPTTL XX
        (integer) 1
        > TTL e
        (integer) 10
        > MSETEX 0 a x
        (error) ERR invalid numkeys value
        > MSETEX 2 a x b
        (error) ERR wrong number of key-value pairs
        > MSETEX 1 a x GET
        (error) ERR syntax error
        > MSETEX 1 a x EX -1
        (error) ERR invalid expire time in 'msetex' command
        "#,
    );
}

#[test]
fn counting() {
    check(
        r#"
        > INCR n
        (integer) 1
        > INCRBY n 9223372036854775806
        (integer) 9223372036854775807
        > INCR n
        (error) ERR increment or decrement would overflow
        > DECRBY n -9223372036854775808
        (error) ERR decrement would overflow
        > DECR n
        (integer) 9223372036854775806
        > SET s abc
        OK
        > INCR s
        (error) ERR value is not an integer or out of range
        > INCRBYFLOAT s 1
        (error) ERR value is not a valid float
        > LPUSH l x
        (integer) 1
        > INCR l
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        > SET f 0.1 EX 10
        OK
        > INCRBYFLOAT f 0.2
        "0.3"
        > TTL f
        (integer) 10
        > INCRBYFLOAT f inf
        (error) ERR increment would produce NaN or Infinity
        > INCR m
        (integer) 1
        > PEXPIRE m 100
        (integer) 1
        ~ 200
        > INCR m
        (integer) 1
        > TTL m
        (integer) -1
        "#,
    );
}

#[test]
fn parts_of_strings() {
    check_configured(
        &[("proto-max-bulk-len", "1mb")],
        r#"
        > APPEND a Hello
        (integer) 5
        > APPEND a " World"
        (integer) 11
        > STRLEN a
        (integer) 11
        > GETRANGE a -5 -1
        "World"
        > SUBSTR a 0 4
        "Hello"
        > GETRANGE a -1 -5
        ""
        > GETRANGE a -100 100
        "Hello World"
        > GETRANGE a 11 20
        ""
        > SETRANGE a 6 Redis
        (integer) 11
        > SETRANGE a 12 !
        (integer) 13
        > GET a
        "Hello Redis\x00!"
        > SETRANGE nokey 5 ""
        (integer) 0
        > SETRANGE a -1 x
        (error) ERR offset is out of range
        > SETRANGE a 1048576 x
        (error) ERR string exceeds maximum allowed size (proto-max-bulk-len)
        > SETRANGE a 9223372036854775807 x
        (error) ERR string exceeds maximum allowed size (proto-max-bulk-len)
        > SETRANGE big 1048575 x
        (integer) 1048576
        > APPEND big x
        (error) ERR string exceeds maximum allowed size (proto-max-bulk-len)
        > GETRANGE big 1048574 -1
        "\x00x"
        > LCS big a
        (error) ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len
        "#,
    );
}

#[test]
fn common_subsequences() {
    check(
        r#"
        > MSET a ohmytext b mynewtext
        OK
        > LCS a b
        "mytext"
        > LCS a b LEN
        (integer) 6
        > LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN
        1) "matches"
        2) 1) 1) 1) (integer) 4
                 2) (integer) 7
              2) 1) (integer) 5
                 2) (integer) 8
              3) (integer) 4
        3) "len"
        4) (integer) 6
        > LCS a nokey
        ""
        > LCS a b LEN IDX
        (error) ERR If you want both the length and indexes, please just use IDX.
        > LCS a b MINMATCHLEN
        (error) ERR syntax error
        > LPUSH l x
        (integer) 1
        > LCS a l
        (error) ERR The specified keys must contain string values
        "#,
    );
}

#[test]
fn encodings_are_those_that_redis_tells() {
    check(
        r#"
        > SET k 12
        OK
        > OBJECT ENCODING k
        "int"
        > APPEND k 3
        (integer) 3
        > OBJECT ENCODING k
        "raw"
        > INCR k
        (integer) 124
        > OBJECT ENCODING k
        "int"
        > INCRBYFLOAT k 1
        "125"
        > OBJECT ENCODING k
        "embstr"
        > SET k xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
        OK
        > OBJECT ENCODING k
        "embstr"
        > EXPIRE k 100
        (integer) 1
        > PERSIST k
        (integer) 1
        > OBJECT ENCODING k
        "raw"
        > SET k xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
        OK
        > OBJECT ENCODING k
        "raw"
        > APPEND new 1
        (integer) 1
        > OBJECT ENCODING new
        "int"
        > SETRANGE fresh 0 abc
        (integer) 3
        > COPY fresh other
        (integer) 1
        > OBJECT ENCODING other
        "raw"
        "#,
    );
}

#[test]
fn a_string_that_is_built_survives_being_shared() {
    let mut playground = Playground::default();
    let long = "x".repeat(40_000);
    playground.run("", ["SET", "a", &long].iter());
    playground.run("", ["COPY", "a", "b"].iter());
    playground.run("", ["SETRANGE", "a", "0", "y"].iter());
    playground.run("", ["APPEND", "b", "z"].iter());
    let got = String::from_utf8(playground.run("", ["GET", "a"].iter())).expect("ASCII");
    assert!(got.starts_with("$40000\r\nyxx") && got.ends_with("xx\r\n"));
    let got = String::from_utf8(playground.run("", ["GET", "b"].iter())).expect("ASCII");
    assert!(got.starts_with("$40001\r\nxxx") && got.ends_with("xz\r\n"));
}

#[test]
fn the_journal_needs_no_clock_and_no_condition() {
    let mut playground = Playground::default();
    let mut journaled = |line: &str| {
        playground.run("", line.split(' '));
        let bytes = String::from_utf8(playground.server.journal.take()).expect("ASCII");
        let words = bytes.split("\r\n").filter(|word| !word.is_empty() && !word.starts_with(['*', '$']));
        words.collect::<Vec<_>>().join(" ")
    };
    for (request, expected) in [
        ("SET a 1", "SELECT 0 SET a 1"),
        ("SET a 2 EX 100", "SET a 2 PXAT 1767225700000"),
        ("SET a 3 KEEPTTL GET", "SET a 3 KEEPTTL"),
        ("SET a 4 IFEQ 3", "SET a 4"),
        ("SET a 5 NX", ""),
        ("SETEX a 100 x", "SET a x PXAT 1767225700000"),
        ("MSETEX 2 a 1 b 2 PX 5", "SET a 1 PXAT 1767225600005 SET b 2 PXAT 1767225600005"),
        ("GETEX a EX 100", "PEXPIREAT a 1767225700000"),
        ("GETEX a PERSIST", "PERSIST a"),
        ("GETEX a PERSIST", ""),
        ("INCRBYFLOAT a 1.5", "SET a 2.5 KEEPTTL"),
        ("GETSET a 1", "SET a 1"),
        ("EXPIRE a 100 NX", "PEXPIREAT a 1767225700000"),
        ("EXPIRE a -1", "DEL a"),
        ("GETDEL b", "DEL b"),
        ("DELEX b", ""),
    ] {
        assert_eq!(journaled(request), expected, "{request}");
    }
}
