//! CLUSTER: what a node tells of itself and its slots, and the words of a node of one's own to whoever wants to change the cluster.
//!
//! With `cluster-enabled no` everything is refused, as Redis does it. Otherwise `server::cluster` has the node; it owns every slot and
//! has no bus, so what would bring in another node or give a slot away is refused with a reason.

use crate::cmd::args::Args;
use crate::cmd::command::{COMMAND, Command, Deprecated, Flag, Group, Run};
use crate::cmd::container::{self, HELP, unknown_or_wrong_number};
use crate::cmd::error::{Done, SYNTAX, Stop, error, error_showing, error_with};
use crate::config::EndpointType;
use crate::resp::reply::Reply;
use crate::server::cluster::{Cluster, SlotUsage, is_ip_address};
use crate::server::{Server, SessionId};
use crate::util::crc16::{SLOTS, key_slot};
use crate::util::number::parse_i64;

use Flag::{Admin, Loading, NoAsyncLoading, Noscript, Stale};

pub const COMMANDS: &[Command] = &[Command {
    name: "CLUSTER",
    arity: -2,
    run: Run::Parent(SUBCOMMANDS),
    group: Group::Cluster,
    since: "3.0.0",
    cost: "Depends on subcommand.",
    summary: "Holds the commands about the cluster.",
    ..COMMAND
}];

