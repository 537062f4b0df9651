//! The subcommands: how they are called and what people see.

pub(crate) mod canaries;
pub(crate) mod check;
pub(crate) mod failing;
pub(crate) mod files;
pub(crate) mod model;
pub(crate) mod profiles;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod shrink;
pub(crate) mod totals;

use std::fmt;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use buggify::Canary;
use sim::panics;
use sim::profile::Profile;
use sim::report::{RunOptions, RunReport};
use sim::tape_file;

/// What `--help` says of exit codes.
pub(crate) const EXIT_CODES: &str = "Exit codes: 0 all is well; 1 a property broke; 2 wrong use, \
     or a file that cannot be read; 3 nothing broke, but a check was given up (inconclusive).";

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Fine = 0,
    /// A property broke.
    Broke = 1,
    /// It was called in a wrong way.
    WrongUse = 2,
    /// Nothing broke, but a check was given up.
    Inconclusive = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a request cannot be carried out, in a line.
#[derive(Debug)]
pub(crate) struct WrongUse(pub(crate) String);

impl fmt::Display for WrongUse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// How one world is run: what all commands that run worlds have in common.
pub(crate) fn world(options: &RunOptions) -> RunReport {
    let _quiet = panics::while_running();
    sim::world::run(options)
}

/// How many runs at once, if nothing is said.
pub(crate) fn default_jobs() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The commit of the code, with a sign if it was changed since; `None` outside of a repository.
pub(crate) fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(text)
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(match changes.is_empty() {
        true => commit,
        false => format!("{commit}+changes"),
    })
}

/// The commit, or the version if there is none.
pub(crate) fn commit_or_version() -> String {
    commit().unwrap_or_else(|| format!("version {}", env!("CARGO_PKG_VERSION")))
}

/// Reads a profile's name.
pub(crate) fn profile(text: &str) -> Result<Profile, String> {
    tape_file::profile_named(text)
}

/// Reads a canary's name.
pub(crate) fn canary(text: &str) -> Result<Canary, String> {
    tape_file::canary_named(text)
}

/// Reads a number of seconds, as microseconds.
pub(crate) fn seconds_as_us(text: &str) -> Result<u64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 1e7 => Ok((seconds * 1e6) as u64),
        _ => Err("it must be a number of seconds above 0".to_owned()),
    }
}

/// Reads a number of minutes.
pub(crate) fn minutes(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(minutes) if minutes > 0.0 && minutes <= 1e6 => {
            Ok(Duration::from_secs_f64(minutes * 60.0))
        }
        _ => Err("it must be a number of minutes above 0".to_owned()),
    }
}

/// The command that repeats a run of a seed.
pub(crate) fn replay_command(options: &RunOptions) -> String {
    let mut command = format!("cargo run -p sim --release -- run --seed {}", options.seed);
    if options.profile != Profile::Default {
        command += &format!(" --profile {}", options.profile.name());
    }
    if options.duration_us != RunOptions::DURATION_US {
        command += &format!(" --duration {}", options.duration_us as f64 / 1e6);
    }
    if let Some(canary) = options.canary {
        command += &format!(" --canary {}", canary.name());
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_to_replay_says_what_is_not_usual() {
        let mut options = RunOptions::new(7, Profile::Default);
        let plain = "cargo run -p sim --release -- run --seed 7";
        assert_eq!(replay_command(&options), plain);
        options.profile = Profile::Ruin;
        options.duration_us = 2_500_000;
        options.canary = Some(Canary::ALL[0]);
        let canary = Canary::ALL[0].name();
        assert_eq!(
            replay_command(&options),
            format!("{plain} --profile ruin --duration 2.5 --canary {canary}")
        );
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(seconds_as_us("0.5"), Ok(500_000));
        assert_eq!(minutes("1.5"), Ok(Duration::from_secs(90)));
        assert!(seconds_as_us("-1").is_err() && seconds_as_us("NaN").is_err());
        assert!(minutes("0").is_err() && minutes("x").is_err());
    }
}
