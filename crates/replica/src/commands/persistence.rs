//! SAVE, BGSAVE, LASTSAVE and INFO's section about them. What Redis calls saving is here a snapshot
//! of this node's state: it makes the next start short and the log on disk too. No write depends on
//! it: every one that was acknowledged is in the logs of a majority.

use resp::Encoder;

use crate::config::ClientId;
use crate::node::Node;

use super::info::Fields;
use super::reply::{SYNTAX, is};

const IN_PROGRESS: &str = "ERR Background save already in progress";

/// `SAVE`: answered when the snapshot is durable. In Redis the whole server waits for it, here only
/// this connection. It waits in its input (see [`waits_for_save`]) and comes here when the
/// snapshot has ended, or at once if another one is under way.
pub(super) fn save(node: &mut Node, client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    if node.session(client).save.take().is_none() {
        return out.error(IN_PROGRESS);
    }
    match node.compaction.outcome() {
        Some(Err(reason)) => out.error(format!("ERR the snapshot failed: {reason}")),
        _ => out.ok(),
    }
}

/// Begins the snapshot that a SAVE waits for. Returns whether the client has to wait: until its
/// snapshot has ended.
pub(crate) fn waits_for_save(node: &mut Node, client: ClientId) -> bool {
    if let Some(name) = node.session(client).save {
        return !node.compaction.has_ended(name);
    }
    let name = node.compaction.request();
    node.session(client).save = name;
    name.is_some()
}

/// `BGSAVE [SCHEDULE]`. SCHEDULE makes no difference: nothing else ever keeps a snapshot waiting.
pub(super) fn bgsave(node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    match args {
        [_] => {}
        [_, option] if is(option, "schedule") => {}
        _ => return out.error(SYNTAX),
    }
    match node.compaction.request() {
        Some(_) => out.simple("Background saving started"),
        None => out.error(IN_PROGRESS),
    }
}

/// `LASTSAVE`: when the last snapshot was finished, or, before the first, when the node started.
pub(super) fn lastsave(node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    out.integer(last_save_seconds(node) as i64);
}

fn last_save_seconds(node: &Node) -> u64 {
    let last = node.compaction.last();
    last.map_or(node.started.wall_ms, |last| last.wall_ms) / 1_000
}

/// INFO's section. The fields that begin with `rdb` are Redis's, about snapshots; those with `aof`
/// are about the log.
pub(super) fn info(node: &Node, fields: &mut Fields) {
    let compaction = &node.compaction;
    let seconds = |seconds: Option<u64>| seconds.map_or(-1, |seconds| seconds as i64);
    let status = |is_good: bool| if is_good { "ok" } else { "err" };
    let is_saved = !matches!(compaction.outcome(), Some(Err(_)));
    let last = compaction.last();
    fields.add("loading", 0);
    fields.add("async_loading", 0);
    fields.add(
        "rdb_changes_since_last_save",
        compaction.changes_since_last(),
    );
    fields.add("rdb_bgsave_in_progress", u8::from(compaction.is_running()));
    fields.add("rdb_last_save_time", last_save_seconds(node));
    fields.add("rdb_last_bgsave_status", status(is_saved));
    fields.add(
        "rdb_last_bgsave_time_sec",
        seconds(compaction.took_seconds()),
    );
    fields.add(
        "rdb_current_bgsave_time_sec",
        seconds(compaction.running_seconds(node.now)),
    );
    fields.add("aof_enabled", 1);
    fields.add("aof_rewrite_in_progress", 0);
    fields.add("aof_rewrite_scheduled", 0);
    fields.add("aof_last_bgrewrite_status", "ok");
    fields.add("aof_last_write_status", status(!node.consensus.disk_full));
    fields.add("aof_current_size", node.host.log_bytes);
    fields.add("snapshot_index", last.map_or(0, |last| last.last.index.0));
    fields.add("snapshot_bytes", last.map_or(0, |last| last.bytes));
    fields.add("snapshot_disk_bytes", node.host.snapshot_bytes);
    fields.add("log_disk_bytes", node.host.log_bytes);
    fields.add("log_first_index", node.consensus.first.0);
    fields.add("log_bytes_since_snapshot", compaction.log_bytes());
}
