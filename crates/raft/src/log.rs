//! The log as the algorithm sees it: the term of every entry, the recent entries themselves, and
//! how far it is durable, committed and applied.
//!
//! The log proper is on disk. In memory are
//!
//! - the *term runs*: the first index of each stretch of entries of one term. A log of a billion
//!   entries has as many runs as it has seen leaders, so the term of any entry is a binary search
//!   away and no consistency check ever waits for the disk;
//! - a *cache* of the newest entries, contiguous up to the last. An entry that is not durable is
//!   always in it, as it exists nowhere else. Durable ones are dropped from the front to keep the
//!   cache within its bound, and read back when a lagging follower, or application after a
//!   restart, needs them.
//!
//! Runs and cache change in the same calls, so that the cache cannot keep an entry the log has
//! dropped (the divergence of cockroach issues 36383 and 63302).

mod base;
mod check;
mod recover;

use std::collections::VecDeque;

use buggify::{Canary, Point};

use crate::types::{Entry, EntryId, LogIndex, Term};

/// A stretch of entries of one term: up to the next run, or the end of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct TermRun {
    first: LogIndex,
    term: Term,
}

/// See the module.
///
/// Invariant: `base <= applied <= applying <= commit <= last`, and `durable <= handed_out <= last`.
/// A commit index may be ahead of `durable`: a leader may commit what a majority of others holds.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Log {
    /// The entry up to which a snapshot replaces the log.
    base: EntryId,
    /// The disk has not been told of `base`.
    base_unwritten: bool,
    /// Invariant: indexes and terms rise; the first begins right behind `base`.
    runs: Vec<TermRun>,
    /// The last entry, or `base`.
    last: EntryId,
    /// The time of the last entry; or, while that is not cached, one not below it.
    last_time_ms: u64,
    /// The newest entries. Invariant: contiguous, and ends at `last` unless it is empty.
    cache: VecDeque<Entry>,
    /// The sum of the sizes in `cache`.
    cache_bytes: usize,
    /// The bound of `cache_bytes`, as far as the cached entries are durable.
    cache_bytes_max: usize,
    /// The last entry handed to the disk, durable or not.
    handed_out: LogIndex,
    /// The last entry that is durable here.
    durable: LogIndex,
    /// The disk holds, or has been handed, entries from here on that the log has dropped.
    truncate_from: Option<LogIndex>,
    /// The last entry known to be committed.
    commit: LogIndex,
    /// The last entry handed out for application.
    applying: LogIndex,
    /// The last entry that was applied.
    applied: LogIndex,
}

impl Log {
    /// Adds an entry at the end.
    pub(crate) fn append(&mut self, entry: Entry) {
        assert!(
            entry.id.index == self.last.index.next() && entry.id.term >= self.last.term,
            "entry {} cannot follow {}",
            entry.id,
            self.last
        );
        if self.runs.is_empty() || entry.id.term > self.last.term {
            self.runs.push(TermRun {
                first: entry.id.index,
                term: entry.id.term,
            });
        }
        self.last = entry.id;
        self.last_time_ms = entry.time_ms;
        self.cache_bytes += entry.size_bytes();
        self.cache.push_back(entry);
        self.evict();
    }

    /// Drops `index` and everything behind it.
    pub(crate) fn truncate_from(&mut self, index: LogIndex) {
        assert!(
            index > self.commit && index <= self.last.index,
            "cannot truncate from {index}: commit {}, last {}",
            self.commit,
            self.last
        );
        while self
            .cache
            .back()
            .is_some_and(|entry| entry.id.index >= index)
            && !buggify::canary(Canary::CacheKeepsDropped)
        {
            if let Some(entry) = self.cache.pop_back() {
                self.cache_bytes -= entry.size_bytes();
            }
        }
        if let Some(entry) = self.cache.back() {
            self.last_time_ms = entry.time_ms;
        }
        let kept = index.previous();
        let term = self
            .term(kept)
            .expect("the entry before a truncation is in the log");
        self.runs
            .truncate(self.runs.partition_point(|run| run.first < index));
        self.last = EntryId { term, index: kept };
        if index <= self.handed_out {
            let earlier = self.truncate_from.unwrap_or(index);
            self.truncate_from = Some(earlier.min(index));
            self.handed_out = kept;
        }
        self.durable = self.durable.min(kept);
    }

    /// The log is known to be committed up to here. Never goes back.
    pub(crate) fn commit_to(&mut self, index: LogIndex) {
        assert!(
            index <= self.last.index,
            "commit {index} is behind the last entry {}",
            self.last
        );
        self.commit = self.commit.max(index);
    }

    /// The log is durable up to here.
    pub(crate) fn durable_to(&mut self, index: LogIndex) {
        assert!(
            index <= self.handed_out,
            "durable {index} was never handed out, only {}",
            self.handed_out
        );
        self.durable = self.durable.max(index);
        self.evict();
    }

