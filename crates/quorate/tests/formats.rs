//! A data directory of this release, kept for ever: every later one must start on it.
//!
//! `fixtures/data-1` is what a node left that was stopped in good order: identity, a snapshot, and a log
//! that goes on behind it. It must never be rewritten. When a release changes a format on disk, a
//! directory of that release is put beside it. `QUORATE_WRITE_FIXTURES=1` writes one that is missing.

mod harness;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use harness::{Cluster, Connection, Plan, alone, poll, text};
use resp::Value;

/// The year 2100, in milliseconds.
const FAR_MS: &str = "4102444800000";

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data-1")
}

/// One node, with small files.
fn plan() -> Plan {
    Plan::of(1)
        .set("wal-segment-size", "128KiB")
        .set("max-entry-size", "16KiB")
        .set("max-batch-size", "16KiB")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory").flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match from.is_dir() {
            true => copy(&from, &to),
            false => drop(fs::copy(&from, &to).expect("copied")),
        }
    }
}

/// What stands in the snapshot.
fn write_before(connection: &mut Connection) {
    connection.call(&["SET", "text", "as it was"]);
    connection.call(&["SET", "number", "-42"]);
    connection.call(&["SET", "long", &"0123456789".repeat(50)]);
    connection.call(&["SET", "expires", "later", "PXAT", FAR_MS]);
    connection.call(&["SET", "gone", "soon"]);
    connection.call(&["SELECT", "15"]);
    connection.call(&["SET", "text", "in database 15"]);
    connection.call(&["SELECT", "0"]);
}

/// What stands in the log behind it.
fn write_behind(connection: &mut Connection) {
    connection.call(&["APPEND", "text", ", and more"]);
    connection.call(&["INCRBY", "number", "2"]);
    connection.call(&["DEL", "gone"]);
    connection.call(&["MULTI"]);
    connection.call(&["SET", "in a transaction", "yes"]);
    connection.call(&["PEXPIREAT", "in a transaction", FAR_MS]);
    connection.call(&["EXEC"]);
    connection.call(&["MSET", "a", "1", "b", "2"]);
}

fn expected() -> BTreeMap<(&'static str, &'static str), String> {
    let long = "0123456789".repeat(50);
    let values = [
        ("0", "text", "as it was, and more"),
        ("0", "number", "-40"),
        ("0", "long", &long),
        ("0", "expires", "later"),
        ("0", "in a transaction", "yes"),
        ("0", "a", "1"),
        ("0", "b", "2"),
        ("15", "text", "in database 15"),
    ];
    let values = values.into_iter();
    values
        .map(|(database, key, value)| ((database, key), value.to_owned()))
        .collect()
}

/// Makes the directory, as this release writes it.
fn write_fixture() {
    let mut cluster = Cluster::start(&plan());
    let mut connection = cluster.node(1).connect();
    write_before(&mut connection);
    connection.call(&["SAVE"]);
    write_behind(&mut connection);
    // A stop in good order would put all of it into a snapshot.
    cluster.node_mut(1).kill();
    copy(cluster.node(1).data_dir(), &fixture());
}

#[test]
fn a_data_directory_of_the_first_release_is_started_on() {
    let _alone = alone();
    if !fixture().exists() && std::env::var_os("QUORATE_WRITE_FIXTURES").is_some() {
        write_fixture();
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("data");
    copy(&fixture(), &data);
    let verified = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(["wal", "verify"])
        .arg(&data)
        .output()
        .expect("the binary runs");
    assert!(verified.status.success(), "{verified:?}");

    let mut cluster = Cluster::start(&plan());
    let node = cluster.node_mut(1);
    node.kill();
    node.set_data_dir(&data);
    node.start();
    poll("the node serves reads", || node.is_ready().then_some(()));
    let mut connection = node.connect();
    for ((database, key), value) in expected() {
        connection.call(&["SELECT", database]);
        assert_eq!(text(&connection.call(&["GET", key])), value, "{key}");
    }
    connection.call(&["SELECT", "0"]);
    assert_eq!(connection.call(&["DBSIZE"]), Value::Integer(7));
    for key in ["expires", "in a transaction"] {
        let expiry = connection.call(&["PEXPIRETIME", key]);
        assert_eq!(
            expiry.as_integer().map(|at| at.to_string()).as_deref(),
            Some(FAR_MS)
        );
    }
    // It goes on from there.
    connection.call(&["INCR", "number"]);
    node.kill();
    node.start();
    poll("the node serves reads", || node.is_ready().then_some(()));
    assert_eq!(text(&node.ask(&["GET", "number"])), "-39");
}
