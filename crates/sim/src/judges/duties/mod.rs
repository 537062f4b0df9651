//! What the algorithm owes beyond safety: nobody disturbs a leader without need, nobody leads or commits
//! on the word of an earlier term, and a leader that cannot do its office lays it down. Breaking these
//! loses no data at once. It makes a cluster that flaps, hangs, grows without bound, or is one
//! crash away from losing data, which other judges notice late or never.

pub mod campaign;
pub mod mandate;
pub mod office;
pub mod transfer;

use crate::judges::duties::campaign::Campaign;
use crate::judges::duties::mandate::Mandate;
use crate::judges::duties::office::Office;
use crate::judges::duties::transfer::Transfer;
use crate::judges::{Fact, Judge, Shadow, Violation};

/// All judges of duties.
#[derive(Debug, Default)]
pub struct Duties {
    campaign: Campaign,
    mandate: Mandate,
    transfer: Transfer,
    office: Office,
}

impl Duties {
    /// Sees a fact. `shadow` has taken it in already.
    ///
    /// # Errors
    /// If a duty is neglected.
    pub fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match fact {
            Fact::Sent { .. } => {
                self.campaign.see(fact, shadow)?;
                self.mandate.see(fact, shadow)?;
                self.transfer.see(fact, shadow)
            }
            Fact::Stepped { .. } => {
                self.mandate.see(fact, shadow)?;
                self.transfer.see(fact, shadow)?;
                self.office.see(fact, shadow)
            }
            Fact::Ended { .. } => self.transfer.see(fact, shadow),
            Fact::Started { .. } => {
                self.campaign.see(fact, shadow)?;
                self.mandate.see(fact, shadow)
            }
            _ => Ok(()),
        }
    }
}
