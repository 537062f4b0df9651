//! A timer that wakes a poll to the microsecond.
//!
//! `epoll_wait` counts milliseconds, and a millisecond is many round trips. A timer of the kernel
//! (timerfd) is as exact as its clock, and costs nothing while it runs.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd, RawFd},
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// One timer.
#[derive(Debug)]
pub(crate) struct Timer {
    descriptor: OwnedFd,
}

impl Timer {
    /// A timer that is not set.
    pub(crate) fn new() -> io::Result<Timer> {
        let descriptor = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        Ok(Timer { descriptor })
    }

    /// Makes the descriptor readable after so many nanoseconds, and not readable until then.
    pub(crate) fn set(&self, nanoseconds: u64) -> io::Result<()> {
        // Zero would switch the timer off.
        let nanoseconds = nanoseconds.max(1);
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let value = Timespec {
            tv_sec: (nanoseconds / NANOSECONDS_PER_SECOND) as i64,
            tv_nsec: (nanoseconds % NANOSECONDS_PER_SECOND) as _,
        };
        let setting = Itimerspec {
            it_interval: zero,
            it_value: value,
        };
        timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &setting)?;
        Ok(())
    }
}

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}
