//! CLIENT LIST and CLIENT INFO: one line per connection.

use std::collections::BTreeMap;

use kv::CommandSpec;
use resp::{Encoder, Protocol};

use crate::config::{ClientId, Now};
use crate::node::Node;
use crate::session::Session;

use super::reply::{SYNTAX, error_about, integer, is, text};

/// What CLIENT LIST and CLIENT KILL call a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientType {
    /// A client that sends commands.
    Normal,
    /// A client with subscriptions.
    PubSub,
    /// A Redis master. There is none: nodes talk on other connections.
    Master,
    /// A Redis replica. There is none either.
    Replica,
}

impl ClientType {
    pub(super) fn parse(name: &[u8]) -> Option<Self> {
        Some(match name {
            name if is(name, "normal") => ClientType::Normal,
            name if is(name, "pubsub") => ClientType::PubSub,
            name if is(name, "master") => ClientType::Master,
            name if is(name, "replica") || is(name, "slave") => ClientType::Replica,
            _ => return None,
        })
    }

    pub(super) fn of(session: &Session) -> Self {
        match session.subscription_count() + session.shard_channels.len() {
            0 => ClientType::Normal,
            _ => ClientType::PubSub,
        }
    }
}

/// `CLIENT INFO`
pub(super) fn info(node: &mut Node, client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    let now = node.now;
    let line = line(node.session(client), now);
    text(out, format!("{line}\n").as_bytes());
}

/// `CLIENT LIST [TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]`
pub(super) fn list(node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    let by_id: BTreeMap<u64, &Session> = node
        .sessions
        .iter()
        .map(|(_, session)| (session.id, session))
        .collect();
    let sessions: Vec<&Session> = match args[2..] {
        [] => by_id.into_values().collect(),
        [option, name] if is(option, "type") => {
            let Some(wanted) = ClientType::parse(name) else {
                return error_about(out, "ERR Unknown client type '", name, "'");
            };
            by_id
                .into_values()
                .filter(|session| ClientType::of(session) == wanted)
                .collect()
        }
        [option, ref ids @ ..] if is(option, "id") && !ids.is_empty() => {
            let mut sessions = Vec::new();
            for id in ids {
                let Some(id) = integer(id) else {
                    return out.error("ERR Invalid client ID");
                };
                sessions.extend(
                    u64::try_from(id)
                        .ok()
                        .and_then(|id| by_id.get(&id))
                        .copied(),
                );
            }
            sessions
        }
        _ => return out.error(SYNTAX),
    };
    let mut lines = String::new();
    for session in sessions {
        lines.push_str(&line(session, node.now));
        lines.push('\n');
    }
    text(out, lines.as_bytes());
}

/// A connection in the format of Redis 7.2. `fd` is the shell's and not known here.
pub(super) fn line(session: &Session, now: Now) -> String {
    let seconds_since = |us: u64| now.mono_us.saturating_sub(us) / 1_000_000;
    let multi_bytes = session
        .multi
        .as_ref()
        .map_or(0, |multi| multi.commands.len());
    let queued = session
        .multi
        .as_ref()
        .map_or(-1, |multi| i64::from(multi.count));
    let input = session.input_taken_bytes + session.pending_input().len();
    let output = session.pending_output().len();
    let total_bytes =
        size_of::<Session>() + session.input.capacity() + session.output.capacity() + multi_bytes;
    let last_command = session
        .last_command
        .map_or("NULL".into(), CommandSpec::full_name);
    format!(
        "id={} addr={} laddr={} fd=-1 name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} \
         multi={queued} qbuf={input} qbuf-free={} argv-mem=0 multi-mem={multi_bytes} rbs={} rbp=0 \
         obl={output} oll=0 omem={output} tot-mem={total_bytes} events=r cmd={} user=default \
         redir=-1 resp={} lib-name={} lib-ver={}",
        session.id,
        session.info.peer_addr,
        session.info.local_addr,
        String::from_utf8_lossy(&session.name),
        seconds_since(session.connected_us),
        seconds_since(session.active_us),
        flags(session),
        session.db,
        session.channels.len(),
        session.patterns.len(),
        session.shard_channels.len(),
        session.input.capacity() - session.input.len(),
        session.output.capacity(),
        last_command,
        match session.protocol {
            Protocol::Resp2 => 2,
            Protocol::Resp3 => 3,
        },
        String::from_utf8_lossy(&session.client_library_name),
        String::from_utf8_lossy(&session.client_library_version),
    )
}

/// One letter per fact, in the order of Redis; N for none.
fn flags(session: &Session) -> String {
    let facts = [
        (ClientType::of(session) == ClientType::PubSub, 'P'),
        (session.multi.is_some(), 'x'),
        (session.closing, 'c'),
        (session.no_evict, 'e'),
        (session.no_touch, 'T'),
    ];
    let letters: String = facts
        .iter()
        .filter(|(is_so, _)| *is_so)
        .map(|(_, letter)| *letter)
        .collect();
    if letters.is_empty() {
        "N".to_owned()
    } else {
        letters
    }
}
