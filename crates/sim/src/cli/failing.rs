//! What people see of a run that failed, and the small tape that is left for them.

use std::fmt::Write as _;
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sim::report::{Failure, RunOptions, RunReport};
use sim::runner::{self, DETERMINISM};
use sim::shrink::{self, Settings, Shrunk, Size};
use sim::tape_file::TapeFile;
use sim::trace::text;

use crate::cli::totals::count;
use crate::cli::{WrongUse, commit_or_version, files, replay_command, world};

/// How many events are shown.
const EVENTS_SHOWN: usize = 200;

/// Runs a failing seed again and prints all that there is to know; then shrinks it and writes the tape.
/// Returns the run, with its trace and history.
pub(crate) fn explain(
    options: &RunOptions,
    failure: &Failure,
    shrink_for: Duration,
    jobs: usize,
) -> Result<RunReport, WrongUse> {
    let commit = commit_or_version();
    let report = with_trace(options);
    println!("{}", describe(options, failure, &report, &commit));
    if failure.violation.property == DETERMINISM {
        println!("{}", first_difference(options));
    } else if report.failure.is_none() {
        println!("run again, the seed does not fail: something in it is not deterministic");
    } else if !shrink_for.is_zero() {
        let path = PathBuf::from(format!("failing-{}.tape", options.seed));
        shrink_to(&path, options, shrink_for, jobs, false, &commit)?;
    }
    Ok(report)
}

/// Makes a run and keeps all that can be shown.
pub(crate) fn with_trace(options: &RunOptions) -> RunReport {
    let options = RunOptions {
        trace: true,
        keep_history: true,
        ..options.clone()
    };
    runner::guarded(&world, &options)
}

/// The failure, the last events, the nodes.
pub(crate) fn describe(
    options: &RunOptions,
    failure: &Failure,
    report: &RunReport,
    commit: &str,
) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(out, "{name:<10}{value}");
    };
    row("seed", &options.seed.to_string());
    row("commit", commit);
    row("profile", options.profile.name());
    if let Some(canary) = options.canary {
        row(
            "canary",
            &format!("{}: {}", canary.name(), canary.summary()),
        );
    }
    row("property", failure.violation.property);
    let detail = failure.violation.detail.replace('\n', "\n          ");
    row("detail", &detail);
    let place = format!("{}, at {}", failure.step, text::seconds(failure.at_us));
    row("step", &place);
    if options.only.is_none() {
        row("replay", &replay_command(options));
    }
    if !report.trace.is_empty() {
        let shown = EVENTS_SHOWN.min(report.trace.len());
        let _ = writeln!(out, "\nthe last {shown} events\n{}", text::LEGEND);
        out += &text::render_tail(&report.trace, report.nodes, EVENTS_SHOWN);
    }
    if !failure.nodes.is_empty() {
        out += "\nthe nodes then\n";
        for node in &failure.nodes {
            let _ = writeln!(out, "  {node}");
        }
    }
    out
}

/// Shrinks a failing run and writes its tape. `None` if the run does not fail.
pub(crate) fn shrink_to(
    path: &Path,
    options: &RunOptions,
    budget: Duration,
    jobs: usize,
    any_property: bool,
    commit: &str,
) -> Result<Option<Shrunk>, WrongUse> {
    let started = Instant::now();
    let is_terminal = stderr().is_terminal();
    eprintln!("shrinking for up to {} s", budget.as_secs());
    let settings = Settings {
        budget,
        jobs,
        any_property,
    };
    let run = |options: &RunOptions| runner::guarded(&world, options);
    let shrunk = shrink::shrink(&run, options, settings, &mut |progress| {
        if is_terminal {
            eprint!(
                "\r\x1b[K{} runs, leaving out {}: {}",
                progress.tried,
                progress.stage,
                size(&progress.size)
            );
        }
    });
    if is_terminal {
        eprint!("\r\x1b[K");
    }
    let Some(shrunk) = shrunk else {
        return Ok(None);
    };
    let property = shrunk.report.failure.as_ref();
    let property = property.map(|failure| failure.violation.property.to_owned());
    let tape = TapeFile::of(&shrunk.options, Some(commit.to_owned()), property);
    files::write_text(path, &tape.render())?;
    let rest = match shrunk.is_minimal {
        true => "no single choice can be left out",
        false => "out of time",
    };
    println!("before    {}", size(&shrunk.before));
    println!("after     {}", size(&shrunk.after));
    println!(
        "          {} runs in {:.1} s; {rest}",
        count(shrunk.tried),
        started.elapsed().as_secs_f64()
    );
    println!("tape      {}", path.display());
    println!(
        "replay    cargo run -p sim --release -- replay {}",
        path.display()
    );
    Ok(Some(shrunk))
}

fn size(size: &Size) -> String {
    format!(
        "{} choices, {} events, a run of {} s",
        count(size.choices as u64),
        count(size.events),
        size.duration_us as f64 / 1e6
    )
}

/// Where two runs of a seed part.
fn first_difference(options: &RunOptions) -> String {
    let [one, two] = [with_trace(options), with_trace(options)];
    let pairs = one.trace.iter().zip(&two.trace);
    let shorter = one.trace.len().min(two.trace.len());
    let parted = pairs
        .clone()
        .position(|(one, two)| one != two)
        .unwrap_or(shorter);
    if parted == one.trace.len() && parted == two.trace.len() {
        return "the traces of two more runs are the same".to_owned();
    }
    let until = |report: &RunReport| {
        let end = (parted + 5).min(report.trace.len());
        text::render_tail(&report.trace[..end], report.nodes, 15)
    };
    format!(
        "two runs part at event {parted} of the trace\none\n{}two\n{}",
        until(&one),
        until(&two)
    )
}
