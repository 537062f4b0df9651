//! Two entries with the same index and term are the same entry, and the logs before them are equal (Log
//! Matching: paper, section 5.3 and figure 3). Checked as the proof does it: of each (index, term)
//! there is one content, and one term of the entry before it; the rest follows by induction.

use std::collections::BTreeMap;

use raft::{EntryId, LogIndex, NodeId, Term};
use wal::{Record, RecordKind};

use crate::judges::shadow::{NodeShadow, at};
use crate::judges::{Fact, Judge, Shadow, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct LogMatching {
    /// By index, the entry that was seen there first: mostly the only one.
    first: Vec<Known>,
    /// Those of other terms.
    others: BTreeMap<EntryId, Known>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    term: Term,
    hash: u64,
    /// The term of the entry before.
    previous: Term,
}

impl LogMatching {
    fn records(
        &mut self,
        node: NodeId,
        records: &[Record],
        shadow: &NodeShadow,
        is_old: bool,
    ) -> Result<(), Violation> {
        let entries = records
            .iter()
            .filter(|record| record.kind == RecordKind::Entry);
        for index in entries.map(|record| LogIndex(record.index)) {
            // Not there if a later record of the same write dropped it.
            if let Some(held) = shadow.held(index) {
                let previous = shadow.held(index.previous());
                let found = Known {
                    term: held.term,
                    hash: held.hash,
                    previous: previous.map_or(Term(0), |held| held.term),
                };
                self.entry(node, index, found, is_old)?;
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        node: NodeId,
        index: LogIndex,
        found: Known,
        is_old: bool,
    ) -> Result<(), Violation> {
        let Known { term, previous, .. } = found;
        if previous > term {
            return violation(self, || {
                format!("the log of {node} has term {term} at {index}, behind term {previous}")
            });
        }
        let known = match self.known(index, term) {
            Some(known) => known,
            None if is_old => {
                return violation(self, || {
                    format!(
                        "{node} found an entry at {index} of term {term} that nobody ever wrote"
                    )
                });
            }
            None => {
                self.learn(index, found);
                return Ok(());
            }
        };
        if known == found {
            return Ok(());
        }
        violation(self, || {
            format!("{node} has {found:?} at {index}, where another node had {known:?}")
        })
    }

    fn known(&self, index: LogIndex, term: Term) -> Option<Known> {
        let first = at(&self.first, index)?;
        if first.term == term {
            return Some(*first);
        }
        self.others.get(&EntryId { term, index }).copied()
    }

    fn learn(&mut self, index: LogIndex, found: Known) {
        if index.0 == self.first.len() as u64 + 1 {
            self.first.push(found);
        } else {
            let term = found.term;
            self.others.insert(EntryId { term, index }, found);
        }
    }
}

impl Judge for LogMatching {
    fn property(&self) -> &'static str {
        "log_matching"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match *fact {
            Fact::Handed { node, write } => {
                self.records(node, &write.records, shadow.node(node), false)
            }
            // Also of a damaged disk: what it holds may be old, but it is never made up.
            Fact::Started {
                node, recovered, ..
            } => self.records(node, recovered, shadow.node(node), true),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, entry, truncate, view};

    fn made_up() -> MadeUp<LogMatching> {
        let mut made_up = MadeUp::new(3, LogMatching::default());
        made_up.hand(1, 1, &[entry(1, 1, "a"), entry(1, 2, "b")]);
        made_up
    }

    #[test]
    fn equal_entries_and_those_of_other_terms_are_well() {
        let mut made_up = made_up();
        made_up.hand(2, 1, &[entry(1, 1, "a")]);
        made_up.hand(2, 2, &[entry(2, 2, "c")]);
        made_up.hand(1, 2, &[truncate(2), entry(2, 2, "c"), entry(2, 3, "d")]);
        made_up.restart(2, &[entry(1, 1, "a"), entry(2, 2, "c")], view(2, 2, 0));
        made_up.restart(3, &[entry(1, 1, "a"), entry(1, 2, "b")], view(2, 2, 0));
        made_up.is_well();
    }

    #[test]
    fn another_content_under_the_same_name_is_noticed() {
        let mut made_up = made_up();
        made_up.hand(2, 1, &[entry(1, 1, "a"), entry(1, 2, "x")]);
        made_up.fired("n2 has");
    }

    #[test]
    fn another_content_under_the_name_of_a_later_term_is_noticed() {
        let mut made_up = made_up();
        made_up.hand(2, 1, &[entry(1, 1, "a"), entry(2, 2, "c")]);
        made_up.hand(3, 1, &[entry(1, 1, "a"), entry(2, 2, "d")]);
        made_up.fired("n3 has");
    }

    #[test]
    fn another_entry_before_the_same_one_is_noticed() {
        let mut made_up = made_up();
        made_up.hand(1, 2, &[entry(3, 3, "c")]);
        made_up.hand(2, 1, &[entry(1, 1, "a"), entry(2, 2, "x")]);
        made_up.hand(2, 2, &[entry(3, 3, "c")]);
        made_up.fired("n2 has");
    }

    #[test]
    fn a_term_that_falls_along_a_log_is_noticed() {
        let mut made_up = made_up();
        made_up.hand(2, 1, &[entry(2, 1, "a"), entry(1, 2, "b")]);
        made_up.fired("behind term t2");
    }

    #[test]
    fn an_entry_that_nobody_wrote_is_noticed_on_a_damaged_disk_too() {
        let mut made_up = made_up();
        made_up.damage(2);
        made_up.restart(2, &[entry(1, 1, "a"), entry(5, 2, "b")], view(5, 2, 0));
        made_up.fired("that nobody ever wrote");
    }

    #[test]
    fn another_time_under_the_same_name_is_noticed() {
        let mut made_up = made_up();
        let mut later = entry(1, 1, "a");
        later.stamp += 1;
        made_up.hand(2, 1, &[later]);
        made_up.fired("n2 has");
    }
}
