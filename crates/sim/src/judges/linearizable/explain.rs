//! From "no order explains this history" to the few operations that show it.

use crate::history::{History, Outcome};
use crate::judges::linearizable::parse::Keys;
use crate::judges::linearizable::problem::{Event, Fate, Problem, Shape};
use crate::judges::linearizable::search::{End, search};

/// How many steps one attempt to make the problem smaller may take. Making it smaller is a courtesy.
const ATTEMPT_STEPS_MAX: u64 = 30_000;
/// How many steps all attempts may take.
const STEPS_MAX: u64 = 300_000;

/// The operations that show a violation.
pub(crate) struct Core {
    /// Those that no order explains together: their numbers in the history, in order of their calls.
    pub(crate) conflicting: Vec<usize>,
    /// Others that wrote what those saw.
    pub(crate) suppliers: Vec<usize>,
    /// Values that they saw and that no operation can have written.
    pub(crate) unexplained: Vec<Vec<u8>>,
    /// The keys that they touch, by their number in the problem.
    pub(crate) slots: Vec<u32>,
}

/// Reduces a problem that has no solution. Everything that is taken away is taken away soundly: what
/// stays has no solution either, whatever became of the others.
pub(crate) fn reduce(problem: &Problem, program_order: bool) -> Problem {
    let mut reducer = Reducer {
        program_order,
        steps: 0,
    };
    let mut problem = reducer.cut(problem);
    let mut size = problem.items.len().div_ceil(2);
    while size > 0 {
        let was = problem.items.len();
        problem = reducer.weaken(problem, size);
        let is_done = size == 1 && problem.items.len() == was;
        if reducer.steps > STEPS_MAX || is_done {
            break;
        }
        size = (size / 2).max(1);
    }
    problem
}

struct Reducer {
    program_order: bool,
    steps: u64,
}

impl Reducer {
    fn is_violation(&mut self, problem: &Problem) -> bool {
        let steps_max = ATTEMPT_STEPS_MAX.min(STEPS_MAX.saturating_sub(self.steps));
        let (end, steps) = search(problem, self.program_order, steps_max);
        self.steps += steps;
        matches!(end, End::None(_))
    }

    /// Cuts off what came after it was clear.
    fn cut(&mut self, problem: &Problem) -> Problem {
        let (mut without, mut with) = (0, problem.events.len());
        while with - without > 1 {
            let middle = without.midpoint(with);
            match self.is_violation(&prefix(problem, middle)) {
                true => with = middle,
                false => without = middle,
            }
        }
        prefix(problem, with)
    }

    /// Forgets the replies of `size` operations after the other, where the rest has no solution
    /// without them.
    fn weaken(&mut self, mut problem: Problem, size: usize) -> Problem {
        let mut known: Vec<usize> = known_items(&problem);
        let mut start = 0;
        while start < known.len() && self.steps < STEPS_MAX {
            let end = known.len().min(start + size);
            let mut fates = vec![Fate::Keep; problem.items.len()];
            for &item in &known[start..end] {
                fates[item] = Fate::Weaken;
            }
            let smaller = problem.relaxed(&fates);
            if self.is_violation(&smaller) {
                problem = smaller;
                known = known_items(&problem);
            } else {
                start = end;
            }
        }
        problem
    }
}

fn known_items(problem: &Problem) -> Vec<usize> {
    let items = 0..problem.items.len();
    items.filter(|&item| problem.items[item].known).collect()
}

/// What was known after so many events.
fn prefix(problem: &Problem, events: usize) -> Problem {
    let mut fates = vec![Fate::Drop; problem.items.len()];
    for event in &problem.events[..events] {
        match *event {
            Event::Call(item) if problem.items[item].known => fates[item] = Fate::Weaken,
            Event::Call(item) | Event::Return(item) => fates[item] = Fate::Keep,
        }
    }
    problem.relaxed(&fates)
}

/// Names the operations of a reduced problem, and those that wrote what they saw.
pub(crate) fn core(
    reduced: &Problem,
    whole: &Problem,
    names: &[u32],
    keys: &Keys,
    history: &History,
) -> Core {
    let shapes = Shape::of(whole);
    let known: Vec<usize> = known_items(reduced);
    let mut core = Core {
        conflicting: known.iter().map(|&item| reduced.items[item].op).collect(),
        suppliers: Vec::new(),
        unexplained: Vec::new(),
        slots: Vec::new(),
    };
    for step in known.iter().flat_map(|&item| &reduced.items[item].steps) {
        if !core.slots.contains(&step.key) {
            core.slots.push(step.key);
        }
        let Some(Some(value)) = step.demands() else {
            continue;
        };
        let Shape::Register { .. } = shapes[step.key as usize] else {
            continue;
        };
        let mut is_written = false;
        for item in &whole.items {
            let mut steps = item.steps.iter();
            if steps.any(|it| it.key == step.key && it.kind.written() == Some(&value)) {
                is_written = true;
                core.suppliers.push(item.op);
            }
        }
        if !is_written {
            let key = &keys.names[names[step.key as usize] as usize].1;
            core.suppliers.extend(failed_writes(history, key, &value));
            core.unexplained.push(value);
        }
    }
    core.suppliers.sort_unstable();
    core.suppliers.dedup();
    core.suppliers.retain(|op| !core.conflicting.contains(op));
    core.unexplained.sort_unstable();
    core.unexplained.dedup();
    core
}

/// Failed operations that would have written a value.
fn failed_writes(history: &History, key: &[u8], value: &[u8]) -> Vec<usize> {
    let writes = |command: &Vec<Vec<u8>>| {
        command.get(1).is_some_and(|it| it == key) && command[2..].iter().any(|it| it == value)
    };
    let operations = history.operations.iter().enumerate();
    operations
        .filter(|(_, operation)| matches!(operation.outcome, Outcome::Failed(_)))
        .filter(|(_, operation)| operation.commands.iter().any(writes))
        .map(|(op, _)| op)
        .collect()
}
