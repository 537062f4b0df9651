//! Searches for people: progress while one is under way, a table at the end.

use std::io::{self, Write};
use std::time::Instant;

use crate::model::scope::Scope;
use crate::model::search::{Explored, Limits, Progress, explore_telling};

/// How often progress is told, in states.
const STATES_PER_LINE: usize = 2_000_000;

/// What came of a search of several scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of them were seen completely, and nothing is broken.
    Sound,
    /// A property is broken in one of them.
    Broken,
    /// Nothing is broken, but a limit ended the search of one of them.
    Incomplete,
}

/// Searches the scopes one after the other, tells how far it is on `out`, and prints a table of them.
///
/// # Errors
/// If `out` cannot be written to.
pub fn run(scopes: &[Scope], limits: Limits, out: &mut dyn Write) -> io::Result<Outcome> {
    let mut rows = Vec::new();
    let mut outcome = Outcome::Sound;
    for &scope in scopes {
        writeln!(out, "{}: {}", scope.name, scope.about)?;
        let began = Instant::now();
        let mut told = 0;
        let explored = explore_telling(scope, limits, &mut |progress| {
            if progress.states >= told + STATES_PER_LINE {
                told = progress.states;
                // What cannot be told is no reason to stop.
                let _ = tell(progress, began.elapsed().as_secs_f64(), out);
            }
            true
        });
        let seconds = began.elapsed().as_secs_f64();
        if let Some(found) = &explored.violation {
            writeln!(
                out,
                "{} broke after {} steps:",
                found.violation, found.steps
            )?;
            for line in &found.trace {
                writeln!(out, "  {line}")?;
            }
        }
        if explored.violation.is_some() {
            outcome = Outcome::Broken;
        } else if !explored.complete && outcome == Outcome::Sound {
            outcome = Outcome::Incomplete;
        }
        rows.push(row(&explored, seconds));
    }
    writeln!(
        out,
        "\n| Scope | States | Transitions | Depth | Node states | Runs of the code | Terms led | \
         Committed | Reads served | Seconds | |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|"
    )?;
    for row in rows {
        writeln!(out, "{row}")?;
    }
    Ok(outcome)
}

fn tell(progress: &Progress, seconds: f64, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "  depth {}, {} states, {} waiting, {} transitions, {seconds:.0} s",
        progress.depth, progress.states, progress.waiting, progress.transitions
    )
}

fn row(explored: &Explored, seconds: f64) -> String {
    let end = match (&explored.violation, explored.complete) {
        (Some(found), _) => found.violation.property,
        (None, true) => "complete",
        (None, false) => "not complete",
    };
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {seconds:.1} | {end} |",
        explored.scope,
        explored.states,
        explored.transitions,
        explored.depth,
        explored.node_states,
        explored.reactions,
        explored.reached.led_term,
        explored.reached.committed,
        explored.reached.reads_served,
    )
}
