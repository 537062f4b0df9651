//! `crash-points`: a short run, broken at every place.

use std::fmt::Write as _;
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use buggify::Canary;
use clap::{Args, value_parser};
use sim::crash_points::{self, CrashPoint, News, Plan, Struck, Summary, Totals, WAYS};
use sim::profile::Profile;
use sim::report::RunOptions;

use crate::cli::totals::{count, round, time};
use crate::cli::{
    self, Exit, WrongUse, commit_or_version, default_jobs, failing, files, replay_command, run,
};

/// Makes a short run again and again: the power fails in each single disk operation of it, and a process
/// is killed before each single output. The run has two changes of the leader. Stops at the first
/// point at which a property breaks.
#[derive(Debug, Args)]
#[command(after_help = cli::EXIT_CODES)]
pub(crate) struct CrashPointsArguments {
    /// The seed of the run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many nodes.
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u8).range(1..=7))]
    nodes: u8,
    /// Simulated seconds of load.
    #[arg(long, value_name = "SECONDS", default_value = "1.5", value_parser = cli::seconds_as_us)]
    duration: u64,
    /// What else may go wrong; `profiles` lists them.
    #[arg(long, default_value = "calm", value_parser = cli::profile)]
    profile: Profile,
    /// Try one in so many points.
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..))]
    every: u32,
    /// Only this point, such as n2:operation:17:torn, and show what happens.
    #[arg(long, value_name = "POINT")]
    only: Option<CrashPoint>,
    /// How many runs are made at once [default: one for each core].
    #[arg(long, value_parser = value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// A mistake to make in the production code; `profiles --canaries` lists them.
    #[arg(long, value_name = "NAME", value_parser = cli::canary)]
    canary: Option<Canary>,
    /// Go on after a point at which a property breaks; each property is explained once.
    #[arg(long)]
    keep_going: bool,
    /// With --only: write the run as a picture.
    #[arg(long, value_name = "FILE.html", requires = "only")]
    trace: Option<PathBuf>,
}

pub(crate) fn run(arguments: &CrashPointsArguments) -> Result<Exit, WrongUse> {
    let nodes = usize::from(arguments.nodes);
    let template = RunOptions {
        canary: arguments.canary,
        duration_us: arguments.duration,
        ..RunOptions::new(arguments.seed, arguments.profile)
    };
    if let Some(point) = arguments.only {
        if point.node.0 > nodes as u64 {
            return Err(WrongUse(format!("{point}: there are {nodes} nodes")));
        }
        let options = crash_points::options(&template, nodes, Some(point));
        return only(&options, arguments.trace.as_deref());
    }
    let plan = Plan {
        template,
        nodes,
        every: arguments.every as usize,
        jobs: arguments.jobs.map_or_else(default_jobs, usize::from),
        keep_going: arguments.keep_going,
        tell_every: Duration::from_secs(if stderr().is_terminal() { 1 } else { 10 }),
    };
    let stop = run::stop_flag()?;
    println!("{}", headline(&plan));
    let clear = if stderr().is_terminal() {
        "\r\x1b[K"
    } else {
        ""
    };
    let summary = crash_points::run(&plan, &cli::world, &stop, &mut |news| match news {
        News::Progress(so_far) if clear.is_empty() => eprintln!("{}", progress_line(so_far)),
        News::Progress(so_far) => eprint!("{clear}{}", progress_line(so_far)),
        News::Failing(failing) => {
            eprint!("{clear}");
            let violation = &failing.failure.violation;
            println!("FAILING POINT {}: {violation}", name(failing.point));
        }
    });
    eprint!("{clear}");
    Ok(finish(&summary))
}

/// One point, in full.
fn only(options: &RunOptions, trace: Option<&Path>) -> Result<Exit, WrongUse> {
    if let Some(path) = trace {
        files::must_be_writable(path)?;
    }
    let report = failing::with_trace(options);
    files::write_artifacts(options, &report, trace, None)?;
    if let Some(failure) = &report.failure {
        let text = failing::describe(options, failure, &report, &commit_or_version());
        println!("{text}\nFAILING: {}", failure.violation);
        return Ok(Exit::Broke);
    }
    let struck = report.crash_report.and_then(|report| report.struck);
    let struck = struck.map_or("nothing: the run does not come by".to_owned(), |struck| {
        struck.to_string()
    });
    println!(
        "no property broke: struck {struck}; {} events, {} s, {} operations answered",
        count(report.events),
        report.simulated_us as f64 / 1e6,
        count(report.answered)
    );
    Ok(match report.inconclusive {
        0 => Exit::Fine,
        _ => Exit::Inconclusive,
    })
}

