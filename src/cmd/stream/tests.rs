//! Dialogues in stream commands; replies are what redis-server 8.2.3 gives, except where a later version is named.

use crate::config::Config;
use crate::testing::{Playground, check, check_replay, show};
use proptest::prelude::*;

#[test]
fn entries_are_added_read_and_deleted() {
    check(
        r#"
        > XADD s NOMKSTREAM 1-1 a b
        (nil)
        > XADD s 1-1 a 1
        "1-1"
        > XADD s 1-* a 2 b 3
        "1-2"
        > XADD s * a now
        "1767225600000-0"
        > XADD s * a now
        "1767225600000-1"
        > XADD s 1-2 a b
        (error) ERR The ID specified in XADD is equal or smaller than the target stream top item
        > XADD s 0-0 a b
        (error) ERR The ID specified in XADD must be greater than 0-0
        > XADD s * a
        (error) ERR wrong number of arguments for 'xadd' command
        > XADD s * a b c
        (error) ERR wrong number of arguments for 'xadd' command
        > XADD s KEEPREF KEEPREF * a
        (error) ERR Invalid stream ID specified as stream command argument
        > XLEN s
        (integer) 4
        > XRANGE s - (1-2
        1) 1) "1-1"
           2) 1) "a"
              2) "1"
        > XREVRANGE s (1767225600000-0 - COUNT 1
        1) 1) "1-2"
           2) 1) "a"
              2) "2"
              3) "b"
              4) "3"
        > XRANGE s - + COUNT 0
        (nil)
        > XRANGE none - + COUNT 0
        (empty array)
        > XRANGE s (18446744073709551615-18446744073709551615 +
        (error) ERR invalid start ID for the interval
        > XDEL s 1-1 1-1 9-9
        (integer) 1
        > XDEL s 1-2 x
        (error) ERR Invalid stream ID specified as stream command argument
        > XLEN s
        (integer) 3
        > XTRIM s MAXLEN 1
        (integer) 2
        > XTRIM s MAXLEN ~ 0 LIMIT 0
        (integer) 1
        > TYPE s
        stream
        > OBJECT ENCODING s
        "stream"
        "#,
    );
}

#[test]
fn trimming_clauses_are_refused_in_redis_words() {
    check(
        r#"
        > XADD s MAXLEN -1 * a b
        (error) ERR The MAXLEN argument must be >= 0.
        > XADD s MAXLEN ~ 5 LIMIT -1 * a b
        (error) ERR The LIMIT argument must be >= 0.
        > XADD s MAXLEN 5 LIMIT 1 * a b
        (error) ERR syntax error, LIMIT cannot be used without the special ~ option
        > XADD s LIMIT 1 * a b
        (error) ERR syntax error, LIMIT cannot be used without specifying a trimming strategy
        > XADD s MAXLEN 5 MINID 5 * a b
        (error) ERR syntax error, MAXLEN and MINID options at the same time are not compatible
        > XTRIM s MINID x ACKED
        (error) ERR Invalid stream ID specified as stream command argument
        > EXISTS s
        (integer) 0
        "#,
    );
}

#[test]
fn deletion_asks_groups() {
    check(
        r#"
        > XADD s 1-0 a b
        "1-0"
        > XADD s 2-0 a b
        "2-0"
        > XGROUP CREATE s g 0
        OK
        > XREADGROUP GROUP g c COUNT 1 STREAMS s >
        1) 1) "s"
           2) 1) 1) "1-0"
                 2) 1) "a"
                    2) "b"
        > XDELEX s ACKED IDS 3 1-0 2-0 9-0
        1) (integer) 2
        2) (integer) 2
        3) (integer) 2
        > XACKDEL s g ACKED IDS 2 1-0 2-0
        1) (integer) 1
        2) (integer) -1
        > XDELEX s IDS 2 2-0 2-0
        1) (integer) 1
        2) (integer) -1
        > XDELEX s IDS 2 2-0
        (error) ERR The `numids` parameter must match the number of arguments
        > XDELEX s IDS 0 2-0
        (error) ERR Number of IDs must be a positive integer
        > XPENDING s g
        1) (integer) 0
        2) (nil)
        3) (nil)
        4) (nil)
        "#,
    );
}

