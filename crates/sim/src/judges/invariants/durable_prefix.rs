//! Nobody truncates its log at or below its commit index, nor drops an entry that is committed without
//! its knowing so yet (paper, section 5.3: only conflicting entries are deleted, and a committed entry
//! never conflicts; akka-entity-replication issue 151).

use crate::judges::{Fact, Judge, Shadow, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct DurablePrefix {}

impl Judge for DurablePrefix {
    fn property(&self) -> &'static str {
        "durable_prefix"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        let Fact::Handed { node, .. } = *fact else {
            return Ok(());
        };
        let Some((index, mark)) = shadow.node(node).dropped else {
            return Ok(());
        };
        if let Some(view) = shadow.node(node).view
            && index <= view.commit
        {
            return violation(self, || {
                format!(
                    "{node} drops its log from {index} on, but knows {} committed",
                    view.commit
                )
            });
        }
        match shadow.ledger().entry(index) {
            Some(committed) if committed.held.mark() == mark => violation(self, || {
                let (by, term) = (committed.by, mark.term);
                format!("{node} drops {index} of term {term}, which {by} has committed")
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, entry, truncate, view};

    /// Node 1 knows that entry 2 is committed, node 2 that entry 1 is.
    fn made_up() -> MadeUp<DurablePrefix> {
        let mut made_up = MadeUp::new(3, DurablePrefix::default());
        for node in 1..=2 {
            made_up.hand(
                node,
                1,
                &[entry(1, 1, "a"), entry(1, 2, "b"), entry(1, 3, "c")],
            );
            made_up.step(node, view(1, 3, 3 - node));
        }
        made_up
    }

    #[test]
    fn dropping_what_is_not_committed_is_well() {
        let mut made_up = made_up();
        made_up.hand(1, 2, &[truncate(3), entry(2, 3, "d")]);
        made_up.hand(3, 1, &[entry(1, 1, "a"), entry(3, 2, "x")]);
        made_up.hand(3, 2, &[truncate(2), entry(1, 2, "b")]);
        made_up.is_well();
    }

    #[test]
    fn dropping_what_is_known_to_be_committed_is_noticed() {
        let mut made_up = made_up();
        made_up.hand(1, 2, &[truncate(2)]);
        made_up.fired("n1 drops its log from 2 on, but knows 2 committed");
    }

    #[test]
    fn dropping_what_only_others_know_to_be_committed_is_noticed() {
        let mut made_up = made_up();
        made_up.hand(2, 2, &[truncate(2), entry(2, 2, "x")]);
        made_up.fired("n2 drops 2 of term t1, which n1 has committed");
    }
}
