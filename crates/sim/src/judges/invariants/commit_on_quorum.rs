//! What is committed is durable on a quorum (paper, sections 5.3 and 5.4.2), and a leader commits by
//! counting only entries of its own term (section 5.4.2, figure 8). Checked when an index is
//! committed by anybody for the first time: of the last such entry, and by Log Matching for all
//! before it. A node whose disk was damaged is counted: it may have given its word before, and the world
//! harms no more disks than a quorum can do without.

use raft::{LogIndex, NodeId, Role};

use crate::judges::{Fact, Judge, Shadow, View, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct CommitOnQuorum {
    /// The last committed entry that was checked.
    checked: LogIndex,
}

impl CommitOnQuorum {
    fn check(&mut self, node: NodeId, shadow: &Shadow) -> Result<(), Violation> {
        let last = shadow.ledger().last();
        if last == self.checked {
            return Ok(());
        }
        self.checked = last;
        let Some(mark) = shadow.ledger().entry(last).map(|entry| entry.held.mark()) else {
            return Ok(());
        };
        let nodes = shadow.nodes().count();
        let holders = shadow
            .nodes()
            .filter(|(_, holder)| holder.damaged || holder.holds_durably(last, mark));
        if holders.clone().count() > nodes / 2 {
            return Ok(());
        }
        violation(self, || {
            let holders: Vec<NodeId> = holders.map(|(holder, _)| holder).collect();
            let term = mark.term;
            format!("{node} commits {last} of term {term}, which is durable only on {holders:?}")
        })
    }

    fn leader(&self, node: NodeId, view: &View, shadow: &Shadow) -> Result<(), Violation> {
        let led = |before: &View| (before.role, before.term) == (Role::Leader, view.term);
        let before = shadow.node(node).before.filter(led);
        if view.role != Role::Leader || before.is_none_or(|before| before.commit == view.commit) {
            return Ok(());
        }
        match shadow.node(node).held(view.commit) {
            Some(held) if held.term != view.term => violation(self, || {
                let (index, of, term) = (view.commit, held.term, view.term);
                format!("{node}, leader in term {term}, commits {index} of term {of} by counting")
            }),
            _ => Ok(()),
        }
    }
}

impl Judge for CommitOnQuorum {
    fn property(&self) -> &'static str {
        "commit_on_quorum"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match *fact {
            Fact::Stepped { node, view, .. } => {
                self.check(node, shadow)?;
                self.leader(node, &view, shadow)
            }
            Fact::Started { node, .. } => self.check(node, shadow),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, entry, leader, view};

    fn made_up() -> MadeUp<CommitOnQuorum> {
        let mut made_up = MadeUp::new(3, CommitOnQuorum::default());
        for node in 1..=2 {
            made_up.hand(node, 1, &[entry(1, 1, "a"), entry(1, 2, "b")]);
        }
        made_up.persist(1, 1);
        made_up.step(1, leader(1, 2, 0));
        made_up
    }

    #[test]
    fn a_commit_that_a_quorum_holds_is_well() {
        let mut made_up = made_up();
        made_up.persist(2, 1);
        made_up.step(1, leader(1, 2, 2));
        made_up.step(2, view(1, 2, 2));
        made_up.is_well();
    }

    #[test]
    fn a_commit_that_only_one_disk_holds_is_noticed() {
        let mut made_up = made_up();
        made_up.step(1, leader(1, 2, 2));
        made_up.fired("n1 commits 2 of term t1, which is durable only on [NodeId(1)]");
    }

    #[test]
    fn another_entry_at_the_same_index_does_not_count() {
        let mut made_up = made_up();
        made_up.hand(3, 1, &[entry(1, 1, "a"), entry(2, 2, "x")]);
        made_up.persist(3, 1);
        made_up.step(1, leader(1, 2, 2));
        made_up.fired("durable only on [NodeId(1)]");
    }

    #[test]
    fn an_entry_of_an_earlier_term_that_is_committed_by_counting_is_noticed() {
        let mut made_up = made_up();
        made_up.persist(2, 1);
        made_up.step(1, leader(2, 2, 0));
        made_up.step(1, leader(2, 2, 1));
        made_up.fired("leader in term t2, commits 1 of term t1 by counting");
    }
}
