//! When a snapshot is taken, and how far the log may then be cut.
//!
//! Replaying the log takes time and keeping it takes disk, so both are bounded by a share of the
//! state: a snapshot is due when the log on disk has more bytes of records behind the last one, up to
//! what is applied, than [`Config::snapshot_state_percent`] of what the last snapshot held, within
//! [`Config::snapshot_log_bytes_min`] and [`Config::snapshot_log_bytes_max`]. Writing state then
//! costs, over time, at most a constant share of writing the log (thesis, section 5.1.3).
//!
//! There is one snapshot at a time. One that fails is tried again later, not at once.

use buggify::Point;
use raft::{EntryId, LogIndex, SnapshotMeta};
use wal::Record;

use crate::config::{Config, Now};
use crate::log_places::LogPlaces;

/// How long to wait after a snapshot that failed, at first; doubles each time, up to
/// [`RETRY_US_MAX`].
const RETRY_US_MIN: u64 = 1_000_000;
/// See [`RETRY_US_MIN`].
const RETRY_US_MAX: u64 = 60_000_000;

/// How finely the tail of the log is measured: marks per tail that is kept.
const MARKS_PER_TAIL: u64 = 16;

/// The log that makes a snapshot due, so many times over, is kept at most for followers that are being
/// sent a snapshot or the entries behind it.
const HELD_PARTS: u64 = 2;

/// A state larger than this is not written only because the node stops.
const CHEAP_STATE_BYTES_MAX: u64 = 32 << 20;

/// At a clean exit a snapshot is taken if the log behind the last one has come so far, in parts of
/// what makes one due anyway.
const EXIT_PARTS: u64 = 8;

/// The least entries between two snapshots that are taken without a reason, in a simulator.
const ENTRIES_UNASKED: u64 = 5;

/// Snapshots of this node: those that were, the one under way, the next.
#[derive(Debug, Default)]
pub(crate) struct Compaction {
    /// The last entry that was applied.
    applied: LogIndex,
    /// How many entries have been applied since the start.
    applied_entries: u64,
    /// Where entries stand in the log.
    places: LogPlaces,
    /// Writes executed since the start.
    pub(crate) changes: u64,
    /// The newest that is durable here.
    last: Option<Last>,
    /// The one being written.
    running: Option<Running>,
    /// One was asked for, and is cut at the end of the turn.
    is_wanted: bool,
    /// How many have been asked for or begun: the name of the latest.
    begun: u64,
    /// How many have ended.
    ended: u64,
    /// How the last one ended that did, and how long it took, in seconds.
    outcome: Option<(Result<(), String>, u64)>,
    /// None is begun by itself before this time, after one that failed.
    retry_at_us: u64,
    /// How long to wait after the next that fails.
    retry_us: u64,
}

/// The newest snapshot that is durable on this node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Last {
    /// The last entry it contains.
    pub(crate) last: EntryId,
    /// Its size.
    pub(crate) bytes: u64,
    /// When it was finished, or, of one that was there at the start, its own time; ms since the
    /// Unix epoch.
    pub(crate) wall_ms: u64,
    cut: Cut,
}

/// The figures when a snapshot was cut.
#[derive(Clone, Copy, Debug, Default)]
struct Cut {
    /// The place in the log behind its last entry.
    place: u64,
    entries: u64,
    changes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    last: EntryId,
    cut: Cut,
    started: Now,
}

impl Compaction {
    /// An entry has been applied.
    pub(crate) fn note_applied(&mut self, index: LogIndex) {
        self.applied = index;
        self.applied_entries += 1;
    }

    /// Records go to the disk.
    pub(crate) fn note_written(&mut self, config: &Config, records: &[Record]) {
        let measured = match config.log_tail_bytes {
            0 => config.snapshot_log_bytes_min,
            tail => tail,
        };
        self.places.written(records, measured / MARKS_PER_TAIL);
    }

