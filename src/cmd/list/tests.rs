use crate::testing::{Playground, check, check_configured};

#[test]
fn pushing_and_popping() {
    check(
        r#"
        > RPUSH l a b
        (integer) 2
        > LPUSH l x y
        (integer) 4
        > LRANGE l 0 -1
        1) "y"
        2) "x"
        3) "a"
        4) "b"
        > LPUSHX l 1
        (integer) 5
        > RPUSHX nokey 1
        (integer) 0
        > LPOP l
        "1"
        > RPOP l 2
        1) "b"
        2) "a"
        > LPOP l 0
        (empty array)
        > LPOP l 10
        1) "y"
        2) "x"
        > LLEN l
        (integer) 0
        > LPOP l
        (nil)
        > LPOP l 0
        (nil)
        > RPUSH m 1
        (integer) 1
        > RPOP m 5
        1) "1"
        > LLEN m
        (integer) 0
        > LPOP l -1
        (error) ERR value is out of range, must be positive
        > LPOP l x
        (error) ERR value is out of range, must be positive
        > LPOP l 1 2
        (error) ERR wrong number of arguments for 'lpop' command
        > SET s x
        OK
        > RPOP s
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        > RPUSHX s x
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        > LLEN s
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        > LLEN nokey
        (integer) 0
        "#,
    );
}

#[test]
fn a_list_that_loses_nothing_keeps_its_encoding() {
    check_configured(
        &[("list-max-listpack-size", "0")],
        r#"
        > RPUSH l 1
        (integer) 1
        > LSET l -5 foo
        (error) ERR index out of range
        > OBJECT ENCODING l
        "quicklist"
        > CONFIG SET list-max-listpack-size 7
        OK
        > LREM l 5 300
        (integer) 0
        > OBJECT ENCODING l
        "quicklist"
        > LTRIM l 0 -1
        OK
        > OBJECT ENCODING l
        "listpack"
        "#,
    );
}

#[test]
fn looking_and_changing_by_index() {
    for size in ["-2", "2"] {
        check_configured(
            &[("list-max-listpack-size", size)],
            r#"
            > RPUSH l a b c d e
            (integer) 5
            > LINDEX l -1
            "e"
            > LINDEX l 5
            (nil)
            > LINDEX l x
            (error) ERR value is not an integer or out of range
            > LINDEX nokey x
            (nil)
            > LSET nokey x y
            (error) ERR no such key
            > LSET l x y
            (error) ERR value is not an integer or out of range
            > LSET l 5 y
            (error) ERR index out of range
            > LSET l -2 7
            OK
            > LSET l 4294967295 e
            OK
            > LRANGE l 1 -2
            1) "b"
            2) "c"
            3) "7"
            > LRANGE l 3 1
            (empty array)
            > LRANGE nokey 0 x
            (error) ERR value is not an integer or out of range
            > LINSERT l BEFORE 7 six
            (integer) 6
            > LINSERT l after e f
            (integer) 7
            > LINSERT l AFTER zz f
            (integer) -1
            > LINSERT nokey AFTER zz f
            (integer) 0
            > LINSERT nokey BESIDE zz f
            (error) ERR syntax error
            > LTRIM l 1 -2
            OK
            > LRANGE l 0 -1
            1) "b"
            2) "c"
            3) "six"
            4) "7"
            5) "e"
            > LTRIM l 3 1
            OK
            > LLEN l
            (integer) 0
            "#,
        );
    }
}

#[test]
fn equal_elements() {
    check(
        r#"
        > RPUSH l a b c 1 2 3 c c
        (integer) 8
        > LPOS l c
        (integer) 2
        > LPOS l c RANK -1
        (integer) 7
        > LPOS l c COUNT 0 RANK 2
        1) (integer) 6
        2) (integer) 7
        > LPOS l c COUNT 1 MAXLEN 2
        (empty array)
        > LPOS l zz
        (nil)
        > LPOS nokey c COUNT 1
        (empty array)
        > LPOS nokey c RANK 0
        (error) ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list
        > LPOS l c RANK -9223372036854775808
        (error) ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        > LPOS l c COUNT -1
        (error) ERR COUNT can't be negative
        > LPOS l c MAXLEN x
        (error) ERR MAXLEN can't be negative
        > LPOS l c COUNT
        (error) ERR syntax error
        > LREM l -2 c
        (integer) 2
        > LREM l 0 zz
        (integer) 0
        > LREM l -9223372036854775808 c
        (error) ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        > LREM l x c
        (error) ERR value is not an integer or out of range
        > LRANGE l 0 -1
        1) "a"
        2) "b"
        3) "c"
        4) "1"
        5) "2"
        6) "3"
        "#,
    );
}

