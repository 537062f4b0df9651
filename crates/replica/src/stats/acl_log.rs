//! Failed authentications: what ACL LOG shows.

use std::collections::VecDeque;

use bytes::Bytes;

/// Attempts within so many milliseconds of the last that differ in nothing but time are one entry
/// with a count; Redis's ACL_LOG_GROUPING_MAX_TIME_DELTA.
const GROUPING_MS: u64 = 60_000;

/// The latest failed authentications, the latest in front.
#[derive(Debug, Default)]
pub(crate) struct AclLog {
    entries: VecDeque<AclLogEntry>,
}

/// Failed authentications with one command and one user name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AclLogEntry {
    /// How often.
    pub(crate) count: u64,
    /// AUTH or HELLO.
    pub(crate) command: &'static str,
    /// The user name given, cut down.
    pub(crate) username: Bytes,
    /// When it was last tried, in milliseconds since the Unix epoch.
    pub(crate) wall_ms: u64,
    /// The client that last tried, as CLIENT LIST shows it.
    pub(crate) client: String,
}

impl AclLog {
    /// Adds a failed authentication.
    pub(crate) fn record(&mut self, attempt: AclLogEntry, entries_max: usize) {
        let same = self.entries.iter().position(|entry| {
            entry.command == attempt.command
                && entry.username == attempt.username
                && attempt.wall_ms.abs_diff(entry.wall_ms) <= GROUPING_MS
        });
        let before = same.and_then(|place| self.entries.remove(place));
        let count = before.map_or(0, |entry| entry.count) + attempt.count;
        self.entries.push_front(AclLogEntry { count, ..attempt });
        self.entries.truncate(entries_max);
    }

    /// The entries, the latest first.
    pub(crate) fn entries(&self) -> impl ExactSizeIterator<Item = &AclLogEntry> {
        self.entries.iter()
    }

    /// Forgets the oldest beyond a new limit.
    pub(crate) fn truncate(&mut self, entries_max: usize) {
        self.entries.truncate(entries_max);
    }

    /// Forgets them all.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(username: &'static str, wall_ms: u64) -> AclLogEntry {
        AclLogEntry {
            count: 1,
            command: "AUTH",
            username: Bytes::from_static(username.as_bytes()),
            wall_ms,
            client: String::new(),
        }
    }

    #[test]
    fn equal_attempts_are_counted_together_for_a_minute() {
        let mut log = AclLog::default();
        log.record(attempt("a", 0), 2);
        log.record(attempt("b", 1), 2);
        log.record(attempt("a", 60_000), 2);
        let seen: Vec<_> = log
            .entries()
            .map(|entry| (&entry.username[..], entry.count))
            .collect();
        assert_eq!(seen, [(&b"a"[..], 2), (&b"b"[..], 1)]);
        log.record(attempt("a", 200_000), 2);
        let seen: Vec<_> = log
            .entries()
            .map(|entry| (&entry.username[..], entry.count))
            .collect();
        assert_eq!(seen, [(&b"a"[..], 1), (&b"a"[..], 2)]);
    }
}
