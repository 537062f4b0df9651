//! The start of a node: the newest good snapshot, and whether the log goes on where it ends.
//!
//! | the newest good snapshot ends | the log | the node starts from |
//! |---|---|---|
//! | inside the log, at the entry it names | | the snapshot and the log behind it |
//! | behind the end of the log, or where the log has an entry of another term | of an interrupted installation | the snapshot alone: the log is begun anew behind it |
//! | before the log begins | | nothing: entries are missing, it refuses |
//! | there is none | begins with entry 1 | the log |
//! | there is none | begins later | nothing: it refuses |
//!
//! The second row is `raft`'s to carry out. A damaged snapshot, and one that is whole and holds no state, is
//! passed over, so that an older one, or none, takes its place in the table; it stays on disk under
//! another name. One that a newer release wrote is not: what the log holds behind it is newer, too. Nor is
//! one that the system does not read: it may be good, and the node is started again when it can be read.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use raft::EntryId;
use replica::LoadedSnapshot;
use snapshot::{Directory, SnapshotError};
use thiserror::Error;
use tracing::{error, info, warn};
use vfs::Vfs;
use wal::GroupLog;

use super::load::{LoadError, load};
use crate::peer::codec::Scope;

/// Loading that takes longer says how far it is, this often.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// What the snapshots of a node have to give at its start.
pub(crate) struct Start {
    pub(crate) directory: Directory,
    /// The newest that is good, loaded.
    pub(crate) loaded: Option<LoadedSnapshot>,
    /// Newer ones that are not.
    damaged: Vec<Damaged>,
}

#[derive(Debug)]
struct Damaged {
    path: PathBuf,
    reason: String,
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
    /// A whole file that this release cannot load.
    #[error("{reason}; if a newer release wrote it, start that one")]
    Unreadable {
        /// File and reason.
        reason: String,
    },
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

/// Loads the newest good snapshot of a directory, which is created if there is none.
pub(crate) fn open(
    vfs: Arc<dyn Vfs>,
    path: &Path,
    scope: Scope,
) -> Result<Start, SnapshotStartError> {
    let directory = Directory::open(Arc::clone(&vfs), path)?;
    for path in directory.remove_temporary()? {
        info!(path = %path.display(), "a snapshot that a crash cut short was removed");
    }
    let mut start = Start {
        directory,
        loaded: None,
        damaged: Vec::new(),
    };
    for (_, _, path) in start.directory.list()? {
        match load_with_progress(vfs.as_ref(), &path, scope) {
            Ok(loaded) => {
                start.loaded = Some(loaded);
                break;
            }
            Err(error) if error.is_damage() => {
                warn!("{error}; an older snapshot is tried");
                start.damaged.push(Damaged {
                    path,
                    reason: error.to_string(),
                });
            }
            Err(LoadError::File(error @ SnapshotError::Io { .. })) => {
                return Err(SnapshotStartError::CannotRead(error));
            }
            Err(LoadError::File(error)) => return Err(error.into()),
            Err(error) => {
                return Err(SnapshotStartError::Unreadable {
                    reason: error.to_string(),
                });
            }
        }
    }
    Ok(start)
}

impl Start {
    /// The last entry of the loaded snapshot.
    pub(crate) fn last(&self) -> Option<EntryId> {
        self.loaded.as_ref().map(|loaded| loaded.meta.last)
    }

    /// Refuses a snapshot and a log that do not meet; sets damaged files aside if they do.
    pub(crate) fn settle(&self, log: Option<&GroupLog>) -> Result<(), SnapshotStartError> {
        let base = log.map_or((0, 0), |log| log.base);
        judge(self.last(), base).map_err(|misfit| self.error(misfit, base))?;
        let held = self.last().map_or(0, |last| last.index.0);
        let held = held.max(log.map_or(0, |log| log.last.1));
        match self.directory.remove_partial_to(held) {
            Ok(removed) => removed.iter().for_each(|path| {
                info!(path = %path.display(), "a part of a snapshot that nobody needs was removed");
            }),
            Err(error) => warn!(%error, "a part of a snapshot that nobody needs stays"),
        }
        for damaged in &self.damaged {
            let path = self.directory.set_aside(&damaged.path)?;
            error!(
                kept_as = %path.display(),
                "{}; this node goes on without it, from an older snapshot and its log",
                damaged.reason
            );
        }
        Ok(())
    }

