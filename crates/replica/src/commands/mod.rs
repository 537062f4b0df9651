//! Session commands: those that concern the connection, the node or the cluster, not the keyspace.
//! Each runs on the gateway alone, in its place among the connection's other commands.

use kv::CommandSpec;
use resp::Encoder;

use crate::config::ClientId;
use crate::node::Node;

/// Runs a session command for a client that is there. `args[0]` is the command's name as typed.
pub(crate) type Handler = fn(&mut Node, ClientId, &[&[u8]], &mut Encoder<'_>);

/// When a session command may run, relative to its neighbours on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schedule {
    /// In its place, at no particular point of the log: it neither needs the keyspace nor changes
    /// what later commands of the connection mean (PING, INFO, CONFIG GET).
    InPlace,
    /// In its place, at a confirmed point of the log: it reads the keyspace (CLUSTER
    /// COUNTKEYSINSLOT).
    Read,
    /// When nothing before it is in flight, and nothing behind it is started before it is done: it
    /// changes the session (HELLO, SELECT, SUBSCRIBE).
    Alone,
}

/// A session command.
#[derive(Clone, Copy)]
pub(crate) struct SessionCommand {
    pub(crate) schedule: Schedule,
    pub(crate) handler: Handler,
}

/// Finds what runs a session command; `None` for a command that is not one.
pub(crate) fn find(_spec: &CommandSpec) -> Option<SessionCommand> {
    None
}
