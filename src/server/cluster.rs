//! A cluster of one: the node's names and epochs, the file that keeps them, and the rule that a request's keys share a slot.
//!
//! With `cluster-enabled yes` this server is a healthy cluster node that owns every slot, so that clients of clusters can be developed against
//! it. There is no bus and no second node. What clients are told is in `cmd::server::cluster`.

use std::net::IpAddr;

use super::host::Host;
use super::session::{SessionId, Transaction};
use super::{Server, hex_id};
use crate::cmd::error::{Stop, error};
use crate::cmd::keyspec;
use crate::cmd::table::Entry;
use crate::resp::request::Request;
use crate::util::crc16::{SLOTS, key_slot};

/// What a node knows of itself beyond its configuration.
pub struct Cluster {
    /// 40 hexadecimal digits, the node's for good.
    pub node_id: String,
    pub shard_id: String,
    /// How often this node's slots were settled anew; with one node only by request.
    pub config_epoch: u64,
    pub current_epoch: u64,
    /// A figure for each slot, from the first time that `cluster-slot-stats-enabled` was on.
    usage: Vec<SlotUsage>,
}

/// What was done to a slot's keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct SlotUsage {
    pub cpu_us: u64,
    pub input_bytes: u64,
    pub output_bytes: u64,
}

/// Where a request's keys are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slots {
    /// It has none.
    None,
    One(u16),
    Many,
}

pub const CROSSED: Stop = error("CROSSSLOT Keys in request don't hash to the same slot");

/// The slots of a request's keys, and of its channels where they are sharded. O(arguments).
pub fn slots_of(entry: &Entry, request: Request) -> Slots {
    if let Some(sole) = entry.sole_key {
        return Slots::One(key_slot(request.arg(usize::from(sole.index))));
    }
    let Some(slotted) = keyspec::slotted_arguments(entry.command, request) else { return Slots::None };
    slotted.into_iter().fold(Slots::None, |slots, index| slots.and(Slots::One(key_slot(request.arg(index)))))
}

/// The slot that all keys have which a pattern of SORT leads to: that of the tag before its `*`.
pub fn slot_of_pattern(pattern: &[u8]) -> Option<u16> {
    let plain = pattern.iter().position(|byte| b"*?[\\".contains(byte)).map_or(pattern, |at| &pattern[..at]);
    let has_tag = crate::util::crc16::hash_tag(plain).len() < plain.len();
    (has_tag || plain.len() == pattern.len()).then(|| key_slot(plain))
}

impl Slots {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Slots::None, slots) | (slots, Slots::None) => slots,
            (one, other) if one == other => one,
            _ => Slots::Many,
        }
    }

    pub fn one(self) -> Option<u16> {
        match self {
            Slots::One(slot) => Some(slot),
            Slots::None | Slots::Many => None,
        }
    }
}

impl Cluster {
    fn new(node_id: String, shard_id: String) -> Self {
        Self { node_id, shard_id, config_epoch: 0, current_epoch: 0, usage: Vec::new() }
    }

    pub fn usage(&self, slot: u16) -> SlotUsage {
        self.usage.get(usize::from(slot)).copied().unwrap_or_default()
    }

    pub fn usage_mut(&mut self, slot: u16) -> &mut SlotUsage {
        if self.usage.is_empty() {
            self.usage.resize(usize::from(SLOTS), SlotUsage::default());
        }
        &mut self.usage[usize::from(slot)]
    }

    pub fn forget_usage(&mut self) {
        self.usage = Vec::new();
    }

    /// A greater epoch than any known; false where this node has it already.
    pub fn bump_epoch(&mut self) -> bool {
        let is_greatest = self.config_epoch > 0 && self.config_epoch == self.current_epoch;
        if !is_greatest {
            self.current_epoch += 1;
            self.config_epoch = self.current_epoch;
        }
        !is_greatest
    }

    /// The line of a node, as CLUSTER NODES and the file have it; `address` is what stands between id and flags.
    pub fn line(&self, address: &str) -> String {
        let last = SLOTS - 1;
        format!("{} {address} myself,master - 0 0 {} connected 0-{last}\n", self.node_id, self.config_epoch)
    }

    fn file_text(&self, address: &str) -> String {
        format!("{}vars currentEpoch {} lastVoteEpoch 0\n", self.line(address), self.current_epoch)
    }

