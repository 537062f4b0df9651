//! A leader has its office, and its knowledge of the followers, from answers of its own term: a quorum has
//! voted for it in that term, and no follower holds more, in its books, than that follower has accepted
//! in that term (paper, sections 5.2 and 5.3). An answer to an earlier term says nothing: the vote
//! was for that term, and the entries may have been replaced since.

use std::collections::{BTreeMap, BTreeSet};

use raft::{AppendOutcome, LogIndex, Message, NodeId, PeerStatus, Role, Term};
use replica::PeerMessage;

use crate::judges::shadow::is_quorum;
use crate::judges::{Fact, Judge, Shadow, View, Violation, violation};

/// Every so many steps a leader's books are looked at. What is wrong in them stays there for long.
const PERIOD_STEPS: u64 = 8;

/// See the module.
#[derive(Debug, Default)]
pub struct Mandate {
    /// By candidate, the latest term in which anybody has voted for it, and who.
    votes: BTreeMap<NodeId, (Term, BTreeSet<NodeId>)>,
    /// By follower and leader, the latest term in which it has accepted entries, and up to where.
    accepted: BTreeMap<(NodeId, NodeId), (Term, LogIndex)>,
}

impl Mandate {
    fn voted(&mut self, voter: NodeId, candidate: NodeId, term: Term) {
        let (latest, voters) = self.votes.entry(candidate).or_default();
        if term > *latest {
            *latest = term;
            voters.clear();
        }
        if term == *latest {
            voters.insert(voter);
        }
    }

    fn accepts(&mut self, follower: NodeId, leader: NodeId, term: Term, index: LogIndex) {
        let (latest, most) = self.accepted.entry((follower, leader)).or_default();
        if term > *latest {
            (*latest, *most) = (term, index);
        } else if term == *latest {
            *most = (*most).max(index);
        }
    }

    fn leads(&self, node: NodeId, term: Term, shadow: &Shadow) -> Result<(), Violation> {
        // A candidate's log does not change, and the entry that opens its term is no configuration.
        let conf = shadow.conf(node);
        let voters = self.votes.get(&node).filter(|(latest, _)| *latest == term);
        let voted = |voter| voter == node || voters.is_some_and(|(_, all)| all.contains(&voter));
        if is_quorum(conf, voted) {
            return Ok(());
        }
        violation(self, || {
            let others = voters.map_or(0, |(_, all)| all.len());
            format!("{node} leads term {term}, in which {others} others voted for it, with {conf}")
        })
    }

    fn books(&self, leader: NodeId, term: Term, peers: &[PeerStatus]) -> Result<(), Violation> {
        for peer in peers {
            let accepted = match self.accepted.get(&(peer.id, leader)) {
                Some((latest, most)) if *latest == term => *most,
                _ => LogIndex(0),
            };
            if peer.match_index > accepted {
                return violation(self, || {
                    let (id, matched) = (peer.id, peer.match_index);
                    format!(
                        "{leader}, leader in term {term}, believes that {id} holds {matched}; in that \
                         term {id} has accepted {accepted}"
                    )
                });
            }
        }
        Ok(())
    }

    fn message(&mut self, from: NodeId, to: NodeId, message: &Message) {
        match message {
            Message::RequestVoteResponse(response) if response.granted => {
                self.voted(from, to, response.term);
            }
            Message::AppendEntriesResponse(response) => {
                if let AppendOutcome::Accepted { match_index } = response.outcome {
                    self.accepts(from, to, response.term, match_index);
                }
            }
            _ => {}
        }
    }
}

impl Judge for Mandate {
    fn property(&self) -> &'static str {
        "mandate"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match *fact {
            Fact::Sent {
                from,
                to,
                message: PeerMessage::Raft(message),
            } => self.message(from, to, message),
            Fact::Stepped {
                node,
                view,
                replica,
            } if view.role == Role::Leader => {
                let led = |before: View| (before.role, before.term) == (Role::Leader, view.term);
                if !shadow.node(node).before.is_some_and(led) {
                    self.leads(node, view.term, shadow)?;
                }
                if shadow.steps().is_multiple_of(PERIOD_STEPS) {
                    self.books(node, view.term, &replica.raft().status().peers)?;
                }
            }
            // One whose disk has forgotten its term may come to an earlier one again.
            Fact::Started { node, .. } if shadow.node(node).last_life.damaged => {
                self.votes.remove(&node);
                self.accepted.retain(|&(_, leader), _| leader != node);
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, leader};
    use raft::{AppendEntriesResponse, RequestVoteResponse, Round, Session};

    fn vote(term: u64, granted: bool) -> RequestVoteResponse {
        RequestVoteResponse {
            term: Term(term),
            granted,
        }
    }

    fn peer(match_index: u64) -> PeerStatus {
        PeerStatus {
            id: NodeId(2),
            voter: true,
            match_index: LogIndex(match_index),
            next_index: LogIndex(9),
            replicating: true,
            needs_snapshot: false,
            inflight_messages: 0,
            inflight_bytes: 0,
            quiet_ticks: 0,
            leaving: false,
        }
    }

    #[test]
    fn a_leader_that_a_quorum_voted_for_is_well() {
        let mut made_up = MadeUp::new(5, Mandate::default());
        made_up.send(2, 1, vote(3, true));
        made_up.send(4, 1, vote(3, true));
        made_up.step(1, leader(3, 0, 0));
        made_up.step(1, leader(3, 0, 0));
        made_up.is_well();
    }

    #[test]
    fn a_leader_by_votes_of_other_terms_or_by_refusals_is_noticed() {
        for wrong in [vote(2, true), vote(3, false)] {
            let mut made_up = MadeUp::new(3, Mandate::default());
            made_up.send(2, 1, wrong);
            made_up.step(1, leader(3, 0, 0));
            made_up.fired("n1 leads term t3, in which 0 others voted for it");
        }
    }

    #[test]
    fn books_that_say_more_than_was_accepted_in_the_term_are_noticed() {
        let mut judge = Mandate::default();
        let mut accept = |term, index| {
            let outcome = AppendOutcome::Accepted {
                match_index: LogIndex(index),
            };
            let (term, round) = (Term(term), Round(1));
            let response = AppendEntriesResponse {
                session: Session(0),
                term,
                round,
                outcome,
            };
            judge.message(NodeId(2), NodeId(1), &response.into());
        };
        accept(2, 8);
        accept(3, 5);
        accept(3, 4);
        let books = |term, index| judge.books(NodeId(1), Term(term), &[peer(index)]);
        assert_eq!(books(3, 5), Ok(()));
        assert!(books(3, 6).is_err());
        assert!(books(4, 1).is_err());
    }
}