    fn error(&self, misfit: Misfit, (log_term, base): (u64, u64)) -> SnapshotStartError {
        let dir = self.directory.path().to_owned();
        match misfit {
            Misfit::OtherHistory { snapshot_term } => SnapshotStartError::OtherHistory {
                dir,
                index: base,
                snapshot_term,
                log_term,
            },
            Misfit::Gap => {
                let held = match self.last() {
                    None => "there is no snapshot of it".to_owned(),
                    Some(last) => format!("the newest good snapshot ends at {}", last.index.0),
                };
                let damaged = self.damaged.first();
                let held = damaged.map_or(held.clone(), |damaged| {
                    format!("{held} (a newer one is damaged: {})", damaged.reason)
                });
                SnapshotStartError::Gap { dir, base, held }
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Misfit {
    Gap,
    OtherHistory { snapshot_term: u64 },
}

/// Whether the log, which begins behind `base` (term and index), goes on where the snapshot ends, or
/// before. A base of term 0 is one whose term the log does not know.
fn judge(snapshot: Option<EntryId>, base: (u64, u64)) -> Result<(), Misfit> {
    let (log_term, base) = base;
    let (term, last) = snapshot.map_or((0, 0), |last| (last.term.0, last.index.0));
    if last < base {
        return Err(Misfit::Gap);
    }
    if last == base && log_term != 0 && term != log_term {
        return Err(Misfit::OtherHistory {
            snapshot_term: term,
        });
    }
    Ok(())
}

fn load_with_progress(
    vfs: &dyn Vfs,
    path: &Path,
    scope: Scope,
) -> Result<LoadedSnapshot, LoadError> {
    let started = Instant::now();
    let (mut told, mut bytes) = (started, 0);
    let (loaded, _) = load(vfs, path, scope, |done, total| {
        bytes = done;
        if told.elapsed() >= PROGRESS_INTERVAL {
            told = Instant::now();
            let percent = done.saturating_mul(100) / total.max(1);
            info!(percent, bytes = done, of = total, "loading the snapshot");
        }
        true
    })?;
    info!(
        index = loaded.meta.last.index.0,
        bytes,
        took_ms = started.elapsed().as_millis() as u64,
        path = %path.display(),
        "snapshot loaded"
    );
    Ok(loaded)
}

#[cfg(test)]
mod tests {
    use raft::{LogIndex, Term};

    use super::*;

    fn last(term: u64, index: u64) -> Option<EntryId> {
        Some(EntryId {
            term: Term(term),
            index: LogIndex(index),
        })
    }

    #[test]
    fn every_row_of_the_table_is_judged_as_it_says() {
        // Nothing at all, and a log from its beginning.
        assert_eq!(judge(None, (0, 0)), Ok(()));
        // A snapshot inside the log, at its base, and behind its end.
        assert_eq!(judge(last(2, 50), (1, 10)), Ok(()));
        assert_eq!(judge(last(2, 50), (2, 50)), Ok(()));
        assert_eq!(judge(last(2, 50), (0, 0)), Ok(()));
        // A log that begins behind it, or without any.
        assert_eq!(judge(last(2, 50), (2, 51)), Err(Misfit::Gap));
        assert_eq!(judge(None, (1, 1)), Err(Misfit::Gap));
    }

    #[test]
    fn a_snapshot_of_another_history_is_not_taken_for_the_base_of_the_log() {
        let misfit = Misfit::OtherHistory { snapshot_term: 3 };
        assert_eq!(judge(last(3, 50), (2, 50)), Err(misfit));
        assert_eq!(judge(last(3, 50), (0, 50)), Ok(()));
    }
}
