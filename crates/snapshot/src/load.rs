//! From a file to a state. Each byte is read once, and checked as it is read.

use std::path::Path;

use vfs::Vfs;

use crate::{Meta, Reader, Report, SnapshotError, Watch};

/// What the head and the blocks of a file are made into: its owner's to say.
pub trait Load: Sized {
    /// The state that comes of it.
    type State;

    /// Begins with what the file says of itself.
    ///
    /// # Errors
    /// If the head holds no beginning of a state, or of that of another position.
    fn begin(meta: &Meta) -> Result<Self, Unloadable>;

    /// Takes the next block.
    ///
    /// # Errors
    /// If its bytes make no sense.
    fn block(&mut self, block: &[u8]) -> Result<(), Unloadable>;

    /// That was the last block.
    ///
    /// # Errors
    /// If what came is not all of a state.
    fn finish(self) -> Result<Self::State, Unloadable>;
}

/// Every byte is as it was written, and they do not make up a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unloadable {
    /// What is wrong.
    pub reason: String,
    /// A later version of this software could use it: there is nothing wrong with it.
    pub is_newer: bool,
}

/// Loads a file of this cluster and group, and reports what it is. Memory is taken for it as for the
/// state; nothing is changed on disk.
///
/// # Errors
/// [`SnapshotError::Stopped`] if the watch says so; else what is wrong, see
/// [`SnapshotError::is_damage`].
pub fn load<L: Load>(
    vfs: &dyn Vfs,
    path: &Path,
    (cluster, group): (u64, u64),
    watch: &mut Watch<'_>,
) -> Result<(L::State, Report), SnapshotError> {
    let (meta, mut reader) = Reader::open(vfs, path)?;
    if (meta.cluster, meta.group) != (cluster, group) {
        return Err(SnapshotError::OtherCluster {
            path: path.to_path_buf(),
            cluster,
            group,
            found_cluster: meta.cluster,
            found_group: meta.group,
        });
    }
    let of_state = |unloadable: Unloadable| SnapshotError::unloadable(path, unloadable);
    let mut loader = L::begin(&meta).map_err(of_state)?;
    while let Some(block) = reader.next_block()? {
        loader.block(&block).map_err(of_state)?;
        if !watch(reader.offset(), reader.file_bytes()) {
            return Err(SnapshotError::Stopped);
        }
    }
    let state = loader.finish().map_err(of_state)?;
    Ok((state, reader.report(meta)))
}
