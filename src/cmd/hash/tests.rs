//! Dialogues over every hash command, the events they cause and what the journal is told.

use crate::config::Config;
use crate::testing::{Playground, check, check_configured};

#[test]
fn fields_are_set_and_read() {
    check(
        r#"
        > HSET h a 1 b 2 a 3
        (integer) 2
        > HMSET h c 4
        OK
        > HSETNX h c 5
        (integer) 0
        > HSETNX h d 5
        (integer) 1
        > HGET h a
        "3"
        > HGET h zz
        (nil)
        > HMGET h b zz c
        1) "2"
        2) (nil)
        3) "4"
        > HLEN h
        (integer) 4
        > HSTRLEN h a
        (integer) 1
        > HEXISTS h zz
        (integer) 0
        > HKEYS h
        1) "a"
        2) "b"
        3) "c"
        4) "d"
        > HVALS h
        1) "3"
        2) "2"
        3) "4"
        4) "5"
        > HDEL h a b zz
        (integer) 2
        > HGETALL h
        1) "c"
        2) "4"
        3) "d"
        4) "5"
        > HGETALL nokey
        (empty array)
        > HDEL h c d
        (integer) 2
        > EXISTS h
        (integer) 0
        > HSET h a 1 b
        (error) ERR wrong number of arguments for 'hset' command
        > HMSET h a 1 b
        (error) ERR wrong number of arguments for 'hmset' command
        > SET s x
        OK
        > HSET s a 1
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        > HGETALL s
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn a_large_hash_answers_alike() {
    check_configured(
        &[("hash-max-listpack-entries", "2")],
        r##"
        > HSET h a 1
        (integer) 1
        > HEXPIRE h 100 FIELDS 1 a
        1) (integer) 1
        > OBJECT ENCODING h
        "listpackex"
        > HSET h b 2 c 3
        (integer) 2
        > OBJECT ENCODING h
        "hashtable"
        > HTTL h FIELDS 2 a b
        1) (integer) 100
        2) (integer) -1
        > INFO keyspace
        "# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0,subexpiry=1\r\n"
        > RENAME h g
        OK
        > COPY g h
        (integer) 1
        > INFO keyspace
        "# Keyspace\r\ndb0:keys=2,expires=0,avg_ttl=0,subexpiry=2\r\n"
        > SET h x
        OK
        > HPERSIST g FIELDS 1 a
        1) (integer) 1
        > INFO keyspace
        "# Keyspace\r\ndb0:keys=2,expires=0,avg_ttl=0,subexpiry=0\r\n"
        "##,
    );
}

#[test]
fn numbers_are_added_to_fields() {
    check(
        r#"
        > HINCRBY h a 5
        (integer) 5
        > HINCRBYFLOAT h a 0.5
        "5.5"
        > HINCRBY h a 1
        (error) ERR hash value is not an integer
        > HSET h b 9223372036854775807 t x
        (integer) 2
        > HINCRBY h b 1
        (error) ERR increment or decrement would overflow
        > HINCRBY h b x
        (error) ERR value is not an integer or out of range
        > HINCRBYFLOAT h t 1
        (error) ERR hash value is not a float
        > HINCRBYFLOAT h t x
        (error) ERR value is not a valid float
        > HINCRBYFLOAT new t inf
        (error) ERR value is NaN or Infinity
        > EXISTS new
        (integer) 0
        > HSET h i inf
        (integer) 1
        > HINCRBYFLOAT h i 1
        (error) ERR increment would produce NaN or Infinity
        "#,
    );
}

#[test]
fn fields_are_scanned_and_drawn() {
    check(
        r#"
        > HSET h a 1 b 2
        (integer) 2
        > HSCAN h 0 MATCH a
        1) "0"
        2) 1) "a"
           2) "1"
        > HSCAN h 0 NOVALUES
        1) "0"
        2) 1) "a"
           2) "b"
        > HSCAN h 0 COUNT 0
        (error) ERR syntax error
        > HSCAN h x
        (error) ERR invalid cursor
        # Without a hash nobody looks at the options.
        > HSCAN nokey 0 FOO
        1) "0"
        2) (empty array)
        > HRANDFIELD h 5 WITHVALUES
        1) "a"
        2) "1"
        3) "b"
        4) "2"
        > HRANDFIELD h 0
        (empty array)
        > HRANDFIELD nokey
        (nil)
        > HRANDFIELD nokey -3
        (empty array)
        > HRANDFIELD h 1 FOO
        (error) ERR syntax error
        > HRANDFIELD h 4611686018427387904 WITHVALUES
        (error) ERR value is out of range
        > HRANDFIELD h -9223372036854775808
        (error) ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        > HDEL h b
        (integer) 1
        > HRANDFIELD h -2 WITHVALUES
        1) "a"
        2) "1"
        3) "a"
        4) "1"
        "#,
    );
}

