//! Requests that change the members: they wait for their change, and nothing behind them is started.

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
        if run.target != Target::Undecided || self.node.session(client).runs_in_flight > 0 {
            return Taken::No;
        }
        match self.ask_membership(client, spec, args) {
            Ok(Asked::Done(answer)) => {
                self.reply_now(client, Some((spec, args)), |node, out| {
                    answer.write(node, out)
                });
            }
            Err(refusal) => {
                self.reply_now(client, Some((spec, args)), |_, out| out.error(&refusal));
            }
            Ok(Asked::Waits) => {
                let session = self.node.session(client);
                session.reply_mode.begin();
                session.runs_in_flight += 1;
                session.writes_in_flight = false;
                session.solo = true;
            }
        }
        Taken::Yes
    }
}
