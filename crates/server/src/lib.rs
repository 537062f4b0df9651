//! The shell of a Quorate node: sockets, peers, disk thread, timers, admin HTTP, configuration,
//! TLS.
//!
//! Everything that decides anything is in `replica` and below, which see no socket, no clock and no
//! thread. This crate is the outside that they lack: it turns readiness, time and finished disk
//! work into calls of the replica, and what the replica wants into system calls.
//!
//! # Threads
//! - The **reactor** (`reactor`) owns all sockets of clients and peers and the replica. No lock is
//!   on a command's way.
//! - The **disk thread** (`disk`) owns the log: it gathers what comes while it syncs, and never
//!   makes the reactor wait.
//! - The **snapshot threads** (`snapshots`) write snapshots, send them to peers that are too far
//!   behind, and take them from peers.
//! - The **admin thread** (`admin`) serves /metrics, /healthz and /readyz from what the reactor
//!   publishes.
//! - A **resolver thread** exists only where peers are given by name.
//!
//! # What is promised here
//! - Bytes from clients and peers are bounded before they are believed: the largest frame, the
//!   share of a turn, the output of a client that does not read, the queue of a peer that does not.
//! - A write is reported to the replica as durable only after the sync that covers it has returned.
//! - A disk that fails ends the process at once (`disk`); a disk that is full does not.
//! - A node that forgot what it promised, because its data directory was lost or is an old copy, is not
//!   let in by its peers and stops (`peer::handshake`).
//! - A node that cannot start has changed nothing, says why in one line, and exits with code 2.
//!
//! # What is left out
//! Rules of consensus and of commands. More reactors: they come with more groups, each with its
//! own.

pub mod config;
pub mod peer;

mod admin;
mod clock;
mod disk;
mod error;
mod host;
mod identity;
mod listener;
mod logging;
mod metrics;
mod reactor;
mod rebirth;
mod server;
mod signals;
mod snapshots;
mod tls;
mod tokens;
mod transport;

pub use config::Config;
pub use disk::{DiskError, OnFailure};
pub use error::ServeError;
pub use identity::{begin_charter, is_in_use, read_charter, write_charter};
pub use reactor::Stopper;
pub use rebirth::{RebirthError, Remains};
pub use server::{Options, Server};
pub use snapshots::SnapshotStartError;

/// Runs a node until SIGTERM, SIGINT or a SHUTDOWN command stops it.
///
/// Sets up the process: its log on standard error, its signals, and a panic hook that ends it.
///
/// # Errors
/// Every reason why the node did not start, or could not go on. The text is one line for the person
/// who started it; [`ServeError::exit_code`] is the process's exit code.
pub fn serve(config: Config) -> Result<(), ServeError> {
    logging::init(&config);
    Server::start(&config, Options::default())?.run()
}
