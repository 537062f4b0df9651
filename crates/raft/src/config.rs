//! What a replica is started with: its settings, and what the disk remembers.

use bytes::Bytes;

use crate::membership::ConfState;
use crate::snapshot::SnapshotMeta;
use crate::types::{ClusterId, EntryId, GroupId, HardState, LogIndex, NodeId, Term};

/// The settings of one replica. Times are counted in calls of [`Raft::tick`](crate::Raft::tick).
#[derive(Clone, Debug, Hash)]
pub struct Config {
    /// The cluster; messages of others are refused.
    pub cluster: ClusterId,
    /// The group; messages of others are refused.
    pub group: GroupId,
    /// This node.
    pub id: NodeId,
    /// The members that the group is born with, this node among them. Empty at a node that joined
    /// a group later: it neither votes for itself nor leads before its log says that it belongs.
    pub conf: ConfState,
    /// The shortest silence of a leader after which an election may start. Also how long a leader
    /// goes on without hearing a quorum, and how long a leadership transfer may take.
    pub election_timeout_ticks_min: u32,
    /// The longest silence before an election starts; each node draws anew between the two.
    pub election_timeout_ticks_max: u32,
    /// The time between heartbeats.
    pub heartbeat_ticks: u32,
    /// The most a single [`AppendEntries`](crate::AppendEntries) carries (one entry always fits).
    pub append_bytes_max: usize,
    /// The most appends under way to one follower.
    pub inflight_messages_max: usize,
    /// The most bytes of appends under way to one follower (one append is always allowed).
    pub inflight_bytes_max: usize,
    /// Proposals are refused while so many bytes of them are not committed yet, or not written by
    /// this leader's own disk. The one that reaches the bound may exceed it.
    pub uncommitted_bytes_max: usize,
    /// The most bytes of durable entries kept in memory. Entries that are not durable are kept
    /// beyond it: they exist nowhere else.
    pub log_cache_bytes_max: usize,
    /// The most bytes handed out for application at once (one entry always fits).
    pub apply_bytes_max: usize,
    /// How many entries a learner may lack to be promoted.
    pub promotion_lag_max: u64,
    /// The source of all randomness. It should differ between nodes, or elections collide; and
    /// between starts of one node (mix the incarnation in), because it also makes the names of
    /// read requests unique across a restart.
    pub seed: u64,
    /// The payload of the first entry, if this node is the first leader.
    pub bootstrap: Bytes,
}

impl Config {
    /// Usual settings for a member of a group of voters: with a tick of 50 ms, heartbeats each
    /// 50 ms and elections after 500 to 1,000 ms of silence.
    pub fn new(id: NodeId, voters: impl IntoIterator<Item = NodeId>) -> Config {
        Config {
            cluster: ClusterId(0),
            group: GroupId(0),
            id,
            conf: ConfState::of_voters(voters),
            election_timeout_ticks_min: 10,
            election_timeout_ticks_max: 20,
            heartbeat_ticks: 1,
            append_bytes_max: 1 << 20,
            inflight_messages_max: 256,
            inflight_bytes_max: 32 << 20,
            uncommitted_bytes_max: 256 << 20,
            log_cache_bytes_max: 64 << 20,
            apply_bytes_max: 4 << 20,
            promotion_lag_max: 10_000,
            seed: id.0,
            bootstrap: Bytes::new(),
        }
    }

    /// Checks the settings against each other.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        if self.conf.members().iter().any(|node| node.0 == 0) || self.id.0 == 0 {
            return Err(ConfigError::ZeroNode);
        }
        if !self.conf.is_empty() {
            if self.conf.voters.is_empty() {
                return Err(ConfigError::NoVoters);
            }
            if !self.conf.contains(self.id) {
                return Err(ConfigError::NotAMember { id: self.id });
            }
        }
        let (min, max) = (
            self.election_timeout_ticks_min,
            self.election_timeout_ticks_max,
        );
        if self.heartbeat_ticks == 0 || min <= self.heartbeat_ticks || max < min {
            return Err(ConfigError::Timeouts {
                heartbeat: self.heartbeat_ticks,
                min,
                max,
            });
        }
        if self.inflight_messages_max == 0 {
            return Err(ConfigError::NoWindow);
        }
        Ok(())
    }
}

