//! Requests for pieces of a snapshot file: they wait for the disk, and nothing behind them is started.

use kv::CommandSpec;

use crate::config::ClientId;
use crate::replica::Replica;

use super::{Run, Taken, Target};

impl Replica {
    /// Starts QUORATE BACKUP, once nothing before it is in flight.
    pub(super) fn start_backup(
        &mut self,
        client: ClientId,
        run: &Run,
        spec: &'static CommandSpec,
        args: &[&[u8]],
    ) -> Taken {
        if run.target != Target::Undecided || self.node.session(client).runs_in_flight > 0 {
            return Taken::No;
        }
        if let Err(refusal) = self.ask_backup(client, spec, args) {
            self.reply_now(client, Some((spec, args)), |_, out| out.error(&refusal));
        }
        Taken::Yes
    }
}
