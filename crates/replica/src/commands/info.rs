//! INFO: the sections and fields of Redis that tools read, and our own.
//!
//! A field stands here only if its value is true. Fields about what we do not have (forks, AOF
//! rewrites, defragmentation) are left out, except where tools do not do without.

use std::fmt::{Display, Write as _};

use raft::Role;
use resp::Encoder;

use crate::config::ClientId;
use crate::node::Node;

use super::cluster::shard_name;
use super::memory::{client_bytes, percentage};
use super::persistence;
use super::reply::{host_and_port, is, text};
use super::server::{REDIS_VERSION, is_leader, peers};

/// A section: its name in INFO's arguments, its heading, and whether INFO shows it unasked.
struct Section {
    name: &'static str,
    heading: &'static str,
    by_default: bool,
    write: fn(&Node, &mut Fields),
}

/// All sections in the order of Redis, ours before the keyspace.
static SECTIONS: &[Section] = &[
    section("server", "Server", true, server),
    section("clients", "Clients", true, clients),
    section("memory", "Memory", true, memory),
    section("persistence", "Persistence", true, persistence::info),
    section("stats", "Stats", true, stats),
    section("replication", "Replication", true, replication),
    section("cpu", "CPU", true, cpu),
    section("modules", "Modules", true, |_, _| {}),
    section("commandstats", "Commandstats", false, commandstats),
    section("errorstats", "Errorstats", true, errorstats),
    section("latencystats", "Latencystats", false, latencystats),
    section("cluster", "Cluster", true, |_, fields| {
        fields.add("cluster_enabled", 1)
    }),
    section("raft", "Raft", true, raft),
    section("keyspace", "Keyspace", true, keyspace),
];

const fn section(
    name: &'static str,
    heading: &'static str,
    by_default: bool,
    write: fn(&Node, &mut Fields),
) -> Section {
    Section {
        name,
        heading,
        by_default,
        write,
    }
}

/// Lines of `name:value`.
#[derive(Default)]
pub(super) struct Fields {
    lines: String,
}

impl Fields {
    pub(super) fn add(&mut self, name: impl Display, value: impl Display) {
        let _ = write!(self.lines, "{name}:{value}\r\n");
    }

    /// A number of bytes, and the same for people.
    fn add_bytes(&mut self, name: &str, bytes: u64) {
        self.add(name, bytes);
        self.add(format_args!("{name}_human"), human_bytes(bytes));
    }

    fn heading(&mut self, heading: &str) {
        if !self.lines.is_empty() {
            self.lines.push_str("\r\n");
        }
        let _ = write!(self.lines, "# {heading}\r\n");
    }
}

/// `INFO [section ...]`
pub(super) fn info(node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    let wanted = &args[1..];
    let asks = |word: &str| wanted.iter().any(|arg| is(arg, word));
    let everything = asks("all") || asks("everything");
    let by_default = wanted.is_empty() || asks("default");
    let mut fields = Fields::default();
    for section in SECTIONS {
        if everything || (by_default && section.by_default) || asks(section.name) {
            fields.heading(section.heading);
            (section.write)(node, &mut fields);
        }
    }
    text(out, fields.lines.as_bytes());
}

/// As Redis prints a number of bytes for people.
fn human_bytes(bytes: u64) -> String {
    const UNITS: [char; 5] = ['K', 'M', 'G', 'T', 'P'];
    if bytes < 1_024 {
        return format!("{bytes}B");
    }
    let mut value = bytes as f64 / 1_024.0;
    let mut unit = 0;
    while value >= 1_024.0 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    format!("{value:.2}{}", UNITS[unit])
}

/// Bytes per second in the unit of `instantaneous_input_kbps`.
fn kilobytes(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / 1_024.0)
}

