//! What the facts so far add up to: each node's log as it was handed to its disk, how much of it is
//! durable, and the ledger of what was committed. Judges share it.

use crate::judges::Fact;

/// See the module.
#[derive(Debug, Default)]
pub struct Shadow {}

impl Shadow {
    /// Takes in a fact.
    pub fn take(&mut self, fact: &Fact<'_>) {
        let _ = fact;
    }
}
