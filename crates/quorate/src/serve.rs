//! `quorate serve`: one node, as its configuration says.

use std::{
    ffi::OsString,
    io::{Read, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches};
use rustix::process::{Signal, getpid, kill_process};
use server::config::{Config, ConfigError, Setting};

use crate::{failure::Failure, join::JoinArguments};

/// How long after its deadline for stopping a node that outlived its parent is given.
const ORPHAN_GRACE: Duration = Duration::from_secs(5);

/// What `quorate serve` is told: a flag for every setting, made from the table of settings.
#[derive(Debug, Default, Clone)]
pub(crate) struct ServeArguments {
    /// The configuration file.
    config: Option<PathBuf>,
    /// Whether to print the configuration instead of running.
    print_config: bool,
    /// Whether to stop when standard input ends.
    exit_with_parent: bool,
    /// Whether and how to join a cluster.
    join: JoinArguments,
    /// The settings given as flags.
    flags: Vec<(&'static str, String)>,
}

impl ServeArguments {
    /// The same, with settings that win over those given before.
    pub(crate) fn with_flags(&self, flags: Vec<(&'static str, String)>) -> Self {
        let mut changed = self.clone();
        changed.flags.extend(flags);
        changed
    }

    /// The configuration of these arguments, reading the environment through `environment`.
    pub(crate) fn load(
        &self,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Config, ConfigError> {
        Config::load(self.config.as_deref(), environment, &self.flags)
    }

    /// The configuration of these arguments and of the environment.
    pub(crate) fn load_from_environment(&self) -> Result<Config, Failure> {
        let mut arguments = self.clone();
        if arguments.config.is_none() {
            arguments.config = std::env::var_os("QUORATE_CONFIG").map(PathBuf::from);
        }
        arguments
            .load(|name| std::env::var(name).ok())
            .map_err(Failure::usage)
    }

    /// The arguments of a command line that says the same.
    pub(crate) fn to_command_line(&self) -> Vec<OsString> {
        let mut line = vec![OsString::from("serve")];
        if let Some(path) = &self.config {
            line.extend(["--config".into(), path.into()]);
        }
        for (key, value) in &self.flags {
            line.extend([format!("--{key}").into(), value.into()]);
        }
        line
    }
}

impl Args for ServeArguments {
    fn augment_args(command: clap::Command) -> clap::Command {
        let command = command
            .after_help(
                "Every setting can also be given by the environment (QUORATE_NODE_ID) and by a TOML \
                 file\n(node-id = 1). A flag wins over the environment, the environment over the file.",
            )
            .arg(
                Arg::new("config")
                    .long("config")
                    .value_name("FILE")
                    .value_parser(clap::value_parser!(PathBuf))
                    .help("TOML file of settings [env: QUORATE_CONFIG]"),
            )
            .arg(
                Arg::new("print-config")
                    .long("print-config")
                    .action(ArgAction::SetTrue)
                    .help("Print the settings in force and where each came from, and exit"),
            )
            .arg(
                Arg::new("exit-with-parent")
                    .long("exit-with-parent")
                    .action(ArgAction::SetTrue)
                    .hide(true)
                    .help("Stop when standard input ends"),
            );
        let command = JoinArguments::augment_args(command);
        Config::settings()
            .iter()
            .fold(command, |command, setting| command.arg(flag(setting)))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

/// The flag of a setting. Its value is checked with the values of the other sources, by the same code.
fn flag(setting: &'static Setting) -> Arg {
    let default = match setting.default {
        "" => String::new(),
        value => format!(" [default: {value}]"),
    };
    Arg::new(setting.key)
        .long(setting.key)
        .value_name(setting.value_name)
        .hide(setting.is_hidden)
        .help(format!("{}{default}", setting.help()))
}

impl FromArgMatches for ServeArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut arguments = Self::default();
        arguments.update_from_arg_matches(matches)?;
        Ok(arguments)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.config = matches.get_one::<PathBuf>("config").cloned();
        self.print_config = matches.get_flag("print-config");
        self.exit_with_parent = matches.get_flag("exit-with-parent");
        self.join = JoinArguments::from_arg_matches(matches)?;
        self.flags = Config::settings()
            .iter()
            .filter_map(|setting| {
                Some((setting.key, matches.get_one::<String>(setting.key)?.clone()))
            })
            .collect();
        Ok(())
    }
}

/// Runs a node until it is told to stop.
pub(crate) fn run(arguments: &ServeArguments) -> Result<ExitCode, Failure> {
    let mut config = arguments.load_from_environment()?;
    if arguments.print_config {
        std::io::stdout().write_all(config.to_toml().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(peer_bind) = arguments.join.prepare(&config)? {
        let arguments = arguments.with_flags(vec![("peer-bind", peer_bind)]);
        config = arguments.load_from_environment()?;
    }
    if arguments.exit_with_parent {
        let deadline = config.shutdown_timeout + ORPHAN_GRACE;
        std::thread::spawn(move || stop_when_input_ends(deadline));
    }
    match server::serve(config) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) if error.exit_code() == 2 => Err(Failure::usage(error)),
        Err(error) if error.exit_code() == 3 => Err(Failure::Removed(error.to_string())),
        Err(error) => Err(Failure::running(error)),
    }
}

/// Waits until the parent has closed its end of standard input, which the kernel does for it however
/// it dies, and then stops this process: politely first.
fn stop_when_input_ends(deadline: Duration) {
    let mut input = std::io::stdin().lock();
    let mut ignored = [0; 64];
    while !matches!(input.read(&mut ignored), Ok(0) | Err(_)) {}
    if kill_process(getpid(), Signal::TERM).is_ok() {
        std::thread::sleep(deadline);
    }
    std::process::exit(1);
}
