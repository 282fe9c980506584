//! Disks as they are: slow to be read, full, read-only, gone. What clients are told meanwhile, and that it passes by itself.

use std::ffi::CString;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::harness::{Client, Folder, Running, request, start, start_in, wait_for};

/// A snapshot of so many keys.
fn large_snapshot(keys: usize) -> Vec<u8> {
    let mut file = b"REDIS0010\xFE\x00".to_vec();
    for key in 0..keys {
        let name = format!("key:{key:010}");
        file.extend([0, name.len() as u8]);
        file.extend_from_slice(name.as_bytes());
        file.extend(b"\x05value");
    }
    file.push(0xFF);
    file.extend([0; 8]);
    file
}

/// Starts with the file there is to be loaded; somebody connects at once.
#[track_caller]
fn check_loading(folder: Folder, options: &[&str], keys: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let port_text = port.to_string();
    let options: Vec<String> =
        options.iter().chain(&["--bind", "127.0.0.1", "--save", ""]).map(|word| word.to_string()).collect();
    // The harness waits for the port file, which is written when all is loaded; this client does not.
    let early = std::thread::spawn(move || {
        let mut client = wait_for("a connection", || {
            let socket = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
            socket.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
            Some(Client::over(socket))
        });
        let refused = client.command(&["GET", "key:0000000001"]);
        let told: Vec<String> = ["loading", "loading_total_bytes", "loading_loaded_perc", "async_loading"]
            .iter()
            .map(|field| client.info(field))
            .collect();
        let allowed = client.command(&["CONFIG", "GET", "dbfilename"]);
        let also_refused = client.command(&["SAVE"]);
        (refused, told, allowed, also_refused)
    });
    let words: Vec<&str> = options.iter().map(String::as_str).collect();
    let server = start_in(folder, &words, |command: &mut Command| {
        command.args(["--port", &port_text]);
    });
    let (refused, told, allowed, also_refused) = early.join().expect("the early client");
    assert_eq!(refused, "-LOADING Redis is loading the dataset in memory");
    assert_eq!(told[0], "1");
    assert!(told[1].parse::<usize>().unwrap() > keys * 15, "{told:?}");
    assert!(told[2].parse::<f64>().unwrap() <= 100.0, "{told:?}");
    assert!(allowed.contains("dump.rdb"), "{allowed}");
    assert!(also_refused.starts_with("-LOADING"), "{also_refused}");
    let mut client = server.connect();
    assert_eq!(client.command(&["GET", "key:0000000001"]), "value");
    assert_eq!(client.command(&["DBSIZE"]), format!(":{keys}"));
    assert_eq!(client.info("loading"), "0");
}

const KEYS: usize = 700_000;

#[test]
fn clients_are_told_while_a_snapshot_is_loaded() {
    let folder = Folder::new();
    fs::write(folder.path("dump.rdb"), large_snapshot(KEYS)).unwrap();
    check_loading(folder, &[], KEYS);
}

#[test]
fn clients_are_told_while_a_log_is_loaded() {
    let folder = Folder::new();
    fs::create_dir(folder.path("appendonlydir")).unwrap();
    let manifest = "file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n";
    fs::write(folder.path("appendonlydir/appendonly.aof.manifest"), manifest).unwrap();
    fs::write(folder.path("appendonlydir/appendonly.aof.1.base.rdb"), large_snapshot(KEYS)).unwrap();
    fs::write(folder.path("appendonlydir/appendonly.aof.1.incr.aof"), request(&["SELECT", "0"])).unwrap();
    check_loading(folder, &["--appendonly", "yes"], KEYS);
}

