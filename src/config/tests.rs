//! The table as a whole, CONFIG GET and SET, the start from files that exist only here, and CONFIG REWRITE.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use super::load::option_source;
use super::*;

/// Files by path; every folder exists but those under `/nope`.
#[derive(Default)]
struct Memory(BTreeMap<PathBuf, Vec<u8>>);

impl Memory {
    fn with(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).collect())
    }
}

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
    }

    fn read_standard_input(&self) -> io::Result<Vec<u8>> {
        self.read(Path::new("-"))
    }

    fn matching(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let text = pattern.to_str().expect("a pattern of the test");
        if !text.contains('*') {
            return Ok(vec![pattern.into()]);
        }
        let glob = Glob::new(text.as_bytes());
        Ok(self.0.keys().filter(|path| glob.matches(path.to_str().unwrap_or("").as_bytes())).cloned().collect())
    }

    fn folder(&self, path: &Path) -> io::Result<PathBuf> {
        match path {
            path if path.starts_with("/nope") => Err(io::Error::from_raw_os_error(libc::ENOENT)),
            path if path == Path::new(".") => Ok("/work".into()),
            path => Ok(Path::new("/work").join(path)),
        }
    }
}

fn load_text(text: &str) -> Result<Loaded, StartError> {
    let files = Memory::with(&[("/etc/a.conf", text)]);
    load(&Source { file: Some("/etc/a.conf".into()), ..Source::default() }, &files)
}

fn loaded(text: &str) -> Config {
    load_text(text).unwrap_or_else(|error| panic!("{text}: {error}")).config
}

/// What the start prints behind the file's name: line and reason.
fn refusal(text: &str) -> String {
    match load_text(text) {
        Err(StartError::Line { number, line, reason, .. }) => format!("{number}: {line}: {reason}"),
        other => panic!("{text}: {other:?}"),
    }
}

fn get(config: &Config, name: &str) -> String {
    let found = config.get(&[name.as_bytes()]);
    assert_eq!(found.len(), 1, "{name}");
    String::from_utf8_lossy(&found[0].1).into_owned()
}

/// CONFIG SET of one directive: what GET says then, or the reason of the refusal.
fn set(config: &mut Config, name: &str, value: &str) -> String {
    match config.set(&[(name.as_bytes(), value.as_bytes())], true) {
        Ok(_) => get(config, name),
        Err(SetError::Refused { reason, .. }) => format!("! {reason}"),
        Err(error) => format!("! {error}"),
    }
}

#[test]
fn every_name_and_alias_is_there_once_and_every_row_has_a_sentence() {
    let mut seen = HashSet::new();
    for (directive, name) in names() {
        assert!(seen.insert(name), "{name} twice");
        assert!(directive.summary().ends_with('.'), "{name}: {}", directive.summary());
    }
}

#[test]
fn the_lines_of_the_defaults_are_read_back_as_the_defaults() {
    let defaults = Config::default();
    for directive in DIRECTIVES {
        let mut config = Config::default();
        for (index, line) in directive.lines(&defaults).into_iter().enumerate() {
            let words = crate::util::args::split_args(&line).expect("a printed line");
            let words = if let [word] = words.as_slice() { directive.words.split(word) } else { words };
            let read = directive.read(&mut config, &words, index > 0);
            // No group name, locale or cluster address is a value that a line can give again, but their names are.
            assert!(read.is_ok() || directive.default.is_empty(), "{}: {read:?}", directive.name);
        }
        assert!(directive.same(&config, &defaults), "{}", directive.name);
    }
}

