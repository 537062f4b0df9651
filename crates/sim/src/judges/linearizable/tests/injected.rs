//! Mistakes that are certainly mistakes, made in what clients of a good server saw: all are caught.

use super::*;
use crate::history::Operation;
use crate::judges::samples::{Noise, Plan, command, generate};

/// Where the events of an operation stand.
struct Spans {
    starts: Vec<usize>,
    ends: Vec<usize>,
}

impl Spans {
    fn of(history: &History) -> Spans {
        let count = history.operations.len();
        let (mut starts, mut ends) = (vec![0; count], vec![usize::MAX; count]);
        for (place, event) in history.events.iter().enumerate() {
            match *event {
                HistoryEvent::Invoked(op) => starts[op] = place,
                HistoryEvent::Completed(op) => ends[op] = place,
            }
        }
        Spans { starts, ends }
    }

    fn precedes(&self, one: usize, other: usize) -> bool {
        self.ends[one] < self.starts[other]
    }
}

fn is_done(operation: &Operation) -> bool {
    matches!(operation.outcome, Outcome::Done(_))
}

fn is_single(operation: &Operation, name: &[u8]) -> bool {
    operation.commands.len() == 1 && operation.commands[0][0] == name
}

fn key(operation: &Operation) -> &[u8] {
    &operation.commands[0][1]
}

fn written(operation: &Operation) -> Vec<u8> {
    operation.commands[0][2].clone()
}

fn answered(operation: &mut Operation, reply: Reply) {
    operation.outcome = Outcome::Done(vec![reply]);
}

/// Pairs of operations of which the first is over when the second begins, in a random order.
fn pairs(history: &History, noise: &mut Noise) -> Vec<(usize, usize)> {
    let spans = Spans::of(history);
    let count = history.operations.len();
    let mut pairs: Vec<(usize, usize)> = (0..count)
        .flat_map(|one| (0..count).map(move |other| (one, other)))
        .filter(|&(one, other)| {
            let operations = &history.operations;
            spans.precedes(one, other)
                && key(&operations[one]) == key(&operations[other])
                && is_done(&operations[one])
                && is_done(&operations[other])
        })
        .collect();
    for place in (1..pairs.len()).rev() {
        pairs.swap(place, noise.below(place as u64 + 1) as usize);
    }
    pairs
}

/// A read sees a value that was overwritten before it began.
fn stale_read(history: &mut History, noise: &mut Noise) -> bool {
    let spans = Spans::of(history);
    let operations = &history.operations;
    let is_set = |op: usize| is_single(&operations[op], b"SET");
    for (first, second) in pairs(history, noise) {
        let read = (0..operations.len()).find(|&op| {
            is_single(&operations[op], b"GET")
                && is_done(&operations[op])
                && key(&operations[op]) == key(&operations[first])
                && spans.precedes(second, op)
        });
        if let (true, true, Some(read)) = (is_set(first), is_set(second), read) {
            let value = written(&operations[first]);
            answered(&mut history.operations[read], Reply::Text(value));
            return true;
        }
    }
    false
}

/// Two reads, one after the other, see two writes in the wrong order.
fn reorder(history: &mut History, noise: &mut Noise) -> bool {
    let operations = &history.operations;
    let pairs = pairs(history, noise);
    let of = |name: &[u8]| {
        let is = |&&(one, other): &&(usize, usize)| {
            is_single(&operations[one], name) && is_single(&operations[other], name)
        };
        pairs.iter().filter(is).copied().collect::<Vec<_>>()
    };
    let (writes, reads) = (of(b"SET"), of(b"GET"));
    for (first, second) in writes {
        let same = reads
            .iter()
            .find(|it| key(&operations[it.0]) == key(&operations[first]));
        if let Some(&(early, late)) = same {
            let (old, new) = (written(&operations[first]), written(&operations[second]));
            answered(&mut history.operations[early], Reply::Text(new));
            answered(&mut history.operations[late], Reply::Text(old));
            return true;
        }
    }
    false
}

/// Two increments get the same number: one of them is lost.
fn lost_update(history: &mut History, noise: &mut Noise) -> bool {
    for (one, other) in pairs(history, noise) {
        let operations = &mut history.operations;
        if is_single(&operations[one], b"INCR") && is_single(&operations[other], b"INCR") {
            operations[other].outcome = operations[one].outcome.clone();
            return true;
        }
    }
    false
}

/// At the end a counter is higher than all increments together, as if one was done twice.
fn duplicate(history: &mut History, _: &mut Noise) -> bool {
    let last = history.operations.len() - 1;
    let name = key(&history.operations[last]).to_vec();
    let commands = history.operations.iter().flat_map(|it| &it.commands);
    let amounts = commands
        .filter(|it| it[1] == name)
        .map(|it| match (&it[0][..], it.get(2)) {
            (b"INCR", _) => 1,
            (b"INCRBY", Some(amount)) => String::from_utf8_lossy(amount).parse().unwrap(),
            _ => 0,
        });
    let sum: i64 = amounts.sum();
    let reply = Reply::Text((sum + 1).to_string().into_bytes());
    answered(&mut history.operations[last], reply);
    true
}

/// A token of a list is there twice.
fn doubled_append(history: &mut History, _: &mut Noise) -> bool {
    let last = history.operations.len() - 1;
    let Outcome::Done(replies) = &mut history.operations[last].outcome else {
        return false;
    };
    let Reply::Text(value) = &mut replies[0] else {
        return false;
    };
    let end = value.iter().position(|&byte| byte == b',').unwrap() + 1;
    value.extend_from_within(..end);
    true
}

