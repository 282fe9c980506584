use crate::testing::{Playground, check};

#[test]
fn names_and_versions() {
    check(
        r#"
        > CLIENT ID
        (integer) 1
        b> CLIENT ID
        (integer) 2
        > CLIENT GETNAME
        (nil)
        > CLIENT SETNAME "a b"
        (error) ERR Client names cannot contain spaces, newlines or special characters.
        > CLIENT SETNAME me
        OK
        > CLIENT GETNAME
        "me"
        > CLIENT SETINFO LIB-NAME "a b"
        (error) ERR LIB-NAME cannot contain spaces, newlines or special characters.
        > CLIENT SETINFO lib-ver 1.0
        OK
        > CLIENT SETINFO foo 1.0
        (error) ERR Unrecognized option 'foo'
        > CLIENT NO-EVICT x
        (error) ERR syntax error
        > CLIENT GETREDIR
        (integer) -1
        > CLIENT foo
        (error) ERR unknown subcommand 'foo'. Try CLIENT HELP.
        > CLIENT ID x
        (error) ERR wrong number of arguments for 'client|id' command
        "#,
    );
}

#[test]
fn refusals_of_list_and_kill() {
    check(
        r#"
        > CLIENT LIST TYPE x
        (error) ERR Unknown client type 'x'
        > CLIENT LIST TYPE normal pubsub
        (error) ERR syntax error
        > CLIENT LIST ID
        (error) ERR syntax error
        > CLIENT LIST ID x
        (error) ERR Invalid client ID
        > CLIENT LIST ID 999
        ""
        > CLIENT KILL 1.2.3.4:5
        (error) ERR No such client
        > CLIENT KILL ID 0
        (error) ERR client-id should be greater than 0
        > CLIENT KILL ID 1 x
        (error) ERR syntax error
        > CLIENT KILL USER bob
        (error) ERR No such user 'bob'
        > CLIENT KILL MAXAGE x
        (error) ERR maxage is not an integer or out of range
        > CLIENT KILL MAXAGE 0
        (error) ERR maxage should be greater than 0
        > CLIENT KILL SKIPME x
        (error) ERR syntax error
        > CLIENT KILL TYPE master
        (integer) 0
        > CLIENT KILL ID 1
        (integer) 0
        "#,
    );
}

#[test]
fn a_killed_client_takes_nothing_more() {
    check(
        r#"
        w> BLPOP l 0
        s> SUBSCRIBE c
        1) "subscribe"
        2) "c"
        3) (integer) 1
        > CLIENT KILL TYPE pubsub
        (integer) 1
        > PUBLISH c x
        (integer) 0
        > CLIENT KILL ID 1 SKIPME no
        (integer) 1
        > RPUSH l x
        (integer) 1
        > LLEN l
        (integer) 1
        > CLIENT LIST ID 1
        ""
        "#,
    );
}

#[test]
fn a_line_tells_the_truth() {
    let mut playground = Playground::default();
    let mut run = |client: &str, line: &str| {
        let words = crate::util::args::split_args(line.as_bytes()).unwrap();
        String::from_utf8(playground.run(client, words.iter())).unwrap()
    };
    run("b", "BLPOP q 0");
    run("m", "WATCH a b");
    run("m", "MULTI");
    run("m", "SET a 1");
    run("m", "CLIENT INFO");
    run("s", "HELLO 3 SETNAME listener");
    run("s", "PSUBSCRIBE a b");
    let list = run("", "CLIENT LIST");
    let line = |id: usize| list.lines().find(|line| line.starts_with(&format!("id={id} "))).unwrap();
    let has = |id: usize, words: &str| {
        for word in words.split(' ') {
            assert!(line(id).split(' ').any(|field| field == word), "{word} in {}", line(id));
        }
    };
    has(1, "flags=b cmd=blpop argv-mem=7 tot-cmds=0");
    has(2, "flags=x multi=2 watch=2 multi-mem=55 cmd=client|info");
    has(3, "flags=P resp=3 psub=2 sub=0 name=listener cmd=psubscribe");
    let executed = run("m", "EXEC");
    for field in ["flags=x", "multi=2", "multi-mem=55", "watch=0"] {
        assert!(executed.contains(field), "{field} in {executed}");
    }
    assert!(run("m", "CLIENT INFO").contains(" flags=N ") && run("m", "CLIENT INFO").contains(" multi=-1 "));
    has(4, "flags=N cmd=client|list qbuf=26 argv-mem=10 multi=-1 redir=-1 user=default io-thread=0");
}

