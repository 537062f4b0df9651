//! CLIENT: connections, this one and others. What lists and kills them stands beside.

use bytes::Bytes;
use resp::Encoder;

use crate::config::ClientId;
use crate::node::{Node, Pause};
use crate::session::ReplyMode;

use super::reply::{
    NOT_AN_INTEGER, SYNTAX, error_about, integer, is, key, switch, wrong_arguments,
};
use super::{SessionCommand, alone, client_kill, client_list, command, in_place};

/// The reply to a name with spaces or worse in it: it would break the lines of CLIENT LIST.
pub(super) const BAD_NAME: &str =
    "ERR Client names cannot contain spaces, newlines or special characters.";

pub(super) fn find(name: &str) -> Option<SessionCommand> {
    Some(match name {
        "caching" => in_place(caching),
        "capa" => in_place(capa),
        "getname" => in_place(getname),
        "getredir" => in_place(getredir),
        "help" => in_place(command::help),
        "id" => in_place(id),
        "info" => in_place(client_list::info),
        "kill" => alone(client_kill::kill),
        "list" => in_place(client_list::list),
        "no-evict" => in_place(no_evict),
        "no-touch" => in_place(no_touch),
        "pause" => alone(pause),
        "reply" => alone(reply),
        "setinfo" => in_place(setinfo),
        "setname" => in_place(setname),
        "tracking" => in_place(tracking),
        "trackinginfo" => in_place(trackinginfo),
        "unblock" => in_place(unblock),
        "unpause" => in_place(unpause),
        _ => return None,
    })
}

/// Whether a text has none but visible ASCII characters.
pub(super) fn is_printable(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}

/// `CLIENT ID`
fn id(node: &mut Node, client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    out.integer(node.session(client).id as i64);
}

/// `CLIENT SETNAME connection-name`; an empty name is none.
fn setname(node: &mut Node, client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    if !is_printable(args[2]) {
        return out.error(BAD_NAME);
    }
    node.session(client).name = Bytes::copy_from_slice(args[2]);
    out.ok();
}

/// `CLIENT GETNAME`
fn getname(node: &mut Node, client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    match &node.session(client).name[..] {
        b"" => out.null(),
        name => out.bulk(name),
    }
}

/// `CLIENT SETINFO <LIB-NAME libname | LIB-VER libver>`
fn setinfo(node: &mut Node, client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    let session = node.session(client);
    let field = match args[2] {
        attribute if is(attribute, "lib-name") => &mut session.client_library_name,
        attribute if is(attribute, "lib-ver") => &mut session.client_library_version,
        unknown => return error_about(out, "ERR Unrecognized option '", unknown, "'"),
    };
    if !is_printable(args[3]) {
        let after = " cannot contain spaces, newlines or special characters.";
        return error_about(out, "ERR ", args[2], after);
    }
    *field = Bytes::copy_from_slice(args[3]);
    out.ok();
}

/// `CLIENT NO-EVICT <ON | OFF>`. Kept and shown; no client is ever disconnected for its memory
/// alone.
fn no_evict(node: &mut Node, client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    let Some(on) = switch(args[2], "on", "off") else {
        return out.error(SYNTAX);
    };
    node.session(client).no_evict = on;
    out.ok();
}

/// `CLIENT NO-TOUCH <ON | OFF>`. Kept and shown; reads never change a key's age here, since it would
/// be a change that did not go through the log.
fn no_touch(node: &mut Node, client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    let Some(on) = switch(args[2], "on", "off") else {
        return out.error(SYNTAX);
    };
    node.session(client).no_touch = on;
    out.ok();
}

/// `CLIENT REPLY <ON | OFF | SKIP>`. Only ON is answered; SKIP while replies are off changes nothing.
fn reply(node: &mut Node, client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    let session = node.session(client);
    match args[2] {
        mode if is(mode, "on") => {
            session.reply_mode = ReplyMode::On;
            out.ok();
        }
        mode if is(mode, "off") => session.reply_mode = ReplyMode::Off,
        mode if is(mode, "skip") => {
            if session.reply_mode != ReplyMode::Off {
                session.reply_mode = ReplyMode::SkipNext;
            }
        }
        _ => out.error(SYNTAX),
    }
}

