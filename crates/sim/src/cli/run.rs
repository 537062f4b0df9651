//! `run`: many seeds.

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use buggify::Canary;
use clap::Args;
use clap::value_parser;
use signal_hook::consts::SIGINT;
use signal_hook::flag;
use sim::profile::Profile;
use sim::report::RunOptions;
use sim::runner::{self, News, Plan, Summary};

use crate::cli::{
    self, Exit, WrongUse, commit_or_version, default_jobs, failing, files, replay_command, totals,
};

/// How many seeds are run if nothing is said.
const SEEDS_DEFAULT: u64 = 100;

/// Runs seeds. It stops at the first that fails, shows why, shrinks it and writes a tape file. Ctrl-C
/// stops after the seeds that are running and prints the totals.
#[derive(Debug, Args)]
#[command(after_help = cli::EXIT_CODES)]
pub(crate) struct RunArguments {
    /// The first seed; alone, the only one. Without it seeds are drawn that nobody has run.
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds [default: 100, or as many as fit into --minutes].
    #[arg(long, value_parser = value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// Begin no more seeds after so many minutes.
    #[arg(long, value_parser = cli::minutes)]
    minutes: Option<Duration>,
    /// How many seeds run at once [default: one for each core].
    #[arg(long, value_parser = value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// What may go wrong; `profiles` lists them.
    #[arg(long, default_value = "default", value_parser = cli::profile)]
    profile: Profile,
    /// Simulated seconds of each run.
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = cli::seconds_as_us)]
    duration: u64,
    /// A mistake to make in the production code; `profiles --canaries` lists them.
    #[arg(long, value_name = "NAME", value_parser = cli::canary)]
    canary: Option<Canary>,
    /// Draw the seeds from this text, so that each commit has its own.
    #[arg(long, value_name = "COMMIT", conflicts_with = "seed")]
    from: Option<String>,
    /// Go on after a seed that fails; each property that breaks is explained once.
    #[arg(long)]
    keep_going: bool,
    /// End with 0, not 3, if checks were given up but nothing broke.
    #[arg(long)]
    allow_inconclusive: bool,
    /// How many of a hundred seeds run twice, to see whether both runs agree.
    #[arg(long, value_name = "PERCENT", default_value_t = 1, value_parser = value_parser!(u64).range(0..=100))]
    twice: u64,
    /// How long a failing run may be shrunk; 0 for not at all.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    shrink: u64,
    /// Write the run as a picture: of the first seed that fails, or else of the first.
    #[arg(long, value_name = "FILE.html")]
    trace: Option<PathBuf>,
    /// Write what clients asked and were told, as JSON lines: of the same seed.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
}

pub(crate) fn run(arguments: &RunArguments) -> Result<Exit, WrongUse> {
    for path in [&arguments.trace, &arguments.history].into_iter().flatten() {
        files::must_be_writable(path)?;
    }
    let plan = plan(arguments);
    let stop = stop_flag()?;
    println!("{}", headline(arguments, &plan));
    let clear = if stderr().is_terminal() {
        "\r\x1b[K"
    } else {
        ""
    };
    let summary = runner::run_all(&plan, &cli::world, &stop, &mut |news| match news {
        News::Progress(so_far) if clear.is_empty() => {
            eprintln!("{}", totals::progress_line(so_far));
        }
        News::Progress(so_far) => eprint!("{clear}{}", totals::progress_line(so_far)),
        News::Failing(failing) => {
            eprint!("{clear}");
            let seed = failing.options.seed;
            println!("FAILING SEED {seed}: {}", failing.failure.violation);
        }
    });
    eprint!("{clear}");
    finish(arguments, &plan, &summary)
}

fn plan(arguments: &RunArguments) -> Plan {
    let first_seed = match (arguments.seed, &arguments.from) {
        (Some(seed), _) => seed,
        (None, Some(text)) => runner::base_of(text),
        (None, None) => runner::fresh_base(),
    };
    let seeds = match (arguments.seeds, arguments.minutes, arguments.seed) {
        (Some(seeds), ..) => Some(seeds),
        (None, Some(_), _) => None,
        (None, None, Some(_)) => Some(1),
        (None, None, None) => Some(SEEDS_DEFAULT),
    };
    Plan {
        first_seed,
        seeds,
        limit: arguments.minutes,
        jobs: arguments.jobs.map_or_else(default_jobs, usize::from),
        twice_percent: arguments.twice,
        keep_going: arguments.keep_going,
        template: RunOptions {
            canary: arguments.canary,
            duration_us: arguments.duration,
            ..RunOptions::new(0, arguments.profile)
        },
        tell_every: Duration::from_secs(if stderr().is_terminal() { 1 } else { 10 }),
    }
}

/// A flag that Ctrl-C sets. The second Ctrl-C ends the program at once.
pub(crate) fn stop_flag() -> Result<Arc<AtomicBool>, WrongUse> {
    let stop = Arc::new(AtomicBool::new(false));
    flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(&stop))
        .and_then(|_| flag::register(SIGINT, Arc::clone(&stop)))
        .map_err(|error| WrongUse(format!("cannot listen for Ctrl-C: {error}")))?;
    Ok(stop)
}

fn headline(arguments: &RunArguments, plan: &Plan) -> String {
    let seeds = match plan.seeds {
        Some(1) => "seed".to_owned(),
        Some(seeds) => format!("{} seeds from", totals::count(seeds)),
        None => "seeds from".to_owned(),
    };
    let limit = plan.limit.map(totals::time);
    format!(
        "{seeds} {}{}, profile {}, {} s each, {} at once, commit {}",
        plan.first_seed,
        limit.map_or(String::new(), |limit| format!(", for {limit}")),
        arguments.profile.name(),
        arguments.duration as f64 / 1e6,
        plan.jobs,
        commit_or_version()
    )
}

/// Explains what failed, writes the files, prints the totals.
fn finish(arguments: &RunArguments, plan: &Plan, summary: &Summary) -> Result<Exit, WrongUse> {
    let mut explained = Vec::new();
    let mut shown = None;
    for seed in &summary.failing {
        let property = seed.failure.violation.property;
        if explained.contains(&property) {
            continue;
        }
        explained.push(property);
        println!();
        let shrink_for = Duration::from_secs(arguments.shrink);
        let report = failing::explain(&seed.options, &seed.failure, shrink_for, plan.jobs)?;
        shown.get_or_insert((seed.options.clone(), report));
    }
    if arguments.trace.is_some() || arguments.history.is_some() {
        let (options, report) = shown.unwrap_or_else(|| {
            let options = RunOptions {
                seed: plan.first_seed,
                ..plan.template.clone()
            };
            let report = failing::with_trace(&options);
            (options, report)
        });
        let (trace, history) = (arguments.trace.as_deref(), arguments.history.as_deref());
        files::write_artifacts(&options, &report, trace, history)?;
    }
    println!("\n{}", totals::table(&summary.totals).trim_end());
    if summary.is_interrupted {
        println!("stopped by Ctrl-C");
    }
    for failing in &summary.failing {
        println!(
            "FAILING SEED {}: {}: {}",
            failing.options.seed,
            failing.failure.violation.property,
            replay_command(&failing.options)
        );
    }
    Ok(
        match (summary.failing.is_empty(), summary.totals.inconclusive) {
            (false, _) => Exit::Broke,
            (true, 1..) if !arguments.allow_inconclusive => Exit::Inconclusive,
            (true, _) => Exit::Fine,
        },
    )
}
