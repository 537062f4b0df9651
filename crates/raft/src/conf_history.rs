//! Which configuration is in force at which position of the log.
//!
//! A configuration is in force from the moment its entry is appended, committed or not (thesis,
//! section 4.1): a node always uses the latest one in its log. So configurations are part of the
//! log and share its fate. When entries are truncated, theirs are undone; when a snapshot replaces
//! the head of the log, the one in force there becomes the base; when it replaces all of it, what
//! was learned from the dropped entries goes with them (or a phantom voter stays: openraft issue
//! 1808).

use std::borrow::Cow;

use buggify::Canary;

use crate::config::{ConfigError, Recovered};
use crate::log::Log;
use crate::membership::ConfState;
use crate::types::{LogIndex, NodeId};

/// See the module.
///
/// Invariant: positions rise, and all are above that of the base.
#[derive(Clone, Debug, Hash)]
pub(crate) struct ConfHistory {
    /// In force at the base of the log: the snapshot's, or the one the group is born with.
    base: (LogIndex, ConfState),
    /// Those of the entries behind the base.
    later: Vec<(LogIndex, ConfState)>,
}

impl ConfHistory {
    /// From what the disk remembers: the snapshot's configuration, or `born` if there is none, and
    /// those of the log behind it, unless `log`, which meets the snapshot, was reset to do so.
    pub(crate) fn recover(
        born: &ConfState,
        recovered: &Recovered,
        log: &Log,
    ) -> Result<ConfHistory, ConfigError> {
        let (base_index, base) = match &recovered.snapshot {
            Some(snapshot) => (snapshot.last.index, &snapshot.conf),
            None => (log.base().index, born),
        };
        let found = recovered.confs.iter().cloned();
        let behind: Vec<_> = found
            .filter(|&(index, _)| index > base_index && !log.is_reset())
            .collect();
        ConfHistory::new(base.clone(), base_index, log.last().index, &behind)
    }

    /// From the configuration at the base of the log, and those found in the entries behind it.
    pub(crate) fn new(
        base: ConfState,
        base_index: LogIndex,
        last: LogIndex,
        found: &[(LogIndex, ConfState)],
    ) -> Result<ConfHistory, ConfigError> {
        let mut history = ConfHistory {
            base: (base_index, base),
            later: Vec::with_capacity(found.len()),
        };
        for (index, conf) in found {
            if *index <= history.latest_index() || *index > last {
                return Err(ConfigError::Configurations {
                    index: *index,
                    last,
                });
            }
            history.append(*index, conf.clone());
        }
        Ok(history)
    }

    /// The configuration in force: the latest in the log.
    pub(crate) fn latest(&self) -> &ConfState {
        self.later.last().map_or(&self.base.1, |(_, conf)| conf)
    }