const TELLS: Command = Command { flags: &[Stale], group: Group::Cluster, since: "3.0.0", ..COMMAND };
const CHANGES: Command = Command { flags: &[Admin, Stale, NoAsyncLoading], ..TELLS };
const VARIES: &[&str] = &["nondeterministic_output"];
const OF_SLOTS: &str = "O(N) where N is the number of slots given";
const OF_KEYS: &str = "O(N) where N is the number of keys in the database";

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "ADDSLOTS",
        arity: -3,
        run: Run::Server(addslots),
        cost: OF_SLOTS,
        usage: "slot [slot ...]",
        summary: "Gives free slots to the node. Here none is ever free.",
        ..CHANGES
    },
    Command {
        name: "ADDSLOTSRANGE",
        arity: -4,
        run: Run::Server(addslotsrange),
        since: "7.0.0",
        cost: OF_SLOTS,
        usage: "start-slot end-slot [start-slot end-slot ...]",
        summary: "Gives ranges of free slots to the node. Here none is ever free.",
        ..CHANGES
    },
    Command {
        name: "BUMPEPOCH",
        arity: 2,
        run: Run::Server(bumpepoch),
        summary: "Makes the node's epoch the cluster's greatest.",
        tips: VARIES,
        ..CHANGES
    },
    Command {
        name: "COUNT-FAILURE-REPORTS",
        arity: 3,
        run: Run::Server(count_failure_reports),
        flags: &[Admin, Stale],
        usage: "node-id",
        summary: "Tells how many nodes think that a node has failed.",
        tips: VARIES,
        ..CHANGES
    },
    Command {
        name: "COUNTKEYSINSLOT",
        arity: 3,
        run: Run::Server(countkeysinslot),
        cost: OF_KEYS,
        usage: "slot",
        summary: "Counts the keys in a slot.",
        ..TELLS
    },
    Command {
        name: "DELSLOTS",
        arity: -3,
        run: Run::Server(delslots),
        cost: OF_SLOTS,
        usage: "slot [slot ...]",
        summary: "Takes slots from the node. The only node keeps its slots.",
        ..CHANGES
    },
    Command {
        name: "DELSLOTSRANGE",
        arity: -4,
        run: Run::Server(delslotsrange),
        since: "7.0.0",
        cost: OF_SLOTS,
        usage: "start-slot end-slot [start-slot end-slot ...]",
        summary: "Takes ranges of slots from the node. The only node keeps its slots.",
        ..CHANGES
    },
    Command {
        name: "FAILOVER",
        arity: -2,
        run: Run::Server(failover),
        usage: "[FORCE | TAKEOVER]",
        summary: "Asks a replica to take its primary's place.",
        ..CHANGES
    },
    Command {
        name: "FLUSHSLOTS",
        arity: 2,
        run: Run::Server(flushslots),
        summary: "Takes all slots from the node. The only node keeps its slots.",
        ..CHANGES
    },
    Command {
        name: "FORGET",
        arity: 3,
        run: Run::Server(forget),
        usage: "node-id",
        summary: "Takes a node out of the cluster.",
        ..CHANGES
    },
    Command {
        name: "GETKEYSINSLOT",
        arity: 4,
        run: Run::Server(getkeysinslot),
        cost: OF_KEYS,
        usage: "slot count",
        summary: "Returns some keys of a slot.",
        tips: VARIES,
        ..TELLS
    },
    Command { run: Run::Server(help), group: Group::Cluster, since: "5.0.0", ..HELP },
    Command {
        name: "INFO",
        arity: 2,
        run: Run::Server(info),
        summary: "Tells how the cluster fares.",
        tips: VARIES,
        ..TELLS
    },
    Command {
        name: "KEYSLOT",
        arity: 3,
        run: Run::Server(keyslot),
        cost: "O(N) where N is the length of the key",
        usage: "key",
        summary: "Returns the slot of a key.",
        ..TELLS
    },
    Command {
        name: "LINKS",
        arity: 2,
        run: Run::Server(links),
        since: "7.0.0",
        cost: "O(N) where N is the number of nodes",
        summary: "Lists the connections between this node and others.",
        tips: VARIES,
        ..TELLS
    },
    Command {
        name: "MEET",
        arity: -4,
        run: Run::Server(meet),
        usage: "ip port [cluster-bus-port]",
        summary: "Brings another node into the cluster, which needs a bus: there is none here.",
        ..CHANGES
    },
    Command { name: "MYID", arity: 2, run: Run::Server(myid), summary: "Returns the node's id.", ..TELLS },
    Command {
        name: "MYSHARDID",
        arity: 2,
        run: Run::Server(myshardid),
        since: "7.2.0",
        summary: "Returns the id of the node's shard.",
        tips: VARIES,
        ..TELLS
    },
    Command {
        name: "NODES",
        arity: 2,
        run: Run::Server(nodes),
        cost: "O(N) where N is the number of nodes",
        summary: "Lists the nodes, one a line.",
        tips: VARIES,
        ..TELLS
    },
    Command {
        name: "REPLICAS",
        arity: 3,
        run: Run::Server(replicas),
        since: "5.0.0",
        deprecated: None,
        summary: "Lists the replicas of a node.",
        ..SLAVES
    },
    Command {
        name: "REPLICATE",
        arity: 3,
        run: Run::Server(replicate),
        usage: "node-id",
        summary: "Makes the node a replica of another.",
        ..CHANGES
    },
    Command {
        name: "RESET",
        arity: -2,
        run: Run::Server(reset),
        flags: &[Admin, Noscript, Stale],
        usage: "[HARD | SOFT]",
        summary: "Makes the node as new; with HARD it gets another id and loses its epochs.",
        ..CHANGES
    },
    Command {
        name: "SAVECONFIG",
        arity: 2,
        run: Run::Server(saveconfig),
        summary: "Writes the cluster's file anew.",
        ..CHANGES
    },
    Command {
        name: "SET-CONFIG-EPOCH",
        arity: 3,
        run: Run::Server(set_config_epoch),
        usage: "config-epoch",
        summary: "Sets the epoch of a new node.",
        ..CHANGES
    },
    Command {
        name: "SETSLOT",
        arity: -4,
        run: Run::Server(setslot),
        usage: "slot <IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE>",
        summary: "Says where a slot belongs or goes. The only node keeps its slots.",
        ..CHANGES
    },
    Command {
        name: "SHARDS",
        arity: 2,
        run: Run::Server(shards),
        flags: &[Loading, Stale],
        since: "7.0.0",
        cost: "O(N) where N is the number of nodes",
        summary: "Tells which shard has which slots.",
        tips: VARIES,
        ..TELLS
    },
    SLAVES,
    Command {
        name: "SLOT-STATS",
        arity: -4,
        run: Run::Server(slot_stats),
        flags: &[Loading, Stale],
        since: "8.2.0",
        cost: "O(K + N*log(N)) where K is the number of keys and N that of the slots asked for",
        usage: "<SLOTSRANGE start-slot end-slot | ORDERBY <metric [LIMIT limit] [ASC | DESC]>>",
        summary: "Tells of each slot how many keys it has and what they were used for.",
        tips: &["nondeterministic_output", "request_policy:all_shards"],
        ..TELLS
    },
    Command {
        name: "SLOTS",
        arity: 2,
        run: Run::Server(slots),
        flags: &[Loading, Stale],
        cost: "O(N) where N is the number of nodes",
        summary: "Tells which node has which slots.",
        tips: VARIES,
        deprecated: Some(Deprecated { since: "7.0.0", instead: "`CLUSTER SHARDS`" }),
        ..TELLS
    },
];

