//! CLIENT KILL: disconnects other clients, or this one.

use resp::Encoder;

use crate::config::ClientId;
use crate::node::Node;
use crate::session::Session;

use super::client_list::ClientType;
use super::password::DEFAULT_USER;
use super::reply::{SYNTAX, error_about, integer, is, switch};

/// Which clients are meant: those that fit everything that was given.
#[derive(Default)]
struct Filter<'a> {
    id: Option<u64>,
    addr: Option<&'a [u8]>,
    local_addr: Option<&'a [u8]>,
    client_type: Option<ClientType>,
    /// Whether the caller is meant too, if it fits.
    with_self: bool,
}

impl Filter<'_> {
    fn fits(&self, session: &Session) -> bool {
        self.id.is_none_or(|id| id == session.id)
            && self
                .addr
                .is_none_or(|addr| addr == session.info.peer_addr.as_bytes())
            && self
                .local_addr
                .is_none_or(|addr| addr == session.info.local_addr.as_bytes())
            && self
                .client_type
                .is_none_or(|wanted| wanted == ClientType::of(session))
    }
}

/// `CLIENT KILL addr`, or `CLIENT KILL <option value> …`, which replies how many it killed.
pub(super) fn kill(node: &mut Node, client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    if let [_, _, addr] = *args {
        let filter = Filter {
            addr: Some(addr),
            with_self: true,
            ..Filter::default()
        };
        return match kill_fitting(node, client, &filter) {
            0 => out.error("ERR No such client"),
            _ => out.ok(),
        };
    }
    if let Some(filter) = parse(&args[2..], out) {
        out.integer(kill_fitting(node, client, &filter));
    }
}

fn kill_fitting(node: &mut Node, caller: ClientId, filter: &Filter<'_>) -> i64 {
    let fitting: Vec<ClientId> = node
        .sessions
        .iter()
        .filter(|(client, session)| {
            !session.closing && filter.fits(session) && (filter.with_self || *client != caller)
        })
        .map(|(client, _)| client)
        .collect();
    for &client in &fitting {
        node.close(client);
    }
    fitting.len() as i64
}

fn parse<'a>(args: &[&'a [u8]], out: &mut Encoder<'_>) -> Option<Filter<'a>> {
    let mut filter = Filter::default();
    for option in args.chunks(2) {
        let [name, value] = *option else {
            out.error(SYNTAX);
            return None;
        };
        match name {
            name if is(name, "id") => {
                let id = integer(value).and_then(|id| u64::try_from(id).ok());
                filter.id = id.filter(|&id| id > 0);
                if filter.id.is_none() {
                    out.error("ERR client-id should be greater than 0");
                    return None;
                }
            }
            name if is(name, "type") => {
                filter.client_type = ClientType::parse(value);
                if filter.client_type.is_none() {
                    error_about(out, "ERR Unknown client type '", value, "'");
                    return None;
                }
            }
            name if is(name, "addr") => filter.addr = Some(value),
            name if is(name, "laddr") => filter.local_addr = Some(value),
            name if is(name, "user") => {
                if value != DEFAULT_USER.as_bytes() {
                    error_about(out, "ERR No such user '", value, "'");
                    return None;
                }
            }
            name if is(name, "skipme") && switch(value, "yes", "no").is_some() => {
                filter.with_self = is(value, "no");
            }
            _ => {
                out.error(SYNTAX);
                return None;
            }
        }
    }
    Some(filter)
}
