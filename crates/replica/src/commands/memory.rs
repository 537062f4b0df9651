//! MEMORY, except MEMORY USAGE, which looks at a key and is kv's.

use resp::Encoder;

use crate::config::ClientId;
use crate::node::Node;

use super::reply::{key, text};
use super::{SessionCommand, command, in_place};

pub(super) fn find(name: &str) -> Option<SessionCommand> {
    Some(match name {
        "doctor" => in_place(doctor),
        "help" => in_place(command::help),
        "malloc-stats" => in_place(malloc_stats),
        "purge" => in_place(purge),
        "stats" => in_place(stats),
        _ => return None,
    })
}

/// Bytes that buffers of clients hold.
pub(super) fn client_bytes(node: &Node) -> u64 {
    let buffers = node.sessions.iter().map(|(_, session)| {
        let queued = session
            .multi
            .as_ref()
            .map_or(0, |multi| multi.commands.capacity());
        session.input.capacity() + session.output.capacity() + queued
    });
    buffers.sum::<usize>() as u64
}

/// `MEMORY DOCTOR`
fn doctor(node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    let host = node.host;
    let clients = client_bytes(node);
    if host.system_memory_bytes > 0 && host.rss_bytes > host.system_memory_bytes / 4 * 3 {
        return text(
            out,
            b"This node uses more than three quarters of the machine's memory. All data is kept in \
              memory: give it more, or keep less.\n",
        );
    }
    if clients > host.rss_bytes / 2 && host.rss_bytes > 0 {
        return text(
            out,
            b"More than half of the memory is buffers of clients. CLIENT LIST shows whose: look at \
              qbuf and omem.\n",
        );
    }
    text(out, b"Nothing is wrong with the memory of this node.\n");
}

/// `MEMORY MALLOC-STATS`
fn malloc_stats(_node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    out.bulk(b"Stats not supported for the current allocator");
}

/// `MEMORY PURGE`: the allocator gives memory back by itself.
fn purge(_node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    out.ok();
}

/// `MEMORY STATS`: the names of Redis in its order, those of them that have a value here. The
/// allocator is not asked; what the process takes is its resident memory.
fn stats(node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    let store = &node.machine.store;
    let keys: usize = (0..kv::DATABASE_COUNT).map(|db| store.key_count(db)).sum();
    let (total, peak) = (
        node.host.rss_bytes,
        node.host.rss_peak_bytes.max(node.host.rss_bytes),
    );
    let clients = client_bytes(node);
    let overhead = clients + store.keyspace_bytes() as u64;
    let dataset = total.saturating_sub(overhead);
    let counts = [
        ("peak.allocated", peak),
        ("total.allocated", total),
        ("startup.allocated", 0),
        ("replication.backlog", 0),
        ("clients.slaves", 0),
        ("clients.normal", clients),
        ("cluster.links", 0),
        ("aof.buffer", 0),
        ("lua.caches", 0),
        ("functions.caches", 0),
        ("overhead.total", overhead),
        ("keys.count", keys as u64),
        (
            "keys.bytes-per-key",
            dataset.checked_div(keys as u64).unwrap_or(0),
        ),
        ("dataset.bytes", dataset),
    ];
    out.map(counts.len() + 2);
    for (name, count) in counts {
        key(out, name);
        out.integer(count as i64);
    }
    key(out, "dataset.percentage");
    out.double(percentage(dataset, total));
    key(out, "peak.percentage");
    out.double(percentage(total, peak));
}

/// A part of a whole in percent; 0 of nothing.
pub(super) fn percentage(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        whole => part as f64 * 100.0 / whole as f64,
    }
}
