//! The crate does no I/O, reads no clock, starts no thread and draws no chance: a rule of the
//! house, kept by reading the source.

use std::path::Path;

const FORBIDDEN: [&str; 12] = [
    "std::fs",
    "std::net",
    "std::thread",
    "std::time",
    "Instant",
    "SystemTime",
    "tokio",
    "HashMap",
    "HashSet",
    "getrandom",
    "println!",
    "unsafe",
];

#[test]
fn source_names_nothing_outside_the_algorithm() {
    let mut paths = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut files = 0;
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            let inside = std::fs::read_dir(path).expect("a readable folder");
            paths.extend(inside.map(|file| file.expect("a readable folder").path()));
            continue;
        }
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
        files += 1;
    }
    assert!(files > 15);
}
