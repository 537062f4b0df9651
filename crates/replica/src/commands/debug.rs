//! DEBUG, as far as it does what it says. What looks at keys is kv's.

use resp::Encoder;

use crate::config::ClientId;
use crate::node::Node;

use super::{SessionCommand, alone, command, in_place};

/// The longest DEBUG SLEEP, in seconds: an hour.
const SLEEP_SECONDS_MAX: f64 = 3_600.0;

pub(super) fn find(name: &str) -> Option<SessionCommand> {
    Some(match name {
        "help" => in_place(command::help),
        "set-active-expire" => in_place(set_active_expire),
        "sleep" => alone(sleep),
        _ => return None,
    })
}

/// `DEBUG SLEEP seconds`: nothing more of this connection is run for so long. In Redis the whole
/// server sleeps; here that would be an election. What is no number counts as 0, as in Redis.
fn sleep(node: &mut Node, client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    let seconds: f64 = std::str::from_utf8(args[2])
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0.0);
    if !seconds.is_finite() || seconds > SLEEP_SECONDS_MAX {
        return out.error("ERR DEBUG SLEEP takes at most 3600 seconds");
    }
    let until_us = node.now.mono_us + (seconds.max(0.0) * 1e6) as u64;
    node.session(client).asleep_until_us = until_us;
    out.ok();
}

/// `DEBUG SET-ACTIVE-EXPIRE <0 | 1>`
fn set_active_expire(_node: &mut Node, _client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    match args[2] {
        b"0" => out.error(
            "ERR DEBUG SET-ACTIVE-EXPIRE 0 is not supported: keys expire by the time in the log, \
             on all replicas alike",
        ),
        _ => out.ok(),
    }
}
