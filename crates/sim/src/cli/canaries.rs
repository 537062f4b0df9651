//! `canaries`: whether the judges notice each mistake.

use std::path::PathBuf;

use buggify::Canary;
use clap::{Args, value_parser};
use sim::canaries::{self, Plan, table};
use sim::profile::Profile;
use sim::report::RunOptions;

use crate::cli::{self, Exit, WrongUse, default_jobs, files, run};

/// Makes each canary, a known mistake, seed after seed, until a judge notices; prints the table of seeds
/// needed. Fails if one is not noticed.
#[derive(Debug, Args)]
#[command(after_help = cli::EXIT_CODES)]
pub(crate) struct CanariesArguments {
    /// Only these; `profiles --canaries` lists them [default: all].
    #[arg(value_name = "NAME", value_parser = cli::canary)]
    names: Vec<Canary>,
    /// One start, few seeds, and only canaries that are noticed soon: some minutes.
    #[arg(long)]
    quick: bool,
    /// From how many starts each is looked for [default: 5, or 1 with --quick].
    #[arg(long, value_parser = value_parser!(u16).range(1..))]
    starts: Option<u16>,
    /// The first seed of the first start [default: 1].
    #[arg(long)]
    seed: Option<u64>,
    /// At most so many seeds from each start [default: 2000, or 200 with --quick].
    #[arg(long, value_parser = value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// How many runs are made at once [default: one for each core].
    #[arg(long, value_parser = value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// What else may go wrong.
    #[arg(long, default_value = "default", value_parser = cli::profile)]
    profile: Profile,
    /// Simulated seconds of each run.
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = cli::seconds_as_us)]
    duration: u64,
    /// Write the table as Markdown, too.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

pub(crate) fn run(arguments: &CanariesArguments) -> Result<Exit, WrongUse> {
    if let Some(path) = &arguments.markdown {
        files::must_be_writable(path)?;
    }
    let stop = run::stop_flag()?;
    let plan = plan(arguments);
    let sought = canaries::run(&plan, &cli::world, &stop, &mut |canary, start, hunt| {
        eprintln!("{}", table::line(canary, start, hunt));
    });
    print!("{}", table::text(&sought));
    if let Some(path) = &arguments.markdown {
        files::write_text(path, &table::markdown(&sought))?;
    }
    let is_caught = sought.iter().all(|canary| canary.is_caught());
    Ok(if is_caught { Exit::Fine } else { Exit::Broke })
}

fn plan(arguments: &CanariesArguments) -> Plan {
    let template = RunOptions {
        duration_us: arguments.duration,
        ..RunOptions::new(0, arguments.profile)
    };
    let jobs = arguments.jobs.map_or_else(default_jobs, usize::from);
    let mut plan = match arguments.quick {
        true => Plan::quick(jobs, template),
        false => Plan::full(jobs, template),
    };
    if !arguments.names.is_empty() {
        plan.canaries.clone_from(&arguments.names);
    }
    plan.starts = arguments.starts.map_or(plan.starts, usize::from);
    plan.first_seed = arguments.seed.unwrap_or(plan.first_seed);
    plan.seeds_max = arguments.seeds.unwrap_or(plan.seeds_max);
    plan
}
