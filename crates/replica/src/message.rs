//! What replicas say to each other: Raft's messages, and batches on their way to the leader.

use bytes::Bytes;
use raft::{NodeId, Term};

use crate::consistency::StateHash;

/// A message between two nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerMessage {
    /// The algorithm's own.
    Raft(raft::Message),
    /// A gateway hands a batch to the node it takes for the leader.
    Forward(Forward),
    /// The answer if that node did not append it.
    ForwardRefused(ForwardRefused),
    /// A replica tells what it has found its state to be.
    StateHash(StateHash),
}

/// A batch on its way from its gateway to the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The term in which the gateway takes the receiver for the leader.
    pub term: Term,
    /// The encoded batch (see [the crate](crate#exactly-once)), appended as it is.
    pub batch: Bytes,
}

/// A batch was not appended by the node it was forwarded to, and never will be because of that
/// forward: the gateway may hand it to another leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardRefused {
    /// The term of the gateway's [`Forward`].
    pub term: Term,
    /// The incarnation of the gateway that sent the batch.
    pub incarnation: u64,
    /// The batch's sequence number.
    pub sequence: u64,
    /// Why.
    pub reason: Refusal,
    /// The leader that the refusing node knows, if any.
    pub leader: Option<NodeId>,
}

/// Why a forwarded batch was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The receiver does not lead.
    NotLeader,
    /// Too much is waiting to be committed; try again.
    Busy,
    /// The leader's disk is full.
    DiskFull,
    /// The bytes are no batch of the sender's.
    Malformed,
}
