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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::config::Recovered;
    use crate::types::{Entry, EntryKind, Term};

    const TERMS: [u64; 8] = [1, 1, 2, 2, 2, 4, 5, 5];

    fn entry(term: u64, index: u64) -> Entry {
        Entry {
            id: EntryId::new(term, index),
            kind: EntryKind::Batch,
            time_ms: index,
            payload: Bytes::new(),
        }
    }

    /// A log of `TERMS`, of which the disk was handed so much, and all of that is applied.
    fn log(handed_out: u64) -> Log {
        let mut log = Log::new(&Recovered::default(), usize::MAX).expect("an empty log");
        for (index, term) in (1..).zip(TERMS) {
            log.append(entry(term, index));
            if index == handed_out {
                log.take_unwritten();
                log.durable_to(LogIndex(index));
            }
        }
        log.commit_to(LogIndex(handed_out));
        log.applying_to(LogIndex(handed_out));
        log.applied_to(LogIndex(handed_out));
        log
    }

    #[test]
    fn wherever_it_is_cut_the_rest_is_as_it_was() {
        for cut in 0..=8 {
            let mut log = log(8);
            log.compact_to(LogIndex(cut));
            log.check_thoroughly();
            for (index, term) in (1..).zip(TERMS) {
                let expected = (index >= cut).then_some(Term(term));
                assert_eq!(log.term(LogIndex(index)), expected, "{index}, cut at {cut}");
            }
            let first = log.cache_first().map(|index| index.0);
            assert_eq!(first, (cut < 8).then_some(cut + 1), "the cache is cut, too");
            assert_eq!(log.take_unwritten_base().is_some(), cut > 0);
            log.append(entry(5, 9));
            log.append(entry(6, 10));
            log.check_thoroughly();
            assert_eq!(log.last(), EntryId::new(6, 10));
            log.truncate_from(LogIndex(9));
            log.check_thoroughly();
            assert_eq!(log.last(), EntryId::new(5, 8));
        }
    }

    #[test]
    fn where_logs_may_meet_is_never_below_the_base() {
        let mut log = log(8);
        log.compact_to(LogIndex(4));
        for (index, term, expected) in [(8, 4, 6), (8, 2, 5), (8, 1, 4), (2, 9, 4), (0, 0, 4)] {
            let found = log.last_at_most(LogIndex(index), Term(term));
            assert_eq!(found.index.0, expected, "{index} {term}");
        }
    }

    #[test]
    fn an_installation_keeps_the_tail_if_the_log_holds_the_last_entry() {
        for last in 3..=8 {
            let mut log = log(2);
            let id = log.id(LogIndex(last)).expect("in the log");
            assert!(log.install(id, 0));
            log.check_thoroughly();
            assert_eq!((log.base(), log.last()), (id, EntryId::new(5, 8)));
            assert_eq!(
                (log.commit(), log.applied()),
                (LogIndex(last), LogIndex(last))
            );
            let (_, entries) = log.take_unwritten();
            assert_eq!(entries.len() as u64, 8 - last, "the disk gets the tail");
        }
    }

    #[test]
    fn an_installation_drops_a_log_that_is_too_short_or_another() {
        for last in [EntryId::new(9, 5), EntryId::new(1, 8), EntryId::new(5, 9)] {
            let mut log = log(2);
            assert!(!log.install(last, 77));
            log.check_thoroughly();
            assert_eq!((log.base(), log.last()), (last, last));
            assert_eq!((log.durable(), log.last_time_ms()), (LogIndex(2), 77));
            assert_eq!(log.take_unwritten(), (None, vec![]));
            assert_eq!(log.take_unwritten_base(), Some(last));
            assert_eq!(log.take_unwritten_base(), None, "told once");
        }
    }

    #[test]
    fn the_disk_drops_what_was_dropped_here_before_it_was_told() {
        // The disk holds entries 1 to 8. Here, those from 4 on are gone, and the disk does not know.
        // It holds what the snapshot ends with, and would keep what is behind that.
        let mut log = log(2);
        log.take_unwritten();
        log.truncate_from(LogIndex(4));
        assert!(!log.install(EntryId::new(2, 5), 0));
        assert_eq!(log.take_unwritten_base(), Some(EntryId::new(2, 5)));
        assert_eq!(log.take_unwritten(), (Some(LogIndex(6)), vec![]));
    }
}
