//! `shrink`: makes the failing run of a tape file smaller.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, value_parser};

use crate::cli::{self, Exit, WrongUse, commit_or_version, default_jobs, failing, files, replay};

/// Makes the failing run of a tape file smaller: leaves out choices and time as long as the same
/// property breaks.
#[derive(Debug, Args)]
#[command(after_help = cli::EXIT_CODES)]
pub(crate) struct ShrinkArguments {
    /// The tape file.
    file: PathBuf,
    /// Where the small tape goes [default: FILE itself].
    #[arg(short, long)]
    out: Option<PathBuf>,
    /// How long it may take.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many runs are tried at once [default: one for each core].
    #[arg(long, value_parser = value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Let the small run break another property than the large one.
    #[arg(long)]
    any_property: bool,
}

pub(crate) fn run(arguments: &ShrinkArguments) -> Result<Exit, WrongUse> {
    let out = arguments.out.as_ref().unwrap_or(&arguments.file);
    files::must_be_writable(out)?;
    let tape = files::read_tape(&arguments.file)?;
    replay::warn_of_other_code(tape.commit.as_deref());
    let shrunk = failing::shrink_to(
        out,
        &tape.options(),
        Duration::from_secs(arguments.seconds),
        arguments.jobs.map_or_else(default_jobs, usize::from),
        arguments.any_property,
        &commit_or_version(),
    )?;
    match shrunk {
        Some(_) => Ok(Exit::Broke),
        None => Err(WrongUse(format!(
            "{}: the run does not fail, there is nothing to shrink",
            arguments.file.display()
        ))),
    }
}
