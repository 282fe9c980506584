use crate::resp::reply::Protocol;
use crate::testing::{Playground, check, check_configured, request, show};

/// Plays commands over RESP3 and returns the replies.
fn resp3(commands: &[&str]) -> String {
    let mut playground = Playground::default();
    let id = playground.client("");
    playground.server.sessions.get_mut(id).protocol = Protocol::Resp3;
    let mut text = String::new();
    for command in commands {
        let bytes = playground.run("", request(command).borrow().iter());
        show(&bytes, &mut text);
    }
    text
}

#[test]
fn zadd_obeys_its_options() {
    check(
        r#"
        > ZADD z 1 a 2 b
        (integer) 2
        > ZADD z 5 a 3 c
        (integer) 1
        > ZADD z NX 9 a 4 d
        (integer) 1
        > ZADD z XX CH 6 a 9 e
        (integer) 1
        > ZADD z GT 1 a 9 b
        (integer) 0
        > ZADD z LT CH 1 a 99 b
        (integer) 1
        > ZADD z INCR 1.5 a
        "2.5"
        > ZADD z NX INCR 1 a
        (nil)
        > ZADD z XX INCR 1 nobody
        (nil)
        > ZRANGE z 0 -1 WITHSCORES
        1) "a"
        2) "2.5"
        3) "c"
        4) "3"
        5) "d"
        6) "4"
        7) "b"
        8) "9"
        > ZADD none XX 1 a
        (integer) 0
        > ZCARD none
        (integer) 0
        > ZADD z NX XX 1 a
        (error) ERR XX and NX options at the same time are not compatible
        > ZADD z NX GT 1 a
        (error) ERR GT, LT, and/or NX options at the same time are not compatible
        > ZADD z GT LT 1 a
        (error) ERR GT, LT, and/or NX options at the same time are not compatible
        > ZADD z INCR 1 a 2 b
        (error) ERR INCR option supports a single increment-element pair
        > ZADD z 1 a 2
        (error) ERR syntax error
        > ZADD z 1 a x b
        (error) ERR value is not a valid float
        > ZADD z nan a
        (error) ERR value is not a valid float
        > SET s 1
        OK
        > ZADD s 1 a
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn infinities_do_not_add_up_to_nothing() {
    check(
        "
        > ZADD z inf i
        (integer) 1
        > ZINCRBY z -inf i
        (error) ERR resulting score is not a number (NaN)
        > ZADD z INCR -inf i
        (error) ERR resulting score is not a number (NaN)
        > ZSCORE z i
        \"inf\"
        > ZINCRBY z x i
        (error) ERR value is not a valid float
        > ZINCRBY z 1e308 j
        \"1e+308\"
        > ZINCRBY z 1e308 j
        \"inf\"
        ",
    );
}

#[test]
fn members_are_found_scored_and_ranked_in_both_encodings() {
    for entries_max in ["128", "0"] {
        check_configured(
            &[("zset-max-listpack-entries", entries_max)],
            r#"
            > ZADD z 1 a 2 b 2 c 3 d
            (integer) 4
            > ZCARD z
            (integer) 4
            > ZSCORE z b
            "2"
            > ZMSCORE z a x d
            1) "1"
            2) (nil)
            3) "3"
            > ZRANK z c
            (integer) 2
            > ZREVRANK z c WITHSCORE
            1) (integer) 1
            2) "2"
            > ZRANK z x
            (nil)
            > ZRANK none x WITHSCORE
            (nil)
            > ZRANK z c WITHSCORES
            (error) ERR syntax error
            > ZREVRANK z c WITHSCORE x
            (error) ERR wrong number of arguments for 'zrevrank' command
            > ZREM z a x d
            (integer) 2
            > ZREM z b c
            (integer) 2
            > ZCARD z
            (integer) 0
            > ZADD z 1 z
            (integer) 1
            "#,
        );
    }
}

