//! An id is given to one node, for ever: a member that was removed never belongs again. One that came
//! back under its old id with an empty disk would have forgotten what it promised (openraft issue 2002,
//! swarmkit issue 1815).

use std::collections::BTreeSet;

use raft::NodeId;

use crate::judges::{Fact, Judge, Shadow, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct IdsOnce {
    /// Committed configurations that were looked at.
    seen: usize,
    /// Members by the last of them.
    members: BTreeSet<NodeId>,
    /// Members of earlier ones that are none any more.
    gone: BTreeSet<NodeId>,
}

impl Judge for IdsOnce {
    fn property(&self) -> &'static str {
        "ids_once"
    }

    fn see(&mut self, _: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        let confs = shadow.ledger().confs();
        for (index, conf) in confs.iter().skip(self.seen) {
            let members = conf.members();
            if let Some(again) = members.intersection(&self.gone).next() {
                return violation(self, || {
                    format!(
                        "{again} was removed, and belongs again by the entry at {index}: {conf}"
                    )
                });
            }
            self.gone.extend(self.members.difference(&members));
            self.members = members;
        }
        self.seen = confs.count();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, conf, conf_entry, leader};

    fn run(confs: &[raft::ConfState]) -> MadeUp<IdsOnce> {
        let mut made_up = MadeUp::with_room(3, 5, IdsOnce::default());
        for (index, conf) in (1..).zip(confs) {
            made_up.hand(1, index, &[conf_entry(1, index, conf)]);
            made_up.step(1, leader(1, index, index));
        }
        made_up
    }

    #[test]
    fn coming_and_going_under_new_ids_is_well() {
        let one = conf(&[1, 2, 3], &[4]);
        run(&[one.clone(), conf(&[1, 2, 3], &[]), conf(&[1, 2, 3], &[5])]).is_well();
        run(&[one, conf(&[1, 2, 3, 4], &[]), conf(&[1, 2, 4], &[3])]).is_well();
    }

    #[test]
    fn an_id_that_comes_back_is_noticed() {
        let one = conf(&[1, 2, 3], &[4]);
        let again = run(&[one.clone(), conf(&[1, 2, 3], &[]), one]);
        again.fired("n4 was removed, and belongs again by the entry at 3");
    }
}
