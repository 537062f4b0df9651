//! The program, as people call it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn simulator(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quorate-sim"))
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn seeds_run_and_their_history_is_judged() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = "run --seed 1 --seeds 3 --duration 2 --twice 100 --profile calm --history run.jsonl --trace run.html";
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let output = simulator(directory.path(), &arguments);
    let out = text(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{out}{}",
        text(&output.stderr)
    );
    assert!(
        out.starts_with("3 seeds from 1, profile calm, 2 s each"),
        "{out}"
    );
    assert!(out.contains("3, 3 of them twice, 0 failing"), "{out}");

    let page = fs::read_to_string(directory.path().join("run.html")).unwrap();
    assert!(page.contains("<title>seed 1 · calm</title>"));

    let output = simulator(directory.path(), &["check", "run.jsonl"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
}

#[test]
fn a_tape_is_replayed_and_one_that_does_not_fail_is_not_shrunk() {
    let directory = tempfile::tempdir().unwrap();
    let tape = "quorate-sim tape 1\nseed 1\nprofile calm\nduration 1000000us\nchoices all\n";
    fs::write(directory.path().join("calm.tape"), tape).unwrap();
    let output = simulator(directory.path(), &["replay", "calm.tape"]);
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{out}");
    assert!(out.starts_with("no property broke: "), "{out}");

    let output = simulator(directory.path(), &["shrink", "calm.tape"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("nothing to shrink"));
    let after = fs::read_to_string(directory.path().join("calm.tape")).unwrap();
    assert_eq!(after, tape, "the file is as it was");
}

#[test]
fn wrong_use_is_one_line_and_exit_code_2() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join("bad.tape"),
        "quorate-sim tape 1\nseed x\n",
    )
    .unwrap();
    for (arguments, reason) in [
        ("run --profile wild", "no profile \"wild\""),
        ("run --canary Tweety", "no canary \"Tweety\""),
        ("run --seeds 0", "0"),
        (
            "run --trace nowhere/run.html",
            "nowhere/run.html: there is no such directory",
        ),
        ("replay missing.tape", "missing.tape: "),
        ("replay bad.tape", "bad.tape: line 2: \"x\" is not a number"),
        ("model nothing", "no scope \"nothing\""),
        ("fly", "unrecognized subcommand"),
    ] {
        let words: Vec<&str> = arguments.split(' ').collect();
        let output = simulator(directory.path(), &words);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {error}");
        assert!(error.contains(reason), "{arguments}: {error}");
        assert_eq!(error.lines().count(), 1, "{arguments}: {error}");
    }
}

#[test]
fn lists_are_there_to_choose_from() {
    let directory = tempfile::tempdir().unwrap();
    for (arguments, part) in [
        ("profiles", "packet lost"),
        ("profiles --canaries", "VoteBeforeDurable"),
        ("model --list", "election"),
        ("run --help", "Exit codes"),
    ] {
        let words: Vec<&str> = arguments.split(' ').collect();
        let output = simulator(directory.path(), &words);
        assert_eq!(output.status.code(), Some(0), "{arguments}");
        assert!(text(&output.stdout).contains(part), "{arguments}");
    }
}
