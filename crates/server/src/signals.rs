//! SIGTERM and SIGINT, turned into a readable socket for the reactor's poll.
//!
//! A handler may do next to nothing, so it only writes one byte to a socket pair (signal-hook's
//! "self-pipe"). The first signal asks for an orderly stop; a second one ends the process from
//! within the handler, so that it works even if the reactor is stuck.

use std::io;
use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

/// The exit code of a stop that a second signal forced.
const FORCED_EXIT_CODE: i32 = 1;

/// The process's signal handlers; dropping it takes them away.
#[derive(Debug)]
pub(crate) struct Signals {
    receiver: mio::net::UnixStream,
    handlers: Vec<SigId>,
}

impl Signals {
    /// Installs the handlers.
    pub(crate) fn install() -> io::Result<Signals> {
        let (receiver, sender) = UnixStream::pair()?;
        receiver.set_nonblocking(true)?;
        sender.set_nonblocking(true)?;
        let mut signals = Signals {
            receiver: mio::net::UnixStream::from_std(receiver),
            handlers: Vec::new(),
        };
        let seen_once = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // Order matters: the first signal finds the flag down, then raises it; the second finds
            // it up and ends the process.
            signals.handlers.push(flag::register_conditional_shutdown(
                signal,
                FORCED_EXIT_CODE,
                Arc::clone(&seen_once),
            )?);
            signals
                .handlers
                .push(flag::register(signal, Arc::clone(&seen_once))?);
            signals
                .handlers
                .push(low_level::pipe::register(signal, sender.try_clone()?)?);
        }
        Ok(signals)
    }

    /// The socket to register with the poll.
    pub(crate) fn source(&mut self) -> &mut mio::net::UnixStream {
        &mut self.receiver
    }

    /// Whether a signal has come since the last call.
    pub(crate) fn take(&mut self) -> bool {
        let mut buffer = [0; 16];
        let mut any = false;
        while let Ok(count) = self.receiver.read(&mut buffer) {
            if count == 0 {
                break;
            }
            any = true;
        }
        any
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for handler in self.handlers.drain(..) {
            low_level::unregister(handler);
        }
    }
}
