//! Changes of the members: asked for by clients of the leader, carried out by Raft, gone on with by
//! whoever leads.

use std::collections::BTreeMap;

use buggify::Canary;
use bytes::Bytes;
use kv::CommandSpec;
use raft::{ConfChange, ConfState, EntryId, LogIndex, MembershipChange, NodeId};
use resp::Encoder;

use crate::bootstrap::Bootstrap;
use crate::commands::quorate::{Request, not_leader, unknown_id};
use crate::config::{ClientId, Membership, PeerInfo};
use crate::deferred::Deferred;
use crate::membership::{Enrolled, Roster, Rosters, Wish};
use crate::node::{Member, Node};

use super::Replica;

/// How far above the next free id that of a new node may be.
const ID_LEAP_MAX: u64 = 1000;

/// What is under way, and what waits for it.
#[derive(Debug)]
pub(crate) struct Changes {
    /// Rosters in the log that are not applied.
    rosters: Rosters,
    /// Who asked for a change and waits for it, oldest first.
    waiting: Vec<Waiting>,
    /// The latest configuration or roster is another than the one that was told.
    is_dirty: bool,
    /// What the shell was told last.
    told: Membership,
    /// Whether it was told anything.
    is_told: bool,
    /// Peers that are connected and not members, as far as is known here: they may become members.
    strangers: BTreeMap<NodeId, PeerInfo>,
}

/// A client that waits for a change.
#[derive(Debug)]
struct Waiting {
    deferred: Deferred,
    goal: Goal,
    answer: Answer,
    deadline_us: u64,
}

/// When a change is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    /// When this entry is applied.
    Applied(EntryId),
    /// When the entry is applied, and then one that takes the node away.
    Removed { first: EntryId, node: NodeId },
    /// The same, with the first entry applied.
    Gone(NodeId),
    /// When the node leads.
    Leads(NodeId),
}

/// What comes of a request.
#[derive(Debug)]
pub(crate) enum Asked {
    /// It is done.
    Done(Answer),
    /// The client is answered later.
    Waits,
}

/// What a client is told of a change that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// That it was.
    Done,
    /// The id of the new node.
    Id(NodeId),
    /// The id, and what a node that joins needs to know.
    Joined(NodeId),
}

impl Answer {
    pub(crate) fn write(self, node: &Node, out: &mut Encoder<'_>) {
        match self {
            Answer::Done => out.ok(),
            Answer::Id(id) => out.integer(id.0 as i64),
            Answer::Joined(id) => {
                let config = &node.config;
                out.array(4);
                out.integer(id.0 as i64);
                out.bulk(format!("{:016x}", config.cluster.0).as_bytes());
                out.bulk(config.info.cluster_name.as_bytes());
                let others: Vec<_> = node.members.iter().filter(|(of, _)| **of != id).collect();
                out.array(2 * others.len());
                for (id, member) in others {
                    out.integer(id.0 as i64);
                    out.bulk(member.peer_addr.as_bytes());
                }
            }
        }
    }
}

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

impl Changes {
    pub(crate) fn new() -> Changes {
        Changes {
            rosters: Rosters::default(),
            waiting: Vec::new(),
            is_dirty: true,
            told: Membership::default(),
            is_told: false,
            strangers: BTreeMap::new(),
        }
    }

    /// What the shell was told may not be so any more.
    pub(super) fn mark_dirty(&mut self) {
        self.is_dirty = true;
    }
}

impl Replica {
    /// The roster in effect.
    fn roster(&self) -> &Roster {
        self.changes.rosters.latest(&self.node.machine.roster)
    }

    /// Takes note of what a write does to the log: rosters count from the moment their entry stands
    /// there.
    pub(super) fn note_appended(&mut self, persist: &raft::Persist) {
        if let Some(first) = persist.truncate_from {
            self.changes.rosters.truncate_from(first);
            self.changes.is_dirty = true;
        }
        for entry in &persist.entries {
            self.check_level_of(entry);
            if entry.kind == raft::EntryKind::Membership {
                self.changes.is_dirty = true;
                if let Some(roster) = self.read_roster(&entry.payload) {
                    self.changes.rosters.append(entry.id.index, roster);
                }
            }
        }
    }

