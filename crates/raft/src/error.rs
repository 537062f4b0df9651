//! Why an input was refused: one type per operation. A refusal changes nothing.

use crate::types::{ClusterId, EntryId, EntryKind, GroupId, LogIndex, NodeId, Term};

/// Why a message was refused. The fault is always the sender's, or the network's; the receiver is
/// as it was, and goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// The message belongs to another cluster.
    #[error("message of cluster {found:?} in cluster {expected:?}")]
    OtherCluster {
        /// The message's.
        found: ClusterId,
        /// Ours.
        expected: ClusterId,
    },
    /// The message belongs to another group.
    #[error("message of group {found:?} in group {expected:?}")]
    OtherGroup {
        /// The message's.
        found: GroupId,
        /// Ours.
        expected: GroupId,
    },
    /// The message is addressed to another node.
    #[error("message for {to} arrived at {id}")]
    NotForUs {
        /// The address.
        to: NodeId,
        /// This node.
        id: NodeId,
    },
    /// The sender is no member of the group, or is this very node.
    #[error("message from {from}, which is not a peer")]
    NotAPeer {
        /// The sender.
        from: NodeId,
    },
    /// A term or an index that no honest peer can have reached.
    #[error("message with an absurd term or index: {term}, {index}")]
    Absurd {
        /// The highest term in the message.
        term: Term,
        /// The highest index in the message.
        index: LogIndex,
    },
    /// Two nodes speak as leaders of one term.
    #[error("{from} claims to lead {term}, which {leader} leads")]
    TwoLeaders {
        /// The term.
        term: Term,
        /// The one that is followed (possibly this node).
        leader: NodeId,
        /// The other.
        from: NodeId,
    },
    /// The entries of an append do not follow its `prev`, in position or in term.
    #[error("malformed append: entry {found} after {previous} in a message of {term}")]
    MalformedAppend {
        /// The term of the message.
        term: Term,
        /// The entry before.
        previous: EntryId,
        /// The entry out of place.
        found: EntryId,
    },
    /// An append contradicts an entry that is committed here.
    #[error("append has {found} where {committed} is committed")]
    ConflictBelowCommit {
        /// The entry of the message.
        found: EntryId,
        /// The entry committed here.
        committed: EntryId,
    },
    /// A heartbeat commits entries that this node never acknowledged: it, or the leader, has lost
    /// its disk and kept its id.
    #[error("heartbeat commits {commit}, but the log ends at {last}")]
    CommitBeyondLog {
        /// The heartbeat's commit index.
        commit: LogIndex,
        /// The end of the log.
        last: LogIndex,
    },
    /// A follower acknowledges entries that were never sent.
    #[error("{from} acknowledges {match_index}, but the log ends at {last}")]
    MatchBeyondLog {
        /// The follower.
        from: NodeId,
        /// What it acknowledges.
        match_index: LogIndex,
        /// The end of the log.
        last: LogIndex,
    },
    /// A peer has asked for more read indexes than can wait here; it will ask again.
    #[error("{from} has too many reads waiting")]
    TooManyReads {
        /// The peer.
        from: NodeId,
    },
}

/// Why a proposal was refused. Nothing was appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProposeError {
    /// Only the leader appends.
    #[error("not the leader")]
    NotLeader {
        /// Who is, as far as is known.
        leader: Option<NodeId>,
    },
    /// Too much is waiting to be committed already, or to be written by this node's own disk. Try
    /// again when some of it is.
    #[error("{uncommitted_bytes} bytes are waiting to be committed already")]
    UncommittedFull {
        /// Bytes proposed and not committed, or not durable here.
        uncommitted_bytes: usize,
    },
    /// Leadership is being handed over.
    #[error("leadership is being transferred to {to}")]
    Transferring {
        /// The next leader, if all goes well.
        to: NodeId,
    },
    /// Entries of this kind are not proposed by callers.
    #[error("{kind:?} entries cannot be proposed")]
    Kind {
        /// The kind.
        kind: EntryKind,
    },
}

/// Why a read index cannot be had now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Nobody is known to lead. Ask again when the soft state names a leader.
    #[error("no leader is known")]
    NoLeader,
}

/// Why leadership is not handed over. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// Only the leader hands over.
    #[error("not the leader")]
    NotLeader {
        /// Who is, as far as is known.
        leader: Option<NodeId>,
    },
    /// The target cannot lead: it is no voter, or is this node itself.
    #[error("{to} is not another voter")]
    NotAnotherVoter {
        /// The target.
        to: NodeId,
    },
    /// No voter has been heard from lately.
    #[error("no other voter is reachable")]
    NobodyReachable,
    /// A transfer is under way; it ends within an election timeout.
    #[error("leadership is being transferred to {to} already")]
    InProgress {
        /// Its target.
        to: NodeId,
    },
}
