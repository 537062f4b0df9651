//! What a disk holds for certain, and what it was asked to write beyond that.

use std::collections::VecDeque;

use raft::{EntryId, HardState, LogIndex, WriteId};

use crate::judges::shadow::entry::{Mark, at};
use crate::judges::shadow::ledger::Ledger;

/// The log and the hard state on a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// From index 1 on: entries that a base stands for are there as they were committed.
    pub log: Vec<Mark>,
    /// Behind this entry the log begins, really; zero if it is whole.
    pub base: EntryId,
    /// The latest.
    pub state: HardState,
}

/// What a record does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Replaces the hard state.
    State(HardState),
    /// Drops this index and all behind it.
    Truncate(LogIndex),
    /// Adds an entry.
    Entry(LogIndex),
    /// The log begins behind this entry. If it does not hold it, it ends there as well.
    Base(EntryId),
}

/// Writes that were handed to a disk and that it has not confirmed, oldest first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    changes: VecDeque<(Change, Mark)>,
    writes: VecDeque<Queued>,
    /// Changes of the write that is being taken in.
    open: usize,
    /// The last write that was confirmed, synced or not.
    confirmed: WriteId,
}

#[derive(Debug)]
struct Queued {
    id: WriteId,
    changes: usize,
    /// The log stands on the disk up to here when this write is done: less than it wrote if the log
    /// was cut since.
    log_end: LogIndex,
    /// Whether a confirmation means that it was synced: nothing waits for what is not.
    sync: bool,
}

/// A disk at the moment when its node was started on it.
#[derive(Debug, Default)]
pub struct LastLife {
    /// The incarnation that wrote to it; 0 before the first start.
    pub incarnation: u64,
    /// Whether it was harmed: then what it should hold says nothing about what it does.
    pub damaged: bool,
    /// What it had confirmed to hold.
    pub durable: Disk,
    pub(super) queue: Queue,
}

impl Disk {
    /// The last entry.
    pub fn last(&self) -> EntryId {
        self.log.last().map_or(EntryId::ZERO, |mark| EntryId {
            term: mark.term,
            index: LogIndex(self.log.len() as u64),
        })
    }

    /// The hard state that a node takes from it: entries of a later term than that of the hard state
    /// show that the node was in that term, and that it had told nobody of a vote in it.
    pub fn promise(&self) -> HardState {
        let last = self.last();
        if last.term <= self.state.term {
            return self.state;
        }
        HardState {
            term: last.term,
            vote: None,
            commit: self.state.commit,
        }
    }

    fn apply(&mut self, change: Change, mark: Mark, ledger: &Ledger) {
        match change {
            Change::State(state) => self.state = state,
            Change::Truncate(index) => self.log.truncate(index.previous().0 as usize),
            Change::Entry(index) => {
                self.log.truncate(index.previous().0 as usize);
                self.log.push(mark);
            }
            Change::Base(base) => {
                if !self.holds(base) {
                    self.log.clear();
                    self.log.extend(ledger.marks(base.index));
                }
                self.base = base;
            }
        }
    }

    /// Whether an entry is in the log, or the base stands for it.
    pub fn holds(&self, id: EntryId) -> bool {
        at(&self.log, id.index).is_some_and(|mark| mark.term == id.term)
    }
}

impl Queue {
    pub(super) fn push(&mut self, change: Change, mark: Mark) {
        self.changes.push_back((change, mark));
        self.open += 1;
    }

    pub(super) fn end_write(&mut self, id: WriteId, sync: bool, log_end: LogIndex) {
        let changes = std::mem::take(&mut self.open);
        self.writes.push_back(Queued {
            id,
            changes,
            log_end,
            sync,
        });
    }

    pub(super) fn is_idle(&self) -> bool {
        self.writes
            .back()
            .is_none_or(|queued| queued.id <= self.confirmed)
    }

    /// The log was cut behind `kept`.
    pub(super) fn cut(&mut self, kept: LogIndex) {
        let writes = self.writes.iter_mut().rev();
        for queued in writes.take_while(|queued| queued.log_end > kept) {
            queued.log_end = kept;
        }
    }

    /// The disk confirms a write and all before it. What was not synced goes on waiting for a later
    /// sync, which covers it. Returns how far the log stands on the disk with it.
    pub(super) fn persisted(
        &mut self,
        write: WriteId,
        disk: &mut Disk,
        ledger: &Ledger,
    ) -> Option<LogIndex> {
        self.confirmed = self.confirmed.max(write);
        let confirmed = self.writes.iter().take_while(|queued| queued.id <= write);
        let synced = confirmed.enumerate().filter(|(_, queued)| queued.sync);
        let (last, queued) = synced.last()?;
        let log_end = queued.log_end;
        let done = self.writes.drain(..=last);
        let changes: usize = done.map(|queued| queued.changes).sum();
        for (change, mark) in self.changes.drain(..changes) {
            disk.apply(change, mark, ledger);
        }
        Some(log_end)
    }
}

