//! Dialogues with the geo commands; the replies are those of redis-server 8.2.3.

use crate::testing::check;

#[test]
fn places_are_added_and_shown() {
    check(
        r#"
        > GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
        (integer) 2
        > GEOADD g CH 13.361389 38.115556 Palermo 2.349014 48.864716 Paris
        (integer) 1
        > GEOADD g NX 0 0 Paris
        (integer) 0
        > GEOADD g XX CH 2.35 48.86 Paris 0 0 Nowhere
        (integer) 1
        > GEOPOS g Palermo Nowhere Paris
        1) 1) "13.361389338970184"
           2) "38.1155563954963"
        2) (nil)
        3) 1) "2.349998652935028"
           2) "48.860001126145136"
        > GEOPOS none a
        1) (nil)
        > GEOPOS g
        (empty array)
        > GEOHASH g Palermo Nowhere Catania
        1) "sqc8b49rny0"
        2) (nil)
        3) "sqdtr74hyu0"
        > GEODIST g Palermo Catania
        "166274.1516"
        > GEODIST g Palermo Catania KM
        "166.2742"
        > GEODIST g Palermo Catania ft
        "545518.8700"
        > GEODIST g Palermo Nowhere
        (nil)
        > GEODIST none a b
        (nil)
        > ZSCORE g Palermo
        "3479099956230698"
        > TYPE g
        zset
        "#,
    );
}

#[test]
fn places_are_refused() {
    check(
        r#"
        > GEOADD g 181 0 a
        (error) ERR invalid longitude,latitude pair 181.000000,0.000000
        > GEOADD g 0 85.06 a
        (error) ERR invalid longitude,latitude pair 0.000000,85.060000
        > GEOADD g x 0 a
        (error) ERR value is not a valid float
        > GEOADD g NX XX 0 0 a
        (error) ERR syntax error
        > GEOADD g NX 0 0
        (error) ERR syntax error
        > GEOADD g 0 0 a 1
        (error) ERR syntax error
        > EXISTS g
        (integer) 0
        > GEODIST g a b cm
        (error) ERR unsupported unit provided. please use M, KM, FT, MI
        > GEODIST g a b m x
        (error) ERR syntax error
        > RPUSH l a
        (integer) 1
        > GEOADD l 0 0 a
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        > GEOPOS l a
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        > GEOSEARCH l FROMMEMBER a BYRADIUS x m
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn searches() {
    check(
        r#"
        > GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 2.349014 48.864716 Paris 12.758489 38.788135 edge
        (integer) 4
        > GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC
        1) "Catania"
        2) "Palermo"
        > GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km ASC WITHCOORD WITHDIST WITHHASH
        1) 1) "Catania"
           2) "56.4413"
           3) (integer) 3479447370796909
           4) 1) "15.087267458438873"
              2) "37.50266842333162"
        2) 1) "Palermo"
           2) "190.4424"
           3) (integer) 3479099956230698
           4) 1) "13.361389338970184"
              2) "38.1155563954963"
        3) 1) "edge"
           2) "279.7405"
           3) (integer) 3479273021651468
           4) 1) "12.75848776102066"
              2) "38.78813451624225"
        > GEOSEARCH g FROMMEMBER Paris BYRADIUS 1 m
        1) "Paris"
        > GEOSEARCH g FROMMEMBER Palermo BYRADIUS 2000 km COUNT 2
        1) "Palermo"
        2) "edge"
        > GEOSEARCH g FROMMEMBER Palermo BYRADIUS 2000 km DESC COUNT 1
        1) "Paris"
        > GEOSEARCH g BYRADIUS 2000 km FROMMEMBER Palermo COUNT 1 ANY
        1) "Palermo"
        > GEORADIUS g 15 37 200 km WITHDIST ASC
        1) 1) "Catania"
           2) "56.4413"
        2) 1) "Palermo"
           2) "190.4424"
        > GEORADIUSBYMEMBER g Catania 200 km DESC
        1) "Palermo"
        2) "Catania"
        > GEORADIUS_RO g 15 37 100 mi ASC COUNT 1
        1) "Catania"
        > GEORADIUSBYMEMBER_RO g Catania 10 km
        1) "Catania"
        > GEOSEARCH none FROMMEMBER a BYRADIUS 1 m
        (empty array)
        > GEORADIUSBYMEMBER none a x cm
        (empty array)
        > GEOSEARCH g FROMMEMBER Paris BYRADIUS 1 m WITHDIST WITHCOORD
        1) 1) "Paris"
           2) "0.0000"
           3) 1) "2.3490116000175476"
              2) "48.8647157075015"
        "#,
    );
}

