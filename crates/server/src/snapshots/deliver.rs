//! One delivery: which file a peer is sent, whether it is good, and what came of it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use raft::{EntryId, LogIndex};
use snapshot::{Directory, FileId, SnapshotError, Source, verify_watched};
use tracing::{error, info, warn};

use super::channel::{Stop, TransferError};
use super::send::Sending;
use super::{Completion, lock, sent};
use crate::peer::SnapshotTarget;

/// What a thread that sends works with.
pub(super) struct Delivery {
    pub(super) directory: Directory,
    pub(super) target: SnapshotTarget,
    /// An older file is of no use: this node's log begins behind this entry.
    pub(super) least: LogIndex,
    /// Told of an older file that is sent instead of the newest: the log behind it is to be kept.
    pub(super) on_older: Box<dyn Fn(EntryId) + Send>,
    pub(super) bytes_per_second: u64,
    pub(super) stop: Stop,
    /// All bytes of snapshots that this node has sent.
    pub(super) sent_bytes: Arc<AtomicU64>,
    /// Files that were checked in this run, or written.
    pub(super) checked: Arc<Mutex<BTreeSet<FileId>>>,
}

impl Delivery {
    /// Brings the newest file to the peer, or goes on with one that it has a part of; returns what came
    /// of it.
    pub(super) fn run(&self) -> Completion {
        let to = self.target.node;
        let source = match self.source() {
            Ok(Some(source)) => source,
            Ok(None) => return Completion::Damaged { to },
            Err(SnapshotError::Stopped) => return sent(to, None),
            Err(error) => {
                warn!(peer = to.0, %error, "no snapshot can be sent");
                return sent(to, None);
            }
        };
        let id = source.id();
        info!(
            peer = to.0,
            index = id.index,
            bytes = id.bytes,
            "sending a snapshot"
        );
        let sending = Sending {
            target: &self.target,
            source: &source,
            older: &|last, bytes, checksum| self.older(last, bytes, checksum),
            bytes_per_second: self.bytes_per_second,
            stop: &self.stop,
            sent_bytes: &self.sent_bytes,
        };
        match sending.run() {
            Ok(last) => {
                info!(
                    peer = to.0,
                    index = last.index.0,
                    "the peer has the snapshot"
                );
                sent(to, Some(last))
            }
            Err(TransferError::Stopped) => sent(to, None),
            Err(TransferError::File(reason)) => {
                lock(&self.checked).remove(&id);
                error!("{reason}; another snapshot is written from memory");
                Completion::Damaged { to }
            }
            Err(error) => {
                warn!(peer = to.0, %error, "a snapshot was not sent; it is tried again later");
                // It may be this node's disk: the file is checked again before the next attempt.
                lock(&self.checked).remove(&id);
                sent(to, None)
            }
        }
    }

    /// The newest file, checked. `None` if there is none that is new enough, or it is lost: damaged, and
    /// set aside then, or not to be read, which a bad sector is for ever. What the state is, memory
    /// knows.
    pub(super) fn source(&self) -> Result<Option<Source>, SnapshotError> {
        let newest = self.directory.list()?.into_iter().next();
        let Some((_, _, path)) = newest.filter(|(index, ..)| *index >= self.least.0) else {
            return Ok(None);
        };
        match self.open(&path) {
            Ok(source) => Ok(Some(source)),
            Err(error @ SnapshotError::Damaged { .. }) => {
                error!("{error}; another one is written from memory");
                self.directory.set_aside(&path)?;
                Ok(None)
            }
            // A newer one took its place meanwhile.
            Err(error) if error.is_not_found() => Err(error),
            Err(error @ SnapshotError::Io { .. }) => {
                error!("{error}; another one is written from memory");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The very file that the peer has a part of, if the log goes on behind it and it is good.
    pub(super) fn older(&self, last: EntryId, bytes: u64, checksum: u32) -> Option<Source> {
        if last.index < self.least {
            return None;
        }
        let path = self.directory.finished_path(last.index.0, last.term.0);
        let source = match self.open(&path) {
            Ok(source) => source,
            Err(error) => {
                if !error.is_not_found() {
                    warn!(peer = self.target.node.0, %error, "the newest snapshot is sent instead");
                }
                return None;
            }
        };
        let id = source.id();
        if (id.bytes, id.checksum) != (bytes, checksum) {
            return None;
        }
        (self.on_older)(last);
        Some(source)
    }

    /// Opens a file, and checks it before unless that was done.
    fn open(&self, path: &Path) -> Result<Source, SnapshotError> {
        let vfs = self.directory.vfs().as_ref();
        let id = match self.known(path) {
            Some(id) => id,
            None => verify_watched(vfs, path, &mut |_, _| !self.stop.is_raised())?.id(),
        };
        lock(&self.checked).insert(id);
        Source::open_as(vfs, path, id)
    }

    /// The file's id, if it was checked in this run.
    fn known(&self, path: &Path) -> Option<FileId> {
        let checked = lock(&self.checked);
        let mut known = checked.iter();
        known
            .find(|id| self.directory.finished_path(id.index, id.term) == path)
            .copied()
    }
}
