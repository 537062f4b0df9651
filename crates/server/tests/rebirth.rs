//! What is left of one node is only read when a new cluster is made of it.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use common::{Node, bulk, config, ok, options};
use resp::Value;
use server::Remains;
use vfs::StdVfs;
use wal::SegmentState;

/// Every file below a directory, and its bytes.
fn image(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => dirs.push(path),
                false => {
                    let bytes = fs::read(&path).expect("a file");
                    files.insert(path, bytes);
                }
            }
        }
    }
    files
}

/// Half a record behind the last one, as a crash leaves it.
fn tear_tail(dir: &Path) {
    let report = wal::verify(&StdVfs::new(), dir).expect("a log");
    let read = report.segments.iter().rev().find_map(|it| match it.state {
        SegmentState::Read { end, .. } => Some((it.segment, end)),
        _ => None,
    });
    let (segment, end) = read.expect("a segment in use");
    let path = report.dir.join(wal::format::segment_name(segment));
    let file = fs::OpenOptions::new().write(true).open(path);
    let written = file.expect("a segment").write_all_at(&[0x11; 20], end);
    written.expect("written");
    let report = wal::verify(&StdVfs::new(), dir).expect("a log");
    assert!(report.is_intact() && report.torn.is_some(), "{report}");
}

/// A newer snapshot that is none.
fn add_damaged_snapshot(dir: &Path) {
    let found = fs::read_dir(dir).expect("a directory").next();
    let good = found.expect("a snapshot").expect("an entry").path();
    let name = good.file_name().expect("a name").to_string_lossy();
    let newer = name.replacen('0', "9", 1);
    fs::copy(&good, dir.join(newer)).expect("copied");
}

#[test]
fn not_a_byte_of_the_old_directory_changes() {
    let dir = tempfile::tempdir().expect("a directory");
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    let settings = config(&old, &[]);
    let node = Node::start(&settings, options());
    let mut client = node.client();
    assert_eq!(client.call(&["SET", "before", "the snapshot"]), ok());
    assert_eq!(client.call(&["SAVE"]), ok());
    for number in 0..100 {
        let number = number.to_string();
        assert_eq!(client.call(&["SET", "behind it", &number]), ok());
    }
    let in_use = Remains::of(&old, "quorate")
        .map(|_| ())
        .expect_err("in use");
    assert!(in_use.to_string().contains("in use"), "{in_use}");
    drop(client);
    node.stop().expect("it stops in order");
    tear_tail(&old);
    add_damaged_snapshot(&old.join("snapshots"));

    let before = image(&old);
    let remains = Remains::of(&old, "quorate").expect("something is left");
    remains.found_cluster(&new).expect("a new cluster");
    drop(remains);
    let after = image(&old);
    assert!(before.keys().eq(after.keys()), "no file comes or goes");
    for (path, bytes) in &before {
        assert!(after[path] == *bytes, "{} has changed", path.display());
    }

    let node = Node::start(&config(&new, &[]), options());
    let mut client = node.client();
    assert_eq!(client.call(&["GET", "before"]), bulk("the snapshot"));
    assert_eq!(client.call(&["GET", "behind it"]), bulk("99"));
    assert_eq!(client.call(&["INCR", "n"]), Value::Integer(1));
}
