//! Those who judge a run, and what they are shown.
//!
//! The world shows every [`Fact`] to every judge as it happens. A judge keeps what it needs to
//! remember and returns a [`Violation`] when its property is broken. It never looks into the world and
//! never asks a replica for more than the fact carries, so each can be tested on made-up facts.

pub mod deliveries;
pub mod duties;
pub mod evidence;
pub mod invariants;
pub mod linearizable;
pub mod list_append;
pub mod members;
mod panel;
#[cfg(test)]
pub(crate) mod samples;
pub mod shadow;
pub mod witness;

#[cfg(test)]
mod made_up;

use std::fmt;

use raft::{EntryId, LogIndex, NodeId, Role, Term};
use replica::{PeerMessage, Replica, Write};
use wal::Record;

use crate::history::History;
pub use crate::judges::panel::Judges;
pub use crate::judges::shadow::Shadow;

/// A property is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The property: the name of the judge that saw it.
    pub property: &'static str,
    /// What was seen, with the values, in a line or two.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.property, self.detail)
    }
}

/// What Raft on a node says of itself: a copy of a few words, made after each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// What it is.
    pub role: Role,
    /// Its term.
    pub term: Term,
    /// Its vote in that term.
    pub vote: Option<NodeId>,
    /// Whom it follows.
    pub leader: Option<NodeId>,
    /// Its commit index.
    pub commit: LogIndex,
    /// The last entry that it has applied.
    pub applied: LogIndex,
    /// The last entry that it holds to be durable.
    pub durable: LogIndex,
    /// The last entry of its log.
    pub last: EntryId,
}

impl View {
    /// What a replica says of itself.
    pub fn of(replica: &Replica) -> View {
        let raft = replica.raft();
        View {
            role: raft.role(),
            term: raft.term(),
            vote: raft.vote(),
            leader: raft.leader(),
            commit: raft.commit(),
            applied: raft.applied_index(),
            durable: raft.durable(),
            last: raft.last(),
        }
    }
}

/// Something that happened. Nodes are numbered from 1, as their ids.
#[derive(Debug)]
pub enum Fact<'a> {
    /// The run begins.
    Begin {
        /// How many nodes there may be in the end.
        nodes: usize,
        /// How many there are now, with the lowest ids, all of them voters.
        first: usize,
    },
    /// A process started on what its disk held.
    Started {
        /// The node.
        node: NodeId,
        /// How often it has been started.
        incarnation: u64,
        /// The whole log that recovery found on the disk, from the first entry on: what the wal
        /// crate read back, not what Raft made of it. Hard state records are in it as well, and
        /// the base before all entries.
        recovered: &'a [Record],
        /// What the snapshot ends with that it started from.
        snapshot: Option<EntryId>,
        /// What the fresh replica says of itself.
        view: View,
    },
    /// A node's disk was harmed: bits were flipped, writes that it confirmed were lost or misdirected, it
    /// was wiped or put back to an older image. From then on, nobody is blamed for what this disk
    /// is found to hold.
    Damaged {
        /// The node.
        node: NodeId,
    },
    /// A process refused to start on what its disk held. Not for disks that just cannot be read now.
    Refused {
        /// The node.
        node: NodeId,
        /// The reason that it gave.
        reason: &'a str,
    },
    /// A process stops for good, because its node was removed: its own log says so, or another
    /// member.
    Retired {
        /// The node.
        node: NodeId,
    },
    /// A process ended. What it had not synced may be gone.
    Ended {
        /// The node.
        node: NodeId,
    },
    /// A write was handed to the disk.
    Handed {
        /// The node.
        node: NodeId,
        /// The write.
        write: &'a Write,
    },
    /// The disk told the replica that this write and all before it are durable.
    Persisted {
        /// The node.
        node: NodeId,
        /// The write.
        write: raft::WriteId,
    },
    /// A snapshot is durable under its final name.
    SnapshotDurable {
        /// The node.
        node: NodeId,
        /// What it ends with.
        last: EntryId,
        /// Whether it came from another node.
        is_received: bool,
    },
    /// Older snapshots are about to be removed.
    SnapshotsRemoved {
        /// The node.
        node: NodeId,
        /// Those that end before this index.
        below: LogIndex,
    },
    /// The newest snapshot of a node turned out to be damaged or gone: another of the same position may
    /// be written.
    SnapshotLost {
        /// The node.
        node: NodeId,
    },
    /// The state of a node after an entry: when a snapshot of it is cut, or was loaded.
    State {
        /// The node.
        node: NodeId,
        /// The entry.
        index: LogIndex,
        /// See [`Replica::state_hash`].
        hash: u64,
    },
    /// A message of an election reached a running node: a request for a vote, for what a vote would be,
    /// or the answer to one. Only in runs in which members come and go.
    Received {
        /// The sender.
        from: NodeId,
        /// The receiver.
        to: NodeId,
        /// What it says.
        message: &'a raft::Message,
    },
    /// A message left a node.
    Sent {
        /// The sender.
        from: NodeId,
        /// The receiver.
        to: NodeId,
        /// What it says.
        message: &'a PeerMessage,
    },
    /// A node was given one input, and drained. Comes after the other facts of the step.
    Stepped {
        /// The node.
        node: NodeId,
        /// What it says of itself now.
        view: View,
        /// The replica, for judges that look deeper at times.
        replica: &'a Replica,
    },
    /// A client's operation was answered. The history has it.
    Answered {
        /// Its place in the history.
        op: usize,
        /// The history so far.
        history: &'a History,
    },
}

/// One who judges a property.
pub trait Judge {
    /// The property's name.
    fn property(&self) -> &'static str;

    /// Sees a fact. `shadow` has taken it in already.
    ///
    /// # Errors
    /// If the property is broken.
    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation>;
}

/// That a judge's property is broken. The detail is made only then.
fn violation(judge: &dyn Judge, detail: impl FnOnce() -> String) -> Result<(), Violation> {
    Err(Violation {
        property: judge.property(),
        detail: detail(),
    })
}
