//! What the disk thread does when there is nothing else to do, one bounded step at a time: it makes
//! room for what comes, removes segments of the log that no group needs, and reads the log again to
//! see whether it still is what was written.
//!
//! A thread that always has writes at hand never has time to spare. Removing and reading again must not
//! wait for ever, so one step is put between two turns when it has waited long enough.

use std::time::{Duration, Instant};

use tracing::debug;
use wal::{Preparation, Wal, WalError};

use crate::metrics::DiskMetrics;

/// What one step of reading again takes: well below a millisecond of a disk's time.
const SCRUB_PIECE_BYTES: u64 = 128 << 10;

/// A pass over the log begins no sooner than this after the one before began: a small log need not be
/// read all the time.
const SCRUB_PASS_PERIOD: Duration = Duration::from_secs(1);

/// While there is no spare time at all, removing segments that are not needed any more may take one
/// part in so many: they must go at least as fast as new ones are filled.
const REMOVAL_SHARE: u32 = 10;

/// A thread without time to spare reads again when it is this late.
const SCRUB_LATE: Duration = Duration::from_secs(1);

/// What is to be done in spare time, and when.
#[derive(Debug)]
pub(super) struct SpareTime {
    /// Something was written since the log last said that nothing is left to prepare.
    is_to_prepare: bool,
    /// A base was written, or a segment begun, since the log last said that nothing is left to
    /// remove.
    is_to_remove: bool,
    /// Not before this time, unless there is nothing else to do.
    remove_at: Instant,
    scrub: Option<Scrub>,
}

/// When to read the log again.
#[derive(Debug)]
struct Scrub {
    bytes_per_second: u64,
    due: Instant,
    pass_began: Instant,
}

/// What came of a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Done,
    /// Nothing can be prepared, because the disk is full.
    NoSpace,
}

impl SpareTime {
    /// Reads the log again at this rate; 0: never.
    pub(super) fn new(scrub_bytes_per_second: u64, now: Instant) -> SpareTime {
        let scrub = (scrub_bytes_per_second > 0).then_some(Scrub {
            bytes_per_second: scrub_bytes_per_second,
            due: now,
            pass_began: now,
        });
        SpareTime {
            is_to_prepare: true,
            is_to_remove: true,
            remove_at: now,
            scrub,
        }
    }

    /// Something was written.
    pub(super) fn written(&mut self) {
        self.is_to_prepare = true;
    }

    /// Something may have become removable.
    pub(super) fn may_remove(&mut self) {
        self.is_to_remove = true;
    }

    /// How long until there is something to do; `None`: for ever.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        if self.is_to_prepare || self.is_to_remove {
            return Some(Duration::ZERO);
        }
        let scrub = self.scrub.as_ref()?;
        Some(scrub.due.saturating_duration_since(now))
    }

    /// Whether a step has waited too long for time to spare.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        let is_removal_late = self.is_to_remove && now >= self.remove_at;
        is_removal_late || self.is_scrub_late(now)
    }

    fn is_scrub_late(&self, now: Instant) -> bool {
        let scrub = self.scrub.as_ref();
        scrub.is_some_and(|scrub| now >= scrub.due + SCRUB_LATE)
    }

    /// Does a step for which there is time.
    pub(super) fn step(
        &mut self,
        wal: &mut Wal,
        metrics: &DiskMetrics,
        now: Instant,
    ) -> Result<Step, WalError> {
        if self.is_to_prepare && !self.is_to_remove {
            return self.prepare(wal);
        }
        self.late_step(wal, metrics, now)
    }

    /// Does a step that must not wait for ever.
    pub(super) fn late_step(
        &mut self,
        wal: &mut Wal,
        metrics: &DiskMetrics,
        now: Instant,
    ) -> Result<Step, WalError> {
        if self.is_to_remove && !self.is_scrub_late(now) {
            let started = Instant::now();
            self.is_to_remove = wal.remove_obsolete()?;
            self.is_to_prepare |= self.is_to_remove;
            self.remove_at = now + started.elapsed() * REMOVAL_SHARE;
            return Ok(Step::Done);
        }
        if let Some(scrub) = self.scrub.as_mut().filter(|scrub| now >= scrub.due) {
            scrub.step(wal, metrics, now)?;
        }
        Ok(Step::Done)
    }

    fn prepare(&mut self, wal: &mut Wal) -> Result<Step, WalError> {
        match wal.prepare_next()? {
            Preparation::More => Ok(Step::Done),
            Preparation::Done => {
                self.is_to_prepare = false;
                Ok(Step::Done)
            }
            Preparation::NoSpace => {
                self.is_to_prepare = false;
                Ok(Step::NoSpace)
            }
        }
    }
}