#[test]
fn replies_of_the_third_protocol() {
    let mut playground = Playground::default();
    let mut ask = |line: &str| String::from_utf8(playground.run("", line.split(' '))).unwrap();
    ask("HELLO 3");
    ask("HSET h a 1");
    assert_eq!(ask("HGETALL h"), "%1\r\n$1\r\na\r\n$1\r\n1\r\n");
    assert_eq!(ask("HGETALL nokey"), "%0\r\n");
    assert_eq!(ask("HRANDFIELD h 1 WITHVALUES"), "*1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n");
    assert_eq!(ask("HRANDFIELD h -2"), "*2\r\n$1\r\na\r\n$1\r\na\r\n");
    assert_eq!(ask("HRANDFIELD nokey"), "_\r\n");
}

#[test]
fn deadlines_are_set_on_conditions() {
    check(
        r#"
        > HSET h a 1 b 2
        (integer) 2
        > HEXPIRE h 100 FIELDS 2 a zz
        1) (integer) 1
        2) (integer) -2
        > HEXPIRE h 50 NX FIELDS 2 a b
        1) (integer) 0
        2) (integer) 1
        > HEXPIRE h 60 gt FIELDS 2 a b
        1) (integer) 0
        2) (integer) 1
        > HPEXPIRE h 59999 LT FIELDS 2 a b
        1) (integer) 1
        2) (integer) 1
        > HTTL h FIELDS 2 a zz
        1) (integer) 60
        2) (integer) -2
        > HPTTL h FIELDS 1 a
        1) (integer) 59999
        > HEXPIRETIME h FIELDS 1 a
        1) (integer) 1767225660
        > HPEXPIRETIME h FIELDS 1 a
        1) (integer) 1767225659999
        > HPERSIST h FIELDS 3 a a zz
        1) (integer) 1
        2) (integer) -1
        3) (integer) -2
        > HEXPIRE h 0 GT FIELDS 1 a
        1) (integer) 0
        > HEXPIREAT h 0 FIELDS 2 a b
        1) (integer) 2
        2) (integer) 2
        > EXISTS h
        (integer) 0
        > HPEXPIREAT nokey 0 FIELDS 2 a b
        1) (integer) -2
        2) (integer) -2
        "#,
    );
}

