//! `replay`: the run of a tape file.

use std::path::PathBuf;

use clap::Args;

use crate::cli::{self, Exit, WrongUse, commit, commit_or_version, failing, files, totals};

/// Repeats the run of a tape file and shows what happens.
#[derive(Debug, Args)]
#[command(after_help = cli::EXIT_CODES)]
pub(crate) struct ReplayArguments {
    /// The tape file.
    file: PathBuf,
    /// Write the run as a picture.
    #[arg(long, value_name = "FILE.html")]
    trace: Option<PathBuf>,
    /// Write what clients asked and were told, as JSON lines.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
}

pub(crate) fn run(arguments: &ReplayArguments) -> Result<Exit, WrongUse> {
    for path in [&arguments.trace, &arguments.history].into_iter().flatten() {
        files::must_be_writable(path)?;
    }
    let tape = files::read_tape(&arguments.file)?;
    warn_of_other_code(tape.commit.as_deref());
    let options = tape.options();
    let report = failing::with_trace(&options);
    let (trace, history) = (arguments.trace.as_deref(), arguments.history.as_deref());
    files::write_artifacts(&options, &report, trace, history)?;
    let Some(failure) = &report.failure else {
        println!(
            "no property broke: {} events, {} s, {} operations answered",
            totals::count(report.events),
            report.simulated_us as f64 / 1e6,
            totals::count(report.answered)
        );
        return Ok(match report.inconclusive {
            0 => Exit::Fine,
            _ => Exit::Inconclusive,
        });
    };
    let commit = commit_or_version();
    let text = failing::describe(&options, failure, &report, &commit);
    println!("{text}\nFAILING: {}", failure.violation);
    Ok(Exit::Broke)
}

/// Other code makes other choices at the same sites, so an old tape may mean nothing.
pub(crate) fn warn_of_other_code(recorded: Option<&str>) {
    if let (Some(recorded), Some(current)) = (recorded, commit())
        && recorded != current
    {
        eprintln!(
            "quorate-sim: the tape is of commit {recorded}, this is {current}: the run may differ"
        );
    }
}
