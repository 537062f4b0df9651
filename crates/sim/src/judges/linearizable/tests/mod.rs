mod brute_force;
mod injected;

use super::*;
use crate::history::Reply;
use crate::judges::samples::{history, words};

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

#[test]
fn a_long_history_takes_few_steps_an_operation() {
    use crate::judges::samples::{Plan, generate};
    let plan = Plan {
        kinds: b"rcnmawt",
        keys: 3,
        clients: 10,
        operations: 3000,
        unknown_percent: 1,
        failed_percent: 1,
        ..Plan::SMALL
    };
    let verdict = check(&generate(5, plan), Limits::default());
    assert!(matches!(verdict, Verdict::Linearizable(_)), "{verdict:?}");
    assert!(verdict.counts().steps < 10 * 3000, "{verdict:?}");
}

#[test]
fn a_search_that_is_given_up_is_not_passed() {
    let limits = Limits {
        steps_max: 1,
        ..Limits::default()
    };
    let lines = [
        "1 10 20 SET k a => OK",
        "1 30 40 SET k b => OK",
        "2 50 60 GET k => b",
    ];
    let verdict = check(&history(&lines), limits);
    assert!(
        matches!(verdict, Verdict::Inconclusive { partitions: 1, .. }),
        "{verdict:?}"
    );
    // Nor is what the model does not know.
    let lines = ["1 10 20 SET k a => OK", "1 30 40 SETRANGE k 0 b => 1"];
    let verdict = check(&history(&lines), Limits::default());
    assert!(
        matches!(verdict, Verdict::Inconclusive { partitions: 1, .. }),
        "{verdict:?}"
    );
}

#[test]
fn a_key_may_expire_and_does_not_come_back() {
    let set = "1 10 20 SET t a PX 5 => OK";
    assert!(passes(&[
        set,
        "2 30 40 GET t => a",
        "2 50 60 GET t => null"
    ]));
    assert!(!passes(&[
        set,
        "2 30 40 GET t => null",
        "2 50 60 GET t => a"
    ]));
    let lasting = "1 10 20 SET t a => OK";
    assert!(!passes(&[lasting, "2 30 40 GET t => null"]));
    let kept = "1 22 24 PERSIST t => 1";
    assert!(!passes(&[set, kept, "2 30 40 GET t => null"]));
}

#[test]
fn a_violation_is_reduced_to_what_shows_it() {
    use crate::judges::samples::{Plan, generate};
    let plan = Plan {
        kinds: b"r",
        operations: 500,
        ..Plan::SMALL
    };
    let mut history = generate(9, plan);
    // Long after: two writes, and a read of the first.
    for (line, reply) in [("SET r0 x", "OK"), ("SET r0 y", "OK"), ("GET r0", "x")] {
        let op = history.invoke(u64::MAX, 70, 1, words(line));
        let reply = Reply::Text(reply.as_bytes().to_vec());
        history.complete(u64::MAX, op, Outcome::Done(vec![reply]), None);
    }
    let Verdict::Violation { operations, .. } = check(&history, Limits::default()) else {
        panic!("it is one");
    };
    let last = history.operations.len() - 1;
    assert_eq!(operations, [last - 2, last - 1, last]);
}
