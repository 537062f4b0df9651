//! Who may stand is for the candidate's configuration to say, not for the voter's: a voter may not have
//! heard yet that it is one (paper, section 6; thesis, section 4.2.2; etcd pull request 10998). So a node
//! refuses its vote only because it has given it to another, because somebody leads that term, or because
//! its log is better; and says that it would refuse it only for its log, or its term.

use std::collections::{BTreeMap, BTreeSet};

use raft::{EntryId, LogIndex, Message, NodeId, Term};
use replica::PeerMessage;

use crate::judges::{Fact, Judge, Shadow, Violation, violation};

/// See the module. A refusal answers one of the requests that reached the voter since its last step. If
/// none did, it has waited for the disk, and nobody can say what it answers.
#[derive(Debug, Default)]
pub struct Ballot {
    /// By voter, what it was asked since its last step, and by whom.
    asked: BTreeMap<NodeId, Vec<(NodeId, Message)>>,
    /// The terms that somebody has led.
    led: BTreeSet<Term>,
}

/// A voter that refuses.
struct Voter {
    id: NodeId,
    /// The last entry of its log.
    last: EntryId,
    term: Term,
    vote: Option<NodeId>,
}

impl Ballot {
    fn refuses(
        &self,
        voter: NodeId,
        candidate: NodeId,
        is_pre_vote: bool,
        shadow: &Shadow,
    ) -> Result<(), Violation> {
        let of = shadow.node(voter);
        let end = LogIndex(of.log.len() as u64);
        let term = of.held(end).map_or(Term(0), |held| held.term);
        let voter = Voter {
            id: voter,
            last: EntryId { term, index: end },
            term: of.handed.term,
            vote: of.handed.vote,
        };
        let asked = self.asked.get(&voter.id).into_iter().flatten();
        let asked = asked.filter(|(from, message)| {
            *from == candidate && is_pre_vote == matches!(message, Message::RequestPreVote(_))
        });
        let mut asked = asked.map(|(_, message)| message).peekable();
        if asked.peek().is_none()
            || asked.any(|message| self.may_refuse(&voter, candidate, message))
        {
            return Ok(());
        }
        violation(self, || {
            let Voter { id, last, term, .. } = voter;
            let would = if is_pre_vote {
                "would refuse"
            } else {
                "refuses"
            };
            format!(
                "{id}, in {term} and with a log that ends with {last}, {would} {candidate} its vote"
            )
        })
    }

    /// Whether a voter has a reason to refuse this request.
    fn may_refuse(&self, voter: &Voter, candidate: NodeId, message: &Message) -> bool {
        match message {
            Message::RequestPreVote(request) => {
                request.term <= voter.term || request.last < voter.last
            }
            Message::RequestVote(request) => {
                let has_voted = voter.vote.is_some_and(|vote| vote != candidate);
                let is_led = self.led.contains(&request.term);
                request.term != voter.term || has_voted || is_led || request.last < voter.last
            }
            _ => true,
        }
    }
}

impl Judge for Ballot {
    fn property(&self) -> &'static str {
        "ballot"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match fact {
            Fact::Received {
                from,
                to,
                message: message @ (Message::RequestVote(_) | Message::RequestPreVote(_)),
            } => {
                let asked = self.asked.entry(*to).or_default();
                asked.push((*from, (*message).clone()));
            }
            Fact::Stepped { node, .. } => {
                if let Some(asked) = self.asked.get_mut(node) {
                    asked.clear();
                }
            }
            Fact::Sent {
                from,
                to,
                message: PeerMessage::Raft(message),
            } => match message {
                Message::RequestVoteResponse(response) if !response.granted => {
                    return self.refuses(*from, *to, false, shadow);
                }
                Message::RequestPreVoteResponse(response) if !response.granted => {
                    return self.refuses(*from, *to, true, shadow);
                }
                message if message.is_from_leader() && self.led.last() != Some(&message.term()) => {
                    self.led.insert(message.term());
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, entry, state, view};
    use raft::{
        Heartbeat, RequestPreVote, RequestPreVoteResponse, RequestVote, RequestVoteResponse, Round,
        Session,
    };

    /// Node 2, in term 3, has voted for this one and holds entry 1 of term 1.
    fn made_up(vote: Option<u64>) -> MadeUp<Ballot> {
        let mut made_up = MadeUp::new(3, Ballot::default());
        made_up.hand(2, 1, &[state(3, vote, 0), entry(1, 1, "a")]);
        made_up
    }

    fn ask(made_up: &mut MadeUp<Ballot>, message: impl Into<Message>) {
        let (from, to) = (NodeId(1), NodeId(2));
        let message = &message.into();
        made_up.show(&Fact::Received { from, to, message });
    }

    fn refuse(made_up: &mut MadeUp<Ballot>, last: EntryId) {
        let (term, transfer, granted) = (Term(3), false, false);
        let request = RequestVote {
            term,
            last,
            transfer,
        };
        ask(made_up, request);
        made_up.send(2, 1, RequestVoteResponse { term, granted });
    }

    #[test]
    fn a_refusal_for_another_vote_a_better_log_or_a_leader_is_well() {
        let mut voted = made_up(Some(3));
        refuse(&mut voted, EntryId::new(1, 1));
        voted.is_well();
        let mut better = made_up(None);
        refuse(&mut better, EntryId::ZERO);
        better.is_well();
        let mut led = made_up(None);
        let heartbeat = Heartbeat {
            session: Session(0),
            term: Term(3),
            commit: LogIndex(0),
            round: Round(1),
        };
        led.send(3, 2, heartbeat);
        refuse(&mut led, EntryId::new(1, 1));
        led.is_well();
    }

    #[test]
    fn a_refusal_for_no_reason_is_noticed() {
        let mut made_up = made_up(None);
        refuse(&mut made_up, EntryId::new(1, 1));
        made_up.fired("refuses n1 its vote");
    }

    #[test]
    fn a_pre_vote_that_is_refused_for_no_reason_is_noticed() {
        let mut made_up = made_up(None);
        let last = EntryId::new(1, 1);
        let sound = |term| RequestPreVote {
            term: Term(term),
            last,
        };
        let refusal = RequestPreVoteResponse {
            term: Term(3),
            granted: false,
        };
        ask(&mut made_up, sound(3));
        made_up.send(2, 1, refusal);
        made_up.is_well();
        made_up.step(2, view(3, 1, 0));
        // What it was asked before, it has answered.
        ask(&mut made_up, sound(4));
        made_up.send(2, 1, refusal);
        made_up.fired("would refuse n1 its vote");
    }
}