#[test]
fn a_range_is_of_places_scores_or_bytes() {
    for entries_max in ["128", "0"] {
        check_configured(
            &[("zset-max-listpack-entries", entries_max)],
            r#"
            > ZADD z 1 a 2 b 3 c 4 d
            (integer) 4
            > ZRANGE z 1 -2
            1) "b"
            2) "c"
            > ZRANGE z 0 0 REV WITHSCORES
            1) "d"
            2) "4"
            > ZRANGE z (1 3 BYSCORE
            1) "b"
            2) "c"
            > ZRANGE z +inf -inf BYSCORE REV LIMIT 1 2
            1) "c"
            2) "b"
            > ZRANGE z -inf inf BYSCORE LIMIT -1 2
            (empty array)
            > ZRANGE z 0 1 LIMIT 5 -1
            1) "a"
            2) "b"
            > ZRANGE z 0 1 LIMIT 0 1
            (error) ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX
            > ZREVRANGEBYSCORE z 3 (1 WITHSCORES LIMIT 0 1
            1) "c"
            2) "3"
            > ZCOUNT z (1 +inf
            (integer) 3
            > ZADD l 0 a 0 b 0 c 0 d
            (integer) 4
            > ZRANGEBYLEX l [b (d
            1) "b"
            2) "c"
            > ZRANGE l + (b BYLEX REV LIMIT 1 5
            1) "c"
            > ZLEXCOUNT l - [c
            (integer) 3
            > ZRANGE l - + BYLEX WITHSCORES
            (error) ERR syntax error, WITHSCORES not supported in combination with BYLEX
            > ZRANGE l a + BYLEX
            (error) ERR min or max not valid string range item
            > ZCOUNT z a 1
            (error) ERR min or max is not a float
            > ZRANGE z a 1
            (error) ERR value is not an integer or out of range
            > ZREVRANGE z 0 1 REV
            (error) ERR syntax error
            > ZRANGESTORE to z 1 2
            (integer) 2
            > ZRANGE to 0 -1 WITHSCORES
            1) "b"
            2) "2"
            3) "c"
            4) "3"
            > ZRANGESTORE to none 1 2
            (integer) 0
            > ZCARD to
            (integer) 0
            > ZREMRANGEBYLEX l - (b
            (integer) 1
            > ZREMRANGEBYSCORE z 2 (4
            (integer) 2
            > ZREMRANGEBYRANK z 0 -1
            (integer) 2
            > ZCARD z
            (integer) 0
            "#,
        );
    }
}

#[test]
fn unions_weigh_and_join_sets_and_sorted_sets() {
    check(
        r#"
        > ZADD a 1 x 2 y
        (integer) 2
        > ZADD b 10 y 20 z
        (integer) 2
        > ZUNION 2 a b WITHSCORES WEIGHTS 2 1
        1) "x"
        2) "2"
        3) "y"
        4) "14"
        5) "z"
        6) "20"
        > ZINTER 2 a b AGGREGATE MAX WITHSCORES
        1) "y"
        2) "10"
        > ZUNION 3 a b none AGGREGATE COUNT WITHSCORES
        1) "x"
        2) "1"
        3) "z"
        4) "1"
        5) "y"
        6) "2"
        > ZDIFF 2 a b
        1) "x"
        > ZINTERCARD 2 a b LIMIT 5
        (integer) 1
        > ZUNIONSTORE to 2 a b AGGREGATE MIN
        (integer) 3
        > ZRANGE to 0 -1
        1) "x"
        2) "y"
        3) "z"
        > ZINTERSTORE to 2 a none
        (integer) 0
        > ZCARD to
        (integer) 0
        > ZDIFFSTORE a 2 a b
        (integer) 1
        > ZUNION 0 a
        (error) ERR at least 1 input key is needed for 'zunion' command
        > ZUNION 3 a b
        (error) ERR syntax error
        > ZUNION 1 a WEIGHTS x
        (error) ERR weight value is not a float
        > ZINTERCARD 1 a LIMIT -1
        (error) ERR LIMIT can't be negative
        > ZUNIONSTORE to 1 a WITHSCORES
        (error) ERR syntax error
        > SET s 1
        OK
        > ZUNION 1 s NONSENSE
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn what_is_only_shown_keeps_its_negative_zeros() {
    check(
        r#"
        > ZADD a 0 x
        (integer) 1
        > ZUNION 1 a WEIGHTS -1 WITHSCORES
        1) "x"
        2) "-0"
        "#,
    );
}

