//! Snapshots of nodes in one process, over real sockets and real files: the log is cut, a node starts
//! from one, and a follower that was away too long is sent one.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Client, Cluster, Node, bulk, config, http_get, ok, options, wait_until};
use resp::Value;
use server::{ServeError, Server};

/// Settings under which a few megabytes of log make several snapshots.
const SMALL: [(&str, &str); 7] = [
    ("wal-segment-size", "256KiB"),
    ("max-entry-size", "64KiB"),
    ("max-batch-size", "32KiB"),
    ("snapshot-log-size-min", "512KiB"),
    ("snapshot-log-percent", "10"),
    ("log-tail-size", "128KiB"),
    ("admin-bind", "127.0.0.1:0"),
];

/// What `wal/` may hold under [`SMALL`] and load: the log that makes a snapshot due, the tail that is
/// kept, the segments that are begun, prepared and about to be removed, and what comes while a snapshot
/// is written, which is most of it on a machine that is busy with other tests.
const WAL_BYTES_MAX: u64 = 10 << 20;

/// And at rest: the same without the last.
const WAL_BYTES_MAX_AT_REST: u64 = 2 << 20;

#[test]
fn the_log_stays_within_its_bound_and_a_restart_has_everything() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = config(dir.path(), &SMALL);
    let node = Node::start(&config, options());
    let mut client = node.client();
    let mut largest = 0;
    for round in 0..40 {
        fill(&mut client, round, 1000);
        largest = largest.max(bytes_in(&dir.path().join("wal")));
    }
    // 40 000 writes of about 1 KiB.
    assert!(largest <= WAL_BYTES_MAX, "wal/ grew to {largest} bytes");
    wait_until("the log is cut", || {
        bytes_in(&dir.path().join("wal")) <= WAL_BYTES_MAX_AT_REST
    });
    wait_until("several snapshots", || {
        metric(&node, "snapshots_written") >= 3
    });
    let expected = digest(&mut client);
    drop(client);
    node.stop().expect("it stops in order");

    assert!(!files(&dir.path().join("snapshots")).is_empty());
    let node = Node::start(&config, options());
    let mut client = node.client();
    assert_eq!(digest(&mut client), expected);
    assert_eq!(client.call(&["GET", "key:999"]), bulk(&value(39, 999)));
    assert_eq!(client.call(&["DBSIZE"]), Value::Integer(1000));
    assert_eq!(client.call(&["SET", "after", "start"]), ok());
}

#[test]
fn a_snapshot_on_request_is_what_the_next_start_begins_with() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = config(dir.path(), &[("admin-bind", "127.0.0.1:0")]);
    let node = Node::start(&config, options());
    let mut client = node.client();
    fill(&mut client, 0, 100);
    assert_eq!(client.call(&["SAVE"]), ok());
    assert_eq!(files(&dir.path().join("snapshots")).len(), 1);
    // What it takes on disk is told, beside what the log takes.
    let held = bytes_in(&dir.path().join("snapshots"));
    assert!(held > 0);
    wait_until("the metrics tell it", || {
        metric(&node, "snapshot_disk_bytes") == held
    });
    wait_until("INFO tells it", || {
        info_field(&mut client, "snapshot_disk_bytes") == Some(held)
    });
    assert!(info_field(&mut client, "log_disk_bytes") > Some(0));
    assert_eq!(client.call(&["SET", "behind", "it"]), ok());
    let expected = digest(&mut client);
    drop(client);
    node.stop().expect("it stops in order");
    let node = Node::start(&config, options());
    assert_eq!(digest(&mut node.client()), expected);
    assert_eq!(node.client().call(&["GET", "behind"]), bulk("it"));
}

