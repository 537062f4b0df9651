//! Changes of the members: what can be asked for, what configuration it leads to, and the payload
//! of the entry that brings it.
//!
//! A change of one voter is made in one step: any majority of the old voters and any majority of
//! the new ones then have a node in common (thesis, section 4.1). A change of several goes through
//! a joint configuration, in which both majorities are needed (paper, section 6), and which the
//! leader leaves by itself. Learners, which count for nothing, come and go in one step.
//!
//! A voter is never simply taken away: it becomes a learner first, and is removed in a later change.
//! So it goes on receiving the log until it is known that the others can do without it.

use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;

use crate::error::MembershipError;
use crate::membership::{ConfDecodeError, ConfState, Fields};
use crate::types::NodeId;

/// What may be asked of [`Raft::propose_membership`](crate::Raft::propose_membership).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MembershipChange {
    /// A new node receives the log, and counts for nothing.
    AddLearner(NodeId),
    /// A learner that has caught up becomes a voter.
    Promote(NodeId),
    /// A voter becomes a learner.
    Demote(NodeId),
    /// A learner ceases to be a member.
    RemoveLearner(NodeId),
    /// A learner that has caught up takes the place of a voter, which becomes a learner.
    Replace {
        /// The voter.
        old: NodeId,
        /// The learner.
        new: NodeId,
    },
    /// The voters and learners of the given configuration, however many differ. (Its other fields
    /// are not looked at.)
    To(ConfState),
    /// Nobody comes, goes or votes otherwise: the entry brings a context and nothing else.
    Keep,
}

impl MembershipChange {
    /// The configuration to be put in force, in one step or as the first of two.
    ///
    /// # Errors
    /// If the change makes no sense here, or would be dangerous. Whether nodes are alive and have
    /// caught up is not asked.
    pub fn apply_to(&self, conf: &ConfState) -> Result<ConfState, MembershipError> {
        if conf.is_joint() {
            return Err(MembershipError::Joint);
        }
        let target = self.target(conf)?;
        if *self == MembershipChange::Keep {
            return Ok(target);
        }
        check_target(conf, &target)?;
        Ok(step_towards(conf, target))
    }

    /// The configuration that is wanted in the end.
    fn target(&self, conf: &ConfState) -> Result<ConfState, MembershipError> {
        let mut target = ConfState {
            voters: conf.voters.clone(),
            learners: conf.learners.clone(),
            ..ConfState::default()
        };
        match self {
            MembershipChange::AddLearner(id) => {
                if conf.contains(*id) {
                    return Err(MembershipError::AlreadyAMember { id: *id });
                }
                target.learners.insert(*id);
            }
            MembershipChange::Promote(id) => promote(&mut target, *id)?,
            MembershipChange::Demote(id) => demote(&mut target, *id)?,
            MembershipChange::RemoveLearner(id) => {
                if !target.learners.remove(id) {
                    return Err(MembershipError::NotALearner { id: *id });
                }
            }
            MembershipChange::Replace { old, new } => {
                promote(&mut target, *new)?;
                demote(&mut target, *old)?;
            }
            MembershipChange::To(wanted) => {
                target.voters.clone_from(&wanted.voters);
                target.learners.clone_from(&wanted.learners);
            }
            MembershipChange::Keep => {}
        }
        Ok(target)
    }
}

impl fmt::Display for MembershipChange {
    /// Such as `promote n4`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MembershipChange::AddLearner(id) => write!(formatter, "add {id} as a learner"),
            MembershipChange::Promote(id) => write!(formatter, "promote {id}"),
            MembershipChange::Demote(id) => write!(formatter, "demote {id}"),
            MembershipChange::RemoveLearner(id) => write!(formatter, "remove {id}"),
            MembershipChange::Replace { old, new } => write!(formatter, "replace {old} by {new}"),
            MembershipChange::To(target) => write!(formatter, "have {target}"),
            MembershipChange::Keep => write!(formatter, "keep all members"),
        }
    }
}

