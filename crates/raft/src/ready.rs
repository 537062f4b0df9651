//! Everything the algorithm wants done, in one value.

use crate::message::Envelope;
use crate::snapshot::SendSnapshot;
use crate::types::{
    Entry, EntryId, HardState, LogIndex, NodeId, ReadRequestId, ReadToken, Role, Term, WriteId,
};

/// What is to be done after an input. The parts are independent, except that `persist.messages`
/// wait for `persist`.
#[derive(Debug, Default)]
pub struct Ready {
    /// Messages to send now. They claim nothing that is not durable.
    pub messages: Vec<Envelope>,
    /// What to write. Writes are done in the order in which they were handed out.
    pub persist: Option<Persist>,
    /// Committed entries to apply, in order, each handed out once. Report with
    /// [`Raft::applied`](crate::Raft::applied).
    pub apply: Vec<Entry>,
    /// Reads that may be served from state that has applied at least this index.
    pub reads: Vec<(ReadToken, LogIndex)>,
    /// Reads that lost their leader. Nothing is known about them: ask again.
    pub reads_failed: Vec<ReadToken>,
    /// Entries to read back from the disk. Report each with
    /// [`Raft::entries_read`](crate::Raft::entries_read): as an empty list if the disk no longer has
    /// the first, because a [`Persist::base`] was handed out since.
    pub read_entries: Vec<ReadEntries>,
    /// Followers that need a snapshot. Each is asked for once, until
    /// [`Raft::snapshot_sent`](crate::Raft::snapshot_sent) tells how it ended, or the connection to
    /// the follower is lost.
    pub send_snapshots: Vec<SendSnapshot>,
    /// The role, leader and term, when one of them has changed.
    pub soft_state: Option<SoftState>,
}

/// One write. In the order of the fields: the hard state, then the base, then the truncation, then
/// the entries, then, when all of it is durable, [`Raft::persisted`](crate::Raft::persisted) and the messages.
#[derive(Debug)]
pub struct Persist {
    /// The name of this write.
    pub write: WriteId,
    /// The new hard state, if it has changed.
    pub hard_state: Option<HardState>,
    /// The log begins behind this entry from now on, which a durable snapshot replaces with all
    /// before it. If the log on the disk holds this very entry, what is behind it stays; otherwise
    /// the log is emptied, and the next entry to be added is the one after this.
    pub base: Option<EntryId>,
    /// The log is to be cut: this entry and all behind it are dropped before `entries` are added.
    pub truncate_from: Option<LogIndex>,
    /// Entries to add at the end of the log.
    pub entries: Vec<Entry>,
    /// Whether this write must be forced to the disk. One that need not be (it brings only a newer
    /// commit index, or only messages that wait for an earlier write) is complete when all writes
    /// before it are.
    pub sync: bool,
    /// Messages to send when this write, and all before it, is durable.
    pub messages: Vec<Envelope>,
}

/// A range of entries to read back: durable ones that have left the memory cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadEntries {
    /// The name to answer under.
    pub request: ReadRequestId,
    /// The first entry wanted.
    pub first: LogIndex,
    /// The last entry wanted.
    pub last: LogIndex,
    /// Stop before the entry that exceeds this, counted by [`Entry::size_bytes`], but always
    /// return the first.
    pub bytes_max: usize,
}

/// What changes often and is never written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SoftState {
    /// What this node is.
    pub role: Role,
    /// Whom it follows, itself included; `None` while nobody is known to lead.
    pub leader: Option<NodeId>,
    /// In which term.
    pub term: Term,
}