/// The log that is switched on while clients write has everything: what was there, and what came while its base was being written.
#[test]
fn a_log_that_is_switched_on_has_everything() {
    const BEFORE: usize = 100_000;
    let mut server = start(&["--save", "", "--enable-debug-command", "yes"]);
    let mut client = server.connect();
    client.command(&["DEBUG", "POPULATE", &BEFORE.to_string(), "before"]);
    assert_eq!(client.command(&["CONFIG", "SET", "appendonly", "yes"]), "OK");
    let mut after = 0;
    let mut seen_running = false;
    let mut settled = 0;
    while settled < 20 {
        assert_eq!(client.command(&["SET", &format!("after:{after}"), "x"]), "OK");
        after += 1;
        let is_running = client.info("aof_rewrite_in_progress") == "1";
        seen_running |= is_running;
        settled += usize::from(!is_running && client.info("aof_enabled") == "1");
    }
    assert!(seen_running, "the base is written in the background");
    let manifest = fs::read_to_string(server.folder.path("appendonlydir/appendonly.aof.manifest")).unwrap();
    assert_eq!(manifest.lines().count(), 2, "{manifest}");
    server.signal(libc::SIGKILL);
    server.ended();
    let folder = std::mem::replace(&mut server.folder, Folder::new());
    fs::remove_file(folder.path("port")).unwrap();
    let server = start_in(folder, &["--appendonly", "yes", "--save", ""], |_| {});
    assert_eq!(server.connect().command(&["DBSIZE"]), format!(":{}", BEFORE + after));
}

/// A base of requests holds one moment, too, and is written beside the loop.
#[test]
fn a_base_of_requests_is_of_one_moment() {
    let options =
        ["--appendonly", "yes", "--aof-use-rdb-preamble", "no", "--save", "", "--enable-debug-command", "yes"];
    let mut server = start(&options);
    let mut client = server.connect();
    client.command(&["DEBUG", "POPULATE", "50000", "key"]);
    client.command(&["EVAL", LARGE_COLLECTIONS, "0"]);
    client.command(&["SET", "long", &"x".repeat(100_000)]);
    client.command(&["FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 1 end)"]);
    client.command(&["BGREWRITEAOF"]);
    let mut rounds = 0;
    let mut seen_running = false;
    while client.info("aof_rewrite_in_progress") == "1" || rounds < 50 {
        seen_running |= client.info("aof_rewrite_in_progress") == "1";
        let number = rounds.to_string();
        for words in [
            &["RPOPLPUSH", "list", "list"][..],
            &["SADD", "set", &number],
            &["SPOP", "set"],
            &["ZINCRBY", "zset", "0.5", "m7"],
            &["HINCRBY", "hash", "f9", "1"],
            &["XADD", "stream", "*", "n", &number],
            &["XREADGROUP", "GROUP", "g", "c", "COUNT", "3", "STREAMS", "stream", ">"],
            &["XACK", "stream", "g", &format!("{}-1", rounds + 1)],
            &["SET", &format!("key:{number}"), &number],
            &["APPEND", "long", "y"],
        ] {
            let reply = client.command(words);
            assert!(!reply.starts_with('-'), "{words:?}: {reply}");
        }
        rounds += 1;
    }
    assert!(seen_running, "the base is written in the background");
    assert_eq!(client.info("aof_last_bgrewrite_status"), "ok", "{}", server.log());
    let manifest = fs::read_to_string(server.folder.path("appendonlydir/appendonly.aof.manifest")).unwrap();
    assert!(manifest.contains("appendonly.aof.2.base.aof seq 2 type b"), "{manifest}");
    let before = client.command(&["DEBUG", "DIGEST"]);
    server.signal(libc::SIGKILL);
    server.ended();
    let folder = std::mem::replace(&mut server.folder, Folder::new());
    fs::remove_file(folder.path("port")).unwrap();
    let server = start_in(folder, &options, |_| {});
    let mut client = server.connect();
    assert_eq!(client.command(&["DEBUG", "DIGEST"]), before);
    assert_eq!(client.command(&["FCALL", "f", "0"]), ":1");
}

/// One of each type that is handed over in parts.
const LARGE_COLLECTIONS: &str = "for n = 1, 5000 do
    redis.call('RPUSH', 'list', 'item' .. n) redis.call('SADD', 'set', 'member' .. n) redis.call('ZADD', 'zset', n / 3, 'm' .. n)
    redis.call('HSET', 'hash', 'f' .. n, n) redis.call('XADD', 'stream', n .. '-1', 'n', n)
