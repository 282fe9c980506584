//! What a cluster of one says, word for word as 8.2.3 with all slots does, and what it refuses with words of its own.

use crate::config::Config;
use crate::testing::{Playground, check, check_with};

fn cluster(directives: &[(&str, &str)]) -> Config {
    let mut config = Config::default();
    let pairs: Vec<_> = directives.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    config.set(&pairs, true).expect("good directives");
    config.cluster_enabled = true;
    config
}

#[test]
fn without_a_cluster_everything_is_refused_after_the_arity() {
    check(
        r#"
        > CLUSTER
        (error) ERR wrong number of arguments for 'cluster' command
        > CLUSTER FOO
        (error) ERR unknown subcommand 'FOO'. Try CLUSTER HELP.
        > CLUSTER HELP
        (error) ERR This instance has cluster support disabled
        > CLUSTER HELP a
        (error) ERR wrong number of arguments for 'cluster|help' command
        > CLUSTER SLOT-STATS
        (error) ERR wrong number of arguments for 'cluster|slot-stats' command
        > CLUSTER KEYSLOT a
        (error) ERR This instance has cluster support disabled
        > CLUSTER MEET a b
        (error) ERR This instance has cluster support disabled
        > MSET a 1 b 2
        OK
        "#,
    );
}

#[test]
fn the_keys_of_a_request_share_a_slot() {
    check_with(
        cluster(&[]),
        r#"
        > MSET a 1 b 2
        (error) CROSSSLOT Keys in request don't hash to the same slot
        > MSET {a}1 1 {a}2 2
        OK
        > WATCH a b
        (error) CROSSSLOT Keys in request don't hash to the same slot
        > SSUBSCRIBE a b
        (error) CROSSSLOT Keys in request don't hash to the same slot
        > XREAD STREAMS a b 0 0
        (error) CROSSSLOT Keys in request don't hash to the same slot
        > EVAL "return 1" 2 a b
        (error) CROSSSLOT Keys in request don't hash to the same slot
        > SPUBLISH a b
        (integer) 0
        > MULTI
        OK
        > SET a 1
        QUEUED
        > SET b 1
        QUEUED
        > EXEC
        (error) CROSSSLOT Keys in request don't hash to the same slot
        > MULTI
        OK
        > MSET a 1 b 1
        (error) CROSSSLOT Keys in request don't hash to the same slot
        > EXEC
        (error) EXECABORT Transaction discarded because of previous errors.
        > MULTI
        OK
        > SET a 1
        QUEUED
        > GET {a}1
        QUEUED
        > EXEC
        1) OK
        2) "1"
        > SORT {a}l BY x_*
        (error) ERR BY option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots.
        > SORT {a}l GET x_*
        (error) ERR GET option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots.
        > SORT {a}l BY {a}x* GET # GET {a}*
        (empty array)
        "#,
    );
}

#[test]
fn scripts_stay_in_a_slot_unless_they_are_old_or_say_otherwise() {
    check_with(
        cluster(&[]),
        r##"
        > EVAL "return redis.call('mset','a',1,'b',2)" 0
        (error) ERR Command 'mset' in script attempted to access keys that don't hash to the same slot script: 67e9d8b28e31f913e8324fca6f6356da11a9f41f, on @user_script:1.
        > EVAL "redis.call('set','a',1) return redis.call('set','b',2)" 0
        OK
        > EVAL "#!lua\nreturn redis.pcall('set','b',1)" 1 a
        (error) ERR Script attempted to access keys that do not hash to the same slot
        > EVAL "#!lua\nredis.call('set','a',1) return redis.pcall('set','b',1)" 0
        (error) ERR Script attempted to access keys that do not hash to the same slot
        > EVAL "#!lua flags=allow-cross-slot-keys\nredis.call('set','a',1) return redis.call('set','b',1)" 0
        OK
        > EVAL "#!lua flags=no-cluster\nreturn 1" 0
        (error) ERR Can not run script on cluster, 'no-cluster' flag is set.
        "##,
    );
}

#[test]
fn there_is_one_database() {
    check_with(
        cluster(&[]),
        r#"
        > CONFIG GET databases
        1) "databases"
        2) "1"
        > SELECT 0
        OK
        > SELECT 1
        (error) ERR SELECT is not allowed in cluster mode
        > SET a 1
        OK
        > MOVE a 1
        (error) ERR MOVE is not allowed in cluster mode
        > COPY a {a}b DB 1
        (error) ERR DB index is out of range
        > SWAPDB 0 1
        (error) ERR SWAPDB is not allowed in cluster mode
        "#,
    );
}

