//! `quorate-load`: how fast is a key-value store, and how long do its clients wait?
//!
//! It drives servers that speak RESP (Quorate, Redis) or the protocol of etcd v3 with the same
//! commands, so that their figures can stand beside each other. What it reports is only worth
//! something under three conditions, and most of the code is about them:
//!
//! * It is not the bottleneck. One thread, one poll, one read and one write per connection and turn,
//!   no allocation for a command ([`resp_client`]); its own CPU seconds are part of the report.
//! * It asks a slow server as often as a fast one. In an open loop each command has its moment
//!   beforehand ([`schedule`]), and what has no reply in the end counts as well ([`measure`]).
//! * It can be repeated. A seed decides keys, values and the order of reads and writes on each
//!   connection ([`commands`]).
//!
//! What is left out: TLS, passwords, commands other than GET and SET, load from several machines.

mod commands;
#[cfg(feature = "etcd")]
mod etcd;
mod keys;
mod measure;
mod options;
mod random;
mod reply;
mod report;
mod resp_client;
mod schedule;
mod timer;

use std::process::ExitCode;

use clap::{Parser, error::ErrorKind};

use crate::{
    options::{Flags, Plan, Protocol},
    report::{Report, Run},
};

fn main() -> ExitCode {
    let flags = match Flags::try_parse() {
        Ok(flags) => flags,
        Err(error) => return refuse(&error),
    };
    let plan = match flags.plan() {
        Ok(plan) => plan,
        Err(line) => return fail(&line, 2),
    };
    let report = match run(&plan) {
        Ok(run) => Report::new(&plan, run),
        Err(line) => return fail(&line, 1),
    };
    if plan.is_json {
        println!("{}", report.json());
    } else {
        print!("{}", report.table());
    }
    match report.is_success() {
        true => ExitCode::SUCCESS,
        false => fail("the load was not done, see the errors above", 1),
    }
}

fn run(plan: &Plan) -> Result<Run, String> {
    match plan.protocol {
        Protocol::Resp => resp_client::run(plan),
        #[cfg(feature = "etcd")]
        Protocol::Etcd => etcd::run(plan),
        #[cfg(not(feature = "etcd"))]
        Protocol::Etcd => Err(
            "this build does not speak to etcd; build it with `cargo build -p load --features etcd`"
                .to_owned(),
        ),
    }
}

fn fail(line: &str, code: u8) -> ExitCode {
    eprintln!("quorate-load: {line}");
    ExitCode::from(code)
}

/// Help and version as clap prints them; a wrong command line in one line.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        error.exit();
    }
    let text = error.to_string();
    let reason = text.lines().take_while(|line| !line.trim().is_empty());
    let reason = reason.map(str::trim).collect::<Vec<_>>().join(" ");
    let reason = reason.strip_prefix("error: ").unwrap_or(&reason);
    fail(&format!("{reason}; see --help"), 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The plan of a command line that is right.
    pub(crate) fn plan(flags: &[&str]) -> Plan {
        let words = std::iter::once(&"quorate-load").chain(flags);
        Flags::try_parse_from(words).unwrap().plan().unwrap()
    }

    #[test]
    fn the_command_line_is_consistent() {
        <Flags as clap::CommandFactory>::command().debug_assert();
    }
}
