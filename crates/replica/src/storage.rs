//! Between Raft's terms and the records of the log on disk, which knows nothing of Raft.
//!
//! An entry's kind and time travel in the record's `tag` and `stamp`, its payload is the body. Hard
//! state is a State record. It stands before the entries that are written with it: a torn write must
//! not leave entries of a term that the node does not know it was in. Its commit index never
//! exceeds what was durable before, so it never speaks of entries that are not there.

use std::collections::BTreeMap;

use buggify::Canary;
use bytes::Bytes;
use raft::{
    ConfChange, ConfState, Entry, EntryId, EntryKind, GroupId, HardState, LogIndex, NodeId,
    Persist, Recovered, Term,
};
use wal::{GroupLog, Record, RecordKind};

use crate::bootstrap::Bootstrap;
use crate::features;
use crate::head::Head;
use crate::membership::Roster;

/// What the log holds does not make sense as a Raft log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The hard state cannot be decoded.
    #[error("the log's hard state cannot be read: {0}")]
    HardState(String),
    /// An entry has a kind that this version does not know.
    #[error("log entry {index} has kind {kind}, which this version does not know")]
    EntryKind {
        /// Where it stands.
        index: u64,
        /// What it says.
        kind: u8,
    },
    /// A change of members cannot be decoded.
    #[error("the change of members at log index {index} cannot be read: {reason}")]
    Membership {
        /// Where it stands.
        index: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A record that is no entry was read as one.
    #[error("the record at log index {0} is not an entry")]
    NotAnEntry(u64),
}

/// Whether an entry may be taken on a disk that is short of space: the log keeps room for a few that
/// are small. Those are what begins a term, without which a new leader could not serve reads, and a
/// change of members, which may be the way out.
pub(crate) fn always_finds_room(entry: &Entry) -> bool {
    let is_needed = matches!(entry.kind, EntryKind::Noop | EntryKind::Membership);
    is_needed && entry.payload.len() <= wal::SMALL_ENTRY_BYTES
}

/// The records that carry out a [`Persist`], in the order in which they must reach the disk. A base
/// carries the time of the newest snapshot: if the log ends there, the next entry is not earlier.
pub(crate) fn records(group: GroupId, persist: &Persist, snapshot_time_ms: u64) -> Vec<Record> {
    let mut records = Vec::with_capacity(persist.entries.len() + 3);
    if let Some(state) = persist.hard_state {
        records.push(Record::state(
            group.0,
            Bytes::copy_from_slice(&state.encode()),
        ));
    }
    if let Some(base) = persist.base {
        let EntryId { term, index } = base;
        records.push(Record::base(group.0, term.0, index.0, snapshot_time_ms));
    }
    if let Some(first_dropped) = persist.truncate_from
        && !buggify::canary(Canary::TruncationNotWritten)
    {
        records.push(Record::truncate(group.0, first_dropped.0));
    }
    records.extend(persist.entries.iter().map(|entry| {
        let EntryId { term, index } = entry.id;
        let payload = entry.payload.clone();
        Record::entry(
            group.0,
            term.0,
            index.0,
            entry.kind.into(),
            entry.time_ms,
            payload,
        )
    }));
    records
}

/// The entry that a record holds.
pub fn entry(record: Record) -> Result<Entry, StorageError> {
    if record.kind != RecordKind::Entry {
        return Err(StorageError::NotAnEntry(record.index));
    }
    let kind = EntryKind::try_from(record.tag).map_err(|_| StorageError::EntryKind {
        index: record.index,
        kind: record.tag,
    })?;
    Ok(Entry {
        id: EntryId {
            term: Term(record.term),
            index: LogIndex(record.index),
        },
        kind,
        time_ms: record.stamp,
        payload: record.body,
    })
}

/// The tag of the records that hold changes of members.
pub const MEMBERSHIP_TAG: u8 = EntryKind::Membership as u8;

/// The tags of the records that must be known before a node does anything: a log is to be opened with
/// [`wal::Options::keep_tags`] set to them.
pub const KEPT_TAGS: &[u8] = &[
    EntryKind::Bootstrap as u8,
    MEMBERSHIP_TAG,
    EntryKind::FeatureLevel as u8,
];

