//! Whether a member is the one that was met before, and writing down that it was met.

use wal::KnownPeers;

use super::handshake::{Hello, RefusalReason, Refused, judge_history};

/// Judges who a member was before, and remembers a run that is new before it is let in.
///
/// This is the one place where the reactor waits for a disk. It happens once for each start of a
/// peer, when that peer is no use to anybody yet, and the answer must not leave before the disk has
/// the run: a node that lets a run in, loses power and forgets it would let in an older one next. A
/// turn that is late by a few syncs costs less than a handshake that goes on while others overtake
/// it.
///
/// A disk that is full keeps a restarted peer out until there is space, and the peer is told so.
pub(super) fn remember(
    known: &mut KnownPeers,
    ours: &Hello,
    theirs: &Hello,
) -> Result<(), Refused> {
    let Some(run) = judge_history(ours, known.run(theirs.node.0), theirs)? else {
        return Ok(());
    };
    known.record(run).map_err(|error| Refused {
        reason: RefusalReason::NotRecorded,
        text: format!(
            "node {} cannot write down that it has met node {}, and does not let it in before: {error}",
            ours.node.0, theirs.node.0
        ),
    })
}
