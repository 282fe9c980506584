//! The directives: one row each, and nothing about a directive is said anywhere else.
//!
//! A row is the field of `Config`, its type, its default as text, its facts and its sentence; parsing, CONFIG GET,
//! SET and REWRITE, `--help` and `conf/runnel.conf` are computed from it. What the facts mean is in `mod`, what the
//! types read and print in `value` and `special`.
//!
//! To add one: write its row here and read the field where it matters. A row that no code reads must say so with
//! `ignored("reason")`, which a user who sets it finds in the log.

use super::special::*;
use super::value::{Input, Setting, Text};
use super::{Config, Directive, Facts, at_start, checks, guarded, live};

/// Turns the rows into the struct that the server reads as plain fields and into the table that describes them.
/// It buys that the field, its name on the outside, its default and its documentation cannot disagree.
macro_rules! directives {
    ($($section:literal { $($(#[doc = $doc:literal])+ $field:ident: $type:ty = $default:literal, $facts:expr;)+ })+) => {
        /// Every directive as a plain field.
        #[derive(Clone, PartialEq, Debug)]
        pub struct Values {
            $($($(#[doc = $doc])+ pub $field: $type,)+)+
        }

        impl Default for Values {
            fn default() -> Self {
                Self { $($($field: {
                    const FACTS: Facts = $facts;
                    super::default_value::<$type>(stringify!($field), $default, &FACTS)
                },)+)+ }
            }
        }

        pub static DIRECTIVES: &[Directive] = &[$($(Directive {
            name: {
                const FIELD: &str = stringify!($field);
                const BYTES: [u8; FIELD.len()] = super::dashed(FIELD);
                match std::str::from_utf8(&BYTES) {
                    Ok(name) => name,
                    Err(_) => panic!("a field's name is ASCII"),
                }
            },
            section: $section,
            doc: &[$($doc),+],
            default: $default,
            facts: $facts,
            words: <$type as Setting>::WORDS,
            parse: |config: &mut Config, input: &Input| {
                config.values.$field = <$type as Setting>::parse(input, Some(&config.values.$field))?;
                Ok(())
            },
            print: |config, facts| Setting::print(&config.values.$field, facts),
            lines: |config, facts| Setting::lines(&config.values.$field, facts),
            same: |one, other| one.values.$field == other.values.$field,
            takes: <$type as Setting>::takes,
        },)+)+];
    };
}

const ONE_THREAD: &str = "one thread runs all commands and serves all clients";
const ALLOCATOR: &str = "the allocator gives memory back by itself, and nothing is defragmented";
const NO_BUS: &str = "there is no cluster bus: a cluster here is one node";
const NO_FORK: &str = "snapshots and rewrites are made without a child process";
const NO_MODULES: &str = "there are no modules";
const NO_RDMA: &str = "RDMA is not built in";
const NO_MPTCP: &str = "Multipath TCP is not built in";
const BY_FILE: &str = "a snapshot for replicas goes by way of a file";
const AT_ONCE: &str = "a snapshot for replicas is begun at once";
const RUSTLS: &str = "the TLS library decides this itself";
const FREED_BY_THREAD: &str = "what is large is always freed by a thread";
const INCREMENTAL: &str = "tables grow and shrink a segment at a time, with no work left over";

directives! {
"Network" {
    /// Addresses to listen on, each with `-` in front where it need not exist. An empty list listens on none.
    bind: Bind = "* -::*", live();
    /// The port for plain TCP clients; 0 opens none.
    port: u16 = "6379", live().within(0, 65535);
    /// While no password is set, accept only clients from this machine.
    protected_mode: bool = "yes", live();
    /// The queue of connections not yet accepted that the kernel is asked for.
    tcp_backlog: i32 = "511", at_start();
    /// A Unix socket to listen on too.
    unixsocket: Text = "", at_start();
    /// The Unix socket's permissions, in octal; 0 leaves them to the umask.
    unixsocketperm: u32 = "0", at_start().octal().within(0, 0o777);
    /// The group that owns the Unix socket.
    unixsocketgroup: Text = "", at_start().valkey();
    /// Close a client that has been idle for so many seconds; 0 never does.
    timeout: i32 = "0", live();
    /// Seconds between TCP keepalive probes; 0 sends none.
    tcp_keepalive: i32 = "300", live();
    /// The address that connections to a primary go out from.
    bind_source_addr: Text = "", live();
    /// The mark set on listening sockets, for routing rules; 0 sets none.
    socket_mark_id: u32 = "0", at_start();
    /// Clients at once.
    maxclients: u32 = "10000", live().within(1, u32::MAX as i128);
    /// New connections accepted in one turn of the loop.
    max_new_connections_per_cycle: u32 = "10", live().within(1, 1000);
    /// New TLS connections accepted in one turn of the loop.
    max_new_tls_connections_per_cycle: u32 = "1", live().within(1, 1000);
    /// Write the port in use to this file once the server listens, for whoever started it with any free port.
    port_file: Text = "", at_start().runnel();
    /// Listen by Multipath TCP.
    mptcp: bool = "no", at_start().valkey().ignored(NO_MPTCP);
    /// Addresses to listen on by RDMA.
    rdma_bind: Text = "", live().valkey().ignored(NO_RDMA);
    /// The port for RDMA.
    rdma_port: u16 = "0", live().valkey().within(0, 65535).ignored(NO_RDMA);
    /// RDMA receive buffer.
    rdma_rx_size: u32 = "1048576", at_start().valkey().within(65536, 16777216).ignored(NO_RDMA);
    /// RDMA completion vector.
    rdma_completion_vector: i32 = "-1", at_start().valkey().within(-1, 1024).ignored(NO_RDMA);
}

"TLS" {
    /// The port for TLS clients; 0 opens none.
    tls_port: u16 = "0", live().within(0, 65535);
    /// The server's certificate chain, PEM.
    tls_cert_file: Text = "", live();
    /// The private key of `tls-cert-file`, PEM.
    tls_key_file: Text = "", live();
    /// The password of `tls-key-file`.
    tls_key_file_pass: Text = "", live().secret();
    /// The certificate shown as a client, to a primary; without one it is that of `tls-cert-file`.
    tls_client_cert_file: Text = "", live();
    /// The private key of `tls-client-cert-file`.
    tls_client_key_file: Text = "", live();
    /// The password of `tls-client-key-file`.
    tls_client_key_file_pass: Text = "", live().secret();
    /// Diffie-Hellman parameters for old clients.
    tls_dh_params_file: Text = "", live().ignored("only elliptic-curve key exchange is used");
    /// Certificates of the authorities that clients and peers are checked against.
    tls_ca_cert_file: Text = "", live();
    /// The same, as a folder.
    tls_ca_cert_dir: Text = "", live();
    /// Whether clients must show a certificate.
    tls_auth_clients: TlsAuthClients = "yes", live();
    /// The certificate field that names the ACL user of a client.
    tls_auth_clients_user: TlsUserField = "off", live().valkey().ignored("users are named by AUTH, not by certificates");
    /// Connect to a primary by TLS.
    tls_replication: bool = "no", live();
    /// Use TLS on the cluster bus.
    tls_cluster: bool = "no", live().ignored(NO_BUS);
    /// The protocol versions offered, such as "TLSv1.2 TLSv1.3"; empty offers both.
    tls_protocols: Text = "", live();
    /// Cipher suites of TLS 1.2.
    tls_ciphers: Text = "", live();
    /// Cipher suites of TLS 1.3.
    tls_ciphersuites: Text = "", live();
    /// Choose the cipher by the server's order.
    tls_prefer_server_ciphers: bool = "no", live();
    /// Let clients resume sessions.
    tls_session_caching: bool = "yes", live();
    /// Sessions remembered; 0 is without limit.
    tls_session_cache_size: i32 = "20480", live();
    /// Seconds that a session is remembered.
    tls_session_cache_timeout: i32 = "300", live().ignored(RUSTLS);
    /// Read certificates and keys again after so many seconds; 0 never does.
    tls_auto_reload_interval: i32 = "0", live().valkey().ignored("CONFIG SET of a certificate or key file reads all of them again");
}

"General" {
    /// Run in the background.
    daemonize: bool = "no", at_start();
    /// Tell a supervisor that the server is ready.
    supervised: Supervised = "no", at_start();
    /// Write the process id here; a daemon without it writes /var/run/redis.pid.
    pidfile: Text = "", at_start();
    /// How much to log.
    loglevel: LogLevel = "notice", live();
    /// The file to log to; empty is standard output.
    logfile: Text = "", at_start();
    /// Log lines in Redis's form, or as JSON.
    log_format: LogFormat = "text", at_start().runnel();
    /// How log lines tell the time.
    log_timestamp_format: LogTimestamp = "legacy", live().valkey();
    /// Log to syslog too.
    syslog_enabled: bool = "no", at_start();
    /// The name shown in syslog.
    syslog_ident: Text = "redis", at_start();
    /// The syslog facility.
    syslog_facility: SyslogFacility = "local0", at_start();
    /// Keep user data out of the log.
    hide_user_data_from_log: bool = "no", live().since("7.4");
    /// Log a report when the server breaks.
    crash_log_enabled: bool = "yes", live().ignored("a broken assertion always reports where it was, then the process ends");
    /// Test memory when the server breaks.
    crash_memcheck_enabled: bool = "yes", live().ignored("memory is not tested");
    /// Databases that SELECT knows.
    databases: i32 = "16", at_start().within(1, i32::MAX as i128);
    /// Show a logo at the start even in a log file.
    always_show_logo: bool = "no", at_start().ignored("there is no logo");
    /// Show the server's state in the process title.
    set_proc_title: bool = "yes", at_start();
    /// What the process title says.
    proc_title_template: Text = "{title} {listen-addr} {server-mode}", live().checked(checks::title_template);
    /// The Redis version that INFO and HELLO report; clients switch features on by it.
    compat_version: CompatVersion = "8.2.0", at_start().runnel();
    /// Timer ticks a second.
    hz: i32 = "10", live().within(0, i32::MAX as i128).clamped(1, 500);
    /// More ticks with more clients.
    dynamic_hz: bool = "yes", live().ignored("work follows the load, not a timer");
    /// Processors that the server runs on, such as 0-7:2.
    server_cpulist: Text = "", at_start().alias(&["server_cpulist"]);
    /// Processors of the file threads.
    bio_cpulist: Text = "", at_start().alias(&["bio_cpulist"]);
    /// Processors of the rewriting child.
    aof_rewrite_cpulist: Text = "", at_start().alias(&["aof_rewrite_cpulist"]).ignored(NO_FORK);
    /// Processors of the saving child.
    bgsave_cpulist: Text = "", at_start().alias(&["bgsave_cpulist"]).ignored(NO_FORK);
    /// Adjust the kernel's out-of-memory score.
    oom_score_adj: OomScoreAdjust = "no", live();
    /// The scores of a primary, a replica and a child.
    oom_score_adj_values: OomScores = "0 200 800", live();
    /// Do without transparent huge pages. Redis forks to save, which makes them costly there; here they save time at every lookup.
    disable_thp: bool = "no", at_start();
    /// Warnings of the start not to give.
    ignore_warnings: Text = "", live().ignored("the warnings it can silence are not given");
    /// The locale by which SORT and Lua order text.
    locale_collate: Text = "", live().checked(checks::locale).ignored("text is ordered by its bytes");
    /// Threads that read and write clients.
    io_threads: i32 = "1", at_start().within(1, 128).ignored(ONE_THREAD);
    /// Read with those threads too.
    io_threads_do_reads: bool = "no", at_start().ignored(ONE_THREAD);
    /// Never let those threads sleep.
    io_threads_always_active: bool = "no", at_start().valkey().hidden().ignored(ONE_THREAD);
    /// Commands fetched ahead.
    prefetch_batch_max_size: i32 = "16", live().within(0, 128).hidden().ignored("the depth of fetching ahead is fixed");
    /// Threads from which replies are not copied.
    min_io_threads_avoid_copy_reply: i32 = "7", live().valkey().hidden().ignored(ONE_THREAD);
    /// Reply size from which it is not copied.
    min_string_size_avoid_copy_reply: i32 = "16384", live().valkey().hidden().ignored("large replies are never copied");
    /// The same with threads.
    min_string_size_avoid_copy_reply_threaded: i32 = "65536", live().valkey().hidden().ignored("large replies are never copied");
    /// Rehash in idle time.
    activerehashing: bool = "yes", live().ignored(INCREMENTAL);
    /// Release memory in a thread of jemalloc.
    jemalloc_bg_thread: bool = "yes", live().ignored("the allocator is not jemalloc");
    /// The availability zone that INFO and HELLO report, where there is one.
    availability_zone: Text = "", live().valkey();
    /// The seed of hash tables.
    hash_seed: Text = "", at_start().valkey().ignored("the seed is drawn anew at every start");
    /// Behave more like Redis in INFO and HELLO.
    extended_redis_compatibility: bool = "no", live().valkey().ignored("the server always says it is Redis; see compat-version");
    /// Pause a process that does not answer, to find out why.
    watchdog_period: i32 = "0", live().hidden().ignored("there is no watchdog");
    /// End without a core dump when the server breaks.
    use_exit_on_panic: bool = "no", live().hidden().ignored("a broken assertion ends the process in one way only");
    /// Extra assertions.
    enable_debug_assert: bool = "no", at_start().valkey().hidden().ignored("extra assertions are a matter of the build");
    /// Text for crash reports.
    debug_context: Text = "", live().valkey().hidden().ignored("there is no crash report to put it in");
}

"Snapshots" {
    /// Save when so many changes happened in so many seconds; several pairs or lines; "" saves never.
    save: SaveRules = "3600 1 300 100 60 10000", live();
    /// Refuse writes after a snapshot failed.
    stop_writes_on_bgsave_error: bool = "yes", live();
    /// Compress strings in snapshots.
    rdbcompression: bool = "yes", live();
    /// Put a checksum at the end of snapshots.
    rdbchecksum: bool = "yes", at_start();
    /// Whose payloads are checked to the bottom.
    sanitize_dump_payload: SanitizePayload = "no", live().ignored("every value that is read is checked");
    /// The snapshot's file name.
    dbfilename: Text = "dump.rdb", guarded().checked(checks::file_name);
    /// The folder that data files are in.
    dir: Text = ".", guarded().waits_for_data();
    /// Remove snapshots that only replication made.
    rdb_del_sync_files: bool = "no", live().ignored("a snapshot for replicas never stays on disk");
    /// Force a snapshot to disk bit by bit while it is written.
    rdb_save_incremental_fsync: bool = "yes", live();
    /// Whether snapshots of unknown versions are tried.
    rdb_version_check: RdbVersionCheck = "strict", live().valkey();
    /// Which server's form is written where Redis and Valkey differ.
    rdb_dialect: RdbDialect = "redis", live().runnel();
    /// Microseconds to wait before each key that is saved, for tests; below 0, keys per microsecond.
    rdb_key_save_delay: i32 = "0", live().within(i32::MIN as i128, i32::MAX as i128).hidden();
    /// Microseconds to wait before each key that is loaded, for tests; below 0, keys per microsecond.
    key_load_delay: i32 = "0", live().within(i32::MIN as i128, i32::MAX as i128).hidden();
    /// Serve clients while loading after so many bytes.
    loading_process_events_interval_bytes: i32 = "524288", live().within(1024, i32::MAX as i128).hidden().ignored("a server that loads goes by time");
}

"Append-only file" {
    /// Keep every write in an append-only file.
    appendonly: bool = "no", live();
    /// The base name of its files.
    appendfilename: Text = "appendonly.aof", at_start().checked(checks::aof_file_name);
    /// The folder of its files, inside `dir`.
    appenddirname: Text = "appendonlydir", at_start().checked(checks::aof_folder_name);
    /// When it is forced to disk: every second, before every reply, or when the kernel likes.
    appendfsync: AppendFsync = "everysec", live();
    /// Do not force it to disk during a snapshot or rewrite.
    no_appendfsync_on_rewrite: bool = "no", live();
    /// Rewrite it when it has grown by so many percent; 0 never does.
    auto_aof_rewrite_percentage: i32 = "100", live();
    /// But not below this size.
    auto_aof_rewrite_min_size: i64 = "64mb", live().memory();
    /// Start even if the file's last command is cut off.
    aof_load_truncated: bool = "yes", live();
    /// Begin a rewritten file with a snapshot.
    aof_use_rdb_preamble: bool = "yes", live();
    /// Put the time into the file now and then.
    aof_timestamp_enabled: bool = "no", live();
    /// Force a rewrite to disk bit by bit while it is written.
    aof_rewrite_incremental_fsync: bool = "yes", live();
    /// Keep files that are no longer needed, for tests.
    aof_disable_auto_gc: bool = "no", live().hidden().ignored("files that are superseded are always removed");
}

"Shutdown" {
    /// Seconds to wait at shutdown for replicas that are behind.
    shutdown_timeout: i32 = "10", live();
    /// What SIGINT does.
    shutdown_on_sigint: ShutdownOn = "default", live();
    /// What SIGTERM does.
    shutdown_on_sigterm: ShutdownOn = "default", live();
}

"Replication" {
    /// Be a replica of this primary.
    replicaof: ReplicaOf = "", at_start().alias(&["slaveof"]);
    /// The password for the primary.
    masterauth: Text = "", live().alias(&["primaryauth"]).secret();
    /// The user for the primary.
    masteruser: Text = "", live().alias(&["primaryuser"]);
    /// Answer reads while the primary is away.
    replica_serve_stale_data: bool = "yes", live().alias(&["slave-serve-stale-data"]);
    /// Refuse writes from clients while a replica.
    replica_read_only: bool = "yes", live().alias(&["slave-read-only"]);
    /// Send a snapshot to replicas without putting it on disk.
    repl_diskless_sync: bool = "yes", live().ignored(BY_FILE);
    /// Seconds to wait for more replicas before a snapshot is sent.
    repl_diskless_sync_delay: i32 = "5", live().ignored(AT_ONCE);
    /// Replicas that make it start at once; 0 always waits.
    repl_diskless_sync_max_replicas: i32 = "0", live().ignored(AT_ONCE);
    /// Load the primary's snapshot from the socket.
    repl_diskless_load: ReplDisklessLoad = "disabled", live().waits_for_data().ignored("a snapshot from a primary goes by way of a file");
    /// Send the snapshot on a connection of its own.
    repl_rdb_channel: bool = "yes", live().hidden().ignored("snapshot and changes share one connection");
    /// The same, Valkey's name.
    dual_channel_replication_enabled: bool = "no", live().valkey().ignored("snapshot and changes share one connection");
    /// Seconds between pings to replicas.
    repl_ping_replica_period: i32 = "10", live().within(1, i32::MAX as i128).alias(&["repl-ping-slave-period"]);
    /// Seconds until a silent peer is given up.
    repl_timeout: i32 = "60", live().within(1, i32::MAX as i128);
    /// Let the kernel collect small packets for replicas.
    repl_disable_tcp_nodelay: bool = "no", live();
    /// The part of the journal kept for replicas that come back.
    repl_backlog_size: i64 = "1mb", live().memory().within(1, i64::MAX as i128).clamped(16 * 1024, i64::MAX as i128);
    /// Seconds until it is freed when no replica is there; 0 never.
    repl_backlog_ttl: i64 = "3600", live();
    /// Replicate by Multipath TCP.
    repl_mptcp: bool = "no", at_start().valkey().ignored(NO_MPTCP);
    /// The order in which Sentinel promotes; 0 never.
    replica_priority: i32 = "100", live().alias(&["slave-priority"]);
    /// Be listed by Sentinel.
    replica_announced: bool = "yes", live();
    /// The address to tell the primary.
    replica_announce_ip: Text = "", live().alias(&["slave-announce-ip"]);
    /// The port to tell the primary.
    replica_announce_port: u16 = "0", live().within(0, 65535).alias(&["slave-announce-port"]);
    /// Replicas that must be connected for writes to be accepted; 0 asks for none.
    min_replicas_to_write: i32 = "0", live().alias(&["min-slaves-to-write"]);
    /// And must not be further behind than so many seconds.
    min_replicas_max_lag: i32 = "10", live().alias(&["min-slaves-max-lag"]);
    /// Let the primary alone evict.
    replica_ignore_maxmemory: bool = "yes", live().alias(&["slave-ignore-maxmemory"]);
    /// Free the old data in the background before a full synchronisation.
    replica_lazy_flush: bool = "no", live().alias(&["slave-lazy-flush"]).ignored("old data are always freed by a thread");
    /// Follow the primary even while nothing can be written to disk; else the link waits for the disk.
    replica_ignore_disk_write_errors: bool = "no", live();
    /// Changes kept for a replica while it loads a snapshot.
    replica_full_sync_buffer_limit: i64 = "0", live().memory().since("8.0").ignored("client-output-buffer-limit bounds what waits for a replica");
    /// End where a command from the primary (`panic`, `panic-on-replicas`) or of the log (`panic`) fails.
    propagation_error_behavior: PropagationError = "ignore", live();
    /// Take data in from another server.
    import_mode: bool = "no", live().valkey().ignored("there is no import mode");
}

"Security" {
    /// The password of the user `default`.
    requirepass: Text = "", live().secret();
    /// A file with users, instead of `user` lines here.
    aclfile: Text = "", at_start();
    /// Refusals that ACL LOG remembers.
    acllog_max_len: i64 = "128", live();
    /// The channels of a new user.
    acl_pubsub_default: AclPubsubDefault = "resetchannels", live();
    /// Who may set protected directives.
    enable_protected_configs: Permit = "no", at_start();
    /// Who may use DEBUG.
    enable_debug_command: Permit = "no", at_start();
    /// Who may use MODULE.
    enable_module_command: Permit = "no", at_start().ignored(NO_MODULES);
}

"Memory" {
    /// The most memory for data; 0 is without limit.
    maxmemory: u64 = "0", live().memory();
    /// Which keys go when it is full.
    maxmemory_policy: MaxmemoryPolicy = "noeviction", live();
    /// Keys looked at to find the best one to evict.
    maxmemory_samples: i32 = "5", live().within(1, 64);
    /// How long one go at making room may take: 10 is half a millisecond, 100 until there is room.
    maxmemory_eviction_tenacity: i32 = "10", live().within(0, 100);
    /// The most memory for clients, also as a part of maxmemory; 0 is without limit.
    maxmemory_clients: ClientsLimit = "0", live();
    /// How much is done to find expired keys.
    active_expire_effort: i32 = "1", live().within(1, 10);
    /// Expire keys that a script or command meets by the way.
    lazyexpire_nested_arbitrary_keys: bool = "yes", live().hidden().ignored("what a command finds lapsed is removed behind it");
    /// Free evicted values by a thread, not at once, and journal their end as UNLINK.
    lazyfree_lazy_eviction: bool = "no", live();
    /// Journal the end of expired keys as UNLINK: a Redis that follows frees by a thread then.
    lazyfree_lazy_expire: bool = "no", live();
    /// Free overwritten values in the background.
    lazyfree_lazy_server_del: bool = "no", live().ignored(FREED_BY_THREAD);
    /// Let DEL do what UNLINK does.
    lazyfree_lazy_user_del: bool = "no", live().ignored(FREED_BY_THREAD);
    /// Let FLUSHALL and FLUSHDB work in the background.
    lazyfree_lazy_user_flush: bool = "no", live().ignored("databases are freed by a thread unless FLUSHALL or FLUSHDB says SYNC");
    /// How slowly the access counter of LFU grows.
    lfu_log_factor: i32 = "10", live();
    /// Minutes until it falls by one.
    lfu_decay_time: i32 = "1", live();
    /// Defragment memory.
    activedefrag: bool = "no", live().ignored(ALLOCATOR);
    /// Its least waste in bytes.
    active_defrag_ignore_bytes: u64 = "100mb", live().memory().within(1, i64::MAX as i128).ignored(ALLOCATOR);
    /// Its least waste in percent.
    active_defrag_threshold_lower: i32 = "10", live().within(0, 1000).ignored(ALLOCATOR);
    /// The waste at which it tries hardest.
    active_defrag_threshold_upper: i32 = "100", live().within(0, 1000).ignored(ALLOCATOR);
    /// Its least effort.
    active_defrag_cycle_min: i32 = "1", live().within(1, 99).ignored(ALLOCATOR);
    /// Its greatest effort.
    active_defrag_cycle_max: i32 = "25", live().within(1, 99).ignored(ALLOCATOR);
    /// The length of one go.
    active_defrag_cycle_us: i32 = "500", live().valkey().within(0, 100000).ignored(ALLOCATOR);
    /// Fields of a collection in one go.
    active_defrag_max_scan_fields: i64 = "1000", live().within(1, i64::MAX as i128).ignored(ALLOCATOR);
}

"Encodings" {
    /// Fields of a hash kept as one flat buffer.
    hash_max_listpack_entries: u64 = "512", live().alias(&["hash-max-ziplist-entries"]);
    /// The longest field or value in it.
    hash_max_listpack_value: u64 = "64", live().memory().alias(&["hash-max-ziplist-value"]);
    /// Size of a list's node: entries, or -1 to -5 for 4 to 64 kb.
    list_max_listpack_size: i32 = "-2", live().within(i32::MIN as i128, i32::MAX as i128).alias(&["list-max-ziplist-size"]);
    /// Nodes at both ends of a list that are not compressed; 0 compresses none.
    list_compress_depth: i32 = "0", live().ignored("nodes of a list are not compressed in memory");
    /// Members of a set of integers kept as one array.
    set_max_intset_entries: u64 = "512", live();
    /// Members of a set kept as one flat buffer.
    set_max_listpack_entries: u64 = "128", live().since("7.2");
    /// The longest member in it.
    set_max_listpack_value: u64 = "64", live().since("7.2");
    /// Members of a sorted set kept as one flat buffer.
    zset_max_listpack_entries: u64 = "128", live().alias(&["zset-max-ziplist-entries"]);
    /// The longest member in it.
    zset_max_listpack_value: u64 = "64", live().memory().alias(&["zset-max-ziplist-value"]);
    /// The largest sparse HyperLogLog.
    hll_sparse_max_bytes: u64 = "3000", live().memory();
    /// Bytes of one node of a stream.
    stream_node_max_bytes: u64 = "4096", live().memory();
    /// Entries of one node of a stream; 0 is without limit.
    stream_node_max_entries: i64 = "100", live();
    /// Run vector set commands in one thread.
    vset_force_single_threaded_execution: bool = "no", live().since("8.0").ignored("there are no vector sets");
}

"Clients" {
    /// The largest argument of a command.
    proto_max_bulk_len: i64 = "512mb", live().memory().within(1024 * 1024, i64::MAX as i128);
    /// The most input of a client that may wait.
    client_query_buffer_limit: u64 = "1gb", live().memory().within(1024 * 1024, i64::MAX as i128);
    /// When a client that reads too slowly is closed, for each class of clients.
    client_output_buffer_limit: OutputLimits = "normal 0 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60", live();
    /// Keys that client-side caching remembers; 0 is without limit.
    tracking_table_max_keys: u64 = "1000000", live();
}

"Observing" {
    /// Log commands that took so many microseconds; 0 all, -1 none.
    slowlog_log_slower_than: i64 = "10000", live().within(-1, i64::MAX as i128).alias(&["commandlog-execution-slower-than"]);
    /// Slow commands remembered.
    slowlog_max_len: i64 = "128", live().alias(&["commandlog-slow-execution-max-len"]);
    /// Log commands whose request has so many bytes; -1 none.
    commandlog_request_larger_than: i64 = "1048576", live().valkey().within(-1, i64::MAX as i128);
    /// Large requests remembered.
    commandlog_large_request_max_len: i64 = "128", live().valkey();
    /// Log commands whose reply has so many bytes; -1 none.
    commandlog_reply_larger_than: i64 = "1048576", live().valkey().within(-1, i64::MAX as i128);
    /// Large replies remembered.
    commandlog_large_reply_max_len: i64 = "128", live().valkey();
    /// Watch events that take so many milliseconds; 0 watches none.
    latency_monitor_threshold: i64 = "0", live();
    /// Keep a histogram of every command's time.
    latency_tracking: bool = "yes", live();
    /// The percentiles that INFO shows of it.
    latency_tracking_info_percentiles: Percentiles = "50 99 99.9", live();
    /// The classes of events in the keyspace that are published.
    notify_keyspace_events: NotifyFlags = "", live();
}

"Scripts" {
    /// Milliseconds until a script or function counts as slow and others hear BUSY.
    busy_reply_threshold: i64 = "5000", live().alias(&["lua-time-limit"]);
    /// Old Lua functions.
    lua_enable_deprecated_api: bool = "no", at_start().hidden().ignored("the old functions are not there");
    /// Unsafe Lua functions.
    lua_enable_insecure_api: bool = "no", guarded().valkey().hidden().ignored("the unsafe functions are not there");
}

"Cluster" {
    /// Be a cluster of one node that owns every slot.
    cluster_enabled: bool = "no", at_start();
    /// Where a cluster node keeps its state.
    cluster_config_file: Text = "nodes.conf", at_start();
    /// How that file is written.
    cluster_config_save_behavior: ClusterSave = "sync", live().valkey().ignored(NO_BUS);
    /// Databases in cluster mode.
    cluster_databases: i32 = "1", at_start().valkey().within(1, i32::MAX as i128);
    /// Milliseconds until a silent node is held for dead.
    cluster_node_timeout: i64 = "15000", live().ignored(NO_BUS);
    /// The bus's port; 0 is the port plus 10000.
    cluster_port: u16 = "0", at_start().within(0, 65535);
    /// Milliseconds between pings, for tests.
    cluster_ping_interval: i64 = "0", live().hidden().ignored(NO_BUS);
    /// Part of the nodes in a gossip message.
    cluster_message_gossip_perc: i32 = "10", live().valkey().within(1, 100).hidden().ignored(NO_BUS);
    /// Seconds that a forgotten node stays forgotten.
    cluster_blacklist_ttl: i64 = "60", live().valkey().ignored(NO_BUS);
    /// How old a replica's data may be for it to take over.
    cluster_replica_validity_factor: i32 = "10", live().alias(&["cluster-slave-validity-factor"]).ignored(NO_BUS);
    /// Never take over.
    cluster_replica_no_failover: bool = "no", live().alias(&["cluster-slave-no-failover"]).ignored(NO_BUS);
    /// Milliseconds for a manual failover.
    cluster_manual_failover_timeout: i32 = "5000", live().valkey().within(1, i32::MAX as i128).ignored(NO_BUS);
    /// Replicas a primary keeps when others move.
    cluster_migration_barrier: i32 = "1", live().ignored(NO_BUS);
    /// Let replicas move to primaries without one.
    cluster_allow_replica_migration: bool = "yes", live().ignored(NO_BUS);
    /// Serve only while every slot is served.
    cluster_require_full_coverage: bool = "yes", live().ignored("the one node always covers every slot");
    /// Serve reads while the cluster is down.
    cluster_allow_reads_when_down: bool = "no", live().ignored("the one node is never down");
    /// Serve sharded channels while the cluster is down.
    cluster_allow_pubsubshard_when_down: bool = "yes", live().ignored("the one node is never down");
    /// The most that waits on a link of the bus.
    cluster_link_sendbuf_limit: u64 = "0", live().memory().ignored(NO_BUS);
    /// The address to tell clients.
    cluster_announce_ip: Text = "", live();
    /// The address to tell IPv4 clients.
    cluster_announce_client_ipv4: Text = "", live().valkey().checked(checks::ipv4);
    /// The address to tell IPv6 clients.
    cluster_announce_client_ipv6: Text = "", live().valkey().checked(checks::ipv6);
    /// The port to tell clients.
    cluster_announce_port: u16 = "0", live().within(0, 65535);
    /// The TLS port to tell clients.
    cluster_announce_tls_port: u16 = "0", live().within(0, 65535);
    /// The bus port to tell nodes.
    cluster_announce_bus_port: u16 = "0", live().within(0, 65535);
    /// The port for clients that come through a forwarder.
    cluster_announce_client_port: u16 = "0", live().valkey().within(0, 65535);
    /// The TLS port for clients that come through a forwarder.
    cluster_announce_client_tls_port: u16 = "0", live().valkey().within(0, 65535);
    /// The host name to tell clients.
    cluster_announce_hostname: Text = "", live().checked(checks::host_name);
    /// A name for people.
    cluster_announce_human_nodename: Text = "", live().since("7.2").checked(checks::node_name);
    /// What clients are told to connect to.
    cluster_preferred_endpoint_type: EndpointType = "ip", live();
    /// Count the use of every slot.
    cluster_slot_stats_enabled: bool = "no", live().since("8.2");
    /// Part of commands checked for use in a cluster.
    cluster_compatibility_sample_ratio: i32 = "0", live().since("8.0").within(0, 100).ignored("commands are not sampled");
    /// Migrations of slots remembered.
    cluster_slot_migration_log_max_len: i64 = "1000", live().valkey().ignored(NO_BUS);
    /// Changes a slot's new node may be behind.
    slot_migration_max_failover_repl_bytes: i64 = "0", live().valkey().memory().within(-1, i64::MAX as i128).ignored(NO_BUS);
}
}
