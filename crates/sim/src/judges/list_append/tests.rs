use super::*;
use crate::judges::linearizable::{self, Limits, Verdict};
use crate::judges::samples::{Noise, Plan, generate, history};

/// What is found in a history, and whether the other checker finds that there is something too.
fn found(lines: &[&str]) -> Option<String> {
    let history = history(lines);
    let verdict = linearizable::check(&history, Limits::default());
    let found = check(&history).err();
    let is_violation = matches!(verdict, Verdict::Violation { .. });
    assert_eq!(is_violation, found.is_some(), "{verdict:?}\n{found:?}");
    found.map(|violation| violation.detail)
}

/// Fails unless exactly this is found.
fn finds(name: &str, lines: &[&str]) {
    let detail = found(lines).unwrap_or_default();
    assert!(detail.contains(name), "{name}: {detail:?}");
}

#[test]
fn what_is_in_order_passes() {
    assert_eq!(
        found(&["1 10 20 APPEND a 1, => 2", "2 30 40 GET a => 1,"]),
        None
    );
    assert_eq!(
        found(&[
            "1 10 90 APPEND a 1,;APPEND b 2,;GET a => 2;2;1,",
            "2 15 80 GET a;GET b => null;null",
            "3 20 70 APPEND a 3, => info",
            "4 95 99 GET a;GET b => 1,3,;2,",
        ]),
        None
    );
}

#[test]
fn g0_is_a_cycle_of_writes() {
    let lines = [
        "1 10 90 APPEND a 1,;APPEND b 1, => info",
        "2 10 91 APPEND a 2,;APPEND b 2, => info",
        "3 92 93 GET a => 1,2,",
        "3 94 95 GET b => 2,1,",
    ];
    finds("G0, a cycle of writes", &lines);
}

#[test]
fn g1a_is_a_read_of_what_failed() {
    finds(
        "G1a",
        &["1 10 20 APPEND a 1, => fail", "2 30 40 GET a => 1,"],
    );
}

#[test]
fn g1b_is_a_read_from_the_middle_of_a_transaction() {
    let lines = [
        "1 10 90 APPEND a 1,;APPEND a 2, => 2;4",
        "2 11 80 GET a => 1,",
        "3 92 93 GET a => 1,2,",
    ];
    finds("G1b", &lines);
}

#[test]
fn g1c_is_a_circle_of_information() {
    let lines = [
        "1 10 90 APPEND a 1,;GET b => 2;2,",
        "2 11 80 APPEND b 2,;GET a => 2;1,",
    ];
    finds("G1c", &lines);
}

#[test]
fn g_single_is_a_skewed_read() {
    // It saw one half of a transaction.
    let lines = [
        "1 10 90 APPEND a 1,;APPEND b 1, => 2;2",
        "2 11 80 GET a;GET b => 1,;null",
        "3 92 93 GET a;GET b => 1,;1,",
    ];
    finds("G-single, a skewed read", &lines);
}

#[test]
fn g2_is_a_write_skew() {
    let lines = [
        "1 10 90 GET a;APPEND b 1, => null;2",
        "2 11 80 GET b;APPEND a 2, => null;2",
        "3 92 93 GET a;GET b => 2,;1,",
    ];
    finds("G2", &lines);
}

#[test]
fn real_time_counts() {
    let stale = [
        "1 10 20 APPEND a 1, => 2",
        "2 30 40 GET a => null",
        "2 50 60 GET a => 1,",
    ];
    finds("G-single in real time", &stale);
    let lost = ["1 10 20 APPEND a 1, => 2", "2 30 40 GET a => null"];
    finds("G-single in real time", &lost);
    let early = ["1 10 20 GET a => 1,", "2 30 40 APPEND a 1, => 2"];
    finds("in real time", &early);
    let reordered = [
        "1 10 20 APPEND a 1, => info",
        "2 30 40 APPEND a 2, => info",
        "3 10 41 GET a => 2,",
        "3 50 60 APPEND a 3, => info",
        "3 70 80 APPEND a 4, => 8",
        "3 90 99 GET a => 2,3,1,4,",
    ];
    assert_eq!(found(&reordered), None);
    // In one pipeline.
    let pipeline = ["1 10 40 APPEND a 1, => 2", "1 11 41 GET a => null"];
    finds("in real time", &pipeline);
}

#[test]
fn what_needs_no_graph_is_said_first() {
    let two = ["1 10 20 APPEND a 1, => 2", "1 30 40 APPEND a 2, => 4"];
    let with = |read| [two[0], two[1], read];
    finds("nobody appended", &with("2 50 60 GET a => 1,2,9,"));
    finds("twice", &with("2 50 60 GET a => 1,2,1,"));
    finds("nobody appended", &with("2 50 60 GET a => 1,2"));
    let orders = [
        "1 10 99 APPEND a 1, => info",
        "1 11 98 APPEND a 2, => info",
        "2 50 60 GET a => 1,2,",
        "2 70 80 GET a => 2,",
    ];
    finds("incompatible orders", &orders);
    finds("does not see", &["1 10 20 APPEND a 1,;GET a => 2;null"]);
    let two_states = [
        "1 10 99 APPEND a 1, => info",
        "2 11 20 GET a;GET a => null;1,",
    ];
    finds("different states", &two_states);
    let place = [
        "1 10 20 APPEND a 1, => 2",
        "1 30 40 APPEND a 2, => 2",
        "2 50 60 GET a => 1,",
    ];
    finds("lost append", &place);
}

#[test]
fn good_histories_pass_and_changed_ones_are_seen_as_the_search_sees_them() {
    let mut noise = Noise::new(7);
    let mut caught = 0;
    for seed in 0..60 {
        let plan = Plan {
            kinds: b"aA",
            depth: 1 + seed as usize % 2,
            keys: 3,
            ..Plan::SMALL
        };
        let mut history = generate(seed, plan);
        assert_eq!(check(&history), Ok(()), "seed {seed}");
        change(&mut noise, &mut history);
        let verdict = linearizable::check(&history, Limits::default());
        let found = check(&history);
        if found.is_err() {
            caught += 1;
            let is_violation = matches!(verdict, Verdict::Violation { .. });
            assert!(is_violation, "seed {seed}: {found:?}");
        } else {
            let is_good = matches!(verdict, Verdict::Linearizable(_));
            assert!(is_good, "seed {seed}: {verdict:?}");
        }
    }
    assert!(caught > 20, "{caught}");
}

/// Takes the last token away from something that was read, or puts it into another place.
fn change(noise: &mut Noise, history: &mut History) {
    use crate::history::{Outcome, Reply};
    for _ in 0..1000 {
        let op = noise.below(history.operations.len() as u64) as usize;
        let Outcome::Done(replies) = &mut history.operations[op].outcome else {
            continue;
        };
        let place = noise.below(replies.len() as u64) as usize;
        let Reply::Text(value) = &mut replies[place] else {
            continue;
        };
        let mut tokens: Vec<&[u8]> = value.split_inclusive(|&byte| byte == b',').collect();
        if tokens.len() < 2 {
            continue;
        }
        let last = tokens.pop().unwrap_or_default();
        if noise.percent(30) {
            tokens.insert(tokens.len() - 1, last);
        }
        *value = tokens.concat();
        return;
    }
}
