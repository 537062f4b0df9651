//! A replica starts from what its disk holds and from nothing else: term, vote, log and commit index
//! follow from the records (paper, figure 2: "persistent state") and the newest snapshot; it follows
//! nobody, has applied what the snapshot contains, and its incarnation is a new one.
//!
//! If the log does not hold what the snapshot ends with, an installation was interrupted: the log is
//! begun behind the snapshot, and nothing counts as durable that was not committed.

use raft::{EntryId, NodeId, Role};

use crate::judges::{Fact, Judge, Shadow, View, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct Restart {}

impl Restart {
    fn check(&self, node: NodeId, view: &View, shadow: &Shadow) -> Result<(), Violation> {
        let shadow = shadow.node(node);
        let disk = &shadow.durable;
        let promise = disk.promise();
        let committed = promise.commit.max(disk.base.index);
        let snapshot = shadow.started_from.unwrap_or_default();
        let mut expected = View {
            role: Role::Follower,
            term: promise.term,
            vote: promise.vote,
            leader: None,
            commit: committed.max(snapshot.index),
            applied: snapshot.index,
            durable: disk.last().index,
            last: disk.last(),
        };
        if snapshot != EntryId::ZERO && !disk.holds(snapshot) {
            expected.last = snapshot;
            expected.durable = disk.last().index.min(committed);
            if snapshot.term > promise.term {
                (expected.term, expected.vote) = (snapshot.term, None);
            }
        }
        if *view != expected {
            return violation(self, || {
                format!("{node} starts as {view:?}; its disk says {expected:?}")
            });
        }
        let before = shadow.last_life.incarnation;
        // A disk that was put back to an old image has forgotten incarnations as well.
        if shadow.incarnation <= before && !shadow.damaged {
            return violation(self, || {
                let now = shadow.incarnation;
                format!("{node} starts as incarnation {now} after {before}")
            });
        }
        Ok(())
    }
}

impl Judge for Restart {
    fn property(&self) -> &'static str {
        "restart"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match *fact {
            Fact::Started { node, view, .. } => self.check(node, &view, shadow),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, entry, state, view};
    use raft::LogIndex;
    use wal::Record;

    fn records() -> Vec<Record> {
        vec![state(3, Some(2), 1), entry(1, 1, "a"), entry(3, 2, "b")]
    }

    fn expected() -> View {
        View {
            vote: Some(NodeId(2)),
            durable: LogIndex(2),
            ..view(3, 2, 1)
        }
    }

    fn restart(records: &[Record], view: View) -> MadeUp<Restart> {
        let mut made_up = MadeUp::new(1, Restart::default());
        made_up.restart(1, records, view);
        made_up
    }

    #[test]
    fn a_start_on_what_the_disk_holds_is_well() {
        restart(&records(), expected()).is_well();
        let mut later_term = records();
        later_term.push(entry(4, 3, "c"));
        let view = View {
            durable: LogIndex(3),
            ..view(4, 3, 1)
        };
        restart(&later_term, view).is_well();
    }

    #[test]
    fn whatever_else_a_replica_starts_from_is_noticed() {
        for change in [
            (|view| view.term.0 -= 1) as fn(&mut View),
            |view| view.vote = None,
            |view| view.commit.0 += 1,
            |view| view.applied.0 += 1,
            |view| view.last.index.0 -= 1,
            |view| view.role = Role::Leader,
        ] {
            let mut view = expected();
            change(&mut view);
            restart(&records(), view).fired("n1 starts as");
        }
    }

    #[test]
    fn an_incarnation_that_is_used_again_is_noticed() {
        let mut made_up = MadeUp::new(1, Restart::default());
        made_up.show(&Fact::Started {
            node: NodeId(1),
            incarnation: 1,
            recovered: &[],
            snapshot: None,
            view: view(0, 0, 0),
        });
        made_up.fired("n1 starts as incarnation 1 after 1");
    }
}
