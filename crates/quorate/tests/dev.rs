//! `quorate dev` with real children: what it refuses, starts, reports and stops.

mod support;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    time::Duration,
};

use support::{Running, output, quorate, wait_until};

/// A base such that the ports of three nodes are free at this moment. Tests that run at the same time
/// draw from different ranges, by process id and by a number of their own.
fn free_base(test: u16) -> u16 {
    let start =
        10_000 + u16::try_from(std::process::id() % 400).expect("below 400") * 40 + test * 8;
    (0..200)
        .map(|step| start + step * 40)
        .filter(|base| *base < 32_000)
        .find(|base| {
            let ports = [0, 1000, 2000]
                .into_iter()
                .flat_map(|stride| (0..3).map(move |n| stride + n));
            ports
                .into_iter()
                .all(|offset| TcpListener::bind(("127.0.0.1", base + offset)).is_ok())
        })
        .expect("free ports")
}

fn dev(base: u16, flags: &[&str]) -> Command {
    let mut command = quorate();
    command
        .args(["dev", "--port", &base.to_string()])
        .args(flags);
    command
}

/// One command to a node; `None` if it does not answer.
fn ask(port: u16, command: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
    let mut reply = vec![0; 64 * 1024];
    let count = stream.read(&mut reply).ok()?;
    Some(String::from_utf8_lossy(&reply[..count]).into_owned())
}

fn signal(process: u32, name: &str) {
    let status = Command::new("kill")
        .args(["-s", name, &process.to_string()])
        .status();
    assert!(
        status.expect("kill runs").success(),
        "kill -s {name} {process}"
    );
}

fn is_running(process: u32) -> bool {
    // A zombie has no memory any more, so its line of command is empty.
    std::fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// The rows of the table: node, process and role.
fn table(running: &Running) -> Vec<(u64, u32, String)> {
    let rows = running
        .lines()
        .into_iter()
        .filter(|line| line.contains("/metrics"));
    rows.map(|line| {
        let cells: Vec<&str> = line.split_whitespace().collect();
        (
            cells[0].parse().expect("an id"),
            cells[4].parse().expect("a process"),
            cells[5].to_owned(),
        )
    })
    .collect()
}

#[test]
fn a_port_in_use_is_one_line_and_exit_code_2_and_touches_nothing() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let base = free_base(0);
    let taken = TcpListener::bind(("127.0.0.1", base + 1001)).expect("free a moment ago");
    let run = output(dev(base, &[]).current_dir(directory.path()));
    assert_eq!(run.code, 2, "{run:?}");
    let expected = format!(
        "quorate: port {} (peers of node 2) is in use: stop what uses it, or choose other ports with \
         --port BASE\n",
        base + 1001
    );
    assert_eq!(
        (run.stderr.as_str(), run.stdout.as_str()),
        (expected.as_str(), "")
    );
    assert_eq!(
        std::fs::read_dir(directory.path())
            .expect("the directory")
            .count(),
        0
    );
    drop(taken);
}

#[test]
fn flags_of_nodes_are_checked_before_anything_is_started() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let base = free_base(1);
    let cases: &[(&[&str], &str)] = &[
        (
            &["--", "--request-timeout", "soon"],
            "quorate: --request-timeout: request-timeout = \"soon\" is not a duration: write a number \
             and ms, s, m or h, such as 150ms\n",
        ),
        (
            &["--", "--node-id", "7"],
            "quorate: after `--`: dev sets --node-id itself, for each node: leave it out\n",
        ),
    ];
    for (flags, expected) in cases {
        let run = output(dev(base, flags).current_dir(directory.path()));
        assert_eq!((run.code, run.stderr.as_str()), (2, *expected));
    }
    assert_eq!(
        std::fs::read_dir(directory.path())
            .expect("the directory")
            .count(),
        0
    );
}

#[test]
fn an_ephemeral_cluster_does_not_remove_what_it_did_not_make() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(directory.path().join("precious"), "data").expect("written");
    let path = directory.path().to_str().expect("a plain path");
    let run = output(&mut dev(free_base(2), &["--ephemeral", "--data-dir", path]));
    assert_eq!(run.code, 2, "{run:?}");
    assert!(
        run.stderr
            .contains("--ephemeral would remove what is in there already"),
        "{run:?}"
    );
    assert!(directory.path().join("precious").exists());
}

