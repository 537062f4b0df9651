//! The search against all orders of tiny histories.

use super::*;
use crate::history::{Operation, Position};
use crate::judges::samples::{Command, Noise, Server, command};

/// Whether any order explains the history: every order of every choice of unknown operations is tried.
fn brute_force(history: &History) -> bool {
    let mut ends = vec![usize::MAX; history.operations.len()];
    let mut starts = vec![0; history.operations.len()];
    for (place, event) in history.events.iter().enumerate() {
        match *event {
            HistoryEvent::Invoked(op) => starts[op] = place,
            HistoryEvent::Completed(op) => ends[op] = place,
        }
    }
    let known = |it: &Operation| matches!(it.outcome, Outcome::Done(_));
    let operations = &history.operations;
    let left: Vec<usize> = (0..operations.len())
        .filter(|&op| !matches!(operations[op].outcome, Outcome::Failed(_)))
        .collect();
    // Whether `first` must come before `second`.
    let precedes = |first: usize, second: usize| {
        known(&operations[first])
            && (ends[first] < starts[second]
                || (known(&operations[second])
                    && first < second
                    && operations[first].process == operations[second].process))
    };
    explore(operations, &Server::default(), &left, &precedes)
}

fn explore(
    operations: &[Operation],
    server: &Server,
    left: &[usize],
    precedes: &impl Fn(usize, usize) -> bool,
) -> bool {
    let must = |&op: &usize| matches!(operations[op].outcome, Outcome::Done(_));
    if !left.iter().any(must) {
        return true;
    }
    left.iter().any(|&op| {
        if left.iter().any(|&other| other != op && precedes(other, op)) {
            return false;
        }
        let mut server = server.clone();
        let replies = server.all(0, &operations[op].commands);
        if let Outcome::Done(expected) = &operations[op].outcome
            && replies.as_ref() != Some(expected)
        {
            return false;
        }
        let rest: Vec<usize> = left.iter().copied().filter(|&other| other != op).collect();
        explore(operations, &server, &rest, precedes)
    })
}

/// A tiny history with few values, so that nothing is unique and much is almost right.
fn tiny(noise: &mut Noise) -> History {
    let mut history = History::default();
    let mut open: Vec<(u32, usize, Option<Vec<Reply>>)> = Vec::new();
    let mut server = Server::default();
    let count = 3 + noise.below(4) as usize;
    let kind = noise.below(6);
    let keys = 1 + noise.below(2);
    let depth = 1 + noise.below(2) as usize;
    let lies = *noise.pick(&[5, 30]);
    let mut now = 0;
    while history.operations.len() < count || !open.is_empty() {
        now += 1;
        let process = noise.below(3) as u32;
        let busy = open.iter().filter(|it| it.0 == process).count();
        if noise.percent(50) {
            if busy < depth && history.operations.len() < count {
                let commands = tiny_operation(noise, kind, keys);
                let op = history.invoke(now, process, 1, commands);
                open.push((process, op, None));
            }
            continue;
        }
        // The first of a process, so that its operations take effect in order.
        let Some(place) = open.iter().position(|it| it.0 == process) else {
            continue;
        };
        let (_, op, replies) = &mut open[place];
        let commands = &history.operations[*op].commands;
        match replies.take() {
            None if noise.percent(12) => {
                let outcome = match noise.percent(30) {
                    true => Outcome::Failed(String::new()),
                    false => Outcome::Unknown(String::new()),
                };
                history.complete(now, *op, outcome, None);
                open.remove(place);
            }
            None => {
                let Some(mut done) = server.all(0, commands) else {
                    let op = *op;
                    history.complete(now, op, Outcome::Failed(String::new()), None);
                    open.remove(place);
                    continue;
                };
                if noise.percent(lies) {
                    let place = noise.below(done.len() as u64) as usize;
                    done[place] = another(noise, &done[place]);
                }
                *replies = Some(done);
            }
            Some(done) => {
                // Sometimes the server says where it was executed: nothing that one may believe.
                let position = noise.percent(30).then(|| Position {
                    index: noise.below(4),
                    order: 0,
                });
                history.complete(now, *op, Outcome::Done(done), position);
                open.remove(place);
            }
        }
    }
    history
}

fn tiny_operation(noise: &mut Noise, kind: u64, keys: u64) -> Vec<Command> {
    let steps = if noise.percent(20) { 2 } else { 1 };
    let mut commands: Vec<Command> = Vec::new();
    for _ in 0..steps {
        let key = format!("k{}", noise.below(keys)).into_bytes();
        let value = noise.pick(&[b"1", b"2", b"5"]).to_vec();
        let kind = if kind == 5 { noise.below(5) } else { kind };
        let write = match (kind, noise.below(6)) {
            (0, _) => command(&[b"SET", &key, &value]),
            (1, 0) => command(&[b"SETNX", &key, &value]),
            (1, 1) => command(&[b"DEL", &key]),
            (1, 2) => command(&[b"SET", &key, &value, b"XX"]),
            (1, 3) => command(&[b"SET", &key, &value, b"GET"]),
            (1, _) => command(&[b"GETSET", &key, &value]),
            (2, 0..4) => command(&[b"INCR", &key]),
            (2, _) => command(&[b"INCRBY", &key, &value]),
            (3, 0..4) => command(&[b"INCR", &key]),
            (3, _) => command(&[b"DECRBY", &key, &value]),
            _ => command(&[b"APPEND", &key, &value]),
        };
        let read = noise.word(&["GET", "GET", "GET", "EXISTS", "STRLEN"]);
        commands.push(match noise.percent(45) {
            true => command(&[read, &key]),
            false => write,
        });
    }
    if noise.percent(8) {
        let value = noise.pick(&[b"1", b"2"]).to_vec();
        commands.insert(0, command(&[b"WATCH", b"k0", &value]));
    }
    commands
}

/// Another reply of the same kind.
fn another(noise: &mut Noise, reply: &Reply) -> Reply {
    match reply {
        Reply::Integer(number) => Reply::Integer(number + 1 - 2 * noise.below(2) as i64),
        Reply::Text(text) if text == b"OK" => reply.clone(),
        _ => match noise.below(5) {
            0 => Reply::Null,
            1 => Reply::Text(b"12".to_vec()),
            n => Reply::Text(n.to_string().into_bytes()),
        },
    }
}

#[test]
fn the_search_agrees_with_all_orders_of_tiny_histories() {
    let mut noise = Noise::new(1);
    let mut verdicts = [0, 0];
    for round in 0..5_000 {
        let history = tiny(&mut noise);
        let expected = brute_force(&history);
        let verdict = check(&history, Limits::default());
        let found = match verdict {
            Verdict::Linearizable(_) => true,
            Verdict::Violation { .. } => false,
            Verdict::Inconclusive { .. } => panic!("round {round}: {verdict:?}"),
        };
        let mut file = Vec::new();
        history.write_json_lines(&mut file).unwrap();
        let file = String::from_utf8_lossy(&file);
        assert_eq!(found, expected, "round {round}:\n{file}\n{verdict:?}");
        verdicts[usize::from(found)] += 1;
    }
    assert!(verdicts.iter().all(|&count| count > 1000), "{verdicts:?}");
}
