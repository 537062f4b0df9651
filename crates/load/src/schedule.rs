//! When commands are due and what of the run is measured. All times are nanoseconds since the run
//! began.

use std::time::{Duration, Instant};

use crate::options::Plan;

/// The run's own time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that begins now.
    pub(crate) fn start() -> Clock {
        Clock {
            start: Instant::now(),
        }
    }

    /// Nanoseconds since the start.
    pub(crate) fn now(self) -> u64 {
        nanoseconds(self.start.elapsed())
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The parts of a run: warm-up, the measured window, the wait for late replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// The warm-up ends and the measured window begins.
    pub(crate) from: u64,
    /// The window ends, and with it the sending.
    pub(crate) until: u64,
    /// Who has not answered by then never will.
    pub(crate) give_up: u64,
}

impl Window {
    /// The window of a timed run; a fill is measured as a whole, and ends by itself.
    pub(crate) fn new(plan: &Plan) -> Window {
        if plan.is_fill {
            return Window {
                from: 0,
                until: u64::MAX,
                give_up: u64::MAX,
            };
        }
        let from = nanoseconds(plan.warm_up);
        let until = from + nanoseconds(plan.duration);
        Window {
            from,
            until,
            give_up: until + nanoseconds(plan.patience),
        }
    }

    /// Whether this moment is measured.
    pub(crate) fn contains(&self, moment: u64) -> bool {
        (self.from..self.until).contains(&moment)
    }
}

/// The commands of an open loop: number `n` is due at `n / rate`, sent or not.
///
/// Whoever measures from the moment of sending leaves out the wait of those commands that a slow
/// server kept from being sent, and so asks a slow server fewer questions just when it is slow
/// (coordinated omission). Here each command has its moment beforehand, and its latency counts from
/// that moment.
#[derive(Debug)]
pub(crate) struct OpenLoop {
    nanoseconds_per_command: f64,
    next: u64,
    /// How many are due before the window ends.
    count: u64,
}

impl OpenLoop {
    /// So many commands per second, until the window ends.
    pub(crate) fn new(rate: f64, window: &Window) -> OpenLoop {
        let nanoseconds_per_command = 1e9 / rate;
        OpenLoop {
            nanoseconds_per_command,
            next: 0,
            count: (window.until as f64 / nanoseconds_per_command).ceil() as u64,
        }
    }

    /// When the next command is due, unless it was the last.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let due = self.next as f64 * self.nanoseconds_per_command;
        (self.next < self.count).then_some(due as u64)
    }

    /// Takes the next command and tells when it is or was due, unless it was the last.
    pub(crate) fn take(&mut self) -> Option<u64> {
        let due = self.next_due()?;
        self.next += 1;
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::plan;

    #[test]
    fn an_open_loop_has_as_many_commands_as_its_rate_says() {
        let window = Window::new(&plan(&["--warm-up=1", "--duration=2", "--patience=0"]));
        assert_eq!((window.from, window.until), (1_000_000_000, 3_000_000_000));
        let mut schedule = OpenLoop::new(1000.0, &window);
        let due = std::iter::from_fn(|| schedule.take()).collect::<Vec<_>>();
        assert_eq!(due.len(), 3000);
        assert_eq!(due[..3], [0, 1_000_000, 2_000_000]);
        assert_eq!(
            due.iter().filter(|due| window.contains(**due)).count(),
            2000
        );
        assert_eq!(schedule.next_due(), None);
    }

    #[test]
    fn steps_do_not_add_up_their_rounding() {
        let window = Window {
            from: 0,
            until: 1_000_000_000,
            give_up: 0,
        };
        let mut schedule = OpenLoop::new(300_000.0, &window);
        let last = std::iter::from_fn(|| schedule.take()).last();
        assert_eq!(last, Some(999_996_666));
    }
}