#[test]
fn three_nodes_start_serve_and_stop_at_ctrl_c() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("data");
    let base = free_base(3);
    let flags = [
        "--ephemeral",
        "--data-dir",
        data.to_str().expect("a plain path"),
    ];
    let mut cluster = Running::start(&mut dev(base, &flags));
    cluster.wait_for("Ctrl-C stops all nodes");
    let rows = table(&cluster);
    assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(
        rows.iter().filter(|row| row.2 == "leader").count(),
        1,
        "{rows:?}"
    );
    assert!(rows.iter().all(|row| is_running(row.1)));
    assert!(data.join("node-1").join("log").exists());

    assert_eq!(ask(base, "SET key value").as_deref(), Some("+OK\r\n"));
    assert_eq!(ask(base + 2, "GET key").as_deref(), Some("$5\r\nvalue\r\n"));
    let addresses = format!("127.0.0.1:{base}");
    let status = output(quorate().args(["status", "--cluster", &addresses]));
    assert_eq!(status.code, 0, "{status:?}");
    assert!(status.stdout.contains("3 of 3 voters answer"), "{status:?}");

    signal(cluster.child.id(), "INT");
    assert_eq!(cluster.wait(), 0, "{:#?}", cluster.lines());
    assert!(
        rows.iter().all(|row| !is_running(row.1)),
        "no child is left"
    );
    assert!(!data.exists(), "ephemeral data is removed");
}

#[test]
fn a_dead_leader_is_reported_followed_and_with_restart_started_again() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("data");
    let base = free_base(4);
    let flags = [
        "--restart",
        "--data-dir",
        data.to_str().expect("a plain path"),
    ];
    let mut cluster = Running::start(&mut dev(base, &flags));
    cluster.wait_for("Ctrl-C stops all nodes");
    assert_eq!(ask(base, "SET key value").as_deref(), Some("+OK\r\n"));
    let rows = table(&cluster);
    let (id, process, _) = rows
        .iter()
        .find(|row| row.2 == "leader")
        .expect("a leader")
        .clone();

    signal(process, "KILL");
    cluster.wait_for(&format!(
        "node {id} (process {process}) was killed by signal 9 (SIGKILL)"
    ));
    cluster.wait_for("leads now, in term");
    cluster.wait_for(&format!("node {id} started again as process"));
    let port = base + u16::try_from(id).expect("small") - 1;
    wait_until("the node that was killed has the key", || {
        ask(port, "GET key").as_deref() == Some("$5\r\nvalue\r\n")
    });

    signal(cluster.child.id(), "TERM");
    assert_eq!(cluster.wait(), 0, "{:#?}", cluster.lines());
    assert!(data.join("node-1").exists(), "data is kept");
    let node = data.join("node-1");
    for dir in [&node, &node.join("data"), &node.join("data").join("wal")] {
        let verify = output(quorate().args(["wal", "verify"]).arg(dir));
        assert_eq!(verify.code, 0, "{verify:?}");
        let dump = output(quorate().args(["wal", "dump"]).arg(dir));
        assert!(dump.stdout.contains("first SET"), "{}", dump.stdout);
    }
}

#[test]
fn children_do_not_outlive_a_parent_that_is_killed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("data");
    let base = free_base(5);
    let flags = [
        "--nodes",
        "1",
        "--data-dir",
        data.to_str().expect("a plain path"),
    ];
    let mut cluster = Running::start(&mut dev(base, &flags));
    cluster.wait_for("Ctrl-C stops all nodes");
    let rows = table(&cluster);
    assert_eq!(rows.len(), 1);
    signal(cluster.child.id(), "KILL");
    cluster.wait();
    wait_until("the child is gone", || !is_running(rows[0].1));
}

#[test]
fn a_directory_of_other_nodes_or_ports_is_refused_in_one_line() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("data");
    let path = data.to_str().expect("a plain path");
    let base = free_base(6);
    let mut cluster = Running::start(&mut dev(base, &["--nodes", "1", "--data-dir", path]));
    cluster.wait_for("Ctrl-C stops all nodes");
    signal(cluster.child.id(), "INT");
    assert_eq!(cluster.wait(), 0, "{:#?}", cluster.lines());

    let run = output(&mut dev(base, &["--nodes", "3", "--data-dir", path]));
    let expected = format!(
        "quorate: {path} was made with other --nodes, --port or --cluster-name: use the same, or \
         choose another --data-dir, or remove it\n"
    );
    assert_eq!((run.code, run.stderr), (2, expected));
    assert!(!data.join("node-2").exists(), "nothing was touched");
}
