//! Dialogues with the HyperLogLog commands; the replies are those of redis-server 8.2.3.

use crate::testing::check;

#[test]
fn elements_are_counted() {
    check(
        r#"
        > PFADD h a b c
        (integer) 1
        > PFADD h a b
        (integer) 0
        > PFADD h
        (integer) 0
        > PFCOUNT h
        (integer) 3
        > PFCOUNT none
        (integer) 0
        > PFADD empty
        (integer) 1
        > GET empty
        "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xff"
        > PFADD empty
        (integer) 0
        > PFCOUNT empty
        (integer) 0
        > GET empty
        "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x7f\xff"
        > PFADD g c d
        (integer) 1
        > PFCOUNT h g none
        (integer) 4
        > OBJECT ENCODING h
        "raw"
        > PFDEBUG ENCODING h
        sparse
        > PFDEBUG DECODE h
        "Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603"
        > GET h
        "HYLL\x01\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00`\xf3\x80P\xb1\x84K\xfb\x80BZ"
        > PFCOUNT h
        (integer) 3
        > GET h
        "HYLL\x01\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00`\xf3\x80P\xb1\x84K\xfb\x80BZ"
        "#,
    );
}

#[test]
fn unions() {
    check(
        r#"
        > PFADD a 1 2 3
        (integer) 1
        > PFADD b 3 4
        (integer) 1
        > PFMERGE u a b none
        OK
        > PFCOUNT u
        (integer) 4
        > PFMERGE a b
        OK
        > PFCOUNT a
        (integer) 4
        > PFMERGE fresh
        OK
        > PFCOUNT fresh
        (integer) 0
        > PFDEBUG TODENSE b
        (integer) 1
        > PFDEBUG TODENSE b
        (integer) 0
        > PFDEBUG ENCODING b
        dense
        > STRLEN b
        (integer) 12304
        > PFDEBUG DECODE b
        (error) ERR HLL encoding is not sparse
        > PFADD b 5
        (integer) 1
        > PFADD b 5
        (integer) 0
        > PFMERGE u b
        OK
        > PFDEBUG ENCODING u
        dense
        > PFCOUNT u
        (integer) 5
        "#,
    );
}

#[test]
fn sparse_becomes_dense() {
    check(
        r#"
        > CONFIG SET hll-sparse-max-bytes 30
        OK
        > PFADD h a b
        (integer) 1
        > PFDEBUG ENCODING h
        sparse
        > PFADD h c d
        (integer) 1
        > PFDEBUG ENCODING h
        sparse
        > PFCOUNT h
        (integer) 4
        "#,
    );
}

#[test]
fn what_is_no_hyperloglog() {
    check(
        r#"
        > SET s hello
        OK
        > SET n 12
        OK
        > RPUSH l a
        (integer) 1
        > PFADD s a
        (error) WRONGTYPE Key is not a valid HyperLogLog string value.
        > PFADD n a
        (error) WRONGTYPE Key is not a valid HyperLogLog string value.
        > PFADD l a
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        > PFCOUNT s
        (error) WRONGTYPE Key is not a valid HyperLogLog string value.
        > PFCOUNT s l
        (error) WRONGTYPE Key is not a valid HyperLogLog string value.
        > PFMERGE d s
        (error) WRONGTYPE Key is not a valid HyperLogLog string value.
        > EXISTS d
        (integer) 0
        > PFMERGE s
        (error) WRONGTYPE Key is not a valid HyperLogLog string value.
        > PFDEBUG ENCODING s
        (error) WRONGTYPE Key is not a valid HyperLogLog string value.
        > PFDEBUG ENCODING none
        (error) ERR The specified key does not exist
        > PFADD h a
        (integer) 1
        > PFDEBUG NOPE h
        (error) ERR Unknown PFDEBUG subcommand 'NOPE'
        > SETRANGE h 16 "\xff\xff\xff"
        (integer) 21
        > SETRANGE h 15 "\x80"
        (integer) 21
        > PFCOUNT h
        (error) INVALIDOBJ Corrupted HLL object detected
        > PFMERGE d h
        (error) INVALIDOBJ Corrupted HLL object detected
        > PFSELFTEST
        OK
        > PFSELFTEST x
        (error) ERR wrong number of arguments for 'pfselftest' command
        "#,
    );
}
