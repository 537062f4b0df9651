//! Where the log begins: behind `base`, the entry up to which a snapshot replaces it (paper,
//! section 7).
//!
//! The base moves in two ways. *Compaction* cuts entries that a durable snapshot of this node's own
//! makes superfluous. *Installation* takes over another node's snapshot: if the log holds the
//! snapshot's last entry, what is behind that stays; otherwise the whole log goes, because it ends
//! too early, or contradicts what is committed.
//!
//! The disk is told through [`Persist::base`](crate::Persist::base), and does the same by the same
//! rule: if its log holds the base, the tail stays; otherwise all of it goes. For that rule to come
//! to the same on both sides, `handed_out` and `truncate_from` say what the disk will hold.

use buggify::Canary;

use super::{Log, TermRun};
use crate::types::{EntryId, LogIndex};

impl Log {
    /// Drops the entries up to `cut`: a durable snapshot holds what they did. Only what is applied
    /// and durable may go; what the snapshot covers is the caller's to know.
    pub(crate) fn compact_to(&mut self, cut: LogIndex) {
        if cut <= self.base.index {
            return;
        }
        assert!(
            cut <= self.applied && cut <= self.durable,
            "cannot cut the log to {cut}: applied {}, durable {}",
            self.applied,
            self.durable
        );
        let base = self.id(cut).expect("what is applied is in the log");
        self.move_base(base);
    }

    /// Takes over a snapshot that ends with `last`, which is committed but not known to be so here.
    /// Returns whether the log holds it, so that the entries behind it stay.
    pub(crate) fn install(&mut self, last: EntryId, time_ms: u64) -> bool {
        let contradicts =
            last.index < self.last.index && buggify::canary(Canary::InstallKeepsConflictingLog);
        let holds_last = self.contains(last) || contradicts;
        if holds_last {
            self.last_time_ms = self.last_time_ms.max(time_ms);
            self.move_base(last);
        } else {
            self.reset(last, time_ms);
        }
        if self.handed_out < last.index || !holds_last {
            // The disk's log will be reset. It may hold `last` nevertheless, with a tail that was
            // dropped here: then the truncation under way drops that tail there, too.
            self.handed_out = last.index;
            self.truncate_from = self.truncate_from.map(|_| last.index.next());
        }
        self.commit = self.commit.max(last.index);
        self.applying = self.applying.max(last.index);
        self.applied = self.applied.max(last.index);
        holds_last
    }

    /// Empties the log: it begins behind `base`, and ends there.
    pub(super) fn reset(&mut self, base: EntryId, time_ms: u64) {
        self.runs.clear();
        self.cache.clear();
        self.cache_bytes = 0;
        self.last = base;
        self.last_time_ms = time_ms;
        // What was not known to be committed may have been anything.
        self.durable = self.durable.min(self.commit);
        self.base = base;
        self.base_unwritten = true;
    }

    /// The log begins behind `base`, which it holds.
    fn move_base(&mut self, base: EntryId) {
        let first = base.index.next();
        let begun = self.runs.partition_point(|run| run.first <= first);
        if base.index == self.last.index {
            self.runs.clear();
        } else if let Some(covering) = begun.checked_sub(1) {
            self.runs.drain(..covering);
            if let Some(TermRun { first: begin, .. }) = self.runs.first_mut() {
                *begin = first;
            }
        }
        while self
            .cache
            .front()
            .is_some_and(|entry| entry.id.index <= base.index)
        {
            if let Some(entry) = self.cache.pop_front() {
                self.cache_bytes -= entry.size_bytes();
            }
        }
        self.base = base;
        self.base_unwritten = true;
    }
}
