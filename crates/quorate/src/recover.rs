//! `quorate recover`: a new cluster out of what one node of a lost one has left.

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;
use server::Remains;

use crate::failure::Failure;

/// What `quorate recover` is told.
#[derive(Debug, Args)]
#[command(
    after_help = "For the loss of a majority of the voters only: while a majority can be brought back, \
                  bring it back. The old directory is only read."
)]
pub(crate) struct RecoverArguments {
    /// Make a new cluster of what this one node has. Acknowledged writes that only the lost nodes had
    /// are lost with them.
    #[arg(long, required = true)]
    force_new_cluster: bool,
    /// The data directory of the node, which must not be running. Of several, take the one with the
    /// highest last entry.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Where to put the new cluster's data: a directory that does not exist.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Name of the cluster, if it is not `quorate`.
    #[arg(long, value_name = "NAME", default_value = "quorate")]
    cluster_name: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// Says what may be lost, asks, and makes the new cluster.
pub(crate) fn run(arguments: &RecoverArguments) -> Result<ExitCode, Failure> {
    let remains = Remains::of(&arguments.data_dir, &arguments.cluster_name);
    let remains = remains.map_err(Failure::usage)?;
    let (last, committed) = (remains.last(), remains.committed());
    eprintln!(
        "node {} of cluster {:016x} has entries up to {last}, and knew those up to {committed} to be \
         committed.\n\
         Lost: every acknowledged write behind entry {last}, if the lost nodes had any.\n\
         Kept, though perhaps never acknowledged: entries {} to {last}.\n\
         Nodes of the old cluster will never be let into the new one: stop them, and let them join with \
         empty directories.",
        remains.node(),
        remains.cluster(),
        (committed + 1).min(last),
    );
    if !arguments.yes && !is_confirmed()? {
        return Err(Failure::usage("nothing was done"));
    }
    let cluster = remains.found_cluster(&arguments.to);
    let cluster = cluster.map_err(Failure::running)?;
    writeln!(
        std::io::stdout(),
        "cluster {cluster:016x} of node {} alone is in {}; start it with --data-dir {}, and let others \
         --join it",
        remains.node(),
        arguments.to.display(),
        arguments.to.display()
    )?;
    Ok(ExitCode::SUCCESS)
}

fn is_confirmed() -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(
            "nobody is there to be asked: give --yes if that is what you want",
        ));
    }
    eprint!("Type yes to go on: ");
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    read.map_err(|error| Failure::running(format!("cannot read the answer: {error}")))?;
    Ok(line.trim() == "yes")
}