    /// What a file tells of its node, in the format of Redis's. O(text).
    fn read(text: &str) -> Result<Self, String> {
        let mut found = None;
        let mut current_epoch = 0;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            if words[0] == "vars" {
                let epoch = words.iter().skip_while(|word| **word != "currentEpoch").nth(1);
                current_epoch =
                    epoch.and_then(|epoch| epoch.parse().ok()).ok_or("its line `vars` has no currentEpoch")?;
                continue;
            }
            if found.is_some() {
                return Err("it tells of several nodes: here a cluster is one node that owns every slot".into());
            }
            found = Some(Self::read_line(&words).ok_or_else(|| format!("this line is none of a node: {line}"))?);
        }
        let mut cluster = found.ok_or("there is no node in it")?;
        cluster.current_epoch = cluster.config_epoch.max(current_epoch);
        Ok(cluster)
    }

    /// `id ip:port@bus,hostname,name=value… flags primary ping pong epoch link slots…`
    fn read_line(words: &[&str]) -> Option<Self> {
        let is_id = |id: &str| id.len() == 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let [id, address, flags, primary, _, _, epoch, ..] = words else { return None };
        let is_primary = flags.split(',').any(|flag| flag == "master") && *primary == "-";
        let shard = address.split(',').find_map(|part| part.strip_prefix("shard-id=")).unwrap_or(id);
        if !is_id(id) || !is_id(shard) || !is_primary {
            return None;
        }
        let mut cluster = Self::new((*id).to_owned(), shard.to_owned());
        cluster.config_epoch = epoch.parse().ok()?;
        Some(cluster)
    }
}

impl Server {
    /// Where the server is to be a cluster: takes its names from its file, or makes a node and its file.
    pub fn load_cluster(&mut self, host: &dyn Host) -> Result<(), String> {
        if !self.config.cluster_enabled {
            return Ok(());
        }
        let path = self.config.cluster_config_file.path().to_owned();
        let trouble = |reason: &dyn std::fmt::Display| {
            format!("Unrecoverable error: the cluster config file {}: {reason}", path.display())
        };
        match host.read(&path) {
            Ok(text) if !text.is_empty() => {
                let text = String::from_utf8(text).map_err(|error| trouble(&error))?;
                let cluster = Cluster::read(&text).map_err(|reason| trouble(&reason))?;
                tracing::info!("Node configuration loaded, I'm {}", cluster.node_id);
                self.cluster = Some(Box::new(cluster));
                Ok(())
            }
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(trouble(&error)),
            _ => {
                self.become_new_node();
                self.write_cluster_file(host).map_err(|error| trouble(&error))
            }
        }
    }

    /// A node with a name that nobody has, at epoch 0.
    pub fn become_new_node(&mut self) {
        let random = self.random.get_mut();
        let cluster = Cluster::new(hex_id(random), hex_id(random));
        tracing::info!("No cluster configuration found, I'm {}", cluster.node_id);
        self.cluster = Some(Box::new(cluster));
    }

    /// Writes the file anew and whole.
    pub fn write_cluster_file(&self, host: &dyn Host) -> std::io::Result<()> {
        let Some(cluster) = &self.cluster else { return Ok(()) };
        let path = self.config.cluster_config_file.path().to_owned();
        let (address, shard_id) = (self.cluster_address(None), &cluster.shard_id);
        let separator = if self.config.cluster_announce_hostname.display().is_empty() { "," } else { "" };
        let name = self.config.cluster_announce_human_nodename.display();
        let name = if name.is_empty() { String::new() } else { format!(",nodename={name}") };
        let tls_port = self.announced_tls_port();
        let address = format!("{address}{separator},tls-port={tls_port}{name},shard-id={shard_id}");
        host.replace(&path, cluster.file_text(&address).as_bytes())
    }

    /// The port of this node, as other nodes would be told.
    fn announced_port(&self) -> u16 {
        or_else(self.config.cluster_announce_port, self.tcp_port())
    }

    fn announced_tls_port(&self) -> u16 {
        or_else(self.config.cluster_announce_tls_port, self.config.tls_port)
    }

    /// The ports that clients are told, without and with TLS.
    pub fn told_ports(&self) -> (u16, u16) {
        let config = &self.config;
        (
            or_else(config.cluster_announce_client_port, self.announced_port()),
            or_else(config.cluster_announce_client_tls_port, self.announced_tls_port()),
        )
    }

    /// The address that a client is told: the one announced to clients of its kind, or to all, or none, which means the one by which it
    /// came. As some clients do not understand that, those of this machine are told how they came; others may have come through a
    /// translation of addresses.
    pub fn told_ip(&self, id: SessionId) -> String {
        let config = &self.config;
        let local = self.sessions.get(id).peer.local_address.parse::<std::net::SocketAddr>();
        let local = local.ok().map(|local| local.ip().to_canonical());
        let of_its_kind = match local {
            Some(IpAddr::V4(_)) => &config.cluster_announce_client_ipv4,
            _ => &config.cluster_announce_client_ipv6,
        };
        let announced = [of_its_kind, &config.cluster_announce_ip].map(|address| address.display());
        match announced.into_iter().find(|address| !address.is_empty()) {
            Some(address) => address.into_owned(),
            None => local.filter(IpAddr::is_loopback).map_or_else(String::new, |local| local.to_string()),
        }
    }