#[test]
fn requests_about_deadlines_are_refused() {
    check(
        r#"
        > HSET h a 1
        (integer) 1
        > HEXPIRE h x FOO 1 a
        (error) ERR value is not an integer or out of range
        > HEXPIRE h -1 FOO 1 a
        (error) ERR invalid expire time, must be >= 0
        > HEXPIRE h 9223372036854775807 FOO 1 a
        (error) ERR invalid expire time in 'hexpire' command
        > HPEXPIREAT h 70368744177664 FIELDS 1 a
        (error) ERR invalid expire time in 'hpexpireat' command
        > HPEXPIREAT h 70368744177663 FIELDS 1 a
        1) (integer) 1
        > HEXPIRE h 1 NX XX FIELDS 1 a
        (error) ERR Mandatory argument FIELDS is missing or not at the right position
        > HEXPIRE h 1 FIELDS 0 a
        (error) ERR Parameter `numFields` should be greater than 0
        > HEXPIRE h 1 FIELDS 2 a
        (error) ERR The `numfields` parameter must match the number of arguments
        > HTTL h FIELDS x a
        (error) ERR Number of fields must be a positive integer
        > HPERSIST h FIELDS 2 a
        (error) ERR The `numfields` parameter must match the number of arguments
        > SET s x
        OK
        > HEXPIRE s x FOO 1 a
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        > HTTL s FOO 1 a
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn fields_are_exchanged() {
    check(
        r#"
        > HSETEX h EX 100 FIELDS 2 a 1 b 2
        (integer) 1
        > HSETEX h KEEPTTL FIELDS 1 a 3
        (integer) 1
        > HSETEX h FIELDS 1 b 4
        (integer) 1
        > HTTL h FIELDS 2 a b
        1) (integer) 100
        2) (integer) -1
        > HSETEX h FNX FIELDS 2 c 1 b 5
        (integer) 0
        > HSETEX h FXX FIELDS 2 c 1 b 5
        (integer) 0
        > HSETEX nokey FXX FIELDS 1 a 1
        (integer) 0
        > EXISTS nokey
        (integer) 0
        > HSETEX nokey PXAT 1 FIELDS 1 a 1
        (integer) 1
        > EXISTS nokey
        (integer) 0
        > HGETEX h PX 5000 FIELDS 2 b zz
        1) "4"
        2) (nil)
        > HGETEX h PERSIST FIELDS 1 a
        1) "3"
        > HTTL h FIELDS 2 a b
        1) (integer) -1
        2) (integer) 5
        > HGETEX h EX 0 FIELDS 1 b
        1) "4"
        > HGETDEL h FIELDS 3 a a zz
        1) "3"
        2) (nil)
        3) (nil)
        > EXISTS h
        (integer) 0
        > HGETDEL h FIELDS 2 a b
        1) (nil)
        2) (nil)
        > HSETEX h FNX FXX FIELDS 1 a b
        (error) ERR Only one of FXX or FNX arguments can be specified
        > HSETEX h EX 1 KEEPTTL FIELDS 1 a b
        (error) ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified
        > HSETEX h FOO FIELDS 1 a b
        (error) ERR unknown argument: FOO
        > HSETEX h FIELDS 0 a b
        (error) ERR invalid number of fields
        > HSETEX h FIELDS 2 a b
        (error) ERR wrong number of arguments for 'hsetex' command
        > HSETEX h EX 10 FNX fields
        (error) ERR wrong number of arguments for 'hsetex' command
        > HSETEX none EX 10 FIELDS x a
        (error) ERR wrong number of arguments for 'hsetex' command
        > HGETEX h EX 10 x
        (error) ERR wrong number of arguments for 'hgetex' command
        > HGETEX h KEEPTTL FIELDS 1 a
        (error) ERR Mandatory argument FIELDS is missing or not at the right position
        "#,
    );
}

#[test]
fn fields_lapse_by_themselves() {
    check(
        r#"
        > HSET h a 1 b 2 c 3
        (integer) 3
        > HPEXPIRE h 50 FIELDS 2 a b
        1) (integer) 1
        2) (integer) 1
        ~ 51
        > HLEN h
        (integer) 1
        > HPEXPIRE h 50 FIELDS 1 c
        1) (integer) 1
        ~ 50
        > HPTTL h FIELDS 1 c
        1) (integer) 0
        ~ 1
        > EXISTS h
        (integer) 0
        "#,
    );
}

/// A server that says after each request which events it caused and what went into the journal.
struct Heard(Playground);

impl Heard {
    fn new() -> Self {
        let mut config = Config::default();
        config.set(&[(b"notify-keyspace-events", b"EA")], true).expect("the directive exists");
        config.enable_debug_command = crate::config::Permit::Yes;
        let mut playground = Playground::new(config, 1);
        playground.run("events", ["PSUBSCRIBE", "__keyevent*"].iter());
        playground.run("", ["SET", "0", "0"].iter());
        playground.server.journal.take();
        playground.received("events");
        Self(playground)
    }

    fn after(&mut self, line: &str) -> String {
        match line.strip_prefix("~ ") {
            Some(ms) => self.0.advance(ms.parse().unwrap()),
            None => drop(self.0.run("", line.split(' '))),
        }
        self.0.server.keyspace.check();
        let events = String::from_utf8(self.0.received("events")).unwrap();
        let events = events.split("\r\n").filter_map(|word| word.strip_prefix("__keyevent@0__:"));
        let journal = String::from_utf8(self.0.server.journal.take()).unwrap();
        let journal = journal.split("\r\n").filter(|word| !word.is_empty() && !word.starts_with(['*', '$']));
        format!("{} | {}", events.collect::<Vec<_>>().join(" "), journal.collect::<Vec<_>>().join(" "))
    }

    #[track_caller]
    fn check(&mut self, script: &[(&str, &str)]) {
        for (line, expected) in script {
            assert_eq!(self.after(line).trim(), *expected, "{line}");
        }
    }
}

