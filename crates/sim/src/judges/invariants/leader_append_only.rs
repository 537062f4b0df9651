//! A leader never overwrites or drops entries of its own log (Leader Append-Only: paper, figure 3).

use std::collections::BTreeMap;

use raft::{LogIndex, NodeId, Role};

use crate::judges::{Fact, Judge, Shadow, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct LeaderAppendOnly {
    /// The lowest entry that each node has dropped in the step under way. Whether it led before and
    /// after the step shows at its end.
    dropped: BTreeMap<NodeId, LogIndex>,
}

impl Judge for LeaderAppendOnly {
    fn property(&self) -> &'static str {
        "leader_append_only"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match *fact {
            Fact::Handed { node, .. } => {
                if let Some((index, _)) = shadow.node(node).dropped {
                    self.dropped.entry(node).or_insert(index);
                }
                Ok(())
            }
            Fact::Stepped { node, view, .. } => {
                let dropped = if self.dropped.is_empty() {
                    None
                } else {
                    self.dropped.remove(&node)
                };
                let still_leads = |before: &crate::judges::View| {
                    (before.role, before.term) == (Role::Leader, view.term)
                        && view.role == Role::Leader
                };
                let Some(before) = shadow.node(node).before.filter(still_leads) else {
                    return Ok(());
                };
                let term = view.term;
                if let Some(index) = dropped {
                    return violation(self, || {
                        format!("{node}, leader in term {term}, dropped its log from {index} on")
                    });
                }
                if view.last < before.last {
                    return violation(self, || {
                        let (old, new) = (before.last, view.last);
                        format!(
                            "the log of {node}, leader in term {term}, shrank from {old} to {new}"
                        )
                    });
                }
                Ok(())
            }
            Fact::Ended { node } => {
                self.dropped.remove(&node);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, entry, leader, truncate, view};

    fn made_up() -> MadeUp<LeaderAppendOnly> {
        let mut made_up = MadeUp::new(3, LeaderAppendOnly::default());
        made_up.hand(1, 1, &[entry(1, 1, "a"), entry(1, 2, "b")]);
        made_up.step(1, leader(1, 2, 0));
        made_up
    }

    #[test]
    fn appending_as_a_leader_and_dropping_as_a_follower_are_well() {
        let mut made_up = made_up();
        made_up.hand(1, 2, &[entry(1, 3, "c")]);
        made_up.step(1, leader(1, 3, 0));
        made_up.hand(1, 3, &[truncate(2)]);
        made_up.step(1, view(2, 1, 0));
        made_up.step(1, leader(3, 1, 0));
        made_up.is_well();
    }

    #[test]
    fn a_leader_that_drops_entries_is_noticed() {
        let mut made_up = made_up();
        made_up.hand(1, 2, &[truncate(2), entry(1, 2, "c")]);
        made_up.step(1, leader(1, 2, 0));
        made_up.fired("n1, leader in term t1, dropped its log from 2 on");
    }

    #[test]
    fn a_leader_that_overwrites_entries_is_noticed() {
        let mut made_up = made_up();
        made_up.hand(1, 2, &[entry(1, 1, "c")]);
        made_up.step(1, leader(1, 2, 0));
        made_up.fired("dropped its log from 1 on");
    }

    #[test]
    fn a_leader_whose_log_shrinks_is_noticed() {
        let mut made_up = made_up();
        made_up.step(1, leader(1, 1, 0));
        made_up.fired("shrank");
    }
}
