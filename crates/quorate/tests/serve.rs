//! `quorate serve` as a process: how it refuses what it must not start on, and how it stops.

mod support;

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
};

use support::{Output, Running, output, quorate, wait_until};

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

fn serve(directory: &Path, port: u16, flags: &[&str]) -> Command {
    let mut command = quorate();
    command
        .current_dir(directory)
        .args(["serve", "--bind", &format!("127.0.0.1:{port}")])
        .args(flags);
    command
}

/// Whether a node serves reads: then it has a leader, and its log has begun.
fn is_serving(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let mut reply = [0; 5];
    stream.write_all(b"GET k\r\n").is_ok()
        && stream.read_exact(&mut reply).is_ok()
        && reply == *b"$-1\r\n"
}

fn start(directory: &Path, port: u16) -> Running {
    let node = Running::start(&mut serve(directory, port, &[]));
    wait_until("the node serves", || is_serving(port));
    node
}

fn stop(mut node: Running) {
    let process = node.child.id().to_string();
    let sent = Command::new("kill").args(["-s", "TERM", &process]).status();
    assert!(sent.expect("kill runs").success());
    assert_eq!(node.wait(), 0, "{:#?}", node.lines());
}

/// Every file below a directory with its bytes.
fn contents(directory: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(contents(&path));
        } else {
            files.insert(path.clone(), std::fs::read(&path).expect("readable"));
        }
    }
    files
}

/// Asserts a refusal by one line that begins so.
fn assert_refused(run: &Output, beginning: &str) {
    assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    assert!(run.stderr.starts_with(beginning), "{run:?}");
}

#[test]
fn a_port_in_use_is_refused_and_nothing_is_created() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port();
    let run = output(&mut serve(directory.path(), port, &[]));
    assert_refused(
        &run,
        &format!("quorate: cannot listen on 127.0.0.1:{port} (bind): "),
    );
    assert!(contents(directory.path()).is_empty());
}

#[test]
fn a_directory_in_use_by_another_process_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = start(directory.path(), free_port());
    let run = output(&mut serve(directory.path(), free_port(), &[]));
    assert_refused(&run, "quorate: quorate-data: in use by another process");
    stop(node);
}

#[test]
fn a_directory_of_another_cluster_or_node_is_refused_and_not_touched() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    stop(start(directory.path(), free_port()));
    let before = contents(directory.path());
    let other_cluster = output(&mut serve(
        directory.path(),
        free_port(),
        &["--cluster-name", "other"],
    ));
    assert_refused(&other_cluster, "quorate: quorate-data: belongs to cluster ");
    let other_node = output(&mut serve(
        directory.path(),
        free_port(),
        &["--node-id", "2"],
    ));
    assert_refused(&other_node, "quorate: quorate-data: belongs to node 1");
    assert!(before == contents(directory.path()), "nothing was touched");
    // It may move to another address, being a cluster of one.
    stop(start(directory.path(), free_port()));
}

#[test]
fn a_stopped_node_leaves_a_log_that_verifies() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    stop(start(directory.path(), free_port()));
    let data = directory.path().join("quorate-data");
    let verify = output(quorate().args(["wal", "verify"]).arg(&data));
    assert_eq!(verify.code, 0, "{verify:?}");
    assert!(verify.stdout.ends_with("intact\n"), "{verify:?}");
    let dump = output(quorate().args(["wal", "dump"]).arg(&data));
    assert_eq!(dump.code, 0, "{dump:?}");
    assert!(dump.stdout.contains("# bootstrap"), "{dump:?}");
    let nowhere = output(
        quorate()
            .args(["wal", "verify"])
            .arg(directory.path().join("nowhere")),
    );
    assert_refused(&nowhere, "quorate: ");
}
