//! A child process that is a node, and its log.

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use server::config::{Address, Config};

use super::plan::NodePlan;
use crate::failure::Failure;

/// Lines of a log that are shown when its node died.
const LAST_WORDS_MAX: usize = 5;

/// How a node died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Death {
    /// How, as the end of a sentence: `was killed by signal 9 (SIGKILL)`.
    pub(super) text: String,
    /// Whether it refused to start: its configuration, its directory or its ports.
    pub(super) is_usage: bool,
    /// Whether it was removed from the cluster: it does not come back.
    pub(super) is_removed: bool,
    /// Whether somebody killed it, so that its log says nothing about why.
    pub(super) is_killed: bool,
}

/// A node that was started.
pub(super) struct Node {
    plan: NodePlan,
    child: Child,
    log: LogTail,
    started: Instant,
    death: Option<Death>,
}

impl Node {
    /// Starts a node.
    pub(super) fn start(plan: &NodePlan) -> Result<Self, Failure> {
        let path = plan.directory.join("log");
        let cannot = |error: std::io::Error| {
            Failure::running(format!("{}: cannot write the log: {error}", path.display()))
        };
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(cannot)?;
        let tail = LogTail::at_end(&path).map_err(cannot)?;
        let child = command(plan, log.try_clone().map_err(cannot)?, log)
            .spawn()
            .map_err(|error| Failure::running(format!("cannot start node {}: {error}", plan.id)))?;
        Ok(Self {
            plan: plan.clone(),
            child,
            log: tail,
            started: Instant::now(),
            death: None,
        })
    }

    /// Its id.
    pub(super) fn id(&self) -> u64 {
        self.plan.id
    }

    /// Its process id.
    pub(super) fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Where it serves clients.
    pub(super) fn client_address(&self) -> &Address {
        &self.plan.client
    }

    /// What it was started with.
    pub(super) fn plan(&self) -> &NodePlan {
        &self.plan
    }

    /// How long ago it was started.
    pub(super) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// How it died, if it has.
    pub(super) fn death(&mut self) -> Option<Death> {
        if self.death.is_none()
            && let Ok(Some(status)) = self.child.try_wait()
        {
            self.death = Some(death_of(status));
        }
        self.death.clone()
    }

    /// Lines of its log since this was last asked.
    pub(super) fn new_lines(&mut self) -> Vec<String> {
        self.log.read_lines()
    }

    /// The last lines of its log.
    pub(super) fn last_words(&mut self) -> Vec<String> {
        self.log.read_lines();
        self.log.recent.iter().cloned().collect()
    }

    /// Asks it to stop.
    pub(super) fn terminate(&mut self) {
        if self.death().is_none()
            && let Some(process) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            // It may die at this moment, but stays ours to wait for: the id is not given to another.
            let _ = kill_process(process, Signal::TERM);
        }
    }

    /// Kills it and waits until it is dead.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whatever goes wrong in the parent, no child stays behind.
impl Drop for Node {
    fn drop(&mut self) {
        if self.death().is_none() {
            self.kill();
        }
    }
}

/// The command that runs a node. Its standard input is the pipe by which it notices that the parent
/// is gone; a process group of its own keeps Ctrl-C for the parent, which stops nodes in its way.
fn command(plan: &NodePlan, output: File, errors: File) -> Command {
    let program = std::env::current_exe().unwrap_or_else(|_| "quorate".into());
    let mut command = Command::new(program);
    command
        .args(plan.arguments.to_command_line())
        .arg("--exit-with-parent")
        .stdin(Stdio::piped())
        .stdout(output)
        .stderr(errors)
        .process_group(0)
        .env_remove("QUORATE_CONFIG");
    for setting in Config::settings() {
        command.env_remove(setting.variable());
    }
    command
}

fn death_of(status: ExitStatus) -> Death {
    let text = match (status.code(), status.signal()) {
        (_, Some(signal)) => format!("was killed by signal {signal}{}", signal_name(signal)),
        (Some(code), None) => format!("exited with status {code}"),
        (None, None) => "ended".to_owned(),
    };
    Death {
        text,
        is_usage: status.code() == Some(2),
        is_removed: status.code() == Some(3),
        is_killed: status.signal() == Some(9),
    }
}

fn signal_name(signal: i32) -> String {
    let name = signal_hook::low_level::signal_name(signal);
    name.map(|name| format!(" ({name})")).unwrap_or_default()
}

/// Reads a log as it grows. The child writes to the file itself, so that it neither waits for the
/// parent nor fails without it.
struct LogTail {
    file: File,
    /// The line that is not complete yet.
    partial: Vec<u8>,
    /// The last lines, for when the node dies.
    recent: VecDeque<String>,
}

impl LogTail {
    fn at_end(path: &Path) -> std::io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self {
            file,
            partial: Vec::new(),
            recent: VecDeque::new(),
        })
    }

    fn read_lines(&mut self) -> Vec<String> {
        // What cannot be read is not shown; it is only a copy of what is in the file.
        let _ = self.file.read_to_end(&mut self.partial);
        let Some(end) = self.partial.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let complete: Vec<u8> = self.partial.drain(..=end).collect();
        let lines: Vec<String> = String::from_utf8_lossy(&complete)
            .lines()
            .map(str::to_owned)
            .collect();
        for line in &lines {
            if self.recent.len() == LAST_WORDS_MAX {
                self.recent.pop_front();
            }
            self.recent.push_back(line.clone());
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_tail_gives_whole_lines_once() {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        writeln!(file, "old").expect("written");
        let mut tail = LogTail::at_end(file.path()).expect("readable");
        write!(file, "one\ntw").expect("written");
        assert_eq!(tail.read_lines(), ["one"]);
        assert!(tail.read_lines().is_empty());
        writeln!(file, "o").expect("written");
        assert_eq!(tail.read_lines(), ["two"]);
        assert_eq!(tail.recent, ["one", "two"]);
    }

    #[test]
    fn deaths_are_told_apart() {
        let killed = death_of(ExitStatus::from_raw(9));
        assert_eq!(killed.text, "was killed by signal 9 (SIGKILL)");
        assert!(killed.is_killed);
        let refused = death_of(ExitStatus::from_raw(2 << 8));
        assert_eq!(refused.text, "exited with status 2");
        assert!(refused.is_usage);
        let removed = death_of(ExitStatus::from_raw(3 << 8));
        assert!(removed.is_removed && !refused.is_removed);
    }
}
