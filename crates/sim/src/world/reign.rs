//! Leaders when all is well: nobody deposes them without need, and whoever has got ahead of them finds its
//! way back.

use buggify::Point;
use raft::{NodeId, Term, TimeoutNow};
use replica::PeerMessage;

use crate::judges::Violation;
use crate::judges::shadow::is_quorum;
use crate::world::World;

impl World {
    /// Whether leaders stay unless something is wrong: no point has leaders resign or nodes stand, and
    /// delays are much shorter than an election timeout.
    pub(super) fn leaders_stay(&self) -> bool {
        let restless = [Point::ResignUnasked, Point::CampaignUnasked];
        let is_restless = restless
            .iter()
            .any(|point| self.swarm.points.contains(point));
        !is_restless && self.swarm.jitter_us * 16 <= self.swarm.election_timeout_ms * 1000
    }

    /// Nobody deposes a leader that others hear. A follower that does not hear it, and is heard by all,
    /// asks in vain for their votes (thesis, sections 4.2.3 and 9.6).
    pub(super) fn demand_stability(&mut self, core: &[usize]) {
        let Some((leader, term, node)) = self.reign(core) else {
            return;
        };
        let (_, conf) = self.shadow.conf_committed();
        let is_left = |id: NodeId| core.contains(&(id.0 as usize - 1)) && id != self.nodes[node].id;
        if !self.leaders_stay() || !is_quorum(conf, is_left) {
            return;
        }
        let leads = leader.0 as usize - 1;
        self.network.link(leads, node).cuts = 1;
        self.wait_for(3 * self.swarm.election_timeout_max_us(), |_| false);
        self.network.link(leads, node).cuts = 0;
        let others: Vec<usize> = core.iter().copied().filter(|&one| one != node).collect();
        let now = self.reign(&others).map(|(leader, term, _)| (leader, term));
        if now != Some((leader, term)) && self.failure.is_none() {
            self.fail(Violation {
                property: "stability",
                detail: format!(
                    "{leader} led in {term}, only n{} did not hear it, and now it is {now:?}",
                    node + 1
                ),
            });
        }
    }

    /// Who leads in which term, and one who follows. Nothing if a property broke.
    fn reign(&self, core: &[usize]) -> Option<(NodeId, Term, usize)> {
        let view = self.views(core).ok()?[0];
        let leader = view.leader.filter(|_| self.failure.is_none())?;
        let (_, conf) = self.shadow.conf_committed();
        let follows = |&node: &usize| {
            let id = self.nodes[node].id;
            id != leader && conf.is_voter(id)
        };
        let follower = core.iter().copied().find(follows)?;
        Some((leader, view.term, follower))
    }

    /// A node stands because it was told to, and nobody hears it: it has got ahead of the leader's term.
    /// As votes are ignored under a live leader, it must learn of the leader, and the leader of it, by
    /// other means (etcd pull request 5468).
    pub(super) fn demand_rejoin(&mut self, patience_us: u64, core: &[usize]) {
        let Some((leader, term, node)) = self.reign(core) else {
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
