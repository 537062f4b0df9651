//! The Raft consensus algorithm, sans-IO: one replica of one group.
//!
//! This crate decides; it does nothing. It has no clock, no socket, no file, no thread and no
//! chance of its own: time comes in as ticks, messages and disk completions as calls, randomness
//! as a seed, and everything that is to be done comes out in a [`Ready`]. The same inputs in the
//! same order therefore always have the same effect, which is what makes it possible to test
//! whole groups in one thread, and to repeat a failure from a number.
//!
//! It is written to be read beside the paper ("In Search of an Understandable Consensus
//! Algorithm", Ongaro and Ousterhout, 2014) and the thesis ("Consensus: Bridging Theory and
//! Practice", Ongaro, 2014): "paper" and "thesis" in the comments are these two. A good order to
//! read in is `types`, `message`, `raft`, `election`, `append`, `replication`, `drain`. The README
//! beside this crate maps the sections of both to functions, and to the tests that show them.
//!
//! # The contract
//!
//! 1. Give the replica an input: [`Raft::tick`], [`Raft::step`], [`Raft::propose`],
//!    [`Raft::read_index`], [`Raft::transfer_leadership`], or one of the completions
//!    [`Raft::persisted`], [`Raft::entries_read`], [`Raft::applied`], [`Raft::snapshot_taken`],
//!    [`Raft::install_snapshot`], [`Raft::snapshot_sent`]. It changes the state and nothing else.
//!    (Several inputs may be given before the next step: that is how a thousand
//!    proposals become one write and one append.)
//! 2. Drain: call [`Raft::ready`] until it returns `None`, and each time
//!    - send [`Ready::messages`] at once;
//!    - hand [`Ready::persist`] to the disk, which completes writes in the order in which they were
//!      handed out. When one is durable, call [`Raft::persisted`], and send [`Persist::messages`];
//!    - apply [`Ready::apply`] in order, and call [`Raft::applied`];
//!    - serve [`Ready::reads`] once their index is applied;
//!    - bring a snapshot to those whom [`Ready::send_snapshots`] names, and call
//!      [`Raft::snapshot_sent`] when that has succeeded or failed.
//!
//! Messages may be lost, doubled, reordered and delayed without limit. The disk may be as slow as
//! it likes, but what it reported durable it must keep.
//!
//! ```
//! use bytes::Bytes;
//! use raft::{Config, EntryKind, NodeId, Raft, Recovered};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A group of one, on an empty disk. It elects itself at the first tick.
//! let mut raft = Raft::new(Config::new(NodeId(1), [NodeId(1)]), Recovered::default())?;
//! let mut applied = Vec::new();
//! let mut drain = |raft: &mut Raft| {
//!     while let Some(ready) = raft.ready() {
//!         if let Some(persist) = ready.persist {
//!             // A real shell writes and syncs here.
//!             raft.persisted(persist.write);
//!         }
//!         if let Some(last) = ready.apply.last() {
//!             raft.applied(last.id.index);
//!         }
//!         applied.extend(ready.apply);
//!     }
//! };
//! raft.tick();
//! drain(&mut raft);
//! assert!(raft.is_leader());
//! raft.propose(EntryKind::Batch, Bytes::from_static(b"x = 1"), 0)?;
//! drain(&mut raft);
//! assert_eq!(applied.last().map(|entry| &*entry.payload), Some(b"x = 1".as_slice()));
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! The five properties of the paper's figure 3: Election Safety, Leader Append-Only, Log Matching,
//! Leader Completeness, State Machine Safety. Beyond them:
//!
//! - *No message claims what is not durable.* Votes, terms and acknowledgements wait for the disk;
//!   which message waits is decided in one place, when draining. The leader's own disk counts in a
//!   quorum like any other, and only when it has written.
//! - *A completion never speaks for a later write.* Each write has a name of its own, so an entry
//!   that was truncated while it was being written is never taken for the one in its place.
//! - *Reads are linearizable.* A read index is given out only after a quorum has answered messages
//!   sent after the read arrived, and only by a leader that has committed in its term.
//! - *Nothing a peer can send makes it panic.* Impossible messages are refused with a typed
//!   [`StepError`] and change nothing. Assertions guard what this crate itself, or its caller, must
//!   never do; they stay on in release builds, because stopping is better than lying.
//! - *Everything is bounded*: what is in flight to a follower, what is uncommitted, what is cached,
//!   what is handed out at once.
//!
//! # Beyond the paper
//!
//! *Pre-votes and CheckQuorum* (thesis, sections 9.6 and 6.2): a node that was cut off does not
//! disturb the others when it returns, and a leader that is cut off steps down.
//!
//! *Early elections.* A silent leader may be slow or partitioned, so followers wait for an election
//! timeout. But a connection that is *reset* says that the leader's process is dead. A follower
//! that sees one may ask for pre-votes at once ([`Raft::peer_reset`]), and those whose own
//! connection was reset too may grant; whoever still hears the leader refuses as ever, and whoever
//! hears it again forgets the reset. So a crash costs a few round trips instead of a timeout, a mere
//! hiccup between two nodes costs nothing, and a leader that lives is replaced only if a majority
//! has lost it within one heartbeat interval, or does not hear it anyway. Safety does not depend on
//! any of it: votes are votes. (It would not be sound beside leader leases, which count on the
//! timeout; there are none.)
//!
//! *Asynchronous storage* (thesis, section 10.2.1): the leader sends before it has written, and a
//! replica goes on taking input while its disk works.
//!
//! *The log is mostly on disk.* Memory holds the terms of all entries, as runs, and a bounded
//! number of recent entries. Older ones are asked for through [`Ready::read_entries`], whether to
//! bring up a follower or to apply after a restart.
//!
//! *Snapshots* (paper, section 7): see `snapshot`.
//!
//! *Members may change* (paper, section 6; thesis, chapter 4): learners, one voter at a time or
//! several through a joint configuration that is left by itself, and no voter removed before it was
//! a learner. The configuration in force is the latest in the log ([`Raft::conf`]); a change is
//! asked for with [`Raft::propose_membership`]. `membership`, `conf_change`, `conf_history` and
//! `reconfigure` tell the story in that order.
//!
//! # What is left out
//!
//! Lease reads.

