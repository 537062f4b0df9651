//! One byte of the log changes under a running node: it stops by itself, says where, and the others
//! go on with what it had.

mod common;

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use common::{Cluster, bulk, ok, options};
use server::{ServeError, Server};

const SETTINGS: [(&str, &str); 6] = [
    ("wal-segment-size", "128KiB"),
    ("max-entry-size", "16KiB"),
    ("max-batch-size", "16KiB"),
    ("scrub-bytes-per-second", "64MiB"),
    // The log is not to be cut meanwhile.
    ("snapshot-log-size-min", "1GiB"),
    ("snapshot-log-size-max", "1GiB"),
];

fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = file.expect("the segment is there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset)
        .expect("it is as long");
    file.write_all_at(&[byte[0] ^ 0x10], offset)
        .expect("a good disk");
}

#[test]
fn a_byte_that_changed_stops_the_node_and_no_other() {
    let root = tempfile::tempdir().expect("a directory");
    let mut cluster = Cluster::start(root.path(), &SETTINGS);
    let mut client = cluster.node(0).client();
    let value = "x".repeat(8 << 10);
    for number in 0..48 {
        let key = format!("key-{number}");
        assert_eq!(client.call(&["SET", &key, &value]), ok());
    }
    let mut client = cluster.node(2).client();
    assert_eq!(client.call(&["GET", "key-47"]), bulk(&value));

    let wal = root.path().join("3/wal");
    flip(&wal.join("00000000000000000002.wal"), 40_000);
    let mut damaged = cluster.nodes[2].take().expect("it runs");
    let error = damaged.join().expect_err("it stops by itself");
    let ServeError::Disk(failure) = &error else {
        panic!("another failure: {error}");
    };
    assert!(failure.is_damage(), "{failure}");
    let line = error.to_string();
    for part in [
        wal.to_str().expect("a name"),
        "segment 2 is damaged at offset ",
        "quorate wal verify",
        "replace the node",
    ] {
        assert!(line.contains(part), "no `{part}` in: {line}");
    }
    assert_eq!(line.lines().count(), 1);

    let mut client = cluster.node(1).client();
    assert_eq!(client.call(&["SET", "after", "two of three"]), ok());
    for number in 0..48 {
        let key = format!("key-{number}");
        assert_eq!(client.call(&["GET", &key]), bulk(&value), "{key}");
    }

    let refused = Server::start(&cluster.configs[2], options());
    let Err(ServeError::Log(error)) = refused.map(drop) else {
        panic!("a damaged log is used again");
    };
    let again = error.to_string();
    assert!(again.contains("segment 2 is damaged at offset "), "{again}");
    assert!(again.contains("replace the node"), "{again}");
}
