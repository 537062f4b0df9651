//! Who belongs to the group.

use std::collections::BTreeSet;

use crate::types::NodeId;

/// The members of a group, in the form that joint consensus needs (paper, section 6; thesis,
/// section 4.3). Members are fixed today, so only `voters` is filled; the quorum functions already
/// honour both halves of a joint configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConfState {
    /// Members whose votes and disks count. In a joint configuration, the incoming half.
    pub voters: BTreeSet<NodeId>,
    /// Members that receive the log, but count for nothing.
    pub learners: BTreeSet<NodeId>,
    /// In a joint configuration, the outgoing half; otherwise empty.
    pub voters_outgoing: BTreeSet<NodeId>,
    /// Outgoing voters that become learners when the joint configuration is left.
    pub learners_next: BTreeSet<NodeId>,
    /// Whether the leader leaves the joint configuration by itself.
    pub auto_leave: bool,
}

impl ConfState {
    /// A plain configuration of voters.
    pub fn of_voters(voters: impl IntoIterator<Item = NodeId>) -> ConfState {
        ConfState {
            voters: voters.into_iter().collect(),
            ..ConfState::default()
        }
    }

    /// Whether the node is a voter in either half.
    pub fn is_voter(&self, node: NodeId) -> bool {
        self.voters.contains(&node) || self.voters_outgoing.contains(&node)
    }

    /// Whether the node is a member of any kind.
    pub fn contains(&self, node: NodeId) -> bool {
        self.is_voter(node) || self.learners.contains(&node) || self.learners_next.contains(&node)
    }

    /// All members, in order of their ids, each once.
    pub fn members(&self) -> BTreeSet<NodeId> {
        let outgoing = self.voters_outgoing.iter().chain(&self.learners_next);
        self.voters
            .iter()
            .chain(&self.learners)
            .chain(outgoing)
            .copied()
            .collect()
    }

    /// All voters of either half, in order of their ids, each once.
    pub fn all_voters(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.voters.union(&self.voters_outgoing).copied()
    }

    /// Whether the node is the only voter, so that it decides alone.
    pub fn is_only_voter(&self, node: NodeId) -> bool {
        self.all_voters().eq([node])
    }
}
