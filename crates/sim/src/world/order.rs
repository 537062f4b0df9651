//! After the healing, members that come and go must come to rest: changes that were begun are finished or
//! given up, joint configurations are left, learners catch up, and whoever was removed stops.

use std::collections::BTreeSet;

use crate::judges::Violation;
use crate::judges::shadow::is_quorum;
use crate::tape::{Site, SiteKind};
use crate::world::World;
use crate::world::node::Down;

/// How often patience is renewed while something still moves.
const ROUNDS: usize = 300;

impl World {
    /// Of the nodes whose disks are whole, those that stay: at random, but a quorum of every configuration
    /// that may hold.
    pub(super) fn choose_members(&mut self, mut whole: Vec<usize>) -> Vec<usize> {
        let site = Site::new(SiteKind::Liveness, 1);
        for _ in 0..self.tape.below(site, whole.len().max(1) as u64) {
            let nth = self.tape.below(site, whole.len() as u64) as usize;
            let left: BTreeSet<usize> = whole
                .iter()
                .copied()
                .filter(|&node| node != whole[nth])
                .collect();
            let stays = |id: raft::NodeId| left.contains(&(id.0 as usize - 1));
            let confs = self.confs_in_effect();
            if confs.into_iter().all(|conf| is_quorum(conf, stays)) {
                whole.remove(nth);
            }
        }
        whole
    }

    /// New members get their machines, or never.
    pub(super) fn bear_the_last(&mut self) {
        let site = Site::new(SiteKind::Liveness, 2);
        let is_born = self.tape.below(site, 2) == 0;
        self.bear(|_| is_born);
    }

    /// Those of the healed nodes that are members.
    pub(super) fn members_of(&self, healed: &[usize]) -> Vec<usize> {
        let (_, conf) = self.shadow.conf_committed();
        let is_member = |node: &usize| conf.contains(self.nodes[*node].id);
        healed.iter().copied().filter(is_member).collect()
    }

    /// Waits until the members have come to rest. Returns those that run.
    ///
    /// Where a point has leaders resign all the time, each new one is handed all over again what gateways
    /// wait for, and a follower that the quorum needs and that another point sends entries in fours may
    /// never catch up with a log that grows. If it was still sent entries at the end, that is no verdict,
    /// and nothing is returned.
    pub(super) fn demand_order(
        &mut self,
        patience_us: u64,
        healed: &[usize],
    ) -> Option<Vec<usize>> {
        let mut moves = true;
        for _ in 0..ROUNDS {
            let before = self.moved(healed);
            self.wait_for(patience_us, |world| world.missing_order(healed).is_none());
            let conf = self.shadow.conf_committed().0;
            let rest_us = 3 * self.swarm.election_timeout_max_us();
            match self.missing_order(healed) {
                None => self.wait_for(rest_us, |_| false),
                // Nothing moves any more.
                Some(_) if self.moved(healed) == before => {
                    moves = false;
                    break;
                }
                Some(_) => {}
            }
            let is_still = self.shadow.conf_committed().0 == conf;
            if self.failure.is_some() || (is_still && self.missing_order(healed).is_none()) {
                break;
            }
        }
        if self.failure.is_none()
            && let Some(what) = self.missing_order(healed)
        {
            let (_, conf) = self.shadow.conf_committed();
            let lags = self.missing_equality(&self.members_of(healed)).is_some();
            if moves && lags && !conf.is_joint() && !self.leaders_stay() {
                self.report.inconclusive += 1;
                return None;
            }
            self.fail(Violation {
                property: "liveness",
                detail: format!("after healing, the members do not come to rest: {what}; {conf}"),
            });
        }
        Some(self.members_of(healed))
    }

    /// A number that rises while something comes about.
    fn moved(&self, healed: &[usize]) -> u64 {
        let nodes = healed.iter();
        let nodes = nodes.filter_map(|&node| self.nodes[node].process.as_ref());
        let known = nodes.map(|process| {
            let status = process.replica.raft().status();
            let known: u64 = status.peers.iter().map(|peer| peer.match_index.0).sum();
            status.applied.0 + status.durable.0 + known
        });
        let stopped = self.nodes.iter().filter(|node| !node.is_present());
        known.sum::<u64>() + self.snapshot_bytes_arrived() + stopped.count() as u64
    }

    /// What keeps the members from rest.
    fn missing_order(&self, healed: &[usize]) -> Option<String> {
        let (index, conf) = self.shadow.conf_committed();
        if conf.is_joint() {
            return Some(format!("the joint configuration at {index} is not left"));
        }
        let members = self.members_of(healed);
        if let Some(missing) = self.missing_equality(&members) {
            return Some(missing);
        }
        for &node in &members {
            let process = self.nodes[node].process.as_ref()?;
            let has = process.replica.raft().conf();
            if has != conf {
                return Some(format!("n{} has {has}", node + 1));
            }
        }
        // One that knows none of those who are left cannot learn that it is none of them.
        let knows_any = |node: usize| members.iter().any(|&member| self.dials(node, member));
        let stranger = healed.iter().copied().find(|&node| {
            let runs = self.nodes[node].process.is_some() && self.nodes[node].down == Down::No;
            runs && !members.contains(&node) && knows_any(node)
        })?;
        let id = self.nodes[stranger].id;
        let is_new = !self.shadow.is_first(id)
            && !self
                .shadow
                .ledger()
                .confs()
                .iter()
                .any(|(_, conf)| conf.contains(id));
        (!is_new).then(|| format!("{id} was removed, and runs"))
    }
}
