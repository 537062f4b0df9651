//! Who is elected takes the office: a candidate that has the votes of a quorum leads, its own durable vote
//! counted wherever it is a voter, in the old half of a joint configuration as well (paper, sections 5.2
//! and 6; etcd raft forgot the old half). The same holds for the question before it (thesis, section
//! 9.6). Otherwise a cluster whose only possible leader is being replaced would never have one.

use std::collections::BTreeMap;

use raft::{Message, NodeId, Role, Term};
use replica::PeerMessage;

use crate::judges::shadow::is_quorum;
use crate::judges::{Fact, Judge, Shadow, View, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct Elected {
    /// By who stands, the latest term of which votes have reached it, and the first that each has said.
    votes: BTreeMap<NodeId, Answers>,
    /// The same, of what votes would be, since it asked last.
    pre_votes: BTreeMap<NodeId, Answers>,
}

/// The first answers to a candidate in a term.
#[derive(Debug, Default)]
struct Answers {
    term: Term,
    by: BTreeMap<NodeId, bool>,
}

impl Answers {
    fn take(&mut self, voter: NodeId, term: Term, granted: bool) {
        if term > self.term {
            self.term = term;
            self.by.clear();
        }
        if term == self.term {
            self.by.entry(voter).or_insert(granted);
        }
    }

    fn has_granted(&self, voter: NodeId) -> bool {
        self.by.get(&voter) == Some(&true)
    }
}

impl Elected {
    fn received(&mut self, from: NodeId, to: NodeId, message: &Message) {
        match message {
            Message::RequestVoteResponse(response) => {
                let answers = self.votes.entry(to).or_default();
                answers.take(from, response.term, response.granted);
            }
            Message::RequestPreVoteResponse(response) => {
                // A refusal names the term that the voter is in; it is one of the same question.
                let answers = self.pre_votes.entry(to).or_default();
                let term = match response.granted {
                    true => response.term,
                    false => answers.term,
                };
                answers.take(from, term, response.granted);
            }
            _ => {}
        }
    }

    fn stands(&self, node: NodeId, view: &View, shadow: &Shadow) -> Result<(), Violation> {
        let (answers, term) = match view.role {
            Role::PreCandidate => (self.pre_votes.get(&node), view.term.next()),
            Role::Candidate => (self.votes.get(&node), view.term),
            Role::Follower | Role::Leader => return Ok(()),
        };
        let durable = shadow.node(node).durable.promise();
        let waits =
            view.role == Role::Candidate && (durable.term, durable.vote) != (term, Some(node));
        let Some(answers) = answers.filter(|answers| answers.term == term && !waits) else {
            return Ok(());
        };
        let conf = shadow.conf(node);
        if !is_quorum(conf, |voter| voter == node || answers.has_granted(voter)) {
            return Ok(());
        }
        violation(self, || {
            let (role, by) = (view.role, &answers.by);
            format!(
                "{node} is still a {role} in {}, has {by:?} for {term}, and {conf}",
                view.term
            )
        })
    }
}

impl Judge for Elected {
    fn property(&self) -> &'static str {
        "elected"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match fact {
            Fact::Received { from, to, message } => self.received(*from, *to, message),
            // It asks anew: what was answered before does not count any more.
            Fact::Sent {
                from,
                message: PeerMessage::Raft(Message::RequestPreVote(request)),
                ..
            } => {
                let answers = self.pre_votes.entry(*from).or_default();
                answers.term = request.term;
                answers.by.clear();
            }
            Fact::Started { node, .. } => {
                self.votes.remove(node);
                self.pre_votes.remove(node);
            }
            Fact::Stepped { node, view, .. } => return self.stands(*node, view, shadow),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, conf_entry, entry, joint, state, view};
    use raft::{EntryId, RequestPreVote, RequestPreVoteResponse, RequestVoteResponse};

    /// Node 3 stands in term 2; node 4 is taking its place.
    fn made_up(role: Role) -> (MadeUp<Elected>, View) {
        let mut made_up = MadeUp::with_room(3, 4, Elected::default());
        made_up.restart(4, &[], view(0, 0, 0));
        let log = [
            entry(1, 1, "a"),
            conf_entry(1, 2, &joint(&[1, 2, 3], &[1, 2, 4])),
            state(2, Some(3), 0),
        ];
        made_up.hand(3, 1, &log);
        made_up.persist(3, 1);
        let stands = View {
            role,
            ..view(2, 2, 0)
        };
        (made_up, stands)
    }

    fn hear(made_up: &mut MadeUp<Elected>, from: u64, message: impl Into<Message>) {
        let (from, to, message) = (NodeId(from), NodeId(3), &message.into());
        made_up.show(&Fact::Received { from, to, message });
    }

    fn vote(term: u64, granted: bool) -> RequestVoteResponse {
        let term = Term(term);
        RequestVoteResponse { term, granted }
    }

    #[test]
    fn a_candidate_without_a_quorum_of_both_halves_waits() {
        let (mut made_up, stands) = made_up(Role::Candidate);
        hear(&mut made_up, 2, vote(2, true));
        hear(&mut made_up, 4, vote(2, false));
        hear(&mut made_up, 4, vote(2, true));
        made_up.step(3, stands);
        hear(&mut made_up, 1, vote(1, true));
        made_up.step(3, stands);
        made_up.is_well();
    }

    #[test]
    fn a_candidate_of_the_old_half_that_has_won_and_waits_is_noticed() {
        let (mut made_up, stands) = made_up(Role::Candidate);
        hear(&mut made_up, 2, vote(2, true));
        made_up.step(3, stands);
        made_up.is_well();
        hear(&mut made_up, 4, vote(2, true));
        made_up.step(3, stands);
        made_up.fired("n3 is still a candidate in t2");
    }

    #[test]
    fn one_that_could_win_and_does_not_stand_is_noticed() {
        let (mut made_up, stands) = made_up(Role::PreCandidate);
        let would = RequestPreVoteResponse {
            term: Term(3),
            granted: true,
        };
        hear(&mut made_up, 2, would);
        let request = RequestPreVote {
            term: Term(3),
            last: EntryId::new(1, 2),
        };
        made_up.send(3, 4, request);
        hear(&mut made_up, 4, would);
        made_up.step(3, stands);
        made_up.is_well();
        hear(&mut made_up, 2, would);
        made_up.step(3, stands);
        made_up.fired("n3 is still a pre-candidate in t2");
    }
}
