//! No message claims what its sender's disk has not confirmed: the term it is in, the vote it has given,
//! the entries it has accepted (paper, section 5.1 and figure 2, "updated on stable storage before
//! responding"). A leader sends entries ahead of its own disk (thesis, section 10.2.1), but it has to
//! be durably a leader.

use raft::{AppendOutcome, LogIndex, Message, NodeId, Term};
use replica::PeerMessage;

use crate::judges::invariants::term_monotonic::claimed_term;
use crate::judges::shadow::{Held, NodeShadow};
use crate::judges::{Fact, Judge, Shadow, View, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct PromisesDurable {}

impl PromisesDurable {
    fn message(
        &self,
        from: NodeId,
        to: NodeId,
        message: &Message,
        node: &NodeShadow,
    ) -> Result<(), Violation> {
        let durable = node.durable.promise();
        let Some(term) = claimed_term(message) else {
            return Ok(());
        };
        if term > durable.term {
            return violation(self, || {
                format!("{from} sends {message} while only {durable:?} is durable")
            });
        }
        // Of an earlier term than the durable one it has waited for the disk longer than the node
        // stayed in its term. What it claims was durable in that term, and cannot be undone.
        if term < durable.term {
            return Ok(());
        }
        let vote = match message {
            Message::RequestVote(_) => Some(from),
            Message::RequestVoteResponse(response) if response.granted => Some(to),
            other if other.is_from_leader() => Some(from),
            _ => None,
        };
        if vote.is_some() && vote != durable.vote {
            return violation(self, || {
                format!("{from} sends {message} to {to} while only {durable:?} is durable")
            });
        }
        match message {
            Message::AppendEntriesResponse(response) => match response.outcome {
                AppendOutcome::Accepted { match_index } => {
                    self.acceptance(from, term, match_index, node)
                }
                AppendOutcome::Rejected { .. } => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn acceptance(
        &self,
        from: NodeId,
        term: Term,
        index: LogIndex,
        node: &NodeShadow,
    ) -> Result<(), Violation> {
        let has_left = node.handed.term > term;
        let is_durable = if has_left {
            // The log that it speaks of may be cut by now, on its way to the disk.
            index.0 <= node.durable.log.len() as u64
        } else {
            index <= node.settled
        };
        if is_durable {
            return Ok(());
        }
        violation(self, || {
            let settled = node.settled;
            format!("{from} accepts entries up to {index} in term {term}; {settled} is durable")
        })
    }

    fn view(&self, node: NodeId, view: &View, shadow: &NodeShadow) -> Result<(), Violation> {
        let is_durable = view.durable.0 == 0
            || shadow
                .held(view.durable)
                .map(Held::mark)
                .is_some_and(|mark| shadow.holds_durably(view.durable, mark));
        if is_durable {
            return Ok(());
        }
        violation(self, || {
            let (claimed, settled) = (view.durable, shadow.settled);
            format!("{node} holds {claimed} to be durable; {settled} is")
        })
    }
}

impl Judge for PromisesDurable {
    fn property(&self) -> &'static str {
        "promises_durable"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match *fact {
            Fact::Sent {
                from,
                to,
                message: PeerMessage::Raft(message),
            } => self.message(from, to, message, shadow.node(from)),
            Fact::Stepped { node, view, .. } if shadow.node(node).changed => {
                self.view(node, &view, shadow.node(node))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, entry, state, truncate, view};
    use raft::{
        AppendEntriesResponse, EntryId, Heartbeat, RequestVote, RequestVoteResponse, Round, Session,
    };

    fn accept(term: u64, index: u64) -> AppendEntriesResponse {
        AppendEntriesResponse {
            session: Session(0),
            term: Term(term),
            round: Round(1),
            outcome: AppendOutcome::Accepted {
                match_index: LogIndex(index),
            },
        }
    }

    fn grant(term: u64) -> RequestVoteResponse {
        RequestVoteResponse {
            term: Term(term),
            granted: true,
        }
    }

    fn made_up() -> MadeUp<PromisesDurable> {
        MadeUp::new(3, PromisesDurable::default())
    }

    #[test]
    fn what_is_durable_may_be_said() {
        let mut made_up = made_up();
        made_up.hand(1, 1, &[state(1, Some(2), 0), entry(1, 1, "a")]);
        made_up.hand(1, 2, &[entry(1, 2, "b")]);
        made_up.persist(1, 1);
        made_up.send(1, 2, grant(1));
        made_up.send(1, 2, accept(1, 1));
        made_up.persist(1, 2);
        made_up.send(1, 2, accept(1, 2));
        made_up.is_well();
    }

    #[test]
    fn what_waited_for_the_disk_while_the_node_went_on_may_be_said() {
        let mut made_up = made_up();
        made_up.hand(1, 1, &[state(1, Some(2), 0), entry(1, 1, "a")]);
        made_up.hand(1, 2, &[state(2, None, 0), truncate(1)]);
        made_up.persist(1, 1);
        made_up.send(1, 2, accept(1, 1));
        made_up.persist(1, 2);
        made_up.send(1, 2, accept(1, 1));
        made_up.is_well();
    }

    #[test]
    fn a_vote_that_is_not_durable_is_noticed() {
        let mut made_up = made_up();
        made_up.hand(1, 1, &[state(1, Some(2), 0)]);
        made_up.send(1, 2, grant(1));
        made_up.fired("n1 sends");
    }

    #[test]
    fn a_vote_other_than_the_durable_one_is_noticed() {
        let mut made_up = made_up();
        made_up.hand(1, 1, &[state(1, Some(2), 0)]);
        made_up.persist(1, 1);
        made_up.send(1, 3, grant(1));
        made_up.fired("n1 sends");
    }

    #[test]
    fn a_candidacy_before_its_own_vote_is_durable_is_noticed() {
        let mut made_up = made_up();
        made_up.hand(1, 1, &[state(1, Some(1), 0)]);
        let request = RequestVote {
            term: Term(1),
            last: EntryId::ZERO,
            transfer: false,
        };
        made_up.send(1, 2, request);
        made_up.fired("n1 sends");
    }

    #[test]
    fn leading_without_a_durable_vote_is_noticed() {
        let mut made_up = made_up();
        made_up.hand(1, 1, &[state(1, None, 0)]);
        made_up.persist(1, 1);
        let heartbeat = Heartbeat {
            session: Session(0),
            term: Term(1),
            commit: LogIndex(0),
            round: Round(1),
        };
        made_up.send(1, 2, heartbeat);
        made_up.fired("n1 sends");
    }

    #[test]
    fn an_acceptance_before_the_sync_is_noticed() {
        let mut made_up = made_up();
        made_up.hand(1, 1, &[state(1, None, 0), entry(1, 1, "a")]);
        made_up.persist(1, 1);
        made_up.hand(1, 2, &[entry(1, 2, "b")]);
        made_up.send(1, 2, accept(1, 2));
        made_up.fired("n1 accepts entries up to 2 in term t1; 1 is durable");
    }

    /// The disk confirms entries that have been replaced since: it says nothing about the new ones.
    #[test]
    fn an_acceptance_on_the_sync_of_replaced_entries_is_noticed() {
        let mut made_up = made_up();
        made_up.hand(1, 1, &[state(2, None, 0), entry(1, 1, "a")]);
        made_up.hand(1, 2, &[truncate(1), entry(2, 1, "b")]);
        made_up.persist(1, 1);
        made_up.send(1, 2, accept(2, 1));
        made_up.fired("0 is durable");
    }

    #[test]
    fn a_view_that_holds_too_much_to_be_durable_is_noticed() {
        let mut made_up = made_up();
        made_up.hand(1, 1, &[entry(1, 1, "a")]);
        let mut early = view(1, 1, 0);
        early.durable = LogIndex(1);
        made_up.step(1, early);
        made_up.fired("n1 holds 1 to be durable; 0 is");
    }
}