mod append;
mod conf_change;
mod conf_history;
mod config;
mod drain;
mod election;
mod error;
mod fingerprint;
mod invariants;
mod log;
mod membership;
mod message;
mod outbox;
mod progress;
mod quorum;
mod raft;
mod random;
mod read_back;
mod read_index;
mod ready;
mod reconfigure;
mod replication;
mod snapshot;
mod status;
mod transfer;
mod types;
mod writes;

pub use crate::conf_change::{ConfChange, MembershipChange};
pub use crate::config::{Config, ConfigError, Recovered};
pub use crate::error::{MembershipError, ProposeError, ReadError, StepError, TransferError};
pub use crate::membership::{ConfDecodeError, ConfState};
pub use crate::message::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, Envelope, Heartbeat, HeartbeatResponse,
    Message, ReadIndex, ReadIndexResponse, RequestPreVote, RequestPreVoteResponse, RequestVote,
    RequestVoteResponse, TimeoutNow,
};
pub use crate::raft::Raft;
pub use crate::ready::{Persist, ReadEntries, Ready, SoftState};
pub use crate::snapshot::{SendSnapshot, SnapshotMeta};
pub use crate::status::{PeerStatus, Status};
pub use crate::types::{
    ClusterId, Entry, EntryId, EntryKind, GroupId, HardState, HardStateError, LogIndex, NodeId,
    ReadRequestId, ReadToken, Role, Round, Session, Term, UnknownEntryKind, WriteId,
};