#[test]
fn moving() {
    check(
        r#"
        > RPUSH l a b c
        (integer) 3
        > LMOVE l l LEFT RIGHT
        "a"
        > RPOPLPUSH l m
        "a"
        > LMOVE l m right right
        "c"
        > LMOVE l m UP RIGHT
        (error) ERR syntax error
        > LMOVE nokey s LEFT RIGHT
        (nil)
        > SET s x
        OK
        > LMOVE l s LEFT RIGHT
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        > RPOPLPUSH l l
        "b"
        > LMPOP 2 l m LEFT COUNT 5
        1) "l"
        2) 1) "b"
        > LMPOP 2 l m RIGHT
        1) "m"
        2) 1) "c"
        > LMPOP 1 l LEFT
        (nil)
        > LMPOP 0 l LEFT
        (error) ERR numkeys should be greater than 0
        > LMPOP 2 l LEFT
        (error) ERR syntax error
        > LMPOP 1 l LEFT COUNT 0
        (error) ERR count should be greater than 0
        > LMPOP 1 l LEFT COUNT 1 COUNT 1
        (error) ERR syntax error
        > LMPOP 1 s LEFT
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn waiting_clients_are_served_in_their_order() {
    check(
        r#"
        a> BLPOP l m 0
        b> BLMPOP 0 2 k l RIGHT COUNT 2
        c> BLMOVE l k LEFT RIGHT 0
        > MULTI
        OK
        > RPUSH l 1 2
        QUEUED
        > RPUSH l 3 4
        QUEUED
        > EXEC
        1) (integer) 2
        2) (integer) 4
        a<
        1) "l"
        2) "1"
        b<
        1) "l"
        2) 1) "4"
           2) "3"
        c<
        "2"
        > LRANGE k 0 -1
        1) "2"
        "#,
    );
}

#[test]
fn waiting_ends() {
    check(
        r#"
        a> BLPOP l 0.5
        b> BLMOVE l m LEFT LEFT 0.5004
        ~ 499
        a<
        ~ 2
        a<
        (nil)
        b<
        (nil)
        > BLPOP l x
        (error) ERR timeout is not a float or out of range
        > BLPOP l nan
        (error) ERR timeout is not a float or out of range
        > BLPOP l -1
        (error) ERR timeout is negative
        > BLPOP l 1e400
        (error) ERR timeout is out of range
        > BLPOP l 9223372036854774
        (error) ERR timeout is out of range
        > BLMOVE l m LEFT UP -1
        (error) ERR syntax error
        > BLMPOP -1 0 l LEFT
        (error) ERR numkeys should be greater than 0
        "#,
    );
}

#[test]
fn nobody_waits_inside_a_transaction() {
    let mut playground = Playground::default();
    let mut run = |line: &str| {
        let words = crate::util::args::split_args(line.as_bytes()).unwrap();
        playground.run("", words.iter())
    };
    run("MULTI");
    for command in ["BLPOP l 0", "BLMPOP 0 1 l LEFT", "BLMOVE l m LEFT LEFT 0", "BRPOPLPUSH l m 0"] {
        assert_eq!(run(command), b"+QUEUED\r\n");
    }
    // Where nothing can be moved there is a null, where nothing can be popped a null array.
    assert_eq!(run("EXEC"), b"*4\r\n*-1\r\n*-1\r\n$-1\r\n$-1\r\n");
}

#[test]
fn a_key_of_another_type_wakes_nobody_and_stops_who_comes_across_it() {
    check(
        r#"
        a> BLPOP k l 0
        b> BLMOVE l k LEFT LEFT 0
        > SET k x
        OK
        a<
        > RPUSH l 1
        (integer) 1
        a<
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        b<
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        > LRANGE l 0 -1
        1) "1"
        "#,
    );
}

#[test]
fn the_journal_carries_what_happened() {
    let mut playground = Playground::default();
    let lines = [
        "RPUSH l a b c d e f",
        "LMPOP 2 k l LEFT COUNT 2",
        "BRPOP k l 0",
        "BLMPOP 0 1 l LEFT",
        "BLMOVE l m LEFT RIGHT 0",
        "BRPOPLPUSH l m 0",
        "LTRIM m 0 -1",
        "LPOP m 0",
        "LREM m 0 x",
    ];
    for line in lines {
        let words = crate::util::args::split_args(line.as_bytes()).unwrap();
        playground.run("", words.iter());
    }
    let journal = String::from_utf8(playground.server.journal.take()).unwrap();
    let words: Vec<_> = journal.lines().filter(|line| !line.starts_with(['*', '$'])).collect();
    let expected = "SELECT 0 RPUSH l a b c d e f LPOP l 2 RPOP l LPOP l 1 LMOVE l m LEFT RIGHT RPOPLPUSH l m";
    assert_eq!(words.join(" "), expected);
}

#[test]
fn events() {
    check_configured(
        &[("notify-keyspace-events", "El")],
        r#"
        s> PSUBSCRIBE *
        1) "psubscribe"
        2) "*"
        3) (integer) 1
        > RPUSH l a
        (integer) 1
        > LMOVE l m LEFT RIGHT
        "a"
        > LTRIM m 0 -1
        OK
        s<
        1) "pmessage"
        2) "*"
        3) "__keyevent@0__:rpush"
        4) "l"
        1) "pmessage"
        2) "*"
        3) "__keyevent@0__:rpush"
        4) "m"
        1) "pmessage"
        2) "*"
        3) "__keyevent@0__:lpop"
        4) "l"
        1) "pmessage"
        2) "*"
        3) "__keyevent@0__:ltrim"
        4) "m"
        "#,
    );
}