#[test]
fn a_follower_that_was_away_while_the_others_cut_their_logs_is_sent_a_snapshot() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut cluster = Cluster::start(dir.path(), &SMALL);
    let mut client = cluster.node(0).client();
    fill(&mut client, 0, 100);
    let away = 2;
    cluster.stop(away);
    let mut client = cluster.node(0).client();
    for round in 1..12 {
        fill(&mut client, round, 1000);
    }
    for index in [0, 1] {
        let node = cluster.node(index);
        wait_until("a snapshot", || metric(node, "snapshots_written") >= 1);
    }
    cluster.restart(away);
    let node = cluster.node(away);
    wait_until("it has received a snapshot", || {
        metric(node, "snapshots_received") >= 1
    });
    let mut late = node.client();
    assert_eq!(late.call(&["GET", "key:999"]), bulk(&value(11, 999)));
    assert_eq!(late.call(&["SET", "from", "the late one"]), ok());
    let expected = digest(&mut client);
    assert_eq!(digest(&mut late), expected);

    // What it installed is also what it starts from.
    cluster.stop(away);
    cluster.restart(away);
    let mut late = cluster.node(away).client();
    assert_eq!(late.call(&["GET", "from"]), bulk("the late one"));
    assert_eq!(digest(&mut late), expected);
}

#[test]
fn a_damaged_snapshot_is_passed_over_where_the_log_reaches_back_and_refused_where_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = config(dir.path(), &SMALL);
    let node = Node::start(&config, options());
    let mut client = node.client();
    fill(&mut client, 0, 20);
    // A few entries: the tail that is kept behind the snapshot is all of the log.
    assert_eq!(client.call(&["SAVE"]), ok());
    let expected = digest(&mut client);
    drop(client);
    node.stop().expect("it stops in order");
    let snapshots = dir.path().join("snapshots");
    flip_a_byte(&newest(&snapshots));
    let node = Node::start(&config, options());
    let mut client = node.client();
    assert_eq!(digest(&mut client), expected);
    assert!(
        files(&snapshots)
            .iter()
            .any(|name| name.ends_with(".damaged"))
    );

    // Now so much that the log is cut.
    for round in 0..5 {
        fill(&mut client, round, 1000);
    }
    // One may be under way for the size of the log.
    client.call_until(&["SAVE"], |reply| *reply == ok());
    drop(client);
    node.stop().expect("it stops in order");
    for name in files(&snapshots) {
        if name.ends_with(".snapshot") {
            flip_a_byte(&snapshots.join(name));
        }
    }
    let before = files(&snapshots);
    let refused = Server::start(&config, options()).expect_err("entries are missing");
    let text = refused.to_string();
    assert!(matches!(refused, ServeError::Snapshot(_)), "{text}");
    assert_eq!(text.lines().count(), 1);
    assert!(
        text.contains("missing") && text.contains("--replace"),
        "{text}"
    );
    assert_eq!(files(&snapshots), before, "a refused start changes nothing");
}

/// The proportions of the settings as they are by default, each divided by 128: the log between two snapshots
/// is twice the tail and a segment, so that no log reaches back to the snapshot before the last.
const BY_DEFAULT: [(&str, &str); 6] = [
    ("wal-segment-size", "512KiB"),
    ("max-entry-size", "64KiB"),
    ("max-batch-size", "32KiB"),
    ("snapshot-log-size-min", "512KiB"),
    ("log-tail-size", "256KiB"),
    ("admin-bind", "127.0.0.1:0"),
];

#[test]
fn a_snapshot_that_rots_while_the_node_runs_is_written_anew_and_the_next_start_has_everything() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = config(dir.path(), &BY_DEFAULT);
    let node = Node::start(&config, options());
    let mut client = node.client();
    for round in 0..4 {
        fill(&mut client, round, 1000);
    }
    // One may be under way for the size of the log.
    client.call_until(&["SAVE"], |reply| *reply == ok());
    let expected = digest(&mut client);
    let snapshots = dir.path().join("snapshots");
    let sound = || {
        let names = files(&snapshots);
        let sound = names.into_iter().filter(|name| name.ends_with(".snapshot"));
        sound.collect::<Vec<_>>()
    };
    let kept = sound();
    assert_eq!(kept.len(), 1, "one file is kept: {kept:?}");
    let rotten = snapshots.join(&kept[0]);
    let written = metric(&node, "snapshots_written");
    flip_a_byte(&rotten);
    wait_until("the damage is found, and the state written anew", || {
        metric(&node, "snapshot_damage_found") == 1 && metric(&node, "snapshots_written") > written
    });
    assert!(
        files(&snapshots)
            .iter()
            .any(|name| name.ends_with(".damaged"))
    );
    assert_eq!(sound().len(), 1);
    drop(client);
    node.stop().expect("it stops in order");
    let node = Node::start(&config, options());
    assert_eq!(digest(&mut node.client()), expected);
}

