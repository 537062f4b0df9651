//! A disk in memory that can crash, tear, lie and fail, all from one seed.

mod disk;
mod faults;
mod inode;

use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::mem::disk::Disk;
pub use crate::mem::faults::{Fault, OperationKind};
use crate::{File, Lock, Vfs, concatenated};

/// What a crash does to what was written and not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process died and the kernel lived: everything written is there for the next process to read.
    /// What was not synced is no more durable for it: it goes with the next loss of power, unless a sync
    /// by the next process comes before.
    Process,
    /// The power failed before the device had written anything that was not synced.
    LoseUnsynced,
    /// The power failed in the middle: of each file any subset of the un-synced sectors is there, of
    /// each directory the un-synced changes up to some point. Drawn from the disk's seed.
    Torn,
}

/// A disk in memory. Clones are handles to the same disk.
///
/// Every file has what a reader sees and what the device durably has; see the crate's promises for
/// when the one becomes the other. Directories keep their un-synced changes in order, and a crash
/// keeps a prefix of them, which is what the journals of ext4 and XFS and the log of Btrfs do;
/// the sectors of files are kept or lost each on its own.
///
/// All that is random is drawn from the seed given at construction and from nothing else, and no
/// operation depends on time or on addresses: the same calls give the same disk, byte for byte.
///
/// # Crash at operation n
///
/// Every create, write, sync, rename, remove and allocation counts as one operation. A harness runs a
/// script once to learn [`MemVfs::operations`], and then once for each n with
/// [`MemVfs::halt_at_operation`]: the power fails *in* that operation, which returns an error, as
/// does all that follows. [`MemVfs::crash`] then decides what the device has and turns the power
/// on again. Handles opened before stay dead for ever, like those of a process that is gone.
#[derive(Clone)]
pub struct MemVfs {
    disk: Arc<Mutex<Disk>>,
}

impl MemVfs {
    /// An empty disk. `seed` decides what a [`Crash::Torn`] keeps.
    pub fn new(seed: u64) -> MemVfs {
        MemVfs {
            disk: Arc::new(Mutex::new(Disk::new(seed))),
        }
    }

    /// Ends the process, or cuts the power and turns it on again. Locks are released, handles die, a planned halt and
    /// planned faults are forgotten; capacity and sync mode stay.
    pub fn crash(&self, crash: Crash) {
        self.disk().crash(crash);
    }

    /// How many operations that change the disk were begun so far.
    pub fn operations(&self) -> u64 {
        self.disk().faults.operations()
    }

    /// Plans the power to fail in the operation that makes [`MemVfs::operations`] equal `number`.
    pub fn halt_at_operation(&self, number: u64) {
        self.disk().faults.halt_at = Some(number);
    }

    /// The operation in which a planned halt struck, if it has.
    pub fn halted_in(&self) -> Option<(OperationKind, PathBuf)> {
        self.disk().faults.halted_in.clone()
    }

    /// Plans a fault for the `nth` operation of `kind` from now; 1 is the next one.
    pub fn inject(&self, kind: OperationKind, nth: u64, fault: Fault) {
        self.disk().faults.plan(kind, nth, fault);
    }

    /// Forgets planned faults and a planned halt that has not struck.
    pub fn clear_faults(&self) {
        let mut disk = self.disk();
        if disk.faults.halted_in.is_none() {
            disk.faults.reset();
        }
    }

    /// Another disk with the same contents, durable and not. Nothing that is open here is open there.
    pub fn copy(&self) -> MemVfs {
        MemVfs {
            disk: Arc::new(Mutex::new(self.disk().copy())),
        }
    }

    /// The bytes that all files together have.
    pub fn used_bytes(&self) -> u64 {
        self.disk().used_bytes()
    }

