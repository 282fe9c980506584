//! The snapshot file over restarts: what is saved is there again, and a broken file keeps the server from starting.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::harness::{Folder, request, run, start, start_in, text, wait_for};

const NEVER: &[&str] = &["--save", ""];

#[test]
fn what_was_saved_is_there_after_a_restart() {
    let mut server = start(NEVER);
    let mut client = server.connect();
    for at in 0..1000 {
        client.command(&["SET", &format!("key:{at}"), &"x".repeat(at)]);
    }
    client.command(&["RPUSH", "list", "a", "b"]);
    client.command(&["PEXPIRE", "key:7", "1"]);
    assert_eq!(client.command(&["SAVE"]), "OK");
    client.command(&["SET", "not saved", "x"]);
    server.signal(libc::SIGTERM);
    assert!(server.ended().success());
    let folder = std::mem::replace(&mut server.folder, Folder::new());
    let left = fs::read_dir(folder.path("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| name.contains("rdb")).collect::<Vec<_>>(), ["dump.rdb"]);

    fs::remove_file(folder.path("port")).unwrap();
    let server = start_in(folder, NEVER, |_| {});
    let mut client = server.connect();
    assert_eq!(client.command(&["DBSIZE"]), ":1000", "{}", server.log());
    assert_eq!(client.command(&["STRLEN", "key:999"]), ":999");
    assert!(server.log().contains("Done loading RDB, keys loaded: 1000, keys expired: 1."), "{}", server.log());
}

#[test]
fn the_end_saves_where_there_are_save_rules_and_not_else() {
    for (rules, word, exists) in
        [("3600 1", None, true), ("", None, false), ("3600 1", Some("NOSAVE"), false), ("", Some("SAVE"), true)]
    {
        let mut server = start(&["--save", rules]);
        server.connect().command(&["SET", "a", "1"]);
        match word {
            Some(word) => server.connect().send(&request(&["SHUTDOWN", word])),
            None => server.signal(libc::SIGTERM),
        }
        assert!(server.ended().success());
        assert_eq!(server.folder.path("dump.rdb").exists(), exists, "{rules} {word:?}");
    }
}

/// Before its base is written a log is of no use: an end in that moment is refused, or it comes too late to do harm.
#[test]
fn a_log_that_has_just_begun_is_finished_before_the_end() {
    let mut server = start(&["--save", "", "--enable-debug-command", "yes"]);
    let mut client = server.connect();
    assert_eq!(client.command(&["DEBUG", "POPULATE", "500000"]), "OK");
    assert_eq!(client.command(&["CONFIG", "SET", "appendonly", "yes"]), "OK");
    client.send(&request(&["SHUTDOWN"]));
    if client.read_some().starts_with(b"-ERR Errors trying to SHUTDOWN") {
        assert!(server.log().contains("Writing initial AOF, can't exit"), "{}", server.log());
        wait_for("the base", || (client.info("aof_rewrite_in_progress") == "0").then_some(()));
        client.send(&request(&["SHUTDOWN"]));
    }
    assert!(server.ended().success());
    let folder = std::mem::replace(&mut server.folder, Folder::new());
    fs::remove_file(folder.path("port")).unwrap();
    let server = start_in(folder, &["--save", "", "--appendonly", "yes"], |_| {});
    assert_eq!(server.connect().command(&["DBSIZE"]), ":500000", "{}", server.log());
}

#[test]
fn where_nothing_can_be_saved_the_end_is_refused() {
    let server = start(&["--save", "3600 1"]);
    fs::create_dir(server.folder.path("dump.rdb")).unwrap();
    let mut client = server.connect();
    client.command(&["SET", "a", "1"]);
    assert_eq!(client.command(&["SAVE"]), "-ERR");
    assert_eq!(client.command(&["SHUTDOWN"]), "-ERR Errors trying to SHUTDOWN. Check logs.");
    assert!(server.log().contains("Error saving the DB: "), "{}", server.log());
    assert_eq!(client.command(&["GET", "a"]), "1");
}

#[test]
fn a_broken_file_keeps_the_server_from_starting() {
    let mut server = start(NEVER);
    let mut client = server.connect();
    client.command(&["SET", "a", "some text"]);
    client.command(&["SAVE"]);
    server.signal(libc::SIGTERM);
    server.ended();
    let folder = std::mem::replace(&mut server.folder, Folder::new());
    let mut bytes = fs::read(folder.path("dump.rdb")).unwrap();
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    fs::write(folder.path("dump.rdb"), &bytes).unwrap();

    let output = run(&folder, &["--port", "0", "--port-file", &folder.text("port"), "--save", ""]);
    assert!(!output.status.success());
    let log = text(&output.stdout);
    assert!(log.contains("dump.rdb") && log.contains("offset"), "{log}");

    let output = run(&folder, &["--check-rdb", &folder.text("dump.rdb")]);
    assert!(!output.status.success() && text(&output.stdout).contains("--- RDB ERROR DETECTED ---"));
    bytes[last] ^= 1;
    fs::write(folder.path("dump.rdb"), &bytes).unwrap();
    // Under the tool's own name it is that tool.
    let tool = folder.path("redis-check-rdb");
    symlink(env!("CARGO_BIN_EXE_runnel-server"), &tool).unwrap();
    let output = Command::new(&tool).arg(folder.path("dump.rdb")).output().unwrap();
    assert!(text(&output.stdout).contains("\\o/ RDB looks OK! \\o/\n[info] 1 keys read"), "{}", text(&output.stdout));
}

#[test]
fn a_request_of_the_log_that_fails_ends_the_start_where_that_is_wanted() {
    for (behaviour, starts) in [("panic-on-replicas", true), ("panic", false)] {
        let folder = Folder::new();
        fs::create_dir(folder.path("appendonlydir")).expect("a folder");
        let text = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n*3\r\n$5\r\nRPUSH\r\n$1\r\na\r\n$1\r\nb\r\n";
        fs::write(folder.path("appendonlydir/appendonly.aof.1.incr.aof"), text).expect("a log");
        let manifest = "file appendonly.aof.1.incr.aof seq 1 type i\n";
        fs::write(folder.path("appendonlydir/appendonly.aof.manifest"), manifest).expect("a manifest");
        let options = ["--appendonly", "yes", "--propagation-error-behavior", behaviour];
        if starts {
            assert_eq!(start_in(folder, &options, |_| {}).connect().command(&["GET", "a"]), "b");
        } else {
            let port_file = folder.text("port");
            let output = run(&folder, &[&options[..], &["--port", "0", "--port-file", &port_file]].concat());
            assert_eq!(output.status.code(), Some(1));
            let said = crate::harness::text(&output.stdout) + &crate::harness::text(&output.stderr);
            assert!(said.contains("was answered with '-WRONGTYPE "), "{said}");
        }
    }
}

#[test]
fn a_log_that_cannot_be_loaded_again_stays_as_it_is() {
    let server = start(&["--appendonly", "yes", "--save", "", "--enable-debug-command", "yes"]);
    let mut client = server.connect();
    client.command(&["CONFIG", "SET", "propagation-error-behavior", "panic"]);
    let library = "#!lua name=l\nredis.register_function('f', function() return 'here' end)";
    assert_eq!(client.command(&["FUNCTION", "LOAD", library]), "l");
    assert_eq!(client.command(&["SET", "key", "value"]), "OK");
    assert_eq!(client.command(&["DEBUG", "LOADAOF"]), "OK");
    assert_eq!([client.command(&["FCALL", "f", "0"]), client.command(&["GET", "key"])], ["here", "value"]);

    let path = server.folder.path("appendonlydir/appendonly.aof.1.incr.aof");
    let mut log = fs::read(&path).expect("a log");
    log.extend_from_slice(b"*1\r\n$6\r\nNOSUCH\r\n");
    fs::write(&path, &log).expect("a writable log");
    let refused = client.command(&["DEBUG", "LOADAOF"]);
    assert_eq!(refused, "-ERR Error trying to load the AOF files, check server logs");
    assert_eq!(client.command(&["SET", "other", "value"]), "OK");
    assert_eq!(client.command(&["CONFIG", "GET", "appendonly"]), "[appendonly no]");
    assert_eq!(fs::read(&path).expect("a log"), log);
    assert_eq!(client.command(&["CONFIG", "SET", "appendonly", "yes"]), "OK");
    wait_for("a new log", || (client.info("aof_rewrite_in_progress") == "0").then_some(()));
    assert_eq!(client.command(&["DEBUG", "LOADAOF"]), "OK");
    assert_eq!(client.command(&["GET", "other"]), "value");
}
