//! Parameters that CONFIG GET shows and CONFIG SET may change.

use crate::config::Config;

/// What is in force on this node.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The default user's password, if one is required.
    pub(crate) requirepass: Option<String>,
    /// The most client connections.
    pub(crate) clients_max: usize,
    /// Commands that took at least this long are put into the slow log; negative: none is.
    pub(crate) slowlog_slower_than_us: i64,
    /// The most entries of the slow log.
    pub(crate) slowlog_entries_max: usize,
}

impl Settings {
    pub(crate) fn new(config: &Config) -> Self {
        Settings {
            requirepass: config.requirepass.clone(),
            clients_max: config.clients_max,
            slowlog_slower_than_us: 10_000,
            slowlog_entries_max: 128,
        }
    }
}
