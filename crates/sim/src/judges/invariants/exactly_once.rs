//! Each batch takes effect exactly once, however often it stands in the log (thesis, section 6.3, with a
//! session per gateway instead of one per client). A model of its own replays the ledger: a batch is
//! admitted if it is the next of its gateway's incarnation, or the first of a newer one. Held to it are
//!
//! - names: two batches of one name in the log are the same batch;
//! - replicas: each has admitted as many of its own batches as the model has, and applied each entry once;
//! - answers: a command was executed in a batch that its gateway made and that was admitted.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft::{EntryKind, LogIndex, NodeId};
use replica::{Metrics, Replica};

use crate::history::{Operation, Outcome};
use crate::judges::shadow::at;
use crate::judges::{Fact, Judge, Shadow, Violation, violation};

/// Steps between looks at a replica's counters.
pub const INTERVAL: u64 = 61;

/// See the module.
#[derive(Debug, Default)]
pub struct ExactlyOnce {
    /// By index of the ledger: who made the batch, if the entry is a batch that was admitted.
    admitted: Vec<Option<NodeId>>,
    /// By gateway, the incarnation that its last admitted batch was of.
    latest: BTreeMap<NodeId, u64>,
    /// By gateway and incarnation, where its batches were admitted, in order of their sequence from 1.
    batches: BTreeMap<(NodeId, u64), Vec<LogIndex>>,
    /// Answers that came from entries that nobody was seen to commit yet: operation, index, gateway.
    early: Vec<(usize, LogIndex, NodeId)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name {
    gateway: NodeId,
    incarnation: u64,
    sequence: u64,
}

/// Reads the name of a batch: `u8 version | u64 gateway | u64 incarnation | u64 sequence`, little-endian.
fn name(payload: &Bytes) -> Option<Name> {
    let (&version, rest) = payload.split_first()?;
    let (numbers, _) = rest.get(..24)?.as_chunks::<8>();
    let &[gateway, incarnation, sequence] = numbers else {
        return None;
    };
    (version == 1).then(|| Name {
        gateway: NodeId(u64::from_le_bytes(gateway)),
        incarnation: u64::from_le_bytes(incarnation),
        sequence: u64::from_le_bytes(sequence),
    })
}

impl ExactlyOnce {
    /// Replays what was committed since.
    fn replay(&mut self, shadow: &Shadow) -> Result<(), Violation> {
        let known = self.admitted.len();
        for committed in &shadow.ledger().entries()[known..] {
            let held = &committed.held;
            let is_batch = held.kind() == Some(EntryKind::Batch);
            let gateway = match name(&held.payload).filter(|_| is_batch) {
                Some(name) => self.batch(name, &held.payload, shadow)?,
                None => None,
            };
            self.admitted.push(gateway);
        }
        if known < self.admitted.len() && !self.early.is_empty() {
            for (op, index, gateway) in std::mem::take(&mut self.early) {
                self.answer(op, index, gateway)?;
            }
        }
        Ok(())
    }

    /// Replays a batch, the next entry of the ledger. Returns its gateway if it is admitted.
    fn batch(
        &mut self,
        name: Name,
        payload: &Bytes,
        shadow: &Shadow,
    ) -> Result<Option<NodeId>, Violation> {
        let Name {
            gateway,
            incarnation,
            sequence,
        } = name;
        let index = LogIndex(self.admitted.len() as u64 + 1);
        let batches = self.batches.entry((gateway, incarnation)).or_default();
        if let Some(&first) = at(batches, LogIndex(sequence)) {
            let ledger = shadow.ledger().entry(first);
            let is_same = ledger.is_some_and(|entry| entry.held.payload == payload);
            // An old image of its disk lets a gateway use an incarnation again.
            let is_blameless = shadow
                .nodes()
                .any(|(node, of)| node == gateway && of.damaged);
            if !is_same && !is_blameless {
                return violation(self, || {
                    format!("{index} and {first} are different, both {name:?}")
                })
                .map(|()| None);
            }
            return Ok(None);
        }
        let is_latest = self
            .latest
            .get(&gateway)
            .is_none_or(|latest| incarnation >= *latest);
        if !is_latest || sequence != batches.len() as u64 + 1 {
            return Ok(None);
        }
        batches.push(index);
        self.latest.insert(gateway, incarnation);
        Ok(Some(gateway))
    }

    /// An operation was answered as executed in an entry.
    fn answer(&mut self, op: usize, index: LogIndex, gateway: NodeId) -> Result<(), Violation> {
        match at(&self.admitted, index) {
            // The one who committed it may have died before it was seen to.
            None if index.0 > 0 => {
                self.early.push((op, index, gateway));
                Ok(())
            }
            Some(Some(by)) if *by == gateway => Ok(()),
            found => violation(self, || {
                let found = found.copied().flatten();
                format!(
                    "operation {op} was executed by {gateway} in entry {index}, admitted of {found:?}"
                )
            }),
        }
    }

    fn answered(&mut self, op: usize, operation: &Operation) -> Result<(), Violation> {
        let position = operation
            .position
            .filter(|position| position.order != u32::MAX);
        match (&operation.outcome, position) {
            (Outcome::Done(_), Some(position)) => {
                self.answer(op, LogIndex(position.index), NodeId(operation.node))
            }
            _ => Ok(()),
        }
    }

    /// Compares what a replica has counted with the model.
    fn counts(&self, node: NodeId, incarnation: u64, metrics: &Metrics) -> Result<(), Violation> {
        let applied = LogIndex(metrics.applied_index);
        let batches = self.batches.get(&(node, incarnation));
        let admitted = batches.map_or(0, |at| at.partition_point(|index| *index <= applied));
        // What snapshots stood for was applied by others.
        let batches = metrics.batches_applied + metrics.batches_by_snapshot;
        let entries = metrics.entries_applied + metrics.entries_by_snapshot;
        if (batches, entries) == (admitted as u64, applied.0) {
            return Ok(());
        }
        violation(self, || {
            format!(
                "{node} has applied {entries} entries and {batches} batches of its own up to {applied}; \
                 there are {admitted} such batches"
            )
        })
    }

