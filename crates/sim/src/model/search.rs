//! Breadth first through all states, so that the first broken property comes with a shortest trace.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use crate::judges::Violation;
use crate::model::scope::Scope;
use crate::model::state::{Broken, Group, State, Step};
use crate::model::trace;

/// Where a search stops before it has seen everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most states to look at. Each takes some 40 bytes, and 100 more until its successors are
    /// known.
    pub states_max: usize,
    /// The most steps from the start.
    pub depth_max: usize,
}

impl Limits {
    /// No limits but memory.
    pub const NONE: Limits = Limits {
        states_max: u32::MAX as usize,
        depth_max: usize::MAX,
    };
}

/// What a search has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explored {
    /// The name of the scope.
    pub scope: &'static str,
    /// Different states of the group.
    pub states: usize,
    /// Steps from a state to another, or to one that was known.
    pub transitions: u64,
    /// The most steps from the start to a state, by the shortest way.
    pub depth: usize,
    /// Different states of a single node.
    pub node_states: usize,
    /// How often the production code ran: once for each node state and input.
    pub reactions: usize,
    /// Whether every state of the scope was seen.
    pub complete: bool,
    /// What was reached: a search that never sees a commit proves little.
    pub reached: Reached,
    /// The first property that broke, if one did.
    pub violation: Option<Found>,
}

/// The furthest that a search has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// The highest term that had a leader.
    pub led_term: u8,
    /// The most committed entries.
    pub committed: u8,
    /// The most leaders at once, of different terms.
    pub leaders_at_once: u8,
    /// Steps in which a read was served.
    pub reads_served: u64,
    /// Steps in which a log was truncated.
    pub truncations: u64,
}

/// A broken property, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The property.
    pub violation: Violation,
    /// Steps from the start.
    pub steps: usize,
    /// Every step, and what came of it, a line each.
    pub trace: Vec<String>,
}

/// What a search tells while it is under way, after each step outward from the start.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Steps from the start that have been looked at.
    pub depth: usize,
    /// Different states so far.
    pub states: usize,
    /// States found but not looked at.
    pub waiting: usize,
    /// Steps taken so far.
    pub transitions: u64,
}

/// A hasher for what is a hash already.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// Where a state was first met: from which state, by which step.
#[derive(Clone, Copy, Debug)]
struct Origin {
    parent: u32,
    step: Step,
}

/// A search under way. States are known by a 64-bit hash of all they consist of: among a hundred
/// million states, two with the same hash are to be expected once in 3,700 searches.
#[derive(Debug)]
struct Search {
    group: Group,
    seen: HashSet<u64, BuildHasherDefault<AsItIs>>,
    /// By the number of a state, in the order in which they were met; the start is 0.
    origins: Vec<Origin>,
    transitions: u64,
    reached: Reached,
}

/// Looks at every state that the scope allows, within the limits.
pub fn explore(scope: Scope, limits: Limits) -> Explored {
    explore_telling(scope, limits, &mut |_| true)
}

/// Like [`explore`]; tells how far it is after each step outward, and stops when told `false`.
pub fn explore_telling(
    scope: Scope,
    limits: Limits,
    tell: &mut dyn FnMut(&Progress) -> bool,
) -> Explored {
    let mut search = Search {
        group: Group::new(scope),
        seen: HashSet::default(),
        origins: Vec::new(),
        transitions: 0,
        reached: Reached::default(),
    };
    let start = match search.group.start() {
        Ok(start) => start,
        Err(broken) => {
            let found = Found {
                violation: broken.violation,
                steps: 0,
                trace: vec!["on the way to the start".to_owned()],
            };
            return search.report(0, false, Some(found));
        }
    };
    search.seen.insert(start.fingerprint());
    search.origins.push(Origin {
        parent: 0,
        step: Step::NONE,
    });
    let mut edge = vec![(0, start)];
    for depth in 0.. {
        let mut next_edge = Vec::new();
        for (number, state) in &edge {
            if let Err(broken) = search.look(*number, state, &mut next_edge) {
                let steps = search.steps_to(*number, broken.step);
                let found = Found {
                    violation: broken.violation,
                    steps: steps.len(),
                    trace: trace::of(&mut search.group, &steps),
                };
                return search.report(depth + 1, false, Some(found));
            }
            if search.origins.len() >= limits.states_max {
                return search.report(depth + 1, false, None);
            }
        }
        let progress = Progress {
            depth,
            states: search.origins.len(),
            waiting: next_edge.len(),
            transitions: search.transitions,
        };
        if next_edge.is_empty() {
            return search.report(depth, true, None);
        }
        if depth + 1 > limits.depth_max || !tell(&progress) {
            return search.report(depth, false, None);
        }
        edge = next_edge;
    }
    unreachable!("depths have no end")
}

impl Search {
    /// Takes every step from a state.
    fn look(
        &mut self,
        number: u32,
        state: &State,
        next_edge: &mut Vec<(u32, State)>,
    ) -> Result<(), Broken> {
        let mut successors = Vec::with_capacity(32);
        let result = self.group.successors(state, &mut successors);
        for (step, next) in successors {
            self.transitions += 1;
            if self.seen.insert(next.fingerprint()) {
                self.group.check(&next, step)?;
                self.note(state, step, &next);
                let new = u32::try_from(self.origins.len()).expect("fewer states than numbers");
                self.origins.push(Origin {
                    parent: number,
                    step,
                });
                next_edge.push((new, next));
            }
        }
        result
    }

    fn note(&mut self, before: &State, step: Step, after: &State) {
        let reached = &mut self.reached;
        let facts = self.group.facts(after);
        let leaders = facts.iter().filter(|node| node.leads()).count();
        reached.leaders_at_once = reached
            .leaders_at_once
            .max(u8::try_from(leaders).unwrap_or(0));
        let led = facts
            .iter()
            .filter(|node| node.leads())
            .map(|node| node.term);
        reached.led_term = reached.led_term.max(led.max().unwrap_or(0));
        let committed = self.group.ledgers.count(after.memory.ledger);
        reached.committed = reached.committed.max(committed);
        let old = self.group.facts(before)[usize::from(step.node) - 1];
        let new = facts[usize::from(step.node) - 1];
        let is_cut = !step.is_crash() && !new.log.starts_with(&old.log);
        reached.truncations += u64::from(is_cut);
        reached.reads_served += u64::from(self.group.serves(before, step));
    }

    /// The steps from the start to a state, and one more.
    fn steps_to(&self, mut number: u32, last: Step) -> Vec<Step> {
        let mut steps = vec![last];
        while number != 0 {
            let origin = self.origins[number as usize];
            steps.push(origin.step);
            number = origin.parent;
        }
        steps.reverse();
        steps
    }

    fn report(&self, depth: usize, complete: bool, violation: Option<Found>) -> Explored {
        let (node_states, reactions) = self.group.tables.sizes();
        Explored {
            scope: self.group.scope().name,
            states: self.origins.len(),
            transitions: self.transitions,
            depth,
            node_states,
            reactions,
            complete,
            reached: self.reached,
            violation,
        }
    }
}