    /// What the log on disk held at the start. The state has been loaded, if there was any.
    pub(crate) fn note_recovered(&mut self, places: &[(u64, u64)], last: LogIndex) {
        self.places.recovered(places, last);
        if let Some(last) = &mut self.last {
            last.cut.place = self.places.behind(last.last.index);
        }
    }

    /// The state comes from a snapshot: it was loaded, or installed.
    pub(crate) fn note_loaded(&mut self, meta: &SnapshotMeta, bytes: u64) {
        // A snapshot under way is older, and of no use.
        self.applied = meta.last.index;
        self.places.begin_behind(meta.last.index);
        self.last = Some(Last {
            last: meta.last,
            bytes,
            wall_ms: meta.time_ms,
            cut: self.cut_now(),
        });
    }

    /// There is no durable snapshot any more.
    pub(crate) fn forget_last(&mut self) {
        self.last = None;
    }

    /// Asks for a snapshot, unless one is under way. Returns its name, for
    /// [`Compaction::has_ended`].
    pub(crate) fn request(&mut self) -> Option<u64> {
        if self.is_running() {
            return None;
        }
        self.is_wanted = true;
        self.begun += 1;
        Some(self.begun)
    }

    /// Whether a snapshot is asked for or under way.
    pub(crate) fn is_running(&self) -> bool {
        self.is_wanted || self.running.is_some()
    }

    /// Whether the snapshot of this name has ended, one way or the other.
    pub(crate) fn has_ended(&self, name: u64) -> bool {
        self.ended >= name
    }

    /// How the last one ended.
    pub(crate) fn outcome(&self) -> Option<&Result<(), String>> {
        self.outcome.as_ref().map(|(outcome, _)| outcome)
    }

    /// How long the last one took, in seconds.
    pub(crate) fn took_seconds(&self) -> Option<u64> {
        self.outcome.as_ref().map(|(_, seconds)| *seconds)
    }

    /// How long the one under way has taken, in seconds.
    pub(crate) fn running_seconds(&self, now: Now) -> Option<u64> {
        let running = self.running?;
        Some(now.mono_us.saturating_sub(running.started.mono_us) / 1_000_000)
    }

    /// The newest that is durable here.
    pub(crate) fn last(&self) -> Option<&Last> {
        self.last.as_ref()
    }

    /// Bytes of the log on disk behind the last snapshot, up to what is applied.
    pub(crate) fn log_bytes(&self) -> u64 {
        let applied = self.places.behind(self.applied);
        applied.saturating_sub(self.last_cut().place)
    }

    /// Writes executed since the last snapshot was cut.
    pub(crate) fn changes_since_last(&self) -> u64 {
        self.changes - self.last_cut().changes
    }

    /// Whether a snapshot is to be cut now.
    pub(crate) fn is_due(&self, config: &Config, now: Now) -> bool {
        if self.running.is_some() {
            return false;
        }
        let entries = self.applied_entries - self.last_cut().entries;
        let is_due = self.log_bytes() > self.log_bytes_max(config)
            || (entries >= ENTRIES_UNASKED && buggify::point(Point::SnapshotUnasked));
        self.is_wanted || (is_due && now.mono_us >= self.retry_at_us)
    }

    /// Whether a snapshot before a clean exit saves more time at the next start than it costs now.
    pub(crate) fn is_cheap_at_exit(&self, config: &Config, state_bytes: u64) -> bool {
        let bytes = state_bytes.max(self.last.map_or(0, |last| last.bytes));
        bytes <= CHEAP_STATE_BYTES_MAX && self.log_bytes() > self.log_bytes_max(config) / EXIT_PARTS
    }

    /// Cuts a snapshot. The one that was asked for is this one.
    pub(crate) fn begin(&mut self, last: EntryId, now: Now) {
        if !std::mem::take(&mut self.is_wanted) {
            self.begun += 1;
        }
        self.running = Some(Running {
            last,
            cut: self.cut_now(),
            started: now,
        });
    }

