//! What operators and tests may see of a replica.

use crate::membership::ConfState;
use crate::progress::{Progress, ProgressState};
use crate::raft::{Raft, State};
use crate::types::{EntryId, LogIndex, NodeId, Role, Term};

/// A copy of the state worth seeing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This node.
    pub id: NodeId,
    /// What it is.
    pub role: Role,
    /// The current term.
    pub term: Term,
    /// Whom it follows, itself included.
    pub leader: Option<NodeId>,
    /// Whom it voted for in the current term.
    pub vote: Option<NodeId>,
    /// The commit index.
    pub commit: LogIndex,
    /// The last entry the state machine has applied.
    pub applied: LogIndex,
    /// The last entry that is durable on this node.
    pub durable: LogIndex,
    /// The last entry of the newest durable snapshot; zero if there is none.
    pub snapshot: EntryId,
    /// The first entry of the log.
    pub first: LogIndex,
    /// The last entry of the log.
    pub last: EntryId,
    /// The configuration in force: the latest in the log, committed or not.
    pub conf: ConfState,
    /// The entry that brought it; 0 if the group is born with it.
    pub conf_index: LogIndex,
    /// On the leader, how far every other member is.
    pub peers: Vec<PeerStatus>,
    /// On the leader, to whom leadership is being transferred.
    pub transferring: Option<NodeId>,
    /// On the leader, bytes proposed and not committed, or not durable here.
    pub uncommitted_bytes: usize,
    /// On the leader, bytes of the newest of these proposals.
    pub uncommitted_newest_bytes: usize,
    /// On the leader, how many proposals these are.
    pub uncommitted_proposals: usize,
    /// Ticks since this node's disk last completed a write, while writes are under way.
    pub disk_stalled_ticks: u32,
    /// Bytes of entries in memory.
    pub log_cache_bytes: usize,
    /// Groups of reads that wait for their read index.
    pub reads_waiting: usize,
}

/// How far the leader has brought one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// The member.
    pub id: NodeId,
    /// Whether it counts in quorums. If not, it is a learner, or `leaving`.
    pub voter: bool,
    /// The last entry it is known to hold durably.
    pub match_index: LogIndex,
    /// The next entry to send to it.
    pub next_index: LogIndex,
    /// Whether entries are streamed to it, rather than probing where its log agrees.
    pub replicating: bool,
    /// Whether it needs a snapshot, which has been asked for.
    pub needs_snapshot: bool,
    /// Appends under way to it.
    pub inflight_messages: usize,
    /// Bytes under way to it.
    pub inflight_bytes: usize,
    /// Ticks since it was last heard from.
    pub quiet_ticks: u32,
    /// It was removed, and is being told so.
    pub leaving: bool,
}

impl PeerStatus {
    pub(crate) fn new(id: NodeId, voter: bool, progress: &Progress) -> PeerStatus {
        let (inflight_messages, inflight_bytes) = match &progress.state {
            ProgressState::Probe { .. } | ProgressState::Snapshot(_) => (0, 0),
            ProgressState::Replicate(inflight) => (inflight.messages(), inflight.bytes()),
        };
        PeerStatus {
            id,
            voter,
            match_index: progress.match_index,
            next_index: progress.next_index,
            replicating: progress.is_replicating(),
            needs_snapshot: progress.is_snapshot(),
            inflight_messages,
            inflight_bytes,
            quiet_ticks: progress.quiet_ticks,
            leaving: progress.leaving.is_some(),
        }
    }
}

impl Raft {
    /// Everything worth seeing.
    pub fn status(&self) -> Status {
        let leader = match &self.state {
            State::Leader(leader) => Some(leader),
            _ => None,
        };
        let peers = leader.map_or_else(Vec::new, |leader| {
            let status = |(&id, progress): (&NodeId, &Progress)| {
                PeerStatus::new(id, self.confs.latest().is_voter(id), progress)
            };
            leader.progress.iter().map(status).collect()
        });
        let reads_waiting = match &self.state {
            State::Leader(leader) => leader.reads.waiting(),
            State::Follower(follower) => follower.reads.waiting(),
            _ => 0,
        };
        Status {
            id: self.config.id,
            role: self.role(),
            term: self.term,
            leader: self.leader(),
            vote: self.vote,
            commit: self.log.commit(),
            applied: self.log.applied(),
            durable: self.log.durable(),
            snapshot: self.snapshot.last,
            first: self.log.base().index.next(),
            last: self.log.last(),
            conf: self.confs.latest().clone(),
            conf_index: self.confs.latest_index(),
            peers,
            transferring: leader
                .and_then(|leader| leader.transfer.as_ref())
                .map(|transfer| transfer.to),
            uncommitted_bytes: leader.map_or(0, |leader| leader.uncommitted.bytes()),
            uncommitted_newest_bytes: leader.map_or(0, |leader| leader.uncommitted.newest_bytes()),
            uncommitted_proposals: leader.map_or(0, |leader| leader.uncommitted.count()),
            disk_stalled_ticks: self.writes.stalled_ticks(),
            log_cache_bytes: self.log.cache_bytes(),
            reads_waiting,
        }
    }

    /// What this node is.
    pub fn role(&self) -> Role {
        match self.state {
            State::Follower(_) => Role::Follower,
            State::PreCandidate(_) => Role::PreCandidate,
            State::Candidate(_) => Role::Candidate,
            State::Leader(_) => Role::Leader,
        }
    }

    /// On the leader, for how many ticks leadership has been in transfer.
    pub fn transfer_ticks(&self) -> Option<u32> {
        match &self.state {
            State::Leader(leader) => leader.transfer.as_ref().map(|transfer| transfer.ticks),
            _ => None,
        }
    }

    /// Whether this node leads.
    pub fn is_leader(&self) -> bool {
        matches!(self.state, State::Leader(_))
    }

    /// Whom this node follows, itself included.
    pub fn leader(&self) -> Option<NodeId> {
        match &self.state {
            State::Follower(follower) => follower.leader,
            State::PreCandidate(_) | State::Candidate(_) => None,
            State::Leader(_) => Some(self.config.id),
        }
    }

    /// The current term.
    pub fn term(&self) -> Term {
        self.term
    }

    /// Whom this node voted for in the current term.
    pub fn vote(&self) -> Option<NodeId> {
        self.vote
    }

    /// The last entry that is durable on this node.
    pub fn durable(&self) -> LogIndex {
        self.log.durable()
    }

    /// The last entry that the state machine has applied.
    pub fn applied_index(&self) -> LogIndex {
        self.log.applied()
    }

    /// The entry that the log begins behind: a snapshot replaces what is up to it.
    pub fn base(&self) -> EntryId {
        self.log.base()
    }

    /// The last entry of the log.
    pub fn last(&self) -> EntryId {
        self.log.last()
    }

    /// The last entry known to be committed.
    pub fn commit(&self) -> LogIndex {
        self.log.commit()
    }

    /// The last entry of the log.
    pub fn last_index(&self) -> LogIndex {
        self.log.last().index
    }
}
