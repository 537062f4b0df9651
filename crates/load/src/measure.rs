//! What is counted, and in what part of the run.

use hdrhistogram::Histogram;

use crate::schedule::Window;

/// Times are kept in nanoseconds, to three digits, and those under this are all the same.
const LATENCY_NANOSECONDS_MIN: u64 = 100;
/// Ten minutes; what took longer is counted as this.
const LATENCY_NANOSECONDS_MAX: u64 = 600_000_000_000;
/// Significant digits.
const LATENCY_DIGITS: u8 = 3;

/// A command on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Started {
    /// When it was due (open loop) or sent (closed loop).
    pub(crate) at: u64,
    /// Whether it is a read.
    pub(crate) is_read: bool,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome<'a> {
    /// Done.
    Done,
    /// Done: a read of a key that has no value.
    Miss,
    /// The server said no, or the connection broke.
    Failed(&'a str),
}

/// Latencies, in nanoseconds.
pub(crate) type Latencies = Histogram<u64>;

/// Counts the commands of a run.
///
/// A command belongs to the throughput if its reply came within the window: that is what the server
/// got done in that time. Its latency belongs to the result if it was *due* within the window:
/// otherwise those that wait longest would be left out at the end.
#[derive(Debug)]
pub(crate) struct Recorder {
    window: Window,
    /// Latencies of reads that were due in the window.
    pub(crate) reads: Latencies,
    /// Latencies of writes that were due in the window.
    pub(crate) writes: Latencies,
    /// Commands that were done, and whose reply came in the window.
    pub(crate) completed: u64,
    /// Replies of the whole run, warm-up and errors included.
    pub(crate) replies: u64,
    /// Commands of the whole run that failed.
    pub(crate) errors: u64,
    /// The text of the first of them.
    pub(crate) first_error: Option<String>,
    /// Reads of the whole run that found nothing.
    pub(crate) misses: u64,
    /// Commands that had no reply when patience ended.
    pub(crate) unanswered: u64,
    /// When the last reply came.
    pub(crate) last_reply: u64,
}

impl Recorder {
    /// Nothing is counted yet.
    pub(crate) fn new(window: Window) -> Recorder {
        Recorder {
            window,
            reads: latencies(),
            writes: latencies(),
            completed: 0,
            replies: 0,
            errors: 0,
            first_error: None,
            misses: 0,
            unanswered: 0,
            last_reply: 0,
        }
    }

    /// A command ended.
    pub(crate) fn ended(&mut self, started: Started, now: u64, outcome: Outcome<'_>) {
        self.replies += 1;
        self.last_reply = now;
        match outcome {
            Outcome::Failed(text) => {
                self.failed(text);
                return;
            }
            Outcome::Miss => self.misses += 1,
            Outcome::Done => {}
        }
        if self.window.contains(now) {
            self.completed += 1;
        }
        if self.window.contains(started.at) {
            self.record(started, now);
        }
    }

    /// Something failed that may be no command: a connection that cannot be made.
    pub(crate) fn failed(&mut self, text: &str) {
        self.errors += 1;
        if self.first_error.is_none() {
            self.first_error = Some(text.lines().next().unwrap_or_default().to_owned());
        }
    }

    /// A command has no reply, or was not even sent, and the run is over. That it has waited so long
    /// is known, and is recorded: to leave it out would make a server look fast that answers nothing.
    /// It waited during the window, whenever it began.
    pub(crate) fn abandoned(&mut self, started: Started, now: u64) {
        self.unanswered += 1;
        self.record(started, now);
    }

    fn record(&mut self, started: Started, now: u64) {
        let latencies = match started.is_read {
            true => &mut self.reads,
            false => &mut self.writes,
        };
        latencies.saturating_record(now.saturating_sub(started.at));
    }

    /// Reads and writes together.
    pub(crate) fn all(&self) -> Latencies {
        let mut all = self.reads.clone();
        // Cannot fail: both have the same bounds.
        let _ = all.add(&self.writes);
        all
    }
}

