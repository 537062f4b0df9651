//! The Raft consensus algorithm, sans-IO: one replica of one group.

mod append;
mod config;
mod drain;
mod election;
mod error;
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
mod replication;
mod status;
mod transfer;
mod types;
mod writes;

pub use crate::config::{Config, ConfigError, Recovered};
pub use crate::error::{ProposeError, ReadError, StepError, TransferError};
pub use crate::membership::ConfState;
pub use crate::message::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, Envelope, Heartbeat, HeartbeatResponse,
    Message, ReadIndex, ReadIndexResponse, RequestPreVote, RequestPreVoteResponse, RequestVote,
    RequestVoteResponse, TimeoutNow,
};
pub use crate::raft::Raft;
pub use crate::ready::{Persist, ReadEntries, Ready, SoftState};
pub use crate::status::{PeerStatus, Status};
pub use crate::types::{
    ClusterId, Entry, EntryId, EntryKind, GroupId, HardState, HardStateError, LogIndex, NodeId,
    ReadRequestId, ReadToken, Role, Round, Term, UnknownEntryKind, WriteId,
};
