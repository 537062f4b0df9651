//! Totals of many runs, as a line and as a table.

use std::fmt::Write as _;
use std::time::Duration;

use sim::report::{FaultClass, FaultCounts};
use sim::runner::Totals;

/// How it goes, in a line.
pub(crate) fn progress_line(totals: &Totals) -> String {
    format!(
        "{}: {} seeds, {} simulated, {} events/s per core, {} operations checked, {} faults of \
         {}/{} classes, {:.0}x real time, {} inconclusive, {} failing",
        time(totals.wall),
        count(totals.seeds),
        time(Duration::from_micros(totals.simulated_us)),
        round(totals.events_per_core_second()),
        round(totals.answered as f64),
        round(totals.faults.total() as f64),
        totals.fault_classes(),
        FaultClass::ALL.len(),
        totals.speed_up(),
        totals.inconclusive,
        totals.failing,
    )
}

/// All totals, a line each, and the faults by class.
pub(crate) fn table(totals: &Totals) -> String {
    let seeds = format!(
        "{}, {} of them twice, {} failing",
        count(totals.seeds),
        count(totals.twice),
        count(totals.failing)
    );
    let simulated = format!(
        "{}, {:.0} times real time",
        time(Duration::from_micros(totals.simulated_us)),
        totals.speed_up()
    );
    let events = format!(
        "{}, {} a second and core",
        count(totals.events),
        round(totals.events_per_core_second())
    );
    let operations = format!(
        "{} asked, {} answered and checked",
        count(totals.operations),
        count(totals.answered)
    );
    let faults = format!(
        "{}, of {} classes of {}",
        count(totals.faults.total()),
        totals.fault_classes(),
        FaultClass::ALL.len()
    );
    let rows = [
        ("seeds", seeds),
        ("simulated", simulated),
        ("events", events),
        ("operations", operations),
        ("inconclusive", count(totals.inconclusive)),
        ("elections", count(totals.elections)),
        ("time", time(totals.wall)),
        ("faults", faults),
    ];
    let mut text = String::new();
    for (name, value) in rows {
        let _ = writeln!(text, "{name:<14}{value}");
    }
    text + &by_class(&totals.faults)
}

/// Faults by class, in three columns, and what never struck.
fn by_class(counts: &FaultCounts) -> String {
    let mut text = String::new();
    let (seen, unseen): (Vec<&FaultClass>, Vec<&FaultClass>) = FaultClass::ALL
        .iter()
        .partition(|class| counts.of(**class) > 0);
    for row in seen.chunks(3) {
        let cells: Vec<String> = row
            .iter()
            .map(|class| format!("{:<25}{:>12}", class.label(), count(counts.of(**class))))
            .collect();
        let _ = writeln!(text, "  {}", cells.join("    "));
    }
    if !unseen.is_empty() {
        let labels: Vec<&str> = unseen.iter().map(|class| class.label()).collect();
        let _ = writeln!(text, "  never: {}", labels.join(", "));
    }
    text
}

/// A number with its thousands apart.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number in about three digits.
pub(crate) fn round(number: f64) -> String {
    match number {
        ..1e4 => format!("{number:.0}"),
        ..1e6 => format!("{:.0}k", number / 1e3),
        ..1e7 => format!("{:.2}M", number / 1e6),
        ..1e9 => format!("{:.0}M", number / 1e6),
        _ => format!("{:.2}G", number / 1e9),
    }
}

/// A time, as people say it.
pub(crate) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3600..360_000 => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} h", count(seconds / 3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        let counts = [0, 12, 999, 1000, 1_234_567].map(count);
        assert_eq!(counts, ["0", "12", "999", "1,000", "1,234,567"]);
        let rounds = [7.4, 9_999.0, 812_345.0, 1_234_567.0, 45_678_901.0].map(round);
        assert_eq!(rounds, ["7", "9999", "812k", "1.23M", "46M"]);
        let times = [4, 59, 61, 7_260, 480_000].map(|it| time(Duration::from_secs(it)));
        assert_eq!(
            times,
            ["4.0 s", "59 s", "1 min 01 s", "2 h 01 min", "133 h"]
        );
    }

    #[test]
    fn the_table_has_every_class() {
        let mut totals = Totals::default();
        totals.faults.add(FaultClass::Crash);
        let text = table(&totals);
        for class in FaultClass::ALL {
            assert!(text.contains(class.label()), "{}", class.label());
        }
        assert!(text.contains("1, of 1 classes"));
    }
}
