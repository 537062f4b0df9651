//! What the path of a command needs to know of each command, by its number.

use std::sync::LazyLock;

use kv::{CommandId, CommandSpec, Handler};

use crate::commands::{self, SessionCommand};

/// How a command travels.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Reads the keyspace at a confirmed point of the log.
    Read,
    /// Goes through the log.
    Write,
    /// Concerns the connection, the node or the cluster.
    Session(SessionCommand),
    /// Changes the members of the cluster.
    Membership,
    /// Hands out a snapshot file.
    Backup,
    /// Opens a transaction.
    Multi,
    /// Runs it.
    Exec,
    /// Drops it.
    Discard,
    /// Remembers versions of keys.
    Watch,
    /// Forgets them.
    Unwatch,
    /// In the table, and nothing runs it.
    Unsupported,
}

static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let mut kinds = Vec::new();
    for spec in kv::all() {
        set(&mut kinds, spec, None);
        for subcommand in spec.subcommands {
            set(&mut kinds, subcommand, Some(spec));
        }
    }
    kinds
});

fn set(kinds: &mut Vec<Kind>, spec: &CommandSpec, container: Option<&CommandSpec>) {
    let index = usize::from(spec.id.0);
    if index >= kinds.len() {
        kinds.resize(index + 1, Kind::Unsupported);
    }
    kinds[index] = match spec.handler {
        Handler::Read(_) => Kind::Read,
        Handler::Write(_) => Kind::Write,
        Handler::Session if container.is_none() => match spec.name {
            "multi" => Kind::Multi,
            "exec" => Kind::Exec,
            "discard" => Kind::Discard,
            "watch" => Kind::Watch,
            "unwatch" => Kind::Unwatch,
            _ => commands::find(spec).map_or(Kind::Unsupported, Kind::Session),
        },
        Handler::Session if spec.container == "quorate" && spec.name == "backup" => Kind::Backup,
        Handler::Session
            if spec.container == "quorate" && !matches!(spec.name, "help" | "members") =>
        {
            Kind::Membership
        }
        Handler::Session => commands::find(spec).map_or(Kind::Unsupported, Kind::Session),
    };
}

/// How the command of this number travels.
pub(crate) fn kind(id: CommandId) -> Kind {
    KINDS
        .get(usize::from(id.0))
        .copied()
        .unwrap_or(Kind::Unsupported)
}
