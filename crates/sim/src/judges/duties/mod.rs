//! What the algorithm owes beyond safety: nobody disturbs a leader without need, and a leader that
//! cannot do its office lays it down. Breaking these loses no data. It makes a cluster that flaps, hangs
//! or grows without bound, which a demand for progress notices late or never.

pub mod campaign;
pub mod office;
pub mod transfer;

use crate::judges::duties::campaign::Campaign;
use crate::judges::duties::office::Office;
use crate::judges::duties::transfer::Transfer;
use crate::judges::{Fact, Judge, Shadow, Violation};

/// All judges of duties.
#[derive(Debug, Default)]
pub struct Duties {
    campaign: Campaign,
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
                self.transfer.see(fact, shadow)
            }
            Fact::Stepped { .. } => {
                self.transfer.see(fact, shadow)?;
                self.office.see(fact, shadow)
            }
            Fact::Ended { .. } => self.transfer.see(fact, shadow),
            _ => Ok(()),
        }
    }
}
