//! What can go wrong, one enum per operation.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::{Damage, RecordKind};

/// Why a log cannot be opened. Nothing was changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Caller: the options cannot be.
    #[error("segment-bytes is {segment_bytes}, and must be a multiple of 4096 up to 2 GiB")]
    Options {
        /// The size asked for.
        segment_bytes: u64,
    },
    /// Disk: something that was durable is damaged.
    #[error(
        "{}: {damage}; this node must not run on it: look with `quorate wal verify`, then replace the \
         node by `quorate serve --join HOST:PORT --replace ID` with an empty --data-dir: the others have what it had", dir.display()
    )]
    Damaged {
        /// The log's directory.
        dir: PathBuf,
        /// What is damaged.
        damage: Damage,
    },
    /// Caller: the log is of a newer version of this software.
    #[error(
        "{}: segment {segment} has format version {version}, and this program knows versions up to \
         {known}: start the newer version again", dir.display()
    )]
    NewerFormat {
        /// The log's directory.
        dir: PathBuf,
        /// The segment.
        segment: u64,
        /// Its version.
        version: u32,
        /// The newest version known here.
        known: u32,
    },
    /// Disk: the data directory says that there is a log, and there is none.
    #[error(
        "{}: the log is gone; a node that lost its disk must not come back under its old id: \
         replace it by `quorate serve --join HOST:PORT --replace ID` with an empty --data-dir", dir.display()
    )]
    LogMissing {
        /// The log's directory.
        dir: PathBuf,
    },
    /// Disk: it is full, and not even the first segment fits.
    #[error("{}: no space for a segment of {segment_bytes} bytes; free space on its disk and start again", dir.display())]
    Full {
        /// The log's directory.
        dir: PathBuf,
        /// The size of a segment.
        segment_bytes: u64,
    },
    /// Disk: an operation failed.
    #[error("{}: {operation} failed: {source}", path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// To what.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

/// Why an operation on an open log failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WalError {
    /// Disk: an earlier write or sync failed, so what the disk has is unknown. The log is dead until
    /// the process has started again and recovered.
    #[error("the log failed before; this process must end and recover")]
    Latched,
    /// Disk: a write failed. Latches.
    #[error("write to segment {segment} at offset {offset} failed: {source}")]
    Write {
        /// The segment.
        segment: u64,
        /// Where.
        offset: u64,
        /// The error.
        source: io::Error,
    },
    /// Disk: a sync failed. Latches.
    #[error("sync of segment {segment} failed: {source}")]
    Sync {
        /// The segment.
        segment: u64,
        /// The error.
        source: io::Error,
    },
    /// Disk: a new segment could not be prepared, for another reason than space. Latches.
    #[error("segment {segment} cannot be prepared: {source}")]
    Prepare {
        /// The segment.
        segment: u64,
        /// The error.
        source: io::Error,
    },
    /// Disk: a segment that is not needed any more could not be removed. Latches.
    #[error("segment {segment} cannot be removed: {source}")]
    Remove {
        /// The segment.
        segment: u64,
        /// The error.
        source: io::Error,
    },
    /// Disk: it is full. Nothing of the call was written, and the log goes on; the same call succeeds
    /// when there is space again.
    #[error("the disk is full: no space for another segment")]
    Full,
    /// Caller: the record can never be written. Nothing of the call was.
    #[error("a record of {bytes} bytes does not fit in a segment, which has room for {bytes_max}")]
    TooLarge {
        /// What the record takes.
        bytes: u64,
        /// What a segment has room for.
        bytes_max: u64,
    },
    /// Caller: the record does not follow the last one of its group. Nothing of the call was written.
    #[error("group {group}: a record {kind:?} of index {index} cannot follow; expected {expected}")]
    OutOfOrder {
        /// The group.
        group: u64,
        /// The record's kind.
        kind: RecordKind,
        /// Its index.
        index: u64,
        /// The index that fits, or the highest that does.
        expected: u64,
    },
    /// Caller: the entry is not in the log; it is before the first one.
    #[error("group {group}: entry {index} is not in the log, which begins at {first}")]
    NotHeld {
        /// The group.
        group: u64,
        /// The index asked for.
        index: u64,
        /// The first index held.
        first: u64,
    },
    /// Disk: a read failed.
    #[error("read of segment {segment} at offset {offset} failed: {source}")]
    Read {
        /// The segment.
        segment: u64,
        /// Where.
        offset: u64,
        /// The error.
        source: io::Error,
    },
    /// Disk: an entry that was intact when it was written or recovered is not any more.
    #[error(
        "{0}; this node must not run on it: look with `quorate wal verify`, then replace the node by \
         `quorate serve --join HOST:PORT --replace ID` with an empty --data-dir: the others have what it had"
    )]
    Damaged(Damage),
}
