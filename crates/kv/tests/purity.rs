//! The crate has no clock, no I/O, no threads and no map whose order can show: a rule that no type
//! enforces, so a test reads the source.

use std::fs;
use std::path::{Path, PathBuf};

const FORBIDDEN: [&str; 9] = [
    "std::fs",
    "std::net",
    "std::thread",
    "std::time",
    "Instant",
    "SystemTime",
    "tokio",
    "HashMap",
    "HashSet",
];

#[test]
fn the_source_uses_nothing_that_differs_between_replicas() {
    let mut files = Vec::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    assert!(files.len() > 10, "only {} files found", files.len());
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file is text");
        for word in FORBIDDEN {
            assert!(!text.contains(word), "{} contains {word}", file.display());
        }
    }
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a readable directory") {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
