//! Whether a history is linearizable, judged from what clients asked and were told, and nothing else.
//!
//! Every operation that was answered must seem to take effect at one moment between its call and its
//! return; one that failed, never; one of unknown outcome, at any moment after its call or never
//! (Herlihy and Wing 1990). The operations of one process, which has one connection, take effect in the
//! order in which it asked.
//!
//! - Commands become steps of a small model, which is this checker's own.
//! - Keys that no operation touches together are judged apart (linearizability is local). Keys that
//!   transactions tie together are judged one by one first and then together, if they are not too many:
//!   `list_append` judges transactions of any number.
//! - If servers said where in their log an operation was executed, that order is tried first. It is only a
//!   guess: an order counts because the model explains every reply by it, whoever proposed it, and if
//!   it does not then all others are tried.
//! - The search counts its steps. At the limit it stops, and the keys count as not judged.
//!
//! A key with an expiry may be gone at any moment after the command that set it was called, and does not
//! come back by itself. All keys are absent at the start.

mod explain;
pub(crate) mod model;
pub(crate) mod parse;
mod problem;
mod search;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{History, HistoryEvent, Outcome};
use crate::judges::Violation;
use crate::judges::evidence::describe;
use crate::judges::linearizable::parse::{Keys, Unmodelled};
use crate::judges::linearizable::problem::{Event, Item, Problem};
use crate::judges::linearizable::search::{End, search};

/// The name of the property.
pub const PROPERTY: &str = "linearizable";

/// How many operations a violation names in its text.
const NAMED_MAX: usize = 6;

/// How far the check goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Steps of the search for keys that are judged together: one operation tried in one situation. About
    /// 3 million a second.
    pub steps_max: u64,
    /// Operations on keys that transactions tie together: if there are more, each key is judged by itself.
    pub tied_operations_max: usize,
    /// The operations of a process take effect in the order in which it asked them.
    pub program_order: bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            steps_max: 3_000_000,
            tied_operations_max: 20_000,
            program_order: true,
        }
    }
}

/// What was judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Operations that were answered.
    pub done: u64,
    /// Operations that failed.
    pub failed: u64,
    /// Operations of unknown outcome.
    pub unknown: u64,
    /// Keys.
    pub keys: u64,
    /// Sets of keys that were judged together.
    pub partitions: u64,
    /// Keys that transactions tie together and that were judged one by one.
    pub untied_keys: u64,
    /// Operations with a command that the model does not know. Their keys are not judged.
    pub unmodelled: u64,
    /// Steps of the search.
    pub steps: u64,
}

/// What the check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order that explains everything.
    Linearizable(Counts),
    /// There is none.
    Violation {
        /// In words.
        violation: Violation,
        /// The operations that show it, and those that wrote what they saw: their numbers in the history.
        operations: Vec<usize>,
        /// What was judged until then.
        counts: Counts,
    },
    /// None was found to be missing, but not all keys were judged.
    Inconclusive {
        /// How many sets of keys were not judged.
        partitions: u64,
        /// Which, and why: for people.
        reasons: Vec<String>,
        /// What was judged.
        counts: Counts,
    },
}

impl Verdict {
    /// What was judged.
    pub fn counts(&self) -> Counts {
        match self {
            Verdict::Linearizable(counts)
            | Verdict::Violation { counts, .. }
            | Verdict::Inconclusive { counts, .. } => *counts,
        }
    }
}

/// Judges a history.
pub fn check(history: &History, limits: Limits) -> Verdict {
    let mut check = Check {
        history,
        limits,
        keys: Keys::default(),
        counts: Counts::default(),
        given_up: Vec::new(),
    };
    let partitions = check.partitions();
    for (problem, names) in &partitions {
        if let Err((violation, operations)) = check.judge(problem, names) {
            return Verdict::Violation {
                violation,
                operations,
                counts: check.counts,
            };
        }
    }
    match check.given_up.len() {
        0 => Verdict::Linearizable(check.counts),
        partitions => Verdict::Inconclusive {
            partitions: partitions as u64,
            reasons: check.given_up,
            counts: check.counts,
        },
    }
}