    /// The state machine has applied everything up to here.
    pub(crate) fn applied_to(&mut self, index: LogIndex) {
        assert!(
            index <= self.applying,
            "applied {index} was never handed out, only {}",
            self.applying
        );
        self.applied = self.applied.max(index);
    }

    /// Where to cut the disk's log and what to add to it, to make it equal to this one.
    pub(crate) fn take_unwritten(&mut self) -> (Option<LogIndex>, Vec<Entry>) {
        let entries = if self.handed_out < self.last.index {
            self.cached(self.handed_out.next(), self.last.index, usize::MAX)
                .expect("entries that are not durable are cached")
        } else {
            Vec::new()
        };
        self.handed_out = self.last.index;
        (self.truncate_from.take(), entries)
    }

    /// Where the disk's log is to begin, if that has changed.
    pub(crate) fn take_unwritten_base(&mut self) -> Option<EntryId> {
        std::mem::take(&mut self.base_unwritten).then_some(self.base)
    }

    /// Whether the log is nothing but a base that the disk has not been told of.
    pub(crate) fn is_reset(&self) -> bool {
        self.base_unwritten && self.base == self.last
    }

    /// Whether the disk lacks something of this log.
    pub(crate) fn has_unwritten(&self) -> bool {
        self.base_unwritten || self.truncate_from.is_some() || self.handed_out < self.last.index
    }

    /// The next committed entries to apply, if they are cached.
    pub(crate) fn take_committed(&mut self, bytes_max: usize) -> Option<Vec<Entry>> {
        let commit = match buggify::canary(Canary::AppliedBeforeCommit) {
            false => self.commit,
            true => self.last.index,
        };
        let entries = self.cached(self.applying.next(), commit, bytes_max)?;
        self.applying_to(entries.last()?.id.index);
        Some(entries)
    }

    /// Committed entries up to here have been handed out for application.
    pub(crate) fn applying_to(&mut self, index: LogIndex) {
        assert!(
            index <= self.commit,
            "{index} is handed out to be applied, but only {} is committed",
            self.commit
        );
        self.applying = self.applying.max(index);
    }

    /// Entries from the cache, from `first` up to `last` or `bytes_max` (but at least one).
    /// `None` if `first` is not cached.
    pub(crate) fn cached(
        &self,
        first: LogIndex,
        last: LogIndex,
        bytes_max: usize,
    ) -> Option<Vec<Entry>> {
        let offset = usize::try_from(first.0.checked_sub(self.cache_first()?.0)?).ok()?;
        let wanted = usize::try_from(last.0.checked_sub(first.0)?)
            .ok()?
            .saturating_add(1);
        let entries = self.cache.range(offset.min(self.cache.len())..);
        let mut bytes = 0_usize;
        let count = entries
            .clone()
            .take(wanted)
            .take_while(|entry| {
                let is_first = bytes == 0;
                bytes = bytes.saturating_add(entry.size_bytes());
                is_first || bytes <= bytes_max
            })
            .count();
        if count == 0 {
            return None;
        }
        Some(entries.take(count).cloned().collect())
    }

    /// The first cached entry.
    pub(crate) fn cache_first(&self) -> Option<LogIndex> {
        self.cache.front().map(|entry| entry.id.index)
    }

    /// Drops durable entries from the front until the cache is within its bound.
    fn evict(&mut self) {
        while self
            .cache
            .front()
            .is_some_and(|entry| entry.id.index <= self.durable)
            && (self.cache_bytes > self.cache_bytes_max || buggify::point(Point::CacheEvictedEarly))
        {
            if let Some(entry) = self.cache.pop_front() {
                self.cache_bytes -= entry.size_bytes();
            }
        }
    }

    /// The term of the entry at `index`; `None` outside `base..=last`.
    pub(crate) fn term(&self, index: LogIndex) -> Option<Term> {
        if index == self.last.index {
            return Some(self.last.term);
        }
        if index <= self.base.index || index > self.last.index {
            return (index == self.base.index).then_some(self.base.term);
        }
        let runs = self.runs.partition_point(|run| run.first <= index);
        self.runs.get(runs.checked_sub(1)?).map(|run| run.term)
    }

    /// The id of the entry at `index`; `None` outside `base..=last`.
    pub(crate) fn id(&self, index: LogIndex) -> Option<EntryId> {
        Some(EntryId {
            term: self.term(index)?,
            index,
        })
    }

    /// Whether the log holds this very entry.
    pub(crate) fn contains(&self, id: EntryId) -> bool {
        self.term(id.index) == Some(id.term)
    }

    /// The last entry at or below `index` whose term is at most `term`: all that can be equal in
    /// the log of someone who has `term` at `index`, because terms never fall along a log.
    pub(crate) fn last_at_most(&self, index: LogIndex, term: Term) -> EntryId {
        let runs = self.runs.partition_point(|run| run.term <= term);
        if runs == 0 {
            return self.base;
        }
        let end = self
            .runs
            .get(runs)
            .map_or(self.last.index, |run| run.first.previous());
        self.id(end.min(index).max(self.base.index))
            .unwrap_or(self.base)
    }