    /// The configuration that a leader commits by. It counts itself only as its entry says: when it
    /// removes itself, the others commit that without it (thesis, section 4.2.2).
    pub(crate) fn counted_by(&self, leader: NodeId) -> Cow<'_, ConfState> {
        let mut conf = Cow::Borrowed(self.latest());
        if buggify::canary(Canary::RemovedLeaderCountsItself) {
            conf.to_mut().voters.insert(leader);
        }
        conf
    }

    /// The position of the entry that brought it; of the base if none did since.
    pub(crate) fn latest_index(&self) -> LogIndex {
        self.later.last().map_or(self.base.0, |&(index, _)| index)
    }

    /// The configuration in force at `index`, and the position that brought it.
    pub(crate) fn at(&self, index: LogIndex) -> (LogIndex, &ConfState) {
        let before = self.later.partition_point(|&(found, _)| found <= index);
        let found = before.checked_sub(1).and_then(|last| self.later.get(last));
        let (found, conf) = found.unwrap_or(&self.base);
        (*found, conf)
    }

    /// The configuration in force at `index`, and all that follow.
    pub(crate) fn since(&self, index: LogIndex) -> impl Iterator<Item = &ConfState> {
        let later = self.later.iter().filter(move |(found, _)| *found > index);
        std::iter::once(self.at(index).1).chain(later.map(|(_, conf)| conf))
    }

    /// The entry at `index` brings a configuration.
    pub(crate) fn append(&mut self, index: LogIndex, conf: ConfState) {
        assert!(
            index > self.latest_index(),
            "a configuration at {index} cannot follow one at {}",
            self.latest_index()
        );
        self.later.push((index, conf));
    }

    /// The entries from `index` on are dropped, and their configurations undone.
    pub(crate) fn truncate_from(&mut self, index: LogIndex) {
        self.later.retain(|&(found, _)| found < index);
    }

    /// The log begins behind `base` now.
    pub(crate) fn cut_to(&mut self, base: LogIndex) {
        let conf = self.at(base).1.clone();
        self.base = (base.max(self.base.0), conf);
        self.later.retain(|&(found, _)| found > base);
    }

    /// A snapshot replaces the log up to `base`, where `conf` is in force; what is behind it stays.
    pub(crate) fn replace_to(&mut self, base: LogIndex, conf: ConfState) {
        self.base = (base, conf);
        self.later.retain(|&(found, _)| found > base);
    }

    /// The log is empty behind `base`, where `conf` is in force.
    pub(crate) fn reset(&mut self, base: LogIndex, conf: ConfState) {
        *self = ConfHistory {
            base: (base, conf),
            later: Vec::new(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(voters: u64) -> ConfState {
        ConfState::of_voters((1..=voters).map(NodeId))
    }

    fn history() -> ConfHistory {
        let found = [(LogIndex(3), conf(2)), (LogIndex(5), conf(3))];
        ConfHistory::new(conf(1), LogIndex(0), LogIndex(9), &found).expect("in order")
    }

    #[test]
    fn the_latest_is_in_force_wherever_it_stands() {
        let history = history();
        assert_eq!(history.latest(), &conf(3));
        let at = |index| history.at(LogIndex(index)).0.0;
        assert_eq!([0, 2, 3, 4, 5, 9].map(at), [0, 0, 3, 3, 5, 5]);
        let since: Vec<_> = history.since(LogIndex(4)).cloned().collect();
        assert_eq!(since, [conf(2), conf(3)]);
    }

    #[test]
    fn truncation_undoes_exactly_what_it_drops() {
        for (cut, left) in [(6, 5), (5, 3), (4, 3), (3, 0), (1, 0)] {
            let mut history = history();
            history.truncate_from(LogIndex(cut));
            assert_eq!(history.latest_index(), LogIndex(left), "cut at {cut}");
        }
    }

    #[test]
    fn compaction_keeps_what_is_in_force_at_the_new_base() {
        for (base, at_base) in [(2, 1), (3, 2), (4, 2), (5, 3), (8, 3)] {
            let mut history = history();
            history.cut_to(LogIndex(base));
            assert_eq!(history.latest(), &conf(3));
            assert_eq!(
                history.at(LogIndex(base)).1,
                &conf(at_base),
                "cut to {base}"
            );
            history.truncate_from(LogIndex(base + 1));
            assert_eq!(
                history.latest(),
                &conf(at_base),
                "what is in the snapshot stays"
            );
        }
    }

    #[test]
    fn installation_forgets_what_the_dropped_entries_said() {
        let mut history = history();
        history.reset(LogIndex(20), conf(5));
        assert_eq!(
            (history.latest(), history.latest_index()),
            (&conf(5), LogIndex(20))
        );
    }

    #[test]
    fn recovered_configurations_are_in_order_and_inside_the_log() {
        let bad = [
            vec![(LogIndex(3), conf(2)), (LogIndex(3), conf(3))],
            vec![(LogIndex(2), conf(2))],
            vec![(LogIndex(10), conf(2))],
        ];
        for found in bad {
            let history = ConfHistory::new(conf(1), LogIndex(2), LogIndex(9), &found);
            assert!(history.is_err(), "{found:?}");
        }
    }
}
