//! Everything that happens to a command, sans-IO.

pub mod storage;

mod batch;
mod bootstrap;
mod commands;
mod config;
mod encoding;
mod machine;
mod message;
mod node;
mod output;
mod pubsub;
mod random;
mod session;
mod settings;
mod slowlog;
mod stats;

pub use config::{
    ClientId, ClientInfo, Config, Disconnect, HostStats, NodeInfo, Now, PeerInfo,
};
pub use message::{Forward, ForwardRefused, PeerMessage, Refusal};
pub use output::{Output, Shutdown, Write};