#[test]
fn groups_read_acknowledge_and_claim() {
    check(
        r#"
        > XGROUP CREATE s g $
        (error) ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.
        > XGROUP CREATE s g 0 ENTRIESREAD 0 ENTRIESREAD 0
        (error) ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.
        > XGROUP CREATE s g 0 MKSTREAM MKSTREAM MKSTREAM MKSTREAM
        (error) ERR unknown subcommand or wrong number of arguments for 'CREATE'. Try XGROUP HELP.
        > XGROUP CREATE s g bad MKSTREAM
        (error) ERR Invalid stream ID specified as stream command argument
        > EXISTS s
        (integer) 0
        > XGROUP CREATE s g $ MKSTREAM
        OK
        > XGROUP CREATE s g $
        (error) BUSYGROUP Consumer Group name already exists
        > XADD s 1-0 a b
        "1-0"
        > XADD s 2-0 a b
        "2-0"
        > XREADGROUP GROUP g alice STREAMS s >
        1) 1) "s"
           2) 1) 1) "1-0"
                 2) 1) "a"
                    2) "b"
              2) 1) "2-0"
                 2) 1) "a"
                    2) "b"
        > XREADGROUP GROUP g alice STREAMS s >
        (nil)
        > XDEL s 1-0
        (integer) 1
        ~ 1000
        > XREADGROUP GROUP g alice STREAMS s 0
        1) 1) "s"
           2) 1) 1) "1-0"
                 2) (nil)
              2) 1) "2-0"
                 2) 1) "a"
                    2) "b"
        > XPENDING s g IDLE 500 - + 10
        1) 1) "1-0"
           2) "alice"
           3) (integer) 1000
           4) (integer) 1
        > XAUTOCLAIM s g bob 0 0
        1) "0-0"
        2) 1) 1) "2-0"
              2) 1) "a"
                 2) "b"
        3) 1) "1-0"
        > XCLAIM s g carol 0 2-0 RETRYCOUNT 7 JUSTID
        1) "2-0"
        > XPENDING s g
        1) (integer) 1
        2) "2-0"
        3) "2-0"
        4) 1) 1) "carol"
              2) "1"
        > XCLAIM s g carol 0 2-0 NONSENSE
        (error) ERR Unrecognized XCLAIM option 'NONSENSE'
        > XACK s g 2-0 2-0
        (integer) 1
        > XGROUP DELCONSUMER s g carol
        (integer) 0
        > XREADGROUP GROUP none c STREAMS s >
        (error) NOGROUP No such key 's' or consumer group 'none' in XREADGROUP with GROUP option
        > XGROUP DESTROY s g
        (integer) 1
        > XPENDING s g
        (error) NOGROUP No such key 's' or consumer group 'g'
        "#,
    );
}

#[test]
fn a_lag_is_exact_whatever_was_deleted() {
    check(
        r#"
        > XADD s 1-0 a b
        "1-0"
        > XADD s 2-0 a b
        "2-0"
        > XADD s 3-0 a b
        "3-0"
        > XGROUP CREATE s g 1-0
        OK
        > XDEL s 2-0
        (integer) 1
        > XINFO GROUPS s
        1)  1) "name"
            2) "g"
            3) "consumers"
            4) (integer) 0
            5) "pending"
            6) (integer) 0
            7) "last-delivered-id"
            8) "1-0"
            9) "entries-read"
           10) (nil)
           11) "lag"
           12) (integer) 1
        "#,
    );
}

#[test]
fn readers_wait_for_what_comes_after_they_began() {
    check(
        r#"
        > XADD s 1-0 a b
        "1-0"
        b> XREAD BLOCK 0 STREAMS s none $ $
        c> XREAD BLOCK 0 STREAMS s +
        1) 1) "s"
           2) 1) 1) "1-0"
                 2) 1) "a"
                    2) "b"
        > MULTI
        OK
        > XADD s 2-0 a b
        QUEUED
        > XADD s 2-1 a b
        QUEUED
        > EXEC
        1) "2-0"
        2) "2-1"
        b<
        1) 1) "s"
           2) 1) 1) "2-0"
                 2) 1) "a"
                    2) "b"
              2) 1) "2-1"
                 2) 1) "a"
                    2) "b"
        b> XREAD BLOCK 10 STREAMS s $
        ~ 10
        b<
        (nil)
        b> XREAD BLOCK 0 STREAMS s $
        > SET s x
        OK
        b<
        > DEL s
        (integer) 1
        > XADD s 9-0 a b
        "9-0"
        b<
        1) 1) "s"
           2) 1) 1) "9-0"
                 2) 1) "a"
                    2) "b"
        "#,
    );
}

