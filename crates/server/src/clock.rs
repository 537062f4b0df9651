//! The two clocks of the process, read together.
//!
//! Everything below this crate takes time as an argument. This is the one place where it is read.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use replica::Now;

/// Reads wall and monotonic time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose monotonic time starts now.
    pub(crate) fn new() -> Clock {
        Clock {
            origin: Instant::now(),
        }
    }

    /// Both clocks. A wall clock before 1970 reads as 1970: it only stamps entries, and the log's
    /// time never goes backwards.
    pub(crate) fn now(&self) -> Now {
        Now {
            wall_ms: wall_ms(),
            mono_us: u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX),
        }
    }
}

/// Milliseconds since 1970 by the wall clock.
pub(crate) fn wall_ms() -> u64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}