    /// The roster in a membership entry; `None` if it brings none: then the last one stays.
    fn read_roster(&mut self, payload: &Bytes) -> Option<Roster> {
        let context = match ConfChange::decode(payload) {
            Ok(change) => change.context,
            Err(error) => {
                self.fatal = Some(error.to_string());
                return None;
            }
        };
        if context.is_empty() {
            return None;
        }
        match Roster::decode(&context) {
            Ok(roster) => Some(roster),
            Err(error) => {
                self.fatal = Some(error.to_string());
                None
            }
        }
    }

    /// Applies the record that the log begins with: it names the first members.
    pub(super) fn apply_bootstrap(&mut self, record: Bootstrap) {
        if let Err(error) = self.node.config.feature_levels.check(record.feature_level) {
            self.fatal = Some(error.to_string());
            return;
        }
        self.node.machine.bootstrap(record);
        self.changes.is_dirty = true;
    }

    /// Applies a membership entry.
    pub(super) fn apply_membership(&mut self, id: EntryId, payload: &Bytes) {
        if let Some(roster) = self.read_roster(payload) {
            self.node.machine.roster = roster;
        }
        self.changes.is_dirty = true;
        for waiting in &mut self.changes.waiting {
            if let Goal::Removed { first, node } = waiting.goal
                && first == id
            {
                waiting.goal = Goal::Gone(node);
            }
        }
        let is_applied = |waiting: &mut Waiting| waiting.goal == Goal::Applied(id);
        let done: Vec<Waiting> = self.changes.waiting.extract_if(.., is_applied).collect();
        for waiting in done {
            self.answer(waiting, Ok(()));
        }
    }

    /// Everything up to `index` is applied: rosters behind it stay undecided.
    pub(super) fn note_applied(&mut self, index: LogIndex) {
        if !self.changes.rosters.is_settled() {
            self.changes.rosters.applied(index);
        }
    }

    /// The state was replaced by that of a snapshot of the entries up to `index`: what became of changes
    /// in between is not known.
    pub(super) fn forget_changes(&mut self, index: LogIndex) {
        self.changes.rosters.applied(index);
        let end = self.raft.last_index().next();
        self.changes.rosters.truncate_from(end);
        self.changes.is_dirty = true;
        for waiting in std::mem::take(&mut self.changes.waiting) {
            let text = uncertain(&waiting, self.node.now.mono_us);
            self.answer(waiting, Err(text));
        }
    }

    /// Brings what this node and its shell know of the members in line with the configuration. Returns
    /// what the shell has to be told.
    pub(super) fn refresh_membership(&mut self) -> Option<Membership> {
        let is_leader = self.raft.is_leader();
        if !self.changes.is_dirty && is_leader == self.changes.told.is_leader {
            return None;
        }
        self.changes.is_dirty = false;
        self.sync_members();
        let membership = Membership {
            members: self.connected_members(),
            ids_used_below: self.node.machine.roster.next_id,
            is_removed: self.is_removed(),
            is_leader,
            feature_level: self.node.machine.feature_level(),
        };
        self.answer_gone();
        if self.changes.is_told && membership == self.changes.told {
            return None;
        }
        self.changes.is_told = true;
        self.changes.told = membership.clone();
        Some(membership)
    }

    /// Whether this node was removed: its id was given away by an applied entry, and is no member's by
    /// a committed one. (One that joins is no member before the entry that gives its id away.)
    fn is_removed(&self) -> bool {
        let own = self.node.config.node;
        let is_given = own.0 < self.node.machine.roster.next_id;
        let committed = self.raft.conf_committed().1;
        let is_known = !committed.is_empty();
        is_given && is_known && !committed.contains(own) && !self.raft.conf().contains(own)
    }

