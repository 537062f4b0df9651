//! What the cluster asks of a node, whoever has written it.

use bytes::Bytes;
use raft::{Entry, LogIndex, NodeId, ReadEntries, ReadRequestId, Term};

use crate::disk::Write;
use crate::translate::{Translator, Wire};

/// Settings that both kinds have, in ticks, messages and bytes.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) id: NodeId,
    pub(crate) voters: Vec<NodeId>,
    pub(crate) seed: u64,
    pub(crate) election_timeout_ticks: u32,
    pub(crate) heartbeat_ticks: u32,
    pub(crate) append_bytes_max: usize,
    pub(crate) inflight_messages_max: usize,
    /// Bounds of ours alone: cache, window, and what is applied at once.
    pub(crate) cache_bytes_max: usize,
}

/// What a node wants done.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// Messages that may leave now.
    pub(crate) messages: Vec<Wire>,
    pub(crate) write: Option<Write>,
    /// Committed entries, in order.
    pub(crate) applied: Vec<Entry>,
    /// Reads that may be served from state that has applied this index.
    pub(crate) reads: Vec<(u64, LogIndex)>,
    pub(crate) read_entries: Vec<ReadEntries>,
}

/// What a node believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Belief {
    pub(crate) term: Term,
    /// Whom it follows, itself included.
    pub(crate) leader: Option<NodeId>,
    pub(crate) leads: bool,
}

/// A running node.
pub(crate) trait Member {
    /// A message has arrived. An error says that it cannot have come from an honest node.
    fn step(&mut self, wire: &Wire, translator: &mut Translator) -> Result<(), String>;
    fn tick(&mut self);
    /// Whether it was taken.
    fn propose(&mut self, payload: Bytes, wall_ms: u64) -> bool;
    fn read(&mut self, token: u64);
    fn transfer(&mut self, to: NodeId);
    /// The process of a peer has died.
    fn peer_reset(&mut self, peer: NodeId);
    /// The process of a peer has started.
    fn peer_connected(&mut self, peer: NodeId);
    /// The write of this number, and all before it, is durable.
    fn persisted(&mut self, number: u64);
    fn entries_read(&mut self, request: ReadRequestId, entries: Vec<Entry>);
    /// What follows from the inputs so far; to be asked until there is nothing.
    fn drain(&mut self) -> Result<Option<Output>, String>;
    fn belief(&self) -> Belief;
}