#[test]
fn events_and_journal() {
    Heard::new().check(&[
        ("HSET h a 1 b 2 c 3", "hset | HSET h a 1 b 2 c 3"),
        ("HSET h a 1", "hset | HSET h a 1"),
        ("HSETNX h a 1", "|"),
        ("HDEL h zz", "|"),
        ("HINCRBY h a 1", "hincrby | HINCRBY h a 1"),
        ("HINCRBYFLOAT h a 1.5", "hincrbyfloat | HSETEX h KEEPTTL FIELDS 1 a 3.5"),
        ("HEXPIRE h 100 FIELDS 2 a zz", "hexpire | HPEXPIREAT h 1767225700000 FIELDS 1 a"),
        ("HEXPIRE h 100 NX FIELDS 2 a b", "hexpire | HPEXPIREAT h 1767225700000 NX FIELDS 1 b"),
        ("HEXPIRE h 1 GT FIELDS 1 a", "|"),
        ("HPERSIST h FIELDS 2 a c", "hpersist | HPERSIST h FIELDS 2 a c"),
        ("HEXPIRE h 0 FIELDS 2 a zz", "hdel | HDEL h a"),
        ("HSETEX h EX 100 FIELDS 1 a 5", "hset hexpire | HSETEX h PXAT 1767225700000 FIELDS 1 a 5"),
        ("HSETEX h FXX FIELDS 1 a 5", "hset | HSETEX h FXX FIELDS 1 a 5"),
        ("HSETEX h EXAT 1 FIELDS 1 a 5", "hset hdel | HDEL h a"),
        ("HSETEX new EXAT 1 FIELDS 1 a 5", "hset hdel del | HDEL new a"),
        ("HGETEX h FIELDS 1 b", "|"),
        ("HGETEX h EX 10 FIELDS 2 b zz", "hexpire | HPEXPIREAT h 1767225610000 FIELDS 1 b"),
        ("HGETEX h PERSIST FIELDS 2 b zz", "hpersist | HPERSIST h FIELDS 1 b"),
        ("HGETEX h PX 0 FIELDS 1 b", "hdel | HDEL h b"),
        ("HGETDEL h FIELDS 2 c zz", "hdel del | HGETDEL h FIELDS 2 c zz"),
    ]);
}

#[test]
fn lapsed_fields_are_told_of_first() {
    let mut heard = Heard::new();
    let request = |name: &str| format!("DEBUG SET-ACTIVE-EXPIRE {name}");
    heard.after(&request("0"));
    heard.check(&[
        ("HSET h a 1 b 2 c 3", "hset | HSET h a 1 b 2 c 3"),
        ("HPEXPIRE h 10 FIELDS 2 a b", "hexpire | HPEXPIREAT h 1767225600010 FIELDS 2 a b"),
        ("~ 11", "|"),
        // Only the field that is named goes before a write.
        ("HINCRBY h a 5", "hexpired hincrby | HDEL h a HINCRBY h a 5"),
        ("HGET h c", "hexpired | HDEL h b"),
        ("HPEXPIRE h 10 FIELDS 2 a c", "hexpire | HPEXPIREAT h 1767225600021 FIELDS 2 a c"),
        ("~ 11", "|"),
        ("HGETALL h", "hexpired del | HDEL h c a"),
        ("HSET h a 1", "hset | HSET h a 1"),
        ("HPEXPIRE h 10 FIELDS 1 a", "hexpire | HPEXPIREAT h 1767225600032 FIELDS 1 a"),
        ("~ 11", "|"),
        ("HINCRBYFLOAT h a 1", "hexpired del hincrbyfloat | HDEL h a HSETEX h KEEPTTL FIELDS 1 a 1"),
        ("HPEXPIRE h 10 FIELDS 1 a", "hexpire | HPEXPIREAT h 1767225600043 FIELDS 1 a"),
    ]);
    heard.after(&request("1"));
    heard.check(&[("~ 11", "hexpired del | HDEL h a")]);
}

#[test]
fn many_fields_lapse_within_a_budget() {
    let mut playground = Playground::default();
    let fields: Vec<String> = (0..5000).map(|number| format!("field:{number}")).collect();
    let set = ["HSETEX", "h", "PX", "10", "FIELDS", "5000"].into_iter();
    let pairs = fields.iter().flat_map(|field| [field.as_str(), "x"]);
    playground.run("", set.chain(pairs).collect::<Vec<_>>().iter());
    playground.run("", ["HSET", "h", "stays", "1"].iter());
    for _ in 0..1000 {
        playground.advance(11);
        playground.server.keyspace.check();
        if playground.run("", ["HLEN", "h"].iter()) == b":1\r\n" {
            return;
        }
    }
    panic!("the fields never went");
}
