//! CLUSTER: this cluster in the words of Redis Cluster, as one shard.
//!
//! All 16384 slots belong to the leader, the other nodes are its replicas. While there is no leader
//! the slots stay with the last one known: clients refuse a map with holes, and the state says
//! `fail` for those who ask. No reply ever redirects a client, since every node serves every key.

use raft::NodeId;
use resp::Encoder;

use crate::config::ClientId;
use crate::node::{Member, Node};

use super::password::hex_digest;
use super::reply::{error_about, host_and_port, key, text};
use super::{SessionCommand, command, in_place};

/// The length of a node's name.
const NAME_DIGITS: usize = 40;

pub(super) fn find(name: &str) -> Option<SessionCommand> {
    Some(match name {
        "help" => in_place(command::help),
        "info" => in_place(info),
        "keyslot" => in_place(keyslot),
        "links" => in_place(links),
        "myid" => in_place(myid),
        "myshardid" => in_place(myshardid),
        "nodes" => in_place(nodes),
        "replicas" | "slaves" => in_place(replicas),
        "shards" => in_place(shards),
        "slots" => in_place(slots),
        _ => return None,
    })
}

/// The name of a node: the same on all nodes, and for as long as the cluster lives.
pub(super) fn node_name(node: &Node, id: NodeId) -> String {
    name(b"node", node.config.cluster.0, id.0)
}

/// The name of the one shard.
pub(super) fn shard_name(node: &Node) -> String {
    name(b"shard", node.config.cluster.0, node.config.group.0)
}

fn name(kind: &[u8], cluster: u64, id: u64) -> String {
    let mut digits = hex_digest(&[kind, &cluster.to_le_bytes(), &id.to_le_bytes()]);
    digits.truncate(NAME_DIGITS);
    digits
}

/// The node that the slots are said to belong to: the leader, the last one, or, before any was seen
/// or its address known, this node, which serves every key as well.
pub(super) fn slot_owner(node: &Node) -> NodeId {
    let has_address = |id: &NodeId| !client_addr(node, *id).is_empty();
    node.consensus
        .leader
        .filter(has_address)
        .or(node.stats.last_leader.filter(has_address))
        .unwrap_or(node.config.node)
}

fn client_addr(node: &Node, id: NodeId) -> &str {
    if id == node.config.node {
        return &node.config.client_addr;
    }
    node.members
        .get(&id)
        .map_or("", |member| member.client_addr.as_str())
}

/// Whether a member can be reached, as far as this node sees.
fn is_there(node: &Node, id: NodeId, member: &Member) -> bool {
    id == node.config.node || member.connected
}

/// Members by id, the owner of the slots first.
fn owner_first(node: &Node) -> Vec<(NodeId, &Member)> {
    let owner = slot_owner(node);
    let mut members: Vec<_> = node
        .members
        .iter()
        .map(|(id, member)| (*id, member))
        .collect();
    members.sort_by_key(|(id, _)| (*id != owner, *id));
    members
}

/// `READONLY`, `READWRITE`, `ASKING`: every node serves every key, reads and writes, in any case.
pub(super) fn acknowledge(
    _node: &mut Node,
    _client: ClientId,
    _args: &[&[u8]],
    out: &mut Encoder<'_>,
) {
    out.ok();
}

/// `CLUSTER INFO`
fn info(node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    let (state, slots_ok) = match node.consensus.leader {
        Some(_) => ("ok", u32::from(kv::SLOT_COUNT)),
        None => ("fail", 0),
    };
    let slots = u32::from(kv::SLOT_COUNT);
    let term = node.consensus.term.0;
    let lines = format!(
        "cluster_state:{state}\r\ncluster_slots_assigned:{slots}\r\ncluster_slots_ok:{slots_ok}\r\n\
         cluster_slots_pfail:0\r\ncluster_slots_fail:{}\r\ncluster_known_nodes:{}\r\n\
         cluster_size:1\r\ncluster_current_epoch:{term}\r\ncluster_my_epoch:{term}\r\n\
         total_cluster_links_buffer_limit_exceeded:0\r\n",
        slots - slots_ok,
        node.members.len(),
    );
    text(out, lines.as_bytes());
}

/// `CLUSTER NODES`
fn nodes(node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    let mut lines = String::new();
    for (id, member) in &node.members {
        lines.push_str(&node_line(node, *id, member));
        lines.push('\n');
    }
    text(out, lines.as_bytes());
}

