//! Changes of members are made in the order that keeps any two quorums in touch, and for the good of the
//! cluster: one file a property. How votes and commits are counted meanwhile is judged where they are
//! ([`commit_on_quorum`](crate::judges::invariants::commit_on_quorum), [`duties`](crate::judges::duties)).

pub mod ballot;
pub mod elected;
pub mod escort;
pub mod farewell;
pub mod ids_once;
pub mod in_force;
pub mod one_at_a_time;
pub mod one_step;
pub mod promotion;

use crate::judges::members::ballot::Ballot;
use crate::judges::members::elected::Elected;
use crate::judges::members::escort::Escort;
use crate::judges::members::farewell::Farewell;
use crate::judges::members::ids_once::IdsOnce;
use crate::judges::members::in_force::InForce;
use crate::judges::members::one_at_a_time::OneAtATime;
use crate::judges::members::one_step::OneStep;
use crate::judges::members::promotion::Promotion;
use crate::judges::{Fact, Judge, Shadow, Violation};

/// All judges of changes of members.
#[derive(Debug, Default)]
pub struct Members {
    ballot: Ballot,
    elected: Elected,
    escort: Escort,
    farewell: Farewell,
    ids_once: IdsOnce,
    in_force: InForce,
    one_at_a_time: OneAtATime,
    one_step: OneStep,
    promotion: Promotion,
}

impl Members {
    /// Sees a fact. `shadow` has taken it in already. Before the first change there is nothing to judge.
    ///
    /// # Errors
    /// If a property is broken.
    pub fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        if !shadow.members_changed() {
            return Ok(());
        }
        match *fact {
            Fact::Sent { .. } | Fact::Received { .. } => {
                self.elected.see(fact, shadow)?;
                self.ballot.see(fact, shadow)
            }
            Fact::Started { .. } => self.elected.see(fact, shadow),
            Fact::Retired { .. } => self.farewell.see(fact, shadow),
            Fact::Stepped { node, .. } => {
                self.ballot.see(fact, shadow)?;
                self.elected.see(fact, shadow)?;
                if shadow.node(node).conf_changed {
                    self.one_at_a_time.see(fact, shadow)?;
                    self.one_step.see(fact, shadow)?;
                    self.promotion.see(fact, shadow)?;
                    self.in_force.see(fact, shadow)?;
                }
                if shadow.node(node).changed {
                    self.ids_once.see(fact, shadow)?;
                }
                self.escort.see(fact, shadow)
            }
            _ => Ok(()),
        }
    }
}
