//! What came of looking for the canaries, as a table for a terminal or a document.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use buggify::Canary;

use crate::canaries::{Hunt, Sought};

/// Canaries that the world cannot show. The scripts, the random groups and the exhaustive search of Raft
/// alone notice them (`crates/raft/tests`, `model`).
///
/// - `LateAnswerOfOldSession` needs a member that is removed and comes back under its id within one term.
///   The replica never gives an id a second time.
/// - `InstallKeepsConflictingLog` and `BaseKeepsOtherTail` need a snapshot for a node whose log is longer and
///   contradicts it. What a leader alone can append before it steps down is soon shorter than what the
///   others have committed and cut.
pub const WITHOUT_WORLD: &[Canary] = &[
    Canary::LateAnswerOfOldSession,
    Canary::InstallKeepsConflictingLog,
    Canary::BaseKeepsOtherTail,
];

/// Canaries that take more seeds than a quick look has.
pub const SLOW: &[Canary] = &[
    Canary::ReadWithoutRound,
    Canary::ReadByEarlierRound,
    Canary::LateAnswerConfirmsRound,
    Canary::ReadsServedOnStepDown,
    Canary::ReadQuorumTooSmall,
    Canary::AcceptanceOfOldTermCounts,
    Canary::CommitBeyondDurable,
    Canary::TornTailLeftInPlace,
    Canary::RefusalOvertakesReplies,
];

/// One line as a hunt ends.
pub fn line(canary: Canary, start: usize, hunt: &Hunt) -> String {
    let (row, name, seeds) = (canary.row(), canary.name(), hunt.seeds);
    let outcome = match &hunt.catch {
        Some(catch) => format!(
            "seed {} after {:.1} s: {}",
            catch.seed,
            catch.at_us as f64 / 1e6,
            catch.violation
        ),
        None => "NOT CAUGHT".to_owned(),
    };
    let anyway = match hunt.failing_anyway.as_slice() {
        [] => String::new(),
        seeds => format!(" (fail without it, too: {seeds:?})"),
    };
    let start = start + 1;
    format!("{row:>3} {name:<28} start {start}: {seeds:>5} seeds  {outcome}{anyway}")
}

/// The table for a terminal.
pub fn text(sought: &[Sought]) -> String {
    let mut text = format!(
        "{:>3} {:<28} {:>6} {:>6} {:>9}  noticed by\n",
        "row", "canary", "first", "median", "simulated"
    );
    for canary in sought {
        let _ = writeln!(
            text,
            "{:>3} {:<28} {:>6} {:>6} {:>7} s  {}",
            canary.canary.row(),
            canary.canary.name(),
            figure(canary.first()),
            figure(canary.median()),
            simulated_s(canary),
            properties(canary)
        );
    }
    text + &summary(sought) + "\n"
}

/// The table for a document.
pub fn markdown(sought: &[Sought]) -> String {
    let mut text = String::from(
        "| Row | Canary | The mistake | First | Median | Simulated | Noticed by |\n\
         |---:|---|---|---:|---:|---:|---|\n",
    );
    for canary in sought {
        let _ = writeln!(
            text,
            "| {} | `{}` | {} | {} | {} | {} s | {} |",
            canary.canary.row(),
            canary.canary.name(),
            canary.canary.summary(),
            figure(canary.first()),
            figure(canary.median()),
            simulated_s(canary),
            properties(canary)
        );
    }
    text + "\n" + &summary(sought) + "\n"
}

/// How many were caught, of how many rows, and in how many seeds.
pub fn summary(sought: &[Sought]) -> String {
    let caught: Vec<&Sought> = sought.iter().filter(|canary| canary.is_caught()).collect();
    let rows: BTreeSet<u32> = caught.iter().map(|canary| canary.canary.row()).collect();
    let mut medians: Vec<u64> = caught.iter().filter_map(|canary| canary.median()).collect();
    medians.sort_unstable();
    let median = medians.len().checked_sub(1).map(|last| medians[last / 2]);
    format!(
        "{} of {} canaries caught, of {} rows of the catalogue; seeds needed in the median: {}",
        caught.len(),
        sought.len(),
        rows.len(),
        figure(median)
    )
}

fn figure(value: Option<u64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn simulated_s(canary: &Sought) -> u64 {
    let all_us: u64 = canary.hunts.iter().map(|hunt| hunt.simulated_us).sum();
    all_us / canary.hunts.len().max(1) as u64 / 1_000_000
}

/// The properties that broke, the most frequent first.
fn properties(canary: &Sought) -> String {
    let mut counts: Vec<(usize, &str)> = Vec::new();
    for catch in canary.hunts.iter().filter_map(|hunt| hunt.catch.as_ref()) {
        let property = catch.violation.property;
        match counts.iter_mut().find(|(_, other)| *other == property) {
            Some((count, _)) => *count += 1,
            None => counts.push((1, property)),
        }
    }
    counts.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let names: Vec<&str> = counts.into_iter().map(|(_, property)| property).collect();
    match names.is_empty() {
        true => "NOT CAUGHT".to_owned(),
        false => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::canaries::Catch;
    use crate::judges::Violation;

    fn hunt(seeds: u64, property: Option<&'static str>) -> Hunt {
        let catch = property.map(|property| Catch {
            seed: seeds,
            violation: Violation {
                property,
                detail: "n1 and n2".to_owned(),
            },
            at_us: 1_500_000,
        });
        Hunt {
            seeds,
            catch,
            failing_anyway: Vec::new(),
            simulated_us: 30_000_000,
            busy: Duration::ZERO,
        }
    }

    #[test]
    fn the_table_tells_first_median_and_properties() {
        let sought = [
            Sought {
                canary: Canary::VoteBeforeDurable,
                hunts: vec![
                    hunt(5, Some("promises_durable")),
                    hunt(1, Some("one_vote_per_term")),
                    hunt(9, Some("promises_durable")),
                ],
            },
            Sought {
                canary: Canary::NoPreVote,
                hunts: vec![hunt(2_000, None)],
            },
        ];
        let text = text(&sought);
        assert!(
            text.contains("promises_durable, one_vote_per_term"),
            "{text}"
        );
        assert!(text.contains("NOT CAUGHT"), "{text}");
        assert!(text.contains("1 of 2 canaries caught, of 1 rows"), "{text}");
        let markdown = markdown(&sought);
        let row = "| 1 | `VoteBeforeDurable` | A vote is answered before it is durable. | 5 | 5 | 30 s | \
                   promises_durable, one_vote_per_term |";
        assert!(markdown.contains(row), "{markdown}");
    }

    #[test]
    fn a_line_tells_what_was_noticed_and_when() {
        let line = line(Canary::NoPreVote, 0, &hunt(7, Some("liveness")));
        assert!(
            line.contains("7 seeds  seed 7 after 1.5 s: liveness: n1 and n2"),
            "{line}"
        );
    }
}
