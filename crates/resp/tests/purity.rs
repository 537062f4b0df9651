//! The parts that every replica must agree on touch no clock, file, socket or thread. This is the lint for it.

use std::fs;
use std::path::Path;

const FORBIDDEN: [&str; 8] = [
    "std::fs",
    "std::net",
    "std::thread",
    "std::time",
    "Instant",
    "SystemTime",
    "tokio",
    "HashMap",
];

#[test]
fn the_source_names_nothing_that_is_not_pure() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = 0;
    for entry in fs::read_dir(&source).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            for word in FORBIDDEN {
                assert!(
                    !line.contains(word),
                    "{}:{}: {word}",
                    path.display(),
                    number + 1
                );
            }
        }
        files += 1;
    }
    assert!(
        files > 10,
        "only {files} files found under {}",
        source.display()
    );
}
