//! INFO: the server's figures, as text in sections whose names and fields are the ones that exporters and dashboards read.
//!
//! Every figure is asked for when INFO runs; nothing but the sizes of values is kept up for it alone. A field that only another program's inside could fill
//! (defragmentation, forks) stands at the value that says "did not happen".

use std::fmt::{Display, Write};

use crate::cmd::args::Args;
use crate::cmd::command::{COMMAND, Category, Command, Flag, Group, Run};
use crate::cmd::error::Done;
use crate::cmd::table;
use crate::db::Sizes;
use crate::resp::reply::Reply;
use crate::server::replicas;
use crate::server::session::Session;
use crate::server::stats::Totals;
use crate::server::{Server, SessionId};
use crate::types::value::Kind;
use crate::util::clock::ticks_to_us;
use crate::util::memory;

use Flag::{Loading, Stale};

pub const COMMANDS: &[Command] = &[Command {
    name: "INFO",
    arity: -1,
    run: Run::Server(info),
    flags: &[Loading, Stale],
    group: Group::Server,
    usage: "[section [section ...]]",
    summary: "Tells the server's figures.",
    categories: &[Category::Dangerous],
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    ..COMMAND
}];

/// A section: its name, whether INFO shows it without being asked, and what writes it.
struct Section {
    name: &'static str,
    by_default: bool,
    write: fn(&Server, &mut Text),
}

const fn section(name: &'static str, by_default: bool, write: fn(&Server, &mut Text)) -> Section {
    Section { name, by_default, write }
}

const SECTIONS: &[Section] = &[
    section("Server", true, server_section),
    section("Clients", true, clients),
    section("Memory", true, memory_section),
    section("Persistence", true, persistence),
    section("Threads", true, threads),
    section("Stats", true, stats),
    section("Replication", true, replication),
    section("CPU", true, cpu),
    section("Modules", true, |_, _| ()),
    section("Commandstats", false, command_stats),
    section("Errorstats", true, error_stats),
    section("Latencystats", false, latency_stats),
    section("Cluster", true, cluster),
    section("Keyspace", true, keyspace),
    section("Keysizes", true, key_sizes),
];

fn info(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let wanted: Vec<_> = args.rest().collect();
    let asks_for = |word: &str| wanted.iter().any(|given| given.eq_ignore_ascii_case(word.as_bytes()));
    let all = asks_for("all") || asks_for("everything");
    let defaults = wanted.is_empty() || asks_for("default");

    let mut text = Text::default();
    for section in SECTIONS {
        if all || defaults && section.by_default || asks_for(section.name) {
            text.begin(section.name);
            (section.write)(server, &mut text);
        }
    }
    reply.verbatim("txt", text.0.as_bytes());
    Ok(())
}

/// Lines of `name:value`.
#[derive(Default)]
struct Text(String);

impl Text {
    fn begin(&mut self, section: &str) {
        if !self.0.is_empty() {
            self.0.push_str("\r\n");
        }
        self.line(format_args!("# {section}"));
    }

    fn line(&mut self, line: impl Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{line}\r\n");
    }

    fn put(&mut self, name: &str, value: impl Display) {
        self.line(format_args!("{name}:{value}"));
    }

    fn bytes(&mut self, name: &str, bytes: u64) {
        self.put(name, bytes);
        self.put(&format!("{name}_human"), human(bytes));
    }

    fn zeroes(&mut self, names: &[&str]) {
        names.iter().for_each(|name| self.put(name, 0));
    }
}

/// Of 2^10, 2^20 and so on.
const UNITS: [&str; 6] = ["K", "M", "G", "T", "P", "E"];