    /// The run is over, and these nodes run.
    ///
    /// # Errors
    /// If one has counted otherwise than the model, or something was answered that nobody committed.
    pub fn finish(&mut self, replicas: &[&Replica], shadow: &Shadow) -> Result<(), Violation> {
        self.replay(shadow)?;
        if let Some((op, index, node)) = self.early.first() {
            return violation(self, || {
                format!("operation {op} was executed by {node} in entry {index}, never committed")
            });
        }
        for replica in replicas {
            let node = replica.config().node;
            let incarnation = shadow.node(node).incarnation;
            self.counts(node, incarnation, &replica.metrics())?;
        }
        Ok(())
    }
}

impl Judge for ExactlyOnce {
    fn property(&self) -> &'static str {
        "exactly_once"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match *fact {
            Fact::Stepped { node, replica, .. } => {
                self.replay(shadow)?;
                if shadow.steps().is_multiple_of(INTERVAL) {
                    let incarnation = shadow.node(node).incarnation;
                    return self.counts(node, incarnation, &replica.metrics());
                }
                Ok(())
            }
            Fact::Answered { op, history } => self.answered(op, &history.operations[op]),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{History, Position};
    use crate::judges::made_up::{MadeUp, view};
    use wal::Record;

    /// A batch at an index, with something in it.
    fn batch(index: u64, gateway: u64, incarnation: u64, sequence: u64, content: &[u8]) -> Record {
        let mut body = vec![1];
        for number in [gateway, incarnation, sequence] {
            body.extend(number.to_le_bytes());
        }
        body.extend(content);
        Record::entry(1, 1, index, 2, 0, body.into())
    }

    fn commit(records: &[Record]) -> MadeUp<ExactlyOnce> {
        let mut made_up = MadeUp::new(3, ExactlyOnce::default());
        made_up.hand(1, 1, records);
        let count = records.len() as u64;
        made_up.step(1, view(1, count, count));
        made_up
    }

    fn answer(made_up: &mut MadeUp<ExactlyOnce>, node: u64, index: u64) {
        let mut history = History::default();
        let op = history.invoke(0, 0, node, Vec::new());
        let position = Some(Position { index, order: 0 });
        history.complete(0, op, Outcome::Done(Vec::new()), position);
        made_up.show(&Fact::Answered {
            op,
            history: &history,
        });
    }

    /// Twice the same, a gap, one of an earlier incarnation: the model admits four of seven.
    fn log() -> Vec<Record> {
        vec![
            batch(1, 2, 1, 1, b"a"),
            batch(2, 2, 1, 1, b"a"),
            batch(3, 2, 1, 3, b"c"),
            batch(4, 2, 1, 2, b"b"),
            batch(5, 2, 2, 1, b"d"),
            batch(6, 2, 1, 3, b"c"),
            batch(7, 3, 9, 1, b"e"),
        ]
    }

    #[test]
    fn copies_gaps_and_new_incarnations_are_well() {
        let mut made_up = commit(&log());
        let admitted = [Some(2), None, None, Some(2), Some(2), None, Some(3)];
        assert_eq!(
            made_up.judge.admitted,
            admitted.map(|node| node.map(NodeId))
        );
        answer(&mut made_up, 2, 4);
        answer(&mut made_up, 3, 7);
        answer(&mut made_up, 2, 8);
        made_up.hand(1, 2, &[batch(8, 2, 2, 2, b"f")]);
        made_up.step(1, view(1, 8, 8));
        made_up.is_well();
        assert_eq!(made_up.judge.early, []);
    }

    #[test]
    fn two_batches_of_one_name_are_noticed() {
        let made_up = commit(&[batch(1, 2, 1, 1, b"a"), batch(2, 2, 1, 1, b"x")]);
        made_up.fired("2 and 1 are different");
    }

    #[test]
    fn an_answer_from_a_copy_is_noticed() {
        let mut made_up = commit(&log());
        answer(&mut made_up, 2, 2);
        made_up.fired("operation 0 was executed by n2 in entry 2, admitted of None");
    }

    #[test]
    fn an_answer_from_the_batch_of_another_is_noticed_also_when_it_is_early() {
        let mut made_up = commit(&log());
        answer(&mut made_up, 3, 8);
        made_up.hand(1, 2, &[batch(8, 2, 2, 2, b"f")]);
        made_up.step(1, view(1, 8, 8));
        made_up.fired("operation 0 was executed by n3 in entry 8");
    }

    #[test]
    fn an_answer_that_nobody_ever_commits_is_noticed() {
        let mut made_up = commit(&log());
        answer(&mut made_up, 3, 9);
        let violation = made_up.judge.finish(&[], &made_up.shadow);
        assert!(violation.is_err_and(|it| it.detail.contains("never committed")));
    }

    #[test]
    fn a_replica_that_counts_otherwise_is_noticed() {
        let made_up = commit(&log());
        let well = Metrics {
            applied_index: 4,
            entries_applied: 4,
            batches_applied: 2,
            ..Metrics::default()
        };
        let counts = |metrics: &Metrics| made_up.judge.counts(NodeId(2), 1, metrics);
        assert_eq!(counts(&well), Ok(()));
        let twice = Metrics {
            batches_applied: 3,
            ..well
        };
        let skipped = Metrics {
            entries_applied: 3,
            ..well
        };
        assert!(counts(&twice).is_err() && counts(&skipped).is_err());
    }
}
