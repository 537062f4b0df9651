//! The people who change the members: they add, promote, demote, remove and replace nodes and move the
//! leadership, by the commands that a server has for it, at whichever node believes that it leads.
//!
//! They ask for anything, sensible or not; refusing is the product's to do. Only one thing they do not ask
//! for, the atlas' rule for disks: what is lost for good stays a minority of every configuration that may
//! hold, also when all that was asked for comes about.

use std::collections::{BTreeMap, BTreeSet};

use raft::{ConfChange, EntryKind, NodeId};
use replica::{ClientId, ClientInfo};
use vfs::Crash;

use crate::report::FaultClass;
use crate::tape::{Site, SiteKind};
use crate::world::World;
use crate::world::nemesis::Undo;
use crate::world::node::Down;

/// What the operators have asked for.
#[derive(Debug, Default)]
pub(super) struct Operator {
    /// Not answered yet.
    asked: Vec<Asked>,
    /// How often each node was asked to be made no voter, without its being known that nothing came of it.
    leaving: BTreeMap<NodeId, u32>,
    /// Machines that were offered: each has an address of its own.
    machines: u64,
}

#[derive(Debug)]
struct Asked {
    node: usize,
    life: u32,
    session: ClientId,
    request: Request,
}

/// A command.
#[derive(Clone, Debug)]
pub(super) enum Request {
    /// A new node.
    Add {
        /// Where its machine is reached, if not at an address of its own.
        peer_addr: Option<String>,
        /// It gets no vote for now.
        is_learner: bool,
        /// In whose place it comes.
        replaces: Option<NodeId>,
        /// The id that it is to have, if not the next one.
        id: Option<NodeId>,
    },
    /// A learner is to vote.
    Promote(NodeId),
    /// A voter is to be a learner, even if then no failure can be borne.
    Demote(NodeId, bool),
    /// A member is to go, even if then no failure can be borne.
    Remove(NodeId, bool),
    /// Another is to lead.
    Transfer(NodeId),
}

impl Request {
    /// Whose vote it takes.
    fn leaver(&self) -> Option<NodeId> {
        match *self {
            Request::Demote(id, _) | Request::Remove(id, _) => Some(id),
            Request::Add { replaces, .. } => replaces,
            Request::Promote(_) | Request::Transfer(_) => None,
        }
    }

    /// The words of the command.
    fn words(&self, machine: u64) -> Vec<String> {
        let words = match self {
            Request::Add {
                peer_addr,
                is_learner,
                replaces,
                id,
            } => {
                let own = || format!("127.0.0.1:{}", 9_000 + machine);
                let address = peer_addr.clone().unwrap_or_else(own);
                // Every other machine asks for itself.
                let mut words =
                    match (machine.is_multiple_of(2) || replaces.is_some()) && id.is_none() {
                        true => format!("JOIN {address} {machine:x}"),
                        false => format!("ADD-NODE {address}"),
                    };
                if let Some(id) = replaces {
                    words += &format!(" REPLACE {}", id.0);
                }
                if let Some(id) = id {
                    words += &format!(" ID {}", id.0);
                }
                if *is_learner {
                    words += " LEARNER";
                }
                words
            }
            Request::Promote(id) => format!("PROMOTE {}", id.0),
            Request::Demote(id, force) => format!("DEMOTE {}{}", id.0, forced(*force)),
            Request::Remove(id, force) => format!("REMOVE-NODE {}{}", id.0, forced(*force)),
            Request::Transfer(id) => format!("TRANSFER {}", id.0),
        };
        let words = words.split(' ').map(str::to_owned);
        std::iter::once("QUORATE".to_owned()).chain(words).collect()
    }
}

fn forced(force: bool) -> &'static str {
    if force { " FORCE" } else { "" }
}

/// A command as a client sends it.
fn encode(words: &[String]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len());
    for word in words {
        bytes += &format!("${}\r\n{word}\r\n", word.len());
    }
    bytes.into_bytes()
}

impl Operator {
    /// Whether this session of a node is one of the operators'.
    pub(super) fn has(&self, node: usize, session: ClientId) -> bool {
        let mut asked = self.asked.iter();
        asked.any(|it| (it.node, it.session) == (node, session))
    }

    fn is_leaving(&self, id: NodeId) -> bool {
        self.leaving.get(&id).is_some_and(|times| *times > 0)
    }
}