#[test]
fn waiting_consumers_are_woken_in_order_and_told_of_losses() {
    check(
        r#"
        > XGROUP CREATE s g $ MKSTREAM
        OK
        b> XREADGROUP GROUP g b COUNT 1 BLOCK 0 STREAMS s >
        c> XREADGROUP GROUP g c COUNT 1 BLOCK 0 STREAMS s >
        d> XREADGROUP GROUP g d COUNT 1 BLOCK 0 STREAMS s >
        > XADD s 1-0 a b
        "1-0"
        b<
        1) 1) "s"
           2) 1) 1) "1-0"
                 2) 1) "a"
                    2) "b"
        c<
        > SET s x
        OK
        c<
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        d<
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        > DEL s
        (integer) 1
        > XGROUP CREATE s g $ MKSTREAM
        OK
        b> XREADGROUP GROUP g b BLOCK 0 STREAMS s >
        > XGROUP DESTROY s g
        (integer) 1
        b<
        (error) NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option
        > XGROUP CREATE s g $
        OK
        b> XREADGROUP GROUP g b BLOCK 0 STREAMS s >
        > DEL s
        (integer) 1
        b<
        (error) NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option
        "#,
    );
}

/// Redis 8.4.
#[test]
fn readers_with_claim_take_what_lies_idle() {
    check(
        r#"
        > XADD s 1-0 a b
        "1-0"
        > XADD s 2-0 a b
        "2-0"
        > XGROUP CREATE s g 0
        OK
        > XREADGROUP GROUP g a COUNT 1 STREAMS s >
        1) 1) "s"
           2) 1) 1) "1-0"
                 2) 1) "a"
                    2) "b"
        ~ 100
        > XREADGROUP GROUP g b CLAIM 100 STREAMS s >
        1) 1) "s"
           2) 1) 1) "1-0"
                 2) 1) "a"
                    2) "b"
                 3) (integer) 100
                 4) (integer) 1
              2) 1) "2-0"
                 2) 1) "a"
                    2) "b"
                 3) (integer) 0
                 4) (integer) 0
        c> XREADGROUP GROUP g c COUNT 1 CLAIM 50 BLOCK 0 STREAMS s >
        d> XREADGROUP GROUP g d COUNT 1 CLAIM 50 BLOCK 0 STREAMS s >
        ~ 49
        c<
        ~ 1
        c<
        1) 1) "s"
           2) 1) 1) "1-0"
                 2) 1) "a"
                    2) "b"
                 3) (integer) 50
                 4) (integer) 2
        d<
        1) 1) "s"
           2) 1) 1) "2-0"
                 2) 1) "a"
                    2) "b"
                 3) (integer) 50
                 4) (integer) 1
        e> XREADGROUP GROUP g e CLAIM 1000 BLOCK 500 STREAMS s >
        > XNACK s g FATAL IDS 2 2-0 7-0
        (integer) 1
        e<
        1) 1) "s"
           2) 1) 1) "2-0"
                 2) 1) "a"
                    2) "b"
                 3) (integer) -1
                 4) (integer) 9223372036854775807
        e> XREADGROUP GROUP g e CLAIM 1000 BLOCK 500 STREAMS s >
        ~ 500
        e<
        (nil)
        "#,
    );
}

