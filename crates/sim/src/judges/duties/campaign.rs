//! Nobody raises the term without having asked first whether he can win (thesis, section 9.6): a node
//! asks for votes only after a quorum, itself included, has said that it would grant them. A node that
//! was told to take over need not ask.

use std::collections::{BTreeMap, BTreeSet};

use raft::{Message, NodeId, RequestVote, Term};
use replica::PeerMessage;

use crate::judges::shadow::is_quorum;
use crate::judges::{Fact, Judge, Shadow, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct Campaign {
    /// By node, the latest term in which others would elect it, and who would.
    willing: BTreeMap<NodeId, (Term, BTreeSet<NodeId>)>,
}

impl Campaign {
    fn is_willing(&mut self, voter: NodeId, candidate: NodeId, term: Term) {
        let (latest, voters) = self.willing.entry(candidate).or_default();
        if term > *latest {
            *latest = term;
            voters.clear();
        }
        if term == *latest {
            voters.insert(voter);
        }
    }

    fn asks(
        &self,
        candidate: NodeId,
        request: &RequestVote,
        shadow: &Shadow,
    ) -> Result<(), Violation> {
        let RequestVote { term, last, .. } = *request;
        let log = shadow.node(candidate);
        let is_same_log = log
            .held(last.index)
            .is_none_or(|held| held.term == last.term);
        if !is_same_log {
            // The request waited for the disk while the log was replaced.
            return Ok(());
        }
        let conf = shadow.conf_at(candidate, last.index);
        let voters = self
            .willing
            .get(&candidate)
            .filter(|(latest, _)| *latest == term);
        let would =
            |voter| voter == candidate || voters.is_some_and(|(_, all)| all.contains(&voter));
        if is_quorum(conf, would) {
            return Ok(());
        }
        violation(self, || {
            let others = voters.map_or(0, |(_, all)| all.len());
            format!("{candidate} asks for votes in term {term}; {others} others would, with {conf}")
        })
    }
}

impl Judge for Campaign {
    fn property(&self) -> &'static str {
        "campaign"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match *fact {
            Fact::Sent {
                from,
                to,
                message: PeerMessage::Raft(message),
            } => match message {
                Message::RequestPreVoteResponse(response) if response.granted => {
                    self.is_willing(from, to, response.term);
                    Ok(())
                }
                Message::RequestVote(request) if !request.transfer => {
                    self.asks(from, request, shadow)
                }
                _ => Ok(()),
            },
            // One whose disk has forgotten its term may come to an earlier one again.
            Fact::Started { node, .. } if shadow.node(node).last_life.damaged => {
                self.willing.remove(&node);
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
    use raft::{EntryId, RequestPreVoteResponse};

    fn made_up() -> MadeUp<Campaign> {
        MadeUp::new(5, Campaign::default())
    }

    fn would(term: u64, granted: bool) -> RequestPreVoteResponse {
        RequestPreVoteResponse {
            term: Term(term),
            granted,
        }
    }

    fn request(term: u64, transfer: bool) -> RequestVote {
        RequestVote {
            term: Term(term),
            last: EntryId::ZERO,
            transfer,
        }
    }

    #[test]
    fn asking_first_or_being_told_is_well() {
        let mut made_up = made_up();
        made_up.send(2, 1, would(3, true));
        made_up.send(4, 1, would(3, true));
        made_up.send(1, 2, request(3, false));
        made_up.send(5, 2, request(4, true));
        made_up.is_well();
    }

    #[test]
    fn a_campaign_without_a_quorum_of_pre_votes_is_noticed() {
        let cases: [&[(u64, u64, bool)]; 4] = [
            &[],
            &[(2, 3, true)],
            &[(2, 3, true), (2, 3, true)],
            &[(2, 3, true), (4, 3, false)],
        ];
        for votes in cases {
            let mut made_up = made_up();
            for &(voter, term, granted) in votes {
                made_up.send(voter, 1, would(term, granted));
            }
            made_up.send(1, 2, request(3, false));
            made_up.fired("n1 asks for votes in term t3");
        }
    }

    #[test]
    fn a_node_that_has_forgotten_its_term_may_come_to_it_again() {
        let mut made_up = made_up();
        made_up.send(2, 1, would(7, true));
        made_up.damage(1);
        made_up.restart(1, &[], view(1, 0, 0));
        made_up.send(2, 1, would(3, true));
        made_up.send(3, 1, would(3, true));
        made_up.send(1, 2, request(3, false));
        made_up.is_well();
    }

    #[test]
    fn pre_votes_of_an_earlier_term_do_not_count() {
        let mut made_up = made_up();
        for (voter, term) in [(2, 2), (3, 2), (4, 2), (5, 3)] {
            made_up.send(voter, 1, would(term, true));
        }
        made_up.send(1, 2, request(3, false));
        made_up.fired("1 others would");
    }
}
