mod brute_force;
mod injected;

use super::*;
use crate::history::Reply;
use crate::judges::samples::history;

fn passes(lines: &[&str]) -> bool {
    match check(&history(lines), Limits::default()) {
        Verdict::Linearizable(_) => true,
        Verdict::Violation { .. } => false,
        Verdict::Inconclusive { reasons, .. } => panic!("{reasons:?}"),
    }
}

#[test]
fn a_register_is_judged() {
    assert!(passes(&["1 10 20 SET k a => OK", "2 30 40 GET k => a"]));
    assert!(!passes(&["1 10 20 SET k a => OK", "2 30 40 GET k => null"]));
    // While the write is under way both are right, but not new and then old.
    assert!(passes(&[
        "1 10 50 SET k a => OK",
        "2 20 30 GET k => null",
        "3 35 40 GET k => a"
    ]));
    assert!(!passes(&[
        "1 10 50 SET k a => OK",
        "2 20 30 GET k => a",
        "3 35 40 GET k => null"
    ]));
}

#[test]
fn an_unknown_write_takes_effect_late_or_never() {
    let unknown = "1 10 20 SET k a => info";
    assert!(passes(&[
        unknown,
        "2 30 40 GET k => null",
        "2 50 60 GET k => a"
    ]));
    assert!(!passes(&[
        unknown,
        "2 30 40 GET k => a",
        "2 50 60 GET k => null"
    ]));
    assert!(!passes(&["2 5 6 GET k => a", unknown]));
    // Once only.
    assert!(!passes(&[
        unknown,
        "2 30 40 GET k => a",
        "2 41 42 SET k b => OK",
        "2 43 44 GET k => a"
    ]));
    assert!(passes(&[
        "1 10 20 INCR n => info",
        "2 30 40 INCR n => 2",
        "2 50 60 GET n => $2"
    ]));
    assert!(!passes(&["1 10 20 INCR n => info", "2 30 40 INCR n => 3"]));
}

#[test]
fn a_failed_write_is_never_seen() {
    let lines = ["1 10 20 SET k a => fail", "2 30 40 GET k => a"];
    assert!(!passes(&lines));
    let Verdict::Violation {
        violation,
        operations,
        ..
    } = check(&history(&lines), Limits::default())
    else {
        panic!("it is one");
    };
    assert_eq!(operations, [0, 1]);
    assert_eq!(
        violation.detail,
        "key \"k\": no order explains this operation (nobody can have written \"a\"): \
         #1 p2 n1 [0.030 .. 0.040] GET k -> a"
    );
}

#[test]
fn a_watched_key_holds_what_was_read_when_the_transaction_takes_place() {
    let lines = |read, replies| {
        [
            "1 10 20 SET w a => OK".to_owned(),
            "2 30 40 SET w b => OK".to_owned(),
            format!("1 50 60 WATCH w{read};SET w c => {replies}"),
            "2 70 80 GET w => c".to_owned(),
        ]
    };
    let passes = |lines: [String; 4]| passes(&lines.each_ref().map(String::as_str));
    assert!(passes(lines(" b", "OK;OK")));
    assert!(!passes(lines(" a", "OK;OK")));
    assert!(!passes(lines("", "OK;OK")));
    // Nobody knows whether it took place; the read says that it did.
    assert!(passes(lines(" b", "info")));
    assert!(!passes(lines(" a", "info")));
    // It did not.
    assert!(!passes(lines(" b", "null")));
}

#[test]
fn adding_what_is_no_number_changes_nothing() {
    let error = "1 30 40 INCRBY n many => !ERR";
    assert!(passes(&[
        "1 10 20 INCR n => 1",
        error,
        "1 50 60 INCR n => 2"
    ]));
    assert!(!passes(&[
        "1 10 20 INCR n => 1",
        error,
        "1 50 60 INCR n => 3"
    ]));
}

#[test]
fn good_histories_pass() {
    use crate::judges::samples::{Plan, generate};
    let kinds: [&[u8]; 9] = [b"r", b"c", b"n", b"m", b"a", b"A", b"x", b"w", b"t"];
    for seed in 0..360 {
        let plan = Plan {
            kinds: kinds[seed as usize % kinds.len()],
            depth: 1 + seed as usize / 9 % 3,
            ..Plan::SMALL
        };
        let history = generate(seed, plan);
        let verdict = check(&history, Limits::default());
        let mut file = Vec::new();
        history.write_json_lines(&mut file).unwrap();
        let file = String::from_utf8_lossy(&file);
        assert!(
            matches!(verdict, Verdict::Linearizable(_)),
            "seed {seed}: {verdict:?}\n{file}"
        );
    }
}
