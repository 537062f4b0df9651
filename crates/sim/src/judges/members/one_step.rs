//! Each configuration is one step from the one before it in the log, so that their quorums overlap: one
//! voter more or less (thesis, section 4.1), or into a joint configuration whose old half is what there
//! was, or out of one to its new half (paper, section 6; thesis, section 4.3). A voter was a learner
//! before, and is one again before it goes: it must not vote before it has the log (thesis, section
//! 4.2.1), and goes on receiving it until the others can do without it (cockroachdb issue 42251).

use raft::{ConfState, NodeId};

use crate::judges::{Fact, Judge, Shadow, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct OneStep {}

/// What is wrong with one configuration after another, if anything is.
fn wrong(before: &ConfState, next: &ConfState) -> Option<&'static str> {
    let vanishes = |voter: &NodeId| !next.contains(*voter);
    let is_new = |voter: &&NodeId| !before.is_voter(**voter);
    if next.voters.is_empty() {
        return Some("it has no voters");
    }
    if before.voters.iter().any(vanishes) {
        return Some("a voter is gone that was not a learner first");
    }
    let mut new = next.voters.iter().filter(is_new);
    if new.any(|voter| !before.learners.contains(voter)) {
        return Some("a voter is new that was not a learner first");
    }
    match (before.is_joint(), next.is_joint()) {
        (true, true) => Some("both are joint"),
        (true, false) if next.voters != before.voters => Some("it is not the new half"),
        (false, true) if next.voters_outgoing != before.voters => {
            Some("its old half is not what there was")
        }
        (false, false) if before.voters.symmetric_difference(&next.voters).count() > 1 => {
            Some("more than one voter differs")
        }
        _ => None,
    }
}

impl Judge for OneStep {
    fn property(&self) -> &'static str {
        "one_step"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        let Fact::Stepped { node, .. } = *fact else {
            return Ok(());
        };
        let of = shadow.node(node);
        for (index, conf) in of.confs.iter().filter(|(index, _)| *index > of.conf_before) {
            let before = shadow.conf_before(node, index);
            if let Some(what) = wrong(before, conf) {
                return violation(self, || {
                    format!("{node} has {conf} at {index}, behind {before}: {what}")
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, conf, conf_entry, joint, leader};

    #[test]
    fn single_steps_are_well_and_others_are_not() {
        let three = conf(&[1, 2, 3], &[4]);
        let passage = joint(&[1, 2, 3], &[1, 2, 4]);
        let well = [
            (&three, conf(&[1, 2, 3, 4], &[])),
            (&three, conf(&[1, 2], &[3, 4])),
            (&three, conf(&[1, 2, 3], &[])),
            (&three, passage.clone()),
            (&passage, conf(&[1, 2, 4], &[3])),
        ];
        for (before, next) in well {
            assert_eq!(wrong(before, &next), None, "{before} then {next}");
        }
        let bad = [
            (&three, conf(&[], &[1, 2, 3])),
            (&three, conf(&[1, 2], &[4])),
            (&three, conf(&[1, 2, 3, 5], &[4])),
            (&three, conf(&[1, 2, 4], &[3])),
            (&three, joint(&[1, 2], &[1, 2, 3, 4])),
            (&passage, conf(&[1, 2, 3], &[4])),
            (&passage, joint(&[1, 2, 3], &[1, 2, 4])),
        ];
        for (before, next) in bad {
            assert!(wrong(before, &next).is_some(), "{before} then {next}");
        }
    }

    #[test]
    fn two_steps_at_once_are_noticed_in_a_log() {
        let mut made_up = MadeUp::with_room(3, 5, OneStep::default());
        made_up.hand(1, 1, &[conf_entry(1, 1, &conf(&[1, 2, 3], &[4]))]);
        made_up.step(1, leader(1, 1, 1));
        made_up.is_well();
        made_up.hand(1, 2, &[conf_entry(1, 2, &conf(&[1, 4], &[2, 3]))]);
        made_up.step(1, leader(1, 2, 1));
        made_up.fired("more than one voter differs");
    }
}
