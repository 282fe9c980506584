//! Two servers, or three: one follows another, loses it, finds it again, and takes its place.

use crate::harness::{Client, Folder, Running, start, start_in, wait_for};

const OPTIONS: [&str; 6] = ["--save", "", "--enable-debug-command", "yes", "--repl-timeout", "20"];

fn options<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&OPTIONS[..], more].concat()
}

fn follow(replica: &mut Client, primary: &Running) {
    assert_eq!(replica.command(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]), "OK");
    wait_for_link(replica);
}

fn wait_for_link(replica: &mut Client) {
    wait_for("the link", || (replica.info("master_link_status") == "up").then_some(()));
}

/// Both have heard the whole stream, and have the same data.
fn agree(primary: &mut Client, replica: &mut Client) {
    let offset = |client: &mut Client| client.info("master_repl_offset");
    wait_for("the same offset", || (offset(primary) == offset(replica)).then_some(()));
    assert_eq!(primary.info("master_replid"), replica.info("master_replid"));
    assert_eq!(primary.command(&["DEBUG", "DIGEST"]), replica.command(&["DEBUG", "DIGEST"]));
}

fn fill(client: &mut Client) {
    let value = "v".repeat(500);
    for index in 0..3000 {
        client.command(&["SET", &format!("key:{index}"), &value]);
    }
    client.command(&["RPUSH", "list", "a", "b", "c"]);
    client.command(&["SELECT", "7"]);
    client.command(&["XADD", "stream", "1-1", "field", "value"]);
    client.command(&["FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() return 1 end)"]);
}

/// Changes of every kind that is not journaled as it was asked for.
fn change(client: &mut Client) {
    client.command(&["SELECT", "7"]);
    client.command(&["SADD", "set", "a", "b", "c", "d"]);
    client.command(&["SPOP", "set"]);
    client.command(&["SET", "lapses", "x", "PX", "50"]);
    client.command(&["SET", "stays", "x", "EX", "1000"]);
    client.command(&["EVAL", "redis.call('incr', 'n') redis.call('incrby', 'n', 5) return 1", "0"]);
    for words in [&["MULTI"][..], &["INCR", "n"], &["LPUSH", "l", "1"], &["EXEC"]] {
        client.command(words);
    }
    client.command(&["XGROUP", "CREATE", "stream", "group", "0"]);
    client.command(&["XREADGROUP", "GROUP", "group", "me", "STREAMS", "stream", ">"]);
    wait_for("the lapsed key to go", || (client.command(&["EXISTS", "lapses"]) == ":0").then_some(()));
    client.command(&["SELECT", "0"]);
    client.command(&["BLPOP", "list", "1"]);
}

#[test]
fn a_replica_has_what_its_primary_has() {
    let (primary, replica) = (start(&OPTIONS), start(&OPTIONS));
    let (mut writer, mut reader) = (primary.connect(), replica.connect());
    reader.command(&["SET", "old", "data"]);
    fill(&mut writer);
    follow(&mut reader, &primary);
    agree(&mut writer, &mut reader);
    assert_eq!(reader.command(&["GET", "old"]), "(nil)");
    assert_eq!([writer.info("connected_clients"), reader.info("connected_clients")], ["1", "2"]);
    assert_eq!(reader.command(&["FCALL", "f", "0"]).as_bytes()[0], b'-', "it might write");

    let mut waiting = replica.connect();
    waiting.command(&["SELECT", "7"]);
    waiting.send(&crate::harness::request(&["XREAD", "BLOCK", "0", "STREAMS", "stream", "$"]));
    wait_for("the reader", || (reader.info("blocked_clients") == "1").then_some(()));
    change(&mut writer);
    writer.command(&["SELECT", "7"]);
    writer.command(&["XADD", "stream", "2-1", "more", "data"]);
    assert!(waiting.reply().contains("2-1"));
    assert_eq!(writer.command(&["WAIT", "1", "0"]), ":1");
    agree(&mut writer, &mut reader);

    assert_eq!(reader.command(&["SET", "a", "b"]), "-READONLY You can't write against a read only replica.");
    let role = reader.command(&["ROLE"]);
    assert!(role.starts_with(&format!("[slave 127.0.0.1 :{} connected ", primary.port)), "{role}");
    assert!(reader.command(&["CLIENT", "LIST", "TYPE", "master"]).contains(" flags=M "));
    assert!(writer.info("slave0").contains(&format!("port={},state=online", replica.port)));
    assert!(replica.log().contains("MASTER <-> REPLICA sync: Finished with success"));
}

#[test]
fn a_link_that_breaks_is_found_again_and_nothing_is_sent_twice() {
    let (primary, replica) = (start(&OPTIONS), start(&OPTIONS));
    let (mut writer, mut reader) = (primary.connect(), replica.connect());
    fill(&mut writer);
    follow(&mut reader, &primary);
    for round in 0..5 {
        writer.command(&["SELECT", "3"]);
        let kind = if round % 2 == 0 { (&mut writer, "replica") } else { (&mut reader, "master") };
        assert_eq!(kind.0.command(&["CLIENT", "KILL", "TYPE", kind.1]), ":1");
        for index in 0..200 {
            writer.command(&["RPUSH", "list", &format!("{round}-{index}")]);
        }
        writer.command(&["WAIT", "1", "0"]);
        agree(&mut writer, &mut reader);
    }
    assert_eq!([writer.info("sync_full"), writer.info("sync_partial_ok")], ["1", "5"]);
}

