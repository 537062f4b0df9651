//! What is to go wrong, and the counter that says when.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// An operation that a [`crate::MemVfs`] counts and can make fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OperationKind {
    /// A file is created.
    Create,
    /// Bytes are written to a file.
    Write,
    /// A file is synced.
    Sync,
    /// A file is allocated to a length.
    Allocate,
    /// A file is renamed.
    Rename,
    /// A file's name is removed.
    Remove,
    /// Directories are created.
    CreateDirectory,
    /// A directory is synced.
    SyncDirectory,
    /// Bytes are read from a file. Can fail, but does not count as an operation that changes the disk.
    Read,
}

/// What goes wrong with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The device fails (`EIO`). A failed sync loses what was not durable, although readers go on
    /// seeing it and the next sync reports success, as on Linux.
    Io,
    /// The disk is full (`ENOSPC`).
    NoSpace,
    /// A write takes only half of its bytes, without an error. Other operations are not affected.
    Short,
}

impl Fault {
    /// The error it shows as; a short write is none.
    pub(super) fn error(self) -> Option<io::Error> {
        match self {
            Fault::Io => Some(io::Error::from_raw_os_error(EIO)),
            Fault::NoSpace => Some(io::ErrorKind::StorageFull.into()),
            Fault::Short => None,
        }
    }
}

/// `EIO`, the same number on every Unix.
const EIO: i32 = 5;

#[derive(Default)]
pub(super) struct Faults {
    /// Operations begun, of all kinds but reads.
    operations: u64,
    /// The power fails in the operation of this number.
    pub(super) halt_at: Option<u64>,
    /// Set when it has; everything fails until the crash is carried out.
    pub(super) halted_in: Option<(OperationKind, PathBuf)>,
    /// Operations begun of each kind.
    counts: BTreeMap<OperationKind, u64>,
    /// Faults by kind and by the count at which they strike.
    planned: BTreeMap<(OperationKind, u64), Fault>,
}

impl Faults {
    pub(super) fn operations(&self) -> u64 {
        self.operations
    }

    pub(super) fn plan(&mut self, kind: OperationKind, nth: u64, fault: Fault) {
        let begun = self.counts.get(&kind).copied().unwrap_or(0);
        self.planned.insert((kind, begun + nth), fault);
    }

    /// Counts an operation and returns the fault planned for it. If the power fails in it,
    /// `halted_in` is set; the caller carries out what may still happen and then returns
    /// [`power_is_off`].
    pub(super) fn begin(&mut self, kind: OperationKind, path: &Path) -> Option<Fault> {
        let count = self.counts.entry(kind).or_insert(0);
        *count += 1;
        let fault = self.planned.remove(&(kind, *count));
        if kind != OperationKind::Read {
            self.operations += 1;
            if self.halt_at == Some(self.operations) {
                self.halted_in = Some((kind, path.to_path_buf()));
            }
        }
        fault
    }

    /// Whether the power is off.
    pub(super) fn halted(&self) -> bool {
        self.halted_in.is_some()
    }

    /// Forgets what was planned; the counters go on.
    pub(super) fn reset(&mut self) {
        self.halt_at = None;
        self.halted_in = None;
        self.planned.clear();
    }
}

pub(super) fn power_is_off() -> io::Error {
    io::Error::other("the simulated disk has lost power")
}
