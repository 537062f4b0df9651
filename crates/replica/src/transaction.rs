//! MULTI, EXEC, DISCARD, WATCH: one entry of the log per transaction, its watched versions compared
//! when that entry is applied.

use bytes::Bytes;
use resp::Encoder;

use crate::batch::push_transaction;
use crate::config::ClientId;
use crate::encoding::{Command, Reader};
use crate::kinds::{Kind, kind};
use crate::node::Node;
use crate::plan::{Plan, Step};
use crate::session::{Multi, Watch};

/// EXEC after a command was refused while queueing.
pub(crate) const ABORTED: &str = "EXECABORT Transaction discarded because of previous errors.";
/// EXEC without MULTI.
pub(crate) const EXEC_WITHOUT_MULTI: &str = "ERR EXEC without MULTI";
/// DISCARD without MULTI.
pub(crate) const DISCARD_WITHOUT_MULTI: &str = "ERR DISCARD without MULTI";
/// MULTI inside MULTI.
pub(crate) const NESTED_MULTI: &str = "ERR MULTI calls can not be nested";
/// WATCH inside MULTI.
pub(crate) const WATCH_INSIDE_MULTI: &str = "ERR WATCH inside MULTI is not allowed";

/// The reply to an EXEC that is itself refused: the transaction is gone, and the reply says so.
pub(crate) fn refused_exec(refusal: &[u8]) -> Vec<u8> {
    let reason = refusal.strip_prefix(b"ERR ").unwrap_or(refusal);
    [b"EXECABORT Transaction discarded because of: ", reason].concat()
}

/// Remembers the versions that the keys have at this point of the log.
pub(crate) fn watch(
    node: &mut Node,
    client: ClientId,
    command: &Command<'_>,
    out: &mut Encoder<'_>,
) {
    for key in &command.args[1..] {
        let version = node.machine.store.version(command.db, key);
        let watches = &mut node.session(client).watches;
        if !watches
            .iter()
            .any(|watch| watch.db == command.db && watch.key == *key)
        {
            watches.push(Watch {
                db: command.db,
                key: Bytes::copy_from_slice(key),
                version,
            });
        }
    }
    out.ok();
}

/// Bytes that a transaction takes in a batch beside its commands.
pub(crate) fn overhead(watches: &[Watch]) -> usize {
    10 + watches
        .iter()
        .map(|watch| 13 + watch.key.len())
        .sum::<usize>()
}

/// Adds the steps of a queued transaction behind its `Exec` step.
pub(crate) fn push_steps(plan: &mut Plan, client: ClientId, multi: &Multi) {
    for_each(multi, |kind, bytes| {
        let length = bytes.len() as u32;
        match kind {
            Kind::Write => plan.write(client),
            Kind::Read => plan.encoded(client, Step::Read { length }, bytes),
            _ => plan.encoded(client, Step::Session { length }, bytes),
        }
    });
}

/// Adds a queued transaction to a batch: what it watches, then its writes.
pub(crate) fn push_writes(batch: &mut Vec<u8>, multi: &Multi, watches: &[Watch]) {
    let mut writes = 0;
    for_each(multi, |kind, _| {
        writes += u32::from(matches!(kind, Kind::Write))
    });
    push_transaction(batch, watches, writes);
    for_each(multi, |kind, bytes| {
        if matches!(kind, Kind::Write) {
            batch.extend_from_slice(bytes);
        }
    });
}

fn for_each(multi: &Multi, mut visit: impl FnMut(Kind, &[u8])) {
    let mut reader = Reader::new(&multi.commands);
    while !reader.is_at_end() {
        let start = reader.position();
        let command = reader
            .command()
            .expect("a queue holds what this gateway encoded");
        visit(kind(command.id), &multi.commands[start..reader.position()]);
    }
}
