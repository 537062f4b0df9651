//! All judges of single steps together.

use replica::Replica;

use crate::judges::invariants::commit_on_quorum::CommitOnQuorum;
use crate::judges::invariants::committed_ledger::CommittedLedger;
use crate::judges::invariants::election_safety::ElectionSafety;
use crate::judges::invariants::leader_append_only::LeaderAppendOnly;
use crate::judges::invariants::log_matching::LogMatching;
use crate::judges::invariants::one_vote_per_term::OneVotePerTerm;
use crate::judges::invariants::promises_durable::PromisesDurable;
use crate::judges::invariants::term_monotonic::TermMonotonic;
use crate::judges::{Fact, Judge, Shadow, Violation};

/// Every judge of single steps. Each fact is shown only to those whom its kind concerns, and a step that
/// changes nothing in a node's view to hardly any: most facts are messages and such steps.
#[derive(Debug, Default)]
pub struct Judges {
    election_safety: ElectionSafety,
    one_vote_per_term: OneVotePerTerm,
    term_monotonic: TermMonotonic,
    promises_durable: PromisesDurable,
    leader_append_only: LeaderAppendOnly,
    log_matching: LogMatching,
    committed_ledger: CommittedLedger,
    commit_on_quorum: CommitOnQuorum,
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
                self.election_safety.see(fact, shadow)
            }
            Fact::Handed { .. } => {
                self.leader_append_only.see(fact, shadow)?;
                self.log_matching.see(fact, shadow)
            }
            Fact::Stepped { node, .. } => {
                self.leader_append_only.see(fact, shadow)?;
                if shadow.node(node).changed {
                    self.changed(fact, shadow)?;
                }
                Ok(())
            }
            Fact::Started { .. } => {
                self.one_vote_per_term.see(fact, shadow)?;
                self.term_monotonic.see(fact, shadow)?;
                self.log_matching.see(fact, shadow)?;
                self.committed_ledger.see(fact, shadow)?;
                self.commit_on_quorum.see(fact, shadow)
            }
            Fact::Ended { .. } => self.leader_append_only.see(fact, shadow),
            Fact::Begin { .. }
            | Fact::Persisted { .. }
            | Fact::Damaged { .. }
            | Fact::Refused { .. }
            | Fact::Answered { .. } => Ok(()),
        }
    }

    /// A step has changed what a node says of itself.
    fn changed(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        self.term_monotonic.see(fact, shadow)?;
        self.one_vote_per_term.see(fact, shadow)?;
        self.election_safety.see(fact, shadow)?;
        self.promises_durable.see(fact, shadow)?;
        self.committed_ledger.see(fact, shadow)?;
        self.commit_on_quorum.see(fact, shadow)
    }

    /// The run is over, all is quiet, and these nodes run.
    ///
    /// # Errors
    /// If a property is broken.
    pub fn finish(&mut self, replicas: &[&Replica], shadow: &Shadow) -> Result<(), Violation> {
        let _ = (replicas, shadow);
        Ok(())
    }
}
