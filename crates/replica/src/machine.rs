//! The replicated state machine: the keyspace, and the table that makes resent batches harmless.
//!
//! # Exactly once
//! The state keeps two numbers per gateway: its incarnation and the sequence of its last applied
//! batch. A batch is applied if it is the next in sequence, or the first of a newer incarnation.
//! Anything else is skipped: it was applied before, or one before it is missing and the gateway
//! will send both again. So a batch may be sent any number of times, to any number of leaders, and
//! takes effect at most once. (Thesis 6.3 has one session per client; this is one per gateway.)

use std::collections::BTreeMap;

use kv::Store;
use raft::{Entry, NodeId};

use crate::batch::BatchHeader;
use crate::bootstrap::Bootstrap;

/// What every replica holds equal copies of.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The keyspace.
    pub(crate) store: Store,
    /// Per gateway, the last batch applied.
    gateways: BTreeMap<NodeId, LastBatch>,
    /// The record that the log begins with, once applied.
    bootstrap: Option<Bootstrap>,
}

/// The last batch of a gateway that was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LastBatch {
    incarnation: u64,
    sequence: u64,
}

/// What is to be done with a batch that stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is the next of its gateway: apply it.
    Apply,
    /// It was applied before, or belongs to an earlier incarnation of its gateway.
    Seen,
    /// A batch before it is missing.
    Gap,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Machine {
            store: Store::new(),
            gateways: BTreeMap::new(),
            bootstrap: None,
        }
    }

    /// Begins an entry: its time becomes the log's, and keys that are due by it go.
    pub(crate) fn begin_entry(&mut self, entry: &Entry) {
        self.store.begin_entry(entry.id.index.0, entry.time_ms);
    }

    /// Applies the record that a log begins with.
    pub(crate) fn bootstrap(&mut self, record: Bootstrap) {
        self.store.bootstrap(record.secret);
        self.bootstrap = Some(record);
    }

    /// Whether the bootstrap record has been applied: before it, no key may be placed.
    pub(crate) fn is_bootstrapped(&self) -> bool {
        self.bootstrap.is_some()
    }

    /// Decides whether a batch takes effect, and remembers it if so.
    pub(crate) fn admit(&mut self, header: &BatchHeader) -> Admission {
        let batch = LastBatch {
            incarnation: header.incarnation,
            sequence: header.sequence,
        };
        let admission = match self.gateways.get(&header.gateway) {
            None if batch.sequence == 1 => Admission::Apply,
            None => Admission::Gap,
            Some(last) if batch.incarnation < last.incarnation => Admission::Seen,
            Some(last) if batch.incarnation > last.incarnation => match batch.sequence {
                1 => Admission::Apply,
                _ => Admission::Gap,
            },
            Some(last) if batch.sequence <= last.sequence => Admission::Seen,
            Some(last) if batch.sequence == last.sequence + 1 => Admission::Apply,
            Some(_) => Admission::Gap,
        };
        if admission == Admission::Apply {
            self.gateways.insert(header.gateway, batch);
        }
        admission
    }
}