    /// The members by the latest configuration and by the last committed one. A node that belongs to
    /// none yet knows those that it was told to join.
    fn connected_members(&self) -> BTreeMap<NodeId, String> {
        let mut ids = self.raft.conf().members();
        if ids.is_empty() {
            return self.node.config.members.clone();
        }
        ids.extend(self.raft.conf_committed().1.members());
        ids.into_iter()
            .map(|id| (id, self.address_of(id)))
            .collect()
    }

    /// Where a member is reached: as the roster says, or as this node was told at its start.
    fn address_of(&self, id: NodeId) -> String {
        let config = &self.node.config;
        let configured = || {
            let found = config.addresses.get(&id).or(config.members.get(&id));
            found.cloned()
        };
        let address = self.roster().address(id).map(str::to_owned);
        let address = address.filter(|address| !address.is_empty());
        address.or_else(configured).unwrap_or_default()
    }

    /// Makes the members that commands see those of the latest configuration.
    fn sync_members(&mut self) {
        let conf = self.raft.conf().clone();
        self.node.consensus.is_changing = self.is_changing();
        if conf.is_empty() {
            return;
        }
        let ids = conf.members();
        self.node.members.retain(|id, _| ids.contains(id));
        for id in ids {
            let peer_addr = self.address_of(id);
            let wish = self.roster().wish(id);
            if !self.node.members.contains_key(&id) {
                let member = self.new_member(id);
                self.node.members.insert(id, member);
            }
            let Some(member) = self.node.members.get_mut(&id) else {
                continue;
            };
            member.peer_addr = peer_addr;
            member.votes = conf.is_voter(id);
            member.wish = wish;
        }
    }

    /// A member that has just become one, as far as it is known.
    fn new_member(&mut self, id: NodeId) -> Member {
        let is_self = id == self.node.config.node;
        let met = match is_self {
            true => Some(PeerInfo {
                client_addr: self.node.config.client_addr.clone(),
                version: self.node.config.info.version.clone(),
                incarnation: self.node.config.incarnation,
                feature_level: self.node.config.feature_levels.newest,
            }),
            false => self.changes.strangers.remove(&id),
        };
        let connected = met.is_some();
        let info = met.unwrap_or_default();
        Member {
            client_addr: info.client_addr,
            version: info.version,
            feature_level: info.feature_level,
            connected,
            is_alive: true,
            ..Member::default()
        }
    }

    /// A peer is connected that is not a member yet, as far as is known here.
    pub(super) fn stranger_connected(&mut self, peer: NodeId, info: PeerInfo) {
        self.changes.strangers.insert(peer, info);
    }

    /// It is not connected any more.
    pub(super) fn stranger_disconnected(&mut self, peer: NodeId) {
        self.changes.strangers.remove(&peer);
    }

    /// Whether a change is not committed, or its joint configuration not left.
    pub(super) fn is_changing(&self) -> bool {
        self.raft.conf() != self.raft.conf_committed().1 || self.raft.conf().is_joint()
    }

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

    /// Whether a learner holds any of the log. One that was just added counts as alive until it has
    /// been silent for long enough, and may lack little: it must not get a vote before it was started.
    fn was_heard(&self, id: NodeId) -> bool {
        let member = self.node.members.get(&id);
        member.is_some_and(|member| member.matched > 0)
    }

    /// A copy of the roster to be changed, without those that have gone, and with this node's own
    /// address as it is now: that of a cluster of one may have been set since its birth.
    fn own_roster(&self) -> Roster {
        let mut roster = self.roster().clone();
        let conf = self.raft.conf();
        roster.members.retain(|id, _| conf.contains(*id));
        let own = self.node.config.node;
        if let Some(address) = self.node.config.members.get(&own)
            && self.node.config.serves_peers
        {
            roster.members.entry(own).or_default().peer_addr = address.clone();
        }
        roster
    }

    fn propose_change(
        &mut self,
        change: MembershipChange,
        roster: &Roster,
    ) -> Result<EntryId, String> {
        match self.raft.propose_membership(change, roster.encode()) {
            Ok(id) => Ok(id),
            Err(error) => Err(format!("ERR {error}, nothing was changed")),
        }
    }