impl World {
    /// The operators do something.
    pub(super) fn operate(&mut self, class: FaultClass) {
        use FaultClass as F;
        let Some(leader) = self.pick_leader(class) else {
            return;
        };
        match class {
            F::TwoAdmins => {
                for _ in 0..2 {
                    let Some(leader) = self.pick_leader(class) else {
                        return;
                    };
                    let choices = [
                        F::NodeAdded,
                        F::MemberRemoved,
                        F::LearnerPromoted,
                        F::VoterDemoted,
                        F::LearnerAdded,
                        F::LeadershipMoved,
                    ];
                    let choice = choices[self.below(class, choices.len())];
                    self.ask_for(class, choice, leader);
                }
            }
            F::MemberReplaced => self.replace(leader),
            F::IslandAsked => self.ask_island(leader),
            F::DeadPromoted => self.promote_dead(leader),
            F::RemovedReturns => self.restart_removed(leader),
            // Placed where one begins.
            F::KilledInJoint => {}
            _ => self.ask_for(class, class, leader),
        }
    }

    /// One who believes that it leads.
    fn pick_leader(&mut self, class: FaultClass) -> Option<usize> {
        let leads = |&node: &usize| {
            let process = self.nodes[node].process.as_ref();
            process.is_some_and(|process| process.replica.raft().is_leader())
                && self.nodes[node].is_awake(self.now_us)
        };
        let leaders: Vec<usize> = (0..self.nodes.len()).filter(leads).collect();
        if leaders.is_empty() {
            return None;
        }
        Some(leaders[self.below(class, leaders.len())])
    }

    fn pick_member(&mut self, class: FaultClass, of: &BTreeSet<NodeId>) -> Option<NodeId> {
        if of.is_empty() {
            return None;
        }
        let nth = self.below(class, of.len());
        of.iter().nth(nth).copied()
    }

    /// Asks a leader for one of the plain changes.
    fn ask_for(&mut self, class: FaultClass, what: FaultClass, leader: usize) {
        use FaultClass as F;
        let Some(process) = &self.nodes[leader].process else {
            return;
        };
        let conf = process.replica.raft().conf().clone();
        let own = self.nodes[leader].id;
        let force = self.below(class, 4) == 3;
        let request = match what {
            F::NodeAdded | F::LearnerAdded => Some(Request::Add {
                peer_addr: None,
                is_learner: what == F::LearnerAdded,
                replaces: None,
                id: None,
            }),
            F::LearnerPromoted => self
                .pick_member(class, &conf.learners)
                .map(Request::Promote),
            F::VoterDemoted => {
                let id = self.pick_member(class, &conf.voters);
                id.map(|id| Request::Demote(id, force))
            }
            F::MemberRemoved => {
                let id = self.pick_member(class, &conf.members());
                id.map(|id| Request::Remove(id, force))
            }
            F::LeaderRemoved => Some(Request::Remove(own, force)),
            _ => self.pick_member(class, &conf.voters).map(Request::Transfer),
        };
        if let Some(request) = request {
            self.ask(class, leader, request);
        }
    }

    /// Sends a command to a node, unless it could make what is lost for good a majority.
    fn ask(&mut self, class: FaultClass, node: usize, request: Request) {
        let leaver = request.leaver();
        if !self.is_survivable(None, leaver) {
            return;
        }
        let now = self.nodes[node].clock.at(self.now_us);
        let life = self.nodes[node].life;
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        let is_add = matches!(request, Request::Add { .. });
        // The last ids are kept for machines that take the place of others.
        let kept = match leaver {
            None => (self.swarm.places - self.swarm.nodes) / 2,
            Some(_) => 0,
        };
        // An id that was used before needs no place: it is to be refused.
        let needs_place = matches!(request, Request::Add { id: None, .. });
        if needs_place && process.membership.ids_used_below as usize + kept > self.swarm.places {
            return;
        }
        let info = ClientInfo {
            peer_addr: "127.0.0.1:19999".to_owned(),
            ..ClientInfo::default()
        };
        let Some(session) = process.replica.client_connected(now, info) else {
            return;
        };
        self.operator.machines += u64::from(is_add);
        let words = request.words(self.operator.machines);
        if let Some(id) = leaver {
            *self.operator.leaving.entry(id).or_default() += 1;
        }
        self.operator.asked.push(Asked {
            node,
            life,
            session,
            request,
        });
        self.struck(class, &[node], || words.join(" "));
        let bytes = encode(&words);
        self.input(node, |replica, now| {
            replica.client_received(now, session, &bytes);
        });
    }

