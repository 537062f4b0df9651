//! Changes of the members: asked for by clients of the leader ([`requests`]), who wait for them
//! ([`waiting`]), carried out by Raft, and gone on with by whoever leads ([`wishes`]). Here is what is
//! known of the members: what the log says, and what the shell is told.

mod requests;
mod waiting;
mod wishes;

use std::collections::BTreeMap;

use bytes::Bytes;
use raft::{ConfChange, EntryId, LogIndex, MembershipChange, NodeId};

use crate::bootstrap::Bootstrap;
use crate::config::{Membership, PeerInfo};
use crate::membership::{Roster, Rosters};
use crate::node::Member;

use super::Replica;

pub(crate) use self::waiting::Asked;
use self::waiting::{Goal, Waiting, uncertain};

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
}
