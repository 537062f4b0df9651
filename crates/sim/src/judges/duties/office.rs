//! A leader that cannot do its office lays it down, and does not take more than it can hold:
//!
//! - it has heard from a quorum within the shortest election timeout (CheckQuorum: thesis, section
//!   6.2), or others would wait for it in vain;
//! - its disk completes writes (hashicorp raft issue 503), unless it is alone;
//! - what it took and nobody has committed is bounded, except for a single proposal.
//!
//! These last, so looking at some steps is enough.

use buggify::Point;
use raft::{Config, NodeId, Role, Status};

use crate::judges::shadow::is_quorum;
use crate::judges::{Fact, Judge, Shadow, Violation, violation};

/// Every so many steps are looked at.
const PERIOD_STEPS: u64 = 16;

/// How many of its longest election timeouts a leader may wait for its disk.
const DISK_TIMEOUTS_MAX: u32 = 2;

/// See the module.
#[derive(Debug, Default)]
pub struct Office {}

impl Office {
    fn leader(&self, status: &Status, config: &Config) -> Result<(), Violation> {
        let (id, term) = (status.id, status.term);
        let conf = &status.conf;
        let hears = |voter: NodeId| {
            let peer = status.peers.iter().find(|peer| peer.id == voter);
            voter == id
                || peer.is_some_and(|peer| peer.quiet_ticks < config.election_timeout_ticks_min)
        };
        if !is_quorum(conf, hears) && !buggify::is_active(Point::LeaderKeepsOffice) {
            return violation(self, || {
                let heard: Vec<NodeId> = conf.all_voters().filter(|&voter| hears(voter)).collect();
                format!("{id} leads term {term} and hears {heard:?}, itself included, with {conf}")
            });
        }
        let patience = config.election_timeout_ticks_max * DISK_TIMEOUTS_MAX;
        if !conf.is_only_voter(id) && status.disk_stalled_ticks > patience {
            return violation(self, || {
                let stalled = status.disk_stalled_ticks;
                format!("{id} leads term {term} on a disk that has hung for {stalled} ticks")
            });
        }
        let (bytes, bytes_max) = (status.uncommitted_bytes, config.uncommitted_bytes_max);
        let before_newest = bytes.saturating_sub(status.uncommitted_newest_bytes);
        if before_newest >= bytes_max && status.uncommitted_proposals > 1 {
            return violation(self, || {
                let proposals = status.uncommitted_proposals;
                format!(
                    "{id} has taken {proposals} proposals of {bytes} bytes that are not committed; \
                     {bytes_max} are allowed"
                )
            });
        }
        Ok(())
    }
}

impl Judge for Office {
    fn property(&self) -> &'static str {
        "office"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match *fact {
            Fact::Stepped { view, replica, .. }
                if view.role == Role::Leader && shadow.steps().is_multiple_of(PERIOD_STEPS) =>
            {
                let raft = replica.raft();
                self.leader(&raft.status(), raft.config())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use raft::{EntryId, LogIndex, PeerStatus, Term};

    fn status() -> Status {
        let peer = |id| PeerStatus {
            id: NodeId(id),
            voter: true,
            match_index: LogIndex(1),
            next_index: LogIndex(2),
            replicating: true,
            needs_snapshot: false,
            inflight_messages: 0,
            inflight_bytes: 0,
            quiet_ticks: 9,
            leaving: false,
        };
        Status {
            id: NodeId(1),
            role: Role::Leader,
            term: Term(3),
            leader: Some(NodeId(1)),
            vote: Some(NodeId(1)),
            commit: LogIndex(1),
            applied: LogIndex(1),
            durable: LogIndex(1),
            snapshot: EntryId::ZERO,
            first: LogIndex(1),
            last: EntryId::new(3, 1),
            conf: raft::ConfState::of_voters((1..=3).map(NodeId)),
            conf_index: LogIndex(0),
            peers: vec![peer(2), peer(3)],
            transferring: None,
            uncommitted_bytes: 1_000,
            uncommitted_newest_bytes: 500,
            uncommitted_proposals: 2,
            disk_stalled_ticks: 40,
            log_cache_bytes: 0,
            reads_waiting: 0,
        }
    }

    fn judge(change: impl FnOnce(&mut Status)) -> Result<(), String> {
        let config = Config {
            uncommitted_bytes_max: 1_000,
            ..Config::new(NodeId(1), (1..=3).map(NodeId))
        };
        let mut status = status();
        change(&mut status);
        let outcome = Office::default().leader(&status, &config);
        outcome.map_err(|violation| violation.to_string())
    }

    #[test]
    fn a_leader_at_its_limits_is_well() {
        assert_eq!(judge(|_| {}), Ok(()));
        assert_eq!(judge(|status| status.peers[0].quiet_ticks = 99), Ok(()));
        let one_large = |status: &mut Status| {
            status.uncommitted_bytes = 5_000;
            status.uncommitted_proposals = 1;
        };
        assert_eq!(judge(one_large), Ok(()));
        let alone = |status: &mut Status| {
            status.peers.clear();
            status.conf = raft::ConfState::of_voters([NodeId(1)]);
            status.disk_stalled_ticks = 99;
        };
        assert_eq!(judge(alone), Ok(()));
    }

    #[test]
    fn a_leader_that_neglects_its_office_is_noticed() {
        let silent = judge(|status| {
            for peer in &mut status.peers {
                peer.quiet_ticks = 10;
            }
        });
        assert!(silent.is_err_and(|text| text.contains("hears [NodeId(1)]")));
        let hangs = judge(|status| status.disk_stalled_ticks = 41);
        assert!(hangs.is_err_and(|text| text.contains("hung for 41 ticks")));
        let greedy = judge(|status| status.uncommitted_bytes = 1_500);
        assert!(greedy.is_err_and(|text| text.contains("2 proposals of 1500 bytes")));
    }
}
