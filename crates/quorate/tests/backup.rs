//! Backups of a cluster that works, checked, damaged, and restored into new clusters.

mod harness;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use harness::{
    Cluster, Node, Plan, alone, free_ports,
    load::{Load, Task},
    poll, text,
};
use resp::Value;
use tempfile::TempDir;

/// Keys of database 0 that have values of their own.
const KEYS: usize = 500;

fn quorate(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("QUORATE_") || name == "REDISCLI_AUTH" {
            command.env_remove(name);
        }
    }
    command.args(arguments).output().expect("the binary runs")
}

/// Runs the binary to its end; standard output, or the exit code and what it complained of.
fn run(arguments: &[&str]) -> Result<String, (i32, String)> {
    let output = quorate(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err((output.status.code().unwrap_or(-1), text(&output.stderr))),
    }
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Writes keys of every kind and a large value. What must be found again: database, key, value.
fn fill(node: &Node) -> BTreeMap<(u8, String), String> {
    let mut expected = BTreeMap::new();
    let mut connection = node.connect();
    for number in 0..KEYS {
        let (key, value) = (format!("key:{number}"), format!("value {number}"));
        connection.call(&["SET", &key, &value]);
        expected.insert((0, key), value);
    }
    let large = "large ".repeat(100_000);
    for (database, key, value) in [
        (0, "large", large.as_str()),
        (15, "last", "of sixteen"),
        (3, "caf\u{e9}", "7"),
    ] {
        connection.call(&["SELECT", &database.to_string()]);
        connection.call(&["SET", key, value]);
        expected.insert((database, key.to_owned()), value.to_owned());
    }
    connection.call(&["SELECT", "0"]);
    connection.call(&["SET", "expires late", "v", "EX", "100000"]);
    connection.call(&["SET", "expires soon", "v", "PX", "1"]);
    expected
}

/// Looks for everything that [`fill`] wrote.
fn assert_filled(node: &Node, expected: &BTreeMap<(u8, String), String>) {
    let mut connection = node.connect();
    for ((database, key), value) in expected {
        if *database != 0 || key == "large" {
            connection.call(&["SELECT", &database.to_string()]);
        }
        assert_eq!(
            text(&connection.call(&["GET", key])),
            *value,
            "{database} {key}"
        );
        connection.call(&["SELECT", "0"]);
    }
    let left = connection.call(&["TTL", "expires late"]);
    let Value::Integer(left) = left else {
        panic!("{left:?}");
    };
    assert!((90_000..=100_000).contains(&left), "{left} s are left");
    let soon = connection.call(&["EXISTS", "expires soon"]);
    assert_eq!(soon, Value::Integer(0));
}

/// Nodes of a new cluster, restored and started.
struct Restored {
    nodes: Vec<Node>,
    directory: TempDir,
}

impl Restored {
    fn from(backup: &Path, count: usize) -> Restored {
        let directory = temporary();
        let ports = free_ports(2 * count);
        let (clients, peers) = ports.split_at(count);
        let settings = |id: usize| settings("restored", id, peers);
        let mut nodes = Vec::new();
        for (id, port) in (1..=count).zip(clients) {
            let node = Node::new(id, *port, directory.path(), settings(id));
            let said = restore(backup, node.data_dir(), &settings(id)).expect("restored");
            assert!(said.contains("keys at entry"), "{said}");
            nodes.push(node);
        }
        nodes.iter_mut().for_each(Node::start);
        poll("the restored nodes serve", || {
            nodes.iter().all(Node::is_ready).then_some(())
        });
        Restored { nodes, directory }
    }
}

fn settings(name: &str, id: usize, peers: &[u16]) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        ("cluster-name", name.to_owned()),
        ("node-id", id.to_string()),
    ];
    if peers.len() > 1 {
        let members: Vec<String> = (1..=peers.len())
            .map(|id| format!("{id}=127.0.0.1:{}", peers[id - 1]))
            .collect();
        settings.push(("cluster", members.join(",")));
        settings.push(("peer-bind", format!("127.0.0.1:{}", peers[id - 1])));
    }
    settings
}

