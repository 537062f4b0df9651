//! Reading a finished file in pieces, to send it.

use std::path::{Path, PathBuf};

use vfs::{File, Vfs};

use crate::error::failed;
use crate::{DamageKind, FileId, Found, SnapshotError};

/// A finished file that is being sent. It stays readable when its name is removed meanwhile, as
/// POSIX promises for open files.
pub struct Source {
    file: Box<dyn File>,
    path: PathBuf,
    id: FileId,
}

impl Source {
    /// Opens a file that was found good.
    pub fn open(vfs: &dyn Vfs, found: &Found) -> Result<Source, SnapshotError> {
        Source::open_as(vfs, &found.path, found.id())
    }

    /// Opens a file of which the id is known.
    pub fn open_as(vfs: &dyn Vfs, path: &Path, id: FileId) -> Result<Source, SnapshotError> {
        let file = vfs.open_read(path).map_err(failed("opening", path))?;
        let path = path.to_path_buf();
        Ok(Source { file, path, id })
    }

    /// Which file it is.
    pub fn id(&self) -> FileId {
        self.id
    }

    /// The bytes from an offset on, at most `count_max`; none at the end. They are not checked here:
    /// the receiver checks all of them.
    pub fn read(&self, offset: u64, count_max: usize) -> Result<Vec<u8>, SnapshotError> {
        let left = self.id.bytes.saturating_sub(offset);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(count_max);
        let mut chunk = vec![0; count];
        let read = self.file.read_full_at(offset, &mut chunk);
        let read = read.map_err(failed("reading", &self.path))?;
        if read < count {
            let end = offset + read as u64;
            return Err(SnapshotError::damaged(
                &self.path,
                end,
                DamageKind::CutShort,
            ));
        }
        Ok(chunk)
    }
}
