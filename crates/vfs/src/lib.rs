//! The file seam: everything Quorate asks of a disk goes through the two traits of this crate.
//!
//! # Why a seam
//!
//! A log that promises to survive power loss can only be tested on a disk whose power can be cut.
//! So `wal` never names `std::fs`: it holds a [`Vfs`] and the [`File`]s that it opened there. The
//! same code then runs over
//!
//! - [`StdVfs`], the real files of this machine;
//! - [`MemVfs`], a disk in memory that keeps what a device has durably apart from what a process
//!   merely wrote, and that can crash at any operation, tear writes by sector, forget directory
//!   entries, fail, fill up and flip bits, all from one seed;
//! - [`LossyVfs`], real files under a real process whose writes stay in the process until they are
//!   synced, so that `kill -9`, which on its own loses nothing the kernel already holds, loses
//!   exactly what a power cut could.
//!
//! # What the traits promise
//!
//! They are the part of POSIX that crash-safe software may rely on, and no more:
//!
//! - A write is *visible* to every later read at once, and *durable* only after a later
//!   [`File::sync_data`] of the same file has returned `Ok`. Before that any subset of its 512-byte
//!   sectors may survive a crash, in any order ([`SECTOR_BYTES`]).
//! - A name that was created, renamed or removed is durable only after [`Vfs::sync_dir`] of its
//!   directory. A rename is atomic: after a crash either name points at the file, never none.
//! - After a failed `sync_data` nothing is known about any write since the last successful one, and
//!   calling it again proves nothing: Linux marks the pages clean although they never arrived
//!   (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
//!   [`MemVfs`] behaves so as well.
//! - Writes may be short, as `pwrite(2)` may; [`File::write_all_at`] loops.
//!
//! The traits are object-safe: callers hold `Arc<dyn Vfs>` and `Box<dyn File>`, so the choice of disk
//! is made once, at run time, where a process starts. One indirect call beside a system call cannot
//! be measured.
//!
//! # What is left out
//!
//! No policy: no retry, no buffering, no naming of files, no knowledge of what the bytes mean. No
//! seek position either: all access is positional, so readers and the writer share nothing.
//! Moving or removing directories is not offered, because nothing needs it.

mod lossy;
mod mem;
mod std_vfs;

use std::ffi::OsString;
use std::io;
use std::io::IoSlice;
use std::path::{Path, PathBuf};

pub use crate::lossy::{LossyVfs, SyncMode};
pub use crate::mem::{Crash, Fault, MemVfs, OperationKind};
pub use crate::std_vfs::StdVfs;

/// The unit that a disk writes whole or not at all.
///
/// Disks with 4096-byte physical sectors still promise it for 512 bytes, and every kernel block
/// layer is built on it, so it is the weakest promise worth designing for.
pub const SECTOR_BYTES: usize = 512;

/// A disk: a tree of directories and files.
///
/// `Send + Sync`, because the disk thread and offline tools share one through an `Arc`.
pub trait Vfs: Send + Sync {
    /// Creates a file for reading and writing. Fails with [`io::ErrorKind::AlreadyExists`] if the
    /// name is taken: whoever wants to replace a file writes a new one and renames it over.
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// Opens an existing file for reading; writing through the result fails. Offline tools use it, so
    /// that they can inspect a read-only copy of a data directory.
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// Renames a file within its directory, replacing what has the new name. Atomic, and durable
    /// after [`Vfs::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name. Durable after [`Vfs::sync_dir`].
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, sorted, so that no order of the file system can show.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;

    /// Creates a directory and whatever is missing above it. See [`create_dir_durable`] for the form
    /// that survives a crash.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable, as they are now.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Whether anything has this name.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Takes an exclusive lock on the file of this name, creating it if it is missing.
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] if another process, or another part of this one,
    /// holds it. The lock ends when the result is dropped or the process dies, however it dies.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;

    /// Bytes that this process could still allocate on the file system of `dir`.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
}

