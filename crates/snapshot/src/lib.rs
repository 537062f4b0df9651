//! Snapshot files: a state at one position of the log, on disk, whole or not at all.
//!
//! # What a file is
//! A [`Meta`] that says whose state it is and where in the log it stands, then blocks whose bytes
//! mean nothing here, then an end that counts them. Every byte is covered by a checksum, and the
//! checksums are chained, so that no block can be missing, doubled or of another file.
//! FORMAT.md gives every byte.
//!
//! # What holds
//! - A file has its final name only when all of it is durable: it is written under another name,
//!   synced, renamed, and its directory synced ([`Writer`], [`Receiver`]). A crash leaves the old
//!   files, or these and the new one.
//! - Nothing that is read is believed before its checksum is, and no memory is taken by a length
//!   that a file merely announces. Damage is an error that names the file and the place.
//! - A file that had its final name and is damaged is set aside under another name
//!   ([`Directory::set_aside`]), and stays until a newer one is set aside.
//! - A file that is received in pieces is checked whole, and may be loaded, before it gets its name; an
//!   interrupted reception goes on from the last block that arrived intact. One that is of no use is
//!   removed: another node has it.
//! - Equal states make equal files, byte for byte, whoever writes them: so a reception may go on from
//!   another sender.
//!
//! # What is left out
//! What the blocks and the head mean, when to write, and how to send: those are the callers'.
//! No threads and no clock: a caller that wants to be slow stops between two calls.

pub mod format;

mod choice;
mod damage;
mod directory;
mod error;
mod load;
mod reader;
mod receiver;
mod source;
mod writer;

use bytes::Bytes;

pub use choice::{Choice, Misfit, PassedOver, Position, Settled};
pub use damage::{Damage, DamageKind};
pub use directory::{Directory, Found};
pub use error::SnapshotError;
pub use load::{Load, Unloadable, load};
pub use reader::{Reader, Report, Watch, identify, verify, verify_watched};
pub use receiver::{ReceiveError, Received, Receiver};
pub use source::Source;
pub use writer::Writer;

/// Whose state a snapshot is, and where in the log it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The cluster's id.
    pub cluster: u64,
    /// The Raft group.
    pub group: u64,
    /// The term of the last log entry that the state contains.
    pub term: u64,
    /// The index of that entry.
    pub index: u64,
    /// The log time of the state, in milliseconds since the epoch.
    pub time_ms: u64,
    /// What the state has besides its blocks. Opaque here.
    pub head: Bytes,
}

/// One file of one content, as a sender announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// The cluster's id.
    pub cluster: u64,
    /// The Raft group.
    pub group: u64,
    /// The index of the last log entry that the state contains.
    pub index: u64,
    /// The term of that entry.
    pub term: u64,
    /// The length of the file.
    pub bytes: u64,
    /// The last chain value of the file, which covers everything before it.
    pub checksum: u32,
}
