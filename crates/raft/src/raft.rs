//! One replica of one group.

use bytes::Bytes;

use crate::config::{Config, ConfigError, Recovered};
use crate::error::{ProposeError, ReadError, StepError, TransferError};
use crate::message::Envelope;
use crate::ready::{Ready, SoftState};
use crate::status::Status;
use crate::types::{
    Entry, EntryId, EntryKind, HardState, LogIndex, NodeId, ReadRequestId, ReadToken, Role, Term,
    WriteId,
};

/// One replica of one group.
#[derive(Debug)]
pub struct Raft {
    config: Config,
    hard_state: HardState,
    recovered: Recovered,
    soft_state: SoftState,
    applied: LogIndex,
    wall_ms: u64,
}

impl Raft {
    /// Starts a replica from its settings and what its disk remembers.
    ///
    /// # Errors
    /// If the settings contradict each other.
    pub fn new(config: Config, recovered: Recovered) -> Result<Raft, ConfigError> {
        config.validate()?;
        let hard_state = recovered.hard_state;
        let soft_state = SoftState {
            role: Role::Follower,
            leader: None,
            term: hard_state.term,
        };
        let applied = recovered.applied;
        Ok(Raft {
            config,
            hard_state,
            recovered,
            soft_state,
            applied,
            wall_ms: 0,
        })
    }

    /// Time goes on by one tick.
    pub fn tick(&mut self) {}

    /// A message has arrived.
    ///
    /// # Errors
    /// If the message is refused.
    pub fn step(&mut self, envelope: Envelope) -> Result<(), StepError> {
        if envelope.to != self.config.id {
            return Err(StepError::NotForUs {
                to: envelope.to,
                id: self.config.id,
            });
        }
        Ok(())
    }

    /// Appends an entry.
    ///
    /// # Errors
    /// If this node does not lead.
    pub fn propose(
        &mut self,
        kind: EntryKind,
        payload: Bytes,
        wall_ms: u64,
    ) -> Result<EntryId, ProposeError> {
        let _ = (kind, payload);
        self.wall_ms = wall_ms;
        Err(ProposeError::NotLeader {
            leader: self.leader(),
        })
    }

    /// The wall clock, for the entries that Raft itself creates.
    pub fn set_wall_ms(&mut self, wall_ms: u64) {
        self.wall_ms = wall_ms;
    }

    /// Asks for a read index.
    ///
    /// # Errors
    /// If no leader is known.
    pub fn read_index(&mut self, token: ReadToken) -> Result<(), ReadError> {
        let _ = token;
        Err(ReadError::NoLeader)
    }

    /// Hands leadership over.
    ///
    /// # Errors
    /// If this node does not lead.
    pub fn transfer_leadership(&mut self, to: Option<NodeId>) -> Result<NodeId, TransferError> {
        let _ = to;
        Err(TransferError::NotLeader {
            leader: self.leader(),
        })
    }

    /// The connection to a peer was reset: its process died.
    pub fn peer_reset(&mut self, peer: NodeId) {
        let _ = peer;
    }

    /// The connection to a peer is there (again).
    pub fn peer_connected(&mut self, peer: NodeId) {
        let _ = peer;
    }

    /// The write, and all before it, is durable.
    pub fn persisted(&mut self, write: WriteId) {
        let _ = write;
    }

    /// Entries were read back from the disk.
    pub fn entries_read(&mut self, request: ReadRequestId, entries: Vec<Entry>) {
        let _ = (request, entries);
    }

    /// The state machine has applied everything up to this index.
    pub fn applied(&mut self, index: LogIndex) {
        self.applied = index;
    }

    /// Starts an election now.
    pub fn campaign(&mut self) {}

    /// What is to be done now; call until there is nothing.
    pub fn ready(&mut self) -> Option<Ready> {
        None
    }

    /// Everything worth seeing.
    pub fn status(&self) -> Status {
        Status {
            id: self.config.id,
            role: self.role(),
            term: self.term(),
            leader: self.leader(),
            vote: self.hard_state.vote,
            commit: self.commit(),
            applied: self.applied,
            durable: self.recovered.last.index,
            first: self.recovered.base.index.next(),
            last: self.recovered.last,
            peers: Vec::new(),
            transferring: None,
            uncommitted_bytes: 0,
            log_cache_bytes: 0,
            reads_waiting: 0,
        }
    }

    /// What this node is.
    pub fn role(&self) -> Role {
        self.soft_state.role
    }

    /// Whether this node leads.
    pub fn is_leader(&self) -> bool {
        self.role() == Role::Leader
    }

    /// Whom this node follows, itself included.
    pub fn leader(&self) -> Option<NodeId> {
        self.soft_state.leader
    }

    /// The current term.
    pub fn term(&self) -> Term {
        self.hard_state.term
    }

    /// The commit index.
    pub fn commit(&self) -> LogIndex {
        self.hard_state.commit
    }

    /// The index of the last entry of the log.
    pub fn last_index(&self) -> LogIndex {
        self.recovered.last.index
    }
}
