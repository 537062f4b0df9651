//! The leader's side of a change of members (thesis, chapter 4; paper, section 6).

use bytes::Bytes;

use crate::conf_change::{ConfChange, MembershipChange};
use crate::error::MembershipError;
use crate::membership::ConfState;
use crate::raft::{Leader, Raft, State};
use crate::types::{Entry, EntryId, EntryKind, LogIndex, NodeId};

impl Raft {
    /// The configuration in force: the latest in the log, committed or not.
    pub fn conf(&self) -> &ConfState {
        self.confs.latest()
    }

    /// The latest configuration known to be committed, and the position of its entry: 0 if the group
    /// is born with it, or the base of the log if a snapshot holds it.
    pub fn conf_committed(&self) -> (LogIndex, &ConfState) {
        self.confs.at(self.log.commit())
    }

    /// Appends a change of members to the leader's log. It is in force from then on, and done when
    /// an entry with the returned id comes out to be applied; if one with the same index and another
    /// term does, it is lost. One that changes several voters is followed by another entry that
    /// leaves the joint configuration, which the leader makes by itself.
    ///
    /// `context` is handed back in the entry's payload ([`ConfChange`]).
    ///
    /// # Errors
    /// If it cannot be begun now, makes no sense, or would be unsafe. Nothing was appended.
    pub fn propose_membership(
        &mut self,
        change: MembershipChange,
        context: Bytes,
    ) -> Result<EntryId, MembershipError> {
        let known_leader = self.leader();
        let State::Leader(leader) = &self.state else {
            return Err(MembershipError::NotLeader {
                leader: known_leader,
            });
        };
        if let Some(transfer) = &leader.transfer {
            return Err(MembershipError::Transferring { to: transfer.to });
        }
        self.refuse_second_change(leader)?;
        let conf = change.apply_to(self.confs.latest())?;
        self.refuse_unready(leader, &conf)?;
        let id = self.append_conf(conf, context);
        self.check();
        Ok(id)
    }

    /// One change at a time, and none before an entry of the own term is committed: what a former
    /// leader has left behind may be a change that is still under way. (The error of the thesis that
    /// Ongaro corrected in 2015: two changes by two leaders whose majorities share nobody.)
    fn refuse_second_change(&self, leader: &Leader) -> Result<(), MembershipError> {
        let commit = self.log.commit();
        if commit < leader.term_start {
            return Err(MembershipError::NewLeader { term: self.term });
        }
        let index = self.confs.latest_index();
        if index > commit || self.confs.latest().is_joint() {
            return Err(MembershipError::InProgress { index });
        }
        Ok(())
    }

    /// New voters must be there and have caught up, and there must be a quorum afterwards.
    fn refuse_unready(&self, leader: &Leader, next: &ConfState) -> Result<(), MembershipError> {
        let patience = self.config.election_timeout_ticks_min;
        let last = self.log.last().index;
        for id in next.voters.difference(&self.confs.latest().voters).copied() {
            let Some(peer) = leader.progress.get(&id) else {
                return Err(MembershipError::NotALearner { id });
            };
            if peer.quiet_ticks >= patience {
                let ticks = peer.quiet_ticks;
                return Err(MembershipError::Silent { id, ticks });
            }
            let behind = last.0.saturating_sub(peer.match_index.0);
            let most = self.config.promotion_lag_max;
            if behind > most {
                return Err(MembershipError::Behind { id, behind, most });
            }
        }
        let is_there = |voter: NodeId| {
            voter == self.config.id
                || leader
                    .progress
                    .get(&voter)
                    .is_some_and(|peer| peer.quiet_ticks < patience)
        };
        let silent = next.all_voters().find(|&voter| !is_there(voter));
        match silent {
            Some(silent) if !crate::quorum::reached(next, is_there) => {
                Err(MembershipError::QuorumWouldBeLost { silent })
            }
            _ => Ok(()),
        }
    }

    /// An entry of the leader is being taken: if it brings a configuration, that is in force at once.
    pub(crate) fn take_conf(&mut self, entry: &Entry) {
        if entry.kind == EntryKind::Membership {
            let change = ConfChange::decode(&entry.payload).expect("checked with its message");
            self.confs.append(entry.id.index, change.conf);
        }
    }

    /// Appends a configuration, which is in force at once.
    fn append_conf(&mut self, conf: ConfState, context: Bytes) -> EntryId {
        let payload = ConfChange {
            conf: conf.clone(),
            context,
        }
        .encode();
        let id = self.append_own(EntryKind::Membership, payload);
        self.confs.append(id.index, conf);
        id
    }
}