/// Redis 8.8.
#[test]
fn entries_can_be_given_back() {
    check(
        r#"
        > XADD s 1-0 a b
        "1-0"
        > XGROUP CREATE s g 0
        OK
        > XREADGROUP GROUP g a STREAMS s >
        1) 1) "s"
           2) 1) 1) "1-0"
                 2) 1) "a"
                    2) "b"
        > XNACK s g SILENT IDS 1 1-0
        (integer) 1
        > XPENDING s g - + 10
        1) 1) "1-0"
           2) ""
           3) (integer) -1
           4) (integer) 0
        > XNACK s g FAIL IDS 1 1-0 RETRYCOUNT 5
        (integer) 1
        > XPENDING s g - + 10
        1) 1) "1-0"
           2) ""
           3) (integer) -1
           4) (integer) 5
        > XNACK s g NO IDS 1 1-0
        (error) ERR mode must be SILENT, FAIL, or FATAL
        > XNACK s g FAIL NO IDS 1 1-0
        (error) ERR Unrecognized XNACK option 'NO'
        > XNACK s g FAIL IDS 1 1-0 RETRYCOUNT
        (error) ERR Unrecognized XNACK option 'RETRYCOUNT'
        > XNACK s g FAIL IDS 1 1-0 RETRYCOUNT x
        (error) ERR value is not an integer or out of range
        > XNACK s g FAIL IDS 1 1-0 RETRYCOUNT -1
        (error) ERR Invalid RETRYCOUNT value, must be >= 0
        > XNACK s g FAIL FORCE RETRYCOUNT 5
        (error) ERR syntax error, expected IDS keyword
        > XNACK s g FAIL IDS 0 1-0
        (error) ERR numids must be a positive integer
        > XNACK s g FAIL IDS 2 1-0
        (error) ERR number of IDs doesn't match numids
        > XNACK s g FAIL IDS 1 1-
        (error) ERR Invalid stream ID specified as stream command argument
        > XNACK s none FAIL IDS 1 1-0
        (error) NOGROUP No such key 's' or consumer group 'none'
        > XACK s g 1-0
        (integer) 1
        > XNACK s g FAIL IDS 1 1-0
        (integer) 0
        > XNACK s g FAIL FORCE IDS 1 1-0
        (integer) 1
        "#,
    );
}

/// First released is first claimed; who is released again goes to the end of the line.
#[test]
fn what_was_given_back_waits_in_line() {
    check(
        r#"
        > XADD s 1-0 a b
        "1-0"
        > XADD s 2-0 a b
        "2-0"
        > XADD s 3-0 a b
        "3-0"
        > XGROUP CREATE s g 0
        OK
        > XNACK s g FAIL IDS 2 3-0 1-0 FORCE
        (integer) 2
        > XNACK s g FAIL IDS 1 3-0
        (integer) 1
        > XREADGROUP GROUP g a COUNT 3 CLAIM 5 STREAMS s >
        1) 1) "s"
           2) 1) 1) "1-0"
                 2) 1) "a"
                    2) "b"
                 3) (integer) -1
                 4) (integer) 0
              2) 1) "3-0"
                 2) 1) "a"
                    2) "b"
                 3) (integer) -1
                 4) (integer) 0
              3) 1) "1-0"
                 2) 1) "a"
                    2) "b"
                 3) (integer) 0
                 4) (integer) 0
        > XGROUP CREATE s h 0 MKSTREAM MKSTREAM ENTRIESREAD 1
        (error) ERR unknown subcommand or wrong number of arguments for 'CREATE'. Try XGROUP HELP.
        > XGROUP SETID s g 0 ENTRIESREAD 1 ENTRIESREAD x
        (error) ERR value is not an integer or out of range
        > XADD s LIMIT 0 4-1 a b
        (error) ERR syntax error, LIMIT cannot be used without the special ~ option
        > XTRIM s LIMIT 0
        (error) ERR syntax error, XTRIM must be called with a trimming strategy
        > XREAD CLAIM 5 STREAMS s 0
        (error) ERR The CLAIM option is only supported by XREADGROUP. You called XREAD instead.
        "#,
    );
}

