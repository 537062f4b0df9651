//! A snapshot meets the log, whatever happens: it stands for committed entries that its node has
//! applied; no log begins behind what a durable snapshot does not contain; a start uses the newest one
//! that was durable; and none is removed before a newer one is durable (paper, section 7; hashicorp raft
//! issue 43, openraft pull requests 559 and 561).

use std::collections::{BTreeMap, BTreeSet};

use raft::{EntryId, LogIndex, NodeId};
use wal::RecordKind;

use crate::judges::{Fact, Judge, Shadow, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct Snapshots {
    /// By node, the last snapshot that this run of it has taken.
    taken: BTreeMap<NodeId, LogIndex>,
    /// The nodes whose last snapshot turned out to be damaged or gone, and that have taken none since.
    lost: BTreeSet<NodeId>,
}

impl Snapshots {
    fn durable(
        &mut self,
        node: NodeId,
        last: EntryId,
        is_received: bool,
        shadow: &Shadow,
    ) -> Result<(), Violation> {
        if !shadow.ledger().contains(last) {
            return violation(self, || {
                format!("{node} has a snapshot to {last}, which nobody has committed")
            });
        }
        if is_received {
            return Ok(());
        }
        let applied = shadow.node(node).view.map(|view| view.applied);
        if applied.is_none_or(|applied| applied < last.index) {
            return violation(self, || {
                format!("{node} took a snapshot to {last}, and has applied {applied:?}")
            });
        }
        let before = self.taken.insert(node, last.index);
        // One that turned out to be damaged is written once more, be there a newer position or not.
        let is_again = self.lost.remove(&node) && before == Some(last.index);
        if before.is_some_and(|before| before >= last.index) && !is_again {
            return violation(self, || {
                format!("{node} took a snapshot to {last}, after one to {before:?}")
            });
        }
        Ok(())
    }

    /// A log is to begin behind this entry.
    fn base(&self, node: NodeId, base: LogIndex, shadow: &Shadow) -> Result<(), Violation> {
        let newest = newest(node, shadow);
        if newest >= base {
            return Ok(());
        }
        violation(self, || {
            format!(
                "{node} begins its log behind {base}; its newest durable snapshot ends at {newest}"
            )
        })
    }

    fn started(&self, node: NodeId, from: LogIndex, shadow: &Shadow) -> Result<(), Violation> {
        let newest = newest(node, shadow);
        let base = shadow.node(node).durable.base.index;
        if from >= newest && from >= base {
            return Ok(());
        }
        violation(self, || {
            format!(
                "{node} starts from a snapshot to {from}; it has one to {newest}, and a log from behind \
                 {base} on"
            )
        })
    }
}

fn newest(node: NodeId, shadow: &Shadow) -> LogIndex {
    let snapshots = &shadow.node(node).snapshots;
    snapshots.last().map_or(LogIndex(0), |last| last.index)
}

impl Judge for Snapshots {
    fn property(&self) -> &'static str {
        "snapshots"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match *fact {
            Fact::SnapshotDurable {
                node,
                last,
                is_received,
            } => self.durable(node, last, is_received, shadow),
            Fact::Handed { node, write } if !shadow.node(node).damaged => {
                let bases = write.records.iter();
                let bases = bases.filter(|record| record.kind == RecordKind::Base);
                match bases.last() {
                    Some(record) => self.base(node, LogIndex(record.index), shadow),
                    None => Ok(()),
                }
            }
            Fact::SnapshotsRemoved { node, below } if !shadow.node(node).damaged => {
                self.base(node, below, shadow)
            }
            Fact::SnapshotLost { node } => {
                self.lost.insert(node);
                Ok(())
            }
            Fact::Started { node, snapshot, .. } => {
                self.taken.remove(&node);
                self.lost.remove(&node);
                match shadow.node(node).damaged {
                    true => Ok(()),
                    false => self.started(node, snapshot.unwrap_or_default().index, shadow),
                }
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::View;
    use crate::judges::made_up::{MadeUp, base, entry, state, view};

    fn applied(index: u64) -> View {
        View {
            applied: LogIndex(index),
            ..view(1, 3, index)
        }
    }

    fn id(index: u64) -> EntryId {
        EntryId::new(1, index)
    }

    /// Three entries on a node, two of them applied.
    fn made_up() -> MadeUp<Snapshots> {
        let mut made_up = MadeUp::new(2, Snapshots::default());
        made_up.hand(
            1,
            1,
            &[entry(1, 1, "a"), entry(1, 2, "b"), entry(1, 3, "c")],
        );
        made_up.persist(1, 1);
        made_up.step(1, applied(2));
        made_up
    }

    fn remove(made_up: &mut MadeUp<Snapshots>, below: u64) {
        made_up.show(&Fact::SnapshotsRemoved {
            node: NodeId(1),
            below: LogIndex(below),
        });
    }

    fn start(made_up: &mut MadeUp<Snapshots>, from: Option<u64>) {
        let records = [base(1, 1), state(1, None, 1), entry(1, 2, "b")];
        made_up.show(&Fact::Started {
            node: NodeId(1),
            incarnation: 2,
            recovered: &records,
            snapshot: from.map(id),
            view: applied(2),
        });
    }

    #[test]
    fn snapshots_that_the_log_is_cut_behind_are_well() {
        let mut made_up = made_up();
        made_up.snapshot(1, id(1));
        made_up.hand(1, 2, &[base(1, 1)]);
        made_up.persist(1, 2);
        made_up.snapshot(1, id(2));
        remove(&mut made_up, 2);
        start(&mut made_up, Some(2));
        made_up.snapshot(1, id(2));
        made_up.is_well();
        assert_eq!(made_up.shadow.node(NodeId(1)).base, id(1));
    }

    #[test]
    fn a_log_that_is_cut_before_its_snapshot_is_durable_is_noticed() {
        let mut made_up = made_up();
        made_up.snapshot(1, id(1));
        made_up.hand(1, 2, &[base(1, 2)]);
        made_up.fired("n1 begins its log behind 2; its newest durable snapshot ends at 1");
    }

    #[test]
    fn a_snapshot_of_what_was_not_applied_is_noticed() {
        let mut made_up = made_up();
        made_up.snapshot(1, id(3));
        made_up.fired("nobody has committed");
        let mut made_up = self::made_up();
        made_up.snapshot(2, id(2));
        made_up.fired("n2 took a snapshot to 2@t1, and has applied");
    }

    #[test]
    fn a_snapshot_that_is_not_newer_is_noticed() {
        let mut made_up = made_up();
        made_up.snapshot(1, id(2));
        made_up.snapshot(1, id(1));
        made_up.fired("n1 took a snapshot to 1@t1, after one to");
    }

    #[test]
    fn a_snapshot_is_taken_again_only_where_the_last_one_was_lost() {
        let mut made_up = made_up();
        made_up.snapshot(1, id(2));
        made_up.show(&Fact::SnapshotLost { node: NodeId(1) });
        made_up.snapshot(1, id(2));
        made_up.is_well();
        made_up.snapshot(1, id(2));
        made_up.fired("n1 took a snapshot to 2@t1, after one to");
    }

    #[test]
    fn removing_the_only_snapshot_is_noticed() {
        let mut made_up = made_up();
        made_up.snapshot(1, id(1));
        remove(&mut made_up, 2);
        made_up.fired("n1 begins its log behind 2");
    }

    #[test]
    fn a_start_from_an_older_snapshot_or_from_none_is_noticed() {
        for from in [Some(1), None] {
            let mut made_up = made_up();
            made_up.snapshot(1, id(1));
            made_up.snapshot(1, id(2));
            start(&mut made_up, from);
            made_up.fired("n1 starts from a snapshot to");
        }
    }
}
