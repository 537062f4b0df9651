//! Changes of members do not overlap: a leader begins one only when the configuration before it is
//! committed (thesis, section 4.1), and when an entry of its own term is, so that it knows of all that
//! others have begun (Ongaro's correction of 2015 to section 4.1: two leaders' changes could otherwise
//! have majorities that share nobody).

use raft::{LogIndex, NodeId, Role};

use crate::judges::{Fact, Judge, Shadow, View, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct OneAtATime {}

impl OneAtATime {
    fn begun(
        &self,
        node: NodeId,
        index: LogIndex,
        view: &View,
        shadow: &Shadow,
    ) -> Result<(), Violation> {
        let of = shadow.node(node);
        let earlier = of.confs.at(index.previous()).map(|(at, _)| at);
        if let Some(earlier) = earlier.filter(|at| *at > view.commit) {
            return violation(self, || {
                let commit = view.commit;
                format!(
                    "{node} has begun the change of members at {index} while that at {earlier} is under \
                     way; it knows that {commit} is committed"
                )
            });
        }
        let committed = of.held(view.commit).map(|held| held.term);
        if committed != Some(view.term) {
            return violation(self, || {
                let (term, commit) = (view.term, view.commit);
                format!(
                    "{node} has begun the change of members at {index} in term {term}; the last entry \
                     that it knows to be committed is {commit} of {committed:?}"
                )
            });
        }
        Ok(())
    }
}

impl Judge for OneAtATime {
    fn property(&self) -> &'static str {
        "one_change"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match *fact {
            Fact::Stepped { node, view, .. } if view.role == Role::Leader => {
                let of = shadow.node(node);
                let is_own = |index| of.held(index).is_some_and(|held| held.term == view.term);
                let begun = of.confs.iter().map(|(index, _)| index);
                for index in begun.filter(|index| *index > of.conf_before && is_own(*index)) {
                    self.begun(node, index, &view, shadow)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, conf, conf_entry, entry, leader};

    fn made_up() -> MadeUp<OneAtATime> {
        let mut made_up = MadeUp::with_room(3, 5, OneAtATime::default());
        made_up.hand(1, 1, &[entry(1, 1, "a")]);
        made_up.step(1, leader(1, 1, 1));
        made_up.hand(1, 2, &[conf_entry(1, 2, &conf(&[1, 2, 3], &[4]))]);
        made_up.step(1, leader(1, 2, 1));
        made_up
    }

    #[test]
    fn changes_one_after_the_other_are_well() {
        let mut made_up = made_up();
        made_up.hand(1, 3, &[conf_entry(1, 3, &conf(&[1, 2, 3, 4], &[]))]);
        made_up.step(1, leader(1, 3, 2));
        made_up.step(1, leader(1, 3, 2));
        made_up.is_well();
    }

    #[test]
    fn a_change_while_another_is_not_committed_is_noticed() {
        let mut made_up = made_up();
        made_up.hand(1, 3, &[conf_entry(1, 3, &conf(&[1, 2, 3, 4], &[]))]);
        made_up.step(1, leader(1, 3, 1));
        made_up.fired("begun the change of members at 3 while that at 2 is under way");
    }

    #[test]
    fn a_change_before_an_entry_of_the_own_term_is_committed_is_noticed() {
        let mut made_up = MadeUp::with_room(3, 5, OneAtATime::default());
        made_up.hand(2, 1, &[entry(1, 1, "a"), entry(2, 2, "")]);
        made_up.step(2, leader(2, 2, 1));
        made_up.hand(2, 2, &[conf_entry(2, 3, &conf(&[1, 2, 3], &[4]))]);
        made_up.step(2, leader(2, 3, 1));
        made_up.fired("in term t2");
    }
}