/// Redis 8.6.
#[test]
fn a_message_said_twice_is_one_entry() {
    check(
        r#"
        > XADD s IDMP p 1 * a b
        "1767225600000-0"
        > XADD s IDMP p 1 * a c
        "1767225600000-0"
        > XADD s IDMP q 1 * a c
        "1767225600000-1"
        > XADD s IDMPAUTO p * a b
        "1767225600000-2"
        > XADD s IDMPAUTO p * a b
        "1767225600000-2"
        > XDEL s 1767225600000-0
        (integer) 1
        > XADD s IDMP p 1 * a b
        "1767225600000-0"
        > XADD s IDMP p 2 5-5 a b
        (error) ERR IDMP/IDMPAUTO can be used only with auto-generated IDs
        > XLEN s
        (integer) 2
        > XCFGSET s IDMP-DURATION 0
        (error) ERR IDMP-DURATION must be between 1 and 86400 seconds
        > XCFGSET s IDMP-MAXSIZE 10001
        (error) ERR IDMP-MAXSIZE must be between 1 and 10000 entries
        > XCFGSET s IDMP-MAXSIZE x
        (error) ERR value is not an integer or out of range
        > XCFGSET s
        (error) ERR At least one parameter must be specified
        > XADD s IDMP p 1 IDMPAUTO p * a b
        (error) ERR IDMP/IDMPAUTO specified multiple times
        > XADD s IDMP "" 1 * a b
        (error) ERR IDMP requires a non-empty producer ID
        > XADD s IDMPAUTO "" * a b
        (error) ERR IDMPAUTO requires a non-empty producer ID
        > XADD s IDMP p "" * a b
        (error) ERR IDMP requires a non-empty idempotent ID
        > XADD s IDMP p 1 * a
        (error) ERR wrong number of arguments for 'xadd' command
        > XADD s IDMPAUTO order * a 1 b 2
        "1767225600000-3"
        > XADD s IDMPAUTO order * b 2 a 1
        "1767225600000-3"
        > XADD s IDMPAUTO order * a 2 b 1
        "1767225600000-4"
        > XCFGSET none IDMP-DURATION 1
        (error) ERR no such key
        > XCFGSET s IDMP-DURATION 1
        OK
        > XADD s IDMP p 1 * a b
        "1767225600000-5"
        ~ 1000
        > XADD s IDMP p 1 * a b
        "1767225601000-0"
        "#,
    );
}

/// Redis 8.10.
#[test]
fn a_reply_has_a_bound_over_all_streams() {
    check(
        r#"
        > XADD s 1-0 a b
        "1-0"
        > XADD s 2-0 a b
        "2-0"
        > XADD t 3-0 a b
        "3-0"
        > XREAD COUNT 1 MAXCOUNT 1 STREAMS s t 0 0
        1) 1) "s"
           2) 1) 1) "1-0"
                 2) 1) "a"
                    2) "b"
        > XREAD MAXSIZE 1 STREAMS none s t 0 1-0 0
        1) 1) "s"
           2) 1) 1) "2-0"
                 2) 1) "a"
                    2) "b"
        > XREAD COUNT 2 MAXCOUNT 1 STREAMS s 0
        (error) ERR MAXCOUNT must be greater than or equal to COUNT
        > XREAD MAXCOUNT 0 STREAMS s 0
        (error) ERR MAXCOUNT must be > 0
        > XGROUP CREATE s g 0
        OK
        > XGROUP CREATE t g 0
        OK
        > XREADGROUP GROUP g c MAXCOUNT 1 STREAMS t s > >
        1) 1) "t"
           2) 1) 1) "3-0"
                 2) 1) "a"
                    2) "b"
        > XPENDING s g
        1) (integer) 0
        2) (nil)
        3) (nil)
        4) (nil)
        "#,
    );
}

#[test]
fn the_three_protocols_of_shapes() {
    check(
        r#"
        > HELLO 3
        1# "server" => "redis"
        2# "version" => "8.2.0"
        3# "proto" => (integer) 3
        4# "id" => (integer) 1
        5# "mode" => "standalone"
        6# "role" => "master"
        7# "modules" => (empty array)
        > XADD s 1-0 a b
        "1-0"
        > XREAD STREAMS s 0
        1# "s" => 1) 1) "1-0"
              2) 1) "a"
                 2) "b"
        > XREAD STREAMS s 1-0
        (nil)
        > XINFO STREAM s
         1# "length" => (integer) 1
         2# "radix-tree-keys" => (integer) 1
         3# "radix-tree-nodes" => (integer) 2
         4# "last-generated-id" => "1-0"
         5# "max-deleted-entry-id" => "0-0"
         6# "entries-added" => (integer) 1
         7# "recorded-first-entry-id" => "1-0"
         8# "groups" => (integer) 0
         9# "first-entry" => 1) "1-0"
            2) 1) "a"
               2) "b"
        10# "last-entry" => 1) "1-0"
            2) 1) "a"
               2) "b"
        "#,
    );
}

