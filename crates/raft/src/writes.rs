//! What this node has asked its disk to write, and what of it is durable.
//!
//! The disk answers "write w, and all before it, is durable". To know what that means for the log,
//! each write remembers how far the log reached when it was handed out. If the log is truncated
//! meanwhile, the writes under way are cut back with it: their completion then says nothing about
//! the entries that have taken the place of the dropped ones. This is the ABA problem that etcd
//! solved with its `newStorageAppendRespMsg`; names that are never used twice make it go away.

use std::collections::VecDeque;

use buggify::Canary;

use crate::types::{HardState, LogIndex, NodeId, Term, WriteId};

/// A write under way.
#[derive(Clone, Debug, Hash)]
struct Write {
    id: WriteId,
    /// The log is durable up to here when the write is.
    log_end: LogIndex,
    /// Term and vote are durable as of then.
    promise: Promise,
}

/// What a node promises and must not forget: the term it is in, and its vote in that term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Promise {
    pub(crate) term: Term,
    pub(crate) vote: Option<NodeId>,
}

impl Promise {
    pub(crate) fn with_commit(self, commit: LogIndex) -> HardState {
        HardState {
            term: self.term,
            vote: self.vote,
            commit,
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Writes {
    /// Oldest first. Invariant: ids and log ends rise.
    under_way: VecDeque<Write>,
    last_id: WriteId,
    durable_promise: Promise,
    /// What the latest hard state handed out contained.
    written_promise: Promise,
    written_commit: LogIndex,
    /// Ticks since the disk last completed anything, while writes are under way.
    stalled_ticks: u32,
}

impl Writes {
    pub(crate) fn new(promise: Promise, commit: LogIndex) -> Writes {
        Writes {
            under_way: VecDeque::new(),
            last_id: WriteId(0),
            durable_promise: promise,
            written_promise: promise,
            written_commit: commit,
            stalled_ticks: 0,
        }
    }

    /// A write is handed out; the log reaches to `log_end` with it.
    pub(crate) fn start(&mut self, log_end: LogIndex) -> WriteId {
        self.last_id = WriteId(self.last_id.0 + 1);
        let promise = self.written_promise;
        self.under_way.push_back(Write {
            id: self.last_id,
            log_end,
            promise,
        });
        self.last_id
    }

    /// A hard state is handed out with the next write.
    pub(crate) fn write_hard_state(&mut self, promise: Promise, commit: LogIndex) {
        self.written_promise = promise;
        self.written_commit = commit;
    }

    /// A write, and all before it, is durable. Returns how far the log is durable with it; `None`
    /// if this was known already.
    pub(crate) fn complete(&mut self, id: WriteId) -> Option<LogIndex> {
        assert!(
            id <= self.last_id,
            "{id:?} is complete, but {:?} was the last",
            self.last_id
        );
        let mut log_end = None;
        while self.under_way.front().is_some_and(|write| write.id <= id) {
            if let Some(write) = self.under_way.pop_front() {
                log_end = Some(write.log_end);
                self.durable_promise = write.promise;
            }
        }
        if log_end.is_some() {
            self.stalled_ticks = 0;
        }
        log_end
    }

    /// The log was cut: writes under way do not make more than `kept` durable.
    pub(crate) fn truncated(&mut self, kept: LogIndex) {
        if buggify::canary(Canary::WriteOfDroppedEntriesCounts) {
            return;
        }
        for write in self
            .under_way
            .iter_mut()
            .rev()
            .take_while(|write| write.log_end > kept)
        {
            write.log_end = kept;
        }
    }

    /// Time goes on by one tick.
    pub(crate) fn tick(&mut self) {
        let ticks = if self.under_way.is_empty() {
            0
        } else {
            self.stalled_ticks.saturating_add(1)
        };
        self.stalled_ticks = ticks;
    }

    /// Renames the writes under way from 1 on, and forgets how long they have been so: what is left
    /// is all that decides what happens when they complete.
    pub(crate) fn rename(&mut self) {
        let count = self.under_way.len() as u64;
        for (id, write) in (1..).zip(&mut self.under_way) {
            write.id = WriteId(id);
        }
        self.last_id = WriteId(count);
        self.stalled_ticks = 0;
    }

    pub(crate) fn stalled_ticks(&self) -> u32 {
        self.stalled_ticks
    }

    pub(crate) fn durable_promise(&self) -> Promise {
        self.durable_promise
    }

    pub(crate) fn written_promise(&self) -> Promise {
        self.written_promise
    }

    pub(crate) fn written_commit(&self) -> LogIndex {
        self.written_commit
    }

    pub(crate) fn check(&self) {
        assert!(
            self.durable_promise.term <= self.written_promise.term,
            "{:?} is durable but only {:?} was written",
            self.durable_promise,
            self.written_promise
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completion_covers_all_writes_before_it_once() {
        let mut writes = Writes::new(Promise::default(), LogIndex(0));
        let [first, second, third] = [3, 5, 5].map(|end| writes.start(LogIndex(end)));
        assert_eq!(writes.complete(second), Some(LogIndex(5)));
        assert_eq!(writes.complete(first), None);
        assert_eq!(writes.complete(third), Some(LogIndex(5)));
    }

    #[test]
    fn completion_of_a_truncated_write_covers_only_what_was_kept() {
        let mut writes = Writes::new(Promise::default(), LogIndex(0));
        let old = writes.start(LogIndex(5));
        writes.truncated(LogIndex(2));
        let new = writes.start(LogIndex(5));
        assert_eq!(writes.complete(old), Some(LogIndex(2)));
        assert_eq!(writes.complete(new), Some(LogIndex(5)));
    }

    #[test]
    fn promise_is_durable_with_its_own_write() {
        let mut writes = Writes::new(Promise::default(), LogIndex(0));
        let before = writes.start(LogIndex(1));
        let promise = Promise {
            term: Term(2),
            vote: Some(NodeId(1)),
        };
        writes.write_hard_state(promise, LogIndex(0));
        let with = writes.start(LogIndex(1));
        writes.complete(before);
        assert_eq!(writes.durable_promise(), Promise::default());
        writes.complete(with);
        assert_eq!(writes.durable_promise(), promise);
    }
}
