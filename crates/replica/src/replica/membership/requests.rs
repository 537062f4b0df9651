//! What clients of the leader ask for: whether it may be, and how it begins.

use buggify::Canary;
use kv::CommandSpec;
use raft::{MembershipChange, NodeId};

use crate::commands::quorate::{Request, not_leader, unknown_id};
use crate::config::ClientId;
use crate::membership::{Enrolled, Roster, Wish};
use crate::replica::Replica;

use super::waiting::{Answer, Asked, Goal, Waiting};
use super::wishes::{next_change, set_wish, wish_to_vote};

/// How far above the next free id that of a new node may be.
const ID_LEAP_MAX: u64 = 1000;

/// How many voters answer, beyond the majority that everything needs: what may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spare {
    voters: usize,
    alive: usize,
}

impl Spare {
    fn majority(self) -> usize {
        self.voters / 2 + 1
    }

    fn count(self) -> isize {
        self.alive as isize - self.majority() as isize
    }
}

impl Replica {
    /// A client asks for a change.
    pub(crate) fn ask_membership(
        &mut self,
        client: ClientId,
        spec: &'static CommandSpec,
        args: &[&[u8]],
    ) -> Result<Asked, String> {
        let request = Request::parse(args)?;
        if !self.raft.is_leader() {
            return Err(not_leader(&self.node));
        }
        let (goal, answer) = match request {
            Request::Transfer(to) => match self.begin_transfer(to)? {
                None => return Ok(Asked::Done(Answer::Done)),
                Some(goal) => (goal, Answer::Done),
            },
            change => match self.begin_change(&change)? {
                Begun::Already(answer) => return Ok(Asked::Done(answer)),
                Begun::Proposed(goal, answer) => (goal, answer),
            },
        };
        let timeout_us = self.node.config.request_timeout_ms * 1000;
        let deadline_us = self.node.now.mono_us + timeout_us;
        let deferred = self.defer(client, spec, args);
        self.changes.waiting.push(Waiting {
            deferred,
            goal,
            answer,
            deadline_us,
        });
        Ok(Asked::Waits)
    }

    fn begin_transfer(&mut self, to: NodeId) -> Result<Option<Goal>, String> {
        if to == self.node.config.node {
            return Ok(None);
        }
        let conf = self.raft.conf();
        if !conf.contains(to) {
            let next_id = self.roster().next_id;
            return Err(unknown_id(&self.node, to, next_id));
        }
        if !conf.is_voter(to) {
            return Err(format!(
                "ERR node {} is a learner: only a voter can lead; QUORATE PROMOTE {} makes it one",
                to.0, to.0
            ));
        }
        if !self.is_alive(to) {
            return Err(format!(
                "ERR node {} does not answer: it cannot take over; start it, or repair its connection",
                to.0
            ));
        }
        match self.raft.transfer_leadership(Some(to)) {
            Ok(_) => Ok(Some(Goal::Leads(to))),
            Err(error) => Err(format!("ERR {error}, nothing was changed")),
        }
    }

    fn begin_change(&mut self, request: &Request) -> Result<Begun, String> {
        if let Request::Add { levels, .. } = request
            && let Some(Err(error)) = levels.map(|levels| self.check_levels(levels))
        {
            return Err(format!("ERR {error}, nothing was changed"));
        }
        if let Request::Add { token, is_join, .. } = request
            && *is_join
            && let Some(id) = self.node.machine.roster.with_token(*token)
            && self.raft.conf_committed().1.contains(id)
        {
            return Ok(Begun::Already(Answer::Joined(id)));
        }
        let is_busy = self.is_changing() || !self.changes.rosters.is_settled();
        if is_busy && !buggify::canary(Canary::TwoChangesAtOnce) {
            return Err(
                "ERR a change of members is under way, nothing was changed: try again when it is done"
                    .to_owned(),
            );
        }
        match request {
            Request::Add { .. } => self.begin_add(request),
            Request::Remove { id, force } => self.begin_remove(*id, *force),
            Request::Demote { id, force } => self.begin_demote(*id, *force),
            Request::Promote(id) => self.begin_promote(*id),
            Request::Transfer(_) => Err("ERR syntax error".to_owned()),
        }
    }

