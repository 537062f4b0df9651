//! The checker checks itself: random good runs pass, and a fault put into one is caught wherever it
//! happens to be.

use bytes::Bytes;

use crate::history::{Outcome, Reply};
use crate::judges::witness::model::{Call, Clock, Expected, Model};
use crate::judges::witness::operations::Moment;
use crate::judges::witness::tests::{Story, commands};

/// A run made at random, with what is known of it beside.
struct Run {
    story: Story,
    /// By operation, the line that was asked.
    lines: Vec<String>,
    random: u64,
}

/// What a client is at.
#[derive(Clone)]
enum State {
    Idle,
    Asked(usize),
    Executed(usize, Vec<Reply>, (u64, u32)),
}

impl Run {
    fn below(&mut self, bound: u64) -> u64 {
        self.random = self
            .random
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(1);
        (self.random >> 33) % bound
    }

    fn line(&mut self) -> String {
        let (key, token) = (self.below(3), self.lines.len());
        match self.below(8) {
            0 | 1 => format!("SET r{key} t{token}"),
            2 => format!("GETSET r{key} t{token}"),
            3 => format!("INCR n{key}"),
            4 => format!("APPEND a{key} t{token},"),
            5 => format!("GET a{key}"),
            6 => format!("GET n{key}"),
            _ => format!("GET r{key}"),
        }
    }

    /// A good run of three clients.
    fn new(seed: u64) -> Run {
        let mut run = Run {
            story: Story::default(),
            lines: Vec::new(),
            random: seed,
        };
        let mut model = Model::default();
        run.story.log.push((1_000, Bytes::new()));
        model.begin_entry(1, 1_000);
        let mut states = vec![State::Idle; 3];
        for _ in 0..150 {
            let client = run.below(3) as usize;
            states[client] = run.step(client as u32 + 1, states[client].clone(), &mut model);
        }
        run
    }

    fn step(&mut self, client: u32, state: State, model: &mut Model) -> State {
        match state {
            State::Idle => {
                let line = self.line();
                self.lines.push(line.clone());
                State::Asked(self.story.ask(client, &line))
            }
            State::Asked(op) => {
                let line = self.lines[op].clone();
                if self.below(12) == 0 {
                    let outcome = match self.below(2) {
                        0 => Outcome::Failed("NOQUORUM".into()),
                        _ => Outcome::Unknown("gone".into()),
                    };
                    self.story.end(op, outcome, None);
                    return State::Idle;
                }
                let position = if line.starts_with("GET ") {
                    (self.story.log.len() as u64, Moment::AFTER_ENTRY)
                } else {
                    let index = self.story.log(u64::from(client), &[&line]);
                    model.begin_entry(index, self.story.log[index as usize - 1].0);
                    (index, 0)
                };
                let command = commands(&line).remove(0);
                let Some(Expected::Exactly(reply)) = model.run(&Call::asked(&command), Clock::Log)
                else {
                    panic!("the model knows {line}");
                };
                State::Executed(op, vec![reply], position)
            }
            State::Executed(op, replies, position) => {
                match self.below(12) {
                    0 => self.story.end(op, Outcome::Unknown("gone".into()), None),
                    _ => self.story.end(op, Outcome::Done(replies), Some(position)),
                }
                State::Idle
            }
        }
    }

    /// An answered operation whose line begins so, at random.
    fn answered(&mut self, start: &str) -> Option<usize> {
        let found: Vec<usize> = (0..self.lines.len())
            .filter(|&op| self.lines[op].starts_with(start))
            .filter(|&op| self.story.history.operations[op].position.is_some())
            .collect();
        let count = found.len() as u64;
        (count > 0).then(|| found[self.below(count) as usize])
    }

    /// The payload of the entry that an operation wrote.
    fn entry(&mut self, op: usize) -> &mut Bytes {
        let position = self.story.history.operations[op].position;
        let index = position.map_or(0, |position| position.index);
        &mut self.story.log[index as usize - 1].1
    }

    /// Puts a fault into the run. Returns whether there was a place for it.
    fn spoil(&mut self, fault: &str) -> bool {
        match fault {
            "stale read" => {
                let Some(op) = self.answered("GET r") else {
                    return false;
                };
                let operations = &mut self.story.history.operations;
                let before = Outcome::Done(vec![Reply::Text(b"t0".to_vec())]);
                let other = Outcome::Done(vec![Reply::Null]);
                let is_other = operations[op].outcome == before;
                operations[op].outcome = if is_other { other } else { before };
            }
            "stale place" => {
                let (Some(op), Some(first)) = (self.answered("GET "), self.answered("SET ")) else {
                    return false;
                };
                let operations = &mut self.story.history.operations;
                if operations[first].completed_us > Some(operations[op].invoked_us) {
                    return false;
                }
                operations[op].position = operations[first].position.map(|mut position| {
                    position.index -= 1;
                    position
                });
            }
            "lost update" | "duplicate" => {
                let Some(op) = self.answered("SET ") else {
                    return false;
                };
                let line = self.lines[op].clone();
                let node = self.story.history.operations[op].node;
                if fault == "duplicate" {
                    self.story.log(node, &[&line]);
                } else {
                    *self.entry(op) = Bytes::new();
                }
            }
            "reorder" => {
                let (Some(one), Some(other)) = (self.answered("SET "), self.answered("APPEND "))
                else {
                    return false;
                };
                let payload = self.entry(one).clone();
                *self.entry(one) = self.entry(other).clone();
                *self.entry(other) = payload;
            }
            "failure in the log" => {
                let operations = &self.story.history.operations;
                let failed = (0..self.lines.len()).find(|&op| {
                    matches!(operations[op].outcome, Outcome::Failed(_))
                        && !self.lines[op].starts_with("GET ")
                });
                let Some(op) = failed else { return false };
                let line = self.lines[op].clone();
                self.story.log(1, &[&line]);
                // An increment may have been another's.
                return !line.starts_with("INCR");
            }
            "wrong increment" => {
                let Some(op) = self.answered("INCR ") else {
                    return false;
                };
                self.story.history.operations[op].outcome = Outcome::Done(vec![Reply::Integer(99)]);
            }
            _ => panic!("no such fault: {fault}"),
        }
        true
    }
}

#[test]
fn random_good_runs_pass() {
    for seed in 0..40 {
        Run::new(seed).story.passes();
    }
}

#[test]
fn a_fault_anywhere_in_a_random_run_is_caught() {
    for fault in [
        "stale read",
        "stale place",
        "lost update",
        "duplicate",
        "reorder",
        "failure in the log",
        "wrong increment",
    ] {
        let mut spoiled = 0;
        for seed in 0..20 {
            let mut run = Run::new(seed);
            if run.spoil(fault) {
                spoiled += 1;
                let found = run.story.check();
                assert!(found.is_err(), "{fault} in run {seed}");
            }
        }
        assert!(spoiled >= 5, "{fault}: {spoiled}");
    }
}
