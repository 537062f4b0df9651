//! What the shell tells a replica: its configuration, and the facts that come with each input.

use std::collections::BTreeMap;

use raft::{ClusterId, GroupId, NodeId};

use crate::features::FeatureLevels;

/// The time of an input, read by the shell and passed in: this crate sees no clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the Unix epoch. May jump either way; it only ever moves the due time of
    /// expiries (design: "Clock jumps move nothing but the due time of TTLs").
    pub wall_ms: u64,
    /// Microseconds since an arbitrary start. Never goes back; deadlines are kept in it.
    pub mono_us: u64,
}

/// What a replica is born with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster this node belongs to; every message and record names it.
    pub cluster: ClusterId,
    /// The group this replica is one of.
    pub group: GroupId,
    /// This node. Its id is never reused after removal.
    pub node: NodeId,
    /// How often this node has been started: the session of its gateway (see [the crate](crate#exactly-once)).
    pub incarnation: u64,
    /// Peer address by node, this node included: the first members of a cluster, or where a node that
    /// joins one finds it. Once the log says who belongs to the cluster, it alone counts; addresses
    /// that it does not tell yet are looked for here.
    pub members: BTreeMap<NodeId, String>,
    /// Peer addresses that stand in the log on disk, in entries that are not applied at the start: see
    /// [`storage::addresses`](crate::storage::addresses).
    pub addresses: BTreeMap<NodeId, String>,
    /// The feature levels that this program knows: [`FeatureLevels::OF_THIS_RELEASE`], except in tests.
    pub feature_levels: FeatureLevels,
    /// The highest feature level that the log on disk tells of: see
    /// [`storage::feature_level`](crate::storage::feature_level). 0: none.
    pub feature_level_found: u32,
    /// The highest feature level to which this node raises the cluster while it leads; 0: any.
    pub feature_level_max: u32,
    /// Whether this node joined a cluster that was there before: it is none of the first members, and
    /// belongs to no configuration before its log says so.
    pub is_joined: bool,
    /// Whether other nodes can reach this one at its address in [`members`](Self::members).
    pub serves_peers: bool,
    /// The period at which the shell calls [`crate::Replica::tick`], in milliseconds.
    pub tick_ms: u64,
    /// The least time without a leader before an election, in milliseconds; the most is twice that.
    pub election_timeout_ms: u64,
    /// The period of the leader's heartbeats, in milliseconds.
    pub heartbeat_ms: u64,
    /// Seeds every random choice of this replica that need not agree with the other replicas'.
    pub seed: u64,
    /// The cluster secret this node offers if it becomes the first leader of a new cluster.
    pub cluster_secret: [u8; 16],
    /// How long a command may wait for a quorum before it is answered with an error, in ms.
    pub request_timeout_ms: u64,
    /// The largest entry, hence the largest command, in bytes (`max-entry-size`).
    pub entry_bytes_max: usize,
    /// A batch is closed when it reaches this many bytes.
    pub batch_bytes_max: usize,
    /// Batches not yet applied may hold this many bytes; beyond it client sockets are not read.
    pub unapplied_bytes_max: usize,
    /// No snapshot is taken while the log since the last one holds fewer bytes.
    pub snapshot_log_bytes_min: u64,
    /// One is taken when the log since the last one holds more bytes, however large the state is.
    pub snapshot_log_bytes_max: u64,
    /// Between the two: one is taken when the log since the last one holds more than this share of
    /// the last one's size, in percent.
    pub snapshot_state_percent: u64,
    /// Bytes of the log that are kept when it is cut behind a snapshot: a follower that is behind
    /// by less is sent entries, not a snapshot.
    pub log_tail_bytes: u64,
    /// After every entry whose index is a multiple of this the state is compared with the other
    /// members'; 0: never.
    pub state_check_entries: u64,
    /// The most client connections at once.
    pub clients_max: usize,
    /// The most bytes of messages that may wait for a subscriber before it is disconnected. Of
    /// replies, eight times as many may wait for any client before no more of its requests are
    /// started: pipelines are often written in full before a reply is read.
    pub output_bytes_max: usize,
    /// The password of the default user, if one is required.
    pub requirepass: Option<String>,
    /// The address at which clients reach this node, told to clients and peers.
    pub client_addr: String,
    /// Facts about the process, for INFO and its kin.
    pub info: NodeInfo,
}

