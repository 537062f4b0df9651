//! Recovery drops no record whose sync has returned, and makes none up: what it finds is what the disk
//! had confirmed, and of what was handed over behind that, any number of records from the first on. And
//! it does not refuse what it should accept.

use crate::judges::{Fact, Judge, Shadow, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct WalRecovery {}

impl Judge for WalRecovery {
    fn property(&self) -> &'static str {
        "wal_recovery"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match *fact {
            Fact::Started { node, .. } => {
                let node_shadow = shadow.node(node);
                let life = &node_shadow.last_life;
                let found = &node_shadow.durable;
                if life.damaged || life.may_leave(found, shadow.ledger()) {
                    return Ok(());
                }
                violation(self, || {
                    let confirmed = &life.durable;
                    let parted = confirmed.log.iter().zip(&found.log);
                    let same = parted.take_while(|(ours, theirs)| ours == theirs).count();
                    format!(
                        "{node} found {:?} and a log to {}; confirmed were {:?} and a log to {}, of \
                         which {same} entries are the same, and {} records were under way",
                        found.state,
                        found.last(),
                        confirmed.state,
                        confirmed.last(),
                        life.records_under_way()
                    )
                })
            }
            Fact::Refused { node, reason } if !shadow.node(node).damaged => violation(self, || {
                format!("{node} refused to start on its own disk: {reason}")
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, entry, state, truncate, view};
    use raft::NodeId;

    /// Two entries are durable, and a third is on its way.
    fn made_up() -> MadeUp<WalRecovery> {
        let mut made_up = MadeUp::new(1, WalRecovery::default());
        made_up.hand(
            1,
            1,
            &[state(1, Some(1), 0), entry(1, 1, "a"), entry(1, 2, "b")],
        );
        made_up.persist(1, 1);
        made_up.hand(1, 2, &[entry(1, 3, "c"), entry(1, 4, "d")]);
        made_up
    }

    #[test]
    fn all_that_was_confirmed_and_some_of_the_rest_is_well() {
        let all = [
            state(1, Some(1), 0),
            entry(1, 1, "a"),
            entry(1, 2, "b"),
            entry(1, 3, "c"),
            entry(1, 4, "d"),
        ];
        for kept in 3..=5 {
            let mut made_up = made_up();
            made_up.restart(1, &all[..kept], view(1, kept as u64 - 1, 0));
            // What it found is confirmed from now on.
            made_up.restart(1, &all[..kept], view(1, kept as u64 - 1, 0));
            made_up.is_well();
        }
    }

    #[test]
    fn a_truncation_that_was_confirmed_stays() {
        let mut made_up = made_up();
        made_up.hand(1, 3, &[truncate(2), entry(2, 2, "x")]);
        made_up.persist(1, 3);
        let found = [state(1, Some(1), 0), entry(1, 1, "a"), entry(2, 2, "x")];
        made_up.restart(1, &found, view(2, 2, 0));
        made_up.is_well();
    }

    #[test]
    fn a_confirmed_record_that_is_lost_is_noticed() {
        let mut made_up = made_up();
        made_up.restart(1, &[state(1, Some(1), 0), entry(1, 1, "a")], view(1, 1, 0));
        made_up.fired("n1 found");
    }

    #[test]
    fn a_confirmed_vote_that_is_lost_is_noticed() {
        let mut made_up = made_up();
        let found = [state(1, None, 0), entry(1, 1, "a"), entry(1, 2, "b")];
        made_up.restart(1, &found, view(1, 2, 0));
        made_up.fired("n1 found");
    }

    #[test]
    fn a_record_that_was_never_written_is_noticed() {
        let mut made_up = made_up();
        let state = state(1, Some(1), 0);
        let found = [state, entry(1, 1, "a"), entry(1, 2, "b"), entry(1, 3, "x")];
        made_up.restart(1, &found, view(1, 3, 0));
        made_up.fired("n1 found");
    }

    #[test]
    fn a_refusal_is_noticed_unless_the_disk_is_damaged() {
        let refused = Fact::Refused {
            node: NodeId(1),
            reason: "a hole",
        };
        let mut made_up = made_up();
        made_up.damage(1);
        made_up.show(&refused);
        made_up.restart(1, &[], view(0, 0, 0));
        made_up.is_well();
        let mut made_up = self::made_up();
        made_up.show(&refused);
        made_up.fired("n1 refused to start on its own disk: a hole");
    }
}
