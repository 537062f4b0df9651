//! Who may speak with whom while members come and go: the part of the server's peer handling that goes by
//! the members ([`replica::Membership`]), and the end of nodes that were removed.
//!
//! A node dials the members that it knows, at the addresses that it knows. Whoever answers judges the one
//! who asks by its own knowledge, and the other way around. A node that learns that it was removed, from
//! its own log or from a member that refuses it, marks its data directory and stops for good.

use std::collections::BTreeMap;

use raft::{ConfState, LogIndex, NodeId};
use replica::{Disconnect, Membership};
use vfs::Crash;

use crate::judges::Fact;
use crate::world::World;
use crate::world::node::{Down, Node};
use crate::world::queue::Event;

/// Why a node is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// It was removed.
    Removed,
    /// Whoever leads has not heard of it.
    Unknown,
}

impl Node {
    /// Whether it has a machine, and may run on it again.
    pub(super) fn is_present(&self) -> bool {
        !matches!(self.down, Down::Unborn | Down::Removed)
    }

    /// What its process was told of the members last.
    fn membership(&self) -> Option<&Membership> {
        self.process.as_ref().map(|process| &process.membership)
    }

    /// Whether it dials another.
    fn dials(&self, other: &Node) -> bool {
        let address = self
            .membership()
            .and_then(|known| known.members.get(&other.id));
        address.is_some_and(|address| *address == other.peer_addr)
    }

    /// Why it does not let another in, if it does not.
    fn refusal(&self, other: NodeId) -> Option<Refusal> {
        let known = self.membership()?;
        match () {
            () if known.members.contains_key(&other) => None,
            () if other.0 < known.ids_used_below => Some(Refusal::Removed),
            () if known.is_leader => Some(Refusal::Unknown),
            () => None,
        }
    }
}

impl World {
    /// Whether one of two nodes dials the other.
    pub(super) fn is_wanted(&self, one: usize, other: usize) -> bool {
        let (one, other) = (&self.nodes[one], &self.nodes[other]);
        !self.swarm.churns || one.dials(other) || other.dials(one)
    }

    /// Whether a node dials another.
    pub(super) fn dials(&self, node: usize, peer: usize) -> bool {
        !self.swarm.churns || self.nodes[node].dials(&self.nodes[peer])
    }

    /// Whether two nodes that meet let each other in, by what they know of the members.
    pub(super) fn let_each_other_in(&mut self, one: usize, other: usize) -> bool {
        if !self.swarm.churns {
            return true;
        }
        for (dialler, acceptor) in [(one, other), (other, one)] {
            if !self.dials(dialler, acceptor) {
                continue;
            }
            let (asks, answers) = (&self.nodes[dialler], &self.nodes[acceptor]);
            match answers.refusal(asks.id) {
                Some(Refusal::Removed) => {
                    let text = format!("removed, says n{}", acceptor + 1);
                    self.retire(dialler, &text);
                    return false;
                }
                Some(Refusal::Unknown) => {}
                None if asks.refusal(answers.id).is_none() => return true,
                None => {}
            }
        }
        self.connect_later(one, other);
        false
    }

    /// A replica tells its shell who belongs to the cluster.
    pub(super) fn membership_told(&mut self, node: usize, membership: &Membership) {
        if !self.swarm.churns {
            return;
        }
        if let Some(process) = &mut self.nodes[node].process {
            process.membership.clone_from(membership);
        }
        for peer in (0..self.nodes.len()).filter(|&peer| peer != node) {
            let id = self.nodes[peer].id;
            if membership.members.contains_key(&id) {
                self.connect_later(node, peer);
            } else if id.0 < membership.ids_used_below {
                // This end knows why; the other sees the end of the stream.
                self.break_connection_with(node, peer, [Disconnect::Lost, Disconnect::Reset]);
            }
        }
    }

    /// A node has learnt that it was removed: it stops, and its data directory is not used again.
    pub(super) fn retire(&mut self, node: usize, text: &str) {
        let id = self.nodes[node].id;
        self.see(&Fact::Retired { node: id });
        self.nodes[node].is_retired = true;
        let Some(process) = &mut self.nodes[node].process else {
            return;
        };
        let is_marked = process.dir.set_removed().is_ok();
        let how = match self.nodes[node].vfs.halted_in() {
            Some(_) => self.power_failure(node),
            None => Crash::Process,
        };
        self.crash(node, how, text);
        match is_marked {
            true => self.nodes[node].down = Down::Removed,
            // It will be told again.
            false => self.restart_later(node),
        }
    }

    /// Starts machines for members that have none yet, with a certain chance each.
    pub(super) fn bear(&mut self, mut is_now: impl FnMut(&mut World) -> bool) {
        let members = self.shadow.conf_committed().1.members();
        for node in 0..self.nodes.len() {
            let place = &self.nodes[node];
            if place.down != Down::Unborn || !members.contains(&place.id) || !is_now(self) {
                continue;
            }
            let Some(charter) = self.charter_of(node) else {
                continue;
            };
            let place = &mut self.nodes[node];
            place.peer_addr = charter.get(&place.id).cloned().unwrap_or_default();
            place.charter = Some(charter);
            place.down = Down::Restarts;
            let life = place.life;
            self.phase(&format!("n{} gets a machine", node + 1));
            self.queue.push(self.now_us, Event::Start { node, life });
        }
    }

    /// What a node that joins is told: the members and their addresses, its own included.
    fn charter_of(&self, node: usize) -> Option<BTreeMap<NodeId, String>> {
        let id = self.nodes[node].id;
        let known = self.nodes.iter().filter_map(Node::membership);
        let mut telling =
            known.filter(|known| known.members.get(&id).is_some_and(|at| !at.is_empty()));
        telling.next().map(|known| known.members.clone())
    }

    /// The configurations that may hold: the latest that is committed, and those behind it in any log.
    pub(super) fn confs_in_effect(&self) -> Vec<&ConfState> {
        let (index, committed) = self.shadow.conf_committed();
        let mut confs = vec![committed];
        for (_, node) in self.shadow.nodes() {
            let later = node.confs.iter().rev();
            let later = later.take_while(|(at, _): &(LogIndex, _)| *at > index);
            confs.extend(later.map(|(_, conf)| conf));
        }
        confs
    }
}
