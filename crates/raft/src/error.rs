//! Why an input was refused: one type per operation. A refusal changes nothing.

use crate::membership::ConfDecodeError;
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
    /// The sender is nobody, or this very node. (Strangers are heard: see `Raft::step`.)
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
    /// A membership entry whose payload is no [`ConfChange`](crate::ConfChange): damage, or a
    /// version of this program that is newer than ours.
    #[error("the membership entry {entry} cannot be read: {reason}")]
    BadMembership {
        /// The entry.
        entry: EntryId,
        /// What is wrong with it.
        reason: ConfDecodeError,
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
    /// The target cannot lead: it is no voter, will soon be none, or is this node itself.
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

/// Why the members are not changed. Nothing was appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// Only the leader changes the members.
    #[error("not the leader")]
    NotLeader {
        /// Who is, as far as is known.
        leader: Option<NodeId>,
    },
    /// Leadership is being handed over. Ask the next leader.
    #[error("leadership is being transferred to {to}")]
    Transferring {
        /// The next leader, if all goes well.
        to: NodeId,
    },
    /// The leader is new and has not committed an entry of its own term, so it cannot know whether
    /// an earlier change is under way. Try again in a moment.
    #[error("the leader of {term} has not committed anything of its own term yet; try again")]
    NewLeader {
        /// The term.
        term: Term,
    },
    /// One change at a time: the last one is not committed, or its joint configuration not left.
    #[error("the change of members at {index} is still under way; try again when it is done")]
    InProgress {
        /// Where it stands in the log.
        index: LogIndex,
    },
    /// A joint configuration is in force: it leads to where the last change wants to go, and is
    /// left first.
    #[error("the last change of members is still under way; try again when it is done")]
    Joint,
    /// The change would leave everything as it is.
    #[error("the members are as asked for already")]
    NoChange,
    /// The node to be added belongs to the group.
    #[error("{id} is a member already")]
    AlreadyAMember {
        /// The node.
        id: NodeId,
    },
    /// Only a learner can be promoted, or removed: a voter is demoted first, a stranger added
    /// first.
    #[error("{id} is not a learner")]
    NotALearner {
        /// The node.
        id: NodeId,
    },
    /// Only a voter can be demoted.
    #[error("{id} is not a voter")]
    NotAVoter {
        /// The node.
        id: NodeId,
    },
    /// A voter would cease to be a member without being a learner first. It would be gone before
    /// the others know that they can do without it (cockroach issue 42251).
    #[error("{id} is a voter: demote it before it is removed")]
    VoterWouldVanish {
        /// The node.
        id: NodeId,
    },
    /// A group without voters can decide nothing, ever.
    #[error("no voters would be left")]
    NoVoters,
    /// The target is no configuration.
    #[error("impossible members: {what}")]
    Contradiction {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The node to be promoted lacks so much that everybody would wait for it.
    #[error(
        "{id} is {behind} entries behind, more than the {most} allowed; wait until it has them"
    )]
    Behind {
        /// The node.
        id: NodeId,
        /// Entries it lacks.
        behind: u64,
        /// Entries it may lack.
        most: u64,
    },
    /// The node to be promoted has not been heard from since this leader began to send to it: nobody knows
    /// that it was ever started. One that was just added is not silent for long yet, and may lack little.
    #[error("{id} was not heard from yet; start it, and wait until it has caught up")]
    NeverHeard {
        /// The node.
        id: NodeId,
    },
    /// The node to be promoted does not answer.
    #[error("{id} has not been heard from for {ticks} ticks; start it, or repair its connection")]
    Silent {
        /// The node.
        id: NodeId,
        /// Ticks since it was heard from.
        ticks: u32,
    },
    /// The voters that are there would be no majority of those there would be: the change, and
    /// everything after it, would wait for ever.
    #[error("the change would lose the quorum: {silent} of its voters is not there")]
    QuorumWouldBeLost {
        /// One of those that are silent.
        silent: NodeId,
    },
}
