//! How far something long is: a line on standard error that is written over on a terminal, and a line
//! now and then elsewhere.

use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

/// How often the line on a terminal changes.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(200);
/// How often a line is written where lines stay.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// A line that tells how far something is. Short work shows none.
pub(crate) struct Progress {
    is_terminal: bool,
    is_shown: bool,
    last: Instant,
}

impl Progress {
    /// Nothing is shown yet.
    pub(crate) fn new() -> Self {
        Self {
            is_terminal: std::io::stderr().is_terminal(),
            is_shown: false,
            last: Instant::now(),
        }
    }

    /// Shows a line if it is time for one.
    pub(crate) fn show(&mut self, line: impl FnOnce() -> String) {
        let interval = match self.is_terminal {
            true => TERMINAL_INTERVAL,
            false => LOG_INTERVAL,
        };
        if self.last.elapsed() < interval {
            return;
        }
        self.last = Instant::now();
        self.is_shown = true;
        let line = line();
        // Progress that cannot be shown is no reason to stop.
        let _ = match self.is_terminal {
            true => write!(std::io::stderr(), "\r\x1b[K{line}"),
            false => writeln!(std::io::stderr(), "{line}"),
        };
    }

    /// Takes the line away, for what is written next.
    pub(crate) fn clear(&mut self) {
        if self.is_terminal && self.is_shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
            self.is_shown = false;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A number with its digits in groups of three: 1,234,567.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the largest unit of which there is at least one: 12.3 MiB.
pub(crate) fn bytes_text(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut amount = bytes as f64;
    let mut shown = None;
    for unit in units {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        shown = Some(unit);
    }
    match shown {
        Some(unit) => format!("{amount:.1} {unit}"),
        None => format!("{bytes} bytes"),
    }
}

/// How many there are of something for each second.
pub(crate) fn per_second(count: u64, time: Duration) -> u64 {
    (count as f64 / time.as_secs_f64().max(0.001)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [0, 1023, 1536, 3 << 30].map(bytes_text),
            ["0 bytes", "1023 bytes", "1.5 KiB", "3.0 GiB"]
        );
        assert_eq!(per_second(500, Duration::from_millis(250)), 2000);
    }
}
