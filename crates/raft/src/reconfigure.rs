//! The leader's side of a change of members (thesis, chapter 4; paper, section 6).
//!
//! ```text
//!              propose                  commit
//!   {1 2 3} ------------> one voter:  -------> done
//!              |
//!              +--------> several:    -------> leave, by the  -------> done
//!                         joint                leader itself
//! ```
//!
//! 1. *Begin* (`propose_membership`). Only if nothing else is under way, the new voters were heard from,
//!    have caught up and answer, and the voters that are there make a quorum of what is to come.
//! 2. *In force at once* (`append_conf`). From here on the leader sends to the new members, and counts
//!    votes, commits, read rounds and its own being heard by the new configuration, whether it is
//!    committed or not: a majority of it has a node in common with any majority of the last one, so
//!    the two cannot decide apart. A leader that is no longer a voter does not count itself.
//! 3. *Go on* (`drive_membership`), at every drain of every leader: a committed joint configuration
//!    is left; members that are gone are told, then forgotten; a leader that is gone hands over.
//!
//! What may be lost on the way is lost as a whole: a leader that dies before its change is committed
//! leaves it to the next one, in whose log it is or is not.

use std::collections::BTreeMap;

use buggify::Canary;
use bytes::Bytes;

use crate::conf_change::{ConfChange, MembershipChange};
use crate::error::MembershipError;
use crate::membership::ConfState;
use crate::progress::{Leaving, Progress};
use crate::quorum;
use crate::raft::{Leader, Raft, State};
use crate::types::{Entry, EntryId, EntryKind, LogIndex, NodeId, Session};

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
    /// If it cannot be begun now, makes no sense, or would be dangerous. Nothing was appended.
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
    /// Ongaro corrected in 2015: two changes by two leaders whose majorities share nobody.) It must be
    /// applied, too: whoever proposes a change goes by the state, such as the ids that are used up, and
    /// after a restart that may be far behind what is committed.
    fn refuse_second_change(&self, leader: &Leader) -> Result<(), MembershipError> {
        let commit = self.log.commit();
        let knows_all = self.log.applied() >= leader.term_start
            || buggify::canary(Canary::ChangeBeforeOwnTermCommit);
        if !knows_all {
            return Err(MembershipError::NewLeader { term: self.term });
        }
        let index = self.confs.latest_index();
        let is_under_way = index > commit && !buggify::canary(Canary::TwoChangesAtOnce);
        if is_under_way || self.confs.latest().is_joint() {
            return Err(MembershipError::InProgress { index });
        }
        Ok(())
    }

    /// New voters must have been heard from, be there and have caught up, and there must be a quorum afterwards.
    fn refuse_unready(&self, leader: &Leader, next: &ConfState) -> Result<(), MembershipError> {
        let patience = self.config.election_timeout_ticks_min;
        let last = self.log.last().index;
        if buggify::canary(Canary::DeadLearnerPromoted) {
            return Ok(());
        }
        for id in next.voters.difference(&self.confs.latest().voters).copied() {
            let Some(peer) = leader.progress.get(&id) else {
                return Err(MembershipError::NotALearner { id });
            };
            // The first append that it accepts says so; every log has an entry by now, the leader's own.
            if peer.match_index == LogIndex(0) {
                return Err(MembershipError::NeverHeard { id });
            }
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
            Some(silent) if !quorum::reached(next, is_there) => {
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
        self.follow_conf();
        // A smaller quorum may hold already what a larger one did not.
        self.advance_commit();
        id
    }

    /// What a new leader knows of the others: nothing. Those that a change removes which may not be
    /// committed are among them.
    pub(crate) fn initial_progress(&self, next_index: LogIndex) -> BTreeMap<NodeId, Progress> {
        let index = self.confs.latest_index();
        let mut all = BTreeMap::new();
        for conf in self.confs.since(self.log.commit()) {
            for node in conf.members() {
                let mut progress = Progress::new(next_index, Session(0));
                let is_leaving = !self.confs.latest().contains(node);
                progress.leaving = is_leaving.then_some(Leaving { index, ticks: 0 });
                all.insert(node, progress);
            }
        }
        all.remove(&self.config.id);
        all
    }

    /// A configuration has been appended: new members are sent to from now on, and those that are
    /// not in it until they can know that.
    fn follow_conf(&mut self) {
        let (conf, index) = (self.confs.latest(), self.confs.latest_index());
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let mut joining = conf.members();
        joining.remove(&self.config.id);
        if buggify::canary(Canary::PeerDroppedBeforeCommit) {
            leader.progress.retain(|node, _| joining.contains(node));
        }
        for (node, progress) in &mut leader.progress {
            if !joining.contains(node) {
                progress.leaving.get_or_insert(Leaving { index, ticks: 0 });
            } else if progress.leaving.is_none() {
                joining.remove(node);
            }
        }
        for node in joining {
            let progress = Progress::new(index.next(), Session(index.0));
            leader.progress.insert(node, progress);
        }
    }

    /// Takes the steps of a change that are due. Looked at whenever something may have changed, by
    /// every leader, so that no change can be left half done by a leader that is replaced, or that
    /// was busy handing over when it became due.
    pub(crate) fn drive_membership(&mut self) {
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        leader.drop_departed(self.config.election_timeout_ticks_max);
        let commit = self.log.commit();
        if commit < leader.term_start || commit < self.confs.latest_index() {
            return;
        }
        let conf = self.confs.latest();
        let is_forgotten = self.confs.latest_index() < leader.term_start
            && buggify::canary(Canary::AutoLeaveForgotten);
        if conf.is_joint() {
            if conf.auto_leave && leader.transfer.is_none() && !is_forgotten {
                self.append_conf(conf.left(), Bytes::new());
            }
        } else if !conf.is_voter(self.config.id) {
            self.resign();
        }
    }

    /// This leader is no voter any more, and all that led to that is committed (thesis, section
    /// 4.2.2). It hands over to the voter that is furthest, so that nobody has to wait for its
    /// silence; if that fails, it just stops.
    fn resign(&mut self) {
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        if leader.transfer.is_some() {
            return;
        }
        let was_resigning = std::mem::replace(&mut leader.is_resigning, true);
        if was_resigning || self.transfer_leadership(None).is_err() {
            self.become_follower(self.term, None);
        }
    }
}

impl Leader {
    /// Time goes on by one tick for those that were removed, if that is committed.
    pub(crate) fn tick_leaving(&mut self, commit: LogIndex) {
        for progress in self.progress.values_mut() {
            if let Some(leaving) = &mut progress.leaving
                && leaving.index <= commit
            {
                leaving.ticks = leaving.ticks.saturating_add(1);
            }
        }
    }

    /// Those that were removed have had the time to hear of it, if they hear anything.
    fn drop_departed(&mut self, ticks: u32) {
        let stays =
            |progress: &Progress| progress.leaving.is_none_or(|leaving| leaving.ticks < ticks);
        self.progress.retain(|_, progress| stays(progress));
    }
}