fn latencies() -> Latencies {
    Histogram::new_with_bounds(
        LATENCY_NANOSECONDS_MIN,
        LATENCY_NANOSECONDS_MAX,
        LATENCY_DIGITS,
    )
    .expect("the bounds are constants that make a histogram")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::OpenLoop;

    const WINDOW: Window = Window {
        from: 1_000_000,
        until: 11_000_000,
        give_up: 20_000_000,
    };

    fn write(at: u64) -> Started {
        Started { at, is_read: false }
    }

    #[test]
    fn throughput_counts_replies_and_latency_counts_starts() {
        let mut recorder = Recorder::new(WINDOW);
        recorder.ended(write(0), 500_000, Outcome::Done);
        recorder.ended(write(900_000), 1_500_000, Outcome::Done);
        recorder.ended(write(2_000_000), 3_000_000, Outcome::Done);
        recorder.ended(write(10_000_000), 12_000_000, Outcome::Done);
        assert_eq!(recorder.replies, 4);
        assert_eq!(recorder.completed, 2);
        assert_eq!(recorder.all().len(), 2);
        assert!(recorder.all().max().abs_diff(2_000_000) < 2_000);
    }

    #[test]
    fn latencies_are_right_to_three_digits() {
        let mut recorder = Recorder::new(WINDOW);
        for microseconds in 1..=1000 {
            let at = 2_000_000;
            recorder.ended(write(at), at + microseconds * 1000, Outcome::Done);
        }
        let all = recorder.all();
        for (quantile, expected) in [(0.5, 500_000), (0.99, 990_000), (0.999, 999_000)] {
            let value = all.value_at_quantile(quantile);
            assert!(
                value.abs_diff(expected) <= expected / 1000,
                "{quantile}: {value}"
            );
        }
    }

    #[test]
    fn errors_are_no_throughput_and_no_latency() {
        let mut recorder = Recorder::new(WINDOW);
        recorder.ended(
            write(2_000_000),
            2_000_100,
            Outcome::Failed("ERR one\nmore"),
        );
        recorder.ended(write(2_000_000), 2_000_100, Outcome::Failed("ERR two"));
        assert_eq!((recorder.errors, recorder.completed), (2, 0));
        assert_eq!(recorder.first_error.as_deref(), Some("ERR one"));
        assert!(recorder.all().is_empty());
    }

    #[test]
    fn reads_that_find_nothing_are_counted() {
        let mut recorder = Recorder::new(WINDOW);
        let read = Started {
            at: 2_000_000,
            is_read: true,
        };
        recorder.ended(read, 2_500_000, Outcome::Miss);
        assert_eq!((recorder.misses, recorder.completed), (1, 1));
        assert_eq!((recorder.reads.len(), recorder.writes.len()), (1, 0));
    }

    /// A server that stands still for a part of the run: one command at a time would see one slow
    /// reply; those that were due meanwhile waited as well.
    #[test]
    fn an_open_loop_does_not_omit_what_waited() {
        let mut recorder = Recorder::new(WINDOW);
        let mut schedule = OpenLoop::new(1_000_000.0, &WINDOW);
        // One connection, one command in flight; the server takes 100 ns, but nothing from 5 to 9 ms.
        let mut now = 0;
        while let Some(due) = schedule.take() {
            now = due.max(now);
            if (5_000_000..9_000_000).contains(&now) {
                now = 9_000_000;
            }
            now += 100;
            recorder.ended(write(due), now, Outcome::Done);
        }
        let all = recorder.all();
        assert_eq!(all.len(), 10_000);
        let waited = all.count_between(200_000, 4_000_000);
        assert!((3_900..=4_400).contains(&waited), "{waited} waited");
        assert!(all.value_at_quantile(0.9) > 2_000_000);
    }

    #[test]
    fn what_was_never_answered_counts_with_its_age() {
        let mut recorder = Recorder::new(WINDOW);
        recorder.abandoned(write(2_000_000), WINDOW.give_up);
        recorder.abandoned(write(0), WINDOW.give_up);
        assert_eq!((recorder.unanswered, recorder.completed), (2, 0));
        assert!(recorder.all().max().abs_diff(20_000_000) < 20_000);
    }
}
