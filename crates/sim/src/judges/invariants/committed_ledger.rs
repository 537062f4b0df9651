//! What is committed stays committed, and is the same on every node (State Machine Safety: paper, section
//! 5.4.3 and figure 3). The first node to commit an index fixes its entry; whoever commits the index
//! later must have that entry there. Applied entries are among the committed ones (`indexes`).

use raft::{LogIndex, NodeId};

use crate::judges::shadow::Held;
use crate::judges::{Fact, Judge, Shadow, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct CommittedLedger {}

impl CommittedLedger {
    fn check(
        &self,
        node: NodeId,
        from: LogIndex,
        to: LogIndex,
        shadow: &Shadow,
    ) -> Result<(), Violation> {
        for index in (from.0 + 1..=to.0).map(LogIndex) {
            let held = shadow.node(node).held(index).map(Held::mark);
            let committed = shadow.ledger().entry(index);
            if held.is_some() && held == committed.map(|entry| entry.held.mark()) {
                continue;
            }
            return violation(self, || {
                let committed = committed.map(|entry| (entry.by, entry.held.mark()));
                format!("{node} commits {held:?} at {index}; first committed was {committed:?}")
            });
        }
        Ok(())
    }
}

impl Judge for CommittedLedger {
    fn property(&self) -> &'static str {
        "committed_ledger"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match *fact {
            Fact::Stepped { node, view, .. } => {
                let before = shadow.node(node).before;
                let from = before.map_or(LogIndex(0), |before| before.commit);
                self.check(node, from, view.commit, shadow)
            }
            Fact::Started { node, view, .. } => self.check(node, LogIndex(0), view.commit, shadow),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, entry, state, view};

    fn made_up() -> MadeUp<CommittedLedger> {
        let mut made_up = MadeUp::new(3, CommittedLedger::default());
        made_up.hand(1, 1, &[entry(1, 1, "a"), entry(1, 2, "b")]);
        made_up.step(1, view(1, 2, 1));
        made_up
    }

    #[test]
    fn the_same_commits_everywhere_are_well() {
        let mut made_up = made_up();
        made_up.hand(2, 1, &[entry(1, 1, "a"), entry(2, 2, "c")]);
        made_up.step(2, view(2, 2, 2));
        made_up.restart(2, &[state(2, None, 1), entry(1, 1, "a")], view(2, 1, 1));
        made_up.step(2, view(2, 1, 1));
        made_up.is_well();
        let ledger = made_up.shadow.ledger();
        assert_eq!(ledger.last(), LogIndex(2));
        assert_eq!(
            ledger.entry(LogIndex(1)).map(|entry| entry.by),
            Some(NodeId(1))
        );
    }

    #[test]
    fn another_commit_at_the_same_index_is_noticed() {
        let mut made_up = made_up();
        made_up.hand(2, 1, &[entry(2, 1, "x")]);
        made_up.step(2, view(2, 1, 1));
        made_up.fired("n2 commits");
    }

    #[test]
    fn another_commit_found_at_a_restart_is_noticed() {
        let mut made_up = made_up();
        made_up.restart(2, &[state(2, None, 1), entry(2, 1, "x")], view(2, 1, 1));
        made_up.fired("n2 commits");
    }

    #[test]
    fn a_commit_of_what_is_not_in_the_log_is_noticed() {
        let mut made_up = made_up();
        made_up.step(3, view(1, 0, 1));
        made_up.fired("n3 commits None at 1");
    }
}