/// A violation, and the operations that show it.
type Found = (Violation, Vec<usize>);

struct Check<'a> {
    history: &'a History,
    limits: Limits,
    keys: Keys,
    counts: Counts,
    /// Why sets of keys were not judged.
    given_up: Vec<String>,
}

impl Check<'_> {
    /// The problems to solve, each with the numbers of its keys.
    fn partitions(&mut self) -> Vec<(Problem, Vec<u32>)> {
        let (items, strange) = self.items();
        let mut ties = Ties::new(self.keys.names.len());
        for item in items.iter().flatten() {
            for pair in item.steps.windows(2) {
                ties.tie(pair[0].key, pair[1].key);
            }
        }
        let mut strange_roots = BTreeSet::new();
        for key in strange {
            strange_roots.insert(ties.root(key));
        }
        let mut partitions: BTreeMap<u32, (Problem, Vec<u32>)> = BTreeMap::new();
        let mut slots = vec![0; self.keys.names.len()];
        for key in 0..self.keys.names.len() as u32 {
            let root = ties.root(key);
            if strange_roots.contains(&root) {
                continue;
            }
            let (problem, names) = partitions.entry(root).or_default();
            slots[key as usize] = problem.slots as u32;
            problem.slots += 1;
            names.push(key);
        }
        self.counts.keys = self.keys.names.len() as u64;
        self.counts.partitions = (partitions.len() + strange_roots.len()) as u64;
        for root in &strange_roots {
            let key = self.keys.shown(*root);
            self.given_up
                .push(format!("key {key}: a command on it is not in the model"));
        }
        let mut places = vec![None; items.len()];
        let mut items = items;
        for &event in &self.history.events {
            match event {
                HistoryEvent::Invoked(op) => {
                    let Some(mut item) = items.get_mut(op).and_then(Option::take) else {
                        continue;
                    };
                    let root = ties.root(item.steps[0].key);
                    let Some((problem, _)) = partitions.get_mut(&root) else {
                        continue;
                    };
                    for step in &mut item.steps {
                        step.key = slots[step.key as usize];
                    }
                    places[op] = Some((root, problem.items.len()));
                    problem.events.push(Event::Call(problem.items.len()));
                    problem.items.push(item);
                }
                HistoryEvent::Completed(op) => {
                    let Some((root, place)) = places.get(op).copied().flatten() else {
                        continue;
                    };
                    if let Some((problem, _)) = partitions.get_mut(&root)
                        && problem.items[place].known
                    {
                        problem.events.push(Event::Return(place));
                    }
                }
            }
        }
        partitions.into_values().collect()
    }

    /// The operations in the model's words, and the keys whose commands it does not know.
    fn items(&mut self) -> (Vec<Option<Item>>, Vec<u32>) {
        let mut items = Vec::with_capacity(self.history.operations.len());
        let mut strange_ops = Vec::new();
        for (op, operation) in self.history.operations.iter().enumerate() {
            let count = match operation.outcome {
                Outcome::Done(_) => &mut self.counts.done,
                Outcome::Failed(_) => &mut self.counts.failed,
                Outcome::Open | Outcome::Unknown(_) => &mut self.counts.unknown,
            };
            *count += 1;
            items.push(match parse::steps(operation, &mut self.keys) {
                Ok(steps) if steps.is_empty() => None,
                Ok(steps) => Some(Item {
                    op,
                    process: operation.process,
                    steps,
                    known: matches!(operation.outcome, Outcome::Done(_)),
                    hint: operation.position,
                }),
                Err(Unmodelled) => {
                    strange_ops.push(op);
                    None
                }
            });
        }
        self.counts.unmodelled = strange_ops.len() as u64;
        let mut strange = Vec::new();
        for op in strange_ops {
            let commands = &self.history.operations[op].commands;
            let arguments: BTreeSet<&[u8]> = commands.iter().flatten().map(Vec::as_slice).collect();
            let is_everywhere = commands.iter().any(|command| {
                let name = command[0].to_ascii_uppercase();
                matches!(&name[..], b"FLUSHALL" | b"FLUSHDB" | b"SWAPDB")
            });
            let keys = self.keys.names.iter().enumerate();
            let touched =
                keys.filter(|(_, (_, name))| is_everywhere || arguments.contains(name.as_slice()));
            strange.extend(touched.map(|(key, _)| key as u32));
        }
        (items, strange)
    }

    fn judge(&mut self, problem: &Problem, names: &[u32]) -> Result<(), Found> {
        let Limits {
            steps_max,
            tied_operations_max,
            program_order,
        } = self.limits;
        let is_tied = problem.slots > 1;
        if is_tied {
            // Most of what is wrong shows in one key, and is easier to find and to read there.
            for slot in 0..problem.slots {
                self.judge(&problem.projected(slot as u32), &names[slot..=slot])?;
            }
        }
        let mut end = End::GivenUp;
        if !is_tied || problem.items.len() <= tied_operations_max {
            let (found, steps) = search(problem, program_order, steps_max);
            self.counts.steps += steps;
            end = found;
        }
        match end {
            End::Found => Ok(()),
            End::None(_) => Err(self.explain(problem, names)),
            End::GivenUp => {
                let shown = self.shown(names);
                let what = match is_tied {
                    true => {
                        self.counts.untied_keys += problem.slots as u64;
                        "s that transactions tie together, judged only one by one (the search took too long)"
                    }
                    false => " not judged (the search took too long)",
                };
                self.given_up.push(format!("key{what}: {shown}"));
                Ok(())
            }
        }
    }

    fn shown(&self, names: &[u32]) -> String {
        let shown: Vec<String> = names.iter().map(|&key| self.keys.shown(key)).collect();
        shown.join(", ")
    }

    fn explain(&self, problem: &Problem, names: &[u32]) -> Found {
        let reduced = explain::reduce(problem, self.limits.program_order);
        let core = explain::core(&reduced, problem, names, &self.keys, self.history);
        let touched: Vec<u32> = core
            .slots
            .iter()
            .map(|&slot| names[slot as usize])
            .collect();
        let mut detail = format!(
            "key {}: no order explains {}",
            self.shown(&touched),
            match core.conflicting.len() {
                1 => "this operation".to_owned(),
                count => format!("these {count} operations together"),
            }
        );
        for value in &core.unexplained {
            let value = String::from_utf8_lossy(value);
            detail.push_str(&format!(" (nobody can have written {value:?})"));
        }
        let separators = std::iter::once(": ").chain(std::iter::repeat("; "));
        for (&op, separator) in core.conflicting.iter().zip(separators).take(NAMED_MAX) {
            detail.push_str(separator);
            detail.push_str(&describe(self.history, op));
        }
        if core.conflicting.len() > NAMED_MAX {
            detail.push_str("; ...");
        }
        let mut operations = core.conflicting;
        operations.extend(core.suppliers);
        operations.sort_unstable();
        let property = PROPERTY;
        (Violation { property, detail }, operations)
    }
}

/// Which keys are tied together (union-find).
struct Ties {
    parents: Vec<u32>,
}

impl Ties {
    fn new(keys: usize) -> Ties {
        Ties {
            parents: (0..keys as u32).collect(),
        }
    }

    fn root(&mut self, mut key: u32) -> u32 {
        while self.parents[key as usize] != key {
            let parent = self.parents[key as usize];
            self.parents[key as usize] = self.parents[parent as usize];
            key = parent;
        }
        key
    }

    fn tie(&mut self, one: u32, other: u32) {
        let (one, other) = (self.root(one), self.root(other));
        let (low, high) = (one.min(other), one.max(other));
        self.parents[high as usize] = low;
    }
}
