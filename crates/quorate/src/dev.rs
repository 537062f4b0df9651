//! `quorate dev`: a whole cluster on this machine, of real processes.
//!
//! Every node is this binary again, as `quorate serve` with flags that a person could have typed: what
//! one learns here is what runs elsewhere, and `kill -9` kills what it would kill there. The parent
//! starts, watches, and stops; it is no part of the cluster. Nothing is started before the whole plan
//! is known to be good, and no child outlives its parent: each watches a pipe that the kernel closes
//! when the parent dies, however it dies.

mod node;
mod plan;
mod watch;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Args;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

use self::{node::Node, plan::Plan, watch::Watch};
use crate::{failure::Failure, login::Login, status};

/// Where in its directory a node keeps its data; beside it is its log of messages.
pub(crate) const DEV_DATA_DIRECTORY: &str = "data";
/// How long the nodes may take to have a leader.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a node may take beyond its own deadline to stop.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How often children, logs and signals are looked at.
const POLL: Duration = Duration::from_millis(50);
/// How long a node may take to say who leads.
const ASK_TIMEOUT: Duration = Duration::from_millis(250);

/// What `quorate dev` is told.
#[derive(Debug, Args)]
pub(crate) struct DevArguments {
    /// Number of nodes.
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
    nodes: u16,
    /// First port: clients are served on BASE, BASE+1, …; peers on BASE+1000, …; metrics on
    /// BASE+2000, ….
    #[arg(long, value_name = "BASE", default_value_t = 7001)]
    port: u16,
    /// Directory of data and logs [default: quorate-dev].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Remove data and logs at the end; without --data-dir they are in a directory of their own.
    #[arg(long)]
    ephemeral: bool,
    /// Start a node again when it dies.
    #[arg(long)]
    restart: bool,
    /// Flags of `quorate serve` for every node, after `--`.
    #[arg(last = true, value_name = "SERVE FLAGS")]
    serve_flags: Vec<String>,
}

/// Runs a cluster until Ctrl-C.
pub(crate) fn run(arguments: &DevArguments) -> Result<ExitCode, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register(signal, Arc::clone(&stop))
            .map_err(|error| Failure::running(format!("cannot handle signals: {error}")))?;
    }
    let plan = Plan::make(arguments)?;
    plan.check_ports()?;
    plan.check_data()?;
    plan.create_directory()?;
    let outcome = run_plan(&plan, arguments.restart, &stop);
    if arguments.ephemeral {
        plan.remove_directory();
    }
    outcome
}

fn run_plan(plan: &Plan, restarts: bool, stop: &AtomicBool) -> Result<ExitCode, Failure> {
    let count = plan.nodes.len();
    let nodes_word = if count == 1 { "node" } else { "nodes" };
    eprintln!(
        "starting {count} {nodes_word}, data in {}",
        plan.directory.display()
    );
    let mut nodes = Vec::new();
    for node_plan in &plan.nodes {
        nodes.push(Node::start(node_plan)?);
    }
    let outcome = match wait_for_leader(&mut nodes, &plan.login, stop)? {
        Start::Leader(leader) => {
            plan.print_table(&nodes, leader)?;
            Watch::new(nodes, plan.login.clone(), leader, restarts).run(stop)
        }
        Start::Stopped => Ok(nodes),
    };
    let (nodes, code) = match outcome {
        Ok(nodes) => (nodes, ExitCode::SUCCESS),
        Err(watch::AllDied) => {
            eprintln!(
                "quorate: all nodes have died; their logs are in {}",
                plan.directory.display()
            );
            return Ok(ExitCode::FAILURE);
        }
    };
    stop_all(nodes, plan, stop)?;
    Ok(code)
}

/// How the start ended.
enum Start {
    /// All nodes follow one leader.
    Leader(u64),
    /// Somebody pressed Ctrl-C.
    Stopped,
}

/// Waits until all nodes name the same leader. A node that dies meanwhile ends the attempt, with its
/// own words: it will not do better by waiting.
fn wait_for_leader(nodes: &mut [Node], login: &Login, stop: &AtomicBool) -> Result<Start, Failure> {
    let started = Instant::now();
    let mut is_announced = false;
    while started.elapsed() < START_TIMEOUT {
        if stop.swap(false, Ordering::Relaxed) {
            return Ok(Start::Stopped);
        }
        for node in nodes.iter_mut() {
            if let Some(death) = node.death() {
                let words = complaint(&node.last_words());
                let line = format!("node {} {}: {words}", node.id(), death.text);
                return Err(if death.is_usage {
                    Failure::usage(line)
                } else {
                    Failure::running(line)
                });
            }
        }
        let leaders: Vec<Option<u64>> = nodes
            .iter()
            .map(|node| {
                status::ask(node.client_address(), login, ASK_TIMEOUT)
                    .ok()?
                    .leader
            })
            .collect();
        if let Some(Some(leader)) = leaders.first()
            && leaders.iter().all(|one| one == &Some(*leader))
        {
            return Ok(Start::Leader(*leader));
        }
        if !is_announced && leaders.iter().any(Option::is_none) && started.elapsed() > POLL * 10 {
            eprintln!("waiting for a leader");
            is_announced = true;
        }
        std::thread::sleep(POLL);
    }
    Err(Failure::running(format!(
        "the nodes have no leader after {} s; their logs are beside their data",
        START_TIMEOUT.as_secs()
    )))
}

/// What a node said last: its one line if it has refused to start.
fn complaint(last_words: &[String]) -> String {
    let refusal = last_words
        .iter()
        .rev()
        .find_map(|line| line.strip_prefix("quorate: "));
    let line = refusal.or(last_words.last().map(String::as_str));
    line.unwrap_or("it has said nothing").to_owned()
}

/// Asks all nodes to stop, waits, and kills those that do not, or all of them at a second Ctrl-C.
fn stop_all(mut nodes: Vec<Node>, plan: &Plan, stop: &AtomicBool) -> Result<(), Failure> {
    eprintln!("stopping");
    for node in &mut nodes {
        node.terminate();
    }
    let deadline = Instant::now() + plan.shutdown_timeout + STOP_GRACE;
    while Instant::now() < deadline && !stop.load(Ordering::Relaxed) {
        if nodes.iter_mut().all(|node| node.death().is_some()) {
            return Ok(());
        }
        std::thread::sleep(POLL);
    }
    let mut killed = Vec::new();
    for node in &mut nodes {
        if node.death().is_none() {
            node.kill();
            killed.push(node.id().to_string());
        }
    }
    if killed.is_empty() {
        return Ok(());
    }
    Err(Failure::running(format!(
        "did not stop by themselves and were killed: node {}",
        killed.join(", ")
    )))
}