    /// What is due is there already: the state has not changed since the last one, only the log has.
    pub(crate) fn end_unchanged(&mut self, now: Now) {
        self.is_wanted = false;
        let cut = self.cut_now();
        if let Some(last) = &mut self.last {
            last.wall_ms = now.wall_ms;
            last.cut = cut;
        }
        self.end(Ok(()), 0);
    }

    /// What was asked for cannot be, or the one under way has failed.
    pub(crate) fn fail(&mut self, reason: String, now: Now) {
        self.is_wanted = false;
        let seconds = self.running_seconds(now).unwrap_or(0);
        self.running = None;
        self.retry_us = (self.retry_us * 2).clamp(RETRY_US_MIN, RETRY_US_MAX);
        self.retry_at_us = now.mono_us + self.retry_us;
        self.end(Err(reason), seconds);
    }

    /// The one under way is durable. Returns whether it is newer than what this node has.
    pub(crate) fn succeed(&mut self, last: EntryId, bytes: u64, now: Now) -> bool {
        let Some(running) = self.running.take_if(|running| running.last == last) else {
            return false;
        };
        self.retry_us = 0;
        self.end(
            Ok(()),
            now.mono_us.saturating_sub(running.started.mono_us) / 1_000_000,
        );
        if self.last.is_some_and(|held| held.last.index >= last.index) {
            return false;
        }
        self.last = Some(Last {
            last,
            bytes,
            wall_ms: now.wall_ms,
            cut: running.cut,
        });
        true
    }

    /// Up to where the log may be cut, so that a follower that is behind by less than
    /// [`Config::log_tail_bytes`] need not be sent a snapshot.
    ///
    /// What is behind `needed` stays as well, for a follower that is on its way: without that, one
    /// that is sent a snapshot under a full load would find the log cut beyond it when it has
    /// installed it, and be sent the next one, for ever. That costs [`Compaction::held_bytes_max`]
    /// at most: one that is slower than the load is not waited for.
    pub(crate) fn cut_to(&mut self, config: &Config, needed: Option<LogIndex>) -> LogIndex {
        let mut cut_to = self.place_before(config.log_tail_bytes);
        if let Some(needed) = needed
            && needed < cut_to
        {
            cut_to = needed.max(self.place_before(self.held_bytes_max(config)));
        }
        self.places.cut(cut_to);
        cut_to
    }

    /// The bytes of log that are kept at most for followers that are on their way.
    fn held_bytes_max(&self, config: &Config) -> u64 {
        let held = self.log_bytes_max(config).saturating_mul(HELD_PARTS);
        held.saturating_add(config.log_tail_bytes)
    }

    /// The last known place in the log, up to the newest snapshot, that has at least so many bytes
    /// behind it.
    fn place_before(&self, bytes: u64) -> LogIndex {
        let Some(last) = self.last else {
            return LogIndex(0);
        };
        let spare = self.places.end().saturating_sub(bytes);
        if last.cut.place <= spare {
            return last.last.index;
        }
        let entry = self.places.entry_before(spare, last.last.index);
        entry.unwrap_or_default()
    }

    /// How much log makes a snapshot due.
    fn log_bytes_max(&self, config: &Config) -> u64 {
        let state_bytes = self.last.map_or(0, |last| last.bytes);
        let share = state_bytes.saturating_mul(config.snapshot_state_percent) / 100;
        share
            .max(config.snapshot_log_bytes_min)
            .min(config.snapshot_log_bytes_max)
    }

    fn end(&mut self, outcome: Result<(), String>, seconds: u64) {
        self.ended = self.begun;
        self.outcome = Some((outcome, seconds));
    }

    fn last_cut(&self) -> Cut {
        self.last.map_or(Cut::default(), |last| last.cut)
    }

