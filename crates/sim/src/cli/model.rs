//! `model`: exhaustive search of small scopes.

use std::io;

use clap::{Args, value_parser};
use sim::model::{self, Limits, Outcome, Scope};

use crate::cli::{self, Exit, WrongUse};

/// Searches small scopes of the Raft crate exhaustively: every order of events in a small cluster.
#[derive(Debug, Args)]
#[command(after_help = cli::EXIT_CODES)]
pub(crate) struct ModelArguments {
    /// Only these scopes; --list names them [default: all].
    #[arg(value_name = "SCOPE", value_parser = scope)]
    scopes: Vec<Scope>,
    /// List the scopes.
    #[arg(long)]
    list: bool,
    /// Give a scope up after so many states.
    #[arg(long, value_parser = value_parser!(u64).range(1..))]
    states: Option<u64>,
    /// Go at most so many steps from the start.
    #[arg(long, value_parser = value_parser!(u64).range(1..))]
    depth: Option<u64>,
}

fn scope(name: &str) -> Result<Scope, String> {
    Scope::named(name).ok_or_else(|| {
        let names: Vec<&str> = Scope::ALL.iter().map(|scope| scope.name).collect();
        format!("no scope {name:?}; there are {}", names.join(", "))
    })
}

pub(crate) fn run(arguments: &ModelArguments) -> Result<Exit, WrongUse> {
    if arguments.list {
        for scope in Scope::ALL {
            println!("{:<16}{}", scope.name, scope.about);
        }
        return Ok(Exit::Fine);
    }
    let scopes = match arguments.scopes.is_empty() {
        true => Scope::ALL,
        false => &arguments.scopes,
    };
    let limit = |asked: Option<u64>, none: usize| {
        asked.map_or(none, |most| usize::try_from(most).unwrap_or(none).min(none))
    };
    let limits = Limits {
        states_max: limit(arguments.states, Limits::NONE.states_max),
        depth_max: limit(arguments.depth, Limits::NONE.depth_max),
    };
    match model::run(scopes, limits, &mut io::stdout().lock()) {
        Ok(Outcome::Sound) => Ok(Exit::Fine),
        Ok(Outcome::Broken) => Ok(Exit::Broke),
        Ok(Outcome::Incomplete) => Ok(Exit::Inconclusive),
        Err(error) => Err(WrongUse(format!("cannot write the result: {error}"))),
    }
}