#[test]
fn a_leader_that_finds_its_snapshot_damaged_writes_another_for_the_follower_that_needs_it() {
    let dir = tempfile::tempdir().expect("a directory");
    // So that nobody but the sender looks.
    let settings = [SMALL.as_slice(), &[("scrub-bytes-per-second", "0")]].concat();
    let mut cluster = Cluster::start(dir.path(), &settings);
    let mut client = cluster.node(0).client();
    fill(&mut client, 0, 100);
    let away = 2;
    cluster.stop(away);
    let mut client = cluster.node(0).client();
    for round in 1..6 {
        fill(&mut client, round, 1000);
    }
    for index in [0, 1] {
        let mut client = cluster.node(index).client();
        client.call_until(&["SAVE"], |reply| *reply == ok());
        flip_a_byte(&newest(
            &dir.path().join((index + 1).to_string()).join("snapshots"),
        ));
    }
    cluster.restart(away);
    let mut late = cluster.node(away).client();
    assert_eq!(late.call(&["GET", "key:999"]), bulk(&value(5, 999)));
    let damaged = (1..=3).filter(|id| {
        let names = files(&dir.path().join(id.to_string()).join("snapshots"));
        names.iter().any(|name| name.ends_with(".damaged"))
    });
    assert_eq!(damaged.count(), 1, "the sender's file was set aside");
}

/// Writes `count` keys of about 1 KiB, as one pipeline.
fn fill(client: &mut Client<std::net::TcpStream>, round: usize, count: usize) {
    for number in 0..count {
        client.send(&["SET", &format!("key:{number}"), &value(round, number)]);
    }
    for _ in 0..count {
        assert_eq!(client.receive(), ok());
    }
}

fn value(round: usize, number: usize) -> String {
    format!("{round}:{number}:").repeat(1000 / 8)
}

/// What the node says that all keys of [`fill`] hold, and how many keys there are.
fn digest(client: &mut Client<std::net::TcpStream>) -> (Value, Value) {
    let keys: Vec<String> = (0..1000).map(|number| format!("key:{number}")).collect();
    let mut request = vec!["MGET"];
    request.extend(keys.iter().map(String::as_str));
    (client.call(&["DBSIZE"]), client.call(&request))
}

fn metric(node: &Node, name: &str) -> u64 {
    let address = node.admin_addr.expect("configured");
    let (_, text) = http_get(address, "/metrics");
    let line = |line: &str| {
        let rest = line.strip_prefix("quorate_")?.strip_prefix(name)?;
        let rest = rest.strip_prefix("_total").unwrap_or(rest);
        rest.strip_prefix(' ')?.trim().parse().ok()
    };
    text.lines().find_map(line).unwrap_or(0)
}

fn info_field(client: &mut Client<std::net::TcpStream>, name: &str) -> Option<u64> {
    let Value::Bulk(info) = client.call(&["INFO", "persistence"]) else {
        panic!("INFO is a text");
    };
    let info = String::from_utf8_lossy(&info).into_owned();
    let mut fields = info.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| *field == name)?.1.parse().ok()
}

fn files(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("a file")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

fn newest(dir: &Path) -> PathBuf {
    dir.join(files(dir).last().expect("a snapshot"))
}

fn bytes_in(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).expect("a directory");
    // A file may be removed between being listed and being looked at.
    entries
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}

fn flip_a_byte(path: &Path) {
    let mut bytes = fs::read(path).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(path, bytes).expect("written");
}