    fn begin_add(&mut self, request: &Request) -> Result<Begun, String> {
        let Request::Add {
            peer_addr,
            id,
            token,
            replaces,
            is_learner,
            is_join,
            levels: _,
        } = request
        else {
            return Err("ERR syntax error".to_owned());
        };
        if !self.node.config.serves_peers {
            return Err(
                "ERR this node has no address for other nodes: set peer-bind, start it again, and add \
                 the node then"
                    .to_owned(),
            );
        }
        let mut roster = self.own_roster();
        // A machine that lost its disk comes back at its old address, in the place of its old self.
        if let Some(id) = roster.at_address(peer_addr)
            && Some(id) != *replaces
        {
            return self.add_known(id, *is_join, *token);
        }
        let wish = match (replaces, is_learner) {
            (Some(old), _) => self.take_place(*old, &mut roster)?,
            (None, true) => Wish::Stay,
            (None, false) => Wish::Vote,
        };
        let id = new_id(*id, roster.next_id)?;
        let enrolled = Enrolled {
            peer_addr: peer_addr.clone(),
            token: *token,
            wish,
        };
        roster.members.insert(id, enrolled);
        roster.next_id = id.0 + 1;
        let answer = match is_join {
            true => Answer::Joined(id),
            false => Answer::Id(id),
        };
        let entry = self.propose_change(MembershipChange::AddLearner(id), &roster)?;
        Ok(Begun::Proposed(Goal::Applied(entry), answer))
    }

    /// What is to become of a new node that takes the place of `old`: a voter votes when it has caught
    /// up, and then the old one goes; a learner has no vote to hand over and goes at once, and what it
    /// was to become the new one becomes.
    fn take_place(&self, old: NodeId, roster: &mut Roster) -> Result<Wish, String> {
        self.must_be_member(old, roster)?;
        if self.is_alive(old) {
            return Err(format!(
                "ERR node {} answers, nothing was changed: only a node that is gone is replaced; to \
                 move one, add the new node first and remove the old one then",
                old.0
            ));
        }
        if let Some(new) = roster.replacement_of(old) {
            return Err(format!(
                "ERR node {} takes the place of node {} already, nothing was changed: start it, or replace \
                 it if it is lost too",
                new.0, old.0
            ));
        }
        let wish = roster.wish(old);
        if wish == Wish::Leave {
            return Err(format!(
                "ERR node {} is being removed already, nothing was changed: add the new node for itself",
                old.0
            ));
        }
        if self.raft.conf().is_voter(old) {
            return Ok(Wish::Replace(old));
        }
        set_wish(roster, old, Wish::Leave);
        Ok(wish)
    }

    /// A node is to be added at the address of a member. If nobody has come yet, it is the one that was
    /// expected: its token is written down, so that whoever leads knows that somebody has come.
    fn add_known(&mut self, id: NodeId, is_join: bool, token: u64) -> Result<Begun, String> {
        let was_met = self
            .node
            .members
            .get(&id)
            .is_some_and(|member| member.connected || member.matched > 0)
            || self.node.machine.was_ever_active(id);
        let is_expected = self.roster().members.get(&id).is_some_and(|enrolled| {
            enrolled.token == 0 && !was_met && !self.raft.conf().is_voter(id)
        });
        if is_join && is_expected {
            let mut roster = self.own_roster();
            roster.members.entry(id).or_default().token = token;
            let entry = self.propose_change(MembershipChange::Keep, &roster)?;
            return Ok(Begun::Proposed(Goal::Applied(entry), Answer::Joined(id)));
        }
        Err(format!(
            "ERR node {} is a member at this address already, nothing was changed; if it lost its data, \
             join with --replace {}, or remove it first",
            id.0, id.0
        ))
    }

    fn begin_remove(&mut self, id: NodeId, force: bool) -> Result<Begun, String> {
        let mut roster = self.own_roster();
        self.must_be_member(id, &roster)?;
        if !self.raft.conf().is_voter(id) {
            roster.members.remove(&id);
            let entry = self.propose_change(MembershipChange::RemoveLearner(id), &roster)?;
            return Ok(Begun::Proposed(Goal::Applied(entry), Answer::Done));
        }
        self.must_be_spared(id, force)?;
        set_wish(&mut roster, id, Wish::Leave);
        let first = self.propose_change(MembershipChange::Demote(id), &roster)?;
        // The next leader removes this one, which does not hear of it.
        let goal = match id == self.node.config.node {
            true => Goal::Applied(first),
            false => Goal::Removed { first, node: id },
        };
        Ok(Begun::Proposed(goal, Answer::Done))
    }

    fn begin_demote(&mut self, id: NodeId, force: bool) -> Result<Begun, String> {
        let mut roster = self.own_roster();
        self.must_be_member(id, &roster)?;
        if !self.raft.conf().is_voter(id) {
            return Err(format!("ERR node {} is a learner already", id.0));
        }
        self.must_be_spared(id, force)?;
        set_wish(&mut roster, id, Wish::Stay);
        let entry = self.propose_change(MembershipChange::Demote(id), &roster)?;
        Ok(Begun::Proposed(Goal::Applied(entry), Answer::Done))
    }