#[test]
fn keys_by_slot() {
    check_with(
        cluster(&[]),
        r#"
        > MSET {a}1 1 {a}2 2
        OK
        > SET foo 1
        OK
        > CLUSTER KEYSLOT foo
        (integer) 12182
        > CLUSTER KEYSLOT {}
        (integer) 15257
        > CLUSTER COUNTKEYSINSLOT 15495
        (integer) 2
        > CLUSTER GETKEYSINSLOT 12182 10
        1) "foo"
        > CLUSTER GETKEYSINSLOT 0 10
        (empty array)
        > CLUSTER GETKEYSINSLOT 12182 -1
        (error) ERR Invalid slot or number of keys
        > CLUSTER GETKEYSINSLOT 16384 1
        (error) ERR Invalid slot or number of keys
        > CLUSTER COUNTKEYSINSLOT -1
        (error) ERR Invalid slot
        > CLUSTER SLOT-STATS SLOTSRANGE 12182 12182
        1) 1) (integer) 12182
           2) 1) "key-count"
              2) (integer) 1
        > CLUSTER SLOT-STATS ORDERBY key-count LIMIT 1
        1) 1) (integer) 15495
           2) 1) "key-count"
              2) (integer) 2
        > CLUSTER SLOT-STATS ORDERBY key-count LIMIT 1 ASC
        1) 1) (integer) 0
           2) 1) "key-count"
              2) (integer) 0
        > CLUSTER SLOT-STATS ORDERBY cpu-usec
        (error) ERR Unrecognized sort metric for ORDERBY.
        > CLUSTER SLOT-STATS ORDERBY key-count LIMIT 0
        (error) ERR Limit has to lie in between 1 and 16384 (maximum number of slots).
        > CLUSTER SLOT-STATS ORDERBY key-count ASC DESC
        (error) ERR Multiple filters of the same type are disallowed.
        > CLUSTER SLOT-STATS SLOTSRANGE 5 2
        (error) ERR Start slot number 5 is greater than end slot number 2
        > CLUSTER SLOT-STATS SLOTSRANGE 5 6 7
        (error) ERR unknown subcommand or wrong number of arguments for 'SLOT-STATS'. Try CLUSTER HELP.
        "#,
    );
}

#[test]
fn what_slots_were_used_for_is_counted_on_request() {
    let mut playground = Playground::new(cluster(&[("cluster-slot-stats-enabled", "yes")]), 1);
    let mut usage = |line: &str| {
        playground.run("", line.split(' '));
        let usage = playground.server.cluster.as_deref().expect("a cluster").usage(15495);
        (usage.input_bytes, usage.output_bytes)
    };
    assert_eq!(usage("SET a 1"), (27, 5));
    assert_eq!(usage("GET a"), (47, 12));
    assert_eq!(usage("GET"), (47, 12));
    assert_eq!(usage("SET b 1"), (47, 12));
    let told =
        String::from_utf8_lossy(&playground.run("", "CLUSTER SLOT-STATS ORDERBY network-bytes-in LIMIT 1".split(' ')))
            .replace("\r\n", "|");
    assert!(told.starts_with("*1|*2|:15495|*8|$9|key-count|:1|$8|cpu-usec|:"), "{told}");
    assert!(told.ends_with("|$16|network-bytes-in|:47|$17|network-bytes-out|:12|"), "{told}");
    playground.run("", "CONFIG RESETSTAT".split(' '));
    assert_eq!(playground.server.cluster.as_deref().expect("a cluster").usage(15495).input_bytes, 0);
}

#[test]
fn the_cluster_stays_what_it_is() {
    check_with(
        cluster(&[]),
        r#"
        > CLUSTER ADDSLOTS 1
        (error) ERR Slot 1 is already busy
        > CLUSTER ADDSLOTS 99999
        (error) ERR Invalid or out of range slot
        > CLUSTER ADDSLOTSRANGE 1 2 3
        (error) ERR wrong number of arguments for 'cluster|addslotsrange' command
        > CLUSTER ADDSLOTSRANGE 5 3
        (error) ERR start slot number 5 is greater than end slot number 3
        > CLUSTER DELSLOTS 1 1
        (error) ERR Slot 1 specified multiple times
        > CLUSTER DELSLOTS 1
        (error) ERR this node is the whole cluster: its slots cannot be given away
        > CLUSTER DELSLOTSRANGE 0 16383 0 16383
        (error) ERR Slot 16383 specified multiple times
        > CLUSTER FLUSHSLOTS
        (error) ERR this node is the whole cluster: its slots cannot be given away
        > CLUSTER SETSLOT 1 STABLE
        OK
        > CLUSTER SETSLOT 1 STABLE a
        (error) ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP
        > CLUSTER SETSLOT 1 NODE abc
        (error) ERR Unknown node abc
        > CLUSTER SETSLOT 1 MIGRATING abc
        (error) ERR I don't know about node abc
        > CLUSTER SETSLOT 1 IMPORTING abc
        (error) ERR I'm already the owner of hash slot 1
        > CLUSTER SETSLOT 99999 STABLE
        (error) ERR Invalid or out of range slot
        > CLUSTER MEET 127.0.0.1 b
        (error) ERR Invalid base port specified: b
        > CLUSTER MEET 127.0.0.1 1 b
        (error) ERR Invalid bus port specified: b
        > CLUSTER MEET 1.2.3 4
        (error) ERR Invalid node address specified: 1.2.3:4
        > CLUSTER MEET 127.0.0.1 7000
        (error) ERR there is no cluster bus here: this node is the whole cluster
        > CLUSTER FORGET abc
        (error) ERR Unknown node abc
        > CLUSTER REPLICATE abc
        (error) ERR Unknown node abc
        > CLUSTER FAILOVER
        (error) ERR You should send CLUSTER FAILOVER to a replica
        > CLUSTER FAILOVER FOO
        (error) ERR syntax error
        > CLUSTER FAILOVER FORCE a
        (error) ERR unknown subcommand or wrong number of arguments for 'FAILOVER'. Try CLUSTER HELP.
        > CLUSTER SET-CONFIG-EPOCH -1
        (error) ERR Invalid config epoch specified: -1
        > CLUSTER LINKS
        (empty array)
        > SET a 1
        OK
        > CLUSTER RESET
        (error) ERR CLUSTER RESET can't be called with master nodes containing keys
        > DEL a
        (integer) 1
        > CLUSTER RESET
        OK
        > REPLICAOF NO ONE
        (error) ERR REPLICAOF not allowed in cluster mode.
        > READONLY
        OK
        > ASKING
        OK
        "#,
    );
}

