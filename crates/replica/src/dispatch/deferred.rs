//! Commands that wait for something else than the log or a read: a change of members, or the disk.
//! Nothing behind them on their connection is started.

use kv::CommandSpec;

use crate::config::ClientId;
use crate::replica::{Asked, Replica};

use super::{Run, Taken, Target};

impl Replica {
    /// Starts QUORATE ADD-NODE and its like, once nothing before it is in flight.
    pub(super) fn start_membership(
        &mut self,
        client: ClientId,
        run: &Run,
        spec: &'static CommandSpec,
        args: &[&[u8]],
    ) -> Taken {
        if !self.is_alone(client, run) {
            return Taken::No;
        }
        match self.ask_membership(client, spec, args) {
            Ok(Asked::Waits) => {}
            Ok(Asked::Done(answer)) => {
                self.reply_now(client, Some((spec, args)), |node, out| {
                    answer.write(node, out)
                });
            }
            Err(refusal) => {
                self.reply_now(client, Some((spec, args)), |_, out| out.error(&refusal));
            }
        }
        Taken::Yes
    }

    /// Starts QUORATE BACKUP, once nothing before it is in flight.
    pub(super) fn start_backup(
        &mut self,
        client: ClientId,
        run: &Run,
        spec: &'static CommandSpec,
        args: &[&[u8]],
    ) -> Taken {
        if !self.is_alone(client, run) {
            return Taken::No;
        }
        if let Err(refusal) = self.ask_backup(client, spec, args) {
            self.reply_now(client, Some((spec, args)), |_, out| out.error(&refusal));
        }
        Taken::Yes
    }

    /// Whether nothing of the connection is in flight, or about to be.
    fn is_alone(&mut self, client: ClientId, run: &Run) -> bool {
        run.target == Target::Undecided && self.node.session(client).runs_in_flight == 0
    }
}
