//! FUNCTION and SCRIPT as they are without scripts: empty.

use resp::Encoder;

use crate::config::ClientId;
use crate::node::Node;

use super::reply::{error_about, is, key, switch, wrong_arguments};
use super::{SessionCommand, command, in_place};

pub(super) fn find_function(name: &str) -> Option<SessionCommand> {
    Some(match name {
        "flush" => in_place(function_flush),
        "list" => in_place(function_list),
        "stats" => in_place(function_stats),
        "help" => in_place(command::help),
        _ => return None,
    })
}

pub(super) fn find_script(name: &str) -> Option<SessionCommand> {
    Some(match name {
        "exists" => in_place(script_exists),
        "flush" => in_place(script_flush),
        "help" => in_place(command::help),
        _ => return None,
    })
}

/// `FUNCTION FLUSH [ASYNC | SYNC]`
fn function_flush(_node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    if args.len() > 3 {
        return wrong_arguments(out, args);
    }
    match is_flush_mode(&args[2..]) {
        true => out.ok(),
        false => out.error("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"),
    }
}

/// `FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE]`
fn function_list(_node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    let mut rest = &args[2..];
    while let [option, ..] = rest {
        rest = match rest {
            [_, _, rest @ ..] if is(option, "libraryname") => rest,
            [_] if is(option, "libraryname") => {
                return out.error("ERR library name argument was not given");
            }
            [_, rest @ ..] if is(option, "withcode") => rest,
            _ => return error_about(out, "ERR Unknown argument ", option, ""),
        };
    }
    out.array(0);
}

/// `FUNCTION STATS`: nothing runs, and there is no engine that could.
fn function_stats(_node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    out.map(2);
    key(out, "running_script");
    out.null();
    key(out, "engines");
    out.map(0);
}

/// `SCRIPT EXISTS sha1 [sha1 ...]`
fn script_exists(_node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    let count = args.len() - 2;
    out.array(count);
    for _ in 0..count {
        out.integer(0);
    }
}

/// `SCRIPT FLUSH [ASYNC | SYNC]`
fn script_flush(_node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    match is_flush_mode(&args[2..]) {
        true => out.ok(),
        false => out.error("ERR SCRIPT FLUSH only support SYNC|ASYNC option"),
    }
}

fn is_flush_mode(options: &[&[u8]]) -> bool {
    match options {
        [] => true,
        [mode] => switch(mode, "async", "sync").is_some(),
        _ => false,
    }
}
