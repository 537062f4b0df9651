//! What callers write and read back.

use bytes::Bytes;

/// Whose log this is. Both numbers seed every checksum, so that no other node's file can pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's id.
    pub cluster: u64,
    /// The node's id within the cluster.
    pub node: u64,
}

/// What a record does to the log of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKind {
    /// Adds the entry at `index`, which follows the group's last one.
    Entry,
    /// Drops the group's entries from `index` on. It is a record, and not an edit of files, because
    /// a record is durable or not as a whole and in order with the entries that replace the dropped
    /// ones; cutting files front to back once left a hole after a crash (braft#119).
    Truncate,
    /// Replaces the group's state: opaque bytes of which only the latest count. `term`, `index`,
    /// `tag` and `stamp` are stored and not interpreted.
    State,
    /// The group's log begins behind the entry (`term`, `index`): a snapshot stands for all up to it.
    /// If the group holds that entry, those up to it are dropped and those behind it stay; otherwise its
    /// log is emptied, and the next entry has `index + 1`.
    Base,
}

/// One record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What the record does.
    pub kind: RecordKind,
    /// The group whose log it belongs to; all groups of a node share the files.
    pub group: u64,
    /// The term of an entry, or of the entry that a base names.
    pub term: u64,
    /// The index of an entry; of a truncation, the first index that is dropped; of a base, the last one
    /// that the log no longer needs.
    pub index: u64,
    /// Opaque to the log: the entry's kind.
    pub tag: u8,
    /// Opaque to the log: the leader's time.
    pub stamp: u64,
    /// The payload.
    pub body: Bytes,
}

impl Record {
    /// An entry.
    pub fn entry(group: u64, term: u64, index: u64, tag: u8, stamp: u64, body: Bytes) -> Record {
        Record {
            kind: RecordKind::Entry,
            group,
            term,
            index,
            tag,
            stamp,
            body,
        }
    }

    /// A truncation: `first_dropped` and everything behind it are no longer part of the group's log.
    pub fn truncate(group: u64, first_dropped: u64) -> Record {
        Record {
            kind: RecordKind::Truncate,
            group,
            term: 0,
            index: first_dropped,
            tag: 0,
            stamp: 0,
            body: Bytes::new(),
        }
    }

    /// A base: the group's log begins behind the entry (`term`, `index`), whose stamp is `stamp`.
    ///
    /// It may be written when a snapshot that stands for all entries up to that one is durable:
    /// from the next sync on, the log's segments before it may be removed.
    pub fn base(group: u64, term: u64, index: u64, stamp: u64) -> Record {
        Record {
            kind: RecordKind::Base,
            group,
            term,
            index,
            tag: 0,
            stamp,
            body: Bytes::new(),
        }
    }

    /// The group's new state.
    pub fn state(group: u64, body: Bytes) -> Record {
        Record {
            kind: RecordKind::State,
            group,
            term: 0,
            index: 0,
            tag: 0,
            stamp: 0,
            body,
        }
    }
}
