//! What leaves a replica: filled by [`crate::Replica::drain`], carried out by the shell.

use raft::{NodeId, ReadEntries, SendSnapshot, WriteId};

use crate::backup::BackupRequest;
use crate::config::{ClientId, Membership};
use crate::message::PeerMessage;
use crate::snapshot::Snapshot;
use crate::witness::Witness;

/// Everything one turn produced. The caller keeps it and passes it in again, so that its vectors
/// are allocated once.
#[derive(Debug, Default)]
pub struct Output {
    /// Messages to send now, in order per peer.
    pub messages: Vec<(NodeId, PeerMessage)>,
    /// Writes for the log on disk, in order. When one is durable, say so by
    /// [`crate::Replica::persisted`].
    pub writes: Vec<Write>,
    /// Entries to read back from the log on disk, answered by [`crate::Replica::entries_read`].
    pub entry_reads: Vec<ReadEntries>,
    /// A snapshot to be written, beside everything else. When it is durable under its final name,
    /// say so by [`crate::Replica::snapshot_written`]; if that fails, by
    /// [`crate::Replica::snapshot_failed`].
    pub snapshot: Option<Snapshot>,
    /// Followers that lag behind the log, each to be sent the newest snapshot. When the transfer has
    /// ended, one way or the other, say so by [`crate::Replica::snapshot_sent`].
    pub send_snapshots: Vec<SendSnapshot>,
    /// What clients want of snapshot files, each to be answered by
    /// [`crate::Replica::answer_backup`].
    pub backups: Vec<BackupRequest>,
    /// Clients that have output to be written.
    pub flush: Vec<ClientId>,
    /// Clients to disconnect once their output is written.
    pub close: Vec<ClientId>,
    /// Clients whose sockets may be read again after [`crate::Replica::client_wants_input`] said no.
    pub resumed: Vec<ClientId>,
    /// Who belongs to the cluster, if that has changed, and in the first turn.
    pub membership: Option<Membership>,
    /// A client asked this node to stop.
    pub shutdown: Option<Shutdown>,
    /// The replica cannot go on: say why and exit. Nothing more is to be sent.
    pub fatal: Option<String>,
    /// Where the replies of this turn were made, in the order in which they were made. Only for a
    /// simulator: always empty unless [`buggify::ENABLED`].
    pub witnesses: Vec<Witness>,
}

/// One write for the log on disk: durable as a whole, after all writes before it.
#[derive(Debug)]
pub struct Write {
    /// Names it in [`crate::Replica::persisted`].
    pub id: WriteId,
    /// The records, in order.
    pub records: Vec<wal::Record>,
    /// Whether anything waits for it to be durable.
    pub sync: bool,
}

/// A SHUTDOWN command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// Stop at once, without handing leadership over and finishing what is in flight.
    pub now: bool,
}

impl Output {
    pub(crate) fn clear(&mut self) {
        self.messages.clear();
        self.writes.clear();
        self.entry_reads.clear();
        self.snapshot = None;
        self.send_snapshots.clear();
        self.backups.clear();
        self.flush.clear();
        self.close.clear();
        self.resumed.clear();
        self.membership = None;
        self.shutdown = None;
        self.fatal = None;
        self.witnesses.clear();
    }
}
