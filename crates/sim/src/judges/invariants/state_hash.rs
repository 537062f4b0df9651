//! Replicas that have applied the same entries have the same state (State Machine Safety: paper, figure
//! 3). The hash covers keys, values, versions, when keys expire, and the time of the log, so it also
//! says that keys expire alike everywhere. A state that was loaded from a snapshot is the state that
//! applying the log makes.
//!
//! A hash walks all keys. So it is taken when a replica's applied index passes a multiple of
//! [`INTERVAL`], wherever it lands then, and again whenever another replica lands exactly there; and of
//! all replicas at the end.

use std::collections::BTreeMap;

use raft::{LogIndex, NodeId};
use replica::Replica;

use crate::judges::{Fact, Judge, Shadow, Violation, violation};

/// How many entries may pass without a hash.
pub const INTERVAL: u64 = 64;

/// Hashes kept. Replicas that start anew apply the whole log again, and are compared to the old ones.
const KEPT_MAX: usize = 1 << 14;

/// See the module.
#[derive(Debug, Default)]
pub struct StateHash {
    hashes: BTreeMap<LogIndex, (u64, NodeId)>,
}

impl StateHash {
    fn compare(&mut self, node: NodeId, applied: LogIndex, hash: u64) -> Result<(), Violation> {
        let (known, by) = *self.hashes.entry(applied).or_insert((hash, node));
        if self.hashes.len() > KEPT_MAX {
            self.hashes.pop_first();
        }
        if known == hash {
            return Ok(());
        }
        violation(self, || {
            format!(
                "after entry {applied}, {node} has state {hash:016x}, but {by} had {known:016x}"
            )
        })
    }

    /// The run is over: all are compared, wherever they are.
    ///
    /// # Errors
    /// If two that have applied the same entries differ.
    pub fn finish(&mut self, replicas: &[&Replica]) -> Result<(), Violation> {
        for replica in replicas {
            let status = replica.raft().status();
            self.compare(status.id, status.applied, replica.state_hash())?;
        }
        Ok(())
    }
}

impl Judge for StateHash {
    fn property(&self) -> &'static str {
        "state_hash"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        let (node, view, replica) = match *fact {
            Fact::Stepped {
                node,
                view,
                replica,
            } => (node, view, replica),
            Fact::State { node, index, hash } => return self.compare(node, index, hash),
            _ => return Ok(()),
        };
        let before = shadow
            .node(node)
            .before
            .map_or(LogIndex(0), |before| before.applied);
        if view.applied == before {
            return Ok(());
        }
        let is_due = view.applied.0 / INTERVAL != before.0 / INTERVAL;
        if is_due || self.hashes.contains_key(&view.applied) {
            return self.compare(node, view.applied, replica.state_hash());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::View;
    use crate::judges::made_up::{MadeUp, replica, replica_that_has_applied, view};

    fn applied(index: u64) -> View {
        View {
            applied: LogIndex(index),
            ..view(1, index, index)
        }
    }

    #[test]
    fn equal_states_are_well_and_so_are_different_ones_after_different_entries() {
        let mut made_up = MadeUp::new(2, StateHash::default());
        let (first, second) = (replica(), replica_that_has_applied());
        assert_ne!(first.state_hash(), second.state_hash());
        made_up.step_of(1, applied(70), &first);
        made_up.step_of(2, applied(70), &first);
        made_up.step_of(2, applied(71), &second);
        made_up.step_of(1, applied(71), &first);
        made_up.is_well();
    }

    #[test]
    fn different_states_after_the_same_entries_are_noticed() {
        let mut made_up = MadeUp::new(2, StateHash::default());
        made_up.step_of(1, applied(70), &replica());
        made_up.step_of(2, applied(5), &replica_that_has_applied());
        made_up.step_of(2, applied(70), &replica_that_has_applied());
        made_up.fired("after entry 70, n2 has state");
    }

    #[test]
    fn different_states_at_the_end_are_noticed() {
        let (ours, theirs) = (replica(), replica_that_has_applied());
        let index = theirs.raft().applied_index();
        let mut judge = StateHash::default();
        assert_eq!(judge.finish(&[&ours, &theirs, &theirs]), Ok(()));
        judge.hashes.insert(index, (0, NodeId(3)));
        assert!(judge.finish(&[&theirs]).is_err());
    }
}