/// What the journal carries: nothing in it asks the clock.
#[test]
fn the_journal_names_ids_times_and_counts() {
    let mut playground = Playground::default();
    let mut journal = |line: &str| {
        playground.run("", line.split(' '));
        String::from_utf8(playground.server.journal.take())
            .unwrap()
            .split("\r\n")
            .filter(|word| !word.is_empty() && !word.starts_with(['*', '$']))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(journal("XADD s * a b"), "SELECT 0 XADD s 1767225600000-0 a b");
    assert_eq!(journal("XADD s MAXLEN ~ 9 * a b"), "XADD s 1767225600000-1 a b");
    assert_eq!(journal("XADD s MAXLEN 2 7-* a b"), "");
    assert_eq!(journal("XADD s MAXLEN 2 1767225600000-* a b"), "XADD s MAXLEN = 2 1767225600000-2 a b");
    assert_eq!(journal("XGROUP CREATE s g 0"), "XGROUP CREATE s g 0");
    assert_eq!(
        journal("XREADGROUP GROUP g c COUNT 1 STREAMS s >"),
        "XGROUP CREATECONSUMER s g c \
         XCLAIM s g c 0 1767225600000-1 TIME 1767225600000 RETRYCOUNT 1 FORCE JUSTID LASTID 1767225600000-1 \
         XGROUP SETID s g 1767225600000-1 ENTRIESREAD 2"
    );
    assert_eq!(journal("XREADGROUP GROUP g c NOACK STREAMS s >"), "XGROUP SETID s g 1767225600000-2 ENTRIESREAD 3");
    assert_eq!(
        journal("XREADGROUP GROUP g c STREAMS s 0"),
        "XCLAIM s g c 0 1767225600000-1 TIME 1767225600000 RETRYCOUNT 2 FORCE JUSTID"
    );
    assert_eq!(
        journal("XAUTOCLAIM s g c 0 0 JUSTID"),
        "XCLAIM s g c 0 1767225600000-1 TIME 1767225600000 RETRYCOUNT 2 FORCE JUSTID"
    );
    assert_eq!(journal("XAUTOCLAIM s g c 5 0 JUSTID"), "");
    assert_eq!(
        journal("XADD s IDMP p m MAXLEN 0 * a b"),
        "XADD s 1767225600000-3 a b XIDMPRECORD s p m 1767225600000-3 XTRIM s MAXLEN = 0"
    );
    assert_eq!(journal("XADD s IDMP p m * a b"), "");
    assert_eq!(journal("XAUTOCLAIM s g d 0 0"), "XGROUP CREATECONSUMER s g d XACK s g 1767225600000-1");
}

#[test]
fn ids_may_go_on_below_those_of_trimmed_entries() {
    let mut playground = Playground::default();
    let mut run = |line: &str| {
        let reply = String::from_utf8(playground.run("", line.split(' '))).unwrap();
        playground.server.keyspace.check();
        reply
    };
    for line in ["XADD s 1-0 a 1", "XADD s 2-0 a 2", "XADD s 3-0 b 3", "XGROUP CREATE s g 0"] {
        run(line);
    }
    run("XREADGROUP GROUP g c STREAMS s >");
    run("XACK s g 2-0 3-0");
    assert_eq!(run("XTRIM s MAXLEN 0 ACKED"), ":2\r\n");
    assert_eq!(run("XSETID s 1-5"), "+OK\r\n");
    assert_eq!(run("XADD s 2-0 c 4"), "$3\r\n2-0\r\n");
    assert_eq!(run("XRANGE s - +").matches("-0\r\n").count(), 2);
}

/// Commands that meet: few keys, groups, consumers and ids.
fn command() -> impl Strategy<Value = String> {
    const FORMS: &[&str] = &[
        "XADD K * f V",
        "XADD K * f V g V",
        "XADD K N-* f V",
        "XADD K MAXLEN N * f V",
        "XADD K MAXLEN ~ N * f V",
        "XADD K DELREF MAXLEN ~ N * f V",
        "XADD K ACKED MAXLEN N * f V",
        "XADD K MINID ~ I * f V",
        "XADD K IDMP G N * f V",
        "XADD K IDMPAUTO G * f V",
        "XADD K IDMP G N MAXLEN N * f V",
        "XCFGSET K IDMP-MAXSIZE M",
        "XTRIM K MAXLEN N",
        "XTRIM K MAXLEN ~ N LIMIT N",
        "XTRIM K MAXLEN N ACKED",
        "XTRIM K MAXLEN N DELREF",
        "XDEL K I I",
        "XDELEX K DELREF IDS 2 I I",
        "XDELEX K ACKED IDS 2 I I",
        "XSETID K I",
        "XGROUP CREATE K G 0 MKSTREAM",
        "XGROUP CREATE K G $",
        "XGROUP SETID K G I ENTRIESREAD N",
        "XGROUP DESTROY K G",
        "XGROUP CREATECONSUMER K G C",
        "XGROUP DELCONSUMER K G C",
        "XREADGROUP GROUP G C COUNT M STREAMS K >",
        "XREADGROUP GROUP G C COUNT M STREAMS K >",
        "XREADGROUP GROUP G C COUNT M BLOCK 100 STREAMS K >",
        "XREADGROUP GROUP G C NOACK COUNT M STREAMS K >",
        "XREADGROUP GROUP G C CLAIM N COUNT M STREAMS K K > >",
        "XREADGROUP GROUP G C CLAIM N BLOCK 100 STREAMS K >",
        "XREADGROUP GROUP G C MAXCOUNT M STREAMS K K > 0",
        "XREADGROUP GROUP G C STREAMS K 0",
        "XACK K G I I",
        "XACKDEL K G ACKED IDS 2 I I",
        "XNACK K G SILENT IDS 2 I I",
        "XNACK K G FATAL IDS 1 I FORCE",
        "XCLAIM K G C 0 I I FORCE",
        "XCLAIM K G C N I I IDLE N",
        "XCLAIM K G C 0 I LASTID I",
        "XAUTOCLAIM K G C N 0 COUNT M",
        "XAUTOCLAIM K G C 0 I JUSTID",
        "DEL K",
        "WAIT",
    ];
    // The clock moves a little between commands, so these ids are near those that `*` gives.
    let id = (0..60u64, 0..2u64).prop_map(|(ms, seq)| format!("{}-{seq}", 1_767_225_600_000 + ms));
    let filling = (0..2usize, 0..2usize, 0..3usize, 0..12u64, 1..4u64, prop::collection::vec(id, 3), 0..4usize);
    (0..FORMS.len(), filling).prop_map(|(form, (key, group, consumer, number, more, ids, value))| {
        let mut ids = ids.iter().cycle();
        let words = FORMS[form].split(' ').map(|word| match word {
            "K" => format!("k{key}"),
            "G" => format!("g{group}"),
            "C" => format!("c{consumer}"),
            "N" => number.to_string(),
            "N-*" => format!("{}-*", 1_767_225_600_000 + number),
            "M" => more.to_string(),
            "I" => ids.next().cloned().unwrap_or_default(),
            "V" => "v".repeat(value),
            word => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]
    #[test]
    fn the_journal_rebuilds_streams_with_their_groups(
        commands in prop::collection::vec(command(), 1..120),
        nodes in 1..5u32,
    ) {
        let mut config = Config::default();
        config.set(&[(b"stream-node-max-entries", nodes.to_string().as_bytes())], true).expect("the directive exists");
        let mut playground = Playground::new(config.clone(), 3);
        for (index, line) in commands.iter().enumerate() {
            let client = ["a", "b", "c"][index % 3];
            let id = playground.client(client);
            if line == "WAIT" || playground.server.sessions.get(id).is_held() {
                playground.advance(7);
                continue;
            }
            playground.run(client, line.split(' '));
            playground.server.keyspace.check();
            if index % 4 == 0 {
                playground.advance(1);
            }
        }
        playground.advance(1000);
        let mut said = String::new();
        for client in ["a", "b", "c"] {
            show(&playground.received(client), &mut said);
        }
        check_replay(config, playground);
    }
}
