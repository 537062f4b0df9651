//! What /metrics shows: histograms that the disk thread fills, and figures that the reactor
//! publishes a few times a second as one snapshot.
//!
//! The reactor never formats anything and takes one uncontended lock per publication. The text is
//! made on the admin thread, from the last snapshot, when somebody asks.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use raft::Role;
use replica::HostStats;
use wal::Record;

use crate::peer::PeerStatistics;
use crate::snapshots::SnapshotStatistics;

/// A snapshot older than this means that the reactor does not turn: the node cannot serve.
const STALE_AFTER: Duration = Duration::from_secs(2);

/// The disk thread's figures. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct DiskMetrics {
    sync_seconds: Histogram,
    batch_records: Histogram,
    batch_bytes: Histogram,
    disk_bytes: Gauge<u64, AtomicU64>,
    scrubbed: Counter,
    damage: Counter,
}

/// One publication of the reactor.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    pub(crate) replica: replica::Metrics,
    pub(crate) peers: Vec<PeerStatistics>,
    pub(crate) snapshots: SnapshotStatistics,
    pub(crate) host: HostStats,
    pub(crate) turns: u64,
    /// The node is stopping: load balancers should look elsewhere.
    pub(crate) is_stopping: bool,
}

/// Where reactor and admin thread meet.
#[derive(Debug)]
pub(crate) struct Published {
    snapshot: Mutex<Option<(Instant, Snapshot)>>,
}

impl DiskMetrics {
    pub(crate) fn new() -> DiskMetrics {
        DiskMetrics {
            // 32 µs to 1 s: from a write cache that lies to a disk in trouble.
            sync_seconds: Histogram::new(exponential_buckets(0.000_032, 2.0, 16)),
            batch_records: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            batch_bytes: Histogram::new(exponential_buckets(64.0, 4.0, 10)),
            disk_bytes: Gauge::default(),
            scrubbed: Counter::default(),
            damage: Counter::default(),
        }
    }

    pub(crate) fn observe_size(&self, bytes: u64) {
        self.disk_bytes.set(bytes);
    }

    pub(crate) fn count_scrubbed(&self, bytes: u64) {
        self.scrubbed.inc_by(bytes);
    }

    pub(crate) fn count_damage(&self) {
        self.damage.inc();
    }

    #[cfg(test)]
    pub(crate) fn scrubbed_bytes(&self) -> u64 {
        self.scrubbed.get()
    }

    #[cfg(test)]
    pub(crate) fn damage_found(&self) -> u64 {
        self.damage.get()
    }

    pub(crate) fn observe_sync(&self, took: Duration) {
        self.sync_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn observe_batch(&self, records: &[Record]) {
        let bytes: usize = records.iter().map(|record| record.body.len()).sum();
        self.batch_records.observe(records.len() as f64);
        self.batch_bytes.observe(bytes as f64);
    }
}

impl Published {
    pub(crate) fn new() -> Arc<Published> {
        Arc::new(Published {
            snapshot: Mutex::new(None),
        })
    }

    /// The reactor's figures of this moment.
    pub(crate) fn publish(&self, snapshot: Snapshot) {
        *self.lock() = Some((Instant::now(), snapshot));
    }

    /// Why the node cannot serve reads now; `None` if it can.
    pub(crate) fn unready_reason(&self) -> Option<String> {
        let guard = self.lock();
        let Some((published, snapshot)) = guard.as_ref() else {
            return Some("starting: the log is being read".into());
        };
        let metrics = &snapshot.replica;
        if published.elapsed() > STALE_AFTER {
            Some(format!(
                "stuck: nothing was done for {:?}",
                published.elapsed()
            ))
        } else if snapshot.is_stopping {
            Some("stopping".into())
        } else if metrics.ready {
            None
        } else if metrics.leader == 0 {
            Some(format!(
                "no leader: {} of {} members are connected",
                metrics.members_connected, metrics.members
            ))
        } else {
            Some(format!(
                "catching up: applied {} of {} entries",
                metrics.applied_index, metrics.commit_index
            ))
        }
    }