    /// As the leader, goes on with what rosters say is still to be done: one change at a time.
    pub(super) fn pursue_wishes(&mut self) {
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

    /// Answers those who wait for what time decides: deadlines, lost entries, transfers.
    pub(super) fn tick_changes(&mut self) {
        let now_us = self.node.now.mono_us;
        let applied = self.node.consensus.applied;
        let leader = self.raft.leader();
        let is_transferring = self.raft.status().transferring.is_some();
        let own = self.node.config.node;
        let mut decided = Vec::new();
        let waiting = std::mem::take(&mut self.changes.waiting);
        for one in waiting {
            let outcome = match one.goal {
                Goal::Applied(entry) | Goal::Removed { first: entry, .. }
                    if entry.index <= applied =>
                {
                    Some(Err(LOST.to_owned()))
                }
                Goal::Leads(to) if leader == Some(to) => Some(Ok(())),
                Goal::Leads(to) if leader == Some(own) && !is_transferring => Some(Err(format!(
                    "ERR node {} did not take over within the election timeout, node {} goes on leading",
                    to.0, own.0
                ))),
                _ if one.deadline_us <= now_us => Some(Err(uncertain(&one, now_us))),
                _ => None,
            };
            match outcome {
                Some(outcome) => decided.push((one, outcome)),
                None => self.changes.waiting.push(one),
            }
        }
        for (one, outcome) in decided {
            self.answer(one, outcome);
        }
    }

    /// Answers those who wait for a node to be gone, if it is, by a committed entry.
    fn answer_gone(&mut self) {
        let conf = self.raft.conf_committed().1.clone();
        let is_gone = |waiting: &mut Waiting| matches!(waiting.goal, Goal::Gone(node) if !conf.contains(node));
        let done: Vec<Waiting> = self.changes.waiting.extract_if(.., is_gone).collect();
        for waiting in done {
            self.answer(waiting, Ok(()));
        }
    }

    fn answer(&mut self, waiting: Waiting, outcome: Result<(), String>) {
        let Waiting {
            deferred, answer, ..
        } = waiting;
        self.answer_deferred(&deferred, |node, out| match outcome {
            Ok(()) => answer.write(node, out),
            Err(text) => out.error(&text),
        });
    }
}

/// What came of a change that was asked for.
enum Begun {
    /// It is so already.
    Already(Answer),
    /// It stands in the leader's log.
    Proposed(Goal, Answer),
}

/// The entry of a change is not in the log, and never will be.
const LOST: &str =
    "ERR another leader took over before the change was committed, nothing was changed: ask again";

fn uncertain(waiting: &Waiting, now_us: u64) -> String {
    let waited_ms = waiting.deferred.waited_ms(now_us);
    match waiting.goal {
        Goal::Gone(node) => format!(
            "UNCERTAIN node {} has no vote any more, and was not removed within {waited_ms} ms: the \
             leader goes on with it; QUORATE MEMBERS tells how far it is",
            node.0
        ),
        Goal::Leads(node) => format!(
            "UNCERTAIN node {} is not known to lead after {waited_ms} ms; QUORATE MEMBERS tells who does",
            node.0
        ),
        Goal::Applied(_) | Goal::Removed { .. } => format!(
            "UNCERTAIN the change was not confirmed within {waited_ms} ms, it may or may not take \
             effect; QUORATE MEMBERS tells"
        ),
    }
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

fn set_wish(roster: &mut Roster, id: NodeId, wish: Wish) {
    roster.members.entry(id).or_default().wish = wish;
}

/// What is wished for a node that is to vote now: one that stands for a replacement takes that place,
/// and no seat of its own, or else the dead voter would stay one.
fn wish_to_vote(roster: &Roster, id: NodeId) -> Wish {
    match roster.wish(id) {
        place @ Wish::Replace(_) => place,
        _ => Wish::Vote,
    }
}

/// The next step towards a wish, with the roster as it is to be then. `None` if there is none.
fn next_change(
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