fn name(point: Option<CrashPoint>) -> String {
    point.map_or("none".to_owned(), |point| point.to_string())
}

fn headline(plan: &Plan) -> String {
    format!(
        "seed {}, {} nodes, profile {}, {} s, {} at once, commit {}",
        plan.template.seed,
        plan.nodes,
        plan.template.profile.name(),
        plan.template.duration_us as f64 / 1e6,
        plan.jobs,
        commit_or_version()
    )
}

fn progress_line(totals: &Totals) -> String {
    format!(
        "{}: {} points of {}, {} operations checked, {} failing",
        time(totals.wall),
        count(totals.tried),
        count(totals.points),
        round(totals.answered as f64),
        count(totals.failing),
    )
}

/// Explains what failed, and prints the totals.
fn finish(summary: &Summary) -> Exit {
    let mut explained = Vec::new();
    for failing in &summary.failing {
        let property = failing.failure.violation.property;
        if explained.contains(&property) {
            continue;
        }
        explained.push(property);
        let report = failing::with_trace(&failing.options);
        let commit = commit_or_version();
        let text = failing::describe(&failing.options, &failing.failure, &report, &commit);
        println!("\n{text}");
    }
    println!("\n{}", table(summary).trim_end());
    if summary.is_interrupted {
        println!("stopped by Ctrl-C");
    }
    for failing in &summary.failing {
        println!(
            "FAILING POINT {}: {}: {}",
            name(failing.point),
            failing.failure.violation.property,
            replay_command(&failing.options)
        );
    }
    let is_given_up = summary.totals.inconclusive + summary.totals.missed > 0;
    match (summary.failing.is_empty(), is_given_up) {
        (false, _) => Exit::Broke,
        (true, true) => Exit::Inconclusive,
        (true, false) => Exit::Fine,
    }
}

/// All totals, a line each, and the points by what was struck.
fn table(summary: &Summary) -> String {
    let totals = &summary.totals;
    let list = |numbers: &[u64]| {
        let numbers: Vec<String> = numbers.iter().map(|&number| count(number)).collect();
        numbers.join(" + ")
    };
    let points = format!(
        "{} of {}, {} failing, {} not reached",
        count(totals.tried),
        count(totals.points),
        count(totals.failing),
        count(totals.missed)
    );
    let busy = totals.busy.as_secs_f64();
    let rows = [
        ("operations", list(&summary.counted.operations)),
        ("outputs", list(&summary.counted.outputs)),
        ("elections", count(summary.elections)),
        ("points", points),
        (
            "simulated",
            time(Duration::from_micros(totals.simulated_us)),
        ),
        ("events", count(totals.events)),
        ("checked", format!("{} operations", count(totals.answered))),
        ("inconclusive", count(totals.inconclusive)),
        ("time", format!("{}, {busy:.0} s of CPU", time(totals.wall))),
    ];
    let mut text = String::new();
    for (name, value) in rows {
        let _ = writeln!(text, "{name:<14}{value}");
    }
    text + &by_place(totals)
}

/// A line for each kind of place, a column for each way.
fn by_place(totals: &Totals) -> String {
    let mut places: Vec<Struck> = totals.struck.keys().map(|&(struck, _)| struck).collect();
    places.dedup();
    let mut text = format!("\n  {:<24}", "points");
    for way in WAYS {
        let _ = write!(text, "{way:>12}");
    }
    for place in places {
        let _ = write!(text, "\n  {:<24}", place.to_string());
        for way in WAYS {
            let cell = totals.struck.get(&(place, way));
            let cell = cell.map_or(String::new(), |&number| count(number));
            let _ = write!(text, "{cell:>12}");
        }
    }
    text
}
