//! COMMAND, and the HELP of every container: printed from kv's table, which is the one place that
//! knows the commands.

use kv::command_docs::{command_reply, help_reply};
use resp::Encoder;

use crate::config::ClientId;
use crate::node::Node;

use super::{SessionCommand, in_place};

pub(super) fn find(_name: &str) -> Option<SessionCommand> {
    Some(in_place(command))
}

/// `COMMAND [COUNT | DOCS | GETKEYS | GETKEYSANDFLAGS | HELP | INFO | LIST] …`
pub(super) fn command(_node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    command_reply(args, out);
}

/// `<container> HELP`
pub(super) fn help(_node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    match kv::lookup(args[0]) {
        Some(container) => help_reply(container.name, out),
        None => out.array(0),
    }
}