#[test]
fn a_replica_takes_the_place_of_its_primary() {
    let mut primary = start(&OPTIONS);
    let (middle, last) = (start(&OPTIONS), start(&OPTIONS));
    let (mut writer, mut heir, mut third) = (primary.connect(), middle.connect(), last.connect());
    fill(&mut writer);
    follow(&mut heir, &primary);
    // A replica's replica hears what the primary says.
    writer.command(&["SELECT", "5"]);
    writer.command(&["SET", "before", "1"]);
    writer.command(&["WAIT", "1", "0"]);
    follow(&mut third, &middle);
    writer.command(&["SET", "behind", "2"]);
    writer.command(&["WAIT", "1", "0"]);
    agree(&mut writer, &mut third);
    let history = heir.info("master_replid");

    primary.signal(libc::SIGKILL);
    primary.ended();
    wait_for("the loss", || (heir.info("master_link_status") == "down").then_some(()));
    heir.command(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
    assert!(heir.command(&["GET", "before"]).starts_with("-MASTERDOWN "));
    assert_eq!(heir.command(&["REPLICAOF", "NO", "ONE"]), "OK");
    assert_eq!(heir.info("role"), "master");
    assert_eq!(heir.info("master_replid2"), history);
    heir.command(&["SET", "new", "era"]);
    // The third goes on without a snapshot.
    wait_for_link(&mut third);
    agree(&mut heir, &mut third);
    assert!(heir.info("sync_partial_ok") == "1");
    assert_eq!(third.command(&["GET", "new"]), "era");
}

#[test]
fn what_a_replica_has_taken_over_is_in_its_log() {
    let primary = start(&OPTIONS);
    let mut writer = primary.connect();
    let address = format!("127.0.0.1 {}", primary.port);
    let mut server = start(&options(&["--appendonly", "yes"]));
    let mut reader = server.connect();
    reader.command(&["SET", "old", "data"]);
    fill(&mut writer);
    follow(&mut reader, &primary);
    change(&mut writer);
    writer.command(&["WAIT", "1", "0"]);
    writer.command(&["CONFIG", "SET", "repl-ping-replica-period", "100"]);
    assert_eq!(writer.command(&["WAITAOF", "0", "0", "0"]), "[:0 :0]");
    agree(&mut writer, &mut reader);
    let digest = writer.command(&["DEBUG", "DIGEST"]);
    wait_for("the new base", || (reader.info("aof_rewrite_in_progress") == "0").then_some(()));
    reader.command(&["CONFIG", "SET", "appendfsync", "always"]);
    server.signal(libc::SIGKILL);
    server.ended();
    let folder = std::mem::replace(&mut server.folder, Folder::new());
    std::fs::remove_file(folder.path("port")).expect("the last run's port file");
    let again = start_in(folder, &options(&["--appendonly", "yes"]), |_| {});
    assert_eq!(again.connect().command(&["DEBUG", "DIGEST"]), digest);

    // One that is told of its primary at its start has nothing to begin with.
    let fresh = start(&options(&["--replicaof", &address]));
    let mut reader = fresh.connect();
    wait_for_link(&mut reader);
    agree(&mut writer, &mut reader);
}

#[test]
fn a_stream_goes_on_in_its_database_after_an_attempt_that_failed() {
    let servers = [start(&OPTIONS), start(&OPTIONS), start(&OPTIONS)];
    let [mut writer, mut middle, mut last] = [0, 1, 2].map(|at| servers[at].connect());
    for client in [&mut writer, &mut last] {
        client.command(&["SELECT", "9"]);
    }
    follow(&mut middle, &servers[0]);
    follow(&mut last, &servers[1]);
    writer.command(&["INCR", "n"]);
    agree(&mut writer, &mut last);

    middle.command(&["REPLICAOF", "127.0.0.1", "1"]);
    wait_for("the refusal", || servers[2].log().contains("NOMASTERLINK").then_some(()));
    follow(&mut middle, &servers[0]);
    wait_for_link(&mut last);
    assert_eq!(last.info("master_current_sync_attempts"), "0");
    assert_eq!(middle.info("sync_partial_ok"), "1", "nothing of it came in a snapshot");
    writer.command(&["INCR", "n"]);
    agree(&mut writer, &mut last);
    assert_eq!(last.command(&["GET", "n"]), "2");
}

#[test]
fn a_replica_that_is_paused_hears_its_primary_later() {
    let (primary, replica) = (start(&OPTIONS), start(&OPTIONS));
    let (mut writer, mut reader) = (primary.connect(), replica.connect());
    follow(&mut reader, &primary);
    writer.command(&["SET", "key", "1"]);
    agree(&mut writer, &mut reader);
    let before = reader.info("slave_repl_offset");
    reader.command(&["CLIENT", "PAUSE", "100000", "WRITE"]);
    writer.command(&["SET", "key", "2"]);
    let sent = writer.info("master_repl_offset");
    wait_for("the bytes", || (reader.info("slave_read_repl_offset") == sent).then_some(()));
    assert_eq!(reader.info("slave_repl_offset"), before);
    assert_eq!(reader.command(&["GET", "key"]), "1");
    reader.command(&["CLIENT", "UNPAUSE"]);
    agree(&mut writer, &mut reader);
    assert_eq!(reader.command(&["GET", "key"]), "2");
}

#[test]
fn a_replica_keeps_what_its_primary_has_not_removed_yet() {
    let (primary, replica) = (start(&OPTIONS), start(&OPTIONS));
    let (mut writer, mut reader) = (primary.connect(), replica.connect());
    follow(&mut reader, &primary);
    writer.command(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
    writer.command(&["PFADD", "log", "a", "b"]);
    writer.command(&["PEXPIRE", "log", "20"]);
    agree(&mut writer, &mut reader);
    wait_for("its end", || (reader.command(&["EXISTS", "log"]) == ":0").then_some(()));
    for words in [&["PFCOUNT", "log"][..], &["PFCOUNT", "log", "log"], &["STRLEN", "log"]] {
        assert_eq!(reader.command(words), ":0");
        assert_eq!(reader.command(&["DBSIZE"]), ":1", "after {words:?}");
    }
}

#[test]
fn a_replica_that_lets_clients_write_deletes_what_they_let_lapse() {
    let (primary, replica) = (start(&OPTIONS), start(&options(&["--replica-read-only", "no"])));
    let (mut writer, mut client) = (primary.connect(), replica.connect());
    follow(&mut client, &primary);
    assert_eq!(client.command(&["SET", "own", "1", "PX", "20"]), "OK");
    assert_eq!(client.command(&["EVAL", "return redis.call('set', KEYS[1], 2, 'px', 20)", "1", "scripted"]), "OK");
    wait_for("the keys to go", || (client.info("expired_keys") == "2").then_some(()));
    // The primary's own it leaves alone, though nobody can see them.
    writer.command(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
    writer.command(&["SET", "theirs", "1", "PX", "20"]);
    writer.command(&["WAIT", "1", "0"]);
    wait_for("the key's end", || (client.command(&["GET", "theirs"]) == "(nil)").then_some(()));
    assert_eq!(client.command(&["DBSIZE"]), ":1");
}

#[test]
fn a_primary_that_asks_for_a_password_is_given_it() {
    let primary = start(&options(&["--requirepass", "secret"]));
    let replica = start(&OPTIONS);
    let mut client = replica.connect();
    assert_eq!(client.command(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]), "OK");
    wait_for("the refusal", || replica.log().contains("NOAUTH").then_some(()));
    client.command(&["CONFIG", "SET", "masterauth", "wrong"]);
    wait_for("the next refusal", || replica.log().contains("Unable to AUTH to MASTER").then_some(()));
    client.command(&["CONFIG", "SET", "masteruser", "default", "masterauth", "secret"]);
    wait_for_link(&mut client);
}

#[test]
fn a_command_that_fails_here_ends_the_server_where_that_is_wanted() {
    let (primary, mut replica) = (start(&OPTIONS), start(&options(&["--hide-user-data-from-log", "yes"])));
    let (mut writer, mut reader) = (primary.connect(), replica.connect());
    follow(&mut reader, &primary);
    for (key, behaviour) in [("one", "ignore"), ("other", "panic-on-replicas")] {
        reader.command(&["CONFIG", "SET", "replica-read-only", "no", "propagation-error-behavior", behaviour]);
        reader.command(&["SET", key, "no list"]);
        reader.command(&["CONFIG", "SET", "replica-read-only", "yes"]);
        assert_eq!(writer.command(&["RPUSH", key, "item"]), ":1");
        if behaviour == "ignore" {
            wait_for("the error", || (reader.info("unexpected_error_replies") == "1").then_some(()));
        }
    }
    assert_eq!(replica.ended().code(), Some(1));
    let log = replica.log();
    assert!(log.contains("== CRITICAL == The primary's 'rpush' was answered here with an error: *redacted*"), "{log}");
    assert!(log.contains("(propagation-error-behavior is not 'ignore')"), "{log}");
}

#[test]
fn clients_hear_who_follows_and_where_it_is() {
    let (primary, replica) = (start(&OPTIONS), start(&options(&["--availability-zone", "north-1"])));
    let mut reader = replica.connect();
    follow(&mut reader, &primary);
    assert!(reader.command(&["HELLO"]).contains(" role replica "), "{}", reader.command(&["HELLO"]));
    assert!(reader.command(&["HELLO"]).ends_with(" availability_zone north-1]"));
    assert_eq!(reader.info("availability_zone"), "north-1");
    assert!(primary.connect().command(&["HELLO"]).ends_with(" role master modules []]"));
}
