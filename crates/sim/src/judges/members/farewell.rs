//! Nobody is sent away who belongs: a node stops because it was removed only if a committed entry has
//! removed it (thesis, section 4.2.2).

use crate::judges::{Fact, Judge, Shadow, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct Farewell {}

impl Judge for Farewell {
    fn property(&self) -> &'static str {
        "farewell"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        let Fact::Retired { node } = *fact else {
            return Ok(());
        };
        let (index, conf) = shadow.conf_committed();
        let mut earlier = shadow.ledger().confs().iter().map(|(_, conf)| conf);
        let was_member = earlier.any(|conf| conf.contains(node)) || shadow.is_first(node);
        if was_member && !conf.contains(node) {
            return Ok(());
        }
        violation(self, || {
            format!("{node} stops as one that was removed; committed, at {index}, is {conf}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, conf, conf_entry, leader};
    use raft::NodeId;

    fn retire(node: u64) -> MadeUp<Farewell> {
        let mut made_up = MadeUp::with_room(3, 5, Farewell::default());
        made_up.hand(1, 1, &[conf_entry(1, 1, &conf(&[1, 2], &[3]))]);
        made_up.hand(1, 2, &[conf_entry(1, 2, &conf(&[1, 2], &[]))]);
        made_up.step(1, leader(1, 2, 2));
        let node = NodeId(node);
        made_up.show(&Fact::Retired { node });
        made_up
    }

    #[test]
    fn one_that_was_removed_may_stop() {
        retire(3).is_well();
    }

    #[test]
    fn a_member_and_one_that_never_was_are_noticed() {
        retire(2).fired("n2 stops as one that was removed");
        retire(4).fired("n4 stops");
    }
}