/// The records in the log that hold changes of members.
fn changes(log: &GroupLog) -> impl Iterator<Item = &Record> {
    let tagged = log.tagged.iter();
    tagged.filter(|record| record.tag == MEMBERSHIP_TAG)
}

/// The highest feature level that an entry in the log on disk names, committed or not; 0: none does. For
/// [`Config::feature_level_found`](crate::Config::feature_level_found). What cannot be read is passed
/// over here, and refused when it is applied.
pub fn feature_level(log: Option<&GroupLog>) -> u32 {
    let levels = log.iter().flat_map(|log| &log.tagged).filter_map(|record| {
        match EntryKind::try_from(record.tag) {
            Ok(EntryKind::Bootstrap) => Some(Bootstrap::decode(&record.body).ok()?.feature_level),
            Ok(EntryKind::FeatureLevel) => features::decode(&record.body).ok(),
            _ => None,
        }
    });
    levels.max().unwrap_or(0)
}

/// The configuration that a record holds.
fn conf(record: &Record) -> Result<(LogIndex, ConfState), StorageError> {
    let change = ConfChange::decode(&record.body).map_err(|error| StorageError::Membership {
        index: record.index,
        reason: error.to_string(),
    })?;
    Ok((LogIndex(record.index), change.conf))
}

/// The peer addresses in the changes of members that the log on disk holds: for
/// [`Config::addresses`](crate::Config::addresses). What cannot be read is passed over here, and
/// refused when it is applied.
pub fn addresses(log: Option<&GroupLog>) -> BTreeMap<NodeId, String> {
    let mut addresses = BTreeMap::new();
    for record in log.into_iter().flat_map(changes) {
        let context = ConfChange::decode(&record.body).map(|change| change.context);
        let roster = context.ok().and_then(|it| Roster::decode(&it).ok());
        let members = roster.into_iter().flat_map(|roster| roster.members);
        addresses.extend(members.map(|(id, enrolled)| (id, enrolled.peer_addr)));
    }
    addresses
}

/// The payload of a membership entry that makes a node the whole of its cluster. The next free id stays
/// above all that the log, the head of a snapshot, or the log's first entry tell of.
pub fn sole_membership(
    node: NodeId,
    log: &GroupLog,
    head: Option<&[u8]>,
    first: Option<&Record>,
) -> Bytes {
    let of_log = changes(log).filter_map(|record| {
        let change = ConfChange::decode(&record.body).ok()?;
        Some(Roster::decode(&change.context).ok()?.next_id)
    });
    let of_head = head
        .and_then(|head| Head::decode(head).ok())
        .map(|head| head.roster.next_id);
    let of_first = first
        .and_then(|record| Bootstrap::decode(&record.body).ok())
        .map(|record| Roster::of_first(record.members).next_id);
    let known = of_log.chain(of_head).chain(of_first);
    let roster = Roster {
        next_id: known.chain([node.0 + 1]).max().unwrap_or_default(),
        ..Roster::of_first([(node, String::new())])
    };
    ConfChange {
        conf: ConfState::of_voters([node]),
        context: roster.encode(),
    }
    .encode()
}

/// What Raft starts from, given what the log on disk holds of its group; `None` at the first start. The
/// log was opened with [`KEPT_TAGS`] kept.
pub fn recovered(log: Option<&GroupLog>) -> Result<Recovered, StorageError> {
    let Some(log) = log else {
        return Ok(Recovered::default());
    };
    let hard_state = match &log.state {
        Some(bytes) => {
            HardState::decode(bytes).map_err(|error| StorageError::HardState(error.to_string()))?
        }
        None => HardState::default(),
    };
    let applied = match buggify::canary(Canary::AppliedWithoutEffects) {
        false => LogIndex(0),
        true => hard_state.commit,
    };
    Ok(Recovered {
        hard_state,
        base: EntryId {
            term: Term(log.base.0),
            index: LogIndex(log.base.1),
        },
        term_runs: log
            .term_runs
            .iter()
            .map(|&(index, term)| (LogIndex(index), Term(term)))
            .collect(),
        last: EntryId {
            term: Term(log.last.0),
            index: LogIndex(log.last.1),
        },
        last_time_ms: log.last_stamp,
        applied,
        confs: changes(log).map(conf).collect::<Result<_, _>>()?,
        snapshot: None,
    })
}
