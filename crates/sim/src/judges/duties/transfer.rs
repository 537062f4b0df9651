//! Leadership is handed over in order (thesis, section 3.10): the leader takes no more proposals, and
//! tells the target to stand only when the target holds all of the leader's log. Otherwise the target
//! cannot win, and the old leader is deposed for nothing. A transfer that has not succeeded after an
//! election timeout is given up, or writes would be refused for ever (hashicorp raft issue 696).

use std::collections::BTreeMap;

use raft::{LogIndex, Message, NodeId, Term};
use replica::PeerMessage;

use crate::judges::shadow::Held;
use crate::judges::{Fact, Judge, Shadow, View, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct Transfer {
    /// Leaders that were in transfer after their last step.
    under_way: BTreeMap<NodeId, UnderWay>,
}

/// A transfer after a step of its leader.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    term: Term,
    ticks: u32,
    last: LogIndex,
}

impl Transfer {
    fn told(&self, from: NodeId, to: NodeId, term: Term, shadow: &Shadow) -> Result<(), Violation> {
        let (leader, target) = (shadow.node(from), shadow.node(to));
        let last = LogIndex(leader.log.len() as u64);
        let mark = leader.held(last).map(Held::mark);
        let holds_all = mark.is_none_or(|mark| target.holds_durably(last, mark));
        // One that has gone on to a later term, or lost its disk, may have dropped it since.
        let has_gone_on = target.view.is_none_or(|view| view.term > term);
        if holds_all || has_gone_on || target.damaged || target.last_life.damaged || !target.up {
            return Ok(());
        }
        violation(self, || {
            let settled = target.settled;
            format!(
                "{from} tells {to} to stand; its log reaches to {last}, that of {to} to {settled}"
            )
        })
    }

    fn is_given_up(&self, node: NodeId, ticks: Option<u32>, most: u32) -> Result<(), Violation> {
        match ticks {
            Some(ticks) if ticks >= most => violation(self, || {
                format!("{node} has been handing leadership over for {ticks} ticks of {most}")
            }),
            _ => Ok(()),
        }
    }

    fn stepped(&mut self, node: NodeId, view: &View, ticks: Option<u32>) -> Result<(), Violation> {
        let Some(ticks) = ticks else {
            if !self.under_way.is_empty() {
                self.under_way.remove(&node);
            }
            return Ok(());
        };
        let now = UnderWay {
            term: view.term,
            ticks,
            last: view.last.index,
        };
        let before = self.under_way.insert(node, now);
        // A transfer with fewer ticks is another one.
        match before.filter(|before| before.term == now.term && before.ticks <= now.ticks) {
            Some(before) if before.last < now.last => violation(self, || {
                let (old, new) = (before.last, now.last);
                format!("the log of {node} grew from {old} to {new} while it hands leadership over")
            }),
            _ => Ok(()),
        }
    }
}

impl Judge for Transfer {
    fn property(&self) -> &'static str {
        "transfer"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match *fact {
            Fact::Sent {
                from,
                to,
                message: PeerMessage::Raft(Message::TimeoutNow(message)),
            } => self.told(from, to, message.term, shadow),
            Fact::Stepped {
                node,
                view,
                replica,
            } => {
                let raft = replica.raft();
                let ticks = raft.transfer_ticks();
                self.is_given_up(node, ticks, raft.config().election_timeout_ticks_min)?;
                self.stepped(node, &view, ticks)
            }
            Fact::Ended { node } => {
                self.under_way.remove(&node);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, entry, leader, view};
    use raft::TimeoutNow;

    const TOLD: TimeoutNow = TimeoutNow { term: Term(1) };

    /// The leader has two entries, another node one of them.
    fn made_up() -> MadeUp<Transfer> {
        let mut made_up = MadeUp::new(3, Transfer::default());
        made_up.hand(1, 1, &[entry(1, 1, "a"), entry(1, 2, "b")]);
        made_up.step(1, leader(1, 2, 0));
        made_up.hand(2, 1, &[entry(1, 1, "a")]);
        made_up.persist(2, 1);
        made_up.step(2, view(1, 1, 0));
        made_up
    }

    #[test]
    fn a_target_that_holds_all_may_be_told() {
        let mut made_up = made_up();
        made_up.hand(2, 2, &[entry(1, 2, "b")]);
        made_up.persist(2, 2);
        made_up.send(1, 2, TOLD);
        made_up.is_well();
    }

    #[test]
    fn a_target_that_lags_and_is_told_is_noticed() {
        let mut made_up = made_up();
        made_up.send(1, 2, TOLD);
        made_up.fired("its log reaches to 2, that of n2 to 1");
    }

    #[test]
    fn a_target_that_is_in_a_later_term_is_no_concern() {
        let mut made_up = made_up();
        made_up.step(2, view(2, 1, 0));
        made_up.send(1, 2, TOLD);
        made_up.is_well();
    }

    #[test]
    fn a_transfer_that_is_not_given_up_is_noticed() {
        let judge = Transfer::default();
        assert_eq!(judge.is_given_up(NodeId(1), None, 10), Ok(()));
        assert_eq!(judge.is_given_up(NodeId(1), Some(9), 10), Ok(()));
        assert!(judge.is_given_up(NodeId(1), Some(10), 10).is_err());
    }

    #[test]
    fn proposals_during_a_transfer_are_noticed() {
        let mut judge = Transfer::default();
        let mut step = |last, ticks| judge.stepped(NodeId(1), &leader(1, last, 0), ticks);
        assert_eq!(step(2, None), Ok(()));
        assert_eq!(step(3, Some(0)), Ok(()), "it began after the proposal");
        assert_eq!(step(3, Some(4)), Ok(()));
        assert_eq!(step(4, None), Ok(()), "it was given up");
        assert_eq!(step(4, Some(7)), Ok(()));
        assert_eq!(step(5, Some(0)), Ok(()), "it is another one");
        let violation = step(6, Some(1)).expect_err("it is the same");
        assert_eq!(violation.property, "transfer");
    }
}
