//! Commands that are neither in the log nor reads of the state, and are answered later: the connection
//! waits for them, and nothing behind them is started.

use kv::CommandSpec;
use resp::Encoder;

use crate::config::ClientId;
use crate::node::Node;
use crate::replica::Replica;

/// A command that waits for its answer.
#[derive(Debug)]
pub(crate) struct Deferred {
    client: ClientId,
    spec: &'static CommandSpec,
    args: Vec<Vec<u8>>,
    since_us: u64,
}

impl Deferred {
    /// How long it has waited, in milliseconds.
    pub(crate) fn waited_ms(&self, now_us: u64) -> u64 {
        now_us.saturating_sub(self.since_us) / 1000
    }
}

impl Replica {
    /// Lets a connection, on which nothing else is in flight, wait for the answer to a command.
    pub(crate) fn defer(
        &mut self,
        client: ClientId,
        spec: &'static CommandSpec,
        args: &[&[u8]],
    ) -> Deferred {
        let session = self.node.session(client);
        session.reply_mode.begin();
        session.runs_in_flight += 1;
        session.writes_in_flight = false;
        session.solo = true;
        Deferred {
            client,
            spec,
            args: args.iter().map(|arg| arg.to_vec()).collect(),
            since_us: self.node.now.mono_us,
        }
    }

    /// Answers it, if the client is still there.
    pub(crate) fn answer_deferred(
        &mut self,
        deferred: &Deferred,
        write: impl FnOnce(&Node, &mut Encoder<'_>),
    ) {
        let client = deferred.client;
        let Some(session) = self.node.sessions.find_mut(client) else {
            return;
        };
        session.runs_in_flight -= 1;
        session.solo = false;
        let mut reply = Vec::new();
        let mut out = Encoder::new(&mut reply, session.protocol);
        write(&self.node, &mut out);
        let args: Vec<&[u8]> = deferred.args.iter().map(Vec::as_slice).collect();
        let duration_us = self.node.now.mono_us - deferred.since_us;
        self.node
            .note_call(client, deferred.spec.id, &args, &reply, duration_us);
        if let Some(session) = self.node.sessions.find_mut(client)
            && session.reply_mode.end()
        {
            session.output.extend_from_slice(&reply);
            self.node.flush(client);
        }
        self.node.wake(client);
    }
}
