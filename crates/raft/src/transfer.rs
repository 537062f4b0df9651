//! Handing leadership over (thesis, section 3.10).
//!
//! The leader stops taking proposals, brings the target up to its last entry, and tells it to start
//! an election at once. If the target has not won within an election timeout, the leader goes on as
//! before. The state of a transfer lives in the leader's own, so that it cannot outlive the
//! leadership (hashicorp raft issue 696: writes blocked for ever).

use buggify::Canary;

use crate::error::TransferError;
use crate::message::TimeoutNow;
use crate::raft::{Leader, Raft, State};
use crate::types::NodeId;

/// A transfer under way.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Transfer {
    pub(crate) to: NodeId,
    /// Ticks since it began.
    pub(crate) ticks: u32,
    /// The target was told.
    told: bool,
}

impl Raft {
    /// Hands leadership to `to`, or to the most up-to-date of the voters heard from lately. Returns
    /// the target. That it has succeeded shows in the soft state; until then, or until an election
    /// timeout has passed, proposals are refused.
    ///
    /// # Errors
    /// If this node does not lead, or the target cannot.
    pub fn transfer_leadership(&mut self, to: Option<NodeId>) -> Result<NodeId, TransferError> {
        let known_leader = self.leader();
        let State::Leader(leader) = &mut self.state else {
            return Err(TransferError::NotLeader {
                leader: known_leader,
            });
        };
        if let Some(transfer) = &leader.transfer {
            return Err(TransferError::InProgress { to: transfer.to });
        }
        // In a joint configuration, one that is to stay: the others would hand over again.
        let conf = self.confs.latest();
        let to = match to {
            Some(to) if to == self.config.id || !conf.voters.contains(&to) => {
                return Err(TransferError::NotAnotherVoter { to });
            }
            Some(to) => to,
            None => leader
                .progress
                .iter()
                .filter(|(node, _)| conf.voters.contains(node))
                .filter(|(_, peer)| peer.quiet_ticks < self.config.election_timeout_ticks_min)
                .max_by_key(|(node, peer)| (peer.match_index, std::cmp::Reverse(**node)))
                .map(|(node, _)| *node)
                .ok_or(TransferError::NobodyReachable)?,
        };
        leader.transfer = Some(Transfer {
            to,
            ticks: 0,
            told: false,
        });
        self.check();
        Ok(to)
    }

    /// Tells the target, once it holds everything.
    pub(crate) fn hand_over(&mut self) {
        let last = self.log.last().index;
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let Leader {
            transfer: Some(transfer),
            progress,
            ..
        } = &mut **leader
        else {
            return;
        };
        let caught_up = progress
            .get(&transfer.to)
            .is_some_and(|peer| peer.match_index == last);
        let caught_up = caught_up || buggify::canary(Canary::TransferBeforeMatch);
        if caught_up && !transfer.told {
            transfer.told = true;
            self.outbox
                .send(transfer.to, TimeoutNow { term: self.term });
        }
    }
}

impl Leader {
    /// Time goes on by one tick: a transfer that takes too long is given up.
    pub(crate) fn tick_transfer(&mut self, ticks_max: u32) {
        if let Some(transfer) = &mut self.transfer {
            transfer.ticks += 1;
            if transfer.ticks >= ticks_max && !buggify::canary(Canary::TransferNeverEnds) {
                self.transfer = None;
            }
        }
    }
}
