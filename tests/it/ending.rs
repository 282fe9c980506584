//! The end of a server that has replicas: they get everything first, for a while.

use crate::harness::{Client, Running, request, start, wait_for};

/// A primary with one replica that has heard everything so far and is stopped, and who writes.
fn with_stopped_replica(timeout_s: &str) -> (Running, Running, Client) {
    let primary = start(&["--save", "", "--shutdown-timeout", timeout_s]);
    let replica = start(&["--save", "", "--replicaof", &format!("127.0.0.1 {}", primary.port)]);
    let (mut writer, mut reader) = (primary.connect(), replica.connect());
    wait_for("the replica", || (reader.info("master_link_status") == "up").then_some(()));
    writer.command(&["SET", "key", "1"]);
    assert_eq!(writer.command(&["WAIT", "1", "0"]), ":1");
    replica.signal(libc::SIGSTOP);
    writer.command(&["SET", "key", "2"]);
    (primary, replica, writer)
}

fn wait_for_the_wait(client: &mut Client) {
    wait_for("the wait", || client.command(&["INFO", "server"]).contains("shutdown_in_milliseconds:").then_some(()));
}

#[test]
fn replicas_get_everything_before_the_end() {
    let (mut primary, replica, mut writer) = with_stopped_replica("300");
    let mut asker = primary.connect();
    asker.send(&request(&["SHUTDOWN"]));
    wait_for_the_wait(&mut writer);
    assert_eq!(writer.info("blocked_clients"), "1");
    // What is written now would be lost.
    let mut late = primary.connect();
    late.send(&request(&["SET", "key", "3"]));
    wait_for("the late one", || (writer.info("blocked_clients") == "2").then_some(()));
    assert_eq!(writer.command(&["GET", "key"]), "2");

    replica.signal(libc::SIGCONT);
    assert!(primary.ended().success());
    assert!(primary.log().contains("1 of 1 replicas are in sync"), "{}", primary.log());
    assert_eq!(replica.connect().command(&["GET", "key"]), "2");
}

#[test]
fn a_replica_is_not_waited_for_without_end() {
    let (mut primary, _replica, mut writer) = with_stopped_replica("1");
    primary.signal(libc::SIGTERM);
    wait_for_the_wait(&mut writer);
    assert!(primary.ended().success());
    let log = primary.log();
    assert!(log.contains("Lagging replica 127.0.0.1") && log.contains("0 of 1 replicas are in sync"), "{log}");
}

#[test]
fn an_end_that_waits_can_be_called_off_or_hastened() {
    let (mut primary, _replica, mut writer) = with_stopped_replica("300");
    assert!(writer.command(&["SHUTDOWN", "ABORT"]).starts_with("-ERR No shutdown in progress"));
    let mut askers = [primary.connect(), primary.connect()];
    askers.iter_mut().for_each(|asker| asker.send(&request(&["SHUTDOWN", "NOSAVE"])));
    wait_for("both", || (writer.info("blocked_clients") == "2").then_some(()));
    let mut late = primary.connect();
    late.send(&request(&["SET", "key", "3"]));
    wait_for("the late one", || (writer.info("blocked_clients") == "3").then_some(()));

    assert_eq!(writer.command(&["SHUTDOWN", "ABORT"]), "OK");
    for asker in &mut askers {
        assert!(asker.reply().starts_with("-ERR Errors trying to SHUTDOWN"));
        assert_eq!(asker.command(&["PING"]), "PONG");
    }
    assert_eq!(late.reply(), "OK");

    primary.signal(libc::SIGTERM);
    wait_for_the_wait(&mut writer);
    writer.send(&request(&["SHUTDOWN", "NOW"]));
    assert!(primary.ended().success());
    assert!(writer.read_to_end().is_empty(), "the closed connection is the answer");
}

#[test]
fn an_interruption_while_it_waits_ends_it_at_once() {
    let (mut primary, _replica, mut writer) = with_stopped_replica("300");
    primary.signal(libc::SIGINT);
    wait_for_the_wait(&mut writer);
    primary.signal(libc::SIGINT);
    assert_eq!(primary.ended().code(), Some(1));
}