/// `CLIENT PAUSE timeout [WRITE | ALL]`. A pause in force is never shortened or weakened by another.
fn pause(node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    if args.len() > 4 {
        return wrong_arguments(out, args);
    }
    let writes_only = match args.get(3) {
        None => false,
        Some(mode) if is(mode, "write") => true,
        Some(mode) if is(mode, "all") => false,
        Some(_) => return out.error("ERR CLIENT PAUSE mode must be WRITE or ALL"),
    };
    let Some(timeout_ms) = integer(args[2]) else {
        return out.error("ERR timeout is not an integer or out of range");
    };
    let Ok(timeout_ms) = u64::try_from(timeout_ms) else {
        return out.error("ERR timeout is negative");
    };
    let until_us = node
        .now
        .mono_us
        .saturating_add(timeout_ms.saturating_mul(1_000));
    let wanted = Pause {
        until_us,
        writes_only,
    };
    let now_us = node.now.mono_us;
    node.pause = Some(match node.pause.filter(|pause| pause.until_us > now_us) {
        Some(pause) => Pause {
            until_us: pause.until_us.max(until_us),
            writes_only: pause.writes_only && writes_only,
        },
        None => wanted,
    });
    out.ok();
}

/// `CLIENT UNPAUSE`
fn unpause(node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    if node.pause.take().is_some() {
        wake_all(node);
    }
    out.ok();
}

/// Ends CLIENT PAUSE when its time is over: the held connections go on. Called every tick.
pub(crate) fn resume_paused(node: &mut Node) {
    if node
        .pause
        .is_some_and(|pause| pause.until_us <= node.now.mono_us)
    {
        node.pause = None;
        wake_all(node);
    }
}

fn wake_all(node: &mut Node) {
    let clients: Vec<ClientId> = node.sessions.iter().map(|(client, _)| client).collect();
    for client in clients {
        node.wake(client);
    }
}

/// Disconnects clients that have sent nothing for longer than CONFIG's `timeout`. Subscribers are
/// spared, as in Redis: they have nothing to send.
pub(crate) fn close_idle(node: &mut Node) {
    let idle_us_max = node.settings.idle_seconds_max.saturating_mul(1_000_000);
    if idle_us_max == 0 {
        return;
    }
    let now_us = node.now.mono_us;
    let idle: Vec<ClientId> = node
        .sessions
        .iter()
        .filter(|(_, session)| {
            let is_subscriber = session.subscription_count() + session.shard_channels.len() > 0;
            let is_waiting = session.runs_in_flight > 0;
            !is_subscriber && !is_waiting && now_us.saturating_sub(session.active_us) > idle_us_max
        })
        .map(|(client, _)| client)
        .collect();
    for client in idle {
        node.close(client);
    }
}

/// `CLIENT UNBLOCK client-id [TIMEOUT | ERROR]`. No command blocks yet, so there is nobody to free.
fn unblock(_node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    match args.get(3) {
        _ if args.len() > 4 => wrong_arguments(out, args),
        Some(reason) if switch(reason, "timeout", "error").is_none() => {
            out.error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
        }
        _ if integer(args[2]).is_none() => out.error(NOT_AN_INTEGER),
        _ => out.integer(0),
    }
}

/// `CLIENT CAPA capability [capability ...]` (Valkey). No reply depends on any: a client is never
/// redirected.
fn capa(_node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    out.ok();
}

/// `CLIENT TRACKING <ON | OFF> …`
fn tracking(_node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    match args.get(2).and_then(|arg| switch(arg, "on", "off")) {
        Some(true) => out.error(
            "ERR CLIENT TRACKING is not supported in this release: a client that caches must \
             bound the age of what it keeps",
        ),
        Some(false) => out.ok(),
        None => out.error(SYNTAX),
    }
}

/// `CLIENT CACHING <YES | NO>`
fn caching(_node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    out.error(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or \
         OPTOUT mode enabled",
    );
}

/// `CLIENT TRACKINGINFO`
fn trackinginfo(_node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    out.map(3);
    key(out, "flags");
    out.set(1);
    out.bulk(b"off");
    key(out, "redirect");
    out.integer(-1);
    key(out, "prefixes");
    out.array(0);
}

/// `CLIENT GETREDIR`
fn getredir(_node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    out.integer(-1);
}