fn server(node: &Node, fields: &mut Fields) {
    let info = &node.config.info;
    let uptime_seconds = node.now.mono_us.saturating_sub(node.started.mono_us) / 1_000_000;
    let hz = 1_000 / node.config.tick_ms.max(1);
    fields.add("redis_version", REDIS_VERSION);
    fields.add("server_name", "quorate");
    fields.add("quorate_version", &info.version);
    fields.add("redis_git_sha1", "00000000");
    fields.add("redis_git_dirty", 0);
    fields.add("redis_build_id", 0);
    fields.add("redis_mode", "cluster");
    fields.add("os", &info.os);
    fields.add("arch_bits", usize::BITS);
    fields.add("process_id", info.process_id);
    fields.add("process_supervised", "no");
    fields.add("run_id", &info.run_id);
    fields.add("tcp_port", info.tcp_port);
    fields.add("server_time_usec", node.now.wall_ms.saturating_mul(1_000));
    fields.add("uptime_in_seconds", uptime_seconds);
    fields.add("uptime_in_days", uptime_seconds / 86_400);
    fields.add("hz", hz);
    fields.add("configured_hz", hz);
    fields.add("executable", &info.executable);
    fields.add("config_file", &info.config_file);
    fields.add("data_dir", &info.data_dir);
    fields.add("io_threads_active", 0);
}

fn clients(node: &Node, fields: &mut Fields) {
    let sessions = || node.sessions.iter().map(|(_, session)| session);
    let input_max = sessions()
        .map(|session| session.pending_input().len())
        .max();
    let output_max = sessions()
        .map(|session| session.pending_output().len())
        .max();
    let subscribers = sessions()
        .filter(|session| session.subscription_count() + session.shard_channels.len() > 0)
        .count();
    fields.add("connected_clients", node.sessions.count());
    fields.add(
        "cluster_connections",
        peers(node).filter(|(_, peer)| peer.connected).count(),
    );
    fields.add("maxclients", node.settings.clients_max);
    fields.add("client_recent_max_input_buffer", input_max.unwrap_or(0));
    fields.add("client_recent_max_output_buffer", output_max.unwrap_or(0));
    fields.add("blocked_clients", 0);
    fields.add("tracking_clients", 0);
    fields.add("pubsub_clients", subscribers);
    fields.add("clients_in_timeout_table", 0);
}

fn memory(node: &Node, fields: &mut Fields) {
    let host = &node.host;
    let peak = host.rss_peak_bytes.max(host.rss_bytes);
    let clients = client_bytes(node);
    let overhead = clients + node.machine.store.keyspace_bytes() as u64;
    let dataset = host.rss_bytes.saturating_sub(overhead);
    fields.add_bytes("used_memory", host.rss_bytes);
    fields.add_bytes("used_memory_rss", host.rss_bytes);
    fields.add_bytes("used_memory_peak", peak);
    let peak_percentage = percentage(host.rss_bytes, peak);
    fields.add(
        "used_memory_peak_perc",
        format_args!("{peak_percentage:.2}%"),
    );
    fields.add("used_memory_overhead", overhead);
    fields.add("used_memory_startup", 0);
    fields.add("used_memory_dataset", dataset);
    let dataset_percentage = percentage(dataset, host.rss_bytes);
    fields.add(
        "used_memory_dataset_perc",
        format_args!("{dataset_percentage:.2}%"),
    );
    fields.add_bytes("total_system_memory", host.system_memory_bytes);
    fields.add_bytes("used_memory_lua", 0);
    fields.add("number_of_cached_scripts", 0);
    fields.add("number_of_functions", 0);
    fields.add("number_of_libraries", 0);
    fields.add_bytes("maxmemory", 0);
    fields.add("maxmemory_policy", "noeviction");
    fields.add("mem_fragmentation_ratio", "1.00");
    fields.add("mem_fragmentation_bytes", 0);
    fields.add("mem_clients_normal", clients);
    fields.add("mem_clients_slaves", 0);
    fields.add("mem_aof_buffer", 0);
    fields.add("active_defrag_running", 0);
    fields.add("lazyfree_pending_objects", 0);
}