fn restore(
    backup: &Path,
    data_dir: &Path,
    settings: &[(&'static str, String)],
) -> Result<String, (i32, String)> {
    let settings = settings
        .iter()
        .flat_map(|(key, value)| [format!("--{key}"), value.clone()]);
    let settings: Vec<String> = settings.collect();
    let mut arguments = vec!["restore", path(backup), "--data-dir", path(data_dir)];
    arguments.extend(settings.iter().map(String::as_str));
    run(&arguments)
}

fn path(path: &Path) -> &str {
    path.to_str().expect("paths of this test are text")
}

fn address(node: &Node) -> String {
    format!("127.0.0.1:{}", node.port)
}

#[test]
fn a_backup_under_load_holds_what_was_acknowledged_and_is_restored() {
    let _alone = alone();
    let cluster = Cluster::of_three();
    let expected = fill(cluster.node(1));
    let place = temporary();
    let mut load = Load::new();
    for id in cluster.ids() {
        load.spawn(
            cluster.node(id).port,
            Task::Increment {
                key: "counter".into(),
            },
        );
    }
    load.await_progress(500);
    // From a follower, into a directory.
    let leader = cluster.leader();
    let follower = cluster.others(leader)[0];
    let counted = number(cluster.node(leader), "counter");
    let said = run(&[
        "backup",
        path(place.path()),
        "--cluster",
        &address(cluster.node(follower)),
    ]);
    let said = said.expect("backed up");
    load.await_progress(500);
    let after = number(cluster.node(leader), "counter");
    for seen in load.stop() {
        assert!(seen.errors.is_empty(), "{:?}", seen.errors);
    }
    let files: Vec<PathBuf> = fs::read_dir(place.path())
        .expect("readable")
        .map(|entry| entry.expect("readable").path())
        .collect();
    let [backup] = &files[..] else {
        panic!("{files:?}");
    };
    assert!(said.starts_with(path(backup)), "{said}");
    let verified = run(&["backup", "verify", path(backup)]).expect("it is good");
    assert!(verified.contains("good"), "{verified}");

    for count in [1, 3] {
        let restored = Restored::from(backup, count);
        for node in &restored.nodes {
            assert_filled(node, &expected);
            let restored = number(node, "counter");
            assert!(
                (counted..=after).contains(&restored),
                "{counted} {restored} {after}"
            );
        }
        // It is a cluster like any other, and comes back.
        let mut nodes = restored.nodes;
        nodes[0]
            .connect()
            .call(&["SET", "new", "in the new cluster"]);
        nodes.iter_mut().for_each(Node::kill);
        nodes.iter_mut().for_each(Node::start);
        poll("the new cluster is back", || {
            nodes.iter().all(Node::is_ready).then_some(())
        });
        for node in &nodes {
            assert_eq!(text(&node.ask(&["GET", "new"])), "in the new cluster");
            assert_filled(node, &expected);
        }
        drop(restored.directory);
    }
}

fn number(node: &Node, key: &str) -> u64 {
    text(&node.ask(&["GET", key])).parse().expect("a number")
}

#[test]
fn a_flipped_byte_is_named_and_nothing_is_restored_from_it() {
    let _alone = alone();
    let cluster = Cluster::start(&Plan::of(1));
    fill(cluster.node(1));
    let place = temporary();
    let backup = place.path().join("backup");
    let from = address(cluster.node(1));
    run(&["backup", path(&backup), "--cluster", &from]).expect("backed up");
    // A second one does not replace it.
    let refused = run(&["backup", path(&backup), "--cluster", &from]).expect_err("it is there");
    assert_eq!(refused.0, 2);
    assert!(refused.1.contains("is there already"), "{}", refused.1);

    let good = fs::read(&backup).expect("readable");
    for place_of_flip in [3, 70, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[place_of_flip] ^= 0x10;
        fs::write(&backup, &bad).expect("writable");
        let (code, said) = run(&["backup", "verify", path(&backup)]).expect_err("it is damaged");
        assert_eq!(code, 1);
        assert!(
            said.contains(path(&backup)) && said.contains("at offset"),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
        let data_dir = place.path().join("data");
        let (_, said) =
            restore(&backup, &data_dir, &settings("new", 1, &[1])).expect_err("damaged");
        assert!(said.contains("at offset"), "{said}");
        assert!(!data_dir.exists());
    }
    fs::write(&backup, &good).expect("writable");
    run(&["backup", "verify", path(&backup)]).expect("it is good again");
}

#[test]
fn what_cannot_be_restored_is_refused_in_one_line() {
    let _alone = alone();
    let cluster = Cluster::start(&Plan::of(1));
    cluster.node(1).connect().call(&["SET", "k", "v"]);
    let place = temporary();
    let backup = place.path().join("backup");
    run(&[
        "backup",
        path(&backup),
        "--cluster",
        &address(cluster.node(1)),
    ])
    .expect("backed up");
    let data_dir = place.path().join("data");
    let refused = |settings: &[(&'static str, String)], because: &str| {
        let (code, said) = restore(&backup, &data_dir, settings).expect_err("refused");
        assert_eq!((code, said.lines().count()), (2, 1), "{said}");
        assert!(said.contains(because), "{said}");
    };
    fs::create_dir(&data_dir).expect("a directory");
    fs::write(data_dir.join("something"), "of value").expect("a file");
    refused(&settings("new", 1, &[1]), "is not empty");
    fs::remove_file(data_dir.join("something")).expect("it is there");
    restore(&backup, &data_dir, &settings("new", 1, &[1]))
        .expect("an empty directory is as good as none");
    refused(&settings("new", 1, &[1]), "is not empty");
    let (_, said) = run(&["backup", "verify", path(&data_dir)]).expect_err("no file");
    assert!(said.contains(path(&data_dir)), "{said}");
}

#[test]
fn the_old_cluster_and_the_new_refuse_each_other() {
    let _alone = alone();
    let mut cluster = Cluster::of_three();
    let expected = fill(cluster.node(1));
    let place = temporary();
    let backup = place.path().join("backup");
    run(&[
        "backup",
        path(&backup),
        "--cluster",
        &address(cluster.node(2)),
    ])
    .expect("backed up");
    // A node of the new cluster at the place of a node of the old one, and with its name.
    cluster.node_mut(3).kill();
    let data_dir = place.path().join("data");
    let settings = cluster.node(3).settings().to_vec();
    restore(&backup, &data_dir, &settings).expect("restored");
    let node = cluster.node_mut(3);
    node.set_data_dir(&data_dir);
    node.start();
    poll("the nodes of the old cluster refuse it", || {
        cluster.node(3).log().contains("cluster").then_some(())
    });
    poll("it runs", || cluster.node(3).info());
    assert!(!cluster.node(3).is_ready());
    cluster
        .node(1)
        .connect()
        .call(&["SET", "after", "the restore"]);
    let info = cluster.node(3).info().expect("it answers INFO");
    assert_eq!(info.leader, None);
    assert_filled(cluster.node(2), &expected);
}