#[test]
fn searches_are_stored() {
    check(
        r#"
        > GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
        (integer) 2
        > GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 300 km
        (integer) 2
        > ZRANGE d 0 -1 WITHSCORES
        1) "Palermo"
        2) "3479099956230698"
        3) "Catania"
        4) "3479447370796909"
        > GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 100 km STOREDIST
        (integer) 1
        > ZRANGE d 0 -1 WITHSCORES
        1) "Catania"
        2) "56.4412578701582"
        > GEORADIUS g 15 37 300 km STORE d COUNT 1
        (integer) 1
        > ZRANGE d 0 -1
        1) "Catania"
        > GEORADIUSBYMEMBER g Palermo 300 km STOREDIST g
        (integer) 2
        > ZRANGE g 0 -1 WITHSCORES
        1) "Palermo"
        2) "0"
        3) "Catania"
        4) "166.27415156960032"
        > GEOSEARCHSTORE d none FROMLONLAT 15 37 BYRADIUS 1 m
        (integer) 0
        > EXISTS d
        (integer) 0
        "#,
    );
}

#[test]
fn searches_are_refused() {
    check(
        r#"
        > GEOADD g 0 0 a
        (integer) 1
        > GEOSEARCH g FROMMEMBER b BYRADIUS 1 m
        (error) ERR could not decode requested zset member
        > GEOSEARCH g FROMMEMBER a FROMLONLAT 0 0 BYRADIUS 1 m
        (error) ERR syntax error
        > GEOSEARCH g FROMMEMBER a BYRADIUS 1 m BYBOX 1 1 m
        (error) ERR syntax error
        > GEOSEARCH g FROMMEMBER a ASC DESC ASC
        (error) ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH
        > GEOSEARCH g BYRADIUS 1 m ASC DESC
        (error) ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH
        > GEOSEARCH g FROMMEMBER a BYRADIUS -1 m
        (error) ERR radius cannot be negative
        > GEOSEARCH g FROMMEMBER a BYRADIUS x m
        (error) ERR need numeric radius
        > GEOSEARCH g FROMMEMBER a BYRADIUS 1 cm
        (error) ERR unsupported unit provided. please use M, KM, FT, MI
        > GEOSEARCH g FROMMEMBER a BYBOX x 1 m
        (error) ERR need numeric width
        > GEOSEARCH g FROMMEMBER a BYBOX 1 x m
        (error) ERR need numeric height
        > GEOSEARCH g FROMMEMBER a BYBOX 1 -1 m
        (error) ERR height or width cannot be negative
        > GEOSEARCH g FROMMEMBER a BYRADIUS 1 m COUNT 0
        (error) ERR COUNT must be > 0
        > GEOSEARCH g FROMMEMBER a BYRADIUS 1 m COUNT x
        (error) ERR value is not an integer or out of range
        > GEOSEARCH g FROMMEMBER a BYRADIUS 1 m ANY
        (error) ERR the ANY argument requires COUNT argument
        > GEOSEARCH g FROMMEMBER a BYRADIUS 1 m STOREDIST
        (error) ERR syntax error
        > GEOSEARCHSTORE d g FROMMEMBER a BYRADIUS 1 m WITHDIST
        (error) ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options
        > GEOSEARCHSTORE d g FROMMEMBER a ASC STOREDIST
        (error) ERR wrong number of arguments for 'geosearchstore' command
        > GEORADIUS g 0 0 1 m STORE d WITHHASH
        (error) ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options
        > GEORADIUS g 0 200 1 m
        (error) ERR invalid longitude,latitude pair 0.000000,200.000000
        > GEORADIUS_RO g 0 0 1 m STORE d
        (error) ERR syntax error
        "#,
    );
}

#[test]
fn places_equally_far_come_in_the_order_of_redis() {
    check(
        r#"
        > GEOADD g 179.99999 37 300 15.087269 -85.05112878 ab 179.99999 38.115556 m7 15.087269 48.864716 a 0 -33.8 m3 13.5 0 m5
        (integer) 6
        > GEOADD g 13.361389 40.7 m7 179.99999 -85.05112878 "" 15.087269 48.864716 1 179.99999 37 0.5 -0.127758 0 m6 13.5 48.864716 m9
        (integer) 5
        > GEOSEARCH g FROMMEMBER m5 BYRADIUS 20000 KM COUNT 10
         1) "m5"
         2) "m6"
         3) "m3"
         4) "m7"
         5) "m9"
         6) "a"
         7) "1"
         8) "ab"
         9) ""
        10) "0.5"
        "#,
    );
}
