//! What is committed is durable on a quorum (paper, sections 5.3 and 5.4.2), and a leader commits by
//! counting only entries of its own term (section 5.4.2, figure 8). Checked when an index is
//! committed by anybody for the first time: of the last such entry, and by Log Matching for all
//! before it. A node whose disk was damaged is counted: it may have given its word before, and the world
//! harms no more disks than a quorum can do without.
//!
//! The quorum is one of the configuration by which the leader counted: the latest in its log, committed
//! or not, and both halves of a joint one (thesis, sections 4.1 and 4.3). Learners do not count, nor
//! does a leader that is no voter any more (section 4.2.2).

use raft::{ConfState, LogIndex, NodeId, Role};

use crate::judges::shadow::is_quorum;
use crate::judges::{Fact, Judge, Shadow, View, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct CommitOnQuorum {
    /// The last committed entry that was checked.
    checked: LogIndex,
}

impl CommitOnQuorum {
    fn check(&mut self, node: NodeId, shadow: &Shadow) -> Result<(), Violation> {
        let last = shadow.ledger().last();
        if last == self.checked {
            return Ok(());
        }
        self.checked = last;
        let Some(mark) = shadow.ledger().entry(last).map(|entry| entry.held.mark()) else {
            return Ok(());
        };
        let holds = |holder: NodeId| {
            let holder = shadow.node(holder);
            holder.damaged || holder.holds_durably(last, mark)
        };
        if self.is_counted(node, last, shadow, holds) {
            return Ok(());
        }
        violation(self, || {
            let holders: Vec<NodeId> = shadow.nodes().map(|(holder, _)| holder).collect();
            let holders: Vec<NodeId> = holders
                .into_iter()
                .filter(|&holder| holds(holder))
                .collect();
            let (term, conf) = (mark.term, shadow.conf(node));
            format!(
                "{node} commits {last} of term {term}, which is durable only on {holders:?}, with {conf}"
            )
        })
    }

    /// Whether these nodes are a quorum of the configuration by which an entry was counted.
    fn is_counted(
        &self,
        node: NodeId,
        last: LogIndex,
        shadow: &Shadow,
        holds: impl Fn(NodeId) -> bool,
    ) -> bool {
        let counts = |conf: &ConfState| is_quorum(conf, &holds);
        let of = shadow.node(node);
        let leads = |view: Option<View>| view.is_some_and(|view| view.role == Role::Leader);
        if leads(of.view) || leads(of.before) {
            // One step may commit by one configuration, and append the next.
            let confs = &of.confs;
            let mut later = confs.iter().filter(|(index, _)| *index > of.conf_before);
            return counts(shadow.conf_at(node, of.conf_before))
                || later.any(|(_, conf)| counts(conf));
        }
        // It was told so, by one that did not live to be seen. Its log may have been lost with it.
        let term = of.view.map_or_else(Default::default, |view| view.term);
        let behind = of.confs.at(last).map_or(LogIndex(0), |(index, _)| index);
        counts(shadow.conf_at(node, last)) || shadow.confs_ever(behind, term).any(counts)
    }

    fn leader(&self, node: NodeId, view: &View, shadow: &Shadow) -> Result<(), Violation> {
        let led = |before: &View| (before.role, before.term) == (Role::Leader, view.term);
        let before = shadow.node(node).before.filter(led);
        if view.role != Role::Leader || before.is_none_or(|before| before.commit == view.commit) {
            return Ok(());
        }
        match shadow.node(node).held(view.commit) {
            Some(held) if held.term != view.term => violation(self, || {
                let (index, of, term) = (view.commit, held.term, view.term);
                format!("{node}, leader in term {term}, commits {index} of term {of} by counting")
            }),
            _ => Ok(()),
        }
    }
}

impl Judge for CommitOnQuorum {
    fn property(&self) -> &'static str {
        "commit_on_quorum"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match *fact {
            Fact::Stepped { node, view, .. } => {
                self.check(node, shadow)?;
                self.leader(node, &view, shadow)
            }
            Fact::Started { node, .. } => self.check(node, shadow),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, conf, conf_entry, entry, joint, leader, view};

    fn made_up() -> MadeUp<CommitOnQuorum> {
        let mut made_up = MadeUp::new(3, CommitOnQuorum::default());
        for node in 1..=2 {
            made_up.hand(node, 1, &[entry(1, 1, "a"), entry(1, 2, "b")]);
        }
        made_up.persist(1, 1);
        made_up.step(1, leader(1, 2, 0));
        made_up
    }

    #[test]
    fn a_commit_that_a_quorum_holds_is_well() {
        let mut made_up = made_up();
        made_up.persist(2, 1);
        made_up.step(1, leader(1, 2, 2));
        made_up.step(2, view(1, 2, 2));
        made_up.is_well();
    }

    #[test]
    fn a_commit_that_only_one_disk_holds_is_noticed() {
        let mut made_up = made_up();
        made_up.step(1, leader(1, 2, 2));
        made_up.fired("n1 commits 2 of term t1, which is durable only on [NodeId(1)]");
    }

    #[test]
    fn another_entry_at_the_same_index_does_not_count() {
        let mut made_up = made_up();
        made_up.hand(3, 1, &[entry(1, 1, "a"), entry(2, 2, "x")]);
        made_up.persist(3, 1);
        made_up.step(1, leader(1, 2, 2));
        made_up.fired("durable only on [NodeId(1)]");
    }

    #[test]
    fn an_entry_of_an_earlier_term_that_is_committed_by_counting_is_noticed() {
        let mut made_up = made_up();
        made_up.persist(2, 1);
        made_up.step(1, leader(2, 2, 0));
        made_up.step(1, leader(2, 2, 1));
        made_up.fired("leader in term t2, commits 1 of term t1 by counting");
    }

    /// Nodes 1 to 3, and 4, which has just been added by entry 2; `durable` hold both entries.
    fn with_conf(change: &ConfState, durable: &[u64]) -> MadeUp<CommitOnQuorum> {
        let mut made_up = MadeUp::with_room(3, 4, CommitOnQuorum::default());
        made_up.restart(4, &[], view(0, 0, 0));
        for node in 1..=4 {
            made_up.hand(node, 1, &[entry(1, 1, "a"), conf_entry(1, 2, change)]);
        }
        for &node in durable {
            made_up.persist(node, 1);
        }
        made_up.step(1, leader(1, 2, 0));
        made_up.step(1, leader(1, 2, 2));
        made_up
    }

    #[test]
    fn a_quorum_is_one_of_the_configuration_in_the_leaders_log() {
        with_conf(&conf(&[1, 2, 3], &[4]), &[1, 3]).is_well();
        with_conf(&joint(&[1, 2, 3], &[1, 2, 4]), &[1, 2]).is_well();
        with_conf(&joint(&[1, 2, 3], &[1, 2, 4]), &[1, 3, 4]).is_well();
        with_conf(&conf(&[2, 3, 4], &[1]), &[2, 3]).is_well();
    }

    #[test]
    fn a_learner_half_of_a_joint_configuration_and_a_leader_without_a_vote_do_not_count() {
        let only = "which is durable only on";
        with_conf(&conf(&[1, 2, 3], &[4]), &[1, 4]).fired(only);
        with_conf(&joint(&[1, 2, 3], &[1, 2, 4]), &[1, 4]).fired(only);
        with_conf(&joint(&[1, 2, 3], &[1, 2, 4]), &[1, 3]).fired(only);
        with_conf(&conf(&[2, 3], &[1]), &[1, 2]).fired(only);
        with_conf(&conf(&[1, 2, 3, 4], &[]), &[1, 2]).fired(only);
    }
}