/// `<id> <ip:port@peer-port> <flags> <master> <ping-sent> <pong-received> <epoch> <link> <slots>`
fn node_line(node: &Node, id: NodeId, member: &Member) -> String {
    let owner = slot_owner(node);
    let (host, port) = host_and_port(client_addr(node, id));
    let (_, peer_port) = host_and_port(&member.peer_addr);
    let mut flags = Vec::new();
    if id == node.config.node {
        flags.push("myself");
    }
    flags.push(if id == owner { "master" } else { "slave" });
    if !is_there(node, id, member) {
        flags.push("fail?");
    }
    if host.is_empty() {
        flags.push("noaddr");
    }
    let master = match id == owner {
        true => "-".to_owned(),
        false => node_name(node, owner),
    };
    format!(
        "{} {host}:{port}@{peer_port} {} {master} 0 0 {} {}{}",
        node_name(node, id),
        flags.join(","),
        node.consensus.term.0,
        if is_there(node, id, member) {
            "connected"
        } else {
            "disconnected"
        },
        if id == owner { " 0-16383" } else { "" },
    )
}

/// `CLUSTER SLOTS`: one range, the owner and the replicas that can be reached.
fn slots(node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    let owner = slot_owner(node);
    let shown: Vec<NodeId> = owner_first(node)
        .into_iter()
        .filter(|(id, member)| {
            *id == owner || (is_there(node, *id, member) && !client_addr(node, *id).is_empty())
        })
        .map(|(id, _)| id)
        .collect();
    out.array(1);
    out.array(2 + shown.len());
    out.integer(0);
    out.integer(i64::from(kv::SLOT_COUNT) - 1);
    for id in shown {
        let (host, port) = host_and_port(client_addr(node, id));
        out.array(4);
        out.bulk(host.as_bytes());
        out.integer(i64::from(port));
        out.bulk(node_name(node, id).as_bytes());
        out.map(0);
    }
}

/// `CLUSTER SHARDS`
fn shards(node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    let members = owner_first(node);
    let owner = slot_owner(node);
    out.array(1);
    out.map(2);
    key(out, "slots");
    out.array(2);
    out.integer(0);
    out.integer(i64::from(kv::SLOT_COUNT) - 1);
    key(out, "nodes");
    out.array(members.len());
    for (id, member) in members {
        let (host, port) = host_and_port(client_addr(node, id));
        let offset = match id == node.config.node {
            true => node.consensus.applied.0,
            false => member.matched,
        };
        out.map(7);
        key(out, "id");
        out.bulk(node_name(node, id).as_bytes());
        key(out, "port");
        out.integer(i64::from(port));
        key(out, "ip");
        out.bulk(host.as_bytes());
        key(out, "endpoint");
        out.bulk(host.as_bytes());
        key(out, "role");
        out.bulk(if id == owner { b"master" } else { b"replica" });
        key(out, "replication-offset");
        out.integer(offset as i64);
        key(out, "health");
        out.bulk(if is_there(node, id, member) {
            b"online"
        } else {
            b"fail"
        });
    }
}

/// `CLUSTER MYID`
fn myid(node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    out.bulk(node_name(node, node.config.node).as_bytes());
}

/// `CLUSTER MYSHARDID`
fn myshardid(node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    out.bulk(shard_name(node).as_bytes());
}

/// `CLUSTER REPLICAS node-id`: their lines of CLUSTER NODES.
fn replicas(node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    let owner = slot_owner(node);
    let asked = node
        .members
        .keys()
        .find(|id| node_name(node, **id).as_bytes() == args[2]);
    match asked {
        None => error_about(out, "ERR Unknown node ", args[2], ""),
        Some(id) if *id != owner => out.error("ERR The specified node is not a master"),
        Some(_) => {
            let replicas: Vec<_> = node
                .members
                .iter()
                .filter(|(id, _)| **id != owner)
                .collect();
            out.array(replicas.len());
            for (id, member) in replicas {
                out.bulk(node_line(node, *id, member).as_bytes());
            }
        }
    }
}

/// `CLUSTER LINKS`: the peers that a connection stands to, each with both of its directions: Redis has
/// a connection for either, and its tools count them in pairs. Here one serves both. What the shell
/// knows of the sockets does not come here.
fn links(node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    let linked: Vec<NodeId> = super::server::peers(node)
        .filter(|(_, member)| member.connected)
        .map(|(id, _)| id)
        .collect();
    out.array(2 * linked.len());
    for id in linked {
        let name = node_name(node, id);
        for direction in ["to", "from"] {
            out.map(3);
            key(out, "direction");
            out.bulk(direction.as_bytes());
            key(out, "node");
            out.bulk(name.as_bytes());
            key(out, "events");
            out.bulk(b"rw");
        }
    }
}

/// `CLUSTER KEYSLOT key`
fn keyslot(_node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    out.integer(i64::from(kv::key_slot(args[2])));
}
