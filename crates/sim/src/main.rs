//! `quorate-sim`: runs seeds, replays and shrinks failures, checks histories.
//!
//! What the subcommands do is in the library; what is here is how they are called and what people see.
//! Standard output is for what was asked for; progress and complaints go to standard error.

mod cli;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::cli::{Exit, canaries, check, model, profiles, replay, run, shrink};

/// Runs clusters of the production code in one thread each, breaks everything around them, and judges
/// what they do.
#[derive(Debug, Parser)]
#[command(
    name = "quorate-sim",
    version,
    max_term_width = 100,
    subcommand_required = true,
    after_help = cli::EXIT_CODES
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run seeds, one world each.
    Run(run::RunArguments),
    /// Repeat the run of a tape file, and show what happens.
    Replay(replay::ReplayArguments),
    /// Make the failing run of a tape file smaller.
    Shrink(shrink::ShrinkArguments),
    /// Judge a history of clients, of this simulator or of real processes.
    Check(check::CheckArguments),
    /// See whether each known mistake is noticed.
    Canaries(canaries::CanariesArguments),
    /// Search small scopes of the Raft crate exhaustively.
    Model(model::ModelArguments),
    /// List the profiles and the classes of faults.
    Profiles(profiles::ProfilesArguments),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    sim::panics::install();
    let outcome = match arguments.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Shrink(arguments) => shrink::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Canaries(arguments) => canaries::run(&arguments),
        Command::Model(arguments) => model::run(&arguments),
        Command::Profiles(arguments) => Ok(profiles::run(&arguments)),
    };
    let exit = outcome.unwrap_or_else(|wrong| {
        eprintln!("quorate-sim: {wrong}");
        Exit::WrongUse
    });
    exit.into()
}

/// Help and the version go out as they are; for the rest the line that says what is wrong is enough.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        let _ = error.print();
        return match error.kind() {
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Exit::WrongUse.into(),
            _ => Exit::Fine.into(),
        };
    }
    let text = error.to_string();
    let line = text.lines().next().unwrap_or("wrong use");
    let line = line.strip_prefix("error: ").unwrap_or(line);
    eprintln!("quorate-sim: {line} (see --help)");
    Exit::WrongUse.into()
}