fn stats(node: &Node, fields: &mut Fields) {
    let (stats, host, base) = (&node.stats, &node.host, &node.stats.base);
    let store = node.machine.store.stats();
    let rates = &stats.rates;
    fields.add(
        "total_connections_received",
        node.sessions.total().saturating_sub(base.connections),
    );
    fields.add("total_commands_processed", stats.commands_processed);
    fields.add("instantaneous_ops_per_sec", rates.commands.per_second());
    fields.add(
        "total_net_input_bytes",
        host.net_input_bytes.saturating_sub(base.input_bytes),
    );
    fields.add(
        "total_net_output_bytes",
        host.net_output_bytes.saturating_sub(base.output_bytes),
    );
    fields.add(
        "instantaneous_input_kbps",
        kilobytes(rates.input_bytes.per_second()),
    );
    fields.add(
        "instantaneous_output_kbps",
        kilobytes(rates.output_bytes.per_second()),
    );
    fields.add("rejected_connections", stats.rejected_connections);
    fields.add("sync_full", 0);
    fields.add("sync_partial_ok", 0);
    fields.add("sync_partial_err", 0);
    fields.add("expired_keys", store.expired_keys);
    fields.add("evicted_keys", 0);
    fields.add("evicted_clients", 0);
    fields.add("keyspace_hits", store.keyspace_hits);
    fields.add("keyspace_misses", store.keyspace_misses);
    fields.add(
        "pubsub_channels",
        node.pubsub.name_count(crate::pubsub::Topic::Channel),
    );
    fields.add(
        "pubsub_patterns",
        node.pubsub.name_count(crate::pubsub::Topic::Pattern),
    );
    fields.add(
        "pubsubshard_channels",
        node.pubsub.name_count(crate::pubsub::Topic::ShardChannel),
    );
    fields.add("latest_fork_usec", 0);
    fields.add("total_forks", 0);
    fields.add("total_error_replies", stats.error_replies);
}

/// The leader is a master, the others are slaves that accept writes; offsets are log indexes.
fn replication(node: &Node, fields: &mut Fields) {
    let consensus = &node.consensus;
    let replicas: Vec<_> = peers(node)
        .map(|(_, member)| member)
        .filter(|member| member.connected && !member.client_addr.is_empty())
        .collect();
    if is_leader(node) {
        fields.add("role", "master");
        fields.add("connected_slaves", replicas.len());
        for (place, member) in replicas.into_iter().enumerate() {
            let (host, port) = host_and_port(&member.client_addr);
            let offset = member.matched;
            fields.add(
                format_args!("slave{place}"),
                format_args!("ip={host},port={port},state=online,offset={offset},lag=0"),
            );
        }
    } else {
        let leader = node.leader_addr();
        let (host, port) = host_and_port(leader.unwrap_or_default());
        fields.add("role", "slave");
        fields.add("master_host", host);
        fields.add("master_port", port);
        fields.add(
            "master_link_status",
            if leader.is_some() { "up" } else { "down" },
        );
        fields.add(
            "master_last_io_seconds_ago",
            if leader.is_some() { 0 } else { -1 },
        );
        fields.add("master_sync_in_progress", 0);
        fields.add("slave_repl_offset", consensus.applied.0);
        fields.add("slave_priority", 100);
        fields.add("slave_read_only", 0);
        fields.add("replica_announced", 1);
        fields.add("connected_slaves", 0);
    }
    fields.add("master_failover_state", "no-failover");
    fields.add("master_replid", shard_name(node));
    fields.add("master_replid2", "0".repeat(40));
    fields.add("master_repl_offset", consensus.commit.0);
    fields.add("second_repl_offset", -1);
    fields.add("repl_backlog_active", 0);
    fields.add("repl_backlog_size", 0);
    fields.add("repl_backlog_first_byte_offset", 0);
    fields.add("repl_backlog_histlen", 0);
}

