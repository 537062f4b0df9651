//! `check`: judges a history.

use std::io;
use std::path::PathBuf;

use clap::{Args, value_parser};
use sim::check::{self, Checked};
use sim::judges::linearizable::Limits;

use crate::cli::{self, Exit, WrongUse};

/// Judges a history of clients, of this simulator or of real processes: JSON lines, as
/// `crates/sim/src/history` describes them.
#[derive(Debug, Args)]
#[command(after_help = cli::EXIT_CODES)]
pub(crate) struct CheckArguments {
    /// The history.
    file: PathBuf,
    /// Steps of the search before a key is given up; 10 million take about a second.
    #[arg(long, value_parser = value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Do not demand that the operations of one process take effect in the order it asked them.
    #[arg(long)]
    any_order: bool,
}

pub(crate) fn run(arguments: &CheckArguments) -> Result<Exit, WrongUse> {
    let usual = Limits::default();
    let limits = Limits {
        steps_max: arguments.steps.unwrap_or(usual.steps_max),
        program_order: !arguments.any_order,
        ..usual
    };
    let checked = check::check_file(&arguments.file, limits, &mut io::stdout().lock());
    match checked {
        Ok(Checked::Passed) => Ok(Exit::Fine),
        Ok(Checked::Violation) => Ok(Exit::Broke),
        Ok(Checked::Unreadable) => Ok(Exit::WrongUse),
        Ok(Checked::Inconclusive) => Ok(Exit::Inconclusive),
        Err(error) => Err(WrongUse(format!("cannot write the result: {error}"))),
    }
}
