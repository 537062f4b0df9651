//! The snapshots of a node.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vfs::Vfs;

use crate::error::failed;
use crate::format::{
    DAMAGED_SUFFIX, WRITING_SUFFIX, finished_name, finished_position, receiving_file,
};
use crate::writer::publish;
use crate::{FileId, Meta, SnapshotError};

/// A directory of snapshot files, and nothing else. Clones are handles to the same one.
#[derive(Clone)]
pub struct Directory {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
}

/// A finished file whose bytes were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What the file says of itself.
    pub meta: Meta,
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Its last chain value, which covers everything before it.
    pub checksum: u32,
}

impl Found {
    /// Which file it is, for a receiver.
    pub fn id(&self) -> FileId {
        FileId {
            cluster: self.meta.cluster,
            group: self.meta.group,
            index: self.meta.index,
            term: self.meta.term,
            bytes: self.bytes,
            checksum: self.checksum,
        }
    }
}

impl Directory {
    /// The snapshots in this directory, which is created if it is missing.
    pub fn open(vfs: Arc<dyn Vfs>, path: &Path) -> Result<Directory, SnapshotError> {
        vfs::create_dir_durable(vfs.as_ref(), path).map_err(failed("creating", path))?;
        // A process that was killed may have renamed a snapshot and not synced the directory. Whoever
        // finds that snapshot builds on it, so it must not go with the next loss of power.
        vfs.sync_dir(path).map_err(failed("syncing", path))?;
        let path = path.to_path_buf();
        Ok(Directory { vfs, path })
    }

    /// The snapshots in this directory, if there is one: to be read, and nothing of it changes as long as
    /// nothing is called that says that it changes anything.
    pub fn existing(vfs: Arc<dyn Vfs>, path: &Path) -> Result<Option<Directory>, SnapshotError> {
        let exists = vfs.exists(path).map_err(failed("looking", path))?;
        let path = path.to_path_buf();
        Ok(exists.then_some(Directory { vfs, path }))
    }

    /// The finished files, by name only, the newest first: index, term, path.
    pub fn list(&self) -> Result<Vec<(u64, u64, PathBuf)>, SnapshotError> {
        let names = self.names()?;
        let positions = names.iter().filter_map(|name| {
            let (index, term) = finished_position(name)?;
            Some((index, term, self.path.join(name)))
        });
        let mut files: Vec<_> = positions.collect();
        files.sort_unstable_by(|left, right| right.cmp(left));
        Ok(files)
    }

    /// Renames a file that turned out to be damaged, so that it is not used. It is kept for whoever wants
    /// to look at it, and older ones that were set aside before are removed: a disk that damages
    /// one snapshot after the other must not be filled with them. Returns its new name.
    pub fn set_aside(&self, path: &Path) -> Result<PathBuf, SnapshotError> {
        let mut name = path.as_os_str().to_os_string();
        name.push(format!(".{DAMAGED_SUFFIX}"));
        let set_aside = PathBuf::from(name);
        publish(self.vfs.as_ref(), path, &set_aside)?;
        let names = self.names()?.into_iter().map(|name| self.path.join(name));
        let older = names.filter(|other| {
            let is_damaged = other.extension().is_some_and(|it| it == DAMAGED_SUFFIX);
            // The order of names is the order of the log.
            is_damaged && *other < set_aside
        });
        self.remove(older.collect())?;
        Ok(set_aside)
    }

    /// Removes the finished files of positions before `index`, oldest first, and what was received of
    /// files that the newest one reaches as far as; returns what they were called.
    pub(crate) fn remove_older_than(&self, index: u64) -> Result<Vec<PathBuf>, SnapshotError> {
        let files = self.list()?;
        let newest = files.first().map_or(0, |(newest, _, _)| *newest);
        let older = files.into_iter().rev();
        let older = older.filter(|(older, _, _)| *older < index);
        let mut removed = self.remove(older.map(|(_, _, path)| path).collect())?;
        removed.extend(self.remove_partial_to(newest)?);
        Ok(removed)
    }

    /// Removes all finished files but the newest, and returns what they were called: a disk that
    /// is full may hold what a crash has left.
    pub fn make_room(&self) -> Result<Vec<PathBuf>, SnapshotError> {
        match self.list()?.first() {
            Some((newest, _, _)) => self.remove_older_than(*newest),
            None => Ok(Vec::new()),
        }
    }

    /// Removes what a crash left of files that were being written. Files that were being received
    /// stay: the reception can go on.
    pub fn remove_temporary(&self) -> Result<Vec<PathBuf>, SnapshotError> {
        let names = self.names()?.into_iter().filter(|name| {
            let extension = Path::new(name).extension();
            extension.is_some_and(|extension| extension == WRITING_SUFFIX)
        });
        let paths = names.map(|name| self.path.join(name)).collect();
        self.remove(paths)
    }

    /// Removes what was received of files that end at `index` or before: a node whose state, or whose
    /// log, reaches that far needs them no more.
    pub fn remove_partial_to(&self, index: u64) -> Result<Vec<PathBuf>, SnapshotError> {
        let names = self.names()?.into_iter().filter(|name| {
            let file = receiving_file(name);
            file.is_some_and(|(end, ..)| end <= index)
        });
        let paths = names.map(|name| self.path.join(name)).collect();
        self.remove(paths)
    }

    /// The file of this cluster and group of which a part was received, if there is one: the reception
    /// can go on where the same file is offered again.
    pub fn partial(&self, cluster: u64, group: u64) -> Result<Option<FileId>, SnapshotError> {
        let names = self.names()?.into_iter();
        let newest = names.filter_map(|name| receiving_file(&name)).max();
        Ok(newest.map(|(index, term, bytes, checksum)| FileId {
            cluster,
            group,
            index,
            term,
            bytes,
            checksum,
        }))
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the finished file of a position is, or would be.
    pub fn finished_path(&self, index: u64, term: u64) -> PathBuf {
        self.path.join(finished_name(index, term))
    }

    /// The bytes that all files of the directory have together, whatever their names.
    pub fn disk_bytes(&self) -> Result<u64, SnapshotError> {
        let mut bytes = 0;
        for name in self.names()? {
            let path = self.path.join(name);
            let file = self
                .vfs
                .open_read(&path)
                .map_err(failed("opening", &path))?;
            bytes += file.len().map_err(failed("reading", &path))?;
        }
        Ok(bytes)
    }

    /// The disk that it is on.
    pub fn vfs(&self) -> &Arc<dyn Vfs> {
        &self.vfs
    }

    pub(crate) fn names(&self) -> Result<Vec<String>, SnapshotError> {
        let names = self.vfs.list(&self.path);
        let names = names.map_err(failed("listing", &self.path))?;
        let names = names.into_iter().filter_map(|name| name.into_string().ok());
        Ok(names.collect())
    }

    pub(crate) fn remove(&self, paths: Vec<PathBuf>) -> Result<Vec<PathBuf>, SnapshotError> {
        for path in &paths {
            match self.vfs.remove(path) {
                // Several threads keep this directory in order.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.map_err(failed("removing", path))?,
            }
        }
        if !paths.is_empty() {
            let synced = self.vfs.sync_dir(&self.path);
            synced.map_err(failed("syncing", &self.path))?;
        }
        Ok(paths)
    }
}
