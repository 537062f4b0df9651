//! `quorate`: one binary that is the server, a cluster for trying things out, and the tools around them.
//!
//! What the subcommands do is in the crates below (`server`, `wal`, `kv`, `resp`); what is here is how
//! they are called and what people see. Three rules hold for all of them:
//!
//! - A refusal is one line on standard error that says what is wrong, where, and what to do. Exit
//!   code 2 says that the request was at fault (a flag, a file, a port in use) and nothing was
//!   touched; 1 says that something went wrong while it was carried out, or that an answer is "no".
//! - Standard output is for what was asked for, so that it can be piped; progress and complaints go to
//!   standard error.
//! - A terminal gets colours, a prompt and quoting; a pipe gets plain bytes.
//!
//! The binary holds no rule of consensus and none of a command. The prompt's knowledge of commands is
//! the command table of `kv`; the settings of `serve` are the table of `server::config`.

mod admin;
mod backup;
mod cli;
mod client;
mod cluster;
mod dev;
mod failure;
mod import;
mod join;
mod login;
mod members;
mod progress;
mod recover;
mod restore;
mod serve;
mod status;
mod transport;
mod wal_tools;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

/// A key-value store that any Redis client can use and that never loses an acknowledged write.
#[derive(Debug, Parser)]
#[command(
    name = "quorate",
    version,
    max_term_width = 100,
    subcommand_required = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one node.
    Serve(Box<serve::ServeArguments>),
    /// Run a whole cluster on this machine, to try things out.
    Dev(dev::DevArguments),
    /// Talk to a cluster: a prompt, commands from a pipe, or one command.
    Cli(cli::CliArguments),
    /// Show the nodes of a cluster.
    Status(status::StatusArguments),
    /// Add a node to a cluster: it votes as soon as it has caught up.
    AddNode(members::AddArguments),
    /// Remove a node from a cluster, for good.
    RemoveNode(members::TakeArguments),
    /// Add a node to a cluster in the place of one that does not come back.
    ReplaceNode(members::ReplaceArguments),
    /// Give a learner that has caught up a vote.
    Promote(members::NodeArguments),
    /// Take a node's vote; it goes on receiving the log.
    Demote(members::TakeArguments),
    /// Hand the leadership to a node.
    Transfer(members::NodeArguments),
    /// Import the keys of a Redis, from its RDB file or while it runs.
    Import(import::ImportArguments),
    /// Write the state of a running cluster to a file, and check such files.
    Backup(backup::BackupArguments),
    /// Begin a new cluster with the state of a backup.
    Restore(Box<restore::RestoreArguments>),
    /// Make a new cluster out of what one node of a lost one has left.
    Recover(recover::RecoverArguments),
    /// Look into the log of a node that is not running.
    #[command(subcommand)]
    Wal(wal_tools::WalCommand),
}

const _: () = assert!(
    !buggify::ENABLED || cfg!(debug_assertions),
    "a release build must not have the simulator's switches: build with `cargo build --release`, \
     without --workspace, or with -p quorate"
);

fn main() -> ExitCode {
    end_at_first_panic();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    let outcome = match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Dev(arguments) => dev::run(&arguments),
        Command::Cli(arguments) => cli::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::AddNode(arguments) => members::add(&arguments),
        Command::RemoveNode(arguments) => members::remove(&arguments),
        Command::ReplaceNode(arguments) => members::replace(&arguments),
        Command::Promote(arguments) => members::promote(&arguments),
        Command::Demote(arguments) => members::demote(&arguments),
        Command::Transfer(arguments) => members::transfer(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Restore(arguments) => restore::run(&arguments),
        Command::Recover(arguments) => recover::run(&arguments),
        Command::Wal(command) => wal_tools::run(&command),
    };
    match outcome {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

/// A panic is a bug, and the first one ends the process, in whatever thread it is: what stands in
/// memory can no longer be trusted, and nothing that is not durable was acknowledged to anybody.
fn end_at_first_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

/// Help and version as clap prints them; a wrong command line in one line, as every refusal.
fn refuse(error: &clap::Error) -> ExitCode {
    let is_asked_for = matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if is_asked_for {
        error.exit();
    }
    let text = error.to_string();
    let reason = text.lines().take_while(|line| !line.trim().is_empty());
    let reason = reason.map(str::trim).collect::<Vec<_>>().join(" ");
    let reason = reason.strip_prefix("error: ").unwrap_or(&reason);
    eprintln!("quorate: {reason}; see 'quorate help' or --help behind the subcommand");
    ExitCode::from(2)
}
