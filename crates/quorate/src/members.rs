//! `quorate add-node`, `remove-node`, `promote`, `demote`, `transfer`, `replace-node`: changing who
//! belongs to a cluster.

use std::{
    io::Write,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use server::config::Address;

use crate::{
    admin::{Admin, Members},
    failure::Failure,
    login::LoginArguments,
};

/// How often progress is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// How often progress is told.
const TELL_INTERVAL: Duration = Duration::from_secs(1);

/// Whom to ask.
#[derive(Debug, Args)]
pub(crate) struct ClusterArguments {
    /// Nodes to ask; the leader is learned from them.
    #[arg(
        long,
        value_name = "HOST:PORT,...",
        value_delimiter = ',',
        default_value = "127.0.0.1:6379"
    )]
    cluster: Vec<Address>,
    #[command(flatten)]
    login: LoginArguments,
}

impl ClusterArguments {
    fn admin(&self) -> Result<Admin, Failure> {
        Ok(Admin::new(self.cluster.clone(), self.login.login()?))
    }
}

/// What `quorate add-node` is told.
#[derive(Debug, Args)]
pub(crate) struct AddArguments {
    /// Where the other nodes will reach the new one.
    #[arg(value_name = "PEER-HOST:PORT")]
    peer_address: Address,
    /// The id of the new node, if not the next free one. Ids are never used twice.
    #[arg(long, value_name = "ID")]
    id: Option<u64>,
    /// Give it no vote when it has caught up.
    #[arg(long)]
    learner: bool,
    /// Do not wait until it has been started and has caught up.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// What `quorate replace-node` is told.
#[derive(Debug, Args)]
pub(crate) struct ReplaceArguments {
    /// The node that does not come back.
    id: u64,
    /// Where the other nodes will reach the new one.
    #[arg(value_name = "PEER-HOST:PORT")]
    peer_address: Address,
    /// Do not wait until the new node has been started and has caught up.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// What `quorate remove-node` and `quorate demote` are told.
#[derive(Debug, Args)]
pub(crate) struct TakeArguments {
    /// The node.
    id: u64,
    /// Do it although all voters that are left and answer will then be needed: the next failure of one
    /// of them stops all reads and writes. (What would lose the quorum at once is never done.)
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// What `quorate promote` and `quorate transfer` are told.
#[derive(Debug, Args)]
pub(crate) struct NodeArguments {
    /// The node.
    id: u64,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// Adds a node.
pub(crate) fn add(arguments: &AddArguments) -> Result<ExitCode, Failure> {
    let mut admin = arguments.cluster.admin()?;
    let address = arguments.peer_address.to_string();
    let mut request = vec!["QUORATE", "ADD-NODE", &address];
    let id = arguments.id.map(|id| id.to_string());
    if let Some(id) = &id {
        request.extend(["ID", id]);
    }
    if arguments.learner {
        request.push("LEARNER");
    }
    let id = number(&admin.ask(&request, false)?)?;
    expect(&mut admin, id, &address, arguments.no_wait)
}

/// Adds a node in the place of another.
pub(crate) fn replace(arguments: &ReplaceArguments) -> Result<ExitCode, Failure> {
    let mut admin = arguments.cluster.admin()?;
    let address = arguments.peer_address.to_string();
    let old = arguments.id.to_string();
    let id = number(&admin.ask(&["QUORATE", "REPLACE", &old, &address], false)?)?;
    expect(&mut admin, id, &address, arguments.no_wait)
}

fn number(reply: &resp::Value) -> Result<u64, Failure> {
    let number = reply.as_integer().and_then(|id| u64::try_from(id).ok());
    number.ok_or_else(|| Failure::running("the answer of the leader is not understood"))
}

/// Says how the new node is started, and tells how far it is until nothing is left to be done.
fn expect(admin: &mut Admin, id: u64, address: &str, no_wait: bool) -> Result<ExitCode, Failure> {
    eprintln!(
        "node {id} is expected at {address}; start it there:\n  quorate serve --join {} --peer-bind \
         {address} --data-dir DIR",
        admin.seed()
    );
    if no_wait {
        writeln!(std::io::stdout(), "node {id} is added")?;
        return Ok(ExitCode::SUCCESS);
    }
    watch(admin, |members| {
        let Some(node) = members.find(id) else {
            return Progress::Failed(format!("node {id} is not a member any more"));
        };
        let behind = members.commit.saturating_sub(node.matched);
        let is_settled = node.intent.is_empty() && !members.is_changing;
        let has_left = members.members.iter().any(|other| {
            other.intent == "is being removed" || other.intent.starts_with("replaces node")
        });
        match () {
            () if is_settled && node.is_voter && !has_left => Progress::Done(format!(
                "node {id} votes; the voters are {}",
                members.voters()
            )),
            () if is_settled && !node.is_voter && node.matched > 0 && behind == 0 => {
                Progress::Done(format!("node {id} has caught up, as a learner"))
            }
            () if node.matched == 0 => Progress::Under(format!("node {id} is waited for")),
            () => Progress::Under(format!(
                "node {id}: {} of {} entries",
                node.matched, members.commit
            )),
        }
    })
}

/// Removes a node.
pub(crate) fn remove(arguments: &TakeArguments) -> Result<ExitCode, Failure> {
    let (mut admin, id) = (arguments.cluster.admin()?, arguments.id);
    take(&mut admin, "REMOVE-NODE", arguments)?;
    watch(&mut admin, |members| match members.find(id) {
        None => Progress::Done(format!(
            "node {id} is removed, and its id is not used again; the voters are {}",
            members.voters()
        )),
        Some(node) => Progress::Under(format!("node {id} {}", node.intent)),
    })
}

/// Takes a node's vote.
pub(crate) fn demote(arguments: &TakeArguments) -> Result<ExitCode, Failure> {
    let mut admin = arguments.cluster.admin()?;
    take(&mut admin, "DEMOTE", arguments)?;
    told(&mut admin, |voters| {
        format!(
            "node {} is a learner; the voters are {voters}",
            arguments.id
        )
    })
}

fn take(admin: &mut Admin, name: &str, arguments: &TakeArguments) -> Result<(), Failure> {
    let id = arguments.id.to_string();
    let mut request = vec!["QUORATE", name, &id];
    if arguments.force {
        request.push("FORCE");
    }
    admin.ask(&request, false).map(drop)
}

/// Gives a learner a vote.
pub(crate) fn promote(arguments: &NodeArguments) -> Result<ExitCode, Failure> {
    let mut admin = arguments.cluster.admin()?;
    admin.ask(&["QUORATE", "PROMOTE", &arguments.id.to_string()], false)?;
    told(&mut admin, |voters| {
        format!("node {} votes; the voters are {voters}", arguments.id)
    })
}

/// Hands the leadership over.
pub(crate) fn transfer(arguments: &NodeArguments) -> Result<ExitCode, Failure> {
    let mut admin = arguments.cluster.admin()?;
    admin.ask(&["QUORATE", "TRANSFER", &arguments.id.to_string()], false)?;
    writeln!(std::io::stdout(), "node {} leads", arguments.id)?;
    Ok(ExitCode::SUCCESS)
}

fn told(admin: &mut Admin, line: impl FnOnce(String) -> String) -> Result<ExitCode, Failure> {
    let voters = admin.members()?.voters();
    writeln!(std::io::stdout(), "{}", line(voters))?;
    Ok(ExitCode::SUCCESS)
}

/// How far something is.
enum Progress {
    Done(String),
    Under(String),
    Failed(String),
}

/// Looks at the members until it is done, and tells what changes.
fn watch(admin: &mut Admin, judge: impl Fn(&Members) -> Progress) -> Result<ExitCode, Failure> {
    let mut told: Option<(String, Instant)> = None;
    loop {
        match judge(&admin.members()?) {
            Progress::Done(line) => {
                writeln!(std::io::stdout(), "{line}")?;
                return Ok(ExitCode::SUCCESS);
            }
            Progress::Failed(line) => return Err(Failure::running(line)),
            Progress::Under(line) => {
                let is_due = told
                    .as_ref()
                    .is_none_or(|(last, at)| *last != line && at.elapsed() >= TELL_INTERVAL);
                if is_due {
                    eprintln!("{line}");
                    told = Some((line, Instant::now()));
                }
            }
        }
        thread::sleep(LOOK_INTERVAL);
    }
}
