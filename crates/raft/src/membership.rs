//! Who belongs to the group: one configuration, and its bytes.

use std::collections::BTreeSet;
use std::fmt;

use crate::types::NodeId;

/// The members of a group, in the form that joint consensus needs (paper, section 6; thesis,
/// section 4.3): a plain configuration, or the passage from one to the next, in which a majority of
/// *each* half is needed for everything.
///
/// Without any members, it is what a node has that is still to be told who belongs.
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
    /// Whether the leader leaves the joint configuration by itself. Set in every joint
    /// configuration there is: one that must be left by hand can be forgotten (openraft's ends in
    /// joint for good when two changes race).
    pub auto_leave: bool,
}

/// Bytes that are not a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfDecodeError {
    /// The bytes end too early, or too late.
    #[error("a configuration of another length than its {found} bytes")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// Written by a version we do not know.
    #[error("configuration of version {found}, newer than the {known} that is known here")]
    Version {
        /// Version found.
        found: u8,
        /// Version known.
        known: u8,
    },
    /// The sets contradict each other.
    #[error("not a configuration: {what}")]
    Contradiction {
        /// What is wrong.
        what: &'static str,
    },
}

impl ConfState {
    /// A plain configuration of voters.
    pub fn of_voters(voters: impl IntoIterator<Item = NodeId>) -> ConfState {
        ConfState {
            voters: voters.into_iter().collect(),
            ..ConfState::default()
        }
    }

    /// Whether this is the passage between two configurations.
    pub fn is_joint(&self) -> bool {
        !self.voters_outgoing.is_empty()
    }

    /// Whether nobody belongs.
    pub fn is_empty(&self) -> bool {
        self.members().is_empty()
    }

    /// The configuration that a joint one is left for. A plain one is its own.
    #[must_use]
    pub fn left(&self) -> ConfState {
        ConfState {
            voters: self.voters.clone(),
            learners: self.learners.union(&self.learners_next).copied().collect(),
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

    /// The version that [`ConfState::encode`] writes.
    pub const VERSION: u8 = 1;

    /// The bytes for disk and peers: the version, a byte of flags (bit 0: `auto_leave`), then for
    /// each of the four sets, in the order of the fields, the count in two bytes and the ids in
    /// eight each, ascending. Little-endian.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![ConfState::VERSION, u8::from(self.auto_leave)];
        for set in self.sets() {
            let count = u16::try_from(set.len()).expect("fewer than 65,536 members");
            bytes.extend(count.to_le_bytes());
            bytes.extend(set.iter().flat_map(|node| node.0.to_le_bytes()));
        }
        bytes
    }

    /// Reads back what [`ConfState::encode`] wrote.
    ///
    /// # Errors
    /// For bytes that are no configuration, one that contradicts itself, or one of a newer version.
    pub fn decode(bytes: &[u8]) -> Result<ConfState, ConfDecodeError> {
        let length = ConfDecodeError::Length { found: bytes.len() };
        let mut rest = Fields(bytes);
        let [found, flags] = rest.take::<2>().ok_or(length)?;
        if found != ConfState::VERSION {
            let known = ConfState::VERSION;
            return Err(ConfDecodeError::Version { found, known });
        }
        if flags > 1 {
            let what = "unknown flags";
            return Err(ConfDecodeError::Contradiction { what });
        }
        let mut set = || -> Result<BTreeSet<NodeId>, ConfDecodeError> {
            let count = u16::from_le_bytes(rest.take().ok_or(length)?);
            let mut nodes = BTreeSet::new();
            for _ in 0..count {
                let node = NodeId(u64::from_le_bytes(rest.take().ok_or(length)?));
                if nodes.last().is_some_and(|&last| last >= node) {
                    let what = "ids out of order";
                    return Err(ConfDecodeError::Contradiction { what });
                }
                nodes.insert(node);
            }
            Ok(nodes)
        };
        let conf = ConfState {
            voters: set()?,
            learners: set()?,
            voters_outgoing: set()?,
            learners_next: set()?,
            auto_leave: flags == 1,
        };
        if !rest.0.is_empty() {
            return Err(length);
        }
        match conf.contradiction() {
            Some(what) => Err(ConfDecodeError::Contradiction { what }),
            None => Ok(conf),
        }
    }

    fn sets(&self) -> [&BTreeSet<NodeId>; 4] {
        [
            &self.voters,
            &self.learners,
            &self.voters_outgoing,
            &self.learners_next,
        ]
    }

    /// What no configuration can be, if this is so.
    pub(crate) fn contradiction(&self) -> Option<&'static str> {
        let is_voter = |node: &NodeId| self.is_voter(*node);
        let first = |set: &BTreeSet<NodeId>| set.first().is_some_and(|node| node.0 == 0);
        if self.sets().into_iter().any(first) {
            return Some("node 0 is nobody");
        }
        if self.voters.is_empty() && !self.is_empty() {
            return Some("no voters");
        }
        if self.learners.iter().any(is_voter) {
            return Some("a learner that votes");
        }
        let is_outgoing = self.learners_next.is_subset(&self.voters_outgoing);
        if !is_outgoing || !self.learners_next.is_disjoint(&self.voters) {
            return Some("a coming learner that does not leave the voters");
        }
        if self.auto_leave != self.is_joint() {
            return Some("a joint configuration must be left, and only such a one can be");
        }
        None
    }
}

impl fmt::Display for ConfState {
    /// Such as `voters {n1 n2} learners {n3}`; in a joint configuration
    /// `voters {n1 n4} and {n1 n2} learners {n3} then {n2}`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "voters {}", Ids(&self.voters))?;
        if self.is_joint() {
            write!(formatter, " and {}", Ids(&self.voters_outgoing))?;
        }
        if !self.learners.is_empty() {
            write!(formatter, " learners {}", Ids(&self.learners))?;
        }
        if !self.learners_next.is_empty() {
            write!(formatter, " then learners {}", Ids(&self.learners_next))?;
        }
        Ok(())
    }
}

/// Shows a set of nodes.
struct Ids<'a>(&'a BTreeSet<NodeId>);

impl fmt::Display for Ids<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("{")?;
        for (position, node) in self.0.iter().enumerate() {
            let space = if position == 0 { "" } else { " " };
            write!(formatter, "{space}{node}")?;
        }
        formatter.write_str("}")
    }
}

/// Bytes that are read from the front.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }
}
