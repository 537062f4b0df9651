//! Parameters that CONFIG SET may change while the node runs. What CONFIG GET shows beside them is
//! fixed: see [`crate::commands`].

use bytes::Bytes;

use crate::config::Config;

/// What is in force on this node. Changed as a whole: CONFIG SET works on a copy and puts it in
/// place when all its arguments are right.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `requirepass`: the default user's password, if one is required.
    pub(crate) requirepass: Option<Bytes>,
    /// `maxclients`: the most client connections.
    pub(crate) clients_max: usize,
    /// `timeout`: a client that sends nothing for so many seconds is disconnected; 0: none is.
    pub(crate) idle_seconds_max: u64,
    /// `slowlog-log-slower-than`: commands that took at least so many microseconds are put into the
    /// slow log; negative: none is.
    pub(crate) slowlog_slower_than_us: i64,
    /// `slowlog-max-len`: the most entries of the slow log.
    pub(crate) slowlog_entries_max: usize,
    /// `latency-monitor-threshold`: commands that took at least so many milliseconds are samples for
    /// LATENCY; 0: none is.
    pub(crate) latency_threshold_ms: u64,
    /// `acllog-max-len`: the most entries of ACL LOG.
    pub(crate) acl_log_entries_max: usize,
    /// `feature-level-max`: the highest feature level to which this node raises the cluster while it
    /// leads; 0: any.
    pub(crate) feature_level_max: u32,
}

impl Settings {
    pub(crate) fn new(config: &Config) -> Self {
        Settings {
            requirepass: password(config.requirepass.as_deref().unwrap_or_default().as_bytes()),
            clients_max: config.clients_max,
            idle_seconds_max: 0,
            slowlog_slower_than_us: 10_000,
            slowlog_entries_max: 128,
            latency_threshold_ms: 0,
            acl_log_entries_max: 128,
            feature_level_max: config.feature_level_max,
        }
    }

    /// Whether a new connection has to authenticate before it may do anything.
    pub(crate) fn requires_authentication(&self) -> bool {
        self.requirepass.is_some()
    }
}

/// The password that a configured text means: an empty one is none.
pub(crate) fn password(text: &[u8]) -> Option<Bytes> {
    (!text.is_empty()).then(|| Bytes::copy_from_slice(text))
}
