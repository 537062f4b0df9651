//! The start of a node: the snapshot that it starts from, loaded; and whether the log goes on where that
//! ends. What is decided, and why, is [`snapshot::Choice`]'s; this says it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use raft::EntryId;
use replica::{LoadedSnapshot, SnapshotLoader};
use snapshot::{Choice, Directory, Misfit, Position, SnapshotError};
use thiserror::Error;
use tracing::{error, info, warn};
use vfs::Vfs;
use wal::GroupLog;

use crate::peer::codec::Scope;

/// Loading that takes longer says how far it is, this often.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// What the snapshots of a node have to give at its start.
pub(crate) struct Start {
    pub(crate) directory: Directory,
    pub(crate) choice: Choice<LoadedSnapshot>,
}

/// Why the node cannot start with these snapshots. Nothing was changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotStartError {
    /// The directory cannot be used, or a file in it is not this node's or too new.
    #[error("{0}")]
    File(#[from] SnapshotError),
    /// The system does not read a file.
    #[error(
        "cannot read a snapshot: {0}; nothing was changed, try again; if the disk does not give the file \
         back any more, replace this node by `quorate serve --join HOST:PORT --replace ID` with an empty \
         --data-dir"
    )]
    CannotRead(SnapshotError),
    /// Entries between snapshot and log are missing.
    #[error(
        "{}: the log begins behind entry {base}, and {held}: the entries between are missing; \
         restore a copy of the snapshot if there is one, else replace this node by \
         `quorate serve --join HOST:PORT --replace ID` with an empty --data-dir", dir.display()
    )]
    Gap {
        /// The directory of the snapshots.
        dir: PathBuf,
        /// Where the log begins.
        base: u64,
        /// What there is instead.
        held: String,
    },
    /// Snapshot and log are not of one history.
    #[error(
        "{}: the snapshot ends with entry {index} of term {snapshot_term}, and the log begins behind \
         entry {index} of term {log_term}: one of them is not this node's; restore both from the \
         same copy", dir.display()
    )]
    OtherHistory {
        /// The directory of the snapshots.
        dir: PathBuf,
        /// Where they should meet.
        index: u64,
        /// Of the snapshot's last entry.
        snapshot_term: u64,
        /// Of the same entry as the log knows it.
        log_term: u64,
    },
}

/// Loads the snapshot to start from out of a directory, which is created if there is none.
pub(crate) fn open(
    vfs: Arc<dyn Vfs>,
    path: &Path,
    scope: Scope,
) -> Result<Start, SnapshotStartError> {
    let directory = Directory::open(Arc::clone(&vfs), path)?;
    for path in directory.remove_temporary()? {
        info!(path = %path.display(), "a snapshot that a crash cut short was removed");
    }
    let choice = choose_with_progress(&directory, scope).map_err(|error| match error {
        SnapshotError::Io { .. } => SnapshotStartError::CannotRead(error),
        error => SnapshotStartError::File(error),
    })?;
    Ok(Start { directory, choice })
}

impl Start {
    /// The last entry of the loaded snapshot.
    pub(crate) fn last(&self) -> Option<EntryId> {
        let last = self.choice.last();
        last.map(|last| super::position(last.term, last.index))
    }

    /// Refuses a snapshot and a log that do not meet; sets damaged files aside if they do.
    pub(crate) fn settle(&self, log: Option<&GroupLog>) -> Result<(), SnapshotStartError> {
        let (term, index) = log.map_or((0, 0), |log| log.base);
        let base = Position { term, index };
        let judged = self.choice.judge(base);
        judged.map_err(|misfit| self.error(misfit, base))?;
        let log_last = log.map_or(0, |log| log.last.1);
        let settled = self.choice.settle(&self.directory, log_last)?;
        for path in settled.removed {
            info!(path = %path.display(), "a part of a snapshot that nobody needs was removed");
        }
        for (file, path) in self.choice.passed_over.iter().zip(settled.set_aside) {
            error!(
                kept_as = %path.display(),
                "{}; this node goes on without it, from an older snapshot or none, and its log",
                file.error
            );
        }
        Ok(())
    }

    fn error(&self, misfit: Misfit, base: Position) -> SnapshotStartError {
        let dir = self.directory.path().to_owned();
        match misfit {
            Misfit::OtherHistory { snapshot_term } => SnapshotStartError::OtherHistory {
                dir,
                index: base.index,
                snapshot_term,
                log_term: base.term,
            },
            Misfit::Gap => {
                let held = match self.last() {
                    None => "there is no snapshot of it".to_owned(),
                    Some(last) => format!("the newest good snapshot ends at {}", last.index.0),
                };
                let held = match self.choice.passed_over.first() {
                    None => held,
                    Some(file) => format!("{held} (a newer one is damaged: {})", file.error),
                };
                SnapshotStartError::Gap {
                    dir,
                    base: base.index,
                    held,
                }
            }
        }
    }
}

fn choose_with_progress(
    directory: &Directory,
    scope: Scope,
) -> Result<Choice<LoadedSnapshot>, SnapshotError> {
    let started = Instant::now();
    let mut told = started;
    let scope = (scope.cluster.0, scope.group.0);
    let choice = directory.choose::<SnapshotLoader>(scope, &mut |done, total| {
        if told.elapsed() >= PROGRESS_INTERVAL {
            told = Instant::now();
            let percent = done.saturating_mul(100) / total.max(1);
            info!(percent, bytes = done, of = total, "loading the snapshot");
        }
        true
    })?;
    for file in &choice.passed_over {
        warn!("{}; an older snapshot is tried", file.error);
    }
    if let Some(found) = &choice.found {
        info!(
            index = found.meta.index,
            bytes = found.bytes,
            took_ms = started.elapsed().as_millis() as u64,
            path = %found.path.display(),
            "snapshot loaded"
        );
    }
    Ok(choice)
}
