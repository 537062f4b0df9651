//! TIME, ROLE, WAIT, WAITAOF, SHUTDOWN, LOLWUT, MODULE, and facts that several commands
//! report.

use std::fmt::Write as _;

use raft::{NodeId, Role};
use resp::Encoder;

use crate::config::ClientId;
use crate::node::{Member, Node};
use crate::output::Shutdown;

use super::reply::{NOT_AN_INTEGER, SYNTAX, host_and_port, integer, is, text};
use super::{SessionCommand, command, in_place};

/// The Redis version whose behaviour clients may expect. They switch features by it: Sidekiq needs
/// 7.0, CLIENT SETINFO came with 7.2. Valkey reports the same.
pub(super) const REDIS_VERSION: &str = "7.2.4";

/// The cluster's hash slots all belong to the leader; so it is what Redis calls a master.
pub(super) fn is_leader(node: &Node) -> bool {
    node.consensus.role == Role::Leader
}

/// The members that are not this node, in order.
pub(super) fn peers(node: &Node) -> impl Iterator<Item = (NodeId, &Member)> {
    let own = node.config.node;
    node.members
        .iter()
        .map(|(id, member)| (*id, member))
        .filter(move |(id, _)| *id != own)
}

/// How many other nodes are known to have on disk what this node has acknowledged: the rest of the
/// majority, or more where the leader knows more.
pub(super) fn replicas_with_all(node: &Node) -> i64 {
    let majority_without_one = node.ids(true).count() / 2;
    let applied = node.consensus.applied.0;
    let known = match is_leader(node) {
        true => peers(node)
            .filter(|(_, member)| member.matched >= applied)
            .count(),
        false => 0,
    };
    known.max(majority_without_one) as i64
}

pub(super) fn find_module(name: &str) -> Option<SessionCommand> {
    Some(match name {
        "list" => in_place(module_list),
        "help" => in_place(command::help),
        _ => return None,
    })
}

/// `MODULE LIST`
fn module_list(_node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    out.array(0);
}

/// `TIME`: seconds and microseconds of this node's clock, which is read in milliseconds.
pub(super) fn time(node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    let wall_ms = node.now.wall_ms;
    out.array(2);
    out.bulk_i64((wall_ms / 1_000) as i64);
    out.bulk_i64((wall_ms % 1_000 * 1_000) as i64);
}

/// `ROLE`, in Redis's words: the leader is a master, the others are its slaves, and offsets are
/// indexes of the log.
pub(super) fn role(node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    if is_leader(node) {
        let replicas: Vec<&Member> = peers(node)
            .map(|(_, member)| member)
            .filter(|member| member.connected && !member.client_addr.is_empty())
            .collect();
        out.array(3);
        out.bulk(b"master");
        out.integer(node.consensus.commit.0 as i64);
        out.array(replicas.len());
        for member in replicas {
            let (host, port) = host_and_port(&member.client_addr);
            out.array(3);
            out.bulk(host.as_bytes());
            out.bulk_i64(i64::from(port));
            out.bulk_i64(member.matched as i64);
        }
        return;
    }
    let leader = node.leader_addr();
    let (host, port) = host_and_port(leader.unwrap_or_default());
    out.array(5);
    out.bulk(b"slave");
    out.bulk(host.as_bytes());
    out.integer(i64::from(port));
    out.bulk(if leader.is_some() {
        b"connected"
    } else {
        b"connect"
    });
    out.integer(node.consensus.applied.0 as i64);
}

/// `WAIT numreplicas timeout`. What was acknowledged before is on a majority's disks already, so it
/// replies at once how many replicas that makes, whatever was asked for.
pub(super) fn wait(node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    if integer(args[1]).is_none() {
        return out.error(NOT_AN_INTEGER);
    }
    if is_timeout(args[2], out) {
        out.integer(replicas_with_all(node));
    }
}

/// `WAITAOF numlocal numreplicas timeout`. As [`wait`]; the majority is told as this node's disk and
/// the others'. Which disks they are, the gateway does not know.
pub(super) fn waitaof(node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    match integer(args[1]) {
        Some(0 | 1) => {}
        Some(_) => return out.error("ERR value is out of range, value must between 0 and 1"),
        None => return out.error(NOT_AN_INTEGER),
    }
    match integer(args[2]) {
        Some(count) if count >= 0 => {}
        Some(_) => return out.error("ERR value is out of range, must be positive"),
        None => return out.error(NOT_AN_INTEGER),
    }
    if is_timeout(args[3], out) {
        out.array(2);
        out.integer(1);
        out.integer(replicas_with_all(node));
    }
}

fn is_timeout(arg: &[u8], out: &mut Encoder<'_>) -> bool {
    match integer(arg) {
        Some(timeout) if timeout >= 0 => return true,
        Some(_) => out.error("ERR timeout is negative"),
        None => out.error("ERR timeout is not an integer or out of range"),
    }
    false
}

/// `SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]`. There is nothing to save, so NOSAVE, NOW and
/// FORCE all mean: without handing leadership over first. No reply: the connection ends.
pub(super) fn shutdown(node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    let (mut save, mut nosave, mut at_once, mut abort) = (false, false, false, false);
    for option in &args[1..] {
        match option {
            option if is(option, "save") => save = true,
            option if is(option, "nosave") => nosave = true,
            option if is(option, "now") || is(option, "force") => at_once = true,
            option if is(option, "abort") => abort = true,
            _ => return out.error(SYNTAX),
        }
    }
    if (save && nosave) || (abort && args.len() > 2) {
        return out.error(SYNTAX);
    }
    if abort {
        return out.error("ERR No shutdown in progress.");
    }
    node.shutdown = Some(Shutdown {
        now: nosave || at_once,
    });
}

/// `LOLWUT [VERSION version]`: the cluster as it is, drawn.
pub(super) fn lolwut(node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    if let [_, version, number, ..] = *args
        && is(version, "version")
        && integer(number).is_none()
    {
        return out.error(NOT_AN_INTEGER);
    }
    text(out, drawing(node).as_bytes());
}

/// A box per member, the leader's crowned; the lost ones are faint.
fn drawing(node: &Node) -> String {
    let mut lines = [const { String::new() }; 4];
    for (place, (id, member)) in node.members.iter().enumerate() {
        let joint = if place == 0 { " " } else { "-" };
        let is_there = member.connected || *id == node.config.node;
        let side = if is_there { '|' } else { ':' };
        let crown = if node.consensus.leader == Some(*id) {
            "\\|/"
        } else {
            "   "
        };
        let _ = write!(lines[0], "   {crown}  ");
        let _ = write!(lines[1], "  .---. ");
        let _ = write!(lines[2], "{joint}{joint}{side}{:^3}{side}-", id.0);
        let _ = write!(lines[3], "  '---' ");
    }
    let middle = lines[2].trim_end_matches('-').to_owned();
    let all = node.ids(true).count();
    format!(
        "{}\n{}\n{middle}\n{}\n\n{} of {all} agree, and what is said stays said.\n\nQuorate ver. {}\n",
        lines[0].trim_end(),
        lines[1].trim_end(),
        lines[3].trim_end(),
        all / 2 + 1,
        node.config.info.version,
    )
}
