//! What has become of the keys.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::progress::{bytes_text, grouped, per_second};

/// How many different failures are told with an example.
const FAILURES_TOLD_MAX: usize = 10;
/// How much of a key is shown in an example.
const KEY_SHOWN_MAX: usize = 64;

/// Counts of keys by what has become of them.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) imported: u64,
    pub(crate) imported_bytes: u64,
    /// Keys that had expired before they could be imported.
    pub(crate) expired: u64,
    /// By the type of what was skipped.
    by_type: BTreeMap<&'static str, u64>,
    /// By any other reason.
    by_reason: BTreeMap<String, u64>,
    /// By the answer of the cluster, with one key as an example.
    failures: BTreeMap<String, (u64, String)>,
    failed: u64,
}

impl Tally {
    /// A key is in the cluster.
    pub(crate) fn import(&mut self, bytes: usize) {
        self.imported += 1;
        self.imported_bytes += bytes as u64;
    }

    /// Something is not a string.
    pub(crate) fn skip_type(&mut self, kind: &'static str) {
        *self.by_type.entry(kind).or_default() += 1;
    }

    /// A key is not imported, for a reason that is not its type.
    pub(crate) fn skip_for(&mut self, reason: &str) {
        match self.by_reason.get_mut(reason) {
            Some(count) => *count += 1,
            None => drop(self.by_reason.insert(reason.to_owned(), 1)),
        }
    }

    /// The cluster does not take a key.
    pub(crate) fn fail(&mut self, key: &[u8], answer: String) {
        self.failed += 1;
        let is_room = self.failures.len() < FAILURES_TOLD_MAX;
        if let Some((count, _)) = self.failures.get_mut(&answer) {
            *count += 1;
        } else if is_room {
            let shown = key.escape_ascii().take(KEY_SHOWN_MAX).map(char::from);
            self.failures.insert(answer, (1, shown.collect()));
        }
    }

    /// Keys that the cluster did not take.
    pub(crate) fn failed(&self) -> u64 {
        self.failed
    }

    /// Everything that is done with.
    pub(crate) fn all(&self) -> u64 {
        let skipped: u64 = self.by_type.values().chain(self.by_reason.values()).sum();
        self.imported + self.expired + self.failed + skipped
    }

    /// The summary, several lines.
    pub(crate) fn summary(&self, time: Duration) -> Summary<'_> {
        Summary { tally: self, time }
    }
}

/// What is said at the end.
pub(crate) struct Summary<'a> {
    tally: &'a Tally,
    time: Duration,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = self.tally;
        writeln!(
            formatter,
            "imported  {} ({}) in {:.1} s, {} a second",
            keys(tally.imported),
            bytes_text(tally.imported_bytes),
            self.time.as_secs_f64(),
            grouped(per_second(tally.imported, self.time))
        )?;
        if tally.expired > 0 {
            writeln!(formatter, "expired   {}", keys(tally.expired))?;
        }
        for (kind, count) in &tally.by_type {
            let count = grouped(*count);
            writeln!(
                formatter,
                "skipped   {count} of type {kind}: this type is not supported yet"
            )?;
        }
        for (reason, count) in &tally.by_reason {
            writeln!(formatter, "skipped   {}: {reason}", keys(*count))?;
        }
        for (answer, (count, key)) in &tally.failures {
            writeln!(
                formatter,
                "failed    {}, such as \"{key}\": {answer}",
                keys(*count)
            )?;
        }
        writeln!(formatter, "failed    {} in all", keys(tally.failed))
    }
}

fn keys(count: u64) -> String {
    match count {
        1 => "1 key".to_owned(),
        _ => format!("{} keys", grouped(count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_counted_once() {
        let mut tally = Tally::default();
        tally.import(1500);
        tally.expired += 1;
        tally.skip_type("list");
        tally.skip_type("list");
        tally.skip_for("it exists");
        for number in 0..20 {
            tally.fail(b"k\n", format!("ERR {number}"));
        }
        assert_eq!((tally.all(), tally.failed()), (25, 20));
        let text = tally.summary(Duration::from_secs(1)).to_string();
        assert!(text.starts_with("imported  1 key (1.5 KiB) in 1.0 s, 1 a second\n"));
        assert!(text.contains("skipped   2 of type list: "), "{text}");
        assert!(
            text.contains("failed    1 key, such as \"k\\n\": ERR 0\n"),
            "{text}"
        );
        assert!(text.ends_with("failed    20 keys in all\n"), "{text}");
    }
}
