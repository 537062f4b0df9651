//! The write-ahead log of a node: segmented files in which nothing that was synced is ever lost
//! silently, and nothing that was not written ever appears.
//!
//! # What it is
//!
//! One [`Wal`] per node, shared by all groups that the node has a replica of, so that one `fdatasync`
//! serves them all. It stores opaque [`Record`]s: entries of a group's log, truncations of it, and a
//! group's small state. It knows that entries are consecutive and nothing else of Raft: not what a
//! term means, nor when a truncation is right.
//!
//! The files are preallocated segments. A record names its group, term and index, carries CRC32C
//! checksums of its header and its body, and the checksum of the record before. The checksums
//! start from cluster, node, segment and offset, so that neither an old record of a recycled block,
//! nor one from another node's file, nor one at another place can pass. FORMAT.md, beside the
//! code, gives every byte.
//!
//! # How it is used
//!
//! The owner is one thread. It gathers what is to be written, calls [`Wal::append`] once and
//! [`Wal::sync`] once, and only then tells anybody that it is done: that is group commit, and it is the
//! caller's, because only the caller knows what is waiting. When it has nothing to do it calls
//! [`Wal::prepare_next`], one bounded step at a time.
//!
//! ```
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use wal::{Identity, Options, Record, Wal};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let disk = vfs::MemVfs::new(1);
//! let identity = Identity { cluster: 0xc1, node: 1 };
//! let options = Options { segment_bytes: 64 << 10, ..Options::default() };
//! let (mut log, recovery) =
//!     Wal::open(Arc::new(disk.clone()), Path::new("/data/wal"), identity, options.clone())?;
//! assert!(recovery.is_new);
//!
//! let entry = Record::entry(7, 1, 1, 0, 1_700_000_000_000, Bytes::from_static(b"first"));
//! log.append(std::slice::from_ref(&entry))?;
//! log.sync()?;
//!
//! disk.crash(vfs::Crash::LoseUnsynced);
//! let (log, recovery) = Wal::open(Arc::new(disk), Path::new("/data/wal"), identity, options)?;
//! assert_eq!(recovery.groups[&7].last, (1, 1));
//! assert_eq!(log.read(7, 1, 1, 1 << 20)?, [entry]);
//! # Ok(())
//! # }
//! ```
//!
//! # When the disk fails
//!
//! - *A write or a sync fails*: the log is latched. Every later call fails, for ever; the process must
//!   end. Nothing is retried, because after a failed sync the kernel reports success for pages it
//!   has dropped. For the same reason recovery writes the unproven end of the log once more before it
//!   lets anybody rely on it.
//! - *The power fails*: what was written and not synced may be there in part. Recovery cuts it off and
//!   says so in [`Recovery::torn_bytes_cut`].
//! - *Bytes are not what was written*: [`OpenError::Damaged`] names segment, offset and reason, and the
//!   node does not start. How the two are told apart is in [`decision`].
//! - *The disk is full*: the next segment is allocated ahead of need. When it cannot be,
//!   [`Wal::space`] says [`Space::Low`] and the caller refuses new work while a whole segment is
//!   still free for what cannot be refused. A call that does not fit fails with [`WalError::Full`]
//!   before anything is written; votes and bases fit for much longer than entries do.
//!
//! # What is left out
//!
//! Snapshots: the log only learns by a [`RecordKind::Base`] that one exists, and removes the segments
//! behind it ([`Wal::remove_obsolete`]). Compression and encryption: a layer above may do either to the bodies. Threads: the
//! only concurrency is the caller's. Repair: a damaged log is refused, and what it had comes back from
//! the node's peers.

pub mod charter;
pub mod data_dir;
pub mod decision;
pub mod format;
pub mod known_peers;
pub mod oldest;

mod damage;
mod dump;
mod error;
mod index;
mod log;
mod order;

mod read_only;
mod readback;
mod record;
mod recovery;
mod remove;
mod reserve;
mod rotate;
mod scrub;
mod segment;
mod verify;

pub use crate::charter::Charter;
pub use crate::damage::{Damage, Why};
pub use crate::data_dir::{DataDir, DataDirError, LockedToRead};
pub use crate::dump::{DumpLine, DumpRecord, dump};
pub use crate::error::{OpenError, WalError};
pub use crate::known_peers::{KnownPeers, PeerRun};
pub use crate::log::{Options, Preparation, SMALL_ENTRY_BYTES, Space, Wal};
pub use crate::read_only::ReadOnlyLog;
pub use crate::record::{Identity, Record, RecordKind};
pub use crate::recovery::{GroupLog, Recovery, TornTail};
pub use crate::scrub::ScrubStep;
pub use crate::verify::{OfflineError, Problem, Report, SegmentReport, SegmentState, verify};