#[test]
fn silence() {
    check(
        r#"
        > CLIENT REPLY OFF
        > SET a 1
        > CLIENT REPLY SKIP
        > CLIENT REPLY ON
        OK
        > CLIENT REPLY SKIP
        > SET a 2
        > GET a
        "2"
        > CLIENT REPLY SKIP
        > SUBSCRIBE c
        1) "subscribe"
        2) "c"
        3) (integer) 1
        > PING
        1) "pong"
        2) ""
        "#,
    );
}

#[test]
fn ending_a_wait() {
    check(
        r#"
        b> BLPOP l 0
        > CLIENT UNBLOCK 1
        (integer) 1
        b<
        (nil)
        b> BLPOP l 0
        > CLIENT UNBLOCK 1 ERROR
        (integer) 1
        b<
        (error) UNBLOCKED client unblocked via CLIENT UNBLOCK
        > CLIENT UNBLOCK 1
        (integer) 0
        > CLIENT UNBLOCK x
        (error) ERR value is not an integer or out of range
        > CLIENT UNBLOCK 1 foo
        (error) ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR
        > CLIENT UNBLOCK 1 error x
        (error) ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP.
        "#,
    );
}

#[test]
fn a_pause_serves_nobody_who_waits_until_it_ends() {
    check(
        r#"
        b> BLPOP l 0
        > MULTI
        OK
        > RPUSH l x
        QUEUED
        > CLIENT PAUSE 100 WRITE
        QUEUED
        > LLEN l
        QUEUED
        > EXEC
        1) (integer) 1
        2) OK
        3) (integer) 1
        b<
        > LLEN l
        (integer) 1
        ~ 101
        b<
        1) "l"
        2) "x"
        > CLIENT PAUSE x
        (error) ERR timeout is not an integer or out of range
        > CLIENT PAUSE -1
        (error) ERR timeout is negative
        > CLIENT PAUSE 9223372036854775807
        (error) ERR timeout is out of range
        > CLIENT PAUSE 1 foo
        (error) ERR CLIENT PAUSE mode must be WRITE or ALL
        > CLIENT PAUSE 1 write foo
        (error) ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.
        "#,
    );
}

#[test]
fn filters_of_valkey() {
    check(
        r#"
        > CLIENT SETNAME asking
        OK
        b> CLIENT SETNAME b
        OK
        c> SELECT 3
        OK
        c> MULTI
        OK
        > CLIENT LIST DB x
        (error) ERR DB is not an integer or out of range
        > CLIENT LIST DB 16
        (error) ERR DB number should be between 0 and 15
        > CLIENT LIST IDLE 0
        (error) ERR idle should be greater than 0
        > CLIENT LIST IDLE x
        (error) ERR idle is not an integer or out of range
        > CLIENT LIST FLAGS Q
        (error) ERR Unknown flags found in the provided filter: Q
        > CLIENT LIST NOT-MAXAGE 5
        (error) ERR syntax error
        > CLIENT LIST ID 1 2 x
        (error) ERR Invalid client ID
        > CLIENT LIST NAME nobody
        ""
        > CLIENT LIST NOT-NAME "" NOT-ID 1 2 SKIPME yes
        ""
        > CLIENT KILL DB 3 NAME other
        (integer) 0
        > CLIENT KILL ID 77 3 DB 3 FLAGS x NOT-IP 1.2.3.4 IP 127.0.0.1
        (integer) 1
        > CLIENT KILL NOT-NAME asking LIB-NAME none
        (integer) 0
        ~ 5000
        > CLIENT KILL IDLE 6
        (integer) 0
        > CLIENT KILL IDLE 5 NAME b
        (integer) 1
        "#,
    );
}
