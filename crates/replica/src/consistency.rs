//! Replicas compare what they hold, and one that differs stops.
//!
//! All replicas apply the same entries, so after the same entry they hold the same state. When one does
//! not, a disk, a memory or this program has failed, and nothing that is built upon Raft will notice:
//! the log is right, and what was made of it is wrong (etcd's data inconsistencies of 2022, issues 13766
//! and 14139, went unseen for months in clusters that did not look). So they look:
//!
//! - After every entry whose index is a multiple of an interval, each replica hashes its state and
//!   tells the hash to every other member. Indexes decide when, never time, so all look at the same
//!   state.
//! - A replica keeps the newest [`CHECKS_MAX`] hashes of itself and of each member, and compares those
//!   of the same index, whichever came first. One that lags further behind than that is not compared
//!   until it has caught up.
//! - A replica that finds that the voters of a majority agree on another hash than its own stops: it may
//!   have answered wrongly already, and must not go on, nor lead, nor send its state to others.
//!   The others raise an alarm. Where no majority agrees, nobody can tell who is right: all raise the
//!   alarm, and nobody stops.
//! - A replica that receives a hash other than its own answers with its own, because the sender
//!   may have been out of reach when it was first told.
//!
//! Hashes are compared only if their [`StateHash::scheme`] is the same: a release that hashes in another
//! way must not stop the nodes of the release before.

use std::collections::{BTreeMap, BTreeSet};

use raft::{ConfState, LogIndex, NodeId};

/// How the state is hashed. Raised when the same state gets another hash.
pub(crate) const SCHEME: u32 = 2;

/// Hashes that are kept of each member.
const CHECKS_MAX: usize = 64;

/// What a replica has found its state to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateHash {
    /// The last entry applied to the state.
    pub index: LogIndex,
    /// How the hash was made: those of different schemes say nothing of each other.
    pub scheme: u32,
    /// The hash.
    pub hash: u64,
    /// Whether it answers another's, and wants no answer.
    pub is_answer: bool,
}

/// What a comparison shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A majority of the voters has another state: these nodes.
    WeDiffer(BTreeSet<NodeId>),
    /// These nodes have another state than a majority, to which we belong.
    TheyDiffer(BTreeSet<NodeId>),
    /// These nodes have another state than we, and no majority is known to agree.
    Undecided(BTreeSet<NodeId>),
}

/// The hashes that are known, and what they have shown.
#[derive(Debug, Default)]
pub(crate) struct Consistency {
    /// By member, this node included; of each, the newest [`CHECKS_MAX`].
    hashes: BTreeMap<NodeId, BTreeMap<LogIndex, u64>>,
    /// Members whose state was found to differ from ours, and at which index first. One that agrees
    /// again at a later index has been replaced or restarted, and is struck out.
    differing: BTreeMap<NodeId, LogIndex>,
    /// The newest index at which a majority was found to agree with us.
    agreed: LogIndex,
    /// How many comparisons have shown a difference.
    mismatches: u64,
}

impl Consistency {
    /// Notes the hash of a member, of this node too.
    pub(crate) fn note(&mut self, node: NodeId, index: LogIndex, hash: u64) {
        self.hashes.entry(node).or_default().insert(index, hash);
    }

    /// Forgets what is too old, and who is no member.
    pub(crate) fn trim(&mut self, conf: &ConfState, own: NodeId) {
        let is_member = |node: &NodeId| *node == own || conf.contains(*node);
        self.hashes.retain(|node, _| is_member(node));
        self.differing.retain(|node, _| is_member(node));
        for hashes in self.hashes.values_mut() {
            while hashes.len() > CHECKS_MAX {
                hashes.pop_first();
            }
        }
    }

    /// Forgets this node's own hashes: its state was replaced.
    pub(crate) fn forget(&mut self, own: NodeId) {
        self.hashes.remove(&own);
    }

    /// This node's hash at an index.
    pub(crate) fn own(&self, own: NodeId, index: LogIndex) -> Option<u64> {
        self.hashes.get(&own)?.get(&index).copied()
    }

    /// Compares what is known of an index. `None`: nobody differs from this node, as far as is known.
    pub(crate) fn compare(
        &mut self,
        own: NodeId,
        conf: &ConfState,
        index: LogIndex,
    ) -> Option<Verdict> {
        let ours = self.own(own, index)?;
        let known: BTreeMap<NodeId, u64> = self
            .hashes
            .iter()
            .filter_map(|(node, hashes)| Some((*node, *hashes.get(&index)?)))
            .collect();
        let is_held_by_majority = |hash: u64| {
            let holds = |node: &&NodeId| known.get(node) == Some(&hash);
            let halves = [&conf.voters, &conf.voters_outgoing];
            halves
                .iter()
                .all(|half| half.is_empty() || half.iter().filter(holds).count() > half.len() / 2)
                && !conf.voters.is_empty()
        };
        let (same, others): (BTreeSet<NodeId>, BTreeSet<NodeId>) =
            known.keys().partition(|node| known[node] == ours);
        for node in &same {
            if self.differing.get(node).is_some_and(|since| *since < index) {
                self.differing.remove(node);
            }
        }
        let is_ours_right = is_held_by_majority(ours);
        if is_ours_right {
            self.agreed = self.agreed.max(index);
        }
        let other_hashes: BTreeSet<u64> = others.iter().map(|node| known[node]).collect();
        let right = other_hashes
            .into_iter()
            .find(|hash| is_held_by_majority(*hash));
        if let Some(right) = right {
            let holders = others.into_iter().filter(|node| known[node] == right);
            return Some(Verdict::WeDiffer(holders.collect()));
        }
        let is_news = |node: &NodeId| !self.differing.contains_key(node);
        let news: BTreeSet<NodeId> = others.iter().copied().filter(is_news).collect();
        for node in others {
            self.differing.entry(node).or_insert(index);
        }
        if news.is_empty() {
            return None;
        }
        self.mismatches += 1;
        Some(match is_ours_right {
            true => Verdict::TheyDiffer(news),
            false => Verdict::Undecided(news),
        })
    }

