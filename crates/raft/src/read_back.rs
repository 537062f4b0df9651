//! Entries that have left memory and are read back from the disk: to bring up a lagging follower,
//! and to apply what was committed before a restart.
//!
//! Reading takes time, and the world may have moved on when the entries come: the leader may have
//! been deposed, the log truncated. So a completion is believed only as far as it fits the log as
//! it is then.

use buggify::Point;

use crate::log::Log;
use crate::raft::Raft;
use crate::ready::ReadEntries;
use crate::types::{Entry, LogIndex, NodeId, ReadRequestId};

/// What entries are read back for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// To be applied here.
    Apply,
    /// To be sent to a follower.
    Replicate(NodeId),
}

/// Requests under way.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct ReadBack {
    last_request: u64,
    /// At most one to apply, and few per follower.
    under_way: Vec<(ReadEntries, Purpose)>,
    /// Requests to be handed out.
    pub(crate) unsent: Vec<ReadEntries>,
    /// Committed entries that have come back.
    to_apply: Vec<Entry>,
    /// The last attempt to read entries to apply failed: not again before the next tick.
    apply_failed: bool,
}

impl ReadBack {
    /// Asks for entries from `first` to at most `last`.
    pub(crate) fn request(
        &mut self,
        purpose: Purpose,
        first: LogIndex,
        last: LogIndex,
        bytes_max: usize,
    ) -> ReadRequestId {
        self.last_request += 1;
        let request = ReadRequestId(self.last_request);
        let read = ReadEntries {
            request,
            first,
            last,
            bytes_max,
        };
        self.under_way.push((read, purpose));
        self.unsent.push(read);
        request
    }

    /// Time goes on by one tick.
    pub(crate) fn tick(&mut self) {
        self.apply_failed = false;
    }

    /// Begins the names of requests anew, if none is under way.
    pub(crate) fn rename(&mut self) {
        if self.under_way.is_empty() {
            self.last_request = 0;
        }
    }

    /// The log now begins behind `base`: what is under way for entries up to it is called off.
    /// Returns for which followers.
    pub(crate) fn begins_behind(&mut self, base: LogIndex) -> Vec<NodeId> {
        let is_gone = |read: &ReadEntries| read.first <= base;
        self.unsent.retain(|read| !is_gone(read));
        self.to_apply.retain(|entry| entry.id.index > base);
        let mut followers = Vec::new();
        self.under_way.retain(|(read, purpose)| {
            if let Purpose::Replicate(node) = *purpose
                && is_gone(read)
            {
                followers.push(node);
            }
            !is_gone(read)
        });
        followers
    }

    fn take(&mut self, request: ReadRequestId) -> Option<(ReadEntries, Purpose)> {
        let position = self
            .under_way
            .iter()
            .position(|(read, _)| read.request == request)?;
        Some(self.under_way.swap_remove(position))
    }

    fn reads_to_apply(&self) -> bool {
        self.under_way
            .iter()
            .any(|(_, purpose)| *purpose == Purpose::Apply)
    }
}

/// The entries as far as they are what was asked for and what the log has there now; `None` if
/// that is nothing.
fn believable(log: &Log, read: &ReadEntries, mut entries: Vec<Entry>) -> Option<Vec<Entry>> {
    let fits = |(index, entry): (u64, &Entry)| {
        entry.id.index.0 == index && entry.id.index <= read.last && log.contains(entry.id)
    };
    let count = (read.first.0..)
        .zip(&entries)
        .take_while(|&pair| fits(pair))
        .count();
    entries.truncate(count);
    Some(entries).filter(|entries| !entries.is_empty())
}

impl Raft {
    /// Entries have come back from the disk; an empty list if they could not be read, in which case
    /// they are asked for again later.
    pub fn entries_read(&mut self, request: ReadRequestId, entries: Vec<Entry>) {
        let Some((read, purpose)) = self.read_back.take(request) else {
            return;
        };
        let entries =
            believable(&self.log, &read, entries).filter(|_| !buggify::point(Point::ReadBackFails));
        match (purpose, entries) {
            (Purpose::Apply, Some(entries)) => {
                let last = entries.last().map_or(read.first, |entry| entry.id.index);
                self.log.applying_to(last);
                self.read_back.to_apply = entries;
            }
            (Purpose::Apply, None) => self.read_back.apply_failed = true,
            (Purpose::Replicate(node), entries) => {
                if self.state.is_reading_for(node, request) {
                    self.send_read_back(node, entries);
                }
            }
        }
        self.check();
    }

    /// Committed entries to hand out: from memory, or as they come back from the disk.
    pub(crate) fn take_apply(&mut self) -> Vec<Entry> {
        if !self.read_back.to_apply.is_empty() {
            return std::mem::take(&mut self.read_back.to_apply);
        }
        if self.log.applying() == self.log.commit() || self.read_back.reads_to_apply() {
            return Vec::new();
        }
        let bytes_max = match buggify::point(Point::ApplyOneEntry) {
            false => self.config.apply_bytes_max,
            true => 0,
        };
        if let Some(entries) = self.log.take_committed(bytes_max) {
            return entries;
        }
        if !self.read_back.apply_failed {
            let first = self.log.applying().next();
            let commit = self.log.commit();
            let before_cache = self.log.cache_first().map_or(commit, LogIndex::previous);
            let last = commit.min(before_cache);
            self.read_back
                .request(Purpose::Apply, first, last, bytes_max);
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::config::Recovered;
    use crate::types::{EntryId, EntryKind, Term};

    fn entry(term: u64, index: u64) -> Entry {
        let id = EntryId::new(term, index);
        Entry {
            id,
            kind: EntryKind::Batch,
            time_ms: 0,
            payload: Bytes::new(),
        }
    }

    #[test]
    fn only_what_the_log_still_has_is_believed() {
        // Terms 1, 1, 3, 3.
        let recovered = Recovered {
            term_runs: vec![(LogIndex(1), Term(1)), (LogIndex(3), Term(3))],
            last: EntryId::new(3, 4),
            ..Recovered::default()
        };
        let log = Log::new(&recovered, 0).expect("a sound log");
        let read = ReadEntries {
            request: ReadRequestId(1),
            first: LogIndex(2),
            last: LogIndex(3),
            bytes_max: 100,
        };
        let cases: [(&[(u64, u64)], usize); 6] = [
            (&[(1, 2), (3, 3)], 2),
            (&[(1, 2), (3, 3), (3, 4)], 2),
            (&[(1, 2), (1, 3)], 1),
            (&[(1, 1), (1, 2)], 0),
            (&[(2, 2)], 0),
            (&[], 0),
        ];
        for (came, believed) in cases {
            let entries = came
                .iter()
                .map(|&(term, index)| entry(term, index))
                .collect();
            let count = believable(&log, &read, entries).map_or(0, |entries| entries.len());
            assert_eq!(count, believed, "{came:?}");
        }
    }
}
