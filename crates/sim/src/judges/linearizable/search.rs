//! The search for an order: just-in-time linearization (Wing and Gong 1993; Lowe, "Testing for
//! linearizability", 2017) over the set of all situations that are still possible.
//!
//! The search goes through the events in order of time and keeps every [`Situation`] that explains the
//! returns so far: which of the open operations have taken effect, and what the keys hold. Nothing is
//! decided before it must be: only when an operation returns that has not taken effect, all ways are
//! tried to let others take effect first and then it. No situation left: no order explains the history,
//! and the operation that returned is where it became clear.
//!
//! An operation with unknown outcome never has to take effect. So a situation is dropped if another one
//! differs only in having used fewer of them. Equal unknown operations are used in order of their calls.
//!
//! Three rules cut the search without changing its result.
//! - A pure read takes effect as soon as its reply fits: it changes nothing for the others.
//! - A value that can come only once ([`Shape`]) is not left before everyone who saw it has taken effect,
//!   those who ask only later included.
//! - On a key whose values come only once, the write that saw the present value takes effect as soon as
//!   it is the last who saw it: no other write can come first.

use std::collections::{HashMap, VecDeque};

use crate::judges::linearizable::model::{Contents, Expect};
use crate::judges::linearizable::problem::{Event, Problem, Shape};
use crate::judges::linearizable::tables::{Fast, Sets, States};

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// There is an order.
    Found,
    /// There is none: this item cannot have returned as it did.
    None(usize),
    /// The limit was reached before that was known.
    GivenUp,
}

/// No item, lock, bit or state.
const NONE: u32 = u32::MAX;

/// How many known operations may be open at once.
const OPEN_MAX: u32 = u128::BITS;

/// A situation that is possible at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Situation {
    /// Which of the open known operations have taken effect.
    known: u128,
    /// How many of each class of unknown operations have: a number in `Sets`.
    unknown: u32,
    /// What the keys hold: a number in `States`.
    state: u32,
}

/// Who saw a value that comes only once.
#[derive(Clone, Copy, Default)]
struct Lock {
    /// How many of them have not returned.
    left: u32,
    /// The bits of those who are open.
    open: u128,
}

/// Equal operations of unknown outcome.
struct Class {
    /// One of them.
    item: usize,
    /// How many of them were called.
    called: u32,
}

struct Search<'a> {
    problem: &'a Problem,
    shapes: Vec<Shape>,
    states: States,
    sets: Sets,
    /// By item and state: the state after, or `NONE` if the replies do not fit.
    moves: Fast<(u32, u32), u32>,
    /// By slot and value.
    lock_of: Fast<(u32, u32), u32>,
    locks: Vec<Lock>,
    /// By state and slot: the lock of the value that it holds there.
    state_locks: Vec<u32>,
    /// By item: the locks of the values that it saw.
    seen: Vec<Vec<u32>>,
    pure: Vec<bool>,
    classes: Vec<Class>,
    class_of: Vec<u32>,
    /// By item: the operation that the process asked before on its connection.
    previous: Vec<u32>,
    /// By item: its bit, while it is open.
    bits: Vec<u32>,
    free: u128,
    /// The known operations that were called and have not returned, in order of their calls.
    open: Vec<usize>,
    has_expiry: bool,
    steps: u64,
    steps_max: u64,
}

/// Searches for an order. Returns how it ended, and how many steps it took.
pub(crate) fn search(problem: &Problem, program_order: bool, steps_max: u64) -> (End, u64) {
    let mut search = Search::new(problem, program_order, steps_max);
    let end = search.run();
    (end, search.steps)
}