end
redis.call('HPEXPIRE', 'hash', 100000000, 'FIELDS', 1, 'f1') redis.call('XGROUP', 'CREATE', 'stream', 'g', 0)
redis.call('XREADGROUP', 'GROUP', 'g', 'c', 'COUNT', 4000, 'STREAMS', 'stream', '>')
redis.call('PEXPIRE', 'set', 100000000)";

/// A file system of so many bytes, where this process may make one.
struct SmallDisk(CString);

impl SmallDisk {
    fn mount(at: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let disk = Self(CString::new(at.display().to_string()).unwrap());
        disk.call(options, 0).then_some(disk)
    }

    fn remount(&self, options: &str, flags: libc::c_ulong) {
        assert!(self.call(options, flags | libc::MS_REMOUNT), "what was mounted can be mounted again");
    }

    fn call(&self, options: &str, flags: libc::c_ulong) -> bool {
        let options = CString::new(options).unwrap();
        let kind = c"tmpfs".as_ptr();
        // SAFETY: all pointers are to terminated texts that live through the call.
        unsafe { libc::mount(kind, self.0.as_ptr(), kind, flags, options.as_ptr().cast()) == 0 }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // SAFETY: the pointer is to a terminated text that lives through the call.
        unsafe { libc::umount2(self.0.as_ptr(), libc::MNT_DETACH) };
    }
}

/// The first refusal of some hundred writes.
fn refusal_of_many(client: &mut Client) -> Option<String> {
    let value = "x".repeat(50_000);
    (0..300).find_map(|at| {
        std::thread::sleep(Duration::from_millis(2));
        let reply = client.command(&["SET", &format!("key:{at}"), &value]);
        (reply != "OK").then_some(reply)
    })
}

fn write_until_refused(client: &mut Client) -> String {
    wait_for("a refusal", || refusal_of_many(client))
}

fn wait_for_writes(client: &mut Client) {
    wait_for("writes to be possible again", || (client.command(&["SET", "again", "x"]) == "OK").then_some(()));
}

#[test]
fn snapshots_fail_on_a_full_disk_and_succeed_when_there_is_room() {
    let folder = Folder::new();
    let Some(disk) = SmallDisk::mount(&folder.path("small"), "size=1m") else {
        return eprintln!("no file system can be mounted here: nothing tested");
    };
    let server = start_in(folder, &["--dir", "small", "--save", "1 1", "--rdbcompression", "no"], |_| {});
    let mut client = server.connect();
    let refusal = write_until_refused(&mut client);
    assert!(refusal.starts_with("-MISCONF Redis is configured to save RDB snapshots"), "{refusal}");
    assert!(refusal.contains("No space left on device") && refusal.contains("errno 28"), "{refusal}");
    disk.remount("size=200m", 0);
    wait_for_writes(&mut client);
    assert_eq!(client.info("rdb_last_bgsave_status"), "ok");

    disk.remount("size=200m", libc::MS_RDONLY);
    let refusal = write_until_refused(&mut client);
    assert!(refusal.contains("Read-only file system") && refusal.contains("errno 30"), "{refusal}");
    disk.remount("size=200m", 0);
    wait_for_writes(&mut client);
}

#[test]
fn the_log_waits_on_a_full_disk_and_goes_on_when_there_is_room() {
    let folder = Folder::new();
    let Some(disk) = SmallDisk::mount(&folder.path("small"), "size=1m") else {
        return eprintln!("no file system can be mounted here: nothing tested");
    };
    let options = ["--appendonly", "yes", "--appenddirname", "small", "--save", "", "--enable-debug-command", "yes"];
    let server = start_in(folder, &options, |_| {});
    // What cannot be written is not acknowledged: already whoever is the first to meet with the full disk is told.
    let mut client = server.connect();
    let first = refusal_of_many(&mut client).expect("the disk is full in the end");
    for refusal in [first, client.command(&["SET", "a", "b"])] {
        assert!(refusal.starts_with("-MISCONF Errors writing to the AOF file: No space left on device"), "{refusal}");
        assert!(refusal.contains("errno 28"), "{refusal}");
    }
    assert_eq!(client.info("aof_last_write_status"), "err");
    disk.remount("size=200m", 0);
    wait_for_writes(&mut client);
    assert_killed_and_back(server, &mut client, &options);
}