const SLAVES: Command = Command {
    name: "SLAVES",
    arity: 3,
    run: Run::Server(replicas),
    flags: &[Admin, Stale],
    cost: "O(N) where N is the number of replicas",
    usage: "node-id",
    summary: "Lists the replicas of a node: the old name of CLUSTER REPLICAS.",
    tips: VARIES,
    deprecated: Some(Deprecated { since: "5.0.0", instead: "`CLUSTER REPLICAS`" }),
    ..TELLS
};

const DISABLED: Stop = error("ERR This instance has cluster support disabled");
const KEEPS_ITS_SLOTS: Stop = error("ERR this node is the whole cluster: its slots cannot be given away");
const NO_BUS: Stop = error("ERR there is no cluster bus here: this node is the whole cluster");
const NO_SLOT: Stop = error("ERR Invalid or out of range slot");

fn node(server: &Server) -> Result<&Cluster, Stop> {
    server.cluster.as_deref().ok_or(DISABLED)
}

fn node_mut(server: &mut Server) -> Result<&mut Cluster, Stop> {
    server.cluster.as_deref_mut().ok_or(DISABLED)
}

fn help(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    node(server)?;
    container::help(server, id, args, reply)
}

fn info(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    let node = node(server)?;
    let mut text = String::from("cluster_state:ok\r\n");
    for (name, value) in [
        ("cluster_slots_assigned", u64::from(SLOTS)),
        ("cluster_slots_ok", u64::from(SLOTS)),
        ("cluster_slots_pfail", 0),
        ("cluster_slots_fail", 0),
        ("cluster_known_nodes", 1),
        ("cluster_size", 1),
        ("cluster_current_epoch", node.current_epoch),
        ("cluster_my_epoch", node.config_epoch),
        ("cluster_stats_messages_sent", 0),
        ("cluster_stats_messages_received", 0),
        ("total_cluster_links_buffer_limit_exceeded", 0),
    ] {
        text.push_str(&format!("{name}:{value}\r\n"));
    }
    reply.verbatim("txt", text.as_bytes());
    Ok(())
}

fn nodes(server: &mut Server, id: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    let line = node(server)?.line(&server.cluster_address(Some(id)));
    reply.verbatim("txt", line.as_bytes());
    Ok(())
}

fn myid(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    reply.bulk(node(server)?.node_id.as_bytes());
    Ok(())
}

fn myshardid(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    reply.bulk(node(server)?.shard_id.as_bytes());
    Ok(())
}

fn links(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    node(server)?;
    reply.array(0);
    Ok(())
}

fn keyslot(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    node(server)?;
    reply.int(i64::from(key_slot(args.next()?)));
    Ok(())
}

