//! DEBUG, as far as it does what it says. What looks at keys is kv's.

use resp::Encoder;

use crate::config::ClientId;
use crate::node::Node;

use super::{SessionCommand, after_sleep, command, in_place};

/// The longest DEBUG SLEEP, in seconds: an hour.
const SLEEP_SECONDS_MAX: f64 = 3_600.0;

pub(super) fn find(name: &str) -> Option<SessionCommand> {
    Some(match name {
        "help" => in_place(command::help),
        "set-active-expire" => in_place(set_active_expire),
        "sleep" => after_sleep(sleep),
        _ => return None,
    })
}

/// How long DEBUG SLEEP is to sleep, in microseconds; `None` if that is too long. What is no number
/// counts as 0, as in Redis.
pub(crate) fn sleep_us(args: &[&[u8]]) -> Option<u64> {
    let seconds: f64 = std::str::from_utf8(args[2])
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0.0);
    (seconds.is_finite() && seconds <= SLEEP_SECONDS_MAX).then(|| (seconds.max(0.0) * 1e6) as u64)
}

/// `DEBUG SLEEP seconds`: answered after so long, and nothing more of this connection is run before.
/// In Redis the whole server sleeps; here that would be an election. A transaction cannot be held up
/// in its middle: there it is what follows that waits.
fn sleep(node: &mut Node, client: ClientId, args: &[&[u8]], out: &mut Encoder<'_>) {
    let Some(sleep_us) = sleep_us(args) else {
        return out.error("ERR DEBUG SLEEP takes at most 3600 seconds");
    };
    let until_us = node.now.mono_us + sleep_us;
    let session = node.session(client);
    if session.asleep_since_us.is_none() {
        session.asleep_until_us = until_us;
    }
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
