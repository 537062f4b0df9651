//! Who on this node is subscribed to what.

use crate::session::Sessions;

/// Subscriptions of this node's clients.
#[derive(Debug, Default)]
pub(crate) struct PubSub {}

impl PubSub {
    /// Delivers a message to this node's subscribers, into their output; the clients that got
    /// something are added to `flush`. Returns how many deliveries there were, as PUBLISH counts.
    pub(crate) fn publish(
        &self,
        _sessions: &mut Sessions,
        _flush: &mut Vec<crate::config::ClientId>,
        _sharded: bool,
        _channel: &[u8],
        _message: &[u8],
    ) -> i64 {
        0
    }
}