    /// Members whose state differs, with the first index at which it was seen.
    pub(crate) fn differing(&self) -> &BTreeMap<NodeId, LogIndex> {
        &self.differing
    }

    /// The newest index at which a majority was found to have this node's state.
    pub(crate) fn agreed(&self) -> LogIndex {
        self.agreed
    }

    /// How often a difference was found that was not known before.
    pub(crate) fn mismatches(&self) -> u64 {
        self.mismatches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: NodeId = NodeId(1);
    const INDEX: LogIndex = LogIndex(100);

    fn nodes(ids: &[u64]) -> BTreeSet<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    /// The verdict of node 1 where node N has the Nth hash; 0 is one that is not known.
    fn verdict(conf: &ConfState, hashes: &[u64]) -> Option<Verdict> {
        let mut consistency = Consistency::default();
        for (number, hash) in hashes.iter().enumerate().filter(|(_, hash)| **hash != 0) {
            consistency.note(NodeId(number as u64 + 1), INDEX, *hash);
        }
        consistency.compare(OWN, conf, INDEX)
    }

    #[test]
    fn who_differs_from_a_majority_is_told_from_who_does_not() {
        let conf = |count| ConfState::of_voters((1..=count).map(NodeId));
        let we = |ids: &[u64]| Some(Verdict::WeDiffer(nodes(ids)));
        let they = |ids: &[u64]| Some(Verdict::TheyDiffer(nodes(ids)));
        let undecided = |ids: &[u64]| Some(Verdict::Undecided(nodes(ids)));
        for (count, hashes, expected) in [
            (3, vec![7, 7, 7], None),
            (3, vec![7], None),
            (3, vec![7, 7], None),
            (3, vec![0, 7, 8], None),
            (3, vec![7, 8], undecided(&[2])),
            (3, vec![7, 8, 8], we(&[2, 3])),
            (3, vec![7, 7, 8], they(&[3])),
            (3, vec![7, 8, 9], undecided(&[2, 3])),
            (2, vec![7, 8], undecided(&[2])),
            (1, vec![7], None),
            (5, vec![7, 8, 8, 8], we(&[2, 3, 4])),
            (5, vec![7, 8, 8], undecided(&[2, 3])),
            (5, vec![7, 8, 8, 8, 7], we(&[2, 3, 4])),
            (5, vec![7, 8, 9, 7, 7], they(&[2, 3])),
            (4, vec![7, 7, 8, 8], undecided(&[3, 4])),
            // The fourth is no voter: it counts for nothing, and may differ all the same.
            (3, vec![7, 7, 0, 8], they(&[4])),
            (3, vec![7, 8, 0, 8], undecided(&[2, 4])),
        ] {
            assert_eq!(verdict(&conf(count), &hashes), expected, "{hashes:?}");
        }
    }

    #[test]
    fn a_learner_that_differs_from_the_voters_stops() {
        let mut conf = ConfState::of_voters([2, 3, 4].map(NodeId));
        conf.learners.insert(OWN);
        let expected = Some(Verdict::WeDiffer(nodes(&[2, 3])));
        assert_eq!(verdict(&conf, &[7, 8, 8]), expected);
    }

    #[test]
    fn both_halves_of_a_joint_configuration_must_agree() {
        let mut conf = ConfState::of_voters([2, 3, 4].map(NodeId));
        conf.voters_outgoing = nodes(&[1, 5, 6]);
        let undecided = Some(Verdict::Undecided(nodes(&[2, 3])));
        assert_eq!(verdict(&conf, &[7, 8, 8]), undecided);
        let we = Some(Verdict::WeDiffer(nodes(&[2, 3, 5, 6])));
        assert_eq!(verdict(&conf, &[7, 8, 8, 0, 8, 8]), we);
    }

    #[test]
    fn an_alarm_is_raised_once_and_ends_when_the_node_agrees_again() {
        let conf = ConfState::of_voters([1, 2, 3].map(NodeId));
        let mut consistency = Consistency::default();
        for (index, other) in [(10, 8), (20, 8), (30, 7)] {
            let index = LogIndex(index);
            consistency.note(OWN, index, 7);
            consistency.note(NodeId(2), index, 7);
            consistency.note(NodeId(3), index, other);
            let verdict = consistency.compare(OWN, &conf, index);
            assert_eq!(verdict.is_some(), index.0 == 10);
            assert_eq!(consistency.differing().is_empty(), index.0 == 30);
        }
        assert_eq!(
            (consistency.agreed(), consistency.mismatches()),
            (LogIndex(30), 1)
        );
    }

    #[test]
    fn memory_is_bounded() {
        let conf = ConfState::of_voters([1, 2].map(NodeId));
        let mut consistency = Consistency::default();
        for index in 1..=1000 {
            for node in [1, 2, 9] {
                consistency.note(NodeId(node), LogIndex(index), index);
                consistency.trim(&conf, OWN);
            }
        }
        let kept: Vec<usize> = consistency.hashes.values().map(BTreeMap::len).collect();
        assert_eq!(kept, [CHECKS_MAX, CHECKS_MAX]);
        assert_eq!(consistency.own(OWN, LogIndex(1000)), Some(1000));
        assert_eq!(consistency.own(OWN, LogIndex(1)), None);
    }
}
