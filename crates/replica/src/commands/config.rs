//! CONFIG.

use kv::glob;
use resp::Encoder;

use crate::config::ClientId;
use crate::node::Node;
use crate::stats::Base;

use super::parameters::{self, Change, PARAMETERS};
use super::reply::{SYNTAX, error_about};
use super::{SessionCommand, command, in_place};

pub(super) fn find(name: &str) -> Option<SessionCommand> {
    Some(match name {
        "get" => in_place(get),
        "help" => in_place(command::help),
        "resetstat" => in_place(resetstat),
        "rewrite" => in_place(rewrite),
        "set" => in_place(set),
        _ => return None,
    })
}

/// `CONFIG GET pattern [pattern ...]`. A plain name is repeated as it was typed; what is not known is
/// no error.
fn get(node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    let patterns = &args[2..];
    let shown: Vec<(&[u8], Vec<u8>)> = PARAMETERS
        .iter()
        .filter_map(|parameter| {
            let name = parameter.name.as_bytes();
            let matched = patterns
                .iter()
                .find(|pattern| glob::matches_ignoring_case(pattern, name))?;
            let shown = if glob::is_literal(matched) {
                *matched
            } else {
                name
            };
            Some((shown, (parameter.read)(node)))
        })
        .collect();
    out.map(shown.len());
    for (name, value) in shown {
        out.bulk(name);
        out.bulk(&value);
    }
}

/// `CONFIG SET parameter value [parameter value ...]`: all of them or none.
fn set(node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    let pairs = &args[2..];
    if !pairs.len().is_multiple_of(2) {
        return out.error(SYNTAX);
    }
    let mut settings = node.settings.clone();
    let mut seen: Vec<&str> = Vec::new();
    // Names come before values: Redis looks at all of them first.
    let mut changes = Vec::new();
    for pair in pairs.chunks_exact(2) {
        let (name, value) = (pair[0], pair[1]);
        let Some(parameter) = parameters::find(name) else {
            let before = "ERR Unknown option or number of arguments for CONFIG SET - '";
            return error_about(out, before, name, "'");
        };
        if seen.contains(&parameter.name) {
            return refuse(out, parameter.name, "duplicate parameter");
        }
        seen.push(parameter.name);
        match parameter.change {
            Change::Set(set) => changes.push((parameter.name, set, value)),
            Change::Fixed if (parameter.read)(node) == value => {}
            Change::Fixed => return refuse(out, parameter.name, "can't set immutable config"),
        }
    }
    for (name, set, value) in changes {
        if let Err(reason) = set(&mut settings, value) {
            return refuse(out, name, &reason);
        }
    }
    node.slowlog.truncate(settings.slowlog_entries_max);
    node.stats.acl_log.truncate(settings.acl_log_entries_max);
    node.settings = settings;
    out.ok();
}

fn refuse(out: &mut Encoder<'_>, name: &str, reason: &str) {
    out.error(format!(
        "ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}"
    ));
}

/// `CONFIG RESETSTAT`
fn resetstat(node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    node.stats.reset(Base {
        connections: node.sessions.total(),
        input_bytes: node.host.net_input_bytes,
        output_bytes: node.host.net_output_bytes,
    });
    node.machine.store.reset_stats();
    out.ok();
}

/// `CONFIG REWRITE`: the configuration file is its owner's.
fn rewrite(node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    match node.config.info.config_file.as_str() {
        "" => out.error("ERR The server is running without a config file"),
        path => out.error(format!(
            "ERR CONFIG REWRITE is not supported: change {path} by hand"
        )),
    }
}
