//! The README is tested: its table of commands is the command table, and every command it shows
//! runs.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const BEGIN: &str = "<!-- commands: written from the command table; QUORATE_REWRITE=1 cargo test -p quorate --test docs -->\n";
const END: &str = "<!-- /commands -->";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the repository")
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).expect("README.md")
}

#[test]
fn the_readme_lists_the_commands_of_the_table() {
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for spec in kv::all().filter(|spec| spec.refusal.is_none()) {
        groups
            .entry(spec.group.redis_name())
            .or_default()
            .push(spec.name.to_uppercase());
    }
    let mut table = String::from("| family | commands |\n|---|---|\n");
    for (group, commands) in groups {
        table.push_str(&format!("| {group} | {} |\n", commands.join(" ")));
    }
    let text = readme();
    let start = text.find(BEGIN).expect("the mark") + BEGIN.len();
    let end = text.find(END).expect("the end mark");
    if std::env::var_os("QUORATE_REWRITE").is_some() {
        let text = format!("{}{table}{}", &text[..start], &text[end..]);
        std::fs::write(root().join("README.md"), text).expect("written");
        return;
    }
    assert_eq!(&text[start..end], table, "QUORATE_REWRITE=1 writes it anew");
}

#[test]
fn every_command_that_the_readme_shows_runs() {
    let ports = free_ports();
    let dir = tempfile::tempdir().expect("a folder");
    let commands = shell_lines(&readme());
    let (serves, others): (Vec<_>, Vec<_>) = commands
        .into_iter()
        .partition(|command| command.starts_with("quorate serve --node-id"));
    let ci = std::fs::read_to_string(root().join(".ci/run")).expect(".ci/run");

    let redis = Redis::start(dir.path());
    let dev = Running::start(
        dir.path(),
        &format!("quorate dev --ephemeral --port {ports}"),
    );
    dev.wait_for("Ctrl-C stops");
    let mut joined = Vec::new();
    for command in &others {
        if command.starts_with("quorate serve --join") {
            joined.push(Running::start(dir.path(), &moved(command, ports)));
            await_voter(dir.path(), ports, 4);
            continue;
        }
        match command.split_whitespace().next() {
            // What this test does with the binary that cargo has built for it.
            Some("cargo") if command == "cargo run --release -- dev" => {}
            Some("cargo" | "tests/real/run") => {
                assert!(ci.contains(command), "CI does not run {command:?}");
            }
            // Minutes of a quiet machine; CI runs its short form.
            Some("bench/run") => assert!(ci.contains("bench/run --smoke")),
            Some(tool @ ("redis-cli" | "curl")) if !is_installed(tool) => {
                eprintln!("skipped, {tool} is not installed: {command}");
            }
            _ if command.contains("import") || command.contains("6379") => match &redis {
                Some(redis) => {
                    let command = command.replace("6379", &redis.port.to_string());
                    run(dir.path(), &moved(&command, ports));
                }
                None => eprintln!("skipped, Redis is not installed: {command}"),
            },
            _ => run(dir.path(), &moved(command, ports)),
        }
    }
    drop(joined);
    drop(dev);

    let nodes: Vec<_> = serves
        .iter()
        .map(|serve| Running::start(dir.path(), &moved(serve, ports)))
        .collect();
    assert_eq!(nodes.len(), 3, "the README shows how to start three nodes");
    let status = format!("quorate status --cluster 127.0.0.1:{ports}");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !succeeds(dir.path(), &status) {
        assert!(Instant::now() < deadline, "the three nodes have no leader");
    }
}

/// Waits until a node that joins the cluster at this port votes.
fn await_voter(dir: &Path, port: u16, id: u64) {
    let info = format!("quorate cli --cluster 127.0.0.1:{port} info raft");
    let voters = format!("{info} | grep '^raft_voters:.*{id}'");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !succeeds(dir, &voters) {
        assert!(Instant::now() < deadline, "node {id} does not vote");
    }
}

/// The lines of the README's `sh` blocks.
fn shell_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut is_shell = false;
    for line in text.lines() {
        match line.strip_prefix("```") {
            Some(language) => is_shell = language == "sh",
            None if is_shell && !line.trim().is_empty() => lines.push(line.to_owned()),
            None => {}
        }
    }
    assert!(lines.len() > 8, "the README shows commands: {lines:?}");
    lines
}

/// The command with the README's ports replaced by free ones.
fn moved(command: &str, base: u16) -> String {
    let mut moved = command.to_owned();
    for node in 1..=4 {
        for (shown, port) in [(7000, base), (8000, base + 1000), (9000, base + 2000)] {
            moved = moved.replace(&(shown + node).to_string(), &(port + node - 1).to_string());
        }
    }
    moved
}

/// The first of four ports, above each of which a thousand and two thousand are free too.
fn free_ports() -> u16 {
    (0..100)
        .filter_map(|_| TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok())
        .map(|address| address.port())
        .find(|&base| {
            base < 60_000
                && (0..4).all(|node| {
                    [0, 1000, 2000]
                        .iter()
                        .all(|above| TcpListener::bind(("127.0.0.1", base + node + above)).is_ok())
                })
        })
        .expect("free ports")
}

/// `sh` with the built binary's folder in front of the path.
fn shell(dir: &Path, command: &str) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_quorate"));
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", command])
        .env(
            "PATH",
            format!("{}:{path}", binary.parent().expect("a folder").display()),
        )
        .env("HOME", dir)
        .current_dir(dir)
        .stdin(Stdio::null());
    shell
}

fn run(dir: &Path, command: &str) {
    let output = shell(dir, command).output().expect("a shell");
    assert!(
        output.status.success(),
        "{command}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn succeeds(dir: &Path, command: &str) -> bool {
    shell(dir, command)
        .output()
        .expect("a shell")
        .status
        .success()
}

/// The Redis that the README imports from.
struct Redis {
    port: u16,
    _process: Running,
}

impl Redis {
    /// `None` where there is no Redis.
    fn start(dir: &Path) -> Option<Redis> {
        if !is_installed("redis-server") || !is_installed("redis-cli") {
            return None;
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        drop(listener);
        let process = Running::start(dir, &format!("redis-server --port {port} --save ''"));
        process.wait_for("Ready to accept connections");
        run(
            dir,
            &format!("redis-cli -p {port} mset greeting hi visitor you"),
        );
        Some(Redis {
            port,
            _process: process,
        })
    }
}

fn is_installed(tool: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {tool}")])
        .output();
    found.is_ok_and(|output| output.status.success())
}

/// A command that goes on until it is told to stop.
struct Running {
    child: Child,
}

impl Running {
    fn start(dir: &Path, command: &str) -> Running {
        let child = shell(dir, &format!("exec {command}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        Running { child }
    }

    /// Reads its output up to a line with this text.
    fn wait_for(&self, text: &str) {
        let stdout = self.child.stdout.as_ref().expect("piped");
        let handle = std::os::fd::AsFd::as_fd(stdout)
            .try_clone_to_owned()
            .expect("a handle");
        let mut lines = BufReader::new(std::fs::File::from(handle)).lines();
        assert!(
            lines.any(|line| line.is_ok_and(|line| line.contains(text))),
            "it ended without saying {text:?}"
        );
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A polite end, so that `dev` stops its children.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
    }
}
