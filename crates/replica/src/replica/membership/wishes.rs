//! What is still to be done with members: whoever leads goes on with it, one change at a time.

use raft::{ConfState, MembershipChange, NodeId};

use crate::membership::{Roster, Wish};
use crate::replica::Replica;

impl Replica {
    /// As the leader, goes on with what rosters say is still to be done: one change at a time.
    pub(in crate::replica) fn pursue_wishes(&mut self) {
        if !self.raft.is_leader() || !self.changes.rosters.is_settled() {
            return;
        }
        let wishes = self.node.machine.roster.members.iter();
        let wishes: Vec<(NodeId, Wish)> = wishes
            .filter(|(_, enrolled)| enrolled.wish != Wish::Stay)
            .map(|(id, enrolled)| (*id, enrolled.wish))
            .collect();
        if wishes.is_empty() || self.is_changing() {
            return;
        }
        for (id, wish) in wishes {
            if matches!(wish, Wish::Vote | Wish::Replace(_)) && !self.was_heard(id) {
                continue;
            }
            let conf = self.raft.conf().clone();
            let mut roster = self.own_roster();
            let Some(change) = next_change(&conf, &mut roster, id, wish) else {
                continue;
            };
            tracing::debug!(node = id.0, ?change, "a change of members is due");
            if self.propose_change(change, &roster).is_ok() {
                return;
            }
        }
    }

    /// Whether a learner holds any of the log. One that was just added counts as alive until it has
    /// been silent for long enough, and may lack little: it must not get a vote before it was started.
    pub(super) fn was_heard(&self, id: NodeId) -> bool {
        let member = self.node.members.get(&id);
        member.is_some_and(|member| member.matched > 0)
    }
}

pub(super) fn set_wish(roster: &mut Roster, id: NodeId, wish: Wish) {
    roster.members.entry(id).or_default().wish = wish;
}

/// What is wished for a node that is to vote now: one that stands for a replacement takes that place,
/// and no seat of its own, or else the dead voter would stay one.
pub(super) fn wish_to_vote(roster: &Roster, id: NodeId) -> Wish {
    match roster.wish(id) {
        place @ Wish::Replace(_) => place,
        _ => Wish::Vote,
    }
}

/// The next step towards a wish, with the roster as it is to be then. `None` if there is none.
pub(super) fn next_change(
    conf: &ConfState,
    roster: &mut Roster,
    id: NodeId,
    wish: Wish,
) -> Option<MembershipChange> {
    if !conf.contains(id) {
        return None;
    }
    let votes = conf.is_voter(id);
    match wish {
        Wish::Leave if votes => Some(MembershipChange::Demote(id)),
        Wish::Leave => {
            roster.members.remove(&id);
            Some(MembershipChange::RemoveLearner(id))
        }
        Wish::Vote | Wish::Replace(_) if votes => None,
        Wish::Replace(old) if conf.is_voter(old) => {
            set_wish(roster, id, Wish::Stay);
            set_wish(roster, old, Wish::Leave);
            Some(MembershipChange::Replace { old, new: id })
        }
        Wish::Vote | Wish::Replace(_) => {
            set_wish(roster, id, Wish::Stay);
            if let Wish::Replace(old) = wish
                && conf.contains(old)
            {
                set_wish(roster, old, Wish::Leave);
            }
            Some(MembershipChange::Promote(id))
        }
        Wish::Stay => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replacement_that_is_promoted_takes_the_place_that_it_stands_for() {
        let mut conf = ConfState::of_voters([NodeId(1), NodeId(2), NodeId(3)]);
        conf.learners.insert(NodeId(4));
        let mut roster = Roster::default();
        set_wish(&mut roster, NodeId(4), Wish::Replace(NodeId(3)));
        let wish = wish_to_vote(&roster, NodeId(4));
        let change = next_change(&conf, &mut roster, NodeId(4), wish);
        let (old, new) = (NodeId(3), NodeId(4));
        assert_eq!(change, Some(MembershipChange::Replace { old, new }));
        assert_eq!(roster.wish(old), Wish::Leave);
        assert_eq!(roster.wish(new), Wish::Stay);
        let wish = wish_to_vote(&roster, new);
        let change = next_change(&conf, &mut roster, new, wish);
        assert_eq!(change, Some(MembershipChange::Promote(new)));
    }
}
