//! A node gets a vote only when it can use it: when its leader has heard from it lately, and it lacks few
//! entries (thesis, section 4.2.1). Otherwise the cluster may need a node that is not there, and stand
//! still.

use raft::{Config, LogIndex, NodeId, Role, Status};

use crate::judges::{Fact, Judge, Shadow, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct Promotion {}

impl Promotion {
    /// `id` has got a vote by the leader's entry at `index`.
    fn promoted(
        &self,
        id: NodeId,
        index: LogIndex,
        status: &Status,
        config: &Config,
    ) -> Result<(), Violation> {
        let peer = status.peers.iter().find(|peer| peer.id == id);
        // The turn in which the change was begun may have let some time pass, and brought news.
        let patience = 2 * config.election_timeout_ticks_min;
        let most = config.promotion_lag_max;
        let is_fit = peer.is_some_and(|peer| {
            peer.quiet_ticks < patience && peer.match_index.0 + most >= index.previous().0
        });
        if is_fit {
            return Ok(());
        }
        violation(self, || {
            let leader = status.id;
            let known = peer.map(|peer| (peer.match_index, peer.quiet_ticks));
            format!(
                "{leader} gives {id} a vote at {index}, of which it knows (match, silent ticks) {known:?}; \
                 {most} entries and {patience} ticks are allowed"
            )
        })
    }
}

impl Judge for Promotion {
    fn property(&self) -> &'static str {
        "promotion"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        let Fact::Stepped {
            node,
            view,
            replica,
        } = *fact
        else {
            return Ok(());
        };
        let of = shadow.node(node);
        let is_own = |index| of.held(index).is_some_and(|held| held.term == view.term);
        if view.role != Role::Leader {
            return Ok(());
        }
        let new = of.confs.iter().filter(|(index, _)| *index > of.conf_before);
        for (index, conf) in new.filter(|(index, _)| is_own(*index)) {
            let before = shadow.conf_before(node, index);
            for &id in conf.voters.iter().filter(|id| !before.is_voter(**id)) {
                let raft = replica.raft();
                self.promoted(id, index, &raft.status(), raft.config())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, conf, conf_entry, leader, replica};
    use raft::PeerStatus;

    fn judge(match_index: u64, quiet_ticks: u32) -> Result<(), Violation> {
        let peer = PeerStatus {
            id: NodeId(4),
            voter: true,
            match_index: LogIndex(match_index),
            next_index: LogIndex(match_index + 1),
            replicating: true,
            needs_snapshot: false,
            inflight_messages: 0,
            inflight_bytes: 0,
            quiet_ticks,
            leaving: false,
        };
        let status = Status {
            peers: vec![peer],
            ..replica().raft().status()
        };
        let config = Config {
            promotion_lag_max: 100,
            election_timeout_ticks_min: 10,
            ..Config::new(NodeId(1), [NodeId(1)])
        };
        Promotion::default().promoted(NodeId(4), LogIndex(1_001), &status, &config)
    }

    #[test]
    fn one_that_is_there_and_nearly_caught_up_may_vote() {
        assert_eq!(judge(900, 19), Ok(()));
        assert!(judge(899, 0).is_err());
        assert!(judge(1_000, 20).is_err());
    }

    #[test]
    fn a_vote_for_one_that_the_leader_does_not_know_is_noticed() {
        let mut made_up = MadeUp::with_room(1, 2, Promotion::default());
        made_up.hand(1, 1, &[conf_entry(1, 1, &conf(&[1], &[2]))]);
        made_up.step(1, leader(1, 1, 1));
        made_up.is_well();
        made_up.hand(1, 2, &[conf_entry(1, 2, &conf(&[1, 2], &[]))]);
        made_up.step(1, leader(1, 2, 1));
        made_up.fired("n1 gives n2 a vote at 2");
    }
}