/// 1536 is 1.50K.
fn human(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let step = ((bytes.ilog2() / 10) as usize).min(UNITS.len());
    format!("{:.2}{}", bytes as f64 / 1024f64.powi(step as i32), UNITS[step - 1])
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn flag(value: bool) -> u8 {
    u8::from(value)
}

fn server_section(server: &Server, text: &mut Text) {
    let (config, facts) = (&server.config, server.host.facts());
    let uptime_s = server.now_ms().saturating_sub(server.started_ms) / 1000;
    text.put("redis_version", config.compat_version.to_string());
    text.put("runnel_version", env!("CARGO_PKG_VERSION"));
    text.put("redis_git_sha1", "00000000");
    text.put("redis_git_dirty", 0);
    text.put("redis_build_id", format_args!("runnel-{}", env!("CARGO_PKG_VERSION")));
    text.put("redis_mode", if config.cluster_enabled { "cluster" } else { "standalone" });
    text.put("os", facts.system);
    text.put("arch_bits", usize::BITS);
    text.put("monotonic_clock", "POSIX clock_gettime");
    text.put("multiplexing_api", "epoll");
    text.put("process_id", facts.process_id);
    text.put("process_supervised", config.supervised.word());
    text.put("run_id", &server.run_id);
    text.put("tcp_port", server.tcp_port());
    text.put("server_time_usec", server.clock.unix_us);
    text.put("uptime_in_seconds", uptime_s);
    text.put("uptime_in_days", uptime_s / 86_400);
    text.put("hz", config.hz);
    text.put("configured_hz", config.hz);
    text.put("lru_clock", (server.now_ms() / 1000) & 0xff_ffff);
    text.put("executable", facts.executable);
    text.put("config_file", config.file.as_deref().unwrap_or("".as_ref()).display());
    text.put("io_threads_active", 0);
    if !config.availability_zone.is_empty() {
        text.put("availability_zone", config.availability_zone.display());
    }
    if let Some(left_us) = server.ending.left_us(server.clock.monotonic_us) {
        text.put("shutdown_in_milliseconds", left_us / 1000);
    }
    for (index, listener) in listeners(server).iter().enumerate() {
        text.put(&format!("listener{index}"), listener);
    }
}

fn listeners(server: &Server) -> Vec<String> {
    let config = &server.config;
    let addresses: String = config
        .bind
        .0
        .iter()
        .map(|address| format!(",bind={}{}", if address.optional { "-" } else { "" }, address.host))
        .collect();
    let mut listeners = Vec::new();
    let port = server.tcp_port();
    if port != 0 {
        listeners.push(format!("name=tcp{addresses},port={port}"));
    }
    if !config.unixsocket.is_empty() {
        listeners.push(format!("name=unix,bind={}", config.unixsocket.display()));
    }
    if config.tls_port != 0 {
        listeners.push(format!("name=tls{addresses},port={}", config.tls_port));
    }
    listeners
}

fn clients(server: &Server, text: &mut Text) {
    let sessions = || server.sessions.iter().map(|(_, session)| session).filter(|session| session.is_shown());
    let count = |is: fn(&Session) -> bool| sessions().filter(|session| is(session)).count();
    text.put("connected_clients", count(|session| !session.is_replica()));
    text.put("cluster_connections", 0);
    text.put("maxclients", server.config.maxclients);
    text.put("client_recent_max_input_buffer", sessions().map(|session| session.input_capacity).max().unwrap_or(0));
    text.put("client_recent_max_output_buffer", sessions().map(|session| session.output.memory()).max().unwrap_or(0));
    text.put("blocked_clients", server.blocked_clients());
    text.put("tracking_clients", server.tracking.clients());
    text.put("pubsub_clients", server.pubsub.clients);
    text.put("watching_clients", count(|session| !session.watched.is_empty()));
    text.put(
        "clients_in_timeout_table",
        count(|session| session.blocked.as_ref().is_some_and(|blocked| blocked.deadline_ms.is_some())),
    );
    text.put("total_watched_keys", server.watches.len());
    text.put("total_blocking_keys", server.waiting.keys());
    let blocked = |id| server.sessions.get(id).blocked.as_deref();
    text.put("total_blocking_keys_on_nokey", server.waiting.keys_to_lose(blocked));
}

/// Where memory goes. MEMORY STATS shows the same.
pub(super) struct MemoryFigures {
    pub used: u64,
    pub peak: u64,
    pub resident: u64,
    pub at_start: u64,
    pub tables: Vec<(usize, u64)>,
    pub clients: u64,
    pub replicas: u64,
    pub backlog: u64,
    pub journal: u64,
}

impl MemoryFigures {
    pub fn of(server: &Server) -> Self {
        let used = memory::used();
        let keyspace = &server.keyspace;
        let tables = (0..keyspace.databases()).filter(|&db| !keyspace.db(db).is_empty());
        Self {
            used,
            peak: server.stats.memory_peak.max(used),
            resident: server.host.facts().resident_bytes,
            at_start: server.memory_at_start,
            tables: tables.map(|db| (db, keyspace.overhead(db) as u64)).collect(),
            clients: memory_of(server, |session| !session.is_replica()),
            replicas: memory_of(server, Session::is_replica),
            backlog: server.replication_backlog().map_or(0, |(_, bytes)| bytes),
            journal: server.journal.memory() as u64,
        }
    }

    /// What is no data.
    pub fn overhead(&self) -> u64 {
        let links = self.clients + self.replicas + self.backlog;
        self.at_start + links + self.journal + self.tables.iter().map(|(_, bytes)| bytes).sum::<u64>()
    }

    pub fn dataset(&self) -> u64 {
        self.used.saturating_sub(self.overhead())
    }

    /// Data as a part of what is used beyond the start.
    pub fn dataset_percent(&self) -> f64 {
        100.0 * ratio(self.dataset(), self.used.saturating_sub(self.at_start))
    }

    pub fn peak_percent(&self) -> f64 {
        100.0 * ratio(self.used, self.peak)
    }

    pub fn fragmentation(&self) -> f64 {
        ratio(self.resident, self.used)
    }

    pub fn fragmentation_bytes(&self) -> i64 {
        self.resident as i64 - self.used as i64
    }
}

fn memory_of(server: &Server, wanted: impl Fn(&Session) -> bool) -> u64 {
    server.sessions.iter().filter(|(_, session)| wanted(session)).map(|(_, session)| session_memory(session)).sum()
}

fn session_memory(session: &Session) -> u64 {
    (size_of::<Session>()
        + session.output.memory()
        + session.input_capacity
        + session.argv_memory
        + session.multi_memory
        + session.replica.as_ref().map_or(0, |link| link.memory())) as u64
}

fn memory_section(server: &Server, text: &mut Text) {
    let figures = MemoryFigures::of(server);
    let (config, facts) = (&server.config, server.host.facts());
    text.bytes("used_memory", figures.used);
    text.bytes("used_memory_rss", figures.resident);
    text.bytes("used_memory_peak", figures.peak);
    text.put("used_memory_peak_time", server.stats.memory_peak_s);
    text.put("used_memory_peak_perc", format_args!("{:.2}%", figures.peak_percent()));
    text.put("used_memory_overhead", figures.overhead());
    text.put("used_memory_startup", figures.at_start);
    text.put("used_memory_dataset", figures.dataset());
    text.put("used_memory_dataset_perc", format_args!("{:.2}%", figures.dataset_percent()));
    text.put("allocator_allocated", figures.used);
    text.put("allocator_active", figures.resident);
    text.put("allocator_resident", figures.resident);
    text.put("allocator_muzzy", 0);
    text.bytes("total_system_memory", facts.total_memory_bytes);
    scripts(server, text);
    text.bytes("maxmemory", config.maxmemory);
    text.put("maxmemory_policy", config.maxmemory_policy.word());
    text.put("allocator_frag_ratio", format_args!("{:.2}", figures.fragmentation()));
    text.put("allocator_frag_bytes", figures.fragmentation_bytes());
    text.put("allocator_rss_ratio", "1.00");
    text.put("allocator_rss_bytes", 0);
    text.put("rss_overhead_ratio", "1.00");
    text.put("rss_overhead_bytes", 0);
    text.put("mem_fragmentation_ratio", format_args!("{:.2}", figures.fragmentation()));
    text.put("mem_fragmentation_bytes", figures.fragmentation_bytes());
    text.put("mem_not_counted_for_evict", server.memory_not_counted());
    text.put("mem_replication_backlog", figures.backlog);
    text.put("mem_total_replication_buffers", figures.backlog + figures.replicas);
    text.put("mem_replica_full_sync_buffer", 0);
    text.put("mem_clients_slaves", figures.replicas);
    text.put("mem_clients_normal", figures.clients);
    text.put("mem_cluster_links", 0);
    text.put("mem_aof_buffer", figures.journal);
    text.put("mem_allocator", memory::allocator_version());
    text.put("mem_overhead_db_hashtable_rehashing", 0);
    text.put("active_defrag_running", 0);
    text.put("lazyfree_pending_objects", server.garbage.coming().objects());
    text.put("lazyfreed_objects", server.stats.freed_later);
}

fn scripts(server: &Server, text: &mut Text) {
    let (scripts, functions) = (&server.scripts, &server.scripts.functions);
    let (eval, of_functions) = (scripts.interpreter_memory() as u64, functions.interpreter_memory() as u64);
    text.put("used_memory_lua", eval);
    text.put("used_memory_vm_eval", eval);
    text.put("used_memory_lua_human", human(eval));
    text.put("used_memory_scripts_eval", scripts.memory());
    text.put("number_of_cached_scripts", scripts.len());
    text.put("number_of_functions", functions.len());
    text.put("number_of_libraries", functions.libraries_len());
    text.put("used_memory_vm_functions", of_functions);
    text.bytes("used_memory_vm_total", eval + of_functions);
    text.put("used_memory_functions", functions.memory());
    text.bytes("used_memory_scripts", (scripts.memory() + functions.memory()) as u64);
}

fn persistence(server: &Server, text: &mut Text) {
    text.put("loading", u8::from(server.durability.is_loading()));
    text.put("async_loading", 0);
    snapshots(server, text);
    append_only(server, text);
    text.zeroes(&["aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size"]);
    if server.durability.is_on {
        let log = &server.durability.log;
        text.put("aof_current_size", log.size);
        text.put("aof_base_size", log.base_size);
        text.put("aof_pending_rewrite", u8::from(server.durability.rewrite.is_scheduled));
        text.put("aof_buffer_length", log.waiting_bytes);
        text.put("aof_pending_bio_fsync", u8::from(log.is_syncing));
        text.put("aof_delayed_fsync", log.delayed_syncs);
    }
    if let Some(loading) = &server.durability.loading {
        progress(server, loading, text);
    }
}

fn append_only(server: &Server, text: &mut Text) {
    let (durability, now) = (&server.durability, server.now_ms());
    let rewrite = &durability.rewrite;
    let seconds = |ms: Option<u64>| ms.map_or(-1, |ms| (ms / 1000) as i64);
    let status = |failed: bool| if failed { "err" } else { "ok" };
    text.put("aof_enabled", u8::from(durability.is_on));
    text.put("aof_rewrite_in_progress", u8::from(rewrite.began_ms.is_some()));
    text.put("aof_rewrite_scheduled", u8::from(rewrite.is_scheduled));
    text.put("aof_last_rewrite_time_sec", seconds(rewrite.last_took_ms));
    text.put("aof_current_rewrite_time_sec", seconds(rewrite.began_ms.map(|began| now.saturating_sub(began))));
    text.put("aof_last_bgrewrite_status", status(rewrite.last_error.is_some()));
    text.put("aof_rewrites", rewrite.count);
    text.put("aof_rewrites_consecutive_failures", rewrite.failures_in_a_row);
    text.put("aof_last_write_status", status(durability.refusal.is_some()));
    // What went wrong, while something is: no other server tells.
    for (name, error) in [
        ("aof_last_bgrewrite_error", rewrite.last_error.as_deref()),
        ("aof_last_write_error", durability.refusal.as_deref()),
        ("rdb_last_bgsave_error", server.saving.last_failure.as_ref().map(|failure| failure.text.as_str())),
    ] {
        if let Some(error) = error {
            text.put(name, error);
        }
    }
}

/// How far the loading has got, and when it will be done if it goes on like this.
fn progress(server: &Server, loading: &crate::server::durability::Loading, text: &mut Text) {
    let (total, loaded) = (loading.total_bytes, loading.loaded_bytes);
    let elapsed_s = server.now_ms().saturating_sub(loading.began_ms) / 1000;
    let left_s = match loaded {
        0 => 1,
        _ => elapsed_s.saturating_mul(total.saturating_sub(loaded)) / loaded,
    };
    text.put("loading_start_time", loading.began_ms / 1000);
    text.put("loading_total_bytes", total);
    text.put("loading_rdb_used_mem", 0);
    text.put("loading_loaded_bytes", loaded);
    text.put("loading_loaded_perc", format_args!("{:.2}", loaded as f64 / total.max(1) as f64 * 100.0));
    text.put("loading_eta_seconds", left_s);
}

/// Copied on write are here single records that change before the save has come to them; the peak is what waited for the disk.
fn snapshots(server: &Server, text: &mut Text) {
    let (saving, now_ms) = (&server.saving, server.now_ms());
    let copied = server.copied_for_save();
    let (current, peak) =
        if saving.is_running() { (copied, copied.max(saving.waiting_bytes_peak as u64)) } else { (0, 0) };
    let progress = server.save_progress();
    let seconds = |seconds: Option<u64>| seconds.map_or(-1, |seconds| seconds as i64);
    text.put("current_cow_peak", peak);
    text.put("current_cow_size", current);
    text.put("current_cow_size_age", 0);
    text.put("current_fork_perc", format_args!("{:.2}", progress.done as f64 / progress.total.max(1) as f64 * 100.0));
    text.put("current_save_keys_processed", progress.done);
    text.put("current_save_keys_total", progress.total);
    text.put("rdb_changes_since_last_save", server.stats.dirty);
    text.put("rdb_bgsave_in_progress", u8::from(saving.is_running()));
    text.put("rdb_last_save_time", saving.last_saved_s);
    text.put("rdb_last_bgsave_status", if saving.last_failure.is_some() { "err" } else { "ok" });
    text.put("rdb_last_bgsave_time_sec", seconds(saving.last_took_s));
    text.put("rdb_current_bgsave_time_sec", seconds(saving.began_ms.map(|began| now_ms.saturating_sub(began) / 1000)));
    text.put("rdb_saves", saving.count);
    text.put("rdb_last_cow_size", if saving.is_running() { 0 } else { copied });
    text.put("rdb_last_load_keys_expired", server.snapshots.lapsed_keys);
    text.put("rdb_last_load_keys_loaded", server.snapshots.loaded_keys);
}

fn threads(server: &Server, text: &mut Text) {
    let (reads, writes) = (server.stats.reads, server.stats.writes);
    let clients = server.sessions.len();
    text.put("io_thread_0", format_args!("clients={clients},reads={reads},writes={writes}"));
}

fn stats(server: &Server, text: &mut Text) {
    let (stats, keys, rates, now_us) =
        (&server.stats, &server.keyspace.stats, &server.stats.rates, server.clock.monotonic_us);
    let kilobytes = |bytes: fn(&Totals) -> u64| format!("{:.2}", rates.per_second(bytes) / 1024.0);
    text.put("total_connections_received", stats.connections);
    text.put("total_commands_processed", stats.calls);
    text.put("instantaneous_ops_per_sec", rates.per_second(|totals| totals.calls) as u64);
    text.put("total_net_input_bytes", stats.input_bytes);
    text.put("total_net_output_bytes", stats.output_bytes);
    text.put("total_net_repl_input_bytes", stats.primary_input_bytes);
    text.put("total_net_repl_output_bytes", stats.replica_output_bytes);
    text.put("instantaneous_input_kbps", kilobytes(|totals| totals.input_bytes));
    text.put("instantaneous_output_kbps", kilobytes(|totals| totals.output_bytes));
    text.put("instantaneous_input_repl_kbps", kilobytes(|totals| totals.primary_input_bytes));
    text.put("instantaneous_output_repl_kbps", kilobytes(|totals| totals.replica_output_bytes));
    text.put("rejected_connections", stats.rejected_connections);
    text.put("sync_full", stats.full_syncs);
    text.put("sync_partial_ok", stats.partial_syncs);
    text.put("sync_partial_err", stats.partial_syncs_refused);
    text.put("expired_subkeys", keys.expired_fields);
    text.put("expired_keys", keys.expired);
    text.put("expired_stale_perc", "0.00");
    text.put("expired_time_cap_reached_count", stats.expiry_budget_exceeded);
    text.put("expire_cycle_cpu_milliseconds", stats.expiry_us / 1000);
    text.put("evicted_keys", keys.evicted);
    text.put("evicted_clients", stats.evicted_clients);
    text.put("evicted_scripts", server.scripts.evicted);
    text.put("total_eviction_exceeded_time", stats.memory_excess.total_us(now_us) / 1000);
    text.put("current_eviction_exceeded_time", stats.memory_excess.current_us(now_us) / 1000);
    text.put("keyspace_hits", keys.hits.get());
    text.put("keyspace_misses", keys.misses.get());
    text.put("pubsub_channels", server.pubsub.channels());
    text.put("pubsub_patterns", server.pubsub.patterns());
    text.put("pubsubshard_channels", server.pubsub.shard_channels());
    text.zeroes(&["latest_fork_usec", "total_forks"]);
    text.put("migrate_cached_sockets", server.lines.len());
    text.put("slave_expires_tracked_keys", server.primary.as_ref().map_or(0, |primary| primary.own_keys()));
    text.zeroes(&[
        "active_defrag_hits",
        "active_defrag_misses",
        "active_defrag_key_hits",
        "active_defrag_key_misses",
        "total_active_defrag_time",
        "current_active_defrag_time",
    ]);
    text.put("tracking_total_keys", server.tracking.keys());
    text.put("tracking_total_items", server.tracking.items());
    text.put("tracking_total_prefixes", server.tracking.prefixes());
    text.put("unexpected_error_replies", stats.unexpected_errors);
    text.put("total_error_replies", stats.error_replies);
    text.put("dump_payload_sanitizations", 0);
    text.put("total_reads_processed", stats.reads);
    text.put("total_writes_processed", stats.writes);
    text.zeroes(&[
        "io_threaded_reads_processed",
        "io_threaded_writes_processed",
        "io_threaded_total_prefetch_batches",
        "io_threaded_total_prefetch_entries",
    ]);
    text.put("client_query_buffer_limit_disconnections", stats.query_limit_disconnections);
    text.put("client_output_buffer_limit_disconnections", stats.output_limit_disconnections);
    text.zeroes(&["reply_buffer_shrinks", "reply_buffer_expands"]);
    text.put("eventloop_cycles", stats.turns);
    text.put("eventloop_duration_sum", stats.turns_us);
    text.put("eventloop_duration_cmd_sum", ticks_to_us(stats.command_ticks));
    text.put("instantaneous_eventloop_cycles_per_sec", rates.per_second(|totals| totals.turns) as u64);
    text.put("instantaneous_eventloop_duration_usec", rates.turn_us() as u64);
    let denials = server.acl.denials;
    text.put("acl_access_denied_auth", denials.auth);
    text.put("acl_access_denied_cmd", denials.command);
    text.put("acl_access_denied_key", denials.key);
    text.put("acl_access_denied_channel", denials.channel);
}

fn replication(server: &Server, text: &mut Text) {
    text.put("role", if server.is_replica() { "slave" } else { "master" });
    replica(server, text);
    text.put("connected_slaves", server.replicas_count());
    if server.config.min_replicas_to_write > 0 && server.config.min_replicas_max_lag > 0 {
        text.put("min_slaves_good_slaves", server.good_replicas());
    }
    for (number, replica) in server.replicas_told().enumerate() {
        let replicas::Told { address, port, state, acknowledged, lag_s } = replica;
        let facts = format!("ip={address},port={port},state={state},offset={acknowledged},lag={lag_s},type=replica");
        text.put(&format!("slave{number}"), facts);
    }
    text.put("master_failover_state", "no-failover");
    text.put("master_replid", &server.replication_id);
    let no_history = "0".repeat(40);
    let earlier = server.earlier_history();
    text.put("master_replid2", earlier.map_or(no_history.as_str(), |(name, _)| name));
    text.put("master_repl_offset", server.replication_offset());
    text.put("second_repl_offset", earlier.map_or(-1, |(_, end)| end as i64));
    let backlog = server.replication_backlog();
    let (first, bytes) = backlog.unwrap_or_default();
    text.put("repl_backlog_active", u8::from(backlog.is_some()));
    text.put("repl_backlog_size", server.config.repl_backlog_size);
    text.put("repl_backlog_first_byte_offset", first);
    text.put("repl_backlog_histlen", bytes);
}

/// What a replica knows of its primary.
fn replica(server: &Server, text: &mut Text) {
    let (Some(primary), Some(told)) = (&server.primary, server.primary_told()) else { return };
    let seconds = |seconds: Option<u64>| seconds.map_or(-1, |seconds| seconds as i64);
    let offset = server.replication_offset();
    text.put("master_host", &primary.host);
    text.put("master_port", primary.port);
    text.put("master_link_status", if told.is_up { "up" } else { "down" });
    text.put("master_last_io_seconds_ago", seconds(told.silent_s));
    text.put("master_sync_in_progress", u8::from(told.transfer.is_some()));
    text.put("slave_read_repl_offset", offset + told.unheard as u64);
    text.put("slave_repl_offset", offset);
    text.zeroes(&["replica_full_sync_buffer_size", "replica_full_sync_buffer_peak"]);
    text.put("master_current_sync_attempts", told.attempts);
    text.put("master_total_sync_attempts", told.attempts_ever);
    if let Some((read, total)) = told.transfer {
        let total = total.unwrap_or(0);
        let percent = if total == 0 { 0.0 } else { read as f64 / total as f64 * 100.0 };
        text.put("master_sync_total_bytes", total);
        text.put("master_sync_read_bytes", read);
        text.put("master_sync_left_bytes", total as i64 - read as i64);
        text.put("master_sync_perc", format_args!("{percent:.2}"));
        text.put("master_sync_last_io_seconds_ago", told.silent_s.unwrap_or(0));
    }
    if !told.is_up {
        text.put("master_link_down_since_seconds", seconds(told.down_s));
    }
    text.put("total_disconnect_time_sec", told.apart_s);
    text.put("slave_priority", server.config.replica_priority);
    text.put("slave_read_only", u8::from(server.config.replica_read_only));
    text.put("replica_announced", u8::from(server.config.replica_announced));
}

fn cpu(server: &Server, text: &mut Text) {
    let facts = server.host.facts();
    let seconds = |us: u64| format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.put("used_cpu_sys", seconds(facts.cpu.system_us));
    text.put("used_cpu_user", seconds(facts.cpu.user_us));
    text.put("used_cpu_sys_children", seconds(0));
    text.put("used_cpu_user_children", seconds(0));
    text.put("used_cpu_sys_main_thread", seconds(facts.cpu_main_thread.system_us));
    text.put("used_cpu_user_main_thread", seconds(facts.cpu_main_thread.user_us));
}

fn command_stats(server: &Server, text: &mut Text) {
    for entry in table::all() {
        let stats = &server.stats.commands[entry.id];
        if stats.calls == 0 && stats.rejected == 0 {
            continue;
        }
        let us = ticks_to_us(stats.ticks);
        text.put(
            &format!("cmdstat_{}", entry.full_name),
            format_args!(
                "calls={},usec={us},usec_per_call={:.2},rejected_calls={},failed_calls={}",
                stats.calls,
                ratio(us, stats.calls),
                stats.rejected,
                stats.failed
            ),
        );
    }
}

fn error_stats(server: &Server, text: &mut Text) {
    for (code, count) in &server.stats.errors {
        text.put(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

fn latency_stats(server: &Server, text: &mut Text) {
    if !server.config.latency_tracking {
        return;
    }
    for entry in table::all() {
        let histogram = &server.stats.commands[entry.id].histogram;
        if histogram.count() == 0 {
            continue;
        }
        let percentiles = server.config.latency_tracking_info_percentiles.0.iter().map(|&percent| {
            let ns = histogram.percentile_ns(percent);
            format!("p{percent}={}.{:03}", ns / 1000, ns % 1000)
        });
        let line = percentiles.collect::<Vec<_>>().join(",");
        text.put(&format!("latency_percentiles_usec_{}", entry.full_name), line);
    }
}

fn cluster(server: &Server, text: &mut Text) {
    text.put("cluster_enabled", flag(server.config.cluster_enabled));
}

fn keyspace(server: &Server, text: &mut Text) {
    for index in 0..server.keyspace.databases() {
        let db = server.keyspace.db(index);
        if !db.is_empty() {
            let average_ms = average_time_to_live(server, index);
            let (keys, expires, subexpiry) = (db.len(), db.volatile(), db.timed_hashes());
            text.put(
                &format!("db{index}"),
                format_args!("keys={keys},expires={expires},avg_ttl={average_ms},subexpiry={subexpiry}"),
            );
        }
    }
}

/// How many values of each type are how large. What a line tells is the type's name and unit, and `least size=values` for every bin.
fn key_sizes(server: &Server, text: &mut Text) {
    for index in 0..server.keyspace.databases() {
        let sizes = server.keyspace.db(index).sizes();
        for kind in Sizes::KINDS {
            let bins: Vec<_> =
                sizes.of(kind).map(|(least, count)| format!("{}={count}", power_of_two(least))).collect();
            if !bins.is_empty() {
                text.put(&format!("db{index}_distrib_{}", unit(kind)), bins.join(","));
            }
        }
    }
}

fn unit(kind: Kind) -> &'static str {
    match kind {
        Kind::String => "strings_sizes",
        Kind::List => "lists_items",
        Kind::Set => "sets_items",
        Kind::Zset => "zsets_items",
        Kind::Hash => "hashes_items",
        Kind::Stream => "streams_items",
    }
}

/// 65536 is 64K.
fn power_of_two(value: u64) -> String {
    match value.checked_ilog2().unwrap_or(0) / 10 {
        0 => value.to_string(),
        step => format!("{}{}", value >> (10 * step), UNITS[step as usize - 1]),
    }
}

/// Milliseconds that keys with a deadline have left, from a sample.
fn average_time_to_live(server: &Server, db: usize) -> u64 {
    const SAMPLES: usize = 64;
    if server.keyspace.db(db).volatile() == 0 {
        return 0;
    }
    let view = server.view_of(db);
    let deadlines: Vec<_> =
        (0..SAMPLES).filter_map(|_| view.random_record().and_then(|record| record.deadline())).collect();
    // Each may be near the end of all time.
    let left = deadlines.iter().map(|deadline| u128::from(deadline.saturating_sub(server.now_ms()))).sum::<u128>();
    left.checked_div(deadlines.len() as u128).unwrap_or(0) as u64
}

#[cfg(test)]
mod tests {
    use super::{human, power_of_two};
    use crate::testing::{Playground, check};

    fn info(playground: &mut Playground, sections: &[&str]) -> String {
        let words = ["INFO"].iter().chain(sections);
        String::from_utf8(playground.run("", words)).unwrap()
    }

    #[test]
    fn sections_come_in_order_and_only_once() {
        let mut playground = Playground::default();
        let heads = |text: &str| {
            text.lines().filter(|line| line.starts_with('#')).map(|line| line[2..].to_owned()).collect::<Vec<_>>()
        };
        let shown = heads(&info(&mut playground, &["keyspace", "SERVER", "server", "nosuch"]));
        assert_eq!(shown, ["Server", "Keyspace"]);
        let by_default = heads(&info(&mut playground, &[]));
        assert_eq!(by_default.len(), 13);
        assert_eq!(by_default, heads(&info(&mut playground, &["default"])));
        assert_eq!(heads(&info(&mut playground, &["stats", "all"])).len(), 15);
        assert_eq!(info(&mut playground, &["nosuch"]), "$0\r\n\r\n");
    }

    #[test]
    fn figures_follow_what_happens() {
        check(
            r##"
            > SET a 1
            OK
            > GET a
            "1"
            > GET nosuch
            (nil)
            > INFO keyspace
            "# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0,subexpiry=0\r\n"
            > INFO errorstats cluster
            "# Errorstats\r\n\r\n# Cluster\r\ncluster_enabled:0\r\n"
            > PEXPIREAT a 4611686018427387904
            (integer) 1
            > INFO keyspace
            "# Keyspace\r\ndb0:keys=1,expires=1,avg_ttl=4611684251201787904,subexpiry=0\r\n"
            > INCR l extra
            (error) ERR wrong number of arguments for 'incr' command
            > INFO errorstats
            "# Errorstats\r\nerrorstat_ERR:count=1\r\n"
            "##,
        );
        let mut playground = Playground::default();
        playground.run("", ["SET", "a", "1"].iter());
        playground.run("", ["GET", "a"].iter());
        playground.run("", ["INCR"].iter());
        playground.run("b", ["BLPOP", "l", "0"].iter());
        playground.run("", ["CLIENT", "UNBLOCK", "2", "ERROR"].iter());
        playground.run("", "XGROUP CREATE stream group 0 MKSTREAM".split(' '));
        playground.run("c", "XREADGROUP GROUP group consumer BLOCK 0 STREAMS stream >".split(' '));
        let text = info(&mut playground, &["everything"]);
        for line in [
            "redis_version:8.2.0",
            "connected_clients:3",
            "total_blocking_keys:1",
            "total_blocking_keys_on_nokey:1",
            "keyspace_hits:3",
            "total_commands_processed:5",
            "rdb_changes_since_last_save:3",
            "loading:0",
            "role:master",
            "maxmemory_policy:noeviction",
            "db0:keys=2,expires=0,avg_ttl=0,subexpiry=0",
        ] {
            assert!(text.lines().any(|shown| shown == line), "no {line} in {text}");
        }
        assert!(text.contains("\ncmdstat_incr:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0\r\n"));
        assert!(
            text.contains("\ncmdstat_blpop:calls=1,usec=") && text.contains(",rejected_calls=0,failed_calls=1\r\n"),
            "{text}"
        );
        assert!(text.contains("\nlatency_percentiles_usec_set:p50="), "{text}");
    }

    #[test]
    fn sizes_of_values_are_counted_in_powers_of_two() {
        check(
            r##"
            > INFO keysizes
            "# Keysizes\r\n"
            > MSET empty "" one x five 12345 negative -100
            OK
            > INCRBY five 1000000000000
            (integer) 1000000012345
            > SETRANGE big 99999 x
            (integer) 100000
            > RPUSH list 1 2 3
            (integer) 3
            > SADD set 1 2 3 4
            (integer) 4
            > ZADD zset 1 a 2 b
            (integer) 2
            > HSET hash f v
            (integer) 1
            > XADD stream 0-1 f v
            "0-1"
            > PFADD log a b
            (integer) 1
            > SELECT 3
            OK
            > SET other a
            OK
            > INFO keysizes
            "# Keysizes\r\ndb0_distrib_strings_sizes:0=1,1=1,4=1,8=1,16=1,64K=1\r\ndb0_distrib_lists_items:2=1\r\ndb0_distrib_sets_items:4=1\r\ndb0_distrib_zsets_items:2=1\r\ndb0_distrib_hashes_items:1=1\r\ndb3_distrib_strings_sizes:1=1\r\n"
            > SWAPDB 0 3
            OK
            > LPOP list 2
            1) "1"
            2) "2"
            > SREM set 1 2 3 4
            (integer) 4
            > ZPOPMIN zset
            1) "a"
            2) "1"
            > RENAME five list
            OK
            > APPEND one yz
            (integer) 3
            > DEL hash empty
            (integer) 2
            > MOVE big 0
            (integer) 1
            > INFO keysizes
            "# Keysizes\r\ndb0_distrib_strings_sizes:1=1,64K=1\r\ndb3_distrib_strings_sizes:2=1,4=1,8=1,16=1\r\ndb3_distrib_zsets_items:1=1\r\n"
            > FLUSHALL
            OK
            > INFO keysizes
            "# Keysizes\r\n"
            "##,
        );
    }

    #[test]
    fn sizes_for_people() {
        assert_eq!(
            [0, 1, 512, 1024, 65536, 1 << 28, 1 << 47].map(power_of_two),
            ["0", "1", "512", "1K", "64K", "256M", "128T"]
        );
        assert_eq!([0, 1023, 1024, 1_610_612_736].map(human), ["0B", "1023B", "1.00K", "1.50G"]);
    }
}
