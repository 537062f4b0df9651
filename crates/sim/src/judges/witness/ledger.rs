//! The committed log as the checker reads it: which batches take effect, and what is in them.

use std::collections::BTreeMap;

use raft::NodeId;
use replica::inspect::{Batch, BatchRecord};

use crate::judges::Violation;
use crate::judges::witness::model::Call;
use crate::judges::witness::violation;

/// A committed entry, before it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw<'a> {
    /// Whether it is a batch: others only carry the time.
    pub(super) is_batch: bool,
    /// Its time.
    pub(super) time_ms: u64,
    /// Its payload.
    pub(super) payload: &'a [u8],
}

/// A committed entry. The first has index 1.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// Its time.
    pub(super) time_ms: u64,
    /// The gateway whose batch it is, if it is a batch that takes effect.
    pub(super) gateway: Option<NodeId>,
    /// What takes effect, in order: none if the batch was applied before, or comes too early.
    pub(super) records: Vec<Record<'a>>,
}

/// One write or transaction that takes effect.
#[derive(Debug)]
pub(super) struct Record<'a> {
    /// What WATCH saw (database, key, version), if it is a transaction.
    pub(super) watches: Option<Vec<(u8, &'a [u8], u64)>>,
    /// Its writes.
    pub(super) calls: Vec<Call<'a>>,
}

/// Reads the log from its first entry on.
///
/// Exactly once is decided here anew: per gateway the last batch that took effect is remembered, and
/// only the next one, or the first one of a later life, takes effect.
pub(super) fn read<'a>(
    raw: impl IntoIterator<Item = Raw<'a>>,
) -> Result<Vec<Entry<'a>>, Violation> {
    let mut last: BTreeMap<NodeId, (u64, u64)> = BTreeMap::new();
    let mut entries = Vec::new();
    for raw in raw {
        let mut entry = Entry {
            time_ms: raw.time_ms,
            gateway: None,
            records: Vec::new(),
        };
        if raw.is_batch {
            let batch = Batch::decode(raw.payload).map_err(|error| {
                let index = entries.len() + 1;
                violation(
                    "log",
                    format!("entry {index} is committed and no batch: {error}"),
                )
            })?;
            let this = (batch.incarnation, batch.sequence);
            let is_next = match last.get(&batch.gateway) {
                Some(&(incarnation, sequence)) if incarnation == this.0 => this.1 == sequence + 1,
                Some(&(incarnation, _)) if incarnation > this.0 => false,
                _ => this.1 == 1,
            };
            if is_next {
                last.insert(batch.gateway, this);
                entry.gateway = Some(batch.gateway);
                entry.records = batch.records.iter().map(record).collect();
            }
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn record<'a>(record: &BatchRecord<'a>) -> Record<'a> {
    let watches = record.watches.as_ref().map(|watches| {
        let watches = watches.iter();
        watches
            .map(|watch| (watch.db, watch.key, watch.version))
            .collect()
    });
    Record {
        watches,
        calls: record.commands.iter().map(Call::logged).collect(),
    }
}
