//! What can go wrong with snapshot files.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::{Damage, DamageKind, Unloadable};

/// Why a snapshot file cannot be written, read or listed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// Disk or peer: the file is damaged.
    #[error("{}: {damage}; restore it from a copy, or use another snapshot", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is damaged.
        damage: Damage,
    },
    /// Disk or peer: every byte is as it was written, and they do not make up a state.
    #[error("{}: {reason}", path.display())]
    NoState {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Caller: the file is sound, and its state is of a newer version of this software.
    #[error("{}: {reason}; if a newer release wrote it, start that one", path.display())]
    NewerState {
        /// The file.
        path: PathBuf,
        /// What is newer.
        reason: String,
    },
    /// Caller: the file is of a newer version of this software.
    #[error(
        "{}: the snapshot has format version {version}, and this program knows versions up to {known}: \
         use the newer version of the program", path.display()
    )]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// The newest version known here.
        known: u32,
    },
    /// Caller: the file is of another cluster, or of another group.
    #[error(
        "{}: the snapshot is of cluster {found_cluster:016x} group {found_group}, and this is cluster \
         {cluster:016x} group {group}; check --data-dir", path.display()
    )]
    OtherCluster {
        /// The file.
        path: PathBuf,
        /// The cluster that was asked for.
        cluster: u64,
        /// The group that was asked for.
        group: u64,
        /// The file's cluster.
        found_cluster: u64,
        /// The file's group.
        found_group: u64,
    },
    /// Caller: a block or a head is longer than a file can have.
    #[error("a {what} of {bytes} bytes is too long for a snapshot: {bytes_max} at most")]
    TooLong {
        /// Head or block.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The longest.
        bytes_max: usize,
    },
    /// Caller: it does not want a long reading to go on. Nothing was found out.
    #[error("stopped")]
    Stopped,
    /// Disk: an operation failed. If it was a write, the file is given up.
    #[error("{}: {operation} failed: {source}{}", path.display(), advice(source))]
    Io {
        /// What was being done.
        operation: &'static str,
        /// To what.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

impl SnapshotError {
    /// Whether the disk, or this user's share of it, is full.
    pub fn is_no_space(&self) -> bool {
        matches!(self, SnapshotError::Io { source, .. } if vfs::is_no_space(source))
    }

    /// Whether the file is not there.
    pub fn is_not_found(&self) -> bool {
        let is_missing = |source: &io::Error| source.kind() == io::ErrorKind::NotFound;
        matches!(self, SnapshotError::Io { source, .. } if is_missing(source))
    }

    /// Whether the file is of no use to anybody, so that an older one may be tried. A file that a
    /// newer release wrote, or of another cluster, is good, and the mistake is to use it here. One that
    /// the system does not read now is perhaps good, too: nothing is known of it.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            SnapshotError::Damaged { .. } | SnapshotError::NoState { .. }
        )
    }

    pub(crate) fn unloadable(path: &Path, unloadable: Unloadable) -> SnapshotError {
        let Unloadable { reason, is_newer } = unloadable;
        let path = path.to_path_buf();
        match is_newer {
            true => SnapshotError::NewerState { path, reason },
            false => SnapshotError::NoState { path, reason },
        }
    }

    pub(crate) fn damaged(path: &Path, offset: u64, kind: DamageKind) -> SnapshotError {
        SnapshotError::Damaged {
            path: path.to_path_buf(),
            damage: Damage { offset, kind },
        }
    }
}

fn advice(source: &io::Error) -> &'static str {
    if vfs::is_no_space(source) {
        "; free space on its disk"
    } else {
        ""
    }
}

/// For `map_err`: what was being done, to what.
pub(crate) fn failed(
    operation: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> SnapshotError + use<> {
    let path = path.to_path_buf();
    move |source| SnapshotError::Io {
        operation,
        path,
        source,
    }
}