    fn snapshot(&self) -> Option<Snapshot> {
        self.lock().as_ref().map(|(_, snapshot)| snapshot.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, Snapshot)>> {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The registry that /metrics is made from.
pub(crate) fn registry(published: &Arc<Published>, disk: &DiskMetrics) -> Registry {
    let mut registry = Registry::with_prefix("quorate");
    registry.register_with_unit(
        "wal_sync_duration",
        "Time one sync of the log took",
        Unit::Seconds,
        disk.sync_seconds.clone(),
    );
    registry.register(
        "wal_batch_records",
        "Records that one append carried",
        disk.batch_records.clone(),
    );
    registry.register_with_unit(
        "wal_batch",
        "Bytes that one append carried",
        Unit::Bytes,
        disk.batch_bytes.clone(),
    );
    registry.register_with_unit(
        "wal_disk",
        "Space that the files of the log take",
        Unit::Bytes,
        disk.disk_bytes.clone(),
    );
    registry.register_with_unit(
        "wal_scrubbed",
        "Bytes of the log that were read again and found intact",
        Unit::Bytes,
        disk.scrubbed.clone(),
    );
    registry.register(
        "wal_damage_found",
        "Places of the log that were found damaged; the node stops at the first",
        disk.damage.clone(),
    );
    registry.register_collector(Box::new(SnapshotCollector(Arc::clone(published))));
    registry
}

/// Writes the last snapshot out at every scrape.
struct SnapshotCollector(Arc<Published>);

impl fmt::Debug for SnapshotCollector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SnapshotCollector").finish()
    }
}

impl Collector for SnapshotCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(snapshot) = self.0.snapshot() else {
            return Ok(());
        };
        for (name, help, value) in gauges(&snapshot) {
            gauge(&mut encoder, name, help, value)?;
        }
        for (name, help, value) in snapshot_gauges(&snapshot.snapshots) {
            gauge(&mut encoder, name, help, value)?;
        }
        for (name, help, value) in counters(&snapshot) {
            counter(&mut encoder, name, help, value)?;
        }
        for (name, help, value) in snapshot_counters(&snapshot.snapshots) {
            counter(&mut encoder, name, help, value)?;
        }
        role(&mut encoder, snapshot.replica.role)?;
        peers(&mut encoder, &snapshot.peers)
    }
}

type Figure = (&'static str, &'static str, u64);

fn gauges(snapshot: &Snapshot) -> Vec<Figure> {
    let (replica, host) = (&snapshot.replica, &snapshot.host);
    vec![
        ("raft_term", "Term this node is in", replica.term),
        (
            "raft_leader_id",
            "Node that leads, 0 if none is known",
            replica.leader,
        ),
        (
            "feature_level",
            "Feature level of the cluster, 0 before it is known",
            replica.feature_level,
        ),
        (
            "feature_level_known",
            "Highest feature level that this node knows",
            replica.feature_level_known,
        ),
        (
            "raft_commit_index",
            "Last committed position of the log",
            replica.commit_index,
        ),
        (
            "raft_applied_index",
            "Last applied position of the log",
            replica.applied_index,
        ),
        (
            "raft_last_index",
            "Last position of the log",
            replica.last_index,
        ),
        ("members", "Members of the cluster", replica.members),
        (
            "members_connected",
            "Members connected, this node included",
            replica.members_connected,
        ),
        ("connected_clients", "Clients connected", replica.clients),
        (
            "batches_unapplied",
            "Batches of this node not yet applied",
            replica.batches_unapplied,
        ),
        (
            "unapplied_bytes",
            "Bytes in those batches",
            replica.unapplied_bytes,
        ),
        (
            "reads_waiting",
            "Groups of reads that wait for a quorum",
            replica.reads_waiting,
        ),
        ("keys", "Keys in all databases", replica.keys),
        (
            "keys_with_expiry",
            "Keys that will expire",
            replica.keys_with_expiry,
        ),
        (
            "disk_full",
            "1 while writes are refused for lack of space",
            replica.disk_full.into(),
        ),
        (
            "ready",
            "1 while this node can serve reads",
            replica.ready.into(),
        ),
        (
            "resident_memory_bytes",
            "Memory of the process",
            host.rss_bytes,
        ),
        (
            "resident_memory_peak_bytes",
            "The most it has been",
            host.rss_peak_bytes,
        ),
    ]
}

fn snapshot_gauges(snapshots: &SnapshotStatistics) -> [Figure; 6] {
    [
        (
            "snapshot_writing",
            "1 while a snapshot is being written",
            snapshots.is_writing.into(),
        ),
        (
            "snapshot_last_bytes",
            "Size of the last snapshot written",
            snapshots.last_bytes,
        ),
        (
            "snapshot_last_milliseconds",
            "Time it took to write it",
            snapshots.last_millis,
        ),
        (
            "snapshot_last_index",
            "Last entry of the newest snapshot",
            snapshots.last_index,
        ),
        (
            "snapshot_disk_bytes",
            "Bytes that snapshots take on disk",
            snapshots.disk_bytes,
        ),
        (
            "snapshots_sending",
            "Peers that are being sent a snapshot",
            snapshots.sending,
        ),
    ]
}

fn snapshot_counters(snapshots: &SnapshotStatistics) -> [Figure; 9] {
    [
        ("snapshots_written", "Snapshots written", snapshots.written),
        (
            "snapshot_write_failures",
            "Snapshots that could not be written",
            snapshots.write_failures,
        ),
        (
            "snapshot_damage_found",
            "Snapshot files found damaged while the node runs, and written anew: an alarm, look after the disk",
            snapshots.damage_found,
        ),
        (
            "snapshot_scrubbed_bytes",
            "Bytes of snapshots read again to find damage",
            snapshots.scrubbed_bytes,
        ),
        (
            "snapshots_sent",
            "Snapshots that a peer has installed",
            snapshots.sent,
        ),
        (
            "snapshot_send_failures",
            "Transfers to a peer that were given up",
            snapshots.send_failures,
        ),
        (
            "snapshot_sent_bytes",
            "Bytes of snapshots sent",
            snapshots.sent_bytes,
        ),
        (
            "snapshots_received",
            "Snapshots received and loaded",
            snapshots.received,
        ),
        (
            "snapshot_received_bytes",
            "Bytes of snapshots received",
            snapshots.received_bytes,
        ),
    ]
}

