//! The witness checker: with the places in the log that servers tell of their replies, a history is
//! judged in O(n log n).
//!
//! A simulator's replicas say of every reply at which entry of the log it was made
//! ([`replica::Witness`]), and the judges know what was committed. So nothing has to be searched: the
//! log is replayed through a small model that owes nothing to the product's code, and at each
//! place the replies made there must be the model's. The places themselves must agree with
//! what clients saw. Nobody's word is taken for it that a place is right: a wrong one shows in the
//! replies, in the commands that stand there or in the order of time.
//!
//! | property | file |
//! |---|---|
//! | every reply is the model's; a WATCH decides as versions say | `replay` |
//! | what is answered before something else is asked stands before it; a client's operations are in order | `order` |
//! | listeners hear every message of the log, in its order | `deliveries` |
//! | acknowledged: in the log, at its place; failed: not in it; unknown: at most once; no increment lost or doubled | `presence`, `replay` |

mod deliveries;
mod ledger;
mod model;
mod operations;
mod order;
mod presence;
mod replay;

#[cfg(test)]
mod tests;

use raft::EntryKind;

use crate::history::History;
use crate::judges::witness::ledger::Raw;
use crate::judges::{Shadow, Violation};

/// What was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WitnessStats {
    /// Operations of the history.
    pub operations: u64,
    /// Entries of the log.
    pub replayed_entries: u64,
    /// Writes and transactions in them that took effect.
    pub replayed_records: u64,
    /// Replies that were compared with the model's.
    pub compared_replies: u64,
    /// Messages that came to listeners.
    pub deliveries: u64,
}

/// Checks a history against the log that was committed.
///
/// # Errors
/// If a property is broken.
pub fn check(history: &History, shadow: &Shadow) -> Result<WitnessStats, Violation> {
    let committed = shadow.ledger().entries().iter();
    let log = committed.map(|committed| Raw {
        is_batch: committed.held.kind() == Some(EntryKind::Batch),
        time_ms: committed.held.time_ms,
        payload: &committed.held.payload,
    });
    check_log(history, log)
}

fn check_log<'a>(
    history: &History,
    log: impl IntoIterator<Item = Raw<'a>>,
) -> Result<WitnessStats, Violation> {
    let entries = ledger::read(log)?;
    let asked = operations::read(history);
    let mut stats = WitnessStats {
        operations: asked.len() as u64,
        ..WitnessStats::default()
    };
    order::real_time(history, &asked)?;
    order::connection(&asked)?;
    let replayed = replay::replay(&asked, &entries, &mut stats)?;
    presence::unwitnessed(&asked, &entries, &replayed.unwitnessed)?;
    stats.deliveries = deliveries::check(history, &replayed.published)?;
    Ok(stats)
}

fn violation(property: &'static str, detail: String) -> Violation {
    Violation { property, detail }
}