    /// `ip:port@bus-port[,hostname]`, as a client is told it, or the file.
    pub fn cluster_address(&self, told: Option<SessionId>) -> String {
        const BUS_ABOVE: u16 = 10_000;
        let config = &self.config;
        let port = told.map_or_else(|| self.announced_port(), |id| self.told_port(id));
        let ip = told.map_or_else(|| config.cluster_announce_ip.display().into_owned(), |id| self.told_ip(id));
        let own = if config.tls_cluster { config.tls_port } else { self.tcp_port() };
        let bus =
            or_else(config.cluster_announce_bus_port, or_else(config.cluster_port, own.saturating_add(BUS_ABOVE)));
        let host = config.cluster_announce_hostname.display();
        let separator = if host.is_empty() { "" } else { "," };
        format!("{ip}:{port}@{bus}{separator}{host}")
    }

    /// The port for clients like this one.
    pub fn told_port(&self, id: SessionId) -> u16 {
        let (plain, tls) = self.told_ports();
        if self.came_by_tls(id) { tls } else { plain }
    }

    /// Every key in the request's slot, or not. Asked before every command of a client; other callers have rules of their own.
    #[inline]
    pub fn crosses_slots(&self, entry: &Entry, request: Request) -> bool {
        self.cluster.is_some() && slots_of(entry, request) == Slots::Many
    }

    /// A transaction's commands all work on one slot.
    pub fn transaction_crosses_slots(&self, transaction: &Transaction) -> bool {
        if self.cluster.is_none() {
            return false;
        }
        let slots = transaction.queue.iter().map(|(request, entry)| slots_of(entry, request.borrow()));
        slots.fold(Slots::None, Slots::and) == Slots::Many
    }

    /// Adds to the figures of a request's slot, where they are wanted.
    #[cold]
    pub fn count_slot_usage(&mut self, entry: &Entry, request: Request, add: impl FnOnce(&mut SlotUsage)) {
        if let Some(cluster) = &mut self.cluster
            && let Slots::One(slot) = slots_of(entry, request)
        {
            add(cluster.usage_mut(slot));
        }
    }

    #[inline]
    pub fn counts_slot_usage(&self) -> bool {
        self.config.cluster_slot_stats_enabled
    }

    /// True where clients are to be told the port for TLS: those that came by it.
    fn came_by_tls(&self, id: SessionId) -> bool {
        let port = self.config.tls_port;
        let address = &self.sessions.get(id).peer.local_address;
        port > 0 && address.rsplit_once(':').is_some_and(|(_, at)| at.parse() == Ok(port))
    }
}

pub fn is_ip_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

fn or_else(announced: u16, own: u16) -> u16 {
    if announced > 0 { announced } else { own }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "00e2fbe84d059df442593a5654a9f2f30cea3155 10.0.0.9:7000@7001,,tls-port=7003,\
                        shard-id=8467e15878ab7ce018824578510f260a599e3c72 myself,master - 0 0 1 connected 0-16383\n";

    #[test]
    fn a_file_of_redis_is_read_and_ours_is_read_again() {
        let read = Cluster::read(&format!("{LINE}vars currentEpoch 3 lastVoteEpoch 0\n")).expect("a good file");
        assert_eq!((read.config_epoch, read.current_epoch), (1, 3));
        assert_eq!(read.shard_id, "8467e15878ab7ce018824578510f260a599e3c72");
        let again = Cluster::read(&read.file_text(&format!(":1@2,,shard-id={}", read.shard_id))).expect("our own");
        assert_eq!((again.node_id, again.shard_id), (read.node_id, read.shard_id));
    }

    #[test]
    fn a_file_that_is_no_single_nodes_is_refused() {
        let refused = |text: &str| Cluster::read(text).err().unwrap_or_default();
        assert!(refused(&format!("{LINE}{LINE}")).contains("several nodes"));
        assert!(refused("").contains("no node"));
        assert!(refused(&LINE.replace("master -", "slave x")).contains("none of a node"));
        for end in 1..LINE.len() {
            // Cut anywhere it is read or refused, and nothing worse.
            let _ = Cluster::read(&LINE[..end]);
        }
    }

    #[test]
    fn patterns_have_a_slot_where_their_tag_comes_first() {
        let a = Some(key_slot(b"a"));
        for (pattern, slot) in [
            ("{a}*", a),
            ("{a}x?*", a),
            ("a", a),
            ("{a}", a),
            ("a*", None),
            ("*{a}", None),
            ("?{a}x*", None),
            ("{*a}", None),
        ] {
            assert_eq!(slot_of_pattern(pattern.as_bytes()), slot, "{pattern}");
        }
    }
}
