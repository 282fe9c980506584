//! A cluster of one over a socket: its file, its ports, and what it does with a file that is not its own.

use std::fs;
use std::net::{IpAddr, Ipv6Addr};

use crate::harness::{Client, Folder, run, start, start_in, text};

const ON: &[&str] = &["--save", "", "--cluster-enabled", "yes"];

#[test]
fn the_node_keeps_its_name_over_restarts() {
    let mut server = start(ON);
    let mut client = server.connect();
    let (id, shard) = (client.command(&["CLUSTER", "MYID"]), client.command(&["CLUSTER", "MYSHARDID"]));
    assert_eq!(client.command(&["CLUSTER", "BUMPEPOCH"]), "BUMPED 1");
    assert_eq!(client.command(&["CLUSTER", "BUMPEPOCH"]), "STILL 1");
    assert_eq!(client.command(&["CLUSTER", "SET-CONFIG-EPOCH", "5"]), "-ERR Node config epoch is already non-zero");
    server.signal(libc::SIGKILL);
    server.ended();
    let folder = std::mem::replace(&mut server.folder, Folder::new());
    fs::remove_file(folder.path("port")).expect("the port file");

    let server = start_in(folder, ON, |_| {});
    let mut client = server.connect();
    assert_eq!(client.command(&["CLUSTER", "MYID"]), id);
    assert_eq!(client.command(&["CLUSTER", "MYSHARDID"]), shard);
    assert!(client.command(&["CLUSTER", "INFO"]).contains("cluster_my_epoch:1"));
    assert_eq!(client.command(&["CLUSTER", "RESET", "HARD"]), "OK");
    assert_ne!(client.command(&["CLUSTER", "MYID"]), id);
}

#[test]
fn clients_are_told_the_port_that_the_system_chose() {
    let server = start(ON);
    let mut client = server.connect();
    let port = server.port;
    assert!(client.command(&["CLUSTER", "SLOTS"]).contains(&format!("{port}")));
    assert!(client.command(&["CLUSTER", "NODES"]).contains(&format!(" 127.0.0.1:{port}@")));
    let info = client.command(&["INFO"]);
    for field in [format!("tcp_port:{port}\r\n"), "redis_mode:cluster\r\n".into(), "cluster_enabled:1\r\n".into()] {
        assert!(info.contains(&field), "{field}");
    }
}

#[test]
fn a_file_of_a_real_cluster_keeps_the_server_from_starting() {
    let folder = Folder::new();
    let line = |id: char, flags: &str| {
        let id = id.to_string().repeat(40);
        format!("{id} 127.0.0.1:7000@17000 {flags} - 0 0 1 connected 0-8191\n")
    };
    let file = line('a', "myself,master") + &line('b', "master") + "vars currentEpoch 1 lastVoteEpoch 0\n";
    fs::write(folder.path("nodes.conf"), file).expect("a file");
    let ended = run(&folder, &["--port", "0", "--cluster-enabled", "yes", "--dir", &folder.text("")]);
    assert!(!ended.status.success());
    let said = text(&ended.stdout) + &text(&ended.stderr);
    assert!(said.contains("it tells of several nodes"), "{said}");
}

#[test]
fn clients_are_told_the_address_for_their_kind() {
    const V4: [&str; 4] = ["--cluster-announce-client-ipv4", "10.1.2.3", "--cluster-announce-client-port", "7777"];
    let server = start(&[ON, &V4, &["--cluster-announce-ip", "192.168.0.9"]].concat());
    let mut client = server.connect();
    let told = |client: &mut Client| client.command(&["CLUSTER", "SLOTS"]);
    assert!(told(&mut client).starts_with("[[:0 :16383 [10.1.2.3 :7777 "), "{}", told(&mut client));
    assert!(client.command(&["CLUSTER", "NODES"]).contains(" 10.1.2.3:7777@"));
    assert!(client.command(&["CLUSTER", "SHARDS"]).contains("port :7777 ip 10.1.2.3 endpoint 10.1.2.3 "));
    let mut other = server.connect_at(IpAddr::V6(Ipv6Addr::LOCALHOST));
    assert!(told(&mut other).contains("[192.168.0.9 :7777 "), "{}", told(&mut other));
    assert_eq!(client.command(&["CONFIG", "SET", "cluster-announce-client-ipv6", "fd00::7"]), "OK");
    assert!(told(&mut other).contains("[fd00::7 :7777 "), "{}", told(&mut other));
}
