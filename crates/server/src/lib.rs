//! The shell: sockets, peers, disk thread, timers, admin HTTP, configuration, TLS.

pub mod config;

pub use config::Config;
