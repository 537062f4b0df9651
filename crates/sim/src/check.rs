//! `check FILE`: judges a history that anyone recorded.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;
use std::time::Instant;

use crate::history::{History, Outcome};
use crate::judges::evidence::{Evidence, asked, milliseconds, told};
use crate::judges::linearizable::{self, Limits, Verdict};
use crate::judges::{deliveries, list_append};

/// How many operations of a violation are shown.
const SHOWN_MAX: usize = 40;
/// How wide the column of commands may be.
const ASKED_WIDTH_MAX: usize = 64;

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Everything was judged, and nothing is wrong.
    Passed,
    /// A property is broken.
    Violation,
    /// The file is no history.
    Unreadable,
    /// Nothing wrong was found, but not everything was judged.
    Inconclusive,
}

impl Checked {
    /// The exit code of the program.
    pub fn exit_code(self) -> u8 {
        match self {
            Checked::Passed => 0,
            Checked::Violation => 1,
            Checked::Unreadable => 2,
            Checked::Inconclusive => 3,
        }
    }
}

/// Reads a history of JSON lines and judges it. Says on `out` what was judged and what was found.
///
/// # Errors
/// If `out` does not take it.
pub fn check_file(path: &Path, limits: Limits, out: &mut impl Write) -> io::Result<Checked> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => {
            writeln!(out, "{}: cannot be opened: {error}", path.display())?;
            return Ok(Checked::Unreadable);
        }
    };
    match History::read_json_lines(BufReader::new(file)) {
        Ok(history) => check_history(&history, limits, out),
        Err(error) => {
            writeln!(out, "{}: {error}", path.display())?;
            Ok(Checked::Unreadable)
        }
    }
}

/// Judges a history. Says on `out` what was judged and what was found.
///
/// # Errors
/// If `out` does not take it.
pub fn check_history(
    history: &History,
    limits: Limits,
    out: &mut impl Write,
) -> io::Result<Checked> {
    let start = Instant::now();
    let verdict = linearizable::check(history, limits);
    let counts = verdict.counts();
    writeln!(
        out,
        "{} operations: {} answered, {} failed, {} of unknown outcome; {} keys, {} deliveries",
        history.operations.len(),
        counts.done,
        counts.failed,
        counts.unknown,
        counts.keys,
        history.deliveries.len()
    )?;
    let mut found: Vec<Evidence> = Vec::new();
    let result = match &verdict {
        Verdict::Linearizable(_) => "passed".to_owned(),
        Verdict::Violation {
            violation,
            operations,
            ..
        } => {
            found.push(Evidence {
                violation: violation.clone(),
                operations: operations.clone(),
            });
            "VIOLATION".to_owned()
        }
        Verdict::Inconclusive { partitions, .. } => format!("INCONCLUSIVE for {partitions}"),
    };
    writeln!(
        out,
        "linearizable: {result} ({} sets of keys, {} steps)",
        counts.partitions, counts.steps
    )?;
    if let Verdict::Inconclusive { reasons, .. } = &verdict {
        for reason in reasons {
            writeln!(out, "  {reason}")?;
        }
    }
    match list_append::judge(history) {
        Ok(stats) => writeln!(
            out,
            "list-append: passed ({} lists, {} operations, {} tokens)",
            stats.lists, stats.operations, stats.tokens
        )?,
        Err(evidence) => {
            writeln!(out, "list-append: VIOLATION")?;
            found.push(evidence);
        }
    }
    match deliveries::check(history) {
        Ok(()) => writeln!(out, "deliveries: passed")?,
        Err(violation) => {
            writeln!(out, "deliveries: VIOLATION")?;
            found.push(Evidence {
                violation,
                operations: Vec::new(),
            });
        }
    }
    writeln!(
        out,
        "judged in {:.1} ms",
        start.elapsed().as_secs_f64() * 1000.0
    )?;
    for evidence in &found {
        writeln!(out)?;
        writeln!(out, "{}", evidence.violation)?;
        write_table(history, &evidence.operations, out)?;
    }
    Ok(match (&verdict, found.is_empty()) {
        (_, false) => Checked::Violation,
        (Verdict::Inconclusive { .. }, true) => Checked::Inconclusive,
        (_, true) => Checked::Passed,
    })
}

/// Operations one below the other, in order of their calls.
fn write_table(history: &History, ops: &[usize], out: &mut impl Write) -> io::Result<()> {
    let rows: Vec<[String; 6]> = ops
        .iter()
        .take(SHOWN_MAX)
        .filter_map(|&op| history.operations.get(op).map(|it| (op, it)))
        .map(|(op, operation)| {
            let end = match (&operation.outcome, operation.completed_us) {
                (Outcome::Done(_) | Outcome::Failed(_), Some(end)) => milliseconds(end),
                _ => "open".to_owned(),
            };
            [
                op.to_string(),
                operation.process.to_string(),
                milliseconds(operation.invoked_us),
                end,
                asked(&operation.commands),
                told(&operation.outcome),
            ]
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let head = [
        "op", "process", "asked ms", "told ms", "commands", "replies",
    ];
    let mut widths = head.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    widths[4] = widths[4].min(ASKED_WIDTH_MAX);
    for row in std::iter::once(&head.map(str::to_owned)).chain(&rows) {
        let [op, process, start, end, asked, told] = row;
        let [w0, w1, w2, w3, w4, _] = widths;
        writeln!(
            out,
            "  {op:>w0$}  {process:>w1$}  {start:>w2$}  {end:>w3$}  {asked:<w4$}  {told}"
        )?;
    }
    if ops.len() > SHOWN_MAX {
        writeln!(out, "  ... and {} more", ops.len() - SHOWN_MAX)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::samples;

    fn said(history: &History) -> (Checked, String) {
        let mut out = Vec::new();
        let checked = check_history(history, Limits::default(), &mut out).unwrap();
        (checked, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_violation_is_shown_with_its_operations() {
        let history = samples::history(&[
            "1 10 20 SET k a => OK",
            "1 30 40 SET k b => OK",
            "2 50 60 GET k => a",
            "2 70 80 SET other c => OK",
        ]);
        let (checked, text) = said(&history);
        assert_eq!(checked.exit_code(), 1);
        let table = concat!(
            "  op  process  asked ms  told ms  commands  replies\n",
            "   0        1     0.010    0.020  SET k a   OK\n",
            "   1        1     0.030    0.040  SET k b   OK\n",
            "   2        2     0.050    0.060  GET k     a\n",
        );
        assert!(text.ends_with(table), "{text}");
        assert!(
            text.starts_with("4 operations: 4 answered, 0 failed"),
            "{text}"
        );
    }

    #[test]
    fn what_was_not_judged_is_no_pass() {
        let good = samples::history(&["1 10 20 SET k a => OK"]);
        assert_eq!(said(&good).0.exit_code(), 0);
        let strange =
            samples::history(&["1 10 20 SET k a => OK", "1 30 40 LPUSH k b => !WRONGTYPE"]);
        assert_eq!(said(&strange).0.exit_code(), 3);
    }

    #[test]
    fn a_file_that_is_none_is_said_to_be_none() {
        let mut out = Vec::new();
        let path = Path::new("no such file");
        let checked = check_file(path, Limits::default(), &mut out).unwrap();
        assert_eq!(checked.exit_code(), 2);
    }
}
