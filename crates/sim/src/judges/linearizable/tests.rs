use super::*;
use crate::history::Reply;

fn words(text: &str) -> Vec<Vec<Vec<u8>>> {
    let command = |part: &str| {
        let words = part.split_whitespace();
        words.map(|word| word.as_bytes().to_vec()).collect()
    };
    text.split(';').map(command).collect()
}

fn replies(text: &str) -> Vec<Reply> {
    let reply = |word: &str| match word.trim() {
        "null" => Reply::Null,
        word => match word.parse() {
            Ok(number) => Reply::Integer(number),
            Err(_) => match word.strip_prefix('!') {
                Some(error) => Reply::Error(error.to_owned()),
                None => Reply::Text(word.trim_start_matches('$').as_bytes().to_vec()),
            },
        },
    };
    text.split(';').map(reply).collect()
}

/// A history from lines `process start end commands => replies`, with `fail` or `info` for replies. The
/// times are all different.
fn history(lines: &[&str]) -> History {
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (line, text) in lines.iter().enumerate() {
        let mut parts = text.split_whitespace().skip(1);
        let mut time = || parts.next().unwrap().parse::<u64>().unwrap();
        events.push((time(), false, line));
        events.push((time(), true, line));
    }
    events.sort_unstable();
    let mut history = History::default();
    let mut ops = BTreeMap::new();
    for (time, is_end, line) in events {
        let (head, outcome) = lines[line].split_once(" => ").unwrap();
        let process = head.split_whitespace().next().unwrap().parse().unwrap();
        let commands: Vec<&str> = head.splitn(4, ' ').collect();
        if !is_end {
            ops.insert(line, history.invoke(time, process, 1, words(commands[3])));
            continue;
        }
        let outcome = match outcome {
            "fail" => Outcome::Failed("FAIL".into()),
            "info" => Outcome::Unknown("UNCERTAIN".into()),
            text => Outcome::Done(replies(text)),
        };
        history.complete(time, ops[&line], outcome, None);
    }
    history
}

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
