//! One process that is a node.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use resp::Value;
use rustix::process::{Pid, Signal, kill_process};

use super::connection::{Connection, text};

/// Lines of a node's log that a failed test prints.
const LOG_LINES_MAX: usize = 60;

/// How long a node may take to say what it is; one that is stopped says nothing.
const INFO_PATIENCE: Duration = Duration::from_millis(500);

/// How long a node may take to serve a read before it is asked again.
const READ_PATIENCE: Duration = Duration::from_secs(2);

/// A node, running or not.
pub struct Node {
    pub id: usize,
    /// Where it serves clients.
    pub port: u16,
    settings: Vec<(&'static str, String)>,
    data_dir: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

/// How a node ended by itself.
#[derive(Debug, Clone)]
pub struct Exit {
    pub code: Option<i32>,
    /// Everything that all its runs have logged.
    pub stderr: String,
}

/// What INFO says of a node's part in the cluster.
#[derive(Debug, Clone)]
pub struct Info {
    pub node: usize,
    pub role: String,
    pub leader: Option<usize>,
    pub term: u64,
    pub commit: u64,
    pub applied: u64,
    pub fields: BTreeMap<String, String>,
}

impl Node {
    /// A node that is not started yet.
    pub fn new(
        id: usize,
        port: u16,
        directory: &Path,
        settings: Vec<(&'static str, String)>,
    ) -> Node {
        Node {
            id,
            port,
            settings,
            data_dir: directory.join(format!("node-{id}")),
            log: directory.join(format!("node-{id}.log")),
            child: None,
        }
    }

    /// Starts the process.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "node {} runs already", self.id);
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.expect("the log of a node can be written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("QUORATE_") {
                command.env_remove(name);
            }
        }
        command
            .arg("serve")
            .arg("--exit-with-parent")
            .arg("--data-dir")
            .arg(&self.data_dir);
        command.args(["--bind", &format!("127.0.0.1:{}", self.port)]);
        for (key, value) in &self.settings {
            command.arg(format!("--{key}")).arg(value);
        }
        let command = command
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a second handle to a file"))
            .stderr(log);
        self.child = Some(command.spawn().expect("the binary starts"));
    }

    /// Changes a setting for the next start.
    pub fn set(&mut self, key: &'static str, value: &str) {
        self.settings.retain(|(other, _)| *other != key);
        self.settings.push((key, value.to_owned()));
    }

    /// Leaves a setting out at the next start.
    pub fn unset(&mut self, key: &str) {
        self.settings.retain(|(other, _)| *other != key);
    }

    /// Changes the data directory for the next start.
    pub fn set_data_dir(&mut self, path: &Path) {
        self.data_dir = path.to_owned();
    }

    /// What it is started with, beside its address and its directory.
    pub fn settings(&self) -> &[(&'static str, String)] {
        &self.settings
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Sends SIGKILL, and does not wait.
    pub fn kill_begin(&mut self) {
        self.signal(Signal::KILL);
    }

    /// Sends SIGKILL and waits until the process is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops the process where it stands, as if the machine had frozen.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen process go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends SIGTERM, and does not wait.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("the node runs");
        let process = Pid::from_child(child);
        kill_process(process, signal).expect("a child that was not waited for can be signalled");
    }

    /// How it ended, if it has.
    pub fn exit(&mut self) -> Option<Exit> {
        let status = self
            .child
            .as_mut()?
            .try_wait()
            .expect("a child can be waited for")?;
        self.child = None;
        Some(Exit {
            code: status.code(),
            stderr: self.log(),
        })
    }

    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    pub fn process_id(&self) -> u32 {
        self.child.as_ref().expect("the node runs").id()
    }

    /// A new connection to it.
    pub fn connect(&self) -> Connection {
        let connection = Connection::open(self.port);
        connection.unwrap_or_else(|error| panic!("cannot connect to node {}: {error}", self.id))
    }

    /// One command on a connection of its own.
    pub fn ask(&self, command: &[&str]) -> Value {
        let reply = self.connect().ask(command);
        reply.unwrap_or_else(|error| panic!("node {}: {command:?}: {error}", self.id))
    }

    /// Whether it serves reads now.
    pub fn is_ready(&self) -> bool {
        let read = || {
            let mut connection = Connection::open(self.port)?;
            connection.set_patience(READ_PATIENCE);
            connection.ask(&["EXISTS", "nothing"])
        };
        matches!(read(), Ok(Value::Integer(_)))
    }

    /// What INFO says, if it answers.
    pub fn info(&self) -> Option<Info> {
        let mut connection = Connection::open(self.port).ok()?;
        connection.set_patience(INFO_PATIENCE);
        let reply = connection.ask(&["INFO", "everything"]).ok()?;
        Info::parse(&text(&reply))
    }

    /// What all its runs have logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Shows the end of its log.
    pub fn print_log(&self) {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let shown = &lines[lines.len().saturating_sub(LOG_LINES_MAX)..];
        eprintln!(
            "---- log of node {}, last {} of {} lines",
            self.id,
            shown.len(),
            lines.len()
        );
        for line in shown {
            eprintln!("{line}");
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Info {
    fn parse(text: &str) -> Option<Info> {
        let fields: BTreeMap<String, String> = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim_end().to_owned()))
            .collect();
        let number = |name: &str| fields.get(name)?.parse::<u64>().ok();
        let leader = number("raft_leader_id").unwrap_or(0);
        Some(Info {
            node: number("raft_node_id")? as usize,
            role: fields.get("raft_role")?.clone(),
            leader: (leader != 0).then_some(leader as usize),
            term: number("raft_term")?,
            commit: number("raft_commit_index")?,
            applied: number("raft_applied_index")?,
            fields,
        })
    }
}
