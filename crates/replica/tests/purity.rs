//! The crate does no I/O, reads no clock, starts no thread and iterates nothing in an order that can
//! differ between replicas: a rule of the house, kept by reading the source.

use std::path::{Path, PathBuf};

const FORBIDDEN: [&str; 10] = [
    "std::fs",
    "std::net",
    "std::thread",
    "std::time",
    "Instant",
    "SystemTime",
    "tokio",
    "HashMap",
    "HashSet",
    "unsafe ",
];

#[test]
fn source_names_nothing_outside_the_replica() {
    let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(files.len() > 30, "{files:?}");
    for path in files {
        let source = std::fs::read_to_string(&path).expect("readable source");
        for (number, line) in (1..).zip(source.lines()) {
            for word in FORBIDDEN {
                assert!(
                    !line.contains(word),
                    "{}:{number} names {word}",
                    path.display()
                );
            }
        }
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the source is there") {
        let path = entry.expect("a readable folder").path();
        match path.is_dir() {
            true => files.extend(sources(&path)),
            false => files.push(path),
        }
    }
    files
}
