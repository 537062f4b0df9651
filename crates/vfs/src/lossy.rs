//! Real files whose un-synced writes die with the process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{File, Lock, Vfs, concatenated};

/// What [`File::sync_data`] does in a [`LossyVfs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// Writes through what is pending, then syncs the real file.
    Real,
    /// Reports success and does nothing, as a server that forgot to sync would. A test that kills
    /// such a server must see acknowledged writes missing; if it does not, the test is blind.
    Nothing,
}

/// A wrapper that keeps every write in the memory of the process until its file is synced.
///
/// `kill -9` does not lose what a process wrote: the kernel has it. So a test that kills a real
/// process cannot tell a server that syncs from one that does not, unless the un-synced writes are
/// where the kill reaches them. Here they are. Reads see them, also through other handles to the
/// same path, because a file's pending writes belong to its name and not to the handle.
///
/// Names are passed on at once: a process's death is no test of directory syncs ([`crate::MemVfs`]
/// is). Memory grows by what is not synced; this is for tests, and a server offers it only by a
/// hidden setting.
#[derive(Clone)]
pub struct LossyVfs {
    inner: Arc<dyn Vfs>,
    mode: SyncMode,
    pending: Arc<Mutex<BTreeMap<PathBuf, Arc<Mutex<Overlay>>>>>,
}

impl LossyVfs {
    /// Wraps a disk, usually [`crate::StdVfs`].
    pub fn new(inner: Arc<dyn Vfs>, mode: SyncMode) -> LossyVfs {
        LossyVfs {
            inner,
            mode,
            pending: Arc::default(),
        }
    }

    fn file(&self, path: &Path, inner: Box<dyn File>, writable: bool) -> Box<dyn File> {
        let overlay = guard(&self.pending)
            .entry(path.to_path_buf())
            .or_default()
            .clone();
        Box::new(LossyFile {
            inner,
            mode: self.mode,
            overlay,
            writable,
        })
    }
}

impl std::fmt::Debug for LossyVfs {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("LossyVfs")
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl Vfs for LossyVfs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let inner = self.inner.create(path)?;
        guard(&self.pending).remove(path);
        Ok(self.file(path, inner, true))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(self.file(path, self.inner.open(path)?, true))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(self.file(path, self.inner.open_read(path)?, false))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)?;
        let mut pending = guard(&self.pending);
        match pending.remove(from) {
            Some(overlay) => pending.insert(to.to_path_buf(), overlay),
            None => pending.remove(to),
        };
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)?;
        guard(&self.pending).remove(path);
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.inner.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_dir(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.inner.exists(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.inner.lock(path)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.inner.free_bytes(dir)
    }
}

/// The writes of one file that its real counterpart does not have yet, oldest first.
#[derive(Default)]
struct Overlay {
    writes: Vec<(u64, Vec<u8>)>,
}

impl Overlay {
    fn end(&self) -> u64 {
        self.writes
            .iter()
            .map(|(offset, bytes)| offset + bytes.len() as u64)
            .max()
            .unwrap_or(0)
    }

    /// Lays the pending writes over what was read from the real file.
    fn apply(&self, offset: u64, buffer: &mut [u8]) {
        let end = offset + buffer.len() as u64;
        for (start, bytes) in &self.writes {
            let from = (*start).max(offset);
            let to = (start + bytes.len() as u64).min(end);
            if from < to {
                let source = &bytes[(from - start) as usize..(to - start) as usize];
                buffer[(from - offset) as usize..(to - offset) as usize].copy_from_slice(source);
            }
        }
    }
}

struct LossyFile {
    inner: Box<dyn File>,
    mode: SyncMode,
    overlay: Arc<Mutex<Overlay>>,
    writable: bool,
}

impl File for LossyFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let overlay = guard(&self.overlay);
        let len = self.inner.len()?.max(overlay.end());
        let readable = len.saturating_sub(offset).min(buffer.len() as u64) as usize;
        let buffer = &mut buffer[..readable];
        let read = self.inner.read_full_at(offset, buffer)?;
        buffer[read..].fill(0);
        overlay.apply(offset, buffer);
        Ok(readable)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        guard(&self.overlay).writes.push((offset, bytes.to_vec()));
        Ok(bytes.len())
    }

    fn write_vectored_at(&mut self, offset: u64, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_at(offset, &concatenated(buffers))
    }

    fn sync_data(&mut self) -> io::Result<()> {
        if self.mode == SyncMode::Nothing {
            return Ok(());
        }
        let mut overlay = guard(&self.overlay);
        for (offset, bytes) in &overlay.writes {
            self.inner.write_all_at(*offset, bytes)?;
        }
        self.inner.sync_data()?;
        overlay.writes.clear();
        Ok(())
    }

    fn allocate(&mut self, len: u64) -> io::Result<()> {
        self.inner.allocate(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.inner.len()?.max(guard(&self.overlay).end()))
    }
}

/// Locks, also when another thread panicked while it held the lock: the data is plain bytes.
fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
