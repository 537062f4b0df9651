//! Why a node does not start, or stops: always one line that says what happened and what to do.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::disk::DiskError;
use crate::peer::handshake::Refused;
use crate::snapshots::SnapshotStartError;

/// The exit code of a node that failed while it ran.
pub(crate) const EXIT_FAILURE: i32 = 1;

/// The exit code of a node that cannot start as it is configured: it has changed nothing.
const EXIT_USAGE: i32 = 2;

/// The exit code of a node that was removed from its cluster: there is no use in starting it again.
const EXIT_REMOVED: i32 = 3;

/// Why [`serve`](crate::serve) returned without having been asked to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {address} ({setting}): {source}{}",
        bind_advice(source)
    )]
    Bind {
        /// The setting that names the address.
        setting: &'static str,
        /// The address.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// A certificate, key or authority cannot be used.
    #[error("{setting}: {}: {reason}", path.display())]
    Tls {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The data directory is of another cluster or node, in use, too new, damaged, or unreadable.
    #[error("{0}")]
    DataDir(#[from] wal::DataDirError),
    /// The snapshots in the data directory cannot be used, or do not meet the log.
    #[error("{0}")]
    Snapshot(#[from] SnapshotStartError),
    /// The log in the data directory cannot be opened.
    #[error("{0}")]
    Log(#[from] wal::OpenError),
    /// The log holds what this release cannot read as a Raft log.
    #[error("{}: {source}; if a newer release wrote it, start that one", dir.display())]
    Storage {
        /// The log's directory.
        dir: PathBuf,
        /// What is wrong.
        source: replica::storage::StorageError,
    },
    /// The replica refuses its configuration.
    #[error("the configuration does not fit together: {0}")]
    Replica(replica::StartError),
    /// The cluster's feature level is one that this program does not know.
    #[error("{0}")]
    FeatureLevel(String),
    /// The operating system refuses something that every process needs.
    #[error("cannot {what}: {source}")]
    System {
        /// What was asked of it.
        what: &'static str,
        /// What it says.
        source: io::Error,
    },
    /// The disk failed while the node ran.
    #[error("{0}{advice}", advice = after_failure(.0))]
    Disk(DiskError),
    /// Another member knows a newer run of this node than its data directory does.
    #[error("{0}")]
    Outdated(Refused),
    /// The node has peers, by its log, and its configuration gives them no address.
    #[error(
        "node {node} has other nodes beside it by now, and its configuration gives them no address to \
         reach it: set peer-bind to the one it was added with"
    )]
    NoPeerPort {
        /// The node.
        node: u64,
    },
    /// The node began to join a cluster, and was not answered.
    #[error(
        "{}: began to join a cluster and was not given an id yet: start with --join again, or remove the \
         directory", path.display()
    )]
    NotJoined {
        /// The data directory.
        path: PathBuf,
    },
    /// The cluster has removed this node.
    #[error("{0}")]
    Removed(String),
    /// The replica cannot go on without risking what it promises.
    #[error("{0}")]
    Replicated(String),
}

impl ServeError {
    /// The process's exit code: 2 when the node is not to be started as it is, 1 when a running node
    /// failed.
    pub fn exit_code(&self) -> i32 {
        match self {
            ServeError::DataDir(wal::DataDirError::Removed { .. }) => EXIT_REMOVED,
            ServeError::Bind { .. }
            | ServeError::Tls { .. }
            | ServeError::DataDir(_)
            | ServeError::NotJoined { .. }
            | ServeError::NoPeerPort { .. }
            | ServeError::Snapshot(_)
            | ServeError::Log(_)
            | ServeError::Storage { .. }
            | ServeError::Replica(_)
            | ServeError::FeatureLevel(_)
            | ServeError::Outdated(_) => EXIT_USAGE,
            ServeError::Removed(_) => EXIT_REMOVED,
            ServeError::System { .. } | ServeError::Disk(_) | ServeError::Replicated(_) => {
                EXIT_FAILURE
            }
        }
    }

    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> ServeError {
        move |source| ServeError::System { what, source }
    }
}

impl From<replica::StartError> for ServeError {
    fn from(error: replica::StartError) -> Self {
        match error {
            replica::StartError::FeatureLevel(error) => ServeError::FeatureLevel(error.to_string()),
            other => ServeError::Replica(other),
        }
    }
}

/// What to do after a disk failed; damage says so itself.
fn after_failure(error: &DiskError) -> &'static str {
    if error.is_damage() {
        return "";
    }
    "; this node has stopped and can be started again once its disk is trusted"
}

fn bind_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another process has this port: stop it or choose another",
        io::ErrorKind::AddrNotAvailable => "; this machine does not have that address",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need privileges",
        _ => "",
    }
}