fn cpu(node: &Node, fields: &mut Fields) {
    let seconds = |us: u64| format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    fields.add("used_cpu_sys", seconds(node.host.cpu_sys_us));
    fields.add("used_cpu_user", seconds(node.host.cpu_user_us));
    fields.add("used_cpu_sys_children", "0.000000");
    fields.add("used_cpu_user_children", "0.000000");
}

fn commandstats(node: &Node, fields: &mut Fields) {
    for (id, stats) in node.stats.commands() {
        let Some(spec) = kv::by_id(id) else { continue };
        if stats.calls == 0 && stats.rejected == 0 {
            continue;
        }
        let per_call = stats.total_us as f64 / stats.calls.max(1) as f64;
        fields.add(
            format_args!("cmdstat_{}", spec.full_name()),
            format_args!(
                "calls={},usec={},usec_per_call={per_call:.2},rejected_calls={},failed_calls={}",
                stats.calls, stats.total_us, stats.rejected, stats.failed,
            ),
        );
    }
}

fn errorstats(node: &Node, fields: &mut Fields) {
    for (code, count) in node.stats.errors() {
        fields.add(
            format_args!("errorstat_{code}"),
            format_args!("count={count}"),
        );
    }
}

fn latencystats(node: &Node, fields: &mut Fields) {
    for (id, stats) in node.stats.commands() {
        let Some(spec) = kv::by_id(id) else { continue };
        if stats.calls == 0 {
            continue;
        }
        let quantile = |thousandths| stats.durations.quantile(thousandths);
        fields.add(
            format_args!("latency_percentiles_usec_{}", spec.full_name()),
            format_args!(
                "p50={}.000,p99={}.000,p99.9={}.000",
                quantile(500),
                quantile(990),
                quantile(999),
            ),
        );
    }
}

fn raft(node: &Node, fields: &mut Fields) {
    let consensus = &node.consensus;
    let list = |votes| {
        let ids: Vec<String> = node.ids(votes).map(|id| id.0.to_string()).collect();
        ids.join(",")
    };
    fields.add("raft_node_id", node.config.node.0);
    fields.add(
        "raft_role",
        match consensus.role {
            Role::Leader => "leader",
            Role::Follower if !node.is_voter() => "learner",
            Role::Follower => "follower",
            Role::PreCandidate | Role::Candidate => "candidate",
        },
    );
    fields.add(
        "raft_leader_id",
        consensus.leader.map_or(0, |leader| leader.0),
    );
    fields.add("raft_leader_addr", node.leader_addr().unwrap_or_default());
    fields.add("raft_term", consensus.term.0);
    fields.add("raft_commit_index", consensus.commit.0);
    fields.add("raft_applied_index", consensus.applied.0);
    fields.add("raft_first_index", consensus.first.0);
    fields.add("raft_last_index", consensus.last.0);
    fields.add("raft_voters", list(true));
    fields.add("raft_learners", list(false));
    fields.add("feature_level", node.machine.feature_level());
    fields.add("feature_level_known", node.config.feature_levels.newest);
    fields.add("feature_level_max", node.settings.feature_level_max);
    let differing = node.consistency.differing();
    let differing = differing
        .iter()
        .map(|(id, index)| format!("{}@{index}", id.0));
    fields.add("state_agreed_index", node.consistency.agreed().0);
    fields.add(
        "state_differing_nodes",
        differing.collect::<Vec<_>>().join(","),
    );
}

/// `avg_ttl` is 0: it is not kept.
fn keyspace(node: &Node, fields: &mut Fields) {
    let store = &node.machine.store;
    for db in 0..kv::DATABASE_COUNT {
        let (keys, expires) = (store.key_count(db), store.expires_count(db));
        if keys > 0 {
            fields.add(
                format_args!("db{db}"),
                format_args!("keys={keys},expires={expires},avg_ttl=0"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people_are_printed_as_redis_does() {
        assert_eq!(human_bytes(0), "0B");
        assert_eq!(human_bytes(1_023), "1023B");
        assert_eq!(human_bytes(1_360_648), "1.30M");
        assert_eq!(human_bytes(25_276_510_208), "23.54G");
    }
}
