//! `quorate cli`: a prompt, commands from a pipe, or one command.
//!
//! The three differ only in where lines come from and in whom the replies are written for; what is
//! done with a line is in [`session`]. Every Redis command goes to the cluster as it was typed. A few
//! plain words are there for people who do not know Redis: see [mod@line].

mod hints;
mod line;
mod prompt;
mod session;
mod subscription;
mod text;

use std::{
    ffi::OsString,
    io::{BufRead, BufReader, IsTerminal, Write},
    os::unix::ffi::OsStringExt,
    process::ExitCode,
};

use clap::{ArgAction, Args};
use resp::RenderMode;
use server::config::Address;

use self::{
    line::Line,
    session::{Session, Style},
};
use crate::{
    cluster::Cluster,
    failure::Failure,
    login::{Login, LoginArguments},
};

/// Commands in a pipe that are sent before their replies are waited for, and their bytes. The bound
/// on bytes keeps both ends from waiting for the other to read.
const PIPELINE_COMMANDS_MAX: usize = 512;
const PIPELINE_BYTES_MAX: usize = 64 << 10;

/// What `quorate cli` is told.
#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "Without COMMAND: a prompt on a terminal, else commands from standard input, one a line.\n\
                  The exit code is 1 if a command was answered by an error."
)]
pub(crate) struct CliArguments {
    /// Nodes to talk to; the others are learned from them [default: 127.0.0.1:6379].
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',')]
    cluster: Vec<Address>,
    /// Host of one node, as in redis-cli.
    #[arg(
        short = 'h',
        long,
        value_name = "HOST",
        default_value = "127.0.0.1",
        conflicts_with = "cluster"
    )]
    host: String,
    /// Port of one node, as in redis-cli.
    #[arg(
        short,
        long,
        value_name = "PORT",
        default_value_t = 6379,
        conflicts_with = "cluster"
    )]
    port: u16,
    #[command(flatten)]
    login: LoginArguments,
    /// Numbered database.
    #[arg(short = 'n', long = "db", value_name = "NUMBER", default_value_t = 0)]
    database: u32,
    /// Speak RESP3.
    #[arg(short = '3', long)]
    resp3: bool,
    /// Write replies as plain bytes also on a terminal.
    #[arg(long, conflicts_with = "no_raw")]
    raw: bool,
    /// Write replies as for a terminal also in a pipe.
    #[arg(long)]
    no_raw: bool,
    /// Print help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
    /// One command with its arguments.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND ARG"
    )]
    command: Vec<OsString>,
}

impl CliArguments {
    fn login(&self) -> Result<Login, Failure> {
        Ok(Login {
            is_resp3: self.resp3,
            database: self.database,
            ..self.login.login()?
        })
    }

    fn addresses(&self) -> Vec<Address> {
        if self.cluster.is_empty() {
            vec![Address::new(&self.host, self.port)]
        } else {
            self.cluster.clone()
        }
    }

    fn style(&self) -> Style {
        let is_terminal = std::io::stdout().is_terminal();
        let is_for_people = (is_terminal && !self.raw) || self.no_raw;
        Style {
            mode: if is_for_people {
                RenderMode::Terminal
            } else {
                RenderMode::Raw
            },
            has_colours: is_terminal && !self.raw && std::env::var_os("NO_COLOR").is_none(),
            has_failures_apart: !self.command.is_empty(),
        }
    }
}

/// Runs the commands that are typed, piped or given.
pub(crate) fn run(arguments: &CliArguments) -> Result<ExitCode, Failure> {
    let cluster = Cluster::new(arguments.addresses(), arguments.login()?);
    let mut session = Session::new(cluster, arguments.style());
    if !arguments.command.is_empty() {
        let args = arguments
            .command
            .iter()
            .cloned()
            .map(OsString::into_vec)
            .collect();
        session.execute(Line::of_args(args))?;
    } else if std::io::stdin().is_terminal() {
        prompt::run(&mut session)?;
        return Ok(ExitCode::SUCCESS);
    } else {
        run_pipe(&mut session)?;
    }
    Ok(if session.has_failed() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Reads lines from standard input until it ends. Commands go out together as long as more input is
/// at hand, and their replies come in the same order.
fn run_pipe(session: &mut Session) -> Result<(), Failure> {
    let mut input = BufReader::with_capacity(PIPELINE_BYTES_MAX, std::io::stdin().lock());
    let mut commands = Vec::new();
    let mut bytes_pending = 0;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let count = input.read_until(b'\n', &mut bytes).map_err(|error| {
            Failure::running(format!("cannot read commands from standard input: {error}"))
        })?;
        if count == 0 {
            break;
        }
        while bytes
            .last()
            .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
        {
            bytes.pop();
        }
        let is_full =
            bytes_pending + count > PIPELINE_BYTES_MAX || commands.len() >= PIPELINE_COMMANDS_MAX;
        if is_full {
            session.execute_all(std::mem::take(&mut commands))?;
            bytes_pending = 0;
        }
        match Line::parse(&bytes) {
            Line::Empty => {}
            Line::Command(command) => {
                commands.push(command);
                bytes_pending += count;
            }
            Line::Quit => break,
            other => {
                session.execute_all(std::mem::take(&mut commands))?;
                session.execute(other)?;
            }
        }
        // Whoever writes line by line and waits for the answers must get them.
        if input.buffer().is_empty() {
            session.execute_all(std::mem::take(&mut commands))?;
            bytes_pending = 0;
        }
    }
    session.execute_all(commands)?;
    std::io::stdout().flush()?;
    Ok(())
}