#[test]
fn get_takes_globs_and_shows_each_name_once() {
    let config = Config::default();
    let names = |patterns: &[&str]| {
        let patterns: Vec<&[u8]> = patterns.iter().map(|pattern| pattern.as_bytes()).collect();
        config.get(&patterns).into_iter().map(|(name, _)| String::from_utf8(name).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(names(&["PORT", "port", "tls-p*t"]), ["PORT", "tls-port"]);
    assert_eq!(names(&["hash-max-*-entries"]), ["hash-max-listpack-entries", "hash-max-ziplist-entries"]);
    assert_eq!(names(&["key-load-dela?"]), Vec::<&str>::new());
    assert_eq!(names(&["key-load-delay"]), ["key-load-delay"]);
    assert_eq!(names(&["no-such"]), Vec::<&str>::new());
}

#[test]
fn set_answers_as_redis_does() {
    let mut config = Config::default();
    for (name, value, answer) in [
        ("timeout", " 1", "! argument couldn't be parsed into an integer"),
        ("timeout", "-1", "! argument must be between 0 and 2147483647 inclusive"),
        ("maxmemory", "1K", "1000"),
        ("maxmemory", "", "0"),
        ("maxmemory", "-1k", "! argument must be a memory value"),
        ("maxmemory", "99999999999gb", "! argument must be greater or equal to 0"),
        ("maxmemory-clients", "101%", "! percentage argument must be less or equal to 100"),
        ("maxmemory-clients", "5%", "5%"),
        ("save", "60", "! Invalid save parameters"),
        ("save", "10 5 10 6", "10 5 10 6"),
        ("save", "", ""),
        ("shutdown-on-sigterm", "force save", "save force"),
        ("shutdown-on-sigterm", "save nosave", "! shutdown options SAVE and NOSAVE can't be used simultaneously"),
        ("notify-keyspace-events", "KEA", "AKE"),
        ("oom-score-adj-values", "1 2 3 4", "! wrong number of arguments"),
        ("latency-tracking-info-percentiles", "33.333333333333 1e-9 100", "33.333333 0 100"),
        ("client-output-buffer-limit", "slave 1gb 1 1", "normal 0 0 0 slave 1073741824 1 1 pubsub 33554432 8388608 60"),
        ("client-output-buffer-limit", "", "normal 0 0 0 slave 1073741824 1 1 pubsub 33554432 8388608 60"),
        ("client-output-buffer-limit", "normal 1 2", "! Wrong number of arguments in buffer limit configuration."),
        ("appendfsync", "ALWAYS", "always"),
        ("appendfsync", "x", "! argument(s) must be one of the following: everysec, always, no"),
        ("repl-backlog-size", "1", "16384"),
        ("hz", "1000", "500"),
        ("bind", "127.0.0.1 -::1", "127.0.0.1 -::1"),
        ("databases", "3", "! can't set immutable config"),
        ("dbfilename", "a/b", "! dbfilename can't be a path, just a filename"),
        ("proc-title-template", "{zz}", "! template format is invalid or contains unknown variables"),
        ("hash-max-ziplist-value", "10", "10"),
        ("no-such", "x", "! Unknown option or number of arguments for CONFIG SET - 'no-such'"),
    ] {
        assert_eq!(set(&mut config, name, value), answer, "{name} {value:?}");
    }
    assert_eq!(config.hash_max_listpack_value, 10);
}

#[test]
fn set_is_all_or_nothing() {
    let mut config = Config::default();
    let before = config.clone();
    let mut refused = |pairs: &[(&str, &str)], protected| {
        let pairs: Vec<(&[u8], &[u8])> =
            pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        config.set(&pairs, protected).expect_err("a refusal").to_string()
    };
    let failed =
        |name: &str, reason: &str| format!("CONFIG SET failed (possibly related to argument '{name}') - {reason}");
    assert_eq!(
        refused(&[("timeout", "1"), ("hz", "x")], true),
        failed("hz", "argument couldn't be parsed into an integer")
    );
    assert_eq!(refused(&[("timeout", "1"), ("Timeout", "2")], true), failed("Timeout", "duplicate parameter"));
    assert_eq!(refused(&[("timeout", "1"), ("dir", "/")], false), failed("dir", "can't set protected config"));
    assert_eq!(
        refused(&[("daemonize", "x"), ("foo", "1")], true),
        "Unknown option or number of arguments for CONFIG SET - 'foo'"
    );
    assert_eq!(config, before);

    let changed = config.set(&[(b"timeout", b"5"), (b"slave-priority", b"100"), (b"lua-time-limit", b"7")], true);
    assert_eq!(changed, Ok(vec![Changed { name: "timeout" }, Changed { name: "busy-reply-threshold" }]));
}

#[test]
fn a_file_is_read_with_quotes_aliases_and_lines_that_add_up() {
    let config = loaded(concat!(
        "# a comment\n\n  port 7000\r\nSLAVEOF localhost 6379\nrequirepass \"a\\x01 b\"\nunixsocketperm 700\n",
        "save 60 1\nsave \"70 2 80 3\"\nclient-output-buffer-limit normal 1mb 2 3\n",
        "rename-command DEBUG \"\"\nuser bob on >x ~*\ndir data\nlog-format json\ncompat-version 7.4.1\n",
    ));
    assert_eq!(config.port, 7000);
    assert_eq!(config.replicaof.0, Some(("localhost".into(), 6379)));
    assert_eq!(&config.requirepass[..], b"a\x01 b");
    assert_eq!((config.unixsocketperm, get(&config, "unixsocketperm")), (0o700, "700".into()));
    assert_eq!(get(&config, "save"), "60 1 70 2 80 3");
    assert_eq!(config.client_output_buffer_limit.normal.hard_bytes, 1 << 20);
    assert_eq!(config.client_output_buffer_limit.pubsub.soft_seconds, 60);
    assert_eq!(config.renames, [("DEBUG".into(), "".into())]);
    assert_eq!(config.users, [["bob", "on", ">x", "~*"].map(Text::from)]);
    assert_eq!(get(&config, "dir"), "/work/data");
    assert_eq!(config.log_format, LogFormat::Json);
    assert_eq!(config.compat_version, CompatVersion(7, 4, 1));
}

#[test]
fn a_line_that_cannot_be_ends_the_start_with_redis_s_sentence() {
    for (text, expected) in [
        ("bogus 1\n", "1: bogus 1: Bad directive or wrong number of arguments"),
        ("port\n", "1: port: wrong number of arguments"),
        ("\n\nport \"12\n", "3: port \"12: Unbalanced quotes in configuration line"),
        ("# c\n\nport abc # x\n", "3: port abc # x: wrong number of arguments"),
        ("include\n", "1: include: Bad directive or wrong number of arguments"),
        ("rename-command get\n", "1: rename-command get: Bad directive or wrong number of arguments"),
        ("maxmemory 1xb\n", "1: maxmemory 1xb: argument must be a memory value"),
        ("dir /nope\n", "1: dir /nope: No such file or directory"),
        ("replicaof a 99999\n", "1: replicaof a 99999: Invalid master port"),
        ("replicaof \"\"\n", "1: replicaof \"\": wrong number of arguments"),
        ("replicaof a 1\ncluster-enabled yes\n", "1: replicaof a 1: replicaof directive not allowed in cluster mode"),
        ("unixsocketperm 999\n", "1: unixsocketperm 999: argument couldn't be parsed as an octal number"),
        ("unixsocketperm 10000\n", "1: unixsocketperm 10000: argument must be between 0 and 777 inclusive"),
        ("unixsocketperm -1\n", "1: unixsocketperm -1: argument must be greater or equal to 0"),
        ("maxclients 0\n", "1: maxclients 0: argument must be between 1 and 4294967295 inclusive"),
        ("sentinel monitor a\n", "1: sentinel monitor a: sentinel directive while not in sentinel mode"),
        ("loadmodule /x.so\n", "1: loadmodule /x.so: Modules are not supported: remove this line"),
    ] {
        assert_eq!(refusal(text), expected, "{text}");
    }
    let error = load_text("\nport x\n").expect_err("a bad port").to_string();
    assert_eq!(
        error,
        "\n*** FATAL CONFIG FILE ERROR (Redis 8.2.0) ***\nReading the configuration file, at line 2 (/etc/a.conf)\n\
         >>> 'port x'\nargument couldn't be parsed into an integer"
    );
}

#[test]
fn options_count_more_than_standard_input_and_that_more_than_the_file() {
    let files = Memory::with(&[("/work/a.conf", "port 1\ntimeout 1\nhz 1\nsave 60 1"), ("-", "timeout 2\nhz 2\n")]);
    let mut source = option_source(&["hz 3", "save 70 2"]);
    source.file = Some("a.conf".into());
    source.standard_input = true;
    let config = load(&source, &files).expect("a start").config;
    assert_eq!((config.port, config.timeout, config.hz), (1, 2, 3));
    assert_eq!(get(&config, "save"), "60 1 70 2");
    assert_eq!(config.file, Some("/work/a.conf".into()));

    source.options.push(vec![b"port".to_vec(), b"a".to_vec(), b"b\"".to_vec()]);
    let error = load(&source, &files).expect_err("a bad option").to_string();
    assert!(error.contains("at line 10 (command line)\n>>> 'port \"a\" \"b\\\"\"'\nwrong number"), "{error}");
}

#[test]
fn included_files_are_read_in_place_and_not_for_ever() {
    let files = Memory::with(&[
        ("/a.conf", "port 1\ninclude /d/*.conf\nhz 5\n"),
        ("/d/1.conf", "port 2\nhz 2"),
        ("/d/2.conf", "port 3"),
        ("/loop.conf", "include /loop.conf"),
        ("/lost.conf", "include /nowhere"),
        ("/bad.conf", "include /d/bad.cnf"),
        ("/d/bad.cnf", "\nfoo"),
    ]);
    let start = |path: &str| load(&Source { file: Some(path.into()), ..Source::default() }, &files);
    let config = start("/a.conf").expect("a start").config;
    assert_eq!((config.port, config.hz), (3, 5));
    assert!(start("/loop.conf").expect_err("a loop").to_string().contains("include each other too deeply"));
    assert_eq!(
        start("/lost.conf").expect_err("no file").to_string(),
        "Fatal error, can't open config file '/nowhere': No such file or directory"
    );
    assert!(start("/bad.conf").expect_err("a bad line").to_string().contains("at line 2 (/d/bad.cnf)"));
}

#[test]
fn what_has_no_effect_is_said_once() {
    let loaded = load_text("list-max-ziplist-value 64\nio-threads 4\nsearch-timeout 5\nio-threads 2\nport 0\n")
        .expect("a start");
    let said: Vec<String> = loaded.notices.iter().map(Notice::to_string).collect();
    assert_eq!(said.len(), 3);
    assert!(said[1].starts_with("The directive 'io-threads' has no effect: one thread"), "{}", said[1]);
}

#[test]
fn a_rewrite_keeps_comments_and_order() {
    let old = concat!(
        "# my comment\nport 7420\nsave 60 1\n\n# second\n\n\nslave-priority 99\nsave 70 2\nmaxmemory 1gb\n",
        "rename-command DEBUG \"\"\nrequirepass \"a\\x01b\"\nloglevel   notice\nuser bob on >x\nTIMEOUT 0\n",
        "include /etc/more.conf\n",
    );
    let mut config = loaded(&old.replace("include /etc/more.conf\n", ""));
    let pairs: [(&[u8], &[u8]); 4] =
        [(b"save", b"10 1"), (b"maxmemory", b"1500000000"), (b"proto-max-bulk-len", b"3mb"), (b"lua-time-limit", b"3")];
    config.set(&pairs, true).expect("a change");
    let users = [b"user bob on #1".to_vec(), b"user default off".to_vec()];
    let text = String::from_utf8(config.rewrite(old.as_bytes(), &users, false)).expect("text");
    assert_eq!(
        text,
        concat!(
            "# my comment\nport 7420\nsave 10 1\n\n# second\n\nreplica-priority 99\n\nmaxmemory 1500000000\n",
            "rename-command DEBUG \"\"\nrequirepass \"a\\x01b\"\nloglevel notice\nuser bob on #1\ntimeout 0\n",
            "include /etc/more.conf\n\n# Generated by CONFIG REWRITE\ndir \"/work\"\nproto-max-bulk-len 3mb\n",
            "busy-reply-threshold 3\nuser default off\n",
        )
    );
    let again = String::from_utf8(config.rewrite(text.as_bytes(), &users, false)).expect("text");
    assert_eq!(again, text);

    config.set(&[(b"save", b"")], true).expect("a change");
    let text = String::from_utf8(config.rewrite(text.as_bytes(), &[], false)).expect("text");
    assert!(text.contains("save \"\"\n") && !text.contains("user "), "{text}");
}

#[test]
fn a_rewritten_empty_file_gives_the_same_configuration_again() {
    let mut config = Config::default();
    let pairs: [(&[u8], &[u8]); 6] = [
        (b"maxmemory-clients", b"5%"),
        (b"notify-keyspace-events", b"KEA"),
        (b"client-output-buffer-limit", b"pubsub 1gb 0 7"),
        (b"requirepass", b"\xff\"' \n"),
        (b"bind", b""),
        (b"latency-tracking-info-percentiles", b""),
    ];
    config.set(&pairs, true).expect("a change");
    config.dir = "/work".into();
    let text = config.rewrite(b"", &[], false);
    let mut read = loaded(std::str::from_utf8(&text).expect("text"));
    read.file = None;
    assert_eq!(read, config);
}

/// `RUNNEL_REWRITE=1 cargo test` writes the file anew.
#[test]
fn the_reference_configuration_says_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/runnel.conf");
    let expected = reference();
    if std::env::var_os("RUNNEL_REWRITE").is_some() {
        std::fs::write(&path, &expected).expect("conf/runnel.conf is written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "conf/runnel.conf is out of date: RUNNEL_REWRITE=1 cargo test reference_configuration");
    let mut config = loaded(&expected);
    config.file = None;
    config.dir = Values::default().dir;
    assert_eq!(config, Config::default());
}

#[test]
fn differences_hide_secrets() {
    let config = loaded("requirepass secret\nport 7\nsave 1 1\nsave 2 2\n");
    assert_eq!(differences(&config), ["port 7", "save 1 1", "save 2 2", "dir \"/work\"", "requirepass \"(hidden)\""]);
}

/// What CONFIG GET * lists on redis-server 7.0.15 and 8.2.3 and on valkey-server 9.1.2: their files start this server.
#[test]
fn every_directive_of_redis_and_valkey_is_known() {
    const NAMES: &str = "
    acl-pubsub-default aclfile acllog-max-len active-defrag-cycle-max active-defrag-cycle-min active-defrag-cycle-us active-defrag-ignore-bytes
    active-defrag-max-scan-fields active-defrag-threshold-lower active-defrag-threshold-upper active-expire-effort activedefrag activerehashing
    always-show-logo aof-disable-auto-gc aof-load-truncated aof-rewrite-cpulist aof-rewrite-incremental-fsync aof-timestamp-enabled
    aof-use-rdb-preamble aof_rewrite_cpulist appenddirname appendfilename appendfsync appendonly auto-aof-rewrite-min-size
    auto-aof-rewrite-percentage availability-zone bgsave-cpulist bgsave_cpulist bind bind-source-addr bio-cpulist bio_cpulist
    busy-reply-threshold client-output-buffer-limit client-query-buffer-limit cluster-allow-pubsubshard-when-down cluster-allow-reads-when-down
    cluster-allow-replica-migration cluster-announce-bus-port cluster-announce-client-ipv4 cluster-announce-client-ipv6
    cluster-announce-client-port cluster-announce-client-tls-port cluster-announce-hostname cluster-announce-human-nodename cluster-announce-ip
    cluster-announce-port cluster-announce-tls-port cluster-blacklist-ttl cluster-compatibility-sample-ratio cluster-config-file
    cluster-config-save-behavior cluster-databases cluster-enabled cluster-link-sendbuf-limit cluster-manual-failover-timeout
    cluster-migration-barrier cluster-node-timeout cluster-port cluster-preferred-endpoint-type cluster-replica-no-failover
    cluster-replica-validity-factor cluster-require-full-coverage cluster-slave-no-failover cluster-slave-validity-factor
    cluster-slot-migration-log-max-len cluster-slot-stats-enabled commandlog-execution-slower-than commandlog-large-reply-max-len
    commandlog-large-request-max-len commandlog-reply-larger-than commandlog-request-larger-than commandlog-slow-execution-max-len
    crash-log-enabled crash-memcheck-enabled daemonize databases dbfilename dir disable-thp dual-channel-replication-enabled dynamic-hz
    enable-debug-command enable-module-command enable-protected-configs extended-redis-compatibility hash-max-listpack-entries
    hash-max-listpack-value hash-max-ziplist-entries hash-max-ziplist-value hash-seed hide-user-data-from-log hll-sparse-max-bytes hz
    ignore-warnings import-mode io-threads io-threads-do-reads jemalloc-bg-thread latency-monitor-threshold latency-tracking
    latency-tracking-info-percentiles lazyfree-lazy-eviction lazyfree-lazy-expire lazyfree-lazy-server-del lazyfree-lazy-user-del
    lazyfree-lazy-user-flush lfu-decay-time lfu-log-factor list-compress-depth list-max-listpack-size list-max-ziplist-size locale-collate
    log-format log-timestamp-format logfile loglevel lua-time-limit masterauth masteruser max-new-connections-per-cycle
    max-new-tls-connections-per-cycle maxclients maxmemory maxmemory-clients maxmemory-eviction-tenacity maxmemory-policy maxmemory-samples
    min-replicas-max-lag min-replicas-to-write min-slaves-max-lag min-slaves-to-write mptcp no-appendfsync-on-rewrite notify-keyspace-events
    oom-score-adj oom-score-adj-values pidfile port prefetch-batch-max-size primaryauth primaryuser proc-title-template
    propagation-error-behavior protected-mode proto-max-bulk-len rdb-del-sync-files rdb-save-incremental-fsync rdb-version-check rdbchecksum
    rdbcompression rdma-bind rdma-completion-vector rdma-port rdma-rx-size repl-backlog-size repl-backlog-ttl repl-disable-tcp-nodelay
    repl-diskless-load repl-diskless-sync repl-diskless-sync-delay repl-diskless-sync-max-replicas repl-mptcp repl-ping-replica-period
    repl-ping-slave-period repl-timeout replica-announce-ip replica-announce-port replica-announced replica-full-sync-buffer-limit
    replica-ignore-disk-write-errors replica-ignore-maxmemory replica-lazy-flush replica-priority replica-read-only replica-serve-stale-data
    requirepass sanitize-dump-payload save server-cpulist server_cpulist set-max-intset-entries set-max-listpack-entries set-max-listpack-value
    set-proc-title shutdown-on-sigint shutdown-on-sigterm shutdown-timeout slave-announce-ip slave-announce-port slave-ignore-maxmemory
    slave-lazy-flush slave-priority slave-read-only slave-serve-stale-data slot-migration-max-failover-repl-bytes slowlog-log-slower-than
    slowlog-max-len socket-mark-id stop-writes-on-bgsave-error stream-node-max-bytes stream-node-max-entries supervised syslog-enabled
    syslog-facility syslog-ident tcp-backlog tcp-keepalive timeout tls-auth-clients tls-auth-clients-user tls-auto-reload-interval
    tls-ca-cert-dir tls-ca-cert-file tls-cert-file tls-ciphers tls-ciphersuites tls-client-cert-file tls-client-key-file
    tls-client-key-file-pass tls-cluster tls-dh-params-file tls-key-file tls-key-file-pass tls-port tls-prefer-server-ciphers tls-protocols
    tls-replication tls-session-cache-size tls-session-cache-timeout tls-session-caching tracking-table-max-keys unixsocket unixsocketgroup
    unixsocketperm vset-force-single-threaded-execution zset-max-listpack-entries zset-max-listpack-value zset-max-ziplist-entries
    zset-max-ziplist-value
    ";
    let unknown: Vec<&str> =
        NAMES.split_whitespace().filter(|name| super::directive(name.as_bytes()).is_none()).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// All the source text that is no table of directives and no test.
fn source(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).expect("the source is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            source(&path, text);
        } else if path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("config/table.rs") {
            text.push_str(&std::fs::read_to_string(&path).expect("source text"));
        }
    }
}

#[test]
fn every_directive_is_read_or_says_why_not() {
    let mut text = String::new();
    source(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut text);
    let words: HashSet<&str> = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.').collect();
    let read: HashSet<&str> = words.iter().flat_map(|word| word.split('.').skip(1)).collect();
    let silent: Vec<_> = (DIRECTIVES.iter().filter(|directive| directive.facts.ignored.is_none()))
        .map(|directive| directive.name.replace('-', "_"))
        .filter(|field| !read.contains(field.as_str()))
        .collect();
    assert!(silent.is_empty(), "read nowhere, and no word about it: {silent:?}");
}
