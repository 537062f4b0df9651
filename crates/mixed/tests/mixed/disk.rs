//! A node's disk: what is durable, and the writes under way. A crash loses the latter, but for a
//! few at the front that may have been written without anybody's having been told.

use std::collections::VecDeque;

use raft::{Entry, EntryId, HardState, LogIndex, ReadEntries, Recovered, Term};

use crate::translate::Wire;

/// What survives a crash, in our words for both kinds of nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Durable {
    pub(crate) hard_state: HardState,
    pub(crate) entries: Vec<Entry>,
}

impl Durable {
    pub(crate) fn last(&self) -> EntryId {
        self.entries.last().map_or(EntryId::ZERO, |entry| entry.id)
    }

    pub(crate) fn contains(&self, id: EntryId) -> bool {
        entry_at(&self.entries, id.index).is_some_and(|entry| entry.id == id)
    }

    /// What a replica of ours is started with.
    pub(crate) fn recovered(&self) -> Recovered {
        let mut term_runs: Vec<(LogIndex, Term)> = Vec::new();
        for entry in &self.entries {
            let begins = term_runs
                .last()
                .is_none_or(|&(_, term)| term != entry.id.term);
            if begins {
                term_runs.push((entry.id.index, entry.id.term));
            }
        }
        Recovered {
            hard_state: self.hard_state,
            term_runs,
            last: self.last(),
            last_time_ms: self.entries.last().map_or(0, |entry| entry.time_ms),
            ..Recovered::default()
        }
    }

    /// Entries that have left a replica's memory.
    pub(crate) fn read(&self, read: &ReadEntries) -> Vec<Entry> {
        let mut bytes = 0_usize;
        let wanted = self
            .entries
            .iter()
            .filter(|entry| read.first <= entry.id.index && entry.id.index <= read.last);
        wanted
            .take_while(|entry| {
                let is_first = bytes == 0;
                bytes += entry.size_bytes();
                is_first || bytes <= read.bytes_max
            })
            .cloned()
            .collect()
    }
}

/// The entry at a position of a log that begins at 1.
pub(crate) fn entry_at(log: &[Entry], index: LogIndex) -> Option<&Entry> {
    log.get(usize::try_from(index.0.checked_sub(1)?).ok()?)
}

fn write_log(log: &mut Vec<Entry>, truncate_from: Option<LogIndex>, entries: &[Entry]) {
    if let Some(first_dropped) = truncate_from {
        log.truncate(usize::try_from(first_dropped.previous().0).unwrap_or(usize::MAX));
    }
    for entry in entries {
        assert_eq!(entry.id.index.0, log.len() as u64 + 1, "a gap on disk");
        log.push(entry.clone());
    }
}

/// A write, and what waits for it.
#[derive(Debug)]
pub(crate) struct Write {
    /// The name by which the node is told that it is durable.
    pub(crate) number: u64,
    pub(crate) hard_state: Option<HardState>,
    pub(crate) truncate_from: Option<LogIndex>,
    pub(crate) entries: Vec<Entry>,
    /// Whether it takes the disk any time.
    pub(crate) sync: bool,
    /// A crash leaves all of it or nothing.
    pub(crate) atomic: bool,
    /// Messages to send when it is durable.
    pub(crate) messages: Vec<Wire>,
}

impl Write {
    fn pieces(&self) -> usize {
        if self.atomic {
            return 1;
        }
        usize::from(self.hard_state.is_some())
            + usize::from(self.truncate_from.is_some())
            + self.entries.len()
    }

    /// Does the first `pieces` of it: the hard state, then the truncation, then the entries.
    fn apply(&self, durable: &mut Durable, pieces: usize) {
        let pieces = if self.atomic && pieces > 0 {
            usize::MAX
        } else {
            pieces
        };
        let mut left = pieces;
        let mut may_take = |wanted: bool| {
            let takes = wanted && left > 0;
            left -= usize::from(takes);
            takes
        };
        if may_take(self.hard_state.is_some()) {
            durable.hard_state = self.hard_state.unwrap_or_default();
        }
        if self.truncate_from.is_some() && !may_take(true) {
            return;
        }
        let count = self.entries.len().min(left);
        write_log(
            &mut durable.entries,
            self.truncate_from,
            self.entries.get(..count).unwrap_or_default(),
        );
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) durable: Durable,
    /// The log with all writes under way.
    pub(crate) log: Vec<Entry>,
    writes: VecDeque<Write>,
}

impl Disk {
    pub(crate) fn submit(&mut self, write: Write) {
        write_log(&mut self.log, write.truncate_from, &write.entries);
        self.writes.push_back(write);
    }

    /// The oldest write under way is durable.
    pub(crate) fn complete(&mut self) -> Option<Write> {
        let write = self.writes.pop_front()?;
        write.apply(&mut self.durable, usize::MAX);
        Some(write)
    }

    pub(crate) fn writes_under_way(&self) -> usize {
        self.writes.len()
    }

    /// The process dies, after `pieces` more pieces of its writes have reached the disk.
    pub(crate) fn crash(&mut self, pieces: usize) {
        let mut left = pieces;
        for write in std::mem::take(&mut self.writes) {
            write.apply(&mut self.durable, left);
            match left.checked_sub(write.pieces()) {
                Some(rest) => left = rest,
                None => break,
            }
        }
        self.log = self.durable.entries.clone();
    }
}