    /// A node has answered.
    pub(super) fn operator_hears(&mut self, node: usize, session: ClientId) {
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        let bytes = process.replica.client_output(session).to_vec();
        if bytes.is_empty() {
            return;
        }
        process.replica.client_written(session, bytes.len());
        process.replica.client_disconnected(session);
        let is_answered = |it: &mut Asked| (it.node, it.session) == (node, session);
        let answered: Vec<Asked> = self.operator.asked.extract_if(.., is_answered).collect();
        self.note_bytes(&bytes);
        let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        for Asked { request, .. } in answered {
            let is_refused = bytes.starts_with(b"-") && !bytes.starts_with(b"-UNCERTAIN");
            if is_refused
                && let Some(id) = request.leaver()
                && let Some(times) = self.operator.leaving.get_mut(&id)
            {
                *times = times.saturating_sub(1);
            }
            if let Request::Promote(id) = request
                && bytes.starts_with(b"+")
            {
                self.operator.leaving.remove(&id);
            }
            self.phase(&format!("n{} answers {request:?}: {text}", node + 1));
        }
    }

    /// A process has ended: nobody knows what became of what was asked of it.
    pub(super) fn forget_asked(&mut self, node: usize) {
        let life = self.nodes[node].life;
        let is_over = |it: &Asked| it.node == node && it.life != life;
        self.operator.asked.retain(|it| !is_over(it));
    }

    /// Whether what is lost for good stays a minority of every configuration that may hold, if this node's
    /// disk is lost as well, or this voter loses its vote.
    pub(super) fn is_survivable(&self, lost: Option<usize>, leaver: Option<NodeId>) -> bool {
        let is_lost = |id: &NodeId| {
            let node = id.0 as usize - 1;
            self.nodes[node].is_damaged || lost == Some(node)
        };
        let leaves = |id: &NodeId| Some(*id) == leaver || self.operator.is_leaving(*id);
        self.confs_in_effect().into_iter().all(|conf| {
            // Learners may get a vote at any time.
            let bad = conf.members().iter().filter(|id| is_lost(id)).count();
            let halves = [&conf.voters, &conf.voters_outgoing];
            let mut halves = halves.into_iter().filter(|half| !half.is_empty());
            bad == 0
                || halves.all(|half| {
                    let good = half.iter().filter(|id| !is_lost(id) && !leaves(id));
                    good.count() > bad
                })
        })
    }

    /// A voter is gone, with its disk or without, and another machine takes its place.
    fn replace(&mut self, leader: usize) {
        let class = FaultClass::MemberReplaced;
        let Some(process) = &self.nodes[leader].process else {
            return;
        };
        let mut voters = process.replica.raft().conf().voters.clone();
        voters.remove(&self.nodes[leader].id);
        let down = |id: &&NodeId| self.nodes[id.0 as usize - 1].process.is_none();
        let gone: BTreeSet<NodeId> = voters.iter().filter(down).copied().collect();
        let choices = if gone.is_empty() { voters } else { gone };
        let Some(old) = self.pick_member(class, &choices) else {
            return;
        };
        let node = old.0 as usize - 1;
        let mut peer_addr = None;
        match self.below(class, 3) {
            // It will come back, and find that it is replaced, or is about to be.
            0 => self.kill(node, Crash::LoseUnsynced),
            how if self.is_survivable(Some(node), None) => {
                self.damaged(node);
                self.crash(node, Crash::Process, "lost with its disk");
                self.nodes[node].down = Down::Refused;
                // The same machine, with another disk.
                peer_addr = (how == 1).then(|| self.nodes[node].peer_addr.clone());
            }
            _ => self.kill(node, Crash::LoseUnsynced),
        }
        let request = Request::Add {
            peer_addr,
            is_learner: false,
            replaces: Some(old),
            id: None,
        };
        // The leader has to see that it is gone.
        let wait_us = self.lasts_us(class, 4 * self.swarm.latency_us, 200_000);
        self.undo_later(wait_us, Undo::Ask(class, request));
    }

    /// What was to be asked later is asked now, of whoever leads now.
    pub(super) fn ask_now(&mut self, class: FaultClass, request: Request) {
        if self.is_healing {
            return;
        }
        if let Some(leader) = self.pick_leader(class) {
            self.ask(class, leader, request);
        }
    }

