//! From a file to a state: at the start, and after a transfer. Each byte is read once and checked as it
//! is read.

use std::path::{Path, PathBuf};

use replica::{LoadedSnapshot, SnapshotLoader};
use snapshot::{Meta, Reader, Report, SnapshotError};
use thiserror::Error;
use vfs::Vfs;

use crate::peer::codec::Scope;

/// Why a file cannot be loaded.
#[derive(Debug, Error)]
pub(crate) enum LoadError {
    /// It is damaged, or cannot be read.
    #[error("{0}")]
    File(#[from] SnapshotError),
    /// Every byte is as it was written, and they do not make up a state.
    #[error("{}: {source}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: replica::SnapshotError,
    },
    /// It says two things of itself.
    #[error("{}: {reason}", path.display())]
    Contradiction {
        /// The file.
        path: PathBuf,
        /// What it says.
        reason: String,
    },
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
}

impl LoadError {
    /// Whether the file is of no use to anybody, so that an older one is to be tried. A file that
    /// a newer release wrote, or of another cluster, is good, and the mistake is to start on it. One that
    /// the system does not read now is perhaps good, too: nothing is known of it.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            LoadError::File(error) => matches!(error, SnapshotError::Damaged { .. }),
            LoadError::State { source, .. } => !source.is_newer(),
            LoadError::Contradiction { .. } => true,
            LoadError::Stopped => false,
        }
    }
}

/// Loads a file, and reports what it is. `progress` hears how many of how many bytes are done, a block at
/// a time, and says whether to go on.
pub(crate) fn load(
    vfs: &dyn Vfs,
    path: &Path,
    scope: Scope,
    mut progress: impl FnMut(u64, u64) -> bool,
) -> Result<(LoadedSnapshot, Report), LoadError> {
    let (meta, mut reader) = Reader::open(vfs, path)?;
    check(path, scope, &meta)?;
    let of_state = |source| LoadError::State {
        path: path.to_owned(),
        source,
    };
    let mut loader = SnapshotLoader::new(&meta.head).map_err(of_state)?;
    let last = loader.meta().last;
    if (last.index.0, last.term.0) != (meta.index, meta.term) {
        return Err(LoadError::Contradiction {
            path: path.to_owned(),
            reason: format!(
                "its head is of entry {}, its header of entry {}",
                last.index.0, meta.index
            ),
        });
    }
    while let Some(block) = reader.next_block()? {
        loader.block(&block).map_err(of_state)?;
        if !progress(reader.offset(), reader.file_bytes()) {
            return Err(LoadError::Stopped);
        }
    }
    let loaded = loader.finish().map_err(of_state)?;
    let report = Report {
        meta,
        blocks: reader.block_count(),
        bytes: reader.offset(),
        checksum: reader.checksum(),
    };
    Ok((loaded, report))
}

fn check(path: &Path, scope: Scope, meta: &Meta) -> Result<(), LoadError> {
    if (meta.cluster, meta.group) == (scope.cluster.0, scope.group.0) {
        return Ok(());
    }
    Err(LoadError::File(SnapshotError::OtherCluster {
        path: path.to_owned(),
        cluster: scope.cluster.0,
        group: scope.group.0,
        found_cluster: meta.cluster,
        found_group: meta.group,
    }))
}
