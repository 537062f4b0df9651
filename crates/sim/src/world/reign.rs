//! Leaders when all is well: nobody deposes them without need, and whoever has got ahead of them finds its
//! way back.

use buggify::Point;
use raft::{NodeId, Term, TimeoutNow};
use replica::PeerMessage;

use crate::judges::Violation;
use crate::world::World;

/// How long a leader is watched.
const STABLE_US: u64 = 3_000_000;

impl World {
    /// Who leads, and in which term, unless something may rightly end it: a point that has leaders
    /// resign, or delays that are as long as an election timeout.
    pub(super) fn reign(&self, core: &[usize]) -> Option<(Option<NodeId>, Term)> {
        let may_resign = self.swarm.points.contains(&Point::ResignUnasked);
        let may_be_late = self.swarm.jitter_us * 16 > self.swarm.election_timeout_ms * 1000;
        if may_resign || may_be_late {
            return None;
        }
        let view = self.views(core).ok()?[0];
        Some((view.leader, view.term))
    }

    /// Nobody deposes a leader without need.
    pub(super) fn demand_stability(
        &mut self,
        reign: Option<(Option<NodeId>, Term)>,
        core: &[usize],
    ) {
        let Some((leader, term)) = reign.filter(|_| self.failure.is_none()) else {
            return;
        };
        self.wait_for(STABLE_US, |_| false);
        let now = self
            .views(core)
            .map(|views| (views[0].leader, views[0].term));
        if now != Ok((leader, term)) {
            self.fail(Violation {
                property: "stability",
                detail: format!(
                    "{leader:?} led in {term}, nothing was wrong, and now it is {now:?}"
                ),
            });
        }
    }

    /// A node stands because it was told to, and nobody hears it: it has got ahead of the leader's term.
    /// As votes are ignored under a live leader, it must learn of the leader, and the leader of it, by
    /// other means (etcd pull request 5468).
    pub(super) fn demand_rejoin(&mut self, patience_us: u64, core: &[usize]) {
        let Ok(views) = self.views(core) else {
            return;
        };
        let (leader, term) = (views[0].leader, views[0].term);
        let follower = core
            .iter()
            .copied()
            .find(|&node| Some(self.nodes[node].id) != leader);
        let (Some(leader), Some(node), true) = (leader, follower, self.failure.is_none()) else {
            return;
        };
        self.cut_off(node, true);
        let told = PeerMessage::Raft(TimeoutNow { term }.into());
        self.input(node, |replica, now| replica.peer_message(now, leader, told));
        let id = self.nodes[node].id;
        self.wait_for(patience_us, |world| {
            world.shadow.node(id).durable.promise().term > term
        });
        self.wait_for(self.swarm.turn_us + 1, |_| false);
        self.cut_off(node, false);
        self.demand_equality(patience_us, core);
    }

    /// Cuts all links of a node, or restores them.
    fn cut_off(&mut self, node: usize, cut: bool) {
        for peer in (0..self.nodes.len()).filter(|&peer| peer != node) {
            for (from, to) in [(node, peer), (peer, node)] {
                self.network.link(from, to).cuts = u32::from(cut);
            }
        }
    }
}