    /// Limits the bytes that all files together may have; `None` lifts the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.disk().capacity = bytes;
    }

    /// Turns every file sync into a success that does nothing: a lying disk, or a server that
    /// forgot. It exists to show that a test would notice.
    pub fn set_sync_does_nothing(&self, nothing: bool) {
        self.disk().sync_does_nothing = nothing;
    }

    /// A file's bytes as a reader sees them.
    pub fn contents(&self, path: &Path) -> io::Result<Vec<u8>> {
        let disk = self.disk();
        let inode = disk.lookup(path)?;
        Ok(disk.inode(inode)?.live().to_vec())
    }

    /// Puts `bytes` into a file at `offset`, durably and behind everybody's back: rot, a misdirected
    /// write, or a test's own damage. Grows the file if it must; creates it if it is missing.
    pub fn overwrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk().overwrite(path, offset, bytes)
    }

    /// Inverts one bit of a file, durably.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) -> io::Result<()> {
        let byte = *usize::try_from(offset)
            .ok()
            .and_then(|offset| self.contents(path).ok()?.get(offset).copied())
            .as_ref()
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        self.overwrite(path, offset, &[byte ^ (1 << (bit % 8))])
    }

    /// Cuts a file to `len` bytes, durably.
    pub fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let mut disk = self.disk();
        let inode = disk.lookup(path)?;
        disk.inode_mut(inode)?.truncate_durably(len);
        Ok(())
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, inode: u64, epoch: u64, path: &Path, writable: bool) -> Box<dyn File> {
        Box::new(MemFile {
            vfs: self.clone(),
            inode,
            epoch,
            path: path.to_path_buf(),
            writable,
        })
    }

    fn open_as(&self, path: &Path, writable: bool) -> io::Result<Box<dyn File>> {
        let disk = self.disk();
        disk.check_power(disk.epoch)?;
        let inode = disk.lookup(path)?;
        let epoch = disk.epoch;
        drop(disk);
        Ok(self.handle(inode, epoch, path, writable))
    }
}

impl std::fmt::Debug for MemVfs {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("MemVfs")
            .field("operations", &self.operations())
            .finish()
    }
}

impl Vfs for MemVfs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut disk = self.disk();
        let inode = disk.create(path)?;
        let epoch = disk.epoch;
        drop(disk);
        Ok(self.handle(inode, epoch, path, true))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.open_as(path, true)
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.open_as(path, false)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk().rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk().remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.disk().list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk().create_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk().sync_dir(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let disk = self.disk();
        disk.check_power(disk.epoch)?;
        Ok(disk.exists(path))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let mut disk = self.disk();
        if !disk.exists(path) {
            disk.create(path)?;
        }
        disk.check_power(disk.epoch)?;
        if !disk.locks.insert(path.to_path_buf()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let epoch = disk.epoch;
        drop(disk);
        Ok(Box::new(MemLock {
            vfs: self.clone(),
            path: path.to_path_buf(),
            epoch,
        }))
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let disk = self.disk();
        Ok(disk.capacity.map_or(u64::MAX, |capacity| {
            capacity.saturating_sub(disk.used_bytes())
        }))
    }
}

struct MemFile {
    vfs: MemVfs,
    inode: u64,
    epoch: u64,
    path: PathBuf,
    writable: bool,
}

impl MemFile {
    fn check_writable(&self) -> io::Result<()> {
        if self.writable {
            Ok(())
        } else {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
}

impl File for MemFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut disk = self.vfs.disk();
        disk.check_power(self.epoch)?;
        disk.read(self.inode, &self.path, offset, buffer)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.check_writable()?;
        let mut disk = self.vfs.disk();
        disk.check_power(self.epoch)?;
        disk.write(self.inode, &self.path, offset, bytes)
    }

    fn write_vectored_at(&mut self, offset: u64, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_at(offset, &concatenated(buffers))
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let mut disk = self.vfs.disk();
        disk.check_power(self.epoch)?;
        disk.sync_data(self.inode, &self.path)
    }

    fn allocate(&mut self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut disk = self.vfs.disk();
        disk.check_power(self.epoch)?;
        disk.allocate(self.inode, &self.path, len)
    }

    fn len(&self) -> io::Result<u64> {
        let disk = self.vfs.disk();
        disk.check_power(self.epoch)?;
        Ok(disk.inode(self.inode)?.live().len() as u64)
    }
}

struct MemLock {
    vfs: MemVfs,
    path: PathBuf,
    epoch: u64,
}

impl Lock for MemLock {}

impl Drop for MemLock {
    fn drop(&mut self) {
        let mut disk = self.vfs.disk();
        if disk.epoch == self.epoch {
            disk.locks.remove(&self.path);
        }
    }
}