    /// A leader is cut off, and asked to remove all others.
    fn ask_island(&mut self, leader: usize) {
        let class = FaultClass::IslandAsked;
        let Some(process) = &self.nodes[leader].process else {
            return;
        };
        let own = self.nodes[leader].id;
        let others = process.replica.raft().conf().members();
        let links = (0..self.nodes.len()).filter(|&peer| peer != leader);
        let links: Vec<(usize, usize)> = links
            .flat_map(|peer| [(leader, peer), (peer, leader)])
            .collect();
        for &(from, to) in &links {
            self.network.link(from, to).cuts += 1;
        }
        let since_us = self.now_us;
        let lasts_us = self.lasts_us(class, self.swarm.election_timeout_max_us(), 3_000_000);
        self.undo_later(lasts_us, Undo::Uncut { links, since_us });
        for id in others.into_iter().filter(|id| *id != own) {
            self.ask(class, leader, Request::Remove(id, true));
        }
    }

    /// A learner dies, and is to be promoted nevertheless: at once, and when its silence is noticed.
    fn promote_dead(&mut self, leader: usize) {
        let class = FaultClass::DeadPromoted;
        let Some(process) = &self.nodes[leader].process else {
            return;
        };
        let learners = process.replica.raft().conf().learners.clone();
        let Some(id) = self.pick_member(class, &learners) else {
            return;
        };
        let node = id.0 as usize - 1;
        if self.nodes[node].process.is_some() {
            self.kill(node, Crash::LoseUnsynced);
        }
        self.ask(class, leader, Request::Promote(id));
        for _ in 0..3 {
            let longest_us = 2 * self.swarm.election_timeout_max_us();
            let wait_us = self.below(class, longest_us as usize) as u64;
            self.undo_later(wait_us, Undo::Ask(class, Request::Promote(id)));
        }
    }

    /// A node that stopped because it was removed is started again: it must refuse. Or another is to be
    /// added under its id: the leader must refuse.
    fn restart_removed(&mut self, leader: usize) {
        let class = FaultClass::RemovedReturns;
        let is_removed = |&node: &usize| self.nodes[node].down == Down::Removed;
        let removed: Vec<usize> = (0..self.nodes.len()).filter(is_removed).collect();
        if removed.is_empty() {
            return;
        }
        let node = removed[self.below(class, removed.len())];
        if self.below(class, 2) == 1 {
            let request = Request::Add {
                peer_addr: None,
                is_learner: false,
                replaces: None,
                id: Some(self.nodes[node].id),
            };
            return self.ask(class, leader, request);
        }
        self.struck(class, &[node], String::new);
        self.start_removed(node);
    }

    /// A leader has put a joint configuration into its log: it may die now.
    pub(super) fn note_conf(&mut self, node: usize, write: &replica::Write) {
        let class = FaultClass::KilledInJoint;
        if !self.swarm.is_on(class) || self.is_healing {
            return;
        }
        let leads = |process: &crate::world::node::Process| process.replica.raft().is_leader();
        let mut confs = write
            .records
            .iter()
            .filter(|record| record.tag == EntryKind::Membership as u8)
            .filter_map(|record| ConfChange::decode(&record.body).ok());
        if !confs.any(|change| change.conf.is_joint())
            || !self.nodes[node].process.as_ref().is_some_and(leads)
        {
            return;
        }
        let site = Site::new(SiteKind::Fault, class as usize);
        if self.tape.chance(site, 600_000) {
            let wait_us = self.lasts_us(class, 0, 4 * self.swarm.latency_us + self.swarm.disk_us);
            self.struck(class, &[node], || format!("in {wait_us} us"));
            self.undo_later(wait_us, Undo::Kill(node));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_commands_of_a_server() {
        let add = Request::Add {
            peer_addr: None,
            is_learner: true,
            replaces: None,
            id: None,
        };
        assert_eq!(
            add.words(3).join(" "),
            "QUORATE ADD-NODE 127.0.0.1:9003 LEARNER"
        );
        assert_eq!(
            add.words(4).join(" "),
            "QUORATE JOIN 127.0.0.1:9004 4 LEARNER"
        );
        let replace = Request::Add {
            peer_addr: Some("h:1".to_owned()),
            is_learner: false,
            replaces: Some(NodeId(2)),
            id: None,
        };
        assert_eq!(replace.words(11).join(" "), "QUORATE JOIN h:1 b REPLACE 2");
        assert_eq!(replace.leaver(), Some(NodeId(2)));
        let again = Request::Add {
            peer_addr: None,
            is_learner: false,
            replaces: None,
            id: Some(NodeId(3)),
        };
        assert_eq!(
            again.words(4).join(" "),
            "QUORATE ADD-NODE 127.0.0.1:9004 ID 3"
        );
        assert_eq!(Request::Promote(NodeId(2)).leaver(), None);
        assert_eq!(
            encode(&["A".to_owned(), "BC".to_owned()]),
            b"*2\r\n$1\r\nA\r\n$2\r\nBC\r\n"
        );
    }
}