/// What the disk remembers. The default is an empty disk.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The last durable hard state.
    pub hard_state: HardState,
    /// The newest good snapshot, which the state machine is loaded from.
    pub snapshot: Option<SnapshotMeta>,
    /// The entry up to which a snapshot replaces the log on the disk (see
    /// [`Persist::base`](crate::Persist::base)); zero if the log is whole.
    pub base: EntryId,
    /// The terms of the log behind `base`, as runs: the first index of each, and the term.
    pub term_runs: Vec<(LogIndex, Term)>,
    /// The last entry; equal to `base` if there is none behind it.
    pub last: EntryId,
    /// The time of the last entry.
    pub last_time_ms: u64,
    /// The configurations in the entries of the log
    /// ([`EntryKind::Membership`](crate::EntryKind::Membership)), in order. Those that the snapshot
    /// covers may be left out.
    pub confs: Vec<(LogIndex, ConfState)>,
    /// How far the state machine's own durable state has come; the snapshot's last entry counts in
    /// any case. Zero while state lives in memory, and is rebuilt from snapshot and log.
    pub applied: LogIndex,
}

/// Why a replica cannot be started. The fault is in the settings or in what the shell recovered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Node 0 means "none" and cannot be a member.
    #[error("node id 0 is reserved")]
    ZeroNode,
    /// This node does not belong to the group it is started in.
    #[error("{id} is not a member of the group")]
    NotAMember {
        /// This node.
        id: NodeId,
    },
    /// A group without voters can decide nothing.
    #[error("the group has no voters")]
    NoVoters,
    /// Heartbeats must come more often than elections.
    #[error(
        "need 0 < heartbeat ({heartbeat}) < shortest election timeout ({min}) <= longest ({max})"
    )]
    Timeouts {
        /// Ticks between heartbeats.
        heartbeat: u32,
        /// Shortest election timeout in ticks.
        min: u32,
        /// Longest election timeout in ticks.
        max: u32,
    },
    /// A window of no messages never sends any.
    #[error("the in-flight window allows no message")]
    NoWindow,
    /// The term runs do not describe a log that begins behind the base and ends at the last entry.
    #[error("the recovered terms do not describe a log from {base} to {last}")]
    TermRuns {
        /// The snapshot point.
        base: EntryId,
        /// The last entry.
        last: EntryId,
    },
    /// A recovered configuration stands outside the log, or before another.
    #[error(
        "a configuration was recovered at {index}, out of order or behind the last entry {last}"
    )]
    Configurations {
        /// Where it is said to stand.
        index: LogIndex,
        /// The last entry.
        last: LogIndex,
    },
    /// The log begins behind an entry that no snapshot reaches: the state in between is gone.
    #[error(
        "the log begins behind {base}, but the newest good snapshot ends at {snapshot}: the \
         snapshot that the log continues is missing or damaged"
    )]
    Gap {
        /// What the log begins behind.
        base: EntryId,
        /// What the snapshot ends with; zero if there is none.
        snapshot: EntryId,
    },
    /// The snapshot contradicts an entry that the log knows to be committed.
    #[error("the snapshot ends with {snapshot}, but the log has committed {commit}")]
    SnapshotConflict {
        /// What the snapshot ends with.
        snapshot: EntryId,
        /// How far the log is committed.
        commit: LogIndex,
    },
    /// Entries that were known to be durable are gone.
    #[error(
        "recovered positions contradict each other: base {base}, applied {applied}, \
         commit {commit}, last {last}"
    )]
    Positions {
        /// The snapshot point.
        base: LogIndex,
        /// The applied index.
        applied: LogIndex,
        /// The commit index.
        commit: LogIndex,
        /// The last entry.
        last: LogIndex,
    },
}
