//! The Raft consensus algorithm, sans-IO: one replica of one group.

mod config;
mod error;
mod membership;
mod message;
mod raft;
mod ready;
mod status;
mod types;

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