/// Where a client is sent, by `cluster-preferred-endpoint-type`.
fn endpoint(server: &Server, id: SessionId) -> Option<String> {
    let config = &server.config;
    match config.cluster_preferred_endpoint_type {
        EndpointType::Ip => Some(server.told_ip(id)),
        EndpointType::Hostname => {
            let name = config.cluster_announce_hostname.display();
            Some(if name.is_empty() { "?".to_owned() } else { name.into_owned() })
        }
        EndpointType::Unknown => None,
    }
}

fn slots(server: &mut Server, id: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    let node = node(server)?;
    let config = &server.config;
    let port = server.told_port(id);
    let preferred = config.cluster_preferred_endpoint_type;
    let (ip, host) = (server.told_ip(id), config.cluster_announce_hostname.display());
    let mut networks = Vec::new();
    if preferred != EndpointType::Ip {
        networks.push(("ip", ip.into()));
    }
    if preferred != EndpointType::Hostname && !host.is_empty() {
        networks.push(("hostname", host));
    }

    reply.array(1);
    reply.array(3);
    reply.int(0);
    reply.int(i64::from(SLOTS) - 1);
    reply.array(4);
    match endpoint(server, id) {
        Some(endpoint) => reply.bulk(endpoint.as_bytes()),
        None => reply.null(),
    }
    reply.int(i64::from(port));
    reply.bulk(node.node_id.as_bytes());
    reply.map(networks.len());
    for (name, value) in networks {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    Ok(())
}

fn shards(server: &mut Server, id: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    let node = node(server)?;
    let config = &server.config;
    let endpoint = endpoint(server, id).unwrap_or_default();
    let (ip, host) = (server.told_ip(id), config.cluster_announce_hostname.display());

    reply.array(1);
    reply.map(2);
    reply.bulk(b"slots");
    reply.array(2);
    reply.int(0);
    reply.int(i64::from(SLOTS) - 1);
    reply.bulk(b"nodes");
    reply.array(1);
    let fields = reply.later();
    let mut count = 6;
    text_field(reply, "id", &node.node_id);
    let (plain, tls) = server.told_ports();
    for (name, port) in [("port", plain), ("tls-port", tls)] {
        if port > 0 {
            reply.bulk(name.as_bytes());
            reply.int(i64::from(port));
            count += 1;
        }
    }
    text_field(reply, "ip", &ip);
    text_field(reply, "endpoint", &endpoint);
    if !host.is_empty() {
        text_field(reply, "hostname", &host);
        count += 1;
    }
    text_field(reply, "role", "master");
    reply.bulk(b"replication-offset");
    reply.int(server.replication_offset() as i64);
    text_field(reply, "health", "online");
    reply.finish_map(fields, count);
    Ok(())
}

fn text_field(reply: &mut Reply, name: &str, value: &str) {
    reply.bulk(name.as_bytes());
    reply.bulk(value.as_bytes());
}

fn countkeysinslot(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    node(server)?;
    let slot = args.int()?;
    if !(0..i64::from(SLOTS)).contains(&slot) {
        return Err(error("ERR Invalid slot"));
    }

    let view = server.view(id);
    reply.count(view.records().filter(|record| i64::from(key_slot(record.key())) == slot).count());
    Ok(())
}

fn getkeysinslot(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    node(server)?;
    let (slot, max) = (args.int()?, args.int()?);
    let max = usize::try_from(max).ok().filter(|_| (0..i64::from(SLOTS)).contains(&slot));
    let max = max.ok_or(error("ERR Invalid slot or number of keys"))?;

    let start = reply.later();
    let mut count = 0;
    let view = server.view(id);
    let of_slot = view.records().filter(|record| i64::from(key_slot(record.key())) == slot);
    for record in of_slot.take(max) {
        reply.bulk(record.key());
        count += 1;
    }
    reply.finish_array(start, count);
    Ok(())
}

/// What SLOT-STATS tells of a slot. All but the first only where `cluster-slot-stats-enabled` has it counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Metric {
    KeyCount,
    CpuUsec,
    NetworkBytesIn,
    NetworkBytesOut,
}

