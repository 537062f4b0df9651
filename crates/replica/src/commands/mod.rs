//! Session commands: those that concern the connection, the node or the cluster, not the keyspace.
//! Each runs on the gateway alone, in its place among the connection's other commands.
//!
//! Replies and error texts are those of Redis 7.0, byte for byte, wherever they mean the same here.
//! Where they cannot, the reply says what is so here: INFO has no field without a true value,
//! CONFIG SET refuses what it could only pretend.

mod acl;
mod admission;
mod client;
mod client_kill;
mod client_list;
mod cluster;
mod command;
mod config;
mod connection;
mod debug;
mod info;
mod latency;
mod memory;
mod parameters;
mod password;
mod persistence;
mod pubsub;
pub(crate) mod quorate;
mod reply;
mod scripting;
mod server;
mod slowlog;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use admission::{
    NOAUTH, allowed_in_subscriber_mode, allowed_without_authentication, subscriber_mode_error,
};
pub(crate) use client::{close_idle, resume_paused};
pub(crate) use debug::sleep_us;
pub(crate) use persistence::waits_for_save;

use kv::CommandSpec;
use resp::Encoder;

use crate::config::ClientId;
use crate::node::Node;

/// Runs a session command for a client that is there. `args[0]` is the command's name as typed;
/// of a subcommand, `args[0]` is the container's and `args[1]` its own. Their number fits the
/// command's arity.
pub(crate) type Handler = fn(&mut Node, ClientId, &[&[u8]], &mut Encoder<'_>);

/// When a session command may run, relative to its neighbours on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schedule {
    /// In its place, at no particular point of the log: it neither needs the keyspace nor changes
    /// what later commands of the connection mean (PING, INFO, CONFIG GET).
    InPlace,
    /// When nothing before it is in flight, and nothing behind it is started before it is done: it
    /// changes the session (HELLO, SELECT).
    Alone,
    /// In its place, at a point of the log that was confirmed after it arrived, and nothing behind it
    /// is started before it is done. A subscription begins there: a node that is still applying the
    /// past delivers none of it.
    ReadAlone,
    /// As [`Schedule::Alone`], once the connection has slept for it: DEBUG SLEEP is answered when it
    /// is over.
    AfterSleep,
    /// As [`Schedule::Alone`], once the snapshot that it asked for has ended: SAVE.
    AfterSave,
}

/// A session command.
#[derive(Clone, Copy)]
pub(crate) struct SessionCommand {
    pub(crate) schedule: Schedule,
    pub(crate) handler: Handler,
}

/// Finds what runs a session command; `None` for a command that is not one. Meant to be asked once
/// per command, when the node starts.
pub(crate) fn find(spec: &CommandSpec) -> Option<SessionCommand> {
    match spec.container {
        "" => top_level(spec.name),
        "acl" => acl::find(spec.name),
        "client" => client::find(spec.name),
        "cluster" => cluster::find(spec.name),
        "command" => command::find(spec.name),
        "config" => config::find(spec.name),
        "debug" => debug::find(spec.name),
        "function" => scripting::find_function(spec.name),
        "latency" => latency::find(spec.name),
        "memory" => memory::find(spec.name),
        "module" => server::find_module(spec.name),
        "object" => (spec.name == "help").then(|| in_place(command::help)),
        "pubsub" => pubsub::find(spec.name),
        "quorate" => quorate::find(spec.name),
        "script" => scripting::find_script(spec.name),
        "slowlog" => slowlog::find(spec.name),
        _ => None,
    }
}

fn top_level(name: &str) -> Option<SessionCommand> {
    Some(match name {
        "ping" => in_place(connection::ping),
        "echo" => in_place(connection::echo),
        "quit" => alone(connection::quit),
        "reset" => alone(connection::reset),
        "hello" => alone(connection::hello),
        "auth" => alone(connection::auth),
        "select" => alone(connection::select),
        "subscribe" => read_alone(pubsub::subscribe),
        "unsubscribe" => alone(pubsub::unsubscribe),
        "psubscribe" => read_alone(pubsub::psubscribe),
        "punsubscribe" => alone(pubsub::punsubscribe),
        "ssubscribe" => read_alone(pubsub::ssubscribe),
        "sunsubscribe" => alone(pubsub::sunsubscribe),
        "command" => in_place(command::command),
        "info" => in_place(info::info),
        "time" => in_place(server::time),
        "role" => in_place(server::role),
        "lastsave" => in_place(persistence::lastsave),
        "bgsave" => in_place(persistence::bgsave),
        "save" => after_save(persistence::save),
        "lolwut" => in_place(server::lolwut),
        "shutdown" => alone(server::shutdown),
        "wait" => alone(server::wait),
        "waitaof" => alone(server::waitaof),
        "readonly" | "readwrite" | "asking" => in_place(cluster::acknowledge),
        _ => return None,
    })
}

/// A command that runs in its place.
fn in_place(handler: Handler) -> SessionCommand {
    SessionCommand {
        schedule: Schedule::InPlace,
        handler,
    }
}

/// A command that runs at a confirmed point of the log, and holds back what follows it.
fn read_alone(handler: Handler) -> SessionCommand {
    SessionCommand {
        schedule: Schedule::ReadAlone,
        handler,
    }
}

/// A command that runs alone, after its connection has slept.
fn after_sleep(handler: Handler) -> SessionCommand {
    SessionCommand {
        schedule: Schedule::AfterSleep,
        handler,
    }
}

/// A command that runs alone, after its snapshot.
fn after_save(handler: Handler) -> SessionCommand {
    SessionCommand {
        schedule: Schedule::AfterSave,
        handler,
    }
}

/// A command that runs while nothing else of its connection is in flight.
fn alone(handler: Handler) -> SessionCommand {
    SessionCommand {
        schedule: Schedule::Alone,
        handler,
    }
}
