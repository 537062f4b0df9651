//! Figures for monitoring, as plain numbers: the shell gives them names and a format.

use raft::Role;

use crate::replica::Replica;

/// What a replica can be watched by. Counters count from the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// The term this node is in.
    pub term: u64,
    /// Its role.
    pub role: Role,
    /// The leader it knows, 0 for none.
    pub leader: u64,
    /// The last committed index.
    pub commit_index: u64,
    /// The last applied index.
    pub applied_index: u64,
    /// The last index of the log.
    pub last_index: u64,
    /// The first index of the log: those before it are in snapshots only.
    pub first_index: u64,
    /// The last index that the newest snapshot of this node contains, 0 for none.
    pub snapshot_index: u64,
    /// Its size.
    pub snapshot_bytes: u64,
    /// When it was finished, or, of one that was there at the start, its own time; ms since the Unix
    /// epoch.
    pub snapshot_wall_ms: u64,
    /// Bytes of the entries applied since it was cut.
    pub log_bytes_since_snapshot: u64,
    /// Whether one is asked for or being written.
    pub snapshot_running: bool,
    /// Whether the last one failed.
    pub snapshot_failed: bool,
    /// Snapshots of this node that became durable.
    pub snapshots_taken: u64,
    /// Snapshots of other nodes that took the place of this one's state.
    pub snapshots_installed: u64,
    /// The cluster's feature level, 0 before it is known.
    pub feature_level: u64,
    /// The highest that this node knows.
    pub feature_level_known: u64,
    /// How often the leader changed.
    pub leader_changes: u64,
    /// Voters that a connection stands to, this node included.
    pub members_connected: u64,
    /// Voters.
    pub members: u64,
    /// Connected clients.
    pub clients: u64,
    /// Clients connected since the start.
    pub clients_total: u64,
    /// Clients refused for lack of room.
    pub clients_rejected: u64,
    /// Commands run for clients.
    pub commands: u64,
    /// Entries applied.
    pub entries_applied: u64,
    /// Entries that were not applied, because a snapshot was loaded that contains them.
    pub entries_by_snapshot: u64,
    /// Batches of this gateway applied.
    pub batches_applied: u64,
    /// Batches of this gateway that were not applied, because a snapshot was installed that contains
    /// them.
    pub batches_by_snapshot: u64,
    /// Batches handed over more than once.
    pub batches_resent: u64,
    /// Batches of this gateway that are not applied.
    pub batches_unapplied: u64,
    /// Bytes they hold.
    pub unapplied_bytes: u64,
    /// Groups of reads that were confirmed.
    pub read_rounds: u64,
    /// Groups of reads that wait.
    pub reads_waiting: u64,
    /// Commands answered with NOQUORUM.
    pub no_quorum: u64,
    /// Commands answered with UNCERTAIN.
    pub uncertain: u64,
    /// Keys in all databases.
    pub keys: u64,
    /// Keys with an expiry.
    pub keys_with_expiry: u64,
    /// Keys that expired.
    pub keys_expired: u64,
    /// Reads that found their key.
    pub keyspace_hits: u64,
    /// Reads that did not.
    pub keyspace_misses: u64,
    /// Whether writes are refused for lack of disk space.
    pub disk_full: bool,
    /// The newest entry after which a majority was found to have this node's data.
    pub state_agreed_index: u64,
    /// Differences found between this node's data and other members'.
    pub state_mismatches: u64,
    /// Members whose data differs from this node's.
    pub members_differing: u64,
    /// Whether reads can be served now.
    pub ready: bool,
}

impl Metrics {
    pub(crate) fn of(replica: &Replica) -> Self {
        let node = &replica.node;
        let (store, stats) = (&node.machine.store, &node.stats);
        let keyspace = store.stats();
        let databases = 0..kv::DATABASE_COUNT;
        let last = node.compaction.last();
        Metrics {
            term: node.consensus.term.0,
            role: node.consensus.role,
            leader: node.consensus.leader.map_or(0, |leader| leader.0),
            commit_index: node.consensus.commit.0,
            applied_index: node.consensus.applied.0,
            last_index: node.consensus.last.0,
            first_index: node.consensus.first.0,
            snapshot_index: last.map_or(0, |last| last.last.index.0),
            snapshot_bytes: last.map_or(0, |last| last.bytes),
            snapshot_wall_ms: last.map_or(0, |last| last.wall_ms),
            log_bytes_since_snapshot: node.compaction.log_bytes(),
            snapshot_running: node.compaction.is_running(),
            snapshot_failed: matches!(node.compaction.outcome(), Some(Err(_))),
            snapshots_taken: stats.snapshots_taken,
            snapshots_installed: stats.snapshots_installed,
            entries_by_snapshot: stats.entries_by_snapshot,
            batches_by_snapshot: stats.batches_by_snapshot,
            feature_level: node.machine.feature_level().into(),
            feature_level_known: node.config.feature_levels.newest.into(),
            leader_changes: node.consensus.leader_changes,
            members_connected: node
                .members
                .values()
                .filter(|member| member.connected)
                .count() as u64,
            members: node.members.len() as u64,
            clients: node.sessions.count() as u64,
            clients_total: node.sessions.total(),
            clients_rejected: stats.rejected_connections,
            commands: stats.commands_processed,
            entries_applied: stats.entries_applied,
            batches_applied: stats.batches_applied,
            batches_resent: stats.batches_resent,
            batches_unapplied: replica.gateway.unapplied_count() as u64,
            unapplied_bytes: replica.gateway.unapplied_bytes() as u64,
            read_rounds: stats.read_rounds,
            reads_waiting: replica.reads.waiting_count() as u64,
            no_quorum: stats.no_quorum,
            uncertain: stats.uncertain,
            keys: databases.clone().map(|db| store.key_count(db) as u64).sum(),
            keys_with_expiry: databases.map(|db| store.expires_count(db) as u64).sum(),
            keys_expired: keyspace.expired_keys,
            keyspace_hits: keyspace.keyspace_hits,
            keyspace_misses: keyspace.keyspace_misses,
            disk_full: node.consensus.disk_full,
            state_agreed_index: node.consistency.agreed().0,
            state_mismatches: node.consistency.mismatches(),
            members_differing: node.consistency.differing().len() as u64,
            ready: replica.is_ready(),
        }
    }
}
