//! What is committed in a term is in the log of every leader of a later term (Leader Completeness: paper,
//! section 5.4.3 and figure 3). Checked when a node becomes leader: of the last such entry, and by Log
//! Matching for all before it.

use raft::{LogIndex, NodeId, Role};

use crate::judges::shadow::Held;
use crate::judges::{Fact, Judge, Shadow, View, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct LeaderCompleteness {}

impl LeaderCompleteness {
    fn check(&self, node: NodeId, view: &View, shadow: &Shadow) -> Result<(), Violation> {
        // One that learns late that it has won leads in a term that others have left, and need not
        // have what was committed since.
        let entries = shadow.ledger().entries();
        let before = entries.partition_point(|entry| entry.in_term < view.term);
        let last = LogIndex(before as u64);
        let held = shadow.node(node).held(last).map(Held::mark);
        match shadow.ledger().entry(last) {
            Some(committed) if held != Some(committed.held.mark()) => violation(self, || {
                let (term, by, in_term) = (view.term, committed.by, committed.in_term);
                format!(
                    "{node} leads in term {term} and has {held:?} at {last}, where {by} committed {:?} \
                     in term {in_term}",
                    committed.held.mark()
                )
            }),
            _ => Ok(()),
        }
    }
}

impl Judge for LeaderCompleteness {
    fn property(&self) -> &'static str {
        "leader_completeness"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match *fact {
            Fact::Stepped { node, view, .. } if view.role == Role::Leader => {
                let led = |before: View| (before.role, before.term) == (Role::Leader, view.term);
                match shadow.node(node).before {
                    Some(before) if led(before) => Ok(()),
                    _ => self.check(node, &view, shadow),
                }
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, entry, leader};

    /// Entries 1 and 2 are committed in term 2.
    fn made_up() -> MadeUp<LeaderCompleteness> {
        let mut made_up = MadeUp::new(3, LeaderCompleteness::default());
        made_up.hand(1, 1, &[entry(1, 1, "a"), entry(2, 2, "b")]);
        made_up.step(1, leader(2, 2, 2));
        made_up
    }

    #[test]
    fn a_leader_that_has_all_and_one_of_an_earlier_term_are_well() {
        let mut made_up = made_up();
        made_up.hand(
            2,
            1,
            &[entry(1, 1, "a"), entry(2, 2, "b"), entry(3, 3, "c")],
        );
        made_up.step(2, leader(3, 3, 0));
        made_up.hand(3, 1, &[entry(1, 1, "a")]);
        made_up.step(3, leader(1, 1, 0));
        made_up.is_well();
    }

    #[test]
    fn a_leader_that_lacks_a_committed_entry_is_noticed() {
        let mut made_up = made_up();
        made_up.hand(2, 1, &[entry(1, 1, "a")]);
        made_up.step(2, leader(3, 1, 0));
        made_up.fired("n2 leads in term t3 and has None at 2");
    }

    #[test]
    fn a_leader_that_has_another_entry_in_its_place_is_noticed() {
        let mut made_up = made_up();
        made_up.hand(2, 1, &[entry(1, 1, "a"), entry(3, 2, "c")]);
        made_up.step(2, leader(3, 2, 0));
        made_up.fired("n2 leads in term t3");
    }
}