impl Metric {
    const ALL: [(Metric, &'static str); 4] = [
        (Metric::KeyCount, "key-count"),
        (Metric::CpuUsec, "cpu-usec"),
        (Metric::NetworkBytesIn, "network-bytes-in"),
        (Metric::NetworkBytesOut, "network-bytes-out"),
    ];

    fn of(self, keys: u64, usage: SlotUsage) -> u64 {
        match self {
            Metric::KeyCount => keys,
            Metric::CpuUsec => usage.cpu_us,
            Metric::NetworkBytesIn => usage.input_bytes,
            Metric::NetworkBytesOut => usage.output_bytes,
        }
    }
}

fn slot_stats(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    node(server)?;
    let shown = if server.config.cluster_slot_stats_enabled { &Metric::ALL[..] } else { &Metric::ALL[..1] };
    let unknown = unknown_or_wrong_number(args);
    let (slots, order) = match () {
        () if args.len() == 3 && args.option("SLOTSRANGE") => {
            let (start, end) = slot_range(args, "Start")?;
            ((start..=end).collect::<Vec<u16>>(), None)
        }
        () if args.option("ORDERBY") => {
            let order = Order::read(shown, args)?;
            ((0..SLOTS).collect(), Some(order))
        }
        () => return Err(unknown),
    };

    let mut keys = vec![0u64; usize::from(SLOTS)];
    server.view(id).records().for_each(|record| keys[usize::from(key_slot(record.key()))] += 1);
    let node = node(server)?;
    let value = |metric: Metric, slot: u16| metric.of(keys[usize::from(slot)], node.usage(slot));
    let slots = match order {
        Some(order) => order.apply(slots, value),
        None => slots,
    };
    reply.array(slots.len());
    for slot in slots {
        reply.array(2);
        reply.int(i64::from(slot));
        reply.map(shown.len());
        for (metric, name) in shown {
            reply.bulk(name.as_bytes());
            reply.int(i64::try_from(value(*metric, slot)).unwrap_or(i64::MAX));
        }
    }
    Ok(())
}

struct Order {
    metric: Metric,
    limit: usize,
    ascending: bool,
}

impl Order {
    fn read(known: &[(Metric, &'static str)], args: &mut Args) -> Result<Self, Stop> {
        const BAD_LIMIT: &str = "ERR Limit has to lie in between 1 and 16384 (maximum number of slots).";
        let name = args.next()?;
        let metric = known.iter().find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(name));
        let metric = metric.ok_or(error("ERR Unrecognized sort metric for ORDERBY."))?.0;
        let (mut limit, mut ascending) = (None, None);
        while !args.is_empty() {
            let again = if args.option_with_value("LIMIT") {
                let count = args.int_in(1..=i64::from(SLOTS), BAD_LIMIT)?;
                limit.replace(count as usize).is_some()
            } else if args.option("ASC") {
                ascending.replace(true).is_some()
            } else if args.option("DESC") {
                ascending.replace(false).is_some()
            } else {
                return Err(SYNTAX);
            };
            if again {
                return Err(error("ERR Multiple filters of the same type are disallowed."));
            }
        }
        Ok(Self { metric, limit: limit.unwrap_or(usize::from(SLOTS)), ascending: ascending.unwrap_or(false) })
    }

    /// Of slots with the same figure the lower comes first, whatever the direction.
    fn apply(&self, mut slots: Vec<u16>, value: impl Fn(Metric, u16) -> u64) -> Vec<u16> {
        slots.sort_by_key(|&slot| {
            let figure = value(self.metric, slot);
            if self.ascending { figure } else { u64::MAX - figure }
        });
        slots.truncate(self.limit);
        slots
    }
}

fn slot(text: &[u8]) -> Result<u16, Stop> {
    parse_i64(text).and_then(|slot| u16::try_from(slot).ok()).filter(|&slot| slot < SLOTS).ok_or(NO_SLOT)
}

fn slot_range(args: &mut Args, start_word: &str) -> Result<(u16, u16), Stop> {
    let (start, end) = (slot(args.next()?)?, slot(args.next()?)?);
    if start > end {
        return Err(error_with(format!("ERR {start_word} slot number {start} is greater than end slot number {end}")));
    }
    Ok((start, end))
}

/// The slots of ADDSLOTS and its like; an odd number of bounds is a wrong number of arguments.
fn given_slots(args: &mut Args, ranges: bool, name: &str) -> Result<Vec<u16>, Stop> {
    if !ranges {
        return args.rest().map(slot).collect();
    }
    if !args.len().is_multiple_of(2) {
        return Err(error_with(format!("ERR wrong number of arguments for '{name}' command")));
    }
    let mut slots = Vec::new();
    while !args.is_empty() {
        let (start, end) = slot_range(args, "start")?;
        slots.extend(start..=end);
        if slots.len() > usize::from(SLOTS) {
            return Err(repeated(end));
        }
    }
    Ok(slots)
}

fn repeated(slot: u16) -> Stop {
    error_with(format!("ERR Slot {slot} specified multiple times"))
}

fn addslots(server: &mut Server, _: SessionId, args: &mut Args, _: &mut Reply) -> Done {
    node(server)?;
    refuse_new_slots(&given_slots(args, false, "cluster|addslots")?)
}

fn addslotsrange(server: &mut Server, _: SessionId, args: &mut Args, _: &mut Reply) -> Done {
    node(server)?;
    refuse_new_slots(&given_slots(args, true, "cluster|addslotsrange")?)
}

fn refuse_new_slots(slots: &[u16]) -> Done {
    let first = slots.first().ok_or(SYNTAX)?;
    Err(error_with(format!("ERR Slot {first} is already busy")))
}

fn delslots(server: &mut Server, _: SessionId, args: &mut Args, _: &mut Reply) -> Done {
    node(server)?;
    refuse_to_give(given_slots(args, false, "cluster|delslots")?)
}

fn delslotsrange(server: &mut Server, _: SessionId, args: &mut Args, _: &mut Reply) -> Done {
    node(server)?;
    refuse_to_give(given_slots(args, true, "cluster|delslotsrange")?)
}

fn refuse_to_give(mut slots: Vec<u16>) -> Done {
    slots.sort_unstable();
    match slots.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(repeated(pair[0])),
        None => Err(KEEPS_ITS_SLOTS),
    }
}

fn flushslots(server: &mut Server, _: SessionId, _: &mut Args, _: &mut Reply) -> Done {
    node(server)?;
    Err(KEEPS_ITS_SLOTS)
}

fn setslot(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    const NO_ACTION: Stop = error("ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP");
    let my_id = &node(server)?.node_id;
    let slot = slot(args.next()?)?;
    let alone = args.len() == 1;
    let is_me = |id: &[u8]| id == my_id.as_bytes();
    match () {
        () if alone && args.option("STABLE") => reply.ok(),
        () if alone || args.len() != 2 => return Err(NO_ACTION),
        () if args.option("IMPORTING") => {
            return Err(error_with(format!("ERR I'm already the owner of hash slot {slot}")));
        }
        () if args.option("MIGRATING") => {
            let id = args.next()?;
            return Err(if is_me(id) {
                KEEPS_ITS_SLOTS
            } else {
                error_showing("ERR I don't know about node ", id, "")
            });
        }
        () if args.option("NODE") => {
            let id = args.next()?;
            if !is_me(id) {
                return Err(unknown_node(id));
            }
            reply.ok();
        }
        () => return Err(NO_ACTION),
    }
    Ok(())
}

fn unknown_node(id: &[u8]) -> Stop {
    error_showing("ERR Unknown node ", id, "")
}

/// The next argument where it is this node's id: there is no other node.
fn expect_me(server: &Server, args: &mut Args) -> Done {
    let my_id = &node(server)?.node_id;
    let id = args.next()?;
    if id == my_id.as_bytes() { Ok(()) } else { Err(unknown_node(id)) }
}

fn count_failure_reports(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    expect_me(server, args)?;
    reply.int(0);
    Ok(())
}

fn replicas(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    expect_me(server, args)?;
    reply.array(0);
    Ok(())
}

fn forget(server: &mut Server, _: SessionId, args: &mut Args, _: &mut Reply) -> Done {
    expect_me(server, args)?;
    Err(error("ERR I tried hard but I can't forget myself..."))
}

fn replicate(server: &mut Server, _: SessionId, args: &mut Args, _: &mut Reply) -> Done {
    expect_me(server, args)?;
    Err(error("ERR Can't replicate myself"))
}

fn failover(server: &mut Server, _: SessionId, args: &mut Args, _: &mut Reply) -> Done {
    node(server)?;
    if args.len() > 1 {
        return Err(unknown_or_wrong_number(args));
    }
    if !args.is_empty() && !args.option("FORCE") && !args.option("TAKEOVER") {
        return Err(SYNTAX);
    }
    Err(error("ERR You should send CLUSTER FAILOVER to a replica"))
}

fn meet(server: &mut Server, _: SessionId, args: &mut Args, _: &mut Reply) -> Done {
    node(server)?;
    if args.len() > 3 {
        return Err(unknown_or_wrong_number(args));
    }
    let (ip, port_text) = (args.next()?, args.next()?);
    let port = parse_i64(port_text).ok_or_else(|| error_showing("ERR Invalid base port specified: ", port_text, ""))?;
    if let Some(bus) = args.try_next()
        && parse_i64(bus).is_none()
    {
        return Err(error_showing("ERR Invalid bus port specified: ", bus, ""));
    }
    let ip = String::from_utf8_lossy(ip);
    if !is_ip_address(&ip) || !(1..=65535).contains(&port) {
        return Err(error_showing("ERR Invalid node address specified: ", format!("{ip}:{port}").as_bytes(), ""));
    }
    Err(NO_BUS)
}

fn bumpepoch(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    let node = node_mut(server)?;
    let word = if node.bump_epoch() { "BUMPED" } else { "STILL" };
    let text = format!("{word} {}", node.config_epoch);
    keep(server)?;
    reply.simple(&text);
    Ok(())
}

fn set_config_epoch(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let node = node_mut(server)?;
    let epoch = args.int()?;
    let epoch = u64::try_from(epoch).map_err(|_| error_with(format!("ERR Invalid config epoch specified: {epoch}")))?;
    if node.config_epoch != 0 {
        return Err(error("ERR Node config epoch is already non-zero"));
    }
    node.config_epoch = epoch;
    node.current_epoch = node.current_epoch.max(epoch);
    keep(server)?;
    reply.ok();
    Ok(())
}

fn reset(server: &mut Server, _: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    node(server)?;
    if args.len() > 1 {
        return Err(unknown_or_wrong_number(args));
    }
    let hard = args.option("HARD");
    if !hard && !args.is_empty() && !args.option("SOFT") {
        return Err(SYNTAX);
    }
    if (0..server.keyspace.databases()).any(|db| !server.keyspace.db(db).is_empty()) {
        return Err(error("ERR CLUSTER RESET can't be called with master nodes containing keys"));
    }
    if hard {
        server.become_new_node();
        keep(server)?;
    }
    reply.ok();
    Ok(())
}

fn saveconfig(server: &mut Server, _: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    node(server)?;
    keep(server)?;
    reply.ok();
    Ok(())
}

/// Writes what the node knows of itself to its file.
fn keep(server: &mut Server) -> Done {
    let written = server.write_cluster_file(&*server.host);
    written.map_err(|error| error_with(format!("ERR error saving the cluster node config: {error}")))
}

#[cfg(test)]
mod tests;
