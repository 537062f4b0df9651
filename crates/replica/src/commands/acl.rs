//! ACL, as far as one user goes: `default`, who may do everything once authenticated.

use kv::{AclCategories, CommandSpec};
use resp::Encoder;

use crate::config::ClientId;
use crate::node::Node;

use super::password::{DEFAULT_USER, hex_digest};
use super::reply::{NOT_AN_INTEGER, error_about, integer, is, key, wrong_arguments};
use super::{SessionCommand, command, in_place};

/// The most bits of ACL GENPASS, as in Redis.
const PASSWORD_BITS_MAX: i64 = 4_096;

/// The reply to ACL SAVE and LOAD, as in Redis without an ACL file.
const NO_ACL_FILE: &str = "ERR This Redis instance is not configured to use an ACL file. You may \
    want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming \
    you have a Redis configuration file set) in order to store users in the Redis configuration.";

pub(super) fn find(name: &str) -> Option<SessionCommand> {
    Some(match name {
        "cat" => in_place(cat),
        "deluser" => in_place(deluser),
        "dryrun" => in_place(dryrun),
        "genpass" => in_place(genpass),
        "getuser" => in_place(getuser),
        "help" => in_place(command::help),
        "list" => in_place(list),
        "load" | "save" => in_place(no_file),
        "log" => in_place(log),
        "setuser" => in_place(setuser),
        "users" => in_place(users),
        "whoami" => in_place(whoami),
        _ => return None,
    })
}

/// `ACL WHOAMI`
fn whoami(_node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    out.bulk(DEFAULT_USER.as_bytes());
}

/// `ACL USERS`
fn users(_node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    out.array(1);
    out.bulk(DEFAULT_USER.as_bytes());
}

/// `ACL LIST`
fn list(node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    let password = match &node.settings.requirepass {
        Some(password) => format!("#{}", hex_digest(&[password])),
        None => "nopass".to_owned(),
    };
    out.array(1);
    out.bulk(format!("user {DEFAULT_USER} on {password} ~* &* +@all").as_bytes());
}

/// `ACL GETUSER username`
fn getuser(node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    if args[2] != DEFAULT_USER.as_bytes() {
        return out.null();
    }
    let password = node
        .settings
        .requirepass
        .as_ref()
        .map(|password| hex_digest(&[password]));
    out.map(6);
    key(out, "flags");
    out.set(if password.is_some() { 1 } else { 2 });
    out.bulk(b"on");
    if password.is_none() {
        out.bulk(b"nopass");
    }
    key(out, "passwords");
    out.array(usize::from(password.is_some()));
    if let Some(password) = password {
        out.bulk(password.as_bytes());
    }
    key(out, "commands");
    out.bulk(b"+@all");
    key(out, "keys");
    out.bulk(b"~*");
    key(out, "channels");
    out.bulk(b"&*");
    key(out, "selectors");
    out.array(0);
}

/// `ACL SETUSER username [rule ...]`
fn setuser(_node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    out.error(
        "ERR ACL SETUSER is not supported in this release: there is one user, 'default'; set its \
         password by CONFIG SET requirepass",
    );
}

/// `ACL DELUSER username [username ...]`
fn deluser(_node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    match args[2..].contains(&DEFAULT_USER.as_bytes()) {
        true => out.error("ERR The 'default' user cannot be removed"),
        false => out.integer(0),
    }
}

/// `ACL SAVE`, `ACL LOAD`
fn no_file(_node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    out.error(NO_ACL_FILE);
}

/// `ACL CAT [category]`
fn cat(_node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    if args.len() > 3 {
        return wrong_arguments(out, args);
    }
    let Some(name) = args.get(2) else {
        out.array(AclCategories::NAMES.len());
        for name in AclCategories::NAMES {
            out.bulk(name.as_bytes());
        }
        return;
    };
    let Some(category) = AclCategories::by_redis_name(name) else {
        return error_about(out, "ERR Unknown category '", name, "'");
    };
    let commands: Vec<&CommandSpec> = kv::all()
        .flat_map(|spec| std::iter::once(spec).chain(spec.subcommands))
        .filter(|spec| spec.subcommands.is_empty() && spec.acl.contains(category))
        .collect();
    out.array(commands.len());
    for spec in commands {
        out.bulk(spec.full_name().as_bytes());
    }
}

/// `ACL GENPASS [bits]`: digits nobody can guess. They are digests of the random secret that the
/// shell drew for this process, which no client is ever shown, and of a counter.
fn genpass(node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    if args.len() > 3 {
        return wrong_arguments(out, args);
    }
    let bits = match args.get(2).map(|bits| integer(bits)) {
        None => 256,
        Some(None) => return out.error(NOT_AN_INTEGER),
        Some(Some(bits)) => bits,
    };
    if !(1..=PASSWORD_BITS_MAX).contains(&bits) {
        return out.error(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a \
             positive number up to 4096",
        );
    }
    let digit_count = (bits as usize).div_ceil(4);
    let mut digits = String::with_capacity(digit_count + 64);
    while digits.len() < digit_count {
        let draw = node.random.next_u64().to_le_bytes();
        let start = node.config.incarnation.to_le_bytes();
        digits.push_str(&hex_digest(&[
            &node.config.cluster_secret,
            b"genpass",
            &start,
            &draw,
        ]));
    }
    digits.truncate(digit_count);
    out.bulk(digits.as_bytes());
}

/// `ACL DRYRUN username command [arg ...]`
fn dryrun(_node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    if args[2] != DEFAULT_USER.as_bytes() {
        return error_about(out, "ERR User '", args[2], "' not found");
    }
    match kv::lookup_request(&args[3..]) {
        None => error_about(out, "ERR Command '", args[3], "' not found"),
        Some(spec) if !spec.accepts_argument_count(args.len() - 3) => {
            out.error(kv::error_text::wrong_number_of_arguments(spec));
        }
        Some(_) => out.ok(),
    }
}

/// `ACL LOG [count | RESET]`: failed authentications, since nothing else is ever refused.
fn log(node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    if args.len() > 3 {
        return wrong_arguments(out, args);
    }
    let count = match args.get(2) {
        None => usize::MAX,
        Some(reset) if is(reset, "reset") => {
            node.stats.acl_log.clear();
            return out.ok();
        }
        Some(count) => match integer(count) {
            Some(count) => usize::try_from(count).unwrap_or(0),
            None => return out.error(NOT_AN_INTEGER),
        },
    };
    let entries = node.stats.acl_log.entries();
    out.array(entries.len().min(count));
    for entry in entries.take(count) {
        out.map(7);
        key(out, "count");
        out.integer(entry.count as i64);
        key(out, "reason");
        out.bulk(b"auth");
        key(out, "context");
        out.bulk(b"toplevel");
        key(out, "object");
        out.bulk(entry.command.as_bytes());
        key(out, "username");
        out.bulk(&entry.username);
        key(out, "age-seconds");
        out.double(node.now.wall_ms.saturating_sub(entry.wall_ms) as f64 / 1_000.0);
        key(out, "client-info");
        out.bulk(entry.client.as_bytes());
    }
}
