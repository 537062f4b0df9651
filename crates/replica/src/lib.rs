//! Everything that happens to a command, sans-IO: one replica of one group, with its clients.
//!
//! # What it is
//!
//! A [`Replica`] is Raft, the keyspace, this node's client sessions and its *gateway*, in one value
//! that a shell drives: bytes of clients, messages of peers, completions of the disk and ticks go
//! in by method calls; [`Replica::drain`] fills an [`Output`] with all that is to be done outside.
//! It opens no socket and no file, has no thread and reads no clock, so that a simulator runs the
//! code that a server runs.
//!
//! # The idea
//!
//! One log; every replica applies it; the node that holds the client answers. The gateway packs
//! writes into batches and gets them into the log, by itself or through the leader. When it applies
//! a batch of its own it makes the replies and sends them. Reads wait for a read index and run on
//! the gateway's own keyspace. So every node serves every command, the leader answers for nobody
//! else, and a leader change is a pause.
//!
//! # The path of a command, by module
//!
//! | module | what happens there |
//! |---|---|
//! | `session` | a connection: its state, its raw input, its output |
//! | `dispatch` | requests are parsed, checked, and cut into runs |
//! | `encoding`, `batch`, `plan` | a write becomes bytes of a batch; what is to be replied becomes a plan |
//! | `gateway` | batches are numbered and handed to the leader until they are applied |
//! | `reads` | runs of reads wait for a confirmed index |
//! | `machine` | a batch takes effect once, however often it stands in the log |
//! | `execute` | plans and batches are run: replies are made |
//! | `transaction` | MULTI, EXEC, WATCH |
//! | `commands` | what concerns the connection, the node or the cluster |
//! | `membership` | who belongs to the cluster, where each is reached, what is to become of it |
//! | `features` | by which rules entries are applied: the cluster's feature level |
//! | `storage` | Raft's entries as records of the log on disk |
//! | `compaction` | when a snapshot is taken, and how far the log is cut behind it |
//! | `snapshot`, `head` | the state on its way to a file and back |
//! | `consistency` | replicas compare what they hold, and one that differs stops |
//! | `backup` | a snapshot on its way to a client, and into a new cluster |
//! | `inspect`, `witness` | what checkers and tools see of batches and replies |
//!
//! # Exactly once
//!
//! A batch is named by (gateway, incarnation, sequence). The gateway keeps it until it has applied
//! it, and hands it over again whenever it may be lost. The state machine keeps the last sequence of
//! each gateway and skips what is not the next. A gateway's incarnation is a number its data
//! directory counts up, durably, at each start.
//!
//! # What a client is told
//!
//! An error says whether the command took effect. `NOQUORUM`: it did not; it was never handed to a
//! leader. `UNCERTAIN`: it may have; it was handed over, and the deadline passed. `DISKFULL`: it did
//! not; the leader refused the only copy.

pub mod inspect;
pub mod storage;

mod backup;
mod batch;
mod bootstrap;
mod commands;
mod compaction;
mod config;
mod consistency;
mod deferred;
mod dispatch;
mod encoding;
mod errors;
mod execute;
mod features;
#[cfg(test)]
mod format_tests;
mod gateway;
mod head;
mod kinds;
mod log_places;
mod machine;
mod membership;
mod message;
mod metrics;
mod node;
mod output;
mod plan;
mod pubsub;
mod random;
mod reads;
mod replica;
mod session;
mod settings;
mod slowlog;
mod snapshot;
mod stats;
mod transaction;
mod witness;

pub use backup::{
    BACKUP_PIECE_BYTES_MAX, BackupAnswer, BackupRequest, BackupWish, HeadSummary, adopt, summary,
};
pub use config::{
    ClientId, ClientInfo, Config, Disconnect, HostStats, Membership, NodeInfo, Now, PeerInfo,
};
pub use consistency::StateHash;
pub use features::{FeatureLevelError, FeatureLevels};
pub use message::{Forward, ForwardRefused, PeerMessage, Refusal};
pub use metrics::Metrics;
pub use output::{Output, Shutdown, Write};
pub use replica::{Replica, StartError};
pub use snapshot::{LoadedSnapshot, Retired, Snapshot, SnapshotError, SnapshotLoader};
pub use storage::StorageError;
pub use witness::{AFTER_ENTRY, Witness};
