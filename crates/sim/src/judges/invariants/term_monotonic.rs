//! A node's term never falls, whatever crashes lie between: not below what it has told others, and not
//! below what its disk had confirmed (paper, section 5.1 and figure 2).

use raft::{Message, NodeId, Term};
use replica::PeerMessage;

use crate::judges::{Fact, Judge, Shadow, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct TermMonotonic {
    /// The highest term that each node has claimed to be in, by node from the first on.
    claimed: Vec<Term>,
}

/// The term that a message says its sender is in. A pre-vote speaks of the term after the sender's; a
/// granted one speaks of the candidate's.
pub(super) fn claimed_term(message: &Message) -> Option<Term> {
    match message {
        Message::RequestPreVote(request) => Some(Term(request.term.0.saturating_sub(1))),
        Message::RequestPreVoteResponse(response) if response.granted => None,
        other => Some(other.term()),
    }
}

fn place(node: NodeId) -> usize {
    node.0 as usize - 1
}

impl TermMonotonic {
    fn check(&self, node: NodeId, term: Term, before: Option<Term>) -> Result<(), Violation> {
        let claimed = self.claimed[place(node)];
        let highest = before.map_or(claimed, |before| claimed.max(before));
        if term >= highest {
            return Ok(());
        }
        violation(self, || {
            format!("{node} is in term {term}, after term {highest}")
        })
    }
}

impl Judge for TermMonotonic {
    fn property(&self) -> &'static str {
        "term_monotonic"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match *fact {
            Fact::Begin { nodes, .. } => {
                self.claimed = vec![Term(0); nodes];
                Ok(())
            }
            Fact::Sent {
                from,
                message: PeerMessage::Raft(message),
                ..
            } => {
                // One that waited for the disk may be of a term that was left meanwhile.
                if let Some(term) = claimed_term(message) {
                    let claimed = &mut self.claimed[place(from)];
                    *claimed = term.max(*claimed);
                }
                Ok(())
            }
            Fact::Stepped { node, view, .. } => {
                let before = shadow.node(node).before;
                self.check(node, view.term, before.map(|before| before.term))
            }
            // What it was in without having told anybody, or the disk's having confirmed it, may be
            // lost.
            Fact::Started { node, view, .. } => {
                let life = &shadow.node(node).last_life;
                if life.damaged {
                    self.claimed[place(node)] = Term(0);
                    return Ok(());
                }
                let confirmed = life.durable.promise().term;
                self.check(node, view.term, Some(confirmed))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, state, view};
    use raft::{EntryId, HeartbeatResponse, RequestPreVote, Round, Session};

    fn claim(term: u64) -> HeartbeatResponse {
        HeartbeatResponse {
            session: Session(0),
            term: Term(term),
            round: Round(1),
        }
    }

    #[test]
    fn terms_that_rise_and_unspoken_ones_that_are_lost_are_well() {
        let mut made_up = MadeUp::new(3, TermMonotonic::default());
        made_up.step(1, view(1, 0, 0));
        made_up.send(1, 2, claim(1));
        made_up.step(1, view(5, 0, 0));
        made_up.restart(1, &[state(1, None, 0)], view(1, 0, 0));
        let question = RequestPreVote {
            term: Term(2),
            last: EntryId::ZERO,
        };
        made_up.send(1, 2, question);
        made_up.step(1, view(1, 0, 0));
        made_up.is_well();
    }

    #[test]
    fn a_term_that_falls_is_noticed() {
        let mut made_up = MadeUp::new(3, TermMonotonic::default());
        made_up.step(1, view(2, 0, 0));
        made_up.step(1, view(1, 0, 0));
        made_up.fired("n1 is in term t1, after term t2");
    }

    #[test]
    fn a_term_that_was_told_and_forgotten_is_noticed() {
        let mut made_up = MadeUp::new(3, TermMonotonic::default());
        made_up.send(1, 2, claim(3));
        made_up.restart(1, &[], view(2, 0, 0));
        made_up.fired("n1 is in term t2, after term t3");
    }

    #[test]
    fn a_term_that_was_durable_and_is_forgotten_is_noticed() {
        let mut made_up = MadeUp::new(3, TermMonotonic::default());
        made_up.hand(1, 1, &[state(4, None, 0)]);
        made_up.persist(1, 1);
        made_up.restart(1, &[], view(0, 0, 0));
        made_up.fired("n1 is in term t0, after term t4");
    }
}
