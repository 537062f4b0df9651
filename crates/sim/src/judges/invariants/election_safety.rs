//! At most one leader per term (Election Safety: paper, figure 3).

use std::collections::BTreeMap;

use raft::{NodeId, Role, Term};
use replica::PeerMessage;

use crate::judges::{Fact, Judge, Shadow, Violation, violation};

/// See the module. Who leads is seen in what nodes say of themselves, and in messages that only a
/// leader may send.
#[derive(Debug, Default)]
pub struct ElectionSafety {
    leaders: BTreeMap<Term, NodeId>,
    /// The claim that was seen last: most are the same as the one before.
    last: Option<(Term, NodeId)>,
}

impl ElectionSafety {
    fn leads(&mut self, node: NodeId, term: Term) -> Result<(), Violation> {
        if self.last == Some((term, node)) {
            return Ok(());
        }
        let leader = *self.leaders.entry(term).or_insert(node);
        if leader != node {
            return violation(self, || format!("{leader} and {node} lead in term {term}"));
        }
        self.last = Some((term, node));
        Ok(())
    }
}

impl Judge for ElectionSafety {
    fn property(&self) -> &'static str {
        "election_safety"
    }

    fn see(&mut self, fact: &Fact<'_>, _: &Shadow) -> Result<(), Violation> {
        match *fact {
            Fact::Stepped { node, view, .. } if view.role == Role::Leader => {
                self.leads(node, view.term)
            }
            Fact::Sent {
                from,
                message: PeerMessage::Raft(message),
                ..
            } if message.is_from_leader() => self.leads(from, message.term()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, view};
    use raft::{Heartbeat, LogIndex, Round, Session};

    fn leader(term: u64) -> crate::judges::View {
        let mut view = view(term, 0, 0);
        view.role = Role::Leader;
        view
    }

    #[test]
    fn leaders_of_different_terms_are_well() {
        let mut made_up = MadeUp::new(3, ElectionSafety::default());
        made_up.step(1, leader(1));
        made_up.step(2, leader(2));
        made_up.step(1, leader(1));
        made_up.step(1, leader(3));
        made_up.is_well();
    }

    #[test]
    fn two_leaders_of_a_term_are_noticed() {
        let mut made_up = MadeUp::new(3, ElectionSafety::default());
        made_up.step(1, leader(1));
        made_up.step(2, leader(2));
        made_up.step(3, leader(1));
        made_up.fired("n1 and n3 lead in term t1");
    }

    #[test]
    fn whoever_speaks_as_a_leader_counts_as_one() {
        let mut made_up = MadeUp::new(3, ElectionSafety::default());
        made_up.step(1, leader(1));
        let heartbeat = Heartbeat {
            session: Session(0),
            term: Term(1),
            commit: LogIndex(0),
            round: Round(1),
        };
        made_up.send(2, 3, heartbeat);
        made_up.fired("n1 and n2 lead");
    }
}
