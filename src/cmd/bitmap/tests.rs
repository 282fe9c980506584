//! Dialogues with the bitmap commands; the replies are those of redis-server 8.2.3.

use crate::testing::check;

#[test]
fn bits_are_set_and_read() {
    check(
        r#"
        > SETBIT b 7 1
        (integer) 0
        > GETBIT b 7
        (integer) 1
        > SETBIT b 7 1
        (integer) 1
        > SETBIT b 7 0
        (integer) 1
        > GETBIT b 7
        (integer) 0
        > GETBIT b 100
        (integer) 0
        > GETBIT none 0
        (integer) 0
        > SETBIT b 20 0
        (integer) 0
        > GET b
        "\x00\x00\x00"
        > SET n 12
        OK
        > SETBIT n 2 1
        (integer) 1
        > OBJECT ENCODING n
        "raw"
        > GETBIT n 7
        (integer) 1
        > EXPIRE n 100
        (integer) 1
        > SETBIT n 6 1
        (integer) 0
        > GET n
        "32"
        > TTL n
        (integer) 100
        > SETBIT b -1 1
        (error) ERR bit offset is not an integer or out of range
        > SETBIT b 4294967296 1
        (error) ERR bit offset is not an integer or out of range
        > SETBIT b x 2
        (error) ERR bit offset is not an integer or out of range
        > SETBIT b 1 2
        (error) ERR bit is not an integer or out of range
        > GETBIT b 01
        (error) ERR bit offset is not an integer or out of range
        > RPUSH l a
        (integer) 1
        > SETBIT l 1 1
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        > GETBIT l 1
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn bits_are_counted() {
    check(
        r#"
        > SET s foobar
        OK
        > BITCOUNT s
        (integer) 26
        > BITCOUNT s 0 0
        (integer) 4
        > BITCOUNT s 1 -2
        (integer) 18
        > BITCOUNT s -1 -2
        (integer) 0
        > BITCOUNT s 5 30 BIT
        (integer) 17
        > BITCOUNT s -6 -1 bit
        (integer) 3
        > BITCOUNT s -100 -100 BIT
        (integer) 0
        > BITCOUNT s 100 200
        (integer) 0
        > BITCOUNT none
        (integer) 0
        > BITCOUNT none 0 -1
        (integer) 0
        > SET n 123
        OK
        > BITCOUNT n
        (integer) 10
        > BITCOUNT s 0
        (error) ERR syntax error
        > BITCOUNT s 0 1 BITS
        (error) ERR syntax error
        > BITCOUNT s 0 x BITS
        (error) ERR value is not an integer or out of range
        > BITCOUNT s 0 1 BIT BIT
        (error) ERR syntax error
        > RPUSH l a
        (integer) 1
        > BITCOUNT l
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        > BITCOUNT l 0
        (error) ERR syntax error
        "#,
    );
}

#[test]
fn bits_are_found() {
    check(
        r#"
        > SET s "\xff\xf0\x00"
        OK
        > BITPOS s 0
        (integer) 12
        > BITPOS s 1 2
        (integer) -1
        > BITPOS s 1 1
        (integer) 8
        > BITPOS s 0 0 0
        (integer) -1
        > BITPOS s 1 7 15 BIT
        (integer) 7
        > BITPOS s 0 -4 -1 BIT
        (integer) 20
        > BITPOS s 1 -1000 1000
        (integer) 0
        > SET f "\xff\xff"
        OK
        > BITPOS f 0
        (integer) 16
        > BITPOS f 0 0
        (integer) 16
        > BITPOS f 0 0 -1
        (integer) -1
        > BITPOS f 0 2
        (integer) -1
        > BITPOS f 1 1 0
        (integer) -1
        > BITPOS none 0
        (integer) 0
        > BITPOS none 1
        (integer) -1
        > BITPOS s 2
        (error) ERR The bit argument must be 1 or 0.
        > BITPOS s 1 x
        (error) ERR value is not an integer or out of range
        > BITPOS s 1 0 x BITS
        (error) ERR syntax error
        > BITPOS s 1 0 x BIT
        (error) ERR value is not an integer or out of range
        > BITPOS s 1 0 1 BIT BIT
        (error) ERR syntax error
        "#,
    );
}

#[test]
fn strings_are_combined() {
    check(
        r#"
        > SET a "\x0f\xff"
        OK
        > SET b "\x3c"
        OK
        > SET c "\xf1"
        OK
        > BITOP AND d a b
        (integer) 2
        > GET d
        "\x0c\x00"
        > BITOP OR d a b c
        (integer) 2
        > GET d
        "\xff\xff"
        > BITOP XOR d a b
        (integer) 2
        > GET d
        "3\xff"
        > BITOP NOT d a
        (integer) 2
        > GET d
        "\xf0\x00"
        > BITOP DIFF d a b c
        (integer) 2
        > GET d
        "\x02\xff"
        > BITOP DIFF1 d a b c
        (integer) 2
        > GET d
        "\xf0\x00"
        > BITOP ANDOR d a b c
        (integer) 2
        > GET d
        "\r\x00"
        > BITOP ONE d a b c
        (integer) 2
        > GET d
        "\xc2\xff"
        > SET n 7
        OK
        > BITOP OR n n
        (integer) 1
        > OBJECT ENCODING n
        "raw"
        > BITOP AND d none
        (integer) 0
        > EXISTS d
        (integer) 0
        > BITOP NOT d a b
        (error) ERR BITOP NOT must be called with a single source key.
        > BITOP DIFF d a
        (error) ERR BITOP DIFF must be called with at least two source keys.
        > BITOP DIFF1 d a
        (error) ERR BITOP DIFF1 must be called with at least two source keys.
        > BITOP ANDOR d a
        (error) ERR BITOP ANDOR must be called with at least two source keys.
        > BITOP NAND d a
        (error) ERR syntax error
        > RPUSH l a
        (integer) 1
        > BITOP OR d a l
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        > BITOP OR l a
        (integer) 2
        > TYPE l
        string
        "#,
    );
}

#[test]
fn fields_of_bits() {
    check(
        r#"
        > BITFIELD f SET u8 0 255 GET u4 2 INCRBY i8 #1 -1 GET i8 8
        1) (integer) 0
        2) (integer) 15
        3) (integer) -1
        4) (integer) -1
        > BITFIELD f OVERFLOW SAT INCRBY u8 0 10 OVERFLOW FAIL INCRBY u8 0 1 OVERFLOW WRAP INCRBY u8 0 2
        1) (integer) 255
        2) (nil)
        3) (integer) 1
        > BITFIELD f SET i64 100 -5 GET i64 100 GET u63 101
        1) (integer) 0
        2) (integer) -5
        3) (integer) 9223372036854775803
        > STRLEN f
        (integer) 21
        > BITFIELD f
        (empty array)
        > BITFIELD none GET u8 0
        1) (integer) 0
        > EXISTS none
        (integer) 0
        > BITFIELD new OVERFLOW FAIL SET u2 30 9
        1) (nil)
        > STRLEN new
        (integer) 4
        > BITFIELD_RO f GET u8 0 GET i5 3
        1) (integer) 1
        2) (integer) 1
        > BITFIELD_RO none
        (empty array)
        > BITFIELD_RO f SET u8 0 1
        (error) ERR BITFIELD_RO only supports the GET subcommand
        > BITFIELD f GET u64 0
        (error) ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.
        > BITFIELD f GET i0 0
        (error) ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.
        > BITFIELD f GET x8 0
        (error) ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.
        > BITFIELD f GET u8 -1
        (error) ERR bit offset is not an integer or out of range
        > BITFIELD f GET u8 #
        (error) ERR bit offset is not an integer or out of range
        > BITFIELD f GET u8 4294967290
        1) (integer) 0
        > BITFIELD f SET u8 0
        (error) ERR syntax error
        > BITFIELD f SET u8 0 x
        (error) ERR value is not an integer or out of range
        > BITFIELD f OVERFLOW NEVER
        (error) ERR Invalid OVERFLOW type specified
        > BITFIELD f NOPE
        (error) ERR syntax error
        > RPUSH l a
        (integer) 1
        > BITFIELD l GET u8 0
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        > BITFIELD l SET u8 0 1
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}
