//! SLOWLOG.

use resp::Encoder;

use crate::config::ClientId;
use crate::node::Node;

use super::reply::{integer, wrong_arguments};
use super::{SessionCommand, command, in_place};

/// How many entries SLOWLOG GET shows unless told.
const SHOWN_BY_DEFAULT: usize = 10;

pub(super) fn find(name: &str) -> Option<SessionCommand> {
    Some(match name {
        "get" => in_place(get),
        "len" => in_place(len),
        "reset" => in_place(reset),
        "help" => in_place(command::help),
        _ => return None,
    })
}

/// `SLOWLOG GET [count]`; -1 shows all.
fn get(node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    if args.len() > 3 {
        return wrong_arguments(out, args);
    }
    let count = match args.get(2).map(|count| integer(count)) {
        None => SHOWN_BY_DEFAULT,
        Some(Some(-1)) => usize::MAX,
        Some(Some(count)) if count >= 0 => usize::try_from(count).unwrap_or(usize::MAX),
        Some(_) => return out.error("ERR count should be greater than or equal to -1"),
    };
    out.array(node.slowlog.len().min(count));
    for entry in node.slowlog.entries().take(count) {
        out.array(6);
        out.integer(entry.id);
        out.integer((entry.wall_ms / 1_000) as i64);
        out.integer(entry.duration_us as i64);
        out.array(entry.args.len());
        for arg in &entry.args {
            out.bulk(arg);
        }
        out.bulk(entry.client_addr.as_bytes());
        out.bulk(&entry.client_name);
    }
}

/// `SLOWLOG LEN`
fn len(node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    out.integer(node.slowlog.len() as i64);
}

/// `SLOWLOG RESET`
fn reset(node: &mut Node, _client: ClientId, _args: &[&[u8]], out: &mut Encoder<'_>) {
    node.slowlog.clear();
    out.ok();
}
