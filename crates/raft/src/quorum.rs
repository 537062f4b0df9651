//! Counting majorities, in plain and in joint configurations.
//!
//! Everything that needs a quorum (votes, commit, read rounds, the leader's own liveness) asks
//! here, so that a joint configuration (paper, section 6) is honoured everywhere alike: what
//! counts must hold in a majority of *each* half. A read barrier that counted otherwise than
//! commit did was a bug others shipped (scylladb PR 29226).

use std::collections::{BTreeMap, BTreeSet};

use buggify::Canary;

use crate::membership::ConfState;
use crate::types::NodeId;

/// Groups larger than this are counted on the heap.
const VOTERS_ON_STACK_MAX: usize = 9;

/// The highest value that a quorum has reached, where `value` tells what each voter has reached.
pub(crate) fn reached<T: Ord + Copy + Default>(conf: &ConfState, value: impl Fn(NodeId) -> T) -> T {
    let incoming = match buggify::canary(Canary::LearnerCounts) {
        false => reached_by_majority(&conf.voters, &value),
        true => reached_by_majority(&(&conf.voters | &conf.learners), &value),
    };
    let outgoing = reached_by_majority(&conf.voters_outgoing, &value);
    match (incoming, outgoing) {
        (Some(incoming), Some(outgoing)) => incoming.min(outgoing),
        (Some(value), None) | (None, Some(value)) => value,
        (None, None) => T::default(),
    }
}

/// The highest value that more than half of the voters have reached; `None` without voters.
fn reached_by_majority<T: Ord + Copy + Default>(
    voters: &BTreeSet<NodeId>,
    value: &impl Fn(NodeId) -> T,
) -> Option<T> {
    let mut on_stack = [T::default(); VOTERS_ON_STACK_MAX];
    let mut on_heap = Vec::new();
    let values = if let Some(values) = on_stack.get_mut(..voters.len()) {
        values
    } else {
        on_heap.resize(voters.len(), T::default());
        on_heap.as_mut_slice()
    };
    for (slot, &voter) in values.iter_mut().zip(voters) {
        *slot = value(voter);
    }
    values.sort_unstable();
    // Ascending: everyone from the middle to the end, a majority, has reached the middle value.
    values.get(values.len().checked_sub(1)? / 2).copied()
}

/// How an election stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VoteOutcome {
    /// A quorum has granted.
    Won,
    /// A quorum can no longer grant.
    Lost,
    /// Neither yet.
    Pending,
}

/// Counts votes. Those of nodes that are not voters are not counted.
pub(crate) fn vote_outcome(conf: &ConfState, votes: &BTreeMap<NodeId, bool>) -> VoteOutcome {
    let granted = reached(conf, |voter| votes.get(&voter) == Some(&true));
    let possible = reached(conf, |voter| votes.get(&voter) != Some(&false));
    match (granted, possible) {
        (true, _) => VoteOutcome::Won,
        (false, true) => VoteOutcome::Pending,
        (false, false) => VoteOutcome::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether more than half of `voters` satisfy `holds`; an empty set asks for nothing.
    fn majority_by_counting(voters: &BTreeSet<NodeId>, holds: impl Fn(NodeId) -> bool) -> bool {
        voters.is_empty() || 2 * voters.iter().filter(|&&voter| holds(voter)).count() > voters.len()
    }

    fn subset(bits: u32) -> BTreeSet<NodeId> {
        (0..5)
            .filter(|bit| bits >> bit & 1 == 1)
            .map(|bit| NodeId(bit + 1))
            .collect()
    }

    /// Every pair of halves over five nodes, without the one that has no voters at all.
    fn configurations() -> impl Iterator<Item = ConfState> {
        (1..32).flat_map(|voters| {
            (0..32).map(move |outgoing| ConfState {
                voters: subset(voters),
                voters_outgoing: subset(outgoing),
                ..ConfState::default()
            })
        })
    }

    #[test]
    fn reached_equals_brute_force_over_all_joint_configurations() {
        for conf in configurations() {
            for seed in 0..12_u64 {
                let value = |node: NodeId| (seed * 7 + node.0 * node.0 * (seed + 3)) % 5;
                let expected = (0..5)
                    .rev()
                    .find(|&least| {
                        majority_by_counting(&conf.voters, |node| value(node) >= least)
                            && majority_by_counting(&conf.voters_outgoing, |node| {
                                value(node) >= least
                            })
                    })
                    .unwrap_or(0);
                assert_eq!(reached(&conf, value), expected, "{conf:?} seed {seed}");
            }
        }
    }

    #[test]
    fn votes_equal_brute_force_over_all_joint_configurations() {
        for conf in configurations() {
            for ballot in 0..3_u32.pow(5) {
                let votes: BTreeMap<NodeId, bool> = (0..5)
                    .filter_map(|voter| match ballot / 3_u32.pow(voter) % 3 {
                        0 => None,
                        vote => Some((NodeId(u64::from(voter) + 1), vote == 1)),
                    })
                    .collect();
                let both = |holds: &dyn Fn(NodeId) -> bool| {
                    majority_by_counting(&conf.voters, holds)
                        && majority_by_counting(&conf.voters_outgoing, holds)
                };
                let expected = if both(&|node| votes.get(&node) == Some(&true)) {
                    VoteOutcome::Won
                } else if both(&|node| votes.get(&node) != Some(&false)) {
                    VoteOutcome::Pending
                } else {
                    VoteOutcome::Lost
                };
                assert_eq!(vote_outcome(&conf, &votes), expected, "{conf:?} {votes:?}");
            }
        }
    }

    #[test]
    fn large_groups_are_counted_too() {
        let conf = ConfState::of_voters((1..=21).map(NodeId));
        assert_eq!(reached(&conf, |node| node.0), 11);
    }
}