    fn cut_now(&self) -> Cut {
        Cut {
            place: self.places.behind(self.applied),
            entries: self.applied_entries,
            changes: self.changes,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use raft::{ConfState, NodeId, Term};

    use super::*;
    use crate::commands::testing;

    const NOW: Now = Now {
        wall_ms: 0,
        mono_us: 0,
    };

    fn config() -> Config {
        Config {
            snapshot_log_bytes_min: 10_000,
            snapshot_log_bytes_max: 10_000,
            snapshot_state_percent: 100,
            log_tail_bytes: 1_600,
            ..testing::config(1)
        }
    }

    /// A record of 104 bytes.
    fn entry(index: u64) -> Record {
        Record::entry(1, 1, index, 0, 0, Bytes::from(vec![7; 40]))
    }

    /// Entries up to `last`, and a snapshot of them.
    fn after(config: &Config, last: u64) -> Compaction {
        let mut compaction = Compaction::default();
        for index in 1..=last {
            compaction.note_written(config, &[entry(index)]);
            compaction.note_applied(LogIndex(index));
        }
        let last = EntryId {
            term: Term(1),
            index: LogIndex(last),
        };
        compaction.begin(last, NOW);
        assert!(compaction.succeed(last, 1, NOW));
        compaction
    }

    #[test]
    fn a_tail_is_kept_behind_the_cut() {
        let config = config();
        let cut = after(&config, 1000).cut_to(&config, None).0;
        assert!((980..=985).contains(&cut), "{cut}");
    }

    #[test]
    fn what_a_follower_on_its_way_needs_is_kept_within_a_bound() {
        let config = config();
        let cut_for = |needed| {
            after(&config, 1000)
                .cut_to(&config, Some(LogIndex(needed)))
                .0
        };
        // Twice 10 000 bytes and the tail are 208 entries.
        assert_eq!(cut_for(900), 900);
        assert!((980..=985).contains(&cut_for(2000)));
        assert!((788..=792).contains(&cut_for(1)), "{}", cut_for(1));
    }

    #[test]
    fn marks_are_kept_only_where_the_log_is() {
        let config = config();
        let mut compaction = after(&config, 1000);
        let cut = compaction.cut_to(&config, Some(LogIndex(900)));
        assert_eq!(compaction.places.entry_before(u64::MAX, cut), None);
        let meta = SnapshotMeta {
            last: EntryId {
                term: Term(2),
                index: LogIndex(2000),
            },
            time_ms: 0,
            conf: ConfState::of_voters([NodeId(1)]),
        };
        compaction.note_loaded(&meta, 1);
        let marked = compaction.places.entry_before(u64::MAX, LogIndex(u64::MAX));
        assert_eq!(marked, Some(meta.last.index));
    }

    #[test]
    fn records_that_are_no_entries_make_a_snapshot_due() {
        let config = config();
        let mut compaction = after(&config, 100);
        let state = Record::state(1, Bytes::from(vec![7; 40]));
        for _ in 0..96 {
            compaction.note_written(&config, std::slice::from_ref(&state));
        }
        assert!(!compaction.is_due(&config, NOW));
        compaction.note_written(&config, &[state]);
        assert!(compaction.is_due(&config, NOW));
        // There is no other state to be written, but the log can be cut.
        compaction.end_unchanged(NOW);
        assert!(!compaction.is_due(&config, NOW));
        assert!(compaction.cut_to(&config, None) >= LogIndex(99));
    }

    #[test]
    fn a_log_that_waits_to_be_applied_makes_no_snapshot_due() {
        let config = config();
        let mut compaction = after(&config, 100);
        let entries: Vec<Record> = (101..=1000).map(entry).collect();
        compaction.note_written(&config, &entries);
        assert!(!compaction.is_due(&config, NOW));
        for index in 101..=190 {
            compaction.note_applied(LogIndex(index));
            assert!(!compaction.is_due(&config, NOW));
        }
        for index in 191..=200 {
            compaction.note_applied(LogIndex(index));
        }
        assert!(compaction.is_due(&config, NOW));
    }
}
