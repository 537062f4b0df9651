//! Committed entries, applied: the same on every replica, with replies on one.

use buggify::Canary;
use raft::{Entry, EntryKind, LogIndex, NodeId};

use crate::batch::BatchReader;
use crate::bootstrap::Bootstrap;
use crate::execute;
use crate::gateway::OwnBatch;
use crate::machine::Admission;

use super::Replica;

/// Why a replica stops that finds batches of its own applied which it has not made. Raft's promises
/// are broken by such a disk too: it has forgotten entries that it has acknowledged.
pub(super) const NUMBERS_USED: &str = "this node has been started under its present incarnation before: its \
     data directory is an old copy. Restore no copies; replace the node by `quorate serve --join HOST:PORT --replace ID` with an empty \
     --data-dir";

impl Replica {
    /// Applies one committed entry. Only the entry and the state before it decide what happens;
    /// the plan of an own batch adds replies.
    pub(super) fn apply(&mut self, entry: &Entry) {
        if self.fatal.is_some() {
            return;
        }
        let time_ms = match buggify::canary(Canary::TimeReadAtApply) {
            false => entry.time_ms,
            true => self.node.now.wall_ms,
        };
        self.node.machine.begin_entry(entry.id.index, time_ms);
        self.node.stats.entries_applied += 1;
        self.node.compaction.note_applied(entry.id.index);
        match entry.kind {
            EntryKind::Noop => {}
            EntryKind::Membership => self.apply_membership(entry.id, &entry.payload),
            EntryKind::Bootstrap => match Bootstrap::decode(&entry.payload) {
                Ok(record) => self.apply_bootstrap(record),
                Err(error) => self.fatal = Some(error.to_string()),
            },
            EntryKind::Batch => self.apply_batch(entry),
            EntryKind::FeatureLevel => self.apply_feature_level(&entry.payload),
        }
        self.check_state(entry.id.index);
    }

    fn apply_batch(&mut self, entry: &Entry) {
        let Ok((header, batch)) = BatchReader::open(&entry.payload) else {
            tracing::error!("skipped a batch without a header, as every replica does");
            return;
        };
        let config = &self.node.config;
        let is_own = header.gateway == config.node && header.incarnation == config.incarnation;
        match self.node.machine.admit(&header) {
            Admission::Seen if is_own && self.gateway.is_unapplied(header.sequence) => {
                self.fatal = Some(NUMBERS_USED.to_owned());
            }
            Admission::Seen => {}
            Admission::Gap if is_own => self.gateway.gap(),
            Admission::Gap => {}
            Admission::Apply if is_own => {
                self.node.stats.batches_applied += 1;
                match self.gateway.applied(header.sequence, self.node.now.mono_us) {
                    OwnBatch::Next(Some(plan)) => {
                        execute::apply_with_plan(&mut self.node, batch, &plan);
                    }
                    OwnBatch::Next(None) | OwnBatch::Unknown => self.apply_silently(batch),
                }
                self.answer_refused();
            }
            Admission::Apply if self.skips_effects(entry.id.index) => {}
            Admission::Apply => self.apply_silently(batch),
        }
    }

    /// A mistake that a simulator makes: never otherwise.
    fn skips_effects(&self, index: LogIndex) -> bool {
        let is_wrong =
            buggify::canary(Canary::EffectsSkipped) || buggify::canary(Canary::DifferenceUnseen);
        is_wrong && self.node.config.node == NodeId(2) && index.0 % 64 == 15
    }

    /// Answers batches that were refused, as soon as those before them are answered.
    pub(super) fn answer_refused(&mut self) {
        while let Some((plan, failure)) = self.gateway.take_refused() {
            execute::fail(&mut self.node, &plan, failure);
        }
    }

    fn apply_silently(&mut self, batch: BatchReader<'_>) {
        if let Err(error) = execute::apply(&mut self.node, batch) {
            tracing::error!(%error, "cut a malformed batch short, as every replica does");
        }
    }
}