    fn begin_promote(&mut self, id: NodeId) -> Result<Begun, String> {
        let mut roster = self.own_roster();
        self.must_be_member(id, &roster)?;
        if self.raft.conf().is_voter(id) {
            return Ok(Begun::Already(Answer::Done));
        }
        if !self.was_heard(id) {
            return Err(format!(
                "ERR node {} was not heard from yet, nothing was changed: start it first, and wait until \
                 it has caught up",
                id.0
            ));
        }
        let wish = wish_to_vote(&roster, id);
        let Some(change) = next_change(self.raft.conf(), &mut roster, id, wish) else {
            return Ok(Begun::Already(Answer::Done));
        };
        let entry = self.propose_change(change, &roster)?;
        Ok(Begun::Proposed(Goal::Applied(entry), Answer::Done))
    }

    fn must_be_member(&self, id: NodeId, roster: &Roster) -> Result<(), String> {
        match self.raft.conf().contains(id) {
            true => Ok(()),
            false => Err(unknown_id(&self.node, id, roster.next_id)),
        }
    }

    /// Refuses to take the vote of a node if then a failure could not be borne that could be before.
    fn must_be_spared(&self, id: NodeId, force: bool) -> Result<(), String> {
        let voters = &self.raft.conf().voters;
        if voters.len() == 1 {
            return Err(format!(
                "ERR node {} is the only voter, nothing was changed: without it nothing can be decided; \
                 add another node first",
                id.0
            ));
        }
        let spare = |without: Option<NodeId>| {
            let left = voters.iter().filter(|voter| Some(**voter) != without);
            let (mut voters, mut alive) = (0, 0);
            for voter in left {
                voters += 1;
                alive += usize::from(self.is_alive(*voter));
            }
            Spare { voters, alive }
        };
        let (before, after) = (spare(None), spare(Some(id)));
        if after.count() < 0 {
            return Err(format!(
                "ERR only {} of the {} voters that would be left answer, and {} are needed: the quorum \
                 would be lost, nothing was changed; bring the others back, or remove them first",
                after.alive,
                after.voters,
                after.majority()
            ));
        }
        if after.count() < before.count() && after.count() == 0 && !force {
            return Err(format!(
                "ERR all {} voters that answer would then be needed, so that the next failure of one \
                 stops all reads and writes, nothing was changed; FORCE does it all the same",
                after.alive
            ));
        }
        Ok(())
    }

    /// Whether a member is connected and was heard from lately. The leader's word.
    fn is_alive(&self, id: NodeId) -> bool {
        let member = self.node.members.get(&id);
        let is_there = member.is_some_and(|member| member.connected && member.is_alive);
        is_there || id == self.node.config.node
    }
}

/// What came of a change that was asked for.
enum Begun {
    /// It is so already.
    Already(Answer),
    /// It stands in the leader's log.
    Proposed(Goal, Answer),
}

/// The id of a new node: the one that was asked for, or else the next. What is skipped is lost for ever,
/// since ids only rise, so one that is far away is taken for a slip.
fn new_id(wanted: Option<NodeId>, next_id: u64) -> Result<NodeId, String> {
    let next_id = next_id.max(1);
    let id = wanted.map_or(next_id, |id| id.0);
    if id < next_id {
        return Err(format!(
            "ERR id {id} was used before, and ids are not used again: the next free one is {next_id}"
        ));
    }
    if id - next_id > ID_LEAP_MAX {
        return Err(format!(
            "ERR id {id} is far above the next free one, {next_id}, nothing was changed: the ids between \
             could never be used; choose one up to {}",
            next_id.saturating_add(ID_LEAP_MAX)
        ));
    }
    Ok(NodeId(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_and_do_not_leap() {
        assert_eq!(new_id(None, 0), Ok(NodeId(1)));
        assert_eq!(new_id(None, 4), Ok(NodeId(4)));
        assert_eq!(new_id(Some(NodeId(1004)), 4), Ok(NodeId(1004)));
        for (id, said) in [
            (3, "used before"),
            (1005, "choose one up to 1004"),
            (u64::MAX, "far above the next free one, 4"),
        ] {
            let refused = new_id(Some(NodeId(id)), 4).expect_err("refused");
            assert!(refused.contains(said), "{refused}");
        }
    }
}
