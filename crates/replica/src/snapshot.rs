//! Snapshots: the replicated state after one entry of the log, on its way out and back in.

use bytes::Bytes;
use kv::{Frozen, LoadError};
use raft::SnapshotMeta;
use snapshot::Unloadable;

use crate::head::{Head, HeadError};
use crate::machine::Machine;

/// The state after one entry, cut off: for a thread of the shell to write while the replica goes on.
///
/// Write `head` and then the blocks of `frozen`; [`SnapshotLoader`] takes them back in that order.
/// Say what came of it by [`crate::Replica::snapshot_written`] or
/// [`crate::Replica::snapshot_failed`]: there is no other snapshot before that.
#[derive(Debug)]
pub struct Snapshot {
    /// What it stands for: the state after `meta.last`.
    pub meta: SnapshotMeta,
    /// All of the state that is not a key. Opaque outside this crate.
    pub head: Bytes,
    /// The keys.
    pub frozen: Frozen,
}

/// Rebuilds the state from a snapshot's head and blocks: in a thread of the shell, since it takes as
/// long as there are keys.
#[derive(Debug)]
pub struct SnapshotLoader {
    head: Head,
    keys: kv::SnapshotLoader,
    bytes: u64,
}

/// A file is a state of this replica if its head is of the entry that its header names.
impl snapshot::Load for SnapshotLoader {
    type State = LoadedSnapshot;

    fn begin(meta: &snapshot::Meta) -> Result<Self, Unloadable> {
        let loader = SnapshotLoader::new(&meta.head)?;
        let last = loader.meta().last;
        if (last.index.0, last.term.0) == (meta.index, meta.term) {
            return Ok(loader);
        }
        let reason = format!(
            "its head is of entry {} of term {}, its header of entry {} of term {}",
            last.index, last.term, meta.index, meta.term
        );
        Err(SnapshotError::new(reason).into())
    }

    fn block(&mut self, block: &[u8]) -> Result<(), Unloadable> {
        Ok(SnapshotLoader::block(self, block)?)
    }

    fn finish(self) -> Result<LoadedSnapshot, Unloadable> {
        Ok(SnapshotLoader::finish(self)?)
    }
}

impl From<SnapshotError> for Unloadable {
    fn from(error: SnapshotError) -> Self {
        Unloadable {
            reason: error.reason,
            is_newer: error.is_newer,
        }
    }
}

/// A state that was read back, for [`crate::Replica::new`] or [`crate::Replica::install`].
#[derive(Debug)]
pub struct LoadedSnapshot {
    /// What it stands for.
    pub meta: SnapshotMeta,
    pub(crate) machine: Machine,
    /// Bytes of its head and blocks.
    pub(crate) bytes: u64,
}

/// A state that another has replaced. There is nothing to be done with it but to drop it.
#[derive(Debug)]
pub struct Retired(#[expect(dead_code, reason = "only dropped")] pub(crate) Machine);

/// A snapshot cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct SnapshotError {
    reason: String,
    /// A later version has written it: there is nothing wrong with it.
    is_newer: bool,
}

impl SnapshotError {
    pub(crate) fn new(reason: String) -> Self {
        let is_newer = false;
        SnapshotError { reason, is_newer }
    }

    /// Whether a later version of this software could use it. Otherwise nothing can.
    pub fn is_newer(&self) -> bool {
        self.is_newer
    }
}

impl From<HeadError> for SnapshotError {
    fn from(error: HeadError) -> Self {
        SnapshotError {
            is_newer: error.is_newer(),
            reason: error.to_string(),
        }
    }
}

impl From<LoadError> for SnapshotError {
    fn from(error: LoadError) -> Self {
        let is_newer = matches!(
            error,
            LoadError::NewerVersion { .. } | LoadError::UnknownType { .. }
        );
        let reason = error.to_string();
        SnapshotError { reason, is_newer }
    }
}

impl SnapshotLoader {
    /// Begins with a snapshot's head.
    ///
    /// # Errors
    /// If a later version has written it, or its bytes make no sense.
    pub fn new(head: &[u8]) -> Result<Self, SnapshotError> {
        let bytes = head.len() as u64;
        let head = Head::decode(head)?;
        if head.meta.conf.is_empty() {
            return Err(SnapshotError::new(
                "the snapshot names no members".to_owned(),
            ));
        }
        let keys = kv::SnapshotLoader::new(
            head.bootstrap.secret,
            head.meta.last.index.0,
            head.meta.time_ms,
        );
        Ok(SnapshotLoader { head, keys, bytes })
    }

    /// What the snapshot stands for.
    pub fn meta(&self) -> &SnapshotMeta {
        &self.head.meta
    }

    /// Takes the next block.
    ///
    /// # Errors
    /// If its bytes make no sense.
    pub fn block(&mut self, block: &[u8]) -> Result<(), SnapshotError> {
        self.bytes += block.len() as u64;
        Ok(self.keys.block(block)?)
    }

    /// Ends the snapshot: that was its last block.
    ///
    /// # Errors
    /// If they do not hold as many keys as the head says.
    pub fn finish(self) -> Result<LoadedSnapshot, SnapshotError> {
        let (keys, expected) = (self.keys.key_count() as u64, self.head.keys);
        if keys != expected {
            return Err(SnapshotError::new(format!(
                "the snapshot's head speaks of {expected} keys, its blocks hold {keys}"
            )));
        }
        let store = self.keys.finish();
        Ok(LoadedSnapshot {
            meta: self.head.meta.clone(),
            machine: Machine::of_snapshot(self.head, store),
            bytes: self.bytes,
        })
    }
}
