//! The node's own log: lines on standard error, for people or for machines.
//!
//! Not to be confused with the replicated log. What is worth a line: starting and stopping, role
//! changes, peers that come, go or are refused, disks that are slow or full, and whatever ends the
//! process.

use std::panic;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

use crate::config::{Config, LogFormat};

/// Sets up the process-wide subscriber and the panic hook. A subscriber that is already there
/// stays: a process that embeds a node has its own.
pub(crate) fn init(config: &Config) {
    let filter = EnvFilter::new(config.log_level.word());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(SystemTime)
        .with_target(false)
        .with_writer(std::io::stderr);
    let _already_set = match config.log_format {
        LogFormat::Text => builder.with_ansi(stderr_is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    abort_on_panic();
}

/// A panic anywhere ends the process: a reactor without its disk thread, or a disk thread without
/// its reactor, is a node that neither serves nor fails over. The other nodes see the connections
/// reset and go on within milliseconds.
fn abort_on_panic() {
    let default_hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let thread = std::thread::current();
        tracing::error!(
            thread = thread.name().unwrap_or("unnamed"),
            "internal error, the process ends: {info}"
        );
        default_hook(info);
        std::process::abort();
    }));
}

fn stderr_is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr())
}
