//! The replicated state machine: the keyspace, and the table that makes resent batches harmless.
//!
//! # Exactly once
//! The state keeps two numbers per gateway: its incarnation and the sequence of its last applied
//! batch. A batch is applied if it is the next in sequence, or the first of a newer incarnation.
//! Anything else is skipped: it was applied before, or one before it is missing and the gateway
//! will send both again. So a batch may be sent any number of times, to any number of leaders, and
//! takes effect at most once. (Thesis 6.3 has one session per client; this is one per gateway.)

use std::collections::BTreeMap;
use std::hash::Hasher;

use buggify::Canary;
use kv::Store;
use raft::{ConfState, LogIndex, NodeId, SnapshotMeta};
use siphasher::sip::SipHasher13;

use crate::batch::BatchHeader;
use crate::bootstrap::Bootstrap;
use crate::head::Head;
use crate::membership::Roster;

/// What every replica holds equal copies of.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The keyspace.
    pub(crate) store: Store,
    /// Per gateway, the last batch applied.
    gateways: BTreeMap<NodeId, LastBatch>,
    /// The record that the log begins with, once applied.
    bootstrap: Option<Bootstrap>,
    /// Who belongs to the cluster, and where each is reached.
    pub(crate) roster: Roster,
    /// The rules by which entries are applied: the highest level that an entry has named; 0 before the
    /// first.
    feature_level: u32,
}

/// The last batch of a gateway that was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastBatch {
    /// How often the gateway's node had been started when it made the batch.
    pub(crate) incarnation: u64,
    /// Its number in that incarnation.
    pub(crate) sequence: u64,
}