/// A write that is seen is said to have failed.
fn failed_yet_visible(history: &mut History, _: &mut Noise) -> bool {
    let operations = &history.operations;
    let seen: Vec<(Vec<u8>, Vec<u8>)> = operations
        .iter()
        .filter(|it| is_single(it, b"GET"))
        .filter_map(|it| match &it.outcome {
            Outcome::Done(replies) => match &replies[0] {
                Reply::Text(text) => Some((key(it).to_vec(), text.clone())),
                _ => None,
            },
            _ => None,
        })
        .collect();
    let writer = operations.iter().position(|it| {
        is_single(it, b"SET")
            && is_done(it)
            && seen
                .iter()
                .any(|(name, value)| name == key(it) && *value == written(it))
    });
    if let Some(writer) = writer {
        history.operations[writer].outcome = Outcome::Failed("NOQUORUM".into());
    }
    writer.is_some()
}

/// A read sees what nobody wrote.
fn phantom(history: &mut History, noise: &mut Noise) -> bool {
    let reads = history
        .operations
        .iter_mut()
        .filter(|it| is_single(it, b"GET") && is_done(it));
    let mut reads: Vec<&mut Operation> = reads.collect();
    let place = noise.below(reads.len() as u64) as usize;
    answered(reads[place], Reply::Text(b"ghost".to_vec()));
    true
}

/// A transaction wrote two keys, and another one sees one of them from before it.
fn torn_transaction(history: &mut History, _: &mut Noise) -> bool {
    let end = history
        .operations
        .iter()
        .filter_map(|it| it.completed_us)
        .max()
        .unwrap();
    let sets = |round: &[u8]| {
        let value = [&b"torn"[..], round].concat();
        vec![
            command(&[b"SET", b"r0", &value]),
            command(&[b"SET", b"r1", &value]),
        ]
    };
    let ok = Reply::Text(b"OK".to_vec());
    let text = |text: &[u8]| Reply::Text(text.to_vec());
    for (round, replies) in [
        (Some(b"1"), vec![ok.clone(), ok.clone()]),
        (Some(b"2"), vec![ok.clone(), ok]),
        (None, vec![text(b"torn2"), text(b"torn1")]),
    ] {
        let reads = || vec![command(&[b"GET", b"r0"]), command(&[b"GET", b"r1"])];
        let commands = round.map_or_else(reads, |round| sets(round));
        let op = history.invoke(end, 2000, 1, commands);
        history.complete(end, op, Outcome::Done(replies), None);
    }
    true
}

/// Reads and writes of one pipeline are done in another order.
fn broken_pipeline(history: &mut History, _: &mut Noise) -> bool {
    let end = history
        .operations
        .iter()
        .filter_map(|it| it.completed_us)
        .max()
        .unwrap();
    let write = history.invoke(end, 2000, 1, vec![command(&[b"SET", b"r0", b"piped"])]);
    let read = history.invoke(end, 2000, 1, vec![command(&[b"GET", b"r0"])]);
    let ok = Reply::Text(b"OK".to_vec());
    history.complete(end, write, Outcome::Done(vec![ok]), None);
    history.complete(end, read, Outcome::Done(vec![Reply::Null]), None);
    true
}

/// A transaction takes place although a watched key had changed.
fn broken_watch(history: &mut History, _: &mut Noise) -> bool {
    let end = history
        .operations
        .iter()
        .filter_map(|it| it.completed_us)
        .max()
        .unwrap();
    let ok = Reply::Text(b"OK".to_vec());
    for (commands, replies) in [
        (vec![command(&[b"SET", b"r0", b"new"])], vec![ok.clone()]),
        (
            vec![
                command(&[b"WATCH", b"r0", b"old"]),
                command(&[b"SET", b"r0", b"newer"]),
            ],
            vec![ok.clone(), ok],
        ),
    ] {
        let op = history.invoke(end, 2000, 1, commands);
        history.complete(end, op, Outcome::Done(replies), None);
    }
    true
}

/// Makes a mistake in many histories. All must be caught, and there must be enough of them.
fn all_are_caught(kinds: &'static [u8], inject: fn(&mut History, &mut Noise) -> bool) {
    let mut noise = Noise::new(3);
    let mut injected = 0;
    for seed in 0..60 {
        let plan = Plan {
            kinds,
            operations: 50,
            depth: 1 + seed as usize % 2,
            ..Plan::SMALL
        };
        let mut history = generate(seed, plan);
        if !inject(&mut history, &mut noise) {
            continue;
        }
        injected += 1;
        let verdict = check(&history, Limits::default());
        let Verdict::Violation { operations, .. } = &verdict else {
            panic!("seed {seed}: {verdict:?}");
        };
        assert!(
            !operations.is_empty() && operations.len() < 30,
            "seed {seed}: {verdict:?}"
        );
    }
    assert!(injected >= 40, "{injected}");
}

#[test]
fn stale_reads_are_caught() {
    all_are_caught(b"r", stale_read);
}

#[test]
fn reordered_writes_are_caught() {
    all_are_caught(b"r", reorder);
}

#[test]
fn lost_updates_are_caught() {
    all_are_caught(b"n", lost_update);
}

#[test]
fn duplicates_are_caught() {
    all_are_caught(b"n", duplicate);
    all_are_caught(b"a", doubled_append);
}

#[test]
fn failed_writes_that_are_seen_are_caught() {
    all_are_caught(b"r", failed_yet_visible);
}

#[test]
fn phantoms_are_caught() {
    all_are_caught(b"r", phantom);
    all_are_caught(b"c", phantom);
}

#[test]
fn torn_transactions_are_caught() {
    all_are_caught(b"r", torn_transaction);
}

#[test]
fn broken_pipelines_and_watches_are_caught() {
    all_are_caught(b"r", broken_pipeline);
    all_are_caught(b"r", broken_watch);
}