fn promote(target: &mut ConfState, id: NodeId) -> Result<(), MembershipError> {
    if !target.learners.remove(&id) {
        return Err(MembershipError::NotALearner { id });
    }
    target.voters.insert(id);
    Ok(())
}

fn demote(target: &mut ConfState, id: NodeId) -> Result<(), MembershipError> {
    if !target.voters.remove(&id) {
        return Err(MembershipError::NotAVoter { id });
    }
    target.learners.insert(id);
    Ok(())
}

/// Refuses what must not be reached from `conf`.
fn check_target(conf: &ConfState, target: &ConfState) -> Result<(), MembershipError> {
    if target.voters.is_empty() {
        return Err(MembershipError::NoVoters);
    }
    if let Some(what) = target.contradiction() {
        return Err(MembershipError::Contradiction { what });
    }
    if let Some(&id) = conf.voters.iter().find(|&&id| !target.contains(id)) {
        return Err(MembershipError::VoterWouldVanish { id });
    }
    let mut new_voters = target.voters.difference(&conf.voters);
    if let Some(&id) = new_voters.find(|id| !conf.learners.contains(id)) {
        return Err(MembershipError::NotALearner { id });
    }
    if (&target.voters, &target.learners) == (&conf.voters, &conf.learners) {
        return Err(MembershipError::NoChange);
    }
    Ok(())
}

/// The target, if it may follow `conf` at once; otherwise the joint configuration in between.
fn step_towards(conf: &ConfState, target: ConfState) -> ConfState {
    if conf.voters.symmetric_difference(&target.voters).count() <= 1 {
        return target;
    }
    // Outgoing voters count until the joint configuration is left, so they cannot be learners yet.
    let (learners_next, learners): (BTreeSet<_>, BTreeSet<_>) = target
        .learners
        .into_iter()
        .partition(|id| conf.voters.contains(id));
    ConfState {
        voters: target.voters,
        learners,
        voters_outgoing: conf.voters.clone(),
        learners_next,
        auto_leave: true,
    }
}

/// The payload of an [`EntryKind::Membership`](crate::EntryKind::Membership) entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfChange {
    /// In force from this entry on.
    pub conf: ConfState,
    /// What the caller of [`Raft::propose_membership`](crate::Raft::propose_membership) gave.
    /// Empty in the entry that leaves a joint configuration, which the leader makes itself: what
    /// the entry before it said still holds.
    pub context: Bytes,
}

impl ConfChange {
    /// The payload: the length of the configuration in four bytes, little-endian, the configuration
    /// ([`ConfState::encode`], which begins with its version), and the context.
    pub fn encode(&self) -> Bytes {
        let conf = self.conf.encode();
        let length = u32::try_from(conf.len()).expect("fewer than 2^32 bytes of members");
        let mut bytes = Vec::with_capacity(4 + conf.len() + self.context.len());
        bytes.extend(length.to_le_bytes());
        bytes.extend(conf);
        bytes.extend_from_slice(&self.context);
        Bytes::from(bytes)
    }

    /// Reads back what [`ConfChange::encode`] wrote. The context shares the payload's memory.
    ///
    /// # Errors
    /// For bytes that are no change of members, or one of a newer version.
    pub fn decode(payload: &Bytes) -> Result<ConfChange, ConfDecodeError> {
        let length = ConfDecodeError::Length {
            found: payload.len(),
        };
        let mut rest = Fields(payload);
        let conf_bytes = u32::from_le_bytes(rest.take().ok_or(length)?);
        let conf_bytes = usize::try_from(conf_bytes).map_err(|_| length)?;
        let conf = rest.0.get(..conf_bytes).ok_or(length)?;
        let conf = ConfState::decode(conf)?;
        if conf.is_empty() {
            let what = "nobody belongs";
            return Err(ConfDecodeError::Contradiction { what });
        }
        Ok(ConfChange {
            conf,
            context: payload.slice(4 + conf_bytes..),
        })
    }
}
