//! The one user there is, and its password.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::ClientId;
use crate::node::Node;
use crate::stats::AclLogEntry;

use super::client_list;

/// The name of the user that every connection is.
pub(super) const DEFAULT_USER: &str = "default";

/// The reply to a wrong name or password.
pub(super) const WRONGPASS: &str = "WRONGPASS invalid username-password pair or user is disabled.";

/// The most bytes of a user name that ACL LOG keeps: the name comes from someone unknown.
const USERNAME_BYTES_MAX: usize = 128;

/// Checks name and password and, if they are right, authenticates the session; if they are wrong,
/// puts the attempt into ACL LOG. Without `requirepass` any password of the default user is right,
/// as in Redis. `command` is the one that tried.
pub(super) fn authenticate(
    node: &mut Node,
    client: ClientId,
    username: &[u8],
    password: &[u8],
    command: &'static str,
) -> bool {
    let right = username == DEFAULT_USER.as_bytes()
        && node
            .settings
            .requirepass
            .as_ref()
            .is_none_or(|expected| is_equal(expected, password));
    if right {
        node.session(client).authenticated = true;
        return true;
    }
    let now = node.now;
    let kept = &username[..username.len().min(USERNAME_BYTES_MAX)];
    let attempt = AclLogEntry {
        count: 1,
        command,
        username: bytes::Bytes::copy_from_slice(kept),
        wall_ms: now.wall_ms,
        client: client_list::line(node.session(client), now),
    };
    node.stats
        .acl_log
        .record(attempt, node.settings.acl_log_entries_max);
    false
}

/// Compares in a time that tells nothing of the password, not even its length: digests have one.
fn is_equal(expected: &[u8], given: &[u8]) -> bool {
    Sha256::digest(expected)
        .ct_eq(&Sha256::digest(given))
        .into()
}

/// SHA-256 in hexadecimal digits, the form in which ACL LIST shows a password.
pub(super) fn hex_digest(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    let mut text = String::with_capacity(64);
    for byte in hasher.finalize() {
        write!(text, "{byte:02x}").expect("a string takes all that is written to it");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_equal_only_whole() {
        assert!(is_equal(b"sekret", b"sekret"));
        assert!(!is_equal(b"sekret", b"sekre"));
        assert!(!is_equal(b"sekret", b""));
    }

    #[test]
    fn the_digest_is_the_one_redis_shows() {
        let expected = "bb757689c39373a6cac9ef6ba55616c6249d7500ca4d443f1130c4766453a412";
        assert_eq!(hex_digest(&[b"sek", b"ret"]), expected);
    }
}