/// What is to be done with a batch that stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is the next of its gateway: apply it.
    Apply,
    /// It was applied before, or belongs to an earlier incarnation of its gateway.
    Seen,
    /// A batch before it is missing.
    Gap,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Machine {
            store: Store::new(),
            gateways: BTreeMap::new(),
            bootstrap: None,
            roster: Roster::default(),
            feature_level: 0,
        }
    }

    /// The state that a snapshot holds.
    pub(crate) fn of_snapshot(head: Head, store: Store) -> Self {
        Machine {
            store,
            gateways: head.gateways,
            bootstrap: Some(head.bootstrap),
            roster: head.roster,
            feature_level: head.feature_level,
        }
    }

    /// All of the state that is not a key, for a snapshot cut now; `None` before the bootstrap
    /// record was applied: there is nothing to keep then.
    pub(crate) fn head(&self, meta: SnapshotMeta) -> Option<Head> {
        Some(Head {
            meta,
            bootstrap: self.bootstrap.clone()?,
            gateways: self.gateways.clone(),
            roster: self.roster.clone(),
            keys: (0..kv::DATABASE_COUNT)
                .map(|db| self.store.key_count(db) as u64)
                .sum(),
            feature_level: self.feature_level,
        })
    }

    /// The last batch of a gateway that was applied.
    pub(crate) fn last_batch(&self, gateway: NodeId) -> Option<LastBatch> {
        self.gateways.get(&gateway).copied()
    }

    /// Whether a member has certainly run before: it is a founder, or a batch of it was applied.
    pub(crate) fn was_ever_active(&self, node: NodeId) -> bool {
        self.gateways.contains_key(&node) || self.founders().contains(node)
    }

    /// The founders of the cluster as voters: who belongs to it until an entry says otherwise.
    pub(crate) fn founders(&self) -> ConfState {
        let founders = self.bootstrap.iter().flat_map(|record| &record.members);
        ConfState::of_voters(founders.map(|&(node, _)| node))
    }

    /// A hash of all of the state: equal on replicas that have applied the same entries. Walks all
    /// keys.
    pub(crate) fn state_hash(&self) -> u64 {
        self.hash_with(self.store.state_hash())
    }

    /// A hash of the same that takes no time: see [`Store::rolling_hash`]. What goes into it is
    /// [`crate::consistency::SCHEME`].
    pub(crate) fn rolling_hash(&self) -> u64 {
        self.hash_with(self.store.rolling_hash())
    }

    fn hash_with(&self, keys: u64) -> u64 {
        let mut hasher = SipHasher13::new();
        hasher.write_u64(keys);
        hasher.write_u64(self.gateways.len() as u64);
        for (gateway, last) in &self.gateways {
            hasher.write_u64(gateway.0);
            hasher.write_u64(last.incarnation);
            hasher.write_u64(last.sequence);
        }
        hasher.write(&self.roster.encode());
        let of_birth = self.bootstrap.as_ref();
        if of_birth.is_some_and(|record| record.feature_level != self.feature_level) {
            // The release before hashes nothing here, and is never at a raised level.
            hasher.write_u32(self.feature_level);
        }
        hasher.finish()
    }

    /// Begins an entry: its time becomes the log's, and keys that are due by it go.
    pub(crate) fn begin_entry(&mut self, index: LogIndex, time_ms: u64) {
        self.store.begin_entry(index.0, time_ms);
    }

    /// Applies the record that a log begins with.
    pub(crate) fn bootstrap(&mut self, record: Bootstrap) {
        self.store.bootstrap(record.secret);
        self.roster = Roster::of_first(record.members.iter().cloned());
        self.feature_level = record.feature_level;
        self.bootstrap = Some(record);
    }

    /// The rules by which entries are applied now; 0 before the bootstrap record.
    pub(crate) fn feature_level(&self) -> u32 {
        self.feature_level
    }

    /// Changes to the rules of a higher level. Whether it is one.
    pub(crate) fn raise_feature_level(&mut self, level: u32) -> bool {
        let is_higher = level > self.feature_level;
        self.feature_level = self.feature_level.max(level);
        is_higher
    }

    /// Whether the bootstrap record has been applied: before it, no key may be placed.
    pub(crate) fn is_bootstrapped(&self) -> bool {
        self.bootstrap.is_some()
    }

    /// Decides whether a batch takes effect, and remembers it if so.
    pub(crate) fn admit(&mut self, header: &BatchHeader) -> Admission {
        let batch = LastBatch {
            incarnation: match buggify::canary(Canary::IncarnationIgnored) {
                false => header.incarnation,
                true => 0,
            },
            sequence: header.sequence,
        };
        let admission = match self.gateways.get(&header.gateway) {
            None if batch.sequence == 1 => Admission::Apply,
            None => Admission::Gap,
            Some(last) if batch.incarnation < last.incarnation => Admission::Seen,
            Some(last) if batch.incarnation > last.incarnation => match batch.sequence {
                1 => Admission::Apply,
                _ => Admission::Gap,
            },
            Some(last)
                if batch.sequence <= last.sequence
                    && buggify::canary(Canary::ResentBatchAppliedAgain) =>
            {
                return Admission::Apply;
            }
            Some(last) if batch.sequence <= last.sequence => Admission::Seen,
            Some(last) if batch.sequence == last.sequence + 1 => Admission::Apply,
            Some(_) if buggify::canary(Canary::GapAdmitted) => Admission::Apply,
            Some(_) => Admission::Gap,
        };
        if admission == Admission::Apply {
            self.gateways.insert(header.gateway, batch);
        }
        admission
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Incarnation and sequence.
    type Number = (u64, u64);

    /// The last number applied, the number of a batch, and what becomes of it.
    const ADMISSIONS: [(Option<Number>, Number, Admission); 20] = {
        use Admission::{Apply, Gap, Seen};
        [
            // Nothing known of the gateway: only a first batch may come.
            (None, (1, 0), Gap),
            (None, (1, 1), Apply),
            (None, (1, 2), Gap),
            (None, (u64::MAX, 1), Apply),
            // The incarnation that is known.
            (Some((5, 7)), (5, 0), Seen),
            (Some((5, 7)), (5, 6), Seen),
            (Some((5, 7)), (5, 7), Seen),
            (Some((5, 7)), (5, 8), Apply),
            (Some((5, 7)), (5, 9), Gap),
            (Some((5, 7)), (5, u64::MAX), Gap),
            // An older one.
            (Some((5, 7)), (4, 1), Seen),
            (Some((5, 7)), (4, 8), Seen),
            (Some((5, 7)), (0, u64::MAX), Seen),
            // A newer one.
            (Some((5, 7)), (6, 0), Gap),
            (Some((5, 7)), (6, 1), Apply),
            (Some((5, 7)), (6, 2), Gap),
            (Some((5, 7)), (6, 8), Gap),
            // The end of the numbers.
            (Some((5, u64::MAX)), (5, u64::MAX), Seen),
            (Some((5, u64::MAX - 1)), (5, u64::MAX), Apply),
            (Some((u64::MAX, 7)), (u64::MAX, 8), Apply),
        ]
    };

    fn header(gateway: u64, (incarnation, sequence): Number) -> BatchHeader {
        BatchHeader {
            gateway: NodeId(gateway),
            incarnation,
            sequence,
        }
    }

    #[test]
    fn a_batch_is_admitted_by_its_number_and_what_was_applied_before() {
        for (last, batch, expected) in ADMISSIONS {
            let mut machine = Machine::new();
            if let Some((incarnation, sequence)) = last {
                let last = LastBatch {
                    incarnation,
                    sequence,
                };
                machine.gateways.insert(NodeId(1), last);
            }
            let before = machine.gateways.clone();
            assert_eq!(machine.admit(&header(2, (9, 1))), Admission::Apply);
            machine.gateways.remove(&NodeId(2));
            assert_eq!(machine.gateways, before, "gateways do not touch each other");
            let admission = machine.admit(&header(1, batch));
            assert_eq!(admission, expected, "{batch:?} after {last:?}");
            match admission {
                Admission::Apply => {
                    let again = machine.admit(&header(1, batch));
                    assert_eq!(again, Admission::Seen, "{batch:?} twice");
                }
                _ => assert_eq!(machine.gateways, before, "{batch:?} after {last:?}"),
            }
        }
    }

    /// Whatever order copies of a gateway's batches stand in, each takes effect at most once, in
    /// order, and what is resent from the first missing one on takes effect.
    #[test]
    fn copies_in_any_order_are_applied_once_and_in_order() {
        for order in 0..4_u64.pow(6) {
            let mut machine = Machine::new();
            let mut applied = Vec::new();
            let copies = (0..6).map(|place| order / 4_u64.pow(place) % 4 + 1);
            for sequence in copies.chain(1..=4) {
                if machine.admit(&header(1, (1, sequence))) == Admission::Apply {
                    applied.push(sequence);
                }
            }
            assert_eq!(applied, [1, 2, 3, 4], "order {order}");
        }
    }
}
