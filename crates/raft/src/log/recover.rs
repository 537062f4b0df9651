//! The log as it is found on the disk, and made to meet the snapshot there.

use std::collections::VecDeque;

use super::{Log, TermRun};
use crate::config::{ConfigError, Recovered};
use crate::snapshot::SnapshotMeta;
use crate::types::{EntryId, Term};

impl Log {
    pub(crate) fn new(recovered: &Recovered, cache_bytes_max: usize) -> Result<Log, ConfigError> {
        let Recovered {
            hard_state,
            snapshot,
            base,
            term_runs,
            last,
            last_time_ms,
            applied,
            ..
        } = recovered;
        let bad_runs = ConfigError::TermRuns {
            base: *base,
            last: *last,
        };
        let mut previous = *base;
        let mut runs = Vec::with_capacity(term_runs.len());
        for (position, &(first, term)) in term_runs.iter().enumerate() {
            let in_order = if position == 0 {
                first == base.index.next() && term >= base.term && term > Term(0)
            } else {
                first > previous.index && term > previous.term
            };
            if !in_order || first > last.index {
                return Err(bad_runs);
            }
            previous = EntryId { term, index: first };
            runs.push(TermRun { first, term });
        }
        let last_term_fits = last.term == previous.term;
        if !last_term_fits || (runs.is_empty() && last != base) {
            return Err(bad_runs);
        }
        let commit = hard_state.commit.max(base.index);
        let no_snapshot = SnapshotMeta::default();
        let snapshot = snapshot.as_ref().unwrap_or(&no_snapshot);
        if snapshot.last.index < base.index {
            return Err(ConfigError::Gap {
                base: *base,
                snapshot: snapshot.last,
            });
        }
        if *applied > commit.max(snapshot.last.index) || commit > last.index {
            return Err(ConfigError::Positions {
                base: base.index,
                applied: *applied,
                commit,
                last: last.index,
            });
        }
        let mut log = Log {
            base: *base,
            base_unwritten: false,
            runs,
            last: *last,
            last_time_ms: *last_time_ms,
            cache: VecDeque::new(),
            cache_bytes: 0,
            cache_bytes_max,
            handed_out: last.index,
            durable: last.index,
            truncate_from: None,
            commit,
            applying: (*applied).max(base.index).min(commit),
            applied: (*applied).max(base.index).min(commit),
        };
        log.meet(snapshot)?;
        Ok(log)
    }

    /// The state is the snapshot's, at least. If the log does not hold the snapshot's last entry,
    /// a crash has interrupted its installation: it is finished.
    fn meet(&mut self, snapshot: &SnapshotMeta) -> Result<(), ConfigError> {
        let last = snapshot.last;
        if self.contains(last) || last.index <= self.base.index {
            if last == self.last {
                self.last_time_ms = self.last_time_ms.max(snapshot.time_ms);
            }
            self.commit = self.commit.max(last.index);
            self.applying = self.applying.max(last.index);
            self.applied = self.applied.max(last.index);
        } else if last.index <= self.commit {
            return Err(ConfigError::SnapshotConflict {
                snapshot: last,
                commit: self.commit,
            });
        } else {
            self.install(last, snapshot.time_ms);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::LogIndex;

    #[test]
    fn recovered_positions_must_make_sense() {
        let good = Recovered {
            term_runs: vec![(LogIndex(1), Term(1)), (LogIndex(4), Term(3))],
            last: EntryId::new(3, 6),
            ..Recovered::default()
        };
        assert!(Log::new(&good, 0).is_ok());
        let runs = |runs: &[(u64, u64)]| Recovered {
            term_runs: runs
                .iter()
                .map(|&(index, term)| (LogIndex(index), Term(term)))
                .collect(),
            ..good.clone()
        };
        for bad in [
            &[][..],
            &[(2, 3)],
            &[(1, 3), (4, 3)],
            &[(1, 1)],
            &[(1, 1), (7, 3)],
        ] {
            assert!(Log::new(&runs(bad), 0).is_err(), "{bad:?}");
        }
        let mut lost = good.clone();
        lost.hard_state.commit = LogIndex(7);
        assert!(matches!(
            Log::new(&lost, 0),
            Err(ConfigError::Positions { .. })
        ));
    }
}