fn counters(snapshot: &Snapshot) -> Vec<Figure> {
    let (replica, host) = (&snapshot.replica, &snapshot.host);
    vec![
        (
            "raft_leader_changes",
            "Changes of leader seen",
            replica.leader_changes,
        ),
        (
            "raft_entries_applied",
            "Entries applied",
            replica.entries_applied,
        ),
        (
            "clients",
            "Clients connected since the start",
            replica.clients_total,
        ),
        (
            "clients_rejected",
            "Clients refused for lack of room",
            replica.clients_rejected,
        ),
        (
            "commands",
            "Commands run for clients of this node",
            replica.commands,
        ),
        (
            "batches_applied",
            "Batches of this node applied",
            replica.batches_applied,
        ),
        (
            "batches_resent",
            "Batches handed to a leader again",
            replica.batches_resent,
        ),
        (
            "read_rounds",
            "Groups of reads that a quorum confirmed",
            replica.read_rounds,
        ),
        (
            "no_quorum",
            "Commands answered with NOQUORUM",
            replica.no_quorum,
        ),
        (
            "uncertain",
            "Commands answered with UNCERTAIN",
            replica.uncertain,
        ),
        (
            "state_mismatches",
            "Differences found between this node's data and that of other nodes: an alarm",
            replica.state_mismatches,
        ),
        ("keys_expired", "Keys that expired", replica.keys_expired),
        (
            "keyspace_hits",
            "Reads that found their key",
            replica.keyspace_hits,
        ),
        (
            "keyspace_misses",
            "Reads that did not",
            replica.keyspace_misses,
        ),
        (
            "client_received_bytes",
            "Bytes read from clients",
            host.net_input_bytes,
        ),
        (
            "client_sent_bytes",
            "Bytes written to clients",
            host.net_output_bytes,
        ),
        (
            "cpu_user_microseconds",
            "Processor time in user mode",
            host.cpu_user_us,
        ),
        (
            "cpu_system_microseconds",
            "Processor time in the kernel",
            host.cpu_sys_us,
        ),
        ("reactor_turns", "Turns of the reactor", snapshot.turns),
    ]
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> Result<(), fmt::Error> {
    let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> Result<(), fmt::Error> {
    let metric = ConstCounter::new(value);
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

/// One series a role, 1 for the one this node has: the usual form of an enumeration.
fn role(encoder: &mut DescriptorEncoder<'_>, current: Role) -> Result<(), fmt::Error> {
    let kind = ConstGauge::new(0i64).metric_type();
    let mut family = encoder.encode_descriptor("raft_role", "Role of this node", None, kind)?;
    for role in [
        Role::Follower,
        Role::PreCandidate,
        Role::Candidate,
        Role::Leader,
    ] {
        let labels = [("role", role.to_string())];
        let metric = ConstGauge::new(i64::from(role == current));
        metric.encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn peers(encoder: &mut DescriptorEncoder<'_>, peers: &[PeerStatistics]) -> Result<(), fmt::Error> {
    type Read = fn(&PeerStatistics) -> u64;
    let gauges: [(&str, &str, Read); 3] = [
        ("peer_connected", "1 while the peer is connected", |peer| {
            peer.is_connected.into()
        }),
        ("peer_queue_bytes", "Bytes that wait for the peer", |peer| {
            peer.queued_bytes
        }),
        (
            "peer_round_trip_microseconds",
            "Last measured round trip",
            |peer| peer.round_trip_us,
        ),
    ];
    let counters: [(&str, &str, Read); 5] = [
        ("peer_sent_bytes", "Bytes sent to the peer", |peer| {
            peer.sent_bytes
        }),
        (
            "peer_received_bytes",
            "Bytes received from the peer",
            |peer| peer.received_bytes,
        ),
        ("peer_messages_sent", "Messages sent to the peer", |peer| {
            peer.messages_sent
        }),
        (
            "peer_messages_received",
            "Messages received from the peer",
            |peer| peer.messages_received,
        ),
        (
            "peer_messages_dropped",
            "Messages not sent: not connected, or queue full",
            |peer| peer.messages_dropped,
        ),
    ];
    for (name, help, read) in gauges {
        let kind = ConstGauge::new(0i64).metric_type();
        let mut family = encoder.encode_descriptor(name, help, None, kind)?;
        for peer in peers {
            let labels = [("peer", peer.node.to_string())];
            let metric = ConstGauge::new(i64::try_from(read(peer)).unwrap_or(i64::MAX));
            metric.encode(family.encode_family(&labels)?)?;
        }
    }
    for (name, help, read) in counters {
        let kind = ConstCounter::new(0u64).metric_type();
        let mut family = encoder.encode_descriptor(name, help, None, kind)?;
        for peer in peers {
            let labels = [("peer", peer.node.to_string())];
            ConstCounter::new(read(peer)).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}