/// What is there before SIGKILL is there after the next start.
#[track_caller]
fn assert_killed_and_back(mut server: Running, client: &mut Client, options: &[&str]) {
    let before = client.command(&["DEBUG", "DIGEST"]);
    server.signal(libc::SIGKILL);
    server.ended();
    let folder = std::mem::replace(&mut server.folder, Folder::new());
    fs::remove_file(folder.path("port")).unwrap();
    let server = start_in(folder, options, |_| {});
    assert_eq!(server.connect().command(&["DEBUG", "DIGEST"]), before);
}

/// The log's folder is removed under a running server: it is made again, with all that there is.
#[test]
fn a_vanished_log_is_written_anew() {
    let options = ["--appendonly", "yes", "--save", "", "--enable-debug-command", "yes"];
    let server = start(&options);
    let mut client = server.connect();
    assert_eq!(client.command(&["SET", "before", "x"]), "OK");
    let folder = server.folder.path("appendonlydir");
    fs::remove_dir_all(&folder).unwrap();
    wait_for("a new log", || folder.join("appendonly.aof.2.base.rdb").exists().then_some(()));
    wait_for_writes(&mut client);
    assert_eq!(client.info("aof_last_write_status"), "ok");
    assert_killed_and_back(server, &mut client, &options);
}

/// A folder that was removed under a running server: snapshots fail, and succeed once there is a folder of its name again.
#[test]
fn a_vanished_folder_is_found_again() {
    let folder = Folder::new();
    fs::create_dir(folder.path("data")).unwrap();
    let server = start_in(folder, &["--dir", "data", "--save", "1 1"], |_| {});
    let mut client = server.connect();
    fs::remove_dir_all(server.folder.path("data")).unwrap();
    let refusal = write_until_refused(&mut client);
    assert!(refusal.contains("errno 2"), "{refusal}");
    fs::create_dir(server.folder.path("data")).unwrap();
    wait_for_writes(&mut client);
    assert!(server.folder.path("data/dump.rdb").exists());
}

/// A replica that cannot keep what it hears lets its primary go until it can, unless told otherwise.
#[test]
fn the_link_to_a_primary_waits_for_the_disk() {
    let folder = Folder::new();
    let Some(disk) = SmallDisk::mount(&folder.path("small"), "size=1m") else {
        return eprintln!("no file system can be mounted here: nothing tested");
    };
    let primary = start(&["--save", "", "--repl-backlog-size", "64mb"]);
    let port = primary.port.to_string();
    let options = ["--appendonly", "yes", "--appenddirname", "small", "--save", "", "--replicaof", "127.0.0.1", &port];
    let replica = start_in(folder, &options, |_| {});
    let (mut writer, mut reader) = (primary.connect(), replica.connect());
    let wait_for_link = |reader: &mut Client, word: &str| {
        wait_for("the link", || (reader.info("master_link_status") == word).then_some(()));
    };
    wait_for_link(&mut reader, "up");
    wait_for("a full disk", || {
        assert_eq!(refusal_of_many(&mut writer), None);
        (reader.info("aof_last_write_status") == "err").then_some(())
    });
    wait_for("the link to go", || {
        writer.command(&["SET", "more", "x"]);
        (reader.info("master_link_status") == "down").then_some(())
    });
    assert!(replica.log().contains("what it sends cannot be written to disk (MISCONF "), "{}", replica.log());
    reader.command(&["CONFIG", "SET", "replica-ignore-disk-write-errors", "yes"]);
    wait_for_link(&mut reader, "up");
    reader.command(&["CONFIG", "SET", "replica-ignore-disk-write-errors", "no"]);
    writer.command(&["SET", "more", "y"]);
    wait_for_link(&mut reader, "down");
    disk.remount("size=200m", 0);
    wait_for_link(&mut reader, "up");
    assert_eq!(writer.command(&["SET", "more", "z"]), "OK");
    wait_for("the change", || (reader.command(&["GET", "more"]) == "z").then_some(()));
}