#[test]
fn members_are_taken_from_the_ends() {
    check(
        r#"
        > ZADD z 1 a 2 b 3 c 4 d 5 e
        (integer) 5
        > ZPOPMIN z
        1) "a"
        2) "1"
        > ZPOPMAX z 2
        1) "e"
        2) "5"
        3) "d"
        4) "4"
        > ZPOPMAX z 0
        (empty array)
        > ZMPOP 2 none z MIN COUNT 9
        1) "z"
        2) 1) 1) "b"
              2) "2"
           2) 1) "c"
              2) "3"
        > ZMPOP 2 none z MIN
        (nil)
        > ZPOPMIN z
        (empty array)
        > ZPOPMIN z -1
        (error) ERR value is out of range, must be positive
        > ZPOPMIN z 1 1
        (error) ERR syntax error
        > ZMPOP 0 z MIN
        (error) ERR numkeys should be greater than 0
        > ZMPOP 1 z MIN COUNT 0
        (error) ERR count should be greater than 0
        > ZMPOP 9 z MIN
        (error) ERR syntax error
        > BZPOPMIN z -1
        (error) ERR timeout is negative
        > BZMPOP x 1 z SOME
        (error) ERR syntax error
        > BZMPOP x 1 z MIN
        (error) ERR timeout is not a float or out of range
        "#,
    );
}

#[test]
fn waiting_clients_get_members_first_come_first_served() {
    check(
        r#"
        a> BZPOPMIN y z 0
        b> BZMPOP 5 1 z MAX COUNT 2
        c> BZPOPMAX z 1
        > ZADD z 1 one 2 two 3 three
        (integer) 3
        a<
        1) "z"
        2) "one"
        3) "1"
        b<
        1) "z"
        2) 1) 1) "three"
              2) "3"
           2) 1) "two"
              2) "2"
        > ZCARD z
        (integer) 0
        > RPUSH z not-for-c
        (integer) 1
        ~ 1500
        c<
        (nil)
        > MULTI
        OK
        > BZPOPMIN none 0
        QUEUED
        > EXEC
        1) (nil)
        "#,
    );
}

#[test]
fn random_members_are_members() {
    check(
        r#"
        > ZADD z 1 a
        (integer) 1
        > ZRANDMEMBER z
        "a"
        > ZRANDMEMBER z 5 WITHSCORES
        1) "a"
        2) "1"
        > ZRANDMEMBER z -3
        1) "a"
        2) "a"
        3) "a"
        > ZRANDMEMBER none
        (nil)
        > ZRANDMEMBER none 3
        (empty array)
        > ZRANDMEMBER z 1 x
        (error) ERR syntax error
        > ZRANDMEMBER z -4611686018427387905 WITHSCORES
        (error) ERR value is out of range
        > ZRANDMEMBER z -9223372036854775808
        (error) ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        "#,
    );
}

#[test]
fn a_scan_shows_more_digits_of_a_large_one() {
    check(
        r#"
        > ZADD z 0.1 a 2 b
        (integer) 2
        > ZSCAN z 0 MATCH a
        1) "0"
        2) 1) "a"
           2) "0.1"
        > ZSCAN z 0 NOVALUES
        (error) ERR NOVALUES option can only be used in HSCAN
        > ZSCAN z 0 COUNT 0
        (error) ERR syntax error
        > ZSCAN z x
        (error) ERR invalid cursor
        > ZSCAN none 0 NONSENSE
        1) "0"
        2) (empty array)
        "#,
    );
    check_configured(
        &[("zset-max-listpack-entries", "0")],
        r#"
        > ZADD z 0.1 a
        (integer) 1
        > ZSCAN z 0
        1) "0"
        2) 1) "a"
           2) "0.10000000000000001"
        "#,
    );
}

#[test]
fn resp3_has_doubles_and_pairs() {
    let replies = resp3(&[
        "ZADD z 1.5 a 2 b 3 c 4 d 5 e",
        "ZADD z INCR 1 a",
        "ZSCORE z a",
        "ZRANGE z 0 1 WITHSCORES",
        "ZRANK z a WITHSCORE",
        "ZPOPMIN z",
        "ZPOPMIN z 1",
        "BZPOPMAX z 0",
        "ZMPOP 1 z MIN",
        "ZSCAN z 0",
        "ZMPOP 1 none MIN",
        "ZUNION 1 z WITHSCORES",
        "ZMSCORE z d x",
    ]);
    let expected = r#"(integer) 5
(double) 2.5
(double) 2.5
1) 1) "b"
   2) (double) 2
2) 1) "a"
   2) (double) 2.5
1) (integer) 1
2) (double) 2.5
1) "b"
2) (double) 2
1) 1) "a"
   2) (double) 2.5
1) "z"
2) "e"
3) (double) 5
1) "z"
2) 1) 1) "c"
      2) (double) 3
1) "0"
2) 1) "d"
   2) "4"
(nil)
1) 1) "d"
   2) (double) 4
1) (double) 4
2) (nil)
"#;
    assert_eq!(replies, expected);
}
