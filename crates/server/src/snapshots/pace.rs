//! Keeps a rate: whoever moves many bytes in the background asks here how long to rest.

use std::time::{Duration, Instant};

/// Work goes on without a rest until it is this far ahead, so that rests are few and long enough to
/// be worth a system call, and bursts short enough that nobody who waits for the same disk notices.
const AHEAD_MIN: Duration = Duration::from_millis(5);

/// Time in which less was moved than allowed is made up for up to this.
const CREDIT_MAX: Duration = Duration::from_millis(20);

/// A rate of bytes per second, and how far ahead of it the work is.
#[derive(Debug)]
pub(super) struct Pace {
    bytes_per_second: u64,
    /// When as much would have been moved at the rate as has been.
    due: Instant,
}

impl Pace {
    /// Nothing has been moved before `now`. A rate of 0 is no rate: there are no rests.
    pub(super) fn new(bytes_per_second: u64, now: Instant) -> Pace {
        Pace {
            bytes_per_second,
            due: now,
        }
    }

    /// Counts bytes that were moved, and returns how long to rest before the next.
    pub(super) fn moved(&mut self, bytes: u64, now: Instant) -> Duration {
        if self.bytes_per_second == 0 {
            return Duration::ZERO;
        }
        if let Some(earliest) = now.checked_sub(CREDIT_MAX) {
            self.due = self.due.max(earliest);
        }
        self.due += Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let ahead = self.due.saturating_duration_since(now);
        match ahead >= AHEAD_MIN {
            true => ahead,
            false => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_rate_is_kept_by_few_rests() {
        let start = Instant::now();
        let mut pace = Pace::new(100 * MIB, start);
        let (mut now, mut rests) = (start, 0);
        for _ in 0..1600 {
            let rest = pace.moved(MIB / 16, now);
            assert!(rest < Duration::from_millis(10), "{rest:?}");
            rests += u32::from(rest > Duration::ZERO);
            now += rest;
        }
        let took = now.duration_since(start);
        assert!((0.98..1.02).contains(&took.as_secs_f64()), "{took:?}");
        assert!(rests < 300, "{rests} rests");
    }

    #[test]
    fn time_that_was_lost_is_not_made_up_for_by_a_burst() {
        let start = Instant::now();
        let mut pace = Pace::new(MIB, start);
        let later = start + Duration::from_secs(60);
        assert!(pace.moved(MIB, later) > Duration::from_millis(900));
    }

    #[test]
    fn without_a_rate_there_are_no_rests() {
        let mut pace = Pace::new(0, Instant::now());
        assert_eq!(pace.moved(u64::MAX, Instant::now()), Duration::ZERO);
    }
}