    pub(crate) fn base(&self) -> EntryId {
        self.base
    }

    pub(crate) fn last(&self) -> EntryId {
        self.last
    }

    pub(crate) fn last_time_ms(&self) -> u64 {
        self.last_time_ms
    }

    pub(crate) fn durable(&self) -> LogIndex {
        self.durable
    }

    pub(crate) fn commit(&self) -> LogIndex {
        self.commit
    }

    pub(crate) fn applying(&self) -> LogIndex {
        self.applying
    }

    pub(crate) fn applied(&self) -> LogIndex {
        self.applied
    }

    pub(crate) fn cache_bytes(&self) -> usize {
        self.cache_bytes
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::config::Recovered;
    use crate::types::EntryKind;

    fn entry(term: u64, index: u64) -> Entry {
        Entry {
            id: EntryId::new(term, index),
            kind: EntryKind::Batch,
            time_ms: index,
            payload: Bytes::from_static(b"0123456789"),
        }
    }

    fn log(terms: &[u64]) -> Log {
        let mut log = Log::new(&Recovered::default(), usize::MAX).expect("an empty log");
        for (index, &term) in (1..).zip(terms) {
            log.append(entry(term, index));
        }
        log.check_thoroughly();
        log
    }

    #[test]
    fn terms_are_those_of_a_plain_list() {
        let terms = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
        let log = log(&terms);
        assert_eq!(log.term(LogIndex(0)), Some(Term(0)));
        for (index, &term) in (1..).zip(&terms) {
            assert_eq!(log.term(LogIndex(index)), Some(Term(term)), "index {index}");
        }
        assert_eq!(log.term(LogIndex(11)), None);
    }

    #[test]
    fn last_at_most_is_that_of_a_plain_list() {
        let terms = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
        let log = log(&terms);
        for index in 0..13 {
            for term in 0..8 {
                let expected = (1..=index.min(10)).rev().find(|&at| terms[at - 1] <= term);
                let found = log.last_at_most(LogIndex(index as u64), Term(term));
                assert_eq!(
                    found.index.0,
                    expected.unwrap_or(0) as u64,
                    "{index} {term}"
                );
                assert!(log.contains(found));
            }
        }
    }

    #[test]
    fn truncation_is_handed_out_before_what_replaces_it() {
        let mut log = log(&[1, 1, 2]);
        assert_eq!(
            log.take_unwritten(),
            (None, vec![entry(1, 1), entry(1, 2), entry(2, 3)])
        );
        log.durable_to(LogIndex(3));
        log.truncate_from(LogIndex(2));
        assert_eq!(
            (log.last(), log.durable()),
            (EntryId::new(1, 1), LogIndex(1))
        );
        log.append(entry(3, 2));
        log.check_thoroughly();
        assert_eq!(log.take_unwritten(), (Some(LogIndex(2)), vec![entry(3, 2)]));
        assert_eq!(log.take_unwritten(), (None, vec![]));
    }

    #[test]
    fn time_goes_back_with_the_entries_that_are_dropped() {
        let mut log = log(&[1]);
        log.append(Entry {
            time_ms: 3_600_000,
            ..entry(1, 2)
        });
        log.truncate_from(LogIndex(2));
        assert_eq!(log.last_time_ms(), 1, "that of the last entry there is");
    }

    #[test]
    fn entries_the_disk_never_saw_are_dropped_without_a_trace() {
        let mut log = log(&[1, 1]);
        log.truncate_from(LogIndex(2));
        log.append(entry(2, 2));
        assert_eq!(log.take_unwritten(), (None, vec![entry(1, 1), entry(2, 2)]));
    }

    #[test]
    #[should_panic(expected = "cannot truncate from 1")]
    fn committed_entries_are_never_truncated() {
        let mut log = log(&[1, 1]);
        log.commit_to(LogIndex(1));
        log.truncate_from(LogIndex(1));
    }

    #[test]
    fn cache_is_bounded_by_bytes_and_never_drops_what_is_not_durable() {
        let size = entry(1, 1).size_bytes();
        let mut log = Log::new(&Recovered::default(), 2 * size).expect("an empty log");
        for index in 1..=5 {
            log.append(entry(1, index));
        }
        assert_eq!(log.cache_first(), Some(LogIndex(1)), "nothing is durable");
        log.take_unwritten();
        log.durable_to(LogIndex(2));
        assert_eq!(log.cache_first(), Some(LogIndex(3)));
        log.durable_to(LogIndex(5));
        assert_eq!(log.cache_first(), Some(LogIndex(4)));
        assert_eq!(log.cached(LogIndex(3), LogIndex(5), usize::MAX), None);
        assert_eq!(
            log.cached(LogIndex(4), LogIndex(5), 0)
                .map(|entries| entries.len()),
            Some(1),
            "the first entry always fits"
        );
        log.check_thoroughly();
    }
}
