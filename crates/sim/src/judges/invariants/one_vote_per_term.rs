//! A node votes for at most one candidate in a term, whatever crashes lie between (paper, section 5.2
//! and figure 2). A candidate has voted for itself when it asks others to.

use std::collections::BTreeMap;

use raft::{Message, NodeId, Term};
use replica::PeerMessage;

use crate::judges::{Fact, Judge, Shadow, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct OneVotePerTerm {
    /// Whom a node has given its vote in a term.
    votes: BTreeMap<(NodeId, Term), NodeId>,
}

impl OneVotePerTerm {
    fn votes(&mut self, node: NodeId, term: Term, candidate: NodeId) -> Result<(), Violation> {
        let earlier = *self.votes.entry((node, term)).or_insert(candidate);
        if earlier == candidate {
            return Ok(());
        }
        violation(self, || {
            format!("{node} voted for {earlier} and for {candidate} in term {term}")
        })
    }
}

impl Judge for OneVotePerTerm {
    fn property(&self) -> &'static str {
        "one_vote_per_term"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match *fact {
            Fact::Sent {
                from,
                to,
                message: PeerMessage::Raft(message),
            } => match message {
                Message::RequestVote(request) => self.votes(from, request.term, from),
                Message::RequestVoteResponse(response) if response.granted => {
                    self.votes(from, response.term, to)
                }
                _ => Ok(()),
            },
            Fact::Stepped { node, view, .. } => {
                let before = shadow.node(node).before;
                match before.filter(|before| before.term == view.term) {
                    Some(before) if before.vote.is_some() && before.vote != view.vote => {
                        violation(self, || {
                            let (term, old, new) = (view.term, before.vote, view.vote);
                            format!(
                                "{node} changed its vote in term {term} from {old:?} to {new:?}"
                            )
                        })
                    }
                    _ => Ok(()),
                }
            }
            // A disk that forgot a vote is not this node's fault.
            Fact::Started { node, .. } if shadow.node(node).last_life.damaged => {
                self.votes.retain(|(voter, _), _| *voter != node);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, view};
    use raft::{EntryId, RequestVote, RequestVoteResponse};

    fn grant(term: u64, granted: bool) -> RequestVoteResponse {
        RequestVoteResponse {
            term: Term(term),
            granted,
        }
    }

    fn candidacy(term: u64) -> RequestVote {
        RequestVote {
            term: Term(term),
            last: EntryId::ZERO,
            transfer: false,
        }
    }

    #[test]
    fn one_vote_said_twice_and_refusals_are_well() {
        let mut made_up = MadeUp::new(3, OneVotePerTerm::default());
        made_up.send(1, 2, grant(1, true));
        made_up.send(1, 3, grant(1, false));
        made_up.restart(1, &[], view(1, 0, 0));
        made_up.send(1, 2, grant(1, true));
        made_up.send(1, 3, grant(2, true));
        made_up.send(1, 2, candidacy(3));
        made_up.send(1, 3, candidacy(3));
        made_up.is_well();
    }

    #[test]
    fn a_second_vote_after_a_restart_is_noticed() {
        let mut made_up = MadeUp::new(3, OneVotePerTerm::default());
        made_up.send(1, 2, grant(1, true));
        made_up.restart(1, &[], view(1, 0, 0));
        made_up.send(1, 3, grant(1, true));
        made_up.fired("n1 voted for n2 and for n3 in term t1");
    }

    #[test]
    fn a_candidate_that_votes_for_another_is_noticed() {
        let mut made_up = MadeUp::new(3, OneVotePerTerm::default());
        made_up.send(1, 2, candidacy(4));
        made_up.send(1, 3, grant(4, true));
        made_up.fired("n1 voted for n1 and for n3 in term t4");
    }

    #[test]
    fn a_vote_that_is_taken_back_is_noticed() {
        let mut made_up = MadeUp::new(3, OneVotePerTerm::default());
        let mut voted = view(1, 0, 0);
        voted.vote = Some(NodeId(2));
        made_up.step(1, voted);
        made_up.step(1, view(1, 0, 0));
        made_up.fired("changed its vote");
    }

    #[test]
    fn a_vote_that_a_damaged_disk_forgot_is_not_blamed_on_the_node() {
        let mut made_up = MadeUp::new(3, OneVotePerTerm::default());
        made_up.send(1, 2, grant(1, true));
        made_up.damage(1);
        made_up.restart(1, &[], view(0, 0, 0));
        made_up.send(1, 3, grant(1, true));
        made_up.is_well();
    }
}
