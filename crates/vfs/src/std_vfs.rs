//! The real files of this machine.

use std::ffi::OsString;
use std::fs;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::{File, Lock, Vfs};

/// Zeros are written in pieces of this size where a file system cannot allocate.
const ZERO_CHUNK_BYTES: usize = 1 << 20;

/// More buffers than this in one call are an error on Linux (`IOV_MAX`); the rest is left to the next.
#[cfg(not(target_vendor = "apple"))]
const VECTOR_MAX: usize = 1024;

/// The real files of this machine.
///
/// Data is synced by `fdatasync(2)` (`F_FULLFSYNC` on macOS, through the standard library), names by
/// `fsync(2)` of their directory, locks are `flock(2)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct StdVfs;

impl StdVfs {
    /// A handle to the machine's file systems. It has no state.
    pub fn new() -> StdVfs {
        StdVfs
    }
}

impl Vfs for StdVfs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = fs::File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        Ok(Box::new(StdFile { file }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = fs::File::options().read(true).write(true).open(path)?;
        Ok(Box::new(StdFile { file }))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Box::new(StdFile {
            file: fs::File::open(path)?,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let mut names = fs::read_dir(dir)?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let file = fs::File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(StdLock { _file: file })),
            Err(fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

struct StdFile {
    file: fs::File,
}

impl StdFile {
    /// What [`File::allocate`] does where the file system cannot: writes the missing zeros. A failure
    /// half-way leaves a longer file whose new bytes are zeros, which the caller removes.
    fn write_zeros_to(&mut self, len: u64) -> io::Result<()> {
        let zeros = vec![0; ZERO_CHUNK_BYTES];
        let mut offset = self.file.metadata()?.len();
        while offset < len {
            let chunk = ZERO_CHUNK_BYTES.min(usize::try_from(len - offset).unwrap_or(usize::MAX));
            self.file.write_all_at(&zeros[..chunk], offset)?;
            offset += chunk as u64;
        }
        Ok(())
    }
}

impl File for StdFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }

    #[cfg(not(target_vendor = "apple"))]
    fn write_vectored_at(&mut self, offset: u64, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let accepted = buffers.len().min(VECTOR_MAX);
        Ok(rustix::io::pwritev(
            &self.file,
            &buffers[..accepted],
            offset,
        )?)
    }

    #[cfg(target_vendor = "apple")]
    fn write_vectored_at(&mut self, offset: u64, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let first = buffers.iter().find(|buffer| !buffer.is_empty());
        first.map_or(Ok(0), |buffer| self.file.write_at(buffer, offset))
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    #[cfg(target_os = "linux")]
    fn allocate(&mut self, len: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        match fallocate(&self.file, FallocateFlags::empty(), 0, len) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.write_zeros_to(len),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn allocate(&mut self, len: u64) -> io::Result<()> {
        self.write_zeros_to(len)
    }

    #[cfg(target_os = "linux")]
    fn forget_cached(&self, offset: u64, len: u64) -> io::Result<()> {
        let len = std::num::NonZeroU64::new(len);
        rustix::fs::fadvise(&self.file, offset, len, rustix::fs::Advice::DontNeed)?;
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

/// The lock lives as long as its file is open.
struct StdLock {
    _file: fs::File,
}

impl Lock for StdLock {}
