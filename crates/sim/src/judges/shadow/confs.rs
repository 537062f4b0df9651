//! Configurations as judges see them: read from the entries that were handed over and from nothing that
//! a replica says, and counted by code that is not Raft's.

use std::collections::BTreeSet;
use std::sync::Arc;

use raft::{ConfChange, ConfState, EntryKind, LogIndex, NodeId};

use crate::judges::shadow::entry::Held;

/// The configurations in a log: a configuration counts from the moment its entry stands there (thesis,
/// section 4.1).
///
/// Invariant: positions rise.
#[derive(Clone, Debug, Default)]
pub struct Confs {
    found: Vec<(LogIndex, Arc<ConfState>)>,
}

impl Confs {
    /// Those of a log that begins with index 1.
    pub(super) fn of(log: &[Held]) -> Confs {
        let mut confs = Confs::default();
        for (index, held) in (1..).map(LogIndex).zip(log) {
            confs.take(index, held);
        }
        confs
    }

    /// The entry at an index is appended. What cannot be read is passed over: nodes must stop at it.
    pub(super) fn take(&mut self, index: LogIndex, held: &Held) {
        if held.tag == EntryKind::Membership as u8
            && let Ok(change) = ConfChange::decode(&held.payload)
        {
            self.found.push((index, Arc::new(change.conf)));
        }
    }

    /// The entries of another log behind `after`, up to `to`, are appended.
    pub(super) fn copy(&mut self, other: &Confs, after: LogIndex, to: LogIndex) {
        let is_between = |(index, _): &&(LogIndex, Arc<ConfState>)| *index > after && *index <= to;
        self.found
            .extend(other.found.iter().filter(is_between).cloned());
    }

    /// An index and all behind it are dropped. Returns whether a configuration was among them.
    pub(super) fn cut(&mut self, index: LogIndex) -> bool {
        let before = self.found.len();
        while self.found.last().is_some_and(|(at, _)| *at >= index) {
            self.found.pop();
        }
        self.found.len() < before
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.found.len()
    }

    /// All, oldest first, with the positions of their entries.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (LogIndex, &ConfState)> {
        self.found.iter().map(|(index, conf)| (*index, &**conf))
    }

    /// The latest up to an index; nothing if no entry up to there brings one.
    pub fn at(&self, index: LogIndex) -> Option<(LogIndex, &ConfState)> {
        self.iter().rev().find(|(at, _)| *at <= index)
    }

    /// The position of the latest; 0 if there is none.
    pub fn latest_index(&self) -> LogIndex {
        self.found.last().map_or(LogIndex(0), |(index, _)| *index)
    }

    /// The one before a position; nothing if there is none.
    pub fn before(&self, index: LogIndex) -> Option<&ConfState> {
        let before = LogIndex(index.0.checked_sub(1)?);
        self.at(before).map(|(_, conf)| conf)
    }
}

/// Whether those that `holds` names are a quorum: more than half of the voters, and in a joint
/// configuration more than half of each of its two sets (paper, section 6).
pub fn is_quorum(conf: &ConfState, holds: impl Fn(NodeId) -> bool) -> bool {
    let is_majority = |voters: &BTreeSet<NodeId>| {
        2 * voters.iter().filter(|voter| holds(**voter)).count() > voters.len()
    };
    is_majority(&conf.voters)
        && (conf.voters_outgoing.is_empty() || is_majority(&conf.voters_outgoing))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u64]) -> BTreeSet<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    #[test]
    fn a_quorum_is_more_than_half_of_each_half() {
        let plain = ConfState {
            voters: ids(&[1, 2, 3, 4]),
            learners: ids(&[5]),
            ..ConfState::default()
        };
        let holds = |holders: &'static [u64]| move |node: NodeId| holders.contains(&node.0);
        assert!(is_quorum(&plain, holds(&[1, 2, 4])));
        assert!(!is_quorum(&plain, holds(&[1, 2, 5])));
        let joint = ConfState {
            voters: ids(&[1, 2, 4]),
            voters_outgoing: ids(&[1, 2, 3]),
            ..ConfState::default()
        };
        assert!(is_quorum(&joint, holds(&[1, 2])));
        assert!(is_quorum(&joint, holds(&[1, 3, 4])));
        assert!(!is_quorum(&joint, holds(&[1, 4])));
        assert!(!is_quorum(&ConfState::default(), holds(&[1])));
    }

    #[test]
    fn configurations_go_with_their_entries() {
        let conf = |voters: &[u64]| Arc::new(ConfState::of_voters(ids(voters)));
        let mut confs = Confs {
            found: vec![(LogIndex(3), conf(&[1])), (LogIndex(7), conf(&[1, 2]))],
        };
        assert_eq!(confs.at(LogIndex(2)), None);
        assert_eq!(confs.at(LogIndex(6)), Some((LogIndex(3), &*conf(&[1]))));
        assert_eq!(confs.before(LogIndex(7)), Some(&*conf(&[1])));
        let mut copy = Confs::default();
        copy.copy(&confs, LogIndex(3), LogIndex(9));
        assert_eq!((copy.count(), copy.latest_index()), (1, LogIndex(7)));
        assert!(!confs.cut(LogIndex(8)) && confs.cut(LogIndex(4)));
        assert_eq!(confs.latest_index(), LogIndex(3));
    }
}