/// An open file. All access is positional.
pub trait File: Send {
    /// Reads into `buffer` from `offset` and returns how many bytes were read; 0 at or past the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes at `offset` and returns how many bytes were written, possibly fewer than given.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Like [`File::write_at`], gathering from several buffers in one system call.
    fn write_vectored_at(&mut self, offset: u64, buffers: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Makes every completed write of this file durable, with the metadata needed to read it back
    /// (`fdatasync(2)`).
    fn sync_data(&mut self) -> io::Result<()>;

    /// Makes the file at least `len` bytes long and reserves the space for them, so that writing
    /// inside cannot run out of it. New bytes read as zeros.
    fn allocate(&mut self, len: u64) -> io::Result<()>;

    /// Lets go of what the kernel keeps of a range in memory, so that the next read asks the disk. It is a
    /// wish: what is not durable stays, and where the system has no such call nothing happens.
    fn forget_cached(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }

    /// The file's length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Writes all of `bytes` at `offset`, however many system calls it takes.
    fn write_all_at(&mut self, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = checked_progress(self.write_at(offset, bytes))?;
            offset += written as u64;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Writes all of `buffers` at `offset`, one after the other. The slices are consumed.
    fn write_all_vectored_at(
        &mut self,
        mut offset: u64,
        mut buffers: &mut [IoSlice<'_>],
    ) -> io::Result<()> {
        IoSlice::advance_slices(&mut buffers, 0);
        while !buffers.is_empty() {
            let written = checked_progress(self.write_vectored_at(offset, buffers))?;
            offset += written as u64;
            IoSlice::advance_slices(&mut buffers, written);
        }
        Ok(())
    }

    /// Reads from `offset` until `buffer` is full or the file ends, and returns the number of bytes
    /// read.
    fn read_full_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_at(offset + filled as u64, &mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

/// A held lock; dropping it releases it.
pub trait Lock: Send {}

/// Turns "no progress" into an error and an interrupted call into no progress made yet.
fn checked_progress(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
        other => other,
    }
}

/// The bytes of some buffers in one.
fn concatenated(buffers: &[IoSlice<'_>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(buffers.iter().map(|buffer| buffer.len()).sum());
    for buffer in buffers {
        bytes.extend_from_slice(buffer);
    }
    bytes
}

/// Whether an error means that the disk, or this user's share of it, is full. It is the one disk
/// error that says nothing about the bytes already written.
pub fn is_no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Creates `dir` and whatever is missing above it so that it survives a crash: the directory above
/// each new name is synced.
///
/// So is the one above the lowest directory that is there already: a process that was killed may have
/// created it and not come so far. Names are created and synced from the top down, so all above that
/// one are durable.
pub fn create_dir_durable(vfs: &dyn Vfs, dir: &Path) -> io::Result<()> {
    let mut missing: Vec<&Path> = Vec::new();
    for path in dir.ancestors() {
        if path.as_os_str().is_empty() {
            break;
        }
        if vfs.exists(path)? {
            sync_found_name(vfs, path)?;
            break;
        }
        missing.push(path);
    }
    for path in missing.into_iter().rev() {
        vfs.create_dir_all(path)?;
        vfs.sync_dir(&parent_of(path))?;
    }
    Ok(())
}

/// Makes the name of a directory durable that was found. Where the directory above cannot be opened or
/// changed, or knows no sync, no earlier run of this program has made the name either.
fn sync_found_name(vfs: &dyn Vfs, path: &Path) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem};
    if path.file_name().is_none() {
        return Ok(());
    }
    match vfs.sync_dir(&parent_of(path)) {
        Err(error)
            if matches!(
                error.kind(),
                InvalidInput | PermissionDenied | ReadOnlyFilesystem
            ) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

/// The directory that holds `path`'s name; `.` for a bare relative name.
pub fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        Some(_) => PathBuf::from("."),
        None => path.to_path_buf(),
    }
}