impl Config {
    /// A usual [`snapshot_log_bytes_min`](Self::snapshot_log_bytes_min).
    pub const SNAPSHOT_LOG_BYTES_MIN: u64 = 64 << 20;
    /// A usual [`snapshot_log_bytes_max`](Self::snapshot_log_bytes_max).
    pub const SNAPSHOT_LOG_BYTES_MAX: u64 = 16 << 30;
    /// A usual [`snapshot_state_percent`](Self::snapshot_state_percent).
    pub const SNAPSHOT_STATE_PERCENT: u64 = 100;
    /// A usual [`log_tail_bytes`](Self::log_tail_bytes).
    pub const LOG_TAIL_BYTES: u64 = 32 << 20;

    /// A usual [`state_check_entries`](Self::state_check_entries).
    pub const STATE_CHECK_ENTRIES: u64 = 1024;

    /// The most bytes of replies that may wait for a client.
    pub(crate) fn reply_bytes_max(&self) -> usize {
        self.output_bytes_max.saturating_mul(8)
    }
}

/// Facts about this process that INFO, CONFIG GET and HELLO report.
#[derive(Clone, Debug, Default)]
pub struct NodeInfo {
    /// The operating system's process id.
    pub process_id: u32,
    /// The port clients connect to.
    pub tcp_port: u16,
    /// 40 hexadecimal digits, new at each start, as Redis's `run_id`.
    pub run_id: String,
    /// Quorate's own version.
    pub version: String,
    /// Operating system, release and machine.
    pub os: String,
    /// Path of the running program.
    pub executable: String,
    /// Path of the configuration file, empty if none.
    pub config_file: String,
    /// The data directory.
    pub data_dir: String,
    /// When the process started, in milliseconds since the Unix epoch.
    pub started_wall_ms: u64,
    /// The addresses clients may connect to.
    pub bind: String,
    /// The cluster's name.
    pub cluster_name: String,
}

/// What a client's connection looks like from the outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// The client's address, `host:port`.
    pub peer_addr: String,
    /// The address it connected to.
    pub local_addr: String,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

/// What a peer says of itself when it connects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerInfo {
    /// Where clients reach it.
    pub client_addr: String,
    /// Its software version.
    pub version: String,
    /// How often it has been started.
    pub incarnation: u64,
    /// The highest feature level that it knows; 0: it does not say.
    pub feature_level: u32,
}

/// Who belongs to the cluster, as the shell needs to know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// The peer addresses of all with whom a connection is to stand, this node included if it is a
    /// member: the members by the latest configuration in the log, and by the last committed one.
    pub members: BTreeMap<NodeId, String>,
    /// Ids below this one were given away, by a committed entry. One that is not in `members` belongs
    /// to a node that was removed, for good; ids from here on may belong to nodes that this one has
    /// not heard of yet.
    pub ids_used_below: u64,
    /// Whether this node was removed, by a committed entry: it has to stop, for good.
    pub is_removed: bool,
    /// Whether this node leads: then nobody has joined that it has not heard of.
    pub is_leader: bool,
    /// The cluster's feature level, by committed entries; 0: not known yet. Who does not know it is
    /// not to be let in.
    pub feature_level: u32,
}

/// Why a connection to a peer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disconnect {
    /// Reset, end of stream, or connection refused: its process is gone.
    Reset,
    /// Nothing was heard for too long: it may be alive behind a cut.
    Lost,
}

/// Figures about the host that the shell refreshes about once a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostStats {
    /// Resident memory of the process, in bytes.
    pub rss_bytes: u64,
    /// The most it has been, in bytes.
    pub rss_peak_bytes: u64,
    /// CPU time in user mode, in microseconds.
    pub cpu_user_us: u64,
    /// CPU time in the kernel, in microseconds.
    pub cpu_sys_us: u64,
    /// Memory of the machine, in bytes.
    pub system_memory_bytes: u64,
    /// Bytes the log holds on disk.
    pub log_bytes: u64,
    /// Bytes that snapshots take on disk, with what is being written or received of them.
    pub snapshot_bytes: u64,
    /// Bytes received from clients since the start.
    pub net_input_bytes: u64,
    /// Bytes sent to clients since the start.
    pub net_output_bytes: u64,
}

/// Names a client's connection on this node. A slot is reused, a generation tells the uses apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl ClientId {
    /// A dense index: at most the number of clients that were ever connected at once.
    pub fn slot(self) -> usize {
        self.slot as usize
    }
}
