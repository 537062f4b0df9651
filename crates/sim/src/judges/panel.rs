//! All judges of single steps together.

use replica::Replica;

use crate::judges::duties::Duties;
use crate::judges::invariants::bounded::Bounded;
use crate::judges::invariants::commit_on_quorum::CommitOnQuorum;
use crate::judges::invariants::committed_ledger::CommittedLedger;
use crate::judges::invariants::durable_prefix::DurablePrefix;
use crate::judges::invariants::election_safety::ElectionSafety;
use crate::judges::invariants::exactly_once::ExactlyOnce;
use crate::judges::invariants::indexes::Indexes;
use crate::judges::invariants::leader_append_only::LeaderAppendOnly;
use crate::judges::invariants::leader_completeness::LeaderCompleteness;
use crate::judges::invariants::log_matching::LogMatching;
use crate::judges::invariants::log_time::LogTime;
use crate::judges::invariants::no_leaks::NoLeaks;
use crate::judges::invariants::one_vote_per_term::OneVotePerTerm;
use crate::judges::invariants::promises_durable::PromisesDurable;
use crate::judges::invariants::read_index::ReadIndex;
use crate::judges::invariants::restart::Restart;
use crate::judges::invariants::snapshots::Snapshots;
use crate::judges::invariants::state_hash::StateHash;
use crate::judges::invariants::term_monotonic::TermMonotonic;
use crate::judges::invariants::wal_recovery::WalRecovery;
use crate::judges::members::Members;
use crate::judges::{Fact, Judge, Shadow, Violation};

/// Every judge of single steps. Each fact is shown only to those whom its kind concerns, and a step that
/// changes nothing in a node's view to hardly any: most facts are messages and such steps.
#[derive(Debug, Default)]
pub struct Judges {
    bounded: Bounded,
    commit_on_quorum: CommitOnQuorum,
    committed_ledger: CommittedLedger,
    duties: Duties,
    durable_prefix: DurablePrefix,
    election_safety: ElectionSafety,
    exactly_once: ExactlyOnce,
    indexes: Indexes,
    leader_append_only: LeaderAppendOnly,
    leader_completeness: LeaderCompleteness,
    log_matching: LogMatching,
    log_time: LogTime,
    members: Members,
    no_leaks: NoLeaks,
    one_vote_per_term: OneVotePerTerm,
    promises_durable: PromisesDurable,
    read_index: ReadIndex,
    restart: Restart,
    snapshots: Snapshots,
    state_hash: StateHash,
    term_monotonic: TermMonotonic,
    wal_recovery: WalRecovery,
}

impl Judges {
    /// Sees a fact. `shadow` has taken it in already.
    ///
    /// # Errors
    /// If a property is broken: the first, in an order in which causes come before effects.
    pub fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match *fact {
            Fact::Sent { .. } => {
                self.one_vote_per_term.see(fact, shadow)?;
                self.term_monotonic.see(fact, shadow)?;
                self.promises_durable.see(fact, shadow)?;
                self.election_safety.see(fact, shadow)?;
                self.members.see(fact, shadow)?;
                self.duties.see(fact, shadow)
            }
            Fact::Handed { .. } => {
                self.indexes.see(fact, shadow)?;
                self.leader_append_only.see(fact, shadow)?;
                self.durable_prefix.see(fact, shadow)?;
                self.log_matching.see(fact, shadow)?;
                self.snapshots.see(fact, shadow)?;
                self.log_time.see(fact, shadow)
            }
            Fact::Stepped { node, .. } => {
                self.leader_append_only.see(fact, shadow)?;
                self.members.see(fact, shadow)?;
                if shadow.node(node).changed {
                    self.changed(fact, shadow)?;
                }
                self.bounded.see(fact, shadow)?;
                self.exactly_once.see(fact, shadow)?;
                self.duties.see(fact, shadow)
            }
            Fact::Started { .. } => self.started(fact, shadow),
            Fact::Refused { .. } => self.wal_recovery.see(fact, shadow),
            Fact::Ended { .. } => {
                self.leader_append_only.see(fact, shadow)?;
                self.duties.see(fact, shadow)
            }
            Fact::Answered { .. } => {
                self.read_index.see(fact, shadow)?;
                self.exactly_once.see(fact, shadow)
            }
            Fact::Retired { .. } | Fact::Received { .. } => self.members.see(fact, shadow),
            Fact::Begin { .. } => self.term_monotonic.see(fact, shadow),
            Fact::SnapshotDurable { .. }
            | Fact::SnapshotsRemoved { .. }
            | Fact::SnapshotLost { .. } => self.snapshots.see(fact, shadow),
            Fact::State { .. } => self.state_hash.see(fact, shadow),
            Fact::Persisted { .. } | Fact::Damaged { .. } => Ok(()),
        }
    }

    /// A step has changed what a node says of itself.
    fn changed(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        self.term_monotonic.see(fact, shadow)?;
        self.one_vote_per_term.see(fact, shadow)?;
        self.election_safety.see(fact, shadow)?;
        self.leader_completeness.see(fact, shadow)?;
        self.indexes.see(fact, shadow)?;
        self.promises_durable.see(fact, shadow)?;
        self.committed_ledger.see(fact, shadow)?;
        self.commit_on_quorum.see(fact, shadow)?;
        self.state_hash.see(fact, shadow)
    }

    fn started(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        self.duties.see(fact, shadow)?;
        self.members.see(fact, shadow)?;
        self.wal_recovery.see(fact, shadow)?;
        self.log_matching.see(fact, shadow)?;
        self.snapshots.see(fact, shadow)?;
        self.restart.see(fact, shadow)?;
        self.indexes.see(fact, shadow)?;
        self.one_vote_per_term.see(fact, shadow)?;
        self.term_monotonic.see(fact, shadow)?;
        self.committed_ledger.see(fact, shadow)?;
        self.commit_on_quorum.see(fact, shadow)
    }

    /// The run is over, all is quiet, all clients are answered, and these nodes run.
    ///
    /// # Errors
    /// If a property is broken.
    pub fn finish(&mut self, replicas: &[&Replica], shadow: &Shadow) -> Result<(), Violation> {
        self.state_hash.finish(replicas)?;
        self.exactly_once.finish(replicas, shadow)?;
        self.no_leaks.finish(replicas, shadow)
    }
}
