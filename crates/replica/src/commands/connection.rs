//! PING, ECHO, QUIT, RESET, HELLO, AUTH, SELECT.

use bytes::Bytes;
use kv::DATABASE_COUNT;
use resp::{Encoder, Protocol};

use crate::config::ClientId;
use crate::node::Node;
use crate::session::ReplyMode;

use super::client::{BAD_NAME, is_printable};
use super::password::{DEFAULT_USER, WRONGPASS, authenticate};
use super::reply::{NOT_AN_INTEGER, SYNTAX, error_about, integer, is, key};
use super::server::{REDIS_VERSION, is_leader};

/// The reply to HELLO before authentication.
const HELLO_NOAUTH: &str = "NOAUTH HELLO must be called with the client already authenticated, \
    otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and \
    select the RESP protocol version at the same time";

/// `PING [message]`. To a RESP2 subscriber the reply looks like a message.
pub(super) fn ping(node: &mut Node, client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    if args.len() > 2 {
        return out.error("ERR wrong number of arguments for 'ping' command");
    }
    if node.session(client).in_subscriber_mode() {
        out.array(2);
        out.bulk(b"pong");
        return out.bulk(args.get(1).copied().unwrap_or_default());
    }
    match args.get(1) {
        Some(message) => out.bulk(message),
        None => out.simple("PONG"),
    }
}

/// `ECHO message`
pub(super) fn echo(_node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    out.bulk(args[1]);
}

/// `QUIT`
pub(super) fn quit(node: &mut Node, client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    out.ok();
    node.close(client);
}

/// `RESET`: the connection as it was when it began, except for its id and for what CLIENT SETINFO
/// told of it.
pub(super) fn reset(node: &mut Node, client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    let authenticated = !node.settings.requires_authentication();
    let Node {
        sessions, pubsub, ..
    } = node;
    let Some(session) = sessions.find_mut(client) else {
        return;
    };
    pubsub.remove_client(client, session);
    session.multi = None;
    session.watches.clear();
    session.protocol = Protocol::Resp2;
    session.db = 0;
    session.name = Bytes::new();
    session.authenticated = authenticated;
    session.no_evict = false;
    session.no_touch = false;
    session.reply_mode = ReplyMode::On;
    out.simple("RESET");
}

/// `AUTH [username] password`
pub(super) fn auth(node: &mut Node, client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    let (username, password) = match *args {
        [_, password] if !node.settings.requires_authentication() => {
            let _ = password;
            return out.error(
                "ERR AUTH <password> called without any password configured for the default \
                 user. Are you sure your configuration is correct?",
            );
        }
        [_, password] => (DEFAULT_USER.as_bytes(), password),
        [_, username, password] => (username, password),
        _ => return out.error(SYNTAX),
    };
    match authenticate(node, client, username, password, "AUTH") {
        true => out.ok(),
        false => out.error(WRONGPASS),
    }
}

/// `SELECT index`
pub(super) fn select(node: &mut Node, client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    let Some(index) = integer(args[1]) else {
        return out.error(NOT_AN_INTEGER);
    };
    if i32::try_from(index).is_err() {
        return out
            .error("ERR value is out of range, value must between -2147483648 and 2147483647");
    }
    match u8::try_from(index) {
        Ok(db) if db < DATABASE_COUNT => {
            node.session(client).db = db;
            out.ok();
        }
        _ => out.error("ERR DB index is out of range"),
    }
}

/// What the options of HELLO ask for.
#[derive(Default)]
struct Hello<'a> {
    protocol: Option<Protocol>,
    login: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

/// `HELLO [protover [AUTH username password] [SETNAME clientname]]`. Nothing changes unless all of
/// it is right.
pub(super) fn hello(node: &mut Node, client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    let Some(hello) = parse_hello(args, out) else {
        return;
    };
    if let Some((username, password)) = hello.login
        && !authenticate(node, client, username, password, "HELLO")
    {
        return out.error(WRONGPASS);
    }
    let requires_authentication = node.settings.requires_authentication();
    let session = node.session(client);
    if requires_authentication && !session.authenticated {
        return out.error(HELLO_NOAUTH);
    }
    if let Some(name) = hello.name {
        session.name = Bytes::copy_from_slice(name);
    }
    if let Some(protocol) = hello.protocol {
        session.protocol = protocol;
    }
    let (protocol, id) = (session.protocol, session.id);
    let mut reply = Vec::with_capacity(160);
    greet(node, id, &mut Encoder::new(&mut reply, protocol));
    out.raw(&reply);
}

fn parse_hello<'a>(args: &[&'a [u8]], out: &mut Encoder<'_>) -> Option<Hello<'a>> {
    let mut hello = Hello::default();
    let Some(version) = args.get(1) else {
        return Some(hello);
    };
    hello.protocol = match integer(version) {
        Some(2) => Some(Protocol::Resp2),
        Some(3) => Some(Protocol::Resp3),
        Some(_) => {
            out.error("NOPROTO unsupported protocol version");
            return None;
        }
        None => {
            out.error("ERR Protocol version is not an integer or out of range");
            return None;
        }
    };
    let mut rest = &args[2..];
    while let [option, ..] = rest {
        rest = match rest {
            [_, username, password, rest @ ..] if is(option, "AUTH") => {
                hello.login = Some((username, password));
                rest
            }
            [_, name, rest @ ..] if is(option, "SETNAME") => {
                if !is_printable(name) {
                    out.error(BAD_NAME);
                    return None;
                }
                hello.name = Some(name);
                rest
            }
            _ => {
                error_about(out, "ERR Syntax error in HELLO option '", option, "'");
                return None;
            }
        };
    }
    Some(hello)
}

/// The reply to HELLO: names, order and types are what clients cast on. `server` stays "redis", the
/// value that clients compare; `server_name` of INFO tells who it is.
fn greet(node: &Node, id: u64, out: &mut Encoder<'_>) {
    out.map(7);
    key(out, "server");
    out.bulk(b"redis");
    key(out, "version");
    out.bulk(REDIS_VERSION.as_bytes());
    key(out, "proto");
    out.integer(match out.protocol() {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    });
    key(out, "id");
    out.integer(id as i64);
    key(out, "mode");
    out.bulk(b"cluster");
    key(out, "role");
    out.bulk(if is_leader(node) {
        b"master"
    } else {
        b"replica"
    });
    key(out, "modules");
    out.array(0);
}