impl<'a> Search<'a> {
    fn new(problem: &'a Problem, program_order: bool, steps_max: u64) -> Search<'a> {
        let items = problem.items.len();
        let steps = || problem.items.iter().flat_map(|item| &item.steps);
        let mut search = Search {
            problem,
            shapes: Shape::of(problem),
            states: States::new(problem.slots),
            sets: Sets::new(),
            moves: Fast::default(),
            lock_of: Fast::default(),
            locks: Vec::new(),
            state_locks: Vec::new(),
            seen: vec![Vec::new(); items],
            pure: problem.items.iter().map(|item| item.is_pure()).collect(),
            classes: Vec::new(),
            class_of: vec![NONE; items],
            previous: vec![NONE; items],
            bits: vec![NONE; items],
            free: u128::MAX,
            open: Vec::new(),
            has_expiry: steps().any(|step| step.kind.sets_expiry()),
            steps: 0,
            steps_max,
        };
        search.find_locks();
        search.find_classes();
        if program_order {
            search.find_previous();
        }
        search.note_states();
        search
    }

    fn find_locks(&mut self) {
        for (place, item) in self.problem.items.iter().enumerate() {
            for (nth, step) in item.steps.iter().enumerate() {
                let slot = step.key as usize;
                if item.steps[..nth].iter().any(|other| other.key == step.key) {
                    continue;
                }
                let Some(value) = self.shapes[slot].demanded(step) else {
                    continue;
                };
                if !self.shapes[slot].comes_once(value.as_deref()) {
                    continue;
                }
                let value = self.states.value_number(value.as_deref());
                let fresh = self.locks.len() as u32;
                let lock = *self.lock_of.entry((step.key, value)).or_insert(fresh);
                if lock == fresh {
                    self.locks.push(Lock::default());
                }
                self.locks[lock as usize].left += 1;
                self.seen[place].push(lock);
            }
        }
    }

    /// Puts equal unknown operations into classes. Those that nobody can ever have noticed have none.
    fn find_classes(&mut self) {
        let mut numbers = HashMap::new();
        for (place, item) in self.problem.items.iter().enumerate() {
            if item.known || self.is_unnoticed(place) {
                continue;
            }
            let fresh = self.classes.len() as u32;
            let class = *numbers.entry(&item.steps).or_insert(fresh);
            if class == fresh {
                self.classes.push(Class {
                    item: place,
                    called: 0,
                });
            }
            self.class_of[place] = class;
        }
    }

    /// Whether an unknown operation wrote a value that nobody saw, to a key of which nobody asks for
    /// less than the whole value: an order with it is one without it too.
    fn is_unnoticed(&self, place: usize) -> bool {
        let [step] = self.problem.items[place].steps.as_slice() else {
            return false;
        };
        let Shape::Register { exact: true, .. } = &self.shapes[step.key as usize] else {
            return false;
        };
        let is_seen = |value| {
            let number = self.states.known_value(value);
            number.is_some_and(|number| self.lock_of.contains_key(&(step.key, number)))
        };
        let shape = &self.shapes[step.key as usize];
        let value = step.kind.written();
        value.is_some_and(|value| shape.comes_once(Some(value)) && !is_seen(value))
    }

    fn find_previous(&mut self) {
        let mut last: HashMap<u32, usize> = HashMap::new();
        for (place, item) in self.problem.items.iter().enumerate() {
            if item.known
                && let Some(previous) = last.insert(item.process, place)
            {
                self.previous[place] = previous as u32;
            }
        }
    }

    fn run(&mut self) -> End {
        let mut frontier = vec![Situation {
            known: 0,
            unknown: 0,
            state: 0,
        }];
        let problem = self.problem;
        for &event in &problem.events {
            match event {
                Event::Call(item) if problem.items[item].known => {
                    if self.free == 0 {
                        return End::GivenUp;
                    }
                    self.call(item);
                    for situation in &mut frontier {
                        self.settle(situation);
                    }
                }
                Event::Call(item) => {
                    if self.class_of[item] != NONE {
                        self.classes[self.class_of[item] as usize].called += 1;
                    }
                }
                Event::Return(item) => {
                    self.require(item, &mut frontier);
                    if self.steps > self.steps_max {
                        return End::GivenUp;
                    }
                    if frontier.is_empty() {
                        return End::None(item);
                    }
                }
            }
        }
        End::Found
    }

    fn call(&mut self, item: usize) {
        let bit = self.free.trailing_zeros();
        debug_assert!(bit < OPEN_MAX);
        self.free &= !(1 << bit);
        self.bits[item] = bit;
        self.open.push(item);
        for &lock in &self.seen[item] {
            self.locks[lock as usize].open |= 1 << bit;
        }
    }

    /// Keeps the situations in which the item has taken effect, or can by now.
    fn require(&mut self, item: usize, frontier: &mut Vec<Situation>) {
        let bit = 1_u128 << self.bits[item];
        let (mut done, waiting): (Vec<Situation>, Vec<Situation>) =
            frontier.iter().partition(|it| it.known & bit != 0);
        if !waiting.is_empty() {
            self.extend(item, bit, waiting, &mut done);
        }
        for &lock in &self.seen[item] {
            let lock = &mut self.locks[lock as usize];
            lock.left -= 1;
            lock.open &= !bit;
        }
        for situation in &mut done {
            situation.known &= !bit;
        }
        self.free |= bit;
        self.bits[item] = NONE;
        self.open.retain(|&other| other != item);
        self.drop_weaker(&mut done);
        *frontier = done;
    }

    /// Tries all ways in which others take effect and then the item.
    fn extend(
        &mut self,
        item: usize,
        bit: u128,
        mut waiting: Vec<Situation>,
        done: &mut Vec<Situation>,
    ) {
        // Those that used fewer unknown operations first: they make others needless.
        waiting.sort_by_key(|it| self.sets.used(it.unknown));
        let mut levels: VecDeque<Vec<Situation>> = VecDeque::new();
        let mut level = waiting.first().map_or(0, |it| self.sets.used(it.unknown));
        let base = level;
        for situation in waiting {
            let place = (self.sets.used(situation.unknown) - base) as usize;
            if levels.len() <= place {
                levels.resize_with(place + 1, Vec::new);
            }
            levels[place].push(situation);
        }
        let mut seen: Fast<(u128, u32), Vec<u32>> = Fast::default();
        let mut next = Vec::new();
        while let Some(mut stack) = levels.pop_front() {
            while let Some(situation) = stack.pop() {
                if self.steps > self.steps_max {
                    return;
                }
                let others = seen.entry((situation.known, situation.state)).or_default();
                let sets = &self.sets;
                if others
                    .iter()
                    .any(|&it| sets.is_within(it, situation.unknown))
                {
                    continue;
                }
                others.push(situation.unknown);
                next.clear();
                self.successors(situation, item, &mut next);
                for &successor in &next {
                    if successor.known & bit != 0 {
                        done.push(successor);
                    } else if self.sets.used(successor.unknown) == level {
                        stack.push(successor);
                    } else {
                        if levels.is_empty() {
                            levels.push_back(Vec::new());
                        }
                        levels[0].push(successor);
                    }
                }
            }
            level += 1;
        }
    }

    /// The situations after one more operation took effect.
    fn successors(&mut self, from: Situation, item: usize, next: &mut Vec<Situation>) {
        self.known_successor(from, item, next);
        for place in 0..self.open.len() {
            let other = self.open[place];
            if other != item && !self.pure[other] {
                self.known_successor(from, other, next);
            }
        }
        for class in 0..self.classes.len() {
            let Class { item, called } = self.classes[class];
            if called == 0 || self.sets.count(from.unknown, class as u32) == called {
                continue;
            }
            let state = self.step(item, from.state);
            if state != NONE && state != from.state && self.may_leave(from, state, None) {
                let unknown = self.sets.with(from.unknown, class as u32);
                let mut to = Situation {
                    unknown,
                    state,
                    ..from
                };
                self.settle(&mut to);
                next.push(to);
            }
        }
        if self.has_expiry {
            for slot in 0..self.problem.slots {
                let Some(state) = self.states.expired(from.state, slot) else {
                    continue;
                };
                self.note_states();
                if self.may_leave(from, state, None) {
                    let mut to = Situation { state, ..from };
                    self.settle(&mut to);
                    next.push(to);
                }
            }
        }
    }

    fn known_successor(&mut self, from: Situation, item: usize, next: &mut Vec<Situation>) {
        if !self.is_enabled(from, item) {
            return;
        }
        let state = self.step(item, from.state);
        if state == NONE || !self.may_leave(from, state, Some(item)) {
            return;
        }
        let mut to = Situation {
            known: from.known | 1 << self.bits[item],
            state,
            ..from
        };
        self.settle(&mut to);
        next.push(to);
    }

    /// Lets those take effect that lose nothing by it: pure reads that fit, and writes that must be
    /// the next.
    fn settle(&mut self, situation: &mut Situation) {
        let mut place = 0;
        while place < self.open.len() {
            let item = self.open[place];
            place += 1;
            if !self.is_enabled(*situation, item) {
                continue;
            }
            if !self.pure[item] && self.seen[item].is_empty() {
                continue;
            }
            let state = self.step(item, situation.state);
            if state == NONE {
                continue;
            }
            if self.pure[item] {
                situation.known |= 1 << self.bits[item];
                place = if self.seen[item].is_empty() { place } else { 0 };
            } else if self.is_forced(*situation, state, item) {
                situation.known |= 1 << self.bits[item];
                situation.state = state;
                place = 0;
            }
        }
    }

    /// Whether a known item is open, has not taken effect, and the one before it in its process has.
    fn is_enabled(&self, situation: Situation, item: usize) -> bool {
        if situation.known >> self.bits[item] & 1 == 1 {
            return false;
        }
        let previous = self.previous[item];
        if previous == NONE {
            return true;
        }
        let bit = self.bits[previous as usize];
        bit == NONE || situation.known >> bit & 1 == 1
    }

    /// Whether everyone has taken effect who saw the values that the move to `state` takes away.
    /// `mover` is the known item that moves.
    fn may_leave(&self, from: Situation, state: u32, mover: Option<usize>) -> bool {
        if from.state == state || self.locks.is_empty() {
            return true;
        }
        (0..self.problem.slots).all(|slot| {
            let lock = self.state_locks[from.state as usize * self.problem.slots + slot];
            lock == NONE
                || !self.states.differ(from.state, state, slot)
                || self.is_last(from, lock, mover)
        })
    }

    /// Whether nobody but the mover still has to see the value of a lock.
    fn is_last(&self, from: Situation, lock: u32, mover: Option<usize>) -> bool {
        let Lock { left, open } = self.locks[lock as usize];
        let mut waiting = left - (from.known & open).count_ones();
        if let Some(mover) = mover
            && self.seen[mover].contains(&lock)
        {
            waiting -= 1;
        }
        waiting == 0
    }

    /// Whether no other write can come before this one on any key that it changes.
    fn is_forced(&self, from: Situation, state: u32, item: usize) -> bool {
        let slots = self.problem.slots;
        (0..slots).all(|slot| {
            if !self.states.differ(from.state, state, slot) {
                // It must not write there either, or its place among the writes would be open.
                let steps = &self.problem.items[item].steps;
                return steps
                    .iter()
                    .all(|step| step.key as usize != slot || step.is_pure());
            }
            let lock = self.state_locks[from.state as usize * slots + slot];
            self.shapes[slot].is_monotone()
                && lock != NONE
                && self.seen[item].contains(&lock)
                && self.is_last(from, lock, Some(item))
        })
    }

    /// The state after an item, or `NONE` if its replies do not fit.
    fn step(&mut self, item: usize, state: u32) -> u32 {
        self.steps += 1;
        let key = (item as u32, state);
        if let Some(&next) = self.moves.get(&key) {
            return next;
        }
        let next = self.execute(item, state);
        self.note_states();
        self.moves.insert(key, next);
        next
    }

    fn execute(&mut self, item: usize, state: u32) -> u32 {
        let mut changed: Vec<(u32, Contents)> = Vec::new();
        let mut sum = 0;
        for step in &self.problem.items[item].steps {
            let place = match changed.iter().position(|(slot, _)| *slot == step.key) {
                Some(place) => place,
                None => {
                    changed.push((step.key, self.states.contents(state, step.key as usize)));
                    changed.len() - 1
                }
            };
            let reply = step.kind.apply(&mut changed[place].1);
            let fits = match &step.expect {
                Expect::Any => true,
                Expect::Reply(expected) => *expected == reply,
                Expect::Part | Expect::Total(_) => {
                    if let crate::history::Reply::Integer(number) = reply {
                        sum += number;
                    }
                    match step.expect {
                        Expect::Total(total) => std::mem::take(&mut sum) == total,
                        _ => true,
                    }
                }
            };
            if !fits {
                return NONE;
            }
        }
        for (slot, contents) in &changed {
            if let (Shape::Appends { longest }, Some(value)) =
                (&self.shapes[*slot as usize], &contents.value)
            {
                let common = longest.len().min(value.len());
                if longest[..common] != value[..common] {
                    return NONE;
                }
            }
        }
        self.states.with(state, &changed)
    }

    /// Finds the locks of states that are new.
    fn note_states(&mut self) {
        let slots = self.problem.slots;
        for state in self.state_locks.len() / slots.max(1)..self.states.len() {
            for slot in 0..slots {
                let value = self.states.value(state as u32, slot);
                let lock = self.lock_of.get(&(slot as u32, value));
                self.state_locks.push(lock.copied().unwrap_or(NONE));
            }
        }
    }

    /// Drops situations that differ from another one only in having used more unknown operations.
    fn drop_weaker(&self, all: &mut Vec<Situation>) {
        if all.len() < 2 {
            return;
        }
        all.sort_by_key(|it| (it.state, it.known, self.sets.used(it.unknown), it.unknown));
        let mut kept: Vec<Situation> = Vec::with_capacity(all.len());
        let mut group = 0;
        for &situation in all.iter() {
            let is_same =
                |it: &Situation| it.state == situation.state && it.known == situation.known;
            if kept.get(group).is_none_or(|it| !is_same(it)) {
                group = kept.len();
            }
            let mut others = kept[group..].iter();
            if !others.any(|it| self.sets.is_within(it.unknown, situation.unknown)) {
                kept.push(situation);
            }
        }
        *all = kept;
    }
}
