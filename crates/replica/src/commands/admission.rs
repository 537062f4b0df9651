//! Which commands a connection may run in which state. The dispatcher asks before anything else.

use kv::{CommandFlags, CommandSpec};

/// The reply to a command that needs authentication first.
pub(crate) const NOAUTH: &str = "NOAUTH Authentication required.";

/// Whether a command may be run before authentication: AUTH, HELLO, QUIT, RESET.
pub(crate) fn allowed_without_authentication(spec: &CommandSpec) -> bool {
    spec.flags.contains(CommandFlags::NO_AUTH)
}

/// Whether a command may be run by a RESP2 client that has subscriptions. RESP2 has no way to tell a
/// message from a reply, so such a client gets nothing but messages and what looks like them.
pub(crate) fn allowed_in_subscriber_mode(spec: &CommandSpec) -> bool {
    spec.container.is_empty()
        && matches!(
            spec.name,
            "ping"
                | "subscribe"
                | "ssubscribe"
                | "unsubscribe"
                | "sunsubscribe"
                | "psubscribe"
                | "punsubscribe"
                | "quit"
                | "reset"
        )
}

/// The reply to any other command of such a client.
pub(crate) fn subscriber_mode_error(spec: &CommandSpec) -> String {
    format!(
        "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
         allowed in this context",
        spec.full_name()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(args: &[&[u8]]) -> &'static CommandSpec {
        kv::lookup_request(args).expect("in the table")
    }

    #[test]
    fn only_four_commands_need_no_authentication() {
        let allowed: Vec<_> = kv::all()
            .filter(|spec| allowed_without_authentication(spec))
            .map(|spec| spec.name)
            .collect();
        assert_eq!(allowed, ["auth", "hello", "quit", "reset"]);
    }

    #[test]
    fn subscribers_of_resp2_may_only_subscribe() {
        assert!(allowed_in_subscriber_mode(spec(&[b"PING"])));
        assert!(allowed_in_subscriber_mode(spec(&[b"sunsubscribe"])));
        assert!(!allowed_in_subscriber_mode(spec(&[b"GET"])));
        assert!(!allowed_in_subscriber_mode(spec(&[b"hello"])));
        assert_eq!(
            subscriber_mode_error(spec(&[b"PUBSUB", b"CHANNELS"])),
            "ERR Can't execute 'pubsub|channels': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / \
             QUIT / RESET are allowed in this context"
        );
    }
}