impl Scrub {
    fn step(&mut self, wal: &mut Wal, metrics: &DiskMetrics, now: Instant) -> Result<(), WalError> {
        let step = wal.scrub_next(SCRUB_PIECE_BYTES).inspect_err(|error| {
            if matches!(error, WalError::Damaged(_)) {
                metrics.count_damage();
            }
        })?;
        metrics.count_scrubbed(step.bytes);
        let nanos = u128::from(step.bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        self.due = now + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        if step.is_pass_complete {
            let took = now.saturating_duration_since(self.pass_began);
            debug!(
                took_ms = took.as_millis() as u64,
                "the log was read again: it is intact"
            );
            self.due = self.due.max(self.pass_began + SCRUB_PASS_PERIOD);
            self.pass_began = self.due;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use bytes::Bytes;
    use vfs::MemVfs;
    use wal::{Identity, Options, Record};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn log(entries: u64) -> (MemVfs, Wal) {
        let disk = MemVfs::new(1);
        let identity = Identity {
            cluster: 1,
            node: 1,
        };
        let options = Options {
            segment_bytes: 128 << 10,
            ..Options::default()
        };
        let opened = Wal::open(Arc::new(disk.clone()), Path::new("/wal"), identity, options);
        let (mut wal, _) = opened.expect("a new log");
        for index in 1..=entries {
            let body = Bytes::from(vec![7; 60 << 10]);
            wal.append(&[Record::entry(1, 1, index, 0, 0, body)])
                .expect("it fits");
        }
        wal.sync().expect("a good disk");
        (disk, wal)
    }

    /// Steps until nothing is due, and returns how many.
    fn idle(spare: &mut SpareTime, wal: &mut Wal, metrics: &DiskMetrics, now: Instant) -> u32 {
        let mut steps = 0;
        while spare.wait(now) == Some(Duration::ZERO) {
            spare.step(wal, metrics, now).expect("a good disk");
            steps += 1;
            assert!(steps < 1000, "there is no end to it");
        }
        steps
    }

    #[test]
    fn the_log_is_read_again_at_its_rate() {
        let (_disk, mut wal) = log(20);
        let metrics = DiskMetrics::new();
        let begun = Instant::now();
        let mut spare = SpareTime::new(1 << 20, begun);
        let mut now = begun;
        while now < begun + Duration::from_secs(1) {
            idle(&mut spare, &mut wal, &metrics, now);
            now += spare.wait(now).expect("it goes on");
        }
        let read = metrics.scrubbed_bytes();
        let piece = SCRUB_PIECE_BYTES;
        assert!(
            ((1 << 20) - piece..=(1 << 20) + piece).contains(&read),
            "{read}"
        );
    }

    #[test]
    fn a_small_log_is_not_read_all_the_time() {
        let (_disk, mut wal) = log(1);
        let metrics = DiskMetrics::new();
        let begun = Instant::now();
        let mut spare = SpareTime::new(1 << 30, begun);
        let mut now = begun;
        let mut passes = 0;
        while now < begun + MINUTE {
            idle(&mut spare, &mut wal, &metrics, now);
            now += spare.wait(now).expect("it goes on");
            passes += 1;
        }
        assert!((59..=61).contains(&passes), "{passes} passes in a minute");
    }

    #[test]
    fn a_rate_of_zero_is_never() {
        let (_disk, mut wal) = log(1);
        let metrics = DiskMetrics::new();
        let now = Instant::now();
        let mut spare = SpareTime::new(0, now);
        idle(&mut spare, &mut wal, &metrics, now);
        assert_eq!(spare.wait(now + MINUTE), None);
        assert!(!spare.is_late(now + MINUTE));
        assert_eq!(metrics.scrubbed_bytes(), 0);
    }

    #[test]
    fn a_thread_that_is_never_idle_removes_and_reads_again_all_the_same() {
        let (_disk, mut wal) = log(40);
        wal.append(&[Record::base(1, 1, 40, 0)]).expect("it fits");
        wal.sync().expect("a good disk");
        let metrics = DiskMetrics::new();
        let begun = Instant::now();
        let mut spare = SpareTime::new(1 << 20, begun);
        let before = wal.disk_bytes();
        for turn in 0..400_u32 {
            let now = begun + turn * Duration::from_millis(10);
            spare.written();
            spare.may_remove();
            if spare.is_late(now) {
                spare
                    .late_step(&mut wal, &metrics, now)
                    .expect("a good disk");
            }
        }
        assert!(wal.disk_bytes() < before / 4, "{}", wal.disk_bytes());
        assert!(metrics.scrubbed_bytes() > 0);
    }

    #[test]
    fn damage_is_counted_and_ends_the_step() {
        let (disk, mut wal) = log(4);
        disk.flip_bit(Path::new("/wal/00000000000000000001.wal"), 5000, 1)
            .expect("the file is there");
        let metrics = DiskMetrics::new();
        let now = Instant::now();
        let mut spare = SpareTime::new(1 << 20, now);
        let error = loop {
            match spare.step(&mut wal, &metrics, now) {
                Ok(_) => assert_eq!(spare.wait(now), Some(Duration::ZERO)),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, WalError::Damaged(_)), "{error}");
        assert_eq!(metrics.damage_found(), 1);
    }
}