/// A node's answer with its two ids written as words.
fn answer(directives: &[(&str, &str)], line: &str) -> String {
    let mut playground = Playground::new(cluster(directives), 1);
    let reply = playground.run("", line.split(' '));
    let node = playground.server.cluster.as_deref().expect("a cluster");
    String::from_utf8_lossy(&reply).replace(&node.node_id, "NODE").replace(&node.shard_id, "SHARD").replace("\r\n", "|")
}

#[test]
fn where_the_slots_are() {
    let plain = &[("port", "7802")];
    assert_eq!(answer(plain, "CLUSTER NODES"), "$93|NODE :7802@17802 myself,master - 0 0 0 connected 0-16383\n|");
    assert_eq!(answer(plain, "CLUSTER SLOTS"), "*1|*3|:0|:16383|*4|$0||:7802|$40|NODE|*0|");
    assert_eq!(
        answer(plain, "CLUSTER SHARDS"),
        "*1|*4|$5|slots|*2|:0|:16383|$5|nodes|*1|*14|$2|id|$40|NODE|$4|port|:7802|$2|ip|$0||$8|endpoint|$0||$4|role|$6|master|\
         $18|replication-offset|:0|$6|health|$6|online|"
    );
    assert_eq!(answer(plain, "CLUSTER MYID"), "$40|NODE|");
    assert_eq!(answer(plain, "CLUSTER MYSHARDID"), "$40|SHARD|");
}

#[test]
fn a_client_of_this_machine_is_told_how_it_came() {
    let mut playground = Playground::new(cluster(&[("port", "7802")]), 1);
    let id = playground.client("");
    for (came, told) in [("127.0.0.1:7802", "$9|127.0.0.1|"), ("[::1]:7802", "$3|::1|"), ("10.0.0.9:7802", "$0||")] {
        playground.server.sessions.get_mut(id).peer.local_address = came.to_owned();
        let slots = playground.run("", ["CLUSTER", "SLOTS"].iter());
        let slots = String::from_utf8_lossy(&slots).replace("\r\n", "|");
        assert!(slots.contains(&format!("*4|{told}:7802|")), "{slots}");
    }
}

#[test]
fn what_is_announced_is_told() {
    let announced = |kind: &'static str| {
        [
            ("cluster-announce-hostname", "host.example"),
            ("cluster-announce-ip", "10.0.0.9"),
            ("cluster-announce-port", "7000"),
            ("cluster-announce-bus-port", "7001"),
            ("cluster-preferred-endpoint-type", kind),
        ]
    };
    let slots = |kind| answer(&announced(kind), "CLUSTER SLOTS");
    let rest = |endpoint: &str, networks: &str| format!("*1|*3|:0|:16383|*4|{endpoint}:7000|$40|NODE|{networks}");
    assert_eq!(slots("ip"), rest("$8|10.0.0.9|", "*2|$8|hostname|$12|host.example|"));
    assert_eq!(slots("hostname"), rest("$12|host.example|", "*2|$2|ip|$8|10.0.0.9|"));
    assert_eq!(slots("unknown-endpoint"), rest("$-1|", "*4|$2|ip|$8|10.0.0.9|$8|hostname|$12|host.example|"));
    let nodes = answer(&announced("ip"), "CLUSTER NODES");
    assert!(nodes.contains("NODE 10.0.0.9:7000@7001,host.example myself,master - 0 0 0 connected 0-16383"), "{nodes}");
}