impl LastLife {
    /// Records that were handed over and that the disk had not confirmed.
    pub fn records_under_way(&self) -> usize {
        self.queue.changes.len()
    }

    /// Whether a disk that went through this life may hold `found`: all that was confirmed, and of
    /// what was handed over behind that, any number of records from the first on.
    pub fn may_leave(&self, found: &Disk, ledger: &Ledger) -> bool {
        let mut disk = self.durable.clone();
        let agreement = |disk: &Disk| {
            let same = disk.log.iter().zip(&found.log);
            same.take_while(|(ours, theirs)| ours == theirs).count()
        };
        let mut agree = agreement(&disk);
        let is_found = |disk: &Disk, agree: usize| {
            agree == found.log.len()
                && disk.log.len() == agree
                && disk.state == found.state
                && disk.base == found.base
        };
        if is_found(&disk, agree) {
            return true;
        }
        self.queue.changes.iter().any(|&(change, mark)| {
            disk.apply(change, mark, ledger);
            let length = disk.log.len();
            match change {
                Change::State(_) => {}
                Change::Truncate(_) => agree = agree.min(length),
                Change::Base(_) => agree = agreement(&disk),
                Change::Entry(_) => {
                    agree = agree.min(length - 1);
                    if agree == length - 1 && found.log.get(agree) == Some(&mark) {
                        agree = length;
                    }
                }
            }
            is_found(&disk, agree)
        })
    }
}

#[cfg(test)]
mod tests {
    use raft::Term;

    use super::*;

    fn mark(term: u64, hash: u64) -> Mark {
        Mark {
            term: Term(term),
            hash,
        }
    }

    fn disk(marks: &[(u64, u64)], term: u64) -> Disk {
        Disk {
            log: marks.iter().map(|&(term, hash)| mark(term, hash)).collect(),
            state: HardState {
                term: Term(term),
                ..HardState::default()
            },
            base: EntryId::ZERO,
        }
    }

    /// Entries 1 and 2 are durable; then entry 2 is replaced, in a new term.
    fn life() -> LastLife {
        let mut queue = Queue::default();
        queue.push(Change::State(disk(&[], 2).state), Mark::default());
        queue.push(Change::Truncate(LogIndex(2)), Mark::default());
        queue.push(Change::Entry(LogIndex(2)), mark(2, 22));
        queue.end_write(WriteId(7), true, LogIndex(2));
        LastLife {
            durable: disk(&[(1, 10), (1, 11)], 1),
            queue,
            ..LastLife::default()
        }
    }

    #[test]
    fn a_crash_keeps_all_that_was_confirmed_and_the_first_of_the_rest() {
        for kept in [
            disk(&[(1, 10), (1, 11)], 1),
            disk(&[(1, 10), (1, 11)], 2),
            disk(&[(1, 10)], 2),
            disk(&[(1, 10), (2, 22)], 2),
        ] {
            assert!(life().may_leave(&kept, &Ledger::default()), "{kept:?}");
        }
        for wrong in [
            disk(&[], 1),
            disk(&[(1, 10)], 1),
            disk(&[(1, 10), (1, 12)], 1),
            disk(&[(1, 10), (2, 22)], 1),
            disk(&[(1, 10), (2, 22), (2, 23)], 2),
        ] {
            assert!(!life().may_leave(&wrong, &Ledger::default()), "{wrong:?}");
        }
    }

    #[test]
    fn a_confirmation_without_a_sync_confirms_nothing_until_one_comes() {
        let mut queue = Queue::default();
        let mut found = Disk::default();
        for (id, term, sync) in [(1, 1, true), (2, 2, false), (3, 3, true)] {
            queue.push(Change::State(disk(&[], term).state), Mark::default());
            queue.end_write(WriteId(id), sync, LogIndex(0));
        }
        queue.persisted(WriteId(2), &mut found, &Ledger::default());
        assert_eq!(found.state.term, Term(1));
        queue.persisted(WriteId(3), &mut found, &Ledger::default());
        assert_eq!((found.state.term, queue.changes.len()), (Term(3), 0));
    }

    #[test]
    fn entries_of_a_later_term_than_the_hard_state_are_a_promise_without_a_vote() {
        let mut found = disk(&[(1, 10), (4, 11)], 3);
        found.state.vote = Some(raft::NodeId(2));
        assert_eq!(
            (found.promise().term, found.promise().vote),
            (Term(4), None)
        );
        found.state.term = Term(4);
        assert_eq!(found.promise(), found.state);
    }
}
