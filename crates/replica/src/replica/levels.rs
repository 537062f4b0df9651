//! The cluster's feature level: raised by the leader, followed by all. The rule is [`crate::features`].

use raft::{Entry, EntryKind, LogIndex};

use crate::bootstrap::Bootstrap;
use crate::features::{self, FeatureLevelError, FeatureLevels};

use super::Replica;

/// An entry of this leader that raises the level, and is not applied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raise {
    index: LogIndex,
    level: u32,
}

impl Replica {
    /// As the leader, raises the cluster's level if all members know a higher one.
    pub(super) fn raise_level(&mut self) {
        if !self.raft.is_leader() {
            self.raise = None;
            return;
        }
        let applied = self.node.consensus.applied;
        if self.raise.is_some_and(|raise| raise.index > applied) {
            return;
        }
        self.raise = None;
        // Whoever is just being added may know less than those who are there.
        if self.is_changing() || !self.node.machine.is_bootstrapped() {
            return;
        }
        let members = self.raft.conf().members();
        let known = members.iter().map(|id| {
            let member = self.node.members.get(id)?;
            member.connected.then_some(member.feature_level)
        });
        let level = self.node.machine.feature_level();
        let max = self.node.settings.feature_level_max;
        let Some(next) = features::next_level(level, max, known) else {
            return;
        };
        let (payload, wall_ms) = (features::encode(next), self.node.now.wall_ms);
        if let Ok(id) = self.raft.propose(EntryKind::FeatureLevel, payload, wall_ms) {
            tracing::info!(
                from = level,
                to = next,
                "all nodes know a higher feature level"
            );
            self.raise = Some(Raise {
                index: id.index,
                level: next,
            });
        }
    }

    /// Whether a program that knows these levels can take part: by the level that is applied, and by the
    /// one that this leader is raising the cluster to.
    pub(super) fn check_levels(&self, levels: FeatureLevels) -> Result<(), FeatureLevelError> {
        let raised = self.raise.map_or(0, |raise| raise.level);
        levels.check(raised.max(self.node.machine.feature_level()))
    }

    /// An entry is about to stand in this node's log. One that takes the cluster to a level which is not
    /// known here stops the node, before it is acknowledged.
    pub(super) fn check_level_of(&mut self, entry: &Entry) {
        let level = match entry.kind {
            EntryKind::FeatureLevel => features::decode(&entry.payload),
            EntryKind::Bootstrap => {
                Ok(Bootstrap::decode(&entry.payload).map_or(0, |record| record.feature_level))
            }
            _ => return,
        };
        if let Err(error) = level.and_then(|level| self.node.config.feature_levels.check(level)) {
            self.fatal = Some(error.to_string());
        }
    }

    /// Applies an entry that raises the level. Two leaders may both have raised it: it never falls.
    pub(super) fn apply_feature_level(&mut self, payload: &[u8]) {
        let known = self.node.config.feature_levels;
        let level = features::decode(payload).and_then(|level| known.check(level).map(|()| level));
        match level {
            Ok(level) => {
                let before = self.node.machine.feature_level();
                if self.node.machine.raise_feature_level(level) {
                    tracing::info!(from = before, to = level, "the feature level was raised");
                    self.changes.mark_dirty();
                }
            }
            Err(error) => self.fatal = Some(error.to_string()),
        }
    }
}
